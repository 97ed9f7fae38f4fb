//! A rolling restart under load: callers resolve by DNS as often as the TTL says, and no call fails. The processes use their
//! Pods' tokens, under the Role and the policy of `deploy/register`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use domain::base::iana::Rtype;
use nix::sys::signal::Signal;
use serde_json::json;

use super::register::{PATIENCE, published, registered};
use crate::harness::ask::Ask;
use crate::harness::kubelet::Pod;
use crate::harness::process::{Process, free_port, http_get};
use crate::harness::server::Server;
use crate::harness::tenant::{ACCOUNT, Tenant};
use crate::harness::{eventually, within_a_second};

const PROGRAM: &str = env!("CARGO_BIN_EXE_callsign");

/// The number of servers.
const REPLICAS: u8 = 3;

/// The number of concurrent callers.
const CALLERS: usize = 6;

/// The pause of a caller between two calls. All callers together make some 250 calls a second.
const PAUSE: Duration = Duration::from_millis(20);

/// The records' TTL, the default.
const TTL: Duration = Duration::from_secs(5);

/// The length of the drain and of `preStop`: the default, and that of the examples.
const DRAIN: Duration = Duration::from_secs(8);

/// How long a server with its drain may take until it ends.
const END_PATIENCE: Duration = Duration::from_secs(DRAIN.as_secs() + PATIENCE.as_secs());

/// A namespace with the policy in effect, and a DNS server that watches it.
struct Scene {
    tenant: Tenant,
    dns: Server,
    port: u16,
}

/// A Pod and its container's process 1.
struct Replica {
    pod: Pod,
    address: SocketAddr,
    kubeconfig: String,
    main: Process,
}

impl Scene {
    fn new(stem: &str) -> Scene {
        let tenant = Tenant::new(stem);
        let dns = Server::start(&["--kubeconfig", tenant.cluster.kubeconfig(), "--namespace", &tenant.namespace.name]);
        Scene { tenant, dns, port: free_port() }
    }

    fn name(&self) -> String {
        format!("_http._tcp.org.acme.greeter.{}.rpc.cluster.local.", self.tenant.namespace.name)
    }

    /// A Pod at the `host`-th address with a wrapped server. Waits until DNS has it.
    #[track_caller]
    fn wrapped(&self, host: u8, flags: &[&str]) -> Replica {
        let replica = self.replica(host, |pod, address, kubeconfig| self.wrapper(pod, address, kubeconfig, flags));
        self.comes(&replica);
        replica
    }

    /// A Pod whose container runs the process that `main` starts. It is not ready yet.
    fn replica(&self, host: u8, main: impl FnOnce(&Pod, SocketAddr, &str) -> Process) -> Replica {
        let name = format!("greeter-{host}");
        let pod = self.tenant.namespace.pod_with(&name, json!({ "serviceAccountName": ACCOUNT }));
        let address = SocketAddr::from(([127, 0, 7, host], self.port));
        pod.run(&[&address.ip().to_string()]);
        pod.set_ready(false);
        let kubeconfig = self.tenant.kubeconfig_inside(&pod);
        let main = main(&pod, address, &kubeconfig);
        Replica { pod, address, kubeconfig, main }
    }

    /// Starts `callsign register` like a container: with the Downward API's environment, and without flags for it.
    fn register(&self, pod: &Pod, address: SocketAddr, kubeconfig: &str, more: &[&str]) -> Process {
        let port = self.port.to_string();
        let environment = [
            format!("POD_NAMESPACE={}", pod.namespace),
            format!("POD_NAME={}", pod.name),
            format!("POD_UID={}", pod.uid),
            format!("POD_IPS={}", address.ip()),
            format!("KUBECONFIG={kubeconfig}"),
        ];
        let register = ["register", "--interface", "org.acme.Greeter", "--protocol", "http", "--port", &port];
        let environment = environment.iter().map(String::as_str);
        Process::start("env", environment.chain([PROGRAM]).chain(register).chain(more.iter().copied()))
    }

    fn wrapper(&self, pod: &Pod, address: SocketAddr, kubeconfig: &str, flags: &[&str]) -> Process {
        let command = server(address);
        let command = command.iter().map(String::as_str);
        let more: Vec<&str> = flags.iter().copied().chain(["--"]).chain(command).collect();
        self.register(pod, address, kubeconfig, &more)
    }

    /// Plays the readiness probe, and waits until DNS has the endpoint.
    #[track_caller]
    fn comes(&self, replica: &Replica) {
        eventually(PATIENCE, || if is_up(replica.address) { Ok(()) } else { Err(replica.main.log()) });
        replica.pod.set_ready(true);
        eventually(PATIENCE, || match self.resolve().0.contains(&replica.address) {
            true => Ok(()),
            false => Err(format!("{} is not found\n{}", replica.address, replica.main.log())),
        });
    }

    /// Waits until DNS no longer has the endpoint.
    #[track_caller]
    fn goes(&self, replica: &Replica) {
        within_a_second(|| match self.resolve().0.contains(&replica.address) {
            true => Err(format!("{} is found still\n{}", replica.address, replica.main.log())),
            false => Ok(()),
        });
    }

    fn resolve(&self) -> (Vec<SocketAddr>, Duration) {
        resolve(self.dns.dns, &self.name())
    }

    /// dig's current answer.
    fn dig(&self) -> String {
        self.dns.dig(&["+noall", "+comments", "+answer", "SRV", &self.name()]).answer.join("\n")
    }

    fn callers(&self) -> Callers {
        Callers::start(self.dns.dns, &self.name())
    }
}

/// A real HTTP server: callsign's, which serves nothing else here. The kernel kills it with its wrapper.
fn server(address: SocketAddr) -> Vec<String> {
    let dns = format!("{}:{}", address.ip(), free_port());
    let serve = ["serve", "--manifests", "/dev/null", "--lame-duck", "0", "--listen", &dns, "--http"];
    let command = ["setpriv", "--pdeathsig", "KILL", "--", PROGRAM].into_iter().chain(serve).map(str::to_owned);
    command.chain([address.to_string()]).collect()
}

fn is_up(address: SocketAddr) -> bool {
    http_get(address, "/livez").is_ok_and(|(status, _)| status == 200)
}

/// The endpoints of an SRV answer, and until when it is valid.
fn resolve(dns: SocketAddr, name: &str) -> (Vec<SocketAddr>, Duration) {
    let reply = Ask::new(name, Rtype::SRV).edns(1232).udp(dns);
    let words = |line: &String| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let glue: Vec<Vec<String>> = reply.additional.iter().map(words).collect();
    let mut ttl = TTL;
    let mut endpoints = Vec::new();
    for record in reply.answer.iter().map(words) {
        let [_, record_ttl, _, _, _, _, port, target] = &record[..] else { panic!("{record:?}") };
        ttl = ttl.min(Duration::from_secs(record_ttl.parse().expect("a TTL")));
        let address = glue.iter().find(|record| record[0] == *target).expect("glue");
        endpoints.push(format!("{}:{port}", address[4]).parse().expect("an address"));
    }
    (endpoints, ttl)
}

/// Callers that call all the time. Each keeps a separate answer for its TTL.
struct Callers {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Tally>>,
    started: Instant,
}

/// The callers' results.
#[derive(Default)]
struct Tally {
    calls: BTreeMap<SocketAddr, usize>,
    failures: Vec<String>,
}

impl Callers {
    fn start(dns: SocketAddr, name: &str) -> Callers {
        let is_over = Arc::new(AtomicBool::new(false));
        let caller = |_| {
            let (is_over, name) = (is_over.clone(), name.to_owned());
            spawn(move || call(dns, &name, &is_over))
        };
        let threads = (0..CALLERS).map(caller).collect();
        Callers { is_over, threads, started: Instant::now() }
    }

    /// Stops the callers, and returns their results.
    fn end(self, what: &str) -> Tally {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for thread in self.threads {
            let Tally { calls, failures } = thread.join().expect("a caller's tally");
            calls.into_iter().for_each(|(address, count)| *all.calls.entry(address).or_default() += count);
            all.failures.extend(failures);
        }
        let (sum, failed) = (all.calls.values().sum::<usize>(), all.failures.len());
        let took = self.started.elapsed();
        eprintln!("{what}: {sum} calls by {CALLERS} callers in {took:.1?}, {failed} failed; {:?}", all.calls);
        let least = took.as_secs() as usize * 50;
        assert!(sum > least, "{sum} calls are no load: below {least}");
        all
    }
}

/// Runs one caller.
fn call(dns: SocketAddr, name: &str, is_over: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    let (mut endpoints, mut until) = (Vec::new(), Instant::now());
    for turn in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        if Instant::now() >= until {
            let ttl;
            (endpoints, ttl) = resolve(dns, name);
            until = Instant::now() + ttl;
        }
        let Some(address) = endpoints.get(turn % endpoints.len().max(1)) else {
            tally.failures.push("DNS has no endpoint".into());
            sleep(PAUSE);
            continue;
        };
        *tally.calls.entry(*address).or_default() += 1;
        match http_get(*address, "/livez") {
            Ok((200, _)) => {}
            other => tally.failures.push(format!("{address}: {other:?}")),
        }
        sleep(PAUSE);
    }
    tally
}

#[test]
fn wrapped_servers_restart_in_place_one_after_another() {
    let scene = Scene::new("rolling");
    eprintln!("--- dig before:\n{}", scene.dig());
    let mut replicas: Vec<Replica> = (1..=REPLICAS).map(|host| scene.wrapped(host, &[])).collect();
    eprintln!("--- dig while all are there:\n{}", scene.dig());
    let callers = scene.callers();
    sleep(TTL);
    for replica in &mut replicas {
        replica.main.signal(Signal::SIGTERM);
        scene.goes(replica);
        eprintln!("--- dig while {} drains:\n{}", replica.pod.name, scene.dig());
        let status = replica.main.ended(END_PATIENCE).expect("its end");
        assert!(status.success(), "{status}\n{}", replica.main.log());
        replica.pod.set_ready(false);
        let Replica { pod, address, kubeconfig, .. } = &*replica;
        replica.main = scene.wrapper(pod, *address, kubeconfig, &[]);
        scene.comes(replica);
    }
    sleep(TTL);
    let tally = callers.end("wrapped servers, restarted in place");
    assert_eq!(tally.failures, [""; 0]);
    assert_eq!(tally.calls.len(), usize::from(REPLICAS), "each was called: {:?}", tally.calls);

    replicas.iter().for_each(|replica| replica.main.signal(Signal::SIGTERM));
    for replica in &mut replicas {
        assert!(replica.main.ended(END_PATIENCE).is_some_and(|status| status.success()), "{}", replica.main.log());
        assert_eq!(
            (registered(&replica.pod).len(), published(&replica.pod).len()),
            (1, 0),
            "its one entry, switched off"
        );
    }
    eprintln!("--- dig after:\n{:?} {}", scene.dns.dig(&["SRV", &scene.name()]).status, scene.dig());
}

#[test]
fn servers_with_a_sidecar_are_replaced_by_new_pods() {
    let scene = Scene::new("rolling");
    let start = |host: u8| {
        let replica = scene.replica(host, |_, address, _| {
            let command = server(address);
            Process::start(&command[0], &command[1..])
        });
        let sidecar = scene.register(&replica.pod, replica.address, &replica.kubeconfig, &[]);
        scene.comes(&replica);
        (replica, sidecar)
    };
    let mut replicas: Vec<_> = (1..=REPLICAS).map(start).collect();
    let callers = scene.callers();
    sleep(TTL);
    // As a Deployment does: a new Pod starts before an old one ends. The kubelet ends the sidecar last.
    for host in REPLICAS + 1..=2 * REPLICAS {
        replicas.push(start(host));
        let (mut old, mut sidecar) = replicas.remove(0);
        old.pod.terminate();
        scene.goes(&old);
        sleep(DRAIN); // its `preStop`
        for process in [&mut old.main, &mut sidecar] {
            process.signal(Signal::SIGTERM);
            assert!(process.ended(PATIENCE).is_some_and(|status| status.success()), "{}", process.log());
        }
        old.pod.delete();
    }
    sleep(TTL);
    let tally = callers.end("servers with a sidecar, replaced");
    assert_eq!(tally.failures, [""; 0]);
    assert_eq!(tally.calls.len(), 2 * usize::from(REPLICAS), "each was called: {:?}", tally.calls);
}

#[test]
fn without_a_drain_callers_meet_a_closed_port() {
    let scene = Scene::new("rolling");
    let mut replicas = [1, 2].map(|host| scene.wrapped(host, &["--drain", "0"]));
    let callers = scene.callers();
    sleep(Duration::from_secs(1));
    replicas[0].main.signal(Signal::SIGTERM);
    assert!(replicas[0].main.ended(PATIENCE).is_some_and(|status| status.success()), "{}", replicas[0].main.log());
    sleep(TTL);
    let tally = callers.end("a wrapped server, without draining");
    assert!(!tally.failures.is_empty(), "what the other tests look for would show");
}
