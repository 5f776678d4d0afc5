//! What runs in a compiler's place during a build: the compiler, with a section for each function and datum, and a
//! record of what it made.
//!
//! This program is started under the compiler's name, found first on the PATH. Everything else passes through
//! unchanged: standard streams, exit status, the rest of the environment. A command that compiles and links at once is
//! done in two steps, or its objects would be gone. The tempting wrong way is to set CFLAGS: each build has its own.

use super::command::{Command, Mode, expand};
use super::outside::{self, Outside};
use super::reads;
use super::record::{self, Compiled, Linked, Step};
use super::reuse::Run;
use object::elf;
use object::read::archive::ArchiveFile;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode, Stdio};
use std::time::SystemTime;

/// What is added to every compilation. None of it changes an instruction; debug information and unwind tables are what
/// the differ and the loader need.
const ADDED: [&str; 4] = [
    "-ffunction-sections",
    "-fdata-sections",
    "-g",
    "-fasynchronous-unwind-tables",
];
/// The variable with further options, one a line, which go before the build's own.
pub const MORE: &str = "LP_BUILD_ADD";
/// The variable that names the folder of the shims.
pub const FOLDER: &str = "LP_BUILD_SHIMS";
/// The variable that, not empty, keeps [`ADDED`] out.
pub const PLAIN: &str = "LP_BUILD_PLAIN";
/// The variable that, not empty, names the tree whose files are written down where a compilation reads them.
pub const READS: &str = "LP_BUILD_READS";

/// Does the compiler's work, if this program was started as one.
pub fn entered() -> Option<ExitCode> {
    let root = PathBuf::from(std::env::var_os(record::ROOT)?);
    let mut words = std::env::args_os();
    let name = PathBuf::from(words.next()?).file_name()?.to_owned();
    let folder = PathBuf::from(std::env::var_os(FOLDER)?);
    if !folder.join(&name).exists() {
        return None;
    }
    let args: Option<Vec<String>> = words.map(|word| word.into_string().ok()).collect();
    let name = name.into_string().ok()?;
    let Some(args) = args else {
        eprintln!("lp-build: an argument of {name} is not UTF-8");
        return Some(ExitCode::FAILURE);
    };
    let shim = Shim::new((root, folder), name, args);
    Some(match shim.run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("lp-build: {}: {error}", shim.name);
            ExitCode::FAILURE
        }
    })
}

/// What has the linker look for archives alone.
const STATIC: [&str; 5] = ["-static", "-Bstatic", "-dn", "-non_shared", "-static-pie"];

struct Shim {
    root: PathBuf,
    folder: PathBuf,
    name: String,
    args: Vec<String>,
    cwd: PathBuf,
}

type Io<T> = std::io::Result<T>;

/// The files of the tree, and those beside it.
type Reads = (Vec<PathBuf>, Outside);

impl Shim {
    fn new((root, folder): (PathBuf, PathBuf), name: String, args: Vec<String>) -> Self {
        let cwd = std::env::current_dir().unwrap_or_default();
        Self {
            root,
            folder,
            name,
            args,
            cwd,
        }
    }

    fn run(&self) -> Io<u8> {
        let linker = super::names::is_linker(&self.name);
        let args = expand(&self.args);
        let command = Command::read(&args, linker);
        match command.mode {
            Mode::Other => self.real(&self.args),
            Mode::Compile => self.compile(&args, &command),
            Mode::Link if command.sources.is_empty() || command.language => {
                let code = self.real(&self.args)?;
                if code == 0 {
                    self.note_link(&args, &command)?;
                }
                Ok(code)
            }
            Mode::Link => self.compile_and_link(&args, &command),
        }
    }

    fn compile(&self, args: &[String], command: &Command) -> Io<u8> {
        if self.took(args, command)? {
            return Ok(0);
        }
        let since = now();
        let code = self.real(&with_added(args))?;
        if code != 0 {
            return Ok(code);
        }
        let files = command.sources.iter().chain(&command.inputs);
        let files: Vec<&String> = files.filter_map(|at| args.get(*at)).collect();
        let reads = self.reads(args, &command.output_at, (&files, since));
        for source in &files {
            let output = match &command.output {
                Some(output) => output.clone(),
                None => format!("{}.o", stem(source)),
            };
            let output = self.whole(&output);
            let made = self.note_compile(command, source, (&output, &output), reads.clone())?;
            if let (Some(made), [_]) = (made.filter(|made| made.reads.is_some()), &files[..]) {
                self.as_run(args).note(&self.root, &made)?;
            }
        }
        Ok(0)
    }

    fn as_run<'a>(&'a self, args: &'a [String]) -> Run<'a> {
        Run {
            program: &self.name,
            args,
            cwd: &self.cwd,
        }
    }

    /// Whether the object is there without a compilation: the original's build made the same one.
    fn took(&self, args: &[String], command: &Command) -> Io<bool> {
        let Some((known, object)) = self.as_run(args).known() else {
            return Ok(false);
        };
        let is_odd = fs::metadata(&known.output).is_ok_and(|there| !there.is_file());
        if is_odd || !self.wrote_dependencies(args, command)? {
            return Ok(false);
        }
        if fs::write(&known.output, object).is_err() {
            // The compiler says better what is wrong with that place.
            return Ok(false);
        }
        self.write(&Step::Compile(Compiled {
            at: now(),
            taken: true,
            ..known
        }))?;
        Ok(true)
    }

    /// What make is told beside the object (`-MMD`), by the preprocessor; whether that could be done.
    fn wrote_dependencies(&self, args: &[String], command: &Command) -> Io<bool> {
        if !args
            .iter()
            .any(|arg| ["-MD", "-MMD"].contains(&arg.as_str()))
        {
            return Ok(true);
        }
        let Some(output) = &command.output else {
            return Ok(false);
        };
        let words = args.iter().enumerate();
        let words = words.filter(|(at, arg)| *arg != "-c" && !command.output_at.contains(at));
        let mut asked: Vec<String> = words.map(|(_, arg)| arg.clone()).collect();
        asked.push("-E".to_owned());
        let says = |options: &[&str]| {
            let mut words = args.iter();
            words.any(|arg| options.iter().any(|option| arg.starts_with(option)))
        };
        // What the compiler makes of `-o`, which has another meaning beside `-E`.
        if !says(&["-MF"]) {
            let file = Path::new(output).with_extension("d").display().to_string();
            asked.extend(["-MF".to_owned(), file]);
        }
        if !says(&["-MT", "-MQ"]) {
            asked.extend(["-MQ".to_owned(), output.clone()]);
        }
        let mut asking = self.program(&with_added(&asked))?;
        let asked = asking.stdout(Stdio::null()).stderr(Stdio::null()).status();
        Ok(asked?.success())
    }

    /// Each source by itself, then the link with the objects in the sources' places.
    fn compile_and_link(&self, args: &[String], command: &Command) -> Io<u8> {
        let target = self.whole(command.output.as_deref().unwrap_or("a.out"));
        let folder = self.root.join("split").join(unique());
        fs::create_dir_all(&folder)?;
        let mut linked = args.to_vec();
        for (number, at) in command.sources.iter().enumerate() {
            let Some(source) = args.get(*at) else {
                continue;
            };
            let left_out = |other: &usize| {
                (command.sources.contains(other) && other != at)
                    || command.inputs.contains(other)
                    || command.output_at.contains(other)
            };
            let words = args.iter().enumerate();
            let mut own: Vec<String> = words
                .filter(|(place, _)| !left_out(place))
                .map(|(_, word)| word.clone())
                .collect();
            let object = folder.join(format!("{number}-{}.o", stem(source)));
            let object_text = object.display().to_string();
            let reads = self.reads(&own, &[], (&[source], now()));
            own.extend(["-c".to_owned(), "-o".to_owned(), object_text.clone()]);
            let code = self.real(&with_added(&own))?;
            if code != 0 {
                return Ok(code);
            }
            let place = target.join(source.trim_start_matches('/'));
            self.note_compile(command, source, (&object, &place), reads)?;
            if let Some(word) = linked.get_mut(*at) {
                *word = object_text;
            }
        }
        let code = self.real(&linked)?;
        if code == 0 {
            self.note_link(&linked, &Command::read(&linked, false))?;
        }
        Ok(code)
    }

    /// What a compilation of these sources reads that began at that time, where this is asked and can be told.
    fn reads(
        &self,
        args: &[String],
        output_at: &[usize],
        (sources, since): (&[&String], u64),
    ) -> Option<Reads> {
        let tree = std::env::var_os(READS).filter(|tree| !tree.is_empty())?;
        let answer = self.root.join("split").join(unique());
        let question = with_added(&reads::question(args, output_at, &answer));
        let mut asking = self.program(&question).ok()?;
        // What there is to complain about was said when it compiled.
        let asked = asking.stdout(Stdio::null()).stderr(Stdio::null()).status();
        let text = fs::read_to_string(&answer);
        let _ = fs::remove_file(&answer);
        asked.ok().filter(process::ExitStatus::success)?;
        let names = match text {
            Ok(text) => reads::names(&text),
            // Assembler that is not preprocessed gets no answer.
            Err(_) => sources.iter().map(ToString::to_string).collect(),
        };
        let inside = reads::inside(&names, &self.cwd, Path::new(&tree))?;
        let outside = outside::of(&names, &self.cwd, Path::new(&tree), since)?;
        let mut all = inside.iter().chain(outside.keys());
        (!all.any(|file| reads::reads_more(file))).then_some((inside, outside))
    }

    /// Runs the program whose place this one takes.
    fn real(&self, args: &[String]) -> Io<u8> {
        let status = self.program(args)?.status()?;
        Ok(status
            .code()
            .map_or(1, |code| u8::try_from(code).unwrap_or(1)))
    }

    fn program(&self, args: &[String]) -> Io<process::Command> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let rest: Vec<PathBuf> = std::env::split_paths(&path)
            .filter(|folder| *folder != self.folder)
            .collect();
        let found = rest
            .iter()
            .map(|folder| folder.join(&self.name))
            .find(|path| path.is_file());
        let missing = || std::io::Error::other("it is not on the PATH besides");
        let rest = std::env::join_paths(rest).unwrap_or_else(|_| OsString::new());
        // What the compiler starts by its own name (ccache does) must not come back here.
        let mut program = process::Command::new(found.ok_or_else(missing)?);
        program.args(args).env("PATH", rest);
        Ok(program)
    }

    fn note_compile(
        &self,
        command: &Command,
        source: &str,
        (object, place): (&Path, &Path),
        reads: Option<Reads>,
    ) -> Io<Option<Compiled>> {
        let Ok(bytes) = fs::read(object) else {
            return Ok(None);
        };
        let hash = hash(&bytes);
        let kept = record::object_path(&self.root, &hash);
        if !kept.exists() {
            let new = kept.with_extension(unique());
            fs::write(&new, &bytes)?;
            fs::rename(new, kept)?;
        }
        let (reads, outside) = reads.unzip();
        let made = Compiled {
            program: self.name.clone(),
            args: self.args.clone(),
            cwd: self.cwd.clone(),
            source: self.whole(source),
            output: place.to_owned(),
            object: hash,
            lto: command.lto,
            reads,
            outside: outside.unwrap_or_default(),
            taken: false,
            at: now(),
        };
        self.write(&Step::Compile(made.clone()))?;
        Ok(Some(made))
    }

    fn note_link(&self, args: &[String], command: &Command) -> Io<()> {
        let output = self.whole(command.output.as_deref().unwrap_or("a.out"));
        let Ok(bytes) = fs::read(&output) else {
            return Ok(());
        };
        let words = command.inputs.iter().filter_map(|at| args.get(*at));
        let mut files: Vec<PathBuf> = words.map(|word| self.whole(word)).collect();
        // Where only some are to be static, more is taken for a part than is: it is known by its objects.
        let is_static = args.iter().any(|arg| {
            let words = arg.strip_prefix("-Wl,").unwrap_or(arg).split(',');
            words.into_iter().any(|word| STATIC.contains(&word))
        });
        for library in &command.libraries {
            let name = match library.strip_prefix(':') {
                Some(name) => name.to_owned(),
                None => format!("lib{library}.a"),
            };
            let shared = format!("lib{library}.so");
            let folders = command.folders.iter().map(|folder| self.whole(folder));
            // What the linker takes, folder by folder: the shared library, of which nothing becomes a part.
            let takes_shared = |folder: &PathBuf| !is_static && folder.join(&shared).exists();
            let archives = folders.take_while(|folder| !takes_shared(folder));
            files.extend(archives.map(|folder| folder.join(&name)));
        }
        let mut inputs = Vec::new();
        for file in files {
            if let Ok(bytes) = fs::read(&file) {
                inputs.extend(hashes(&file, &bytes));
            }
        }
        self.write(&Step::Link(Linked {
            output,
            object: hash(&bytes),
            soname: super::parts::soname(&bytes),
            inputs,
            at: now(),
        }))
    }

    fn write(&self, step: &Step) -> Io<()> {
        let path = self.root.join("records").join(unique());
        fs::write(&path, serde_json::to_vec(step)?)?;
        fs::rename(&path, path.with_extension("json"))
    }

    fn whole(&self, path: &str) -> PathBuf {
        let path = self.cwd.join(path);
        let file = path.file_name().map(ToOwned::to_owned);
        match (path.parent().map(fs::canonicalize), file) {
            (Some(Ok(folder)), Some(file)) => folder.join(file),
            _ => path,
        }
    }
}

/// The hash of an object, or of each member of an archive; thin ones name their members' files. A shared library is none: what it is
/// made of is no part of who uses it, also where the link names its file, as libtool does.
fn hashes(path: &Path, bytes: &[u8]) -> Vec<String> {
    if bytes.starts_with(b"\x7fELF") {
        let is_object = bytes.get(16..18) == Some(&elf::ET_REL.0.to_le_bytes());
        return is_object.then(|| hash(bytes)).into_iter().collect();
    }
    let Ok(archive) = ArchiveFile::parse(bytes) else {
        return Vec::new();
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let member = |member: object::read::archive::ArchiveMember<'_>| {
        if archive.is_thin() {
            let name = std::ffi::OsStr::from_bytes(member.name());
            return Some(hash(&fs::read(folder.join(name)).ok()?));
        }
        Some(hash(member.data(bytes).ok()?))
    };
    archive.members().flatten().filter_map(member).collect()
}

/// What is added goes last, to hold against the build's own options, but for what says where files are from: there the
/// build's word holds, as it did when the binary was built, and the compiler goes by the last one that fits.
fn with_added(args: &[String]) -> Vec<String> {
    let more = std::env::var(MORE).unwrap_or_default();
    let plain = std::env::var_os(PLAIN).is_some_and(|plain| !plain.is_empty());
    let added = ADDED.into_iter().filter(|_| !plain);
    let first = more.lines().map(str::to_owned);
    let last = added.map(str::to_owned);
    first.chain(args.iter().cloned()).chain(last).collect()
}

fn stem(source: &str) -> &str {
    let name = source.rsplit('/').next().unwrap_or(source);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_nanos() as u64
}

/// A name that no other step has.
pub(super) fn unique() -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{}-{number}", process::id(), now())
}
