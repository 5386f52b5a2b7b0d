//! What steps learn from, made ahead of them by threads of its own, in the order of the steps.

use headgan::{Error, Result};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// Batches that a thread makes beyond the one that is wanted next.
const BUFFERED: usize = 1;

/// Calls `body` with what gives each step's batch, asked for one step after the other from `first` on, before `end`. `maker` is
/// called once in each of `threads` threads; with 0 of them batches are made when they are asked for, in the caller's thread. A
/// maker's batch must follow from the step alone: which thread makes it is nobody's business.
pub fn prefetch<T, M, R>(
    threads: usize,
    first: u64,
    end: u64,
    maker: impl Fn() -> M + Sync,
    body: impl FnOnce(&mut dyn FnMut(u64) -> Result<T>) -> R,
) -> R
where
    T: Send,
    M: FnMut(u64) -> Result<T>,
{
    if threads == 0 {
        return body(&mut maker());
    }
    thread::scope(|scope| {
        let lanes: Vec<Receiver<Result<T>>> = (0..threads as u64)
            .map(|lane| {
                let (give, take) = sync_channel(BUFFERED);
                let maker = &maker;
                scope.spawn(move || {
                    let mut make = maker();
                    for step in (first + lane..end).step_by(threads) {
                        // Whoever asks has gone: so does this.
                        if give.send(make(step)).is_err() {
                            break;
                        }
                    }
                });
                take
            })
            .collect();
        let gone = || Error::Engine("a thread that makes batches has ended: report this".into());
        let outcome = body(&mut |step| {
            let lane = (step - first) % threads as u64;
            lanes[lane as usize].recv().unwrap_or_else(|_| Err(gone()))
        });
        drop(lanes);
        outcome
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squares(threads: usize, ask: std::ops::Range<u64>) -> Vec<u64> {
        let make = || |step: u64| if step == 40 { Err(Error::Input("forty".into())) } else { Ok(step * step) };
        prefetch(threads, 7, 100, make, |next| ask.map_while(|step| next(step).ok()).collect())
    }

    #[test]
    fn batches_come_in_the_order_of_the_steps() {
        let wanted: Vec<u64> = (7..30).map(|n| n * n).collect();
        for threads in [0, 1, 3, 5] {
            assert_eq!(squares(threads, 7..30), wanted, "{threads}");
            // A failure is the step's that it belongs to.
            assert_eq!(squares(threads, 7..100).len(), 33, "{threads}");
        }
    }

    #[test]
    fn who_stops_early_waits_for_nobody() {
        assert!(squares(4, 7..7).is_empty());
        let end = prefetch(3, 0, u64::MAX, || |step: u64| Ok(step), |next| next(0).unwrap() + next(1).unwrap());
        assert_eq!(end, 1);
    }
}
