//! What the network learns from: both eyes of drawn heads, seen by a regressor's fits, and how far they are closed. They are made
//! once for a run and kept in its folder: each is a fit, and each head has to be drawn.

use super::lashes::{Lashes, Lid};
use crate::interrupt;
use crate::regressor::heads::{HEADS_PER_APPEARANCE, SyntheticHeads};
use crate::regressor::measure::jitter_crop;
use crate::regressor::sample::{CONTEXT, Sample};
use crate::regressor::view::{CROP_JITTER, augment};
use headgan::engine::Embedded;
use headgan::face::bgr::{self, Pixels};
use headgan::face::lids::{EYES, EyeCrop, Lids};
use headgan::face::regress::Regressor;
use headgan::frame::Rect;
use headgan::media::atomic;
use headgan::morphable::{ImageCamera, PreparedMorphable};
use headgan::nets::lids::{HINTS, SIZE};
use headgan::random::Rng;
use headgan::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Side of a head's picture in pixels, and the smallest that it is scaled down to: eyes are seen sharp and blurred.
const SIDES: [usize; 2] = [320, 90];
/// Added to a run's seed: a regressor's fits of the heads that it was trained on are better than of others.
const SEED_OFFSET: u64 = 1 << 41;
/// What is changed here changes what examples are.
pub const RECIPE: u32 = 3;
/// Values of an example's pixels.
const AREA: usize = 3 * SIZE[0] * SIZE[1];

/// A face's eyes.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    pub crop: EyeCrop,
    /// How far they are closed, in the crop's order.
    pub closed: [f32; 2],
    /// The number of the head's appearance: six heads share skin, hair and light.
    pub portion: u32,
}

/// What sees faces first, and where the eyes are then.
pub struct ExampleBuilder<'a> {
    pub regressor: &'a Regressor<Embedded>,
    pub lids: &'a Lids,
    /// The drawn heads' own.
    pub head: &'a PreparedMorphable,
}

/// Eyes whose corners are nearer in the picture than this share of how far apart they are get no lashes: what is seen of
/// them may be something else.
const MIN_VISIBLE: f64 = 0.5;

impl ExampleBuilder<'_> {
    /// Both eyes of the face whose crop is `exact`, from a crop nearby; `None` where there is nothing to see.
    fn crop_eyes(&self, picture: &impl Pixels, exact: &Rect, rng: &mut Rng) -> Result<Option<EyeCrop>> {
        let crop = jitter_crop(exact, CROP_JITTER, rng);
        Ok(self.lids.look(picture, &self.regressor.regress(picture, &crop)?))
    }

    /// The heads of one appearance, each seen `views` times at different sizes, in different light and from different crops.
    fn build_appearance(&self, seed: u64, number: u64, views: usize) -> Result<Vec<Example>> {
        let seed = seed ^ SEED_OFFSET;
        let mut heads = SyntheticHeads::for_appearance(seed, number, SIDES[0]);
        let mut out = Vec::new();
        for i in 0..HEADS_PER_APPEARANCE {
            let mut sample = heads.next()?;
            let closed = self.lids.closed(&sample.expr);
            self.paint(&mut sample, closed, &mut Rng::from_parts(&[seed, 14, number, i]))?;
            for view in 0..views {
                let mut rng = Rng::from_parts(&[seed, 11, number, i, view as u64]);
                let [most, least] = SIDES.map(|v| v as f64);
                let side = (least * (most / least).powf(rng.unit())) as usize;
                // Blurred by whole blocks first, as a camera does it, or lines of a pixel come and go.
                let shrunk = bgr::shrink(&sample.picture, SIDES[0] / side);
                let mut picture = bgr::resize_linear(&shrunk, side, side)?;
                augment(&mut picture, &mut rng);
                // The landmarks' crop is in the middle of a head's picture.
                let (middle, half) = (0.5 * side as f32, 0.5 * side as f32 / CONTEXT as f32);
                let exact = Rect { x0: middle - half, y0: middle - half, x1: middle + half, y1: middle + half };
                let crop = self.crop_eyes(&picture, &exact, &mut rng)?;
                out.extend(crop.map(|crop| Example { crop, closed, portion: number as u32 }));
            }
        }
        Ok(out)
    }

    /// Gives a drawn head lashes.
    fn paint(&self, sample: &mut Sample, closed: [f32; 2], rng: &mut Rng) -> Result<()> {
        let camera = ImageCamera::from_matrix(&sample.camera)?;
        let points = self.head.posed_landmarks(&sample.shape, &sample.expr, &camera)?;
        let m = sample.camera;
        let down = [-m[1], -m[5]];
        let norm = down[0].hypot(down[1]);
        let lashes = Lashes::draw(rng);
        for (eye, closed) in EYES.into_iter().zip(closed) {
            let at = [0, 1, 2, 3].map(|i| points[eye[i]].map(f64::from));
            let [a, .., d] = at;
            let (seen, deep) = ((a[0] - d[0]).hypot(a[1] - d[1]), a[2] - d[2]);
            if norm > 1e-9 && seen > MIN_VISIBLE * seen.hypot(deep) {
                let points = at.map(|[x, y, _]| [x, y]);
                let lid = Lid { points, down: down.map(|v| v / norm), closed: f64::from(closed) };
                lashes.paint(&mut sample.picture, &lid, rng);
            }
        }
        Ok(())
    }

    /// Of so many drawn heads, each seen `views` times. `progress` is told how many appearances of how many are done.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after Ctrl-C; those of the networks.
    pub fn build(
        &self,
        from: &HeadSampling,
        threads: usize,
        progress: impl Fn(usize, usize) + Sync,
    ) -> Result<Vec<Example>> {
        let appearances = from.heads.div_ceil(HEADS_PER_APPEARANCE as usize);
        parallel_map(appearances, threads, progress, |appearance| {
            self.build_appearance(from.seed, appearance as u64, from.views)
        })
    }
}

/// What examples are made of.
#[derive(Debug, Clone, Copy)]
pub struct HeadSampling {
    pub seed: u64,
    pub heads: usize,
    /// How often each is seen.
    pub views: usize,
}

/// What `make` makes of each number below `count`, in their order, by so many threads. After a failure nothing new is begun.
fn parallel_map(
    count: usize,
    threads: usize,
    progress: impl Fn(usize, usize) + Sync,
    make: impl Fn(usize) -> Result<Vec<Example>> + Sync,
) -> Result<Vec<Example>> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let made: Vec<OnceLock<Result<Vec<Example>>>> = (0..count).map(|_| OnceLock::new()).collect();
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(place) = made.get(number) else { break };
            let outcome = interrupt::check().and_then(|()| make(number));
            if outcome.is_err() {
                next.store(count, Ordering::Relaxed);
            }
            // Each number is one thread's.
            let _ = place.set(outcome);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, count);
        }
    };
    std::thread::scope(|scope| (0..threads.max(1)).for_each(|_| drop(scope.spawn(work))));
    let mut out = Vec::new();
    for examples in made.into_iter().filter_map(OnceLock::into_inner) {
        out.extend(examples?);
    }
    Ok(out)
}

/// Writes examples; `made_of` says of what, so that others are not taken for them.
///
/// # Errors
/// [`Error::Input`] where that fails.
pub fn save(path: &Path, examples: &[Example], made_of: &str) -> Result<()> {
    let n = examples.len();
    let pixels: Vec<u8> = examples.iter().flat_map(|e| e.crop.pixels.iter().flatten().copied()).collect();
    let numbers = |of: &dyn Fn(&Example) -> Vec<f32>| -> Vec<u8> {
        examples.iter().flat_map(of).flat_map(f32::to_le_bytes).collect()
    };
    let hints = numbers(&|e| e.crop.hints.as_flattened().to_vec());
    let closed = numbers(&|e| e.closed.to_vec());
    let portion: Vec<u8> = examples.iter().flat_map(|e| e.portion.to_le_bytes()).collect();
    let parts = [
        ("pixels", Dtype::U8, vec![n, 2, AREA], &pixels),
        ("hints", Dtype::F32, vec![n, 2, HINTS], &hints),
        ("closed", Dtype::F32, vec![n, 2], &closed),
        ("portion", Dtype::U32, vec![n], &portion),
    ];
    let views = parts.into_iter().map(|(name, kind, shape, data)| Ok((name, TensorView::new(kind, shape, data)?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    let metadata = HashMap::from([("made_of".to_owned(), made_of.to_owned())]);
    let file = views.and_then(|views| safetensors::serialize(views, Some(metadata)));
    let file = file.map_err(|e| Error::engine(format!("the examples cannot be laid out ({e})")).with_source(e))?;
    atomic::write(path, |out| out.write_all(&file).map_err(|e| atomic::write_error(path, e)))?;
    Ok(())
}

/// Reads examples; `None` where there are none, or they are made of something else.
///
/// # Errors
/// [`Error::Input`] where the file is damaged.
pub fn load(path: &Path, made_of: &str) -> Result<Option<Vec<Example>>> {
    if !path.exists() {
        return Ok(None);
    }
    let bad = |what: &dyn std::fmt::Display| {
        Error::input(format!("{}: holds no examples ({what}): remove it to make them again", path.display()))
    };
    let bytes = headgan::weights::safetensors::read_bytes(path)?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| bad(&e))?;
    if header.metadata().as_ref().and_then(|metadata| metadata.get("made_of")).is_none_or(|text| text != made_of) {
        return Ok(None);
    }
    let file = SafeTensors::deserialize(&bytes).map_err(|e| bad(&e))?;
    let part = |name: &str, size: usize| -> Result<Vec<u8>> {
        let data = file.tensor(name).map_err(|e| bad(&e))?.data().to_vec();
        if data.len() % size == 0 { Ok(data) } else { Err(bad(&format!("'{name}' is cut off"))) }
    };
    let (pixels, hints) = (part("pixels", 2 * AREA)?, part("hints", 8 * HINTS)?);
    let (closed, portion) = (part("closed", 8)?, part("portion", 4)?);
    let n = portion.len() / 4;
    if pixels.len() != 2 * AREA * n || hints.len() != 8 * HINTS * n || closed.len() != 8 * n {
        return Err(bad(&"parts of different lengths"));
    }
    let four = |data: &[u8], i: usize| [data[4 * i], data[4 * i + 1], data[4 * i + 2], data[4 * i + 3]];
    let number = |data: &[u8], i: usize| f32::from_le_bytes(four(data, i));
    let example = |i: usize| Example {
        crop: EyeCrop {
            pixels: [0, 1].map(|eye| pixels[(2 * i + eye) * AREA..][..AREA].to_vec()),
            hints: [0, 1].map(|eye| std::array::from_fn(|k| number(&hints, (2 * i + eye) * HINTS + k))),
        },
        closed: [0, 1].map(|eye| number(&closed, 2 * i + eye)),
        portion: u32::from_le_bytes(four(&portion, i)),
    };
    Ok(Some((0..n).map(example).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgan::engine::{cpu, shape};
    use headgan::morphable::Morphable;
    use headgan::nets::mobilenet::{self, mobilenet};
    use headgan::weights::{Array, Weights};
    use std::sync::Arc;

    /// A regressor that always answers with the mean face in the middle of the crop.
    fn regressor() -> (Regressor<Embedded>, Morphable) {
        let mut model = (*headgan::synthetic::head()).clone();
        (model.param_mean, model.param_std) = (vec![0.0; 62], vec![0.0; 62]);
        for i in [0, 5, 10] {
            model.param_mean[i] = 4.5e-4;
        }
        (model.param_mean[3], model.param_mean[7]) = (60.0, 60.0);
        let net = mobilenet::Config { width: 0.125, head: "fc".into(), outputs: 62, lids: false };
        let layers = shape::layers(|ops| {
            mobilenet(ops, &[1, 3, mobilenet::SIZE, mobilenet::SIZE], &net);
        });
        let mut weights = Weights::default();
        for (name, shape) in layers {
            let value = if name.ends_with("running_var") { 1.0 } else { 0.0 };
            weights.insert(&name, Array::f32(shape.clone(), vec![value; shape.iter().product()]));
        }
        let ops = Embedded::new(Arc::new(weights), &cpu::Options { threads: 1, ..cpu::Options::default() });
        (Regressor::new(ops, net, &model).unwrap(), model)
    }

    #[test]
    fn threads_change_nothing_and_files_give_back_what_they_got() {
        let (regressor, model) = regressor();
        let head = PreparedMorphable::new(headgan::synthetic::head()).unwrap();
        let builder = ExampleBuilder { regressor: &regressor, lids: &Lids::new(&model).unwrap(), head: &head };
        let from = HeadSampling { seed: 3, heads: 12, views: 2 };
        let made = builder.build(&from, 2, |_, _| ()).unwrap();
        assert_eq!(made.len(), 24);
        assert_eq!(made, builder.build(&from, 1, |_, _| ()).unwrap());
        // Both views of a head tell of the same eyes and see different pictures.
        assert!(made[0].closed == made[1].closed && made[0].crop != made[1].crop);
        assert!(made.iter().any(|e| e.closed != made[0].closed));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads.safetensors");
        assert_eq!(load(&path, "a").unwrap(), None);
        save(&path, &made, "a").unwrap();
        assert_eq!(load(&path, "a").unwrap(), Some(made));
        assert_eq!(load(&path, "b").unwrap(), None);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let failed = load(&path, "a").unwrap_err().to_string();
        assert!(failed.contains("heads.safetensors") && failed.contains("remove it"), "{failed}");
    }
}
