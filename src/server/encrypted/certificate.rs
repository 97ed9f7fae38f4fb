//! The server's certificate and key, reloaded when their files change.
//!
//! cert-manager and the kubelet replace both at once by replacing a link. A read during that may get a pair that does
//! not match. It is refused like any other bad pair, and the next poll reads the new pair.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::InconsistentKeys;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::poll::{self, Fingerprint};
use crate::server::ServerCounters;

/// The longest file, in bytes. A chain has a few certificates of some 2 KiB each.
const FILE_LEN_MAX: u64 = 1 << 20;

/// A certificate chain and its key that follow their files.
#[derive(Debug)]
pub struct Certificate {
    files: CertificateFiles,
    seen: Fingerprint,
    current: ArcSwap<CertifiedKey>,
}

/// The files of certificate and key, both in PEM (RFC 7468).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, followed by its intermediates (`tls.crt`).
    pub certificate: PathBuf,
    /// The private key (`tls.key`).
    pub key: PathBuf,
}

/// Why a pair is not served. It never shows the content of the key's file.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Reading a file failed.
    #[error("{}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A file is too long.
    #[error("{}: it has more than {FILE_LEN_MAX} bytes", path.display())]
    TooLong { path: PathBuf },
    /// The file has no certificate.
    #[error("{}: it has no certificate in PEM (BEGIN CERTIFICATE)", path.display())]
    NoCertificate { path: PathBuf },
    /// The file has no private key, more than one, or one that cannot sign.
    #[error("{}: it has no usable private key in PEM (RSA, ECDSA or Ed25519, not encrypted)", path.display())]
    NoKey { path: PathBuf },
    /// The certificate cannot be parsed, or belongs to another key.
    #[error("{}: it is not a certificate for the key in {}", certificate.display(), key.display())]
    Mismatch { certificate: PathBuf, key: PathBuf },
}

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// The pair cannot be served.
    pub fn read(files: CertificateFiles) -> Result<Certificate, CertificateError> {
        let seen = Fingerprint::of(&files.paths()); // first, so that a change during the read is noticed
        let current = ArcSwap::from_pointee(files.read()?);
        Ok(Certificate { files, seen, current })
    }

    /// Reloads both files whenever they change, as long as the process lives. A bad pair leaves the old one in use.
    /// Open connections keep the pair that they began with.
    pub async fn reload_on_change(self: Arc<Self>, counters: Arc<ServerCounters>) {
        let (paths, mut seen) = (self.files.paths(), self.seen.clone());
        loop {
            poll::changed(&paths, &mut seen).await;
            let read = self.files.read();
            counters.certificate_read(read.is_ok());
            match read {
                Ok(pair) => {
                    self.current.store(Arc::new(pair));
                    tracing::info!(file = %self.files.certificate.display(), "the certificate has changed, and the new one is served");
                }
                Err(error) => tracing::error!("the certificate has changed, and the old one stays: {error}"),
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl CertificateFiles {
    fn paths(&self) -> [PathBuf; 2] {
        [self.certificate.clone(), self.key.clone()]
    }

    fn read(&self) -> Result<CertifiedKey, CertificateError> {
        let CertificateFiles { certificate, key } = self;
        let pem = read_file(certificate)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| CertificateError::NoCertificate { path: certificate.clone() })?;
        let signing_key = PrivateKeyDer::from_pem_slice(&read_file(key)?).ok();
        let signing_key = signing_key.and_then(|key| ring::default_provider().key_provider.load_private_key(key).ok());
        let signing_key = signing_key.ok_or_else(|| CertificateError::NoKey { path: key.clone() })?;
        let pair = CertifiedKey::new(chain, signing_key);
        match pair.keys_match() {
            // Some kinds of keys do not expose their public half; they may match.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
            Err(_) => Err(CertificateError::Mismatch { certificate: certificate.clone(), key: key.clone() }),
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let unreadable = |source| CertificateError::Unreadable { path: path.into(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_LEN_MAX {
        return Err(CertificateError::TooLong { path: path.into() });
    }
    Ok(bytes)
}
