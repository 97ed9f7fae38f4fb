use clap::CommandFactory;

use super::*;

fn typed(line: &str) -> Result<Command, String> {
    let words = std::iter::once("callsign").chain(line.split_whitespace());
    Cli::try_parse_from(words).map(|cli| cli.command).map_err(|error| error.to_string())
}

#[test]
fn is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn what_is_accepted() {
    for line in [
        "serve",
        "serve --zone rpc.example.org --listen 127.0.0.1:53 --listen [::1]:53 --http 127.0.0.1:80",
        "serve --manifests a.yaml --manifests - --zones zones --kubeconfig f --context c --namespace a --namespace b",
        "serve --all-namespaces --reverse 10.0.0.0/8 --ns a=10.0.0.1 --ttl 5 --publish-not-ready --trust-addresses",
        "serve --txt-keys all --stale-after 180 --max-stale 3600 --nsid x --lame-duck 5 --config f",
        "serve --log-format json --log-level debug --log-queries --publish-not-ready=false",
        "ls",
        "ls org.acme.Greeter --bad --json -n shop -n other",
        "ls --server http://10.0.0.1:8080 -n shop",
        "ls --manifests zones/demo --config f",
        "ls -A --kubeconfig f --context c",
        "why shop/greeter-0 --json",
        "why greeter-0 -n shop --manifests -",
        "watch org.acme.Greeter",
        "watch a.B --group g --version 1 -n shop --json --server http://10.0.0.1:8080",
        "decode",
        "decode - --json",
        "decode W10=",
        "encode -",
        "encode --interface a.B --port 1 --port 2 --group g --version 1 --protocol tri --ip ::1 --method a --weight 0",
        "encode --interface a.B --port 65535 --application x --meta a=b --meta c=d=e",
        "encode - --objects",
        "encode --plain --interface a.B --port 1",
        "encode --objects --interface a.B",
        "check --manifests a",
        "check --zones z --config c",
        "register --interface a.B --port 1",
        "register --interface a.B --interface c.D --port 1 --port 2 --group g --meta zone=a -- ./server --flag",
        "register --from f --profile dubbo --container main --ready-http http://127.0.0.1:1/x --drain 0 -- server",
        "register --from f --interface a.B --port 1 --ready-exec true -n shop --pod greeter-0 --kubeconfig f",
        "register --once --interface a.B --port 1",
        "register -- ./server",
        "register --interface a.B --group g -- ./server",
        "register --port 1",
        "withdraw --container 20880 --profile dubbo --context c --log-format json --log-level debug",
    ] {
        assert!(typed(line).is_ok(), "{line}: {}", typed(line).unwrap_err());
    }
}

#[test]
fn what_is_refused() {
    for (line, expected) in [
        ("", "Usage"),
        ("serve --colour", "--colour"),
        ("serve --ttl soon", "invalid value 'soon' for '--ttl <SECONDS>': write a whole number of seconds, such as 5"),
        ("serve --listen localhost", "127.0.0.1:5354: write an IP address, because names are not looked up"),
        ("serve --listen dns.example:53", "names are not looked up"),
        ("serve --listen 53", "write an address before the port, such as 127.0.0.1:53, or 0.0.0.0:53 for all"),
        ("serve --listen :53", "write an address before the port"),
        ("serve --http 10.0.0.1", "write a port behind the address, such as 10.0.0.1:5354"),
        ("serve --http ::1", "write a port behind the address, such as [::1]:5354"),
        ("serve --listen 127.0.0.1:99999", "the port is not a number from 0 to 65535"),
        ("serve --ttl 5s", "write a whole number of seconds, such as 5"),
        ("serve --max-stale 99999999999", "write a whole number of seconds"),
        ("serve --log-format xml", "possible values: text, json"),
        ("serve --publish-not-ready yes", "unexpected argument 'yes'"),
        ("ls --server http://x --manifests a", "cannot be used with"),
        ("ls -A -n shop", "cannot be used with"),
        ("why", "<POD>"),
        ("why a/b/c", "shop/greeter-0"),
        ("why /b", "shop/greeter-0"),
        ("why a/", "shop/greeter-0"),
        ("watch", "<INTERFACE>"),
        ("watch a.B --manifests a", "--manifests"),
        ("encode", "--interface"),
        ("encode --port 1", "--interface"),
        ("encode --interface a --port 0", "write a number from 1 to 65535, or with --plain or --objects the name"),
        ("encode --interface a --port Http", "write a number from 1 to 65535"),
        ("encode - --interface a --port 1", "cannot be used with"),
        ("encode - --group g", "cannot be used with"),
        ("encode - --objects --plain", "cannot be used with"),
        ("encode --interface a --port 1 --meta a", "key=value"),
        ("encode --interface a --port 1 --meta =b", "key=value"),
        ("encode --interface a --port 1 --meta Port=2", "its own flag"),
        ("encode --interface a --port 1 --ip here", "invalid IP address"),
        ("check", "required"),
        ("register --from f --meta registrar=x --interface a.B --port 1", "registrar"),
        ("register --from f server", "unexpected argument"),
        ("register --from f --once -- server", "cannot be used with"),
        ("register --from f --once --no-wait", "cannot be used with"),
        ("register --from f --no-wait --ready-exec true", "cannot be used with"),
        ("register --from f --drain 5", "COMMAND"),
        ("register --from f --drain 5000 -- server", "5000 is not in"),
        ("register --from f --ready-http https://h/", "only http"),
        (
            "register --from f --ready-http http://user:hunter2@h/?hunter2",
            "error: http://h for --ready-http <URL>: write",
        ),
        ("register --from f --ready-http http://user:hunter2/@h", "a URL that is not shown"),
        ("register --from f --container a/b", "up to 63"),
        ("register --from f --profile other", "possible values: app, dubbo"),
        ("withdraw", "--container"),
    ] {
        let error = typed(line).map(|command| format!("{command:?}")).unwrap_err();
        assert!(error.contains(expected) && !error.contains("hunter2"), "{line}: {error}");
    }
}

#[test]
fn a_pod_has_one_namespace() {
    for (line, expected) in [
        ("why greeter-0", Some((None, "greeter-0"))),
        ("why greeter-0 -n shop", Some((Some("shop"), "greeter-0"))),
        ("why shop/greeter-0", Some((Some("shop"), "greeter-0"))),
        ("why shop/greeter-0 -n shop", Some((Some("shop"), "greeter-0"))),
        ("why shop/greeter-0 -n other", None),
    ] {
        let Ok(Command::Why(args)) = typed(line) else { panic!("{line}") };
        let pod = args.pod().ok();
        assert_eq!(pod.as_ref().map(|pod| (pod.namespace.as_deref(), pod.name.as_str())), expected, "{line}");
    }
}

#[test]
fn a_command_with_its_own_source_asks_no_server() {
    for (line, asks) in
        [("ls", true), ("ls --server http://x", true), ("ls --manifests a", false), ("ls --context a", false)]
    {
        let Ok(Command::Ls(args)) = typed(line) else { panic!("{line}") };
        assert_eq!(args.from.asks_server(), asks, "{line}");
    }
}

#[test]
fn each_port_is_a_registration() {
    let line = "encode --interface a.B --port 1 --port 2 --method x --method y --ip fd00::1 --weight 7 --meta k=v=w";
    let Ok(Command::Encode(args)) = typed(line) else { panic!("{line}") };
    let text: Vec<String> = args.pairs().iter().map(|(key, value)| format!("{key}:{value}")).collect();
    let one = |port| format!("interface:a.B ip:fd00::1 port:{port} method:x method:y weight:7 k:v=w");
    assert_eq!(text.join(" "), format!("{} {}", one(1), one(2)));
}

/// As in the environment, white space around the commas means nothing.
#[test]
fn the_parts_of_a_list_lose_the_white_space_around_them() {
    for words in [["serve", "--profiles", "app, labels"], ["serve", "--profiles", " app ,labels "]] {
        let Ok(Command::Serve(args)) = Cli::try_parse_from(["callsign"].iter().chain(&words)).map(|cli| cli.command)
        else {
            panic!("{words:?}")
        };
        assert_eq!(args.options.profiles, ["app", "labels"], "{words:?}");
    }
    let serve = Cli::try_parse_from(["callsign", "serve", "--txt-keys", "zone, tag"]).map(|cli| cli.command);
    let Ok(Command::Serve(args)) = serve else { panic!("{serve:?}") };
    assert_eq!(args.options.txt_keys, ["zone", "tag"]);
    for command in ["ls", "why"] {
        let words = ["callsign", command, "--profiles", "app, labels", "--manifests", "f", "p"];
        let from =
            match Cli::try_parse_from(words.iter().take(if command == "ls" { 6 } else { 7 })).map(|cli| cli.command) {
                Ok(Command::Ls(args)) => args.from,
                Ok(Command::Why(args)) => args.from,
                other => panic!("{other:?}"),
            };
        assert_eq!(from.profiles, ["app", "labels"], "{command}");
    }
}

#[test]
fn the_help_has_examples() {
    for command in Cli::command().get_subcommands_mut() {
        let name = command.get_name().to_owned();
        let help = command.render_long_help().to_string();
        assert!(help.contains("Examples:") && help.contains("It prints"), "{name}");
        assert!(help.contains(&format!("callsign {name}")), "{name}");
    }
    let error = Cli::try_parse_from(["callsign", "--version"]).unwrap_err().to_string();
    let commit = if COMMIT == UNKNOWN_COMMIT { String::new() } else { format!(" (commit {COMMIT})") };
    assert_eq!(error.trim(), format!("callsign {VERSION}{commit}"));
}
