//! An API server over TLS. It records each request, with its certificate and its connection.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Makes the certificates of both sides.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate of an authority, and its key.
pub(super) struct Issued {
    pub certificate: String,
    pub key: String,
    pub der: CertificateDer<'static>,
}

impl Authority {
    pub(super) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority"))
    }

    pub(super) fn issue(&self) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Issued { certificate: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone() }
    }

    /// A kubeconfig's cluster, at this address.
    pub(super) fn cluster(&self, address: &str) -> String {
        let data = STANDARD.encode(self.0.pem());
        format!("{{server: 'https://{address}', certificate-authority-data: {data}}}")
    }
}

/// A received request.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub head: String,
    pub certificate: Option<CertificateDer<'static>>,
    /// The connection's number.
    pub connection: usize,
}

/// How the server answers a request.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    Status(u16),
    /// With a body that does not end.
    Endless,
}

/// The server. It ends with the test.
pub(super) struct Server {
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// The numbers of the connections that the client has closed.
    pub ended: Arc<Mutex<Vec<usize>>>,
}

impl Server {
    /// Starts to serve. It always requests a client certificate, and refuses a client without one if `is_demanded`.
    pub(super) async fn start(
        authority: &Authority,
        is_demanded: bool,
        answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let acceptor = TlsAcceptor::from(Arc::new(tls(authority, is_demanded)));
        let server = Server { address, seen: Arc::default(), ended: Arc::default() };
        let (kept, ends, answer) = (server.seen.clone(), server.ended.clone(), Arc::new(answer));
        tokio::spawn(async move {
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (acceptor, kept, ends, answer) = (acceptor.clone(), kept.clone(), ends.clone(), answer.clone());
                tokio::spawn(async move {
                    serve(acceptor, stream, connection, &kept, &*answer).await;
                    ends.lock().expect("the ends").push(connection);
                });
            }
        });
        server
    }

    /// All received requests.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("the requests").clone()
    }

    pub(super) fn last(&self) -> Seen {
        self.seen().pop().expect("a request")
    }
}

fn tls(authority: &Authority, is_demanded: bool) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let verifier = if is_demanded { verifier } else { verifier.allow_unauthenticated() };
    let issued = authority.issue();
    let key = PrivateKeyDer::try_from(KeyPair::from_pem(&issued.key).expect("a key").serialize_der()).expect("a key");
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("versions").with_client_cert_verifier(verifier.build().expect("a verifier"));
    builder.with_single_cert(vec![issued.der], key).expect("a server")
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    connection: usize,
    seen: &Mutex<Vec<Seen>>,
    answer: &(impl Fn(&Seen) -> Answer + Send + Sync),
) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let certificate = stream.get_ref().1.peer_certificates().map(|chain| chain[0].clone().into_owned());
    let mut head = Vec::new();
    loop {
        let Ok(byte @ 0..=255) = stream.read_u8().await else { return };
        head.push(byte);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let head = String::from_utf8(std::mem::take(&mut head)).expect("text");
        let request = Seen { head, certificate: certificate.clone(), connection };
        let mut text = String::new();
        match answer(&request) {
            Answer::Status(code) => write!(text, "HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n"),
            Answer::Endless => write!(text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"),
        }
        .expect("a text");
        seen.lock().expect("the requests").push(request);
        if stream.write_all(text.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}
