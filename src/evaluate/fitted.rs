//! How closely the fitted head follows the dense points that it was fitted to.

use super::performance::{Performance, arrival, signals};
use crate::Result;
use crate::face::dense::refinement::{LIPS, POINTS, lids};
use crate::morphable::{Mesh, ShapeIdentity};
use crate::reenact::networks::{Fitting, Networks};
use crate::shot::analyse::Analysis;
use serde::Serialize;

/// The fit of a clip beside its points.
#[derive(Debug, Clone, Serialize)]
pub struct FitQuality {
    /// Mean distance in the picture between the head's points and those found, over all 478 and all frames, in percent of the distance
    /// of the outer corners of the eyes.
    pub all_percent: f64,
    /// The same of lids and lips alone.
    pub lids_and_lips_percent: f64,
    /// The signals of the head's points beside those of the points found: correlation and gain.
    pub signals: Performance,
}

/// Measures a clip whose head was fitted to dense points; `None` for one that was not.
///
/// # Errors
/// A fit that is another model's.
pub fn fit_quality(networks: &Networks, analysis: &Analysis) -> Result<Option<FitQuality>> {
    let Fitting::Dense { fitter, .. } = &networks.fitting else { return Ok(None) };
    let head = fitter.head();
    let fine: Vec<usize> = lids().concat().into_iter().chain(LIPS).collect();
    let (mut all, mut close, mut frames) = (0.0, 0.0, 0);
    let (mut found, mut made) = (Vec::new(), Vec::new());
    // The same person in every frame: known after the first.
    let (mut identity, mut mesh) = (ShapeIdentity::default(), Mesh::default());
    for face in &analysis.faces {
        let Some((face, dense)) = face.as_ref().and_then(|f| Some((f, f.dense.as_ref()?))) else {
            found.push(None);
            made.push(None);
            continue;
        };
        networks.morphable.identity_into(&face.fit.params.shape, &mut identity)?;
        networks.morphable.fit_mesh_into(&identity, &face.fit, &mut mesh)?;
        let points: Vec<[f32; 3]> = (0..POINTS)
            .map(|i| {
                let (triangle, weights) = head.place_of(i);
                let [x, y, z] = std::array::from_fn(|c| {
                    triangle.iter().zip(weights).map(|(v, w)| w * mesh.vertices[*v as usize][c]).sum::<f32>()
                });
                // A mesh is nearer where z is larger, points where it is smaller.
                [x, y, -z]
            })
            .collect();
        let eyes = |a: [f32; 3], b: [f32; 3]| (0..3).map(|c| f64::from(a[c] - b[c]).powi(2)).sum::<f64>().sqrt();
        let apart = eyes(dense.points[33], dense.points[263]);
        let off = |i: usize| {
            let (a, b) = (points[i], dense.points[i]);
            f64::from((a[0] - b[0]).hypot(a[1] - b[1])) / apart
        };
        all += (0..POINTS).map(off).sum::<f64>() / POINTS as f64;
        close += fine.iter().map(|i| off(*i)).sum::<f64>() / fine.len() as f64;
        frames += 1;
        found.push(signals(&dense.points[..]));
        made.push(signals(&points));
    }
    let percent = |sum: f64| 100.0 * sum / f64::from(frames.max(1));
    let signals = arrival(&found, &made);
    Ok((frames > 0).then(|| FitQuality { all_percent: percent(all), lids_and_lips_percent: percent(close), signals }))
}
