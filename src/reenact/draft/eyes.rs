//! Eyes: what shows between the lids when they move, and when the eye looks elsewhere.
//!
//! The reference's eye is taken apart once: the white (without iris, lids' shadow and lashes), the iris (completed where a lid
//! hides it), the reflections, and what lids and lashes darken, by the distance from each lid. A frame puts them together
//! between the target's lids: the iris where the target's eyeball has it, reflections nearly where they were, lashes and
//! shadow at their lids. An eye that moves with the head alone is left to the warp, whose picture is the reference's own.

use nalgebra::Vector2;

use crate::frame::Frame;
use crate::reenact::draft::iris::{self, Iris};
use crate::reenact::draft::model::EyeRim;
use crate::reenact::draft::motion::Similarity;
use crate::reenact::draft::outline::{Disc, Outline};
use crate::reenact::draft::sample::{bicubic, mix, step};
use crate::reenact::draft::texture::Texture;

/// Change of a lid's distance or of the iris' place, in widths of the eye, below which the warp's picture stays and above which
/// the eye is put together.
const CHANGE: [f32; 2] = [0.008, 0.03];
/// How far lashes and shadow reach from the upper and from the lower lid, in widths of the eye, and in shares of the reference's gap.
const BAND: [f32; 2] = [0.17, 0.10];
const BAND_OF_GAP: [f32; 2] = [0.42, 0.28];
/// Columns over which what the lids darken is averaged: an iris that was not found exactly must leave no ring.
const EVEN: usize = 4;
/// Softness of the iris' rim, in radii.
const LIMBUS: f32 = 0.09;
/// How much of the iris' way its reflections go: the cornea's bulge takes them a little along.
const REFLECTION: f32 = 0.3;
/// How much of the upper lid's skin keeps its size when the lid moves, in widths of the eye: the lashes, and what the fit's lid
/// misses the picture's by.
const LASHES: f32 = 0.07;
/// A lid's skin that was rolled up in the reference is painted in the colour of what shows of it: from where on, as a share of the
/// closed lid's height that is new, and how much at most.
const UNROLLED: [f32; 2] = [0.12, 0.4];
const PAINTED: f32 = 0.85;
/// Pixels over which the lids' edge is softened.
const EDGE: f32 = 1.2;

/// Where an eye's parts lie in a mesh.
#[derive(Debug, Clone)]
struct Geometry {
    outline: Outline,
    disc: Disc,
}

impl Geometry {
    /// `skin` is the mesh without eyeballs, `whole` the one with them.
    fn new(rim: &EyeRim, skin: &[[f32; 3]], whole: &[[f32; 3]]) -> Option<Geometry> {
        let read = |points: &[crate::reenact::draft::model::SurfacePoint]| -> Vec<[f32; 2]> {
            points.iter().map(|p| p.read(skin)).map(|p| [p[0], p[1]]).collect()
        };
        let outline = Outline::new(&read(&rim.upper), &read(&rim.lower), &read(&rim.fold))?;
        let disc = Disc::from_rim(whole.get(rim.iris.start as usize..rim.iris.end as usize)?)?;
        Some(Geometry { outline, disc })
    }
}

/// One eye of the reference picture, taken apart.
#[derive(Debug, Clone)]
pub(super) struct ReferenceEye {
    outline: Outline,
    /// The iris as the mesh has it, and as the picture shows it.
    mesh_disc: Disc,
    disc: Disc,
    iris: Iris,
    /// The white, from corner to corner and from lid to lid.
    white: Texture,
    /// What the lids leave of the colour, from corner to corner and from the lid to the band's end: upper, lower.
    shade: [Texture; 2],
    band: [f32; 2],
    /// Colour of the lids' edges from corner to corner.
    edge: [Texture; 2],
    /// Colour of the upper lid's skin from corner to corner.
    skin: Texture,
}

/// One eye of a target mesh.
#[derive(Debug, Clone)]
pub(super) struct TargetEye {
    outline: Outline,
    disc: Disc,
    /// Where the reflections are read from.
    light: Disc,
    /// Target pixels per reference pixel.
    scale: f32,
    /// How far the eye differs from the reference's, 0 not at all, 1 enough to be put together.
    change: f32,
}

impl ReferenceEye {
    /// `None` where the picture shows too little of an eye: the warp's picture stays then.
    pub fn new(rim: &EyeRim, picture: &Frame, skin: &[[f32; 3]], whole: &[[f32; 3]]) -> Option<ReferenceEye> {
        let Geometry { outline, disc: mesh_disc } = Geometry::new(rim, skin, whole)?;
        let gaps = outline.gaps();
        let widest = gaps.iter().copied().fold(0.0, f32::max);
        let inside =
            |p: [f32; 2]| p[0] >= 0.0 && p[1] >= 0.0 && p[0] < picture.width as f32 && p[1] < picture.height as f32;
        // An eye that is shut, tiny, or cut by the border of the picture has nothing to show.
        if outline.width < 6.0 || widest < 0.1 * outline.width || widest < 2.0 {
            return None;
        }
        if ![[0.0, 0.0], [1.0, 0.0]].into_iter().all(|c| inside(outline.point(c[0], c[1]))) {
            return None;
        }
        let disc = iris::find(picture, &outline, &mesh_disc);
        let iris = Iris::new(picture, &outline, &disc);
        let band = [0, 1].map(|k| (BAND[k] * outline.width).min(BAND_OF_GAP[k] * widest).max(1.0));
        let white = white(picture, &outline, &disc, &iris, band)?;
        let mut eye = ReferenceEye {
            mesh_disc,
            disc,
            iris,
            white,
            shade: [0, 1].map(|_| Texture::new(2, 2, vec![[1.0; 4]; 4])),
            band,
            edge: [false, true].map(|lower| edge(picture, &outline, lower)),
            skin: lid_skin(picture, &outline),
            outline,
        };
        eye.shade = [false, true].map(|lower| eye.shade(picture, lower));
        Some(eye)
    }

    /// What the lid leaves of the eye's colour in the reference, at each distance from it.
    fn shade(&self, picture: &Frame, lower: bool) -> Texture {
        let band = self.band[usize::from(lower)];
        let (nx, ny) = ((self.outline.width.ceil() as usize).clamp(12, 96), (band.ceil() as usize + 1).clamp(4, 32));
        let mut ratios = vec![[1.0f32; 4]; nx * ny];
        for j in 0..ny {
            for i in 0..nx {
                let x = i as f32 / (nx - 1) as f32;
                let away = band * j as f32 / (ny - 1) as f32;
                let (upper, low) = self.outline.lids(x);
                let gap = low - upper;
                if gap < 1.0 {
                    continue;
                }
                let y = if lower { low - away } else { upper + away };
                let v = ((y - upper) / gap).clamp(0.0, 1.0);
                let p = self.outline.point(x, y);
                let shown = bicubic(picture, p[0], p[1]);
                let plain = self.plain(x, v, self.disc.local(p));
                let fade = 1.0 - step(0.6, 1.0, j as f32 / (ny - 1) as f32);
                // Near the other lid its own shade is in it.
                let own = step(0.0, 0.35, if lower { v } else { 1.0 - v });
                let most = if lower { 1.15 } else { 1.0 };
                for k in 0..3 {
                    let ratio = ((shown[k] + 0.01) / (plain[k] + 0.01)).clamp(0.12, most);
                    ratios[j * nx + i][k] = 1.0 + fade * own * (ratio - 1.0);
                }
            }
        }
        // Evened out along the lid.
        let even = (EVEN * nx).div_ceil(48).max(1) as isize;
        let smooth = (0..nx * ny)
            .map(|i| {
                let (x, row) = ((i % nx) as isize, i / nx * nx);
                let window = (x - even).max(0)..=(x + even).min(nx as isize - 1);
                let count = window.clone().count() as f32;
                let mut sum = [0.0f32; 4];
                for c in window {
                    for k in 0..4 {
                        sum[k] += ratios[row + c as usize][k];
                    }
                }
                sum.map(|s| s / count)
            })
            .collect();
        Texture::new(nx, ny, smooth)
    }

    /// The eye without lids' shade and without reflections: `q` is the place in the iris' disc.
    #[inline]
    fn plain(&self, x: f32, v: f32, q: [f32; 2]) -> [f32; 4] {
        let r = (q[0] * q[0] + q[1] * q[1]).sqrt();
        let white = self.white.read([x, v]);
        let share = 1.0 - step(1.0 - LIMBUS, 1.0 + LIMBUS, r);
        if share <= 0.0 { white } else { mix(white, self.iris.colour.read(Iris::place(q)), share) }
    }

    /// The eye of a target mesh; `None` where it is seen from its side.
    pub fn target(
        &self,
        rim: &EyeRim,
        forward: &Similarity,
        skin: &[[f32; 3]],
        whole: &[[f32; 3]],
    ) -> Option<TargetEye> {
        let Geometry { outline, disc: mesh } = Geometry::new(rim, skin, whole)?;
        let linear = self.mesh_disc.linear_to(&mesh);
        let carried = |d: Vector2<f32>| linear * d;
        let disc = Disc::new(mesh.centre + carried(self.disc.centre - self.mesh_disc.centre), linear * self.disc.axes)?;
        let scale = forward.scale.max(1e-3);
        let place = |o: &Outline, d: &Disc, scale: f32| {
            let (x, y) = o.local(d.centre.into());
            Vector2::new(x, y / (scale * self.outline.width))
        };
        let (from, to) = (place(&self.outline, &self.disc, 1.0), place(&outline, &disc, scale));
        let lids = self.outline.gaps().into_iter().zip(outline.gaps());
        let lids = lids.map(|(a, b)| (b / scale - a).abs() / self.outline.width).fold(0.0, f32::max);
        let change = step(CHANGE[0], CHANGE[1], lids.max((to - from).norm()));
        // Where the iris would be had it not moved in its eye.
        let still = Vector2::from(outline.point(from.x, from.y * scale * self.outline.width));
        let light = Disc::new(still + REFLECTION * (disc.centre - still), disc.axes)?;
        Some(TargetEye { outline, disc, light, scale, change })
    }

    /// Where the colour of a pixel of the upper lid's skin comes from, given where the mesh says: a lid that closes unrolls its skin
    /// evenly and does not stretch its lashes. Beside it a colour for skin that was rolled up, and its share.
    #[inline]
    pub fn lid(&self, target: &TargetEye, p: [f32; 2], source: [f32; 2]) -> ([f32; 2], Option<([f32; 4], f32)>) {
        if target.change <= 0.0 {
            return (source, None);
        }
        let (x, y) = target.outline.local(p);
        let across = step(-0.06, 0.14, x) * step(1.06, 0.86, x);
        if across <= 0.0 {
            return (source, None);
        }
        let away = (target.outline.lids(x).0 - y) / target.scale;
        let height = (target.outline.lids(x).0 - target.outline.fold(x)) / target.scale;
        if away <= 0.0 || away >= height {
            return (source, None);
        }
        let (sx, sy) = self.outline.local(source);
        let own = self.outline.lids(sx).0 - self.outline.fold(sx);
        let kept = (LASHES * self.outline.width).min(0.4 * height).min(0.4 * own).max(0.0);
        let unrolled = if away < kept { away } else { kept + (away - kept) * (own - kept) / (height - kept).max(1e-3) };
        let mesh = self.outline.lids(sx).0 - sy;
        let to = mesh + across * target.change * (unrolled - mesh);
        let new = step(UNROLLED[0], UNROLLED[1], 1.0 - own / height.max(1e-3));
        let band = step(0.5 * kept, 2.2 * kept, away) * (1.0 - step(0.4, 1.0, away / height));
        let share = PAINTED * across * target.change * new * band;
        let painted = (share > 0.0).then(|| (self.skin.read([sx, 0.5]), share));
        (self.outline.point(sx, self.outline.lids(sx).0 - to), painted)
    }

    /// Colour at a pixel within the target's opening, and how much it counts against the warp's.
    #[inline]
    pub fn at(&self, target: &TargetEye, p: [f32; 2]) -> Option<([f32; 4], f32)> {
        if target.change <= 0.0 {
            return None;
        }
        let (x, y) = target.outline.local(p);
        if !(0.0..=1.0).contains(&x) {
            return None;
        }
        let (upper, lower) = target.outline.lids(x);
        let (below, above) = (y - upper, lower - y);
        let v = (below / (below + above).max(1e-3)).clamp(0.0, 1.0);
        let mut colour = self.plain(x, v, target.disc.local(p));
        let q = target.light.local(p);
        let light = self.iris.light.read(Iris::place(q));
        for k in 0..3 {
            colour[k] += light[k];
        }
        for (away, shade, band) in [(below, &self.shade[0], self.band[0]), (above, &self.shade[1], self.band[1])] {
            let u = away / (target.scale * band);
            if u < 1.0 {
                let factor = shade.read([x, u.max(0.0)]);
                for k in 0..3 {
                    colour[k] *= factor[k];
                }
            }
        }
        // The lids' edges.
        let side = step(-0.5, 0.5, (above - below) / EDGE);
        let edge = mix(self.edge[1].read([x, 0.5]), self.edge[0].read([x, 0.5]), side);
        let inside = step(-0.3, 1.0, below.min(above) / EDGE);
        Some((mix(edge, colour, inside), target.change))
    }
}

/// The white between the lids, without iris, lashes and shadow: what the reference shows of it, continued under the rest. `None`
/// where it shows none.
fn white(picture: &Frame, outline: &Outline, disc: &Disc, iris: &Iris, band: [f32; 2]) -> Option<Texture> {
    let gap = outline.gaps().iter().copied().fold(0.0, f32::max);
    let nx = (outline.width.ceil() as usize).clamp(16, 128);
    let ny = (gap.ceil() as usize).clamp(8, 64);
    let mut colours = vec![[0.0f32; 4]; nx * ny];
    let mut known = vec![false; nx * ny];
    let mut best: Vec<(f32, [f32; 4])> = Vec::new();
    for j in 0..ny {
        for i in 0..nx {
            let (x, v) = (i as f32 / (nx - 1) as f32, j as f32 / (ny - 1) as f32);
            let (upper, lower) = outline.lids(x);
            let y = upper + v * (lower - upper);
            let p = outline.point(x, y);
            let q = disc.local(p);
            let r = (q[0] * q[0] + q[1] * q[1]).sqrt();
            let colour = bicubic(picture, p[0], p[1]);
            colours[j * nx + i] = colour;
            let clear = y - upper > 0.75 * band[0] && lower - y > 0.6 * band[1];
            known[j * nx + i] = clear && r > 1.18;
            if r > 1.1 && y - upper > 0.3 * band[0] && lower - y > 0.3 * band[1] {
                best.push((colour[0] + 2.0 * colour[1] + colour[2], colour));
            }
        }
    }
    if known.iter().filter(|k| **k).count() < 6 {
        // Hardly any white in view: the brightest of what is, or a little of the iris' surroundings.
        best.sort_by(|a, b| a.0.total_cmp(&b.0));
        let top = &best[best.len() * 3 / 4..];
        let colour = if top.is_empty() {
            let c = iris.colour.read([0.0, 0.5]);
            let d = iris.colour.read([1.0, 0.5]);
            mix(c, d, 0.5)
        } else {
            std::array::from_fn(|k| top.iter().map(|c| c.1[k]).sum::<f32>() / top.len() as f32)
        };
        if colour[3] <= 0.0 {
            return None;
        }
        return Some(Texture::new(2, 2, vec![colour; 4]));
    }
    // Continued without a seam: from coarse to fine, each unknown place becomes the mean of its neighbours.
    let mean: [f32; 4] = {
        let count = known.iter().filter(|k| **k).count() as f32;
        let sum = |k: usize| colours.iter().zip(&known).filter(|(_, k)| **k).map(|(c, _)| c[k]).sum::<f32>();
        std::array::from_fn(|k| sum(k) / count)
    };
    for (c, k) in colours.iter_mut().zip(&known) {
        if !k {
            *c = mean;
        }
    }
    for sweep in 0..160 {
        let order = |n: usize| -> Box<dyn Iterator<Item = usize>> {
            if sweep % 2 == 0 { Box::new(0..n) } else { Box::new((0..n).rev()) }
        };
        for j in order(ny) {
            for i in order(nx) {
                if known[j * nx + i] {
                    continue;
                }
                let at = |x: usize, y: usize| colours[y * nx + x];
                let (l, r) = (at(i.saturating_sub(1), j), at((i + 1).min(nx - 1), j));
                let (u, d) = (at(i, j.saturating_sub(1)), at(i, (j + 1).min(ny - 1)));
                let c = &mut colours[j * nx + i];
                for k in 0..4 {
                    let to = 0.25 * (l[k] + r[k] + u[k] + d[k]);
                    c[k] += 1.5 * (to - c[k]);
                }
            }
        }
    }
    for c in &mut colours {
        c.iter_mut().for_each(|v| *v = v.max(0.0));
    }
    Some(Texture::new(nx, ny, colours))
}

/// Colour of a lid's edge from corner to corner: of the upper one the lashes, of the lower one its rim.
fn edge(picture: &Frame, outline: &Outline, lower: bool) -> Texture {
    const N: usize = 33;
    let dark = |c: &[f32; 4]| c[0] + 2.0 * c[1] + c[2];
    let at = |x: f32, y: f32| {
        let p = outline.point(x, y);
        bicubic(picture, p[0], p[1])
    };
    let row: Vec<[f32; 4]> = (0..N)
        .map(|i| {
            let x = i as f32 / (N - 1) as f32;
            let (upper, low) = outline.lids(x);
            if lower {
                mix(at(x, low), at(x, low + 1.0), 0.5)
            } else {
                let reach = 0.04 * outline.width;
                let found = [-1.0f32, -0.5, 0.0, 0.5, 1.0].map(|d| at(x, upper + d * reach));
                found.into_iter().min_by(|a, b| dark(a).total_cmp(&dark(b))).unwrap_or_default()
            }
        })
        .collect();
    Texture::new(N, 2, [row.clone(), row].concat())
}

/// Colour of the upper lid's skin from corner to corner: the bright half of what shows between lashes and brow.
fn lid_skin(picture: &Frame, outline: &Outline) -> Texture {
    const N: usize = 25;
    const SAMPLES: usize = 9;
    let luma = |c: &[f32; 4]| c[0] + 2.0 * c[1] + c[2];
    let found: Vec<[f32; 4]> = (0..N)
        .map(|i| {
            let x = (i as f32 / (N - 1) as f32).clamp(0.1, 0.9);
            let (upper, top) = (outline.lids(x).0 - 0.12 * outline.width, outline.fold(x));
            let mut shown: Vec<[f32; 4]> = (0..SAMPLES)
                .map(|k| {
                    let p = outline.point(x, upper + (top - upper) * k as f32 / SAMPLES as f32);
                    bicubic(picture, p[0], p[1])
                })
                .collect();
            shown.sort_by(|a, b| luma(a).total_cmp(&luma(b)));
            let best = &shown[SAMPLES / 2..SAMPLES - 1];
            // Half of it from the skin below the eye, a little darker: a narrow lid is mixed with lashes and brow.
            let below = outline.point(x, outline.lids(x).1 + 0.3 * outline.width);
            let below = bicubic(picture, below[0], below[1]);
            std::array::from_fn(|k| {
                let lid = best.iter().map(|c| c[k]).sum::<f32>() / best.len() as f32;
                let shade = if k < 3 { 0.93 } else { 1.0 };
                0.5 * (lid + shade * below[k])
            })
        })
        .collect();
    let row: Vec<[f32; 4]> = (0..N)
        .map(|i| {
            let near = &found[i.saturating_sub(4)..(i + 5).min(N)];
            std::array::from_fn(|k| near.iter().map(|c| c[k]).sum::<f32>() / near.len() as f32)
        })
        .collect();
    Texture::new(N, 2, [row.clone(), row].concat())
}
