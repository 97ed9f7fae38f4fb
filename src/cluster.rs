//! The connection to an API server, and what its errors may say.

mod connection;
mod credentials;
mod identity;
mod impersonation;
mod kubeconfig;
mod plugin;
mod proxy;
mod settings;
mod stack;
mod value_type;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kube::Client;

use self::kubeconfig::{Chosen, Kubeconfig};
use self::proxy::Variables;
use self::settings::Settings;

/// The variable that lists the kubeconfigs.
const KUBECONFIG: &str = "KUBECONFIG";

/// Why there is no client. It contains no secret of a kubeconfig, of a URL or of a credential plugin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A kubeconfig cannot be used.
    #[error("kubeconfig {}: {reason}", .path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No kubeconfig has the context, or the context refers to a cluster that no kubeconfig has.
    #[error("context {context}: {reason}")]
    Context {
        /// The context.
        context: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No kubeconfig was named, and there is no usual kubeconfig and no service account.
    #[error("no API server: $KUBECONFIG or ~/.kube/config: {kubeconfig}; as a Pod: {in_cluster}")]
    Nowhere {
        /// Why no kubeconfig is used.
        kubeconfig: String,
        /// Why no service account is used.
        in_cluster: String,
    },
    /// The proxy to the API server cannot be used.
    #[error("the proxy to the API server: {0}")]
    Proxy(String),
    /// The certificates or credentials are not valid.
    #[error("the API server's client: {0}")]
    Client(String),
}

/// Returns a client and the namespace of its configuration. The configuration is the given kubeconfig, or else `$KUBECONFIG`,
/// `~/.kube/config`, or the Pod's service account. The caller installs the rustls provider first.
///
/// # Errors
/// The configuration is wrong. The error names the file and the key.
pub async fn client(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<(Client, Arc<str>), ClientError> {
    let variables = Variables::of_process();
    let settings = match chosen(kubeconfig, context)? {
        Ok(chosen) => Settings::of_kubeconfig(&chosen, &variables).await?,
        Err(kubeconfig) => {
            Settings::of_pod(&variables).map_err(|in_cluster| ClientError::Nowhere { kubeconfig, in_cluster })?
        }
    };
    let namespace = settings.config.default_namespace.as_str().into();
    Ok((stack::client(settings)?, namespace))
}

/// Whether a program gives the credentials of the kubeconfig that [`client`] uses. It runs again when they expire.
///
/// # Errors
/// The kubeconfig is wrong.
pub async fn runs_programs(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<bool, ClientError> {
    match chosen(kubeconfig, context)? {
        Ok(chosen) => Ok(settings::program(&chosen)?.is_some()),
        Err(_) => Ok(false),
    }
}

/// The context to use. If no kubeconfig names one, returns the reason, and the client connects to the Pod's own cluster.
fn chosen(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Result<Chosen, String>, ClientError> {
    if let Some(path) = kubeconfig {
        return Kubeconfig::of_file(path)?.choose(context).map(Ok);
    }
    let files = usual_files();
    let found = Kubeconfig::of_list(&files)?;
    let names = || files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
    let nothing = || format!("{}: no such file, or an empty one", names());
    match (context, found.is_empty()) {
        (Some(context), true) => Err(ClientError::Context { context: context.to_owned(), reason: nothing() }),
        (Some(_), false) => found.choose(context).map(Ok),
        (None, false) if found.has_current() || !is_pod() => found.choose(None).map(Ok),
        (None, false) => Ok(Err(format!("{}: no current-context is set", names()))),
        (None, true) => Ok(Err(nothing())),
    }
}

/// The files of `$KUBECONFIG`, each once, or else the file of the home folder.
fn usual_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for file in std::env::var_os(KUBECONFIG).iter().flat_map(std::env::split_paths) {
        if !file.as_os_str().is_empty() && !files.contains(&file) {
            files.push(file);
        }
    }
    let of_home = || std::env::home_dir().map(|home| home.join(".kube/config"));
    if files.is_empty() { of_home().into_iter().collect() } else { files }
}

/// Whether Kubernetes has started this process.
fn is_pod() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some_and(|host| !host.is_empty())
}

/// An error and its causes in one line. The outermost error alone says only that a request failed.
pub fn plain(error: &(dyn Error + 'static)) -> String {
    let error = match error.downcast_ref() {
        Some(kube::Error::Service(inner)) => &**inner, // it says only its name
        _ => error,
    };
    let mut text = String::new();
    for part in std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string) {
        if !text.contains(&part) {
            let separator = if text.is_empty() { "" } else { ": " };
            text = format!("{text}{separator}{part}");
        }
    }
    text
}

#[cfg(test)]
mod tests;
