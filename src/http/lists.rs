//! What the index holds, as lists: in pages, and with the revision as ETag.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::{Pages, refusal, synced};
use crate::report::{self, Cursor, Filter, Page, Paging, PodFilter};
use crate::snapshot::Snapshot;

/// The rows of a page where nobody asks for another number, as Kubernetes' own lists have it.
const LIMIT_DEFAULT: usize = 500;

/// The most rows of a page: of 5,000 endpoints a page is some 1.5 MB.
pub const LIMIT_MAX: usize = 5_000;

/// Which services are asked for, and which of their rows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceQuery {
    interface: Option<String>,
    group: Option<String>,
    version: Option<String>,
    namespace: Option<String>,
    limit: Option<usize>,
    r#continue: Option<String>,
}

/// Which Pods are asked for, and which of their rows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PodQuery {
    name: Option<String>,
    namespace: Option<String>,
    limit: Option<usize>,
    r#continue: Option<String>,
}

/// Which rows of a list without a filter are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    limit: Option<usize>,
    r#continue: Option<String>,
}

/// A query as it came, read or not.
type Asked<Q> = Result<Query<Q>, QueryRejection>;

pub(super) async fn interfaces(
    State(pages): State<Arc<Pages>>,
    headers: HeaderMap,
    asked: Asked<ServiceQuery>,
) -> Response {
    let make = |snapshot: &Snapshot, (filter, paging): &_| report::interfaces(snapshot, filter, paging);
    list(&pages, &headers, asked.map_err(told).and_then(services), make)
}

pub(super) async fn endpoints(
    State(pages): State<Arc<Pages>>,
    headers: HeaderMap,
    asked: Asked<ServiceQuery>,
) -> Response {
    let make = |snapshot: &Snapshot, (filter, paging): &_| report::endpoints(snapshot, filter, paging);
    list(&pages, &headers, asked.map_err(told).and_then(services), make)
}

pub(super) async fn pods(State(pages): State<Arc<Pages>>, headers: HeaderMap, asked: Asked<PodQuery>) -> Response {
    let asked = asked.map_err(told).and_then(|Query(PodQuery { name, namespace, limit, r#continue })| {
        Ok((PodFilter { name, namespace }, paging(limit, r#continue)?))
    });
    list(&pages, &headers, asked, |snapshot, (filter, paging)| report::pods(snapshot, filter, paging))
}

pub(super) async fn pods_named(
    State(pages): State<Arc<Pages>>,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let filter = PodFilter { name: Some(name), namespace: Some(namespace) };
    list(&pages, &headers, Ok(filter), |snapshot, filter| report::pods(snapshot, filter, &Paging::ALL))
}

pub(super) async fn bad(State(pages): State<Arc<Pages>>, headers: HeaderMap, asked: Asked<PageQuery>) -> Response {
    let asked = asked.map_err(told).and_then(|Query(PageQuery { limit, r#continue })| paging(limit, r#continue));
    list(&pages, &headers, asked, report::bad)
}

fn told(rejection: QueryRejection) -> String {
    rejection.body_text()
}

fn services(Query(asked): Query<ServiceQuery>) -> Result<(Filter, Paging), String> {
    let ServiceQuery { interface, group, version, namespace, limit, r#continue } = asked;
    Ok((Filter { interface, group, version, namespace }, paging(limit, r#continue)?))
}

fn paging(limit: Option<usize>, token: Option<String>) -> Result<Paging, String> {
    let limit = match limit.unwrap_or(LIMIT_DEFAULT) {
        0 => return Err(format!("limit: 0 is no page; write 1 to {LIMIT_MAX}")),
        limit => limit.min(LIMIT_MAX),
    };
    let after = match token.as_deref() {
        None | Some("") => None,
        Some(token) => Some(Cursor::read(token).ok_or("continue: it is not one of an earlier page")?),
    };
    Ok(Paging { limit, after })
}

/// A page of what a snapshot holds; 503 while it does not hold all, 304 to whoever has it already.
fn list<Q, T: Serialize>(
    pages: &Pages,
    headers: &HeaderMap,
    asked: Result<Q, String>,
    make: impl FnOnce(&Snapshot, &Q) -> Page<T>,
) -> Response {
    let asked = match asked {
        Ok(asked) => asked,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error),
    };
    let snapshot = match synced(pages) {
        Ok(snapshot) => snapshot,
        Err(response) => return response,
    };
    let tag = format!("\"{}\"", pages.changes.id(snapshot.revision));
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|tags| tags.split(',')).any(|known| is_same_tag(known.trim(), &tag));
    let head = [(header::ETAG, tag), (header::CACHE_CONTROL, "no-cache".to_owned())];
    match is_known {
        true => (StatusCode::NOT_MODIFIED, head).into_response(),
        false => (head, Json(make(&snapshot, &asked))).into_response(),
    }
}

/// The weak comparison of RFC 9110 §8.8.3.2, which If-None-Match asks for.
fn is_same_tag(known: &str, tag: &str) -> bool {
    known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
}
