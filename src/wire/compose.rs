//! Writing records, one at a time, within a limit.

use crate::dns::{Class, Rtype};

use super::{HEADER_LEN, UDP_LEN_MAX};

/// The highest place that a compression pointer reaches (RFC 1035 §4.1.4).
const POINTER_MAX: usize = 0x3fff;

/// No room for the record; nothing of it was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full;

/// Who a record belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Owner<'n> {
    /// The question's name without so many bytes at its front: its letter case comes back with every record.
    Question(usize),
    /// A name that was written before, in full and in so many bytes.
    Written(Place, usize),
    /// A wire name, in full.
    Name(&'n [u8]),
}

/// Where in the message something was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(usize);

/// A message being written behind its header and question.
pub(super) struct Composer<'b> {
    out: &'b mut Vec<u8>,
    /// Where in the buffer the message begins.
    base: usize,
    /// The length that the message may reach, what is kept for OPT and the like left out.
    limit: usize,
    questions: u16,
    /// Records by section.
    counts: [u16; 3],
    section: Section,
}

/// The sections that records stand in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Section {
    Answer = 0,
    Authority = 1,
    Additional = 2,
}

/// A place to come back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    len: usize,
    counts: [u16; 3],
}

impl<'b> Composer<'b> {
    /// Begins behind what the buffer holds, with an empty header and the question as it came.
    pub fn begin(out: &'b mut Vec<u8>, question: &[u8], limit: usize) -> Composer<'b> {
        let base = out.len();
        out.reserve(limit.min(UDP_LEN_MAX)); // so that a message of the usual size never grows its buffer
        out.extend_from_slice(&[0; HEADER_LEN]);
        out.extend_from_slice(question);
        let questions = u16::from(!question.is_empty());
        Composer { out, base, limit, questions, counts: [0; 3], section: Section::Answer }
    }

    /// How long the message is.
    pub fn len(&self) -> usize {
        self.out.len() - self.base
    }

    /// How many bytes stand behind a place.
    pub fn len_from(&self, place: Place) -> usize {
        self.len() - place.0
    }

    /// How many bytes are left.
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.len())
    }

    /// Goes on to the next section.
    pub fn section(&mut self, section: Section) {
        self.section = section;
    }

    pub fn mark(&self) -> Mark {
        Mark { len: self.out.len(), counts: self.counts }
    }

    pub fn back_to(&mut self, mark: Mark) {
        self.out.truncate(mark.len);
        self.counts = mark.counts;
    }

    /// Writes a record whole or not at all; where its data begins.
    pub fn record(
        &mut self,
        owner: Owner<'_>,
        rtype: Rtype,
        ttl: u32,
        data: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Place, Full> {
        let mark = self.mark();
        self.owner(owner);
        let ([t0, t1], [c0, c1], [s0, s1, s2, s3]) =
            (rtype.0.to_be_bytes(), Class::IN.0.to_be_bytes(), ttl.to_be_bytes());
        self.out.extend_from_slice(&[t0, t1, c0, c1, s0, s1, s2, s3, 0, 0]); // at once: every record goes through here
        let len_at = self.out.len() - 2;
        data(self.out);
        let len = self.out.len() - len_at - 2;
        let fits = self.len() <= self.limit && self.counts[self.section as usize] < u16::MAX;
        match u16::try_from(len) {
            Ok(len) if fits => {
                self.out[len_at..len_at + 2].copy_from_slice(&len.to_be_bytes());
                self.counts[self.section as usize] += 1;
                Ok(Place(len_at + 2 - self.base))
            }
            _ => {
                self.back_to(mark);
                Err(Full)
            }
        }
    }

    fn owner(&mut self, owner: Owner<'_>) {
        match owner {
            Owner::Question(skipped) => self.u16(0xc000 | (HEADER_LEN + skipped) as u16),
            Owner::Written(Place(at), _) if at <= POINTER_MAX => self.u16(0xc000 | at as u16),
            Owner::Written(Place(at), len) => {
                let at = self.base + at; // no pointer reaches it
                self.out.extend_from_within(at..at + len);
            }
            Owner::Name(wire) => self.out.extend_from_slice(wire),
        }
    }

    fn u16(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    /// Writes the records that room was kept for, behind all others, and the header.
    pub fn finish(mut self, id: u16, flags: u16, tail: impl FnOnce(&mut Vec<u8>) -> u16) {
        self.counts[Section::Additional as usize] += tail(self.out);
        let [answers, authorities, additionals] = self.counts;
        for (at, word) in [id, flags, self.questions, answers, authorities, additionals].into_iter().enumerate() {
            let at = self.base + 2 * at;
            self.out[at..at + 2].copy_from_slice(&word.to_be_bytes());
        }
    }
}

impl Place {
    /// So many bytes further on.
    pub fn plus(self, len: usize) -> Place {
        Place(self.0 + len)
    }

    /// How many bytes an owner takes that was written here in so many.
    pub fn owner_len(self, wire_len: usize) -> usize {
        if self.0 <= POINTER_MAX { 2 } else { wire_len }
    }
}
