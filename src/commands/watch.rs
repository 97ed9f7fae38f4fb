//! `callsign watch`: the endpoints of an interface, and each change of them as it comes.

use std::io::{self, Write};

use serde::Serialize;

use super::print::{Columns, escaped, json_line, sockets};
use super::{CommandError, Outcome, server_at};
use crate::cli::WatchArgs;
use crate::remote::{EventStream, Told};
use crate::report::{Filter, WatchedChange, WatchedEndpoint, WatchedSet};

/// Prints until nobody reads on. A server that was there once is waited for.
///
/// # Errors
/// The first try found no server, or another kind of one.
pub async fn watch(
    args: WatchArgs,
    out: &mut (dyn Write + Send),
    notes: &mut (dyn Write + Send),
) -> Result<Outcome, CommandError> {
    let WatchArgs { interface, group, version, namespace, json, server } = args;
    let filter = Filter { interface: Some(interface), group, version, namespace };
    let mut stream = EventStream::new(server_at(&server)?, filter);
    let mut view = View { is_json: json, columns: Columns::new(), known: None };
    loop {
        let text = match stream.next().await {
            Told::Set(set) => view.take_set(set),
            Told::Change(change) => view.take_change(change),
            Told::Lost(error) if view.known.is_none() => return Err(error.into()),
            Told::Lost(error) => {
                let note = format!("{}; it is asked again\n", escaped(&error.to_string()));
                let _ = notes.write_all(note.as_bytes()); // nobody to tell is no reason to end
                continue;
            }
        };
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Outcome::default()),
            written => written.map_err(CommandError::Output)?,
        }
    }
}

/// What was printed so far.
struct View {
    is_json: bool,
    columns: Columns<8>,
    /// The set that it says; none before the first.
    known: Option<WatchedSet>,
}

/// An event as `--json` prints it.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line<'e> {
    Set(&'e WatchedSet),
    Change(&'e WatchedChange),
}

impl View {
    /// The first set is printed as it is, a later one as what has changed.
    fn take_set(&mut self, set: WatchedSet) -> String {
        if self.is_json {
            let text = json_line(&Line::Set(&set));
            self.known = Some(set);
            return text;
        }
        if let Some(known) = self.known.take() {
            let change = known.change_to(&set);
            self.known = Some(known);
            return self.take_change(change);
        }
        let header = ["CHANGE", "POD", "ADDRESS:PORT", "PROTOCOL", "GROUP", "VERSION", "WEIGHT", "METADATA"];
        let there = set.endpoints.iter().map(|endpoint| row("there", endpoint));
        let rows: Vec<_> = [header.map(str::to_owned)].into_iter().chain(there).collect();
        self.known = Some(set);
        self.columns.lines(&rows)
    }

    fn take_change(&mut self, change: WatchedChange) -> String {
        let text = if self.is_json {
            json_line(&Line::Change(&change))
        } else {
            let WatchedChange { added, changed, removed } = &change;
            let kinds = [("removed", removed), ("changed", changed), ("added", added)];
            let rows = kinds.into_iter().flat_map(|(kind, list)| list.iter().map(move |one| row(kind, one)));
            self.columns.lines(&rows.collect::<Vec<_>>())
        };
        self.known.get_or_insert_default().apply(change);
        text
    }
}

fn row(kind: &str, endpoint: &WatchedEndpoint) -> [String; 8] {
    let WatchedEndpoint { pod, namespace, address: _, port, protocol, group, version, weight, addresses, metadata } =
        endpoint;
    [
        kind.to_owned(),
        format!("{namespace}/{pod}"),
        sockets(addresses, "-", *port),
        protocol.clone(),
        group.clone().unwrap_or_default(),
        version.clone().unwrap_or_default(),
        weight.to_string(),
        metadata.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" "),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(pod: &str, weight: u16) -> WatchedEndpoint {
        WatchedEndpoint {
            pod: pod.into(),
            namespace: "default".into(),
            address: "fd00::1".parse().expect("an address"),
            port: 80,
            protocol: "tri".into(),
            group: None,
            version: Some("1".into()),
            weight,
            addresses: ["fd00::1", "10.0.0.1"].map(|address| address.parse().expect("an address")).into(),
            metadata: [("zone", "a"), ("tag", "\u{1b}")].map(|(key, value)| (key.into(), value.into())).into(),
        }
    }

    fn set(endpoints: &[WatchedEndpoint]) -> WatchedSet {
        WatchedSet { endpoints: endpoints.into() }
    }

    #[test]
    fn what_is_printed() {
        let mut view = View { is_json: false, columns: Columns::new(), known: None };
        assert_eq!(
            view.take_set(set(&[one("a", 100)])),
            "\
CHANGE  POD        ADDRESS:PORT              PROTOCOL  GROUP  VERSION  WEIGHT  METADATA
there   default/a  [fd00::1]:80,10.0.0.1:80  tri       -      1        100     tag=\\u001b zone=a
"
        );
        let change = WatchedChange { added: vec![one("long-name", 1)], ..WatchedChange::default() };
        assert_eq!(
            view.take_change(change),
            "added   default/long-name  [fd00::1]:80,10.0.0.1:80  tri       -      1        1       tag=\\u001b zone=a\n"
        );
        assert_eq!(view.take_set(set(&[one("a", 100), one("long-name", 1)])), "");
        assert_eq!(
            view.take_set(set(&[one("a", 7)])),
            "\
removed  default/long-name  [fd00::1]:80,10.0.0.1:80  tri       -      1        1       tag=\\u001b zone=a
changed  default/a          [fd00::1]:80,10.0.0.1:80  tri       -      1        7       tag=\\u001b zone=a
"
        );
    }

    #[test]
    fn json_says_what_the_server_said() {
        let mut view = View { is_json: true, columns: Columns::new(), known: None };
        let text = view.take_set(set(&[one("a", 1)]));
        let said: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&said["event"], &said["endpoints"][0]["pod"]), (&"set".into(), &"a".into()));
        assert!(!text.contains('\u{1b}') && text.matches('\n').count() == 1, "{text}");
        let text = view.take_change(WatchedChange::default());
        assert_eq!(text, "{\"event\":\"change\",\"added\":[],\"changed\":[],\"removed\":[]}\n");
    }
}
