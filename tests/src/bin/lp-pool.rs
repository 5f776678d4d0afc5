//! Writes the sources of the differential test's modules: `lp-pool FOLDER RELEASE`. `cargo xtask differential` builds them.

use std::path::Path;

use anyhow::{Result, bail};
use lp_tests::differential::source;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, release] = args.as_slice() else {
        bail!("give a folder and a kernel release");
    };
    source::write_all(Path::new(folder), release)
}
