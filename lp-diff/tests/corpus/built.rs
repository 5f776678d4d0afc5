//! All cases compiled with all compilers, once for all tests, on all processors.

use crate::cache;
use crate::case::{self, Case};
use crate::compiler::{self, Compiler};
use crate::parallel;
use lp_diff::{Config, EntrySizes, Exports, Outcome, SymbolTable, diff};
use lp_klp::name::ObjName;
use object::{Object, ObjectSymbol};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{LazyLock, OnceLock};

/// A case with one compiler's objects.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) case: &'static Case,
    pub(crate) compiler: Compiler,
    pub(crate) orig: Vec<u8>,
    pub(crate) patched: Vec<u8>,
    outcome: OnceLock<Outcome>,
}

/// Which of the two sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Orig,
    Patched,
}

/// Every case with every compiler that it is for, as far as they compile.
pub(crate) fn all() -> &'static [Built] {
    &ALL.0
}

#[test]
fn every_case_compiles() {
    assert!(ALL.1.is_empty(), "{}", ALL.1.join("\n"));
}

/// What was built, and what went wrong.
static ALL: LazyLock<(Vec<Built>, Vec<String>)> = LazyLock::new(|| {
    // A thread that waits inside one diff begins another one on top of it.
    let pool = rayon::ThreadPoolBuilder::new().stack_size(256 << 20);
    pool.build_global().expect("the first pool");
    let (cases, mut errors) = apart(case::all());
    let cases: &'static [Case] = Box::leak(cases.into_boxed_slice());
    let wanted: Vec<(&'static Case, Compiler)> = cases
        .iter()
        .flat_map(|case| case.compilers().map(move |compiler| (case, compiler)))
        .collect();
    let built = parallel::map(&wanted, |(case, compiler)| Built::new(case, *compiler));
    let (built, failed) = apart(built);
    errors.extend(failed);
    (built, errors)
});

fn apart<T>(results: Vec<Result<T, String>>) -> (Vec<T>, Vec<String>) {
    let mut errors = Vec::new();
    let good = results
        .into_iter()
        .filter_map(|result| result.map_err(|error| errors.push(error)).ok());
    (good.collect(), errors)
}

/// The object of one side of a case.
fn object(case: &Case, compiler: Compiler, side: Side) -> Result<Vec<u8>, String> {
    let directives = &case.directives;
    let family = if compiler.is_clang() {
        &directives.clang_flags
    } else {
        &directives.gcc_flags
    };
    let mut options: Vec<String> = directives.flags.iter().chain(family).cloned().collect();
    options.extend((side == Side::Patched).then(|| "-DPATCHED".to_owned()));
    cache::object(case, compiler, &options, || {
        let folder = tempfile::tempdir().expect("a folder");
        compile(case, compiler, &options, folder.path())
    })
    .map_err(|error| format!("{} with {}: {error}", case.name, compiler.name()))
}

fn compile(
    case: &Case,
    compiler: Compiler,
    options: &[String],
    folder: &Path,
) -> Result<Vec<u8>, String> {
    let directives = &case.directives;
    let own = folder.join("0.o");
    compiler.compile(&case.folder, case.source, options, &own)?;
    if directives.link.is_empty() {
        return Ok(fs::read(own).expect("the object"));
    }
    let linked = folder.join("linked.o");
    let mut link = Command::new("ld");
    link.arg("-r").arg("-o").arg(&linked).arg(own);
    for (source, number) in directives.link.iter().zip(1..) {
        let output = folder.join(format!("{number}.o"));
        compiler.compile(&case.folder, source, options, &output)?;
        link.arg(output);
    }
    compiler::run(&mut link)?;
    Ok(fs::read(linked).expect("the object"))
}

impl Built {
    /// Compiles both sides of a case.
    pub(crate) fn new(case: &'static Case, compiler: Compiler) -> Result<Self, String> {
        let object = |side| object(case, compiler, side);
        Ok(Self {
            case,
            compiler,
            orig: object(Side::Orig)?,
            patched: object(Side::Patched)?,
            outcome: OnceLock::new(),
        })
    }

    /// What comes of diffing the two.
    pub(crate) fn diff(&self) -> &Outcome {
        self.outcome
            .get_or_init(|| self.diff_of(&self.orig, &self.patched))
    }

    /// Diffs any two objects the way the case says.
    pub(crate) fn diff_of(&self, orig: &[u8], patched: &[u8]) -> Outcome {
        let directives = &self.case.directives;
        let (symbols, exports) = (symbols(self.case, orig), exports(self.case));
        let object = directives
            .object
            .as_deref()
            .map_or(ObjName::vmlinux(), |name| {
                name.parse().expect("an object's name")
            });
        let mut entry_sizes = EntrySizes::default();
        for (name, bytes) in &directives.entry_sizes {
            entry_sizes.set(name, *bytes);
        }
        let config = Config {
            flavour: Default::default(),
            object,
            entry_sizes,
            unit: "case".into(),
            places: Default::default(),
            overridden: indices(orig, &directives.overridden),
            allow_layout_change: directives.allow_layout_change.iter().cloned().collect(),
        };
        diff(orig, patched, &symbols, &exports, &config)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name()))
    }

    /// The case and the compiler.
    pub(crate) fn name(&self) -> String {
        format!("{} with {}", self.case.name, self.compiler.name())
    }
}

fn symbols(case: &Case, orig: &[u8]) -> SymbolTable {
    let lines = &case.directives.symbols;
    if lines.is_empty() {
        return SymbolTable::from_elf(orig).expect("the original's symbols");
    }
    let module = case.directives.object.as_deref();
    // Of a module, the kernel's text says so behind the name.
    let owner = module.map_or(String::new(), |module| format!(" [{module}]"));
    let text: String = lines
        .iter()
        .map(|line| format!("{line}{owner}\n"))
        .collect();
    SymbolTable::from_text(&text, module).expect("the case's symbols")
}

fn exports(case: &Case) -> Exports {
    let fentry = "0x00000001\t__fentry__\tvmlinux\tEXPORT_SYMBOL\t\n";
    Exports::parse(&(fentry.to_owned() + &case.directives.symvers.concat()))
        .expect("the case's exports")
}

/// Indices of the symbols of these names that an object has.
fn indices(object: &[u8], names: &[String]) -> BTreeSet<usize> {
    let file = object::File::parse(object).expect("an object");
    let is_named = |name: &str| names.iter().any(|wanted| wanted == name);
    file.symbols()
        .filter(|symbol| symbol.name().is_ok_and(is_named))
        .map(|symbol| symbol.index().0)
        .collect()
}
