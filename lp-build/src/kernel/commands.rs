//! The commands that the kernel's own build would compile a file with, read from `make -n` and kept in the cache.
//!
//! The build prints, for each object, a line with `fixdep DEPFILE TARGET 'COMMAND'`; the quoted command is the one that it
//! would store in the object's `.cmd` file: the compiler, then objtool where the kernel runs it. Nothing is guessed
//! from Makefiles, so per-file flags are right. Two questions the line does not answer are asked through
//! `CFLAGS_KERNEL`, which the build expands in the middle of the rule: is the object one that is linked into vmlinux? Without it a
//! driver that is switched off looks like one that is built in.

use super::make::{Make, SECTION_FLAGS};
use super::prepare::Prepared;
use anyhow::{Context, Result, bail, ensure};
use lp_klp::name::ObjName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

const LINKED: &str = "-DLIVEPATCH_LINKED";
const LINKED_FLAG: &str =
    "CFLAGS_KERNEL=$(if $(filter $@,$(real-obj-y) $(lib-y) $(extra-y)),-DLIVEPATCH_LINKED)";

/// Where the build puts an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// Into the kernel or one module.
    Object(ObjName),
    /// Into several modules.
    Several(String),
    /// Nowhere, in this configuration.
    None,
}

/// How one file is compiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileCommand {
    /// The source, inside the tree.
    pub source: String,
    /// The object, inside the build folder.
    pub target: String,
    /// The file for the names of what was read, inside the build folder.
    pub depfile: String,
    /// The tree in the words of `steps`.
    pub tree: String,
    /// Programs with their arguments, to be run one after another.
    pub steps: Vec<Vec<String>>,
    /// Where the object goes.
    pub owner: Owner,
}

/// The commands of `sources`, from the cache in `folder` or else from make.
pub fn commands(
    prepared: &Prepared,
    make: Make<'_>,
    folder: &Path,
    sources: &[String],
) -> Result<BTreeMap<String, CompileCommand>> {
    let mut known: BTreeMap<String, CompileCommand> = sources
        .iter()
        .filter_map(|source| Some((source.clone(), cached(folder, source)?)))
        .collect();
    let missing: Vec<&String> = sources
        .iter()
        .filter(|source| !known.contains_key(*source))
        .collect();
    if missing.is_empty() {
        return Ok(known);
    }
    let tree = prepared
        .tree
        .to_str()
        .context("the tree's path is not UTF-8")?;
    let printed = dry_run(make, &missing)?;
    for source in missing {
        let command = parse(&printed, tree, source)?;
        let command = command.with_context(|| {
            format!("the kernel's build does not tell how it compiles {source}")
        })?;
        store(folder, &command)?;
        known.insert(source.clone(), command);
    }
    Ok(known)
}

fn dry_run(make: Make<'_>, sources: &[&String]) -> Result<String> {
    let mut args: Vec<String> = ["-n", "V=1", SECTION_FLAGS, LINKED_FLAG]
        .map(str::to_owned)
        .into();
    args.extend(sources.iter().map(|source| target(source)));
    let output = make
        .single(args)
        .context("the kernel's build does not tell how it compiles")?;
    String::from_utf8(output.stdout).context("the kernel's build prints what is not UTF-8")
}

fn target(source: &str) -> String {
    let stem = source
        .strip_suffix(".c")
        .or_else(|| source.strip_suffix(".S"));
    format!("{}.o", stem.unwrap_or(source))
}

/// Finds a source's command in what `make -n` printed.
pub fn parse(printed: &str, tree: &str, source: &str) -> Result<Option<CompileCommand>> {
    let target = target(source);
    let mut unowned = None;
    for line in printed.lines() {
        let Some((_, fixdep)) = line.split_once("scripts/basic/fixdep ") else {
            continue;
        };
        let mut words = shlex::Shlex::new(fixdep);
        let (Some(depfile), Some(for_target)) = (words.next(), words.next()) else {
            continue;
        };
        if for_target != target {
            continue;
        }
        let command = words
            .next()
            .with_context(|| format!("the build's command for {target} is cut off"))?;
        let parsed = command_of(&command, tree, source, &target, depfile)
            .with_context(|| format!("the build's command for {target}"))?;
        if parsed.owner != Owner::None {
            return Ok(Some(parsed));
        }
        // The build may also try the file from a folder above its own, where it is no object: `arch/x86` for `arch/x86/lib`.
        unowned.get_or_insert(parsed);
    }
    Ok(unowned)
}

fn command_of(
    command: &str,
    tree: &str,
    source: &str,
    target: &str,
    depfile: String,
) -> Result<CompileCommand> {
    let words = shlex::split(command).context("its quotes do not match")?;
    let shell = words
        .iter()
        .find(|word| ["|", ">", "<", "&", "||"].contains(&word.as_str()));
    ensure!(
        shell.is_none(),
        "it is not a list of plain programs: {command}"
    );
    let mut steps: Vec<Vec<String>> = words
        .split(|word| word == ";" || word == "&&")
        .map(<[String]>::to_vec)
        .collect();
    steps.retain(|step| !step.is_empty());
    let compile = steps.first_mut().context("it is empty")?;
    let full_source = format!("{tree}/{source}");
    let compiles = compile.iter().any(|word| word == "-c")
        && compile
            .windows(2)
            .any(|pair| matches!(pair, [o, file] if o == "-o" && file == target))
        && compile.last() == Some(&full_source);
    ensure!(
        compiles,
        "it does not compile {full_source} with -c -o {target}: {command}"
    );
    let owner = owner(compile)?;
    compile.retain(|word| word != LINKED);
    Ok(CompileCommand {
        source: source.to_owned(),
        target: target.to_owned(),
        depfile,
        tree: tree.to_owned(),
        steps,
        owner,
    })
}

fn owner(compile: &[String]) -> Result<Owner> {
    if compile.iter().any(|word| word == "-DMODULE") {
        let name = compile
            .iter()
            .find_map(|word| word.strip_prefix("-DKBUILD_MODNAME="));
        let name = name
            .context("it has -DMODULE but no -DKBUILD_MODNAME")?
            .trim_matches('"');
        if name.contains(':') {
            return Ok(Owner::Several(name.replace(':', ", ")));
        }
        return Ok(Owner::Object(name.parse()?));
    }
    Ok(match compile.iter().any(|word| word == LINKED) {
        true => Owner::Object(ObjName::vmlinux()),
        false => Owner::None,
    })
}

impl CompileCommand {
    /// The programs that compile the file of another tree into other files.
    pub fn steps_for(&self, tree: &str, object: &str, depfile: &str) -> Vec<Vec<String>> {
        let word = |word: &String| {
            if *word == self.target {
                return object.to_owned();
            }
            if let Some(prefix) = word
                .strip_suffix(&self.depfile)
                .filter(|prefix| prefix.ends_with(','))
            {
                return format!("{prefix}{depfile}");
            }
            with_tree(word, &self.tree, tree)
        };
        self.steps
            .iter()
            .map(|step| step.iter().map(word).collect())
            .collect()
    }
}

/// Replaces the tree at the beginning of the path in a word such as `-I/TREE/include` or `-fmacro-prefix-map=/TREE/=`.
pub fn with_tree(word: &str, from: &str, to: &str) -> String {
    // The first slash begins the path, else `/a/TREE/x` would count as inside `/TREE`.
    let Some((prefix, path)) = word.find('/').and_then(|at| word.split_at_checked(at)) else {
        return word.to_owned();
    };
    match path.strip_prefix(from) {
        Some(rest) if rest.is_empty() || rest.starts_with(['/', '=']) => {
            format!("{prefix}{to}{rest}")
        }
        _ => word.to_owned(),
    }
}

fn cache_file(folder: &Path, source: &str) -> std::path::PathBuf {
    folder.join(format!(
        "{}.json",
        source.replace('%', "%25").replace('/', "%")
    ))
}

/// The cached command; whatever cannot be read is asked of make again.
fn cached(folder: &Path, source: &str) -> Option<CompileCommand> {
    let text = std::fs::read(cache_file(folder, source)).ok()?;
    serde_json::from_slice(&text)
        .ok()
        .filter(|command: &CompileCommand| command.source == source)
}

fn store(folder: &Path, command: &CompileCommand) -> Result<()> {
    let path = cache_file(folder, &command.source);
    let write = || -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&file, command)?;
        file.persist(&path)?;
        Ok(())
    };
    if let Err(error) = write() {
        bail!("cannot write {} in the cache: {error}", path.display());
    }
    Ok(())
}
