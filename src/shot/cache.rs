//! The shot cache: what was computed about a picture or a clip, in plain files that several programs and machines share.
//!
//! A value is a set of named arrays under a [`Key`], the hash of everything that it was computed from. It lies in
//! `v1/ab/<64 digits>.safetensors`, `ab` being the key's first two digits, with a checksum over key and contents in the
//! file's metadata. There are no locks: a file is written under a temporary name in the same folder, brought to
//! the disk and then given its name, unless another program was first, whose value then counts for all. So whoever
//! works on one shot with one cache works with the same numbers, even where processors round differently.
//!
//! A file that does not hold what it should is renamed to `*.damaged` and made anew. The size limit is kept by
//! [`Cache::trim`], which takes away what was not used for longest (a use is noted in the file's time, once an hour at most).

use crate::error::Advice;
use crate::key::Key;
use crate::media::atomic::plain;
use crate::weights::{Data, Weights, safetensors};
use crate::{Error, Result};
use parking_lot::Mutex;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The folder of this layout; another layout gets another number.
const LAYOUT: &str = "v1";
/// Name of the checksum in a file's metadata.
const CHECKSUM: &str = "blake3";
/// Ending of files that were set aside.
const DAMAGED: &str = "damaged";
/// What temporary files begin with.
const TEMPORARY: &str = ".tmp-";
/// Temporary files older than this were left by a program that died.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// How often a use is noted in a file's time.
const NOTE_USE: Duration = Duration::from_secs(3600);
/// No value is larger; a file that is has been exchanged.
const LARGEST: u64 = 1 << 30;

/// The size limit where none is given.
pub const DEFAULT_LIMIT: u64 = 2 << 30;

/// The folder of this user's cache unless told otherwise: `$HEADGAN_CACHE`, else the system's folder for caches. Reads the
/// environment: not for use while rendering.
pub fn standard_folder() -> Option<PathBuf> {
    let named = std::env::var_os("HEADGAN_CACHE").filter(|v| !v.is_empty()).map(PathBuf::from);
    named.or_else(crate::paths::user_cache)
}

/// A folder with values. Cheap to share between threads.
#[derive(Debug)]
pub struct Cache {
    /// The folder that the user named.
    folder: PathBuf,
    limit: u64,
    /// The first thing that went wrong while storing; the cache goes on without.
    problem: Mutex<Option<String>>,
}

/// What a cache holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Info {
    /// Where it lies.
    pub folder: PathBuf,
    /// Values.
    pub entries: u64,
    /// Bytes of the values.
    pub bytes: u64,
    /// Files that were set aside, and their bytes.
    pub damaged: u64,
    /// Their size in bytes.
    pub damaged_bytes: u64,
    /// Temporary files of programs that are at work, or died.
    pub temporary: u64,
    /// Bytes above which [`Cache::trim`] takes away values.
    pub limit: u64,
}

/// What [`Cache::trim`] took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Cleared {
    /// Files that were removed.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// What [`Cache::verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// Entries that are whole.
    pub good: u64,
    /// The files that were set aside now.
    pub damaged: Vec<PathBuf>,
}

/// A file below the cache's folder.
struct Entry {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
    kind: EntryKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum EntryKind {
    Value(Key),
    Damaged,
    Temporary,
}

impl Cache {
    /// The cache in this folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`Error::Input`] where the folder cannot be made or not be written to.
    pub fn open(folder: &Path, limit: u64) -> Result<Cache> {
        let fail = |e: std::io::Error| {
            let text = format!(
                "{}: cannot be used as cache ({}): name another folder, or use none",
                folder.display(),
                plain(&e)
            );
            Error::input(text).with_source(e).with_advice(Advice::ChooseCache)
        };
        let layout = folder.join(LAYOUT);
        make_folder(&layout).map_err(fail)?;
        tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&layout).map_err(fail)?;
        Ok(Cache { folder: folder.into(), limit, problem: Mutex::new(None) })
    }

    /// The folder that the user named.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The first thing that went wrong while storing, in one line. What could not be stored is computed again next time.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().clone()
    }

    /// Where the value of a key lies, or would.
    pub fn path(&self, key: &Key) -> PathBuf {
        let hex = key.hex();
        self.folder.join(LAYOUT).join(&hex[..2]).join(format!("{hex}.safetensors"))
    }

    /// The value of a key. A damaged file is set aside and counts as none.
    pub fn get(&self, key: &Key) -> Option<Weights> {
        let path = self.path(key);
        match read(&path, key) {
            Ok(value) => {
                note_use(&path);
                Some(value)
            }
            Err(Trouble::Damaged) => {
                set_aside(&path);
                None
            }
            Err(Trouble::Unreadable(e)) => {
                if e.kind() != ErrorKind::NotFound {
                    self.complain(&path, &e);
                }
                None
            }
        }
    }

    /// Stores a value and returns the one that counts: another program's, if that was first. Where storing is not possible
    /// ([`Cache::problem`] says why), the value itself.
    pub fn put(&self, key: &Key, mut value: Weights) -> Weights {
        let checksum = checksum(key, &value);
        value.metadata.insert(CHECKSUM.into(), checksum);
        let path = self.path(key);
        for _ in 0..2 {
            match publish(&path, &value) {
                Ok(true) => break,
                Ok(false) => match read(&path, key) {
                    Ok(first) => return first,
                    // It is gone again, or no good: ours takes its place.
                    Err(Trouble::Damaged) => set_aside(&path),
                    Err(Trouble::Unreadable(_)) => {}
                },
                Err(e) => {
                    self.complain(&path, &e);
                    break;
                }
            }
        }
        value.metadata.remove(CHECKSUM);
        value
    }

    /// Takes away the value of a key that has turned out to be wrong.
    pub fn remove(&self, key: &Key) {
        // Where this fails, it is gone already, or wrong next time too.
        let _ = std::fs::remove_file(self.path(key));
    }

    /// What is there.
    pub fn info(&self) -> Info {
        let mut info = Info { folder: self.folder.clone(), limit: self.limit, ..Info::default() };
        for entry in self.entries() {
            match entry.kind {
                EntryKind::Value(_) => {
                    info.entries += 1;
                    info.bytes += entry.bytes;
                }
                EntryKind::Damaged => {
                    info.damaged += 1;
                    info.damaged_bytes += entry.bytes;
                }
                EntryKind::Temporary => info.temporary += 1,
            }
        }
        info
    }

    /// Keeps the size limit; see [`Cache::clear`].
    pub fn trim(&self) -> Cleared {
        self.clear(self.limit)
    }

    /// Takes away what dead programs left, and, while more than `keep` bytes are there, what was set aside and then the values
    /// that were not used for longest.
    pub fn clear(&self, keep: u64) -> Cleared {
        let mut cleared = Cleared::default();
        let mut remove = |entry: &Entry| {
            // Another program may have been faster.
            if std::fs::remove_file(&entry.path).is_ok() {
                cleared.files += 1;
                cleared.bytes += entry.bytes;
            }
        };
        let now = SystemTime::now();
        let mut values = Vec::new();
        for entry in self.entries() {
            let age = now.duration_since(entry.used).unwrap_or_default();
            match entry.kind {
                EntryKind::Temporary if age > STALE => remove(&entry),
                EntryKind::Temporary => {}
                EntryKind::Damaged | EntryKind::Value(_) => values.push(entry),
            }
        }
        let mut total: u64 = values.iter().map(|e| e.bytes).sum();
        if total > keep {
            let order = |e: &Entry| (e.kind != EntryKind::Damaged, e.used);
            values.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.path.cmp(&b.path)));
            // A little more than needed, so that the next value does not start this over.
            let keep = keep / 10 * 9;
            for entry in &values {
                if total <= keep {
                    break;
                }
                remove(entry);
                total -= entry.bytes;
            }
        }
        cleared
    }

    /// Reads every value and sets damaged ones aside.
    pub fn verify(&self) -> Verified {
        let mut out = Verified::default();
        for entry in self.entries() {
            let EntryKind::Value(key) = entry.kind else { continue };
            match read(&entry.path, &key) {
                Ok(_) => out.good += 1,
                Err(Trouble::Damaged) => {
                    set_aside(&entry.path);
                    out.damaged.push(entry.path);
                }
                // Cleared meanwhile.
                Err(Trouble::Unreadable(_)) => {}
            }
        }
        out
    }

    fn entries(&self) -> Vec<Entry> {
        let mut out = Vec::new();
        let Ok(folders) = std::fs::read_dir(self.folder.join(LAYOUT)) else { return out };
        for folder in folders.flatten() {
            let Ok(files) = std::fs::read_dir(folder.path()) else { continue };
            for file in files.flatten() {
                let path = file.path();
                let Ok(meta) = file.metadata() else { continue };
                let Some(kind) = kind_of(&path).filter(|_| meta.is_file()) else { continue };
                let used = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                out.push(Entry { path, bytes: meta.len(), used, kind });
            }
        }
        out
    }

    fn complain(&self, path: &Path, e: &std::io::Error) {
        let text = format!("{}: the cache cannot be used ({}); the work goes on without", path.display(), plain(e));
        tracing::debug!("{text}");
        self.problem.lock().get_or_insert(text);
    }
}

/// What a file of the cache's folder is, by its name; `None` for strangers.
fn kind_of(path: &Path) -> Option<EntryKind> {
    let name = path.file_name()?.to_str()?;
    if name.starts_with(TEMPORARY) {
        return Some(EntryKind::Temporary);
    }
    if name.ends_with(DAMAGED) {
        return Some(EntryKind::Damaged);
    }
    name.strip_suffix(".safetensors").and_then(Key::from_hex).map(EntryKind::Value)
}

enum Trouble {
    Damaged,
    Unreadable(std::io::Error),
}

fn read(path: &Path, key: &Key) -> Result<Weights, Trouble> {
    let bytes = match std::fs::metadata(path) {
        Ok(meta) if meta.len() > LARGEST || !meta.is_file() => return Err(Trouble::Damaged),
        Ok(_) => std::fs::read(path).map_err(Trouble::Unreadable)?,
        Err(e) => return Err(Trouble::Unreadable(e)),
    };
    let (mut value, _) = safetensors::read(&bytes[..], bytes.len() as u64, "cache").map_err(|_| Trouble::Damaged)?;
    let stated = value.metadata.remove(CHECKSUM);
    if stated.as_deref() != Some(&checksum(key, &value)) {
        return Err(Trouble::Damaged);
    }
    Ok(value)
}

/// The checksum of key and contents.
fn checksum(key: &Key, value: &Weights) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key.bytes());
    let mut text = |t: &str| {
        hasher.update(&(t.len() as u64).to_le_bytes());
        hasher.update(t.as_bytes());
    };
    for (name, value) in value.metadata.iter().filter(|(name, _)| *name != CHECKSUM) {
        text(name);
        text(value);
    }
    for (name, array) in &value.arrays {
        let mut hash = |t: &[u8]| {
            hasher.update(&(t.len() as u64).to_le_bytes());
            hasher.update(t);
        };
        hash(name.as_bytes());
        let shape: Vec<u8> = array.shape.iter().flat_map(|n| (*n as u64).to_le_bytes()).collect();
        hash(&shape);
        match &array.data {
            Data::F32(v) => {
                hash(b"F32");
                hash(&v.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
            }
            Data::I32(v) => {
                hash(b"I32");
                hash(&v.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
            }
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// Writes a file that is there completely or not at all; `false` where one of that name is there already.
fn publish(path: &Path, value: &Weights) -> std::io::Result<bool> {
    let bytes = safetensors::to_bytes(value).map_err(std::io::Error::other)?;
    let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
    if !folder.is_dir() {
        make_folder(folder)?;
    }
    let mut temporary = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder)?;
    temporary.write_all(&bytes)?;
    // Readable and writable for the group, whatever the umask says: a cache is shared.
    #[cfg(unix)]
    temporary.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o664))?;
    temporary.as_file().sync_all()?;
    match temporary.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(e) if e.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e.error),
    }
}

/// Makes a folder, and those above it, open to the group.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make_folder(above)?;
    }
    match std::fs::create_dir(folder) {
        // Another program was faster; its owner alone may change the mode.
        Err(e) if e.kind() == ErrorKind::AlreadyExists && folder.is_dir() => return Ok(()),
        made => made?,
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What else the mode says stays: a folder that hands its group on (setgid) must go on doing so.
        let mode = folder.metadata()?.permissions().mode();
        std::fs::set_permissions(folder, PermissionsExt::from_mode(mode | 0o775))?;
    }
    Ok(())
}

fn set_aside(path: &Path) {
    // Where this fails, another program has done it, or the file will be met again.
    let _ = std::fs::rename(path, path.with_extension(DAMAGED));
}

/// Notes in a file's time that it was used. Fails for files of others, whose time then stays that of their making.
fn note_use(path: &Path) {
    let now = SystemTime::now();
    let old = |t: SystemTime| now.duration_since(t).is_ok_and(|age| age > NOTE_USE);
    if std::fs::metadata(path).and_then(|m| m.modified()).is_ok_and(old)
        && let Ok(file) = std::fs::File::options().append(true).open(path)
    {
        let _ = file.set_modified(now);
    }
}

/// Bytes from what a user types: `500MB`, `2 GiB`, `0`.
///
/// # Errors
/// [`Error::Usage`] where it is no size.
pub fn parse_size(text: &str) -> Result<u64> {
    let wrong = || Error::usage(format!("'{text}' is no size: write for instance 500MB or 2GiB"));
    let typed = text.trim();
    let digits = typed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(typed.len());
    let (number, unit) = typed.split_at(digits);
    let unit: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * unit;
    if bytes.is_finite() && bytes < 1e18 { Ok(bytes as u64) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;
    use crate::weights::Array;

    fn value(seed: u64, n: usize) -> Weights {
        let mut w = Weights::default();
        w.insert("values", Array::f32([n], Rng(seed).vec(n)));
        w.insert("empty", Array::f32([0, 3], vec![]));
        w.metadata.insert("seed".into(), seed.to_string());
        w
    }

    fn key(n: u64) -> Key {
        Key::new("test", &[&n.to_le_bytes()])
    }

    fn cache(limit: u64) -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("a/b"), limit).unwrap();
        (dir, cache)
    }

    #[test]
    fn what_is_put_is_got_and_the_first_counts() {
        let (_dir, cache) = cache(DEFAULT_LIMIT);
        assert_eq!(cache.get(&key(1)), None);
        assert_eq!(cache.put(&key(1), value(1, 50)), value(1, 50));
        assert_eq!(cache.get(&key(1)), Some(value(1, 50)));
        assert_eq!(cache.put(&key(1), value(2, 50)), value(1, 50), "the first one counts for all");
        assert_eq!(cache.get(&key(2)), None);
        let path = cache.path(&key(1));
        let hex = key(1).hex();
        assert!(path.ends_with(format!("v1/{}/{hex}.safetensors", &hex[..2])), "{}", path.display());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o664);
        }
        let info = cache.info();
        assert_eq!((info.entries, info.damaged, info.temporary), (1, 0, 0));
        assert!(cache.problem().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn folders_are_open_to_the_group_and_hand_it_on() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o2770)).unwrap();
        if mode(dir.path()) != 0o2770 {
            eprintln!("skipped: this file system knows no setgid");
            return;
        }
        let cache = Cache::open(&dir.path().join("a/b"), DEFAULT_LIMIT).unwrap();
        cache.put(&key(1), value(1, 5));
        let mut folder = cache.path(&key(1));
        for _ in 0..4 {
            folder.pop();
            // macOS hands the group on without the bit.
            let wanted = if cfg!(target_os = "linux") { 0o2775 } else { 0o775 };
            assert_eq!(mode(&folder) & wanted, wanted, "{}", folder.display());
        }
        assert_eq!(folder, dir.path().join("a"));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let (_dir, cache) = cache(DEFAULT_LIMIT);
        cache.put(&key(1), value(1, 5));
        let path = cache.path(&key(1));
        let good = std::fs::read(&path).unwrap();
        let tries = (0..good.len() * 8).map(|bit| {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        });
        for bytes in tries.chain((0..good.len()).map(|n| good[..n].to_vec())) {
            std::fs::write(&path, &bytes).unwrap();
            match cache.get(&key(1)) {
                // A padding blank that became a tab changes nothing.
                Some(got) => assert_eq!(got, value(1, 5)),
                None => assert!(!path.exists(), "it was not set aside"),
            }
        }
        // Set aside, and made anew.
        std::fs::write(&path, &good[..20]).unwrap();
        assert_eq!(cache.put(&key(1), value(1, 5)), value(1, 5));
        assert_eq!(std::fs::read(&path).unwrap(), good);
        assert_eq!(cache.info().damaged, 1);
        // A good file under another key's name.
        let other = cache.path(&key(2));
        std::fs::create_dir_all(other.parent().unwrap()).unwrap();
        std::fs::copy(&path, &other).unwrap();
        assert_eq!(cache.verify(), Verified { good: 1, damaged: vec![other] });
        assert_eq!(cache.clear(u64::MAX), Cleared::default());
        assert_eq!((cache.info().entries, cache.info().damaged), (1, 2));
        // What is damaged goes first.
        let keep = good.len() as u64 * 10 / 9 + 2;
        assert_eq!(cache.clear(keep).files, 2);
        assert_eq!((cache.info().entries, cache.info().damaged), (1, 0));
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let (_dir, cache) = cache(10_000);
        let ago = |hours: u64| SystemTime::now() - Duration::from_secs(hours * 3600);
        for n in 0..10 {
            cache.put(&key(n), value(n, 500));
            std::fs::File::options().append(true).open(cache.path(&key(n))).unwrap().set_modified(ago(50 - n)).unwrap();
        }
        // Used: the oldest becomes the youngest.
        assert!(cache.get(&key(0)).is_some());
        let temporary = cache.path(&key(0)).with_file_name(format!("{TEMPORARY}x"));
        for (hours, left) in [(1, true), (30, false)] {
            std::fs::write(&temporary, b"x").unwrap();
            std::fs::File::options().append(true).open(&temporary).unwrap().set_modified(ago(hours)).unwrap();
            cache.clear(u64::MAX);
            assert_eq!(temporary.exists(), left, "a temporary file of {hours} hours");
        }
        let cleared = cache.trim();
        let left: Vec<u64> = (0..10).filter(|n| cache.path(&key(*n)).exists()).collect();
        assert_eq!(left, [0, 7, 8, 9], "{cleared:?}");
        assert!(cache.info().bytes <= 9_000);
        assert_eq!(cache.clear(0).files, 4);
        assert_eq!(cache.info().entries, 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_cannot_be_used() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, b"x").unwrap();
        let e = Cache::open(&file, 1).unwrap_err();
        assert!(matches!(&e, Error::Input(t) if t.contains("another folder") && !t.contains('\n')), "{e}");
        // The work goes on where a folder becomes unusable.
        let cache = Cache::open(&dir.path().join("c"), DEFAULT_LIMIT).unwrap();
        let layout = dir.path().join("c").join(LAYOUT);
        std::fs::remove_dir(&layout).unwrap();
        std::fs::write(&layout, b"x").unwrap();
        assert_eq!(cache.put(&key(1), value(1, 5)), value(1, 5));
        assert_eq!(cache.get(&key(1)), None);
        assert!(cache.problem().unwrap().contains("cannot be used"));
    }

    /// The bar: 10,000 reads beside four writers that put, damage and clear: each read is none or whole.
    #[test]
    fn ten_thousand_reads_beside_four_writers() {
        use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
        const KEYS: u64 = 40;
        struct Finish<'a>(&'a AtomicBool);
        impl Drop for Finish<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let (_dir, cache) = cache(DEFAULT_LIMIT);
        let (done, found) = (AtomicBool::new(false), AtomicUsize::new(0));
        // A value tells its key, and its length its writer.
        let whole = |n: u64, v: &Weights| (1..=4).any(|w| *v == value(n, 300 * w));
        // The readers may be through before the writers have begun.
        (0..KEYS).for_each(|n| drop(cache.put(&key(n), value(n, 300))));
        std::thread::scope(|scope| {
            for w in 1..=4u64 {
                let (cache, done) = (&cache, &done);
                scope.spawn(move || {
                    let mut rng = Rng(w);
                    while !done.load(Ordering::Relaxed) {
                        let n = rng.next_u64() % KEYS;
                        match rng.next_u64() % 8 {
                            0 => drop(std::fs::remove_file(cache.path(&key(n)))),
                            1 => drop(std::fs::write(cache.path(&key(n)), &rng.next_u64().to_le_bytes()[..7])),
                            _ => {
                                let kept = cache.put(&key(n), value(n, 300 * w as usize));
                                assert!(whole(n, &kept), "key {n}: a torn value came back from put");
                            }
                        }
                    }
                });
            }
            // However the readers end, the writers end with them.
            let _end = Finish(&done);
            std::thread::scope(|scope| {
                for r in 0..2u64 {
                    let (cache, found) = (&cache, &found);
                    scope.spawn(move || {
                        let mut rng = Rng(100 + r);
                        for _ in 0..5_000 {
                            let n = rng.next_u64() % KEYS;
                            if let Some(v) = cache.get(&key(n)) {
                                assert!(whole(n, &v), "key {n}: torn");
                                found.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    });
                }
            });
        });
        let found = found.into_inner();
        assert!(found > 3_000, "only {found} of 10,000 reads found a value");
        eprintln!("10,000 reads beside four writers: {found} found, none torn");
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_size("500MB").unwrap(), 500_000_000);
        assert_eq!(parse_size(" 1.5 gib ").unwrap(), 3 << 29);
        assert_eq!(parse_size("0").unwrap(), 0);
        for bad in ["", "x", "-1", "1e99TB", "5 apples", "nan"] {
            assert!(matches!(parse_size(bad), Err(Error::Usage(_))), "{bad}");
        }
    }
}
