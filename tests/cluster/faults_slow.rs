//! Faults that take time: silence is noticed within a minute, and replaced credentials are read within a minute.
//!
//! Each scenario waits for about a minute, so all start together, and each test waits for its own.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use callsign::source::kube::QUIET_MAX;
use nix::sys::signal::Signal;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio_rustls::TlsAcceptor;

use super::faults::{PATIENCE, Site, at, gauge, greeter, greeters, is_at, metric};
use crate::harness::cluster::{Cluster, OWN_NAMESPACE};
use crate::harness::eventually;
use crate::harness::faults::{Fault, FaultyWay, Point};
use crate::harness::process::{free_port, scratch};
use crate::harness::server::Server;
use crate::harness::tls::{Authority, SERVER_NAME};

/// How late silence may be noticed, and replaced credentials be read.
const NOTICED: Duration = Duration::from_secs(60);

/// Starts the scenarios, if they do not run yet.
pub(super) fn begin() {
    LazyLock::force(&BEGUN);
}

/// The scenarios. The first test starts them.
static BEGUN: LazyLock<Mutex<BTreeMap<&str, JoinHandle<()>>>> = LazyLock::new(|| {
    let scenarios: [(&str, fn()); 6] = [
        ("frozen", frozen),
        ("stopped", stopped),
        ("token", token),
        ("authority", authority),
        ("slow", slow),
        ("quiet", quiet),
    ];
    Mutex::new(scenarios.into_iter().map(|(name, play)| (name, spawn(play))).collect())
});

#[track_caller]
fn await_end(scenario: &str) {
    let begun = BEGUN.lock().expect("no panic under the lock").remove(scenario).expect("a scenario");
    if let Err(failure) = begun.join() {
        std::panic::resume_unwind(failure);
    }
}

#[test]
fn a_silent_connection_is_noticed_within_a_minute() {
    await_end("frozen");
}

#[test]
fn a_stopped_api_server_is_noticed_within_a_minute() {
    await_end("stopped");
}

#[test]
fn a_replaced_token_is_read_within_a_minute() {
    await_end("token");
}

#[test]
fn a_replaced_authority_is_read_within_a_minute() {
    await_end("authority");
}

#[test]
fn a_slow_list_is_read_to_its_end() {
    await_end("slow");
}

#[test]
fn a_quiet_cluster_proves_its_zone_within_the_time_that_is_documented() {
    await_end("quiet");
}

/// Waits until a server has noticed that its watch is silent. Answers continue meanwhile.
fn notices(server: &Server, ask: impl Fn() -> Result<(), String>) {
    let start = Instant::now();
    while metric(server, "callsign_source_restarts_total{", "reason=\"silent\"") == 0 {
        assert!(start.elapsed() < NOTICED, "not noticed: {}", server.log());
        ask().expect("what was known");
        sleep(Duration::from_millis(200));
    }
    let silence = metric(server, "callsign_source_last_frame_seconds{", "");
    assert!(silence + 2 >= start.elapsed().as_secs().min(30), "the age of the last frame is {silence} s");
    eprintln!("noticed after {:?}", start.elapsed());
}

fn frozen() {
    let site = Site::new("frozen");
    let pod = greeter(&site.namespace, "greeter-0", 1, 1000);
    eventually(PATIENCE, || site.shows(&[1000]));
    site.way.freeze();
    pod.register(&at(1001));
    notices(&site.server, || site.shows(&[1000]));
    site.way.open();
    eventually(Duration::from_secs(15), || site.shows(&[1001]));
}

fn stopped() {
    let cluster = Cluster::shared();
    let (api_server, namespace) = (cluster.another_api_server(), cluster.namespace("stopped"));
    let pod = greeter(&namespace, "greeter-0", 1, 1000);
    let kubeconfig = cluster.kubeconfig_to(api_server.port);
    let server = Server::start(&["--kubeconfig", &kubeconfig, "--namespace", &namespace.name]);
    let is_shown = |port| is_at(&greeters(&namespace).udp(server.dns), &[port]);
    is_shown(1000).expect("a first list");
    pod.register(&at(1001));
    eventually(PATIENCE, || is_shown(1001)); // through a watch, which is therefore open
    api_server.signal(Signal::SIGSTOP);
    pod.register(&at(1002));
    notices(&server, || is_shown(1001));
    api_server.signal(Signal::SIGCONT);
    eventually(Duration::from_secs(25), || is_shown(1002));
}

fn token() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("token");
    let pod = greeter(&namespace, "greeter-0", 1, 1000);
    let in_own = |args: &[&str]| cluster.kubectl(&[&["-n", OWN_NAMESPACE], args].concat());
    // A token is valid while the object that it is bound to exists.
    let bound = |secret: &str| {
        in_own(&["create", "secret", "generic", secret]);
        in_own(&["create", "token", "callsign", "--bound-object-kind", "Secret", "--bound-object-name", secret])
    };
    let file = scratch("token").join("token");
    fs::write(&file, bound("first").trim()).expect("write a token");
    let port = free_port();
    let mut way = Some(cluster.proxy(port));
    let kubeconfig = cluster.kubeconfig_by(port, &json!({ "tokenFile": file }));
    let server = Server::start(&["--kubeconfig", &kubeconfig, "--namespace", &namespace.name]);
    let is_shown = |port| is_at(&greeters(&namespace).udp(server.dns), &[port]);

    in_own(&["delete", "secret", "first"]);
    // An open watch stays open. The API server accepts new requests while it has the token in its cache.
    pod.register(&at(1001));
    eventually(PATIENCE, || is_shown(1001));
    let refused = || metric(&server, "callsign_source_restarts_total{", "reason=\"refused\"");
    eventually(NOTICED, || {
        drop(way.take());
        way = Some(cluster.proxy(port));
        sleep(Duration::from_millis(500));
        if refused() > 0 { Ok(()) } else { Err("the old token is still good") }
    });
    assert!(server.log().contains("401"), "{}", server.log());
    pod.register(&at(1002));
    fs::write(&file, bound("second").trim()).expect("write a token");
    let took = eventually(NOTICED + Duration::from_secs(10), || is_shown(1002));
    eprintln!("a turned token was used after {took:?}");
}

fn authority() {
    let tls = |authority: &Authority| {
        let (certificate, key, _) = authority.issue();
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("versions").with_no_client_auth();
        TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate], key).expect("a pair")))
    };
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("authority");
    let pod = greeter(&namespace, "greeter-0", 1, 1000);
    let way = FaultyWay::start(cluster, cluster.own_client());
    let [old, new] = [Authority::new(), Authority::new()];
    way.shake_hands(tls(&old));
    let kubeconfig = way.kubeconfig_with(json!({ "server": format!("https://{}", way.address),
        "certificate-authority": old.file, "tls-server-name": SERVER_NAME }));
    let server = Server::start(&["--kubeconfig", &kubeconfig, "--namespace", &namespace.name]);
    let is_shown = |port| is_at(&greeters(&namespace).udp(server.dns), &[port]);
    is_shown(1000).expect("a first list");

    way.shake_hands(tls(&new));
    way.cut();
    pod.register(&at(1001));
    eventually(PATIENCE, || if server.log().contains("certificate") { Ok(()) } else { Err(server.log()) });
    is_shown(1000).expect("what was known");
    fs::copy(&new.file, &old.file).expect("turn the authority");
    // It is read when the old one is a minute old, at the next attempt, at most ten seconds later.
    let took = eventually(NOTICED + Duration::from_secs(15), || is_shown(1001));
    eprintln!("a turned authority was used after {took:?}");
}

/// A list that takes longer than the timeout for each of its pieces.
fn slow() {
    let site = Site::new("slow");
    let pods: Vec<_> =
        (1..=20).map(|n| greeter(&site.namespace, &format!("greeter-{n}"), n, 1000 + u16::from(n))).collect();
    let ports: Vec<u16> = (1001..=1020).collect();
    eventually(PATIENCE, || site.shows(&ports));
    let mut expires = true;
    site.way.decide(move |point, _| match point {
        Point::Watch if std::mem::take(&mut expires) => Some(Fault::status(410, "Expired", "too old")),
        Point::List => Some(Fault::Drip(80)),
        _ => None,
    });
    let lists = site.relists();
    site.way.cut();
    pods[0].register(&at(1000));
    let start = Instant::now();
    eventually(NOTICED, || if site.relists() > lists { Ok(()) } else { Err("it is not whole") });
    assert!(start.elapsed() > Duration::from_secs(12), "not slow: {:?}", start.elapsed());
    assert_eq!((site.restarts("silent"), site.way.asked(Point::List)), (0, 2));
    let changed: Vec<u16> = (1000..=1020).filter(|port| *port != 1001).collect();
    eventually(PATIENCE, || site.shows(&changed));
}

/// The age of a zone whose namespace does not change, over two whole watches.
fn quiet() {
    let site = Site::new("quiet");
    greeter(&site.namespace, "greeter-0", 1, 1000);
    eventually(PATIENCE, || site.shows(&[1000]));
    let (start, mut oldest, mut last, mut proofs) = (Instant::now(), 0.0_f64, 0.0_f64, Vec::new());
    while start.elapsed() < 2 * QUIET_MAX {
        let age = gauge(&site.server, "callsign_source_age_seconds{");
        if age + 2.0 < last {
            proofs.push((start.elapsed().as_secs(), last));
        }
        (oldest, last) = (oldest.max(age), age);
        sleep(Duration::from_millis(250));
    }
    eprintln!("the oldest zone was {oldest:.1} s old; proofs came at (s, age before) {proofs:?}");
    assert!(oldest < QUIET_MAX.as_secs_f64(), "{oldest} s: --stale-after has to be longer than the docs say");
    assert!(oldest > 20.0, "{oldest} s: something happened, and nothing was measured");
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("a README");
    let promise = format!("on a quiet cluster it stays below {}", QUIET_MAX.as_secs());
    assert!(readme.contains(&promise), "the README does not say: {promise}");
}
