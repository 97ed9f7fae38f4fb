//! From Pod to answer: DNS shows each step of a Pod's life within a second.

use serde_json::json;

use crate::harness::cluster::Cluster;
use crate::harness::kubelet::{NODE_ADDRESS, Namespace, POD_NETWORK, annotation};
use crate::harness::server::Server;
use crate::harness::within_a_second;

const GREETER: [(&str, &str); 3] = [("interface", "org.acme.Greeter"), ("protocol", "tri"), ("port", "20880")];

/// A namespace of one test, and a server that watches all namespaces.
fn start(stem: &str) -> (Namespace, Server) {
    let cluster = Cluster::shared();
    let server = Server::start(&["--kubeconfig", cluster.kubeconfig(), "--all-namespaces", "--reverse", POD_NETWORK]);
    (cluster.namespace(stem), server)
}

impl Namespace {
    /// The SRV name of the greeters of this namespace.
    fn greeters(&self) -> String {
        format!("_tri._tcp.org.acme.greeter.{}.rpc.cluster.local.", self.name)
    }

    /// The SRV record of one of them.
    fn srv(&self, ip: &str, port: u16) -> String {
        format!("{} 5 IN SRV 0 100 {port} {}", self.greeters(), target(ip))
    }
}

/// The SRV target of an IPv4 address.
fn target(ip: &str) -> String {
    format!("{}.p.rpc.cluster.local.", ip.replace('.', "-"))
}

/// Waits until the server's answer has this status and these records.
#[track_caller]
fn shows(server: &Server, rtype: &str, name: &str, status: &str, answer: &[&str]) {
    within_a_second(|| server.dig(&[rtype, name]).shows(status, answer));
}

#[test]
fn a_pod_is_found_once_it_is_ready_and_registered() {
    let (namespace, server) = start("found");
    let (name, ip) = (namespace.greeters(), namespace.ip(1));
    shows(&server, "SRV", &name, "NXDOMAIN", &[]);

    let pod = namespace.pod("greeter-0");
    pod.register(&annotation(&GREETER));
    shows(&server, "SRV", &name, "NOERROR", &[]);

    pod.run(&[&ip]);
    shows(&server, "SRV", &name, "NOERROR", &[&namespace.srv(&ip, 20880)]);
    let reply = server.dig(&["SRV", &name]);
    assert!(reply.has_flag("aa"), "{}", reply.text);
    assert_eq!(reply.additional, [format!("{} 5 IN A {ip}", target(&ip))]);
    let txt = server.dig(&["TXT", &name]);
    let wanted = format!("\"pod=greeter-0\" \"addr={ip}:20880\" \"interface=org.acme.Greeter\"");
    assert_eq!(txt.data(), [wanted]);
    let pod_name = format!("greeter-0.{}.pod.rpc.cluster.local.", namespace.name);
    assert_eq!(server.dig(&["A", &pod_name]).data(), [ip.as_str()]);
    assert_eq!(server.dig(&["-x", &ip]).data(), [pod_name.as_str()]);
}

#[test]
fn a_changed_annotation_moves_the_endpoint() {
    let (namespace, server) = start("changed");
    let (name, ip) = (namespace.greeters(), namespace.ip(1));
    let pod = namespace.endpoint("greeter-0", &[&ip], &GREETER);
    shows(&server, "SRV", &name, "NOERROR", &[&namespace.srv(&ip, 20880)]);

    let two =
        [GREETER.as_slice(), &[("interface", "org.acme.Greeter"), ("protocol", "tri"), ("port", "20881")]].concat();
    pod.register(&annotation(&two));
    shows(&server, "SRV", &name, "NOERROR", &[&namespace.srv(&ip, 20880), &namespace.srv(&ip, 20881)]);

    pod.register(&annotation(&[("interface", "org.acme.Other"), ("protocol", "tri"), ("port", "20880")]));
    shows(&server, "SRV", &name, "NXDOMAIN", &[]);
    let other = name.replace("greeter", "other");
    shows(&server, "SRV", &other, "NOERROR", &[&format!("{other} 5 IN SRV 0 100 20880 {}", target(&ip))]);
}

#[test]
fn an_endpoint_follows_its_pods_readiness() {
    let (namespace, server) = start("ready");
    let (name, ip) = (namespace.greeters(), namespace.ip(1));
    let pod = namespace.endpoint("greeter-0", &[&ip], &GREETER);
    shows(&server, "SRV", &name, "NOERROR", &[&namespace.srv(&ip, 20880)]);
    pod.set_ready(false);
    shows(&server, "SRV", &name, "NOERROR", &[]);
    assert_eq!(
        server.dig(&["A", &target(&ip)]).data(),
        [ip.as_str()],
        "a client with the SRV record can still resolve its target"
    );
    pod.set_ready(true);
    shows(&server, "SRV", &name, "NOERROR", &[&namespace.srv(&ip, 20880)]);
}

#[test]
fn an_endpoint_goes_when_its_pod_terminates() {
    let (namespace, server) = start("terminating");
    let (name, [first, second]) = (namespace.greeters(), [1, 2].map(|host| namespace.ip(host)));
    let pod = namespace.endpoint("greeter-0", &[&first], &GREETER);
    namespace.endpoint("greeter-1", &[&second], &GREETER);
    let both = [namespace.srv(&first, 20880), namespace.srv(&second, 20880)];
    shows(&server, "SRV", &name, "NOERROR", &[&both[0], &both[1]]);

    pod.terminate();
    shows(&server, "SRV", &name, "NOERROR", &[&both[1]]);
    assert_eq!(server.dig(&["A", &target(&first)]).data(), [first.as_str()], "it still has its name");

    pod.delete();
    shows(&server, "A", &target(&first), "NXDOMAIN", &[]);
}

#[test]
fn the_address_of_a_finished_pod_belongs_to_its_successor() {
    let (namespace, server) = start("finished");
    let (name, ip) = (namespace.greeters(), namespace.ip(1));
    let finished = namespace.endpoint("batch-0", &[&ip], &GREETER);
    shows(&server, "SRV", &name, "NOERROR", &[&namespace.srv(&ip, 20880)]);
    finished.finish("Succeeded");
    shows(&server, "SRV", &name, "NXDOMAIN", &[]);

    namespace.endpoint("greeter-0", &[&ip], &GREETER);
    shows(&server, "SRV", &name, "NOERROR", &[&namespace.srv(&ip, 20880)]);
    assert_eq!(server.dig(&["-x", &ip]).data(), [format!("greeter-0.{}.pod.rpc.cluster.local.", namespace.name)]);

    // The old Pod's last event must not remove the new one's endpoint.
    finished.delete();
    let gone = format!("batch-0.{}.pod.rpc.cluster.local.", namespace.name);
    shows(&server, "A", &gone, "NXDOMAIN", &[]);
    shows(&server, "SRV", &name, "NOERROR", &[&namespace.srv(&ip, 20880)]);
}

#[test]
fn a_pod_replaced_under_its_name_brings_its_own_address() {
    let (namespace, server) = start("replaced");
    let (name, [first, second]) = (namespace.greeters(), [1, 2].map(|host| namespace.ip(host)));
    let pod = namespace.endpoint("greeter-0", &[&first], &GREETER);
    shows(&server, "SRV", &name, "NOERROR", &[&namespace.srv(&first, 20880)]);
    pod.delete();
    namespace.endpoint("greeter-0", &[&second], &GREETER);
    shows(&server, "SRV", &name, "NOERROR", &[&namespace.srv(&second, 20880)]);
    shows(&server, "A", &target(&first), "NXDOMAIN", &[]);
}

#[test]
fn a_dual_stack_pod_has_one_target_with_both_addresses() {
    let (namespace, server) = start("dual");
    let (name, ip, ip6) = (namespace.greeters(), namespace.ip(1), namespace.ip6(1));
    namespace.endpoint("greeter-0", &[&ip, &ip6], &GREETER);
    shows(&server, "SRV", &name, "NOERROR", &[&namespace.srv(&ip, 20880)]);
    let glue = [format!("{} 5 IN A {ip}", target(&ip)), format!("{} 5 IN AAAA {ip6}", target(&ip))];
    assert_eq!(server.dig(&["SRV", &name]).additional, glue);
}

#[test]
fn pods_in_their_nodes_network_share_its_address() {
    let (namespace, server) = start("host");
    for (pod, port) in [("greeter-0", "20880"), ("greeter-1", "20881")] {
        let pod = namespace.pod_with(pod, json!({ "hostNetwork": true }));
        pod.run(&[NODE_ADDRESS]);
        pod.register(&annotation(&[("interface", "org.acme.Greeter"), ("protocol", "tri"), ("port", port)]));
    }
    let both = [namespace.srv(NODE_ADDRESS, 20880), namespace.srv(NODE_ADDRESS, 20881)];
    shows(&server, "SRV", &namespace.greeters(), "NOERROR", &[&both[0], &both[1]]);
}

#[test]
fn a_bad_registration_harms_no_other_pod() {
    let (namespace, server) = start("bad");
    let (name, [first, second]) = (namespace.greeters(), [1, 2].map(|host| namespace.ip(host)));
    let bad = namespace.pod("bad-0");
    bad.run(&[&first]);
    bad.register("5LiN55So55yL5LqG5bCx5piv5LiA5Liq5paH5pys5Y2P6K6u");
    // The address of another Pod: traffic that it has no right to.
    let thief = [("interface", "org.acme.Greeter"), ("protocol", "tri"), ("ip", second.as_str()), ("port", "666")];
    namespace.endpoint("thief-0", &[&namespace.ip(3)], &thief);
    namespace.endpoint("greeter-0", &[&second], &GREETER);
    shows(&server, "SRV", &name, "NOERROR", &[&namespace.srv(&second, 20880)]);
}

#[test]
fn a_single_namespace_can_be_watched() {
    let cluster = Cluster::shared();
    let (watched, other) = (cluster.namespace("watched"), cluster.namespace("other"));
    other.endpoint("greeter-0", &[&other.ip(1)], &GREETER);
    watched.endpoint("greeter-0", &[&watched.ip(1)], &GREETER);
    let server = Server::start(&["--kubeconfig", cluster.kubeconfig(), "--namespace", &watched.name]);
    // The server is ready, so the first list is whole and nothing needs waiting.
    let found = server.dig(&["SRV", &watched.greeters()]);
    found.shows("NOERROR", &[&watched.srv(&watched.ip(1), 20880)]).unwrap();
    server.dig(&["SRV", &other.greeters()]).shows("NXDOMAIN", &[]).unwrap();
}
