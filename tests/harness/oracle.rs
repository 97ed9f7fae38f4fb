//! What every Pod was and when, and whether an answer is one that a server may give for it.
//!
//! A slot is a Pod's name in a namespace. What stands there changes by one writer, one change after another, and each
//! change is somewhere between its sending and its acknowledgement. So a slot's history is a line, and an answer is legal
//! if each slot's part of it is what one moment of that line shows: a moment no older than what must be known by now, no
//! younger than the answer, and not before one that an earlier answer has shown. Parts are told apart by the ports, of which
//! none is used twice, and by the names of Pods.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::Instant;

use super::ask::Reply;

/// What a process registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registered {
    /// The interface's exact name, which is also its name in DNS in lower case.
    pub(crate) interface: &'static str,
    /// Its port, which no other registration ever has, and which its metadata `zone` repeats.
    pub(crate) port: u16,
}

/// How far a Pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// There is none.
    Absent,
    /// It has not started and has no address.
    Pending,
    /// It runs, and is ready or not.
    Running { ready: bool },
    /// It was asked to end.
    Terminating,
    /// Its containers are over.
    Finished,
}

/// What stands in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// How far it is.
    pub(crate) life: Life,
    /// Its address, once it runs.
    pub(crate) ip: String,
    /// What it registers.
    pub(crate) registered: Vec<Registered>,
}

/// A question whose answers can be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// SRV of an interface in a namespace.
    Srv { namespace: String, interface: &'static str },
    /// TXT of the same.
    Txt { namespace: String, interface: &'static str },
    /// A of a Pod.
    Pod { namespace: String, name: String },
}

impl State {
    /// Nothing.
    pub(crate) fn absent() -> State {
        State { life: Life::Absent, ip: String::new(), registered: Vec::new() }
    }

    /// Whether the name that is asked for is there because of it; none where either is right.
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

    /// Its part of the answer.
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

/// A state and when it came to be.
struct Moment {
    state: State,
    sent: Instant,
    acknowledged: Option<Instant>,
}

struct Slot {
    namespace: String,
    name: String,
    history: Vec<Moment>,
    /// The earliest moment that the answers so far allow.
    seen: usize,
    /// The last answers about it, for whoever must understand the next one.
    trail: VecDeque<Trace>,
}

/// How many answers a complaint tells of.
const TRAIL_LEN: usize = 12;

/// What an answer showed of a slot.
struct Trace {
    received: Instant,
    question: Question,
    rcode: String,
    part: Vec<String>,
    /// The earliest moment that explains it.
    moment: usize,
}

impl Slot {
    /// The moments that may be shown.
    fn allowed(&self, floor: Option<Instant>, received: Instant) -> impl Iterator<Item = usize> + '_ {
        let is_known = |moment: &Moment| moment.acknowledged.zip(floor).is_some_and(|(at, floor)| at <= floor);
        let first = self.history.iter().rposition(is_known).unwrap_or(0).max(self.seen);
        (first..self.history.len()).filter(move |at| self.history[*at].sent <= received)
    }
}

/// The model.
#[derive(Default)]
pub(crate) struct Oracle {
    slots: Vec<Slot>,
    /// Whose a port is.
    ports: BTreeMap<u16, usize>,
}

impl Oracle {
    /// A new slot, in which there is nothing.
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

    /// A change of a slot is on its way; where it takes two steps, each of them.
    pub(crate) fn sent(&mut self, slot: usize, state: State, now: Instant) {
        for one in &state.registered {
            let owner = self.ports.entry(one.port).or_insert(slot);
            assert_eq!(*owner, slot, "port {} is another Pod's", one.port);
        }
        self.slots[slot].history.push(Moment { state, sent: now, acknowledged: None });
    }

    /// The slot's last change is done.
    pub(crate) fn acknowledged(&mut self, slot: usize, now: Instant) {
        self.slots[slot].history.last_mut().expect("a change").acknowledged = Some(now);
    }

    /// The last state of a slot.
    pub(crate) fn last(&self, slot: usize) -> &State {
        &self.slots[slot].history.last().expect("a state").state
    }

    /// How many changes there were.
    pub(crate) fn changes(&self) -> usize {
        self.slots.iter().map(|slot| slot.history.len() - 1).sum()
    }

    /// Whether a server may give this answer; it was received now, and by the time it was asked for, what was
    /// acknowledged before `floor` had to be known. A legal one is remembered: nothing may go back behind it.
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

    /// Whether an answer is what the model is now.
    pub(crate) fn equals(&self, question: &Question, reply: &Reply) -> Result<(), String> {
        self.explain(question, reply, |slot| vec![slot.history.len() - 1]).map(drop)
    }

    /// The earliest moment of each slot that explains its part of an answer; what has none is not legal.
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
            return Err(format!("nobody registers it\n{}", slots.collect::<String>()));
        }
        Ok(seen)
    }

    /// The slots that a question is about.
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
            let owner = owner.ok_or_else(|| format!("{question:?}: a port that nobody registered: {record}"))?;
            parts.entry(owner).or_default().push(part.1);
        }
        parts.values_mut().for_each(|part| part.sort());
        Ok(parts)
    }
}

impl Slot {
    /// What is wrong: the part, the moments that it may be of and some before, and the answers before it.
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

/// A record's port, where it has one, and what it tells.
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
