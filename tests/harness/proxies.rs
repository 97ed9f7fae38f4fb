//! Common proxies: tinyproxy for CONNECT, microsocks for SOCKS5, and TLS in front of tinyproxy.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use super::process::{Process, free_port, scratch};

/// The user name and the password of the proxies that require them.
pub(crate) const LOGIN: [&str; 2] = ["user", "hunter2"];

/// How long a proxy may take to listen.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// A running proxy. Dropping it stops it.
pub(crate) struct OtherProxy {
    process: Process,
    pub(crate) port: u16,
}

impl OtherProxy {
    /// Starts a proxy for HTTP's CONNECT.
    pub(crate) fn http(has_login: bool) -> OtherProxy {
        let (port, file) = (free_port(), scratch("tinyproxy").join("config"));
        let login = if has_login { format!("BasicAuth {} {}\n", LOGIN[0], LOGIN[1]) } else { String::new() };
        fs::write(&file, format!("Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nMaxClients 50\n{login}"))
            .expect("write a configuration");
        OtherProxy::start(port, "tinyproxy", &["-d", "-c", file.to_str().expect("a path of UTF-8")])
    }

    /// Starts a proxy for SOCKS5.
    pub(crate) fn socks(has_login: bool) -> OtherProxy {
        let port = free_port();
        let login = if has_login { vec!["-u", LOGIN[0], "-P", LOGIN[1]] } else { vec![] };
        OtherProxy::start(port, "microsocks", &[&["-i", "127.0.0.1", "-p", &port.to_string()], &*login].concat())
    }

    /// Starts TLS in front of another proxy, with a certificate and its key in one file.
    pub(crate) fn tls(before: &OtherProxy, certificate: &Path) -> OtherProxy {
        let (port, file) = (free_port(), scratch("haproxy").join("config"));
        let (certificate, target) = (certificate.display(), before.port);
        fs::write(
            &file,
            format!(
                "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
                 listen x\n bind 127.0.0.1:{port} ssl crt {certificate}\n server x 127.0.0.1:{target}\n"
            ),
        )
        .expect("write a configuration");
        OtherProxy::start(port, "haproxy", &["-db", "-f", file.to_str().expect("a path of UTF-8")])
    }

    fn start(port: u16, program: &str, args: &[&str]) -> OtherProxy {
        let mut process = Process::start(program, args);
        process.wait_until(START_PATIENCE, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        OtherProxy { process, port }
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }
}
