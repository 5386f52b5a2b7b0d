//! The host against the probe: the plain probe passes, and each of its misbehaviours is found at the level that looks
//! for it, and not before.

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The probe's library, which cargo builds beside this test.
fn probe() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap();
    let found = [folder, folder.parent().unwrap()].map(|f| f.join("libofx_probe.so")).into_iter().find(|p| p.exists());
    found.unwrap_or_else(|| panic!("no libofx_probe.so beside {}", test.display()))
}

/// Runs the host; gives whether it passed, and its log.
fn host(bundle: &Path, misbehave: &str, args: &[&str]) -> (bool, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_ofx-conformance"))
        .arg(bundle)
        .args(["--set", &format!("misbehave={misbehave}")])
        .args(args)
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.stderr.is_empty(), "{}", String::from_utf8_lossy(&run.stderr));
    (run.status.success(), log)
}

/// The misbehaviour passes every `clean` level and is found at `level` with a failure that says `text`.
fn found(misbehave: &str, level: &str, text: &str, clean: &[&str]) {
    for level in clean {
        let (passed, log) = host(&probe(), misbehave, &["--only", "--level", level]);
        assert!(passed, "{misbehave}: not expected to fail at level {level}\n{log}");
    }
    let (passed, log) = host(&probe(), misbehave, &["--only", "--level", level, "--timeout", "30"]);
    assert!(!passed, "{misbehave}: passed level {level}\n{log}");
    let failed = log.lines().any(|l| l.contains(" FAIL ") && l.contains(text));
    assert!(failed, "{misbehave}: no failure says {text:?}\n{log}");
}

#[test]
fn the_plain_probe_passes_level_9_as_a_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("Probe.ofx.bundle");
    let arch =
        bundle.join(if cfg!(target_arch = "x86_64") { "Contents/Linux-x86-64" } else { "Contents/Linux-aarch64" });
    std::fs::create_dir_all(&arch).unwrap();
    std::fs::copy(probe(), arch.join("Probe.ofx")).unwrap();
    for seed in ["1", "77"] {
        let (passed, log) = host(&bundle, "nothing", &["--level", "9", "--strict", "--seed", seed]);
        assert!(passed, "{log}");
        assert!(log.contains("summary  78 checks passed, 0 failures, 0 warnings"), "{log}");
    }
}

#[test]
fn the_plain_probe_passes_a_short_soak() {
    let (passed, log) = host(&probe(), "nothing", &["--only", "--level", "10", "--soak", "3"]);
    assert!(passed, "{log}");
}

#[test]
fn frames_and_a_reference_of_the_user_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..3 {
        image::RgbImage::from_pixel(20, 10, image::Rgb([50 * i, 9, 8]))
            .save(folder.path().join(format!("{i}.png")))
            .unwrap();
    }
    let source = folder.path().to_str().unwrap();
    let reference = folder.path().join("0.png");
    let given = ["--source", source, "--reference", reference.to_str().unwrap(), "--level", "4", "--strict"];
    let (passed, log) = host(&probe(), "nothing", &given);
    assert!(passed, "{log}");
}

#[test]
fn writes_where_they_do_not_belong() {
    found("write outside of the bounds", "3", "written to outside of its bounds", &[]);
    found("write outside of the window", "3", "outside of the render window", &["2"]);
    found("write into the source", "3", "inputs are the host's", &[]);
    found("leave pixels unwritten", "3", "some are not written", &["2"]);
}

#[test]
fn images_and_strings_beyond_their_time() {
    found("leak an image", "3", "is not released", &[]);
    found("release an image twice", "3", "released before", &[]);
    found("use an image after its release", "3", "given back", &[]);
    found("use a string too late", "3", "no longer valid", &[]);
}

#[test]
fn crashes_hangs_and_silence() {
    found("crash", "3", "signal 11 (SIGSEGV)", &["1"]);
    found("hang", "3", "no end after 30s", &["1"]);
    found("fail without a message", "3", "kOfxStatFailed without a message", &["1"]);
}

#[test]
fn what_depends_on_order_threads_and_the_host() {
    found("depend on the last frame", "4", "depends on which frames were rendered before", &["2"]);
    found("race on the instance", "7", "when four threads render", &["2", "4"]);
    found("trust unset properties", "8", "signal 11 (SIGSEGV)", &["2", "3", "4", "5", "6", "7"]);
}

#[test]
fn calls_from_where_they_may_not_come() {
    found("call from a foreign thread", "3", "was not started by the multi-thread suite", &["1"]);
    found("set a parameter in render", "3", "mix is set within OfxImageEffectActionRender", &["1"]);
}

#[test]
fn leaks_files_and_the_environment() {
    found("leak memory", "9", "a leak of", &["3", "4", "8"]);
    found("open a file in render", "9", "opens /proc/version", &["3", "8"]);
    found("read the environment in render", "9", "reads PROBE from the environment", &["3", "8"]);
}

#[test]
fn a_wrong_command_is_one_line_and_status_2() {
    let run = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_ofx-conformance")).args(args).output().unwrap();
    let missing = run(&["no-such.ofx.bundle"]);
    assert_eq!(missing.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&missing.stderr).lines().count(), 1);
    let library = probe();
    let unequal = run(&[library.to_str().unwrap(), "--set", "mix"]);
    assert_eq!(unequal.status.code(), Some(2));
}
