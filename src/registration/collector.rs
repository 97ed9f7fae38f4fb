//! Collects what is decoded from a Pod under one profile, within bounds.

use super::keys::Keys;
use super::{Consumer, DECODED_LEN_MAX, Decoded, Problem, ProblemKey, REGISTRATIONS_MAX, Reason, Registration};

/// The most consumers in one annotation: as many as registrations.
const CONSUMERS_MAX: usize = REGISTRATIONS_MAX;

/// The most problems reported for one annotation: one per registration. Further ones are reported once these are
/// mended.
const PROBLEMS_MAX: usize = REGISTRATIONS_MAX;

/// A [`Decoded`] under construction, within its bounds.
#[derive(Default)]
pub(super) struct Collector {
    decoded: Decoded,
    /// Bytes of JSON that the registrations so far, good or bad, would take if each were written with all that it
    /// inherits. Without this bound, 1,024 of them could inherit, and so multiply, 200 KB of pairs of the whole
    /// process.
    written_out_len: usize,
    too_many: Option<Problem>,
    /// The keys of the last registration.
    pub(super) keys: Keys,
}

impl Collector {
    /// Counts bytes that are decoded.
    pub(super) fn add_len(&mut self, decoded_len: usize) {
        self.decoded.decoded_len += decoded_len;
    }

    /// Makes room for one more registration. `written_out_len` is its length if it were written with all that it
    /// inherits. If there is no room, reports the reason and returns false.
    pub(super) fn make_room(&mut self, offset: usize, written_out_len: usize) -> bool {
        if self.decoded.registrations.len() >= REGISTRATIONS_MAX {
            self.too_many(offset);
            return false;
        }
        if self.written_out_len.saturating_add(written_out_len) > DECODED_LEN_MAX {
            self.problem(Problem { offset, key: None, reason: Reason::TooLarge });
            return false;
        }
        self.written_out_len += written_out_len;
        true
    }

    /// Adds a registration. The caller has made room for it.
    pub(super) fn registration(&mut self, registration: Registration) {
        self.decoded.registrations.push(registration);
    }

    /// Adds a consumer whose element is at `offset`, unless it is already present.
    pub(super) fn consumer(&mut self, offset: usize, consumer: Consumer) {
        if self.decoded.consumers.contains(&consumer) {
            return;
        }
        if self.decoded.consumers.len() >= CONSUMERS_MAX {
            return self.too_many(offset);
        }
        self.decoded.consumers.push(consumer);
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        if self.decoded.problems.len() < PROBLEMS_MAX {
            self.decoded.problems.push(problem);
        }
    }

    pub(super) fn problem_count(&self) -> usize {
        self.decoded.problems.len()
    }

    /// Replaces the fields that problems name, from the problem at `from` on, with the keys as they are written.
    pub(super) fn name_keys(&mut self, from: usize, written: impl Fn(&'static str) -> ProblemKey) {
        for problem in self.decoded.problems.iter_mut().skip(from) {
            if let Some(ProblemKey::Field(field)) = problem.key {
                problem.key = Some(written(field));
            }
        }
    }

    fn too_many(&mut self, offset: usize) {
        self.too_many.get_or_insert(Problem { offset, key: None, reason: Reason::TooMany });
    }

    /// Puts what an annotation's value has into the order written. A registration in fields ends only when the next one
    /// begins, and paths and objects may come in between.
    pub(super) fn sort(&mut self) {
        self.decoded.problems.extend(self.too_many.take());
        self.decoded.problems.sort_by_key(|problem| problem.offset);
        self.decoded.registrations.sort_by_key(|registration| registration.offset);
    }

    pub(super) fn finish(mut self) -> Decoded {
        self.decoded.problems.extend(self.too_many);
        self.decoded
    }
}
