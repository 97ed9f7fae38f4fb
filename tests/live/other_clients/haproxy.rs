//! HAProxy with `deploy/clients/haproxy.cfg`: which endpoints it balances over, and how it follows their changes.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::spawn;
use std::time::Duration;

use serde_json::{Value, json};

use super::pods::{Pods, pod};
use crate::harness::eventually;
use crate::harness::process::{Process, free_address, free_port, http_get, scratch};
use crate::harness::server::Server;

const RECIPE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/clients/haproxy.cfg"));

/// How long a change may take: the recipe's `hold valid`, a second until HAProxy asks, and time for a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// A running HAProxy. Dropping it stops it.
struct HaProxy {
    front: SocketAddr,
    stats: PathBuf,
    _process: Process,
}

/// A server of HAProxy with an address: the address with its port, and the weight.
type Backend = (SocketAddr, u16);

impl HaProxy {
    /// Starts it with the recipe, with replaced addresses and a test's other replacements.
    fn start(server: &Server, changes: &[(&str, &str)]) -> HaProxy {
        let (front, dir) = (free_address(), scratch("haproxy"));
        let stats = dir.join("stats");
        let (dns, bind) = (server.dns.to_string(), front.to_string());
        let own = [
            ("/tmp/haproxy-callsign.sock", stats.to_str().expect("a path of UTF-8")),
            ("127.0.0.1:5354", &dns),
            ("127.0.0.1:8080", &bind),
        ];
        let config = own.iter().chain(changes).fold(RECIPE.to_owned(), |config, (from, to)| {
            assert!(config.contains(from), "there is no {from} in the recipe any more");
            config.replace(from, to)
        });
        let path = dir.join("haproxy.cfg");
        fs::write(&path, config).expect("write a configuration");
        let mut process = Process::start("haproxy", ["-db".as_ref(), "-f".as_ref(), path.as_os_str()]);
        process.wait_until(PATIENCE, || UnixStream::connect(&stats).is_ok());
        HaProxy { front, stats, _process: process }
    }

    /// The answer to a command on its stats socket.
    fn tell(&self, command: &str) -> String {
        let mut socket = UnixStream::connect(&self.stats).expect("the stats socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        writeln!(socket, "{command}").expect("a command");
        let mut text = String::new();
        socket.read_to_string(&mut text).expect("an answer");
        text
    }

    /// The servers that have an address, sorted.
    fn backends(&self) -> Vec<Backend> {
        let text = self.tell("show servers state web");
        let header = text.lines().find_map(|line| line.strip_prefix("# ")).expect("a header");
        let column = |name: &str| header.split(' ').position(|field| field == name).expect("a column");
        let columns = [column("srv_addr"), column("srv_port"), column("srv_uweight")];
        let mut backends: Vec<Backend> = text
            .lines()
            .filter(|line| line.split(' ').nth(1) == Some("web"))
            .filter_map(|line| {
                let fields: Vec<&str> = line.split(' ').collect();
                let [address, port, weight] = columns.map(|column| fields[column]);
                // An unused slot has no address.
                let address = format!("{address}:{port}").parse().ok()?;
                Some((address, weight.parse().expect("a weight")))
            })
            .collect();
        backends.sort();
        backends
    }

    /// Waits until it has these, in order.
    #[track_caller]
    fn wait_for(&self, wanted: &[Backend]) {
        eventually(PATIENCE, || {
            let backends = self.backends();
            if backends == wanted { Ok(()) } else { Err(format!("wanted {wanted:?}, got {backends:?}")) }
        });
    }

    /// Sends this many requests, and returns which servers answer.
    fn answering(&self, requests: usize) -> BTreeSet<String> {
        (0..requests).filter_map(|_| http_get(self.front, "/").ok()).map(|(_, body)| body).collect()
    }
}

/// An endpoint of the interface in the recipe.
fn web(address: &str, port: u16, weight: u16) -> Value {
    let (port, weight) = (port.to_string(), weight.to_string());
    pod(address, &[("interface", "web"), ("protocol", "http"), ("port", &port), ("weight", &weight)])
}

/// The same Pod before it is ready.
fn not_ready(mut pod: Value) -> Value {
    pod["status"]["conditions"] = json!([{ "type": "Ready", "status": "False" }]);
    pod
}

/// Answers every request at an address with that address, until the test process ends.
fn serve(address: SocketAddr) {
    let listener = TcpListener::bind(address).expect("a backend's port");
    spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // The request ends with an empty line; a health check has none at all.
            let asked = stream.try_clone().expect("a second handle");
            let mut lines = BufReader::new(asked).lines().map_while(Result::ok);
            if lines.any(|line| line.is_empty()) {
                let text = address.to_string();
                let _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
            }
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
}

#[test]
fn every_endpoint_is_a_backend_and_changes_are_followed() {
    let port = free_port();
    let addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
    let at = |host: usize| SocketAddr::new(addresses[host].parse().expect("an address"), port);
    (0..3).for_each(|host| serve(at(host)));
    let pods = Pods::of(&[web(addresses[0], port, 256), web(addresses[1], port, 2560)]);
    let server = Server::start(&["--manifests", pods.path()]);
    let proxy = HaProxy::start(&server, &[("hold other 30s", "hold other 1s")]);

    proxy.wait_for(&[(at(0), 1), (at(1), 10)]);
    let answering = |hosts: &[usize]| {
        let wanted: BTreeSet<String> = hosts.iter().map(|host| at(*host).to_string()).collect();
        // One of eleven requests goes to the lighter server.
        eventually(PATIENCE, || match proxy.answering(22) {
            seen if seen == wanted => Ok(()),
            seen => Err(format!("{seen:?} answered")),
        });
    };
    answering(&[0, 1]);

    // One endpoint goes, one comes, and one changes its weight.
    pods.become_these(&[web(addresses[1], port, 512), web(addresses[2], port, 512)]);
    proxy.wait_for(&[(at(1), 2), (at(2), 2)]);
    answering(&[1, 2]);

    // The last ones go. Then one comes back.
    let pods_left: Vec<Value> = [1, 2].iter().map(|host| not_ready(web(addresses[*host], port, 512))).collect();
    pods.become_these(&pods_left);
    proxy.wait_for(&[]);
    pods.become_these(&[web(addresses[0], port, 512)]);
    proxy.wait_for(&[(at(0), 2)]);
}

#[test]
fn over_tcp_it_sees_every_endpoint_and_over_udp_those_that_fit() {
    let pods: Vec<Value> = (1..=100).map(|host| web(&format!("10.244.0.{host}"), 8080, 100)).collect();
    let pods = Pods::of(&pods);
    let server = Server::start(&["--manifests", pods.path()]);
    let slots = ("server-template web- 10 ", "server-template web- 120 ");
    let over_tcp = HaProxy::start(&server, &[slots]);
    let over_udp =
        HaProxy::start(&server, &[slots, ("tcp@", ""), ("accepted_payload_size 65535", "accepted_payload_size 1232")]);

    let has = |proxy: &HaProxy, fits: fn(usize) -> bool| {
        let backends = proxy.backends();
        let are_ours = backends.iter().all(|(address, _)| address.to_string().starts_with("10.244.0."));
        if fits(backends.len()) && are_ours { Ok(()) } else { Err(format!("{backends:?}")) }
    };
    eventually(PATIENCE, || has(&over_tcp, |count| count == 100));
    // A cut reply still has some of them, each with its address.
    eventually(PATIENCE, || has(&over_udp, |count| (10..40).contains(&count)));
}
