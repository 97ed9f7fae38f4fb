//! A bare watch: a streaming GET whose lines get a time of receipt, and are not even decoded.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use futures_util::{AsyncBufReadExt, TryStreamExt};
use http::Request;

use crate::harness::cluster::Cluster;

/// When an event's line was complete, and the line.
pub(crate) type Line = (Instant, String);

/// Watches the objects at a path from now on.
pub(crate) fn watch(cluster: &'static Cluster, path: &str) -> Receiver<Line> {
    let (sender, received) = channel();
    let (client, uri) = (cluster.admin(), format!("{path}?watch=1"));
    cluster.spawn(async move {
        let request = Request::get(uri).body(Vec::new()).expect("a request");
        let mut lines = client.request_stream(request).await.expect("a watch").lines();
        while let Some(line) = lines.try_next().await.expect("a line") {
            if sender.send((Instant::now(), line)).is_err() {
                return;
            }
        }
    });
    received
}

/// When the watch received the event with this version of an object.
pub(crate) fn received_at(watch: &Receiver<Line>, version: &str, patience: Duration) -> Instant {
    let version = format!("\"resourceVersion\":\"{version}\"");
    loop {
        let (at, line) = watch.recv_timeout(patience).expect("the event");
        if line.contains(&version) {
            return at;
        }
    }
}
