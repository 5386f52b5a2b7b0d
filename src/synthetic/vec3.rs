//! Small vector algebra of the scene.

use crate::morphable::canonical::surface::P3;

pub(super) fn add(a: P3, b: P3) -> P3 {
    std::array::from_fn(|c| a[c] + b[c])
}

pub(super) fn sub(a: P3, b: P3) -> P3 {
    std::array::from_fn(|c| a[c] - b[c])
}

pub(super) fn dot(a: P3, b: P3) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn cross(a: P3, b: P3) -> P3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// `v` at length 1; what has no length stays.
pub(super) fn unit(v: [f32; 3]) -> [f32; 3] {
    let length = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
    if length > 0.0 { v.map(|c| c / length) } else { v }
}
