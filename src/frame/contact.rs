//! Contact sheets: a grid of thumbnails with small gaps and optional labels.

use super::text::{GLYPH_HEIGHT, GLYPH_WIDTH, draw_text, text_width};
use super::{Color, Filter, Frame};

/// Collects thumbnails (so that a long shot never stands in memory) and lays them out row by row.
#[derive(Debug, Clone)]
pub struct ContactSheet {
    /// Pictures per row, at least 1.
    pub columns: usize,
    /// Width and height of a cell in pixels; pictures keep their shape and are centred in it.
    pub cell: (usize, usize),
    /// Gap between columns and rows and around the sheet, in pixels.
    pub spacing: usize,
    /// Colour of gaps and of what a picture leaves of its cell, sRGB.
    pub background: [f32; 4],
    /// Colour of the labels, sRGB.
    pub ink: [f32; 4],
    /// Size of the labels: pixels per dot of the font.
    pub text_scale: usize,
    thumbnails: Vec<(Frame, String)>,
}

impl ContactSheet {
    /// A sheet with `columns` cells of `cell` = (width, height) pixels a row, dark grey, 4 pixels apart.
    pub fn new(columns: usize, cell: (usize, usize)) -> ContactSheet {
        ContactSheet {
            columns: columns.max(1),
            cell: (cell.0.max(1), cell.1.max(1)),
            spacing: 4,
            background: [0.09, 0.09, 0.09, 1.0],
            ink: [0.92, 0.92, 0.92, 1.0],
            text_scale: 1,
            thumbnails: Vec::new(),
        }
    }

    /// Adds a picture; an empty `label` is none. Linear pictures are shown as sRGB, transparent ones
    /// over the background.
    pub fn push(&mut self, frame: &Frame, label: &str) {
        let (cw, ch) = self.cell;
        let fit = (cw as f64 / frame.width as f64).min(ch as f64 / frame.height as f64);
        let w = ((frame.width as f64 * fit).round() as usize).clamp(1, cw);
        let h = ((frame.height as f64 * fit).round() as usize).clamp(1, ch);
        let small = frame.resize(w, h, Filter::Area);
        let mut shown = small.to_display(Color::Srgb).into_owned();
        shown.color = Color::Srgb;
        self.thumbnails.push((shown, label.to_string()));
    }

    /// Leaves a cell empty.
    pub fn push_empty(&mut self, label: &str) {
        self.thumbnails.push((Frame::new(1, 1), label.to_string()));
    }

    /// Number of cells used so far.
    pub fn len(&self) -> usize {
        self.thumbnails.len()
    }

    /// True before the first picture.
    pub fn is_empty(&self) -> bool {
        self.thumbnails.is_empty()
    }

    /// The sheet, sRGB. Without pictures it is one empty cell.
    pub fn render(&self) -> Frame {
        let (cw, ch) = self.cell;
        let gap = self.spacing;
        let labelled = self.thumbnails.iter().any(|(_, l)| !l.is_empty());
        let text = if labelled { (GLYPH_HEIGHT + 4) * self.text_scale.max(1) } else { 0 };
        let columns = self.columns.min(self.thumbnails.len()).max(1);
        let rows = self.thumbnails.len().div_ceil(columns).max(1);
        let width = gap + columns * (cw + gap);
        let height = gap + rows * (ch + text + gap);
        let mut sheet = Frame::filled(width, height, self.background, Color::Srgb);
        for (i, (thumbnail, label)) in self.thumbnails.iter().enumerate() {
            let x = gap + (i % columns) * (cw + gap);
            let y = gap + (i / columns) * (ch + text + gap);
            let dx = (cw - thumbnail.width) / 2;
            let dy = (ch - thumbnail.height) / 2;
            sheet.over(thumbnail, (x + dx) as i64, (y + dy) as i64);
            let scale = self.text_scale.max(1);
            let fits = (cw + scale) / ((GLYPH_WIDTH + 1) * scale);
            let shown: String = label.chars().take(fits).collect();
            let tx = x + cw.saturating_sub(text_width(&shown, scale)) / 2;
            draw_text(&mut sheet, &shown, tx as i64, (y + ch + 2 * scale) as i64, scale, self.ink);
        }
        sheet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout() {
        let mut sheet = ContactSheet::new(2, (20, 10));
        for i in 0..3 {
            sheet.push(&Frame::filled(40, 40, [1.0, 0.0, 0.0, 1.0], Color::Srgb), &format!("F {i}"));
        }
        let f = sheet.render();
        assert_eq!((f.width, f.height), (4 + 2 * 24, 4 + 2 * (10 + 11 + 4)));
        // a square picture is 10x10 in the middle of its 20x10 cell
        assert_eq!(f.pixel(4 + 5, 4), [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(f.pixel(4 + 4, 4), sheet.background);
        assert_eq!(f.pixel(4 + 24 + 5, 4), [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(f.pixel(4 + 24 + 5, 4 + 25), sheet.background);
        assert!(f.data.chunks(4).any(|p| p == sheet.ink));
    }

    #[test]
    fn odd_pictures_and_no_pictures() {
        let mut sheet = ContactSheet::new(3, (16, 16));
        assert!(sheet.is_empty());
        assert_eq!(sheet.render().width, 4 + 20);
        sheet.push(&Frame::filled(1, 1000, [2.0, 2.0, 2.0, 1.0], Color::Linear), "");
        sheet.push(&Frame::filled(1000, 1, [0.5, 0.5, 0.5, 0.0], Color::Srgb), "A LABEL THAT IS FAR TOO LONG");
        sheet.push_empty("");
        assert_eq!(sheet.len(), 3);
        assert_eq!(sheet.render().width, 4 + 3 * 20);
    }
}
