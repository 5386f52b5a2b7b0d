//! What the features of a minute of sound cost: `cargo bench --bench audio`; with `RAYON_NUM_THREADS=1` on one thread.

use criterion::{Criterion, criterion_group, criterion_main};
use headgan::audio::{Alignment, Sound, headgan84, short68};
use headgan::media::Rational;
use headgan::random::Rng;
use std::hint::black_box;

fn audio(c: &mut Criterion) {
    let mut rng = Rng(1);
    let noise = Sound::new(16_000, (0..60 * 16_000).map(|_| f64::from(rng.signed())).collect()).unwrap();
    let mut group = c.benchmark_group("audio, 60 s at 16 kHz");
    group.sample_size(10);
    let fps = Rational::whole(25);
    group.bench_function("short68", |b| b.iter(|| short68(black_box(&noise)).unwrap()));
    group.bench_function("headgan84 at 25 frames a second", |b| {
        b.iter(|| headgan84(black_box(&noise), fps, None, Alignment::Time).unwrap());
    });
    group.bench_function("to 44.1 kHz", |b| b.iter(|| noise.resampled(44_100).unwrap()));
    group.finish();
}

criterion_group!(benches, audio);
criterion_main!(benches);
