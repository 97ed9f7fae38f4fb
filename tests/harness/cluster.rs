//! A real cluster API: etcd and kube-apiserver, with `deploy/` applied to it, and no kubelet, scheduler or controller.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use tokio::runtime::Runtime;

use super::process::{Process, free_port, output, scratch};
use super::proxy::Proxy;

/// The namespace of `deploy/`.
pub(crate) const OWN_NAMESPACE: &str = "callsign-system";

/// How long etcd and the API server may take until they are ready, each: 5 s here, more beside a compiler.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// A loopback API server's administrator: no secret, since nothing is behind it.
const ADMIN_TOKEN: &str = "administrator";

/// A running cluster API; dropping it stops it.
pub(crate) struct Cluster {
    runtime: Runtime,
    admin: Client,
    dir: PathBuf,
    kubectl: PathBuf,
    admin_kubeconfig: PathBuf,
    kubeconfig: PathBuf,
    token: String,
    port: u16,
    _api_server: Process,
    _etcd: Process,
}

impl Cluster {
    /// The cluster of this test process, started by the first test that asks for it.
    pub(crate) fn shared() -> &'static Cluster {
        static SHARED: LazyLock<Cluster> = LazyLock::new(Cluster::start);
        &SHARED
    }

    /// Starts etcd and the API server and applies `deploy/`.
    fn start() -> Cluster {
        let (bin, dir) = (binaries(), scratch("cluster"));
        let kubectl = bin.join("kubectl");
        let (etcd, etcd_url) = start_etcd(&bin, &dir);
        let port = free_port();
        let mut api_server = start_api_server(&bin, &dir, &etcd_url, port);

        let admin_kubeconfig = write_kubeconfig(&dir, "admin", port, ADMIN_TOKEN);
        let runtime = Runtime::new().expect("start a runtime");
        let certificate = dir.join("apiserver.crt");
        api_server.wait_until(START_PATIENCE, || certificate.exists());
        let admin = runtime.block_on(client(&admin_kubeconfig));
        api_server.wait_until(START_PATIENCE, || runtime.block_on(is_ready(&admin)));

        let as_admin = format!("--kubeconfig={}", admin_kubeconfig.display());
        let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
        output(&kubectl, [&as_admin, "apply", "--warnings-as-errors", "-k", deploy]);
        let token =
            output(&kubectl, [&as_admin, "-n", OWN_NAMESPACE, "create", "token", "callsign", "--duration", "24h"]);
        let kubeconfig = write_kubeconfig(&dir, "callsign", port, token.trim());
        Cluster {
            runtime,
            admin,
            dir,
            kubectl,
            admin_kubeconfig,
            kubeconfig,
            token,
            port,
            _api_server: api_server,
            _etcd: etcd,
        }
    }

    /// A kubeconfig of callsign's own service account: what `deploy/` grants, and no more.
    pub(crate) fn kubeconfig(&self) -> &str {
        self.kubeconfig.to_str().expect("a path of UTF-8")
    }

    /// The same with another port in it, at which the API server is not.
    pub(crate) fn kubeconfig_to(&self, port: u16) -> String {
        let path = write_kubeconfig(&self.dir, &format!("callsign-{port}"), port, self.token.trim());
        path.to_str().expect("a path of UTF-8").to_owned()
    }

    /// The administrator's kubeconfig.
    pub(crate) fn admin_kubeconfig(&self) -> &str {
        self.admin_kubeconfig.to_str().expect("a path of UTF-8")
    }

    /// The same with another port in it: the one of a [`Proxy`], while that is there.
    pub(crate) fn admin_kubeconfig_to(&self, port: u16) -> String {
        let path = write_kubeconfig(&self.dir, &format!("admin-{port}"), port, ADMIN_TOKEN);
        path.to_str().expect("a path of UTF-8").to_owned()
    }

    /// The kubeconfig of a service account, with a token that is bound to no Pod.
    #[track_caller]
    pub(crate) fn kubeconfig_of(&self, namespace: &str, account: &str) -> String {
        let token = self.kubectl(&["-n", namespace, "create", "token", account]);
        self.kubeconfig_with(&format!("{namespace}-{account}"), &token)
    }

    /// A kubeconfig with this token, of a name that no other one has.
    pub(crate) fn kubeconfig_with(&self, name: &str, token: &str) -> String {
        let path = write_kubeconfig(&self.dir, name, self.port, token.trim());
        path.to_str().expect("a path of UTF-8").to_owned()
    }

    /// The API server at another port as well, until the proxy is dropped.
    pub(crate) fn proxy(&self, port: u16) -> Proxy {
        Proxy::start(port, self.port)
    }

    /// A client with the rights of callsign's service account.
    pub(crate) fn own_client(&self) -> Client {
        self.block_on(client(&self.kubeconfig))
    }

    /// A client that may do everything.
    pub(crate) fn admin(&self) -> Client {
        self.admin.clone()
    }

    /// Runs kubectl as administrator to its end: its standard output.
    #[track_caller]
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        let as_admin = format!("--kubeconfig={}", self.admin_kubeconfig.display());
        output(&self.kubectl, [as_admin.as_str()].iter().chain(args))
    }

    /// Starts what goes on beside the test.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// Waits for what a client does.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

/// The folder with etcd, kube-apiserver, kubectl and coredns: `CALLSIGN_TEST_BIN`, or where `tests/cluster/build` puts
/// them.
pub(crate) fn binaries() -> PathBuf {
    static BINARIES: LazyLock<PathBuf> = LazyLock::new(|| match std::env::var_os("CALLSIGN_TEST_BIN") {
        Some(dir) => dir.into(),
        None => {
            let built = output(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/build"), [""; 0]);
            built.lines().last().expect("the build names its folder").into()
        }
    });
    BINARIES.clone()
}

fn start_etcd(bin: &Path, dir: &Path) -> (Process, String) {
    let [client, peer] = [free_port(), free_port()].map(|port| format!("http://127.0.0.1:{port}"));
    let mut etcd = Process::start(
        bin.join("etcd"),
        [
            format!("--data-dir={}", dir.join("etcd").display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            // Nothing here has to survive a power cut.
            "--unsafe-no-fsync".into(),
            // 8 GiB, etcd's own recommended maximum: a suite's revisions are never compacted away in time.
            format!("--quota-backend-bytes={}", 8_u64 << 30),
            "--log-level=warn".into(),
        ],
    );
    etcd.wait_until(START_PATIENCE, || {
        let address = client.trim_start_matches("http://").parse().expect("an address");
        super::process::http_get(address, "/health").is_ok_and(|(status, _)| status == 200)
    });
    (etcd, client)
}

fn start_api_server(bin: &Path, dir: &Path, etcd_url: &str, port: u16) -> Process {
    let tokens = dir.join("tokens.csv");
    fs::write(&tokens, format!("{ADMIN_TOKEN},admin,admin,system:masters\n")).expect("write a token file");
    // The key that it makes for its own certificate signs the service accounts' tokens as well.
    let key = dir.join("apiserver.key");
    Process::start(
        bin.join("kube-apiserver"),
        [
            format!("--etcd-servers={etcd_url}"),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={port}"),
            format!("--cert-dir={}", dir.display()),
            format!("--token-auth-file={}", tokens.display()),
            format!("--service-account-key-file={}", key.display()),
            format!("--service-account-signing-key-file={}", key.display()),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            "--authorization-mode=RBAC".into(),
            "--service-cluster-ip-range=10.96.0.0/12".into(),
            // It would refuse every Pod of a namespace without a default service account, and no controller makes one.
            "--disable-admission-plugins=ServiceAccount".into(),
        ],
    )
}

fn write_kubeconfig(dir: &Path, user: &str, port: u16, token: &str) -> PathBuf {
    let path = dir.join(format!("{user}.kubeconfig"));
    let certificate = dir.join("apiserver.crt");
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": user } }],
        "clusters": [{ "name": "test", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": certificate,
        } }],
        "users": [{ "name": user, "user": { "token": token } }],
    });
    fs::write(&path, config.to_string()).expect("write a kubeconfig");
    path
}

async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("read a kubeconfig");
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("use a kubeconfig");
    Client::try_from(config).expect("make a client")
}

async fn is_ready(client: &Client) -> bool {
    let request = http::Request::get("/readyz").body(Vec::new()).expect("a request");
    client.request_text(request).await.is_ok()
}
