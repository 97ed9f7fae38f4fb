//! Writes the corpora of all targets into `corpus`: the tests' data, in the targets' input formats.
//!
//! `cargo run --manifest-path fuzz/Cargo.toml --example seeds`

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/harness"]
mod harness {
    pub(crate) mod ask;
    pub(crate) mod cases;
    pub(crate) mod header;
}
#[path = "../../tests/pure/source_files/texts.rs"]
mod texts;

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::base::iana::{Class, Rtype};
use harness::ask::{Ask, Edns, flag};
use harness::cases;
use serde_json::{Value, json};

fn main() {
    write("query", queries());
    write("annotation", annotations());
    write("zone_file", zone_files());
    write("pod", bodies());
    write("manifest", manifests());
    write("state", states());
}

fn write(target: &str, seeds: Vec<Vec<u8>>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("{number:02}")), seed).expect("a file");
    }
    println!("{target}: {} seeds, {} bytes", seeds.len(), seeds.iter().map(Vec::len).sum::<usize>());
}

/// A name of each kind in the target's zone, with a type that it has, and one query for each way to ask.
fn queries() -> Vec<Vec<u8>> {
    const NAMES: [(&str, u16); 33] = [
        ("_rpc._tcp.a.b.default", 33),
        ("_tri._tcp.A.B.g--none.v-1-0.default", 16),
        ("_rpc._tcp.many.default", 33),
        ("_tri._tcp.many.default", 12),
        ("many.default", 1),
        ("dual.v-1-0.default", 28),
        ("a.b.g-g1.v--none.default", 33),
        ("d1-2._tri._tcp.dual.default", 16),
        ("_services._dns-sd._udp.dual.default", 12),
        ("b._dns-sd._udp.default", 12),
        ("_rpc._tcp.waits.default", 33),
        ("x-roj5ef7gfqkq2nsidracg0h94kcuj8ap.default", 33),
        ("fd00-0-0-0-0-0-0-1.p", 28),
        ("10-244-0-1.p", 1),
        ("d1.default.pod", 255),
        ("_tcp.many.default", 1),
        ("nobody.default", 1),
        ("dns-version", 16),
        ("ns", 1),
        ("", 6),
        (".", 2),
        ("1.0.244.10.in-addr.arpa.", 12),
        ("shop.example.", 2),
        ("chain.shop.example.", 1),
        ("pods.shop.example.", 33),
        ("away.shop.example.", 28),
        ("x.wild.shop.example.", 16),
        ("www.tree.shop.example.", 1),
        ("x.sub.shop.example.", 1),
        ("odd.shop.example.", 65280),
        ("_x._tcp.shop.example.", 33),
        ("nothing.shop.example.", 251),
        ("elsewhere.example.", 252),
    ];
    let whole = |name: &str| match name {
        "" => "rpc.cluster.local.".to_owned(),
        name if name.ends_with('.') => name.to_owned(),
        name => format!("{name}.rpc.cluster.local."),
    };
    let plain = NAMES.iter().map(|(name, rtype)| Ask::new(&whole(name), Rtype::from_int(*rtype)).to_wire());
    let edns = |size, options| Edns { size, flags: 0x8000, options, ..Edns::default() };
    let many = || Ask::new(&whole("_rpc._tcp.many.default"), Rtype::SRV);
    let ways = [
        many().flags(flag::RD | flag::CD | flag::AD | flag::Z),
        many().edns(512),
        many().edns(1232),
        many().edns(65535).flags(flag::RD),
        many().opt(edns(900, vec![(3, Vec::new()), (10, vec![7; 8])])),
        many().opt(edns(4096, vec![(10, vec![7; 24]), (12, vec![0; 40])])),
        many().opt(edns(512, vec![(10, vec![7; 5])])),
        many().opt(edns(512, vec![(11, Vec::new()), (8, vec![0, 1, 24, 0, 10, 0, 0])])),
        many().opt(Edns { version: 1, size: 1232, ..Edns::default() }),
        many().class(Class::CH),
        many().class(Class::ANY),
        many().flags(4 << 11),
        many().flags(5 << 11),
        many().flags(flag::QR),
    ];
    let mut signed = many().edns(1232).to_wire();
    signed[11] = 2;
    signed.extend(b"\x03KEY\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x1d\x0bHMAC-sha256\x00");
    signed.extend(b"\x00\x00\x00\x00\x00\x01\x01\x2c\x00\x00\x12\x34\x00\x00\x00\x00");
    let mut pointing = many().to_wire();
    pointing.truncate(12);
    pointing.extend(b"\xc0\x0c\x00\x21\x00\x01");
    plain.chain(ways.iter().map(Ask::to_wire)).chain([signed, pointing]).collect()
}

/// Values that dubbo-go wrote (`tests/fixtures`), encoded and as their JSON, and pairs of every field.
fn annotations() -> Vec<Vec<u8>> {
    let fixtures: Value =
        serde_json::from_str(include_str!("../../tests/fixtures/dubbo-go.json")).expect("the fixtures");
    let values = fixtures.as_array().into_iter().flatten().filter_map(|fixture| fixture["annotation"].as_str());
    let values: Vec<_> = values.map(|value| value.as_bytes().to_vec()).collect();
    let decoded = values.iter().map(|value| STANDARD.decode(value).expect("base64")).collect::<Vec<_>>();
    let pairs = [
        "application=hello zone=a interface=org.acme.Greeter group=gray version=1.0.0 protocol=tri port=50051 port=50052",
        "interface=a port=1 method=x method=y weight=0 interface=b port=2 methods=x,y enabled=false ip=::1",
        "interface=a port=1 ip=0.0.0.0 interface=a port=70000 interface= port=2 disabled=true",
        "port=1 interface=a interface=b port=-1 weight=7 weight=8 interface=c port=3 protocol=DUBBO",
        "interface=a port=1 db.password=x token=y note=a%3Dtoken%3Db url=jdbc://root:x@db/x pod=p",
        "Interface=A PORT=1 /dubbo/a/providers/tri%3A%2F%2F%5B%3A%3A1%5D%3A1%2Fa%3Finterface%3Da.B%26weight%3D0=",
    ];
    let pairs = pairs.map(|fields| {
        let pairs = fields.split(' ').filter_map(|field| field.split_once('=')).map(|(k, v)| json!({ "k": k, "v": v }));
        serde_json::to_vec(&pairs.collect::<Vec<_>>()).expect("JSON")
    });
    let odd = [
        r#"[{"k":"interface","v":"a"},{"k":"port","v":1},{"k":"x","v":true},{"k":"y","v":1.5},{"k":"z","v":null}]"#,
        r#"[{"v":"a","k":"interface","w":[{}]},7,{"k":"port"},{"k":"port","v":"1"}]"#,
        r#"[{"k":"inter\u0066ace","v":"\ud83d\ude00\u0000"},{"k":"port","v":"1"}"#,
        "{}",
    ];
    let odd = odd.map(|json| json.as_bytes().to_vec());
    let objects = [
        r#"{"interface":"a","group":"g","port":[1,"http"],"weight":"7","methods":["x"],"ip":"::1","enabled":false,"meta":{"zone":"a","api-token":"x"}}"#,
        r#"[{"k":"zone","v":"a"},{"interface":"a","prot":"x"},{"k":"interface","v":"b"},{"k":"port","v":1}]"#,
    ];
    let objects = objects.map(|json| json.as_bytes().to_vec());
    values.into_iter().chain(decoded).chain(pairs).chain(odd).chain(objects).chain(pods()).collect()
}

/// The Pods of `tests/fixtures/registrars.json`, each with the number of its preset, or with its table.
fn pods() -> Vec<Vec<u8>> {
    let cases: Value =
        serde_json::from_str(include_str!("../../tests/fixtures/registrars.json")).expect("the fixtures");
    let which = |profile: &Value| match profile.as_str().or(profile["encoding"].as_str()) {
        Some("app") => 0,
        Some("kratos") => 2,
        Some("micro") => 3,
        Some("labels") => 4,
        Some("keys" | "dubbo3") => 5,
        other => panic!("{other:?} has no number"),
    };
    let record = |kind: &str, key: &str, value: &str| format!("{kind}{key}\x1f{value}");
    let pairs = |kind: &str, pairs: &Value| -> Vec<String> {
        let pairs = pairs.as_object().into_iter().flatten();
        let texts = |value: &Value| -> Vec<String> {
            let texts = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            texts.iter().map(|text| text.as_str().unwrap_or_default().to_owned()).collect()
        };
        pairs
            .flat_map(|(key, value)| texts(value).into_iter().map(|text| record(kind, key, &text)).collect::<Vec<_>>())
            .collect()
    };
    let pod = |case: &Value| {
        let mut records = [("t", "profile"), ("l", "labels"), ("a", "annotations")]
            .map(|(kind, member)| pairs(kind, &case[member]))
            .concat();
        let ports = case["ports"].as_array().into_iter().flatten();
        records
            .extend(ports.map(|port| {
                record("p", port["name"].as_str().unwrap_or_default(), &port["containerPort"].to_string())
            }));
        [&[which(&case["profile"])], records.join("\x1e").as_bytes()].concat()
    };
    cases.as_array().expect("an array").iter().map(pod).collect()
}

/// The example of `zones`, and one file for each valid and each invalid element of a master file.
fn zone_files() -> Vec<Vec<u8>> {
    const SOA: &str = "$TTL 60\n@ SOA ns admin 1 7200 1800 86400 5\n@ NS ns\nns A 192.0.2.1\n";
    const LINES: [&str; 30] = [
        "www AAAA 2001:db8::1\n    A 192.0.2.2",
        "alias CNAME www\nloop CNAME pool\npool CNAME loop",
        "*.wild TXT \"any\" \"two\"\n*.wild A 192.0.2.1",
        "tree DNAME example.net.",
        "sub NS ns.sub\nns.sub A 192.0.2.3\nsub NS ns",
        "odd TYPE65280 \\# 3 010203",
        "a TYPE1 \\# 4 c0000201",
        "mail MX 10 www\nmail MX 20 @",
        "_x._tcp SRV 1 2 3 www",
        "$ORIGIN deep.er\nname A 192.0.2.9\n@ A 192.0.2.8",
        "$ORIGIN example.net.\nname A 192.0.2.9",
        "$INCLUDE other",
        "$INCLUDE included deep\nx A 192.0.2.7",
        "$GENERATE 1-20/3 h${2,3,x} 1h CNAME www",
        "$GENERATE 0-9 ${0,3,n} MX \"1$ mail$\"",
        "$TTL 1w2d\nx 1H30M A 192.0.2.1\n@ 5 SOA ns admin 1 2h 30m 1d 5",
        "x LOC 37 46 30.5 N 122 23 30 W 10m 1m\nx APL 1:192.0.2.0/24 !2:2001:db8::/32",
        "x CERT PKIX 1 RSASHA256 AA==\nx CSYNC 66 3 A NS\nx NID 10 14:4fff:ff20:ee64\nx URI 1 2 \"ftp://x/\"",
        "t TXT ( \"over\" ; a comment\n  \"lines\" )",
        "t TXT ( \"open\"",
        "e\\046scaped\\000 A 192.0.2.4",
        "x 3600 IN A 192.0.2.5\nx IN 60 A 192.0.2.6",
        "x CH A 192.0.2.5",
        "x RRSIG A 8 2 60 20300101000000 20200101000000 1 z. AAAA",
        "x CAA 0 issue \"ca.example\"\nx SSHFP 1 1 0123456789abcdef0123456789abcdef01234567",
        "x HTTPS 1 . alpn=h2 port=443\ny SVCB 0 www",
        "x NAPTR 1 2 \"u\" \"E2U+sip\" \"!^.*$!sip:info@example.com!\" .",
        "x DS 1 8 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF",
        "X A 192.0.2.1\nx a 192.0.2.1\nx A 192.0.2.2",
        "x PTR @\nx HINFO \"a\" \"b\"\nx TXT \"\"",
    ];
    let example = include_bytes!("../../zones/db.example.zone").to_vec();
    let overlay =
        b"@ SOA ns.example.net. me.example.net. 1 2 3 4 5\nwww A 192.0.2.1\na.b.default A 192.0.2.2\n".to_vec();
    let lines = LINES.map(|lines| format!("{SOA}{lines}\n").into_bytes());
    [example, overlay].into_iter().chain(lines).collect()
}

/// What the target reads: how the stream is cut, the most bytes of a document, and the stream.
fn manifests() -> Vec<Vec<u8>> {
    let streams = texts::streams().into_iter().map(|(_, text, ..)| text).chain(texts::broken());
    let refused = cases::REFUSED.iter().map(|(place, fragment, _)| cases::with(place, fragment));
    let taken = cases::TAKEN.iter().map(|(place, fragment)| cases::with(place, fragment));
    let pods: Vec<String> = refused.chain(taken).collect();
    let pods = pods.chunks(8).map(|pods| pods.join("---\n"));
    let example = include_str!("../../zones/demo/shop.yaml").to_owned();
    let utf16 = "\u{feff}kind: Pod\r\nmetadata: {name: p}\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let texts = streams.chain(pods).chain([example]).map(String::into_bytes).chain([utf16]);
    texts.map(|text| [&[40, 100], text.as_slice()].concat()).collect()
}

/// Lists and watches of one Pod with every field that callsign reads, and the unusual ends that a server may send.
fn bodies() -> Vec<Vec<u8>> {
    let annotation = "W3siayI6ImludGVyZmFjZSIsInYiOiJhLkIifSx7ImsiOiJwb3J0IiwidiI6IjEifV0=";
    let pod = json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": "a-0", "namespace": "default", "uid": "u1", "resourceVersion": "7",
            "labels": { "app.io/label": "app.io-value" }, "annotations": { "app.io/annotation": annotation, "b": "c" },
        },
        "spec": { "hostNetwork": true, "containers": [{ "name": "\"{[\\" }] },
        "status": {
            "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }], "podIP": "10.0.0.1",
            "podIPs": [{ "ip": "10.0.0.1" }, { "ip": "fd00::1" }], "hostIP": "10.1.0.1",
            "hostIPs": [{ "ip": "10.1.0.1" }], "startTime": "2024-01-01T00:00:00Z",
        },
    });
    let mut ending = pod.clone();
    ending["metadata"]["deletionTimestamp"] = json!("2024-01-01T00:00:01Z");
    let bookmark = json!({ "kind": "Pod", "metadata": { "resourceVersion": "9", "annotations": { "k8s.io/initial-events-end": "true" } } });
    let status = json!({ "kind": "Status", "code": 410, "reason": "Expired", "message": "too old" });
    let event = |kind: &str, object: &Value| json!({ "type": kind, "object": object }).to_string();
    let list = |more: &str, items: &[&Value]| {
        json!({ "kind": "PodList", "metadata": { "resourceVersion": "7", "continue": more }, "items": items })
            .to_string()
    };
    let watches = [
        event("ADDED", &pod)
            + "\n"
            + &event("MODIFIED", &ending)
            + &event("DELETED", &ending)
            + &event("BOOKMARK", &bookmark),
        event("ERROR", &status),
        status.to_string(),
        event("ADDED", &json!(7)) + "[]{\"type\":\"RENAMED\"}",
    ];
    let lists = [
        list("", &[&pod, &ending]),
        list("next", &[]),
        list("", &[&json!(7), &json!([]), &json!("}]"), &pod]),
        "{\"items\":null,\"metadata\":{}}".to_owned(),
        status.to_string(),
    ];
    let json = |kind, bodies: &[String]| bodies.iter().map(|body| input(kind, body.as_bytes())).collect::<Vec<_>>();
    let added = frame(&[field(1, b"ADDED"), field(2, &field(1, &wrapped("Pod", &message(annotation))))].concat());
    let marked = [field(1, b"k8s.io/initial-events-end"), field(2, b"true")].concat();
    let marked = field(1, &[field(6, b"9"), field(12, &marked)].concat());
    let bookmark = frame(&[field(1, b"BOOKMARK"), field(2, &field(1, &wrapped("Pod", &marked)))].concat());
    let gone = [field(3, b"too old"), field(4, b"Expired"), vec![6 << 3, 0x9a, 3]].concat();
    let error = frame(&[field(1, b"ERROR"), field(2, &field(1, &wrapped("Status", &gone)))].concat());
    let items =
        [field(1, &[field(2, b"7"), field(3, b"next")].concat()), field(2, &message(annotation)), field(2, b"\xff")];
    let protobuf = [
        input(1, &[added.as_slice(), &bookmark, &error].concat()),
        input(1, &wrapped("Status", &gone)),
        input(3, &wrapped("PodList", &items.concat())),
        input(3, &wrapped("Status", &gone)),
    ];
    json(0, &watches).into_iter().chain(json(2, &lists)).chain(protobuf).collect()
}

/// The target's input: the kind of body, the cut, the body.
fn input(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 40], body].concat()
}

/// The same Pod in protobuf, by the field numbers of the API's `generated.proto`.
fn message(annotation: &str) -> Vec<u8> {
    let entry = [field(1, b"app.io/annotation"), field(2, annotation.as_bytes())].concat();
    let metadata =
        [field(1, b"a-0"), field(3, b"default"), field(5, b"u1"), field(6, b"7"), field(12, &entry)].concat();
    let ready = [field(1, b"Ready"), field(2, b"True")].concat();
    let address = |ip: &str| field(1, ip.as_bytes());
    let status = [
        field(1, b"Running"),
        field(2, &ready),
        field(5, b"10.1.0.1"),
        field(6, b"10.0.0.1"),
        field(7, &[1 << 3, 0x80, 0x0a]),
        field(12, &address("10.0.0.1")),
        field(12, &address("fd00::1")),
        field(16, &address("10.1.0.1")),
    ];
    [field(1, &metadata), field(2, &[11 << 3, 1]), field(3, &status.concat())].concat()
}

fn wrapped(kind: &str, message: &[u8]) -> Vec<u8> {
    let type_meta = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
    [b"k8s\0".as_slice(), &field(1, &type_meta), &field(2, message)].concat()
}

fn frame(event: &[u8]) -> Vec<u8> {
    [(event.len() as u32).to_be_bytes().as_slice(), event].concat()
}

/// A field of bytes, fewer than 16,384.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let tag = u16::from(number) << 3 | 2;
    let short =
        |value: usize| if value < 128 { vec![value as u8] } else { vec![value as u8 | 0x80, (value >> 7) as u8] };
    [short(usize::from(tag)), short(value.len()), value.to_vec()].concat()
}

/// Files, contents of files, and changes to a valid file: the target's three kinds of input.
fn states() -> Vec<Vec<u8>> {
    let head = r#"{"format":"callsign-state","version":1,"zone":"rpc.cluster.local.","sources":["test/app/*"],"serial":1,"heard_at":1700000000}"#;
    let files = [
        format!("{head}\n"),
        head.replace("\"version\":1", "\"version\":2") + "\n",
        head.replace("rpc.cluster.local.", "other.") + "\n",
        head.replace("1700000000", "1") + "\n",
        "{}".to_owned(),
    ];
    let pod = json!({ "pod": {
        "cluster": "test", "namespace": "default", "name": "a", "uid": "u1", "phase": "Running", "ready": true,
        "pod_ips": ["10.0.0.1", "fd00::1"], "start_time": 1,
        "offers": [["app", [{ "k": "interface", "v": "a.B" }, { "k": "port", "v": "1" }, { "k": "zone", "v": "x" }]]],
    } });
    let mut other = pod.clone();
    other["pod"]["uid"] = json!("u2");
    other["pod"]["host_network"] = json!(true);
    let contents = [
        "{\"end\":0}".to_owned(),
        format!("{pod}\n{{\"end\":1}}"),
        format!("{pod}\n{other}\n{{\"end\":2}}"),
        format!("{pod}\n{pod}\n{{\"end\":2}}"),
        format!("{pod}\n{{\"end\":2}}"),
        format!("{pod}\n{{\"end\":1}}\n{{}}"),
        format!("{pod}\n"),
    ];
    let changes: [&[u8]; 5] = [&[], &[0, 20, b'x'], &[0, 200, 0, 1, 0, 255], &[9], &[0, 165, 0, 0, 166, 0, 4]];
    let of_kind = |kind: u8, rest: &[u8]| [&[kind], rest].concat();
    let files = files.iter().map(|file| of_kind(0, file.as_bytes()));
    let contents = contents.iter().map(|content| of_kind(1, content.as_bytes()));
    files.chain(contents).chain(changes.iter().map(|changes| of_kind(2, changes))).collect()
}
