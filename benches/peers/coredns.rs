//! The peer: CoreDNS with its `kubernetes` plugin on the same API server.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::harness::cluster::{Cluster, binaries};
use crate::harness::process::{Process, free_address, http_get, scratch};

/// The run fails if CoreDNS has not read all Services within this time.
const SYNC_PATIENCE: Duration = Duration::from_secs(60);

/// A service account with the plugin's rights.
pub(crate) struct Reader {
    kubeconfig: PathBuf,
}

impl Reader {
    /// Creates the account in the cluster.
    pub(crate) fn create(cluster: &Cluster) -> Reader {
        cluster.kubectl(&["create", "namespace", "coredns"]);
        cluster.kubectl(&["-n", "coredns", "create", "serviceaccount", "coredns"]);
        let resources = "--resource=namespaces,services,endpointslices.discovery.k8s.io";
        cluster.kubectl(&["create", "clusterrole", "coredns", "--verb=get,list,watch", resources]);
        let (role, account) = ("--clusterrole=coredns", "--serviceaccount=coredns:coredns");
        cluster.kubectl(&["create", "clusterrolebinding", "coredns", role, account]);
        let token = cluster.kubectl(&["-n", "coredns", "create", "token", "coredns", "--duration", "24h"]);

        let text = fs::read_to_string(cluster.kubeconfig()).expect("callsign's kubeconfig");
        let mut config: Value = serde_json::from_str(&text).expect("a kubeconfig of JSON");
        config["users"][0]["user"]["token"] = token.trim().into();
        let kubeconfig = scratch("coredns-kubeconfig").join("kubeconfig");
        fs::write(&kubeconfig, config.to_string()).expect("write a kubeconfig");
        Reader { kubeconfig }
    }
}

/// A running CoreDNS. Dropping it stops it.
pub(crate) struct CoreDns {
    /// Where it answers DNS.
    pub(crate) dns: SocketAddr,
    process: Process,
}

impl CoreDns {
    /// Starts it as the last argument of a command (`taskset …`, or nothing), for the objects with this `world` label, and
    /// waits until it has read them.
    pub(crate) fn start(reader: &Reader, before: &[&str], world: &str) -> CoreDns {
        let (dns, ready) = (free_address(), free_address());
        let corefile = format!(
            "cluster.local:{} {{\n bind {}\n ready {ready}\n kubernetes {{\n kubeconfig {}\n labels world={world}\n }}\n}}\n",
            dns.port(),
            dns.ip(),
            reader.kubeconfig.display(),
        );
        CoreDns::run(before, &corefile, dns, ready)
    }

    /// Starts one that forwards to another server, over its client's transport or over TCP only.
    pub(crate) fn forward(before: &[&str], server: SocketAddr, forces_tcp: bool) -> CoreDns {
        let (dns, ready) = (free_address(), free_address());
        let tcp = if forces_tcp { "force_tcp" } else { "" };
        let corefile = format!(
            ".:{} {{\n bind {}\n ready {ready}\n forward . {server} {{\n {tcp}\n }}\n}}\n",
            dns.port(),
            dns.ip()
        );
        CoreDns::run(before, &corefile, dns, ready)
    }

    fn run(before: &[&str], corefile: &str, dns: SocketAddr, ready: SocketAddr) -> CoreDns {
        let path = scratch("corefile").join("Corefile");
        fs::write(&path, corefile).expect("write a Corefile");
        let program = binaries().join("coredns").display().to_string();
        let arguments = [program.as_str(), "-conf", path.to_str().expect("a path of UTF-8")];
        let command: Vec<&str> = before.iter().copied().chain(arguments).collect();
        let (program, arguments) = command.split_first().expect("a program");
        let mut process = Process::start(program, arguments);
        process.wait_until(SYNC_PATIENCE, || http_get(ready, "/ready").is_ok_and(|(status, _)| status == 200));
        CoreDns { dns, process }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}
