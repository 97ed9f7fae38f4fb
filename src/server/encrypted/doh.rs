//! DNS in HTTP requests (RFC 8484), for every HTTP version.

use std::net::SocketAddr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};

use super::budget::ConnectionBudget;
use crate::server::{Responder, Transport};

/// The path of queries, as on all public servers.
const PATH: &str = "/dns-query";

/// The media type of a DNS message (RFC 8484 §6).
const MEDIA_TYPE: &str = "application/dns-message";

/// The longest message in a body (RFC 8484 §6).
pub(super) const BODY_LEN_MAX: usize = 65535;

/// Where a request has its message.
pub(super) enum MessageSource {
    /// In its URL.
    Url(Vec<u8>),
    /// In its body.
    Body,
}

/// Where a request has its message, or the status to refuse it with.
pub(super) fn message_source(head: &Parts) -> Result<MessageSource, StatusCode> {
    if head.uri.path() != PATH {
        return Err(StatusCode::NOT_FOUND);
    }
    match head.method {
        Method::GET => {
            let pairs = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
            let mut messages = pairs.filter(|(key, _)| key == "dns").map(|(_, value)| value);
            let (Some(message), None) = (messages.next(), messages.next()) else { return Err(StatusCode::BAD_REQUEST) };
            let message = BASE64_URL_SAFE_NO_PAD.decode(message.as_bytes());
            message.map(MessageSource::Url).map_err(|_| StatusCode::BAD_REQUEST)
        }
        Method::POST => {
            let media_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
            let is_message = media_type.trim().eq_ignore_ascii_case(MEDIA_TYPE);
            is_message.then_some(MessageSource::Body).ok_or(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        }
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// The response with a DNS reply, which may be a DNS error. An HTTP error only if there is no reply, or no budget for
/// it.
pub(super) async fn respond(
    message: &[u8],
    client: SocketAddr,
    budget: &ConnectionBudget,
    responder: &Responder,
) -> Response<Bytes> {
    let composed = budget
        .reply(|reply| responder.respond(&responder.zone.snapshot.load(), message, client, Transport::Https, reply));
    let (outcome, reply) = match composed.await {
        Some((Some(outcome), reply)) => (outcome, reply),
        Some((None, _)) => return refusal(StatusCode::BAD_REQUEST),
        None => return refusal(StatusCode::SERVICE_UNAVAILABLE),
    };
    let mut response = Response::new(reply);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if let Ok(value) = HeaderValue::try_from(format!("max-age={}", outcome.ttl)) {
        headers.insert(header::CACHE_CONTROL, value);
    }
    response
}

/// A response without a body.
pub(super) fn refusal(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
    }
    response
}
