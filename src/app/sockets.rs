//! The sockets of a configuration. The server binds all of them before it answers on any, so that it can give up the right
//! to bind more in between.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use socket2::Socket;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{encrypted_sockets, udp_threads};
use crate::config::ServeConfig;
use crate::server::encrypted::certificate::Certificate;
use crate::server::listen::{Listen, has_ipv6};
use crate::server::{Responder, tcp, udp};

/// Bound sockets.
pub(super) struct Sockets {
    plain: Vec<DnsSockets>,
    encrypted: Option<encrypted_sockets::EncryptedSockets>,
    /// The listener of health, metrics and the API.
    pub(super) http: TcpListener,
}

/// Why a socket cannot be bound, and what to do.
pub(super) fn cannot_listen(address: SocketAddr, transport: &str, option: &str, error: &io::Error) -> anyhow::Error {
    /// The first port that needs no right on Linux.
    const FREE_PORT: u16 = 1024;
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => format!(": another process has it; end that one, or give {option} another port"),
        io::ErrorKind::PermissionDenied if address.port() < FREE_PORT => {
            format!(
                ": a port below {FREE_PORT} needs root or CAP_NET_BIND_SERVICE; give {option} a higher port, or that capability"
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            format!(": this machine does not have the address; give {option} one of its own, or 0.0.0.0 for all")
        }
        _ => String::new(),
    };
    anyhow::anyhow!("cannot listen on {address} ({transport}): {error}{advice}")
}

/// An address of DNS over UDP and TCP, with one UDP socket for each thread.
struct DnsSockets {
    listener: TcpListener,
    udp: Listen,
    datagrams: Vec<Socket>,
}

impl Sockets {
    /// Binds all sockets.
    ///
    /// # Errors
    /// An address is taken, or the certificate or its key is unusable.
    pub(super) fn bind(config: &ServeConfig) -> anyhow::Result<Sockets> {
        let addresses = ListenAddresses::of(config);
        let plain = |address: &SocketAddr| {
            let listener = tcp::bind(addresses.tcp(*address));
            let listener = listener.map_err(|error| cannot_listen(*address, "TCP", "--listen", &error))?;
            let udp = addresses.udp(*address);
            let datagrams = (0..udp_threads()).map(|_| udp::bind(udp)).collect::<Result<_, _>>();
            let datagrams = datagrams.map_err(|error| cannot_listen(*address, "UDP", "--listen", &error))?;
            anyhow::Ok(DnsSockets { listener, udp, datagrams })
        };
        let plain = config.listen.iter().map(plain).collect::<Result<_, _>>()?;
        let encrypted = encrypted_sockets::bind(config, &addresses)?;
        let http = tcp::bind(addresses.tcp(config.http));
        let http = http.map_err(|error| cannot_listen(config.http, "--http", "--http", &error))?;
        Ok(Sockets { plain, encrypted, http })
    }

    /// The certificate of the encrypted transports.
    pub(super) fn certificate(&self) -> Option<&Arc<Certificate>> {
        self.encrypted.as_ref().map(encrypted_sockets::EncryptedSockets::certificate)
    }

    /// Starts to answer DNS on all sockets. Returns the HTTP listener.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(super) fn serve(
        self,
        responder: &Arc<Responder>,
        closing: &watch::Receiver<bool>,
        streams: &mut JoinSet<()>,
    ) -> anyhow::Result<TcpListener> {
        for DnsSockets { listener, udp, datagrams } in self.plain {
            for socket in datagrams {
                udp::serve(socket, udp, responder.clone()).context("cannot start a thread")?;
            }
            streams.spawn(tcp::serve(listener, responder.clone(), closing.clone()));
        }
        if let Some(encrypted) = self.encrypted {
            encrypted.serve(responder, closing, streams);
        }
        Ok(self.http)
    }
}

/// All listen addresses. They decide which address families each listener serves.
pub(super) struct ListenAddresses {
    over_tcp: Vec<SocketAddr>,
    over_udp: Vec<SocketAddr>,
    has_ipv6: bool,
}

impl ListenAddresses {
    fn of(config: &ServeConfig) -> ListenAddresses {
        let addresses =
            ListenAddresses { over_tcp: config.over_tcp(), over_udp: config.over_udp(), has_ipv6: has_ipv6() };
        let mut all = addresses.over_tcp.iter().chain(&addresses.over_udp);
        if !addresses.has_ipv6 && all.any(|at| at.ip() == Ipv6Addr::UNSPECIFIED) {
            tracing::warn!("this host has no IPv6; listening on 0.0.0.0 in place of [::]");
        }
        addresses
    }

    /// The TCP listener of an address.
    pub(super) fn tcp(&self, address: SocketAddr) -> Listen {
        self.among_all(Listen::among(address, &self.over_tcp))
    }

    /// The UDP listener of an address.
    pub(super) fn udp(&self, address: SocketAddr) -> Listen {
        self.among_all(Listen::among(address, &self.over_udp))
    }

    fn among_all(&self, listen: Listen) -> Listen {
        if self.has_ipv6 { listen } else { listen.without_ipv6() }
    }
}
