//! What the tests of `morphable` and `pncc` share: a synthetic model, and upstream's where it is at hand.

use super::{Fit, Morphable, Params};
use crate::frame::Rect;
use crate::import::{default_check, import};
use crate::models::Role;
use crate::morphable::arrays::morphable_from;
use crate::testing::{Rng, shared};

/// A dome of `side x side` vertices with smooth random modes, in the dimensions of a head in micrometres.
pub fn synthetic(side: usize, shape_dim: usize, expr_dim: usize, seed: u64) -> Morphable {
    let n = side * side;
    let mut random = Rng(seed);
    let at = |i: usize| {
        let f = |k: usize| 2.0 * k as f32 / (side - 1) as f32 - 1.0;
        (f(i % side), f(i / side))
    };
    let mut mean = Vec::with_capacity(3 * n);
    for i in 0..n {
        let (x, y) = at(i);
        mean.extend([60_000.0 * x, -70_000.0 * y, 80_000.0 * (1.0 - 0.5 * (x * x + y * y))]);
    }
    let mut basis = |dim: usize, amplitude: f32| {
        let waves: Vec<[f32; 4]> = (0..3 * dim)
            .map(|_| std::array::from_fn(|c| if c == 3 { 0.6 + 0.4 * random.signed() } else { 5.0 * random.signed() }))
            .collect();
        (0..3 * n * dim)
            .map(|j| {
                let (v, c, k) = (j / dim / 3, j / dim % 3, j % dim);
                let (x, y) = at(v);
                let w = waves[3 * k + c];
                amplitude * w[3] * (w[0] * x + w[1] * y + w[2]).sin()
            })
            .collect::<Vec<f32>>()
    };
    let (shape_basis, expr_basis) = (basis(shape_dim, 3000.0), basis(expr_dim, 2500.0));
    let mut triangles = Vec::new();
    for y in 0..side - 1 {
        for x in 0..side - 1 {
            let a = (y * side + x) as u32;
            let (b, c, d) = (a + 1, a + side as u32, a + side as u32 + 1);
            triangles.extend([[a, b, c], [b, d, c]]);
        }
    }
    let ncc = (0..n).map(|i| [0.5 + 0.5 * at(i).0, 0.5 - 0.5 * at(i).1, mean[3 * i + 2] / 80_000.0]).collect();
    let params = 12 + shape_dim + expr_dim;
    Morphable {
        mean,
        shape_basis,
        expr_basis,
        shape_dim,
        expr_dim,
        triangles,
        landmarks: (0..68).map(|k| (k * 7 % n) as u32).collect(),
        ncc,
        param_mean: (0..params).map(|k| if k < 12 { 0.0 } else { 0.2 * (k as f32).sin() }).collect(),
        param_std: (0..params).map(|k| 0.7 + 0.3 * (k as f32).cos()).collect(),
        arkit: Vec::new(),
        eyeballs: 0,
        residual_modes: 0,
    }
}

/// A fit of the synthetic model whose head fills the crop about as a real one does.
pub fn synthetic_fit(model: &Morphable, roi: Rect, seed: u64) -> Fit {
    let mut random = Rng(seed);
    let pose =
        super::Euler { yaw: 25.0 * random.signed(), pitch: 15.0 * random.signed(), roll: 10.0 * random.signed() };
    let r = pose.rotation();
    let mut camera = [0.0; 12];
    for row in 0..3 {
        for col in 0..3 {
            camera[4 * row + col] = 5.5e-4 * r[(row, col)];
        }
    }
    [camera[3], camera[7], camera[11]] = [60.0, 62.0, -60.0];
    let mut values = |dim: usize| (0..dim).map(|_| random.signed()).collect::<Vec<_>>();
    Fit { params: Params { camera, shape: values(model.shape_dim), expr: values(model.expr_dim) }, roi }
}

/// Upstream's model, imported once per test process; says so and returns `None` where the shared data is absent.
pub fn upstream_model() -> Option<Morphable> {
    static MODEL: std::sync::OnceLock<Option<Morphable>> = std::sync::OnceLock::new();
    let load = || {
        let folder = tempfile::tempdir().unwrap();
        let from = shared()?.join("face-models/3ddfa_v2");
        let pack = import("3ddfa-v2", &from, None, folder.path(), &Default::default()).unwrap();
        let component = pack.component(Role::Morphable, None).unwrap();
        Some(morphable_from(&pack.load(component, default_check).unwrap()).unwrap())
    };
    MODEL.get_or_init(load).clone()
}

/// One portrait of the fixtures: what upstream's code computed for it.
pub struct Fixture {
    pub name: String,
    pub fit: Fit,
    pub landmarks: Vec<[f32; 3]>,
    /// Every thousandth vertex of the dense mesh.
    pub sampled: Vec<[f32; 3]>,
    pub minimum: [f32; 3],
    pub maximum: [f32; 3],
    pub pose: super::Euler,
    /// Side lengths and bytes of the PNCC picture, as our own are: red x, green y, blue z.
    pub pncc: (usize, usize, Vec<u8>),
}

/// The fixtures of 3DDFA-V2, none (with a line that says so) where the shared data is absent.
pub fn fixtures() -> Vec<Fixture> {
    let Some(folder) = shared().map(|s| s.join("fixtures/tddfa_v2")) else { return Vec::new() };
    let text = std::fs::read_to_string(folder.join("tddfa_v2.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let list = |v: &serde_json::Value| -> Vec<f32> {
        v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
    };
    let points = |v: &serde_json::Value| -> Vec<[f32; 3]> {
        let [x, y, z] = [0, 1, 2].map(|c| list(&v[c]));
        (0..x.len()).map(|i| [x[i], y[i], z[i]]).collect()
    };
    let three = |v: &serde_json::Value| -> [f32; 3] { list(v).try_into().unwrap() };
    json.as_object()
        .unwrap()
        .iter()
        .map(|(name, v)| {
            let roi = list(&v["roi"][0]);
            let [yaw, pitch, roll] = three(&v["pose_yaw_pitch_roll_deg"][0]);
            let png = image::open(folder.join(format!("{name}.pncc.png"))).unwrap().to_rgb8();
            let (width, height) = (png.width() as usize, png.height() as usize);
            // OpenCV wrote blue, green, red = x, y, z.
            let bytes = png.into_raw().as_chunks::<3>().0.iter().flat_map(|p| [p[2], p[1], p[0]]).collect();
            let dense = &v["dense_sha_stats"][0];
            Fixture {
                name: name.clone(),
                fit: Fit {
                    params: Params::from_slice(&list(&v["params62"][0]), 40, 10).unwrap(),
                    roi: Rect { x0: roi[0], y0: roi[1], x1: roi[2], y1: roi[3] },
                },
                landmarks: points(&v["landmarks68_xyz"][0]),
                sampled: points(&dense["sample_every_1000"]),
                minimum: three(&dense["min"]),
                maximum: three(&dense["max"]),
                pose: super::Euler { yaw, pitch, roll },
                pncc: (width, height, bytes),
            }
        })
        .collect()
}
