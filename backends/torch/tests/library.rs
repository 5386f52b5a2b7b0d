//! The engine library as the program loads it: the file that cargo built, through the interface.

use headgan::engine::cpu::{Cpu, Options as CpuOptions};
use headgan::engine::library::{self, Array, Device, Layout, Library, Options, Output, Precision, Session, Source};
use headgan::engine::{Executor, Ops, shape};
use headgan::nets::generator::{self, Config};
use headgan::pncc::Rasterizer;
use headgan::synthetic::head;
use headgan::testing::{Rng, random_weights};
use headgan::weights::{Weights, safetensors};
use std::sync::Arc;

const SIDE: usize = 48;

fn library() -> &'static Library {
    // Cargo builds it beside the tests; one level up lies the one of the last `cargo build`.
    let exe = std::env::current_exe().unwrap();
    library::load_from(&[exe.parent().unwrap().to_owned()]).unwrap()
}

fn config() -> Config {
    Config { ngf: 4, spade: 24, audio: 20, sound_at_mouth: true, ..Config::default() }
}

fn weights() -> Weights {
    let layers = shape::layers(|ops| {
        let reference = generator::reference(ops, &config(), &[1, 6, SIDE, SIDE]);
        generator::forward(ops, &config(), &reference, &[1, 9, SIDE, SIDE], Some(&[1, 20, 1, 1]), None);
    });
    Weights { metadata: config().metadata(), ..random_weights(&layers, 5) }
}

fn options(precision: Precision) -> Options {
    Options { device: library().cpu().unwrap().clone(), precision, threads: 2, memory: 0 }
}

fn open(weights: &Weights, options: &Options) -> headgan::Result<Session> {
    Session::open(library(), &Source::Bytes(safetensors::to_bytes(weights).unwrap().into()), options)
}

/// What a frame is made of.
struct Inputs {
    reference: Vec<f32>,
    pncc: Vec<f32>,
    audio: Vec<f32>,
}

fn inputs() -> Inputs {
    let mut rng = Rng(9);
    let pixels = SIDE * SIDE;
    Inputs { reference: rng.vec(6 * pixels), pncc: rng.vec(9 * pixels), audio: rng.vec(20) }
}

fn array<'a>(name: &'a str, c: usize, side: usize, values: &'a [f32]) -> Array<'a> {
    Array { name, shape: [1, c, side, side], layout: Layout::Nchw, values }
}

fn image(session: &Session, inputs: &Inputs) -> headgan::Result<(Vec<f32>, bool)> {
    let reference = session.reference(&[array("reference", 6, SIDE, &inputs.reference)])?;
    let mut image = vec![0.0; 3 * SIDE * SIDE];
    let mut mask = vec![0.0; SIDE * SIDE];
    let given = [array("pncc", 9, SIDE, &inputs.pncc), array("audio", 20, 1, &inputs.audio)];
    let report = reference.render(
        &given,
        &mut [
            Output { name: "mask", shape: [1, 1, SIDE, SIDE], layout: Layout::Nhwc, values: &mut mask },
            Output { name: "image", shape: [1, 3, SIDE, SIDE], layout: Layout::Nchw, values: &mut image },
        ],
    )?;
    assert!(mask.iter().all(|v| (0.0..=1.0).contains(v)) && mask.iter().any(|v| *v > 0.0));
    Ok((image, report.repeated))
}

fn expected(inputs: &Inputs) -> Vec<f32> {
    let ops = Cpu::new(Arc::new(weights()), &CpuOptions { threads: 1, ..CpuOptions::default() });
    let reference = ops.tensor([1, 6, SIDE, SIDE], &inputs.reference);
    let reference = generator::reference(&ops, &config(), &reference);
    let pncc = ops.tensor([1, 9, SIDE, SIDE], &inputs.pncc);
    let audio = ops.tensor([1, 20, 1, 1], &inputs.audio);
    ops.values(&generator::forward(&ops, &config(), &reference, &pncc, Some(&audio), None).image)
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn it_says_what_it_is() {
    let build = &library().build;
    assert_eq!(build.version, env!("CARGO_PKG_VERSION"));
    assert!(build.framework.starts_with("libtorch 2."), "{build:?}");
    assert!(matches!(build.devices[0], Device { kind: library::DeviceKind::Cpu, index: 0, .. }));
    // Loaded once.
    assert!(std::ptr::eq(library(), library()));
    if let Err(e) = library().cuda() {
        let text = e.to_string();
        assert!(e.exit_code() == 6 && text.contains("no CUDA device") && text.len() > 60, "{text}");
    }
}

#[test]
fn a_frame_equals_the_embedded_engines() {
    let inputs = inputs();
    let expected = expected(&inputs);
    let session = open(&weights(), &options(Precision::Fp32)).unwrap();
    let (got, repeated) = image(&session, &inputs).unwrap();
    assert!(!repeated && apart(&expected, &got) < 1e-4, "{}", apart(&expected, &got));
    for (precision, bar) in [(Precision::Tf32, 1e-4), (Precision::Bf16, 0.2)] {
        let session = open(&weights(), &options(precision)).unwrap();
        let (got, repeated) = image(&session, &inputs).unwrap();
        println!("{}: {:e}", precision.id(), apart(&expected, &got));
        assert!(!repeated && apart(&expected, &got) < bar, "{precision:?}: {}", apart(&expected, &got));
    }
}

/// The bars of a frame on a CUDA device, where there is one; and a value that fp16 does not hold there.
#[test]
fn a_frame_on_cuda_equals_the_embedded_engines() {
    let Ok(device) = library().cuda() else {
        eprintln!("skipped: there is no CUDA device");
        return;
    };
    println!("{device:?}");
    let inputs = inputs();
    let expected = expected(&inputs);
    let on = |weights: &Weights, precision| {
        open(weights, &Options { device: device.clone(), ..options(precision) }).and_then(|s| image(&s, &inputs))
    };
    let bars = [(Precision::Fp32, 1e-3), (Precision::Tf32, 1e-2), (Precision::Fp16, 2e-2), (Precision::Bf16, 0.2)];
    let apart = bars.map(|(precision, bar)| {
        let (got, repeated) = on(&weights(), precision).unwrap();
        let worst = apart(&expected, &got);
        println!("CUDA, {}: {worst:e}, repeated: {repeated}", precision.id());
        (precision, worst, bar, repeated)
    });
    for (precision, worst, bar, repeated) in apart {
        assert!(!repeated && worst < bar, "{precision:?}: {worst}, repeated: {repeated}");
    }
    let mut loud = weights();
    let array = loud.arrays.get_mut("rendering_network.cond_enc.0.1.0.weight").unwrap();
    *array =
        headgan::weights::Array::f32(array.shape.clone(), array.as_f32().unwrap().iter().map(|v| 1e6 * v).collect());
    assert!(on(&loud, Precision::Fp16).unwrap().1, "a frame that is not a number was not repeated");
}

#[test]
fn pixels_and_planes_are_the_same_picture() {
    let inputs = inputs();
    let session = open(&weights(), &options(Precision::Fp32)).unwrap();
    let (expected, _) = image(&session, &inputs).unwrap();
    let pixels = |planes: &[f32], c: usize| -> Vec<f32> {
        (0..planes.len()).map(|i| planes[i % c * SIDE * SIDE + i / c]).collect()
    };
    let (reference, pncc) = (pixels(&inputs.reference, 6), pixels(&inputs.pncc, 9));
    let nhwc = |name, c, values| Array { name, shape: [1, c, SIDE, SIDE], layout: Layout::Nhwc, values };
    let reference = session.reference(&[nhwc("reference", 6, &reference)]).unwrap();
    let mut got = vec![0.0; 3 * SIDE * SIDE];
    let out = Output { name: "image", shape: [1, 3, SIDE, SIDE], layout: Layout::Nhwc, values: &mut got };
    let given = [nhwc("pncc", 9, &pncc), array("audio", 20, 1, &inputs.audio)];
    reference.render(&given, &mut [out]).unwrap();
    assert!(apart(&pixels(&expected, 3), &got) < 1e-6);
}

/// A generator that starts from the mesh's flow takes it by name, knows itself by its file's metadata, and does without.
#[test]
fn the_meshs_flow_is_an_input() {
    let own = Config { ngf: 4, spade: 24, audio: 0, prior: true, compose: true, ..Config::default() };
    let layers = shape::layers(|ops| {
        let reference = generator::reference(ops, &own, &[1, 6, SIDE, SIDE]);
        generator::forward(ops, &own, &reference, &[1, 9, SIDE, SIDE], None, None);
    });
    let weights = Weights { metadata: own.metadata(), ..random_weights(&layers, 6) };
    let inputs = inputs();
    let flow: Vec<f32> = Rng(4).vec(2 * SIDE * SIDE).iter().map(|v| 5.0 * v).collect();
    let ops = Cpu::new(Arc::new(weights.clone()), &CpuOptions { threads: 1, ..CpuOptions::default() });
    let seen = generator::reference(&ops, &own, &ops.tensor([1, 6, SIDE, SIDE], &inputs.reference));
    let (pncc, prior) = (ops.tensor([1, 9, SIDE, SIDE], &inputs.pncc), ops.tensor([1, 2, SIDE, SIDE], &flow));
    let session = open(&weights, &options(Precision::Fp32)).unwrap();
    let reference = session.reference(&[array("reference", 6, SIDE, &inputs.reference)]).unwrap();
    let mut pictures = Vec::new();
    for prior in [Some(&prior), None] {
        let wanted = ops.values(&generator::forward(&ops, &own, &seen, &pncc, None, prior).image);
        let mut got = vec![0.0; 3 * SIDE * SIDE];
        let out = Output { name: "image", shape: [1, 3, SIDE, SIDE], layout: Layout::Nchw, values: &mut got };
        let mut given = vec![array("pncc", 9, SIDE, &inputs.pncc)];
        given.extend(prior.map(|_| array("prior", 2, SIDE, &flow)));
        reference.render(&given, &mut [out]).unwrap();
        assert!(apart(&wanted, &got) < 1e-4, "{}", apart(&wanted, &got));
        pictures.push(got);
    }
    assert!(apart(&pictures[0], &pictures[1]) > 1e-2, "the flow changes nothing");
    let official = open(&self::weights(), &options(Precision::Fp32)).unwrap();
    let reference = official.reference(&[array("reference", 6, SIDE, &inputs.reference)]).unwrap();
    let given = [array("pncc", 9, SIDE, &inputs.pncc), array("prior", 2, SIDE, &flow)];
    let refused = reference.render(&given, &mut []).map(drop).unwrap_err();
    assert!(refused.exit_code() == 2 && refused.to_string().contains("takes no 'prior'"), "{refused}");
}

/// Two frames at once are the two frames one after the other.
#[test]
fn frames_may_come_together() {
    let inputs = inputs();
    let session = open(&weights(), &options(Precision::Fp32)).unwrap();
    let (one, _) = image(&session, &inputs).unwrap();
    let reference = session.reference(&[array("reference", 6, SIDE, &inputs.reference)]).unwrap();
    let pncc = [inputs.pncc.clone(), inputs.pncc.iter().map(|v| 0.5 * v).collect()].concat();
    let audio = [inputs.audio.clone(), inputs.audio.clone()].concat();
    let mut got = vec![0.0; 2 * one.len()];
    let both = |name, c, side, values| Array { name, shape: [2, c, side, side], layout: Layout::Nchw, values };
    let out = Output { name: "image", shape: [2, 3, SIDE, SIDE], layout: Layout::Nchw, values: &mut got };
    reference.render(&[both("pncc", 9, SIDE, &pncc), both("audio", 20, 1, &audio)], &mut [out]).unwrap();
    assert!(apart(&one, &got[..one.len()]) < 1e-4, "{}", apart(&one, &got[..one.len()]));
    assert!(apart(&one, &got[one.len()..]) > 1e-3);
}

/// What a reference was made of may go: nothing of it is looked at later.
#[test]
fn a_reference_keeps_its_own_copy() {
    let inputs = inputs();
    let session = open(&weights(), &options(Precision::Fp32)).unwrap();
    let (expected, _) = image(&session, &inputs).unwrap();
    let mut given = inputs.reference.clone();
    let reference = session.reference(&[array("reference", 6, SIDE, &given)]).unwrap();
    given.fill(0.7);
    let mut got = vec![0.0; 3 * SIDE * SIDE];
    let out = Output { name: "image", shape: [1, 3, SIDE, SIDE], layout: Layout::Nchw, values: &mut got };
    reference
        .render(&[array("pncc", 9, SIDE, &inputs.pncc), array("audio", 20, 1, &inputs.audio)], &mut [out])
        .unwrap();
    assert_eq!(got, expected);
}

/// Posed meshes in place of PNCC; a head must be known, and only one of the two may come.
#[test]
fn meshes_stand_for_pncc() {
    let (inputs, head) = (inputs(), head());
    let mut rng = Rng(2);
    let mesh = |rng: &mut Rng| -> Vec<[f32; 3]> {
        let (x, y) = (24.0 + 4.0 * rng.signed(), 24.0 + 4.0 * rng.signed());
        let place = |p: &[f32]| [x + 1.5e-4 * p[0], y - 1.5e-4 * p[1], 1.5e-4 * p[2]];
        head.mean.chunks_exact(3).map(place).collect()
    };
    let meshes: Vec<Vec<[f32; 3]>> = (0..3).map(|_| mesh(&mut rng)).collect();
    // Planes of the three frames' codes, one after the other.
    let mut pncc = Vec::new();
    for mesh in &meshes {
        let mut pixels = Vec::new();
        let mut raster = Rasterizer::single_thread();
        raster.render(mesh, &head.triangles, SIDE, SIDE).unwrap().pncc_f32_into(&head.ncc, &mut pixels).unwrap();
        assert!(pixels.iter().filter(|v| **v > 0.0).count() > 300, "the head is out of the picture");
        pncc.extend((0..3).flat_map(|c| pixels.iter().skip(c).step_by(3).copied().collect::<Vec<_>>()));
    }
    let session = open(&weights(), &options(Precision::Fp32)).unwrap();
    let (expected, _) = image(&session, &Inputs { pncc: pncc.clone(), ..inputs }).unwrap();

    let inputs = self::inputs();
    let reference = session.reference(&[array("reference", 6, SIDE, &inputs.reference)]).unwrap();
    let vertices: Vec<f32> = meshes.concat().into_flattened();
    let shape = [1, 3, head.mean.len() / 3, 3];
    let posed = Array { name: "mesh", shape, layout: Layout::Nchw, values: &vertices };
    let audio = array("audio", 20, 1, &inputs.audio);
    let render = |given: &[Array]| {
        let mut got = vec![0.0; 3 * SIDE * SIDE];
        let out = Output { name: "image", shape: [1, 3, SIDE, SIDE], layout: Layout::Nchw, values: &mut got };
        reference.render(given, &mut [out]).map(|_| got)
    };
    let unknown = render(&[posed, audio]).unwrap_err();
    assert!(unknown.exit_code() == 2 && unknown.to_string().contains("topology"), "{unknown}");
    let wrong = reference.set_topology(&head.triangles, &head.ncc[..100]).unwrap_err();
    assert!(wrong.exit_code() == 4 && wrong.to_string().contains("mesh with 100"), "{wrong}");
    reference.set_topology(&head.triangles, &head.ncc).unwrap();
    assert_eq!(render(&[posed, audio]).unwrap(), expected);
    let both = render(&[posed, audio, array("pncc", 9, SIDE, &pncc)]).unwrap_err();
    assert!(both.exit_code() == 2 && both.to_string().contains("one of them"), "{both}");
    let short = render(&[Array { shape: [1, 3, 7, 3], values: &vertices[..63], ..posed }, audio]).unwrap_err();
    assert!(short.exit_code() == 2 && short.to_string().contains("'mesh' has the shape"), "{short}");
}

/// A layer whose values leave fp16's range: the frame is computed again in fp32, and says so.
#[test]
fn a_frame_that_is_not_a_number_is_repeated_in_fp32() {
    let mut loud = weights();
    // What it makes too large, the instance normalisation behind it makes small again.
    let name = "rendering_network.cond_enc.0.1.0.weight";
    let array = loud.arrays.get_mut(name).unwrap();
    let values = array.as_f32().unwrap().iter().map(|v| 1e6 * v).collect();
    *array = headgan::weights::Array::f32(array.shape.clone(), values);
    let inputs = inputs();
    let (careful, repeated) = image(&open(&loud, &options(Precision::Fp32)).unwrap(), &inputs).unwrap();
    assert!(!repeated);
    let (half, repeated) = image(&open(&loud, &options(Precision::Fp16)).unwrap(), &inputs).unwrap();
    assert!(repeated && apart(&careful, &half) < 1e-6, "{repeated} {}", apart(&careful, &half));

    let array = loud.arrays.get_mut(name).unwrap();
    *array = headgan::weights::Array::f32(array.shape.clone(), vec![f32::MAX; array.len()]);
    let error = image(&open(&loud, &options(Precision::Fp16)).unwrap(), &inputs).unwrap_err();
    assert!(error.exit_code() == 6 && error.to_string().contains("not a number"), "{error}");
}

#[test]
fn what_is_wrong_is_one_line() {
    let session = open(&weights(), &options(Precision::Fp32)).unwrap();
    let inputs = inputs();
    let fails = |result: headgan::Result<()>, code: u8, part: &str| {
        let error = result.unwrap_err();
        let text = error.to_string();
        assert!(error.exit_code() == code && text.contains(part) && !text.contains('\n'), "{code} {part}: {text}");
    };
    fails(session.reference(&[array("picture", 6, SIDE, &inputs.reference)]).map(drop), 2, "'reference'");
    fails(session.reference(&[array("reference", 6, 2, &inputs.reference[..24])]).map(drop), 2, "divisible by 4");
    let reference = session.reference(&[array("reference", 6, SIDE, &inputs.reference)]).unwrap();
    let pncc = array("pncc", 9, SIDE, &inputs.pncc);
    fails(reference.render(&[], &mut []).map(drop), 2, "'pncc' is missing");
    fails(reference.render(&[pncc, array("smell", 9, SIDE, &inputs.pncc)], &mut []).map(drop), 2, "'smell'");
    fails(reference.render(&[array("pncc", 9, 16, &inputs.pncc[..9 * 256])], &mut []).map(drop), 2, "[1, 9, 48, 48]");
    let mut room = vec![0.0; 3 * 256];
    let out = Output { name: "image", shape: [1, 3, 16, 16], layout: Layout::Nchw, values: &mut room };
    fails(reference.render(&[pncc], &mut [out]).map(drop), 2, "there is room for [1, 3, 16, 16]");

    let open_with = |change: &dyn Fn(&mut Options)| {
        let mut options = options(Precision::Fp32);
        change(&mut options);
        open(&weights(), &options).map(drop)
    };
    fails(open_with(&|o| o.memory = 1000), 6, "memory budget is 1 MiB");
    fails(open_with(&|o| o.device.index = 7), 6, "no device 7");
    // Room for the weights and nothing else.
    let values: usize = weights().arrays.values().map(|a| a.len()).sum();
    let small = Options { memory: 4 * values as u64 + 1000, ..options(Precision::Fp32) };
    let tight = open(&weights(), &small).unwrap();
    fails(
        tight.reference(&[array("reference", 6, SIDE, &inputs.reference)]).map(drop),
        6,
        "1 frame(s) of 48 x 48 pixels",
    );
    let mut less = weights();
    less.arrays.remove("rendering_network.conv_img.1.weight");
    fails(open(&less, &options(Precision::Fp32)).map(drop), 4, "rendering_network.conv_img.1.weight");
    let garbage = Source::Bytes(Arc::from(&b"no safetensors"[..]));
    fails(Session::open(library(), &garbage, &options(Precision::Fp32)).map(drop), 4, "safetensors");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.safetensors");
    let hash = safetensors::save(&path, &weights()).unwrap();
    let opened =
        |hash: String| Session::open(library(), &Source::File(path.clone(), Some(hash)), &options(Precision::Fp32));
    fails(opened(hash.replace(|c: char| c != '0', "0")).map(drop), 4, "has changed");
    opened(hash).unwrap();
}

/// Any thread may use a session; calls wait for each other.
#[test]
fn threads_share_a_session() {
    let inputs = inputs();
    let session = open(&weights(), &options(Precision::Fp32)).unwrap();
    let (expected, _) = image(&session, &inputs).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(apart(&expected, &image(&session.clone(), &inputs).unwrap().0) < 1e-6));
        }
    });
}
