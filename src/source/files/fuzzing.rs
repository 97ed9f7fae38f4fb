//! Reads a stream for the fuzz target and a test, with bounds that small inputs reach.

use std::path::Path;

use super::manifest::{self, Reading, STREAM_BOUNDS, StreamBounds};
use super::{LoadReport, WatchProfile};
use crate::registration::PRESETS;

/// The content of a stream.
#[derive(Debug, PartialEq)]
pub struct StreamContents {
    /// The Pods and Pod templates, each with its document.
    pub pods: Vec<String>,
    /// As the log has them.
    pub problems: Vec<String>,
    /// The other objects, by kind.
    pub ignored: String,
}

/// Reads a stream in chunks of this many bytes, and documents of at most this many bytes whole. `None` is as for a file.
pub fn read(stream: &[u8], chunk: Option<usize>, document: Option<usize>) -> StreamContents {
    let bounds = StreamBounds {
        chunk: chunk.unwrap_or(STREAM_BOUNDS.chunk),
        document: document.unwrap_or(STREAM_BOUNDS.document),
    };
    let everything = || "".parse().expect("a selector");
    let profiles: Vec<WatchProfile> = PRESETS
        .iter()
        .map(|preset| WatchProfile::new(preset.name, everything(), preset.annotation, preset.encoding()))
        .collect();
    let (file, mut report, mut pods) = (Path::new("file"), LoadReport::default(), Vec::new());
    let mut found = |object, document| pods.push(format!("{document}: {object:?}"));
    let reading = Reading { profiles: &profiles, has_templates: true };
    let result = manifest::read(file, stream, bounds, reading, &mut report, &mut found);
    report.end(file, pods.len(), result);
    let problems = report.problems.iter().map(ToString::to_string).collect();
    StreamContents { pods, problems, ignored: report.ignored.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text that is too long, breaks off or is not UTF-8 reads the same wherever the chunks end.
    #[test]
    fn chunks_make_no_difference() {
        let long = "x".repeat(300);
        let list = "kind: List\nitems:\n- {kind: Pod, metadata: {name: a}}\n";
        let streams: [String; 10] = [
            format!("{list}- {{kind: Pod, x: {long}}}\n- {{kind: Pod, metadata: {{name: b}}}}\n"),
            format!("{list}{long}: x\n- {{kind: Pod, metadata: {{name: b}}}}\n---\nkind: Job\n"),
            format!("{list}\r\n  - {long}\r- {{kind: Pod, metadata: {{name: b}}}}\n"),
            format!("{{\"kind\":\"List\",\"items\":[{{\"kind\":\"Job\",\"x\":\"{long}\"}}]}}\n%x\n---\nkind: Job\n"),
            format!("{{\"kind\":\"List\",\"items\":[{{\"kind\":\"Job\",\"x\":\"{long}\"}}]x\n{{\"kind\":\"Job\"}}\n"),
            format!(
                "{{\"x\":\"{long}\",\"items\":[]\n{{\"kind\":\"Job\"}}{{\"kind\":\"Job\"}}\n{{\"kind\":\"Job\"}}\n"
            ),
            format!("{{\"x\":\"{long}\",\"items\":[],\"kind\":\"List\"}}\n  a: b\n  kind: Job\n"),
            format!("{{\"x\": '}}', \"y\": \"{long}\"}}\n---\nkind: Job\n"),
            format!(
                "kind: Job\n...\n%x\n# {long}\n--- {long}\n---\n%{long}\n---\nkind: Job\n... {long}\n---\nkind: Job\n"
            ),
            "kind: Job # é\n---\nkind: Job # ééé\n---\nkind: Job # 😀\n---\nkind: Job\n".to_owned(),
        ];
        for stream in streams {
            // Every second byte of a character is lost.
            let bytes: Vec<u8> = stream
                .bytes()
                .enumerate()
                .filter(|(at, byte)| byte.is_ascii() || at % 2 == 0)
                .map(|(_, byte)| byte)
                .collect();
            for document in [None, Some(64)] {
                let whole = read(&bytes, None, document);
                for chunk in 4..100 {
                    assert_eq!(read(&bytes, Some(chunk), document), whole, "{stream} in chunks of {chunk}");
                }
            }
        }
    }
}
