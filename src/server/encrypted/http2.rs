//! DNS over HTTP/2 (RFC 8484, RFC 9113).

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::Certificate;
use super::http::{self as doh, BODY_LEN_MAX, Place};
use super::tls::shake_hands;
use super::{CONNECTION_WINDOW, HEAD_LEN_MAX, STREAMS_MAX, server_config};
use crate::metrics::Transport;
use crate::server::Responder;
use crate::server::stream::{self, Client, IDLE_WAIT, MESSAGE_WAIT};

/// What a client must be able to speak: HTTP/1.1 answers one query at a time (RFC 8484 §5.2).
const PROTOCOL: &[u8] = b"h2";

/// What a client may leave unread of a connection's replies: one of the longest.
const SEND_BUFFER_LEN: usize = 64 * 1024;

/// TLS for [`serve`].
///
/// # Errors
/// It cannot be set up at all.
pub fn acceptor(certificate: Arc<Certificate>) -> Result<TlsAcceptor, rustls::Error> {
    server_config(certificate, PROTOCOL).map(|config| TlsAcceptor::from(Arc::new(config)))
}

/// Answers on a listener's connections until told to close.
pub async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    responder: Arc<Responder>,
    closing: watch::Receiver<bool>,
) {
    let shared = responder.clone();
    stream::accept(listener, Transport::Https, responder, closing, move |stream, client, closing| {
        let (acceptor, responder) = (acceptor.clone(), shared.clone());
        async move {
            let stream = shake_hands(&acceptor, stream, &responder).await?;
            converse(stream, client, responder, closing).await
        }
    })
    .await;
}

/// One connection, until either side is done with it or no request comes for a while.
async fn converse(
    stream: TlsStream<TcpStream>,
    client: Arc<Client>,
    responder: Arc<Responder>,
    mut closing: watch::Receiver<bool>,
) -> io::Result<()> {
    let asked = Arc::new(Notify::new());
    let service = service_fn({
        let asked = asked.clone();
        move |request| {
            asked.notify_one();
            client.seat.heard();
            let (address, responder) = (client.address, responder.clone());
            async move { Ok::<_, Infallible>(answer(request, address, &responder).await.map(Full::new)) }
        }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX).max_header_list_size(HEAD_LEN_MAX);
    builder.initial_connection_window_size(CONNECTION_WINDOW).max_send_buf_size(SEND_BUFFER_LEN);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    loop {
        tokio::select! {
            ended = connection.as_mut() => return ended.map_err(io::Error::other),
            waited = timeout(IDLE_WAIT, asked.notified()) => if waited.is_err() { break },
            _ = closing.wait_for(|closing| *closing) => break,
        }
    }
    connection.as_mut().graceful_shutdown();
    timeout(MESSAGE_WAIT, connection).await?.map_err(io::Error::other)
}

async fn answer(request: Request<Incoming>, client: SocketAddr, responder: &Responder) -> Response<Bytes> {
    let (head, body) = request.into_parts();
    // Also of what will be refused: a body that is not read resets the stream, and the client may never see why.
    let body = timeout(MESSAGE_WAIT, Limited::new(body, 2 * BODY_LEN_MAX).collect()).await;
    match (doh::place(&head), body) {
        (Err(status), _) => doh::refusal(status),
        (Ok(Place::Url(message)), _) => doh::respond(&message, client, responder),
        (Ok(Place::Body), Ok(Ok(message))) => match message.to_bytes() {
            message if message.len() > BODY_LEN_MAX => doh::refusal(StatusCode::PAYLOAD_TOO_LARGE),
            message => doh::respond(&message, client, responder),
        },
        (Ok(Place::Body), Ok(Err(error))) if error.is::<LengthLimitError>() => {
            doh::refusal(StatusCode::PAYLOAD_TOO_LARGE)
        }
        (Ok(Place::Body), Ok(Err(_))) => doh::refusal(StatusCode::BAD_REQUEST),
        (Ok(Place::Body), Err(_)) => doh::refusal(StatusCode::REQUEST_TIMEOUT),
    }
}
