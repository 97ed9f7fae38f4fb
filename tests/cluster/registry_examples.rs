//! The two examples as real processes: servers that register, callers that balance, and a rolling restart.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::register::{PATIENCE, Site};
use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::kubelet::Pod;
use crate::harness::process::{Process, built, free_port};
use crate::harness::server::Server;

/// The number of concurrent servers.
const SERVERS: usize = 3;

/// The number of times that each is replaced.
const ROUNDS: usize = 3;

/// The folder of the built examples, beside the folder of this test's binary.
fn examples() -> PathBuf {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    built("cargo", ["build", "--locked", "--quiet", "--examples", "--profile", profile]);
    let own = std::env::current_exe().expect("this test's path");
    own.ancestors().nth(2).expect("target/PROFILE/deps/TEST").join("examples")
}

/// A server in a separate Pod.
fn greeter(site: &Site, program: &PathBuf, number: usize) -> (Pod, Process) {
    let pod = site.namespace.pod(&format!("greeter-{number}"));
    pod.run(&["127.0.0.1"]);
    let port = free_port().to_string();
    let args = ["--listen", "127.0.0.1", "--port", &port, "--drain", "1"].map(str::to_owned);
    let server = Process::start(program, args.into_iter().chain(site.of(&pod)));
    tells(&server, "registered");
    (pod, server)
}

#[track_caller]
fn tells(process: &Process, text: &str) {
    eventually(PATIENCE, || {
        let log = process.log();
        if log.lines().any(|line| line.starts_with(text)) { Ok(()) } else { Err(format!("no {text} in\n{log}")) }
    });
}

#[test]
fn no_call_fails_in_a_rolling_restart() {
    let (cluster, site, folder) = (Cluster::shared(), Site::new("rolling"), examples());
    let (greeter_program, caller_program) = (folder.join("greeter"), folder.join("caller"));
    let dns = Server::start(&["--kubeconfig", cluster.kubeconfig(), "--namespace", &site.namespace.name]);
    let url = format!("http://{}", dns.http);
    let mut servers: Vec<(Pod, Process)> = (0..SERVERS).map(|n| greeter(&site, &greeter_program, n)).collect();
    let ways = [("a server's stream", ["--server", &url]), ("an own watch", ["--kubeconfig", cluster.kubeconfig()])];
    let mut callers = ways.map(|(way, flags)| {
        let rate = ["--rate", "200", "--namespace", &site.namespace.name];
        let caller = Process::start(&caller_program, flags.into_iter().chain(rate));
        tells(&caller, &format!("there {}/greeter-{}", site.namespace.name, SERVERS - 1));
        (way, caller)
    });

    for number in SERVERS..SERVERS * (ROUNDS + 1) {
        servers.push(greeter(&site, &greeter_program, number));
        let (pod, mut server) = servers.remove(0);
        server.signal(Signal::SIGTERM);
        tells(&server, "withdrawn");
        let status = server.ended(PATIENCE).expect("its end");
        assert!(status.success(), "{status}\n{}", server.log());
        pod.delete();
    }
    for (way, caller) in &mut callers {
        tells(caller, &format!("removed {}/greeter-{}", site.namespace.name, SERVERS * ROUNDS - 1));
        std::thread::sleep(Duration::from_millis(200));
        caller.signal(Signal::SIGTERM);
        let status = caller.ended(PATIENCE).expect("its end");
        let log = caller.log();
        // The process's end cuts off its watch, whose log lines may follow.
        let told = log.lines().find(|line| line.ends_with(" failed") && line.contains(" calls, "));
        let told = told.unwrap_or_else(|| panic!("it does not say how many calls there were:\n{log}"));
        eprintln!("{} servers replaced one by one, received by {way}: {told}", SERVERS * ROUNDS);
        let (calls, failed) = told.split_once(" calls, ").expect("how many calls there were");
        assert_eq!((failed, status.success()), ("0 failed", true), "{log}");
        assert!(calls.parse::<usize>().expect("a number") > 500, "{told}");
    }
}
