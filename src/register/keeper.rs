//! What is wanted, a list of offers, becomes what is, and stays so: with patience while the API server is away.
//!
//! A wish replaces the one before, also one that has not come true yet: so several changes in a row are one write.
//!
//! While offers are registered, the keeper looks at the Pod from time to time, and writes them again if they are not there as
//! they should be: somebody has removed them, the API server has gone back to an older state, or the Pod has another address,
//! which a registry path names. A look is one GET that the API server answers from its cache: 1 s after the write, then after
//! twice the time, up to every 20 s. If a look has to write, the next one comes later, up to every 10 minutes, so that two
//! writers who undo each other's work do not keep the API server busy.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::{RegisterError, Registrar, Wanted, Wrote};
use crate::source::kube::{Backoff, jitter};

/// How long an end waits for the withdrawal while the API server is away: the kubelet gives a Pod 30 s for all of it, and
/// has told the API server of the end before.
pub const WITHDRAWAL_WAIT: Duration = Duration::from_secs(5);

/// When the first look at the Pod comes after a write: a kubelet that has made the sandbox anew may tell of the new address
/// some seconds after the process starts.
const LOOK_FIRST: Duration = Duration::from_secs(1);

/// The longest time between two looks that found all as it should be.
const LOOK_LAST: Duration = Duration::from_secs(20);

/// The longest time between two looks that each had to write.
const CONTESTED_LAST: Duration = Duration::from_secs(600);

/// What is wanted, and how many wishes came before.
#[derive(Clone, Debug)]
struct Wish {
    number: u64,
    wanted: Wanted,
}

/// How far the task has come.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// The number of the last wish that came true.
    done: u64,
    /// The number of the wish that was tried last.
    tried: u64,
    /// Why that one has not come true, if the try failed.
    error: Option<RegisterError>,
}

/// A task that registers and withdraws; it ends once this is dropped, after the try that it is at.
pub struct Keeper {
    wish: watch::Sender<Wish>,
    progress: watch::Receiver<Progress>,
}

impl Keeper {
    /// Starts with nothing wanted and nothing known.
    pub fn start(registrar: Registrar) -> Keeper {
        let (wish, wishes) = watch::channel(Wish { number: 0, wanted: Wanted::Nothing });
        let (told, progress) = watch::channel(Progress::default());
        tokio::spawn(Task { registrar, written: None, put_back: 0 }.run(wishes, told));
        Keeper { wish, progress }
    }

    /// Wants the container's entries to be this and nothing else, of an earlier run neither.
    pub fn want(&self, wanted: Wanted) {
        self.wish.send_if_modified(|wish| {
            let is_new = wish.number == 0 || wish.wanted != wanted;
            if is_new {
                *wish = Wish { number: wish.number + 1, wanted };
            }
            is_new
        });
    }

    /// Waits until the last wish has come true.
    pub async fn done(&self) {
        let number = self.wish.borrow().number;
        // The task lives as long as we do: the channel does not close.
        let _ = self.progress.clone().wait_for(|progress| progress.done >= number).await;
    }

    /// Wants this, by which nothing is published, and waits for it, but not for ever.
    pub async fn withdraw_at_last(&self, withdrawn: Wanted) {
        self.want(withdrawn);
        if self.done_at_last().await.is_err() {
            warn!("ending without being withdrawn: once the Pod ends or is not ready, nobody is sent to it");
        }
    }

    /// Waits until the last wish has come true, up to [`WITHDRAWAL_WAIT`].
    ///
    /// # Errors
    /// Why it has not.
    pub async fn done_at_last(&self) -> Result<(), RegisterError> {
        timeout(WITHDRAWAL_WAIT, self.done_or_hopeless()).await.unwrap_or_else(|_| {
            let late = || RegisterError::Unreachable(format!("no answer within {WITHDRAWAL_WAIT:?}"));
            Err(self.progress.borrow().error.clone().unwrap_or_else(late))
        })
    }

    /// The same as `done`, or the first reason why it will not come true by waiting.
    ///
    /// # Errors
    /// One that does not pass.
    pub async fn done_or_hopeless(&self) -> Result<(), RegisterError> {
        let number = self.wish.borrow().number;
        let mut progress = self.progress.clone();
        let is_over = |progress: &Progress| {
            let is_hopeless = progress.error.as_ref().is_some_and(|error| !error.is_passing());
            progress.done >= number || (progress.tried >= number && is_hopeless)
        };
        match progress.wait_for(is_over).await.map(|progress| progress.clone()) {
            Ok(Progress { error: Some(error), .. }) => Err(error),
            _ => Ok(()),
        }
    }
}

struct Task {
    registrar: Registrar,
    /// What was written last; none where the write's outcome is not known.
    written: Option<Wanted>,
    /// How often a look had to write.
    put_back: u64,
}

impl Task {
    async fn run(mut self, mut wishes: watch::Receiver<Wish>, told: watch::Sender<Progress>) {
        if wishes.changed().await.is_err() {
            return;
        }
        let mut backoff = Backoff::default();
        loop {
            let wish = wishes.borrow_and_update().clone();
            match self.fulfil(&wish.wanted).await {
                Ok(()) => {
                    backoff.reset();
                    told.send_replace(Progress { done: wish.number, tried: wish.number, error: None });
                    let changed = tokio::select! {
                        changed = wishes.changed() => changed,
                        () = self.look_after(&wish.wanted) => Ok(()),
                    };
                    if changed.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let wait = backoff.wait(error.retry_after());
                    self.tell(&told, wish.number, error);
                    if pause(wait, &mut wishes).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn fulfil(&mut self, wanted: &Wanted) -> Result<(), RegisterError> {
        if self.written.as_ref() == Some(wanted) {
            return Ok(());
        }
        let wrote = self.write(wanted).await?;
        let (pod, registrar) = (self.registrar.pod(), self.registrar.name().clone());
        match (wanted, wrote) {
            (Wanted::Offers(offers), _) => info!(%pod, %registrar, offers = offers.len(), "registered"),
            (_, Wrote::Change) => info!(%pod, %registrar, "withdrawn"),
            (_, Wrote::Nothing) => {}
        }
        Ok(())
    }

    async fn write(&mut self, wanted: &Wanted) -> Result<Wrote, RegisterError> {
        // Until the answer is there it may be either.
        self.written = None;
        let wrote = self.registrar.write(wanted).await?;
        self.written = Some(wanted.clone());
        Ok(wrote)
    }

    /// Looks at the Pod from time to time, and writes the offers again if they are not there as they should be. Without
    /// offers there is nothing to look after. Never ends; it may be dropped at any time.
    async fn look_after(&mut self, wanted: &Wanted) {
        if !matches!(wanted, Wanted::Offers(_)) {
            return std::future::pending().await;
        }
        let mut wait = LOOK_FIRST;
        let mut trouble = None;
        loop {
            sleep(spread(wait)).await;
            let is_contested = match self.look(wanted).await {
                Ok(is_contested) => {
                    trouble = None;
                    is_contested
                }
                Err(error) => {
                    let text = error.to_string();
                    if trouble.as_ref() != Some(&text) {
                        warn!(pod = %self.registrar.pod(), "what is registered cannot be looked after: {text}");
                    }
                    trouble = Some(text);
                    false
                }
            };
            wait = next_wait(wait, is_contested);
        }
    }

    /// Whether it had to write.
    async fn look(&mut self, wanted: &Wanted) -> Result<bool, RegisterError> {
        // The cache may be older than our last write, or than our Pod: the write itself reads again.
        match self.registrar.is_written(wanted).await {
            Ok(true) => return Ok(false),
            Err(error) if !error.is_of_another_pod() => return Err(error),
            Ok(false) | Err(_) => {}
        }
        if self.write(wanted).await? == Wrote::Nothing {
            return Ok(false);
        }
        self.put_back += 1;
        let (pod, registrar) = (self.registrar.pod(), self.registrar.name().clone());
        let text = "written again: the registration was not in the Pod as it should be, or the Pod has another address";
        info!(%pod, %registrar, times = self.put_back, "{text}");
        Ok(true)
    }

    /// Tells of an error, in the log only if it is another one than before.
    fn tell(&self, told: &watch::Sender<Progress>, tried: u64, error: RegisterError) {
        let text = error.to_string();
        let is_new = told.borrow().error.as_ref().is_none_or(|last| last.to_string() != text);
        if is_new {
            warn!(pod = %self.registrar.pod(), "{text}");
        }
        told.send_modify(|progress| *progress = Progress { done: progress.done, tried, error: Some(error) });
    }
}

/// The time from this look to the next one.
fn next_wait(wait: Duration, is_contested: bool) -> Duration {
    (wait * 2).min(if is_contested { CONTESTED_LAST } else { LOOK_LAST })
}

/// A time of about this length: processes that start together must not look together.
fn spread(wait: Duration) -> Duration {
    wait.mul_f64(0.75) + jitter(wait / 2)
}

/// Waits, or until something else is wanted.
async fn pause(wait: Duration, wishes: &mut watch::Receiver<Wish>) -> Result<(), watch::error::RecvError> {
    tokio::select! {
        () = sleep(wait) => Ok(()),
        changed = wishes.changed() => changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_become_rare_and_rarer_where_somebody_undoes_the_writes() {
        let waits = |is_contested: bool| {
            let after = move |wait: &Duration| Some(next_wait(*wait, is_contested));
            std::iter::successors(Some(LOOK_FIRST), after).map(|wait| wait.as_secs())
        };
        assert_eq!(waits(false).take(8).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 20, 20, 20]);
        assert_eq!(waits(true).take(12).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
        assert_eq!(next_wait(CONTESTED_LAST, false), LOOK_LAST, "as soon as a look finds all as it should be");
        for _ in 0..100 {
            assert!((15..=25).contains(&spread(LOOK_LAST).as_secs()));
        }
    }
}
