//! Draws a synthetic person: one rasteriser pass over face and scene, a shadow map, shading per sample.

use std::sync::Arc;

use rayon::prelude::*;

use super::head::{UNIT, head};
use super::scene::{Material, NECK, Scene};
use super::shade::{Sample, Shader};
use super::surface::P3;
use crate::frame::Frame;
use crate::morphable::pose::fit_image_matrix;
use crate::morphable::{Euler, Fit, ImageCamera, Morphable, Prepared};
use crate::pncc::Rasterizer;
use crate::{Error, Result};

/// Samples per pixel and axis.
const SUPER: usize = 2;

/// The cut of the hair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HairStyle {
    Shaved,
    Short,
    /// To the chin.
    Bob,
}

/// What a person and the picture around look like. Colours are linear light.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    pub skin: [f32; 3],
    pub lips: [f32; 3],
    pub brows: [f32; 3],
    /// How strong the brows are, 0..1.
    pub brow_weight: f32,
    pub hair: [f32; 3],
    pub style: HairStyle,
    pub iris: [f32; 3],
    pub cloth: [f32; 3],
    /// Shadow of a beard, 0..1.
    pub beard: f32,
    pub freckles: f32,
    /// Direction towards the main light: x right, y down, z towards the viewer; any length.
    pub key_direction: [f32; 3],
    pub key: [f32; 3],
    pub fill_direction: [f32; 3],
    pub fill: [f32; 3],
    pub ambient: [f32; 3],
    /// Top and bottom of the background.
    pub background: [[f32; 3]; 2],
    pub seed: u32,
}

impl Look {
    /// The demo's reference: dark bob, warm light from the left.
    pub fn reference() -> Look {
        Look {
            skin: [0.60, 0.355, 0.245],
            lips: [0.50, 0.125, 0.115],
            brows: [0.045, 0.026, 0.018],
            brow_weight: 0.8,
            hair: [0.060, 0.028, 0.016],
            style: HairStyle::Bob,
            iris: [0.10, 0.22, 0.16],
            cloth: [0.045, 0.16, 0.20],
            beard: 0.0,
            freckles: 0.35,
            key_direction: [-0.55, -0.55, 0.75],
            key: [1.75, 1.62, 1.45],
            fill_direction: [0.8, -0.1, 0.6],
            fill: [0.30, 0.36, 0.46],
            ambient: [0.27, 0.27, 0.29],
            background: [[0.30, 0.36, 0.38], [0.12, 0.15, 0.17]],
            seed: 11,
        }
    }

    /// The demo's driver: short fair hair, darker skin, cool light from the right.
    pub fn driving() -> Look {
        Look {
            skin: [0.35, 0.185, 0.115],
            lips: [0.28, 0.095, 0.075],
            brows: [0.020, 0.013, 0.010],
            brow_weight: 1.0,
            hair: [0.014, 0.011, 0.010],
            style: HairStyle::Short,
            iris: [0.085, 0.045, 0.020],
            cloth: [0.34, 0.30, 0.24],
            beard: 0.45,
            freckles: 0.0,
            key_direction: [0.6, -0.5, 0.7],
            key: [1.95, 1.95, 2.0],
            fill_direction: [-0.8, 0.0, 0.6],
            fill: [0.50, 0.42, 0.34],
            ambient: [0.30, 0.30, 0.32],
            background: [[0.20, 0.17, 0.22], [0.36, 0.27, 0.20]],
            seed: 5,
        }
    }
}

/// Renders people of one [`Look`]. Keeps its memory between frames.
pub struct Renderer {
    model: Arc<Morphable>,
    prepared: Prepared,
    scene: Scene,
    shader: Shader,
    look: Look,
    /// The identity that `face` and `extras` were made for.
    shape: Vec<f32>,
    face: Vec<P3>,
    extras: Vec<P3>,
    camera_pass: Rasterizer,
    light_pass: Rasterizer,
}

/// A rotation-and-scale map to samples: 3x4.
type Affine = [[f64; 4]; 3];

impl Renderer {
    /// A renderer for this look.
    ///
    /// # Errors
    /// `Model` when the procedural head does not fit together (never, unless the code is changed).
    pub fn new(look: Look) -> Result<Renderer> {
        let model = head();
        let prepared = Prepared::new(model.clone())?;
        let scene = Scene::new(&model, look.style);
        Ok(Renderer {
            model,
            prepared,
            shader: Shader::new(&look),
            scene,
            look,
            shape: vec![f32::NAN],
            face: Vec::new(),
            extras: Vec::new(),
            camera_pass: Rasterizer::new(),
            light_pass: Rasterizer::new(),
        })
    }

    /// The look it draws.
    pub fn look(&self) -> &Look {
        &self.look
    }

    /// The procedural head, laid out for evaluation.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// The person with the parameters and camera of `fit`, in a picture of `width x height`, sRGB and opaque.
    /// The neck stands still: the shoulders follow little of the head's turn.
    ///
    /// # Errors
    /// `Model` when the parameters are not those of the procedural head, `NoFace` when the camera is degenerate,
    /// `Usage` when a side is 0 or too large.
    pub fn render(&mut self, fit: &Fit, width: usize, height: usize) -> Result<Frame> {
        if width == 0 || height == 0 {
            return Err(Error::Usage(format!("a picture of {width}x{height} has no pixels: ask for at least 1x1")));
        }
        let (w, h) = (width * SUPER, height * SUPER);
        let head_camera = ImageCamera::from_matrix(&fit_image_matrix(fit))?;
        let vertices = self.pose(fit, &head_camera)?;
        let n_face = self.model.vertex_count();
        let normals = normals(&vertices, &self.scene.triangles);

        // The same scene seen from the light: what lies behind something there is in shadow.
        let scale = SUPER as f64 * f64::from(head_camera.scale) * UNIT;
        let to_light = light_view(self.look.key_direction, scale, &vertices);
        let seen: Vec<[f32; 3]> = vertices.iter().map(|v| apply(&to_light, *v)).collect();
        let side = LIGHT_SIDE;
        let mut shadow = Vec::new();
        self.light_pass.render(&seen, &self.scene.triangles, side, side)?.depth_into(f32::NEG_INFINITY, &mut shadow);

        let rendered = self.camera_pass.render(&vertices, &self.scene.triangles, w, h)?;
        let textures: Vec<[f32; 3]> = (0..n_face)
            .map(|v| std::array::from_fn(|c| self.model.mean[3 * v + c] / UNIT as f32))
            .chain(self.scene.vertices.iter().map(|v| v.texture))
            .collect();
        let gaze = gaze(&head_camera);
        let (shader, materials) = (&self.shader, &self.scene.materials);
        let shadow_at = |p: [f32; 3], n: [f32; 3]| -> f32 {
            // Off the surface a little, or it would shade itself.
            let off = 2.2 * scale as f32;
            let q = apply(&to_light, std::array::from_fn(|c| p[c] + off * n[c]));
            let mut lit = 0.0;
            for dy in -2..=2i32 {
                for dx in -2..=2i32 {
                    let (x, y) = ((q[0] + 1.2 * dx as f32).round(), (q[1] + 1.2 * dy as f32).round());
                    let inside = x >= 0.0 && y >= 0.0 && x < side as f32 && y < side as f32;
                    let nearest = if inside { shadow[y as usize * side + x as usize] } else { f32::NEG_INFINITY };
                    // Units of the light's map are about half a millimetre; fade over three.
                    lit += 1.0 - ((nearest - q[2] - 2.0) / 6.0).clamp(0.0, 1.0);
                }
            }
            lit / 25.0
        };
        let mut frame = Frame::new(width, height);
        frame.data.par_chunks_mut(4 * width).enumerate().for_each(|(y, row)| {
            for (x, pixel) in row.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let mut sum = [0.0f32; 3];
                for s in 0..SUPER * SUPER {
                    let (sx, sy) = (x * SUPER + s % SUPER, y * SUPER + s / SUPER);
                    let at = [(sx as f32 + 0.5) / w as f32, (sy as f32 + 0.5) / h as f32];
                    let color = match rendered.hit(sx, sy) {
                        None => shader.background(at, w as f32 / h as f32),
                        Some(hit) => {
                            let material = materials[hit.triangle as usize];
                            let mut n = unit(rendered.interpolate(&hit, &normals));
                            let behind = matches!(material, Material::Cavity | Material::Tear | Material::Teeth);
                            if behind && n[2] < 0.0 {
                                n = n.map(|v| -v);
                            }
                            let p = rendered.interpolate(&hit, &vertices);
                            let texture = rendered.interpolate(&hit, &textures);
                            shader.shade(&Sample { material, texture, normal: n, light: shadow_at(p, n), gaze, at })
                        }
                    };
                    for c in 0..3 {
                        sum[c] += encode(color[c]);
                    }
                }
                for c in 0..3 {
                    pixel[c] = sum[c] / (SUPER * SUPER) as f32;
                }
                pixel[3] = 1.0;
            }
        });
        Ok(frame)
    }

    /// All vertices in samples of the picture: the face's, then the scene's.
    fn pose(&mut self, fit: &Fit, camera: &ImageCamera) -> Result<Vec<[f32; 3]>> {
        let model = &self.model;
        let (n, expr) = (model.vertex_count(), &fit.params.expr);
        if self.shape != fit.params.shape {
            let identity = self.prepared.identity(&fit.params.shape)?;
            self.face = (0..n).map(|v| identity.vertex(v).map(|c| f64::from(c) / UNIT)).collect();
            self.extras = self.scene.identified(&fit.params.shape);
            self.shape.clone_from(&fit.params.shape);
        }
        if expr.len() != model.expr_dim {
            return Err(Error::Model(format!(
                "{} expression coefficients where the procedural head has {}: use fits of this head",
                expr.len(),
                model.expr_dim
            )));
        }
        let mut face = self.face.clone();
        for (v, p) in face.iter_mut().enumerate() {
            for (c, value) in p.iter_mut().enumerate() {
                let row = &model.expr_basis[(3 * v + c) * expr.len()..][..expr.len()];
                *value += row.iter().zip(expr).map(|(b, e)| f64::from(b * e)).sum::<f64>() / UNIT;
            }
        }
        let open = f64::from(expr[super::Expression::JawOpen as usize]);
        let mut extras: Vec<P3> = self
            .extras
            .iter()
            .enumerate()
            .map(|(i, p)| {
                let d = self.scene.jaw_of(i, *p, open);
                std::array::from_fn(|c| p[c] + d[c])
            })
            .collect();
        for (r, ring) in self.scene.rings.iter().enumerate() {
            let middle: P3 =
                std::array::from_fn(|c| ring.iter().map(|v| face[*v as usize][c]).sum::<f64>() / ring.len() as f64);
            for h in self.scene.hung.iter().filter(|h| h.ring == r) {
                let p = face[h.from as usize];
                let y = middle[1] + (p[1] - middle[1]) * h.stretch;
                extras[h.vertex] = [
                    p[0] + (middle[0] - p[0]) * h.inwards,
                    y + (middle[1] - y) * h.inwards,
                    p[2] - h.depth + (middle[2] - p[2]) * h.inwards,
                ];
            }
        }
        let to_head = affine(camera);
        // The shoulders: a little of the turn, about the neck where the head has it.
        let e = camera.euler();
        let turned = Euler { yaw: 0.15 * e.yaw, pitch: 0.0, roll: 0.1 * e.roll };
        let mut body = affine(&ImageCamera { rotation: turned.rotation(), ..camera.clone() });
        let (a, b) = (apply64(&to_head, NECK), apply64(&body, NECK));
        for c in 0..3 {
            body[c][3] += a[c] - b[c];
        }
        let mut out: Vec<[f32; 3]> = face.iter().map(|p| apply64(&to_head, *p).map(|v| v as f32)).collect();
        out.extend(extras.iter().zip(&self.scene.vertices).map(|(p, v)| {
            let (a, b) = (apply64(&to_head, *p), apply64(&body, *p));
            std::array::from_fn(|c| (a[c] + (b[c] - a[c]) * v.body) as f32)
        }));
        Ok(out)
    }
}

/// Side of the light's picture.
const LIGHT_SIDE: usize = 1024;

/// From samples of the picture to the light's: about half a millimetre a unit, z towards the light.
fn light_view(towards: [f32; 3], scale: f64, vertices: &[[f32; 3]]) -> Affine {
    let z = unit(towards).map(f64::from);
    let side = (z[0] * z[0] + z[2] * z[2]).sqrt().max(1e-6);
    let x = [z[2] / side, 0.0, -z[0] / side];
    let y = [z[1] * x[2] - z[2] * x[1], z[2] * x[0] - z[0] * x[2], z[0] * x[1] - z[1] * x[0]];
    let middle: P3 =
        std::array::from_fn(|c| vertices.iter().map(|v| f64::from(v[c])).sum::<f64>() / vertices.len().max(1) as f64);
    let k = 2.0 / scale;
    [x, y, z].map(|r| {
        let m = r.map(|v| v * k);
        let centre: f64 = (0..3).map(|c| m[c] * middle[c]).sum();
        [m[0], m[1], m[2], 0.5 * LIGHT_SIDE as f64 - centre]
    })
}

/// From millimetres on the head to samples.
fn affine(camera: &ImageCamera) -> Affine {
    let m = camera.matrix();
    let k = SUPER as f64;
    std::array::from_fn(|r| {
        // Pixel centres are at integers: sample 0 and 1 of pixel 0 lie at -0.25 and 0.25.
        let shift = if r < 2 { 0.5 * k - 0.5 } else { 0.0 };
        [m[4 * r] * UNIT * k, m[4 * r + 1] * UNIT * k, m[4 * r + 2] * UNIT * k, m[4 * r + 3] * k + shift]
    })
}

fn apply64(m: &Affine, p: P3) -> P3 {
    std::array::from_fn(|r| m[r][0] * p[0] + m[r][1] * p[1] + m[r][2] * p[2] + m[r][3])
}

fn apply(m: &Affine, p: [f32; 3]) -> [f32; 3] {
    apply64(m, p.map(f64::from)).map(|v| v as f32)
}

/// Where the eyes look, on the head (y up): most of the way to the viewer.
fn gaze(camera: &ImageCamera) -> [f32; 3] {
    let r = camera.rotation.matrix();
    unit([0.85 * r[(2, 0)], 0.85 * r[(2, 1)] - 0.01, 0.15 + 0.85 * r[(2, 2)]])
}

/// Vertex normals in the picture's axes, out of the surface.
fn normals(vertices: &[[f32; 3]], triangles: &[[u32; 3]]) -> Vec<[f32; 3]> {
    let mut out = vec![[0.0f32; 3]; vertices.len()];
    for t in triangles {
        let [a, b, c] = t.map(|v| vertices[v as usize]);
        let (u, v): ([f32; 3], [f32; 3]) = (std::array::from_fn(|k| b[k] - a[k]), std::array::from_fn(|k| c[k] - a[k]));
        let n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
        for &v in t {
            for c in 0..3 {
                out[v as usize][c] += n[c];
            }
        }
    }
    out.into_iter().map(unit).collect()
}

/// `v` at length 1; what has no length stays.
pub(super) fn unit(v: [f32; 3]) -> [f32; 3] {
    let length = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
    if length > 0.0 { v.map(|c| c / length) } else { v }
}

/// Linear light to sRGB with a soft shoulder for what is too bright.
fn encode(v: f32) -> f32 {
    let v = v.max(0.0);
    let v = if v > 0.6 { 0.6 + 0.4 * (1.0 - (-(v - 0.6) / 0.4).exp()) } else { v };
    if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
}
