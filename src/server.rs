//! Turns queries into replies: one [`Responder`] for all transports.

pub mod clients;
pub mod encrypted;
pub mod hickory;
pub mod listen;
pub mod stream;
pub mod udp;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use arc_swap::ArcSwap;

use crate::answer::{self, Answer, ExtendedError, Freshness, Question};
use crate::dns::{Rcode, Rtype};
use crate::metrics::{Dropped, Metrics, Transport};
use crate::snapshot::Snapshot;
use crate::wire::{self, HEADER_LEN, Limits, Malformed, Outcome, Own, Query, Received};
use clients::{Admission, Clients};

/// The state that all transports share: the current snapshot, and what else a reply depends on.
pub struct Responder {
    /// The current snapshot.
    pub snapshot: ArcSwap<Snapshot>,
    /// Whether the data about Pods is current. A task of `app` updates it.
    pub freshness: SharedFreshness,
    /// The server's identity (RFC 5001).
    pub nsid: Box<[u8]>,
    /// The rules for clients.
    pub clients: Clients,
    /// The metrics that replies count in.
    pub metrics: Arc<Metrics>,
    /// Whether each query is a log line (`--log-queries`).
    pub logs_queries: bool,
}

/// A [`Freshness`] that one task sets and all threads read.
#[derive(Debug, Default)]
pub struct SharedFreshness(AtomicU8);

impl SharedFreshness {
    /// The current value.
    pub fn load(&self) -> Freshness {
        match self.0.load(Ordering::Relaxed) {
            0 => Freshness::Fresh,
            1 => Freshness::Stale,
            _ => Freshness::Expired,
        }
    }

    /// Sets the value for all later queries.
    pub fn store(&self, freshness: Freshness) {
        self.0.store(freshness as u8, Ordering::Relaxed);
    }
}

impl Responder {
    /// Appends the reply to a message, from one snapshot. Returns false if the message gets no reply.
    ///
    /// If our code panics on a query, only that query fails: its client receives SERVFAIL, and the other queries of the
    /// batch get their answers.
    pub fn respond(
        &self,
        snapshot: &Snapshot,
        message: &[u8],
        client: SocketAddr,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> bool {
        let start = out.len();
        let responded = AssertUnwindSafe(|| self.reply(snapshot, message, client, transport, out)); // truncated below
        catch_unwind(responded).unwrap_or_else(|_| {
            out.truncate(start);
            self.give_up(message, out)
        })
    }

    /// Parses a message. If our code panics on it, only this message is lost.
    pub(crate) fn read<'m>(&self, message: &'m [u8]) -> Received<'m> {
        catch_unwind(|| wire::parse(message)).unwrap_or_else(|_| {
            self.metrics.panicked();
            Received::Nothing
        })
    }

    /// Appends the reply to a parsed message over an encrypted transport, otherwise as [`Responder::respond`] does. Returns
    /// the number of seconds that the reply stays valid, or `None` if the message gets no reply.
    pub(crate) fn respond_by_hickory(
        &self,
        message: &[u8],
        received: &Received<'_>,
        client: SocketAddr,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Option<u32> {
        let start = out.len();
        let responded = AssertUnwindSafe(|| self.reply_by_hickory(received, client, transport, out)); // truncated below
        catch_unwind(responded).unwrap_or_else(|_| {
            out.truncate(start);
            self.give_up(message, out).then_some(0)
        })
    }

    /// Appends a SERVFAIL header, made from the query's header alone.
    fn give_up(&self, message: &[u8], out: &mut Vec<u8>) -> bool {
        self.metrics.panicked();
        let Some(header) = message.first_chunk::<HEADER_LEN>() else { return false };
        let kept = header[2] & 0b0111_1001; // the opcode and RD
        out.extend_from_slice(&[header[0], header[1], 0x80 | kept, Rcode::SERVFAIL.0 as u8, 0, 0, 0, 0, 0, 0, 0, 0]);
        true
    }

    fn reply(
        &self,
        snapshot: &Snapshot,
        message: &[u8],
        client: SocketAddr,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> bool {
        let (rtype, outcome) = match wire::parse(message) {
            Received::Nothing => return self.drop(Dropped::NotAQuery),
            Received::Malformed(malformed) => {
                if !self.clients.admits_malformed(client.ip(), transport) {
                    return self.drop(Dropped::RateLimit);
                }
                let (malformed, own) = self.greet(malformed, client);
                (None, malformed.reply(own, out))
            }
            Received::Query(query) => {
                let (admission, own) = self.admit(&query, client, transport);
                let outcome = match admission {
                    Admission::Answered => self.answer(snapshot, &query, client, transport, own, out),
                    Admission::Refused(rcode) => query.refused(rcode).reply(own, out),
                    Admission::SentToTcp => query.reply_cut(own, out),
                    Admission::Ignored => return self.drop(Dropped::RateLimit),
                };
                (Some(query.rtype), outcome)
            }
        };
        self.count(rtype, transport, outcome);
        true
    }

    fn reply_by_hickory(
        &self,
        received: &Received<'_>,
        client: SocketAddr,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Option<u32> {
        let (rtype, composed) = match received {
            Received::Nothing => {
                self.drop(Dropped::NotAQuery);
                return None;
            }
            Received::Malformed(malformed) => {
                let (malformed, own) = self.greet(malformed.clone(), client);
                (None, hickory::refuse(&malformed, own, out))
            }
            Received::Query(query) => {
                let composed = match self.admit(query, client, transport) {
                    (Admission::Refused(rcode), own) => hickory::refuse(&query.refused(rcode), own, out),
                    (_, own) => {
                        let snapshot = self.snapshot.load();
                        let answer = self.look_up(&snapshot, query, client);
                        hickory::reply(query, &answer, &snapshot, Limits::tcp(), own, out)
                    }
                };
                self.log(query, client, transport, composed.outcome);
                (Some(query.rtype), composed)
            }
        };
        self.count(rtype, transport, composed.outcome);
        Some(composed.ttl)
    }

    fn admit(&self, query: &Query<'_>, client: SocketAddr, transport: Transport) -> (Admission, Own<'_>) {
        self.clients.admit(query, client.ip(), transport, &self.nsid)
    }

    /// The reply to a message that is not a query: its response code, or a cookie if it asks for a cookie alone.
    fn greet<'m>(&self, malformed: Malformed<'m>, client: SocketAddr) -> (Malformed<'m>, Own<'_>) {
        match self.clients.greet(&malformed, client.ip(), &self.nsid) {
            Some((rcode, own)) => (Malformed { rcode, ..malformed }, own),
            None => (malformed, Own { nsid: &self.nsid, cookie: None }),
        }
    }

    fn drop(&self, reason: Dropped) -> bool {
        self.metrics.dropped(reason);
        false
    }

    fn count(&self, rtype: Option<Rtype>, transport: Transport, outcome: Outcome) {
        self.metrics.query(rtype.unwrap_or(Rtype(0)), transport, outcome.rcode);
        if outcome.is_cut {
            self.metrics.cut(transport);
        }
    }

    fn answer(
        &self,
        snapshot: &Snapshot,
        query: &Query<'_>,
        client: SocketAddr,
        transport: Transport,
        own: Own<'_>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let answer = self.look_up(snapshot, query, client);
        let limits = if transport == Transport::Udp { Limits::udp(query.edns) } else { Limits::tcp() };
        let outcome = wire::reply(query, &answer, snapshot, limits, own, out);
        self.log(query, client, transport, outcome);
        outcome
    }

    fn look_up<'s>(&self, snapshot: &'s Snapshot, query: &Query<'_>, client: SocketAddr) -> Answer<'s> {
        let question = Question {
            name: &query.name,
            spelling: query.name_wire(),
            rtype: query.rtype,
            class: query.class,
            client: client.ip(),
            freshness: self.freshness.load(),
        };
        if !self.clients.is_allowed(question.client) {
            return answer::failure(Rcode::REFUSED, Some(ExtendedError::PROHIBITED));
        }
        match query.signature {
            Some(_) => answer::failure(Rcode::NOTAUTH, None), // this server has no TSIG keys
            None => answer::answer(snapshot, &question),
        }
    }

    fn log(&self, query: &Query<'_>, client: SocketAddr, transport: Transport, outcome: Outcome) {
        if self.logs_queries {
            let name = query.spelled();
            tracing::info!(target: "callsign::query", %client, %transport, %name, rtype = %query.rtype, rcode = %outcome.rcode);
        }
    }
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Responder").finish_non_exhaustive()
    }
}
