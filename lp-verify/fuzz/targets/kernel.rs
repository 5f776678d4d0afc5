//! Fuzzes the reader of a kernel's file.

#![no_main]

#[path = "../../../lp-diff/tests/hostile/mutate.rs"]
mod mutate;
#[path = "../../../lp-diff/tests/hostile/numbers.rs"]
mod numbers;
#[expect(dead_code, reason = "the tests and the other targets use the rest")]
#[path = "../../tests/hostile/targets.rs"]
mod targets;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use numbers::Numbers;

fuzz_target!(|bytes: &[u8]| targets::kernel(bytes));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut numbers = Numbers(u64::from(seed));
    if size == 0 || numbers.next(8) == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let times = 1 + numbers.next(4);
    mutate::mutate(&mut data[..size], times, &mut numbers)
});
