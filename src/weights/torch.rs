//! Torch checkpoints (`.pth`, `.ckpt`, `.pt`), both the legacy and the zip format, as written by `torch.save`.
//!
//! Legacy: four pickles (magic number, protocol 1001, system information, the object), a pickled list of storage
//! keys, then per storage its length (i64) and its values, little-endian. Zip: `<name>/data.pkl`, `<name>/data/<key>`
//! and, in newer files, `<name>/byteorder`. Described by `torch/serialization.py`.

use crate::text::clip;
use crate::weights::element::{Element, TooLarge};
use crate::weights::pickle::{self, Id, Node, Pickle, Tensor};
use crate::weights::{Array, Data, Weights, safetensors};
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::path::Path;

/// The first pickle of a legacy file, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The second pickle of a legacy file.
const PROTOCOL: i64 = 1001;
/// Keys under which training programs keep the network in a larger dict.
const NESTED: [&str; 5] = ["state_dict", "net_state_dict", "model_state_dict", "model", "net"];
/// How deep dicts may be nested inside of the state dict.
const MAX_DEPTH: usize = 8;
/// Tensors in one checkpoint.
const MAX_TENSORS: usize = 100_000;

/// What to take from a checkpoint and how to name it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Cut off every name that starts with it (`module.` of a data-parallel training).
    pub strip: &'a str,
}

/// Reads the tensors of a checkpoint by name: those of the root dict, or of the dict under `state_dict`,
/// `net_state_dict`, `model_state_dict`, `model` or `net` if there is one. Dicts inside of it are joined with dots.
///
/// Floats become f32, integers and bools i32. `num_batches_tracked` counters are left out.
///
/// # Errors
/// [`Error::Input`] if the file cannot be read; [`Error::Model`] if it is not a checkpoint of known opcodes and
/// classes, is cut off or damaged, or holds an integer that does not fit into 32 bits.
pub fn load(path: &Path, options: &Options) -> Result<Weights> {
    read(&safetensors::read_bytes(path)?, &path.display().to_string(), options)
}

/// [`load`], and what stands beside the network in the root dict under `keys`, as [`Pickle::json`] says it. The checkpoint may hold
/// objects of any class; none is made.
///
/// # Errors
/// See [`load`].
pub fn load_with(path: &Path, options: &Options, keys: &[&str]) -> Checkpoint {
    read_with(&safetensors::read_bytes(path)?, &path.display().to_string(), options, keys)
}

/// [`load`] from bytes; `what` names the file in errors.
///
/// # Errors
/// See [`load`].
pub fn read(bytes: &[u8], what: &str, options: &Options) -> Result<Weights> {
    Ok(read_with(bytes, what, options, &[])?.0)
}

/// [`load_with`] from bytes; `what` names the file in errors.
///
/// # Errors
/// See [`load`].
pub fn read_with(bytes: &[u8], what: &str, options: &Options, keys: &[&str]) -> Checkpoint {
    let read = if bytes.starts_with(b"PK\x03\x04") { read_zip } else { read_legacy };
    read(bytes, what, options, keys)
}

/// A network's tensors and what was asked for beside them.
pub type Checkpoint = Result<(Weights, Map<String, Value>)>;

/// The entries of the root dict under `keys`.
fn beside(object: &Pickle, keys: &[&str]) -> Map<String, Value> {
    let found = keys.iter().filter_map(|key| Some(((*key).to_owned(), object.json(object.get(object.root(), key)?))));
    found.collect()
}

fn bad(what: &str, text: impl std::fmt::Display) -> Error {
    Error::model(format!("{what}: {text}"))
}

fn read_legacy(bytes: &[u8], what: &str, options: &Options, keys: &[&str]) -> Checkpoint {
    let mut at = 0;
    let mut next = || -> Result<Pickle> {
        let pickle = pickle::read_with(&bytes[at..], what, at, !keys.is_empty())?;
        at += pickle.end;
        Ok(pickle)
    };
    let not_torch = || bad(what, "this is not a torch checkpoint (no magic number); download it again");
    let magic = next().map_err(|_| not_torch())?;
    if !matches!(magic.node(magic.root()), Node::Long(b) if *b == MAGIC) {
        return Err(not_torch());
    }
    let protocol = next()?;
    if protocol.int(protocol.root()) != Some(PROTOCOL) {
        return Err(bad(what, "this torch checkpoint has another version than 1001"));
    }
    next()?;
    let object = next()?;
    let listed = next()?;
    let sizes = storage_sizes(&object, what)?;
    let mut storages = HashMap::new();
    for key in listed.items(listed.root()).ok_or_else(|| bad(what, "the list of storages is missing"))? {
        let key = listed.text(*key).ok_or_else(|| bad(what, "the list of storages is damaged"))?;
        let (element, numel) =
            *sizes.get(key).ok_or_else(|| bad(what, format!("storage '{}' is not used", clip(key))))?;
        let cut_off = || bad(what, format!("storage '{}' is cut off; download the file again", clip(key)));
        let (length, rest) = bytes[at..].split_first_chunk::<8>().ok_or_else(cut_off)?;
        if i64::from_le_bytes(*length) != numel as i64 {
            return Err(bad(what, format!("storage '{}' does not have the length that is stated for it", clip(key))));
        }
        let n = numel.checked_mul(element.size()).ok_or_else(cut_off)?;
        let values = rest.get(..n).ok_or_else(cut_off)?;
        storages.insert(key.to_owned(), values);
        at += 8 + n;
    }
    if at != bytes.len() {
        return Err(bad(what, format!("{} bytes are left over at the end", bytes.len() - at)));
    }
    let values = |key: &str, _| match storages.get(key) {
        Some(values) => Ok(Cow::Borrowed(*values)),
        None => Err(bad(what, format!("storage '{}' is missing", clip(key)))),
    };
    Ok((collect(&object, bytes.len(), what, options, false, values)?, beside(&object, keys)))
}

/// Type and length of every storage that a pickle refers to.
fn storage_sizes(object: &Pickle, what: &str) -> Result<HashMap<String, (Element, usize)>> {
    let mut sizes = HashMap::new();
    for storage in object.storages() {
        let size = (storage.element, storage.numel);
        if *sizes.entry(storage.key.to_string()).or_insert(size) != size {
            return Err(bad(what, format!("storage '{}' is declared in two ways", clip(&storage.key))));
        }
    }
    Ok(sizes)
}

fn read_zip(bytes: &[u8], what: &str, options: &Options, keys: &[&str]) -> Checkpoint {
    let damaged = |e: zip::result::ZipError| {
        bad(what, format!("the zip archive is damaged ({e}); download it again")).with_source(e)
    };
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    let is_object = |name: &str| name == "data.pkl" || name.ends_with("/data.pkl");
    let name = archive.file_names().find(|n| is_object(n)).map(str::to_owned);
    let name = name.ok_or_else(|| bad(what, "this zip archive is not a torch checkpoint (it has no data.pkl)"))?;
    let folder = name.trim_end_matches("data.pkl").to_owned();
    let budget = safetensors::budget(bytes.len());
    let object = entry(&mut archive, bytes, &name, budget, what)?;
    let order_name = format!("{folder}byteorder");
    let big_endian = match archive.index_for_name(&order_name) {
        None => false,
        Some(_) => match &*entry(&mut archive, bytes, &order_name, 64, what)? {
            b"little" => false,
            b"big" => true,
            _ => return Err(bad(what, "the byte order is neither little nor big")),
        },
    };
    let object = pickle::read_with(&object, what, 0, !keys.is_empty())?;
    let sizes = storage_sizes(&object, what)?;
    // Inflated storages may be asked for by several tensors; stored ones are read in place.
    let mut inflated: HashMap<String, Vec<u8>> = HashMap::new();
    let mut spent = 0;
    for (key, (element, numel)) in &sizes {
        let missing = || bad(what, format!("storage '{}' has a damaged length", clip(key)));
        let size = numel.checked_mul(element.size()).ok_or_else(missing)?;
        let values = entry(&mut archive, bytes, &format!("{folder}data/{key}"), size.min(budget - spent), what)?;
        if values.len() != size {
            let text = format!("storage '{}' has {} bytes where {size} are stated", clip(key), values.len());
            return Err(bad(what, text));
        }
        if let Cow::Owned(values) = values {
            spent += values.len();
            inflated.insert(key.clone(), values);
        }
    }
    let mut values = |key: &str, size: usize| match inflated.get(key) {
        Some(values) => Ok(Cow::Borrowed(values.as_slice())),
        // Checked above; the checksum is not computed a second time.
        None => stored(&mut archive, bytes, &format!("{folder}data/{key}"), what)?
            .filter(|v| v.len() == size)
            .map(Cow::Borrowed)
            .ok_or_else(|| bad(what, format!("storage '{}' is missing", clip(key)))),
    };
    Ok((collect(&object, bytes.len(), what, options, big_endian, &mut values)?, beside(&object, keys)))
}

type Archive<'a> = zip::ZipArchive<Cursor<&'a [u8]>>;

/// The bytes of an entry that is not compressed, or `None` if it is.
fn stored<'a>(archive: &mut Archive<'a>, bytes: &'a [u8], name: &str, what: &str) -> Result<Option<&'a [u8]>> {
    let damaged =
        |e: &dyn std::fmt::Display| bad(what, format!("'{}' in the zip archive is damaged ({e})", clip(name)));
    let file = archive.by_name(name).map_err(|e| damaged(&e).with_source(e))?;
    if file.compression() != zip::CompressionMethod::Stored || file.encrypted() {
        return Ok(None);
    }
    let start = usize::try_from(file.data_start()).ok();
    let end = start.and_then(|s| s.checked_add(usize::try_from(file.size()).ok()?));
    let values = start.zip(end).and_then(|(s, e)| bytes.get(s..e));
    values.map(Some).ok_or_else(|| damaged(&"it reaches beyond the end of the file"))
}

/// The bytes of an entry, at most `limit` of them, with its checksum verified.
fn entry<'a>(
    archive: &mut Archive<'a>,
    bytes: &'a [u8],
    name: &str,
    limit: usize,
    what: &str,
) -> Result<Cow<'a, [u8]>> {
    let damaged =
        |e: &dyn std::fmt::Display| bad(what, format!("'{}' in the zip archive is damaged ({e})", clip(name)));
    if let Some(values) = stored(archive, bytes, name, what)? {
        let file = archive.by_name(name).map_err(|e| damaged(&e).with_source(e))?;
        let mut crc = flate2::Crc::new();
        crc.update(values);
        if crc.sum() != file.crc32() {
            return Err(damaged(&"wrong checksum"));
        }
        return Ok(Cow::Borrowed(values));
    }
    let mut file = archive.by_name(name).map_err(|e| damaged(&e).with_source(e))?;
    let mut out = Vec::new();
    // One byte more than allowed shows that there is more; the reader checks the checksum at the very end.
    (&mut file).take(limit as u64 + 1).read_to_end(&mut out).map_err(|e| damaged(&e).with_source(e))?;
    if out.len() > limit {
        return Err(damaged(&"it is larger than stated"));
    }
    Ok(Cow::Owned(out))
}

/// Gathers the tensors; `values` returns the bytes of a storage, given its key and length in bytes.
fn collect<'a>(
    object: &Pickle,
    file_len: usize,
    what: &str,
    options: &Options,
    big_endian: bool,
    mut values: impl FnMut(&str, usize) -> Result<Cow<'a, [u8]>>,
) -> Result<Weights> {
    let root = object.root();
    let nested = NESTED.iter().find_map(|key| object.get(root, key).filter(|id| object.dict(*id).is_some()));
    let mut tensors = Vec::new();
    walk(object, nested.unwrap_or(root), "", 0, &mut tensors, &mut 0).map_err(|text| bad(what, text))?;
    if tensors.is_empty() {
        return Err(bad(what, "there are no tensors in this checkpoint"));
    }
    let budget = safetensors::budget(file_len);
    let mut spent = 0usize;
    let mut weights = Weights::default();
    for (name, id) in tensors {
        let name = name.strip_prefix(options.strip).unwrap_or(&name);
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        let Node::Tensor(tensor) = object.node(id) else { continue };
        let Node::Storage(storage) = object.node(tensor.storage) else { continue };
        let fail = |text: String| bad(what, format!("tensor '{}' {text}", clip(name)));
        let (start, numel) = storage.view.unwrap_or((0, storage.numel));
        if start.checked_add(numel).is_none_or(|end| end > storage.numel) {
            return Err(fail("views more than its storage".into()));
        }
        let count = check_bounds(tensor, numel).map_err(fail)?;
        spent = spent.saturating_add(count * 4);
        if spent > budget {
            return Err(bad(what, "the tensors together are far larger than the file; it is damaged"));
        }
        let size = storage.element.size();
        let bytes = values(&storage.key, storage.numel * size)?;
        let view = start * size..(start + numel) * size;
        let part = bytes.get(view).ok_or_else(|| fail("reaches beyond its storage".into()))?;
        let data = gather(part, storage.element, big_endian, tensor, count)
            .map_err(|TooLarge(v)| fail(format!("holds {v}, which does not fit into 32 bits")))?;
        weights.insert(name, Array { shape: tensor.shape.clone(), data });
    }
    Ok(weights)
}

/// Collects `(name, tensor)` of a dict and the dicts in it.
fn walk(
    object: &Pickle,
    dict: Id,
    prefix: &str,
    depth: usize,
    out: &mut Vec<(String, Id)>,
    visited: &mut usize,
) -> std::result::Result<(), String> {
    for &(key, value) in object.dict(dict).unwrap_or_default() {
        *visited += 1;
        if *visited > 10 * MAX_TENSORS || out.len() > MAX_TENSORS {
            return Err(format!("more than {MAX_TENSORS} tensors"));
        }
        let Some(key) = object.text(key).filter(|k| k.len() <= 512) else { continue };
        match object.node(value) {
            Node::Tensor(_) => out.push((format!("{prefix}{key}"), value)),
            Node::Dict(_) if depth < MAX_DEPTH => {
                walk(object, value, &format!("{prefix}{key}."), depth + 1, out, visited)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Number of values of a tensor that stays within a storage of `numel` values and does not repeat them.
fn check_bounds(tensor: &Tensor, numel: usize) -> std::result::Result<usize, String> {
    let overflow = || "has a shape that is too large".to_owned();
    let count = tensor.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).ok_or_else(overflow)?;
    if count == 0 {
        return Ok(0);
    }
    let mut last = tensor.offset;
    for (size, stride) in tensor.shape.iter().zip(&tensor.stride) {
        let reach = (size - 1).checked_mul(*stride).ok_or_else(overflow)?;
        last = last.checked_add(reach).ok_or_else(overflow)?;
    }
    if last >= numel {
        return Err(format!("of shape {:?} reaches beyond its storage of {numel} values", tensor.shape));
    }
    if count > numel {
        return Err(format!("of shape {:?} repeats the values of its storage, which is not supported", tensor.shape));
    }
    Ok(count)
}

/// The values of a strided view in row-major order.
fn gather(bytes: &[u8], element: Element, big: bool, tensor: &Tensor, count: usize) -> Result<Data, TooLarge> {
    let size = element.size();
    let mut data = element.empty(count);
    if count == 0 {
        return Ok(data);
    }
    let rank = tensor.shape.len();
    // The longest tail of dimensions that lies in one piece is copied in one piece.
    let (mut run, mut outer) = (1, rank);
    while outer > 0 && (tensor.stride[outer - 1] == run || tensor.shape[outer - 1] == 1) {
        run *= tensor.shape[outer - 1];
        outer -= 1;
    }
    let mut index = vec![0; outer];
    let mut at = tensor.offset;
    loop {
        // In bounds: `check_bounds` compared the largest reachable index with the storage.
        element.append(&bytes[at * size..(at + run) * size], big, &mut data)?;
        let mut d = outer;
        loop {
            if d == 0 {
                return Ok(data);
            }
            d -= 1;
            index[d] += 1;
            at += tensor.stride[d];
            if index[d] < tensor.shape[d] {
                break;
            }
            at -= index[d] * tensor.stride[d];
            index[d] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::shared;

    /// Protocol-2 pickle of `{"state_dict": OrderedDict(module.w: tensor, module.n: num_batches..), "epoch": 3}`.
    fn object(shape: &[u8], stride: &[u8], offset: u8, numel: u8, class: &str) -> Vec<u8> {
        let mut p = b"\x80\x02}q\x00(X\x0a\x00\x00\x00state_dictccollections\nOrderedDict\n)R(".to_vec();
        p.extend(b"X\x08\x00\x00\x00module.wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n");
        p.extend(class.as_bytes());
        p.extend(b"\nX\x01\x00\x00\x007X\x03\x00\x00\x00cpuK");
        p.push(numel);
        p.extend(b"tQK");
        p.push(offset);
        for sizes in [shape, stride] {
            p.push(b'(');
            p.extend(sizes.iter().flat_map(|s| [b'K', *s]));
            p.push(b't');
        }
        p.extend(b"\x89ccollections\nOrderedDict\n)RtRu");
        p.extend(b"}X\x09\x00\x00\x00_metadataccollections\nOrderedDict\n)RsbX\x05\x00\x00\x00epochK\x03u.");
        p
    }

    fn legacy(object: &[u8], numel: u64, values: &[u8]) -> Vec<u8> {
        let mut out = b"\x80\x02\x8a\x0a".to_vec();
        out.extend(MAGIC);
        out.extend(b".\x80\x02M\xe9\x03.\x80\x02}.");
        out.extend(object);
        out.extend(b"\x80\x02]X\x01\x00\x00\x007a.");
        out.extend(numel.to_le_bytes());
        out.extend(values);
        out
    }

    fn zipped(object: &[u8], values: &[u8], deflate: bool, order: Option<&str>) -> Vec<u8> {
        use std::io::Write;
        let method = if deflate { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        let mut z = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let mut put = |name: &str, bytes: &[u8]| {
            z.start_file(name, options).unwrap();
            z.write_all(bytes).unwrap();
        };
        put("net/data.pkl", object);
        if let Some(order) = order {
            put("net/byteorder", order.as_bytes());
        }
        put("net/data/7", values);
        z.finish().unwrap().into_inner()
    }

    fn floats(n: u8) -> Vec<u8> {
        (0..n).flat_map(|v| f32::from(v).to_le_bytes()).collect()
    }

    const STRIP: Options = Options { strip: "module." };

    #[test]
    fn both_formats_with_strides_and_offset() {
        // A transposed view: shape 2x3, element (i, j) at 1 + i + 2 j of 8 values.
        let p = object(&[2, 3], &[1, 2], 1, 8, "FloatStorage");
        let expected = Array::f32([2, 3], vec![1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
        for bytes in [
            legacy(&p, 8, &floats(8)),
            zipped(&p, &floats(8), false, None),
            zipped(&p, &floats(8), true, Some("little")),
        ] {
            let w = read(&bytes, "t.pth", &STRIP).unwrap();
            assert_eq!(w.arrays.keys().collect::<Vec<_>>(), ["w"]);
            assert_eq!(w.get("w"), Some(&expected));
        }
        let big: Vec<u8> = (0..8).flat_map(|v| (v as f32).to_be_bytes()).collect();
        let w = read(&zipped(&p, &big, false, Some("big")), "t.pth", &Options::default()).unwrap();
        assert_eq!(w.get("module.w"), Some(&expected));
        let p = object(&[2], &[1], 0, 2, "LongStorage");
        let longs: Vec<u8> = [-1i64, 5].iter().flat_map(|v| v.to_le_bytes()).collect();
        let w = read(&legacy(&p, 2, &longs), "t.pth", &STRIP).unwrap();
        assert_eq!(w.get("w").unwrap().as_i32(), Some(&[-1, 5][..]));
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let fails = |bytes: &[u8]| match read(bytes, "t.pth", &STRIP) {
            Err(Error::Model(text)) => text.to_string(),
            other => panic!("{other:?}"),
        };
        let good = object(&[2, 3], &[1, 2], 1, 8, "FloatStorage");
        assert!(fails(b"hello").contains("not a torch checkpoint"));
        let outside = object(&[2, 3], &[1, 3], 1, 8, "FloatStorage");
        assert!(fails(&legacy(&outside, 8, &floats(8))).contains("'w' of shape [2, 3] reaches beyond"));
        let repeated = object(&[200, 200], &[0, 0], 0, 8, "FloatStorage");
        assert!(fails(&legacy(&repeated, 8, &floats(8))).contains("repeats"));
        assert!(fails(&legacy(&good, 9, &floats(9))).contains("length"));
        let whole = legacy(&good, 8, &floats(8));
        for n in 0..whole.len() {
            assert!(read(&whole[..n], "t", &STRIP).is_err(), "cut at {n}");
        }
        let unknown = object(&[2], &[1], 0, 2, "ComplexFloatStorage");
        assert!(fails(&legacy(&unknown, 2, &floats(2))).contains("'torch.ComplexFloatStorage'"));
        // One flipped byte of a value: the zip format has checksums.
        let mut bytes = zipped(&good, &floats(8), false, None);
        let at = bytes.windows(4).position(|w| w == 5f32.to_le_bytes()).unwrap();
        bytes[at] ^= 1;
        assert!(fails(&bytes).contains("checksum"));
    }

    /// Sums and shapes printed by torch for the same files.
    #[test]
    fn upstream_files() {
        let Some(shared) = shared() else { return };
        let folder = shared.join("face-models");
        let get = |file: &str| load(&folder.join(file), &STRIP).unwrap();
        let sum = |w: &Weights, name: &str| w.get(name).unwrap().as_f32().unwrap().iter().map(|v| f64::from(*v)).sum();
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6 * b.abs().max(1.0), "{a} {b}");
        let w = get("3ddfa_v2/FaceBoxesProd.pth");
        near(sum(&w, "conv1.conv.weight"), -2.3865505648022918);
        near(sum(&w, "conv3_2.bn.running_var"), 11.774622084572911);
        assert!(w.arrays.keys().all(|k| !k.contains("num_batches")));
        let w = get("3ddfa_v2/mb05_120x120.pth");
        near(sum(&w, "conv1.weight"), 1.3883509102346991);
        near(sum(&w, "dw2_2.bn_dw.running_var"), 0.0015881728613749146);
        assert_eq!(w.get("fc_param.weight").unwrap().shape, [62, 512]);
        let w = get("mobilefacenet/068.ckpt");
        near(sum(&w, "conv2.prelu.weight"), -52.99228641181253);
        near(sum(&w, "linear7.conv.weight"), 69.49171955573092);
        assert_eq!(w.get("linear7.conv.weight").unwrap().shape, [512, 1, 7, 6]);
        let w = get("retinaface/mobilenet0.25_Final.pth");
        assert_eq!(w.get("LandmarkHead.2.conv1x1.weight").unwrap().shape, [20, 64, 1, 1]);
    }
}
