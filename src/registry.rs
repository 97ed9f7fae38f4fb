//! The library for RPC frameworks: a process finds the endpoints of others, and registers itself.
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
//! subscriptions of a registry share one stream of up to 1,024 interfaces. Beyond that there are further streams.
//!
//! # Features
//!
//! Each feature includes those above it. A framework names one, without the default features.
//!
//! | feature | what | crates |
//! |---|---|---|
//! | `subscribe` | subscriptions to a server's event stream | 60 at most |
//! | `register` | registering in the own Pod, with the client of the API server | 135 at most |
//! | `watch` | subscriptions without a server, by the process's own watch | 155 at most |
//!
//! `subscribe` and `register` work on every system that tokio supports.
//!
//! # Example
//!
//! ```
//! use callsign::registry::{Config, Registry, Selector, Update};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # let url = server_of_this_example();
//! // In a cluster the URL is `http://callsign.callsign-system:8080`.
//! let registry = Registry::connect(Config::of_server(url)).await?;
//! let mut clocks = registry.subscribe("org.acme.Clock", Selector::default()).await?;
//! match clocks.next().await {
//!     Update::Set(set) => println!("{} clocks", set.endpoints.len()),
//!     Update::Change(change) => println!("{} more, {} fewer", change.added.len(), change.removed.len()),
//!     _ => {} // a later version may have other updates
//! }
//! assert_eq!(clocks.endpoints()[0].port, 50051);
//! # Ok(())
//! # }
//! #
//! # /// Answers one request with a stream of one set.
//! # fn server_of_this_example() -> String {
//! #     use std::io::{Read, Write};
//! #     let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
//! #     let url = format!("http://{}", listener.local_addr().unwrap());
//! #     std::thread::spawn(move || {
//! #         let (mut stream, _) = listener.accept().unwrap();
//! #         let mut head = Vec::new();
//! #         while !head.ends_with(b"\r\n\r\n") {
//! #             let mut byte = [0];
//! #             stream.read_exact(&mut byte).unwrap();
//! #             head.push(byte[0]);
//! #         }
//! #         let endpoint = r#"{"pod":"clock-0","namespace":"shop","address":"10.0.0.1","port":50051,"protocol":"grpc",
//! #             "group":null,"version":null,"weight":100,"addresses":["10.0.0.1"],"metadata":{}}"#.replace('\n', "");
//! #         let set = format!(r#"{{"interface":"org.acme.clock","endpoints":[{endpoint}]}}"#);
//! #         write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: set\nid: a-1\ndata: {set}\n\n").unwrap();
//! #         std::thread::sleep(std::time::Duration::from_secs(5)); // the stream stays open
//! #     });
//! #     url
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
//! ```
//!
//! It needs a tokio runtime with time and I/O, and logs with `tracing`. With the feature `register` it installs rustls'
//! ring provider unless the process has installed another one.

#![warn(missing_docs)]

#[cfg(feature = "register")]
mod guard;
#[cfg(feature = "watch")]
mod own_watch;
#[cfg(feature = "register")]
mod registering;
mod streams;
mod subscription;

use std::path::PathBuf;
use std::sync::Arc;

use crate::api::Filter;
use crate::remote::{ServerAddress, ServerClient};
use streams::Streams;
#[cfg(feature = "watch")]
use {own_watch::OwnWatch, tokio::sync::OnceCell};

pub use crate::api::{WatchedChange as Change, WatchedEndpoint as Endpoint, WatchedSet as Set};
#[cfg(feature = "watch")]
pub use crate::changes::TooManySubscriptions;
pub use crate::remote::RemoteError;
pub use crate::token::TokenError;
pub use subscription::{Subscription, Update};
#[cfg(feature = "register")]
pub use {
    crate::cluster::ClientError,
    crate::register::{Offer as Registration, OfferError, OwnPodError, PodDoubt, Profile, RegisterError},
    guard::Guard,
};

/// The own Pod, and where to read endpoints from. The default is right in a Pod with the Downward API's variables.
///
/// ```
/// use callsign::registry::Config;
///
/// let mut config = Config::of_server("https://callsign.callsign-system:8080");
/// config.server_ca = Some("/etc/callsign/ca.pem".into());
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {
    /// The URL of a callsign server's HTTP side, such as `http://callsign.callsign-system:8080`. Subscriptions read
    /// its event stream. `None`: this process watches Pods itself, which needs the rights to list and watch them, and
    /// the feature `watch`.
    pub server: Option<String>,
    /// The file of the token that the server requires (its `--http-token`). It is read at each connection, so that it
    /// can be rotated.
    pub server_token: Option<PathBuf>,
    /// The authorities of the server's certificate, in PEM, for an `https://` URL. `None`: the system's.
    pub server_ca: Option<PathBuf>,
    /// `None`: `$KUBECONFIG`, `~/.kube/config`, or the Pod's service account.
    #[cfg(feature = "register")]
    pub kubeconfig: Option<PathBuf>,
    /// `None`: the kubeconfig's current context.
    #[cfg(feature = "register")]
    pub context: Option<String>,
    /// The own Pod's namespace. `None`: `POD_NAMESPACE`, or that of the service account or the kubeconfig.
    #[cfg(feature = "register")]
    pub namespace: Option<String>,
    /// The own Pod's name. `None`: `POD_NAME` or `HOSTNAME`. If `POD_UID` is set, the Pod must have it. Otherwise one
    /// of the Pod's addresses must be this process's own if the name is `HOSTNAME`, or if only one of `namespace` and
    /// `pod` is given here.
    #[cfg(feature = "register")]
    pub pod: Option<String>,
    /// Distinguishes this container's registrations from those of the Pod's other containers. `None`: the first port
    /// of the first registration. It must be the same at the next start, which replaces the entries that this run
    /// leaves.
    #[cfg(feature = "register")]
    pub container: Option<String>,
    /// The encoding of registrations.
    #[cfg(feature = "register")]
    pub profile: Profile,
    /// The namespaces that this process watches if there is no server. Empty: the own one.
    #[cfg(feature = "watch")]
    pub namespaces: Vec<String>,
}

impl Config {
    /// Subscriptions read the event stream of the server with this URL.
    pub fn of_server(url: impl Into<String>) -> Config {
        Config { server: Some(url.into()), ..Config::default() }
    }

    /// The server's address, if there is a server.
    fn address(&self) -> Option<ServerAddress> {
        let url = self.server.clone()?;
        Some(ServerAddress { url, token: self.server_token.clone(), authorities: self.server_ca.clone() })
    }
}

/// Selects endpoints of an interface. An absent field matches any value.
///
/// ```
/// use callsign::registry::Selector;
///
/// let mut selector = Selector::default();
/// selector.group = Some("gray".into());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
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
#[non_exhaustive]
pub enum RegistryError {
    /// The server's URL is invalid, or its files cannot be read.
    #[error(transparent)]
    Server(#[from] RemoteError),
    /// There is no server to subscribe at, and the crate is built without a watch of its own.
    #[error("subscribing needs the URL of a server: this build has no watch of its own (the feature `watch`)")]
    NoServer,
    /// It is not known which Pod this process is in.
    #[cfg(feature = "register")]
    #[error(transparent)]
    OwnPod(#[from] OwnPodError),
    /// The API server's client cannot be configured.
    #[cfg(feature = "register")]
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A server would refuse the registration.
    #[cfg(feature = "register")]
    #[error(transparent)]
    Refused(#[from] OfferError),
    /// A namespace to watch is invalid.
    #[cfg(feature = "watch")]
    #[error("the namespaces to watch: {0:?} is not a namespace")]
    Namespace(String),
    /// There are too many subscriptions.
    #[cfg(feature = "watch")]
    #[error(transparent)]
    Full(#[from] TooManySubscriptions),
}

/// Registers a process and subscribes to others.
pub struct Registry {
    config: Config,
    /// If subscriptions read a server's event stream.
    streams: Option<Arc<Streams>>,
    #[cfg(feature = "register")]
    own_pod: registering::OwnPodClient,
    #[cfg(feature = "watch")]
    own_watch: OnceCell<Arc<OwnWatch>>,
}

impl Registry {
    /// Reads the configuration. It connects to nothing yet, so the API server and the server may be away.
    ///
    /// # Errors
    /// A URL, a kubeconfig or the environment is invalid.
    pub async fn connect(config: Config) -> Result<Registry, RegistryError> {
        let registry = Registry {
            streams: config.address().map(ServerClient::new).transpose()?.map(Streams::new),
            #[cfg(feature = "register")]
            own_pod: registering::OwnPodClient::of_process()?,
            #[cfg(feature = "watch")]
            own_watch: OnceCell::new(),
            config,
        };
        #[cfg(feature = "register")]
        if registry.streams.is_none() {
            registry.own_pod.cluster(&registry.config).await?;
        }
        Ok(registry)
    }

    /// Subscribes to an interface, in any letter case.
    ///
    /// # Errors
    /// There is no server, and the process's own watch cannot be started, has too many subscriptions, or is not in the
    /// build.
    pub async fn subscribe(&self, interface: &str, selector: Selector) -> Result<Subscription, RegistryError> {
        let Selector { group, version, namespace } = selector;
        let filter = Filter { interface: Some(interface.to_owned()), group, version, namespace };
        match &self.streams {
            Some(streams) => Ok(Subscription::streamed(streams.subscribe(filter))),
            None => self.watch(filter).await,
        }
    }

    #[cfg(not(feature = "watch"))]
    async fn watch(&self, _: Filter) -> Result<Subscription, RegistryError> {
        Err(RegistryError::NoServer)
    }

    #[cfg(feature = "watch")]
    async fn watch(&self, filter: Filter) -> Result<Subscription, RegistryError> {
        let own_watch = self.own_watch.get_or_try_init(|| self.start_watch()).await?;
        Ok(Subscription::watched(own_watch.subscribe(filter)?))
    }

    #[cfg(feature = "watch")]
    async fn start_watch(&self) -> Result<Arc<OwnWatch>, RegistryError> {
        let Config { namespaces, namespace, .. } = &self.config;
        let (client, of_context) = self.own_pod.cluster(&self.config).await?;
        let named: Vec<&String> =
            if namespaces.is_empty() { namespace.iter().collect() } else { namespaces.iter().collect() };
        if let Some(bad) = named.iter().find(|name| !crate::object_name::is_namespace(name)) {
            return Err(RegistryError::Namespace((*bad).clone()));
        }
        // A namespace given twice is one watch.
        let named: std::collections::BTreeSet<Arc<str>> = named.into_iter().map(|name| name.as_str().into()).collect();
        let watched = if named.is_empty() { vec![of_context.clone()] } else { named.into_iter().collect() };
        Ok(Arc::new(OwnWatch::start(client, &watched)))
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("config", &self.config).finish_non_exhaustive()
    }
}
