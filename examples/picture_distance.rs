//! LPIPS and FID of picture files, for benches/peers.
//!
//!     picture_distance lpips WEIGHTS A B [A B ...]     LPIPS of each pair
//!     picture_distance fid WEIGHTS FOLDER FOLDER       FID of the PNGs of two folders
//!     picture_distance features WEIGHTS PICTURE        Inception's features of a picture
//!
//! Prints a JSON array of numbers.

use anyhow::{Result, bail};
use headgan::engine::cpu::Options;
use headgan::evaluate::fid::{Gaussian, Inception};
use headgan::evaluate::lpips::Lpips;
use headgan::frame::Frame;
use headgan::media::still;
use std::path::{Path, PathBuf};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let options = Options::default();
    let numbers: Vec<f64> = match arguments[..] {
        ["lpips", weights, ref pictures @ ..] if !pictures.is_empty() && pictures.len().is_multiple_of(2) => {
            let lpips = Lpips::load(Path::new(weights), &options)?;
            let pairs = pictures.chunks_exact(2).map(|pair| {
                let (a, b) = (lpips.see(&read(pair[0].as_ref())?)?, lpips.see(&read(pair[1].as_ref())?)?);
                Ok(lpips.between(&a, &b))
            });
            pairs.collect::<Result<_>>()?
        }
        ["fid", weights, a, b] => {
            let inception = Inception::load(Path::new(weights), &options)?;
            let (a, b) = (gaussian(&inception, a)?, gaussian(&inception, b)?);
            vec![a.distance(&b)]
        }
        ["features", weights, picture] => {
            let features = Inception::load(Path::new(weights), &options)?.features(&read(picture.as_ref())?)?;
            features.into_iter().map(f64::from).collect()
        }
        _ => bail!(
            "usage: picture_distance lpips WEIGHTS A B [A B ...] | fid WEIGHTS FOLDER FOLDER | features WEIGHTS PICTURE"
        ),
    };
    println!("{}", serde_json::json!(numbers));
    Ok(())
}

fn read(path: &Path) -> Result<Frame> {
    Ok(still::read(path)?.frame)
}

fn gaussian(inception: &Inception, folder: &str) -> Result<Gaussian> {
    let mut files = std::fs::read_dir(folder)?.map(|e| Ok(e?.path())).collect::<Result<Vec<PathBuf>>>()?;
    files.retain(|f| f.extension().is_some_and(|e| e == "png"));
    files.sort();
    let rows = files.iter().map(|f| Ok(inception.features(&read(f)?)?)).collect::<Result<Vec<Vec<f32>>>>()?;
    let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
    match Gaussian::fit(&rows) {
        Some(gaussian) => Ok(gaussian),
        None => bail!("{folder}: at least two PNGs are needed"),
    }
}
