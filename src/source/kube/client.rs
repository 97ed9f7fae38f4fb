//! The connection to an API server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig that was named cannot be used.
    #[error("kubeconfig {}: {error}", .path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<KubeconfigError>,
    },
    /// The context that was named is not there, or not sound.
    #[error("context {context}: {error}")]
    Context {
        /// The context.
        context: String,
        /// What is wrong with it.
        error: Box<KubeconfigError>,
    },
    /// No file was named, and neither the usual ones nor a Pod's service account are there.
    #[error("no API server: neither $KUBECONFIG, ~/.kube/config nor a Pod's service account can be used: {0}")]
    Nowhere(Box<InferConfigError>),
    /// The certificates or credentials in it are not sound.
    #[error("the API server's client: {0}")]
    Client(Box<kube::Error>),
}

/// A client and the namespace that its configuration names: of a kubeconfig if one is given, else of `$KUBECONFIG`,
/// `~/.kube/config`, or the Pod's service account. The rustls provider must have been installed before.
pub async fn client(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<(Client, Arc<str>), ClientError> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let mut config = match (kubeconfig, context) {
        (Some(path), _) => {
            let wrong = |error| ClientError::Kubeconfig { path: path.to_owned(), error: Box::new(error) };
            let file = Kubeconfig::read_from(path).map_err(wrong)?;
            Config::from_custom_kubeconfig(file, &options).await.map_err(wrong)?
        }
        (None, Some(context)) => Config::from_kubeconfig(&options)
            .await
            .map_err(|error| ClientError::Context { context: context.to_owned(), error: Box::new(error) })?,
        (None, None) => Config::infer().await.map_err(|error| ClientError::Nowhere(Box::new(error)))?,
    };
    // Retries of the client's own would start at half a second and hide from our health what the server says.
    config.default_retry = false;
    // A watch is silent for long; its own deadlines tell a quiet server from a dead one.
    config.read_timeout = None;
    let namespace = config.default_namespace.as_str().into();
    let client = Client::try_from(config).map_err(|error| ClientError::Client(Box::new(error)))?;
    Ok((client, namespace))
}
