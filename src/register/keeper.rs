//! What is wanted, a list of offers, becomes what is: with patience while the API server is away.
//!
//! A wish replaces the one before, also one that has not come true yet: so several changes in a row are one write.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::{Offer, RegisterError, Registrar, Wrote};
use crate::source::kube::Backoff;

/// How long an end waits for the withdrawal while the API server is away: the kubelet gives a Pod 30 s for all of it, and
/// has told the API server of the end before.
pub const WITHDRAWAL_WAIT: Duration = Duration::from_secs(5);

/// What is wanted, and how many wishes came before.
#[derive(Clone, Debug, Default)]
struct Wish {
    number: u64,
    /// Empty for withdrawn.
    offers: Arc<[Offer]>,
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
        let (wish, wishes) = watch::channel(Wish::default());
        let (told, progress) = watch::channel(Progress::default());
        tokio::spawn(Task { registrar, registered: None }.run(wishes, told));
        Keeper { wish, progress }
    }

    /// Wants these offers registered and no others, of an earlier run of the same container neither; none is withdrawn.
    pub fn want(&self, offers: &[Offer]) {
        self.wish.send_if_modified(|wish| {
            let is_new = wish.number == 0 || *wish.offers != *offers;
            if is_new {
                *wish = Wish { number: wish.number + 1, offers: offers.into() };
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

    /// Wants it withdrawn and waits for that, but not for ever.
    pub async fn withdraw_at_last(&self) {
        self.want(&[]);
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
    /// What the Pod says of us; none where that is not known.
    registered: Option<Arc<[Offer]>>,
}

impl Task {
    async fn run(mut self, mut wishes: watch::Receiver<Wish>, told: watch::Sender<Progress>) {
        if wishes.changed().await.is_err() {
            return;
        }
        let mut backoff = Backoff::default();
        loop {
            let wish = wishes.borrow_and_update().clone();
            match self.fulfil(wish.offers).await {
                Ok(()) => {
                    backoff.reset();
                    told.send_replace(Progress { done: wish.number, tried: wish.number, error: None });
                    if wishes.changed().await.is_err() {
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

    async fn fulfil(&mut self, offers: Arc<[Offer]>) -> Result<(), RegisterError> {
        if self.registered.as_ref() == Some(&offers) {
            return Ok(());
        }
        // Until the answer is there it may be either.
        self.registered = None;
        let (pod, registrar) = (self.registrar.pod(), self.registrar.name().clone());
        if offers.is_empty() {
            if self.registrar.withdraw().await? == Wrote::Change {
                info!(%pod, %registrar, "withdrawn");
            }
        } else {
            self.registrar.register(&offers).await?;
            info!(%pod, %registrar, offers = offers.len(), "registered");
        }
        self.registered = Some(offers);
        Ok(())
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

/// Waits, or until something else is wanted.
async fn pause(wait: Duration, wishes: &mut watch::Receiver<Wish>) -> Result<(), watch::error::RecvError> {
    tokio::select! {
        () = sleep(wait) => Ok(()),
        changed = wishes.changed() => changed,
    }
}
