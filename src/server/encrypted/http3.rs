//! DNS over HTTP/3 (RFC 8484, RFC 9114).

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use h3::error::StreamError;
use h3::server::{RequestResolver, RequestStream};
use h3_quinn::BidiStream;
use http::{Response, StatusCode};
use quinn::Connection;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::HEAD_LEN_MAX;
use super::http::{self as doh, BODY_LEN_MAX, Place};
use crate::server::Responder;
use crate::server::stream::{IDLE_WAIT, MESSAGE_WAIT};

type Stream = RequestStream<BidiStream<Bytes>, Bytes>;

/// One connection, until either side is done with it or no request comes for a while.
pub(super) async fn converse(connection: Connection, responder: &Arc<Responder>, mut closing: watch::Receiver<bool>) {
    let client = connection.remote_address();
    let mut builder = h3::server::builder();
    builder.max_field_section_size(HEAD_LEN_MAX.into());
    let built = timeout(MESSAGE_WAIT, builder.build::<_, Bytes>(h3_quinn::Connection::new(connection))).await;
    let Ok(Ok(mut connection)) = built else { return };
    let mut requests = JoinSet::new(); // no more than QUIC lets streams be open
    loop {
        let accepted = tokio::select! {
            biased; // what was sent before the end is still answered
            accepted = timeout(IDLE_WAIT, connection.accept()) => accepted,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let Ok(Ok(Some(resolver))) = accepted else { break };
        let responder = responder.clone();
        requests.spawn(async move {
            match timeout(MESSAGE_WAIT, answer(resolver, client, &responder)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%client, %error, "an HTTP/3 request was not answered"),
                Err(_) => tracing::debug!(%client, "an HTTP/3 request took too long"),
            }
        });
        while requests.try_join_next().is_some() {}
    }
    let _ = connection.shutdown(0).await;
    while requests.join_next().await.is_some() {}
}

async fn answer(
    resolver: RequestResolver<h3_quinn::Connection, Bytes>,
    client: SocketAddr,
    responder: &Responder,
) -> Result<(), StreamError> {
    let (request, mut stream) = resolver.resolve_request().await?;
    let (head, ()) = request.into_parts();
    let response = match doh::place(&head) {
        Err(status) => doh::refusal(status),
        Ok(Place::Url(message)) => doh::respond(&message, client, responder),
        Ok(Place::Body) => match body(&mut stream).await? {
            Some(message) => doh::respond(&message, client, responder),
            None => doh::refusal(StatusCode::PAYLOAD_TOO_LARGE),
        },
    };
    let (head, body) = response.into_parts();
    stream.send_response(Response::from_parts(head, ())).await?;
    stream.send_data(body).await?;
    stream.finish().await
}

/// A request's body; none where it is longer than any message.
async fn body(stream: &mut Stream) -> Result<Option<Vec<u8>>, StreamError> {
    let mut body = Vec::new();
    while let Some(mut part) = stream.recv_data().await? {
        if body.len() + part.remaining() > BODY_LEN_MAX {
            return Ok(None);
        }
        while part.has_remaining() {
            let chunk = part.chunk();
            body.extend_from_slice(chunk);
            let len = chunk.len();
            part.advance(len);
        }
    }
    Ok(Some(body))
}
