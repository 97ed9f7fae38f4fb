//! The wrapper and the sidecar with a real server: `dig` finds it while it runs, and it is withdrawn before it ends.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use callsign::registration::decode_value;
use nix::sys::signal::Signal;
use serde_json::json;

use super::register::{PATIENCE, Site, metadata, published, registered, value};
use crate::harness::cluster::Cluster;
use crate::harness::kubelet::Pod;
use crate::harness::process::{Process, free_port, http_get};
use crate::harness::server::Server;
use crate::harness::{eventually, within_a_second};

const PROGRAM: &str = env!("CARGO_BIN_EXE_callsign");

/// A registered server, its Pod, and a DNS server that has it.
struct Scene {
    site: Site,
    pod: Pod,
    port: u16,
    dns: Server,
}

impl Scene {
    fn new(stem: &str) -> Scene {
        let (cluster, site) = (Cluster::shared(), Site::new(stem));
        let dns = Server::start(&["--kubeconfig", cluster.kubeconfig(), "--namespace", &site.namespace.name]);
        let pod = site.namespace.pod("greeter-0");
        pod.run(&["127.0.0.1"]);
        Scene { site, pod, port: free_port(), dns }
    }

    /// Starts `callsign register` for the port, with more flags, and with a server if there is one.
    fn register(&self, flags: &[&str], server: &[&str]) -> Process {
        let port = self.port.to_string();
        let mut args: Vec<String> =
            ["register", "--interface", "org.acme.Greeter", "--protocol", "http", "--port", &port]
                .map(str::to_owned)
                .into();
        args.extend(self.site.of(&self.pod));
        args.extend(flags.iter().map(|flag| (*flag).to_owned()));
        if !server.is_empty() {
            args.push("--".into());
            args.extend(server.iter().map(|word| (*word).to_owned()));
        }
        Process::start(PROGRAM, args)
    }

    /// A real HTTP server at the port: callsign's, which serves nothing else here. The kernel kills it with its wrapper, as it
    /// kills all processes of a container when process 1 ends.
    fn server(&self) -> Vec<String> {
        let (http, dns) = (format!("127.0.0.1:{}", self.port), format!("127.0.0.1:{}", free_port()));
        let serve = ["serve", "--manifests", "/dev/null", "--lame-duck", "0", "--http", &http, "--listen", &dns];
        ["setpriv", "--pdeathsig", "KILL", "--", PROGRAM].iter().chain(&serve).map(|word| (*word).to_owned()).collect()
    }

    fn name(&self) -> String {
        format!("_http._tcp.org.acme.greeter.{}.rpc.cluster.local.", self.site.namespace.name)
    }

    /// Checks that DNS has the server.
    fn is_found(&self) -> Result<(), String> {
        let record = format!("{} 5 IN SRV 0 100 {} 127-0-0-1.p.rpc.cluster.local.", self.name(), self.port);
        self.dns.dig(&["SRV", &self.name()]).shows("NOERROR", &[&record])
    }

    /// Checks that DNS no longer has the server. The name exists while the Pod does.
    fn is_gone(&self) -> Result<(), String> {
        self.dns.dig(&["SRV", &self.name()]).shows("NOERROR", &[])
    }

    /// Checks that the Pod has its entry once, disabled.
    #[track_caller]
    fn is_switched_off(&self) {
        let one = format!("org.acme.Greeter {}", self.port);
        assert_eq!((registered(&self.pod), published(&self.pod)), (vec![one], vec![]));
    }

    fn answers(&self) -> bool {
        http_get(([127, 0, 0, 1], self.port).into(), "/livez").is_ok_and(|(status, _)| status == 200)
    }
}

fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// The position of a line in a log.
#[track_caller]
fn place(log: &str, text: &str) -> usize {
    log.find(text).unwrap_or_else(|| panic!("{text:?} is not in the log:\n{log}"))
}

#[test]
fn a_server_is_found_and_withdrawn_before_it_ends() {
    let scene = Scene::new("wrapper");
    assert_eq!(scene.dns.dig(&["SRV", &scene.name()]).status, "NXDOMAIN");
    let server = scene.server();
    let mut wrapper = scene.register(&["--drain", "2"], &words(&server));
    eventually(PATIENCE, || scene.is_found());
    assert!(scene.answers());

    wrapper.signal(Signal::SIGTERM);
    let asked = Instant::now();
    within_a_second(|| scene.is_gone());
    scene.is_switched_off();
    while asked.elapsed() < Duration::from_millis(1800) {
        assert!(scene.answers(), "callers that have its address still are served for all of --drain");
    }
    let status = wrapper.ended(PATIENCE).expect("its end");
    assert!(status.success(), "the server's own code: {status}");
    assert!(asked.elapsed() >= Duration::from_secs(2));
    let log = wrapper.log();
    let order =
        ["registered", "withdrawing first", "withdrew", "drained", "ending: no longer ready", "the server has ended"];
    let places = order.map(|text| place(&log, text));
    assert!(places.is_sorted(), "{places:?}\n{log}");
}

/// A Pod template says what the server is, and a wrapper without a flag of it registers that. Without the annotation that
/// leaves them to it, the annotations register by themselves, and the wrapper ends.
#[test]
fn annotations_say_what_the_flags_leave_open() {
    let scene = Scene::new("wrapper");
    let ports = json!([{ "name": "http", "containerPort": scene.port }]);
    let containers = json!({ "containers": [{ "name": "main", "image": "process", "ports": ports }] });
    let pod = scene.site.namespace.pod_with("annotated-0", containers);
    pod.run(&["127.0.0.1"]);
    let annotate = |register: &str| {
        let annotations =
            json!({ "app.io/register": register, "app.io/interface": "org.acme.Greeter", "app.io/port": "http" });
        pod.patch(json!({ "metadata": { "labels": { "app.io/label": "app.io-value" }, "annotations": annotations } }));
    };
    annotate("true");
    let server = scene.server();
    let start = |flags: &[&str]| {
        let mut args: Vec<String> = ["register"].iter().chain(flags).map(|word| (*word).to_owned()).collect();
        args.extend(scene.site.of(&pod));
        args.push("--".into());
        args.extend(server.iter().cloned());
        Process::start(PROGRAM, args)
    };
    let mut wrapper = start(&["--group", "gray", "--drain", "0"]);
    eventually(PATIENCE, || scene.is_found());
    let decoded = decode_value(&value(&pod, "app.io/annotation").expect("an annotation"));
    let [one] = &decoded.registrations[..] else { panic!("{decoded:?}") };
    assert_eq!((&*one.interface, one.group.as_deref(), one.port), ("org.acme.Greeter", Some("gray"), scene.port));
    wrapper.signal(Signal::SIGTERM);
    assert!(wrapper.ended(PATIENCE).expect("its end").success(), "{}", wrapper.log());
    within_a_second(|| scene.is_gone());
    scene.site.succeeds(&pod, &["withdraw", "--container", &scene.port.to_string()]);

    annotate("false");
    eventually(PATIENCE, || scene.is_found());
    let mut refused = start(&[]);
    let status = refused.ended(PATIENCE).expect("its end");
    let log = refused.log();
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("does not leave its annotations to a registrar") && log.contains("--interface NAME"), "{log}");
    assert!(!scene.answers(), "no server was started");
}

#[test]
fn the_wrapper_exits_with_the_servers_code() {
    let scene = Scene::new("wrapper");
    for (command, expected) in [
        (&["sh", "-c", "exit 7"][..], 7),
        (&["sh", "-c", "kill -KILL $$"], 137),
        (&["/nonexistent/server"], 127),
        (&["/dev/null"], 126),
    ] {
        let mut wrapper = scene.register(&["--no-wait"], command);
        let status = wrapper.ended(PATIENCE).expect("its end");
        assert_eq!(status.code(), Some(expected), "{command:?}\n{}", wrapper.log());
        assert_eq!(published(&scene.pod), [""; 0], "{command:?}");
    }
}

#[test]
fn signals_are_forwarded_to_the_server() {
    let scene = Scene::new("wrapper");
    let script = "trap 'echo got HUP' HUP; trap 'echo got USR1' USR1; trap 'echo got INT; exit 3' INT
        echo listening; while :; do sleep 0.05; done";
    let mut wrapper = scene.register(&["--no-wait", "--drain", "0"], &["sh", "-c", script]);
    let told = |wrapper: &Process, text: &str| {
        eventually(PATIENCE, || wrapper.log().contains(text).then_some(()).ok_or_else(|| format!("no {text}")));
    };
    told(&wrapper, "listening");
    for (signal, text) in [(Signal::SIGHUP, "got HUP"), (Signal::SIGUSR1, "got USR1")] {
        wrapper.signal(signal);
        told(&wrapper, text);
    }
    told(&wrapper, "registered");
    wrapper.signal(Signal::SIGINT);
    assert_eq!(wrapper.ended(PATIENCE).and_then(|status| status.code()), Some(3), "{}", wrapper.log());
    let log = wrapper.log();
    assert!(place(&log, "withdrew") < place(&log, "got INT"), "{log}");
}

#[test]
fn a_server_is_not_registered_before_its_port_accepts() {
    let scene = Scene::new("wrapper");
    let gate = crate::harness::process::scratch("gate").join("open");
    let gate = gate.to_str().expect("a path of UTF-8");
    let mut wrapper = scene.register(&["--ready-exec", &format!("test -e {gate}"), "--drain", "60"], &["sleep", "60"]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(registered(&scene.pod), [""; 0]);
    std::fs::write(gate, "").expect("open the gate");
    eventually(PATIENCE, || scene.is_found());

    wrapper.signal(Signal::SIGTERM);
    within_a_second(|| scene.is_gone());
    assert_eq!(wrapper.ended(Duration::from_millis(300)), None, "it drains");
    wrapper.signal(Signal::SIGTERM);
    assert_eq!(wrapper.ended(PATIENCE).and_then(|status| status.code()), Some(143), "asked twice, it ends at once");
}

#[test]
fn a_killed_wrappers_entry_is_disabled_before_the_next_server_is_up() {
    let scene = Scene::new("wrapper");
    let server = scene.server();
    let mut wrapper = scene.register(&[], &words(&server));
    eventually(PATIENCE, || scene.is_found());
    wrapper.signal(Signal::SIGKILL);
    assert_eq!(wrapper.ended(PATIENCE).and_then(|status| status.code()), None);
    assert!(scene.is_found().is_ok(), "it is not withdrawn");
    scene.pod.set_ready(false);
    within_a_second(|| scene.dns.dig(&["SRV", &scene.name()]).shows("NOERROR", &[]));

    // The container starts again, and its server is not up yet.
    scene.pod.set_ready(true);
    within_a_second(|| scene.is_found());
    let mut next = scene.register(&["--ready-exec", "false"], &["sleep", "60"]);
    within_a_second(|| scene.is_gone());
    next.signal(Signal::SIGTERM);
    assert_eq!(next.ended(PATIENCE).and_then(|status| status.code()), Some(143));
}

#[test]
fn the_next_wrapper_takes_over_the_entry() {
    let scene = Scene::new("wrapper");
    let server = scene.server();
    for _ in 0..2 {
        let mut wrapper = scene.register(&["--drain", "0"], &words(&server));
        eventually(PATIENCE, || scene.is_found());
        assert_eq!(registered(&scene.pod), [format!("org.acme.Greeter {}", scene.port)]);
        wrapper.signal(Signal::SIGTERM);
        assert!(wrapper.ended(PATIENCE).is_some_and(|status| status.success()), "{}", wrapper.log());
        scene.is_switched_off();
        within_a_second(|| scene.is_gone());
    }
    scene.site.succeeds(&scene.pod, &["withdraw", "--container", &scene.port.to_string()]);
    within_a_second(|| scene.dns.dig(&["SRV", &scene.name()]).shows("NXDOMAIN", &[]));
}

#[test]
fn a_sidecar_follows_the_port() {
    let scene = Scene::new("sidecar");
    let before = metadata(&scene.pod);
    let mut sidecar = scene.register(&[], &[]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(metadata(&scene.pod), before);
    for _ in 0..2 {
        let listener = TcpListener::bind(("127.0.0.1", scene.port)).expect("listen");
        eventually(PATIENCE, || scene.is_found());
        drop(listener);
        eventually(Duration::from_secs(5), || scene.is_gone());
    }
    let _listener = TcpListener::bind(("127.0.0.1", scene.port)).expect("listen");
    eventually(PATIENCE, || scene.is_found());
    sidecar.signal(Signal::SIGTERM);
    assert!(sidecar.ended(PATIENCE).is_some_and(|status| status.success()), "{}", sidecar.log());
    scene.is_switched_off();
}

#[test]
fn the_server_runs_while_the_api_server_is_away() {
    let scene = Scene::new("wrapper");
    let cluster = Cluster::shared();
    let port = free_port();
    let scene = Scene { site: Site { kubeconfig: cluster.admin_kubeconfig_to(port), ..scene.site }, ..scene };
    let server = scene.server();
    let mut wrapper = scene.register(&["--drain", "4"], &words(&server));
    eventually(PATIENCE, || scene.answers().then_some(()).ok_or("the server does not answer"));
    eventually(PATIENCE, || {
        wrapper.log().contains("waiting for the API server").then_some(()).ok_or("no log line yet")
    });

    let proxy = cluster.proxy(port);
    eventually(PATIENCE, || scene.is_found());
    drop(proxy);
    wrapper.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_secs(3)); // so that a retry comes before the wrapper stops waiting
    assert!(scene.answers() && scene.is_found().is_ok(), "not withdrawn, and still there");
    let _proxy = cluster.proxy(port);
    let status = wrapper.ended(PATIENCE).expect("its end");
    assert!(status.success(), "{status}");
    assert_eq!(published(&scene.pod), [""; 0], "withdrawn as soon as that could be\n{}", wrapper.log());
}

#[test]
fn an_outage_of_the_api_server_leaves_no_trace() {
    let scene = Scene::new("wrapper");
    let cluster = Cluster::shared();
    let port = free_port();
    let scene = Scene { site: Site { kubeconfig: cluster.admin_kubeconfig_to(port), ..scene.site }, ..scene };
    let proxy = cluster.proxy(port);
    let server = scene.server();
    let mut wrapper = scene.register(&["--drain", "1"], &words(&server));
    eventually(PATIENCE, || scene.is_found());
    drop(proxy);
    std::thread::sleep(Duration::from_secs(2));
    assert!(scene.answers() && scene.is_found().is_ok(), "{}", wrapper.log());
    let _proxy = cluster.proxy(port);
    wrapper.signal(Signal::SIGTERM);
    within_a_second(|| scene.is_gone());
    assert!(wrapper.ended(PATIENCE).is_some_and(|status| status.success()), "{}", wrapper.log());
    scene.is_switched_off();
}

#[test]
fn a_sidecar_catches_up_after_an_outage_of_the_api_server() {
    let scene = Scene::new("sidecar");
    let cluster = Cluster::shared();
    let port = free_port();
    let scene = Scene { site: Site { kubeconfig: cluster.admin_kubeconfig_to(port), ..scene.site }, ..scene };
    let proxy = cluster.proxy(port);
    let listener = TcpListener::bind(("127.0.0.1", scene.port)).expect("listen");
    let mut sidecar = scene.register(&[], &[]);
    eventually(PATIENCE, || scene.is_found());
    drop((proxy, listener));
    eventually(PATIENCE, || {
        sidecar.log().contains("waiting for the API server").then_some(()).ok_or("no log line yet")
    });
    assert!(scene.is_found().is_ok(), "it cannot be withdrawn yet");
    let _proxy = cluster.proxy(port);
    eventually(PATIENCE, || scene.is_gone());
    sidecar.signal(Signal::SIGTERM);
    assert!(sidecar.ended(PATIENCE).is_some_and(|status| status.success()), "{}", sidecar.log());
    scene.is_switched_off();
}
