//! Mesh and rasteriser at the size of 3DDFA-V2's model (38,365 vertices, 76,073 triangles), one thread unless
//! the name says otherwise. `cargo bench --bench mesh`.
//!
//! The mesh is a synthetic one of that size. Where upstream's files lie beside the project (`$HEADGAN_SHARED`), their
//! model is measured as well: its triangles lie less orderly in memory.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use headgan::frame::Rect;
use headgan::import::{self, default_check};
use headgan::models::Role;
use headgan::morphable::arrays::morphable_from;
use headgan::morphable::{
    Euler, Expression, Fit, ImageCamera, Mesh, Morphable, Params, PreparedMorphable, Rig, RigSettings,
};
use headgan::pncc::{Rasterizer, Reference, SourceMap};

/// A dome of 196 x 196 vertices with smooth modes.
fn synthetic() -> Morphable {
    let (side, shape_dim, expr_dim) = (196usize, 40, 10);
    let n = side * side;
    let at = |i: usize| [i % side, i / side].map(|k| 2.0 * k as f32 / (side - 1) as f32 - 1.0);
    let basis = |dim: usize| -> Vec<f32> {
        (0..3 * n * dim)
            .map(|j| {
                let [x, y] = at(j / dim / 3);
                3000.0 * ((j % dim) as f32 * x + (j / dim % 3) as f32 + 2.0 * y).sin()
            })
            .collect()
    };
    let mean: Vec<f32> = (0..n)
        .flat_map(|i| {
            let [x, y] = at(i);
            [72_000.0 * x, -88_000.0 * y, 80_000.0 * (1.0 - 0.5 * (x * x + y * y))]
        })
        .collect();
    let triangles = (0..(side - 1) * (side - 1))
        .flat_map(|k| {
            let a = (k / (side - 1) * side + k % (side - 1)) as u32;
            let below = a + side as u32;
            [[a, a + 1, below], [a + 1, below + 1, below]]
        })
        .collect();
    Morphable {
        shape_basis: basis(shape_dim),
        expr_basis: basis(expr_dim),
        shape_dim,
        expr_dim,
        triangles,
        landmarks: (0..68).map(|k| k * 500).collect(),
        ncc: (0..n)
            .map(|i| [0.5 + 0.5 * at(i)[0], 0.5 - 0.5 * at(i)[1], mean[3 * i + 2].max(0.0) / 80_000.0])
            .collect(),
        mean,
        param_mean: vec![0.0; 62],
        param_std: vec![1.0; 62],
        arkit: Vec::new(),
        eyeballs: 0,
        residual_modes: 0,
    }
}

/// Upstream's model, where the data beside the project is there.
fn upstream() -> Option<Morphable> {
    let shared = std::env::var_os("HEADGAN_SHARED").map_or("../shared".into(), std::path::PathBuf::from);
    let folder = tempfile::tempdir().ok()?;
    let from = shared.join("face-models/3ddfa_v2");
    let pack = import::import("3ddfa-v2", &from, None, folder.path(), &Default::default()).ok()?;
    let weights = pack.load(pack.component(Role::Morphable, None)?, default_check).ok()?;
    morphable_from(&weights).ok()
}

/// A head that fills a window of `size` pixels as the generator's crops have it.
fn fit(size: f32) -> Fit {
    let r = Euler { yaw: 8.0, pitch: 6.0, roll: -3.0 }.rotation();
    let mut camera = [0.0; 12];
    for row in 0..3 {
        for col in 0..3 {
            camera[4 * row + col] = 5.0e-4 * r[(row, col)];
        }
    }
    [camera[3], camera[7], camera[11]] = [61.0, 66.0, -66.0];
    Fit {
        params: Params { camera, shape: vec![0.1; 40], expr: vec![0.3; 10] },
        roi: Rect { x0: 0.0, y0: 0.0, x1: size, y1: size },
    }
}

fn measure(c: &mut Criterion, name: &str, model: Morphable) {
    let ncc = model.ncc.clone();
    let prepared = PreparedMorphable::new(model).expect("the model is whole");
    let mut group = c.benchmark_group(name);
    group.sample_size(30);
    let fit256 = fit(256.0);
    let identity = prepared.identity(&fit256.params.shape).expect("the coefficients fit");
    let mut mesh = Mesh::default();
    group.bench_function("identity, once per shot", |b| {
        b.iter(|| black_box(prepared.identity(black_box(&fit256.params.shape)).unwrap()));
    });
    group.bench_function("mesh", |b| {
        b.iter(|| prepared.fit_mesh_into(&identity, black_box(&fit256), &mut mesh).unwrap());
    });
    // The synthetic mesh's landmarks are no face's: it has no rig.
    if let Ok(rig) = prepared.rig() {
        group.bench_function("rig, once per model", |b| b.iter(|| black_box(Rig::new(prepared.model()).unwrap())));
        let camera = ImageCamera::from_fit(&fit256).expect("the camera is regular");
        let smile = RigSettings::single(Expression::Smile, 1.0);
        let regions = RigSettings { regions: [0.5, 1.0, 0.0, 2.0], ..RigSettings::default() };
        let mut many = RigSettings { replace: true, ..regions };
        for e in [Expression::Smile, Expression::BrowRaise, Expression::BlinkLeft, Expression::BlinkRight] {
            many.expressions[e as usize] = 0.5;
        }
        let mut rest = Mesh::default();
        for (name, settings) in [("one expression", smile), ("regions", regions), ("regions, four expressions", many)] {
            group.bench_function(format!("mesh, {name}"), |b| {
                b.iter(|| {
                    let expr = black_box(&fit256.params.expr);
                    rig.mesh_into(&prepared, &identity, expr, &[0.0; 10], &camera, &settings, &mut rest, &mut mesh)
                        .unwrap();
                });
            });
        }
    }
    group.bench_function("68 landmarks", |b| b.iter(|| black_box(prepared.landmarks68(black_box(&fit256)).unwrap())));
    for size in [256usize, 1024] {
        let camera = ImageCamera::from_fit(&fit(size as f32)).expect("the camera is regular");
        prepared.mesh_into(&identity, &[0.3; 10], &camera, &mut mesh).expect("the expression fits");
        let mut one = Rasterizer::single_thread();
        let (mut bytes, mut floats) = (Vec::new(), Vec::new());
        group.bench_function(format!("raster {size}"), |b| {
            b.iter(|| black_box(one.render(&mesh.vertices, prepared.triangles(), size, size).unwrap().rect()));
        });
        group.bench_function(format!("raster + PNCC {size}"), |b| {
            b.iter(|| {
                let r = one.render(&mesh.vertices, prepared.triangles(), size, size).unwrap();
                r.pncc_into(&ncc, &mut bytes).unwrap();
            });
        });
        let mut all = Rasterizer::new();
        group.bench_function(format!("raster {size}, all threads"), |b| {
            b.iter(|| black_box(all.render(&mesh.vertices, prepared.triangles(), size, size).unwrap().rect()));
        });
        let reference = Reference::new(&mut one, mesh.vertices.clone(), prepared.triangles(), size, size).unwrap();
        let rendered = one.render(&mesh.vertices, prepared.triangles(), size, size).unwrap();
        group.bench_function(format!("PNCC f32 {size}"), |b| {
            b.iter(|| rendered.pncc_f32_into(&ncc, &mut floats).unwrap());
        });
        let mut map = SourceMap::default();
        group.bench_function(format!("correspondence {size}"), |b| b.iter(|| map.fill(&rendered, &reference).unwrap()));
        let mut scratch = Vec::new();
        let mut normals = Vec::new();
        group.bench_function(format!("normals {size}"), |b| {
            b.iter(|| rendered.normals_into(&mut scratch, &mut normals));
        });
    }
    group.finish();
}

fn benches(c: &mut Criterion) {
    measure(c, "synthetic", synthetic());
    match upstream() {
        Some(model) => measure(c, "upstream", model),
        None => eprintln!("upstream's files are not at $HEADGAN_SHARED: their model is not measured"),
    }
}

criterion_group!(mesh, benches);
criterion_main!(mesh);
