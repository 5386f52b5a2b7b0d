//! The HTML report of a shot, as a view of plain data.
//!
//! This module shows figures and pictures. [`crate::evaluate`] and [`crate::shot`] measure them.
//!
//! Fill a [`Report`] and write it: it becomes one file that works offline and without scripts. Pictures are embedded JPEGs,
//! curves are SVG; a small script only adds a cursor over all curves. Sections without data are left out.
//!
//! Frames are named by their numbers in the shot (`first`, `first + 1`, ...), never by their index, except that the
//! values of a [`Line`] and the windows of a [`CropPlot`] begin with the first frame. Values that are not finite count
//! as missing. Text may contain anything; it is shown as it is.
//!
//! [`crate::shot::jitter`] computes the steadiness figures of a report.

#![allow(missing_docs, reason = "the fields are named after the places on the page where they are shown")]

mod chart;
mod crop;
mod page;
pub mod performance;
mod picture;
pub mod shot_report;
#[cfg(test)]
mod tests;

pub use picture::{PICTURE_HEIGHT, Picture};

use crate::Result;
use crate::frame::Window;
use crate::media::atomic;
use std::io::Write;
use std::path::Path;

/// Everything that a report shows.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub title: String,
    /// One line below the title: what the shot is.
    pub subtitle: String,
    /// Number of the shot's first frame.
    pub first: usize,
    /// Number of frames; the width of all curves.
    pub frames: usize,
    /// Frames a second; 0 where time has no meaning (a sequence of stills).
    pub fps: f64,
    /// The figures to see first.
    pub summary: Vec<Fact>,
    /// Videos and pictures beside the report; the only thing that is not inside it.
    pub clips: Vec<Clip>,
    pub sheet: Sheet,
    /// In this order; small ones that follow each other share rows.
    pub charts: Vec<Chart>,
    pub crop: Option<CropPlot>,
    /// Events worth checking, in any order.
    pub events: Vec<Event>,
    pub timings: Vec<Stage>,
    pub expressions: Option<ExpressionGrid>,
    pub models: Vec<ModelLine>,
    pub settings: Vec<SettingLine>,
    /// Paragraphs at the end: what the figures mean, what they do not cover.
    pub notes: Vec<String>,
}

/// A figure of the summary.
#[derive(Debug, Clone, Default)]
pub struct Fact {
    /// What: `Gaps`.
    pub label: String,
    /// The figure with its unit: `3 frames`.
    pub value: String,
    /// Small print: `1017 to 1019`; may be empty.
    pub note: String,
    /// Whether it is marked as a warning.
    pub warn: bool,
}

/// A video or picture that lies beside the report.
#[derive(Debug, Clone, Default)]
pub struct Clip {
    pub label: String,
    /// Relative to the report's folder, with `/` between folders. `.mp4`, `.mov`, `.mkv` and `.webm` are played.
    pub file: String,
    /// What a video shows before it is played.
    pub poster: Option<Picture>,
}

/// Pictures of a few frames.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    /// Frame numbers.
    pub columns: Vec<usize>,
    pub rows: Vec<SheetRow>,
}

/// One kind of picture, frame by frame.
#[derive(Debug, Clone, Default)]
pub struct SheetRow {
    /// Written into the pictures: `DRIVING`, `PNCC`, `RESULT`.
    pub label: String,
    /// One for each of the sheet's columns.
    pub pictures: Vec<Option<Picture>>,
}

/// Curves over the frames of the shot that share an axis.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    pub title: String,
    /// Of the values: `degrees`; empty for bare numbers.
    pub unit: String,
    /// Below the curves: `second difference 0.42 px -> 0.06 px`; may be empty.
    pub caption: String,
    pub lines: Vec<Line>,
    /// What the thin and the strong lines are, where there are both: `raw` and `smoothed`.
    pub weights: [String; 2],
    /// Values that the axis reaches whatever the curves do: `[0.0]` for a zero line, `[0.0, 1.0]` for a share.
    pub reach: Vec<f32>,
    /// Ends the axis at twice the 95th of a hundred values where the largest is over four times that. What lies above
    /// is counted below the curves.
    pub cut_peaks: bool,
    /// Kinds of events that are drawn into it.
    pub marks: Vec<EventKind>,
    /// One of many, such as a single coefficient.
    pub small: bool,
}

/// A curve.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// Lines of one name in a chart have one colour.
    pub name: String,
    pub weight: Weight,
    /// From the shot's first frame on; `None` leaves a gap.
    pub values: Vec<Option<f32>>,
}

/// How a curve is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weight {
    /// What was measured.
    Thin,
    /// What is used.
    #[default]
    Strong,
}

/// The part of the plate that is worked on.
#[derive(Debug, Clone)]
pub struct CropPlot {
    /// Width and height of the plate in pixels.
    pub plate: (usize, usize),
    /// The one window that a generator sees through the whole shot, in the plate's pixels.
    pub window: Window,
    /// The window that follows the head, from the shot's first frame on; empty where none does.
    pub path: Vec<Option<Window>>,
    pub caption: String,
}

/// Something that happened to a run of frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    /// Number of its first frame.
    pub frame: usize,
    /// Number of its last frame, `frame` for a single one.
    pub last: usize,
    /// What is behind it, for people.
    pub text: String,
}

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// No face was seen: the pose is made up from its neighbours.
    Gap,
    /// The fit was rejected.
    Outlier,
    /// A value was brought back into its range.
    Clipped,
    /// Anything else.
    Note,
}

/// A stage of the work and what it took.
#[derive(Debug, Clone, Default)]
pub struct Stage {
    pub name: String,
    /// Wall clock.
    pub seconds: f64,
    /// Frames it worked on; 0 for what is done once.
    pub frames: usize,
}

/// The expressions that a shot's coefficients stand for.
#[derive(Debug, Clone, Default)]
pub struct ExpressionGrid {
    pub caption: String,
    pub cells: Vec<ExpressionCell>,
}

/// One expression.
#[derive(Debug, Clone)]
pub struct ExpressionCell {
    pub name: String,
    pub picture: Picture,
    /// `-0.3 to 1.2 over the shot`.
    pub measure: String,
}

/// A model that took part.
#[derive(Debug, Clone, Default)]
pub struct ModelLine {
    pub role: String,
    pub name: String,
    /// BLAKE3 of its weights, 64 hexadecimal digits; empty for what is computed by the program.
    pub hash: String,
    pub licence: String,
}

/// A control and its value.
#[derive(Debug, Clone, Default)]
pub struct SettingLine {
    pub id: String,
    /// As the command line takes it, or `3 keys`.
    pub value: String,
    pub default: String,
    pub changed: bool,
}

impl Event {
    /// An event of one frame.
    pub fn at(kind: EventKind, frame: usize, text: impl Into<String>) -> Event {
        Event { kind, frame, last: frame, text: text.into() }
    }

    /// Number of frames.
    fn len(&self) -> usize {
        self.last.saturating_sub(self.frame).saturating_add(1)
    }
}

impl EventKind {
    /// For people, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Gap => "gap",
            EventKind::Outlier => "outlier",
            EventKind::Clipped => "clipped",
            EventKind::Note => "note",
        }
    }
}

impl Report {
    /// Number of the frame with this index.
    fn number(&self, index: usize) -> usize {
        self.first.saturating_add(index)
    }

    /// The report as one HTML document.
    pub fn html(&self) -> String {
        page::document(self).into_string()
    }

    /// Writes it; the file appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) where the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        atomic::write(path, |file| file.write_all(self.html().as_bytes()).map_err(|e| atomic::write_error(path, e)))
    }
}
