//! A process of a Pod, with what the kubelet gives to a container: the service account's folder, the API server's address,
//! and the Pod's name as host name.

use std::fs;

use super::cluster::Cluster;
use super::control_plane::ADMIN_TOKEN;
use super::kubelet::Pod;
use super::process::{Process, scratch};

/// Where the kubelet mounts the service account's folder. `/var/run` is a link to `/run`.
const ACCOUNT: &str = "/run/secrets/kubernetes.io/serviceaccount";

/// Gives the command behind it a `/run` with the copy of a folder at [`ACCOUNT`].
const MOUNT: &str = "mount -t tmpfs tmpfs /run && mkdir -p $2 && cp \"$1\"/* $2 && shift 2 && exec \"$@\"";

/// The start of a command line: the command that follows runs in a container with this account. More variables, as
/// `NAME=VALUE`, may stand before the command.
pub(crate) fn container(cluster: &Cluster, namespace: &str, token: &str) -> Vec<String> {
    let dir = scratch("account");
    for (name, contents) in [("ca.crt", &*cluster.authority()), ("token", token), ("namespace", namespace)] {
        fs::write(dir.join(name), contents).expect("write a file");
    }
    let port = format!("KUBERNETES_SERVICE_PORT={}", cluster.api_server.port);
    let dir = dir.to_str().expect("a path of UTF-8");
    // Each of these programs replaces itself by the next one, so that the process gets the signals.
    ["unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", MOUNT, "sh", dir, ACCOUNT, "env"]
        .into_iter()
        .chain(["KUBERNETES_SERVICE_HOST=127.0.0.1", &port])
        .map(str::to_owned)
        .collect()
}

impl Pod {
    /// Starts a process of the Pod, with an administrator's rights.
    pub(crate) fn start(&self, program: &str, args: &[&str]) -> Process {
        let host_name = format!("HOSTNAME={}", self.name);
        let command = container(Cluster::shared(), &self.namespace, ADMIN_TOKEN);
        let words = command[1..].iter().map(String::as_str).chain([&*host_name, program]).chain(args.iter().copied());
        Process::start(&command[0], words)
    }
}
