//! callsign with a zone of any size: its index, snapshot and sockets. This program sends the Pods, and not a cluster, because
//! an API server takes minutes to write a hundred thousand Pods.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use callsign::server::listen::Listen;
use callsign::server::{tcp, udp};
use tokio::sync::watch;

use crate::harness::budget::zone::Zone;
use crate::harness::exchange::exchange_udp;
use crate::harness::process::{Process, free_address};

/// The argument that makes this program the server.
pub(crate) const COMMAND: &str = "zone";

/// The run fails if the zone is not whole within this time.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// A running server. Dropping it stops it.
pub(crate) struct ZoneServer {
    /// Where it answers DNS.
    pub(crate) dns: SocketAddr,
    process: Process,
}

impl ZoneServer {
    /// Starts it as the last argument of a command (`taskset …`, or nothing), with this many Pods.
    pub(crate) fn start(before: &[&str], pods: usize) -> ZoneServer {
        let dns = free_address();
        let program = std::env::current_exe().expect("this program's file");
        let own = [program.display().to_string(), COMMAND.to_owned(), dns.to_string(), pods.to_string()];
        let command: Vec<String> = before.iter().map(|&word| word.to_owned()).chain(own).collect();
        let (program, arguments) = command.split_first().expect("a program");
        let mut process = Process::start(program, arguments);
        process.wait_until(START_PATIENCE, || exchange_udp(dns, &[0; 12]).is_ok());
        ZoneServer { dns, process }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// Runs the server. Never returns.
pub(crate) fn serve(address: &str, pods: &str) {
    let address = Listen::from(address.parse::<SocketAddr>().expect("an address"));
    let zone = Zone::of_pods(pods.parse().expect("a number of Pods"));
    let responder = Arc::new(zone.responder());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let listener = tcp::bind(address).expect("bind TCP");
        let (_open, closing) = watch::channel(false);
        udp::serve(udp::bind(address).expect("bind UDP"), address, responder.clone()).expect("a thread");
        tcp::serve(listener, responder, closing).await;
    });
}
