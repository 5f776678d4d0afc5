//! What a compiler's command line asks for: which sources, which objects, what comes out.
//!
//! Only as much is understood as is needed: which words belong to an option before them, and what the others are. The
//! tempting wrong way is to take the last word for the source.

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Sources become objects (`-c`).
    Compile,
    /// Objects, and sources on the way, become a program or library.
    Link,
    /// Anything else: preprocessing, assembly, questions.
    Other,
}

/// A command line.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) mode: Mode,
    /// The places of the sources among the arguments.
    pub(super) sources: Vec<usize>,
    /// The places of what is linked.
    pub(super) inputs: Vec<usize>,
    /// `-o`.
    pub(super) output: Option<String>,
    /// The places of `-o` and its value.
    pub(super) output_at: Vec<usize>,
    /// Folders of `-L` and names of `-l`, in order.
    pub(super) folders: Vec<String>,
    pub(super) libraries: Vec<String>,
    pub(super) lto: bool,
    /// Whether `-x` says what the files are, so that their names do not.
    pub(super) language: bool,
}

/// Options whose value is the next word.
const WITH_VALUE: [&str; 41] = [
    "-D",
    "-U",
    "-I",
    "-include",
    "-imacros",
    "-isystem",
    "-idirafter",
    "-iquote",
    "-isysroot",
    "-iprefix",
    "-iwithprefix",
    "-iwithprefixbefore",
    "-imultilib",
    "-MF",
    "-MT",
    "-MQ",
    "-T",
    "-u",
    "-z",
    "-e",
    "-h",
    "-m",
    "-R",
    "-A",
    "-B",
    "-G",
    "-Xlinker",
    "-Xassembler",
    "-Xpreprocessor",
    "-Xclang",
    "-mllvm",
    "-target",
    "-arch",
    "-aux-info",
    "--param",
    "-dumpbase",
    "-dumpdir",
    "-wrapper",
    "-soname",
    "-rpath",
    "-dynamic-linker",
];
/// Options after which nothing is compiled to an object.
const OTHERWISE: [&str; 10] = [
    "-E",
    "-S",
    "-M",
    "-MM",
    "-fsyntax-only",
    "--version",
    "-dumpversion",
    "-dumpmachine",
    "--help",
    "-###",
];
const SOURCES: [&str; 12] = [
    "c", "i", "cc", "cp", "cxx", "cpp", "CPP", "c++", "C", "ii", "s", "S",
];

impl Command {
    /// Reads the arguments. `linker`: those of a linker, which takes no sources.
    pub(super) fn read(args: &[String], linker: bool) -> Self {
        let mut command = Self {
            mode: Mode::Link,
            sources: Vec::new(),
            inputs: Vec::new(),
            output: None,
            output_at: Vec::new(),
            folders: Vec::new(),
            libraries: Vec::new(),
            lto: false,
            language: false,
        };
        let mut at = 0;
        while let Some(word) = args.get(at) {
            at += command.word(args, at, word, linker);
        }
        let nothing = command.sources.is_empty() && command.inputs.is_empty();
        if nothing && command.mode == Mode::Link {
            command.mode = Mode::Other;
        }
        command
    }

    /// Takes the word at a place in; how many words it is.
    fn word(&mut self, args: &[String], at: usize, word: &str, linker: bool) -> usize {
        let next = || args.get(at + 1).cloned();
        match word {
            "-c" if !linker && self.mode == Mode::Link => self.mode = Mode::Compile,
            "-o" => {
                self.output = next();
                self.output_at = vec![at, at + 1];
                return 2;
            }
            "-L" => {
                self.folders.extend(next());
                return 2;
            }
            "-l" => {
                self.libraries.extend(next());
                return 2;
            }
            "-x" => {
                self.language = true;
                return 2;
            }
            "-fno-lto" => self.lto = false,
            _ if !linker && (OTHERWISE.contains(&word) || word.starts_with("-print-")) => {
                self.mode = Mode::Other;
            }
            _ if word.starts_with("-flto") => self.lto = true,
            _ if WITH_VALUE.contains(&word) => return 2,
            _ => {
                if let Some(name) = word.strip_prefix("-o").filter(|_| !linker) {
                    self.output = Some(name.to_owned());
                    self.output_at = vec![at];
                } else if let Some(folder) = word.strip_prefix("-L") {
                    self.folders.push(folder.to_owned());
                } else if let Some(name) = word.strip_prefix("-l") {
                    self.libraries.push(name.to_owned());
                } else if !word.starts_with(['-', '@']) {
                    self.file(at, word, linker);
                }
            }
        }
        1
    }

    fn file(&mut self, at: usize, word: &str, linker: bool) {
        let extension = word.rsplit_once('.').map(|(_, extension)| extension);
        match extension {
            Some(extension) if !linker && SOURCES.contains(&extension) => self.sources.push(at),
            _ => self.inputs.push(at),
        }
    }
}

/// The arguments with response files (`@FILE`) in their place; one that cannot be read stays as it is.
pub(super) fn expand(args: &[String]) -> Vec<String> {
    let words = |arg: &String| {
        let name = arg.strip_prefix('@')?;
        shlex::split(&std::fs::read_to_string(name).ok()?)
    };
    args.iter()
        .flat_map(|arg| words(arg).unwrap_or_else(|| vec![arg.clone()]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Command, Mode};

    fn read(text: &str) -> (Command, Vec<String>) {
        let args: Vec<String> = text.split(' ').map(str::to_owned).collect();
        (Command::read(&args, false), args)
    }

    #[test]
    fn words_of_options_are_no_files() {
        let (command, args) = read("-O2 -I inc -include a.h -MF x.d -c src/a.c -o a.o");
        assert_eq!(command.mode, Mode::Compile);
        assert_eq!(command.sources, [8]);
        assert_eq!(args[8], "src/a.c");
        assert_eq!(command.output.as_deref(), Some("a.o"));
        assert!(command.inputs.is_empty());
    }

    #[test]
    fn compiling_and_linking_at_once_is_told() {
        let (command, _) = read("-O2 main.c util.o libx.a -lm -Lsub -oprog");
        assert_eq!(command.mode, Mode::Link);
        assert_eq!(command.sources.len(), 1);
        assert_eq!(command.inputs.len(), 2);
        assert_eq!(command.libraries, ["m"]);
        assert_eq!(command.folders, ["sub"]);
        assert_eq!(command.output.as_deref(), Some("prog"));
    }

    #[test]
    fn what_makes_no_object_is_left_alone() {
        for text in ["-E a.c", "--version", "-M a.c", "-print-search-dirs", "-v"] {
            assert_eq!(read(text).0.mode, Mode::Other, "{text}");
        }
        assert!(read("-flto=auto -c a.c").0.lto);
        assert!(!read("-flto -fno-lto -c a.c").0.lto);
    }
}
