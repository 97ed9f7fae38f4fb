//! Server-sent events (WHATWG HTML, section 9.2), written and read. `/v1/watch` uses them.

/// The media type of an event stream.
pub const CONTENT_TYPE: &str = "text/event-stream";

/// The header with the id after which a client resumes a stream (WHATWG HTML, section 9.2.4).
pub const LAST_EVENT_ID: &str = "last-event-id";

/// The longest event that is read. A set of 200,000 endpoints takes some 300 bytes each.
const EVENT_LEN_MAX: usize = 64 * 1024 * 1024;

/// The event that carries the whole set.
pub const SET: &str = "set";

/// The event that carries what changed since the event before.
pub const CHANGE: &str = "change";

/// The bytes before an event's data. The id and the data must hold no line break; JSON on one line never does.
#[cfg(feature = "server")]
pub fn encode_head(event: &str, id: &str) -> String {
    debug_assert!(!id.contains(['\n', '\r']));
    format!("event: {event}\nid: {id}\ndata: ")
}

/// The bytes after an event's data.
#[cfg(feature = "server")]
pub const END: &str = "\n\n";

/// Whether a stream can resume after this id. Events before the last one of a round have revision 0, and it cannot
/// resume after those.
pub fn is_resumable(id: &str) -> bool {
    !id.ends_with("-0")
}

/// Encodes a heartbeat: a comment, and the id to resume after. It dispatches no event.
#[cfg(feature = "server")]
pub fn encode_heartbeat(id: &str) -> String {
    format!(": \nid: {id}\n\n")
}

/// A decoded event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// The event's type. Empty if the stream gives none.
    pub event: String,
    /// The data lines, joined by line feeds.
    pub data: String,
}

/// An event is longer than [`SseDecoder`] accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is over {EVENT_LEN_MAX} bytes")]
pub struct EventTooLong;

/// Decodes a stream piece by piece.
#[derive(Debug, Default)]
pub struct SseDecoder {
    line: Vec<u8>,
    /// The last byte was a carriage return, so a line feed now ends no further line.
    was_return: bool,
    event: SseEvent,
    has_data: bool,
    id: Option<String>,
    last_id: Option<String>,
}

impl SseDecoder {
    /// The id to resume after: that of the last event, or of a heartbeat after it.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Returns the events that end in this piece.
    ///
    /// # Errors
    /// An event is too long.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, EventTooLong> {
        let mut events = Vec::new();
        for &byte in bytes {
            match byte {
                b'\n' if self.was_return => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.end_line(&String::from_utf8_lossy(&line)));
                }
                _ => self.line.push(byte),
            }
            self.was_return = byte == b'\r';
            if self.line.len() + self.event.data.len() > EVENT_LEN_MAX {
                return Err(EventTooLong);
            }
        }
        Ok(events)
    }

    /// Takes in a line. An empty one ends an event.
    fn end_line(&mut self, line: &str) -> Option<SseEvent> {
        if line.is_empty() {
            self.last_id = self.id.clone().or(self.last_id.take());
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.event = value.to_owned(),
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => {} // a comment, or an unknown field
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event: &str, data: &str) -> SseEvent {
        SseEvent { event: event.into(), data: data.into() }
    }

    #[test]
    fn streams() {
        for (stream, events, id) in [
            ("", vec![], None),
            ("event: set\nid: a-1\ndata: {}\n\n", vec![event("set", "{}")], Some("a-1")),
            ("event: set\r\nid: a-1\r\ndata: {}\r\n\r\n", vec![event("set", "{}")], Some("a-1")),
            ("event:set\rid:a-1\rdata:{}\r\r", vec![event("set", "{}")], Some("a-1")),
            ("data: a\ndata\ndata:  b\n\n", vec![event("", "a\n\n b")], None),
            (": \n\n: x\nretry: 1000\nid: a-2\n\n", vec![], Some("a-2")),
            ("event: set\n\ndata: x\n\n", vec![event("", "x")], None),
            ("id: a-1\ndata: x\n\ndata: y\n\n", vec![event("", "x"), event("", "y")], Some("a-1")),
            ("id: a-1\ndata: x", vec![], None),
        ] {
            let mut whole = SseDecoder::default();
            assert_eq!(whole.read(stream.as_bytes()), Ok(events.clone()), "{stream:?}");
            assert_eq!(whole.last_id(), id, "{stream:?}");
            let mut pieces = SseDecoder::default();
            let found: Vec<SseEvent> =
                stream.as_bytes().chunks(1).flat_map(|byte| pieces.read(byte).expect("short")).collect();
            assert_eq!((found, pieces.last_id()), (events, id), "{stream:?} byte by byte");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut decoder = SseDecoder::default();
        let encode = |event, id, data: &str| encode_head(event, id) + data + END;
        let stream = [encode(SET, "i-7", r#"{"a":"ö\n"}"#), encode_heartbeat("i-8"), encode(CHANGE, "i-9", "{}")];
        assert_eq!(decoder.read(stream[0].as_bytes()), Ok(vec![event(SET, r#"{"a":"ö\n"}"#)]));
        assert_eq!(decoder.read(stream[1].as_bytes()), Ok(vec![]));
        assert_eq!(decoder.last_id(), Some("i-8"));
        assert_eq!(decoder.read(stream[2].as_bytes()), Ok(vec![event(CHANGE, "{}")]));
        assert_eq!(decoder.last_id(), Some("i-9"));
    }

    #[test]
    fn an_event_over_the_bound_is_refused() {
        let mut decoder = SseDecoder::default();
        let endless = vec![b'x'; 1024 * 1024];
        assert!((0..=64).map(|_| decoder.read(&endless)).any(|read| read == Err(EventTooLong)));
    }
}
