//! Detects what looks like a secret and must never be published: not in DNS, over HTTP, in a log or to a person.
//!
//! The rule errs on the safe side. A mistake withholds one metadata entry.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// Words in the key of a secret, after the key is put into lower case and loses its `-`, `_` and `.`.
const WORDS: [&[u8]; 8] =
    [b"token", b"password", b"passwd", b"pwd", b"secret", b"accesskey", b"credential", b"private"];

/// Whether a key looks like a secret or names one, also after percent-decoding it once or twice.
pub fn is_secret_key(key: &str) -> bool {
    is_any_reading(key, |reading| names_secret(reading) || holds_secret(reading))
}

/// Whether a text has `://user:password@`, or a secret's key before a `=` or, in JSON, before a `:`, also after
/// percent-decoding it once or twice.
pub(super) fn is_secret(text: &str) -> bool {
    // A shortcut: most values have no such character, and every value of every Pod comes here.
    text.bytes().any(|byte| byte == b'%' || is_mark(byte)) && is_any_reading(text, holds_secret)
}

fn is_any_reading(text: &str, is_secret: impl Fn(&[u8]) -> bool) -> bool {
    if is_secret(text.as_bytes()) {
        return true;
    }
    if !text.as_bytes().contains(&b'%') {
        return false; // decoding would not change it
    }
    let once: Cow<'_, [u8]> = percent_decode(text.as_bytes()).into();
    let twice: Cow<'_, [u8]> = percent_decode(&once).into();
    is_secret(&once) || is_secret(&twice)
}

fn holds_secret(text: &[u8]) -> bool {
    if !text.iter().any(|byte| is_mark(*byte)) {
        return false; // a shortcut: most keys have none
    }
    text.split(u8::is_ascii_whitespace).any(holds_password) || holds_assignment(text) || holds_member(text)
}

/// Whether a character is one of those without which a text holds no secret.
fn is_mark(byte: u8) -> bool {
    matches!(byte, b'@' | b'=' | b'"')
}

/// Whether a word has `://`, then a `:`, then an `@`. Anything may come between, because a password may have any
/// character that its writer forgot to escape.
fn holds_password(word: &[u8]) -> bool {
    let after = |text: &mut &[u8], mark: &[u8]| {
        let found = text.windows(mark.len()).position(|window| window == mark);
        *text = found.and_then(|at| text.get(at + mark.len()..)).unwrap_or_default();
        found.is_some()
    };
    let mut rest = word;
    after(&mut rest, b"://") && after(&mut rest, b":") && after(&mut rest, b"@")
}

/// Whether a `=` comes after a secret's key.
fn holds_assignment(text: &[u8]) -> bool {
    let is_between = |byte: &u8| matches!(byte, b'&' | b'?' | b';' | b',') || byte.is_ascii_whitespace();
    let mut parts: Vec<&[u8]> = text.split(|byte| *byte == b'=').collect();
    parts.pop(); // no `=` follows it
    parts.iter().any(|part| part.trim_ascii_end().rsplit(is_between).next().is_some_and(names_secret))
}

/// Whether a `:` comes after a secret's key in quotation marks, as in JSON.
fn holds_member(text: &[u8]) -> bool {
    let mut parts: Vec<&[u8]> = text.split(|byte| *byte == b':').collect();
    parts.pop(); // no `:` follows it
    parts.iter().any(|part| {
        let key = part.trim_ascii_end().strip_suffix(b"\"").and_then(|key| key.rsplit(|byte| *byte == b'"').next());
        key.is_some_and(names_secret)
    })
}

fn names_secret(key: &[u8]) -> bool {
    let mut rest = key;
    while let [first, after @ ..] = rest {
        if after.first().is_some_and(|second| may_begin(*first, *second)) && WORDS.iter().any(|word| spells(rest, word))
        {
            return true;
        }
        rest = after;
    }
    false
}

/// Whether one of the words may begin with these two bytes. Few pairs of bytes pass, so this keeps the search for the
/// words cheap.
fn may_begin(first: u8, second: u8) -> bool {
    let is_next = |letters: &[u8]| letters.contains(&second.to_ascii_lowercase()) || is_separator(second);
    match first {
        b't' | b'T' => is_next(b"o"),
        b'p' | b'P' => is_next(b"awr"),
        b's' | b'S' => is_next(b"e"),
        b'a' | b'A' => is_next(b"c"),
        b'c' | b'C' => is_next(b"r"),
        _ => false,
    }
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'-' | b'_' | b'.')
}

/// Whether a key begins with a word, ignoring letter case and separators.
fn spells(key: &[u8], word: &[u8]) -> bool {
    let mut letters = key.iter().filter(|byte| !is_separator(**byte)).map(u8::to_ascii_lowercase);
    word.iter().all(|letter| letters.next() == Some(*letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_name_a_secret() {
        for key in [
            "token",
            "accessToken",
            "PASSWORD",
            "db.pass-wd",
            "p.w-d_",
            "client_secret",
            "Access-Key-Id",
            "credentials",
            "private.key",
            "pass%77ord",
            "pass%2577ord",
            "redis://a:b@c",
        ] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in ["", "auth", "key", "access", "toke", "service.filter", "passive", "pass word"] {
            assert!(!is_secret_key(key), "{key}");
        }
    }

    #[test]
    fn every_word_is_found_by_its_first_two_letters() {
        for word in WORDS {
            for first in [word[0], word[0].to_ascii_uppercase()] {
                for second in [word[1], word[1].to_ascii_uppercase(), b'-', b'_', b'.'] {
                    assert!(may_begin(first, second), "{}", word.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn values_that_hold_a_secret() {
        for value in [
            "redis://user:hunter2@host",
            "redis://:hunter2@host",
            "see mysql://root:a/b?c@host now",
            "jdbc%3Amysql%3A%2F%2Froot%3Ax%40host",
            "jdbc%253Amysql%253A%252F%252Froot%253Ax%2540host",
            "a=1&token=x",
            "token=",
            "a=1; access_key = x",
            "url?pass%77ord%3Dx",
            "secret%253Dx",
            "\"password\"=\"x\"",
            "{\"port\":1,\"password\" : \"x\"}",
            "{\\\"api-token\\\":\\\"x\\\"}",
            "%7B%22token%22%3A1%7D",
            "a b=1,c=2,my.to-ken=3",
        ] {
            assert!(is_secret(value), "{value}");
        }
        for value in [
            "",
            "token",
            "echo,token,accesslog",
            "echo%2Ctoken%2Caccesslog",
            "=token",
            "filter=token",
            "token,a=b",
            "{\"a\":\"token\",\"b\":1}",
            "the \"token\" is: none",
            "http://host:80/path",
            "http://user@host/",
            "http://host:80/ a@b",
            "%",
            "%3",
            "%ff%fe",
        ] {
            assert!(!is_secret(value), "{value}");
        }
    }
}
