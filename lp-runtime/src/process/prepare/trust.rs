//! Who may vouch for a patch: a folder of public keys, and the signature beside the patch ([`lp_klp::signature`]).
//!
//! The bytes that were verified are the bytes that are loaded: whoever calls this reads the file once. A key that others could
//! have put there vouches for nothing, so the folder and its files must be root's or ours, and for nobody else to write.
//! The tempting wrong way is to trust the key that the signature names.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::DecodePublicKey;
use ed25519_dalek::{Signature as Ed25519, VerifyingKey};
use lp_klp::signature::{Signature, SignatureError, message};
use thiserror::Error;

/// Where trusted keys are, if nothing else is said.
pub const FOLDER: &str = "/etc/livepatch/trusted";
/// Keys are files of this kind.
const EXTENSION: &str = "pem";
/// Group and others.
const WRITABLE: u32 = 0o022;

/// The keys that may vouch for a patch, and their files.
#[derive(Debug, Default)]
pub struct TrustedKeys {
    keys: BTreeMap<[u8; 32], PathBuf>,
}

/// Why a patch is not trusted.
#[derive(Debug, Error)]
pub enum TrustError {
    /// The folder or a key cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Someone else could have put it there.
    #[error(
        "{} can be written by others than root and you, so its keys vouch for nothing: chown it, and chmod go-w",
        path.display()
    )]
    Writable {
        /// The folder or key.
        path: PathBuf,
    },
    /// A file that ends like a key.
    #[error("{} is no Ed25519 public key in PEM: 'openssl pkey -pubout' writes one", path.display())]
    NotAKey {
        /// Which.
        path: PathBuf,
    },
    /// There is no signature.
    #[error(
        "the patch is not signed: build it with --sign KEY.pem, or load it with --allow-unsigned"
    )]
    Unsigned,
    /// What is beside the patch is no signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It is signed with a key that is not trusted.
    #[error(
        "the patch is signed with the key {key}, which is not among the trusted ones: put that key there, or load the patch \
         with --allow-unsigned"
    )]
    Unknown {
        /// The key, hexadecimal.
        key: String,
    },
    /// The signature is not of these bytes.
    #[error(
        "the signature by {} is not of this patch: one of the two was changed or damaged after the signing",
        key.display()
    )]
    Forged {
        /// The trusted key's file.
        key: PathBuf,
    },
}

impl TrustError {
    /// Whether only a word for the patch is missing, which the operator may give.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Unsigned | Self::Unknown { .. })
    }

    /// Whether the patch is refused, as opposed to keys that cannot be read.
    pub fn is_refusal(&self) -> bool {
        self.is_missing() || matches!(self, Self::Signature(_) | Self::Forged { .. })
    }
}

impl TrustedKeys {
    /// Reads the folder's `*.pem` files. Where there is no folder, nobody is trusted.
    ///
    /// # Errors
    /// Where something in it cannot be read, is no key, or others could have written it.
    pub fn read(folder: &Path) -> Result<Self, TrustError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| TrustError::Io { path, source }
        };
        match fs::metadata(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            found => only_ours(folder, &found.map_err(failed(folder))?)?,
        }
        let mut keys = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(failed(folder))? {
            let path = entry.map_err(failed(folder))?.path();
            if path
                .extension()
                .is_none_or(|extension| extension != EXTENSION)
            {
                continue;
            }
            only_ours(&path, &fs::metadata(&path).map_err(failed(&path))?)?;
            let text = fs::read_to_string(&path).map_err(failed(&path))?;
            let Ok(key) = VerifyingKey::from_public_key_pem(&text) else {
                return Err(TrustError::NotAKey { path });
            };
            keys.insert(key.to_bytes(), path);
        }
        Ok(Self { keys })
    }

    /// Who vouches for these bytes: the file of a trusted key.
    ///
    /// # Errors
    /// Where nobody does.
    pub fn check(&self, patch: &[u8], signature: Option<&str>) -> Result<&Path, TrustError> {
        let signature = Signature::from_text(signature.ok_or(TrustError::Unsigned)?)?;
        let unknown = || TrustError::Unknown {
            key: signature
                .key
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        };
        let path = self.keys.get(&signature.key).ok_or_else(unknown)?;
        let forged = || TrustError::Forged { key: path.clone() };
        let key = VerifyingKey::from_bytes(&signature.key).map_err(|_| forged())?;
        let signed = Ed25519::from_bytes(&signature.signature);
        // Strict: no key and no signature of small order, for which many messages would do.
        key.verify_strict(&message(patch), &signed)
            .map_err(|_| forged())?;
        Ok(path)
    }
}

fn only_ours(path: &Path, metadata: &Metadata) -> Result<(), TrustError> {
    let owner = metadata.uid();
    let is_ours = owner == 0 || owner == rustix::process::geteuid().as_raw();
    if is_ours && metadata.mode() & WRITABLE == 0 {
        return Ok(());
    }
    Err(TrustError::Writable {
        path: path.to_owned(),
    })
}
