//! A reply repeats the question's bytes, in any letter case.

use domain::base::iana::Rtype;

use super::world::{World, endpoint};

#[test]
fn letter_case_is_echoed_and_does_not_count() {
    let world = World::of([endpoint("one", "10.244.0.1", "interface=org.acme.Greeter protocol=Dubbo port=1")]);
    let name = "_DuBBo._tCp.OrG.aCMe.gReeTer.DefAult.rPC.clusTer.LOCAL.";
    let reply = world.ask(name, Rtype::SRV);
    assert_eq!(reply.answer, [format!("{name} 5 IN SRV 0 100 1 10-244-0-1.p.rpc.cluster.local.")]);
    assert_eq!(reply.additional, ["10-244-0-1.p.rpc.cluster.local. 5 IN A 10.244.0.1"]);
    let negative = world.ask("NoPe.rPC.clusTer.LOCAL.", Rtype::SRV);
    assert!(negative.authority[0].starts_with("rPC.clusTer.LOCAL. 5 IN SOA "), "{negative:?}");
}

#[test]
fn namespaces_may_have_the_names_of_other_labels() {
    // A regression: `b._dns-sd._udp.pod.Z` belonged to a Pod `b` in a namespace `_udp`.
    for namespace in ["p", "pod", "dns-version", "ns", "g-a", "v-1", "x-roj5ef7gfqkq2nsidracg0h94kcuj8ap", "default"] {
        let pod = endpoint("one", "10.244.0.1", "interface=org.acme.Greeter protocol=tri port=1");
        let world = World::of([callsign::source::Pod { namespace: namespace.into(), ..pod }]);
        let plain = match namespace {
            "p" | "pod" => format!("x-roj5ef7gfqkq2nsidracg0h94kcuj8ap.{namespace}.Z"),
            _ => format!("org.acme.Greeter.{namespace}.Z"),
        };
        let one = "0 100 1 10-244-0-1.p.Z".to_owned();
        for (name, rtype, data) in [
            (format!("b._dns-sd._udp.{namespace}.Z"), Rtype::PTR, plain.clone()),
            (format!("_rpc._tcp.{plain}"), Rtype::SRV, one.clone()),
            (format!("_tri._tcp.{plain}"), Rtype::PTR, format!("one-1._tri._tcp.{plain}")),
            (format!("one-1._tri._tcp.{plain}"), Rtype::SRV, one.clone()),
            (format!("_tri._tcp.x-roj5ef7gfqkq2nsidracg0h94kcuj8ap.{namespace}.Z"), Rtype::SRV, one.clone()),
            (format!("one.{namespace}.pod.Z"), Rtype::A, "10.244.0.1".to_owned()),
        ] {
            assert_eq!(world.data(&name, rtype), ("NOERROR".into(), vec![data]), "{name} {rtype}");
        }
        for name in ["_udp.", "_dns-sd._udp.", "", "_tcp.x-roj5ef7gfqkq2nsidracg0h94kcuj8ap."] {
            assert_eq!(world.verdict(&format!("{name}{namespace}.Z"), Rtype::HINFO), "NODATA", "{name}{namespace}");
        }
        assert_eq!(world.verdict(&format!("_tcp.{namespace}.Z"), Rtype::HINFO), "NXDOMAIN");
    }
}

#[test]
fn an_instance_whose_name_does_not_fit_has_no_ptr_record() {
    // A service's name has at most 233 bytes. None of its instances fits, so that is NODATA with its SOA.
    let label = "a".repeat(63);
    for (last, verdict) in [(13, "NODATA"), (9, "NODATA"), (8, "DATA")] {
        let interface = format!("{label}.{label}.{label}.{}", "b".repeat(last));
        let world = World::of([endpoint(
            "pod-number-one",
            "10.244.0.1",
            &format!("interface={interface} protocol=tri port=1"),
        )]);
        for name in [format!("_rpc._tcp.{interface}.default.Z"), format!("_tri._tcp.{interface}.default.Z")] {
            assert_eq!(world.verdict(&name, Rtype::PTR), verdict, "{last}");
            assert_eq!(world.verdict(&name, Rtype::SRV), "DATA", "{last}");
        }
    }
}

#[test]
fn services_that_differ_in_case_share_natural_names_and_keep_their_aliases() {
    let world = World::of([
        endpoint("one", "10.244.0.1", "interface=a.Greeter port=1"),
        endpoint("two", "10.244.0.2", "interface=a.GREETER port=1"),
    ]);
    assert_eq!(world.data("_rpc._tcp.a.greeter.default.Z", Rtype::SRV).1.len(), 2);
    for facts in world.snapshot().services() {
        let name = format!("_rpc._tcp.{}.default.Z", facts.service.alias.label());
        assert_eq!(world.data(&name, Rtype::SRV).1.len(), 1, "{name}");
    }
}
