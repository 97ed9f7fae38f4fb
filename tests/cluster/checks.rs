//! Checks of answers.

use crate::harness::dig::Dig;

impl Dig {
    /// Checks that the answer has this status and these records, in any order. The error is the whole output.
    pub(crate) fn shows(&self, status: &str, answer: &[&str]) -> Result<(), String> {
        let (mut seen, mut wanted) = (self.answer.clone(), answer.to_vec());
        seen.sort();
        wanted.sort_unstable();
        if self.status == status && seen == wanted {
            return Ok(());
        }
        Err(format!("wanted {status} and {answer:#?}, got\n{}", self.text))
    }
}
