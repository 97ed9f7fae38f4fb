//! Registry paths as dubbo-go writes them: providers and consumers.

use callsign::registration::decode_value;

use super::{check, problems, shown_consumer, value_of};

#[test]
fn registry_paths() {
    check(&[
        ("/= | /dubbo= | /dubbo/a= | /dubbo/a/providers= | /dubbo/a/providers/=", "", ""),
        ("/dubbo/a/configurators/override%3A%2F%2Fx= | /dubbo/a/routers/x=", "", ""),
        ("PROVIDER a dubbo://10.0.0.1:20880/a", "a dubbo 10.0.0.1:20880 w=100 #0", ""),
        (
            "PROVIDER bean tri://10.0.0.1:1/bean?interface=a.B&group=g&version=1.0",
            "a.B g=g v=1.0 tri 10.0.0.1:1 w=100 #0",
            "",
        ),
        ("PROVIDER a tri://[fd00::1]:1/a", "a tri fd00::1:1 w=100 #0", ""),
        ("PROVIDER a tri://0.0.0.0:1/a | PROVIDER a tri://:2/a", "a tri *:1 w=100 #0 | a tri *:2 w=100 #1", ""),
        ("PROVIDER a tri://me:hunter2@10.0.0.1:1/a", "a tri 10.0.0.1:1 w=100 #0", ""),
        ("PROVIDER a tri://:1?version=0.0.0&version=2&group=&interface=", "a tri *:1 w=100 #0", ""),
        ("PROVIDER a tri://:1?group=x&group=y&weight=3&weight=-1", "a g=x tri *:1 w=3 #0", ""),
        ("PROVIDER a tri://:1?ip=10.9.9.9&port=9&protocol=x", "a tri *:1 w=100 #0", ""),
        (
            "PROVIDER a tri://:1?methods=x,y&application=shop&enabled=false",
            "a tri *:1 w=100 off app=shop methods=x,y #0",
            "",
        ),
        (
            "PROVIDER a tri://:1?disabled=true | PROVIDER a tri://:1?weight=0",
            "a tri *:1 w=100 off #0 | a tri *:1 w=1 off #1",
            "",
        ),
        ("PROVIDER a tri://:1?methods=x%252Cy&Group=z&method=q", "a tri *:1 w=100 methods=x%2Cy left_out=2 #0", ""),
        ("PROVIDER a%20b tri://:1", "a b tri *:1 w=100 #0", ""),
        // what is wrong with one
        ("/other/a/providers/x=", "", "bad-path - #0"),
        ("//a=", "", "bad-path - #0"),
        ("/dubbo/a/providers/dubbo://10.0.0.1:1/a=", "", "bad-path - #0"),
        ("PROVIDER a 10.0.0.1:1", "", "bad-path - #0"),
        ("PROVIDER a tri://fd00::1:1", "", "bad-path - #0"),
        ("/dubbo/a/providers/tri%3A%2F%2F%FF= | PROVIDER a tri://:1", "a tri *:1 w=100 #1", "bad-path - #0"),
        ("PROVIDER a tri://:1?x=%FF", "", "bad-path - #0"),
        ("PROVIDER a tri://example.org:1/a", "", "bad-address ip #0"),
        ("PROVIDER a tri://10.0.0.1/a", "", "no-port port #0"),
        ("PROVIDER a tri://10.0.0.1:/a", "", "no-port port #0"),
        ("PROVIDER a tri://10.0.0.1:0/a", "", "bad-port port #0"),
        ("PROVIDER a tri://10.0.0.1:1/a?weight=x", "", "bad-weight weight #0"),
        ("PROVIDER  tri://10.0.0.1:1/a", "", "no-interface interface #0"),
        ("PROVIDER a tri://10.0.0.1:1/a?group=%00", "", "control-characters group #0"),
        ("PROVIDER a tri://10.0.0.1:1/a?version=token%3Dhunter2", "", "secret version #0"),
        // between fields
        (
            "port=1 | interface=a | PROVIDER b tri://:2 | group=g | /x= | interface=c",
            "a g=g rpc *:1 w=100 #1 | b tri *:2 w=100 #2 | c rpc *:1 w=100 #5",
            "bad-path - #4",
        ),
        ("zone=x | PROVIDER b tri://:2", "b tri *:2 w=100 #1", ""),
    ]);
}

#[test]
fn consumers() {
    for (elements, expected, told) in [
        (
            "CONSUMER a consumer://10.0.0.1/bean?interface=a.B&group=g&version=1&application=shop",
            "a.B g=g v=1 app=shop",
            "",
        ),
        ("CONSUMER a consumer://10.0.0.1/bean?version=0.0.0&group=", "a", ""),
        (
            "CONSUMER a consumer://h/x?timestamp=1 | CONSUMER a consumer://h/x?timestamp=2 | CONSUMER b consumer://h",
            "a | b",
            "",
        ),
        ("CONSUMER a consumer://h?application=token%3Dhunter2", "a", ""),
        ("CONSUMER a nothing", "", "bad-path"),
        ("CONSUMER  consumer://h", "", "no-interface"),
        ("CONSUMER a consumer://h?group=%07", "", "control-characters"),
        ("CONSUMER a consumer://h?interface=token%3Dhunter2", "", "secret"),
    ] {
        let shorts: Vec<String> = elements.split(" | ").map(String::from).collect();
        let decoded = decode_value(&value_of(&shorts).0);
        assert_eq!(decoded.registrations, [], "{elements}");
        assert_eq!(
            decoded.consumers.iter().map(shown_consumer).collect::<Vec<_>>().join(" | "),
            expected,
            "{elements}"
        );
        assert_eq!(
            problems(&decoded).iter().map(|problem| problem.0).collect::<Vec<_>>().join(" | "),
            told,
            "{elements}"
        );
    }
}
