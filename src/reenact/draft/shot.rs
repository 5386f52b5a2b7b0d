//! What Draft derives once per reference picture.

use std::sync::Arc;

use nalgebra::{Vector2, Vector3};

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::morphable::Mesh;
use crate::reenact::draft::bank::{Bank, BankPicture};
use crate::reenact::draft::eyes::ReferenceEye;
use crate::reenact::draft::guided::box_mean;
use crate::reenact::draft::layers::{Layers, opaque_rect};
use crate::reenact::draft::mask;
use crate::reenact::draft::model::DraftModel;
use crate::reenact::draft::motion::{Affine, Hull};
use crate::reenact::draft::mouth::ReferenceMouth;
use crate::reenact::draft::raster::{NONE, Raster};
use crate::reenact::draft::sample::{bicubic, step};

/// A vertex whose normal's z is above this shows its colour well.
const FACING: f32 = 0.25;
/// Rings of vertices by which foreign matter on the mesh is grown, and then softened.
const SPREAD: usize = 3;
/// Between these distances from the plane of symmetry, in face widths, and these heights of the model, a cheek's made-up colours cease to
/// follow the mirrored side's.
const CHEEK: [[f32; 2]; 2] = [[0.24, 0.34], [0.43, 0.58]];
/// What colours are compared with on top of their own brightness: below it steps are differences rather than ratios.
const DARKEST: f32 = 0.03;
/// What each colour adds to brightness.
const LUMA: [f32; 3] = [0.3, 0.6, 0.1];
/// How far within its outline the mesh is the person for sure, as a share of the face's size.
const INSIDE: f32 = 0.04;
/// Passes over the vertices that need a colour made for them.
const FILL_SWEEPS: usize = 100;

/// One reference picture with its mesh, ready to be rendered in other poses. Cheap to share between threads.
#[derive(Debug)]
pub struct DraftShot {
    pub(super) model: Arc<DraftModel>,
    /// The picture as given.
    pub(super) picture: Frame,
    /// The picture with colours multiplied by alpha, where alpha is not 1 everywhere.
    pub(super) premultiplied: Option<Frame>,
    pub(super) mesh: Vec<[f32; 3]>,
    /// Unit normal per vertex, towards the viewer where z > 0.
    pub(super) normals: Vec<[f32; 3]>,
    /// Whether the reference shows the vertex: 1 yes, 0 no, between at the limits of what hides it.
    pub(super) seen: Vec<f32>,
    /// How surely the picture shows something else (hair, collar, background) at an oblique vertex of cheek or jaw.
    pub(super) foreign: Vec<f32>,
    /// Colour per vertex for where the reference does not show the surface.
    pub(super) fill: Vec<[f32; 4]>,
    pub(super) affine: Affine,
    pub(super) hull: Hull,
    /// For each vertex of the model's outer border, the way from it to where the picture shows what surrounds the face: not
    /// zero where the face hides the vertex.
    pub(super) border: Vec<Vector2<f32>>,
    pub(super) mouth: Option<ReferenceMouth>,
    /// For each eye of the model, where the picture shows it.
    pub(super) eyes: Vec<Option<ReferenceEye>>,
    /// Share of each grid node's neighbourhood that the reference's face covers.
    pub(super) covered: Vec<f32>,
    /// Side of a square as large as the mesh's bounding box, pixels.
    pub(super) face_size: f32,
    /// The person apart from what is behind, where that is known.
    pub(super) layers: Option<Layers>,
    /// What further pictures of the person show.
    pub(super) bank: Option<Bank>,
}

/// Fails unless the mesh belongs to the model and is finite.
pub(super) fn check_mesh(model: &DraftModel, mesh: &Mesh, what: &str) -> Result<()> {
    let (got, want) = (mesh.vertices.len(), model.vertex_count());
    if got != want {
        return Err(Error::model(format!(
            "the {what} mesh has {got} vertices, the model {want}; use one model for both"
        )));
    }
    // The bound keeps every later product finite.
    if mesh.vertices.iter().flatten().any(|v| !v.is_finite() || v.abs() > 1e7) {
        return Err(Error::input(format!(
            "the {what} mesh has a vertex that is not a number or far outside; refit the face"
        )));
    }
    Ok(())
}

impl DraftShot {
    /// Prepares a reference picture; `mesh` is its face in the picture's own pixels. Its background moves with the head.
    ///
    /// Fails with [`Error::Model`] where the mesh is not the model's, with [`Error::Input`] where picture or mesh cannot
    /// be used.
    pub fn new(model: Arc<DraftModel>, picture: Frame, mesh: Mesh) -> Result<DraftShot> {
        DraftShot::with_matte(model, picture, mesh, None)
    }

    /// As [`DraftShot::new`]; where `matte` says how much of each pixel is the person (0..1, row by row), what is behind can stay still.
    /// A picture with an alpha brings its own matte; one that is opaque within a rectangle does not.
    ///
    /// # Errors
    /// As [`DraftShot::new`]; [`Error::Input`] for a matte of another size.
    pub fn with_matte(
        model: Arc<DraftModel>,
        picture: Frame,
        mesh: Mesh,
        matte: Option<Vec<f32>>,
    ) -> Result<DraftShot> {
        check_mesh(&model, &mesh, "reference")?;
        let (w, h) = (picture.width, picture.height);
        if w == 0 || h == 0 || picture.data.len() != 4 * w * h {
            return Err(Error::input(format!("the reference picture is {w}x{h}; give it at least one pixel")));
        }
        let whole = mesh.vertices;
        let mesh = whole[..model.ncc.len()].to_vec();
        let flat = || Error::Input("the reference mesh has no volume; refit the face".into());
        let affine = Affine::fit(&model.ncc, &mesh).ok_or_else(flat)?;
        let hull = Hull::new(&affine, model.symmetry_x).ok_or_else(flat)?;
        let premultiplied = picture.data.iter().skip(3).step_by(4).any(|&a| a != 1.0).then(|| premultiply(&picture));
        let source = premultiplied.as_ref().unwrap_or(&picture);

        let (mut lo, mut hi) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
        for v in &mesh {
            for k in 0..2 {
                lo[k] = lo[k].min(v[k]);
                hi[k] = hi[k].max(v[k]);
            }
        }
        let face_size = ((hi[0] - lo[0]) * (hi[1] - lo[1])).max(1.0).sqrt();
        let mut raster = Raster::default();
        raster.draw(w, h, &mesh, &model.triangles, model.front);
        let normals = normals(&model, &mesh);
        let seen = seen(&model, &raster, &mesh, &normals, 0.01 * face_size);
        if matte.as_ref().is_some_and(|m| m.len() != w * h) {
            return Err(Error::input(format!(
                "the matte is not of the reference picture's size, {w}x{h}; make it anew"
            )));
        }
        let layers = match (&premultiplied, matte) {
            (Some(premultiplied), Some(_)) if opaque_rect(&picture).is_none() => Some(Layers::of_alpha(premultiplied)),
            (_, Some(matte)) => Some(Layers::new(&picture, with_face(matte, &raster, face_size), face_size)),
            (_, None) => None,
        };
        let mut foreign = foreign(&model, source, &mesh, &normals, &seen);
        if let Some(layers) = &layers {
            behind_outline(&model, layers, &mesh, &normals, &mut foreign, (w, h));
        }
        let anchor: Vec<bool> =
            (0..mesh.len()).map(|v| seen[v] > 0.99 && normals[v][2] > FACING && foreign[v] < 0.02).collect();
        let fill = fill(&model, source, &mesh, &anchor);
        let border = border(&model, &raster, &mesh, &seen, face_size);
        let down = -affine.linear.column(1).into_owned();
        let mouth = model.mouth.as_ref().map(|rim| {
            let lip = mean(model.landmarks[48..68].iter().map(|&v| fill[v as usize]));
            let cheeks = |v: &usize| (0.25..0.6).contains(&model.ncc[*v][1]) && normals[*v][2] > 0.45;
            let luma = |v: &usize| fill[*v][0] + 2.0 * fill[*v][1];
            let mut skin: Vec<usize> = (0..mesh.len()).filter(cheeks).collect();
            skin.sort_by(|a, b| luma(a).total_cmp(&luma(b)));
            // The lit half, as teeth catch the light.
            let skin = mean(skin[skin.len() / 2..].iter().map(|&v| fill[v]));
            ReferenceMouth::new(rim, &mesh, down, lip, skin, picture.color)
        });
        let eyes = model.eyes.iter().map(|rim| ReferenceEye::new(rim, source, &mesh, &whole)).collect();
        let covered = mask::coverage(&raster);
        Ok(DraftShot {
            premultiplied,
            normals,
            seen,
            foreign,
            fill,
            affine,
            hull,
            border,
            mouth,
            eyes,
            covered,
            face_size,
            layers,
            bank: None,
            model,
            picture,
            mesh,
        })
    }

    /// The same with further pictures of the reference's person; `mesh` is the reference's, as [`DraftShot::new`] was given it. Of the pictures nothing
    /// but the face is kept.
    ///
    /// # Errors
    /// [`Error::Model`] for meshes of another model.
    pub fn with_bank(self, mesh: &Mesh, pictures: Vec<BankPicture>) -> Result<DraftShot> {
        check_mesh(&self.model, mesh, "reference")?;
        let bank = Bank::new(&self, &mesh.vertices, pictures)?;
        Ok(DraftShot { bank, ..self })
    }

    /// Whether the person is told from what is behind.
    pub fn has_layers(&self) -> bool {
        self.layers.is_some()
    }

    /// The reference picture.
    pub fn picture(&self) -> &Frame {
        &self.picture
    }

    /// The picture that colours are read from.
    pub(super) fn source(&self) -> &Frame {
        self.premultiplied.as_ref().unwrap_or(&self.picture)
    }
}

/// A matte in which the face is the person through and through, whatever its network made of glasses and hands.
fn with_face(mut matte: Vec<f32>, raster: &Raster, face_size: f32) -> Vec<f32> {
    let covered: Vec<f32> = raster.tri.iter().map(|t| f32::from(*t != NONE)).collect();
    let radius = (INSIDE * face_size).round().max(1.0) as usize;
    let around = box_mean(&covered, raster.width, raster.height, radius);
    matte.iter_mut().zip(around).for_each(|(m, c)| *m = m.max(step(0.9, 1.0, c)));
    matte
}

/// What of the mesh lies beyond the person's outline in the picture is foreign: the fit's outline is a few pixels off.
fn behind_outline(
    model: &DraftModel,
    layers: &Layers,
    mesh: &[[f32; 3]],
    normals: &[[f32; 3]],
    foreign: &mut [f32],
    (w, h): (usize, usize),
) {
    let mut beyond: Vec<f32> = mesh
        .iter()
        .zip(normals)
        .map(|(v, n)| {
            let at = |v: f32, n: usize| (v.round().max(0.0) as usize).min(n - 1);
            let m = layers.matte[at(v[1], h) * w + at(v[0], w)];
            (1.0 - m) * (1.0 - step(0.45, 0.6, n[2]))
        })
        .collect();
    for _ in 0..SPREAD {
        beyond = (0..mesh.len())
            .map(|v| {
                let around = model.neighbours_of(v);
                let sum: f32 = around.iter().map(|&n| beyond[n as usize]).sum();
                beyond[v].max((beyond[v] + sum) / (1 + around.len()) as f32)
            })
            .collect();
    }
    foreign.iter_mut().zip(beyond).for_each(|(f, b)| *f = f.max(b));
}

/// Colours multiplied by alpha.
fn premultiply(picture: &Frame) -> Frame {
    let mut out = picture.clone();
    for p in out.data.chunks_exact_mut(4) {
        for k in 0..3 {
            p[k] *= p[3];
        }
    }
    out
}

/// Mean of some colours; transparent black of none.
fn mean(colours: impl Iterator<Item = [f32; 4]>) -> [f32; 4] {
    let mut sum = [0.0f64; 4];
    let mut n = 0.0f64;
    for c in colours {
        n += 1.0;
        for k in 0..4 {
            sum[k] += f64::from(c[k]);
        }
    }
    sum.map(|s| (s / n.max(1.0)) as f32)
}

/// Area-weighted vertex normals, towards the viewer where z > 0.
pub(super) fn normals(model: &DraftModel, mesh: &[[f32; 3]]) -> Vec<[f32; 3]> {
    let mut sums = vec![Vector3::<f32>::zeros(); mesh.len()];
    for t in &model.triangles {
        let [a, b, c] = t.map(|v| Vector3::from(mesh[v as usize]));
        let n = (b - a).cross(&(c - a)) * model.front;
        for &v in t {
            sums[v as usize] += n;
        }
    }
    sums.into_iter().map(|n| n.try_normalize(1e-12).unwrap_or_else(Vector3::zeros).into()).collect()
}

/// Whether the picture shows each vertex. Two rings of vertices behind the limit count in part, so that the
/// made-up colours begin behind it and never replace what is really seen.
pub(super) fn seen(
    model: &DraftModel,
    raster: &Raster,
    mesh: &[[f32; 3]],
    normals: &[[f32; 3]],
    tolerance: f32,
) -> Vec<f32> {
    let (w, h) = (raster.width as f32, raster.height as f32);
    let mut seen: Vec<f32> = mesh
        .iter()
        .zip(normals)
        .map(|(v, n)| {
            if n[2] < -0.1 || !(v[0] >= 0.0 && v[1] >= 0.0 && v[0] <= w - 1.0 && v[1] <= h - 1.0) {
                return 0.0;
            }
            let (x, y) = (v[0] as usize, v[1] as usize);
            let (x1, y1) = ((x + 1).min(raster.width - 1), (y + 1).min(raster.height - 1));
            let clear = |x: usize, y: usize| raster.z[y * raster.width + x] <= v[2] + tolerance;
            f32::from(clear(x, y) || clear(x1, y) || clear(x, y1) || clear(x1, y1))
        })
        .collect();
    for &t in raster.tri.iter().filter(|&&t| t != NONE) {
        for v in model.triangles[t as usize] {
            seen[v as usize] = 1.0;
        }
    }
    for _ in 0..2 {
        let before = seen.clone();
        for (v, s) in seen.iter_mut().enumerate() {
            let around = model.neighbours_of(v);
            if *s < 1.0 && !around.is_empty() {
                let mean = around.iter().map(|&n| before[n as usize]).sum::<f32>() / around.len() as f32;
                *s = s.max(mean);
            }
        }
    }
    seen
}

/// Per vertex, how surely the picture shows something that is not the face.
///
/// A fitted outline is a few pixels off; beside cheek and jaw that puts hair or background on the mesh. It is told by its
/// difference from the colour of the cheek, continued, and expected where the surface is seen edge-on. Only sideways surface below the eyes counts: above, hair belongs to
/// the face, and below the chin a stretched neck looks better than a repainted one.
fn foreign(model: &DraftModel, picture: &Frame, mesh: &[[f32; 3]], normals: &[[f32; 3]], seen: &[f32]) -> Vec<f32> {
    let anchor: Vec<bool> = (0..mesh.len()).map(|v| seen[v] > 0.99 && normals[v][2] > 0.45).collect();
    let skin = fill(model, picture, mesh, &anchor);
    let span = skin.iter().map(|c| c[0].max(c[1]).max(c[2])).fold(1e-6, f32::max);
    let mut foreign: Vec<f32> = (0..mesh.len())
        .map(|v| {
            if anchor[v] {
                return 0.0;
            }
            let shown = bicubic(picture, mesh[v][0], mesh[v][1]);
            let far = (0..3).map(|k| (shown[k] - skin[v][k]).abs()).sum::<f32>() / span;
            let (side, below) = (normals[v][0].abs(), normals[v][1].max(0.0));
            let sideways = step(0.35, 0.65, side / (side + below).max(1e-3));
            let doubtful = step(0.2, 0.45, far).max(1.0 - step(0.1, 0.3, normals[v][2]));
            doubtful * (1.0 - step(0.4, 0.5, model.ncc[v][1])) * sideways
        })
        .collect();
    // Its outline is mixed with the face by the lens: a few pixels more.
    for _ in 0..SPREAD {
        foreign = (0..mesh.len())
            .map(|v| model.neighbours_of(v).iter().map(|&n| foreign[n as usize]).fold(foreign[v], f32::max))
            .collect();
    }
    for _ in 0..SPREAD {
        foreign = (0..mesh.len())
            .map(|v| {
                let around = model.neighbours_of(v);
                let sum: f32 = around.iter().map(|&n| foreign[n as usize]).sum();
                (foreign[v] + sum) / (1 + around.len()) as f32
            })
            .collect();
    }
    foreign
}

/// A colour as the logarithm of its brightness and its hue, which shading leaves alone: a dark side's hair, lit, is no tinted skin.
fn shading([r, g, b, a]: [f32; 4]) -> [f32; 4] {
    let [r, g, b] = [r, g, b].map(|c| c.max(0.0) + DARKEST);
    let y = LUMA[0] * r + LUMA[1] * g + LUMA[2] * b;
    [y.ln(), r / y, b / y, a]
}

/// The colour of [`shading`].
fn shaded([light, red, blue, a]: [f32; 4]) -> [f32; 4] {
    let y = light.exp();
    let (r, b) = (red * y, blue * y);
    let g = (y - LUMA[0] * r - LUMA[2] * b) / LUMA[1];
    [r - DARKEST, g - DARKEST, b - DARKEST, a]
}

/// A colour for every vertex: the picture's own at the anchors; elsewhere the mirrored side's colour variation, joined
/// without a seam to the anchors (a Poisson problem on the mesh: P. Perez et al., "Poisson image editing", 2003), or a
/// smooth continuation where neither side is known.
///
/// On a head that acts the variation is one of brightness as a ratio, and of hue: a face is lit from one side, and what the dark side's colours differ by, added to
/// the lit side's, is no skin's colour. Cheek and jaw continue their own side's: the other's shadow is not theirs. On other heads the
/// variation is one of differences, as in earlier versions.
fn fill(model: &DraftModel, picture: &Frame, mesh: &[[f32; 3]], anchor: &[bool]) -> Vec<[f32; 4]> {
    let read = |p: [f32; 3]| -> [f32; 4] {
        let colour = bicubic(picture, p[0], p[1]);
        if model.acts { shading(colour) } else { colour }
    };
    let follows = |v: usize| {
        let [x, y] = [(model.ncc[v][0] - model.symmetry_x).abs(), model.ncc[v][1]];
        let cheek = step(CHEEK[0][0], CHEEK[0][1], x) * (1.0 - step(CHEEK[1][0], CHEEK[1][1], y));
        if model.acts { 1.0 - cheek } else { 1.0 }
    };
    let follows: Vec<f32> = (0..mesh.len()).map(follows).collect();
    let guide: Vec<Option<[f32; 4]>> = model
        .mirror
        .iter()
        .map(|m| m.filter(|m| m.vertices.iter().all(|&i| anchor[i as usize])).map(|m| read(m.read(mesh))))
        .collect();
    // What `to` has more than `from`, as far as the mirrored side tells.
    let rise = |from: usize, to: usize, k: usize| match (&guide[from], &guide[to]) {
        (Some(a), Some(b)) => 0.5 * (follows[from] + follows[to]) * (b[k] - a[k]),
        _ => 0.0,
    };
    // First guess: carried outwards from the anchors, ring by ring.
    let mut colours = vec![[0.0f32; 4]; mesh.len()];
    let mut known = anchor.to_vec();
    let mut queued = known.clone();
    let mut ring: Vec<u32> = (0..mesh.len() as u32).filter(|&v| anchor[v as usize]).collect();
    for &v in &ring {
        colours[v as usize] = read(mesh[v as usize]);
    }
    let mut open: Vec<u32> = Vec::new();
    while !ring.is_empty() {
        let mut next: Vec<u32> = Vec::new();
        for &v in &ring {
            for &n in model.neighbours_of(v as usize) {
                if !known[n as usize] && !queued[n as usize] {
                    queued[n as usize] = true;
                    next.push(n);
                }
            }
        }
        let guess = |v: u32| -> [f32; 4] {
            let v = v as usize;
            let (mut sum, mut count) = ([0.0f32; 4], 0.0f32);
            for &n in model.neighbours_of(v).iter().filter(|&&n| known[n as usize]) {
                count += 1.0;
                for (k, s) in sum.iter_mut().enumerate() {
                    *s += colours[n as usize][k] + rise(n as usize, v, k);
                }
            }
            sum.map(|s| s / count.max(1.0))
        };
        let guesses: Vec<[f32; 4]> = next.iter().map(|&v| guess(v)).collect();
        for (&v, c) in next.iter().zip(guesses) {
            colours[v as usize] = c;
            known[v as usize] = true;
        }
        open.extend(&next);
        ring = next;
    }
    for sweep in 0..FILL_SWEEPS {
        for i in 0..open.len() {
            let v = (if sweep % 2 == 0 { open[i] } else { open[open.len() - 1 - i] }) as usize;
            let around = model.neighbours_of(v);
            let mut sum = [0.0f32; 4];
            for &n in around {
                for (k, s) in sum.iter_mut().enumerate() {
                    *s += colours[n as usize][k] + rise(n as usize, v, k);
                }
            }
            let inv = 1.0 / around.len().max(1) as f32;
            for k in 0..4 {
                colours[v][k] += 1.6 * (sum[k] * inv - colours[v][k]);
            }
        }
    }
    // Guided colours may leave the range a little.
    let top = if picture.color == crate::frame::Color::Linear { f32::MAX } else { 1.0 };
    for &v in &open {
        if model.acts {
            colours[v as usize] = shaded(colours[v as usize]);
        }
        for (k, c) in colours[v as usize].iter_mut().enumerate() {
            *c = c.max(0.0).min(if k == 3 { 1.0 } else { top });
        }
    }
    for v in (0..mesh.len()).filter(|&v| anchor[v]) {
        colours[v] = bicubic(picture, mesh[v][0], mesh[v][1]);
    }
    colours
}

/// For each border vertex that the face hides, the way to the nearest point outwards that the face does not cover.
fn border(model: &DraftModel, raster: &Raster, mesh: &[[f32; 3]], seen: &[f32], face_size: f32) -> Vec<Vector2<f32>> {
    let at = |v: u32| Vector2::new(mesh[v as usize][0], mesh[v as usize][1]);
    let n = model.border.len();
    let centre = mesh.iter().fold(Vector2::zeros(), |s, v| s + Vector2::new(v[0], v[1])) / mesh.len() as f32;
    let out = |v: u32| (at(v) - centre).try_normalize(1e-6).unwrap_or_else(Vector2::zeros);
    let push: Vec<f32> = model
        .border
        .iter()
        .map(|&v| {
            let hidden = 1.0 - step(0.2, 0.8, seen[v as usize]);
            if hidden == 0.0 {
                return 0.0;
            }
            let far = (0.5 * face_size) as usize;
            let clear = (0..far).find(|&s| {
                let p = at(v) + out(v) * s as f32;
                !raster.covered(p.x, p.y)
            });
            hidden * clear.unwrap_or(0) as f32
        })
        .collect();
    // Evened out along the border.
    const REACH: usize = 6;
    (0..n)
        .map(|i| {
            let sum: f32 = (0..=2 * REACH).map(|k| push[(i + n * REACH + k - REACH) % n]).sum();
            let v = model.border[i];
            out(v) * (sum / (2 * REACH + 1) as f32).max(0.0)
        })
        .collect()
}
