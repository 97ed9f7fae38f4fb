//! Tests the oracle: it must refuse answers that no server may give. Otherwise the soak would show nothing.

use std::time::{Duration, Instant};

use crate::harness::ask::Reply;
use crate::harness::oracle::{Life, Oracle, Question, Registered, State};
use crate::harness::order::{LAG_MAX, Order};

const GREETER: &str = "org.acme.Greeter";

fn state(life: Life, port: u16) -> State {
    State { life, ip: "10.244.0.1".into(), registered: vec![Registered { interface: GREETER, port }] }
}

fn reply(rcode: &str, answer: &[&str]) -> Reply {
    let answer = answer.iter().map(|one| (*one).to_owned()).collect();
    let (authority, additional) = (Vec::new(), Vec::new());
    Reply { wire: Vec::new(), rcode: rcode.into(), flags: 0, answer, authority, additional, edns: None }
}

/// The slots of two Pods. The first changes at these seconds after the start: ready at port 80 (1 to 2), at 81 (11 to 12), not
/// ready (21 to 22). The other one has been ready at port 90 since the start.
fn history() -> (Oracle, Instant) {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut oracle = Oracle::default();
    let [first, other] = ["a", "b"].map(|name| oracle.slot("ns", name, start));
    oracle.sent(other, State { ip: "10.244.0.2".into(), ..state(Life::Running { ready: true }, 90) }, start);
    oracle.acknowledged(other, start);
    for (sent, ready, port) in [(1, true, 80), (11, true, 81), (21, false, 81)] {
        oracle.sent(first, state(Life::Running { ready }, port), at(sent));
        oracle.acknowledged(first, at(sent + 1));
    }
    (oracle, start)
}

fn srv() -> Question {
    Question::Srv { namespace: "ns".into(), interface: GREETER }
}

const OTHER: &str = "x. 5 IN SRV 0 100 90 10-244-0-2.p.Z";
const AT_80: &str = "x. 5 IN SRV 0 100 80 10-244-0-1.p.Z";
const AT_81: &str = "x. 5 IN SRV 0 100 81 10-244-0-1.p.Z";

#[test]
fn an_answer_must_match_an_allowed_moment() {
    let wrong_address = "x. 5 IN SRV 0 100 81 10-244-0-2.p.Z";
    // The floor, when the answer was received, the answer, and whether it is legal.
    let cases: [(Option<u64>, u64, &[&str], bool); 18] = [
        (None, 0, &[OTHER], true),
        (None, 0, &[OTHER, AT_80], false), // before its request
        (None, 1, &[OTHER, AT_80], true),
        (None, 1, &[OTHER], true),
        (Some(1), 3, &[OTHER], true),
        (Some(2), 3, &[OTHER], false), // after its acknowledgement
        (None, 30, &[OTHER, AT_80], true),
        (Some(11), 30, &[OTHER, AT_80], true), // the next change may not have happened yet
        (Some(12), 30, &[OTHER, AT_80], false),
        (Some(12), 30, &[OTHER, AT_81], true),
        (Some(22), 30, &[OTHER, AT_81], false),
        (Some(22), 30, &[OTHER], true),
        (None, 30, &[OTHER, AT_80, AT_81], false), // two moments of one Pod at once
        (None, 30, &[OTHER, AT_81, AT_81], false),
        (Some(0), 30, &[AT_80], false), // the other Pod never left
        (None, 30, &[OTHER, wrong_address], false),
        (None, 30, &[OTHER, "x. 5 IN SRV 0 100 99 10-244-0-1.p.Z"], false),
        (None, 30, &[OTHER, "x. 5 IN SRV 0 7 81 10-244-0-1.p.Z"], false),
    ];
    for (floor, received, answer, is_legal) in cases {
        let (mut oracle, start) = history();
        let at = |seconds| start + Duration::from_secs(seconds);
        let judged = oracle.judge(&srv(), &reply("NOERROR", answer), floor.map(at), at(received));
        assert_eq!(judged.is_ok(), is_legal, "{floor:?} {received} {answer:?}: {judged:?}");
    }
}

#[test]
fn an_answer_must_not_go_back() {
    let (mut oracle, start) = history();
    let late = start + Duration::from_secs(30);
    for (answer, is_legal) in
        [(&[OTHER, AT_80], true), (&[OTHER, AT_81], true), (&[OTHER, AT_80], false), (&[OTHER, AT_81], true)]
    {
        assert_eq!(oracle.judge(&srv(), &reply("NOERROR", answer), None, late).is_ok(), is_legal, "{answer:?}");
    }
    // Answers for the Pod's other names count too.
    let text =
        |port: u16| format!("x. 5 IN TXT \"pod=a\" \"addr=10.244.0.1:{port}\" \"interface={GREETER}\" \"zone={port}\"");
    let other = format!("x. 5 IN TXT \"pod=b\" \"addr=10.244.0.2:90\" \"interface={GREETER}\" \"zone=90\"");
    let txt = Question::Txt { namespace: "ns".into(), interface: GREETER };
    for (port, is_legal) in [(80, false), (81, true)] {
        let judged = oracle.judge(&txt, &reply("NOERROR", &[&text(port), &other]), None, late);
        assert_eq!(judged.is_ok(), is_legal, "{port}: {judged:?}");
    }
    for foreign in [text(81).replace("pod=a", "pod=b"), text(81).replace("zone=81", "zone=90")] {
        assert!(oracle.judge(&txt, &reply("NOERROR", &[&foreign, &other]), None, late).is_err(), "{foreign}");
    }
}

#[test]
fn a_change_of_two_steps_may_show_either() {
    let (mut oracle, start) = history();
    let at = |seconds| start + Duration::from_secs(seconds);
    oracle.sent(0, state(Life::Running { ready: true }, 81), at(31));
    oracle.acknowledged(0, at(32));
    oracle.sent(0, state(Life::Terminating, 81), at(41));
    oracle.sent(0, State::absent(), at(41));
    oracle.acknowledged(0, at(42));
    let pod = Question::Pod { namespace: "ns".into(), name: "a".into() };
    let (first, late) = (&["x. 5 IN A 10.244.0.1"], at(43));
    for (question, rcode, answer, floor, is_legal) in [
        (&srv(), "NOERROR", &[OTHER, AT_81] as &[&str], 32, true),
        (&srv(), "NOERROR", &[OTHER], 32, true), // only the first step is needed for this
        (&pod, "NOERROR", first, 32, true),
        (&pod, "NOERROR", first, 42, false),
        (&pod, "NXDOMAIN", &[], 42, true),
        (&pod, "NOERROR", first, 32, false), // an earlier answer showed that it is gone
    ] {
        let judged = oracle.judge(question, &reply(rcode, answer), Some(at(floor)), late);
        assert_eq!(judged.is_ok(), is_legal, "{question:?} {answer:?} {floor}: {judged:?}");
    }
}

#[test]
fn a_name_exists_while_a_pod_registers_it() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let pod = Question::Pod { namespace: "ns".into(), name: "a".into() };
    let address = ["x. 5 IN A 10.244.0.1"];
    let (there, none): (&[&str], &[&str]) = (&address, &[]);
    // The Pod's state, and whether these answers are legal: SRV with NODATA, SRV with NXDOMAIN, A with an address, A with NXDOMAIN.
    for (life, nodata, nxdomain, address, no_pod) in [
        (Life::Absent, false, true, false, true),
        (Life::Pending, true, false, false, true),
        (Life::Running { ready: false }, true, false, true, false),
        (Life::Running { ready: true }, false, false, true, false),
        (Life::Terminating, true, false, true, false),
        (Life::Finished, false, true, false, true),
    ] {
        for (question, rcode, answer, is_legal) in [
            (&srv(), "NOERROR", none, nodata),
            (&srv(), "NXDOMAIN", none, nxdomain),
            (&srv(), "SERVFAIL", none, false),
            (&pod, "NOERROR", there, address),
            (&pod, "NXDOMAIN", none, no_pod),
        ] {
            let mut oracle = Oracle::default();
            let slot = oracle.slot("ns", "a", start);
            let ip = if life == Life::Pending { String::new() } else { "10.244.0.1".into() };
            oracle.sent(slot, State { ip, ..state(life, 80) }, at(1));
            oracle.acknowledged(slot, at(1));
            let judged = oracle.judge(question, &reply(rcode, answer), Some(at(1)), at(2));
            assert_eq!(judged.is_ok(), is_legal, "{life:?} {question:?} {rcode}: {judged:?}");
            assert_eq!(oracle.equals(question, &reply(rcode, answer)).is_ok(), is_legal, "{life:?} {question:?}");
        }
    }
}

#[test]
fn the_required_state_follows_from_the_watches() {
    let start = Instant::now();
    let at = |lags: u32| start + LAG_MAX * lags;
    let order = Order::default();
    assert_eq!((order.since(), order.floor(at(9))), (None, None), "no watch");
    order.restore("a", at(1));
    order.disturb("b", at(1));
    assert_eq!((order.since(), order.floor(at(9))), (None, None), "one of two watches alone");
    order.restore("b", at(2));
    order.restore("a", at(3));
    assert_eq!(order.since(), Some(at(2)), "the later one, and its beginning");
    assert_eq!(order.floor(at(3) - Duration::from_secs(1)), None, "not yet");
    assert_eq!(order.floor(at(5)), Some(at(4)));
    order.disturb("a", at(6));
    assert_eq!((order.since(), order.floor(at(20))), (None, Some(at(5))), "what was known stays known");
    order.restore("a", at(20));
    assert_eq!((order.floor(at(20)), order.floor(at(22))), (Some(at(5)), Some(at(21))));
    order.disturb_all(at(23));
    assert_eq!((order.since(), order.floor(at(30))), (None, Some(at(22))));
}

#[test]
fn an_answer_must_say_that_it_is_stale_once_nothing_proves_the_zone() {
    let (order, start) = (Order::default(), Instant::now());
    let after = Duration::from_secs(4);
    assert_eq!(order.stale_since(after), None);
    order.set_blind(true, start);
    order.disturb_all(start);
    order.restore("a", start);
    assert_eq!(order.stale_since(after), Some(start + Duration::from_secs(7)));
    order.set_blind(false, start);
    assert_eq!(order.stale_since(after), None);
}
