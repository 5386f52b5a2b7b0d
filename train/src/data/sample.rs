//! A pair: a reference and a driving frame of one clip, as a generator sees them.
//!
//! PNCC, flow, silhouette and mouth are computed from the stored fits when they are needed; what augmentation does to the
//! window it does to cameras and pictures alike.

use super::store::{Edges, SIDE, Stored};
use crate::config::Augment;
use crate::rng::Rng;
use headgan::frame::{Filter, Frame, Window};
use headgan::morphable::retarget::FramePose;
use headgan::morphable::{Identity, Mesh, Prepared};
use headgan::pncc::Rasterizer;
use headgan::reenact::draft::{DraftModel, DraftOutput, DraftScratch, DraftSettings, DraftShot};
use headgan::reenact::shot::CROP;
use headgan::{Error, Result};
use std::sync::Arc;

/// The mouth's landmarks among the 68.
const MOUTH: std::ops::Range<usize> = 48..68;

/// One pair; planes row by row, [`CROP`] pixels square.
#[derive(Debug, Clone)]
pub struct Sample {
    /// PNCC (0..1) and RGB (-1..1) of the reference, 6 planes.
    pub reference: Vec<f32>,
    /// Driving PNCC, oldest first, 3 planes a frame.
    pub pncc: Vec<f32>,
    /// The mesh's flow, x and y, pixels.
    pub prior: Vec<f32>,
    /// The driving picture, RGB in -1..1.
    pub target: Vec<f32>,
    /// 1 where the driving mesh shows.
    pub face: Vec<f32>,
    /// 1 where the clip's own picture shows.
    pub valid: Vec<f32>,
    /// The mouth's middle, x then y.
    pub mouth: [f64; 2],
}

/// How a pair is varied.
#[derive(Debug, Clone, PartialEq)]
pub struct Variation {
    /// The window in the stored pictures.
    pub window: Window,
    pub flip: bool,
    /// Colours become `gain * colour ^ gamma`.
    pub gain: f64,
    pub gamma: f64,
}

impl Variation {
    /// None: the window itself.
    pub fn none() -> Variation {
        let margin = 0.5 * (SIDE - CROP) as f64;
        Variation { window: Window::square(margin, margin, CROP as f64), flip: false, gain: 1.0, gamma: 1.0 }
    }

    /// A random one.
    pub fn draw(augment: &Augment, rng: &mut Rng) -> Variation {
        let flip = rng.unit() < 0.5 && augment.flip;
        let side = CROP as f64 * (rng.within(1.0) * (1.0 + augment.scale).ln()).exp();
        let mut start = || 0.5 * (SIDE as f64 - side) + rng.within(augment.shift) * side;
        let (x, y) = (start(), start());
        let mut change = || (rng.within(1.0) * (1.0 + augment.colour).ln()).exp();
        let (gain, gamma) = (change(), change());
        Variation { window: Window::square(x, y, side), flip, gain, gamma }
    }
}

/// Makes samples; keeps memory between them.
pub struct Sampler {
    model: Arc<Prepared>,
    draft: Arc<DraftModel>,
    frames: usize,
    identity: Identity,
    mesh: Mesh,
    raster: Rasterizer,
    scratch: DraftScratch,
    out: DraftOutput,
    codes: Vec<f32>,
}

impl Sampler {
    /// `frames` driving PNCC frames belong to a sample.
    pub fn new(model: Arc<Prepared>, draft: Arc<DraftModel>, frames: usize) -> Sampler {
        Sampler {
            model,
            draft,
            frames,
            identity: Identity::default(),
            mesh: Mesh::default(),
            raster: Rasterizer::single_thread(),
            scratch: DraftScratch::default(),
            out: DraftOutput::default(),
            codes: Vec::new(),
        }
    }

    /// The pair of a clip's frames `reference` and `target`.
    ///
    /// # Errors
    /// [`Error::Input`] where a picture cannot be read; those of the mesh.
    pub fn pair(&mut self, clip: &Stored, reference: usize, target: usize, vary: &Variation) -> Result<Sample> {
        self.pair_with_draft(clip, reference, target, vary).map(|(sample, _)| sample)
    }

    /// As [`Sampler::pair`], with what Draft makes of it: RGB in -1..1, 3 planes.
    ///
    /// # Errors
    /// As [`Sampler::pair`].
    pub fn pair_with_draft(
        &mut self,
        clip: &Stored,
        reference: usize,
        target: usize,
        vary: &Variation,
    ) -> Result<(Sample, Vec<f32>)> {
        let frame = |i: usize| {
            let outside = || Error::Usage(format!("clip {} has no frame {i}", clip.about.name));
            clip.frames.get(i).ok_or_else(outside)
        };
        let (from, _) = (frame(reference)?, frame(target)?);
        let picture = |i: usize| -> Result<Frame> {
            let mut picture = clip.picture(i)?.crop(vary.window, CROP, CROP, Filter::Area);
            recolour(&mut picture, vary);
            Ok(picture)
        };
        let (shown, wanted) = (picture(reference)?, picture(target)?);
        self.model.identity_into(&from.shape, &mut self.identity)?;

        let mut out = Sample {
            reference: self.pncc(&in_window(&from.reference, vary.window))?.0,
            pncc: Vec::with_capacity(3 * self.frames * CROP * CROP),
            prior: Vec::with_capacity(2 * CROP * CROP),
            target: planes(&wanted),
            face: Vec::new(),
            valid: valid(clip.about.visible, clip.about.inset, vary.window),
            mouth: [0.0; 2],
        };
        let shot = DraftShot::new(self.draft.clone(), shown.clone(), self.mesh.clone())?;
        out.reference.extend(planes(&shown));
        for back in (0..self.frames).rev() {
            // Before the first frame there is only the first frame.
            let driving = &frame(target.saturating_sub(back))?.driving;
            let (codes, face) = self.pncc(&in_window(driving, vary.window))?;
            out.pncc.extend(codes);
            out.face = face;
        }
        // The mesh is now that of the frame itself.
        let lips = &self.model.model().landmarks[MOUTH];
        let middle = |c: usize| lips.iter().map(|&v| f64::from(self.mesh.vertices[v as usize][c])).sum::<f64>();
        out.mouth = [middle(0), middle(1)].map(|sum| sum / lips.len() as f64);
        shot.render(&self.mesh, &DraftSettings::default(), &mut self.scratch, &mut self.out)?;
        for c in 0..2 {
            out.prior.extend(self.out.flow.iter().map(|d| d[c]));
        }
        let mut plate = shown;
        plate.paste_masked(&self.out.picture, &self.out.mask, 0, 0)?;
        let mut draft = planes(&plate);
        if vary.flip {
            flip(&mut out, &mut draft);
        }
        Ok((out, draft))
    }

    /// PNCC (3 planes) and silhouette of a pose of the identity at hand; leaves its mesh.
    fn pncc(&mut self, pose: &FramePose) -> Result<(Vec<f32>, Vec<f32>)> {
        self.model.mesh_into(&self.identity, &pose.expr, &pose.camera, &mut self.mesh)?;
        let model = self.model.model();
        let rendered = self.raster.render(&self.mesh.vertices, &model.triangles, CROP, CROP)?;
        rendered.pncc_f32_into(&model.ncc, &mut self.codes)?;
        let mut face = Vec::new();
        rendered.mask_into(&mut face);
        let plane = |c: usize| self.codes.chunks_exact(3).map(move |p| p[c]);
        Ok(((0..3).flat_map(plane).collect(), face))
    }
}

/// A pose of the stored pictures as the window's raster sees it.
fn in_window(pose: &FramePose, window: Window) -> FramePose {
    let k = CROP as f64 / window.width;
    // Windows count from a pixel's edge, meshes from its centre.
    let offset = [window.x0, window.y0].map(|start| ((0.5 - start) * k - 0.5) as f32);
    pose.mapped(k as f32, offset)
}

/// RGB in -1..1, plane by plane.
fn planes(picture: &Frame) -> Vec<f32> {
    let plane = |c: usize| picture.data.chunks_exact(4).map(move |p| 2.0 * p[c].clamp(0.0, 1.0) - 1.0);
    (0..3).flat_map(plane).collect()
}

fn recolour(picture: &mut Frame, vary: &Variation) {
    if vary.gain == 1.0 && vary.gamma == 1.0 {
        return;
    }
    for rgba in picture.data.chunks_exact_mut(4) {
        for v in &mut rgba[..3] {
            *v = (vary.gain * f64::from(*v).max(0.0).powf(vary.gamma)) as f32;
        }
    }
}

/// 1 where `visible` shows in the window and `inset` does not.
fn valid(visible: Edges, inset: Option<Edges>, window: Window) -> Vec<f32> {
    let k = window.width / CROP as f64;
    let within = |e: &Edges, x: f64, y: f64| x >= e[0] && x < e[2] && y >= e[1] && y < e[3];
    let pixel = |i: usize| {
        let (x, y) = (window.x0 + ((i % CROP) as f64 + 0.5) * k, window.y0 + ((i / CROP) as f64 + 0.5) * k);
        let shown = within(&visible, x, y) && !inset.is_some_and(|e| within(&e, x, y));
        f32::from(u8::from(shown))
    };
    (0..CROP * CROP).map(pixel).collect()
}

/// Mirrors a pair. A face's x code is its distance from one side of the mean head, which is symmetric: mirrored, it is one
/// minus that; where no face shows it stays zero.
fn flip(sample: &mut Sample, draft: &mut [f32]) {
    let Sample { reference, pncc, prior, target, face, valid, .. } = &mut *sample;
    for planes in [reference, pncc, prior, target, face, valid] {
        planes.chunks_exact_mut(CROP).for_each(<[f32]>::reverse);
    }
    draft.chunks_exact_mut(CROP).for_each(<[f32]>::reverse);
    let n = CROP * CROP;
    let mirror = |frame: &mut [f32]| {
        let (red, rest) = frame.split_at_mut(n);
        for (i, r) in red.iter_mut().enumerate() {
            if *r != 0.0 || rest[i] != 0.0 || rest[n + i] != 0.0 {
                *r = 1.0 - *r;
            }
        }
    };
    mirror(&mut sample.reference[..3 * n]);
    sample.pncc.chunks_exact_mut(3 * n).for_each(mirror);
    sample.prior[..n].iter_mut().for_each(|v| *v = -*v);
    sample.mouth[0] = (CROP - 1) as f64 - sample.mouth[0];
}
