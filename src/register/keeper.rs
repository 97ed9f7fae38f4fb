//! Writes the wanted registrations into the Pod, retries while the API server is away, and keeps them in place.
//!
//! A new request replaces the one before, even if that has not been written yet. So several changes in a row are one
//! write.
//!
//! While offers are registered or withdrawn, the keeper checks the Pod from time to time (`keeper/pace.rs`) and writes
//! again if the entries differ: somebody has removed them, the API server was restored to an older state and may
//! publish withdrawn entries again, or the Pod has another address, which a registry path contains. A check is one GET
//! that the API server answers from its cache.

mod check_interval;

use std::time::Duration;

use tokio::sync::watch::{self, error::RecvError};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use check_interval::{CheckInterval, jittered};

use super::{RegisterError, Registrar, WantedEntries, WriteOutcome};
use crate::backoff::Backoff;

/// How long an ending process waits for the withdrawal while the API server is away. The kubelet gives a Pod 30 s to
/// end, and has reported the end to the API server before.
pub const WITHDRAWAL_WAIT: Duration = Duration::from_secs(5);

/// How long a running check may go on after the request has changed. A write that is cancelled could still take effect
/// after the next request is written.
const LOOK_END: Duration = Duration::from_secs(2);

/// The wanted entries, and the number of requests before.
#[derive(Clone, Debug)]
struct EntriesRequest {
    number: u64,
    wanted: WantedEntries,
}

/// The progress of the task.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// The number of the last request that was written.
    done: u64,
    /// The number of the last request that was tried.
    tried: u64,
    /// Why the last try failed.
    error: Option<RegisterError>,
}

/// A task that registers and withdraws. After this handle is dropped, the task finishes its current try and ends.
pub struct Keeper {
    request: watch::Sender<EntriesRequest>,
    progress: watch::Receiver<Progress>,
}

impl Keeper {
    /// Starts without a request.
    pub fn start(registrar: Registrar) -> Keeper {
        let (request, requests) = watch::channel(EntriesRequest { number: 0, wanted: WantedEntries::Nothing });
        let (published, progress) = watch::channel(Progress::default());
        tokio::spawn(Task { registrar, written: None, put_back: 0 }.run(requests, published));
        Keeper { request, progress }
    }

    /// Replaces the request: the container's entries are to be exactly these. Entries of an earlier run go.
    pub fn request(&self, wanted: WantedEntries) {
        self.request.send_if_modified(|request| {
            let is_new = request.number == 0 || request.wanted != wanted;
            if is_new {
                *request = EntriesRequest { number: request.number + 1, wanted };
            }
            is_new
        });
    }

    /// Waits until the last request is written.
    pub async fn written(&self) {
        let number = self.request.borrow().number;
        // The task lives as long as this handle, so the channel does not close.
        let _ = self.progress.clone().wait_for(|progress| progress.done >= number).await;
    }

    /// Wants entries that publish nothing, and waits for the write up to [`WITHDRAWAL_WAIT`].
    pub async fn withdraw_and_flush(&self, withdrawn: WantedEntries) {
        self.request(withdrawn);
        if self.flush().await.is_err() {
            warn!("ending without a withdrawal: clients still find this Pod until it ends or is no longer ready");
        }
    }

    /// Waits until the last request is written, up to [`WITHDRAWAL_WAIT`].
    ///
    /// # Errors
    /// Why it is not written.
    pub async fn flush(&self) -> Result<(), RegisterError> {
        timeout(WITHDRAWAL_WAIT, self.written_or_failed()).await.unwrap_or_else(|_| {
            let late = || RegisterError::Unreachable(format!("no answer within {WITHDRAWAL_WAIT:?}"));
            Err(self.progress.borrow().error.clone().unwrap_or_else(late))
        })
    }

    /// Waits until the last request is written, or until it fails for a reason that retries cannot mend.
    ///
    /// # Errors
    /// The error that retries cannot mend.
    pub async fn written_or_failed(&self) -> Result<(), RegisterError> {
        let number = self.request.borrow().number;
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
    written: Option<WantedEntries>,
    /// How often a check had to write.
    put_back: u64,
}

impl Task {
    async fn run(mut self, mut requests: watch::Receiver<EntriesRequest>, published: watch::Sender<Progress>) {
        if requests.changed().await.is_err() {
            return;
        }
        let mut backoff = Backoff::default();
        loop {
            let request = requests.borrow_and_update().clone();
            match self.fulfil(&request.wanted).await {
                Ok(()) => {
                    backoff.reset();
                    published.send_replace(Progress { done: request.number, tried: request.number, error: None });
                    if self.keep_in_place(&request.wanted, &mut requests).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let wait = backoff.wait(error.retry_after());
                    self.publish_error(&published, request.number, error);
                    if pause(wait, &mut requests).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn fulfil(&mut self, wanted: &WantedEntries) -> Result<(), RegisterError> {
        if self.written.as_ref() == Some(wanted) {
            return Ok(());
        }
        let wrote = self.write(wanted).await?;
        let (pod, registrar) = (self.registrar.pod(), self.registrar.name().clone());
        match (wanted, wrote) {
            (WantedEntries::Offers(offers), _) => info!(%pod, %registrar, offers = offers.len(), "registered"),
            (_, WriteOutcome::Change) => info!(%pod, %registrar, "withdrew"),
            (_, WriteOutcome::Nothing) => {}
        }
        Ok(())
    }

    async fn write(&mut self, wanted: &WantedEntries) -> Result<WriteOutcome, RegisterError> {
        // Unknown until the API server responds.
        self.written = None;
        let wrote = self.registrar.write(wanted).await?;
        self.written = Some(wanted.clone());
        Ok(wrote)
    }

    /// Checks the Pod from time to time until the request changes, and writes again if the entries differ. It does not
    /// check if nothing is wanted.
    async fn keep_in_place(
        &mut self,
        wanted: &WantedEntries,
        requests: &mut watch::Receiver<EntriesRequest>,
    ) -> Result<(), RecvError> {
        if matches!(wanted, WantedEntries::Nothing) {
            return requests.changed().await;
        }
        let mut interval = CheckInterval::start();
        let mut trouble = None;
        loop {
            tokio::select! {
                changed = requests.changed() => return changed,
                () = sleep(jittered(interval.wait)) => {}
            }
            let looked = {
                let look = self.check(wanted);
                tokio::pin!(look);
                tokio::select! {
                    looked = &mut look => looked,
                    changed = requests.changed() => {
                        // The next request is tried now, whatever the check finds.
                        let _ = timeout(LOOK_END, look).await;
                        return changed;
                    }
                }
            };
            let had_to_write = *looked.as_ref().unwrap_or(&false);
            self.log_check_error(&mut trouble, looked.err());
            interval.next(had_to_write);
        }
    }

    /// Logs why a check failed, once per reason.
    fn log_check_error(&self, last: &mut Option<String>, error: Option<RegisterError>) {
        let text = error.map(|error| error.to_string());
        if let Some(text) = text.as_ref().filter(|_| text != *last) {
            warn!(pod = %self.registrar.pod(), "checking the registration failed: {text}");
        }
        *last = text;
    }

    /// Returns whether it had to write.
    async fn check(&mut self, wanted: &WantedEntries) -> Result<bool, RegisterError> {
        // The cache may be older than our last write, or than our Pod. The write itself reads again.
        match self.registrar.is_written(wanted).await {
            Ok(true) => return Ok(false),
            Err(error) if !error.is_of_another_pod() => return Err(error),
            Ok(false) | Err(_) => {}
        }
        if self.write(wanted).await? == WriteOutcome::Nothing {
            return Ok(false);
        }
        self.put_back += 1;
        let (pod, registrar) = (self.registrar.pod(), self.registrar.name().clone());
        let text = match wanted {
            WantedEntries::Offers(_) => {
                "written again: the registration in the Pod differed, or the Pod has another address"
            }
            WantedEntries::Withdrawn(_) | WantedEntries::Nothing => {
                "withdrew again: the registration had come back in the Pod"
            }
        };
        info!(%pod, %registrar, times = self.put_back, "{text}");
        Ok(true)
    }

    /// Publishes an error as progress. Logs it only if it differs from the error before.
    fn publish_error(&self, published: &watch::Sender<Progress>, tried: u64, error: RegisterError) {
        let text = error.to_string();
        let is_new = published.borrow().error.as_ref().is_none_or(|last| last.to_string() != text);
        if is_new {
            warn!(pod = %self.registrar.pod(), "{text}");
        }
        published.send_modify(|progress| *progress = Progress { done: progress.done, tried, error: Some(error) });
    }
}

/// Waits for the time to pass or for the request to change.
async fn pause(wait: Duration, requests: &mut watch::Receiver<EntriesRequest>) -> Result<(), RecvError> {
    tokio::select! {
        () = sleep(wait) => Ok(()),
        changed = requests.changed() => changed,
    }
}

#[cfg(test)]
mod tests;
