//! The pool's modules under new names: a module that was forced out can never be removed, and its name is used up.
//!
//! The name stands in a module wherever kbuild put it, always in the same length; so does the note's manifest.

use std::path::Path;

use anyhow::{Context, Result, ensure};

/// What all names in the pool end with.
const ENDING: &str = "_0000";
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// A name of the pool as it is called in a run; runs count from 1.
pub fn renamed(name: &str, run: u32) -> String {
    let mut ending = String::from("_");
    for place in (0..4).rev() {
        let digit = run / 36_u32.pow(place) % 36;
        ending.push(char::from(DIGITS[digit as usize]));
    }
    match name.strip_suffix(ENDING) {
        Some(stem) => stem.to_owned() + &ending,
        None => name.to_owned(),
    }
}

/// The name in the pool of what is called so in a run; texts may have it in them.
pub fn in_pool(text: &str, run: u32) -> String {
    text.replace(&renamed(ENDING, run), ENDING)
}

/// A module's bytes with its own name replaced.
pub fn bytes(folder: &Path, name: &str, run: u32) -> Result<Vec<u8>> {
    let file = folder.join(format!("{name}.ko"));
    let mut bytes = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
    let new = renamed(name, run);
    let mut count = 0;
    let mut at = 0;
    while let Some(window) = bytes.get_mut(at..at + name.len()) {
        if window == name.as_bytes() {
            window.copy_from_slice(new.as_bytes());
            count += 1;
        }
        at += 1;
    }
    ensure!(count > 0, "{} does not bear its name", file.display());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{in_pool, renamed};

    #[test]
    fn names_keep_their_length_and_come_back() {
        for run in [1, 35, 36, 1_679_615] {
            let name = renamed("lp_p07_0000", run);
            assert_eq!(name.len(), "lp_p07_0000".len());
            assert_eq!(in_pool(&format!("{name} f"), run), "lp_p07_0000 f");
        }
        assert_eq!(renamed("lp_p07_0000", 37), "lp_p07_0011");
        assert_eq!(renamed("lp_late", 37), "lp_late");
    }
}
