//! Fuzzes the reader of inventories, a machine a line.

#![no_main]

#[path = "../../tests/hostile/seed.rs"]
mod seed;
#[expect(dead_code, reason = "the tests and the other targets use the rest")]
#[path = "../../tests/hostile/targets.rs"]
mod targets;

use libfuzzer_sys::fuzz_target;
use lp_verify::reader::Module;
use std::path::Path;
use std::sync::LazyLock;

static NEW: LazyLock<Module> = LazyLock::new(|| {
    let bytes = seed::assemble(seed::MODULE);
    Module::parse(Path::new("seed.ko"), &bytes, None).expect("the seed is a livepatch")
});

fuzz_target!(|bytes: &[u8]| targets::inventory(bytes, &NEW));
