//! The stream of events of `/v1/watch`, followed for ever: where it ends, it is gone on with from the last id.
//!
//! A server that is not the same any more, or has forgotten, begins with a whole set: so nothing is ever missed.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use super::{RemoteError, Server, error};
use crate::events::{self, Event, Reader};
use crate::report::{ChangeEvent, SetEvent, WatchedChange, WatchedSet};
use crate::source::kube::Backoff;

/// How long a stream may be silent: three of its heartbeats, since a connection can die without a word.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// What a stream tells.
#[derive(Debug)]
pub enum Told {
    /// The whole set of an interface (in lower case), in place of all that was told of it before.
    Set(String, WatchedSet),
    /// What of an interface is different from what was told before.
    Change(String, WatchedChange),
    /// The server is not there, or the stream ended; the next look tries again, after a while.
    Lost(RemoteError),
}

/// What a stream is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The interfaces, in lower case; at least one.
    pub interfaces: BTreeSet<String>,
    /// The group of all of them, exact; empty for those without one.
    pub group: Option<String>,
    /// The version of all of them, exact; empty for those without one.
    pub version: Option<String>,
    /// The namespace of all of them.
    pub namespace: Option<String>,
}

/// The endpoints of a selection, as a server tells of them.
#[derive(Debug)]
pub struct EventStream {
    server: Server,
    selection: Selection,
    /// The interfaces of which nothing is known at the last id.
    added: BTreeSet<String>,
    last_id: Option<String>,
    open: Option<(Incoming, Reader)>,
    /// What came with one piece of the stream; its bound is that of an event, which a piece is smaller than.
    told: VecDeque<Told>,
    backoff: Backoff,
    pause: Duration,
}

impl EventStream {
    /// A stream that is not open yet.
    pub fn new(server: Server, selection: Selection) -> EventStream {
        EventStream {
            server,
            selection,
            added: BTreeSet::new(),
            last_id: None,
            open: None,
            told: VecDeque::new(),
            backoff: Backoff::default(),
            pause: Duration::ZERO,
        }
    }

    /// What it is of.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Has it be of other interfaces from now on: it is opened anew, and goes on from where it is for those that stay. With
    /// another group, version or namespace it begins with whole sets.
    pub fn select(&mut self, selection: Selection) {
        let old = std::mem::replace(&mut self.selection, selection);
        let Selection { interfaces, group, version, namespace } = &self.selection;
        // What came and is not told yet of an interface that goes, or comes again, is of before.
        self.told.retain(|told| match told {
            Told::Set(interface, _) | Told::Change(interface, _) => {
                interfaces.contains(interface) && old.interfaces.contains(interface)
            }
            Told::Lost(_) => true,
        });
        if (group, version, namespace) != (&old.group, &old.version, &old.namespace) {
            self.last_id = None;
            self.told.clear();
        }
        self.added.retain(|interface| interfaces.contains(interface));
        self.added.extend(interfaces.difference(&old.interfaces).cloned());
        self.open = None;
        self.pause = Duration::ZERO;
    }

    /// Waits for what is told next. Dropping the wait loses nothing that a later one would not tell.
    pub async fn next(&mut self) -> Told {
        loop {
            if let Some(told) = self.told.pop_front() {
                return told;
            }
            if let Err(error) = self.read().await {
                self.open = None;
                self.pause = self.backoff.wait(None);
                return Told::Lost(error);
            }
        }
    }

    /// Takes in the next piece.
    async fn read(&mut self) -> Result<(), RemoteError> {
        let (body, reader) = match &mut self.open {
            Some(open) => open,
            None => {
                sleep(self.pause).await;
                let body = self.connect().await?;
                self.open.insert((body, Reader::default()))
            }
        };
        let ended = |reason: String| RemoteError::Ended { server: self.server.shown(), reason };
        let frame = match timeout(SILENCE_MAX, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => {
                let reason = error::broken(&error).map_or_else(|| error::root_cause(&error), str::to_owned);
                return Err(ended(format!("the stream broke off ({reason})")));
            }
            Ok(None) => return Err(ended("the stream ended".into())),
            Err(_) => return Err(ended(format!("the stream was silent for {} seconds", SILENCE_MAX.as_secs()))),
        };
        let Some(bytes) = frame.data_ref() else { return Ok(()) };
        for event in reader.read(bytes).map_err(|error| ended(error.to_string()))? {
            match told(&event) {
                Ok(told) => self.told.extend(told),
                Err(_) => {
                    self.last_id = None; // what it would have changed is made good by a whole set
                    return Err(ended("an event cannot be read; is it another version of callsign?".into()));
                }
            }
        }
        if let Some(id) = reader.last_id() {
            self.last_id = Some(id.to_owned());
            self.added.clear(); // an id that can be gone on from is of all interfaces
            self.backoff.reset();
        }
        Ok(())
    }

    async fn connect(&self) -> Result<Incoming, RemoteError> {
        let Selection { interfaces, group, version, namespace } = &self.selection;
        let is_added = |interface: &String| self.last_id.is_some() && self.added.contains(interface);
        let key = |interface: &String| if is_added(interface) { "added" } else { "interface" };
        let common = [("group", group), ("version", version), ("namespace", namespace)];
        let mut query: Vec<_> = interfaces.iter().map(|name| (key(name), Some(name.as_str()))).collect();
        query.extend(common.map(|(key, value)| (key, value.as_deref())));
        self.server.stream("/v1/watch", &query, self.last_id.as_deref()).await
    }
}

/// What an event tells; nothing where it is of a later version.
fn told(event: &Event) -> Result<Option<Told>, serde_json::Error> {
    fn read<T: DeserializeOwned>(event: &Event) -> Result<T, serde_json::Error> {
        serde_json::from_str(&event.data)
    }
    Ok(match event.event.as_str() {
        events::SET => {
            let (interface, set) = read::<SetEvent>(event)?.parts();
            Some(Told::Set(interface, set))
        }
        events::CHANGE => {
            let (interface, change) = read::<ChangeEvent>(event)?.parts();
            Some(Told::Change(interface, change))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::http::{HeaderMap, StatusCode};
    use axum::response::{IntoResponse, Response};
    use axum::routing::get;
    use futures_util::stream;
    use tokio::net::TcpListener;

    use super::super::Address;
    use super::*;

    fn of(interfaces: &[&str]) -> Selection {
        Selection { interfaces: interfaces.iter().map(|&name| name.to_owned()).collect(), ..Selection::default() }
    }

    /// A server that gives these streams one after the other, and then none; and the ids that it is asked to go on from.
    async fn server(streams: &'static [&'static str]) -> (Server, Arc<Mutex<Vec<String>>>) {
        let ids = Arc::new(Mutex::new(Vec::new()));
        let asked = ids.clone();
        let answer = move |headers: HeaderMap| async move {
            let id = headers.get(events::LAST_EVENT_ID).and_then(|id| id.to_str().ok()).unwrap_or("-");
            let number = {
                let mut asked = asked.lock().expect("the ids");
                asked.push(id.to_owned());
                asked.len() - 1
            };
            let Some(text) = streams.get(number) else {
                return (StatusCode::NOT_FOUND, "not here").into_response();
            };
            let pieces = text.as_bytes().chunks(7).map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece)));
            Response::new(Body::from_stream(stream::iter(pieces)))
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let router = Router::new().route("/v1/watch", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (Server::at(Address { url: format!("http://{address}"), ..Address::default() }).expect("a URL"), ids)
    }

    #[tokio::test]
    async fn it_goes_on_from_the_last_id_that_was_understood() {
        let (server, ids) = server(&[
            "retry: 1000\nevent: set\nid: a-1\ndata: {\"interface\":\"a.b\",\"endpoints\":[]}\n\nevent: change\nid: a-2\nda",
            ": \nid: a-3\n\nevent: later\nid: a-4\ndata: ?\n\n",
            "event: change\nid: a-5\ndata: {\"interface\":\"a.b\",\"added\":[],\"changed\":[],\"removed\":[]}\n\nevent: set\nid: a-6\ndata: ?\n\n",
        ])
        .await;
        let mut stream = EventStream::new(server, of(&["a.b"]));
        let mut told = Vec::new();
        while told.len() < 6 {
            told.push(match stream.next().await {
                Told::Set(..) => "set".to_owned(),
                Told::Change(..) => "change".to_owned(),
                Told::Lost(error) => error.to_string(),
            });
        }
        let expected =
            ["set", "the stream ended", "the stream ended", "change", "an event cannot be read", "404 Not Found"];
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.contains(expected), "{told}: {expected}");
        }
        assert_eq!(*ids.lock().expect("the ids"), ["-", "a-1", "a-4", "-"]);
    }
}
