//! Writes the wanted registrations into the Pod, retries while the API server is away, and keeps them in place.
//!
//! A new wish replaces the one before, even if that has not been written yet. So several changes in a row are one
//! write.
//!
//! While offers are registered or withdrawn, the keeper checks the Pod from time to time (`keeper/pace.rs`) and writes
//! again if the entries differ: somebody has removed them, the API server was restored to an older state and may
//! publish withdrawn entries again, or the Pod has another address, which a registry path contains. A check is one GET
//! that the API server answers from its cache.

mod pace;

use std::time::Duration;

use tokio::sync::watch::{self, error::RecvError};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use pace::{Pace, spread};

use super::{RegisterError, Registrar, Wanted, Wrote};
use crate::source::kube::Backoff;

/// How long an ending process waits for the withdrawal while the API server is away. The kubelet gives a Pod 30 s to
/// end, and has reported the end to the API server before.
pub const WITHDRAWAL_WAIT: Duration = Duration::from_secs(5);

/// How long a running check may go on after the wish has changed. A write that is cancelled could still take effect
/// after the next wish is written.
const LOOK_END: Duration = Duration::from_secs(2);

/// The wanted entries, and the number of wishes before.
#[derive(Clone, Debug)]
struct Wish {
    number: u64,
    wanted: Wanted,
}

/// The progress of the task.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// The number of the last wish that was written.
    done: u64,
    /// The number of the last wish that was tried.
    tried: u64,
    /// Why the last try failed.
    error: Option<RegisterError>,
}

/// A task that registers and withdraws. After this handle is dropped, the task finishes its current try and ends.
pub struct Keeper {
    wish: watch::Sender<Wish>,
    progress: watch::Receiver<Progress>,
}

impl Keeper {
    /// Starts without a wish.
    pub fn start(registrar: Registrar) -> Keeper {
        let (wish, wishes) = watch::channel(Wish { number: 0, wanted: Wanted::Nothing });
        let (told, progress) = watch::channel(Progress::default());
        tokio::spawn(Task { registrar, written: None, put_back: 0 }.run(wishes, told));
        Keeper { wish, progress }
    }

    /// Replaces the wish: the container's entries are to be exactly these. Entries of an earlier run go.
    pub fn want(&self, wanted: Wanted) {
        self.wish.send_if_modified(|wish| {
            let is_new = wish.number == 0 || wish.wanted != wanted;
            if is_new {
                *wish = Wish { number: wish.number + 1, wanted };
            }
            is_new
        });
    }

    /// Waits until the last wish is written.
    pub async fn done(&self) {
        let number = self.wish.borrow().number;
        // The task lives as long as this handle, so the channel does not close.
        let _ = self.progress.clone().wait_for(|progress| progress.done >= number).await;
    }

    /// Wants entries that publish nothing, and waits for the write up to [`WITHDRAWAL_WAIT`].
    pub async fn withdraw_at_last(&self, withdrawn: Wanted) {
        self.want(withdrawn);
        if self.done_at_last().await.is_err() {
            warn!("ending without a withdrawal: clients still find this Pod until it ends or is no longer ready");
        }
    }

    /// Waits until the last wish is written, up to [`WITHDRAWAL_WAIT`].
    ///
    /// # Errors
    /// Why it is not written.
    pub async fn done_at_last(&self) -> Result<(), RegisterError> {
        timeout(WITHDRAWAL_WAIT, self.done_or_hopeless()).await.unwrap_or_else(|_| {
            let late = || RegisterError::Unreachable(format!("no answer within {WITHDRAWAL_WAIT:?}"));
            Err(self.progress.borrow().error.clone().unwrap_or_else(late))
        })
    }

    /// Waits until the last wish is written, or until it fails for a reason that retries cannot mend.
    ///
    /// # Errors
    /// The error that retries cannot mend.
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
    /// What was written last. `None` while the outcome of a write is unknown.
    written: Option<Wanted>,
    /// How often a check had to write.
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
                    if self.look_after(&wish.wanted, &mut wishes).await.is_err() {
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
            (_, Wrote::Change) => info!(%pod, %registrar, "withdrew"),
            (_, Wrote::Nothing) => {}
        }
        Ok(())
    }

    async fn write(&mut self, wanted: &Wanted) -> Result<Wrote, RegisterError> {
        // Unknown until the API server responds.
        self.written = None;
        let wrote = self.registrar.write(wanted).await?;
        self.written = Some(wanted.clone());
        Ok(wrote)
    }

    /// Checks the Pod from time to time until the wish changes, and writes again if the entries differ. It does not
    /// check if nothing is wanted.
    async fn look_after(&mut self, wanted: &Wanted, wishes: &mut watch::Receiver<Wish>) -> Result<(), RecvError> {
        if matches!(wanted, Wanted::Nothing) {
            return wishes.changed().await;
        }
        let mut pace = Pace::start();
        let mut trouble = None;
        loop {
            tokio::select! {
                changed = wishes.changed() => return changed,
                () = sleep(spread(pace.wait)) => {}
            }
            let looked = {
                let look = self.look(wanted);
                tokio::pin!(look);
                tokio::select! {
                    looked = &mut look => looked,
                    changed = wishes.changed() => {
                        // The next wish is tried now, whatever the check finds.
                        let _ = timeout(LOOK_END, look).await;
                        return changed;
                    }
                }
            };
            let had_to_write = *looked.as_ref().unwrap_or(&false);
            self.tell_trouble(&mut trouble, looked.err());
            pace.next(had_to_write);
        }
    }

    /// Logs why a check failed, once per reason.
    fn tell_trouble(&self, last: &mut Option<String>, error: Option<RegisterError>) {
        let text = error.map(|error| error.to_string());
        if let Some(text) = text.as_ref().filter(|_| text != *last) {
            warn!(pod = %self.registrar.pod(), "checking the registration failed: {text}");
        }
        *last = text;
    }

    /// Returns whether it had to write.
    async fn look(&mut self, wanted: &Wanted) -> Result<bool, RegisterError> {
        // The cache may be older than our last write, or than our Pod. The write itself reads again.
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
        let text = match wanted {
            Wanted::Offers(_) => "written again: the registration in the Pod differed, or the Pod has another address",
            Wanted::Withdrawn(_) | Wanted::Nothing => "withdrew again: the registration had come back in the Pod",
        };
        info!(%pod, %registrar, times = self.put_back, "{text}");
        Ok(true)
    }

    /// Publishes an error as progress. Logs it only if it differs from the error before.
    fn tell(&self, told: &watch::Sender<Progress>, tried: u64, error: RegisterError) {
        let text = error.to_string();
        let is_new = told.borrow().error.as_ref().is_none_or(|last| last.to_string() != text);
        if is_new {
            warn!(pod = %self.registrar.pod(), "{text}");
        }
        told.send_modify(|progress| *progress = Progress { done: progress.done, tried, error: Some(error) });
    }
}

/// Waits for the time to pass or for the wish to change.
async fn pause(wait: Duration, wishes: &mut watch::Receiver<Wish>) -> Result<(), RecvError> {
    tokio::select! {
        () = sleep(wait) => Ok(()),
        changed = wishes.changed() => changed,
    }
}

#[cfg(test)]
mod tests;
