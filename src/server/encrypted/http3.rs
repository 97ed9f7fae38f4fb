//! DNS over HTTP/3 (RFC 8484, RFC 9114).

mod bounded;

use std::sync::Arc;

use bytes::{Buf, Bytes};
use h3::error::StreamError;
use h3::server::{RequestResolver, RequestStream};
use h3_quinn::BidiStream;
use http::{Response, StatusCode};
use quinn::{Connection, VarInt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::HEAD_LEN_MAX;
use super::budget::ConnectionBudget;
use super::doh::{self, BODY_LEN_MAX, MessageSource};
use crate::server::Responder;
use crate::server::clients::permits::ConnectionPermit;
use crate::server::listen::canonical;
use crate::server::tcp::{IDLE_WAIT, MESSAGE_WAIT};

/// The error code for a client that sends more at once than it may, or does not read (RFC 9114 §8.1).
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(0x107);

type Resolver = RequestResolver<bounded::BoundedConnection, Bytes>;
type ResponseStream = RequestStream<bounded::BoundedStream<BidiStream<Bytes>>, Bytes>;

/// Serves one connection until either side closes it or no request arrives for a while.
pub(super) async fn converse(
    quic: Connection,
    permit: &ConnectionPermit,
    responder: &Arc<Responder>,
    mut closing: watch::Receiver<bool>,
) {
    let budget = Arc::new(ConnectionBudget::new());
    let bounded = bounded::BoundedConnection::new(quic.clone(), budget.clone());
    let mut builder = h3::server::builder();
    builder.max_field_section_size(HEAD_LEN_MAX.into());
    let built = timeout(MESSAGE_WAIT, builder.build::<_, Bytes>(bounded)).await;
    let Ok(Ok(mut connection)) = built else { return };
    let mut requests = JoinSet::new(); // bounded by QUIC's limit of open streams
    loop {
        let accepted = tokio::select! {
            biased; // requests sent before the end still get answers
            accepted = timeout(IDLE_WAIT, connection.accept()) => accepted,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let Ok(Ok(Some(resolver))) = accepted else { break };
        permit.record_activity();
        let (quic, budget, responder) = (quic.clone(), budget.clone(), responder.clone());
        requests.spawn(async move {
            if let Err(error) = answer(resolver, &quic, &budget, &responder).await {
                tracing::debug!(client = %canonical(quic.remote_address()), %error, "an HTTP/3 request was not answered");
            }
        });
        while requests.try_join_next().is_some() {}
    }
    let _ = timeout(MESSAGE_WAIT, connection.shutdown(0)).await; // the client may not even read that
    if quic.close_reason().is_some() {
        requests.abort_all(); // the client is gone
    }
    while requests.join_next().await.is_some() {}
}

async fn answer(
    resolver: Resolver,
    quic: &Connection,
    budget: &ConnectionBudget,
    responder: &Responder,
) -> Result<(), StreamError> {
    let client = canonical(quic.remote_address());
    let Ok(read) = timeout(MESSAGE_WAIT, read(resolver)).await else {
        tracing::debug!(%client, "an HTTP/3 request took too long");
        return Ok(());
    };
    let (query, mut stream) = read?;
    let response = match query {
        Ok(message) => doh::respond(&message, client, budget, responder).await,
        Err(status) => doh::refusal(status),
    };
    timeout(MESSAGE_WAIT, send(&mut stream, response)).await.unwrap_or_else(|_| {
        budget.close();
        quic.close(EXCESSIVE_LOAD, b"a reply was not read");
        Ok(())
    })
}

/// A request's message or the status to refuse it with, and the stream of the response.
async fn read(resolver: Resolver) -> Result<(Result<Vec<u8>, StatusCode>, ResponseStream), StreamError> {
    let (request, mut stream) = resolver.resolve_request().await?;
    let message_source = doh::message_source(&request.into_parts().0); // and frees the head: many requests may wait for their bodies
    let query = match message_source {
        Err(status) => Err(status),
        Ok(MessageSource::Url(message)) => Ok(message),
        Ok(MessageSource::Body) => body(&mut stream).await?.ok_or(StatusCode::PAYLOAD_TOO_LARGE),
    };
    Ok((query, stream))
}

async fn send(stream: &mut ResponseStream, response: Response<Bytes>) -> Result<(), StreamError> {
    let (head, body) = response.into_parts();
    stream.send_response(Response::from_parts(head, ())).await?;
    stream.send_data(body).await?;
    stream.finish().await
}

/// A request's body. `None` if it is longer than any message.
async fn body(stream: &mut ResponseStream) -> Result<Option<Vec<u8>>, StreamError> {
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
