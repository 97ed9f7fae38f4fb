//! A client of a running server, over HTTP/1.1 with or without TLS: the stream of changes, and for commands the lists.

mod connect;
mod error;
#[cfg(feature = "server")]
mod lists;
mod stream;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use serde::Deserialize;

use crate::escape::Escaped;
use crate::sse;
use crate::token;
use connect::{PooledClient, connection};

pub use error::RemoteError;
pub use stream::{EventStream, Selection, StreamEvent};

/// The time limit of a response, to its last byte. A list of 100,000 Pods takes a second or two.
const DEADLINE: Duration = Duration::from_secs(10);

/// The largest response: a page of Pods with 1,024 registrations each.
const BODY_LEN_MAX: usize = 64 * 1024 * 1024;

/// The most pages of a list: some ten times the pages of 500,000 registrations.
const PAGES_MAX: usize = 1_000;

/// A server's address, its token and its certificate authorities.
#[derive(Clone, Debug, Default)]
pub struct ServerAddress {
    /// The URL of its `--http`.
    pub url: String,
    /// The file of the token that it requires. It is read at each request, so that the token can be rotated.
    pub token: Option<PathBuf>,
    /// The file of its certificate authorities, in PEM. `None`: the system's.
    pub authorities: Option<PathBuf>,
}

/// A client of one server.
#[derive(Clone, Debug)]
pub struct ServerClient {
    address: ServerAddress,
    /// The client of all streams. `None` before the first stream and after a failure.
    streams: Arc<Mutex<Option<PooledClient>>>,
}

impl ServerClient {
    /// Checks an address. It reads no file yet.
    ///
    /// # Errors
    /// The URL is not that of an HTTP server.
    pub fn new(mut address: ServerAddress) -> Result<ServerClient, RemoteError> {
        let uri: Uri = address.url.parse().map_err(|_| RemoteError::BadUrl("it is not a URL"))?;
        match (uri.scheme_str(), uri.authority(), uri.query()) {
            (Some("http" | "https"), Some(authority), None) if !authority.as_str().contains('@') => {
                address.url.truncate(address.url.trim_end_matches('/').len());
                Ok(ServerClient { address, streams: Arc::default() })
            }
            (Some("http" | "https"), Some(_), None) => Err(RemoteError::BadUrl("it has a user name")),
            (Some("http" | "https"), Some(_), Some(_)) => Err(RemoteError::BadUrl("it has a query")),
            _ => Err(RemoteError::BadUrl("it does not start with http:// or https://")),
        }
    }

    /// Opens a stream of events that continues after the event with this id, if there is one.
    async fn stream(
        &self,
        path: &str,
        query: &[(&str, Option<&str>)],
        last_id: Option<&str>,
    ) -> Result<Incoming, RemoteError> {
        let mut request = http::Request::get(self.uri(path, query)?).header(header::ACCEPT, sse::CONTENT_TYPE);
        if let Some(id) = last_id {
            request = request.header(sse::LAST_EVENT_ID, id);
        }
        let connection = self.connection_of_streams()?;
        let opening = async {
            let answer = self.send(&connection, request).await?;
            match answer.status() {
                StatusCode::OK => Ok(answer.into_body()),
                status => Err(self.refused(status, &self.body(answer.into_body()).await?)),
            }
        };
        let opened = tokio::time::timeout(DEADLINE, opening).await;
        let opened = opened.unwrap_or_else(|_| Err(RemoteError::Late { server: self.redacted_url() }));
        opened.inspect_err(|_| *self.streams() = None) // the next stream reads the authorities again
    }

    fn connection_of_streams(&self) -> Result<PooledClient, RemoteError> {
        let mut streams = self.streams();
        if let Some(connection) = &*streams {
            return Ok(connection.clone());
        }
        let connection = connection(&self.address)?;
        Ok(streams.insert(connection).clone())
    }

    fn streams(&self) -> std::sync::MutexGuard<'_, Option<PooledClient>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error of a status other than 200.
    fn refused(&self, status: StatusCode, body: &[u8]) -> RemoteError {
        match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                RemoteError::NotReady { server: self.redacted_url(), reason: error_message(body, status) }
            }
            StatusCode::TOO_MANY_REQUESTS => {
                RemoteError::Full { server: self.redacted_url(), reason: error_message(body, status) }
            }
            StatusCode::UNAUTHORIZED => {
                RemoteError::Unauthorized { server: self.redacted_url(), reason: error_message(body, status) }
            }
            status => RemoteError::Status {
                server: self.redacted_url(),
                status: status.as_u16(),
                reason: error_message(body, status),
            },
        }
    }

    fn uri(&self, path: &str, query: &[(&str, Option<&str>)]) -> Result<Uri, RemoteError> {
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(query.iter().filter_map(|(key, value)| Some((key, (*value)?))));
        let (base, encoded) = (&self.address.url, encoded.finish());
        let separator = if encoded.is_empty() { "" } else { "?" };
        // The path is constant and the query is encoded, so only the length can be wrong.
        format!("{base}{path}{separator}{encoded}").parse().map_err(|_| RemoteError::BadUrl("it is too long"))
    }

    async fn send(
        &self,
        connection: &PooledClient,
        request: http::request::Builder,
    ) -> Result<http::Response<Incoming>, RemoteError> {
        let request = request.body(Empty::new()).map_err(|_| RemoteError::BadUrl("it is not valid in a request"))?;
        let request = self.authorized(request)?;
        connection.request(request).await.map_err(|error| error::of_request(self.redacted_url(), &error))
    }

    /// Adds the token, if there is one. The file is read each time, so that the token can be rotated.
    fn authorized(&self, mut request: http::Request<Empty<Bytes>>) -> Result<http::Request<Empty<Bytes>>, RemoteError> {
        if let Some(token) = self.address.token.as_deref().map(token::read).transpose()? {
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            let mut value = value.expect("a token's characters are printable");
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        Ok(request)
    }

    async fn body(&self, body: Incoming) -> Result<Bytes, RemoteError> {
        match Limited::new(body, BODY_LEN_MAX).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(RemoteError::TooLarge { server: self.redacted_url() }),
            Err(error) => Err(error::of_body(self.redacted_url(), &*error)),
        }
    }

    /// The address without credentials, for errors.
    pub fn redacted_url(&self) -> String {
        crate::url::redacted(&self.address.url)
    }
}

/// Text from elsewhere, safe for an error or a log line.
fn escaped(text: &str) -> String {
    Escaped(text).to_string()
}

/// The message in a callsign server's error body, else the status.
fn error_message(body: &[u8], status: StatusCode) -> String {
    #[derive(Deserialize)]
    struct ErrorBody {
        error: String,
    }
    match serde_json::from_slice(body) {
        Ok(ErrorBody { error }) => escaped(&error),
        Err(_) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::RawQuery;
    use axum::routing::get;
    use tokio::net::TcpListener;

    use super::*;
    use crate::api::Page;

    fn at(url: &str) -> ServerAddress {
        ServerAddress { url: url.into(), ..ServerAddress::default() }
    }

    #[test]
    fn only_urls_of_servers() {
        for (url, expected) in [
            ("http://127.0.0.1:8053", Some("http://127.0.0.1:8053/v1/bad")),
            ("http://[::1]:8053/", Some("http://[::1]:8053/v1/bad")),
            ("http://gate/dns/", Some("http://gate/dns/v1/bad")),
            ("https://127.0.0.1/", Some("https://127.0.0.1/v1/bad")),
            ("ftp://127.0.0.1", None),
            ("https://user:hunter2@host", None),
            ("127.0.0.1:8053", None),
            ("localhost", None),
            ("http://", None),
            ("http://user:hunter2@host", None),
            ("http://host/?a=b", None),
            ("", None),
        ] {
            let uri = ServerClient::new(at(url)).and_then(|server| server.uri("/v1/bad", &[("name", None)]));
            assert_eq!(uri.as_ref().ok().map(Uri::to_string).as_deref(), expected, "{url}");
            assert!(uri.is_ok() || !uri.unwrap_err().to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_query_is_encoded() {
        let server = ServerClient::new(at("http://x")).expect("a URL");
        let uri = server.uri("/v1/pods", &[("name", Some("a&b=c d\u{202e}")), ("namespace", None)]).expect("a URI");
        assert_eq!(uri.query(), Some("name=a%26b%3Dc+d%E2%80%AE"));
    }

    /// Returns the query, in two pages.
    fn echo(query: &str) -> Page<String> {
        let next = (!query.contains("continue=")).then(|| "c/d".to_owned());
        Page { items: vec![query.to_owned()], next }
    }

    /// Starts a server that answers a few paths, each in another way. Its task ends with the test's runtime.
    async fn server() -> ServerClient {
        let unsynced = (StatusCode::SERVICE_UNAVAILABLE, r#"{"error":"wait\u001b[2J"}"#);
        let router = Router::new()
            .route("/echo", get(|RawQuery(query)| async move { axum::Json(echo(&query.unwrap_or_default())) }))
            .route("/endless", get(|| async { axum::Json(Page::<String> { items: vec![], next: Some("x".into()) }) }))
            .route("/unsynced", get(move || async move { unsynced }))
            .route("/secret", get(|| async { (StatusCode::UNAUTHORIZED, r#"{"error":"show a token"}"#) }))
            .route("/html", get(|| async { "<html>" }))
            .route("/large", get(|| async { vec![b' '; BODY_LEN_MAX + 1] }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        ServerClient::new(at(&format!("http://{address}"))).expect("a URL")
    }

    #[tokio::test]
    async fn an_answer_is_read_or_explained() {
        let server = server().await;
        let found: Vec<String> = server.list("/echo", &[("name", Some("a/b"))]).await.expect("a list");
        assert_eq!(found, ["name=a%2Fb&limit=5000", "name=a%2Fb&limit=5000&continue=c%2Fd"]);
        for (path, expected) in [
            ("/unsynced", "is not ready (wait\\u001b[2J)"),
            ("/html", "is it the URL of its HTTP side,"),
            ("/secret", "requires a token (show a token): name the file"),
            ("/none", "404 Not Found"),
            ("/large", "ask for one interface"),
            ("/endless", "or 1000 pages"),
        ] {
            let error = server.list::<String>(path, &[]).await.expect_err(path).to_string();
            assert!(error.contains(expected), "{path}: {error}");
        }
    }

    #[tokio::test]
    async fn an_unreachable_server_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        drop(listener);
        let server = ServerClient::new(at(&format!("http://{address}"))).expect("a URL");
        let error = server.list::<String>("/v1/bad", &[]).await.expect_err("nobody").to_string();
        assert!(error.contains(&address.to_string()), "{error}");
        assert!(error.contains("refused"), "{error}");
    }
}
