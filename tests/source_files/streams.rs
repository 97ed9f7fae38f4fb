//! Streams of documents, in every form and encoding.

use std::fs;

use super::{Folder, names, pod};

/// Streams as tools write them and as people join them.
#[test]
fn real_streams_are_read() {
    let json = |name: &str| format!("{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"{name}\"}}}}");
    let pretty =
        |name: &str| format!("{{\n  \"kind\": \"Pod\",\n  \"metadata\": {{\n    \"name\": \"{name}\"\n  }}\n}}\n");
    let flow = |name: &str| format!("{{kind: Pod, metadata: {{name: {name}}}}}");
    let (p, q, r) = ("default/p", "default/q", "default/r");
    let cases: Vec<(&str, String, Vec<&str>, &str)> = vec![
        ("flow", flow("p"), vec![p], "none"),
        ("flow, documents", format!("{}\n---\n{}\n", flow("p"), flow("q")), vec![p, q], "none"),
        ("flow behind the marker", format!("--- {}\n--- {}\n", flow("p"), flow("q")), vec![p, q], "none"),
        ("flow over lines", "{kind: Pod, # a brace: }\n metadata: {name: p,\n annotations: {a: '}'}},}\n---\n{kind: Pod, metadata: {name: q}}".into(), vec![p, q], "none"),
        ("flow with JSON's quotes", "{\"kind\": Pod, \"metadata\": {\"name\": p}}\n---\n".to_owned() + &json("q"), vec![p, q], "none"),
        ("flow with both quotes", "{\"kind\": 'Pod', \"metadata\": {\"name\": 'p'}}\n---\n".to_owned() + &json("q"), vec![p, q], "none"),
        ("a brace in other quotes", "{\"kind\": \"Pod\", \"metadata\": {\"annotations\": {\"a\": '}} it''s {'}, \"name\": \"p\"}}\n---\n".to_owned() + &json("q"), vec![p, q], "none"),
        ("a quote in other quotes", "{\"kind\": \"Pod\", \"metadata\": {\"annotations\": {\"a\": '\"', \"b\": '}}}\"'}, \"name\": \"p\"}} # c\n---\n".to_owned() + &json("q"), vec![p, q], "none"),
        ("a brace in a comment", "{\"kind\": \"Pod\", # }\n \"metadata\": {\"name\": \"p\"}} # }\n---\n".to_owned() + &json("q"), vec![p, q], "none"),
        ("a brace that opens in a comment", "{\"kind\": \"Pod\", # {\n \"metadata\": {\"name\": \"p\"}}\n---\n".to_owned() + &json("q"), vec![p, q], "none"),
        ("a quote in a comment", "{\"kind\": \"Pod\", # 5\" }\n \"metadata\": {\"name\": \"p\"}, # }\n}\n---\n".to_owned() + &json("q"), vec![p, q], "none"),
        ("a quote in a text", "{\"kind\": \"Pod\", \"metadata\": {\"annotations\": {\"a\": 5\" wide, \"b\": \"} \"}, \"name\": \"p\"}}\n---\n".to_owned() + &json("q"), vec![p, q], "none"),
        ("a list with braces in quotes", "{\"kind\": \"List\", \"items\": [{\"kind\": 'Pod', \"metadata\": {\"name\": 'p', \"annotations\": {\"a\": '}]}'}}},\n# }]}\n{\"kind\": \"Pod\", \"metadata\": {\"name\": \"q\"}}]}".to_owned(), vec![p, q], "none"),
        ("JSON, one behind another", format!("{}{}\n{}", json("p"), json("q"), json("r")), vec![p, q, r], "none"),
        ("JSON between separators", format!("{}\n---\n{}\n---\n", json("p"), json("q")), vec![p, q], "none"),
        ("pretty JSON, one behind another", pretty("p") + &pretty("q"), vec![p, q], "none"),
        ("both", format!("{}\n---\n{}---\n{}", pretty("p"), pod("q"), flow("r")), vec![p, q, r], "none"),
        ("YAML and then JSON", format!("{}---\n{}{}", pod("p"), json("q"), json("r")), vec![p, q, r], "none"),
        ("comments", format!("# a\n\n---\n# b\n{}\n# c\n---\n  # d\n{}# e\n", json("p"), pod("q")), vec![p, q], "none"),
        ("empty documents", format!("---\n---\n...\n---\n{}---\n---\n# c\n---\n~\n", pod("p")), vec![p], "none"),
        ("ends of documents", format!("{}...\n---\n{}...\n{}...\n", pod("p"), pod("q"), pod("r")), vec![p, q, r], "none"),
        ("directives", format!("%YAML 1.2\n---\n{}...\n%YAML 1.1\n---\n{}", pod("p"), pod("q")), vec![p, q], "none"),
        ("separators with blanks", format!("--- \n{}---\t# c\n{}", pod("p"), pod("q")), vec![p, q], "none"),
        ("no separator in a text", format!("kind: Pod\nmetadata:\n name: p\n annotations:\n  x: |\n   --- no\n   ---\n---\n{}", pod("q")), vec![p, q], "none"),
        ("indented", "  kind: Pod\n  metadata:\n    name: p\n".to_owned(), vec![p], "none"),
        ("a mark before YAML", format!("\u{feff}{}", pod("p")), vec![p], "none"),
        ("a mark before JSON", format!("\u{feff}{}\u{feff}{}\n\u{feff}{}", json("p"), json("q"), json("r")), vec![p, q, r], "none"),
        ("marks before separators", format!("\u{feff}---\n{}\u{feff}---\n{}---\n\u{feff}{}", pod("p"), pod("q"), json("r")), vec![p, q, r], "none"),
        ("a list in a list", format!("{{\"kind\":\"List\",\"items\":[{},{{\"kind\":\"List\",\"items\":[{},{{\"kind\":\"PodList\",\"items\":[{{\"metadata\":{{\"name\":\"r\"}}}}]}}]}}]}}", json("p"), json("q")), vec![p, q, r], "none"),
        ("a list in a list, YAML", "kind: List\nitems:\n- kind: List\n  items:\n  - {kind: Pod, metadata: {name: p}}\n  - {kind: Job}\n- {kind: Pod, metadata: {name: q}}\n".to_owned(), vec![p, q], "1 Job"),
        ("an empty list", "kind: List\nitems: []\n---\nkind: PodList\nitems: null\n".to_owned(), vec![], "none"),
        ("aliases that multiply a text", format!("kind: List\nitems:\n- {{kind: Pod, metadata: {{name: p, annotations: &a {{x: {}}}}}}}\n- {{kind: Pod, metadata: {{name: q, annotations: *a}}}}\n- {{kind: Pod, metadata: {{name: r, annotations: *a}}}}\n", "y".repeat(2_000)), vec![p, q, r], "none"),
        ("other kinds", format!("kind: Service\n---\nkind: Deployment\n---\n{}---\n{{\"kind\":\"Deployment\"}}{{\"kind\":\"Deployment\"}}", pod("p")), vec![p], "3 Deployment, 1 Service"),
        ("anchors", "kind: Pod\nmetadata: {name: p, labels: &l {a: b}, annotations: *l}\n---\nkind: Pod\nmetadata: {name: q}\n".to_owned(), vec![p, q], "none"),
    ];
    for (name, text, uids, ignored) in &cases {
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let powershell: Vec<u8> =
            format!("\u{feff}{}", text.replace('\n', "\r\n")).encode_utf16().flat_map(u16::to_le_bytes).collect();
        let encodings = [
            ("UTF-8", text.as_bytes().to_vec()),
            ("CRLF", text.replace('\n', "\r\n").into_bytes()),
            ("CR", text.replace('\n', "\r").into_bytes()),
            ("UTF-16, little", little.clone()),
            ("UTF-16, big", big.clone()),
            ("UTF-16, little, marked", [&[0xff, 0xfe][..], &little].concat()),
            ("UTF-16, big, marked", [&[0xfe, 0xff][..], &big].concat()),
            ("PowerShell", powershell),
        ];
        for (encoding, bytes) in encodings {
            let folder = Folder::new("streams");
            fs::write(folder.0.join("a.yaml"), bytes).expect("a file");
            let held = folder.load();
            assert_eq!(held.problems(), [], "{name}, {encoding}");
            assert_eq!((names(&held), &*held.ignored()), (uids.clone(), *ignored), "{name}, {encoding}");
        }
    }
}

/// A document that is broken is told of, and those around it stand.
#[test]
fn a_broken_document_loses_no_other() {
    let json = |name: &str| format!("{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"{name}\"}}}}");
    let (p, q) = (json("p"), json("q"));
    let cases = [
        format!("{p}\n{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"b\"}},,}}\n{q}\n"),
        format!("{p}\n{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"b\"}}\n{q}\n"),
        format!("{p}\n{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"b}}}}\n{q}\n"),
        format!("{p}\n---\n{{\"kind\":\"Pod\",\"metadata\":{{\"na\n---\n{q}\n"),
        format!("{p}\n---\n{{kind: Pod, metadata: {{name: [}}\n---\n{q}\n"),
        format!("{p}\n---\n{{\"kind\": 'Pod', \"metadata\": {{\"name\": 'b}}}}\n---\n{q}\n"),
        format!("{p}\n{{\"kind\": 'Pod', \"metadata\": {{\"name\": 'b}}}}\n{q}\n"),
        format!("{p}\n{{\"kind\": \"Pod\", # \"metadata\": {{\"name\": \"b\"}}}}\n{q}\n"),
        format!("{p}\n{{\"kind\": 'Pod', \"metadata\": {{\"name\": 'b', \"name\": 'c'}}}}\n---\n{q}\n"),
        format!("{p}\n---\nkind: Pod\nmetadata: [\n---\n{q}\n"),
        format!("{p}\n---\nkind: Pod\n\tmetadata: x\n---\n{q}\n"),
        format!("{p}\n---\ntext\n---\n{q}\n"),
        format!("{p}}}\n---\n{q}"),
        format!(
            "{p}\n{{\"kind\":\"Service\",\"kind\":\"Service\",\"metadata\":\n{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"b\"}}}}\n}}\n{q}\n"
        ),
        format!("{p}\n---\nkind: List\nitems: {{}}\n---\n{q}\n"),
        format!("{p}\n---\nkind: List\nitems: [[]]\n---\n{q}\n"),
    ];
    for text in cases {
        let folder = Folder::new("between");
        folder.write("a.json", &text);
        let held = folder.load();
        assert_eq!(names(&held), ["default/p", "default/q"], "{text}: {:?}", held.problems());
        assert_eq!((held.problems().len(), held.problems()[0].document), (1, Some(2)), "{text}: {:?}", held.problems());
    }
}

#[test]
fn bytes_that_are_not_text_are_reported() {
    let pod = pod("p");
    let cases: [(&str, Vec<u8>); 4] = [
        ("Latin-1", [pod.as_bytes(), b"# \xe9\n"].concat()),
        ("half a character", [pod.as_bytes(), b"# \xc3"].concat()),
        ("half a unit", [&[0xff, 0xfe][..], b"a\0b"].concat()),
        ("half a pair", [0xff, 0xfe, 0, 0xd8, b'a', 0].into()),
    ];
    for (name, bytes) in cases {
        let folder = Folder::new("bytes");
        fs::write(folder.0.join("a.yaml"), bytes).expect("a file");
        let held = folder.load();
        assert_eq!(held.problems().len(), 1, "{name}: {:?}", held.problems());
        assert!(names(&held).is_empty(), "{name}");
    }
}

#[test]
fn a_broken_file_is_reported_with_its_line_and_never_quoted() {
    let cases = [
        ("a.yaml", "kind: Pod\nmetadata:\n  name: [hunter2\n", true),
        ("b.yaml", "kind: Pod\nmetadata: {name: p, x: !!int hunter2}\n", false),
        ("c.json", "{\"kind\":\"Pod\",\n\"metadata\" hunter2 \"x\"}", true),
        ("d.yaml", "kind: Pod\nx: *hunter2\n", false),
        ("e.yaml", "a: 1\n\tb: hunter2\n", true),
    ];
    for (name, text, has_line) in cases {
        let folder = Folder::new("broken");
        folder.write(name, text);
        folder.write("z.yaml", &pod("p"));
        let loaded = folder.load();
        for problem in loaded.problems() {
            assert!(!problem.to_string().contains("hunter2"), "{problem}");
            assert!(!problem.to_string().contains('\n'), "{problem}");
            assert!(!has_line || problem.line.is_some(), "{problem}");
        }
        assert_eq!(loaded.problems().len(), 1, "{name}: {:?}", loaded.problems());
        assert_eq!(names(&loaded), ["default/p"], "{name}");
    }
}
