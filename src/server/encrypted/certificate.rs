//! The server's certificate and key, read again when their files change.
//!
//! cert-manager and the kubelet change both at once by turning a link. What is read between two turns does not fit
//! together: it is refused like any other bad pair, and the next look reads the new one.

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

use crate::metrics::Metrics;
use crate::source::poll::{self, Fingerprint};

/// The longest file that is read, in bytes: a chain has a few certificates of some 2 KiB.
const FILE_LEN_MAX: u64 = 1 << 20;

/// A certificate chain and its key, as their files have them now.
#[derive(Debug)]
pub struct Certificate {
    files: Files,
    seen: Fingerprint,
    current: ArcSwap<CertifiedKey>,
}

/// Where they are, both in PEM (RFC 7468).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate, and those between it and its root behind it (`tls.crt`).
    pub certificate: PathBuf,
    /// Its private key (`tls.key`).
    pub key: PathBuf,
}

/// Why they are not served; never with anything of what the key's file holds.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is too long.
    #[error("{}: it has more than {FILE_LEN_MAX} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// There is no certificate in it.
    #[error("{}: it holds no certificate in PEM (BEGIN CERTIFICATE)", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// There is no private key in it, or more than one, or of a kind that cannot sign.
    #[error("{}: it holds no private key in PEM that can be used (RSA, ECDSA or Ed25519, not encrypted)", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The certificate cannot be read, or is another key's.
    #[error("{}: it is no certificate of the key in {}", certificate.display(), key.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's.
        key: PathBuf,
    },
}

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// They cannot be served.
    pub fn read(files: Files) -> Result<Certificate, CertificateError> {
        let seen = Fingerprint::of(&files.paths()); // before they are read: what changes meanwhile is then seen
        let current = ArcSwap::from_pointee(files.read()?);
        Ok(Certificate { files, seen, current })
    }

    /// Reads them again whenever they change, for as long as the process lives. What is bad leaves the old pair in
    /// service; connections that are open keep theirs.
    pub async fn keep(self: Arc<Self>, metrics: Arc<Metrics>) {
        let (paths, mut seen) = (self.files.paths(), self.seen.clone());
        loop {
            poll::changed(&paths, &mut seen).await;
            let read = self.files.read();
            metrics.certificate_read(read.is_ok());
            match read {
                Ok(pair) => {
                    self.current.store(Arc::new(pair));
                    tracing::info!(file = %self.files.certificate.display(), "a new certificate is served");
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

impl Files {
    fn paths(&self) -> [PathBuf; 2] {
        [self.certificate.clone(), self.key.clone()]
    }

    fn read(&self) -> Result<CertifiedKey, CertificateError> {
        let Files { certificate, key } = self;
        let pem = read_file(certificate)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| CertificateError::NoCertificate { path: certificate.clone() })?;
        let signing_key = PrivateKeyDer::from_pem_slice(&read_file(key)?).ok();
        let signing_key = signing_key.and_then(|key| ring::default_provider().key_provider.load_private_key(key).ok());
        let signing_key = signing_key.ok_or_else(|| CertificateError::NoKey { path: key.clone() })?;
        let pair = CertifiedKey::new(chain, signing_key);
        match pair.keys_match() {
            // A kind of key that does not tell its public half may yet be the one.
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
