//! The soak's Pods: each slot changes independently, and the oracle records each change before the API server gets it.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::{Value, json};

use crate::harness::cluster::Cluster;
use crate::harness::kubelet::{Namespace, Pod, annotation};
use crate::harness::oracle::{Life, Oracle, Question, Registered, State};

/// The interfaces that are registered in every namespace.
pub(super) const INTERFACES: [&str; 2] = ["org.acme.Greeter", "org.acme.Clock"];

/// Pods of a namespace.
const SLOTS: usize = 6;

/// Both profiles' labels and annotations.
const PROFILES: [(&str, &str, &str); 2] = [
    ("app.io/label", "app.io-value", "app.io/annotation"),
    ("dubbo.io/label", "dubbo.io-value", "dubbo.io/annotation"),
];

/// A random number generator (xorshift64*), the same for the same seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    /// True with this probability, in percent.
    pub(super) fn percent(&mut self, often: u64) -> bool {
        self.below(100) < often
    }
}

/// The slot of a Pod.
struct Slot {
    number: usize,
    namespace: usize,
    name: String,
    profile: usize,
    pod: Option<Pod>,
}

/// The Pods and their changes.
pub(super) struct Churn {
    cluster: &'static Cluster,
    oracle: Arc<Mutex<Oracle>>,
    questions: Arc<Mutex<Vec<Question>>>,
    dice: Dice,
    namespaces: Vec<Namespace>,
    slots: Vec<Slot>,
    port: u16,
}

impl Churn {
    pub(super) fn new(seed: u64, oracle: Arc<Mutex<Oracle>>, questions: Arc<Mutex<Vec<Question>>>) -> Churn {
        let (cluster, dice) = (Cluster::shared(), Dice::new(seed));
        let (namespaces, slots) = (Vec::new(), Vec::new());
        let mut churn = Churn { cluster, oracle, questions, dice, namespaces, slots, port: 10_000 };
        (0..2).for_each(|_| churn.add_namespace());
        churn
    }

    fn add_namespace(&mut self) {
        let namespace = self.cluster.namespace("soak");
        let mut questions = self.questions.lock().expect("no panic under the lock");
        for interface in INTERFACES {
            let namespace = || namespace.name.clone();
            questions.push(Question::Srv { namespace: namespace(), interface });
            questions.push(Question::Txt { namespace: namespace(), interface });
        }
        for index in 0..SLOTS {
            let name = format!("greeter-{index}");
            let number =
                self.oracle.lock().expect("no panic under the lock").slot(&namespace.name, &name, Instant::now());
            questions.push(Question::Pod { namespace: namespace.name.clone(), name: name.clone() });
            let (profile, at) = (index % PROFILES.len(), self.namespaces.len());
            self.slots.push(Slot { number, namespace: at, name, profile, pod: None });
        }
        self.namespaces.push(namespace);
    }

    /// Deletes all Pods of the oldest namespace at once, and creates another namespace.
    pub(super) fn turn_namespace(&mut self) {
        let oldest = self.slots.iter().map(|slot| slot.namespace).min().expect("slots");
        let gone: Vec<Slot> = self.slots.extract_if(.., |slot| slot.namespace == oldest).collect();
        gone.iter().for_each(|slot| self.deleting(slot.number));
        let api: Api<core::Pod> = Api::namespaced(self.cluster.admin(), &self.namespaces[oldest].name);
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.cluster.block_on(api.delete_collection(&now, &ListParams::default())).expect("delete all Pods");
        for slot in &gone {
            self.oracle.lock().expect("no panic under the lock").acknowledged(slot.number, Instant::now());
        }
        self.add_namespace();
    }

    /// Makes one change of one Pod.
    pub(super) fn change(&mut self) {
        let at = self.dice.below(self.slots.len() as u64) as usize;
        let state = self.oracle.lock().expect("no panic under the lock").last(self.slots[at].number).clone();
        let dice = self.dice.below(100);
        match (state.life, dice) {
            (Life::Absent, _) => self.create(at),
            (Life::Pending, 0..70) => self.run(at, state),
            (Life::Running { ready }, 0..30) => self.set_ready(at, state, !ready),
            (Life::Running { .. }, 30..38) => self.move_to_another_address(at, state),
            (Life::Running { .. }, 38..46) => self.terminate(at, state),
            (Life::Running { .. }, 46..54) => self.finish(at, state),
            (Life::Running { .. }, 54..60) => {
                self.delete(at);
                self.create(at);
            }
            (Life::Running { .. }, 60..64) => self.withdraw(at, state),
            (Life::Pending, 70..90) | (Life::Running { .. }, 64..95) | (Life::Terminating, 0..20) => {
                self.register(at, state);
            }
            _ => self.delete(at),
        }
    }

    /// Writes a change, and records its request and its acknowledgement in the oracle.
    fn write(&mut self, at: usize, state: State, write: impl FnOnce(&mut Slot, &Namespace)) {
        let slot = &mut self.slots[at];
        self.oracle.lock().expect("no panic under the lock").sent(slot.number, state, Instant::now());
        write(slot, &self.namespaces[slot.namespace]);
        self.oracle.lock().expect("no panic under the lock").acknowledged(slot.number, Instant::now());
    }

    fn create(&mut self, at: usize) {
        let registered = self.registrations();
        let metadata = metadata(self.slots[at].profile, &registered);
        let state = State { life: Life::Pending, ip: String::new(), registered };
        self.write(at, state, |slot, namespace| {
            let mut pod = json!({ "metadata": metadata, "spec": { "nodeName": "node",
                "containers": [{ "name": "main", "image": "process" }] } });
            pod["metadata"]["name"] = json!(slot.name);
            slot.pod = Some(namespace.create(&serde_json::from_value(pod).expect("a Pod")));
        });
    }

    fn run(&mut self, at: usize, state: State) {
        let ip = self.free_address(at);
        let next = State { life: Life::Running { ready: true }, ip: ip.clone(), ..state };
        self.write(at, next, |slot, _| slot.there().run(&[&ip]));
    }

    fn set_ready(&mut self, at: usize, state: State, ready: bool) {
        self.write(at, State { life: Life::Running { ready }, ..state }, |slot, _| slot.there().set_ready(ready));
    }

    fn move_to_another_address(&mut self, at: usize, state: State) {
        let ip = self.free_address(at);
        let status = json!({ "podIP": ip, "podIPs": [{ "ip": ip }] });
        self.write(at, State { ip, ..state }, |slot, _| slot.there().patch_status(status));
    }

    fn terminate(&mut self, at: usize, state: State) {
        self.write(at, State { life: Life::Terminating, ..state }, |slot, _| slot.there().terminate());
    }

    fn finish(&mut self, at: usize, state: State) {
        self.write(at, State { life: Life::Finished, ..state }, |slot, _| slot.there().finish("Succeeded"));
    }

    fn register(&mut self, at: usize, state: State) {
        let registered = self.registrations();
        let patch = json!({ "metadata": metadata(self.slots[at].profile, &registered) });
        self.write(at, State { registered, ..state }, |slot, _| slot.there().patch(patch));
    }

    fn withdraw(&mut self, at: usize, state: State) {
        let (label, _, key) = PROFILES[self.slots[at].profile];
        let patch = json!({ "metadata": { "labels": { label: null }, "annotations": { key: null } } });
        self.write(at, State { registered: Vec::new(), ..state }, |slot, _| slot.there().patch(patch));
    }

    fn delete(&mut self, at: usize) {
        self.deleting(self.slots[at].number);
        let slot = &mut self.slots[at];
        slot.there().delete();
        slot.pod = None;
        self.oracle.lock().expect("no panic under the lock").acknowledged(slot.number, Instant::now());
    }

    /// The API server takes two steps, even without a grace period: a deletionTimestamp, and then the end. A watch that is cut
    /// may bring the second one late.
    fn deleting(&self, slot: usize) {
        let mut oracle = self.oracle.lock().expect("no panic under the lock");
        let (state, now) = (oracle.last(slot).clone(), Instant::now());
        if matches!(state.life, Life::Pending | Life::Running { .. }) {
            oracle.sent(slot, State { life: Life::Terminating, ..state }, now);
        }
        oracle.sent(slot, State::absent(), now);
    }

    /// One to three registrations, each of either interface.
    fn registrations(&mut self) -> Vec<Registered> {
        (0..=self.dice.below(3))
            .map(|_| {
                self.port = self.port.checked_add(1).expect("a soak has 55,000 registrations");
                Registered { interface: INTERFACES[self.dice.below(2) as usize], port: self.port }
            })
            .collect()
    }

    /// An address of the namespace that no unfinished Pod has. A finished Pod may have it.
    fn free_address(&mut self, at: usize) -> String {
        let oracle = self.oracle.lock().expect("no panic under the lock");
        let is_taken = |ip: &String| {
            let states = self.slots.iter().map(|slot| oracle.last(slot.number));
            states.into_iter().any(|state| state.ip == *ip && !matches!(state.life, Life::Absent | Life::Finished))
        };
        let namespace = &self.namespaces[self.slots[at].namespace];
        loop {
            let ip = namespace.ip(1 + self.dice.below(12) as u8);
            if !is_taken(&ip) {
                return ip;
            }
        }
    }
}

impl Slot {
    fn there(&self) -> &Pod {
        self.pod.as_ref().expect("a Pod")
    }
}

fn metadata(profile: usize, registered: &[Registered]) -> Value {
    let (label, value, key) = PROFILES[profile];
    let ports: Vec<String> = registered.iter().map(|one| one.port.to_string()).collect();
    let pairs = registered.iter().zip(&ports);
    let pairs: Vec<(&str, &str)> = pairs
        .flat_map(|(one, port)| [("interface", one.interface), ("port", port.as_str()), ("zone", port.as_str())])
        .collect();
    json!({ "labels": { label: value }, "annotations": { key: annotation(&pairs) } })
}
