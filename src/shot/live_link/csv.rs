//! The text of a recording: its columns by name, its rows.

use super::timecode::{self, Timecode};
use super::{EYES, HEAD, PLACE, Performance, Place, Sample};
use crate::morphable::ArkitShape;
use crate::morphable::arkit::{ArkitCurves, Gaze};
use crate::{Error, Result};
use std::fmt::Write as _;
use std::io::{BufRead, Read};

/// No line is longer, and no recording has more rows: 4.6 hours at 60 a second.
const LONGEST: u64 = 1 << 16;
const MOST: usize = 1_000_000;
/// A coefficient may leave 0 to 1 by this much, as calibrated ones do; it is brought back. Angles are within a few turns, a place within as
/// many metres, and sizes within these multiples.
const BEYOND: f32 = 1.0;
const TURNS: f32 = 20.0;
const SCALES: [f32; 2] = [0.01, 100.0];

/// Values of a row besides the shapes: head, then left eye, then right eye.
const ANGLES: usize = HEAD.len() + EYES.len();

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Timecode,
    Count,
    Shape(ArkitShape),
    Angle(usize),
    Place(usize),
    Other,
}

impl Column {
    fn named(name: &str) -> Column {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let angle = || HEAD.iter().chain(&EYES).position(|n| is(n)).map(Column::Angle);
        let place = || PLACE.iter().position(|n| is(n)).map(Column::Place);
        if is("Timecode") {
            Column::Timecode
        } else if is("BlendShapeCount") {
            Column::Count
        } else {
            ArkitShape::parse(name).map(Column::Shape).or_else(angle).or_else(place).unwrap_or(Column::Other)
        }
    }
}

/// Fields of a line, without the quotes that some programs write around them.
fn fields(line: &str) -> impl Iterator<Item = &str> {
    line.split(',').map(|f| {
        let f = f.trim();
        f.strip_prefix('"').and_then(|f| f.strip_suffix('"')).unwrap_or(f)
    })
}

/// Reads a recording; `name` is what messages call it.
pub fn read(mut from: impl BufRead, name: &str) -> Result<Performance> {
    let bad = |text: String| Error::input(format!("{name}: {text}"));
    let mut line = Vec::new();
    let mut number = 0usize;
    // The next line that holds something, with its number.
    let mut next = |line: &mut Vec<u8>| -> Result<Option<(usize, String)>> {
        loop {
            line.clear();
            let read = from.by_ref().take(LONGEST).read_until(b'\n', line);
            let read = read.map_err(|e| bad(format!("cannot be read: {e}: check the file")).with_source(e))?;
            if read == 0 {
                return Ok(None);
            }
            number += 1;
            if read as u64 == LONGEST {
                return Err(bad(format!(
                    "line {number} is longer than any of a recording: is it a Live Link Face CSV?"
                )));
            }
            let text = std::str::from_utf8(line);
            let text = text.map_err(|_| bad(format!("line {number} is no text: is it a Live Link Face CSV?")))?;
            let text = text.trim_start_matches('\u{feff}').trim();
            if !text.is_empty() {
                return Ok(Some((number, text.to_owned())));
            }
        }
    };
    let foreign = |what: &str| bad(format!("{what}: this is no Live Link Face recording: export one as CSV"));
    let Some((_, header)) = next(&mut line)? else { return Err(foreign("the file is empty")) };
    let columns: Vec<Column> = fields(&header).map(Column::named).collect();
    for (i, column) in columns.iter().enumerate() {
        if *column != Column::Other && columns[..i].contains(column) {
            let twice = fields(&header).nth(i).unwrap_or_default();
            return Err(bad(format!("the column {twice} is there twice: leave one")));
        }
    }
    let has = |column: Column| columns.contains(&column);
    if !has(Column::Timecode) {
        return Err(foreign("there is no column Timecode"));
    }
    if !columns.iter().any(|c| matches!(c, Column::Shape(_))) {
        return Err(foreign("no column is one of ARKit's shapes"));
    }
    // Where shapes say where the eyes look, their angles say the same once more.
    let looks = ArkitShape::ALL.iter().any(|s| s.name().starts_with("eyeLook") && has(Column::Shape(*s)));

    let (mut codes, mut samples): (Vec<Timecode>, Vec<Sample>) = (Vec::new(), Vec::new());
    while let Some((number, text)) = next(&mut line)? {
        let at = |text: String| bad(format!("line {number}: {text}"));
        let values: Vec<&str> = fields(&text).collect();
        let field = |column: Column| columns.iter().position(|c| *c == column).and_then(|i| values.get(i)).copied();
        // A frame without a face has no values.
        if field(Column::Count) == Some("0") {
            continue;
        }
        if values.len() != columns.len() {
            let (found, due) = (values.len(), columns.len());
            return Err(at(format!(
                "{found} values where the header has {due} columns: the file is damaged or cut off"
            )));
        }
        let mut sample =
            Sample { seconds: 0.0, curves: [0.0; ArkitShape::COUNT], head: [0.0; 3], place: Place::default() };
        let mut angles = [0.0; ANGLES];
        let mut code = None;
        for (i, (column, text)) in columns.iter().zip(&values).enumerate() {
            let value = |most: f32, low: f32| {
                let value = text.parse::<f32>().ok().filter(|v| v.is_finite() && (low..=most).contains(v));
                value.ok_or_else(|| {
                    let name = fields(&header).nth(i).unwrap_or_default();
                    let shown: String = text.chars().take(24).collect();
                    at(format!("{name} is '{shown}', not a number from {low} to {most}: the file is damaged"))
                })
            };
            match *column {
                Column::Timecode => code = Timecode::parse(text),
                Column::Shape(shape) => sample.curves[shape as usize] = value(1.0 + BEYOND, -BEYOND)?.clamp(0.0, 1.0),
                Column::Angle(k) => angles[k] = value(TURNS, -TURNS)?,
                Column::Place(0) => sample.place.x = value(TURNS, -TURNS)?,
                Column::Place(1) => sample.place.y = value(TURNS, -TURNS)?,
                Column::Place(_) => sample.place.scale = value(SCALES[1], SCALES[0])?,
                Column::Count | Column::Other => {}
            }
        }
        let code = code.ok_or_else(|| {
            at("the timecode is not like 01:02:03:04.567: the file is damaged, or no Live Link Face recording".into())
        })?;
        if samples.len() == MOST {
            return Err(bad(format!("it has more than {MOST} rows: cut it into takes")));
        }
        sample.head.copy_from_slice(&angles[..3]);
        if !looks {
            set_looks(&mut sample.curves, &angles[3..]);
        }
        codes.push(code);
        samples.push(sample);
    }
    if samples.is_empty() {
        return Err(bad("no row shows a face: record again".into()));
    }
    for (sample, seconds) in samples.iter_mut().zip(timecode::times(&codes)) {
        sample.seconds = seconds;
    }
    // A frame that was written twice counts as it was written last.
    samples.dedup_by(|later, earlier| {
        let same = later.seconds == earlier.seconds;
        if same {
            *earlier = later.clone();
        }
        same
    });
    if samples.windows(2).any(|w| w[1].seconds < w[0].seconds) {
        return Err(bad("its timecodes run backwards: sort the rows, or cut it into takes".into()));
    }
    Ok(Performance { samples })
}

/// The shapes that turn the eyes by their angles: yaw, pitch and roll of the left, then of the right eye.
fn set_looks(curves: &mut ArkitCurves, angles: &[f32]) {
    let degrees = |k: usize| [angles[k], -angles[k + 1]].map(f32::to_degrees);
    Gaze { left: degrees(0), right: degrees(3) }.set(curves);
}

/// The recording as text.
pub fn write(performance: &Performance) -> String {
    let mut out = String::from("Timecode,BlendShapeCount");
    for shape in ArkitShape::ALL {
        let name = shape.name();
        let (first, rest) = name.split_at(1);
        let _ = write!(out, ",{}{rest}", first.to_ascii_uppercase());
    }
    let placed = performance.samples.iter().any(|s| s.place != Place::default());
    let place = if placed { PLACE.as_slice() } else { &[] };
    for name in HEAD.iter().chain(&EYES).chain(place) {
        let _ = write!(out, ",{name}");
    }
    out.push('\n');
    let count = ArkitShape::COUNT + ANGLES;
    for sample in &performance.samples {
        let gaze = Gaze::from_curves(&sample.curves);
        let eyes = [gaze.left, gaze.right].map(|[yaw, up]| [yaw.to_radians(), -up.to_radians(), 0.0]);
        let _ = write!(out, "{},{count}", Timecode::write(sample.seconds));
        let Place { x, y, scale } = sample.place;
        let place = [x, y, scale];
        let place = if placed { place.as_slice() } else { &[] };
        for value in sample.curves.iter().chain(&sample.head).chain(eyes.as_flattened()).chain(place) {
            // No -0.
            let _ = write!(out, ",{:.6}", value + 0.0);
        }
        out.push('\n');
    }
    out
}
