//! Objects that an earlier run compiled, from the same sources in the same way.
//!
//! Compiling takes many times as long as all else that is done with a case. The tempting wrong way is to look at the
//! time of the source: another branch, another compiler or another header would go unnoticed.

use crate::case::Case;
use crate::compiler::Compiler;
use std::fs;
use std::path::{Path, PathBuf};

/// An object of a case: the one that is there if it was made of the same, else a new one. A random case is not asked
/// for again.
pub(crate) fn object(
    case: &Case,
    compiler: Compiler,
    options: &[String],
    make: impl FnOnce() -> Result<Vec<u8>, String>,
) -> Result<Vec<u8>, String> {
    if !case.folder.starts_with(env!("CARGO_MANIFEST_DIR")) {
        return make();
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("corpus");
    let patched = options.iter().any(|option| option == "-DPATCHED");
    let side = if patched { "patched" } else { "orig" };
    let path = folder.join(format!("{}.{}.{side}.o", case.name, compiler.name()));
    let key = key(case, compiler, options);
    if let Some(object) = kept(&path, key) {
        return Ok(object);
    }
    let object = make()?;
    fs::create_dir_all(&folder).expect("the folder of objects");
    // Renamed as a whole: two runs may be at it.
    let own = tempfile::NamedTempFile::new_in(&folder).expect("a file");
    fs::write(&own, [key.as_bytes(), &object[..]].concat()).expect("the object");
    own.persist(&path).expect("the object");
    Ok(object)
}

fn kept(path: &Path, key: blake3::Hash) -> Option<Vec<u8>> {
    let kept = fs::read(path).ok()?;
    let object = kept.strip_prefix(key.as_bytes())?;
    Some(object.to_vec())
}

/// All that an object of a case is made of; the folder is in its debug information.
fn key(case: &Case, compiler: Compiler, options: &[String]) -> blake3::Hash {
    let mut key = blake3::Hasher::new();
    let mut add = |bytes: &[u8]| {
        key.update(&(bytes.len() as u64).to_le_bytes());
        key.update(bytes);
    };
    add(compiler.version().as_bytes());
    add(case.folder.as_os_str().as_encoded_bytes());
    for option in options.iter().chain(&case.directives.link) {
        add(option.as_bytes());
    }
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../templates");
    for file in files(&case.folder).chain(files(&templates)) {
        add(file.as_os_str().as_encoded_bytes());
        add(&fs::read(file).expect("a source"));
    }
    key.finalize()
}

/// The sources in a folder, in order.
fn files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of sources");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file() && path.extension().is_none_or(|ending| ending != "txt"))
        .collect();
    files.sort();
    files.into_iter()
}
