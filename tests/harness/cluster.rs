//! A real cluster API: etcd and kube-apiserver, with `deploy/` applied to it, and no kubelet, scheduler or controller.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::control_plane::{ADMIN_TOKEN, ApiServer, Etcd};
use super::process::{built, output, scratch};
use super::proxy::Proxy;

/// The namespace of `deploy/`.
pub(crate) const OWN_NAMESPACE: &str = "callsign-system";

/// A running cluster API. Dropping it stops it.
pub(crate) struct Cluster {
    runtime: Runtime,
    admin: Client,
    dir: PathBuf,
    kubectl: PathBuf,
    admin_kubeconfig: PathBuf,
    kubeconfig: PathBuf,
    token: String,
    pub(crate) api_server: ApiServer,
    pub(crate) etcd: Etcd,
}

impl Cluster {
    /// The cluster of this test process. The first test that calls this starts it.
    pub(crate) fn shared() -> &'static Cluster {
        static SHARED: LazyLock<Cluster> = LazyLock::new(Cluster::start);
        &SHARED
    }

    /// A separate cluster, for a test that damages it. Its processes run until they are killed.
    pub(crate) fn own() -> &'static Cluster {
        Box::leak(Box::new(Cluster::start()))
    }

    /// Starts etcd and the API server and applies `deploy/`.
    fn start() -> Cluster {
        let (bin, dir) = (binaries(), scratch("cluster"));
        let kubectl = bin.join("kubectl");
        let etcd = Etcd::start(&bin, &dir);
        let api_server = ApiServer::start(&bin, &dir, &etcd);

        let admin_kubeconfig = write_kubeconfig(&dir, "admin", api_server.port, ADMIN_TOKEN);
        let runtime = Runtime::new().expect("start a runtime");
        let certificate = dir.join("apiserver.crt");
        api_server.wait_until(|| certificate.exists());
        let admin = runtime.block_on(client(&admin_kubeconfig));
        api_server.wait_until(|| runtime.block_on(is_ready(&admin)));

        let as_admin = format!("--kubeconfig={}", admin_kubeconfig.display());
        let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
        output(&kubectl, [&as_admin, "apply", "--server-side", "--warnings-as-errors", "-k", deploy]);
        let token =
            output(&kubectl, [&as_admin, "-n", OWN_NAMESPACE, "create", "token", "callsign", "--duration", "24h"]);
        let kubeconfig = write_kubeconfig(&dir, "callsign", api_server.port, token.trim());
        Cluster { runtime, admin, dir, kubectl, admin_kubeconfig, kubeconfig, token, api_server, etcd }
    }

    /// One more API server of the same cluster, ready.
    pub(crate) fn another_api_server(&self) -> ApiServer {
        let server = ApiServer::start(&binaries(), &self.dir, &self.etcd);
        self.wait_until_ready(&server);
        server
    }

    /// Waits until one of the cluster's API servers is ready.
    pub(crate) fn wait_until_ready(&self, server: &ApiServer) {
        let admin = self.block_on(client(Path::new(&self.admin_kubeconfig_to(server.port))));
        server.wait_until(|| self.block_on(is_ready(&admin)));
    }

    /// A client of one of the cluster's API servers, with the rights of callsign's service account.
    pub(crate) fn client_of(&self, server: &ApiServer) -> Client {
        self.block_on(client(Path::new(&self.kubeconfig_to(server.port))))
    }

    /// A kubeconfig of callsign's service account, with the rights that `deploy/` grants.
    pub(crate) fn kubeconfig(&self) -> &str {
        self.kubeconfig.to_str().expect("a path of UTF-8")
    }

    /// The same with another port, where the API server does not listen.
    pub(crate) fn kubeconfig_to(&self, port: u16) -> String {
        let path = write_kubeconfig(&self.dir, &format!("callsign-{port}"), port, self.token.trim());
        path.to_str().expect("a path of UTF-8").to_owned()
    }

    /// The administrator's kubeconfig.
    pub(crate) fn admin_kubeconfig(&self) -> &str {
        self.admin_kubeconfig.to_str().expect("a path of UTF-8")
    }

    /// The same with another port: that of a [`Proxy`], while it runs.
    pub(crate) fn admin_kubeconfig_to(&self, port: u16) -> String {
        let path = write_kubeconfig(&self.dir, &format!("admin-{port}"), port, ADMIN_TOKEN);
        path.to_str().expect("a path of UTF-8").to_owned()
    }

    /// A kubeconfig of a service account, with a token that is bound to no Pod.
    #[track_caller]
    pub(crate) fn kubeconfig_of(&self, namespace: &str, account: &str) -> String {
        let token = self.kubectl(&["-n", namespace, "create", "token", account]);
        self.kubeconfig_with(&format!("{namespace}-{account}"), &token)
    }

    /// A kubeconfig with this token, in a file with a unique name.
    pub(crate) fn kubeconfig_with(&self, name: &str, token: &str) -> String {
        let path = write_kubeconfig(&self.dir, name, self.api_server.port, token.trim());
        path.to_str().expect("a path of UTF-8").to_owned()
    }

    /// A kubeconfig with this user and this port.
    pub(crate) fn kubeconfig_by(&self, port: u16, user: &serde_json::Value) -> String {
        let path = write_kubeconfig_of(&self.dir, &format!("user-{port}"), port, user);
        path.to_str().expect("a path of UTF-8").to_owned()
    }

    /// The certificate of the API server's authority.
    pub(crate) fn authority(&self) -> String {
        fs::read_to_string(self.dir.join("apiserver.crt")).expect("read a certificate")
    }

    /// Opens another port to the API server, until the proxy is dropped.
    pub(crate) fn proxy(&self, port: u16) -> Proxy {
        Proxy::start(port, self.api_server.port)
    }

    /// A client with the rights of callsign's service account.
    pub(crate) fn own_client(&self) -> Client {
        self.block_on(client(&self.kubeconfig))
    }

    /// A client that may do everything.
    pub(crate) fn admin(&self) -> Client {
        self.admin.clone()
    }

    /// Runs kubectl as administrator, and returns its standard output.
    #[track_caller]
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        let as_admin = format!("--kubeconfig={}", self.admin_kubeconfig.display());
        output(&self.kubectl, [as_admin.as_str()].iter().chain(args))
    }

    /// Runs a shell script in a folder, with kubectl as administrator in its PATH, and returns its standard output.
    #[track_caller]
    pub(crate) fn shell(&self, dir: &Path, script: &str) -> String {
        let (bin, dir) = (self.kubectl.parent().expect("a folder").display(), dir.display().to_string());
        let prelude = format!("export PATH='{bin}':\"$PATH\" KUBECONFIG='{}'", self.admin_kubeconfig());
        output("env", ["-C", &dir, "sh", "-euc", &format!("{prelude}\n{script}")])
    }

    /// Starts a task that runs in parallel to the test.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.runtime.spawn(work)
    }

    /// Waits for a future.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

/// The folder with etcd, kube-apiserver, kubectl and coredns: `CALLSIGN_TEST_BIN`, or that of `tests/cluster/build`.
pub(crate) fn binaries() -> PathBuf {
    static BINARIES: LazyLock<PathBuf> = LazyLock::new(|| match std::env::var_os("CALLSIGN_TEST_BIN") {
        Some(dir) => dir.into(),
        None => {
            let text = built(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/build"), [""; 0]);
            text.lines().last().expect("the build names its folder").into()
        }
    });
    BINARIES.clone()
}

fn write_kubeconfig(dir: &Path, name: &str, port: u16, token: &str) -> PathBuf {
    write_kubeconfig_of(dir, name, port, &serde_json::json!({ "token": token }))
}

fn write_kubeconfig_of(dir: &Path, name: &str, port: u16, user: &serde_json::Value) -> PathBuf {
    let path = dir.join(format!("{name}.kubeconfig"));
    let certificate = dir.join("apiserver.crt");
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        "clusters": [{ "name": "test", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": certificate,
        } }],
        "users": [{ "name": "test", "user": user }],
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
