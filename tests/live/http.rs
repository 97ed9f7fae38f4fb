//! Health, metrics and the API over HTTP, as probes, scrapers and programs read them.

use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use domain::base::iana::Rtype;
use serde_json::{Value, json};

use crate::harness::server::Server;

use super::site::{SITE, ask, dns, manifests};

fn list(path: &str) -> Vec<Value> {
    let (status, body) = SITE.server.get(path);
    assert_eq!(status, 200, "{path}: {body}");
    let page: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"));
    assert!(page.get("continue").is_none(), "{path} fits a page");
    page["items"].as_array().unwrap_or_else(|| panic!("{path}: no rows: {page}")).clone()
}

fn field<'v>(rows: &'v [Value], name: &str) -> Vec<&'v str> {
    rows.iter().map(|row| row[name].as_str().unwrap_or_else(|| panic!("no {name} in {row}"))).collect()
}

#[test]
fn health() {
    assert_eq!(SITE.server.get("/livez"), (200, "ok\n".into()));
    assert_eq!(SITE.server.get("/readyz"), (200, "ok\n".into()));
    for path in ["/", "/nope", "/v1", "/v1/../metrics", "/v1/pods/default", "/v1/%2e%2e/%2e%2e/etc/passwd"] {
        assert_eq!(SITE.server.get(path).0, 404, "{path}");
    }
}

/// Sends bytes and returns the response's status.
fn raw(request: &[u8]) -> String {
    let mut stream = TcpStream::connect(SITE.server.http).expect("connect");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let _ = stream.write_all(request); // the server may refuse before it has read everything
    let mut reply = [0; 12];
    stream.read_exact(&mut reply).expect("a status");
    String::from_utf8_lossy(&reply[9..]).into_owned()
}

#[test]
fn what_the_pages_refuse() {
    let long = format!("GET /livez HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "a".repeat(1 << 20));
    for (request, status) in [
        ("POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "405"),
        ("DELETE /v1/pods HTTP/1.1\r\nHost: x\r\n\r\n", "405"),
        ("HEAD /readyz HTTP/1.1\r\nHost: x\r\n\r\n", "200"),
        ("no HTTP at all\r\n\r\n", "400"),
        (&long, "431"),
    ] {
        assert_eq!(raw(request.as_bytes()), status, "{:.60}", request);
    }
    assert_eq!(SITE.server.get("/livez").0, 200);
}

/// A sample's name, labels and value. Panics if the line is no sample (Prometheus text format 0.0.4).
fn sample(line: &str) -> (&str, &str, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
    let (name, labels) = series.split_once('{').map_or((series, ""), |(name, rest)| {
        (name, rest.strip_suffix('}').unwrap_or_else(|| panic!("no end of the labels: {line}")))
    });
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    assert!(name.starts_with("callsign_") && name.bytes().all(is_name), "{line}");
    let mut rest = labels;
    while !rest.is_empty() {
        let (label, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
        assert!(!label.is_empty() && label.bytes().all(is_name), "{line}");
        let end = value.match_indices('"').find(|(at, _)| !value[..*at].ends_with('\\')).map(|(at, _)| at);
        rest = &value[end.unwrap_or_else(|| panic!("no end of a label's value: {line}")) + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    let value = value.replace("+Inf", "inf").parse().unwrap_or_else(|error| panic!("{error}: {line}"));
    (name, labels, value)
}

#[test]
fn metrics_have_the_shape_that_scrapers_read() {
    ask("Z", Rtype::SOA).tcp(dns());
    let (status, text) = SITE.server.get("/metrics");
    assert_eq!(status, 200);
    assert!(text.ends_with('\n'));
    let (mut family, mut families, mut series) = (None, BTreeMap::new(), HashSet::new());
    let mut help = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, words) = rest.split_once(' ').expect("a help text");
            assert!(!words.is_empty());
            help = Some(name);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert_eq!(help, Some(name), "HELP comes before TYPE");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(families.insert(name, kind).is_none(), "{name} twice");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            family = Some(name);
        } else {
            assert!(!line.starts_with('#'), "{line}: no comment of another kind, so no `# EOF` and no `# UNIT`");
            let (name, labels, value) = sample(line);
            let head = family.expect("a family before its samples");
            let is_of = |suffix: &str| name.strip_suffix(suffix) == Some(head) && families[head] == "histogram";
            assert!(name == head || ["_bucket", "_sum", "_count"].into_iter().any(is_of), "{line} below {head}");
            assert!(series.insert((name, labels)), "{line} twice");
            assert!(value.is_finite() && value >= 0.0, "{line}");
        }
    }
    for name in ["build_info", "queries_total", "truncated_total", "endpoints", "services", "zone_serial"] {
        let name = format!("callsign_{name}");
        assert!(series.iter().any(|(known, _)| *known == name), "no {name} in\n{text}");
    }
    let families: Vec<_> = families.into_keys().collect();
    for part in ["registration", "frame", "restart"] {
        assert!(families.iter().any(|name| name.contains(part)), "nothing about {part} among {families:?}");
    }
}

#[test]
fn queries_are_counted() {
    let server = Server::start(&["--manifests", manifests()]);
    for (name, rtype) in
        [("Z", Rtype::SOA), ("nope.Z", Rtype::A), ("example.org.", Rtype::A), ("Z", Rtype::from_int(1000))]
    {
        ask(name, rtype).udp(server.dns);
        ask(name, rtype).tcp(server.dns);
    }
    let text = server.get("/metrics").1;
    for (qtype, rcode, count) in [("SOA", "NOERROR", 1), ("A", "NXDOMAIN", 1), ("A", "REFUSED", 1)] {
        for transport in ["udp", "tcp"] {
            let line = format!(
                "callsign_queries_total{{qtype=\"{qtype}\",transport=\"{transport}\",rcode=\"{rcode}\"}} {count}\n"
            );
            assert!(text.contains(&line), "no {line} in\n{text}");
        }
    }
}

#[test]
fn interfaces() {
    let all = list("/v1/interfaces");
    assert_eq!(all.len(), 8, "{all:#?}");
    let greeters = list("/v1/interfaces?interface=ORG.acme.greeter");
    assert_eq!(field(&greeters, "group"), ["blue", "gray"]);
    assert_eq!(field(&greeters, "alias")[1], "x-v7tq8opdh05gb5vfsbe8f42p2vj23mgb", "the schema's example");
    for row in &greeters {
        assert_eq!(
            (&row["endpoints"], &row["version"], &row["namespace"]),
            (&json!(1), &json!("1.0.0"), &json!("default"))
        );
        // DNS answers the returned name.
        let name = row["name"].as_str().expect("a name");
        assert_eq!(ask(name, Rtype::SRV).udp(dns()).answer.len(), 1, "{name}");
    }
    for (filter, count) in [
        ("group=gray", 1),
        ("version=1.0.0", 2),
        ("version=", 6),
        ("namespace=odd", 4),
        ("interface=nope", 0),
        ("group=GRAY", 0),
    ] {
        assert_eq!(list(&format!("/v1/interfaces?{filter}")).len(), count, "{filter}");
    }
    assert_eq!(SITE.server.get("/v1/interfaces?grupe=gray").0, 400, "an unknown filter is no filter");
}

#[test]
fn endpoints() {
    let greeters = list("/v1/endpoints?interface=org.acme.Greeter&group=blue");
    let expected = json!([{
        "pod": "greeter-1", "namespace": "default", "interface": "org.acme.Greeter", "group": "blue", "version": "1.0.0",
        "protocol": "dubbo", "address": "10.244.0.82", "addresses": ["10.244.0.82", "fd00:10:244::82"], "port": 20880,
        "weight": 100, "metadata": {},
    }]);
    assert_eq!(json!(greeters), expected);
    assert_eq!(list("/v1/endpoints?interface=headless").len(), 6);
    assert_eq!(list("/v1/endpoints?interface=org.acme.Starting").len(), 0);
}

#[test]
fn pods_and_why_they_are_not_published() {
    let pods = list("/v1/pods");
    assert_eq!(pods.len(), 20);
    for (pod, reason) in [
        ("default/greeter-0", None),
        ("default/greeter-2", Some("not ready")),
        ("default/greeter-3", Some("terminating")),
        ("default/greeter-4", Some("finished")),
        ("odd/weights-0", Some("disabled")),
        ("odd/foreign-0", Some("foreign address")),
    ] {
        let rows = list(&format!("/v1/pods/{pod}"));
        let withheld = rows[0]["registrations"][0]["withheld"].as_str();
        assert_eq!(withheld.is_some(), reason.is_some(), "{pod}: {withheld:?}");
        assert!(withheld.unwrap_or_default().starts_with(reason.unwrap_or_default()), "{pod}: {withheld:?}");
    }
    assert_eq!(list("/v1/pods?namespace=testns").len(), 6);
    assert_eq!(list("/v1/pods/default/nope"), Vec::<Value>::new());
}

#[test]
fn bad() {
    let rows = list("/v1/bad");
    assert_eq!(field(&rows, "pod"), ["broken-0", "foreign-0"]);
    assert_eq!(field(&rows, "reason"), ["bad-json", "foreign-address"]);
    assert!(rows.iter().all(|row| row["offset"].is_u64() && row["profile"] == "app"), "{rows:#?}");
}

#[test]
fn no_page_shows_a_secret() {
    let tag = list("/v1/endpoints?interface=org.acme.Secret");
    assert_eq!(tag[0]["metadata"], json!({ "tag": "open" }));
    for path in ["/metrics", "/v1/interfaces", "/v1/endpoints", "/v1/pods", "/v1/pods/odd/secret-0", "/v1/bad"] {
        assert!(!SITE.server.get(path).1.contains("hunter2"), "{path}");
    }
    let texts = ask("_rpc._tcp.org.acme.secret.odd.Z", Rtype::TXT).udp(dns()).answer;
    assert!(texts.len() == 1 && texts[0].contains("tag=open") && !texts[0].contains("hunter2"), "{texts:?}");
    assert!(!SITE.server.log().contains("hunter2"));
}
