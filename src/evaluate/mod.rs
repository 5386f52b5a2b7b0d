//! How good a reenactment is, in the measures of the HeadGAN paper (<https://arxiv.org/abs/2012.08261>, section 4), beside two
//! baselines: the reference's picture copied, and Draft.
//!
//! This module measures results. [`crate::reenact`] makes them, [`crate::report`] writes pages that show the figures.
//!
//! Everything is measured in the square of [`CROP`] pixels around the head, on the delivered
//! result (the painted crop put back into the reference's picture). In self-reenactment the reference is a frame of the driving
//! clip and the true picture is known; in cross-reenactment only faces can be compared:
//!
//!  - **CSIM**: cosine of identity embeddings, the result's and the reference's;
//!  - **ARD**: angle in degrees between the head rotations fitted to the result and to the driving frame;
//!  - **expression**: the distance between the expressions fitted to both, as the root mean square displacement of
//!    the 68 landmarks on the mean face, in its inter-ocular distances. It replaces the paper's AU-H: nothing here
//!    detects action units.
//!
//! With the true picture, and within the silhouette of the driving face's mesh:
//!
//!  - **flow error**: L1 between the true picture and the reference's crop warped by the flow alone, Draft's or the generator's own;
//!    training minimises it as the loss on the warped image. The copy has no flow: its crop is not warped;
//!  - **flicker**: the mean absolute difference between the result's change from the frame before and the truth's. A result that
//!    stands still scores the truth's own change, and a constant error scores 0.
//!
//! With the networks of the pack `mediapipe` ([`DenseTracker`]):
//!
//!  - **performance** ([`performance`]): signals of lids, lips, brows, gaze and head, the result's against the driver's;
//!  - **windows** ([`windows`]): L1, SSIM, sharpness and LPIPS around the eyes and the mouth of the true picture.
//!
//! With weights that the user brings: **LPIPS** ([`lpips`]), against the true picture, and **FID** ([`fid`]), over the frames of all clips together.

pub mod face;
pub mod fid;
pub mod fitted;
pub mod lpips;
pub mod performance;
pub mod picture;
pub mod summary;
mod weights;
pub mod windows;

use crate::engine::Embedded;
use crate::face::dense::DenseTracker;
use crate::face::observe::Fitted;
use crate::frame::{Filter, Frame, Rect};
use crate::reenact::frame_settings::FrameSettings;
use crate::reenact::networks::Networks;
use crate::reenact::shot::{Scratch, Shot};
use crate::reenact::window::CROP;
use crate::{Error, Result};
use fid::{ClipFeatures, Inception};
use lpips::{Lpips, Seen};
use performance::{Performance, Signals};
use picture::Errors;
use serde::Serialize;
use windows::Windows;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The reference's picture as it is.
    Copy,
    /// The warped reference.
    Draft,
    /// The generator's picture.
    Full,
}

/// The measures of one frame, or their means over some. `None` where they cannot be had: no true picture, no identity network, no
/// face found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Scores {
    /// 0..255, lower is better.
    pub l1: Option<f64>,
    /// dB, higher is better.
    pub psnr: Option<f64>,
    /// Up to 1, higher is better.
    pub ssim: Option<f64>,
    /// Lower is better.
    pub lpips: Option<f64>,
    /// Up to 1, higher is better.
    pub csim: Option<f64>,
    /// Degrees, lower is better.
    pub ard: Option<f64>,
    /// Inter-ocular distances, lower is better.
    pub expression: Option<f64>,
    /// 0..255 within the face, lower is better.
    pub flow_error: Option<f64>,
    /// 0..255 within the face, lower is better.
    pub flicker: Option<f64>,
    /// 0..255 in the windows around the eyes, lower is better.
    pub eyes_l1: Option<f64>,
    /// Up to 1 in the windows around the eyes, higher is better.
    pub eyes_ssim: Option<f64>,
    /// Of the truth's in the windows around the eyes, 1 is as sharp.
    pub eyes_sharpness: Option<f64>,
    /// In the windows around the eyes, lower is better.
    pub eyes_lpips: Option<f64>,
    /// 0..255 in the window around the mouth, lower is better.
    pub mouth_l1: Option<f64>,
    /// Up to 1 in the window around the mouth, higher is better.
    pub mouth_ssim: Option<f64>,
    /// Of the truth's in the window around the mouth, 1 is as sharp.
    pub mouth_sharpness: Option<f64>,
    /// In the window around the mouth, lower is better.
    pub mouth_lpips: Option<f64>,
}

/// How many measures there are.
const COUNT: usize = 17;

/// The names of the measures, in the order of [`Scores::values`].
pub const MEASURES: [&str; COUNT] = [
    "l1",
    "psnr",
    "ssim",
    "lpips",
    "csim",
    "ard",
    "expression",
    "flow_error",
    "flicker",
    "eyes_l1",
    "eyes_ssim",
    "eyes_sharpness",
    "eyes_lpips",
    "mouth_l1",
    "mouth_ssim",
    "mouth_sharpness",
    "mouth_lpips",
];

impl Scores {
    /// All measures, in the order of the fields.
    pub fn values(&self) -> [Option<f64>; COUNT] {
        let Scores { l1, psnr, ssim, lpips, csim, ard, expression, flow_error, flicker, .. } = *self;
        let Scores {
            eyes_l1,
            eyes_ssim,
            eyes_sharpness,
            eyes_lpips,
            mouth_l1,
            mouth_ssim,
            mouth_sharpness,
            mouth_lpips,
            ..
        } = *self;
        [
            l1,
            psnr,
            ssim,
            lpips,
            csim,
            ard,
            expression,
            flow_error,
            flicker,
            eyes_l1,
            eyes_ssim,
            eyes_sharpness,
            eyes_lpips,
            mouth_l1,
            mouth_ssim,
            mouth_sharpness,
            mouth_lpips,
        ]
    }

    fn from_values(values: [Option<f64>; COUNT]) -> Scores {
        let [
            l1,
            psnr,
            ssim,
            lpips,
            csim,
            ard,
            expression,
            flow_error,
            flicker,
            eyes_l1,
            eyes_ssim,
            eyes_sharpness,
            eyes_lpips,
            mouth_l1,
            mouth_ssim,
            mouth_sharpness,
            mouth_lpips,
        ] = values;
        Scores {
            l1,
            psnr,
            ssim,
            lpips,
            csim,
            ard,
            expression,
            flow_error,
            flicker,
            eyes_l1,
            eyes_ssim,
            eyes_sharpness,
            eyes_lpips,
            mouth_l1,
            mouth_ssim,
            mouth_sharpness,
            mouth_lpips,
        }
    }

    /// Each measure's mean over the frames that have it.
    pub fn mean(all: &[Scores]) -> Scores {
        Scores::from_values(std::array::from_fn(|k| {
            let values: Vec<f64> = all.iter().filter_map(|s| s.values()[k]).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        }))
    }
}

/// One clip, measured.
#[derive(Debug, Clone, Serialize)]
pub struct ClipScores {
    /// Frames that were measured.
    pub frames: usize,
    /// Frames of a method's result in which no face was found.
    pub faces_lost: Vec<(Method, usize)>,
    /// The means by method.
    pub methods: Vec<(Method, Scores)>,
    /// How much of the driver's performance arrives by method; empty without a tracker.
    pub performance: Vec<(Method, Performance)>,
    /// What FID is computed from, where its network was there.
    #[serde(skip)]
    pub features: Option<ClipFeatures>,
}

/// Measures one shot.
pub struct Evaluation<'a> {
    /// They find and fit the faces.
    pub networks: &'a Networks,
    /// What is judged.
    pub shot: &'a Shot,
    /// What is rendered, at [`Quality::Draft`](crate::controls::choices::Quality); the other methods are derived from it.
    pub settings: FrameSettings,
    /// Whether the shot has a generator to measure.
    pub full: bool,
    /// Whether the driving frames are the true pictures.
    pub own: bool,
    /// The frames to measure, ascending indices in the shot.
    pub chosen: Vec<usize>,
    /// For LPIPS.
    pub lpips: Option<&'a Lpips>,
    /// For FID.
    pub inception: Option<&'a Inception>,
    /// For what arrives of the performance, and for the windows around eyes and mouth.
    pub tracker: Option<&'a DenseTracker<Embedded>>,
}

impl Evaluation<'_> {
    /// Whether [`Evaluation::run`] needs a driving frame: it is measured, or its successor, whose change is measured too.
    pub fn needs(&self, index: usize) -> bool {
        self.measures(index) || self.own && self.measures(index + 1)
    }

    fn measures(&self, index: usize) -> bool {
        self.chosen.binary_search(&index).is_ok()
    }

    /// Measures the chosen frames of those that `frames` delivers, ascending, each with its index in the shot: all that
    /// [`Evaluation::needs`] names.
    ///
    /// # Errors
    /// Those of `frames`, of rendering and of the networks; [`Error::Input`] where there is no frame.
    pub fn run(&self, frames: impl Iterator<Item = Result<(usize, Frame)>>) -> Result<ClipScores> {
        let mut methods = vec![Method::Copy, Method::Draft];
        if self.full {
            methods.push(Method::Full);
        }
        let mut scores: Vec<Vec<Scores>> = vec![Vec::new(); methods.len()];
        let mut lost = vec![0; methods.len()];
        let mut features = self.inception.map(|_| ClipFeatures::default());
        // Of every measured frame.
        let mut driven: Vec<Option<Signals>> = Vec::new();
        let mut made: Vec<Vec<Option<Signals>>> = vec![Vec::new(); methods.len()];
        let mut scratch = Scratch::default();
        if self.own {
            scratch.keep_warped();
        }
        let reference = self.see(self.shot.reference())?;
        // The last frame's index and each method's errors in it.
        let mut last: Option<(usize, Vec<Option<Errors>>)> = None;
        for frame in frames {
            let (index, frame) = frame?;
            let before = last.take().filter(|(i, _)| i + 1 == index).map(|(_, errors)| errors);
            let measured = self.measures(index);
            let driver = if measured { Some(self.driver(index, &frame, &mut scratch)?) } else { None };
            let truth = match &driver {
                Some(driver) => driver.truth.clone(),
                None => self.truth(index, &frame)?,
            };
            if let (Some(driver), Some(features), Some(inception)) = (&driver, &mut features, self.inception) {
                features.truth.push(inception.features(&self.real(index, &frame, driver)?)?);
            }
            if let (true, Some(tracker)) = (measured, self.tracker) {
                driven.push(driver_signals(tracker, self.shot, index, &frame)?);
            }
            let mut errors = Vec::with_capacity(methods.len());
            for (m, method) in methods.iter().enumerate() {
                let picture = self.picture(*method, index, &mut scratch)?;
                errors.push(truth.as_ref().and_then(|truth| Errors::between(&picture, truth)));
                let Some(driver) = &driver else { continue };
                let seen = self.see(&picture)?;
                lost[m] += usize::from(seen.is_none());
                let mut score = self.score(&picture, seen.as_ref(), reference.as_ref(), driver)?;
                let warped = if *method == Method::Copy { Some(&picture) } else { scratch.warped() };
                if let (Some(warped), Some(truth)) = (warped, &truth) {
                    score.flow_error = Errors::between(warped, truth).and_then(|e| e.within(&driver.silhouette));
                }
                let change = errors[m].as_ref().zip(before.as_ref().and_then(|b| b[m].as_ref()));
                score.flicker = change.and_then(|(now, before)| now.change_within(before, &driver.silhouette));
                if let Some(windows) = &driver.windows {
                    let [eyes, mouth] = windows.score(&picture, self.lpips)?;
                    score.eyes_l1 = eyes.l1;
                    score.eyes_ssim = eyes.ssim;
                    score.eyes_sharpness = eyes.sharpness;
                    score.eyes_lpips = eyes.lpips;
                    score.mouth_l1 = mouth.l1;
                    score.mouth_ssim = mouth.ssim;
                    score.mouth_sharpness = mouth.sharpness;
                    score.mouth_lpips = mouth.lpips;
                }
                if let Some(tracker) = self.tracker {
                    made[m].push(result_signals(tracker, &picture)?);
                }
                scores[m].push(score);
                if let (Some(features), Some(inception)) = (&mut features, self.inception) {
                    features.methods.entry(*method).or_default().push(inception.features(&picture)?);
                }
            }
            last = Some((index, errors));
        }
        let count = scores[0].len();
        if count == 0 {
            return Err(Error::Input("there is no frame to measure: choose others".into()));
        }
        let performance = match self.tracker {
            Some(_) => {
                methods.iter().copied().zip(made.iter().map(|made| performance::arrival(&driven, made))).collect()
            }
            None => Vec::new(),
        };
        Ok(ClipScores {
            frames: count,
            faces_lost: methods.iter().copied().zip(lost).collect(),
            methods: methods.into_iter().zip(scores.iter().map(|s| Scores::mean(s))).collect(),
            performance,
            features,
        })
    }

    fn settings_of(&self, method: Method) -> FrameSettings {
        use crate::controls::choices::{Quality, View};
        let quality = if method == Method::Full { Quality::Full } else { Quality::Draft };
        FrameSettings { quality, view: View::Crop, ..self.settings.clone() }
    }

    /// A method's picture of a frame, as large as the crop.
    fn picture(&self, method: Method, index: usize, scratch: &mut Scratch) -> Result<Frame> {
        let settings = self.settings_of(method);
        if method == Method::Copy {
            let window = self.shot.window_at(index, &|_| settings.clone())?;
            return Ok(self.shot.reference().crop(window, CROP, CROP, Filter::Area));
        }
        self.shot.render(index, &|_| settings.clone(), scratch).cloned()
    }

    /// The largest face of a picture.
    fn see(&self, picture: &Frame) -> Result<Option<Fitted>> {
        let observer = self.networks.observer();
        let seen = observer.observe(picture)?.choose(crate::face::choose::Choice::Largest);
        Ok(seen.and_then(|fitted| observer.complete(fitted)))
    }

    /// The true picture of a frame, where it is known.
    fn truth(&self, index: usize, frame: &Frame) -> Result<Option<Frame>> {
        if !self.own {
            return Ok(None);
        }
        let window = self.shot.window_at(index, &|_| self.settings_of(Method::Draft))?;
        Ok(Some(frame.crop(window, CROP, CROP, Filter::Area)))
    }

    /// What FID takes for real: the true picture, or the driver's face, cut out alike.
    fn real(&self, index: usize, frame: &Frame, driver: &Driver) -> Result<Frame> {
        if let Some(truth) = &driver.truth {
            return Ok(truth.clone());
        }
        Ok(frame.crop(self.shot.driver_window(index)?, CROP, CROP, Filter::Area))
    }

    /// What a driving frame shows.
    fn driver(&self, index: usize, frame: &Frame, scratch: &mut Scratch) -> Result<Driver> {
        let truth = self.truth(index, frame)?;
        // Fitted in the same crop as the results, so that the fit's own errors are alike.
        let seen = match &truth {
            Some(picture) => self.see(picture)?,
            None => None,
        };
        let pose = match &seen {
            Some(seen) => face::pose(seen)?,
            None => self.shot.track().raw[index].clone(),
        };
        let settings = self.settings_of(Method::Draft);
        let silhouette =
            if self.own { self.shot.silhouette(index, &|_| settings.clone(), scratch)? } else { Vec::new() };
        let lpips = match (&truth, self.lpips) {
            (Some(truth), Some(lpips)) => Some(lpips.see(truth)?),
            _ => None,
        };
        let windows = match (&truth, self.tracker) {
            (Some(truth), Some(tracker)) => {
                let face = tracker.largest(truth)?;
                face.map(|face| Windows::new(&face, truth, self.lpips)).transpose()?
            }
            _ => None,
        };
        Ok(Driver { truth, pose, silhouette, lpips, windows })
    }

    fn score(
        &self,
        picture: &Frame,
        seen: Option<&Fitted>,
        reference: Option<&Fitted>,
        driver: &Driver,
    ) -> Result<Scores> {
        let distance = driver.truth.as_ref().and_then(|truth| picture::compare(picture, truth));
        let mut out = Scores {
            l1: distance.map(|d| d.l1),
            psnr: distance.map(|d| d.psnr),
            ssim: distance.map(|d| d.ssim),
            ..Scores::default()
        };
        if let (Some(lpips), Some(truth)) = (self.lpips, &driver.lpips) {
            out.lpips = Some(lpips.between(&lpips.see(picture)?, truth));
        }
        let Some(seen) = seen else { return Ok(out) };
        let pose = face::pose(seen)?;
        out.ard = Some(face::rotation_between(&pose, &driver.pose));
        out.expression = Some(face::expression_between(&self.networks.morphable, &pose.expr, &driver.pose.expr)?);
        let identities = (seen.identity.as_ref(), reference.and_then(|r| r.identity.as_ref()));
        if let (Some(a), Some(b)) = identities {
            out.csim = Some(f64::from(a.similarity(b)));
        }
        Ok(out)
    }
}

/// What the face that drives a shot does in a driving frame; it need not be the frame's largest. `None` where it is not found.
///
/// # Errors
/// Those of the tracker; [`Error::Usage`] when `index` lies outside the shot.
pub fn driver_signals(
    tracker: &DenseTracker<Embedded>,
    shot: &Shot,
    index: usize,
    frame: &Frame,
) -> Result<Option<Signals>> {
    let window = shot.driver_window(index)?;
    let (x0, y0) = (window.x0 as f32, window.y0 as f32);
    let around = Rect { x0, y0, x1: x0 + window.width as f32, y1: y0 + window.height as f32 };
    Ok(tracker.largest_within(frame, &around)?.and_then(|face| performance::signals(&*face.points)))
}

/// What the face of a result does. `None` where none is found.
///
/// # Errors
/// Those of the tracker.
pub fn result_signals(tracker: &DenseTracker<Embedded>, picture: &Frame) -> Result<Option<Signals>> {
    Ok(tracker.largest(picture)?.and_then(|face| performance::signals(&*face.points)))
}

/// What a driving frame shows.
struct Driver {
    /// The true picture, where it is known.
    truth: Option<Frame>,
    pose: crate::morphable::retarget::FramePose,
    /// The crop's pixels that show its face, where the true picture is known.
    silhouette: Vec<bool>,
    /// The true picture as LPIPS sees it.
    lpips: Option<Seen>,
    /// Around the true picture's eyes and mouth, where they were found.
    windows: Option<Windows>,
}
