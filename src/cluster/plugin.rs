//! Credential plugins: programs that a kubeconfig's `exec` names.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::ClientError;
use super::credentials::{Authorization, bearer};
use super::identity::{self, ClientIdentity, UnusableCertificate};
use super::kubeconfig::{Cluster, ConfigEntry, Exec, User};

/// How long before their expiry credentials are renewed.
const RENEWAL: SignedDuration = SignedDuration::from_secs(60);

/// How long a plugin without a terminal may run. Some wait for a login in a browser.
const RUN_MAX: Duration = Duration::from_secs(300);

/// The most bytes that a plugin may print.
const PRINTED_LEN_MAX: u64 = 1024 * 1024;

/// The versions of the protocol.
const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

/// A plugin. It gives a token, a client certificate, or both.
#[derive(Clone)]
pub(super) struct Plugin {
    /// Locked while the plugin runs.
    given: Arc<Mutex<LastCredentials>>,
    /// The last run whose credentials the API server refused.
    refused: Arc<AtomicU64>,
}

/// The credentials of the last run.
struct LastCredentials {
    program: Program,
    /// Gets its certificate.
    identity: ClientIdentity,
    header: Option<HeaderValue>,
    /// When the credentials expire.
    end: Option<Timestamp>,
    /// The number of the run that gave them, counted from 1.
    run: u64,
}

impl Plugin {
    /// Runs a user's plugin for the first time.
    pub(super) async fn start(program: Program, identity: ClientIdentity) -> Result<Plugin, ClientError> {
        let mut given = LastCredentials { program, identity, header: None, end: None, run: 0 };
        given.renew().await?;
        Ok(Plugin { given: Arc::new(Mutex::new(given)), refused: Arc::default() })
    }

    /// The credentials for a request. Renews them first if they were refused or expire soon.
    pub(super) async fn authorization(&self) -> Result<Authorization, ClientError> {
        let mut given = self.given.clone().lock_owned().await;
        let is_refused = self.refused.load(Ordering::Relaxed) >= given.run;
        if !is_refused && given.end.is_none_or(|end| Timestamp::now() + RENEWAL < end) {
            return Ok(given.authorization());
        }
        let user = given.program.user.clone();
        // In a separate task: the plugin may take longer than the request waits, and the next request uses its result.
        let renewal = tokio::spawn(async move {
            match given.renew().await {
                Err(error) if !is_refused && given.end.is_some_and(|end| Timestamp::now() < end) => {
                    tracing::warn!("the last credentials stay in use until they end: {error}");
                }
                result => result?,
            }
            Ok(given.authorization())
        });
        renewal.await.unwrap_or_else(|_| Err(user.fault("exec", "the credential plugin was interrupted")))
    }

    /// Called if the API server refuses the credentials of a request. The plugin runs again before the next request, unless it has
    /// already run since.
    pub(super) fn refuse(&self, shown: &Authorization) {
        self.refused.fetch_max(shown.run, Ordering::Relaxed);
    }
}

impl LastCredentials {
    fn authorization(&self) -> Authorization {
        Authorization { header: self.header.clone(), run: self.run }
    }

    async fn renew(&mut self) -> Result<(), ClientError> {
        let status = self.program.run().await?;
        let fault = |reason: &str| self.program.fault(reason);
        let token = status.token.as_deref().unwrap_or_default().trim();
        let [certificate, key] =
            [&status.client_certificate_data, &status.client_key_data].map(|pem| pem.as_deref().unwrap_or_default());
        let pair = match (certificate, key) {
            ("", "") if token.is_empty() => return Err(fault("it gave no token and no certificate")),
            ("", "") => None,
            ("", _) => return Err(fault("it gave a certificate's key without the certificate")),
            (_, "") => return Err(fault("it gave a certificate without its key")),
            (certificate, key) => {
                let pair = identity::pair(certificate.as_bytes(), key.as_bytes());
                Some(pair.map_err(|unusable| match unusable {
                    UnusableCertificate::Certificate(reason) => fault(&format!("its clientCertificateData: {reason}")),
                    UnusableCertificate::Key(reason) => fault(&format!("its clientKeyData: {reason}")),
                })?)
            }
        };
        let header = Some(token).filter(|token| !token.is_empty()).map(bearer).transpose();
        let header = header.map_err(|reason| fault(&format!("its token: {reason}")))?;
        let end = status.expiration_timestamp.as_deref().map(str::parse).transpose();
        let end = end.map_err(|_| fault("its expirationTimestamp is not a time of RFC 3339"))?;
        (self.header, self.end) = (header, end);
        self.identity.replace(pair);
        self.run += 1;
        Ok(())
    }
}

/// Checks a kubeconfig's `exec`, even if the plugin will not run.
pub(super) fn check(user: &ConfigEntry<User>, exec: &Exec) -> Result<(), ClientError> {
    if exec.command.is_empty() {
        return Err(user.fault("exec.command", "it is missing"));
    }
    if !VERSIONS.contains(&exec.api_version.as_str()) {
        return Err(user.fault("exec.apiVersion", format!("it must be {} or {}", VERSIONS[0], VERSIONS[1])));
    }
    if exec.env.iter().any(|variable| variable.name.is_empty() || variable.name.contains(['=', '\0'])) {
        return Err(user.fault("exec.env", "a variable's name is missing, or has a `=` in it"));
    }
    match exec.interactive_mode.as_str() {
        "Never" | "IfAvailable" | "Always" => Ok(()),
        "" if exec.api_version == VERSIONS[1] => Ok(()),
        _ => Err(user.fault("exec.interactiveMode", "it must be Never, IfAvailable or Always")),
    }
}

/// The program of a plugin, with its arguments and its environment.
pub(super) struct Program {
    /// The user that names it, for errors.
    user: ConfigEntry<()>,
    /// The version of the protocol.
    version: String,
    path: PathBuf,
    args: Vec<String>,
    variables: Vec<(String, String)>,
    is_interactive: bool,
}

/// The output of a plugin.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ExecCredential {
    api_version: String,
    kind: String,
    status: Option<ExecCredentialStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ExecCredentialStatus {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

impl Program {
    pub(super) fn of(
        user: &ConfigEntry<User>,
        exec: &Exec,
        cluster: &ConfigEntry<Cluster>,
        authority: &[u8],
    ) -> Result<Program, ClientError> {
        let is_interactive = match exec.interactive_mode.as_str() {
            "Never" => false,
            "Always" if !io::stdin().is_terminal() => {
                return Err(user.fault("exec.interactiveMode", "it is Always, and there is no terminal"));
            }
            _ => io::stdin().is_terminal(),
        };
        let mut spec = json!({ "interactive": is_interactive });
        if exec.provide_cluster_info {
            spec["cluster"] = cluster_info(&cluster.value, authority);
        }
        let info = json!({ "kind": "ExecCredential", "apiVersion": exec.api_version, "spec": spec });
        let variables = exec.env.iter().map(|variable| (variable.name.clone(), variable.value.clone()));
        // A bare name is looked up in PATH. A relative path starts from the folder of the kubeconfig.
        let path = if exec.command.contains('/') { user.path(&exec.command) } else { Path::new(&exec.command).into() };
        Ok(Program {
            user: user.without_value(),
            version: exec.api_version.clone(),
            path,
            args: exec.args.clone(),
            variables: variables.chain([("KUBERNETES_EXEC_INFO".to_owned(), info.to_string())]).collect(),
            is_interactive,
        })
    }

    /// Runs it to its end. No error repeats its output, which may contain a secret.
    async fn run(&self) -> Result<ExecCredentialStatus, ClientError> {
        let run = self.output();
        let output = match self.is_interactive {
            true => run.await?,
            false => timeout(RUN_MAX, run).await.unwrap_or_else(|_| {
                Err(self.fault(format!("it has not ended within {} s, and was ended", RUN_MAX.as_secs())))
            })?,
        };
        let ExecCredential { api_version, kind, status } = serde_saphyr::from_slice(&output)
            .map_err(|_| self.fault("it gave no credentials: what it printed is not an ExecCredential"))?;
        if kind != "ExecCredential" || api_version != self.version {
            let expected = format!("kind ExecCredential and apiVersion {}, as in the kubeconfig", self.version);
            return Err(self.fault(format!("what it printed has another kind or version: it must have {expected}")));
        }
        status.ok_or_else(|| self.fault("it gave no credentials: what it printed has no status"))
    }

    /// The bytes that it prints.
    async fn output(&self) -> Result<Vec<u8>, ClientError> {
        let mut command = Command::new(&self.path);
        command.args(&self.args).envs(self.variables.iter().map(|(name, value)| (name, value))).kill_on_drop(true);
        let input = if self.is_interactive { Stdio::inherit() } else { Stdio::null() };
        // A person at a terminal sees its messages, such as "open this page". A log never gets them.
        let errors = if io::stderr().is_terminal() { Stdio::inherit() } else { Stdio::null() };
        let unusable = |error| {
            let hint = "write the program alone as `command`, and its arguments as `args`";
            self.user.fault("exec.command", format!("it cannot be run: {error}; {hint}"))
        };
        let mut child = command.stdin(input).stderr(errors).stdout(Stdio::piped()).spawn().map_err(unusable)?;
        let mut output = Vec::new();
        let printed = child.stdout.take().expect("it is piped");
        printed.take(PRINTED_LEN_MAX + 1).read_to_end(&mut output).await.map_err(unusable)?;
        if output.len() as u64 > PRINTED_LEN_MAX {
            return Err(self.fault(format!("it printed over {PRINTED_LEN_MAX} bytes")));
        }
        let status = child.wait().await.map_err(unusable)?;
        if status.success() { Ok(output) } else { Err(self.fault(format!("it failed: {status}"))) }
    }

    fn fault(&self, reason: impl std::fmt::Display) -> ClientError {
        self.user.fault("exec", format!("the credential plugin: {reason}"))
    }
}

/// What a plugin receives about the cluster, if `provideClusterInfo` is set.
fn cluster_info(cluster: &Cluster, authority: &[u8]) -> Value {
    let mut info = json!({ "server": cluster.server });
    for (key, value) in [("tls-server-name", &cluster.tls_server_name), ("proxy-url", &cluster.proxy_url)] {
        if !value.is_empty() {
            info[key] = json!(value);
        }
    }
    if cluster.insecure_skip_tls_verify {
        info["insecure-skip-tls-verify"] = json!(true);
    }
    if !authority.is_empty() {
        info["certificate-authority-data"] = json!(STANDARD.encode(authority));
    }
    if let Some(config) = cluster.of_plugin() {
        info["config"] = config.clone();
    }
    info
}
