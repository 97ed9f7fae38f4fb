//! etcd and the API server as processes that a test may stop, kill and start again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use nix::sys::signal::Signal;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};

use super::process::{Process, free_port, http_get};

/// How long etcd and the API server may each take until they are ready: usually 5 s, and more while a compiler runs.
pub(crate) const START_PATIENCE: Duration = Duration::from_secs(60);

/// The administrator's token. It protects nothing: the API server is on loopback and has no real data.
pub(crate) const ADMIN_TOKEN: &str = "administrator";

/// A process that can be started again with the same arguments.
struct Lasting {
    program: PathBuf,
    args: Vec<String>,
    process: Mutex<Option<Process>>,
}

impl Lasting {
    fn start(program: PathBuf, args: Vec<String>) -> Lasting {
        let process = Mutex::new(Some(Process::start(&program, &args)));
        Lasting { program, args, process }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Process) -> T) -> T {
        work(self.process.lock().expect("no panic under the lock").as_mut().expect("it runs"))
    }

    fn kill(&self) {
        let killed = self.process.lock().expect("no panic under the lock").take();
        if let Some(mut process) = killed {
            process.signal(Signal::SIGKILL);
            assert!(process.ended(Duration::from_secs(10)).is_some(), "it does not end");
        }
    }

    fn start_again(&self) {
        *self.process.lock().expect("no panic under the lock") = Some(Process::start(&self.program, &self.args));
    }
}

/// A running etcd of one member.
pub(crate) struct Etcd {
    lasting: Lasting,
    data: PathBuf,
    pub(crate) url: String,
}

impl Etcd {
    /// Starts etcd with its data in a folder, and waits until it is healthy.
    pub(crate) fn start(bin: &Path, dir: &Path) -> Etcd {
        let [url, peer] = [free_port(), free_port()].map(|port| format!("http://127.0.0.1:{port}"));
        let data = dir.join("etcd");
        let args = vec![
            format!("--data-dir={}", data.display()),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            // No data has to survive a power cut.
            "--unsafe-no-fsync".into(),
            // 8 GiB, etcd's recommended maximum: etcd does not compact a suite's revisions in time.
            format!("--quota-backend-bytes={}", 8_u64 << 30),
            "--log-level=warn".into(),
        ];
        let etcd = Etcd { lasting: Lasting::start(bin.join("etcd"), args), data, url };
        etcd.wait_until_healthy();
        etcd
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.lasting.with(|process| process.signal(signal));
    }

    /// Ends it at once.
    pub(crate) fn kill(&self) {
        self.lasting.kill();
    }

    /// Starts it again after a kill.
    pub(crate) fn start_again(&self) {
        self.lasting.start_again();
        self.wait_until_healthy();
    }

    /// Copies the data for [`Etcd::restore`], while etcd is killed.
    pub(crate) fn back_up(&self) {
        copy(&self.data, &self.backup());
    }

    /// Replaces the data with the copy, while etcd is killed.
    pub(crate) fn restore(&self) {
        fs::remove_dir_all(&self.data).expect("remove etcd's data");
        copy(&self.backup(), &self.data);
    }

    fn backup(&self) -> PathBuf {
        self.data.with_extension("backup")
    }

    fn wait_until_healthy(&self) {
        let address = self.url.trim_start_matches("http://").parse().expect("an address");
        let is_healthy = || http_get(address, "/health").is_ok_and(|(status, _)| status == 200);
        self.lasting.with(|process| process.wait_until(START_PATIENCE, is_healthy));
    }
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("run cp");
    assert!(done.success(), "copy {}", from.display());
}

/// The authority of client certificates, made if the folder has none.
fn clients_authority(dir: &Path) -> PathBuf {
    let [file, key_file] = ["clients.crt", "clients.key"].map(|name| dir.join(name));
    if !file.exists() {
        let key = KeyPair::generate().expect("a key");
        fs::write(key_file, key.serialize_pem()).expect("write a key");
        fs::write(&file, clients().self_signed(&key).expect("an authority").pem()).expect("write a certificate");
    }
    file
}

fn clients() -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "the clients' authority");
    params
}

/// A client certificate of an administrator that expires in this year, and its key. `dir` is the API server's folder.
pub(crate) fn admin_certificate(dir: &Path, last_year: i32) -> [String; 2] {
    let key = fs::read_to_string(dir.join("clients.key")).expect("a key");
    let authority = Issuer::new(clients(), KeyPair::from_pem(&key).expect("a key"));
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.not_after = date_time_ymd(last_year, 1, 1);
    params.distinguished_name.push(DnType::CommonName, "admin");
    params.distinguished_name.push(DnType::OrganizationName, "system:masters");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    [params.signed_by(&key, &authority).expect("a certificate").pem(), key.serialize_pem()]
}

/// A running API server. Two with the same etcd and folder belong to one cluster: each accepts the other's tokens.
pub(crate) struct ApiServer {
    lasting: Lasting,
    pub(crate) port: u16,
}

impl ApiServer {
    /// Starts it with its certificate and keys in a folder. [`ApiServer::wait_until`] waits until it is ready.
    pub(crate) fn start(bin: &Path, dir: &Path, etcd: &Etcd) -> ApiServer {
        let port = free_port();
        let tokens = dir.join("tokens.csv");
        fs::write(&tokens, format!("{ADMIN_TOKEN},admin,admin,system:masters\n")).expect("write a token file");
        // The key of its certificate also signs the service accounts' tokens.
        let key = dir.join("apiserver.key");
        let args = vec![
            format!("--etcd-servers={}", etcd.url),
            "--bind-address=127.0.0.1".into(),
            // It advertises its address on the default route otherwise, and a machine without a network has none. It
            // refuses a loopback address. Nobody connects to this one (RFC 5737).
            "--advertise-address=192.0.2.1".into(),
            format!("--secure-port={port}"),
            format!("--cert-dir={}", dir.display()),
            format!("--token-auth-file={}", tokens.display()),
            format!("--client-ca-file={}", clients_authority(dir).display()),
            format!("--service-account-key-file={}", key.display()),
            format!("--service-account-signing-key-file={}", key.display()),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            "--authorization-mode=RBAC".into(),
            "--service-cluster-ip-range=10.96.0.0/12".into(),
            // With this plugin it would refuse all Pods, because no controller creates default service accounts.
            "--disable-admission-plugins=ServiceAccount".into(),
        ];
        ApiServer { lasting: Lasting::start(bin.join("kube-apiserver"), args), port }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.lasting.with(|process| process.signal(signal));
    }

    /// Ends it at once.
    pub(crate) fn kill(&self) {
        self.lasting.kill();
    }

    /// Starts it again after a kill, without waiting.
    pub(crate) fn start_again(&self) {
        self.lasting.start_again();
    }

    /// Waits until `ready` returns `Ok`.
    pub(crate) fn wait_until(&self, ready: impl FnMut() -> bool) {
        self.lasting.with(|process| process.wait_until(START_PATIENCE, ready));
    }
}
