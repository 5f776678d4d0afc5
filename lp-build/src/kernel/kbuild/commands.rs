//! The commands that the kernel's own build would compile a file with, read from `make -n` and kept in the cache.
//!
//! The build prints, for each object, a line with `fixdep DEPFILE TARGET 'COMMAND'`; the quoted command is the one that it
//! would store in the object's `.cmd` file: the compiler, then objtool where the kernel runs it. Nothing is guessed
//! from Makefiles, so per-file flags are right. What the line does not answer is asked through `CFLAGS_KERNEL` and
//! `CFLAGS_MODULE`, which the build expands in the middle of the rule: is the object one that is linked into vmlinux, and into
//! which modules? Without it a driver that is switched off looks like one that is built in.
//!
//! The Makefile of another folder may link a file, too: there the object has another path and other flags, and
//! [`linked_from`] asks that folder for all it links from elsewhere.

use super::make::{Make, SECTION_FLAGS};
use super::makefile::{normal, object_of};
use super::prepare::Prepared;
use anyhow::{Context, Result, bail, ensure};
use lp_klp::name::ObjName;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

const LINKED: &str = "-DLIVEPATCH_LINKED";
const LINKED_FLAG: &str =
    "CFLAGS_KERNEL=$(if $(filter $@,$(real-obj-y) $(lib-y) $(extra-y)),-DLIVEPATCH_LINKED)";
const MODULE: &str = "-DLIVEPATCH_MODULE=";
/// What is part of a module may be linked into vmlinux besides. A module is itself in `obj-m`, alone or as a whole of parts.
const MODULE_FLAG: &str = "CFLAGS_MODULE=$(if $(filter $@,$(real-obj-y)),-DLIVEPATCH_LINKED) \
    $(addprefix -DLIVEPATCH_MODULE=,$(notdir $(basename $(filter $(obj-m),$@ \
    $(addprefix $(obj)/,$(addsuffix .o,$(modname-multi)))))))";

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
    /// The kernel and the modules that the object is linked into; none in a configuration that leaves it out.
    pub owners: Vec<ObjName>,
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
    let goals: Vec<String> = missing.iter().map(|source| object_of(source)).collect();
    let printed = Printed::read(&dry_run(make, &goals)?);
    for source in missing {
        let command = printed.command(tree, source)?;
        let command = command.with_context(|| {
            format!("the kernel's build does not tell how it compiles {source}")
        })?;
        store(folder, source, &command)?;
        known.insert(source.clone(), command);
    }
    Ok(known)
}

/// The commands of all objects that the build of the folder `linking` makes from sources of other folders.
pub fn linked_from(
    prepared: &Prepared,
    make: Make<'_>,
    folder: &Path,
    linking: &str,
) -> Result<Vec<CompileCommand>> {
    let goal = format!("{linking}/");
    if let Some(known) = read_cached(folder, &goal) {
        return Ok(known);
    }
    let tree = prepared
        .tree
        .to_str()
        .context("the tree's path is not UTF-8")?;
    let printed = dry_run(make, std::slice::from_ref(&goal))?;
    let found = outside(&printed, tree)?;
    store(folder, &goal, &found)?;
    Ok(found)
}

/// What the build prints that it would do for the goals.
pub(crate) fn dry_run(make: Make<'_>, goals: &[String]) -> Result<String> {
    let mut args: Vec<String> = ["-n", "V=1", SECTION_FLAGS, LINKED_FLAG, MODULE_FLAG]
        .map(str::to_owned)
        .into();
    args.extend_from_slice(goals);
    let output = make
        .single(args)
        .context("the kernel's build does not tell how it compiles")?;
    String::from_utf8(output.stdout).context("the kernel's build prints what is not UTF-8")
}

/// What `make -n` printed, by the object that is made: a thousand sources are asked for at once.
pub struct Printed(HashMap<String, Vec<Line>>);

impl Printed {
    /// Takes the lines apart, once.
    pub fn read(printed: &str) -> Self {
        let mut by_target: HashMap<String, Vec<Line>> = HashMap::new();
        for line in lines(printed) {
            by_target.entry(line.target.clone()).or_default().push(line);
        }
        Self(by_target)
    }

    /// A source's command, if the build makes anything of it.
    pub fn command(&self, tree: &str, source: &str) -> Result<Option<CompileCommand>> {
        let target = object_of(source);
        let mut unowned = None;
        for line in self.0.get(&target).into_iter().flatten() {
            let parsed = line.command(tree)?;
            ensure!(
                parsed.source == source,
                "the build makes {target} from {} instead of {source}",
                parsed.source
            );
            if !parsed.owners.is_empty() {
                return Ok(Some(parsed));
            }
            // The build may also try the file from a folder above its own, where it is no object: `arch/x86` for `arch/x86/lib`.
            unowned.get_or_insert(parsed);
        }
        Ok(unowned)
    }
}

/// The commands in what `make -n` printed for a folder whose objects come from elsewhere: `a/b/../../c/x.o`.
pub fn outside(printed: &str, tree: &str) -> Result<Vec<CompileCommand>> {
    let climbs = |line: &Line| line.target.ends_with(".o") && line.target.contains("../");
    let commands = lines(printed).filter(climbs).map(|line| line.command(tree));
    commands.collect()
}

/// One `fixdep DEPFILE TARGET 'COMMAND'` of the build's output.
pub(crate) struct Line {
    depfile: String,
    pub(crate) target: String,
    command: Option<String>,
}

pub(crate) fn lines(printed: &str) -> impl Iterator<Item = Line> {
    printed.lines().filter_map(|line| {
        let (_, fixdep) = line.split_once("scripts/basic/fixdep ")?;
        let mut words = shlex::Shlex::new(fixdep);
        Some(Line {
            depfile: words.next()?,
            target: words.next()?,
            command: words.next(),
        })
    })
}

impl Line {
    pub(crate) fn command(&self, tree: &str) -> Result<CompileCommand> {
        let place = format!("the build's command for {}", self.target);
        let command = self
            .command
            .as_deref()
            .with_context(|| format!("{place} is cut off"))?;
        command_of(command, tree, self.target.clone(), self.depfile.clone()).context(place)
    }
}

fn command_of(
    command: &str,
    tree: &str,
    target: String,
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
    let written = written_source(compile, tree, &target);
    let source = written.with_context(|| {
        format!("it does not compile a file of {tree} with -c -o {target}: {command}")
    })?;
    let owners = owners(compile)?;
    compile.retain(|word| word != LINKED && !word.starts_with(MODULE));
    Ok(CompileCommand {
        source: normal("", &source),
        target,
        depfile,
        tree: tree.to_owned(),
        steps,
        owners,
    })
}

/// The source inside the tree as the command writes it: the last word, with the target's name.
fn written_source(compile: &[String], tree: &str, target: &str) -> Option<String> {
    let compiles = compile.iter().any(|word| word == "-c")
        && compile
            .windows(2)
            .any(|pair| matches!(pair, [o, file] if o == "-o" && file == target));
    let written = compile.last()?;
    let source = written.strip_prefix(tree)?.strip_prefix('/')?;
    // The objects of a module in a folder of its own have absolute paths, too.
    let stem = target.strip_suffix(".o")?;
    let same = [source, written].map(|source| Some(source.rsplit_once('.')?.0));
    let same = same.contains(&Some(stem));
    (compiles && same).then(|| source.to_owned())
}

fn owners(compile: &[String]) -> Result<Vec<ObjName>> {
    let mut owners = BTreeSet::new();
    if compile.iter().any(|word| word == LINKED) {
        owners.insert(ObjName::vmlinux());
    }
    let valued = |flag| {
        compile
            .iter()
            .filter_map(move |word| word.strip_prefix(flag))
    };
    for name in valued(MODULE) {
        owners.insert(name.replace('-', "_").parse()?);
    }
    // Of an assembler file the build does not say which module it is for; nothing of it is ever patched.
    let is_c = compile.last().is_some_and(|source| source.ends_with(".c"));
    if is_c && compile.iter().any(|word| word == "-DMODULE") && owners.is_empty() {
        let name = valued("-DKBUILD_MODNAME=").next();
        let name = name.context("it has -DMODULE but no -DKBUILD_MODNAME")?;
        owners.insert(name.trim_matches('"').parse()?);
    }
    Ok(owners.into_iter().collect())
}

impl CompileCommand {
    /// The same command for another file in the place of the source, given by an absolute path.
    pub fn with_source(&self, path: &str) -> Self {
        let mut other = self.clone();
        if let Some(last) = other.steps.first_mut().and_then(|step| step.last_mut()) {
            path.clone_into(last);
        }
        other
    }

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
        let own = self.steps.iter().filter(|step| !is_pass_over_whole(step));
        own.map(|step| step.iter().map(word).collect()).collect()
    }
}

/// Whether a program is objtool for something linked (`delay-objtool`, scripts/Makefile.lib, 6.12), which a module of one
/// file is at once. The patch's own pass comes when it is linked; it leaves alone what has its tables already.
fn is_pass_over_whole(step: &[String]) -> bool {
    let is_objtool = step
        .first()
        .is_some_and(|program| program.ends_with("/objtool"));
    is_objtool && step.iter().any(|word| word == "--link")
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

fn cache_file(folder: &Path, asked: &str) -> std::path::PathBuf {
    folder.join(format!(
        "{}.json",
        asked.replace('%', "%25").replace('/', "%")
    ))
}

/// The cached command; whatever cannot be read is asked of make again.
fn cached(folder: &Path, source: &str) -> Option<CompileCommand> {
    read_cached(folder, source).filter(|command: &CompileCommand| command.source == source)
}

fn read_cached<T: DeserializeOwned>(folder: &Path, asked: &str) -> Option<T> {
    let text = std::fs::read(cache_file(folder, asked)).ok()?;
    serde_json::from_slice(&text).ok()
}

fn store<T: Serialize>(folder: &Path, asked: &str, answer: &T) -> Result<()> {
    let path = cache_file(folder, asked);
    let write = || -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&file, answer)?;
        file.persist(&path)?;
        Ok(())
    };
    if let Err(error) = write() {
        bail!("cannot write {} in the cache: {error}", path.display());
    }
    Ok(())
}
