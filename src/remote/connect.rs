//! Connections to a server: plain or TLS, HTTP/1.1 for lists and HTTP/2 for streams.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::{RemoteError, ServerAddress};

/// The interval and the time limit of pings on a stream connection. A connection can die silently, and new streams
/// would be opened on it.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// A pooled HTTP client for one server.
#[derive(Clone, Debug)]
pub(super) struct PooledClient {
    client: Caller,
    /// HTTP/1.1, if the first client knows only HTTP/2: a proxy on the path may not.
    fallback: Option<Caller>,
    /// The last request failed over HTTP/2 and succeeded over HTTP/1.1.
    is_fallen_back: Arc<AtomicBool>,
}

type Caller = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

impl PooledClient {
    /// For sequential requests over HTTP/1.1. It connects when the first request is sent.
    pub fn of_lists(address: &ServerAddress) -> Result<PooledClient, RemoteError> {
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls(address)?).https_or_http().enable_http1().build();
        Ok(PooledClient::new(Client::builder(TokioExecutor::new()).build(connector), None))
    }

    /// For parallel streams on one HTTP/2 connection. TLS negotiates HTTP/2; without TLS the server is expected to
    /// know it.
    pub fn of_streams(address: &ServerAddress) -> Result<PooledClient, RemoteError> {
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls(address)?).https_or_http();
        let connector = connector.enable_http1().enable_http2().build();
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_INTERVAL);
        let any = builder.build(connector.clone());
        if address.url.starts_with("https:") {
            return Ok(PooledClient::new(any, None));
        }
        let http2 = builder.http2_only(true).build(connector);
        Ok(PooledClient::new(http2, Some(any)))
    }

    fn new(client: Caller, fallback: Option<Caller>) -> PooledClient {
        PooledClient { client, fallback, is_fallen_back: Arc::default() }
    }

    /// Tries HTTP/2 first again, because its failure may have been temporary.
    pub fn forget_fallback(&self) {
        self.is_fallen_back.store(false, Ordering::Relaxed);
    }

    pub async fn send(&self, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, legacy::Error> {
        let Some(fallback) = &self.fallback else { return self.client.request(request).await };
        if !self.is_fallen_back.load(Ordering::Relaxed) {
            match self.client.request(request.clone()).await {
                Err(error) if !error.is_connect() => {}
                answered => return answered,
            }
        }
        let answered = fallback.request(request).await;
        self.is_fallen_back.store(answered.is_ok(), Ordering::Relaxed);
        answered
    }
}

/// The TLS configuration: the authorities that the server's certificate must come from.
fn tls(address: &ServerAddress) -> Result<ClientConfig, RemoteError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("the provider has what the default versions need");
    let builder = match &address.authorities {
        Some(file) => builder.with_root_certificates(authorities(file)?),
        // Reading the system's authorities is slow, and only https needs them.
        None if address.url.starts_with("http:") => builder.with_root_certificates(RootCertStore::empty()),
        None => builder.with_native_roots().map_err(|error| {
            RemoteError::Authorities(format!("the system's: {error}; name the server's own with --server-ca FILE"))
        })?,
    };
    Ok(builder.with_no_client_auth())
}

fn authorities(file: &Path) -> Result<RootCertStore, RemoteError> {
    let bad = |reason: String| RemoteError::Authorities(format!("{}: {reason}", file.display()));
    let pem = std::fs::read(file).map_err(|error| bad(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let added = certificate.ok().and_then(|certificate| roots.add(certificate).ok());
        added.ok_or_else(|| bad("it has an entry that is not a certificate".into()))?;
    }
    if roots.is_empty() { Err(bad("it has no certificate in PEM".into())) } else { Ok(roots) }
}
