//! Level 8: what hosts do that the standard does not say, and files that are missing, damaged or cannot be written.

use super::{Run, apart, each_plugin, hashes, instance};
use crate::abi::*;
use crate::effect::View;
use crate::host::{Profile, host};
use crate::log;
use crate::session::{Ask, Loaded};
use std::fs;
use std::path::{Path, PathBuf};

pub fn run(run: &Run) {
    apart("an instance destroyed twice", || each_plugin(run, destroyed_twice));
    apart("load again without unload", || each_plugin(run, loaded_again));
    apart("a new instance for every frame", || each_plugin(run, instance_per_frame));
    for context in [kOfxImageEffectContextGeneral, kOfxImageEffectContextFilter] {
        let name = context.to_string_lossy();
        apart(&format!("{name} without a source: no wire"), || {
            each_plugin(run, |l| unwired(l, context, Profile::default()));
        });
        apart(&format!("{name} without a source: an image without data, no Connected property"), || {
            each_plugin(run, |l| unwired(l, context, Profile { hollow: true, ..Profile::default() }));
        });
    }
    for (what, profile) in [
        ("a host without project size, rates and ranges", Profile { bare: true, ..Profile::default() }),
        ("a host of OpenFX 1.2", Profile { old: true, ..Profile::default() }),
    ] {
        apart(what, || {
            host().set_profile(profile);
            each_plugin(run, some_frames);
        });
    }
    files(run);
}

fn some_frames(loaded: &Loaded) {
    let Some(instance) = instance(loaded) else { return };
    for t in 0..3 {
        instance.render(Ask::at(f64::from(t)));
    }
    instance.destroy();
}

fn destroyed_twice(loaded: &Loaded) {
    let Some(once) = instance(loaded) else { return };
    once.render(Ask::at(0.0));
    // The handle still lives in the host: its second end is what some hosts send.
    let status = once.simple(kOfxActionDestroyInstance);
    if !done(status) {
        log::fail(format!("destroyInstance: {}", status_name(status)));
    }
    // Any status will do for the second one, which `destroy` would judge.
    let _ = once.simple(kOfxActionDestroyInstance);
    once.effect.close();
    some_frames(loaded);
}

fn loaded_again(loaded: &Loaded) {
    let status = loaded.load_again();
    if !done(status) {
        log::note(format!("load again: {}", status_name(status)));
    }
    some_frames(loaded);
}

fn instance_per_frame(loaded: &Loaded) {
    let Some(one) = instance(loaded) else { return };
    let expected = hashes(&one);
    one.destroy();
    for (t, expected) in expected.iter().enumerate() {
        let Some(fresh) = instance(loaded) else { return };
        if fresh.render(Ask::at(t as f64)).hash() != *expected {
            log::fail(format!("frame {t} of a new instance has other pixels"));
        }
        fresh.destroy();
    }
}

fn unwired(loaded: &Loaded, context: &std::ffi::CStr, profile: Profile) {
    host().set_profile(profile);
    if !loaded.contexts.iter().any(|(c, _)| c.as_c_str() == context) {
        return log::note(format!("the plugin has no context {}", context.to_string_lossy()));
    }
    match loaded.create(context, View { wired: false, ..loaded.view() }, None) {
        Ok(instance) => {
            instance.render(Ask::at(0.0));
            instance.destroy();
        }
        Err(e) => log::note(e),
    }
}

/// Every file below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(below(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found.sort();
    found
}

/// Points the folders of users' data and caches elsewhere. For a process of one thread.
fn redirect(names: &[&str], to: &Path) {
    for name in names {
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var(name, to) };
    }
}

fn files(run: &Run) {
    const DATA: [&str; 3] = ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"];
    const CACHE: [&str; 1] = ["XDG_CACHE_HOME"];
    let Ok(folder) = tempfile::tempdir() else { return log::fail("no temporary folder") };
    let home = folder.path().join("home");
    let cache = folder.path().join("cache");
    if let Err(e) = fs::create_dir_all(&home).and_then(|()| fs::create_dir_all(&cache)) {
        return log::fail(format!("{}: {e}", folder.path().display()));
    }
    apart("a user without models, settings or cache", || {
        redirect(&DATA, &home);
        redirect(&CACHE, &cache);
        each_plugin(run, some_frames);
    });
    apart("an empty cache is filled", || {
        redirect(&CACHE, &cache);
        each_plugin(run, some_frames);
    });
    let files = below(&cache);
    log::note(format!("files in the plugin's cache: {}", files.len()));
    let mut random = run.settings.random("damage");
    for path in files {
        let damaged = fs::read(&path).and_then(|mut bytes| {
            match random.below(3) {
                0 => bytes.truncate(random.below(bytes.len())),
                1 => bytes.clear(),
                _ => {
                    for _ in 0..bytes.len() / 16 + 1 {
                        let at = random.below(bytes.len());
                        if let Some(b) = bytes.get_mut(at) {
                            *b ^= 1 << random.below(8);
                        }
                    }
                }
            }
            fs::write(&path, bytes)
        });
        if let Err(e) = damaged {
            log::fail(format!("{}: {e}", path.display()));
        }
    }
    apart("a damaged cache", || {
        redirect(&CACHE, &cache);
        each_plugin(run, some_frames);
    });
    let not_a_folder = folder.path().join("file");
    if let Err(e) = fs::write(&not_a_folder, "") {
        return log::fail(format!("{}: {e}", not_a_folder.display()));
    }
    apart("a cache folder that cannot be made", || {
        redirect(&CACHE, &not_a_folder);
        each_plugin(run, some_frames);
    });
    let full = folder.path().join("full");
    if let Err(e) = fs::create_dir_all(&full) {
        return log::fail(format!("{}: {e}", full.display()));
    }
    // A full disk without the rights to mount one: no file may grow beyond 512 bytes, and writes fail instead of
    // killing.
    apart("a disk that takes no more than 512 bytes a file", || {
        redirect(&CACHE, &full);
        let limit = libc::rlimit { rlim_cur: 512, rlim_max: 512 };
        // SAFETY: both change this process alone.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            libc::setrlimit(libc::RLIMIT_FSIZE, &limit);
        }
        each_plugin(run, some_frames);
    });
}
