//! A load generator that batches, for servers that are faster than dnsperf: `sendmmsg` and `recvmmsg` from a few sockets.
//!
//! It runs as a separate process: this benchmark, started with [`COMMAND`]. It counts replies and does not read them, because
//! the benchmark checked the answer to each question before.

use std::io::{IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};

use super::side::CLIENTS;

/// The argument that makes this program the generator.
pub(crate) const COMMAND: &str = "batch";

/// The most outstanding queries of one socket. All sockets together have two and a half times as many as dnsperf, and few
/// enough that none overflows the server's socket buffer.
const WINDOW: usize = 32;

/// The fewest queries that one system call sends.
const SENT_MIN: usize = WINDOW / 2;

/// Queries count as lost after this time without a reply. dnsperf gets the same limit.
const PATIENCE: Duration = Duration::from_secs(1);

/// The largest reply that is received whole.
const REPLY_LEN_MAX: usize = 4096;

/// The counts of a run.
#[derive(Clone, Copy, Default)]
struct Counts {
    sent: usize,
    completed: usize,
    lost: usize,
}

/// Runs the generator: sends the messages of a file to a server for `seconds`, and prints `sent completed lost seconds`.
pub(crate) fn ask(server: &str, file: &str, seconds: &str) {
    let bytes = std::fs::read(file).expect("the questions");
    let mut messages = messages(&bytes).cycle();
    let duration = Duration::from_secs(seconds.parse().expect("a number of seconds"));
    let clients = CLIENTS.parse().expect("a number of sockets");
    let mut flows: Vec<Flow> = (0..clients).map(|_| Flow::new(server)).collect();
    let (mut counts, started) = (Counts::default(), Instant::now());
    while started.elapsed() < duration {
        for flow in &mut flows {
            flow.receive(&mut counts);
            flow.send(&mut messages, &mut counts);
        }
    }
    let took = started.elapsed().as_secs_f64();
    while flows.iter().any(|flow| flow.under_way > 0) {
        flows.iter_mut().for_each(|flow| flow.receive(&mut counts));
    }
    println!("{} {} {} {took}", counts.sent, counts.completed, counts.lost);
}

/// The messages of a file. Each follows its length.
fn messages(bytes: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (len, after) = rest.split_first_chunk()?;
        let (message, after) = after.split_at(usize::from(u16::from_be_bytes(*len)));
        rest = after;
        Some(message)
    })
}

/// One socket and its outstanding queries.
struct Flow {
    socket: UdpSocket,
    under_way: usize,
    /// When the last replies came.
    heard: Instant,
    received: MultiHeaders<SockaddrIn>,
    sent: MultiHeaders<SockaddrIn>,
    replies: Box<[[u8; REPLY_LEN_MAX]; WINDOW]>,
}

impl Flow {
    fn new(server: &str) -> Flow {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(server).expect("connect a UDP socket");
        let [received, sent] = [(); 2].map(|()| MultiHeaders::preallocate(WINDOW, None));
        let replies = Box::new([[0; REPLY_LEN_MAX]; WINDOW]);
        Flow { socket, under_way: 0, heard: Instant::now(), received, sent, replies }
    }

    /// Receives the waiting replies. Outstanding queries count as lost after [`PATIENCE`] without any.
    fn receive(&mut self, counts: &mut Counts) {
        let mut parts = self.replies.each_mut().map(|reply| [IoSliceMut::new(reply)]);
        let flags = MsgFlags::MSG_DONTWAIT;
        let count = recvmmsg(self.socket.as_raw_fd(), &mut self.received, &mut parts, flags, None)
            .map_or(0, |replies| replies.count());
        if count > 0 {
            self.heard = Instant::now();
        } else if self.under_way > 0 && self.heard.elapsed() > PATIENCE {
            counts.lost += self.under_way;
            self.under_way = 0;
        }
        // A late reply's query has counted as lost already.
        let count = count.min(self.under_way);
        counts.completed += count;
        self.under_way -= count;
    }

    fn send<'m>(&mut self, messages: &mut impl Iterator<Item = &'m [u8]>, counts: &mut Counts) {
        let room = WINDOW - self.under_way;
        if room < SENT_MIN {
            return;
        }
        if self.under_way == 0 {
            self.heard = Instant::now();
        }
        let parts: Vec<_> = messages.take(room).map(|message| [IoSlice::new(message)]).collect();
        let (none, nobody): ([ControlMessage<'_>; 0], _) = ([], [None; WINDOW]);
        let flags = MsgFlags::empty();
        let sent = sendmmsg(self.socket.as_raw_fd(), &mut self.sent, &parts, &nobody[..parts.len()], none, flags);
        let count = sent.expect("send queries").count();
        self.under_way += count;
        counts.sent += count;
    }
}
