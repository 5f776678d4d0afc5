//! What a program of the build reads: it is compiled for the machine that builds, with a search path of its own.
//!
//! The path is what the folder's Makefile gives to the host's compiler (`scripts/Makefile.host`: `HOST_EXTRACFLAGS`,
//! `HOSTCFLAGS_NAME.o`); a name that is in none of its folders is a header of that machine. The tempting wrong way is to take
//! it for a file of the kernel: `<string.h>` would be `linux/string.h`, and with it half of the kernel's headers.

use crate::kernel::kbuild::makefile::{Makefiles, folder, normal};
use crate::kernel::reach::include_graph::includes;
use crate::tree::walk::{Kind, Listing};
use std::collections::BTreeSet;
use std::path::Path;

/// Variables whose words the compiler of such a program gets.
const FLAGS: [&str; 4] = [
    "HOST_EXTRACFLAGS",
    "HOSTCFLAGS",
    "hostc_flags",
    "userccflags",
];
/// What asks for the flags of a package.
const PACKAGES: [&str; 2] = ["$(shell $(HOSTPKG_CONFIG) ", "$(shell pkg-config "];
/// Options that are followed by a folder, in the same word or in the next.
const FOLDER: [&str; 4] = ["-idirafter", "-isystem", "-iquote", "-I"];

/// The files of the tree that a source of such a program may include, itself or through others; none where its Makefile
/// computes the search path.
pub fn reads(
    source: &str,
    makefiles: &Makefiles,
    tree: &Path,
    listing: &Listing,
) -> Option<BTreeSet<String>> {
    let path = search_path(folder(source), makefiles)?;
    let is_file = |file: &String| listing.get(file) == Some(&Kind::File);
    let mut found = BTreeSet::new();
    let mut pending = vec![source.to_owned()];
    while let Some(at) = pending.pop() {
        // What cannot be read is an error where it is compiled.
        let text = std::fs::read(tree.join(&at)).unwrap_or_default();
        for include in includes(&at, &text) {
            let beside = normal(folder(&at), &include.name);
            let beside = Some(beside).filter(|file| include.beside && is_file(file));
            let on_path = path.iter().map(|folder| normal(folder, &include.name));
            let meant = match beside {
                Some(file) => vec![file],
                None => on_path.filter(is_file).collect(),
            };
            pending.extend(meant.into_iter().filter(|file| found.insert(file.clone())));
        }
    }
    Some(found)
}

/// The folders that are searched, from the tree's top.
fn search_path(folder: &str, makefiles: &Makefiles) -> Option<Vec<String>> {
    let assignments = makefiles.of(folder)?.iter();
    let flags = assignments.filter(|list| FLAGS.iter().any(|name| list.variable.contains(name)));
    let mut found = Vec::new();
    for list in flags {
        let text = without_packages(&list.words.join(" "));
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            let option = FOLDER.iter().find_map(|option| word.strip_prefix(option));
            let given = match option {
                Some("") => words.next()?,
                Some(given) => given,
                None if word.starts_with("-include") || word.contains("$(") => return None,
                None => continue,
            };
            found.push(expanded(given, folder)?);
        }
    }
    Some(found)
}

/// Flags without those that a package of the machine asks for: its folders are none of the tree's.
fn without_packages(flags: &str) -> String {
    let mut kept = String::new();
    let mut rest = flags;
    while let Some(at) = rest.find("$(shell ") {
        let (before, call) = rest.split_at(at);
        let end = closing(call).unwrap_or(call.len());
        let (call, after) = call.split_at(end);
        kept.push_str(before);
        let asks = PACKAGES.iter().any(|program| call.starts_with(program));
        kept.push_str(if asks { " " } else { call });
        rest = after;
    }
    kept + rest
}

/// Bytes up to the end of the parentheses that a text begins with.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, letter) in text.bytes().enumerate() {
        match letter {
            b'(' => depth += 1,
            b')' if depth <= 1 => return Some(at + 1),
            b')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// A folder of the search path where it is made of the tree's and this folder's names alone. The build folder has the tree's
/// form.
fn expanded(given: &str, folder: &str) -> Option<String> {
    let given = given.replace("$(src)", folder).replace("$(obj)", folder);
    let top = ["$(srctree)/", "$(objtree)/"];
    let rest = top.iter().find_map(|top| given.strip_prefix(top));
    let rest = rest.unwrap_or(&given);
    (!rest.contains("$(")).then(|| normal("", rest))
}
