//! Fuzzes what people look at: two objects in, their functions side by side out, as text and as a page.

#![no_main]

#[path = "../../tests/hostile/mutate.rs"]
mod mutate;
#[path = "../../tests/hostile/numbers.rs"]
mod numbers;
mod pair;
#[expect(dead_code, reason = "the tests and the other targets use the rest")]
#[path = "../../tests/hostile/targets.rs"]
mod targets;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(
    init: pair::one_thread(),
    |bytes: &[u8]| {
        let (orig, patched) = targets::split(bytes);
        targets::show(orig, patched);
    }
);

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    pair::mutate(data, size, max_size, seed)
});
