//! The `lp-diff` command: two objects in, one object and a report out.

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use lp_diff::{Config, EntrySizes, Exports, Outcome, Report, Status, SymbolTable, Verdict, diff};
use lp_klp::name::ObjName;
use object::read::ReadCache;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Diffs two relocatable objects and writes an object with the changed functions.
///
/// Both must be compiled with -ffunction-sections -fdata-sections from the source before and after the change, by the
/// same compiler with the same options.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Exit status: 0 written, 1 error, 2 refused (something changed that cannot be patched), 3 nothing changed.

Examples:
  lp-diff orig/meminfo.o patched/meminfo.o -o meminfo.lp.o --symbols vmlinux --symvers Module.symvers
  lp-diff a.o b.o -o out.o --object nf_tables --symbols nf_tables.ko --report json
  lp-diff a.o b.o -o out.o --symbols /proc/kallsyms --entry-size bug_entry=12 --entry-size alt_instr=14"
)]
struct Options {
    /// The object compiled from the original source.
    orig: PathBuf,
    /// The object compiled from the patched source.
    patched: PathBuf,
    /// Where to write the object with the changed functions.
    #[arg(short, long, value_name = "OUT.o")]
    output: PathBuf,
    /// The kernel image (vmlinux) or module that the objects belong to.
    #[arg(long, value_name = "vmlinux|MODULE", default_value = "vmlinux")]
    object: ObjName,
    /// Symbols of the target: an ELF file, a System.map or a kallsyms text. Default: the original object's own.
    #[arg(long, value_name = "FILE")]
    symbols: Option<PathBuf>,
    /// What the kernel exports: its Module.symvers.
    #[arg(long, value_name = "FILE")]
    symvers: Option<PathBuf>,
    /// Size of a struct that special sections are made of; overrides what --symbols says.
    #[arg(long, value_name = "NAME=BYTES", value_parser = parse_entry_size)]
    entry_size: Vec<(String, u64)>,
    /// How to report.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    report: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => return usage(&error),
    };
    match run(&options) {
        Ok(verdict) => ExitCode::from(match verdict {
            Verdict::Written => 0,
            Verdict::Refused => 2,
            Verdict::Same => 3,
        }),
        Err(error) => {
            let message = format!("{error:#}");
            if let Format::Json = options.report {
                // Where stdout is gone, stderr is what is left.
                let _ = writeln!(
                    io::stdout(),
                    "{}",
                    serde_json::json!({ "verdict": "error", "error": message })
                );
            }
            let _ = writeln!(io::stderr(), "lp-diff: {message}");
            ExitCode::from(1)
        }
    }
}

/// Wrong words are an error like others (1), not clap's 2, which means refused here.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be done where even the terminal is gone.
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    }
}

fn run(options: &Options) -> Result<Verdict> {
    let orig = read(&options.orig)?;
    let patched = read(&options.patched)?;
    let symbols_file = options.symbols.as_deref().unwrap_or(&options.orig);
    let (symbols, mut entry_sizes) = read_symbols(symbols_file, &options.object)
        .with_context(|| format!("{}", symbols_file.display()))?;
    for (name, bytes) in &options.entry_size {
        entry_sizes.set(name, *bytes);
    }
    let exports = options
        .symvers
        .as_deref()
        .map_or(Ok(Exports::default()), read_exports)?;
    let unit = options
        .output
        .file_stem()
        .map_or_else(|| "out".into(), |stem| stem.to_string_lossy());
    let config = Config {
        object: options.object.clone(),
        entry_sizes,
        unit: unit.into_owned(),
        places: Default::default(),
        overridden: Default::default(),
    };
    let outcome = diff(&orig, &patched, &symbols, &exports, &config).with_context(|| {
        format!(
            "cannot diff {} and {}",
            options.orig.display(),
            options.patched.display()
        )
    })?;
    finish(options, &outcome)?;
    Ok(outcome.report.verdict)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A vmlinux has hundreds of megabytes of which a few are needed: it is read piece by piece.
fn read_symbols(path: &Path, object: &ObjName) -> Result<(SymbolTable, EntrySizes)> {
    let mut file = File::open(path).context("cannot open the symbol file")?;
    let mut magic = Vec::new();
    (&mut file)
        .take(4)
        .read_to_end(&mut magic)
        .context("cannot read the symbol file")?;
    if magic == b"\x7fELF" {
        let cache = ReadCache::new(file);
        let symbols = SymbolTable::from_elf(&cache)?;
        return Ok((symbols, EntrySizes::from_elf(&cache)));
    }
    let bytes = fs::read(path)?;
    let Ok(text) = String::from_utf8(bytes) else {
        bail!("neither an ELF file nor a text of symbols")
    };
    let module = (!object.is_vmlinux()).then(|| object.as_str());
    Ok((
        SymbolTable::from_text(&text, module)?,
        EntrySizes::default(),
    ))
}

fn read_exports(path: &Path) -> Result<Exports> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Exports::parse(&text).with_context(|| format!("{}", path.display()))
}

fn parse_entry_size(text: &str) -> Result<(String, u64), String> {
    let (name, bytes) = text.split_once('=').ok_or("expected NAME=BYTES")?;
    let bytes: u64 = bytes
        .parse()
        .map_err(|_| format!("'{bytes}' is not a number of bytes"))?;
    if bytes == 0 {
        return Err("an entry has at least one byte".to_owned());
    }
    Ok((name.to_owned(), bytes))
}

fn finish(options: &Options, outcome: &Outcome) -> Result<()> {
    if let Some(object) = &outcome.object {
        write_whole(&options.output, object)
            .with_context(|| format!("cannot write {}", options.output.display()))?;
    }
    let mut out = io::stdout().lock();
    match options.report {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &outcome.report)?;
            writeln!(out)?;
        }
        Format::Text => print_text(&mut out, &outcome.report)?,
    }
    Ok(())
}

/// Under its final name there is a whole file or none.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A device or pipe is written to, not replaced.
    if path.exists() && !path.is_file() {
        return fs::write(path, bytes);
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}

fn print_text(out: &mut impl Write, report: &Report) -> io::Result<()> {
    for function in &report.functions {
        let status = match function.status {
            Status::Changed => "changed",
            Status::New => "new    ",
        };
        let sympos = function
            .sympos
            .filter(|sympos| *sympos > 0)
            .map(|sympos| format!(" (number {sympos} of its name)"));
        writeln!(
            out,
            "{status}  {}{}: {}",
            function.name,
            sympos.unwrap_or_default(),
            function.why
        )?;
    }
    for datum in &report.data {
        let fate = if datum.writable {
            ", its value is lost when another patch replaces this one"
        } else {
            ""
        };
        writeln!(
            out,
            "data     {} ({} bytes in {}){fate}",
            datum.name, datum.size, datum.section
        )?;
    }
    for note in &report.notes {
        writeln!(out, "note     {note}")?;
    }
    for name in &report.undefined {
        writeln!(
            out,
            "needs    {name}: neither the target nor this object has it, another object of the patch must"
        )?;
    }
    for refusal in &report.refusals {
        writeln!(out, "refused  {refusal}")?;
    }
    let count = |status| {
        report
            .functions
            .iter()
            .filter(|function| function.status == status)
            .count()
    };
    match report.verdict {
        Verdict::Written => writeln!(
            out,
            "{} changed, {} new",
            count(Status::Changed),
            count(Status::New)
        ),
        Verdict::Refused => writeln!(
            out,
            "refused: {} reason(s), nothing written",
            report.refusals.len()
        ),
        Verdict::Same => writeln!(out, "nothing changed"),
    }
}
