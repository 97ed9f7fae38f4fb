//! Valid Pods, malformed ones, and objects that are not Pods.

use super::*;
use crate::source::Phase;
use crate::source::kube::pod_object::{ADDRESSES_MAX, running};
use crate::source::profile::pairs;

const KEY: &str = "app.io/annotation";

fn pod(json: &str) -> Option<Pod> {
    let pods = RawPod::read(json.as_bytes()).expect(json).to_pods(&[pairs(KEY)]);
    pods.map(|pods| *pods.into_iter().next().expect("a profile"))
}

#[test]
fn reads_what_a_pod_is() {
    let json = r#"{
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": "p-0", "namespace": "n", "uid": "u", "resourceVersion": "42",
            "annotations": {"other": "x", "app.io\/annotation": "W10=", "kubectl": "{\"a\":\"b\"}"},
            "labels": {"a": "b"}, "managedFields": [{"fieldsV1": {"f:metadata": {}}}]
        },
        "spec": {"hostNetwork": true, "containers": [{"name": "c"}]},
        "status": {
            "phase": "Running", "startTime": "2024-01-02T03:04:05Z",
            "conditions": [{"type": "PodScheduled", "status": "False"}, {"type": "Ready", "status": "True"}],
            "podIP": "10.0.0.9", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}, {"ip": "::ffff:10.0.0.1"}],
            "hostIP": "::ffff:192.0.2.1"
        }
    }"#;
    assert_eq!(pod(json), Some(Pod { name: "p-0".into(), ..running() }));
}

#[test]
fn needs_a_name_a_namespace_and_a_uid() {
    for (metadata, is_pod) in [
        (r#"{"name":"p","namespace":"n","uid":"u"}"#, true),
        (r#"{"name":"p","namespace":"n"}"#, false),
        (r#"{"name":"p","namespace":"n","uid":""}"#, false),
        (r#"{"name":"p","namespace":"n","uid":7}"#, false),
        (r#"{"namespace":"n","uid":"u"}"#, false),
        (r#"{"name":"p","uid":"u"}"#, false),
        ("[]", false),
        ("null", false),
    ] {
        assert_eq!(pod(&format!("{{\"metadata\":{metadata}}}")).is_some(), is_pod, "{metadata}");
    }
    assert_eq!(pod("{}"), None);
}

/// What each malformed value leaves of an otherwise valid Pod.
#[test]
fn an_odd_field_counts_as_absent_and_poisons_nothing() {
    let sound = r#""metadata":{"name":"p","namespace":"n","uid":"u"}"#;
    let plain = pod(&format!("{{{sound}}}")).expect("a Pod");
    assert_eq!(plain.status, PodStatus::default());
    assert_eq!((plain.resource_version, &plain.text), (0, &ProfileText::default()));
    for odd in [
        "null",
        "7",
        "-1.5e300",
        "true",
        "\"x\"",
        "[]",
        "[null]",
        "[7,[]]",
        "{}",
        r#"{"a":[{}]}"#,
        "[{}]",
        r#"[{"ip":"x"},{"ip":7}]"#,
    ] {
        let status = ["phase", "conditions", "podIP", "podIPs", "hostIP", "hostIPs", "startTime"];
        for field in status {
            let json = format!("{{{sound},\"status\":{{\"{field}\":{odd}}}}}");
            assert_eq!(pod(&json), Some(plain.clone()), "{json}");
        }
        for field in ["status", "spec"] {
            let json = format!("{{{sound},\"{field}\":{odd}}}");
            assert_eq!(pod(&json), Some(plain.clone()), "{json}");
        }
        for field in ["resourceVersion", "annotations", "labels"] {
            let json = format!(r#"{{"metadata":{{"name":"p","{field}":{odd},"namespace":"n","uid":"u"}}}}"#);
            assert_eq!(pod(&json), Some(plain.clone()), "{json}");
        }
        let json =
            format!(r#"{{"metadata":{{"name":"p","namespace":"n","uid":"u","annotations":{{"{KEY}":{odd}}}}}}}"#);
        let is_text = odd.starts_with('"');
        assert_eq!(pod(&json).and_then(|pod| pod.text.value).as_deref(), is_text.then_some("x"), "{json}");
        let json = format!(r#"{{{sound},"spec":{{"hostNetwork":{odd}}}}}"#);
        assert_eq!(pod(&json).map(|pod| pod.status.host_network), Some(odd == "true"), "{json}");
    }
}

#[test]
fn reads_phases_and_the_end() {
    for (text, expected) in [
        ("Pending", Phase::Pending),
        ("Running", Phase::Running),
        ("Succeeded", Phase::Succeeded),
        ("Failed", Phase::Failed),
        ("Unknown", Phase::Unknown),
        ("running", Phase::Unknown),
    ] {
        assert_eq!(phase(Some(text)), expected, "{text}");
    }
    for (value, terminating) in [("\"2024-01-02T03:04:05Z\"", true), ("null", false), ("0", true)] {
        let json = format!(r#"{{"metadata":{{"name":"p","namespace":"n","uid":"u","deletionTimestamp":{value}}}}}"#);
        assert_eq!(pod(&json).map(|pod| pod.status.terminating), Some(terminating), "{value}");
    }
}

#[test]
fn takes_a_bounded_number_of_addresses() {
    let ips: Vec<String> = (0..1000).map(|n| format!(r#"{{"ip":"10.0.{}.{}"}}"#, n / 256, n % 256)).collect();
    let json =
        format!(r#"{{"metadata":{{"name":"p","namespace":"n","uid":"u"}},"status":{{"podIPs":[{}]}}}}"#, ips.join(","));
    assert_eq!(pod(&json).map(|pod| pod.status.pod_ips.len()), Some(ADDRESSES_MAX));
}

#[test]
fn bytes_that_are_no_json_are_refused() {
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    for json in ["", "[]", "\"x\"", "{", r#"{"metadata":{"#, deep.as_str()] {
        assert!(RawPod::read(json.as_bytes()).is_err());
    }
}
