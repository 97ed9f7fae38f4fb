//! What the HTTP API's server and its clients both know: the JSON of selections, pages and events, and their bounds.

mod watched;

use serde::Deserialize;

pub use watched::{ChangeEvent, SetEvent, WatchedChange, WatchedEndpoint, WatchedSet};

/// The largest page of a list, in rows. A page of long rows has fewer.
#[cfg(feature = "server")]
pub const LIMIT_MAX: usize = 5_000;

/// The most interfaces of one stream.
pub const INTERFACES_MAX: usize = 1_024;

/// Selects services. An absent field matches any value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// In any letter case.
    pub interface: Option<String>,
    /// Exact. An empty string matches services without a group.
    pub group: Option<String>,
    /// Exact. An empty string matches services without a version.
    pub version: Option<String>,
    /// Exact.
    pub namespace: Option<String>,
}

/// A page of a list.
#[cfg(feature = "watch")]
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows, in the list's order.
    pub items: Vec<T>,
    /// The token of the next page. Absent on the last page.
    #[serde(rename = "continue", default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
