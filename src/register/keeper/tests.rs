use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::super::{Offer, OwnPod, Owner, OwnerKind, Profile};
use super::*;
use crate::registration;

/// How long the server takes to apply a patch.
const PATCH_TIME: Duration = Duration::from_millis(300);

/// An API server with one Pod. It applies a patch even if the client has disconnected.
#[derive(Default)]
struct SlowServer {
    annotation: Mutex<Option<String>>,
    /// The Pod's other annotations.
    plain: Mutex<BTreeMap<&'static str, &'static str>>,
    version: AtomicU64,
    patches: AtomicU64,
}

impl SlowServer {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let server = self.clone();
            let service = service_fn(move |request: Request<Incoming>| server.clone().answer(request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        if request.method() == Method::PATCH {
            let patch = request.into_body().collect().await.unwrap().to_bytes();
            self.patches.fetch_add(1, SeqCst);
            let patch: Value = serde_json::from_slice(&patch).unwrap();
            tokio::spawn(self.clone().apply(patch)).await.unwrap();
        }
        let plain = self.plain.lock().unwrap().clone();
        let mut annotations: BTreeMap<&str, String> =
            plain.into_iter().map(|(key, value)| (key, value.into())).collect();
        annotations.extend(self.annotation.lock().unwrap().clone().map(|value| ("app.io/annotation", value)));
        let metadata = json!({
            "name": "a", "namespace": "a", "uid": "u", "resourceVersion": self.version.load(SeqCst).to_string(),
            "annotations": annotations,
            "labels": { "app.io/label": "app.io-value" },
        });
        let ports = json!([{ "name": "http", "containerPort": 8080 }]);
        let spec = json!({ "containers": [{ "name": "c", "ports": ports }] });
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
        Ok(Response::new(Full::new(pod.to_string().into())))
    }

    async fn apply(self: Arc<Self>, patch: Value) {
        sleep(PATCH_TIME).await;
        if let Some(value) = patch["metadata"]["annotations"].get("app.io/annotation") {
            self.set(value.as_str());
        }
    }

    fn value(&self) -> String {
        self.annotation.lock().unwrap().clone().unwrap_or_default()
    }

    fn set(&self, value: Option<&str>) {
        *self.annotation.lock().unwrap() = value.map(str::to_owned);
        self.version.fetch_add(1, SeqCst);
    }
}

/// A server, and a registrar of its Pod.
async fn scene() -> (Arc<SlowServer>, Registrar) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = Arc::new(SlowServer::default());
    tokio::spawn(server.clone().serve(listener));
    let client = Client::try_from(Config::new(url.parse().unwrap())).unwrap();
    let pod =
        OwnPod { namespace: "a".into(), name: "a".into(), uid: Some("u".into()), doubt: None, is_doubtful: false };
    let owner = Owner { name: "main".into(), kind: OwnerKind::Wrapper };
    (server, Registrar::new(client, pod, Profile::App, owner))
}

/// What the flags leave open is written as the Pod's annotations say it, if they are left to a registrar.
#[tokio::test]
async fn annotations_complete_what_is_written() {
    let (server, mut registrar) = scene().await;
    let open = [Offer::default()];
    let error = registrar.complete(&open).await.unwrap_err().to_string();
    assert!(error.contains("the Pod a/a does not leave its annotations to a registrar"), "{error}");
    server.plain.lock().unwrap().extend([
        ("app.io/register", "true"),
        ("app.io/interface", "a.B"),
        ("app.io/port", "http"),
        ("app.io/version", "1"),
    ]);
    let offers = registrar.complete(&open).await.unwrap();
    assert_eq!(
        offers.iter().map(|offer| (&*offer.interface, &offer.port[..])).collect::<Vec<_>>(),
        [("a.B", &[8080][..])]
    );

    let mut registrar = registrar.completing();
    let flags: Arc<[Offer]> = [Offer { protocol: Some("tri".into()), ..Offer::new("c.D", 1) }].into();
    let wrote = |server: &SlowServer| {
        let registrations = registration::decode_value(&server.value()).registrations;
        let [one] = &registrations[..] else { panic!("{registrations:?}") };
        format!("{} {} {} {:?} {}", one.interface, one.protocol, one.port, one.version.as_deref(), one.enabled)
    };
    registrar.write(&WantedEntries::Offers(flags.clone())).await.unwrap();
    assert_eq!(wrote(&server), "c.D tri 1 Some(\"1\") true");
    registrar.write(&WantedEntries::Withdrawn(flags.clone())).await.unwrap();
    assert_eq!(wrote(&server), "c.D tri 1 Some(\"1\") false");
    server.plain.lock().unwrap().insert("app.io/version", "2");
    assert!(!registrar.is_written(&WantedEntries::Offers(flags.clone())).await.unwrap());
    registrar.write(&WantedEntries::Offers(flags)).await.unwrap();
    assert_eq!(wrote(&server), "c.D tri 1 Some(\"2\") true");
}

#[tokio::test]
async fn a_check_that_writes_does_not_undo_a_withdrawal() {
    let (server, registrar) = scene().await;
    let keeper = Keeper::start(registrar);
    let offers: Arc<[Offer]> = [Offer { interface: "a.B".into(), port: vec![1], ..Offer::default() }].into();
    keeper.request(WantedEntries::Offers(offers.clone()));
    keeper.written().await;
    assert_eq!(server.patches.load(SeqCst), 1);

    server.set(None);
    while server.patches.load(SeqCst) < 2 {
        sleep(Duration::from_millis(5)).await;
    }
    keeper.request(WantedEntries::Withdrawn(offers));
    keeper.written().await;
    sleep(PATCH_TIME + Duration::from_millis(100)).await; // less than the time to the next look
    let published = registration::decode_value(&server.value()).registrations.iter().any(|one| one.enabled);
    assert!(!published, "the look's write came after the withdrawal");
}
