//! `callsign watch`: prints the endpoints of some interfaces, and each change when it arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde::Serialize;

use super::print::{Columns, escaped, json_line, sockets};
use super::{CommandError, CommandOutput, server_at};
use crate::api::{ChangeEvent, SetEvent, WatchedChange, WatchedEndpoint, WatchedSet};
use crate::cli::WatchArgs;
use crate::remote::{EventStream, Selection, StreamEvent};

/// Prints until the reader closes the pipe. Once a server has answered, the command waits for it to come back.
///
/// # Errors
/// The first try found no server, or another kind of server.
pub async fn watch(
    args: WatchArgs,
    out: &mut (dyn Write + Send),
    notes: &mut (dyn Write + Send),
) -> Result<CommandOutput, CommandError> {
    let WatchArgs { interface, group, version, namespace, json, server } = args;
    let interfaces: BTreeSet<String> = interface.iter().map(|interface| interface.to_ascii_lowercase()).collect();
    let has_several = interfaces.len() > 1;
    let mut stream = EventStream::new(server_at(&server)?, Selection { interfaces, group, version, namespace });
    let mut printer = ChangePrinter::new(json, has_several);
    loop {
        let text = match stream.next().await {
            StreamEvent::Set(interface, set) => printer.take_set(interface, set),
            StreamEvent::Change(interface, change) => printer.take_change(interface, change),
            StreamEvent::Lost(error) if printer.known.is_empty() => return Err(CommandError::Watch { error }),
            StreamEvent::Lost(error) => {
                let note = format!("{}; trying again\n", escaped(&error.to_string()));
                let _ = notes.write_all(note.as_bytes()); // a closed standard error is no reason to end
                continue;
            }
        };
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(CommandOutput::default()),
            written => written.map_err(CommandError::Output)?,
        }
    }
}

/// What has been printed so far.
struct ChangePrinter {
    is_json: bool,
    /// Several interfaces are watched, and each line has its interface.
    has_several: bool,
    columns: Columns,
    has_header: bool,
    /// The printed set of each interface.
    known: BTreeMap<String, WatchedSet>,
}

/// An event as `--json` prints it.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum JsonEvent {
    Set(SetEvent),
    Change(ChangeEvent),
}

impl ChangePrinter {
    fn new(is_json: bool, has_several: bool) -> ChangePrinter {
        ChangePrinter { is_json, has_several, columns: Columns::default(), has_header: false, known: BTreeMap::new() }
    }

    /// Prints the first set of an interface as it is, and a later one as the change to it.
    fn take_set(&mut self, interface: String, set: WatchedSet) -> String {
        if self.is_json {
            let text = json_line(&JsonEvent::Set(SetEvent::of(interface.clone(), set)));
            self.known.entry(interface).or_default();
            return text;
        }
        if let Some(known) = self.known.get(&interface) {
            let change = known.change_to(&set);
            return self.take_change(interface, change);
        }
        let header =
            ["CHANGE", "INTERFACE", "POD", "ADDRESS:PORT", "PROTOCOL", "GROUP", "VERSION", "WEIGHT", "METADATA"];
        let header = (!std::mem::replace(&mut self.has_header, true)).then(|| header.map(str::to_owned).to_vec());
        let there = set.endpoints.iter().map(|endpoint| row("there", endpoint, &interface));
        let rows: Vec<_> = header.into_iter().chain(there).collect();
        self.known.insert(interface, set);
        self.lines(rows)
    }

    fn take_change(&mut self, interface: String, change: WatchedChange) -> String {
        if self.is_json {
            return json_line(&JsonEvent::Change(ChangeEvent::of(interface, change)));
        }
        let WatchedChange { added, changed, removed } = &change;
        let kinds = [("removed", removed), ("changed", changed), ("added", added)];
        let rows = kinds.into_iter().flat_map(|(kind, list)| list.iter().map(move |one| (kind, one)));
        let rows = rows.map(|(kind, one)| row(kind, one, &interface)).collect();
        self.known.entry(interface).or_default().apply(change);
        self.lines(rows)
    }

    fn lines(&mut self, mut rows: Vec<Vec<String>>) -> String {
        if !self.has_several {
            rows.iter_mut().for_each(|row| _ = row.remove(INTERFACE_COLUMN));
        }
        self.columns.lines(&rows)
    }
}

/// The column of the interface.
const INTERFACE_COLUMN: usize = 1;

fn row(kind: &str, endpoint: &WatchedEndpoint, interface: &str) -> Vec<String> {
    let WatchedEndpoint { pod, namespace, address: _, port, protocol, group, version, weight, addresses, metadata } =
        endpoint;
    let cells = [
        kind.to_owned(),
        interface.to_owned(),
        format!("{namespace}/{pod}"),
        sockets(addresses, "-", *port),
        protocol.clone(),
        group.clone().unwrap_or_default(),
        version.clone().unwrap_or_default(),
        weight.to_string(),
        metadata.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" "),
    ];
    cells.into()
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
    fn each_event_prints_its_lines() {
        let mut printer = ChangePrinter::new(false, false);
        assert_eq!(
            printer.take_set("a.b".into(), set(&[one("a", 100)])),
            "\
CHANGE  POD        ADDRESS:PORT              PROTOCOL  GROUP  VERSION  WEIGHT  METADATA
there   default/a  [fd00::1]:80,10.0.0.1:80  tri       -      1        100     tag=\\u001b zone=a
"
        );
        let change = WatchedChange { added: vec![one("long-name", 1)], ..WatchedChange::default() };
        assert_eq!(
            printer.take_change("a.b".into(), change),
            "added   default/long-name  [fd00::1]:80,10.0.0.1:80  tri       -      1        1       tag=\\u001b zone=a\n"
        );
        assert_eq!(printer.take_set("a.b".into(), set(&[one("a", 100), one("long-name", 1)])), "");
        assert_eq!(
            printer.take_set("a.b".into(), set(&[one("a", 7)])),
            "\
removed  default/long-name  [fd00::1]:80,10.0.0.1:80  tri       -      1        1       tag=\\u001b zone=a
changed  default/a          [fd00::1]:80,10.0.0.1:80  tri       -      1        7       tag=\\u001b zone=a
"
        );
    }

    #[test]
    fn with_several_interfaces_each_line_names_its_interface() {
        let mut printer = ChangePrinter::new(false, true);
        let first = printer.take_set("a.b".into(), set(&[one("a", 100)]));
        assert!(first.starts_with("CHANGE  INTERFACE  POD "), "{first}");
        assert!(first.contains("\nthere   a.b        default/a  "), "{first}");
        let second = printer.take_set("c.d".into(), set(&[one("a", 100)]));
        assert!(second.starts_with("there   c.d        default/a  "), "{second}");
        let gone = printer.take_set("a.b".into(), set(&[]));
        assert!(gone.starts_with("removed  a.b        default/a"), "{gone}");
    }

    #[test]
    fn json_prints_the_servers_events() {
        let mut printer = ChangePrinter::new(true, false);
        let text = printer.take_set("a.b".into(), set(&[one("a", 1)]));
        let said: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&said["event"], &said["endpoints"][0]["pod"]), (&"set".into(), &"a".into()));
        assert!(!text.contains('\u{1b}') && text.matches('\n').count() == 1, "{text}");
        let text = printer.take_change("a.b".into(), WatchedChange::default());
        assert_eq!(text, "{\"event\":\"change\",\"interface\":\"a.b\",\"added\":[],\"changed\":[],\"removed\":[]}\n");
    }
}
