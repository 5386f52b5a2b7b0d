//! How each shape moves the skin, in millimetres.

use super::face::{Face, toward_left};
use super::lids::lids;
use super::lips::mouth;
use crate::morphable::ArkitShape;
use crate::morphable::canonical::bumps::{Bump, both, one, sum};
use crate::morphable::canonical::surface::{P3, smoothstep};

/// Displacement of a point of the skin at a coefficient of 1, millimetres. The point is given where it would lie on the
/// synthetic mean head, and `face` is the model's own mean face there.
pub(super) fn displacement(shape: ArkitShape, p: P3, face: &Face) -> P3 {
    use ArkitShape as S;
    // What is on one side is written for the left.
    const BROW_DOWN: [Bump; 2] =
        [one([19.0, 46.0], [12.0, 8.0], [-3.4, -5.6, 1.7]), one([41.0, 48.0], [15.0, 8.0], [-2.6, -3.9, 0.5])];
    const BROW_INNER_UP: [Bump; 2] =
        [both([16.0, 47.0], [12.0, 9.0], [-0.8, 8.0, 1.0]), both([19.0, 64.0], [17.0, 11.0], [0.0, 2.3, 0.4])];
    const BROW_OUTER_UP: [Bump; 2] =
        [one([44.0, 47.0], [13.0, 9.0], [0.4, 8.0, 0.4]), one([44.0, 63.0], [16.0, 11.0], [0.3, 1.8, 0.2])];
    // Beside the eyes: the root of the nose and the temple go along.
    const ROOT_DOWN: [Bump; 1] = [one([7.0, 30.0], [6.0, 5.5], [0.0, -1.3, 0.0])];
    const ROOT_UP: [Bump; 2] =
        [both([8.0, 29.0], [5.5, 6.5], [0.0, 2.2, 0.0]), one([0.0, 49.0], [6.0, 8.0], [0.0, -2.0, 0.0])];
    const TEMPLE_UP: [Bump; 1] = [one([56.0, 31.0], [7.0, 11.0], [0.2, 2.3, 0.0])];
    const BELOW_EYE: [Bump; 1] = [one([27.0, 14.5], [10.0, 4.5], [0.0, 0.8, 0.0])];
    const CHEEK_PUFF: [Bump; 4] = [
        both([43.0, -30.0], [15.0, 14.0], [6.0, -0.3, 6.5]),
        both([22.0, -28.0], [9.0, 7.0], [0.8, 0.0, 2.0]),
        both([24.0, -55.0], [10.0, 9.0], [0.8, 0.0, 2.0]),
        one([0.0, -41.0], [18.0, 8.0], [0.0, 0.0, 1.0]),
    ];
    const CHEEK_SQUINT: [Bump; 1] = [one([37.0, 6.0], [13.0, 9.5], [-0.4, 6.0, 3.0])];
    const SNEER: [Bump; 2] =
        [one([15.0, -14.0], [7.0, 8.5], [1.0, 5.0, 0.6]), one([11.0, 11.0], [8.0, 9.0], [0.0, 2.2, 1.6])];
    // What the nose does with its wing, and the cheek beside it.
    const SNEER_AROUND: [Bump; 2] =
        [one([1.0, -6.0], [6.0, 11.0], [0.3, 0.9, 0.0]), one([36.0, -5.0], [13.0, 8.0], [0.2, 0.9, 0.0])];
    let front = smoothstep(0.0, 40.0, p[2]);
    let bumps = |list: &[Bump], left: bool| toward_left(sum(list, toward_left(p, left)).map(|v| v * front), left);
    // Brows leave the lids alone, cheeks the eye and all above.
    let above_lids = || {
        let upper = face.lines.lids(p[0] > 0.0, p[0].abs()).0;
        smoothstep(upper + 0.5, upper + 9.0, p[1])
    };
    let below_eyes = || {
        let (upper, lower) = face.lines.lids(p[0] > 0.0, p[0].abs());
        1.0 - smoothstep(lower - 2.0, upper + 1.0, p[1])
    };
    let scaled = |d: P3, w: f64| d.map(|v| v * w);
    let add = |a: P3, b: P3| -> P3 { std::array::from_fn(|c| a[c] + b[c]) };
    let brow_down = |left| add(scaled(bumps(&BROW_DOWN, left), above_lids()), bumps(&ROOT_DOWN, left));
    let brow_up = |left| add(scaled(bumps(&BROW_OUTER_UP, left), above_lids()), bumps(&TEMPLE_UP, left));
    let squint =
        |left| add(lids(p, left, face, [-0.1, 0.33], [1.4, 0.0]), scaled(bumps(&BELOW_EYE, left), below_eyes()));
    let sneer = |left| scaled(add(bumps(&SNEER, left), bumps(&SNEER_AROUND, left)), below_eyes());
    match shape {
        S::EyeBlinkLeft => lids(p, true, face, [-0.9, 0.1], [0.5, -0.8]),
        S::EyeBlinkRight => lids(p, false, face, [-0.9, 0.1], [0.5, -0.8]),
        S::EyeLookDownLeft => lids(p, true, face, [-0.45, -0.12], [0.0, -0.6]),
        S::EyeLookDownRight => lids(p, false, face, [-0.45, -0.12], [0.0, -0.6]),
        S::EyeLookUpLeft => lids(p, true, face, [0.2, 0.06], [0.0, 0.0]),
        S::EyeLookUpRight => lids(p, false, face, [0.2, 0.06], [0.0, 0.0]),
        S::EyeSquintLeft => squint(true),
        S::EyeSquintRight => squint(false),
        S::EyeWideLeft => lids(p, true, face, [0.34, -0.08], [0.0, 0.4]),
        S::EyeWideRight => lids(p, false, face, [0.34, -0.08], [0.0, 0.4]),
        S::EyeLookInLeft | S::EyeLookInRight | S::EyeLookOutLeft | S::EyeLookOutRight => [0.0; 3],
        S::BrowDownLeft => brow_down(true),
        S::BrowDownRight => brow_down(false),
        S::BrowInnerUp => add(scaled(bumps(&BROW_INNER_UP, true), above_lids()), bumps(&ROOT_UP, true)),
        S::BrowOuterUpLeft => brow_up(true),
        S::BrowOuterUpRight => brow_up(false),
        S::CheekPuff => bumps(&CHEEK_PUFF, true),
        S::CheekSquintLeft => scaled(bumps(&CHEEK_SQUINT, true), below_eyes()),
        S::CheekSquintRight => scaled(bumps(&CHEEK_SQUINT, false), below_eyes()),
        S::NoseSneerLeft => sneer(true),
        S::NoseSneerRight => sneer(false),
        S::TongueOut => [0.0; 3],
        _ => mouth(shape, p, face),
    }
}
