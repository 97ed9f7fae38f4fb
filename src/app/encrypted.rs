//! The encrypted transports of a configuration.

use std::sync::Arc;

use anyhow::Context;
use quinn::Endpoint;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::sockets::Places;
use crate::config::{Config, Encrypted};
use crate::server::encrypted::certificate::Certificate;
use crate::server::encrypted::quic::{self, Within};
use crate::server::encrypted::{http2, tls};
use crate::server::{Responder, stream};

/// Bound sockets of the encrypted transports, with their certificate.
pub(super) struct Bound {
    tls: Vec<(TcpListener, TlsAcceptor)>,
    https: Vec<(TcpListener, TlsAcceptor)>,
    quic: Vec<(Endpoint, Within)>,
    certificate: Arc<Certificate>,
}

/// Binds all sockets. `None` if the configuration has no encrypted transport.
///
/// # Errors
/// The certificate or its key is unusable, or an address is taken.
pub(super) fn bind(config: &Config, places: &Places) -> anyhow::Result<Option<Bound>> {
    let Some((Encrypted { tls, https, quic }, files)) = &config.encrypted else { return Ok(None) };
    let certificate = Arc::new(Certificate::read(files.clone()).context("--tls-cert, --tls-key")?);
    let mut bound = Bound { tls: Vec::new(), https: Vec::new(), quic: Vec::new(), certificate };
    for address in tls {
        let listener =
            stream::bind(places.tcp(*address)).with_context(|| format!("cannot listen on {address} (TLS)"))?;
        bound.tls.push((listener, tls::acceptor(bound.certificate.clone())?));
    }
    for address in https {
        let listener =
            stream::bind(places.tcp(*address)).with_context(|| format!("cannot listen on {address} (HTTPS)"))?;
        bound.https.push((listener, http2::acceptor(bound.certificate.clone())?));
    }
    let over_quic = https.iter().map(|at| (at, Within::Http3)).chain(quic.iter().map(|at| (at, Within::Dns)));
    for (address, within) in over_quic {
        let endpoint = quic::bind(places.udp(*address), within, bound.certificate.clone());
        let endpoint = endpoint.with_context(|| format!("cannot listen on {address} (QUIC)"))?;
        bound.quic.push((endpoint, within));
    }
    tracing::info!(?tls, ?https, ?quic, "serving encrypted");
    Ok(Some(bound))
}

impl Bound {
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
        for (endpoint, within) in self.quic {
            streams.spawn(quic::serve(endpoint, within, responder.clone(), closing.clone()));
        }
        tokio::spawn(self.certificate.keep(responder.metrics.clone()));
    }
}
