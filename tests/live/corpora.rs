//! Replays messages from the corpora of other projects' fuzzers.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};

use crate::harness::ask::Reply;
use crate::harness::exchange::read_message;
use crate::harness::process::built;

use super::site::{PATIENCE, SITE, dns, gave_up_nothing, provoke};

/// The most bytes of a datagram over IPv4.
const DATAGRAM_MAX: usize = 65_507;

/// Row 46: no reply, or a reply that a strict reader parses, of an allowed size, and the same over UDP and TCP. The test sends
/// each message unchanged, and again as a query: most are responses, and a server reads only their header.
#[test]
fn the_corpora_of_binds_fuzzers_get_valid_replies() {
    let mut verdicts = BTreeMap::<String, usize>::new();
    let corpora = built(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpora"), [""; 0]);
    let corpora = corpora.lines().last().expect("a folder");
    for file in files(&Path::new(corpora).join("messages")) {
        let gathered = fs::read(&file).expect("a message");
        let mut query = gathered.clone();
        if let Some(flags) = query.get_mut(2) {
            *flags &= 1; // a QUERY, not a response
        }
        for message in [gathered, query] {
            let verdict = |reply: Option<Vec<u8>>| {
                let Some(reply) = reply else { return "silence".to_owned() };
                assert!(reply.len() <= 1232, "{} bytes to {}", reply.len(), file.display());
                Reply::read(&message, reply).rcode
            };
            let tcp = verdict(over_tcp(&message));
            if message.len() <= DATAGRAM_MAX {
                assert_eq!(verdict(provoke(dns(), &message)), tcp, "{}", file.display());
            }
            *verdicts.entry(tcp).or_default() += 1;
        }
    }
    println!("{verdicts:?}");
    gave_up_nothing(&SITE.server);
    assert!(verdicts.values().sum::<usize>() >= 2 * 300, "{verdicts:?}");
    for wanted in ["FORMERR", "REFUSED", "silence"] {
        assert!(verdicts.contains_key(wanted), "{wanted} is not among {verdicts:?}");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    folders.iter().flat_map(|folder| self::files(folder)).chain(files).collect()
}

/// The reply to a message, sent alone on a connection. `None` if there is none.
fn over_tcp(message: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(dns()).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let len = u16::try_from(message.len()).expect("a message");
    stream.write_all(&[&len.to_be_bytes(), message].concat()).expect("write");
    stream.shutdown(Shutdown::Write).expect("a half-close");
    match read_message(&mut stream) {
        Ok(reply) => Some(reply),
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => None,
        Err(error) => panic!("no end after {message:02x?}: {error}"),
    }
}
