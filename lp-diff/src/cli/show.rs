//! `--show` and `--html`: the report and both versions of what changed, for people.

use super::options::{Format, Options, Spelling};
use super::sources::Sources;
use super::{output, print, terminal};
use anyhow::{Context, Result, bail};
use lp_diff::Report;
use lp_diff::show::html::{self, Unit};
use lp_diff::show::text::{Style, render};
use lp_diff::show::{SideBySide, Syntax, Wanted};

/// What is to be shown, if anything.
pub(super) fn wanted(options: &Options) -> Result<Option<Wanted>> {
    let view = &options.view;
    if view.show.is_some() && matches!(options.report, Format::Json) {
        bail!("--show is for people and --report json for machines: leave one out");
    }
    let wanted = Wanted {
        function: named(options).map(str::to_owned),
        syntax: match view.syntax {
            Spelling::Att => Syntax::Att,
            Spelling::Intel => Syntax::Intel,
        },
    };
    Ok((view.show.is_some() || view.html.is_some()).then_some(wanted))
}

/// The one function that was asked for.
pub(super) fn named(options: &Options) -> Option<&str> {
    let name = options.view.show.as_deref();
    name.filter(|name| !name.is_empty())
}

/// Writes the page, if one is wanted.
pub(super) fn write_html(options: &Options, report: &Report, shown: &SideBySide) -> Result<()> {
    let Some(path) = &options.view.html else {
        return Ok(());
    };
    let sources = Sources::new(shown, (&options.orig, &options.patched));
    let unit = Unit {
        name: options.patched.display().to_string(),
        report,
        shown,
        sources: &|patched, line| sources.text(patched, line),
    };
    let title = format!("{} → {}", options.orig.display(), options.patched.display());
    let page = html::page(&title, &[unit], options.view.context)?;
    output::write_whole(path, page.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Prints the report, then what is shown, page by page where a person looks on.
pub(super) fn page(options: &Options, report: &Report, shown: &SideBySide) -> Result<()> {
    let style = Style {
        width: terminal::width(),
        color: terminal::color(options.view.color),
        context: options.view.context,
    };
    let sources = Sources::new(shown, (&options.orig, &options.patched));
    let mut text = Vec::new();
    if named(options).is_none() {
        print::print_text(&mut text, report)?;
        text.push(b'\n');
    }
    render(&mut text, shown, style, &|patched, line| {
        sources.text(patched, line)
    })?;
    terminal::page(&text).context("cannot write to the terminal")
}
