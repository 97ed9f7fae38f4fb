//! What a request shows to an API server: a token, the token that a file or a program gives, or a name and a password.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use tokio::sync::Mutex;

use super::ClientError;
use super::kubeconfig::{Item, User};
use super::plugin::Plugin;
use super::proxy::basic;

/// How long the token of a file is good before the file is read again: the kubelet renews it long before it expires.
const TOKEN_FILE_AGE: Duration = Duration::from_secs(50);

/// The most bytes of a token file: an API server takes no larger headers.
const TOKEN_LEN_MAX: u64 = 1024 * 1024;

/// What shows who we are, beside a client certificate.
#[derive(Clone)]
pub(super) enum Credentials {
    None,
    /// Always the same.
    Fixed(HeaderValue),
    File(Arc<Mutex<TokenFile>>),
    Plugin(Arc<Mutex<Plugin>>),
}

impl Credentials {
    /// The credentials of a kubeconfig's user, in kubectl's order. A program is run later, by [`Plugin::start`].
    pub(super) fn of_user(user: &Item<User>) -> Result<Credentials, ClientError> {
        let User { username, password, token, token_file, .. } = &user.value;
        if !(username.is_empty() && password.is_empty()) {
            if !token.is_empty() {
                return Err(user.fault("token", "username and password are there too; keep one of the two ways"));
            }
            return Ok(Credentials::Fixed(basic(username, password)));
        }
        let fixed = match token.trim() {
            "" => None,
            token => Some(bearer(token).map_err(|reason| user.fault("token", reason))?),
        };
        match (token_file.as_str(), fixed) {
            ("", Some(fixed)) => return Ok(Credentials::Fixed(fixed)),
            ("", None) => {}
            (file, fixed) => {
                let file = TokenFile::of(user.path(file), fixed).map_err(|reason| user.fault("tokenFile", reason))?;
                return Ok(Credentials::File(Arc::new(Mutex::new(file))));
            }
        }
        if let Some(provider) = user.value.auth_provider.as_ref().filter(|_| user.value.exec.is_none()) {
            // kubectl has given up all others, and this one is a token that the kubeconfig holds.
            let token = provider.config.get("id-token").filter(|_| provider.name == "oidc");
            let token = token.map(|token| token.trim()).filter(|token| !token.is_empty()).ok_or_else(|| {
                let name = &provider.name;
                user.fault("auth-provider", format!("{name} is no longer supported; write an `exec` plugin instead"))
            })?;
            return Ok(Credentials::Fixed(
                bearer(token).map_err(|reason| user.fault("auth-provider.id-token", reason))?,
            ));
        }
        Ok(Credentials::None)
    }

    /// The token of a Pod's service account.
    pub(super) fn of_file(path: PathBuf) -> Result<Credentials, String> {
        Ok(Credentials::File(Arc::new(Mutex::new(TokenFile::of(path, None)?))))
    }

    /// The value of the header that a request shows.
    ///
    /// # Errors
    /// A program that gives no credentials.
    pub(super) async fn header(&self) -> Result<Option<HeaderValue>, ClientError> {
        match self {
            Credentials::None => Ok(None),
            Credentials::Fixed(header) => Ok(Some(header.clone())),
            Credentials::File(file) => Ok(Some(file.lock().await.header())),
            Credentials::Plugin(plugin) => plugin.lock().await.header().await,
        }
    }

    /// The API server does not take them: they are renewed for the next request.
    pub(super) async fn renew(&self) {
        match self {
            Credentials::None | Credentials::Fixed(_) => {}
            Credentials::File(file) => file.lock().await.is_stale = true,
            Credentials::Plugin(plugin) => plugin.lock().await.renew(),
        }
    }
}

/// A file with a token, which another program may renew.
pub(super) struct TokenFile {
    path: PathBuf,
    header: HeaderValue,
    read: Instant,
    is_stale: bool,
}

impl TokenFile {
    /// Reads it. Where it has no token yet, the first one is used.
    fn of(path: PathBuf, first: Option<HeaderValue>) -> Result<TokenFile, String> {
        let header = match (read(&path), first) {
            (Ok(header), _) | (Err(_), Some(header)) => header,
            (Err(reason), None) => return Err(reason),
        };
        Ok(TokenFile { path, header, read: Instant::now(), is_stale: false })
    }

    /// The token's header. A file that has become unreadable leaves the token that was read last, as in kubectl.
    fn header(&mut self) -> HeaderValue {
        if self.is_stale || self.read.elapsed() >= TOKEN_FILE_AGE {
            match read(&self.path) {
                Ok(header) => self.header = header,
                Err(reason) => tracing::warn!("the last token stays in use: {reason}"),
            }
            (self.read, self.is_stale) = (Instant::now(), false);
        }
        self.header.clone()
    }
}

/// Reads a token file, without the line's end and other space around the token.
fn read(path: &Path) -> Result<HeaderValue, String> {
    let wrong = |reason: String| format!("token file {}: {reason}", path.display());
    let mut text = String::new();
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    match file.take(TOKEN_LEN_MAX + 1).read_to_string(&mut text) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(wrong("it is not a text".into())),
        Err(error) => return Err(wrong(error.to_string())),
        Ok(_) if text.len() as u64 > TOKEN_LEN_MAX => return Err(wrong(format!("it has over {TOKEN_LEN_MAX} bytes"))),
        Ok(_) => {}
    }
    match text.trim() {
        "" => Err(wrong("it is empty".into())),
        token => bearer(token).map_err(|reason| wrong(reason.into())),
    }
}

/// The header of a token.
///
/// # Errors
/// The token has a character that no header may have.
pub(super) fn bearer(token: &str) -> Result<HeaderValue, &'static str> {
    let value = HeaderValue::try_from(format!("Bearer {token}"));
    let mut value = value.map_err(|_| "it has a line end or another character that no token has")?;
    value.set_sensitive(true);
    Ok(value)
}
