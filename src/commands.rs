//! What the commands other than `serve` do: print, for people by default and as JSON on request.

mod check;
mod codec;
mod list;
mod print;
mod remote;
mod why;

pub use check::check;
pub use codec::{decode, encode};
pub use list::ls;
pub use why::why;
