//! The history of every Pod, and whether a server may give an answer.
//!
//! A slot is a Pod's name in a namespace. One writer changes it, one change after another, and each change happens between
//! its request and its acknowledgement. So a slot's history is a sequence of states. An answer is legal if each slot's part
//! of it shows one moment of that history. The moment must not be older than what the server must know, not newer than the
//! answer, and not before a moment that an earlier answer has shown. Ports, none of which is used twice, and the names of
//! Pods tell the parts apart.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::Instant;

use super::ask::Reply;

/// A registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registered {
    /// The interface's exact name. In lower case it is also the name in DNS.
    pub(crate) interface: &'static str,
    /// The port. No other registration ever has it, and the metadata `zone` repeats it.
    pub(crate) port: u16,
}

/// The phase of a Pod's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// There is no Pod.
    Absent,
    /// It has not started and has no address.
    Pending,
    /// It runs, and is or is not ready.
    Running { ready: bool },
    /// It was asked to end.
    Terminating,
    /// Its containers have finished.
    Finished,
}

/// The state of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) life: Life,
    /// The Pod's address, once it runs.
    pub(crate) ip: String,
    /// The Pod's registrations.
    pub(crate) registered: Vec<Registered>,
}

/// A question whose answers the oracle can check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// SRV of an interface in a namespace.
    Srv { namespace: String, interface: &'static str },
    /// TXT of an interface in a namespace.
    Txt { namespace: String, interface: &'static str },
    /// A of a Pod.
    Pod { namespace: String, name: String },
}

impl State {
    /// No Pod.
    pub(crate) fn absent() -> State {
        State { life: Life::Absent, ip: String::new(), registered: Vec::new() }
    }

    /// Whether the queried name exists because of this state. `None` if both are correct.
    fn exists(&self, question: &Question) -> Option<bool> {
        let is_unfinished = !matches!(self.life, Life::Absent | Life::Finished);
        match question {
            Question::Srv { interface, .. } | Question::Txt { interface, .. } => {
                Some(is_unfinished && self.registered.iter().any(|one| one.interface == *interface))
            }
            Question::Pod { .. } => {
                let is_named = is_unfinished && !self.registered.is_empty();
                (!is_named || !self.ip.is_empty()).then_some(is_named)
            }
        }
    }

    /// The state's part of the answer.
    fn shows(&self, name: &str, question: &Question) -> Vec<String> {
        let is_there = self.exists(question) != Some(false);
        let interface = match question {
            Question::Pod { .. } if is_there && !self.ip.is_empty() => return vec![self.ip.clone()],
            Question::Pod { .. } => return Vec::new(),
            Question::Srv { interface, .. } | Question::Txt { interface, .. } => *interface,
        };
        let ready = (self.life == Life::Running { ready: true }).then_some(&self.registered);
        let ready = ready.into_iter().flatten().filter(|one| one.interface == interface);
        let mut part: Vec<String> = ready
            .map(|one| match question {
                Question::Srv { .. } => format!("{} {}", one.port, self.ip),
                _ => format!("pod={name} addr={}:{} interface={interface} zone={}", self.ip, one.port, one.port),
            })
            .collect();
        part.sort();
        part
    }
}

/// A state, and when it began.
struct Moment {
    state: State,
    sent: Instant,
    acknowledged: Option<Instant>,
}

struct Slot {
    namespace: String,
    name: String,
    history: Vec<Moment>,
    /// The earliest moment that the previous answers allow.
    seen: usize,
    /// The last answers about the slot, for the message of a failure.
    trail: VecDeque<Trace>,
}

/// How many answers a failure's message shows.
const TRAIL_LEN: usize = 12;

/// A slot's part of an answer.
struct Trace {
    received: Instant,
    question: Question,
    rcode: String,
    part: Vec<String>,
    /// The earliest moment that matches it.
    moment: usize,
}

impl Slot {
    /// The allowed moments.
    fn allowed(&self, floor: Option<Instant>, received: Instant) -> impl Iterator<Item = usize> + '_ {
        let is_known = |moment: &Moment| moment.acknowledged.zip(floor).is_some_and(|(at, floor)| at <= floor);
        let first = self.history.iter().rposition(is_known).unwrap_or(0).max(self.seen);
        (first..self.history.len()).filter(move |at| self.history[*at].sent <= received)
    }
}

/// The model: all slots and their histories.
#[derive(Default)]
pub(crate) struct Oracle {
    slots: Vec<Slot>,
    /// The slot of each port.
    ports: BTreeMap<u16, usize>,
}

impl Oracle {
    /// Adds an empty slot.
    pub(crate) fn slot(&mut self, namespace: &str, name: &str, now: Instant) -> usize {
        let nothing = Moment { state: State::absent(), sent: now, acknowledged: Some(now) };
        self.slots.push(Slot {
            namespace: namespace.into(),
            name: name.into(),
            history: vec![nothing],
            seen: 0,
            trail: VecDeque::new(),
        });
        self.slots.len() - 1
    }

    /// Records that a change of a slot is requested, with each step of a change of two steps.
    pub(crate) fn sent(&mut self, slot: usize, state: State, now: Instant) {
        for one in &state.registered {
            let owner = self.ports.entry(one.port).or_insert(slot);
            assert_eq!(*owner, slot, "port {} is another Pod's", one.port);
        }
        self.slots[slot].history.push(Moment { state, sent: now, acknowledged: None });
    }

    /// Records that the slot's last change is acknowledged.
    pub(crate) fn acknowledged(&mut self, slot: usize, now: Instant) {
        self.slots[slot].history.last_mut().expect("a change").acknowledged = Some(now);
    }

    /// The last state of a slot.
    pub(crate) fn last(&self, slot: usize) -> &State {
        &self.slots[slot].history.last().expect("a state").state
    }

    /// The number of changes.
    pub(crate) fn changes(&self) -> usize {
        self.slots.iter().map(|slot| slot.history.len() - 1).sum()
    }

    /// Whether a server may give this answer, received now. When it was requested, the server had to know every change that was
    /// acknowledged before `floor`. A legal answer is recorded: no later answer may show an earlier moment.
    pub(crate) fn judge(
        &mut self,
        question: &Question,
        reply: &Reply,
        floor: Option<Instant>,
        received: Instant,
    ) -> Result<(), String> {
        let seen = self.explain(question, reply, |slot| slot.allowed(floor, received).collect())?;
        let mut parts = self.parts(question, reply)?;
        for (at, moment) in seen {
            let slot = &mut self.slots[at];
            slot.seen = moment;
            slot.trail.truncate(TRAIL_LEN - 1);
            let (question, rcode, part) =
                (question.clone(), reply.rcode.clone(), parts.remove(&at).unwrap_or_default());
            slot.trail.push_front(Trace { received, question, rcode, part, moment });
        }
        Ok(())
    }

    /// Whether an answer shows the current state of the model.
    pub(crate) fn equals(&self, question: &Question, reply: &Reply) -> Result<(), String> {
        self.explain(question, reply, |slot| vec![slot.history.len() - 1]).map(drop)
    }

    /// The earliest moment of each slot that matches its part of an answer. A part without one is illegal.
    fn explain(
        &self,
        question: &Question,
        reply: &Reply,
        allowed: impl Fn(&Slot) -> Vec<usize>,
    ) -> Result<Vec<(usize, usize)>, String> {
        let is_there = match reply.rcode.as_str() {
            "NOERROR" => true,
            "NXDOMAIN" if reply.answer.is_empty() => false,
            other => return Err(format!("{question:?} is {other}: {reply:?}")),
        };
        let mut parts = self.parts(question, reply)?;
        let mut may_be_there = false;
        let mut seen = Vec::new();
        for (at, slot) in self.asked(question) {
            let part = parts.remove(&at).unwrap_or_default();
            let fits = |moment: &usize| {
                let state = &slot.history[*moment].state;
                state.shows(&slot.name, question) == part && (is_there || state.exists(question) != Some(true))
            };
            let allowed = allowed(slot);
            let fitting: Vec<usize> = allowed.iter().copied().filter(fits).collect();
            let Some(first) = fitting.first() else { return Err(slot.complain(question, reply, &part, &allowed)) };
            may_be_there |= fitting.iter().any(|moment| slot.history[*moment].state.exists(question) != Some(false));
            seen.push((at, *first));
        }
        if let Some((at, part)) = parts.into_iter().next() {
            return Err(format!("{question:?} shows {part:?} of {}", self.slots[at].name));
        }
        if is_there && !may_be_there {
            let slots = self.asked(question).map(|(_, slot)| slot.complain(question, reply, &[], &allowed(slot)));
            return Err(format!("no Pod registers it\n{}", slots.collect::<String>()));
        }
        Ok(seen)
    }

    /// The slots of a question.
    fn asked<'o>(&'o self, question: &'o Question) -> impl Iterator<Item = (usize, &'o Slot)> {
        self.slots.iter().enumerate().filter(move |(_, slot)| match question {
            Question::Srv { namespace, .. } | Question::Txt { namespace, .. } => slot.namespace == *namespace,
            Question::Pod { namespace, name } => slot.namespace == *namespace && slot.name == *name,
        })
    }

    /// The answer's parts by slot.
    fn parts(&self, question: &Question, reply: &Reply) -> Result<BTreeMap<usize, Vec<String>>, String> {
        let mut parts: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for record in &reply.answer {
            let part = part_of(question, record).ok_or_else(|| format!("{question:?}: not as written: {record}"))?;
            let owner = match question {
                Question::Pod { .. } => self.asked(question).next().map(|(at, _)| at),
                _ => self.ports.get(&part.0).copied(),
            };
            let owner = owner.ok_or_else(|| format!("{question:?}: a port that no Pod registered: {record}"))?;
            parts.entry(owner).or_default().push(part.1);
        }
        parts.values_mut().for_each(|part| part.sort());
        Ok(parts)
    }
}

impl Slot {
    /// A failure's message: the part, the allowed moments and some before, and the previous answers.
    fn complain(&self, question: &Question, reply: &Reply, part: &[String], allowed: &[usize]) -> String {
        let mut text =
            format!("{question:?}: {} with {part:?} of {}; it may be {allowed:?} of\n", reply.rcode, self.name);
        let first = allowed.first().map_or(0, |first| first.saturating_sub(4));
        for (at, Moment { state, sent, acknowledged }) in self.history.iter().enumerate().skip(first) {
            let acknowledged = acknowledged.map(|at| at.elapsed());
            let _ = writeln!(text, "{at}: {state:?}, sent {:?} ago, acknowledged {acknowledged:?} ago", sent.elapsed());
        }
        for Trace { received, question, rcode, part, moment } in &self.trail {
            let ago = received.elapsed();
            let _ = writeln!(text, "{ago:?} ago it was {moment} or later, by {rcode} {part:?} to {question:?}");
        }
        text
    }
}

/// A record's port, if it has one, and its content.
fn part_of(question: &Question, record: &str) -> Option<(u16, String)> {
    match question {
        Question::Srv { .. } => {
            let data: Vec<&str> = record.split(" IN SRV ").nth(1)?.split(' ').collect();
            let ["0", "100", port, target] = data[..] else { return None };
            let ip = target.split('.').next()?.replace('-', ".");
            Some((port.parse().ok()?, format!("{port} {ip}")))
        }
        Question::Txt { .. } => {
            let strings: Vec<&str> = record.split(" IN TXT ").nth(1)?.trim_matches('"').split("\" \"").collect();
            let port = strings.iter().find_map(|string| string.strip_prefix("addr="))?.rsplit(':').next()?;
            Some((port.parse().ok()?, strings.join(" ")))
        }
        Question::Pod { .. } => Some((0, record.split(" IN A ").nth(1)?.to_owned())),
    }
}
