//! The procedural head as a morphable model: how it compares with another, and what its modes look like.

use headgan::frame::{Color, ContactSheet, Frame};
use headgan::models::{ModelSet, Role};
use headgan::morphable::arrays::morphable_from;
use headgan::morphable::canonical::EXPRESSION_NAMES;
use headgan::morphable::{Euler, ImageCamera, Mesh, Morphable, PreparedMorphable};
use headgan::pncc::Rasterizer;
use headgan::{Error, Result};

/// Side of a picture on the sheet, in pixels.
const SIDE: usize = 224;
/// Where the head stands. Not on whole pixels: edges of the mesh that run through pixel centres show no triangle.
const CENTRE: [f32; 3] = [112.37, 109.71, 0.0];

/// One line: how far the coordinate codes of `model` and of the pack `name`'s model lie apart at the landmarks; or that there
/// is no such pack.
///
/// # Errors
/// [`Error::Model`] where the pack is damaged.
pub fn comparison(model: &Morphable, models: &ModelSet, name: &str) -> Result<String> {
    let Ok(pack) = models.pack(name) else {
        return Ok(format!("there is no pack '{name}' to compare its coordinate code with"));
    };
    let part = pack.component(Role::Morphable, None);
    let part = part.ok_or_else(|| Error::model(format!("the pack '{name}' has no morphable model")))?;
    let other = morphable_from(&*pack.load(part, headgan::import::check)?)?;
    let differences: Vec<f32> = model.code_differences(&other).into_iter().flatten().map(f32::abs).collect();
    let largest = differences.iter().copied().fold(0.0, f32::max);
    let mean = differences.iter().sum::<f32>() / differences.len().max(1) as f32;
    Ok(format!("coordinate code beside '{name}' at the 68 landmarks: mean difference {mean:.4}, largest {largest:.4}"))
}

/// The mean head from the front and the side, its coordinate code, every expression mode at 1 and every identity mode at
/// 2 standard deviations.
///
/// # Errors
/// [`Error::Model`] for a model whose parts do not fit together.
pub fn sheet(model: &Morphable) -> Result<Frame> {
    let prepared = PreparedMorphable::new(model.clone())?;
    let mut sheet = ContactSheet::new(8, (SIDE, SIDE));
    let view = |shape: &[f32], expr: &[f32], yaw: f32, coded: bool| -> Result<Frame> {
        let turned = Euler { yaw, ..Euler::default() };
        let scale = SIDE as f32 / 230_000.0;
        let camera = ImageCamera::new(scale, turned.rotation(), CENTRE);
        let mut mesh = Mesh::default();
        prepared.mesh_into(&prepared.identity(shape)?, expr, &camera, &mut mesh)?;
        draw(&mesh, model, coded)
    };
    let unit =
        |n: usize, k: usize, value: f32| -> Vec<f32> { (0..n).map(|i| if i == k { value } else { 0.0 }).collect() };
    let (shape, rest) = (vec![0.0; model.shape_dim], vec![0.0; model.expr_dim]);
    for (yaw, label) in [(0.0, "mean"), (45.0, "mean, yaw 45"), (90.0, "mean, yaw 90")] {
        sheet.push(&view(&shape, &rest, yaw, false)?, label);
        sheet.push(&view(&shape, &rest, yaw, true)?, "NCC");
    }
    for k in 0..model.expr_dim {
        let label = EXPRESSION_NAMES.get(k).copied().unwrap_or("expression");
        sheet.push(&view(&shape, &unit(model.expr_dim, k, 1.0), 20.0, false)?, label);
    }
    for k in 0..model.shape_dim {
        for value in [-2.0, 2.0] {
            sheet.push(&view(&unit(model.shape_dim, k, value), &rest, 25.0, false)?, &format!("identity {k}: {value}"));
        }
    }
    Ok(sheet.render())
}

/// The mesh in grey, lit from the upper left, or in its coordinate code.
fn draw(mesh: &Mesh, model: &Morphable, coded: bool) -> Result<Frame> {
    let mut raster = Rasterizer::single_thread();
    let rendered = raster.render(&mesh.vertices, &model.triangles, SIDE, SIDE)?;
    if coded {
        let mut bytes = Vec::new();
        rendered.pncc_into(&model.ncc, &mut bytes)?;
        return Ok(Frame::from_rgb8(SIDE, SIDE, &bytes, Color::Srgb));
    }
    let (mut spare, mut normals) = (Vec::new(), Vec::new());
    rendered.normals_into(&mut spare, &mut normals);
    let grey = normals.iter().map(|n| {
        let facing = (-0.4 * n[0] - 0.4 * n[1] + 0.82 * n[2]).max(0.0);
        let shown = n[0] != 0.0 || n[1] != 0.0 || n[2] != 0.0;
        if shown { 0.12 + 0.8 * facing } else { 0.0 }
    });
    let data = grey.flat_map(|v| [v, v, v, 1.0]).collect();
    Ok(Frame { width: SIDE, height: SIDE, data, color: Color::Srgb })
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgan::synthetic::head;

    /// The bar of the starter pack: one generator serves both models.
    #[test]
    fn the_coordinate_code_agrees_with_3ddfa_v2s() {
        let models = ModelSet::discover(&[]);
        let Ok(pack) = models.pack("3ddfa-v2") else {
            eprintln!("skipped: there is no pack '3ddfa-v2' to compare with");
            return;
        };
        let part = pack.component(Role::Morphable, None).unwrap();
        let other = morphable_from(&pack.load(part, headgan::import::check).unwrap()).unwrap();
        for (i, d) in head().code_differences(&other).iter().enumerate() {
            assert!(d.iter().all(|v| v.abs() <= 0.02), "landmark {i}: {d:?}");
        }
    }

    #[test]
    fn the_sheet_shows_every_mode() {
        let model = head();
        let frame = sheet(&model).unwrap();
        let pictures = 6 + model.expr_dim + 2 * model.shape_dim;
        assert!(frame.width * frame.height >= pictures * SIDE * SIDE);
        let none = comparison(&model, &ModelSet::from_folders(&[]), "3ddfa-v2").unwrap();
        assert!(none.contains("no pack"), "{none}");
    }
}
