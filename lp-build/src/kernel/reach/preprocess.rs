//! What the preprocessor makes of a unit that a header reaches: most need no compiler after both trees' texts are seen.

use super::unaffected;
use crate::kernel::compile::{Place, dependencies};
use crate::kernel::kbuild::commands::CompileCommand;
use crate::kernel::kbuild::make::hermetic;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// A preprocessed file.
#[derive(Debug)]
pub struct Preprocessed {
    text: String,
    is_c: bool,
    /// What the preprocessor read.
    pub read: BTreeSet<PathBuf>,
}

impl Preprocessed {
    /// Whether the compiler must make the same code of the other text.
    pub fn compiles_as(&self, other: &Self) -> bool {
        match self.is_c {
            true => unaffected::c(&self.text, &other.text),
            false => unaffected::assembler(&self.text, &other.text),
        }
    }
}

/// Preprocesses a file of one tree; none if that fails.
pub fn run(command: &CompileCommand, place: Place<'_>) -> Option<Preprocessed> {
    let stem = place.products.join(command.target.replace('/', "."));
    let output = format!("{}.i", stem.display());
    let depfile = format!("{output}.d");
    let steps = command.steps_for(place.tree.to_str()?, &output, &depfile);
    let (program, args) = steps.first()?.split_first()?;
    let (source, args) = args.split_last()?;
    let mut preprocess = hermetic(program);
    preprocess.current_dir(place.build).arg("-P");
    preprocess.args(args.iter().map(|arg| match arg.as_str() {
        "-c" => "-E",
        arg => arg,
    }));
    preprocess.args(place.flags()).arg(source);
    let done = preprocess.output().ok()?;
    let text = fs::read(&output);
    let rule = fs::read_to_string(&depfile);
    // Megabytes for each file of a kernel would fill the disk.
    let _ = (fs::remove_file(&output), fs::remove_file(&depfile));
    Some(Preprocessed {
        text: String::from_utf8_lossy(&text.ok().filter(|_| done.status.success())?).into_owned(),
        is_c: command.source.ends_with(".c"),
        read: dependencies(&rule.ok()?),
    })
}
