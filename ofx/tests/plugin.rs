//! The built plugin, driven by the small host of `mock`.
//!
//! One test after the other: host and plugin are each one to the process.

#[path = "../../tests/common/world.rs"]
#[allow(dead_code)]
mod world;

mod mock;

use headgan::CancelToken;
use headgan::controls::choices::Quality;
use headgan::controls::{CONTROLS, Group, Kind, Values};
use headgan::engine::cpu;
use headgan::face::choose::Choice;
use headgan::frame::{Color, Frame};
use headgan::media::Rational;
use headgan::models::ModelSet;
use headgan::reenact::backend::Backend;
use headgan::reenact::generator::Generator;
use headgan::reenact::networks::Networks;
use headgan::reenact::shot::{Scratch, Shot};
use headgan::reenact::{AudioInput, FrameSettings, MatteSettings, ReferenceUse};
use headgan::shot::analyse::{Clip, ClipFrames};
use headgan::shot::{Analyser, AudioExtractor, AudioSource, Head, Track, TrackSettings};
use mock::{
    Effect, KEYS_UNKNOWN, LASTING, LENDING, LENT, Layout, MESSAGES, Plugin, Props, READS, Request, STOP_AFTER, Val,
    WITHOUT, stored,
};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSymbol};
use openfx::sys::generic::core::*;
use openfx::sys::image_effect_v1::image_effect::*;
use openfx::sys::image_effect_v1::param::*;
use parking_lot::{Mutex, MutexGuard};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use world::{SIDE, World, blobs, moving};

/// Frames of the driving clip, from time 10 on.
const FRAMES: usize = 6;
const FIRST: f64 = 10.0;

fn library() -> PathBuf {
    let name = format!("{}HeadGANReenact{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    // Cargo puts the library beside this program, or one folder up.
    let exe = std::env::current_exe().unwrap();
    let found = exe.ancestors().skip(1).take(2).map(|d| d.join(&name)).find(|p| p.is_file());
    found.unwrap_or_else(|| panic!("{name} is not beside {}", exe.display()))
}

/// The plugin, with the packs of the world of blobs and a cache folder of its own. Held while a test runs.
fn plugin() -> (MutexGuard<'static, ()>, &'static Plugin, &'static World) {
    static ONE: Mutex<()> = Mutex::new(());
    static PLUGIN: OnceLock<(Plugin, &'static World)> = OnceLock::new();
    let guard = ONE.lock();
    let (plugin, world) = PLUGIN.get_or_init(|| {
        let world = world::world();
        // SAFETY: no other thread of the tests runs yet: all of them wait for the lock above.
        unsafe {
            std::env::set_var("HEADGAN_MODELS", &world.models);
            std::env::set_var("HEADGAN_CACHE", world::workshop().join("cache"));
            for home in ["HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"] {
                std::env::set_var(home, world::workshop().join("nobody"));
            }
        }
        world::write_listener(&world.models);
        let plugin = Plugin::open(&library());
        assert_eq!(plugin.call(kOfxActionLoad, None, None, None), kOfxStatOK);
        (plugin, world)
    });
    MESSAGES.lock().clear();
    *LASTING.lock() = None;
    plugin.set_background(false);
    STOP_AFTER.store(usize::MAX, Ordering::SeqCst);
    (guard, plugin, world)
}

fn clip() -> Vec<Frame> {
    moving(FRAMES).collect()
}

/// A reference of which nothing is left to chance: values above 1, and alpha that is not 1.
fn reference() -> Frame {
    let mut frame = blobs(&[[96.0, 96.0]]);
    for (i, p) in frame.data.chunks_exact_mut(4).enumerate() {
        let (x, y) = (i % SIDE, i / SIDE);
        if x < 8 {
            p[0] = 1.0 + y as f32 / 50.0;
        }
        if y < 6 {
            p[3] = x as f32 / SIDE as f32;
        }
    }
    frame
}

/// An instance with both clips wired.
fn wired(plugin: &Plugin, layout: Layout) -> Box<Effect> {
    let mut effect = plugin.create(kOfxImageEffectContextGeneral);
    wire(&mut effect, layout);
    effect
}

fn wire(effect: &mut Effect, layout: Layout) {
    let frames = clip();
    let shown = move |time: f64| {
        let frame = frames.get((time - FIRST).round() as usize).filter(|_| time >= FIRST)?;
        Some(Frame { data: stored(frame, layout.alpha), ..frame.clone() })
    };
    effect.feed("Source", layout, Some((FIRST, FIRST + FRAMES as f64 - 1.0)), Box::new(shown));
    let picture = reference();
    let held = move |_: f64| Some(Frame { data: stored(&picture, layout.alpha), ..picture.clone() });
    effect.feed("Reference", layout, Some((0.0, 0.0)), Box::new(held));
}

/// What the command line makes of the same frames; frame `index`, and the mask.
fn expected(values: &Values, index: usize, picture: Frame) -> (Frame, Vec<f32>) {
    expected_with(values, index, picture, None)
}

/// The same with a sound of 25 frames a second.
fn expected_with(values: &Values, index: usize, picture: Frame, sound: Option<&std::path::Path>) -> (Frame, Vec<f32>) {
    // As the plugin finds them: an acoustic model may be among them.
    let models = ModelSet::discover(&[]);
    let options = cpu::Options { threads: 1, ..cpu::Options::default() };
    let networks = Networks::load(&models, None, None, &options).unwrap();
    let frames = clip();
    let all = |range: Option<headgan::media::FrameRange>| -> headgan::Result<ClipFrames> {
        let skip = range.map_or(0, |r| r.first);
        Ok(Box::new(frames.iter().cloned().enumerate().skip(skip).map(Ok)))
    };
    let analyser = Analyser {
        observer: networks.observer(),
        networks: networks.fingerprint(),
        cache: None,
        threads: 1,
        progress: &|| (),
        cancel: &CancelToken::default(),
    };
    let clip = Clip { name: "clip", fps: None, identity: None, frames: &all };
    let analysis = analyser.run(&clip, |_, _| Choice::Largest).unwrap();
    let motion = analysis.motion(networks.model_hash());
    let head = Head::from_model(networks.morphable.model());
    let track = Track::new(&motion, &head, &TrackSettings::default()).unwrap();
    let fit = networks.observer().observe(&picture).unwrap().choose(Choice::Largest).unwrap().fit;
    let full = values.resolve(FIRST).quality == Quality::Full;
    let generator = full.then(|| Generator::load(&models, None, None, &Backend::Embedded, &options).unwrap());
    let extractor = AudioExtractor { models: &models, threads: 1, cache: None, cancel: &CancelToken::default() };
    let gain = values.resolve(FIRST).audio_gain;
    let listen = |file| extractor.extract(&AudioSource::File(file), Rational::whole(25), gain).unwrap();
    let hearing = sound.map(listen).map(|l| AudioInput { conditioning: l.conditioning, key: l.key, first: 0.0 });
    let uses = ReferenceUse { matte: MatteSettings::from_controls(&values.resolve(FIRST)), ..ReferenceUse::default() };
    let shot = Shot::new(&networks, picture, &fit, track, generator, &uses).unwrap().with_audio(hearing);
    let look = |i: usize| FrameSettings::from_controls(&values.resolve(FIRST + i as f64), false);
    let result = shot.render(index, &look, &mut Scratch::default()).unwrap().clone();
    let mask = |i: usize| FrameSettings { view: headgan::controls::choices::View::Mask, ..look(i) };
    let mask = shot.render(index, &mask, &mut Scratch::default()).unwrap().clone();
    (result, mask.data.chunks_exact(4).map(|p| p[0]).collect())
}

fn ok(result: (OfxStatus, Box<mock::Lent>)) -> Box<mock::Lent> {
    assert_eq!(result.0, kOfxStatOK, "{:?} {:?}", MESSAGES.lock(), LASTING.lock());
    assert_eq!(LENT.load(Ordering::SeqCst), 0, "a picture was not released");
    result.1.check_canaries();
    result.1
}

fn analyse(plugin: &Plugin, effect: &mut Effect) {
    assert_eq!(plugin.edited(effect, "analyse"), kOfxStatOK, "{:?}", MESSAGES.lock());
}

#[test]
fn three_functions_are_exported_and_no_other() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let bytes = std::fs::read(library()).unwrap();
    let file = ElfFile64::<object::Endianness>::parse(&*bytes).unwrap();
    let mut names: Vec<&str> =
        file.dynamic_symbols().filter(|s| s.is_definition() && s.is_global()).map(|s| s.name().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["OfxGetNumberOfPlugins", "OfxGetPlugin", "OfxSetHost"]);
}

#[test]
fn both_contexts_are_described_within_50_ms() {
    let (_one, plugin, _) = plugin();
    assert_eq!(plugin.identifier(), "org.headgan.HeadGANReenact");
    let started = std::time::Instant::now();
    let general = plugin.describe(kOfxImageEffectContextGeneral);
    let took = started.elapsed();
    assert!(took.as_millis() < 50, "{took:?}");
    eprintln!("described in {took:?}");
    let filter = plugin.describe(kOfxImageEffectContextFilter);
    assert_eq!(general.names(), filter.names());
    let names: Vec<&str> = general.clips.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["Source", "Reference", "Output"]);
    let names = general.names();
    let page = general.params.iter().find(|p| p.kind == "OfxParamTypePage").unwrap();
    let listed = page.props.texts(kOfxParamPropPageChild);
    let mut labels = std::collections::HashSet::new();
    for p in &general.params {
        let label = p.props.texts(kOfxPropLabel).concat();
        assert!(!label.contains('-') && !label.is_empty(), "Nuke dislikes the label {label}");
        // A group may be called as its main control.
        let group = p.kind == "OfxParamTypeGroup";
        assert!(group || labels.insert(label.clone()), "two parameters have the label {label}");
        for parent in p.props.texts(kOfxParamPropParent) {
            assert!(names.contains(parent.as_str()), "{}: there is no group {parent}", p.name);
        }
    }
    for c in CONTROLS.iter().filter(|c| c.is_for_hosts()) {
        let p = general.params.iter().find(|p| p.name == c.id).unwrap();
        assert!(listed.iter().any(|l| l == c.id), "{} is on no page", c.id);
        assert_eq!(p.props.texts(kOfxParamPropHint), [c.hint]);
        assert_eq!(p.props.get(kOfxParamPropAnimates), [Val::Int(c.keyframable.into())], "{}", c.id);
        match c.kind {
            Kind::Float { default, min, max, .. } => {
                assert_eq!(p.props.get(kOfxParamPropDefault), [Val::Double(default)]);
                assert_eq!(p.props.doubles(kOfxParamPropMin), [min]);
                assert_eq!(p.props.doubles(kOfxParamPropMax), [max]);
            }
            Kind::Choice { options, .. } => {
                let labels: Vec<&str> = options.iter().map(|o| o.label).collect();
                assert_eq!(p.props.texts(kOfxParamPropChoiceOption), labels);
            }
            _ => {}
        }
    }
    assert!(Group::ALL.iter().all(|g| names.contains(g.id())));
}

/// The bar: at every depth and layout what the library makes, and outside the mask the plate's own samples.
#[test]
fn every_depth_and_layout_shows_the_same() {
    let (_one, plugin, _) = plugin();
    let whole = {
        // What whole numbers can hold.
        let mut frame = reference();
        frame.data.iter_mut().for_each(|v| *v = v.min(1.0));
        frame
    };
    let of_floats = (reference(), expected(&Values::new(), 4, reference()));
    let of_whole = (whole.clone(), expected(&Values::new(), 4, whole));
    for (depth, step) in [
        (kOfxBitDepthFloat, 1e-6),
        (kOfxBitDepthHalf, 2e-3),
        (kOfxBitDepthShort, 2.0 / 65535.0),
        (kOfxBitDepthByte, 2.0 / 255.0),
    ] {
        for (kind, alpha) in [
            (kOfxImageComponentRGBA, kOfxImageUnPreMultiplied),
            (kOfxImageComponentRGBA, kOfxImagePreMultiplied),
            (kOfxImageComponentRGB, kOfxImageOpaque),
        ] {
            let layout =
                Layout { depth, kind, alpha, origin: (-7, -13), padding: 12, negative: depth != kOfxBitDepthHalf };
            let mut effect = wired(plugin, layout);
            let floats = depth == kOfxBitDepthFloat || depth == kOfxBitDepthHalf;
            let (plate, (result, mask)) = if floats { &of_floats } else { &of_whole };
            let shown = Frame { data: stored(plate, alpha), ..plate.clone() };
            effect.feed("Reference", layout, Some((0.0, 0.0)), Box::new(move |_| Some(shown.clone())));
            analyse(plugin, &mut effect);
            let request = Request { layout, ..Request::at(FIRST + 4.0, (SIDE, SIDE)) };
            let out = ok(plugin.render(&effect, request));
            assert_eq!(*LASTING.lock(), None, "{layout:?}: the frame is not known by its key");
            let own = mock::Lent::new((SIDE, SIDE), &stored(plate, alpha), layout);
            let (got, own) = (out.samples(), own.samples());
            let channels = layout.channels();
            let (mut outside, mut changed, mut worst) = (0, 0, 0.0f32);
            for (i, m) in mask.iter().enumerate() {
                let (got, own) = (&got[channels * i..][..channels], &own[channels * i..][..channels]);
                if *m == 0.0 {
                    outside += 1;
                    assert!(got.iter().zip(own).all(|(a, b)| a.to_bits() == b.to_bits()), "{layout:?} pixel {i}");
                } else {
                    changed += usize::from(got != own);
                    let wanted = &result.data[4 * i..4 * i + 4];
                    // Under alpha below 1 premultiplied samples hold less.
                    if wanted[3] == 1.0 {
                        let apart = |c: usize| (got[c] - wanted[c]).abs() / wanted[c].abs().max(1.0);
                        let off = (0..3).map(apart).fold(0.0, f32::max);
                        worst = worst.max(off);
                    }
                }
            }
            assert!(outside > 1000 && changed > 1000, "{outside} outside, {changed} changed");
            eprintln!("{} {} {}: largest difference {worst:e}", name(depth), name(kind), name(alpha));
            assert!(worst <= step, "{layout:?}: {worst}");
        }
    }
    // One channel is a grey picture.
    let layout = Layout { kind: kOfxImageComponentAlpha, alpha: kOfxImageOpaque, ..Layout::FLOAT };
    let effect = wired(plugin, layout);
    let (status, out) = plugin.render(&effect, Request { layout, ..Request::at(FIRST, (SIDE, SIDE)) });
    // The blobs are blue: without colour there is no face.
    assert!(status == kOfxStatFailed && LASTING.lock().as_ref().unwrap().contains("no face"), "{status}");
    out.check_canaries();
}

fn name(of: &std::ffi::CStr) -> &str {
    of.to_str().unwrap().trim_start_matches("Ofx")
}

#[test]
fn keyframes_and_windows() {
    let (_one, plugin, _) = plugin();
    let mut effect = wired(plugin, Layout::FLOAT);
    analyse(plugin, &mut effect);
    effect.param("yaw_offset").keys = vec![(FIRST, -10.0), (FIRST + 5.0, 15.0)];
    effect.param("seam_softness").keys = vec![(FIRST, 5.0), (FIRST + 5.0, 50.0)];
    let mut values = Values::new();
    let keys = r#"{
        "yaw_offset": [
            {"frame": 10, "value": -10, "interp": "linear"},
            {"frame": 15, "value": 15, "interp": "linear"}],
        "seam_softness": [
            {"frame": 10, "value": 5, "interp": "linear"},
            {"frame": 15, "value": 50, "interp": "linear"}]}"#;
    let file = world::workshop().join("keys.json");
    std::fs::write(&file, keys).unwrap();
    values.read_keys(&file).unwrap();
    for i in [3, 0, 5] {
        let (result, _) = expected(&values, i, reference());
        let out = ok(plugin.render(&effect, Request::at(FIRST + i as f64, (SIDE, SIDE))));
        let off = out.samples().iter().zip(&result.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-5, "frame {i}: {off}");
    }
    // A window alone: around it the picture stays as it was.
    let window = [20, 30, 100, 90];
    let request = Request { window: Some(window), ..Request::at(FIRST, (SIDE, SIDE)) };
    let part = ok(plugin.render(&effect, request)).samples();
    let whole = ok(plugin.render(&effect, Request::at(FIRST, (SIDE, SIDE)))).samples();
    for y in 0..SIDE {
        for x in 0..SIDE {
            let up = (SIDE - 1 - y) as i32;
            let inside = (20..100).contains(&(x as i32)) && (30..90).contains(&up);
            let at = 4 * (y * SIDE + x);
            let wanted = if inside { &whole[at..at + 4] } else { &[0.25; 4] };
            assert_eq!(&part[at..at + 4], wanted, "{x} {y}");
        }
    }
}

#[test]
fn unanalysed_shots() {
    let (_one, plugin, _) = plugin();
    let mut effect = wired(plugin, Layout::FLOAT);
    ok(plugin.render(&effect, Request::at(FIRST + 2.0, (SIDE, SIDE))));
    assert!(LASTING.lock().as_ref().unwrap().contains("not analysed"));
    plugin.set_background(true);
    let request = Request { interactive: false, ..Request::at(FIRST + 2.0, (SIDE, SIDE)) };
    assert_eq!(plugin.render(&effect, request).0, kOfxStatFailed);
    let said = LASTING.lock().clone().unwrap();
    assert!(said.contains("frame 12 is not analysed") && said.contains("Allow unanalysed"), "{said}");
    effect.set("allow_unanalysed", Val::Int(1));
    ok(plugin.render(&effect, request));
    effect.set("allow_unanalysed", Val::Int(0));
    analyse(plugin, &mut effect);
    ok(plugin.render(&effect, request));
    assert_eq!(*LASTING.lock(), None, "the message stays though all is well");
    // Another face, or other frames, are not what was analysed.
    effect.set("face_choice", Val::Int(2));
    assert_eq!(plugin.render(&effect, request).0, kOfxStatFailed);
    effect.set("face_choice", Val::Int(0));
    effect.feed("Source", Layout::FLOAT, Some((0.0, 0.0)), Box::new(|_| Some(blobs(&[[64.0, 64.0]]))));
    assert_eq!(plugin.render(&effect, request).0, kOfxStatFailed);
}

/// An edit that moves the clip along the timeline needs no new analysis; nor does another instance, or one made for
/// each frame.
#[test]
fn frames_are_known_by_their_pixels() {
    let (_one, plugin, _) = plugin();
    let mut effect = wired(plugin, Layout::FLOAT);
    analyse(plugin, &mut effect);
    plugin.set_background(true);
    let record = effect.text("shot_record");
    let request = |time: f64| Request { interactive: false, ..Request::at(time, (SIDE, SIDE)) };
    let before = ok(plugin.render(&effect, request(FIRST + 3.0))).samples();
    let frames = clip();
    for moved in [-100.0, 1000.0] {
        let mut other = wired(plugin, Layout::FLOAT);
        other.set("shot_record", Val::Text(record.clone()));
        let frames = frames.clone();
        let feed = move |time: f64| frames.get((time - FIRST - moved) as usize).cloned();
        other.feed("Source", Layout::FLOAT, None, Box::new(feed));
        let after = ok(plugin.render(&other, request(FIRST + moved + 3.0))).samples();
        assert!(before == after, "moved by {moved}");
        assert_eq!(plugin.call(kOfxActionDestroyInstance, Some(&mut other), None, None), kOfxStatOK);
        assert_eq!(plugin.call(kOfxActionDestroyInstance, Some(&mut other), None, None), kOfxStatOK);
    }
    // A proxy has other pixels: time tells.
    let mut other = wired(plugin, Layout::FLOAT);
    other.set("shot_record", Val::Text(record));
    let half = frames.clone();
    let feed = move |time: f64| {
        let frame = half.get((time - FIRST) as usize)?;
        Some(frame.resize(SIDE / 2, SIDE / 2, headgan::frame::Filter::Area))
    };
    other.feed("Source", Layout::FLOAT, Some((FIRST, FIRST + 5.0)), Box::new(feed));
    // Where the pack's detector sees a face at this size.
    let small = blobs(&[[128.0, 128.0]]).resize(SIDE / 2, SIDE / 2, headgan::frame::Filter::Area);
    other.feed("Reference", Layout::FLOAT, Some((0.0, 0.0)), Box::new(move |_| Some(small.clone())));
    let proxy = |time: f64| Request { scale: 0.5, interactive: false, ..Request::at(time, (SIDE / 2, SIDE / 2)) };
    let first = ok(plugin.render(&other, proxy(FIRST))).samples();
    let last = ok(plugin.render(&other, proxy(FIRST + 5.0))).samples();
    assert!(first != last, "nothing moves");
    assert_eq!(*LASTING.lock(), None, "a proxy is not taken for analysed");
    assert_eq!(plugin.render(&other, proxy(FIRST + 6.0)).0, kOfxStatFailed);
}

/// Loaded twice, unloaded, loaded again.
#[test]
fn load_and_unload_in_any_order() {
    let (_one, plugin, _) = plugin();
    for _ in 0..100 {
        assert_eq!(plugin.call(kOfxActionLoad, None, None, None), kOfxStatOK);
        plugin.describe(kOfxImageEffectContextFilter);
    }
    assert_eq!(plugin.call(kOfxActionUnload, None, None, None), kOfxStatOK);
    assert_eq!(plugin.call(kOfxActionUnload, None, None, None), kOfxStatOK);
    assert_eq!(plugin.call(kOfxActionDescribe, None, None, None), kOfxStatErrMissingHostFeature);
    for suite in ["OfxPropertySuite/1", "OfxImageEffectSuite/1", "OfxParameterSuite/1"] {
        WITHOUT.lock().push(suite);
        assert_eq!(plugin.call(kOfxActionLoad, None, None, None), kOfxStatErrMissingHostFeature, "{suite}");
        WITHOUT.lock().clear();
    }
    let optional =
        ["OfxMessageSuite/1", "OfxMessageSuite/2", "OfxProgressSuite/1", "OfxTimeLineSuite/1", "OfxMultiThreadSuite/1"];
    WITHOUT.lock().extend(optional);
    assert_eq!(plugin.call(kOfxActionLoad, None, None, None), kOfxStatOK);
    let mut effect = wired(plugin, Layout::FLOAT);
    analyse(plugin, &mut effect);
    ok(plugin.render(&effect, Request::at(FIRST, (SIDE, SIDE))));
    WITHOUT.lock().clear();
    assert_eq!(plugin.call(kOfxActionLoad, None, None, None), kOfxStatOK);
    ok(plugin.render(&effect, Request::at(FIRST, (SIDE, SIDE))));
}

#[test]
fn the_reference_may_be_a_file() {
    let (_one, plugin, world) = plugin();
    let mut effect = plugin.create(kOfxImageEffectContextFilter);
    wire(&mut effect, Layout::FLOAT);
    let reference = effect.clip("Reference");
    reference.feed = None;
    reference.props.0.remove("OfxImageClipPropConnected");
    let request = Request::at(FIRST + 1.0, (SIDE, SIDE));
    assert_eq!(plugin.render(&effect, request).0, kOfxStatFailed);
    assert!(LASTING.lock().as_ref().unwrap().contains("there is no reference"));
    effect.set("reference_file", Val::Text("/nowhere/x.png".into()));
    assert_eq!(plugin.edited(&mut effect, "reference_file"), kOfxStatOK);
    assert_eq!(plugin.render(&effect, request).0, kOfxStatFailed);
    assert!(LASTING.lock().as_ref().unwrap().contains("/nowhere/x.png"));
    effect.set("reference_file", Val::Text(world.face.display().to_string()));
    assert_eq!(plugin.edited(&mut effect, "reference_file"), kOfxStatOK);
    assert!(effect.text("status").contains("Not analysed"), "{}", effect.text("status"));
    analyse(plugin, &mut effect);
    assert!(effect.text("status").contains("Analysed: frames 10 to 15"), "{}", effect.text("status"));
    ok(plugin.render(&effect, request));
    // A wide output: the square picture stands in its middle.
    let wide = |time: f64| {
        let frame = moving(FRAMES).nth((time - FIRST) as usize)?;
        let mut out = Frame::filled(SIDE + 64, SIDE, [0.0, 0.0, 0.0, 1.0], Color::Srgb);
        out.paste(&frame, 32, 0);
        Some(out)
    };
    effect.feed("Source", Layout::FLOAT, Some((FIRST, FIRST + 5.0)), Box::new(wide));
    let out = ok(plugin.render(&effect, Request::at(FIRST + 1.0, (SIDE + 64, SIDE))));
    let at = |x: usize| [0, 1, 2, 3].map(|c| out.sample(x, 2, c));
    assert_eq!((at(31), at(SIDE + 32)), ([0.0; 4], [0.0; 4]));
    let face = blobs(&[[96.0, 96.0]]);
    let same = |a: [f32; 4], b: [f32; 4]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1.0 / 255.0);
    assert!(same(at(32), face.pixel(0, 2)) && same(at(SIDE + 31), face.pixel(SIDE - 1, 2)), "{:?}", at(32));
}

#[test]
fn who_stops_a_rendering_is_obeyed_without_a_message() {
    let (_one, plugin, _) = plugin();
    let mut effect = wired(plugin, Layout::FLOAT);
    analyse(plugin, &mut effect);
    let mut stopped = 0;
    for after in 0..40 {
        effect.abort_after.store(after, Ordering::SeqCst);
        let (status, out) = plugin.render(&effect, Request::at(FIRST + 2.0, (SIDE, SIDE)));
        assert_eq!(LENT.load(Ordering::SeqCst), 0);
        if status == kOfxStatOK {
            break;
        }
        assert_eq!(status, kOfxStatFailed);
        assert!(out.samples().iter().all(|v| *v == 0.25), "the output was touched");
        stopped += 1;
    }
    assert!((3..40).contains(&stopped), "{stopped}");
    assert!(MESSAGES.lock().is_empty() && LASTING.lock().is_none());
    effect.abort_after.store(usize::MAX, Ordering::SeqCst);
    // The analysis as well: nothing is recorded.
    let mut other = wired(plugin, Layout::FLOAT);
    STOP_AFTER.store(2, Ordering::SeqCst);
    assert_eq!(plugin.edited(&mut other, "analyse"), kOfxStatFailed);
    assert_eq!(other.text("shot_record"), "");
    assert!(MESSAGES.lock().is_empty());
}

/// Full quality is the library's own, and a host that stops it is heard between any two operations of the network.
#[test]
fn full_quality_and_its_end() {
    let (_one, plugin, _) = plugin();
    let mut effect = wired(plugin, Layout::FLOAT);
    analyse(plugin, &mut effect);
    const MANY: usize = 1_000_000;
    let polls = |effect: &Effect| MANY - effect.abort_after.load(Ordering::SeqCst);
    let request = Request::at(FIRST + 3.0, (SIDE, SIDE));
    effect.abort_after.store(MANY, Ordering::SeqCst);
    ok(plugin.render(&effect, request));
    let draft = polls(&effect);

    effect.set("quality", Val::Int(1));
    let mut values = Values::new();
    values.set("quality", "full").unwrap();
    let (result, mask) = expected(&values, 3, reference());
    ok(plugin.render(&effect, request));
    effect.abort_after.store(MANY, Ordering::SeqCst);
    let out = ok(plugin.render(&effect, request)).samples();
    let off = farthest(&out, &result.data);
    assert!(off < 1e-5, "{off}");
    let plate = reference();
    let painted = mask.iter().enumerate().filter(|(i, m)| **m > 0.0 && out[4 * i] != plate.data[4 * i]).count();
    assert!(painted > 1000, "{painted}");
    let full = polls(&effect);
    eprintln!("asked whether to stop: {draft} times in Draft, {full} times in Full");
    assert!(full > draft + 50, "{draft} {full}");
    for after in [draft, draft + 10, full / 2, full - 20] {
        effect.abort_after.store(after, Ordering::SeqCst);
        let (status, out) = plugin.render(&effect, request);
        assert_eq!(status, kOfxStatFailed);
        assert!(out.samples().iter().all(|v| *v == 0.25), "the output was touched");
    }
    assert!(MESSAGES.lock().is_empty());
    effect.abort_after.store(usize::MAX, Ordering::SeqCst);
    ok(plugin.render(&effect, request));
}

/// How often a render action reads a parameter of the host: each control once, one that is animated once for each frame that is looked at.
#[test]
fn controls_are_read_once_a_frame() {
    /// Parameters of the plugin's own that a frame needs.
    const OWN: usize = 10;
    /// Frames around one that the window's path looks at.
    const NEIGHBOURS: usize = 73;
    let (_one, plugin, _) = plugin();
    let mut effect = wired(plugin, Layout::FLOAT);
    long_shot(&mut effect);
    analyse(plugin, &mut effect);
    let rendered = |effect: &Effect, what: &str| {
        let before = READS.load(Ordering::SeqCst);
        let out = ok(plugin.render(effect, Request::at(FIRST + 50.0, (SIDE, SIDE)))).samples();
        let reads = READS.load(Ordering::SeqCst) - before;
        eprintln!("{what}: {reads} reads of parameters");
        (out, reads)
    };
    let once = CONTROLS.len() + OWN;
    let keys = vec![(FIRST, -20.0), (FIRST + 99.0, 20.0)];
    for (quality, name, most) in [(0, "Draft", once), (1, "Full", once + NEIGHBOURS)] {
        effect.set("quality", Val::Int(quality));
        let (still, reads) = rendered(&effect, &format!("{name}, nothing animated"));
        assert!(reads <= once, "{reads}");
        effect.param("yaw_offset").keys = keys.clone();
        let (moving, reads) = rendered(&effect, &format!("{name}, one control animated"));
        assert!(reads <= most && moving != still, "{reads}");
        // An expression is no keyframe, and changes all the same.
        effect.param("yaw_offset").expression = true;
        effect.param("yaw_offset").props.put(kOfxParamPropIsAnimating, &[Val::Int(1)]);
        let (out, reads) = rendered(&effect, &format!("{name}, one control under an expression"));
        assert!(reads <= most && out == moving, "{reads}");
        effect.param("yaw_offset").expression = false;
        // Of the frames around one only the camera matters; the two frames before it are painted as well.
        effect.param("seam_softness").keys = vec![(FIRST, 5.0), (FIRST + 99.0, 50.0)];
        let (_, reads) = rendered(&effect, &format!("{name}, two controls animated, one of them no camera's"));
        assert!(reads <= most + 2, "{reads}");
        effect.param("seam_softness").keys.clear();
        // A host that says nothing of keyframes is asked for all controls that may have some.
        KEYS_UNKNOWN.store(true, Ordering::SeqCst);
        let (out, reads) = rendered(&effect, &format!("{name}, keyframes unknown"));
        KEYS_UNKNOWN.store(false, Ordering::SeqCst);
        assert!(reads <= once + (most - once) * CONTROLS.len() && out == moving, "{reads}");
        effect.param("yaw_offset").keys.clear();
        effect.param("yaw_offset").props.put(kOfxParamPropIsAnimating, &[Val::Int(0)]);
        // Nothing is remembered from one action to the next.
        assert!(rendered(&effect, &format!("{name}, keyframes removed")).0 == still);
    }
}

/// Source shows its frames again and again, 100 of them in all.
fn long_shot(effect: &mut Effect) {
    let frames = clip();
    let shown = move |time: f64| frames.get((time - FIRST) as usize % FRAMES).filter(|_| time >= FIRST).cloned();
    effect.feed("Source", Layout::FLOAT, Some((FIRST, FIRST + 99.0)), Box::new(shown));
}

/// Renders a frame of a large, analysed Source: its picture is only looked up.
#[test]
fn how_long_a_known_frame_takes() {
    let (_one, plugin, _) = plugin();
    for (alpha, what) in [(kOfxImageUnPreMultiplied, "straight"), (kOfxImagePreMultiplied, "premultiplied")] {
        let layout = Layout { alpha, ..Layout::FLOAT };
        let mut effect = wired(plugin, layout);
        let frames: Vec<Frame> = clip()
            .iter()
            .map(|frame| {
                let mut large = Frame::filled(1024, 1024, [0.1, 0.1, 0.1, 1.0], Color::Srgb);
                large.paste(frame, 96, 96);
                large
            })
            .collect();
        let shown = move |time: f64| frames.get((time - FIRST) as usize).filter(|_| time >= FIRST).cloned();
        effect.feed("Source", layout, Some((FIRST, FIRST + FRAMES as f64 - 1.0)), Box::new(shown));
        analyse(plugin, &mut effect);
        let mut times = Vec::new();
        for i in 0..6 {
            let (started, before) = (std::time::Instant::now(), LENDING.load(Ordering::SeqCst));
            ok(plugin.render(&effect, Request::at(FIRST + f64::from(i), (SIDE, SIDE))));
            let lending = std::time::Duration::from_nanos(LENDING.load(Ordering::SeqCst) - before);
            times.push(started.elapsed() - lending);
        }
        assert_eq!(*LASTING.lock(), None, "the frame is not known");
        eprintln!("{what}: a known frame of 1024x1024 took {:?} without the host", times.iter().min().unwrap());
    }
}

/// A generator that listens hears the audio file, later or louder as the controls say, and nothing without one.
#[test]
fn sound_comes_from_a_file() {
    let (_one, plugin, world) = plugin();
    let mut effect = wired(plugin, Layout::FLOAT);
    effect.set("quality", Val::Int(1));
    analyse(plugin, &mut effect);
    let request = Request::at(FIRST + 3.0, (SIDE, SIDE));
    let silent = ok(plugin.render(&effect, request)).samples();
    assert_eq!(plugin.edited(&mut effect, "audio_file"), kOfxStatOK);
    assert!(effect.text("status").contains("choose an Audio file"), "{}", effect.text("status"));

    // Frames of a sound are counted in time, which this host does not tell yet.
    effect.set("audio_file", Val::Text(world.sound.display().to_string()));
    assert_eq!(plugin.edited(&mut effect, "audio_file"), kOfxStatOK);
    assert!(!effect.text("status").contains("Audio file"), "{}", effect.text("status"));
    assert_eq!(plugin.render(&effect, request).0, kOfxStatFailed);
    assert!(LASTING.lock().as_ref().unwrap().contains("frame rate"), "{:?}", LASTING.lock());
    effect.clip("Source").props.put(kOfxImageEffectPropFrameRate, &[Val::Double(25.0)]);
    let heard = ok(plugin.render(&effect, request)).samples();
    let mut values = Values::new();
    values.set("quality", "full").unwrap();
    let (result, _) = expected_with(&values, 3, reference(), Some(&world.sound));
    assert!(farthest(&heard, &result.data) < 1e-5 && farthest(&heard, &silent) > 1e-3);

    effect.set("audio_gain", Val::Double(12.0));
    values.set("audio_gain", "12").unwrap();
    let loud = ok(plugin.render(&effect, request)).samples();
    let (result, _) = expected_with(&values, 3, reference(), Some(&world.sound));
    assert!(farthest(&loud, &result.data) < 1e-5 && farthest(&loud, &heard) > 1e-4);
    // A file that is replaced is heard without a word to the plugin.
    let voice = world::workshop().join("replaced.wav");
    std::fs::copy(&world.sound, &voice).unwrap();
    effect.set("audio_file", Val::Text(voice.display().to_string()));
    assert_eq!(ok(plugin.render(&effect, request)).samples(), loud);
    let samples: Vec<f32> = (0..24_000).map(|i| (0.05 * i as f32).sin()).collect();
    std::fs::write(&voice, headgan::synthetic::sound::wav(&samples)).unwrap();
    assert!(farthest(&ok(plugin.render(&effect, request)).samples(), &loud) > 1e-4);
    effect.set("audio_file", Val::Text(world.sound.display().to_string()));
    // So late that it has not begun.
    effect.set("audio_offset", Val::Double(1000.0));
    values.set("audio_offset", "1000").unwrap();
    let late = ok(plugin.render(&effect, request)).samples();
    let (result, _) = expected_with(&values, 3, reference(), Some(&world.sound));
    assert!(farthest(&late, &result.data) < 1e-5 && farthest(&late, &loud) > 1e-3);
    // Draft has no use for it, whatever is wrong with it.
    effect.set("audio_file", Val::Text("/nowhere/voice.wav".into()));
    assert_eq!(plugin.edited(&mut effect, "audio_file"), kOfxStatOK);
    assert_eq!(plugin.render(&effect, request).0, kOfxStatFailed);
    assert!(LASTING.lock().as_ref().unwrap().contains("/nowhere/voice.wav"), "{:?}", LASTING.lock());
    effect.set("quality", Val::Int(0));
    ok(plugin.render(&effect, request));

    // It does not keep the shot from being analysed either.
    effect.set("quality", Val::Int(1));
    effect.set("shot_record", Val::Text(String::new()));
    assert_eq!(plugin.edited(&mut effect, "analyse"), kOfxStatFailed);
    assert!(format!("{:?}", MESSAGES.lock()).contains("/nowhere/voice.wav"));
    assert_ne!(effect.text("shot_record"), "");

    // The frames before an analysis hear the same moment as after it.
    let mut other = wired(plugin, Layout::FLOAT);
    other.set("quality", Val::Int(1));
    other.set("audio_file", Val::Text(world.sound.display().to_string()));
    other.clip("Source").props.put(kOfxImageEffectPropFrameRate, &[Val::Double(25.0)]);
    ok(plugin.render(&other, request));
    analyse(plugin, &mut other);
    assert_eq!(ok(plugin.render(&other, request)).samples(), heard);
}

/// A recording performs without an analysis; what is wrong with it, or with the head that is to perform it, is said.
#[test]
fn a_performance_file_performs_instead_of_source() {
    let (_one, plugin, _) = plugin();
    let mut effect = wired(plugin, Layout::FLOAT);
    let request = Request::at(FIRST + 1.0, (SIDE, SIDE));
    let said = |effect: &Effect| {
        assert_eq!(plugin.render(effect, request).0, kOfxStatFailed);
        LASTING.lock().clone().unwrap()
    };
    // Rows are counted in time, which this host does not tell yet.
    effect.set("performance_file", Val::Text("/nowhere/take.csv".into()));
    assert!(said(&effect).contains("frame rate"));
    effect.clip("Source").props.put(kOfxImageEffectPropFrameRate, &[Val::Double(25.0)]);
    assert!(said(&effect).contains("/nowhere/take.csv"));
    assert_eq!(plugin.edited(&mut effect, "performance_file"), kOfxStatOK);
    assert!(effect.text("status").contains("/nowhere/take.csv"), "{}", effect.text("status"));
    let take = world::workshop().join("take.csv");
    effect.set("performance_file", Val::Text(take.display().to_string()));
    for (text, wrong) in [("a,b\n1,2\n", "Timecode"), ("Timecode,JawOpen\n00:00:00:00,x\n", "JawOpen is 'x'")] {
        std::fs::write(&take, text).unwrap();
        assert!(said(&effect).contains(wrong), "{:?}", LASTING.lock());
    }
    std::fs::write(&take, "Timecode,JawOpen\n00:00:01:00,0.5\n00:00:02:00,0.25\n").unwrap();
    assert_eq!(plugin.edited(&mut effect, "performance_file"), kOfxStatOK);
    assert!(effect.text("status").contains("2 rows in 1.0 s"), "{}", effect.text("status"));
    // The world's head does not act.
    let line = said(&effect);
    assert!(line.contains("ARKit") && line.contains("Performance file"), "{line}");
    // Source performs again.
    effect.set("performance_file", Val::Text(String::new()));
    assert_eq!(plugin.edited(&mut effect, "performance_file"), kOfxStatOK);
    assert!(effect.text("status").contains("Not analysed"), "{}", effect.text("status"));
    ok(plugin.render(&effect, request));
}

/// A host that stops a rendering need not wait until a long sound is heard, and the thread that listens goes on.
#[test]
fn who_waits_for_a_sound_may_be_stopped() {
    let (_one, plugin, _) = plugin();
    let file = world::workshop().join("long.wav");
    let samples: Vec<f32> = (0..16_000 * 240).map(|i| (0.1 * i as f32).sin()).collect();
    std::fs::write(&file, headgan::synthetic::sound::wav(&samples)).unwrap();
    let mut effect = wired(plugin, Layout::FLOAT);
    analyse(plugin, &mut effect);
    effect.set("quality", Val::Int(1));
    effect.clip("Source").props.put(kOfxImageEffectPropFrameRate, &[Val::Double(25.0)]);
    let request = Request::at(FIRST + 1.0, (SIDE, SIDE));
    // The generator is loaded.
    ok(plugin.render(&effect, request));
    effect.set("audio_file", Val::Text(file.display().to_string()));
    const POLLS: usize = 8;
    effect.abort_after.store(POLLS, Ordering::SeqCst);
    let started = std::time::Instant::now();
    let (status, out) = plugin.render(&effect, request);
    let stopped = started.elapsed();
    assert_eq!(status, kOfxStatFailed);
    assert!(out.samples().iter().all(|v| *v == 0.25) && LASTING.lock().is_none());
    effect.abort_after.store(usize::MAX, Ordering::SeqCst);
    ok(plugin.render(&effect, request));
    let whole = started.elapsed();
    eprintln!("stopped after {stopped:?}; heard and rendered after {whole:?}");
    assert!(stopped < whole / 2, "{stopped:?} {whole:?}");
}

fn farthest(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// A device that is asked for is there, or the frame is an error that says what is missing: nothing else steps in.
#[test]
fn the_device_that_is_asked_for() {
    use headgan::controls::choices::Device;
    let (_one, plugin, _) = plugin();
    let mut effect = wired(plugin, Layout::FLOAT);
    let request = Request::at(FIRST + 1.0, (SIDE, SIDE));
    for device in [Device::Cuda, Device::TorchCpu] {
        let there = Backend::choose(device, None, 0, &[]).is_ok();
        effect.set("device", Val::Int(device as i32));
        let (status, _) = plugin.render(&effect, request);
        assert_eq!(status == kOfxStatOK, there, "{device:?}: {:?}", LASTING.lock());
        if !there {
            let said = LASTING.lock().clone().unwrap_or_default();
            assert!(said.contains(&format!("device '{}'", device.id())) && said.contains("device 'cpu'"), "{said}");
        }
    }
}

/// Needs the torch engine: `cargo xtask engine --user DIR`, then HEADGAN_ENGINES=DIR.
#[test]
fn the_torch_engine_paints_what_the_embedded_one_paints() {
    use headgan::controls::choices::Device;
    if std::env::var_os("HEADGAN_ENGINES").is_none() {
        eprintln!("skipped: HEADGAN_ENGINES names no folder with the torch engine");
        return;
    }
    let (_one, plugin, _) = plugin();
    let mut effect = wired(plugin, Layout::FLOAT);
    analyse(plugin, &mut effect);
    effect.set("quality", Val::Int(1));
    let request = Request::at(FIRST + 3.0, (SIDE, SIDE));
    let on = |effect: &mut Effect, device: Device| {
        effect.set("device", Val::Int(device as i32));
        ok(plugin.render(effect, request)).samples()
    };
    let embedded = on(&mut effect, Device::Cpu);
    let torch = on(&mut effect, Device::TorchCpu);
    let square = |(a, b): (&f32, &f32)| (a - b) as f64 * (a - b) as f64;
    let off = (embedded.iter().zip(&torch).map(square).sum::<f64>() / torch.len() as f64).sqrt();
    // Not the same to the bit, or one of them did not run. Networks are held to 1e-4 one by one (suite of engines);
    // random weights behind each other stretch rounding to 2e-3 at single samples, so all of them are looked at.
    assert!(off > 0.0 && off < 2e-4, "{off}");
    plugin.edited(&mut effect, "device");
    let status = effect.text("status");
    assert!(status.contains("on CPU"), "{status}");
    assert_eq!(on(&mut effect, Device::Cpu), embedded);
}

/// A host that manages colour is asked for what the control says, and believed in what it says of its clips.
#[test]
fn colour_management() {
    let (_one, plugin, world) = plugin();
    let prefer = |effect: &mut Effect| {
        let mut out = Props::default();
        plugin.call(kOfxImageEffectActionGetClipPreferences, Some(effect), None, Some(&mut out));
        out.texts(c"OfxImageClipPropPreferredColourspaces_Source")
    };
    let mut effect = wired(plugin, Layout::FLOAT);
    assert_eq!(effect.props.texts(c"OfxImageEffectPropColourManagementStyle"), [""; 0], "no host has asked");
    assert_eq!(prefer(&mut effect), [""; 0]);
    plugin.set_colour_management(Some("OfxImageEffectColourManagementFull"));
    let mut effect = wired(plugin, Layout::FLOAT);
    let style = effect.props.texts(c"OfxImageEffectPropColourManagementStyle");
    assert_eq!(style, ["OfxImageEffectColourManagementCore"]);
    assert_eq!(prefer(&mut effect), ["srgb_display", "srgb_tx", "ofx_display_sdr"]);
    effect.set("color", Val::Int(1));
    assert_eq!(prefer(&mut effect), ["lin_rec709_srgb", "ofx_scene_linear"]);
    let mut out = Props::default();
    let action = c"OfxImageEffectActionGetOutputColourspace";
    assert_eq!(plugin.call(action, Some(&mut effect), None, Some(&mut out)), kOfxStatOK);
    assert_eq!(out.texts(c"OfxImageClipPropColourspace"), ["OfxColourspace_Reference"]);
    // The control says linear; the host delivers sRGB after all: a reference file is brought to that.
    let render = |effect: &mut Effect| {
        effect.clip("Reference").feed = None;
        effect.clip("Reference").props.0.remove("OfxImageClipPropConnected");
        effect.set("reference_file", Val::Text(world.face.display().to_string()));
        analyse(plugin, effect);
        ok(plugin.render(effect, Request::at(FIRST + 4.0, (SIDE, SIDE)))).samples()
    };
    let linear = render(&mut effect);
    effect.clip("Source").props.text(c"OfxImageClipPropColourspace", c"srgb_display");
    let told = render(&mut effect);
    plugin.set_colour_management(None);
    let mut plain = wired(plugin, Layout::FLOAT);
    let srgb = render(&mut plain);
    assert!(told == srgb && told != linear);
}

#[test]
fn presets_set_parameters_and_are_saved() {
    let (_one, plugin, _) = plugin();
    let mut effect = wired(plugin, Layout::FLOAT);
    let options = effect.param("preset").props.texts(kOfxParamPropChoiceOption);
    let at = options.iter().position(|o| o == "Smile").unwrap();
    effect.param("expr_smile").keys = vec![(0.0, 0.3)];
    effect.set("preset", Val::Int(at as i32));
    assert_eq!(plugin.edited(&mut effect, "preset"), kOfxStatOK);
    let smile = effect.param("expr_smile");
    assert!(smile.keys.is_empty() && smile.value != Val::Double(0.0), "{:?}", smile.value);
    let value = smile.value.clone();
    let file = world::workshop().join("mine.json");
    effect.set("preset_file", Val::Text(file.display().to_string()));
    assert_eq!(plugin.edited(&mut effect, "preset_save"), kOfxStatOK);
    let mut other = wired(plugin, Layout::FLOAT);
    other.set("preset_file", Val::Text(file.display().to_string()));
    assert_eq!(plugin.edited(&mut other, "preset_load"), kOfxStatOK);
    assert_eq!(other.param("expr_smile").value, value);
    // Names that nobody declared, and buttons without a file.
    assert_eq!(plugin.edited(&mut effect, "someone_elses"), kOfxStatOK);
    other.set("preset_file", Val::Text(String::new()));
    assert_eq!(plugin.edited(&mut other, "preset_load"), kOfxStatFailed);
    assert!(MESSAGES.lock().last().unwrap().contains("Preset file"));
}

#[test]
fn regions_frames_and_identity() {
    let (_one, plugin, _) = plugin();
    let mut effect = wired(plugin, Layout { origin: (-5, 3), ..Layout::FLOAT });
    let small = |_: f64| Some(blobs(&[[96.0, 96.0]]).copy_window(0, 0, 100, 80));
    effect.feed("Reference", Layout { origin: (1, 2), ..Layout::FLOAT }, Some((20.0, 40.0)), Box::new(small));
    let ask = |effect: &mut Effect, action: &std::ffi::CStr| {
        let (mut args, mut out) = (Props::default(), Props::default());
        args.put(kOfxPropTime, &[Val::Double(FIRST + 1.0)]);
        (plugin.call(action, Some(effect), Some(&mut args), Some(&mut out)), out)
    };
    let (status, out) = ask(&mut effect, kOfxImageEffectActionGetRegionOfDefinition);
    assert_eq!(status, kOfxStatOK);
    assert_eq!(out.doubles(kOfxImageEffectPropRegionOfDefinition), [1.0, 2.0, 101.0, 82.0]);
    effect.set("reference_frame", Val::Int(7));
    let (_, out) = ask(&mut effect, kOfxImageEffectActionGetFramesNeeded);
    assert_eq!(out.doubles(c"OfxImageClipPropFrameRange_Source"), [FIRST, FIRST + 1.0]);
    assert_eq!(out.doubles(c"OfxImageClipPropFrameRange_Reference"), [27.0, 27.0]);
    // A clip that performs itself is compared with its own reference frame.
    let range = Some((FIRST, FIRST + FRAMES as f64 - 1.0));
    let same = |_: f64| Some(blobs(&[[96.0, 96.0]]));
    let mut itself = wired(plugin, Layout::FLOAT);
    itself.feed("Reference", Layout::FLOAT, range, Box::new(same));
    itself.set("reference_frame", Val::Int(4));
    let (_, out) = ask(&mut itself, kOfxImageEffectActionGetFramesNeeded);
    assert_eq!(out.doubles(c"OfxImageClipPropFrameRange_Source"), [FIRST, FIRST + 1.0, FIRST + 4.0, FIRST + 4.0]);
    let (_, out) = ask(&mut effect, kOfxImageEffectActionGetRegionsOfInterest);
    assert_eq!(out.doubles(c"OfxImageClipPropRoI_Source"), [-5.0, 3.0, SIDE as f64 - 5.0, SIDE as f64 + 3.0]);
    let (_, out) = ask(&mut effect, kOfxImageEffectActionGetTimeDomain);
    assert_eq!(out.doubles(kOfxImageEffectPropFrameRange), [FIRST, FIRST + 5.0]);
    let identity = |effect: &mut Effect| {
        let (status, out) = ask(effect, kOfxImageEffectActionIsIdentity);
        (status == kOfxStatOK).then(|| (out.texts(kOfxPropName).concat(), out.doubles(kOfxPropTime)[0]))
    };
    assert_eq!(identity(&mut effect), None);
    for strength in ["motion_strength", "pose_strength", "expression_strength"] {
        effect.set(strength, Val::Double(0.0));
    }
    assert_eq!(identity(&mut effect), Some(("Reference".into(), 27.0)));
    // A clip that performs itself falls back to its mean pose, which is no picture of Reference's.
    for strength in ["motion_strength", "pose_strength", "expression_strength"] {
        itself.set(strength, Val::Double(0.0));
    }
    assert_eq!(identity(&mut itself), None);
    effect.set("reference_time", Val::Int(1));
    assert_eq!(identity(&mut effect), Some(("Reference".into(), FIRST + 1.0)));
    effect.set("enabled", Val::Int(0));
    assert_eq!(identity(&mut effect), Some(("Source".into(), FIRST + 1.0)));
    effect.set("enabled", Val::Int(1));
    effect.set("view", Val::Int(1));
    let (_, out) = ask(&mut effect, kOfxImageEffectActionGetRegionOfDefinition);
    assert_eq!(out.doubles(kOfxImageEffectPropRegionOfDefinition), [-5.0, 3.0, 251.0, 259.0]);
}

/// A picture that the host does not have is said, and no rendering falls over it.
#[test]
fn an_unfed_source_is_said() {
    let (_one, plugin, _) = plugin();
    let mut effect = wired(plugin, Layout::FLOAT);
    let source = effect.clip("Source");
    source.feed = None;
    source.props.0.clear();
    assert_eq!(plugin.render(&effect, Request::at(3.0, (SIDE, SIDE))).0, kOfxStatFailed);
    assert!(LASTING.lock().as_ref().unwrap().contains("Source has no picture at frame 3"));
}

/// Four threads render one instance.
#[test]
fn threads_share_an_instance() {
    let (_one, plugin, _) = plugin();
    let mut effect = wired(plugin, Layout::FLOAT);
    analyse(plugin, &mut effect);
    let alone: Vec<Vec<f32>> = (0..FRAMES)
        .map(|i| ok(plugin.render(&effect, Request::at(FIRST + i as f64, (SIDE, SIDE)))).samples())
        .collect();
    let shared = Shared(&effect);
    std::thread::scope(|scope| {
        for t in 0..4 {
            let (alone, shared) = (&alone, &shared);
            scope.spawn(move || {
                for i in 0..FRAMES {
                    let i = (i + t) % FRAMES;
                    let (status, out) = plugin.render(shared.0, Request::at(FIRST + i as f64, (SIDE, SIDE)));
                    assert!(status == kOfxStatOK && out.samples() == alone[i], "thread {t} frame {i}");
                }
            });
        }
    });
}

/// Resident memory of this process, bytes, without what the allocator keeps for later.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: glibc's own function; it may be called at any time.
        unsafe { malloc_trim(0) };
    }
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    4096 * text.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
}

/// The bars: ten instances take no more memory than one; 10,000 instances and 500 renderings that are stopped leave
/// nothing.
#[cfg(target_os = "linux")]
#[test]
fn instances_share_their_memory_and_leave_none() {
    let (_one, plugin, _) = plugin();
    let effects: Vec<Box<Effect>> = (0..10)
        .map(|_| {
            let mut effect = wired(plugin, Layout::FLOAT);
            analyse(plugin, &mut effect);
            effect
        })
        .collect();
    let at = |i: usize| Request::at(FIRST + (i % FRAMES) as f64, (SIDE, SIDE));
    (0..60).for_each(|i| drop(ok(plugin.render(&effects[0], at(i)))));
    let one = resident();
    (0..100).for_each(|i| drop(ok(plugin.render(&effects[i % 10], at(i)))));
    let ten = resident();
    eprintln!("resident: {} KiB with one instance, {} KiB more with ten", one >> 10, ten.saturating_sub(one) >> 10);
    assert!(ten.saturating_sub(one) < 4 << 20, "{one} {ten}");

    let mut effect = wired(plugin, Layout::FLOAT);
    let (mut rendered, mut stopped) = (0, 0);
    let mut storm = |instances: usize, renderings: usize| {
        for _ in 0..instances {
            assert_eq!(plugin.call(kOfxActionCreateInstance, Some(&mut effect), None, None), kOfxStatOK);
            assert_eq!(plugin.call(kOfxActionDestroyInstance, Some(&mut effect), None, None), kOfxStatOK);
        }
        rendered += renderings;
        for i in 0..renderings {
            effects[0].abort_after.store((i * 7919) % 11, Ordering::SeqCst);
            stopped += usize::from(plugin.render(&effects[0], at(i)).0 != kOfxStatOK);
        }
    };
    storm(1_000, 100);
    // What leaks grows every time; what other tests' threads still hold when this one begins comes and goes once, as was seen on a
    // busy machine.
    let mut growth = || {
        let before = resident();
        storm(10_000, 500);
        let grown = resident().saturating_sub(before);
        eprintln!("10,000 instances, 500 renderings: {} KiB more", grown >> 10);
        grown
    };
    let least = (0..3).map(|_| growth()).find(|grown| *grown < 1 << 20);
    assert!(least.is_some(), "it grew by more than 1 MiB each time");
    eprintln!("{stopped} of {rendered} renderings were stopped");
    assert!((100..rendered).contains(&stopped), "{stopped} of {rendered}");
    effects[0].abort_after.store(usize::MAX, Ordering::SeqCst);
}

/// An instance that several threads read.
struct Shared<'a>(&'a Effect);

// SAFETY: the plugin sets nothing while it renders, and the host reads.
unsafe impl Sync for Shared<'_> {}

/// With the feature `planted`: a panic in any action is a failed status with a message.
#[cfg(feature = "planted")]
#[test]
fn panics_become_messages() {
    let (_one, plugin, _) = plugin();
    let mut effect = wired(plugin, Layout::FLOAT);
    for action in [
        kOfxActionDescribe,
        kOfxImageEffectActionDescribeInContext,
        kOfxActionCreateInstance,
        kOfxActionDestroyInstance,
        kOfxActionPurgeCaches,
        kOfxActionSyncPrivateData,
        kOfxActionBeginInstanceEdit,
        kOfxActionEndInstanceEdit,
        kOfxActionInstanceChanged,
        kOfxImageEffectActionGetRegionOfDefinition,
        kOfxImageEffectActionGetRegionsOfInterest,
        kOfxImageEffectActionGetFramesNeeded,
        kOfxImageEffectActionGetTimeDomain,
        kOfxImageEffectActionGetClipPreferences,
        kOfxImageEffectActionIsIdentity,
        kOfxImageEffectActionBeginSequenceRender,
        kOfxImageEffectActionEndSequenceRender,
        kOfxImageEffectActionRender,
    ] {
        MESSAGES.lock().clear();
        *LASTING.lock() = None;
        // SAFETY: the tests run one at a time.
        unsafe { std::env::set_var("HEADGAN_PANIC_IN", action.to_str().unwrap()) };
        let status = plugin.call(action, Some(&mut effect), None, None);
        // SAFETY: as above.
        unsafe { std::env::remove_var("HEADGAN_PANIC_IN") };
        assert_eq!(status, kOfxStatFailed, "{action:?}");
        let said = MESSAGES.lock().iter().chain(&*LASTING.lock()).cloned().collect::<String>();
        assert!(said.contains("planted") && said.contains(action.to_str().unwrap()), "{action:?}: {said}");
    }
}
