//! Spells source files as a tree's own: `net/ipv4/tcp.c`, wherever the tree was.
//!
//! A file counts from the folder that the compiler ran in, or, where the build folder is another one than the source
//! (`make O=`), from the root of the source tree: the folder that the compiled file shares with most of the folders
//! of its headers, if that is more than the file system's own top. The tempting wrong way is to show paths as they are: of the two
//! trees they differ in every place.

use super::Reader;
use gimli::{AttributeValue, Dwarf, FileEntry, LineProgramHeader};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Leading folders that a path must share with the compiled file's to be of its tree; `/usr` alone is not enough.
const SHARED: usize = 2;

type Header<'o> = LineProgramHeader<Reader<'o>>;

/// The folders that a unit's files count from.
#[derive(Debug)]
pub(super) struct Folders {
    /// Where the compiler ran.
    compiled_in: String,
    /// The root of the source tree, if the compiler ran outside it.
    tree: Option<String>,
}

impl Folders {
    /// Reads them from a line program's header.
    pub(super) fn of<'o>(dwarf: &Dwarf<Reader<'o>>, header: &Header<'o>) -> Self {
        let folder = |value| text(dwarf, value);
        let compiled_in = header.directory(0).and_then(folder).unwrap_or_default();
        let compiled = header.file(0).and_then(|file| whole(dwarf, header, file));
        let tree = compiled
            .filter(|file| file.starts_with('/') && below(file, &compiled_in).is_none())
            .and_then(|file| {
                let folders = header.include_directories().iter();
                let folders = folders.filter_map(|value| folder(value.clone()));
                let is_built = |folder: &String| {
                    *folder == compiled_in || below(folder, &compiled_in).is_some()
                };
                tree(&file, folders.filter(|folder| !is_built(folder)))
            });
        Self { compiled_in, tree }
    }

    /// The folder and the name in it of a program's n-th file.
    pub(super) fn file<'o>(
        &self,
        dwarf: &Dwarf<Reader<'o>>,
        header: &Header<'o>,
        index: u64,
    ) -> Option<(&str, String)> {
        let whole = whole(dwarf, header, header.file(index)?)?;
        if let Some(tree) = &self.tree
            && let Some(name) = below(&whole, tree)
        {
            return Some((tree, name.to_owned()));
        }
        let mut name = below(&whole, &self.compiled_in).unwrap_or(&whole);
        while let Some(inner) = name.strip_prefix("./").or(name.strip_prefix("../")) {
            // `.//compress/zstd.c`
            name = inner.trim_start_matches('/');
        }
        Some((&self.compiled_in, name.to_owned()))
    }
}

/// A file with its folder, as the compiler wrote them; the folder that it ran in is left out.
fn whole<'o>(
    dwarf: &Dwarf<Reader<'o>>,
    header: &Header<'o>,
    file: &FileEntry<Reader<'o>>,
) -> Option<String> {
    let name = text(dwarf, file.path_name())?;
    let folder = (file.directory_index() != 0)
        .then(|| file.directory(header))
        .flatten()
        .and_then(|folder| text(dwarf, folder));
    Some(match folder {
        Some(folder) if !name.starts_with('/') => format!("{folder}/{name}"),
        _ => name,
    })
}

fn text<'o>(dwarf: &Dwarf<Reader<'o>>, value: AttributeValue<Reader<'o>>) -> Option<String> {
    let reader = dwarf.attr_line_string(value).ok()?;
    Some(String::from_utf8_lossy(reader.inner().slice()).into_owned())
}

fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    path.strip_prefix(folder)
        .filter(|_| !folder.is_empty())?
        .strip_prefix('/')
}

/// Most headers of a tree are below other folders of its root than the file: what most folders share with it is the root.
fn tree(file: &str, folders: impl Iterator<Item = String>) -> Option<String> {
    let own: Vec<&str> = file.rsplit_once('/')?.0.split('/').skip(1).collect();
    let shared = |folder: &str| {
        let other = folder.split('/').skip(1);
        own.iter().zip(other).take_while(|(a, b)| *a == b).count()
    };
    let mut depths: BTreeMap<usize, usize> = BTreeMap::new();
    for folder in folders.filter(|folder| folder.starts_with('/')) {
        *depths.entry(shared(&folder)).or_default() += 1;
    }
    depths.retain(|depth, _| *depth >= SHARED);
    if depths.len() > 1 {
        // The file's own folder says nothing of the root.
        depths.remove(&own.len());
    }
    let (depth, _) = depths
        .into_iter()
        .max_by_key(|(depth, count)| (*count, Reverse(*depth)))?;
    Some(format!("/{}", own[..depth].join("/")))
}

#[cfg(test)]
mod tests {
    use super::tree;

    #[test]
    fn the_root_is_what_the_file_shares_with_its_headers() {
        let folders = [
            "/src/linux/net/ipv4",
            "./include/generated",
            "/src/linux/include/linux",
            "/usr/lib/gcc/include",
        ];
        let folders = || folders.iter().map(|folder| (*folder).to_owned());
        let root = |file| tree(file, folders());
        assert_eq!(
            root("/src/linux/net/ipv4/tcp.c").as_deref(),
            Some("/src/linux")
        );
        assert_eq!(root("/other/linux/net/tcp.c"), None);
        // A build folder beside the tree is not of it.
        let near = |file| {
            let build = "/src/build/include/generated".to_owned();
            let more = "/src/linux/arch/x86/include".to_owned();
            tree(file, folders().chain([build, more]))
        };
        assert_eq!(
            near("/src/linux/net/ipv4/tcp.c").as_deref(),
            Some("/src/linux")
        );
    }
}
