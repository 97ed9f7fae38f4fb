//! What is read from one annotation so far, and how much that may come to.

use super::keys::Keys;
use super::{Consumer, DECODED_LEN_MAX, Decoded, Problem, REGISTRATIONS_MAX, Reason, Registration};

/// The most consumers that are kept of one annotation: as many as registrations.
const CONSUMERS_MAX: usize = REGISTRATIONS_MAX;

/// The most problems that are told of one annotation: one a registration. Who mends these is told the next.
const PROBLEMS_MAX: usize = REGISTRATIONS_MAX;

/// A [`Decoded`] in the making, within its bounds.
#[derive(Default)]
pub(super) struct Collector {
    decoded: Decoded,
    /// Bytes of JSON that the registrations read so far, good or bad, would take, were each written with all that it
    /// inherits. Otherwise 1,024 of them could share, and multiply, 200 KB of pairs that hold for the whole process.
    written_out_len: usize,
    too_many: Option<Problem>,
    /// The keys of the registration that was read last.
    pub(super) keys: Keys,
}

impl Collector {
    pub(super) fn new(decoded_len: usize) -> Collector {
        Collector { decoded: Decoded { decoded_len, ..Decoded::default() }, ..Collector::default() }
    }

    /// Makes room for one more registration, which begins at an offset and would take so many bytes if it were written
    /// out; false, and the reason is told, where there is none.
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

    /// Takes a registration that there is room for.
    pub(super) fn registration(&mut self, registration: Registration) {
        self.decoded.registrations.push(registration);
    }

    /// Takes a consumer whose element is at an offset, unless it is known.
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

    fn too_many(&mut self, offset: usize) {
        self.too_many.get_or_insert(Problem { offset, key: None, reason: Reason::TooMany });
    }

    /// Everything in the order written: a registration in fields is whole only when the next one begins, and paths may
    /// stand between.
    pub(super) fn finish(self) -> Decoded {
        let mut decoded = self.decoded;
        decoded.problems.extend(self.too_many);
        decoded.problems.sort_by_key(|problem| problem.offset);
        decoded.registrations.sort_by_key(|registration| registration.offset);
        decoded
    }
}
