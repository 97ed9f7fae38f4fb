//! This version reads a zone that an earlier version saved, and one that a later version may save.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use callsign::index::Index;
use callsign::state::{self, FILE_NAME, StateError};
use callsign::zones::Zones;
use domain::base::iana::Rtype;
use lz4_flex::frame::{FrameDecoder, FrameEncoder, FrameInfo};
use serde_json::{Map, Value, json};

use super::world::{World, ZONE, settings, source};

const PROFILES: [&str; 2] = ["app", "dubbo"];

/// A file from callsign 0.1.0: five Pods from the sources of two profiles, one of them from both, one not ready, one
/// terminating, one on its node's network. It is never regenerated. A version that writes another format adds another
/// file.
const FIRST: &str = "tests/fixtures/zone-v1.state";

/// When it was written, in Unix seconds.
const HEARD_AT: u64 = 1_700_000_000;

/// A question, its code and its data.
type Row = (&'static str, Rtype, &'static str, &'static [&'static str]);

/// The answers of that zone.
const ANSWERS: [Row; 15] = [
    ("_rpc._tcp.a.b.default.Z", Rtype::SRV, "NOERROR", &["0 100 2 10-244-0-1.p.Z", "0 7 1 10-244-0-1.p.Z"]),
    (
        "_tri._tcp.a.b.v-1-0.g-g.default.Z",
        Rtype::TXT,
        "NOERROR",
        &[r#""pod=one" "addr=10.244.0.1:1" "interface=a.B" "group=g" "version=1.0" "weight=7" "zone=x""#],
    ),
    ("_dubbo._tcp.a.b.default.Z", Rtype::TXT, "NOERROR", &[r#""pod=one" "addr=10.244.0.1:2" "interface=a.B""#]),
    ("a.b.default.Z", Rtype::AAAA, "NOERROR", &["fd00::1"]),
    ("_rpc._tcp.a.b.shop.Z", Rtype::SRV, "NOERROR", &["0 100 1 10-244-0-2.p.Z"]),
    (
        "_rpc._tcp.a.b.shop.Z",
        Rtype::TXT,
        "NOERROR",
        &[r#""pod=two.dotted" "addr=10.244.0.2:1" "interface=a.B" "application=shop" "methods=x,y""#],
    ),
    ("two.dotted.shop.pod.Z", Rtype::A, "NOERROR", &["10.244.0.2"]),
    ("2.0.244.10.in-addr.arpa.", Rtype::PTR, "NOERROR", &["two.dotted.shop.pod.Z"]),
    ("_rpc._tcp.c.d.default.Z", Rtype::SRV, "NOERROR", &[]),
    ("waiting.default.pod.Z", Rtype::A, "NOERROR", &["10.244.0.3"]),
    ("ending.default.pod.Z", Rtype::A, "NOERROR", &["10.244.0.4"]),
    ("_rpc._tcp.e.f.default.Z", Rtype::SRV, "NOERROR", &[]),
    ("_rpc._tcp.e.g.default.Z", Rtype::SRV, "NOERROR", &["0 100 6 10-0-0-9.p.Z"]),
    ("10-0-0-9.p.Z", Rtype::A, "NOERROR", &["10.0.0.9"]),
    ("nobody.default.pod.Z", Rtype::A, "NXDOMAIN", &[]),
];

/// A file's head and its lines.
struct Saved {
    head: Value,
    lines: Vec<Value>,
}

impl Saved {
    /// Takes the file apart by hand, because both its content and its format are promises.
    fn first() -> Saved {
        let bytes = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(FIRST)).expect("the fixture");
        let end = bytes.iter().position(|byte| *byte == b'\n').expect("a head");
        let mut text = String::new();
        FrameDecoder::new(&bytes[end + 1..]).read_to_string(&mut text).expect("a frame");
        let read = |line: &str| serde_json::from_str(line).expect("JSON");
        let head = serde_json::from_slice(&bytes[..end]).expect("JSON");
        Saved { head, lines: text.lines().map(read).collect() }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let head = format!("{}\n", self.head).into_bytes();
        let mut frame = FrameEncoder::with_frame_info(FrameInfo::new().content_checksum(true), head);
        let lines: Vec<String> = self.lines.iter().map(Value::to_string).collect();
        frame.write_all(lines.join("\n").as_bytes()).expect("memory takes all");
        frame.finish().expect("memory takes all")
    }

    fn pods(&mut self) -> impl Iterator<Item = &mut Map<String, Value>> {
        self.lines.iter_mut().filter_map(|line| line.get_mut("pod")?.as_object_mut())
    }
}

/// Loads a file with these bytes.
fn load(name: &str, bytes: &[u8]) -> Result<World, StateError> {
    let folder: PathBuf = std::env::temp_dir().join(format!("callsign-versions-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(FILE_NAME), bytes).expect("write");
    let zones = Arc::new(Zones::none(ZONE.parse().expect("a name")));
    let sources = PROFILES.map(source);
    let index = Index::new(Arc::new(settings()), zones, sources.to_vec());
    let loaded = state::load(&folder, index, ZONE, &sources, HEARD_AT, Duration::from_secs(60));
    fs::remove_dir_all(&folder).expect("remove");
    let mut world = World::of_profiles(settings(), &PROFILES);
    world.set_snapshot(loaded?);
    Ok(world)
}

#[track_caller]
fn answers_as_then(world: &World) {
    for (name, rtype, rcode, data) in ANSWERS {
        assert_eq!(world.data(name, rtype), (rcode.to_owned(), data.iter().map(|&one| one.into()).collect()), "{name}");
    }
    assert_eq!((world.snapshot().tally.pods, world.snapshot().heard_at), (5, Some(HEARD_AT)));
}

#[test]
fn a_file_of_the_first_version_is_read() {
    let bytes = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(FIRST)).expect("the fixture");
    answers_as_then(&load("first", &bytes).expect("it is read"));
    // The file that this test puts together itself loads too. The next tests build on it.
    answers_as_then(&load("first-again", &Saved::first().to_bytes()).expect("it is read"));
}

#[test]
fn fields_that_a_later_version_adds_are_ignored() {
    for (name, added) in [("text", json!("x")), ("tree", json!({ "a": [1, null] })), ("nothing", Value::Null)] {
        let mut saved = Saved::first();
        saved.head["later"] = added.clone();
        assert_eq!(saved.pods().map(|pod| pod.insert("later".into(), added.clone())).count(), 5);
        answers_as_then(&load(name, &saved.to_bytes()).unwrap_or_else(|error| panic!("{name}: {error}")));
    }
}

#[test]
fn fields_that_an_earlier_version_lacked_have_their_defaults() {
    let mut saved = Saved::first();
    for field in ["ready", "terminating", "host_network", "pod_ips", "host_ips", "start_time"] {
        assert_eq!(saved.pods().filter_map(|pod| pod.remove(field)).count(), 5, "{field}");
    }
    let world = load("lacking", &saved.to_bytes()).expect("it is read");
    assert_eq!(world.snapshot().tally.pods, 5);
    // A Pod that is not known to be ready, without an address, still makes its services' names exist.
    let nothing: Vec<String> = Vec::new();
    assert_eq!(world.data("_rpc._tcp.a.b.default.Z", Rtype::SRV), ("NOERROR".into(), nothing));
}

#[test]
fn a_pod_without_a_required_field_is_refused() {
    for field in ["cluster", "namespace", "name", "uid", "phase", "offers"] {
        let mut saved = Saved::first();
        saved.pods().for_each(|pod| drop(pod.remove(field).expect(field)));
        let error = load(field, &saved.to_bytes()).map(|_| ()).expect_err(field).to_string();
        assert!(error.contains("torn after 0 Pods") && error.contains(field), "{error}");
    }
}
