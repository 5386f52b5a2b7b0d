//! What a generator that listens does with what it hears, on a data set's clips that were held out.
//!
//!     heard --data DATA --generator FILE.safetensors [--pack 3ddfa-v2] [--frames 12] [--sheet FILE.png]
//!
//! Each frame is painted three times: with its own sound, in silence (zeros), and with the sound of a frame half the clip away. Prints
//! how far the pictures are apart where the mouth is (64 x 64 pixels of 256), in the rest of the face and elsewhere, and how
//! far each is from the truth at the mouth; means over clips, in 255ths. The sheet shows a frame of each clip: truth, with
//! sound, in silence, and ten times their difference.

use clap::Parser;
use headgan::engine::cpu;
use headgan::frame::{ContactSheet, Frame};
use headgan::import::check_generator;
use headgan::media::still::{self, StillOptions};
use headgan::models::ModelSet;
use headgan::nets::generator;
use headgan::reenact::networks::Networks;
use headgan::reenact::window::CROP;
use headgan::weights::safetensors;
use headgan::{Error, Result};
use headgan_torch::{Shared, Torch};
use headgan_train::data::Batch;
use headgan_train::data::sample::{Augmentation, Sampler};
use headgan_train::losses::MOUTH;
use headgan_train::run::DataSet;
use headgan_train::validate::frame;
use std::path::PathBuf;
use tch::{Device, Kind, Tensor};

#[derive(Parser)]
struct Args {
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    generator: PathBuf,
    #[arg(long, default_value = "3ddfa-v2")]
    pack: String,
    /// Of each clip.
    #[arg(long, default_value_t = 12)]
    frames: usize,
    #[arg(long)]
    sheet: Option<PathBuf>,
}

/// Mean distances in 255ths.
#[derive(Default, Clone, Copy)]
struct Tally {
    /// Of the picture with sound from the others: at the mouth, in the rest of the face, elsewhere.
    apart: [[f64; 3]; 2],
    /// From the truth, at the mouth: with sound, in silence, with another frame's.
    off: [f64; 3],
}

fn main() -> Result<()> {
    let args = Args::parse();
    let _no_grad = tch::no_grad_guard();
    let networks = Networks::load(
        &ModelSet::discover(&[]),
        Some(&args.pack),
        None,
        &cpu::Options { threads: 1, ..Default::default() },
    )?;
    let weights = safetensors::load(&args.generator)?;
    let config = check_generator(&weights)?;
    if config.audio == 0 {
        return Err(Error::usage(format!("{}: does not listen", args.generator.display())));
    }
    let ops = Torch::new(&weights, Device::Cpu, Kind::Float);
    let paint = |batch: &Batch, sound: &Tensor| -> Tensor {
        let input = |t: &Tensor| Shared(t.shallow_clone());
        let reference = generator::reference(&ops, &config, &input(&batch.reference));
        let prior = input(&batch.prior);
        let out = generator::forward(&ops, &config, &reference, &input(&batch.pncc), Some(&input(sound)), Some(&prior));
        match config.compose {
            true => out.image.0 + &batch.draft - headgan::engine::Ops::warp(&ops, &reference.rgb, &prior).0,
            false => out.image.0,
        }
    };
    let data = DataSet::open(&args.data)?;
    let mut sampler = Sampler::new(networks.morphable.clone(), networks.draft.clone(), config.frames);
    let mut sheet = ContactSheet::new(4, (CROP, CROP));
    let (mut sum, mut clips) = (Tally::default(), 0.0);
    for clip in data.held_out.iter().filter(|c| c.heard.is_some()) {
        let usable = clip.usable();
        let n = args.frames.min(usable.len());
        let mut tally = Tally::default();
        for i in 0..n {
            let at = i * usable.len() / n;
            let pair =
                |target: usize, sampler: &mut Sampler| sampler.pair(clip, usable[0], target, &Augmentation::none());
            let sample = pair(usable[at], &mut sampler)?;
            let other = pair(usable[(at + usable.len() / 2) % usable.len()], &mut sampler)?;
            let [batch, other] = [sample, other].map(|s| Batch::collate(&[s], 1, Kind::Float, Device::Cpu));
            let silence = batch.sound.zeros_like();
            let painted = [&batch.sound, &silence, &other.sound].map(|sound| paint(&batch, sound));
            let mouth = mouth_of(&batch);
            let rest = &batch.face * (1.0 - &mouth);
            let outside = (1.0 - &batch.face) * (1.0 - &mouth);
            let apart = |a: &Tensor, b: &Tensor, on: &Tensor| {
                let difference = ((a - b).abs() * on * &batch.valid).sum(Kind::Double);
                127.5 * (difference / ((on * &batch.valid).sum(Kind::Double) * 3.0).clamp_min(1.0)).double_value(&[])
            };
            for (k, other) in painted[1..].iter().enumerate() {
                for (part, on) in [&mouth, &rest, &outside].into_iter().enumerate() {
                    tally.apart[k][part] += apart(&painted[0], other, on) / n as f64;
                }
            }
            for (off, picture) in tally.off.iter_mut().zip(&painted) {
                *off += apart(picture, &batch.target, &mouth) / n as f64;
            }
            if i == n / 2 {
                for picture in [&batch.target, &painted[0], &painted[1]] {
                    sheet.push(&frame(picture), "");
                }
                sheet.push(&difference(&painted[0], &painted[1]), &clip.metadata.name);
            }
        }
        println!("{}: {}", clip.metadata.name, text(&tally));
        clips += 1.0;
        let add = |a: &mut f64, b: f64| *a += b;
        sum.apart.as_flattened_mut().iter_mut().zip(tally.apart.as_flattened()).for_each(|(a, b)| add(a, *b));
        sum.off.iter_mut().zip(tally.off).for_each(|(a, b)| add(a, b));
    }
    if clips == 0.0 {
        return Err(Error::input(format!("{}: no clip that was held out has sound", args.data.display())));
    }
    sum.apart.as_flattened_mut().iter_mut().chain(&mut sum.off).for_each(|v| *v /= clips);
    println!("means over {clips} clips: {}", text(&sum));
    args.sheet.map_or(Ok(()), |path| still::write(&path, &sheet.render(), &StillOptions::default()))
}

/// 1 in the square around each mouth.
fn mouth_of(batch: &Batch) -> Tensor {
    let out = batch.face.zeros_like();
    let side = CROP as i64;
    for (i, &[x, y]) in batch.mouths.iter().enumerate() {
        let start = |centre: f64| (centre.round() as i64 - MOUTH / 2).clamp(0, side - MOUTH);
        let _ = out.get(i as i64).narrow(1, start(y), MOUTH).narrow(2, start(x), MOUTH).fill_(1.0);
    }
    out
}

/// Ten times what is different, on grey.
fn difference(a: &Tensor, b: &Tensor) -> Frame {
    frame(&((a - b) * 10.0))
}

fn text(t: &Tally) -> String {
    let [silent, other] = t.apart.map(|[mouth, face, rest]| {
        format!("{mouth:.3} at the mouth, {face:.3} in the rest of the face, {rest:.3} elsewhere")
    });
    let [own, none, wrong] = t.off;
    format!(
        "from silence {silent}; from another frame's sound {other}; from the truth at the mouth {own:.3}, in silence {none:.3}, with \
         another frame's sound {wrong:.3}"
    )
}
