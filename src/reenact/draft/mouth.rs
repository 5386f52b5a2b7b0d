//! The inside of an opened mouth.
//!
//! The model has a hole there. A patch of quadrilaterals between the inner lips closes it; down each of its columns,
//! what the reference shows between its lips keeps its size and stays with the lip it touches (so teeth do not
//! stretch, and disappear under a closing lip), and what opens beyond that is *synthetic*: a dark hollow in the lips'
//! own hue, a band of teeth fixed to the upper jaw unless the reference shows an open mouth, and a hint of tongue.

use nalgebra::{Vector2, Vector3};

use crate::frame::Color;
use crate::reenact::draft::model::{MOUTH_COLUMNS, MouthRim};
use crate::reenact::draft::motion::HeadMotion;
use crate::reenact::draft::sample::{mix, step};

/// Share of what the reference shows that stays with the upper lip.
const UPPER_SHARE: f32 = 0.55;

/// Lengths below are in mouth widths. Where the lower edge of the upper teeth lies under the closed upper lip.
const TEETH: f32 = 0.075;
/// How much higher the teeth at the corners end than those in the middle: the dental arch goes back there.
const ARCH: f32 = 0.04;
/// How far the patch reaches under the lips.
const PAD: f32 = 0.03;
/// Softness of synthetic edges.
const SOFT: f32 = 0.035;

/// The mouth of the reference picture.
#[derive(Debug, Clone)]
pub(super) struct ReferenceMouth {
    upper: Vec<[f32; 3]>,
    lower: Vec<[f32; 3]>,
    /// Height of the patch per column, pixels, not below 0.
    gap: Vec<f32>,
    /// Width between the corners, pixels.
    width: f32,
    /// 0 closed, 1 open enough to show teeth where there are any.
    open: f32,
    down: Vector3<f32>,
    hollow: [f32; 4],
    teeth: [f32; 4],
    tongue: [f32; 4],
}

/// The mouth of one target mesh: the height of the patch's columns, in reference pixels.
#[derive(Debug, Clone, Default)]
pub(super) struct TargetMouth {
    gap: Vec<f32>,
    /// Length of the upper teeth that show below the upper lip.
    teeth: Vec<f32>,
    /// Whether these end in an even arch.
    arch: bool,
}

/// What to show at one place of the mouth.
#[derive(Debug, Clone, Copy)]
pub(super) struct MouthPoint {
    /// Where the reference is read.
    pub source: [f32; 2],
    pub synthetic: [f32; 4],
    /// Weight of the synthetic colour.
    pub weight: f32,
}

impl ReferenceMouth {
    /// `down` points down the face in mesh coordinates; `lip` and `skin` are the face's colours.
    pub fn new(
        rim: &MouthRim,
        mesh: &[[f32; 3]],
        down: Vector3<f32>,
        lip: [f32; 4],
        skin: [f32; 4],
        color: Color,
    ) -> ReferenceMouth {
        let read = |points: &[crate::reenact::draft::model::SurfacePoint]| -> Vec<[f32; 3]> {
            points.iter().map(|p| p.read(mesh)).collect()
        };
        let (mut upper, mut lower) = (read(&rim.upper), read(&rim.lower));
        let flat = planar(down);
        let ends = planar_point(&upper[MOUTH_COLUMNS - 1]) - planar_point(&upper[0]);
        // A turned head foreshortens the mouth; its height is then the steadier measure.
        let width = ends.norm().max(0.35 * down.norm());
        pad(&mut upper, &mut lower, flat, width);
        let gap: Vec<f32> = upper.iter().zip(&lower).map(|(u, l)| gap(u, l, flat)).collect();
        let widest = gap.iter().copied().fold(0.0, f32::max) - 2.0 * PAD * width;
        let open = step(0.12, 0.24, widest / width);
        // Factors are meant for encoded colours.
        let scale = |c: [f32; 4], f: [f32; 3]| -> [f32; 4] {
            let f = if color == Color::Linear { f.map(|v| v.powf(2.2)) } else { f };
            [c[0] * f[0], c[1] * f[1], c[2] * f[2], c[3]]
        };
        let luma = 0.3 * skin[0] + 0.6 * skin[1] + 0.1 * skin[2];
        let teeth = mix(skin, [luma, luma, luma, skin[3]], 0.4);
        ReferenceMouth {
            gap,
            width,
            open,
            down,
            hollow: scale(lip, [0.26, 0.19, 0.19]),
            teeth: scale(teeth, [1.02, 0.97, 0.90]),
            tongue: scale(lip, [0.62, 0.48, 0.48]),
            upper,
            lower,
        }
    }

    /// Appends the patch's vertices for a target mesh and measures its columns.
    pub fn target(&self, rim: &MouthRim, motion: &HeadMotion, vertices: &mut Vec<[f32; 3]>, out: &mut TargetMouth) {
        let forward = &motion.forward;
        let flat = planar(forward.rotation * self.down);
        let n = vertices.len();
        for points in [&rim.upper, &rim.lower] {
            for p in points {
                let q = p.read(&vertices[..n]);
                vertices.push(q);
            }
        }
        let size = self.width * forward.scale;
        let (upper, lower) = vertices[n..].split_at_mut(MOUTH_COLUMNS);
        pad(upper, lower, flat, size);
        let inv = 1.0 / forward.scale;
        // Teeth hang from the skull: the reference's upper lip carried along rigidly, and a little lower.
        let lower_by = self.down.normalize() * ((TEETH + PAD) * self.width);
        let edges = self.upper.iter().map(|&p| planar_point(&forward.apply(Vector3::from(p) + lower_by).into()));
        out.arch = rim.arch;
        out.gap.clear();
        out.teeth.clear();
        if rim.arch {
            out.teeth.extend(edges.map(|edge| edge.dot(&flat) * inv));
            arch(&mut out.teeth, ARCH * self.width);
            let lip = |k: usize| planar_point(&upper[k]).dot(&flat) * inv;
            out.teeth.iter_mut().enumerate().for_each(|(k, edge)| *edge -= lip(k) + PAD * self.width);
        } else {
            let lips = upper.iter().map(planar_point);
            out.teeth.extend(edges.zip(lips).map(|(e, lip)| (e - lip).dot(&flat) * inv - PAD * self.width));
        }
        out.gap.extend(upper.iter().zip(&*lower).map(|(u, l)| gap(u, l, flat) * inv));
        // Behind the lips and all that hangs in front of them.
        for v in &mut vertices[n..] {
            v[2] -= size;
        }
    }

    /// The mouth at the patch's vertices (counted along the upper, then along the lower row) with these weights.
    pub fn at(&self, target: &TargetMouth, vertices: [usize; 3], weights: [f32; 3]) -> MouthPoint {
        let (mut s, mut t, mut base) = (0.0, 0.0, [0.0f32; 2]);
        for (v, w) in vertices.into_iter().zip(weights) {
            let column = v % MOUTH_COLUMNS;
            let low = v >= MOUTH_COLUMNS;
            let at = if low { self.lower[column] } else { self.upper[column] };
            s += w * column as f32;
            t += if low { w } else { 0.0 };
            base = [base[0] + w * at[0], base[1] + w * at[1]];
        }
        let k = (s.max(0.0) as usize).min(MOUTH_COLUMNS - 2);
        let f = s - k as f32;
        let lerp = |v: &[f32]| v[k] + f * (v[k + 1] - v[k]);
        let (from, to) = (lerp(&self.gap), lerp(&target.gap));
        let (w, soft) = (self.width, SOFT * self.width);
        let u = t * to;
        let extra = to - from;
        let top = UPPER_SHARE * from;
        let along = if extra <= 0.0 || u < top {
            u
        } else if u < top + extra {
            top
        } else {
            u - extra
        };
        let share = if from > 1e-3 { (along / from).clamp(0.0, 1.0) } else { t };
        let ends = |v: &[[f32; 3]]| mix([v[k][0], v[k][1]], [v[k + 1][0], v[k + 1][1]], f);
        // From the patch's own correspondence, moved along the column.
        let (top_end, bottom_end) = (ends(&self.upper), ends(&self.lower));
        let source = std::array::from_fn(|i| base[i] + (share - t) * (bottom_end[i] - top_end[i]));
        let soft_in = soft.min(0.5 * extra.max(1e-6));
        let weight =
            step(0.0, soft_in, u - top) * step(0.0, soft_in, top + extra - u) * step(0.02 * w, 0.08 * w, extra);
        let (u, to) = (u - PAD * w, to - 2.0 * PAD * w);
        // Synthetic colour: corners and depth are dark.
        let across = (s / (MOUTH_COLUMNS - 1) as f32 * 2.0 - 1.0).abs();
        let corner = 1.0 - step(0.45, 0.95, across);
        let under = to - u;
        let tongue = step(0.32 * w, 0.08 * w, under) * step(0.12 * w, 0.3 * w, to) * corner * 0.8;
        let mut synthetic = mix(self.hollow, self.tongue, tongue);
        let edge = lerp(&target.teeth).min(0.22 * w);
        let arc = if target.arch { edge } else { edge * (1.0 - 0.35 * across * across) };
        let band = step(arc + soft, arc - soft, u) * step(0.0, 0.04 * w, arc);
        let shade = 0.7 + 0.3 * step(0.0, 0.06 * w, u) - 0.4 * step(0.2, 0.95, across);
        let teeth = [self.teeth[0] * shade, self.teeth[1] * shade, self.teeth[2] * shade, self.teeth[3]];
        let visible = band * (1.0 - step(0.75, 1.0, across)) * (1.0 - self.open) * step(0.05 * w, 0.12 * w, to);
        synthetic = mix(synthetic, teeth, 0.92 * visible);
        MouthPoint { source, synthetic, weight }
    }
}

/// Moves the patch's rows a little beyond the lips' edges, so that no gap shows between the two.
fn pad(upper: &mut [[f32; 3]], lower: &mut [[f32; 3]], down: Vector2<f32>, width: f32) {
    let away = down * (PAD * width);
    let right = Vector2::new(down.y, -down.x) * (PAD * width);
    for (rim, away) in [(upper, -away), (lower, away)] {
        for (k, v) in rim.iter_mut().enumerate() {
            let side = match k {
                0 => -1.0,
                k if k == MOUTH_COLUMNS - 1 => 1.0,
                _ => 0.0,
            };
            let shift = away + right * side;
            *v = [v[0] + shift.x, v[1] + shift.y, v[2]];
        }
    }
}

/// Makes heights, from one corner of the mouth to the other, the arch nearest to them: a straight line that is `rise` higher at its ends. A lip's bow is none of
/// the teeth's.
fn arch(heights: &mut [f32], rise: f32) {
    let last = (heights.len().max(2) - 1) as f32;
    let across = |k: usize| 2.0 * k as f32 / last - 1.0;
    let (mut sum, mut mean, mut slope, mut spread) = (0.0, 0.0, 0.0, 0.0);
    for (k, h) in heights.iter().enumerate() {
        let x = across(k);
        let w = 1.0 - x * x;
        (sum, mean, slope, spread) = (sum + w, mean + w * h, slope + w * x * h, spread + w * x * x);
    }
    for (k, h) in heights.iter_mut().enumerate() {
        let x = across(k);
        *h = mean / sum + slope / spread * x - rise * x * x;
    }
}

fn planar_point(p: &[f32; 3]) -> Vector2<f32> {
    Vector2::new(p[0], p[1])
}

/// The direction in the picture plane.
fn planar(v: Vector3<f32>) -> Vector2<f32> {
    v.xy().try_normalize(1e-6).unwrap_or_else(Vector2::y)
}

/// How far the lower lip lies below the upper one.
fn gap(upper: &[f32; 3], lower: &[f32; 3], down: Vector2<f32>) -> f32 {
    (planar_point(lower) - planar_point(upper)).dot(&down).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bow_becomes_an_arch() {
        let across = |k: usize| k as f32 / 16.0 - 1.0;
        let mut heights: Vec<f32> = (0..MOUTH_COLUMNS).map(|k| 5.0 + 0.5 * across(k)).collect();
        let line = heights.clone();
        arch(&mut heights, 2.0);
        for (k, (h, l)) in heights.iter().zip(&line).enumerate() {
            assert!((h - (l - 2.0 * across(k).powi(2))).abs() < 1e-4, "{k}");
        }
        // Ripples of a lip are gone: nothing bends but the arch.
        heights.iter_mut().enumerate().for_each(|(k, h)| *h += if k % 4 < 2 { 1.0 } else { -1.0 });
        arch(&mut heights, 2.0);
        for w in heights.windows(3) {
            assert!((w[0] - 2.0 * w[1] + w[2] + 4.0 / 256.0).abs() < 1e-4);
        }
    }
}
