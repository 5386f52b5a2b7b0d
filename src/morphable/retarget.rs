//! Retargeting: the driver's pose and expression on the reference's identity.
//!
//! The driver's scale is multiplied by the quotient of both shots' mean scales and smoothed over 15 frames;
//! its translation, divided by its scale, is re-centred on the reference's and smoothed likewise (HeadGAN,
//! <https://arxiv.org/abs/2012.08261>, `adapt_cam_params` of the published code). Everything here works on
//! [`ImageCamera`]s in the pixels of one static window per shot, and a frame needs only the two shots'
//! [`ShotStats`] and its own fit: frames can be rendered in any order.

use nalgebra::{Matrix3, Rotation3};

use super::{Fit, ImageCamera};
use crate::{Error, Result};

/// What retargeting exchanges between faces: camera and expression, without identity.
#[derive(Debug, Clone, PartialEq)]
pub struct FramePose {
    /// Camera in the pixels of the shot's window.
    pub camera: ImageCamera,
    /// Expression coefficients.
    pub expr: Vec<f32>,
}

impl FramePose {
    /// Camera (in pixels of the image) and expression of a fit.
    ///
    /// # Errors
    /// `NoFace` when the fit's camera is degenerate.
    pub fn from_fit(fit: &Fit) -> Result<FramePose> {
        Ok(FramePose { camera: ImageCamera::from_fit(fit)?, expr: fit.params.expr.clone() })
    }

    /// The same face in another raster of the image; see [`ImageCamera::mapped`].
    pub fn mapped(&self, k: f32, offset: [f32; 2]) -> FramePose {
        FramePose { camera: self.camera.mapped(k, offset), expr: self.expr.clone() }
    }
}

/// Where a change of the driver's distance zooms to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZoomCentre {
    /// The head's mean position in its shot: a head that comes closer grows in place.
    #[default]
    Head,
    /// The window's upper left corner, as the published code has it: a head that comes closer also
    /// drifts away from the corner.
    Corner,
}

/// How retargeting works. The defaults are HeadGAN's.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct RetargetSettings {
    /// Reference and driver are the same person in the same framing: no adaptation at all, and with
    /// all strengths at 1 the driver's own parameters come back unchanged.
    pub self_reenactment: bool,
    /// How far to bring the driver's size in the window to the reference's: 0 not at all, 1 entirely.
    pub adapt_scale: f32,
    /// How far to bring the driver's mean position in the window to the reference's: 0 not at all, 1 entirely.
    pub adapt_position: f32,
    /// Frames over which adapted scale and position are averaged (1: not at all).
    pub smoothing: usize,
    /// Transfer the driver's expression relative to both faces' neutral ones instead of as it is.
    pub relative_expression: bool,
    /// Where a change of distance zooms to.
    pub zoom_centre: ZoomCentre,
    /// How far position and size follow the driver: 0 the reference's mean, 1 the driver, above exaggerates.
    pub motion: f32,
    /// How far the rotation follows the driver: 0 the reference's mean, 1 the driver, above exaggerates.
    pub pose: f32,
    /// How far the expression follows the driver: 0 the reference's neutral, 1 the driver, above exaggerates.
    pub expression: f32,
}

impl Default for RetargetSettings {
    fn default() -> Self {
        RetargetSettings {
            self_reenactment: false,
            adapt_scale: 1.0,
            adapt_position: 1.0,
            smoothing: 15,
            relative_expression: false,
            zoom_centre: ZoomCentre::default(),
            motion: 1.0,
            pose: 1.0,
            expression: 1.0,
        }
    }
}

/// What retargeting needs to know of a whole shot.
#[derive(Debug, Clone, PartialEq)]
pub struct ShotStats {
    /// Mean of the frames' scales.
    pub mean_scale: f32,
    /// Mean position of the model's origin, pixels.
    pub mean_position: [f32; 2],
    /// Mean of position divided by scale.
    pub mean_offset: [f32; 2],
    /// Mean of one over scale.
    pub mean_inverse_scale: f32,
    /// Chordal mean of the frames' rotations.
    pub mean_rotation: Rotation3<f32>,
    /// The face at rest: the median of each expression coefficient. Replace it where a neutral frame is known.
    pub neutral_expr: Vec<f32>,
    /// Scale and position of every frame.
    trace: Vec<[f32; 3]>,
}

impl ShotStats {
    /// Statistics of a shot (a still is a shot of one frame).
    ///
    /// # Errors
    /// `NoFace` for a shot without frames; `Usage` when the frames' expressions differ in length.
    pub fn new(frames: &[FramePose]) -> Result<ShotStats> {
        let Some(first) = frames.first() else {
            return Err(Error::NoFace("the shot has no frame with a face: choose another clip or range".into()));
        };
        let dim = first.expr.len();
        if frames.iter().any(|f| f.expr.len() != dim) {
            return Err(Error::Usage("the shot's fits come from different models: analyse it again".into()));
        }
        let trace: Vec<[f32; 3]> =
            frames.iter().map(|f| [f.camera.scale, f.camera.translation[0], f.camera.translation[1]]).collect();
        // f64: a long shot must not lose what distinguishes its frames.
        let n = frames.len() as f64;
        let mean = |value: &dyn Fn(&[f32; 3]) -> f64| (trace.iter().map(value).sum::<f64>() / n) as f32;
        let sum = frames.iter().fold(Matrix3::zeros(), |m, f| m + f.camera.rotation.matrix().map(f64::from));
        let mean_rotation = if frames.len() == 1 { first.camera.rotation } else { nearest_rotation(sum) };
        let mut column = Vec::with_capacity(frames.len());
        let neutral_expr = (0..dim)
            .map(|k| {
                column.clear();
                column.extend(frames.iter().map(|f| f.expr[k]));
                median(&mut column)
            })
            .collect();
        Ok(ShotStats {
            mean_scale: mean(&|t| f64::from(t[0])),
            mean_position: [mean(&|t| f64::from(t[1])), mean(&|t| f64::from(t[2]))],
            mean_offset: [mean(&|t| f64::from(t[1]) / f64::from(t[0])), mean(&|t| f64::from(t[2]) / f64::from(t[0]))],
            mean_inverse_scale: mean(&|t| 1.0 / f64::from(t[0])),
            mean_rotation,
            neutral_expr,
            trace,
        })
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.trace.len()
    }

    /// Never true for statistics made by [`ShotStats::new`].
    pub fn is_empty(&self) -> bool {
        self.trace.is_empty()
    }

    /// Mean of `(position - centre) / scale`.
    fn mean_offset_from(&self, centre: [f32; 2]) -> [f32; 2] {
        std::array::from_fn(|c| self.mean_offset[c] - centre[c] * self.mean_inverse_scale)
    }

    /// Box filter over `window` frames around `index`; the first and the last frame are repeated beyond the ends.
    fn smoothed(&self, index: usize, window: usize, value: impl Fn(&[f32; 3]) -> f32) -> f32 {
        let window = window.max(1);
        let (left, last) = (window / 2, self.trace.len() - 1);
        let sum: f64 =
            (0..window).map(|k| f64::from(value(&self.trace[(index + k).saturating_sub(left).min(last)]))).sum();
        (sum / window as f64) as f32
    }
}

/// The driver's frame `index` as the reference's face performs it: camera in the reference's window, expression
/// for the reference's identity. `frame` is the driver's frame with that index.
///
/// # Errors
/// `Usage` when `index` lies outside the driver's shot, or the two shots' expressions differ in length.
pub fn retarget(
    reference: &ShotStats,
    driver: &ShotStats,
    index: usize,
    frame: &FramePose,
    settings: &RetargetSettings,
) -> Result<FramePose> {
    if index >= driver.trace.len() {
        return Err(Error::usage(format!(
            "frame {index} lies outside the driving shot of {} frames: analyse the whole range first",
            driver.trace.len()
        )));
    }
    if reference.neutral_expr.len() != frame.expr.len() || driver.neutral_expr.len() != frame.expr.len() {
        return Err(Error::usage(format!(
            "the reference has {} expression coefficients, the driver {}: fit both with the same pack",
            reference.neutral_expr.len(),
            frame.expr.len()
        )));
    }
    // Reenacting oneself, the mean to which strengths below 1 fall back is the driver's own.
    let home = if settings.self_reenactment { driver } else { reference };
    let mut out = frame.clone();
    if !settings.self_reenactment {
        out.camera = adapt(reference, driver, index, &frame.camera, settings);
        if settings.relative_expression {
            for ((e, drv), reference) in out.expr.iter_mut().zip(&driver.neutral_expr).zip(&reference.neutral_expr) {
                *e += reference - drv;
            }
        }
    }
    // Each strength is skipped at 1, so that the default changes no bit.
    if settings.motion != 1.0 {
        // Sizes multiply, so they are blended as quotients: no strength can turn the face inside out.
        let before = out.camera.scale;
        out.camera.scale = home.mean_scale * (before / home.mean_scale).powf(settings.motion);
        for c in 0..2 {
            let mean = home.mean_position[c];
            out.camera.translation[c] = mean + settings.motion * (out.camera.translation[c] - mean);
        }
    }
    if settings.pose != 1.0 {
        let relative = home.mean_rotation.inverse() * out.camera.rotation;
        out.camera.rotation = home.mean_rotation * relative.powf(settings.pose);
    }
    if settings.expression != 1.0 {
        for (e, neutral) in out.expr.iter_mut().zip(&home.neutral_expr) {
            *e = neutral + settings.expression * (*e - neutral);
        }
    }
    Ok(out)
}

/// Scale and position of the driver's camera brought to the reference's window.
fn adapt(
    reference: &ShotStats,
    driver: &ShotStats,
    index: usize,
    camera: &ImageCamera,
    settings: &RetargetSettings,
) -> ImageCamera {
    let mut out = camera.clone();
    let (adapt_scale, adapt_position) = (settings.adapt_scale > 0.0, settings.adapt_position > 0.0);
    if adapt_scale {
        let quotient = reference.mean_scale / driver.mean_scale;
        out.scale = quotient * driver.smoothed(index, settings.smoothing, |t| t[0]);
    }
    let (from, to) = match settings.zoom_centre {
        ZoomCentre::Head if adapt_position => (driver.mean_position, reference.mean_position),
        ZoomCentre::Head => (driver.mean_position, driver.mean_position),
        ZoomCentre::Corner => ([0.0; 2], [0.0; 2]),
    };
    let (own, wanted) = (driver.mean_offset_from(from), reference.mean_offset_from(to));
    for c in 0..2 {
        let offset = if adapt_position {
            let smooth = driver.smoothed(index, settings.smoothing, |t| (t[1 + c] - from[c]) / t[0]);
            smooth - own[c] + wanted[c]
        } else if adapt_scale {
            (camera.translation[c] - from[c]) / camera.scale
        } else {
            continue;
        };
        out.translation[c] = out.scale * offset + to[c];
    }
    // Part of the way: sizes multiply, positions add. Skipped at 1, so that the default changes no bit.
    if adapt_scale && settings.adapt_scale != 1.0 {
        out.scale = camera.scale * (out.scale / camera.scale).powf(settings.adapt_scale);
    }
    let way = if adapt_position { settings.adapt_position } else { settings.adapt_scale };
    if way != 1.0 {
        for c in 0..2 {
            out.translation[c] = camera.translation[c] + way * (out.translation[c] - camera.translation[c]);
        }
    }
    out.translation[2] = camera.translation[2] * (out.scale / camera.scale);
    out
}

/// The rotation nearest to a sum of rotations (orthogonal polar factor).
fn nearest_rotation(sum: Matrix3<f64>) -> Rotation3<f32> {
    let svd = sum.svd(true, true);
    let (Some(u), Some(v_t)) = (svd.u, svd.v_t) else { return Rotation3::identity() };
    let flip = Matrix3::from_diagonal(&nalgebra::Vector3::new(1.0, 1.0, (u * v_t).determinant().signum()));
    Rotation3::from_matrix_unchecked((u * flip * v_t).map(|v| v as f32))
}

fn median(values: &mut [f32]) -> f32 {
    let middle = values.len() / 2;
    let odd = values.len() % 2 == 1;
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f32::total_cmp);
    if odd {
        return upper;
    }
    let lower = below.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    0.5 * (lower + upper)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::morphable::Euler;

    fn frame(scale: f32, x: f32, y: f32, yaw: f32, expr: &[f32]) -> FramePose {
        let rotation = Euler { yaw, pitch: 2.0, roll: -1.0 }.rotation();
        FramePose { camera: ImageCamera::new(scale, rotation, [x, y, 0.0]), expr: expr.to_vec() }
    }

    fn shot(frames: usize) -> Vec<FramePose> {
        (0..frames)
            .map(|i| {
                let t = i as f32 * 0.37;
                frame(
                    1e-3 * (1.0 + 0.05 * t.sin()),
                    128.0 + 9.0 * (0.7 * t).sin(),
                    120.0 + 5.0 * t.cos(),
                    15.0 * t.sin(),
                    &[t.sin(), t.cos() * 2.0],
                )
            })
            .collect()
    }

    /// The published code's steps on whole arrays, in f64: an independent way to the same numbers.
    fn published(reference: &[FramePose], driver: &[FramePose], window: usize) -> Vec<[f64; 3]> {
        let triple = |f: &FramePose| {
            [f64::from(f.camera.scale), f64::from(f.camera.translation[0]), f64::from(f.camera.translation[1])]
        };
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let column = |frames: &[FramePose], k: usize| frames.iter().map(|f| triple(f)[k]).collect::<Vec<_>>();
        let smooth = |v: &[f64]| -> Vec<f64> {
            let left = window / 2;
            let right = if window % 2 == 1 { window / 2 } else { window / 2 - 1 };
            let mut padded = vec![v[0]; left];
            padded.extend_from_slice(v);
            padded.extend(std::iter::repeat_n(v[v.len() - 1], right));
            padded.windows(window).map(mean).collect()
        };
        let (s_ref, s_drv) = (column(reference, 0), column(driver, 0));
        let quotient = mean(&s_ref) / mean(&s_drv);
        let s = smooth(&s_drv.iter().map(|v| v * quotient).collect::<Vec<_>>());
        let mut out: Vec<[f64; 3]> = s.iter().map(|&s| [s, 0.0, 0.0]).collect();
        for c in 1..3 {
            let normal = |frames: &[FramePose]| frames.iter().map(|f| triple(f)[c] / triple(f)[0]).collect::<Vec<_>>();
            let (target, source) = (normal(reference), normal(driver));
            let moved: Vec<f64> = source.iter().map(|v| v - mean(&source) + mean(&target)).collect();
            for (o, v) in out.iter_mut().zip(smooth(&moved)) {
                o[c] = o[0] * v;
            }
        }
        out
    }

    #[test]
    fn equals_the_published_steps() {
        let driver = shot(40);
        let reference: Vec<_> = shot(7).iter().map(|f| f.mapped(1.3, [11.0, -4.0])).collect();
        let (r, d) = (ShotStats::new(&reference).unwrap(), ShotStats::new(&driver).unwrap());
        for smoothing in [15, 4, 1] {
            let settings =
                RetargetSettings { zoom_centre: ZoomCentre::Corner, smoothing, ..RetargetSettings::default() };
            let expected = published(&reference, &driver, smoothing);
            // any order
            for i in (0..driver.len()).rev() {
                let out = retarget(&r, &d, i, &driver[i], &settings).unwrap();
                let e = expected[i];
                assert!((f64::from(out.camera.scale) / e[0] - 1.0).abs() < 1e-5);
                for c in 0..2 {
                    assert!((f64::from(out.camera.translation[c]) - e[1 + c]).abs() < 0.01, "{i} {smoothing}");
                }
                assert_eq!(out.camera.rotation, driver[i].camera.rotation);
                assert_eq!(out.expr, driver[i].expr);
            }
        }
    }

    #[test]
    fn coming_closer_grows_in_place() {
        let driver: Vec<_> = (0..30).map(|i| frame(1e-3 * (1.0 + 0.01 * i as f32), 100.0, 90.0, 0.0, &[0.0])).collect();
        let reference = [frame(2e-3, 128.0, 140.0, 0.0, &[0.0])];
        let (r, d) = (ShotStats::new(&reference).unwrap(), ShotStats::new(&driver).unwrap());
        for (i, f) in driver.iter().enumerate() {
            let out = retarget(&r, &d, i, f, &RetargetSettings::default()).unwrap();
            assert!(
                (out.camera.translation[0] - 128.0).abs() < 1e-3 && (out.camera.translation[1] - 140.0).abs() < 1e-3
            );
        }
        let ends = [0, 29].map(|i| retarget(&r, &d, i, &driver[i], &RetargetSettings::default()).unwrap().camera.scale);
        assert!(ends[0] < 2e-3 && ends[1] > 2e-3);
    }

    #[test]
    fn strength_zero_is_the_reference() {
        let driver = shot(20);
        let reference = [frame(2e-3, 128.0, 140.0, 10.0, &[0.5, -0.5])];
        let (r, d) = (ShotStats::new(&reference).unwrap(), ShotStats::new(&driver).unwrap());
        let still = RetargetSettings { motion: 0.0, pose: 0.0, expression: 0.0, ..RetargetSettings::default() };
        let out = retarget(&r, &d, 13, &driver[13], &still).unwrap();
        assert!((out.camera.scale - 2e-3).abs() < 1e-8);
        assert_eq!(out.camera.translation[..2], [128.0, 140.0]);
        assert!(out.camera.rotation.angle_to(&reference[0].camera.rotation) < 1e-3);
        assert_eq!(out.expr, reference[0].expr);
        let half = RetargetSettings { pose: 0.5, ..RetargetSettings::default() };
        let out = retarget(&r, &d, 13, &driver[13], &half).unwrap();
        let whole = driver[13].camera.rotation.angle_to(&reference[0].camera.rotation);
        assert!((out.camera.rotation.angle_to(&reference[0].camera.rotation) - 0.5 * whole).abs() < 1e-3);
    }

    #[test]
    fn relative_expression_moves_neutral_to_neutral() {
        let driver = shot(21);
        let reference = [frame(2e-3, 128.0, 140.0, 10.0, &[0.5, -0.5])];
        let (r, mut d) = (ShotStats::new(&reference).unwrap(), ShotStats::new(&driver).unwrap());
        d.neutral_expr = driver[4].expr.clone();
        let settings = RetargetSettings { relative_expression: true, ..RetargetSettings::default() };
        let out = retarget(&r, &d, 4, &driver[4], &settings).unwrap();
        assert!(out.expr.iter().zip(&reference[0].expr).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn wrong_use_is_an_error() {
        let driver = shot(3);
        let d = ShotStats::new(&driver).unwrap();
        assert!(matches!(ShotStats::new(&[]), Err(Error::NoFace(_))));
        let settings = RetargetSettings::default();
        assert!(matches!(retarget(&d, &d, 3, &driver[0], &settings), Err(Error::Usage(_))));
        let other = ShotStats::new(&[frame(1.0, 0.0, 0.0, 0.0, &[0.0])]).unwrap();
        assert!(retarget(&other, &d, 0, &driver[0], &settings).is_err());
        let mut mixed = shot(2);
        mixed[1].expr.pop();
        assert!(ShotStats::new(&mixed).is_err());
    }

    #[test]
    fn median_of_even_and_odd() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&mut [7.0]), 7.0);
    }

    proptest! {
        #[test]
        fn self_reenactment_returns_the_driver(frames in 1usize..30, index in 0usize..30, smoothing in 0usize..20) {
            let driver = shot(frames);
            let stats = ShotStats::new(&driver).unwrap();
            let index = index % frames;
            let settings = RetargetSettings { self_reenactment: true, smoothing, ..RetargetSettings::default() };
            let out = retarget(&stats, &stats, index, &driver[index], &settings).unwrap();
            prop_assert_eq!(&out, &driver[index]);
        }

        #[test]
        fn adapted_means_are_the_references(frames in 2usize..40, k in 0.3f32..3.0, dx in -90.0f32..90.0, dy in -90.0f32..90.0) {
            let driver = shot(frames);
            let reference: Vec<_> = shot(5).iter().map(|f| f.mapped(k, [dx, dy])).collect();
            let (r, d) = (ShotStats::new(&reference).unwrap(), ShotStats::new(&driver).unwrap());
            let settings = RetargetSettings { smoothing: 1, ..RetargetSettings::default() };
            let out: Vec<_> = (0..frames).map(|i| retarget(&r, &d, i, &driver[i], &settings).unwrap()).collect();
            let o = ShotStats::new(&out).unwrap();
            prop_assert!((o.mean_scale / r.mean_scale - 1.0).abs() < 1e-4);
            for c in 0..2 {
                // offsets from the reference's mean position agree on average
                let at = r.mean_position;
                prop_assert!(((o.mean_offset_from(at)[c] - r.mean_offset_from(at)[c]) * r.mean_scale).abs() < 0.05);
            }
        }
    }
}
