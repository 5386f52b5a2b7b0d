//! Numpy arrays: `.npy` files in and out, and arrays in pickles.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, versions 1 to 3.

use crate::text::clip;
use crate::weights::element::TooLarge;
use crate::weights::pickle::{self, Dtype, Id, Node, Pickle};
use crate::weights::{Array, Data, safetensors};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// Dimensions of an array.
const MAX_DIMS: usize = 32;

fn bad(what: &str, text: impl std::fmt::Display) -> Error {
    Error::model(format!("{what}: {text}"))
}

/// Reads a `.npy` file: floats of 2, 4, 8 bytes as f32; integers and bools as i32; either byte order; C or Fortran
/// order (the result is row-major in any case).
///
/// # Errors
/// [`Error::Input`] if the file cannot be read; [`Error::Model`] if it is damaged, of another type, or holds an
/// integer that does not fit into 32 bits.
pub fn load_npy(path: &Path) -> Result<Array> {
    read_npy(&safetensors::read_bytes(path)?, &path.display().to_string())
}

/// [`load_npy`] from bytes; `what` names the file in errors.
///
/// # Errors
/// See [`load_npy`].
pub fn read_npy(bytes: &[u8], what: &str) -> Result<Array> {
    let no_npy = || bad(what, "this is not a .npy file, or its header is damaged");
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or_else(no_npy)?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(no_npy)?;
    let (len, rest) = match version[0] {
        1 => {
            let (len, rest) = rest.split_first_chunk::<2>().ok_or_else(no_npy)?;
            (usize::from(u16::from_le_bytes(*len)), rest)
        }
        2 | 3 => {
            let (len, rest) = rest.split_first_chunk::<4>().ok_or_else(no_npy)?;
            (u32::from_le_bytes(*len) as usize, rest)
        }
        v => return Err(bad(what, format!("version {v} of the .npy format is not supported (1 to 3 are)"))),
    };
    let (header, values) = rest.split_at_checked(len).ok_or_else(no_npy)?;
    let header = std::str::from_utf8(header).map_err(|_| no_npy())?;
    let header = Header::parse(header).ok_or_else(no_npy)?;
    let dtype = pickle::dtype(&header.descr)
        .ok_or_else(|| bad(what, format!("arrays of the type '{}' are not supported", clip(&header.descr))))?;
    array(values, dtype, &header.shape, header.fortran, what)
}

/// The dictionary literal in a `.npy` header.
#[derive(Debug, Default, PartialEq)]
struct Header {
    descr: String,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, keys in any order.
    fn parse(text: &str) -> Option<Header> {
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, tail) = quoted(rest)?;
            let tail = tail.trim_start().strip_prefix(':')?.trim_start();
            let tail = match key {
                "descr" => {
                    let (value, tail) = quoted(tail)?;
                    descr = Some(value.to_owned());
                    tail
                }
                "fortran_order" => {
                    let value = ["True", "False"].into_iter().find(|v| tail.starts_with(v))?;
                    fortran = Some(value == "True");
                    &tail[value.len()..]
                }
                "shape" => {
                    let (inner, tail) = tail.strip_prefix('(')?.split_once(')')?;
                    let sizes = inner.split(',').map(str::trim).filter(|s| !s.is_empty());
                    let sizes: Option<Vec<usize>> =
                        sizes.take(MAX_DIMS + 1).map(|s| s.trim_end_matches('L').parse().ok()).collect();
                    shape = Some(sizes.filter(|s| s.len() <= MAX_DIMS)?);
                    tail
                }
                _ => return None,
            };
            let tail = tail.trim_start();
            rest = match tail.strip_prefix(',') {
                Some(tail) => tail.trim_start(),
                None if tail.is_empty() => tail,
                None => return None,
            };
        }
        Some(Header { descr: descr?, fortran: fortran?, shape: shape? })
    }
}

/// A text in single or double quotes (without escapes) and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// Decodes values that must be exactly `shape` long.
fn array(bytes: &[u8], dtype: Dtype, shape: &[usize], fortran: bool, what: &str) -> Result<Array> {
    let size = shape.iter().try_fold(dtype.element.size(), |n, d| n.checked_mul(*d));
    if size != Some(bytes.len()) {
        let text =
            format!("an array of shape {shape:?} comes with {} bytes; the file is cut off or damaged", bytes.len());
        return Err(bad(what, text));
    }
    let data = dtype
        .element
        .decode(bytes, dtype.big_endian)
        .map_err(|TooLarge(v)| bad(what, format!("the array holds {v}, which does not fit into 32 bits")))?;
    Ok(Array { shape: shape.to_vec(), data: if fortran { row_major(data, shape) } else { data } })
}

/// Column-major values of `shape` in row-major order.
pub(super) fn row_major(data: Data, shape: &[usize]) -> Data {
    // One dimension that is not 1: both orders are the same.
    if shape.iter().filter(|d| **d != 1).count() < 2 {
        return data;
    }
    match data {
        Data::F32(v) => Data::F32(transpose(&v, shape)),
        Data::I32(v) => Data::I32(transpose(&v, shape)),
    }
}

fn transpose<T: Copy + Default>(values: &[T], shape: &[usize]) -> Vec<T> {
    let mut out = vec![T::default(); values.len()];
    // `strides[d]`: how far apart neighbours along `d` are in the row-major result.
    let mut strides = vec![1; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d] * shape[d];
    }
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    for value in values {
        out[at] = *value;
        for (d, i) in index.iter_mut().enumerate() {
            *i += 1;
            at += strides[d];
            if *i < shape[d] {
                break;
            }
            at -= *i * strides[d];
            *i = 0;
        }
    }
    out
}

/// The arrays of a pickle: a dict of arrays, or one array (under the name `""`).
///
/// Entries of a dict that are neither arrays nor numbers are left out.
///
/// # Errors
/// [`Error::Input`] if the file cannot be read; [`Error::Model`] if it is not a pickle of known opcodes and classes,
/// is damaged, or holds no arrays.
pub fn load_pickle(path: &Path) -> Result<BTreeMap<String, Array>> {
    read_pickle(&safetensors::read_bytes(path)?, &path.display().to_string())
}

/// [`load_pickle`] from bytes; `what` names the file in errors.
///
/// # Errors
/// See [`load_pickle`].
pub fn read_pickle(bytes: &[u8], what: &str) -> Result<BTreeMap<String, Array>> {
    let pickle = pickle::read(bytes, what, 0)?;
    let budget = safetensors::budget(bytes.len());
    let mut spent = 0;
    let mut out = BTreeMap::new();
    let mut put = |name: &str, id: Id| -> Result<()> {
        if let Some(array) = value(&pickle, id, name, what)? {
            spent += 4 * array.len() + name.len();
            if spent > budget {
                return Err(bad(what, "the arrays together are far larger than the file; it is damaged"));
            }
            out.insert(name.to_owned(), array);
        }
        Ok(())
    };
    match pickle.dict(pickle.root()) {
        Some(entries) => {
            for (key, id) in entries {
                if let Some(name) = pickle.text(*key) {
                    put(name, *id)?;
                }
            }
        }
        None => put("", pickle.root())?,
    }
    if out.is_empty() {
        return Err(bad(what, "there are no arrays in this pickle"));
    }
    Ok(out)
}

/// An array or number in a pickle.
fn value(pickle: &Pickle, id: Id, name: &str, what: &str) -> Result<Option<Array>> {
    let what = if name.is_empty() { what.to_owned() } else { format!("{what}: '{}'", clip(name)) };
    Ok(match pickle.node(id) {
        Node::Array(a) => {
            let Some(Node::Bytes(bytes)) = a.data.map(|d| pickle.node(d)) else {
                return Err(bad(&what, "an array has no values"));
            };
            Some(array(bytes, a.dtype, &a.shape, a.fortran, &what)?)
        }
        Node::Int(v) => {
            let v = i32::try_from(*v).map_err(|_| bad(&what, format!("{v} does not fit into 32 bits")))?;
            Some(Array { shape: vec![], data: Data::I32(vec![v]) })
        }
        Node::Float(v) => Some(Array::f32([], vec![*v as f32])),
        _ => None,
    })
}

/// Writes an array as `.npy` (version 1, C order, `<f4` or `<i4`), atomically.
///
/// # Errors
/// [`Error::Input`] if the file cannot be written.
pub fn save_npy(path: &Path, array: &Array) -> Result<()> {
    match &array.data {
        Data::F32(v) => save(path, "<f4", &array.shape, v, |v| v.to_le_bytes()),
        Data::I32(v) => save(path, "<i4", &array.shape, v, |v| v.to_le_bytes()),
    }
}

/// Writes f64 values as `.npy`, atomically. `values.len()` must be the product of `shape`.
///
/// # Errors
/// [`Error::Input`] if the file cannot be written, [`Error::Engine`] if shape and values do not fit together.
pub fn save_npy_f64(path: &Path, shape: &[usize], values: &[f64]) -> Result<()> {
    save(path, "<f8", shape, values, |v| v.to_le_bytes())
}

fn save<T: Copy, const N: usize>(
    path: &Path,
    descr: &str,
    shape: &[usize],
    values: &[T],
    bytes: impl Fn(T) -> [u8; N],
) -> Result<()> {
    if shape.iter().product::<usize>() != values.len() {
        return Err(Error::engine(format!("an array of shape {shape:?} holds {} values", values.len())));
    }
    // A Python tuple: `()`, `(3,)`, `(3, 4)`.
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}", sizes.join(", "));
    // Magic, version and length take 10 bytes; the values start at a multiple of 64.
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    safetensors::write_atomic(path, |out| {
        out.write_all(b"\x93NUMPY\x01\x00")?;
        // At most 32 sizes of 20 digits: far below 65,536.
        out.write_all(&(header.len() as u16).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        for v in values {
            out.write_all(&bytes(*v))?;
        }
        Ok(())
    })
}

/// A `.npy` file as numpy writes it.
#[cfg(test)]
fn npy(descr: &str, fortran: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header.as_bytes());
    out.extend(values);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::shared;

    #[test]
    fn orders_and_types() {
        let be: Vec<u8> = (1..=6).flat_map(|v: i16| v.to_be_bytes()).collect();
        let a = read_npy(&npy(">i2", "True", "(2, 3)", &be), "t").unwrap();
        assert_eq!((a.shape, a.data), (vec![2, 3], Data::I32(vec![1, 3, 5, 2, 4, 6])));
        let le: Vec<u8> = [0.5f64, -1.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let a = read_npy(&npy("<f8", "False", "(2,)", &le), "t").unwrap();
        assert_eq!((a.shape, a.data), (vec![2], Data::F32(vec![0.5, -1.0])));
        let a = read_npy(&npy("|b1", "False", "()", &[1]), "t").unwrap();
        assert_eq!((a.shape, a.data), (vec![], Data::I32(vec![1])));
        // Column-major with three dimensions against indices worked out by hand.
        let v: Vec<u8> = (0..24).collect();
        let a = read_npy(&npy("|u1", "True", "(2, 3, 4)", &v), "t").unwrap();
        let v = a.as_i32().unwrap();
        for (i, j, k) in [(0, 0, 0), (1, 2, 3), (1, 0, 2), (0, 2, 1)] {
            assert_eq!(v[(i * 3 + j) * 4 + k], (i + 2 * (j + 3 * k)) as i32);
        }
    }

    #[test]
    fn damage_is_an_error() {
        let fails = |bytes: &[u8]| match read_npy(bytes, "t.npy") {
            Err(Error::Model(text)) => text.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(fails(b"hello").contains("not a .npy"));
        assert!(fails(&npy("<f4", "False", "(99999999999, 99999999999)", &[0; 4])).contains("shape"));
        assert!(fails(&npy("<f4", "False", "(3,)", &[0; 8])).contains("cut off"));
        assert!(fails(&npy("|O", "False", "(1,)", &[0; 8])).contains("'|O'"));
        assert!(fails(&npy("<i8", "False", "(1,)", &i64::MAX.to_le_bytes())).contains("32 bits"));
        let mut newer = npy("<f4", "False", "()", &[0; 4]);
        newer[6] = 9;
        assert!(fails(&newer).contains("version 9"));
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        for shape in [vec![], vec![4], vec![2, 3]] {
            let n = shape.iter().product();
            let a = Array::f32(shape, (0..n).map(|v| v as f32 + 0.5).collect());
            save_npy(&path, &a).unwrap();
            assert_eq!(load_npy(&path).unwrap(), a);
        }
        save_npy_f64(&path, &[2], &[0.25, -3.0]).unwrap();
        assert_eq!(load_npy(&path).unwrap(), Array::f32([2], vec![0.25, -3.0]));
        assert!(std::fs::read(&path).unwrap().len().is_multiple_of(16));
        assert!(save_npy_f64(&path, &[3], &[0.0]).is_err());
    }

    /// Sums printed by numpy for the same files.
    #[test]
    fn upstream_files() {
        let Some(shared) = shared() else { return };
        let folder = shared.join("face-models/3ddfa_v2");
        let sum = |a: &Array| a.as_f32().unwrap().iter().map(|v| f64::from(*v)).sum::<f64>();
        let bfm = load_pickle(&folder.join("bfm_noneck_v3.pkl")).unwrap();
        assert_eq!(bfm["u"].shape, [115_095, 1]);
        assert_eq!(bfm["w_shp"].shape, [115_095, 40]);
        assert!((sum(&bfm["u"]) - 2657870538.8712044).abs() < 1.0);
        assert!((sum(&bfm["w_shp"]) - 49.95188748876238).abs() < 1e-6);
        assert!((sum(&bfm["w_exp"]) + 1136553.367190972).abs() < 1e-3);
        // Column-major in the file: the first row tells that it was turned.
        assert_eq!(
            bfm["w_shp"].as_f32().unwrap()[..2],
            [-0.00241135f32, 0.00051556].map(|v| nearest(&bfm["w_shp"], v))
        );
        assert_eq!(bfm["keypoints"].as_i32().unwrap()[..4], [52320, 52321, 52322, 53148]);
        let tri = &load_pickle(&folder.join("tri.pkl")).unwrap()[""];
        assert_eq!(tri.shape, [3, 76_073]);
        let tri = tri.as_i32().unwrap();
        assert_eq!((tri[0], tri[1], tri[2], tri[76_073]), (0, 0, 1, 130));
        assert_eq!(tri.iter().map(|v| i64::from(*v)).sum::<i64>(), 4_364_200_349);
        let ncc = load_npy(&folder.join("ncc_code.npy")).unwrap();
        assert_eq!(ncc.shape, [3, 38_365]);
        assert!((sum(&ncc) - 57387.37912982708).abs() < 1e-3);
    }

    /// The value of `a` nearest to a rounded print of it.
    fn nearest(a: &Array, v: f32) -> f32 {
        let distance = |x: &&f32| (**x - v).abs();
        *a.as_f32().unwrap()[..40].iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap()
    }
}
