//! Streams of documents, in every form and encoding.

use std::fs;

use super::{Folder, names, pod, texts};

/// Streams as tools write them and as people join them.
#[test]
fn real_streams_are_read() {
    for (name, text, uids, ignored) in &texts::streams() {
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
    for text in texts::broken() {
        let folder = Folder::new("between");
        folder.write("a.json", &text);
        let held = folder.load();
        assert_eq!(names(&held), ["default/p", "default/q"], "{text}: {:?}", held.problems());
        assert_eq!((held.problems().len(), held.problems()[0].document), (1, Some(2)), "{text}: {:?}", held.problems());
    }
}

/// Each line ends an object for a reader of JSON and opens a quote for one of YAML. A reader that tries YAML to the end of
/// the file behind each of them would take hours here.
#[test]
fn a_file_of_broken_objects_is_tried_as_yaml_once() {
    let folder = Folder::new("quotes");
    folder.write("a.yaml", &format!("{}---\n{}---\n{}", pod("p"), "{\"a\": 'x}\n".repeat(20_000), pod("q")));
    let held = folder.load();
    assert_eq!(names(&held), ["default/p", "default/q"]);
    assert!(held.problems().iter().any(|problem| problem.document == Some(2)), "{:?}", held.problems().first());
}

/// kubectl refuses the first three, and ignores what follows `...`.
#[test]
fn a_document_that_starts_as_kubectl_does_not_read_it_is_refused_with_what_to_write() {
    let pod = pod("b");
    for (text, line, reason) in [
        (
            format!("--- {{kind: Pod, metadata: {{name: b}}}}\n{pod}"),
            1,
            "text follows --- in its line: write it in the",
        ),
        (format!("---\n\n--- !!map\n{pod}"), 3, "text follows --- in its line"),
        (format!("# c\n%YAML 1.2\n---\nkind: Job\n{pod}"), 2, "a line begins with %: leave out YAML's directives"),
        (format!("---\n...\n\n{pod}"), 4, "text follows ... before the next ---: write --- instead of ..."),
    ] {
        let folder = Folder::new("starts");
        folder.write("a.yaml", &text);
        let held = folder.load();
        let problem = &held.problems()[0];
        assert!(problem.reason.starts_with(reason), "{text}: {problem}");
        assert_eq!((problem.document, problem.line, names(&held).len()), (Some(1), Some(line), 0), "{text}: {problem}");
    }
}

/// The document with the byte is lost, and no other.
#[test]
fn a_byte_that_is_not_text_is_reported_with_its_line() {
    let (before, behind) = (format!("{}---\n", pod("p")), format!("\n---\n{}", pod("q")));
    let lines = before.matches('\n').count() as u64;
    let cases: [(&[u8], u64); 8] = [
        (b"kind: Pod\nmetadata: {name: b}\n# \xe9t\xe9\n", 3),
        (b"kind: Pod\nmetadata:\n  name: b\n  annotations: {a: \"\xe9\"}\n", 4),
        (b"\xffkind: Pod\nmetadata: {name: b}", 1),
        (b"{\"kind\": \"Pod\",\n\"metadata\": {\"name\": \"b\",\n\"annotations\": {\"a\": \"\xc3\"}}}", 3),
        (b"{\"kind\": \"Pod\",\n{\"x\": \"\xc3\"}}", 2),
        (b"{kind: Pod,\n metadata: {name: b, annotations: {a: \xf0\x9f\x98}}}", 2),
        (b"kind: List\nitems:\n- kind: Pod\n  metadata: {name: b, annotations: {a: \xed\xa0\x80}}\n", 4),
        (b"kind: Pod\r\nmetadata: {name: b} # \xc0\x80\r\n", 2),
    ];
    for (bytes, line) in cases {
        let shown = String::from_utf8_lossy(bytes);
        let folder = Folder::new("bytes");
        fs::write(folder.0.join("a.yaml"), [before.as_bytes(), bytes, behind.as_bytes()].concat()).expect("a file");
        let held = folder.load();
        let [problem] = held.problems() else { panic!("{shown}: {:?}", held.problems()) };
        assert_eq!((problem.document, problem.line), (Some(2), Some(lines + line)), "{shown}: {problem}");
        assert_eq!(problem.reason, "a byte is neither UTF-8 nor UTF-16: save the file as UTF-8", "{shown}");
        assert_eq!(names(&held), ["default/p", "default/q"], "{shown}");
    }
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let half_a_pair = [&utf16("kind: Pod\n# ")[..], &[0, 0xd8], &utf16("\n---\n"), &utf16(&pod("q"))].concat();
    let ends: [(&str, Vec<u8>, &[&str]); 3] = [
        ("half a character", [before.as_bytes(), b"kind: Pod # \xc3"].concat(), &["default/p"]),
        ("half a unit", [&utf16(&before)[..], &utf16("kind: Pod"), b"#"].concat(), &["default/p"]),
        ("half a pair", half_a_pair, &["default/q"]),
    ];
    for (name, bytes, uids) in ends {
        let folder = Folder::new("ends");
        fs::write(folder.0.join("a.yaml"), bytes).expect("a file");
        let held = folder.load();
        assert_eq!((held.problems().len(), names(&held)), (1, uids.to_vec()), "{name}: {:?}", held.problems());
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
