//! A bank: further pictures of the person, which show what the reference hides.
//!
//! Each picture has its mesh, so that any place of the face is read from it as from the reference. A mouth or an eye takes its colours
//! from the pictures in which it is most like the target's, with weights that are smooth functions of the target's mesh: a frame depends on
//! nothing else, and nothing pops. Surface that the reference hides takes them from the pictures that show it.

use nalgebra::{Vector2, Vector3};

use crate::error::Result;
use crate::frame::Frame;
use crate::morphable::Mesh;
use crate::reenact::draft::model::{DraftModel, EyeRim, MouthRim, SurfacePoint};
use crate::reenact::draft::motion::{HeadMotion, Similarity};
use crate::reenact::draft::mouth::TargetMouth;
use crate::reenact::draft::raster::Raster;
use crate::reenact::draft::sample::{bicubic, step};
use crate::reenact::draft::shot::{DraftShot, check_mesh, normals, seen};

/// Regions whose look is told apart: mouth, and each of the model's eyes.
const EYES: usize = 2;
const REGIONS: usize = 1 + EYES;
/// How alike looks are: the difference, of which one standard deviation is 1, at which a picture's weight falls to 0.6.
const ALIKE: f32 = 0.3;
/// The reference's own picture is as good as another one that is nearer by this much: it is the one that the editor chose.
const OWN: f32 = 0.2;
/// One standard deviation of a mouth's gap, width and corners' height in face sizes, of a lid's gap in widths of the eye, of an iris' way
/// in the same, and of a turn in degrees.
const MOUTH: [f32; 3] = [0.022, 0.03, 0.02];
const LIDS: f32 = 0.07;
const IRIS: f32 = 0.06;
const TURN: f32 = 14.0;
/// How far around lips and lids a region reaches, in face widths of the mean face: all of it, and fading to nothing.
const REACH: [[f32; 2]; 2] = [[0.05, 0.17], [0.035, 0.10]];
/// Largest factor by which a picture's colours are brought to the reference's.
const GAIN: f32 = 1.25;
/// The same of a region's on top of the whole face's: what an expression does to the skin around a mouth is no light.
const LOCAL: f32 = 1.12;

/// Another picture of the reference's person.
#[derive(Debug, Clone)]
pub struct BankPicture {
    /// The picture, opaque.
    pub picture: Frame,
    /// The person's mesh in its pixels: of the same model and identity as the reference's.
    pub mesh: Mesh,
}

/// What a region looks like.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    mouth: [f32; 3],
    /// Of each eye: the lids' gap, and where the iris is.
    eyes: [[f32; 3]; EYES],
    /// Degrees to the side and up, relative to the reference.
    turn: [f32; 2],
}

#[derive(Debug)]
struct Entry {
    picture: Frame,
    /// Where each vertex lies in it, those of the mouth's patch included.
    vertices: Vec<[f32; 2]>,
    look: Look,
    /// How well it shows each vertex of the mesh, 0..1.
    shows: Vec<f32>,
    /// Factors that bring its colours to the reference's, in each region and on the whole.
    gains: [[f32; 3]; REGIONS + 1],
}

/// The pictures of a reference.
#[derive(Debug)]
pub(super) struct Bank {
    entries: Vec<Entry>,
    /// What the reference looks like.
    own: Look,
    /// How much each vertex belongs to each region; the mouth's patch has the mouth's 1.
    masks: Vec<[f32; REGIONS]>,
}

/// How much each picture counts for one target.
#[derive(Debug, Clone, Default)]
pub(super) struct BankTarget {
    /// Of each entry, in each region.
    weights: Vec<[f32; REGIONS]>,
    /// Of each entry, on surface that the reference hides: how near its turn is.
    near: Vec<f32>,
}

impl Bank {
    /// `None` without pictures.
    pub fn new(shot: &DraftShot, whole: &[[f32; 3]], pictures: Vec<BankPicture>) -> Result<Option<Bank>> {
        let model = &*shot.model;
        let Some(own) = Look::new(model, &shot.mesh, whole, &shot.mesh, shot.face_size) else { return Ok(None) };
        let n = shot.mesh.len();
        let mut masks = masks(model);
        let mut entries = Vec::new();
        for BankPicture { picture, mesh } in pictures {
            check_mesh(model, &mesh, "bank's")?;
            let whole = mesh.vertices;
            let mesh = &whole[..n];
            let Some(look) = Look::new(model, mesh, &whole, &shot.mesh, shot.face_size) else { continue };
            let Some(forward) = Similarity::fit(&shot.mesh, mesh, &model.rigid) else { continue };
            let Some(motion) = HeadMotion::new(forward, &shot.affine, &shot.hull, model.symmetry_x) else { continue };
            let mut vertices = mesh.to_vec();
            if let (Some(reference), Some(rim)) = (&shot.mouth, &model.mouth) {
                reference.target(rim, &motion, &mut vertices, &mut TargetMouth::default());
            }
            let mut raster = Raster::default();
            raster.draw(picture.width, picture.height, mesh, &model.triangles, model.front);
            let normals = normals(model, mesh);
            let size = shot.face_size * forward.scale;
            let seen = seen(model, &raster, mesh, &normals, 0.01 * size);
            let shows = seen.iter().zip(&normals).map(|(s, n)| s * step(0.2, 0.5, n[2])).collect();
            let vertices: Vec<[f32; 2]> = vertices.iter().map(|v| [v[0], v[1]]).collect();
            masks.resize(vertices.len(), [1.0, 0.0, 0.0]);
            let mut entry = Entry { picture, vertices, look, shows, gains: [[1.0; 3]; REGIONS + 1] };
            let whole = gain(shot, &entry, |_| 1.0).map(|g| g.clamp(1.0 / GAIN, GAIN));
            entry.gains[REGIONS] = whole;
            let around: [[f32; 3]; REGIONS] = std::array::from_fn(|r| {
                // The skin around lips and lids, not what the expression changes.
                let local = gain(shot, &entry, |v| 4.0 * masks[v][r] * (1.0 - masks[v][r]));
                std::array::from_fn(|k| whole[k] * (local[k] / whole[k]).clamp(1.0 / LOCAL, LOCAL))
            });
            entry.gains[..REGIONS].copy_from_slice(&around);
            entries.push(entry);
        }
        Ok((!entries.is_empty()).then_some(Bank { entries, own, masks }))
    }

    /// How much each picture counts for a target mesh.
    pub fn target(&self, shot: &DraftShot, mesh: &[[f32; 3]], whole: &[[f32; 3]], out: &mut BankTarget) {
        out.weights.clear();
        out.near.clear();
        let Some(look) = Look::new(&shot.model, mesh, whole, &shot.mesh, shot.face_size) else {
            out.weights.resize(self.entries.len(), [0.0; REGIONS]);
            out.near.resize(self.entries.len(), 0.0);
            return;
        };
        let fall = |d: f32| (-0.5 * d / (ALIKE * ALIKE)).exp();
        let mut sums: [f32; REGIONS] =
            std::array::from_fn(|r| fall((look.far(&self.own, r).sqrt() - OWN).max(0.0).powi(2)));
        for entry in &self.entries {
            let weights: [f32; REGIONS] = std::array::from_fn(|r| fall(look.far(&entry.look, r)));
            (0..REGIONS).for_each(|r| sums[r] += weights[r]);
            out.weights.push(weights);
            let turn: f32 = (0..2).map(|k| ((look.turn[k] - entry.look.turn[k]) / TURN).powi(2)).sum();
            out.near.push((-0.5 * turn).exp() + 1e-3);
        }
        for weights in &mut out.weights {
            // Where no picture is like the target, the reference stays.
            (0..REGIONS).for_each(|r| weights[r] /= sums[r].max(1e-6));
        }
    }

    /// The colour of the bank in a triangle of the face, and its share; `made` is the share of the pixel that the reference does not
    /// show.
    pub fn at(&self, target: &BankTarget, t: [usize; 3], w: [f32; 3], made: f32) -> Option<([f32; 4], f32)> {
        let mask: [f32; REGIONS] = std::array::from_fn(|r| (0..3).map(|i| w[i] * self.masks[t[i]][r]).sum());
        let shown =
            |entry: &Entry| -> f32 { (0..3).map(|i| w[i] * entry.shows.get(t[i]).copied().unwrap_or(0.0)).sum() };
        let (mut sum, mut share) = ([0.0f32; 3], 0.0f32);
        let hidden: f32 = match made > 0.0 {
            true => self.entries.iter().zip(&target.near).map(|(e, near)| shown(e) * near).sum(),
            false => 0.0,
        };
        for ((entry, weights), near) in self.entries.iter().zip(&target.weights).zip(&target.near) {
            let mut factor = [0.0f32; 3];
            let mut own = 0.0;
            let mut add = |s: f32, gain: [f32; 3]| {
                own += s;
                (0..3).for_each(|k| factor[k] += s * gain[k]);
            };
            for r in 0..REGIONS {
                let s = mask[r] * weights[r];
                if s > 1e-3 {
                    add(s, entry.gains[r]);
                }
            }
            if hidden > 1e-3 {
                let rest = 1.0 - mask.iter().sum::<f32>().min(1.0);
                add(made * rest * shown(entry) * near / hidden.max(0.2), entry.gains[REGIONS]);
            }
            if own > 1e-3 {
                let at = |k: usize| -> f32 { (0..3).map(|i| w[i] * entry.vertices[t[i]][k]).sum() };
                let colour = bicubic(&entry.picture, at(0), at(1));
                (0..3).for_each(|k| sum[k] += factor[k] * colour[k]);
                share += own;
            }
        }
        (share > 1e-3).then(|| {
            let [r, g, b] = sum.map(|s| s / share);
            ([r, g, b, 1.0], share.min(1.0))
        })
    }
}

impl Look {
    /// Of a mesh, seen as the reference `own` is turned; `None` where it cannot be turned there.
    fn new(
        model: &DraftModel,
        mesh: &[[f32; 3]],
        whole: &[[f32; 3]],
        own: &[[f32; 3]],
        face_size: f32,
    ) -> Option<Look> {
        let back = Similarity::fit(mesh, own, &model.rigid)?;
        let at = |v: [f32; 3]| back.apply(Vector3::from(v));
        let mut look = Look::default();
        if let Some(MouthRim { upper, lower, .. }) = &model.mouth {
            let read = |p: &SurfacePoint| at(p.read(mesh));
            let n = upper.len();
            let gap: f32 = upper.iter().zip(lower).map(|(u, l)| (read(u) - read(l)).norm()).sum::<f32>() / n as f32;
            let (left, right) = (read(&upper[0]), read(&upper[n - 1]));
            let middle = 0.5 * (read(&upper[n / 2]) + read(&lower[n / 2]));
            let corners = 0.5 * (left.y + right.y) - middle.y;
            look.mouth = [gap / face_size, (right - left).norm() / face_size, corners / face_size];
        }
        for (eye, rim) in look.eyes.iter_mut().zip(&model.eyes) {
            *eye = eye_look(rim, mesh, whole, &at)?;
        }
        let toward = back.rotation.transpose() * Vector3::z();
        look.turn = [toward.x.atan2(toward.z).to_degrees(), toward.y.atan2(toward.z).to_degrees()];
        Some(look)
    }

    /// Square of how far another look of a region is, in standard deviations.
    fn far(&self, other: &Look, region: usize) -> f32 {
        let turn: f32 = (0..2).map(|k| ((self.turn[k] - other.turn[k]) / TURN).powi(2)).sum();
        let region: f32 = match region.checked_sub(1) {
            None => (0..3).map(|k| ((self.mouth[k] - other.mouth[k]) / MOUTH[k]).powi(2)).sum(),
            Some(eye) => {
                let (a, b) = (self.eyes[eye], other.eyes[eye]);
                // Of an eye that is nearly shut the iris counts little.
                let open = step(0.05, 0.2, a[0].max(b[0]));
                let iris = (1..3).map(|k| ((a[k] - b[k]) / IRIS).powi(2)).sum::<f32>();
                ((a[0] - b[0]) / LIDS).powi(2) + open * iris
            }
        };
        region + turn
    }
}

/// The lids' gap and the iris' place, in widths of the eye.
fn eye_look(
    rim: &EyeRim,
    mesh: &[[f32; 3]],
    whole: &[[f32; 3]],
    at: &dyn Fn([f32; 3]) -> Vector3<f32>,
) -> Option<[f32; 3]> {
    let read = |p: &SurfacePoint| at(p.read(mesh));
    let (first, last) = (read(rim.upper.first()?), read(rim.upper.last()?));
    let width = (last - first).norm().max(1e-6);
    let gap: f32 =
        rim.upper.iter().zip(&rim.lower).map(|(u, l)| (read(u) - read(l)).norm()).sum::<f32>() / rim.upper.len() as f32;
    let iris = whole.get(rim.iris.start as usize..rim.iris.end as usize)?;
    let middle = iris.iter().map(|v| at(*v)).sum::<Vector3<f32>>() / iris.len().max(1) as f32;
    let way = Vector2::new(middle.x, middle.y) - 0.5 * (first + last).xy();
    Some([gap / width, way.x / width, way.y / width])
}

/// How much each vertex belongs to mouth and eyes, by its distance from lips and lids on the mean face.
fn masks(model: &DraftModel) -> Vec<[f32; REGIONS]> {
    let points = |rims: [&[SurfacePoint]; 2]| -> Vec<[f32; 3]> {
        rims.into_iter().flatten().map(|p| p.read(&model.ncc)).collect()
    };
    let mouth = model.mouth.as_ref().map(|m| points([&m.upper, &m.lower])).unwrap_or_default();
    let mut regions = vec![(mouth, REACH[0])];
    regions.extend(model.eyes.iter().take(EYES).map(|e| (points([&e.upper, &e.lower]), REACH[1])));
    model
        .ncc
        .iter()
        .map(|v| {
            let mut mask = [0.0; REGIONS];
            for (m, (points, [all, none])) in mask.iter_mut().zip(&regions) {
                let near = points.iter().map(|p| super::model::distance(*v, *p)).fold(f32::INFINITY, f32::min);
                *m = 1.0 - step(*all, *none, near);
            }
            mask
        })
        .collect()
}

/// What brings a picture's colours to the reference's, where both show the surface; `weight` says which vertices count.
fn gain(shot: &DraftShot, entry: &Entry, weight: impl Fn(usize) -> f32) -> [f32; 3] {
    let source = shot.source();
    let (mut own, mut other) = ([0.0f64; 3], [0.0f64; 3]);
    for v in 0..shot.mesh.len() {
        let w =
            weight(v) * entry.shows[v] * shot.seen[v] * step(0.3, 0.6, shot.normals[v][2]) * (1.0 - shot.foreign[v]);
        if w <= 0.0 {
            continue;
        }
        let a = bicubic(source, shot.mesh[v][0], shot.mesh[v][1]);
        let b = bicubic(&entry.picture, entry.vertices[v][0], entry.vertices[v][1]);
        for k in 0..3 {
            own[k] += f64::from(w * a[k].max(0.0));
            other[k] += f64::from(w * b[k].max(0.0));
        }
    }
    std::array::from_fn(|k| if other[k] > 1e-6 && own[k] > 1e-6 { (own[k] / other[k]) as f32 } else { 1.0 })
}
