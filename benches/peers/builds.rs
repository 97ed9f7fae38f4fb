//! Compares this build of callsign with another one: whether a change makes queries more expensive.

use super::load::{Peer, questions, side, title};
use super::report::table;
use super::side::{CLIENTS, Load, SERVER, Side};
use crate::harness::cluster::Cluster;
use crate::harness::server::Server;

/// Rounds of each build, in turn: enough to show a difference of a few percent.
const ROUNDS: usize = 20;

/// The environment variable with the path of the other build's program.
pub(crate) const OTHER: &str = "CALLSIGN_OTHER_BUILD";

/// Measures and prints the tables.
pub(crate) fn measure(cluster: &'static Cluster, other: &str) {
    let start = |program: &str| {
        let program: Vec<&str> = SERVER.into_iter().chain([program]).collect();
        let mut server = Server::launch(&program, &["--kubeconfig", cluster.kubeconfig(), "--all-namespaces"]);
        server.wait_for("/readyz");
        server
    };
    let (this, other) = (start(env!("CARGO_BIN_EXE_callsign")), start(other));
    let peers: [Peer; 2] = [("this build", this.dns, this.id()), ("the other build", other.dns, other.id())];
    let [questions, _] = questions(true);
    for (what, load) in [("UDP, EDNS 1232", Load::Udp), ("TCP", Load::Tcp)] {
        let mut sides = peers.each_ref().map(|peer| side(peer, &questions.file, load));
        for _ in 0..ROUNDS {
            sides.iter_mut().for_each(Side::round);
        }
        let what = title(&format!("Two builds over {what}, from {CLIENTS} clients"), ROUNDS);
        table(&what, &Side::HEAD, sides.iter().map(Side::row));
    }
}
