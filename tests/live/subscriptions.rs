//! The library's subscriptions to a server: one stream for all, and a connection for each stream, while interfaces come and
//! go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use callsign::registry::{Config, Registry, Selector, Subscription};
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;

use crate::harness::eventually;
use crate::harness::server::Server;

use super::site::{manifest, pod, rewrite, text};

const PATIENCE: Duration = Duration::from_secs(30);

/// `a.Name0` and so on, two of each: one of group `g` in the Pod `p…`, one without a group in `q…`.
fn pods(weights: &[usize]) -> Vec<Value> {
    let pods = weights.iter().enumerate().flat_map(|(at, weight)| {
        let (high, low) = ((at / 250) as u8, (at % 250) as u8);
        let fields = format!("interface=a.Name{at} port=80 weight={weight}");
        [
            pod(&format!("p{at:04}"), [10, 8, high, low], &format!("{fields} group=g")),
            pod(&format!("q{at:04}"), [10, 9, high, low], &fields),
        ]
    });
    pods.collect()
}

/// A proxy between the library and the server. It counts the open connections and can cut them all.
struct Between {
    address: SocketAddr,
    count: Arc<AtomicUsize>,
    open: Arc<std::sync::Mutex<Vec<AbortHandle>>>,
}

/// Counts a connection as closed when it is dropped.
struct Closed(Arc<AtomicUsize>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Between {
    fn start(runtime: &Runtime, server: SocketAddr) -> Between {
        let (count, open) = (Arc::<AtomicUsize>::default(), Arc::<std::sync::Mutex<Vec<AbortHandle>>>::default());
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let between =
            Between { address: listener.local_addr().expect("its address"), count: count.clone(), open: open.clone() };
        runtime.spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let closed = Closed(count.clone());
                let piped = tokio::spawn(async move {
                    let _closed = closed;
                    let mut server = TcpStream::connect(server).await.expect("the server");
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
                open.lock().expect("handles").push(piped.abort_handle());
            }
        });
        between
    }

    /// Waits until so many connections are open. A stream that is opened again closes its connection.
    fn has(&self, connections: usize) {
        eventually(PATIENCE, || match self.count.load(Ordering::Relaxed) {
            open if open == connections => Ok(()),
            open => Err(format!("{open} connections are open, not {connections}")),
        });
    }

    fn cut(&self) {
        self.open.lock().expect("handles").drain(..).for_each(|open| open.abort());
    }
}

fn registry(runtime: &Runtime, between: &Between) -> Registry {
    let config = Config::of_server(format!("http://{}", between.address));
    runtime.block_on(Registry::connect(config)).expect("a registry")
}

fn subscribe(runtime: &Runtime, registry: &Registry, at: usize, group: Option<&str>) -> Subscription {
    let mut selector = Selector::default();
    selector.group = group.map(str::to_owned);
    runtime.block_on(registry.subscribe(&format!("a.Name{at}"), selector)).expect("a subscription")
}

/// Waits until a subscription's endpoints have this weight and this number.
fn becomes(runtime: &Runtime, subscription: &mut Subscription, weight: usize, count: usize) {
    let hearing = async {
        loop {
            let endpoints = subscription.endpoints();
            if endpoints.len() == count && endpoints.iter().all(|one| usize::from(one.weight) == weight) {
                return;
            }
            subscription.next().await;
        }
    };
    let told = runtime.block_on(async { tokio::time::timeout(PATIENCE, hearing).await });
    assert!(told.is_ok(), "not {count} of {weight}: {:?}", subscription.endpoints());
}

fn subscribers(server: &Server) -> usize {
    let text = server.get("/metrics").1;
    let line = text.lines().find_map(|line| line.strip_prefix("callsign_subscribers ").map(str::to_owned));
    line.and_then(|line| line.parse().ok()).expect("a number")
}

/// A regression: a process with more than 64 interfaces received nothing of the 65th. More interfaces than one stream may have
/// are several streams, each on a connection.
#[test]
fn a_process_subscribes_to_as_many_interfaces_as_it_likes_by_few_connections() {
    const COUNT: usize = 1_100;
    let file = manifest(&pods(&[1; COUNT]));
    let server = Server::start(&["--manifests", text(&file)]);
    let runtime = Runtime::new().expect("a runtime");
    let between = Between::start(&runtime, server.http);
    let own = registry(&runtime, &between);
    let mut all: Vec<_> = (0..COUNT).map(|at| subscribe(&runtime, &own, at, None)).collect();
    all.iter_mut().for_each(|subscription| becomes(&runtime, subscription, 1, 2));
    assert_eq!(subscribers(&server), COUNT);
    between.has(2); // 1,024 interfaces each
    rewrite(&file, &pods(&[7; COUNT]));
    server.signal(Signal::SIGHUP);
    all.iter_mut().for_each(|subscription| becomes(&runtime, subscription, 7, 2));

    // The stream no longer has an interface without a subscription.
    all.truncate(3);
    eventually(PATIENCE, || match subscribers(&server) {
        3 => Ok(()),
        left => Err(format!("{left} are left")),
    });
    rewrite(&file, &pods(&[9; COUNT]));
    server.signal(Signal::SIGHUP);
    all.iter_mut().for_each(|subscription| becomes(&runtime, subscription, 9, 2));
    between.has(1);
    drop(all);
    eventually(PATIENCE, || match subscribers(&server) {
        0 => Ok(()),
        left => Err(format!("{left} are left")),
    });
}

/// A process has different selectors: one stream has everything that they select, and each subscription gets its part.
#[test]
fn each_subscription_receives_what_it_selects() {
    let file = manifest(&pods(&[1; 3]));
    let server = Server::start(&["--manifests", text(&file)]);
    let runtime = Runtime::new().expect("a runtime");
    let between = Between::start(&runtime, server.http);
    let own = registry(&runtime, &between);
    let mut grouped = subscribe(&runtime, &own, 0, Some("g"));
    becomes(&runtime, &mut grouped, 1, 1);
    let mut any = subscribe(&runtime, &own, 0, None);
    becomes(&runtime, &mut any, 1, 2);
    let mut none = subscribe(&runtime, &own, 0, Some(""));
    becomes(&runtime, &mut none, 1, 1);
    assert_eq!((&*grouped.endpoints()[0].pod, &*none.endpoints()[0].pod), ("p0000", "q0000"));
    let mut again = subscribe(&runtime, &own, 0, None);
    becomes(&runtime, &mut again, 1, 2);
    between.has(1);
    assert_eq!(subscribers(&server), 1, "one interface of one stream");
    rewrite(&file, &pods(&[5; 3]));
    server.signal(Signal::SIGHUP);
    for (subscription, count) in [(&mut grouped, 1), (&mut any, 2), (&mut none, 1), (&mut again, 2)] {
        becomes(&runtime, subscription, 5, count);
    }
}

/// Interfaces come and go, connections break, Pods change: nothing is lost, and every subscription gets the last state.
#[test]
fn a_reopened_stream_loses_nothing() {
    const COUNT: usize = 40;
    let file = manifest(&pods(&[1; COUNT]));
    let server = Server::start(&["--manifests", text(&file)]);
    let runtime = Runtime::new().expect("a runtime");
    let between = Between::start(&runtime, server.http);
    let own = registry(&runtime, &between);
    let mut weights = [1; COUNT];
    let mut all: Vec<(usize, Subscription)> = Vec::new();
    for round in 0..COUNT {
        all.push((round, subscribe(&runtime, &own, round, None)));
        for at in (round % 3..COUNT).step_by(3) {
            weights[at] = round + 2;
        }
        rewrite(&file, &pods(&weights));
        server.signal(Signal::SIGHUP);
        if round % 5 == 4 {
            all.remove(round % all.len());
        }
        if round % 8 == 7 {
            between.cut();
        }
        if round % 2 == 0
            && let Some((at, newest)) = all.last_mut()
            && *at == round
        {
            let told = runtime.block_on(async { tokio::time::timeout(PATIENCE, newest.next()).await });
            let told = told.expect("news in time");
            assert!(newest.endpoints().len() == 2, "{told:?}");
        }
    }
    for (at, subscription) in &mut all {
        becomes(&runtime, subscription, weights[*at], 2);
    }
}
