//! The library's subscriptions, through a server's stream and through a watch inside the process, while Pods, the API server
//! and the server come and go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callsign::registration;
use callsign::registry::{Config, Endpoint, Registry, Selector, Subscription, Update};
use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, ListParams};

use super::register::PATIENCE;
use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::kubelet::{Namespace, Pod, annotation};
use crate::harness::process::{Process, free_address, free_port, http_get};

const INTERFACE: &str = "org.acme.Greeter";

/// The sources of both kinds of subscriptions.
enum Way<'s> {
    /// A server's URL.
    Stream(&'s str),
    /// A kubeconfig for a watch inside the process.
    Own(&'s str),
}

fn subscribe(namespace: &Namespace, way: &Way<'_>) -> (Registry, Subscription) {
    let namespace = Some(namespace.name.clone());
    let config = match way {
        Way::Stream(url) => Config::of_server(*url),
        Way::Own(path) => {
            let mut config = Config::default();
            config.kubeconfig = Some(path.into());
            config.namespace.clone_from(&namespace);
            config
        }
    };
    Cluster::shared().block_on(async {
        let registry = Registry::connect(config).await.expect("a registry");
        let mut selector = Selector::default();
        selector.namespace = namespace;
        let subscription = registry.subscribe(&INTERFACE.to_lowercase(), selector).await.expect("a subscription");
        (registry, subscription)
    })
}

/// A strict subscriber: an added endpoint must be new, and a changed or removed one must be known in its old state.
struct Follower {
    known: Arc<Mutex<Option<BTreeMap<String, Endpoint>>>>,
    _registry: Registry,
}

impl Follower {
    fn start((registry, mut subscription): (Registry, Subscription)) -> Follower {
        let known = Arc::new(Mutex::new(None));
        let keeping = known.clone();
        let follow = async move {
            loop {
                let update = subscription.next().await;
                let told: Vec<String> = subscription.endpoints().iter().map(key).collect();
                let mut known = keeping.lock().expect("the last update was right");
                take(&mut known, update);
                assert!(known.iter().flat_map(BTreeMap::keys).eq(&told), "{told:?}");
            }
        };
        Cluster::shared().spawn(follow);
        Follower { known, _registry: registry }
    }

    /// `pod:port:weight` of each endpoint, in order. `None` before the first set.
    fn shown(&self) -> Option<Vec<String>> {
        let known = self.known.lock().expect("every update was right");
        known.as_ref().map(|known| known.values().map(shown).collect())
    }

    #[track_caller]
    fn becomes(&self, expected: &[String]) {
        eventually(PATIENCE, || match self.shown() {
            Some(found) if found == expected => Ok(()),
            found => Err(format!("{found:?}, and the API server lists {expected:?}")),
        });
    }
}

fn take(known: &mut Option<BTreeMap<String, Endpoint>>, update: Update) {
    let change = match update {
        Update::Set(set) => {
            assert!(known.is_none(), "a set comes first, and once");
            *known = Some(set.endpoints.into_iter().map(|one| (key(&one), one)).collect());
            return;
        }
        Update::Change(change) => change,
        other => panic!("{other:?}"),
    };
    let known = known.as_mut().expect("a set comes first");
    assert!(!change.is_empty());
    for one in change.removed {
        assert_eq!(known.remove(&key(&one)), Some(one), "what is removed was there");
    }
    for one in change.changed {
        let before = known.insert(key(&one), one.clone());
        assert!(before.is_some_and(|before| before != one), "what is changed was there, and otherwise");
    }
    for one in change.added {
        assert_eq!(known.insert(key(&one), one), None, "what is added was not there");
    }
}

fn key(one: &Endpoint) -> String {
    format!("{}:{}:{}", one.pod, one.address, one.port)
}

fn shown(one: &Endpoint) -> String {
    format!("{}:{}:{}", one.pod, one.port, one.weight)
}

/// The same as [`Follower::shown`], from a LIST of the API server.
fn listed(namespace: &Namespace) -> Vec<String> {
    let cluster = Cluster::shared();
    let api: Api<core::Pod> = Api::namespaced(cluster.admin(), &namespace.name);
    let pods = cluster.block_on(api.list(&ListParams::default())).expect("a list");
    let mut shown = Vec::new();
    for pod in pods {
        let status = pod.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let is_ready = conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True");
        if !is_ready || pod.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let value = pod.metadata.annotations.unwrap_or_default().remove("app.io/annotation").unwrap_or_default();
        let name = pod.metadata.name.unwrap_or_default();
        let mine = registration::decode_value(&value).registrations;
        let mine = mine.into_iter().filter(|one| one.interface.eq_ignore_ascii_case(INTERFACE));
        shown.extend(mine.map(|one| format!("{name}:{}:{}", one.port, one.weight)));
    }
    shown.sort();
    shown
}

fn fields(port: u16, weight: usize) -> String {
    let (port, weight) = (port.to_string(), weight.to_string());
    annotation(&[("interface", INTERFACE), ("port", &port), ("weight", &weight), ("interface", "b.C"), ("port", "1")])
}

/// A Pod of the interface at the `host`-th address.
fn greeter(namespace: &Namespace, host: u8) -> Pod {
    let pod = namespace.pod(&format!("greeter-{host:03}"));
    pod.run(&[&namespace.ip(host), &namespace.ip6(host)]);
    pod.register(&fields(80, 100));
    pod
}

/// A server at an address, with a kubeconfig.
fn serve(http: &str, kubeconfig: &str, namespace: &Namespace) -> Process {
    let dns = free_address().to_string();
    let args = ["serve", "--listen", &dns, "--http", http, "--lame-duck", "0", "--kubeconfig", kubeconfig];
    let mut server =
        Process::start(env!("CARGO_BIN_EXE_callsign"), [&args[..], &["--namespace", &namespace.name]].concat());
    let address = http.parse().expect("an address");
    server.wait_until(PATIENCE, || http_get(address, "/readyz").is_ok_and(|(status, _)| status == 200));
    server
}

#[test]
fn a_server_and_an_own_watch_return_the_same() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("registry");
    let http = free_address().to_string();
    let _server = serve(&http, cluster.kubeconfig(), &namespace);
    let url = format!("http://{http}");
    let both = [Way::Stream(&url), Way::Own(cluster.kubeconfig())];
    let early = both.each_ref().map(|way| Follower::start(subscribe(&namespace, way)));
    early.iter().for_each(|one| one.becomes(&[]));

    let pods: Vec<Pod> = (1..=6).map(|host| greeter(&namespace, host)).collect();
    let late = both.each_ref().map(|way| Follower::start(subscribe(&namespace, way)));
    pods[0].register(&fields(81, 100));
    pods[1].register(&fields(80, 7));
    pods[2].set_ready(false);
    pods[3].delete();
    pods[4].terminate();
    let last = listed(&namespace);
    assert_eq!(last, ["greeter-001:81:100", "greeter-002:80:7", "greeter-006:80:100"]);
    let followers: Vec<Follower> = early.into_iter().chain(late).collect();
    followers.iter().for_each(|one| one.becomes(&last));

    let whole: Vec<_> = followers.iter().map(|one| one.known.lock().expect("right").clone()).collect();
    assert!(whole.iter().all(|one| *one == whole[0]), "to the last field: {whole:#?}");
    let first = whole[0].as_ref().and_then(|known| known.values().next().cloned()).expect("an endpoint");
    let addresses: Vec<String> = first.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, [namespace.ip(1), namespace.ip6(1)]);
    assert_eq!(first.address, first.addresses[0]);
}

#[test]
fn nothing_is_lost_or_invented_while_the_api_server_or_the_server_is_away() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("registry");
    let (port, http) = (free_port(), free_address().to_string());
    let kubeconfig = cluster.kubeconfig_to(port);
    let mut proxy = Some(cluster.proxy(port));
    let mut server = Some(serve(&http, &kubeconfig, &namespace));
    let url = format!("http://{http}");
    let mut pods: BTreeMap<u8, Pod> = (1..=10).map(|host| (host, greeter(&namespace, host))).collect();
    let followers = [Way::Stream(&url), Way::Own(&kubeconfig)].map(|way| Follower::start(subscribe(&namespace, &way)));
    followers.iter().for_each(|one| one.becomes(&listed(&namespace)));

    // The API server goes down, the server does, both do. Pods change before, meanwhile and after.
    let mut next = 11;
    for (round, (cuts_api, cuts_server)) in
        [(true, false), (false, true), (true, true), (true, false)].iter().enumerate()
    {
        let mut churn = |step: usize| {
            let oldest = *pods.keys().next().expect("a Pod");
            pods.remove(&oldest).expect("a Pod").delete();
            pods.insert(next, greeter(&namespace, next));
            let (_, changed) = pods.iter().nth(step % 3).expect("a Pod");
            changed.register(&fields(80, 1000 + 10 * round + step));
            let (_, blinking) = pods.iter().nth(3 + step % 3).expect("a Pod");
            blinking.set_ready(step.is_multiple_of(2));
            next += 1;
        };
        churn(0);
        let before = followers.each_ref().map(Follower::shown);
        if *cuts_api {
            proxy = None;
        }
        if *cuts_server {
            server = None;
        }
        (1..=3).for_each(&mut churn);
        if *cuts_api && *cuts_server {
            std::thread::sleep(Duration::from_millis(300));
            assert_ne!(followers[1].shown(), Some(listed(&namespace)), "it is cut");
            assert!(before.iter().all(Option::is_some));
        }
        proxy.get_or_insert_with(|| cluster.proxy(port));
        server.get_or_insert_with(|| serve(&http, &kubeconfig, &namespace));
        churn(4);
        let last = listed(&namespace);
        followers.iter().for_each(|one| one.becomes(&last));
        eprintln!("round {round}: both have the {} endpoints of the LIST", last.len());
    }
}

#[test]
fn a_slow_subscriber_gets_the_last_state_in_one_change_and_delays_no_other() {
    const CHANGES: usize = 300;
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("registry");
    let (pod, gone) = (greeter(&namespace, 1), greeter(&namespace, 2)); // before the server starts, so its first list has them
    let http = free_address().to_string();
    let _server = serve(&http, cluster.kubeconfig(), &namespace);
    let url = format!("http://{http}");
    let ways = [Way::Stream(&url), Way::Own(cluster.kubeconfig())];
    let mut slow = ways.each_ref().map(|way| subscribe(&namespace, way));
    for (_, subscription) in &mut slow {
        let Update::Set(set) = cluster.block_on(subscription.next()) else { panic!("a set comes first") };
        assert_eq!(set.endpoints.iter().map(shown).collect::<Vec<_>>(), ["greeter-001:80:100", "greeter-002:80:100"]);
    }
    let fast = ways.map(|way| Follower::start(subscribe(&namespace, &way)));
    for change in 1..=CHANGES {
        pod.register(&fields(80, change));
    }
    gone.delete();
    let last = listed(&namespace);
    assert_eq!(last, [format!("greeter-001:80:{CHANGES}")]);
    fast.iter().for_each(|one| one.becomes(&last));
    std::thread::sleep(Duration::from_secs(1)); // time in which slow subscribers could also get the changes
    for (_, subscription) in &mut slow {
        let Update::Change(change) = cluster.block_on(subscription.next()) else { panic!("a set comes once") };
        assert_eq!(change.changed.iter().map(shown).collect::<Vec<_>>(), last);
        assert_eq!(change.removed.iter().map(shown).collect::<Vec<_>>(), ["greeter-002:80:100"]);
        assert_eq!(change.added, []);
        let more = async { tokio::time::timeout(Duration::from_millis(300), subscription.next()).await };
        assert!(cluster.block_on(more).is_err(), "300 changes are one");
    }
    let subscribers = |count: usize| {
        let (_, metrics) = http_get(http.parse().expect("an address"), "/metrics").expect("metrics");
        let line = format!("callsign_subscribers {count}");
        if metrics.lines().any(|found| found == line) { Ok(()) } else { Err(format!("not {count} subscribers")) }
    };
    assert_eq!(subscribers(2), Ok(()));
    drop(slow);
    eventually(PATIENCE, || subscribers(1)); // the fast one
}
