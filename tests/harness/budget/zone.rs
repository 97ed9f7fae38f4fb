//! A zone of any size, with Pods as in a real cluster, and the queries for it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callsign::dns::Name;
use callsign::index::{Index, Now};
use callsign::metrics::Metrics;
use callsign::registration::ProfileText;
use callsign::server::clients::ClientPolicy;
use callsign::server::{Responder, SharedFreshness};
use callsign::snapshot::{Snapshot, TxtKeys, ZoneSettings};
use callsign::source::{Change, Event, Phase, Pod, PodStatus, SourceId};
use callsign::zones::Zones;
use serde_json::{Value, json};

use super::provider::{Provider, interface_name};

/// The number of interfaces that one Pod registers.
pub(crate) const INTERFACES: usize = 5;

/// The number of Pods that register the same interfaces.
pub(crate) const REPLICAS: usize = 4;

/// The number of interfaces that a Pod in the namespace `wide` registers.
const INTERFACES_OF_WIDE: usize = 500;

/// Interfaces with large sets: one with an ordinary name, and one whose name leaves no room for an instance.
pub(crate) const LARGE: [&str; 2] = [
    "org.acme.Large",
    "a123456789012345678901234567890123456789012345678901234567890.b123456789012345678901234567890123456789012345678901\
     234567890.c12345678901234567890123456789012345678901234567890123456789.Long",
];

/// The number of events that the writer applies at once.
const BATCH: usize = 256;

const ZONE: &str = "rpc.cluster.local.";

/// An index with Pods, and its snapshot.
pub(crate) struct Zone {
    index: Index,
    pub(crate) snapshot: Arc<Snapshot>,
    provider: Provider,
    steps: u64,
    /// The number of list changes sent.
    told: usize,
}

impl Zone {
    /// This many Pods, four of a kind, with five registrations each.
    pub(crate) fn of_pods(pods: usize) -> Zone {
        let mut zone = Zone::empty();
        let provider = Provider::recorded();
        zone.list((0..pods).map(|number| pod(&provider, number, true)));
        zone
    }

    /// A namespace `wide` with this many interfaces, and one `large` in which this many Pods register each of
    /// [`LARGE`].
    pub(crate) fn of_extremes(interfaces: usize, endpoints: usize) -> Zone {
        let provider = Provider::recorded();
        let offer = |interface: &str, protocol: &str| {
            [("interface", interface), ("protocol", protocol), ("port", "20880")]
                .map(|(k, v)| json!({ "k": k, "v": v }))
        };
        let text = |offers: Vec<Value>| ProfileText::of_value(STANDARD.encode(Value::Array(offers).to_string()));
        let wide = (0..interfaces / INTERFACES_OF_WIDE).map(|number| {
            let names =
                (0..INTERFACES_OF_WIDE).map(|at| format!("org.acme.shop.Service{}", number * INTERFACES_OF_WIDE + at));
            let offers = names.flat_map(|name| offer(&name, "dubbo")).collect();
            Pod { namespace: "wide".into(), text: text(offers), ..pod(&provider, number, true) }
        });
        let large = (0..endpoints).map(|number| {
            let protocol = if number % 1_000 == 7 { "rare" } else { "dubbo" };
            let offers = LARGE.iter().flat_map(|interface| offer(interface, protocol)).collect();
            Pod { namespace: "large".into(), text: text(offers), ..pod(&provider, 50_000 + number, true) }
        });
        let mut zone = Zone::empty();
        zone.list(wide.chain(large));
        zone
    }

    /// A zone whose source has sent nothing yet.
    pub(crate) fn empty() -> Zone {
        let settings = Arc::new(settings());
        let zones = Arc::new(Zones::none(settings.origin.clone()));
        let snapshot = Arc::new(Snapshot::empty(settings.clone(), zones.clone()));
        let index = Index::new(settings, zones, vec![source()]);
        Zone { index, snapshot, provider: Provider::recorded(), steps: 0, told: 0 }
    }

    /// Sends a whole list in batches, as the writer applies it.
    pub(crate) fn list(&mut self, pods: impl IntoIterator<Item = Pod>) {
        self.take_in(Change::Begin);
        pods.into_iter().for_each(|pod| self.take_in(Change::Apply(Box::new(pod))));
        self.take_in(Change::Commit);
    }

    /// Sends one change of a list.
    pub(crate) fn take_in(&mut self, change: Change) {
        let is_end = matches!(change, Change::Commit);
        self.send(change);
        self.told += 1;
        if is_end || self.told.is_multiple_of(BATCH) {
            self.publish();
        }
    }

    /// Sends a Pod that has become ready or unready, and publishes.
    pub(crate) fn turn(&mut self, number: usize, ready: bool) {
        self.steps += 1;
        let pod = Pod { resource_version: self.steps + 1, ..pod(&self.provider, number, ready) };
        self.send(Change::Apply(Box::new(pod)));
        self.publish();
    }

    /// Sends a Pod that registers this many services, with every field new in each version, and publishes.
    pub(crate) fn write_anew(&mut self, version: usize, services: usize) {
        self.steps += 1;
        let field = |k: &str, v: String| json!({ "k": k, "v": v });
        let pairs: Vec<Value> = (0..services)
            .flat_map(|number| {
                [
                    field("interface", format!("a.I{version}x{number}")),
                    field("group", format!("g{version}-{number}")),
                    field("version", format!("v{version}-{number}")),
                    field("protocol", format!("p{version}-{number}")),
                    field("application", format!("a{version}-{number}")),
                    field("method", format!("m{version}-{number}")),
                    field("port", "1".to_owned()),
                    field(&format!("k{version}-{number}"), format!("v{version}-{number}")),
                ]
            })
            .collect();
        let annotation = STANDARD.encode(Value::Array(pairs).to_string());
        let resource_version = self.steps + 1;
        let pod = Pod { text: ProfileText::of_value(annotation), resource_version, ..pod(&self.provider, 0, true) };
        self.send(Change::Apply(Box::new(pod)));
        self.publish();
    }

    /// A responder that answers from the zone.
    pub(crate) fn responder(&self) -> Responder {
        Responder {
            snapshot: ArcSwap::new(self.snapshot.clone()),
            freshness: SharedFreshness::default(),
            nsid: b"budget".as_slice().into(),
            clients: ClientPolicy::default(),
            metrics: Arc::new(Metrics::new("0", "0")),
            logs_queries: false,
        }
    }

    fn send(&mut self, change: Change) {
        self.index.apply(Event { source: source(), change });
    }

    fn publish(&mut self) {
        self.steps += 1;
        let now = Now { monotonic: Duration::from_secs(self.steps), wall_eighths: 8 * self.steps as u32 };
        if let Some((snapshot, _)) = self.index.publish(now) {
            self.snapshot = snapshot;
        }
    }
}

/// A query as a client sends it, with EDNS or without.
pub(crate) fn query(name: &str, rtype: u16, with_edns: bool) -> Vec<u8> {
    let name: Name = name.parse().expect("a name");
    let mut message = vec![0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(with_edns)];
    message.extend_from_slice(name.wire());
    message.extend_from_slice(&rtype.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    if with_edns {
        message.extend_from_slice(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
    }
    message
}

/// The SRV name of a service.
pub(crate) fn service_name(kind: usize, interface: usize) -> String {
    format!("_rpc._tcp.{}.{}.{ZONE}", interface_name(kind, interface), namespace(kind))
}

/// The address of the client.
pub(crate) fn client() -> SocketAddr {
    SocketAddr::from(([10, 1, 2, 3], 5353))
}

fn namespace(kind: usize) -> String {
    format!("shop-{}", kind % 10)
}

pub(crate) fn pod(provider: &Provider, number: usize, ready: bool) -> Pod {
    let kind = number / REPLICAS;
    let address = Ipv4Addr::from(0x0af4_0000 + number as u32);
    let name = format!("shop-{kind}-6d5f7c9b8-{number:05}");
    Pod {
        namespace: namespace(kind).into(),
        uid: format!("5e4d1e0a-0000-4000-8000-{number:012}").into(),
        resource_version: 1,
        status: PodStatus {
            phase: Phase::Running,
            ready,
            pod_ips: [IpAddr::from(address)].into_iter().collect(),
            start_time: Some(1_700_000_000),
            ..PodStatus::default()
        },
        text: ProfileText::of_value(provider.annotation(kind, number, address, INTERFACES)),
        name: name.into(),
    }
}

pub(crate) fn source() -> SourceId {
    SourceId { cluster: "main".into(), profile: "dubbo".into(), namespace: None }
}

pub(crate) fn settings() -> ZoneSettings {
    let origin: Name = ZONE.parse().expect("a name");
    let ns: Name = format!("ns.{ZONE}").parse().expect("a name");
    let keys = ["weight", "serialization", "release", "region", "zone", "environment", "tag"];
    ZoneSettings {
        ttl: 5,
        negative_ttl: 5,
        ns_addresses: [(ns.key(), vec![IpAddr::from([192, 0, 2, 1])])].into(),
        ns: vec![ns],
        rname: format!("hostmaster.{ZONE}").parse().expect("a name"),
        reverse: [].into(),
        txt_keys: TxtKeys::Only(keys.map(str::to_owned).to_vec()),
        publish_not_ready: false,
        trust_addresses: false,
        namespace_bytes_max: u64::MAX,
        bytes_max: u64::MAX,
        key: origin.key(),
        labels: origin.label_count(),
        origin,
    }
}
