//! The cost of the guards for a query: the seccomp filter, cookies and the rate limit, each compared to a server without it.

use super::echo::Echo;
use super::load::{Peer, ROUNDS, rounds, side, title};
use super::questions::{Questions, edns};
use super::report::table;
use super::side::{CLIENTS, Load, SERVER, Side};
use super::wire::EDNS_SIZE;
use super::world::{SMALL_SERVICES, callsign_name, small_service};
use crate::harness::ask::{Ask, Edns, Reply};
use crate::harness::cluster::Cluster;
use crate::harness::exchange::exchange_udp;
use crate::harness::server::Server;

/// The option of a DNS cookie (RFC 7873 §4).
const COOKIE: u16 = 10;

/// A client cookie.
const CLIENT_COOKIE: &[u8; 8] = b"8 bytes!";

/// A limit that no load here reaches: this measures the counting.
const LIMIT: &str = "1000000";

/// Measures and prints the table.
pub(crate) fn measure(cluster: &'static Cluster) {
    let start = |args: &[&str]| {
        let program: Vec<&str> = SERVER.into_iter().chain([env!("CARGO_BIN_EXE_callsign")]).collect();
        let cluster = ["--kubeconfig", cluster.kubeconfig(), "--all-namespaces"];
        let mut server = Server::launch(&program, &[&cluster, args].concat());
        server.wait_for("/readyz");
        server
    };
    let (open, plain) = (start(&["--seccomp=false"]), start(&[]));
    let guarded = start(&["--cookies", "--rrl", LIMIT]);
    let [without, with_half, with_whole] =
        [Vec::new(), CLIENT_COOKIE.to_vec(), whole_cookie(&guarded)].map(|cookie| questions(&cookie));
    let echo = Echo::start(&SERVER, without.check(plain.dns).len);

    let peer = |name, server: &Server| -> Peer { (name, server.dns, server.id()) };
    let asked = [
        (peer("`--seccomp=false`", &open), &without),
        (peer("default options", &plain), &without),
        (peer("`--cookies --rrl`, asked without a cookie", &guarded), &without),
        (peer("`--cookies --rrl`, asked with a client cookie", &guarded), &with_half),
        (peer("`--cookies --rrl`, asked with a whole cookie", &guarded), &with_whole),
        (("UDP echo, recvmmsg and sendmmsg", echo.dns, echo.id()), &without),
    ];
    let lens = asked.each_ref().map(|(peer, questions)| match peer.1 == echo.dns {
        true => without.check(plain.dns).len.to_string(),
        false => questions.check(peer.1).len.to_string(),
    });
    let mut sides: Vec<Side> = asked.iter().map(|(peer, questions)| side(peer, &questions.file, Load::Udp)).collect();
    rounds(&mut sides);
    table(
        &title(&format!("Guards over UDP, EDNS {EDNS_SIZE}, from {CLIENTS} sockets"), ROUNDS),
        &[&Side::HEAD[..], &["reply bytes"]].concat(),
        sides.iter().zip(lens).map(|(side, len)| [side.row(), vec![len]].concat()),
    );
}

/// The questions of `load`, with this cookie unless it is empty.
fn questions(cookie: &[u8]) -> Questions {
    let options = if cookie.is_empty() { Vec::new() } else { vec![(COOKIE, cookie.to_vec())] };
    Questions::write(SMALL_SERVICES, edns(options), |n| callsign_name(&small_service(n)))
}

/// The cookie that a server gives to our address. It is valid for an hour (RFC 9018 §4.3).
fn whole_cookie(server: &Server) -> Vec<u8> {
    let options = vec![(COOKIE, CLIENT_COOKIE.to_vec())];
    let ask = Ask::new(&callsign_name(&small_service(0)), domain::base::iana::Rtype::SRV);
    let query = ask.opt(Edns { size: EDNS_SIZE, options, ..Edns::default() }).to_wire();
    let reply = Reply::read(&query, exchange_udp(server.dns, &query).expect("a reply"));
    let options = reply.edns.expect("an OPT").options;
    options.into_iter().find(|(code, _)| *code == COOKIE).expect("a cookie").1
}
