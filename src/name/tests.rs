use std::sync::Arc;

use proptest::prelude::*;

use super::selection::selector_label;
use super::*;
use crate::dns::NamePath;

fn zone() -> Name {
    "rpc.cluster.local".parse().unwrap()
}

fn service(namespace: &str, interface: &str, group: Option<&str>, version: Option<&str>) -> Service {
    let (group, version) = (group.map(Arc::from), version.map(Arc::from));
    Service::new(&namespace.into(), &interface.into(), group.as_ref(), version.as_ref(), &zone())
}

/// A short form of what a whole name reads as.
fn reading(text: &str) -> String {
    let name: Name = text.parse().unwrap();
    let path = NamePath::of(name.labels());
    format!("{:?}", parse(&path, 3)).replace("[", "<").replace("]", ">")
}

#[test]
fn an_alias_is_the_contracts() {
    assert_eq!(
        Alias::of(Some("gray"), "org.acme.Greeter", Some("1.0.0")).label(),
        "x-v7tq8opdh05gb5vfsbe8f42p2vj23mgb"
    );
    assert_eq!(Alias::of(None, "org.acme.Greeter", None).label(), "x-roj5ef7gfqkq2nsidracg0h94kcuj8ap");
}

#[test]
fn selector_labels() {
    let long = "a".repeat(61);
    for (value, label) in [
        ("1.0.0", Some("1-0-0")),
        ("1.0.0-rc1", Some("1-0-0--rc1")),
        ("Gray_2", Some("gray_2")),
        (long.as_str(), Some(long.as_str())),
        (&"a".repeat(62), None),
        ("", None),
        (".1", None),
        ("1.", None),
        ("1..0", None),
        ("1.-0", None),
        ("-none", None),
        ("1 0", None),
        ("grün", None),
    ] {
        assert_eq!(selector_label(value).as_deref(), label.map(str::as_bytes), "{value}");
    }
}

#[test]
fn which_interfaces_have_natural_names() {
    let many = vec!["a"; 17].join(".");
    for (namespace, interface, natural) in [
        ("default", "org.apache.dubbo.demo.GreetService", true),
        ("default", "Greeter", true),
        ("default", "a_b-c.D", true),
        ("default", &many[2..], true),
        ("default", &many, false),
        ("default", "a..b", false),
        ("default", "", false),
        ("default", "a.", false),
        ("default", "a b", false),
        ("default", "grüß.dich", false),
        ("default", "_zone.a", false),
        ("default", "a._zone", false),
        ("default", "a.v-1", false),
        ("default", "a.G-x", false),
        ("default", "v-1.a", true),
        ("default", "a.x-roj5ef7gfqkq2nsidracg0h94kcuj8ap", false),
        ("default", "a.X-ROJ5ef7gfqkq2nsidracg0h94kcuj8ap", false),
        ("default", "a.x-roj5ef7gfqkq2nsidracg0h94kcuj8az", true),
        ("p", "a.b", false),
        ("pod", "a.b", false),
    ] {
        assert_eq!(service(namespace, interface, None, None).is_natural(), natural, "{namespace} {interface}");
    }
}

#[test]
fn a_name_that_does_not_fit_gives_way_to_the_shorter_ones() {
    let label = "a".repeat(63);
    // 255 - 22 - 8 (default) - 19 (the zone) leaves 206 for the interface and its selectors.
    let interface = format!("{label}.{label}.{}", "b".repeat(63)); // 192
    let both = service("default", &interface, Some("gray"), Some("1"));
    let fitting: Vec<_> = both.selections(&zone()).iter().map(|(g, v)| (g.wire_len(), v.wire_len())).collect();
    assert_eq!(fitting, [(0, 0), (0, 4), (7, 0), (7, 4)]);
    let long_group = service("default", &interface, Some("grayish"), Some("10.0"));
    let fitting: Vec<_> = long_group.selections(&zone()).iter().map(|(g, v)| (g.wire_len(), v.wire_len())).collect();
    assert_eq!(fitting, [(0, 0), (0, 7), (10, 0)]);
    assert_eq!(long_group.exact_name(&zone()), long_group.alias_name(&zone()));
    let too_long = format!("{interface}.{}", "c".repeat(14));
    assert!(service("default", &too_long, None, None).natural().is_none());
}

#[test]
fn names_are_read_from_the_right() {
    for (name, expected) in [
        ("rpc.cluster.local", "Apex"),
        ("dns-version.rpc.cluster.local", "DnsVersion"),
        ("p.rpc.cluster.local", "Targets"),
        ("10-244-0-81.P.rpc.cluster.local", "Target(10.244.0.81)"),
        ("fd00-0-0-0-0-0-0-1.p.rpc.cluster.local", "Target(fd00::1)"),
        ("FD00-0-0-0-0-0-0-A.p.rpc.cluster.local", "Target(fd00::a)"),
        ("pod.rpc.cluster.local", "Pods"),
        ("a._nope.default.rpc.cluster.local", "Missing"),
        ("_nope._tcp.default.rpc.cluster.local", "Missing"),
    ] {
        assert_eq!(reading(name), expected, "{name}");
    }
    for label in ["010-0-0-1", "10-0-0", "10-0-0-256", "+1-0-0-1", "fd00--1", "0fd0-0-0-0-0-0-0-1", "10-0-0-1-"] {
        let reading = reading(&format!("{label}.p.rpc.cluster.local"));
        assert!(!reading.starts_with("Target("), "{label} reads as {reading}");
    }
}

#[test]
fn a_services_names_are_read() {
    let path = |text: &str| NamePath::of(text.parse::<Name>().unwrap().labels());
    let natural = |group, version, interface| ServiceName::Natural { group, version, interface };
    let greeter = natural(NameSelector::Any, NameSelector::Any, b"\x03org\x07greeter");
    let alias = ServiceName::Alias(Alias::of(None, "org.acme.Greeter", None));
    for (text, name, below) in [
        ("Greeter.org", greeter, Below::Itself),
        ("_tcp.Greeter.org", greeter, Below::Tcp),
        ("_RPC._tcp.Greeter.org", greeter, Below::Protocol(None)),
        ("_dubbo._tcp.Greeter.org", greeter, Below::Protocol(Some(b"dubbo"))),
        ("a-1._dubbo._tcp.Greeter.org", greeter, Below::Instance(Some(b"dubbo"), b"a-1")),
        ("_udp.Greeter.org", greeter, Below::Between),
        ("_dns-sd._udp.Greeter.org", greeter, Below::Between),
        ("_services._dns-sd._udp.Greeter.org", greeter, Below::Protocols),
        (
            "Greeter.v-1-0.g-Gray",
            natural(NameSelector::Value(b"gray"), NameSelector::Value(b"1-0"), b"\x07greeter"),
            Below::Itself,
        ),
        ("Greeter.v--none.g--none", natural(NameSelector::None, NameSelector::None, b"\x07greeter"), Below::Itself),
        (
            "Greeter.g-a.v-1",
            natural(NameSelector::Any, NameSelector::Value(b"1"), b"\x03g-a\x07greeter"),
            Below::Itself,
        ),
        ("g-a", natural(NameSelector::Value(b"a"), NameSelector::Any, b""), Below::Itself),
        ("x-ROJ5ef7gfqkq2nsidracg0h94kcuj8ap", alias, Below::Itself),
        ("_tri._tcp.x-roj5ef7gfqkq2nsidracg0h94kcuj8ap", alias, Below::Protocol(Some(b"tri"))),
    ] {
        let path = path(&format!("{text}.default.rpc.cluster.local"));
        assert_eq!(parse(&path, 3), ParsedName::Service { namespace: b"default", name, below }, "{text}");
    }
    for (text, below) in [
        ("default", BelowNamespace::Itself),
        ("_udp.default", BelowNamespace::Between),
        ("_dns-sd._udp.default", BelowNamespace::Between),
        ("b._dns-sd._udp.default", BelowNamespace::Browse),
    ] {
        let path = path(&format!("{text}.rpc.cluster.local"));
        assert_eq!(parse(&path, 3), ParsedName::Namespace { namespace: b"default", below }, "{text}");
    }
    for text in ["a.x-roj5ef7gfqkq2nsidracg0h94kcuj8ap", "_services._dns-sd._udp", "c.b._dns-sd._udp"] {
        assert_eq!(parse(&path(&format!("{text}.default.rpc.cluster.local")), 3), ParsedName::Missing, "{text}");
    }
}

#[test]
fn pods_and_aliases_share_a_subtree() {
    let path = |text: &str| NamePath::of(text.parse::<Name>().unwrap().labels());
    let pod = path("a.b.default.pod.rpc.cluster.local");
    assert_eq!(parse(&pod, 3), ParsedName::Pod { namespace: b"default", labels: b"\x01b\x01a" });
    let alias = path("_rpc._tcp.x-roj5ef7gfqkq2nsidracg0h94kcuj8ap.pod.rpc.cluster.local");
    assert!(matches!(parse(&alias, 3), ParsedName::Service { namespace: b"pod", .. }));
    let browse = path("b._dns-sd._udp.pod.rpc.cluster.local");
    assert_eq!(parse(&browse, 3), ParsedName::Namespace { namespace: b"pod", below: BelowNamespace::Browse });
    let odd = path("a.x-roj5ef7gfqkq2nsidracg0h94kcuj8ap.pod.rpc.cluster.local");
    assert!(matches!(parse(&odd, 3), ParsedName::Pod { labels: b"\x01a", .. }));
}

#[test]
fn reverse_names_are_read_and_written() {
    for (name, expected) in [
        ("81.0.244.10.in-addr.arpa", "Some(Address(10.244.0.81))"),
        ("244.10.in-addr.arpa", "Some(Network(10.244.0.0, 10.244.255.255))"),
        ("in-addr.arpa", "Some(Network(0.0.0.0, 255.255.255.255))"),
        ("1.81.0.244.10.in-addr.arpa", "None"),
        ("081.0.244.10.in-addr.arpa", "None"),
        ("256.0.244.10.in-addr.arpa", "None"),
        ("d.f.ip6.arpa", "Some(Network(fd00::, fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff))"),
        ("dd.f.ip6.arpa", "None"),
    ] {
        let path = NamePath::of(name.parse::<Name>().unwrap().labels());
        assert_eq!(format!("{:?}", parse_reverse(&path)), expected, "{name}");
    }
    for address in ["10.244.0.81", "fd00::1", "::"] {
        let address = address.parse().unwrap();
        let path = NamePath::of(reverse_name(address).parse::<Name>().unwrap().labels());
        assert_eq!(parse_reverse(&path), Some(ReverseName::Address(address)));
    }
}

#[test]
fn a_network_is_split_at_label_boundaries() {
    for (network, count, first, last) in [
        ("10.0.0.0/8", 1, "10.in-addr.arpa.", "10.in-addr.arpa."),
        ("10.96.0.0/12", 16, "96.10.in-addr.arpa.", "111.10.in-addr.arpa."),
        ("192.168.4.0/22", 4, "4.168.192.in-addr.arpa.", "7.168.192.in-addr.arpa."),
        ("0.0.0.0/0", 1, "in-addr.arpa.", "in-addr.arpa."),
        ("10.0.0.1/32", 1, "1.0.0.10.in-addr.arpa.", "1.0.0.10.in-addr.arpa."),
        ("fd00::/8", 1, "d.f.ip6.arpa.", "d.f.ip6.arpa."),
        ("fc00::/7", 2, "c.f.ip6.arpa.", "d.f.ip6.arpa."),
    ] {
        let zones = reverse_zones(network.parse().unwrap()).unwrap();
        assert_eq!(zones.len(), count, "{network}");
        assert_eq!((zones[0].to_string(), zones[count - 1].to_string()), (first.into(), last.into()), "{network}");
    }
}

fn any_value() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[a-cA-C0-2._-]{1,6}|[a-z ]{1,3}")
}

proptest! {
    /// Every natural name reads as the service that it came from.
    #[test]
    fn natural_names_read_back(
        interface in "[a-cA-C_-]{1,4}(\\.[a-cvgx-]{1,4}){0,3}", group in any_value(), version in any_value()
    ) {
        let service = service("default", &interface, group.as_deref(), version.as_deref());
        for (group, version) in &service.selections(&zone()) {
            let mut labels: Vec<Vec<u8>> = interface.split('.').map(|label| label.as_bytes().to_vec()).collect();
            for (kind, selector) in [("v-", version), ("g-", group)] {
                match selector {
                    NameSelector::Any => {}
                    NameSelector::None => labels.push([kind.as_bytes(), b"-none"].concat()),
                    NameSelector::Value(value) => labels.push([kind.as_bytes(), value].concat()),
                }
            }
            labels.push(b"default".to_vec());
            let zone = zone();
            let name = Name::from_labels(labels.iter().map(Vec::as_slice).chain(zone.labels())).unwrap();
            let path = NamePath::of(name.labels());
            let ParsedName::Service { name: ServiceName::Natural { group: g, version: v, interface: i }, below, .. } = parse(&path, 3)
            else { panic!("{name} reads as {:?}", parse(&path, 3)) };
            prop_assert_eq!((g, v, below), (group.as_slice(), version.as_slice(), Below::Itself));
            let natural = service.natural().unwrap();
            prop_assert_eq!(i, natural.as_bytes());
            prop_assert!(service.is_selected(g, v, i));
            prop_assert!(!service.is_selected(g, v, &i[..i.len() - 1]));
            prop_assert!(!service.is_selected(NameSelector::Value(b"other"), v, i));
        }
    }

    /// Two services never share a name with group and version, except by letter case.
    #[test]
    fn exact_names_are_distinct(
        interfaces in ["[aA]{1,2}(\\.[aB]{1,2})?", "[aA]{1,2}(\\.[aB]{1,2})?"],
        groups in [any_value(), any_value()], versions in [any_value(), any_value()]
    ) {
        let exact = |at: usize| {
            let service = service("default", &interfaces[at], groups[at].as_deref(), versions[at].as_deref());
            let told = |(group, version): &&(NameSelector, NameSelector)| *group != NameSelector::Any && *version != NameSelector::Any;
            service.selections(&zone()).iter().find(told).cloned().zip(service.natural())
        };
        if let (Some(one), Some(other)) = (exact(0), exact(1)) {
            let folded = |at: usize| {
                let parts = [Some(&interfaces[at]), groups[at].as_ref(), versions[at].as_ref()];
                parts.map(|part| part.map(|part| part.to_ascii_lowercase()))
            };
            prop_assert_eq!(one == other, folded(0) == folded(1));
        }
    }

    /// Two values never share a label, except by letter case.
    #[test]
    fn selector_labels_are_distinct(a in "[a-b.-]{1,7}", b in "[a-b.-]{1,7}") {
        if let (Some(one), Some(other)) = (selector_label(&a), selector_label(&b)) {
            prop_assert_eq!(one == other, a == b);
        }
    }
}
