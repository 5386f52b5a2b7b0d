//! Pictures in a host's memory: every depth and component set, rows padded or upside down, bounds anywhere, canaries in
//! all that is not pixels and unreadable pages on both sides.

use crate::abi::*;
use half::f16;
use std::ffi::{CStr, c_void};
use std::ptr;

const CANARY: u8 = 0xc5;

/// The type of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Depth {
    Byte,
    Short,
    Half,
    Float,
}

impl Depth {
    /// Every depth.
    pub const ALL: [Depth; 4] = [Depth::Byte, Depth::Short, Depth::Half, Depth::Float];

    /// The standard's name.
    pub fn name(self) -> &'static CStr {
        match self {
            Depth::Byte => kOfxBitDepthByte,
            Depth::Short => kOfxBitDepthShort,
            Depth::Half => kOfxBitDepthHalf,
            Depth::Float => kOfxBitDepthFloat,
        }
    }

    /// The depth of a name.
    pub fn from_name(name: &CStr) -> Option<Depth> {
        Depth::ALL.into_iter().find(|d| d.name() == name)
    }

    fn bytes(self) -> usize {
        match self {
            Depth::Byte => 1,
            Depth::Short | Depth::Half => 2,
            Depth::Float => 4,
        }
    }
}

/// The samples of a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Components {
    Rgba,
    Rgb,
    Alpha,
}

impl Components {
    /// Every component set.
    pub const ALL: [Components; 3] = [Components::Rgba, Components::Rgb, Components::Alpha];

    /// The standard's name.
    pub fn name(self) -> &'static CStr {
        match self {
            Components::Rgba => kOfxImageComponentRGBA,
            Components::Rgb => kOfxImageComponentRGB,
            Components::Alpha => kOfxImageComponentAlpha,
        }
    }

    /// The component set of a name.
    pub fn from_name(name: &CStr) -> Option<Components> {
        Components::ALL.into_iter().find(|c| c.name() == name)
    }

    /// How many samples a pixel has.
    pub fn count(self) -> usize {
        match self {
            Components::Rgba => 4,
            Components::Rgb => 3,
            Components::Alpha => 1,
        }
    }

    /// The samples of an RGBA value, and how many they are.
    fn pick(self, rgba: [f32; 4]) -> [f32; 4] {
        match self {
            Components::Alpha => [rgba[3]; 4],
            _ => rgba,
        }
    }
}

/// How rows lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// One after the other, bottom row first.
    Plain,
    /// With bytes between rows.
    Padded,
    /// Top row first: negative row bytes.
    Negative,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Layout; 3] = [Layout::Plain, Layout::Padded, Layout::Negative];
}

/// What an image is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Format {
    pub depth: Depth,
    pub components: Components,
    pub layout: Layout,
}

/// A picture in memory of its own.
pub struct Picture {
    pub format: Format,
    /// Pixels; x2 and y2 are outside.
    pub bounds: OfxRectI,
    /// Bytes from a row to the one above it; negative for `Layout::Negative`.
    pub row_bytes: i32,
    map: *mut c_void,
    map_bytes: usize,
    /// Where the pixels' rows begin, from the map's start.
    rows_at: usize,
    page: usize,
}

// SAFETY: the memory belongs to the picture alone. Plugins write to it through raw addresses, each render to a picture
// of its own; the host reads it when the action has come back.
unsafe impl Send for Picture {}
// SAFETY: as above.
unsafe impl Sync for Picture {}

impl Picture {
    /// A picture whose pixels are all the byte `fill`; everything else is canaries.
    ///
    /// # Panics
    /// If the system gives no memory.
    pub fn new(format: Format, bounds: OfxRectI, fill: u8) -> Picture {
        let (width, height) = ((bounds.x2 - bounds.x1).max(0) as usize, (bounds.y2 - bounds.y1).max(0) as usize);
        let row = width * format.components.count() * format.depth.bytes();
        let stride = match format.layout {
            Layout::Padded => row.next_multiple_of(16) + 32,
            // Alignment of the samples, no more.
            _ => row.next_multiple_of(format.depth.bytes()),
        };
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let used = (stride * height).max(1);
        let map_bytes = used.next_multiple_of(page) + 2 * page;
        // SAFETY: a new mapping of the size.
        let map = unsafe {
            libc::mmap(
                ptr::null_mut(),
                map_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert!(map != libc::MAP_FAILED, "no memory for a picture of {map_bytes} bytes");
        // SAFETY: the first and the last page of the mapping.
        unsafe {
            libc::mprotect(map, page, libc::PROT_NONE);
            libc::mprotect(map.byte_add(map_bytes - page), page, libc::PROT_NONE);
        }
        // Rows end where the last page begins, so that one sample too far is a fault.
        let rows_at = (map_bytes - page - used) & !(format.depth.bytes() - 1);
        let row_bytes = if format.layout == Layout::Negative { -(stride as i32) } else { stride as i32 };
        let mut picture = Picture { format, bounds, row_bytes, map, map_bytes, rows_at, page };
        picture.inside().fill(CANARY);
        for y in bounds.y1..bounds.y2 {
            picture.row_mut(y).fill(fill);
        }
        picture
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        ((self.bounds.x2 - self.bounds.x1).max(0) as usize, (self.bounds.y2 - self.bounds.y1).max(0) as usize)
    }

    /// The address of the pixel at x1, y1: the bottom left one.
    pub fn data(&self) -> *mut c_void {
        self.address(self.bounds.y1)
    }

    fn address(&self, y: i32) -> *mut c_void {
        let stride = self.row_bytes.unsigned_abs() as usize;
        let from_bottom = (y - self.bounds.y1) as usize;
        let index = if self.row_bytes < 0 { self.size().1.saturating_sub(1) - from_bottom } else { from_bottom };
        // SAFETY: within the mapping for rows of the picture.
        unsafe { self.map.byte_add(self.rows_at + index * stride) }
    }

    fn row_len(&self) -> usize {
        self.size().0 * self.format.components.count() * self.format.depth.bytes()
    }

    /// The bytes of a row, without padding.
    pub fn row(&self, y: i32) -> &[u8] {
        // SAFETY: within the mapping, which lives as long as the picture.
        unsafe { std::slice::from_raw_parts(self.address(y).cast(), self.row_len()) }
    }

    fn row_mut(&mut self, y: i32) -> &mut [u8] {
        // SAFETY: as in `row`, and the picture is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.address(y).cast(), self.row_len()) }
    }

    fn inside(&mut self) -> &mut [u8] {
        // SAFETY: all of the mapping but its unreadable pages.
        unsafe { std::slice::from_raw_parts_mut(self.map.byte_add(self.page).cast(), self.map_bytes - 2 * self.page) }
    }

    /// Sets all pixels from their values; `pixel` gets x and y.
    pub fn paint(&mut self, pixel: impl Fn(i32, i32) -> [f32; 4]) {
        let (depth, components, bounds) = (self.format.depth, self.format.components, self.bounds);
        let step = components.count() * depth.bytes();
        for y in bounds.y1..bounds.y2 {
            for (x, out) in (bounds.x1..).zip(self.row_mut(y).chunks_exact_mut(step)) {
                let samples = components.pick(pixel(x, y));
                for (sample, out) in samples.iter().zip(out.chunks_exact_mut(depth.bytes())) {
                    match depth {
                        Depth::Byte => out[0] = (sample.clamp(0.0, 1.0) * 255.0 + 0.5) as u8,
                        Depth::Short => {
                            out.copy_from_slice(&((sample.clamp(0.0, 1.0) * 65535.0 + 0.5) as u16).to_ne_bytes());
                        }
                        Depth::Half => out.copy_from_slice(&f16::from_f32(*sample).to_ne_bytes()),
                        Depth::Float => out.copy_from_slice(&sample.to_ne_bytes()),
                    }
                }
            }
        }
    }

    /// The samples of a row as numbers, 1 for white.
    pub fn samples(&self, y: i32) -> Vec<f32> {
        let bytes = self.row(y).chunks_exact(self.format.depth.bytes());
        bytes
            .map(|b| match (self.format.depth, b) {
                (Depth::Byte, &[v]) => f32::from(v) / 255.0,
                (Depth::Short, &[a, b]) => f32::from(u16::from_ne_bytes([a, b])) / 65535.0,
                (Depth::Half, &[a, b]) => f16::from_ne_bytes([a, b]).to_f32(),
                (_, &[a, b, c, d]) => f32::from_ne_bytes([a, b, c, d]),
                _ => 0.0,
            })
            .collect()
    }

    /// A number that two pictures share if their pixels are the same bytes.
    pub fn hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for y in self.bounds.y1..self.bounds.y2 {
            let words = self.row(y).chunks(8);
            for word in words {
                let mut eight = [0; 8];
                eight[..word.len()].copy_from_slice(word);
                hash = (hash ^ u64::from_ne_bytes(eight)).wrapping_mul(0x100_0000_01b3).rotate_left(29);
            }
        }
        hash
    }

    /// Looks at everything that is not pixels.
    ///
    /// # Errors
    /// Where something was written beside the pixels.
    pub fn check_canaries(&self) -> Result<(), String> {
        let at = |offset: usize, len: usize| {
            // SAFETY: called below with ranges of the readable part of the mapping.
            let bytes: &[u8] = unsafe { std::slice::from_raw_parts(self.map.byte_add(offset).cast(), len) };
            bytes.iter().all(|&b| b == CANARY)
        };
        if !at(self.page, self.rows_at - self.page) {
            return Err("before the first row in memory".to_owned());
        }
        let stride = self.row_bytes.unsigned_abs() as usize;
        for (i, row) in (0..self.size().1).map(|i| self.rows_at + i * stride).enumerate() {
            if !at(row + self.row_len(), stride - self.row_len()) {
                return Err(format!("in the padding after row {i} in memory"));
            }
        }
        let end = self.rows_at + self.size().1 * stride;
        if !at(end, self.map_bytes - self.page - end) {
            return Err("after the last row in memory".to_owned());
        }
        Ok(())
    }

    /// The largest difference of two pictures' samples within a rectangle that both have; where one of them has whole
    /// numbers, after the other's values are brought to 0 to 1.
    pub fn difference(&self, other: &Picture, within: OfxRectI) -> f32 {
        let count = self.format.components.count();
        let whole = [self, other].iter().any(|p| matches!(p.format.depth, Depth::Byte | Depth::Short));
        let shown = |v: f32| if whole { v.clamp(0.0, 1.0) } else { v };
        let mut largest = 0.0_f32;
        for y in within.y1..within.y2 {
            let (a, b) = (self.samples(y), other.samples(y));
            let from = |p: &Picture| (within.x1 - p.bounds.x1) as usize * count;
            let len = (within.x2 - within.x1).max(0) as usize * count;
            for (a, b) in a[from(self)..][..len].iter().zip(&b[from(other)..][..len]) {
                // Two NaN are the same; one is as different as can be.
                let d = if a.is_nan() && b.is_nan() { 0.0 } else { (shown(*a) - shown(*b)).abs() };
                largest = largest.max(if d.is_nan() { f32::INFINITY } else { d });
            }
        }
        largest
    }

    /// Whether every byte outside of `window` is still `fill`.
    pub fn untouched_outside(&self, window: OfxRectI, fill: u8) -> bool {
        let pixel = self.format.components.count() * self.format.depth.bytes();
        (self.bounds.y1..self.bounds.y2).all(|y| {
            let row = self.row(y);
            if y < window.y1 || y >= window.y2 {
                return row.iter().all(|&b| b == fill);
            }
            let left = (window.x1 - self.bounds.x1) as usize * pixel;
            let right = (window.x2 - self.bounds.x1) as usize * pixel;
            row[..left].iter().chain(&row[right..]).all(|&b| b == fill)
        })
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made.
        unsafe { libc::munmap(self.map, self.map_bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bounds: OfxRectI, mut test: impl FnMut(Picture)) {
        for depth in Depth::ALL {
            for components in Components::ALL {
                for layout in Layout::ALL {
                    test(Picture::new(Format { depth, components, layout }, bounds, 0x3c));
                }
            }
        }
    }

    const BOUNDS: OfxRectI = OfxRectI { x1: -3, y1: -2, x2: 4, y2: 3 };

    #[test]
    fn values_come_back_within_their_precision() {
        all(BOUNDS, |mut p| {
            p.paint(|x, y| [(x + 3) as f32 / 8.0, (y + 2) as f32 / 8.0, 0.25, 0.5]);
            assert_eq!(p.check_canaries(), Ok(()), "{:?}", p.format);
            let red = p.samples(1)[p.format.components.count() * 2];
            let expected = if p.format.components == Components::Alpha { 0.5 } else { 0.25 };
            assert!((red - expected).abs() <= 0.51 / 255.0, "{:?}: {red}", p.format);
        });
    }

    #[test]
    fn one_byte_beside_the_pixels_is_seen_on_every_side() {
        all(BOUNDS, |p| {
            let (first, last) = (p.address(BOUNDS.y1), p.address(BOUNDS.y2 - 1));
            let lowest = first.min(last);
            // SAFETY: the slack before the rows lies in the same page here.
            unsafe { lowest.byte_sub(1).cast::<u8>().write(0) };
            assert!(p.check_canaries().is_err(), "before: {:?}", p.format);
            if p.format.layout == Layout::Padded {
                // SAFETY: a byte of the padding.
                unsafe {
                    lowest.byte_sub(1).cast::<u8>().write(CANARY);
                    first.byte_add(p.row_len()).cast::<u8>().write(0);
                }
                assert!(p.check_canaries().is_err(), "padding: {:?}", p.format);
            }
        });
    }

    #[test]
    fn a_write_outside_the_window_is_seen() {
        all(BOUNDS, |mut p| {
            let window = OfxRectI { x1: -2, y1: -1, x2: 3, y2: 2 };
            assert!(p.untouched_outside(window, 0x3c));
            p.row_mut(-2)[0] = 0;
            assert!(!p.untouched_outside(window, 0x3c));
        });
    }
}
