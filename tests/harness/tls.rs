//! A certificate authority, certificate files that change like cert-manager's, and TLS clients.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::process::scratch;

/// The host name in the certificates.
pub(crate) const SERVER_NAME: &str = "dns.test";

/// How long a test waits for an expected event.
const PATIENCE: Duration = Duration::from_secs(10);

/// An authority that clients trust.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// The file of its certificate.
    pub(crate) file: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the tests' authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let file = scratch("authority").join("ca.crt");
        fs::write(&file, issuer.pem()).expect("write a certificate");
        Authority { issuer, file }
    }

    /// A new certificate and its key in PEM, and the certificate in DER.
    pub(crate) fn issue(&self) -> (String, String, CertificateDer<'static>) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([SERVER_NAME, "127.0.0.1"].map(str::to_owned)).expect("names");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem(), certificate.der().clone())
    }

    /// A TLS client that trusts only this authority and offers this protocol, if any.
    pub(crate) fn client(&self, protocol: &[u8]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = builder.expect("versions").with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = (!protocol.is_empty()).then(|| protocol.to_vec()).into_iter().collect();
        config
    }

    /// A TLS connection after its handshake.
    #[track_caller]
    pub(crate) fn connect(&self, server: SocketAddr) -> Tls {
        self.try_connect(server).expect("a TLS connection")
    }

    /// The same, if the handshake may fail.
    pub(crate) fn try_connect(&self, server: SocketAddr) -> io::Result<Tls> {
        let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
        let client = ClientConnection::new(Arc::new(self.client(b"")), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(client, stream);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Tls(stream))
    }
}

/// A TLS connection to a server.
pub(crate) struct Tls(StreamOwned<ClientConnection, TcpStream>);

impl Tls {
    /// The certificate that the server has shown.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        let chain = self.0.conn.peer_certificates().expect("a chain");
        chain.first().expect("a certificate").clone().into_owned()
    }
}

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A folder with `tls.crt` and `tls.key` as the kubelet mounts them: links through a common link, which switches both.
pub(crate) struct Mounted {
    folder: PathBuf,
    turns: usize,
}

impl Mounted {
    pub(crate) fn new(certificate: &str, key: &str) -> Mounted {
        let mut mounted = Mounted { folder: scratch("mounted"), turns: 0 };
        mounted.turn(certificate, key);
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), mounted.folder.join(name)).expect("a link");
        }
        mounted
    }

    /// Replaces both files at once.
    pub(crate) fn turn(&mut self, certificate: &str, key: &str) {
        self.turns += 1;
        let target = format!("..{}", self.turns);
        let folder = self.folder.join(&target);
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("tls.crt"), certificate).expect("write");
        fs::write(folder.join("tls.key"), key).expect("write");
        let new = self.folder.join("..data_tmp");
        symlink(target, &new).expect("a link");
        fs::rename(new, self.folder.join("..data")).expect("turn a link");
    }

    /// The path of one of the files.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.join(name).to_str().expect("a plain path").to_owned()
    }
}
