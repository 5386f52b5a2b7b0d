//! A sheet of all 52 shapes to look at: each at a coefficient of 1, from the front and from the side.

use crate::morphable::arkit::{Own, acting};
use crate::morphable::canonical::surface::P3;
use crate::morphable::rig::lines::{Place, vertex};
use crate::morphable::testkit::upstream_model;
use crate::morphable::{ArkitShape, Morphable};
use crate::pncc::Rasterizer;
use crate::synthetic::{acting_head, head};

/// Pixels of a view, and millimetres that it shows.
const VIEW: [usize; 2] = [260, 230];
const COLUMNS: usize = 4;

/// A vertex of an expression in the synthetic head's millimetres.
pub fn posed(model: &Morphable, place: &Place, v: usize, coefficients: &[(ArkitShape, f32)]) -> P3 {
    let (p, dim) = (vertex(model, v as u32), model.expr_dim);
    place.at(std::array::from_fn(|c| {
        let row = &model.expr_basis[(3 * v + c) * dim..][..dim];
        p[c] + coefficients.iter().map(|(s, w)| w * row[model.arkit[*s as usize] as usize]).sum::<f32>()
    }))
}

/// Draws a mesh, turned by `yaw` degrees, around `middle`, `width` millimetres wide.
fn view(model: &Morphable, at: &[P3], middle: P3, yaw: f64, width: f64) -> Vec<[u8; 3]> {
    const SUPER: usize = 2;
    let (w, h) = (VIEW[0] * SUPER, VIEW[1] * SUPER);
    let scale = w as f64 / width;
    let (sin, cos) = yaw.to_radians().sin_cos();
    let vertices: Vec<[f32; 3]> = at
        .iter()
        .map(|p| {
            let d: P3 = std::array::from_fn(|c| p[c] - middle[c]);
            let (x, z) = (cos * d[0] + sin * d[2], cos * d[2] - sin * d[0]);
            [w as f64 / 2.0 + scale * x, h as f64 / 2.0 - scale * d[1], scale * z + 1000.0].map(|v| v as f32)
        })
        .collect();
    let mut raster = Rasterizer::new();
    let rendered = raster.render(&vertices, &model.triangles, w, h).unwrap();
    let (mut spare, mut normals) = (Vec::new(), Vec::new());
    rendered.normals_into(&mut spare, &mut normals);
    let mut shades = vec![[0.12f32, 0.10, 0.13]; w * h];
    let skin = model.skin_triangles().len() as u32;
    rendered.for_each_hit(|pixel, hit| {
        let n = normals[pixel];
        let lit = (0.35 * n[0] - 0.55 * n[1] + 0.75 * n[2]).max(0.0);
        let colour = if hit.triangle < skin {
            if n[2] < 0.0 { [0.5, 0.1, 0.1] } else { [0.86, 0.68, 0.58] }
        } else {
            let [_, green, blue] = rendered.interpolate(&hit, &model.ncc);
            if blue < 0.5 {
                [0.75, 0.4, 0.4]
            } else if green < 0.5 {
                [0.2, 0.4, 0.65]
            } else {
                [0.95, 0.95, 0.95]
            }
        };
        shades[pixel] = colour.map(|c: f32| c * (0.25 + 0.75 * lit));
    });
    (0..VIEW[0] * VIEW[1])
        .map(|i| {
            let (x, y) = (i % VIEW[0] * SUPER, i / VIEW[0] * SUPER);
            std::array::from_fn(|c| {
                let sum: f32 = (0..SUPER * SUPER).map(|k| shades[(y + k / SUPER) * w + x + k % SUPER][c]).sum();
                (255.0 * (sum / (SUPER * SUPER) as f32).clamp(0.0, 1.0).powf(0.8)) as u8
            })
        })
        .collect()
}

/// A sheet: cells of two views, left to right and down, one for each list of shapes.
fn sheet(model: &Morphable, base: &Morphable, cells: &[Vec<(ArkitShape, f32)>], path: &str) {
    let place = Place::new(base).unwrap();
    let rows = cells.len().div_ceil(COLUMNS);
    let (cw, ch) = (2 * VIEW[0], VIEW[1]);
    let mut picture = image::RgbImage::new((cw * COLUMNS) as u32, (ch * rows) as u32);
    for (i, cell) in cells.iter().enumerate() {
        let at: Vec<P3> = (0..model.vertex_count()).map(|v| posed(model, &place, v, cell)).collect();
        let name = cell.first().map_or("", |c| c.0.name());
        let left = name.ends_with("Left");
        let side = if left { 1.0 } else { -1.0 };
        let (middle, width) = match name {
            n if n.starts_with("eye") => ([30.0 * side, 27.0, 90.0], 62.0),
            n if n.starts_with("brow") => ([0.0, 38.0, 90.0], 130.0),
            n if n.starts_with("cheek") || n.starts_with("nose") => ([10.0 * side, -8.0, 90.0], 130.0),
            n if n.starts_with("jaw") => ([0.0, -40.0, 90.0], 150.0),
            n if n.starts_with("mouth") => ([0.0, -42.0, 95.0], 92.0),
            _ => ([0.0, 0.0, 90.0], 200.0),
        };
        // Seen from the side that the shape is on.
        let turns = [0.0, if left { -40.0 } else { 40.0 }];
        for (k, yaw) in turns.into_iter().enumerate() {
            let (x0, y0) = (i % COLUMNS * cw + k * VIEW[0], i / COLUMNS * ch);
            for (j, c) in view(model, &at, middle, yaw, width).into_iter().enumerate() {
                picture.put_pixel((x0 + j % VIEW[0]) as u32, (y0 + j / VIEW[0]) as u32, image::Rgb(c));
            }
        }
    }
    picture.save(path).unwrap();
}

fn weights(list: &str) -> Vec<(ArkitShape, f32)> {
    list.split('+')
        .filter(|s| !s.is_empty())
        .map(|s| {
            let (name, w) = s.split_once('=').unwrap_or((s, "1"));
            (ArkitShape::parse(name).unwrap(), w.parse().unwrap())
        })
        .collect()
}

/// Draws sheets into the folder `$ARKIT_SHEET`: all shapes of both heads, or what `$ARKIT_CELLS` lists
/// (`jawOpen+mouthClose=0.5,eyeBlinkLeft`).
#[test]
#[ignore = "draws pictures for a person to look at"]
fn arkit_sheet() {
    let folder = std::env::var("ARKIT_SHEET").expect("ARKIT_SHEET names a folder");
    let cells: Vec<Vec<(ArkitShape, f32)>> = match std::env::var("ARKIT_CELLS") {
        Ok(list) => list.split(',').map(weights).collect(),
        Err(_) => ArkitShape::ALL.iter().map(|&s| vec![(s, 1.0)]).collect(),
    };
    sheet(&acting_head(), &head(), &cells, &format!("{folder}/own.png"));
    if let Some(base) = upstream_model() {
        sheet(&acting(&base, Own::Kept).unwrap(), &base, &cells, &format!("{folder}/tddfa.png"));
    }
}

/// Writes both models into the folder `$ARKIT_EXPORT`.
#[test]
#[ignore = "writes files"]
fn arkit_export() {
    let folder = std::path::PathBuf::from(std::env::var("ARKIT_EXPORT").expect("ARKIT_EXPORT names a folder"));
    let write = |model: &Morphable, name: &str| {
        crate::weights::safetensors::save(&folder.join(name), &crate::morphable::arrays::morphable_weights(model))
            .unwrap();
    };
    write(&acting_head(), "own.safetensors");
    if let Some(base) = upstream_model() {
        write(&acting(&base, Own::Kept).unwrap(), "tddfa.safetensors");
    }
}
