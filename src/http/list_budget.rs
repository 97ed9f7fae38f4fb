//! The memory and CPU that lists may take. Lists are long, and a client may request many and read none.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The lists that are made at once. Each scans the whole snapshot, and DNS needs the CPUs.
const MAKING_MAX: usize = 1;

/// The most KiB of lists that are made and not yet sent.
const UNSENT_KIB_MAX: usize = 32 * 1024;

/// The bytes of lists that may be unsent.
#[derive(Debug)]
pub struct ListBudget {
    making: Arc<Semaphore>,
    unsent: Arc<Semaphore>,
}

impl Default for ListBudget {
    fn default() -> ListBudget {
        ListBudget { making: Arc::new(Semaphore::new(MAKING_MAX)), unsent: Arc::new(Semaphore::new(UNSENT_KIB_MAX)) }
    }
}

impl ListBudget {
    /// Makes a list's text when it is its turn, on a blocking thread. `None` if too many lists are unread.
    pub(super) async fn make(&self, make: impl FnOnce() -> Vec<u8> + Send + 'static) -> Option<Bytes> {
        let turn = self.making.clone().acquire_owned().await.ok()?;
        // The closure holds the turn, not the client: a client that disconnects does not end the work.
        let make_in_turn = move || {
            let _turn = turn;
            make()
        };
        let text = tokio::task::spawn_blocking(make_in_turn).await.ok()?;
        let kib = u32::try_from(text.len().div_ceil(1024)).ok()?;
        let permit = self.unsent.clone().try_acquire_many_owned(kib).ok()?;
        Some(Bytes::from_owner(UnsentList { text, _permit: permit }))
    }
}

/// A text that counts against the budget until its last byte is sent.
struct UnsentList {
    text: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for UnsentList {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_list_whose_client_leaves_keeps_its_turn() {
        let budget = ListBudget::default();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let first = budget.make(move || wait.recv().map(|()| Vec::new()).expect("a signal"));
        let gone = tokio::time::timeout(std::time::Duration::from_millis(50), first).await;
        assert!(gone.is_err() && budget.making.available_permits() == 0, "the first list is still being made");
        go.send(()).expect("sent");
        assert!(budget.make(|| vec![1]).await.is_some());
    }

    #[tokio::test]
    async fn unsent_lists_take_room() {
        let budget = ListBudget::default();
        let half = || vec![0; UNSENT_KIB_MAX * 1024 / 2];
        let held = [budget.make(half).await, budget.make(half).await].map(|text| text.expect("a list"));
        assert!(budget.make(|| vec![1]).await.is_none(), "it is full");
        let [first, second] = held;
        let rest = first.slice(first.len() - 1..);
        drop(first);
        assert!(budget.make(|| vec![1]).await.is_none(), "a byte of it is not sent yet");
        drop(rest);
        assert_eq!(budget.make(|| vec![1]).await.expect("a list"), [1][..]);
        assert_eq!(second.len(), half().len());
    }
}
