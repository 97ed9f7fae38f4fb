//! CoreDNS with the stub of `deploy/` in front of a server.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::cluster::binaries;
use super::dig::{Dig, dig};
use super::process::{Process, free_address, http_get, scratch};

/// The Service's address in `deploy/`, which the stub names.
pub(crate) const SERVICE_ADDRESS: &str = "10.96.0.53";

/// How long CoreDNS may take until it answers.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// A running CoreDNS. Dropping it stops it.
pub(crate) struct CoreDns {
    pub(crate) dns: SocketAddr,
    metrics: SocketAddr,
    process: Process,
}

impl CoreDns {
    /// Starts it with the server blocks of `deploy/`, with replaced ports and upstream address.
    pub(crate) fn start(upstream: SocketAddr) -> CoreDns {
        let blocks = [stub("coredns-stub.Corefile"), stub("coredns-reverse.Corefile")].concat();
        CoreDns::start_with(
            &blocks.replace(&format!("forward . {SERVICE_ADDRESS} "), &format!("forward . {upstream} ")),
        )
    }

    /// The same with the block that forwards over TLS, with a trusted authority.
    pub(crate) fn start_tls(upstream: SocketAddr, authority: &Path, server_name: &str) -> CoreDns {
        let block = stub("encrypted/coredns-tls.Corefile");
        let replaced = [
            (format!("forward . tls://{SERVICE_ADDRESS} "), format!("forward . tls://{upstream} ")),
            ("tls /etc/callsign/ca.crt\n".into(), format!("tls {}\n", authority.display())),
            ("tls_servername callsign.callsign-system.svc\n".into(), format!("tls_servername {server_name}\n")),
        ];
        CoreDns::start_with(&replaced.iter().fold(block, |block, (old, new)| {
            assert!(block.contains(old), "{old:?} is not in the block");
            block.replace(old, new)
        }))
    }

    /// Starts it with server blocks for port 53, at a free port.
    pub(crate) fn start_with(blocks: &str) -> CoreDns {
        let (dns, metrics, health) = (free_address(), free_address(), free_address());
        let blocks = blocks
            .replace(":53 {\n", &format!(":{} {{\n    bind {}\n    prometheus {metrics}\n", dns.port(), dns.ip()));
        // The health plugin has a separate block, so that the stub's blocks stay unchanged.
        let corefile = format!("{blocks}\nhealth.invalid:{} {{\n    health {health}\n}}\n", dns.port());
        let path = scratch("corefile").join("Corefile");
        fs::write(&path, corefile).expect("write a Corefile");
        let mut process = Process::start(binaries().join("coredns"), ["-conf".as_ref(), path.as_os_str()]);
        process.wait_until(START_PATIENCE, || http_get(health, "/health").is_ok_and(|(status, _)| status == 200));
        CoreDns { dns, metrics, process }
    }

    /// Asks with dig. The arguments are dig's, without server and port.
    #[track_caller]
    pub(crate) fn dig(&self, args: &[&str]) -> Dig {
        dig(self.dns, args)
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// The sum of a metric's samples over all labels. 0 if there are none.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (status, text) = http_get(self.metrics, "/metrics").expect("CoreDNS's metrics");
        assert_eq!(status, 200, "CoreDNS's metrics: {text}");
        let samples = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// One of the stub's files in `deploy/`.
pub(crate) fn stub(file: &str) -> String {
    let path = format!("{}/deploy/{file}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
