//! Drawn heads: any face, pose, expression, light and background, with the true parameters.

use super::sample::{CONTEXT, SIDE, Sample, landmark_crop};
use crate::affine::to_bgr8;
use headgan::frame::Rect;
use headgan::morphable::canonical::ExpressionMode;
use headgan::morphable::{Euler, Fit, ImageCamera, Params};
use headgan::random::Rng;
use headgan::synthetic::appearance::HairStyle;
use headgan::synthetic::{Appearance, Renderer};
use headgan::{Error, Result};
use std::sync::OnceLock;

/// Heads that are drawn with one appearance: making a scene takes longer than drawing it.
pub const HEADS_PER_APPEARANCE: u64 = 6;
/// How often each eye closes on its own: in any row of heads, and in those that are trained on. A network that has seen
/// few winks answers with the mean of both eyes.
const WINKS: [f64; 2] = [1.0 / 6.0, 0.5];
/// Standard deviation of identities.
const IDENTITY: f64 = 0.8;

/// An endless row of heads; each follows from seed and number alone.
pub struct SyntheticHeads {
    seed: u64,
    number: u64,
    renderer: Option<Renderer>,
    /// Side of the pictures in pixels, and in sides of the crop that the landmarks give.
    side: usize,
    context: f64,
    winks: f64,
}

impl SyntheticHeads {
    pub fn new(seed: u64) -> SyntheticHeads {
        SyntheticHeads::with_framing(seed, SIDE, CONTEXT)
    }

    /// In pictures of another side and with more or less around the face, as [`SIDE`] and [`CONTEXT`] say it.
    pub fn with_framing(seed: u64, side: usize, context: f64) -> SyntheticHeads {
        SyntheticHeads { seed, number: 0, renderer: None, side, context, winks: WINKS[0] }
    }

    /// Those of one appearance among those to train on, in pictures of another side.
    pub fn for_appearance(seed: u64, appearance: u64, side: usize) -> SyntheticHeads {
        SyntheticHeads {
            number: appearance * HEADS_PER_APPEARANCE,
            winks: WINKS[1],
            ..SyntheticHeads::with_framing(seed, side, CONTEXT)
        }
    }

    /// The next head.
    ///
    /// # Errors
    /// Those of the renderer.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Sample> {
        let mut rng = Rng::from_parts(&[self.seed, 8, self.number]);
        if self.number.is_multiple_of(HEADS_PER_APPEARANCE) {
            self.renderer = None;
        }
        let renderer = match &mut self.renderer {
            Some(renderer) => renderer,
            none => none.insert(Renderer::new(random_appearance(&mut Rng::from_parts(&[
                self.seed,
                7,
                self.number / HEADS_PER_APPEARANCE,
            ])))?),
        };
        self.number += 1;
        let shape: Vec<f32> = (0..renderer.prepared().model().shape_dim)
            .map(|_| (IDENTITY * normal(&mut rng)).clamp(-2.5, 2.5) as f32)
            .collect();
        let expr = expression(&mut rng, renderer.prepared().model().expr_dim, self.winks);
        let turned = Euler {
            yaw: (22.0 * normal(&mut rng)).clamp(-60.0, 60.0) as f32,
            pitch: (11.0 * normal(&mut rng)).clamp(-30.0, 30.0) as f32,
            roll: (8.0 * normal(&mut rng)).clamp(-30.0, 30.0) as f32,
        };
        // Once at any size to see how large it is, then in the middle of the picture.
        let mut camera = ImageCamera::new(1e-3, turned.rotation(), [0.0; 3]);
        let crop = landmark_crop(renderer.prepared(), &shape, &expr, &camera)?;
        let k = (self.side as f64 / self.context / f64::from(crop.width())) as f32;
        camera.scale *= k;
        let middle = 0.5 * self.side as f32 - 0.5;
        let [cx, cy] = crop.center();
        camera.translation = [middle - k * cx, middle - k * cy, 0.0];
        let side = self.side as f32;
        let roi = Rect { x0: 0.0, y0: 0.0, x1: side, y1: side };
        let params = Params { camera: camera.to_fit_camera(&roi)?, shape, expr };
        let fit = Fit { params, roi };
        let picture = to_bgr8(&renderer.render(&fit, self.side, self.side)?);
        let Params { shape, expr, .. } = fit.params;
        Ok(Sample { picture, camera: camera.matrix(), shape, expr, truth: true })
    }
}

/// Heads to train on by their numbers, each rendered when it is first asked for, by whichever thread asks.
pub struct SyntheticHeadCache {
    seed: u64,
    appearances: Vec<OnceLock<Result<Vec<Sample>>>>,
}

impl SyntheticHeadCache {
    /// For numbers below `n`.
    pub fn new(seed: u64, n: usize) -> SyntheticHeadCache {
        SyntheticHeadCache {
            seed,
            appearances: (0..n.div_ceil(HEADS_PER_APPEARANCE as usize)).map(|_| OnceLock::new()).collect(),
        }
    }

    /// The head with a number.
    ///
    /// # Errors
    /// Those of the renderer.
    pub fn get(&self, number: usize) -> Result<&Sample> {
        let per_appearance = HEADS_PER_APPEARANCE as usize;
        let appearance = number / per_appearance;
        let render = || {
            let mut heads = SyntheticHeads::for_appearance(self.seed, appearance as u64, SIDE);
            (0..per_appearance).map(|_| heads.next()).collect()
        };
        match self.appearances[appearance].get_or_init(render) {
            Ok(heads) => Ok(&heads[number % per_appearance]),
            Err(error) => Err(Error::engine(format!("head {number}: {error}"))),
        }
    }

    /// Draws the first `n`, with so many threads.
    pub fn render(&self, n: usize, threads: usize) {
        let (appearances, threads) = (n.div_ceil(HEADS_PER_APPEARANCE as usize), threads.max(1));
        std::thread::scope(|scope| {
            for first in 0..threads {
                scope.spawn(move || {
                    // What fails is said by whoever asks for the head.
                    (first..appearances)
                        .step_by(threads)
                        .for_each(|appearance| drop(self.get(appearance * HEADS_PER_APPEARANCE as usize)));
                });
            }
        });
    }

    /// How many are drawn.
    pub fn rendered(&self) -> usize {
        HEADS_PER_APPEARANCE as usize * self.appearances.iter().filter(|heads| heads.get().is_some()).count()
    }
}

/// Standard normal.
fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * (1.0 - rng.unit()).ln()).sqrt() * (std::f64::consts::TAU * rng.unit()).cos()
}

/// At rest, or some of everything; so often each eye for itself.
fn expression(rng: &mut Rng, dim: usize, winks: f64) -> Vec<f32> {
    let mut out = vec![0.0; dim];
    let mut set = |e: ExpressionMode, v: f64| out[e as usize] = v as f32;
    let some = |rng: &mut Rng, often: f64| if rng.unit() < often { rng.unit() } else { 0.0 };
    set(ExpressionMode::JawOpen, some(rng, 0.6).powf(1.4) - 0.13 * rng.unit());
    let smile = some(rng, 0.4);
    set(ExpressionMode::Smile, smile);
    set(ExpressionMode::Frown, if smile > 0.3 { 0.0 } else { some(rng, 0.2) });
    set(ExpressionMode::Pucker, some(rng, 0.25));
    set(ExpressionMode::Wide, some(rng, 0.25));
    set(ExpressionMode::BrowRaise, some(rng, 0.35));
    set(ExpressionMode::BrowLower, some(rng, 0.25));
    let both = some(rng, 0.45);
    let (left, right) = match rng.unit() < winks {
        true => (both, some(rng, 0.5)),
        false => (both, (both + rng.within(0.1)).clamp(0.0, 1.0)),
    };
    set(ExpressionMode::BlinkLeft, left);
    set(ExpressionMode::BlinkRight, right);
    set(ExpressionMode::MouthSide, if rng.unit() < 0.25 { rng.within(0.7) } else { 0.0 });
    out
}

/// Anybody, in any light, before anything.
fn random_appearance(rng: &mut Rng) -> Appearance {
    let mix = |a: [f32; 3], b: [f32; 3], t: f32| std::array::from_fn(|c| a[c] + (b[c] - a[c]) * t);
    let about = |rng: &mut Rng, colour: [f32; 3], reach: f64| colour.map(|v| v * rng.within(reach).exp() as f32);
    let any = |rng: &mut Rng, most: f64| std::array::from_fn(|_| (most * rng.unit().powi(2)) as f32);
    let skin = mix([0.64, 0.41, 0.31], [0.085, 0.042, 0.026], rng.unit() as f32);
    let skin = about(rng, skin, 0.15);
    let lips = about(rng, [0.85 * skin[0], 0.4 * skin[1], 0.5 * skin[2]], 0.2);
    let hairs =
        [[0.012, 0.010, 0.009], [0.06, 0.03, 0.016], [0.20, 0.11, 0.05], [0.45, 0.33, 0.18], [0.35, 0.35, 0.35]];
    let hair = hairs[rng.below(hairs.len())];
    let hair = about(rng, hair, 0.3);
    let irises = [[0.05, 0.025, 0.012], [0.10, 0.22, 0.16], [0.10, 0.18, 0.32]];
    let direction = |rng: &mut Rng| [rng.signed(), -0.3 + 0.7 * rng.signed(), 0.35 + 0.6 * rng.unit() as f32];
    let strength = rng.within(0.35).exp();
    let warmth = rng.within(0.15);
    let key = [1.7 * (1.0 + warmth), 1.7, 1.7 * (1.0 - warmth)].map(|v| (v * strength) as f32);
    Appearance {
        skin,
        lips,
        brows: hair.map(|v| (0.7 * v).min(0.15)),
        brow_weight: 0.4 + 0.6 * rng.unit() as f32,
        hair,
        style: [HairStyle::Shaved, HairStyle::Short, HairStyle::Bob][rng.below(3)],
        iris: irises[rng.below(3)],
        cloth: any(rng, 0.6),
        neck: 0.84 + 0.24 * rng.unit() as f32,
        beard: if rng.unit() < 0.3 { rng.unit() as f32 } else { 0.0 },
        freckles: if rng.unit() < 0.2 { rng.unit() as f32 } else { 0.0 },
        key_direction: direction(rng),
        key,
        fill_direction: direction(rng),
        fill: [0.4 * rng.unit() as f32; 3],
        ambient: [0.15 + 0.3 * rng.unit() as f32; 3],
        background: [any(rng, 0.9), any(rng, 0.9)],
        seed: rng.below(1 << 20) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_draws_the_heads_of_the_row() {
        let cache = SyntheticHeadCache::new(5, 7);
        assert_eq!(cache.rendered(), 0);
        let mut row = SyntheticHeads::for_appearance(5, 0, SIDE);
        let heads: Vec<Sample> = (0..8).map(|_| row.next().unwrap()).collect();
        let same = |i: usize| {
            let got = cache.get(i).unwrap();
            assert!(
                got.picture == heads[i].picture && got.expr == heads[i].expr && got.camera == heads[i].camera,
                "{i}"
            );
        };
        same(7);
        assert_eq!(cache.rendered(), 6);
        cache.render(7, 3);
        assert_eq!(cache.rendered(), 12);
        [0, 5, 6].into_iter().for_each(same);
    }

    #[test]
    fn heads_repeat_and_differ() {
        let draw = |seed| {
            let mut heads = SyntheticHeads::new(seed);
            (0..2).map(|_| heads.next().unwrap()).collect::<Vec<_>>()
        };
        let (a, b, c) = (draw(1), draw(1), draw(2));
        assert!(a[0].picture == b[0].picture && a[1].picture == b[1].picture);
        assert!(a[0].picture != a[1].picture && a[0].picture != c[0].picture);
        // The face is in the middle and fills its crop.
        let at = |s: &Sample, v: [f64; 3]| -> [f64; 2] {
            let m = &s.camera;
            [0, 4].map(|r| m[r] * v[0] + m[r + 1] * v[1] + m[r + 2] * v[2] + m[r + 3])
        };
        for s in &a {
            let [x, y] = at(s, [0.0, -5_000.0, 110_000.0]);
            assert!((30.0..130.0).contains(&x) && (30.0..130.0).contains(&y), "{x} {y}");
        }
    }
}
