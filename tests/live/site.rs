//! The server that all tests share that only query, and the parts from which the others build theirs.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::base::iana::Rtype;

use super::family::other_loopback;
use crate::harness::ask::{Ask, Edns, Reply};
use crate::harness::process::{free_port, scratch};
use crate::harness::server::Server;

/// The Pods' zone.
pub(crate) const Z: &str = "rpc.cluster.local.";

/// The static zone.
pub(crate) const STATIC: &str = "static.test.";

/// The server's NSID.
pub(crate) const NSID: &str = "site-1";

/// How long a datagram's reply may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The server with the Pods of `manifests/` and the zones of `zones/`.
pub(crate) static SITE: LazyLock<Site> = LazyLock::new(|| {
    let six = SocketAddr::new(other_loopback(), free_port());
    let mut args = vec!["--manifests", manifests(), "--zones", zones(), "--nsid", NSID];
    for network in ["10.244.0.0/16", "172.0.0.0/24", "fd00:10:244::/56", "5678:abcd::/32"] {
        args.extend(["--reverse", network]);
    }
    args.extend(["--ns", "ns=192.0.2.53", "--ns", "ns=2001:db8::53", "--listen"]);
    let listen = six.to_string();
    args.push(&listen);
    Site { server: Server::start(&args), six }
});

/// See [`SITE`].
pub(crate) struct Site {
    pub(crate) server: Server,
    /// Its address over IPv6, from [`other_loopback`].
    pub(crate) six: SocketAddr,
}

/// The Pods of most tests.
pub(crate) fn manifests() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/manifests")
}

/// The static zones of most tests.
pub(crate) fn zones() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/zones")
}

/// The address of the shared server.
pub(crate) fn dns() -> SocketAddr {
    SITE.server.dns
}

/// The full form of a name that ends in `Z`.
pub(crate) fn whole(name: &str) -> String {
    name.strip_suffix('Z').map_or_else(|| name.to_owned(), |below| format!("{below}{Z}"))
}

/// A question for a name that may end in `Z`.
pub(crate) fn ask(name: &str, rtype: Rtype) -> Ask {
    Ask::new(&whole(name), rtype)
}

/// The sorted data of a section's records, without owner, TTL, class and type, with `Z` for the zone.
pub(crate) fn data(section: &[String]) -> Vec<String> {
    let data = |line: &String| line.split_whitespace().skip(4).collect::<Vec<_>>().join(" ").replace(Z, "Z");
    let mut data: Vec<String> = section.iter().map(data).collect();
    data.sort();
    data
}

/// The code of an extended error (RFC 8914), if the reply has one.
pub(crate) fn extended_error(reply: &Reply) -> Option<u16> {
    let options = &reply.edns.as_ref()?.options;
    let (_, data) = options.iter().find(|(code, _)| *code == 15)?;
    Some(u16::from_be_bytes([data[0], data[1]]))
}

/// The one SOA record of a negative answer: its owner and its TTL.
#[track_caller]
pub(crate) fn negative_soa(reply: &Reply) -> (&str, u32) {
    assert!(reply.answer.is_empty(), "a negative answer has no records: {reply:?}");
    let [soa] = &*reply.authority else { panic!("one SOA wanted: {reply:?}") };
    let fields: Vec<&str> = soa.split_whitespace().collect();
    assert_eq!(fields[3], "SOA", "{reply:?}");
    (fields[0], fields[1].parse().expect("a TTL"))
}

/// EDNS of version 0 with 1232 bytes and these options.
pub(crate) fn options(options: &[(u16, &[u8])]) -> Edns {
    let options = options.iter().map(|(code, data)| (*code, data.to_vec())).collect();
    Edns { size: 1232, options, ..Edns::default() }
}

/// Sends bytes over UDP and returns the reply. `None` if the server answered the following question first.
///
/// The server answers a socket's datagrams in order, so the absence of a reply needs no waiting. The following question also
/// shows that the server is alive.
#[track_caller]
pub(crate) fn provoke(server: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let here = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(here).expect("a socket");
    socket.connect(server).expect("an address");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.send(bytes).expect("send");
    let canary = loop {
        let canary = ask("Z", Rtype::SOA).to_wire();
        if canary.get(..2) != bytes.get(..2) {
            break canary;
        }
    };
    socket.send(&canary).expect("send");
    let mut replies = Vec::new();
    loop {
        let mut reply = vec![0; 65_535];
        let len = socket.recv(&mut reply).unwrap_or_else(|error| panic!("no answer after {bytes:02x?}: {error}"));
        reply.truncate(len);
        if reply.get(..2) == canary.get(..2) {
            Reply::read(&canary, reply);
            break;
        }
        replies.push(reply);
    }
    assert!(replies.len() < 2, "more than one reply to {bytes:02x?}: {replies:02x?}");
    replies.pop()
}

/// Checks that no query so far met a panic.
#[track_caller]
pub(crate) fn gave_up_nothing(server: &Server) {
    let metrics = server.get("/metrics").1;
    assert!(metrics.lines().any(|line| line == "callsign_panics_total 0"), "{}\n{metrics}", server.log());
}

/// One Pod of a manifest: ready, in the namespace `default`, registering `interface=a port=1 interface=b …`.
pub(crate) fn pod(name: &str, address: impl Into<IpAddr>, fields: &str) -> serde_json::Value {
    let pairs: Vec<_> = fields
        .split_whitespace()
        .map(|field| field.split_once('=').expect("key=value"))
        .map(|(k, v)| serde_json::json!({ "k": k, "v": v }))
        .collect();
    let value = BASE64_STANDARD.encode(serde_json::to_vec(&pairs).expect("JSON"));
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": { "app.io/label": "app.io-value" },
            "annotations": { "app.io/annotation": value },
        },
        "status": { "podIPs": [{ "ip": address.into() }] },
    })
}

/// Writes a manifest into a new folder.
pub(crate) fn manifest(pods: &[serde_json::Value]) -> PathBuf {
    let file = scratch("manifests").join("pods.json");
    rewrite(&file, pods);
    file
}

/// Replaces a manifest, in one step.
pub(crate) fn rewrite(file: &PathBuf, pods: &[serde_json::Value]) {
    let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": pods });
    let beside = file.with_extension("new");
    fs::write(&beside, list.to_string()).expect("write a manifest");
    fs::rename(&beside, file).expect("move a manifest");
}

/// A path as an argument.
pub(crate) fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}
