//! `lp-build new`: a folder to begin a patch in, with a description whose comments say what may be in it.

use crate::cli::NewArgs;
use crate::options;
use crate::progress::say;
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

const DESCRIBE: &str = include_str!("../../templates/livepatch.toml");

/// Makes the folder, or says why not.
pub fn run(args: &NewArgs) -> ExitCode {
    match make(args) {
        Ok(folder) => {
            let (folder, name) = (folder.display(), &args.name);
            say(format_args!(
                "made {folder}/livepatch.toml. Fill it in, put the fix beside it, and build:\n  \
                 lp-build kernel --orig TREE --patch {folder}/fix.patch --kernel \"$(uname -r)\" -o {folder}/{name}.ko"
            ));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(format_args!("error: {}", lp_cli::in_words(&error)));
            ExitCode::FAILURE
        }
    }
}

fn make(args: &NewArgs) -> Result<PathBuf> {
    options::module_name(&args.name)?;
    let folder = args.within.join(&args.name);
    fs::create_dir(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let path = folder.join(options::DESCRIBE_FILE);
    let text = DESCRIBE.replace("NAME", &args.name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(folder)
}
