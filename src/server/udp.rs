//! DNS over UDP: threads that each have a socket of their own, and take and answer a batch of datagrams at a time.
//!
//! The kernel spreads clients over the sockets of one address (`SO_REUSEPORT`), so no two threads share anything but the
//! zone. A thread waits in `recvmmsg` and answers with `sendmmsg`: two system calls a batch, no event loop, and nothing is
//! allocated for a query.

mod batch;
mod socket;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use nix::sys::socket::{SockaddrIn, SockaddrIn6};
use socket2::Socket;

use super::Responder;
use batch::Batch;

pub use socket::bind;

/// Answers datagrams on a thread of its own, until the process ends.
///
/// # Errors
/// The system gives no thread.
pub fn serve(socket: Socket, address: SocketAddr, responder: Arc<Responder>) -> io::Result<()> {
    let is_wildcard = address.ip().is_unspecified();
    let thread = thread::Builder::new().name(format!("udp {address}"));
    let run = move || match address {
        SocketAddr::V4(_) => Batch::<SockaddrIn>::new(is_wildcard).run(&socket, &responder),
        SocketAddr::V6(_) => Batch::<SockaddrIn6>::new(is_wildcard).run(&socket, &responder),
    };
    thread.spawn(run).map(drop)
}
