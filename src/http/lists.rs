//! The lists of the API, in pages, with the snapshot's revision as ETag.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::limits::ExceededLimit;
use super::pending::PendingResponse;
use super::{ApiError, ApiState, JSON, synced};
use crate::api::{Filter, LIMIT_MAX, Page};
use crate::escape;
use crate::report::{self, Cursor, Paging, PodFilter};
use crate::snapshot::Snapshot;

/// The default page size: that of Kubernetes' own lists.
const LIMIT_DEFAULT: usize = 500;

/// The query of a list of services or endpoints.
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

/// The query of a list of Pods.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PodQuery {
    name: Option<String>,
    namespace: Option<String>,
    limit: Option<usize>,
    r#continue: Option<String>,
}

/// The query of a list without a filter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    limit: Option<usize>,
    r#continue: Option<String>,
}

/// A parsed query, or why it cannot be parsed.
type QueryResult<Q> = Result<Query<Q>, QueryRejection>;

/// A page, or why there is none.
type ListResult = Result<Response, ApiError>;

pub(super) async fn interfaces(
    State(api): State<Arc<ApiState>>,
    Extension(pending): Extension<Arc<PendingResponse>>,
    headers: HeaderMap,
    asked: QueryResult<ServiceQuery>,
) -> ListResult {
    let (filter, paging) = asked?.0.read()?;
    list(&api, &headers, &pending, move |snapshot| report::interfaces(snapshot, &filter, &paging)).await
}

pub(super) async fn endpoints(
    State(api): State<Arc<ApiState>>,
    Extension(pending): Extension<Arc<PendingResponse>>,
    headers: HeaderMap,
    asked: QueryResult<ServiceQuery>,
) -> ListResult {
    let (filter, paging) = asked?.0.read()?;
    list(&api, &headers, &pending, move |snapshot| report::endpoints(snapshot, &filter, &paging)).await
}

pub(super) async fn pods(
    State(api): State<Arc<ApiState>>,
    Extension(pending): Extension<Arc<PendingResponse>>,
    headers: HeaderMap,
    asked: QueryResult<PodQuery>,
) -> ListResult {
    let PodQuery { name, namespace, limit, r#continue } = asked?.0;
    let (filter, paging) = (PodFilter { name, namespace }, paging(limit, r#continue)?);
    list(&api, &headers, &pending, move |snapshot| report::pods(snapshot, &filter, &paging)).await
}

pub(super) async fn pods_named(
    State(api): State<Arc<ApiState>>,
    Extension(pending): Extension<Arc<PendingResponse>>,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
) -> ListResult {
    let filter = PodFilter { name: Some(name), namespace: Some(namespace) };
    list(&api, &headers, &pending, move |snapshot| report::pods(snapshot, &filter, &Paging::ALL)).await
}

pub(super) async fn bad(
    State(api): State<Arc<ApiState>>,
    Extension(pending): Extension<Arc<PendingResponse>>,
    headers: HeaderMap,
    asked: QueryResult<PageQuery>,
) -> ListResult {
    let PageQuery { limit, r#continue } = asked?.0;
    let paging = paging(limit, r#continue)?;
    list(&api, &headers, &pending, move |snapshot| report::refusals(snapshot, &paging)).await
}

impl ServiceQuery {
    fn read(self) -> Result<(Filter, Paging), ApiError> {
        let ServiceQuery { interface, group, version, namespace, limit, r#continue } = self;
        Ok((Filter { interface, group, version, namespace }, paging(limit, r#continue)?))
    }
}

fn paging(limit: Option<usize>, token: Option<String>) -> Result<Paging, ApiError> {
    let limit = match limit.unwrap_or(LIMIT_DEFAULT) {
        0 => return Err(ApiError::bad_request(format!("limit: 0 is not a page size; write 1 to {LIMIT_MAX}"))),
        limit => limit.min(LIMIT_MAX),
    };
    let read = |token| {
        Cursor::read(token).ok_or_else(|| ApiError::bad_request("continue: it is not a token of an earlier page"))
    };
    let after = token.as_deref().filter(|token| !token.is_empty()).map(read).transpose()?;
    Ok(Paging::within(limit, after))
}

/// A page of a snapshot. 503 before the first sync, 304 if the client has it already.
async fn list<T: Serialize>(
    api: &ApiState,
    headers: &HeaderMap,
    pending: &PendingResponse,
    make: impl FnOnce(&Snapshot) -> Page<T> + Send + 'static,
) -> ListResult {
    let snapshot = synced(api)?;
    let tag = format!("\"{}\"", api.changes.id(snapshot.revision));
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|tags| tags.split(',')).any(|known| is_same_tag(known.trim(), &tag));
    let head = [(header::ETAG, tag), (header::CACHE_CONTROL, "no-cache".to_owned())];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, head).into_response());
    }
    let text = api.list_budget.make(move || escape::json(&make(&snapshot))).await;
    let text = text.ok_or_else(|| api.refused(ExceededLimit::UnreadLists, pending))?;
    Ok((head, JSON, text).into_response())
}

/// The weak comparison of RFC 9110 §8.8.3.2, which If-None-Match requires.
fn is_same_tag(known: &str, tag: &str) -> bool {
    known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
}
