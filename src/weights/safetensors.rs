//! Files: safetensors in and out, whole files with a size limit, atomic writing, checksums.
//!
//! Format: <https://huggingface.co/docs/safetensors/index>. Tensors are decoded while the file is read, so that
//! loading takes the memory of the weights and no more; the checksum is that of the very bytes that were decoded.

use crate::text::clip;
use crate::weights::element::{Element, TooLarge};
use crate::weights::{Array, Data, Weights};
use crate::{Error, Result};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

/// Largest file that is read as a whole (8 GiB: no network of this project comes near).
const MAX_FILE: u64 = 8 << 30;
/// Largest safetensors header, as the format's own reader has it.
const MAX_HEADER: u64 = 100_000_000;
/// Bytes read and decoded at a time.
const CHUNK: usize = 1 << 20;

/// What the arrays decoded from a file of `len` bytes may take together: small files get a fixed allowance (half
/// precision and bytes grow when they are decoded), large ones twice their size.
pub(super) fn budget(len: usize) -> usize {
    len.saturating_mul(2).max(384 << 20)
}

/// Opens a file, and says so in plain words when that fails.
fn open(path: &Path) -> Result<(File, u64)> {
    let fail = |e: std::io::Error| Error::input(format!("{}: cannot be read ({e})", path.display())).with_source(e);
    let file = File::open(path).map_err(fail)?;
    let meta = file.metadata().map_err(fail)?;
    if !meta.is_file() {
        return Err(Error::input(format!("{}: is not a file", path.display())));
    }
    if meta.len() > MAX_FILE {
        return Err(Error::input(format!("{}: is larger than {} GiB", path.display(), MAX_FILE >> 30)));
    }
    Ok((file, meta.len()))
}

/// The bytes of a file.
///
/// # Errors
/// [`Error::Input`] if it cannot be read or is larger than 8 GiB.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let (file, len) = open(path)?;
    let mut out = Vec::with_capacity(len as usize);
    file.take(MAX_FILE)
        .read_to_end(&mut out)
        .map_err(|e| Error::input(format!("{}: cannot be read ({e})", path.display())).with_source(e))?;
    Ok(out)
}

/// The blake3 checksum of a file, 64 hexadecimal digits.
///
/// # Errors
/// [`Error::Input`] if it cannot be read.
pub fn blake3(path: &Path) -> Result<String> {
    let (file, _) = open(path)?;
    let mut hasher = ::blake3::Hasher::new();
    hasher
        .update_reader(file)
        .map_err(|e| Error::input(format!("{}: cannot be read ({e})", path.display())).with_source(e))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// A reader that hashes what passes.
struct Hashing<R> {
    inner: R,
    hasher: ::blake3::Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

/// Reads a safetensors file: F16, BF16, F32, F64 as f32; I8 to I64, U8 to U64, BOOL as i32.
///
/// # Errors
/// [`Error::Input`] if the file cannot be read, [`Error::Model`] if it is damaged or holds another type.
pub fn load(path: &Path) -> Result<Weights> {
    load_hashed(path).map(|(weights, _)| weights)
}

/// [`load`] and the blake3 checksum of the bytes that were read.
///
/// # Errors
/// See [`load`].
pub fn load_hashed(path: &Path) -> Result<(Weights, String)> {
    let (file, len) = open(path)?;
    read(file, len, &path.display().to_string())
}

/// Reads a safetensors file of `len` bytes from a stream; `what` names it in errors.
///
/// # Errors
/// See [`load`].
pub fn read(stream: impl Read, len: u64, what: &str) -> Result<(Weights, String)> {
    let bad = |text: &str| Error::model(format!("{what}: {text}"));
    let mut stream = Hashing { inner: stream, hasher: ::blake3::Hasher::new() };
    let mut fill = |buffer: &mut [u8]| {
        stream.read_exact(buffer).map_err(|e| Error::input(format!("{what}: cannot be read ({e})")).with_source(e))
    };
    let mut header_len = [0; 8];
    if len < 8 {
        return Err(bad("this is not a safetensors file (it is too short)"));
    }
    fill(&mut header_len)?;
    let header_len = u64::from_le_bytes(header_len);
    if header_len > MAX_HEADER || header_len > len - 8 {
        return Err(bad("this is not a safetensors file, or its header is damaged"));
    }
    let mut header = vec![0; header_len as usize];
    fill(&mut header)?;
    // The crate's own type checks that the tensors follow each other without gaps and that sizes agree.
    let header: Metadata = serde_json::from_slice(&header)
        .map_err(|e| bad(&format!("the safetensors header is damaged ({})", clip(&e.to_string()))).with_source(e))?;
    if header.data_len() as u64 != len - 8 - header_len {
        return Err(bad(&format!(
            "the header announces {} bytes of values, the file has {}; it is cut off or damaged",
            header.data_len(),
            len - 8 - header_len
        )));
    }
    let mut weights = Weights::default();
    let mut chunk = Vec::new();
    for name in header.offset_keys() {
        let info = header.info(&name).ok_or_else(|| bad("the safetensors header is damaged"))?;
        let element = element(info.dtype)
            .ok_or_else(|| bad(&format!("tensor '{}' has the unsupported type {:?}", clip(&name), info.dtype)))?;
        // Within the file: the sum of all lengths was compared with it above.
        let mut left = info.data_offsets.1 - info.data_offsets.0;
        let mut data = element.empty(left / element.size());
        while left > 0 {
            let n = left.min(CHUNK);
            chunk.resize(n, 0);
            fill(&mut chunk)?;
            element.append(&chunk, false, &mut data).map_err(|TooLarge(v)| {
                bad(&format!("tensor '{}' holds {v}, which does not fit into 32 bits", clip(&name)))
            })?;
            left -= n;
        }
        weights.arrays.insert(name, Array { shape: info.shape.clone(), data });
    }
    if let Some(metadata) = header.metadata() {
        weights.metadata.extend(metadata.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
    Ok((weights, stream.hasher.finalize().to_hex().to_string()))
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::BOOL => Element::Bool,
        Dtype::U8 => Element::U8,
        Dtype::I8 => Element::I8,
        Dtype::I16 => Element::I16,
        Dtype::U16 => Element::U16,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::I32 => Element::I32,
        Dtype::U32 => Element::U32,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        Dtype::I64 => Element::I64,
        Dtype::U64 => Element::U64,
        _ => return None,
    })
}

/// Writes weights as safetensors (F32 and I32), atomically, and returns the blake3 checksum of the file.
///
/// The same weights give the same bytes: tensors and metadata are sorted by name.
///
/// # Errors
/// [`Error::Input`] if the file cannot be written.
pub fn save(path: &Path, weights: &Weights) -> Result<String> {
    let header = header(weights)?;
    let mut hasher = ::blake3::Hasher::new();
    write_atomic(path, |out| {
        emit(&header, weights, |bytes| {
            hasher.update(bytes);
            out.write_all(bytes)
        })
    })?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// The bytes that [`save`] writes.
///
/// # Errors
/// [`Error::Engine`] where an array's shape and its values differ.
pub fn to_bytes(weights: &Weights) -> Result<Vec<u8>> {
    let header = header(weights)?;
    let mut out = Vec::with_capacity(8 + header.len() + weights.arrays.values().map(|a| 4 * a.len()).sum::<usize>());
    emit(&header, weights, |bytes| {
        out.extend_from_slice(bytes);
        Ok(())
    })
    .map_err(|e| Error::engine(format!("cannot lay out arrays in memory ({e})")).with_source(e))?;
    Ok(out)
}

/// The JSON that a safetensors file begins with.
fn header(weights: &Weights) -> Result<Vec<u8>> {
    let mut header = BTreeMap::new();
    if !weights.metadata.is_empty() {
        header.insert("__metadata__", serde_json::json!(weights.metadata));
    }
    let mut at = 0;
    for (name, array) in &weights.arrays {
        let (dtype, len) = match &array.data {
            Data::F32(v) => ("F32", v.len()),
            Data::I32(v) => ("I32", v.len()),
        };
        if len != array.len() || name == "__metadata__" {
            return Err(Error::engine(format!("array '{name}' of shape {:?} holds {len} values", array.shape)));
        }
        let end = at + 4 * len;
        let info = serde_json::json!({"dtype": dtype, "shape": array.shape, "data_offsets": [at, end]});
        header.insert(name, info);
        at = end;
    }
    let mut header =
        serde_json::to_vec(&header).map_err(|e| Error::engine(format!("safetensors header: {e}")).with_source(e))?;
    // The values start at a multiple of 8, as the format advises.
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// Hands over a file's bytes, part by part.
fn emit(header: &[u8], weights: &Weights, mut put: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
    put(&(header.len() as u64).to_le_bytes())?;
    put(header)?;
    for array in weights.arrays.values() {
        match &array.data {
            Data::F32(v) => values(v, f32::to_le_bytes, &mut put)?,
            Data::I32(v) => values(v, i32::to_le_bytes, &mut put)?,
        }
    }
    Ok(())
}

/// Hands values over as little-endian bytes, some thousand at a time.
fn values<T: Copy, const N: usize>(
    values: &[T],
    bytes: impl Fn(T) -> [u8; N],
    mut put: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(CHUNK.min(N * values.len()));
    for part in values.chunks(CHUNK / N) {
        buffer.clear();
        buffer.extend(part.iter().flat_map(|v| bytes(*v)));
        put(&buffer)?;
    }
    Ok(())
}

/// Writes a file so that it is there completely or not at all: into a temporary file of the same folder, to the
/// disk, then renamed.
///
/// # Errors
/// [`Error::Input`] if it cannot be written; an earlier file of that name is then untouched.
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let fail = |e: std::io::Error| Error::input(format!("{}: cannot be written ({e})", path.display())).with_source(e);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".headgan-");
    #[cfg(unix)]
    {
        // Temporary files are private by default; a finished file is as readable as any other (less the umask).
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).map_err(fail)?;
    {
        let mut out = BufWriter::new(file.as_file_mut());
        write(&mut out).and_then(|()| out.flush()).map_err(fail)?;
    }
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Weights {
        let mut w = Weights::default();
        w.insert("b.weight", Array::f32([2, 3], vec![1.0, -2.0, 3.5, 0.0, f32::MIN_POSITIVE, 9.0]));
        w.insert("a", Array { shape: vec![], data: Data::I32(vec![-7]) });
        w.insert("empty", Array::f32([0, 4], vec![]));
        w.metadata.insert("z".into(), "1".into());
        w.metadata.insert("a".into(), "\"quoted\"".into());
        w
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        let hash = save(&path, &sample()).unwrap();
        assert_eq!(hash, blake3(&path).unwrap());
        let (back, read_hash) = load_hashed(&path).unwrap();
        assert_eq!((back, read_hash), (sample(), hash));
        // The crate reads it too, and writing again gives the same bytes.
        let bytes = std::fs::read(&path).unwrap();
        let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(theirs.tensor("b.weight").unwrap().shape(), [2, 3]);
        save(&path, &sample()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(to_bytes(&sample()).unwrap(), bytes);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "temporary files are left");
    }

    #[test]
    fn other_types_are_converted() {
        let half: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect();
        let brain: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect();
        let double: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let long: Vec<u8> = [3i64, -4].iter().flat_map(|v| v.to_le_bytes()).collect();
        let byte = [5u8, 255];
        let views = [
            ("half", Dtype::F16, &half[..]),
            ("brain", Dtype::BF16, &brain),
            ("double", Dtype::F64, &double),
            ("long", Dtype::I64, &long),
            ("byte", Dtype::U8, &byte),
        ];
        let views = views.map(|(n, d, b)| (n, safetensors::tensor::TensorView::new(d, vec![2], b).unwrap()));
        let bytes = safetensors::serialize(views, None).unwrap();
        let (w, _) = read(&bytes[..], bytes.len() as u64, "t").unwrap();
        for name in ["half", "brain", "double"] {
            assert_eq!(w.get(name).unwrap().as_f32(), Some(&[1.5, -2.0][..]), "{name}");
        }
        assert_eq!(w.get("long").unwrap().as_i32(), Some(&[3, -4][..]));
        assert_eq!(w.get("byte").unwrap().as_i32(), Some(&[5, 255][..]));
    }

    #[test]
    fn damage_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        save(&path, &sample()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for n in 0..bytes.len() {
            let cut = read(&bytes[..n], n as u64, "t");
            assert!(matches!(cut, Err(Error::Model(_))), "cut at {n}");
        }
        let missing = load(&dir.path().join("none"));
        assert!(matches!(missing, Err(Error::Input(t)) if t.contains("none")));
        assert!(matches!(load(dir.path()), Err(Error::Input(_))));
        let unwritable = save(&dir.path().join("no/such/w.safetensors"), &sample());
        assert!(matches!(unwritable, Err(Error::Input(_))));
    }
}
