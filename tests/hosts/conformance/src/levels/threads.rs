//! Level 7: one instance rendered from four threads.

use super::{Run, each_plugin, hashes, instance};
use crate::log;
use crate::session::{Ask, safety};

const THREADS: usize = 4;
const ROUNDS: usize = 4;

pub fn run(run: &Run) {
    each_plugin(run, |loaded| {
        if safety(&loaded.thread_safety()) < 2 {
            return log::note("the plugin does not declare itself fully safe, so hosts do not ask this");
        }
        let Some(shared) = instance(loaded) else { return };
        let expected = log::check("frames on one thread", || hashes(&shared));
        log::check(format!("{ROUNDS} rounds of all frames on {THREADS} threads"), || {
            let mut random = run.settings.random("threads");
            for _ in 0..ROUNDS {
                let mut order: Vec<usize> = (0..expected.len()).collect();
                random.shuffle(&mut order);
                std::thread::scope(|s| {
                    // Each thread has frames of its own: two renders of one frame at once no host asks for.
                    for part in order.chunks(order.len().div_ceil(THREADS)) {
                        let (shared, expected) = (&shared, &expected);
                        s.spawn(move || {
                            for &t in part {
                                if shared.render(Ask::at(t as f64)).hash() != expected[t] {
                                    log::fail(format!("frame {t} has other pixels when four threads render"));
                                }
                            }
                        });
                    }
                });
            }
        });
        shared.destroy();
    });
}
