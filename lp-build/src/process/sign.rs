//! Signs a patch with the author's key: a file beside the patch ([`lp_klp::signature`]).
//!
//! The key is an Ed25519 private key as OpenSSL keeps it (`openssl genpkey -algorithm ed25519`), PKCS #8 in PEM. The
//! tempting wrong way is a format of our own, for which nobody has a safe place.

use anyhow::{Context, Result};
use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer, SigningKey};
use lp_klp::signature::{Signature, message};
use std::fs;
use std::path::Path;

/// Reads a key.
pub(super) fn key(path: &Path) -> Result<SigningKey> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the key {}", path.display()))?;
    SigningKey::from_pkcs8_pem(&text).ok().with_context(|| {
        format!(
            "{} is no Ed25519 private key in PEM: make one with 'openssl genpkey -algorithm ed25519'",
            path.display()
        )
    })
}

/// The text of a patch's signature.
pub(super) fn sign(key: &SigningKey, patch: &[u8]) -> String {
    let signature = Signature {
        key: key.verifying_key().to_bytes(),
        signature: key.sign(&message(patch)).to_bytes(),
    };
    signature.to_text()
}
