//! What a program that is patched while it works is: where it comes from, how it is built, started and kept busy.

/// A real program, patched while it works.
#[derive(Debug)]
pub(crate) struct Program {
    /// Debian's source package, and what people call it here.
    pub(crate) name: &'static str,
    /// Debian packages that building it and keeping it busy need.
    pub(crate) packages: &'static [&'static str],
    /// The program's own build, in its source folder.
    pub(crate) build: &'static str,
    /// What it builds, in its source folder.
    pub(crate) binary: &'static str,
    /// For a library: a program of ours with many threads that use it and check all that comes of it.
    pub(crate) client: Option<Client>,
    /// Starts it on [`PORT`], with [`Self::files`] in the folder where it runs; `BINARY` stands for the program.
    pub(crate) start: &'static [&'static str],
    /// Files that it reads, with their texts.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// Keeps it busy until it is killed, or says that a request failed; empty where the program does it itself.
    pub(crate) load: &'static [&'static str],
    /// What is sent again and again to see how long an answer takes.
    pub(crate) probe: Probe,
    /// What it is patched with.
    pub(crate) fixes: &'static [Fix],
}

/// A C program that uses a library.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its text. `-I` leads into the library's source folder.
    pub(crate) source: &'static str,
    /// What all clients share.
    pub(crate) header: &'static str,
}

/// A fix of a known defect.
#[derive(Debug)]
pub(crate) enum Fix {
    /// One that Debian has added, by its name in `debian/patches`.
    Debian(&'static str),
    /// One that the source came with: its name, and the text of the change, made from the source.
    Came(&'static str, &'static str),
    /// One that is newer than the source.
    Newer(&'static str, &'static str),
}

impl Fix {
    /// What it is called.
    pub(crate) fn name(&self) -> &'static str {
        let (Self::Debian(name) | Self::Came(name, _) | Self::Newer(name, _)) = self;
        name
    }

    /// A patch's name has at most 55 letters, digits and underscores; a number of Debian's before the CVE's is left out.
    pub(crate) fn patch_name(&self) -> String {
        let stem = self.name().trim_end_matches(".patch");
        let at = stem.find("CVE").unwrap_or(0);
        let legal = |letter: char| letter.is_ascii_alphanumeric();
        let mut name = stem[at..].replace(|letter| !legal(letter), "_");
        if name.starts_with(|letter: char| letter.is_ascii_digit()) {
            name.insert_str(0, "fix_");
        }
        name.truncate(55);
        name.to_lowercase()
    }
}

/// A request with its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    pub(crate) request: &'static str,
    /// How the right answer begins.
    pub(crate) begin: &'static str,
    /// What it ends with, and what is nowhere before.
    pub(crate) end: &'static str,
}

/// Where they listen, on the loopback.
pub(crate) const PORT: u16 = 36_379;
