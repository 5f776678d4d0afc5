//! A row of call frame information: how the caller's registers follow from the callee's (DWARF 5, section 6.4.1).

use gimli::{
    CfaRule, EhFrame, EndianSlice, LittleEndian, Register, RegisterRule, UnwindExpression,
};

use super::tables::UnwindTables;
use super::{Caller, Known, REGISTERS, RETURN_ADDRESS, RSP, Stack, Why, expression};

/// Registers that a function keeps for its caller (System V ABI, figure 3.4): rbx, rbp, r12 to r15.
const CALLEE_SAVED: [usize; 6] = [3, 6, 12, 13, 14, 15];

/// A row, of one place of the code.
#[derive(Debug)]
pub(super) struct Row {
    module: usize,
    /// The code is what a signal handler returns to: it was not called.
    signal: bool,
    cfa: CfaRule<usize>,
    rules: [Option<RegisterRule<usize>>; REGISTERS],
}

impl Row {
    /// The row for code that was interrupted at `pc` (`exact`), or that called and goes on there.
    pub(super) fn find(tables: &UnwindTables, pc: u64, exact: bool) -> Option<Self> {
        if exact {
            return Self::at(tables, pc);
        }
        let row = Self::at(tables, pc.wrapping_sub(1));
        // A handler returns to the first byte of the trampoline, which nothing called.
        row.or_else(|| Self::at(tables, pc).filter(|it| it.signal))
    }

    fn at(tables: &UnwindTables, address: u64) -> Option<Self> {
        let entry = tables.find(address)?;
        tables.with_row(entry, address, |row, signal, return_address| {
            // Another column would have to be looked up where we take register 16.
            (usize::from(return_address.0) == RETURN_ADDRESS).then(|| Self {
                module: entry.module,
                signal,
                cfa: row.cfa().clone(),
                rules: std::array::from_fn(|it| row.register(Register(it as u16))),
            })
        })?
    }

    /// The caller's registers; none at the end of the stack.
    pub(super) fn caller(
        &self,
        tables: &UnwindTables,
        known: &Known,
        stack: &mut Stack<'_>,
    ) -> Result<Option<Caller>, Why> {
        let section = tables.section(self.module);
        let cfa = match &self.cfa {
            CfaRule::RegisterAndOffset { register, offset } => {
                value(known, *register)?.wrapping_add_signed(*offset)
            }
            CfaRule::Expression(it) => evaluate(&section, *it, None, known, stack)?,
        };
        if self.rules[RETURN_ADDRESS] == Some(RegisterRule::Undefined) {
            return Ok(None);
        }
        let mut next: Known = [None; REGISTERS];
        for (number, rule) in self.rules.iter().enumerate() {
            next[number] = match rule {
                Some(rule) => restore(rule, number, cfa, &section, known, stack)?,
                None if number == RSP => Some(cfa),
                None if CALLEE_SAVED.contains(&number) || self.signal => known[number],
                None => None,
            };
        }
        let pc = next[RETURN_ADDRESS].ok_or(Why::UnknownRegister)?;
        let upwards = known[RSP].is_some_and(|sp| next[RSP].is_some_and(|it| it > sp));
        // A signal may have come on another stack.
        if pc == 0 || (!self.signal && !upwards) {
            return Err(Why::NoProgress);
        }
        Ok(Some(Caller {
            known: next,
            cfa,
            interrupted: self.signal,
        }))
    }
}

type Section<'a> = EhFrame<EndianSlice<'a, LittleEndian>>;

fn restore(
    rule: &RegisterRule<usize>,
    number: usize,
    cfa: u64,
    section: &Section<'_>,
    known: &Known,
    stack: &mut Stack<'_>,
) -> Result<Option<u64>, Why> {
    Ok(match rule {
        RegisterRule::Undefined => None,
        RegisterRule::SameValue => known[number],
        RegisterRule::Offset(offset) => Some(stack.word(cfa.wrapping_add_signed(*offset))?),
        RegisterRule::ValOffset(offset) => Some(cfa.wrapping_add_signed(*offset)),
        RegisterRule::Register(register) => known.get(usize::from(register.0)).copied().flatten(),
        RegisterRule::Expression(it) => {
            let address = evaluate(section, *it, Some(cfa), known, stack)?;
            Some(stack.word(address)?)
        }
        RegisterRule::ValExpression(it) => Some(evaluate(section, *it, Some(cfa), known, stack)?),
        _ => return Err(Why::Invalid),
    })
}

fn evaluate(
    section: &Section<'_>,
    expression: UnwindExpression<usize>,
    initial: Option<u64>,
    known: &Known,
    stack: &mut Stack<'_>,
) -> Result<u64, Why> {
    let code = expression.get(section).map_err(|_| Why::Invalid)?;
    expression::evaluate(code, initial, |register| value(known, register), stack)
}

fn value(known: &Known, register: Register) -> Result<u64, Why> {
    let value = known.get(usize::from(register.0)).copied().flatten();
    value.ok_or(Why::UnknownRegister)
}
