//! What is known of a frame, as the cache keeps it.

use crate::face::Detection;
use crate::face::dense::DenseFace;
use crate::face::dense::refinement::POINTS;
use crate::face::embedding::FaceEmbedding;
use crate::face::observe::{Fitted, Observation, Seen};
use crate::frame::Rect;
use crate::morphable::{Fit, Params};
use crate::weights::{Array, Data, Weights};

/// An observation as arrays, `n` faces of which `m` are fitted: `box` [n, 4], `score` \[n\], `landmarks5` [n, 10] (where the detector
/// has them, else NaN), `fit` \[n\] (which of the fits, or -1), `camera` [m, 12], `shape` [m, s], `expression` [m, e], `roi` [m, 4], `quality`
/// [m, 2] (agreement, plausibility), `identity` [m, 128] (where a network knows people,
/// else NaN), `dense` [m, 1435] (where dense points are fitted: 478 points, and their presence).
pub fn encode(observation: &Observation) -> Weights {
    let faces = &observation.faces;
    let mut out = Weights::default();
    let mut put = |name: &str, rows: usize, values: Vec<f32>| {
        let columns = values.len().checked_div(rows).unwrap_or(0);
        out.insert(name, Array::f32([rows, columns], values));
    };
    let corners = |r: &Rect| [r.x0, r.y0, r.x1, r.y1];
    let n = faces.len();
    put("box", n, faces.iter().flat_map(|f| corners(&f.detection.rect)).collect());
    put("score", n, faces.iter().map(|f| f.detection.score).collect());
    if faces.iter().any(|f| f.detection.landmarks5.is_some()) {
        let points = faces.iter().flat_map(|f| f.detection.landmarks5.unwrap_or([[f32::NAN; 2]; 5]));
        put("landmarks5", n, points.flatten().collect());
    }
    let fits: Vec<&Fitted> = faces.iter().filter_map(|f| f.fitted.as_ref()).collect();
    let m = fits.len();
    put("camera", m, fits.iter().flat_map(|f| f.fit.params.camera).collect());
    put("shape", m, fits.iter().flat_map(|f| f.fit.params.shape.iter().copied()).collect());
    put("expression", m, fits.iter().flat_map(|f| f.fit.params.expr.iter().copied()).collect());
    put("roi", m, fits.iter().flat_map(|f| corners(&f.fit.roi)).collect());
    put("quality", m, fits.iter().flat_map(|f| [f.agreement, f.plausibility]).collect());
    if let Some(length) = fits.iter().find_map(|f| f.identity.as_ref()).map(|i| i.0.len()) {
        let unknown = FaceEmbedding(vec![f32::NAN; length]);
        let all = fits.iter().flat_map(|f| f.identity.as_ref().unwrap_or(&unknown).0.iter().copied());
        put("identity", m, all.collect());
    }
    if fits.iter().any(|f| f.dense.is_some()) {
        let unknown = [f32::NAN; DENSE];
        let values = |f: &&Fitted| match &f.dense {
            Some(face) => [face.points.as_flattened(), &[face.presence]].concat(),
            None => unknown.to_vec(),
        };
        put("dense", m, fits.iter().flat_map(values).collect());
    }
    let mut next = 0;
    let which = faces.iter().map(|f| {
        let at = if f.fitted.is_some() { next } else { -1 };
        next += i32::from(f.fitted.is_some());
        at
    });
    let which = which.collect();
    out.insert("fit", Array { shape: vec![n], data: Data::I32(which) });
    out
}

/// What [`encode`] wrote; `None` where the arrays do not belong together (another version's, perhaps).
pub fn decode(value: &Weights) -> Option<Observation> {
    let rows = |name: &str| -> Option<Vec<&[f32]>> {
        let array = value.get(name)?;
        let (values, [rows, columns]) = (array.as_f32()?, <[usize; 2]>::try_from(&array.shape[..]).ok()?);
        if columns == 0 { Some(vec![&[]; rows]) } else { Some(values.chunks_exact(columns).collect()) }
    };
    let known = |v: &[f32]| v.first().is_none_or(|v| !v.is_nan());
    let rect = |v: &[f32]| <[f32; 4]>::try_from(v).ok().map(|[x0, y0, x1, y1]| Rect { x0, y0, x1, y1 });
    let (boxes, scores, which) = (rows("box")?, rows("score")?, value.get("fit")?.as_i32()?);
    let points = value.get("landmarks5").and_then(|_| rows("landmarks5"));
    let (cameras, shapes, exprs) = (rows("camera")?, rows("shape")?, rows("expression")?);
    let (rois, qualities) = (rows("roi")?, rows("quality")?);
    let identities = value.get("identity").and_then(|_| rows("identity"));
    let dense = value.get("dense").and_then(|_| rows("dense"));
    let mut faces = Vec::with_capacity(boxes.len());
    for (i, corners) in boxes.iter().enumerate() {
        let landmarks5 = match &points {
            Some(points) => {
                let p = <[f32; 10]>::try_from(*points.get(i)?).ok()?;
                known(&p).then(|| std::array::from_fn(|k| [p[2 * k], p[2 * k + 1]]))
            }
            None => None,
        };
        let detection = Detection { rect: rect(corners)?, score: *scores.get(i)?.first()?, landmarks5 };
        let fitted = match usize::try_from(*which.get(i)?) {
            Ok(k) => {
                let params = Params {
                    camera: <[f32; 12]>::try_from(*cameras.get(k)?).ok()?,
                    shape: shapes.get(k)?.to_vec(),
                    expr: exprs.get(k)?.to_vec(),
                };
                let &[agreement, plausibility] = *qualities.get(k)? else { return None };
                let identity = match &identities {
                    Some(all) => Some(*all.get(k)?).filter(|v| known(v)).map(|v| FaceEmbedding(v.to_vec())),
                    None => None,
                };
                let dense = match &dense {
                    Some(all) => match Some(*all.get(k)?).filter(|v| known(v)) {
                        Some(values) => Some(dense_face(values)?),
                        None => None,
                    },
                    None => None,
                };
                let fit = Fit { params, roi: rect(rois.get(k)?)? };
                Some(Fitted { fit, agreement, plausibility, identity, dense })
            }
            Err(_) => None,
        };
        faces.push(Seen { detection, fitted });
    }
    Some(Observation { faces })
}

/// Numbers of a dense face.
const DENSE: usize = 3 * POINTS + 1;

fn dense_face(values: &[f32]) -> Option<DenseFace> {
    let (presence, points) = values.split_last()?;
    let points: Box<[[f32; 3]]> = points.as_chunks::<3>().0.into();
    Some(DenseFace { points: points.try_into().ok()?, presence: *presence })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    fn seen(rng: &mut Rng, points: bool, fitted: bool, identity: bool) -> Seen {
        let mut rect = || Rect { x0: rng.signed(), y0: rng.signed(), x1: rng.signed(), y1: rng.signed() };
        let (rect, roi) = (rect(), rect());
        let landmarks5 = points.then(|| std::array::from_fn(|_| [rng.signed(), rng.signed()]));
        let params = Params { camera: std::array::from_fn(|_| rng.signed()), shape: rng.vec(40), expr: rng.vec(10) };
        let identity = identity.then(|| FaceEmbedding(rng.vec(128)));
        let fitted = {
            let dense = points.then(|| {
                let all: Vec<[f32; 3]> = rng.vec(3 * POINTS).as_chunks().0.to_vec();
                DenseFace { points: all.into_boxed_slice().try_into().unwrap(), presence: 0.5 }
            });
            fitted.then_some(Fitted { fit: Fit { params, roi }, agreement: 0.5, plausibility: 0.25, identity, dense })
        };
        Seen { detection: Detection { rect, score: 0.75, landmarks5 }, fitted }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let mut rng = Rng(5);
        for points in [true, false] {
            for identity in [true, false] {
                for fits in [&[][..], &[true], &[false], &[false, true, true]] {
                    let faces = fits.iter().map(|f| seen(&mut rng, points, *f, identity)).collect();
                    let observation = Observation { faces };
                    assert_eq!(decode(&encode(&observation)), Some(observation));
                }
            }
        }
    }

    #[test]
    fn some_faces_know_more_than_others() {
        let mut rng = Rng(6);
        let faces = [(true, true), (false, false), (false, true)].map(|(p, i)| seen(&mut rng, p, true, i)).to_vec();
        let observation = Observation { faces };
        assert_eq!(decode(&encode(&observation)), Some(observation));
    }

    #[test]
    fn arrays_that_do_not_belong_together_are_none() {
        let good = encode(&Observation { faces: vec![seen(&mut Rng(1), true, true, true)] });
        for name in good.arrays.keys() {
            let mut short = good.clone();
            short.insert(name.clone(), Array::f32([0, 0], vec![]));
            let result = decode(&short);
            assert!(result.is_none() || result == Some(Observation::default()), "{name}");
        }
        assert_eq!(decode(&Weights::default()), None);
    }
}
