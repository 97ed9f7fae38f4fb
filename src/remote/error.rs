//! What happened where a server's answer is not to be had.

#![warn(missing_docs)]

use std::error::Error;
use std::io;

use http::StatusCode;
use hyper_util::client::legacy;

use super::{BODY_LEN_MAX, DEADLINE, PAGES_MAX, escaped};
use crate::http::access::TokenError;

/// Why a server's answer is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The URL is none that can be asked.
    #[error("the server's URL: {0}; write it as http://127.0.0.1:8053 or https://callsign.example:8053")]
    BadUrl(&'static str),
    /// The token that is to be shown cannot be read.
    #[error("the server's token: {0}")]
    Token(#[from] TokenError),
    /// The authorities that are to be trusted cannot be read.
    #[error("the server's certificate authorities: {0}")]
    Authorities(String),
    /// It does not prove to be who it should be.
    #[error("{server} cannot be trusted ({reason}): name the authority of its certificate with --server-ca FILE")]
    Untrusted {
        /// The server.
        server: String,
        /// What its certificate lacks.
        reason: String,
    },
    /// It wants another token, or one at all.
    #[error("{server} asks for a token ({reason}): name the file that its --http-token has with --server-token FILE")]
    Unauthorized {
        /// The server.
        server: String,
        /// What it says.
        reason: String,
    },
    /// Nobody is there.
    #[error("no server at {server} ({reason})")]
    Unreachable {
        /// The server.
        server: String,
        /// What the system says.
        reason: String,
    },
    /// The answer did not come in time.
    #[error("{server} did not answer within {} seconds; its log and {server}/livez tell how it is", DEADLINE.as_secs())]
    Late {
        /// The server.
        server: String,
    },
    /// It does not know all Pods yet.
    #[error("{server} is not ready ({reason}): try again soon; if that lasts, its log tells what it waits for")]
    NotReady {
        /// The server.
        server: String,
        /// What it says.
        reason: String,
    },
    /// TLS was not agreed on.
    #[error("no TLS with {server} ({reason}): has it --http-tls? If not, write its URL with http://")]
    NoTls {
        /// The server.
        server: String,
        /// What is wrong.
        reason: String,
    },
    /// The connection was there, and no answer came by it.
    #[error("no answer from {server}: {reason}; its log and {server}/livez tell how it is")]
    Broken {
        /// The server.
        server: String,
        /// What happened to the connection.
        reason: String,
    },
    /// What comes is not HTTP.
    #[error(
        "what {server} says is no HTTP ({reason}): is it the address of --http, with https:// if it has --http-tls?"
    )]
    NotHttp {
        /// The server.
        server: String,
        /// What is odd.
        reason: String,
    },
    /// An HTTP server answers, and has not what was asked for.
    #[error("{server} answers {status} ({reason}): is it the address of callsign's --http?")]
    Status {
        /// The server.
        server: String,
        /// The status.
        status: StatusCode,
        /// What it says.
        reason: String,
    },
    /// The client, or its address, has as much there as one may have.
    #[error("{server} has no room for more ({reason})")]
    Full {
        /// The server.
        server: String,
        /// What it says.
        reason: String,
    },
    /// It is another kind of server, or of another version.
    #[error(
        "{server} answers, but not as callsign's HTTP API does ({reason}): is it the address of --http, with https:// if it has --http-tls?"
    )]
    Foreign {
        /// The server.
        server: String,
        /// What is odd.
        reason: String,
    },
    /// A stream of events came to an end.
    #[error("{server}: {reason}")]
    Ended {
        /// The server.
        server: String,
        /// How.
        reason: String,
    },
    /// The answer is larger than any that is read.
    #[error(
        "the answer of {server} is over {BODY_LEN_MAX} bytes or {PAGES_MAX} pages; ask for one interface or one namespace"
    )]
    TooLarge {
        /// The server.
        server: String,
    },
}

/// Why a request has no answer.
pub(super) fn of_request(server: String, error: &legacy::Error) -> RemoteError {
    if let Some(tls) = find::<rustls::Error>(error) {
        let reason = escaped(&tls.to_string());
        return match tls {
            rustls::Error::InvalidCertificate(_) => RemoteError::Untrusted { server, reason },
            _ => RemoteError::NoTls { server, reason },
        };
    }
    match broken(error) {
        Some(reason) => RemoteError::Broken { server, reason: format!("{reason} before an answer came") },
        None if error.is_connect() => RemoteError::Unreachable { server, reason: root_cause(error) },
        None => of_answer(server, error),
    }
}

/// Why the rest of an answer is not to be had.
pub(super) fn of_body(server: String, error: &(dyn Error + 'static)) -> RemoteError {
    match broken(error) {
        Some(reason) => RemoteError::Broken { server, reason: format!("{reason} in the middle of the answer") },
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

/// How a connection ended that was there, if it is that.
pub(super) fn broken(error: &(dyn Error + 'static)) -> Option<&'static str> {
    // One I/O error may wrap another.
    let kinds = causes(error).filter_map(io_error).map(io::Error::kind);
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

/// The I/O error that an error is, or that an HTTP/2 error holds beside its causes.
fn io_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e io::Error> {
    error.downcast_ref::<io::Error>().or_else(|| error.downcast_ref::<h2::Error>()?.get_io())
}

/// The first error of a type among an error's causes, which are those that an I/O error wraps as well.
fn find<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    causes(error).find_map(|error| error.downcast_ref::<E>())
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| {
        let error: &'e (dyn Error + 'static) = *error;
        // What an I/O error wraps is not its source, but that one's source is.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

/// What the innermost error says: the ones around it only name layers.
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    escaped(&causes(error).last().unwrap_or(error).to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::{Address, EventStream, Selection, Server, Told};

    /// What a list of a server says that does this to each connection.
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
        let address = Address { url: url.clone(), authorities: Some(file.clone()), ..Address::default() };
        let error = Server::at(address).expect("a URL").list::<String>("/v1/bad", &[]).await.expect_err("no list");
        serving.abort();
        let _ = std::fs::remove_file(file);
        let text = error.to_string();
        assert!(text.contains(&url), "{text}");
        text
    }

    fn say(mut stream: std::net::TcpStream, text: &str) {
        use std::io::Write;
        let _ = stream.write_all(text.as_bytes());
        std::thread::sleep(Duration::from_millis(50)); // it is read before the end comes
    }

    fn reset(stream: std::net::TcpStream) {
        let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_error_names_what_happened() {
        const CUT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{";
        for (scheme, does, expected) in [
            ("http", reset as fn(std::net::TcpStream), "the connection was reset before an answer came"),
            ("http", drop, "the connection was closed before an answer came"),
            ("http", |stream| say(stream, "HTTP/1.1 200"), "the connection was closed before an answer came"),
            ("http", |stream| say(stream, CUT), "the connection was closed in the middle of the answer"),
            ("http", |stream| say(stream, "SSH-2.0-OpenSSH_9\r\n"), "is no HTTP"),
            ("http", |stream| say(stream, "\u{15}\u{3}\u{3}\0\u{2}\u{2}F"), "with https:// if it has --http-tls"),
            ("http", |stream| say(stream, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), "answers 500"),
            (
                "http",
                |stream| say(stream, "HTTP/1.1 429 Many\r\nContent-Length: 13\r\n\r\n{\"error\":\"x\"}"),
                "has no room for more (x)",
            ),
            ("https", reset, "the connection was reset before an answer came"),
            ("https", drop, "the connection was closed before an answer came"),
            ("https", |stream| say(stream, "HTTP/1.1 400 Bad Request\r\n\r\n"), "write its URL with http://"),
        ] {
            let text = told(scheme, does).await;
            assert!(text.contains(expected), "{text}: not {expected}");
            assert!(!text.contains("not as callsign's"), "{text}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_is_late() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let server = Server::at(Address { url, ..Address::default() }).expect("a URL");
        let error = server.list::<String>("/v1/bad", &[]).await.expect_err("no list").to_string();
        assert!(error.contains("did not answer within 10 seconds"), "{error}");
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let _ = stream.write_all(b"x").await;
    }

    /// HTTP/2 keeps the I/O error where no cause shows it.
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
                let builder = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
                let _ =
                    tokio::time::timeout(Duration::from_millis(300), builder.serve_connection(stream, service)).await;
                reset(handle);
            }
        });
        let server = Server::at(Address { url, ..Address::default() }).expect("a URL");
        let interfaces = ["a.b".to_owned()].into();
        let mut stream = EventStream::new(server, Selection { interfaces, ..Selection::default() });
        let Told::Lost(error) = stream.next().await else { panic!("nothing is told") };
        serving.abort();
        assert!(error.to_string().contains("the stream broke off (the connection was reset)"), "{error}");
    }
}
