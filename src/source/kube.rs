//! Pods of a cluster: a LIST and a WATCH of our own over kube's client.
//!
//! One [`Watch`] is one task for the profiles of one selector in one namespace, or in all. It lists, then watches from the list's
//! resource version. When a watch ends, the next one continues from the last version that it received. It lists again
//! only if the server no longer knows that version. Bodies are read as streams, one object at a time, so that memory
//! use stays flat.
//!
//! | event | reaction |
//! |---|---|
//! | the watch ends at the requested timeout | the next watch at once, from the same version |
//! | 410 or `Expired` anywhere, 504 "Too large resource version" | relist; a running list is aborted |
//! | the server's version is behind ours, as after etcd was restored | relist: the server would grant the watch and send nothing |
//! | a watch brings nothing and ends early | the next watches request 10 s, until one lasts its time |
//! | three watches in a row bring nothing and end early, for any reason but an outage | relist, each time later: `fruitless` |
//! | silence, a broken or truncated body, no connection | backoff, then the same request from the same version |
//! | 401, 403, 429, 503, any other refusal | the same; `Retry-After` is honoured, a lasting 403 is one log line |
//! | HTML, JSON of another kind, an ERROR without a Status | the same; known Pods stay |
//! | one object that cannot be read | it is skipped and counted |
//!
//! The *age* of a zone is the time since it was last known to be complete. Proofs are: a whole list, as of the moment
//! when it was requested; an event or a bookmark with a newer version than ours; the end of a watch that lasted its
//! time. No proofs are: the head of a response, the Pods of a list in progress, a watch that ends early without
//! events, an error.

pub(super) mod body;
mod event;
mod fault;
mod fruitless;
#[cfg(fuzzing)]
pub mod fuzzing;
pub(super) mod json_pod;
pub(super) mod json_splitter;
mod list;
pub(super) mod pod_object;
mod protobuf;
mod refetch;
mod request;
mod split;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use tokio::sync::mpsc::Sender;
use tracing::{info, warn};

pub use self::body::BodyEncoding;
use self::body::BodyShape;
use self::fault::{Refusal, WatchFault};
use self::fruitless::Fruitless;
pub use self::list::Method;
use self::request::{BodyTimeout, ResponseBody};
use super::health::SourceHealth;
use super::{Change, Event, ProfilePods, SourceId, WatchProfile};
use crate::backoff::Backoff;
use crate::registration::{self, Decoded, ProfileText};

/// A watch for profiles with the same selector, in one namespace or in all. Each profile is a source, and gets each event.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The sources, in the order of the profiles.
    ids: Vec<SourceId>,
    /// At least one.
    profiles: Vec<WatchProfile>,
    timeouts: Timeouts,
    encoding: BodyEncoding,
    method: Method,
}

/// Timeouts.
#[derive(Clone, Copy, Debug)]
struct Timeouts {
    /// From a request to the head of its response.
    header: Duration,
    /// The same for a list in one piece: the API server's own limit of a request.
    whole_list: Duration,
    /// Between two chunks of a list.
    quiet: Duration,
    /// The longest watch timeout that we request. With `grace` it bounds how late a dead connection is noticed, which
    /// must stay below a minute. Bookmarks cannot replace it: they come about once a minute.
    watch: Duration,
    /// The same for the first watch after an outage, and after one that brought nothing. On a quiet cluster its end is
    /// the first proof that the zone is complete, and a proxy may cut idle connections before the longer timeout.
    short_watch: Duration,
    /// How much later than requested the end of a watch may come.
    grace: Duration,
    /// How much earlier than requested it may come: the server counts whole seconds on its own clock.
    early: Duration,
}

const TIMEOUTS: Timeouts = Timeouts {
    header: Duration::from_secs(10),
    whole_list: Duration::from_secs(60),
    quiet: Duration::from_secs(10),
    watch: Duration::from_secs(45),
    short_watch: Duration::from_secs(10),
    grace: Duration::from_secs(5),
    early: Duration::from_secs(2),
};

/// The longest time without a proof that the zone is complete, with a healthy API server. A server sends a bookmark
/// once a minute and 2 s before a watch ends. We request that end after at most `PACE.watch`, and it may be
/// `PACE.grace` late. `tests/cluster/faults_slow.rs` measures it.
pub const QUIET_MAX: Duration = TIMEOUTS.watch.saturating_add(TIMEOUTS.grace);

/// A watch that lived this long was not a failure: the next one need not wait long, however it ended.
const SOUND_WATCH: Duration = Duration::from_secs(1);

/// The error while watches bring nothing.
const FRUITLESS: &str =
    "watch: three in a row brought nothing and ended early, so Pods are listed instead until one lasts its time";

/// The most memory of an annotation that is decoded ahead, in bytes: hundreds are queued at once. The index decodes
/// larger annotations itself.
const DECODED_LEN_MAX: usize = 64 * 1024;

impl Watch {
    /// A watch of the Pods that the selector of these profiles matches, in one namespace or in all.
    pub fn new(cluster: Arc<str>, profiles: Vec<WatchProfile>, namespace: Option<Arc<str>>) -> Watch {
        debug_assert!(profiles.iter().all(|profile| profile.selector == profiles[0].selector), "one selector");
        let id = |profile: &WatchProfile| SourceId {
            cluster: cluster.clone(),
            profile: profile.name.clone(),
            namespace: namespace.clone(),
        };
        let ids = profiles.iter().map(id).collect();
        Watch { ids, profiles, timeouts: TIMEOUTS, encoding: BodyEncoding::Protobuf, method: Method::Streaming }
    }

    /// Requests objects and the first list in the given way instead of the best one. The watch falls back to it by
    /// itself on a server without the best one.
    pub fn preferring(self, encoding: BodyEncoding, method: Method) -> Watch {
        Watch { encoding, method, ..self }
    }

    /// The sources of its events, one a profile.
    pub fn ids(&self) -> &[SourceId] {
        &self.ids
    }

    fn selector(&self) -> &str {
        self.profiles[0].selector.as_str()
    }

    fn namespace(&self) -> Option<&str> {
        self.ids[0].namespace.as_deref()
    }

    /// Runs until the receiver of the events is gone. Faults never end it: they are logged once per change, and set in
    /// `health`.
    pub async fn run(self, client: Client, events: Sender<Event>, health: Arc<SourceHealth>) {
        let receiver = events.clone();
        let run = WatchTask {
            encoding: self.encoding,
            method: self.method,
            watch: self,
            client,
            events,
            health,
            backoff: Backoff::default(),
            relist_backoff: Backoff::default(),
            fruitless: Fruitless::default(),
            position: None,
            is_unproved: false,
            has_just_answered: false,
            has_moved: false,
            is_after_outage: false,
            is_listing: false,
            received: Instant::now(),
        };
        tokio::select! {
            () = receiver.closed() => {}
            () = run.run() => {}
        }
    }
}

/// A running watch.
struct WatchTask {
    watch: Watch,
    client: Client,
    events: Sender<Event>,
    health: Arc<SourceHealth>,
    /// Between attempts that fail.
    backoff: Backoff,
    /// Before relists after an expired version: a server may grant every list and refuse every watch. It is separate,
    /// so that a relist after an outage does not inherit the outage's waits.
    relist_backoff: Backoff,
    /// Watches that brought nothing.
    fruitless: Fruitless,
    /// The resource version to watch from. `None` if a list is needed.
    position: Option<String>,
    /// The server may be behind this position: `prove` must ask before the next watch.
    is_unproved: bool,
    /// The request before this one was answered: a list, or the server's version.
    has_just_answered: bool,
    /// The current watch has moved the position.
    has_moved: bool,
    /// The server was unreachable or refused everybody, and nothing has proved the zone since.
    is_after_outage: bool,
    /// `Begin` was sent, and neither `Commit` nor `Abort`.
    is_listing: bool,
    /// When the current bytes were received.
    received: Instant,
    /// The encoding that is requested.
    encoding: BodyEncoding,
    /// The method of the next list.
    method: Method,
}

impl WatchTask {
    async fn run(mut self) {
        loop {
            let started = Instant::now();
            let (verb, result) = match self.position.clone() {
                None => ("list", self.list().await),
                Some(from) => ("watch", self.watch(&from).await),
            };
            let Err(fault) = result else { continue };
            if verb == "watch" && started.elapsed() >= SOUND_WATCH && !matches!(fault, WatchFault::Unreachable(_)) {
                self.backoff.reset();
                self.relist_backoff.reset();
            }
            match self.handle_fault(verb, fault).await {
                Ok(wait) => tokio::time::sleep(wait).await,
                Err(_) => return,
            }
        }
    }

    /// Handles a fault and returns how long to wait.
    async fn handle_fault(&mut self, verb: &'static str, fault: WatchFault) -> Result<Duration, WatchFault> {
        if matches!(fault, WatchFault::Closed) {
            return Err(fault);
        }
        if self.is_listing {
            self.is_listing = false;
            self.send(Change::Abort).await?;
        }
        self.health.count_restart(fault.restart());
        self.is_unproved = true;
        let is_of_request = fault.is_of_request(std::mem::take(&mut self.has_just_answered));
        self.is_after_outage |= !is_of_request || matches!(fault, WatchFault::Silent(_));
        let is_fruitless = verb == "watch" && !self.has_moved && is_of_request;
        let is_list_due = is_fruitless && self.fruitless.count(Instant::now());
        if is_list_due || fault.is_expired() {
            self.position = None;
        }
        self.report_fault(verb, &fault, is_fruitless);
        let backoff = if fault.is_expired() { &mut self.relist_backoff } else { &mut self.backoff };
        Ok(backoff.wait(fault.retry_after()))
    }

    /// Records a fault in the health, and logs it if it differs from the one before.
    fn report_fault(&self, verb: &'static str, fault: &WatchFault, is_fruitless: bool) {
        if is_fruitless && self.fruitless.is_lasting() {
            if self.health.set_error(Some(FRUITLESS.to_owned())) {
                warn!(source = %self.name(), last = %fault, "{FRUITLESS}");
            }
            return;
        }
        let text = match fault {
            WatchFault::EndedEarly | WatchFault::Empty => return, // a single one is not a fault
            fault if verb == "watch" && fault.is_expired() => {
                return info!(source = %self.name(), "watch: {fault}; relist");
            }
            WatchFault::Refused(Refusal { code: 403, message, .. }) => self.forbidden(verb, message),
            fault => format!("{verb}: {fault}"),
        };
        if self.health.set_error(Some(text.clone())) {
            warn!(source = %self.name(), "{text}");
        }
    }

    /// The rights that are missing if the server forbids a request.
    fn forbidden(&self, verb: &str, message: &str) -> String {
        let (place, role) = match self.watch.namespace() {
            Some(namespace) => (format!("in namespace {namespace}"), "Role and RoleBinding in that namespace"),
            None => ("in all namespaces".to_owned(), "ClusterRole and ClusterRoleBinding"),
        };
        format!(
            "may not {verb} pods {place}: give the service account a {role} with apiGroups [\"\"], resources [pods], verbs [get, \
             list, watch] (403: {message})"
        )
    }

    /// The zone was complete at this moment: clears faults and resets waits. Only a watch that lasts its time ends a
    /// row of fruitless ones, so that the relists in between are not logged.
    fn recover(&mut self, whole_at: Instant) {
        self.backoff.reset();
        self.is_after_outage = false;
        self.health.confirm(whole_at);
        let error = self.fruitless.is_lasting().then(|| FRUITLESS.to_owned());
        if self.health.set_error(error) && !self.fruitless.is_lasting() {
            info!(source = %self.name(), "recovered");
        }
    }

    /// Sends a change to each profile.
    async fn send(&self, change: Change) -> Result<(), WatchFault> {
        for id in &self.watch.ids {
            self.send_to(id, change.clone(), None).await?;
        }
        Ok(())
    }

    /// Sends each profile its Pod.
    async fn send_pods(&self, pods: ProfilePods) -> Result<(), WatchFault> {
        for ((id, profile), pod) in self.watch.ids.iter().zip(&self.watch.profiles).zip(pods) {
            let is_ahead = !self.health.is_synced() && pod.text != ProfileText::default();
            let decoded = is_ahead.then(|| registration::decode(&pod.text, &profile.encoding));
            let decoded = decoded.filter(|decoded| decoded.len_in_memory() <= DECODED_LEN_MAX);
            self.send_to(id, Change::Apply(pod), decoded).await?;
        }
        Ok(())
    }

    async fn send_to(&self, id: &SourceId, change: Change, decoded: Option<Decoded>) -> Result<(), WatchFault> {
        let event = Event { source: id.clone(), change, received: self.received, decoded };
        self.events.send(event).await.map_err(|_| WatchFault::Closed)
    }

    /// The sources in a log line: `cluster/profile/namespace`, with a `+` between the profiles.
    fn name(&self) -> String {
        let profiles: Vec<&str> = self.watch.ids.iter().map(|id| &*id.profile).collect();
        format!("{}/{}/{}", self.watch.ids[0].cluster, profiles.join("+"), self.watch.namespace().unwrap_or("*"))
    }

    /// Sends a request. Falls back to JSON for good if the server does not know protobuf.
    async fn fetch(
        &mut self,
        uri: &str,
        shape: BodyShape,
        header: Duration,
        body_timeout: BodyTimeout,
    ) -> Result<ResponseBody, WatchFault> {
        let response = request::fetch(&self.client, uri, (self.encoding, shape), header, body_timeout).await;
        match response {
            Err(WatchFault::Refused(refusal)) if refusal.code == 406 && self.encoding == BodyEncoding::Protobuf => {
                info!(source = %self.name(), "the server does not send protobuf, so objects come in JSON ({refusal})");
                self.encoding = BodyEncoding::Json;
                request::fetch(&self.client, uri, (self.encoding, shape), header, body_timeout).await
            }
            response => response,
        }
    }

    fn uri(&self, request: request::PodsRequest<'_>) -> String {
        request::uri(self.watch.namespace(), self.watch.selector(), request)
    }
}
