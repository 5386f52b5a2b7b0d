//! What a tracked frame costs besides decoding: regression, mesh and PNCC at 256 px, one thread.
//! `cargo bench --bench tracked`. Upstream's model where its files lie beside the project (`$HEADGAN_SHARED`).

use criterion::{Criterion, criterion_group, criterion_main};
use headgan::engine::{Embedded, cpu};
use headgan::face::regress::Regressor;
use headgan::frame::{Frame, Rect};
use headgan::import;
use headgan::models::Role;
use headgan::morphable::arrays::morphable_from;
use headgan::morphable::{Mesh, PreparedMorphable};
use headgan::pncc::Rasterizer;
use std::hint::black_box;
use std::path::{Path, PathBuf};

fn tracked(c: &mut Criterion) {
    let shared = std::env::var_os("HEADGAN_SHARED").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"));
    let from = shared.join("face-models/3ddfa_v2");
    if !from.is_dir() {
        println!("skipped: ../shared is not here (set HEADGAN_SHARED to use it from elsewhere)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let options = import::Options { check: headgan::import::check, topology: None };
    let pack = import::import("3ddfa-v2", &from, None, folder.path(), &options).unwrap();
    let load = |role| pack.load(pack.component(role, None).unwrap(), headgan::import::check).unwrap();
    let model = morphable_from(&load(Role::Morphable)).unwrap();
    let weights = load(Role::Regressor);
    let config = headgan::face::regress::check(&weights).unwrap();
    let one = cpu::Options { threads: 1, ..cpu::Options::default() };
    let regressor = Regressor::new(Embedded::new(weights, &one), config, &model).unwrap();
    let model = PreparedMorphable::new(model).unwrap();

    // A face of the size that a 256-pixel crop shows: upstream's first portrait.
    let picture = headgan::media::still::read(&shared.join("images/s0.jpg")).unwrap().frame;
    let roi = Rect { x0: 255.2, y0: 81.6, x1: 382.1, y1: 208.6 };
    let window = headgan::frame::Window::square(230.0, 50.0, 180.0);
    let picture: Frame = picture.crop(window, 256, 256, headgan::frame::Filter::Area);
    let k = 256.0 / 180.0;
    let roi =
        Rect { x0: (roi.x0 - 230.0) * k, y0: (roi.y0 - 50.0) * k, x1: (roi.x1 - 230.0) * k, y1: (roi.y1 - 50.0) * k };
    let mut mesh = Mesh::default();
    let mut raster = Rasterizer::single_thread();
    let mut pncc = Vec::new();
    let first = regressor.regress(&picture, &roi).unwrap();
    let identity = model.identity(&first.params.shape).unwrap();
    c.bench_function("regress", |b| b.iter(|| black_box(regressor.regress(&picture, &roi).unwrap())));
    c.bench_function("regress + mesh + PNCC at 256 px", |b| {
        b.iter(|| {
            let fit = regressor.regress(&picture, &roi).unwrap();
            model.fit_mesh_into(&identity, &fit, &mut mesh).unwrap();
            let shown = raster.render(&mesh.vertices, model.triangles(), 256, 256).unwrap();
            shown.pncc_f32_into(&model.model().ncc, &mut pncc).unwrap();
            black_box(pncc.len())
        });
    });
}

criterion_group!(benches, tracked);
criterion_main!(benches);
