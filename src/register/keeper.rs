//! What is wanted, registered or withdrawn, becomes what is: with patience while the API server is away.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::{Offer, RegisterError, Registrar, Wrote};
use crate::source::kube::Backoff;

/// How long an end waits for the withdrawal while the API server is away: the kubelet gives a Pod 30 s for all of it, and
/// has told the API server of the end before.
pub(super) const WITHDRAWAL_WAIT: Duration = Duration::from_secs(5);

/// What is wanted, and how many wishes came before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wish {
    number: u64,
    is_registered: bool,
}

/// How far the task has come.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// The number of the last wish that came true.
    done: u64,
    /// Why the present one has not, if a try has failed.
    error: Option<RegisterError>,
}

/// A task that registers and withdraws; it ends once this is dropped, after the try that it is at.
pub struct Keeper {
    wish: watch::Sender<Wish>,
    progress: watch::Receiver<Progress>,
}

impl Keeper {
    /// Starts with nothing wanted and nothing known.
    pub fn start(registrar: Registrar, offers: Vec<Offer>) -> Keeper {
        let (wish, wishes) = watch::channel(Wish::default());
        let (told, progress) = watch::channel(Progress::default());
        tokio::spawn(Task { registrar, offers, is_registered: None }.run(wishes, told));
        Keeper { wish, progress }
    }

    /// Wants it registered, or withdrawn: also what an earlier run of the same container has left.
    pub fn want(&self, is_registered: bool) {
        self.wish.send_modify(|wish| {
            if wish.number == 0 || wish.is_registered != is_registered {
                *wish = Wish { number: wish.number + 1, is_registered };
            }
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
        self.want(false);
        if timeout(WITHDRAWAL_WAIT, self.done()).await.is_err() {
            warn!("ending without being withdrawn: once the Pod ends or is not ready, nobody is sent to it");
        }
    }

    /// The same as `done`, or the first reason why it will not come true by waiting.
    ///
    /// # Errors
    /// One that does not pass.
    pub async fn done_or_hopeless(&self) -> Result<(), RegisterError> {
        let number = self.wish.borrow().number;
        let mut progress = self.progress.clone();
        let is_over = |progress: &Progress| {
            progress.done >= number || progress.error.as_ref().is_some_and(|error| !error.is_passing())
        };
        match progress.wait_for(is_over).await.map(|progress| progress.clone()) {
            Ok(Progress { error: Some(error), .. }) => Err(error),
            _ => Ok(()),
        }
    }
}

struct Task {
    registrar: Registrar,
    offers: Vec<Offer>,
    /// What the Pod says of us; none where that is not known.
    is_registered: Option<bool>,
}

impl Task {
    async fn run(mut self, mut wishes: watch::Receiver<Wish>, told: watch::Sender<Progress>) {
        if wishes.changed().await.is_err() {
            return;
        }
        let mut backoff = Backoff::default();
        loop {
            let wish = *wishes.borrow_and_update();
            match self.fulfil(wish.is_registered).await {
                Ok(()) => {
                    backoff.reset();
                    told.send_replace(Progress { done: wish.number, error: None });
                    if wishes.changed().await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let wait = backoff.wait(error.retry_after());
                    self.tell(&told, error);
                    if pause(wait, &mut wishes).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn fulfil(&mut self, is_registered: bool) -> Result<(), RegisterError> {
        if self.is_registered == Some(is_registered) {
            return Ok(());
        }
        // Until the answer is there it may be either.
        self.is_registered = None;
        let (pod, registrar) = (self.registrar.pod(), self.registrar.name().clone());
        if is_registered {
            self.registrar.register(&self.offers).await?;
            info!(%pod, %registrar, "registered");
        } else if self.registrar.withdraw().await? == Wrote::Change {
            info!(%pod, %registrar, "withdrawn");
        }
        self.is_registered = Some(is_registered);
        Ok(())
    }

    /// Tells of an error, in the log only if it is another one than before.
    fn tell(&self, told: &watch::Sender<Progress>, error: RegisterError) {
        let text = error.to_string();
        let is_new = told.borrow().error.as_ref().is_none_or(|last| last.to_string() != text);
        if is_new {
            warn!(pod = %self.registrar.pod(), "{text}");
        }
        told.send_modify(|progress| progress.error = Some(error));
    }
}

/// Waits, or until something else is wanted.
async fn pause(wait: Duration, wishes: &mut watch::Receiver<Wish>) -> Result<(), watch::error::RecvError> {
    tokio::select! {
        () = sleep(wait) => Ok(()),
        changed = wishes.changed() => changed,
    }
}
