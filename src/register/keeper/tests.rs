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
        let metadata = json!({
            "name": "a", "namespace": "a", "uid": "u", "resourceVersion": self.version.load(SeqCst).to_string(),
            "annotations": self.annotation.lock().unwrap().iter().map(|value| ("app.io/annotation", value)).collect::<BTreeMap<_, _>>(),
            "labels": { "app.io/label": "app.io-value" },
        });
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata });
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

#[tokio::test]
async fn a_check_that_writes_does_not_undo_a_withdrawal() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = Arc::new(SlowServer::default());
    tokio::spawn(server.clone().serve(listener));
    let client = Client::try_from(Config::new(url.parse().unwrap())).unwrap();
    let pod =
        OwnPod { namespace: "a".into(), name: "a".into(), uid: Some("u".into()), doubt: None, is_doubtful: false };
    let owner = Owner { name: "main".into(), kind: OwnerKind::Wrapper };
    let keeper = Keeper::start(Registrar::new(client, pod, Profile::App, owner));
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
