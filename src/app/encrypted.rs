//! The encrypted transports that a configuration names, running.

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{Config, Encrypted};
use crate::server::encrypted::certificate::Certificate;
use crate::server::encrypted::quic::{self, Within};
use crate::server::encrypted::{http2, tls};
use crate::server::{Responder, stream};

/// Binds and serves them all, under one certificate that is read again when it changes; that certificate.
///
/// # Errors
/// The certificate cannot be served, or an address is taken.
pub(super) fn start(
    config: &Config,
    responder: &Arc<Responder>,
    closing: &watch::Receiver<bool>,
    streams: &mut JoinSet<()>,
) -> anyhow::Result<Option<Arc<Certificate>>> {
    let Some((Encrypted { tls, https, quic }, files)) = &config.encrypted else { return Ok(None) };
    let certificate = Arc::new(Certificate::read(files.clone()).context("--tls-cert, --tls-key")?);
    for address in tls {
        let listener = stream::bind(*address).with_context(|| format!("cannot listen on {address} (TLS)"))?;
        let acceptor = tls::acceptor(certificate.clone())?;
        streams.spawn(tls::serve(listener, acceptor, responder.clone(), closing.clone()));
    }
    for address in https {
        let listener = stream::bind(*address).with_context(|| format!("cannot listen on {address} (HTTPS)"))?;
        let acceptor = http2::acceptor(certificate.clone())?;
        streams.spawn(http2::serve(listener, acceptor, responder.clone(), closing.clone()));
    }
    let over_quic = https.iter().map(|at| (at, Within::Http3)).chain(quic.iter().map(|at| (at, Within::Dns)));
    for (address, within) in over_quic {
        let endpoint = quic::bind(*address, within, certificate.clone());
        let endpoint = endpoint.with_context(|| format!("cannot listen on {address} (QUIC)"))?;
        streams.spawn(quic::serve(endpoint, within, responder.clone(), closing.clone()));
    }
    tokio::spawn(certificate.clone().keep(responder.metrics.clone()));
    tracing::info!(?tls, ?https, ?quic, "serving encrypted");
    Ok(Some(certificate))
}
