//! How good a detector is, run by the embedded engine as the program runs it: beside upstream's on persons held out,
//! beside the truth on drawn heads and composed scenes, and where nobody is.

use super::heads::SyntheticHeads;
use super::labels::{LabelledFile, REQUIRED_SCORE};
use super::picture::{Face, Picture, draw_faces, outline};
use super::scene::{Sources, compose, compose_without_faces};
use crate::interrupt;
use headgan::Result;
use headgan::engine::{Embedded, cpu};
use headgan::face::Detection;
use headgan::face::bgr::{self, Bgr8};
use headgan::face::detector::{Detector, DetectorOverrides, Kind};
use headgan::frame::{ContactSheet, Frame};
use headgan::random::Rng;
use headgan::weights::Weights;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Added to a run's seed for the heads and scenes that are measured on.
const SEED_OFFSET: u64 = 1 << 40;
/// Boxes that overlap by this intersection over union are of one face.
const MATCH_IOU: f32 = 0.5;
/// Pictures are measured at their size and at these parts of it.
const DOWNSCALES: [usize; 4] = [1, 2, 4, 8];
/// Faces of the detector that one is compared with count as faces that may be found from this score on.
const MIN_SCORE: f32 = 0.15;
/// Side of composed scenes, in pixels.
const SIDE: usize = 320;
/// Pictures on the sheet, at most, and of one file at one size.
const SHOWN: [usize; 2] = [96, 2];

/// Faces that were to be found, and faces that were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Tally {
    pub pictures: usize,
    /// That had to be found.
    pub faces: usize,
    /// Of these.
    pub found: usize,
    /// That the detector reported, those that may be found or not left out.
    pub reported: usize,
    /// Of these, where no face is.
    pub alarms: usize,
    /// Mean distance of the five landmarks over the found faces, in shares of the eyes' distance (of at least a quarter
    /// of the box, so that profiles count too).
    pub landmarks: f64,
    /// Mean intersection over union of the found faces' boxes.
    pub overlap: f64,
}

impl Tally {
    /// Adds a picture. The best detections choose first; each takes the face that it overlaps most.
    pub fn add(&mut self, got: &[Detection], wanted: &[Face]) {
        self.pictures += 1;
        self.faces += wanted.iter().filter(|f| f.required).count();
        let mut free: Vec<&Face> = wanted.iter().collect();
        for d in got {
            let best = (0..free.len()).max_by(|&a, &b| d.rect.iou(&free[a].rect).total_cmp(&d.rect.iou(&free[b].rect)));
            let Some(best) = best.filter(|&b| d.rect.iou(&free[b].rect) >= MATCH_IOU) else {
                self.reported += 1;
                self.alarms += 1;
                continue;
            };
            let face = free.swap_remove(best);
            if !face.required {
                continue;
            }
            let (n, off) = (self.found as f64, f64::from(landmark_error(d, face)));
            let mean = |a: f64, b: f64| (n * a + b) / (n + 1.0);
            self.landmarks = mean(self.landmarks, off);
            self.overlap = mean(self.overlap, f64::from(d.rect.iou(&face.rect)));
            self.reported += 1;
            self.found += 1;
        }
    }

    /// Share of the faces that were found; 1 where there was none.
    pub fn recall(&self) -> f64 {
        if self.faces == 0 { 1.0 } else { self.found as f64 / self.faces as f64 }
    }

    /// Share of the reported faces where none is; 0 where none was reported.
    pub fn alarm_rate(&self) -> f64 {
        self.alarms as f64 / self.reported.max(1) as f64
    }

    /// The figures in a line.
    pub fn text(&self) -> String {
        format!(
            "{} of {} faces ({:.1} %), {} false alarms ({:.1} % of {} reported), overlap {:.3}, landmarks {:.3} of the \
             eyes' distance; {} pictures",
            self.found,
            self.faces,
            100.0 * self.recall(),
            self.alarms,
            100.0 * self.alarm_rate(),
            self.reported,
            self.overlap,
            self.landmarks,
            self.pictures
        )
    }
}

fn landmark_error(d: &Detection, face: &Face) -> f32 {
    let Some(points) = d.landmarks5 else { return f32::NAN };
    let way: f32 = points.iter().zip(&face.landmarks).map(|(a, b)| (a[0] - b[0]).hypot(a[1] - b[1])).sum();
    way / 5.0 / face.eye_distance().max(0.25 * face.size()).max(1e-6)
}

/// A detector as the program runs it, on one thread.
pub struct EvaluatedDetector(Detector<Embedded>);

impl EvaluatedDetector {
    /// # Errors
    /// [`headgan::Error::Model`] where the weights are no detector's.
    pub fn new(weights: Weights) -> Result<EvaluatedDetector> {
        let kind = Kind::from_weights(&weights)?;
        let options = cpu::Options { threads: 1, ..cpu::Options::default() };
        Ok(EvaluatedDetector(Detector::new(Embedded::new(Arc::new(weights), &options), kind)))
    }

    /// Takes the settings that a pack may have.
    pub fn configure(&mut self, look: &DetectorOverrides) {
        look.apply(&mut self.0.options);
    }

    /// The faces that the program would report.
    ///
    /// # Errors
    /// Those of the detector.
    pub fn find(&self, picture: &Bgr8) -> Result<Vec<Detection>> {
        self.0.detect(picture)
    }

    /// What another detector should find where this one looks: its faces that have landmarks.
    fn faces(&mut self, picture: &Bgr8) -> Result<Vec<Face>> {
        self.0.options.visible = MIN_SCORE;
        let found = self.0.detect(picture);
        self.0.options.visible = REQUIRED_SCORE;
        Ok(found?.iter().filter_map(|d| Face::from_detection(d, REQUIRED_SCORE)).collect())
    }
}

/// All figures; `upstream` beside `own` where the truth is known.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// Files held out at the pictures' size and at halves, quarters and eighths of it; upstream's faces are what is
    /// wanted.
    pub held_out: Vec<(usize, Tally)>,
    /// At the pictures' size, file by file.
    pub files: Vec<(String, Tally)>,
    pub drawn: Pair,
    /// Scenes as training composes them, of files held out and of heads of another seed.
    pub composed: Pair,
    pub nobody: Pair,
}

/// Two detectors on the same pictures.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Pair {
    pub own: Tally,
    pub upstream: Tally,
}

/// Two detectors to compare, and what is collected of their differences.
pub struct Comparison {
    pub own: EvaluatedDetector,
    pub upstream: EvaluatedDetector,
    /// Pictures on which own missed a face or reported one too many.
    sheet: ContactSheet,
    /// How many of each label there are.
    shown: BTreeMap<String, usize>,
}

impl Comparison {
    pub fn new(own: EvaluatedDetector, upstream: EvaluatedDetector) -> Comparison {
        Comparison { own, upstream, sheet: ContactSheet::new(8, (240, 240)), shown: BTreeMap::new() }
    }

    /// All figures: of files held out (whose pictures lie in `folder`), and of `count` drawn heads, scenes, and
    /// pictures of nobody each.
    ///
    /// # Errors
    /// Those of the pictures and networks.
    pub fn measure(&mut self, folder: &Path, held_out: &[LabelledFile], count: usize, seed: u64) -> Result<Figures> {
        let mut figures = Figures { held_out: DOWNSCALES.map(|n| (n, Tally::default())).into(), ..Figures::default() };
        let mut photos = Vec::new();
        for file in held_out {
            let pictures = file.load(folder)?;
            let mut of_file = Tally::default();
            for picture in &pictures {
                for (part, tally) in &mut figures.held_out {
                    interrupt::check()?;
                    let shown = bgr::shrink(picture.pixels(), *part);
                    let wanted = self.upstream.faces(&shown)?;
                    let got = self.own.find(&shown)?;
                    tally.add(&got, &wanted);
                    if *part == 1 {
                        of_file.add(&got, &wanted);
                    }
                    self.record_errors(&shown, &got, &wanted, &format!("1/{part} {}", file.source));
                }
            }
            figures.files.push((file.source.clone(), of_file));
            photos.push(pictures);
        }
        let mut heads = SyntheticHeads::new(seed ^ SEED_OFFSET)?;
        let heads = (0..count).map(|_| heads.next()).collect::<Result<Vec<Picture>>>()?;
        for head in &heads {
            self.pair(head.pixels(), &head.faces, &mut figures.drawn, "drawn")?;
        }
        let sources = Sources { photos: &photos, heads: &heads, drawn: 0.3 };
        for i in 0..count as u64 {
            let scene = compose(&sources, (SIDE, SIDE), &mut Rng::from_parts(&[seed, 11, i]));
            self.pair(&scene.picture, &scene.faces, &mut figures.composed, "composed")?;
            let scene = compose_without_faces(&sources, (SIDE, SIDE), &mut Rng::from_parts(&[seed, 12, i]));
            self.pair(&scene.picture, &scene.faces, &mut figures.nobody, "nobody")?;
        }
        Ok(figures)
    }

    fn pair(&mut self, picture: &Bgr8, wanted: &[Face], pair: &mut Pair, label: &str) -> Result<()> {
        interrupt::check()?;
        let got = self.own.find(picture)?;
        pair.own.add(&got, wanted);
        pair.upstream.add(&self.upstream.find(picture)?, wanted);
        self.record_errors(picture, &got, wanted, label);
        Ok(())
    }

    /// Keeps a picture where something is wrong.
    fn record_errors(&mut self, picture: &Bgr8, got: &[Detection], wanted: &[Face], label: &str) {
        let mut one = Tally::default();
        one.add(got, wanted);
        if (one.found == one.faces && one.alarms == 0) || self.sheet.len() >= SHOWN[0] {
            return;
        }
        let shown = self.shown.entry(label.to_owned()).or_default();
        *shown += 1;
        // Scenes are all different; a clip's frames are not.
        if *shown > SHOWN[1] && label.starts_with("1/") {
            return;
        }
        let mut frame = draw_faces(picture, wanted);
        got.iter().for_each(|d| outline(&mut frame, &d.rect, [1.0, 0.1, 0.1, 1.0]));
        self.sheet.push(&frame, label.get(..38).unwrap_or(label));
    }

    /// Pictures with a face that was missed or one too many: wanted green (grey: may be found), reported red.
    pub fn sheet(&self) -> Frame {
        self.sheet.render()
    }
}

/// The figures as lines.
pub fn text(figures: &Figures) -> String {
    let mut out: Vec<String> = figures.files.iter().map(|(name, t)| format!("  {name}: {}", t.text())).collect();
    for (part, tally) in &figures.held_out {
        out.push(format!("held out, 1/{part} of the size, beside upstream: {}", tally.text()));
    }
    for (what, pair) in
        [("drawn heads", &figures.drawn), ("composed scenes", &figures.composed), ("nobody", &figures.nobody)]
    {
        out.push(format!("{what}: {}", pair.own.text()));
        out.push(format!("  upstream there: {}", pair.upstream.text()));
    }
    out.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgan::frame::Rect;

    fn at(x: f32, score: f32) -> Detection {
        let rect = Rect { x0: x, y0: 0.0, x1: x + 20.0, y1: 20.0 };
        let landmarks = [[5.0, 8.0], [15.0, 8.0], [10.0, 12.0], [6.0, 16.0], [14.0, 16.0]];
        Detection { rect, score, landmarks5: Some(landmarks.map(|[u, v]| [x + u, v])) }
    }

    fn face(x: f32, score: f32) -> Face {
        Face::from_detection(&at(x, score), REQUIRED_SCORE).unwrap()
    }

    #[test]
    fn each_face_is_found_once() {
        let mut tally = Tally::default();
        // One found and reported twice, one missed, one that may be found, one alarm.
        let wanted = [face(0.0, 0.9), face(100.0, 0.8), face(200.0, 0.3)];
        tally.add(&[at(2.0, 0.9), at(1.0, 0.8), at(201.0, 0.7), at(300.0, 0.6)], &wanted);
        assert_eq!((tally.faces, tally.found, tally.reported, tally.alarms), (2, 1, 3, 2));
        assert!((tally.landmarks - 0.2).abs() < 1e-6, "2 pixels of the eyes' 10: {}", tally.landmarks);
        assert!((tally.recall() - 0.5).abs() < 1e-9 && (tally.alarm_rate() - 2.0 / 3.0).abs() < 1e-9);
        tally.add(&[at(100.0, 0.9)], &wanted[1..2]);
        assert!((tally.landmarks - 0.1).abs() < 1e-6 && tally.found == 2);
        let mut none = Tally::default();
        none.add(&[], &[]);
        assert!(none.recall() == 1.0 && none.alarm_rate() == 0.0);
    }
}
