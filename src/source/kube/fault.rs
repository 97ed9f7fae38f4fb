//! The faults between us and an API server, and their meaning.

use std::time::Duration;

use serde::Deserialize;

use super::json_splitter::NotJson;
use super::protobuf::{MAGIC, MessageFields, NotProtobuf, Value, Wrapped, text};
use crate::source::health::Restart;

/// The most characters of a server's message in a log line.
const MESSAGE_LEN_MAX: usize = 300;

/// Why a list or a watch ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchFault {
    /// Nothing receives our events any more.
    #[error("the program is ending")]
    Closed,
    /// There is no connection.
    #[error("cannot reach the API server: {0}")]
    Unreachable(String),
    /// The server refused, by an HTTP status or by an ERROR event.
    #[error("the API server answers {0}")]
    Refused(Refusal),
    /// Our resource version is newer than the server's: the server was restored.
    #[error("the API server is at resource version {current}, before our {position}")]
    Undone {
        /// The server's version.
        current: u64,
        /// Our version.
        position: u64,
    },
    /// Nothing was received for this long. The text has whole seconds, so that a lasting silence reads the same each
    /// time.
    #[error("nothing from the API server for {:.0} s", .0.as_secs_f64())]
    Silent(Duration),
    /// The body broke, or ended inside an object or before a list's end.
    #[error("the API server's response broke off: {0}")]
    Broken(String),
    /// A watch with events ended properly, but long before its time.
    #[error("the API server ended the watch early")]
    EndedEarly,
    /// A watch without events ended properly, but long before its time.
    #[error("the API server ended the watch early and without events")]
    Empty,
    /// The body is of another format or another kind than requested.
    #[error("not a response of a Kubernetes API server: {0}")]
    Garbage(&'static str),
}

impl WatchFault {
    /// The reason under which it is counted.
    pub(super) fn restart(&self) -> Restart {
        match self {
            WatchFault::Undone { .. } => Restart::Expired,
            WatchFault::Refused(refusal) if refusal.is_expired() => Restart::Expired,
            WatchFault::Refused(_) => Restart::Refused,
            WatchFault::Silent(_) => Restart::Silent,
            WatchFault::Broken(_) => Restart::Broken,
            WatchFault::Garbage(_) => Restart::Garbage,
            WatchFault::Closed | WatchFault::EndedEarly => Restart::Ended,
            WatchFault::Empty => Restart::Empty,
            WatchFault::Unreachable(_) => Restart::Unreachable,
        }
    }

    /// Whether only a new list helps.
    pub(super) fn is_expired(&self) -> bool {
        match self {
            WatchFault::Refused(refusal) => refusal.is_expired(),
            WatchFault::Undone { .. } => true,
            _ => false,
        }
    }

    /// Whether the fault concerns this request, instead of a server that is unreachable or refuses everybody. A lost
    /// connection and a proxy's error do so only if the server has just answered another request.
    pub(super) fn is_of_request(&self, has_just_answered: bool) -> bool {
        match self {
            WatchFault::Closed => false,
            WatchFault::Unreachable(_) => has_just_answered,
            WatchFault::Refused(refusal) => refusal.is_of_request() || (has_just_answered && !refusal.has_status),
            _ => true,
        }
    }

    /// How long the server asks us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            WatchFault::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }
}

impl From<NotJson> for WatchFault {
    fn from(NotJson: NotJson) -> WatchFault {
        WatchFault::Garbage("the body is not JSON")
    }
}

impl From<NotProtobuf> for WatchFault {
    fn from(NotProtobuf: NotProtobuf) -> WatchFault {
        WatchFault::Garbage("the body is not protobuf")
    }
}

/// A refusal of the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The HTTP status, or the code in an ERROR event's `Status`.
    pub(super) code: u16,
    /// The `Status` object's reason, such as `Expired`.
    pub(super) reason: String,
    /// The `Status` object's message, truncated and without control characters.
    pub(super) message: String,
    /// `Retry-After`, or the same in the `Status`.
    pub(super) retry_after: Option<Duration>,
    /// It came as an event, in a response that began with success.
    pub(super) is_event: bool,
    /// It has a `Status`: it comes from the API server itself, not from a proxy before it.
    pub(super) has_status: bool,
}

impl Refusal {
    /// Parses the `Status` object of an ERROR event, in either encoding. `None` if it is another object.
    pub(super) fn of_event(object: &[u8]) -> Option<Refusal> {
        let status = match object.starts_with(MAGIC) {
            true => ApiStatus::of_protobuf(object).ok()?,
            false => serde_json::from_slice(object).ok()?,
        };
        if status.kind != "Status" {
            return None;
        }
        Some(Refusal {
            code: status.code.unwrap_or(0),
            reason: clean(&status.reason),
            message: clean(&status.message),
            retry_after: status.details.and_then(|details| details.retry_after_seconds).map(Duration::from_secs),
            is_event: true,
            has_status: true,
        })
    }

    /// Parses the body of an error response. A body that is not a `Status` is ignored.
    pub(super) fn of_response(code: u16, body: &[u8], retry_after: Option<Duration>) -> Refusal {
        match Refusal::of_event(body) {
            Some(refusal) => {
                Refusal { code, is_event: false, retry_after: retry_after.or(refusal.retry_after), ..refusal }
            }
            None => Refusal {
                code,
                reason: String::new(),
                message: String::new(),
                retry_after,
                is_event: false,
                has_status: false,
            },
        }
    }

    /// Whether the resource version or the continue token is useless, so that only a new list helps. "Too large" is a
    /// version that the server has not reached, as after etcd was restored from a backup.
    pub(super) fn is_expired(&self) -> bool {
        matches!(self.reason.as_str(), "Expired" | "Gone")
            || self.code == 410
            || (self.code == 504 && self.message.contains("Too large resource version"))
    }

    /// Whether the server does not know streaming lists, or cannot serve them from its etcd.
    pub(super) fn is_of_streaming(&self) -> bool {
        let words = ["RequestWatchProgress", "sendInitialEvents", "resourceVersionMatch", "WatchList"];
        matches!(self.code, 400 | 405 | 422 | 501) || words.iter().any(|word| self.message.contains(word))
    }

    /// Whether the server refused this request, instead of us (401, 403) or any request at the moment (429, 503). A
    /// proxy's error does not say so.
    pub(super) fn is_of_request(&self) -> bool {
        self.has_status && !matches!(self.code, 401 | 403 | 429 | 503)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.code)?;
        for (separator, text) in [(" ", &self.reason), (": ", &self.message)] {
            if !text.is_empty() {
                write!(f, "{separator}{text}")?;
            }
        }
        if self.code == 401 {
            f.write_str("; a rotated token file is read again within a minute")?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct ApiStatus {
    kind: String,
    code: Option<u16>,
    reason: String,
    message: String,
    details: Option<ApiStatusDetails>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiStatusDetails {
    retry_after_seconds: Option<u64>,
}

impl ApiStatus {
    /// `meta.v1.Status` as a self-contained object.
    fn of_protobuf(bytes: &[u8]) -> Result<ApiStatus, NotProtobuf> {
        let wrapped = Wrapped::read(bytes)?;
        let kind = wrapped.kind().unwrap_or_default().into_owned();
        let mut status = ApiStatus { kind, ..ApiStatus::default() };
        for field in MessageFields::of(wrapped.message) {
            match field? {
                (3, Value::Bytes(message)) => status.message = text(message).into_owned(),
                (4, Value::Bytes(reason)) => status.reason = text(reason).into_owned(),
                (5, Value::Bytes(details)) => status.details = Some(ApiStatusDetails::of_protobuf(details)?),
                (6, Value::Number(code)) => status.code = u16::try_from(code).ok(),
                _ => {}
            }
        }
        Ok(status)
    }
}

impl ApiStatusDetails {
    /// `meta.v1.StatusDetails`. Protobuf writes no wait as 0, and JSON leaves it out.
    fn of_protobuf(message: &[u8]) -> Result<ApiStatusDetails, NotProtobuf> {
        let mut retry_after_seconds = None;
        for field in MessageFields::of(message) {
            if let (5, Value::Number(seconds)) = field? {
                retry_after_seconds = u32::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(u64::from);
            }
        }
        Ok(ApiStatusDetails { retry_after_seconds })
    }
}

/// Text from elsewhere, safe for a log line.
fn clean(text: &str) -> String {
    text.chars().take(MESSAGE_LEN_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::protobuf::write::{bytes, number, wrapped};
    use super::*;

    fn status(code: u16, reason: &str, message: &str) -> Refusal {
        let json = serde_json::json!({"kind": "Status", "code": code, "reason": reason, "message": message});
        Refusal::of_event(json.to_string().as_bytes()).expect("a Status")
    }

    #[test]
    fn knows_what_a_refusal_means() {
        // (code, reason, message), expired, about streaming lists, about this request
        let cases = [
            ((410, "Expired", "too old resource version: 1 (2)"), true, false, true),
            ((410, "Gone", ""), true, false, true),
            ((0, "Expired", ""), true, false, true),
            ((504, "Timeout", "Too large resource version: 9, current: 1"), true, false, true),
            ((504, "Timeout", "request timed out"), false, false, true),
            ((400, "BadRequest", ""), false, true, true),
            ((422, "Invalid", "sendInitialEvents: Forbidden"), false, true, true),
            ((500, "InternalError", "required storage feature RequestWatchProgress is disabled"), false, true, true),
            ((500, "InternalError", "etcdserver: leader changed"), false, false, true),
            ((401, "Unauthorized", ""), false, false, false),
            ((403, "Forbidden", ""), false, false, false),
            ((429, "TooManyRequests", ""), false, false, false),
            ((503, "ServiceUnavailable", ""), false, false, false),
        ];
        for ((code, reason, message), expired, streaming, request) in cases {
            let refusal = status(code, reason, message);
            assert_eq!(refusal.is_expired(), expired, "{refusal}");
            assert_eq!(refusal.is_of_streaming(), streaming, "{refusal}");
            assert_eq!(refusal.is_of_request(), request, "{refusal}");
        }
        assert!(!Refusal::of_response(502, b"<html>Bad Gateway", None).is_of_request());
    }

    #[test]
    fn reads_how_long_to_wait() {
        let body = br#"{"kind":"Status","code":429,"details":{"retryAfterSeconds":7}}"#;
        let seconds = Duration::from_secs;
        assert_eq!(Refusal::of_response(429, body, None).retry_after, Some(seconds(7)));
        assert_eq!(Refusal::of_response(429, body, Some(seconds(3))).retry_after, Some(seconds(3)));
        assert_eq!(Refusal::of_response(503, b"", Some(seconds(3))).retry_after, Some(seconds(3)));
        assert_eq!(Refusal::of_response(503, b"", None).retry_after, None);
    }

    #[test]
    fn reads_the_same_from_protobuf() {
        let details = bytes(5, &[bytes(1, b"pods"), number(5, 7)].concat());
        let fields = [bytes(2, b"Failure"), bytes(3, b"a\nb"), bytes(4, b"TooManyRequests"), number(6, 429)].concat();
        let object = wrapped("Status", &[fields, details].concat());
        let json = br#"{"kind":"Status","code":429,"reason":"TooManyRequests","message":"a\nb","details":{"retryAfterSeconds":7}}"#;
        assert_eq!(Refusal::of_event(&object), Refusal::of_event(json));
        assert!(Refusal::of_event(json).is_some());
        for odd in [wrapped("Pod", b""), wrapped("Status", &[0x0a, 9]), b"k8s\0\xff".to_vec()] {
            assert_eq!(Refusal::of_event(&odd), None);
        }
    }

    #[test]
    fn is_no_status() {
        for json in ["", "{}", "[]", r#"{"kind":"Pod"}"#, r#"{"kind":"Status","code":"x"}"#, r#"{"kind":7}"#] {
            assert_eq!(Refusal::of_event(json.as_bytes()), None, "{json}");
        }
    }

    #[test]
    fn a_message_is_one_bounded_line() {
        let refusal = status(500, "", &format!("a\nb\u{1b}{}", "x".repeat(10_000)));
        assert!(refusal.message.starts_with("a b x"));
        assert!(refusal.to_string().len() < 400);
    }
}
