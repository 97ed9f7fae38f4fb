//! Who may see the pages: those of some networks, and those who know a token.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use tokio_rustls::TlsAcceptor;

use super::Refusal;
use crate::source::poll::{self, Fingerprint};

/// What the kubelet asks, which knows no token; they tell nothing but that the server is there.
const OPEN_PATHS: [&str; 2] = ["/livez", "/readyz"];

/// The longest token that is read, in bytes: Kubernetes' own have some 1,000.
const TOKEN_LEN_MAX: usize = 16 * 1024;

/// Who may see the pages.
#[derive(Clone, Default)]
pub struct Access {
    /// Who may connect; anybody where none is named.
    pub allowed: Vec<IpNet>,
    /// Who connects as often as it likes.
    pub trusted: Vec<IpNet>,
    /// What has to be known.
    pub token: Option<Arc<Token>>,
    /// Under what the pages are encrypted.
    pub tls: Option<TlsAcceptor>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

impl Access {
    /// Whether an address may connect.
    pub(super) fn allows(&self, client: IpAddr) -> bool {
        self.allowed.is_empty() || contains(&self.allowed, client)
    }

    /// Whether an address is exempt from what holds for each client by itself.
    pub(super) fn trusts(&self, client: IpAddr) -> bool {
        contains(&self.trusted, client)
    }
}

fn contains(networks: &[IpNet], client: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&client))
}

/// A token, as its file has it now.
pub struct Token {
    file: PathBuf,
    seen: Fingerprint,
    current: ArcSwap<String>,
    keys: RandomState,
}

/// Never shows it.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the token in {}", self.file.display())
    }
}

/// Why there is no token; never with anything of what the file holds.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It holds none.
    #[error("{}: it must hold one token, up to {TOKEN_LEN_MAX} printable characters without a space", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

impl Token {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or holds no token.
    pub fn read(file: PathBuf) -> Result<Token, TokenError> {
        let seen = Fingerprint::of(std::slice::from_ref(&file)); // before it is read: what changes meanwhile is then seen
        let current = ArcSwap::from_pointee(read_token(&file)?);
        Ok(Token { file, seen, current, keys: RandomState::new() })
    }

    /// Reads it again whenever it changes, for as long as the process lives. What is bad leaves the old one in use.
    pub async fn keep(self: Arc<Self>) {
        let mut seen = self.seen.clone();
        loop {
            poll::changed(std::slice::from_ref(&self.file), &mut seen).await;
            match read_token(&self.file) {
                Ok(token) => {
                    self.current.store(Arc::new(token));
                    tracing::info!(file = %self.file.display(), "a new token is asked for");
                }
                Err(error) => tracing::error!("the token has changed, and the old one stays: {error}"),
            }
        }
    }

    /// Whether a request shows it. What is compared are keyed hashes, so that the time tells nothing of the token.
    fn is_shown(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|value| value.split_once(' ')).filter(|(way, _)| way.eq_ignore_ascii_case("bearer"));
        let token = self.current.load();
        shown.is_some_and(|(_, shown)| {
            let shown = shown.trim();
            self.keys.hash_one(shown) == self.keys.hash_one(token.as_str()) && shown == token.as_str()
        })
    }
}

/// Reads the token that a file holds, without the space around it.
///
/// # Errors
/// The file cannot be read, or holds no token.
pub fn read_token(file: &Path) -> Result<String, TokenError> {
    let text = fs::read_to_string(file).map_err(|source| TokenError::Unreadable { path: file.into(), source })?;
    let token = text.trim();
    let is_token = (1..=TOKEN_LEN_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_token.then(|| token.to_owned()).ok_or_else(|| TokenError::Malformed { path: file.into() })
}

/// What a request without the token is told, where one is asked for.
pub(super) fn refused<B>(access: &Access, request: &Request<B>) -> Option<Response> {
    let token = access.token.as_ref().filter(|_| !OPEN_PATHS.contains(&request.uri().path()))?;
    if token.is_shown(request.headers()) {
        return None;
    }
    let refusal = Refusal { status: StatusCode::UNAUTHORIZED, error: "send Authorization: Bearer TOKEN".into() };
    Some(([(header::WWW_AUTHENTICATE, "Bearer")], refusal).into_response())
}
