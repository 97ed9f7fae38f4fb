//! Errors of requests to a server.

#![warn(missing_docs)]

use std::error::Error;
use std::io;

use hyper_util::client::legacy;

use super::{BODY_LEN_MAX, DEADLINE, PAGES_MAX, escaped};
use crate::token::TokenError;

/// Why a request to a server failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The server's URL is invalid.
    #[error("the server's URL: {0}; write it as http://127.0.0.1:8053 or https://callsign.example:8053")]
    BadUrl(&'static str),
    /// The token cannot be read from its file.
    #[error("the server's token: {0}")]
    Token(#[from] TokenError),
    /// The certificate authorities cannot be read.
    #[error("the server's certificate authorities: {0}")]
    Authorities(String),
    /// The system has no certificate authorities, and none are named.
    #[error("the system has no certificate authorities ({0}): name the server's own")]
    NoAuthorities(String),
    /// The server's certificate is not valid.
    #[error("{server} is not trusted ({reason}): name the authority of its certificate")]
    Untrusted {
        /// The server's URL.
        server: String,
        /// What is wrong with its certificate.
        reason: String,
    },
    /// The server requires a token, or another one.
    #[error("{server} requires a token ({reason}): name the file of its token")]
    Unauthorized {
        /// The server's URL.
        server: String,
        /// The server's message.
        reason: String,
    },
    /// No server listens at the address.
    #[error("no server at {server} ({reason})")]
    Unreachable {
        /// The server's URL.
        server: String,
        /// The system's error.
        reason: String,
    },
    /// The response did not arrive in time.
    #[error("{server} did not answer within {} seconds; see its log and {server}/livez", DEADLINE.as_secs())]
    Late {
        /// The server's URL.
        server: String,
    },
    /// The server does not know all Pods yet.
    #[error("{server} is not ready ({reason}): try again soon; if it stays so, see its log for what it waits for")]
    NotReady {
        /// The server's URL.
        server: String,
        /// The server's message.
        reason: String,
    },
    /// The TLS handshake failed.
    #[error("no TLS with {server} ({reason}): if it serves plain HTTP, write its URL with http://")]
    NoTls {
        /// The server's URL.
        server: String,
        /// Why the handshake failed.
        reason: String,
    },
    /// The connection broke before the response was complete.
    #[error("no answer from {server}: {reason}; see its log and {server}/livez")]
    Broken {
        /// The server's URL.
        server: String,
        /// What happened to the connection.
        reason: String,
    },
    /// The response is not HTTP.
    #[error(
        "the response of {server} is not HTTP ({reason}): is it the URL of its HTTP side, with https:// if that has TLS?"
    )]
    NotHttp {
        /// The server's URL.
        server: String,
        /// What is wrong with the response.
        reason: String,
    },
    /// An HTTP server answers with an unexpected status.
    #[error("{server} answers {status} ({reason}): is it the URL of a callsign server's HTTP side?")]
    Status {
        /// The server's URL.
        server: String,
        /// The HTTP status.
        status: u16,
        /// The server's message.
        reason: String,
    },
    /// The client has reached a limit of the server, or the server is full.
    #[error("{server} refuses more of this client ({reason})")]
    Full {
        /// The server's URL.
        server: String,
        /// The server's message.
        reason: String,
    },
    /// Another kind of server, or another version of callsign.
    #[error(
        "{server} does not answer as callsign's HTTP API does ({reason}): is it the URL of its HTTP side, with https:// if that has TLS?"
    )]
    Foreign {
        /// The server's URL.
        server: String,
        /// What is wrong with the response.
        reason: String,
    },
    /// A stream of events ended.
    #[error("{server}: {reason}")]
    Ended {
        /// The server's URL.
        server: String,
        /// How it ended.
        reason: String,
    },
    /// The response is too large.
    #[error(
        "the response of {server} is over {BODY_LEN_MAX} bytes or {PAGES_MAX} pages; ask for one interface or one namespace"
    )]
    TooLarge {
        /// The server's URL.
        server: String,
    },
}

/// Why a request has no response.
pub(super) fn of_request(server: String, error: &legacy::Error) -> RemoteError {
    if let Some(tls) = find::<rustls::Error>(error) {
        let reason = escaped(&tls.to_string());
        return match tls {
            rustls::Error::InvalidCertificate(_) => RemoteError::Untrusted { server, reason },
            _ => RemoteError::NoTls { server, reason },
        };
    }
    match broken(error) {
        Some(reason) => RemoteError::Broken { server, reason: format!("{reason} before the response came") },
        None if error.is_connect() => RemoteError::Unreachable { server, reason: root_cause(error) },
        None => of_answer(server, error),
    }
}

/// Why the rest of a response did not arrive.
pub(super) fn of_body(server: String, error: &(dyn Error + 'static)) -> RemoteError {
    match broken(error) {
        Some(reason) => RemoteError::Broken { server, reason: format!("{reason} in the middle of the response") },
        None => of_answer(server, error),
    }
}

fn of_answer(server: String, error: &(dyn Error + 'static)) -> RemoteError {
    match find::<hyper::Error>(error) {
        Some(error) if error.is_timeout() => RemoteError::Late { server },
        Some(error) if error.is_parse() => RemoteError::NotHttp { server, reason: root_cause(error) },
        _ => RemoteError::Broken { server, reason: root_cause(error) },
    }
}

/// How an established connection ended. `None` if the error has another cause.
pub(super) fn broken(error: &(dyn Error + 'static)) -> Option<&'static str> {
    // One I/O error may wrap another.
    let kinds = causes(error).filter_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind);
    let of_kind = kinds.filter_map(|kind| match kind {
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            Some("the connection was reset")
        }
        io::ErrorKind::UnexpectedEof => Some("the connection was closed"),
        _ => None,
    });
    let is_closed = |error: &hyper::Error| error.is_incomplete_message() || error.is_closed() || error.is_canceled();
    of_kind
        .last()
        .or_else(|| find::<hyper::Error>(error).filter(|error| is_closed(error)).map(|_| "the connection was closed"))
}

/// The first error of a type among an error and its causes, including those that an I/O error wraps.
fn find<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    causes(error).find_map(|error| error.downcast_ref::<E>())
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| {
        let error: &'e (dyn Error + 'static) = *error;
        // The error that an I/O error wraps is not its `source`; the wrapped error's `source` is.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

/// The text of the innermost error: the errors around it only name layers.
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    escaped(&causes(error).last().unwrap_or(error).to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::{EventStream, Selection, ServerAddress, ServerClient, StreamEvent};

    /// The error of a list request to a server that treats each connection with `does`.
    async fn told(scheme: &str, does: fn(std::net::TcpStream)) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("{scheme}://{}", listener.local_addr().expect("its address"));
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let stream = stream.into_std().expect("a socket");
                stream.set_nonblocking(false).expect("waits");
                does(stream);
            }
        });
        let authority = rcgen::generate_simple_self_signed(["x".to_owned()]).expect("a certificate").cert.pem();
        let file = std::env::temp_dir().join(format!("callsign-errors-{}-{}.pem", std::process::id(), url.len()));
        std::fs::write(&file, authority).expect("a file");
        let address = ServerAddress { url: url.clone(), authorities: Some(file.clone()), ..ServerAddress::default() };
        let error =
            ServerClient::new(address).expect("a URL").list::<String>("/v1/bad", &[]).await.expect_err("no list");
        serving.abort();
        let _ = std::fs::remove_file(file);
        let text = error.to_string();
        assert!(text.contains(&url), "{text}");
        text
    }

    fn say(mut stream: std::net::TcpStream, text: &str) {
        use std::io::Write;
        let _ = stream.write_all(text.as_bytes());
        std::thread::sleep(Duration::from_millis(50)); // so that the client reads it before the end
    }

    fn reset(stream: std::net::TcpStream) {
        let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_error_names_what_happened() {
        const CUT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{";
        for (scheme, does, expected) in [
            ("http", reset as fn(std::net::TcpStream), "the connection was reset before the response came"),
            ("http", drop, "the connection was closed before the response came"),
            ("http", |stream| say(stream, "HTTP/1.1 200"), "the connection was closed before the response came"),
            ("http", |stream| say(stream, CUT), "the connection was closed in the middle of the response"),
            ("http", |stream| say(stream, "SSH-2.0-OpenSSH_9\r\n"), "is not HTTP"),
            ("http", |stream| say(stream, "\u{15}\u{3}\u{3}\0\u{2}\u{2}F"), "with https:// if that has TLS"),
            ("http", |stream| say(stream, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), "answers 500"),
            (
                "http",
                |stream| say(stream, "HTTP/1.1 429 Many\r\nContent-Length: 13\r\n\r\n{\"error\":\"x\"}"),
                "refuses more of this client (x)",
            ),
            ("https", reset, "the connection was reset before the response came"),
            ("https", drop, "the connection was closed before the response came"),
            ("https", |stream| say(stream, "HTTP/1.1 400 Bad Request\r\n\r\n"), "write its URL with http://"),
        ] {
            let text = told(scheme, does).await;
            assert!(text.contains(expected), "{text}: not {expected}");
            assert!(!text.contains("not as callsign's") && !text.contains("--"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_missing_answer_is_a_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let server = ServerClient::new(ServerAddress { url, ..ServerAddress::default() }).expect("a URL");
        let error = server.list::<String>("/v1/bad", &[]).await.expect_err("no list").to_string();
        assert!(error.contains("did not answer within 10 seconds"), "{error}");
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let _ = stream.write_all(b"x").await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_stream_that_is_reset_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = |_| async {
                    let (start, never) = ("retry: 1\n\n", futures_util::stream::pending());
                    let start = futures_util::stream::once(async move { Ok::<_, std::convert::Infallible>(start) });
                    let body = axum::body::Body::from_stream(futures_util::StreamExt::chain(start, never));
                    Ok::<_, std::convert::Infallible>(http::Response::new(body))
                };
                let stream = stream.into_std().expect("a socket");
                let handle = stream.try_clone().expect("a second handle");
                let stream = hyper_util::rt::TokioIo::new(tokio::net::TcpStream::from_std(stream).expect("a socket"));
                let service = hyper::service::service_fn(answer);
                let connection = hyper::server::conn::http1::Builder::new().serve_connection(stream, service);
                let _ = tokio::time::timeout(Duration::from_millis(300), connection).await;
                reset(handle);
            }
        });
        let server = ServerClient::new(ServerAddress { url, ..ServerAddress::default() }).expect("a URL");
        let interfaces = ["a.b".to_owned()].into();
        let mut stream = EventStream::new(server, Selection { interfaces, ..Selection::default() });
        let StreamEvent::Lost(error) = stream.next().await else { panic!("the stream reports no loss") };
        serving.abort();
        assert!(error.to_string().contains("the stream broke off (the connection was reset)"), "{error}");
    }
}
