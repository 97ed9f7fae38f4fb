//! What is longer than a document may be.

use std::fs;

use super::{Folder, names, pod};

/// Lists over the bound of a document are read item by item.
#[test]
fn a_long_list_is_read_as_a_stream() {
    let filler = "x".repeat(60_000);
    let count = 150;
    let item = |at: usize| {
        format!("{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"p{at:03}\",\"annotations\":{{\"a\":\"{filler}\"}}}}}}")
    };
    let items: Vec<String> = (0..count).map(item).collect();
    let block = |dash: &str| {
        let item = |at: usize| {
            format!(
                "{dash}- apiVersion: v1\n{dash}  kind: Pod\n{dash}  # c\n\n{dash}  metadata:\n{dash}    name: p{at:03}\n{dash}    annotations:\n{dash}      a: |\n{dash}        - {filler}\n\n{dash}        # no comment\n"
            )
        };
        format!("apiVersion: v1\nitems:\n{}kind: List\nmetadata: {{}}\n", (0..count).map(item).collect::<String>())
    };
    let cases = [
        ("JSON", format!("{{\"kind\":\"List\",\"items\":[{}]}}", items.join(","))),
        ("its kind behind", format!("{{\"items\":[{}],\n\"kind\":\"List\"}}\n", items.join(",\n"))),
        (
            "its items' kind not told",
            format!("{{\"kind\":\"PodList\",\"items\":[{}]}}", items.join(",").replace("\"kind\":\"Pod\",", "")),
        ),
        ("YAML", block("")),
        ("YAML, indented", block("  ")),
        ("YAML, CRLF", block("").replace('\n', "\r\n")),
        ("YAML, indented as a whole", format!("# c\n  {}\n", block("").trim_end().replace('\n', "\n  "))),
        ("YAML, a quoted key", block("").replace("\nitems:\n", "\n\"items\": # c\n")),
        ("YAML, a blank before the colon", block("  ").replace("\nitems:\n", "\nitems : \n")),
    ];
    for (name, text) in &cases {
        let folder = Folder::new("long");
        folder.write("a.yaml", &format!("{}---\n{text}---\n{}", pod("before"), pod("later")));
        let held = folder.load();
        assert_eq!((held.problems(), names(&held).len()), (&[][..], count + 2), "{name}");
        // One bad item is told by its place, and is the only one that is lost.
        let bad = text.replacen("p077", "P_077", 1);
        folder.write("a.yaml", &format!("{bad}\n---\n{}", pod("later")));
        let held = folder.load();
        assert!(
            matches!(held.problems(), [one] if one.reason.starts_with("items[77].metadata.name")),
            "{name}: {:?}",
            held.problems()
        );
        assert_eq!(names(&held).len(), count, "{name}");
        // A list that breaks off is told, and the next document is read.
        let half = text.get(..text.len() / 2).expect("ASCII");
        folder.write("a.yaml", &format!("{half}\n---\n{}", pod("later")));
        let held = folder.load();
        assert!(!held.problems().is_empty(), "{name}");
        assert!(names(&held).contains(&"default/later") && names(&held).len() > count / 3, "{name}");
    }
    // What is as long and no list is told, and harms no other.
    let long = "x".repeat(5 * 1024 * 1024);
    for text in [
        format!("kind: Pod\nmetadata: {{name: b}}\nx: {long}\n"),
        format!("{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"b\"}},\"x\":\"{long}\"}}\n"),
        format!("{{kind: Pod, metadata: {{name: b}}, x: {long}}}\n"),
        format!("{{\"kind\":\"List\",\"items\":[{{\"kind\":\"Pod\",\"x\":\"{long}\"}}]}}\n"),
        format!("kind: List\nitems:\n- kind: Pod\n  x: {long}\n"),
    ] {
        let folder = Folder::new("over");
        folder.write("a.yaml", &format!("{}---\n{text}---\n{}", pod("p"), pod("q")));
        let held = folder.load();
        let start = text.get(..30).expect("ASCII");
        assert_eq!(
            (names(&held), held.problems().len()),
            (vec!["default/p", "default/q"], 1),
            "{start}: {:?}",
            held.problems()
        );
        assert!(held.problems()[0].reason.contains("over 4 MiB"), "{start}: {:?}", held.problems());
    }
}

/// An item is read alone, and its fault has its place.
#[test]
fn a_fault_in_an_item_of_a_long_list_has_its_line() {
    let filler = "x".repeat(60_000);
    let item =
        |at: usize| format!("- kind: Pod\n  metadata:\n    name: p{at:02}\n    annotations: {{a: b, c: {filler}}}\n");
    let text = format!("# c\nkind: List\nitems:\n{}", (0..80).map(item).collect::<String>());
    let json = |at: usize| {
        format!("{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"p{at:02}\",\"annotations\":{{\"c\":\"{filler}\"}}}}}}")
    };
    let json = format!("{{\"kind\":\"List\",\"items\":[{}]}}", (0..80).map(json).collect::<Vec<_>>().join(",\n"));
    let item_77 = 3 + 4 * 77;
    let anchor = text.replace("name: p00\n    annotations: {a: b", "name: p00\n    annotations: {a: &a b");
    let in_item = |text: &str, from: &str, to: &str| text.replace(&format!("p77{from}"), &format!("p77{to}"));
    let plain = "\n    annotations: {a: b";
    for (text, line, reason) in [
        (
            in_item(&anchor, plain, "\n    annotations: {a: *a"),
            Some(item_77 + 4),
            "items[77]: an alias (*) has no anchor (&) in its item, and a list over 4 MiB is read item by item: write the",
        ),
        (in_item(&text, plain, "\n   annotations: {a: b"), Some(item_77 + 4), "items[77]: not YAML: "),
        (
            in_item(&text, plain, "\n    annotations: {a: b, a: c"),
            Some(item_77 + 4),
            "items[77]: not YAML: an object has a key tw",
        ),
        (
            in_item(&text, plain, "\n    annotations: {a: \u{1}"),
            Some(item_77 + 4),
            "items[77]: a byte is neither UTF-8 nor",
        ),
        (in_item(&text, plain, "\n    annotations: {a: 7"), None, "items[77].metadata.annotations[\"a\"] is a number"),
        (in_item(&json, "\"", "\",\"name\":\"q\""), None, "items[77]: not JSON: an object has a key twice"),
        (in_item(&json, "\"", "\u{1}\""), None, "items[77]: a byte is neither UTF-8 nor"),
    ] {
        let folder = Folder::new("places");
        let bytes: Vec<u8> = text.bytes().map(|byte| if byte == 1 { 0xe9 } else { byte }).collect();
        fs::write(folder.0.join("a.yaml"), bytes).expect("a file");
        let held = folder.load();
        let [problem] = held.problems() else { panic!("{reason}: {:?}", held.problems()) };
        assert!(problem.reason.starts_with(reason), "{problem}");
        assert_eq!((problem.line, names(&held).len()), (line, 79), "{problem}");
    }
    // A shorter list is read whole, with its anchors.
    let folder = Folder::new("anchors");
    folder.write("a.yaml", &in_item(&anchor, plain, "\n    annotations: {a: *a").replace(&filler, "x"));
    assert_eq!((folder.load().problems(), names(&folder.load()).len()), (&[][..], 80));
}

/// A list that tells its kind behind its items, as `jq -S` writes it.
#[test]
fn a_long_list_may_tell_its_kind_behind_its_items() {
    let filler = "x".repeat(60_000);
    let count = 80;
    let list = |kind: &str| {
        let item =
            |at: usize| format!("{{\"metadata\":{{\"annotations\":{{\"a\":\"{filler}\"}},\"name\":\"p{at:02}\"}}}}");
        let items: Vec<String> = (0..count).map(item).collect();
        format!("{{\"apiVersion\":\"v1\",\"items\":[{}],\"kind\":\"{kind}\",\"metadata\":{{}}}}", items.join(","))
    };
    let block = |kind: &str| {
        let item = |at: usize| format!("- metadata:\n    annotations:\n      a: {filler}\n    name: p{at:02}\n");
        format!("apiVersion: v1\nitems:\n{}kind: {kind}\n", (0..count).map(item).collect::<String>())
    };
    for (form, of_kind) in [("JSON", &list as &dyn Fn(&str) -> String), ("YAML", &block)] {
        let folder = Folder::new("behind");
        let load = |text: &str| {
            folder.write("a.yaml", &format!("{text}\n---\n{}", pod("later")));
            let held = folder.load();
            assert!(names(&held).contains(&"default/later"), "{form}");
            (names(&held).len(), held.problems().to_vec(), held.ignored())
        };
        assert_eq!(load(&of_kind("PodList")), (count + 1, vec![], "none".to_owned()), "{form}");
        // A bad item is told by its place.
        let (pods, problems, _) = load(&of_kind("PodList").replacen("p07", "P_07", 1));
        assert_eq!((pods, problems.len()), (count, 1), "{form}");
        assert!(problems[0].reason.starts_with("items[7].metadata.name"), "{form}: {}", problems[0]);
        // Those of a List have no kind then, and those of a list of something else are no Pods.
        let (pods, problems, _) = load(&of_kind("List"));
        assert_eq!((pods, problems.len()), (1, count), "{form}");
        assert!(problems[79].reason.starts_with("items[79].kind is missing"), "{form}: {}", problems[79]);
        assert_eq!(load(&of_kind("ServiceList")), (1, vec![], "1 ServiceList".to_owned()), "{form}");
    }
}
