//! `GET /v1/watch`: the endpoints of some interfaces as server-sent events, first each whole set, then the changes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Version, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::watch;

use super::feed::{Feed, FollowedInterface};
use super::limits::ExceededLimit;
use super::pending::PendingResponse;
use super::{ApiError, ApiState, synced};
use crate::api::Filter;
use crate::sse;

/// True once the server ends. Streams end with it.
pub(super) type Closing = watch::Receiver<bool>;

pub(super) async fn watch(
    State(api): State<Arc<ApiState>>,
    Extension(pending): Extension<Arc<PendingResponse>>,
    Extension(closing): Extension<Closing>,
    version: Version,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let asked = WatchQuery::read(query.as_deref().unwrap_or_default())?;
    drop(query); // free it: it may be long, and the stream may have to wait for its share
    api.admit_stream(&pending, &asked).await?;
    let snapshot = synced(&api)?;
    if snapshot.heard_at.is_some() {
        return Err(ApiError::unavailable(
            "the server still serves the zone of its last run; changes are available after the first sync",
        ));
    }
    let last = headers.get(sse::LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let last = last.and_then(|id| api.changes.revision_of(id));
    let mut followed = Vec::with_capacity(asked.interfaces.len());
    for (filter, is_added) in asked.filters() {
        let subscribed = api.changes.subscribe(filter);
        let mut subscription = subscribed.map_err(|_| api.refused(ExceededLimit::Subscriptions, &pending))?;
        let is_resumed = !is_added && last.is_some_and(|revision| subscription.resume(revision, &snapshot));
        followed.push(FollowedInterface { subscription, is_fresh: !is_resumed });
    }
    drop(snapshot);
    let feed = Feed::new(api, pending, followed, last, closing);
    let events = stream::unfold(feed, |mut feed| async {
        let bytes = feed.next().await?;
        Some((Ok::<_, Infallible>(bytes), feed))
    });
    let head = [(header::CONTENT_TYPE, sse::CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")];
    let mut response = (head, Body::from_stream(events)).into_response();
    if version < Version::HTTP_2 {
        // The connection gives its place away. HTTP/2 has no such header.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// The parameters of a stream.
const PARAMETERS: &str = "`interface`, `added`, `group`, `version`, `namespace`";

/// The longest `group`, `version` or `namespace`, in bytes. Each interface of a stream keeps a copy of it.
const SELECTOR_LEN_MAX: usize = 1_024;

/// The query of a stream. It takes as much memory as the query string. Filters are made only after the stream has
/// room.
#[derive(Debug, Default)]
pub(super) struct WatchQuery {
    /// The interfaces in lower case, each once and in the order of the query, and whether each begins with its whole
    /// set even if the stream resumes.
    interfaces: Vec<(String, bool)>,
    /// The selectors of all interfaces.
    common: Filter,
}

impl WatchQuery {
    fn read(query: &str) -> Result<WatchQuery, ApiError> {
        let mut asked = WatchQuery::default();
        let mut positions = HashMap::new();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let single = match &*key {
                "interface" | "added" => {
                    if value.is_empty() {
                        return Err(ApiError::bad_request(format!("{key}: it is empty; name an interface")));
                    }
                    let interface = value.to_ascii_lowercase();
                    let place = *positions.entry(interface.clone()).or_insert(asked.interfaces.len());
                    if place == asked.interfaces.len() {
                        asked.interfaces.push((interface, false));
                    }
                    asked.interfaces[place].1 |= key == "added";
                    continue;
                }
                "group" => &mut asked.common.group,
                "version" => &mut asked.common.version,
                "namespace" => &mut asked.common.namespace,
                other => {
                    return Err(ApiError::bad_request(format!(
                        "unknown field `{other}`, expected one of {PARAMETERS}"
                    )));
                }
            };
            if value.len() > SELECTOR_LEN_MAX {
                return Err(ApiError::bad_request(format!("{key}: it has more than {SELECTOR_LEN_MAX} bytes")));
            }
            if single.replace(value.into_owned()).is_some() {
                return Err(ApiError::bad_request(format!("{key}: it is given twice; a stream has one")));
            }
        }
        if asked.interfaces.is_empty() {
            return Err(ApiError::bad_request("interface: it is missing; name an interface"));
        }
        Ok(asked)
    }

    /// The bytes of each selection.
    pub(super) fn lengths(&self) -> impl ExactSizeIterator<Item = usize> {
        let Filter { group, version, namespace, .. } = &self.common;
        let common = [group, version, namespace].into_iter().flatten().map(String::len).sum::<usize>();
        self.interfaces.iter().map(move |(interface, _)| interface.len() + common)
    }

    /// The selections, and whether each begins with its whole set even if the stream resumes.
    fn filters(self) -> impl Iterator<Item = (Filter, bool)> {
        let WatchQuery { interfaces, common } = self;
        interfaces
            .into_iter()
            .map(move |(interface, is_added)| (Filter { interface: Some(interface), ..common.clone() }, is_added))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let shown = |query: &str| match WatchQuery::read(query) {
            Err(refusal) => refusal.error,
            Ok(asked) => {
                let words = asked.filters().map(|(filter, is_added)| {
                    let Filter { interface, group, version, namespace } = filter;
                    let common = [&group, &version, &namespace].map(|text| text.as_deref().unwrap_or("-")).join("/");
                    format!("{}{}@{common}", interface.as_deref().unwrap_or("?"), if is_added { "+" } else { "" })
                });
                words.collect::<Vec<_>>().join(" ")
            }
        };
        for (query, expected) in [
            ("interface=a.B", "a.b@-/-/-"),
            ("interface=a.B&interface=c.D&interface=A.b", "a.b@-/-/- c.d@-/-/-"),
            ("namespace=n&interface=a%26b&group=&version=1", "a&b@/1/n"),
            ("interface=a&added=b&added=a", "a+@-/-/- b+@-/-/-"),
            ("", "interface: it is missing; name an interface"),
            ("group=x", "interface: it is missing; name an interface"),
            ("interface=", "interface: it is empty; name an interface"),
            ("interface=a&added=", "added: it is empty; name an interface"),
            ("interface=a&group=x&group=y", "group: it is given twice; a stream has one"),
            (
                "interface=a&grupe=x",
                "unknown field `grupe`, expected one of `interface`, `added`, `group`, `version`, `namespace`",
            ),
        ] {
            assert_eq!(shown(query), expected, "{query}");
        }
        let long = "x".repeat(SELECTOR_LEN_MAX);
        for key in ["group", "version", "namespace"] {
            assert!(WatchQuery::read(&format!("interface=a&{key}={long}")).is_ok());
            let refused = shown(&format!("interface=a&{key}={long}x"));
            assert_eq!(refused, format!("{key}: it has more than 1024 bytes"));
        }
    }
}
