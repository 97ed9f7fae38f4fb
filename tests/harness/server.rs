//! The program under test, as it was built, on ports of its own.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::dig::{Dig, dig};
use super::process::{Process, free_address, http_get};

/// How long it may take until its sources have synced.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// A running `callsign serve`; dropping it stops it.
pub(crate) struct Server {
    /// Where it answers DNS, over UDP and TCP.
    pub(crate) dns: SocketAddr,
    /// Where it answers HTTP.
    pub(crate) http: SocketAddr,
    process: Process,
}

impl Server {
    /// Starts `callsign serve` with these arguments beside `--listen` and `--http`, and waits until it is ready.
    ///
    /// Without a `--lame-duck` among them it has none, so that no test waits for it at its end.
    #[track_caller]
    pub(crate) fn start(args: &[&str]) -> Server {
        Server::start_within(START_PATIENCE, args)
    }

    /// The same, where a large cluster takes its time.
    #[track_caller]
    pub(crate) fn start_within(patience: Duration, args: &[&str]) -> Server {
        let mut server = Server::launch(&[env!("CARGO_BIN_EXE_callsign")], args);
        server.wait_within(patience, "/readyz");
        server
    }

    /// The same at these addresses: in the place of one that has ended.
    #[track_caller]
    pub(crate) fn start_at(dns: SocketAddr, http: SocketAddr, args: &[&str]) -> Server {
        let mut server = Server::launch_at(dns, http, &[env!("CARGO_BIN_EXE_callsign")], args);
        server.wait_for("/readyz");
        server
    }

    /// The same by a command line (a program and what comes before `serve`), without waiting.
    pub(crate) fn launch(command: &[&str], args: &[&str]) -> Server {
        Server::launch_at(free_address(), free_address(), command, args)
    }

    /// The same at these addresses.
    pub(crate) fn launch_at(dns: SocketAddr, http: SocketAddr, command: &[&str], args: &[&str]) -> Server {
        let (program, before) = command.split_first().expect("a program");
        let mut all: Vec<OsString> = before.iter().map(OsString::from).collect();
        all.extend(["serve", "--listen", &dns.to_string(), "--http", &http.to_string()].map(OsString::from));
        if !args.contains(&"--lame-duck") {
            all.extend(["--lame-duck", "0"].map(OsString::from));
        }
        all.extend(args.iter().map(OsString::from));
        Server { dns, http, process: Process::start(program, all) }
    }

    /// Waits until a path says 200 (`/livez`, `/readyz`); fails with the log if the program ends before that.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, path: &str) {
        self.wait_within(START_PATIENCE, path);
    }

    #[track_caller]
    fn wait_within(&mut self, patience: Duration, path: &str) {
        let http = self.http;
        self.process.wait_until(patience, || http_get(http, path).is_ok_and(|(status, _)| status == 200));
    }

    /// Asks it by dig; the arguments are dig's, without server and port.
    #[track_caller]
    pub(crate) fn dig(&self, args: &[&str]) -> Dig {
        dig(self.dns, args)
    }

    /// GETs a path from its HTTP port: status and body.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        http_get(self.http, path).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end; none if it still runs after `within`.
    pub(crate) fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        self.process.ended(within)
    }
}
