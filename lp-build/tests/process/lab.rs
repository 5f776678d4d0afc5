//! A small C project in two versions, built as its author would, and the patch that lp-build makes of them.

use lp_klp::manifest::{self, Manifest};
use lp_klp::note;
use object::{Object, ObjectSection};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// Two trees and what is made of them.
pub(crate) struct Lab {
    folder: TempDir,
    /// Further options of lp-build.
    pub(crate) options: Vec<String>,
    /// What builds a tree.
    pub(crate) build: String,
}

/// A file of the project: its name, and its text in the original tree.
pub(crate) type File<'a> = (&'a str, &'a str);

impl Lab {
    /// The original tree has these files, the patched one the same with these differences.
    pub(crate) fn new(files: &[File<'_>], changes: &[File<'_>]) -> Self {
        let lab = Self {
            folder: tempfile::tempdir().expect("a folder"),
            options: Vec::new(),
            build: "make".to_owned(),
        };
        for (tree, files) in [("orig", files), ("patched", files), ("patched", changes)] {
            for (name, text) in files {
                let path = lab.path(tree).join(name);
                fs::create_dir_all(path.parent().expect("a folder")).expect("the tree");
                fs::write(path, text).expect("a source");
            }
        }
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The original tree's binary, built elsewhere without any shim.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        let built = self.path("built");
        if !built.exists() {
            run(Command::new("cp")
                .arg("-r")
                .arg(self.path("orig"))
                .arg(&built));
            run(Command::new("sh")
                .args(["-c", &self.build])
                .current_dir(&built));
        }
        built.join(name)
    }

    /// Runs lp-build for a binary of the project.
    pub(crate) fn lp_build(&self, binary: &Path) -> Output {
        self.command(binary).output().expect("lp-build")
    }

    /// The same, still at it; what it says is lost.
    pub(crate) fn started(&self, binary: &Path) -> Child {
        let mut command = self.command(binary);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("lp-build")
    }

    fn command(&self, binary: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lp-build"));
        command
            .arg("process")
            .arg("--orig")
            .arg(self.path("orig"))
            .arg("--patched")
            .arg(self.path("patched"))
            .args(["--build", &self.build])
            .arg("--binary")
            .arg(binary)
            .arg("-o")
            .arg(self.path("fix.lp"))
            .arg("--cache")
            .arg(self.path("cache"))
            .args(&self.options);
        command
    }

    /// The patch that comes of it.
    pub(crate) fn patch(&self, binary: &str) -> Patch {
        let done = self.lp_build(&self.binary(binary));
        assert_eq!(done.status.code(), Some(0), "{}", said(&done));
        Patch::read(&self.path("fix.lp"), &done)
    }

    /// What it says where it refuses.
    pub(crate) fn refusal(&self, binary: &str) -> String {
        let done = self.lp_build(&self.binary(binary));
        assert_eq!(done.status.code(), Some(2), "{}", said(&done));
        assert!(!self.path("fix.lp").exists(), "a refused patch was written");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }
}

pub(crate) fn said(done: &Output) -> String {
    let text = [&done.stdout[..], &done.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

pub(crate) fn run(command: &mut Command) {
    let done = command.output().expect("a command");
    assert!(done.status.success(), "{command:?}: {}", said(&done));
}

/// A patch file as another program reads it.
pub(crate) struct Patch {
    bytes: Vec<u8>,
    pub(crate) report: String,
}

impl Patch {
    /// The patch that a run of lp-build wrote.
    pub(crate) fn read(path: &Path, done: &Output) -> Self {
        Self {
            bytes: fs::read(path).expect("the patch"),
            report: String::from_utf8_lossy(&done.stdout).into_owned(),
        }
    }

    /// Whether a symbol is in a section of the patch.
    pub(crate) fn defines(&self, name: &str) -> bool {
        use object::ObjectSymbol;
        let file = self.file();
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name));
        symbol.is_some_and(|symbol| symbol.section_index().is_some())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn file(&self) -> object::File<'_> {
        object::File::parse(&*self.bytes).expect("an object")
    }

    pub(crate) fn manifest(&self) -> Manifest {
        let file = self.file();
        let section = file.section_by_name(note::NOTE_SECTION).expect("a note");
        note::decode(section.data().expect("its bytes")).expect("a manifest")
    }

    /// The one object that is patched.
    pub(crate) fn object(&self) -> manifest::Object {
        let [object] = &self.manifest().objects[..] else {
            panic!("one object");
        };
        object.clone()
    }

    /// The names of the functions that are replaced.
    pub(crate) fn functions(&self) -> Vec<String> {
        let object = self.object();
        object
            .functions
            .iter()
            .map(|one| one.name.clone())
            .collect()
    }

    /// The names of the symbols that it brings along for an object.
    pub(crate) fn lent(&self, object: &str) -> String {
        let object = object.parse().expect("a name");
        let (_, names) = lp_klp::lent::section_names(&object);
        let file = self.file();
        let names = file.section_by_name(&names).expect("the names");
        String::from_utf8_lossy(names.data().expect("its bytes")).into_owned()
    }

    /// Where a symbol is that it brings along for an object.
    pub(crate) fn lent_at(&self, object: &str, name: &str) -> Option<u64> {
        let sections = lp_klp::lent::section_names(&object.parse().expect("a name"));
        let file = self.file();
        let data = |name: &str| {
            let section = file.section_by_name(name).expect("a table");
            section.data().expect("its bytes").to_vec()
        };
        let (symbols, names) = (data(&sections.0), data(&sections.1));
        let wanted = format!("{name}\0");
        let has_name = |symbol: &&[u8]| {
            let at = u32::from_le_bytes(symbol[..4].try_into().expect("st_name"));
            names[at as usize..].starts_with(wanted.as_bytes())
        };
        let symbol = symbols.chunks_exact(24).find(has_name)?;
        Some(u64::from_le_bytes(
            symbol[8..16].try_into().expect("st_value"),
        ))
    }

    /// The names of all symbols that are not defined in the patch: livepatch symbols and others.
    pub(crate) fn outer(&self) -> Vec<String> {
        use object::ObjectSymbol;
        let file = self.file();
        let outer = file.symbols().filter(|symbol| {
            symbol.is_undefined()
                || symbol
                    .name()
                    .is_ok_and(|name| name.starts_with(".klp.sym."))
        });
        let mut names: Vec<String> = outer
            .map(|symbol| symbol.name().expect("a name").to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        names.sort();
        names
    }

    /// The sections' names.
    pub(crate) fn sections(&self) -> Vec<String> {
        let file = self.file();
        let names = file
            .sections()
            .map(|section| section.name().map(str::to_owned));
        names.collect::<Result<_, _>>().expect("names")
    }
}
