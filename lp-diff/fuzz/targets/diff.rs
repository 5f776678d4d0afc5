//! Fuzzes the whole differ: two objects in, a report or an error out.

#![no_main]

#[path = "../../tests/hostile/mutate.rs"]
mod mutate;
#[path = "../../tests/hostile/numbers.rs"]
mod numbers;
#[expect(dead_code, reason = "the tests and the other target use the rest")]
#[path = "../../tests/hostile/targets.rs"]
mod targets;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use numbers::Numbers;

fuzz_target!(
    init: {
        // The differ's own thread pool would cost more than the diff of a small object.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
        pool.build_global().expect("the first pool");
    },
    |bytes: &[u8]| {
        let (orig, patched) = targets::split(bytes);
        targets::pair(orig, patched);
    }
);

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut numbers = Numbers(u64::from(seed));
    let (orig, patched) = targets::split(&data[..size]);
    let (len, patched_len) = (orig.len(), patched.len());
    if numbers.next(8) == 0 || len + patched_len == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let (orig, patched) = data[4..size].split_at_mut(len);
    let times = 1 + numbers.next(4);
    // The first keeps its length, or the second would begin elsewhere.
    if numbers.next(2) == 0 {
        mutate::mutate(orig, times, &mut numbers);
        return size;
    }
    4 + len + mutate::mutate(patched, times, &mut numbers)
});
