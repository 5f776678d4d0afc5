//! x86-64 instructions as text, by iced-x86's formatters.
//!
//! A field that a relocation fills holds zero or a part of the addend; the formatter asks for a symbol where an operand
//! has such a field, and the answer is the field's offset, not a name: names are the business of who shows them.

use super::text::{Insn, Span, SpanKind, Syntax};
use iced_x86::{
    ConstantOffsets, Decoder, DecoderOptions, Formatter, FormatterOutput, FormatterTextKind,
    GasFormatter, Instruction, IntelFormatter, OpKind, PrefixKind, SymbolResolver, SymbolResult,
};
use std::cell::Cell;
use std::rc::Rc;

/// objdump's column of the first operand.
const OPERAND_COLUMN: u32 = 7;

/// The instructions of `code`, which lies at `start` of its section. `fields` are the offsets of the section at which
/// references have their fields, in order.
pub(super) fn instructions(code: &[u8], start: u64, fields: &[u64], syntax: Syntax) -> Vec<Insn> {
    let current = Rc::new(Cell::new(ConstantOffsets::default()));
    let resolver = Box::new(Fields {
        fields: fields.to_vec(),
        current: Rc::clone(&current),
    });
    let mut formatter = formatter(syntax, resolver);
    let mut decoder = Decoder::with_ip(64, code, start, DecoderOptions::NONE);
    let mut insn = Instruction::default();
    let mut all = Vec::new();
    while decoder.can_decode() {
        decoder.decode_out(&mut insn);
        current.set(decoder.get_constant_offsets(&insn));
        let mut out = Spans {
            spans: Vec::new(),
            fields,
            constants: current.get(),
        };
        formatter.format(&insn, &mut out);
        all.push(Insn {
            offset: insn.ip(),
            len: insn.len() as u64,
            spans: out.spans,
        });
    }
    all
}

fn formatter(syntax: Syntax, resolver: Box<dyn SymbolResolver>) -> Box<dyn Formatter> {
    let mut formatter: Box<dyn Formatter> = match syntax {
        Syntax::Att => Box::new(GasFormatter::with_options(Some(resolver), None)),
        Syntax::Intel => Box::new(IntelFormatter::with_options(Some(resolver), None)),
    };
    let options = formatter.options_mut();
    options.set_first_operand_char_index(OPERAND_COLUMN);
    options.set_uppercase_hex(false);
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_small_hex_numbers_in_decimal(false);
    options.set_space_after_operand_separator(syntax == Syntax::Intel);
    options.set_gas_show_mnemonic_size_suffix(false);
    options.set_show_branch_size(false);
    options.set_rip_relative_addresses(true);
    formatter
}

/// Offset of the field in the instruction that an operand's value is in.
fn field_in(insn: &Instruction, operand: u32, constants: &ConstantOffsets) -> Option<u64> {
    match insn.try_op_kind(operand).ok()? {
        OpKind::Memory => constants
            .has_displacement()
            .then(|| constants.displacement_offset() as u64),
        OpKind::Register => None,
        _ => constants
            .has_immediate()
            .then(|| constants.immediate_offset() as u64),
    }
}

fn is_branch(insn: &Instruction, operand: u32) -> bool {
    matches!(
        insn.try_op_kind(operand),
        Ok(OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64)
    )
}

/// Says to the formatter which operands have a name.
struct Fields {
    fields: Vec<u64>,
    current: Rc<Cell<ConstantOffsets>>,
}

impl SymbolResolver for Fields {
    fn symbol(
        &mut self,
        instruction: &Instruction,
        _operand: u32,
        instruction_operand: Option<u32>,
        address: u64,
        _address_size: u32,
    ) -> Option<SymbolResult<'_>> {
        let operand = instruction_operand?;
        let field = instruction.ip() + field_in(instruction, operand, &self.current.get())?;
        let named = is_branch(instruction, operand) || self.fields.binary_search(&field).is_ok();
        named.then(|| SymbolResult::with_str(address, ""))
    }
}

/// Gathers what the formatter writes.
struct Spans<'f> {
    spans: Vec<Span>,
    fields: &'f [u64],
    constants: ConstantOffsets,
}

impl Spans<'_> {
    fn push(&mut self, kind: SpanKind, text: &str) {
        match self.spans.last_mut() {
            Some(last) if last.kind == kind && kind == SpanKind::Other => last.text.push_str(text),
            _ => self.spans.push(Span {
                kind,
                text: text.to_owned(),
            }),
        }
    }
}

impl FormatterOutput for Spans<'_> {
    fn write(&mut self, text: &str, kind: FormatterTextKind) {
        let kind = match kind {
            FormatterTextKind::Mnemonic | FormatterTextKind::Prefix => SpanKind::Mnemonic,
            FormatterTextKind::Register => SpanKind::Register,
            FormatterTextKind::Number
            | FormatterTextKind::SelectorValue
            | FormatterTextKind::LabelAddress
            | FormatterTextKind::FunctionAddress => SpanKind::Number,
            _ => SpanKind::Other,
        };
        self.push(kind, text);
    }

    fn write_prefix(&mut self, _instruction: &Instruction, text: &str, _prefix: PrefixKind) {
        self.push(SpanKind::Mnemonic, text);
    }

    fn write_symbol(
        &mut self,
        instruction: &Instruction,
        _operand: u32,
        instruction_operand: Option<u32>,
        address: u64,
        _symbol: &SymbolResult<'_>,
    ) {
        let operand = instruction_operand.unwrap_or_default();
        let field = field_in(instruction, operand, &self.constants).unwrap_or_default();
        let at = instruction.ip() + field;
        if self.fields.binary_search(&at).is_ok() {
            self.push(SpanKind::Field(at), "");
        } else {
            self.push(SpanKind::Branch(address), "");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(code: &[u8], fields: &[u64], syntax: Syntax) -> Vec<String> {
        let shown = |span: &Span| match span.kind {
            SpanKind::Field(at) => format!("<field {at:#x}>"),
            SpanKind::Branch(to) => format!("<to {to:#x}>"),
            _ => span.text.clone(),
        };
        instructions(code, 0x10, fields, syntax)
            .iter()
            .map(|insn| insn.spans.iter().map(shown).collect())
            .collect()
    }

    #[test]
    fn names_have_places_in_operands() {
        // mov 0(%rip),%eax; call; jne +2; movq $0,8(%rdi) with a relocated immediate
        let code = [
            0x8b, 0x05, 0, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0x75, 0x02, 0x48, 0xc7, 0x47, 8, 0, 0, 0, 0,
        ];
        let fields = [0x12, 0x17, 0x21];
        assert_eq!(
            text(&code, &fields, Syntax::Att),
            [
                "mov    <field 0x12>(%rip),%eax",
                "call   <field 0x17>",
                "jne    <to 0x1f>",
                "movq   $<field 0x21>,0x8(%rdi)"
            ]
        );
        assert_eq!(
            text(&code, &fields, Syntax::Intel)[1..3],
            ["call   <field 0x17>", "jne    <to 0x1f>"]
        );
    }
}
