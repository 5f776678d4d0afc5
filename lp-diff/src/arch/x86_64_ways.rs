//! The ways from an instruction that loads an argument to the calls that may take it.
//!
//! Between the two can be branches: gcc loads an assertion's line before it tests the condition, and has the failures of a
//! function jump to one call. Both sides of a branch are followed. A way ends without a call where the register gets
//! another value or the function ends, and where it leads on for long: it is no proof that nobody takes the argument
//! there, only that none was found.

use super::Way;
use super::x86_64::{decode, is_near_branch};
use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind, Register};

/// No call is prepared over more branches.
const BRANCHES: usize = 6;
/// Nor over more instructions, on all ways together.
const INSTRUCTIONS: usize = 400;

/// The ways from `load`, which begins after the branch that ends at `block`. An argument on the stack is followed over no
/// branch.
pub(super) fn from(code: &[u8], block: u64, load: &Instruction, in_register: bool) -> Vec<Way> {
    let mut follower = Follower {
        code,
        register: in_register.then(|| load.op0_register().full_register()),
        left: INSTRUCTIONS,
        ways: Vec::new(),
    };
    follower.follow(load.next_ip(), block, Vec::new(), BRANCHES);
    follower.ways
}

struct Follower<'c> {
    code: &'c [u8],
    register: Option<Register>,
    left: usize,
    ways: Vec<Way>,
}

impl Follower<'_> {
    /// Goes on at `from`, in a piece that begins at `start`, after other pieces.
    fn follow(&mut self, from: u64, mut start: u64, before: Way, branches: usize) {
        let mut way = before;
        let rest = usize::try_from(from)
            .ok()
            .and_then(|at| self.code.get(at..));
        for insn in decode(rest.unwrap_or_default(), from) {
            let Some(left) = self.left.checked_sub(1) else {
                return;
            };
            self.left = left;
            match insn.flow_control() {
                FlowControl::Next if self.sets(&insn) => return,
                FlowControl::Next => continue,
                _ => way.push((start, insn.next_ip())),
            }
            start = insn.next_ip();
            match insn.flow_control() {
                FlowControl::Call | FlowControl::IndirectCall => {
                    self.ways.push(way);
                    return;
                }
                FlowControl::UnconditionalBranch => {
                    match self.target(&insn).zip(branches.checked_sub(1)) {
                        Some((target, branches)) => self.follow(target, target, way, branches),
                        // Out of the function: a call that does not come back.
                        None => self.ways.push(way),
                    }
                    return;
                }
                FlowControl::ConditionalBranch if self.register.is_some() => {
                    if let Some((target, branches)) =
                        self.target(&insn).zip(branches.checked_sub(1))
                    {
                        self.follow(target, target, way.clone(), branches);
                    }
                }
                _ => return,
            }
        }
    }

    /// Where a branch goes in this function; one with a relocation has no distance yet.
    fn target(&self, branch: &Instruction) -> Option<u64> {
        let target = branch.near_branch_target();
        let inside = target < self.code.len() as u64 && target != branch.next_ip();
        (is_near_branch(branch) && inside && self.register.is_some()).then_some(target)
    }

    /// Whether an instruction gives the register another value without having used it.
    fn sets(&self, insn: &Instruction) -> bool {
        let loads = matches!(
            insn.mnemonic(),
            Mnemonic::Mov | Mnemonic::Lea | Mnemonic::Pop
        );
        let is_first = insn.op_count() > 0 && insn.op0_kind() == OpKind::Register;
        let same = |register: Register| Some(register.full_register()) == self.register;
        let clears = insn.mnemonic() == Mnemonic::Xor && insn.op0_register() == insn.op1_register();
        is_first && same(insn.op0_register()) && (loads || clears)
    }
}
