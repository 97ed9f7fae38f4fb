//! Writes records one at a time, within a length limit.

use crate::dns::{Class, Rtype};

use super::{HEADER_LEN, UDP_LEN_MAX};

/// The highest offset that a compression pointer reaches (RFC 1035 §4.1.4).
const POINTER_MAX: usize = 0x3fff;

/// The record does not fit, and no part of it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageFull;

/// A record's owner name.
#[derive(Clone, Copy, Debug)]
pub(super) enum OwnerName<'n> {
    /// The question's name without its first N bytes. Each record keeps the query's letter case.
    Question(usize),
    /// A name of N bytes that the message already holds in full.
    Written(Offset, usize),
    /// A wire name, to be written in full.
    Name(&'n [u8]),
}

/// An offset in the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offset(usize);

/// A message whose header and question are in place and whose records follow.
pub(super) struct Composer<'b> {
    out: &'b mut Vec<u8>,
    /// The offset of the message in the buffer.
    base: usize,
    /// The longest that the message may become before its tail (OPT and TSIG), in bytes.
    limit: usize,
    questions: u16,
    /// The number of records in each section.
    counts: [u16; 3],
    section: Section,
}

/// A section that holds records.
#[derive(Clone, Copy, Debug)]
pub(super) enum Section {
    Answer = 0,
    Authority = 1,
    Additional = 2,
}

/// A state of the message that the composer can return to.
#[derive(Clone, Copy)]
pub(super) struct Checkpoint {
    len: usize,
    counts: [u16; 3],
}

impl<'b> Composer<'b> {
    /// Appends an empty header and the query's question to the buffer.
    pub fn begin(out: &'b mut Vec<u8>, question: &[u8], limit: usize) -> Composer<'b> {
        let base = out.len();
        out.reserve(limit.min(UDP_LEN_MAX)); // a message of the usual size allocates once at most
        out.extend_from_slice(&[0; HEADER_LEN]);
        out.extend_from_slice(question);
        let questions = u16::from(!question.is_empty());
        Composer { out, base, limit, questions, counts: [0; 3], section: Section::Answer }
    }

    /// The message's length so far, in bytes.
    pub fn len(&self) -> usize {
        self.out.len() - self.base
    }

    /// The number of bytes from an offset to the message's end.
    pub fn len_from(&self, offset: Offset) -> usize {
        self.len() - offset.0
    }

    /// The number of bytes left below the limit.
    pub fn space_left(&self) -> usize {
        self.limit.saturating_sub(self.len())
    }

    /// Begins a section.
    pub fn section(&mut self, section: Section) {
        self.section = section;
    }

    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { len: self.out.len(), counts: self.counts }
    }

    pub fn roll_back(&mut self, checkpoint: Checkpoint) {
        self.out.truncate(checkpoint.len);
        self.counts = checkpoint.counts;
    }

    /// Writes a whole record or nothing. Returns the offset of its data.
    pub fn record(
        &mut self,
        owner: OwnerName<'_>,
        rtype: Rtype,
        ttl: u32,
        data: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Offset, MessageFull> {
        let checkpoint = self.checkpoint();
        self.owner(owner);
        let ([t0, t1], [c0, c1], [s0, s1, s2, s3]) =
            (rtype.0.to_be_bytes(), Class::IN.0.to_be_bytes(), ttl.to_be_bytes());
        self.out.extend_from_slice(&[t0, t1, c0, c1, s0, s1, s2, s3, 0, 0]); // hot path: one copy for each record
        let len_at = self.out.len() - 2;
        data(self.out);
        let len = self.out.len() - len_at - 2;
        let fits = self.len() <= self.limit && self.counts[self.section as usize] < u16::MAX;
        match u16::try_from(len) {
            Ok(len) if fits => {
                self.out[len_at..len_at + 2].copy_from_slice(&len.to_be_bytes());
                self.counts[self.section as usize] += 1;
                Ok(Offset(len_at + 2 - self.base))
            }
            _ => {
                self.roll_back(checkpoint);
                Err(MessageFull)
            }
        }
    }

    fn owner(&mut self, owner: OwnerName<'_>) {
        match owner {
            OwnerName::Question(skipped) => self.u16(0xc000 | (HEADER_LEN + skipped) as u16),
            OwnerName::Written(Offset(at), _) if at <= POINTER_MAX => self.u16(0xc000 | at as u16),
            OwnerName::Written(Offset(at), len) => {
                let at = self.base + at; // no pointer reaches it
                self.out.extend_from_within(at..at + len);
            }
            OwnerName::Name(wire) => self.out.extend_from_slice(wire),
        }
    }

    fn u16(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    /// Appends the tail, whose room the limit leaves free, and fills in the header.
    pub fn finish(mut self, id: u16, flags: u16, tail: impl FnOnce(&mut Vec<u8>) -> u16) {
        self.counts[Section::Additional as usize] += tail(self.out);
        let [answers, authorities, additionals] = self.counts;
        for (at, word) in [id, flags, self.questions, answers, authorities, additionals].into_iter().enumerate() {
            let at = self.base + 2 * at;
            self.out[at..at + 2].copy_from_slice(&word.to_be_bytes());
        }
    }
}

impl Offset {
    /// The offset N bytes later.
    pub fn plus(self, len: usize) -> Offset {
        Offset(self.0 + len)
    }

    /// The bytes that an owner name takes if the message holds it at this offset: a pointer, or the whole name where no
    /// pointer reaches.
    pub fn owner_len(self, wire_len: usize) -> usize {
        if self.0 <= POINTER_MAX { 2 } else { wire_len }
    }
}
