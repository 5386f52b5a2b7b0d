//! TIFF: grey and RGB with or without alpha, 8 and 16 bits, half, float and double, strips and tiles,
//! chunky and planar. The rarer kinds (one bit, CMYK) go through the crate `image`.

use super::{Depth, Format, Limits, Still, StillInfo, decode, decode_error, header, undecodable, upright};
use crate::frame::convert::Sample;
use crate::frame::{Color, Frame};
use crate::media::atomic;
use crate::{Error, Result};
use image::codecs::tiff::TiffDecoder;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek};
use std::path::Path;
use tiff::decoder::{Decoder, DecodingResult};
use tiff::encoder::{Compression, DeflateLevel, TiffEncoder, TiffValue, colortype};
use tiff::tags::{ExtraSamples, SampleFormat, Tag};

/// A file of a kind that is decoded here.
struct Plain {
    decoder: Decoder<BufReader<File>>,
    size: (u32, u32),
    channels: u8,
    bits: u8,
    float: bool,
    /// The colours are stored multiplied by alpha.
    associated: bool,
    orientation: u8,
}

impl Plain {
    fn depth(&self) -> Depth {
        match (self.float, self.bits) {
            (false, 8) => Depth::U8,
            (false, _) => Depth::U16,
            (true, 16) => Depth::F16,
            (true, _) => Depth::F32,
        }
    }
}

/// `None` where the kind is left to the crate `image`.
fn plain(r: BufReader<File>, path: &Path) -> Result<Option<Plain>> {
    let fail = |e: tiff::TiffError| decode_error(path, Format::Tiff, e);
    let mut decoder = Decoder::new(r).map_err(fail)?;
    let size = decoder.dimensions().map_err(fail)?;
    let (channels, bits) = match decoder.colortype().map_err(fail)? {
        tiff::ColorType::Gray(b) => (1, b),
        tiff::ColorType::GrayA(b) => (2, b),
        tiff::ColorType::RGB(b) => (3, b),
        tiff::ColorType::RGBA(b) => (4, b),
        _ => return Ok(None),
    };
    let formats = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat).map_err(fail)?.unwrap_or_else(|| vec![1]);
    let float = formats.iter().all(|f| *f == 3);
    let whole = formats.iter().all(|f| *f == 1);
    if !(whole && matches!(bits, 8 | 16) || float && matches!(bits, 16 | 32 | 64)) {
        return Ok(None);
    }
    let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).map_err(fail)?.unwrap_or_default();
    let orientation = decoder.find_tag_unsigned::<u16>(Tag::Orientation).ok().flatten().unwrap_or(1).min(255) as u8;
    let associated = channels % 2 == 0 && extra.first() == Some(&1);
    Ok(Some(Plain { decoder, size, channels, bits, float, associated, orientation }))
}

fn reopened(path: &Path) -> Result<BufReader<File>> {
    File::open(path)
        .map(BufReader::new)
        .map_err(|e| Error::input(format!("{}: {}", path.display(), atomic::plain(&e))).with_source(e))
}

pub(super) fn probe(r: BufReader<File>, path: &Path, limits: &Limits) -> Result<StillInfo> {
    let Some(p) = plain(r, path)? else {
        let mut other = TiffDecoder::new(reopened(path)?).map_err(|e| decode_error(path, Format::Tiff, e))?;
        return header(&mut other, path, Format::Tiff, limits);
    };
    let (w, h) = p.size;
    limits.check(path, w.into(), h.into(), u64::from(p.channels) * u64::from(p.bits) / 8)?;
    let (w, h) = if (5..=8).contains(&p.orientation) { (h, w) } else { (w, h) };
    Ok(StillInfo {
        width: w as usize,
        height: h as usize,
        depth: p.depth(),
        alpha: p.channels % 2 == 0,
        format: Format::Tiff,
    })
}

pub(super) fn read(r: BufReader<File>, path: &Path, limits: &Limits) -> Result<Still> {
    let fail = |why: &str| undecodable(path, Format::Tiff, &why);
    let Some(p) = plain(r, path)? else {
        let other = TiffDecoder::new(reopened(path)?).map_err(|e| decode_error(path, Format::Tiff, e))?;
        return decode(other, path, Format::Tiff, limits);
    };
    let depth = p.depth();
    let (w, h) = (p.size.0 as usize, p.size.1 as usize);
    let stored = u64::from(p.channels) * u64::from(p.bits) / 8;
    // A double is narrowed to a second buffer.
    limits.check(path, w as u64, h as u64, if p.bits == 64 { 2 * stored } else { stored })?;
    let mut caps = tiff::decoder::Limits::default();
    let room = usize::try_from(limits.max_bytes).unwrap_or(usize::MAX);
    caps.decoding_buffer_size = room;
    caps.intermediate_buffer_size = room;
    caps.ifd_value_size = room.min(1 << 26);
    let mut decoder = p.decoder.with_limits(caps);
    let mut buffer = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut buffer).map_err(|e| decode_error(path, Format::Tiff, e))?;
    let (n, planes) = (usize::from(p.channels), layout.planes);
    let count = w * h * n;
    let shape = (w, h);
    let ready = |len: usize| {
        if len < count || planes != 1 && planes < n { Err(fail("there are too few samples")) } else { Ok(()) }
    };
    let color = if p.float { Color::Linear } else { Color::Srgb };
    let mut frame = match buffer {
        DecodingResult::U8(v) => {
            ready(v.len())?;
            upright(&chunky(v, count, n, planes), shape, p.channels, p.orientation, color)
        }
        DecodingResult::U16(v) => {
            ready(v.len())?;
            upright(&chunky(v, count, n, planes), shape, p.channels, p.orientation, color)
        }
        DecodingResult::F16(v) => {
            ready(v.len())?;
            upright(&chunky(v, count, n, planes), shape, p.channels, p.orientation, color)
        }
        DecodingResult::F32(v) => {
            ready(v.len())?;
            upright(&chunky(v, count, n, planes), shape, p.channels, p.orientation, color)
        }
        DecodingResult::F64(v) => {
            ready(v.len())?;
            let v: Vec<f32> = v.into_iter().map(|x| x as f32).collect();
            upright(&chunky(v, count, n, planes), shape, p.channels, p.orientation, color)
        }
        _ => return Err(fail("its samples are of an unusual kind")),
    };
    if p.associated {
        for q in frame.data.chunks_exact_mut(4).filter(|q| q[3] > 0.0) {
            let inverse = 1.0 / q[3];
            for v in &mut q[..3] {
                *v *= inverse;
            }
        }
    }
    Ok(Still { frame, depth })
}

/// Planes (all of red, then all of green ...) to interleaved samples.
fn chunky<S: Sample>(mut v: Vec<S>, count: usize, channels: usize, planes: usize) -> Vec<S> {
    if planes <= 1 || channels == 1 {
        v.truncate(count);
        return v;
    }
    let plane = count / channels;
    (0..count).map(|i| v[(i % channels) * plane + i / channels]).collect()
}

/// Writes deflated strips; alpha is declared as not multiplied into the colours.
pub(super) fn write(
    out: &mut BufWriter<&mut File>,
    frame: &Frame,
    depth: Depth,
    alpha: bool,
    path: &Path,
) -> Result<()> {
    let image = match depth {
        Depth::F32 | Depth::F16 => std::borrow::Cow::Owned(frame.to_color(Color::Linear)),
        _ => frame.to_display(Color::Srgb),
    };
    match depth {
        Depth::U8 => encode::<_, colortype::RGB8, u8>(out, &image, alpha),
        Depth::U16 => encode::<_, colortype::RGB16, u16>(out, &image, alpha),
        Depth::F16 | Depth::F32 => encode::<_, colortype::RGB32Float, f32>(out, &image, alpha),
    }
    .map_err(|e| atomic::write_error(path, e))
}

fn encode<W, C, S>(out: W, frame: &Frame, alpha: bool) -> tiff::TiffResult<()>
where
    W: std::io::Write + Seek,
    C: colortype::ColorType<Inner = S>,
    S: Sample,
    [S]: TiffValue,
{
    let (w, h) = (u32::try_from(frame.width)?, u32::try_from(frame.height)?);
    let mut encoder = TiffEncoder::new(out)?.with_compression(Compression::Deflate(DeflateLevel::Fast));
    let mut image = encoder.new_image::<C>(w, h)?;
    debug_assert!(C::SAMPLE_FORMAT.iter().all(|f| matches!(f, SampleFormat::Uint | SampleFormat::IEEEFP)));
    if alpha {
        image.extra_samples(&[ExtraSamples::UnassociatedAlpha])?;
        image.write_data(&frame.to_samples::<S, 4>())
    } else {
        image.write_data(&frame.to_samples::<S, 3>())
    }
}
