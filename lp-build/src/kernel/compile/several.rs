//! Many tasks side by side, of which some fail: who is told of one file that does not compile at a time repairs a fix file by file.
//!
//! The first few failures are told, in the order of the tasks; soon after the first nothing new begins, since nothing will come of
//! it all. The tempting wrong way is to stop at once: the other files that need the same change are told of in the next run.

use anyhow::{Result, anyhow};
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many failures are told.
const MOST_TOLD: usize = 8;
/// So many tasks more begin after the first failure.
const MORE_TRIED: usize = 100;

/// The results in order, or what failed.
pub(super) fn each<T: Sync, R: Send>(
    tasks: &[T],
    run: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let (failed, tried) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Vec<Option<Result<R>>> = tasks
        .par_iter()
        .map(|task| {
            let failures = failed.load(Ordering::Relaxed);
            let is_enough = failures >= MOST_TOLD
                || failures > 0 && tried.fetch_add(1, Ordering::Relaxed) >= MORE_TRIED;
            if is_enough {
                return None;
            }
            let result = run(task);
            failed.fetch_add(usize::from(result.is_err()), Ordering::Relaxed);
            Some(result)
        })
        .collect();
    let (mut good, mut errors) = (Vec::with_capacity(tasks.len()), Vec::new());
    for result in results.into_iter().flatten() {
        match result {
            Ok(result) => good.push(result),
            Err(error) => errors.push(error),
        }
    }
    match errors.len() {
        0 => Ok(good),
        1 => Err(errors.remove(0)),
        count => {
            let told = errors.iter().take(MOST_TOLD);
            let told: Vec<String> = told.map(|error| format!("{error:#}")).collect();
            Err(anyhow!("{count} files or more fail:\n{}", told.join("\n")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::each;

    #[test]
    fn the_failures_are_told_in_order() {
        let run = |number: &i32| match number {
            3 | 1 => anyhow::bail!("bad {number}"),
            number => Ok(number * 2),
        };
        assert_eq!(each(&[4, 5, 6], run).unwrap(), [8, 10, 12]);
        assert_eq!(each(&[4, 3], run).unwrap_err().to_string(), "bad 3");
        let error = each(&[1, 2, 3], run).unwrap_err().to_string();
        assert_eq!(error, "2 files or more fail:\nbad 1\nbad 3");
        let many = vec![1; 1000];
        let told = each(&many, run).unwrap_err().to_string();
        assert_eq!(told.matches("bad").count(), super::MOST_TOLD);
    }
}
