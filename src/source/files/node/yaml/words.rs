//! What is wrong with a text of YAML, in words that quote none of it.

use granit_parser::{ErrorKind, ScanError};

use crate::source::files::node::Flaw;

pub(super) const SYNTAX: &str = "the syntax is wrong";
pub(super) const TOO_DEEP: &str = "values are nested over 100 deep";

pub(super) fn flaw(error: &ScanError) -> Flaw {
    use ErrorKind::*;
    let words = words(error.kind());
    match error.kind() {
        UnclosedQuotedScalar
        | UnclosedFlowCollection { .. }
        | UnexpectedEofFlowSequence
        | UnexpectedEofFlowMapping
        | UnexpectedEofImplicitFlowMapping
        | UnexpectedEof => Flaw::BreaksOff(words),
        UnknownAnchor => Flaw::NoAnchor,
        _ => Flaw::NotYaml(words),
    }
}

fn words(kind: &ErrorKind) -> &'static str {
    use ErrorKind::*;
    match kind {
        TabNotAllowed | TabInBlockIndentation | TabInIndentation | TabAtBlockScalarStart | TabInPlainScalar => {
            "a tab is used for indentation: write spaces"
        }
        MissingAnchorOrAliasName => "a text begins with & or *: write it in quotes",
        UndeclaredTagHandle | InvalidTagTerminator | MissingTagUri => {
            "a tag is unknown: write a text that begins with ! in quotes"
        }
        UnclosedQuotedScalar | DocumentIndicatorInQuotedScalar => "a quote is not closed",
        InvalidTrailingSingleQuotedScalar | InvalidTrailingDoubleQuotedScalar => "text follows a closing quote",
        UnknownQuotedScalarEscape | InvalidQuotedScalarHexEscape => {
            "a \\ in double quotes has no meaning: write \\\\, or single quotes"
        }
        UnclosedFlowCollection { .. }
        | UnexpectedEofFlowSequence
        | UnexpectedEofFlowMapping
        | UnexpectedEofImplicitFlowMapping
        | ExpectedFlowMappingSeparator
        | ExpectedFlowSequenceSeparator => "a comma, a closing bracket or a closing brace is missing",
        MisplacedFlowCollectionEnd | MismatchedFlowCollectionEnd { .. } => {
            "a closing bracket or brace has no opening one"
        }
        MappingValueNotAllowed | MappingKeyNotAllowed | InvalidColonPlacement => {
            "a colon is not allowed here: write a text with a colon in quotes"
        }
        SimpleKeyExpected | InvalidSimpleKey | ExpectedBlockMappingKey => "a line has no colon, or is indented wrongly",
        InvalidIndentation
        | ExpectedBlockSequenceEntry
        | BlockSequenceEntryNotAllowed
        | InvalidBlockScalarIndent
        | InvalidFlowScalarIndent
        | InvalidQuotedScalarIndent => "a line is indented wrongly",
        UnexpectedCharacter { .. } => "a character is not allowed here: write the text in quotes",
        RecursionLimitExceeded => TOO_DEEP,
        _ => SYNTAX,
    }
}
