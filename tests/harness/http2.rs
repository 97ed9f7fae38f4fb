//! An HTTP/2 client, with and without TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::tls::{Authority, SERVER_NAME};

/// How long a test waits for an expected event.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection and the runtime that drives it.
pub(crate) struct Http2 {
    runtime: Runtime,
    sender: SendRequest<Empty<Bytes>>,
}

impl Http2 {
    /// Connects with prior knowledge, or over TLS with a trusted authority and `h2` in ALPN.
    #[track_caller]
    pub(crate) fn connect(server: SocketAddr, authority: Option<&Authority>) -> Http2 {
        Http2::connect_with(server, authority, &Builder::new(TokioExecutor::new()))
    }

    /// The same with these settings.
    #[track_caller]
    pub(crate) fn connect_with(
        server: SocketAddr,
        authority: Option<&Authority>,
        builder: &Builder<TokioExecutor>,
    ) -> Http2 {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let sender = runtime.block_on(async {
            let stream = timeout(PATIENCE, TcpStream::connect(server)).await.expect("in time").expect("a connection");
            let Some(authority) = authority else { return shake_hands(builder, stream).await };
            let connector = TlsConnector::from(Arc::new(authority.client(b"h2")));
            let name = ServerName::try_from(SERVER_NAME).expect("a name");
            let stream = connector.connect(name, stream).await.expect("TLS");
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            shake_hands(builder, stream).await
        });
        Http2 { runtime, sender }
    }

    /// Sends a request and returns the head of the response.
    pub(crate) fn open(&self, path: &str) -> hyper::Result<Response<Incoming>> {
        let mut sender = self.sender.clone();
        let request = Request::get(format!("http://{SERVER_NAME}{path}")).body(Empty::new()).expect("a request");
        self.runtime.block_on(async {
            timeout(PATIENCE, async {
                sender.ready().await?;
                sender.send_request(request).await
            })
            .await
            .expect("an answer in time")
        })
    }

    /// Sends a request and returns the response's status and whole body.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut response = self.open(path).expect("an answer");
        let body = self.rest(&mut response).expect("a body");
        (response.status().as_u16(), body)
    }

    /// The next piece of a body. `None` at its end.
    pub(crate) fn piece(&self, response: &mut Response<Incoming>) -> Option<hyper::Result<Bytes>> {
        let frame = self
            .runtime
            .block_on(async { timeout(PATIENCE, response.body_mut().frame()).await.expect("a piece in time") });
        frame.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default()))
    }

    /// The rest of a body.
    pub(crate) fn rest(&self, response: &mut Response<Incoming>) -> hyper::Result<String> {
        let mut text = Vec::new();
        while let Some(piece) = self.piece(response) {
            text.extend_from_slice(&piece?);
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    builder: &Builder<TokioExecutor>,
    stream: S,
) -> SendRequest<Empty<Bytes>> {
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}
