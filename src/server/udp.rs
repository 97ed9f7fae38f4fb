//! DNS over UDP: each thread has one socket, and answers a batch of datagrams at a time.
//!
//! The kernel spreads clients over the sockets of one address (`SO_REUSEPORT`), so threads share nothing but the snapshot.
//! A thread receives with `recvmmsg` and sends with `sendmmsg`: two system calls for each batch, no event loop, and no
//! allocation for a query.

mod batch;
mod socket;

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sys::socket::{SockaddrIn, SockaddrIn6};
use socket2::Socket;

use super::listen::Listen;
use super::{Responder, ServerCounters};
use batch::Batch;

pub use socket::bind;

/// The pause of a thread after a panic: repeated panics must not fill the log or use a whole processor.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts a thread that answers datagrams until the process ends.
///
/// # Errors
/// The system cannot start a thread.
pub fn serve(socket: Socket, listen: Listen, responder: Arc<Responder>) -> io::Result<()> {
    let address = listen.address();
    let is_wildcard = address.ip().is_unspecified();
    let thread = thread::Builder::new().name(format!("udp {address}"));
    let run = move || {
        repeat_after_panics(&responder.counters, || match address {
            SocketAddr::V4(_) => Batch::<SockaddrIn>::new(is_wildcard).run(&socket, &responder),
            SocketAddr::V6(_) => Batch::<SockaddrIn6>::new(is_wildcard).run(&socket, &responder),
        });
    };
    thread.spawn(run).map(drop)
}

/// Repeats the work until it returns without a panic. [`Responder::respond`] catches panics on single messages. A panic
/// elsewhere loses one batch and is counted. The thread goes on, because the kernel would still send its socket a share of
/// all clients.
fn repeat_after_panics(counters: &ServerCounters, mut work: impl FnMut()) {
    while catch_unwind(AssertUnwindSafe(&mut work)).is_err() {
        counters.panicked();
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_survives_a_panic() {
        let (counters, mut times) = (ServerCounters::default(), 0);
        repeat_after_panics(&counters, || {
            times += 1;
            assert!(times > 2, "as is meant");
        });
        assert_eq!((times, counters.panics()), (3, 2));
    }
}
