//! Whether what the preparation made would be the same with the patched headers: the folder of the original serves both trees.
//!
//! The preparation's own records (`.NAME.cmd`) say which files it read and by which command. What read a changed header is
//! made again from both trees, aside, and compared: of the layouts that assembler code knows (`asm-offsets.s`, `bounds.s`)
//! the lines that become a header, of anything else every byte. The tempting wrong way is to prepare a second folder: its
//! objtool and its offsets would be right for a kernel that does not run.

use super::Changed;
use crate::kernel::arch::Arch;
use crate::kernel::inputs::Inputs;
use crate::kernel::kbuild::make::hermetic;
use crate::kernel::kbuild::makefile::normal;
use crate::kernel::kbuild::prepare::Prepared;
use crate::report::RefusalReport;
use crate::tree::walk::{Kind, Listing};
use crate::tree::{Change, ChangeKind};
use anyhow::{Result, bail};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What refuses a header that the prepared folder depends on.
const CODE: &str = "changed-header";

/// Finds headers whose change the prepared folder does not follow.
pub fn check(
    headers: &[Change],
    inputs: &Inputs,
    changed: &Changed,
    prepared: &Prepared,
    products: &Path,
) -> Result<Vec<RefusalReport>> {
    let paths: BTreeSet<&str> = headers.iter().map(|change| change.path.as_str()).collect();
    let mut refusals: Vec<RefusalReport> = headers
        .iter()
        .filter_map(|change| wrapper(change, inputs.arch, &changed.listing, &prepared.folder))
        .collect();
    refusals.extend(prerequisites(&paths, inputs, &changed.listing));
    let roots = (inputs.orig.root.as_path(), changed.patched.as_path());
    let made = records(&prepared.folder)
        .par_iter()
        .map(|record| record.check(&paths, roots, &prepared.folder, products))
        .collect::<Result<Vec<_>>>()?;
    refusals.extend(made.into_iter().flatten());
    Ok(refusals)
}

fn refusal(place: &str, message: String) -> RefusalReport {
    RefusalReport {
        code: CODE.to_owned(),
        place: place.to_owned(),
        message,
        source: None,
    }
}

/// A header of the architecture hides the generic one of its name, and the preparation makes a header that leads there.
fn wrapper(
    change: &Change,
    arch: &Arch,
    listing: &Listing,
    folder: &Path,
) -> Option<RefusalReport> {
    if change.kind == ChangeKind::Changed {
        return None;
    }
    let rest = change
        .path
        .strip_prefix("arch/")?
        .strip_prefix(arch.folder)?;
    let name = rest.strip_prefix("/include/")?;
    let base = name.rsplit('/').next().unwrap_or(name);
    let generated = folder.join(format!("arch/{}/include/generated/{name}", arch.folder));
    let generic = ["include/asm-generic/", "include/uapi/asm-generic/"];
    let generic = generic
        .iter()
        .any(|folder| listing.contains_key(&format!("{folder}{base}")));
    (generated.exists() || generic).then(|| {
        refusal(
            &change.path,
            "a generic header has the same name, so that this one comes or goes changes which of the two the whole kernel \
             sees: give it another name, or leave it as it was"
                .to_owned(),
        )
    })
}

/// Headers that a Makefile gives to a program of the build: `cpufeatures.h` becomes a table of names.
fn prerequisites(paths: &BTreeSet<&str>, inputs: &Inputs, listing: &Listing) -> Vec<RefusalReport> {
    let ours = |path: &str| {
        path.strip_prefix("arch/")
            .is_none_or(|rest| rest.split('/').next() == Some(inputs.arch.folder))
    };
    let makefiles: Vec<&String> = listing
        .iter()
        .filter(|(path, kind)| {
            let name = path.rsplit('/').next().unwrap_or(path);
            let outside = ["Documentation/", "samples/", "tools/", "scripts/"];
            **kind == Kind::File
                && (name.starts_with("Makefile") || name.starts_with("Kbuild"))
                && ours(path)
                && !outside.iter().any(|top| path.starts_with(top))
        })
        .map(|(path, _)| path)
        .collect();
    let named = |makefile: &&String| -> Vec<RefusalReport> {
        let text = std::fs::read(inputs.orig.root.join(makefile)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).replace("\\\n", " ");
        let named = headers_named(makefile, &text);
        let hit = paths.iter().filter(|path| named.contains(**path));
        hit.map(|path| {
            let message = format!(
                "{makefile} makes another file of it by a program of the build, which would not be made again: leave it \
                 as it was"
            );
            refusal(path, message)
        })
        .collect()
    };
    let mut refusals: Vec<RefusalReport> = makefiles.par_iter().flat_map_iter(named).collect();
    refusals.dedup_by(|a, b| a.place == b.place);
    refusals
}

/// The headers of the tree that a Makefile's rules and variables name; lists of wrappers and flags are none.
pub fn headers_named(makefile: &str, text: &str) -> BTreeSet<String> {
    let folder = makefile.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut named = BTreeSet::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or(line);
        let variable = line
            .split(['=', '+', ':'])
            .next()
            .unwrap_or_default()
            .trim();
        if variable.ends_with("-y") || variable.contains("FLAGS") || variable.starts_with("flags") {
            continue;
        }
        for word in line.split(|c: char| c.is_ascii_whitespace() || ":,=\"".contains(c)) {
            let word = word.trim_end_matches(')');
            if !word.ends_with(".h") {
                continue;
            }
            if let Some(rest) = word.strip_prefix("$(srctree)/") {
                named.insert(normal("", rest));
            } else {
                let rest = word.strip_prefix("$(src)/").unwrap_or(word);
                named.insert(normal(folder, rest));
            }
        }
    }
    named
}

/// One file that the preparation made.
#[derive(Debug)]
struct Record {
    target: String,
    command: String,
    read: Vec<String>,
    /// The folder that the command ran in, inside the build folder.
    file: PathBuf,
}

/// The preparation's records; of what is no record nothing is known here, and it comes from no header of the kernel.
fn records(folder: &Path) -> Vec<Record> {
    let walk = walkdir::WalkDir::new(folder)
        .into_iter()
        .filter_map(Result::ok);
    walk.filter(|entry| {
        entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with('.') && name.ends_with(".cmd"))
    })
    .filter_map(|entry| {
        let text = std::fs::read_to_string(entry.path()).ok()?;
        let (target, command) = text.lines().find_map(|line| {
            let line = line
                .strip_prefix("savedcmd_")
                .or_else(|| line.strip_prefix("cmd_"))?;
            line.split_once(" := ")
        })?;
        let words = text.split_ascii_whitespace();
        Some(Record {
            target: target.to_owned(),
            command: command.to_owned(),
            read: words
                .filter(|word| word.starts_with('/'))
                .map(str::to_owned)
                .collect(),
            file: entry.into_path(),
        })
    })
    .collect()
}

impl Record {
    fn check(
        &self,
        headers: &BTreeSet<&str>,
        (orig, patched): (&Path, &Path),
        build: &Path,
        products: &Path,
    ) -> Result<Option<RefusalReport>> {
        let reads = |path: &String| {
            let inside = Path::new(path).strip_prefix(orig).ok()?.to_str()?;
            headers.get(normal("", inside).as_str()).copied()
        };
        // One that read nothing of the tree by its record can not be asked.
        let Some(header) = self.read.iter().find_map(reads) else {
            return Ok(None);
        };
        let ours = self.make(orig, orig, build, &products.join("orig"));
        let theirs = self.make(orig, patched, build, &products.join("new"));
        Ok(match (ours, theirs) {
            (Some(Ok(ours)), Some(Ok(theirs))) if ours == theirs => None,
            (Some(Ok(_)), Some(Err(said))) => bail!(
                "{} is made from {header}, and that does not compile in the patched tree: does it need another file of the fix?\n{said}",
                self.target
            ),
            (Some(Ok(_)), Some(Ok(_))) => Some(refusal(
                header,
                format!(
                    "it changes {}, from which assembler code or tools of the build know the kernel's layout: that cannot \
                     change while the kernel runs. Leave this part of it as it was",
                    self.target
                ),
            )),
            _ => Some(refusal(
                header,
                format!(
                    "{}, which the build made from it, could not be made again to see whether it stays the same: leave it as it was",
                    self.file.display()
                ),
            )),
        })
    }

    /// What the command makes of a tree, or what the compiler says; none where it is not one plain compile command.
    fn make(
        &self,
        orig: &Path,
        tree: &Path,
        build: &Path,
        products: &Path,
    ) -> Option<Result<Vec<u8>, String>> {
        std::fs::create_dir_all(products).ok()?;
        let product = products.join(self.target.replace('/', "."));
        let words = shlex::split(&self.command)?;
        let plain = |word: &String| ![";", "&&", "|", ">", "<"].contains(&word.as_str());
        let at = words.iter().position(|word| word == "-o")? + 1;
        if !words.iter().all(plain) || words.get(at) != Some(&self.target) {
            return None;
        }
        let (from, to) = (orig.to_str()?, tree.to_str()?);
        let words: Vec<String> = words
            .iter()
            .enumerate()
            .filter(|(_, word)| !word.starts_with("-Wp,-M"))
            .map(|(index, word)| match index == at {
                true => product.to_string_lossy().into_owned(),
                false => crate::kernel::kbuild::commands::with_tree(word, from, to),
            })
            .collect();
        let (program, args) = words.split_first()?;
        let output = hermetic(program)
            .args(args)
            .current_dir(build)
            .output()
            .ok()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Some(Err(said.replace(&format!("{to}/"), "")));
        }
        let made = std::fs::read(&product).ok()?;
        if !self.target.ends_with(".s") {
            return Some(Ok(made));
        }
        let lines = made.split(|byte| *byte == b'\n');
        let kept: Vec<&[u8]> = lines
            .filter(|line| memchr::memmem::find(line, b"->").is_some())
            .collect();
        Some(Ok(kept.join(&b'\n')))
    }
}
