//! The zone files of BIND's, Knot's and NSD's own tests: callsign accepts each file that all three accept, with BIND's records.
//!
//! `tests/corpora` fetches them. callsign does not serve signed zones: it refuses their files for that reason only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use super::peers::{Peers, ours};
use callsign::dns::Name;
use callsign::zones::{Role, Zone};

/// The origins of files whose names are not their origins.
const ORIGINS: [&str; 4] = ["example", "example.com", "test", "."];

/// The number of threads: the processors of a small machine.
const THREADS: usize = 2;

/// The results for the files that all three accept.
#[derive(Default)]
struct Outcome {
    same: usize,
    signed: usize,
    wrong: Vec<String>,
}

#[test]
fn files_that_all_three_peers_accept_have_the_same_records() {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpora")).output().expect("tests/corpora");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("a path");
    let mut files = Vec::new();
    gather(&Path::new(text.lines().last().expect("a folder")).join("zones"), &mut files);
    files.sort();
    let outcome = Mutex::new(Outcome::default());
    thread::scope(|scope| {
        for at in 0..THREADS {
            let (files, outcome) = (&files, &outcome);
            scope.spawn(move || {
                let peers = Peers::new(&format!("corpus-{at}"));
                files.iter().skip(at).step_by(THREADS).for_each(|file| judge(&peers, file, outcome));
            });
        }
    });
    let Outcome { same, signed, wrong } = outcome.into_inner().expect("no panic");
    println!(
        "of {} files {} are taken by all three: {same} alike, {signed} are signed",
        files.len(),
        same + signed + wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(same > 500 && signed > 20, "{same} and {signed}: the files say little");
}

fn gather(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => gather(&path, found),
            false => found.push(path),
        }
    }
}

/// Reads a file with the first origin for which all three accept it.
fn judge(peers: &Peers, file: &Path, outcome: &Mutex<Outcome>) {
    let stem = file.file_name().and_then(|name| name.to_str()).expect("a name");
    let stem =
        [".in", ".good", ".bad", ".zone", ".db"].iter().fold(stem, |stem, end| stem.strip_suffix(end).unwrap_or(stem));
    for origin in [stem].into_iter().chain(ORIGINS) {
        let Ok(name) = origin.parse::<Name>() else { continue };
        let Some(records) = peers.bind(origin, file) else { continue };
        if !peers.knot(origin, file) || !peers.nsd(origin, file) {
            continue;
        }
        let read = Zone::parse(&fs::read(file).expect("the file"), &name, Role::Own);
        let mut outcome = outcome.lock().expect("no panic");
        match read {
            Ok(zone) if ours(&zone) == records => outcome.same += 1,
            Ok(zone) => {
                let ours = ours(&zone);
                let differs = records.iter().find(|(key, value)| ours.get(*key) != Some(*value));
                outcome.wrong.push(format!("{} for {origin}: BIND has {differs:?}", file.display()));
            }
            Err(fault) if fault.to_string().contains("signed zones are not served") => outcome.signed += 1,
            Err(fault) => outcome.wrong.push(format!("{} for {origin}: {fault}", file.display())),
        }
        return;
    }
}
