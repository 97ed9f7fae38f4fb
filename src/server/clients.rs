//! Who may ask, how much of it, and who has shown to be where they say.

pub mod cookies;
pub mod rate;
pub mod seats;

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::dns::{Rcode, Rtype};
use crate::metrics::Transport;
use crate::wire::{Cookie, Malformed, Own, Query};

use cookies::Cookies;
use rate::{RateLimit, Verdict};
use seats::Seats;

/// What holds for clients of DNS.
#[derive(Debug)]
pub struct Clients {
    /// Whom queries are answered to; anybody where none is named.
    pub allowed: Vec<IpNet>,
    /// Who is exempt from what holds for each client by itself: forwarders ask for many.
    pub trusted: Vec<IpNet>,
    /// The most connections at once at each address, so that no transport's clients keep out another's.
    pub connections_max: u32,
    /// The most of them of each client.
    pub connections_per_client_max: u32,
    /// How many leading bits of an IPv6 address are one client.
    pub prefix6: u8,
    /// DNS cookies, where they are on.
    pub cookies: Option<Arc<Cookies>>,
    /// How many replies a network gets by UDP, where that is limited.
    pub rate: Option<RateLimit>,
}

impl Default for Clients {
    fn default() -> Clients {
        Clients {
            allowed: Vec::new(),
            trusted: Vec::new(),
            connections_max: seats::ALL_MAX,
            connections_per_client_max: seats::PER_CLIENT_MAX,
            prefix6: seats::PREFIX6,
            cookies: None,
            rate: None,
        }
    }
}

/// What a query gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Its answer.
    Answered,
    /// A code alone.
    Refused(Rcode),
    /// An empty reply that sends it to TCP, where nobody can pretend to be another.
    SentToTcp,
    /// Nothing.
    Ignored,
}

impl Clients {
    /// The places at one address.
    pub fn seats(&self) -> Arc<Seats> {
        Arc::new(Seats::new(self.connections_max, self.connections_per_client_max, self.prefix6))
    }

    /// Whether a client's queries are answered.
    pub fn is_allowed(&self, client: IpAddr) -> bool {
        self.allowed.is_empty() || contains(&self.allowed, client)
    }

    /// Whether a client is exempt from what holds for each by itself.
    pub fn is_trusted(&self, client: IpAddr) -> bool {
        contains(&self.trusted, client)
    }

    /// What becomes of a query, and what the reply says of the server, its cookie among it.
    pub fn admit<'n>(
        &self,
        query: &Query<'_>,
        client: IpAddr,
        transport: Transport,
        nsid: &'n [u8],
    ) -> (Admission, Own<'n>) {
        let own = Own { nsid, cookie: None };
        let cookie = self.cookies.as_ref().zip(query.edns.and_then(|edns| edns.cookie));
        let (own, is_known) = match cookie {
            None => (own, false),
            Some((_, Cookie::Malformed)) => {
                let is_refused = self.admits_malformed(client, transport);
                return (if is_refused { Admission::Refused(Rcode::FORMERR) } else { Admission::Ignored }, own);
            }
            Some((cookies, Cookie::Of { client: theirs, server: ours })) => {
                let checked = cookies.check(theirs, ours, client);
                (Own { cookie: Some(checked.cookie), ..own }, checked.is_valid)
            }
        };
        let is_exempt = transport != Transport::Udp || is_known || is_health_probe(query);
        let admission = match &self.rate {
            Some(rate) if !is_exempt && !self.is_trusted(client) => match rate.take(client) {
                Verdict::Within => Admission::Answered,
                Verdict::Beyond => Admission::Ignored,
                // Who can take a cookie need not turn to TCP (RFC 7873 §5.2.3).
                Verdict::Slipped if own.cookie.is_some() => Admission::Refused(Rcode::BADCOOKIE),
                Verdict::Slipped => Admission::SentToTcp,
            },
            _ => Admission::Answered,
        };
        (admission, own)
    }

    /// What a message without a question came for, if that is a cookie (RFC 7873 §5.4), and whether the one that it
    /// brought was good.
    pub fn greet<'n>(&self, malformed: &Malformed<'_>, client: IpAddr, nsid: &'n [u8]) -> Option<(Rcode, Own<'n>)> {
        let is_without_question = malformed.question.is_empty() && malformed.rcode == Rcode::FORMERR;
        let cookies = self.cookies.as_ref().filter(|_| is_without_question)?;
        let Cookie::Of { client: theirs, server: ours } = malformed.edns?.cookie? else { return None };
        let checked = cookies.check(theirs, ours, client);
        let is_bad = ours.is_some() && !checked.is_valid;
        Some((if is_bad { Rcode::BADCOOKIE } else { Rcode::NOERROR }, Own { nsid, cookie: Some(checked.cookie) }))
    }

    /// Whether what cannot be read gets a reply.
    pub fn admits_malformed(&self, client: IpAddr, transport: Transport) -> bool {
        match &self.rate {
            Some(rate) if transport == Transport::Udp && !self.is_trusted(client) => {
                rate.take(client) == Verdict::Within
            }
            _ => true,
        }
    }
}

/// CoreDNS's `forward` asks for the root's servers to see whether we are there, and whoever is silent counts as down.
fn is_health_probe(query: &Query<'_>) -> bool {
    query.rtype == Rtype::NS && query.name.is_empty()
}

fn contains(networks: &[IpNet], client: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&client))
}
