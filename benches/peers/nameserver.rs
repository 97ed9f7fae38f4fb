//! The peers that read a zone file: NSD and Knot, on the records that callsign answers.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::base::iana::Rtype;

use crate::harness::ask::{Ask, Reply};
use crate::harness::exchange::{exchange_udp, read_message};
use crate::harness::process::{Process, free_address, scratch};

/// The zone of both.
pub(crate) const ORIGIN: &str = "rpc.cluster.local.";

/// The run fails if a server has not read the zone file within this time.
const LOAD_PATIENCE: Duration = Duration::from_secs(180);

/// A running server. Dropping it stops it.
pub(crate) struct NameServer {
    /// Where it answers DNS.
    pub(crate) dns: SocketAddr,
    process: Process,
}

impl NameServer {
    /// Starts NSD as the last argument of a command (`taskset …`, or nothing): one server process, and no response rate limit,
    /// which Debian's NSD has by default.
    pub(crate) fn nsd(before: &[&str], zone: &Path) -> NameServer {
        let (dns, dir) = (free_address(), scratch("nsd"));
        let at = dir.display();
        let config = format!(
            "server:\n server-count: 1\n ip-address: {}@{}\n username: \"\"\n zonesdir: \"{at}\"\n xfrdir: \"{at}\"\n \
             database: \"\"\n pidfile: \"{at}/pid\"\n zonelistfile: \"{at}/zone.list\"\n xfrdfile: \"{at}/xfrd.state\"\n \
             rrl-ratelimit: 0\nremote-control:\n control-enable: no\nzone:\n name: {ORIGIN}\n zonefile: {}\n",
            dns.ip(),
            dns.port(),
            zone.display(),
        );
        NameServer::start(before, &["nsd", "-d", "-c"], &dir.join("nsd.conf"), &config, dns)
    }

    /// Starts Knot as the last argument of a command, with one worker for each transport.
    pub(crate) fn knot(before: &[&str], zone: &Path) -> NameServer {
        let (dns, dir) = (free_address(), scratch("knot"));
        let at = dir.display();
        let config = format!(
            "server:\n  rundir: {at}\n  listen: {}@{}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
             database:\n  storage: {at}\ncontrol:\n  listen: {at}/socket\nlog:\n  - target: stderr\n    any: warning\n\
             zone:\n  - domain: {ORIGIN}\n    file: {}\n    zonefile-sync: -1\n    journal-content: none\n",
            dns.ip(),
            dns.port(),
            zone.display(),
        );
        NameServer::start(before, &["knotd", "-c"], &dir.join("knot.conf"), &config, dns)
    }

    fn start(before: &[&str], program: &[&str], path: &Path, config: &str, dns: SocketAddr) -> NameServer {
        fs::write(path, config).expect("write a configuration");
        let path = path.to_str().expect("a path of UTF-8");
        let command: Vec<&str> = before.iter().chain(program).copied().chain([path]).collect();
        let (program, arguments) = command.split_first().expect("a program");
        let mut process = Process::start(program, arguments);
        let soa = Ask::new(ORIGIN, Rtype::SOA).to_wire();
        process.wait_until(LOAD_PATIENCE, || {
            exchange_udp(dns, &soa).is_ok_and(|reply| reply.get(3).is_some_and(|flags| flags & 0xf == 0))
        });
        NameServer { dns, process }
    }

    /// The process id of the parent: NSD answers in a child.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// Writes a zone file of callsign's answers: at its apex, and at these names to questions for SRV and TXT.
pub(crate) fn write_zone(callsign: SocketAddr, names: impl Iterator<Item = String>) -> PathBuf {
    let mut stream = TcpStream::connect(callsign).expect("connect to callsign");
    stream.set_nodelay(true).expect("no delay");
    let (mut text, mut hosts) = (String::new(), HashSet::new());
    let questions = names.flat_map(|name| [(name.clone(), Rtype::SRV), (name, Rtype::TXT)]);
    let apex = [Rtype::SOA, Rtype::NS].map(|rtype| (ORIGIN.to_owned(), rtype));
    for (name, rtype) in apex.into_iter().chain(questions) {
        let query = Ask::new(&name, rtype).to_wire();
        let len = u16::try_from(query.len()).expect("a short query").to_be_bytes();
        stream.write_all(&[&len, query.as_slice()].concat()).expect("ask callsign");
        let reply = Reply::read(&query, read_message(&mut stream).expect("an answer of callsign"));
        assert!(!reply.answer.is_empty(), "{name} {rtype} has no answer");
        for record in &reply.answer {
            let _ = writeln!(text, "{record}");
        }
        for record in reply.additional {
            if !hosts.contains(&record) {
                let _ = writeln!(text, "{record}");
                hosts.insert(record);
            }
        }
    }
    let path = scratch("zone").join("zone");
    fs::write(&path, text).expect("write a zone file");
    path
}
