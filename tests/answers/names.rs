//! The question's own bytes come back, in whatever letter case.

use domain::base::iana::Rtype;

use super::world::{World, endpoint};

#[test]
fn letter_case_is_given_back_and_does_not_matter() {
    let world = World::of([endpoint("one", "10.244.0.1", "interface=org.acme.Greeter protocol=Dubbo port=1")]);
    let name = "_DuBBo._tCp.OrG.aCMe.gReeTer.DefAult.rPC.clusTer.LOCAL.";
    let reply = world.ask(name, Rtype::SRV);
    assert_eq!(reply.answer, [format!("{name} 5 IN SRV 0 100 1 10-244-0-1.p.rpc.cluster.local.")]);
    assert_eq!(reply.additional, ["10-244-0-1.p.rpc.cluster.local. 5 IN A 10.244.0.1"]);
    let negative = world.ask("NoPe.rPC.clusTer.LOCAL.", Rtype::SRV);
    assert!(negative.authority[0].starts_with("rPC.clusTer.LOCAL. 5 IN SOA "), "{negative:?}");
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
