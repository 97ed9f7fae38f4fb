//! Registering in the own Pod.

#![warn(missing_docs)]

use std::sync::Arc;

use kube::Client;
use tokio::sync::OnceCell;

use super::guard::Registrations;
use super::{Config, Guard, RegisterError, Registration, Registry, RegistryError};
use crate::cluster::client;
use crate::register::{Keeper, OwnPodError, Owner, OwnerKind, PodVariables, Registrar, own_pod};

/// The own Pod, and the API server's client. Both are set up when they are first needed.
pub(super) struct OwnPodClient {
    variables: PodVariables,
    /// The API server's client, and the namespace of its configuration.
    cluster: OnceCell<(Client, Arc<str>)>,
    registrations: OnceCell<Arc<Registrations>>,
}

impl OwnPodClient {
    pub(super) fn of_process() -> Result<OwnPodClient, OwnPodError> {
        // Err means that the process has already installed another provider, which works as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let variables = PodVariables::of_process()?;
        Ok(OwnPodClient { variables, cluster: OnceCell::new(), registrations: OnceCell::new() })
    }

    pub(super) async fn cluster(&self, config: &Config) -> Result<&(Client, Arc<str>), RegistryError> {
        let Config { kubeconfig, context, .. } = config;
        let cluster = || async { client(kubeconfig.as_deref(), context.as_deref()).await };
        Ok(self.cluster.get_or_try_init(cluster).await?)
    }

    async fn registrations(&self, config: &Config, owner: Owner) -> Result<Arc<Registrations>, RegistryError> {
        let Config { kubeconfig, context, namespace, pod, profile, .. } = config;
        let (client, of_context) = self.cluster(config).await?;
        let is_named = kubeconfig.is_some() || context.is_some();
        let of_context = is_named.then_some(&**of_context);
        let pod = own_pod(namespace.as_deref(), pod.as_deref(), of_context, &self.variables)?;
        let registrar = Registrar::new(client.clone(), pod, *profile, owner);
        Ok(Arc::new(Registrations::new(Keeper::start(registrar))))
    }
}

impl Registry {
    /// Registers until the guard is dropped or withdrawn. The registration is written soon, together with others that
    /// are added meanwhile, and retried; [`Guard::registered`] waits for it. It is written again if somebody removes
    /// it or the Pod gets another address. The first one replaces the entries that an earlier run of the container
    /// left.
    ///
    /// ```no_run
    /// use callsign::registry::{Config, Registration, Registry};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry = Registry::connect(Config::default()).await?;
    /// let mut greeter = Registration::new("org.acme.Greeter", 50051);
    /// greeter.protocol = Some("grpc".into());
    /// let guard = registry.register(greeter).await?;
    /// guard.registered().await?;
    ///
    /// // Before it ends: withdraw, keep serving callers that still have the address, and only then exit.
    /// guard.withdraw().await?;
    /// tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    /// registry.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A server would refuse the registration, or nothing says which Pod this is.
    pub async fn register(&self, registration: Registration) -> Result<Guard, RegistryError> {
        let default_name = registration.port.first().map(u16::to_string).unwrap_or_default();
        let name = self.config.container.clone().unwrap_or(default_name);
        let owner = Owner { name: name.into(), kind: OwnerKind::Library };
        registration.check(self.config.profile, &owner)?;
        let own_pod = &self.own_pod;
        let registrations = || own_pod.registrations(&self.config, owner);
        Ok(own_pod.registrations.get_or_try_init(registrations).await?.add(registration))
    }

    /// Waits some seconds at most until the wanted registrations are written, so that the process does not end before
    /// its dropped guards are withdrawn. Registrations of guards that still exist stay.
    ///
    /// # Errors
    /// Why they are not written.
    pub async fn shutdown(self) -> Result<(), RegisterError> {
        match self.own_pod.registrations.get() {
            Some(registrations) => registrations.flush().await,
            None => Ok(()),
        }
    }
}
