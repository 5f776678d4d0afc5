//! Runs a function over many items on all processors, in threads of its own.
//!
//! The tempting way is rayon, which the differ uses itself: while one of its tasks waits it runs another one on the
//! same stack, here the next case, and the next, until the stack is used up.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The results in the order of the items.
pub(crate) fn map<T: Sync, R: Send>(items: &[T], function: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let work = || {
        while let Some((item, index)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            items.get(index).map(|item| (item, index))
        } {
            let result = function(item);
            results.lock().expect("no panic").push((index, result));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut results = results.into_inner().expect("no panic");
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
