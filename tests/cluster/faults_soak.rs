//! The soak: random faults and random changes of Pods, and an oracle that checks every answer.
//!
//! It runs in rounds. For some seconds there are faults and changes. Then both end, the server notices at its next attempts,
//! and within 5 s of that every answer must match the model. Calm rounds have no faults, and each change must show within those
//! 5 s. The oracle checks answers all the time.
//!
//! `CALLSIGN_SOAK_SECONDS` is its length (60 by default). `CALLSIGN_SOAK_SEED` repeats the choices. Which request a fault meets
//! still depends on the machine.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::base::iana::Rtype;
use nix::sys::signal::Signal;

use super::faults::extended_error;
use super::faults_soak_churn::{Churn, Dice};
use crate::harness::ask::{Ask, Reply, flag};
use crate::harness::cluster::Cluster;
use crate::harness::control_plane::ApiServer;
use crate::harness::faults::{End, Fault, FaultyWay, Point};
use crate::harness::oracle::{Oracle, Question};
use crate::harness::order::LAG_MAX;
use crate::harness::server::Server;

/// How long the server may take to notice the end of the faults: its longest wait, 10 s, for each of its two watches, after a
/// `Retry-After`, and a list in between.
const NOTICED: Duration = Duration::from_secs(40);

/// The pause between two changes.
const CHANGE_INTERVAL: Duration = Duration::from_millis(40);

/// The server's `--stale-after`. It is short, so that lists that break off for ever make the zone stale within the test.
const STALE_AFTER: Duration = Duration::from_secs(3);

/// How long lists break off in a round in which they do so all the time: until answers must have been stale for some time.
const BLINDNESS: Duration = Duration::from_secs(9);

/// The name of the count of such rounds.
const BROKEN_LISTS: &str = "lists that break off for ever";

/// The approximate time of a round with its convergence. No round begins that would end too late.
const ROUND: Duration = Duration::from_secs(8);

/// The pause between two questions, because other tests use the machine too.
const QUESTION_INTERVAL: Duration = Duration::from_millis(3);

struct Soak {
    cluster: &'static Cluster,
    /// The one of the cluster's two API servers that the test disturbs. Changes go to the other.
    api_server: ApiServer,
    way: FaultyWay,
    server: Server,
    oracle: Arc<Mutex<Oracle>>,
    questions: Arc<Mutex<Vec<Question>>>,
    is_over: AtomicBool,
    judged: Mutex<u64>,
    /// The number of answers that had to be marked stale.
    marked: AtomicU64,
}

/// The faults of a whole round.
#[derive(Clone, Copy)]
enum Weather {
    /// Random faults.
    Random,
    /// Every watch is granted and ends at once, empty. Lists are whole.
    EmptyWatches,
    /// Every watch is too old, and no list is whole.
    BrokenLists,
}

#[test]
fn no_answer_is_illegal_while_faults_and_changes_are_random() {
    let seconds = variable("CALLSIGN_SOAK_SECONDS").unwrap_or(60);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let seed = variable("CALLSIGN_SOAK_SEED").unwrap_or(now.as_millis() as u64 % 1_000_000);
    eprintln!("CALLSIGN_SOAK_SECONDS={seconds} CALLSIGN_SOAK_SEED={seed}");

    let cluster = Cluster::shared();
    let end = Instant::now() + Duration::from_secs(seconds).saturating_sub(ROUND);
    let api_server = cluster.another_api_server();
    let way = FaultyWay::start(cluster, cluster.client_of(&api_server));
    let (oracle, questions) = (Arc::<Mutex<Oracle>>::default(), Arc::<Mutex<Vec<Question>>>::default());
    let churn = Churn::new(seed, oracle.clone(), questions.clone());
    let stale_after = STALE_AFTER.as_secs().to_string();
    let args = ["--kubeconfig", &way.kubeconfig(), "--all-namespaces", "--stale-after", &stale_after];
    let server = Server::start(&args);
    let (is_over, judged) = (AtomicBool::new(false), Mutex::new(0));
    let marked = AtomicU64::new(0);
    let soak = Soak { cluster, api_server, way, server, oracle, questions, is_over, judged, marked };
    scope(|threads| {
        let asking = threads.spawn(|| soak.judge_answers(seed));
        let ended = Ended(&soak.is_over);
        let longest = soak.rounds(churn, seed, end, || asking.is_finished());
        drop(ended);
        if let Err(failure) = asking.join() {
            std::panic::resume_unwind(failure);
        }
        soak.report(longest);
    });
}

/// Ends the querying thread, even if this thread panics.
struct Ended<'s>(&'s AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var_os(name)?;
    let number = value.to_str().and_then(|value| value.parse().ok());
    Some(number.unwrap_or_else(|| panic!("{name} is no number: {}", value.display())))
}

impl Soak {
    /// Asks one question after another until the end, and checks the answers.
    fn judge_answers(&self, seed: u64) {
        let mut dice = Dice::new(seed ^ 0x5eed);
        while !self.is_over.load(Ordering::Relaxed) {
            let question = {
                let questions = self.questions.lock().expect("no panic under the lock");
                questions[dice.below(questions.len() as u64) as usize].clone()
            };
            let (asked, order) = (Instant::now(), self.way.order());
            let (floor, stale) = (order.floor(asked), order.stale_since(STALE_AFTER));
            let reply = self.ask(&question);
            // No proof has reached the server meanwhile.
            if stale.is_some_and(|since| asked > since) && stale == order.stale_since(STALE_AFTER) {
                let error = extended_error(&reply);
                // EDE for stale, or for stale NXDOMAIN.
                assert!(matches!(error, Some(3 | 19)), "illegal, for nothing proves it: {question:?}: {error:?}");
                self.marked.fetch_add(1, Ordering::Relaxed);
            }
            let received = Instant::now();
            let verdict =
                self.oracle.lock().expect("no panic under the lock").judge(&question, &reply, floor, received);
            if let Err(fault) = verdict {
                panic!("illegal, {:?} behind what must be known: {fault}", floor.map(|floor| floor.elapsed()));
            }
            *self.judged.lock().expect("no panic under the lock") += 1;
            sleep(QUESTION_INTERVAL);
        }
    }

    fn ask(&self, question: &Question) -> Reply {
        let zone = "rpc.cluster.local.";
        let (name, rtype) = match question {
            Question::Srv { namespace, interface } => (format!("_rpc._tcp.{interface}.{namespace}.{zone}"), Rtype::SRV),
            Question::Txt { namespace, interface } => (format!("_rpc._tcp.{interface}.{namespace}.{zone}"), Rtype::TXT),
            Question::Pod { namespace, name } => (format!("{name}.{namespace}.pod.{zone}"), Rtype::A),
        };
        let ask = Ask::new(&name, rtype).edns(1232);
        let reply = ask.udp(self.server.dns);
        if reply.has(flag::TC) { ask.tcp(self.server.dns) } else { reply }
    }

    /// Runs the rounds. Returns the longest time from when all watches were complete until every answer was correct.
    fn rounds(&self, mut churn: Churn, seed: u64, end: Instant, has_failed: impl Fn() -> bool) -> Duration {
        let mut dice = Dice::new(seed ^ 0xfa17);
        let mut longest = Duration::ZERO;
        for round in 1.. {
            if Instant::now() >= end || has_failed() {
                break;
            }
            match (round % 4, round) {
                (0, _) => change_for(&mut churn, LAG_MAX + Duration::from_secs(2)),
                // At least once in a soak.
                (_, 3) => self.faults_for(&mut churn, &mut dice, round, Weather::BrokenLists),
                (_, 5) => self.faults_for(&mut churn, &mut dice, round, Weather::EmptyWatches),
                _ => {
                    let weather = match dice.below(6) {
                        0 => Weather::BrokenLists,
                        1 => Weather::EmptyWatches,
                        _ => Weather::Random,
                    };
                    self.faults_for(&mut churn, &mut dice, round, weather);
                }
            }
            if round % 3 == 0 {
                churn.turn_namespace();
            }
            longest = longest.max(self.converge());
        }
        longest
    }

    /// Runs faults and changes for some seconds.
    fn faults_for(&self, churn: &mut Churn, dice: &mut Dice, round: u64, weather: Weather) {
        let mut requests = Dice::new(dice.below(1 << 30));
        self.way.decide(move |point, version| match (weather, point) {
            (Weather::EmptyWatches, Point::Watch) => Some(Fault::After(0, End::Whole)),
            (Weather::EmptyWatches, _) => None,
            (Weather::BrokenLists, Point::Watch) => Some(Fault::status(410, "Expired", "too old")),
            (Weather::BrokenLists, Point::List) => Some(Fault::After(40, broken(&mut requests))),
            (Weather::BrokenLists, Point::Version | Point::Pod) => None,
            (Weather::Random, _) => requests.percent(70).then(|| fault(&mut requests, point, version)),
        });
        if let Weather::BrokenLists = weather {
            self.way.disturb(BROKEN_LISTS);
            self.way.cut();
            self.way.order().set_blind(true, Instant::now());
            change_for(churn, BLINDNESS);
        }
        // At least once in a soak, because it takes some seconds.
        let is_restarted = round == 2 || dice.percent(5);
        if is_restarted {
            self.way.disturb("API server killed");
            self.api_server.kill();
        }
        for _ in 0..2 + dice.below(4) {
            match dice.below(6) {
                0 => self.way.close(),
                1 => self.way.freeze(),
                2 if !is_restarted => {
                    self.way.disturb("API server stopped");
                    self.api_server.signal(Signal::SIGSTOP);
                    change_for(churn, Duration::from_millis(1_000));
                    self.api_server.signal(Signal::SIGCONT);
                }
                3 => {
                    self.way.switch_to(self.cluster.own_client());
                    self.way.cut();
                }
                _ => self.way.cut(),
            }
            change_for(churn, Duration::from_millis(300 + dice.below(1_200)));
            self.way.open();
            change_for(churn, Duration::from_millis(dice.below(700)));
        }
        if is_restarted {
            self.api_server.start_again();
            self.cluster.wait_until_ready(&self.api_server);
        }
        self.way.order().set_blind(false, Instant::now());
        self.way.decide(|_, _| None);
        self.way.switch_to(self.cluster.client_of(&self.api_server));
        self.way.open();
    }

    /// Waits until all watches are complete, and then until every answer matches the model. Returns how long the latter took.
    fn converge(&self) -> Duration {
        let stopped = Instant::now();
        let healed = loop {
            if let Some(since) = self.way.order().since() {
                break since.max(stopped);
            }
            assert!(stopped.elapsed() < NOTICED, "the end of the faults is not noticed: {}", self.server.log());
            sleep(Duration::from_millis(5));
        };
        let mut questions = self.questions.lock().expect("no panic under the lock").clone();
        loop {
            let wrong = |question: &Question| {
                let reply = self.ask(question);
                self.oracle.lock().expect("no panic under the lock").equals(question, &reply).err()
            };
            let complaint = questions.pop_if(|question| wrong(question).is_none()).is_none().then(|| questions.last());
            match complaint {
                None => continue,
                Some(None) => return healed.elapsed(),
                Some(Some(question)) => {
                    let wrong = wrong(question);
                    assert!(healed.elapsed() < LAG_MAX, "not converged {LAG_MAX:?} after all watches: {wrong:?}");
                }
            }
            sleep(Duration::from_millis(5));
        }
    }

    fn report(&self, longest: Duration) {
        let judged = *self.judged.lock().expect("no panic under the lock");
        let changes = self.oracle.lock().expect("no panic under the lock").changes();
        let counts = self.way.counts();
        eprintln!("{} faults: {counts:?}", counts.values().sum::<u64>());
        eprintln!("{changes} changes, {judged} answers judged, none illegal; the longest convergence {longest:?}");
        let marked = self.marked.load(Ordering::Relaxed);
        eprintln!("{marked} of them had to say that they are stale, and did");
        assert_eq!(marked > 0, counts.contains_key(BROKEN_LISTS), "stale answers are of lists that break off");
        assert!(judged > 1_000 && changes > 100 && counts.len() > 10, "too little happened");
        assert!(counts.contains_key("API server killed"), "{counts:?}");
        let (status, _) = self.server.get("/livez");
        assert_eq!(status, 200);
    }
}

fn change_for(churn: &mut Churn, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        churn.change();
        sleep(CHANGE_INTERVAL);
    }
}

/// How a list breaks off that is never whole.
fn broken(dice: &mut Dice) -> End {
    match dice.below(4) {
        0 => End::Cut,
        1 => End::Garbage,
        2 => End::Stall(Duration::from_millis(dice.below(1_500))),
        _ => End::Whole,
    }
}

/// A random fault of a request.
fn fault(dice: &mut Dice, point: Point, version: Option<u64>) -> Fault {
    let wait = Duration::from_millis(dice.below(1_500));
    let bytes = dice.below(4_000) as usize;
    let status = Fault::status;
    match dice.below(26) {
        0 => status(410, "Expired", "too old resource version: 1 (2)"),
        1 => status(403, "Forbidden", "no"),
        2 => status(401, "Unauthorized", "no"),
        3 => status(500, "InternalError", "etcdserver: leader changed"),
        4 => status(503, "ServiceUnavailable", "shutting down"),
        5 => status(504, "Timeout", "Too large resource version: 9, current: 1"),
        6 => Fault::Answer(429, Some(("retry-after", "1")), "text/plain", "slow down".into()),
        7 => Fault::Answer(200, None, "text/html", "<html>Bad Gateway</html>".into()),
        8 => Fault::Answer(200, None, "application/json", "{\"type\":\"ERROR\",\"object\":{}}".into()),
        9 => Fault::Answer(502, None, "text/html", "<html>Bad Gateway</html>".into()),
        10 => Fault::Hangup,
        11 => Fault::Mute(wait),
        12 => Fault::Delay(wait),
        13 => Fault::Drip(1 + bytes),
        14 | 15 => Fault::After(bytes, End::Cut),
        16 => Fault::After(bytes, End::Whole),
        17 => Fault::After(bytes, End::Garbage),
        18 => Fault::After(bytes, End::Stall(wait)),
        19 if point == Point::Watch => Fault::Replay(1),
        20 if point == Point::Watch => Fault::After(0, End::Whole),
        19 | 20 if point == Point::Version => Fault::Fallen,
        _ => match version.filter(|_| point == Point::Watch) {
            Some(version) => Fault::Replay(version.saturating_sub(1 + dice.below(200)).max(1)),
            None => Fault::After(0, End::Cut),
        },
    }
}
