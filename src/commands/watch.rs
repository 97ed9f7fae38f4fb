//! `callsign watch`: the endpoints of an interface, and each change of them as it comes.

use std::io::{self, Write};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use super::print::{Columns, escaped, json_line};
use super::remote::Server;
use super::{CommandError, Outcome};
use crate::cli::WatchArgs;
use crate::events::{self, Event, Reader};
use crate::report::{WatchedChange, WatchedEndpoint, WatchedSet};

/// How long to rest before the server is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// How long a stream may be silent: three of its heartbeats, since a connection can die without a word.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// Prints until nobody reads on. A server that was there once is waited for.
///
/// # Errors
/// The first try found no server, or another kind of one.
pub async fn watch(
    args: &WatchArgs,
    out: &mut (dyn Write + Send),
    notes: &mut (dyn Write + Send),
) -> Result<Outcome, CommandError> {
    let WatchArgs { interface, group, version, namespace, json, server } = args;
    let server = Server::at(server)?;
    let query = [
        ("interface", Some(interface.as_str())),
        ("group", group.as_deref()),
        ("version", version.as_deref()),
        ("namespace", namespace.as_deref()),
    ];
    let mut view = View { is_json: *json, columns: Columns::new(), known: None };
    let mut last_id: Option<String> = None;
    loop {
        let lost = match server.stream("/v1/watch", &query, last_id.as_deref()).await {
            Ok(body) => match follow(body, &mut view, &mut last_id, out).await {
                Ok(lost) => lost,
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Outcome::default()),
                Err(error) => return Err(CommandError::Output(error)),
            },
            Err(error) if view.known.is_none() => return Err(error.into()),
            Err(error) => error.to_string(),
        };
        let note = format!("{} is asked again: {}\n", server.shown(), escaped(&lost));
        let _ = notes.write_all(note.as_bytes()); // nobody to tell is no reason to end
        sleep(RETRY).await;
    }
}

/// Prints what a stream tells, until it ends; tells how it did.
async fn follow(
    mut body: Incoming,
    view: &mut View,
    last_id: &mut Option<String>,
    out: &mut (dyn Write + Send),
) -> io::Result<String> {
    let mut reader = Reader::default();
    loop {
        let frame = match timeout(SILENCE_MAX, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return Ok(format!("the stream broke off ({error})")),
            Ok(None) => return Ok("the stream ended".into()),
            Err(_) => return Ok(format!("the stream was silent for {} seconds", SILENCE_MAX.as_secs())),
        };
        let Some(bytes) = frame.data_ref() else { continue };
        let found = match reader.read(bytes) {
            Ok(found) => found,
            Err(error) => return Ok(error.to_string()),
        };
        for event in found {
            let Some(text) = view.take(&event) else {
                return Ok(format!("an event {:?} that cannot be read", event.event));
            };
            out.write_all(text.as_bytes())?;
            out.flush()?;
        }
        *last_id = reader.last_id().map(str::to_owned).or(last_id.take());
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
    /// What an event adds to the print; none where it cannot be read.
    fn take(&mut self, event: &Event) -> Option<String> {
        match event.event.as_str() {
            events::SET => self.take_set(read(event)?),
            events::CHANGE => self.take_change(read(event)?),
            _ => Some(String::new()), // of a later version
        }
    }

    /// The first set is printed as it is, a later one as what has changed.
    fn take_set(&mut self, set: WatchedSet) -> Option<String> {
        if self.is_json {
            let text = json_line(&Line::Set(&set));
            self.known = Some(set);
            return Some(text);
        }
        if let Some(known) = self.known.take() {
            let change = known.clone().change_to(set);
            self.known = Some(known);
            return self.take_change(change);
        }
        let header = ["CHANGE", "POD", "ADDRESS:PORT", "PROTOCOL", "GROUP", "VERSION", "WEIGHT", "METADATA"];
        let there = set.endpoints.iter().map(|endpoint| row("there", endpoint));
        let rows: Vec<_> = [header.map(str::to_owned)].into_iter().chain(there).collect();
        self.known = Some(set);
        Some(self.columns.lines(&rows))
    }

    fn take_change(&mut self, change: WatchedChange) -> Option<String> {
        let text = if self.is_json {
            json_line(&Line::Change(&change))
        } else {
            let WatchedChange { added, changed, removed } = &change;
            let kinds = [("removed", removed), ("changed", changed), ("added", added)];
            let rows = kinds.into_iter().flat_map(|(kind, list)| list.iter().map(move |one| row(kind, one)));
            self.columns.lines(&rows.collect::<Vec<_>>())
        };
        self.known.get_or_insert_default().apply(change);
        Some(text)
    }
}

fn read<T: DeserializeOwned>(event: &Event) -> Option<T> {
    serde_json::from_str(&event.data).ok()
}

fn row(kind: &str, endpoint: &WatchedEndpoint) -> [String; 8] {
    let WatchedEndpoint { pod, namespace, address, port, protocol, group, version, weight, metadata } = endpoint;
    [
        kind.to_owned(),
        format!("{namespace}/{pod}"),
        std::net::SocketAddr::new(*address, *port).to_string(),
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

    fn event(event: &str, data: &str) -> Event {
        Event { event: event.into(), data: data.into() }
    }

    fn one(pod: &str, weight: u16) -> String {
        format!(
            r#"{{"pod":"{pod}","namespace":"default","address":"fd00::1","port":80,"protocol":"tri","group":null,
            "version":"1","weight":{weight},"metadata":{{"zone":"a","tag":"\u001b"}}}}"#
        )
        .replace('\n', "")
    }

    #[test]
    fn what_is_printed() {
        let mut view = View { is_json: false, columns: Columns::new(), known: None };
        let set = |list: &[String]| event("set", &format!(r#"{{"endpoints":[{}]}}"#, list.join(",")));
        let change = event("change", &format!(r#"{{"added":[{}],"changed":[],"removed":[]}}"#, one("long-name", 1)));
        for (event, expected) in [
            (
                set(&[one("a", 100)]),
                "\
CHANGE  POD        ADDRESS:PORT  PROTOCOL  GROUP  VERSION  WEIGHT  METADATA
there   default/a  [fd00::1]:80  tri       -      1        100     tag=\\u001b zone=a
",
            ),
            (change, "added   default/long-name  [fd00::1]:80  tri       -      1        1       tag=\\u001b zone=a\n"),
            (set(&[one("a", 100), one("long-name", 1)]), ""),
            (
                set(&[one("a", 7)]),
                "\
removed  default/long-name  [fd00::1]:80  tri       -      1        1       tag=\\u001b zone=a
changed  default/a          [fd00::1]:80  tri       -      1        7       tag=\\u001b zone=a
",
            ),
            (event("later", "?"), ""),
        ] {
            assert_eq!(view.take(&event).as_deref(), Some(expected), "{event:?}");
        }
        assert_eq!(view.take(&event("set", "{}")), None);
    }

    #[test]
    fn json_says_what_the_server_said() {
        let mut view = View { is_json: true, columns: Columns::new(), known: None };
        let text = view.take(&event("set", &format!(r#"{{"endpoints":[{}]}}"#, one("a", 1)))).expect("an event");
        let said: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&said["event"], &said["endpoints"][0]["pod"]), (&"set".into(), &"a".into()));
        assert!(!text.contains('\u{1b}') && text.matches('\n').count() == 1, "{text}");
        let text = view.take(&event("change", r#"{"added":[],"changed":[],"removed":[]}"#)).expect("an event");
        assert_eq!(text, "{\"event\":\"change\",\"added\":[],\"changed\":[],\"removed\":[]}\n");
    }
}
