//! A reference picture in two layers: the person, and the plate behind.

use rayon::prelude::*;

use crate::frame::Frame;
use crate::reenact::draft::field::NODES;
use crate::reenact::draft::fill;
use crate::reenact::draft::guided::box_mean;
use crate::reenact::draft::sample::{mix, step};

/// How far from the person the surroundings begin that the plate is filled from, as a share of the face's size: mattes are a little off.
const MARGIN: f32 = 0.02;
/// What lies so near to the person, as a share of its surroundings within the margin, is filled as the person's place is: a trace of it is left there, and
/// goes with it.
const TRACE: f32 = 0.35;

/// The rectangle outside which a picture has no pixels and inside which it is opaque, as left, top, width and height: of an opaque picture
/// all of it. `None` for an alpha that says more.
pub(in crate::reenact) fn opaque_rect(picture: &Frame) -> Option<[usize; 4]> {
    let w = picture.width;
    let (mut lo, mut hi, mut count) = ([usize::MAX; 2], [0; 2], 0usize);
    for (i, p) in picture.data.as_chunks::<4>().0.iter().enumerate() {
        if p[3] == 1.0 {
            count += 1;
            for (k, v) in [i % w, i / w].into_iter().enumerate() {
                (lo[k], hi[k]) = (lo[k].min(v), hi[k].max(v));
            }
        } else if p[3] != 0.0 {
            return None;
        }
    }
    if count == 0 {
        return None;
    }
    let size = [hi[0] - lo[0] + 1, hi[1] - lo[1] + 1];
    (count == size[0] * size[1]).then_some([lo[0], lo[1], size[0], size[1]])
}

/// The two layers.
#[derive(Debug)]
pub(super) struct Layers {
    /// How much of each pixel is the person, 0..1.
    pub matte: Vec<f32>,
    /// The person's colours, multiplied by the matte, which is the alpha.
    pub person: Frame,
    /// What is behind; the picture itself where the matte is 0. `None` where nothing is: the picture's own alpha is the matte.
    pub plate: Option<Frame>,
    /// The matte around each node of the flow's grid.
    nodes: Vec<f32>,
}

impl Layers {
    /// Takes a picture apart by a matte of its size; it has an [`opaque_rect`]. `face_size` in pixels.
    pub fn new(picture: &Frame, mut matte: Vec<f32>, face_size: f32) -> Layers {
        let (w, h) = (picture.width, picture.height);
        matte.iter_mut().for_each(|m| *m = if *m < 0.01 { 0.0 } else { m.min(1.0) });
        let radius = (MARGIN * face_size).ceil().max(2.0) as usize;
        let near = box_mean(&matte.iter().map(|m| f32::from(*m > 0.0)).collect::<Vec<_>>(), w, h, radius);
        let alpha = picture.data.iter().skip(3).step_by(4);
        let known: Vec<bool> = near.iter().zip(alpha).map(|(n, a)| *n == 0.0 && *a == 1.0).collect();
        let mut plate = fill::behind(picture, &known, face_size);
        let mut person = picture.clone();
        let pixels = plate.data.par_chunks_exact_mut(4).zip(person.data.par_chunks_exact_mut(4));
        pixels.zip(&matte).zip(&near).for_each(|(((plate, person), &m), &near)| {
            let shown: [f32; 4] = std::array::from_fn(|k| person[k]);
            let filled: [f32; 4] = std::array::from_fn(|k| plate[k]);
            let behind = mix(shown, filled, step(0.0, TRACE, near));
            for k in 0..3 {
                person[k] = shown[k] - (1.0 - m) * behind[k];
                if m > 0.0 {
                    // No colour is less than none; what is behind then is darker than it was guessed to be.
                    person[k] = person[k].max(shown[k].min(0.0));
                }
                plate[k] = if m < 1.0 { (shown[k] - person[k]) / (1.0 - m) } else { behind[k] };
                if near == 0.0 {
                    (plate[k], person[k]) = (shown[k], 0.0);
                }
            }
            person[3] = m;
            plate[3] = shown[3];
        });
        let nodes = nodes(&matte, w, h);
        Layers { matte, person, plate: Some(plate), nodes }
    }

    /// Of a picture that brings its own alpha; `premultiplied` is the picture multiplied by it.
    pub fn of_alpha(premultiplied: &Frame) -> Layers {
        let matte: Vec<f32> = premultiplied.data.iter().skip(3).step_by(4).map(|a| a.clamp(0.0, 1.0)).collect();
        let nodes = nodes(&matte, premultiplied.width, premultiplied.height);
        Layers { matte, person: premultiplied.clone(), plate: None, nodes }
    }

    /// The matte near a place that is given in nodes of the flow's grid; the picture's border goes on.
    pub fn near(&self, x: f32, y: f32) -> f32 {
        let at = |v: f32| (v.round().max(0.0) as usize).min(NODES - 1);
        self.nodes[at(y) * NODES + at(x)]
    }
}

fn nodes(matte: &[f32], width: usize, height: usize) -> Vec<f32> {
    let spacing = [width, height].map(|n| (n.max(2) - 1) as f32 / (NODES - 1) as f32);
    let radius = (0.5 * spacing[0].max(spacing[1])).floor() as usize;
    let around = box_mean(matte, width, height, radius);
    let pixel = |node: usize, k: usize, n: usize| ((node as f32 * spacing[k]).round() as usize).min(n - 1);
    (0..NODES * NODES).map(|i| around[pixel(i / NODES, 1, height) * width + pixel(i % NODES, 0, width)]).collect()
}
