//! The stub that the dynamic linker's hook leads to while a watcher is there: it lets the watcher know, and waits.
//!
//! It speaks with the watcher by three words, in a page of their own that a child of the process gets empty (`MADV_WIPEONFORK`): so
//! nobody waits in a child. A watcher that was killed delays a thread once, by about three seconds; then the stub notes that
//! nobody watches. It makes no system call but `futex`, which any process with threads may make, changes no register, and
//! has an unwind table, since a thread that waits there is looked at. The tempting wrong way is a breakpoint: without its
//! debugger it kills.

use crate::process::prepare::layout::PAGE;

/// Milliseconds after which the stub takes the watcher for dead. What wakes it early counts for one, too.
const PATIENCE: u32 = 3000;

/// Not zero: somebody watches.
pub(super) const WATCHED: u64 = 0;
/// How often the stub has asked.
pub(super) const ASKED: u64 = 4;
/// Up to which question there is an answer.
pub(super) const SERVED: u64 = 8;
/// One millisecond, a `struct timespec`.
const WAIT: usize = 16;

/// Bytes before the code that waits: `lea -72(%rsp),%rsp`, with nine registers kept below.
const ENTERED: u8 = 5;
const FRAME: u8 = 72;

/// The words at the beginning.
pub(super) fn words() -> Vec<u8> {
    let mut words = vec![0; PAGE as usize];
    words[WATCHED as usize] = 1;
    words[WAIT + 8..WAIT + 16].copy_from_slice(&1_000_000u64.to_le_bytes());
    words
}

/// The code, for words at `words` and the linker's state (`r_state` of `struct r_debug`) at `state`.
pub(super) fn code(words: u64, state: u64) -> Vec<u8> {
    let mut code = vec![0x48, 0x8d, 0x64, 0x24, 0xb8]; // lea -72(%rsp),%rsp
    code.extend(SAVE);
    code.extend([0x48, 0xbf]); // movabs $words,%rdi
    code.extend(words.to_le_bytes());
    code.extend([0x83, 0x3f, 0x00, 0x74, 0x58]); // cmpl $0,(%rdi); je out
    // Objects are being added or removed (RT_ADD, RT_DELETE): only what comes after is of interest.
    code.extend([0x48, 0xb8]); // movabs $state,%rax
    code.extend(state.to_le_bytes());
    code.extend([0x83, 0x38, 0x00, 0x75, 0x49]); // cmpl $0,(%rax); jne out
    code.extend([0xb8, 1, 0, 0, 0, 0xf0, 0x0f, 0xc1, 0x47, ASKED as u8]); // mov $1,%eax; lock xadd %eax,ASKED(%rdi)
    code.extend([0x44, 0x8d, 0x40, 0x01]); // lea 1(%rax),%r8d: our question
    code.extend([0x41, 0xb9]); // mov $PATIENCE,%r9d
    code.extend(PATIENCE.to_le_bytes());
    code.extend([0x4c, 0x8d, 0x57, WAIT as u8]); // lea WAIT(%rdi),%r10
    // again:
    code.extend([0x8b, 0x57, SERVED as u8]); // mov SERVED(%rdi),%edx
    code.extend([0x89, 0xd0, 0x44, 0x29, 0xc0, 0x79, 0x27]); // mov %edx,%eax; sub %r8d,%eax; jns out
    code.extend([0x83, 0x3f, 0x00, 0x74, 0x22]); // cmpl $0,(%rdi); je out
    code.extend([0x41, 0x83, 0xe9, 0x01, 0x78, 0x16]); // sub $1,%r9d; js late
    code.extend([0x48, 0x83, 0xc7, SERVED as u8]); // add $SERVED,%rdi
    code.extend([0xbe, 0x80, 0, 0, 0]); // mov $FUTEX_WAIT|FUTEX_PRIVATE_FLAG,%esi
    code.extend([0xb8, 202, 0, 0, 0, 0x0f, 0x05]); // mov $SYS_futex,%eax; syscall
    code.extend([0x48, 0x83, 0xef, SERVED as u8]); // sub $SERVED,%rdi
    code.extend([0xeb, 0xd5]); // jmp again
    code.extend([0xc7, 0x07, 0, 0, 0, 0]); // late: movl $0,(%rdi)
    code.extend(RESTORE); // out:
    code.extend([0x48, 0x8d, 0x64, 0x24, FRAME, 0xc3]); // lea 72(%rsp),%rsp; ret
    code
}

/// `mov` of rax, rcx, rdx, rsi, rdi and r8 to r11 to the stack.
const SAVE: [u8; 44] = [
    0x48, 0x89, 0x04, 0x24, 0x48, 0x89, 0x4c, 0x24, 0x08, 0x48, 0x89, 0x54, 0x24, 0x10, 0x48, 0x89,
    0x74, 0x24, 0x18, 0x48, 0x89, 0x7c, 0x24, 0x20, 0x4c, 0x89, 0x44, 0x24, 0x28, 0x4c, 0x89, 0x4c,
    0x24, 0x30, 0x4c, 0x89, 0x54, 0x24, 0x38, 0x4c, 0x89, 0x5c, 0x24, 0x40,
];

/// And back.
const RESTORE: [u8; 44] = [
    0x48, 0x8b, 0x04, 0x24, 0x48, 0x8b, 0x4c, 0x24, 0x08, 0x48, 0x8b, 0x54, 0x24, 0x10, 0x48, 0x8b,
    0x74, 0x24, 0x18, 0x48, 0x8b, 0x7c, 0x24, 0x20, 0x4c, 0x8b, 0x44, 0x24, 0x28, 0x4c, 0x8b, 0x4c,
    0x24, 0x30, 0x4c, 0x8b, 0x54, 0x24, 0x38, 0x4c, 0x8b, 0x5c, 0x24, 0x40,
];

/// The unwind table of a stub at an address (`.eh_frame`, LSB 5.0, 10.6.1; `DW_CFA_*`, DWARF 5, 6.4.2).
pub(in crate::process) fn unwind_table(address: u64) -> Vec<u8> {
    let size = code(0, 0).len() as u64;
    // Version 1, "zR", factors 1 and -8, return address in column 16, addresses as they are; CFA = rsp + 8, return address at CFA - 8.
    let cie = [
        &[0, 0, 0, 0, 1][..],
        b"zR\0",
        &[1, 0x78, 16, 1, 0, 0x0c, 7, 8, 0x90, 1],
    ]
    .concat();
    let mut fde = Vec::new();
    fde.extend(address.to_le_bytes());
    fde.extend(size.to_le_bytes());
    let left = size as u8 - ENTERED - 1;
    // No augmentation; advance_loc, def_cfa_offset, advance_loc1, def_cfa_offset.
    fde.extend([0, 0x40 | ENTERED, 0x0e, FRAME + 8, 0x02, left, 0x0e, 8]);
    let mut table = Vec::new();
    push(&mut table, &cie);
    let back = table.len() as u32 + 4;
    push(&mut table, &[&back.to_le_bytes(), fde.as_slice()].concat());
    table.extend([0; 4]);
    table
}

/// Adds an entry with its length, padded by `DW_CFA_nop`.
fn push(table: &mut Vec<u8>, entry: &[u8]) {
    let size = entry.len().next_multiple_of(4);
    table.extend((size as u32).to_le_bytes());
    table.extend(entry);
    table.resize(table.len() + size - entry.len(), 0);
}

#[cfg(test)]
mod tests {
    use super::{RESTORE, SAVE, code};
    use iced_x86::{Decoder, DecoderOptions, FlowControl, Mnemonic};

    #[test]
    fn every_branch_leads_to_an_instruction() {
        let code = code(0x1234_5678_9abc, 0x4321);
        let decoder = Decoder::with_ip(64, &code, 0, DecoderOptions::NONE);
        let all: Vec<_> = decoder.into_iter().collect();
        assert!(all.iter().all(|it| !it.is_invalid()));
        assert_eq!(all.last().map(|it| it.mnemonic()), Some(Mnemonic::Ret));
        let out = code.len() as u64 - 6 - RESTORE.len() as u64;
        let branches = all
            .iter()
            .filter(|it| it.flow_control() == FlowControl::ConditionalBranch);
        let targets: Vec<u64> = branches.map(|it| it.near_branch_target()).collect();
        assert_eq!(targets, [out, out, out, out, out - 6]);
        let back = all.iter().find(|it| it.mnemonic() == Mnemonic::Jmp);
        let to = back
            .map(|it| it.near_branch_target())
            .expect("it waits again");
        assert!(
            all.iter()
                .any(|it| it.ip() == to && it.mnemonic() == Mnemonic::Mov)
        );
        assert_eq!(SAVE.len(), RESTORE.len());
    }
}
