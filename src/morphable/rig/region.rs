//! The regions of a face: masks over its mesh that add up to 1.

use super::P3;

/// A part of the face whose share in the performance can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Region {
    /// Lips and what surrounds them.
    Mouth,
    /// The outline of the face, chin and lower cheeks.
    Jaw,
    /// Lids and what surrounds them.
    Eyes,
    /// Brows and forehead.
    Brows,
}

impl Region {
    /// All of them; [`super::RigSettings::regions`] and [`super::Rig::masks`] are in this order.
    pub const ALL: [Region; 4] = [Region::Mouth, Region::Jaw, Region::Eyes, Region::Brows];
    /// How many there are.
    pub const COUNT: usize = Region::ALL.len();

    /// Stable name.
    pub const fn id(self) -> &'static str {
        match self {
            Region::Mouth => "mouth",
            Region::Jaw => "jaw",
            Region::Eyes => "eyes",
            Region::Brows => "brows",
        }
    }

    /// Chains of iBUG landmarks that mark the region.
    pub(super) fn chains(self) -> &'static [&'static [usize]] {
        match self {
            Region::Mouth => {
                &[&[48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 48], &[60, 61, 62, 63, 64, 65, 66, 67, 60]]
            }
            Region::Jaw => &[&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]],
            Region::Eyes => &[&[36, 37, 38, 39, 40, 41, 36], &[42, 43, 44, 45, 46, 47, 42]],
            Region::Brows => &[&[17, 18, 19, 20, 21], &[22, 23, 24, 25, 26]],
        }
    }

    /// The landmarks of the region.
    pub(super) fn landmarks(self) -> Vec<usize> {
        let mut all: Vec<usize> = self.chains().concat();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Softness of the borders between regions, share of the distance of the outer corners of the eyes: halfway between lid
/// and brow a mask is 1/2, at lid and brow it is 0.99 and 0.01.
const SOFTNESS: f64 = 0.047;

/// How much a point belongs to each region: a softmin of the distances to the regions' landmarks.
pub(super) fn masks(p: P3, landmarks: &[P3; 68]) -> [f32; Region::COUNT] {
    let soft = SOFTNESS * length(sub(landmarks[45], landmarks[36])).max(1e-9);
    let far = Region::ALL.map(|r| {
        let chain = |c: &&[usize]| {
            c.windows(2).map(|w| to_segment(p, landmarks[w[0]], landmarks[w[1]])).fold(f64::INFINITY, f64::min)
        };
        r.chains().iter().map(chain).fold(f64::INFINITY, f64::min)
    });
    let nearest = far.iter().copied().fold(f64::INFINITY, f64::min);
    let weights = far.map(|d| ((nearest - d) / soft).exp());
    let total: f64 = weights.iter().sum();
    weights.map(|w| (w / total) as f32)
}

fn sub(a: P3, b: P3) -> P3 {
    std::array::from_fn(|c| a[c] - b[c])
}

fn dot(a: P3, b: P3) -> f64 {
    (0..3).map(|c| a[c] * b[c]).sum()
}

fn length(a: P3) -> f64 {
    dot(a, a).sqrt()
}

fn to_segment(p: P3, a: P3, b: P3) -> f64 {
    let (along, to) = (sub(b, a), sub(p, a));
    let t = (dot(along, to) / dot(along, along).max(1e-12)).clamp(0.0, 1.0);
    length(std::array::from_fn(|c| to[c] - t * along[c]))
}
