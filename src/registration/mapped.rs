//! Labels, annotations and container ports that were written for others, read by a mapping.

use super::PodParts;
use super::collector::Collector;
use super::draft::Draft;
use super::field::Field;
use super::mapping::{Mapping, MetadataSource, PortSource};
use super::ports::{ContainerPorts, Port};
use super::table::{self, Entry, MetadataTable};

/// Reads what a mapping names. Nothing is registered, and nothing is a problem, without an interface.
pub(super) fn read(mapping: &Mapping, parts: &PodParts, collector: &mut Collector) {
    if mapping.interface.text(parts).is_empty() {
        return;
    }
    let ports = mapping.ports.as_deref().map(|key| table::ports(parts.annotation(key), key));
    match ports.unwrap_or_else(|| Ok(Vec::new())) {
        Ok(ports) => register(mapping, parts, &ports, MetadataTable::default(), collector),
        Err(problem) => collector.problem(problem),
    }
}

/// Registers what a mapping names at the ports that are written with their protocols, or else at those of the mapping.
pub(super) fn register<'p>(
    mapping: &'p Mapping,
    parts: &'p PodParts,
    written: &[Entry<'_>],
    mut metadata: MetadataTable<'p>,
    collector: &mut Collector,
) {
    add_metadata(mapping, parts, &mut metadata, collector);
    let mut draft = Draft::default();
    for (field, text) in mapping.fields().map(|(field, source)| (field, source.text(parts))) {
        if !text.is_empty() {
            draft.add_len(text.len());
            draft.put(field, text, 0);
        }
    }
    draft.put_table(&metadata);
    if let Some(PortSource::Text(source)) = &mapping.port {
        Some(source.text(parts))
            .filter(|text| !text.is_empty())
            .into_iter()
            .for_each(|text| draft.put(Field::Port, text, 0));
    }
    let from = collector.problem_count();
    let ports = ports(mapping, ContainerPorts::of(parts), written, &draft);
    draft.register_ports(&Draft::default(), ports.into_iter(), 0, collector);
    collector.name_keys(from, |field| mapping.key_of(field, !written.is_empty()));
}

/// Adds the metadata that a mapping names. Where some cannot be read, the rest holds.
fn add_metadata<'p>(
    mapping: &'p Mapping,
    parts: &'p PodParts,
    metadata: &mut MetadataTable<'p>,
    collector: &mut Collector,
) {
    for source in &mapping.metadata {
        match source {
            MetadataSource::Object(key) => {
                if let Err(problem) = metadata.add(parts.annotation(key), key) {
                    collector.problem(problem);
                }
            }
            MetadataSource::Prefix(prefix) => {
                let entries = parts.annotations_under(prefix);
                metadata.entries.extend(entries.map(|(key, value)| (key.into(), value.into())));
            }
        }
    }
}

/// The ports, each with its protocol if the registration gives none.
fn ports<'p>(
    mapping: &Mapping,
    container_ports: ContainerPorts<'p>,
    written: &'p [Entry<'_>],
    draft: &Draft<'p>,
) -> Vec<Port<'p>> {
    let has_protocol = draft.has(Field::Protocol);
    let of_container = |port: Port<'p>| {
        let name = port.protocol.filter(|_| !has_protocol);
        let cut = |name: &'p str| name.split('-').next().unwrap_or(name);
        Port { protocol: if mapping.cuts_port_names { name.map(cut) } else { name }, ..port }
    };
    let ports = match (&mapping.port, written) {
        (_, [_, ..]) => return written_ports(container_ports, written, of_container),
        (Some(PortSource::Named(name)), []) => vec![container_ports.named(name, 0)],
        (Some(PortSource::EveryNamed), []) => container_ports.every_named().collect(),
        (Some(PortSource::Text(_)) | None, []) => draft.ports_at(container_ports, 0),
    };
    let mut distinct = Vec::new();
    for port in ports.into_iter().map(of_container) {
        if !distinct.contains(&port) {
            distinct.push(port);
        }
    }
    distinct
}

/// The ports that are written with their protocols, by number: their writer orders them differently each time.
fn written_ports<'p>(
    container_ports: ContainerPorts<'p>,
    written: &'p [Entry<'_>],
    of_container: impl Fn(Port<'p>) -> Port<'p>,
) -> Vec<Port<'p>> {
    let port = |(port, protocol): &'p Entry<'_>| match container_ports.written(port, 0) {
        found if found.number.is_none() => Port { protocol: None, ..found },
        found if protocol.is_empty() => of_container(found),
        found => Port { protocol: Some(&**protocol), ..found },
    };
    let mut ports: Vec<Port<'p>> = written.iter().map(port).collect();
    ports.sort_by_key(|port| (port.number, port.protocol));
    ports.dedup();
    ports
}
