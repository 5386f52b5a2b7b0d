//! What clips show: a moving pattern, or a user's frames.

use image::RgbaImage;
use std::path::{Path, PathBuf};

/// A sequence of frames, from frame 0 on. Canonical coordinates: y up, pixels of scale 1.
pub enum Footage {
    /// Gradients, a moving disc and a moving grid, all computed.
    Pattern { width: usize, height: usize, frames: usize },
    /// Pictures in memory; a single one holds.
    Frames(Vec<RgbaImage>),
}

impl Footage {
    /// All PNG and JPEG files of a folder, by name, or one file.
    ///
    /// # Errors
    /// If nothing can be read, or frames differ in size.
    pub fn read(path: &Path) -> Result<Footage, String> {
        let say = |path: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let is_picture = |p: &PathBuf| {
            p.extension().is_some_and(|e| ["png", "jpg", "jpeg"].iter().any(|known| e.eq_ignore_ascii_case(known)))
        };
        let mut files = if path.is_dir() {
            let entries = std::fs::read_dir(path).map_err(|e| say(path, &e))?;
            entries.filter_map(|e| e.ok().map(|e| e.path())).filter(is_picture).collect()
        } else {
            vec![path.to_owned()]
        };
        files.sort();
        let frames = files
            .iter()
            .map(|f| image::open(f).map(|i| i.to_rgba8()).map_err(|e| say(f, &e)))
            .collect::<Result<Vec<_>, _>>()?;
        let Some(first) = frames.first() else { return Err(say(path, &"no PNG or JPEG file in this folder")) };
        if let Some(i) = frames.iter().position(|f| f.dimensions() != first.dimensions()) {
            return Err(say(&files[i], &"not as large as the first frame"));
        }
        Ok(Footage::Frames(frames))
    }

    /// Width and height at scale 1.
    pub fn size(&self) -> (usize, usize) {
        match self {
            Footage::Pattern { width, height, .. } => (*width, *height),
            Footage::Frames(frames) => (frames[0].width() as usize, frames[0].height() as usize),
        }
    }

    /// How many frames there are.
    pub fn frames(&self) -> usize {
        match self {
            Footage::Pattern { frames, .. } => *frames,
            Footage::Frames(frames) => frames.len(),
        }
    }

    /// The colour at a canonical place, R, G, B, A with straight alpha; frames before the first and after the last
    /// hold, and so do borders.
    pub fn at(&self, frame: i64, x: f64, y: f64) -> [f32; 4] {
        let frame = frame.clamp(0, self.frames() as i64 - 1) as usize;
        let (width, height) = self.size();
        match self {
            Footage::Pattern { .. } => {
                let (u, v, t) = (x / width as f64, y / height as f64, frame as f64);
                let centre = (0.5 + 0.25 * (t * 0.7).sin(), 0.5 + 0.25 * (t * 0.4).cos());
                let disc = ((u - centre.0).hypot(v - centre.1) * 4.0).min(1.0);
                let grid = ((x + 2.0 * t).rem_euclid(16.0) < 1.0) as u8 as f64 * 0.25;
                [(0.1 + 0.8 * u) as f32, (0.1 + 0.8 * v) as f32, (disc + grid) as f32, (1.0 - 0.5 * disc) as f32]
            }
            Footage::Frames(frames) => {
                let column = (x.floor().max(0.0) as usize).min(width - 1);
                let row = height - 1 - (y.floor().max(0.0) as usize).min(height - 1);
                frames[frame].get_pixel(column as u32, row as u32).0.map(|v| f32::from(v) / 255.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Footage;

    #[test]
    fn frames_are_read_by_name_and_stand_upright() {
        let folder = tempfile::tempdir().unwrap();
        for (name, value) in [("b.png", 200), ("a.png", 100)] {
            let mut image = image::RgbaImage::from_pixel(3, 2, image::Rgba([value, 0, 0, 255]));
            image.put_pixel(0, 0, image::Rgba([0, 255, 0, 255]));
            image.save(folder.path().join(name)).unwrap();
        }
        let footage = Footage::read(folder.path()).unwrap();
        assert_eq!((footage.size(), footage.frames()), ((3, 2), 2));
        assert_eq!(footage.at(0, 1.5, 0.5)[0], 100.0 / 255.0);
        assert_eq!(footage.at(5, 1.5, 0.5)[0], 200.0 / 255.0);
        assert_eq!(footage.at(0, 0.5, 1.5)[1], 1.0, "the file's first row is the top one");
    }

    #[test]
    fn an_empty_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Footage::read(folder.path()).is_err());
    }

    #[test]
    fn the_pattern_moves() {
        let footage = Footage::Pattern { width: 40, height: 30, frames: 4 };
        let row = |frame| (0..40).map(|x| footage.at(frame, f64::from(x), 25.0)).collect::<Vec<_>>();
        assert_ne!(row(0), row(1));
        assert_eq!(row(3), row(9), "the last frame holds");
    }
}
