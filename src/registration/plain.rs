//! Plain annotations: one for each field of a registration, under one prefix.

use super::collector::Collector;
use super::draft::Draft;
use super::field::{Field, META_PREFIX, NAMES, REGISTER, is_boolean};
use super::ports::ContainerPorts;
use super::{PodParts, Problem, ProblemKey, Reason};

/// Reads the registration of the annotations under a prefix.
pub(super) fn read(prefix: &str, parts: &PodParts, collector: &mut Collector) {
    let problem = |name: &str, reason| Problem {
        offset: 0,
        key: Some(ProblemKey::annotation(&format!("{prefix}{name}"))),
        reason,
    };
    let mut draft = Draft::default();
    let mut metadata = Vec::new();
    let (mut is_there, mut is_fit) = (false, true);
    for (name, value) in parts.annotations_under(prefix) {
        draft.add_len(prefix.len() + name.len() + value.len());
        let has_fault = |name: &str| matches!(name, "enabled" | REGISTER) && !is_boolean(value);
        match field(name) {
            _ if has_fault(name) => {
                is_fit = false;
                collector.problem(problem(name, Reason::NotBoolean));
            }
            Some(field) => {
                is_there = true;
                if !value.is_empty() {
                    draft.put(field, value, 0);
                }
            }
            None if name == REGISTER => is_fit &= !value.eq_ignore_ascii_case("true"),
            None if let Some(key) = name.strip_prefix(META_PREFIX) => {
                is_there = true;
                metadata.push((key, value));
            }
            None => collector.problem(problem(name, Reason::UnknownKey)),
        }
    }
    if !is_there || !is_fit {
        return;
    }
    draft.put_metadata(metadata);
    let from = collector.problem_count();
    draft.register_at(ContainerPorts::of(parts), 0, collector);
    collector.name_keys(from, |field| ProblemKey::annotation(&format!("{prefix}{field}")));
}

fn field(name: &str) -> Option<Field> {
    Field::of(name).filter(|field| field.name() == name && NAMES.contains(&name))
}
