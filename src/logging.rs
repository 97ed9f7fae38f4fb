//! Writes log lines to standard error, as text or JSON. Each event is one line, and a terminal obeys nothing in it.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

use crate::escape::Escaped;
use crate::metrics::LOG_LINES_LOST;

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// For people: time, level, module, message and fields.
    #[default]
    Text,
    /// For collectors: one JSON object per line.
    Json,
}

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter cannot be read.
    #[error(
        "{0:?} is not a log filter: write error, warn, info, debug or trace, or a list such as callsign=debug,kube_client=info"
    )]
    Filter(String, #[source] Option<ParseError>),
    /// Logging has already been started.
    #[error("logging was already started")]
    Started(#[source] tracing_subscriber::util::TryInitError),
}

/// Starts logging for the whole process.
///
/// # Errors
/// The filter cannot be read, or logging was already started.
pub fn init(format: Format, level: &str) -> Result<(), LoggingError> {
    use tracing_subscriber::util::SubscriberInitExt;

    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter(level)?)
        .with_ansi(false)
        .with_writer(|| EscapingWriter(io::stderr()))
        .log_internal_errors(false); // it would write them to the same place, and panic if that fails
    match format {
        Format::Text => subscriber.finish().try_init(),
        Format::Json => subscriber.json().flatten_event(true).finish().try_init(),
    }
    .map_err(LoggingError::Started)
}

/// Logs a panic. Logs no further one within a second: a client that can cause panics must not be able to fill the log.
pub fn limit_panic_logs() {
    let (started, next) = (Instant::now(), AtomicU64::new(0));
    std::panic::set_hook(Box::new(move |panic| {
        let now = started.elapsed().as_secs();
        let is_due = |next: u64| (next <= now).then_some(now + 1);
        if next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_due).is_ok() {
            tracing::error!("a bug in callsign; please report it: {panic}");
        }
    }));
}

/// Reads a filter. A bare level applies only to our own modules; libraries log warnings.
///
/// # Errors
/// The text is neither a level nor a list of directives.
pub fn filter(text: &str) -> Result<EnvFilter, LoggingError> {
    // The parser below takes an unknown word for a module's name, and would then log nothing else.
    let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    let is_directive = |part: &str| match part.split_once('=') {
        Some((module, level)) => !module.is_empty() && is_level(level),
        None => is_level(part),
    };
    if !text.split(',').all(is_directive) {
        return Err(LoggingError::Filter(text.into(), None));
    }
    let directives = match text.parse::<LevelFilter>() {
        Ok(level) => format!("warn,callsign={level}"),
        Err(_) => text.to_owned(),
    };
    EnvFilter::builder().parse(directives).map_err(|error| LoggingError::Filter(text.into(), Some(error)))
}

/// Writes one event's line. Escapes everything except the line's end. The subscriber writes whole events.
///
/// A line that cannot be written is lost and counted, and stops nothing: a pipe's reader may be gone, a disk full, or a
/// terminal closed.
struct EscapingWriter<W>(W);

impl<W: Write> Write for EscapingWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let (text, end) = text.strip_suffix('\n').map_or((&*text, ""), |text| (text, "\n"));
        if self.0.write_all(format!("{}{end}", Escaped(text)).as_bytes()).is_err() {
            LOG_LINES_LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const HOSTILE: &str = "a\u{1b}[2J\nERROR forged\r\u{9b}\u{202e}\u{7f}é";

    #[test]
    fn a_line_stays_one_line_without_controls() {
        let captured = Captured::default();
        let sink = captured.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || EscapingWriter(sink.clone())).finish();
        tracing::subscriber::with_default(subscriber, || tracing::info!(pod = %HOSTILE, "{HOSTILE}"));
        let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("ERROR forged").count(), 2, "{text}");
        assert!(text.contains("é") && text.ends_with('\n'), "{text}");
        assert!(!text.trim_end_matches('\n').contains(crate::escape::is_unsafe), "{text:?}");
    }

    #[test]
    fn a_json_line_stays_json() {
        let captured = Captured::default();
        let sink = captured.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || EscapingWriter(sink.clone())).finish();
        tracing::subscriber::with_default(subscriber, || tracing::info!(pod = HOSTILE, "x"));
        let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["fields"]["pod"], HOSTILE);
        assert!(!text.trim_end_matches('\n').contains(crate::escape::is_unsafe), "{text:?}");
    }

    #[test]
    fn filters() {
        for (text, expected) in [
            ("info", Some("callsign=info,warn")),
            ("DEBUG", Some("callsign=debug,warn")),
            ("callsign=trace", Some("callsign=trace")),
            ("warn,kube_client=debug", Some("kube_client=debug,warn")),
            ("", None),
            ("callsign=loud", None),
            ("a=b=c", None),
            ("loud", None),
            ("info,loud", None),
            ("=info", None),
        ] {
            assert_eq!(filter(text).ok().map(|filter| filter.to_string()), expected.map(str::to_owned), "{text}");
        }
    }
}
