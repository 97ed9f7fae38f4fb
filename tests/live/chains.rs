//! Chains of aliases compared to NSD and Knot DNS, which run here on the same zone files.
//!
//! Knot stays within a zone and ends after five links. NSD crosses zones and follows each DNAME once. Both end a chain that
//! meets a name again, and both answer QTYPE=CNAME below a DNAME with the DNAME and the synthesized CNAME.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use domain::base::iana::Rtype;

use crate::harness::ask::Ask;
use crate::harness::process::{Process, free_address, scratch};
use crate::harness::server::Server;

use super::site::{manifests, text};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

const HEAD: &str = "$TTL 60\n@ IN SOA ns a 1 2 3 4 5\n@ IN NS ns\nns IN A 192.0.2.1\n";

const A: &str = "self CNAME self\none CNAME two\ntwo CNAME one\nenter CNAME one\nend A 192.0.2.9
c1 CNAME c2\nc2 CNAME c3\nc3 CNAME c4\nc4 CNAME c5\nc5 CNAME c6\nc6 CNAME c7\nc7 CNAME c8\nc8 CNAME end
l1 CNAME l2\nl2 CNAME l3\nl3 CNAME l4\nl4 CNAME l5\nl5 CNAME l6\nl6 CNAME l7\nl7 CNAME l8\nl8 CNAME l1
tree DNAME target\nhost.target A 192.0.2.7\nalias.target CNAME end\ntodname CNAME host.tree\ntoalias CNAME alias.tree
round DNAME about\nabout DNAME round\nsame DNAME same\ngrow DNAME x.grow\nselfd CNAME x.selfd2\nselfd2 DNAME selfdt
x.selfdt CNAME selfd\n*.wild CNAME end\n*.mirror CNAME x.mirror\ndwild DNAME wild\ntowild CNAME any.wild\ngone CNAME nothing
other CNAME back.b.test.\nfar CNAME far.b.test.\nout CNAME www.example.net.\ndown DNAME b.test.\ndext DNAME example.net.
deleg NS ns.deleg\nns.deleg A 192.0.2.3\ntodeleg CNAME www.deleg\nddeleg DNAME deleg\n";

const B: &str = "www A 192.0.2.20\nback CNAME end.a.test.\nfar CNAME far.a.test.\n";

/// Both peers have the same answer as callsign.
const BOTH: &[&str] = &["NSD", "Knot"];
/// Knot ends the chain early: after five links, or at the end of the zone.
const NSD: &[&str] = &["NSD"];
/// NSD ends the chain where a DNAME applies again, and Knot repeats records.
const NEITHER: &[&str] = &[];

/// The names to ask for below `a.test.`, and the peers with callsign's answer to A and to CNAME.
const CASES: &[(&str, &[&str], &[&str])] = &[
    ("self", BOTH, BOTH),
    ("one", BOTH, BOTH),
    ("enter", BOTH, BOTH),
    ("c1", NSD, BOTH),
    ("c4", BOTH, BOTH),
    ("l1", NSD, BOTH),
    ("host.tree", BOTH, BOTH),
    ("alias.tree", BOTH, BOTH),
    ("nothing.tree", BOTH, BOTH),
    ("tree", BOTH, BOTH),
    ("todname", BOTH, BOTH),
    ("toalias", BOTH, BOTH),
    ("x.round", NSD, BOTH),
    ("x.same", NSD, BOTH),
    ("a.grow", NEITHER, BOTH),
    ("selfd", BOTH, BOTH),
    ("x.selfd2", NSD, BOTH),
    ("x.wild", BOTH, BOTH),
    ("wild", BOTH, BOTH),
    ("y.mirror", BOTH, BOTH),
    ("y.dwild", BOTH, BOTH),
    ("towild", BOTH, BOTH),
    ("gone", BOTH, BOTH),
    ("other", NSD, BOTH),
    ("far", NSD, BOTH),
    ("out", BOTH, BOTH),
    ("www.down", NSD, BOTH),
    ("far.down", NSD, BOTH),
    ("www.dext", BOTH, BOTH),
    ("todeleg", BOTH, BOTH),
    ("www.ddeleg", BOTH, BOTH),
];

/// A server of another project. Dropping it stops it.
struct Other {
    address: SocketAddr,
    _process: Process,
}

impl Other {
    fn start(program: &str, args: &[&str], address: SocketAddr) -> Other {
        let mut process = Process::start(program, args);
        let soa = Ask::new("a.test.", Rtype::SOA).to_wire();
        process.wait_until(PATIENCE, || crate::harness::exchange::exchange_udp(address, &soa).is_ok());
        Other { address, _process: process }
    }

    fn nsd(zones: &str) -> Other {
        let (address, folder) = (free_address(), scratch("nsd"));
        let (ip, port, own) = (address.ip(), address.port(), text(&folder));
        let zone = |name: &str| format!("zone:\n  name: {name}\n  zonefile: {name}.zone\n");
        let config = format!(
            "server:\n  ip-address: {ip}@{port}\n  username: \"\"\n  zonesdir: \"{zones}\"\n  database: \"\"\n  \
             pidfile: \"{own}/pid\"\n  xfrdfile: \"{own}/xfrd\"\n  xfrdir: \"{own}\"\n  zonelistfile: \"{own}/list\"\n  \
             server-count: 1\nremote-control:\n  control-enable: no\n{}{}",
            zone("a.test"),
            zone("b.test")
        );
        Other::start("nsd", &["-d", "-c", &written(&folder.join("nsd.conf"), &config)], address)
    }

    fn knot(zones: &str) -> Other {
        let (address, folder) = (free_address(), scratch("knot"));
        let (ip, port, own) = (address.ip(), address.port(), text(&folder));
        let config = format!(
            "server:\n  listen: {ip}@{port}\n  rundir: {own}\ndatabase:\n  storage: {own}\ntemplate:\n  - id: default\n    \
             storage: {zones}\n    semantic-checks: false\n    zonefile-load: whole\n    zonefile-sync: -1\nzone:\n  \
             - domain: a.test\n    file: a.test.zone\n  - domain: b.test\n    file: b.test.zone\n"
        );
        Other::start("knotd", &["-c", &written(&folder.join("knot.conf"), &config)], address)
    }
}

fn written(file: &Path, config: &str) -> String {
    std::fs::write(file, config).expect("write a configuration");
    text(file).to_owned()
}

#[test]
fn chains_are_answered_as_nsd_and_knot_do() {
    let folder = scratch("zones");
    for (name, records) in [("a.test.zone", A), ("b.test.zone", B)] {
        std::fs::write(folder.join(name), format!("{HEAD}{records}")).expect("write a zone");
    }
    let others = [("NSD", Other::nsd(text(&folder))), ("Knot", Other::knot(text(&folder)))];
    let server = Server::start(&["--manifests", manifests(), "--zones", text(&folder)]);
    let mut wrong = Vec::new();
    for (name, for_a, for_cname) in CASES {
        for (rtype, whose) in [(Rtype::A, for_a), (Rtype::CNAME, for_cname)] {
            let ask = Ask::new(&format!("{name}.a.test."), rtype);
            let own = [ask.udp(server.dns), ask.tcp(server.dns)].map(|reply| (reply.rcode, reply.answer));
            assert_eq!(own[0], own[1], "{name} {rtype}");
            for (who, other) in &others {
                let theirs = ask.tcp(other.address);
                let is_same = own[0] == (theirs.rcode.clone(), theirs.answer.clone());
                if is_same != whose.contains(who) {
                    wrong.push(format!(
                        "{name} {rtype}: {who} {:?} {:?}, ours {:?}",
                        theirs.rcode, theirs.answer, own[0]
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
