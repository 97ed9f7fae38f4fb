//! Access to the HTTP side: by network and by token.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use tokio_rustls::TlsAcceptor;

use super::ApiError;
use crate::poll::{self, Fingerprint};
use crate::server::clients::permits::PREFIX6;
use crate::token::{self, TokenError};

/// The kubelet requests these without a token. They reveal only whether the server is live and ready.
const OPEN_PATHS: [&str; 2] = ["/livez", "/readyz"];

/// Which clients may connect, and the token that they need.
#[derive(Clone)]
pub struct Access {
    /// The networks that may connect. Empty: all networks.
    pub allowed: Vec<IpNet>,
    /// The networks that are exempt from the limits per client.
    pub trusted: Vec<IpNet>,
    /// The number of leading bits of an IPv6 address that identify a client.
    pub prefix6: u8,
    /// The token that requests need.
    pub token: Option<Arc<BearerToken>>,
    /// The TLS configuration. `None`: plain HTTP.
    pub tls: Option<TlsAcceptor>,
}

impl Default for Access {
    fn default() -> Access {
        Access { allowed: Vec::new(), trusted: Vec::new(), prefix6: PREFIX6, token: None, tls: None }
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

impl Access {
    pub(super) fn allows(&self, client: IpAddr) -> bool {
        self.allowed.is_empty() || contains(&self.allowed, client)
    }

    /// Whether an address is exempt from the limits per client.
    pub(super) fn trusts(&self, client: IpAddr) -> bool {
        contains(&self.trusted, client)
    }
}

fn contains(networks: &[IpNet], client: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&client))
}

/// A token that follows its file.
pub struct BearerToken {
    file: PathBuf,
    seen: Fingerprint,
    current: ArcSwap<String>,
    keys: RandomState,
}

/// Never shows the token.
impl std::fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the token in {}", self.file.display())
    }
}

impl BearerToken {
    /// Reads the token from its file.
    ///
    /// # Errors
    /// The file cannot be read, or its content is not a token.
    pub fn read(file: PathBuf) -> Result<BearerToken, TokenError> {
        let seen = Fingerprint::of(std::slice::from_ref(&file)); // first, so that a change during the read is noticed
        let current = ArcSwap::from_pointee(token::read(&file)?);
        Ok(BearerToken { file, seen, current, keys: RandomState::new() })
    }

    /// Reloads the file whenever it changes, as long as the process lives. A bad file leaves the old token in use.
    pub async fn reload_on_change(self: Arc<Self>) {
        let mut seen = self.seen.clone();
        loop {
            poll::changed(std::slice::from_ref(&self.file), &mut seen).await;
            match token::read(&self.file) {
                Ok(token) => {
                    self.current.store(Arc::new(token));
                    tracing::info!(file = %self.file.display(), "the token has changed, and the new one is required");
                }
                Err(error) => tracing::error!("the token file has changed, and the old token stays: {error}"),
            }
        }
    }

    /// Whether a request has the token. It compares keyed hashes first, so that the time reveals nothing about the
    /// token.
    fn is_shown(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|value| value.split_once(' ')).filter(|(way, _)| way.eq_ignore_ascii_case("bearer"));
        let required = self.current.load();
        shown.is_some_and(|(_, shown)| {
            let shown = shown.trim();
            self.keys.hash_one(shown) == self.keys.hash_one(required.as_str()) && shown == required.as_str()
        })
    }
}

/// The refusal of a request that needs a token and does not have it.
pub(super) fn refused<B>(access: &Access, request: &Request<B>) -> Option<Response> {
    let required = access.token.as_ref().filter(|_| !OPEN_PATHS.contains(&request.uri().path()))?;
    if required.is_shown(request.headers()) {
        return None;
    }
    let refusal = ApiError { status: StatusCode::UNAUTHORIZED, error: "send Authorization: Bearer TOKEN".into() };
    Some(([(header::WWW_AUTHENTICATE, "Bearer")], refusal).into_response())
}
