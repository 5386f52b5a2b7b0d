//! Motion: what a face did in a shot, without any picture of it.
//!
//! A motion file (`.hgm`) is a safetensors file: `camera` [n, 12] (the affine map from the model to the clip's pixels, 3x4, row major,
//! y down; of its deviation from a similarity nothing is lost), `expression` [n, e], `confidence` \[n\] (0: the face was not seen), and, only where asked
//! for, `identity` \[s\] (the actor's face shape). That is 23 numbers, 92 bytes, a frame with 3DDFA-V2's 10 expression coefficients; the HeadGAN
//! paper counts 35. Rendering from the file gives
//! what rendering from the clip gives, to the bit, unless the clip is its own reference: then nothing is adapted, which a file cannot know.

use crate::error::Advice;
use crate::media::{Rational, atomic};
use crate::morphable::Fit;
use crate::morphable::pose::fit_image_matrix;
use crate::weights::{Array, Weights, safetensors};
use crate::{Error, Result};
use std::io::Write;
use std::path::Path;

/// Ending of a motion file's name.
pub const EXTENSION: &str = "hgm";
/// The format that is written and read.
const FORMAT: &str = "1";
/// No frame has a higher number, nor a picture more pixels in a row: numbers of frames and places are counted on.
const MOST: usize = 1 << 40;

/// The face in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct MotionFrame {
    /// The affine map from the morphable model to pixels of the frame: 3x4, row major, y down.
    pub camera: [f32; 12],
    /// Expression coefficients.
    pub expr: Vec<f32>,
    /// Above 0, up to 1; see [`crate::face::observe`].
    pub confidence: f32,
}

/// Pose and expression through a shot.
#[derive(Debug, Clone, PartialEq)]
pub struct Motion {
    /// Number of the first frame.
    pub first: usize,
    /// Size of the clip's frames in pixels.
    pub size: (usize, usize),
    /// Frame rate; image sequences have none.
    pub fps: Option<Rational>,
    /// The morphable model that the coefficients belong to: its weights' blake3.
    pub model: String,
    /// `None` where the face is not in view.
    pub frames: Vec<Option<MotionFrame>>,
    /// Identity coefficients, the mean of all frames weighted by confidence; left out of files unless asked for.
    pub identity: Option<Vec<f32>>,
}

impl MotionFrame {
    /// The face of a fit; `confidence` 0 counts as the least above it, since 0 is what a gap has.
    pub fn from_fit(fit: &Fit, confidence: f32) -> MotionFrame {
        MotionFrame {
            camera: fit_image_matrix(fit).map(|v| v as f32),
            expr: fit.params.expr.clone(),
            confidence: confidence.max(f32::MIN_POSITIVE),
        }
    }
}

/// Whether a name is that of a motion file.
pub fn is_motion_name(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case(EXTENSION))
}

impl Motion {
    /// The motion of fits that are certain, one for each frame, counted from 0; `model` is their model's blake3.
    pub fn from_fits<'a>(fits: impl IntoIterator<Item = &'a Fit>, size: (usize, usize), model: &str) -> Motion {
        let frames = fits.into_iter().map(|fit| (fit, 1.0)).map(Some);
        Motion::of_weighted(frames, size, model)
    }

    /// As [`Motion::from_fits`], from fits with their confidence; `None` where there is no face.
    pub fn of_weighted<'a>(
        fits: impl IntoIterator<Item = Option<(&'a Fit, f32)>>,
        size: (usize, usize),
        model: &str,
    ) -> Motion {
        let mut shape: Vec<f64> = Vec::new();
        let mut total = 0.0;
        let frames = fits.into_iter().map(|item| {
            let (fit, confidence) = item?;
            let weight = f64::from(confidence.max(1e-3));
            shape.resize(fit.params.shape.len(), 0.0);
            shape.iter_mut().zip(&fit.params.shape).for_each(|(sum, &v)| *sum += weight * f64::from(v));
            total += weight;
            Some(MotionFrame::from_fit(fit, confidence))
        });
        let frames = frames.collect();
        let identity = Some(shape.into_iter().map(|v| (v / total) as f32).collect());
        Motion { first: 0, size, fps: None, model: model.into(), frames, identity }
    }

    /// How many numbers a frame takes in a file.
    pub fn numbers_per_frame(&self) -> usize {
        13 + self.frames.iter().flatten().next().map_or(0, |f| f.expr.len())
    }

    /// As seen in a picture of another size that shows the same.
    pub fn resized(&self, width: usize, height: usize) -> Motion {
        let k = [width as f64 / self.size.0.max(1) as f64, height as f64 / self.size.1.max(1) as f64];
        // Depth has no raster of its own: it grows with the mean of both, as 3DDFA-V2 has it for its crops.
        let scale = [k[0], k[1], 0.5 * (k[0] + k[1])];
        // Pixel centres are at integers, pictures begin half a pixel before.
        let offset = [0.5 * k[0] - 0.5, 0.5 * k[1] - 0.5, 0.0];
        let mut out = self.clone();
        out.size = (width, height);
        for frame in out.frames.iter_mut().flatten() {
            for (i, v) in frame.camera.iter_mut().enumerate() {
                let (row, column) = (i / 4, i % 4);
                let moved = if column == 3 { offset[row] } else { 0.0 };
                *v = (scale[row] * f64::from(*v) + moved) as f32;
            }
        }
        out
    }

    /// The motion as arrays, as a motion file has them; without the identity.
    pub fn to_arrays(&self) -> Weights {
        let expr = self.frames.iter().flatten().next().map_or(0, |f| f.expr.len());
        let n = self.frames.len();
        let gap = MotionFrame { camera: [0.0; 12], expr: vec![0.0; expr], confidence: 0.0 };
        let frames: Vec<&MotionFrame> = self.frames.iter().map(|f| f.as_ref().unwrap_or(&gap)).collect();
        let mut out = Weights::default();
        let mut put = |name: &str, shape: &[usize], values: Vec<f32>| out.insert(name, Array::f32(shape, values));
        put("camera", &[n, 12], frames.iter().flat_map(|f| f.camera).collect());
        put("expression", &[n, expr], frames.iter().flat_map(|f| f.expr.iter().copied()).collect());
        put("confidence", &[n], frames.iter().map(|f| f.confidence).collect());
        let mut note = |name: &str, text: String| out.metadata.insert(name.into(), text);
        note("headgan_motion", FORMAT.into());
        note("model", self.model.clone());
        note("first", self.first.to_string());
        note("size", format!("{}x{}", self.size.0, self.size.1));
        if let Some(fps) = self.fps {
            note("fps", fps.to_string());
        }
        out
    }

    /// What [`Motion::to_arrays`] made, with the array `identity` where there is one; `None` where the arrays do not belong
    /// together.
    pub fn from_arrays(value: &Weights) -> Option<Motion> {
        let text = |name: &str| value.metadata.get(name).map(String::as_str);
        let number = |t: &str| t.parse::<usize>().ok().filter(|n| *n <= MOST);
        let (width, height) = text("size").and_then(|t| t.split_once('x'))?;
        let fps = match text("fps") {
            Some(text) => Some(text.parse().ok()?),
            None => None,
        };
        let array = |name: &str| value.get(name).and_then(|a| Some((a.as_f32()?, &a.shape[..])));
        let ((cameras, camera_shape), (exprs, expr_shape)) = (array("camera")?, array("expression")?);
        let (confidence, _) = array("confidence")?;
        let n = confidence.len();
        let &[rows, e] = expr_shape else { return None };
        if *camera_shape != [n, 12] || rows != n {
            return None;
        }
        let finite = |v: &[f32]| v.iter().all(|v| v.is_finite());
        if !(finite(cameras) && finite(exprs) && finite(confidence)) {
            return None;
        }
        let frames = (0..n).map(|i| {
            let camera = std::array::from_fn(|c| cameras[12 * i + c]);
            let frame = MotionFrame { camera, expr: exprs[e * i..e * (i + 1)].to_vec(), confidence: confidence[i] };
            (confidence[i] > 0.0).then_some(frame)
        });
        let identity = match value.get("identity") {
            Some(a) => Some(a.as_f32().filter(|v| finite(v))?.to_vec()),
            None => None,
        };
        Some(Motion {
            first: text("first").and_then(number)?,
            size: (number(width)?, number(height)?),
            fps,
            model: text("model")?.into(),
            frames: frames.collect(),
            identity,
        })
    }

    /// Writes the motion, whole or not at all; the actor's face shape only `with_identity`. Returns the file's bytes.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be written; [`Error::Usage`] where it shall hold an identity that is not known.
    pub fn save(&self, path: &Path, with_identity: bool) -> Result<usize> {
        let mut out = self.to_arrays();
        if with_identity {
            let unknown = || Error::Usage("this motion holds no identity: analyse the clip itself".into());
            let identity = self.identity.clone().ok_or_else(unknown)?;
            out.insert("identity", Array::f32([identity.len()], identity));
        }
        let bytes = safetensors::to_bytes(&out)?;
        atomic::write(path, |f| f.write_all(&bytes).map_err(|e| atomic::write_error(path, e)))?;
        Ok(bytes.len())
    }

    /// Reads a motion file.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be read, is damaged, or was written by a newer version.
    pub fn load(path: &Path) -> Result<Motion> {
        let shown = path.display();
        let bad = |text: &str| Error::input(format!("{shown}: {text}"));
        let value = safetensors::load(path).map_err(|e| match e {
            Error::Model(text) => Error::Input(text.map(|t| format!("{t}: is it a motion file? export it again"))),
            other => other,
        })?;
        match value.metadata.get("headgan_motion").map(String::as_str) {
            Some(FORMAT) => {}
            Some(other) => {
                let text = format!("this motion has format {other}, this program reads {FORMAT}: update the program");
                return Err(bad(&text));
            }
            None => {
                let text = "this is no motion file: make one of the clip";
                return Err(bad(text).with_advice(Advice::MakeMotion));
            }
        }
        Motion::from_arrays(&value).ok_or_else(|| bad("the motion file is damaged: export it again"))
    }

    /// Fails unless the coefficients belong to the morphable model with this blake3, of the pack `pack`.
    ///
    /// # Errors
    /// [`Error::Model`].
    pub fn check_model(&self, model: &str, pack: &str, name: &str) -> Result<()> {
        if self.model == model {
            return Ok(());
        }
        Err(Error::model(format!(
            "{name}: this motion was fitted with another morphable model than that of the pack '{pack}': choose its pack, or \
             analyse the clip again"
        ))
        .with_advice(Advice::ChoosePack))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    fn motion() -> Motion {
        let mut rng = Rng(3);
        let mut frame =
            || Some(MotionFrame { camera: std::array::from_fn(|_| rng.signed()), expr: rng.vec(10), confidence: 0.5 });
        Motion {
            first: 7,
            size: (640, 360),
            fps: Rational::new(30000, 1001),
            model: "abc".into(),
            frames: vec![None, frame(), frame(), None],
            identity: Some(vec![0.25; 40]),
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.hgm");
        motion().save(&path, true).unwrap();
        assert_eq!(Motion::load(&path).unwrap(), motion());
        motion().save(&path, false).unwrap();
        assert_eq!(Motion::load(&path).unwrap(), Motion { identity: None, ..motion() });
        assert_eq!(motion().numbers_per_frame(), 23);
        let nobody = Motion { identity: None, ..motion() };
        assert!(matches!(nobody.save(&path, true), Err(Error::Usage(_))));
        assert!(motion().check_model("abc", "p", "a").is_ok());
        assert!(matches!(motion().check_model("x", "p", "a"), Err(Error::Model(_))));
    }

    #[test]
    fn a_resized_motion_shows_the_same_points() {
        let motion = motion();
        let half = motion.resized(320, 180);
        assert_eq!(half.size, (320, 180));
        let project = |camera: &[f32; 12], row: usize| -> f32 {
            let p = [0.3, -0.7, 0.2, 1.0];
            (0..4).map(|c| camera[4 * row + c] * p[c]).sum()
        };
        for (a, b) in motion.frames.iter().flatten().zip(half.frames.iter().flatten()) {
            for row in 0..2 {
                let (a, b) = (project(&a.camera, row), project(&b.camera, row));
                assert!(((a + 0.5) * 0.5 - 0.5 - b).abs() < 1e-5, "{a} {b}");
            }
            assert_eq!(a.expr, b.expr);
        }
        assert_eq!(motion.resized(640, 360), motion);
    }

    #[test]
    fn other_files_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.hgm");
        motion().save(&path, false).unwrap();
        let good = std::fs::read(&path).unwrap();
        let line = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Motion::load(&path).unwrap_err()
        };
        for n in (0..good.len()).step_by(7) {
            let e = line(&good[..n]);
            assert!(matches!(&e, Error::Input(t) if t.contains("a.hgm") && !t.contains('\n')), "{e}");
        }
        let weights = safetensors::to_bytes(&Weights::default()).unwrap();
        assert!(line(&weights).to_string().contains("no motion file"));
        for (name, value) in [("first", "18446744073709551615"), ("size", "640x99999999999999999"), ("size", "640")] {
            let mut other = safetensors::load(&{
                std::fs::write(&path, &good).unwrap();
                path.clone()
            })
            .unwrap();
            other.metadata.insert(name.into(), value.into());
            assert!(line(&safetensors::to_bytes(&other).unwrap()).to_string().contains("damaged"), "{name}={value}");
        }
        let newer = String::from_utf8_lossy(&good).replace("\"headgan_motion\":\"1\"", "\"headgan_motion\":\"9\"");
        if newer.len() == good.len() {
            assert!(line(newer.as_bytes()).to_string().contains("format 9"));
        }
        assert!(matches!(Motion::load(&dir.path().join("none.hgm")), Err(Error::Input(_))));
    }
}
