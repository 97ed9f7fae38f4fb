//! `callsign decode`: says what a text registers. The text is an annotation's value, annotations, or a whole Pod.

use std::borrow::Cow;
use std::fmt::Write;
use std::io::Read;

use serde::Serialize;

use super::decoded::{
    ConsumerView, RegistrationView, consumers_table, kept_back, message_without_pod, needs_pod, registrations_table,
};
use super::encode::is_of_the_whole;
use super::print::{TextTable, count, json};
use super::{CommandError, CommandOutput, read_input, without_mark};
use crate::cli::DecodeArgs;
use crate::registration::{self, Consumer, Decoded, Encoding, PRESETS, Problem, ProfileText, Registration};
use crate::source::WatchProfile;
use crate::source::files::{self, GivenError, GivenText, LoadReport, ManifestObject, Texts};

/// What may be given. An error about any other input ends with it.
const INPUTS: &str = "\
give the value of an annotation (base64, or JSON that begins with [ or {), annotations as YAML or JSON, as from
    kubectl get pod NAME -o jsonpath='{.metadata.annotations}'
or a whole Pod, as from
    kubectl get pod NAME -o yaml
";

/// What to give if the port depends on the Pod's container ports.
const NO_PORTS: &str = "annotations alone do not tell the container ports: give the whole Pod, as `kubectl get pod NAME -o yaml` prints it\n";

/// Prints what a text registers. Anything that cannot be decoded is a finding.
///
/// # Errors
/// Standard input cannot be read.
pub fn decode(args: &DecodeArgs, input: &mut dyn Read) -> Result<CommandOutput, CommandError> {
    let text = match args.value.as_str() {
        "-" => Cow::Owned(read_input(input)?),
        value => Cow::Borrowed(without_mark(value)),
    };
    let contents = Contents::of(&text);
    let text = if args.json { json(&ContentsView::of(&contents)) } else { contents.text() };
    Ok(CommandOutput { text, notes: contents.advice, has_findings: !contents.problems.is_empty() })
}

/// What a text registers, and what of it cannot be read.
#[derive(Default)]
struct Contents {
    registrations: Vec<Registration>,
    consumers: Vec<Consumer>,
    problems: Vec<ProblemView>,
    /// What to give instead, or what else.
    advice: String,
}

impl Contents {
    fn of(text: &str) -> Contents {
        if text.trim().is_empty() {
            return Contents::unread("empty", None, "nothing is given: the input is empty");
        }
        match files::given(text, &profiles().collect::<Vec<_>>()) {
            Ok(GivenText::Value) => Contents::of_value(text),
            Ok(GivenText::Metadata { labels, annotations }) => Contents::of_metadata(&labels, &annotations),
            Ok(GivenText::Objects) => Contents::of_objects(text),
            Err(GivenError::NotYaml(reason)) => {
                Contents::unread("not-yaml", None, &format!("not base64, and {reason}"))
            }
            Err(GivenError::NotString(key, reason)) => {
                let key = format!("annotation {key}");
                let message = format!("{key}: {reason}");
                Contents::unread("not-a-string", Some(key), &message)
            }
        }
    }

    fn unread(reason: &'static str, key: Option<String>, message: &str) -> Contents {
        let problem = ProblemView { offset: 0, key, reason, message: message.to_owned() };
        Contents { problems: vec![problem], advice: INPUTS.to_owned(), ..Contents::default() }
    }

    fn of_value(text: &str) -> Contents {
        let decoded = registration::decode_value(text);
        let is_nonsense = decoded.problems.iter().any(|problem| is_of_the_whole(problem.reason));
        let advice = if is_nonsense { INPUTS.to_owned() } else { String::new() };
        Contents { advice, ..Contents::default() }.with_podless(decoded)
    }

    fn of_metadata(labels: &Texts, annotations: &Texts) -> Contents {
        fn pairs(texts: &Texts) -> impl Iterator<Item = (&str, &str)> {
            texts.iter().map(|(key, value)| (key.as_str(), value.as_str()))
        }
        let mut contents = Contents::default();
        let (mut is_named, mut has_labels) = (false, false);
        for WatchProfile { annotation, encoding, .. } in profiles() {
            let wanted = encoding.wanted();
            let text = ProfileText::of(annotation.as_deref(), &wanted, pairs(labels), pairs(annotations), []);
            let has_any =
                text.value.is_some() || text.parts.as_ref().is_some_and(|parts| !parts.annotations.is_empty());
            is_named |= has_any;
            has_labels |= has_any && !wanted.labels.is_empty();
            contents = contents.with_podless(registration::decode(&text, &encoding));
        }
        if !is_named {
            return Contents::without_annotation();
        }
        if has_labels && labels.is_empty() && contents.is_empty() {
            let message = "the labels are not given, and what these annotations register stands in one of them: give the \
                           whole Pod";
            return Contents::unread("no-labels", None, message);
        }
        contents
    }

    /// Whether nothing is registered and nothing is wrong.
    fn is_empty(&self) -> bool {
        self.registrations.is_empty() && self.consumers.is_empty() && self.problems.is_empty()
    }

    fn of_objects(text: &str) -> Contents {
        let profiles: Vec<WatchProfile> = profiles().collect();
        let mut contents = Contents::default();
        let mut objects = 0;
        let LoadReport { problems, problems_left_out, .. } = files::read_text(text, &profiles, |found| {
            objects += 1;
            let by_profile = match found {
                ManifestObject::Pod(pod) => pod.by_profile,
                ManifestObject::Template(template) => template.by_profile,
            };
            for (at, text) in by_profile {
                if let Some(profile) = profiles.get(at) {
                    contents = std::mem::take(&mut contents).with(registration::decode(&text, &profile.encoding));
                }
            }
        });
        contents.problems.extend(problems.iter().map(|problem| ProblemView::of_manifest(problem.to_string())));
        if problems_left_out > 0 {
            contents.problems.push(ProblemView::of_manifest(format!("{problems_left_out} more problems")));
        }
        if objects == 0 && contents.problems.is_empty() {
            return Contents::unread("no-pod", None, "no Pod and no Pod template is in it");
        }
        if contents.is_empty() && contents.advice.is_empty() {
            return Contents::without_annotation();
        }
        contents
    }

    fn without_annotation() -> Contents {
        let message = "no annotation in it is one of a registration, such as app.io/interface, app.io/annotation or \
                       dubbo.io/annotation";
        Contents::unread("no-annotation", None, message)
    }

    fn with(self, decoded: Decoded) -> Contents {
        let problems: Vec<ProblemView> = decoded.problems.iter().map(ProblemView::of).collect();
        self.extended(decoded, problems)
    }

    /// Adds what was decoded without the Pod, so without its container ports.
    fn with_podless(self, decoded: Decoded) -> Contents {
        let view = |problem| ProblemView { message: message_without_pod(problem), ..ProblemView::of(problem) };
        let problems: Vec<ProblemView> = decoded.problems.iter().map(view).collect();
        let is_unsure = decoded.problems.iter().any(needs_pod);
        let mut contents = self.extended(decoded, problems);
        if is_unsure && !contents.advice.contains(NO_PORTS) {
            contents.advice.push_str(NO_PORTS);
        }
        contents
    }

    fn extended(mut self, decoded: Decoded, problems: Vec<ProblemView>) -> Contents {
        self.registrations.extend(decoded.registrations);
        self.consumers.extend(decoded.consumers);
        self.problems.extend(problems);
        self
    }

    /// Tables of registrations, consumers and problems, and a summary line.
    fn text(&self) -> String {
        let mut text = String::new();
        if !self.registrations.is_empty() {
            let _ = writeln!(text, "{}", registrations_table(&self.registrations));
        }
        if !self.consumers.is_empty() {
            let _ = writeln!(text, "{}", consumers_table(&self.consumers));
        }
        if !self.problems.is_empty() {
            let mut table = TextTable::new(&["OFFSET", "COULD-NOT-BE-READ"]);
            for problem in &self.problems {
                table.push([&problem.offset.to_string(), &problem.message]);
            }
            let _ = writeln!(text, "{table}");
        }
        let (withheld, left_out) = kept_back(&self.registrations);
        let _ = writeln!(
            text,
            "{}, {}, {}; {} withheld as secrets, {} left out for their keys",
            count(self.registrations.len(), "registration"),
            count(self.consumers.len(), "consumer"),
            count(self.problems.len(), "problem"),
            count(withheld, "pair"),
            count(left_out, "pair"),
        );
        text
    }
}

/// The presets that read what somebody has written, whatever a Pod's labels. Every Pod of a chart has the labels that the
/// preset `labels` reads.
fn profiles() -> impl Iterator<Item = WatchProfile> {
    let presets =
        PRESETS.iter().filter(|preset| preset.annotation.is_some() || !matches!(preset.encoding(), Encoding::Keys(_)));
    presets.map(|preset| {
        let any = "".parse().expect("a selector of all");
        WatchProfile::new(preset.name, any, preset.annotation, preset.encoding())
    })
}

/// The contents as JSON.
#[derive(Serialize)]
struct ContentsView<'c> {
    registrations: Vec<RegistrationView<'c>>,
    consumers: Vec<ConsumerView<'c>>,
    problems: &'c [ProblemView],
}

impl ContentsView<'_> {
    fn of(contents: &Contents) -> ContentsView<'_> {
        ContentsView {
            registrations: contents.registrations.iter().map(RegistrationView::of).collect(),
            consumers: contents.consumers.iter().map(ConsumerView::of).collect(),
            problems: &contents.problems,
        }
    }
}

/// What cannot be read.
#[derive(Serialize)]
struct ProblemView {
    offset: usize,
    key: Option<String>,
    reason: &'static str,
    message: String,
}

impl ProblemView {
    fn of(problem: &Problem) -> ProblemView {
        let key = problem.key.as_ref().map(ToString::to_string);
        let message = problem.reason.about(problem.key.as_ref());
        ProblemView { offset: problem.offset, key, reason: problem.reason.kind(), message }
    }

    fn of_manifest(message: String) -> ProblemView {
        ProblemView { offset: 0, key: None, reason: "bad-manifest", message }
    }
}

#[cfg(test)]
mod tests;
