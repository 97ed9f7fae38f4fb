//! The program under test, as built, on free ports.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::dig::{Dig, dig};
use super::process::{Process, free_address, http_get};

/// How long a server may take until its sources have synced.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// A running `callsign serve`. Dropping it stops it.
pub(crate) struct Server {
    /// The address of DNS, over UDP and TCP.
    pub(crate) dns: SocketAddr,
    /// The address of HTTP.
    pub(crate) http: SocketAddr,
    process: Process,
}

impl Server {
    /// Starts `callsign serve` with `--listen`, `--http` and these arguments, and waits until it is ready.
    ///
    /// Unless they include `--lame-duck`, its time is 0, so that no test waits for it.
    #[track_caller]
    pub(crate) fn start(args: &[&str]) -> Server {
        Server::start_within(START_PATIENCE, args)
    }

    /// The same, with more time for a large cluster.
    #[track_caller]
    pub(crate) fn start_within(patience: Duration, args: &[&str]) -> Server {
        let mut server = Server::launch(&[env!("CARGO_BIN_EXE_callsign")], args);
        server.wait_within(patience, "/readyz");
        server
    }

    /// The same with a command line (a program and the arguments before `serve`), without waiting.
    pub(crate) fn launch(command: &[&str], args: &[&str]) -> Server {
        Server::launch_at(free_address(), free_address(), command, args)
    }

    /// The same at these addresses, as of a server that has ended.
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

    /// Waits until a path returns 200 (`/livez`, `/readyz`). Panics with the log if the program ends before that.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, path: &str) {
        self.wait_within(START_PATIENCE, path);
    }

    #[track_caller]
    fn wait_within(&mut self, patience: Duration, path: &str) {
        let http = self.http;
        self.process.wait_until(patience, || http_get(http, path).is_ok_and(|(status, _)| status == 200));
    }

    /// Asks it with dig. The arguments are dig's, without server and port.
    #[track_caller]
    pub(crate) fn dig(&self, args: &[&str]) -> Dig {
        dig(self.dns, args)
    }

    /// GETs a path from its HTTP port. Returns status and body.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        http_get(self.http, path).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// The log so far.
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

    /// Waits for its end. `None` if it still runs after `within`.
    pub(crate) fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        self.process.ended(within)
    }
}
