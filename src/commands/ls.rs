//! `callsign ls`: lists the published services with the names to query, or the refusals.

use super::print::{TextTable, escaped, json};
use super::{CommandError, CommandOutput, read_local, server_at};
use crate::api::Filter;
use crate::cli::LsArgs;
use crate::config::Environment;
use crate::report::{self, InterfaceRow, Paging, RefusalRow};

/// Lists services or refusals, from a server or from the command's own source.
///
/// # Errors
/// The source cannot be read, or an interface is given together with `--bad`.
pub async fn ls(args: &LsArgs, environment: &Environment) -> Result<CommandOutput, CommandError> {
    match (&args.interface, args.bad) {
        (Some(_), true) => {
            let message = "--bad lists refusals, which have no interface: leave INTERFACE out";
            Err(CommandError::Usage(message.into()))
        }
        (None, true) => bad(args, environment).await,
        (_, false) => interfaces(args, environment).await,
    }
}

async fn interfaces(args: &LsArgs, environment: &Environment) -> Result<CommandOutput, CommandError> {
    let interface = args.interface.as_deref();
    let namespaces = namespaces(args);
    let mut found = Vec::new();
    if args.from.asks_server() {
        let server = server_at(&args.from.server)?;
        for namespace in namespaces {
            let query = [("interface", interface), ("namespace", namespace)];
            found.append(&mut server.list("/v1/interfaces", &query).await?);
        }
        return Ok(services(args, &found));
    }
    let local = read_local(&args.from, &args.namespace, args.all_namespaces, environment).await?;
    for namespace in namespaces {
        let (interface, namespace) = (interface.map(str::to_owned), namespace.map(str::to_owned));
        let filter = Filter { interface, namespace, ..Filter::default() };
        found.append(&mut report::interfaces(&local.snapshot, &filter, &Paging::ALL).items);
    }
    Ok(services(args, &found).with_problems(local.problems()))
}

async fn bad(args: &LsArgs, environment: &Environment) -> Result<CommandOutput, CommandError> {
    let is_asked = |row: &RefusalRow| args.namespace.is_empty() || args.namespace.contains(&row.namespace);
    if args.from.asks_server() {
        let mut found: Vec<RefusalRow> = server_at(&args.from.server)?.list("/v1/bad", &[]).await?;
        found.retain(is_asked);
        return Ok(refusals(args, &found));
    }
    let local = read_local(&args.from, &args.namespace, args.all_namespaces, environment).await?;
    let mut found = report::refusals(&local.snapshot, &Paging::ALL).items;
    found.retain(is_asked);
    Ok(refusals(args, &found).with_problems(local.problems()))
}

/// The namespaces to list, in order and each once. A single `None` means all namespaces.
fn namespaces(args: &LsArgs) -> Vec<Option<&str>> {
    let mut namespaces: Vec<Option<&str>> = args.namespace.iter().map(|name| Some(name.as_str())).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    if namespaces.is_empty() { vec![None] } else { namespaces }
}

fn services(args: &LsArgs, found: &[InterfaceRow]) -> CommandOutput {
    let notes = match &args.interface {
        _ if !found.is_empty() => String::new(),
        None => "there are no registrations: check the Pods' label and annotation; `callsign why POD` says what is \
                 missing, and `callsign ls --bad` lists refusals\n"
            .to_owned(),
        Some(interface) => format!(
            "there is no registration of {}: `callsign ls` lists all registrations, and `callsign why POD` says what \
             became of a Pod's registrations\n",
            escaped(interface)
        ),
    };
    let text = match (args.json, found.is_empty()) {
        (true, _) => json(&found),
        (false, true) => String::new(),
        (false, false) => services_table(found).to_string(),
    };
    // As with `grep`, a script can ask whether an interface is there.
    CommandOutput { text, notes, has_findings: args.interface.is_some() && found.is_empty() }
}

fn services_table(found: &[InterfaceRow]) -> TextTable {
    let mut table = TextTable::new(&["INTERFACE", "GROUP", "VERSION", "NAMESPACE", "ENDPOINTS", "NAME-TO-DIG"]);
    for row in found {
        let InterfaceRow { interface, group, version, namespace, endpoints, protocols: _, name, alias: _ } = row;
        let (group, version) = (group.as_deref().unwrap_or_default(), version.as_deref().unwrap_or_default());
        table.push([interface, group, version, namespace, &endpoints.to_string(), name]);
    }
    table
}

fn refusals(args: &LsArgs, found: &[RefusalRow]) -> CommandOutput {
    let notes = match found.is_empty() {
        true => "no registration was refused; `callsign why POD` says why a registration is not published\n",
        false => "",
    };
    let text = match (args.json, found.is_empty()) {
        (true, _) => json(&found),
        (false, true) => String::new(),
        (false, false) => refusals_table(found).to_string(),
    };
    CommandOutput { text, notes: notes.into(), has_findings: false }
}

fn refusals_table(found: &[RefusalRow]) -> TextTable {
    let mut table = TextTable::new(&["POD", "PROFILE", "OFFSET", "REASON"]);
    for row in found {
        let RefusalRow { namespace, pod, profile, offset, key: _, reason: _, message } = row;
        table.push([&format!("{namespace}/{pod}"), profile, &offset.to_string(), message]);
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::extract::Query;
    use axum::routing::get;
    use axum::{Json, Router};
    use clap::Parser;
    use tokio::net::TcpListener;

    use super::*;
    use crate::api::Page;
    use crate::cli::{Cli, Command};
    use crate::registration::Reason;

    fn args(line: &str) -> LsArgs {
        let words = std::iter::once("callsign").chain(line.split_whitespace());
        let Ok(Cli { command: Command::Ls(args) }) = Cli::try_parse_from(words) else { panic!("{line}") };
        args
    }

    fn interface(interface: &str, group: Option<&str>, namespace: &str, endpoints: usize) -> InterfaceRow {
        InterfaceRow {
            interface: interface.into(),
            group: group.map(str::to_owned),
            version: None,
            namespace: namespace.into(),
            endpoints,
            protocols: vec!["tri".into()],
            name: format!("_rpc._tcp.{interface}.{namespace}.rpc.cluster.local."),
            alias: "x-roj5ef7gfqkq2nsidracg0h94kcuj8ap".into(),
        }
    }

    fn refused(namespace: &str) -> RefusalRow {
        RefusalRow {
            namespace: namespace.into(),
            pod: "greeter-0".into(),
            profile: "app".into(),
            offset: 35,
            key: Some("port".into()),
            reason: Reason::BadPort,
            message: "port: port is not a number from 1 to 65535".into(),
        }
    }

    /// A server of two services and two refusals. It filters as the real one does.
    async fn server() -> String {
        let interfaces = |Query(query): Query<BTreeMap<String, String>>| async move {
            let mut all =
                vec![interface("org.acme.Greeter", Some("gray"), "default", 12), interface("a.B", None, "shop", 0)];
            all.retain(|row| query.get("namespace").is_none_or(|asked| *asked == row.namespace));
            all.retain(|row| query.get("interface").is_none_or(|asked| *asked == row.interface));
            Json(Page { items: all, next: None })
        };
        let bad = || async { Json(Page { items: vec![refused("default"), refused("shop")], next: None }) };
        let router = Router::new().route("/v1/interfaces", get(interfaces)).route("/v1/bad", get(bad));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    #[tokio::test]
    async fn tables() {
        let server = server().await;
        for (line, expected) in [
            (
                "ls",
                "\
INTERFACE         GROUP  VERSION  NAMESPACE  ENDPOINTS  NAME-TO-DIG
org.acme.Greeter  gray   -        default    12         _rpc._tcp.org.acme.Greeter.default.rpc.cluster.local.
a.B               -      -        shop       0          _rpc._tcp.a.B.shop.rpc.cluster.local.
",
            ),
            (
                "ls a.B -n shop -n default",
                "\
INTERFACE  GROUP  VERSION  NAMESPACE  ENDPOINTS  NAME-TO-DIG
a.B        -      -        shop       0          _rpc._tcp.a.B.shop.rpc.cluster.local.
",
            ),
            (
                "ls --bad -n shop",
                "\
POD             PROFILE  OFFSET  REASON
shop/greeter-0  app      35      port: port is not a number from 1 to 65535
",
            ),
        ] {
            let output = ls(&args(&format!("{line} --server {server}")), &Environment::default()).await.expect(line);
            assert_eq!(output, CommandOutput { text: expected.into(), ..CommandOutput::default() }, "{line}");
        }
    }

    #[tokio::test]
    async fn json_is_the_servers_answer() {
        let line = format!("ls --json -n shop --server {}", server().await);
        let output = ls(&args(&line), &Environment::default()).await.expect("an answer");
        let found: Vec<InterfaceRow> = serde_json::from_str(&output.text).expect("JSON");
        assert_eq!(found, [interface("a.B", None, "shop", 0)]);
    }

    #[tokio::test]
    async fn an_empty_list_says_what_to_do_next() {
        let server = server().await;
        for (line, text, is_finding, expected) in [
            ("ls -n empty", "", false, "callsign why POD"),
            ("ls -n empty --json", "[]\n", false, "callsign why POD"),
            ("ls no.Such", "", true, "there is no registration of no.Such"),
            ("ls --bad -n empty", "", false, "no registration was refused"),
        ] {
            let output = ls(&args(&format!("{line} --server {server}")), &Environment::default()).await.expect(line);
            assert_eq!((output.text.as_str(), output.has_findings), (text, is_finding), "{line}");
            assert!(output.notes.contains(expected) && output.notes.lines().count() == 1, "{}", output.notes);
        }
    }

    #[tokio::test]
    async fn a_refusal_has_no_interface() {
        let error = ls(&args("ls a.B --bad"), &Environment::default()).await.expect_err("a contradiction");
        assert!(error.to_string().contains("leave INTERFACE out"), "{error}");
    }
}
