//! Health and metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::ApiState;

pub(super) async fn livez(State(api): State<Arc<ApiState>>) -> Response {
    match (api.heartbeat.is_recent(), api.server_counters.panics()) {
        (true, 0) => "ok\n".into_response(),
        // Not a reason to restart: the same query would cause the panic again.
        (true, panics) => format!("ok, but the processing of {panics} queries panicked: see the log\n").into_response(),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "the writer of the zone does not respond\n").into_response(),
    }
}

pub(super) async fn readyz(State(api): State<Arc<ApiState>>) -> Response {
    if api.is_ending.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "the server is ending\n").into_response();
    }
    match api.zone.snapshot.load().is_synced {
        true => "ok\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not all Pods are known yet\n").into_response(),
    }
}

pub(super) async fn metrics(State(api): State<Arc<ApiState>>) -> Response {
    let snapshot = api.zone.snapshot.load_full();
    let text = api.metrics.encode(&snapshot, &(api.sources)(), api.changes.subscriptions());
    ([(header::CONTENT_TYPE, crate::metrics::CONTENT_TYPE)], text).into_response()
}
