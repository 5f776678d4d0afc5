//! What is written for a variable of threads (psABI, "Thread-Local Storage"; Drepper, "ELF Handling For Thread-Local Storage").

use super::{Reason, signed};
use crate::process::prepare::layout::SlotKind;
use crate::process::prepare::relocation::Kind;
use crate::process::prepare::resolve::TlsVariable;

/// The words of a slot.
pub(super) fn slot(kind: SlotKind, variable: &TlsVariable) -> Result<Vec<u64>, Reason> {
    let module = || {
        variable
            .module
            .ok_or_else(|| Reason::NoModule(variable.object.clone()))
    };
    Ok(match kind {
        SlotKind::TpOff => vec![distance(variable)?],
        SlotKind::Module => vec![module()?, variable.offset],
        SlotKind::Block => vec![module()?, 0],
        SlotKind::Address => return Err(Reason::Mismatch),
    })
}

/// The number that a relocation without a slot writes.
pub(super) fn number(kind: Kind, variable: &TlsVariable, addend: i64) -> Result<u64, Reason> {
    let add = |number: u64| number.wrapping_add(addend as u64);
    match kind {
        Kind::TpOff32 => signed(add(distance(variable)?)),
        Kind::TpOff64 => Ok(add(distance(variable)?)),
        Kind::DtpOff32 => signed(add(variable.offset)),
        Kind::DtpOff64 => Ok(add(variable.offset)),
        _ => Err(Reason::Mismatch),
    }
}

/// The variable's distance from the thread pointer.
fn distance(variable: &TlsVariable) -> Result<u64, Reason> {
    let block = variable
        .block
        .ok_or_else(|| Reason::NoBlock(variable.object.clone()))?;
    Ok((block as u64).wrapping_add(variable.offset))
}
