//! What the targets of two objects share.

use crate::mutate::mutate as damage;
use crate::numbers::Numbers;
use crate::targets;
use libfuzzer_sys::fuzzer_mutate;

/// The differ's own thread pool would cost more than the diff of a small object.
pub(crate) fn one_thread() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
    pool.build_global().expect("the first pool");
}

/// Damages one of two objects, see [`targets::split`]; returns the new length of both.
pub(crate) fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
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
        damage(orig, times, &mut numbers);
        return size;
    }
    4 + len + damage(patched, times, &mut numbers)
}
