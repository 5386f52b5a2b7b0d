//! The matte of a reference picture: how much of each pixel is the person.

use crate::controls::Settings;
use crate::controls::choices::{Background, MatteSource};
use crate::engine::Embedded;
use crate::face::dense::Segmentation;
use crate::frame::{Color, Filter, Frame, Window};
use crate::reenact::draft::{Guided, box_mean, opaque_rect, step};
use crate::{Error, Result};
use rayon::prelude::*;

/// Side of the square around the face that the network is shown, in face sizes: head, hair and shoulders. Of a picture that is not much
/// larger it is shown the whole.
const AROUND: f64 = 4.5;
/// Longest side of the picture by which the matte is refined, pixels.
const GUIDE: usize = 768;
/// How far the refinement reaches, in pixels of the network's map, and the variance of colour (0..1 as the eye sees it) below which it
/// takes a place for flat.
const REFINE: f32 = 2.5;
const FLAT: f32 = 2e-4;
/// Below the first share the matte is 0, above the second 1: the network's haze is no person.
const CLEAR: [f32; 2] = [0.12, 0.88];

/// How the matte is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatteSettings {
    /// Where it comes from.
    pub source: MatteSource,
    /// By how much it is larger, in face sizes; below 0 smaller.
    pub grow: f32,
    /// By how much its edge is softened, in face sizes.
    pub softness: f32,
}

impl Default for MatteSettings {
    fn default() -> MatteSettings {
        MatteSettings { source: MatteSource::Automatic, grow: 0.0, softness: 0.0 }
    }
}

impl MatteSettings {
    /// What the controls say; `None` where the background moves with the head.
    pub fn from_controls(controls: &Settings) -> Option<MatteSettings> {
        (controls.background == Background::Still).then_some(MatteSettings {
            source: controls.matte_source,
            grow: 0.01 * controls.matte_grow,
            softness: 0.01 * controls.matte_softness,
        })
    }
}

/// The matte of a picture with a face of `vertices` (x right, y down, pixels); `None` where nothing says what the person is: then the
/// background moves with the head. `known` is one that is known.
///
/// # Errors
/// Those of the network.
pub(super) fn matte(
    network: Option<&Segmentation<Embedded>>,
    known: Option<&[f32]>,
    picture: &Frame,
    vertices: &[[f32; 3]],
    settings: &MatteSettings,
) -> Result<Option<Vec<f32>>> {
    let face = face_window(vertices).ok_or_else(|| Error::input("the face has no size; refit it"))?;
    // A picture within a larger frame says nothing by its alpha.
    let rect = opaque_rect(picture);
    if known.is_some() && rect.is_none() {
        let text = "the reference has an alpha of its own, which is its matte: give one without alpha, or no matte";
        return Err(Error::usage(text));
    }
    let own = rect.is_none()
        && match settings.source {
            MatteSource::Automatic => is_cut_out(picture, &face),
            MatteSource::Alpha => true,
            MatteSource::Network => false,
        };
    // Where pixels are missing for another reason, nothing can be taken apart.
    let nothing = if rect.is_none() { !own } else { settings.source == MatteSource::Alpha && known.is_none() };
    if nothing {
        return Ok(None);
    }
    let (w, h) = (picture.width, picture.height);
    let mut matte = if let Some(known) = known {
        known.to_vec()
    } else if own {
        picture.data.iter().skip(3).step_by(4).map(|a| a.clamp(0.0, 1.0)).collect()
    } else {
        let (Some(network), Some(rect)) = (network, rect) else { return Ok(None) };
        from_network(network, picture, rect, &face)?
    };
    let pixels = |share: f32| (share.abs() * face.width as f32).round() as usize;
    let (grow, soft) = (pixels(settings.grow), pixels(settings.softness));
    let blurred = |m: &[f32], r: usize| box_mean(&box_mean(m, w, h, r), w, h, r);
    if grow > 0 {
        let near = blurred(&matte, grow);
        let grown = |m: f32, n: f32| if settings.grow > 0.0 { m.max((2.0 * n).min(1.0)) } else { m.min(2.0 * n - 1.0) };
        matte.iter_mut().zip(near).for_each(|(m, n)| *m = grown(*m, n).max(0.0));
    }
    if soft > 0 {
        matte = blurred(&matte, soft);
    }
    Ok(Some(matte))
}

/// A square as large as the face's bounding box, around its middle.
fn face_window(vertices: &[[f32; 3]]) -> Option<Window> {
    let range = |k: usize| {
        let all = vertices.iter().map(|v| f64::from(v[k]));
        all.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)))
    };
    let ((x0, x1), (y0, y1)) = (range(0), range(1));
    let side = ((x1 - x0) * (y1 - y0)).sqrt();
    (side.is_finite() && side > 0.0).then(|| Window::square(0.5 * (x0 + x1 - side), 0.5 * (y0 + y1 - side), side))
}

/// Whether a picture's alpha cuts a person out: beside and above the head there is little.
fn is_cut_out(picture: &Frame, face: &Window) -> bool {
    let side = face.width;
    let (cx, cy) = (face.x0 + 0.5 * side, face.y0 + 0.5 * side);
    let (mut sum, mut count) = (0.0f64, 0.0f64);
    for (i, p) in picture.data.as_chunks::<4>().0.iter().enumerate() {
        let (x, y) = ((i % picture.width) as f64 - cx, (i / picture.width) as f64 - cy);
        // The picture above the chin, but for what head and hair take of it.
        if y < 0.4 * side && (x.abs() > 1.2 * side || y < -1.3 * side) && x.abs() < 3.0 * side {
            sum += f64::from(p[3]);
            count += 1.0;
        }
    }
    // A close-up has no surroundings to tell by.
    count == 0.0 || sum / count < 0.4
}

/// What the network sees: whole pixels of the picture around the face.
fn seen((width, height): (usize, usize), face: &Window) -> (usize, usize, usize, usize) {
    let side = AROUND * face.width;
    let range = |middle: f64, n: usize| {
        let lo = (middle - 0.5 * side).floor().clamp(0.0, (n - 1) as f64);
        let hi = (middle + 0.5 * side).ceil().clamp(lo + 1.0, n as f64);
        // A little more of the picture costs nothing, and the network knows whole pictures best.
        if hi - lo > 0.7 * n as f64 { (0, n) } else { (lo as usize, (hi - lo) as usize) }
    };
    let (x, w) = range(face.x0 + 0.5 * face.width, width);
    let (y, h) = range(face.y0 + 0.5 * face.height, height);
    (x, y, w, h)
}

fn from_network(
    network: &Segmentation<Embedded>,
    picture: &Frame,
    [left, top, width, height]: [usize; 4],
    face: &Window,
) -> Result<Vec<f32>> {
    let face = Window { x0: face.x0 - left as f64, y0: face.y0 - top as f64, ..*face };
    let (x0, y0, w, h) = seen((width, height), &face);
    let (x0, y0) = (x0 + left, y0 + top);
    let part = picture.copy_window(x0 as i64, y0 as i64, w, h);
    let scale = (GUIDE as f64 / w.max(h) as f64).min(1.0);
    let size = |n: usize| ((n as f64 * scale).round() as usize).max(1);
    let (gw, gh) = (size(w), size(h));
    let guide = part.resize(gw, gh, Filter::Area).to_display(Color::Srgb).into_owned();
    let side = network.size();
    let rough = network.matte(&guide)?;
    // The network puts pixel `i` at `i / size` of the picture.
    let at = |v: usize, n: usize| v as f32 * side as f32 / n as f32;
    let rough =
        Frame { width: side, height: side, data: rough.iter().flat_map(|m| [*m; 4]).collect(), color: guide.color };
    let map: Vec<f32> = (0..gw * gh).map(|i| rough.sample(at(i % gw, gw), at(i / gw, gh))[0]).collect();
    let plane = |k: usize| guide.data.iter().skip(k).step_by(4).map(|v| v.clamp(0.0, 1.0)).collect::<Vec<f32>>();
    let [r, g, b] = [plane(0), plane(1), plane(2)];
    let radius = (REFINE * gw.max(gh) as f32 / side as f32).round().max(1.0) as usize;
    let guided = Guided::new([&r, &g, &b], &map, (gw, gh), radius, FLAT);
    let sharp = part.to_display(Color::Srgb);
    let mut out = vec![0.0; picture.width * picture.height];
    out.par_chunks_mut(picture.width).skip(y0).take(h).enumerate().for_each(|(y, row)| {
        for (x, m) in row[x0..x0 + w].iter_mut().enumerate() {
            let [r, g, b, _] = sharp.pixel(x, y).map(|v| v.clamp(0.0, 1.0));
            let place = |v: usize, n: usize, to: usize| (v as f32 + 0.5) * to as f32 / n as f32 - 0.5;
            let v = guided.at(place(x, w, gw), place(y, h, gh), [r, g, b]);
            *m = step(CLEAR[0], CLEAR[1], v);
        }
    });
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_the_matte_and_grows_and_shrinks() {
        let (w, h) = (60, 50);
        let mut picture = Frame::filled(w, h, [0.5, 0.5, 0.5, 0.0], Color::Srgb);
        for y in 10..50 {
            for x in 20..40 {
                picture.set_pixel(x, y, [0.8, 0.6, 0.5, 1.0]);
            }
        }
        // A soft corner: no rectangle.
        picture.set_pixel(20, 10, [0.8, 0.6, 0.5, 0.5]);
        let vertices = [[20.0, 10.0, 0.0], [40.0, 30.0, 5.0]];
        let with = |source, grow, softness| {
            matte(None, None, &picture, &vertices, &MatteSettings { source, grow, softness }).unwrap()
        };
        let plain = with(MatteSource::Automatic, 0.0, 0.0).unwrap();
        assert!(plain[30 * w + 20] == 1.0 && plain[30 * w + 19] == 0.0);
        let area = |m: &[f32]| m.iter().sum::<f32>();
        let (large, small) =
            (with(MatteSource::Alpha, 0.15, 0.0).unwrap(), with(MatteSource::Alpha, -0.15, 0.0).unwrap());
        assert!(area(&large) > 1.1 * area(&plain) && area(&small) < 0.9 * area(&plain));
        assert!(large.iter().zip(&plain).all(|(l, p)| l >= p) && small.iter().zip(&plain).all(|(s, p)| s <= p));
        let soft = with(MatteSource::Automatic, 0.0, 0.1).unwrap();
        assert!(soft[30 * w + 20] > 0.3 && soft[30 * w + 20] < 0.8 && (area(&soft) / area(&plain) - 1.0).abs() < 0.06);
        // A picture that lacks pixels elsewhere is no cut-out.
        let mut holed = Frame { data: vec![1.0; 4 * 300 * 200], width: 300, height: 200, color: Color::Srgb };
        holed.set_pixel(2, 2, [0.0; 4]);
        let inside = [[140.0, 90.0, 0.0], [160.0, 110.0, 5.0]];
        assert!(matte(None, None, &holed, &inside, &MatteSettings::default()).unwrap().is_none());
        assert!(matte(None, Some(&plain), &picture, &vertices, &MatteSettings::default()).is_err());
        // A picture within a larger frame is as an opaque one: its alpha is no matte.
        let mut framed = Frame { data: vec![0.0; 4 * 300 * 200], width: 300, height: 200, color: Color::Srgb };
        for y in 20..180 {
            (100..200).for_each(|x| framed.set_pixel(x, y, [0.3, 0.3, 0.3, 1.0]));
        }
        assert_eq!(opaque_rect(&framed), Some([100, 20, 100, 160]));
        assert!(matte(None, None, &framed, &inside, &MatteSettings::default()).unwrap().is_none());
        let known = vec![0.5; 300 * 200];
        assert_eq!(matte(None, Some(&known), &framed, &inside, &MatteSettings::default()).unwrap(), Some(known));
        // Without a network nothing else says what the person is.
        assert!(with(MatteSource::Network, 0.0, 0.0).is_none());
        let opaque = Frame::filled(w, h, [0.5; 4], Color::Srgb);
        let opaque = Frame {
            data: opaque.data.iter().enumerate().map(|(i, v)| if i % 4 == 3 { 1.0 } else { *v }).collect(),
            ..opaque
        };
        assert!(matte(None, None, &opaque, &vertices, &MatteSettings::default()).unwrap().is_none());
        assert!(matte(None, None, &picture, &[[1.0, 1.0, 0.0]], &MatteSettings::default()).is_err());
    }

    #[test]
    fn small_faces_are_shown_with_what_is_around_and_large_ones_with_the_whole_picture() {
        let picture = (1920, 1080);
        assert_eq!(seen(picture, &Window::square(810.0, 300.0, 280.0)), (320, 0, 1260, 1080));
        assert_eq!(seen(picture, &Window::square(100.0, 100.0, 40.0)), (30, 30, 180, 180));
        assert_eq!(seen(picture, &Window::square(-900.0, 0.0, 40.0)).2, 1);
    }
}
