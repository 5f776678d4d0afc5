//! Which files of the tree a compilation reads, by the preprocessor's own word (`-M`).
//!
//! The tempting wrong way is to read what the build writes down for itself (`-MMD`, `.deps`): many builds write nothing,
//! some leave headers out that are included with `<>`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The target of the rules that are asked for.
const TARGET: &str = "reads";

/// The arguments that make a compiler write to a file what it would read, in place of compiling. `left_out`: the places
/// of `-o` and its value.
pub(super) fn question(args: &[String], left_out: &[usize], answer: &Path) -> Vec<String> {
    let mut asked = Vec::new();
    let mut words = args.iter().enumerate();
    while let Some((at, word)) = words.next() {
        match word.as_str() {
            "-c" => {}
            "-MF" | "-MT" | "-MQ" | "-MJ" => {
                words.next();
            }
            _ if word.starts_with("-M") || word.starts_with("-Wp,-M") => {}
            _ if left_out.contains(&at) => {}
            _ => asked.push(word.clone()),
        }
    }
    let answer = answer.display().to_string();
    asked.extend(["-M", "-MT", TARGET, "-MF", &answer].map(str::to_owned));
    asked
}

/// The files that are in the tree, without links; nothing where one cannot be found, so that it is not known what was
/// read.
pub(super) fn inside(names: &[String], cwd: &Path, tree: &Path) -> Option<Vec<PathBuf>> {
    let mut found = BTreeSet::new();
    for name in names {
        let path = fs::canonicalize(cwd.join(name)).ok()?;
        if path.starts_with(tree) {
            found.insert(path);
        }
    }
    Some(found.into_iter().collect())
}

/// Whether what is read with a file need not be among the answers: the assembler reads some by itself.
pub(super) fn reads_more(path: &Path) -> bool {
    let Ok(text) = fs::read(path) else {
        return true;
    };
    let is_assembler = path
        .extension()
        .is_some_and(|text| text == "s" || text == "S");
    let has = |word: &str| memchr::memmem::find(&text, word.as_bytes()).is_some();
    has(".incbin") || is_assembler && has(".include")
}

/// The prerequisites in an answer: make's rules, as GNU make and the compilers quote them.
pub(super) fn names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('\\', Some('\n')) => names.push(std::mem::take(&mut name)),
            ('\\', Some(' ' | '#' | '\\')) | ('$', Some('$')) => name.extend(rest.next()),
            (c, _) if c.is_whitespace() => names.push(std::mem::take(&mut name)),
            (c, _) => name.push(c),
        }
    }
    names.push(name);
    let target = format!("{TARGET}:");
    names.retain(|name| !name.is_empty() && *name != target);
    names
}

#[cfg(test)]
mod tests {
    use super::{names, question};
    use std::path::Path;

    #[test]
    fn quoted_names_are_read_back() {
        let text =
            "reads: a.c /usr/include/x.h \\\n with\\ space.h \\\n  cash$$.h no\\#1.h\nreads: b.c\n";
        assert_eq!(
            names(text),
            [
                "a.c",
                "/usr/include/x.h",
                "with space.h",
                "cash$.h",
                "no#1.h",
                "b.c"
            ]
        );
    }

    #[test]
    fn what_the_build_asks_of_the_preprocessor_is_left_out() {
        let text = "-O2 -MMD -MP -MF a.d -Wp,-MD,.a.d -DMD -I inc -c a.c -o a.o";
        let args: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let asked = question(&args, &[11, 12], Path::new("answer"));
        assert_eq!(
            asked.join(" "),
            "-O2 -DMD -I inc a.c -M -MT reads -MF answer"
        );
    }
}
