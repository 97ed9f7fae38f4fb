//! Pods of every kind that costs memory: ordinary ones, and ones that a tenant would write to use as much as possible.

use std::net::{IpAddr, Ipv4Addr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callsign::registration::ProfileText;
use callsign::source::{Phase, Pod, PodStatus};
use serde_json::{Value, json};

use super::provider::{INTERFACES, Provider};

/// The name of a kind of Pod, and the JSON of the `n`-th Pod of that kind.
pub(crate) type Shape = (&'static str, fn(usize) -> Vec<Value>);

/// Every kind. No two Pods of a kind share a service.
pub(crate) const SHAPES: [Shape; 19] = [
    ("ordinary Pods, no two alike", ordinary),
    ("1,000 long names", |n| plain(n, 1_000, |n, i| format!("a{n}.b{i}.{}.{}", "x".repeat(50), "y".repeat(50)))),
    ("400 names too long for DNS", |n| plain(n, 400, |n, i| format!("a{n}.b{i}.{}", "x".repeat(400)))),
    ("1,000 of a long group and version", |n| {
        let long = |kind: &str| {
            [("group", format!("{kind}{n}{}", "g".repeat(330))), ("version", format!("{kind}{n}{}", "v".repeat(330)))]
        };
        let offers = (0..1_000).flat_map(|i| fields([("interface", format!("a{n}b{i}")), ("port", "1".into())]));
        fields(long("x")).chain(offers).collect()
    }),
    ("pairs of names that differ in case", |n| {
        plain(n, 1_000, |n, i| format!("a{n}.b{}{}", i / 2, if i.is_multiple_of(2) { "c" } else { "C" }))
    }),
    ("pairs that differ in case, group and version", |n| {
        let offer = |i: usize| {
            [
                ("interface", format!("a{n}.b{}{}", i / 2, if i.is_multiple_of(2) { "c" } else { "C" })),
                ("group", "g".into()),
                ("version", "1".into()),
                ("port", "1".into()),
            ]
        };
        (0..1_000).flat_map(|i| fields(offer(i))).collect()
    }),
    ("1,000 applications and protocols", |n| {
        let offer = |i: usize| {
            [
                ("interface", format!("a{n}.b{i}")),
                ("protocol", format!("p{n}-{i}")),
                ("application", format!("app{n}-{i}")),
                ("method", format!("m{n}-{i}")),
                ("port", "1".into()),
            ]
        };
        (0..1_000).flat_map(|i| fields(offer(i))).collect()
    }),
    ("20,000 methods", |n| {
        let methods: Vec<String> = (0..20_000).map(|m| format!("m{n}x{m:x}")).collect();
        fields([("interface", format!("a.I{n}")), ("methods", methods.join(",")), ("port", "1".into())]).collect()
    }),
    ("1,000 names of 16 labels", |n| {
        plain(n, 1_000, |n, i| {
            format!("{}.p{n}i{i}", (0..15).map(|l| format!("l{n}x{i}y{l}")).collect::<Vec<_>>().join("."))
        })
    }),
    ("1,000 groups and versions", |n| {
        let offer = |i: usize| {
            [
                ("interface", format!("a.I{n}")),
                ("group", format!("g{n}-{i}")),
                ("version", format!("v{n}-{i}")),
                ("port", "1".into()),
            ]
        };
        (0..1_000).flat_map(|i| fields(offer(i))).collect()
    }),
    ("1,000 names that share all but case", |n| {
        plain(n, 1_000, |n, i| {
            let case = |bit: usize| if i >> bit & 1 == 1 { 'A' } else { 'a' };
            format!("n{n}.{}", (0..10).map(case).collect::<String>())
        })
    }),
    ("1,000 short names", |n| plain(n, 1_000, |n, i| format!("a{n}b{i}"))),
    ("1,000 protocols of one service", |n| {
        let offer = |i: usize| {
            [("interface", format!("a.I{n}")), ("protocol", format!("p{n}-{i}")), ("port", (i + 1).to_string())]
        };
        (0..1_000).flat_map(|i| fields(offer(i))).collect()
    }),
    ("1,000 methods in each of 20", |n| {
        let offer = |i: usize| {
            let methods: Vec<String> = (0..1_000).map(|m| format!("m{n}x{i}y{m}")).collect();
            [("interface", format!("a.I{n}x{i}")), ("methods", methods.join(",")), ("port", "1".into())]
        };
        (0..20).flat_map(|i| fields(offer(i))).collect()
    }),
    ("100 short pairs in each of 50", |n| {
        let offer = |i: usize| {
            let pairs = (0..100).map(move |p| (format!("k{n}x{i}y{p}"), "v".to_owned()));
            [("interface".to_owned(), format!("a.I{n}x{i}")), ("port".to_owned(), "1".to_owned())]
                .into_iter()
                .chain(pairs)
        };
        (0..50).flat_map(|i| offer(i).map(|(k, v)| json!({ "k": k, "v": v })).collect::<Vec<_>>()).collect()
    }),
    ("600 with eight values of their own", |n| {
        let offer = |i: usize| {
            let pairs = (0..8).map(move |p| (format!("k{p}"), format!("{n}x{i}")));
            [("interface".to_owned(), "a.I".to_owned()), ("port".to_owned(), (i + 1).to_string())]
                .into_iter()
                .chain(pairs)
        };
        (0..600).flat_map(|i| offer(i).map(|(k, v)| json!({ "k": k, "v": v })).collect::<Vec<_>>()).collect()
    }),
    ("1,000 that are bad", |n| {
        (0..1_000).flat_map(|i| fields([("interface", format!("a.I{n}x{i}")), ("port", "no".into())])).collect()
    }),
    ("1,000 consumers", |n| {
        let path = |i: usize| {
            format!(
                "/dubbo/a.I{n}x{i}/consumers/consumer%3A%2F%2F10.0.0.1%2Fa.I{n}x{i}%3Fgroup%3Dg{n}x{i}%26application%3Da{n}x{i}"
            )
        };
        (0..1_000).map(|i| json!({ "k": path(i), "v": "" })).collect()
    }),
    ("nothing registered", |_| Vec::new()),
];

/// The `n`-th Pod of a kind in a namespace. It is running and ready, or Pending without an address.
pub(crate) fn shaped(shape: Shape, namespace: &str, n: usize, is_running: bool) -> Pod {
    let address = IpAddr::from(Ipv4Addr::from(0x0af4_0000 + n as u32));
    let (phase, pod_ips) = if is_running {
        (Phase::Running, [address].into_iter().collect())
    } else {
        (Phase::Pending, Default::default())
    };
    Pod {
        namespace: namespace.into(),
        uid: format!("{namespace}-0000-4000-8000-{n:012}").into(),
        resource_version: 1,
        status: PodStatus {
            phase,
            ready: is_running,
            pod_ips,
            start_time: is_running.then_some(1_700_000_000 + n as i64),
            ..PodStatus::default()
        },
        text: ProfileText::of_value(STANDARD.encode(Value::Array(shape.1(n)).to_string())),
        name: format!("hostile-6d5f7c9b8-{n:05}").into(),
    }
}

fn ordinary(n: usize) -> Vec<Value> {
    let annotation = Provider::recorded().annotation(n, n, Ipv4Addr::from(0x0af4_0000 + n as u32), INTERFACES);
    serde_json::from_slice(&STANDARD.decode(annotation).expect("base64")).expect("pairs")
}

fn plain(n: usize, count: usize, name: impl Fn(usize, usize) -> String) -> Vec<Value> {
    (0..count).flat_map(|i| fields([("interface", name(n, i)), ("port", "1".into())])).collect()
}

fn fields<const N: usize>(pairs: [(&str, String); N]) -> impl Iterator<Item = Value> {
    pairs.map(|(k, v)| json!({ "k": k, "v": v })).into_iter()
}
