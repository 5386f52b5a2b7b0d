//! One frame of Draft: from a target mesh to a picture.

use nalgebra::{Vector2, Vector3};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::morphable::Mesh;
use crate::reenact::draft::bank::BankTarget;
use crate::reenact::draft::eyes::TargetEye;
use crate::reenact::draft::field::{Anchor, Field};
use crate::reenact::draft::mask::{self, Distance};
use crate::reenact::draft::motion::{HeadMotion, Similarity};
use crate::reenact::draft::mouth::TargetMouth;
use crate::reenact::draft::raster::{NONE, Raster, weights};
use crate::reenact::draft::sample::{bicubic, mix, step};
use crate::reenact::draft::shot::{DraftShot, check_mesh};

/// Displacements below this (pixels) are rounding errors of a head that does not move.
const STILL: f32 = 2e-3;
/// Rows per task; fixed, so that no result depends on the thread count.
const ROWS: usize = 8;

/// The shape of the mask. Lengths are in face sizes (the side of a square as large as the reference mesh's bounding box).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DraftSettings {
    /// How far beyond the mesh the mask is 1.
    pub grow: f32,
    /// Over which further length it falls to 0.
    pub softness: f32,
    /// Whether the mask also covers the place of the face in the reference picture. Needed when the plate shows the
    /// reference's own face at rest; to be switched off when the plate is another picture.
    pub cover_reference: bool,
    /// Whether the inside of a mouth that opens further than in the reference is made up. Without it, what the reference
    /// shows there is stretched.
    pub fill_mouth: bool,
    /// Whether what is behind the person holds still, where the reference's layers are known.
    pub still_background: bool,
}

impl Default for DraftSettings {
    fn default() -> DraftSettings {
        DraftSettings { grow: 0.45, softness: 0.3, cover_reference: true, fill_mouth: true, still_background: true }
    }
}

/// What one frame yields; all of the reference picture's size. Reuse it between frames: its buffers are kept.
#[derive(Debug, Clone)]
pub struct DraftOutput {
    /// The reference picture with its head in the target pose and expression.
    pub picture: Frame,
    /// Per pixel, where its colour comes from in the reference picture, minus the pixel (pixels).
    pub flow: Vec<[f32; 2]>,
    /// Per pixel, how much of the result belongs into a plate, 0..1.
    pub mask: Vec<f32>,
    /// Per pixel, how much of its colour is made up, 0 none to 255 all: surface that the reference hides, and the inside
    /// of an opened mouth.
    pub holes: Vec<u8>,
    /// Per pixel, how much of it is the person, 0..1; 1 everywhere where the background moves with the head.
    pub matte: Vec<f32>,
}

impl Default for DraftOutput {
    fn default() -> DraftOutput {
        DraftOutput {
            picture: Frame::new(1, 1),
            flow: Vec::new(),
            mask: Vec::new(),
            holes: Vec::new(),
            matte: Vec::new(),
        }
    }
}

/// Buffers of the renderer, kept between frames; one per thread that renders.
#[derive(Debug, Clone, Default)]
pub struct DraftScratch {
    vertices: Vec<[f32; 3]>,
    pub(super) raster: Raster,
    field: Field,
    anchors: Vec<Anchor>,
    /// Per vertex: source x, source y, weight of the face's own flow, weight of the made-up colour.
    attributes: Vec<[f32; 4]>,
    mouth: TargetMouth,
    eyes: Vec<Option<TargetEye>>,
    bank: BankTarget,
    /// Per pixel, how many of the five pixels around it in its row the face covers.
    pub(super) runs: Vec<u8>,
    /// Pixels at steps of the flow and their smoothed colours.
    softened: Vec<(usize, [f32; 4])>,
    distance: Distance,
}

impl DraftShot {
    /// Renders the reference with its head in the pose and expression of `target`, a mesh of the same model and person in
    /// the reference picture's pixels. Depends on the two meshes alone, continuously.
    ///
    /// Fails with [`Error::Model`] for another model's mesh, with [`Error::Input`] for one that is not a face's shape.
    pub fn render(
        &self,
        target: &Mesh,
        settings: &DraftSettings,
        scratch: &mut DraftScratch,
        out: &mut DraftOutput,
    ) -> Result<()> {
        check_mesh(&self.model, target, "target")?;
        let whole = &target.vertices[..];
        let target = &whole[..self.mesh.len()];
        let flat = || Error::Input("the target mesh has no volume; leave the frame out or refit the face".into());
        let forward = Similarity::fit(&self.mesh, target, &self.model.rigid).ok_or_else(flat)?;
        let motion = HeadMotion::new(forward, &self.affine, &self.hull, self.model.symmetry_x).ok_or_else(flat)?;
        let (width, height) = (self.picture.width, self.picture.height);
        let DraftScratch { vertices, raster, field, anchors, attributes, mouth, eyes, bank, runs, softened, distance } =
            scratch;

        vertices.clear();
        vertices.extend_from_slice(target);
        if let (Some(reference), Some(rim)) = (&self.mouth, &self.model.mouth) {
            reference.target(rim, &motion, vertices, mouth);
        }
        eyes.clear();
        eyes.extend(
            self.eyes
                .iter()
                .zip(&self.model.eyes)
                .map(|(eye, rim)| eye.as_ref().and_then(|eye| eye.target(rim, &motion.forward, target, whole))),
        );
        if let Some(pictures) = &self.bank {
            pictures.target(self, target, whole, bank);
        }
        anchors.clear();
        let toward = motion.forward.rotation.row(2).transpose();
        anchors.extend(self.model.border.iter().zip(&self.border).map(|(&v, away)| {
            let v = v as usize;
            let (r, t) = (self.mesh[v], target[v]);
            // Hidden border that turns into view must not show what hides it in the reference.
            let n = self.normals[v];
            let revealed = step(0.0, 0.3, toward.dot(&Vector3::from(n)) - n[2]);
            let target = Vector2::new(t[0], t[1]);
            Anchor { target, displacement: Vector2::new(r[0], r[1]) + away * revealed - target }
        }));
        let vertices = &vertices[..];
        let layers = self.layers.as_ref().filter(|_| settings.still_background);
        rayon::join(
            || {
                raster.draw(width, height, vertices, &self.model.closed, self.model.front);
                count_runs(raster, runs);
            },
            || {
                field.solve(width, height, &motion, &self.hull, anchors, layers);
                self.attributes(&motion, attributes);
            },
        );
        self.compose(vertices, raster, field, attributes, mouth, eyes, bank, runs, settings, out);
        soften_steps(raster, &out.flow, &mut out.picture, softened);

        let (grow, soft) = (settings.grow.max(0.0) * self.face_size, settings.softness.max(0.0) * self.face_size);
        let covered = mask::coverage(raster);
        let rest = if settings.cover_reference { 1.0 } else { 0.0 };
        distance.measure(width, height, covered.iter().zip(&self.covered).map(|(&t, &r)| t.max(r * rest)));
        out.mask.resize(width * height, 0.0);
        distance.mask(width, height, grow, soft, &mut out.mask);
        if let Some(layers) = layers {
            mask::cover(width, height, [&layers.matte, &out.matte], &mut out.mask);
        }
        Ok(())
    }

    /// Per vertex, what the pixels it covers need.
    fn attributes(&self, motion: &HeadMotion, out: &mut Vec<[f32; 4]>) {
        let toward = motion.forward.rotation.row(2).transpose();
        out.clear();
        out.extend((0..self.mesh.len()).map(|v| {
            let n = Vector3::from(self.normals[v]);
            // How much less the reference faces the viewer here than the target does: its picture would be stretched.
            // The offset keeps outlines, where both are near 0, out of it.
            let ratio = (n.z + 0.12).max(0.02) / (toward.dot(&n) + 0.12).max(0.02);
            let rim = self.model.rim[v];
            let hole = 1.0 - self.seen[v] * step(0.22, 0.5, ratio);
            let foreign = self.foreign[v] * (1.0 - step(0.6, 0.9, ratio));
            [self.mesh[v][0], self.mesh[v][1], rim, (hole * self.model.inset[v]).max(foreign)]
        }));
    }

    #[allow(clippy::too_many_arguments)]
    fn compose(
        &self,
        vertices: &[[f32; 3]],
        raster: &Raster,
        field: &Field,
        attributes: &[[f32; 4]],
        mouth: &TargetMouth,
        eyes: &[Option<TargetEye>],
        bank: &BankTarget,
        runs: &[u8],
        settings: &DraftSettings,
        out: &mut DraftOutput,
    ) {
        let (width, height) = (self.picture.width, self.picture.height);
        out.picture.width = width;
        out.picture.height = height;
        out.picture.color = self.picture.color;
        out.picture.data.resize(4 * width * height, 0.0);
        out.flow.resize(width * height, [0.0; 2]);
        out.holes.resize(width * height, 0);
        let layers = self.layers.as_ref().filter(|_| settings.still_background);
        out.matte.resize(width * height, 1.0);
        let source = layers.map_or(self.source(), |l| &l.person);
        let plate = layers.and_then(|l| l.plate.as_ref());
        let straight = self.premultiplied.is_none();
        let face = self.model.triangles.len();
        out.picture
            .data
            .par_chunks_mut(4 * width * ROWS)
            .zip(out.flow.par_chunks_mut(width * ROWS))
            .zip(out.holes.par_chunks_mut(width * ROWS))
            .zip(out.matte.par_chunks_mut(width * ROWS))
            .enumerate()
            .for_each(|(task, (((colours, flow), holes), matte))| {
                for (j, (((colours, flow), holes), matte)) in colours
                    .chunks_exact_mut(4 * width)
                    .zip(flow.chunks_exact_mut(width))
                    .zip(holes.chunks_exact_mut(width))
                    .zip(matte.chunks_exact_mut(width))
                    .enumerate()
                {
                    let y = task * ROWS + j;
                    field.row(y, flow);
                    let rows: [&[u8]; 5] = std::array::from_fn(|k| {
                        let r = (y + k).saturating_sub(2).min(height - 1);
                        &runs[r * width..][..width]
                    });
                    let ids = &raster.tri[y * width..][..width];
                    for (x, &id) in ids.iter().enumerate() {
                        let p = [x as f32, y as f32];
                        let around = flow[x];
                        let mut d = around;
                        let mut made = 0.0;
                        let mut made_colour = [0.0; 4];
                        let mut painted = false;
                        if id != NONE {
                            let t = self.model.closed[id as usize].map(|v| v as usize);
                            let w = weights(vertices[t[0]], vertices[t[1]], vertices[t[2]], p[0], p[1]);
                            if (id as usize) < face {
                                let at = |k: usize| -> f32 { (0..3).map(|i| w[i] * attributes[t[i]][k]).sum() };
                                let mut from = [at(0), at(1)];
                                let mut lid = None;
                                for (eye, target) in self.eyes.iter().zip(eyes) {
                                    if let (Some(eye), Some(target)) = (eye, target) {
                                        let (at, painted) = eye.lid(target, p, from);
                                        from = at;
                                        lid = lid.or(painted);
                                    }
                                }
                                d = mix(around, [from[0] - p[0], from[1] - p[1]], at(2));
                                made = at(3);
                                if let Some((colour, share)) = lid {
                                    (made_colour, made) = (colour, share);
                                } else if made > 0.0 {
                                    made_colour =
                                        std::array::from_fn(|k| (0..3).map(|i| w[i] * self.fill[t[i]][k]).sum());
                                }
                            } else if let Some(reference) = &self.mouth {
                                let n = self.mesh.len();
                                let at = reference.at(mouth, t.map(|v| v - n), w);
                                d = [at.source[0] - p[0], at.source[1] - p[1]];
                                if settings.fill_mouth {
                                    (made, made_colour) = (at.weight, at.synthetic);
                                }
                            }
                        }
                        let mut colour = self.read(source, p, &mut d);
                        if made > 0.0 {
                            colour = mix(colour, made_colour, made);
                        }
                        // Only the opening's own triangles: what lies before the eye stays before it.
                        let eye = self.model.eyes.iter().position(|e| e.cover.contains(&id));
                        if let Some(i) = eye
                            && let (Some(eye), Some(target)) = (&self.eyes[i], &eyes[i])
                            && let Some((put, share)) = eye.at(target, p)
                        {
                            colour = mix(colour, put, share);
                            painted |= share > 0.0;
                        }
                        if id != NONE
                            && let Some(pictures) = &self.bank
                        {
                            let t = self.model.closed[id as usize].map(|v| v as usize);
                            let w = weights(vertices[t[0]], vertices[t[1]], vertices[t[2]], p[0], p[1]);
                            if let Some((other, share)) = pictures.at(bank, t, w, made) {
                                colour = mix(colour, other, share);
                                painted |= share > 0.0;
                            }
                        }
                        if id != NONE {
                            // The outline runs through the two outermost pixels of the face.
                            let count: u32 = rows.iter().map(|r| u32::from(r[x])).sum();
                            if count < 25 {
                                let mut back = around;
                                let behind = self.read(source, p, &mut back);
                                colour = mix(behind, colour, step(0.5, 1.0, count as f32 / 25.0));
                            }
                        }
                        flow[x] = d;
                        holes[x] = (made * 255.0 + 0.5) as u8;
                        matte[x] = if layers.is_some() { colour[3].clamp(0.0, 1.0) } else { 1.0 };
                        if let Some(plate) = plate {
                            let behind = plate.pixel(x, y);
                            let rest = 1.0 - matte[x];
                            for k in 0..3 {
                                colour[k] += rest * behind[k];
                            }
                            colour[3] = behind[3];
                            // Where nothing has moved, the picture is itself to the bit.
                            if d == [0.0; 2] && made == 0.0 && !painted {
                                colour = self.picture.pixel(x, y);
                            }
                        } else if !straight && d != [0.0; 2] {
                            if colour[3] > 0.0 {
                                for k in 0..3 {
                                    colour[k] /= colour[3];
                                }
                            }
                        } else if !straight && made == 0.0 {
                            colour = self.picture.pixel(x, y);
                        }
                        colours[4 * x..4 * x + 4].copy_from_slice(&colour);
                    }
                }
            });
    }

    /// The colour at `p + d`; a displacement that is nothing but rounding becomes exactly 0.
    #[inline]
    fn read(&self, source: &Frame, p: [f32; 2], d: &mut [f32; 2]) -> [f32; 4] {
        if d[0].abs() < STILL && d[1].abs() < STILL {
            *d = [0.0; 2];
            return source.pixel(p[0] as usize, p[1] as usize);
        }
        bicubic(source, p[0] + d[0], p[1] + d[1])
    }
}

/// Smooths the picture where the flow steps inside the face, at nose and lips, as no real outline is jagged.
fn soften_steps(raster: &Raster, flow: &[[f32; 2]], picture: &mut Frame, softened: &mut Vec<(usize, [f32; 4])>) {
    const STEP: f32 = 2.0;
    let (w, h) = (raster.width, raster.height);
    softened.clear();
    for y in 1..h.saturating_sub(1) {
        for x in 1..w.saturating_sub(1) {
            let i = y * w + x;
            if raster.tri[i] == NONE {
                continue;
            }
            let around = [i - 1, i + 1, i - w, i + w];
            let steps = |&j: &usize| {
                let d = [flow[j][0] - flow[i][0], flow[j][1] - flow[i][1]];
                raster.tri[j] != NONE && d[0] * d[0] + d[1] * d[1] > STEP * STEP
            };
            if around.iter().any(steps) {
                let at = |j: usize, k: usize| picture.data[4 * j + k];
                let colour =
                    std::array::from_fn(|k| 0.4 * at(i, k) + 0.15 * around.iter().map(|&j| at(j, k)).sum::<f32>());
                softened.push((i, colour));
            }
        }
    }
    for (i, colour) in softened {
        picture.data[4 * *i..4 * *i + 4].copy_from_slice(colour);
    }
}

/// Counts covered pixels among the five nearest of each row.
fn count_runs(raster: &Raster, runs: &mut Vec<u8>) {
    let w = raster.width;
    runs.resize(w * raster.height, 0);
    runs.par_chunks_mut(w).zip(raster.tri.par_chunks(w)).with_min_len(16).for_each(|(runs, ids)| {
        let on = |x: isize| u8::from(ids[x.clamp(0, w as isize - 1) as usize] != NONE);
        let mut sum = on(-2) + on(-1) + on(0) + on(1) + on(2);
        for (x, r) in runs.iter_mut().enumerate() {
            *r = sum;
            sum = sum + on(x as isize + 3) - on(x as isize - 2);
        }
    });
}
