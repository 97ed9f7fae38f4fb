//! What a Pod of a manifest is.

use callsign::registration::ProfileText;
use callsign::source::Phase;

use super::{Folder, names, pod};

#[test]
fn fills_in_values_that_a_manifest_omits() {
    let folder = Folder::new("defaults");
    folder.write("a.yaml", &pod("p"));
    let loaded = folder.load();
    assert_eq!((names(&loaded), loaded.problems(), &*loaded.ignored()), (vec!["default/p"], &[][..], "none"));
    let found = &loaded.pods[0];
    assert_eq!((&*found.pod.namespace, &*found.pod.name), ("default", "p"));
    assert!(found.pod.status.ready && found.pod.status.phase == Phase::Running);
    assert_eq!(found.pod.status.pod_ips[..], ["10.0.0.1".parse::<std::net::IpAddr>().expect("an address")]);
    assert_eq!(found.by_profile, [(0, ProfileText::of_value("W10=")), (1, ProfileText::default())]);
    assert_eq!(found.pod.text, ProfileText::default());
}

#[test]
fn keeps_the_values_of_a_manifest() {
    let folder = Folder::new("said");
    folder.write(
        "a.yaml",
        "kind: Pod\nmetadata: {name: p, namespace: 'n', uid: u, deletionTimestamp: 2024-01-02T03:04:05Z}\nspec: {hostNetwork: true}\n\
         status: {phase: Failed, conditions: [{type: Ready, status: 'False'}], startTime: '2024-01-02T03:04:05Z'}",
    );
    let loaded = folder.load();
    assert_eq!((names(&loaded), loaded.problems()), (vec!["u"], &[][..]));
    let status = &loaded.pods[0].pod.status;
    assert!(!status.ready && status.terminating && status.host_network);
    assert_eq!((status.phase, status.start_time), (Phase::Failed, Some(1_704_164_645)));
}

#[test]
fn finds_pods_anywhere_in_a_manifest() {
    let json = |name: &str| format!(r#"{{"kind":"Pod","metadata":{{"name":"{name}"}}}}"#);
    let bare = r#"{"metadata":{"name":"bare"}}"#;
    let service = r#"{"kind":"Service","metadata":{"name":"s"}}"#;
    let cases: [(&str, String, &[&str], &str); 9] = [
        ("a.yaml", format!("---\n{}---\n{}", pod("p"), pod("q")), &["default/p", "default/q"], "none"),
        ("b.yml", format!("# nothing\n---\n---\n{}\n---\n", pod("p")), &["default/p"], "none"),
        ("c.yaml", format!("{}---\nkind: Service\nmetadata: {{name: p}}\n", pod("p")), &["default/p"], "1 Service"),
        ("d.json", json("p"), &["default/p"], "none"),
        ("e.json", format!("{}\n{}", json("p"), json("q")), &["default/p", "default/q"], "none"),
        ("f.json", format!(r#"{{"kind":"List","items":[{},{service}]}}"#, json("p")), &["default/p"], "1 Service"),
        (
            "g.json",
            format!(r#"{{"kind":"PodList","items":[{},{bare},{service}]}}"#, json("p")),
            &["default/bare", "default/p"],
            "1 Service",
        ),
        ("h.yaml", "kind: List\nitems:\n- kind: Pod\n  metadata: {name: p}\n".to_owned(), &["default/p"], "none"),
        ("i.txt", json("p"), &[], "none"),
    ];
    for (name, text, uids, ignored) in cases {
        let folder = Folder::new("wherever");
        folder.write(name, &text);
        let loaded = folder.load();
        assert_eq!((names(&loaded), &*loaded.ignored()), (uids.to_vec(), ignored), "{name}: {:?}", loaded.problems());
        assert_eq!(loaded.problems(), [], "{name}");
    }
}
