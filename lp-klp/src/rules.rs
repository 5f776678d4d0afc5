//! What differs from one kernel to the next: data, not code.

use crate::name::Sympos;

/// The rules of one kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Whether `klp_find_func` takes the positions 0 and 1 for one function. Where it does not, a cumulative patch that
    /// spells a function's position differently gets a nop beside it, and two sysfs folders of one name: EEXIST.
    pub zero_is_first: bool,
}

impl Rules {
    /// Of Linux 6.19 and the stable kernels that took its change (`klp_find_func`, seen in Debian's 6.1.187).
    pub const CURRENT: Self = Self {
        zero_is_first: true,
    };
    /// Of those before.
    pub const BEFORE_6_19: Self = Self {
        zero_is_first: false,
    };

    /// Whether two positions mean one function of a name.
    pub fn same_sympos(self, a: Sympos, b: Sympos) -> bool {
        a == b || (self.zero_is_first && a.same_symbol_if_unique(b))
    }
}
