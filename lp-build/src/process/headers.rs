//! The headers that a patched source may include: from `templates/`, part of this program.
//!
//! Their folder is the last that the compiler looks in (`-idirafter`), for both trees: no file of a project can be hidden
//! by it, and no tree must hold them.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

const ALL: [(&str, &str); 3] = [
    ("lp_patch.h", include_str!("../../../templates/lp_patch.h")),
    (
        "lp_shadow.h",
        include_str!("../../../templates/lp_shadow.h"),
    ),
    ("lp_state.h", include_str!("../../../templates/lp_state.h")),
];

/// Writes them; the folder that they are in.
pub(super) fn provide(folder: &Path) -> Result<PathBuf> {
    let folder = folder.join("include");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, text) in ALL {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(folder)
}
