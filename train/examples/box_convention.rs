//! Where a detector puts its box around a face whose 68 landmarks are known: on a data set's people and on drawn heads.
//!
//!     cargo run --release -p headgan-train --example box_convention -- DATA [PACK]
//!
//! Prints mean and deviation of how far each edge lies beyond the landmarks' box, in shares of its width and height,
//! the overlap with the box that the detector's training would be told, and the distance of the five landmarks.

use headgan::engine::{Embedded, cpu};
use headgan::face::bgr::Pixels;
use headgan::face::detector::{Detector, Kind};
use headgan::models::{Architecture, ModelSet, Role};
use headgan::morphable::{ImageCamera, PreparedMorphable};
use headgan::synthetic::head;
use headgan_train::data::store::{model_of, open_all};
use headgan_train::detector::heads::{CONTEXT, SIDE, bounding_box, face_of};
use headgan_train::regressor::heads::SyntheticHeads;
use std::path::PathBuf;

/// Frames of each clip, and drawn heads.
const COUNTS: (usize, usize) = (4, 200);

#[derive(Default)]
struct Figures {
    faces: usize,
    missed: usize,
    edges: [Vec<f64>; 4],
    overlap: Vec<f64>,
    landmarks: Vec<f64>,
}

impl Figures {
    fn add(&mut self, detector: &Detector<Embedded>, picture: &impl Pixels, points: &[[f32; 3]; 68]) {
        self.faces += 1;
        let wanted = face_of(points);
        let found = detector.detect(picture).unwrap_or_default();
        let best = found.iter().max_by(|a, b| a.rect.iou(&wanted.rect).total_cmp(&b.rect.iou(&wanted.rect)));
        let Some(best) = best.filter(|b| b.rect.iou(&wanted.rect) > 0.3) else {
            self.missed += 1;
            return;
        };
        let (r, b) = (bounding_box(points), best.rect);
        let beyond = [r.x0 - b.x0, r.y0 - b.y0, b.x1 - r.x1, b.y1 - r.y1];
        for (k, v) in beyond.iter().enumerate() {
            self.edges[k].push(f64::from(v / if k % 2 == 0 { r.width() } else { r.height() }));
        }
        self.overlap.push(f64::from(b.iou(&wanted.rect)));
        let off = best.landmarks5.map(|l| {
            let way = l.iter().zip(&wanted.landmarks).map(|(a, b)| (a[0] - b[0]).hypot(a[1] - b[1]));
            way.sum::<f32>() / 5.0 / wanted.eye_distance()
        });
        self.landmarks.extend(off.map(f64::from));
    }

    fn print(&self, what: &str) {
        let of = |v: &[f64]| {
            let n = v.len().max(1) as f64;
            let mean = v.iter().sum::<f64>() / n;
            (mean, (v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt())
        };
        println!("{what}: {} faces, {} not found", self.faces, self.missed);
        for (name, edge) in ["left", "top", "right", "bottom"].iter().zip(&self.edges) {
            let (mean, deviation) = of(edge);
            println!("  {name} {mean:+.3} (deviation {deviation:.3})");
        }
        let (overlap, landmarks) = (of(&self.overlap), of(&self.landmarks));
        println!("  overlap {:.3} ({:.3}), landmarks {:.3} of the eyes' distance", overlap.0, overlap.1, landmarks.0);
    }
}

fn main() -> headgan::Result<()> {
    let mut args = std::env::args().skip(1);
    let data = PathBuf::from(args.next().unwrap_or_else(|| "DATA".into()));
    let pack = args.next().unwrap_or_else(|| "retinaface".into());
    let models = ModelSet::discover(&[]);
    let (pack, part) = models.find(Role::Detector, Some(&Architecture::RetinaFace), Some(&pack))?;
    let weights = pack.load(part, headgan::import::check)?;
    let kind = Kind::from_weights(&weights)?;
    let options = cpu::Options { threads: 1, ..cpu::Options::default() };
    let detector = Detector::new(Embedded::new(weights, &options), kind);
    let clips = open_all(&data)?;
    let fitted = PreparedMorphable::new(model_of(&clips, &models)?)?;
    let mut people = Figures::default();
    for clip in &clips {
        let usable = clip.usable();
        for &i in usable.iter().step_by(usable.len().div_ceil(COUNTS.0).max(1)) {
            let frame = &clip.frames[i];
            let points = fitted.posed_landmarks(&frame.shape, &frame.reference.expr, &frame.reference.camera)?;
            people.add(&detector, &clip.picture(i)?, &points);
        }
    }
    people.print("people");
    let (mut drawn, model) = (Figures::default(), PreparedMorphable::new(head())?);
    let mut heads = SyntheticHeads::with_framing(7, SIDE, CONTEXT);
    for _ in 0..COUNTS.1 {
        let s = heads.next()?;
        let points = model.posed_landmarks(&s.shape, &s.expr, &ImageCamera::from_matrix(&s.camera)?)?;
        drawn.add(&detector, &s.picture, &points);
    }
    drawn.print("drawn heads");
    Ok(())
}
