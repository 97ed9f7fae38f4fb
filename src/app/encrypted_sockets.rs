//! The encrypted transports of a configuration.

use std::sync::Arc;

use anyhow::Context;
use quinn::Endpoint;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::sockets::{ListenAddresses, cannot_listen};
use crate::config::{EncryptedOptions, ServeConfig};
use crate::server::encrypted::certificate::Certificate;
use crate::server::encrypted::quic::{self, Alpn};
use crate::server::encrypted::{http2, tls};
use crate::server::{Responder, tcp};

/// Bound sockets of the encrypted transports, with their certificate.
pub(super) struct EncryptedSockets {
    tls: Vec<(TcpListener, TlsAcceptor)>,
    https: Vec<(TcpListener, TlsAcceptor)>,
    quic: Vec<(Endpoint, Alpn)>,
    certificate: Arc<Certificate>,
}

/// Binds all sockets. `None` if the configuration has no encrypted transport.
///
/// # Errors
/// The certificate or its key is unusable, or an address is taken.
pub(super) fn bind(config: &ServeConfig, addresses: &ListenAddresses) -> anyhow::Result<Option<EncryptedSockets>> {
    let Some((EncryptedOptions { tls, https, quic }, files)) = &config.encrypted else { return Ok(None) };
    let certificate = Arc::new(Certificate::read(files.clone()).context("--tls-cert, --tls-key")?);
    let mut bound = EncryptedSockets { tls: Vec::new(), https: Vec::new(), quic: Vec::new(), certificate };
    for address in tls {
        let listener = tcp::bind(addresses.tcp(*address))
            .map_err(|error| cannot_listen(*address, "TLS", "--listen-tls", &error))?;
        bound.tls.push((listener, tls::acceptor(bound.certificate.clone())?));
    }
    for address in https {
        let listener = tcp::bind(addresses.tcp(*address))
            .map_err(|error| cannot_listen(*address, "HTTPS", "--listen-https", &error))?;
        bound.https.push((listener, http2::acceptor(bound.certificate.clone())?));
    }
    let over_quic = https.iter().map(|at| (at, Alpn::Http3)).chain(quic.iter().map(|at| (at, Alpn::Dns)));
    for (address, alpn) in over_quic {
        let endpoint = quic::bind(addresses.udp(*address), alpn, bound.certificate.clone());
        let option = if alpn == Alpn::Http3 { "--listen-https" } else { "--listen-quic" };
        let endpoint = endpoint.map_err(|error| cannot_listen(*address, "QUIC", option, &error))?;
        bound.quic.push((endpoint, alpn));
    }
    tracing::info!(?tls, ?https, ?quic, "serving encrypted");
    Ok(Some(bound))
}

impl EncryptedSockets {
    /// The certificate of all of them.
    pub(super) fn certificate(&self) -> &Arc<Certificate> {
        &self.certificate
    }

    /// Starts to answer on all of them. A task reads the certificate again when it changes.
    pub(super) fn serve(self, responder: &Arc<Responder>, closing: &watch::Receiver<bool>, streams: &mut JoinSet<()>) {
        for (listener, acceptor) in self.tls {
            streams.spawn(tls::serve(listener, acceptor, responder.clone(), closing.clone()));
        }
        for (listener, acceptor) in self.https {
            streams.spawn(http2::serve(listener, acceptor, responder.clone(), closing.clone()));
        }
        for (endpoint, alpn) in self.quic {
            streams.spawn(quic::serve(endpoint, alpn, responder.clone(), closing.clone()));
        }
        tokio::spawn(self.certificate.reload_on_change(responder.counters.clone()));
    }
}
