//! Which objects the changed files end up in: a source in its own, a header or a source that others include in theirs.
//!
//! One source may be linked into several modules, or into the kernel and a module: then it is a unit of each. It may also be
//! compiled once more for another folder ([`self::elsewhere`]).
//!
//! What a header reaches is a guess on the side of too many, narrowed by the Makefiles ([`self::built`]) and by make; it
//! is compiled in both trees, and what stays the same is dropped without a word.

pub mod absent;
pub mod built;
pub mod elsewhere;
pub mod external;
pub mod host_program;
pub mod rebuilt;

use self::absent::Fate;
use self::built::Built;
use self::elsewhere::Elsewhere;
use crate::kernel::arch::Arch;
use crate::kernel::changed::Sources;
use crate::kernel::changed::kinds::RefusedKind;
use crate::kernel::compile::pairs;
use crate::kernel::kbuild::commands::{CompileCommand, commands, linked_from};
use crate::kernel::kbuild::detour::Climb;
use crate::kernel::kbuild::make::Make;
use crate::kernel::kbuild::makefile::{Makefiles, folder};
use crate::kernel::kbuild::prepare::Prepared;
use crate::kernel::reach::include_graph::IncludeGraph;
use crate::kernel::reach::named::Named;
use crate::kernel::running::config;
use crate::kernel::running::find::KernelFiles;
use crate::report::{Plan, PlannedUnit, RefusalReport};
use crate::tree::Tree;
use crate::tree::walk::Listing;
use anyhow::Result;
use lp_klp::name::ObjName;
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

/// A file to compile in both trees.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Its path inside the trees.
    pub source: String,
    /// The kernel or the module that it is part of.
    pub object: ObjName,
    /// How it is compiled.
    pub command: CompileCommand,
    /// How the patched tree compiles it, where a Makefile changed that.
    pub patched: Option<CompileCommand>,
    /// Whether it is no part of the object that runs: all in it is new.
    pub added: bool,
    /// The header that it is here for, where it did not change itself.
    pub through: Option<String>,
    /// Whether the source is a unit of other objects, too.
    pub shared: bool,
}

impl Unit {
    fn of(command: &CompileCommand, object: &ObjName) -> Self {
        Self {
            source: command.source.clone(),
            object: object.clone(),
            command: command.clone(),
            patched: None,
            added: false,
            through: None,
            shared: false,
        }
    }
}

/// A file that cannot be patched, but that a header reaches: it must compile to the same in both trees.
#[derive(Debug, Clone)]
pub struct Probe {
    /// How it is compiled.
    pub command: CompileCommand,
    /// The refusal's code if it differs.
    pub code: &'static str,
    /// The header that reaches it.
    pub through: String,
    /// Why it cannot be patched and what to do.
    pub why: String,
}

/// What the changed sources come to.
#[derive(Debug, Default)]
pub struct Units {
    /// What to compile, by path.
    pub units: Vec<Unit>,
    /// What to compile to see that it stays the same.
    pub probes: Vec<Probe>,
    /// Sources that this kernel's configuration does not build.
    pub absent: Vec<String>,
    /// Files of other images that headers reach.
    pub other_images: BTreeSet<String>,
    /// Includes with `..` that can mean what changed.
    pub climbs: Vec<Climb>,
    /// Sources that cannot be patched.
    pub refusals: Vec<RefusalReport>,
    /// Objects that the patched tree's Makefiles make in another way or no longer: what a header does to them counts there.
    pub(super) settled: BTreeSet<String>,
    /// What became of files that only one tree builds.
    pub notes: Vec<String>,
}

/// Where commands come from.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// The build folder.
    pub prepared: &'a Prepared,
    /// How make is run in it.
    pub make: Make<'a>,
    /// The same with the patched tree's Makefiles.
    pub patched: Make<'a>,
    /// The kernel's files.
    pub files: &'a KernelFiles,
    /// Where the commands are kept.
    pub commands: &'a Path,
    /// Where the includes of the tree are kept.
    pub graph: &'a Path,
    /// Whether a file counts that includes a changed header, whatever it says.
    pub every_includer: bool,
}

/// Maps changed sources, headers and Makefiles to objects.
pub fn find(
    sources: &Sources,
    tree: &Tree,
    listing: &Listing,
    arch: &Arch,
    build: Build<'_>,
) -> Result<Units> {
    let mut found = Units::default();
    let config = config::parse(&config::read(&build.prepared.folder.join(".config"))?);
    let kernel = Kernel {
        tree: &tree.root,
        listing,
        arch,
        build,
        makefiles: OnceCell::new(),
        graph: OnceCell::new(),
        config,
        silent: RefCell::default(),
        asked: RefCell::default(),
    };
    let known = kernel.commands(&sources.files)?;
    let mut roots: Vec<String> = sources
        .headers
        .iter()
        .map(|header| header.path.clone())
        .collect();
    for source in &sources.files {
        let commands = known.get(source).map_or(&[][..], Vec::as_slice);
        if kernel.is_included(source, is_linked(commands)) {
            roots.push(source.clone());
        }
        for command in commands {
            found.add_units(command, None);
        }
    }
    kernel.rebuild(sources, &mut found, &mut roots)?;
    if !roots.is_empty() {
        kernel.add_reached(&roots, sources, &mut found)?;
        found.climbs = kernel.graph().climbing(&roots);
    }
    let silent = kernel.silent.take();
    found.notes.extend(silent.into_iter().map(|folder| {
        format!("{folder} may link a changed file into something of its own, but its build cannot be asked: what it links stays as it is")
    }));
    found.sort();
    kernel.add_absent(&sources.files, &mut found);
    Ok(found)
}

/// Whether a source is in an object of this kernel.
pub(super) fn is_linked(commands: &[CompileCommand]) -> bool {
    commands.iter().any(|command| !command.owners.is_empty())
}

/// The kernel's tree and build; what takes time is read when it is needed.
pub(super) struct Kernel<'a> {
    tree: &'a Path,
    listing: &'a Listing,
    arch: &'a Arch,
    pub(super) build: Build<'a>,
    makefiles: OnceCell<Makefiles>,
    graph: OnceCell<IncludeGraph>,
    pub(super) config: config::Config,
    /// Folders that did not tell when they were asked.
    silent: RefCell<BTreeSet<String>>,
    /// What folders link from elsewhere, as far as they were asked.
    asked: RefCell<BTreeMap<String, Rc<[CompileCommand]>>>,
}

impl Kernel<'_> {
    pub(super) fn makefiles(&self) -> &Makefiles {
        self.makefiles
            .get_or_init(|| Makefiles::read(self.tree, self.listing, self.arch.folder))
    }

    pub(super) fn graph(&self) -> &IncludeGraph {
        self.graph.get_or_init(|| {
            IncludeGraph::of_kernel(
                self.tree,
                self.listing,
                self.arch.folder,
                Some(&self.build.prepared.folder),
                Some(self.build.graph),
            )
        })
    }

    /// The commands of each source: its own folder's, and those of other folders that link it.
    pub(super) fn commands(
        &self,
        sources: &[String],
    ) -> Result<BTreeMap<String, Vec<CompileCommand>>> {
        let Build {
            prepared,
            make,
            commands: kept,
            ..
        } = self.build;
        let own = commands(prepared, make, kept, sources)?;
        let elsewhere = Elsewhere::new(self.makefiles(), &self.config);
        let mut all = BTreeMap::new();
        for (source, command) in own {
            let mut found = Vec::new();
            for folder in elsewhere.folders(&source) {
                found.extend(self.linked_from(folder, &source));
            }
            if found.is_empty() && command.owners.is_empty() && !self.is_explained(&source) {
                let above = elsewhere::above(&source, self.makefiles()).into_iter();
                let mut answers = above.map(|folder| self.linked_from(folder, &source));
                found = answers.find(|found| !found.is_empty()).unwrap_or_default();
            }
            if found.is_empty() || !command.owners.is_empty() {
                found.insert(0, command);
            }
            all.insert(source, found);
        }
        Ok(all)
    }

    /// Whether it is known why a source has no object of its own.
    fn is_explained(&self, source: &str) -> bool {
        let fate = absent::fate(source, self.makefiles(), &self.config);
        !matches!(fate, Fate::Refused("unknown-owner", _))
            || !self.graph().includers(source).is_empty()
    }

    /// How the build of a folder compiles a source of another one. A folder that is no part of the kernel's own build
    /// may not be built by itself; then it links nothing.
    fn linked_from(&self, folder: &str, source: &str) -> Vec<CompileCommand> {
        let asked = self.asked.borrow().get(folder).cloned();
        let commands = asked.unwrap_or_else(|| {
            let build = self.build;
            let answer = linked_from(build.prepared, build.make, build.commands, folder);
            let answer = answer.unwrap_or_else(|error| {
                tracing::debug!("{folder} does not tell what it links: {error:#}");
                self.silent.borrow_mut().insert(folder.to_owned());
                Vec::new()
            });
            let answer: Rc<[CompileCommand]> = answer.into();
            self.asked
                .borrow_mut()
                .insert(folder.to_owned(), answer.clone());
            answer
        });
        let its =
            |command: &&CompileCommand| command.source == source && !command.owners.is_empty();
        commands.iter().filter(its).cloned().collect()
    }

    /// Whether others include a source: anyone if it has no object, else its neighbours.
    fn is_included(&self, source: &str, linked: bool) -> bool {
        if !linked {
            return !self.graph().includers(source).is_empty();
        }
        let near = IncludeGraph::of_folder(self.tree, self.listing, folder(source));
        !near.includers(source).is_empty()
    }

    /// Adds what `roots` reach.
    fn add_reached(&self, roots: &[String], sources: &Sources, found: &mut Units) -> Result<()> {
        let built = Built::new(self.makefiles(), &self.config);
        let own: BTreeSet<&str> = sources.files.iter().map(String::as_str).collect();
        let mut candidates: BTreeMap<String, &str> = BTreeMap::new();
        let folders = [self.tree, self.build.prepared.folder.as_path()];
        let patched = self.build.patched.tree;
        let named = (!self.build.every_includer)
            .then(|| Named::find(self.graph(), roots, &sources.headers, &folders, patched))
            .flatten();
        for (path, root) in self.graph().reached(roots) {
            let code = path.ends_with(".c") || path.ends_with(".S");
            if !code || own.contains(path) {
                continue;
            }
            if named.as_ref().is_some_and(|named| !named.can_reach(path)) {
                continue;
            }
            if self.is_other_image(path) {
                found.other_image(path, root);
            } else if built.may_be(path) {
                candidates.insert(path.to_owned(), root);
            } else if let Some(program) = self.program(path)
                && let Some(root) = self.read_by_program(path, root, roots)
            {
                found.refusals.push(RefusalReport {
                    code: RefusedKind::BuildTool.code().to_owned(),
                    place: root.to_owned(),
                    message: format!(
                        "{path} includes it, for the program {program}, which the build runs: leave it as it was"
                    ),
                    source: None,
                });
            }
        }
        let paths: Vec<String> = candidates.keys().cloned().collect();
        let known = self.commands(&paths)?;
        for (path, root) in candidates {
            for command in known.get(&path).into_iter().flatten() {
                self.add(found, command, root);
            }
        }
        Ok(())
    }

    fn add(&self, found: &mut Units, command: &CompileCommand, root: &str) {
        let source = &command.source;
        let mut probe = |code, why: String| {
            found.probes.push(Probe {
                command: command.clone(),
                code,
                through: root.to_owned(),
                why,
            });
        };
        if found.settled.contains(&command.target) {
            return;
        }
        if source.ends_with(".S") {
            let kind = RefusedKind::Assembler;
            return probe(kind.code(), kind.why().to_owned());
        }
        if !command.owners.is_empty() {
            return found.add_units(command, Some(root));
        }
        let fate = absent::fate(source, self.makefiles(), &self.config);
        if let Fate::Refused(code, why) = fate
            && self.graph().includers(source).is_empty()
        {
            probe(code, why);
        }
    }

    fn is_other_image(&self, path: &str) -> bool {
        let mut images = self.arch.other_images.iter();
        images.any(|image| path.starts_with(image))
    }

    /// The program of the build that a file is part of, where the configuration has its folder.
    fn program(&self, path: &str) -> Option<String> {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let program = absent::build_tool(path, self.makefiles())?;
        let off = absent::is_switched_off(folder, self.makefiles(), &self.config);
        (!off).then(|| program.to_owned())
    }

    /// Which of `roots` a program of the build reads; `reached` where its search path is not known.
    fn read_by_program<'r>(
        &self,
        source: &str,
        reached: &'r str,
        roots: &'r [String],
    ) -> Option<&'r str> {
        match host_program::reads(source, self.makefiles(), self.tree, self.listing) {
            Some(reads) => roots
                .iter()
                .map(String::as_str)
                .find(|root| reads.contains(*root)),
            None => Some(reached),
        }
    }

    /// Says of each changed source that is compiled nowhere why.
    fn add_absent(&self, sources: &[String], found: &mut Units) {
        let compiled: BTreeSet<String> = found
            .units
            .iter()
            .map(|unit| unit.source.clone())
            .chain(found.refusals.iter().map(|refusal| refusal.place.clone()))
            .chain(
                found
                    .probes
                    .iter()
                    .map(|probe| probe.command.source.clone()),
            )
            .collect();
        for source in sources {
            if compiled.contains(source) {
                continue;
            }
            let source = std::slice::from_ref(source);
            let reached = self.graph().reached(source);
            if reached.keys().any(|path| compiled.contains(*path)) {
                continue;
            }
            for source in source {
                match self.fate(source).refusal(source) {
                    None => found.absent.push(source.clone()),
                    Some(refusal) => found.refusals.push(refusal),
                }
            }
        }
    }

    /// A file that is compiled nowhere is absent by itself, or because all files that include it are.
    fn fate(&self, source: &str) -> Fate {
        let own = absent::fate(source, self.makefiles(), &self.config);
        let mut seen = BTreeSet::from([source]);
        let mut pending = match own {
            Fate::Absent => Vec::new(),
            Fate::Refused(..) => vec![source],
        };
        while let Some(at) = pending.pop() {
            let through = self.graph().includers(at);
            if through.is_empty() {
                return own;
            }
            for path in through {
                let fate = absent::fate(path, self.makefiles(), &self.config);
                if fate == Fate::Absent {
                    continue;
                }
                if !seen.insert(path) {
                    // Files that include each other give no reason.
                    return own;
                }
                pending.push(path);
            }
        }
        Fate::Absent
    }
}

impl Units {
    /// A unit for each object that a file is to be linked into that is in none of them yet.
    pub(super) fn add_new(&mut self, command: &CompileCommand) {
        let units = command.owners.iter().map(|object| Unit {
            added: true,
            ..Unit::of(command, object)
        });
        self.units.extend(units);
    }

    /// A unit for each object that a compiled file is linked into.
    pub(super) fn add_units(&mut self, command: &CompileCommand, through: Option<&str>) {
        let units = command.owners.iter().map(|object| Unit {
            through: through.map(str::to_owned),
            ..Unit::of(command, object)
        });
        self.units.extend(units);
    }

    /// The order of the report; units of one command are neighbours.
    pub(super) fn sort(&mut self) {
        let key = |unit: &Unit| {
            let target = unit.command.target.clone();
            (unit.source.clone(), target, unit.object.clone())
        };
        self.units.sort_by_cached_key(key);
        for units in self.units.chunk_by_mut(|a, b| a.source == b.source) {
            let shared = units.len() > 1;
            units.iter_mut().for_each(|unit| unit.shared = shared);
        }
    }

    /// How many files there are to compile.
    pub fn count(&self) -> usize {
        pairs::by_command(&self.units).count() + self.probes.len()
    }

    /// All of them for the report, by path.
    pub fn plan(&self, seconds: f64) -> Plan {
        let patched = self.units.iter().map(|unit| PlannedUnit {
            source: unit.source.clone(),
            object: Some(unit.object.clone()),
            through: unit.through.clone(),
        });
        let probed = self.probes.iter().map(|probe| PlannedUnit {
            source: probe.command.source.clone(),
            object: None,
            through: Some(probe.through.clone()),
        });
        let mut units: Vec<PlannedUnit> = patched.chain(probed).collect();
        units.sort_by(|a, b| a.source.cmp(&b.source));
        Plan {
            units,
            seconds: seconds.ceil() as u64,
        }
    }

    /// A changed source of another image is refused; what a header changes there waits for the next boot.
    fn other_image(&mut self, path: &str, root: &str) {
        if root.ends_with(".h") {
            self.other_images.insert(path.to_owned());
            return;
        }
        let kind = RefusedKind::OtherImage;
        self.refusals.push(RefusalReport {
            code: kind.code().to_owned(),
            place: root.to_owned(),
            message: format!("{path} includes it: {}", kind.why()),
            source: None,
        });
    }
}
