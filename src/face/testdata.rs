//! Pictures, weights and a small morphable model for the tests that need the data beside the project.

use super::track::FaceModel;
use super::{Rect, roi};
use crate::error::Result;
use crate::frame::Frame;
use crate::models::Weights;
use crate::morphable::{Fit, Morphable};
use crate::testing::load_f32;
use std::path::Path;
use std::sync::Arc;

/// A still as a frame.
pub fn image(path: &Path) -> Frame {
    let rgb = image::open(path).unwrap().to_rgb8();
    let mut frame = Frame::new(rgb.width() as usize, rgb.height() as usize);
    for (out, p) in frame.data.chunks_exact_mut(4).zip(rgb.pixels()) {
        out.copy_from_slice(&[p[0] as f32 / 255.0, p[1] as f32 / 255.0, p[2] as f32 / 255.0, 1.0]);
    }
    frame
}

pub fn weights(_shared: &Path, name: &str) -> Arc<Weights> {
    Arc::new(load_f32(&Path::new("/tmp/faces_w").join(format!("{name}.safetensors"))))
}

/// The 68 landmarks of the morphable model, with nothing else of it.
pub struct Landmarks(pub Morphable);

pub fn model(shared: &Path) -> Landmarks {
    let w = weights(shared, "morph");
    let get = |k: &str| w.get(k).unwrap().as_f32().unwrap().to_vec();
    Landmarks(Morphable {
        mean: get("u"),
        shape_basis: get("w_shp"),
        expr_basis: get("w_exp"),
        shape_dim: 40,
        expr_dim: 10,
        triangles: vec![],
        landmarks: (0..68).collect(),
        ncc: vec![],
        param_mean: get("mean"),
        param_std: get("std"),
    })
}

impl FaceModel for Landmarks {
    fn landmarks68(&self, fit: &Fit) -> Result<[[f32; 3]; 68]> {
        let (m, p) = (&self.0, &fit.params);
        let dot = |basis: &[f32], row: usize, c: &[f32]| {
            basis[row * c.len()..][..c.len()].iter().zip(c).map(|(b, c)| b * c).sum::<f32>()
        };
        let (sx, sy) = (fit.roi.width() / 120.0, fit.roi.height() / 120.0);
        let mut out = [[0.0; 3]; 68];
        for (i, out) in out.iter_mut().enumerate() {
            let v = [0, 1, 2].map(|k| {
                let row = 3 * i + k;
                m.mean[row] + dot(&m.shape_basis, row, &p.shape) + dot(&m.expr_basis, row, &p.expr)
            });
            let c = &p.camera;
            let q = [0, 4, 8].map(|r| c[r] * v[0] + c[r + 1] * v[1] + c[r + 2] * v[2] + c[r + 3]);
            *out = [(q[0] - 1.0) * sx + fit.roi.x0, (120.0 - q[1]) * sy + fit.roi.y0, (q[2] - 1.0) * 0.5 * (sx + sy)];
        }
        let low = out.iter().map(|p| p[2]).fold(f32::INFINITY, f32::min);
        out.iter_mut().for_each(|p| p[2] -= low);
        Ok(out)
    }

    fn mesh_box(&self, fit: &Fit) -> Result<Rect> {
        // Landmarks end at the brows; the mesh reaches up to the forehead.
        let b = roi::bounds(&self.landmarks68(fit)?).unwrap();
        Ok(Rect { y0: b.y0 - 0.2 * b.height(), ..b })
    }
}
