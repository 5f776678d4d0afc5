//! Which objects the changed files end up in: a source in its own, a header or a source that others include in theirs.
//!
//! What a header reaches is a guess on the side of too many, narrowed by the Makefiles ([`super::built`]) and by make; it
//! is compiled in both trees, and what stays the same is dropped without a word.

use super::absent::{self, Fate};
use super::arch::Arch;
use super::built::Built;
use super::commands::{CompileCommand, Owner, commands};
use super::config;
use super::include_graph::IncludeGraph;
use super::kinds::RefusedKind;
use super::make::Make;
use super::makefile::Makefiles;
use super::prepare::Prepared;
use crate::report::RefusalReport;
use crate::tree::Tree;
use crate::tree::walk::Listing;
use anyhow::{Context, Result};
use lp_klp::name::ObjName;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A file to compile in both trees.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Its path inside the trees.
    pub source: String,
    /// The kernel or the module that it is part of.
    pub object: ObjName,
    /// How it is compiled.
    pub command: CompileCommand,
    /// The header that it is here for, where it did not change itself.
    pub through: Option<String>,
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
    /// Sources that cannot be patched.
    pub refusals: Vec<RefusalReport>,
}

/// Where commands come from.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// The build folder.
    pub prepared: &'a Prepared,
    /// How make is run in it.
    pub make: Make<'a>,
    /// Where the commands are kept.
    pub commands: &'a Path,
    /// Where the includes of the tree are kept.
    pub graph: &'a Path,
}

/// Maps changed sources and headers to objects.
pub fn find(
    sources: &[String],
    headers: &[String],
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
    };
    let known = commands(build.prepared, build.make, build.commands, sources)?;
    let mut included = Vec::new();
    for source in sources {
        let command = known
            .get(source)
            .with_context(|| format!("{source} has no compile command"))?;
        if kernel.is_included(source, &command.owner) {
            included.push(source.clone());
        }
        own(&mut found, command);
    }
    let mut roots = headers.to_vec();
    roots.extend(included);
    if !roots.is_empty() {
        kernel.add_reached(&roots, sources, &mut found)?;
    }
    found.units.sort_by(|a, b| a.source.cmp(&b.source));
    kernel.add_absent(sources, &mut found);
    Ok(found)
}

/// A source that changed itself.
fn own(found: &mut Units, command: &CompileCommand) {
    let source = &command.source;
    match &command.owner {
        Owner::Object(object) => found.units.push(Unit {
            source: source.clone(),
            object: object.clone(),
            command: command.clone(),
            through: None,
        }),
        Owner::Several(modules) => found.refusals.push(RefusalReport {
            code: "several-modules".to_owned(),
            place: source.clone(),
            message: several(modules),
            source: None,
        }),
        Owner::None => {}
    }
}

fn several(modules: &str) -> String {
    format!(
        "it is linked into several modules ({modules}), which is not supported yet: leave it as it was"
    )
}

/// The kernel's tree and build; what takes time is read when it is needed.
struct Kernel<'a> {
    tree: &'a Path,
    listing: &'a Listing,
    arch: &'a Arch,
    build: Build<'a>,
    makefiles: OnceCell<Makefiles>,
    graph: OnceCell<IncludeGraph>,
    config: config::Config,
}

impl Kernel<'_> {
    fn makefiles(&self) -> &Makefiles {
        self.makefiles
            .get_or_init(|| Makefiles::read(self.tree, self.listing, self.arch.folder))
    }

    fn graph(&self) -> &IncludeGraph {
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

    /// Whether others include a source: anyone if it has no object, else its neighbours.
    fn is_included(&self, source: &str, owner: &Owner) -> bool {
        if *owner == Owner::None {
            return !self.graph().includers(source).is_empty();
        }
        let folder = source.rsplit_once('/').map_or("", |(folder, _)| folder);
        let near = IncludeGraph::of_folder(self.tree, self.listing, folder);
        !near.includers(source).is_empty()
    }

    /// Adds what `roots` reach.
    fn add_reached(&self, roots: &[String], sources: &[String], found: &mut Units) -> Result<()> {
        let built = Built::new(self.makefiles(), &self.config);
        let own: BTreeSet<&str> = sources.iter().map(String::as_str).collect();
        let mut candidates: BTreeMap<String, &str> = BTreeMap::new();
        for (path, root) in self.graph().reached(roots) {
            let code = path.ends_with(".c") || path.ends_with(".S");
            if !code || own.contains(path) {
                continue;
            }
            if self.is_other_image(path) {
                found.other_image(path, root);
            } else if built.may_be(path) {
                candidates.insert(path.to_owned(), root);
            } else if let Some(program) = self.program(path) {
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
        let known = commands(
            self.build.prepared,
            self.build.make,
            self.build.commands,
            &paths,
        )?;
        for (path, root) in candidates {
            let command = known.get(&path);
            let command = command.with_context(|| format!("{path} has no compile command"))?;
            self.add(found, command, root);
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
        if source.ends_with(".S") {
            let kind = RefusedKind::Assembler;
            return probe(kind.code(), kind.why().to_owned());
        }
        match &command.owner {
            Owner::Object(object) => found.units.push(Unit {
                source: source.clone(),
                object: object.clone(),
                command: command.clone(),
                through: Some(root.to_owned()),
            }),
            Owner::Several(modules) => probe("several-modules", several(modules)),
            Owner::None => {
                let fate = absent::fate(source, self.makefiles(), &self.config);
                if let Fate::Refused(code, why) = fate
                    && self.graph().includers(source).is_empty()
                {
                    probe(code, why);
                }
            }
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
