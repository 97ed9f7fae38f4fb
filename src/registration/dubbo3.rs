//! What Dubbo 3's Kubernetes registry writes: one annotation with the ports of the application and its metadata. Neither
//! the application's name nor its interfaces are in it.

use super::collector::Collector;
use super::field::Field;
use super::json::{self, Object};
use super::mapped;
use super::mapping::Mapping;
use super::table::{Entry, MetadataTable};
use super::{PodParts, Problem, ProblemKey, Reason};

/// The key of the annotation.
pub(super) const ANNOTATION: &str = "io.dubbo/metadata";

/// The member with the ports: a JSON array in a string.
const ENDPOINTS: &str = "dubbo.endpoints";

/// Reads the instance of an application. Without the annotation, or without an interface, nothing is registered, and
/// nothing is a problem.
pub(super) fn read(mapping: &Mapping, parts: &PodParts, collector: &mut Collector) {
    let text = parts.annotation(ANNOTATION);
    if text.is_empty() || mapping.interface.text(parts).is_empty() {
        return;
    }
    let problem = |reason| Problem { offset: 0, key: Some(ProblemKey::json(ANNOTATION)), reason };
    let mut metadata = MetadataTable::default();
    if let Err(problem) = metadata.add(text, ANNOTATION) {
        return collector.problem(problem);
    }
    let endpoints = metadata.take(ENDPOINTS).unwrap_or_default();
    match ports(&endpoints) {
        None => collector.problem(problem(Reason::BadJson)),
        Some(ports) if ports.is_empty() => collector.problem(problem(Reason::NoPort)),
        Some(ports) => {
            let from = collector.problem_count();
            mapped::register(mapping, parts, &ports, metadata, collector);
            let is_port = |field| field == Field::Port.name();
            let key = |field| if is_port(field) { ProblemKey::json(ANNOTATION) } else { ProblemKey::Field(field) };
            collector.name_keys(from, key);
        }
    }
}

/// Each port with its protocol. `None` if the text is not a JSON array of objects.
fn ports(text: &str) -> Option<Vec<Entry<'_>>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let endpoints = json::items(serde_json::from_str(text).ok()?)?;
    let texts = endpoints.into_iter().map(|endpoint| {
        let endpoint = Object::of(endpoint)?;
        Some((endpoint.text("port")?, endpoint.text("protocol")?))
    });
    texts.collect()
}
