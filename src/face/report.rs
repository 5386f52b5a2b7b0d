//! What `headgan fit --json` prints.

use super::Detection;
use super::align::five_of_68;
use crate::error::Result;
use crate::morphable::{Euler, Fit, PreparedMorphable};
use serde::Serialize;

/// All faces of one picture.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct FitReport {
    /// Best score first.
    pub faces: Vec<FaceReport>,
}

/// One face.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaceReport {
    /// Left, top, right, bottom, in pixels.
    #[serde(rename = "box")]
    pub rect: [f32; 4],
    /// The detector's confidence, 0..1.
    pub score: f32,
    /// Left eye, right eye, nose, left and right mouth corner as seen in the picture; taken from `landmarks68` when
    /// the detector has none.
    pub landmarks5: [[f32; 2]; 5],
    /// The square crop that the parameters refer to: left, top, right, bottom.
    pub roi: [f32; 4],
    /// Camera (12), identity (40), expression (10).
    pub params62: Vec<f32>,
    /// x and y in pixels, z in the same unit, larger is nearer.
    #[serde(serialize_with = "points")]
    pub landmarks68: [[f32; 3]; 68],
    /// The head's pose.
    pub pose_deg: PoseDeg,
}

/// Euler angles in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PoseDeg {
    /// Degrees.
    pub yaw: f32,
    /// Degrees.
    pub pitch: f32,
    /// Degrees.
    pub roll: f32,
}

impl From<Euler> for PoseDeg {
    fn from(e: Euler) -> PoseDeg {
        PoseDeg { yaw: e.yaw, pitch: e.pitch, roll: e.roll }
    }
}

impl FaceReport {
    /// The report of a fitted face, landmarks and pose as upstream computes them.
    ///
    /// # Errors
    /// A fit that does not belong to the model.
    pub fn from_fit(face: &Detection, fit: &Fit, model: &PreparedMorphable) -> Result<FaceReport> {
        Ok(FaceReport::new(face, fit, model.landmarks68(fit)?, Euler::from_camera(&fit.params.camera).into()))
    }

    /// What is printed of a face.
    pub fn new(face: &Detection, fit: &Fit, landmarks68: [[f32; 3]; 68], pose_deg: PoseDeg) -> FaceReport {
        let p = &fit.params;
        FaceReport {
            rect: [face.rect.x0, face.rect.y0, face.rect.x1, face.rect.y1],
            score: face.score,
            landmarks5: face.landmarks5.unwrap_or_else(|| five_of_68(&landmarks68)),
            roi: [fit.roi.x0, fit.roi.y0, fit.roi.x1, fit.roi.y1],
            params62: p.camera.iter().chain(&p.shape).chain(&p.expr).copied().collect(),
            landmarks68,
            pose_deg,
        }
    }
}

/// Serde knows arrays only up to 32.
fn points<S: serde::Serializer>(points: &[[f32; 3]; 68], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Rect;
    use crate::morphable::Params;

    #[test]
    fn field_names_are_the_contract() {
        let rect = Rect { x0: 1.0, y0: 2.0, x1: 3.0, y1: 4.0 };
        let face = Detection { rect, score: 0.5, landmarks5: None };
        let params = Params { camera: [1.0; 12], shape: vec![2.0; 40], expr: vec![3.0; 10] };
        let pose = PoseDeg { yaw: 1.0, pitch: 2.0, roll: 3.0 };
        let report = FaceReport::new(&face, &Fit { params, roi: rect }, [[1.0, 2.0, 3.0]; 68], pose);
        let json = serde_json::to_value(FitReport { faces: vec![report] }).unwrap();
        let face = &json["faces"][0];
        let keys: Vec<&str> = face.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["box", "landmarks5", "landmarks68", "params62", "pose_deg", "roi", "score"]);
        assert_eq!(face["box"], serde_json::json!([1.0, 2.0, 3.0, 4.0]));
        assert_eq!(face["params62"].as_array().unwrap().len(), 62);
        assert_eq!(face["landmarks68"][67], serde_json::json!([1.0, 2.0, 3.0]));
        assert_eq!(face["landmarks5"][4], serde_json::json!([1.0, 2.0]));
        assert_eq!(face["pose_deg"], serde_json::json!({"yaw": 1.0, "pitch": 2.0, "roll": 3.0}));
    }
}
