//! The rules of the differ, a folder each in `tests/cases`: `case.c` (or `case.S`) is compiled twice with every
//! compiler, the second time with `PATCHED` defined, and the report must be the one in `report.txt`.
//!
//! The first line of a source says in one sentence what the case pins; `//#` lines say how it is built
//! ([`directive`]). `UPDATE_GOLDEN=1 cargo test -p lp-diff --test corpus` rewrites the reports ([`golden`]).
//! The tempting wrong way is to compare whole output objects: they differ by compiler, and say nothing about why.

mod built;
mod cache;
mod case;
mod compiler;
mod directive;
mod golden;
mod oracle;
mod output;
mod parallel;
mod properties;
mod render;
mod run;
