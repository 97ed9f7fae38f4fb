//! A program that gives credentials, as a kubeconfig's `exec` names it.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;

use super::ClientError;
use super::credentials::bearer;
use super::kubeconfig::{Cluster, Exec, Item, User};

/// How long before its end a token is renewed.
const RENEWAL: SignedDuration = SignedDuration::from_secs(60);

/// The versions of the protocol.
const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

/// A program that gives tokens.
pub(super) struct Plugin {
    program: Program,
    header: Option<HeaderValue>,
    /// When the token ends.
    end: Option<Timestamp>,
    is_stale: bool,
}

/// A client certificate of a program, in PEM.
pub(super) struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Plugin {
    /// Runs a user's program for the first time: what gives its tokens, and the client certificate that it gave.
    pub(super) async fn start(
        user: &Item<User>,
        exec: &Exec,
        cluster: &Item<Cluster>,
        server: &str,
        authority: &[u8],
    ) -> Result<(Plugin, Option<Identity>), ClientError> {
        let program = Program::of(user, exec, cluster, server, authority)?;
        let mut plugin = Plugin { program, header: None, end: None, is_stale: false };
        let status = plugin.run().await?;
        let identity = match (status.client_certificate_data, status.client_key_data) {
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            _ => None,
        };
        if plugin.header.is_none() && identity.is_none() {
            return Err(plugin.program.fault("it gave no token and no certificate"));
        }
        Ok((plugin, identity))
    }

    /// The header of its token. A token near its end is renewed first.
    pub(super) async fn header(&mut self) -> Result<Option<HeaderValue>, ClientError> {
        if self.is_stale || self.end.is_some_and(|end| Timestamp::now() + RENEWAL >= end) {
            self.run().await?;
            self.is_stale = false;
        }
        Ok(self.header.clone())
    }

    /// Has the program run again before the next request.
    pub(super) fn renew(&mut self) {
        self.is_stale = true;
    }

    async fn run(&mut self) -> Result<Status, ClientError> {
        let status = self.program.run().await?;
        let token = status.token.as_deref().map(str::trim).filter(|token| !token.is_empty());
        let header = token.map(bearer).transpose();
        self.header = header.map_err(|reason| self.program.fault(format!("its token: {reason}")))?;
        let end = status.expiration_timestamp.as_deref().map(str::parse).transpose();
        self.end = end.map_err(|_| self.program.fault("its expirationTimestamp is not a time of RFC 3339"))?;
        Ok(status)
    }
}

/// What is run.
struct Program {
    /// Who names it, for people.
    user: Item<()>,
    path: PathBuf,
    args: Vec<String>,
    variables: Vec<(String, String)>,
    is_interactive: bool,
}

/// What it prints.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Printed {
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

impl Program {
    fn of(
        user: &Item<User>,
        exec: &Exec,
        cluster: &Item<Cluster>,
        server: &str,
        authority: &[u8],
    ) -> Result<Program, ClientError> {
        if exec.command.is_empty() {
            return Err(user.fault("exec", "command is missing"));
        }
        if !VERSIONS.contains(&exec.api_version.as_str()) {
            return Err(user.fault("exec", format!("apiVersion must be {} or {}", VERSIONS[0], VERSIONS[1])));
        }
        if exec.env.iter().any(|variable| variable.name.is_empty() || variable.name.contains(['=', '\0'])) {
            return Err(user.fault("exec", "env: a variable's name is missing, or has a `=` in it"));
        }
        let is_interactive = match exec.interactive_mode.as_str() {
            "Never" => false,
            "IfAvailable" => io::stdin().is_terminal(),
            "" if exec.api_version == VERSIONS[1] => io::stdin().is_terminal(),
            "Always" if io::stdin().is_terminal() => true,
            "Always" => return Err(user.fault("exec", "interactiveMode is Always, and there is no terminal")),
            _ => return Err(user.fault("exec", "interactiveMode must be Never, IfAvailable or Always")),
        };
        let mut spec = json!({ "interactive": is_interactive });
        if exec.provide_cluster_info {
            spec["cluster"] = cluster_info(&cluster.value, server, authority);
        }
        let info = json!({ "kind": "ExecCredential", "apiVersion": exec.api_version, "spec": spec });
        let variables = exec.env.iter().map(|variable| (variable.name.clone(), variable.value.clone()));
        // A bare name is looked for in PATH; any other path starts from the kubeconfig's folder.
        let path = if exec.command.contains('/') { user.path(&exec.command) } else { Path::new(&exec.command).into() };
        Ok(Program {
            user: Item { what: user.what.clone(), file: user.file.clone(), value: () },
            path,
            args: exec.args.clone(),
            variables: variables.chain([("KUBERNETES_EXEC_INFO".to_owned(), info.to_string())]).collect(),
            is_interactive,
        })
    }

    /// Runs it to its end. Its output is never repeated, since it may hold a secret.
    async fn run(&self) -> Result<Status, ClientError> {
        let mut command = Command::new(&self.path);
        command.args(&self.args).envs(self.variables.iter().map(|(name, value)| (name, value))).kill_on_drop(true);
        let (input, errors) = match self.is_interactive {
            true => (Stdio::inherit(), Stdio::inherit()),
            false => (Stdio::null(), Stdio::null()),
        };
        let output = command.stdin(input).stderr(errors).stdout(Stdio::piped()).output().await;
        let output = output.map_err(|error| self.fault(format!("{} cannot be run: {error}", self.path.display())))?;
        if !output.status.success() {
            return Err(self.fault(format!("{} failed: {}", self.path.display(), output.status)));
        }
        let printed: Option<Printed> = serde_saphyr::from_slice(&output.stdout).ok();
        let status = printed.and_then(|printed| printed.status);
        status.ok_or_else(|| self.fault(format!("{} gave no credentials", self.path.display())))
    }

    fn fault(&self, reason: impl std::fmt::Display) -> ClientError {
        self.user.fault("exec", format!("the credential plugin: {reason}"))
    }
}

/// What a program may be told of the cluster.
fn cluster_info(cluster: &Cluster, server: &str, authority: &[u8]) -> Value {
    let mut info = json!({ "server": server });
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
