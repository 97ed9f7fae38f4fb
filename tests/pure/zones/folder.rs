//! Folders of zone files, and the effect of their changes.

use super::{name, parse_question, shown, zone};
use callsign::dns::{Name, Rtype};
use callsign::zones::Zones;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

#[test]
fn a_folder_of_zones() {
    let folder = Folder::new("folder");
    folder.write("example.org.zone", &zone("www A 192.0.2.1\nsub NS ns\nsub DS 1 8 2 00\n"));
    folder.write("Sub.Example.Org.zone", &zone("www A 192.0.2.2\n"));
    folder.write("other.example.org.zone", &zone(""));
    folder.write("rpc.zone", "@ 5 SOA a b 1 2 3 4 5\n");
    folder.write("a.rpc.zone", &zone(""));
    folder.write("notes.txt", "no zone\n");
    let (zones, errors) = Zones::load(&folder.0, name("RPC."));
    assert!(errors.is_empty(), "{errors:?}");
    for (question, expected) in [
        ("example.org. A", "example.org."),
        ("x.www.EXAMPLE.org. A", "example.org."),
        ("www.sub.example.org. A", "Sub.Example.Org."),
        ("sub.example.org. NS", "Sub.Example.Org."),
        ("sub.example.org. DS", "example.org."),
        ("www.sub.example.org. DS", "Sub.Example.Org."),
        ("other.example.org. DS", "other.example.org."), // the parent does not delegate it
        ("b.a.rpc. A", "a.rpc."),
        ("rpc. A", "none"),
        ("b.rpc. A", "none"),
        ("org. DS", "none"),
        (". NS", "none"),
    ] {
        let (name, qtype) = parse_question(question);
        let found = zones.find(name.key().as_bytes(), qtype).map_or("none".into(), |zone| zone.origin().to_string());
        assert_eq!(found, expected, "{question}");
    }
    assert_eq!(zones.overlay().unwrap().soa().mname.to_string(), "a.rpc.");
    assert_eq!(zones.hidden_below(&name("rpc.").key()).map(Name::to_string).collect::<Vec<_>>(), ["a.rpc."]);
    assert_eq!(zones.iter().count(), 4);
}

#[test]
fn a_bad_file_leaves_the_old_zone_and_harms_no_other() {
    let folder = Folder::new("reload");
    folder.write("good.zone", &zone("www A 192.0.2.1\n"));
    folder.write("edited.zone", &zone("www A 192.0.2.1\n"));
    folder.write("gone.zone", &zone(""));
    folder.write("rpc.zone", "@ 5 SOA a b 1 2 3 4 5\nx A 192.0.2.1\n");
    let (first, errors) = Zones::load(&folder.0, name("rpc."));
    assert!(errors.is_empty(), "{errors:?}");

    folder.write("edited.zone", &zone("www CNAME x\nwww A 192.0.2.2\n"));
    folder.write("rpc.zone", "* A 192.0.2.1\n");
    folder.write("new.zone", "nonsense\n");
    fs::remove_file(folder.0.join("gone.zone")).unwrap();
    let (second, errors) = first.reload(&folder.0);
    let errors: Vec<String> =
        errors.iter().map(|error| error.to_string().replace(&format!("{}/", folder.0.display()), "")).collect();
    assert_eq!(
        errors,
        [
            "new.zone:1:9: a field is missing: the record type",
            "rpc.zone:1:1: *.rpc. is a wildcard, or below one: the Pod zone must not have wildcards, because the names of Pods come and go below them",
            "edited.zone:7:1: a CNAME beside other records at www.edited.",
        ]
    );
    let zone_of = |zones: &Zones, origin: &str| zones.find(name(origin).key().as_bytes(), Rtype::SOA).cloned();
    for origin in ["good.", "edited."] {
        assert!(Arc::ptr_eq(&zone_of(&first, origin).unwrap(), &zone_of(&second, origin).unwrap()), "{origin}");
    }
    assert!(Arc::ptr_eq(first.overlay().unwrap(), second.overlay().unwrap()));
    assert!(zone_of(&second, "gone.").is_none() && zone_of(&second, "new.").is_none());

    folder.write("edited.zone", &zone("www A 192.0.2.2\n"));
    let (third, _) = second.reload(&folder.0);
    let edited = zone_of(&third, "edited.").unwrap();
    assert_eq!(shown(&edited, "www.edited. A"), "answer 300 A 192.0.2.2");

    let (fourth, errors) = third.reload(&folder.0.join("missing"));
    assert_eq!((errors.len(), fourth.iter().count(), fourth.overlay().is_some()), (1, 2, true), "an unreadable folder");
}

#[test]
fn file_names_that_are_no_zones() {
    let folder = Folder::new("names");
    for file in [".zone", "a..b.zone", "example.org.zone", "EXAMPLE.org.zone", &format!("{}.zone", "x".repeat(64))] {
        folder.write(file, &zone(""));
    }
    fs::create_dir(folder.0.join("folder.zone")).unwrap();
    let (zones, errors) = Zones::load(&folder.0, name("rpc."));
    let errors: Vec<String> = errors.iter().map(|error| error.problem.to_string()).collect();
    assert_eq!(zones.iter().map(|zone| zone.origin().to_string()).collect::<Vec<_>>(), ["EXAMPLE.org."]);
    assert_eq!(
        errors,
        [
            "not named after a zone: it has an empty label",
            "not named after a zone: it has an empty label",
            "another file is also named after example.org.",
            "not named after a zone: it has a label of more than 63 bytes",
            "not a regular file",
        ]
    );
}

#[test]
fn included_files_belong_to_the_zone() {
    let folder = Folder::new("include");
    fs::create_dir(folder.0.join("parts")).unwrap();
    let top = "last A 192.0.2.1\n$INCLUDE parts/mail\n$ORIGIN deep\n$INCLUDE parts/hosts\n$INCLUDE \"parts/hosts\" other\n  TXT after\nx A 192.0.2.9\n";
    folder.write("example.zone", &zone(top));
    folder.write("parts/mail", " MX 1 mx\nmx A 192.0.2.4\n");
    folder.write("parts/hosts", "www A 192.0.2.2\n$ORIGIN deeper\n$INCLUDE more ; beside this file\n");
    folder.write("parts/more", "@ A 192.0.2.3\n");
    let load = || Zones::load(&folder.0, name("rpc."));
    let (zones, errors) = load();
    assert!(errors.is_empty(), "{errors:?}");
    let zone_of = |zones: &Zones| zones.find(name("example.").key().as_bytes(), Rtype::SOA).cloned().unwrap();
    for (question, expected) in [
        ("www.deep.example. A", "answer 300 A 192.0.2.2"),
        ("deeper.deep.example. A", "answer 300 A 192.0.2.3"),
        ("www.other.deep.example. A", "answer 300 A 192.0.2.2"),
        ("deeper.other.deep.example. A", "answer 300 A 192.0.2.3"),
        ("last.example. MX", "answer 300 MX 1 mx.example."), // an included file may begin with the including file's owner,
        ("last.example. TXT", "answer 300 TXT \"after\""),   // which continues behind it,
        ("x.deep.example. A", "answer 300 A 192.0.2.9"),     // and its origin
    ] {
        assert_eq!(shown(&zone_of(&zones), question), expected, "{question}");
    }

    // A change of only an included file is noticed. Without a change nothing is read again.
    let (same, _) = zones.reload(&folder.0);
    assert!(Arc::ptr_eq(&zone_of(&zones), &zone_of(&same)));
    folder.write("parts/more", "@ A 192.0.2.4\n");
    let (changed, errors) = same.reload(&folder.0);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(shown(&zone_of(&changed), "deeper.deep.example. A"), "answer 300 A 192.0.2.4");

    // A fault in it keeps the old zone, and names the file and its line.
    folder.write("parts/more", "\n@ A 192.0.2\n");
    let (kept, errors) = changed.reload(&folder.0);
    let path = folder.0.join("example.zone");
    assert_eq!(errors[0].to_string(), format!("{}: in parts/more:2:5: expected an IPv4 address", path.display()));
    assert!(Arc::ptr_eq(&zone_of(&changed), &zone_of(&kept)));
}

#[test]
fn an_include_stays_below_the_folder_and_within_bounds() {
    let folder = Folder::new("include-bounds");
    let outside = Folder::new("include-outside");
    outside.write("secret", "x TXT secret\n");
    std::os::unix::fs::symlink(outside.0.join("secret"), folder.0.join("link")).unwrap();
    folder.write("loop", "$INCLUDE loop\n");
    let outside_path = outside.0.join("secret").display().to_string();
    let beside = format!("../{}/secret", outside.0.file_name().unwrap().to_str().unwrap());
    for (file, expected) in [
        ("missing", "6:10: cannot read missing: No such file or directory (os error 2)".to_owned()),
        (&outside_path, format!("6:10: {outside_path} is not below the folder of the zone files")),
        (&beside, format!("6:10: {beside} is not below the folder of the zone files")),
        ("link", "6:10: link is not below the folder of the zone files".to_owned()),
        (".", "6:10: . is not a regular file".to_owned()),
        ("loop", " in loop:1:10: more than 8 files that include each other".to_owned()),
    ] {
        folder.write("example.zone", &zone(&format!("$INCLUDE {file}\n")));
        let (_, errors) = Zones::load(&folder.0, name("rpc."));
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, [format!("{}:{expected}", folder.0.join("example.zone").display())]);
    }
}

/// BIND, Knot and NSD take records that they cannot send. So does callsign, and says which they are.
#[test]
fn an_rrset_that_fits_into_no_message_is_a_warning() {
    let folder = Folder::new("long");
    let record = |owner: &str, len: usize| format!("{owner} TYPE65280 \\# {len} {}\n", "00".repeat(len));
    let set: String = (0..300).map(|n| format!("  TXT {n:03}{}\n", "x".repeat(252))).collect();
    let text = [record("long", 65_535), record("fits", 65_481), "set A 192.0.2.1\n".to_owned(), set].concat();
    folder.write("example.zone", &zone("$INCLUDE part\n"));
    folder.write("part", &text);
    let (zones, errors) = Zones::load(&folder.0, name("rpc."));
    assert!(errors.is_empty(), "{errors:?}");
    let path = folder.0.join("example.zone");
    let warnings = |zones: &Zones| zones.warnings().map(|warning| warning.to_string()).collect::<BTreeSet<_>>();
    let warning = |line: usize, records: &str, len: usize| {
        let bound = "a message has at most 65535: a query for them gets SERVFAIL";
        format!("{}: in part:{line}:1: the {records} make a reply of {len} bytes, and {bound}", path.display())
    };
    let expected =
        [warning(1, "TYPE65280 records of long.example.", 65_588), warning(4, "TXT records of set.example.", 80_440)];
    let expected = BTreeSet::from(expected);
    assert_eq!(warnings(&zones), expected);
    assert_eq!(warnings(&zones.reload(&folder.0).0), expected, "the same zone, which is not read again");

    folder.write("part", &record("longer", 65_535).replace("65535 ", "65536 00"));
    let (_, errors) = Zones::load(&folder.0, name("rpc."));
    let expected = "in part:1:21: expected the length of the data, 0 to 65535";
    assert!(errors[0].to_string().ends_with(expected), "{}", errors[0]);
    folder.write("part", &format!("longer TXT{}\n", format!(" {}", "x".repeat(255)).repeat(256)));
    let (_, errors) = Zones::load(&folder.0, name("rpc."));
    let expected = "in part:1:1: the data of a record has more than 65535 bytes";
    assert!(errors[0].to_string().ends_with(expected), "{}", errors[0]);
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("callsign-zones-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
