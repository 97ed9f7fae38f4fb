//! A client that subscribes to greeters and balances its calls over them, by weight and without a retry.
//!
//! With a server's URL it reads the event stream. Without one it watches Pods itself. Without `--rate` it only prints the
//! endpoints, and so works with manifests, whose Pods cannot be called:
//!
//! ```console
//! $ cargo run -- serve --manifests zones/demo
//! $ cargo run --example caller -- --server http://127.0.0.1:8053
//! ```

use std::error::Error;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use callsign::registry::{Config, Endpoint, Registry, Selector, Update};
use clap::Parser;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// The timeout of a call.
const CALL_WAIT: Duration = Duration::from_secs(2);

/// The most concurrent calls.
const CALLS_MAX: usize = 64;

#[derive(Parser)]
struct Args {
    #[arg(default_value = "org.acme.Greeter")]
    interface: String,
    /// A callsign server's --http
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    #[arg(long)]
    namespace: Option<String>,
    /// Calls a second
    #[arg(long)]
    rate: Option<u32>,
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let Args { interface, server, kubeconfig, namespace, rate } = Args::parse();
    let mut terminate = signal(SignalKind::terminate())?;
    let (mut config, mut selector) = (Config::default(), Selector::default());
    config.server = server;
    config.kubeconfig = kubeconfig;
    config.namespace.clone_from(&namespace);
    selector.namespace = namespace;
    let registry = Registry::connect(config).await?;
    let mut endpoints = registry.subscribe(&interface, selector).await?;

    let mut turn = interval(Duration::from_secs(1) / rate.unwrap_or(1).max(1));
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut calls, mut count, mut failed) = (JoinSet::new(), 0, 0);
    loop {
        tokio::select! {
            update = endpoints.next() => show(&update),
            Some(call) = calls.join_next() => {
                count += 1;
                if let Err(error) = call? {
                    failed += 1;
                    println!("a call failed: {error}");
                }
            }
            _ = turn.tick(), if rate.is_some() && calls.len() < CALLS_MAX => {
                if let Some(endpoint) = pick(endpoints.endpoints()) {
                    calls.spawn(call(SocketAddr::new(endpoint.address, endpoint.port)));
                }
            }
            _ = terminate.recv() => break,
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    while let Some(call) = calls.join_next().await {
        count += 1;
        failed += u32::from(call?.is_err());
    }
    println!("{count} calls, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A random endpoint, by weight.
fn pick(endpoints: &[Endpoint]) -> Option<&Endpoint> {
    let total: u64 = endpoints.iter().map(|one| u64::from(one.weight)).sum();
    let mut left = RandomState::new().build_hasher().finish().checked_rem(total)?;
    endpoints.iter().find(|one| {
        let is_it = left < one.weight.into();
        left = left.saturating_sub(one.weight.into());
        is_it
    })
}

/// Sends a name, and expects a greeting.
async fn call(server: SocketAddr) -> io::Result<()> {
    let ask = async {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(b"caller\n").await?;
        let mut reply = String::new();
        BufReader::new(stream).read_line(&mut reply).await?;
        if reply.starts_with("Hello caller") { Ok(()) } else { Err(io::Error::other(format!("{reply:?}"))) }
    };
    let late = |_| Err(io::ErrorKind::TimedOut.into());
    let greeted = timeout(CALL_WAIT, ask).await.unwrap_or_else(late);
    greeted.map_err(|error| io::Error::new(error.kind(), format!("{server}: {error}")))
}

fn show(update: &Update) {
    let tell = |what: &str, list: &[Endpoint]| {
        for Endpoint { namespace, pod, address, port, weight, .. } in list {
            println!("{what} {namespace}/{pod} at {} with the weight {weight}", SocketAddr::new(*address, *port));
        }
    };
    match update {
        Update::Set(set) => tell("there", &set.endpoints),
        Update::Change(change) => {
            tell("removed", &change.removed);
            tell("changed", &change.changed);
            tell("added", &change.added);
        }
        _ => {} // a later version may have other updates
    }
}
