//! Who includes whom, from the text of the sources: which files a changed header, or a `.c` that others include, reaches.
//!
//! No search path is known here, so a name means every file that it can mean: the one beside the file that includes it, else
//! each that ends in the same words. That errs on the side of too many, and the compiler's own list of what it read
//! sorts them out later. A header behind a macro (`TRACE_INCLUDE_FILE`) counts as included where the macro is defined:
//! whoever includes by the macro has included its definition. The tempting wrong way is to ask the compiler for each file
//! of the kernel: that takes as long as building it.

use crate::kernel::kbuild::detour::Climb;
use crate::kernel::kbuild::makefile::normal;
use crate::tree::walk::{Kind, Listing};
use memchr::memmem;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What a text can include or be included as.
const EXTENSIONS: [&str; 5] = ["c", "h", "S", "inc", "def"];
const OUTSIDE: [&str; 7] = [
    "Documentation/",
    "LICENSES/",
    "debian/",
    "samples/",
    "scripts/",
    "tools/",
    "rust/",
];
/// The tracing headers name the header to include again by its stem.
const STEMS: [&str; 2] = ["TRACE_INCLUDE_FILE", "TRACE_SYSTEM"];

const DEFINE_TRACE: &str = "include/trace/define_trace.h";

/// One name that a file includes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Include {
    /// As it is written, without `./`.
    pub name: String,
    /// Whether the folder of the file is looked in first.
    pub beside: bool,
}

/// A file as it was when it was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Scanned {
    path: String,
    /// Device, inode, size, and times of content and inode: what no change leaves alone.
    stamp: Stamp,
    includes: Vec<Include>,
}

type Stamp = (u64, u64, u64, i64, i64, i64, i64);

/// The includes of a set of files.
#[derive(Debug, Default)]
pub struct IncludeGraph {
    files: Vec<Scanned>,
    /// By the last part of the name: the file, and where the name can only mean one file, that.
    by_name: HashMap<String, Vec<Edge>>,
}

#[derive(Debug, Clone)]
struct Edge {
    file: usize,
    /// The file beside it, which exists.
    exact: Option<String>,
    /// What a file that is meant ends in.
    tail: String,
}

impl IncludeGraph {
    /// Reads the files of a tree that can be part of the kernel, and those that the build generated; what is known from
    /// an earlier run is in `cache`.
    pub fn of_kernel(
        root: &Path,
        listing: &Listing,
        arch: &str,
        build: Option<&Path>,
        cache: Option<&Path>,
    ) -> Self {
        let mut paths: Vec<(String, PathBuf)> = listing
            .iter()
            .filter(|(path, kind)| **kind == Kind::File && counts(path, arch))
            .map(|(path, _)| (path.clone(), root.join(path)))
            .collect();
        paths.extend(build.into_iter().flat_map(|build| generated(build, arch)));
        let known = cache.map(load).unwrap_or_default();
        let (files, fresh) = scan(paths, known);
        if let Some(cache) = cache.filter(|_| fresh) {
            store(cache, &files);
        }
        Self::new(files, listing)
    }

    /// Reads the files of one folder of a tree.
    pub fn of_folder(root: &Path, listing: &Listing, folder: &str) -> Self {
        let inside = |path: &str| {
            let rest = path
                .strip_prefix(folder)
                .and_then(|rest| rest.strip_prefix('/'));
            rest.is_some_and(|rest| !rest.contains('/'))
        };
        let paths = listing
            .iter()
            .filter(|(path, kind)| **kind == Kind::File && is_text(path) && inside(path))
            .map(|(path, _)| (path.clone(), root.join(path)))
            .collect();
        Self::new(scan(paths, HashMap::new()).0, listing)
    }

    fn new(files: Vec<Scanned>, listing: &Listing) -> Self {
        let edges: Vec<Vec<(String, Edge)>> = files
            .par_iter()
            .enumerate()
            .map(|(index, file)| {
                let includes = file.includes.iter();
                includes
                    .map(|include| edge(index, file, include, listing))
                    .collect()
            })
            .collect();
        let mut by_name: HashMap<String, Vec<Edge>> = HashMap::new();
        for (name, edge) in edges.into_iter().flatten() {
            by_name.entry(name).or_default().push(edge);
        }
        Self { files, by_name }
    }

    /// The files that were read, but for some, with where they are: below the first of `folders` that has them.
    pub fn texts(&self, folders: &[&Path], without: &[String]) -> Vec<(String, PathBuf)> {
        let paths = self.files.iter().map(|file| &file.path);
        let paths = paths.filter(|path| !without.contains(path));
        let place = |path: &String| {
            let mut places = folders.iter().map(|folder| folder.join(path));
            let found = places.find(|place| place.exists());
            (path.clone(), found.unwrap_or_default())
        };
        paths.map(place).collect()
    }

    /// The files that can include `target`, in the order of their paths.
    pub fn includers(&self, target: &str) -> BTreeSet<&str> {
        let name = target.rsplit('/').next().unwrap_or(target);
        let edges = self.by_name.get(name).into_iter().flatten();
        edges
            .filter(|edge| edge.means(target))
            .filter_map(|edge| Some(self.files.get(edge.file)?.path.as_str()))
            .filter(|path| *path != target)
            .collect()
    }

    /// Every file that can include one of `targets`, itself or through others, with the target that it was first
    /// reached from.
    pub fn reached<'a>(&'a self, targets: &'a [String]) -> BTreeMap<&'a str, &'a str> {
        let mut reached: BTreeMap<&str, &str> = BTreeMap::new();
        let mut seen: BTreeSet<&str> = targets.iter().map(String::as_str).collect();
        for from in targets {
            let mut pending = vec![from.as_str()];
            while let Some(at) = pending.pop() {
                for path in self.includers(at).into_iter().chain(self.commanded(at)) {
                    reached.entry(path).or_insert(from);
                    if seen.insert(path) {
                        pending.push(path);
                    }
                }
            }
        }
        reached
    }

    /// The includes with `..` that can mean one of `targets`, whatever folder they are looked up from.
    pub fn climbing(&self, targets: &[String]) -> Vec<Climb> {
        let ends: Vec<String> = targets.iter().map(|target| format!("/{target}")).collect();
        let climbs = |name: &str| {
            let tail = normal("", name.rsplit("../").next().unwrap_or_default());
            name.contains("..") && ends.iter().any(|end| end.ends_with(&format!("/{tail}")))
        };
        let found: BTreeSet<Climb> = self
            .files
            .par_iter()
            .flat_map_iter(|file| {
                let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let includes = file.includes.iter();
                includes
                    .filter(|include| climbs(&include.name))
                    .map(|include| Climb {
                        folder: folder.to_owned(),
                        name: include.name.clone(),
                    })
            })
            .collect();
        // `TRACE_INCLUDE_PATH` counts from the folder of the header that includes by it.
        let traced = self.files.iter().any(|file| file.path == DEFINE_TRACE);
        let traced = targets.iter().filter(|_| traced).map(|target| Climb {
            folder: "include/trace".to_owned(),
            name: format!("../../{target}"),
        });
        found.into_iter().chain(traced).collect()
    }

    /// The sources whose command line includes a header for the Makefile `path`.
    fn commanded<'a>(&'a self, path: &str) -> Box<dyn Iterator<Item = &'a str> + 'a> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if !is_makefile(name) {
            return Box::new(std::iter::empty());
        }
        let prefix = match folder {
            "" | "scripts" => String::new(),
            folder => format!("{folder}/"),
        };
        let paths = self.files.iter().map(|file| file.path.as_str());
        let source = |path: &&str| path.ends_with(".c") || path.ends_with(".S");
        Box::new(
            paths
                .filter(source)
                .filter(move |path| path.starts_with(&prefix)),
        )
    }
}

impl Edge {
    fn means(&self, target: &str) -> bool {
        match &self.exact {
            Some(exact) => exact == target,
            None => target
                .strip_suffix(self.tail.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('/')),
        }
    }
}

fn edge(index: usize, file: &Scanned, include: &Include, listing: &Listing) -> (String, Edge) {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let exact = Some(normal(folder, &include.name))
        .filter(|path| include.beside && listing.contains_key(path));
    // From an unknown folder of the search path, `a/../b.h` and `../b.h` both end in `b.h`.
    let tail = include.name.rsplit("../").next().unwrap_or_default();
    let tail = normal("", tail);
    let name = tail.rsplit('/').next().unwrap_or_default().to_owned();
    let edge = Edge {
        file: index,
        exact,
        tail,
    };
    (name, edge)
}

fn is_text(path: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, extension)| EXTENSIONS.contains(&extension))
}

fn is_makefile(name: &str) -> bool {
    name.starts_with("Makefile") || name.starts_with("Kbuild")
}

fn counts(path: &str, arch: &str) -> bool {
    let other_arch = path
        .strip_prefix("arch/")
        .is_some_and(|rest| rest.split('/').next().is_some_and(|name| name != arch));
    let name = path.rsplit('/').next().unwrap_or(path);
    if is_makefile(name) {
        let own = path
            .strip_prefix("scripts/")
            .is_some_and(|rest| !rest.contains('/'));
        return !other_arch && (own || !OUTSIDE.iter().any(|top| path.starts_with(top)));
    }
    is_text(path) && !other_arch && !OUTSIDE.iter().any(|top| path.starts_with(top))
}

/// The headers that the preparation made, by their paths in the build folder; none is also a path of a tree.
fn generated(build: &Path, arch: &str) -> Vec<(String, PathBuf)> {
    let folders = [
        "include/generated".to_owned(),
        format!("arch/{arch}/include/generated"),
    ];
    let walk = folders.iter().flat_map(|folder| {
        walkdir::WalkDir::new(build.join(folder))
            .into_iter()
            .filter_map(Result::ok)
    });
    walk.filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| {
            let path = entry.path().strip_prefix(build).ok()?.to_str()?.to_owned();
            is_text(&path).then(|| (path, entry.into_path()))
        })
        .collect()
}

/// Reads what is not known or has changed since; says whether anything was.
fn scan(paths: Vec<(String, PathBuf)>, known: HashMap<String, Scanned>) -> (Vec<Scanned>, bool) {
    let count = known.len();
    let scanned: Vec<(Scanned, bool)> = paths
        .into_par_iter()
        .with_min_len(64)
        .map(|(path, file)| {
            let stamp = stamp(&file);
            if let Some(known) = known.get(&path)
                && stamp.is_some_and(|stamp| stamp == known.stamp)
            {
                return (known.clone(), false);
            }
            // What cannot be read here is an error where it is compiled.
            let text = std::fs::read(&file).unwrap_or_default();
            let includes = includes(&path, &text);
            let stamp = stamp.unwrap_or_default();
            (
                Scanned {
                    path,
                    stamp,
                    includes,
                },
                true,
            )
        })
        .collect();
    let fresh = scanned.len() != count || scanned.iter().any(|(_, fresh)| *fresh);
    (scanned.into_iter().map(|(file, _)| file).collect(), fresh)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = std::fs::metadata(path).ok()?;
    Some((
        meta.dev(),
        meta.ino(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec(),
    ))
}

/// The names that a file includes, or that its compile commands do for a Makefile.
pub fn includes(path: &str, text: &[u8]) -> Vec<Include> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if is_makefile(name) {
        return of_makefile(&String::from_utf8_lossy(text));
    }
    let stem = name.split('.').next().unwrap_or(name);
    let mut found: Vec<Include> = lines_with(text, b"include").filter_map(included).collect();
    // A macro with a header's name, for an `#include MACRO`.
    let named = lines_with(text, b".h").filter(|line| !line.contains("include"));
    found.extend(named.filter_map(|line| {
        let (_, value) = defined(&line)?;
        delimited(value)
    }));
    for known in STEMS {
        let lines = lines_with(text, known.as_bytes());
        found.extend(lines.filter_map(|line| {
            let (macro_name, value) = defined(&line)?;
            let value = value.split_whitespace().next()?;
            (macro_name == known && value != stem && value != "TRACE_SYSTEM").then(|| Include {
                name: format!("{value}.h"),
                beside: false,
            })
        }));
    }
    found
}

/// The lines that hold a word and begin with `#`.
fn lines_with<'a>(text: &'a [u8], word: &'a [u8]) -> impl Iterator<Item = String> + 'a {
    let mut end = 0;
    memmem::find_iter(text, word).filter_map(move |at| {
        if at < end {
            return None;
        }
        let before = text.get(..at)?;
        let start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        let rest = text.get(at..)?;
        end = memchr::memchr(b'\n', rest).map_or(text.len(), |newline| at + newline);
        let line = text.get(start..end)?.trim_ascii();
        // A comment may stand before the `#`; a backslash may end the line before it.
        let line = line.strip_prefix(b"/*").map_or(Some(line), |rest| {
            memmem::find(rest, b"*/").and_then(|close| rest.get(close + 2..))
        })?;
        let line = line.trim_ascii();
        line.starts_with(b"#")
            .then(|| String::from_utf8_lossy(line).into_owned())
    })
}

fn included(line: String) -> Option<Include> {
    let rest = line
        .strip_prefix('#')?
        .trim_start()
        .strip_prefix("include")?;
    delimited(rest.strip_prefix("_next").unwrap_or(rest).trim_start())
}

fn defined(line: &str) -> Option<(&str, &str)> {
    let rest = line
        .strip_prefix('#')?
        .trim_start()
        .strip_prefix("define")?;
    rest.trim_start()
        .split_once([' ', '\t'])
        .map(|(name, value)| (name, value.trim_start()))
}

fn delimited(text: &str) -> Option<Include> {
    let (name, beside) = match text.strip_prefix('"') {
        Some(rest) => (rest.split_once('"')?.0, true),
        None => (text.strip_prefix('<')?.split_once('>')?.0, false),
    };
    (!name.is_empty() && !name.contains(char::is_whitespace)).then(|| Include {
        name: name.to_owned(),
        beside,
    })
}

/// What `-include FILE` in flags names.
fn of_makefile(text: &str) -> Vec<Include> {
    let mut words = text.split_ascii_whitespace();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        if word != "-include" && word != "-imacros" {
            continue;
        }
        let Some(name) = words.next().filter(|name| name.ends_with(".h")) else {
            continue;
        };
        let name = name.rsplit_once(')').map_or(name, |(_, rest)| rest);
        found.push(Include {
            name: name.trim_start_matches('/').to_owned(),
            beside: false,
        });
    }
    found
}

fn load(path: &Path) -> HashMap<String, Scanned> {
    let text = std::fs::read(path).unwrap_or_default();
    let files: Vec<Scanned> = serde_json::from_slice(&text).unwrap_or_default();
    files
        .into_iter()
        .map(|file| (file.path.clone(), file))
        .collect()
}

/// What cannot be kept is read again.
fn store(path: &Path, files: &[Scanned]) {
    let write = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(path);
        std::fs::create_dir_all(folder)?;
        let file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(std::io::BufWriter::new(&file), files)?;
        file.persist(path)?;
        Ok(())
    };
    if let Err(error) = write() {
        tracing::debug!("{} cannot be kept: {error}", path.display());
    }
}
