//! Splits a master file into entries and an entry into tokens (RFC 1035 §5.1).
//!
//! An entry is a line, or several lines joined by parentheses. Tokens borrow the text. They keep their escapes until a
//! field is parsed, because `@` and `\@` differ.

use super::fault::{FilePosition, ZoneFault, ZoneReason};

/// One token of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    /// The token as written, without its quotes and with its escapes.
    pub(super) raw: &'t [u8],
    /// It is in quotes.
    pub(super) is_quoted: bool,
    /// No space separates it from the token before it, as in `alpn="h2"`.
    pub(super) is_glued: bool,
    /// The offset in the text, in bytes.
    pub(super) at: usize,
}

impl Token<'_> {
    /// Whether the token is this word: unquoted, in any letter case.
    pub(super) fn is(&self, word: &str) -> bool {
        !self.is_quoted && self.raw.eq_ignore_ascii_case(word.as_bytes())
    }
}

/// An iterator over the entries of a text.
#[derive(Debug)]
pub(super) struct Entries<'t> {
    text: &'t [u8],
    at: usize,
    /// The line of `at`, from 1.
    line: usize,
}

/// The properties of an entry besides its tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryHead {
    /// The line of the first token, from 1.
    pub(super) line: usize,
    /// The line begins with a space: the owner is that of the entry before.
    pub(super) is_indented: bool,
    /// It has a parenthesis.
    pub(super) is_joined: bool,
}

impl<'t> Entries<'t> {
    pub(super) fn of(text: &'t [u8]) -> Entries<'t> {
        Entries { text, at: 0, line: 1 }
    }

    /// Replaces `tokens` by those of the next entry. Returns `None` at the end of the text.
    ///
    /// # Errors
    /// A parenthesis or a quote is not closed, or a `\` ends a line.
    pub(super) fn next(&mut self, tokens: &mut Vec<Token<'t>>) -> Result<Option<EntryHead>, ZoneFault> {
        tokens.clear();
        let mut head = EntryHead { line: self.line, is_indented: false, is_joined: false };
        let mut opened_at = None;
        let mut line_begins = true;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    if opened_at.is_none() && !tokens.is_empty() {
                        return Ok(Some(head));
                    }
                    line_begins = true;
                    head.is_indented &= opened_at.is_some();
                    continue;
                }
                b' ' | b'\t' => {
                    head.is_indented |= line_begins && tokens.is_empty() && opened_at.is_none();
                    self.at += 1;
                }
                b'\r' => self.skip_carriage_return()?,
                b';' => self.at = self.end_of_line(),
                b'(' if opened_at.is_some() => return Err(self.fault("a parenthesis inside a parenthesis")),
                b'(' => {
                    // A parenthesis at the start of a line is in the place of the owner.
                    head.is_indented |= line_begins && tokens.is_empty();
                    head.is_joined = true;
                    opened_at = Some(self.at);
                    self.at += 1;
                }
                b')' if opened_at.is_none() => return Err(self.fault("a parenthesis that was not opened")),
                b')' => {
                    opened_at = None;
                    self.at += 1;
                }
                _ => {
                    if tokens.is_empty() {
                        head.line = self.line;
                    }
                    let token = if byte == b'"' { self.quoted()? } else { self.word()? };
                    let is_glued = tokens.last().is_some_and(|last: &Token<'_>| token.at == last.end());
                    tokens.push(Token { is_glued, ..token });
                }
            }
            line_begins = false;
        }
        match opened_at {
            Some(at) => Err(fault_at(self.text, at, "a parenthesis that is not closed")),
            None => Ok((!tokens.is_empty()).then_some(head)),
        }
    }

    /// Reads a word.
    fn word(&mut self) -> Result<Token<'t>, ZoneFault> {
        let begin = self.at;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'"' => break,
                b'\\' => self.skip_escape()?,
                _ => self.at += 1,
            }
        }
        let raw = self.text.get(begin..self.at).unwrap_or_default();
        Ok(Token { raw, is_quoted: false, is_glued: false, at: begin })
    }

    /// Reads a string between two quotes of one line.
    fn quoted(&mut self) -> Result<Token<'t>, ZoneFault> {
        let begin = self.at;
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.skip_escape()?,
                Some(b'\n') | None => return Err(fault_at(self.text, begin, "a quote that is not closed in its line")),
                Some(_) => self.at += 1,
            }
        }
        let raw = self.text.get(begin + 1..self.at).unwrap_or_default();
        self.at += 1;
        Ok(Token { raw, is_quoted: true, is_glued: false, at: begin })
    }

    /// Skips a `\` and the byte after it.
    fn skip_escape(&mut self) -> Result<(), ZoneFault> {
        match self.text.get(self.at + 1) {
            Some(b'\n') | None => Err(self.fault("a backslash at the end of a line")),
            Some(_) => {
                self.at += 2;
                Ok(())
            }
        }
    }

    /// Skips a `\r`. Outside of quotes it may only end a line.
    fn skip_carriage_return(&mut self) -> Result<(), ZoneFault> {
        match self.text.get(self.at + 1) {
            Some(b'\r' | b'\n') | None => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.fault("a carriage return that does not end its line")),
        }
    }

    fn end_of_line(&self) -> usize {
        let rest = self.text.get(self.at..).unwrap_or_default();
        rest.iter().position(|&byte| byte == b'\n').map_or(self.text.len(), |len| self.at + len)
    }

    fn fault(&self, message: &str) -> ZoneFault {
        fault_at(self.text, self.at, message)
    }
}

impl Token<'_> {
    /// The offset of the next byte of the text, after a closing quote.
    pub(super) fn end(&self) -> usize {
        self.at + self.raw.len() + if self.is_quoted { 2 } else { 0 }
    }
}

/// A syntax fault at an offset of a text.
pub(super) fn fault_at(text: &[u8], at: usize, message: impl Into<String>) -> ZoneFault {
    ZoneFault { position: Some(position_of(text, at)), reason: ZoneReason::Syntax(message.into()) }
}

/// The line and column of an offset.
fn position_of(text: &[u8], at: usize) -> FilePosition {
    let before = text.get(..at).unwrap_or(text);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
    FilePosition { file: None, line, column }
}

/// Calls `push` with each byte that a token stands for (RFC 1035 §5.1: `\X` and `\DDD`), and whether it was escaped.
///
/// # Errors
/// An invalid escape.
pub(super) fn unescape(raw: &[u8], mut push: impl FnMut(u8, bool)) -> Result<(), &'static str> {
    let mut rest = raw;
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'\\' {
            push(*first, false);
            continue;
        }
        match rest {
            [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', behind @ ..] => {
                let value = [a, b, c].iter().fold(0_u16, |value, digit| value * 10 + u16::from(**digit - b'0'));
                push(u8::try_from(value).map_err(|_| "an escape over \\255")?, true);
                rest = behind;
            }
            [b'0'..=b'9', ..] | [] => return Err("an escape of fewer than three digits"),
            [byte, behind @ ..] => {
                push(*byte, true);
                rest = behind;
            }
        }
    }
    Ok(())
}
