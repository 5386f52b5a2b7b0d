//! A shot: one reference picture performing a driving track, frame by frame, in any order.

use super::draft::{DraftOutput, DraftScratch, DraftSettings, DraftShot};
use super::networks::{Generator, Networks};
use super::painter::{Painter, Painting, Stack};
use super::view;
use crate::audio::Heard;
use crate::audio::layout::ALL;
use crate::controls::Settings;
use crate::controls::choices::{Composite, Quality, View};
use crate::frame::{Color, Filter, Frame, Window};
use crate::key::Key;
use crate::morphable::retarget::{FramePose, RetargetSettings, ShotStats, retarget};
use crate::morphable::{Euler, Fit, ImageCamera, Mesh, Prepared, RigSettings, ShapeIdentity};
use crate::pncc::Rasterizer;
use crate::shot::crop::{self, Square};
use crate::shot::{Head, Track};
use crate::{Error, Result};
use nalgebra::{Rotation3, UnitQuaternion};
use std::ops::Range;
use std::sync::Arc;

/// Side of the crop that views and generators work at, in pixels.
pub const CROP: usize = 256;

/// Everything that may change from frame to frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    pub quality: Quality,
    pub view: View,
    pub retarget: RetargetSettings,
    /// Region weights and named expressions.
    pub rig: RigSettings,
    /// Degrees added to the pose.
    pub turn: Euler,
    /// 0 the pose as it is, 1 facing the camera.
    pub frontalise: f32,
    /// 0 the reference's identity, 1 the driver's.
    pub identity_mix: f32,
    /// The mask's growth and softness.
    pub mask: DraftSettings,
    /// Frames by which the generator hears the sound later.
    pub audio_offset: f32,
}

impl Default for Look {
    fn default() -> Look {
        Look {
            quality: Quality::Draft,
            view: View::Result,
            retarget: RetargetSettings::default(),
            rig: RigSettings::default(),
            turn: Euler::default(),
            frontalise: 0.0,
            identity_mix: 0.0,
            mask: DraftSettings::default(),
            audio_offset: 0.0,
        }
    }
}

impl Look {
    /// What the controls say; `same` when reference and driver are the same shot, which is then not adapted.
    pub fn from_controls(controls: &Settings, same: bool) -> Look {
        // The crop alone is what the crop's view shows.
        let crop = controls.view == View::Result && controls.composite == Composite::Crop;
        Look {
            quality: controls.quality,
            view: if crop { View::Crop } else { controls.view },
            retarget: RetargetSettings {
                self_reenactment: same,
                adapt_scale: controls.adapt_scale,
                adapt_position: controls.adapt_position,
                smoothing: controls.smoothing,
                relative_expression: controls.relative_expression,
                motion: controls.motion_strength * controls.region_head,
                pose: controls.pose_strength * controls.region_head,
                expression: controls.expression_strength,
                ..RetargetSettings::default()
            },
            rig: controls.rig(),
            turn: Euler { yaw: controls.yaw_offset, pitch: controls.pitch_offset, roll: controls.roll_offset },
            frontalise: controls.frontalise,
            identity_mix: controls.identity_mix,
            mask: DraftSettings {
                grow: 0.01 * controls.mask_grow,
                softness: 0.01 * controls.seam_softness,
                cover_reference: true,
                fill_mouth: controls.fill_mouth,
            },
            audio_offset: controls.audio_offset,
        }
    }
}

impl Look {
    /// Whether the result is the reference's picture, untouched, whatever the driver does.
    pub fn is_still(&self) -> bool {
        let r = &self.retarget;
        let turned = self.turn != Euler::default() || self.frontalise != 0.0 || self.identity_mix != 0.0;
        let plain = self.quality == Quality::Draft && self.view == View::Result;
        // With no expression regions have nothing to weigh.
        let still = r.motion == 0.0 && r.pose == 0.0 && r.expression == 0.0 && !r.self_reenactment;
        plain && still && !turned && self.rig.expressions.iter().all(|e| *e == 0.0) && !self.rig.replace
    }
}

/// A sound as a shot's generator hears it.
#[derive(Debug, Clone)]
pub struct Hearing {
    pub heard: Arc<Heard>,
    /// Stands for what is heard.
    pub key: Key,
    /// The frame of the sound that belongs to the track's first.
    pub first: f64,
}

/// One reference and one driving track.
pub struct Shot {
    model: Arc<Prepared>,
    draft: Arc<DraftShot>,
    /// The reference's own pose and identity.
    pose: FramePose,
    shape: Vec<f32>,
    stats: ShotStats,
    /// The square around the reference's face that a generator paints, in the plate's pixels.
    window: Window,
    head: Head,
    painter: Option<Arc<Painter>>,
    track: Track,
    hearing: Option<Hearing>,
}

/// Memory that is kept between frames; one per thread that renders.
#[derive(Default)]
pub struct Scratch {
    identity: ShapeIdentity,
    mesh: Mesh,
    /// The face at rest, where regions are weighed.
    rest: Mesh,
    raster: Rasterizer,
    draft: DraftScratch,
    out: DraftOutput,
    bytes: Vec<u8>,
    prior: Vec<[f32; 2]>,
    painting: Painting,
    result: Option<Frame>,
    keeps_warped: bool,
    warped: Option<Frame>,
}

impl Scratch {
    /// From now on keeps what [`Scratch::warped`] returns.
    pub fn keep_warped(&mut self) {
        self.keeps_warped = true;
        self.painting.keep_warped();
    }

    /// The reference's crop under the flow alone of the frame that was rendered last, as large as [`View::Crop`]: Draft's
    /// flow, or the generator's own.
    pub fn warped(&self) -> Option<&Frame> {
        self.warped.as_ref()
    }
}

impl Shot {
    /// Prepares a reference picture with its fit. A generator is needed for [`Quality::Full`] only.
    ///
    /// # Errors
    /// [`Error::NoFace`] for a degenerate fit; [`Error::Model`] where fit and model do not go together.
    pub fn new(
        networks: &Networks,
        reference: Frame,
        fit: &Fit,
        track: Track,
        generator: Option<Generator>,
    ) -> Result<Shot> {
        Shot::with_model(networks.morphable.clone(), networks.draft.clone(), reference, fit, track, generator)
    }

    /// As [`Shot::new`], with the morphable model alone (for fits that come from elsewhere).
    ///
    /// # Errors
    /// As [`Shot::new`].
    pub fn with_model(
        model: Arc<Prepared>,
        draft: Arc<super::draft::DraftModel>,
        reference: Frame,
        fit: &Fit,
        track: Track,
        generator: Option<Generator>,
    ) -> Result<Shot> {
        let pose = FramePose::from_fit(fit)?;
        let stats = ShotStats::new(std::slice::from_ref(&pose))?;
        let identity = model.identity(&fit.params.shape)?;
        let mut mesh = Mesh::default();
        model.mesh_into(&identity, &pose.expr, &pose.camera, &mut mesh)?;
        let window = window_around(&mesh)?;
        let head = Head::of(model.model());
        let draft = Arc::new(DraftShot::new(draft, reference, mesh)?);
        let shape = fit.params.shape.clone();
        let (painter, hearing) = (None, None);
        let mut shot = Shot { model, draft, stats, shape, pose, window, head, painter, track, hearing };
        if let Some(generator) = generator {
            let mut scratch = Scratch::default();
            let pncc = shot.pncc_in_window(&shot.pose, shot.window, &Look::default(), &mut scratch)?;
            let picture = shot.draft.picture().crop(shot.window, CROP, CROP, Filter::Area);
            shot.painter = Some(Arc::new(Painter::new(generator, &picture, &pncc, shot.model.model())?));
        }
        Ok(shot)
    }

    /// The same with a sound, which only a generator that listens ([`Shot::listens`]) hears; without one it is given zeros.
    pub fn hearing(self, hearing: Option<Hearing>) -> Shot {
        Shot { hearing, ..self }
    }

    /// Whether the generator listens to sound.
    pub fn listens(&self) -> bool {
        self.painter.as_ref().is_some_and(|p| p.listens())
    }

    /// The same reference driven by another track, without sound; what was prepared of the reference is shared.
    pub fn driven_by(&self, track: Track) -> Shot {
        Shot {
            model: self.model.clone(),
            draft: self.draft.clone(),
            pose: self.pose.clone(),
            shape: self.shape.clone(),
            stats: self.stats.clone(),
            window: self.window,
            head: self.head,
            painter: self.painter.clone(),
            track,
            hearing: None,
        }
    }

    /// Number of driving frames.
    pub fn len(&self) -> usize {
        self.track.poses.len()
    }

    /// Never true for a shot made by [`Shot::new`].
    pub fn is_empty(&self) -> bool {
        self.track.poses.is_empty()
    }

    /// Frames that a generator has computed again in fp32, since they were not numbers in its engine's precision.
    pub fn repeated(&self) -> usize {
        self.painter.as_ref().map_or(0, |p| p.repeated())
    }

    /// The driving track.
    pub fn track(&self) -> &Track {
        &self.track
    }

    /// The reference picture.
    pub fn reference(&self) -> &Frame {
        self.draft.picture()
    }

    /// Width and height of what a view of a plate of this size delivers.
    pub fn size_of(view: View, width: usize, height: usize) -> (usize, usize) {
        if view == View::Crop { (CROP, CROP) } else { (width, height) }
    }

    /// The driver's pose and expression in frame `index`.
    fn driver(&self, index: usize) -> Result<&FramePose> {
        let outside = || Error::Usage(format!("there is no driving frame {index}: the shot has {}", self.len()));
        self.track.poses.get(index).ok_or_else(outside)
    }

    /// Pose and expression that driving frame `index` gives the reference under `look`.
    ///
    /// # Errors
    /// [`Error::Usage`] when `index` lies outside the track.
    pub fn pose(&self, index: usize, look: &Look) -> Result<FramePose> {
        let driver = self.driver(index)?;
        let mut pose = retarget(&self.stats, &self.track.stats, index, driver, &look.retarget)?;
        if look.frontalise != 0.0 {
            let q = UnitQuaternion::from_rotation_matrix(&pose.camera.rotation);
            let front = q.try_slerp(&UnitQuaternion::identity(), look.frontalise, 1e-6);
            // No way is the shortest for a head seen from behind; it stays.
            pose.camera.rotation = front.map_or(pose.camera.rotation, Rotation3::from);
        }
        pose.camera = pose.camera.turned(look.turn);
        Ok(pose)
    }

    fn shape(&self, look: &Look) -> Vec<f32> {
        let mix = look.identity_mix;
        // A motion that came without identity has none to mix in; whoever asks for it is told when the shot is made.
        if mix == 0.0 || self.track.shape.len() != self.shape.len() {
            return self.shape.clone();
        }
        self.shape.iter().zip(&self.track.shape).map(|(&r, &d)| r + mix * (d - r)).collect()
    }

    /// The mesh of a pose under a look, in the pixels of `camera`: every picture is made of one.
    fn mesh_into(&self, pose: &FramePose, camera: &ImageCamera, look: &Look, scratch: &mut Scratch) -> Result<()> {
        self.model.identity_into(&self.shape(look), &mut scratch.identity)?;
        let Scratch { identity, mesh, rest, .. } = scratch;
        if look.rig.is_default() {
            return self.model.mesh_into(identity, &pose.expr, camera, mesh);
        }
        // The face at rest is the one that retargeting falls back to.
        let home = if look.retarget.self_reenactment { &self.track.stats } else { &self.stats };
        let rig = self.model.rig()?;
        rig.mesh_into(&self.model, identity, &pose.expr, &home.neutral_expr, camera, &look.rig, rest, mesh)
    }

    /// Renders driving frame `index` (0 is the track's first); `look` gives the settings of every frame, since a
    /// generator also sees the two frames before.
    ///
    /// # Errors
    /// [`Error::Usage`] outside the track; [`Error::Model`] when [`Quality::Full`] is asked for without a generator.
    pub fn render<'a>(
        &self,
        index: usize,
        look: &dyn Fn(usize) -> Look,
        scratch: &'a mut Scratch,
    ) -> Result<&'a Frame> {
        self.render_while(index, look, &|| Ok(()), scratch)
    }

    /// As [`Shot::render`]; `go_on` is asked again and again, also inside a generator, by the calling thread.
    ///
    /// # Errors
    /// As [`Shot::render`]; those of `go_on`, at once.
    pub fn render_while<'a>(
        &self,
        index: usize,
        look: &dyn Fn(usize) -> Look,
        go_on: &dyn Fn() -> Result<()>,
        scratch: &'a mut Scratch,
    ) -> Result<&'a Frame> {
        let now = look(index);
        scratch.warped = None;
        let pose = self.pose(index, &now)?;
        self.mesh_into(&pose, &pose.camera, &now, scratch)?;
        let plate = self.draft.picture();
        let mut result = scratch.result.take().unwrap_or_else(|| Frame::new(1, 1));

        if now.view == View::Pncc {
            let model = self.model.model();
            let vertices = &scratch.mesh.vertices;
            let rendered = scratch.raster.render(vertices, &model.triangles, plate.width, plate.height)?;
            rendered.pncc_into(&model.ncc, &mut scratch.bytes)?;
            view::rgb(&mut result, plate.width, plate.height, &scratch.bytes);
            return Ok(scratch.result.insert(result));
        }

        // Painting renders other meshes; what is drawn over the result is this frame's.
        let landmarks: Vec<[f32; 3]> = match now.view {
            View::Landmarks => {
                self.model.model().landmarks.iter().map(|&v| scratch.mesh.vertices[v as usize]).collect()
            }
            _ => Vec::new(),
        };
        go_on()?;
        self.draft.render(&scratch.mesh, &now.mask, &mut scratch.draft, &mut scratch.out)?;
        match now.view {
            View::Flow => view::flow(&mut result, plate.width, plate.height, &scratch.out.flow),
            View::Mask => view::grey(&mut result, plate.width, plate.height, &scratch.out.mask),
            _ => {
                result.clone_from(plate);
                match now.quality {
                    Quality::Draft => {
                        if scratch.keeps_warped {
                            let window = self.window_at(index, look)?;
                            scratch.warped = Some(self.warp_by_draft(window, scratch));
                        }
                        result.paste_masked(&scratch.out.picture, &scratch.out.mask, 0, 0)?;
                    }
                    Quality::Full => self.paint(index, look, go_on, &mut result, scratch)?,
                }
            }
        }
        match now.view {
            View::Crop => result = result.crop(self.window_at(index, look)?, CROP, CROP, Filter::Area),
            View::Landmarks => {
                view::points(&mut result, landmarks.into_iter());
            }
            View::Confidence => view::tint(&mut result, &scratch.out.mask, self.track.confidence[index]),
            _ => {}
        }
        Ok(scratch.result.insert(result))
    }

    /// The generator's picture, put into the plate.
    fn paint(
        &self,
        index: usize,
        look: &dyn Fn(usize) -> Look,
        go_on: &dyn Fn() -> Result<()>,
        plate: &mut Frame,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let painter = self.painter.as_ref().ok_or_else(|| {
            Error::Model("quality 'full' needs a generator: import one (headgan models import headgan-official --from DIR) or choose --quality draft".into())
        })?;
        let frames = painter.frames();
        let window = self.window_at(index, look)?;
        let (mut pncc, mut meshes) = (Vec::with_capacity(frames), Vec::new());
        for back in (0..frames).rev() {
            // Before the first frame there is only the first frame.
            let i = index.saturating_sub(back);
            let then = look(i);
            let pose = self.pose(i, &then)?;
            if painter.takes_meshes() {
                self.mesh_into(&pose, &in_window(&pose.camera, window), &then, scratch)?;
                meshes.extend_from_slice(&scratch.mesh.vertices);
            } else {
                pncc.push(self.pncc_in_window(&pose, window, &then, scratch)?);
            }
        }
        let stack = if painter.takes_meshes() { Stack::Meshes(&meshes) } else { Stack::Pncc(&pncc) };
        // Warping leaves the flow that a generator takes.
        let base = painter.composes().then(|| self.warp_by_draft(window, scratch));
        if painter.wants_prior() && base.is_none() {
            let size = (plate.width, plate.height);
            flow_in_window(&scratch.out.flow, size, window, self.window, &mut scratch.prior);
        }
        let prior = painter.wants_prior().then_some(&scratch.prior[..]);
        let sound: Option<[f32; ALL]> = self
            .hearing
            .as_ref()
            .filter(|_| painter.listens())
            .map(|hearing| hearing.heard.at(hearing.first + index as f64 - f64::from(look(index).audio_offset)));
        let patch = painter.paint(stack, sound.as_ref().map(|s| &s[..]), prior, go_on, &mut scratch.painting)?;
        match base {
            // What it changes goes onto Draft's picture, which is as sharp as the plate and has a mouth that opens.
            Some(base) => {
                add_change(&mut scratch.out.picture, patch, &base.to_display(Color::Srgb), window);
                plate.paste_masked(&scratch.out.picture, &scratch.out.mask, 0, 0)?;
            }
            None => {
                if window != self.window {
                    cover_home(plate, &scratch.out, self.window, window)?;
                }
                put_back(plate, patch, &scratch.out, window)?;
            }
        }
        scratch.warped = scratch.painting.take_warped();
        Ok(())
    }

    /// The reference's crop under the flow of Draft's last output, seen in `window`.
    fn warp_by_draft(&self, window: Window, scratch: &mut Scratch) -> Frame {
        let plate = self.draft.picture();
        flow_in_window(&scratch.out.flow, (plate.width, plate.height), window, self.window, &mut scratch.prior);
        let flow = &scratch.prior;
        plate.crop(self.window, CROP, CROP, Filter::Area).warp(CROP, CROP, |x, y| {
            let [dx, dy] = flow[y * CROP + x];
            (x as f32 + dx, y as f32 + dy)
        })
    }

    /// The square that a generator paints in a frame, in pixels of the plate: the reference's, taken along where the head
    /// travels out of it.
    ///
    /// # Errors
    /// As [`Shot::pose`].
    pub fn window_at(&self, index: usize, look: &dyn Fn(usize) -> Look) -> Result<Window> {
        let home = Square::around(&self.pose.camera, &self.head);
        let around = crop::neighbours(index, self.len());
        let first = *around.start();
        let squares = around.map(|i| Ok(Square::around(&self.pose(i, &look(i))?.camera, &self.head)));
        let squares = squares.collect::<Result<Vec<Square>>>()?;
        let path = crop::path_at(&home, index, self.len(), |i| squares[i - first]);
        if path == home {
            return Ok(self.window);
        }
        Ok(self.window_moved(&home, &path))
    }

    /// The square around the driver's face in driving frame `index`, in that frame's pixels: it lies around that face as the
    /// generator's does around the reference's.
    ///
    /// # Errors
    /// [`Error::Usage`] when `index` lies outside the track.
    pub fn driver_window(&self, index: usize) -> Result<Window> {
        let home = Square::around(&self.pose.camera, &self.head);
        Ok(self.window_moved(&home, &Square::around(&self.driver(index)?.camera, &self.head)))
    }

    /// The reference's window, taken from a head in one square to a head in another.
    fn window_moved(&self, home: &Square, path: &Square) -> Window {
        let k = path.side / home.side;
        let side = self.window.width * k;
        // What the window's middle is off the square's grows with it.
        let middle = |start: f64, from: f64, to: f64| to + k * (start + 0.5 * self.window.width - from);
        let (x, y) = (middle(self.window.x0, home.x, path.x), middle(self.window.y0, home.y, path.y));
        Window::square(x - 0.5 * side, y - 0.5 * side, side)
    }

    /// Which pixels of the crop around driving frame `index` ([`Shot::window_at`]) show the face's mesh, row by row.
    ///
    /// # Errors
    /// As [`Shot::pose`].
    pub fn silhouette(&self, index: usize, look: &dyn Fn(usize) -> Look, scratch: &mut Scratch) -> Result<Vec<bool>> {
        let (now, window) = (look(index), self.window_at(index, look)?);
        let pose = self.pose(index, &now)?;
        self.mesh_into(&pose, &in_window(&pose.camera, window), &now, scratch)?;
        let rendered = scratch.raster.render(&scratch.mesh.vertices, &self.model.model().triangles, CROP, CROP)?;
        let mut out = vec![false; CROP * CROP];
        rendered.for_each_hit(|pixel, _| out[pixel] = true);
        Ok(out)
    }

    /// PNCC of a pose in a window, 3 floats per pixel.
    fn pncc_in_window(&self, pose: &FramePose, window: Window, look: &Look, scratch: &mut Scratch) -> Result<Vec<f32>> {
        self.mesh_into(pose, &in_window(&pose.camera, window), look, scratch)?;
        let model = self.model.model();
        let rendered = scratch.raster.render(&scratch.mesh.vertices, &model.triangles, CROP, CROP)?;
        let mut out = Vec::new();
        rendered.pncc_f32_into(&model.ncc, &mut out)?;
        Ok(out)
    }
}

/// The square that a generator paints: 2.2 times the face's larger side, the face a little below its centre.
fn window_around(mesh: &Mesh) -> Result<Window> {
    let (mut lo, mut hi) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
    for v in &mesh.vertices {
        for k in 0..2 {
            lo[k] = lo[k].min(v[k]);
            hi[k] = hi[k].max(v[k]);
        }
    }
    let side = 2.2 * f64::from((hi[0] - lo[0]).max(hi[1] - lo[1]));
    if !side.is_finite() || side < 4.0 {
        return Err(Error::NoFace("the face of the reference is too small to work with; use a larger picture".into()));
    }
    let x = 0.5 * f64::from(lo[0] + hi[0]) + 0.5;
    let y = 0.5 * f64::from(lo[1] + hi[1]) + 0.5 - 0.06 * side;
    Ok(Window::square(x - 0.5 * side, y - 0.5 * side, side))
}

/// A camera of the plate as the window's raster of [`CROP`] pixels sees it.
fn in_window(camera: &ImageCamera, window: Window) -> ImageCamera {
    let k = CROP as f64 / window.width;
    // Windows count from a pixel's edge, meshes from its centre.
    let offset = [((0.5 - window.x0) * k - 0.5) as f32, ((0.5 - window.y0) * k - 0.5) as f32];
    camera.mapped(k as f32, offset)
}

/// A flow between pixels of the plate as flow between two windows' rasters of [`CROP`] pixels: where each pixel of
/// `window` comes from in `home`, relative.
fn flow_in_window(
    flow: &[[f32; 2]],
    (width, height): (usize, usize),
    window: Window,
    home: Window,
    out: &mut Vec<[f32; 2]>,
) {
    let axis = |start: f64, side: f64| (start, side / CROP as f64);
    let ((x0, kx), (y0, ky)) = (axis(window.x0, window.width), axis(window.y0, window.height));
    let ((hx0, hkx), (hy0, hky)) = (axis(home.x0, home.width), axis(home.y0, home.height));
    // Windows count from a pixel's edge, the flow from its centre.
    let plate = |p: usize, start: f64, k: f64| start + (p as f64 + 0.5) * k - 0.5;
    let there = |q: f64, start: f64, k: f64| (q + 0.5 - start) / k - 0.5;
    let taps = |q: f64, n: usize| {
        let q = q.clamp(0.0, (n - 1) as f64);
        let i = (q as usize).min(n.saturating_sub(2));
        (i, (i + 1).min(n - 1), (q - i as f64) as f32)
    };
    let columns: Vec<_> = (0..CROP).map(|x| plate(x, x0, kx)).map(|q| (q, taps(q, width))).collect();
    out.clear();
    for y in 0..CROP {
        let qy = plate(y, y0, ky);
        let (top, bottom, v) = taps(qy, height);
        for (x, &(qx, (left, right, u))) in columns.iter().enumerate() {
            let at = |row: usize, column: usize| flow[row * width + column];
            let [a, b, c, d] = [at(top, left), at(top, right), at(bottom, left), at(bottom, right)];
            let [fx, fy] = [0, 1].map(|k| {
                let (up, down) = (a[k] + u * (b[k] - a[k]), c[k] + u * (d[k] - c[k]));
                f64::from(up + v * (down - up))
            });
            let (rx, ry) = (there(qx + fx, hx0, hkx), there(qy + fy, hy0, hky));
            out.push([(rx - x as f64) as f32, (ry - y as f64) as f32]);
        }
    }
}

/// How far a painted crop covers the plate's pixel `i` along one axis: falls to zero towards the window's border.
fn feather(i: usize, start: f64, side: f64) -> f32 {
    /// Share of the crop's side over which it falls.
    const FEATHER: f64 = 0.05;
    let t = (i as f64 + 0.5 - start) / side;
    (t.min(1.0 - t) / FEATHER).clamp(0.0, 1.0) as f32
}

/// Draft's picture where the window at home would be painted and the one that has left it is not: the head that the plate
/// shows must not stay behind.
fn cover_home(plate: &mut Frame, draft: &DraftOutput, home: Window, window: Window) -> Result<()> {
    let coverage = |w: &Window, x: usize, y: usize| feather(x, w.x0, w.width).min(feather(y, w.y0, w.height));
    let mut soft = Vec::with_capacity(draft.mask.len());
    for y in 0..plate.height {
        for x in 0..plate.width {
            let mask = draft.mask[y * plate.width + x];
            let (wanted, painted) = (mask * coverage(&home, x, y), mask * coverage(&window, x, y));
            // Together with what is painted over it, as much as at home.
            soft.push(if wanted > painted { (wanted - painted) / (1.0 - painted) } else { 0.0 });
        }
    }
    plate.paste_masked(&draft.picture, &soft, 0, 0)
}

/// The plate's pixels whose centres lie in a window, columns and rows, and where they lie in the window's raster of
/// [`CROP`] pixels; `None` where there are none.
fn pixels_of(window: Window, plate: &Frame) -> Option<(Range<usize>, Range<usize>, Window)> {
    let span = |start: f64, size: usize| {
        let first = (start - 0.5).ceil().clamp(0.0, size as f64);
        let end = (start + window.width - 0.5).ceil().clamp(first, size as f64);
        first as usize..end as usize
    };
    let (columns, rows) = (span(window.x0, plate.width), span(window.y0, plate.height));
    let k = CROP as f64 / window.width;
    let part = Window {
        x0: (columns.start as f64 - window.x0) * k,
        y0: (rows.start as f64 - window.y0) * k,
        width: columns.len() as f64 * k,
        height: rows.len() as f64 * k,
    };
    (!columns.is_empty() && !rows.is_empty()).then_some((columns, rows, part))
}

/// Adds what a generator changed of `base` to Draft's picture; both are crops of `window` as a screen shows them. It fades
/// towards the window's border.
fn add_change(draft: &mut Frame, painted: &Frame, base: &Frame, window: Window) {
    let Some((columns, rows, part)) = pixels_of(window, draft) else { return };
    let (w, h) = (columns.len(), rows.len());
    let mut change = painted.clone();
    for (rgba, base) in change.data.chunks_exact_mut(4).zip(base.data.chunks_exact(4)) {
        rgba[..3].iter_mut().zip(base).for_each(|(v, b)| *v -= b.clamp(0.0, 1.0));
    }
    let change = change.crop(part, w, h, Filter::Lanczos3);
    let region = Window { x0: columns.start as f64, y0: rows.start as f64, width: w as f64, height: h as f64 };
    let before = draft.crop(region, w, h, Filter::Area);
    let mut shown = before.to_display(Color::Srgb).into_owned();
    let fades: Vec<f32> = columns.clone().map(|x| feather(x, window.x0, window.width)).collect();
    let lines = shown.data.chunks_exact_mut(4 * w).zip(change.data.chunks_exact(4 * w));
    for ((line, change), y) in lines.zip(rows.clone()) {
        let down = feather(y, window.y0, window.width);
        for ((rgba, change), fade) in line.chunks_exact_mut(4).zip(change.chunks_exact(4)).zip(&fades) {
            rgba[..3].iter_mut().zip(change).for_each(|(v, c)| *v += down.min(*fade) * c);
        }
    }
    shown.convert_color(draft.color);
    for (line, y) in shown.data.chunks_exact(4 * w).zip(rows) {
        let start = 4 * (y * draft.width + columns.start);
        draft.data[start..start + 4 * w].copy_from_slice(line);
    }
}

/// Blends a painted crop into the plate through Draft's mask, which falls to zero towards the crop's border. A generator
/// knows no alpha: that is Draft's as well.
fn put_back(plate: &mut Frame, patch: &Frame, draft: &DraftOutput, window: Window) -> Result<()> {
    let Some((columns, rows, part)) = pixels_of(window, plate) else { return Ok(()) };
    let (w, h) = (columns.len(), rows.len());
    let edge = |i: usize, start: f64| feather(i, start, window.width);
    let mut soft = Vec::with_capacity(w * h);
    for y in rows.clone() {
        let down = edge(y, window.y0);
        soft.extend(columns.clone().map(|x| draft.mask[y * plate.width + x] * down.min(edge(x, window.x0))));
    }
    let mut patch = patch.crop(part, w, h, Filter::Lanczos3);
    for (row, y) in patch.data.chunks_exact_mut(4 * w).zip(rows.clone()) {
        for (rgba, x) in row.chunks_exact_mut(4).zip(columns.clone()) {
            rgba[3] = draft.picture.pixel(x, y)[3];
        }
    }
    plate.paste_masked(&patch, &soft, columns.start as i64, rows.start as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Embedded, cpu, shape};
    use crate::nets::generator;
    use crate::reenact::draft::DraftModel;
    use crate::shot::{Head, Motion, TrackSettings};
    use crate::synthetic;
    use crate::testing::random_weights;
    use crate::weights::{Array, Weights};

    const SIDE: usize = 160;

    fn generator(threads: usize) -> Generator {
        generator_of(threads, false, |_| {})
    }

    /// With random weights that `change` has changed; `own`: with prior and composition.
    fn generator_of(threads: usize, own: bool, change: impl Fn(&mut Weights)) -> Generator {
        let config = generator::Config {
            ngf: 2,
            levels: 2,
            spade: 16,
            frames: 3,
            audio: 0,
            prior: own,
            compose: own,
            sound_at_mouth: false,
        };
        let layers = shape::layers(|ops| {
            let reference = generator::reference(ops, &config, &[1, 6, 64, 64]);
            generator::forward(ops, &config, &reference, &[1, 9, 64, 64], None, None);
        });
        let mut weights = random_weights(&layers, 3);
        change(&mut weights);
        let options = cpu::Options { threads, ..cpu::Options::default() };
        Generator {
            engine: Embedded::new(Arc::new(weights), &options).into(),
            config,
            name: "random".into(),
            blake3: String::new(),
            licence: String::new(),
        }
    }

    fn shot(frames: usize, generator: Option<Generator>) -> Shot {
        shot_of(frames, generator, |_| {})
    }

    fn shot_of(frames: usize, generator: Option<Generator>, change: impl Fn(&mut Frame)) -> Shot {
        shot_moving(frames, generator, change, |_, fit| fit)
    }

    fn shot_moving(
        frames: usize,
        generator: Option<Generator>,
        change: impl Fn(&mut Frame),
        walk: impl Fn(usize, Fit) -> Fit,
    ) -> Shot {
        let model = Arc::new(Prepared::new(synthetic::head()).unwrap());
        let head = model.model();
        let draft = Arc::new(DraftModel::new(&head.triangles, &head.ncc, &head.landmarks).unwrap());
        let (mut portrait, fit) = synthetic::demo_reference(SIDE).unwrap();
        change(&mut portrait);
        let driving = synthetic::demo_driving(SIDE, frames).unwrap();
        let fits: Vec<Fit> = driving.enumerate().map(|(i, item)| walk(i, item.unwrap().1)).collect();
        let motion = Motion::of_fits(&fits, (SIDE, SIDE), "synthetic");
        let track = Track::new(&motion, &Head::of(head), &TrackSettings::default()).unwrap();
        Shot::with_model(model.clone(), draft, portrait, &fit, track, generator).unwrap()
    }

    fn look(quality: Quality, view: View) -> Look {
        Look { quality, view, ..Look::default() }
    }

    #[test]
    fn frames_do_not_depend_on_the_order() {
        for (quality, frames) in [(Quality::Draft, 12), (Quality::Full, 5)] {
            let shot = shot(frames, (quality == Quality::Full).then(|| generator(2)));
            let look = look(quality, View::Result);
            let mut scratch = Scratch::default();
            let in_order: Vec<Frame> =
                (0..frames).map(|i| shot.render(i, &|_| look.clone(), &mut scratch).unwrap().clone()).collect();
            for i in (0..frames).rev() {
                let mut fresh = Scratch::default();
                assert!(*shot.render(i, &|_| look.clone(), &mut scratch).unwrap() == in_order[i], "{quality:?} {i}");
                assert!(*shot.render(i, &|_| look.clone(), &mut fresh).unwrap() == in_order[i], "{quality:?} {i}");
            }
            assert!(in_order[0] != in_order[frames - 1], "nothing moves");
        }
    }

    #[test]
    fn the_plate_outside_the_mask_is_untouched() {
        for quality in [Quality::Draft, Quality::Full] {
            let shot = shot(8, (quality == Quality::Full).then(|| generator(2)));
            let (result, mask) = (look(quality, View::Result), look(quality, View::Mask));
            let mut scratch = Scratch::default();
            let picture = shot.render(7, &|_| result.clone(), &mut scratch).unwrap().clone();
            let mask = shot.render(7, &|_| mask.clone(), &mut scratch).unwrap();
            let (mut outside, mut changed) = (0, 0);
            for (i, m) in mask.data.chunks_exact(4).enumerate() {
                let (a, b) = (&picture.data[4 * i..4 * i + 4], &shot.reference().data[4 * i..4 * i + 4]);
                if m[0] == 0.0 {
                    outside += 1;
                    assert_eq!(a, b, "{quality:?} pixel {i}");
                } else if a != b {
                    changed += 1;
                }
            }
            assert!(outside > 100 && changed > 1000, "{quality:?}: {outside} outside, {changed} changed");
        }
    }

    #[test]
    fn controls_turn_and_strengths_still() {
        let shot = shot(10, None);
        let still = RetargetSettings { motion: 0.0, pose: 0.0, expression: 0.0, ..RetargetSettings::default() };
        let frozen = Look { retarget: still, ..Look::default() };
        let a = shot.pose(2, &frozen).unwrap();
        let b = shot.pose(9, &frozen).unwrap();
        assert!((a.camera.euler().yaw - b.camera.euler().yaw).abs() < 1e-2);
        assert!(a.expr.iter().zip(&b.expr).all(|(x, y)| (x - y).abs() < 1e-5));
        let turned = Look { turn: Euler { yaw: 10.0, ..Euler::default() }, ..frozen.clone() };
        assert!((shot.pose(2, &turned).unwrap().camera.euler().yaw - a.camera.euler().yaw - 10.0).abs() < 0.05);
        let front = Look { frontalise: 1.0, ..frozen };
        let e = shot.pose(2, &front).unwrap().camera.euler();
        assert!(e.yaw.abs() + e.pitch.abs() + e.roll.abs() < 0.1, "{e:?}");
        assert!(shot.pose(10, &Look::default()).is_err());
    }

    /// The rig's settings reach whatever is made of a mesh.
    #[test]
    fn regions_and_expressions_reach_every_picture() {
        use crate::morphable::Expression;
        let shot = shot(8, Some(generator(1)));
        let mut scratch = Scratch::default();
        let mut differ = |plain: Look| {
            let mut still = plain.clone();
            still.rig.regions = [0.0; 4];
            let smile = Look { rig: RigSettings::of(Expression::Smile, 1.0), ..plain.clone() };
            let mut render = |look: &Look| shot.render(7, &|_| look.clone(), &mut scratch).unwrap().clone();
            let pictures = [render(&plain), render(&still), render(&smile)];
            assert!(
                pictures[0] != pictures[1] && pictures[0] != pictures[2] && pictures[1] != pictures[2],
                "{plain:?}"
            );
        };
        for view in [View::Result, View::Pncc, View::Landmarks, View::Flow] {
            differ(look(Quality::Draft, view));
        }
        differ(look(Quality::Full, View::Crop));
    }

    #[test]
    fn a_still_look_leaves_the_reference_alone() {
        let shot = shot(10, None);
        let still = |more: &[&str]| {
            let mut values = crate::controls::Values::new();
            let zero = ["motion_strength=0", "pose_strength=0", "expression_strength=0"];
            zero.iter().chain(more).for_each(|c| values.assign(c).unwrap());
            Look::from_controls(&values.resolve(0.0), false)
        };
        let mut scratch = Scratch::default();
        for more in
            [&[][..], &["region_mouth=0.5"], &["relative_expression=true"], &["smoothing=0", "fill_mouth=false"]]
        {
            let look = still(more);
            assert!(look.is_still(), "{more:?}");
            let picture = shot.render(7, &|_| look.clone(), &mut scratch).unwrap();
            let pairs = picture.data.iter().zip(&shot.reference().data);
            let off = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // Less than what 8 bits can show.
            assert!(off < 0.5 / 255.0, "{more:?}: {off}");
        }
        for more in ["yaw_offset=1", "expr_smile=0.1", "view=mask", "quality=full", "frontalise=1", "identity_mix=0.5"]
        {
            assert!(!still(&[more]).is_still(), "{more}");
        }
        assert!(!Look::default().is_still());
    }

    /// What was prepared of a reference serves any track.
    #[test]
    fn another_track_drives_the_same_reference() {
        let (short, long) = (shot(4, None), shot(10, None));
        let other = short.driven_by(long.track().clone());
        let look = look(Quality::Draft, View::Result);
        let render = |shot: &Shot| shot.render(8, &|_| look.clone(), &mut Scratch::default()).unwrap().clone();
        assert!(render(&other) == render(&long));
    }

    #[test]
    fn regions_at_0_are_the_face_at_rest() {
        let shot = shot(10, None);
        let mut scratch = Scratch::default();
        let mut render = |look: &Look| shot.render(8, &|_| look.clone(), &mut scratch).unwrap().clone();
        for same in [false, true] {
            let look = |controls: &[&str]| {
                let mut values = crate::controls::Values::new();
                controls.iter().for_each(|c| values.assign(c).unwrap());
                Look::from_controls(&values.resolve(0.0), same)
            };
            let regions = look(&["region_mouth=0", "region_jaw=0", "region_eyes=0", "region_brows=0"]);
            let (a, b) = (render(&regions), render(&look(&["expression_strength=0"])));
            let off = a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 0.02, "{off}");
            assert!(a != render(&look(&[])));
            assert_eq!(look(&["region_head=0"]), look(&["motion_strength=0", "pose_strength=0"]));
        }
    }

    #[test]
    fn full_needs_a_generator_and_a_warm_one_allocates_no_tensor() {
        let draft_only = shot(2, None);
        let full = look(Quality::Full, View::Result);
        let error = draft_only.render(0, &|_| full.clone(), &mut Scratch::default()).unwrap_err();
        assert_eq!(error.exit_code(), 4);
        // One thread: with more, how many tasks hold a buffer at once is a matter of timing.
        let shot = shot(6, Some(generator(1)));
        let mut scratch = Scratch::default();
        let buffers = |scratch: &mut Scratch, i: usize| {
            shot.render(i, &|_| full.clone(), scratch).unwrap();
            shot.painter.as_ref().unwrap().buffers()
        };
        let warm = (buffers(&mut scratch, 0), buffers(&mut scratch, 1)).1;
        for i in 2..6 {
            assert_eq!(buffers(&mut scratch, i), warm, "frame {i} allocated a tensor");
        }
    }

    #[test]
    fn full_keeps_the_plates_code_and_alpha() {
        use crate::frame::Color;
        let full = look(Quality::Full, View::Result);
        let render = |change: &dyn Fn(&mut Frame)| {
            let shot = shot_of(3, Some(generator(1)), change);
            shot.render(2, &|_| full.clone(), &mut Scratch::default()).unwrap().clone()
        };
        let plain = render(&|_| {});
        // The same codes, whatever curve they are tagged with, give the same codes.
        let video = render(&|f| f.color = Color::Rec709);
        assert_eq!((video.color, &video.data), (Color::Rec709, &plain.data));
        let clear = render(&|f| f.data.chunks_exact_mut(4).for_each(|p| p[3] = 0.0));
        assert!(clear.data.chunks_exact(4).all(|p| p[3] == 0.0), "a transparent plate became opaque");
    }

    /// The reference's own head must not stay in the plate where a generator's window has left it.
    #[test]
    fn a_head_that_walks_leaves_none_behind() {
        let n = 60;
        let walking = shot_moving(
            n,
            Some(generator(1)),
            |_| {},
            |i, mut fit| {
                let dx = 3.0 * i as f32;
                (fit.roi.x0, fit.roi.x1) = (fit.roi.x0 + dx, fit.roi.x1 + dx);
                fit
            },
        );
        let mut scratch = Scratch::default();
        let mut render = |quality| {
            let look = look(quality, View::Result);
            walking.render(n - 1, &|_| look.clone(), &mut scratch).unwrap().clone()
        };
        let (full, draft) = (render(Quality::Full), render(Quality::Draft));
        let window = walking.window_at(n - 1, &|_| Look::default()).unwrap();
        let home = walking.window;
        assert!(window.x0 > home.x0 + 0.2 * home.width, "{window:?} {home:?}");
        // What home covers and the window has left, Draft alone has painted.
        let inside = |w: Window, x: usize, y: usize| feather(x, w.x0, w.width).min(feather(y, w.y0, w.height));
        let pixels = (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y)));
        let left = pixels.filter(|&(x, y)| inside(home, x, y) == 1.0 && inside(window, x, y) == 0.0);
        let mut covered = 0;
        for (x, y) in left {
            assert_eq!(full.pixel(x, y), draft.pixel(x, y), "{x}, {y}");
            covered += usize::from(draft.pixel(x, y) != walking.reference().pixel(x, y));
        }
        assert!(covered > 500, "{covered}");
    }

    /// A driver who walks through the picture: the window goes along, so that the generator always sees the whole head,
    /// and the head walks in the plate all the same.
    #[test]
    fn the_window_follows_a_head_that_walks() {
        let n = 60;
        let still = shot(n, None);
        let walking = shot_moving(
            n,
            None,
            |_| {},
            |i, mut fit| {
                let dx = 3.0 * i as f32;
                (fit.roi.x0, fit.roi.x1) = (fit.roi.x0 + dx, fit.roi.x1 + dx);
                fit
            },
        );
        let look = |_: usize| Look::default();
        let mut scratch = Scratch::default();
        let mut covered = |shot: &Shot, i: usize, window: Window| {
            let pose = shot.pose(i, &Look::default()).unwrap();
            let pncc = shot.pncc_in_window(&pose, window, &Look::default(), &mut scratch).unwrap();
            pncc.chunks_exact(3).filter(|p| p.iter().any(|v| *v > 0.0)).count()
        };
        for i in 0..n {
            assert_eq!(still.window_at(i, &look).unwrap(), still.window, "frame {i}");
            let window = walking.window_at(i, &look).unwrap();
            let (whole, seen) = (covered(&still, i, still.window), covered(&walking, i, window));
            // The window may be another share of a pixel away.
            assert!(seen.abs_diff(whole) < whole / 50, "frame {i}: {seen} of {whole} pixels");
        }
        let last = covered(&walking, n - 1, walking.window);
        assert!(last < covered(&still, n - 1, still.window) * 9 / 10, "the walk does not leave the window");
        let x = |i: usize| walking.pose(i, &Look::default()).unwrap().camera.translation[0];
        assert!(x(n - 1) - x(0) > 100.0, "{} {}", x(0), x(n - 1));
    }

    /// Windows of other sizes, elsewhere in a plate of another size than a crop.
    #[test]
    fn the_meshs_flow_between_windows() {
        let (w, h) = (400, 300);
        // An affine flow, which bilinear reading leaves as it is.
        let there = |x: f64, y: f64| [1.1 * x - 0.2 * y + 5.0, 0.15 * x + 0.9 * y - 3.0];
        let flow: Vec<[f32; 2]> = (0..w * h)
            .map(|i| {
                let (x, y) = ((i % w) as f64, (i / w) as f64);
                let [u, v] = there(x, y);
                [(u - x) as f32, (v - y) as f32]
            })
            .collect();
        let mut out = Vec::new();
        let (window, home) = (Window::square(40.3, 20.7, 150.0), Window::square(110.1, 5.2, 230.0));
        flow_in_window(&flow, (w, h), window, home, &mut out);
        let k = CROP as f64;
        for (x, y) in [(0, 0), (255, 255), (17, 200), (130, 91)] {
            let place = |p: usize, start: f64| start + (p as f64 + 0.5) * window.width / k - 0.5;
            let [u, v] = there(place(x, window.x0), place(y, window.y0));
            let back = |q: f64, start: f64| (q + 0.5 - start) * k / home.width - 0.5;
            let [rx, ry] = out[y * CROP + x].map(f64::from);
            let (ex, ey) = (back(u, home.x0) - x as f64, back(v, home.y0) - y as f64);
            assert!((rx - ex).abs() < 1e-3 && (ry - ey).abs() < 1e-3, "{x}, {y}: {rx} {ry}, not {ex} {ey}");
        }
        flow_in_window(&vec![[0.0; 2]; w * h], (w, h), window, window, &mut out);
        assert!(out.iter().flatten().all(|d| d.abs() < 1e-4));
    }

    /// A generator that only follows the mesh paints what Draft paints, also where the window goes along with a head
    /// that walks and comes nearer.
    #[test]
    fn a_generator_that_only_follows_the_mesh_is_draft() {
        let n = 60;
        let follower = generator_of(1, true, |w| {
            for layer in ["flow_network.dec_flow.1", "rendering_network.conv_img.1"] {
                for part in ["weight", "bias"] {
                    let name = format!("{layer}.{part}");
                    let shape = w.get(&name).unwrap().shape.clone();
                    let len = shape.iter().product();
                    w.insert(name, Array::f32(shape, vec![0.0; len]));
                }
            }
        });
        let moving = shot_moving(
            n,
            Some(follower),
            |_| {},
            |i, mut fit| {
                let (dx, k) = (1.5 * i as f32, 1.0 + 0.03 * i as f32);
                let (w, h) = (fit.roi.width() * k, fit.roi.height() * k);
                (fit.roi.x0, fit.roi.y0) = (fit.roi.x0 + dx, fit.roi.y0 - 0.2 * dx);
                (fit.roi.x1, fit.roi.y1) = (fit.roi.x0 + w, fit.roi.y0 + h);
                fit
            },
        );
        let mut scratch = Scratch::default();
        scratch.keep_warped();
        for i in [0, n / 2, n - 1] {
            let mut render = |quality| {
                let look = look(quality, View::Result);
                let picture = moving.render(i, &|_| look.clone(), &mut scratch).unwrap().clone();
                (picture, scratch.warped().unwrap().clone())
            };
            let ((full, by_full), (draft, by_draft)) = (render(Quality::Full), render(Quality::Draft));
            let window = moving.window_at(i, &|_| Look::default()).unwrap();
            assert!(i < n - 1 || (window != moving.window && window.width > 1.05 * moving.window.width), "{window:?}");
            let change = |a: &Frame, b: &Frame| {
                let sum: f32 = a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs()).sum();
                sum / a.data.len() as f32
            };
            let apart = by_full.data.iter().zip(&by_draft.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-3, "frame {i}: one flow, two pictures, {apart} apart");
            let (off, moved) = (change(&full, &draft), change(&draft, moving.reference()));
            assert!(off < 1e-5 && (i == 0 || moved > 1e-3), "frame {i}: {off} off, {moved} moved");
        }
    }

    /// A drawn head performs itself: its first frame, warped, comes near the frames that follow.
    #[test]
    fn the_warped_reference_is_near_the_truth() {
        use crate::evaluate::picture::Errors;
        let model = Arc::new(Prepared::new(synthetic::head()).unwrap());
        let head = model.model();
        let draft = Arc::new(DraftModel::new(&head.triangles, &head.ncc, &head.landmarks).unwrap());
        let clip: Vec<(Frame, Fit)> = synthetic::demo_driving(SIDE, 40).unwrap().map(|item| item.unwrap()).collect();
        let fits: Vec<Fit> = clip.iter().map(|(_, fit)| fit.clone()).collect();
        let motion = Motion::of_fits(&fits, (SIDE, SIDE), "synthetic");
        let track = Track::new(&motion, &Head::of(head), &TrackSettings::default()).unwrap();
        let shot = Shot::with_model(model.clone(), draft, clip[0].0.clone(), &fits[0], track, None).unwrap();
        let retarget = RetargetSettings { self_reenactment: true, ..RetargetSettings::default() };
        let look = Look { retarget, view: View::Crop, ..Look::default() };
        let mut scratch = Scratch::default();
        scratch.keep_warped();
        let (mut still, mut warped) = (0.0, 0.0);
        for i in (5..40).step_by(5) {
            shot.render(i, &|_| look.clone(), &mut scratch).unwrap();
            let by_flow = scratch.warped().unwrap().clone();
            let window = shot.window_at(i, &|_| look.clone()).unwrap();
            let crop = |frame: &Frame| frame.crop(window, CROP, CROP, Filter::Area);
            let mask = shot.silhouette(i, &|_| look.clone(), &mut scratch).unwrap();
            let error = |picture: &Frame| Errors::of(picture, &crop(&clip[i].0)).unwrap().within(&mask).unwrap();
            still += error(&crop(&clip[0].0));
            warped += error(&by_flow);
        }
        assert!(warped < 0.6 * still, "{warped} warped, {still} as it is");
    }

    #[test]
    fn the_silhouette_is_where_pncc_is() {
        let shot = shot(4, None);
        let (pncc, draft) = (look(Quality::Draft, View::Pncc), look(Quality::Draft, View::Crop));
        let mut scratch = Scratch::default();
        let picture = shot.render(3, &|_| pncc.clone(), &mut scratch).unwrap().clone();
        let crop = picture.crop(shot.window_at(3, &|_| pncc.clone()).unwrap(), CROP, CROP, Filter::Area);
        let mask = shot.silhouette(3, &|_| draft.clone(), &mut scratch).unwrap();
        let covered = mask.iter().filter(|m| **m).count();
        assert!((CROP * CROP / 10..CROP * CROP / 3).contains(&covered), "{covered}");
        let shown = |i: usize| crop.data[4 * i..4 * i + 3].iter().sum::<f32>() > 0.0;
        let off = mask.iter().enumerate().filter(|(i, m)| shown(*i) != **m).count();
        assert!(off < covered / 20, "{off} of {covered} at the outline");
        assert!(scratch.warped().is_none(), "nobody asked for it");
        // A head that the driver moves is seen in its own square.
        let (home, there) = (shot.window, shot.driver_window(3).unwrap());
        assert!(there != home && (there.width / home.width - 1.0).abs() < 0.5, "{there:?}");
        assert!(shot.driver_window(4).is_err() && shot.silhouette(4, &|_| draft.clone(), &mut scratch).is_err());
    }

    #[test]
    fn landmarks_are_the_same_in_draft_and_full() {
        let shot = shot(3, Some(generator(1)));
        let ink = |quality: Quality| -> Vec<bool> {
            let plain = look(quality, View::Result);
            let drawn = look(quality, View::Landmarks);
            let mut scratch = Scratch::default();
            let a = shot.render(2, &|_| plain.clone(), &mut scratch).unwrap().clone();
            let b = shot.render(2, &|_| drawn.clone(), &mut scratch).unwrap();
            a.data.chunks_exact(4).zip(b.data.chunks_exact(4)).map(|(a, b)| a != b).collect()
        };
        let (draft, full) = (ink(Quality::Draft), ink(Quality::Full));
        let count = draft.iter().filter(|d| **d).count();
        let differ = draft.iter().zip(&full).filter(|(a, b)| a != b).count();
        assert!(count > 200 && differ < count / 20, "{differ} of {count}");
    }
}
