//! The limits of the HTTP side, and the refusals of clients that exceed them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tokio::time::sleep;

use super::answer::{Answer, Kind};
use super::shareless::Shareless;
use super::shares::{Full, Share, Shares};
use super::unread::EventRoom;
use super::watch::Asked;
use super::{Pages, Refusal};
use crate::changes::SUBSCRIPTIONS_MAX;
use crate::metrics::Beyond;

/// The most lists at once. There are fewer than connections, so that some connections are left for probes.
const LISTS_MAX: u32 = 192;

/// The most lists at once of one client.
const LISTS_PER_CLIENT_MAX: u32 = 64;

/// The most subscriptions of one client: half of all. Each interface of a stream is one.
const SUBSCRIPTIONS_PER_CLIENT_MAX: u32 = SUBSCRIPTIONS_MAX as u32 / 2;

/// The most interfaces of one stream.
pub const INTERFACES_MAX: usize = 1_024;

/// A selection of more bytes counts as several subscriptions, because all of it is kept.
const SELECTION_LEN: usize = 1_024;

/// The most connections at once that carry streams, in all and per client. Each has buffers of some 32 KiB.
const STREAM_CONNECTIONS_MAX: u32 = 1_024;
const STREAM_CONNECTIONS_PER_CLIENT_MAX: u32 = 256;

/// The most `/metrics` responses that wait for their clients, in all and per client.
const SCRAPES_MAX: usize = 128;
const SCRAPES_PER_CLIENT_MAX: usize = 64;

/// The most other responses without a share that wait for their clients, in all and per client.
const SHORT_MAX: usize = 1_024;
const SHORT_PER_CLIENT_MAX: usize = 256;

/// The most streams that wait for room, in all and per client. Each keeps the head of its request, up to 72 KiB.
const WAITING_MAX: u32 = 64;
const WAITING_PER_CLIENT_MAX: u32 = 16;

/// The tries, and the pause between them, of a stream that finds no room. A client that replaces a stream closes the
/// old one first, and the old one counts until its end is noticed.
const REPLACE_TRIES: usize = 5;
const REPLACE_PAUSE: Duration = Duration::from_millis(40);

/// The shortest time between two log lines about refusals.
const REMINDER_INTERVAL: Duration = Duration::from_secs(60);

/// What the clients of the HTTP side take.
#[derive(Debug)]
pub struct Bounds {
    lists: Arc<Shares>,
    subscriptions: Arc<Shares>,
    stream_connections: Arc<Shares>,
    pub(super) events: EventRoom,
    waiting: Arc<Shares>,
    scrapes: Shareless<Answer>,
    short: Shareless<Answer>,
    reminder: Mutex<Reminder>,
}

/// When refusals were last logged, and how many there were since.
#[derive(Debug, Default)]
struct Reminder {
    told_at: Option<Instant>,
    untold: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            lists: Shares::new(LISTS_MAX, LISTS_PER_CLIENT_MAX),
            subscriptions: Shares::new(SUBSCRIPTIONS_MAX as u32, SUBSCRIPTIONS_PER_CLIENT_MAX),
            stream_connections: Shares::new(STREAM_CONNECTIONS_MAX, STREAM_CONNECTIONS_PER_CLIENT_MAX),
            events: EventRoom::default(),
            waiting: Shares::new(WAITING_MAX, WAITING_PER_CLIENT_MAX),
            scrapes: Shareless::new(SCRAPES_MAX, SCRAPES_PER_CLIENT_MAX),
            short: Shareless::new(SHORT_MAX, SHORT_PER_CLIENT_MAX),
            reminder: Mutex::default(),
        }
    }
}

impl Pages {
    /// Admits a request if its kind has room. Probes are always admitted. A stream counts once its interfaces are
    /// known.
    pub(super) fn admit(&self, answer: &Arc<Answer>) -> Result<(), Refusal> {
        match answer.kind() {
            Kind::Probe | Kind::Stream => {}
            Kind::Scrape => self.bounds.scrapes.add(answer.counted_as(), Arc::downgrade(answer)),
            Kind::List => match self.bounds.lists.take(answer.client(), 1) {
                Ok(share) => answer.hold(share, None),
                Err(Full::All) => return Err(self.refused(Beyond::Lists, answer)),
                Err(Full::Client) => return Err(self.refused(Beyond::ClientLists, answer)),
            },
        }
        Ok(())
    }

    /// Admits a stream with these selections, before anything is made of them.
    pub(super) async fn admit_stream(&self, answer: &Answer, asked: &Asked) -> Result<(), Refusal> {
        if asked.lengths().len() > INTERFACES_MAX {
            return Err(self.refused(Beyond::Interfaces, answer));
        }
        let cost = asked.lengths().map(cost).sum();
        let mut taken = self.bounds.take_stream(answer, cost);
        // A request for more than the limit does not wait.
        if taken.is_err()
            && cost <= SUBSCRIPTIONS_PER_CLIENT_MAX
            && let Ok(_wait) = self.bounds.waiting.take(answer.client(), 1)
        {
            for _ in 0..REPLACE_TRIES {
                sleep(REPLACE_PAUSE).await;
                taken = self.bounds.take_stream(answer, cost);
                if taken.is_ok() {
                    break;
                }
            }
        }
        let (share, connection) = taken.map_err(|beyond| self.refused(beyond, answer))?;
        answer.hold(share, Some(connection));
        Ok(())
    }

    /// Limits responses that have no share. The new response is always sent; beyond the limit an older one ends.
    pub(super) fn pass(&self, answer: &Arc<Answer>) {
        self.bounds.short.add(answer.counted_as(), Arc::downgrade(answer));
    }

    /// The refusal of a request beyond a limit. It is counted, and logged at most once in [`REMINDER_INTERVAL`].
    pub(super) fn refused(&self, beyond: Beyond, answer: &Answer) -> Refusal {
        self.responder.metrics.http_refused(beyond);
        let (status, error) = explanation(beyond);
        self.bounds.remind(answer.address(), &error);
        Refusal { status, error }
    }
}

impl Bounds {
    /// What a stream takes: its subscriptions, and the share that all streams of its connection have together.
    fn take_stream(&self, answer: &Answer, cost: u32) -> Result<(Share, Arc<Share>), Beyond> {
        let connection = answer.connection_share(&self.stream_connections).map_err(|full| match full {
            Full::All => Beyond::StreamConnections,
            Full::Client => Beyond::ClientStreamConnections,
        })?;
        let share = self.subscriptions.take(answer.client(), cost).map_err(|full| match full {
            Full::All => Beyond::Subscriptions,
            Full::Client => Beyond::ClientSubscriptions,
        })?;
        Ok((share, connection))
    }

    fn remind(&self, client: IpAddr, reason: &str) {
        let mut reminder = self.reminder.lock().unwrap_or_else(PoisonError::into_inner);
        if reminder.told_at.is_some_and(|told_at| told_at.elapsed() < REMINDER_INTERVAL) {
            reminder.untold += 1;
            return;
        }
        let others = std::mem::take(&mut reminder.untold);
        reminder.told_at = Some(Instant::now());
        tracing::warn!(%client, reason, others, "an HTTP request was refused; `others` counts more since the last such line");
    }
}

fn explanation(beyond: Beyond) -> (StatusCode, String) {
    const NOW: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
    const YOU: StatusCode = StatusCode::TOO_MANY_REQUESTS;
    match beyond {
        Beyond::Lists => (NOW, format!("{LISTS_MAX} lists are being sent already; try again soon")),
        Beyond::ClientLists => {
            (YOU, format!("this client has {LISTS_PER_CLIENT_MAX} unread lists; read one, then try again"))
        }
        Beyond::UnreadLists => (NOW, "too many lists are unread; try again soon".into()),
        Beyond::Interfaces => {
            (YOU, format!("interface: a stream has at most {INTERFACES_MAX}; open another stream for the rest"))
        }
        Beyond::Subscriptions => (
            NOW,
            format!(
                "there are {SUBSCRIPTIONS_MAX} subscriptions already (each interface of a stream is one); try \
                 again later, or at another replica"
            ),
        ),
        Beyond::ClientSubscriptions => (
            YOU,
            format!(
                "this client has {SUBSCRIPTIONS_PER_CLIENT_MAX} subscriptions already (each interface of a \
                 stream is one); close some, or use another replica"
            ),
        ),
        Beyond::StreamConnections => (
            NOW,
            format!(
                "{STREAM_CONNECTIONS_MAX} connections carry streams already; try again later, or at another replica"
            ),
        ),
        Beyond::ClientStreamConnections => (
            YOU,
            format!(
                "{STREAM_CONNECTIONS_PER_CLIENT_MAX} connections of this client carry streams already; one HTTP/2 connection \
                 carries many streams, and one stream many interfaces"
            ),
        ),
    }
}

/// The number of subscriptions that a selection of this many bytes counts as.
fn cost(len: usize) -> u32 {
    u32::try_from(len.div_ceil(SELECTION_LEN).max(1)).unwrap_or(u32::MAX)
}
