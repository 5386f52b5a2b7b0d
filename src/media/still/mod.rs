//! Still pictures: PNG, JPEG, TIFF and EXR, told apart by their first bytes, not by their names.
//!
//! This module reads and writes files with one picture. [`super::sequence`] handles numbered files, [`crate::frame`] works on pixels.
//!
//! Colour: 8- and 16-bit samples are taken as sRGB codes, floats (EXR, float TIFF) as linear light;
//! embedded ICC profiles are not applied. When writing, integer formats get display codes (sRGB and
//! Rec.709 pictures as they are, linear ones encoded as sRGB), float formats get linear light. EXR
//! stores colours multiplied by alpha; a [`Frame`] never does, the reader and writer convert.
//!
//! Pictures that are too large are refused before anything is allocated, and never scaled down silently: a
//! plate must keep its size. See [`Limits`].

mod exr;
mod tiff;

use super::atomic;
use crate::frame::convert::{Sample, expand};
use crate::frame::{Color, Frame};
use crate::{Error, Result};
use ::image::codecs::{jpeg, png};
use ::image::metadata::Orientation;
use ::image::{ColorType, ExtendedColorType, ImageDecoder, ImageEncoder};
use rayon::prelude::*;
use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};
use std::path::Path;

/// How a channel value is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// 8-bit integer.
    U8,
    /// 16-bit integer (also video of 10 and 12 bits).
    U16,
    /// Half float.
    F16,
    /// Float.
    F32,
}

/// The file formats of stills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// PNG, 8 or 16 bits.
    Png,
    /// JPEG, 8 bits, no alpha.
    Jpeg,
    /// TIFF, 8 or 16 bits or float.
    Tiff,
    /// OpenEXR, half or float.
    Exr,
}

impl Format {
    /// The format that a file name asks for.
    pub fn from_name(path: &Path) -> Option<Format> {
        let e = path.extension()?.to_str()?.to_ascii_lowercase();
        match e.as_str() {
            "png" => Some(Format::Png),
            "jpg" | "jpeg" => Some(Format::Jpeg),
            "tif" | "tiff" => Some(Format::Tiff),
            "exr" => Some(Format::Exr),
            _ => None,
        }
    }

    /// The format of a file with these first bytes.
    pub fn from_bytes(head: &[u8]) -> Option<Format> {
        match head {
            [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some(Format::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Format::Jpeg),
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(Format::Tiff),
            [0x76, 0x2f, 0x31, 0x01, ..] => Some(Format::Exr),
            _ => None,
        }
    }

    /// The usual name.
    pub fn name(self) -> &'static str {
        match self {
            Format::Png => "PNG",
            Format::Jpeg => "JPEG",
            Format::Tiff => "TIFF",
            Format::Exr => "EXR",
        }
    }

    /// The depth of this format that loses nothing of `depth`, or the least; `None` where the usual one is it.
    pub fn nearest_depth(self, depth: Depth) -> Option<Depth> {
        match (self, depth) {
            (Format::Png, Depth::U16 | Depth::F16 | Depth::F32) => Some(Depth::U16),
            (Format::Tiff, Depth::U16) => Some(Depth::U16),
            (Format::Tiff, Depth::F16 | Depth::F32) => Some(Depth::F32),
            (Format::Exr, Depth::F32) => Some(Depth::F32),
            _ => None,
        }
    }

    /// The depth written unless another is asked for.
    pub fn usual_depth(self) -> Depth {
        if self == Format::Exr { Depth::F16 } else { Depth::U8 }
    }
}

/// What is refused before memory is taken for it.
///
/// A decoded picture takes 16 bytes a pixel (f32 RGBA) beside what the decoder itself holds (1 to 16
/// bytes a pixel). With the default limits a picture of about 9,000 x 9,000 pixels can be read;
/// 16,384 x 16,384 is an error that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest width and height.
    pub max_side: u32,
    /// Largest amount of memory while decoding, in bytes.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_side: 16_384, max_bytes: 3 << 29 }
    }
}

impl Limits {
    /// Checks a picture's size; `decoder_bytes` is what the decoder holds per pixel.
    fn check(&self, path: &Path, width: u64, height: u64, decoder_bytes: u64) -> Result<()> {
        let gib = |b: u64| b as f64 / f64::from(1 << 30);
        if width == 0 || height == 0 {
            return Err(Error::input(format!(
                "{} has no pixels ({width}x{height}): export it again or use another",
                path.display()
            )));
        }
        let side = u64::from(self.max_side);
        if width > side || height > side {
            return Err(Error::input(format!(
                "{} is {width}x{height} pixels, over the limit of {side} a side: scale or crop it down first",
                path.display()
            )));
        }
        let needed = width * height * (16 + decoder_bytes);
        if needed > self.max_bytes {
            let fits = ((self.max_bytes / (16 + decoder_bytes)) as f64).sqrt() as u64;
            return Err(Error::input(format!(
                "{} is {width}x{height} pixels and takes {:.1} GiB to decode, over the limit of {:.1} GiB: scale it \
                 down first, to about {fits}x{fits} or less",
                path.display(),
                gib(needed),
                gib(self.max_bytes),
            )));
        }
        Ok(())
    }
}

/// A decoded still.
#[derive(Debug, Clone)]
pub struct Still {
    /// The picture, upright (orientation tags applied), straight alpha.
    pub frame: Frame,
    /// How the file stores it.
    pub depth: Depth,
}

/// What a file's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StillInfo {
    /// Width of the upright picture.
    pub width: usize,
    /// Height of the upright picture.
    pub height: usize,
    /// How the file stores it.
    pub depth: Depth,
    /// True where the file has an alpha channel.
    pub alpha: bool,
    /// File format.
    pub format: Format,
}

/// How a still is written.
#[derive(Debug, Clone, Copy)]
pub struct StillOptions {
    /// `None`: the format's usual depth (8 bits; half for EXR).
    pub depth: Option<Depth>,
    /// Whether an alpha channel is written. JPEG has none: the colours are written as they are.
    pub alpha: bool,
    /// JPEG quality, 1 to 100.
    pub jpeg_quality: u8,
}

impl Default for StillOptions {
    fn default() -> StillOptions {
        StillOptions { depth: None, alpha: true, jpeg_quality: 95 }
    }
}

/// Reads a still with the default [`Limits`].
///
/// # Errors
/// [`Error::Input`]: missing, empty, damaged, of an unknown format, or over the limits.
pub fn read(path: &Path) -> Result<Still> {
    read_limited(path, &Limits::default())
}

/// Reads a still.
///
/// # Errors
/// As [`read`].
pub fn read_limited(path: &Path, limits: &Limits) -> Result<Still> {
    match open(path, limits)? {
        (Format::Png, r) => decode(png_decoder(r, path, limits)?, path, Format::Png, limits),
        (Format::Jpeg, r) => decode(jpeg_decoder(r, path)?, path, Format::Jpeg, limits),
        (Format::Tiff, r) => tiff::read(r, path, limits),
        (Format::Exr, _) => exr::read(path, limits),
    }
}

/// Reads a still's header only (a JPEG is read whole, but not decoded).
///
/// # Errors
/// As [`read`].
pub fn probe(path: &Path, limits: &Limits) -> Result<StillInfo> {
    match open(path, limits)? {
        (Format::Png, r) => header(&mut png_decoder(r, path, limits)?, path, Format::Png, limits),
        (Format::Jpeg, r) => header(&mut jpeg_decoder(r, path)?, path, Format::Jpeg, limits),
        (Format::Tiff, r) => tiff::probe(r, path, limits),
        (Format::Exr, _) => exr::probe(path, limits),
    }
}

/// Opens a file and tells its format by its first bytes.
fn open(path: &Path, limits: &Limits) -> Result<(Format, BufReader<File>)> {
    let fail = |why: &str| Error::input(format!("{}: {why}", path.display()));
    let mut file = File::open(path).map_err(|e| {
        let why = match e.kind() {
            std::io::ErrorKind::NotFound => "there is no such file: check the name",
            std::io::ErrorKind::PermissionDenied => "no permission to read it",
            _ => &atomic::plain(&e),
        };
        fail(why).with_source(e)
    })?;
    let meta = file.metadata().map_err(|e| fail(&atomic::plain(&e)).with_source(e))?;
    if meta.is_dir() {
        return Err(fail("this is a folder, not an image"));
    }
    if meta.len() == 0 {
        return Err(fail("the file is empty: copy or export it again"));
    }
    if meta.len() > limits.max_bytes {
        return Err(fail(&format!("the file has {} bytes, over the limit of {}", meta.len(), limits.max_bytes)));
    }
    let mut head = Vec::with_capacity(16);
    Read::by_ref(&mut file).take(16).read_to_end(&mut head).map_err(|e| fail(&atomic::plain(&e)).with_source(e))?;
    file.rewind().map_err(|e| fail(&atomic::plain(&e)).with_source(e))?;
    let Some(format) = Format::from_bytes(&head) else {
        return Err(fail("this is no image that can be read: PNG, JPEG, TIFF and EXR can"));
    };
    Ok((format, BufReader::with_capacity(1 << 16, file)))
}

fn decode_error(path: &Path, format: Format, e: impl std::error::Error + Send + Sync + 'static) -> Error {
    undecodable(path, format, &e).with_source(e)
}

fn undecodable(path: &Path, format: Format, e: &dyn std::fmt::Display) -> Error {
    Error::input(format!(
        "{} cannot be decoded as {}: {}: the file is damaged or of an unusual kind",
        path.display(),
        format.name(),
        atomic::plain(e)
    ))
}

fn png_decoder(mut r: BufReader<File>, path: &Path, limits: &Limits) -> Result<png::PngDecoder<BufReader<File>>> {
    // Size, bits and colour type stand in bytes 16 to 25. The decoder checks the size as well, but its
    // message says less.
    let mut head = [0u8; 26];
    let read = r.read_exact(&mut head).and_then(|()| r.rewind());
    read.map_err(|e| decode_error(path, Format::Png, e))?;
    if &head[12..16] != b"IHDR" {
        return Err(undecodable(path, Format::Png, &"its header is missing"));
    }
    let side = |i: usize| u64::from(u32::from_be_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]));
    let channels = match head[25] {
        0 => 1,
        4 => 2,
        6 => 4,
        _ => 3,
    };
    limits.check(path, side(16), side(20), channels * u64::from(head[24] / 8).max(1))?;
    png::PngDecoder::new(r).map_err(|e| decode_error(path, Format::Png, e))
}

fn jpeg_decoder(r: BufReader<File>, path: &Path) -> Result<jpeg::JpegDecoder<BufReader<File>>> {
    jpeg::JpegDecoder::new(r).map_err(|e| decode_error(path, Format::Jpeg, e))
}

fn header<D: ImageDecoder>(d: &mut D, path: &Path, format: Format, limits: &Limits) -> Result<StillInfo> {
    let (w, h) = d.dimensions();
    let color = d.color_type();
    limits.check(path, w.into(), h.into(), color.bytes_per_pixel().into())?;
    let orientation = d.orientation().unwrap_or(Orientation::NoTransforms).to_exif();
    let (width, height) = if orientation >= 5 { (h, w) } else { (w, h) };
    let depth = match color {
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => Depth::U16,
        ColorType::Rgb32F | ColorType::Rgba32F => Depth::F32,
        _ => Depth::U8,
    };
    Ok(StillInfo { width: width as usize, height: height as usize, depth, alpha: color.has_alpha(), format })
}

/// Decodes through the crate `image`.
fn decode<D: ImageDecoder>(mut d: D, path: &Path, format: Format, limits: &Limits) -> Result<Still> {
    let info = header(&mut d, path, format, limits)?;
    let orientation = d.orientation().unwrap_or(Orientation::NoTransforms).to_exif();
    let mut caps = ::image::Limits::no_limits();
    caps.max_alloc = Some(limits.max_bytes);
    d.set_limits(caps).map_err(|e| decode_error(path, format, e))?;
    let (w, h) = d.dimensions();
    let size = (w as usize, h as usize);
    let kind = d.color_type();
    let n = size.0 * size.1 * usize::from(kind.channel_count());
    let frame = match info.depth {
        Depth::U8 => {
            let mut v = vec![0u8; n];
            d.read_image(&mut v).map_err(|e| decode_error(path, format, e))?;
            upright(&v, size, kind.channel_count(), orientation, Color::Srgb)
        }
        Depth::U16 => {
            let mut v = vec![0u16; n];
            d.read_image(bytemuck::cast_slice_mut(&mut v)).map_err(|e| decode_error(path, format, e))?;
            upright(&v, size, kind.channel_count(), orientation, Color::Srgb)
        }
        Depth::F16 | Depth::F32 => {
            let mut v = vec![0f32; n];
            d.read_image(bytemuck::cast_slice_mut(&mut v)).map_err(|e| decode_error(path, format, e))?;
            upright(&v, size, kind.channel_count(), orientation, Color::Linear)
        }
    };
    Ok(Still { frame, depth: info.depth })
}

/// Interleaved samples of 1 to 4 channels to a picture, turned by an EXIF orientation (1 to 8).
fn upright<S: Sample>(samples: &[S], size: (usize, usize), channels: u8, orientation: u8, color: Color) -> Frame {
    match channels {
        1 => upright_n::<S, 1>(samples, size, orientation, color),
        2 => upright_n::<S, 2>(samples, size, orientation, color),
        3 => upright_n::<S, 3>(samples, size, orientation, color),
        _ => upright_n::<S, 4>(samples, size, orientation, color),
    }
}

fn upright_n<S: Sample, const N: usize>(samples: &[S], (w, h): (usize, usize), orientation: u8, color: Color) -> Frame {
    if !(2..=8).contains(&orientation) {
        return Frame::from_samples::<S, N>(w, h, samples, color);
    }
    // Every orientation is: source index = start + x * step_x + y * step_y. The cases are those of EXIF
    // 2.3, tag 0x0112 ("the 0th row is ..., the 0th column is ...").
    let (wi, hi) = (w as isize, h as isize);
    let (start, step_x, step_y) = match orientation {
        2 => (wi - 1, -1, wi),
        3 => (wi * hi - 1, -1, -wi),
        4 => (wi * (hi - 1), 1, -wi),
        5 => (0, wi, 1),
        6 => (wi * (hi - 1), -wi, 1),
        7 => (wi * hi - 1, -wi, -1),
        _ => (wi - 1, wi, -1),
    };
    let (ow, oh) = if orientation >= 5 { (h, w) } else { (w, h) };
    let mut frame = Frame { width: ow, height: oh, data: vec![0.0; 4 * w * h], color };
    frame.data.par_chunks_mut(4 * ow).enumerate().for_each(|(y, row)| {
        for (x, p) in row.chunks_exact_mut(4).enumerate() {
            let at = (start + x as isize * step_x + y as isize * step_y) as usize;
            p.copy_from_slice(&expand::<S, N>(&samples[N * at..N * at + N]));
        }
    });
    frame
}

/// Checks that `path` can hold what `options` ask for, without writing anything.
///
/// # Errors
/// [`Error::Usage`] for an unknown extension or a depth that the format lacks.
pub fn check_options(path: &Path, options: &StillOptions) -> Result<(Format, Depth)> {
    let Some(format) = Format::from_name(path) else {
        return Err(Error::usage(format!(
            "{}: the name does not say which image to write: end it with .png, .jpg, .tiff or .exr",
            path.display()
        )));
    };
    let depth = options.depth.unwrap_or(format.usual_depth());
    let fits = match format {
        Format::Png => matches!(depth, Depth::U8 | Depth::U16),
        Format::Jpeg => depth == Depth::U8,
        Format::Tiff => depth != Depth::F16,
        Format::Exr => matches!(depth, Depth::F16 | Depth::F32),
    };
    if !fits {
        let (kind, bits) = (format.name(), depth.name());
        return Err(Error::usage(format!(
            "{}: {kind} cannot hold {bits}: take 8 or 16 bits for PNG, 8 for JPEG, 8, 16 or float for TIFF, half or \
             float for EXR",
            path.display()
        )));
    }
    Ok((format, depth))
}

/// Writes a still, whole or not at all; the extension chooses the format.
///
/// # Errors
/// [`Error::Usage`] as [`check_options`]; [`Error::Input`] where the file cannot be written.
pub fn write(path: &Path, frame: &Frame, options: &StillOptions) -> Result<()> {
    let (format, depth) = check_options(path, options)?;
    let (w, h) = match (u32::try_from(frame.width), u32::try_from(frame.height)) {
        (Ok(w), Ok(h)) if w > 0 && h > 0 && (format != Format::Jpeg || w.max(h) <= 65_535) => (w, h),
        _ => {
            let (w, h) = (frame.width, frame.height);
            return Err(Error::usage(format!("{}: {} cannot hold {w}x{h} pixels", path.display(), format.name())));
        }
    };
    atomic::write(path, |out| {
        if format == Format::Exr {
            return exr::write(out, frame, depth, options.alpha, path);
        }
        if format == Format::Tiff {
            return tiff::write(out, frame, depth, options.alpha, path);
        }
        let shown = frame.to_display(Color::Srgb);
        let alpha = options.alpha && format != Format::Jpeg;
        let (bytes, kind) = match (depth, alpha) {
            (Depth::U16, true) => (pod(shown.to_rgba16()), ExtendedColorType::Rgba16),
            (Depth::U16, false) => (pod(shown.to_samples::<u16, 3>()), ExtendedColorType::Rgb16),
            (_, true) => (shown.to_rgba8(), ExtendedColorType::Rgba8),
            (_, false) => (shown.to_rgb8(), ExtendedColorType::Rgb8),
        };
        if format == Format::Png {
            // Lossless either way; the fast setting is several times quicker and little larger.
            png::PngEncoder::new_with_quality(&mut *out, png::CompressionType::Fast, png::FilterType::Adaptive)
                .write_image(&bytes, w, h, kind)
                .map_err(|e| atomic::write_error(path, e))
        } else {
            jpeg::JpegEncoder::new_with_quality(&mut *out, options.jpeg_quality.clamp(1, 100))
                .write_image(&bytes, w, h, kind)
                .map_err(|e| atomic::write_error(path, e))
        }?;
        out.flush().map_err(|e| atomic::write_error(path, e))
    })
}

fn pod(words: Vec<u16>) -> Vec<u8> {
    bytemuck::cast_slice(&words).to_vec()
}

impl Depth {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Depth::U8 => "8 bits",
            Depth::U16 => "16 bits",
            Depth::F16 => "half floats",
            Depth::F32 => "floats",
        }
    }
}
