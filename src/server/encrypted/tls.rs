//! DNS over TLS (RFC 7858): a handshake, then the same as over TCP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::Certificate;
use super::server_config;
use crate::server::{DropReason, Responder, ServerCounters, Transport, tcp};

/// The time limit of a handshake: two round trips, and a client's check of a revocation list.
pub(super) const HANDSHAKE_WAIT: Duration = Duration::from_secs(5);

/// The ALPN protocol that a client may offer.
const PROTOCOL: &[u8] = b"dot";

/// TLS for [`serve`].
///
/// # Errors
/// rustls refuses the configuration.
pub fn acceptor(certificate: Arc<Certificate>) -> Result<TlsAcceptor, rustls::Error> {
    server_config(certificate, &[PROTOCOL]).map(|config| TlsAcceptor::from(Arc::new(config)))
}

/// Answers on a listener's connections until `closing` is true.
pub async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    responder: Arc<Responder>,
    closing: watch::Receiver<bool>,
) {
    let shared = responder.clone();
    tcp::accept(listener, Transport::Tls, responder, closing, move |stream, client, closing| {
        let (acceptor, responder) = (acceptor.clone(), shared.clone());
        async move {
            let stream = shake_hands(&acceptor, stream, &responder.counters).await?;
            let (reader, writer) = tokio::io::split(stream);
            tcp::converse(reader, writer, &client, Transport::Tls, &responder, closing).await
        }
    })
    .await;
}

/// Performs the TLS handshake within [`HANDSHAKE_WAIT`].
pub(crate) async fn shake_hands(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    counters: &ServerCounters,
) -> io::Result<TlsStream<TcpStream>> {
    let accepted = match timeout(HANDSHAKE_WAIT, acceptor.accept(stream)).await {
        Ok(accepted) => accepted,
        Err(late) => Err(late.into()),
    };
    accepted.inspect_err(|_| counters.dropped(DropReason::Handshake))
}
