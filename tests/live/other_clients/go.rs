//! Go's resolver, and gRPC's for Go.

use std::sync::LazyLock;

use super::pods::{Pods, pod};
use crate::harness::go::go_program;
use crate::harness::process::{built, free_address, free_port, output};
use crate::harness::server::Server;

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/zones/demo");
const GO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/go");

/// Runs the program of `tests/clients/go` against a server, and returns its sorted output lines.
#[track_caller]
fn go(server: &Server, args: &[&str]) -> Vec<String> {
    let server = server.dns.to_string();
    let text = output(&*PROGRAM, [server.as_str()].iter().chain(args));
    text.lines().map(str::to_owned).collect()
}

/// The program. Go builds it once for this test process.
static PROGRAM: LazyLock<String> = LazyLock::new(|| go_program("go"));

#[test]
fn lookups_of_the_demo() {
    let server = Server::start(&["--manifests", DEMO, "--reverse", "10.244.0.0/16"]);
    let blue = "org.acme.greeter.g-blue.default.rpc.cluster.local.";
    let under_blue = &format!("_tri._tcp.{blue}");
    let targets = ["0 100 50051 10-244-0-81.p.rpc.cluster.local.", "0 100 50051 10-244-0-82.p.rpc.cluster.local."];
    let addresses = ["10.244.0.81", "10.244.0.82", "fd00:10:244::82"];
    // Go joins the strings of a TXT record without a separator.
    let txt = |pod: &str, address: &str, zone: &str| {
        format!(
            "pod={pod}addr={address}:50051interface=org.acme.Greetergroup=blueversion=1.0.0application=hello\
             methods=SayHello,SayByeweight=100zone={zone}"
        )
    };
    let txts = [txt("greeter-0", "10.244.0.81", "a"), txt("greeter-1", "10.244.0.82", "b")];
    let not_found = &["error: not-found"][..];
    #[rustfmt::skip]
    let cases: &[(&[&str], &[&str])] = &[
        (&["srv", "tri", "tcp", blue], &targets),
        // Without a service and a protocol it asks for the name unchanged.
        (&["srv", under_blue], &targets),
        (&["srv", blue], &targets),
        (&["txt", under_blue], &[&txts[0], &txts[1]]),
        (&["host", blue], &addresses),
        (&["netip", blue], &addresses),
        (&["host", "10-244-0-82.p.rpc.cluster.local."], &addresses[1..]),
        (&["ptr", "10.244.0.81"], &["greeter-0.default.pod.rpc.cluster.local."]),
        // No such name.
        (&["srv", "tri", "tcp", "org.acme.nobody.default.rpc.cluster.local."], not_found),
        (&["host", "org.acme.nobody.default.rpc.cluster.local."], not_found),
        (&["ptr", "10.244.0.99"], not_found),
        // An existing name without such records: neither a lame referral nor a reason to try again.
        (&["host", under_blue], not_found),
        (&["txt", blue], not_found),
        (&["srv", "10-244-0-82.p.rpc.cluster.local."], not_found),
        // Outside our zones: REFUSED does not mean that the name does not exist.
        (&["host", "example.org."], &["error: refused"]),
    ];
    for (args, wanted) in cases {
        assert_eq!(go(&server, args), *wanted, "{args:?}");
    }
}

#[test]
fn the_recipe_prints_the_demo() {
    let server = Server::start(&["--manifests", DEMO]);
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/clients/lookup.go");
    let run = |name| built(GO, ["run", recipe, &server.dns.to_string(), "tri", name]);
    // One endpoint, because Go shuffles several by weight.
    let gray = run("org.acme.greeter.g-gray.default.rpc.cluster.local.");
    assert_eq!(gray, "10-244-1-81.p.rpc.cluster.local.:50051 weight 10\n");
    assert_eq!(run("org.acme.nobody.default.rpc.cluster.local."), "no endpoints\n");
}

#[test]
fn a_set_too_big_for_udp_comes_whole() {
    let addresses: Vec<String> = (1..=100).map(|host| format!("10.244.0.{host}")).collect();
    let pairs = [("interface", "web"), ("protocol", "http"), ("port", "8080")];
    let pods: Vec<_> = addresses.iter().map(|address| pod(address, &pairs)).collect();
    let pods = Pods::of(&pods);
    let server = Server::start(&["--manifests", pods.path()]);
    let name = "web.shop.rpc.cluster.local.";

    let mut targets: Vec<String> = addresses.iter().map(|address| srv(8080, address)).collect();
    targets.sort();
    assert_eq!(go(&server, &["srv", "http", "tcp", name]), targets);
    let mut sorted = addresses.clone();
    sorted.sort();
    assert_eq!(go(&server, &["host", name]), sorted);
    assert_eq!(go(&server, &["txt", &format!("_http._tcp.{name}")]).len(), 100);
    assert!(queries(&server, "transport=\"tcp\"") >= 3, "{}", server.get("/metrics").1);
}

#[test]
fn grpc_calls_every_endpoint() {
    let port = free_port();
    let addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
    let text = port.to_string();
    let pairs = [("interface", "org.acme.Greeter"), ("protocol", "grpc"), ("port", text.as_str())];
    let pods = Pods::of(&addresses.map(|address| pod(address, &pairs)));
    let server = Server::start(&["--manifests", pods.path()]);

    let endpoints = addresses.map(|address| format!("{address}:{port}"));
    let target = format!("org.acme.greeter.shop.rpc.cluster.local:{port}");
    let args: Vec<&str> = ["grpc", &target].into_iter().chain(endpoints.iter().map(String::as_str)).collect();
    assert_eq!(go(&server, &args), endpoints);
    // gRPC has asked for a service configuration, and accepted the answer that there is none.
    assert!(queries(&server, "type=\"TXT\"") >= 1, "{}", server.get("/metrics").1);
}

#[test]
fn silence_is_no_answer() {
    // Not `not-found`: no server listens here.
    let text = output(&*PROGRAM, [&free_address().to_string(), "host", "web.shop.rpc.cluster.local."]);
    assert_eq!(text, "error: temporary\n");
}

/// The data of an SRV record, as Go gives it.
fn srv(port: u16, address: &str) -> String {
    format!("0 100 {port} {}.p.rpc.cluster.local.", address.replace('.', "-"))
}

/// The number of queries that the server has counted under a label.
fn queries(server: &Server, label: &str) -> u64 {
    let (_, metrics) = server.get("/metrics");
    let samples = metrics.lines().filter(|line| line.starts_with("callsign_queries_total{") && line.contains(label));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
