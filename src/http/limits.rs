//! The limits of the HTTP side, and the refusals of clients that exceed them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tokio::time::sleep;

use super::event_budget::EventBudget;
use super::event_stream::WatchQuery;
use super::pending::{PendingResponse, RequestKind};
use super::shares::{LimitReached, Share, Shares};
use super::uncounted::UncountedResponses;
use super::{ApiError, ApiState};
use crate::api::INTERFACES_MAX;
use crate::changes::SUBSCRIPTIONS_MAX;

/// The most lists at once. There are fewer than connections, so that some connections are left for probes.
const LISTS_MAX: u32 = 192;

/// The most lists at once of one client.
const LISTS_PER_CLIENT_MAX: u32 = 64;

/// The most subscriptions of one client: half of all. Each interface of a stream is one.
const SUBSCRIPTIONS_PER_CLIENT_MAX: u32 = SUBSCRIPTIONS_MAX as u32 / 2;

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

/// The most streams that wait for a share, in all and per client. Each keeps the head of its request, up to 72 KiB.
const WAITING_MAX: u32 = 64;
const WAITING_PER_CLIENT_MAX: u32 = 16;

/// The tries, and the pause between them, of a stream that exceeds a limit. A client that replaces a stream closes the
/// old one first, and the old one counts until its end is noticed.
const REPLACE_TRIES: usize = 5;
const REPLACE_PAUSE: Duration = Duration::from_millis(40);

/// The shortest time between two log lines about refusals.
const REMINDER_INTERVAL: Duration = Duration::from_secs(60);

/// What the clients of the HTTP side take.
#[derive(Debug)]
pub struct HttpLimits {
    lists: Arc<Shares>,
    subscriptions: Arc<Shares>,
    stream_connections: Arc<Shares>,
    pub(super) events: EventBudget,
    waiting: Arc<Shares>,
    scrapes: UncountedResponses<PendingResponse>,
    short: UncountedResponses<PendingResponse>,
    reminder: Mutex<RefusalReminder>,
}

/// The limit that a request exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExceededLimit {
    /// Concurrent lists of all clients.
    Lists,
    /// Concurrent lists of one client.
    ClientLists,
    /// Bytes of lists that their clients have not read.
    UnreadLists,
    /// Subscriptions of all clients.
    Subscriptions,
    /// Subscriptions of one client.
    ClientSubscriptions,
    /// Interfaces of one stream.
    Interfaces,
    /// Connections that carry streams, of all clients.
    StreamConnections,
    /// Connections that carry streams, of one client.
    ClientStreamConnections,
}

impl ExceededLimit {
    /// In the order of the counters.
    pub(super) const ALL: [ExceededLimit; 8] = [
        ExceededLimit::Lists,
        ExceededLimit::ClientLists,
        ExceededLimit::UnreadLists,
        ExceededLimit::Subscriptions,
        ExceededLimit::ClientSubscriptions,
        ExceededLimit::Interfaces,
        ExceededLimit::StreamConnections,
        ExceededLimit::ClientStreamConnections,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            ExceededLimit::Lists => "lists",
            ExceededLimit::ClientLists => "client-lists",
            ExceededLimit::UnreadLists => "unread-lists",
            ExceededLimit::Subscriptions => "subscriptions",
            ExceededLimit::ClientSubscriptions => "client-subscriptions",
            ExceededLimit::Interfaces => "interfaces",
            ExceededLimit::StreamConnections => "stream-connections",
            ExceededLimit::ClientStreamConnections => "client-stream-connections",
        }
    }
}

/// When refusals were last logged, and how many there were since.
#[derive(Debug, Default)]
struct RefusalReminder {
    logged_at: Option<Instant>,
    unlogged: u64,
}

impl Default for HttpLimits {
    fn default() -> HttpLimits {
        HttpLimits {
            lists: Shares::new(LISTS_MAX, LISTS_PER_CLIENT_MAX),
            subscriptions: Shares::new(SUBSCRIPTIONS_MAX as u32, SUBSCRIPTIONS_PER_CLIENT_MAX),
            stream_connections: Shares::new(STREAM_CONNECTIONS_MAX, STREAM_CONNECTIONS_PER_CLIENT_MAX),
            events: EventBudget::default(),
            waiting: Shares::new(WAITING_MAX, WAITING_PER_CLIENT_MAX),
            scrapes: UncountedResponses::new(SCRAPES_MAX, SCRAPES_PER_CLIENT_MAX),
            short: UncountedResponses::new(SHORT_MAX, SHORT_PER_CLIENT_MAX),
            reminder: Mutex::default(),
        }
    }
}

impl ApiState {
    /// Admits a request if its kind is below its limit. Probes are always admitted. A stream counts once its interfaces are
    /// known.
    pub(super) fn admit(&self, pending: &Arc<PendingResponse>) -> Result<(), ApiError> {
        match pending.kind() {
            RequestKind::Probe | RequestKind::Stream => {}
            RequestKind::Scrape => self.limits.scrapes.add(pending.client_or_address(), Arc::downgrade(pending)),
            RequestKind::List => match self.limits.lists.take(pending.client(), 1) {
                Ok(share) => pending.hold(share, None),
                Err(LimitReached::All) => return Err(self.refused(ExceededLimit::Lists, pending)),
                Err(LimitReached::Client) => return Err(self.refused(ExceededLimit::ClientLists, pending)),
            },
        }
        Ok(())
    }

    /// Admits a stream with these selections, before anything is made of them.
    pub(super) async fn admit_stream(&self, pending: &PendingResponse, asked: &WatchQuery) -> Result<(), ApiError> {
        if asked.lengths().len() > INTERFACES_MAX {
            return Err(self.refused(ExceededLimit::Interfaces, pending));
        }
        let cost = asked.lengths().map(cost).sum();
        let mut taken = self.limits.take_stream(pending, cost);
        // A request for more than the limit does not wait.
        if taken.is_err()
            && cost <= SUBSCRIPTIONS_PER_CLIENT_MAX
            && let Ok(_wait) = self.limits.waiting.take(pending.client(), 1)
        {
            for _ in 0..REPLACE_TRIES {
                sleep(REPLACE_PAUSE).await;
                taken = self.limits.take_stream(pending, cost);
                if taken.is_ok() {
                    break;
                }
            }
        }
        let (share, connection) = taken.map_err(|limit| self.refused(limit, pending))?;
        pending.hold(share, Some(connection));
        Ok(())
    }

    /// Limits responses that have no share. The new response is always sent; beyond the limit an older one ends.
    pub(super) fn track_uncounted(&self, pending: &Arc<PendingResponse>) {
        self.limits.short.add(pending.client_or_address(), Arc::downgrade(pending));
    }

    /// The refusal of a request beyond a limit. It is counted, and logged at most once in [`REMINDER_INTERVAL`].
    pub(super) fn refused(&self, limit: ExceededLimit, pending: &PendingResponse) -> ApiError {
        self.counters.refused(limit);
        let (status, error) = explanation(limit);
        self.limits.log_refusal(pending.address(), &error);
        ApiError { status, error }
    }
}

impl HttpLimits {
    /// What a stream takes: its subscriptions, and the share that all streams of its connection have together.
    fn take_stream(&self, pending: &PendingResponse, cost: u32) -> Result<(Share, Arc<Share>), ExceededLimit> {
        let connection = pending.connection_share(&self.stream_connections).map_err(|full| match full {
            LimitReached::All => ExceededLimit::StreamConnections,
            LimitReached::Client => ExceededLimit::ClientStreamConnections,
        })?;
        let share = self.subscriptions.take(pending.client(), cost).map_err(|full| match full {
            LimitReached::All => ExceededLimit::Subscriptions,
            LimitReached::Client => ExceededLimit::ClientSubscriptions,
        })?;
        Ok((share, connection))
    }

    fn log_refusal(&self, client: IpAddr, reason: &str) {
        let mut reminder = self.reminder.lock().unwrap_or_else(PoisonError::into_inner);
        if reminder.logged_at.is_some_and(|logged_at| logged_at.elapsed() < REMINDER_INTERVAL) {
            reminder.unlogged += 1;
            return;
        }
        let others = std::mem::take(&mut reminder.unlogged);
        reminder.logged_at = Some(Instant::now());
        tracing::warn!(%client, reason, others, "an HTTP request was refused; `others` counts more since the last such line");
    }
}

fn explanation(limit: ExceededLimit) -> (StatusCode, String) {
    const NOW: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
    const YOU: StatusCode = StatusCode::TOO_MANY_REQUESTS;
    match limit {
        ExceededLimit::Lists => (NOW, format!("{LISTS_MAX} lists are being sent already; try again soon")),
        ExceededLimit::ClientLists => {
            (YOU, format!("this client has {LISTS_PER_CLIENT_MAX} unread lists; read one, then try again"))
        }
        ExceededLimit::UnreadLists => (NOW, "too many lists are unread; try again soon".into()),
        ExceededLimit::Interfaces => {
            (YOU, format!("interface: a stream has at most {INTERFACES_MAX}; open another stream for the rest"))
        }
        ExceededLimit::Subscriptions => (
            NOW,
            format!(
                "there are {SUBSCRIPTIONS_MAX} subscriptions already (each interface of a stream is one); try \
                 again later, or at another replica"
            ),
        ),
        ExceededLimit::ClientSubscriptions => (
            YOU,
            format!(
                "this client has {SUBSCRIPTIONS_PER_CLIENT_MAX} subscriptions already (each interface of a \
                 stream is one); close some, or use another replica"
            ),
        ),
        ExceededLimit::StreamConnections => (
            NOW,
            format!(
                "{STREAM_CONNECTIONS_MAX} connections carry streams already; try again later, or at another replica"
            ),
        ),
        ExceededLimit::ClientStreamConnections => (
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
