//! Follows the event stream of `/v1/watch`: when it ends, it resumes from the last id.
//!
//! A server that was replaced, or whose recent changes do not reach back to the id, begins with a whole set. So no
//! change is missed.

use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{RemoteError, ServerClient, error};
use crate::api::{ChangeEvent, SetEvent, WatchedChange, WatchedSet};
use crate::backoff::Backoff;
use crate::sse::{self, SseDecoder, SseEvent};

/// How long a stream may be silent: three of its heartbeats. A connection can die silently.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// The shortest time from one opening to the next.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// News of a stream.
#[derive(Debug)]
pub enum StreamEvent {
    /// The whole set of an interface (in lower case). It replaces everything before.
    Set(String, WatchedSet),
    /// The change of an interface (in lower case) since the news before.
    Change(String, WatchedChange),
    /// The server is away, or the stream ended. The next call retries after a pause.
    Lost(RemoteError),
}

/// The selection of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// In lower case; at least one.
    pub interfaces: BTreeSet<String>,
    /// The group of all interfaces, exact. An empty string matches endpoints without a group.
    pub group: Option<String>,
    /// The version of all interfaces, exact. An empty string matches endpoints without a version.
    pub version: Option<String>,
    /// The namespace of all interfaces.
    pub namespace: Option<String>,
}

/// The endpoints of a selection, as a server's stream reports them.
///
/// Dropping a wait restarts nothing: neither a pause, nor an opening, nor the time that the server may be silent.
pub struct EventStream {
    server: ServerClient,
    selection: Selection,
    /// The interfaces of the current connection of which nothing is known at the last id.
    added: BTreeSet<String>,
    /// Interfaces that were selected since the connection was opened.
    new_interfaces: BTreeSet<String>,
    last_id: Option<String>,
    state: StreamState,
    /// The connection is open for another selection. It is reopened once it can be resumed without loss.
    is_outdated: bool,
    /// The stream can resume from `last_id`.
    is_resumable: bool,
    /// The earliest time of the next opening.
    try_at: Instant,
    /// The news of one piece of the stream. Their size is bounded by the longest event.
    ready: VecDeque<StreamEvent>,
    backoff: Backoff,
}

/// The connection to the server.
enum StreamState {
    Closed,
    Opening(Pin<Box<dyn Future<Output = Result<Incoming, RemoteError>> + Send>>),
    Open { body: Incoming, decoder: SseDecoder, heard_at: Instant },
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").field("selection", &self.selection).finish_non_exhaustive()
    }
}

impl EventStream {
    /// A stream that is not open yet.
    pub fn new(server: ServerClient, selection: Selection) -> EventStream {
        EventStream {
            server,
            selection,
            added: BTreeSet::new(),
            new_interfaces: BTreeSet::new(),
            last_id: None,
            state: StreamState::Closed,
            is_outdated: false,
            is_resumable: false,
            try_at: Instant::now(),
            ready: VecDeque::new(),
            backoff: Backoff::default(),
        }
    }

    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Selects other interfaces. The stream is reopened and resumes for the interfaces that stay. If the group,
    /// version or namespace differs, it begins with whole sets.
    ///
    /// Until then the open connection keeps reporting the interfaces that stay, however often the selection changes.
    pub fn select(&mut self, selection: Selection) {
        let old = std::mem::replace(&mut self.selection, selection);
        let Selection { interfaces, group, version, namespace } = &self.selection;
        self.added.retain(|interface| interfaces.contains(interface));
        self.new_interfaces.retain(|interface| interfaces.contains(interface));
        self.new_interfaces.extend(interfaces.difference(&old.interfaces).cloned());
        // Queued news of an interface that is deselected, or selected anew, are out of date.
        self.ready.retain(|event| is_wanted(event, interfaces, &self.new_interfaces));
        self.is_outdated = !matches!(self.state, StreamState::Closed);
        if (group, version, namespace) != (&old.group, &old.version, &old.namespace) {
            self.last_id = None;
            self.ready.clear();
            self.close();
        }
    }

    /// Waits for the next news. Dropping the wait loses nothing.
    pub async fn next(&mut self) -> StreamEvent {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            if let Err(error) = self.step().await {
                self.close();
                self.try_at = self.try_at.max(Instant::now() + self.backoff.wait(None));
                return StreamEvent::Lost(error);
            }
        }
    }

    fn close(&mut self) {
        self.state = StreamState::Closed;
        (self.is_outdated, self.is_resumable) = (false, false);
    }

    /// Takes one step: towards an open connection, or takes in the next piece. Cancelling it loses no progress.
    async fn step(&mut self) -> Result<(), RemoteError> {
        match &mut self.state {
            StreamState::Closed => {
                sleep_until(self.try_at).await;
                self.try_at = Instant::now() + REOPEN_PAUSE;
                self.added.append(&mut self.new_interfaces);
                self.state = StreamState::Opening(Box::pin(self.connect()));
            }
            StreamState::Opening(opening) => {
                let body = opening.await?;
                self.state = StreamState::Open { body, decoder: SseDecoder::default(), heard_at: Instant::now() };
            }
            StreamState::Open { body, heard_at, .. } => {
                let silent_at = *heard_at + SILENCE_MAX;
                let frame = tokio::select! {
                    biased; // take in received frames before reopening
                    frame = timeout_at(silent_at, body.frame()) => frame,
                    () = sleep_until(self.try_at), if self.is_outdated && self.is_resumable => {
                        self.close();
                        return Ok(());
                    }
                };
                let ended = |reason: String| RemoteError::Ended { server: self.server.redacted_url(), reason };
                let frame = match frame {
                    Ok(Some(Ok(frame))) => frame,
                    Ok(Some(Err(error))) => {
                        let reason = error::broken(&error).map_or_else(|| error::root_cause(&error), str::to_owned);
                        return Err(ended(format!("the stream broke off ({reason})")));
                    }
                    Ok(None) => return Err(ended("the stream ended".into())),
                    Err(_) => {
                        return Err(ended(format!("the stream was silent for {} seconds", SILENCE_MAX.as_secs())));
                    }
                };
                *heard_at = Instant::now();
                if let Some(bytes) = frame.data_ref() {
                    self.take_in(bytes)?;
                }
            }
        }
        Ok(())
    }

    fn take_in(&mut self, bytes: &[u8]) -> Result<(), RemoteError> {
        let StreamState::Open { decoder, .. } = &mut self.state else { return Ok(()) };
        let ended = |reason: String| RemoteError::Ended { server: self.server.redacted_url(), reason };
        for event in decoder.read(bytes).map_err(|error| ended(error.to_string()))? {
            match event_of(&event) {
                Ok(event) => {
                    let wanted =
                        event.filter(|event| is_wanted(event, &self.selection.interfaces, &self.new_interfaces));
                    self.ready.extend(wanted);
                }
                Err(_) => {
                    self.last_id = None; // begin with whole sets, which include the lost change
                    return Err(ended(
                        "an event cannot be decoded; does the server have another version of callsign?".into(),
                    ));
                }
            }
        }
        if let Some(id) = decoder.last_id() {
            self.is_resumable = sse::is_resumable(id);
            self.last_id = Some(id.to_owned());
            self.added.clear(); // an id covers all interfaces of the connection
            self.backoff.reset();
        }
        Ok(())
    }

    fn connect(&self) -> impl Future<Output = Result<Incoming, RemoteError>> + Send + use<> {
        let (server, selection, last_id) = (self.server.clone(), self.selection.clone(), self.last_id.clone());
        let added = if last_id.is_some() { self.added.clone() } else { BTreeSet::new() };
        async move {
            let Selection { interfaces, group, version, namespace } = &selection;
            let key = |interface: &String| if added.contains(interface) { "added" } else { "interface" };
            let common = [("group", group), ("version", version), ("namespace", namespace)];
            let mut query: Vec<_> = interfaces.iter().map(|name| (key(name), Some(name.as_str()))).collect();
            query.extend(common.map(|(key, value)| (key, value.as_deref())));
            server.stream("/v1/watch", &query, last_id.as_deref()).await
        }
    }
}

/// Whether news are of an interface that is selected now, and was when the connection was opened.
fn is_wanted(event: &StreamEvent, interfaces: &BTreeSet<String>, new_interfaces: &BTreeSet<String>) -> bool {
    match event {
        StreamEvent::Set(interface, _) | StreamEvent::Change(interface, _) => {
            interfaces.contains(interface) && !new_interfaces.contains(interface)
        }
        StreamEvent::Lost(_) => true,
    }
}

/// The news of an event. `None` for an event type of a later version.
fn event_of(event: &SseEvent) -> Result<Option<StreamEvent>, serde_json::Error> {
    fn read<T: DeserializeOwned>(event: &SseEvent) -> Result<T, serde_json::Error> {
        serde_json::from_str(&event.data)
    }
    Ok(match event.event.as_str() {
        sse::SET => {
            let (interface, set) = read::<SetEvent>(event)?.parts();
            Some(StreamEvent::Set(interface, set))
        }
        sse::CHANGE => {
            let (interface, change) = read::<ChangeEvent>(event)?.parts();
            Some(StreamEvent::Change(interface, change))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests;
