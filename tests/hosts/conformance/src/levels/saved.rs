//! Level 6: random values within their ranges, saved, loaded into a new instance, and rendered to the same pixels.

use super::{Run, each_plugin, instance};
use crate::abi::*;
use crate::log;
use crate::params::Holds;
use crate::session::Ask;

const ROUNDS: usize = 20;

pub fn run(run: &Run) {
    each_plugin(run, |loaded| {
        let mut random = run.settings.random("saved");
        for round in 0..ROUNDS {
            log::check(format!("random values {} of {ROUNDS}: saved and loaded", round + 1), || {
                let Some(first) = instance(loaded) else { return };
                first.set_at_random(&mut random);
                for param in first.effect.params.all().iter().filter(|p| p.holds != Holds::Nothing) {
                    first.edit(&param.name, kOfxChangeUserEdited);
                }
                let time = Ask::at(random.below(first.effect.project.frames) as f64);
                let before = first.render(time).hash();
                let saved = first.save();
                let context = loaded.context().unwrap_or(kOfxImageEffectContextGeneral);
                match loaded.create(context, loaded.view(), Some(&saved)) {
                    Ok(second) => {
                        if second.render(time).hash() != before {
                            log::fail(format!("frame {}: other pixels after saving and loading", time.time));
                        }
                        if second.save() != saved {
                            log::fail("the saved values are others after loading");
                        }
                        second.destroy();
                    }
                    Err(e) => log::fail(e),
                }
                first.destroy();
            });
        }
    });
}
