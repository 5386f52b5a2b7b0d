//! Timecodes of a recording, and how many frames their seconds have.

use crate::media::Rational;

/// `HH:MM:SS:FF.sub`: hours, minutes, seconds, and frames with a part of one. With `;` before the frames it is drop-frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timecode {
    /// Seconds since midnight as the clock shows them.
    seconds: u32,
    /// Frame within the second.
    frame: u32,
    /// Part of a frame, below 1.
    part: f64,
    drop: bool,
}

/// Frames that a second may have, where a recording passes from one second to the next; else it has the last.
const RATES: [u32; 6] = [24, 25, 30, 48, 50, 60];
const USUAL: u32 = 60;
const FASTEST: u32 = 240;

impl Timecode {
    /// `None` where the text is none.
    pub fn parse(text: &str) -> Option<Timecode> {
        let (head, frames) = text.rsplit_once([':', ';'])?;
        let drop = text.as_bytes().get(head.len()) == Some(&b';');
        let digits = |t: &str, most: u32| {
            let plain = !t.is_empty() && t.len() <= 3 && t.bytes().all(|b| b.is_ascii_digit());
            t.parse::<u32>().ok().filter(|n| plain && *n <= most)
        };
        let mut parts = head.split([':', ';']);
        let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let (frame, part) = frames.split_once('.').unwrap_or((frames, "0"));
        let plain = !part.is_empty() && part.len() <= 12 && part.bytes().all(|b| b.is_ascii_digit());
        let part = format!("0.{part}").parse::<f64>().ok().filter(|_| plain)?;
        let seconds = 3600 * digits(hours, 23)? + 60 * digits(minutes, 59)? + digits(seconds, 59)?;
        Some(Timecode { seconds, frame: digits(frame, FASTEST - 1)?, part, drop })
    }

    /// That of a time, counted in sixtieths of a second, with three digits of a frame.
    pub fn write(seconds: f64) -> String {
        let thousandths = (seconds * f64::from(USUAL) * 1000.0).round() as u64;
        let (frames, part) = (thousandths / 1000, thousandths % 1000);
        let (all, frame) = (frames / u64::from(USUAL), frames % u64::from(USUAL));
        format!("{:02}:{:02}:{:02}:{frame:02}.{part:03}", all / 3600 % 24, all / 60 % 60, all % 60)
    }

    /// Seconds since midnight where a second has `rate` frames.
    fn time(&self, rate: u32) -> f64 {
        let within = f64::from(self.frame) + self.part;
        if !self.drop {
            return f64::from(self.seconds) + within / f64::from(rate);
        }
        // The first numbers of each minute but every tenth are left out; frames last 1001/1000 of what they say.
        let (minutes, left_out) = (self.seconds / 60, rate / 15);
        let count = f64::from(self.seconds * rate) + within - f64::from(left_out * (minutes - minutes / 10));
        count * 1001.0 / (1000.0 * f64::from(rate))
    }
}

/// Times of all timecodes in seconds, counted from the first; a recording may pass midnight once.
pub fn times(codes: &[Timecode]) -> Vec<f64> {
    let Some(first) = codes.first() else { return Vec::new() };
    let rate = rate(codes);
    let day = 86_400.0;
    let from = first.time(rate);
    codes.iter().map(|c| c.time(rate) - from).map(|t| if t < -0.5 * day { t + day } else { t }).collect()
}

/// How many frames a second has, as its highest number tells.
fn rate(codes: &[Timecode]) -> u32 {
    let highest = codes.iter().map(|c| c.frame).max().unwrap_or(0);
    if codes.iter().any(|c| c.drop) {
        return if highest < 30 { 30 } else { USUAL };
    }
    let passes = codes.first().map(|c| c.seconds) != codes.last().map(|c| c.seconds);
    match RATES.iter().find(|r| highest + 1 == **r) {
        Some(rate) if passes => *rate,
        _ if highest < USUAL => USUAL,
        _ if highest < 120 => 120,
        _ => FASTEST,
    }
}

/// The usual frame rate of samples that lie so many seconds apart.
pub fn usual_rate(step: f64) -> Rational {
    let fps = 1.0 / step;
    let usual =
        RATES.iter().chain(&[120, FASTEST]).flat_map(|&r| [Some(Rational::whole(r)), Rational::new(r * 1000, 1001)]);
    let near = |r: &Rational| (r.as_f64() - fps).abs();
    let best = usual.flatten().min_by(|a, b| near(a).total_cmp(&near(b)));
    // What is none of them is what it is.
    match best {
        Some(best) if near(&best) < 0.01 * fps => best,
        _ => Rational::nearest(fps).unwrap_or(Rational::whole(USUAL)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(texts: &[&str]) -> Vec<f64> {
        times(&texts.iter().map(|t| Timecode::parse(t).unwrap()).collect::<Vec<_>>())
    }

    fn close(a: &[f64], b: &[f64]) {
        assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6), "{a:?} {b:?}");
    }

    #[test]
    fn the_highest_frame_tells_the_rate() {
        close(&seconds(&["00:00:01:58.5", "00:00:01:59.500", "00:00:02:00.5"]), &[0.0, 1.0 / 60.0, 2.0 / 60.0]);
        close(&seconds(&["10:59:59:24", "11:00:00:00"]), &[0.0, 1.0 / 25.0]);
        close(&seconds(&["00:00:00:29", "00:00:01:00"]), &[0.0, 1.0 / 30.0]);
        close(&seconds(&["00:00:00:119", "00:00:01:00"]), &[0.0, 1.0 / 120.0]);
        // Within a second nothing is known but that it is usual.
        close(&seconds(&["00:00:00:10", "00:00:00:29"]), &[0.0, 19.0 / 60.0]);
    }

    #[test]
    fn drop_frame_leaves_numbers_out_and_no_time() {
        close(&seconds(&["00:00:59;29.0", "00:01:00;02.0"]), &[0.0, 1001.0 / 30_000.0]);
        close(&seconds(&["00:09:59;29", "00:10:00;00"]), &[0.0, 1001.0 / 30_000.0]);
        close(&seconds(&["00:00:59;59", "00:01:00;04"]), &[0.0, 1001.0 / 60_000.0]);
        // An hour of it is an hour but for a tenth of a second.
        assert!((seconds(&["00:00:00;00", "01:00:00;00", "01:00:00;29"])[1] - 3600.0).abs() < 0.01);
    }

    #[test]
    fn midnight_is_passed() {
        close(&seconds(&["23:59:59:59", "00:00:00:00"]), &[0.0, 1.0 / 60.0]);
    }

    #[test]
    fn what_is_written_is_read() {
        for fps in [24.0, 25.0, 29.97, 30.0, 48.0, 50.0, 59.94, 60.0, 120.0] {
            let at: Vec<f64> = (0..400).map(|i| 36_000.0 + f64::from(i) / fps).collect();
            let texts: Vec<String> = at.iter().map(|t| Timecode::write(*t)).collect();
            let read = seconds(&texts.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(read.iter().zip(&at).all(|(a, b)| (a - (b - 36_000.0)).abs() < 2e-5), "{fps}");
        }
        assert_eq!(Timecode::write(3725.0 + 59.9996 / 60.0), "01:02:06:00.000");
    }

    #[test]
    fn other_texts_are_none() {
        for text in [
            "",
            ":",
            "1",
            "00:00:00",
            "00:00:00:",
            "00:00:00:00.",
            "24:00:00:00",
            "00:60:00:00",
            "00:00:60:00",
            "00:00:00:240",
            "-1:00:00:00",
            "00:00:00:00.1x",
            "00:00:00:+1",
            "0:0:0:0:0",
            "00:00:00:00.1e5",
            "9999:0:0:0",
            "a:b:c:d",
        ] {
            assert_eq!(Timecode::parse(text), None, "{text}");
        }
    }

    #[test]
    fn usual_rates_are_found() {
        assert_eq!(usual_rate(1.0 / 60.0), Rational::whole(60));
        assert_eq!(Some(usual_rate(1001.0 / 60_000.0)), Rational::new(60_000, 1001));
        assert_eq!(usual_rate(0.04), Rational::whole(25));
        assert!((usual_rate(1.0 / 15.0).as_f64() - 15.0).abs() < 1e-3);
    }
}
