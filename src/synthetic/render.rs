//! Draws a synthetic person: one rasteriser pass over face and scene, a shadow map, shading per sample.

use crate::synthetic::Appearance;
use crate::synthetic::vec3::unit;
use std::sync::Arc;

use rayon::prelude::*;

use super::head::{UNIT, head};
use super::scene::{Material, NECK, Scene};
use super::shade::{Sample, Shader};
use crate::frame::Frame;
use crate::morphable::canonical::ExpressionMode;
use crate::morphable::canonical::surface::P3;
use crate::morphable::pose::fit_image_matrix;
use crate::morphable::{Euler, Fit, ImageCamera, Morphable, PreparedMorphable};
use crate::pncc::{Hit, Rasterizer};
use crate::{Error, Result};

/// Samples per pixel and axis.
const SUPER: usize = 2;

/// Renders people of one [`Appearance`]. Keeps its memory between frames.
pub struct Renderer {
    model: Arc<Morphable>,
    prepared: PreparedMorphable,
    scene: Scene,
    shader: Shader,
    look: Appearance,
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
    pub fn new(look: Appearance) -> Result<Renderer> {
        let model = head();
        let prepared = PreparedMorphable::new(model.clone())?;
        let scene = Scene::new(&model, look.style, f64::from(look.neck));
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

    /// Without lights on the wall that may stand half behind the head.
    pub fn with_clear_wall(mut self) -> Renderer {
        self.shader.clear_wall();
        self
    }

    /// The look it draws.
    pub fn look(&self) -> &Appearance {
        &self.look
    }

    /// The procedural head, laid out for evaluation.
    pub fn prepared(&self) -> &PreparedMorphable {
        &self.prepared
    }

    /// The person with the parameters and camera of `fit`, in a picture of `width x height`, sRGB and opaque.
    /// The neck stands still: the shoulders follow little of the head's turn.
    ///
    /// # Errors
    /// `Model` when the parameters are not those of the procedural head, `NoFace` when the camera is degenerate,
    /// `Usage` when a side is 0 or too large.
    pub fn render(&mut self, fit: &Fit, width: usize, height: usize) -> Result<Frame> {
        self.draw(fit, width, height, true)
    }

    /// The same person with nothing behind: alpha is the share of each pixel that it covers, straight.
    ///
    /// # Errors
    /// As [`Renderer::render`].
    pub fn cut_out(&mut self, fit: &Fit, width: usize, height: usize) -> Result<Frame> {
        self.draw(fit, width, height, false)
    }

    /// With or without what is behind.
    fn draw(&mut self, fit: &Fit, width: usize, height: usize, wall: bool) -> Result<Frame> {
        if width == 0 || height == 0 {
            return Err(Error::usage(format!("a picture of {width}x{height} has no pixels: ask for at least 1x1")));
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
        let open = fit.params.expr[ExpressionMode::JawOpen as usize];
        let (shader, materials) = (&self.shader, &self.scene.materials);
        let shadow_at = |p: [f32; 3], n: [f32; 3]| -> f32 {
            // Off the surface a little, or it would shade itself.
            let off = 2.2 * scale as f32;
            let q = apply(&to_light, std::array::from_fn(|c| p[c] + off * n[c]));
            let mut lit = 0.0;
            for dy in [-3.0, -1.0, 1.0, 3.0f32] {
                for dx in [-3.0, -1.0, 1.0, 3.0f32] {
                    let (x, y) = ((q[0] + dx).round(), (q[1] + dy).round());
                    let inside = x >= 0.0 && y >= 0.0 && x < side as f32 && y < side as f32;
                    let nearest = if inside { shadow[y as usize * side + x as usize] } else { f32::NEG_INFINITY };
                    // Units of the light's map are about half a millimetre; fade over three.
                    lit += 1.0 - ((nearest - q[2] - 2.0) / 6.0).clamp(0.0, 1.0);
                }
            }
            lit / 16.0
        };
        let sample = |hit: Hit| -> [f32; 3] {
            let material = materials[hit.triangle as usize];
            let mut normal = unit(rendered.interpolate(&hit, &normals));
            let behind = matches!(material, Material::Cavity | Material::Tear | Material::Teeth);
            if behind && normal[2] < 0.0 {
                normal = normal.map(|v| -v);
            }
            let light = shadow_at(rendered.interpolate(&hit, &vertices), normal);
            let texture = rendered.interpolate(&hit, &textures);
            shader.shade(&Sample { material, texture, normal, light, gaze, open })
        };
        let mut frame = Frame::new(width, height);
        let aspect = w as f32 / h as f32;
        frame.data.par_chunks_mut(4 * width).enumerate().for_each(|(y, row)| {
            for (x, pixel) in row.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let hits: [Option<Hit>; SUPER * SUPER] =
                    std::array::from_fn(|s| rendered.hit(x * SUPER + s % SUPER, y * SUPER + s / SUPER));
                let behind = || {
                    let at = [(x as f32 + 0.5) / width as f32, (y as f32 + 0.5) / height as f32];
                    encode(shader.background(at, aspect))
                };
                let material = |h: Option<Hit>| h.map(|h| materials[h.triangle as usize]);
                let first = material(hits[0]);
                // Within one material two samples are enough; edges get all.
                let step = if hits.iter().all(|h| material(*h) == first) { SUPER * SUPER - 1 } else { 1 };
                let mut sum = [0.0f32; 3];
                let (mut count, mut all) = (0.0f32, 0.0);
                let mut painted = None;
                for hit in hits.into_iter().step_by(step) {
                    all += 1.0;
                    let color = match hit {
                        None if !wall => continue,
                        None => *painted.get_or_insert_with(behind),
                        Some(hit) => encode(sample(hit)),
                    };
                    for c in 0..3 {
                        sum[c] += color[c];
                    }
                    count += 1.0;
                }
                let k = 1.0 / count.max(1.0);
                *pixel = [k * sum[0], k * sum[1], k * sum[2], count / all];
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
            return Err(Error::model(format!(
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
        let open = f64::from(expr[ExpressionMode::JawOpen as usize]);
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

/// Linear light to sRGB with a soft shoulder for what is too bright.
fn encode(color: [f32; 3]) -> [f32; 3] {
    // Evenly spaced in the root of the light, where the curve is nearly straight.
    static TABLE: std::sync::LazyLock<Vec<f32>> = std::sync::LazyLock::new(|| {
        (0..=1024)
            .map(|i| {
                let v = (i as f32 / 512.0).powi(2);
                let v = if v > 0.6 { 0.6 + 0.4 * (1.0 - (-(v - 0.6) / 0.4).exp()) } else { v };
                if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
            })
            .collect()
    });
    color.map(|v| {
        let f = (v.max(0.0).sqrt() * 512.0).min(1023.0);
        let i = f as usize;
        TABLE[i] + (TABLE[i + 1] - TABLE[i]) * (f - i as f32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::performance::{demo_reference, reference_shape};

    /// Red, green, blue of the pixel that a landmark, or the middle of several, falls on.
    fn at(frame: &Frame, points: &[[f32; 3]], list: &[usize]) -> [f32; 3] {
        let c: [f32; 2] = std::array::from_fn(|k| list.iter().map(|&i| points[i][k]).sum::<f32>() / list.len() as f32);
        let p = frame.pixel(c[0].round() as usize, c[1].round() as usize);
        [p[0], p[1], p[2]]
    }

    #[test]
    fn pictures_repeat_and_are_opaque() {
        let (a, fit) = demo_reference(96).unwrap();
        assert!(demo_reference(96).unwrap() == (a.clone(), fit));
        assert!(a.data.chunks(4).all(|p| p[3] == 1.0 && p.iter().all(|v| (0.0..=1.0).contains(v))));
    }

    #[test]
    fn a_cut_out_is_the_person_without_the_wall() {
        let (whole, fit) = demo_reference(128).unwrap();
        let cut = Renderer::new(Appearance::reference()).unwrap().cut_out(&fit, 128, 128).unwrap();
        let mut counts = [0; 2];
        for (a, b) in cut.data.as_chunks::<4>().0.iter().zip(whole.data.as_chunks::<4>().0) {
            counts[0] += usize::from(a[3] == 0.0);
            if a[3] == 1.0 {
                assert_eq!(a, b);
                counts[1] += 1;
            }
        }
        assert!(counts.iter().all(|&n| n > 128 * 128 / 4), "{counts:?}");
        assert!(cut.pixel(64, 70)[3] == 1.0 && cut.pixel(3, 3)[3] == 0.0);
    }

    #[test]
    fn the_picture_shows_the_face_where_the_fit_says() {
        let (frame, fit) = demo_reference(512).unwrap();
        let mut renderer = Renderer::new(Appearance::reference()).unwrap();
        let l = renderer.prepared().landmarks68(&fit).unwrap();
        let ratio = |p: [f32; 3]| p[2] / p[0];
        // Whites of the eyes beside the iris are grey, skin is not.
        let cheek = at(&frame, &l, &[1, 31]);
        for white in [[36, 36, 37, 41], [42, 42, 43, 47], [45, 45, 44, 46], [39, 39, 38, 40]] {
            assert!(
                ratio(at(&frame, &l, &white)) > ratio(cheek) + 0.08,
                "{white:?}: {:?} {cheek:?}",
                at(&frame, &l, &white)
            );
        }
        // The iris is dark, the lips are redder than the chin, the hair is dark, the wall is grey.
        for iris in [[37, 38, 40, 41], [43, 44, 46, 47]] {
            // Around the middle, since the light mirrors there.
            let c: [f32; 2] = std::array::from_fn(|k| iris.iter().map(|&i| l[i][k]).sum::<f32>() / 4.0);
            let darkest = (0..81)
                .map(|i| frame.pixel(c[0] as usize + i % 9 - 4, c[1] as usize + i / 9 - 4))
                .fold(f32::INFINITY, |m, p| m.min(p[0] + p[1] + p[2]));
            assert!(darkest < 0.4 * cheek.iter().sum::<f32>(), "{darkest} {cheek:?}");
        }
        let chin = at(&frame, &l, &[57, 8]);
        for lip in [[51, 62], [57, 66]] {
            let lip = at(&frame, &l, &lip);
            assert!(lip[1] / lip[0] < chin[1] / chin[0] - 0.08, "{lip:?} {chin:?}");
        }
        // Closed lids cover the eyes.
        let mut closed = fit.clone();
        closed.params.expr[ExpressionMode::BlinkLeft as usize] = 1.0;
        let picture = renderer.render(&closed, 512, 512).unwrap();
        let inside = |f: &Frame| ratio(at(f, &l, &[42, 43, 43, 42, 47]));
        assert!(inside(&picture) < inside(&frame) - 0.05);
        let other = |f: &Frame| at(f, &l, &[36, 36, 37, 41]);
        assert_eq!(other(&picture), other(&frame));
    }

    #[test]
    fn a_shifted_crop_shifts_the_picture() {
        let (_, fit) = demo_reference(128).unwrap();
        let mut renderer = Renderer::new(Appearance::driving()).unwrap();
        let mut moved = fit.clone();
        for v in [&mut moved.roi.x0, &mut moved.roi.x1] {
            *v += 10.0;
        }
        let (a, b) = (renderer.render(&fit, 128, 128).unwrap(), renderer.render(&moved, 128, 128).unwrap());
        for y in 40..70 {
            for x in 50..70 {
                let (p, q) = (a.pixel(x, y), b.pixel(x + 10, y));
                assert!((0..3).all(|c| (p[c] - q[c]).abs() < 0.06), "{x} {y}: {p:?} {q:?}");
            }
        }
    }

    #[test]
    fn bad_requests_are_errors() {
        let (_, fit) = demo_reference(32).unwrap();
        let mut renderer = Renderer::new(Appearance::driving()).unwrap();
        assert!(matches!(renderer.render(&fit, 0, 10), Err(Error::Usage(_))));
        assert!(matches!(renderer.render(&fit, 40_000, 1), Err(Error::Usage(_))));
        let mut short = fit.clone();
        short.params.expr.pop();
        assert!(matches!(renderer.render(&short, 8, 8), Err(Error::Model(_))));
        let mut long = fit.clone();
        long.params.shape.push(0.0);
        assert!(matches!(renderer.render(&long, 8, 8), Err(Error::Model(_))));
        let mut flat = fit;
        flat.params.camera = [0.0; 12];
        assert!(matches!(renderer.render(&flat, 8, 8), Err(Error::NoFace(_))));
        assert_eq!(reference_shape().len(), 40);
    }
}
