//! Level 4: all frames in five random orders, on one instance and on new ones.

use super::{Run, each_plugin, hashes, instance};
use crate::log;
use crate::session::{Ask, Instance};
use std::time::Instant;

const ORDERS: usize = 5;

pub fn run(run: &Run) {
    each_plugin(run, |loaded| {
        let Some(first) = instance(loaded) else { return };
        // Each level is a process of its own: nothing was loaded before.
        let begin = Instant::now();
        first.render(Ask::at(0.0));
        log::note(format!("the process's first frame: {:.1?}", begin.elapsed()));
        let expected = log::check("all frames in order", || hashes(&first));
        let mut random = run.settings.random("order");
        for round in 0..ORDERS {
            let fresh = round % 2 == 1;
            let on = if fresh { "a new instance" } else { "the same instance" };
            log::check(format!("order {} of {ORDERS}, on {on}", round + 1), || {
                let mut order: Vec<usize> = (0..expected.len()).collect();
                random.shuffle(&mut order);
                let compare = |instance: &Instance| {
                    for &t in &order {
                        if instance.render(Ask::at(t as f64)).hash() != expected[t] {
                            log::fail(format!(
                                "frame {t} depends on which frames were rendered before: order {order:?}"
                            ));
                        }
                    }
                };
                if fresh {
                    let Some(other) = instance(loaded) else { return };
                    compare(&other);
                    other.destroy();
                } else {
                    compare(&first);
                }
            });
        }
        first.destroy();
    });
}
