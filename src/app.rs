//! Wiring: tasks, signals, and the end.
//!
//! ```text
//! sources ─(events)─► writer ─(snapshots)─► published zone ─► responder ─► UDP, TCP, TLS, HTTPS, QUIC
//! zone files ─(zones)─┘                              └─► HTTP, the saved zone
//! ```

mod client_policy;
mod encrypted_sockets;
mod saved_zone;
mod sockets;
mod sources;
mod zone;
mod zone_files;

use std::hash::{BuildHasher, RandomState};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use crate::changes::Changes;
use crate::cluster;
use crate::config::ServeConfig;
use crate::heartbeat::Heartbeat;
use crate::http::{self, ApiState, HttpCounters, HttpLimits, ListBudget};
use crate::index::Index;
use crate::logging;
use crate::metrics::Metrics;
use crate::poll::is_stdin;
use crate::sandbox::{self, SandboxNeeds};
use crate::server::{Responder, ServerCounters};
use crate::snapshot::{Freshness, PublishedZone, Snapshot};
use crate::source::Sources;
use crate::state::StateCounters;
use crate::version::{COMMIT, VERSION};
use crate::writer::{self, Inputs};

use sockets::Sockets;
pub use sources::start_sources;
pub use zone::zone_settings;

/// The most threads that answer UDP at one address: enough for any network's rate of queries.
const UDP_THREADS_MAX: usize = 16;

/// How often the server checks how long the sources have been silent.
const FRESHNESS_INTERVAL: Duration = Duration::from_millis(500);

/// How long open TCP connections have to end after the lame-duck period: the time of a message and its reply.
const DRAIN_WAIT: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// The server cannot start, for example because an address is taken or a kubeconfig is unreadable.
pub async fn serve(config: ServeConfig) -> anyhow::Result<()> {
    logging::init(config.log_format, &config.log_level)?;
    logging::limit_panic_logs();
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    refuse_absent(&config.manifests)?;
    let mut signals = ProcessSignals::listen().context("cannot listen to signals")?; // first, so that no signal is missed
    raise_file_limit();
    let settings = Arc::new(zone_settings(&config)?);
    let sockets = Sockets::bind(&config)?;
    restrict_calls(&config).await?;
    let rereads = Arc::new(ReloadSignals::default());
    let zones = zone_files::watch(&config, rereads.clone());

    let zone = Arc::new(PublishedZone::new(Arc::new(Snapshot::empty(settings.clone(), zones.borrow().clone()))));
    let server_counters = Arc::new(ServerCounters::default());
    let http_counters = Arc::new(HttpCounters::default());
    let state_counters = Arc::new(StateCounters::default());
    let metrics = Metrics::new(VERSION, COMMIT).with(server_counters.clone()).with(http_counters.clone());
    let metrics = Arc::new(metrics.with(state_counters.clone()));
    let responder = Arc::new(Responder {
        zone: zone.clone(),
        nsid: config.nsid.as_bytes().into(),
        clients: client_policy::of_dns(&config)?,
        counters: server_counters.clone(),
        logs_queries: config.log_queries,
    });
    let (closing, closed) = watch::channel(false);
    let mut streams = JoinSet::new();
    let access = client_policy::of_http(&config, sockets.certificate())?;
    let http = sockets.serve(&responder, &closed, &mut streams)?;

    let (events, incoming) = mpsc::channel(writer::QUEUE_LEN_MAX);
    let sources = Arc::new(start_sources(&config, events, rereads.manifests.clone()).await?);
    let index = Index::new(settings.clone(), zones.borrow().clone(), sources.ids());
    let mut index = index.of_profiles(&config.profiles);
    saved_zone::continue_serial(&config, &mut index);
    let keeper = config.state.as_ref().map(|own| {
        let restored = saved_zone::restore(
            own.clone(),
            config.clone(),
            settings,
            zones.borrow().clone(),
            sources.ids(),
            zone.clone(),
        );
        tokio::spawn(restored);
        saved_zone::start_saving(own, &sources, &zone, state_counters.clone())
    });
    let heartbeat = Arc::new(Heartbeat::default());
    let changes = Arc::new(Changes::new(RandomState::new().hash_one(std::process::id())));
    let inputs = Inputs { events: incoming, zones, refetch_senders: sources.refetch_senders() };
    let of_lag = metrics.clone();
    let observe_lag = move |lag| of_lag.observe_event_lag(lag);
    tokio::spawn(writer::run(index, inputs, zone.clone(), changes.clone(), heartbeat.clone(), observe_lag));
    tokio::spawn(watch_freshness(config.clone(), sources.clone(), zone.clone()));

    let is_ending = Arc::new(AtomicBool::new(false));
    let stats = Box::new(move || sources::stats(&sources));
    let (list_budget, limits) = (ListBudget::default(), HttpLimits::default());
    let api = ApiState {
        access,
        zone,
        metrics,
        counters: http_counters,
        server_counters,
        changes,
        heartbeat,
        is_ending: is_ending.clone(),
        list_budget,
        limits,
        sources: stats,
    };
    streams.spawn(http::serve(http, Arc::new(api), closed));
    tracing::info!(zone = %config.zone, dns = ?config.listen, http = %config.http, "serving");

    signals.wait_for_end(&rereads).await;
    is_ending.store(true, Ordering::Relaxed);
    tracing::info!(lame_duck = ?config.lame_duck, "ending: no longer ready, answering until --lame-duck is over");
    tokio::select! {
        () = tokio::time::sleep(config.lame_duck) => {}
        () = signals.wait_for_end(&rereads) => {} // a second signal skips the lame-duck period
    }
    closing.send_replace(true);
    let _ = tokio::time::timeout(DRAIN_WAIT, async { while streams.join_next().await.is_some() {} }).await;
    if let Some(keeper) = keeper {
        keeper.finish().await;
    }
    tracing::info!("ended");
    Ok(())
}

/// Gives up the system calls that serving does not need. By default it does so where that is possible.
///
/// # Errors
/// `--seccomp` is set and the kubeconfig's credentials come from a program, or the kernel accepts no filter.
async fn restrict_calls(config: &ServeConfig) -> anyhow::Result<()> {
    let runs_programs = match &config.kubernetes {
        Some(own) => cluster::runs_programs(own.kubeconfig.as_deref(), own.context.as_deref()).await?,
        None => false,
    };
    let is_possible = sandbox::IS_KNOWN_HERE && !runs_programs;
    if config.seccomp == Some(true) && runs_programs {
        anyhow::bail!("--seccomp: the kubeconfig's credentials come from a program, which could then not be run");
    }
    if config.seccomp.unwrap_or(is_possible) {
        let needs = SandboxNeeds { files_written: config.state.is_some() };
        sandbox::enter(needs).context("cannot give up system calls (--seccomp=false serves without that)")?;
    }
    Ok(())
}

/// Wakes the tasks that read files again on SIGHUP.
#[derive(Debug, Default)]
struct ReloadSignals {
    manifests: Arc<Notify>,
    zones: Arc<Notify>,
}

/// The signals that the server handles.
struct ProcessSignals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl ProcessSignals {
    fn listen() -> std::io::Result<ProcessSignals> {
        Ok(ProcessSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT. Until then, handles each SIGHUP.
    async fn wait_for_end(&mut self, rereads: &ReloadSignals) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {
                    tracing::info!("reading files again");
                    rereads.manifests.notify_one();
                    rereads.zones.notify_one();
                }
            }
        }
    }
}

/// The number of UDP threads for each address: one for each processor that the process may use, within the container's
/// limit.
fn udp_threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(UDP_THREADS_MAX)
}

/// Refuses a path of manifests that does not exist: it is most likely typed wrong, and the server would answer NXDOMAIN.
fn refuse_absent(paths: &[PathBuf]) -> anyhow::Result<()> {
    match paths.iter().find(|path| !is_stdin(path) && !path.exists()) {
        Some(path) => anyhow::bail!("--manifests {}: there is no such file or folder", path.display()),
        None => Ok(()),
    }
}

/// Raises the soft limit of open files to the hard one. The usual soft limit of 1,024 is no more than our connections
/// alone need, and the operator sets the hard one.
fn raise_file_limit() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

/// Keeps the zone's freshness up to date.
async fn watch_freshness(config: ServeConfig, sources: Arc<Sources>, zone: Arc<PublishedZone>) {
    let mut last = Freshness::Fresh;
    loop {
        tokio::time::sleep(FRESHNESS_INTERVAL).await;
        // A restored zone is as old as its last contact with the cluster in the earlier run.
        let heard_at = zone.snapshot.load().heard_at;
        let restored = heard_at.map(|heard_at| Duration::from_secs(saved_zone::now().saturating_sub(heard_at)));
        let age = restored.or_else(|| sources.age());
        let freshness = match age {
            Some(age) if config.max_stale.is_some_and(|max| age > max) => Freshness::Expired,
            Some(age) if restored.is_some() || age > config.stale_after => Freshness::Stale,
            _ => Freshness::Fresh,
        };
        zone.freshness.store(freshness);
        if freshness != last {
            tracing::warn!(?age, "the data about Pods is now {freshness:?}");
            last = freshness;
        }
    }
}
