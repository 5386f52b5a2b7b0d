//! Level 3: one frame in every depth, component set and scale, with bounds and rows as hosts have them.

use super::{Run, each_plugin};
use crate::abi::*;
use crate::effect::View;
use crate::log;
use crate::picture::{Components, Layout, Picture};
use crate::session::{Ask, Instance, Loaded, Outcome};
use std::ffi::CStr;
use std::sync::Arc;

const SCALES: [f64; 4] = [1.0, 0.5, 0.25, 0.37];
/// Where the inputs' lower left corner lies: at zero, below zero and odd, above zero and odd.
const ORIGINS: [(f64, f64); 3] = [(0.0, 0.0), (-13.0, -7.0), (5.0, 3.0)];
/// What a part rendered alone may differ by: the order of sums may be another.
const TILE: f32 = 1e-4;
/// What renders of two depths may differ by: two steps of 8 bits.
const AGREE: f32 = 2.0 / 255.0;

pub fn run(run: &Run) {
    each_plugin(run, |loaded| {
        let Some(context) = loaded.context().map(CStr::to_owned) else {
            return log::fail("the plugin offers neither General nor Filter");
        };
        let mut rendered = 0;
        let mut refusal = String::new();
        for components in Components::ALL {
            for (i, scale) in SCALES.into_iter().enumerate() {
                let origin = ORIGINS[(i + components.count() + run.settings.seed as usize) % ORIGINS.len()];
                let what = format!("{components:?} at scale {scale}, corner {origin:?}, every depth and row order");
                log::check(&what, || {
                    let base = View { components, scale, origin, ..View::PLAIN };
                    if !every_depth(loaded, &context, base, i, &mut rendered, &mut refusal) {
                        log::note(format!("{components:?} is not among the source's component sets"));
                    }
                });
            }
        }
        if rendered == 0 {
            log::warn(format!("no frame was rendered, so no pixel was checked: {refusal}"));
        }
    });
}

/// False if the plugin does not take the component set.
fn every_depth(
    loaded: &Loaded,
    context: &CStr,
    base: View,
    turn: usize,
    rendered: &mut usize,
    refusal: &mut String,
) -> bool {
    let mut first: Option<Arc<Picture>> = None;
    for (j, depth) in loaded.depths().into_iter().rev().enumerate() {
        let layout = Layout::ALL[(turn + j) % Layout::ALL.len()];
        let view = View { depth, layout, ..base };
        log::step(format!("{depth:?} {:?} scale {} corner {:?} {layout:?}", base.components, base.scale, base.origin));
        let instance = match loaded.create(context, view, None) {
            Ok(instance) => instance,
            Err(e) => {
                log::fail(e);
                continue;
            }
        };
        let source = instance.effect.clip(kOfxImageEffectSimpleSourceClipName);
        let taken = source.is_some_and(|s| s.supports().contains(&base.components));
        if !taken {
            instance.destroy();
            return false;
        }
        match one(loaded, &instance) {
            Ok(picture) => {
                *rendered += 1;
                let other = first.get_or_insert_with(|| picture.clone());
                if other.size() == picture.size() && other.format.components == picture.format.components {
                    let difference = picture.difference(other, picture.bounds);
                    log::note(format!("largest difference to {:?}: {difference:.5} at {depth:?}", other.format.depth));
                    if difference > AGREE {
                        log::warn(format!("{depth:?} differs from {:?} by {difference:.4}", other.format.depth));
                    }
                }
            }
            Err(why) => *refusal = why,
        }
        instance.destroy();
    }
    true
}

/// One frame, twice over different bytes, then a part of it alone.
fn one(loaded: &Loaded, instance: &Instance) -> Result<Arc<Picture>, String> {
    let ask = Ask::at(2.0);
    let picture = match instance.render(ask) {
        Outcome::Picture(picture) => picture,
        Outcome::Refused(why) => return Err(why),
    };
    let again = instance.render(Ask { fill: 0xa5, ..ask });
    if again.hash() != Some(picture.hash()) {
        log::fail("the same frame twice: pixels differ, or some are not written");
    }
    if loaded.props().int(kOfxImageEffectPropSupportsTiles) != Some(0) {
        let b = picture.bounds;
        let window = OfxRectI { x1: b.x1 + (b.x2 - b.x1) / 3, y1: b.y1 + (b.y2 - b.y1) / 4, ..b };
        if window.x1 < window.x2
            && window.y1 < window.y2
            && let Outcome::Picture(tile) = instance.render(Ask { window: Some(window), ..ask })
        {
            let difference = tile.difference(&picture, window);
            if difference > TILE {
                log::fail(format!("a part rendered alone differs from the whole by {difference}"));
            }
        }
    }
    Ok(picture)
}
