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
