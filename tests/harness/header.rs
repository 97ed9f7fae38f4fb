//! Questions that few clients ask: with flags, and of another class.

use domain::base::iana::Class;

use super::ask::Ask;

impl Ask {
    /// Sets header flags and the opcode (see [`flag`](super::ask::flag)).
    pub(crate) fn flags(mut self, flags: u16) -> Ask {
        self.flags = flags;
        self
    }

    /// Sets another class.
    pub(crate) fn class(mut self, class: Class) -> Ask {
        self.class = class;
        self
    }
}
