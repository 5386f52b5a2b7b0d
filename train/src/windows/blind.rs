//! Sheets for a person to judge: the true window, Draft's and the network's, in columns whose order only the key tells.

use super::run::{self, Figures, held_items, least_alike, paste, validate};
use super::store::WindowClip;
use super::trainer::{Batch, Trainer};
use headgan::frame::{Color, Filter, Frame};
use headgan::random::Rng;
use headgan::{Error, Result};
use serde::Serialize;

/// By how much windows are enlarged.
const LARGER: usize = 3;
/// Pixels between two windows, after enlarging.
const BETWEEN: usize = 6;

/// What a column shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// What the clip shows.
    Truth,
    /// The network's input.
    Draft,
    /// What the network makes of it.
    Full,
}

/// A row of a sheet, from the top.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub clip: String,
    /// Of the driving frames that were prepared.
    pub frame: usize,
    /// The columns behind the reference, from the left.
    pub columns: [Shown; 3],
}

/// Windows of persons held out: a sheet, its key, and the network's figures on all of them.
pub struct Blind {
    pub sheet: Frame,
    pub key: Vec<Row>,
    pub figures: Figures,
}

/// Makes a sheet of at most `rows` clips, each with the frame that is least like its reference.
///
/// # Errors
/// [`Error::Input`] where no held-out clip shows the window.
pub fn blind(trainer: &Trainer, held: &[WindowClip], rows: usize, seed: u64) -> Result<Blind> {
    let items = held_items(held);
    if items.is_empty() {
        let name = trainer.kind.name();
        return Err(Error::input(format!("the data have no held-out {name}: run windows-prepare with --hold-out")));
    }
    let figures = validate(trainer, items.clone()).0;
    let chosen = least_alike(items, rows);
    let batch = Batch::collate(trainer.kind, &chosen, trainer.device());
    let made = trainer.infer(&batch).image;
    let mut rng = Rng::from_parts(&[seed, 31]);
    let side = trainer.kind.side();
    let step = LARGER * side + BETWEEN;
    let mut sheet = Frame::filled(4 * step - BETWEEN, chosen.len() * step - BETWEEN, [0.5, 0.5, 0.5, 1.0], Color::Srgb);
    let mut key = Vec::new();
    for (r, (item, _)) in chosen.iter().enumerate() {
        let mut columns = [Shown::Truth, Shown::Draft, Shown::Full];
        rng.shuffle(&mut columns);
        let of = |shown: Shown| match shown {
            Shown::Truth => batch.truth.shallow_clone(),
            Shown::Draft => batch.target.narrow(1, 0, 3),
            Shown::Full => made.shallow_clone(),
        };
        let pictures = [batch.reference.narrow(1, 0, 3)].into_iter().chain(columns.map(of));
        for (c, picture) in pictures.enumerate() {
            let window = run::picture(side, &picture.get(r as i64));
            paste(&mut sheet, &window.resize(LARGER * side, LARGER * side, Filter::Bilinear), [c * step, r * step]);
        }
        key.push(Row { clip: item.clip.note.name.clone(), frame: item.target, columns });
    }
    Ok(Blind { sheet, key, figures })
}

#[cfg(test)]
mod tests {
    use super::super::store::{Kind, tests::clip};
    use super::super::trainer::config;
    use super::*;
    use headgan::nets::window::Config;
    use tch::{Device, Kind as Number};

    #[test]
    fn the_key_tells_what_the_columns_show() {
        let held = [clip(Kind::Eye, 1, true), clip(Kind::Eye, 2, true)];
        let small = Config { width: 4, spade: 4, ..config(Kind::Eye) };
        let trainer = Trainer::new(Kind::Eye, small, None, 0, 1, (Device::Cpu, Number::Float));
        let made = blind(&trainer, &held, 8, 3).unwrap();
        assert_eq!((made.key.len(), made.sheet.width, made.sheet.height), (2, 4 * 198 - 6, 2 * 198 - 6));
        let again = blind(&trainer, &held, 8, 3).unwrap();
        assert_eq!((&made.key, &made.sheet.data), (&again.key, &again.sheet.data));
        for (r, row) in made.key.iter().enumerate() {
            // The columns that differ by what they show hold that: the truth is the clip's own window.
            let column = 1 + row.columns.iter().position(|s| *s == Shown::Truth).unwrap();
            let of = held.iter().find(|c| c.note.name == row.clip).unwrap();
            let true_red = (0..2).any(|w| {
                let red = f32::from(of.target_at(w, row.frame)[32 * 64 + 32]) / 255.0;
                let seen = made.sheet.pixel(column * 198 + 3 * 32 + 1, r * 198 + 3 * 32 + 1)[0];
                (red - seen).abs() < 0.01
            });
            assert!(true_red, "{row:?}");
        }
        assert!(blind(&trainer, &[], 8, 3).is_err());
    }
}
