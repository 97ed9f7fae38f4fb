//! The labels by which a name selects a group or a version: `g-…` and `v-…`.

use std::sync::Arc;

use crate::dns::LABEL_LEN_MAX;

/// What a name says about a group or a version, in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameSelector<V = Arc<[u8]>> {
    /// No selector: any value matches.
    Any,
    /// `v--none`, `g--none`: registered without one.
    None,
    /// The value's label, without `v-` or `g-`.
    Value(V),
}

impl NameSelector {
    /// The borrowed form, for lookups.
    pub fn as_slice(&self) -> NameSelector<&[u8]> {
        match self {
            NameSelector::Any => NameSelector::Any,
            NameSelector::None => NameSelector::None,
            NameSelector::Value(value) => NameSelector::Value(value),
        }
    }

    /// The selector of a group or version. `None` for a value without a label.
    fn of(value: Option<&str>) -> Option<NameSelector> {
        match value {
            None => Some(NameSelector::None),
            Some(value) => selector_label(value).map(|label| NameSelector::Value(label.into())),
        }
    }

    /// How many bytes its label takes on the wire.
    pub(super) fn wire_len(&self) -> usize {
        match self {
            NameSelector::Any => 0,
            NameSelector::None => 1 + "v--none".len(),
            NameSelector::Value(value) => 1 + "v-".len() + value.len(),
        }
    }
}

/// A value as the rest of a label after `v-` or `g-`, in lower case: `.` becomes `-`, and `-` becomes `--`.
///
/// `None` if two values could get the same label. So every `.` and `-` must be between two letters, digits or `_`.
pub(super) fn selector_label(value: &str) -> Option<Vec<u8>> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = value.as_bytes();
    let mut label = Vec::with_capacity(bytes.len() + 2);
    for (at, byte) in bytes.iter().enumerate() {
        let between = at > 0 && is_plain(&bytes[at - 1]) && bytes.get(at + 1).is_some_and(is_plain);
        match byte {
            b'.' if between => label.push(b'-'),
            b'-' if between => label.extend_from_slice(b"--"),
            byte if is_plain(byte) => label.push(byte.to_ascii_lowercase()),
            _ => return None,
        }
    }
    (!label.is_empty() && "v-".len() + label.len() <= LABEL_LEN_MAX).then_some(label)
}

/// Every pair of selectors whose name fits, (any, any) first and the most exact last.
pub(super) fn selections(group: Option<&str>, version: Option<&str>, room: usize) -> Vec<(NameSelector, NameSelector)> {
    let choices = |value| [Some(NameSelector::Any), NameSelector::of(value)].into_iter().flatten();
    let mut selections = Vec::with_capacity(4);
    for group in choices(group) {
        for version in choices(version) {
            if group.wire_len() + version.wire_len() <= room {
                selections.push((group.clone(), version));
            }
        }
    }
    selections
}

/// Whether a selector, which must be a valid label, matches a value.
pub(super) fn selects(selector: NameSelector<&[u8]>, value: Option<&str>) -> bool {
    match (selector, value) {
        (NameSelector::Any, _) | (NameSelector::None, None) => true,
        (NameSelector::Value(label), Some(value)) => {
            let spelt = value.bytes().flat_map(|byte| match byte {
                b'.' => [Some(b'-'), None],
                b'-' => [Some(b'-'), Some(b'-')],
                byte => [Some(byte.to_ascii_lowercase()), None],
            });
            spelt.flatten().eq(label.iter().copied())
        }
        _ => false,
    }
}
