//! QUIC clients, for DNS itself and for HTTP/3.

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{Request, Response};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, TransportConfig};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::tls::{Authority, SERVER_NAME};

/// How long a test waits for an expected event.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection and the runtime that drives it.
pub(crate) struct Quic {
    runtime: Runtime,
    connection: Connection,
    _endpoint: Endpoint,
}

impl Quic {
    /// Connects for a protocol: `doq` or `h3`.
    #[track_caller]
    pub(crate) fn connect(authority: &Authority, server: SocketAddr, protocol: &[u8]) -> Quic {
        Quic::connect_with(authority, server, protocol, TransportConfig::default())
    }

    /// The same with these windows.
    #[track_caller]
    pub(crate) fn connect_with(
        authority: &Authority,
        server: SocketAddr,
        protocol: &[u8],
        transport: TransportConfig,
    ) -> Quic {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (endpoint, connection) = runtime.block_on(async {
            let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("an endpoint");
            let tls = QuicClientConfig::try_from(authority.client(protocol)).expect("TLS 1.3");
            let mut config = ClientConfig::new(Arc::new(tls));
            config.transport_config(Arc::new(transport));
            endpoint.set_default_client_config(config);
            let connecting = endpoint.connect(server, SERVER_NAME).expect("a server");
            let connection = timeout(PATIENCE, connecting).await.expect("in time").expect("a connection");
            (endpoint, connection)
        });
        Quic { runtime, connection, _endpoint: endpoint }
    }

    /// Begins a handshake and leaves.
    pub(crate) fn begin(server: SocketAddr) {
        let authority = Authority::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("an endpoint");
            let tls = QuicClientConfig::try_from(authority.client(b"doq")).expect("TLS 1.3");
            endpoint.set_default_client_config(ClientConfig::new(Arc::new(tls)));
            let _ = timeout(Duration::from_millis(2), endpoint.connect(server, SERVER_NAME).expect("a server")).await;
        });
    }

    /// Sends bytes on a new stream and reads the reply.
    pub(crate) fn exchange(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        self.runtime.block_on(async {
            let exchange = async {
                let (mut send, mut receive) = self.connection.open_bi().await.map_err(|error| error.to_string())?;
                send.write_all(bytes).await.map_err(|error| error.to_string())?;
                send.finish().map_err(|error| error.to_string())?;
                receive.read_to_end(1 << 17).await.map_err(|error| error.to_string())
            };
            timeout(PATIENCE, exchange).await.expect("in time")
        })
    }

    /// The code with which the server ends the connection.
    pub(crate) fn closed(&self) -> u64 {
        let reason =
            self.runtime.block_on(async { timeout(PATIENCE, self.connection.closed()).await.expect("in time") });
        match reason {
            ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
            other => panic!("{other}"),
        }
    }

    /// Sends bytes on a unidirectional stream that stays open.
    pub(crate) fn begin_one_way(&self, bytes: &[u8]) {
        self.runtime.block_on(async {
            let mut send = self.connection.open_uni().await.expect("a stream");
            send.write_all(bytes).await.expect("they are taken");
            std::mem::forget(send); // dropping it would end the stream
        });
    }

    /// Sends each on a separate stream, ends the streams or leaves them open, and reads nothing. Returns the code with which the
    /// server ends the connection, if it does in time.
    pub(crate) fn stall(&self, messages: &[Vec<u8>], ends: bool, patience: Duration) -> Option<u64> {
        self.runtime.block_on(async {
            let mut streams = Vec::new();
            let sent = async {
                for bytes in messages {
                    let Ok((mut send, receive)) = self.connection.open_bi().await else { break };
                    let _ = send.write_all(bytes).await; // the server may have ended the connection
                    if ends {
                        let _ = send.finish();
                    }
                    streams.push((send, receive));
                }
                self.connection.closed().await
            };
            match timeout(patience, sent).await.ok()? {
                ConnectionError::ApplicationClosed(close) => Some(close.error_code.into_inner()),
                _ => None,
            }
        })
    }

    /// Sends a beginning, and then zeros while the server accepts them, at most `len_max` bytes. Returns the number sent.
    pub(crate) fn flood(&self, one_way: bool, beginning: &[u8], len_max: usize) -> usize {
        self.runtime.block_on(async {
            let (mut send, _receive) = match one_way {
                true => (self.connection.open_uni().await.expect("a stream"), None),
                false => {
                    self.connection.open_bi().await.map(|(send, receive)| (send, Some(receive))).expect("a stream")
                }
            };
            send.write_all(beginning).await.expect("it is taken");
            let (block, mut sent) = (vec![0; 1 << 16], 0);
            while sent < len_max {
                match timeout(PATIENCE, send.write_all(&block)).await {
                    Ok(Ok(())) => sent += block.len(),
                    _ => break,
                }
            }
            std::mem::forget(send);
            sent
        })
    }

    /// Sends HTTP/3 requests concurrently on one connection, and reads their responses.
    pub(crate) fn requests(&self, requests: Vec<Request<Bytes>>) -> Vec<Response<Vec<u8>>> {
        self.runtime.block_on(async {
            let connection = h3_quinn::Connection::new(self.connection.clone());
            let (mut driver, sender) = h3::client::new(connection).await.expect("HTTP/3");
            let driver = tokio::spawn(async move { poll_fn(|cx| driver.poll_close(cx)).await });
            let requests = requests.into_iter().map(|request| {
                let mut sender = sender.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let mut stream = sender.send_request(Request::from_parts(head, ())).await.expect("a request");
                    if !body.is_empty() {
                        let _ = stream.send_data(body).await; // the server may have ended the stream
                    }
                    let _ = stream.finish().await;
                    let response = stream.recv_response().await.expect("a response");
                    let mut bytes = Vec::new();
                    while let Some(mut part) = stream.recv_data().await.expect("a body") {
                        bytes.extend_from_slice(&part.copy_to_bytes(part.remaining()));
                    }
                    response.map(|()| bytes)
                }
            });
            let responses = timeout(PATIENCE, futures_util::future::join_all(requests)).await.expect("in time");
            drop(sender);
            driver.abort();
            responses
        })
    }
}
