//! What a portrait shows beside the mesh of the face: skull, eyes, mouth, ears, hair, neck, shoulders.

use super::head::{borders, outline};
use super::noise::{fractal, noise};
use crate::morphable::Morphable;
use crate::morphable::canonical::modes::{identity_sum, jaw};
use crate::morphable::canonical::surface::{CENTRE, P2, P3, direction, point, radius, smoothstep};
use crate::synthetic::appearance::HairStyle;
use crate::synthetic::vec3::{add, cross, dot, sub};

/// What a triangle is made of; decides its shading and the meaning of its vertices' `texture`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Material {
    /// Texture: position on the mean head, mm.
    Skin,
    /// Texture: position relative to the ball's centre, mm; x of the person's left eye has 100 added.
    Eye,
    /// Corners of the eye behind the lids.
    Tear,
    /// Texture x: distance behind the lips, mm.
    Cavity,
    /// Texture: way along the arch, height, mm.
    Teeth,
    Tongue,
    /// Texture: position of the skin below it on the mean head, mm.
    Hair,
    /// Texture: position, mm.
    Cloth,
    /// Texture: position on the ear, -1..1.
    Ear,
}

/// A vertex that is not the mesh's.
#[derive(Debug, Clone, Copy)]
pub struct Vertex {
    /// Position on the mean head.
    pub rest: P3,
    /// Where identity modes are read: the vertex itself, or the middle of what moves as one piece.
    pub anchor: P3,
    pub texture: [f32; 3],
    /// How much it moves with the jaw.
    pub jaw: f64,
    /// 0 turns with the head, 1 stays with the shoulders.
    pub body: f64,
}

/// Everything beside the face's mesh; triangle indices count from the face's first vertex.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    pub vertices: Vec<Vertex>,
    pub triangles: Vec<[u32; 3]>,
    pub materials: Vec<Material>,
    /// Vertices that hang on a border of the face's mesh: (own index, face vertex, offset behind it, towards the
    /// middle of the border by this share).
    pub hung: Vec<Hung>,
    /// The borders that they hang on: both eyes, mouth.
    pub rings: Vec<Vec<u32>>,
}

/// A vertex behind a border of the face.
#[derive(Debug, Clone, Copy)]
pub struct Hung {
    /// Index into [`Scene::vertices`].
    pub vertex: usize,
    /// Index into [`Scene::rings`].
    pub ring: usize,
    /// The face's vertex that it hangs on.
    pub from: u32,
    /// Share of the way to the ring's middle.
    pub inwards: f64,
    /// Stretch in height around the ring's middle.
    pub stretch: f64,
    /// Distance behind the skin, mm.
    pub depth: f64,
}

/// Middle of the eyeball at positive x, and its radius.
pub const EYE: (P3, f64) = ([31.0, 26.5, 82.0], 12.0);
/// The collar: half its width, half its depth, where its middle is in depth.
pub const COLLAR: P3 = [74.0, 62.0, -6.0];
/// Where the neck turns.
pub const NECK: P3 = [0.0, -118.0, -12.0];

impl Scene {
    /// Everything for a model whose mesh is drawn as the first vertices; `neck` is the neck's width, 1 is a man's.
    pub fn new(model: &Morphable, style: HairStyle, neck: f64) -> Scene {
        let mut s = Scene::default();
        let base = model.vertex_count() as u32;
        s.materials.extend(std::iter::repeat_n(Material::Skin, model.triangles.len()));
        s.triangles.extend(&model.triangles);
        s.skull(base);
        s.eyes(base);
        s.holes(base, model);
        s.teeth(base);
        if style != HairStyle::Bob {
            s.ears(base);
        }
        s.neck(base, neck);
        s.shoulders(base);
        if style != HairStyle::Shaved {
            s.hair(base, style);
        }
        s
    }

    /// A grid of `rows` of `columns` vertices, closed around where `around`; turned so that it faces away from
    /// `middle` on the whole.
    fn grid(&mut self, base: u32, rows: &[Vec<Vertex>], around: bool, material: Material) {
        let start = base + self.vertices.len() as u32;
        let columns = rows[0].len();
        let mut outwards = 0.0;
        let mut triangles = Vec::new();
        let middle: P3 = std::array::from_fn(|c| {
            rows.iter().flatten().map(|v| v.rest[c]).sum::<f64>() / (rows.len() * columns) as f64
        });
        let last = if around { columns } else { columns - 1 };
        for r in 0..rows.len() - 1 {
            for c in 0..last {
                let d = (c + 1) % columns;
                let quad = [(r, c), (r, d), (r + 1, c), (r + 1, d)];
                let p = quad.map(|(r, c)| rows[r][c].rest);
                let (u, v) = (sub(p[3], p[0]), sub(p[2], p[1]));
                outwards += dot(cross(u, v), sub(p[0], middle));
                let [a, b, e, f] = quad.map(|(r, c)| start + (r * columns + c) as u32);
                triangles.extend([[a, b, e], [b, f, e]]);
            }
        }
        // The sign that the face's mesh has: its cross products point inwards with y up.
        if outwards > 0.0 {
            triangles.iter_mut().for_each(|t: &mut [u32; 3]| t.swap(1, 2));
        }
        self.vertices.extend(rows.iter().flatten());
        self.materials.extend(std::iter::repeat_n(material, triangles.len()));
        self.triangles.extend(triangles);
    }

    /// The head behind the face's mesh.
    fn skull(&mut self, base: u32) {
        let rim = outline(4);
        const COLUMNS: usize = 96;
        let mut rows: Vec<Vec<Vertex>> = vec![Vec::new(); 24];
        for c in 0..COLUMNS {
            let (sin, cos) = (std::f64::consts::TAU * c as f64 / COLUMNS as f64).sin_cos();
            let (mut low, mut high) = (0.0, 260.0);
            for _ in 0..24 {
                let mid = 0.5 * (low + high);
                if super::delaunay::inside(&rim, [mid * sin, mid * cos]) { low = mid } else { high = mid }
            }
            for (r, row) in rows.iter_mut().enumerate() {
                let t = r as f64 / 23.0;
                let start = low - 7.0;
                let rho = start + (313.0 - start) * t;
                let q = [rho * sin, rho * cos];
                let inset = 1.6 * (1.0 - smoothstep(low - 6.0, low - 1.0, rho)) + 0.06;
                row.push(skin(on_surface(q, -inset)));
            }
        }
        self.grid(base, &rows, true, Material::Skin);
    }

    fn eyes(&mut self, base: u32) {
        for side in [-1.0, 1.0] {
            let (mut centre, radius) = EYE;
            centre[0] *= side;
            let rows: Vec<Vec<Vertex>> = (0..=20)
                .map(|r| {
                    // Only the front half: rings around the forward axis.
                    let (sr, cr) = (1.9 * f64::from(r) / 20.0).sin_cos();
                    (0..32)
                        .map(|c| {
                            let (s, k) = (std::f64::consts::TAU * f64::from(c) / 32.0).sin_cos();
                            let d = [radius * sr * s, radius * sr * k, radius * cr];
                            let mark = if side > 0.0 { 100.0 } else { 0.0 };
                            Vertex {
                                rest: add(centre, d),
                                anchor: centre,
                                texture: [d[0] as f32 + mark, d[1] as f32, d[2] as f32],
                                jaw: 0.0,
                                body: 0.0,
                            }
                        })
                        .collect()
                })
                .collect();
            self.grid(base, &rows, true, Material::Eye);
        }
    }

    /// What closes the face's holes from behind.
    fn holes(&mut self, base: u32, model: &Morphable) {
        let loops = borders(&model.triangles).unwrap_or_default();
        for landmark in [37, 43, 62] {
            let Some(ring) = loops.iter().find(|l| l.contains(&model.landmarks[landmark])) else { continue };
            let mouth = landmark == 62;
            // (share inwards, stretch in height, depth)
            let layers: &[(f64, f64, f64)] = if mouth {
                &[(0.0, 1.0, 0.0), (-0.04, 1.15, 4.0), (-0.08, 1.25, 9.0), (0.0, 1.2, 22.0), (0.25, 1.0, 38.0)]
            } else {
                &[(0.0, 1.0, 0.0), (0.0, 1.0, 2.0), (0.1, 1.0, 5.0)]
            };
            let material = if mouth { Material::Cavity } else { Material::Tear };
            let index = self.rings.len();
            let n = ring.len() as u32;
            let start = base + self.vertices.len() as u32;
            let hang = |s: &mut Scene, from: u32, (inwards, stretch, depth): (f64, f64, f64)| {
                s.hung.push(Hung { vertex: s.vertices.len(), ring: index, from, inwards, stretch, depth });
                s.vertices.push(Vertex {
                    rest: CENTRE,
                    anchor: CENTRE,
                    texture: [depth as f32, 0.0, 0.0],
                    jaw: 0.0,
                    body: 0.0,
                });
            };
            for layer in layers {
                for &from in ring {
                    hang(self, from, *layer);
                }
            }
            let last = layers[layers.len() - 1];
            hang(self, ring[0], (1.0, 1.0, last.2));
            let rows = layers.len() as u32;
            let centre = start + rows * n;
            let mut triangles = Vec::new();
            for c in 0..n {
                let d = (c + 1) % n;
                for r in 0..rows - 1 {
                    let [a, b, e, f] = [r * n + c, r * n + d, (r + 1) * n + c, (r + 1) * n + d].map(|i| start + i);
                    triangles.extend([[a, e, b], [b, e, f]]);
                }
                triangles.push([start + (rows - 1) * n + c, centre, start + (rows - 1) * n + d]);
            }
            self.materials.extend(std::iter::repeat_n(material, triangles.len()));
            self.triangles.extend(triangles);
            self.rings.push(ring.clone());
        }
    }

    fn teeth(&mut self, base: u32) {
        // (gum line, edge, depth of the front, how much it moves with the jaw)
        for (gum, edge, front, jaw) in [(-31.5, -41.3, 107.0, 0.0), (-49.0, -41.2, 105.0, 1.0)] {
            let rows: Vec<Vec<Vertex>> = (0..=5)
                .map(|r| {
                    let t = f64::from(r) / 5.0;
                    (0..=40)
                        .map(|c| {
                            let a: f64 = 1.3 * (f64::from(c) / 20.0 - 1.0);
                            let arc = 22.0 * a / 1.3;
                            // Each tooth bulges and its edge is round.
                            let tooth = (std::f64::consts::PI * arc / 7.3).sin().abs().powf(0.35);
                            let y = gum + (edge - gum) * t * (0.93 + 0.07 * tooth);
                            let z = front - 19.0 * (1.0 - a.cos()) / (1.0 - 1.3f64.cos()) + 1.3 * tooth
                                - 2.0 * (t - 0.55).powi(2);
                            Vertex {
                                rest: [21.5 * a.sin() / 1.3f64.sin(), y, z],
                                anchor: [0.0, -41.0, 112.0],
                                texture: [arc as f32, t as f32, jaw as f32],
                                jaw,
                                body: 0.0,
                            }
                        })
                        .collect()
                })
                .collect();
            self.grid(base, &rows, false, Material::Teeth);
        }
        self.ellipsoid(base, [0.0, -52.0, 88.0], [15.0, 6.0, 17.0], Material::Tongue, 0.9);
    }

    fn ellipsoid(&mut self, base: u32, centre: P3, radii: P3, material: Material, jaw: f64) {
        let rows: Vec<Vec<Vertex>> = (0..=14)
            .map(|r| {
                let (sr, cr) = (std::f64::consts::PI * f64::from(r) / 14.0).sin_cos();
                (0..24)
                    .map(|c| {
                        let (s, k) = (std::f64::consts::TAU * f64::from(c) / 24.0).sin_cos();
                        let d = [sr * s, sr * k, cr];
                        let rest = std::array::from_fn(|i| centre[i] + radii[i] * d[i]);
                        Vertex { rest, anchor: centre, texture: d.map(|v| v as f32), jaw, body: 0.0 }
                    })
                    .collect()
            })
            .collect();
        self.grid(base, &rows, true, material);
    }

    fn ears(&mut self, base: u32) {
        for side in [-1.0, 1.0] {
            let centre = [77.5 * side, 10.0, 3.0];
            let rows: Vec<Vec<Vertex>> = (0..=16)
                .map(|r| {
                    let (sr, cr) = (std::f64::consts::PI * f64::from(r) / 16.0).sin_cos();
                    (0..28)
                        .map(|c| {
                            let (s, k) = (std::f64::consts::TAU * f64::from(c) / 28.0).sin_cos();
                            // u backwards, v up, w outwards; the lobe is narrower than the top.
                            let (u, v, w) = (sr * s, sr * k, cr);
                            let narrow = 0.78 + 0.22 * v;
                            let bowl = 1.0 - 0.9 * (-4.0 * (u * u + v * v)).exp() * w.max(0.0);
                            let out = 4.5 * w * bowl + 9.0 * (u + 0.4).max(0.0) + 2.0;
                            let rest = [
                                centre[0] + side * out,
                                centre[1] + 30.0 * v + 3.0 * u,
                                centre[2] - 17.0 * u * narrow - 5.0 * v,
                            ];
                            Vertex {
                                rest,
                                anchor: centre,
                                texture: [u as f32, v as f32, w as f32],
                                jaw: 0.0,
                                body: 0.0,
                            }
                        })
                        .collect()
                })
                .collect();
            self.grid(base, &rows, true, Material::Ear);
        }
    }

    fn neck(&mut self, base: u32, width: f64) {
        let rows: Vec<Vec<Vertex>> = (0..=30)
            .map(|r| {
                let y = -50.0 - 110.0 * f64::from(r) / 30.0;
                // The muscle from the neck to the shoulder.
                let flare = 46.0 * smoothstep(-98.0, -172.0, y).powf(1.3);
                (0..48)
                    .map(|c| {
                        let (s, k) = (std::f64::consts::TAU * f64::from(c) / 48.0).sin_cos();
                        let slant = 12.0 * smoothstep(-60.0, -150.0, y);
                        let front = f64::from(k > 0.0) * k.abs();
                        // The windpipe and the two muscles beside it, which meet between the collar bones.
                        let apart = s.abs() - 0.20 - 0.0055 * (y + 148.0).max(0.0);
                        let throat = 2.0 * (-(s / 0.2).powi(2)).exp() + 2.6 * (-(apart / 0.13).powi(2)).exp();
                        let rest = [
                            width * 53.0 * s + flare * s,
                            y,
                            4.0 - slant + (width * 51.0 + throat * front + 0.25 * flare) * k,
                        ];
                        Vertex {
                            rest,
                            anchor: rest,
                            texture: rest.map(|v| v as f32),
                            jaw: 0.0,
                            body: smoothstep(-62.0, -140.0, y),
                        }
                    })
                    .collect()
            })
            .collect();
        self.grid(base, &rows, true, Material::Skin);
    }

    fn shoulders(&mut self, base: u32) {
        let body = |rest: P3| Vertex { rest, anchor: rest, texture: rest.map(|v| v as f32), jaw: 0.0, body: 1.0 };
        let top = |x: f64, z: f64| -131.0 - 0.0013 * x * x - 0.0030 * (z + 10.0).max(0.0).powi(2);
        let rows: Vec<Vec<Vertex>> = (0..=40)
            .map(|r| {
                let a = 0.05 + 1.25 * f64::from(r) / 40.0;
                (0..72)
                    .map(|c| {
                        let (s, k) = (std::f64::consts::TAU * f64::from(c) / 72.0).sin_cos();
                        let out = a.min(1.0) + 0.12 * smoothstep(1.0, 1.3, a);
                        let (x, z) = (205.0 * out * s, -22.0 + 96.0 * out * k);
                        body([x, top(x, z) - 260.0 * (a - 0.86).max(0.0).powi(2) - 700.0 * (a - 1.1).max(0.0), z])
                    })
                    .collect()
            })
            .collect();
        self.grid(base, &rows, true, Material::Cloth);
        // A round collar.
        let rows: Vec<Vec<Vertex>> = (0..=12)
            .map(|r| {
                let (st, ct) = (std::f64::consts::TAU * f64::from(r) / 12.0).sin_cos();
                (0..72)
                    .map(|c| {
                        let (s, k) = (std::f64::consts::TAU * f64::from(c) / 72.0).sin_cos();
                        let (x, z) = ((COLLAR[0] + 5.0 * ct) * s, COLLAR[2] + (COLLAR[1] + 5.0 * ct) * k);
                        body([x, top(COLLAR[0] * s, COLLAR[2] + COLLAR[1] * k) + 3.5 * st, z])
                    })
                    .collect()
            })
            .collect();
        self.grid(base, &rows, true, Material::Cloth);
    }

    fn hair(&mut self, base: u32, style: HairStyle) {
        const COLUMNS: usize = 180;
        const ROWS: usize = 90;
        let rows: Vec<Vec<Vertex>> = (0..ROWS)
            .map(|r| {
                let rho = 45.0 + (313.5 - 45.0) * r as f64 / (ROWS - 1) as f64;
                (0..COLUMNS)
                    .map(|c| {
                        let phi = std::f64::consts::TAU * c as f64 / COLUMNS as f64;
                        let q = [rho * phi.sin(), rho * phi.cos()];
                        let p = point(q);
                        let line = hairline(p, style);
                        let wave = f64::from(fractal([q[0] as f32 * 0.03, q[1] as f32 * 0.03, 1.0], 3)) - 0.5;
                        let lock =
                            f64::from(noise([phi.sin() as f32 * 14.0, phi.cos() as f32 * 14.0, rho as f32 * 0.02]))
                                - 0.5;
                        let thick = match style {
                            HairStyle::Short => 5.0 + 12.0 * smoothstep(30.0, 90.0, p[1]),
                            _ => 10.0 + 8.0 * smoothstep(20.0, 90.0, p[1]),
                        };
                        let rise = smoothstep(0.0, 16.0, line);
                        let mut out = -4.0 + (4.0 + thick + 4.0 * wave + 2.2 * lock) * rise;
                        if style == HairStyle::Bob && line > 0.0 {
                            // It falls straight from the temples.
                            let d = direction(q);
                            let low = smoothstep(40.0, -60.0, radius(q) * d[1]);
                            let wide = 88.0 + 9.0 * low * (1.0 - 0.5 * low) + 7.0 * wave + 4.0 * lock;
                            let flat = (d[0] / wide).hypot((d[2] + 0.18) / (102.0 + 8.0 * wave)).max(1e-3);
                            let mut wall = 1.0 / flat;
                            if d[1] < -0.05 {
                                wall = wall.min((92.0 + 9.0 * lock + 10.0 * wave) / -d[1]);
                            }
                            let below = 1.0 - smoothstep(10.0, 75.0, p[1]);
                            out = out.max((wall - radius(q)) * below * smoothstep(0.0, 22.0, line));
                        }
                        Vertex {
                            rest: on_surface(q, out),
                            anchor: p,
                            texture: p.map(|v| v as f32),
                            jaw: 0.0,
                            body: 0.0,
                        }
                    })
                    .collect()
            })
            .collect();
        let first = self.triangles.len();
        self.grid(base, &rows, true, Material::Hair);
        // Under the face there is none.
        let vertices = &self.vertices;
        let mut kept: Vec<[u32; 3]> = self.triangles.split_off(first);
        kept.retain(|t| t.iter().any(|&v| hairline(vertices[(v - base) as usize].anchor, style) > -6.0));
        self.triangles.extend(kept);
        self.materials.truncate(self.triangles.len());
    }

    /// Positions of the vertices for a person: identity applied, before expression and pose.
    pub fn identified(&self, shape: &[f32]) -> Vec<P3> {
        self.vertices
            .iter()
            .map(|v| if v.body >= 1.0 { v.rest } else { add(v.rest, identity_sum(shape, v.anchor)) })
            .collect()
    }

    /// Displacement of a vertex by the jaw.
    pub fn jaw_of(&self, vertex: usize, at: P3, open: f64) -> P3 {
        let w = self.vertices[vertex].jaw * open;
        jaw(at).map(|v| v * w)
    }
}

/// Height of a point of the head above the hairline, about millimetres; positive is hair.
pub fn hairline(p: P3, style: HairStyle) -> f64 {
    let around = p[0].abs().atan2(p[2] - 10.0).to_degrees();
    // (degrees from the front, height of the hairline)
    let short = [
        (0.0, 80.0),
        (22.0, 78.0),
        (36.0, 72.0),
        (46.0, 58.0),
        (60.0, 42.0),
        (72.0, 30.0),
        (79.0, 8.0),
        (88.0, 2.0),
        (95.0, 34.0),
        (112.0, 36.0),
        (122.0, -5.0),
        (140.0, -42.0),
        (180.0, -50.0),
    ];
    let bob = [
        (0.0, 77.0),
        (25.0, 73.0),
        (42.0, 62.0),
        (56.0, 40.0),
        (66.0, 18.0),
        (73.0, -20.0),
        (80.0, -160.0),
        (180.0, -200.0),
    ];
    let table: &[(f64, f64)] = if style == HairStyle::Bob { &bob } else { &short };
    let i = table.partition_point(|(a, _)| *a < around).clamp(1, table.len() - 1);
    let ((a, ya), (b, yb)) = (table[i - 1], table[i]);
    let t = smoothstep(a, b, around);
    // The long cut has a side.
    let swept = if style == HairStyle::Bob { 0.16 * p[0] * smoothstep(70.0, 30.0, around) } else { 0.0 };
    let rough = f64::from(fractal([p[0] as f32 * 0.12, p[1] as f32 * 0.12, p[2] as f32 * 0.12], 2)) - 0.5;
    // A steep hairline is a long way in height but not across it.
    let across = 1.0 / (1.0 + ((yb - ya) / (1.5 * (b - a))).powi(2)).sqrt();
    (p[1] - swept - (ya + (yb - ya) * t)) * across + 5.0 * rough
}

fn skin(p: P3) -> Vertex {
    Vertex { rest: p, anchor: p, texture: p.map(|v| v as f32), jaw: 0.0, body: 0.0 }
}

/// The point `out` millimetres above the skin.
fn on_surface(q: P2, out: f64) -> P3 {
    let d = direction(q);
    let r = radius(q) + out;
    std::array::from_fn(|c| CENTRE[c] + r * d[c])
}
