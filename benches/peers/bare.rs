//! A bare watch: a streaming GET whose lines are noted as they come, and not even decoded.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use futures_util::{AsyncBufReadExt, TryStreamExt};
use http::Request;

use crate::harness::cluster::Cluster;

/// An event's line, and when the last of it was there.
pub(crate) type Line = (Instant, String);

/// Watches the objects of a path from now on.
pub(crate) fn watch(cluster: &'static Cluster, path: &str) -> Receiver<Line> {
    let (told, heard) = channel();
    let (client, uri) = (cluster.admin(), format!("{path}?watch=1"));
    cluster.spawn(async move {
        let request = Request::get(uri).body(Vec::new()).expect("a request");
        let mut lines = client.request_stream(request).await.expect("a watch").lines();
        while let Some(line) = lines.try_next().await.expect("a line") {
            if told.send((Instant::now(), line)).is_err() {
                return;
            }
        }
    });
    heard
}

/// When the watch had the event of an object's version in hand.
pub(crate) fn heard(watch: &Receiver<Line>, version: &str, patience: Duration) -> Instant {
    let version = format!("\"resourceVersion\":\"{version}\"");
    loop {
        let (at, line) = watch.recv_timeout(patience).expect("the event");
        if line.contains(&version) {
            return at;
        }
    }
}
