//! The client certificate. A credential plugin or another process may replace it. New connections then show the new certificate, and
//! connections that showed the old one end.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, SignatureScheme};
use tokio::sync::watch;

use super::kubeconfig;

/// How long a certificate from a file is used before the file is read again.
const FILE_AGE: Duration = Duration::from_secs(60);

/// The current certificate and its private key.
#[derive(Clone)]
pub(super) struct ClientIdentity {
    current: watch::Sender<Option<Arc<CertifiedKey>>>,
    files: Option<Arc<Mutex<IdentityFiles>>>,
}

/// The files of a certificate and its key, which another process may renew.
struct IdentityFiles {
    certificate: PathBuf,
    key: PathBuf,
    /// The kubeconfig, the user and the key that name them, for logs.
    place: String,
    read: Instant,
    is_stale: bool,
}

/// Why a certificate cannot be used.
pub(super) enum UnusableCertificate {
    Certificate(&'static str),
    Key(&'static str),
}

impl ClientIdentity {
    /// Starts with this certificate. `None` if there is none yet.
    pub(super) fn new(pair: Option<CertifiedKey>) -> ClientIdentity {
        ClientIdentity { current: watch::Sender::new(pair.map(Arc::new)), files: None }
    }

    /// Starts with the certificate of two files, and reads the files again after [`FILE_AGE`].
    pub(super) fn of_files(pair: CertifiedKey, certificate: PathBuf, key: PathBuf, place: String) -> ClientIdentity {
        let files = IdentityFiles { certificate, key, place, read: Instant::now(), is_stale: false };
        ClientIdentity { files: Some(Arc::new(Mutex::new(files))), ..ClientIdentity::new(Some(pair)) }
    }

    /// Replaces the certificate. An equal one changes nothing.
    pub(super) fn replace(&self, pair: Option<CertifiedKey>) {
        self.current.send_if_modified(|current| {
            let is_same = current.as_ref().map(|current| &current.cert) == pair.as_ref().map(|pair| &pair.cert);
            if !is_same {
                *current = pair.map(Arc::new);
            }
            !is_same
        });
    }

    /// Reads the files again if that is due. If the files are unusable, the last certificate stays, as in kubectl.
    pub(super) fn refresh(&self) {
        let Some(files) = &self.files else { return };
        let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.is_stale || files.read.elapsed() >= FILE_AGE {
            match files.pair() {
                Ok(pair) => self.replace(Some(pair)),
                Err(reason) => tracing::warn!("{}: the last certificate stays in use: {reason}", files.place),
            }
            (files.read, files.is_stale) = (Instant::now(), false);
        }
    }

    /// Called if the API server refuses the certificate. The next request reads the files again.
    pub(super) fn refuse(&self) {
        if let Some(files) = &self.files {
            files.lock().unwrap_or_else(PoisonError::into_inner).is_stale = true;
        }
    }

    /// Returns when the certificate is replaced.
    pub(super) fn replaced(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut current = self.current.subscribe();
        async move {
            if current.changed().await.is_err() {
                std::future::pending().await // nothing can replace it any more
            }
        }
    }
}

impl IdentityFiles {
    fn pair(&self) -> Result<CertifiedKey, String> {
        let read = |path, kind| kubeconfig::read(path).map_err(|error| format!("the {kind}'s file: {error}"));
        let (certificate, key) = (read(&self.certificate, "certificate")?, read(&self.key, "key")?);
        pair(&certificate, &key)
            .map_err(|(UnusableCertificate::Certificate(reason) | UnusableCertificate::Key(reason))| reason.to_owned())
    }
}

/// Parses a certificate chain and its key, both in PEM. Skips other PEM sections, as Go does, so one file may contain both.
pub(super) fn pair(certificate: &[u8], key: &[u8]) -> Result<CertifiedKey, UnusableCertificate> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.map_err(|_| UnusableCertificate::Certificate("it is not in PEM"))?;
    if chain.is_empty() {
        return Err(UnusableCertificate::Certificate("it has no certificate in PEM"));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
        UnusableCertificate::Key("it has no private key in PEM (PKCS #8, PKCS #1 or SEC 1, not encrypted)")
    })?;
    let key = any_supported_type(&key).map_err(|_| {
        UnusableCertificate::Key("its kind of private key is unknown: use RSA, ECDSA (P-256, P-384) or Ed25519")
    })?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
        Err(Error::InconsistentKeys(_)) => Err(UnusableCertificate::Key("it is the key of another certificate")),
        Err(_) => Err(UnusableCertificate::Certificate("what it has in PEM is not a certificate of X.509")),
    }
}

impl ResolvesClientCert for ClientIdentity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.current.borrow().clone()
    }

    fn has_certs(&self) -> bool {
        self.current.borrow().is_some()
    }
}

/// Does not show the key.
impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity").finish_non_exhaustive()
    }
}
