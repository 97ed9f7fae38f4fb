//! Server-sent events (WHATWG HTML, section 9.2), written and read: what `/v1/watch` speaks.

/// The media type of a stream of events.
pub const CONTENT_TYPE: &str = "text/event-stream";

/// The header that tells where a stream that ended may be gone on with (WHATWG HTML, section 9.2.4).
pub const LAST_EVENT_ID: &str = "last-event-id";

/// The longest event that is read: a set of 200,000 endpoints takes some 300 bytes each.
const EVENT_LEN_MAX: usize = 64 * 1024 * 1024;

/// The whole set.
pub const SET: &str = "set";

/// What is different from what was told before.
pub const CHANGE: &str = "change";

/// What stands before an event's data. Neither the id nor the data may hold a line's end, which JSON on one
/// line never does.
pub fn encode_head(event: &str, id: &str) -> String {
    debug_assert!(!id.contains(['\n', '\r']));
    format!("event: {event}\nid: {id}\ndata: ")
}

/// What stands behind an event's data.
pub const END: &str = "\n\n";

/// Whether a stream can be gone on with from an id: the events before the last one of a round have revision 0.
pub fn is_resumable(id: &str) -> bool {
    !id.ends_with("-0")
}

/// Encodes a sign of life: a comment, and the id to go on from, which no event comes with.
pub fn encode_heartbeat(id: &str) -> String {
    format!(": \nid: {id}\n\n")
}

/// An event that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// What it is; empty where it does not say.
    pub event: String,
    /// Its data.
    pub data: String,
}

/// An event is longer than any that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is over {EVENT_LEN_MAX} bytes")]
pub struct TooLong;

/// Reads a stream piece by piece.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed behind it ends nothing.
    was_return: bool,
    event: Event,
    has_data: bool,
    id: Option<String>,
    last_id: Option<String>,
}

impl Reader {
    /// The id to go on from: that of the last event, or of a sign of life behind it.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// The events that end in this piece.
    ///
    /// # Errors
    /// One that is too long.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
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
                return Err(TooLong);
            }
        }
        Ok(events)
    }

    /// Takes in a line; an empty one ends an event.
    fn end_line(&mut self, line: &str) -> Option<Event> {
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
            _ => {} // a comment, or what we do not know
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event: &str, data: &str) -> Event {
        Event { event: event.into(), data: data.into() }
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
            let mut whole = Reader::default();
            assert_eq!(whole.read(stream.as_bytes()), Ok(events.clone()), "{stream:?}");
            assert_eq!(whole.last_id(), id, "{stream:?}");
            let mut pieces = Reader::default();
            let found: Vec<Event> =
                stream.as_bytes().chunks(1).flat_map(|byte| pieces.read(byte).expect("short")).collect();
            assert_eq!((found, pieces.last_id()), (events, id), "{stream:?} byte by byte");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut reader = Reader::default();
        let encode = |event, id, data: &str| encode_head(event, id) + data + END;
        let stream = [encode(SET, "i-7", r#"{"a":"ö\n"}"#), encode_heartbeat("i-8"), encode(CHANGE, "i-9", "{}")];
        assert_eq!(reader.read(stream[0].as_bytes()), Ok(vec![event(SET, r#"{"a":"ö\n"}"#)]));
        assert_eq!(reader.read(stream[1].as_bytes()), Ok(vec![]));
        assert_eq!(reader.last_id(), Some("i-8"));
        assert_eq!(reader.read(stream[2].as_bytes()), Ok(vec![event(CHANGE, "{}")]));
        assert_eq!(reader.last_id(), Some("i-9"));
    }

    #[test]
    fn nobody_makes_it_keep_more_than_it_may() {
        let mut reader = Reader::default();
        let endless = vec![b'x'; 1024 * 1024];
        assert!((0..=64).map(|_| reader.read(&endless)).any(|read| read == Err(TooLong)));
    }
}
