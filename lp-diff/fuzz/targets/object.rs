//! Fuzzes the parser: any bytes in, an object or an error out.

#![no_main]

#[path = "../../tests/hostile/mutate.rs"]
mod mutate;
#[path = "../../tests/hostile/numbers.rs"]
mod numbers;
#[expect(dead_code, reason = "the tests and the other targets use the rest")]
#[path = "../../tests/hostile/targets.rs"]
mod targets;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use numbers::Numbers;

fuzz_target!(|bytes: &[u8]| targets::object(bytes));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut numbers = Numbers(u64::from(seed));
    if numbers.next(4) == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let times = 1 + numbers.next(4);
    mutate::mutate(&mut data[..size], times, &mut numbers)
});
