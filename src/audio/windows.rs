//! The characters spoken around each frame of a video, as the official HeadGAN code tells a generator: [`TOKENS`] frames' characters,
//! each one of [`LETTERS`].
//!
//! A character lasts until the next one begins, the last one to the end, and before the first there is none. A frame's characters are
//! those of the moments `AHEAD` frames after its four predecessors, itself and its three successors.

use super::layout::{self, CHARACTERS, LETTERS, TOKENS};
use super::speech::Character;
use super::{Features, Sound};
use crate::Result;
use crate::media::Rational;

/// How many frames later than a frame its character is looked up.
const AHEAD: usize = 5;
/// What stands for everything that is no letter, and for silence.
pub const OTHER: usize = LETTERS - 1;

/// The [`CHARACTERS`] values of each of `frames` frames of a video of `fps` frames a second that begins with `sound`; without `frames` as
/// many as the sound accompanies. Time is counted in seconds, so that nothing drifts at any rate.
///
/// # Errors
/// None in practice: those of [`Features::new`].
pub fn characters(spoken: &[Character], sound: &Sound, fps: Rational, frames: Option<usize>) -> Result<Features> {
    let frames = frames.unwrap_or_else(|| layout::frames_of(sound.samples().len(), sound.rate(), fps));
    let at_frame: Vec<usize> = (0..frames)
        .map(|n| (n + AHEAD) as f64 * f64::from(fps.den) / f64::from(fps.num))
        .map(|time| spoken.partition_point(|c| c.start <= time))
        .map(|begun| begun.checked_sub(1).map_or(OTHER, |i| letter(spoken[i].character)))
        .collect();
    let mut values = vec![0.0; frames * CHARACTERS];
    for (n, row) in values.chunks_exact_mut(CHARACTERS).enumerate() {
        for (token, one) in row.chunks_exact_mut(LETTERS).enumerate() {
            one[at_frame[(n + token).saturating_sub(TOKENS / 2).min(frames - 1)]] = 1.0;
        }
    }
    Features::new(CHARACTERS, values)
}

fn letter(c: char) -> usize {
    let c = c.to_ascii_lowercase();
    if c.is_ascii_lowercase() { c as usize - 'a' as usize } else { OTHER }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frames' letters that a row says, '.' for other.
    fn read(row: &[f64]) -> String {
        row.chunks_exact(LETTERS)
            .map(|one| {
                assert_eq!(one.iter().sum::<f64>(), 1.0);
                let i = one.iter().position(|v| *v == 1.0).unwrap();
                if i == OTHER { '.' } else { char::from(b'a' + i as u8) }
            })
            .collect()
    }

    fn spoken(list: &[(char, f64)]) -> Vec<Character> {
        list.iter().map(|&(character, start)| Character { character, start, end: start + 0.02 }).collect()
    }

    #[test]
    fn by_frames() {
        let sound = Sound::new(16_000, vec![0.0; 16_000]).unwrap();
        // At 25 frames a second: frame 10 begins at 0.4 s, and looks up 0.6 s, which is frame 15's time.
        let spoken = spoken(&[('H', 0.4), ('I', 0.6), (' ', 0.64), ('\'', 0.7), ('Z', 0.72)]);
        let f = characters(&spoken, &sound, Rational::whole(25), None).unwrap();
        let rows: Vec<String> = f.rows().map(read).collect();
        assert_eq!(rows.len(), 25);
        // Frames 0 to 4 look up 0.2 to 0.36 s; 5 to 9 0.4 to 0.56 s.
        assert_eq!(rows[0], "........");
        assert_eq!(rows[4], ".....hhh");
        assert_eq!(rows[10], "hhhhi..z");
        assert_eq!(rows[24], "zzzzzzzz");
    }

    /// A character is where its time is at every rate, also after an hour.
    #[test]
    fn nothing_drifts() {
        let hour = Sound::new(8_000, vec![0.0; 8_000 * 3_600]).unwrap();
        let spoken = spoken(&[('a', 0.0), ('b', 3_599.5)]);
        for (num, den) in [(24_000, 1_001), (24, 1), (25, 1), (30_000, 1_001), (30, 1), (50, 1), (60_000, 1_001)] {
            let fps = Rational::new(num, den).unwrap();
            let f = characters(&spoken, &hour, fps, None).unwrap();
            assert_eq!(f.frames(), layout::frames_of(8_000 * 3_600, 8_000, fps));
            let own = |n: usize| f.values()[n * CHARACTERS + TOKENS / 2 * LETTERS + 1] == 1.0;
            let first = (0..f.frames()).find(|n| own(*n)).unwrap();
            let time = (first + AHEAD) as f64 / fps.as_f64();
            assert!((3_599.5..3_599.5 + 1.0 / fps.as_f64()).contains(&time), "{fps}: {time}");
        }
    }

    #[test]
    fn nobody_speaks() {
        let sound = Sound::new(16_000, vec![0.0; 10]).unwrap();
        let f = characters(&[], &sound, Rational::whole(25), Some(3)).unwrap();
        assert_eq!(f.rows().map(read).collect::<Vec<_>>(), ["........"; 3]);
        assert_eq!(characters(&[], &sound, Rational::whole(25), Some(0)).unwrap().frames(), 0);
    }
}
