//! The rules for clients: access, connections, cookies and rate limits.

pub mod cookies;
pub mod permits;
pub mod rate;

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::dns::{Rcode, Rtype};
use crate::server::Transport;
use crate::wire::{Cookie, Malformed, Query, ServerOptions};

use cookies::Cookies;
use permits::ConnectionPermits;
use rate::{RateLimit, Verdict};

/// The rules for clients of DNS.
#[derive(Debug)]
pub struct ClientPolicy {
    /// The networks whose queries get answers. If empty, every network.
    pub allowed: Vec<IpNet>,
    /// The networks that the limits for each client do not apply to: a forwarder asks for many clients.
    pub trusted: Vec<IpNet>,
    /// The most connections at once at each listen address. One transport's clients cannot keep out another's.
    pub connections_max: u32,
    /// The most of these connections from one client.
    pub connections_per_client_max: u32,
    /// The number of leading bits of an IPv6 address that identify a client.
    pub prefix6: u8,
    /// DNS cookies. `None` if they are off.
    pub cookies: Option<Arc<Cookies>>,
    /// The limit of UDP replies for each network. `None` if there is no limit.
    pub rate: Option<RateLimit>,
}

impl Default for ClientPolicy {
    fn default() -> ClientPolicy {
        ClientPolicy {
            allowed: Vec::new(),
            trusted: Vec::new(),
            connections_max: permits::ALL_MAX,
            connections_per_client_max: permits::PER_CLIENT_MAX,
            prefix6: permits::PREFIX6,
            cookies: None,
            rate: None,
        }
    }
}

/// The decision about a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It gets its answer.
    Answered,
    /// It gets REFUSED, because its client is in no allowed network.
    Prohibited,
    /// It gets a response code alone.
    Failed(Rcode),
    /// It gets an empty reply that sends the client to TCP, where a source address cannot be forged.
    SentToTcp,
    /// It gets no reply.
    Ignored,
}

impl ClientPolicy {
    /// The connection limits of one listen address.
    pub fn permits(&self) -> Arc<ConnectionPermits> {
        Arc::new(ConnectionPermits::new(self.connections_max, self.connections_per_client_max, self.prefix6))
    }

    /// Whether a client's queries get answers.
    fn is_allowed(&self, client: IpAddr) -> bool {
        self.allowed.is_empty() || contains(&self.allowed, client)
    }

    /// Whether a client is exempt from the limits for each client.
    pub fn is_trusted(&self, client: IpAddr) -> bool {
        contains(&self.trusted, client)
    }

    /// Decides about a query. Also returns the server's EDNS options for the reply, with its cookie.
    pub fn admit<'n>(
        &self,
        query: &Query<'_>,
        client: IpAddr,
        transport: Transport,
        nsid: &'n [u8],
    ) -> (Admission, ServerOptions<'n>) {
        let own = ServerOptions { nsid, cookie: None };
        let cookie = self.cookies.as_ref().zip(query.edns.and_then(|edns| edns.cookie));
        let (own, is_known) = match cookie {
            None => (own, false),
            Some((_, Cookie::Malformed)) if self.admits_malformed(client, transport) => {
                return (Admission::Failed(Rcode::FORMERR), own);
            }
            Some((_, Cookie::Malformed)) => return (Admission::Ignored, own),
            Some((cookies, Cookie::Of { client: theirs, server: ours })) => {
                let checked = cookies.check(theirs, ours, client);
                (ServerOptions { cookie: Some(checked.cookie), ..own }, checked.is_valid)
            }
        };
        let is_exempt = is_known || is_health_probe(query);
        let verdict = if is_exempt { Verdict::Within } else { self.take(client, transport) };
        let admission = match verdict {
            Verdict::Within if self.is_allowed(client) => Admission::Answered,
            Verdict::Within => Admission::Prohibited,
            Verdict::Beyond => Admission::Ignored,
            // A client that supports cookies need not turn to TCP (RFC 7873 §5.2.3).
            Verdict::Slipped if own.cookie.is_some() => Admission::Failed(Rcode::BADCOOKIE),
            Verdict::Slipped => Admission::SentToTcp,
        };
        (admission, own)
    }

    /// The response code and options for a message that has no question and asks for a cookie (RFC 7873 §5.4). The code is
    /// BADCOOKIE if the message brings an invalid cookie. `None` for any other message.
    pub fn cookie_reply<'n>(
        &self,
        malformed: &Malformed<'_>,
        client: IpAddr,
        nsid: &'n [u8],
    ) -> Option<(Rcode, ServerOptions<'n>)> {
        let is_without_question = malformed.question.is_empty() && malformed.rcode == Rcode::FORMERR;
        let cookies = self.cookies.as_ref().filter(|_| is_without_question)?;
        let Cookie::Of { client: theirs, server: ours } = malformed.edns?.cookie? else { return None };
        let checked = cookies.check(theirs, ours, client);
        let is_bad = ours.is_some() && !checked.is_valid;
        Some((
            if is_bad { Rcode::BADCOOKIE } else { Rcode::NOERROR },
            ServerOptions { nsid, cookie: Some(checked.cookie) },
        ))
    }

    /// Whether a malformed message gets a reply.
    pub fn admits_malformed(&self, client: IpAddr, transport: Transport) -> bool {
        self.take(client, transport) == Verdict::Within
    }

    /// Takes one reply from the rate of a client's network. Only replies over UDP have a rate.
    fn take(&self, client: IpAddr, transport: Transport) -> Verdict {
        match &self.rate {
            Some(rate) if transport == Transport::Udp && !self.is_trusted(client) => rate.take(client),
            _ => Verdict::Within,
        }
    }
}

/// Whether a query is a health check of CoreDNS's `forward`: it asks for the root's NS, and a server that does not reply
/// counts as down.
fn is_health_probe(query: &Query<'_>) -> bool {
    query.rtype == Rtype::NS && query.name.is_empty()
}

fn contains(networks: &[IpNet], client: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&client))
}
