//! OpenEXR: half, float and integer channels named R, G, B, A (also with a layer's prefix) or Y, of the
//! first part that has them. The picture is the display window; where the data window does not
//! reach, it is transparent black, and what lies outside (overscan) is dropped.

use super::{Depth, Format, Limits, Still, StillInfo, decode_error};
use crate::frame::convert::Sample;
use crate::frame::{Color, Frame};
use crate::media::atomic;
use crate::{Error, Result};
use exr::meta::header::Header;
use exr::prelude::*;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// The channels that make the picture.
struct Chosen {
    /// Red, green, blue; all three the same for a grey picture.
    rgb: [Text; 3],
    grey: bool,
    alpha: Option<Text>,
    depth: Depth,
    /// Data window minus display window, and both sizes.
    offset: (i64, i64),
    data: (u64, u64),
    display: (u64, u64),
}

fn choose(path: &Path, limits: &Limits) -> Result<Chosen, Error> {
    let meta = MetaData::read_from_file(path, false).map_err(|e| decode_error(path, Format::Exr, e))?;
    let found = meta.headers.iter().filter(|h| !h.deep).find_map(|h| pick(h).map(|p| (h, p)));
    let Some((header, (rgb, grey, alpha))) = found else {
        let names: Vec<String> =
            meta.headers.iter().flat_map(|h| h.channels.list.iter().map(|c| c.name.to_string())).take(12).collect();
        return Err(Error::input(format!(
            "{} has no channels R, G, B or Y that can be shown (it has: {}): write it with RGB or RGBA channels",
            path.display(),
            names.join(", ")
        )));
    };
    let half = header.channels.list.iter().filter(|c| rgb.contains(&c.name)).all(|c| c.sample_type == SampleType::F16);
    let window = header.shared_attributes.display_window;
    let position = header.own_attributes.layer_position;
    let size = |v: Vec2<usize>| (v.x() as u64, v.y() as u64);
    let chosen = Chosen {
        rgb,
        grey,
        alpha,
        depth: if half { Depth::F16 } else { Depth::F32 },
        offset: (
            i64::from(position.x()) - i64::from(window.position.x()),
            i64::from(position.y()) - i64::from(window.position.y()),
        ),
        data: size(header.layer_size),
        display: size(window.size),
    };
    // The decoder holds a few compressed rows or tiles; the data window may exceed the display window.
    limits.check(path, chosen.display.0, chosen.display.1, 1)?;
    limits.check(path, chosen.data.0, chosen.data.1, 1)?;
    Ok(chosen)
}

/// The names of red, green, blue, whether it is grey, and alpha.
fn pick(header: &Header) -> Option<([Text; 3], bool, Option<Text>)> {
    let list = &header.channels.list;
    let whole = |name: &str| {
        list.iter().find(|c| c.name.to_string() == name && c.sampling == Vec2(1, 1)).map(|c| c.name.clone())
    };
    // Unprefixed names first, then the first layer that has all three.
    let prefixes = std::iter::once(String::new()).chain(list.iter().filter_map(|c| {
        let name = c.name.to_string();
        name.strip_suffix(".R").map(|p| format!("{p}."))
    }));
    for p in prefixes {
        if let (Some(r), Some(g), Some(b)) = (whole(&format!("{p}R")), whole(&format!("{p}G")), whole(&format!("{p}B")))
        {
            return Some(([r, g, b], false, whole(&format!("{p}A"))));
        }
    }
    // Luminance with chroma (RY, BY) is another kind: showing Y alone would lose the colours.
    if list.iter().any(|c| matches!(c.name.to_string().as_str(), "RY" | "BY")) {
        return None;
    }
    whole("Y").map(|y| ([y.clone(), y.clone(), y], true, whole("A")))
}

pub(super) fn probe(path: &Path, limits: &Limits) -> Result<StillInfo, Error> {
    let c = choose(path, limits)?;
    Ok(StillInfo {
        width: c.display.0 as usize,
        height: c.display.1 as usize,
        depth: c.depth,
        alpha: c.alpha.is_some(),
        format: Format::Exr,
    })
}

pub(super) fn read(path: &Path, limits: &Limits) -> Result<Still, Error> {
    let chosen = choose(path, limits)?;
    let (w, h) = (chosen.display.0 as usize, chosen.display.1 as usize);
    let (dx, dy) = chosen.offset;
    let create = move |_: Vec2<usize>| {
        let mut f = Frame::new(w, h);
        f.color = Color::Linear;
        f
    };
    let put = move |frame: &mut Frame, at: Vec2<usize>, p: [f32; 4]| {
        let (x, y) = (at.x() as i64 + dx, at.y() as i64 + dy);
        if (0..w as i64).contains(&x) && (0..h as i64).contains(&y) {
            frame.set_pixel(x as usize, y as usize, straight(p));
        }
    };
    // A missing alpha is declared under a name that no file has, so that its default stands in.
    let alpha = chosen.alpha.clone().unwrap_or_else(|| Text::from("headgan: no alpha"));
    let builder = exr::prelude::read().no_deep_data().largest_resolution_level();
    let [r, g, b] = chosen.rgb.clone();
    let fail = |e: exr::error::Error| decode_error(path, Format::Exr, e);
    let frame = if chosen.grey {
        builder
            .specific_channels()
            .required(r)
            .optional(alpha, 1.0f32)
            .collect_pixels(
                move |size, _: &(ChannelDescription, Option<ChannelDescription>)| create(size),
                move |f: &mut Frame, at, (y, a): (f32, f32)| put(f, at, [y, y, y, a]),
            )
            .first_valid_layer()
            .all_attributes()
            .from_file(path)
            .map_err(fail)?
            .layer_data
            .channel_data
            .pixels
    } else {
        builder
            .specific_channels()
            .required(r)
            .required(g)
            .required(b)
            .optional(alpha, 1.0f32)
            .collect_pixels(
                move |size,
                      _: &(
                    ChannelDescription,
                    ChannelDescription,
                    ChannelDescription,
                    Option<ChannelDescription>,
                )| create(size),
                move |f: &mut Frame, at, (r, g, b, a): (f32, f32, f32, f32)| put(f, at, [r, g, b, a]),
            )
            .first_valid_layer()
            .all_attributes()
            .from_file(path)
            .map_err(fail)?
            .layer_data
            .channel_data
            .pixels
    };
    Ok(Still { frame, depth: chosen.depth })
}

/// Colours divided by alpha; a light without coverage (alpha 0) keeps its colour.
fn straight(p: [f32; 4]) -> [f32; 4] {
    let a = p[3];
    if a > 0.0 && a != 1.0 { [p[0] / a, p[1] / a, p[2] / a, a] } else { p }
}

/// Writes one part, RGB or RGBA, ZIP-compressed (lossless).
pub(super) fn write(
    out: &mut BufWriter<&mut File>,
    frame: &Frame,
    depth: Depth,
    alpha: bool,
    path: &Path,
) -> Result<(), Error> {
    // Pixels under alpha 0 are a light in a picture that came from linear light (see `straight`); in one
    // with display codes they are leftovers that must not glow.
    let glows = frame.color == Color::Linear;
    let linear =
        if glows { std::borrow::Cow::Borrowed(frame) } else { std::borrow::Cow::Owned(frame.to_color(Color::Linear)) };
    let image: &Frame = &linear;
    let at = |pos: Vec2<usize>| {
        let p = image.pixel(pos.x(), pos.y());
        let a = p[3];
        match a {
            _ if !alpha || a == 1.0 => p,
            0.0 if glows => p,
            _ => [p[0] * a, p[1] * a, p[2] * a, a],
        }
    };
    let size = (frame.width, frame.height);
    let encoding =
        Encoding { compression: Compression::ZIP16, blocks: Blocks::ScanLines, line_order: LineOrder::Increasing };
    let half = |p: [f32; 4]| p.map(f16::from_unit);
    let done = match (depth, alpha) {
        (Depth::F32, true) => {
            let px = SpecificChannels::rgba(|v: Vec2<usize>| <(f32, f32, f32, f32)>::from(at(v)));
            Image::from_encoded_channels(size, encoding, px).write().to_buffered(&mut *out)
        }
        (Depth::F32, false) => {
            let px = SpecificChannels::rgb(|v: Vec2<usize>| {
                let [r, g, b, _] = at(v);
                (r, g, b)
            });
            Image::from_encoded_channels(size, encoding, px).write().to_buffered(&mut *out)
        }
        (_, true) => {
            let px = SpecificChannels::rgba(|v: Vec2<usize>| <(f16, f16, f16, f16)>::from(half(at(v))));
            Image::from_encoded_channels(size, encoding, px).write().to_buffered(&mut *out)
        }
        (_, false) => {
            let px = SpecificChannels::rgb(|v: Vec2<usize>| {
                let [r, g, b, _] = half(at(v));
                (r, g, b)
            });
            Image::from_encoded_channels(size, encoding, px).write().to_buffered(&mut *out)
        }
    };
    done.map_err(|e| atomic::write_error(path, e))
}
