//! A batch: the datagrams that are waiting, up to a bound, and their replies.

use std::io::{IoSlice, IoSliceMut};
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg};
use smallvec::SmallVec;
use socket2::Socket;

use super::socket::{DestinationAddress, PeerAddress};
use crate::server::{DropReason, Responder, Transport};
use crate::wire::UDP_LEN_MAX;

/// The largest query in bytes. A question, an OPT record with options and a signature take a fraction of it.
const QUERY_LEN_MAX: usize = 4096;

/// The most datagrams in a batch. At this size a system call is below 1 % of a query's cost, and a larger batch only makes
/// its first datagram wait longer.
const BATCH_MAX: usize = 64;

/// The buffers of one thread, which every batch uses again.
pub(super) struct Batch<S> {
    incoming: MultiHeaders<S>,
    outgoing: MultiHeaders<S>,
    queries: Box<[[u8; QUERY_LEN_MAX]]>,
    datagrams: Vec<Datagram<S>>,
    /// All replies, one after the other.
    replies: Vec<u8>,
    is_wildcard: bool,
}

/// A received datagram and its reply.
struct Datagram<S> {
    len: usize,
    client: S,
    local: DestinationAddress,
    reply: Range<usize>,
}

impl<S: PeerAddress> Batch<S> {
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

    /// Receives, answers and sends, for ever.
    pub(super) fn run(mut self, socket: &Socket, responder: &Responder) {
        loop {
            match self.receive(socket) {
                Ok(()) => {
                    self.answer(responder);
                    self.send(socket, responder);
                }
                Err(Errno::EINTR) => {}
                Err(_) => responder.counters.dropped(DropReason::Receive), // for example an ICMP error for an earlier reply
            }
        }
    }

    /// Waits for a datagram, then takes all that are waiting.
    fn receive(&mut self, socket: &Socket) -> nix::Result<()> {
        self.datagrams.clear();
        let mut parts = on_stack(self.queries.iter_mut().map(|query| [IoSliceMut::new(query)]));
        let flags = MsgFlags::MSG_WAITFORONE;
        let received = recvmmsg(socket.as_raw_fd(), &mut self.incoming, parts.iter_mut(), flags, None)?;
        let is_wildcard = self.is_wildcard;
        self.datagrams.extend(received.filter_map(|message| {
            let local = if is_wildcard { DestinationAddress::of(&message) } else { DestinationAddress::Unknown };
            Some(Datagram { len: message.bytes, client: message.address?, local, reply: 0..0 })
        }));
        if is_wildcard && self.datagrams.iter().any(|datagram| datagram.local == DestinationAddress::Unknown) {
            self.incoming = headers(is_wildcard); // the kernel has shortened the space for control messages
        }
        Ok(())
    }

    /// Answers all from one snapshot, and releases the snapshot before the next wait.
    fn answer(&mut self, responder: &Responder) {
        self.replies.clear();
        let snapshot = responder.zone.snapshot.load();
        for (datagram, query) in self.datagrams.iter_mut().zip(&self.queries) {
            let start = self.replies.len();
            let client = datagram.client.get();
            responder.respond(&snapshot, &query[..datagram.len], client, Transport::Udp, &mut self.replies);
            datagram.reply = start..self.replies.len();
        }
        self.datagrams.retain(|datagram| !datagram.reply.is_empty());
    }

    /// Sends the replies, with one system call for each run of replies from one address.
    fn send(&mut self, socket: &Socket, responder: &Responder) {
        for run in self.datagrams.chunk_by(|one, next| one.local == next.local) {
            let mut rest = run;
            while !rest.is_empty() {
                let sent = send_run(socket, &mut self.outgoing, rest, &self.replies).unwrap_or_else(|_| {
                    responder.counters.dropped(DropReason::Send); // full send buffer, or no route: the client asks again
                    1
                });
                rest = rest.get(sent..).unwrap_or_default();
            }
        }
    }
}

/// Sends a run of replies. Returns the number sent, at least one, or the error of the first.
fn send_run<S: PeerAddress>(
    socket: &Socket,
    headers: &mut MultiHeaders<S>,
    run: &[Datagram<S>],
    replies: &[u8],
) -> nix::Result<usize> {
    let local = run.first().map_or(DestinationAddress::Unknown, |first| first.local);
    local.with_control(|control| {
        let parts = on_stack(run.iter().map(|one| [IoSlice::new(&replies[one.reply.clone()])]));
        let clients = on_stack(run.iter().map(|one| Some(one.client)));
        let flags = MsgFlags::MSG_DONTWAIT;
        let sent = sendmmsg(socket.as_raw_fd(), headers, parts.iter(), clients.as_slice(), control, flags)?;
        Ok(sent.count())
    })
}

/// Collects a system call's arguments, one for each datagram. A batch's fit on the stack, so nothing needs dropping.
fn on_stack<T>(parts: impl Iterator<Item = T>) -> ManuallyDrop<SmallVec<[T; BATCH_MAX]>> {
    ManuallyDrop::new(parts.take(BATCH_MAX).collect())
}

/// Headers for a batch. On a wildcard address, they have space for each datagram's destination address.
fn headers<S: PeerAddress>(is_wildcard: bool) -> MultiHeaders<S> {
    MultiHeaders::preallocate(BATCH_MAX, is_wildcard.then(DestinationAddress::space))
}
