//! What go-micro's Kubernetes registry writes: an annotation for each service, with its nodes.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::collector::Collector;
use super::draft::Draft;
use super::field::Field;
use super::json::Object;
use super::table::{self, MetadataTable};
use super::{PodParts, Problem, ProblemKey, Reason, json, path};

/// The beginning of the annotations' keys. The rest is the service's name, with `_` for what a key cannot have.
pub(super) const PREFIX: &str = "micro.mu/service-";

/// Reads the services of a Pod, in the order of their keys.
pub(super) fn read(parts: &PodParts, collector: &mut Collector) {
    for (name, text) in parts.annotations_under(PREFIX) {
        let key = format!("{PREFIX}{name}");
        let from = collector.problem_count();
        if let Err(problem) = service(text, &key, collector) {
            collector.problem(problem);
        }
        collector.name_keys(from, |_| ProblemKey::json(&key));
    }
}

/// Registers each node of a service.
fn service(text: &str, key: &str, collector: &mut Collector) -> Result<(), Problem> {
    let bad_json = |offset| Problem { offset, key: Some(ProblemKey::json(key)), reason: Reason::BadJson };
    let service = Object::of(table::parse(text, key)?).ok_or_else(|| bad_json(0))?;
    let texts = (service.text("name"), service.text("version"), metadata(&service));
    let (Some(name), Some(version), Some(metadata)) = texts else { return Err(bad_json(0)) };
    let method = |endpoint| Object::of(endpoint)?.text("name");
    let methods: Vec<Cow<'_, str>> = service.items("endpoints").filter_map(method).collect();

    let mut shared = Draft::default();
    shared.add_len(name.len() + version.len() + methods.iter().map(|method| method.len()).sum::<usize>());
    shared.put(Field::Interface, &name, 0);
    shared.put(Field::Version, &version, 0);
    methods.iter().for_each(|method| shared.put(Field::Method, method, 0));
    shared.put_table(&metadata);
    for raw in service.items("nodes") {
        match MicroNode::of(raw) {
            Some(node) => node.register(&shared, collector),
            None => collector.problem(bad_json(raw.get().as_ptr().addr().saturating_sub(text.as_ptr().addr()))),
        }
    }
    Ok(())
}

/// A process that offers a service.
struct MicroNode<'t> {
    address: Cow<'t, str>,
    /// Written apart from the address by go-micro 1.0. Empty or 0 by later ones.
    port: Cow<'t, str>,
    protocol: Cow<'t, str>,
    metadata: MetadataTable<'t>,
}

impl<'t> MicroNode<'t> {
    fn of(raw: &'t RawValue) -> Option<MicroNode<'t>> {
        let object = Object::of(raw)?;
        let mut metadata = metadata(&object)?;
        let protocol = metadata.take(Field::Protocol.name()).unwrap_or_default();
        Some(MicroNode { address: object.text("address")?, port: object.text("port")?, protocol, metadata })
    }

    fn register(&self, shared: &Draft<'_>, collector: &mut Collector) {
        let apart = Some(&*self.port).filter(|port| !matches!(*port, "" | "0"));
        let (host, port) = match path::host_and_port(&self.address) {
            Some(place) if apart.is_none() => place,
            _ => (&*self.address, apart),
        };
        let mut draft = Draft::default();
        draft.add_len(self.address.len());
        draft.put(Field::Ip, host, 0);
        draft.put(Field::Protocol, &self.protocol, 0);
        port.into_iter().for_each(|port| draft.put(Field::Port, port, 0));
        draft.put_table(&self.metadata);
        draft.register(shared, 0, collector);
    }
}

/// The metadata of a service or node. `None` if it is no object.
fn metadata<'t>(object: &Object<'t>) -> Option<MetadataTable<'t>> {
    let mut table = MetadataTable::default();
    if let Some(metadata) = object.member("metadata") {
        table.add_members(json::members(metadata)?);
    }
    Some(table)
}
