//! Decides whether an entry about code in the patch comes along.
//!
//! Most do: the kernel reads them for every module, a livepatch included. Two kinds of table refer to keys besides. The
//! kernel follows those as it loads the patch, when the symbols of a module are not filled in yet, even if that module
//! is there (`klp_apply_section_relocs`, kernel/livepatch/core.c, since Linux 5.8). Without its entry a static call goes
//! through its trampoline, which is always up to date (`__static_call_update`, kernel/static_call_inline.c); a jump label
//! stays as it was compiled, which is right for a tracepoint that is off and for nothing else. Where objtool has yet to
//! make the compiled jump a no-op it goes by the entry (`handle_jump_alt`, tools/objtool/check.c): that one gets a key of
//! the patch's own, which nobody turns on. The tempting wrong way is to drop every entry that cannot be had.

use super::boot::{Constants, Load, refusal};
use super::table::Key;
use super::{Entry, refs_of};
use crate::arch::Arch;
use crate::bundle::BundleId;
use crate::compare::Comparison;
use crate::reference::{Ref, Target, View};
use crate::refusal::{Refusal, RefusalCode};
use crate::reloc::{KeyHome, Resolver};
use lp_klp::name::ObjName;

/// What becomes of an entry.
pub enum Fate {
    /// It comes along.
    Keep,
    /// It is left out, and what that means.
    Drop(String),
    /// It comes along with a key that is off for good in the place of its own, and what that means.
    Off(String),
    /// It is left out, for an instruction that does without it, and what that means.
    Load(Load, String),
    /// Neither would be right.
    Refuse(Refusal),
}

/// What is needed to decide.
pub struct Keeper<'k, 'd> {
    /// The patched object.
    pub view: &'k View<'d>,
    /// What became of its pieces.
    pub comparison: &'k Comparison,
    /// Where keys live.
    pub resolver: &'k Resolver<'k, 'd>,
    /// Instruction knowledge.
    pub arch: &'k dyn Arch,
}

impl Keeper<'_, '_> {
    /// What becomes of an entry about a piece of code.
    pub fn fate(&self, user: BundleId, entry: &Entry) -> Fate {
        let refs = refs_of(self.view, entry);
        if entry.special.at_boot {
            return self.boot_constant(user, entry);
        }
        let (Some(kind), Some(key_ref)) = (entry.special.key, refs.last()) else {
            return Fate::Keep;
        };
        let KeyHome::Module { key, module } =
            self.resolver.key_home(&key_ref.target, self.comparison)
        else {
            return Fate::Keep;
        };
        let (user, place) = (self.view.name(user), self.place(user, refs.first()));
        match kind {
            Key::StaticCall => Fate::Drop(format!(
                "{user}: the static call of {key}, which lives in module {module}, goes through its trampoline in the patched function"
            )),
            Key::JumpLabel if !key.starts_with("__tracepoint_") => Fate::Refuse(Refusal::new(
                RefusalCode::JumpLabel,
                place,
                format!(
                    "its key {key} lives in module {module}, where the kernel cannot find it when the patch is loaded: write LP_STATIC_KEY_ENABLED({key}) (templates/livepatch.h) in the patched function"
                ),
            )),
            Key::JumpLabel if self.falls_through(refs.first()) => {
                Fate::Drop(stays_off(user, &key, &module))
            }
            Key::JumpLabel if key_bits(&key_ref.target) != 0 => {
                Fate::Off(stays_off(user, &key, &module))
            }
            Key::JumpLabel => Fate::Refuse(Refusal::new(
                RefusalCode::JumpLabel,
                place,
                format!(
                    "the tracepoint {key} lives in module {module}, where the kernel cannot find it when the patch is loaded, and its jump label is compiled as a jump, so that it would be always on: let objtool go over both objects first, or take the tracepoint out of the patched function"
                ),
            )),
        }
    }

    fn place(&self, user: BundleId, code: Option<&Ref>) -> String {
        match code.map(|code| code.target) {
            Some(Target::Bundle { id, offset }) if id == user => {
                format!("{}+{offset:#x}", self.view.name(user))
            }
            _ => self.view.name(user).to_owned(),
        }
    }

    /// Whether the code that an entry is about does nothing until the kernel makes a jump of it.
    fn falls_through(&self, code: Option<&Ref>) -> bool {
        let Some(Target::Bundle { id, offset }) = code.map(|code| code.target) else {
            return false;
        };
        let code = usize::try_from(offset).ok().and_then(|offset| {
            let bytes = self.view.bytes_of(id);
            bytes.get(offset..)
        });
        code.is_some_and(|code| self.arch.is_nop(code))
    }

    fn boot_constant(&self, user: BundleId, entry: &Entry) -> Fate {
        let constants = Constants {
            view: self.view,
            comparison: self.comparison,
            resolver: self.resolver,
            arch: self.arch,
        };
        match constants.load(user, entry) {
            Ok((load, variable)) => {
                let user = self.view.name(user);
                let note = format!(
                    "{user}: reads the variable {variable}, of which the kernel's own code has the value as a constant that it writes as it boots"
                );
                Fate::Load(load, note)
            }
            Err(Some(refusal)) => Fate::Refuse(refusal),
            Err(None) => {
                let place = refs_of(self.view, entry);
                let place = self.place(user, place.first());
                Fate::Refuse(refusal(self.view, entry, place))
            }
        }
    }
}

fn stays_off(user: &str, key: &str, module: &ObjName) -> String {
    format!("{user}: the tracepoint {key} of module {module} stays off in the patched function")
}

/// What an entry says in the low bits of its key's address: that the branch is likely (1), and that objtool makes a no-op of
/// its jump (2; `arch_static_branch`, arch/x86/include/asm/jump_label.h, since Linux 5.14).
pub fn key_bits(key: &Target) -> i64 {
    const BITS: i64 = 3;
    let (Target::Bundle { offset, .. }
    | Target::Symbol { offset, .. }
    | Target::Section { offset, .. }) = key;
    offset & BITS
}
