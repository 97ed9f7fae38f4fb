//! Pods of a cluster: a LIST and a WATCH of our own over kube's client.
//!
//! One [`Watch`] is one task for one profile in one namespace, or in all. It lists, then watches from the list's resource
//! version, and goes on from the last one it heard whenever the watch ends; it lists again only where the server no
//! longer knows that version. Bodies are read as streams, an object at a time, so that memory stays flat.
//!
//! | what happens | what follows |
//! |---|---|
//! | the watch ends at the timeout that was asked for | the next watch at once, from the same place |
//! | 410 or `Expired` anywhere, 504 "Too large resource version" | relist; a list that had begun is aborted |
//! | the server is behind our version, as after etcd was restored | relist; it would grant the watch and say nothing |
//! | a watch brings nothing and does not last its time | the next ones are asked to end after 10 s, until one does |
//! | three watches in a row bring nothing and do not last their time, whatever ends them but an outage | relist, each time later: `fruitless` |
//! | silence, a broken or truncated body, no connection | backoff, then the same again from the same place |
//! | 401, 403, 429, 503, any other refusal | the same; `Retry-After` is honoured, a lasting 403 is one line in the log |
//! | HTML, JSON of another kind, an ERROR without a Status | the same; what is known stays |
//! | one object that cannot be read | it is skipped and counted |
//!
//! *Fresh* is a zone that is known to be whole, and its age counts from the last moment at which it was. These say so: a
//! whole list, as of the moment when it was asked for; an event or a bookmark behind our version; the end of a watch that
//! lived its time. These do not: the head of an answer, the Pods of a list that is not at its end, a watch that ends early
//! and brings nothing, an error.

mod again;
mod backoff;
mod client;
mod event;
mod fault;
mod fruitless;
#[cfg(fuzzing)]
pub mod fuzzing;
pub(super) mod json;
mod list;
pub(super) mod pod;
mod protobuf;
mod request;
pub(super) mod split;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use tokio::sync::mpsc::Sender;
use tracing::{info, warn};

pub use self::backoff::{Backoff, jitter};
pub use self::client::{ClientError, client, plain, runs_programs};
use self::fault::{Fault, Refusal};
use self::fruitless::Fruitless;
pub use self::list::Method;
use self::request::{Answer, Patience};
pub use self::split::Encoding;
use self::split::Shape;
use super::health::SourceHealth;
use super::{Arrival, Change, Event, Profile, SourceId};
use crate::registration;

/// A watch for one profile, in one namespace or in all.
#[derive(Clone, Debug)]
pub struct Watch {
    id: SourceId,
    profile: Profile,
    pace: Pace,
    encoding: Encoding,
    method: Method,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// From a question to the head of its answer.
    header: Duration,
    /// The same for a list that is asked for in one piece: the API server's own bound on a request.
    whole_list: Duration,
    /// Between two chunks of a list.
    quiet: Duration,
    /// What the server is asked to end a watch after, at most. With `grace` it is how late a dead connection is noticed,
    /// and that must stay below a minute. Bookmarks cannot tell it: they come about once a minute.
    watch: Duration,
    /// The same of the first watch behind an outage, and behind one that brought nothing. On a quiet cluster its end is the
    /// first proof that the zone is whole, and a proxy may cut idle connections before the longer time is over.
    short_watch: Duration,
    /// How much later than asked the end of a watch may come.
    grace: Duration,
    /// How much sooner than asked it may come: the server counts whole seconds, by a clock of its own.
    early: Duration,
}

const PACE: Pace = Pace {
    header: Duration::from_secs(10),
    whole_list: Duration::from_secs(60),
    quiet: Duration::from_secs(10),
    watch: Duration::from_secs(45),
    short_watch: Duration::from_secs(10),
    grace: Duration::from_secs(5),
    early: Duration::from_secs(2),
};

/// The longest time for which a healthy API server gives no proof that the zone is whole. A server sends a bookmark once a
/// minute and 2 s before a watch ends, and we ask for that end after at most `PACE.watch`; it may be `PACE.grace` late.
/// `tests/cluster/faults_slow.rs` measures it.
pub const QUIET_MAX: Duration = PACE.watch.saturating_add(PACE.grace);

/// A watch that lived this long was no failure: whatever ends it, the next one need not wait long.
const SOUND_WATCH: Duration = Duration::from_secs(1);

/// What is wrong while watches bring nothing.
const FRUITLESS: &str =
    "watch: three in a row brought nothing and did not last their time, so Pods are listed instead until one does";

/// The most bytes of memory that what is decoded ahead may take, a Pod: hundreds are on their way at once. What takes more
/// is decoded where it is taken in.
const DECODED_LEN_MAX: usize = 64 * 1024;

impl Watch {
    /// A watch on the Pods that the profile's selector finds in a namespace, or in all.
    pub fn new(cluster: Arc<str>, profile: Profile, namespace: Option<Arc<str>>) -> Watch {
        let id = SourceId { cluster, profile: profile.name.clone(), namespace };
        Watch { id, profile, pace: PACE, encoding: Encoding::Protobuf, method: Method::Streaming }
    }

    /// The same, with its objects and its first list asked for in another way than the one that is best: where a server
    /// has not that one, it comes to this.
    pub fn asking(self, encoding: Encoding, method: Method) -> Watch {
        Watch { encoding, method, ..self }
    }

    /// The source that its events name.
    pub fn id(&self) -> &SourceId {
        &self.id
    }

    /// Runs until the receiver of the events is gone. Faults are never fatal: they are told in the log, once a change,
    /// and in `health`.
    pub async fn run(self, client: Client, events: Sender<Arrival>, health: Arc<SourceHealth>) {
        let receiver = events.clone();
        let run = Run {
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

/// A watch at work.
struct Run {
    watch: Watch,
    client: Client,
    events: Sender<Arrival>,
    health: Arc<SourceHealth>,
    /// Between attempts that fail.
    backoff: Backoff,
    /// Before lists that an expired version asks for: a server may grant every list and refuse every watch. Apart from the
    /// other, so that the relist that follows an outage does not inherit its waits.
    relist_backoff: Backoff,
    /// Watches that brought nothing.
    fruitless: Fruitless,
    /// The resource version to watch from; none where a list is needed.
    position: Option<String>,
    /// Whether the server has come to this position is to be asked before the next watch.
    is_unproved: bool,
    /// The request before this one was answered: a list, or the server's version.
    has_just_answered: bool,
    /// The watch at work has moved the position.
    has_moved: bool,
    /// The server could not be reached or answered nobody, and nothing has proved the zone since.
    is_after_outage: bool,
    /// `Begin` was sent, and neither `Commit` nor `Abort`.
    is_listing: bool,
    /// When the bytes came that are being read.
    received: Instant,
    /// How objects are asked for.
    encoding: Encoding,
    /// How the next list is asked for.
    method: Method,
}

impl Run {
    async fn run(mut self) {
        loop {
            let started = Instant::now();
            let (verb, result) = match self.position.clone() {
                None => ("list", self.list().await),
                Some(from) => ("watch", self.watch(&from).await),
            };
            let Err(fault) = result else { continue };
            if verb == "watch" && started.elapsed() >= SOUND_WATCH && !matches!(fault, Fault::Unreachable(_)) {
                self.backoff.reset();
                self.relist_backoff.reset();
            }
            match self.settle(verb, fault).await {
                Ok(wait) => tokio::time::sleep(wait).await,
                Err(_) => return,
            }
        }
    }

    /// Draws the conclusions of a fault and says how long to wait.
    async fn settle(&mut self, verb: &'static str, fault: Fault) -> Result<Duration, Fault> {
        if matches!(fault, Fault::Closed) {
            return Err(fault);
        }
        if self.is_listing {
            self.is_listing = false;
            self.send(Change::Abort).await?;
        }
        self.health.count_restart(fault.restart());
        self.is_unproved = true;
        let is_of_request = fault.is_of_request(std::mem::take(&mut self.has_just_answered));
        self.is_after_outage |= !is_of_request || matches!(fault, Fault::Silent(_));
        let is_fruitless = verb == "watch" && !self.has_moved && is_of_request;
        let is_list_due = is_fruitless && self.fruitless.count(Instant::now());
        if is_list_due || fault.is_expired() {
            self.position = None;
        }
        self.tell(verb, &fault, is_fruitless);
        let backoff = if fault.is_expired() { &mut self.relist_backoff } else { &mut self.backoff };
        Ok(backoff.wait(fault.retry_after()))
    }

    /// Puts a fault into the log and the health, the log only if it is another one than before.
    fn tell(&self, verb: &'static str, fault: &Fault, is_fruitless: bool) {
        if is_fruitless && self.fruitless.is_lasting() {
            if self.health.set_error(Some(FRUITLESS.to_owned())) {
                warn!(source = %self.name(), last = %fault, "{FRUITLESS}");
            }
            return;
        }
        let text = match fault {
            Fault::EndedEarly | Fault::Empty => return, // a stray one is no fault
            fault if verb == "watch" && fault.is_expired() => {
                return info!(source = %self.name(), "watch: {fault}; listing again");
            }
            Fault::Refused(Refusal { code: 403, message, .. }) => self.forbidden(verb, message),
            fault => format!("{verb}: {fault}"),
        };
        if self.health.set_error(Some(text.clone())) {
            warn!(source = %self.name(), "{text}");
        }
    }

    /// What is missing where the server forbids it.
    fn forbidden(&self, verb: &str, message: &str) -> String {
        let (place, role) = match &self.watch.id.namespace {
            Some(namespace) => (format!("in namespace {namespace}"), "Role and RoleBinding in that namespace"),
            None => ("in all namespaces".to_owned(), "ClusterRole and ClusterRoleBinding"),
        };
        format!(
            "may not {verb} pods {place}: give our account a {role} with apiGroups [\"\"], resources [pods], verbs [get, \
             list, watch] (403: {message})"
        )
    }

    /// The zone was whole at this moment: faults are over, and so are their waits. Only a watch that lives its time ends a
    /// row of fruitless ones, so that the log does not tell of each list that comes in their place.
    fn recover(&mut self, whole_at: Instant) {
        self.backoff.reset();
        self.is_after_outage = false;
        self.health.confirm(whole_at);
        let error = self.fruitless.is_lasting().then(|| FRUITLESS.to_owned());
        if self.health.set_error(error) && !self.fruitless.is_lasting() {
            info!(source = %self.name(), "recovered");
        }
    }

    async fn send(&self, change: Change) -> Result<(), Fault> {
        let decoded = match &change {
            Change::Apply(pod) if !self.health.is_synced() => pod.annotation.as_deref().map(registration::decode),
            _ => None,
        };
        let decoded = decoded.filter(|decoded| decoded.len_in_memory() <= DECODED_LEN_MAX);
        let event = Event { source: self.watch.id.clone(), change };
        self.events.send(Arrival { event, received: self.received, decoded }).await.map_err(|_| Fault::Closed)
    }

    /// The source in a log line: `cluster/profile/namespace`.
    fn name(&self) -> String {
        let SourceId { cluster, profile, namespace } = &self.watch.id;
        format!("{cluster}/{profile}/{}", namespace.as_deref().unwrap_or("*"))
    }

    /// Puts a question; in JSON from then on where a server has nothing to say in protobuf.
    async fn ask(&mut self, uri: &str, shape: Shape, header: Duration, patience: Patience) -> Result<Answer, Fault> {
        let answer = request::ask(&self.client, uri, (self.encoding, shape), header, patience).await;
        match answer {
            Err(Fault::Refused(refusal)) if refusal.code == 406 && self.encoding == Encoding::Protobuf => {
                info!(source = %self.name(), "no protobuf here, so objects come in JSON ({refusal})");
                self.encoding = Encoding::Json;
                request::ask(&self.client, uri, (self.encoding, shape), header, patience).await
            }
            answer => answer,
        }
    }

    fn uri(&self, ask: request::Ask<'_>) -> String {
        request::uri(self.watch.id.namespace.as_deref(), self.watch.profile.selector.as_str(), ask)
    }
}
