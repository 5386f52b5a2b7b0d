//! The demo's sound: a buzz through three resonances, opened and coloured by the driver's mouth.

use super::performance::{DEMO_FPS, Speech};

/// Samples per second of [`demo_sound`].
pub const SAMPLE_RATE: u32 = 16_000;

/// A resonance: two poles.
#[derive(Default)]
struct Resonator {
    a: f32,
    b: f32,
    gain: f32,
    y1: f32,
    y2: f32,
}

impl Resonator {
    fn tune(&mut self, frequency: f32, width: f32) {
        let rate = SAMPLE_RATE as f32;
        let r = (-std::f32::consts::PI * width / rate).exp();
        self.a = 2.0 * r * (std::f32::consts::TAU * frequency / rate).cos();
        self.b = -r * r;
        self.gain = 1.0 - self.a - self.b;
    }

    fn run(&mut self, x: f32) -> f32 {
        let y = self.gain * x + self.a * self.y1 + self.b * self.y2;
        (self.y2, self.y1) = (self.y1, y);
        y
    }
}

/// The sound of the first `frames` frames of the driving performance shown at `fps`: mono, [`SAMPLE_RATE`], peak 0.5.
/// Empty when `fps` is not positive.
pub fn demo_sound(frames: usize, fps: f32) -> Vec<f32> {
    if !(fps > 0.0 && fps.is_finite()) {
        return Vec::new();
    }
    let rate = SAMPLE_RATE as f32;
    let count = (frames as f64 / f64::from(fps) * f64::from(SAMPLE_RATE)).round() as usize;
    let mut tract = [Resonator::default(), Resonator::default(), Resonator::default()];
    let (mut phase, mut last, mut loudness) = (0.0f32, 0.0f32, 0.0f32);
    let mut seed = 1u32;
    let mut out = Vec::with_capacity(count);
    let mut speech = Speech::at(0.0);
    for i in 0..count {
        // Seconds of the script, which counts frames.
        let t = (i as f64 / f64::from(rate)) as f32 * fps / DEMO_FPS;
        if i % 64 == 0 {
            speech = Speech::at(t);
            // An open mouth raises the first resonance, rounded lips lower the second, spread lips raise it.
            tract[0].tune(290.0 + 480.0 * speech.open * (1.0 - 0.5 * speech.round), 70.0);
            tract[1].tune(1250.0 - 450.0 * speech.round + 800.0 * speech.spread, 100.0);
            tract[2].tune(2550.0, 160.0);
        }
        let pitch = 118.0 * (1.0 + 0.10 * (2.1 * t).sin() + 0.03 * (11.0 * t).sin());
        phase = (phase + pitch / rate).fract();
        // The air through the vocal folds: opens slowly, closes fast; its change is the buzz.
        let flow = if phase < 0.6 {
            (std::f32::consts::PI * phase / 1.2).sin().powi(2)
        } else {
            (1.0 - (phase - 0.6) / 0.1).max(0.0)
        };
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let breath = (seed >> 8) as f32 / (1u32 << 24) as f32 - 0.5;
        let source = flow - last + 0.02 * breath;
        last = flow;
        loudness += 0.002 * (speech.open.sqrt() - loudness);
        let voice = tract.iter_mut().fold(source, |x, r| r.run(x));
        out.push(voice * loudness);
    }
    let peak = out.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    if peak > 0.0 {
        out.iter_mut().for_each(|v| *v *= 0.5 / peak);
    }
    out
}

/// [`demo_sound`]'s samples as a WAV file: 16 bits, mono, [`SAMPLE_RATE`] Hz. Samples beyond 1 are cut off.
pub fn wav(samples: &[f32]) -> Vec<u8> {
    let bytes = 2 * samples.len() as u32;
    let mut out = Vec::with_capacity(44 + bytes as usize);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&(36 + bytes).to_le_bytes());
    out.extend_from_slice(b"WAVEfmt ");
    for word in [16u32, 1 | 1 << 16, SAMPLE_RATE, 2 * SAMPLE_RATE, 2 | 16 << 16] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(b"data");
    out.extend_from_slice(&bytes.to_le_bytes());
    for s in samples {
        out.extend_from_slice(&((s.clamp(-1.0, 1.0) * 32767.0).round() as i16).to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_long_as_the_frames_and_in_step_with_the_mouth() {
        let sound = demo_sound(150, 25.0);
        assert_eq!(sound.len(), 96_000);
        assert_eq!(sound, demo_sound(150, 25.0));
        assert!(sound.iter().all(|v| v.abs() <= 0.5));
        // Loudness per frame goes with the opening of the mouth.
        let loud: Vec<f32> = sound.chunks(640).map(|c| (c.iter().map(|v| v * v).sum::<f32>() / 640.0).sqrt()).collect();
        let open: Vec<f32> = (0..150).map(|i| Speech::at((i as f32 + 0.5) / 25.0).open).collect();
        let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
        let (a, b) = (mean(&loud), mean(&open));
        let product: f32 = loud.iter().zip(&open).map(|(l, o)| (l - a) * (o - b)).sum();
        let norm = |v: &[f32], m: f32| v.iter().map(|x| (x - m).powi(2)).sum::<f32>().sqrt();
        assert!(product / (norm(&loud, a) * norm(&open, b)) > 0.6);
        assert!(demo_sound(10, 0.0).is_empty() && demo_sound(0, 25.0).is_empty());
    }
}
