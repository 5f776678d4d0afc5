//! The fix of which one changed file is the middle: that file's changes, and of the rest of the update what they cannot do without.
//!
//! An update is many fixes. Who takes over one of them asks for names: a new helper in a header comes along where the fix calls it,
//! and its body if that is in another file; who calls a function that takes another parameter now comes along too. What names do not
//! tell, the compiler does ([`Fix::learn`]). Whole files would be the tempting way: each brings what other fixes did to it,
//! which needs more in turn, until the fix is the update.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::edits::{Edit, FileEdits};
use super::items::{Kind, identifiers};
use super::store::{Store, bytes};
use crate::command;

/// The fix as far as it is known.
pub(crate) struct Fix<'a> {
    pub(super) file: String,
    pub(super) store: &'a Store<'a>,
    pub(super) chosen: BTreeMap<String, BTreeSet<usize>>,
    /// Chosen, and not yet asked what they need.
    open: Vec<(String, usize)>,
}

impl<'a> Fix<'a> {
    /// The changes of one file.
    pub(crate) fn of(file: &str, store: &'a Store<'a>) -> Result<Self> {
        let edits = store.edits(file)?.edits.len();
        let numbers = 0..edits;
        Ok(Self {
            file: file.to_owned(),
            store,
            open: numbers
                .clone()
                .map(|number| (file.to_owned(), number))
                .collect(),
            chosen: [(file.to_owned(), numbers.collect())].into(),
        })
    }

    /// Takes what their names ask for; whether that is anything.
    pub(crate) fn follow(&mut self) -> Result<bool> {
        let before = self.size();
        self.close()?;
        Ok(self.size() > before)
    }

    /// The other files.
    pub(crate) fn others(&self) -> impl Iterator<Item = &String> {
        self.chosen.keys().filter(|file| **file != self.file)
    }

    /// As a unified diff; `scratch` is a file for the newer text.
    pub(crate) fn diff(&self, scratch: &Path) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        let others = self.chosen.keys().filter(|file| **file != self.file);
        for file in [&self.file].into_iter().chain(others) {
            let Some(chosen) = self.chosen.get(file) else {
                continue;
            };
            let old = self.store.changes.old.join(file);
            let text = bytes(&self.store.edits(file)?.with(chosen));
            fs::write(scratch, text).with_context(|| format!("write {}", scratch.display()))?;
            let before = if old.exists() {
                format!("a/{file}")
            } else {
                "/dev/null".into()
            };
            let mut diff = Command::new("diff");
            diff.args([
                "--unified",
                "--text",
                "--new-file",
                "--label",
                &before,
                "--label",
            ]);
            diff.arg(format!("b/{file}")).arg(old).arg(scratch);
            let output = command::output(&mut diff)?;
            // 1: they differ.
            if output.status.code().is_none_or(|code| code > 1) {
                bail!("{}: {}", command::line(&diff), output.status);
            }
            all.extend(output.stdout);
        }
        Ok(all)
    }

    pub(super) fn size(&self) -> usize {
        self.chosen.values().map(BTreeSet::len).sum()
    }

    pub(super) fn take(&mut self, file: &str, number: usize) -> Result<()> {
        let chosen = self.chosen.entry(file.to_owned()).or_default();
        if !chosen.insert(number) {
            return Ok(());
        }
        self.open.push((file.to_owned(), number));
        if self.store.changes.added.contains(file) {
            self.take_all(file)?;
            self.listed(file)?;
        }
        let edits = self.store.edits(file)?;
        let Some(edit) = edits.edits.get(number) else {
            return Ok(());
        };
        // Of a function whose parameters change all changes are needed, of another one in a source perhaps one.
        if file.ends_with(".h") || edit.is_head {
            self.take_each(file, edits.of_items(&edit.items))?;
        }
        Ok(())
    }

    /// What has a new source built: its folder's changes that say its object.
    fn listed(&mut self, source: &str) -> Result<()> {
        let (folder, name) = source.rsplit_once('/').unwrap_or_default();
        let object = name.replace(".c", ".o");
        let lists = ["Makefile", "Kbuild"].map(|list| format!("{folder}/{list}"));
        let new = &self.store.changes.new;
        for list in lists.into_iter().filter(|list| new.join(list).exists()) {
            let edits = self.store.edits(&list)?;
            let says = |edit: &Edit| {
                let mut lines = edits.new.get(edit.new.clone()).into_iter().flatten();
                lines.any(|line| line.split_whitespace().any(|word| word == object))
            };
            self.take_each(&list, edits.all(says))?;
        }
        Ok(())
    }

    pub(super) fn take_each(
        &mut self,
        file: &str,
        numbers: impl Iterator<Item = usize>,
    ) -> Result<()> {
        let numbers: Vec<usize> = numbers.collect();
        numbers
            .into_iter()
            .try_for_each(|number| self.take(file, number))
    }

    pub(super) fn take_all(&mut self, file: &str) -> Result<()> {
        let edits = self.store.edits(file)?;
        self.take_each(file, 0..edits.edits.len())
    }

    /// Takes what a rule holds for in some files.
    pub(super) fn take_where(
        &mut self,
        files: impl IntoIterator<Item = String>,
        holds: impl Fn(&Edit) -> bool,
    ) -> Result<()> {
        for file in files {
            let edits = self.store.edits(&file)?;
            self.take_each(&file, edits.all(&holds))?;
        }
        Ok(())
    }

    /// Asks what is chosen for what it needs, until nothing more is.
    pub(super) fn close(&mut self) -> Result<()> {
        while let Some((file, number)) = self.open.pop() {
            let edits = self.store.edits(&file)?;
            let Some(edit) = edits.edits.get(number) else {
                continue;
            };
            self.new_headers(&file, &edits, edit)?;
            self.helpers(&file, &edits, edit)?;
            if file.ends_with(".h") {
                for name in edit.functions.iter().filter(|_| edit.is_head) {
                    self.define(name, Some(&file))?;
                }
            }
            self.users(&file, edit)?;
        }
        Ok(())
    }

    /// Headers that the update made, where they are included now.
    fn new_headers(&mut self, file: &str, edits: &FileEdits, edit: &Edit) -> Result<()> {
        let lines = edits.new.get(edit.new.clone()).unwrap_or_default();
        if !lines
            .iter()
            .any(|line| line.trim_start().starts_with('#') && line.contains("include"))
        {
            return Ok(());
        }
        let included = self.store.includes.of(file);
        let is_new = |header: &&String| {
            self.store.has(header) && !self.store.changes.old.join(header).exists()
        };
        included
            .iter()
            .filter(is_new)
            .try_for_each(|header| self.take_all(header))
    }

    /// What headers, or the same file, declare anew and the change says for the first time in its file.
    fn helpers(&mut self, file: &str, edits: &FileEdits, edit: &Edit) -> Result<()> {
        for word in edit.said.iter().filter(|word| !edits.known.contains(*word)) {
            let included = self.store.includes.of(file);
            let files: Vec<String> = self
                .store
                .saying(word)
                .filter(|other| included.contains(*other) || *other == file)
                .cloned()
                .collect();
            // A member's name says too little.
            self.take_where(files, |edit| {
                edit.fresh.contains(word) && edit.outer.contains(word)
            })?;
        }
        Ok(())
    }

    /// The sources' changes that define a function or a variable, and export it; of those only that include its header.
    pub(super) fn define(&mut self, name: &str, header: Option<&str>) -> Result<()> {
        let includes = |file: &String| {
            header.is_none_or(|header| self.store.includes.of(file).contains(header))
        };
        let is_source = |file: &&String| file.ends_with(".c") && includes(file);
        let files: Vec<String> = self.store.saying(name).filter(is_source).cloned().collect();
        self.take_where(files, |edit| {
            edit.outer.contains(name) && edit.is_head && !edit.is_static && edit.said.contains(name)
        })
    }

    /// The changes of whoever uses what is gone, or takes another number of parameters now.
    fn users(&mut self, file: &str, edit: &Edit) -> Result<()> {
        let is_member = edit
            .kinds
            .iter()
            .all(|kind| matches!(kind, Kind::Member | Kind::Frame));
        // What is gone from a source may still be there for others.
        let gone = edit.gone.iter().filter(|_| file.ends_with(".h"));
        let names: BTreeSet<&String> = gone.chain(&edit.altered).collect();
        for name in names {
            let files: Vec<String> = self.reached(file, edit, name).cloned().collect();
            for other in files {
                let edits = self.store.edits(&other)?;
                let says = |edit: &Edit| {
                    let of =
                        |lines: &[String]| lines.iter().any(|line| says(line, name, is_member));
                    let before = edits.old.get(edit.old.clone()).unwrap_or_default();
                    let after = edits.new.get(edit.new.clone()).unwrap_or_default();
                    of(before) || of(after)
                };
                self.take_each(&other, edits.all(says))?;
            }
            if is_member {
                self.assigned(file, name)?;
            }
        }
        Ok(())
    }

    /// The changed files that can mean a name of a file's. What a source defines for others, a header declares: it leads to them. By the
    /// word alone, a source's `lock` would lead to half of the update.
    fn reached<'b>(
        &'b self,
        file: &'b str,
        edit: &'b Edit,
        name: &'b str,
    ) -> impl Iterator<Item = &'b String> {
        let is_source = file.ends_with(".c");
        let declares = move |other: &str| {
            !edit.is_static && other.ends_with(".h") && self.store.includes.of(file).contains(other)
        };
        self.store.saying(name).filter(move |other| {
            *other == file
                || is_source && declares(other)
                || !is_source && self.store.includes.of(other).contains(file)
        })
    }

    /// The functions that are put into a member that takes other parameters now: their own parameters changed, too.
    fn assigned(&mut self, header: &str, member: &str) -> Result<()> {
        let sources = self.store.changes.sources.iter();
        let sources: Vec<&String> = sources
            .filter(|source| {
                self.store.has(source) && self.store.includes.of(source).contains(header)
            })
            .collect();
        let mut functions = BTreeSet::new();
        for source in sources {
            let text = fs::read(self.store.changes.new.join(source)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            functions.extend(
                text.lines()
                    .filter_map(|line| value(line, member))
                    .map(str::to_owned),
            );
        }
        for function in functions {
            let files: Vec<String> = self.store.saying(&function).cloned().collect();
            self.take_where(files, |edit| edit.altered.contains(&function))?;
            // The name need not be on a line that changed.
            let near: Vec<String> = self
                .store
                .changes
                .sources
                .iter()
                .filter(|source| {
                    self.store.has(source) && self.store.includes.of(source).contains(header)
                })
                .cloned()
                .collect();
            self.take_where(near, |edit| edit.altered.contains(&function))?;
        }
        Ok(())
    }
}

/// Whether a line says a name; a member's only behind a dot or an arrow.
fn says(line: &str, name: &str, is_member: bool) -> bool {
    let mut rest = line;
    let mut before = String::new();
    while let Some(at) = rest.find(name) {
        let (head, tail) = rest.split_at(at);
        before.push_str(head);
        let is_word = !before.ends_with(is_letter)
            && !tail
                .get(name.len()..)
                .is_some_and(|tail| tail.starts_with(is_letter));
        if is_word && (!is_member || before.ends_with(['.', '>'])) {
            return true;
        }
        before.push_str(name);
        rest = tail.get(name.len()..).unwrap_or_default();
    }
    false
}

fn is_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// `f` of `.member = f,`.
fn value<'t>(line: &'t str, member: &str) -> Option<&'t str> {
    let rest = line.trim_start().strip_prefix('.')?.strip_prefix(member)?;
    let value = rest.trim_start().strip_prefix('=')?;
    identifiers(value).next()
}

#[cfg(test)]
mod tests {
    use super::super::{changes, store::Store};
    use super::Fix;
    use std::fs;
    use std::path::Path;

    /// Two trees of files with texts before, if it was there, and after; what the fix of `net/a.c` changes of the others after some messages.
    fn fix(files: &[(&str, &str, &str)], messages: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (file, old, new) in files {
            for (tree, text) in [("old", old), ("new", new)] {
                if text.is_empty() {
                    continue;
                }
                let path = folder.path().join(tree).join(file);
                fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
                fs::write(path, text).unwrap();
            }
        }
        let changes =
            changes::between(&folder.path().join("old"), &folder.path().join("new")).unwrap();
        let store = Store::read(&changes).unwrap();
        let mut fix = Fix::of("net/a.c", &store).unwrap();
        fix.follow().unwrap();
        for message in messages {
            fix.learn(message).unwrap();
        }
        let diff = fix.diff(&folder.path().join("scratch")).unwrap();
        let diff = String::from_utf8(diff).unwrap();
        let changed = diff
            .lines()
            .filter(|line| line.starts_with(['+', '-']) && !line.starts_with("---"));
        changed.map(|line| line.replace('\t', " ") + "\n").collect()
    }

    const INCLUDE: &str = "#include <net/h.h>\n";

    #[test]
    fn a_new_helper_comes_with_its_body_and_nothing_else() {
        let a = |call: &str| format!("{INCLUDE}int a(void)\n{{\n\treturn {call};\n}}\n");
        let diff = fix(
            &[
                ("net/a.c", &a("0"), &a("fresh(1)")),
                (
                    "include/net/h.h",
                    "int old;\n",
                    "int fresh(int);\nint old;\nint far;\n",
                ),
                (
                    "net/b.c",
                    "#include <net/h.h>\nint b;\n",
                    "#include <net/h.h>\nint fresh(int x)\n{\n\treturn x;\n}\nEXPORT_SYMBOL(fresh);\nint b;\n\nint c;\n",
                ),
            ],
            &[],
        );
        assert!(
            diff.contains("+int fresh(int);")
                && diff.contains("+int fresh(int x)")
                && diff.contains("+EXPORT_SYMBOL(fresh);")
        );
        assert!(!diff.contains("far") && !diff.contains("int c"), "{diff}");
    }

    #[test]
    fn a_new_source_comes_whole_and_is_listed() {
        let diff = fix(
            &[
                (
                    "net/a.c",
                    "int f(void)\n{\n\treturn 1;\n}\nint a(void)\n{\n\treturn f();\n}\n",
                    "int a(void)\n{\n\treturn f();\n}\n",
                ),
                ("net/b.c", "", "int f(void)\n{\n\treturn 1;\n}\nint g;\n"),
                (
                    "net/Makefile",
                    "obj-y += a.o\n\nobj-y += x.o\n",
                    "obj-y += a.o b.o\n\nobj-y += y.o\n",
                ),
            ],
            &["neither the kernel nor the patch has: f: define it"],
        );
        assert!(
            diff.contains("+int g;") && diff.contains("+obj-y += a.o b.o"),
            "{diff}"
        );
        assert!(!diff.contains("y.o"), "{diff}");
    }

    const MEMBER: &str = "net/a.c of the tree /x does not compile:\nnet/a.c:4:9: error: 'struct s' has no member named 'host'\n    4 | return s->host;";

    #[test]
    fn who_says_a_member_that_is_gone_comes_along() {
        let user = |said: &str, other: &str| {
            format!(
                "{INCLUDE}int f(struct s *s)\n{{\n\treturn s->{said};\n}}\nint x({other})\n{{\n}}\n"
            )
        };
        let header = |member: &str| {
            format!("struct s {{\n\tint a;\n\tint {member};\n}};\nstruct t {{\n\tint host;\n}};\n")
        };
        let diff = fix(
            &[
                ("net/a.c", &user("core", ""), &user("host", "")),
                ("net/b.c", &user("core", "int a"), &user("host", "int b")),
                ("net/c.c", "int core;\n", "int host;\n"),
                ("include/net/h.h", &header("core"), &header("host")),
            ],
            &[MEMBER],
        );
        assert_eq!(diff.matches("+ return s->host").count(), 2, "{diff}");
        assert!(
            !diff.contains("int b)") && !diff.contains("int host;\n-"),
            "{diff}"
        );
    }

    #[test]
    fn a_function_in_a_member_changes_with_it() {
        let text = |list: &str, name: &str| {
            format!(
                "{INCLUDE}static int {name}(int a{list})\n{{\n\treturn a;\n}}\nstatic struct ops {name}_ops = {{\n\t.check = {name},\n}};\n"
            )
        };
        let header = |list: &str| format!("struct ops {{\n\tint (*check)(int a{list});\n}};\n");
        let message = "net/a.c of the tree /x does not compile:\nnet/a.c:7:11: error: initialization of 'int (*)(int)' from incompatible pointer type 'int (*)(int, int)'\n    7 |  .check = one,";
        let diff = fix(
            &[
                ("net/a.c", &text("", "one"), &text(", int b", "one")),
                ("net/b.c", &text("", "two"), &text(", int b", "two")),
                ("include/net/h.h", &header(""), &header(", int b")),
            ],
            &[message],
        );
        assert!(diff.contains("+static int two(int a, int b)"), "{diff}");
    }

    #[test]
    fn what_does_not_compile_elsewhere_is_taken_there() {
        let a = |call: &str| format!("{INCLUDE}int a(void)\n{{\n\treturn {call};\n}}\n");
        let b = |one: &str, two: &str| {
            format!("int b(void)\n{{\n\treturn {one};\n}}\nint c(void)\n{{\n\treturn {two};\n}}\n")
        };
        let message =
            "net/b.c of the tree /x does not compile:\nnet/b.c:3:9: error: something else";
        let diff = fix(
            &[
                ("net/a.c", &a("0"), &a("1")),
                ("net/b.c", &b("0", "0"), &b("1", "2")),
                ("include/net/h.h", "int old;\n", "int old;\n"),
            ],
            &[message],
        );
        assert_eq!(diff.matches("+ return 1").count(), 2, "{diff}");
        assert!(!diff.contains("+ return 2"), "{diff}");
    }
}
