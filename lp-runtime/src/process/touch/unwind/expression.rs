//! DWARF expressions in call frame information: in procedure linkage tables and signal trampolines.

use gimli::{
    Encoding, EndianSlice, EvaluationResult, Expression, Format, LittleEndian, Location, Register,
    Value,
};

use super::{Stack, Why};

const ENCODING: Encoding = Encoding {
    address_size: 8,
    format: Format::Dwarf32,
    version: 4,
};

/// Far more than those that exist need.
const MAX_OPERATIONS: u32 = 256;

/// The value of an expression, which begins with `initial` on its stack.
pub(super) fn evaluate(
    expression: Expression<EndianSlice<'_, LittleEndian>>,
    initial: Option<u64>,
    register: impl Fn(Register) -> Result<u64, Why>,
    stack: &mut Stack<'_>,
) -> Result<u64, Why> {
    let mut evaluation = expression.evaluation(ENCODING);
    evaluation.set_max_iterations(MAX_OPERATIONS);
    if let Some(initial) = initial {
        evaluation.set_initial_value(initial);
    }
    let mut result = evaluation.evaluate();
    loop {
        result = match result.map_err(|_| Why::Invalid)? {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresMemory {
                address,
                size,
                space: None,
                ..
            } => {
                let word = stack.value(address, size)?;
                evaluation.resume_with_memory(Value::Generic(word))
            }
            EvaluationResult::RequiresRegister {
                register: number, ..
            } => evaluation.resume_with_register(Value::Generic(register(number)?)),
            _ => return Err(Why::Invalid),
        };
    }
    match evaluation.as_result() {
        [piece] => match piece.location {
            Location::Address { address } => Ok(address),
            _ => Err(Why::Invalid),
        },
        _ => Err(Why::Invalid),
    }
}
