//! A registration as written, and the checks that turn it into a [`Registration`]. All encodings use them.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use super::collector::Collector;
use super::field::Field;
use super::keys::Keys;
use super::ports::{ContainerPorts, Port, port_number};
use super::table::MetadataTable;
use super::{
    DEFAULT_PROTOCOL, DEFAULT_WEIGHT, Problem, ProblemKey, REGISTRATIONS_MAX, Reason, Registration, metadata, secret,
};

/// The most ports of one registration that are looked at. One more than there may be registrations, so that it is refused.
const PORTS_MAX: usize = REGISTRATIONS_MAX + 1;

/// A field's value, and the offset of its element.
#[derive(Clone, Copy)]
struct FieldValue<'t> {
    text: &'t str,
    offset: usize,
    /// The offset of a second value, if there is one.
    repeated_at: Option<usize>,
}

/// What is written about one registration, or about the whole process.
#[derive(Default)]
pub(super) struct Draft<'t> {
    /// Indexed by [`Field`].
    once: [Option<FieldValue<'t>>; Field::ALL.len()],
    ports: Vec<FieldValue<'t>>,
    methods: Vec<&'t str>,
    pairs: Vec<(&'t str, &'t str)>,
    /// The bytes of JSON that it takes.
    written_len: usize,
    /// How many pairs of metadata were left out because of their values.
    left_out: u32,
}

impl<'t> Draft<'t> {
    /// Allocates for this many pairs.
    pub(super) fn reserve(&mut self, pairs: usize) {
        self.pairs.reserve_exact(pairs);
    }

    /// Counts the bytes of an element, without those of ports: no registration has all of these.
    pub(super) fn add_len(&mut self, len: usize) {
        self.written_len += len;
    }

    /// Whether a field has a value. Always false for `port`.
    pub(super) fn has(&self, field: Field) -> bool {
        self.first(field).is_some()
    }

    /// The first value of a field.
    fn first(&self, field: Field) -> Option<&FieldValue<'t>> {
        self.once.get(field as usize)?.as_ref()
    }

    /// Adds a field's value from the element at `offset`.
    pub(super) fn put(&mut self, field: Field, text: &'t str, offset: usize) {
        let value = FieldValue { text, offset, repeated_at: None };
        match field {
            Field::Port => return self.ports.push(value),
            Field::Method if text.is_empty() => {}
            Field::Method => self.methods.push(text),
            Field::Methods => self.methods.extend(text.split(',').map(str::trim).filter(|name| !name.is_empty())),
            _ => {}
        }
        match &mut self.once[field as usize] {
            place @ None => *place = Some(value),
            Some(_) if field == Field::Method => {}
            Some(first) => _ = first.repeated_at.get_or_insert(offset),
        }
    }

    /// Adds a pair that is not a field.
    pub(super) fn put_pair(&mut self, key: &'t str, text: &'t str) {
        self.pairs.push((key, text));
    }

    /// Adds metadata, after all fields. If no weight is given, that of the metadata counts.
    pub(super) fn put_metadata(&mut self, pairs: impl IntoIterator<Item = (&'t str, &'t str)>) {
        for (key, text) in pairs {
            match integer(text).filter(|_| key == Field::Weight.name() && !self.has(Field::Weight)) {
                Some(weight) => self.put(Field::Weight, weight, 0),
                None => self.put_pair(key, text),
            }
        }
    }

    /// Adds metadata that another registrar wrote, after all fields.
    pub(super) fn put_table(&mut self, table: &'t MetadataTable<'_>) {
        self.add_len(table.len());
        self.left_out += table.left_out;
        self.put_metadata(table.entries.iter().map(|(key, value)| (&**key, &**value)));
    }

    /// Creates one registration for each port. `self` is what was written at `offset`, `process` what applies to the
    /// whole process.
    pub(super) fn register(&self, process: &Draft<'_>, offset: usize, collector: &mut Collector) {
        let is_own = !self.ports.is_empty();
        let ports = if is_own { &self.ports } else { &process.ports };
        let ports = ports.iter().map(|port| Port {
            offset: if is_own { port.offset } else { offset },
            number: port_number(port.text),
            protocol: None,
        });
        self.register_ports(process, ports, offset, collector);
    }

    /// Creates one registration for each port. Container ports stand in for ports that are not numbers, and for a
    /// protocol that is not given.
    pub(super) fn register_at(&self, ports: ContainerPorts<'_>, offset: usize, collector: &mut Collector) {
        let has_protocol = self.first(Field::Protocol).is_some_and(|protocol| !protocol.text.is_empty());
        let found = self.ports_at(ports, offset).into_iter();
        let found = found.map(|port| Port { protocol: port.protocol.filter(|_| !has_protocol), ..port });
        self.register_ports(&Draft::default(), found, offset, collector);
    }

    /// Its ports, and the container ports that stand in for them. Each has the name of the container port found.
    pub(super) fn ports_at<'p>(&self, ports: ContainerPorts<'p>, offset: usize) -> Vec<Port<'p>> {
        let protocol = self.first(Field::Protocol).map_or("", |protocol| protocol.text);
        match self.ports.is_empty() {
            true => ports.standing_in(protocol, offset).into_iter().collect(),
            false => self.ports.iter().take(PORTS_MAX).map(|port| ports.written(port.text, port.offset)).collect(),
        }
    }

    /// Creates one registration for each of these ports.
    ///
    /// A problem's offset is that of the element at fault if the registration has it, otherwise that of the
    /// registration.
    pub(super) fn register_ports<'p>(
        &self,
        process: &Draft<'_>,
        ports: impl ExactSizeIterator<Item = Port<'p>>,
        offset: usize,
        collector: &mut Collector,
    ) {
        let written_out_len = self.written_len + process.written_len;
        if !collector.make_room(offset, written_out_len) {
            return; // before any work on it
        }
        let merged = Merged { own: self, process, offset };
        let mut portless = match merged.portless(&mut collector.keys) {
            Ok(registration) => Some(registration),
            Err(problem) => return collector.problem(problem),
        };
        let count = ports.len();
        if count == 0 {
            collector.problem(problem(offset, Field::Port, Reason::NoPort));
        }
        for (index, port) in ports.enumerate() {
            // The protocol stands where the port does.
            let protocol = port.protocol.map(|protocol| name(protocol, Field::Port, port.offset)).transpose();
            match (port.number, protocol) {
                (None, _) => collector.problem(problem(port.offset, Field::Port, Reason::BadPort)),
                (_, Err(problem)) => collector.problem(problem),
                (Some(_), _) if index > 0 && !collector.make_room(port.offset, written_out_len) => return,
                (Some(number), Ok(protocol)) => {
                    let is_last = index + 1 == count;
                    let written = if is_last { portless.take() } else { portless.clone() };
                    let offset = if index == 0 { offset } else { port.offset };
                    if let Some(registration) = written {
                        let protocol = protocol.flatten().unwrap_or_else(|| registration.protocol.clone());
                        collector.registration(Registration { port: number, protocol, offset, ..registration });
                    }
                }
            }
        }
    }
}

/// A registration's own fields, with those of the whole process as defaults.
struct Merged<'d, 't, 'p> {
    own: &'d Draft<'t>,
    process: &'d Draft<'p>,
    offset: usize,
}

impl Merged<'_, '_, '_> {
    /// The registration without its port.
    fn portless(&self, keys: &mut Keys) -> Result<Registration, Problem> {
        let fields = [Field::Methods, Field::Application, Field::Enabled, Field::Disabled];
        fields.into_iter().try_for_each(|field| self.text(field).map(drop))?; // given twice, a field has no clear value
        let no_interface = problem(self.offset_of(Field::Interface), Field::Interface, Reason::NoInterface);
        let weight = self.weight()?;
        let says = |field, word: &str| self.plain(field).is_some_and(|text| text.eq_ignore_ascii_case(word));
        let written = metadata::WrittenMetadata {
            application: self.plain(Field::Application).unwrap_or_default(),
            methods: if self.own.has(Field::Method) || self.own.has(Field::Methods) {
                &self.own.methods
            } else {
                &self.process.methods
            },
            own: &self.own.pairs,
            process: &self.process.pairs,
            weight: weight.map(|weight| weight.max(1)),
        };
        let mut metadata = written.metadata(keys);
        metadata.left_out += self.own.left_out + self.process.left_out;
        Ok(Registration {
            interface: self.name(Field::Interface)?.ok_or(no_interface)?,
            group: self.name(Field::Group)?,
            version: self.name(Field::Version)?,
            protocol: self.name(Field::Protocol)?.unwrap_or_else(|| DEFAULT_PROTOCOL.into()),
            address: self.address()?,
            port: 0, // the caller sets the port
            weight: weight.unwrap_or(DEFAULT_WEIGHT).max(1),
            enabled: weight != Some(0) && !says(Field::Enabled, "false") && !says(Field::Disabled, "true"),
            metadata,
            offset: self.offset,
        })
    }

    /// The offset for a field's problems.
    fn offset_of(&self, field: Field) -> usize {
        self.own.first(field).map_or(self.offset, |value| value.offset)
    }

    /// The first value of a field.
    fn plain(&self, field: Field) -> Option<&str> {
        let (own, process) = (self.own.first(field), self.process.first(field));
        own.map(|value| value.text).or(process.map(|value| value.text))
    }

    /// A field's value, or an empty text if it has none.
    fn text(&self, field: Field) -> Result<&str, Problem> {
        let repeated = |place| Err(problem(place, field, Reason::Repeated));
        match (self.own.first(field), self.process.first(field)) {
            (Some(FieldValue { repeated_at: Some(place), .. }), _) => repeated(*place),
            (None, Some(FieldValue { repeated_at: Some(_), .. })) => repeated(self.offset),
            (Some(value), _) | (None, Some(value)) => Ok(value.text),
            (None, None) => Ok(""),
        }
    }

    fn name(&self, field: Field) -> Result<Option<Arc<str>>, Problem> {
        name(self.text(field)?, field, self.offset_of(field))
    }

    fn address(&self) -> Result<Option<IpAddr>, Problem> {
        let text = self.text(Field::Ip)?;
        address(text).ok_or_else(|| problem(self.offset_of(Field::Ip), Field::Ip, Reason::BadAddress))
    }

    fn weight(&self) -> Result<Option<u16>, Problem> {
        let text = self.text(Field::Weight)?;
        weight(text).ok_or_else(|| problem(self.offset_of(Field::Weight), Field::Weight, Reason::BadWeight))
    }
}

fn problem(offset: usize, field: Field, reason: Reason) -> Problem {
    Problem { offset, key: Some(ProblemKey::Field(field.name())), reason }
}

/// Checks an interface, group, version or protocol. `None` if it is empty.
///
/// # Errors
/// It has control characters, or looks like a secret.
pub(super) fn name(text: &str, field: Field, offset: usize) -> Result<Option<Arc<str>>, Problem> {
    if text.chars().any(char::is_control) {
        return Err(problem(offset, field, Reason::ControlCharacters));
    }
    if secret::is_secret(text) {
        return Err(problem(offset, field, Reason::Secret));
    }
    Ok((!text.is_empty()).then(|| text.into()))
}

/// `Some(None)` for the Pod's own addresses, `None` for an invalid address.
fn address(text: &str) -> Option<Option<IpAddr>> {
    if text.is_empty() {
        return Some(None);
    }
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = match bracketed {
        Some(text) => IpAddr::V6(text.parse::<Ipv6Addr>().ok()?),
        None => text.parse::<IpAddr>().ok()?,
    };
    let address = address.to_canonical(); // IPv4-mapped is IPv4
    Some((!address.is_unspecified()).then_some(address))
}

/// `Some(None)` if no weight is given, `None` if it is not a whole number. A value that is too large becomes the
/// largest.
fn weight(text: &str) -> Option<Option<u16>> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| (!text.is_empty()).then(|| text.parse().unwrap_or(u16::MAX))) // digits fail only by size
}

/// The metadata `weight` of other registrars, which may have a sign, as a weight. `None` if it is not an integer.
fn integer(text: &str) -> Option<&str> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.strip_prefix('-') {
        Some(digits) if is_number(digits) => Some(if digits.bytes().all(|byte| byte == b'0') { "0" } else { "1" }),
        _ => Some(text.strip_prefix('+').unwrap_or(text)).filter(|text| is_number(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let given = |text: &str| Some(Some(text.parse::<IpAddr>().unwrap()));
        for (text, expected) in [
            ("", Some(None)),
            ("0.0.0.0", Some(None)),
            ("::", Some(None)),
            ("[::]", Some(None)),
            ("::ffff:0.0.0.0", Some(None)),
            ("10.244.0.81", given("10.244.0.81")),
            ("::ffff:10.0.0.1", given("10.0.0.1")),
            ("FD00::1", given("fd00::1")),
            ("[fd00::1]", given("fd00::1")),
            ("[10.0.0.1]", None),
            ("fe80::1%eth0", None),
            ("[fd00::1", None),
            ("10.0.0.01", None),
            ("10.0.0", None),
            (" 10.0.0.1", None),
            ("localhost", None),
        ] {
            assert_eq!(address(text), expected, "{text:?}");
        }
    }

    #[test]
    fn ports_and_weights() {
        for (text, port, weighed) in [
            ("1", Some(1), Some(Some(1))),
            ("65535", Some(65535), Some(Some(65535))),
            ("65536", None, Some(Some(65535))),
            ("99999999999999999999999", None, Some(Some(65535))),
            ("0", None, Some(Some(0))),
            ("080", None, Some(Some(80))),
            ("", None, Some(None)),
            ("abc", None, None),
            ("+1", None, None),
            ("-1", None, None),
            ("1.0", None, None),
            (" 1", None, None),
            ("١", None, None),
        ] {
            assert_eq!(port_number(text), port, "{text:?}");
            assert_eq!(weight(text), weighed, "{text:?}");
        }
    }
}
