//! The 62 parameters of the morphable model, regressed from a square crop.
//!
//! Guo et al., 3DDFA_V2, <https://arxiv.org/abs/2009.09960> (upstream `TDDFA.py`, `utils/functions.py`).

use super::bgr::{self, Bgr8, Pixels, Window};
use super::lids::Lids;
use crate::engine::{Executor, shape};
use crate::error::{Advice, Error, Result};
use crate::frame::{Frame, Rect};
use crate::morphable::{Fit, Morphable, Params};
use crate::nets::lids;
use crate::nets::mobilenet::{Config, SIZE, mobilenet};
use crate::weights::Weights;

/// The largest crop side in pixels that makes sense; beyond it something has gone astray.
const MAX_SIDE: f32 = 1e6;

/// The regressor on an executor that holds its weights.
#[derive(Debug, Clone)]
pub struct Regressor<O> {
    ops: O,
    config: Config,
    /// The crops of its second stage, if it has one.
    lids: Option<Lids>,
    mean: Vec<f32>,
    std: Vec<f32>,
    shape_dim: usize,
}

/// The configuration of a regressor's weights, every layer checked.
///
/// # Errors
/// [`Error::Model`] naming the layer that is missing or has the wrong shape.
pub fn check(weights: &Weights) -> Result<Config> {
    let config = Config::from_weights(weights)?;
    shape::check(weights, |ops| {
        mobilenet(ops, &[1, 3, SIZE, SIZE], &config);
        if config.lids {
            lids::lids(ops, &lids::shape(2));
        }
    })?;
    Ok(config)
}

impl<O: Executor> Regressor<O> {
    /// What it runs on.
    pub fn executor(&self) -> &O {
        &self.ops
    }

    /// A regressor whose weights are in `ops` and have passed [`check`], for the morphable model it was trained with.
    ///
    /// # Errors
    /// [`Error::Model`] when the network's outputs are not the model's parameters, or it has a stage for the lids and the model has no lids.
    pub fn new(ops: O, config: Config, model: &Morphable) -> Result<Regressor<O>> {
        let (mean, std) = (model.param_mean.clone(), model.param_std.clone());
        let want = 12 + model.shape_dim + model.expr_dim;
        if config.outputs != want || mean.len() != want || std.len() != want {
            return Err(Error::model(format!(
                "the regressor has {} outputs, with {} means and {} deviations, but the morphable model takes {want} \
                 parameters; use the regressor and the model of one pack",
                config.outputs,
                mean.len(),
                std.len()
            )));
        }
        let lids = config.lids.then(|| Lids::new(model)).transpose()?;
        Ok(Regressor { ops, config, lids, mean, std, shape_dim: model.shape_dim })
    }

    /// Whether a second stage refines the lids.
    pub fn has_lid_stage(&self) -> bool {
        self.lids.is_some()
    }

    /// The parameters of the face inside `roi` of `picture`.
    ///
    /// # Errors
    /// [`Error::NoFace`] when the crop is empty or not finite; [`Error::Engine`] when the network returns values that
    /// are not numbers.
    pub fn regress(&self, picture: &impl Pixels, roi: &Rect) -> Result<Fit> {
        let crop = crop(picture, roi)?;
        let x = self.ops.tensor([1, 3, SIZE, SIZE], &bgr::planes(&crop, |v, _| (f32::from(v) - 127.5) / 128.0));
        let y = self.ops.values(&mobilenet(&self.ops, &x, &self.config));
        let values: Vec<f32> = y.iter().zip(&self.std).zip(&self.mean).map(|((y, s), m)| y * s + m).collect();
        if values.len() != self.mean.len() || !values.iter().all(|v| v.is_finite()) {
            return Err(no_numbers());
        }
        let mut camera = [0.0; 12];
        camera.copy_from_slice(&values[..12]);
        let (shape, expr) = values[12..].split_at(self.shape_dim);
        let mut fit = Fit { params: Params { camera, shape: shape.to_vec(), expr: expr.to_vec() }, roi: *roi };
        if let Some(lids) = &self.lids {
            self.refine_lids(lids, picture, &mut fit)?;
        }
        Ok(fit)
    }

    /// Refines the lids of a fit from crops of its eyes. A fit that gives no usable crop stays as it is.
    fn refine_lids(&self, lids: &Lids, picture: &impl Pixels, fit: &mut Fit) -> Result<()> {
        let Some(look) = lids.look(picture, fit) else { return Ok(()) };
        let x = self.ops.tensor(lids::shape(2), &look.input());
        match *self.ops.values(&lids::lids(&self.ops, &x)) {
            [a, b] if a.is_finite() && b.is_finite() => lids.set(&mut fit.params.expr, [a, b]),
            _ => return Err(no_numbers()),
        }
        Ok(())
    }
}

impl<O: Executor + Sync> crate::face::traits::FaceFitter for Regressor<O> {
    fn fit(&self, image: &Frame, roi: &Rect) -> Result<Fit> {
        self.regress(image, roi)
    }
}

fn no_numbers() -> Error {
    Error::engine("the face regressor returned values that are not numbers; check the pack")
        .with_advice(Advice::CheckPack)
}

/// The crop of `picture` at the network's size: the corners rounded to whole pixels (halves to even), black where the
/// crop leaves the picture, then scaled.
///
/// # Errors
/// [`Error::NoFace`] when the crop is empty, absurdly large or not finite.
pub fn crop(picture: &impl Pixels, roi: &Rect) -> Result<Bgr8> {
    let corners = [roi.x0, roi.y0, roi.x1, roi.y1];
    let [x0, y0, x1, y1] = corners.map(|v| v.round_ties_even() as i64);
    if !corners.iter().all(|v| v.abs() < MAX_SIDE) || x1 <= x0 || y1 <= y0 {
        return Err(Error::no_face(format!(
            "the face crop ({}, {})-({}, {}) holds no pixels; choose another face or frame",
            roi.x0, roi.y0, roi.x1, roi.y1
        )));
    }
    let window = Window::new(picture, x0, y0, (x1 - x0) as usize, (y1 - y0) as usize);
    bgr::resize_linear(&window, SIZE, SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Ops;

    #[test]
    fn crops_round_and_fill_with_black() {
        let picture = Bgr8 { width: 120, height: 120, data: (0..120 * 120 * 3).map(|i| (i % 251) as u8 | 1).collect() };
        let whole = Rect { x0: 0.4, y0: -0.5, x1: 119.6, y1: 120.5 };
        // 0.4 to 0, -0.5 to 0 (even), 119.6 to 120, 120.5 to 120 (even).
        assert_eq!(crop(&picture, &whole).unwrap(), picture);
        let beside = Rect { x0: -120.0, y0: 0.0, x1: 0.0, y1: 120.0 };
        assert!(crop(&picture, &beside).unwrap().data.iter().all(|&v| v == 0));
        let half = crop(&picture, &Rect { x0: 60.0, y0: 0.0, x1: 180.0, y1: 120.0 }).unwrap();
        assert_eq!(half.bgr(59, 7), picture.bgr(119, 7));
        assert_eq!(half.bgr(60, 7), [0; 3]);
    }

    #[test]
    fn a_regressor_with_lids_looks_twice() {
        let mut model = (*crate::synthetic::head()).clone();
        (model.param_mean, model.param_std) = (vec![0.0; 62], vec![0.0; 62]);
        // A face in the middle of its crop, whatever the network says.
        model.param_mean[0] = 5e-4;
        model.param_mean[5] = 5e-4;
        model.param_mean[10] = 5e-4;
        (model.param_mean[3], model.param_mean[7]) = (60.0, 60.0);
        let layers = |second: bool| {
            shape::layers(|ops| {
                mobilenet(
                    ops,
                    &[1, 3, SIZE, SIZE],
                    &Config { width: 0.125, head: "fc".into(), outputs: 62, lids: false },
                );
                if second {
                    lids::lids(ops, &lids::shape(2));
                }
            })
        };
        let engine = |weights: &Weights| {
            let options = crate::engine::cpu::Options { threads: 1, ..Default::default() };
            crate::engine::Embedded::new(std::sync::Arc::new(weights.clone()), &options)
        };
        let mut rng = crate::testing::Rng(3);
        let picture =
            Bgr8 { width: 120, height: 120, data: (0..43_200).map(|_| (rng.signed() * 127.0) as u8).collect() };
        let roi = Rect { x0: 0.0, y0: 0.0, x1: 120.0, y1: 120.0 };
        let plain = crate::testing::random_weights(&layers(false), 1);
        let config = check(&plain).unwrap();
        assert!(!config.lids);
        let once = Regressor::new(engine(&plain), config, &model).unwrap().regress(&picture, &roi).unwrap();
        let both = crate::testing::random_weights(&layers(true), 1);
        let config = check(&both).unwrap();
        assert!(config.lids);
        let twice = Regressor::new(engine(&both), config, &model).unwrap().regress(&picture, &roi).unwrap();
        let eyes = Lids::new(&model).unwrap();
        let ops = engine(&both);
        let look = eyes.look(&picture, &once).unwrap();
        let x = ops.tensor(lids::shape(2), &look.input());
        assert_eq!(eyes.closed(&twice.params.expr).as_slice(), ops.values(&lids::lids(&ops, &x)));
        assert!(eyes.closed(&twice.params.expr).iter().all(|v| *v > 0.0 && *v < 1.0));
        // Nothing else is touched.
        let mut same = twice;
        eyes.set(&mut same.params.expr, eyes.closed(&once.params.expr));
        assert_eq!(same, once);
        // A layer that is cut off is named.
        let mut broken = both;
        broken.arrays.remove("lids.conv3.weight");
        assert!(matches!(check(&broken), Err(Error::Model(text)) if text.contains("lids.conv3.weight")));
    }

    #[test]
    fn senseless_crops_are_an_error() {
        let picture = Bgr8 { width: 1, height: 1, data: vec![0; 3] };
        for x1 in [0.0, -3.0, f32::NAN, f32::INFINITY, 1e30] {
            let r = crop(&picture, &Rect { x0: 0.0, y0: 0.0, x1, y1: 10.0 });
            assert!(matches!(r, Err(Error::NoFace(_))), "{x1}");
        }
    }
}
