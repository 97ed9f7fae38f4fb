//! BIND, Knot and NSD as peers for zone files: each checks a file, and BIND compiles it to its raw format, with records in wire
//! form.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use callsign::dns::Name;
use callsign::zones::Zone;

/// Records by owner in lower case and type: their TTL, and their data, sorted.
pub(crate) type Records = BTreeMap<(Vec<u8>, u16), (u32, Vec<Vec<u8>>)>;

/// A folder for the files of one peer.
pub(crate) struct Peers {
    folder: PathBuf,
}

impl Peers {
    pub(crate) fn new(name: &str) -> Peers {
        let folder = std::env::temp_dir().join(format!("callsign-peers-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        Peers { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// BIND's records of a file. `None` if BIND refuses the file.
    pub(crate) fn bind(&self, origin: &str, file: &Path) -> Option<Records> {
        let raw = self.folder.join("raw");
        let _ = fs::remove_file(&raw);
        let args = [
            "-k", "ignore", "-n", "ignore", "-r", "ignore", "-m", "ignore", "-M", "ignore", "-S", "ignore", "-i",
            "none",
        ];
        let mut command = Command::new("named-compilezone");
        command.args(args).args(["-F", "raw", "-o"]).arg(&raw).arg(origin).arg(file);
        let output = run(command.current_dir(file.parent().expect("a folder")));
        output.status.success().then(|| read_raw(&fs::read(&raw).expect("what BIND wrote")))
    }

    /// Whether Knot accepts a file.
    pub(crate) fn knot(&self, origin: &str, file: &Path) -> bool {
        run(Command::new("kzonecheck").args(["-d", "off", "-o", origin]).arg(file)).status.success()
    }

    /// Whether NSD accepts a file.
    pub(crate) fn nsd(&self, origin: &str, file: &Path) -> bool {
        run(Command::new("nsd-checkzone").arg(origin).arg(file)).status.success()
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// callsign's records of a zone.
pub(crate) fn ours(zone: &Zone) -> Records {
    let mut records = Records::new();
    for (owner, set) in zone.rrsets() {
        let mut data: Vec<Vec<u8>> = set.records.iter().map(|rdata| rdata.to_vec()).collect();
        data.sort();
        records.insert((lower(owner), set.rtype.0), (set.ttl, data));
    }
    records
}

fn lower(owner: &Name) -> Vec<u8> {
    owner.wire().to_ascii_lowercase()
}

/// Parses BIND's raw format: a head, and then each RRset with its owner, type and data.
fn read_raw(raw: &[u8]) -> Records {
    let number = |at: usize| u32::from_be_bytes(raw[at..at + 4].try_into().expect("four bytes"));
    assert_eq!(number(0), 2, "not BIND's raw format");
    let mut at = if number(4) == 0 { 12 } else { 24 };
    let mut records = Records::new();
    while at < raw.len() {
        let short = |at: usize| u16::from_be_bytes([raw[at], raw[at + 1]]);
        let end = at + number(at) as usize;
        let (rtype, ttl, count) = (short(at + 6), number(at + 10), number(at + 14));
        let owner_len = usize::from(short(at + 18));
        let owner = raw[at + 20..at + 20 + owner_len].to_ascii_lowercase();
        at += 20 + owner_len;
        let mut data = Vec::new();
        for _ in 0..count {
            let len = usize::from(short(at));
            data.push(raw[at + 2..at + 2 + len].to_vec());
            at += 2 + len;
        }
        assert_eq!(at, end, "a set of another length than it says");
        data.sort();
        records.insert((owner, rtype), (ttl, data));
    }
    records
}
