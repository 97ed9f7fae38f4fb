//! The cost of the kernel alone: a UDP server that echoes each datagram, at the length of a DNS answer.
//!
//! One thread, one socket, `recvmmsg` and `sendmmsg` by nix. It runs as a separate process, so that its CPU time can be
//! measured: this benchmark, started with [`COMMAND`].

use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};

use crate::harness::process::{Process, free_address};

/// The argument that makes this program the echo.
pub(crate) const COMMAND: &str = "echo";

/// The most datagrams of one system call: as many as callsign receives at once.
const BATCH: usize = 64;

/// The largest datagram, received or sent.
const DATAGRAM_LEN_MAX: usize = 4096;

/// A running echo. Dropping it stops it.
pub(crate) struct Echo {
    pub(crate) dns: SocketAddr,
    process: Process,
}

impl Echo {
    /// Starts it as the last argument of a command (`taskset …`, or nothing), with replies of `len` bytes.
    pub(crate) fn start(before: &[&str], len: usize) -> Echo {
        let dns = free_address();
        let program = std::env::current_exe().expect("this program's file");
        let own = [program.display().to_string(), COMMAND.to_owned(), dns.to_string(), len.to_string()];
        let command: Vec<String> = before.iter().map(|&word| word.to_owned()).chain(own).collect();
        let (program, arguments) = command.split_first().expect("a program");
        Echo { dns, process: Process::start(program, arguments) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// Answers each datagram with its first bytes, marked as a DNS reply, padded with zeros to `len`. Never returns.
pub(crate) fn serve(address: &str, len: &str) {
    let len: usize = len.parse().expect("a length");
    assert!((12..=DATAGRAM_LEN_MAX).contains(&len), "a reply of {len} bytes");
    let socket = UdpSocket::bind(address).expect("bind the echo's socket");
    let mut received = MultiHeaders::preallocate(BATCH, None);
    let mut sent = MultiHeaders::preallocate(BATCH, None);
    let mut buffers = Box::new([[0; DATAGRAM_LEN_MAX]; BATCH]);
    let mut clients: Vec<Option<SockaddrIn>> = Vec::with_capacity(BATCH);
    loop {
        clients.clear();
        let mut parts = buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
        let messages = recvmmsg(socket.as_raw_fd(), &mut received, &mut parts, MsgFlags::MSG_WAITFORONE, None);
        clients.extend(messages.expect("receive").map(|message| message.address));
        for buffer in buffers.iter_mut().take(clients.len()) {
            buffer[2] |= 0x80; // QR
        }
        let parts = buffers.each_ref().map(|buffer| [IoSlice::new(&buffer[..len])]);
        let none: [ControlMessage<'_>; 0] = [];
        // A reply that the socket cannot take is lost, like a server's, and the load generator counts it.
        let _ = sendmmsg(socket.as_raw_fd(), &mut sent, &parts, &clients, none, MsgFlags::empty());
    }
}
