//! DNS over UDP: threads that each have a socket of their own, and take and answer a batch of datagrams at a time.
//!
//! The kernel spreads clients over the sockets of one address (`SO_REUSEPORT`), so no two threads share anything but the
//! zone. A thread waits in `recvmmsg` and answers with `sendmmsg`: two system calls a batch, no event loop, and nothing is
//! allocated for a query.

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

use super::Responder;
use super::listen::Listen;
use crate::metrics::Metrics;
use batch::Batch;

pub use socket::bind;

/// How long a thread rests behind a mistake: one that comes again and again is to fill no log and no processor.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers datagrams on a thread of its own, until the process ends.
///
/// # Errors
/// The system gives no thread.
pub fn serve(socket: Socket, listen: Listen, responder: Arc<Responder>) -> io::Result<()> {
    let address = listen.address();
    let is_wildcard = address.ip().is_unspecified();
    let thread = thread::Builder::new().name(format!("udp {address}"));
    let run = move || {
        again_and_again(&responder.metrics, || match address {
            SocketAddr::V4(_) => Batch::<SockaddrIn>::new(is_wildcard).run(&socket, &responder),
            SocketAddr::V6(_) => Batch::<SockaddrIn6>::new(is_wildcard).run(&socket, &responder),
        });
    };
    thread.spawn(run).map(drop)
}

/// Works until the work is done. A mistake of ours in it, beside the messages that are each their own, costs the batch in
/// which it comes to light, is counted, and ends no thread: its socket would still be given a share of all clients.
fn again_and_again(metrics: &Metrics, mut work: impl FnMut()) {
    while catch_unwind(AssertUnwindSafe(&mut work)).is_err() {
        metrics.panicked();
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_outlives_a_mistake() {
        let (metrics, mut times) = (Metrics::new("0", "0"), 0);
        again_and_again(&metrics, || {
            times += 1;
            assert!(times > 2, "as is meant");
        });
        assert_eq!((times, metrics.panics()), (3, 2));
    }
}
