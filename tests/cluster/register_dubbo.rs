//! `callsign register --profile dubbo`: dubbo-go's Kubernetes registry reads it, and so does callsign.

use std::fs;

use super::register::{Site, metadata, value};
use crate::harness::cluster::Cluster;
use crate::harness::go::go_program;
use crate::harness::process::{output, scratch};
use callsign::registration;

/// A consumer's output for the current Pods: protocol, address, service key, parameters.
#[track_caller]
fn consumer(program: &str, site: &Site, url: &str, count: usize) -> Vec<String> {
    let pods = scratch("pods").join("pods.json");
    let namespace = &site.namespace.name;
    fs::write(&pods, Cluster::shared().kubectl(&["-n", namespace, "get", "pods", "-o", "json"])).expect("write a file");
    let pods = pods.to_str().expect("a path of UTF-8");
    let text = output(program, [pods, namespace, url, &count.to_string()]);
    // The rest is a note about its logger.
    text.lines().filter(|line| line.starts_with("tri ") || line.starts_with("dubbo ")).map(str::to_owned).collect()
}

#[test]
fn dubbo_go_finds_what_was_registered() {
    let site = Site::new("dubbo");
    let (one, two) = (site.namespace.pod("greeter-0"), site.namespace.pod("greeter-1"));
    let (first, second) = (site.namespace.ip(1), site.namespace.ip(2));
    one.run(&[&first]);
    two.run(&[&second]);
    let before = [metadata(&one), metadata(&two)];
    let register = ["register", "--once", "--profile", "dubbo", "--interface", "org.acme.Greeter", "--port", "20880"];
    let tri = [&register[..], &["--protocol", "tri", "--version", "1.0.0", "--group", "gray"]].concat();
    site.succeeds(&one, &[&tri[..], &["--method", "SayHello", "--meta", "note=a & b=c, 50%"]].concat());
    site.succeeds(&two, &[&tri[..], &["--weight", "7"]].concat());
    let plain = ["--container", "plain", "--application", "hello"];
    site.succeeds(&two, &[&register[..], &plain].concat());
    assert_eq!(metadata(&one)["labels"]["dubbo.io/label"], "dubbo.io.provider");

    let program = go_program("dubbo");
    let url = "tri://127.0.0.1/org.acme.Greeter?interface=org.acme.Greeter&version=1.0.0&group=gray";
    let common = "interface=org.acme.Greeter";
    let expected = [
        format!(
            "tri {first}:20880 org.acme.Greeter category=providers&group=gray&{common}&methods=SayHello\
             &note=a+%26+b%3Dc%2C+50%25&registrar=20880&side=provider&version=1.0.0"
        ),
        format!(
            "tri {second}:20880 org.acme.Greeter category=providers&group=gray&{common}&registrar=20880\
             &side=provider&version=1.0.0&weight=7"
        ),
    ];
    assert_eq!(consumer(&program, &site, url, 2), expected);
    let url = "dubbo://127.0.0.1/org.acme.Greeter?interface=org.acme.Greeter";
    let expected = format!(
        "dubbo {second}:20880 org.acme.Greeter application=hello&category=providers&{common}&registrar=plain&side=provider"
    );
    assert_eq!(consumer(&program, &site, url, 1), [expected], "of one Pod's two containers");

    // And so does callsign.
    let decoded = registration::decode_value(&value(&one, "dubbo.io/annotation").expect("an annotation"));
    assert_eq!(decoded.problems, []);
    let [found] = &decoded.registrations[..] else { panic!("{decoded:?}") };
    let selectors = (&*found.interface, &*found.protocol, found.group.as_deref(), found.version.as_deref());
    assert_eq!(selectors, ("org.acme.Greeter", "tri", Some("gray"), Some("1.0.0")));
    assert_eq!((found.address, found.port), (first.parse().ok(), 20880));

    for (pod, container) in [(&one, "20880"), (&two, "20880"), (&two, "plain")] {
        site.succeeds(pod, &["withdraw", "--profile", "dubbo", "--container", container]);
    }
    assert_eq!([metadata(&one), metadata(&two)], before);
}
