//! Turns queries into replies: one [`Responder`] for all transports.

pub mod clients;
mod counters;
mod drop_reason;
pub mod encrypted;
pub mod listen;
pub mod tcp;
mod transport;
pub mod udp;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::answer::{self, Answer, ExtendedError, Question};
use crate::dns::{Rcode, Rtype};
use crate::snapshot::{PublishedZone, Snapshot};
use crate::wire::{self, Edns, HEADER_LEN, Limits, Malformed, Outcome, Query, Received, ServerOptions};
use clients::{Admission, ClientPolicy};
pub use counters::{OpenConnection, ServerCounters};
pub use drop_reason::DropReason;
pub use transport::Transport;

/// The state that all transports share: the zone, and what else a reply depends on.
pub struct Responder {
    pub zone: Arc<PublishedZone>,
    /// The server's identity (RFC 5001).
    pub nsid: Box<[u8]>,
    /// The rules for clients.
    pub clients: ClientPolicy,
    pub counters: Arc<ServerCounters>,
    /// Whether each query that gets a reply is a log line (`--log-queries`).
    pub logs_queries: bool,
}

impl Responder {
    /// Appends the reply to a message, from one snapshot. Returns `None` if the message gets no reply.
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
    ) -> Option<Outcome> {
        let start = out.len();
        let responded = AssertUnwindSafe(|| self.reply(snapshot, message, client, transport, out)); // truncated below
        catch_unwind(responded).unwrap_or_else(|_| {
            out.truncate(start);
            self.fail_reply(message, out)
        })
    }

    /// Appends a SERVFAIL header, made from the query's header alone.
    fn fail_reply(&self, message: &[u8], out: &mut Vec<u8>) -> Option<Outcome> {
        self.counters.panicked();
        let header = message.first_chunk::<HEADER_LEN>()?;
        let kept = header[2] & 0b0111_1001; // the opcode and RD
        let rcode = Rcode::SERVFAIL;
        out.extend_from_slice(&[header[0], header[1], 0x80 | kept, rcode.0 as u8, 0, 0, 0, 0, 0, 0, 0, 0]);
        Some(Outcome { rcode, is_cut: false, ttl: 0 })
    }

    fn reply(
        &self,
        snapshot: &Snapshot,
        message: &[u8],
        client: SocketAddr,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Option<Outcome> {
        let received = wire::parse(message);
        if transport == Transport::Quic && !received.is_legal_over_quic() {
            return self.count_dropped(DropReason::NotAQuery);
        }
        let (rtype, outcome) = match received {
            Received::Nothing => return self.count_dropped(DropReason::NotAQuery),
            Received::Malformed(malformed) => {
                if !self.clients.admits_malformed(client.ip(), transport) {
                    return self.count_dropped(DropReason::RateLimit);
                }
                let (malformed, own) = self.reply_to_malformed(malformed, client);
                (Rtype(0), malformed.reply(limits(transport, malformed.edns), own, out))
            }
            Received::Query(query) => {
                let limits = limits(transport, query.edns);
                let (admission, own) = self.clients.admit(&query, client.ip(), transport, &self.nsid);
                let outcome = match admission {
                    Admission::Answered => {
                        let answer = self.look_up(snapshot, &query, client);
                        wire::reply(&query, &answer, snapshot, limits, own, out)
                    }
                    Admission::Prohibited => {
                        let answer = answer::failure(Rcode::REFUSED, Some(ExtendedError::PROHIBITED));
                        wire::reply(&query, &answer, snapshot, limits, own, out)
                    }
                    Admission::Failed(rcode) => query.failed(rcode).reply(limits, own, out),
                    Admission::SentToTcp => query.reply_cut(limits, own, out),
                    Admission::Ignored => return self.count_dropped(DropReason::RateLimit),
                };
                self.log(&query, client, transport, outcome);
                (query.rtype, outcome)
            }
        };
        self.count(rtype, transport, outcome);
        Some(outcome)
    }

    /// The reply to a message that is not a query: its response code, or a cookie if it asks for a cookie alone.
    fn reply_to_malformed<'m>(
        &self,
        malformed: Malformed<'m>,
        client: SocketAddr,
    ) -> (Malformed<'m>, ServerOptions<'_>) {
        match self.clients.cookie_reply(&malformed, client.ip(), &self.nsid) {
            Some((rcode, own)) => (Malformed { rcode, ..malformed }, own),
            None => (malformed, ServerOptions { nsid: &self.nsid, cookie: None }),
        }
    }

    fn count_dropped(&self, reason: DropReason) -> Option<Outcome> {
        self.counters.dropped(reason);
        None
    }

    fn count(&self, rtype: Rtype, transport: Transport, outcome: Outcome) {
        self.counters.query(rtype, transport, outcome.rcode);
        if outcome.is_cut {
            self.counters.truncated(transport);
        }
    }

    fn look_up<'s>(&self, snapshot: &'s Snapshot, query: &Query<'_>, client: SocketAddr) -> Answer<'s> {
        if query.signature.is_some() {
            return answer::failure(Rcode::NOTAUTH, None); // this server has no TSIG keys
        }
        let question = Question {
            name: &query.name,
            spelling: query.name_wire(),
            rtype: query.rtype,
            class: query.class,
            client: client.ip(),
            freshness: self.zone.freshness.load(),
        };
        answer::answer(snapshot, &question)
    }

    fn log(&self, query: &Query<'_>, client: SocketAddr, transport: Transport, outcome: Outcome) {
        if self.logs_queries {
            let name = query.name_text();
            tracing::info!(target: "callsign::query", %client, %transport, %name, rtype = %query.rtype, rcode = %outcome.rcode);
        }
    }
}

fn limits(transport: Transport, edns: Option<Edns>) -> Limits {
    match transport {
        Transport::Udp => Limits::udp(edns),
        Transport::Tcp => Limits::tcp(),
        Transport::Tls | Transport::Https | Transport::Quic => Limits::encrypted(),
    }
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Responder").finish_non_exhaustive()
    }
}
