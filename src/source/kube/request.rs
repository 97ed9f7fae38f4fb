//! The requests to an API server, and the bodies of their responses.

use std::time::{Duration, Instant};

use http::{HeaderMap, Request, header};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::timeout;

use super::body::{BodyEncoding, BodyShape};
use super::fault::{Refusal, WatchFault};
use super::protobuf;
use super::split::Splitter;
use crate::cluster::plain;

/// The most bytes of an error's body that are read. A `Status` is far smaller.
const ERROR_LEN_MAX: usize = 64 * 1024;

/// Prefers protobuf to JSON.
const PROTOBUF_OR_JSON: &str = "application/vnd.kubernetes.protobuf, application/json";

/// The characters of a path segment that need no escape: those of a namespace's name.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// A request.
#[derive(Clone, Copy, Debug)]
pub(super) enum PodsRequest<'a> {
    /// All Pods as the first events of a watch, and a bookmark after them. It is consistent: the server first makes
    /// sure that its cache is as new as the request.
    StreamingList,
    /// A page of all Pods, or all of them without a limit.
    Page { limit: Option<u32>, token: Option<&'a str> },
    /// No Pod at all, only the resource version of the response: the server's own, read from etcd.
    Version,
    /// One Pod by its name, as a list that has it if the selector matches it.
    Pod(&'a str),
    /// The changes after a resource version.
    Watch { from: &'a str, timeout: Duration },
}

/// The path and query of a request for the Pods of a selector.
pub(super) fn uri(namespace: Option<&str>, selector: &str, ask: PodsRequest<'_>) -> String {
    // A Pod with a namespace is read by its key. Without a namespace the server would scan all Pods.
    let namespace = if matches!(ask, PodsRequest::Version) { namespace.or(Some("default")) } else { namespace };
    let path = match namespace {
        Some(namespace) => format!("/api/v1/namespaces/{}/pods?", utf8_percent_encode(namespace, SEGMENT)),
        None => "/api/v1/pods?".to_owned(),
    };
    let start = path.len();
    let mut query = form_urlencoded::Serializer::for_suffix(path, start);
    if !selector.is_empty() && !matches!(ask, PodsRequest::Version) {
        query.append_pair("labelSelector", selector);
    }
    match ask {
        PodsRequest::StreamingList => {
            query.append_pair("watch", "true");
            query.append_pair("allowWatchBookmarks", "true");
            query.append_pair("sendInitialEvents", "true");
            query.append_pair("resourceVersionMatch", "NotOlderThan");
            query.append_pair("resourceVersion", "");
        }
        PodsRequest::Page { limit, token } => {
            if let Some(limit) = limit {
                query.append_pair("limit", &limit.to_string());
            }
            if let Some(token) = token {
                query.append_pair("continue", token);
            }
        }
        PodsRequest::Version => {
            query.append_pair("fieldSelector", "metadata.name=callsign-asks-for-the-version");
        }
        PodsRequest::Pod(name) => {
            query.append_pair("fieldSelector", &format!("metadata.name={name}"));
        }
        PodsRequest::Watch { from, timeout } => {
            query.append_pair("watch", "true");
            query.append_pair("allowWatchBookmarks", "true");
            query.append_pair("timeoutSeconds", &timeout.as_secs().max(1).to_string());
            query.append_pair("resourceVersion", from);
        }
    }
    query.finish()
}

/// The body of a response.
#[derive(Debug)]
pub(super) struct ResponseBody {
    body: Body,
    /// Splits it into objects.
    pub(super) splitter: Splitter,
    body_timeout: BodyTimeout,
    /// When the last bytes were received.
    last: Instant,
}

/// The time limit of a response's body.
#[derive(Clone, Copy, Debug)]
pub(super) enum BodyTimeout {
    /// No limit, but no silence between two chunks longer than this.
    Between(Duration),
    /// Until this moment. Bytes that have arrived by then are still read.
    Until(Instant),
}

/// Sends a request. `header` is the time limit of the response's head.
pub(super) async fn fetch(
    client: &Client,
    uri: &str,
    (encoding, shape): (BodyEncoding, BodyShape),
    header: Duration,
    body_timeout: BodyTimeout,
) -> Result<ResponseBody, WatchFault> {
    let accepted = match encoding {
        BodyEncoding::Protobuf => PROTOBUF_OR_JSON,
        BodyEncoding::Json => "application/json",
    };
    let request = Request::get(uri)
        .header(header::ACCEPT, accepted)
        .body(Body::empty())
        .map_err(|error| WatchFault::Unreachable(error.to_string()))?;
    let response = timeout(header, client.send(request))
        .await
        .map_err(|_| WatchFault::Silent(header))?
        .map_err(|error| WatchFault::Unreachable(plain(&error)))?;
    if response.status().is_success() {
        let splitter = Splitter::new(encoding_of(response.headers()), shape);
        return Ok(ResponseBody { body: response.into_body(), splitter, body_timeout, last: Instant::now() });
    }
    let code = response.status().as_u16();
    let retry_after = response.headers().get(header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    let body = timeout(header, error_body(response.into_body())).await.unwrap_or_default();
    Err(WatchFault::Refused(Refusal::of_response(code, &body, retry_after)))
}

/// The encoding of a body. Any other media type is read as JSON, which reports it as garbage.
fn encoding_of(headers: &HeaderMap) -> BodyEncoding {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(protobuf::MEDIA_TYPE) { BodyEncoding::Protobuf } else { BodyEncoding::Json }
}

impl ResponseBody {
    /// When the current bytes were received.
    pub(super) fn received(&self) -> Instant {
        self.last
    }

    /// Passes the next bytes to the splitter. Returns false at the body's end.
    pub(super) async fn fill(&mut self) -> Result<bool, WatchFault> {
        loop {
            let wait = match self.body_timeout {
                BodyTimeout::Between(wait) => wait,
                BodyTimeout::Until(end) => end.saturating_duration_since(Instant::now()),
            };
            match timeout(wait, self.body.frame()).await {
                Err(_) => return Err(WatchFault::Silent(self.last.elapsed())),
                Ok(None) if self.splitter.is_whole() => return Ok(false),
                Ok(None) => return Err(WatchFault::Broken("it ended inside an object".to_owned())),
                Ok(Some(Err(error))) => return Err(WatchFault::Broken(plain(&error))),
                // Trailers are not data.
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.last = Instant::now();
                        self.splitter.push(data);
                        return Ok(true);
                    }
                }
            }
        }
    }
}

/// The first bytes of an error's body.
async fn error_body(mut body: Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
        if bytes.len() >= ERROR_LEN_MAX {
            bytes.truncate(ERROR_LEN_MAX);
            break;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_questions() {
        let seconds = Duration::from_secs;
        let cases = [
            (
                (None, "a in (b, c)", PodsRequest::StreamingList),
                "/api/v1/pods?labelSelector=a+in+%28b%2C+c%29&watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=",
            ),
            (
                (Some("my-ns"), "a=b", PodsRequest::Page { limit: Some(500), token: None }),
                "/api/v1/namespaces/my-ns/pods?labelSelector=a%3Db&limit=500",
            ),
            (
                (Some("../x"), "", PodsRequest::Page { limit: Some(500), token: Some("a=&b") }),
                "/api/v1/namespaces/..%2Fx/pods?limit=500&continue=a%3D%26b",
            ),
            ((None, "", PodsRequest::Page { limit: None, token: None }), "/api/v1/pods?"),
            (
                (None, "a=b", PodsRequest::Version),
                "/api/v1/namespaces/default/pods?fieldSelector=metadata.name%3Dcallsign-asks-for-the-version",
            ),
            (
                (Some("my-ns"), "a=b", PodsRequest::Pod("web-0")),
                "/api/v1/namespaces/my-ns/pods?labelSelector=a%3Db&fieldSelector=metadata.name%3Dweb-0",
            ),
            (
                (None, "", PodsRequest::Watch { from: "7", timeout: seconds(45) }),
                "/api/v1/pods?watch=true&allowWatchBookmarks=true&timeoutSeconds=45&resourceVersion=7",
            ),
        ];
        for ((namespace, selector, ask), expected) in cases {
            assert_eq!(uri(namespace, selector, ask), expected);
        }
    }
}
