//! Reads the needed parts of a Pod from its protobuf.
//!
//! As in JSON, a field of a wrong type counts as absent, and so does a broken nested message. A Pod is refused only if
//! it is not a message at all, or has no name or uid.

use std::borrow::Cow;

use super::{MessageFields, NotProtobuf, Value, Wrapped, last_bytes, text};
use crate::registration::ProfileText;
use crate::source::kube::pod_object::{PodObject, addresses, is_tcp, keeps_running, phase};
use crate::source::profile::ProfileTexts;
use crate::source::{Pod, PodIps, PodStatus};

/// A Pod's message, split into the needed fields.
#[derive(Debug, Default)]
pub(in crate::source::kube) struct PodMessage<'b> {
    kind: Option<Cow<'b, str>>,
    metadata: MetadataMessage<'b>,
    /// `core.v1.PodSpec`. Its containers are looked at only if a profile needs their ports.
    spec: &'b [u8],
    status: StatusMessage<'b>,
}

/// `meta.v1.ObjectMeta`
#[derive(Debug, Default)]
struct MetadataMessage<'b> {
    message: &'b [u8],
    name: ProtobufText<'b>,
    namespace: ProtobufText<'b>,
    uid: ProtobufText<'b>,
    resource_version: ProtobufText<'b>,
    is_terminating: bool,
}

/// `core.v1.PodStatus`
#[derive(Debug, Default)]
struct StatusMessage<'b> {
    message: &'b [u8],
    phase: ProtobufText<'b>,
    is_ready: bool,
    host_ip: ProtobufText<'b>,
    pod_ip: ProtobufText<'b>,
    start_time: Option<i64>,
}

/// A text. An empty one counts as absent.
#[derive(Debug, Default)]
struct ProtobufText<'b>(Cow<'b, str>);

impl<'b> PodMessage<'b> {
    /// Splits a self-contained Pod.
    pub(in crate::source::kube) fn of_wrapped(bytes: &'b [u8]) -> Result<PodMessage<'b>, NotProtobuf> {
        let wrapped = Wrapped::read(bytes)?;
        Ok(PodMessage { kind: wrapped.kind(), ..PodMessage::read(wrapped.message)? })
    }

    /// Splits a list's item. Its kind is that of its list.
    pub(in crate::source::kube) fn read(message: &'b [u8]) -> Result<PodMessage<'b>, NotProtobuf> {
        let mut pod = PodMessage::default();
        for field in MessageFields::of(message) {
            match field? {
                (1, Value::Bytes(message)) => pod.metadata = MetadataMessage::read(message).unwrap_or_default(),
                (2, Value::Bytes(message)) => pod.spec = message,
                (3, Value::Bytes(message)) => pod.status = StatusMessage::read(message).unwrap_or_default(),
                _ => {}
            }
        }
        Ok(pod)
    }
}

impl PodObject for PodMessage<'_> {
    fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    fn uid(&self) -> Option<&str> {
        self.metadata.uid.get()
    }

    fn resource_version(&self) -> Option<&str> {
        self.metadata.resource_version.get()
    }

    fn has_annotation(&self, key: &str, value: &str) -> bool {
        let mut has_value = false;
        self.metadata.each_text(12, |of| of == key, |_, text| has_value = text == Some(value));
        has_value
    }

    fn pod(&self) -> Option<Pod> {
        let MetadataMessage { name, namespace, .. } = &self.metadata;
        Some(Pod {
            namespace: namespace.get()?.into(),
            name: name.get()?.into(),
            uid: self.uid()?.into(),
            resource_version: self.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0),
            status: PodStatus {
                phase: phase(self.status.phase.get()),
                ready: self.status.is_ready,
                terminating: self.metadata.is_terminating,
                host_network: host_network(self.spec).unwrap_or_default(),
                pod_ips: self.status.addresses(12, &self.status.pod_ip),
                host_ips: self.status.addresses(16, &self.status.host_ip).into_vec().into(),
                start_time: self.status.start_time,
            },
            text: ProfileText::default(),
        })
    }

    fn collect(&self, texts: &mut ProfileTexts<'_>) {
        let keys = texts.keys();
        if keys.have_labels() {
            self.metadata.each_text(11, |key| keys.take_label(key), |key, value| texts.put_label(key, value));
        }
        self.metadata.each_text(12, |key| keys.take_annotation(key), |key, value| texts.put_annotation(key, value));
        if texts.takes_ports() {
            for (containers, is_init) in [(2, false), (20, true)] {
                messages(self.spec, containers).for_each(|container| collect_ports(container, is_init, texts));
            }
        }
    }
}

impl<'b> MetadataMessage<'b> {
    fn read(message: &'b [u8]) -> Result<MetadataMessage<'b>, NotProtobuf> {
        let mut metadata = MetadataMessage { message, ..MetadataMessage::default() };
        for field in MessageFields::of(message) {
            match field? {
                (1, Value::Bytes(bytes)) => metadata.name = ProtobufText(text(bytes)),
                (3, Value::Bytes(bytes)) => metadata.namespace = ProtobufText(text(bytes)),
                (5, Value::Bytes(bytes)) => metadata.uid = ProtobufText(text(bytes)),
                (6, Value::Bytes(bytes)) => metadata.resource_version = ProtobufText(text(bytes)),
                // Any value: better one endpoint less for a moment than one that is ending.
                (9, _) => metadata.is_terminating = true,
                _ => {}
            }
        }
        Ok(metadata)
    }

    /// Calls `put` for each entry of a map whose key is taken. Skips the others.
    fn each_text(&self, map: u64, takes: impl Fn(&str) -> bool, mut put: impl FnMut(&str, Option<&str>)) {
        for entry in messages(self.message, map) {
            let key = last_bytes(entry, 1).map(text);
            if let Some(key) = key.filter(|key| takes(key)) {
                put(&key, Some(&text(last_bytes(entry, 2).unwrap_or_default())));
            }
        }
    }
}

impl<'b> StatusMessage<'b> {
    fn read(message: &'b [u8]) -> Result<StatusMessage<'b>, NotProtobuf> {
        let mut status = StatusMessage { message, ..StatusMessage::default() };
        for field in MessageFields::of(message) {
            match field? {
                (1, Value::Bytes(bytes)) => status.phase = ProtobufText(text(bytes)),
                (2, Value::Bytes(condition)) => status.is_ready |= is_ready(condition),
                (5, Value::Bytes(bytes)) => status.host_ip = ProtobufText(text(bytes)),
                (6, Value::Bytes(bytes)) => status.pod_ip = ProtobufText(text(bytes)),
                (7, Value::Bytes(time)) => status.start_time = seconds(time),
                _ => {}
            }
        }
        Ok(status)
    }

    /// The addresses of `PodIP` or `HostIP` messages in a field, or else the single one.
    fn addresses(&self, number: u64, single: &ProtobufText<'_>) -> PodIps {
        let list = messages(self.message, number);
        addresses(list.filter_map(|address| std::str::from_utf8(last_bytes(address, 1)?).ok()), single.get())
    }
}

impl ProtobufText<'_> {
    fn get(&self) -> Option<&str> {
        Some(self.0.as_ref()).filter(|text| !text.is_empty())
    }
}

/// `core.v1.PodSpec`: `hostNetwork`.
fn host_network(spec: &[u8]) -> Result<bool, NotProtobuf> {
    let mut is_set = false;
    for field in MessageFields::of(spec) {
        if let (11, Value::Number(value)) = field? {
            is_set = value != 0;
        }
    }
    Ok(is_set)
}

/// Puts the TCP ports of a `core.v1.Container` into a collector.
fn collect_ports(container: &[u8], is_init: bool, texts: &mut ProfileTexts<'_>) {
    let restart_policy = last_bytes(container, 24).and_then(|policy| std::str::from_utf8(policy).ok());
    if !keeps_running(is_init, restart_policy) {
        return;
    }
    for port in messages(container, 6) {
        let (mut name, mut number, mut protocol) = (ProtobufText::default(), 0, ProtobufText::default());
        for field in MessageFields::of(port) {
            match field {
                Ok((1, Value::Bytes(bytes))) => name = ProtobufText(text(bytes)),
                Ok((3, Value::Number(value))) => number = u16::try_from(value).unwrap_or_default(),
                Ok((4, Value::Bytes(bytes))) => protocol = ProtobufText(text(bytes)),
                Ok(_) | Err(NotProtobuf) => {}
            }
        }
        if is_tcp(protocol.get()) {
            texts.put_port(name.get().unwrap_or_default(), number);
        }
    }
}

/// The messages, entries or texts in a field of a message.
fn messages(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    MessageFields::of(message).filter_map(move |field| match field {
        Ok((this, Value::Bytes(bytes))) if this == number => Some(bytes),
        _ => None,
    })
}

/// Whether a `core.v1.PodCondition` is `Ready` and `True`.
fn is_ready(condition: &[u8]) -> bool {
    last_bytes(condition, 1) == Some(b"Ready") && last_bytes(condition, 2) == Some(b"True")
}

/// The seconds of a `meta.v1.Time`. `None` for the zero time, which has no seconds here and is null in JSON.
fn seconds(time: &[u8]) -> Option<i64> {
    MessageFields::of(time).find_map(|field| match field {
        Ok((1, Value::Number(seconds))) => Some(seconds.cast_signed()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::write::{bytes, number, wrapped};
    use super::*;
    use crate::source::kube::pod_object::running;
    use crate::source::profile::pairs;

    const KEY: &str = "app.io/annotation";

    fn entry(key: &str, value: &[u8]) -> Vec<u8> {
        bytes(12, &[bytes(1, key.as_bytes()), bytes(2, value)].concat())
    }

    fn metadata(more: &[u8]) -> Vec<u8> {
        bytes(1, &[&bytes(1, b"p"), &bytes(3, b"n"), &bytes(5, b"u"), more].concat())
    }

    fn status(fields: &[u8]) -> Vec<u8> {
        [metadata(&[]), bytes(3, fields)].concat()
    }

    fn pod(message: &[u8]) -> Option<Pod> {
        let pods = PodMessage::read(message).expect("a message").to_pods(&[pairs(KEY)]);
        pods.map(|pods| *pods.into_iter().next().expect("a profile"))
    }

    fn value(pod: Option<Pod>) -> Option<Arc<str>> {
        pod.and_then(|pod| pod.text.value)
    }

    #[test]
    fn reads_what_a_pod_is() {
        let condition = |kind: &[u8], value: &[u8]| bytes(2, &[bytes(1, kind), bytes(2, value)].concat());
        let ip = |field, text: &str| bytes(field, &bytes(1, text.as_bytes()));
        let meta = [bytes(6, b"42"), entry("other", b"x"), entry(KEY, b"W10="), bytes(17, b"managed")].concat();
        let fields = [
            bytes(1, b"Running"),
            condition(b"PodScheduled", b"False"),
            condition(b"Ready", b"True"),
            bytes(5, b"::ffff:192.0.2.1"),
            bytes(6, b"10.0.0.9"),
            bytes(7, &number(1, 1_704_164_645)),
            ip(12, "10.0.0.1"),
            ip(12, "fd00::1"),
            ip(12, "::ffff:10.0.0.1"),
        ];
        let message = [metadata(&meta), bytes(2, &number(11, 1)), bytes(3, &fields.concat())].concat();
        assert_eq!(pod(&message), Some(running()));
        let wrapped = wrapped("Pod", &message);
        let pod = PodMessage::of_wrapped(&wrapped).expect("a Pod");
        assert_eq!((pod.kind(), pod.uid(), pod.resource_version()), (Some("Pod"), Some("u"), Some("42")));
    }

    #[test]
    fn needs_a_name_a_namespace_and_a_uid() {
        let (name, namespace, uid) = (bytes(1, b"p"), bytes(3, b"n"), bytes(5, b"u"));
        for (fields, is_pod) in [
            ([name.clone(), namespace.clone(), uid.clone()].concat(), true),
            ([name.clone(), namespace.clone()].concat(), false),
            ([name.clone(), namespace.clone(), bytes(5, b"")].concat(), false),
            ([name.clone(), namespace.clone(), number(5, 7)].concat(), false),
            ([namespace, uid.clone()].concat(), false),
            ([name, uid].concat(), false),
            (vec![0xff; 3], false),
        ] {
            assert_eq!(pod(&bytes(1, &fields)).is_some(), is_pod, "{fields:x?}");
        }
        assert_eq!(pod(&[]), None);
    }

    #[test]
    fn an_odd_field_counts_as_absent_and_poisons_nothing() {
        let plain = pod(&metadata(&[])).expect("a Pod");
        assert_eq!(
            (&plain.status, plain.resource_version, &plain.text),
            (&PodStatus::default(), 0, &ProfileText::default())
        );
        let broken: &[u8] = &[0x0a, 0xff];
        for message in [
            [metadata(&[]), bytes(2, broken), bytes(3, broken)].concat(),
            [metadata(&[]), number(2, 1), number(3, 1)].concat(),
            metadata(&[number(6, 7), bytes(12, broken), number(12, 1)].concat()),
            metadata(&bytes(6, b"x")),
            status(&[number(1, 1), number(2, 1), number(5, 1), number(6, 1), number(7, 1), number(12, 1)].concat()),
            status(
                &[bytes(1, b"\xff"), bytes(2, broken), bytes(6, b"\xff"), bytes(12, broken), bytes(7, b"")].concat(),
            ),
        ] {
            assert_eq!(pod(&message).as_ref(), Some(&plain), "{message:x?}");
        }
        assert_eq!(value(pod(&metadata(&entry(KEY, b"a\xff")))).as_deref(), Some("a\u{fffd}"));
        assert_eq!(value(pod(&metadata(&entry(KEY, b"")))).as_deref(), Some(""));
        let ending = pod(&metadata(&bytes(9, &number(1, 1)))).expect("a Pod");
        assert!(ending.status.terminating);
    }

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        for bytes in [[0x0a, 5].as_slice(), &[0x0b], &[0xff; 12]] {
            assert!(PodMessage::read(bytes).is_err(), "{bytes:x?}");
            assert!(PodMessage::of_wrapped(&wrapped("Pod", bytes)).is_err(), "{bytes:x?}");
        }
    }
}
