//! How much of the HTTP side there is, and what is said to a client that wants more.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tokio::time::sleep;

use super::connection::{Answer, Kind};
use super::shares::{Full, Shares};
use super::{Pages, Refusal};
use crate::changes::SUBSCRIPTIONS_MAX;
use crate::metrics::Beyond;
use crate::report::Filter;

/// The most lists at once; fewer than there are places for connections, so that some of those are left to probes.
const LISTS_MAX: u32 = 192;

/// The most lists at once of one client.
const LISTS_PER_CLIENT_MAX: u32 = 64;

/// The most subscriptions of one client: half of all. Each interface of a stream is one.
const SUBSCRIPTIONS_PER_CLIENT_MAX: u32 = SUBSCRIPTIONS_MAX as u32 / 2;

/// The most interfaces of one stream.
pub const INTERFACES_MAX: usize = 1_024;

/// A selection of more bytes than this counts as several subscriptions, since all of it is kept.
const SELECTION_LEN: usize = 1_024;

/// The most texts of `/metrics` that wait for their readers: beyond that the oldest reader is cut off.
const SCRAPES_MAX: usize = 128;

/// How often, and after which pause, a stream that finds no room looks again: a client that puts another stream in the place
/// of one closes that just before, and the old one counts until its end is seen.
const REPLACE_TRIES: usize = 5;
const REPLACE_PAUSE: Duration = Duration::from_millis(40);

/// How often a line of the log tells of refusals.
const REMINDER_INTERVAL: Duration = Duration::from_secs(60);

/// What is held of the HTTP side.
#[derive(Debug)]
pub struct Bounds {
    lists: Arc<Shares>,
    subscriptions: Arc<Shares>,
    scrapes: Mutex<VecDeque<Weak<Answer>>>,
    reminder: Mutex<Reminder>,
}

/// When the log told of refusals last, and how many there were since.
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
            scrapes: Mutex::default(),
            reminder: Mutex::default(),
        }
    }
}

impl Pages {
    /// Lets a request in where its kind has room. Probes are always let in; a stream counts once its interfaces are known.
    pub(super) fn admit(&self, answer: &Arc<Answer>) -> Result<(), Refusal> {
        match answer.kind() {
            Kind::Probe | Kind::Stream => {}
            Kind::Scrape => self.bounds.scraped(answer),
            Kind::List => match self.bounds.lists.take(answer.client(), 1) {
                Ok(share) => answer.hold(share),
                Err(Full::All) => return Err(self.refused(Beyond::Lists, answer)),
                Err(Full::Client) => return Err(self.refused(Beyond::ClientLists, answer)),
            },
        }
        Ok(())
    }

    /// Lets a stream of these selections in.
    pub(super) async fn admit_stream(&self, answer: &Answer, filters: &[Filter]) -> Result<(), Refusal> {
        if filters.len() > INTERFACES_MAX {
            return Err(self.refused(Beyond::Interfaces, answer));
        }
        let count = filters.iter().map(cost).sum();
        let mut taken = self.bounds.subscriptions.take(answer.client(), count);
        for _ in 0..REPLACE_TRIES {
            if taken.is_ok() {
                break;
            }
            sleep(REPLACE_PAUSE).await;
            taken = self.bounds.subscriptions.take(answer.client(), count);
        }
        match taken {
            Ok(share) => answer.hold(share),
            Err(Full::All) => return Err(self.refused(Beyond::Subscriptions, answer)),
            Err(Full::Client) => return Err(self.refused(Beyond::ClientSubscriptions, answer)),
        }
        Ok(())
    }

    /// What a client is told that wants more than there is; counted, and logged once in a while.
    pub(super) fn refused(&self, beyond: Beyond, answer: &Answer) -> Refusal {
        self.responder.metrics.http_refused(beyond);
        let (status, error) = explanation(beyond);
        self.bounds.remind(answer.address(), &error);
        Refusal { status, error }
    }
}

impl Bounds {
    fn scraped(&self, answer: &Arc<Answer>) {
        let mut scrapes = self.scrapes.lock().unwrap_or_else(PoisonError::into_inner);
        scrapes.retain(|other| other.strong_count() > 0);
        if scrapes.len() >= SCRAPES_MAX
            && let Some(oldest) = scrapes.pop_front().and_then(|oldest| oldest.upgrade())
        {
            oldest.cut_off();
        }
        scrapes.push_back(Arc::downgrade(answer));
    }

    fn remind(&self, client: IpAddr, reason: &str) {
        let mut reminder = self.reminder.lock().unwrap_or_else(PoisonError::into_inner);
        if reminder.told_at.is_some_and(|told_at| told_at.elapsed() < REMINDER_INTERVAL) {
            reminder.untold += 1;
            return;
        }
        let others = std::mem::take(&mut reminder.untold);
        reminder.told_at = Some(Instant::now());
        tracing::warn!(%client, reason, others, "an HTTP request was refused; `others` were since the last such line");
    }
}

fn explanation(beyond: Beyond) -> (StatusCode, String) {
    const NOW: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
    const YOU: StatusCode = StatusCode::TOO_MANY_REQUESTS;
    match beyond {
        Beyond::Lists => (NOW, format!("{LISTS_MAX} lists are being read already; try again soon")),
        Beyond::ClientLists => {
            (YOU, format!("this client reads {LISTS_PER_CLIENT_MAX} lists already; try again when one is read"))
        }
        Beyond::UnreadLists => (NOW, "too many lists are being read; try again soon".into()),
        Beyond::Interfaces => {
            (YOU, format!("interface: a stream has at most {INTERFACES_MAX}; open another stream for the rest"))
        }
        Beyond::Subscriptions => (
            NOW,
            format!(
                "there are {SUBSCRIPTIONS_MAX} subscriptions already, of which each interface of a stream is one; try \
                 again later, or at another replica"
            ),
        ),
        Beyond::ClientSubscriptions => (
            YOU,
            format!(
                "this client has {SUBSCRIPTIONS_PER_CLIENT_MAX} subscriptions already, of which each interface of a \
                 stream is one; close some, or ask another replica"
            ),
        ),
    }
}

/// How many subscriptions a selection counts as.
fn cost(filter: &Filter) -> u32 {
    let Filter { interface, group, version, namespace } = filter;
    let len = [interface, group, version, namespace].into_iter().flatten().map(String::len).sum::<usize>();
    u32::try_from(len.div_ceil(SELECTION_LEN).max(1)).unwrap_or(u32::MAX)
}
