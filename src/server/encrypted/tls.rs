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
use crate::server::tcp::Client;
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
    super::acceptor(certificate, &[PROTOCOL])
}

/// Answers on a listener's connections until `closing` is true.
pub async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    responder: Arc<Responder>,
    closing: watch::Receiver<bool>,
) {
    accept(listener, acceptor, Transport::Tls, responder, closing, |stream, client, responder, closing| async move {
        let (reader, writer) = tokio::io::split(stream);
        tcp::converse(reader, writer, &client, Transport::Tls, &responder, closing).await
    })
    .await;
}

/// Accepts connections until `closing` is true, and serves each with `converse` after its handshake.
pub(super) async fn accept<C, F>(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    transport: Transport,
    responder: Arc<Responder>,
    closing: watch::Receiver<bool>,
    converse: C,
) where
    C: Fn(TlsStream<TcpStream>, Arc<Client>, Arc<Responder>, watch::Receiver<bool>) -> F + Copy + Send + 'static,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let shared = responder.clone();
    tcp::accept(listener, transport, responder, closing, move |stream, client, closing| {
        let (acceptor, responder) = (acceptor.clone(), shared.clone());
        async move {
            let stream = shake_hands(&acceptor, stream, &responder.counters).await?;
            converse(stream, client, responder, closing).await
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
