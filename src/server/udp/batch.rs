//! A batch: as many datagrams as have come, up to a bound, and their replies.

use std::io::{IoSlice, IoSliceMut};
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg};
use smallvec::SmallVec;
use socket2::Socket;

use super::Responder;
use super::socket::{Address, Local};
use crate::metrics::{Dropped, Transport};
use crate::wire::UDP_LEN_MAX;

/// The largest query that is read: a question, an OPT record with options, and a signature take a fraction of it.
const QUERY_LEN_MAX: usize = 4096;

/// The most datagrams that are taken before the first of them is answered: beyond these a system call's share of a query
/// is below 1 %, and the wait of the first one grows.
const BATCH_MAX: usize = 64;

/// The memory that one thread takes and answers datagrams with, over and over.
pub(super) struct Batch<S> {
    incoming: MultiHeaders<S>,
    outgoing: MultiHeaders<S>,
    queries: Box<[[u8; QUERY_LEN_MAX]]>,
    datagrams: Vec<Datagram<S>>,
    /// All replies, one behind the other.
    replies: Vec<u8>,
    is_wildcard: bool,
}

/// One that has come, and what is sent back.
struct Datagram<S> {
    len: usize,
    client: S,
    local: Local,
    reply: Range<usize>,
}

impl<S: Address> Batch<S> {
    pub(super) fn new(is_wildcard: bool) -> Batch<S> {
        Batch {
            incoming: headers(is_wildcard),
            outgoing: headers(is_wildcard),
            queries: vec![[0; QUERY_LEN_MAX]; BATCH_MAX].into(),
            datagrams: Vec::with_capacity(BATCH_MAX),
            replies: Vec::with_capacity(BATCH_MAX * UDP_LEN_MAX),
            is_wildcard,
        }
    }

    /// Takes, answers and sends, for ever.
    pub(super) fn run(mut self, socket: &Socket, responder: &Responder) {
        loop {
            match self.receive(socket) {
                Ok(()) => {
                    self.answer(responder);
                    self.send(socket, responder);
                }
                Err(Errno::EINTR) => {}
                Err(_) => responder.metrics.dropped(Dropped::Receive), // an ICMP error of an earlier reply, say
            }
        }
    }

    /// Waits for a datagram, and takes what has come with it.
    fn receive(&mut self, socket: &Socket) -> nix::Result<()> {
        self.datagrams.clear();
        let mut parts = on_stack(self.queries.iter_mut().map(|query| [IoSliceMut::new(query)]));
        let flags = MsgFlags::MSG_WAITFORONE;
        let received = recvmmsg(socket.as_raw_fd(), &mut self.incoming, parts.iter_mut(), flags, None)?;
        let is_wildcard = self.is_wildcard;
        self.datagrams.extend(received.filter_map(|message| {
            let local = if is_wildcard { Local::of(&message) } else { Local::Unknown };
            Some(Datagram { len: message.bytes, client: message.address?, local, reply: 0..0 })
        }));
        if is_wildcard && self.datagrams.iter().any(|datagram| datagram.local == Local::Unknown) {
            self.incoming = headers(is_wildcard); // the kernel has shortened the space for what it told
        }
        Ok(())
    }

    /// Answers them all from one zone, which is let go of before the next wait.
    fn answer(&mut self, responder: &Responder) {
        self.replies.clear();
        let snapshot = responder.snapshot.load();
        for (datagram, query) in self.datagrams.iter_mut().zip(&self.queries) {
            let start = self.replies.len();
            let client = datagram.client.get();
            responder.respond(&snapshot, &query[..datagram.len], client, Transport::Udp, &mut self.replies);
            datagram.reply = start..self.replies.len();
        }
        self.datagrams.retain(|datagram| !datagram.reply.is_empty());
    }

    /// Sends the replies; each run that goes out from one address is a system call.
    fn send(&mut self, socket: &Socket, responder: &Responder) {
        for run in self.datagrams.chunk_by(|one, next| one.local == next.local) {
            let mut rest = run;
            while !rest.is_empty() {
                let sent = send_run(socket, &mut self.outgoing, rest, &self.replies).unwrap_or_else(|_| {
                    responder.metrics.dropped(Dropped::Send); // no room in the socket, or no way back: the client asks again
                    1
                });
                rest = rest.get(sent..).unwrap_or_default();
            }
        }
    }
}

/// How many were sent, at least one; or why the first one cannot be.
fn send_run<S: Address>(
    socket: &Socket,
    headers: &mut MultiHeaders<S>,
    run: &[Datagram<S>],
    replies: &[u8],
) -> nix::Result<usize> {
    let local = run.first().map_or(Local::Unknown, |first| first.local);
    local.with_control(|control| {
        let parts = on_stack(run.iter().map(|one| [IoSlice::new(&replies[one.reply.clone()])]));
        let clients = on_stack(run.iter().map(|one| Some(one.client)));
        let flags = MsgFlags::MSG_DONTWAIT;
        let sent = sendmmsg(socket.as_raw_fd(), headers, parts.iter(), clients.as_slice(), control, flags)?;
        Ok(sent.count())
    })
}

/// What a system call takes of each datagram; at most a batch's, so that it is all on the stack and nothing is left to drop.
fn on_stack<T>(parts: impl Iterator<Item = T>) -> ManuallyDrop<SmallVec<[T; BATCH_MAX]>> {
    ManuallyDrop::new(parts.take(BATCH_MAX).collect())
}

/// Headers for a batch, with space for where a datagram came to.
fn headers<S: Address>(is_wildcard: bool) -> MultiHeaders<S> {
    MultiHeaders::preallocate(BATCH_MAX, is_wildcard.then(Local::space))
}
