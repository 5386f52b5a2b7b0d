//! What Draft derives once per morphable model: neighbours, rims, mirror images, the mouth's outline.

use std::collections::HashMap;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::morphable::Morphable;
use crate::morphable::arkit::iris_vertices;
use crate::morphable::topology::{border_loops, lip_chains};
use crate::reenact::draft::raster::area2;

/// Size of the mean face along y and z relative to x, to measure distances in the normalised coordinate code.
const PROPORTIONS: [f32; 3] = [1.0, 1.16, 0.777];
/// Width of the strip inside the mesh's outer border over which the mesh's flow takes over from its surroundings',
/// in face widths.
const RIM: f32 = 0.055;
/// Width of the strip inside the border over which made-up colours come in: wider than what the rim of a face that
/// is seen from the front hides, which is better stretched than repainted.
const INSET: f32 = 0.15;
/// Two surface points count as mirror images within this distance, in face widths.
const MIRROR_TOLERANCE: f32 = 0.03;
/// How far from the lid to the brow a lid's skin reaches.
const FOLD: f32 = 0.72;
/// Columns of the patch that closes the mouth.
pub(super) const MOUTH_COLUMNS: usize = 33;

/// A point on the surface: three vertices and their weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SurfacePoint {
    pub vertices: [u32; 3],
    pub weights: [f32; 3],
}

impl SurfacePoint {
    /// A value per vertex, read at this point.
    #[inline]
    pub fn read<const N: usize>(&self, values: &[[f32; N]]) -> [f32; N] {
        let v = self.vertices.map(|i| values[i as usize]);
        std::array::from_fn(|k| (0..3).map(|i| self.weights[i] * v[i][k]).sum())
    }
}

/// The opening of the mouth: points on the inner lips from the picture's left to its right.
#[derive(Debug, Clone)]
pub(super) struct MouthRim {
    pub upper: Vec<SurfacePoint>,
    pub lower: Vec<SurfacePoint>,
    /// Whether the teeth end in an even arch. On a head that does not act they end as in earlier versions, along its upper lip at rest.
    pub arch: bool,
}

/// The opening of an eye of the mesh: points on the rims of its lids from the picture's left to its right, and its iris.
#[derive(Debug, Clone)]
pub(super) struct EyeRim {
    pub upper: Vec<SurfacePoint>,
    pub lower: Vec<SurfacePoint>,
    /// Points on the skin above those of the upper lid, below the brow: so far a lid's skin stretches.
    pub fold: Vec<SurfacePoint>,
    /// Vertices of the iris' rim, at equal angles, among those of the whole mesh.
    pub iris: Range<u32>,
    /// The triangles that cover the opening.
    pub cover: Range<u32>,
}

/// A morphable model prepared for Draft reenactment. One per model, shared between shots.
#[derive(Debug)]
pub struct DraftModel {
    pub(super) triangles: Vec<[u32; 3]>,
    /// The triangles followed by those of the mouth's patch, whose vertices come after the model's.
    pub(super) closed: Vec<[u32; 3]>,
    pub(super) ncc: Vec<[f32; 3]>,
    /// Vertices of eyeballs, which every mesh has after those of the skin, and which Draft does not see.
    pub(super) beyond: usize,
    pub(super) landmarks: Vec<u32>,
    /// Sign of [`area2`] of a triangle that faces the viewer, in a picture.
    pub(super) front: f32,
    /// Whether it is a head that acts. What another's made-up colours look like is frozen.
    pub(super) acts: bool,
    /// Model x of the plane of symmetry.
    pub(super) symmetry_x: f32,
    /// Neighbours of vertex v: `neighbours[starts[v]..starts[v + 1]]`.
    pub(super) starts: Vec<u32>,
    pub(super) neighbours: Vec<u32>,
    /// The mirror image of each vertex, where the surface has one.
    pub(super) mirror: Vec<Option<SurfacePoint>>,
    /// The outer border in order.
    pub(super) border: Vec<u32>,
    /// 0 on the outer border, 1 from [`RIM`] inwards.
    pub(super) rim: Vec<f32>,
    /// 0 on the outer border, 1 from [`INSET`] inwards.
    pub(super) inset: Vec<f32>,
    pub(super) mouth: Option<MouthRim>,
    /// The eyes that the mesh has openings and eyeballs for.
    pub(super) eyes: Vec<EyeRim>,
    /// The border of each opening above the nose and the triangles that cover it.
    openings: Vec<(Vec<u32>, Range<u32>)>,
    /// Vertices that move with the skull and not with the jaw.
    pub(super) rigid: Vec<u32>,
}

impl DraftModel {
    /// Prepares a model.
    ///
    /// `ncc` is the normalised coordinate code (mean shape, each axis 0..1, x to the picture's right, y up, z towards
    /// the viewer); `landmarks` the vertices of the 68 iBUG landmarks (another number of them: the mouth is then left
    /// as it is). Fails with [`Error::Model`] where indices leave the model or the mesh has no border.
    pub fn new(triangles: &[[u32; 3]], ncc: &[[f32; 3]], landmarks: &[u32]) -> Result<DraftModel> {
        let n = ncc.len();
        let outside = |v: &u32| *v as usize >= n;
        if n < 4 || triangles.is_empty() {
            return Err(Error::model(format!(
                "the face model has {n} vertices and {} triangles; import the model again",
                triangles.len()
            )));
        }
        if triangles.iter().flatten().any(outside) || landmarks.iter().any(outside) {
            return Err(Error::model(format!(
                "a triangle or landmark of the face model points beyond its {n} vertices; import the model again"
            )));
        }
        if ncc.iter().flatten().any(|v| !v.is_finite()) {
            return Err(Error::Model("the face model's coordinate code is not finite; import the model again".into()));
        }
        // Pictures have y down, the code has y up.
        let flat: Vec<[f32; 3]> = ncc.iter().map(|p| [p[0], -p[1], p[2]]).collect();
        let area: f32 =
            triangles.iter().map(|t| area2(flat[t[0] as usize], flat[t[1] as usize], flat[t[2] as usize])).sum();
        let front = if area < 0.0 { -1.0 } else { 1.0 };
        let landmarks = if landmarks.len() == 68 { landmarks.to_vec() } else { Vec::new() };
        let symmetry_x = if landmarks.is_empty() {
            0.5
        } else {
            // Pairs of outer eye corners, jaw ends and mouth corners.
            let pairs = [(0, 16), (36, 45), (48, 54), (31, 35)];
            pairs.iter().map(|&(a, b)| ncc[landmarks[a] as usize][0] + ncc[landmarks[b] as usize][0]).sum::<f32>() / 8.0
        };
        let (starts, neighbours) = adjacency(triangles, n);
        let mut loops = border_loops(triangles);
        let longest = (0..loops.len()).max_by_key(|&i| (loops[i].len(), usize::MAX - i));
        let Some(longest) = longest else {
            return Err(Error::Model("the face model's mesh is closed; Draft needs a face with a border".into()));
        };
        let border = loops.swap_remove(longest);
        let [rim, inset] = [RIM, INSET].map(|width| rim(ncc, &border, width));
        let mouth = mouth_rim(&loops, ncc, &landmarks);
        let jaw = landmarks.get(33).map_or(0.35, |&v| ncc[v as usize][1]);
        // Eyes that are openings of the mesh move with their lids: they are covered like the skin around them.
        let mut triangles = triangles.to_vec();
        let mut openings = Vec::new();
        for eye in loops.iter().filter(|l| l.iter().all(|&v| ncc[v as usize][1] > jaw)) {
            let first = triangles.len() as u32;
            cover(eye, &mut triangles);
            openings.push((eye.clone(), first..triangles.len() as u32));
        }
        let mut closed = triangles.clone();
        if mouth.is_some() {
            let (upper, lower) = (n as u32, (n + MOUTH_COLUMNS) as u32);
            for k in 0..MOUTH_COLUMNS as u32 - 1 {
                let quad = [upper + k, upper + k + 1, lower + k + 1, lower + k];
                // Clockwise on screen, whose area is positive with y down.
                let (a, b) = ([quad[0], quad[1], quad[2]], [quad[0], quad[2], quad[3]]);
                closed.extend(if front > 0.0 { [a, b] } else { [[a[0], a[2], a[1]], [b[0], b[2], b[1]]] });
            }
        }
        let mut rigid: Vec<u32> = (0..n as u32).filter(|&v| ncc[v as usize][1] > jaw).step_by(7).collect();
        if rigid.len() < 16 {
            rigid = (0..n as u32).collect();
        }
        let mirror = mirror(ncc, &triangles, symmetry_x);
        Ok(DraftModel {
            triangles,
            closed,
            ncc: ncc.to_vec(),
            beyond: 0,
            landmarks,
            front,
            acts: false,
            symmetry_x,
            starts,
            neighbours,
            mirror,
            border,
            rim,
            inset,
            mouth,
            eyes: Vec::new(),
            openings,
            rigid,
        })
    }

    /// Prepares the skin of a morphable model: Draft moves the eyes' picture with their lids.
    ///
    /// # Errors
    /// As [`DraftModel::new`].
    pub fn from_morphable(model: &Morphable) -> Result<DraftModel> {
        let skin = model.skin_vertex_count();
        let mut draft = DraftModel::new(model.skin_triangles(), &model.ncc[..skin], &model.landmarks)?;
        if let Some(mouth) = &mut draft.mouth {
            mouth.arch = !model.arkit.is_empty();
        }
        let mut eyes = Vec::new();
        for (border, cover) in &draft.openings {
            let chains = lip_chains(border, |v| draft.ncc[v as usize]);
            let middle = border.iter().map(|&v| draft.ncc[v as usize][0]).sum::<f32>() / border.len() as f32;
            // The face's left is at the picture's right.
            let iris = iris_vertices(model, middle > draft.symmetry_x);
            if let (Some((upper, lower)), Some(iris)) = (chains, iris) {
                let (upper, lower) = (resample(&upper, &draft.ncc), resample(&lower, &draft.ncc));
                let fold = upper.as_ref().and_then(|upper| fold(&draft, upper));
                if let (Some(upper), Some(lower), Some(fold)) = (upper, lower, fold) {
                    eyes.push(EyeRim { upper, lower, fold, iris: iris.rim, cover: cover.clone() });
                }
            }
        }
        let acts = !model.arkit.is_empty();
        Ok(DraftModel { beyond: model.vertex_count() - skin, eyes, acts, ..draft })
    }

    /// Number of vertices of every mesh of this model.
    pub fn vertex_count(&self) -> usize {
        self.ncc.len() + self.beyond
    }

    #[inline]
    pub(super) fn neighbours_of(&self, v: usize) -> &[u32] {
        &self.neighbours[self.starts[v] as usize..self.starts[v + 1] as usize]
    }
}

/// Neighbouring vertices, each once, in compressed rows.
fn adjacency(triangles: &[[u32; 3]], n: usize) -> (Vec<u32>, Vec<u32>) {
    let mut lists: Vec<Vec<u32>> = vec![Vec::with_capacity(8); n];
    for t in triangles {
        for i in 0..3 {
            let (a, b) = (t[i], t[(i + 1) % 3]);
            for (a, b) in [(a, b), (b, a)] {
                let list = &mut lists[a as usize];
                if a != b && !list.contains(&b) {
                    list.push(b);
                }
            }
        }
    }
    let mut starts = vec![0u32];
    let mut flat = Vec::new();
    for list in lists {
        flat.extend(list);
        starts.push(flat.len() as u32);
    }
    (starts, flat)
}

/// Covers an opening with a strip of triangles that runs from one end of its border to the other.
///
/// `border` is in the direction of the triangles around it, which is against that of the strip's own.
fn cover(border: &[u32], triangles: &mut Vec<[u32; 3]>) {
    let (mut a, mut b) = (0, border.len() - 1);
    let mut left = true;
    while b - a > 1 {
        if left {
            triangles.push([border[a], border[b], border[a + 1]]);
            a += 1;
        } else {
            triangles.push([border[a], border[b], border[b - 1]]);
            b -= 1;
        }
        left = !left;
    }
}

/// Distance between two points of the model, in face widths.
pub(super) fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    (0..3).map(|k| ((a[k] - b[k]) * PROPORTIONS[k]).powi(2)).sum::<f32>().sqrt()
}

/// 0 on the border to 1 at `width` from it.
fn rim(ncc: &[[f32; 3]], border: &[u32], width: f32) -> Vec<f32> {
    let mut rim = vec![1.0f32; ncc.len()];
    let grid = Cells::new(ncc, border.iter().copied(), width);
    for (v, r) in rim.iter_mut().enumerate() {
        let near = grid.near(ncc[v]).map(|b| distance(ncc[v], ncc[b as usize])).fold(width, f32::min);
        let t = near / width;
        *r = t * t * (3.0 - 2.0 * t);
    }
    rim
}

/// Points sorted into cubes.
struct Cells {
    size: f32,
    cells: HashMap<[i32; 3], Vec<u32>>,
}

impl Cells {
    fn new(ncc: &[[f32; 3]], vertices: impl Iterator<Item = u32>, size: f32) -> Cells {
        let mut cells: HashMap<[i32; 3], Vec<u32>> = HashMap::new();
        for v in vertices {
            cells.entry(Cells::key(ncc[v as usize], size)).or_default().push(v);
        }
        Cells { size, cells }
    }

    fn key(p: [f32; 3], size: f32) -> [i32; 3] {
        std::array::from_fn(|k| (p[k] * PROPORTIONS[k] / size).floor() as i32)
    }

    /// All points within one cell's size of `p`, and some beyond.
    fn near(&self, p: [f32; 3]) -> impl Iterator<Item = u32> {
        let [x, y, z] = Cells::key(p, self.size);
        (0..27).flat_map(move |i| {
            self.cells.get(&[x + i % 3 - 1, y + i / 3 % 3 - 1, z + i / 9 - 1]).into_iter().flatten().copied()
        })
    }
}

/// For each vertex the surface point at its mirror image.
fn mirror(ncc: &[[f32; 3]], triangles: &[[u32; 3]], symmetry_x: f32) -> Vec<Option<SurfacePoint>> {
    let mut around: Vec<Vec<u32>> = vec![Vec::new(); ncc.len()];
    for (i, t) in triangles.iter().enumerate() {
        for &v in t {
            around[v as usize].push(i as u32);
        }
    }
    let cells = Cells::new(ncc, 0..ncc.len() as u32, MIRROR_TOLERANCE);
    ncc.iter()
        .map(|p| {
            let q = [2.0 * symmetry_x - p[0], p[1], p[2]];
            let near = cells
                .near(q)
                .map(|v| (distance(q, ncc[v as usize]), v))
                .filter(|(d, _)| *d <= MIRROR_TOLERANCE)
                .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))?
                .1;
            // The nearest of the triangles around the nearest vertex.
            around[near as usize]
                .iter()
                .map(|&t| {
                    let vertices = triangles[t as usize];
                    let weights = project(q, vertices.map(|v| ncc[v as usize]));
                    let point = SurfacePoint { vertices, weights };
                    (distance(q, point.read(ncc)), point)
                })
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .map(|(_, point)| point)
        })
        .collect()
}

/// Weights of the triangle's point near `p`: the foot of the perpendicular, pulled into the triangle.
fn project(p: [f32; 3], t: [[f32; 3]; 3]) -> [f32; 3] {
    let sub = |a: [f32; 3], b: [f32; 3]| -> [f32; 3] { std::array::from_fn(|k| (a[k] - b[k]) * PROPORTIONS[k]) };
    let dot = |a: [f32; 3], b: [f32; 3]| -> f32 { (0..3).map(|k| a[k] * b[k]).sum() };
    let (e1, e2, d) = (sub(t[1], t[0]), sub(t[2], t[0]), sub(p, t[0]));
    let (a, b, c) = (dot(e1, e1), dot(e1, e2), dot(e2, e2));
    let (u, v) = (dot(d, e1), dot(d, e2));
    let det = a * c - b * b;
    if det <= 1e-12 * a * c {
        return [1.0, 0.0, 0.0];
    }
    let (w1, w2) = ((c * u - b * v) / det, (a * v - b * u) / det);
    let w = [1.0 - w1 - w2, w1, w2].map(|w| w.max(0.0));
    let sum = w[0] + w[1] + w[2];
    w.map(|x| x / sum)
}

/// Resamples the inner lips: the border loop that lies at landmarks 60..68, cut at its corners.
fn mouth_rim(loops: &[Vec<u32>], ncc: &[[f32; 3]], landmarks: &[u32]) -> Option<MouthRim> {
    let lips = landmarks.get(60..68)?;
    let away = |l: &Vec<u32>| -> f32 {
        let near =
            |p: &u32| l.iter().map(|&v| distance(ncc[*p as usize], ncc[v as usize])).fold(f32::INFINITY, f32::min);
        lips.iter().map(near).fold(0.0, f32::max)
    };
    let mouth = loops.iter().filter(|l| away(l) < 0.06).min_by(|a, b| away(a).total_cmp(&away(b)))?;
    let (upper, lower) = lip_chains(mouth, |v| ncc[v as usize])?;
    Some(MouthRim { upper: resample(&upper, ncc)?, lower: resample(&lower, ncc)?, arch: false })
}

/// The points of the skin as far above those of an upper lid as its skin stretches.
fn fold(model: &DraftModel, upper: &[SurfacePoint]) -> Option<Vec<SurfacePoint>> {
    let y = |i: usize| model.landmarks.get(i).map(|&v| model.ncc[v as usize][1]);
    let left = upper.first()?.read(&model.ncc)[0] > model.symmetry_x;
    let (brow, lid) = if left { (22..27, [43, 44]) } else { (17..22, [37, 38]) };
    let brow = brow.filter_map(y).sum::<f32>() / 5.0;
    let rise = FOLD * (brow - 0.5 * (y(lid[0])? + y(lid[1])?));
    if rise <= 0.0 {
        return None;
    }
    let skin = &model.triangles[..model.openings.first().map_or(model.triangles.len(), |o| o.1.start as usize)];
    upper
        .iter()
        .map(|p| {
            let p = p.read(&model.ncc);
            on_front(&model.ncc, skin, [p[0], p[1] + rise])
        })
        .collect()
}

/// The foremost point of the mean face at a place seen from its front.
fn on_front(ncc: &[[f32; 3]], triangles: &[[u32; 3]], at: [f32; 2]) -> Option<SurfacePoint> {
    let mut found: Option<(f32, SurfacePoint)> = None;
    for t in triangles {
        let [a, b, c] = t.map(|v| ncc[v as usize]);
        let p = [at[0], at[1], 0.0];
        let w = [area2(b, c, p), area2(c, a, p), area2(a, b, p)];
        let total = w[0] + w[1] + w[2];
        let w = w.map(|v| v / total);
        if total != 0.0 && w.iter().all(|v| *v >= -1e-4) {
            let point = SurfacePoint { vertices: *t, weights: w };
            let z = point.read(ncc)[2];
            if found.is_none_or(|f| z > f.0) {
                found = Some((z, point));
            }
        }
    }
    found.map(|f| f.1)
}

/// [`MOUTH_COLUMNS`] points at equal distances along a chain.
fn resample(chain: &[u32], ncc: &[[f32; 3]]) -> Option<Vec<SurfacePoint>> {
    let mut along = vec![0.0f32];
    for pair in chain.windows(2) {
        along.push(along[along.len() - 1] + distance(ncc[pair[0] as usize], ncc[pair[1] as usize]));
    }
    let total = *along.last()?;
    if chain.len() < 2 || total <= 0.0 {
        return None;
    }
    let mut segment = 0;
    Some(
        (0..MOUTH_COLUMNS)
            .map(|k| {
                let at = total * k as f32 / (MOUTH_COLUMNS - 1) as f32;
                while segment + 2 < chain.len() && along[segment + 1] < at {
                    segment += 1;
                }
                let t = ((at - along[segment]) / (along[segment + 1] - along[segment]).max(1e-9)).clamp(0.0, 1.0);
                let (a, b) = (chain[segment], chain[segment + 1]);
                SurfacePoint { vertices: [a, b, b], weights: [1.0 - t, t, 0.0] }
            })
            .collect(),
    )
}
