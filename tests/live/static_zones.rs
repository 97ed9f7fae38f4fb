//! Static zones as a resolver sees them: RFC 1034 §4.3.2 over real sockets, aliases across our zones, and the file for the
//! Pods' zone.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use domain::base::iana::Rtype;

use crate::harness::ask::{Reply, flag};
use crate::harness::dig::dig;
use crate::harness::process::scratch;
use crate::harness::server::Server;

use super::site::{ask, data, dns, manifests, text};

const HEAD: &str = "$TTL 60\n@ IN SOA primary.example. admin.example. 77 1111 222 33333 60\n";

/// A server with zone files of everything that a resolver must handle, one of them for the Pods' zone.
static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let folder = zone_folder();
    Server::start(&["--manifests", manifests(), "--zones", text(&folder), "--ns", "ns=192.0.2.53"])
});

fn zone_folder() -> PathBuf {
    let chain: String = (0..9).map(|n| format!("c{n} IN CNAME c{}\n", n + 1)).collect();
    let far: String = (0..20)
        .map(|n| format!("far IN NS ns{n}.far\nns{n}.far IN A 192.0.2.{n}\nns{n}.far IN AAAA 2001:db8::{n}\n"))
        .collect();
    let long = format!("{0}.{0}.{0}", "d".repeat(60));
    let folder = scratch("zones");
    for (file, text) in [
        (
            "links.test.zone",
            format!(
                "{HEAD}@ IN NS ns\nns IN A 192.0.2.1\n{chain}c9 IN A 192.0.2.9\none IN CNAME two\ntwo IN CNAME one\n\
                 missing IN CNAME nope\nnowhere IN CNAME nope.rpc.cluster.local.\nstarting IN CNAME org.acme.starting.default.rpc.cluster.local.\n\
                 pods IN CNAME org.acme.greeter.default.rpc.cluster.local.\n*.any IN CNAME www.other.test.\n\
                 tree IN DNAME other.test.\ndeep IN DNAME {long}.other.test.\ncut IN NS ns.cut\nns.cut IN A 192.0.2.2\nbelow IN CNAME x.cut\n{far}"
            ),
        ),
        ("other.test.zone", format!("{HEAD}@ IN NS ns\nns IN A 192.0.2.3\nwww IN A 192.0.2.4\n")),
        (
            "rpc.cluster.local.zone",
            format!(
                "{HEAD}@ IN NS second.example.\n@ IN MX 10 mail\nmail IN A 192.0.2.5\nalias IN CNAME org.acme.greeter.default\n\
                 headless.testns IN A 192.0.2.6\n10-244-0-81.p IN A 192.0.2.7\n"
            ),
        ),
        ("odd.rpc.cluster.local.zone", format!("{HEAD}@ IN NS ns\nns IN A 192.0.2.8\n")),
    ] {
        fs::write(folder.join(file), text).expect("write a zone");
    }
    folder
}

fn reply(name: &str, rtype: Rtype) -> Reply {
    ask(name, rtype).udp(SERVER.dns)
}

#[test]
fn static_zones_beside_the_pods() {
    for (name, rtype, rcode, is_ours, answer, authority, additional) in [
        ("www.static.test.", Rtype::A, "NOERROR", true, vec!["192.0.2.80"], 0, 0),
        ("alias.static.test.", Rtype::A, "NOERROR", true, vec!["192.0.2.80", "www.static.test."], 0, 0),
        ("alias.static.test.", Rtype::AAAA, "NOERROR", true, vec!["www.static.test."], 1, 0),
        ("outside.static.test.", Rtype::A, "NOERROR", true, vec!["www.example.org."], 0, 0),
        ("x.y.wild.static.test.", Rtype::TXT, "NOERROR", true, vec!["\"any\""], 0, 0),
        ("x.wild.static.test.", Rtype::A, "NOERROR", true, vec![], 1, 0),
        ("wild.static.test.", Rtype::TXT, "NOERROR", true, vec![], 1, 0),
        ("x.cut.static.test.", Rtype::A, "NOERROR", false, vec![], 1, 1),
        ("cut.static.test.", Rtype::NS, "NOERROR", false, vec![], 1, 1),
        ("cut.static.test.", Rtype::DS, "NOERROR", true, vec![], 1, 0),
        ("static.test.", Rtype::NS, "NOERROR", true, vec!["ns.static.test."], 0, 1),
    ] {
        let reply = ask(name, rtype).udp(dns());
        assert_eq!((reply.rcode.as_str(), reply.has(flag::AA)), (rcode, is_ours), "{name} {rtype}: {reply:?}");
        assert_eq!(data(&reply.answer), answer, "{name} {rtype}");
        assert_eq!(
            (reply.authority.len(), reply.additional.len()),
            (authority, additional),
            "{name} {rtype}: {reply:?}"
        );
    }
}

#[test]
fn aliases_end_where_the_schema_says() {
    let chain = |count: usize| (1..=count).map(|n| format!("c{n}.links.test.")).collect::<Vec<_>>();
    let nine = [vec!["192.0.2.9".to_owned()], (2..=9).map(|n| format!("c{n}.links.test.")).collect()].concat();
    let own = |data: &[&str]| data.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    for (name, rtype, rcode, answer, authority) in [
        // Eight links, and nine.
        ("c1.links.test.", Rtype::A, "NOERROR", nine, 0),
        ("c0.links.test.", Rtype::A, "NOERROR", chain(8), 0),
        ("one.links.test.", Rtype::CNAME, "NOERROR", own(&["two.links.test."]), 0),
        // The RCODE of the last name (RFC 6604).
        ("missing.links.test.", Rtype::A, "NXDOMAIN", own(&["nope.links.test."]), 1),
        ("nowhere.links.test.", Rtype::A, "NXDOMAIN", own(&["nope.Z"]), 1),
        ("starting.links.test.", Rtype::A, "NOERROR", own(&["org.acme.starting.default.Z"]), 1),
        (
            "pods.links.test.",
            Rtype::A,
            "NOERROR",
            own(&["10.244.0.81", "10.244.0.82", "org.acme.greeter.default.Z"]),
            0,
        ),
        ("alias.Z", Rtype::A, "NOERROR", own(&["10.244.0.81", "10.244.0.82", "org.acme.greeter.default.Z"]), 0),
        ("x.any.links.test.", Rtype::A, "NOERROR", own(&["192.0.2.4", "www.other.test."]), 0),
        // Below a zone cut we are not authoritative.
        ("below.links.test.", Rtype::A, "NOERROR", own(&["x.cut.links.test."]), 0),
        ("www.tree.links.test.", Rtype::A, "NOERROR", own(&["192.0.2.4", "other.test.", "www.other.test."]), 0),
        ("nope.tree.links.test.", Rtype::A, "NXDOMAIN", own(&["nope.other.test.", "other.test."]), 1),
        ("tree.links.test.", Rtype::A, "NOERROR", vec![], 1),
    ] {
        let reply = reply(name, rtype);
        assert_eq!((reply.rcode.as_str(), reply.has(flag::AA)), (rcode, true), "{name}: {reply:?}");
        assert_eq!(data(&reply.answer), answer, "{name}");
        assert_eq!(reply.authority.len(), authority, "{name}: {reply:?}");
    }
    let around = reply("one.links.test.", Rtype::A);
    assert_eq!((around.rcode.as_str(), around.answer.len()), ("NOERROR", 2), "a loop ends: {around:?}");
}

#[test]
fn a_dname_that_makes_too_long_a_name() {
    // RFC 6672 §2.2: YXDOMAIN, with the DNAME.
    let name = format!("{}.deep.links.test.", "e".repeat(60));
    let reply = reply(&name, Rtype::A);
    assert_eq!((reply.rcode.as_str(), reply.answer.len()), ("YXDOMAIN", 1), "{reply:?}");
    assert!(reply.answer[0].contains(" DNAME "), "{reply:?}");
}

#[test]
fn a_referral_keeps_its_glue_or_says_that_it_is_cut() {
    // RFC 9471: 20 servers below the cut, which no resolver finds without their addresses.
    let question = ask("www.far.links.test.", Rtype::A);
    let whole = question.tcp(SERVER.dns);
    assert_eq!((whole.authority.len(), whole.additional.len(), whole.has(flag::AA)), (20, 40, false));
    for size in [None, Some(512), Some(1232)] {
        let reply = size.map_or(question.clone(), |size| question.clone().edns(size)).udp(SERVER.dns);
        assert_eq!(
            reply.has(flag::TC),
            reply.authority.len() < 20 || reply.additional.len() < 40,
            "{size:?}: {reply:?}"
        );
        assert!(reply.has(flag::TC), "it does not fit {size:?}");
    }
}

#[test]
fn the_file_for_the_pods_zone_adds_to_it() {
    let soa = data(&reply("Z", Rtype::SOA).answer);
    let fields: Vec<&str> = soa[0].split(' ').collect();
    assert_eq!([fields[0], fields[1]], ["primary.example.", "admin.example."]);
    assert_eq!(fields[3..], ["1111", "222", "33333", "5"], "MINIMUM is ours");
    assert_ne!(fields[2], "77", "the serial is ours");
    assert_eq!(data(&reply("Z", Rtype::NS).answer), ["ns.Z", "second.example."]);
    for (name, rtype, expected) in [
        ("Z", Rtype::MX, vec!["10 mail.Z"]),
        ("mail.Z", Rtype::A, vec!["192.0.2.5"]),
        // Its owner names have only its records. All other names stay the Pods'.
        ("headless.testns.Z", Rtype::A, vec!["192.0.2.6"]),
        ("headless.testns.Z", Rtype::AAAA, vec![]),
        ("headless.testns.Z", Rtype::SRV, vec![]),
        ("10-244-0-81.p.Z", Rtype::A, vec!["192.0.2.7"]),
        ("10-244-0-82.p.Z", Rtype::A, vec!["10.244.0.82"]),
        ("dns-version.Z", Rtype::TXT, vec!["\"1.0.0\""]),
    ] {
        let reply = reply(name, rtype);
        assert_eq!(
            (reply.rcode.as_str(), data(&reply.answer)),
            ("NOERROR", expected.into_iter().map(str::to_owned).collect()),
            "{name} {rtype}"
        );
        assert_eq!(reply.answer.is_empty(), !reply.authority.is_empty(), "{name} {rtype}: {reply:?}");
    }
    let below = ask("_http._tcp.headless.testns.Z", Rtype::SRV).tcp(SERVER.dns);
    assert_eq!(below.answer.len(), 6, "what is below an owner of the file stays the Pods': {below:?}");
    // If the file has a target's name, the glue comes from the file.
    let greeter = reply("_tri._tcp.org.acme.greeter.default.Z", Rtype::SRV);
    assert_eq!(data(&greeter.additional), ["192.0.2.7"]);
    for name in ["mail.Z", "nope.Z", "headless.testns.Z"] {
        let reply = reply(name, Rtype::TXT);
        assert!(reply.authority[0].starts_with("rpc.cluster.local. 5 IN SOA primary.example."), "{name}: {reply:?}");
    }
}

#[test]
fn a_zone_below_hides_what_pods_have_there() {
    let reply = reply("org.acme.twin.odd.Z", Rtype::A);
    assert_eq!(reply.rcode, "NXDOMAIN");
    assert!(reply.authority[0].starts_with("odd.rpc.cluster.local. "), "{reply:?}");
    let log = SERVER.log();
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains("odd.rpc.cluster.local.")), "{log}");
}

#[test]
fn records_that_the_pods_zone_cannot_have_are_refused() {
    for (line, word) in [("*.w IN A 192.0.2.1", "wildcard"), ("d IN DNAME x.", "DNAME"), ("sub IN NS ns.sub", "NS")] {
        let folder = scratch("zones");
        fs::write(folder.join("rpc.cluster.local.zone"), format!("{HEAD}@ IN NS ns\nkept IN A 192.0.2.1\n{line}\n"))
            .expect("write");
        let server = Server::start(&["--manifests", manifests(), "--zones", text(&folder)]);
        let log = server.log();
        assert!(
            log.lines().any(|said| said.contains("rpc.cluster.local.zone:5") && said.contains(word)),
            "{line}: {log}"
        );
        assert_eq!(ask("kept.Z", Rtype::A).udp(server.dns).rcode, "NXDOMAIN", "none of the file is served");
        assert_eq!(ask("org.acme.greeter.default.Z", Rtype::A).udp(server.dns).answer.len(), 2);
    }
}

#[test]
fn dig_follows() {
    let reply = dig(dns(), &["SRV", "service.static.test."]);
    assert_eq!(
        (reply.status.as_str(), reply.answer.len(), reply.additional.len()),
        ("NOERROR", 3, 3),
        "{}",
        reply.text
    );
}

#[test]
fn a_folder_without_a_zone_file_is_warned_of() {
    for (file, is_warned) in [("db.example", true), ("db.example.zone", false)] {
        let folder = scratch("no-zones");
        fs::write(folder.join(file), format!("{HEAD}@ IN NS ns\nns IN A 192.0.2.3\n")).expect("write a zone");
        let server = Server::start(&["--manifests", manifests(), "--zones", text(&folder)]);
        let log = server.log();
        assert_eq!(log.contains("no zone file in the folder"), is_warned, "{file}: {log}");
        assert!(log.contains("static zones read"), "{file}: {log}");
    }
}
