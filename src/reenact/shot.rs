//! A shot: one reference picture performing a driving track, frame by frame, in any order.

use super::draft::{BankPicture, DraftOutput, DraftScratch, DraftShot};
use super::matte;
use super::networks::Networks;
use super::shot_spec::ReferenceUse;
use super::view;
use crate::audio::layout::ALL;
use crate::controls::choices::{MouthFrom, Quality, View};
use crate::error::Advice;
use crate::frame::{Color, Filter, Frame, Window};
use crate::morphable::retarget::{FramePose, ShotStats, retarget};
use crate::morphable::{Fit, ImageCamera, Mesh, PreparedMorphable, ShapeIdentity};
use crate::pncc::Rasterizer;
use crate::reenact::generator::Generator;
use crate::reenact::glances;
use crate::reenact::lids::Lids;
use crate::reenact::lips::Lips;
use crate::reenact::paste::{add_change, cover_home, put_back};
use crate::reenact::runner::{GeneratorRunner, RunnerScratch, Stack};
use crate::reenact::spoken::Spoken;
use crate::reenact::window::{flow_in_window, in_window, window_around};
use crate::reenact::windows::{self, PointPlaces, SeenWindow, WindowNetworks, WindowPainter};
use crate::reenact::{AudioInput, CROP, FrameSettings, LipInput};
use crate::shot::crop::{self, Square};
use crate::shot::{Head, Track};
use crate::{CancelToken, Error, Result};
use nalgebra::{Rotation3, UnitQuaternion};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// One reference and one driving track.
pub struct Shot {
    model: Arc<PreparedMorphable>,
    draft: Arc<DraftShot>,
    /// The reference's own pose and identity.
    pose: FramePose,
    shape: Vec<f32>,
    stats: ShotStats,
    /// The square around the reference's face that a generator paints, in the plate's pixels.
    window: Window,
    head: Head,
    /// Whether the generator's PNCC shows eyeballs.
    eyeballs: bool,
    runner: Option<Arc<GeneratorRunner>>,
    track: Track,
    /// Where the model's expressions name what lids do.
    lids: Option<Lids>,
    /// The same of lips.
    lips: Option<Lips>,
    audio: Option<AudioInput>,
    /// The mouth that follows a sound.
    spoken: Option<Spoken>,
    /// What paints eyes and mouth in [`Quality::Full`], instead of a generator.
    windows: Option<Arc<WindowPainter>>,
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
    painting: RunnerScratch,
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
    /// Prepares a reference picture with its fit. A generator is needed for [`Quality::Full`] only. With `uses` what is behind the person
    /// can hold still, where the picture's alpha or a network tells the person from it. The pictures of its bank are further ones of the person.
    ///
    /// # Errors
    /// [`Error::NoFace`] for a degenerate fit; [`Error::Model`] where fit and model do not go together.
    pub fn new(
        networks: &Networks,
        reference: Frame,
        fit: &Fit,
        track: Track,
        generator: Option<Generator>,
        uses: &ReferenceUse,
    ) -> Result<Shot> {
        let network = networks.person.as_ref().map(|(network, _)| network);
        let matte = |picture: &Frame, mesh: &Mesh| match &uses.matte {
            Some(settings) => matte::matte(network, uses.known_matte, picture, &mesh.vertices, settings),
            None => Ok(None),
        };
        Shot::build(
            networks.morphable.clone(),
            networks.draft.clone(),
            reference,
            fit,
            track,
            generator,
            matte,
            uses.bank,
        )
    }

    /// As [`Shot::new`], with the morphable model alone (for fits that come from elsewhere).
    ///
    /// # Errors
    /// As [`Shot::new`].
    pub fn with_model(
        model: Arc<PreparedMorphable>,
        draft: Arc<super::draft::DraftModel>,
        reference: Frame,
        fit: &Fit,
        track: Track,
        generator: Option<Generator>,
    ) -> Result<Shot> {
        Shot::build(model, draft, reference, fit, track, generator, |_, _| Ok(None), &[])
    }

    /// As [`Shot::with_model`], of a reference whose matte is known (0..1, row by row): what is behind the person holds still.
    ///
    /// # Errors
    /// As [`Shot::new`]; [`Error::Input`] for a matte of another size.
    pub fn with_known_matte(
        model: Arc<PreparedMorphable>,
        draft: Arc<super::draft::DraftModel>,
        reference: Frame,
        fit: &Fit,
        track: Track,
        matte: Vec<f32>,
    ) -> Result<Shot> {
        Shot::build(model, draft, reference, fit, track, None, |_, _| Ok(Some(matte)), &[])
    }

    #[allow(clippy::too_many_arguments)]
    fn build(
        model: Arc<PreparedMorphable>,
        draft: Arc<super::draft::DraftModel>,
        reference: Frame,
        fit: &Fit,
        track: Track,
        generator: Option<Generator>,
        matte: impl FnOnce(&Frame, &Mesh) -> Result<Option<Vec<f32>>>,
        bank: &[BankPicture],
    ) -> Result<Shot> {
        let pose = FramePose::from_fit(fit)?;
        let stats = ShotStats::new(std::slice::from_ref(&pose))?;
        let identity = model.identity(&fit.params.shape)?;
        let mut mesh = Mesh::default();
        model.mesh_into(&identity, &pose.expr, &pose.camera, &mut mesh)?;
        let window = window_around(&mesh)?;
        let head = Head::from_model(model.model());
        let matte = matte(&reference, &mesh)?;
        let mut draft = DraftShot::with_matte(draft, reference, mesh.clone(), matte)?;
        if !bank.is_empty() {
            draft = draft.with_bank(&mesh, bank.to_vec())?;
        }
        let draft = Arc::new(draft);
        let shape = fit.params.shape.clone();
        let (runner, audio) = (None, None);
        let eyeballs = generator.as_ref().is_some_and(|g| g.config.eyeballs);
        let lids = Lids::new(model.model(), &shape, &pose.expr, &track);
        let lips = Lips::new(model.model(), &shape, &pose.expr, &track);
        let mut shot = Shot {
            model,
            draft,
            stats,
            shape,
            pose,
            window,
            head,
            eyeballs,
            runner,
            track,
            lids,
            lips,
            audio,
            spoken: None,
            windows: None,
        };
        if let Some(generator) = generator {
            let mut scratch = Scratch::default();
            let pncc = shot.pncc_in_window(&shot.pose, shot.window, &FrameSettings::default(), &mut scratch)?;
            let picture = shot.draft.picture().crop(shot.window, CROP, CROP, Filter::Area);
            shot.runner = Some(Arc::new(GeneratorRunner::new(generator, &picture, &pncc, shot.model.model())?));
        }
        Ok(shot)
    }

    /// The same shot with audio. Only a generator that takes audio ([`Shot::takes_audio`]) uses it; without audio it is given zeros.
    pub fn with_audio(self, audio: Option<AudioInput>) -> Shot {
        Shot { audio, ..self }
    }

    /// The same shot with lips that follow a sound where [`FrameSettings::mouth_from`] says so.
    ///
    /// # Errors
    /// [`Error::Usage`] for a head without ARKit's shapes.
    pub fn with_lips(self, input: Option<LipInput>) -> Result<Shot> {
        let none = || {
            Error::usage(
                "a mouth that follows the sound needs a head with ARKit's shapes: fit the faces with the pack mediapipe or starter-face",
            )
        };
        let spoken = |input| Spoken::new(input, self.model.model(), self.lips.as_ref(), &self.track).ok_or_else(none);
        let spoken = input.map(spoken).transpose()?;
        Ok(Shot { spoken, ..self })
    }

    /// The same shot with networks that paint eyes and mouth: they, not a generator, are what [`Quality::Full`] is then.
    ///
    /// # Errors
    /// [`Error::Model`] where the morphable model does not act.
    pub fn with_windows(self, networks: Arc<WindowNetworks>) -> Result<Shot> {
        let mesh = self.reference_mesh()?;
        let painter = WindowPainter::new(networks, self.model.model(), self.draft.picture(), &mesh.vertices)?;
        Ok(Shot { windows: Some(Arc::new(painter)), ..self })
    }

    fn reference_mesh(&self) -> Result<Mesh> {
        let mut mesh = Mesh::default();
        let identity = self.model.identity(&self.shape)?;
        self.model.mesh_into(&identity, &self.pose.expr, &self.pose.camera, &mut mesh)?;
        Ok(mesh)
    }

    /// The windows of the reference's picture, in the order of [`Part::ALL`](super::windows::Part::ALL).
    ///
    /// # Errors
    /// [`Error::Model`] where the model has no such mesh.
    pub fn reference_windows(&self, places: &PointPlaces) -> Result<[Option<SeenWindow>; 3]> {
        Ok(windows::see(self.draft.picture(), &places.of(&self.reference_mesh()?.vertices)))
    }

    /// The windows of Draft's picture of driving frame `index`: what the networks that paint them are given.
    ///
    /// # Errors
    /// As [`Shot::render`].
    pub fn see_windows(
        &self,
        index: usize,
        settings: &FrameSettings,
        places: &PointPlaces,
        scratch: &mut Scratch,
    ) -> Result<[Option<SeenWindow>; 3]> {
        let pose = self.pose(index, settings)?;
        self.mesh_into(&pose, &pose.camera, settings, scratch)?;
        self.draft.render(&scratch.mesh, &settings.mask, &mut scratch.draft, &mut scratch.out)?;
        Ok(windows::see(&scratch.out.picture, &places.of(&scratch.mesh.vertices)))
    }

    /// Whether the generator, or what paints the mouth, takes audio.
    pub fn takes_audio(&self) -> bool {
        match &self.windows {
            Some(windows) => windows.takes_audio(),
            None => self.runner.as_ref().is_some_and(|p| p.takes_audio()),
        }
    }

    /// The same reference driven by another track, without sound; what was prepared of the reference is shared.
    pub fn with_track(&self, track: Track) -> Shot {
        let lids = Lids::new(self.model.model(), &self.shape, &self.pose.expr, &track);
        let lips = Lips::new(self.model.model(), &self.shape, &self.pose.expr, &track);
        Shot {
            lids,
            lips,
            model: self.model.clone(),
            draft: self.draft.clone(),
            pose: self.pose.clone(),
            shape: self.shape.clone(),
            stats: self.stats.clone(),
            window: self.window,
            head: self.head,
            eyeballs: self.eyeballs,
            runner: self.runner.clone(),
            track,
            audio: None,
            spoken: None,
            windows: self.windows.clone(),
        }
    }

    /// Whether the person is told from what is behind, so that this can hold still.
    pub fn has_layers(&self) -> bool {
        self.draft.has_layers()
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
        self.runner.as_ref().map_or(0, |p| p.repeated())
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
        let outside = || Error::usage(format!("there is no driving frame {index}: the shot has {}", self.len()));
        self.track.poses.get(index).ok_or_else(outside)
    }

    /// Pose and expression that driving frame `index` gives the reference under `settings`.
    ///
    /// # Errors
    /// [`Error::Usage`] when `index` lies outside the track.
    pub fn pose(&self, index: usize, settings: &FrameSettings) -> Result<FramePose> {
        let driver = self.driver(index)?;
        let (own, blink) = (&self.track.shape, settings.acting.blink);
        let mut driver = std::borrow::Cow::Borrowed(driver);
        if let Some(lids) = &self.lids {
            let (rotation, seen) = (driver.camera.rotation, driver.expr.clone());
            let expr = &mut driver.to_mut().expr;
            match settings.retarget.self_reenactment {
                true => lids.shut(own, blink, expr),
                false => {
                    // Before the lids, which follow the eyes.
                    glances::transfer(self.model.model(), &rotation, expr);
                    lids.transfer(&self.shape, own, &seen, blink, expr);
                }
            }
        }
        let itself = settings.retarget.self_reenactment;
        if settings.mouth_from == MouthFrom::Sound {
            let spoken = self.spoken.as_ref().ok_or_else(|| {
                Error::usage("the mouth shall follow the sound and there is none: choose an audio file")
            })?;
            spoken.speak(index, settings.audio_offset, itself, &self.shape, own, &mut driver.to_mut().expr);
        } else if let Some(lips) = self.lips.as_ref().filter(|_| !itself) {
            lips.transfer(&self.shape, own, &mut driver.to_mut().expr);
        }
        let mut pose = retarget(&self.stats, &self.track.stats, index, &driver, &settings.retarget)?;
        if settings.frontalise != 0.0 {
            let q = UnitQuaternion::from_rotation_matrix(&pose.camera.rotation);
            let front = q.try_slerp(&UnitQuaternion::identity(), settings.frontalise, 1e-6);
            // No way is the shortest for a head seen from behind; it stays.
            pose.camera.rotation = front.map_or(pose.camera.rotation, Rotation3::from);
        }
        pose.camera = pose.camera.turned(settings.turn);
        Ok(pose)
    }

    fn shape(&self, settings: &FrameSettings) -> Vec<f32> {
        let mix = settings.identity_mix;
        // A motion that came without identity has none to mix in; whoever asks for it is told when the shot is made.
        if mix == 0.0 || self.track.shape.len() != self.shape.len() {
            return self.shape.clone();
        }
        self.shape.iter().zip(&self.track.shape).map(|(&r, &d)| r + mix * (d - r)).collect()
    }

    /// The mesh of a pose under frame settings, in the pixels of `camera`: every picture is made from one.
    fn mesh_into(
        &self,
        pose: &FramePose,
        camera: &ImageCamera,
        settings: &FrameSettings,
        scratch: &mut Scratch,
    ) -> Result<()> {
        self.model.identity_into(&self.shape(settings), &mut scratch.identity)?;
        let Scratch { identity, mesh, rest, .. } = scratch;
        if settings.rig.is_default() && settings.acting.is_default() {
            return self.model.mesh_into(identity, &pose.expr, camera, mesh);
        }
        // The face at rest is the one that retargeting falls back to.
        let home = if settings.retarget.self_reenactment { &self.track.stats } else { &self.stats };
        let (mut expr, mut neutral) = (pose.expr.clone(), home.neutral_expr.clone());
        settings.acting.apply(self.model.model(), &pose.camera.rotation, &mut expr, &mut neutral)?;
        let rig = self.model.rig()?;
        rig.mesh_into(&self.model, identity, &expr, &neutral, camera, &settings.rig, rest, mesh)
    }

    /// Renders driving frame `index` (0 is the track's first); `settings` gives the settings of every frame, since a
    /// generator also sees the two frames before.
    ///
    /// # Errors
    /// [`Error::Usage`] outside the track; [`Error::Model`] when [`Quality::Full`] is asked for without a generator.
    pub fn render<'a>(
        &self,
        index: usize,
        settings: &dyn Fn(usize) -> FrameSettings,
        scratch: &'a mut Scratch,
    ) -> Result<&'a Frame> {
        self.render_cancellable(index, settings, &CancelToken::default(), scratch)
    }

    /// As [`Shot::render`]; `cancel` is asked again and again, also inside a generator, by the calling thread.
    ///
    /// # Errors
    /// As [`Shot::render`]; [`Error::Interrupted`].
    pub fn render_cancellable<'a>(
        &self,
        index: usize,
        settings: &dyn Fn(usize) -> FrameSettings,
        cancel: &CancelToken,
        scratch: &'a mut Scratch,
    ) -> Result<&'a Frame> {
        let now = settings(index);
        scratch.warped = None;
        let pose = self.pose(index, &now)?;
        self.mesh_into(&pose, &pose.camera, &now, scratch)?;
        let plate = self.draft.picture();
        let mut result = scratch.result.take().unwrap_or_else(|| Frame::new(1, 1));

        if now.view == View::Pncc {
            let model = self.model.model();
            let vertices = &scratch.mesh.vertices;
            let rendered =
                scratch.raster.render(vertices, model.drawn_triangles(self.eyeballs), plate.width, plate.height)?;
            rendered.pncc_into(&model.ncc, &mut scratch.bytes)?;
            view::rgb(&mut result, plate.width, plate.height, &scratch.bytes);
            return Ok(scratch.result.insert(result));
        }

        // `paint` uses `scratch.mesh` for other frames too; the landmarks drawn over the result are this frame's.
        let landmarks: Vec<[f32; 3]> = match now.view {
            View::Landmarks => {
                self.model.model().landmarks.iter().map(|&v| scratch.mesh.vertices[v as usize]).collect()
            }
            _ => Vec::new(),
        };
        cancel.check()?;
        self.draft.render(&scratch.mesh, &now.mask, &mut scratch.draft, &mut scratch.out)?;
        match now.view {
            View::Flow => view::flow(&mut result, plate.width, plate.height, &scratch.out.flow),
            View::Matte => view::grey(&mut result, plate.width, plate.height, &scratch.out.matte),
            View::Mask => view::grey(&mut result, plate.width, plate.height, &scratch.out.mask),
            _ => {
                result.clone_from(plate);
                match now.quality {
                    Quality::Draft => {
                        if scratch.keeps_warped {
                            let window = self.window_at(index, settings)?;
                            scratch.warped = Some(self.warp_by_draft(window, scratch));
                        }
                        result.paste_masked(&scratch.out.picture, &scratch.out.mask, 0, 0)?;
                    }
                    Quality::Full => match &self.windows {
                        Some(windows) => {
                            if scratch.keeps_warped {
                                let window = self.window_at(index, settings)?;
                                scratch.warped = Some(self.warp_by_draft(window, scratch));
                            }
                            cancel.check()?;
                            let sound = self.sound(index, &now).filter(|_| windows.takes_audio());
                            let sound = sound.as_ref().map(|s| &s[..]);
                            windows.paint(&scratch.mesh.vertices, sound, &mut scratch.out.picture)?;
                            result.paste_masked(&scratch.out.picture, &scratch.out.mask, 0, 0)?;
                        }
                        None => self.paint(index, settings, cancel, &mut result, scratch)?,
                    },
                }
            }
        }
        match now.view {
            View::Crop => result = result.crop(self.window_at(index, settings)?, CROP, CROP, Filter::Area),
            View::Landmarks => {
                view::points(&mut result, landmarks.into_iter());
            }
            View::Confidence => view::tint(&mut result, &scratch.out.mask, self.track.confidence[index]),
            _ => {}
        }
        Ok(scratch.result.insert(result))
    }

    /// The frames whose settings count as a whole where frame `index` is rendered: those that the generator sees. Of all others that
    /// are asked for, only the camera counts: what [`FrameSettings::CAMERA_CONTROLS`] say.
    pub fn input_frames(&self, index: usize) -> RangeInclusive<usize> {
        let frames = self.runner.as_ref().map_or(1, |runner| runner.frames());
        index.saturating_sub(frames.saturating_sub(1))..=index
    }

    /// The generator's picture, put into the plate.
    fn paint(
        &self,
        index: usize,
        settings: &dyn Fn(usize) -> FrameSettings,
        cancel: &CancelToken,
        plate: &mut Frame,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let runner = self.runner.as_ref().ok_or_else(|| {
            let text = "quality 'full' needs a generator: import one, or choose quality 'draft'";
            Error::model(text).with_advice(Advice::ChooseDraft)
        })?;
        let frames = runner.frames();
        let window = self.window_at(index, settings)?;
        let (mut pncc, mut meshes) = (Vec::with_capacity(frames), Vec::new());
        for back in (0..frames).rev() {
            // Before the first frame there is only the first frame.
            let i = index.saturating_sub(back);
            let then = settings(i);
            let pose = self.pose(i, &then)?;
            if runner.accepts_meshes() {
                self.mesh_into(&pose, &in_window(&pose.camera, window), &then, scratch)?;
                meshes.extend_from_slice(&scratch.mesh.vertices);
            } else {
                pncc.push(self.pncc_in_window(&pose, window, &then, scratch)?);
            }
        }
        let stack = if runner.accepts_meshes() { Stack::Meshes(&meshes) } else { Stack::Pncc(&pncc) };
        // Warping leaves the flow that a generator takes.
        let base = runner.is_residual().then(|| self.warp_by_draft(window, scratch));
        if runner.takes_flow_prior() && base.is_none() {
            let size = (plate.width, plate.height);
            flow_in_window(&scratch.out.flow, size, window, self.window, &mut scratch.prior);
        }
        let prior = runner.takes_flow_prior().then_some(&scratch.prior[..]);
        let sound = self.sound(index, &settings(index)).filter(|_| runner.takes_audio());
        let patch = runner.paint(stack, sound.as_ref().map(|s| &s[..]), prior, cancel, &mut scratch.painting)?;
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

    /// The audio values of a frame.
    fn sound(&self, index: usize, settings: &FrameSettings) -> Option<[f32; ALL]> {
        let at = |input: &AudioInput| input.first + index as f64 - f64::from(settings.audio_offset);
        self.audio.as_ref().map(|input| input.conditioning.at(at(input)))
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
    pub fn window_at(&self, index: usize, settings: &dyn Fn(usize) -> FrameSettings) -> Result<Window> {
        let home = Square::around(&self.pose.camera, &self.head);
        let around = crop::neighbours(index, self.len());
        let first = *around.start();
        let squares = around.map(|i| Ok(Square::around(&self.pose(i, &settings(i))?.camera, &self.head)));
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
    pub fn silhouette(
        &self,
        index: usize,
        settings: &dyn Fn(usize) -> FrameSettings,
        scratch: &mut Scratch,
    ) -> Result<Vec<bool>> {
        let (now, window) = (settings(index), self.window_at(index, settings)?);
        let pose = self.pose(index, &now)?;
        self.mesh_into(&pose, &in_window(&pose.camera, window), &now, scratch)?;
        let rendered = scratch.raster.render(
            &scratch.mesh.vertices,
            self.model.model().drawn_triangles(self.eyeballs),
            CROP,
            CROP,
        )?;
        let mut out = vec![false; CROP * CROP];
        rendered.for_each_hit(|pixel, _| out[pixel] = true);
        Ok(out)
    }

    /// PNCC of a pose in a window, 3 floats per pixel.
    fn pncc_in_window(
        &self,
        pose: &FramePose,
        window: Window,
        settings: &FrameSettings,
        scratch: &mut Scratch,
    ) -> Result<Vec<f32>> {
        self.mesh_into(pose, &in_window(&pose.camera, window), settings, scratch)?;
        let model = self.model.model();
        let rendered =
            scratch.raster.render(&scratch.mesh.vertices, model.drawn_triangles(self.eyeballs), CROP, CROP)?;
        let mut out = Vec::new();
        rendered.pncc_f32_into(&model.ncc, &mut out)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
