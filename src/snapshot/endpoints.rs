//! A service's ready registrations in a stable order.
//!
//! Each takes 24 bytes. They lie in chunks that snapshots share: a change to a set of 20,000 copies one chunk of 256,
//! and composing an answer does not read the Pods.

use std::net::{IpAddr, Ipv4Addr};
use std::slice;
use std::sync::Arc;

use smallvec::SmallVec;

/// The most endpoints in one chunk. A change copies up to 6 KiB.
const CHUNK_LEN_MAX: usize = 256;

/// A Pod's index in the snapshot's table.
pub type PodSlot = u32;

/// One ready registration.
///
/// The order is a hash of the interface and the target. All registrations of a target are neighbours, and two
/// interfaces of the same Pods have different orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    order: u64,
    /// The first address if it is IPv4. Otherwise 0, and the Pod's record has it.
    ipv4: u32,
    port: u16,
    /// The registration's index in its Pod, below 1,024, and the flag `INDIRECT`.
    place: u16,
    pod: PodSlot,
    weight: u16,
    protocol: u16,
}

/// The addresses are in the Pod's record: the first is IPv6, or there are several.
const INDIRECT: u16 = 1 << 15;

/// What an [`Endpoint`] is made of.
#[derive(Clone, Copy, Debug)]
pub struct EndpointParts<'a> {
    /// The seed of the service's order ([`order_seed`]).
    pub seed: u64,
    /// The addresses; the first is the target.
    pub addresses: &'a [IpAddr],
    /// Never 0.
    pub port: u16,
    /// Never 0.
    pub weight: u16,
    /// The protocol's label, if the protocol has one.
    pub protocol: Option<&'a str>,
    /// The slot of the Pod that registers it.
    pub pod: PodSlot,
    /// The registration's index in the Pod's record.
    pub registration: u16,
}

impl Endpoint {
    /// `None` without an address.
    pub fn new(parts: EndpointParts<'_>) -> Option<Endpoint> {
        let target = *parts.addresses.first()?;
        let mut place = parts.registration;
        if target.is_ipv6() || parts.addresses.len() > 1 {
            place |= INDIRECT;
        }
        let (order, ipv4) = match target {
            IpAddr::V4(address) => (hash(parts.seed, &address.octets()), address.into()),
            IpAddr::V6(address) => (hash(parts.seed, &address.octets()), 0),
        };
        let protocol = parts.protocol.map_or(0, protocol_mark);
        Some(Endpoint { order, ipv4, port: parts.port, place, pod: parts.pod, weight: parts.weight, protocol })
    }

    /// The slot of the Pod that registers it.
    pub fn pod(&self) -> PodSlot {
        self.pod
    }

    /// The registration's index in the Pod's record.
    pub fn registration(&self) -> usize {
        usize::from(self.place & !INDIRECT)
    }

    /// Never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Never 0.
    pub fn weight(&self) -> u16 {
        self.weight
    }

    /// The address, if it has only one and that is IPv4. Otherwise the Pod's record has the addresses.
    pub fn sole_ipv4(&self) -> Option<Ipv4Addr> {
        (self.place & INDIRECT == 0).then(|| self.ipv4.into())
    }

    /// Whether it may have this protocol. It stores only 16 bits of a hash, so `true` can be wrong and `false` cannot.
    pub fn may_speak(&self, protocol: &str) -> bool {
        self.protocol == protocol_mark(protocol)
    }

    /// Whether both give the same SRV record except for the weight: the same (target, port).
    pub fn is_same_socket(&self, other: &Endpoint) -> bool {
        self.is_same_target(other) && self.port == other.port
    }

    /// Whether both have the same target.
    pub fn is_same_target(&self, other: &Endpoint) -> bool {
        self.target() == other.target()
    }

    /// Identifies its target within a set.
    pub fn target(&self) -> (u64, u32) {
        (self.order, self.ipv4)
    }
}

/// Endpoints in order. A clone is cheap.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// Usually one.
    chunks: SmallVec<[Arc<[Endpoint]>; 1]>,
    len: u32,
    places: u32,
    /// How many endpoints are not a single IPv4 address.
    indirect: u32,
}

impl Endpoints {
    /// The number of endpoints.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of distinct (target, port) pairs.
    pub fn socket_count(&self) -> usize {
        self.places as usize
    }

    /// Whether every endpoint is a single IPv4 address.
    pub fn are_sole_ipv4(&self) -> bool {
        self.indirect == 0
    }

    /// Adds an endpoint unless it is present.
    pub fn insert(&mut self, endpoint: Endpoint) {
        let (chunk, at) = match self.find(&endpoint) {
            Ok(_) => return,
            Err(place) => place,
        };
        self.places += u32::from(!self.has_neighbour(chunk, at, at, &endpoint));
        self.len += 1;
        self.indirect += u32::from(endpoint.sole_ipv4().is_none());
        let Some(old) = self.chunks.get(chunk) else {
            self.chunks.push(Arc::new([endpoint]));
            return;
        };
        let new: Vec<Endpoint> = old[..at].iter().chain([&endpoint]).chain(&old[at..]).copied().collect();
        if new.len() <= CHUNK_LEN_MAX {
            self.chunks[chunk] = new.into();
        } else {
            let (low, high) = new.split_at(new.len() / 2);
            self.chunks[chunk] = low.into();
            self.chunks.insert(chunk + 1, high.into());
        }
    }

    /// Removes an endpoint if it is present.
    pub fn remove(&mut self, endpoint: &Endpoint) {
        let Ok((chunk, at)) = self.find(endpoint) else { return };
        self.places -= u32::from(!self.has_neighbour(chunk, at, at + 1, endpoint));
        self.len -= 1;
        self.indirect -= u32::from(endpoint.sole_ipv4().is_none());
        let old = &self.chunks[chunk];
        let new: Vec<Endpoint> = old[..at].iter().chain(&old[at + 1..]).copied().collect();
        if new.is_empty() {
            self.chunks.remove(chunk);
            return;
        }
        self.chunks[chunk] = new.into();
        self.join(chunk);
    }

    /// Joins a chunk with the next one once both are small, so that a shrunken set has few chunks.
    fn join(&mut self, chunk: usize) {
        let Some([one, next]) = self.chunks.get(chunk..chunk + 2) else { return };
        if one.len() + next.len() <= CHUNK_LEN_MAX / 2 {
            self.chunks[chunk] = one.iter().chain(next.iter()).copied().collect();
            self.chunks.remove(chunk + 1);
        }
    }

    /// The endpoints at the target of `of`.
    pub fn at_target(&self, of: &Endpoint) -> impl Iterator<Item = &Endpoint> {
        let first = Endpoint { order: of.order, ipv4: of.ipv4, port: 0, place: 0, pod: 0, weight: 0, protocol: 0 };
        let (chunk, at) = self.find(&first).unwrap_or_else(|position| position);
        let rest = self.chunks.get(chunk..).unwrap_or_default().iter().flat_map(|chunk| chunk.iter()).skip(at);
        rest.take_while(move |endpoint| endpoint.is_same_target(&first))
    }

    /// The chunk and index of an endpoint, or as an error the position where it would go.
    fn find(&self, endpoint: &Endpoint) -> Result<(usize, usize), (usize, usize)> {
        let after = self.chunks.partition_point(|chunk| chunk.first().is_some_and(|first| first <= endpoint));
        let chunk = after.saturating_sub(1);
        let Some(found) = self.chunks.get(chunk) else { return Err((0, 0)) };
        match found.binary_search(endpoint) {
            Ok(at) => Ok((chunk, at)),
            Err(at) => Err((chunk, at)),
        }
    }

    /// Whether the endpoint before `before`, or the one at `after`, has the same (target, port).
    fn has_neighbour(&self, chunk: usize, before: usize, after: usize, endpoint: &Endpoint) -> bool {
        let same = |neighbour: Option<&Endpoint>| neighbour.is_some_and(|neighbour| neighbour.is_same_socket(endpoint));
        let last_of = |chunk: usize| self.chunks.get(chunk).and_then(|chunk| chunk.last());
        let Some(here) = self.chunks.get(chunk) else { return false };
        let previous = before.checked_sub(1).map_or_else(|| chunk.checked_sub(1).and_then(last_of), |at| here.get(at));
        let next = here.get(after).or_else(|| self.chunks.get(chunk + 1).and_then(|chunk| chunk.first()));
        same(previous) || same(next)
    }

    /// The endpoint at an index in the order.
    pub fn get(&self, at: usize) -> Option<&Endpoint> {
        let mut skipped = at;
        for chunk in &self.chunks {
            match chunk.get(skipped) {
                Some(endpoint) => return Some(endpoint),
                None => skipped -= chunk.len(),
            }
        }
        None
    }

    /// All endpoints in order.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> + Clone {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// All endpoints, starting at `start` and wrapping around.
    pub fn iter_from(&self, start: usize) -> RotatedEndpoints<'_> {
        let mut skipped = start;
        for (at, chunk) in self.chunks.iter().enumerate() {
            if let Some((head, rest)) = chunk.split_at_checked(skipped)
                && !rest.is_empty()
            {
                let (before, after) = (&self.chunks[..at], &self.chunks[at + 1..]);
                return RotatedEndpoints { run: rest.iter(), after: after.iter(), before: before.iter(), head };
            }
            skipped -= chunk.len();
        }
        RotatedEndpoints::default()
    }
}

/// Endpoints in order, starting at one of them and wrapping around.
#[derive(Clone, Debug, Default)]
pub struct RotatedEndpoints<'e> {
    run: slice::Iter<'e, Endpoint>,
    after: slice::Iter<'e, Arc<[Endpoint]>>,
    before: slice::Iter<'e, Arc<[Endpoint]>>,
    /// The endpoints before the first one in its chunk. They come last.
    head: &'e [Endpoint],
}

impl<'e> Iterator for RotatedEndpoints<'e> {
    type Item = &'e Endpoint;

    fn next(&mut self) -> Option<&'e Endpoint> {
        loop {
            if let Some(endpoint) = self.run.next() {
                return Some(endpoint);
            }
            self.run = match self.after.next().or_else(|| self.before.next()) {
                Some(chunk) => chunk.iter(),
                None if self.head.is_empty() => return None,
                None => std::mem::take(&mut self.head).iter(),
            };
        }
    }
}

/// The seed for the order of an interface's endpoints in a namespace.
pub fn order_seed(namespace: &str, interface: &[u8]) -> u64 {
    hash(hash(0, namespace.as_bytes()), interface)
}

/// A stable hash, the same in every replica: FNV-1a, finished with the mixing of `splitmix64` so that all bits count.
///
/// It spreads load and orders records. It does not resist deliberate collisions, and nothing relies on that.
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed;
    let mut hash = bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// A protocol's 16 bits. Never 0, which stands for no protocol.
fn protocol_mark(protocol: &str) -> u16 {
    (hash(0, protocol.as_bytes()) as u16).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoint(target: u8, port: u16, pod: PodSlot) -> Endpoint {
        let addresses = [IpAddr::from([10, 0, 0, target])];
        Endpoint::new(EndpointParts {
            seed: 7,
            addresses: &addresses,
            port,
            weight: 100,
            protocol: Some("dubbo"),
            pod,
            registration: 0,
        })
        .unwrap()
    }

    #[test]
    fn an_endpoint_is_24_bytes() {
        assert_eq!(size_of::<Endpoint>(), 24);
    }

    #[test]
    fn large_sets_are_chunked_and_shrink_again() {
        let all: Vec<Endpoint> =
            (0..200).flat_map(|target| (1..=5).map(move |port| endpoint(target, port, 0))).collect();
        let mut endpoints = Endpoints::default();
        all.iter().for_each(|endpoint| endpoints.insert(*endpoint));
        assert_eq!((endpoints.len(), endpoints.socket_count()), (1000, 1000));
        assert!(endpoints.chunks.iter().all(|chunk| chunk.len() <= CHUNK_LEN_MAX));
        all.iter().skip(4).for_each(|endpoint| endpoints.remove(endpoint));
        assert_eq!((endpoints.len(), endpoints.socket_count(), endpoints.chunks.len()), (4, 4, 1));
    }

    proptest! {
        /// Any sequence of insertions and removals gives the same as a sorted list, from any start.
        #[test]
        fn as_a_sorted_list(
            steps in proptest::collection::vec((any::<bool>(), 0u8..12, 1u16..4, 0u32..3), 0..400), start in 0usize..500
        ) {
            let mut endpoints = Endpoints::default();
            let mut model = std::collections::BTreeSet::new();
            for (add, target, port, pod) in steps {
                let endpoint = endpoint(target, port, pod);
                if add {
                    endpoints.insert(endpoint);
                    model.insert(endpoint);
                } else {
                    endpoints.remove(&endpoint);
                    model.remove(&endpoint);
                }
            }
            let model: Vec<Endpoint> = model.into_iter().collect();
            prop_assert_eq!(endpoints.iter().copied().collect::<Vec<_>>(), model.clone());
            let places: std::collections::HashSet<_> = model.iter().map(|e| (e.order, e.port)).collect();
            prop_assert_eq!((endpoints.len(), endpoints.socket_count()), (model.len(), places.len()));
            let start = start % model.len().max(1);
            let turned: Vec<Endpoint> = model[start..].iter().chain(&model[..start]).copied().collect();
            prop_assert_eq!(endpoints.iter_from(start).copied().collect::<Vec<_>>(), turned);
        }
    }
}
