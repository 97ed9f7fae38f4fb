//! A registration as a JSON object: `{"interface": …, "port": …, "methods": […], "meta": {…}}`.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::collector::Collector;
use super::draft::Draft;
use super::elements::Element;
use super::field::{Field, MEMBERS, META, is_boolean};
use super::json::{self, Object};
use super::ports::ContainerPorts;
use super::{Problem, ProblemKey, Reason};

/// Reads the registrations of an object: one for each of its ports.
pub(super) fn read(object: &RawValue, element: &Element<'_>, ports: ContainerPorts<'_>, collector: &mut Collector) {
    let offset = element.offset;
    let Some(members) = json::members(object) else {
        return collector.problem(Problem { offset, key: None, reason: Reason::BadJson });
    };
    let mut reader = Reader { start: object.get().as_ptr().addr() - offset, ..Reader::default() };
    members.iter().for_each(|(name, value)| reader.member(name, value, collector));
    if let Some(fault) = reader.fault {
        return collector.problem(fault);
    }
    let mut draft = Draft::default();
    draft.add_len(element.len.saturating_sub(reader.ports_len));
    reader.texts.iter().for_each(|(field, text, offset)| draft.put(*field, text, *offset));
    draft.put_metadata(reader.metadata.iter().map(|(key, value)| (&**key, &**value)));
    let from = collector.problem_count();
    draft.register_at(ports, offset, collector);
    collector.name_keys(from, ProblemKey::member);
}

/// The text of a key in an object's metadata.
pub(super) fn metadata_text(object: &RawValue, key: &str) -> Option<String> {
    let metadata = Object::of(Object::of(object)?.member(META)?)?;
    metadata.text(key).map(Cow::into_owned)
}

/// The members of an object so far. Their texts outlive the draft.
#[derive(Default)]
struct Reader<'t> {
    /// Where the decoded JSON begins in memory.
    start: usize,
    texts: Vec<(Field, Cow<'t, str>, usize)>,
    metadata: Vec<(Cow<'t, str>, Cow<'t, str>)>,
    seen: Vec<&'static str>,
    /// The length of `port`.
    ports_len: usize,
    /// The first member that could not be read. It might have been any value, so the object is refused.
    fault: Option<Problem>,
}

impl<'t> Reader<'t> {
    fn member(&mut self, name: &str, value: &'t RawValue, collector: &mut Collector) {
        let offset = self.offset(value);
        let problem = |reason| Problem { offset, key: Some(ProblemKey::member(name)), reason };
        let Some(known) = MEMBERS.into_iter().find(|known| *known == name) else {
            return collector.problem(problem(Reason::UnknownKey));
        };
        if self.seen.contains(&known) {
            return self.refuse(problem(Reason::Repeated));
        }
        self.seen.push(known);
        let is_read = match Field::of(known) {
            _ if json::is_null(value) => Some(()),
            None => return self.metadata(value, collector),
            Some(Field::Port) => {
                self.ports_len = value.get().len();
                self.each(Field::Port, value).or_else(|| self.text(Field::Port, value))
            }
            Some(Field::Methods) => self.each(Field::Method, value).or_else(|| self.text(Field::Methods, value)),
            Some(field) => self.text(field, value),
        };
        if is_read.is_none() {
            self.refuse(problem(Reason::BadValue));
        }
    }

    /// Reads a string, number or boolean.
    fn text(&mut self, field: Field, value: &'t RawValue) -> Option<()> {
        let (text, offset) = (json::scalar(value).ok()?, self.offset(value));
        if field == Field::Enabled && !is_boolean(&text) {
            self.refuse(Problem { offset, key: Some(ProblemKey::member(field.name())), reason: Reason::NotBoolean });
        }
        if !text.is_empty() {
            self.texts.push((field, text, offset));
        }
        Some(())
    }

    /// Reads an array.
    fn each(&mut self, field: Field, value: &'t RawValue) -> Option<()> {
        json::items(value)?.into_iter().try_for_each(|item| {
            let offset = self.offset(item);
            self.texts.push((field, json::scalar(item).ok()?, offset));
            Some(())
        })
    }

    fn metadata(&mut self, value: &'t RawValue, collector: &mut Collector) {
        let problem = |offset| Problem { offset, key: Some(ProblemKey::member(META)), reason: Reason::BadValue };
        let Some(members) = json::members(value) else {
            return collector.problem(problem(self.offset(value)));
        };
        for (key, value) in members {
            match json::scalar(value) {
                Ok(text) => self.metadata.push((key, text)),
                Err(_) if json::is_null(value) => {}
                Err(_) => collector.problem(problem(self.offset(value))),
            }
        }
    }

    fn refuse(&mut self, problem: Problem) {
        self.fault.get_or_insert(problem);
    }

    fn offset(&self, value: &RawValue) -> usize {
        value.get().as_ptr().addr() - self.start
    }
}
