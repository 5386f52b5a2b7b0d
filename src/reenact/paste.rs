//! Painted crops back into the plate: a generator's picture, or what it changed of Draft's.

use super::draft::DraftOutput;
use super::window::pixels_of;
use crate::Result;
use crate::frame::{Color, Filter, Frame, Window};

/// How far a painted crop covers the plate's pixel `i` along one axis: falls to zero towards the window's border.
pub(super) fn feather(i: usize, start: f64, side: f64) -> f32 {
    /// Share of the crop's side over which it falls.
    const FEATHER: f64 = 0.05;
    let t = (i as f64 + 0.5 - start) / side;
    (t.min(1.0 - t) / FEATHER).clamp(0.0, 1.0) as f32
}

/// Draft's picture where the window at home would be painted and the one that has left it is not: the head that the plate
/// shows must not stay behind.
pub(super) fn cover_home(plate: &mut Frame, draft: &DraftOutput, home: Window, window: Window) -> Result<()> {
    let coverage = |w: &Window, x: usize, y: usize| feather(x, w.x0, w.width).min(feather(y, w.y0, w.height));
    let mut soft = Vec::with_capacity(draft.mask.len());
    for y in 0..plate.height {
        for x in 0..plate.width {
            let mask = draft.mask[y * plate.width + x];
            let (wanted, painted) = (mask * coverage(&home, x, y), mask * coverage(&window, x, y));
            // Together with what is painted over it, as much as at home.
            soft.push(if wanted > painted { (wanted - painted) / (1.0 - painted) } else { 0.0 });
        }
    }
    plate.paste_masked(&draft.picture, &soft, 0, 0)
}

/// Adds what a generator changed of `base` to Draft's picture; both are crops of `window` as a screen shows them. It fades
/// towards the window's border.
pub(super) fn add_change(draft: &mut Frame, painted: &Frame, base: &Frame, window: Window) {
    let Some((columns, rows, part)) = pixels_of(window, draft) else { return };
    let (w, h) = (columns.len(), rows.len());
    let mut change = painted.clone();
    for (rgba, base) in change.data.chunks_exact_mut(4).zip(base.data.chunks_exact(4)) {
        rgba[..3].iter_mut().zip(base).for_each(|(v, b)| *v -= b.clamp(0.0, 1.0));
    }
    let change = change.crop(part, w, h, Filter::Lanczos3);
    let region = Window { x0: columns.start as f64, y0: rows.start as f64, width: w as f64, height: h as f64 };
    let before = draft.crop(region, w, h, Filter::Area);
    let mut shown = before.to_display(Color::Srgb).into_owned();
    let fades: Vec<f32> = columns.clone().map(|x| feather(x, window.x0, window.width)).collect();
    let lines = shown.data.chunks_exact_mut(4 * w).zip(change.data.chunks_exact(4 * w));
    for ((line, change), y) in lines.zip(rows.clone()) {
        let down = feather(y, window.y0, window.width);
        for ((rgba, change), fade) in line.chunks_exact_mut(4).zip(change.chunks_exact(4)).zip(&fades) {
            rgba[..3].iter_mut().zip(change).for_each(|(v, c)| *v += down.min(*fade) * c);
        }
    }
    shown.convert_color(draft.color);
    for (line, y) in shown.data.chunks_exact(4 * w).zip(rows) {
        let start = 4 * (y * draft.width + columns.start);
        draft.data[start..start + 4 * w].copy_from_slice(line);
    }
}

/// Blends a painted crop into the plate through Draft's mask, which falls to zero towards the crop's border. A generator
/// knows no alpha: that is Draft's as well.
pub(super) fn put_back(plate: &mut Frame, patch: &Frame, draft: &DraftOutput, window: Window) -> Result<()> {
    let Some((columns, rows, part)) = pixels_of(window, plate) else { return Ok(()) };
    let (w, h) = (columns.len(), rows.len());
    let edge = |i: usize, start: f64| feather(i, start, window.width);
    let mut soft = Vec::with_capacity(w * h);
    for y in rows.clone() {
        let down = edge(y, window.y0);
        soft.extend(columns.clone().map(|x| draft.mask[y * plate.width + x] * down.min(edge(x, window.x0))));
    }
    let mut patch = patch.crop(part, w, h, Filter::Lanczos3);
    for (row, y) in patch.data.chunks_exact_mut(4 * w).zip(rows.clone()) {
        for (rgba, x) in row.chunks_exact_mut(4).zip(columns.clone()) {
            rgba[3] = draft.picture.pixel(x, y)[3];
        }
    }
    plate.paste_masked(&patch, &soft, columns.start as i64, rows.start as i64)
}
