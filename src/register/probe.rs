//! Probes the registered server: by its ports, an HTTP page or a command.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Stdio;
use std::time::Duration;

use http::Uri;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::Offer;

/// The time between probes while a server starts. It delays the registration by at most this long.
const LOOK: Duration = Duration::from_millis(100);

/// The time limit of a probe. A server that needs longer serves its callers badly.
const LOOK_WAIT: Duration = Duration::from_secs(2);

/// How to probe a server.
#[derive(Clone, Debug)]
pub enum Probe {
    /// No probe: a started server is ready.
    None,
    /// Ready if each of these ports accepts a connection at one of these addresses.
    Ports {
        /// The addresses at which the server may listen.
        addresses: Vec<IpAddr>,
        ports: Vec<u16>,
    },
    /// Ready if a GET of this URL returns 200 to 399.
    Http(Uri),
    /// Ready if `sh -c` with this command exits with 0.
    Exec(OsString),
}

impl Probe {
    /// Probes the ports of all offers on this host. The Pod's addresses are included because a server may listen only
    /// there.
    pub fn of_ports(offers: &[Offer], pod_addresses: &[IpAddr]) -> Probe {
        let local = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in
            local.into_iter().chain(pod_addresses.iter().copied()).chain(offers.iter().filter_map(|offer| offer.ip))
        {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let mut ports: Vec<u16> = offers.iter().flat_map(|offer| offer.port.iter().copied()).collect();
        ports.sort_unstable();
        ports.dedup();
        Probe::Ports { addresses, ports }
    }

    /// Waits this long, and then until the server is ready.
    pub async fn ready_after(&self, wait: Duration) {
        // Even a sleep of zero takes a millisecond, in which a signal would find the server unregistered.
        if !wait.is_zero() {
            sleep(wait).await;
        }
        while !self.is_ready().await {
            sleep(LOOK).await;
        }
    }

    /// Probes once.
    pub async fn is_ready(&self) -> bool {
        let look = async {
            match self {
                Probe::None => true,
                Probe::Ports { addresses, ports } => all_accept(addresses, ports).await,
                Probe::Http(url) => answers(url).await,
                Probe::Exec(command) => succeeds(command).await,
            }
        };
        timeout(LOOK_WAIT, look).await.unwrap_or(false)
    }
}

async fn all_accept(addresses: &[IpAddr], ports: &[u16]) -> bool {
    for port in ports {
        let mut is_open = false;
        for address in addresses {
            is_open = is_open || TcpStream::connect((*address, *port)).await.is_ok();
        }
        if !is_open {
            return false;
        }
    }
    true
}

async fn answers(url: &Uri) -> bool {
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.get(url.clone()).await;
    answer.is_ok_and(|answer| answer.status().is_success() || answer.status().is_redirection())
}

async fn succeeds(command: &OsString) -> bool {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    match shell.status().await {
        Ok(status) => status.success(),
        Err(error) => {
            tracing::warn!("--ready-exec needs a shell: sh: {error}");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Starts a server that answers requests one after the other with this status.
    async fn server(status: &'static str) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await;
            }
        });
        port
    }

    fn ports(ports: &[u16]) -> Probe {
        let offer = |port: &u16| Offer { port: vec![*port], ..Offer::default() };
        Probe::of_ports(&ports.iter().map(offer).collect::<Vec<_>>(), &[[127, 0, 0, 9].into()])
    }

    #[tokio::test]
    async fn a_probe_finds_a_server_or_not() {
        let open = server("204 No Content").await;
        let failing = server("503 Service Unavailable").await;
        let elsewhere = TcpListener::bind(("127.0.0.9", 0)).await.unwrap().local_addr().unwrap().port();
        let listener = TcpListener::bind(("127.0.0.9", elsewhere)).await.unwrap();
        let closed = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
        let http = |port: u16| Probe::Http(format!("http://127.0.0.1:{port}/ok").parse().unwrap());
        for (probe, expected) in [
            (Probe::None, true),
            (ports(&[open]), true),
            (ports(&[elsewhere]), true),
            (ports(&[open, elsewhere]), true),
            (ports(&[open, closed]), false),
            (http(open), true),
            (http(failing), false),
            (http(closed), false),
            (Probe::Exec("test 1 = 1".into()), true),
            (Probe::Exec("test 1 = 2".into()), false),
            (Probe::Exec("sleep 60".into()), false),
        ] {
            assert_eq!(probe.is_ready().await, expected, "{probe:?}");
        }
        drop(listener);
    }
}
