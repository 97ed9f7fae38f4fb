//! DNS over TLS (RFC 7858), over HTTP/2 and HTTP/3 (RFC 8484), and over QUIC (RFC 9250).
//!
//! The replies are hickory's (`server::hickory`), the accept loops are ours: those of hickory-server 0.26 bound no
//! connections, take one QUIC handshake at a time, end a QUIC connection after 100 queries, parse before we can look,
//! and know neither HTTP's errors nor its caches.

pub mod certificate;
mod doq;
mod http;
pub mod http2;
mod http3;
pub mod quic;
mod room;
pub mod tls;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;

use certificate::Certificate;
use tokio_rustls::TlsAcceptor;

/// The most queries of one HTTP or QUIC connection that are answered at once; more wait at the client. RFC 9113 §6.5.2
/// and RFC 9114 §6.1 ask for at least 100.
const STREAMS_MAX: u32 = 100;

/// The most bytes of an HTTP request's head: no name needs a URL of more than 400.
const HEAD_LEN_MAX: u32 = 16 * 1024;

/// What a connection may send us that we have not read: four of the longest messages.
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// TLS for HTTP/2 and HTTP/1.1.
///
/// # Errors
/// It cannot be set up at all.
pub fn https_acceptor(certificate: Arc<Certificate>) -> Result<TlsAcceptor, rustls::Error> {
    server_config(certificate, &[b"h2", b"http/1.1"]).map(|config| TlsAcceptor::from(Arc::new(config)))
}

/// TLS with a certificate that changes, for clients that name one of these protocols within it, or none (RFC 7301).
///
/// # Errors
/// None that can be told ahead: rustls says that its own versions do not fit its own cryptography.
fn server_config(certificate: Arc<Certificate>, protocols: &[&[u8]]) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}
