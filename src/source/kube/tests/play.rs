//! A scripted server on loopback, and a watch that sends it requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kube::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::channel;
use tokio::time::timeout;

use self::Reply::{Cut, Hangup, Late, Mute, Open, Status, Whole};
use super::encode;
use crate::source::health::SourceHealth;
use crate::source::kube::body::BodyEncoding;
use crate::source::kube::{Timeouts, Watch};
use crate::source::profile::pairs;
use crate::source::{Change, WatchProfile};

/// Short, so that the tests are fast, but not so short that a busy machine looks like a dead server.
const FAST: Timeouts = Timeouts {
    header: Duration::from_millis(1000),
    whole_list: Duration::from_millis(1000),
    quiet: Duration::from_millis(800),
    watch: Duration::from_millis(600),
    short_watch: Duration::from_millis(600),
    grace: Duration::from_millis(400),
    early: Duration::from_millis(50),
};

/// A watch requests two seconds, a short one requests one, and [`Late`] cuts both after the time of a short one.
pub(super) const IDLE_CUT: Timeouts = Timeouts { watch: Duration::from_millis(2800), ..FAST };

/// What the server does with one request.
#[derive(Clone)]
pub(super) enum Reply {
    /// A status, further header lines, and a body.
    Status(u16, &'static str, String),
    /// 200 and a body, then the end.
    Whole(String),
    /// 200 and a body. The end comes as late as a watch of `FAST` has requested.
    Late(String),
    /// 200 and the beginning of a body, then silence.
    Open(String),
    /// 200 and the beginning of a chunked body, then a broken connection. Of an empty body the beginning is all of it.
    Cut(String),
    /// No response, for ever.
    Mute,
    /// A broken connection at once.
    Hangup,
}
/// The text that a request's target and Accept header must contain, and the reply.
pub(super) type Step = (&'static str, Reply);

/// The outcome of a script.
pub(super) struct Outcome {
    pub(super) told: String,
    pub(super) health: Arc<SourceHealth>,
    pub(super) took: Duration,
    /// The time from the last proof that the zone is complete to the last frame.
    pub(super) unproved_for: Option<Duration>,
}

/// Plays a script to its end. Events are abbreviated: `begin`, `u1@7` for a Pod and its version, `u1@7!` if its
/// annotation is decoded, `-u1`, `commit`, `abort`.
pub(super) async fn play(script: Vec<Step>, encoding: BodyEncoding) -> Outcome {
    play_at(FAST, script, encoding).await
}

/// Plays a script for several profiles of one selector. Each event begins with its profile and a colon.
pub(super) async fn play_for(profiles: &[&str], script: Vec<Step>, encoding: BodyEncoding) -> Outcome {
    play_with(FAST, profiles, script, encoding).await
}

/// Plays a script with other timeouts.
pub(super) async fn play_at(timeouts: Timeouts, script: Vec<Step>, encoding: BodyEncoding) -> Outcome {
    play_with(timeouts, &[], script, encoding).await
}

async fn play_with(timeouts: Timeouts, profiles: &[&str], script: Vec<Step>, encoding: BodyEncoding) -> Outcome {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let mut config = kube::Config::new(format!("http://{address}").parse().expect("a URL"));
    config.default_retry = false;
    let client = Client::try_from(config).expect("a client");
    let is_shared = !profiles.is_empty();
    let profiles: Vec<WatchProfile> = match profiles {
        [] => vec![pairs("k")],
        names => names.iter().map(|name| named(name)).collect(),
    };
    let watch = Watch { timeouts, ..Watch::new("c".into(), profiles, None) };
    let health = Arc::new(SourceHealth::new(Instant::now()));
    let (sender, mut events) = channel(4);

    let started = Instant::now();
    let task = tokio::spawn(watch.run(client, sender, health.clone()));
    let told = Arc::new(Mutex::new(Vec::new()));
    let listed = told.clone();
    let listen = tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            let profile = if is_shared { format!("{}:", event.source.profile) } else { String::new() };
            let word = match event.change {
                Change::Begin => "begin".to_owned(),
                Change::Apply(pod) => {
                    let decoded = if event.decoded.is_some() { "!" } else { "" };
                    format!("{}@{}{decoded}", pod.uid, pod.resource_version)
                }
                Change::Remove(uid) => format!("-{uid}"),
                Change::Commit => "commit".to_owned(),
                Change::Refetched(pod) => format!("again {}", pod.uid),
                Change::Abort => "abort".to_owned(),
                Change::Close => "close".to_owned(),
            };
            listed.lock().expect("no panic").push(profile + &word);
        }
    });
    serve(listener, script.into(), encoding).await;
    let took = started.elapsed();
    let unproved_for = health.age().zip(health.silence()).map(|(age, silence)| age.saturating_sub(silence));
    task.abort();
    let _ = timeout(Duration::from_secs(5), task).await;
    timeout(Duration::from_secs(5), listen).await.expect("the end of events").expect("no panic");
    let told = told.lock().expect("no panic").join(" ");
    Outcome { told, health, took, unproved_for }
}

fn named(name: &str) -> WatchProfile {
    let mut profile = pairs("k");
    profile.name = name.into();
    profile
}

/// Answers requests by the script, and stays a moment longer, so that the events of the last reply are sent.
async fn serve(listener: TcpListener, mut script: VecDeque<Step>, encoding: BodyEncoding) {
    let mut held = Vec::new();
    while let Some((expected, reply)) = script.pop_front() {
        let (mut stream, _) =
            timeout(Duration::from_secs(20), listener.accept()).await.expect(expected).expect("a peer");
        let target = target(&mut stream).await;
        assert!(target.contains(expected), "asked for {target} instead of {expected}");
        respond(&mut stream, reply, encoding).await;
        held.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// The target of a request, a space, and its Accept header.
async fn target(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a request"));
    }
    let head = String::from_utf8(head).expect("text");
    let line = head.lines().next().expect("a line");
    let accept = head.lines().find_map(|line| line.strip_prefix("accept: ")).expect("a media type");
    format!("{}{accept}", line.trim_start_matches("GET ").trim_end_matches("HTTP/1.1"))
}

async fn respond(stream: &mut TcpStream, reply: Reply, encoding: BodyEncoding) {
    let media_type = match encoding {
        BodyEncoding::Json => "application/json",
        BodyEncoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\nconnection: close\r\n");
    let (head, body, end) = match &reply {
        Status(code, headers, text) => {
            let body = encode::body(text, encoding);
            let len = body.len();
            (format!("HTTP/1.1 {code} X\r\n{headers}connection: close\r\ncontent-length: {len}\r\n"), body, "")
        }
        Whole(text) | Late(text) | Open(text) => (head, encode::body(text, encoding), ""),
        Cut(text) => {
            let body = encode::body(text, encoding);
            let chunk = format!("{head}transfer-encoding: chunked\r\n\r\n{:x}", body.len());
            (chunk, body, "\r\n")
        }
        Mute | Hangup => (String::new(), Vec::new(), ""),
    };
    if !head.is_empty() {
        let bytes = [head.as_bytes(), b"\r\n", &body, end.as_bytes()].concat();
        stream.write_all(&bytes).await.expect("a listener");
    }
    if matches!(reply, Late(_)) {
        tokio::time::sleep(FAST.short_watch).await;
    }
    if !matches!(reply, Open(_) | Mute) {
        stream.shutdown().await.expect("a peer");
    }
}
