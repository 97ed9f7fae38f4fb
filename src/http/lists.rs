//! The lists of the API, in pages, with the snapshot's revision as ETag.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::{JSON, Pages, Refusal, synced};
use crate::escape;
use crate::metrics::Beyond;
use crate::report::{self, Cursor, Filter, Page, Paging, PodFilter};
use crate::snapshot::Snapshot;

/// The default page size: that of Kubernetes' own lists.
const LIMIT_DEFAULT: usize = 500;

/// The largest page size. A page of long rows has fewer.
pub const LIMIT_MAX: usize = 5_000;

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
type Asked<Q> = Result<Query<Q>, QueryRejection>;

/// A page, or why there is none.
type Answered = Result<Response, Refusal>;

pub(super) async fn interfaces(
    State(pages): State<Arc<Pages>>,
    Extension(answer): Extension<Arc<Answer>>,
    headers: HeaderMap,
    asked: Asked<ServiceQuery>,
) -> Answered {
    let (filter, paging) = asked?.0.read()?;
    list(&pages, &headers, &answer, move |snapshot| report::interfaces(snapshot, &filter, &paging)).await
}

pub(super) async fn endpoints(
    State(pages): State<Arc<Pages>>,
    Extension(answer): Extension<Arc<Answer>>,
    headers: HeaderMap,
    asked: Asked<ServiceQuery>,
) -> Answered {
    let (filter, paging) = asked?.0.read()?;
    list(&pages, &headers, &answer, move |snapshot| report::endpoints(snapshot, &filter, &paging)).await
}

pub(super) async fn pods(
    State(pages): State<Arc<Pages>>,
    Extension(answer): Extension<Arc<Answer>>,
    headers: HeaderMap,
    asked: Asked<PodQuery>,
) -> Answered {
    let PodQuery { name, namespace, limit, r#continue } = asked?.0;
    let (filter, paging) = (PodFilter { name, namespace }, paging(limit, r#continue)?);
    list(&pages, &headers, &answer, move |snapshot| report::pods(snapshot, &filter, &paging)).await
}

pub(super) async fn pods_named(
    State(pages): State<Arc<Pages>>,
    Extension(answer): Extension<Arc<Answer>>,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
) -> Answered {
    let filter = PodFilter { name: Some(name), namespace: Some(namespace) };
    list(&pages, &headers, &answer, move |snapshot| report::pods(snapshot, &filter, &Paging::ALL)).await
}

pub(super) async fn bad(
    State(pages): State<Arc<Pages>>,
    Extension(answer): Extension<Arc<Answer>>,
    headers: HeaderMap,
    asked: Asked<PageQuery>,
) -> Answered {
    let PageQuery { limit, r#continue } = asked?.0;
    let paging = paging(limit, r#continue)?;
    list(&pages, &headers, &answer, move |snapshot| report::bad(snapshot, &paging)).await
}

impl ServiceQuery {
    fn read(self) -> Result<(Filter, Paging), Refusal> {
        let ServiceQuery { interface, group, version, namespace, limit, r#continue } = self;
        Ok((Filter { interface, group, version, namespace }, paging(limit, r#continue)?))
    }
}

fn paging(limit: Option<usize>, token: Option<String>) -> Result<Paging, Refusal> {
    let limit = match limit.unwrap_or(LIMIT_DEFAULT) {
        0 => return Err(Refusal::bad(format!("limit: 0 is not a page size; write 1 to {LIMIT_MAX}"))),
        limit => limit.min(LIMIT_MAX),
    };
    let read =
        |token| Cursor::read(token).ok_or_else(|| Refusal::bad("continue: it is not a token of an earlier page"));
    let after = token.as_deref().filter(|token| !token.is_empty()).map(read).transpose()?;
    Ok(Paging::within(limit, after))
}

/// A page of a snapshot. 503 before the first sync, 304 if the client has it already.
async fn list<T: Serialize>(
    pages: &Pages,
    headers: &HeaderMap,
    answer: &Answer,
    make: impl FnOnce(&Snapshot) -> Page<T> + Send + 'static,
) -> Answered {
    let snapshot = synced(pages)?;
    let tag = format!("\"{}\"", pages.changes.id(snapshot.revision));
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|tags| tags.split(',')).any(|known| is_same_tag(known.trim(), &tag));
    let head = [(header::ETAG, tag), (header::CACHE_CONTROL, "no-cache".to_owned())];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, head).into_response());
    }
    let text = pages.room.make(move || escape::json(&make(&snapshot))).await;
    let text = text.ok_or_else(|| pages.refused(Beyond::UnreadLists, answer))?;
    Ok((head, JSON, text).into_response())
}

/// The weak comparison of RFC 9110 §8.8.3.2, which If-None-Match requires.
fn is_same_tag(known: &str, tag: &str) -> bool {
    known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
}
