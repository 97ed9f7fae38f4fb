//! The keys and types of a Pod: what the API server does not decode is an error that says what to write.

use super::{Folder, Held, names, pod, profile};
use crate::harness::cases::{ADDRESSES, HOST_ADDRESSES, REFUSED, TAKEN, annotations, with};

#[test]
fn what_the_api_server_does_not_decode_is_told() {
    for (place, fragment, reason) in REFUSED {
        let folder = Folder::new("keys");
        folder.write("a.yaml", &format!("{}---\n{}", pod("good"), with(place, fragment)));
        let held = folder.load();
        let [problem] = held.problems() else { panic!("{fragment}: {:?}", held.problems()) };
        assert_eq!((problem.document, problem.pod.as_deref()), (Some(2), Some("default/p")), "{problem}");
        assert!(problem.reason.starts_with(reason), "{fragment}: {problem}");
        assert!(problem.to_string().contains("a.yaml, document 2, Pod default/p: "), "{problem}");
        assert_eq!(names(&held), ["default/good"], "{fragment}");
    }
}

#[test]
fn what_the_api_server_decodes_is_taken() {
    for (place, fragment) in TAKEN {
        let folder = Folder::new("decoded");
        folder.write("a.yaml", &with(place, fragment));
        let held = folder.load();
        assert_eq!((names(&held), held.problems()), (vec!["default/p"], &[][..]), "{fragment}");
    }
}

/// A label with the value null has the empty value, and selectors find it.
#[test]
fn a_label_that_is_null_is_there() {
    let folder = Folder::new("nulls");
    folder.write("a.yaml", "kind: Pod\nmetadata: {name: p, labels: {app.io/label: }}\n");
    let held = Held::load_for(
        std::slice::from_ref(&folder.0),
        &[profile("any", "app.io/label"), profile("empty", "app.io/label=")],
    );
    assert_eq!(held.pods[0].by_profile.len(), 2, "{:?}", held.problems());
}

/// A list without `items` is a mistake; a list with empty `items` is none.
#[test]
fn a_list_says_what_is_in_it() {
    for (text, reason) in [
        ("kind: List\n", "items is missing"),
        ("kind: PodList\n", "items is missing"),
        ("kind: List\nitem: [{kind: Pod, metadata: {name: p}}]\n", "items is missing"),
        ("kind: List\nItems: [{kind: Pod, metadata: {name: p}}]\n", "items is missing"),
        ("apiVersion: v2\nkind: List\nitems: []\n", "apiVersion is not that of a list: write \"v1\""),
        ("apiVersion: apps/v1\nkind: PodList\nitems: []\n", "apiVersion is not that of a list: write \"v1\""),
        ("kind: List\nitems: {}\n", "items is an object but must be a list"),
        ("kind: pod\nmetadata: {name: p}\n", "kind is misspelt: write \"Pod\""),
        ("kind: POD\nmetadata: {name: p}\n", "kind is misspelt: write \"Pod\""),
        ("kind: Pods\nmetadata: {name: p}\n", "kind is misspelt: write \"Pod\""),
        ("kind: podlist\nitems: []\n", "kind is misspelt: write \"PodList\""),
        ("kind: list\nitems: []\n", "kind is misspelt: write \"List\""),
        ("kind: List\nitems: [{kind: pod, metadata: {name: p}}]\n", "items[0].kind is misspelt: write \"Pod\""),
        ("Kind: Pod\nmetadata: {name: p}\n", "kind is missing"),
    ] {
        let folder = Folder::new("lists");
        folder.write("a.yaml", &format!("{}---\n{text}", pod("good")));
        let held = folder.load();
        let [problem] = held.problems() else { panic!("{text}: {:?}", held.problems()) };
        assert!(problem.reason.starts_with(reason), "{text}: {problem}");
        assert_eq!((names(&held), &*held.ignored()), (vec!["default/good"], "none"), "{text}");
    }
}

#[test]
fn a_problem_names_its_pod() {
    for (metadata, expected) in [
        ("name: p, x: y", Some("default/p")),
        ("name: p, namespace: , x: y", Some("default/p")),
        ("name: p, namespace: shop, x: y", Some("shop/p")),
        // If the namespace is invalid, the error must not name another one.
        ("name: p, namespace: 123", Some("p")),
        ("name: p, namespace: A", Some("p")),
        ("name: P_", None),
        ("namespace: shop", None),
        ("name: 7", None),
    ] {
        let folder = Folder::new("titles");
        folder.write("a.yaml", &format!("kind: Pod\nmetadata: {{{metadata}}}\n"));
        let held = folder.load();
        let by_profile: Vec<_> = held.problems().iter().map(|problem| problem.pod.as_deref()).collect();
        assert_eq!(by_profile, [expected], "{metadata}");
    }
}

/// A Pod's errors are bounded; the rest are counted.
#[test]
fn a_pod_of_many_faults_tells_eight() {
    let keys: Vec<String> = (0..20).map(|at| format!("unknown{at}: 1")).collect();
    let folder = Folder::new("many");
    folder.write("a.yaml", &format!("kind: Pod\nmetadata: {{name: p}}\nspec: {{{}}}\n", keys.join(", ")));
    let held = folder.load();
    let reasons: Vec<&str> = held.problems().iter().map(|problem| &*problem.reason).collect();
    let last = |text: &str| {
        folder.write("a.yaml", text);
        folder.load().problems().last().map(|problem| problem.reason.clone())
    };
    let list = format!("kind: List\nitems:\n- {{kind: Pod, metadata: {{name: p}}, spec: {{{}}}}}\n", keys.join(", "));
    assert_eq!(last(&list).as_deref(), Some("items[0]: 12 more faults"));
    assert_eq!((reasons.len(), reasons.last()), (9, Some(&"12 more faults")), "{reasons:?}");
}

#[test]
fn addresses_are_those_that_the_api_server_would_keep() {
    for (fragment, expected) in ADDRESSES {
        let folder = Folder::new("addresses");
        folder.write("a.yaml", &with("status", fragment));
        let held = folder.load();
        let ips = held.pods.first().map(|found| found.pod.status.pod_ips.iter().map(ToString::to_string).collect());
        let expected: Option<Vec<String>> = expected.map(|ips| ips.iter().map(ToString::to_string).collect());
        assert_eq!(ips, expected, "{fragment}: {:?}", held.problems());
        assert_eq!(held.problems().is_empty(), expected.is_some(), "{fragment}: {:?}", held.problems());
        assert!(held.problems().iter().all(|problem| problem.reason.starts_with("status.podIPs")), "{fragment}");
    }
    for fragment in HOST_ADDRESSES {
        let folder = Folder::new("hosts");
        folder.write("a.yaml", &with("status", fragment));
        let held = folder.load();
        assert!(held.problems().len() == 1 && held.pods.is_empty(), "{fragment}: {:?}", held.problems());
        assert!(held.problems()[0].reason.starts_with("status.hostIPs"), "{fragment}: {:?}", held.problems());
    }
}

#[test]
fn annotations_have_keys_in_any_letter_case_and_a_bound() {
    for (fragment, is_taken) in annotations() {
        let folder = Folder::new("annotations");
        folder.write("a.yaml", &with("metadata", &fragment));
        let held = folder.load();
        let start = fragment.get(..30).unwrap_or(&fragment);
        assert_eq!(held.problems().is_empty(), is_taken, "{start}: {} bytes: {:?}", fragment.len(), held.problems());
        assert_eq!(held.pods.len(), usize::from(is_taken), "{start}");
    }
}
