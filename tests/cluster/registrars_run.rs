//! Services of Kratos and of go-micro that run in Pods: their own libraries register them, and DNS shows each step.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::cluster::Cluster;
use crate::harness::go::go_program;
use crate::harness::kubelet::{Namespace, Pod};
use crate::harness::process::Process;
use crate::harness::server::Server;
use crate::harness::{eventually, within_a_second};

/// How long a service may take until it has written to its Pod.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Pod that runs, and a server that watches its namespace with a preset.
struct Site {
    namespace: Namespace,
    ip: String,
    pod: Pod,
    server: Server,
}

impl Site {
    fn new(preset: &str) -> Site {
        let cluster = Cluster::shared();
        let namespace = cluster.namespace(preset);
        let (ip, pod) = (namespace.ip(1), namespace.pod("shop-0"));
        pod.run(&[&ip]);
        let server = Server::start(&[
            "--kubeconfig",
            cluster.kubeconfig(),
            "--namespace",
            &namespace.name,
            "--profiles",
            preset,
            "--txt-keys",
            "all",
        ]);
        Site { namespace, ip, pod, server }
    }

    /// Waits until the Pod's metadata is as it should be after a service's write.
    #[track_caller]
    fn has_written(&self, is_so: impl Fn(&ObjectMeta) -> bool) {
        eventually(PATIENCE, || {
            let metadata = self.pod.now().expect("the Pod").metadata;
            if is_so(&metadata) { Ok(()) } else { Err(format!("{:?} {:?}", metadata.labels, metadata.annotations)) }
        });
    }

    /// Waits until DNS shows these SRV records of the service `shop.order`. The name ends with its selectors.
    #[track_caller]
    fn shows(&self, protocol: &str, selectors: &str, status: &str, srv: &[&str]) {
        let name = self.name(protocol, selectors);
        let target = self.ip.replace('.', "-");
        let records: Vec<String> =
            srv.iter().map(|srv| format!("{name} 5 IN SRV {srv} {target}.p.rpc.cluster.local.")).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        within_a_second(|| self.server.dig(&["SRV", &name]).shows(status, &records));
    }

    /// The strings of the service's only TXT record.
    #[track_caller]
    fn txt(&self, protocol: &str) -> String {
        let data = self.server.dig(&["TXT", &self.name(protocol, "")]).data();
        let [txt] = &data[..] else { panic!("{data:?}") };
        txt.clone()
    }

    fn name(&self, protocol: &str, selectors: &str) -> String {
        format!("_{protocol}._tcp.shop.order.{selectors}{}.rpc.cluster.local.", self.namespace.name)
    }

    /// The serial, and the number of snapshots so far.
    fn moves(&self) -> [u64; 2] {
        ["callsign_zone_serial", "callsign_snapshot_revision"].map(|name| self.server.metric(name))
    }

    /// Checks that nothing is refused, and that no line of the log is a warning.
    #[track_caller]
    fn is_silent(&self) {
        assert_eq!(self.server.get("/v1/bad"), (200, "{\"items\":[]}".into()));
        let log = self.server.log();
        assert!(!log.contains("WARN") && !log.contains("ERROR") && !log.contains("refused"), "{log}");
    }
}

fn label<'m>(metadata: &'m ObjectMeta, key: &str) -> Option<&'m str> {
    metadata.labels.as_ref()?.get(key).map(String::as_str)
}

fn annotation<'m>(metadata: &'m ObjectMeta, key: &str) -> Option<&'m str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Ends a process by a signal, and waits for its end.
#[track_caller]
fn end(mut process: Process, signal: Signal) {
    process.signal(signal);
    assert!(process.ended(PATIENCE).is_some(), "it still runs after {signal}:\n{}", process.log());
}

#[test]
fn a_service_of_kratos_is_in_dns_while_it_runs() {
    let (program, site) = (go_program("kratos"), Site::new("kratos"));
    let metadata = r#"{"weight":"30","region":"sh"}"#;
    let [grpc, http] = [("grpc", 9000), ("http", 8000)].map(|(scheme, port)| format!("{scheme}://{}:{port}", site.ip));
    let process = site.pod.start(&program, &["shop.order", "1.0.0", metadata, &grpc, &http]);
    site.has_written(|metadata| label(metadata, "kratos-service-version") == Some("1.0.0"));
    site.shows("grpc", "", "NOERROR", &["0 30 9000"]);
    site.shows("http", "v-1-0-0.", "NOERROR", &["0 30 8000"]);
    let wanted = format!(
        "\"pod=shop-0\" \"addr={}:9000\" \"interface=shop.order\" \"version=1.0.0\" \"region=sh\" \"weight=30\"",
        site.ip
    );
    assert_eq!(site.txt("grpc"), wanted);

    // It crashes, so it does not withdraw. Another version starts in the same Pod.
    end(process, Signal::SIGKILL);
    let grpc = format!("grpc://{}:9001", site.ip);
    let process = site.pod.start(&program, &["shop.order", "1.1.0", "{}", &grpc]);
    site.has_written(|metadata| label(metadata, "kratos-service-version") == Some("1.1.0"));
    site.shows("grpc", "v-1-1-0.", "NOERROR", &["0 100 9001"]);
    site.shows("grpc", "v-1-0-0.", "NXDOMAIN", &[]);
    site.shows("http", "", "NXDOMAIN", &[]);

    // A withdrawal leaves empty labels.
    end(process, Signal::SIGTERM);
    site.has_written(|metadata| label(metadata, "kratos-service-app") == Some(""));
    site.shows("grpc", "", "NXDOMAIN", &[]);
    let metadata = site.pod.now().expect("the Pod").metadata;
    assert_eq!(label(&metadata, "kratos-service-version"), Some(""));
    assert_eq!(annotation(&metadata, "kratos-service-protocols"), Some("{}"));
    site.is_silent();
}

#[test]
fn a_service_of_go_micro_is_in_dns_while_it_runs() {
    const KEY: &str = "micro.mu/service-shop.order";
    let (program, site) = (go_program("micro"), Site::new("micro"));
    let address = format!("{}:9000", site.ip);
    let process = site.pod.start(&program, &["shop.order", "1.0.0", r#"{"weight":"30","region":"sh"}"#, &address]);
    site.has_written(|metadata| annotation(metadata, KEY).is_some());
    site.shows("mucp", "v-1-0-0.", "NOERROR", &["0 30 9000"]);
    let txt = site.txt("mucp");
    for string in
        [&*format!("addr={address}"), "interface=shop.order", "methods=Greeter.Hello", "region=sh", "server=mucp"]
    {
        assert!(txt.contains(&format!("\"{string}\"")), "no {string} in {txt}");
    }

    // It registers again each second. That changes nothing.
    let before = site.moves();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(site.moves(), before);
    // What it lost comes back, so it was alive.
    site.pod.patch(json!({ "metadata": { "annotations": { KEY: null } } }));
    site.shows("mucp", "", "NXDOMAIN", &[]);
    site.has_written(|metadata| annotation(metadata, KEY).is_some());
    site.shows("mucp", "", "NOERROR", &["0 30 9000"]);

    // It crashes, so it does not withdraw. Another version starts in the same Pod.
    end(process, Signal::SIGKILL);
    let process = site.pod.start(&program, &["shop.order", "1.1.0", "{}", &format!("{}:9001", site.ip)]);
    site.has_written(|metadata| annotation(metadata, KEY).is_some_and(|text| text.contains("1.1.0")));
    site.shows("mucp", "v-1-1-0.", "NOERROR", &["0 100 9001"]);
    site.shows("mucp", "v-1-0-0.", "NXDOMAIN", &[]);

    // A withdrawal removes the annotation. The label by which the Pod is watched stays.
    end(process, Signal::SIGTERM);
    site.has_written(|metadata| annotation(metadata, KEY).is_none());
    site.shows("mucp", "", "NXDOMAIN", &[]);
    assert_eq!(label(&site.pod.now().expect("the Pod").metadata, "micro.mu/type"), Some("service"));
    site.is_silent();
}
