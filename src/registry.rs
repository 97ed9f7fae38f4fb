//! The library: what an RPC framework calls to register its process and to hear of the others.
//!
//! ```text
//! register(registration) ─► Guard ─► keeper ─(one merge PATCH)─► the own Pod's label and annotation
//!
//! subscribe(interface, selector) ─► Subscription ◄─(set, changes)─┬─ a server's event stream, where its URL is given
//!                                                                └─ else a watch of the process's own
//! ```
//!
//! What a subscription hears is the same either way, since both ways end in one index; the stream costs the API server
//! one watch for all processes, a watch of its own spares the process the server. All subscriptions of a registry share one
//! stream of up to 1,024 interfaces; more are further streams, on the same connection of HTTP/2.
//!
//! # Example
//!
//! ```no_run
//! use callsign::registry::{Config, Registration, Registry, Selector, Update};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Some("http://callsign.callsign-system:8080".to_owned());
//! let registry = Registry::connect(Config { server, ..Config::default() }).await?;
//!
//! // What this process offers.
//! let greeter = Registration { interface: "org.acme.Greeter".into(), port: vec![50051], ..Registration::default() };
//! let guard = registry.register(greeter).await?;
//! guard.registered().await?;
//!
//! // What it calls.
//! let mut clocks = registry.subscribe("org.acme.Clock", Selector::default()).await?;
//! match clocks.next().await {
//!     Update::Set(set) => println!("{} clocks", set.endpoints.len()),
//!     Update::Change(change) => println!("{} more, {} fewer", change.added.len(), change.removed.len()),
//! }
//!
//! // Before its end: nobody is sent to it any more, then it serves whoever is on the way, and only then it goes.
//! guard.withdraw().await?;
//! tokio::time::sleep(std::time::Duration::from_secs(8)).await;
//! registry.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! It needs a tokio runtime with time and I/O, logs by `tracing`, and installs rustls' ring provider unless the process
//! has installed one before.

#![warn(missing_docs)]

mod guard;
mod own;
mod streams;
mod subscription;

use std::path::PathBuf;
use std::sync::Arc;

use kube::Client;
use tokio::sync::OnceCell;

use crate::changes::Full;
use crate::config::{ConfigError, Environment, own_pod};
use crate::register::offer::OfferError;
use crate::register::{Keeper, Kind, Owner, Registrar};
use crate::remote::{Address, Server};
use crate::report::Filter;
use crate::source::kube::{ClientError, client};
use guard::Registrations;
use own::OwnWatch;
use streams::Streams;

pub use crate::register::{Offer as Registration, Profile, RegisterError};
pub use crate::remote::RemoteError;
pub use crate::report::{WatchedChange as Change, WatchedEndpoint as Endpoint, WatchedSet as Set};
pub use guard::Guard;
pub use subscription::{Subscription, Update};

/// Where a process is, and whom it asks. In a Pod that has the Downward API's variables the default will do.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// A callsign server's `--http`, such as `http://callsign.callsign-system:8080`: subscriptions read its event stream.
    /// None: this process watches Pods itself, which needs the rights to list and watch them.
    pub server: Option<String>,
    /// The file of the token that the server asks for, what it has as `--http-token`; read at each connection, so that it
    /// may turn.
    pub server_token: Option<PathBuf>,
    /// The authorities of the server's certificate, in PEM, where its URL is an `https://` one; none is the system's.
    pub server_ca: Option<PathBuf>,
    /// The kubeconfig; none is `$KUBECONFIG`, `~/.kube/config`, or the Pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context; none is its current one.
    pub context: Option<String>,
    /// The namespaces that are watched where there is no server; none is the own one.
    pub namespaces: Vec<String>,
    /// The own Pod's namespace; none is `POD_NAMESPACE`, or that of the service account or the kubeconfig.
    pub namespace: Option<String>,
    /// The own Pod's name; none is `POD_NAME`, or `HOSTNAME`. `POD_UID` counts whatever is given here. Without
    /// `POD_UID`, `HOSTNAME` is believed if an address of this process is one of that Pod's, and so is a name that is given here
    /// where the namespace is not, and the reverse.
    pub pod: Option<String>,
    /// What tells this container's registrations from those of others in the Pod; none is the first port of the first
    /// registration. It must be the same at the next start, which replaces what this one has left.
    pub container: Option<String>,
    /// How registrations are written.
    pub profile: Profile,
}

impl Config {
    /// The server's address, if there is a server.
    fn address(&self) -> Option<Address> {
        let url = self.server.clone()?;
        Some(Address { url, token: self.server_token.clone(), authorities: self.server_ca.clone() })
    }
}

/// Which endpoints of an interface are meant; what is absent is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// The group, exact; empty for those without one.
    pub group: Option<String>,
    /// The version, exact; empty for those without one.
    pub version: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
}

/// What keeps a registry from its work from the start.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Which Pod this is, or a namespace, is not told right.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no client of an API server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The registration is none that a server would take.
    #[error(transparent)]
    Refused(#[from] OfferError),
    /// The server's URL is none.
    #[error(transparent)]
    Server(#[from] RemoteError),
    /// There are too many subscriptions.
    #[error(transparent)]
    Full(#[from] Full),
    /// The own watch cannot be set up.
    #[error("the watch cannot be set up: {0}")]
    Watch(String),
}

/// A process's place among the others: what it registers, and what it hears.
pub struct Registry {
    config: Config,
    environment: Environment,
    /// Where a server is asked.
    streams: Option<Arc<Streams>>,
    /// The API server's client and the namespace that its configuration names.
    cluster: OnceCell<(Client, Arc<str>)>,
    registrations: OnceCell<Arc<Registrations>>,
    own_watch: OnceCell<Arc<OwnWatch>>,
}

impl Registry {
    /// Reads what the configuration names. Nobody is asked yet: an API server or a server that is away is waited for.
    ///
    /// # Errors
    /// A URL, a kubeconfig or an environment that cannot be used.
    pub async fn connect(config: Config) -> Result<Registry, RegistryError> {
        // Err means that the process has chosen its provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let registry = Registry {
            environment: Environment::of_process()?,
            streams: config.address().map(Server::at).transpose()?.map(Streams::new),
            config,
            cluster: OnceCell::new(),
            registrations: OnceCell::new(),
            own_watch: OnceCell::new(),
        };
        if registry.streams.is_none() {
            registry.cluster().await?;
        }
        Ok(registry)
    }

    /// Registers until the guard is dropped or withdrawn. It is written soon, with the others that come meanwhile and with
    /// patience; [`Guard::registered`] waits for it. It is written again if somebody removes it, or the Pod gets another
    /// address. The first one replaces what an earlier run of the container has left.
    ///
    /// # Errors
    /// What a server would refuse, or nobody tells which Pod this is.
    pub async fn register(&self, registration: Registration) -> Result<Guard, RegistryError> {
        let default_name = registration.port.first().map(u16::to_string).unwrap_or_default();
        let name = self.config.container.clone().unwrap_or(default_name);
        let owner = Owner { name: name.into(), kind: Kind::Library };
        registration.check(self.config.profile, &owner)?;
        let registrations = self.registrations.get_or_try_init(|| self.registrations(owner)).await?;
        Ok(registrations.add(registration))
    }

    /// Subscribes to an interface, in any letter case.
    ///
    /// # Errors
    /// The own watch cannot be set up, or has too many subscriptions.
    pub async fn subscribe(&self, interface: &str, selector: Selector) -> Result<Subscription, RegistryError> {
        let Selector { group, version, namespace } = selector;
        let filter = Filter { interface: Some(interface.to_owned()), group, version, namespace };
        if let Some(streams) = &self.streams {
            return Ok(Subscription::streamed(streams.listen(filter)));
        }
        let own_watch = self.own_watch.get_or_try_init(|| self.own_watch()).await?;
        Ok(Subscription::watched(own_watch.subscribe(filter)?))
    }

    /// Waits, some seconds at most, until what is wanted is written: so that the process does not end before the
    /// withdrawals of its dropped guards. What guards still hold stays registered.
    ///
    /// # Errors
    /// Why it is not written.
    pub async fn shutdown(self) -> Result<(), RegisterError> {
        match self.registrations.get() {
            Some(registrations) => registrations.written_at_last().await,
            None => Ok(()),
        }
    }

    async fn cluster(&self) -> Result<&(Client, Arc<str>), RegistryError> {
        let Config { kubeconfig, context, .. } = &self.config;
        let cluster = || async { client(kubeconfig.as_deref(), context.as_deref()).await };
        Ok(self.cluster.get_or_try_init(cluster).await?)
    }

    async fn registrations(&self, owner: Owner) -> Result<Arc<Registrations>, RegistryError> {
        let Config { kubeconfig, context, namespace, pod, profile, .. } = &self.config;
        let (client, of_context) = self.cluster().await?;
        let is_named = kubeconfig.is_some() || context.is_some();
        let of_context = is_named.then_some(&**of_context);
        let pod = own_pod(namespace.as_deref(), pod.as_deref(), of_context, &self.environment)?;
        let registrar = Registrar::new(client.clone(), pod, *profile, owner);
        Ok(Arc::new(Registrations::new(Keeper::start(registrar))))
    }

    async fn own_watch(&self) -> Result<Arc<OwnWatch>, RegistryError> {
        Ok(Arc::new(OwnWatch::start(&self.config).await?))
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("config", &self.config).finish_non_exhaustive()
    }
}
