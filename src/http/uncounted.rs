//! Responses without a share. They are short, and every one of them is sent.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError, Weak};

pub(super) trait EndResponse {
    fn end(&self);
}

/// The running responses of one kind. A new one is always admitted; beyond a limit an old one ends instead.
#[derive(Debug)]
pub(super) struct UncountedResponses<A> {
    all_max: usize,
    per_client_max: usize,
    /// The oldest first.
    responses: Mutex<VecDeque<(IpAddr, Weak<A>)>>,
}

impl<A: EndResponse> UncountedResponses<A> {
    pub(super) fn new(all_max: usize, per_client_max: usize) -> UncountedResponses<A> {
        UncountedResponses { all_max, per_client_max, responses: Mutex::default() }
    }

    /// Adds a response. A client over its limit loses its oldest one. Beyond the limit of all, the client with the
    /// most responses loses its oldest.
    pub(super) fn add(&self, client: IpAddr, pending: Weak<A>) {
        let mut responses = self.responses.lock().unwrap_or_else(PoisonError::into_inner);
        responses.retain(|(_, pending)| pending.strong_count() > 0);
        let own = responses.iter().filter(|(other, _)| *other == client).count();
        let loser = match own >= self.per_client_max {
            true => Some(client),
            false if responses.len() >= self.all_max => greediest(&responses),
            false => None,
        };
        let oldest = loser.and_then(|loser| responses.iter().position(|(client, _)| *client == loser));
        let oldest = oldest.and_then(|at| responses.remove(at)).and_then(|(_, pending)| pending.upgrade());
        responses.push_back((client, pending));
        drop(responses);
        if let Some(oldest) = oldest {
            oldest.end();
        }
    }
}

/// The client with the most responses.
fn greediest<A>(responses: &VecDeque<(IpAddr, Weak<A>)>) -> Option<IpAddr> {
    let mut counts: HashMap<IpAddr, usize> = HashMap::new();
    responses.iter().for_each(|(client, _)| *counts.entry(*client).or_default() += 1);
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(client, _)| client)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[derive(Default)]
    struct Answer(AtomicBool);

    impl EndResponse for Answer {
        fn end(&self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_client_with_the_most_unread_answers_loses_its_oldest() {
        let shareless = UncountedResponses::new(6, 4);
        let add = |client: u8| {
            let pending = Arc::new(Answer::default());
            shareless.add(IpAddr::from([10, 0, 0, client]), Arc::downgrade(&pending));
            pending
        };
        let ended = |responses: &[Arc<Answer>]| -> Vec<bool> {
            responses.iter().map(|pending| pending.0.load(Ordering::Relaxed)).collect()
        };
        let other = vec![add(2)];
        let mut greedy: Vec<_> = (0..4).map(|_| add(1)).collect();
        assert_eq!(ended(&greedy), [false; 4]);
        greedy.push(add(1));
        assert_eq!(ended(&greedy), [true, false, false, false, false], "its own bound");
        let more = [add(2), add(3)];
        assert_eq!(ended(&greedy), [true, true, false, false, false], "the bound of all");
        assert_eq!((ended(&other), ended(&more)), (vec![false], vec![false; 2]), "nobody else loses one");
        drop(greedy);
        let rest: Vec<_> = (0..3).map(|_| add(3)).collect();
        assert_eq!((ended(&rest), ended(&more)), (vec![false; 3], vec![false; 2]), "a sent response no longer counts");
    }
}
