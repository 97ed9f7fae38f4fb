//! An event of a watch, and the envelope of a list.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::body::{BodyEncoding, Envelope};
use super::fault::{Refusal, WatchFault};
use super::json_pod::RawPod;
use super::pod_object::PodObject;
use super::protobuf::{MAGIC, MessageFields, PodMessage, Value, last_bytes};
use crate::source::{ProfilePods, WatchProfile};

/// The annotation of the bookmark that ends a streaming list (Kubernetes API concepts, "Streaming lists").
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// The event of a watch, decoded. Unlike a [`crate::source::Change`] it has a Pod for each profile, and it may be one that no profile sees: a
/// bookmark, or an object that cannot be read.
#[derive(Debug, PartialEq)]
pub(super) enum WatchEvent {
    /// ADDED or MODIFIED.
    Apply(ProfilePods),
    /// DELETED. Only the uid matters; the last state is ignored.
    Remove(std::sync::Arc<str>),
    /// BOOKMARK. `ends_list` if it marks the end of the initial events.
    Bookmark {
        /// It ends a streaming list.
        ends_list: bool,
    },
    /// A Pod that cannot be read, or an unknown type of event.
    Unreadable,
}

/// An event, and the resource version to continue from after it.
pub(super) type VersionedEvent = (WatchEvent, Option<String>);

#[derive(Deserialize)]
struct RawEvent<'j> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'j, str>,
    #[serde(borrow)]
    object: Option<&'j RawValue>,
}

impl WatchEvent {
    /// Parses an event. An ERROR event, an object of another kind, and anything that is not an event are faults.
    pub(super) fn read(
        event: &[u8],
        encoding: BodyEncoding,
        profiles: &[WatchProfile],
    ) -> Result<VersionedEvent, WatchFault> {
        match encoding {
            BodyEncoding::Json => WatchEvent::of_json(event, profiles),
            BodyEncoding::Protobuf => WatchEvent::of_protobuf(event, profiles),
        }
    }

    fn of_json(json: &[u8], profiles: &[WatchProfile]) -> Result<VersionedEvent, WatchFault> {
        let Ok(event) = serde_json::from_slice::<RawEvent<'_>>(json) else {
            // Some servers send a bare Status instead of an event.
            return Err(Refusal::of_event(json).map_or(WatchFault::Garbage("not a watch event"), WatchFault::Refused));
        };
        let object = event.object.map_or("{}", RawValue::get);
        if event.kind == "ERROR" {
            return Err(of_error(object.as_bytes()));
        }
        match RawPod::read(object.as_bytes()) {
            Ok(pod) => WatchEvent::of_object(&event.kind, &pod, profiles),
            Err(_) => Ok((WatchEvent::Unreadable, None)),
        }
    }

    /// `meta.v1.WatchEvent`: field 1 is the type, field 2 a `RawExtension`. Field 1 of that is a self-contained
    /// object.
    fn of_protobuf(event: &[u8], profiles: &[WatchProfile]) -> Result<VersionedEvent, WatchFault> {
        let no_event = || WatchFault::Garbage("not a watch event");
        if event.starts_with(MAGIC) {
            return Err(Refusal::of_event(event).map_or_else(no_event, WatchFault::Refused));
        }
        let (mut kind, mut object) = (None, [].as_slice());
        for field in MessageFields::of(event) {
            match field.map_err(|_| no_event())? {
                (1, Value::Bytes(bytes)) => kind = std::str::from_utf8(bytes).ok(),
                (2, Value::Bytes(raw)) => object = last_bytes(raw, 1).unwrap_or_default(),
                _ => {}
            }
        }
        let kind = kind.ok_or_else(no_event)?;
        if kind == "ERROR" {
            return Err(of_error(object));
        }
        match PodMessage::of_wrapped(object) {
            Ok(pod) => WatchEvent::of_object(kind, &pod, profiles),
            Err(_) => Ok((WatchEvent::Unreadable, None)),
        }
    }

    fn of_object(kind: &str, pod: &impl PodObject, profiles: &[WatchProfile]) -> Result<VersionedEvent, WatchFault> {
        if pod.kind().is_some_and(|kind| kind != "Pod") {
            return Err(WatchFault::Garbage("an event of another kind than Pod"));
        }
        let known = match kind {
            "ADDED" | "MODIFIED" => pod.to_pods(profiles).map(WatchEvent::Apply),
            "DELETED" => pod.uid().map(|uid| WatchEvent::Remove(uid.into())),
            "BOOKMARK" => {
                let ends_list = pod.has_annotation(INITIAL_EVENTS_END, "true");
                Some(WatchEvent::Bookmark { ends_list })
            }
            _ => None,
        };
        let version = pod.resource_version().filter(|version| is_version(version)).map(str::to_owned);
        Ok((known.unwrap_or(WatchEvent::Unreadable), version))
    }
}

/// The fault of an ERROR event.
fn of_error(object: &[u8]) -> WatchFault {
    Refusal::of_event(object).map_or(WatchFault::Garbage("an ERROR event without a Status"), WatchFault::Refused)
}

impl Envelope {
    /// Parses the envelope's JSON.
    pub(super) fn of_json(json: &[u8]) -> Result<Envelope, WatchFault> {
        serde_json::from_slice(json).map_err(|_| WatchFault::Garbage("the list is broken"))
    }

    /// Whether the part read so far says that the list has another kind than Pods.
    pub(super) fn is_foreign(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| kind != "PodList")
    }

    /// The list's resource version, and the token of the next page if there is one.
    pub(super) fn end(self) -> Result<(String, Option<String>), WatchFault> {
        if self.kind.as_deref() != Some("PodList") {
            return Err(WatchFault::Garbage("the list is of another kind than Pods"));
        }
        let version = self.metadata.resource_version.filter(|version| is_version(version));
        let version = version.ok_or(WatchFault::Garbage("the list has no resource version"))?;
        Ok((version, self.metadata.more.filter(|token| !token.is_empty())))
    }
}

/// Whether a watch can continue from it: 0 means any version.
fn is_version(version: &str) -> bool {
    !version.is_empty() && version != "0"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::profile::pairs;

    fn read(json: &str) -> Result<VersionedEvent, String> {
        WatchEvent::read(json.as_bytes(), BodyEncoding::Json, &[pairs("k")]).map_err(|fault| fault.to_string())
    }

    #[test]
    fn reads_events() {
        let sound = r#"{"kind":"Pod","metadata":{"name":"p","namespace":"n","uid":"u","resourceVersion":"7"}}"#;
        for kind in ["ADDED", "MODIFIED"] {
            let (event, version) = read(&format!(r#"{{"type":"{kind}","object":{sound}}}"#)).expect(kind);
            assert!(matches!(event, WatchEvent::Apply(pods) if &*pods[0].uid == "u" && pods[0].resource_version == 7));
            assert_eq!(version.as_deref(), Some("7"));
        }
        let cases = [
            (format!(r#"{{"type":"DELETED","object":{sound}}}"#), WatchEvent::Remove("u".into()), Some("7")),
            (
                r#"{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"9","creationTimestamp":null}}}"#.into(),
                WatchEvent::Bookmark { ends_list: false },
                Some("9"),
            ),
            (
                r#"{"object":{"metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}},"type":"BOOKMARK"}"#.into(),
                WatchEvent::Bookmark { ends_list: true },
                Some("9"),
            ),
            (r#"{"type":"ADDED","object":{"kind":"Pod","metadata":{"resourceVersion":"7"}}}"#.into(), WatchEvent::Unreadable, Some("7")),
            (r#"{"type":"ADDED","object":{"metadata":{"resourceVersion":"0"}}}"#.into(), WatchEvent::Unreadable, None),
            (r#"{"type":"ADDED","object":7}"#.into(), WatchEvent::Unreadable, None),
            (r#"{"type":"ADDED","object":null}"#.into(), WatchEvent::Unreadable, None),
            (r#"{"type":"ADDED"}"#.into(), WatchEvent::Unreadable, None),
            (format!(r#"{{"type":"RENAMED","object":{sound}}}"#), WatchEvent::Unreadable, Some("7")),
        ];
        for (json, event, version) in cases {
            assert_eq!(read(&json), Ok((event, version.map(str::to_owned))), "{json}");
        }
    }

    #[test]
    fn reads_errors() {
        let cases = [
            (
                r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"old"}}"#,
                "answers 410 Expired: old",
            ),
            (r#"{"kind":"Status","code":500,"reason":"InternalError"}"#, "answers 500 InternalError"),
            (r#"{"type":"ERROR","object":{"code":410}}"#, "ERROR event without a Status"),
            (r#"{"type":"ERROR"}"#, "ERROR event without a Status"),
            (
                r#"{"type":"ADDED","object":{"kind":"Service","metadata":{"name":"p","namespace":"n","uid":"u"}}}"#,
                "another kind than Pod",
            ),
            (r#"{"kind":"PodList","items":[]}"#, "not a watch event"),
            ("{}", "not a watch event"),
        ];
        for (json, expected) in cases {
            let fault = read(json).expect_err(json);
            assert!(fault.contains(expected), "{json}: {fault}");
        }
    }

    #[test]
    fn reads_envelopes() {
        let cases = [
            (r#"{"kind":"PodList","metadata":{"resourceVersion":"5"},"items":[]}"#, Ok(("5".into(), None))),
            (r#"{"kind":"PodList","metadata":{"resourceVersion":"5","continue":""}}"#, Ok(("5".into(), None))),
            (
                r#"{"kind":"PodList","metadata":{"resourceVersion":"5","continue":"x"}}"#,
                Ok(("5".into(), Some("x".into()))),
            ),
            (r#"{"kind":"PodList","metadata":{}}"#, Err("no resource version")),
            (r#"{"kind":"PodList","metadata":{"resourceVersion":"0"}}"#, Err("no resource version")),
            (r#"{"kind":"ServiceList","metadata":{"resourceVersion":"5"}}"#, Err("another kind than Pods")),
            ("{}", Err("another kind than Pods")),
            (r#"{"kind":"PodList","metadata":7}"#, Err("the list is broken")),
        ];
        for (json, expected) in cases {
            let end: Result<(String, Option<String>), String> =
                Envelope::of_json(json.as_bytes()).and_then(Envelope::end).map_err(|fault| fault.to_string());
            match expected {
                Ok(expected) => assert_eq!(end, Ok(expected), "{json}"),
                Err(text) => assert!(end.as_ref().is_err_and(|error| error.contains(text)), "{json}: {end:?}"),
            }
        }
    }
}
