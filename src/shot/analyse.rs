//! The analysis of a clip: every frame observed once, one face followed through them.
//!
//! A frame's observation depends on its pixels and the networks alone and is cached under both, so frames are observed by as
//! many threads as there are, an interrupted analysis goes on where it was, and a frame that another clip or edit shows too is known already.
//! What the clip's frames are is cached as well, under the file's identity: a clip that is known is not decoded again.
//!
//! Where the detector loses the face for a while (profiles, hands), the crop of the frame before is followed, as upstream does
//! for all frames; that is the one step in which a frame depends on another.

use super::cache::Cache;
use super::link::{distance, link, size_change};
use super::motion::Motion;
use super::record::{decode, encode};
use crate::face::choose::Choice;
use crate::face::dense::DenseFace;
use crate::face::observe::{Observation, Observer, Seen};
use crate::face::roi;
use crate::face::traits::PointFit;
use crate::frame::{Color, Frame, Rect};
use crate::key::{Key, KeyHasher};
use crate::media::{FrameRange, Rational, Source};
use crate::morphable::Fit;
use crate::morphable::dense::DenseRegion;
use crate::weights::{Array, Data, Weights};
use crate::{CancelToken, Error, Result};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

/// Changes whenever an observation of the same pixels by the same networks may come out differently.
const VERSION: &[u8] = b"1";
/// The detector may miss the face for so many frames while the fit itself stays plausible.
const PATIENCE: usize = 30;
/// What the score is multiplied with for each of them.
const DOUBT: f32 = 0.965;
/// A followed fit below this confidence is given up.
const LEAST_CONFIDENCE: f32 = 0.3;
/// A followed face may move by so many sides of its landmarks' box, and change size by so much, from frame to frame.
const STEP: (f32, f32) = (0.5, 1.5);
/// Landmark boxes with a shorter side, in pixels, are not followed.
const SMALLEST: f32 = 24.0;

/// A clip as the analysis sees it.
#[derive(Clone, Copy)]
pub struct Clip<'a> {
    /// As messages call it.
    pub name: &'a str,
    /// Frame rate; image sequences have none.
    pub fps: Option<Rational>,
    /// What the file is ([`Source::identity`]); a clip without one is decoded each time.
    pub identity: Option<Key>,
    /// Decodes frames, in order, with their numbers; `None` is the whole clip. Called, and its frames taken, by the thread that
    /// calls [`Analyser::run`] alone.
    pub frames: &'a dyn Fn(Option<FrameRange>) -> Result<ClipFrames<'a>>,
}

/// The frames of a clip.
pub type ClipFrames<'a> = Box<dyn Iterator<Item = Result<(usize, Frame)>> + 'a>;

/// How a frame's face was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// Detected, as in the frame before.
    Detected,
    /// Detected again after frames without it.
    Returned,
    /// Not detected; found where the frame before had it.
    Followed,
}

/// The face of one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameFace {
    /// Pose, identity and expression.
    pub fit: Fit,
    /// The detector's box; for a followed face the last one seen.
    pub rect: Rect,
    /// 0..1, see [`crate::face::observe`].
    pub confidence: f32,
    /// How the face was come by.
    pub event: Event,
    /// Its dense points, where the model is fitted to such.
    pub dense: Option<DenseFace>,
    /// How much of each region the fit to dense points follows ([`PointFit::regions`](crate::face::traits::PointFit::regions)).
    pub regions: Option<[f32; DenseRegion::COUNT]>,
}

/// A clip, frame by frame.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// Number of the first frame.
    pub first: usize,
    /// Size of the frames in pixels.
    pub size: (usize, usize),
    /// Frame rate; image sequences have none.
    pub fps: Option<Rational>,
    /// `None` where the face is not in view.
    pub faces: Vec<Option<FrameFace>>,
    /// The frames' keys ([`pixels`]).
    pub pixels: Vec<Key>,
    /// What it took.
    pub work: Work,
}

/// What an analysis took.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Work {
    /// Frames of the clip.
    pub frames: usize,
    /// Frames that were decoded.
    pub decoded: usize,
    /// Frames that were observed now.
    pub observed: usize,
    /// Frames whose observation was in the cache.
    pub reused: usize,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Seconds spent waiting for the decoder.
    pub decoding: f64,
    /// Seconds of all threads: hashing pixels, reading the cache, observing, storing.
    pub hashing: f64,
    /// Seconds of all threads.
    pub reading: f64,
    /// Seconds of all threads.
    pub observing: f64,
    /// Seconds, fitting the model to the shot's dense points.
    pub fitting: f64,
    /// Seconds of all threads.
    pub storing: f64,
}

/// Analyses clips.
#[derive(Clone, Copy)]
pub struct Analyser<'a> {
    /// Looks at the frames.
    pub observer: Observer<'a>,
    /// The networks ([`Networks::fingerprint`](crate::reenact::networks::Networks::fingerprint)).
    pub networks: Key,
    /// Keeps what was observed.
    pub cache: Option<&'a Cache>,
    /// 0: as many as there are processors.
    pub threads: usize,
    /// Called after every frame, by any thread.
    pub progress: &'a (dyn Fn() + Sync),
    /// Ends the analysis; what was observed stays in the cache.
    pub cancel: &'a CancelToken,
}

/// What a clip's frames are.
struct Index {
    first: usize,
    size: (usize, usize),
    pixels: Vec<Key>,
}

/// Nanoseconds and counts of all threads.
#[derive(Default)]
struct Meter {
    hashing: AtomicU64,
    reading: AtomicU64,
    observing: AtomicU64,
    fitting: AtomicU64,
    storing: AtomicU64,
    observed: AtomicUsize,
    reused: AtomicUsize,
}

fn timed<T>(meter: &AtomicU64, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let out = work();
    meter.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
    out
}

/// The key of a picture: its size, its colour tag and every sample.
pub fn pixels(frame: &Frame) -> Key {
    pixels_in_pieces((frame.width, frame.height), frame.color, |add| add(&frame.data))
}

/// The key that [`pixels`] gives a picture of this width and height. `samples` hands over all its samples, R G B A per pixel, rows from
/// the top, in as many pieces as it likes.
pub fn pixels_in_pieces(
    (width, height): (usize, usize),
    color: Color,
    samples: impl FnOnce(&mut dyn FnMut(&[f32])),
) -> Key {
    let color: &[u8] = match color {
        Color::Srgb => b"srgb",
        Color::Rec709 => b"rec709",
        Color::Linear => b"linear",
    };
    let size = [width, height].map(|n| n as u64);
    let mut hasher = KeyHasher::new("pixels");
    for part in [bytemuck::cast_slice(&size), color] {
        hasher.begin(part.len());
        hasher.update(part);
    }
    hasher.begin(4 * width * height * size_of::<f32>());
    samples(&mut |piece| hasher.update(bytemuck::cast_slice(piece)));
    hasher.finish()
}

impl Analyser<'_> {
    /// The faces of a picture, from the cache where it knows them.
    ///
    /// # Errors
    /// Those of the networks.
    pub fn observe(&self, frame: &Frame) -> Result<Observation> {
        self.observe_metered(frame, &pixels(frame), &Meter::default())
    }

    /// Analyses a clip.
    ///
    /// # Errors
    /// Those of the frames, the networks; [`Error::Interrupted`]; [`Error::NoFace`] when no frame shows a face.
    pub fn run(&self, clip: &Clip, choice: impl Fn(usize, usize) -> Choice) -> Result<Analysis> {
        let started = Instant::now();
        let meter = Meter::default();
        let mut work = Work::default();
        let index_key = clip.identity.map(|id| Key::new("clip", &[id.bytes()]));
        let known =
            index_key.and_then(|key| timed(&meter.reading, || self.cache?.get(&key)).and_then(|v| index_of(&v)));
        let mut all = None;
        if let Some(index) = known {
            let mut found: Vec<Option<Observation>> = index
                .pixels
                .iter()
                .map(|p| self.recall(&self.frame_key(p), &meter))
                .map(|o| {
                    if o.is_some() {
                        meter.reused.fetch_add(1, Ordering::Relaxed);
                        (self.progress)();
                        self.cancel.check()?;
                    }
                    Ok(o)
                })
                .collect::<Result<_>>()?;
            if self.complete(clip, &index, &mut found, &meter, &mut work)? {
                all = Some((index, found.into_iter().flatten().collect()));
            } else if let (Some(key), Some(cache)) = (index_key, self.cache) {
                // The frames are not those that were noted: all of it anew.
                cache.remove(&key);
            }
        }
        let (index, observations) = match all {
            Some(all) => all,
            None => {
                let all = self.decode_all(clip, None, &|_| true, &meter, &mut work)?;
                let (index, observations) = all.ok_or_else(|| {
                    Error::input(format!("{}: there are no frames in it: use another clip", clip.name))
                })?;
                if let (Some(key), Some(cache)) = (index_key, self.cache) {
                    timed(&meter.storing, || cache.put(&key, index_value(&index)));
                }
                (index, observations)
            }
        };
        let links = link(&observations, choice(index.size.0, index.size.1));
        let mut faces: Vec<Option<FrameFace>> = links
            .iter()
            .zip(&observations)
            .map(|(link, o)| {
                let link = (*link)?;
                let seen = &o.faces[link.face];
                let event = if link.returned { Event::Returned } else { Event::Detected };
                let fitted = seen.fitted.as_ref()?;
                let (fit, dense) = (fitted.fit.clone(), fitted.dense.clone());
                let (rect, confidence) = (seen.detection.rect, seen.confidence());
                Some(FrameFace { fit, rect, confidence, event, dense, regions: None })
            })
            .collect();
        let scores: Vec<Option<f32>> =
            links.iter().zip(&observations).map(|(l, o)| Some(o.faces[(*l)?.face].detection.score)).collect();
        self.follow_gaps(clip, &index, &mut faces, &scores, &meter, &mut work)?;
        timed(&meter.fitting, || self.fit_points(&mut faces));
        if faces.iter().all(Option::is_none) {
            return Err(Error::no_face(format!(
                "{}: no face was found in any of its {} frames; use a clip that shows one, at least 24 pixels large",
                clip.name,
                faces.len()
            )));
        }
        let seconds = |ns: &AtomicU64| ns.load(Ordering::Relaxed) as f64 * 1e-9;
        work.frames = faces.len();
        work.observed = meter.observed.load(Ordering::Relaxed);
        work.reused = meter.reused.load(Ordering::Relaxed);
        work.hashing = seconds(&meter.hashing);
        work.reading = seconds(&meter.reading);
        work.observing = seconds(&meter.observing);
        work.fitting = seconds(&meter.fitting);
        work.storing = seconds(&meter.storing);
        work.seconds = started.elapsed().as_secs_f64();
        Ok(Analysis { first: index.first, size: index.size, fps: clip.fps, faces, pixels: index.pixels, work })
    }

    fn frame_key(&self, pixels: &Key) -> Key {
        Key::new("frame", &[VERSION, self.networks.bytes(), pixels.bytes()])
    }

    fn recall(&self, key: &Key, meter: &Meter) -> Option<Observation> {
        timed(&meter.reading, || decode(&self.cache?.get(key)?))
    }

    /// Stores an observation; what counts comes back. Without a cache too it goes through [`encode`] and [`decode`], so that
    /// nothing can differ.
    fn keep(&self, key: &Key, observation: Observation, meter: &Meter) -> Observation {
        let value = encode(&observation);
        let own = decode(&value).unwrap_or(observation);
        let kept = self.cache.and_then(|cache| timed(&meter.storing, || decode(&cache.put(key, value))));
        kept.unwrap_or(own)
    }

    fn observe_metered(&self, frame: &Frame, pixels: &Key, meter: &Meter) -> Result<Observation> {
        let key = self.frame_key(pixels);
        if let Some(found) = self.recall(&key, meter) {
            meter.reused.fetch_add(1, Ordering::Relaxed);
            return Ok(found);
        }
        let new = timed(&meter.observing, || self.observer.observe(frame))?;
        meter.observed.fetch_add(1, Ordering::Relaxed);
        Ok(self.keep(&key, new, meter))
    }

    /// Observes the frames of a known clip that the cache has lost; `false` where its frames are not the known ones.
    fn complete(
        &self,
        clip: &Clip,
        index: &Index,
        found: &mut [Option<Observation>],
        meter: &Meter,
        work: &mut Work,
    ) -> Result<bool> {
        let Some(first) = found.iter().position(Option::is_none) else { return Ok(true) };
        let last = found.iter().rposition(Option::is_none).unwrap_or(first);
        let range = FrameRange::new(index.first + first, index.first + last);
        let missing: Vec<bool> = found.iter().map(Option::is_none).collect();
        let wanted = |n: usize| n.checked_sub(index.first).is_some_and(|i| missing.get(i) == Some(&true));
        let Some((seen, observations)) = self.decode_all(clip, Some(range), &wanted, meter, work)? else {
            return Ok(false);
        };
        if !index.pixels.iter().zip(&missing).filter(|(_, missing)| **missing).map(|(p, _)| p).eq(&seen.pixels) {
            return Ok(false);
        }
        found.iter_mut().filter(|o| o.is_none()).zip(observations).for_each(|(o, new)| *o = Some(new));
        Ok(true)
    }

    /// Decodes frames and observes the wanted ones on all threads; `None` where there are none.
    fn decode_all(
        &self,
        clip: &Clip,
        range: Option<FrameRange>,
        wanted: &(dyn Fn(usize) -> bool + Sync),
        meter: &Meter,
        work: &mut Work,
    ) -> Result<Option<(Index, Vec<Observation>)>> {
        let threads = match self.threads {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get()),
            n => n,
        };
        let mut first = None;
        let mut results: Vec<(usize, Key, Observation)> = Vec::new();
        let failure: Mutex<Option<Error>> = Mutex::new(None);
        let stop = AtomicBool::new(false);
        let fail = |e: Error| {
            failure.lock().get_or_insert(e);
            stop.store(true, Ordering::Relaxed);
        };
        let done = Mutex::new(&mut results);
        // As many frames wait as are in work: what is decoded ahead stays small.
        let (to, from) = sync_channel::<(usize, Frame)>(threads);
        let from: Mutex<Receiver<(usize, Frame)>> = Mutex::new(from);
        std::thread::scope(|scope| {
            // Ends with this scope, and the workers with it.
            let to = to;
            let worker = || {
                loop {
                    let Ok((number, frame)) = ({ from.lock().recv() }) else { return };
                    if stop.load(Ordering::Relaxed) {
                        continue;
                    }
                    let key = timed(&meter.hashing, || pixels(&frame));
                    let result = self.observe_metered(&frame, &key, meter).and_then(|o| {
                        (self.progress)();
                        self.cancel.check()?;
                        Ok(o)
                    });
                    match result {
                        Ok(observation) => done.lock().push((number, key, observation)),
                        Err(e) => fail(e),
                    }
                }
            };
            for _ in 0..threads {
                scope.spawn(worker);
            }
            let mut frames = match (clip.frames)(range) {
                Ok(frames) => frames,
                Err(e) => return fail(e),
            };
            loop {
                let waiting = Instant::now();
                let next = frames.next();
                work.decoding += waiting.elapsed().as_secs_f64();
                match next {
                    None => break,
                    Some(Err(e)) => return fail(e),
                    Some(Ok(_)) if stop.load(Ordering::Relaxed) => break,
                    Some(Ok((number, frame))) => {
                        work.decoded += 1;
                        first.get_or_insert((number, (frame.width, frame.height)));
                        if wanted(number) && to.send((number, frame)).is_err() {
                            break;
                        }
                    }
                }
            }
        });
        if let Some(e) = failure.into_inner() {
            return Err(e);
        }
        let Some((first, size)) = first else { return Ok(None) };
        results.sort_by_key(|(number, ..)| *number);
        let mut pixels = Vec::with_capacity(results.len());
        let mut observations = Vec::with_capacity(results.len());
        for (_, key, observation) in results {
            pixels.push(key);
            observations.push(observation);
        }
        Ok(Some((Index { first, size, pixels }, observations)))
    }

    /// Where dense points are fitted: the shot's frames together, in place of each by itself. What no model can be fitted to
    /// is no face.
    fn fit_points(&self, faces: &mut [Option<FrameFace>]) {
        let Some(fitter) = self.observer.points else { return };
        let points: Vec<_> = faces.iter().map(|f| f.as_ref().and_then(|f| f.dense.as_ref())).collect();
        let fits = fitter.fit_points(&points);
        for (face, fit) in faces.iter_mut().zip(fits) {
            *face = match (face.take(), fit) {
                (Some(face), Some(PointFit { fit, regions, .. })) => {
                    Some(FrameFace { fit, regions: Some(regions), ..face })
                }
                _ => None,
            };
        }
    }

    /// Follows the face into frames in which the detector missed it.
    fn follow_gaps(
        &self,
        clip: &Clip,
        index: &Index,
        faces: &mut [Option<FrameFace>],
        scores: &[Option<f32>],
        meter: &Meter,
        work: &mut Work,
    ) -> Result<()> {
        let mut i = 1;
        while i < faces.len() {
            let (Some(mut last), None) = (faces[i - 1].clone(), &faces[i]) else {
                i += 1;
                continue;
            };
            let mut score = scores[i - 1].unwrap_or(last.confidence);
            let end = (i + PATIENCE).min(faces.len());
            let mut decoder: Option<(usize, ClipFrames)> = None;
            for k in i..end {
                if faces[k].is_some() {
                    break;
                }
                let before = self.observer.model.landmarks68(&last.fit)?;
                let Some(crop) = roi::from_landmarks(&before) else { break };
                let corners = [crop.x0, crop.y0, crop.x1, crop.y1];
                let key = |pixels: &Key| {
                    let parts = [VERSION, self.networks.bytes(), pixels.bytes(), bytemuck::cast_slice(&corners)];
                    Key::new("follow", &parts)
                };
                let seen = match self.recall(&key(&index.pixels[k]), meter) {
                    Some(seen) => seen,
                    None => {
                        let frame = self.frame_at(clip, index, k, &mut decoder, work)?;
                        let fitted = timed(&meter.observing, || self.observer.follow(&frame, &crop))?;
                        let detection = crate::face::Detection { rect: last.rect, score: 0.0, landmarks5: None };
                        let faces = fitted.map(|f| Seen { detection, fitted: Some(f) }).into_iter().collect();
                        // Under what was seen, should it not be what was noted.
                        self.keep(&key(&pixels(&frame)), Observation { faces }, meter)
                    }
                };
                let Some(fitted) = seen.faces.into_iter().next().and_then(|f| f.fitted) else { break };
                score *= DOUBT;
                let confidence = fitted.confidence(score);
                let now = self.observer.model.landmarks68(&fitted.fit)?;
                if confidence < LEAST_CONFIDENCE || !steady(&now, &before) {
                    break;
                }
                let (fit, dense) = (fitted.fit, fitted.dense);
                last = FrameFace { fit, rect: last.rect, confidence, event: Event::Followed, dense, regions: None };
                faces[k] = Some(last.clone());
            }
            // What stays empty is a gap: on to the next face.
            i += 1;
            while i < faces.len() && faces[i - 1].as_ref().is_none_or(|f| f.event == Event::Followed) {
                i += 1;
            }
        }
        Ok(())
    }

    /// Frame `k` of a clip, from a decoder that goes on from frame to frame.
    fn frame_at<'a>(
        &self,
        clip: &Clip<'a>,
        index: &Index,
        k: usize,
        decoder: &mut Option<(usize, ClipFrames<'a>)>,
        work: &mut Work,
    ) -> Result<Frame> {
        let started = Instant::now();
        let (at, frames) = match decoder {
            Some(open) => open,
            None => {
                let last = index.first + index.pixels.len() - 1;
                let range = FrameRange::new(index.first + k, last.min(index.first + k + PATIENCE));
                decoder.insert((k, (clip.frames)(Some(range))?))
            }
        };
        loop {
            let (_, frame) = frames.next().ok_or_else(|| changed(clip.name))??;
            work.decoded += 1;
            *at += 1;
            if *at > k {
                work.decoding += started.elapsed().as_secs_f64();
                return Ok(frame);
            }
        }
    }
}

fn changed(clip: &str) -> Error {
    Error::input(format!("{clip}: the clip has changed while it was analysed: analyse it again"))
}

/// Whether landmarks of two frames in a row can be one face's.
fn steady(now: &[[f32; 3]; 68], before: &[[f32; 3]; 68]) -> bool {
    let (Some(now), Some(before)) = (roi::bounds(now), roi::bounds(before)) else { return false };
    now.width().min(now.height()) >= SMALLEST
        && distance(&now, &before) <= STEP.0
        && size_change(&now, &before) <= STEP.1
}

/// An index as arrays: `pixels` [n, 8], the keys' bytes four by four.
fn index_value(index: &Index) -> Weights {
    let words = index.pixels.iter().flat_map(|k| {
        let (words, _) = k.bytes().as_chunks::<4>();
        words.iter().map(|b| i32::from_le_bytes(*b))
    });
    let words: Vec<i32> = words.collect();
    let mut out = Weights::default();
    out.insert("pixels", Array { shape: vec![index.pixels.len(), 8], data: Data::I32(words) });
    for (name, value) in [("first", index.first), ("width", index.size.0), ("height", index.size.1)] {
        out.metadata.insert(name.into(), value.to_string());
    }
    out
}

fn index_of(value: &Weights) -> Option<Index> {
    let number = |name: &str| value.metadata.get(name)?.parse::<usize>().ok();
    let (words, rest) = value.get("pixels")?.as_i32()?.as_chunks::<8>();
    if words.is_empty() || !rest.is_empty() {
        return None;
    }
    let key = |w: &[i32; 8]| {
        let mut bytes = [0; 32];
        for (b, w) in bytes.chunks_exact_mut(4).zip(w) {
            b.copy_from_slice(&w.to_le_bytes());
        }
        Key::from_bytes(bytes)
    };
    Some(Index {
        first: number("first")?,
        size: (number("width")?, number("height")?),
        pixels: words.iter().map(key).collect(),
    })
}

impl Analysis {
    /// What the face does, for the morphable model with this blake3.
    pub fn motion(&self, model: &str) -> Motion {
        let fits = self.faces.iter().map(|f| f.as_ref().map(|f| (&f.fit, f.confidence)));
        Motion { first: self.first, fps: self.fps, ..Motion::of_weighted(fits, self.size, model) }
    }
}

/// Runs `work` on a source's clip. Its frames end with an error where the source is no longer what it was at the start: what
/// was seen must not be noted under what is there no more.
///
/// # Errors
/// What `work` returns.
pub fn with_clip<T>(source: &Source, work: impl FnOnce(&Clip) -> Result<T>) -> Result<T> {
    let name = source.path().display().to_string();
    let identity = source.identity();
    let frames = |range| {
        let (after, name) = (source.clone(), name.clone());
        let end = std::iter::once_with(move || (after.identity() != identity).then(|| Err(changed(&name))));
        Ok(Box::new(source.frames(range)?.chain(end.flatten())) as ClipFrames)
    };
    work(&Clip { name: &name, fps: source.info().fps, identity, frames: &frames })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::Detection;
    use crate::face::traits::{FaceDetector, FaceFitter, FaceModel};
    use crate::media::still::{self, StillOptions};

    /// Finds no face.
    struct Nobody;

    impl FaceDetector for Nobody {
        fn find(&self, _: &Frame) -> Result<Vec<Detection>> {
            Ok(Vec::new())
        }
    }

    impl FaceFitter for Nobody {
        fn fit(&self, _: &Frame, _: &Rect) -> Result<Fit> {
            Err(Error::NoFace("nobody".into()))
        }
    }

    impl FaceModel for Nobody {
        fn landmarks68(&self, _: &Fit) -> Result<[[f32; 3]; 68]> {
            Err(Error::NoFace("nobody".into()))
        }
    }

    fn grey(value: f32) -> Frame {
        Frame::filled(8, 8, [value, value, value, 1.0], Color::Srgb)
    }

    #[test]
    fn a_clip_that_is_not_what_was_noted_is_looked_at_anew() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), u64::MAX).unwrap();
        let observer = Observer { detector: &Nobody, regressor: &Nobody, model: &Nobody, identity: None, points: None };
        let networks = Key::new("test", &[]);
        let analyser = Analyser {
            observer,
            networks,
            cache: Some(&cache),
            threads: 2,
            progress: &|| (),
            cancel: &CancelToken::default(),
        };
        let identity = Key::new("test", &[b"one file"]);
        let run = |values: &[f32]| {
            let frames = |range: Option<FrameRange>| -> Result<ClipFrames> {
                let frames: Vec<_> = values.iter().map(|v| grey(*v)).enumerate().map(Ok).collect();
                let inside = move |n: usize| range.is_none_or(|r| r.first <= n && r.last.is_none_or(|l| n <= l));
                Ok(Box::new(frames.into_iter().filter(move |f| f.as_ref().is_ok_and(|f| inside(f.0)))))
            };
            let clip = Clip { name: "clip", fps: None, identity: Some(identity), frames: &frames };
            let error = analyser.run(&clip, |_, _| Choice::Largest).unwrap_err();
            assert!(matches!(&error, Error::NoFace(_)), "{error}");
            let noted = index_of(&cache.get(&Key::new("clip", &[identity.bytes()])).unwrap()).unwrap();
            let seen: Vec<Key> = values.iter().map(|v| pixels(&grey(*v))).collect();
            assert!(noted.pixels == seen, "what is noted is not what was seen");
        };
        run(&[0.1, 0.2, 0.3, 0.4]);
        // One value is lost, and the file holds other frames, or fewer.
        let lose = |value: f32| std::fs::remove_file(cache.path(&analyser.frame_key(&pixels(&grey(value))))).unwrap();
        lose(0.2);
        run(&[0.1, 0.5, 0.3, 0.4]);
        lose(0.4);
        run(&[0.1, 0.5]);
        // Lost, but still the same: nothing else is analysed.
        lose(0.5);
        run(&[0.1, 0.5]);
    }

    #[test]
    fn a_clip_that_changes_while_it_is_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = |i: usize| dir.path().join(format!("f_{i}.png"));
        let write = |i: usize, value: f32| still::write(&file(i), &grey(value), &StillOptions::default()).unwrap();
        (0..3).for_each(|i| write(i, 0.1 * i as f32));
        let source = Source::open(dir.path().to_str().unwrap()).unwrap();
        let read = |change: bool| {
            with_clip(&source, |clip| {
                let mut frames = (clip.frames)(None)?;
                let first = frames.next();
                if change {
                    write(1, 0.9);
                }
                Ok(first.into_iter().chain(frames).map(|f| f.map(|f| f.0)).collect::<Vec<_>>())
            })
            .unwrap()
        };
        assert!(read(false).into_iter().map(Result::unwrap).eq(0..3));
        let changed = read(true).pop().unwrap().unwrap_err();
        assert!(matches!(&changed, Error::Input(t) if t.contains("analyse it again")), "{changed}");
    }
}
