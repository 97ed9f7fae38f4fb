//! The peak memory of saving, loading and relisting a zone. An allocator counts it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use callsign::index::Index;
use callsign::registration::ProfileText;
use callsign::snapshot::Snapshot;
use callsign::source::Pod;
use callsign::state::{self, FILE_NAME};
use callsign::zones::Zones;
use peak_alloc::PeakAlloc;

use crate::harness::alone::alone;
use crate::harness::budget::manifest;
use crate::harness::budget::pods::{REPLICAS, pod};
use crate::harness::budget::provider::{INTERFACES, Provider};
use crate::harness::budget::zone::{Zone, settings, source};

/// The most memory of a save, for any zone: the frame's blocks and the tables of the compression.
const SAVE_MAX: usize = 512 * 1024;

/// The peak of a load, in percent of the loaded zone: with the index that builds it, whose Pods all wait for the end.
const LOAD_PERCENT_MAX: usize = 200;

/// The peak of a list that finds nothing changed, in percent of the zone at rest.
const RELIST_PERCENT_MAX: usize = 110;

/// The same if every Pod has changed: the old zone and the new one exist side by side until the new one is whole.
const CHANGED_PERCENT_MAX: usize = 250;

/// The peak of reading manifests, in percent of the peak of a watch that lists the same Pods.
const MANIFESTS_PERCENT_MAX: usize = 130;

/// The additional memory for the first part of a list in one document: 4 MiB, and the buffer that doubled for it.
const DOCUMENT_MAX: usize = 12 * 1024 * 1024;

#[test]
fn the_memory_of_a_save_a_load_and_a_relist_is_bounded() {
    let _alone = alone();
    let folder = std::env::temp_dir().join(format!("callsign-memory-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    for pods in [500, 2_000] {
        let start = PeakAlloc.current_usage();
        let mut zone = Zone::of_pods(pods);
        let size = PeakAlloc.current_usage() - start;
        saves(&zone, &folder);
        loads(&zone, &folder, size);
        relists(&mut zone, pods, size);
    }
    reads_manifests(&folder, 1_000);
    fs::remove_dir_all(&folder).expect("remove");
}

/// Runs something. Returns its result, and the peak of the allocated bytes above those before.
fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    PeakAlloc.reset_peak_usage();
    let before = PeakAlloc.current_usage();
    let done = work();
    (done, PeakAlloc.peak_usage() - before)
}

fn saves(zone: &Zone, folder: &Path) {
    let save = || state::save(folder, &zone.snapshot, &[source()], 1).expect("a save");
    let ((), peak) = peak_of(save);
    let len = fs::metadata(folder.join(FILE_NAME)).expect("the file").len();
    eprintln!("{} Pods: {} KiB in a file of {} KiB", zone.snapshot.tally.pods, peak / 1024, len / 1024);
    assert!(peak <= SAVE_MAX, "a save took {peak} bytes");
}

fn loads(zone: &Zone, folder: &Path, size: usize) {
    let settings = Arc::new(settings());
    let load = || {
        let index = Index::new(settings.clone(), Arc::new(Zones::none(settings.origin.clone())), vec![source()]);
        state::load(folder, index, &settings.origin.to_string(), &[source()], 1, Duration::from_secs(1))
    };
    let (loaded, peak) = peak_of(load);
    let loaded: Arc<Snapshot> = loaded.expect("it is read");
    let counts = |snapshot: &Snapshot| (snapshot.tally.pods, snapshot.tally.registrations, snapshot.tally.endpoints);
    assert_eq!(counts(&loaded), counts(&zone.snapshot));
    eprintln!("a load: {} % of {} KiB", peak * 100 / size, size / 1024);
    assert!(peak <= size * LOAD_PERCENT_MAX / 100, "a load took {peak} bytes, of a zone of {size}");
}

fn relists(zone: &mut Zone, pods: usize, size: usize) {
    let provider = Provider::recorded();
    let all = |change: fn(&Provider, usize, Pod) -> Pod| {
        let provider = &provider;
        (0..pods).map(move |number| change(provider, number, pod(provider, number, true)))
    };
    let revision = zone.snapshot.revision;
    let ((), unchanged) = peak_of(|| zone.list(all(|_, _, pod| pod)));
    assert_eq!(zone.snapshot.revision, revision, "nothing has changed");
    let ((), changed) = peak_of(|| zone.list(all(started_later)));
    assert_eq!(zone.snapshot.tally.pods, pods);
    assert_ne!(zone.snapshot.revision, revision);
    eprintln!("a list: {} % of the zone; all changed: {} %", 100 + unchanged * 100 / size, 100 + changed * 100 / size);
    assert!(size + unchanged <= size * RELIST_PERCENT_MAX / 100, "a list took {unchanged} bytes beside {size}");
    assert!(size + changed <= size * CHANGED_PERCENT_MAX / 100, "a list took {changed} bytes beside {size}");
}

/// Manifests of every form are read as streams.
fn reads_manifests(folder: &Path, count: usize) {
    let provider = Provider::recorded();
    let (_, listed) = peak_of(|| {
        let mut zone = Zone::empty();
        zone.list((0..count).map(|number| pod(&provider, number, true)));
        zone
    });
    let (stream, list) = (manifest::stream(&provider, count), manifest::list(&provider, count));
    let forms = [
        ("documents", manifest::yaml(&stream, "---\n", ""), 0),
        ("JSON, one behind another", manifest::json(&stream), 0),
        ("a list", format!("items:\n{}kind: List\n", manifest::yaml(&stream, "- ", "  ")), DOCUMENT_MAX),
        ("a list in JSON", list, DOCUMENT_MAX),
    ];
    drop(stream);
    for (form, text, document) in forms {
        let path = folder.join("pods.yaml");
        fs::write(&path, text).expect("a file");
        let (zone, peak) = peak_of(|| manifest::read(path.clone()));
        assert_eq!(zone.snapshot.tally.pods, count, "{form}");
        eprintln!("manifests, {form}: {} KiB, where a watch takes {} KiB", peak / 1024, listed / 1024);
        assert!(peak <= listed * MANIFESTS_PERCENT_MAX / 100 + document, "{form} took {peak} bytes, a watch {listed}");
    }
}

/// Changes every registration.
fn started_later(provider: &Provider, number: usize, pod: Pod) -> Pod {
    let Some(IpAddr::V4(address)) = pod.status.pod_ips.first().copied() else { panic!("an address") };
    let address: Ipv4Addr = address;
    let annotation = provider.annotation(number / REPLICAS, number + 1_000_000, address, INTERFACES);
    Pod { resource_version: 2, text: ProfileText::of_value(annotation), ..pod }
}
