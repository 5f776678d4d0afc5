//! What an update did to one file, in pieces that can be taken alone.
//!
//! `diff` says which lines differ ([`super::hunks`]); its hunks are cut where one item ends and the next begins
//! ([`super::items`]). Hunks as they are would be the tempting way: a new macro and a changed function
//! below it are one, and with it every user of the function is compiled for a fix that needs the macro.

use std::collections::BTreeSet;
use std::ops::Range;

use super::hunks::{Hunk, shifted, widened};
use super::items::{Item, Kind, items, words};

/// One change.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) old: Range<usize>,
    pub(crate) new: Range<usize>,
    /// The items that it changes: with their names, as they are known in both versions.
    pub(crate) items: BTreeSet<String>,
    /// All names that these declare, and what they are members of.
    pub(crate) declares: BTreeSet<String>,
    pub(crate) of: BTreeSet<String>,
    /// Those of them that are no member's.
    pub(crate) outer: BTreeSet<String>,
    /// Those of them that are a function's.
    pub(crate) functions: BTreeSet<String>,
    /// Names that only the newer version declares.
    pub(crate) fresh: BTreeSet<String>,
    /// Names that only the older version declares.
    pub(crate) gone: BTreeSet<String>,
    /// Names that take another number of parameters now.
    pub(crate) altered: BTreeSet<String>,
    /// Whether more than a function's body changes.
    pub(crate) is_head: bool,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) is_static: bool,
    /// Words of the lines that are new.
    pub(crate) said: BTreeSet<String>,
}

/// All changes of a file.
#[derive(Debug)]
pub(crate) struct FileEdits {
    pub(crate) old: Vec<String>,
    pub(crate) new: Vec<String>,
    pub(crate) edits: Vec<Edit>,
    /// Words of the older version.
    pub(crate) known: BTreeSet<String>,
}

impl FileEdits {
    /// From both versions' lines and where they differ.
    pub(crate) fn new(old: Vec<String>, new: Vec<String>, hunks: &[Hunk]) -> Self {
        let (before, after) = (items(&old), items(&new));
        let shifted = shifted(hunks, (&old, &new), (&before, &after));
        let whole = widened(shifted, &before, &after);
        let cuts = whole.iter().flat_map(|hunk| cut(hunk, &before, &after));
        let edits = cuts
            .map(|cut| edit(&cut, &before, (&new, &after)))
            .collect();
        let known = words(&old);
        Self {
            old,
            new,
            edits,
            known,
        }
    }

    /// Of a text that is no C: each hunk is one.
    pub(crate) fn uncut(old: Vec<String>, new: Vec<String>, hunks: &[Hunk]) -> Self {
        let whole = |(old, new): &Hunk| Cut {
            old: old.clone(),
            new: new.clone(),
            before: Vec::new(),
            after: Vec::new(),
        };
        let edits = hunks
            .iter()
            .map(|hunk| edit(&whole(hunk), &[], (&new, &[])));
        Self {
            edits: edits.collect(),
            known: words(&old),
            old,
            new,
        }
    }

    /// The older version with some of the changes.
    pub(crate) fn with(&self, chosen: &BTreeSet<usize>) -> Vec<String> {
        let mut lines = Vec::new();
        let mut at = 0;
        for (number, edit) in self.edits.iter().enumerate() {
            lines.extend_from_slice(self.old.get(at..edit.old.start).unwrap_or_default());
            lines.extend_from_slice(match chosen.contains(&number) {
                true => self.new.get(edit.new.clone()).unwrap_or_default(),
                false => self.old.get(edit.old.clone()).unwrap_or_default(),
            });
            at = edit.old.end;
        }
        lines.extend_from_slice(self.old.get(at..).unwrap_or_default());
        lines
    }

    /// Those that change one of the items.
    pub(crate) fn of_items<'a>(
        &'a self,
        items: &'a BTreeSet<String>,
    ) -> impl Iterator<Item = usize> + 'a {
        let touches = |edit: &Edit| !edit.items.is_disjoint(items);
        self.all(touches)
    }

    /// The numbers of those that a rule holds for.
    pub(crate) fn all<'a>(
        &'a self,
        holds: impl Fn(&Edit) -> bool + 'a,
    ) -> impl Iterator<Item = usize> + 'a {
        let numbered = self.edits.iter().enumerate();
        numbered
            .filter(move |(_, edit)| holds(edit))
            .map(|(number, _)| number)
    }
}

/// The name of an item among all of its file.
pub(crate) fn id(item: &Item) -> Option<String> {
    let (kind, of, name) = item.key()?;
    Some(format!("{kind:?} {of} {name}"))
}

/// A part of a hunk: lines of at most one item on either side, or several that belong together.
#[derive(Debug)]
struct Cut {
    old: Range<usize>,
    new: Range<usize>,
    before: Vec<usize>,
    after: Vec<usize>,
}

fn cut(hunk: &Hunk, before: &[Item], after: &[Item]) -> Vec<Cut> {
    let (old, new) = (parts(&hunk.0, before), parts(&hunk.1, after));
    let is_directive = |items: &[Item], parts: &[(usize, Range<usize>)]| {
        parts.iter().any(|(item, _)| {
            items
                .get(*item)
                .is_some_and(|item| item.kind == Kind::Directive)
        })
    };
    if is_directive(before, &old) || is_directive(after, &new) {
        let numbers =
            |parts: Vec<(usize, Range<usize>)>| parts.into_iter().map(|(item, _)| item).collect();
        return vec![Cut {
            old: hunk.0.clone(),
            new: hunk.1.clone(),
            before: numbers(old),
            after: numbers(new),
        }];
    }
    let key = |items: &[Item], item: usize| items.get(item).and_then(id);
    let (mut cuts, mut at) = (Vec::<Cut>::new(), 0);
    let mut old_at = hunk.0.start;
    let mut new_at = hunk.1.start;
    let removed = |(item, lines): &(usize, Range<usize>), new_at: usize| Cut {
        old: lines.clone(),
        new: new_at..new_at,
        before: vec![*item],
        after: Vec::new(),
    };
    for (item, lines) in new {
        let name = key(after, item);
        let rest = old.get(at..).unwrap_or_default();
        let twin = rest
            .iter()
            .position(|(old, _)| name.is_some() && key(before, *old) == name);
        let Some(twin) = twin else {
            cuts.push(Cut {
                old: old_at..old_at,
                new: lines.clone(),
                before: Vec::new(),
                after: vec![item],
            });
            new_at = lines.end;
            continue;
        };
        for part in rest.iter().take(twin) {
            cuts.push(removed(part, new_at));
        }
        if let Some((old_item, old_lines)) = rest.get(twin) {
            cuts.push(Cut {
                old: old_lines.clone(),
                new: lines.clone(),
                before: vec![*old_item],
                after: vec![item],
            });
            old_at = old_lines.end;
        }
        new_at = lines.end;
        at += twin + 1;
    }
    for part in old.get(at..).unwrap_or_default() {
        cuts.push(removed(part, new_at));
    }
    in_order(joined(cuts, before, after))
}

/// Insertions that stand before a removal that was found later begin where it does.
fn in_order(mut cuts: Vec<Cut>) -> Vec<Cut> {
    let mut end = cuts.first().map_or(0, |cut| cut.old.start);
    for cut in &mut cuts {
        if cut.old.is_empty() {
            cut.old = end..end;
        }
        end = cut.old.end;
    }
    cuts
}

/// The items that a range has lines of, with these lines.
fn parts(range: &Range<usize>, items: &[Item]) -> Vec<(usize, Range<usize>)> {
    let from = items.partition_point(|item| item.lines.end <= range.start);
    let numbered = items.iter().enumerate().skip(from);
    let touched = numbered.take_while(|(_, item)| item.lines.start < range.end);
    touched
        .map(|(number, item)| {
            (
                number,
                item.lines.start.max(range.start)..item.lines.end.min(range.end),
            )
        })
        .filter(|(_, lines)| !lines.is_empty())
        .collect()
}

/// Puts together what is nothing alone: a struct's first line with its members, a member with the one that it takes the place of.
fn joined(cuts: Vec<Cut>, before: &[Item], after: &[Item]) -> Vec<Cut> {
    let mut joined = Vec::<Cut>::new();
    for cut in cuts {
        let record = |cut: &Cut| {
            let old = cut.before.iter().filter_map(|item| before.get(*item));
            let mut items = old.chain(cut.after.iter().filter_map(|item| after.get(*item)));
            let found = items.find_map(|item| match item.kind {
                Kind::Member => Some((item.of.clone(), false)),
                Kind::Frame => Some((item.names.first()?.clone(), true)),
                _ => None,
            });
            found.map(|(name, is_frame)| {
                (name, is_frame, cut.before.is_empty(), cut.after.is_empty())
            })
        };
        let fits = match (joined.last().and_then(record), record(&cut)) {
            (
                Some((one, frame, added, removed)),
                Some((other, other_frame, also_added, also_removed)),
            ) => {
                let takes_place = added && also_removed || removed && also_added;
                one == other && (frame || other_frame || takes_place)
            }
            _ => false,
        };
        match joined.last_mut().filter(|_| fits) {
            None => joined.push(cut),
            Some(last) => {
                let union =
                    |one: &Range<usize>, two: &Range<usize>| match (one.is_empty(), two.is_empty())
                    {
                        (true, _) => two.clone(),
                        (_, true) => one.clone(),
                        _ => one.start..two.end,
                    };
                (last.old, last.new) = (union(&last.old, &cut.old), union(&last.new, &cut.new));
                last.before.extend(cut.before);
                last.after.extend(cut.after);
            }
        }
    }
    joined
}

fn edit(cut: &Cut, before: &[Item], (new, after): (&[String], &[Item])) -> Edit {
    let twin = |items: &[Item], item: &Item| {
        items
            .iter()
            .position(|other| item.key().is_some() && other.key() == item.key())
    };
    let (mut fresh, mut gone, mut altered) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut changed: Vec<&Item> = Vec::new();
    let mut is_head = false;
    for item in cut.after.iter().filter_map(|item| after.get(*item)) {
        match twin(before, item).and_then(|twin| before.get(twin)) {
            None => fresh.extend(item.names.iter().cloned()),
            Some(twin) => {
                is_head |= twin.head != item.head;
                if twin.parameters() != item.parameters() {
                    altered.extend(item.names.iter().cloned());
                }
            }
        }
        changed.push(item);
    }
    for item in cut.before.iter().filter_map(|item| before.get(*item)) {
        if twin(after, item).is_none() {
            gone.extend(item.names.iter().cloned());
        }
        changed.push(item);
    }
    let names = |wanted: fn(Kind) -> bool| {
        let items = changed.iter().filter(|item| wanted(item.kind));
        items.flat_map(|item| item.names.iter().cloned()).collect()
    };
    let said = words(new.get(cut.new.clone()).unwrap_or_default());
    Edit {
        old: cut.old.clone(),
        new: cut.new.clone(),
        items: changed.iter().filter_map(|item| id(item)).collect(),
        declares: names(|_| true),
        outer: names(|kind| kind != Kind::Member),
        functions: names(|kind| kind == Kind::Function),
        of: changed
            .iter()
            .map(|item| item.of.clone())
            .filter(|of| !of.is_empty())
            .collect(),
        is_head: is_head || !fresh.is_empty() || !gone.is_empty(),
        kinds: changed.iter().map(|item| item.kind).collect(),
        is_static: changed.iter().any(|item| item.is_static()),
        fresh,
        gone,
        altered,
        said,
    }
}

#[cfg(test)]
mod tests {
    use super::super::hunks::hunks;
    use super::FileEdits;
    use std::fs;

    fn read(old: &str, new: &str) -> FileEdits {
        let folder = tempfile::tempdir().unwrap();
        let paths = [("old", old), ("new", new)].map(|(name, text)| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        });
        let lines = |text: &str| text.split('\n').map(str::to_owned).collect();
        FileEdits::new(
            lines(old),
            lines(new),
            &hunks(&paths[0], &paths[1]).unwrap(),
        )
    }

    fn with(edits: &FileEdits, name: &str) -> String {
        let chosen = edits.all(|edit| edit.declares.contains(name)).collect();
        edits.with(&chosen).join("\n")
    }

    #[test]
    fn a_hunk_is_cut_between_a_macro_and_a_function() {
        let edits = read(
            "int a;\n\nstatic inline int *f(struct d *d)\n{\n\treturn (int *)d;\n}\n",
            "int a;\n\n#define to(x) (x)\n\nstatic inline int *f(const struct d *d)\n{\n\treturn to(d);\n}\n",
        );
        assert_eq!(
            with(&edits, "to"),
            "int a;\n\n#define to(x) (x)\n\nstatic inline int *f(struct d *d)\n{\n\treturn (int *)d;\n}\n"
        );
        let every = (0..edits.edits.len()).collect();
        assert_eq!(edits.with(&every), edits.new);
        assert!(
            edits
                .edits
                .iter()
                .any(|edit| edit.fresh.contains("to") && !edit.declares.contains("f"))
        );
    }

    #[test]
    fn a_function_between_two_is_taken_with_its_own_end() {
        let edits = read(
            "int f(void)\n{\n\tx();\n}\n\nint h(void)\n{\n\tx();\n}\n",
            "int f(void)\n{\n\tx();\n}\n\nint g(void)\n{\n\tx();\n}\n\nint h(void)\n{\n\tx();\n}\n",
        );
        let found: Vec<_> = edits
            .edits
            .iter()
            .map(|edit| edit.fresh.iter().cloned().collect::<Vec<_>>())
            .collect();
        assert_eq!(found, [["g"]]);
    }

    #[test]
    fn lines_that_two_functions_share_belong_to_both() {
        let head = "int a;\n\n";
        let rcu = "int dev_rcu(int x)\n{\n\t/* later */\n\treturn x;\n}\n\n";
        let dev = "int dev(int x)\n{\n\treturn x;\n}\n\n";
        let fresh = "int dev_rcu(int x)\n{\n\treturn rcu(x);\n}\n\n";
        let last = "int last;\n";
        let edits = read(
            &format!("{head}{rcu}{last}"),
            &format!("{head}{dev}{fresh}{last}"),
        );
        assert_eq!(with(&edits, "dev"), format!("{head}{dev}{rcu}{last}"));
        assert_eq!(with(&edits, "dev_rcu"), format!("{head}{fresh}{last}"));
        let every = (0..edits.edits.len()).collect();
        assert_eq!(edits.with(&every), edits.new);
    }

    #[test]
    fn a_function_is_whole_wherever_the_hunk_is_said_to_begin() {
        let lines = |text: &str| text.split('\n').map(str::to_owned).collect::<Vec<_>>();
        let old = lines("int f(void)\n{\n\tx(1);\n}\n\nint h(void)\n{\n\tx(2);\n}\n");
        let new = lines(
            "int f(void)\n{\n\tx(1);\n}\n\nint g(void)\n{\n\ty(3);\n}\n\nint h(void)\n{\n\tx(2);\n}\n",
        );
        // With `}` of f(), with the line behind it, as it is, and with the line before h().
        for start in 3..=5 {
            let hunk = (start..start, start..start + 5);
            let edits = FileEdits::new(old.clone(), new.clone(), &[hunk]);
            assert_eq!(edits.edits.len(), 1, "{:?}", edits.edits);
            assert!(edits.edits[0].fresh.contains("g"), "{:?}", edits.edits);
            assert_eq!(edits.with(&[0].into()), new);
        }
    }

    #[test]
    fn members_are_taken_one_by_one_and_with_what_they_replace() {
        let edits = read(
            "struct s {\n\tint a;\n\tstruct core core;\n\tint b;\n};\n",
            "struct s {\n\tint a;\n\tstruct host *host;\n\tint b;\n\tint late;\n};\n",
        );
        assert_eq!(
            with(&edits, "late"),
            "struct s {\n\tint a;\n\tstruct core core;\n\tint b;\n\tint late;\n};\n"
        );
        assert_eq!(
            with(&edits, "host"),
            "struct s {\n\tint a;\n\tstruct host *host;\n\tint b;\n};\n"
        );
    }

    #[test]
    fn a_new_struct_is_one_piece() {
        let edits = read("int a;\n", "int a;\n\nstruct s {\n\tint b;\n\tint c;\n};\n");
        assert_eq!(edits.edits.len(), 1);
        assert_eq!(with(&edits, "c"), edits.new.join("\n"));
    }
}
