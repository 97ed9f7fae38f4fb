//! The questions that are put to an API server, and how an answer's body is read.

use std::time::{Duration, Instant};

use http::{HeaderMap, Request, header};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::timeout;

use super::client::plain;
use super::fault::{Fault, Refusal};
use super::protobuf;
use super::split::{Encoding, Shape, Splitter};

/// The most bytes that are read of an error's body. A `Status` is far smaller.
const ERROR_LEN_MAX: usize = 64 * 1024;

/// Protobuf first, and JSON rather than nothing.
const PROTOBUF_OR_JSON: &str = "application/vnd.kubernetes.protobuf, application/json";

/// What a path segment may hold as it is: all that a namespace's name has.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask<'a> {
    /// All Pods as the first events of a watch, and a bookmark behind them. Consistent: the server first makes sure that
    /// its cache is as new as the question.
    StreamingList,
    /// A page of all Pods, or all of them where there is no limit.
    Page { limit: Option<u32>, token: Option<&'a str> },
    /// No Pod at all, for the resource version that such an answer tells: the server's own, read from etcd.
    Version,
    /// One Pod by its name, as a list of it if the selector finds it.
    Pod(&'a str),
    /// What changes behind a resource version.
    Watch { from: &'a str, timeout: Duration },
}

/// The path and query of a question about the Pods that a selector finds.
pub(super) fn uri(namespace: Option<&str>, selector: &str, ask: Ask<'_>) -> String {
    // One Pod by its name is read by its key. Without a namespace all Pods would be looked through.
    let namespace = if matches!(ask, Ask::Version) { namespace.or(Some("default")) } else { namespace };
    let path = match namespace {
        Some(namespace) => format!("/api/v1/namespaces/{}/pods?", utf8_percent_encode(namespace, SEGMENT)),
        None => "/api/v1/pods?".to_owned(),
    };
    let start = path.len();
    let mut query = form_urlencoded::Serializer::for_suffix(path, start);
    if !selector.is_empty() && !matches!(ask, Ask::Version) {
        query.append_pair("labelSelector", selector);
    }
    match ask {
        Ask::StreamingList => {
            query.append_pair("watch", "true");
            query.append_pair("allowWatchBookmarks", "true");
            query.append_pair("sendInitialEvents", "true");
            query.append_pair("resourceVersionMatch", "NotOlderThan");
            query.append_pair("resourceVersion", "");
        }
        Ask::Page { limit, token } => {
            if let Some(limit) = limit {
                query.append_pair("limit", &limit.to_string());
            }
            if let Some(token) = token {
                query.append_pair("continue", token);
            }
        }
        Ask::Version => {
            query.append_pair("fieldSelector", "metadata.name=callsign-asks-for-the-version");
        }
        Ask::Pod(name) => {
            query.append_pair("fieldSelector", &format!("metadata.name={name}"));
        }
        Ask::Watch { from, timeout } => {
            query.append_pair("watch", "true");
            query.append_pair("allowWatchBookmarks", "true");
            query.append_pair("timeoutSeconds", &timeout.as_secs().max(1).to_string());
            query.append_pair("resourceVersion", from);
        }
    }
    query.finish()
}

/// An answer's body on its way in.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    /// Cuts it into objects.
    pub(super) splitter: Splitter,
    patience: Patience,
    /// When the last bytes came.
    last: Instant,
}

/// How long an answer's body may take.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// As long as it likes, with no longer silence between two chunks than this.
    Between(Duration),
    /// Until then. What has arrived by then is still read.
    Until(Instant),
}

/// Puts a question. `header` is how long the server may think before it begins to answer.
pub(super) async fn ask(
    client: &Client,
    uri: &str,
    (encoding, shape): (Encoding, Shape),
    header: Duration,
    patience: Patience,
) -> Result<Answer, Fault> {
    let accepted = match encoding {
        Encoding::Protobuf => PROTOBUF_OR_JSON,
        Encoding::Json => "application/json",
    };
    let request = Request::get(uri)
        .header(header::ACCEPT, accepted)
        .body(Body::empty())
        .map_err(|error| Fault::Unreachable(error.to_string()))?;
    let response = timeout(header, client.send(request))
        .await
        .map_err(|_| Fault::Silent(header))?
        .map_err(|error| Fault::Unreachable(plain(&error)))?;
    if response.status().is_success() {
        let splitter = Splitter::new(encoding_of(response.headers()), shape);
        return Ok(Answer { body: response.into_body(), splitter, patience, last: Instant::now() });
    }
    let code = response.status().as_u16();
    let retry_after = response.headers().get(header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    let body = timeout(header, error_body(response.into_body())).await.unwrap_or_default();
    Err(Fault::Refused(Refusal::of_response(code, &body, retry_after)))
}

/// How a body is written. What is neither is read as JSON, and will be told as garbage.
fn encoding_of(headers: &HeaderMap) -> Encoding {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(protobuf::MEDIA_TYPE) { Encoding::Protobuf } else { Encoding::Json }
}

impl Answer {
    /// When the bytes in hand came.
    pub(super) fn received(&self) -> Instant {
        self.last
    }

    /// Hands the next bytes to the splitter; false at the body's end.
    pub(super) async fn fill(&mut self) -> Result<bool, Fault> {
        loop {
            let wait = match self.patience {
                Patience::Between(wait) => wait,
                Patience::Until(end) => end.saturating_duration_since(Instant::now()),
            };
            match timeout(wait, self.body.frame()).await {
                Err(_) => return Err(Fault::Silent(self.last.elapsed())),
                Ok(None) if self.splitter.is_whole() => return Ok(false),
                Ok(None) => return Err(Fault::Broken("it ended inside an object".to_owned())),
                Ok(Some(Err(error))) => return Err(Fault::Broken(plain(&error))),
                // Trailers are no data.
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

/// An error body's first bytes.
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
                (None, "a in (b, c)", Ask::StreamingList),
                "/api/v1/pods?labelSelector=a+in+%28b%2C+c%29&watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=",
            ),
            (
                (Some("my-ns"), "a=b", Ask::Page { limit: Some(500), token: None }),
                "/api/v1/namespaces/my-ns/pods?labelSelector=a%3Db&limit=500",
            ),
            (
                (Some("../x"), "", Ask::Page { limit: Some(500), token: Some("a=&b") }),
                "/api/v1/namespaces/..%2Fx/pods?limit=500&continue=a%3D%26b",
            ),
            ((None, "", Ask::Page { limit: None, token: None }), "/api/v1/pods?"),
            (
                (None, "a=b", Ask::Version),
                "/api/v1/namespaces/default/pods?fieldSelector=metadata.name%3Dcallsign-asks-for-the-version",
            ),
            (
                (Some("my-ns"), "a=b", Ask::Pod("web-0")),
                "/api/v1/namespaces/my-ns/pods?labelSelector=a%3Db&fieldSelector=metadata.name%3Dweb-0",
            ),
            (
                (None, "", Ask::Watch { from: "7", timeout: seconds(45) }),
                "/api/v1/pods?watch=true&allowWatchBookmarks=true&timeoutSeconds=45&resourceVersion=7",
            ),
        ];
        for ((namespace, selector, ask), expected) in cases {
            assert_eq!(uri(namespace, selector, ask), expected);
        }
    }
}
