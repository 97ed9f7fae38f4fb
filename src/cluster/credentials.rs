//! The `Authorization` header of a request: a fixed token, the token of a file or of a credential plugin, or a name and a password.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use tokio::sync::Mutex;

use super::ClientError;
use super::kubeconfig::{ConfigEntry, User};
use super::plugin::Plugin;
use super::proxy::basic;

/// How long the token of a file is used before the file is read again. The kubelet renews it long before it expires.
const TOKEN_FILE_AGE: Duration = Duration::from_secs(50);

/// The most bytes of a token file: an API server takes no larger headers.
const TOKEN_LEN_MAX: u64 = 1024 * 1024;

/// The credentials of the client, besides a client certificate.
#[derive(Clone)]
pub(super) enum Credentials {
    None,
    /// A header that never changes.
    Fixed(HeaderValue),
    File(Arc<Mutex<TokenFile>>),
    Plugin(Plugin),
}

/// The credentials of one request.
pub(super) struct Authorization {
    pub header: Option<HeaderValue>,
    /// The number of the plugin run that gave it. 0 if no plugin did.
    pub run: u64,
}

impl Credentials {
    /// The credentials of a kubeconfig's user, in kubectl's order. Credential plugins run later, by [`Plugin::start`].
    pub(super) fn of_user(user: &ConfigEntry<User>) -> Result<Credentials, ClientError> {
        let User { username, password, token, token_file, .. } = &user.value;
        if !username.is_empty() {
            if !token_file.is_empty() {
                return Err(user.fault("tokenFile", "username is there too; keep one of the two ways"));
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
                let place = format!("{}: {}: tokenFile", user.file.display(), user.what);
                let file = TokenFile::of(user.path(file), place, fixed).map_err(|reason| {
                    let hint = "write a file's path here, and a token itself as `token`";
                    user.fault("tokenFile", format!("{reason}; {hint}"))
                })?;
                return Ok(Credentials::File(Arc::new(Mutex::new(file))));
            }
        }
        if let Some(provider) = &user.value.auth_provider {
            // kubectl no longer supports the other providers. This one is a token in the kubeconfig.
            let token = provider.config.get("id-token").filter(|_| provider.name == "oidc");
            let token = token.map(|token| token.trim()).filter(|token| !token.is_empty()).ok_or_else(|| {
                let reason = "only `oidc` with an `id-token` is still supported; write an `exec` plugin instead";
                user.fault("auth-provider", reason)
            })?;
            let header = bearer(token).map_err(|reason| user.fault("auth-provider.config.id-token", reason))?;
            return Ok(Credentials::Fixed(header));
        }
        Ok(Credentials::None)
    }

    /// The token of a Pod's service account.
    pub(super) fn of_file(path: PathBuf) -> Result<Credentials, String> {
        let place = format!("token file {}", path.display());
        let file = TokenFile::of(path, place.clone(), None).map_err(|reason| format!("{place}: {reason}"))?;
        Ok(Credentials::File(Arc::new(Mutex::new(file))))
    }

    /// The credentials for a request.
    ///
    /// # Errors
    /// The credential plugin gives no credentials.
    pub(super) async fn authorization(&self) -> Result<Authorization, ClientError> {
        let header = match self {
            Credentials::None => None,
            Credentials::Fixed(header) => Some(header.clone()),
            Credentials::File(file) => Some(file.lock().await.header()),
            Credentials::Plugin(plugin) => return plugin.authorization().await,
        };
        Ok(Authorization { header, run: 0 })
    }

    /// Called if the API server refuses the credentials of a request. The next request renews them.
    pub(super) async fn refuse(&self, shown: &Authorization) {
        match self {
            Credentials::None | Credentials::Fixed(_) => {}
            Credentials::File(file) => file.lock().await.is_stale = true,
            Credentials::Plugin(plugin) => plugin.refuse(shown),
        }
    }
}

/// A file with a token that another process may renew.
pub(super) struct TokenFile {
    path: PathBuf,
    /// The kubeconfig, the user and the key that name it, for logs.
    place: String,
    header: HeaderValue,
    read: Instant,
    is_stale: bool,
}

impl TokenFile {
    /// Reads the file. If it has no valid token yet, starts with `first`.
    fn of(path: PathBuf, place: String, first: Option<HeaderValue>) -> Result<TokenFile, String> {
        let header = match (read(&path), first) {
            (Ok(header), _) | (Err(_), Some(header)) => header,
            (Err(reason), None) => return Err(reason),
        };
        Ok(TokenFile { path, place, header, read: Instant::now(), is_stale: false })
    }

    /// The header with the token. If the file becomes unreadable, the last token stays, as in kubectl.
    fn header(&mut self) -> HeaderValue {
        if self.is_stale || self.read.elapsed() >= TOKEN_FILE_AGE {
            match read(&self.path) {
                Ok(header) => self.header = header,
                Err(reason) => tracing::warn!("{}: the last token stays in use: {reason}", self.place),
            }
            (self.read, self.is_stale) = (Instant::now(), false);
        }
        self.header.clone()
    }
}

/// Reads a token file, and trims white space around the token. No error contains the path, because the operator may have written the
/// token itself in its place.
fn read(path: &Path) -> Result<HeaderValue, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| format!("the file that it names cannot be read: {error}"))?;
    match file.take(TOKEN_LEN_MAX + 1).read_to_string(&mut text) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err("the file is not a text".into()),
        Err(error) => return Err(format!("the file that it names cannot be read: {error}")),
        Ok(_) if text.len() as u64 > TOKEN_LEN_MAX => return Err(format!("the file has over {TOKEN_LEN_MAX} bytes")),
        Ok(_) => {}
    }
    match text.trim() {
        "" => Err("the file is empty".into()),
        token => bearer(token).map_err(|reason| format!("the file's token: {reason}")),
    }
}

/// The `Authorization` header for a token.
///
/// # Errors
/// The token has a character that no header may have.
pub(super) fn bearer(token: &str) -> Result<HeaderValue, &'static str> {
    let value = HeaderValue::try_from(format!("Bearer {token}"));
    let mut value = value.map_err(|_| "it has a line end or another character that no token has")?;
    value.set_sensitive(true);
    Ok(value)
}
