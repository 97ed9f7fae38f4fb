//! The encoding in fields: `k` is a field's name. Each `interface` begins a registration. What comes before the first
//! one applies to the whole process.

use super::collector::Collector;
use super::draft::Draft;
use super::elements::{BadPair, Element, Pair};
use super::field::Field;
use super::{Problem, ProblemKey, Reason};

/// Reads fields in the order written.
#[derive(Default)]
pub(super) struct FieldsDecoder<'t> {
    process: Draft<'t>,
    open: Option<OpenRegistration<'t>>,
    /// The offset of the first pair, until an interface comes.
    homeless: Option<usize>,
}

/// The registration that pairs belong to now.
struct OpenRegistration<'t> {
    offset: usize,
    draft: Draft<'t>,
    /// Its first pair that could not be decoded. The pair might have been any field, so the whole registration is
    /// refused.
    fault: Option<Problem>,
}

impl<'t> FieldsDecoder<'t> {
    /// Takes the next pair that is not a registry path.
    pub(super) fn pair(&mut self, pair: &'t Pair<'_>, element: &Element<'_>, collector: &mut Collector) {
        let field = Field::of(&pair.key);
        if field == Some(Field::Interface) {
            self.close(collector);
            self.homeless = None;
            self.open = Some(OpenRegistration { offset: element.offset, draft: Draft::default(), fault: None });
        } else if self.open.is_none() {
            self.homeless.get_or_insert(element.offset);
        }
        let value = match &pair.value {
            Ok(value) => value,
            Err(reason) => {
                let key = field.map(|field| ProblemKey::Field(field.name()));
                return self.fault(Problem { offset: element.offset, key, reason: *reason }, collector);
            }
        };
        let draft = self.open.as_mut().map_or(&mut self.process, |open| &mut open.draft);
        if field != Some(Field::Port) {
            draft.add_len(element.len);
        }
        match field {
            Some(field) => draft.put(field, value, element.offset),
            None => draft.put_pair(&pair.key, value),
        }
    }

    /// Takes the next element, which could not be decoded.
    pub(super) fn bad(&mut self, BadPair { member, reason }: BadPair, offset: usize, collector: &mut Collector) {
        self.fault(Problem { offset, key: member.map(ProblemKey::Field), reason }, collector);
    }

    /// Ends the last registration. Reports pairs without an interface, unless the annotation has registry paths.
    pub(super) fn finish(mut self, has_paths: bool, collector: &mut Collector) {
        self.close(collector);
        if let (Some(offset), false) = (self.homeless, has_paths) {
            let key = Some(ProblemKey::Field(Field::Interface.name()));
            collector.problem(Problem { offset, key, reason: Reason::NoInterface });
        }
    }

    fn fault(&mut self, problem: Problem, collector: &mut Collector) {
        match &mut self.open {
            Some(open) => _ = open.fault.get_or_insert(problem),
            None => collector.problem(problem),
        }
    }

    fn close(&mut self, collector: &mut Collector) {
        match self.open.take() {
            Some(OpenRegistration { fault: Some(problem), .. }) => collector.problem(problem),
            Some(open) => open.draft.register(&self.process, open.offset, collector),
            None => {}
        }
    }
}
