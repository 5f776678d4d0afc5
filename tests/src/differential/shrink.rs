//! The shortest sequence that still fails: operations are left out as long as that does not heal it.
//!
//! Large pieces first, then single ones. Any failure counts: to insist on the same one would keep operations that only colour it.

use anyhow::Result;

use super::operation::Operation;
use super::sequence::Sequence;

/// Shortens a failing sequence; `fails` plays one.
pub fn shortest(
    sequence: &[Operation],
    mut fails: impl FnMut(&[Operation]) -> Result<bool>,
) -> Result<Sequence> {
    let mut best = sequence.to_vec();
    let mut piece = best.len() / 2;
    while piece > 0 {
        let mut start = 0;
        let mut healed = true;
        while start < best.len() {
            let end = (start + piece).min(best.len());
            let shorter: Sequence = best
                .iter()
                .take(start)
                .chain(best.iter().skip(end))
                .copied()
                .collect();
            if !shorter.is_empty() && fails(&shorter)? {
                best = shorter;
                healed = false;
            } else {
                start = end;
            }
        }
        if piece > 1 {
            piece /= 2;
        } else if healed {
            break;
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::shortest;
    use crate::differential::operation::Operation::{self, Disable, Enable, Hold, Load, Unload};

    #[test]
    fn what_does_not_matter_is_left_out() {
        let long = [
            Hold,
            Load(1),
            Unload(3),
            Load(2),
            Enable(1),
            Disable(2),
            Unload(2),
        ];
        let fails = |sequence: &[Operation]| {
            let load = sequence.iter().position(|operation| *operation == Load(2));
            let disable = sequence
                .iter()
                .position(|operation| *operation == Disable(2));
            Ok(load.is_some() && load < disable)
        };
        let short = shortest(&long, fails).expect("nothing goes wrong here");
        assert_eq!(short, [Load(2), Disable(2)]);
    }
}
