//! The library for RPC frameworks: a process registers itself and finds the endpoints of others.
//!
//! ```text
//! register(registration) ─► Guard ─► keeper ─(one merge PATCH)─► the own Pod's label and annotation
//!
//! subscribe(interface, selector) ─► Subscription ◄─(set, changes)─┬─ a server's event stream, where its URL is given
//!                                                                └─ else a watch of the process's own
//! ```
//!
//! A subscription receives the same updates either way, because both ways end in one index. With the stream all
//! processes together cost the API server one watch; with its own watch a process needs no server. All
//! subscriptions of a registry share one stream of up to 1,024 interfaces. Beyond that there are further streams on
//! the same HTTP/2 connection.
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
//! // What this process provides.
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
//! // Before it ends: withdraw, keep serving callers that still have the address, and only then exit.
//! guard.withdraw().await?;
//! tokio::time::sleep(std::time::Duration::from_secs(8)).await;
//! registry.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! It needs a tokio runtime with time and I/O, logs with `tracing`, and installs rustls' ring provider unless the
//! process has installed another one.

#![warn(missing_docs)]

mod guard;
mod own_watch;
mod streams;
mod subscription;

use std::path::PathBuf;
use std::sync::Arc;

use kube::Client;
use tokio::sync::OnceCell;

use crate::api::Filter;
use crate::changes::TooManySubscriptions;
use crate::cluster::{ClientError, client};
use crate::config::{ConfigError, Environment, own_pod};
use crate::register::offer::OfferError;
use crate::register::{Keeper, Owner, OwnerKind, Registrar};
use crate::remote::{ServerAddress, ServerClient};
use guard::Registrations;
use own_watch::OwnWatch;
use streams::Streams;

pub use crate::api::{WatchedChange as Change, WatchedEndpoint as Endpoint, WatchedSet as Set};
pub use crate::register::{Offer as Registration, Profile, RegisterError};
pub use crate::remote::RemoteError;
pub use guard::Guard;
pub use subscription::{Subscription, Update};

/// The own Pod, and where to read endpoints from. The default is right in a Pod with the Downward API's variables.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The URL of a callsign server's `--http`, such as `http://callsign.callsign-system:8080`. Subscriptions read its
    /// event stream. `None`: this process watches Pods itself, which needs the rights to list and watch them.
    pub server: Option<String>,
    /// The file of the token that the server requires (its `--http-token`). It is read at each connection, so that it
    /// can be rotated.
    pub server_token: Option<PathBuf>,
    /// The authorities of the server's certificate, in PEM, for an `https://` URL. `None`: the system's.
    pub server_ca: Option<PathBuf>,
    /// `None`: `$KUBECONFIG`, `~/.kube/config`, or the Pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// `None`: the kubeconfig's current context.
    pub context: Option<String>,
    /// The namespaces that this process watches if there is no server. Empty: the own one.
    pub namespaces: Vec<String>,
    /// The own Pod's namespace. `None`: `POD_NAMESPACE`, or that of the service account or the kubeconfig.
    pub namespace: Option<String>,
    /// The own Pod's name. `None`: `POD_NAME` or `HOSTNAME`. If `POD_UID` is set, the Pod must have it. Otherwise one
    /// of the Pod's addresses must be this process's own if the name is `HOSTNAME`, or if only one of `namespace` and
    /// `pod` is given here.
    pub pod: Option<String>,
    /// Distinguishes this container's registrations from those of the Pod's other containers. `None`: the first port
    /// of the first registration. It must be the same at the next start, which replaces the entries that this run
    /// leaves.
    pub container: Option<String>,
    /// The encoding of registrations.
    pub profile: Profile,
}

impl Config {
    /// The server's address, if there is a server.
    fn address(&self) -> Option<ServerAddress> {
        let url = self.server.clone()?;
        Some(ServerAddress { url, token: self.server_token.clone(), authorities: self.server_ca.clone() })
    }
}

/// Selects endpoints of an interface. An absent field matches any value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Exact. An empty string matches endpoints without a group.
    pub group: Option<String>,
    /// Exact. An empty string matches endpoints without a version.
    pub version: Option<String>,
    /// Exact. `None`: all namespaces that the server or this process watches.
    pub namespace: Option<String>,
}

/// Why a registry cannot register or subscribe.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The own Pod is unknown, or a namespace is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The API server's client cannot be configured.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A server would refuse the registration.
    #[error(transparent)]
    Refused(#[from] OfferError),
    /// The server's URL is invalid, or its files cannot be read.
    #[error(transparent)]
    Server(#[from] RemoteError),
    /// There are too many subscriptions.
    #[error(transparent)]
    Full(#[from] TooManySubscriptions),
    /// Starting the process's own watch failed.
    #[error("the watch cannot be set up: {0}")]
    Watch(String),
}

/// Registers a process and subscribes to others.
pub struct Registry {
    config: Config,
    environment: Environment,
    /// If subscriptions read a server's event stream.
    streams: Option<Arc<Streams>>,
    /// The API server's client, and the namespace of its configuration.
    cluster: OnceCell<(Client, Arc<str>)>,
    registrations: OnceCell<Arc<Registrations>>,
    own_watch: OnceCell<Arc<OwnWatch>>,
}

impl Registry {
    /// Reads the configuration. It connects to nothing yet, so the API server and the server may be away.
    ///
    /// # Errors
    /// A URL, a kubeconfig or the environment is invalid.
    pub async fn connect(config: Config) -> Result<Registry, RegistryError> {
        // Err means that the process has already installed another provider, which works as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let registry = Registry {
            environment: Environment::of_process()?,
            streams: config.address().map(ServerClient::new).transpose()?.map(Streams::new),
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

    /// Registers until the guard is dropped or withdrawn. The registration is written soon, together with others that
    /// are added meanwhile, and retried; [`Guard::registered`] waits for it. It is written again if somebody removes
    /// it or the Pod gets another address. The first one replaces the entries that an earlier run of the container
    /// left.
    ///
    /// # Errors
    /// A server would refuse the registration, or nothing says which Pod this is.
    pub async fn register(&self, registration: Registration) -> Result<Guard, RegistryError> {
        let default_name = registration.port.first().map(u16::to_string).unwrap_or_default();
        let name = self.config.container.clone().unwrap_or(default_name);
        let owner = Owner { name: name.into(), kind: OwnerKind::Library };
        registration.check(self.config.profile, &owner)?;
        let registrations = self.registrations.get_or_try_init(|| self.registrations(owner)).await?;
        Ok(registrations.add(registration))
    }

    /// Subscribes to an interface, in any letter case.
    ///
    /// # Errors
    /// The process's own watch cannot be started, or has too many subscriptions.
    pub async fn subscribe(&self, interface: &str, selector: Selector) -> Result<Subscription, RegistryError> {
        let Selector { group, version, namespace } = selector;
        let filter = Filter { interface: Some(interface.to_owned()), group, version, namespace };
        if let Some(streams) = &self.streams {
            return Ok(Subscription::streamed(streams.subscribe(filter)));
        }
        let own_watch = self.own_watch.get_or_try_init(|| self.own_watch()).await?;
        Ok(Subscription::watched(own_watch.subscribe(filter)?))
    }

    /// Waits some seconds at most until the wanted registrations are written, so that the process does not end before
    /// its dropped guards are withdrawn. Registrations of guards that still exist stay.
    ///
    /// # Errors
    /// Why they are not written.
    pub async fn shutdown(self) -> Result<(), RegisterError> {
        match self.registrations.get() {
            Some(registrations) => registrations.flush().await,
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
