//! Options of the encrypted transports: their addresses, and the certificate that they need.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::value::LISTEN_MAX;
use super::{ConfigError, EncryptedOptions, refused};
use crate::server::encrypted::certificate::CertificateFiles;

const TLS: &str = "--listen-tls";
const HTTPS: &str = "--listen-https";
const QUIC: &str = "--listen-quic";

/// The addresses with the files of certificate and key. `None` if no option asks for them.
pub(super) fn check(
    encrypted: EncryptedOptions,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    listen: &[SocketAddr],
    (http, http_tls): (SocketAddr, bool),
) -> Result<Option<(EncryptedOptions, CertificateFiles)>, ConfigError> {
    let EncryptedOptions { tls, https, quic } = &encrypted;
    let options = [(TLS, tls), (HTTPS, https), (QUIC, quic)];
    let first = options.iter().find(|(_, addresses)| !addresses.is_empty()).map(|(option, _)| *option);
    let first = first.or(http_tls.then_some("--http-tls"));
    let files = match (first, certificate, key) {
        (None, None, None) => return Ok(None),
        (None, ..) => {
            let message = format!(
                "it has no effect without {TLS}, {HTTPS}, {QUIC} or --http-tls; give one of them, or remove it"
            );
            return Err(refused("--tls-cert, --tls-key", message));
        }
        (Some(_), Some(certificate), Some(key)) => CertificateFiles { certificate, key },
        (Some(option), None, _) => return Err(refused(option, "it needs a certificate: give --tls-cert FILE")),
        (Some(option), _, None) => return Err(refused(option, "it needs the certificate's key: give --tls-key FILE")),
    };
    if let Some((option, addresses)) = options.iter().find(|(_, addresses)| addresses.len() > LISTEN_MAX) {
        return Err(refused(option, format!("{} addresses, at most {LISTEN_MAX}", addresses.len())));
    }
    let plain = listen.iter().map(|at| (*at, "--listen"));
    let all = |option, addresses: &'_ [SocketAddr]| addresses.iter().map(|at| (*at, option)).collect::<Vec<_>>();
    let over_tcp = plain.clone().chain([(http, "--http")]).chain(all(TLS, tls)).chain(all(HTTPS, https));
    let over_udp = plain.chain(all(HTTPS, https)).chain(all(QUIC, quic));
    check_distinct(over_tcp.collect())?;
    check_distinct(over_udp.collect())?;
    Ok(Some((encrypted, files)))
}

/// Refuses two sockets of one kind at one address. Port 0 never conflicts: the kernel chooses a free port.
fn check_distinct(sockets: Vec<(SocketAddr, &'static str)>) -> Result<(), ConfigError> {
    for (i, (at, option)) in sockets.iter().enumerate().filter(|(_, (at, _))| at.port() != 0) {
        if let Some((_, other)) = sockets.iter().take(i).find(|(other, _)| other == at) {
            let message = if option == other {
                format!("{at} is given twice")
            } else {
                format!("{at} is also an address of {other}; give one another port")
            };
            return Err(refused(option, message));
        }
    }
    Ok(())
}
