//! Any bytes as the saved zone's file, as its compressed content, and as changes to a valid file: the file is refused with a
//! reason, or it is a zone that is the same after saving and loading.
//!
//! The input's first byte selects one of the three. The rest is the bytes.

#![no_main]

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/harness"]
mod harness {
    pub(crate) mod ask;
}
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/pure/answers/world.rs"]
mod world;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use callsign::index::Index;
use callsign::snapshot::Snapshot;
use callsign::state::{self, FILE_NAME, StateError};
use callsign::zones::Zones;
use libfuzzer_sys::fuzz_target;
use lz4_flex::frame::{FrameEncoder, FrameInfo};
use world::{World, ZONE, endpoint, settings, source};

const HEARD_AT: u64 = 1_700_000_000;

struct Disk {
    folder: PathBuf,
    /// A valid file, and the length of its first line.
    good: Vec<u8>,
    head_len: usize,
}

thread_local! {
    static DISK: Disk = Disk::new();
}

fuzz_target!(|bytes: &[u8]| {
    let [kind, rest @ ..] = bytes else { return };
    DISK.with(|disk| match kind % 3 {
        0 => disk.judge(rest),
        1 => disk.judge(&disk.holding(rest)),
        _ => disk.judge(&disk.changed(rest)),
    });
});

impl Disk {
    fn new() -> Disk {
        let folder = std::env::temp_dir().join(format!("callsign-fuzz-state-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let fields =
            "interface=a.B protocol=tri port=1 zone=x weight=7 interface=c port=2 group=g version=1.0 methods=x,y";
        let pods = (1..9).map(|n| endpoint(&format!("p{n}"), &format!("10.0.0.{n},fd00::{n}"), fields));
        state::save(&folder, World::of(pods).snapshot(), &[source("app")], HEARD_AT).expect("a saved zone");
        let good = fs::read(folder.join(FILE_NAME)).expect("its file");
        let head_len = 1 + good.iter().position(|byte| *byte == b'\n').expect("its head");
        let disk = Disk { folder, good, head_len };
        disk.load().expect("the zone itself");
        disk
    }

    /// A file with this content and a correct checksum.
    fn holding(&self, content: &[u8]) -> Vec<u8> {
        let head = self.good[..self.head_len].to_vec();
        let mut frame = FrameEncoder::with_frame_info(FrameInfo::new().content_checksum(true), head);
        frame.write_all(content).expect("memory");
        frame.finish().expect("memory")
    }

    /// The valid file with changed bytes. Every three bytes of the input change one: two are its position, one its new value.
    fn changed(&self, changes: &[u8]) -> Vec<u8> {
        let mut file = self.good.clone();
        let (changes, rest) = changes.as_chunks::<3>();
        for &[high, low, byte] in changes {
            let at = usize::from(u16::from_be_bytes([high, low])) % file.len();
            file[at] = byte;
        }
        file.truncate(rest.first().map_or(file.len(), |len| file.len() - usize::from(*len) % file.len()));
        file
    }

    fn judge(&self, file: &[u8]) {
        write(&self.folder, file);
        let snapshot = match self.load() {
            Ok(snapshot) => snapshot,
            Err(refusal) => return assert!(!refusal.to_string().is_empty()),
        };
        assert!(snapshot.is_synced, "half a zone");
        let sources = [source("app")];
        state::save(&self.folder, &snapshot, &sources, HEARD_AT).expect("saved again");
        let again = self.load().expect("read again");
        let names = |snapshot: &Snapshot| -> Vec<String> {
            let mut names: Vec<_> = snapshot.pods().map(|pod| format!("{}/{}", pod.namespace, pod.name())).collect();
            names.sort();
            names
        };
        assert!(names(&again).len() <= names(&snapshot).len());
        assert_eq!(again.tally.endpoints, snapshot.tally.endpoints);
    }

    fn load(&self) -> Result<Arc<Snapshot>, StateError> {
        let zones = Arc::new(Zones::none(ZONE.parse().expect("a name")));
        let sources = [source("app")];
        let index = Index::new(Arc::new(settings()), zones, sources.to_vec());
        state::load(&self.folder, index, ZONE, &sources, HEARD_AT, Duration::from_secs(60))
    }
}

fn write(folder: &Path, file: &[u8]) {
    fs::write(folder.join(FILE_NAME), file).expect("a file");
}
