//! Audio features for benches/peers: reads a sound, then computes its features once for each line on stdin and answers with the
//! milliseconds; at the end, the largest difference to a file of expected values as JSON.
//!
//!     bench_audio SOUND short68|headgan84 EXPECTED.f64
//!
//! EXPECTED.f64: 64-bit floats, little-endian, feature by feature. headgan84 is at 25 frames a second, aligned as the original does.

use anyhow::{Context, Result, bail};
use headgan::audio::{Alignment, Sound, headgan84, short68};
use headgan::media::Rational;
use serde_json::json;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [sound, layout, expected] = &arguments[..] else { bail!("bench_audio SOUND short68|headgan84 EXPECTED.f64") };
    let sound = Sound::load(Path::new(sound))?;
    let compute = || match layout.as_str() {
        "short68" => short68(&sound),
        _ => headgan84(&sound, Rational::whole(25), None, Alignment::Original),
    };
    let bytes = std::fs::read(expected).context("the expected values cannot be read")?;
    let expected: Vec<f64> =
        bytes.chunks_exact(8).filter_map(|b| Some(f64::from_le_bytes(*b.first_chunk()?))).collect();
    let features = compute()?.by_feature();
    if features.len() != expected.len() {
        bail!("{} values, {} are expected", features.len(), expected.len());
    }
    let off = features.iter().zip(&expected).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        compute()?;
        println!("{}", start.elapsed().as_secs_f64() * 1e3);
        std::io::stdout().flush()?;
    }
    println!("{}", json!({"values": features.len(), "max_abs_difference": off}));
    Ok(())
}
