//! Corrupted model files: bytes flipped at seeded random places give an error or the right kind of values, never a
//! panic and never more than 1 GiB of memory.
//!
//! The files are made here; the real ones beside the project are used too where they are. `HEADGAN_FLIPS` sets how
//! many places are tried per file (200 unless told).

use headgan::import::{Options, default_check, import};
use headgan::models::ModelSet;
use headgan::weights::{Array, Data, Weights, mat, numpy, safetensors, torch};
use headgan::{Error, Result};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the bytes in use by the whole process, and their peak.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grow(n: usize) {
    let now = IN_USE.fetch_add(n, Ordering::Relaxed) + n;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: every call is handed on to the system's allocator unchanged; only sizes are added up.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's contract is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract is that of `System`.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grow(size);
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract is that of `System`.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

fn flips() -> usize {
    std::env::var("HEADGAN_FLIPS").ok().and_then(|v| v.parse().ok()).unwrap_or(200)
}

/// Reads `good` with one byte changed at a time. `read` returns the number of values, or an error.
///
/// Half of the places are within the first 4 KiB, where structure stands in large files.
fn corrupt(name: &str, good: &[u8], read: impl Fn(&[u8]) -> Result<usize>) {
    let expected = read(good).unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut rng = Rng(0x4ead_9a17 ^ good.len() as u64);
    let mut bytes = good.to_vec();
    let (mut errors, mut read_anyway) = (0, 0);
    for i in 0..flips() {
        let range = if i % 2 == 0 { good.len() } else { good.len().min(4096) };
        let at = rng.below(range);
        bytes[at] ^= 1 + rng.below(255) as u8;
        match catch_unwind(AssertUnwindSafe(|| read(&bytes))) {
            Ok(Ok(values)) => {
                // A name may change (a counter is then no longer left out), values do not multiply.
                assert!(values <= 2 * expected, "{name}: byte {at}: {values} values out of {expected}");
                read_anyway += 1;
            }
            Ok(Err(Error::Model(text))) => {
                assert!(!text.contains('\n') && text.contains(name), "{text}");
                errors += 1;
            }
            Ok(Err(other)) => panic!("{name}: byte {at}: {other:?}"),
            Err(_) => panic!("{name}: byte {at} set to {}: panic", bytes[at]),
        }
        bytes[at] = good[at];
    }
    let peak = PEAK.load(Ordering::Relaxed);
    eprintln!("{name}: {errors} errors, {read_anyway} read; peak so far {} MiB", peak >> 20);
    assert!(peak < 1 << 30, "{name}: {peak} bytes");
}

fn count(weights: &Weights) -> usize {
    weights.arrays.values().map(values).sum()
}

fn values(array: &Array) -> usize {
    match &array.data {
        Data::F32(v) => v.len(),
        Data::I32(v) => v.len(),
    }
}

fn read_torch(bytes: &[u8], name: &str) -> Result<usize> {
    torch::read(bytes, name, &torch::Options { strip: "module." }).map(|w| count(&w))
}

fn read_pickle(bytes: &[u8], name: &str) -> Result<usize> {
    numpy::read_pickle(bytes, name).map(|arrays| arrays.values().map(values).sum())
}

fn read_mat(bytes: &[u8], name: &str) -> Result<usize> {
    fn total(m: &mat::Mat) -> usize {
        match m {
            mat::Mat::Numbers(a) => values(a),
            mat::Mat::Struct(fields) => fields.values().map(total).sum(),
            mat::Mat::Cell(cells) => cells.iter().map(total).sum(),
            mat::Mat::Text(_) | mat::Mat::Other(_) => 0,
        }
    }
    mat::read(bytes, name).map(|vars| vars.values().map(total).sum())
}

fn read_safetensors(bytes: &[u8], name: &str) -> Result<usize> {
    safetensors::read(bytes, bytes.len() as u64, name).map(|(w, _)| count(&w))
}

/// The file of development data, or `None` (with one line) where it is absent.
fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("HEADGAN_SHARED").map(PathBuf::from);
    let root = root.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"));
    let path = root.join(path);
    if !path.exists() {
        eprintln!("skipped: {} is not beside the project", path.display());
        return None;
    }
    Some(path)
}

// ---- writers ----

fn text(out: &mut Vec<u8>, t: &str) {
    out.push(b'X');
    out.extend((t.len() as u32).to_le_bytes());
    out.extend(t.as_bytes());
}

fn int(out: &mut Vec<u8>, v: usize) {
    out.push(b'J');
    out.extend((v as u32).to_le_bytes());
}

/// The pickled dict of a checkpoint of `n` tensors `[4, 8]`, the `i`-th in the storage `i`.
fn checkpoint(n: usize) -> Vec<u8> {
    let mut out = b"\x80\x02}q\x00X\x0a\x00\x00\x00state_dictccollections\nOrderedDict\n)R(".to_vec();
    for i in 0..n {
        text(&mut out, &format!("module.layer{i}.weight"));
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\n");
        text(&mut out, &i.to_string());
        out.extend(b"U\x03cpuK\x20tQK\x00K\x04K\x08\x86K\x08K\x01\x86\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"us.");
    out
}

fn storage(i: usize) -> Vec<u8> {
    (0..32).flat_map(|v| ((i * 32 + v) as f32 * 0.01).to_le_bytes()).collect()
}

fn legacy() -> Vec<u8> {
    let mut out = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.".to_vec();
    out.extend(b"\x80\x02}(X\x10\x00\x00\x00protocol_versionM\xe9\x03X\x0d\x00\x00\x00little_endian\x88u.");
    out.extend(checkpoint(6));
    out.extend(b"\x80\x02](");
    (0..6).for_each(|i| text(&mut out, &i.to_string()));
    out.extend(b"e.");
    for i in 0..6 {
        out.extend(32u64.to_le_bytes());
        out.extend(storage(i));
    }
    out
}

fn zipped(method: zip::CompressionMethod) -> Vec<u8> {
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    let mut z = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let mut put = |name: &str, bytes: &[u8]| {
        z.start_file(name, options).unwrap();
        z.write_all(bytes).unwrap();
    };
    put("net/data.pkl", &checkpoint(6));
    put("net/byteorder", b"little");
    (0..6).for_each(|i| put(&format!("net/data/{i}"), &storage(i)));
    z.finish().unwrap().into_inner()
}

fn pickled_arrays() -> Vec<u8> {
    let mut out = b"\x80\x03}(".to_vec();
    for (i, name) in ["u", "w_shp", "keypoints"].iter().enumerate() {
        text(&mut out, name);
        out.extend(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01");
        int(&mut out, 4);
        int(&mut out, 8);
        out.extend(b"\x86cnumpy\ndtype\nU\x02f4\x89\x88\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb");
        out.push(if i == 1 { 0x88 } else { 0x89 });
        out.push(b'B');
        out.extend(128u32.to_le_bytes());
        out.extend(storage(i));
        out.extend(b"tb");
    }
    out.extend(b"u.");
    out
}

fn element(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut out = [kind.to_le_bytes(), (body.len() as u32).to_le_bytes()].concat();
    out.extend(body);
    out.resize(out.len().next_multiple_of(8), 0);
    out
}

fn matrix(class: u32, dims: [u32; 2], name: &str, content: &[u8]) -> Vec<u8> {
    let flags = element(6, &[class.to_le_bytes(), [0; 4]].concat());
    let dims = element(5, &dims.map(u32::to_le_bytes).concat());
    element(14, &[flags, dims, element(1, name.as_bytes()), content.to_vec()].concat())
}

fn mat_file(compress: bool) -> Vec<u8> {
    let doubles = |rows: u32, columns: u32| {
        let v: Vec<u8> = (0..rows * columns).flat_map(|v| (f64::from(v) * 0.5).to_le_bytes()).collect();
        matrix(6, [rows, columns], "", &element(9, &v))
    };
    let names = b"mean\0\0\0\0\0\0\0\0id_basis\0\0\0\0exp_basis\0\0\0";
    let width = [&5u32.to_le_bytes()[..2], &4u16.to_le_bytes(), &12u32.to_le_bytes()].concat();
    let fields = [width, element(1, names), doubles(12, 1), doubles(12, 4), doubles(12, 2)].concat();
    let note = matrix(4, [1, 5], "note", &element(16, b"hello"));
    let cell = matrix(1, [1, 2], "cell", &[doubles(2, 2), element(14, b"")].concat());
    let mut out = vec![b' '; 124];
    out.extend(b"\x00\x01IM");
    for variable in [matrix(2, [1, 1], "fmod", &fields), note, cell] {
        if compress {
            let mut z = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            z.write_all(&variable).unwrap();
            let z = z.finish().unwrap();
            out.extend([&15u32.to_le_bytes()[..], &(z.len() as u32).to_le_bytes(), &z].concat());
        } else {
            out.extend(variable);
        }
    }
    out
}

fn safetensors_file() -> Vec<u8> {
    let mut w = Weights::default();
    for i in 0..6 {
        w.insert(format!("layer{i}.weight"), Array::f32([4, 8], (0..32).map(|v| v as f32).collect()));
    }
    w.insert("index", Array { shape: vec![3], data: Data::I32(vec![1, 2, 3]) });
    w.metadata.insert("source".into(), "test".into());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    safetensors::save(&path, &w).unwrap();
    std::fs::read(path).unwrap()
}

// ---- tests ----

#[test]
fn torch_checkpoints() {
    corrupt("legacy.pth", &legacy(), |b| read_torch(b, "legacy.pth"));
    let stored = zipped(zip::CompressionMethod::Stored);
    corrupt("stored.pth", &stored, |b| read_torch(b, "stored.pth"));
    let deflated = zipped(zip::CompressionMethod::Deflated);
    corrupt("deflated.pth", &deflated, |b| read_torch(b, "deflated.pth"));
    for path in ["face-models/3ddfa_v2/FaceBoxesProd.pth", "face-models/retinaface/mobilenet0.25_Final.pth"] {
        let Some(file) = shared(path) else { continue };
        corrupt(path, &std::fs::read(file).unwrap(), |b| read_torch(b, path));
    }
}

#[test]
fn pickles() {
    corrupt("arrays.pkl", &pickled_arrays(), |b| read_pickle(b, "arrays.pkl"));
    for path in ["param_mean_std_62d_120x120.pkl", "tri.pkl", "bfm_noneck_v3.pkl"] {
        let path = format!("face-models/3ddfa_v2/{path}");
        let Some(file) = shared(&path) else { continue };
        corrupt(&path, &std::fs::read(file).unwrap(), |b| read_pickle(b, &path));
    }
}

#[test]
fn npy_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    numpy::save_npy(&path, &Array::f32([4, 8], vec![0.5; 32])).unwrap();
    let good = std::fs::read(path).unwrap();
    corrupt("a.npy", &good, |b| numpy::read_npy(b, "a.npy").map(|a| values(&a)));
}

#[test]
fn mat_files() {
    corrupt("plain.mat", &mat_file(false), |b| read_mat(b, "plain.mat"));
    corrupt("packed.mat", &mat_file(true), |b| read_mat(b, "packed.mat"));
    let path = "face-models/3ddfa_v2/BFM_UV.mat";
    if let Some(file) = shared(path) {
        corrupt(path, &std::fs::read(file).unwrap(), |b| read_mat(b, path));
    }
}

#[test]
fn safetensors_files() {
    corrupt("w.safetensors", &safetensors_file(), |b| read_safetensors(b, "w.safetensors"));
    let path = "fixtures/headgan/official_ngf2_64px.safetensors";
    if let Some(file) = shared(path) {
        corrupt(path, &std::fs::read(file).unwrap(), |b| read_safetensors(b, path));
    }
}

/// In a pack there is a checksum: whatever byte changes, loading is an error.
#[test]
fn packs() {
    let (from, dest) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut w = Weights::default();
    w.insert("body.stage1.0.0.weight", Array::f32([8, 3, 3, 3], vec![0.25; 216]));
    w.insert("fpn.output1.0.weight", Array::f32([64, 64, 1, 1], vec![0.5; 4096]));
    let path = from.path().join("mobilenet0.25.safetensors");
    safetensors::save(&path, &w).unwrap();
    let pack = import("retinaface", &path, None, dest.path(), &Options::default()).unwrap();
    let component = &pack.components()[0];
    let path = pack.path(component);
    let good = std::fs::read(&path).unwrap();
    let mut rng = Rng(5);
    for _ in 0..flips() {
        let mut bytes = good.clone();
        bytes[rng.below(good.len())] ^= 1 + rng.below(255) as u8;
        std::fs::write(&path, &bytes).unwrap();
        match catch_unwind(AssertUnwindSafe(|| pack.load(component, default_check))) {
            Ok(Err(Error::Model(text))) => assert!(text.contains("retinaface"), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    std::fs::write(&path, &good).unwrap();
    assert!(pack.load(component, default_check).is_ok());
    // And the manifest: an error, or a pack that still loads what it states.
    let path = pack.folder.join("pack.json");
    let good = std::fs::read(&path).unwrap();
    for _ in 0..flips() {
        let mut bytes = good.clone();
        bytes[rng.below(good.len())] ^= 1 + rng.below(255) as u8;
        std::fs::write(&path, &bytes).unwrap();
        let result = catch_unwind(|| {
            let set = ModelSet::from_folders(&[dest.path().to_owned()]);
            for pack in set.packs() {
                for component in pack.components() {
                    let _ = pack.load(component, default_check);
                }
            }
        });
        assert!(result.is_ok());
    }
}
