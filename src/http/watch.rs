//! `GET /v1/watch`: the endpoints of some interfaces as server-sent events, each whole set first and then what changes.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Version, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::watch;

use super::connection::Answer;
use super::feed::{Feed, Place};
use super::{Pages, Refusal, synced};
use crate::events;
use crate::metrics::Beyond;
use crate::report::Filter;

/// The server's end, which streams end with.
pub(super) type Closing = watch::Receiver<bool>;

/// Starts a stream.
pub(super) async fn watch(
    State(pages): State<Arc<Pages>>,
    Extension(answer): Extension<Arc<Answer>>,
    Extension(closing): Extension<Closing>,
    version: Version,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let (filters, added) = read(query.as_deref().unwrap_or_default())?;
    pages.admit_stream(&answer, &filters).await?;
    let snapshot = synced(&pages)?;
    if snapshot.heard_at.is_some() {
        return Err(Refusal::later("the zone of the last run is served; what changes is told from the first sync on"));
    }
    let last = headers.get(events::LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let last = last.and_then(|id| pages.changes.revision_of(id));
    let mut places = Vec::with_capacity(filters.len());
    for (filter, is_added) in filters.into_iter().zip(added) {
        let subscribed = pages.changes.subscribe(filter);
        let mut subscription = subscribed.map_err(|_| pages.refused(Beyond::Subscriptions, &answer))?;
        let is_resumed = !is_added && last.is_some_and(|revision| subscription.resume(revision, &snapshot));
        places.push(Place { subscription, is_fresh: !is_resumed });
    }
    drop(snapshot);
    let feed = Feed::new(pages, places, last, closing);
    let events = stream::unfold(feed, |mut feed| async {
        let bytes = feed.next().await?;
        Some((Ok::<_, Infallible>(bytes), feed))
    });
    let head = [(header::CONTENT_TYPE, events::CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")];
    let mut response = (head, Body::from_stream(events)).into_response();
    if version < Version::HTTP_2 {
        // Its place among the connections that hold nothing is given away. HTTP/2 knows no such header.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// The parameters of a stream.
const PARAMETERS: &str = "`interface`, `added`, `group`, `version`, `namespace`";

/// The selections of a query, one an interface and in its order, and whether each begins with its whole set anyway.
fn read(query: &str) -> Result<(Vec<Filter>, Vec<bool>), Refusal> {
    let (mut filters, mut added): (Vec<Filter>, Vec<bool>) = (Vec::new(), Vec::new());
    let mut places = std::collections::HashMap::new();
    let mut common = Filter::default();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        let single = match &*key {
            "interface" | "added" => {
                if value.is_empty() {
                    return Err(Refusal::bad(format!("{key}: which one is to be watched?")));
                }
                let interface = value.to_ascii_lowercase();
                let place = *places.entry(interface.clone()).or_insert(filters.len());
                if place == filters.len() {
                    filters.push(Filter { interface: Some(interface), ..Filter::default() });
                    added.push(false);
                }
                added[place] |= key == "added";
                continue;
            }
            "group" => &mut common.group,
            "version" => &mut common.version,
            "namespace" => &mut common.namespace,
            other => return Err(Refusal::bad(format!("unknown field `{other}`, expected one of {PARAMETERS}"))),
        };
        if single.replace(value.into_owned()).is_some() {
            return Err(Refusal::bad(format!("{key}: it is there twice; a stream has one")));
        }
    }
    if filters.is_empty() {
        return Err(Refusal::bad("interface: which one is to be watched?"));
    }
    for filter in &mut filters {
        *filter = Filter { interface: filter.interface.take(), ..common.clone() };
    }
    Ok((filters, added))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let shown = |query: &str| match read(query) {
            Err(refusal) => refusal.error,
            Ok((filters, added)) => {
                let words = filters.iter().zip(added).map(|(filter, is_added)| {
                    let Filter { interface, group, version, namespace } = filter;
                    let common = [group, version, namespace].map(|text| text.as_deref().unwrap_or("-")).join("/");
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
            ("", "interface: which one is to be watched?"),
            ("group=x", "interface: which one is to be watched?"),
            ("interface=", "interface: which one is to be watched?"),
            ("interface=a&added=", "added: which one is to be watched?"),
            ("interface=a&group=x&group=y", "group: it is there twice; a stream has one"),
            (
                "interface=a&grupe=x",
                "unknown field `grupe`, expected one of `interface`, `added`, `group`, `version`, `namespace`",
            ),
        ] {
            assert_eq!(shown(query), expected, "{query}");
        }
    }
}
