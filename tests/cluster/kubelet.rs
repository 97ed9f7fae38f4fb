//! The harness's kubelet: it writes what the API server of a whole cluster would have.

use serde_json::{Value, json};

use crate::harness::cluster::Cluster;
use crate::harness::kubelet::{Pod, annotation};

/// The parts of a Pod that the server under test reads.
fn seen(pod: &Pod) -> Value {
    let Some(now) = pod.now() else { return json!("gone") };
    let status = now.status.unwrap_or_default();
    let ready = status.conditions.unwrap_or_default().into_iter().find(|condition| condition.type_ == "Ready");
    json!({
        "phase": status.phase,
        "ips": status.pod_ips.unwrap_or_default().into_iter().map(|ip| ip.ip).collect::<Vec<_>>(),
        "ready": ready.map(|condition| condition.status),
        "started": status.start_time.is_some(),
        "terminating": now.metadata.deletion_timestamp.is_some(),
        "annotation": now.metadata.annotations.unwrap_or_default().get("app.io/annotation"),
    })
}

#[test]
fn a_pod_follows_its_state_in_the_api_server() {
    let namespace = Cluster::shared().namespace("kubelet");
    let ips = [namespace.ip(1), namespace.ip6(1)];
    let pod = namespace.pod("greeter-0");
    let pending = json!({ "phase": "Pending", "ips": [], "ready": null, "started": false, "terminating": false,
        "annotation": null });
    assert_eq!(seen(&pod), pending);

    pod.run(&[&ips[0], &ips[1]]);
    let mut wanted = json!({ "phase": "Running", "ips": ips, "ready": "True", "started": true, "terminating": false,
        "annotation": null });
    assert_eq!(seen(&pod), wanted);

    let value = annotation(&[("interface", "org.acme.Greeter"), ("port", "20880")]);
    pod.register(&value);
    wanted["annotation"] = json!(value);
    assert_eq!(seen(&pod), wanted);

    pod.set_ready(false);
    wanted["ready"] = json!("False");
    assert_eq!(seen(&pod), wanted);

    pod.set_ready(true);
    pod.terminate();
    wanted["ready"] = json!("True");
    wanted["terminating"] = json!(true);
    assert_eq!(seen(&pod), wanted);

    pod.finish("Succeeded");
    wanted["phase"] = json!("Succeeded");
    wanted["ready"] = json!("False");
    assert_eq!(seen(&pod), wanted);

    pod.delete();
    assert_eq!(seen(&pod), json!("gone"));
}

#[test]
fn a_pod_replaced_under_its_name_is_another_pod() {
    let namespace = Cluster::shared().namespace("kubelet");
    let first = namespace.pod("greeter-0");
    first.delete();
    let second = namespace.pod("greeter-0");
    assert_ne!(first.uid, second.uid);
    assert_eq!(seen(&first), json!("gone"));
    assert!(second.now().is_some());
}
