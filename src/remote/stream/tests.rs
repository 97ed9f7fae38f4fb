use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use futures_util::{StreamExt, stream};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::super::ServerAddress;
use super::*;

fn of(interfaces: &[&str]) -> Selection {
    Selection { interfaces: interfaces.iter().map(|&name| name.to_owned()).collect(), ..Selection::default() }
}

/// A server that sends these streams one after the other and then 404, and the ids that it is asked to resume from.
async fn server(streams: &'static [&'static str]) -> (ServerClient, Arc<Mutex<Vec<String>>>) {
    let ids = Arc::new(Mutex::new(Vec::new()));
    let asked = ids.clone();
    let answer = move |headers: HeaderMap| async move {
        let id = headers.get(sse::LAST_EVENT_ID).and_then(|id| id.to_str().ok()).unwrap_or("-");
        let number = {
            let mut asked = asked.lock().expect("the ids");
            asked.push(id.to_owned());
            asked.len() - 1
        };
        let Some(text) = streams.get(number) else {
            return (StatusCode::NOT_FOUND, "not here").into_response();
        };
        let pieces = text.as_bytes().chunks(7).map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece)));
        Response::new(Body::from_stream(stream::iter(pieces)))
    };
    (serving(get(answer)).await, ids)
}

/// The client of a server whose streams this handler sends.
async fn serving(handler: MethodRouter) -> ServerClient {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let router = Router::new().route("/v1/watch", handler);
    tokio::spawn(async move { axum::serve(listener, router).await });
    ServerClient::new(ServerAddress { url: format!("http://{address}"), ..ServerAddress::default() }).expect("a URL")
}

#[tokio::test]
async fn a_stream_resumes_from_the_last_understood_id() {
    let (server, ids) = server(&[
        "retry: 1000\nevent: set\nid: a-1\ndata: {\"interface\":\"a.b\",\"endpoints\":[]}\n\nevent: change\nid: a-2\nda",
        ": \nid: a-3\n\nevent: later\nid: a-4\ndata: ?\n\n",
        "event: change\nid: a-5\ndata: {\"interface\":\"a.b\",\"added\":[],\"changed\":[],\"removed\":[]}\n\nevent: set\nid: a-6\ndata: ?\n\n",
    ])
    .await;
    let mut stream = EventStream::new(server, of(&["a.b"]));
    let mut seen = Vec::new();
    while seen.len() < 6 {
        seen.push(match stream.next().await {
            StreamEvent::Set(..) => "set".to_owned(),
            StreamEvent::Change(..) => "change".to_owned(),
            StreamEvent::Lost(error) => error.to_string(),
        });
    }
    let expected =
        ["set", "the stream ended", "the stream ended", "change", "an event cannot be decoded", "404 Not Found"];
    for (seen, expected) in seen.iter().zip(expected) {
        assert!(seen.contains(expected), "{seen}: {expected}");
    }
    assert_eq!(*ids.lock().expect("the ids"), ["-", "a-1", "a-4", "-"]);
}

/// A server that waits before it answers each request with this text, and the number of requests.
async fn slow(wait: Duration, status: StatusCode, text: &'static str) -> (ServerClient, Arc<Mutex<usize>>) {
    let count = Arc::new(Mutex::new(0));
    let asked = count.clone();
    let answer = move || async move {
        *asked.lock().expect("the count") += 1;
        sleep(wait).await;
        let rest = stream::once(async move { Ok::<_, Infallible>(Bytes::from_static(text.as_bytes())) });
        (status, Body::from_stream(rest.chain(stream::pending())))
    };
    (serving(get(answer)).await, count)
}

/// The news of a stream whose selection changes every few milliseconds, with the wait dropped each time.
async fn disturbed(mut stream: EventStream, time: Duration) -> Vec<StreamEvent> {
    let (mut seen, end) = (Vec::new(), Instant::now() + time);
    while Instant::now() < end {
        for interfaces in [&["a.b"][..], &["a.b", "c.d"]] {
            stream.select(of(interfaces));
            seen.extend(tokio::time::timeout(Duration::from_millis(10), stream.next()).await.ok());
        }
    }
    seen
}

#[tokio::test]
async fn an_opening_continues_while_subscribers_come_and_go() {
    let set = "event: set\nid: a-1\ndata: {\"interface\":\"a.b\",\"endpoints\":[]}\n\n";
    let (server, count) = slow(Duration::from_millis(400), StatusCode::OK, set).await;
    let seen = disturbed(EventStream::new(server, of(&["a.b"])), Duration::from_secs(3)).await;
    assert!(seen.iter().any(|seen| matches!(seen, StreamEvent::Set(..))), "{seen:?}");
    assert!(seen.iter().all(|seen| !matches!(seen, StreamEvent::Lost(_))), "{seen:?}");
    let count = *count.lock().expect("the count");
    assert!((2..=4).contains(&count), "it was opened {count} times in three seconds");
}

#[tokio::test]
async fn a_pause_continues_while_subscribers_come_and_go() {
    let (server, ids) = server(&[]).await;
    let seen = disturbed(EventStream::new(server, of(&["a.b"])), Duration::from_secs(4)).await;
    let asked = ids.lock().expect("the ids").len();
    assert!((2..=5).contains(&asked) && seen.len() >= 2, "it was asked {asked} times in four seconds: {seen:?}");
}
