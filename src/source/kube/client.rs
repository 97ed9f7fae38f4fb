//! The connection to an API server, and what its errors may say.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kube::client::AuthError;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// Why there is no client. No text of a kubeconfig or of a credential plugin is in it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig that was named cannot be used.
    #[error("kubeconfig {}: {reason}", .path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The context that was named is in none of the usual kubeconfigs, or is not sound.
    #[error("context {context}: {reason}")]
    Context {
        /// The context.
        context: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing was named, and none of the usual places has anything.
    #[error("no API server: $KUBECONFIG or ~/.kube/config: {kubeconfig}; as a Pod: {in_cluster}")]
    Nowhere {
        /// Why no kubeconfig.
        kubeconfig: String,
        /// Why no service account.
        in_cluster: String,
    },
    /// The certificates or credentials are not sound.
    #[error("the API server's client: {0}")]
    Client(String),
}

/// A client and the namespace that its configuration names: of a kubeconfig if one is given, else of `$KUBECONFIG`,
/// `~/.kube/config`, or the Pod's service account. The rustls provider must have been installed before.
pub async fn client(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<(Client, Arc<str>), ClientError> {
    let mut config = config(kubeconfig, context).await?;
    // Retries of the client's own would start at half a second and hide from our health what the server says.
    config.default_retry = false;
    // A watch is silent for long; its own deadlines tell a quiet server from a dead one.
    config.read_timeout = None;
    let namespace = config.default_namespace.as_str().into();
    let client = Client::try_from(config).map_err(|error| ClientError::Client(plain(&error)))?;
    Ok((client, namespace))
}

/// Whether the kubeconfig that [`client`] takes gets its credentials from a program, which runs anew when they expire.
pub async fn runs_programs(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<bool, ClientError> {
    let credentials = config(kubeconfig, context).await?.auth_info;
    Ok(credentials.exec.is_some() || credentials.auth_provider.is_some())
}

async fn config(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Config, ClientError> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    if let Some(path) = kubeconfig {
        let wrong = |error| ClientError::Kubeconfig { path: path.to_owned(), reason: plain(&error) };
        return of_kubeconfig(Kubeconfig::read_from(path), &options).await.map_err(wrong);
    }
    // What Config::infer does, without its error, which would quote the kubeconfig.
    match (of_kubeconfig(Kubeconfig::read(), &options).await, context) {
        (Ok(config), _) => Ok(config),
        (Err(error), Some(context)) => Err(ClientError::Context { context: context.to_owned(), reason: plain(&error) }),
        (Err(error), None) => Config::incluster()
            .map_err(|in_cluster| ClientError::Nowhere { kubeconfig: plain(&error), in_cluster: plain(&in_cluster) }),
    }
}

/// A kubeconfig's configuration. A certificate authority that is a file is read again when it is a minute old, as a Pod's
/// is: kube does so of its own for the latter alone.
async fn of_kubeconfig(
    file: Result<Kubeconfig, KubeconfigError>,
    options: &KubeConfigOptions,
) -> Result<Config, KubeconfigError> {
    let file = file?;
    let authority = authority_file(&file, options.context.as_deref());
    let mut config = Config::from_custom_kubeconfig(file, options).await?;
    config.root_cert_file = authority;
    Ok(config)
}

/// The file of the context's certificate authority; none where it stands in the kubeconfig itself.
fn authority_file(file: &Kubeconfig, context: Option<&str>) -> Option<PathBuf> {
    let context = context.or(file.current_context.as_deref())?;
    let context = file.contexts.iter().find(|named| named.name == context)?.context.as_ref()?;
    let cluster = file.clusters.iter().find(|named| named.name == context.cluster)?.cluster.as_ref()?;
    match cluster.certificate_authority_data {
        Some(_) => None,
        None => cluster.certificate_authority.as_ref().map(PathBuf::from),
    }
}

/// An error and its causes in a line: the outermost alone says no more than that a request failed. Errors that would quote
/// a kubeconfig's text or a credential plugin's output are told in our words.
pub fn plain(error: &(dyn Error + 'static)) -> String {
    let chain = || std::iter::successors(Some(error), |&error| error.source());
    if let Some(text) = chain().find_map(discreet) {
        return text;
    }
    let mut text = String::new();
    for part in chain().map(ToString::to_string) {
        if !text.contains(&part) {
            let separator = if text.is_empty() { "" } else { ": " };
            text = format!("{text}{separator}{part}");
        }
    }
    text
}

/// Our words for an error that quotes what may be a secret.
fn discreet(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(KubeconfigError::Parse(error)) = error.downcast_ref() {
        let line = error.location().map(|location| format!(", line {}", location.line())).unwrap_or_default();
        return Some(format!("not a kubeconfig in YAML{line}"));
    }
    Some(match error.downcast_ref::<AuthError>()? {
        AuthError::AuthExecRun { out, .. } => format!("the credential plugin failed: {}", out.status),
        AuthError::AuthExecStart(error) => format!("the credential plugin cannot be run: {error}"),
        AuthError::ReadTokenFile(error, path) => format!("token file {}: {error}", path.display()),
        AuthError::ExecPluginFailed | AuthError::AuthExecParse(_) | AuthError::AuthExec(_) => {
            "the credential plugin gave no credentials".to_owned()
        }
        _ => "the credentials cannot be used".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
        clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}]\n\
        users: [{name: u, user: USER}]\n\
        contexts: [{name: a, context: {cluster: c, user: u, namespace: n}}, {name: b, context: {cluster: c, user: u}}]\n";

    /// The client of a kubeconfig's text: its namespace, or what is wrong; and then what a request says.
    async fn outcome(text: &str, context: Option<&str>) -> Result<(Client, Arc<str>), String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let name = format!("callsign-kubeconfig-{}-{:p}", std::process::id(), text);
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("a file");
        let outcome = client(Some(&path), context).await.map_err(|error| error.to_string());
        std::fs::remove_file(&path).expect("the file");
        outcome
    }

    #[tokio::test]
    async fn takes_the_namespace_of_the_context() {
        let text = SOUND.replace("USER", "{token: x}");
        for (context, namespace) in [(None, "n"), (Some("a"), "n"), (Some("b"), "default")] {
            let (_, found) = outcome(&text, context).await.expect("a client");
            assert_eq!(&*found, namespace);
        }
        let error = outcome(&text, Some("z")).await.map(|_| ()).expect_err("no such context");
        assert!(error.contains('z'), "{error}");
    }

    #[tokio::test]
    async fn an_error_never_quotes_a_secret() {
        let plugin = |script: &str| {
            let exec =
                "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: [-c, ";
            SOUND.replace("USER", &format!("{exec}'{script}']}}}}"))
        };
        let cases = [
            SOUND.replace("USER", "{token: [hunter2}"),
            SOUND.replace("USER", "{token: {a: hunter2}}"),
            SOUND.replace("USER", "{client-certificate-data: hunter2, client-key-data: hunter2}"),
            plugin("echo hunter2; exit 1"),
            plugin("echo hunter2"),
            plugin("echo \"{kind: ExecCredential, status: {token: [hunter2}\""),
        ];
        for text in cases {
            let error = match outcome(&text, None).await {
                Ok((client, _)) => {
                    let request = http::Request::get("/").body(kube::client::Body::empty()).expect("a request");
                    plain(&client.send(request).await.map(|_| ()).expect_err("no server is there"))
                }
                Err(error) => error,
            };
            assert!(!error.contains("hunter2") && !error.is_empty(), "{text}: {error}");
            assert!(!error.contains("refused"), "a fault of the credentials: {error}");
        }
    }
}
