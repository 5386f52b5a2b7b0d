//! A pair: a reference and a driving frame of one clip, as a generator sees them.
//!
//! PNCC, flow, silhouette and mouth are computed from the stored fits when they are needed; what augmentation does to
//! the window it does to cameras and pictures alike.

use super::store::{Edges, SIDE, StoredClip, StoredFrame};
use crate::config::Augment;
use headgan::audio::layout::ALL;
use headgan::frame::{Filter, Frame, Window};
use headgan::morphable::retarget::FramePose;
use headgan::morphable::{Mesh, Morphable, PreparedMorphable, ShapeIdentity};
use headgan::pncc::Rasterizer;
use headgan::random::Rng;
use headgan::reenact::draft::{DraftModel, DraftOutput, DraftScratch, DraftSettings, DraftShot};
use headgan::reenact::window::CROP;
use headgan::{Error, Result};
use std::path::PathBuf;
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
    /// What is heard in the driving frame; zeros where the clip has no sound.
    pub sound: [f32; ALL],
    /// The mesh's flow, x and y, pixels.
    pub prior: Vec<f32>,
    /// What Draft makes of the pair, RGB in -1..1: a composing generator's change goes onto it.
    pub draft: Vec<f32>,
    /// The driving picture, RGB in -1..1.
    pub target: Vec<f32>,
    /// 1 where the driving mesh shows.
    pub face: Vec<f32>,
    /// 1 where the clip's own picture shows.
    pub valid: Vec<f32>,
    /// The mouth's middle, x then y.
    pub mouth: [f64; 2],
}

/// How a pair is augmented.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmentation {
    /// The window in the stored pictures.
    pub window: Window,
    pub flip: bool,
    /// Colours become `gain * colour ^ gamma`.
    pub gain: f64,
    pub gamma: f64,
}

impl Augmentation {
    /// None: the window itself.
    pub fn none() -> Augmentation {
        let margin = 0.5 * (SIDE - CROP) as f64;
        Augmentation { window: Window::square(margin, margin, CROP as f64), flip: false, gain: 1.0, gamma: 1.0 }
    }

    /// A random one.
    pub fn draw(augment: &Augment, rng: &mut Rng) -> Augmentation {
        let flip = rng.unit() < 0.5 && augment.flip;
        let side = CROP as f64 * (rng.within(1.0) * (1.0 + augment.scale).ln()).exp();
        let mut start = || 0.5 * (SIDE as f64 - side) + rng.within(augment.shift) * side;
        let (x, y) = (start(), start());
        let mut change = || (rng.within(1.0) * (1.0 + augment.colour).ln()).exp();
        let (gain, gamma) = (change(), change());
        Augmentation { window: Window::square(x, y, side), flip, gain, gamma }
    }
}

/// Makes samples; keeps memory between them.
pub struct Sampler {
    model: Arc<PreparedMorphable>,
    draft: Arc<DraftModel>,
    frames: usize,
    twice_middle: f32,
    identity: ShapeIdentity,
    mesh: Mesh,
    raster: Rasterizer,
    scratch: DraftScratch,
    out: DraftOutput,
    codes: Vec<f32>,
    /// The reference of the last pair: frames in a row have one.
    cached: Option<CachedReference>,
}

/// What a reference gives, computed once for all frames that it is paired with.
struct CachedReference {
    clip: PathBuf,
    reference: usize,
    augmentation: Augmentation,
    /// PNCC and RGB.
    planes: Vec<f32>,
    picture: Frame,
    shot: DraftShot,
}

impl Sampler {
    /// `frames` driving PNCC frames belong to a sample.
    pub fn new(model: Arc<PreparedMorphable>, draft: Arc<DraftModel>, frames: usize) -> Sampler {
        Sampler {
            twice_middle: twice_middle(model.model()),
            model,
            draft,
            frames,
            identity: ShapeIdentity::default(),
            mesh: Mesh::default(),
            raster: Rasterizer::single_thread(),
            scratch: DraftScratch::default(),
            out: DraftOutput::default(),
            codes: Vec::new(),
            cached: None,
        }
    }

    /// A clip's frame as a reference.
    fn prepare_reference(
        &mut self,
        clip: &StoredClip,
        reference: usize,
        augmentation: &Augmentation,
    ) -> Result<CachedReference> {
        let from = frame(clip, reference)?;
        let picture = picture(clip, reference, augmentation)?;
        self.model.identity_into(&from.shape, &mut self.identity)?;
        let mut planes = self.pncc(&in_window(&from.reference, augmentation.window))?.0;
        planes.extend(self::planes(&picture));
        let shot = DraftShot::new(self.draft.clone(), picture.clone(), self.mesh.clone())?;
        Ok(CachedReference {
            clip: clip.folder.clone(),
            reference,
            augmentation: augmentation.clone(),
            planes,
            picture,
            shot,
        })
    }

    /// The pair of a clip's frames `reference` and `target`.
    ///
    /// # Errors
    /// [`Error::Input`] where a picture cannot be read; those of the mesh.
    pub fn pair(
        &mut self,
        clip: &StoredClip,
        reference: usize,
        target: usize,
        augmentation: &Augmentation,
    ) -> Result<Sample> {
        let wanted = picture(clip, target, augmentation)?;
        let same =
            |s: &CachedReference| s.clip == clip.folder && s.reference == reference && s.augmentation == *augmentation;
        let cached = match self.cached.take().filter(same) {
            Some(cached) => cached,
            None => self.prepare_reference(clip, reference, augmentation)?,
        };
        let mut out = Sample {
            reference: cached.planes.clone(),
            pncc: Vec::with_capacity(3 * self.frames * CROP * CROP),
            sound: clip.heard.as_ref().map_or([0.0; ALL], |heard| heard.at(target as f64)),
            prior: Vec::with_capacity(2 * CROP * CROP),
            draft: Vec::new(),
            target: planes(&wanted),
            face: Vec::new(),
            valid: valid(clip.metadata.visible, clip.metadata.inset, augmentation.window),
            mouth: [0.0; 2],
        };
        for back in (0..self.frames).rev() {
            // Before the first frame there is only the first frame.
            let driving = &frame(clip, target.saturating_sub(back))?.driving;
            let (codes, face) = self.pncc(&in_window(driving, augmentation.window))?;
            out.pncc.extend(codes);
            out.face = face;
        }
        // The mesh is now that of the frame itself.
        let lips = &self.model.model().landmarks[MOUTH];
        let middle = |c: usize| lips.iter().map(|&v| f64::from(self.mesh.vertices[v as usize][c])).sum::<f64>();
        out.mouth = [middle(0), middle(1)].map(|sum| sum / lips.len() as f64);
        cached.shot.render(&self.mesh, &DraftSettings::default(), &mut self.scratch, &mut self.out)?;
        for c in 0..2 {
            out.prior.extend(self.out.flow.iter().map(|d| d[c]));
        }
        let mut plate = cached.picture.clone();
        plate.paste_masked(&self.out.picture, &self.out.mask, 0, 0)?;
        out.draft = planes(&plate);
        if augmentation.flip {
            flip(&mut out, self.twice_middle);
        }
        self.cached = Some(cached);
        Ok(out)
    }

    /// PNCC (3 planes) and silhouette of a pose of the identity at hand; leaves its mesh.
    fn pncc(&mut self, pose: &FramePose) -> Result<(Vec<f32>, Vec<f32>)> {
        self.model.mesh_into(&self.identity, &pose.expr, &pose.camera, &mut self.mesh)?;
        let model = self.model.model();
        let rendered = self.raster.render(&self.mesh.vertices, model.skin_triangles(), CROP, CROP)?;
        rendered.pncc_f32_into(&model.ncc, &mut self.codes)?;
        let mut face = Vec::new();
        rendered.mask_into(&mut face);
        let plane = |c: usize| self.codes.chunks_exact(3).map(move |p| p[c]);
        Ok(((0..3).flat_map(plane).collect(), face))
    }
}

fn frame(clip: &StoredClip, i: usize) -> Result<&StoredFrame> {
    let outside = || Error::usage(format!("clip {} has no frame {i}", clip.metadata.name));
    clip.frames.get(i).ok_or_else(outside)
}

/// A clip's picture, augmented.
fn picture(clip: &StoredClip, i: usize, augmentation: &Augmentation) -> Result<Frame> {
    frame(clip, i)?;
    let mut picture = clip.picture(i)?.crop(augmentation.window, CROP, CROP, Filter::Area);
    recolour(&mut picture, augmentation);
    Ok(picture)
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

fn recolour(picture: &mut Frame, augmentation: &Augmentation) {
    if augmentation.gain == 1.0 && augmentation.gamma == 1.0 {
        return;
    }
    for rgba in picture.data.chunks_exact_mut(4) {
        for v in &mut rgba[..3] {
            *v = (augmentation.gain * f64::from(*v).max(0.0).powf(augmentation.gamma)) as f32;
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

/// Twice the x code of the head's middle, by landmarks that mirror each other. (The mean head's extremes lie a
/// hundredth of its width off its symmetry.)
fn twice_middle(model: &Morphable) -> f32 {
    let code = |landmark: usize| model.landmarks.get(landmark).map_or(0.5, |&v| model.ncc[v as usize][0]);
    // Jaw, outer corners of the eyes, corners of the mouth.
    let pairs: Vec<(usize, usize)> = (0..8).map(|i| (i, 16 - i)).chain([(36, 45), (48, 54)]).collect();
    pairs.iter().map(|&(left, right)| code(left) + code(right)).sum::<f32>() / pairs.len() as f32
}

/// Mirrors a pair. A mirrored face's x codes are mirrored at the head's middle; where no face shows they stay zero.
fn flip(sample: &mut Sample, twice_middle: f32) {
    let Sample { reference, pncc, prior, draft, target, face, valid, .. } = &mut *sample;
    for planes in [reference, pncc, prior, draft, target, face, valid] {
        planes.chunks_exact_mut(CROP).for_each(<[f32]>::reverse);
    }
    let n = CROP * CROP;
    let mirror = |frame: &mut [f32]| {
        let (red, rest) = frame.split_at_mut(n);
        for (i, r) in red.iter_mut().enumerate() {
            if *r != 0.0 || rest[i] != 0.0 || rest[n + i] != 0.0 {
                *r = (twice_middle - *r).clamp(0.0, 1.0);
            }
        }
    };
    mirror(&mut sample.reference[..3 * n]);
    sample.pncc.chunks_exact_mut(3 * n).for_each(mirror);
    sample.prior[..n].iter_mut().for_each(|v| *v = -*v);
    sample.mouth[0] = (CROP - 1) as f64 - sample.mouth[0];
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::store::{self, ClipMetadata, StoredFrame};
    use super::*;
    use headgan::audio::AudioConditioning;
    use headgan::audio::layout::SIGNAL;
    use headgan::synthetic;
    use headgan::weights::{Array, Weights};

    /// A clip of the drawn head, stored as `prepare` stores clips.
    pub fn clip(folder: &std::path::Path) -> StoredClip {
        let side = SIDE as f64;
        std::fs::create_dir_all(folder.join("frames")).unwrap();
        let mut frames = Vec::new();
        for (i, item) in synthetic::demo_driving(SIDE, 6).unwrap().enumerate() {
            let (picture, fit) = item.unwrap();
            image::save_buffer(
                store::picture_path(folder, i),
                &picture.to_rgb8(),
                SIDE as u32,
                SIDE as u32,
                image::ExtendedColorType::Rgb8,
            )
            .unwrap();
            let pose = FramePose::from_fit(&fit).unwrap();
            frames.push(StoredFrame { reference: pose.clone(), shape: fit.params.shape, driving: pose, usable: true });
        }
        let metadata = ClipMetadata {
            person: None,
            name: "drawn".into(),
            source: "drawn.mp4".into(),
            first: 0,
            frames: frames.len(),
            usable: frames.len(),
            square: [0.0, 0.0, side],
            visible: [0.0, 0.0, side, side],
            inset: Some([0.0, side - 40.0, 40.0, side]),
            identity: Vec::new(),
            model: "synthetic".into(),
            sound: None,
        };
        store::finish(folder, &metadata, &frames).unwrap();
        StoredClip::open(folder).unwrap()
    }

    fn sampler() -> Sampler {
        let model = Arc::new(PreparedMorphable::new(synthetic::head()).unwrap());
        let head = model.model();
        let draft = Arc::new(DraftModel::new(&head.triangles, &head.ncc, &head.landmarks).unwrap());
        Sampler::new(model, draft, 3)
    }

    /// Where a pixel's flow leads there is the same surface: the PNCC of both agree.
    fn flow_leads_to_the_same_surface(sample: &Sample) {
        let n = CROP * CROP;
        let (now, from) = (&sample.pncc[6 * n..], &sample.reference[..3 * n]);
        let (mut compared, mut off) = (0, 0.0);
        for i in (0..n).filter(|&i| sample.face[i] > 0.0) {
            let x = (i % CROP) as f32 + sample.prior[i];
            let y = (i / CROP) as f32 + sample.prior[n + i];
            let (x, y) = (x.round() as isize, y.round() as isize);
            if !(0..CROP as isize).contains(&x) || !(0..CROP as isize).contains(&y) {
                continue;
            }
            let j = y as usize * CROP + x as usize;
            if (0..3).any(|c| from[c * n + j] > 0.0) {
                compared += 1;
                off += (0..3).map(|c| (now[c * n + i] - from[c * n + j]).abs()).sum::<f32>() / 3.0;
            }
        }
        assert!(compared > 5000, "{compared}");
        assert!(off / (compared as f32) < 0.02, "{}", off / compared as f32);
    }

    #[test]
    fn picture_mesh_and_flow_agree_however_a_pair_is_varied() {
        let folder = tempfile::tempdir().unwrap();
        let clip = clip(folder.path());
        let mut sampler = sampler();
        let none = Augmentation::none();
        let plain = sampler.pair(&clip, 0, 5, &none).unwrap();
        let window = Window::square(24.0, 40.0, 250.0);
        let moved = sampler.pair(&clip, 0, 5, &Augmentation { window, ..none.clone() }).unwrap();
        let flipped = sampler.pair(&clip, 0, 5, &Augmentation { flip: true, ..none.clone() }).unwrap();
        for sample in [&plain, &moved, &flipped] {
            flow_leads_to_the_same_surface(sample);
        }
        let n = CROP * CROP;
        // What is heard is a driving frame's, whatever is done to pictures.
        let arrays = [0.25, 0.5].map(|v| vec![v; 3 * SIGNAL]).concat();
        let arrays =
            Weights { arrays: [("signal".into(), Array::f32([6, SIGNAL], arrays))].into(), ..Weights::default() };
        let loud = StoredClip { heard: Some(AudioConditioning::from_arrays(&arrays).unwrap()), ..clip.clone() };
        let augmentation = Augmentation { flip: true, window, gain: 0.8, gamma: 1.2 };
        let heard = sampler.pair(&loud, 0, 5, &augmentation).unwrap().sound;
        assert!(heard[..SIGNAL] == [0.5; SIGNAL] && heard[SIGNAL..].iter().all(|v| *v == 0.0));
        assert_eq!(sampler.pair(&loud, 5, 2, &augmentation).unwrap().sound[0], 0.25);
        assert_eq!(plain.sound, [0.0; ALL]);
        // Mirrored: the picture, the silhouette, the sign of x; and the codes stay a face's.
        for i in [100 * CROP + 90, 140 * CROP + 128, 180 * CROP + 40] {
            let m = i - i % CROP + CROP - 1 - i % CROP;
            assert_eq!(plain.target[i], flipped.target[m]);
            assert_eq!(
                (plain.face[i], plain.prior[i], plain.prior[n + i]),
                (flipped.face[m], -flipped.prior[m], flipped.prior[n + m])
            );
        }
        assert!((plain.mouth[0] + flipped.mouth[0] - 255.0).abs() < 1e-9 && plain.mouth[1] == flipped.mouth[1]);
        let mean = |s: &Sample| {
            let inside: Vec<f32> = (0..n).filter(|&i| s.face[i] > 0.0).map(|i| s.pncc[6 * n + i]).collect();
            inside.iter().sum::<f32>() / inside.len() as f32
        };
        assert!((mean(&plain) + mean(&flipped) - sampler.twice_middle).abs() < 1e-3);
        // The inset's corner is not judged, the rest is.
        let margin = (SIDE - CROP) / 2;
        let inset = 40 - margin;
        assert_eq!(plain.valid.iter().filter(|v| **v == 0.0).count(), inset * inset);
        assert_eq!(plain.valid[(CROP - 1) * CROP], 0.0);
    }

    #[test]
    fn a_reference_that_was_looked_at_is_the_same_reference() {
        let folder = tempfile::tempdir().unwrap();
        let clip = clip(folder.path());
        let augmentation = Augmentation { flip: true, gain: 0.9, ..Augmentation::none() };
        let mut used = sampler();
        used.pair(&clip, 1, 2, &augmentation).unwrap();
        for (reference, target, augmentation) in
            [(1, 4, &augmentation), (1, 4, &Augmentation::none()), (3, 4, &augmentation)]
        {
            let (again, fresh) = (
                used.pair(&clip, reference, target, augmentation).unwrap(),
                sampler().pair(&clip, reference, target, augmentation).unwrap(),
            );
            assert!(again.reference == fresh.reference && again.draft == fresh.draft && again.pncc == fresh.pncc);
            assert!(again.prior == fresh.prior && again.target == fresh.target && again.mouth == fresh.mouth);
        }
    }

    #[test]
    fn exposure_is_the_same_for_both_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let clip = clip(folder.path());
        let mut sampler = sampler();
        let augmentation = Augmentation { gain: 0.8, gamma: 1.2, ..Augmentation::none() };
        let (plain, changed) = (
            sampler.pair(&clip, 2, 2, &Augmentation::none()).unwrap(),
            sampler.pair(&clip, 2, 2, &augmentation).unwrap(),
        );
        let n = CROP * CROP;
        assert_eq!(changed.target, changed.reference[3 * n..]);
        for i in [7, 4000, 3 * n - 1] {
            let v = 0.5 * f64::from(plain.target[i]) + 0.5;
            let expected = 2.0 * (0.8 * v.powf(1.2)) - 1.0;
            assert!((f64::from(changed.target[i]) - expected).abs() < 1e-4);
        }
        assert_eq!(plain.pncc, changed.pncc);
    }
}
