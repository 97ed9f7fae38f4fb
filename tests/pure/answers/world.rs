//! A zone made from a few Pods, and a way to query it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use callsign::answer::{self, Answer, Freshness, Question};
use callsign::dns::{Name, Rcode};
use callsign::index::{Index, Now};
use callsign::name;
use callsign::registration::ProfileText;
use callsign::snapshot::{Snapshot, TxtKeys, ZoneSettings};
use callsign::source::{Change, Phase, Pod, PodStatus, SourceId, WatchProfile};
use callsign::wire::{self, Limits, Query, Received, ServerOptions};
use callsign::zones::Zones;
use domain::base::iana::Rtype;

use crate::harness::ask::{Ask, Reply};

/// The origin of the zone in all these tests.
pub(crate) const ZONE: &str = "rpc.cluster.local.";

/// What the server says about itself in EDNS.
pub(crate) const OWN: ServerOptions<'_> = ServerOptions { nsid: b"test", cookie: None };

/// The index, and what it has received.
pub(crate) struct World {
    index: Index,
    snapshot: Arc<Snapshot>,
    millis: u64,
    /// What each profile's source has sent, and what its open list has named.
    told: BTreeMap<(String, Arc<str>), Pod>,
    listed: BTreeMap<String, BTreeSet<Arc<str>>>,
    pub(crate) client: IpAddr,
    pub(crate) freshness: Freshness,
}

/// The operator's settings. A test may change them.
pub(crate) fn settings() -> ZoneSettings {
    let origin: Name = ZONE.parse().unwrap();
    let ns: Name = format!("ns.{ZONE}").parse().unwrap();
    let networks = ["10.244.0.0/16", "fd00::/8"].map(|network| network.parse().unwrap());
    let reverse = networks.into_iter().flat_map(|network| name::reverse_zones(network).unwrap());
    let keys = ["weight", "serialization", "release", "region", "zone", "environment", "tag"];
    ZoneSettings {
        ttl: 5,
        negative_ttl: 5,
        ns_addresses: [(ns.key(), vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()])].into(),
        ns: vec![ns],
        rname: format!("hostmaster.{ZONE}").parse().unwrap(),
        reverse: reverse.map(|zone| (zone.key(), zone)).collect(),
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

/// The source of a profile.
pub(crate) fn source(profile: &str) -> SourceId {
    SourceId { cluster: "test".into(), profile: profile.into(), namespace: None }
}

impl World {
    /// A synced zone of these Pods.
    pub(crate) fn of(pods: impl IntoIterator<Item = Pod>) -> World {
        World::with(settings(), pods)
    }

    /// The same under other settings.
    pub(crate) fn with(settings: ZoneSettings, pods: impl IntoIterator<Item = Pod>) -> World {
        let mut world = World::unsynced(settings);
        world.send(Change::Begin);
        pods.into_iter().for_each(|pod| world.send(Change::Apply(Box::new(pod))));
        world.send(Change::Commit);
        world.publish();
        world
    }

    /// A synced zone of these Pods beside zone files. Each file is an origin and its text.
    pub(crate) fn beside(files: &[(&str, &str)], pods: impl IntoIterator<Item = Pod>) -> World {
        let mut world = World::of(pods);
        world.set_zones(zones(files));
        world
    }

    /// Replaces the zone files and publishes.
    pub(crate) fn set_zones(&mut self, zones: Arc<Zones>) {
        self.index.set_zones(zones);
        self.publish();
    }

    /// A zone whose sources have sent nothing yet.
    pub(crate) fn unsynced(settings: ZoneSettings) -> World {
        World::of_profiles(settings, &["app"])
    }

    /// The same with a source for each of several profiles.
    pub(crate) fn of_profiles(settings: ZoneSettings, profiles: &[&str]) -> World {
        let zones = Arc::new(Zones::none(settings.origin.clone()));
        let settings = Arc::new(settings);
        let snapshot = Arc::new(Snapshot::empty(settings.clone(), zones.clone()));
        let index = Index::new(settings, zones, profiles.iter().map(|profile| source(profile)).collect());
        let (told, listed) = (BTreeMap::new(), BTreeMap::new());
        World { index, snapshot, millis: 0, told, listed, client: [127, 0, 0, 1].into(), freshness: Freshness::Fresh }
    }

    /// The same with these profiles, as an operator configures them.
    pub(crate) fn reading(settings: ZoneSettings, profiles: &[WatchProfile]) -> World {
        let names: Vec<&str> = profiles.iter().map(|profile| &*profile.name).collect();
        let world = World::of_profiles(settings, &names);
        World { index: world.index.of_profiles(profiles), ..world }
    }

    /// Sends the index one change.
    pub(crate) fn send(&mut self, change: Change) {
        self.send_of("app", change);
    }

    /// Sends it one change from a profile's source.
    pub(crate) fn send_of(&mut self, profile: &str, change: Change) {
        self.remember(profile, &change);
        self.index.apply(&source(profile), change);
    }

    /// Records what the source could be asked for again.
    fn remember(&mut self, profile: &str, change: &Change) {
        match change {
            Change::Begin => _ = self.listed.insert(profile.to_owned(), BTreeSet::new()),
            Change::Apply(pod) => {
                self.told.insert((profile.to_owned(), pod.uid.clone()), (**pod).clone());
                self.listed.get_mut(profile).into_iter().for_each(|listed| _ = listed.insert(pod.uid.clone()));
            }
            Change::Remove(uid) => _ = self.told.remove(&(profile.to_owned(), uid.clone())),
            Change::Commit => {
                let listed = self.listed.remove(profile).unwrap_or_default();
                self.told.retain(|(of, uid), _| of != profile || listed.contains(uid));
            }
            Change::Abort | Change::Close => _ = self.listed.remove(profile),
            Change::Refetched(_) => {}
        }
    }

    /// Sends it a whole list from a profile's source.
    pub(crate) fn list_of(&mut self, profile: &str, pods: impl IntoIterator<Item = Pod>) {
        self.send_of(profile, Change::Begin);
        pods.into_iter().for_each(|pod| self.send_of(profile, Change::Apply(Box::new(pod))));
        self.send_of(profile, Change::Commit);
    }

    /// Sends it a Pod and publishes.
    pub(crate) fn apply(&mut self, pod: Pod) {
        self.send(Change::Apply(Box::new(pod)));
        self.publish();
    }

    /// Publishes, each time a second after the last time, until no Pod is missing. Returns whether anything changed.
    pub(crate) fn publish(&mut self) -> bool {
        let mut is_new = self.publish_once();
        for _ in 0..10 {
            let missing: Vec<_> = self.index.missing().collect();
            if missing.is_empty() {
                return is_new;
            }
            for missing in missing {
                let told = self.told.get(&(missing.source.profile.to_string(), missing.pod.uid.as_str().into()));
                let pod = Box::new(told.expect("a Pod that was sent").clone());
                self.send_of(&missing.source.profile, Change::Refetched(pod));
            }
            is_new |= self.publish_once();
        }
        panic!("what is asked for again comes, and is asked for again: {:?}", self.index.missing().next());
    }

    fn publish_once(&mut self) -> bool {
        self.millis += 1000;
        let now = Now { monotonic: Duration::from_millis(self.millis), wall_eighths: (self.millis / 125) as u32 };
        let published = self.index.publish(now);
        let is_new = published.is_some();
        if let Some((snapshot, _)) = published {
            self.snapshot = snapshot;
        }
        is_new
    }

    /// The published snapshot.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Replaces the published snapshot.
    pub(crate) fn set_snapshot(&mut self, snapshot: Arc<Snapshot>) {
        self.snapshot = snapshot;
    }

    /// The reply to a question over TCP.
    #[track_caller]
    pub(crate) fn ask(&self, name: &str, rtype: Rtype) -> Reply {
        self.exchange(&Ask::new(name, rtype), Limits::tcp())
    }

    /// The reply over UDP, for the query's EDNS.
    #[track_caller]
    pub(crate) fn udp(&self, ask: &Ask) -> Reply {
        let query = ask.to_wire();
        let Received::Query(parsed) = wire::parse(&query) else { panic!("{ask:?} cannot be read") };
        self.exchange(ask, Limits::udp(parsed.edns))
    }

    #[track_caller]
    fn exchange(&self, ask: &Ask, limits: Limits) -> Reply {
        let query = ask.to_wire();
        let Received::Query(parsed) = wire::parse(&query) else { panic!("{ask:?} cannot be read") };
        let answer = self.answer(&parsed);
        let mut reply = Vec::new();
        wire::reply(&parsed, &answer, &self.snapshot, limits, OWN, &mut reply);
        assert!(reply.len() <= limits.len_max, "{} bytes of {}", reply.len(), limits.len_max);
        Reply::read(&query, reply)
    }

    /// The answer to a query.
    pub(crate) fn answer(&self, query: &Query<'_>) -> Answer<'_> {
        let question = Question {
            name: &query.name,
            spelling: query.name_wire(),
            rtype: query.rtype,
            class: query.class,
            client: self.client,
            freshness: self.freshness,
        };
        match query.signature {
            Some(_) => answer::failure(Rcode::NOTAUTH, None),
            None => answer::answer(&self.snapshot, &question),
        }
    }

    /// The code and the sorted answer section. The data is without owner, TTL, class and type, and has `Z` for the
    /// zone.
    #[track_caller]
    pub(crate) fn data(&self, name: &str, rtype: Rtype) -> (String, Vec<String>) {
        let reply = self.ask(&whole(name), rtype);
        let mut data: Vec<String> = reply.answer.iter().map(|line| data_of(line)).collect();
        data.sort();
        (reply.rcode, data)
    }

    /// `NXDOMAIN`, `NODATA` or `DATA`. Checks the SOA of negative answers.
    #[track_caller]
    pub(crate) fn verdict(&self, name: &str, rtype: Rtype) -> &'static str {
        let reply = self.ask(&whole(name), rtype);
        let has_soa = reply.authority.len() == 1 && reply.authority[0].contains(" SOA ");
        match (reply.rcode.as_str(), reply.answer.is_empty()) {
            ("NOERROR", false) => "DATA",
            ("NOERROR", true) if has_soa => "NODATA",
            ("NXDOMAIN", true) if has_soa => "NXDOMAIN",
            _ => panic!("{name} {rtype}: {reply:?}"),
        }
    }
}

/// Zone files, each an origin and its text, loaded like the files of a folder. None may be bad.
fn zones(files: &[(&str, &str)]) -> Arc<Zones> {
    static FOLDERS: AtomicU32 = AtomicU32::new(0);
    let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("callsign-answers-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (origin, text) in files {
        let soa = "@ 60 SOA ns1.example.net. admin.example.net. 1 2 3 4 30\n";
        std::fs::write(folder.join(format!("{}zone", whole(origin))), format!("{soa}{text}")).unwrap();
    }
    let (zones, errors) = Zones::none(ZONE.parse().unwrap()).reload(&folder);
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(errors.is_empty(), "{errors:?}");
    Arc::new(zones)
}

/// Expands a name that ends in `Z`.
pub(crate) fn whole(name: &str) -> String {
    match name.strip_suffix('Z') {
        Some(below) => format!("{below}{ZONE}"),
        None => name.to_owned(),
    }
}

fn data_of(line: &str) -> String {
    let data = line.split_whitespace().skip(4).collect::<Vec<_>>().join(" ");
    data.replace(ZONE, "Z")
}

/// A running and ready Pod in the namespace `default`, with one address and no registrations.
pub(crate) fn pod(name: &str, address: &str) -> Pod {
    Pod {
        namespace: "default".into(),
        name: name.into(),
        uid: format!("uid-{name}").into(),
        resource_version: 1,
        status: PodStatus {
            phase: Phase::Running,
            ready: true,
            pod_ips: address.split(',').filter(|ip| !ip.is_empty()).map(|ip| ip.parse().unwrap()).collect(),
            start_time: Some(1),
            ..PodStatus::default()
        },
        text: ProfileText::default(),
    }
}

/// Registers in the fields encoding: `interface=a port=1 interface=b …`.
pub(crate) fn registering(pod: Pod, fields: &str) -> Pod {
    let pairs: Vec<_> = fields
        .split_whitespace()
        .map(|field| field.split_once('=').unwrap())
        .map(|(k, v)| serde_json::json!({ "k": k, "v": v }))
        .collect();
    let value = BASE64_STANDARD.encode(serde_json::to_vec(&pairs).unwrap());
    Pod { text: ProfileText::of_value(value), ..pod }
}

/// A Pod that registers, in one call.
pub(crate) fn endpoint(name: &str, address: &str, fields: &str) -> Pod {
    registering(pod(name, address), fields)
}
