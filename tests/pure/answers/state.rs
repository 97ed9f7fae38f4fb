//! A saved zone gives the same answers as the zone itself.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use callsign::answer::Freshness;
use callsign::index::Index;
use callsign::snapshot::{PublishedZone, Snapshot};
use callsign::source::{Phase, Pod};
use callsign::state::{self, FILE_NAME, StateError, StateSaver};
use callsign::zones::Zones;
use domain::base::iana::Rtype;

use super::world::{World, ZONE, endpoint, pod, registering, settings, source, whole};

const HEARD_AT: u64 = 1_700_000_000;
const AGE_MAX: Duration = Duration::from_secs(3600);

/// Pods of every kind: groups, versions, protocols, named addresses, two address families, not ready, odd metadata,
/// finished.
fn pods() -> Vec<Pod> {
    let many: String = (0..300).map(|n| format!("interface=big.I{n} port={} k{n}=v ", n + 1)).collect();
    let mut pods = vec![
        endpoint(
            "one",
            "10.0.0.1",
            "interface=a.B protocol=tri port=1 zone=x weight=7 interface=a.B protocol=dubbo port=2",
        ),
        endpoint("two", "10.0.0.2,fd00::2", "interface=a.B group=g version=1.0 port=1 methods=x,y application=shop"),
        endpoint(
            "three.dotted",
            "10.0.0.3",
            "interface=a.B port=1 group=G.x version=v-1 enabled=false interface=c port=9",
        ),
        endpoint("four", "10.0.0.4", r#"interface=a.v-1 port=1 odd="\ text=ü"#),
        endpoint("five", "10.0.0.5", &many),
        endpoint("six", "10.0.0.1", "interface=a.B port=1 ip=10.0.0.9"),
        endpoint("seven", "10.0.0.7", "interface=a.B port=1 weight=0 interface=d port=4 weight=100"),
        endpoint("over", "10.0.0.8", "interface=a.B port=1"),
        endpoint("waiting", "10.0.0.10", "interface=a.B port=1"),
        registering(pod("nowhere", ""), "interface=e.F port=1"),
        pod("silent", "10.0.0.11"),
    ];
    pods[7].status.phase = Phase::Succeeded;
    pods[8].status.ready = false;
    pods
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("callsign-state-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn save(&self, world: &World) {
        state::save(&self.0, world.snapshot(), &[source("app")], HEARD_AT).unwrap();
    }

    fn load_at(&self, now: u64) -> Result<Arc<Snapshot>, StateError> {
        let zones = Arc::new(Zones::none(ZONE.parse().unwrap()));
        let index = Index::new(Arc::new(settings()), zones, vec![source("app")]);
        state::load(&self.0, index, ZONE, &[source("app")], now, AGE_MAX)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Every name of every service and Pod, found by following the zone's own pointers.
fn names(world: &World) -> Vec<String> {
    let mut names = vec!["Z".to_owned(), "default.Z".to_owned(), "default.pod.Z".to_owned()];
    let browsed = world.data("b._dns-sd._udp.default.Z", Rtype::PTR).1;
    assert!(browsed.len() > 300, "{}", browsed.len());
    for service in browsed {
        for below in ["", "_tcp.", "_rpc._tcp.", "_tri._tcp.", "_dubbo._tcp.", "_services._dns-sd._udp."] {
            names.push(format!("{below}{service}"));
        }
    }
    names.extend(
        ["_rpc._tcp.a.b.g-g.default.Z", "_rpc._tcp.a.b.v-1-0.g-g.default.Z", "10-0-0-1.p.Z"].map(str::to_owned),
    );
    names.extend((1..12).map(|n| format!("10-0-0-{n}.p.Z")));
    names.extend(pods().iter().map(|pod| format!("{}.default.pod.Z", pod.name)));
    names
}

#[test]
fn a_zone_answers_as_before() {
    let (mut world, folder) = (World::of(pods()), Folder::new("whole"));
    folder.save(&world);
    let names = names(&world);
    let all = |world: &World| -> Vec<_> {
        let types = [Rtype::SRV, Rtype::TXT, Rtype::A, Rtype::AAAA, Rtype::PTR];
        let asked = names.iter().flat_map(|name| types.map(|rtype| (name, rtype)));
        asked.map(|(name, rtype)| (name.clone(), rtype, world.data(name, rtype))).collect()
    };
    let (before, serial) = (all(&world), world.snapshot().serial);
    assert!(before.iter().filter(|(.., (_, data))| !data.is_empty()).count() > 1_000);
    world.set_snapshot(folder.load_at(HEARD_AT + 3600).unwrap());
    for (before, after) in before.into_iter().zip(all(&world)) {
        assert_eq!(after, before);
    }
    assert_eq!(world.snapshot().serial, serial);
    // Stale, though its clock says that it is fresh.
    assert_eq!(world.freshness, Freshness::Fresh);
    for (name, error) in [("_rpc._tcp.a.b.default.Z", 3_u16), ("nope.Z", 19)] {
        let reply = world.udp(&crate::harness::ask::Ask::new(&whole(name), Rtype::SRV).edns(1232));
        assert!(reply.edns.unwrap().options.contains(&(15, error.to_be_bytes().to_vec())), "{name}");
    }
}

/// The process ends in the middle of a write: the last write is there, and whole.
#[test]
fn two_concurrent_saves_run_one_after_the_other() {
    let (small, large, folder) = (World::of([pods().remove(0)]), World::of(pods()), Folder::new("twice"));
    let live = |world: &World| Arc::new(world.snapshot().clone());
    let zone = Arc::new(PublishedZone::new(live(&small)));
    let keeper =
        Arc::new(StateSaver::new(folder.0.clone(), vec![source("app")], zone.clone(), Arc::default(), || None));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for round in 0..50 {
        let (first, last) = if round % 2 == 0 { (&large, &small) } else { (&small, &large) };
        zone.snapshot.store(live(first));
        runtime.block_on(async {
            let last = async {
                zone.snapshot.store(live(last)); // after the first `finish` has loaded the other one
                keeper.clone().finish().await;
            };
            tokio::join!(keeper.clone().finish(), last);
        });
        let loaded = folder.load_at(now).unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(loaded.tally.endpoints, last.snapshot().tally.endpoints, "round {round}");
    }
}

#[test]
fn a_file_that_must_not_be_served_is_refused_with_its_reason() {
    let (world, folder) = (World::of(pods()), Folder::new("refused"));
    let path = folder.0.join(FILE_NAME);
    assert!(matches!(folder.load_at(HEARD_AT), Err(StateError::Absent)));
    folder.save(&world);
    let good = fs::read(&path).unwrap();
    let text = |from: &str, to: &str| {
        let head = good.iter().position(|byte| *byte == b'\n').unwrap();
        let (head, rest) = good.split_at(head);
        let changed = String::from_utf8(head.to_vec()).unwrap().replace(from, to);
        assert_ne!(changed.as_bytes(), head, "{from}");
        [changed.as_bytes(), rest].concat()
    };
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for (what, bytes, now, expected) in [
        ("nothing", Vec::new(), 0, "not the head of a callsign state file"),
        ("a text", b"hello\nworld".to_vec(), 0, "not the head of a callsign state file"),
        ("the head alone", good.split_inclusive(|byte| *byte == b'\n').next().unwrap().to_vec(), 0, "torn"),
        ("without its end", good[..good.len() - 1].to_vec(), 0, "torn"),
        ("half", good[..good.len() / 2].to_vec(), 0, "torn"),
        ("more behind it", [&good[..], b"x"].concat(), 0, "torn"),
        ("a bit turned", flipped, 0, "torn"),
        ("another program's", text("callsign-state", "other"), 0, "not callsign-state"),
        ("a later version's", text("\"version\":1", "\"version\":2"), 0, "it has version 2"),
        ("another zone's", text("rpc.cluster.local.", "rpc.other.local."), 0, "holds rpc.other.local. from"),
        ("another profile's", text("test/app/*", "test/dubbo/*"), 0, "from test/dubbo/*"),
        ("too old", good.clone(), HEARD_AT + 3601, "last heard from 3601 s ago"),
    ] {
        fs::write(&path, &bytes).unwrap();
        match folder.load_at(now) {
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains(expected) && error.contains(FILE_NAME), "{what}: {error}");
            }
            Ok(_) => panic!("{what} was read"),
        }
        assert_eq!(fs::read(&path).unwrap(), bytes, "{what} is left as it is");
    }
}
