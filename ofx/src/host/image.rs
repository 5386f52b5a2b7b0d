//! Pictures of a host: any depth, any components, rows in any direction and with any padding, bounds anywhere. y points
//! up and rows are numbered from the bottom; [`headgan::frame::Frame`] has them from the top.
//! Alpha stays as it is stored.

use super::cuda::Stream;
use super::properties::Properties;
use super::suites::Host;
use half::f16;
use headgan::frame::Sample;
use headgan::{Error, Result};
use openfx::sys::generic::core::{
    OfxPropertySetHandle, kOfxBitDepthByte, kOfxBitDepthFloat, kOfxBitDepthHalf, kOfxBitDepthShort,
};
use openfx::sys::image_effect_v1::image_effect::{
    kOfxImageComponentAlpha, kOfxImageComponentRGB, kOfxImageComponentRGBA, kOfxImageEffectPropComponents,
    kOfxImageEffectPropPixelDepth, kOfxImageEffectPropPreMultiplication, kOfxImageOpaque, kOfxImagePreMultiplied,
    kOfxImagePropBounds, kOfxImagePropData, kOfxImagePropRowBytes,
};
use std::ops::Range;

/// Largest side of a picture that is believed.
const LARGEST: i64 = 1 << 17;

/// Pixels: x1, y1 inside, x2, y2 outside, y up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    pub x1: i32,
    pub y1: i32,
    pub x2: i32,
    pub y2: i32,
}

impl Rect {
    pub fn width(&self) -> usize {
        (i64::from(self.x2) - i64::from(self.x1)).max(0) as usize
    }

    pub fn height(&self) -> usize {
        (i64::from(self.y2) - i64::from(self.y1)).max(0) as usize
    }

    /// What both cover.
    pub fn intersect(&self, other: &Rect) -> Rect {
        Rect {
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
            x2: self.x2.min(other.x2),
            y2: self.y2.min(other.y2),
        }
    }

    /// Where pixel (`x`, `y`) stands in rows from the top; `None` outside.
    pub fn index(&self, x: i32, y: i32) -> Option<usize> {
        let inside = (self.x1..self.x2).contains(&x) && (self.y1..self.y2).contains(&y);
        inside.then(|| (self.y2 - 1 - y) as usize * self.width() + (x - self.x1) as usize)
    }
}

/// How alpha and colour relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpha {
    /// Alpha says nothing.
    Opaque,
    Premultiplied,
    Straight,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Byte,
    Short,
    Half,
    Float,
}

impl Depth {
    fn bytes(self) -> usize {
        match self {
            Depth::Byte => 1,
            Depth::Short | Depth::Half => 2,
            Depth::Float => 4,
        }
    }
}

/// A picture, given back to the host when it goes.
pub struct Image<'a> {
    host: &'a Host,
    handle: OfxPropertySetHandle,
    /// The pixel at the bounds' x1, y1.
    data: *mut u8,
    row_bytes: isize,
    pub bounds: Rect,
    depth: Depth,
    /// Samples per pixel: 4 RGBA, 3 RGB, 1 alpha.
    channels: usize,
    pub alpha: Alpha,
    device: Option<OnDevice>,
}

/// Where a picture really is; [`Image::data`] then points into the copy.
struct OnDevice {
    stream: Stream,
    /// The picture's lowest byte.
    first: *mut u8,
    copy: Vec<u8>,
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        if let Some(release) = self.host.effect.clipReleaseImage {
            // SAFETY: fetched once, released once.
            unsafe { release(self.handle) };
        }
    }
}

impl<'a> Image<'a> {
    /// Takes over a picture that was fetched; `None` where it has no pixels.
    ///
    /// # Errors
    /// `Input` for a layout that makes no sense or is none of those that the effect supports; those of [`Stream::fetch`] for a
    /// picture that lies in a CUDA device's memory (`cuda`).
    pub(super) fn new(host: &'a Host, handle: OfxPropertySetHandle, cuda: Option<Stream>) -> Result<Option<Image<'a>>> {
        let properties = Properties::new(host, handle);
        // From here on it is released, whatever is wrong with it.
        let mut image = Image {
            host,
            handle,
            data: std::ptr::null_mut(),
            row_bytes: 0,
            bounds: Rect { x1: 0, y1: 0, x2: 0, y2: 0 },
            depth: Depth::Float,
            channels: 4,
            alpha: Alpha::Straight,
            device: None,
        };
        image.data = properties.pointer(kOfxImagePropData, 0).unwrap_or(std::ptr::null_mut()).cast();
        let bounds = properties.ints::<4>(kOfxImagePropBounds);
        let (false, Some([x1, y1, x2, y2])) = (image.data.is_null(), bounds) else { return Ok(None) };
        image.bounds = Rect { x1, y1, x2, y2 };
        let wrong = |text: String| Error::input(format!("the host hands over {text}: report this to its makers"));
        let (width, height) = (i64::from(x2) - i64::from(x1), i64::from(y2) - i64::from(y1));
        if width <= 0 || height <= 0 {
            return Ok(None);
        }
        if width > LARGEST || height > LARGEST {
            return Err(wrong(format!("a picture of {width}x{height} pixels")));
        }
        let text = |name| properties.string(name, 0).unwrap_or_default();
        let depth = text(kOfxImageEffectPropPixelDepth);
        image.depth = [
            (kOfxBitDepthByte, Depth::Byte),
            (kOfxBitDepthShort, Depth::Short),
            (kOfxBitDepthHalf, Depth::Half),
            (kOfxBitDepthFloat, Depth::Float),
        ]
        .into_iter()
        .find(|(name, _)| name.to_bytes() == depth.as_bytes())
        .map(|(_, depth)| depth)
        .ok_or_else(|| wrong(format!("pixels of the depth '{depth}'")))?;
        let components = text(kOfxImageEffectPropComponents);
        image.channels = [(kOfxImageComponentRGBA, 4), (kOfxImageComponentRGB, 3), (kOfxImageComponentAlpha, 1)]
            .into_iter()
            .find(|(name, _)| name.to_bytes() == components.as_bytes())
            .map(|(_, channels)| channels)
            .ok_or_else(|| wrong(format!("pixels of the kind '{components}'")))?;
        let needed = width as usize * image.channels * image.depth.bytes();
        // Some hosts leave it out where nothing is padded.
        let row_bytes = properties.int(kOfxImagePropRowBytes, 0).filter(|b| *b != 0);
        image.row_bytes = row_bytes.map_or(needed as isize, |b| b as isize);
        if height > 1 && image.row_bytes.unsigned_abs() < needed {
            return Err(wrong(format!("rows of {} bytes where {needed} are needed", image.row_bytes)));
        }
        let alpha = text(kOfxImageEffectPropPreMultiplication);
        image.alpha = match alpha.as_bytes() {
            _ if image.channels != 4 => Alpha::Opaque,
            a if a == kOfxImageOpaque.to_bytes() => Alpha::Opaque,
            a if a == kOfxImagePreMultiplied.to_bytes() => Alpha::Premultiplied,
            _ => Alpha::Straight,
        };
        if let Some(stream) = cuda {
            image.fetch(stream, needed, height as usize)?;
        }
        Ok(Some(image))
    }

    /// Works on a copy of a picture that lies in a device's memory, rows of `needed` bytes.
    fn fetch(&mut self, stream: Stream, needed: usize, height: usize) -> Result<()> {
        let span = (height - 1) * self.row_bytes.unsigned_abs();
        let below = if self.row_bytes < 0 { span } else { 0 };
        let first = self.data.wrapping_sub(below);
        let mut copy = Vec::new();
        if copy.try_reserve_exact(span + needed).is_err() {
            let text = format!("a picture of {} bytes, for which there is no memory", span + needed);
            return Err(Error::input(format!("the host hands over {text}: close other programs, or report this")));
        }
        copy.resize(span + needed, 0);
        // SAFETY: rows of a picture lie within these bytes; the host keeps it until it is released.
        unsafe { stream.fetch(first, &mut copy) }?;
        self.data = copy.as_mut_ptr().wrapping_add(below);
        self.device = Some(OnDevice { stream, first, copy });
        Ok(())
    }

    /// Appends the pixels of rows, counted from the top, as they are stored: RGBA. RGB has alpha 1; a single channel is a grey
    /// picture. Rows outside the picture are left out.
    pub fn read(&self, rows: Range<usize>, out: &mut Vec<f32>) {
        match self.depth {
            Depth::Byte => self.read_samples::<u8>(rows, out),
            Depth::Short => self.read_samples::<u16>(rows, out),
            Depth::Half => self.read_samples::<f16>(rows, out),
            Depth::Float => self.read_samples::<f32>(rows, out),
        }
    }

    fn read_samples<S: Sample>(&self, rows: Range<usize>, out: &mut Vec<f32>) {
        let (width, height) = (self.bounds.width(), self.bounds.height());
        let rows = rows.start.min(height)..rows.end.min(height);
        out.reserve(4 * width * rows.len());
        for y in rows.map(|row| height - 1 - row) {
            // SAFETY: `new` has checked that bounds, row bytes and samples go together; the host keeps the picture until
            // it is released. A byte pointer promises no alignment.
            let row = unsafe { self.data.offset(y as isize * self.row_bytes) }.cast::<S>();
            for x in 0..width {
                // SAFETY: as above.
                let at = |c: usize| unsafe { row.add(self.channels * x + c).read_unaligned() }.to_unit();
                out.extend_from_slice(&match self.channels {
                    4 => [at(0), at(1), at(2), at(3)],
                    3 => [at(0), at(1), at(2), 1.0],
                    _ => {
                        let v = at(0);
                        [v, v, v, 1.0]
                    }
                });
            }
        }
    }

    /// Writes the pixels of a window (what of it lies outside the picture is left out): `pixel(x, y)` as they are to be
    /// stored. A single channel gets the luma.
    ///
    /// # Errors
    /// Those of [`Stream::store`] for a picture that lies in a CUDA device's memory.
    pub fn write(&mut self, window: &Rect, pixel: impl Fn(i32, i32) -> [f32; 4]) -> Result<()> {
        match self.depth {
            Depth::Byte => self.write_samples::<u8>(window, pixel),
            Depth::Short => self.write_samples::<u16>(window, pixel),
            Depth::Half => self.write_samples::<f16>(window, pixel),
            Depth::Float => self.write_samples::<f32>(window, pixel),
        }
        let Some(OnDevice { stream, first, copy }) = &self.device else { return Ok(()) };
        // Rows of the window alone: what lies beside them may be another's.
        let part = window.intersect(&self.bounds);
        if part.width() == 0 || part.height() == 0 {
            return Ok(());
        }
        let pixel = self.channels * self.depth.bytes();
        let origin = self.data as usize - copy.as_ptr() as usize;
        let rows = (part.y1..part.y2).map(|y| {
            let row = origin.wrapping_add_signed((y - self.bounds.y1) as isize * self.row_bytes);
            let at = row + pixel * (part.x1 - self.bounds.x1) as usize;
            (&copy[at..at + pixel * part.width()], first.wrapping_add(at))
        });
        // SAFETY: bytes that were fetched from there.
        unsafe { stream.store(rows) }
    }

    fn write_samples<S: Sample>(&mut self, window: &Rect, pixel: impl Fn(i32, i32) -> [f32; 4]) {
        let part = window.intersect(&self.bounds);
        for y in part.y1..part.y2 {
            // SAFETY: as in `read_samples`; the part lies within the bounds.
            let row = unsafe { self.data.offset((y - self.bounds.y1) as isize * self.row_bytes) }.cast::<S>();
            for x in part.x1..part.x2 {
                let rgba = pixel(x, y);
                let at = self.channels * (x - self.bounds.x1) as usize;
                let put = |c: usize, v: f32| {
                    // SAFETY: as above.
                    unsafe { row.add(at + c).write_unaligned(S::from_unit(v)) }
                };
                if self.channels == 1 {
                    put(0, luma(rgba));
                } else {
                    (0..self.channels).for_each(|c| put(c, rgba[c]));
                }
            }
        }
    }
}

/// What a picture of one channel shows (Rec.709 weights); grey stays as it is, to the bit.
fn luma([r, g, b, _]: [f32; 4]) -> f32 {
    if r == g && g == b { r } else { 0.2126 * r + 0.7152 * g + 0.0722 * b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_count_from_the_top() {
        let r = Rect { x1: -2, y1: -3, x2: 3, y2: 1 };
        assert_eq!((r.width(), r.height()), (5, 4));
        assert_eq!((r.index(-2, 0), r.index(2, -3), r.index(0, -1)), (Some(0), Some(19), Some(7)));
        for (x, y) in [(-3, 0), (3, 0), (0, 1), (0, -4)] {
            assert_eq!(r.index(x, y), None);
        }
        let other = Rect { x1: 0, y1: -10, x2: 10, y2: 0 };
        assert_eq!(r.intersect(&other), Rect { x1: 0, y1: -3, x2: 3, y2: 0 });
        assert_eq!(r.intersect(&Rect { x1: 7, y1: 0, x2: 9, y2: 1 }).width(), 0);
    }

    #[test]
    fn grey_is_its_own_luma() {
        for v in [0.1f32, 0.7, 1.5, -0.2] {
            assert_eq!(luma([v, v, v, 0.3]), v);
        }
        assert!((luma([1.0, 0.0, 0.5, 1.0]) - 0.2487).abs() < 1e-6);
    }
}
