//! Makes untrusted text safe to show: a terminal obeys nothing in it, and nothing reverses a line's direction.

use std::fmt::{self, Write as _};

#[cfg(feature = "server")]
mod json;

#[cfg(feature = "server")]
pub use json::json;

/// Text with every character that a terminal may obey written as in JSON: `\u001b`.
pub struct Escaped<'t>(pub &'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if is_unsafe(character) {
                write!(f, "\\u{:04x}", u32::from(character))?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Whether a character is a control (C0, C1, DEL), a line separator, or changes the direction of text (Unicode TR 36).
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        for (hostile, harmless) in [
            ("a\u{1b}[2J\nx\r\u{9b}\u{202e}\u{7f}é", "a\\u001b[2J\\u000ax\\u000d\\u009b\\u202e\\u007fé"),
            ("plain, 中文", "plain, 中文"),
        ] {
            assert_eq!(Escaped(hostile).to_string(), harmless);
        }
    }

    #[test]
    fn json_says_the_same_and_is_plain() {
        for character in '\0'..='\u{20ff}' {
            let text = format!("\"a{character}\\é");
            let json = String::from_utf8(json(&[&text])).expect("UTF-8");
            assert!(!json.contains(is_unsafe), "{json:?}");
            assert_eq!(serde_json::from_str::<[String; 1]>(&json).expect("JSON"), [text]);
        }
    }
}
