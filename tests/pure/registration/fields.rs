//! Registrations written as fields, and their metadata.

use callsign::registration::{Metadata, decode_value};

use super::{check, problems, shown_pairs, value_of};

#[test]
fn fields() {
    check(&[
        ("", "", ""),
        ("interface=a | port=1", "a rpc *:1 w=100 #0", ""),
        ("Interface=a.B | PORT=1 | Group=g | VERSION=1.0.0", "a.B g=g v=1.0.0 rpc *:1 w=100 #0", ""),
        ("interface=a | port=1 | group= | version= | protocol=", "a rpc *:1 w=100 #0", ""),
        ("interface=a | port=1 | version=0.0.0", "a v=0.0.0 rpc *:1 w=100 #0", ""),
        (r#"interface=a | {"k":"port","v":20880,"x":[null]}"#, "a rpc *:20880 w=100 #0", ""),
        // several interfaces, and pairs for all of them
        (
            "protocol=tri | port=1 | application=shop | interface=a | interface=b | port=2 | protocol=http",
            "a tri *:1 w=100 app=shop #3 | b http *:2 w=100 app=shop #4",
            "",
        ),
        ("group=g | port=1 | interface=a | group=", "a rpc *:1 w=100 #2", ""),
        // several ports
        ("interface=a | port=1 | port=2", "a rpc *:1 w=100 #0 | a rpc *:2 w=100 #2", ""),
        ("port=1 | port=2 | interface=a", "a rpc *:1 w=100 #2 | a rpc *:2 w=100 #2", ""),
        ("port=1 | port=2 | interface=a | port=3", "a rpc *:3 w=100 #2", ""),
        ("interface=a | port=1 | port=x | port=3", "a rpc *:1 w=100 #0 | a rpc *:3 w=100 #3", "bad-port port #2"),
        // a duplicate that was appended stays; the index lets the last one win
        (
            "interface=a | port=1 | weight=1 | interface=a | port=1 | weight=2",
            "a rpc *:1 w=1 #0 | a rpc *:1 w=2 #3",
            "",
        ),
        // addresses
        ("interface=a | port=1 | ip=10.0.0.1", "a rpc 10.0.0.1:1 w=100 #0", ""),
        ("interface=a | port=1 | ip=fd00::1", "a rpc fd00::1:1 w=100 #0", ""),
        ("interface=a | port=1 | ip=[fd00::1]", "a rpc fd00::1:1 w=100 #0", ""),
        ("interface=a | port=1 | ip=::ffff:10.0.0.1", "a rpc 10.0.0.1:1 w=100 #0", ""),
        (
            "interface=a | port=1 | ip=0.0.0.0 | interface=a | port=1 | ip=::",
            "a rpc *:1 w=100 #0 | a rpc *:1 w=100 #3",
            "",
        ),
        ("interface=a | port=1 | ip=fe80::1%eth0", "", "bad-address ip #2"),
        ("interface=a | port=1 | ip=localhost", "", "bad-address ip #2"),
        ("ip=localhost | interface=a | port=1", "", "bad-address ip #1"),
        // weights and switches
        ("interface=a | port=1 | weight=70000", "a rpc *:1 w=65535 #0", ""),
        ("interface=a | port=1 | weight=99999999999999999999999999", "a rpc *:1 w=65535 #0", ""),
        ("interface=a | port=1 | weight=0", "a rpc *:1 w=1 off #0", ""),
        ("interface=a | port=1 | weight=", "a rpc *:1 w=100 #0", ""),
        ("interface=a | port=1 | weight=-1", "", "bad-weight weight #2"),
        (r#"interface=a | port=1 | {"k":"weight","v":1.5}"#, "", "bad-weight weight #2"),
        (r#"interface=a | port=1 | {"k":"enabled","v":false}"#, "a rpc *:1 w=100 off #0", ""),
        ("interface=a | port=1 | enabled=FALSE", "a rpc *:1 w=100 off #0", ""),
        (r#"interface=a | port=1 | {"k":"disabled","v":true}"#, "a rpc *:1 w=100 off #0", ""),
        ("interface=a | port=1 | enabled=true | disabled=false", "a rpc *:1 w=100 #0", ""),
        (
            "enabled=false | interface=a | port=1 | interface=b | port=1 | enabled=true",
            "a rpc *:1 w=100 off #1 | b rpc *:1 w=100 #3",
            "",
        ),
        // methods
        ("interface=a | port=1 | method=x | method=y | method=x", "a rpc *:1 w=100 methods=x,y #0", ""),
        ("interface=a | port=1 | methods=x, y,,x | method=z", "a rpc *:1 w=100 methods=x,y,z #0", ""),
        (
            "methods=x | port=1 | interface=a | interface=b | method=y",
            "a rpc *:1 w=100 methods=x #2 | b rpc *:1 w=100 methods=y #3",
            "",
        ),
        // a field that may appear only once
        ("interface=a | port=1 | group=x | group=x | interface=b | port=1", "b rpc *:1 w=100 #4", "repeated group #3"),
        ("interface=a | port=1 | methods=x | methods=y", "", "repeated methods #3"),
        ("interface=a | port=1 | enabled=true | enabled=false", "", "repeated enabled #3"),
        (
            "group=x | group=y | interface=a | port=1 | interface=b | port=1 | group=z",
            "b g=z rpc *:1 w=100 #4",
            "repeated group #2",
        ),
    ]);
}

#[test]
fn bad_fields_harm_no_others() {
    check(&[
        ("interface=a", "", "no-port port #0"),
        ("interface=a | interface=b | port=1", "b rpc *:1 w=100 #1", "no-port port #0"),
        ("interface=a | port=0", "", "bad-port port #1"),
        ("interface=a | port=65536", "", "bad-port port #1"),
        ("interface=a | port=abc", "", "bad-port port #1"),
        ("interface=a | port=080", "", "bad-port port #1"),
        ("interface=a | port=", "", "bad-port port #1"),
        ("port=x | interface=a | interface=b | port=1", "b rpc *:1 w=100 #2", "bad-port port #1"),
        ("port=1 | zone=x", "", "no-interface interface #0"),
        ("port=1 | interface= | interface=b", "b rpc *:1 w=100 #2", "no-interface interface #1"),
        ("port=1 | interface=a\tb | interface=b", "b rpc *:1 w=100 #2", "control-characters interface #1"),
        ("port=1 | interface=a | group=\u{85}", "", "control-characters group #2"),
        ("port=1 | interface=a | version=\0", "", "control-characters version #2"),
        ("port=1 | protocol=\n | interface=a", "", "control-characters protocol #2"),
        ("port=1 | interface=a://u:hunter2@b | interface=b", "b rpc *:1 w=100 #2", "secret interface #1"),
        ("port=1 | interface=a | group=token=hunter2", "", "secret group #2"),
        ("port=1 | interface=a | version=x?pwd%3Dhunter2", "", "secret version #2"),
        ("port=1 | interface=a | protocol=my-secret=hunter2", "", "secret protocol #2"),
        // bad pairs
        ("7 | port=1 | interface=a", "a rpc *:1 w=100 #2", "not-a-pair - #0"),
        (r#"{"v":1} | port=1 | interface=a"#, "a rpc *:1 w=100 #2", "no-key - #0"),
        (r#"{"k":"group","v":null} | port=1 | interface=a"#, "a rpc *:1 w=100 #2", "bad-value group #0"),
        (r#"port=1 | interface=a | {"k":"zone","v":[]} | interface=b"#, "b rpc *:1 w=100 #3", "bad-value - #2"),
        (r#"port=1 | interface=a | {"v":"x"} | interface=b"#, "b rpc *:1 w=100 #3", "no-key - #2"),
        (r#"port=1 | interface=a | {"k":5} | null | interface=b"#, "b rpc *:1 w=100 #4", "not-a-pair - #2"),
        (r#"port=1 | interface=a | {"k":"x","k":"y"} | interface=b"#, "b rpc *:1 w=100 #3", "repeated k #2"),
        (r#"interface=a | port=1 | {"k":"interface","v":{}} | port=2"#, "a rpc *:1 w=100 #0", "bad-value interface #2"),
        (r#"interface=a | port=1 | {"k":"/dubbo","v":null}"#, "a rpc *:1 w=100 #0", "bad-value - #2"),
        (r#"{"v":1}"#, "", "no-key - #0"),
    ]);
}

#[test]
fn metadata() {
    for (elements, pairs, withheld, left_out) in [
        ("zone=b | region=a | interface=a | port=1", "region=a zone=b", 0, 0),
        ("zone=b | interface=a | port=1 | ZONE=c | zone=d", "ZONE=c", 0, 1),
        ("interface=a | port=1 | weight=70000", "weight=65535", 0, 0),
        ("interface=a | port=1 | weight=0 | enabled=true", "weight=1", 0, 0),
        ("interface=a | port=1 | pod=x | Node=y | key.1=z | é=1 | a.b=", "a.b=", 0, 4),
        ("interface=a | port=1 | accessToken=x | url=redis://u:p@h | u=a%253Fpwd%253Dx | ok=token", "ok=token", 3, 0),
        ("interface=a | port=1 | application=secret=x | method=token=x | method=m", "", 2, 0),
        ("PROVIDER a tri://:1?z=%C3%A9+1&side=provider&pod=x&pass-wd=x&side=y", "side=provider z=é 1", 1, 2),
    ] {
        let shorts: Vec<String> = elements.split(" | ").map(String::from).collect();
        let decoded = decode_value(&value_of(&shorts).0);
        assert_eq!(problems(&decoded), [], "{elements}");
        let [registration] = &decoded.registrations[..] else { panic!("{elements}") };
        assert_eq!(shown_pairs(registration).join(" "), pairs, "{elements}");
        let Metadata { withheld: kept_back, left_out: skipped, .. } = registration.metadata;
        assert_eq!((kept_back, skipped), (withheld, left_out), "{elements}");
    }
}
