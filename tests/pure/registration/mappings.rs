//! What others write: mappings from a configuration, and the registrars with a decoder of their own.

use callsign::registration::{ContainerPort, Decoded, Encoding, PRESETS, ProfileTable, ProfileText, decode};
use callsign::source::selector::LabelSelector;

use super::{problems, shown, shown_pairs};

/// A table of a configuration.
fn table(text: &str) -> ProfileTable {
    toml::from_str(text).unwrap()
}

/// The encoding `keys` with these keys of a mapping.
fn keys(text: &str) -> Encoding {
    Encoding::parse(&table(&format!("encoding = 'keys'\n{text}"))).unwrap()
}

fn preset(name: &str) -> Encoding {
    PRESETS.iter().find(|preset| preset.name == name).unwrap().encoding()
}

/// What a Pod registers that has these labels and annotations, and these TCP container ports: `name=number`.
fn read(encoding: &Encoding, labels: &[(&str, &str)], annotations: &[(&str, &str)], ports: &str) -> Decoded {
    let port = |text: &str| {
        let (name, number) = text.split_once('=').unwrap();
        ContainerPort { name: name.into(), number: number.parse().unwrap() }
    };
    let ports = ports.split(' ').filter(|text| !text.is_empty()).map(port);
    let text = ProfileText::of(None, &encoding.wanted(), labels.iter().copied(), annotations.iter().copied(), ports);
    decode(&text, encoding)
}

fn registrations(decoded: &Decoded) -> String {
    decoded.registrations.iter().map(|one| shown(one, &[])).collect::<Vec<_>>().join(" | ")
}

fn told(decoded: &Decoded) -> String {
    let problem = |(reason, key, _): (&str, Option<String>, usize)| format!("{reason} {}", key.unwrap_or("-".into()));
    problems(decoded).into_iter().map(problem).collect::<Vec<_>>().join(" | ")
}

#[test]
fn a_mapping_reads_what_it_names() {
    const PORTS: &str = "http=8080 grpc=9000 =7000";
    for (mapping, registered, problem) in [
        ("interface = '=x'\nport = '=1'", "x rpc *:1 w=100", ""),
        ("interface = 'label:l'\nport = '=1'", "L rpc *:1 w=100", ""),
        ("interface = 'annotation:example.com/a'\nport = '=1'", "A rpc *:1 w=100", ""),
        ("interface = 'label:none'\nport = 'port:none'", "", ""),
        ("interface = 'label:empty'", "", ""),
        (
            "interface = '=x'\ngroup = '=g'\nversion = 'label:l'\nprotocol = '=tri'\nport = '=1'\nweight = 'label:n'\napplication = '=shop'",
            "x g=g v=L tri *:1 w=7 app=shop",
            "",
        ),
        ("interface = '=x'\ngroup = 'label:empty'\nversion = 'label:none'\nport = '=1'", "x rpc *:1 w=100", ""),
        ("interface = '=x'\nport = '=8080'", "x http *:8080 w=100", ""),
        ("interface = '=x'\nport = '=grpc'", "x grpc *:9000 w=100", ""),
        ("interface = '=x'\nport = 'port:grpc'", "x grpc *:9000 w=100", ""),
        ("interface = '=x'\nport = 'port:grpc'\nprotocol = '=h2'", "x h2 *:9000 w=100", ""),
        ("interface = '=x'\nport = 'label:port'", "x grpc *:9000 w=100", ""),
        ("interface = '=x'\nport = 'label:n'", "x rpc *:7 w=100", ""),
        ("interface = '=x'\nport = 'port:*'", "x http *:8080 w=100 | x grpc *:9000 w=100", ""),
        ("interface = '=x'\nprotocol = '=http'", "x http *:8080 w=100", ""),
        ("interface = '=x'\nport = 'label:none'\nprotocol = '=http'", "x http *:8080 w=100", ""),
        ("interface = '=x'", "", "no-port container ports"),
        ("interface = '=x'\nprotocol = '=ftp'", "", "no-port container ports"),
        ("interface = '=x'\nports = 'annotation:none'", "", "no-port annotation none"),
        ("interface = '=x'\nport = 'port:admin'", "", "bad-port port admin"),
        ("interface = '=x'\nport = 'label:l'", "", "bad-port label l"),
        ("interface = '=x'\nport = 'annotation:none'", "", "no-port annotation none"),
        ("interface = '=x'\nport = '=1'\nweight = 'label:l'", "", "bad-weight label l"),
        ("interface = '=x'\nport = '=1'\ngroup = 'annotation:secret'", "", "secret annotation secret"),
        ("interface = '=x'\nports = 'annotation:map'", "x tri *:1 w=100 | x grpc *:9000 w=100", ""),
        ("interface = '=x'\nports = 'annotation:bad'\nport = '=1'", "", "bad-json annotation bad"),
        ("interface = '=x'\nports = 'annotation:none'\nport = '=1'", "x rpc *:1 w=100", ""),
        (
            "interface = '=x'\nports = 'annotation:names'",
            "x http *:8080 w=100 | x tri *:9000 w=100",
            "bad-port annotation names",
        ),
        (
            "interface = '=x'\nports = 'annotation:secrets'\nprotocol = 'annotation:none'",
            "x tri *:1 w=100",
            "secret annotation secrets",
        ),
        ("interface = '=x'\nport = '=1'\nmetadata = ['annotation:bad']", "x rpc *:1 w=100", "bad-json annotation bad"),
    ] {
        let labels = [("l", "L"), ("n", "7"), ("port", "grpc"), ("empty", "")];
        let annotations = [
            ("example.com/a", "A"),
            ("map", r#"{"9000":"","1":"tri"}"#),
            ("names", r#"{"grpc":"tri","http":"","admin":"tri"}"#),
            ("secrets", r#"{"1":"tri","2":"token=hunter2"}"#),
            ("bad", "{\"1\":"),
            ("secret", "a?token=hunter2"),
        ];
        let decoded = read(&keys(mapping), &labels, &annotations, PORTS);
        assert_eq!((registrations(&decoded).as_str(), told(&decoded).as_str()), (registered, problem), "{mapping}");
        assert!(!format!("{decoded:?}").contains("hunter2"));
    }
}

#[test]
fn metadata_of_a_mapping() {
    let encoding = keys("interface = '=x'\nport = '=1'\nmetadata = ['annotation:json', 'prefix:example.com/meta-']");
    let annotations = [
        ("json", r#"{"zone":"a","api-token":"hunter2","weight":"30","list":[1]}"#),
        ("example.com/meta-region", "eu"),
        ("example.com/meta-", "x"),
        ("example.com/meta-version", "1"),
        ("example.com/other", "x"),
    ];
    let decoded = read(&encoding, &[], &annotations, "");
    let [one] = &decoded.registrations[..] else { panic!("{decoded:?}") };
    assert_eq!((shown_pairs(one).join(" ").as_str(), one.weight), ("region=eu weight=30 zone=a", 30));
    assert_eq!((one.metadata.withheld, one.metadata.left_out), (1, 3), "the list, the empty key, and one of ours");
    assert_eq!(told(&decoded), "");
}

#[test]
fn a_mistake_in_a_mapping_names_the_key() {
    for (table_text, key) in [
        ("", "interface"),
        ("interface = 'x'", "interface"),
        ("interface = '='", "interface"),
        ("interface = 'label:'", "interface"),
        ("interface = 'label:a b'", "interface"),
        ("interface = 'label:Example.com/a'", "interface"),
        ("interface = 'label:a/b/c'", "interface"),
        ("interface = 'prefix:a-'", "interface"),
        ("interface = '= '", "interface"),
        ("interface = \"=\\t\"", "interface"),
        ("interface = \"=a\\nb\"", "interface"),
        ("interface = '=a?token=x'", "interface"),
        ("interface = '=x'\ngroup = 'port:http'", "group"),
        ("interface = '=x'\nversion = 'annotation:'", "version"),
        ("interface = '=x'\nprotocol = 'grpc'", "protocol"),
        ("interface = '=x'\nport = '8080'", "port"),
        ("interface = '=x'\nport = '=0'", "port"),
        ("interface = '=x'\nport = '=70000'", "port"),
        ("interface = '=x'\nport = 'port:8080'", "port"),
        ("interface = '=x'\nport = 'port:HTTP'", "port"),
        ("interface = '=x'\nport = 'port:'", "port"),
        ("interface = '=x'\nports = 'label:a'", "ports"),
        ("interface = '=x'\nweight = '=x'", "weight"),
        ("interface = '=x'\napplication = 'x'", "application"),
        ("interface = '=x'\nmetadata = ['label:a']", "metadata"),
        ("interface = '=x'\nmetadata = ['annotation:a', 'prefix:']", "metadata"),
        ("interface = '=x'\nmetadata = ['prefix:/a']", "metadata"),
    ] {
        let error = Encoding::parse(&table(&format!("encoding = 'keys'\n{table_text}"))).unwrap_err();
        assert_eq!(error.key, key, "{table_text}");
        assert!(error.to_string().starts_with(&format!("`{key}`: ")) && !error.message.contains("token=x"), "{error}");
    }
    let group = Encoding::parse(&table("encoding = 'keys'\ninterface = '=x'\ngroup = 'gray'")).unwrap_err();
    assert_eq!(group.to_string(), "`group`: write `=TEXT`, `label:KEY` or `annotation:KEY`");
}

#[test]
fn a_key_of_another_encoding_is_a_mistake() {
    let (none, interface) = (ProfileTable::default(), table("interface = '=x'"));
    let port = table("interface = '=x'\nport = '=1'");
    let parse = |encoding: Option<&str>, annotation: Option<&str>, plain, mapping: &ProfileTable| {
        let (encoding, annotation) = (encoding.map(str::to_owned), annotation.map(str::to_owned));
        Encoding::parse(&ProfileTable { encoding, annotation, plain, ..mapping.clone() }).map_err(|error| error.key)
    };
    assert_eq!(parse(None, Some("a"), false, &none), Ok(Encoding::Pairs { plain: None }));
    let plain = Encoding::Pairs { plain: Some("example.com/".into()) };
    assert_eq!(parse(Some("pairs"), Some("example.com/a"), true, &none), Ok(plain));
    assert_eq!(parse(Some("kratos"), None, false, &none), Ok(Encoding::Kratos));
    assert_eq!(parse(Some("micro"), None, false, &none), Ok(Encoding::Micro));
    assert!(matches!(parse(Some("dubbo3"), None, false, &interface), Ok(Encoding::Dubbo3(_))));
    for (name, annotation, is_plain, table, key) in [
        (None, None, false, &none, "annotation"),
        (None, Some("a b"), false, &none, "annotation"),
        (None, Some("a"), true, &none, "annotation"),
        (None, Some("a"), false, &interface, "interface"),
        (Some("keys"), Some("a"), false, &interface, "annotation"),
        (Some("keys"), None, true, &interface, "plain"),
        (Some("kratos"), None, false, &interface, "interface"),
        (Some("micro"), None, false, &port, "interface"),
        (Some("dubbo3"), None, false, &none, "interface"),
        (Some("dubbo3"), None, false, &port, "port"),
        (Some("yaml"), None, false, &none, "encoding"),
    ] {
        assert_eq!(parse(name, annotation, is_plain, table), Err(key), "{name:?}");
    }
}

#[test]
fn presets() {
    let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
    assert_eq!(names, ["app", "dubbo", "kratos", "micro", "labels"]);
    for preset in PRESETS {
        preset.selector.parse::<LabelSelector>().unwrap();
        let is_pairs = matches!(preset.encoding(), Encoding::Pairs { .. });
        assert_eq!(preset.annotation.is_some(), is_pairs, "{}", preset.name);
    }
    let written = "interface = 'label:app.kubernetes.io/name'\ngroup = 'label:app.kubernetes.io/instance'\n\
                   version = 'label:app.kubernetes.io/version'\nport = 'port:*'";
    assert_eq!(preset("labels"), keys(written), "the preset is what a table can say");
}

#[test]
fn kratos() {
    let app = [("kratos-service-app", "a"), ("kratos-service-version", "1")];
    for (labels, protocols, metadata, ports, registered, problem) in [
        (&app[..], r#"{"2":"grpc","10":"http"}"#, "null", "", "a v=1 grpc *:2 w=100 | a v=1 http *:10 w=100", ""),
        (&app, "{\"2\": \"grpc\"}\n", "{}", "", "a v=1 grpc *:2 w=100", ""),
        (&app, r#"{"2":""}"#, "{}", "http-api=2", "a v=1 http *:2 w=100", ""),
        (&app, "{}", "{}", "http-api=2 http=2 =3", "a v=1 http *:2 w=100", ""),
        (&app, "null", "{}", "http=2", "a v=1 http *:2 w=100", ""),
        (&app, "[]", "{}", "http=2", "a v=1 http *:2 w=100", ""),
        (&app, "", "{}", "=2", "", "no-port port *"),
        (
            &app,
            r#"{"0":"grpc","x":"tri","3":"http"}"#,
            "{}",
            "",
            "a v=1 http *:3 w=100",
            "bad-port annotation kratos-service-protocols",
        ),
        (&app, r#"{"http":"h2c"}"#, "{}", "http=2", "a v=1 h2c *:2 w=100", ""),
        (&app, r#"{"2":"x?token=hunter2"}"#, "{}", "", "", "secret annotation kratos-service-protocols"),
        (&app, r#"{"3":{}}"#, "{}", "", "", "bad-json annotation kratos-service-protocols"),
        (&app, r#"["http"]"#, "{}", "http=2", "", "bad-json annotation kratos-service-protocols"),
        (&app, "http", "{}", "http=2", "", "bad-json annotation kratos-service-protocols"),
        (&app, r#"{"2":"grpc"}"#, "{", "", "a v=1 grpc *:2 w=100", "bad-json annotation kratos-service-metadata"),
        (&app, r#"{"2":"grpc"}"#, r#"{"weight":"0"}"#, "", "a v=1 grpc *:2 w=1 off", ""),
        (&app, r#"{"2":"grpc"}"#, r#"{"weight":"x"}"#, "", "a v=1 grpc *:2 w=100 left_out=1", ""),
        (&app, r#"{"2":"grpc"}"#, r#"{"weight":"+5"}"#, "", "a v=1 grpc *:2 w=5", ""),
        (&app, r#"{"2":"grpc"}"#, r#"{"weight":"-5"}"#, "", "a v=1 grpc *:2 w=1", ""),
        (&app, r#"{"2":"grpc"}"#, r#"{"weight":"-0"}"#, "", "a v=1 grpc *:2 w=1 off", ""),
        (&app, r#"{"2":"grpc"}"#, r#"{"weight":"+70000"}"#, "", "a v=1 grpc *:2 w=65535", ""),
        (&app, r#"{"2":"grpc"}"#, r#"{"weight":"-"}"#, "", "a v=1 grpc *:2 w=100 left_out=1", ""),
        (&app, r#"{"2":"grpc"}"#, r#"{"weight":"+-5"}"#, "", "a v=1 grpc *:2 w=100 left_out=1", ""),
        (&app, r#"{"2":"grpc"}"#, r#"{"weight":"1.5"}"#, "", "a v=1 grpc *:2 w=100 left_out=1", ""),
        (&app, r#"{"2":"grpc"}"#, r#"{"api-token":"hunter2"}"#, "", "a v=1 grpc *:2 w=100 withheld=1", ""),
        (&[("kratos-service-app", "")], "{", "{", "http=2", "", ""),
        (&[], "{", "{", "http=2", "", ""),
    ] {
        let annotations = [("kratos-service-protocols", protocols), ("kratos-service-metadata", metadata)];
        let decoded = read(&preset("kratos"), labels, &annotations, ports);
        assert_eq!((registrations(&decoded).as_str(), told(&decoded).as_str()), (registered, problem), "{protocols}");
    }
}

/// The advice is nothing that the encoding would not read.
#[test]
fn a_problem_with_a_port_says_what_would_be_right() {
    let dubbo3 = Encoding::parse(&table("encoding = 'dubbo3'\ninterface = '=x'")).unwrap();
    let mapping = |text: &str| keys(&format!("interface = '=x'\n{text}"));
    let name = "port is not a number from 1 to 65535, and no TCP container port has this name";
    let standing = "the Pod needs a TCP container port that is called as the protocol, or one port number alone";
    for (encoding, annotation, message) in [
        (
            preset("micro"),
            ("micro.mu/service-a", r#"{"name":"a","nodes":[{"address":"10.0.0.1"}]}"#),
            "no port: write one into its JSON",
        ),
        (
            preset("micro"),
            ("micro.mu/service-a", r#"{"name":"a","nodes":[{"address":":http"}]}"#),
            "port is not a number from 1 to 65535",
        ),
        (dubbo3.clone(), ("io.dubbo/metadata", "{}"), "no port: write one into its JSON"),
        (
            dubbo3,
            ("io.dubbo/metadata", r#"{"dubbo.endpoints":"[{\"port\":\"http\"}]"}"#),
            "port is not a number from 1 to 65535",
        ),
        (mapping("ports = 'annotation:map'"), ("map", "{}"), "no port: write one into its JSON"),
        (mapping("ports = 'annotation:map'"), ("map", r#"{"admin":"tri"}"#), name),
        (mapping("port = 'annotation:map'"), ("map", "admin"), name),
        (
            mapping("port = 'annotation:map'"),
            ("map", ""),
            "no port: write a number from 1 to 65535 or the name of a container port",
        ),
        (mapping(""), ("map", ""), &format!("no port: {standing}")),
    ] {
        let decoded = read(&encoding, &[], &[annotation], "http=80 grpc=81");
        let [problem] = &decoded.problems[..] else { panic!("{annotation:?}: {decoded:?}") };
        let told = problem.reason.about(problem.key.as_ref());
        let (_, told) = told.split_once(": ").unwrap();
        assert_eq!(told, message, "{annotation:?}");
    }
}

/// A cluster's charts have many of them.
#[test]
fn a_pod_without_a_named_port_is_shown_and_not_logged() {
    let name = [("app.kubernetes.io/name", "a")];
    let is_logged = |encoding: &Encoding, labels: &[(&str, &str)]| {
        let decoded = read(encoding, labels, &[], "=1");
        let [problem] = &decoded.problems[..] else { panic!("{decoded:?}") };
        (problem.reason.about(problem.key.as_ref()), problem.reason.is_logged(problem.key.as_ref()))
    };
    assert_eq!(is_logged(&preset("labels"), &name), ("no port: no TCP container port has a name".to_owned(), false));
    let named = keys("interface = '=x'\nport = 'port:http'");
    assert!(is_logged(&named, &[]).1);
}

/// A map's members come in another order each time.
#[test]
fn the_order_of_a_map_changes_nothing() {
    let read = |protocols: &str| {
        let annotations = [("kratos-service-protocols", protocols)];
        read(&preset("kratos"), &[("kratos-service-app", "a")], &annotations, "").registrations
    };
    let (one, other) = (read(r#"{"2":"grpc","10":"http"}"#), read(r#"{"10":"http","2":"grpc"}"#));
    assert_eq!((one.len(), &one), (2, &other));
}

#[test]
fn micro() {
    for (service, registered, pairs, problem) in [
        (
            r#"{"name":"a","version":"1","metadata":{"team":"x","zone":"s"},"endpoints":[{"name":"A.B"},{"name":"A.C"}],"nodes":[{"id":"a-1","address":"10.0.0.1:80","metadata":{"protocol":"grpc","zone":"n"}}]}"#,
            "a v=1 grpc 10.0.0.1:80 w=100 methods=A.B,A.C",
            "team=x zone=n",
            "",
        ),
        // go-micro 1.0
        (
            r#"{"name":"a","nodes":[{"id":"a-1","address":"10.0.0.1","port":8080}]}"#,
            "a rpc 10.0.0.1:8080 w=100",
            "",
            "",
        ),
        (r#"{"name":"a","nodes":[{"address":"10.0.0.1:80","port":0}]}"#, "a rpc 10.0.0.1:80 w=100", "", ""),
        (
            r#"{"name":"a","nodes":[{"address":"[fd00::1]:80"},{"address":":81"},{"address":"[::]:82"}]}"#,
            "a rpc fd00::1:80 w=100 | a rpc *:81 w=100 | a rpc *:82 w=100",
            "",
            "",
        ),
        (
            r#"{"name":"a","metadata":{"weight":"30"},"nodes":[{"address":":1"},{"address":":2","metadata":{"weight":"7"}}]}"#,
            "a rpc *:1 w=30 | a rpc *:2 w=7",
            "weight=30 weight=7",
            "",
        ),
        (
            r#"{"name":"a","nodes":[{"address":":1","metadata":{"weight":"heavy"}}]}"#,
            "a rpc *:1 w=100 left_out=1",
            "",
            "",
        ),
        (
            r#"{"name":"a","nodes":[{"address":":1","metadata":{"api-token":"hunter2"}}]}"#,
            "a rpc *:1 w=100 withheld=1",
            "",
            "",
        ),
        (r#"{"name":"a","nodes":[{"address":"host:1"},{"address":":2"}]}"#, "a rpc *:2 w=100", "", "bad-address"),
        (r#"{"name":"a","nodes":[{"address":"10.0.0.1"}]}"#, "", "", "no-port"),
        (r#"{"name":"a","nodes":[{"address":"10.0.0.1:x"}]}"#, "", "", "bad-port"),
        (r#"{"name":"a","nodes":[7,{"address":":2"}]}"#, "a rpc *:2 w=100", "", "bad-json"),
        (r#"{"name":"a","nodes":null}"#, "", "", ""),
        (r#"{"name":"a"}"#, "", "", ""),
        (r#"{"name":"","nodes":[{"address":":1"}]}"#, "", "", "no-interface"),
        (r#"{"name":"a","nodes":[{"#, "", "", "bad-json"),
        ("[]", "", "", "bad-json"),
        ("", "", "", "bad-json"),
    ] {
        let decoded =
            read(&preset("micro"), &[], &[("micro.mu/service-a", service), ("micro.mu/other", "x")], "http=1");
        let of_key = |told: String| told.replace(" annotation micro.mu/service-a", "");
        let read: Vec<String> = decoded.registrations.iter().flat_map(shown_pairs).collect();
        let told = of_key(told(&decoded));
        assert_eq!((registrations(&decoded).as_str(), told.as_str()), (registered, problem), "{service}");
        assert_eq!(read.join(" "), pairs, "{service}");
    }
}

#[test]
fn dubbo3() {
    let encoding = Encoding::parse(&table("encoding = 'dubbo3'\ninterface = 'label:app'\ngroup = '=g'")).unwrap();
    let app = [("app", "a")];
    for (labels, instance, registered, problem) in [
        (
            &app[..],
            r#"{"dubbo.endpoints":"[{\"port\":2,\"protocol\":\"tri\"},{\"port\":1,\"protocol\":\"dubbo\"}]"}"#,
            "a g=g dubbo *:1 w=100 | a g=g tri *:2 w=100",
            "",
        ),
        (&app, r#"{"dubbo.endpoints":"[{\"port\":2}]","weight":"7"}"#, "a g=g rpc *:2 w=7", ""),
        (&app, r#"{"dubbo.endpoints":"[{\"port\":0},{\"port\":2}]"}"#, "a g=g rpc *:2 w=100", "bad-port"),
        (&app, r#"{"dubbo.endpoints":"[{]","a":"b"}"#, "", "bad-json"),
        (&app, r#"{"dubbo.endpoints":"{}"}"#, "", "bad-json"),
        (&app, r#"{"dubbo.endpoints":"[{\"port\":2,\"protocol\":\"x?token=hunter2\"}]"}"#, "", "secret"),
        (&app, r#"{"dubbo.endpoints":"[{\"port\":\"http\"}]"}"#, "", "bad-port"),
        (&app, r#"{"meta-v":"2.0.0"}"#, "", "no-port"),
        (
            &app,
            r#"{"dubbo.metadata-service.url-params":"{\"token\":\"hunter2\"}","dubbo.endpoints":"[{\"port\":2}]"}"#,
            "a g=g rpc *:2 w=100 withheld=1",
            "",
        ),
        (&app, "{", "", "bad-json"),
        (&app, "", "", ""),
        (&[], "{", "", ""),
    ] {
        let decoded = read(&encoding, labels, &[("io.dubbo/metadata", instance)], "http=1");
        let told = told(&decoded).replace(" annotation io.dubbo/metadata", "");
        assert_eq!((registrations(&decoded).as_str(), told.as_str()), (registered, problem), "{instance}");
    }
}
