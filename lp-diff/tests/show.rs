//! `lp-diff --show` and `--html`, on objects written by hand so that no compiler's choices are in the golden texts
//! beside them in `show/`. `UPDATE_GOLDEN=1 cargo test -p lp-diff` rewrites those.

use lp_diff::show::html::{self, Unit};
use lp_diff::show::text::{Style, render};
use lp_diff::show::{Syntax, Wanted};
use lp_diff::{Config, EntrySizes, Exports, SymbolTable, diff_and_show};
use lp_klp::name::ObjName;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;

/// Sizes that a vmlinux would tell.
const SIZES: [&str; 6] = [
    "--entry-size",
    "bug_entry=12",
    "--entry-size",
    "jump_entry=16",
    "--entry-size",
    "exception_table_entry=12",
];

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/show")
        .join(name)
}

/// `orig.o` and `patched.o` in a folder of their own.
fn objects() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, patched) in [("orig.o", false), ("patched.o", true)] {
        let status = Command::new("as")
            .args(patched.then_some("--defsym"))
            .args(patched.then_some("PATCHED=1"))
            .arg(here("case.s"))
            .arg("-o")
            .arg(folder.path().join(name))
            .status();
        assert!(status.expect("as runs").success());
    }
    folder
}

fn lp_diff(folder: &Path, columns: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lp-diff"))
        .args(["orig.o", "patched.o"])
        .args(SIZES)
        .args(args)
        .current_dir(folder)
        .env("COLUMNS", columns)
        .env_remove("NO_COLOR")
        .output()
        .expect("lp-diff runs")
}

fn shown(columns: &str, args: &[&str]) -> String {
    let folder = objects();
    let output = lp_diff(folder.path(), columns, args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors, "", "{args:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// What this is about: the report before it and the reasons are pinned elsewhere.
fn without_report(text: &str) -> String {
    let report = |line: &&str| !line.is_empty() && !line.ends_with(": changed");
    let mut in_why = false;
    let mut kept = String::new();
    for line in text.lines().skip_while(report) {
        in_why = line.starts_with("  why ") || in_why && line.starts_with("                ");
        if !in_why {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

fn check(golden: &str, shown: &str) {
    let golden = here(golden);
    let got = &without_report(shown);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, got).expect("the golden text");
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        expected == *got,
        "{}: differs (UPDATE_GOLDEN=1 accepts it):\n{got}",
        golden.display()
    );
}

#[test]
fn changed_functions_stand_side_by_side() {
    check("wide.txt", &shown("120", &["--show"]));
}

#[test]
fn in_a_narrow_terminal_they_stand_one_above_the_other() {
    check(
        "narrow.txt",
        &shown("72", &["--show=work", "--context", "100"]),
    );
}

#[test]
fn the_other_syntax_is_spelt_too() {
    check(
        "intel.txt",
        &shown("120", &["--show=work", "--context=1", "--syntax=intel"]),
    );
}

#[test]
fn no_line_is_longer_than_the_terminal() {
    for columns in ["20", "40", "99", "100", "131"] {
        let text = shown(columns, &["--show=work", "--context", "100"]);
        let width: usize = columns.parse().expect("a number");
        let rows = text.lines().skip_while(|line| !line.is_empty());
        for line in rows {
            assert!(line.chars().count() <= width, "{columns}: {line}");
            assert_eq!(line, line.trim_end());
        }
    }
}

#[test]
fn a_function_that_is_the_same_is_told_so() {
    assert_eq!(
        shown("100", &["--show=same"]),
        "same: the same in both objects\n\n"
    );
}

#[test]
fn a_function_that_is_gone_is_shown_when_asked_for() {
    let text = shown("100", &["--show=unused"]);
    assert!(text.starts_with("unused: gone\n"), "{text}");
    assert!(text.contains("-    5  ret\n"), "{text}");
}

#[test]
fn a_function_that_nobody_has_is_an_error() {
    let folder = objects();
    let output = lp_diff(folder.path(), "100", &["--show=nothing", "-o", "out.o"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!folder.path().join("out.o").exists());
}

#[test]
fn colours_are_for_terminals_or_on_demand() {
    let plain = shown("120", &["--show"]);
    assert!(!plain.contains('\x1b'));
    let colored = shown("120", &["--show", "--color=always"]);
    assert!(colored.contains("\x1b[31m"));
    let mut rest = colored.as_str();
    let mut bare = String::new();
    while let Some((before, after)) = rest.split_once("\x1b[") {
        bare.push_str(before);
        rest = after.split_once('m').expect("a sequence").1;
    }
    bare.push_str(rest);
    assert_eq!(bare, plain);
}

#[test]
fn showing_needs_no_output_and_writes_one_if_told() {
    let folder = objects();
    let output = lp_diff(folder.path(), "100", &["--show"]);
    assert_eq!(output.status.code(), Some(0));
    let output = lp_diff(folder.path(), "100", &["--show", "-o", "out.o"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(folder.path().join("out.o").exists());
    let output = lp_diff(folder.path(), "100", &[]);
    assert_eq!(output.status.code(), Some(1));
    let output = lp_diff(folder.path(), "100", &["--show", "--report", "json"]);
    assert_eq!(output.status.code(), Some(1));
}

/// All that can be made of two objects, if they are objects.
fn try_all(orig: &[u8], patched: &[u8]) -> Option<Vec<u8>> {
    let mut entry_sizes = EntrySizes::default();
    for (name, bytes) in [
        ("bug_entry", 12),
        ("jump_entry", 16),
        ("exception_table_entry", 12),
    ] {
        entry_sizes.set(name, bytes);
    }
    let config = Config {
        flavour: Default::default(),
        object: ObjName::vmlinux(),
        entry_sizes,
        unit: "x".into(),
        places: Default::default(),
        overridden: Default::default(),
        allow_layout_change: Default::default(),
    };
    let mut out = Vec::new();
    for function in [None, Some("work".to_owned())] {
        let wanted = Wanted {
            function,
            syntax: Syntax::Att,
        };
        let symbols = SymbolTable::from_elf(orig).unwrap_or_default();
        let (outcome, shown) = diff_and_show(
            orig,
            patched,
            &symbols,
            &Exports::default(),
            &config,
            &wanted,
        )
        .ok()?;
        for width in [1, 90, 110] {
            let style = Style {
                width,
                color: true,
                context: 1,
            };
            render(&mut out, &shown, style, &|_, _| Some("\x1b<".to_owned())).expect("a vector");
        }
        let unit = Unit {
            name: "<\x1b".to_owned(),
            report: &outcome.report,
            shown: &shown,
            sources: &|_, _| Some("\x1b<i>".to_owned()),
        };
        let again = Unit {
            name: unit.name.clone(),
            ..unit
        };
        let page = html::page("<i>", &[unit, again], 1).expect("a page");
        assert_well_formed(&page);
        out.extend(page.bytes());
    }
    Some(out)
}

#[test]
fn whatever_the_bytes_showing_them_neither_panics_nor_obeys_them() {
    let folder = objects();
    let read = |name: &str| fs::read(folder.path().join(name)).expect("an object");
    let (orig, patched) = (read("orig.o"), read("patched.o"));
    let mut seed: u64 = 3;
    let mut next = |below: usize| {
        // Marsaglia's xorshift.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    let mut shown = 0;
    for _ in 0..400 {
        let mut mutated = patched.clone();
        for _ in 0..1 + next(8) {
            let at = next(mutated.len());
            mutated[at] = [0, 1, 0x7f, 0x80, 0xff, 0x1b, next(256) as u8][next(7)];
        }
        for (before, after) in [(&orig, &mutated), (&mutated, &orig)] {
            let Some(text) = try_all(before, after) else {
                continue;
            };
            shown += 1;
            let text = String::from_utf8(text).expect("text");
            let obeyed = text
                .chars()
                .any(|c| c.is_control() && c != '\n' && c != '\x1b');
            assert!(!obeyed && !text.contains("\x1b[2J"));
        }
    }
    assert!(shown > 100, "only {shown} were objects");
}

#[test]
fn the_same_objects_give_the_same_text() {
    assert_eq!(shown("120", &["--show"]), shown("120", &["--show"]));
}

/// Every tag is one of the template's, and closed; nothing is loaded from elsewhere.
fn assert_well_formed(page: &str) {
    const VOID: [&str; 2] = ["meta", "!doctype"];
    const KNOWN: &[&str] = &[
        "a", "article", "b", "body", "code", "dd", "details", "dl", "dt", "footer", "h1", "h2",
        "h3", "head", "html", "i", "mark", "p", "section", "span", "style", "summary", "table",
        "tbody", "td", "th", "thead", "title", "tr", "div", "li", "nav", "ul",
    ];
    let mut open = Vec::new();
    for tag in page.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a whole tag");
        let name = tag.split(' ').next().expect("a name");
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !VOID.contains(&name) {
            assert!(KNOWN.contains(&name), "{tag}");
            assert!(!tag.contains("src=") && !tag.contains("://"), "{tag}");
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

fn html_page() -> String {
    let folder = objects();
    let output = lp_diff(folder.path(), "100", &["--html", "page.html"]);
    assert_eq!(output.status.code(), Some(0));
    fs::read_to_string(folder.path().join("page.html")).expect("the page")
}

#[test]
fn a_page_escapes_what_objects_say_and_needs_nothing_else() {
    let page = html_page();
    assert_well_formed(&page);
    assert!(page.contains("hello &lt;b&gt;&amp;\\n"), "{page}");
    assert!(!page.contains('\x1b') && !page.contains("<b>&"));
    assert_eq!(page, html_page());
}

#[test]
fn links_of_a_page_lead_somewhere() {
    let page = html_page();
    let links: Vec<&str> = page
        .split("href=\"#")
        .skip(1)
        .map(|rest| rest.split('"').next().expect("a link"))
        .collect();
    assert!(links.len() > 10, "{links:?}");
    for link in links {
        assert!(page.contains(&format!("id=\"{link}\"")), "{link}");
    }
}

#[test]
fn a_page_tells_of_all_that_the_report_does() {
    let page = html_page();
    for words in [
        "can be patched",
        "1 changed, 1 new",
        "_printk",
        "unused",
        "count.3 in the original",
        "jump label feature_key",
        "WARN",
    ] {
        assert!(page.contains(words), "{words}");
    }
}

/// Compiles `f.c`, which returns a number, in a folder.
fn compile(folder: &Path, number: u32, object: &str) {
    fs::create_dir_all(folder).expect("a folder");
    let source = format!("int f(int x)\n{{\n\treturn x + {number};\n}}\n");
    fs::write(folder.join("f.c"), source).expect("the source");
    let mut gcc = Command::new("gcc");
    gcc.args(["-c", "-O2", "-g", "-pg", "-mfentry", "-fno-pie"])
        .args(["-ffunction-sections", "f.c", "-o", object])
        .current_dir(folder);
    assert!(gcc.status().expect("gcc runs").success());
}

/// Makes a file so many seconds older than it is.
fn age(path: &Path, seconds: u64) {
    let file = fs::File::options()
        .append(true)
        .open(path)
        .expect("the file");
    let written = file.metadata().and_then(|data| data.modified());
    let older = written.expect("a time") - Duration::from_secs(seconds);
    file.set_modified(older).expect("a file of ours");
}

fn shown_of(folder: &Path, orig: &str, patched: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_lp-diff"))
        .args([orig, patched, "--show=f"])
        .current_dir(folder)
        .env("COLUMNS", "160")
        .output();
    String::from_utf8(output.expect("lp-diff runs").stdout).expect("text")
}

const BEFORE: &str = "f.c:3  return x + 1;";
const AFTER: &str = "f.c:3  return x + 2;";

#[test]
fn source_lines_come_from_where_each_object_was_compiled() {
    let folder = tempfile::tempdir().expect("a folder");
    compile(&folder.path().join("a"), 1, "f.o");
    compile(&folder.path().join("b"), 2, "f.o");
    let text = shown_of(folder.path(), "a/f.o", "b/f.o");
    assert!(text.contains(BEFORE) && text.contains(AFTER), "{text}");
}

#[test]
fn the_text_of_a_source_that_was_not_compiled_is_not_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    // One folder, patched in between: what is there now is the patched source.
    compile(folder.path(), 1, "orig.o");
    compile(folder.path(), 2, "patched.o");
    let text = shown_of(folder.path(), "orig.o", "patched.o");
    assert!(text.contains(AFTER) && text.contains("f.c:3 "), "{text}");
    assert_eq!(text.matches("return").count(), 1, "{text}");
    // Changed after both: nobody knows what was there.
    age(&folder.path().join("orig.o"), 20);
    age(&folder.path().join("patched.o"), 10);
    let text = shown_of(folder.path(), "orig.o", "patched.o");
    assert!(text.contains("f.c:3") && !text.contains("return"), "{text}");
}

#[test]
fn an_object_cannot_make_a_page_of_any_file() {
    let folder = tempfile::tempdir().expect("a folder");
    for (object, number) in [("orig.o", 1), ("patched.o", 2)] {
        fs::write(folder.path().join("secret"), "a secret\n".repeat(4)).expect("a file");
        let source = format!("# 3 \"secret\"\nint f(int x) {{ return x + {number}; }}\n");
        fs::write(folder.path().join("f.c"), source).expect("the source");
        let status = Command::new("gcc")
            .args([
                "-c",
                "-O2",
                "-g",
                "-ffunction-sections",
                "f.c",
                "-o",
                object,
            ])
            .current_dir(folder.path())
            .status();
        assert!(status.expect("gcc runs").success());
    }
    let text = shown_of(folder.path(), "orig.o", "patched.o");
    assert!(
        text.contains("secret:3") && !text.contains("a secret"),
        "{text}"
    );
}

#[test]
fn a_name_does_not_steer_the_terminal() {
    let folder = objects();
    for name in ["orig.o", "patched.o"] {
        let path = folder.path().join(name);
        let object = fs::read(&path).expect("an object");
        let at = object.windows(7).position(|bytes| bytes == b"\0_print");
        let mut object = object;
        object[at.expect("the name") + 1] = 0x1b;
        fs::write(&path, object).expect("the object");
    }
    let output = lp_diff(folder.path(), "120", &["--show"]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(
        text.contains("\\u{1b}printk") && !text.contains('\x1b'),
        "{text}"
    );
}
