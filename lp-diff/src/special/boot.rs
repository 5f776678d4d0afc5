//! Constants that the kernel writes into its instructions as it boots (`asm/runtime-const.h`, since Linux 6.11): what a
//! patch does instead.
//!
//! The kernel goes through its own lists of such instructions once, before they first run, and through no module's. A
//! module may not even be compiled with them: it reads the variable that the constant is made from (`asm/uaccess_64.h`).
//! So does a patch: a pointer or a long is loaded by an instruction of ten bytes, which has room for a load from memory.
//! All other constants are refused: a shift by a constant has three bytes. The tempting wrong way is to write the values
//! from the patch's init code, which needs functions that the kernel does not give to modules, and a second look at
//! every address.

use super::{Entry, refs_of};
use crate::arch::Arch;
use crate::bundle::{BundleId, Kind};
use crate::compare::Comparison;
use crate::reference::{Target, View};
use crate::refusal::{Refusal, RefusalCode};
use crate::reloc::{Reach, Resolver};
use crate::special::table::is_init;

/// An instruction of the patch that reads a variable where the kernel's own has its value.
#[derive(Debug, Clone)]
pub struct Load {
    /// Offset in the bundle that it is in.
    pub start: u64,
    /// The instruction, and what does nothing to the end of the one before.
    pub bytes: Vec<u8>,
    /// Offset in it of the distance to the variable.
    pub field: u8,
    /// From the field to the end of the instruction, from where the distance counts.
    pub bias: u8,
    /// The variable.
    pub variable: Reach,
    /// The value of its symbol, from the variable's start.
    pub value: i64,
}

/// What is needed to decide.
pub(super) struct Constants<'k, 'd> {
    pub(super) view: &'k View<'d>,
    pub(super) comparison: &'k Comparison,
    pub(super) resolver: &'k Resolver<'k, 'd>,
    pub(super) arch: &'k dyn Arch,
}

impl Constants<'_, '_> {
    /// The load that takes the place of what an entry is about, and the variable's name.
    pub(super) fn load(
        &self,
        user: BundleId,
        entry: &Entry,
    ) -> Result<(Load, String), Option<Refusal>> {
        if !entry.special.loads {
            return Err(None);
        }
        let is_code = self.view.bundles.get(user).kind == Kind::Function;
        let field = match refs_of(self.view, entry).first().map(|first| first.target) {
            Some(Target::Bundle { id, offset }) if id == user && is_code => offset,
            _ => return Err(None),
        };
        let code = self.view.bytes_of(user);
        let field = u64::try_from(field).map_err(|_| None)?;
        let load = self.arch.load_instead(code, field).ok_or(None)?;
        let name = constant(self.view, entry);
        let (variable, value) = self.variable(name)?;
        let load = Load {
            start: load.start,
            bytes: load.bytes,
            field: load.field,
            bias: load.bias,
            variable,
            value,
        };
        Ok((load, name.to_owned()))
    }

    /// How to reach the variable: this object's own, or one that the kernel exports, which is there for good.
    fn variable(&self, name: &str) -> Result<(Reach, i64), Option<Refusal>> {
        let mut own = self.resolver.data_named(name);
        match (own.next(), own.next()) {
            (None, _) => match self.resolver.global(name, false) {
                Ok(reach @ Reach::Export { .. }) => Ok((reach, 0)),
                _ => Err(None),
            },
            (Some(id), None) => {
                let stays = self.comparison.is_same(id) && !is_init(self.view.section_name(id));
                match stays && self.view.bundles.get(id).len == 8 {
                    true => self.resolver.bundle(id).map_err(Some),
                    false => Err(None),
                }
            }
            _ => Err(None),
        }
    }
}

/// The variable that an entry's constant is made from: that of `runtime_ptr_dentry_hashtable` is `dentry_hashtable`.
pub(super) fn constant<'v>(view: &'v View<'_>, entry: &Entry) -> &'v str {
    let section = view.object.section(entry.section).name();
    let rest = section.trim_start_matches('.');
    let rest = rest.strip_prefix("runtime_").unwrap_or(rest);
    rest.split_once('_').map_or(rest, |(_, name)| name)
}

/// Says that a constant cannot be had.
pub(super) fn refusal(view: &View<'_>, entry: &Entry, place: String) -> Refusal {
    let section = view.object.section(entry.section).name();
    let constant = constant(view, entry);
    let message = format!(
        "it uses {constant} as a constant that the kernel writes into its code as it boots ({section}), which it does not do for a patch: read the variable {constant} itself there, without runtime_const_ptr() or runtime_const_shift_right_32()"
    );
    Refusal::new(RefusalCode::BootConstant, place, message)
}
