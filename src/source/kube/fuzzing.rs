//! Reads bodies for the fuzz target, with the splitters and readers of lists and watches and without HTTP.

use std::sync::LazyLock;

use hyper::body::Bytes;

use super::body::{BodyEncoding, BodyShape};
use super::fault::WatchFault;
use super::list::{event, item};
use super::split::Splitter;
use crate::registration::PRESETS;
use crate::source::WatchProfile;

/// The presets: together they name labels, annotations and ports.
static PROFILES: LazyLock<Vec<WatchProfile>> = LazyLock::new(|| PRESETS.iter().map(WatchProfile::of_preset).collect());

/// Everything that a body in these chunks yields, in order, up to its end or its fault.
pub fn read<'b>(encoding: BodyEncoding, is_list: bool, chunks: impl IntoIterator<Item = &'b [u8]>) -> Vec<String> {
    let shape = if is_list { BodyShape::List } else { BodyShape::Sequence };
    let mut output = Vec::new();
    if let Err(fault) = read_chunks(Splitter::new(encoding, shape), is_list, chunks, &mut output) {
        output.push(fault.to_string());
    }
    output
}

fn read_chunks<'b>(
    mut splitter: Splitter,
    is_list: bool,
    chunks: impl IntoIterator<Item = &'b [u8]>,
    output: &mut Vec<String>,
) -> Result<(), WatchFault> {
    let encoding = splitter.encoding();
    for chunk in chunks {
        splitter.push(Bytes::copy_from_slice(chunk));
        while let Some(piece) = splitter.next()? {
            if is_list {
                let pod = item(piece, encoding, &PROFILES);
                output.push(format!("{pod:?} foreign={}", splitter.envelope()?.is_foreign()));
            } else {
                output.push(format!("{:?}", event(piece, encoding, &PROFILES)?));
            }
        }
    }
    if !splitter.is_whole() {
        output.push("cut".to_owned());
    } else if is_list {
        output.push(format!("{:?}", splitter.envelope()?.end()?));
    }
    Ok(())
}
