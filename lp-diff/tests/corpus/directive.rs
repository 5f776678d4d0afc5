//! The `//#Name: value` lines of a case's source, which say how it is built and diffed. An unknown one is an error: a
//! misspelt directive would be a test that no longer tests.
//!
//! | directive | value |
//! |---|---|
//! | `Compiler` | the compilers it is for, separated by commas; default all |
//! | `Flags` | further options for all compilers |
//! | `GccFlags`, `ClangFlags` | further options for one family |
//! | `Link` | further sources of the folder, linked behind the case's own with `ld -r` |
//! | `Object` | the module that the objects belong to; default `vmlinux` |
//! | `Symbols` | one symbol of the target, as `ADDRESS TYPE NAME`; default those of the original object |
//! | `Symvers` | one export, as `NAME OWNER [NAMESPACE]` |
//! | `EntrySize` | `struct=bytes` of an entry of a special section |
//! | `Overridden` | weak functions, by name, that the target takes from another file |
//! | `Run` | calls that prove the output by running, see [`crate::run`]: `f(1); void g("x")` |
//! | `State` | `fresh`, where the state of what is called begins when the patch is loaded |
//! | `AllowLayoutChange` | types whose layout may differ |
//! | `Known` | `COMPILER wrong because ..`: the report is right and the differ is not, for now |
//! | `WithoutDebug` | `differs`, where the debug information is what decides |

use crate::compiler::Compiler;

/// How a case is built and diffed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directives {
    pub(crate) compilers: Vec<Compiler>,
    pub(crate) flags: Vec<String>,
    pub(crate) gcc_flags: Vec<String>,
    pub(crate) clang_flags: Vec<String>,
    pub(crate) link: Vec<String>,
    pub(crate) object: Option<String>,
    pub(crate) symbols: Vec<String>,
    pub(crate) symvers: Vec<String>,
    pub(crate) entry_sizes: Vec<(String, u64)>,
    pub(crate) overridden: Vec<String>,
    pub(crate) run: Vec<String>,
    pub(crate) fresh_state: bool,
    pub(crate) allow_layout_change: Vec<String>,
    pub(crate) known_wrong: Vec<Compiler>,
    pub(crate) debug_decides: bool,
}

impl Directives {
    /// Reads the directives of a source.
    pub(crate) fn parse(source: &str) -> Result<Self, String> {
        let mut directives = Self::default();
        for (line, number) in source.lines().zip(1..) {
            if let Some(text) = line.strip_prefix("//#") {
                directives
                    .add(text)
                    .map_err(|error| format!("line {number}: {error}"))?;
            }
        }
        if directives.compilers.is_empty() {
            directives.compilers = Compiler::ALL.to_vec();
        }
        Ok(directives)
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        let (name, value) = text
            .split_once(':')
            .ok_or("a directive is `//#Name: value`")?;
        let value = value.trim();
        let words = || value.split_whitespace().map(str::to_owned);
        match name {
            "Compiler" => {
                for name in value.split(',') {
                    self.compilers.push(Compiler::parse(name.trim())?);
                }
            }
            "Flags" => self.flags.extend(words()),
            "GccFlags" => self.gcc_flags.extend(words()),
            "ClangFlags" => self.clang_flags.extend(words()),
            "Link" => self.link.extend(words()),
            "Object" => self.object = Some(value.to_owned()),
            "Symbols" => self.symbols.push(value.to_owned()),
            "Symvers" => self.symvers.push(symvers(value)?),
            "EntrySize" => self.entry_sizes.push(entry_size(value)?),
            "Overridden" => self.overridden.extend(words()),
            "Run" => self
                .run
                .extend(value.split(';').map(|call| call.trim().to_owned())),
            "State" if value == "fresh" => self.fresh_state = true,
            "AllowLayoutChange" => self.allow_layout_change.extend(words()),
            "Known" => self.known_wrong.push(known(value)?),
            "WithoutDebug" if value == "differs" => self.debug_decides = true,
            _ => return Err(format!("unknown directive `{text}`")),
        }
        Ok(())
    }
}

/// A line of `Module.symvers`.
fn symvers(value: &str) -> Result<String, String> {
    let words: Vec<&str> = value.split_whitespace().collect();
    let (name, owner, namespace) = match words[..] {
        [name, owner] => (name, owner, ""),
        [name, owner, namespace] => (name, owner, namespace),
        _ => return Err("an export is `NAME OWNER [NAMESPACE]`".to_owned()),
    };
    Ok(format!(
        "0x00000001\t{name}\t{owner}\tEXPORT_SYMBOL\t{namespace}\n"
    ))
}

/// The compiler of a known mistake, which must be told.
fn known(value: &str) -> Result<Compiler, String> {
    match value.split_once(" wrong because ") {
        Some((compiler, reason)) if !reason.is_empty() => Compiler::parse(compiler),
        _ => Err("a known mistake is `COMPILER wrong because REASON`".to_owned()),
    }
}

fn entry_size(value: &str) -> Result<(String, u64), String> {
    value
        .split_once('=')
        .and_then(|(name, bytes)| Some((name.to_owned(), bytes.parse().ok()?)))
        .ok_or_else(|| format!("an entry size is `struct=bytes`, not `{value}`"))
}

#[test]
fn an_unknown_directive_is_an_error() {
    let error = Directives::parse("// x\n//#Compilers: gcc\n").expect_err("a misspelt one");
    assert_eq!(error, "line 2: unknown directive `Compilers: gcc`");
    assert!(Directives::parse("//#Compiler: tcc\n").is_err());
    assert!(Directives::parse("//#Flags -O3\n").is_err());
}
