//! The file that says who vouches for a patch for processes: `NAME.lp.sig` beside `NAME.lp`.
//!
//! A text of three lines. It is a file of its own, so that a loader verifies bytes before it takes anything of them apart. The
//! signature is Ed25519 (RFC 8032) over [`message`], which no signature over anything else can be taken for. The tempting
//! wrong way is to sign a section's content: what is not in it could be changed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What the file's name has behind the patch's.
const EXTENSION: &str = ".sig";
const HEAD: &str = "livepatch-signature 1";
const KEY: &str = "key: ";
const SIGNATURE: &str = "signature: ";
const DOMAIN: &[u8] = b"livepatch patch 1\0";

/// A signature, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// The public key.
    pub key: [u8; 32],
    /// The signature by it.
    pub signature: [u8; 64],
}

/// The text is not three lines as they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "not a livepatch signature: expected '{HEAD}', '{KEY}' with 64 hexadecimal digits, '{SIGNATURE}' with 128"
)]
pub struct SignatureError;

/// What is signed of a patch file's bytes.
pub fn message(patch: &[u8]) -> Vec<u8> {
    [DOMAIN, patch].concat()
}

/// Where the signature of a patch file is.
pub fn path(patch: &Path) -> PathBuf {
    let mut name = OsString::from(patch);
    name.push(EXTENSION);
    name.into()
}

impl Signature {
    /// The file's text.
    pub fn to_text(&self) -> String {
        let (key, signature) = (hex(&self.key), hex(&self.signature));
        format!("{HEAD}\n{KEY}{key}\n{SIGNATURE}{signature}\n")
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// Where it is anything else.
    pub fn from_text(text: &str) -> Result<Self, SignatureError> {
        let mut lines = text.lines();
        let mut value = |name: &str| lines.next().and_then(|line| line.strip_prefix(name));
        let head = value(HEAD).filter(|rest| rest.is_empty());
        let (key, signature) = (value(KEY), value(SIGNATURE));
        let read = || {
            head?;
            Some(Self {
                key: bytes(key?)?,
                signature: bytes(signature?)?,
            })
        };
        let found = read().ok_or(SignatureError)?;
        lines
            .next()
            .is_none()
            .then_some(found)
            .ok_or(SignatureError)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| Some(digit.to_digit(16)? as u8))
        .collect();
    let digits = digits.filter(|digits| digits.len() == 2 * N)?;
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::Signature;

    #[test]
    fn a_signature_comes_back_and_nothing_else_does() {
        let signature = Signature {
            key: [0xa5; 32],
            signature: [0x5a; 64],
        };
        let text = signature.to_text();
        assert_eq!(Signature::from_text(&text), Ok(signature));
        let wrong = [
            String::new(),
            text.replace('1', "2"),
            text.replacen("a5", "a", 1),
            text.replacen("a5", "xy", 1),
            text.replacen("a5", "\u{e4}\u{e4}", 1),
            format!("{text}more\n"),
            text.replace("key", "kee"),
        ];
        for text in wrong {
            assert!(Signature::from_text(&text).is_err(), "{text}");
        }
    }
}
