//! The second within which a change reaches DNS.

use std::time::Duration;

use super::eventually;

/// [`eventually`] within the second that a Pod's change may take to reach DNS.
#[track_caller]
pub(crate) fn within_a_second(check: impl FnMut() -> Result<(), String>) -> Duration {
    eventually(Duration::from_secs(1), check)
}
