//! Whatever is told by several sources, in whatever order: after each step the zone says what a naive model makes of the
//! Pods as they are, and the serial moved if and only if an answer did.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use callsign::source::Change;
use domain::base::iana::Rtype;
use proptest::prelude::*;

use super::naive::{GROUPS, INTERFACES, Model, Naive, Offer, PHASES, State};
use super::world::{World, settings};
use crate::seeds::{config, seeds_of};

const PROFILES: [&str; 2] = ["app", "dubbo"];
const RTYPES: [Rtype; 5] = [Rtype::SRV, Rtype::A, Rtype::AAAA, Rtype::PTR, Rtype::TXT];

/// Two Pods of each namespace share a name.
const UIDS: usize = 6;

/// Addresses and ports are few, so that Pods take them over from each other.
const ADDRESSES: std::ops::Range<u8> = 1..4;
const PORTS: std::ops::Range<u16> = 1..3;

#[derive(Clone, Debug)]
enum Step {
    Apply(usize, State),
    Remove(usize, usize),
    /// A source's list, whether it breaks off at first, and what the other source tells meanwhile.
    List(usize, Vec<State>, bool, Vec<State>),
}

fn state() -> impl Strategy<Value = State> {
    let place = (0..UIDS, ADDRESSES, PORTS, 0i64..3, prop_oneof![4 => Just(0usize), 1 => 1..PHASES.len()]);
    let health = [0.8, 0.2, 0.2, 0.2].map(prop::bool::weighted);
    let offers = prop::collection::btree_set((0..INTERFACES.len(), 0..GROUPS.len(), any::<bool>()), 0..4);
    (place, health, offers).prop_map(
        |((uid, address, port, start, phase), [is_ready, is_terminating, is_host, is_disabled], offers)| State {
            uid,
            address,
            port,
            start,
            phase,
            is_ready,
            is_terminating,
            is_host,
            is_disabled,
            offers,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let source = || 0..PROFILES.len();
    let states = || prop::collection::vec(state(), 0..4);
    prop_oneof![
        6 => (source(), state()).prop_map(|(source, state)| Step::Apply(source, state)),
        2 => (source(), 0..UIDS).prop_map(|(source, uid)| Step::Remove(source, uid)),
        2 => (source(), states(), any::<bool>(), states())
            .prop_map(|(source, listed, breaks, meanwhile)| Step::List(source, listed, breaks, meanwhile)),
    ]
}

static UNIVERSE: LazyLock<Vec<String>> = LazyLock::new(universe);

/// Every name that any Pods of these tests can have, and some that none can.
fn universe() -> Vec<String> {
    let every = (0..INTERFACES.len()).flat_map(|one| (0..GROUPS.len()).map(move |group| (one, group, true)));
    let offers: BTreeSet<Offer> = every.collect();
    let mut names = BTreeSet::new();
    for uid in 0..UIDS {
        for address in ADDRESSES {
            for port in PORTS {
                let (offers, phase, start) = (offers.clone(), 0, 0);
                let (is_ready, is_terminating, is_host, is_disabled) = (true, false, false, false);
                let state =
                    State { uid, address, port, start, phase, is_ready, is_terminating, is_host, is_disabled, offers };
                let mut model = Model::default();
                model.apply(0, &state, 1);
                names.extend(model.zone().names);
            }
        }
    }
    let strangers: Vec<String> =
        names.iter().flat_map(|name| ["x", "_tcp", "b", "g-x"].map(|label| format!("{label}.{name}"))).collect();
    names.extend(strangers);
    names.into_iter().collect()
}

/// What is said to each name and type: the code, and the data.
type Told = BTreeMap<(String, Rtype), (String, Vec<String>)>;

/// What a world says to all of these names.
fn told(world: &World, names: &[String]) -> Told {
    let questions = names.iter().flat_map(|name| RTYPES.map(|rtype| (name, rtype)));
    questions.map(|(name, rtype)| ((name.clone(), rtype), world.data(name, rtype))).collect()
}

/// An answer whose names are spelt in lower case where services are browsed: of those that differ in case any may be named.
fn in_one_case(rtype: Rtype, (rcode, data): &(String, Vec<String>)) -> (String, Vec<String>) {
    let mut data = data.clone();
    if rtype == Rtype::PTR {
        data.iter_mut().for_each(|name| name.make_ascii_lowercase());
        data.sort();
    }
    (rcode.clone(), data)
}

/// Whether what is said is what the model says.
fn agree(told: &Told, zone: &Naive) -> Result<(), TestCaseError> {
    for ((name, rtype), answer) in told {
        let expected = zone.answer(name, *rtype);
        prop_assert_eq!(in_one_case(*rtype, answer), in_one_case(*rtype, &expected), "{} {}", name, rtype);
    }
    Ok(())
}

/// The world beside its model, and the names that are asked for.
struct Bench {
    world: World,
    model: Model,
    version: u64,
    names: Vec<String>,
    /// What was said to them last.
    told: Told,
}

impl Bench {
    fn new(names: Vec<String>) -> Bench {
        let mut world = World::of_profiles(settings(), &PROFILES);
        PROFILES.iter().for_each(|profile| world.list_of(profile, []));
        world.publish();
        let told = told(&world, &names);
        Bench { world, model: Model::default(), version: 1, names, told }
    }

    fn send(&mut self, source: usize, change: Change) {
        self.world.send_of(PROFILES[source], change);
    }

    fn tell(&mut self, source: usize, state: &State) -> u64 {
        self.version += 1;
        self.send(source, Change::Apply(Box::new(state.pod(self.version))));
        self.version
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Apply(source, state) => {
                let version = self.tell(*source, state);
                self.model.apply(*source, state, version);
            }
            Step::Remove(source, uid) => {
                self.send(*source, Change::Remove(format!("uid-{uid}").into()));
                self.model.release(*source, |one| one == *uid);
            }
            Step::List(source, listed, breaks, meanwhile) => return self.list(*source, listed, *breaks, meanwhile),
        }
        self.judge()
    }

    /// A list of which nothing is seen before its end, also where it breaks off first, while the other source goes on.
    fn list(
        &mut self,
        source: usize,
        listed: &[State],
        breaks: bool,
        meanwhile: &[State],
    ) -> Result<(), TestCaseError> {
        self.send(source, Change::Begin);
        let mut versions: Vec<u64> = listed.iter().map(|state| self.tell(source, state)).collect();
        self.judge()?;
        for state in meanwhile.iter().filter(|state| listed.iter().all(|one| one.uid != state.uid)) {
            let version = self.tell(1 - source, state);
            self.model.apply(1 - source, state, version);
            self.judge()?;
        }
        if breaks {
            self.send(source, Change::Abort);
            self.judge()?;
            self.send(source, Change::Begin);
            versions = listed.iter().map(|state| self.tell(source, state)).collect();
        }
        self.send(source, Change::Commit);
        self.model.release(source, |uid| listed.iter().all(|state| state.uid != uid));
        for (state, version) in listed.iter().zip(versions) {
            self.model.apply(source, state, version);
        }
        self.judge()
    }

    /// Publishes, and holds what is said now against the model and against what was said before.
    fn judge(&mut self) -> Result<(), TestCaseError> {
        let earlier = Arc::new(self.world.snapshot().clone());
        self.world.publish();
        let after = told(&self.world, &self.names);
        let zone = self.model.zone();
        agree(&after, &zone)?;
        let has_moved = self.world.snapshot().serial != earlier.serial;
        let is_shown = std::mem::replace(&mut self.told, after) != self.told;
        prop_assert!(has_moved || !is_shown, "an answer moved without the serial");
        if has_moved && !is_shown {
            let now = told(&self.world, &UNIVERSE);
            let later = Arc::new(self.world.snapshot().clone());
            self.world.set_snapshot(earlier);
            let then = told(&self.world, &UNIVERSE);
            self.world.set_snapshot(later);
            prop_assert!(now != then, "the serial moved, and no answer did");
        }
        Ok(())
    }
}

/// Names asked for after each step, other ones in each case.
const NAMES: usize = 60;

proptest! {
    #![proptest_config(config(32, seeds_of!("answers/properties")))]

    #[test]
    fn the_zone_is_what_the_model_makes_of_the_pods(
        names in prop::sample::subsequence(UNIVERSE.clone(), NAMES),
        steps in prop::collection::vec(step(), 1..16),
    ) {
        let mut bench = Bench::new(names);
        bench.judge()?;
        for step in &steps {
            bench.take(step)?;
        }
        // At the end all that there is: of the names that can be, those asked for before are a few.
        let zone = bench.model.zone();
        let names: Vec<String> = zone.names.iter().cloned().collect();
        agree(&told(&bench.world, &names), &zone)?;
    }
}
