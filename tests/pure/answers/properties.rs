//! Several sources send anything in any order. After each step the zone equals a naive model of the current Pods, and
//! the serial has moved if and only if an answer changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use callsign::source::Change;
use domain::base::iana::Rtype;
use proptest::prelude::*;

use super::naive::{GROUPS, INTERFACES, METADATA_LEN, Model, Naive, Offer, PHASES, State};
use super::world::{World, settings};
use crate::harness::seeds::{config, seeds_of};

const PROFILES: [&str; 2] = ["app", "dubbo"];
const RTYPES: [Rtype; 5] = [Rtype::SRV, Rtype::A, Rtype::AAAA, Rtype::PTR, Rtype::TXT];

/// Two Pods in each namespace share a name.
const UIDS: usize = 6;

/// There are few addresses and ports, so that Pods take them over from each other.
const ADDRESSES: std::ops::Range<u8> = 1..4;
const PORTS: std::ops::Range<u16> = 1..3;

#[derive(Clone, Debug)]
enum Step {
    Apply(usize, State),
    Remove(usize, usize),
    /// A source's list, how often it breaks off first, and what the other source sends meanwhile.
    List(usize, Vec<State>, usize, Vec<State>),
    /// Lists that break off for ever: the source sends nothing else until its next whole list.
    Broken(usize, Vec<State>, usize),
    /// A watch that ends at once: the source lists again what it has sent, at the same versions.
    Again(usize),
    /// etcd is restored from an older state: versions are lower from here on.
    Restore,
}

fn state() -> impl Strategy<Value = State> {
    let place = (0..UIDS, ADDRESSES, PORTS, 0i64..3, prop_oneof![4 => Just(0usize), 1 => 1..PHASES.len()]);
    let called = prop_oneof![6 => Just(None), 1 => (0..2usize, 0..2usize).prop_map(Some)];
    let health = [0.8, 0.2, 0.2, 0.2].map(prop::bool::weighted);
    let offers = prop::collection::btree_set((0..INTERFACES.len(), 0..GROUPS.len(), 0..METADATA_LEN), 0..4);
    (place, called, health, offers).prop_map(
        |((uid, address, port, start, phase), called, [is_ready, is_terminating, is_host, is_disabled], offers)| {
            State { uid, called, address, port, start, phase, is_ready, is_terminating, is_host, is_disabled, offers }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let source = || 0..PROFILES.len();
    let states = || prop::collection::vec(state(), 0..4);
    prop_oneof![
        12 => (source(), state()).prop_map(|(source, state)| Step::Apply(source, state)),
        4 => (source(), 0..UIDS).prop_map(|(source, uid)| Step::Remove(source, uid)),
        4 => (source(), states(), 0..3usize, states())
            .prop_map(|(source, listed, breaks, meanwhile)| Step::List(source, listed, breaks, meanwhile)),
        1 => (source(), states(), 1..3usize).prop_map(|(source, listed, times)| Step::Broken(source, listed, times)),
        1 => source().prop_map(Step::Again),
        1 => Just(Step::Restore),
    ]
}

static UNIVERSE: LazyLock<Vec<String>> = LazyLock::new(universe);

/// Every name that a Pod of these tests can have, and some that none can.
fn universe() -> Vec<String> {
    let every = (0..INTERFACES.len()).flat_map(|one| (0..GROUPS.len()).map(move |group| (one, group)));
    let every = every.flat_map(|(one, group)| (0..METADATA_LEN).map(move |metadata| (one, group, metadata)));
    let offers: BTreeSet<Offer> = every.collect();
    let mut names = BTreeSet::new();
    let called = (0..2).flat_map(|name| (0..2).map(move |namespace| Some((name, namespace))));
    for called in called {
        for address in ADDRESSES {
            for port in PORTS {
                let (uid, offers, phase, start) = (0, offers.clone(), 0, 0);
                let (is_ready, is_terminating, is_host, is_disabled) = (true, false, false, false);
                let place = State {
                    uid,
                    called,
                    address,
                    port,
                    start,
                    phase,
                    is_ready,
                    is_terminating,
                    is_host,
                    is_disabled,
                    offers,
                };
                let mut model = Model::default();
                model.apply(0, &place, 1);
                names.extend(model.zone().names);
            }
        }
    }
    let strangers: Vec<String> =
        names.iter().flat_map(|name| ["x", "_tcp", "b", "g-x"].map(|label| format!("{label}.{name}"))).collect();
    names.extend(strangers);
    names.into_iter().collect()
}

/// The answer to each name and type: the code and the data.
type Told = BTreeMap<(String, Rtype), (String, Vec<String>)>;

/// A world's answers to all of these names.
fn told(world: &World, names: &[String]) -> Told {
    let questions = names.iter().flat_map(|name| RTYPES.map(|rtype| (name, rtype)));
    questions.map(|(name, rtype)| ((name.clone(), rtype), world.data(name, rtype))).collect()
}

/// An answer with names in lower case where services are browsed. Any of several names that differ only in case may
/// appear there.
fn in_one_case(rtype: Rtype, (rcode, data): &(String, Vec<String>)) -> (String, Vec<String>) {
    let mut data = data.clone();
    if rtype == Rtype::PTR {
        data.iter_mut().for_each(|name| name.make_ascii_lowercase());
        data.sort();
    }
    (rcode.clone(), data)
}

/// Whether the answers equal the model's.
fn agree(told: &Told, zone: &Naive) -> Result<(), TestCaseError> {
    for ((name, rtype), answer) in told {
        let expected = zone.answer(name, *rtype);
        prop_assert_eq!(in_one_case(*rtype, answer), in_one_case(*rtype, &expected), "{} {}", name, rtype);
    }
    Ok(())
}

/// The world, its model, and the names to ask for.
struct Bench {
    world: World,
    model: Model,
    /// The last version sent. It falls at a restore.
    count: u64,
    restores: u64,
    /// The sources whose lists break off.
    broken: BTreeSet<usize>,
    names: Vec<String>,
    /// The last answers to the names.
    told: Told,
    /// The model's last zone.
    zone: Naive,
}

impl Bench {
    fn new(names: Vec<String>) -> Bench {
        let mut world = World::of_profiles(settings(), &PROFILES);
        PROFILES.iter().for_each(|profile| world.list_of(profile, []));
        world.publish();
        let told = told(&world, &names);
        let (model, broken) = (Model::default(), BTreeSet::new());
        let zone = model.zone();
        Bench { world, model, count: 1, restores: 0, broken, names, told, zone }
    }

    fn send(&mut self, source: usize, change: Change) {
        self.world.send_of(PROFILES[source], change);
    }

    /// A version that no Pod had before, above all since the last restore.
    fn version(&mut self) -> u64 {
        self.count += 1;
        self.count * 1_000 + self.restores
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Apply(source, state) => self.apply(*source, state),
            Step::Remove(source, uid) if !self.broken.contains(source) => {
                self.send(*source, Change::Remove(format!("uid-{uid}").into()));
                self.model.release(*source, *uid);
            }
            Step::Remove(..) => {}
            Step::List(source, listed, breaks, meanwhile) => return self.list(*source, listed, *breaks, meanwhile),
            Step::Broken(source, listed, times) => {
                (0..*times).try_for_each(|_| self.break_off(*source, listed))?;
                self.broken.insert(*source);
            }
            Step::Again(source) => self.list_again(*source),
            Step::Restore => (self.count, self.restores) = (self.count / 2, self.restores + 1),
        }
        self.judge()
    }

    fn apply(&mut self, source: usize, state: &State) {
        if !self.broken.contains(&source) {
            let version = self.version();
            self.send(source, Change::Apply(Box::new(state.pod(version))));
            self.model.apply(source, state, version);
        }
    }

    /// Begins a list and names its Pods.
    fn begin(&mut self, source: usize, listed: &[State]) -> BTreeSet<usize> {
        self.send(source, Change::Begin);
        self.model.begin(source);
        for state in listed {
            let version = self.version();
            self.send(source, Change::Apply(Box::new(state.pod(version))));
            self.model.list(source, state, version);
        }
        listed.iter().map(|state| state.uid).collect()
    }

    fn commit(&mut self, source: usize, named: &BTreeSet<usize>) {
        self.send(source, Change::Commit);
        self.model.commit(source, named);
        self.broken.remove(&source);
    }

    fn break_off(&mut self, source: usize, listed: &[State]) -> Result<(), TestCaseError> {
        self.begin(source, listed);
        self.judge()?;
        self.send(source, Change::Abort);
        self.judge()
    }

    /// A list, which may break off first while the other source sends. Nothing of it is visible before its end.
    fn list(
        &mut self,
        source: usize,
        listed: &[State],
        breaks: usize,
        meanwhile: &[State],
    ) -> Result<(), TestCaseError> {
        (0..breaks).try_for_each(|_| self.break_off(source, listed))?;
        let named = self.begin(source, listed);
        self.judge()?;
        for state in meanwhile.iter().filter(|state| listed.iter().all(|one| one.uid != state.uid)) {
            self.apply(1 - source, state);
            self.judge()?;
        }
        self.commit(source, &named);
        self.judge()
    }

    fn list_again(&mut self, source: usize) {
        let held = self.model.holding(source);
        self.send(source, Change::Begin);
        self.model.begin(source);
        for (state, version) in &held {
            self.send(source, Change::Apply(Box::new(state.pod(*version))));
            self.model.list(source, state, *version);
        }
        self.commit(source, &held.iter().map(|(state, _)| state.uid).collect());
    }

    /// Publishes. Compares the answers to the model and to the answers before.
    fn judge(&mut self) -> Result<(), TestCaseError> {
        let earlier = Arc::new(self.world.snapshot().clone());
        self.world.publish();
        let after = told(&self.world, &self.names);
        let zone = self.model.zone();
        agree(&after, &zone)?;
        let has_moved = self.world.snapshot().serial != earlier.serial;
        let is_shown = std::mem::replace(&mut self.told, after) != self.told;
        let before = std::mem::replace(&mut self.zone, zone);
        prop_assert!(has_moved || !is_shown && before == self.zone, "an answer moved without the serial");
        if has_moved && !is_shown {
            // The names asked for are only some of those that exist.
            let names: Vec<String> = before.names.union(&self.zone.names).cloned().collect();
            let now = told(&self.world, &names);
            let later = Arc::new(self.world.snapshot().clone());
            self.world.set_snapshot(earlier);
            let then = told(&self.world, &names);
            self.world.set_snapshot(later);
            prop_assert!(now != then, "the serial moved, and no answer did");
        }
        Ok(())
    }
}

/// The names asked for after each step. Each case has others.
const NAMES: usize = 60;

proptest! {
    #![proptest_config(config(128, seeds_of!("pure/answers/properties")))]

    #[test]
    fn the_zone_equals_the_model(
        names in prop::sample::subsequence(UNIVERSE.clone(), NAMES),
        steps in prop::collection::vec(step(), 1..16),
    ) {
        let mut bench = Bench::new(names);
        bench.judge()?;
        for step in &steps {
            bench.take(step)?;
        }
        // At the end, ask for everything that exists: the names so far were only some.
        let zone = bench.model.zone();
        let names: Vec<String> = zone.names.iter().cloned().collect();
        agree(&told(&bench.world, &names), &zone)?;
    }
}
