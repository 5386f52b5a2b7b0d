//! How good a reenactment is, in the measures of the HeadGAN paper (<https://arxiv.org/abs/2012.08261>, section 4), beside two
//! floors: the reference's picture copied, and Draft.
//!
//! Everything is measured in the square of [`CROP`](crate::reenact::shot::CROP) pixels around the head, on the delivered
//! result (the painted crop put back into the reference's picture). In self-reenactment the reference is a frame of the driving
//! clip and the true picture is known; in cross-reenactment only faces can be compared:
//!
//!  - **CSIM**: cosine of identity embeddings, the result's and the reference's;
//!  - **ARD**: angle in degrees between the head rotations fitted to the result and to the driving frame;
//!  - **expression**: the distance between the expressions fitted to both, as the root mean square displacement of
//!    the 68 landmarks on the mean face, in its inter-ocular distances. It stands where the paper has AU-H, whose action
//!    units nothing here detects.

pub mod face;
pub mod picture;
pub mod summary;

use crate::face::observe::Fitted;
use crate::frame::{Filter, Frame};
use crate::reenact::networks::Networks;
use crate::reenact::shot::{CROP, Look, Scratch, Shot};
use crate::{Error, Result};
use serde::Serialize;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The reference's picture as it is.
    Copy,
    Draft,
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
    /// Up to 1, higher is better.
    pub csim: Option<f64>,
    /// Degrees, lower is better.
    pub ard: Option<f64>,
    /// Inter-ocular distances, lower is better.
    pub expression: Option<f64>,
}

/// The names of the measures, in the order of [`Scores::values`].
pub const MEASURES: [&str; 6] = ["l1", "psnr", "ssim", "csim", "ard", "expression"];

impl Scores {
    pub fn values(&self) -> [Option<f64>; 6] {
        [self.l1, self.psnr, self.ssim, self.csim, self.ard, self.expression]
    }

    fn from_values([l1, psnr, ssim, csim, ard, expression]: [Option<f64>; 6]) -> Scores {
        Scores { l1, psnr, ssim, csim, ard, expression }
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
    pub methods: Vec<(Method, Scores)>,
}

/// Measures one shot.
pub struct Evaluation<'a> {
    pub networks: &'a Networks,
    pub shot: &'a Shot,
    /// What is rendered, at [`Quality::Draft`](crate::controls::choices::Quality); the other methods are derived from it.
    pub look: Look,
    /// Whether the shot has a generator to measure.
    pub full: bool,
    /// Whether the driving frames are the true pictures.
    pub own: bool,
}

impl Evaluation<'_> {
    /// Measures the driving frames that `frames` delivers, each with its index in the shot.
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
        let mut scratch = Scratch::default();
        let reference = self.see(self.shot.reference())?;
        for frame in frames {
            let (index, driver) = frame?;
            let driver = self.driver(index, driver)?;
            for (m, method) in methods.iter().enumerate() {
                let picture = self.picture(*method, index, &mut scratch)?;
                let seen = self.see(&picture)?;
                lost[m] += usize::from(seen.is_none());
                scores[m].push(self.score(&picture, seen.as_ref(), reference.as_ref(), &driver)?);
            }
        }
        let count = scores[0].len();
        if count == 0 {
            return Err(Error::Input("there is no frame to measure: choose others".into()));
        }
        Ok(ClipScores {
            frames: count,
            faces_lost: methods.iter().copied().zip(lost).collect(),
            methods: methods.into_iter().zip(scores.iter().map(|s| Scores::mean(s))).collect(),
        })
    }

    fn look(&self, method: Method) -> Look {
        use crate::controls::choices::{Quality, View};
        let quality = if method == Method::Full { Quality::Full } else { Quality::Draft };
        Look { quality, view: View::Crop, ..self.look.clone() }
    }

    /// A method's picture of a frame, as large as the crop.
    fn picture(&self, method: Method, index: usize, scratch: &mut Scratch) -> Result<Frame> {
        let look = self.look(method);
        if method == Method::Copy {
            let window = self.shot.window_at(index, &|_| look.clone())?;
            return Ok(self.shot.reference().crop(window, CROP, CROP, Filter::Area));
        }
        self.shot.render(index, &|_| look.clone(), scratch).cloned()
    }

    /// The largest face of a picture.
    fn see(&self, picture: &Frame) -> Result<Option<Fitted>> {
        Ok(self.networks.observer().observe(picture)?.choose(crate::face::choose::Choice::Largest))
    }

    /// What a driving frame shows.
    fn driver(&self, index: usize, frame: Frame) -> Result<Driver> {
        let look = self.look(Method::Draft);
        let truth = if self.own {
            let window = self.shot.window_at(index, &|_| look.clone())?;
            Some(frame.crop(window, CROP, CROP, Filter::Area))
        } else {
            None
        };
        // Fitted in the same crop as the results, so that the fit's own errors are alike.
        let seen = match &truth {
            Some(picture) => self.see(picture)?,
            None => None,
        };
        let pose = match &seen {
            Some(seen) => face::pose(seen)?,
            None => self.shot.track().raw[index].clone(),
        };
        Ok(Driver { truth, pose })
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

/// What a driving frame shows.
struct Driver {
    /// The true picture, where it is known.
    truth: Option<Frame>,
    pose: crate::morphable::retarget::FramePose,
}
