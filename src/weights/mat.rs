//! MATLAB's MAT files, version 5 (what `save` writes up to `-v7`): numbers, structs, cells, texts; compressed or not;
//! either byte order.
//!
//! Format: "MAT-File Format", The MathWorks. Elements are read as a stream, so that a compressed variable is never in
//! memory as bytes; numbers are bounded by `MAX_VALUES` however well they compress.

use crate::text::clip;
use crate::weights::element::{Element, TooLarge};
use crate::weights::numpy::row_major;
use crate::weights::{Array, Data, safetensors};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// Numbers in one file (400 MB as floats; the largest LSFM model has some 30 million).
const MAX_VALUES: usize = 100_000_000;
/// Structs in cells in structs ...
const MAX_DEPTH: usize = 16;
/// Matrices in one file, those in structs and cells included.
const MAX_MATRICES: usize = 200_000;
/// Fields of one struct.
const MAX_FIELDS: usize = 4096;
/// Dimensions of a matrix.
const MAX_DIMS: usize = 16;
/// Bytes read and decoded at a time.
const CHUNK: usize = 1 << 16;
/// Bytes of one text or list of names.
const MAX_TEXT: usize = 1 << 20;

/// A variable of a MAT file.
#[derive(Debug, Clone, PartialEq)]
pub enum Mat {
    /// Numbers, **row-major** (turned while reading); double and single are floats, all others integers.
    Numbers(Array),
    /// A text (rows joined without a separator).
    Text(String),
    /// A struct array of one element, or the first of several.
    Struct(BTreeMap<String, Mat>),
    /// A cell array, column-major.
    Cell(Vec<Mat>),
    /// A class that is not read (sparse, object, function handle, complex numbers), by name.
    Other(&'static str),
}

impl Mat {
    /// A field of a struct.
    pub fn field(&self, name: &str) -> Option<&Mat> {
        match self {
            Mat::Struct(fields) => fields.get(name),
            _ => None,
        }
    }

    /// The array, where this is one of numbers.
    pub fn numbers(&self) -> Option<&Array> {
        match self {
            Mat::Numbers(array) => Some(array),
            _ => None,
        }
    }
}

/// Reads all variables of a MAT file.
///
/// # Errors
/// [`Error::Input`] if the file cannot be read; [`Error::Model`] if it is not version 5, is damaged, or is larger
/// than any model of this kind.
pub fn load(path: &Path) -> Result<BTreeMap<String, Mat>> {
    read(&safetensors::read_bytes(path)?, &path.display().to_string())
}

/// [`load`] from bytes; `what` names the file in errors.
///
/// # Errors
/// See [`load`].
pub fn read(bytes: &[u8], what: &str) -> Result<BTreeMap<String, Mat>> {
    read_inner(bytes).map_err(|text| Error::model(format!("{what}: {text}")))
}

/// Inner errors are texts; the file is named once, in [`read`].
type Step<T> = std::result::Result<T, String>;

fn read_inner(bytes: &[u8]) -> Step<BTreeMap<String, Mat>> {
    let (header, mut rest) = bytes.split_first_chunk::<128>().ok_or("this is not a MAT file (it is too short)")?;
    let big = match &header[126..] {
        b"IM" => false,
        b"MI" => true,
        _ if header.starts_with(b"\x89HDF") => return Err(hdf()),
        _ => return Err("this is not a MAT file of version 5; save it with MATLAB's option -v7".into()),
    };
    let version = if big { [header[124], header[125]] } else { [header[125], header[124]] };
    match version {
        [1, _] => {}
        [2, _] => return Err(hdf()),
        _ => return Err("this is not a MAT file of version 5; save it with MATLAB's option -v7".into()),
    }
    let mut limits = Limits { values: MAX_VALUES, matrices: MAX_MATRICES, text: 32 * MAX_TEXT };
    let mut out = BTreeMap::new();
    while !rest.is_empty() {
        // Trailing padding of less than a tag is harmless.
        if rest.len() < 8 && rest.iter().all(|b| *b == 0) {
            break;
        }
        let mut stream = Stream { inner: &mut rest, left: u64::MAX, big };
        let tag = stream.tag()?;
        let size = tag.size;
        if size > rest.len() {
            return Err(format!(
                "a variable of {size} bytes is announced where {} are left; it is cut off",
                rest.len()
            ));
        }
        let (mut body, tail) = rest.split_at(size);
        // Compressed elements are not padded, others are (the last one may lack it).
        let padding = if tag.kind == COMPRESSED { 0 } else { size.next_multiple_of(8) - size };
        rest = &tail[padding.min(tail.len())..];
        let (name, value) = match tag.kind {
            COMPRESSED => {
                let mut inflated = flate2::read::ZlibDecoder::new(body);
                let mut stream = Stream { inner: &mut inflated, left: u64::MAX, big };
                let tag = stream.tag()?;
                if tag.kind != MATRIX {
                    continue;
                }
                stream.left = tag.size as u64;
                let result = matrix(&mut stream, &mut limits, 0)?;
                // The checksum stands at the end of the compressed data.
                let mut end = [0; 16];
                let over = inflated.read(&mut end).map_err(|e| format!("a compressed variable is damaged ({e})"))?;
                if over > 8 {
                    return Err("a compressed variable is longer than stated".into());
                }
                result
            }
            MATRIX => matrix(&mut Stream { inner: &mut body, left: size as u64, big }, &mut limits, 0)?,
            _ => continue,
        };
        out.insert(name, value);
    }
    if out.is_empty() {
        return Err("there are no variables in this MAT file".into());
    }
    Ok(out)
}

fn hdf() -> String {
    "this is a MAT file of version 7.3 (HDF5), which is not supported; save it with MATLAB's option -v7".into()
}

const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// What may still be read of each kind.
struct Limits {
    values: usize,
    matrices: usize,
    text: usize,
}

impl Limits {
    fn text(&mut self, bytes: &[u8]) -> Step<String> {
        self.text = self.text.checked_sub(bytes.len()).ok_or("there is too much text in this file")?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// The tag before every element.
struct Tag {
    kind: u32,
    size: usize,
    /// Values of at most four bytes stand inside of the tag.
    small: Option<[u8; 4]>,
}

/// Bytes of one element (or of the file) as a stream.
struct Stream<'a> {
    inner: &'a mut dyn Read,
    /// Bytes that the enclosing element still has.
    left: u64,
    big: bool,
}

impl Stream<'_> {
    fn fill(&mut self, out: &mut [u8]) -> Step<()> {
        if out.len() as u64 > self.left {
            return Err("an element reaches beyond the one it is part of; the file is damaged".into());
        }
        self.left -= out.len() as u64;
        self.inner.read_exact(out).map_err(|e| format!("the file is cut off or damaged ({e})"))
    }

    fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    fn tag(&mut self) -> Step<Tag> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        let [a, b, c, d, e, f, g, h] = bytes;
        let first = self.u32([a, b, c, d]);
        let small = first >> 16;
        if small == 0 {
            return Ok(Tag { kind: first, size: self.u32([e, f, g, h]) as usize, small: None });
        }
        if small > 4 {
            return Err("an element has a damaged tag".into());
        }
        Ok(Tag { kind: first & 0xffff, size: small as usize, small: Some([e, f, g, h]) })
    }

    /// Hands an element's bytes over in pieces of whole values, and skips its padding.
    fn body(&mut self, tag: &Tag, mut each: impl FnMut(&[u8]) -> Step<()>) -> Step<()> {
        if let Some(bytes) = tag.small {
            return each(&bytes[..tag.size]);
        }
        let mut buffer = vec![0; tag.size.min(CHUNK)];
        let mut left = tag.size;
        while left > 0 {
            let part = &mut buffer[..left.min(CHUNK)];
            self.fill(part)?;
            each(part)?;
            left -= part.len();
        }
        let padding = tag.size.next_multiple_of(8) - tag.size;
        // The last element of a matrix may lack its padding.
        let padding = padding.min(usize::try_from(self.left).unwrap_or(padding));
        self.fill(&mut [0; 8][..padding])
    }

    fn bytes(&mut self, tag: &Tag) -> Step<Vec<u8>> {
        if tag.size > MAX_TEXT {
            return Err(format!("a text of {} bytes is announced; the file is damaged", tag.size));
        }
        let mut out = Vec::new();
        self.body(tag, |part| {
            out.extend_from_slice(part);
            Ok(())
        })?;
        Ok(out)
    }

    /// Integers of a small element.
    fn integers(&mut self) -> Step<Vec<i32>> {
        let tag = self.tag()?;
        let element = element(tag.kind).filter(|e| !e.is_float()).ok_or("sizes are not integers")?;
        let bytes = self.bytes(&tag)?;
        match element.decode(&bytes, self.big) {
            Ok(Data::I32(v)) => Ok(v),
            _ => Err("a size is too large".into()),
        }
    }
}

fn element(kind: u32) -> Option<Element> {
    Some(match kind {
        1 => Element::I8,
        2 | 16 => Element::U8,
        3 => Element::I16,
        4 | 17 => Element::U16,
        5 => Element::I32,
        6 | 18 => Element::U32,
        7 => Element::F32,
        9 => Element::F64,
        12 => Element::I64,
        13 => Element::U64,
        _ => return None,
    })
}

/// Reads what is inside of a matrix element: flags, dimensions, name, values.
fn matrix(s: &mut Stream, limits: &mut Limits, depth: usize) -> Step<(String, Mat)> {
    limits.matrices = limits.matrices.checked_sub(1).ok_or("there are too many matrices")?;
    // Empty cells and fields may be written as an element without any content.
    if s.left == 0 {
        return Ok((String::new(), Mat::Numbers(Array::f32([0, 0], Vec::new()))));
    }
    if depth > MAX_DEPTH {
        return Err("structs and cells are nested too deeply".into());
    }
    let tag = s.tag()?;
    let flags = s.bytes(&tag)?;
    let flags = flags.first_chunk::<4>().map(|b| s.u32(*b)).filter(|_| tag.kind == 6).ok_or("the flags are damaged")?;
    let (class, complex) = (flags & 0xff, flags & 0x800 != 0);
    // Opaque objects have names where the others have dimensions.
    if class == 17 {
        skip(s)?;
        return Ok((String::new(), Mat::Other("object")));
    }
    let dims: Option<Vec<usize>> = s.integers()?.iter().map(|d| usize::try_from(*d).ok()).collect();
    let dims = dims.filter(|d| (1..=MAX_DIMS).contains(&d.len())).ok_or("the dimensions are damaged")?;
    let count = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).ok_or("the dimensions are too large")?;
    let tag = s.tag()?;
    let name = limits.text(&s.bytes(&tag)?)?;
    let named = |text: String| format!("variable '{}': {text}", clip(&name));
    let value = match class {
        1 => {
            let mut cells = Vec::new();
            for _ in 0..count {
                cells.push(inner(s, limits, depth)?);
            }
            Mat::Cell(cells)
        }
        2 => {
            let width = s.integers()?;
            let width = width.first().and_then(|n| usize::try_from(*n).ok()).filter(|n| *n > 0);
            let width = width.ok_or_else(|| named("the field names are damaged".into()))?;
            let tag = s.tag()?;
            let names = s.bytes(&tag)?;
            if names.len() / width > MAX_FIELDS {
                return Err(named(format!("a struct with more than {MAX_FIELDS} fields")));
            }
            let text = |n: &[u8]| limits.text(n.split(|b| *b == 0).next().unwrap_or_default());
            let names: Vec<String> = names.chunks(width).map(text).collect::<Step<_>>()?;
            let mut fields = BTreeMap::new();
            for i in 0..count {
                for name in &names {
                    let value = inner(s, limits, depth)?;
                    if i == 0 {
                        fields.insert(name.clone(), value);
                    }
                }
                // Without fields there is nothing to read, however many elements are stated.
                if names.is_empty() {
                    break;
                }
            }
            Mat::Struct(fields)
        }
        4 => {
            let tag = s.tag()?;
            let bytes = s.bytes(&tag)?;
            match tag.kind {
                // One byte a character, or UTF-8.
                1 | 2 | 16 => Mat::Text(limits.text(&bytes)?),
                4 | 17 => {
                    limits.text(&bytes)?;
                    let unit = if s.big { u16::from_be_bytes } else { u16::from_le_bytes };
                    let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|b| unit(*b)).collect();
                    Mat::Text(String::from_utf16_lossy(&units))
                }
                _ => Mat::Other("text"),
            }
        }
        6..=15 if complex => {
            skip(s)?;
            Mat::Other("complex numbers")
        }
        6..=15 => Mat::Numbers(numbers(s, limits, class, dims, count).map_err(named)?),
        other => {
            skip(s)?;
            Mat::Other(match other {
                3 => "object",
                5 => "sparse matrix",
                16 => "function handle",
                _ => "unknown class",
            })
        }
    };
    skip(s)?;
    Ok((name, value))
}

/// A matrix inside of a cell or struct.
fn inner(s: &mut Stream, limits: &mut Limits, depth: usize) -> Step<Mat> {
    let tag = s.tag()?;
    if tag.kind != MATRIX || tag.size as u64 > s.left {
        return Err("a part of a struct or cell is damaged".into());
    }
    let left = s.left - tag.size as u64;
    let mut part = Stream { inner: &mut *s.inner, left: tag.size as u64, big: s.big };
    let (_, value) = matrix(&mut part, limits, depth + 1)?;
    s.left = left;
    let padding = (tag.size.next_multiple_of(8) - tag.size) as u64;
    s.fill(&mut [0; 8][..padding.min(s.left) as usize])?;
    Ok(value)
}

/// Skips the rest of an element.
fn skip(s: &mut Stream) -> Step<()> {
    let mut buffer = [0; 4096];
    while s.left > 0 {
        let n = s.left.min(4096) as usize;
        s.fill(&mut buffer[..n])?;
    }
    Ok(())
}

/// Values of a numeric matrix; they may be stored in a smaller type than that of their class.
fn numbers(s: &mut Stream, limits: &mut Limits, class: u32, dims: Vec<usize>, count: usize) -> Step<Array> {
    let tag = s.tag()?;
    let element = element(tag.kind).ok_or("the values have an unknown type")?;
    if count.checked_mul(element.size()) != Some(tag.size) {
        return Err(format!("a matrix of {dims:?} comes with {} bytes, which does not fit", tag.size));
    }
    limits.values = limits.values.checked_sub(count).ok_or_else(|| format!("more than {MAX_VALUES} numbers"))?;
    let float = class <= 7;
    if element.is_float() && !float {
        return Err("integers are stored as floats".into());
    }
    let mut data = if float { Data::F32(Vec::new()) } else { Data::I32(Vec::new()) };
    let big = s.big;
    let mut done = 0;
    s.body(&tag, |part| {
        // Room for as much again as has really been read, never more than is needed.
        let n = part.len() / element.size();
        let more = (2 * (done + n)).min(count) - done;
        match &mut data {
            Data::F32(v) if v.capacity() < done + n => v.reserve_exact(more),
            Data::I32(v) if v.capacity() < done + n => v.reserve_exact(more),
            _ => {}
        }
        done += n;
        element.append(part, big, &mut data).map_err(|TooLarge(v)| format!("{v} does not fit into 32 bits"))
    })?;
    Ok(Array { data: row_major(data, &dims), shape: dims })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testing::shared;

    /// Writes elements in either byte order.
    pub struct Writer {
        pub big: bool,
    }

    impl Writer {
        fn u32(&self, v: u32) -> [u8; 4] {
            if self.big { v.to_be_bytes() } else { v.to_le_bytes() }
        }

        pub fn element(&self, kind: u32, body: &[u8]) -> Vec<u8> {
            let mut out = [self.u32(kind), self.u32(body.len() as u32)].concat();
            out.extend(body);
            out.resize(out.len().next_multiple_of(8), 0);
            out
        }

        pub fn small(&self, kind: u32, body: &[u8]) -> Vec<u8> {
            let mut out = self.u32((body.len() as u32) << 16 | kind).to_vec();
            out.extend(body);
            out.resize(8, 0);
            out
        }

        pub fn matrix(&self, class: u32, dims: &[u32], name: &str, content: &[u8]) -> Vec<u8> {
            let dims: Vec<u8> = dims.iter().flat_map(|d| self.u32(*d)).collect();
            let mut body = self.element(6, &[self.u32(class), self.u32(0)].concat());
            body.extend(self.element(5, &dims));
            body.extend(if name.len() <= 4 && !name.is_empty() {
                self.small(1, name.as_bytes())
            } else {
                self.element(1, name.as_bytes())
            });
            body.extend(content);
            self.element(MATRIX, &body)
        }

        pub fn doubles(&self, dims: &[u32], name: &str, values: &[f64]) -> Vec<u8> {
            let bytes = |v: &f64| if self.big { v.to_be_bytes() } else { v.to_le_bytes() };
            let values: Vec<u8> = values.iter().flat_map(bytes).collect();
            self.matrix(6, dims, name, &self.element(9, &values))
        }

        pub fn file(&self, elements: &[Vec<u8>]) -> Vec<u8> {
            let mut out = vec![b' '; 124];
            out.extend(if self.big { *b"\x01\x00MI" } else { *b"\x00\x01IM" });
            out.extend(elements.concat());
            out
        }

        pub fn compressed(&self, element: &[u8]) -> Vec<u8> {
            let mut z = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            std::io::Write::write_all(&mut z, element).unwrap();
            let z = z.finish().unwrap();
            [&self.u32(COMPRESSED)[..], &self.u32(z.len() as u32), &z].concat()
        }
    }

    #[test]
    fn numbers_structs_cells_and_texts_in_both_byte_orders() {
        for big in [false, true] {
            let w = Writer { big };
            let names = w.element(1, b"mean\0\0\0\0tri\0\0\0\0\0");
            let fields = [
                w.small(5, &w.u32(8)),
                names,
                w.doubles(&[2, 1], "", &[0.5, -1.0]),
                // Doubles that MATLAB stored as bytes.
                w.matrix(6, &[2, 3], "", &w.element(2, &[1, 2, 3, 4, 5, 6])),
            ];
            let fmod = w.matrix(2, &[1, 1], "fmod", &fields.concat());
            let text = w.matrix(4, &[1, 2], "text", &w.small(16, b"hi"));
            let cell =
                w.matrix(1, &[1, 2], "cells", &[w.doubles(&[1, 1], "", &[3.0]), w.element(MATRIX, b"")].concat());
            let ints = w.matrix(12, &[1, 1], "ints", &w.small(2, &[9]));
            let sparse = w.matrix(5, &[1, 1], "sp", &w.element(5, &[0; 8]));
            for elements in [
                vec![fmod.clone(), text.clone(), cell.clone(), ints.clone(), sparse.clone()],
                [&fmod, &text, &cell, &ints, &sparse].map(|e| w.compressed(e)).to_vec(),
            ] {
                let vars = read(&w.file(&elements), "t.mat").unwrap();
                let fmod = &vars["fmod"];
                let mean = fmod.field("mean").and_then(Mat::numbers).unwrap();
                assert_eq!(mean, &Array::f32([2, 1], vec![0.5, -1.0]));
                // Column-major 2x3 in the file.
                let tri = fmod.field("tri").and_then(Mat::numbers).unwrap();
                assert_eq!(tri, &Array::f32([2, 3], vec![1.0, 3.0, 5.0, 2.0, 4.0, 6.0]));
                assert_eq!(vars["text"], Mat::Text("hi".into()));
                let Mat::Cell(cells) = &vars["cells"] else { panic!() };
                assert_eq!(cells[0], Mat::Numbers(Array::f32([1, 1], vec![3.0])));
                assert_eq!(vars["ints"], Mat::Numbers(Array { shape: vec![1, 1], data: Data::I32(vec![9]) }));
                assert_eq!(vars["sp"], Mat::Other("sparse matrix"));
            }
        }
    }

    #[test]
    fn damage_and_bombs_are_errors() {
        let w = Writer { big: false };
        let fails = |bytes: &[u8]| match read(bytes, "t.mat") {
            Err(Error::Model(text)) => text.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(fails(b"short").contains("too short"));
        assert!(fails(&[0; 200]).contains("version 5"));
        // A compressed matrix that says it has 2^31 values but ends early.
        let mut liar = w.doubles(&[1 << 15, 1 << 16], "x", &[1.0; 64]);
        liar[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(fails(&w.file(&[w.compressed(&liar)])).contains("fit"));
        // Zeros compress a thousandfold; the number of values is what is bounded.
        let body = w.element(2, &vec![0; 60_000_000]);
        let bomb = w.compressed(&w.matrix(6, &[60_000_000, 1], "x", &body));
        assert!(bomb.len() < 100_000);
        assert!(fails(&w.file(&[bomb.clone(), bomb])).contains("numbers"));
        let fine = w.file(&[w.doubles(&[2, 1], "x", &[1.0, 2.0])]);
        for n in 0..fine.len() {
            assert!(read(&fine[..n], "t").is_err(), "cut at {n}");
        }
    }

    #[test]
    fn an_upstream_file() {
        let Some(shared) = shared() else { return };
        let vars = load(&shared.join("face-models/3ddfa_v2/BFM_UV.mat")).unwrap();
        let uv = vars["UV"].numbers().unwrap();
        assert_eq!(uv.shape, [53_215, 2]);
        assert!(uv.as_f32().unwrap().iter().all(|v| (0.0..=1.0).contains(v)));
    }
}
