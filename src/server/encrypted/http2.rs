//! DNS over HTTP/2 (RFC 8484, RFC 9113).

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
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
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::budget::{BufferedQuery, ConnectionBudget};
use super::certificate::Certificate;
use super::doh::{self, BODY_LEN_MAX, MessageSource};
use super::{CONNECTION_WINDOW, HEAD_LEN_MAX, STREAMS_MAX, tls};
use crate::server::tcp::{Client, IDLE_WAIT, MESSAGE_WAIT};
use crate::server::{Responder, Transport};

/// The required protocol. HTTP/1.1 answers only one query at a time (RFC 8484 §5.2).
const PROTOCOL: &[u8] = b"h2";

/// The most unread bytes of a connection's replies: one of the longest.
const SEND_BUFFER_LEN: usize = 64 * 1024;

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
    tls::accept(listener, acceptor, Transport::Https, responder, closing, converse).await;
}

/// Serves one connection until either side closes it, no request arrives for a while, or a reply is not read.
async fn converse(
    stream: TlsStream<TcpStream>,
    client: Arc<Client>,
    responder: Arc<Responder>,
    mut closing: watch::Receiver<bool>,
) -> io::Result<()> {
    let (asked, budget) = (Arc::new(Notify::new()), Arc::new(ConnectionBudget::new()));
    let service = service_fn({
        let (asked, budget) = (asked.clone(), budget.clone());
        move |request| {
            asked.notify_one();
            client.permit.record_activity();
            let (address, responder, budget) = (client.address, responder.clone(), budget.clone());
            async move { Ok::<_, Infallible>(answer(request, address, &budget, &responder).await.map(Full::new)) }
        }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX).max_header_list_size(HEAD_LEN_MAX);
    builder.initial_connection_window_size(CONNECTION_WINDOW).max_send_buf_size(SEND_BUFFER_LEN);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let (mut idle, mut stalled) = (pin!(sleep(IDLE_WAIT)), pin!(budget.stalled()));
    loop {
        tokio::select! {
            ended = connection.as_mut() => return ended.map_err(io::Error::other),
            () = asked.notified() => idle.as_mut().reset(Instant::now() + IDLE_WAIT),
            () = &mut idle => break,
            () = &mut stalled => {
                budget.close();
                return Err(io::ErrorKind::TimedOut.into());
            }
            _ = closing.wait_for(|closing| *closing) => break,
        }
    }
    connection.as_mut().graceful_shutdown();
    timeout(MESSAGE_WAIT, connection).await?.map_err(io::Error::other)
}

async fn answer(
    request: Request<Incoming>,
    client: SocketAddr,
    budget: &ConnectionBudget,
    responder: &Responder,
) -> Response<Bytes> {
    let (head, body) = request.into_parts();
    let message_source = doh::message_source(&head).map(|message_source| match message_source {
        MessageSource::Url(message) => Some(extended(budget.query(), &message)),
        MessageSource::Body => None,
    });
    drop(head); // free it: a client may have many requests that wait for their bodies
    // A refused request's body is read too: an unread body resets the stream, and the client might never see the
    // status.
    let body = timeout(MESSAGE_WAIT, read(body, budget)).await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT));
    match message_source.and_then(|query| query.unwrap_or(body)) {
        Ok(query) => doh::respond(&query, client, budget, responder).await,
        Err(status) => doh::refusal(status),
    }
}

/// Reads a request's body to its end, even after it has become too long to keep.
async fn read(body: Incoming, budget: &ConnectionBudget) -> Result<BufferedQuery, StatusCode> {
    let mut body = pin!(Limited::new(body, 2 * BODY_LEN_MAX));
    let mut kept = Ok(budget.query());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
            true => StatusCode::PAYLOAD_TOO_LARGE,
            false => StatusCode::BAD_REQUEST,
        })?;
        let Ok(part) = frame.into_data() else { continue };
        kept = kept.and_then(|query| extended(query, &part));
    }
    kept
}

/// A query with its next part, or the status to refuse it with.
fn extended(mut query: BufferedQuery, part: &[u8]) -> Result<BufferedQuery, StatusCode> {
    if query.len() + part.len() > BODY_LEN_MAX {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    query.extend(part).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(query)
}
