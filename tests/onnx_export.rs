//! The ONNX recorder, with rten as an independent witness: every graph runs there and on the plain executor.

use headgan::engine::plain::Plain;
use headgan::engine::{Act, Conv, Ops, Resize, onnx, shape};
use headgan::models::Architecture;
use headgan::nets::named::{Network, logical};
use headgan::nets::{discriminator, generator, mobilenet, window};
use headgan::testing::{Rng, load_f32, random_weights, shared};
use headgan::weights::{Weights, spectral};
use rten::{Model, ValueOrView};
use rten_tensor::prelude::*;
use std::sync::Arc;

/// A named input: rank 4, or 2 for a vector.
type Input = (&'static str, Vec<usize>, Vec<f32>);

/// A network that any executor can run.
trait Net {
    fn run<O: Ops>(&self, ops: &O, x: &[O::Tensor]) -> Vec<(String, O::Tensor)>;
}

/// The values that rten computes for every output of a graph, with their shapes.
fn witness(graph: Vec<u8>, inputs: &[Input]) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let model = Model::load(graph).unwrap();
    let given = inputs
        .iter()
        .map(|(name, dims, values)| {
            let tensor = rten_tensor::Tensor::from_data(dims.as_slice(), values.clone());
            (model.node_id(name).unwrap(), ValueOrView::from(tensor))
        })
        .collect();
    let ids = model.output_ids().to_vec();
    let results = model.run(given, &ids, None).unwrap();
    ids.iter()
        .zip(results)
        .map(|(&id, value)| {
            let name = model.node_info(id).unwrap().name().unwrap().to_owned();
            let tensor: rten_tensor::Tensor<f32> = value.try_into().unwrap();
            (name, tensor.shape().to_vec(), tensor.to_vec())
        })
        .collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m })
}

/// Runs a network with random weights and inputs both ways.
fn agree(what: &str, net: &impl Net, inputs: &[(&'static str, &[usize])], tolerance: f32) {
    let layers = shape::layers(|ops| {
        let xs: Vec<[usize; 4]> = inputs.iter().map(|(_, d)| logical(d)).collect();
        net.run(ops, &xs);
    });
    let weights = random_weights(&layers, 1);
    let mut rng = Rng(2);
    let inputs: Vec<Input> = inputs
        .iter()
        .map(|&(name, dims)| {
            let scale = if name == "flow" { 4.0 } else { 1.0 };
            let values = rng.vec(dims.iter().product()).iter().map(|v| v * scale).collect();
            (name, dims.to_vec(), values)
        })
        .collect();
    compare(what, net, &weights, &inputs, tolerance);
}

fn compare(what: &str, net: &impl Net, weights: &Weights, inputs: &[Input], tolerance: f32) {
    let dims: Vec<(&str, &[usize])> = inputs.iter().map(|(n, d, _)| (*n, d.as_slice())).collect();
    let graph = onnx::record(what, &dims, weights, |ops, xs| net.run(ops, xs)).unwrap();
    if let Some(folder) = std::env::var_os("HEADGAN_ONNX_OUT") {
        dump(std::path::Path::new(&folder), what, &graph, net, weights, inputs);
    }
    let theirs = witness(graph, inputs);
    let ours = plain(net, weights, inputs);
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for ((name, shape, ours), (their_name, their_shape, theirs)) in ours.iter().zip(&theirs) {
        assert_eq!((name, shape), (their_name, their_shape), "{what}");
        let d = largest_difference(ours, theirs);
        let size = ours.iter().fold(1.0f32, |m, v| m.max(v.abs()));
        assert!(d <= tolerance * size, "{what} {name}: {d:e} where values reach {size}");
    }
}

/// The values of every output by definition.
fn plain(net: &impl Net, weights: &Weights, inputs: &[Input]) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let ops = Plain::new(Arc::new(weights.clone()));
    let xs: Vec<_> = inputs.iter().map(|(_, d, v)| ops.tensor(logical(d), v)).collect();
    net.run(&ops, &xs).into_iter().map(|(name, t)| (name, t.shape.to_vec(), t.data.to_vec())).collect()
}

/// Leaves the graph with its inputs and expected outputs for other runtimes (benches/peers/check_onnx.py).
fn dump(folder: &std::path::Path, what: &str, graph: &[u8], net: &impl Net, weights: &Weights, inputs: &[Input]) {
    let stem = folder.join(what.replace(|c: char| !c.is_alphanumeric(), "_"));
    std::fs::write(stem.with_extension("onnx"), graph).unwrap();
    let bytes = |v: &[f32]| v.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let ins = inputs.iter().map(|(n, d, v)| (format!("input.{n}"), d.clone(), bytes(v)));
    let outs = plain(net, weights, inputs).into_iter().map(|(n, d, v)| (format!("output.{n}"), d, bytes(&v)));
    let all: Vec<(String, Vec<usize>, Vec<u8>)> = ins.chain(outs).collect();
    let views = all.iter().map(|(n, d, b)| {
        (n.clone(), safetensors::tensor::TensorView::new(safetensors::Dtype::F32, d.clone(), b).unwrap())
    });
    std::fs::write(stem.with_extension("safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
}

/// A network of one output from an expression over `$ops` and `$x`.
macro_rules! op {
    ($what:expr, [$($name:literal: $dims:expr),*], |$ops:ident, $x:ident| $body:expr) => {{
        struct One;
        impl Net for One {
            fn run<O: Ops>(&self, $ops: &O, $x: &[O::Tensor]) -> Vec<(String, O::Tensor)> {
                vec![("y".to_owned(), $body)]
            }
        }
        agree($what, &One, &[$(($name, &$dims)),*], 1e-5);
    }};
}

#[test]
fn convolutions() {
    const LEAKY: Act = Act::Leaky(0.1);
    op!("conv 3x3", ["x": [1, 3, 7, 9]], |ops, x| ops.conv2d(&x[0], "a", Conv::same(5, 3)));
    op!("conv stride", ["x": [2, 3, 8, 9]], |ops, x| ops.conv2d(&x[0], "a", Conv::same(4, 3).stride(2).act(LEAKY)));
    op!("conv 4x4", ["x": [1, 6, 9, 6]], |ops, x| ops.conv2d(&x[0], "a", Conv::same(4, 4).pad(2).stride(2).no_bias()));
    op!("conv reflect", ["x": [1, 3, 8, 5]], |ops, x| ops.conv2d(&x[0], "a", Conv::same(2, 7).reflect().act(Act::Relu)));
    op!("conv depthwise", ["x": [1, 6, 5, 7]], |ops, x| ops.conv2d(&x[0], "a", Conv::same(6, 3).groups(6).stride(2)));
    op!("conv groups", ["x": [1, 6, 5, 7]], |ops, x| ops.conv2d(&x[0], "a", Conv::same(4, 1).groups(2)));
    op!("conv 1x3", ["x": [1, 2, 5, 7]], |ops, x| {
        ops.conv2d(&x[0], "a", Conv { kernel: (1, 3), pad: (0, 1), ..Conv::same(3, 3) })
    });
    op!("conv bn", ["x": [1, 3, 5, 7]], |ops, x| ops.conv_bn(&x[0], "a", Conv::same(4, 3).act(Act::Relu), "b", 1e-5));
    op!("conv pair", ["x": [1, 3, 5, 7]], |ops, x| ops.conv2d_pair(&x[0], "a", "b", Conv::same(4, 3)));
}

#[test]
fn linear_layers_and_vectors() {
    op!("linear", ["x": [2, 5]], |ops, x| ops.linear(&x[0], "a", 7));
    op!("linear of pixels", ["x": [2, 5, 2, 3]], |ops, x| ops.linear(&x[0], "a", 7));
    op!("linear twice", ["x": [1, 5]], |ops, x| ops.relu(&ops.linear(&ops.linear(&x[0], "a", 7), "b", 3)));
    op!("vector", ["x": [1, 5]], |ops, x| ops.sigmoid(&x[0]));
}

#[test]
fn normalisations() {
    op!("batch norm", ["x": [2, 3, 4, 5]], |ops, x| ops.batch_norm(&x[0], "a", 1e-3));
    op!("instance norm", ["x": [2, 3, 4, 5]], |ops, x| ops.instance_norm(&x[0], None, Act::Relu));
    op!("instance norm affine", ["x": [1, 3, 4, 5]], |ops, x| ops.instance_norm(&x[0], Some("a"), Act::Leaky(0.2)));
    op!("spade", ["x": [1, 3, 4, 5], "g": [1, 6, 4, 5]], |ops, x| ops.norm_modulate(&x[0], &x[1], Act::Leaky(0.2)));
    op!("adain", ["x": [1, 3, 4, 5], "g": [1, 6]], |ops, x| ops.norm_modulate(&x[0], &x[1], Act::None));
    op!("adain linear", ["x": [1, 3, 4, 5], "a": [1, 9]], |ops, x| {
        ops.norm_modulate(&x[0], &ops.linear(&x[1], "fc", 6), Act::None)
    });
    op!("spade pair", ["x": [1, 3, 4, 5], "c": [1, 2, 4, 5]], |ops, x| {
        ops.norm_modulate(&x[0], &ops.conv2d_pair(&x[1], "a", "b", Conv::same(3, 3)), Act::Relu)
    });
}

#[test]
fn pointwise() {
    op!("relu", ["x": [1, 3, 4, 5]], |ops, x| ops.relu(&x[0]));
    op!("leaky", ["x": [1, 3, 4, 5]], |ops, x| ops.leaky_relu(&x[0], 0.25));
    op!("prelu", ["x": [2, 3, 4, 5]], |ops, x| ops.prelu(&x[0], "a"));
    op!("tanh", ["x": [1, 3, 4, 5]], |ops, x| ops.tanh(&x[0]));
    op!("sigmoid", ["x": [1, 3, 4, 5]], |ops, x| ops.sigmoid(&x[0]));
    op!("softmax", ["x": [2, 3, 4, 5]], |ops, x| ops.softmax(&x[0]));
    op!("affine", ["x": [1, 3, 4, 5]], |ops, x| ops.affine(&x[0], -0.5, 0.25));
    op!("affine scale", ["x": [1, 3, 4, 5]], |ops, x| ops.affine(&x[0], 2.0, 0.0));
    op!("affine identity", ["x": [1, 3, 4, 5]], |ops, x| ops.affine(&x[0], 1.0, 0.0));
    op!("add", ["x": [1, 3, 4, 5], "y0": [1, 3, 4, 5]], |ops, x| ops.add(&x[0], &x[1]));
    op!("mul", ["x": [1, 3, 4, 5], "y0": [1, 3, 4, 5]], |ops, x| ops.mul(&x[0], &x[1]));
    op!("mul mask", ["x": [2, 3, 4, 5], "y0": [2, 1, 4, 5]], |ops, x| ops.mul(&x[0], &x[1]));
    op!("mul gate", ["x": [1, 3, 4, 5], "y0": [1, 3]], |ops, x| ops.mul(&x[0], &x[1]));
    op!("constant", ["x": [1, 2, 1, 3]], |ops, x| ops.add(&x[0], &ops.tensor([1, 2, 1, 3], &[1., 2., 3., 4., 5., 6.])));
}

#[test]
fn pooling_of_every_geometry() {
    /// kernel, stride, pad, flag
    struct Pool(bool, usize, usize, usize, bool);
    impl Net for Pool {
        fn run<O: Ops>(&self, ops: &O, x: &[O::Tensor]) -> Vec<(String, O::Tensor)> {
            let &Pool(max, kernel, stride, pad, flag) = self;
            let y = if max {
                ops.max_pool(&x[0], kernel, stride, pad, flag)
            } else {
                ops.avg_pool(&x[0], kernel, stride, pad, flag)
            };
            vec![("y".to_owned(), y)]
        }
    }
    for (kernel, stride, pad) in
        [(2, 2, 0), (2, 2, 1), (3, 2, 1), (3, 2, 0), (3, 1, 1), (3, 3, 1), (2, 3, 0), (1, 2, 0)]
    {
        for (h, w) in [(7, 8), (9, 6), (5, 10)] {
            for flag in [false, true] {
                for max in [false, true] {
                    let what = format!("pool max {max} k {kernel} s {stride} p {pad} flag {flag} {h}x{w}");
                    agree(&what, &Pool(max, kernel, stride, pad, flag), &[("x", &[1, 2, h, w])], 1e-6);
                }
            }
        }
    }
}

#[test]
fn rearrangements() {
    op!("shuffle", ["x": [2, 12, 3, 5]], |ops, x| ops.pixel_shuffle(&x[0], 2));
    op!("shuffle 3", ["x": [1, 18, 2, 3]], |ops, x| ops.pixel_shuffle(&x[0], 3));
    op!("concat", ["x": [2, 3, 4, 5], "y0": [2, 2, 4, 5]], |ops, x| ops.concat(&[&x[0], &x[1], &x[0]]));
    op!("concat one", ["x": [1, 3, 4, 5]], |ops, x| ops.concat(&[&x[0]]));
    op!("slice", ["x": [2, 5, 4, 3]], |ops, x| ops.slice(&x[0], 1, 3));
    op!("slice of a concat", ["x": [1, 3, 4, 5], "y0": [1, 2, 4, 5]], |ops, x| {
        let c = ops.concat(&[&x[0], &x[1]]);
        ops.concat(&[&ops.slice(&c, 3, 2), &ops.slice(&c, 2, 2), &ops.slice(&c, 0, 5)])
    });
}

#[test]
fn resizing_to_any_size() {
    struct To(usize, usize, Resize);
    impl Net for To {
        fn run<O: Ops>(&self, ops: &O, x: &[O::Tensor]) -> Vec<(String, O::Tensor)> {
            vec![("y".to_owned(), ops.resize(&x[0], self.0, self.1, self.2))]
        }
    }
    for mode in [Resize::Nearest, Resize::Bilinear] {
        for (h, w) in [(12, 20), (3, 5), (24, 40), (9, 7), (6, 10), (1, 1), (13, 21), (36, 5), (4, 60)] {
            agree(&format!("resize {mode:?} {h}x{w}"), &To(h, w, mode), &[("x", &[2, 3, 12, 20])], 1e-5);
        }
    }
}

#[test]
fn warps() {
    op!("warp", ["x": [1, 3, 8, 9], "flow": [1, 2, 8, 9]], |ops, x| ops.warp(&x[0], &x[1]));
    op!("warp batch", ["x": [2, 1, 5, 7], "flow": [2, 2, 5, 7]], |ops, x| ops.warp(&x[0], &x[1]));
    op!("warp to another size", ["x": [1, 2, 8, 9], "flow": [1, 2, 5, 12]], |ops, x| ops.warp(&x[0], &x[1]));
    op!("warp of a line", ["x": [1, 2, 1, 9], "flow": [1, 2, 1, 9]], |ops, x| ops.warp(&x[0], &x[1]));
    op!("warp far out", ["x": [1, 2, 6, 9], "flow": [1, 2, 6, 9]], |ops, x| {
        ops.warp(&x[0], &ops.affine(&x[1], 1000.0, 0.0))
    });
}

struct Generator(generator::Config);

impl Net for Generator {
    fn run<O: Ops>(&self, ops: &O, x: &[O::Tensor]) -> Vec<(String, O::Tensor)> {
        let shot = generator::reference(ops, &self.0, &x[0]);
        let mut rest = x[2..].iter();
        let audio = if self.0.audio > 0 { rest.next() } else { None };
        let y = generator::forward(ops, &self.0, &shot, &x[1], audio, rest.next());
        let mut named: Vec<(String, O::Tensor)> =
            [("image", y.image), ("flow", y.flow), ("mask", y.mask), ("warped", y.warped)]
                .map(|(n, t)| (n.to_owned(), t))
                .to_vec();
        named.extend(y.warped_features.into_iter().enumerate().map(|(i, t)| (format!("warped_features.{i}"), t)));
        named
    }
}

#[test]
fn a_small_generator() {
    for (audio, own) in [(0, false), (20, false), (0, true), (20, true)] {
        let config = generator::Config {
            ngf: 3,
            levels: 2,
            spade: 16,
            frames: 3,
            audio,
            prior: own,
            compose: own,
            sound_at_mouth: own,
            eyeballs: false,
        };
        let mut inputs: Vec<(&'static str, &[usize])> = vec![("reference", &[1, 6, 32, 32]), ("pncc", &[1, 9, 32, 32])];
        if audio > 0 {
            inputs.push(("audio", &[1, 20]));
        }
        if own {
            inputs.push(("prior", &[1, 2, 32, 32]));
        }
        agree(&format!("generator audio {audio}, prior and composition {own}"), &Generator(config), &inputs, 1e-4);
    }
}

impl Net for Network {
    fn run<O: Ops>(&self, ops: &O, x: &[O::Tensor]) -> Vec<(String, O::Tensor)> {
        Network::run(self, ops, x)
    }
}

#[test]
fn the_other_networks() {
    let judge = discriminator::Config { input: 6, ndf: 4, layers: 4, scales: 2 };
    let small = [
        (Network::Discriminator(judge), 32),
        (Network::published(&Architecture::RetinaFace).unwrap(), 64),
        (Network::published(&Architecture::RetinaFace).unwrap(), 75),
        (Network::published(&Architecture::FaceBoxes).unwrap(), 128),
        (Network::published(&Architecture::MobileNetV1).unwrap(), 120),
        (Network::MobileNet(mobilenet::Config { width: 0.125, head: "fc".into(), outputs: 62, lids: true }), 120),
        (Network::published(&Architecture::MobileFaceNet).unwrap(), 112),
        (Network::Window(window::Config { side: 16, width: 4, spade: 6, conditions: 4, audio: 300 }), 16),
        (Network::Window(window::Config { side: 16, width: 4, spade: 6, conditions: 4, audio: 0 }), 16),
    ];
    for (network, size) in small {
        let inputs = network.inputs(size).unwrap();
        let inputs: Vec<(&'static str, &[usize])> =
            inputs.iter().map(|(name, dims)| (*name, dims.as_slice())).collect();
        agree(&format!("{} {size}", network.architecture()), &network, &inputs, 2e-5);
    }
}

/// `export` on the official fixtures: graph inputs are the file's, outputs meet both the plain executor and the file.
#[test]
fn exported_official_fixtures() {
    let Some(shared) = shared() else { return };
    for name in ["official_ngf2_64px", "official_ngf2_64px_noaudio"] {
        let file = load_f32(&shared.join(format!("fixtures/headgan/{name}.safetensors")));
        let value = |key: &str| {
            let array = file.get(key).unwrap();
            (array.shape.clone(), array.as_f32().unwrap().to_vec())
        };
        let state = spectral::fold(&file.strip_prefix("state.")).unwrap();
        let config = generator::Config::infer(&state).unwrap();
        let json = serde_json::to_value(&config).unwrap();
        let graph = headgan::nets::export_onnx(&Architecture::HeadganGenerator, &json, &state, 64).unwrap();
        let names = ["reference", "pncc", "audio"].into_iter().take(if config.audio > 0 { 3 } else { 2 });
        let inputs: Vec<Input> = names
            .map(|n| {
                let (dims, values) = value(&format!("input.{n}"));
                (n, dims, values)
            })
            .collect();
        let theirs = witness(graph, &inputs);
        assert_eq!(theirs.iter().map(|t| t.0.as_str()).collect::<Vec<_>>(), ["image", "flow", "mask", "warped"]);
        let ours = plain(&Generator(config), &state, &inputs);
        for ((key, _, theirs), (_, _, ours)) in theirs.iter().zip(&ours) {
            let (a, b) =
                (largest_difference(ours, theirs), largest_difference(&value(&format!("output.{key}")).1, theirs));
            println!("{name} {key}: rten to plain {a:e}, rten to the official output {b:e}");
            assert!(a.max(b) <= if key == "flow" { 1e-3 } else { 1e-4 }, "{name} {key}");
        }

        let judge = spectral::fold(&file.strip_prefix("disc.")).unwrap();
        let (dims, values) = value("disc_input");
        let graph =
            headgan::nets::export_onnx(&Architecture::HeadganDiscriminator, &serde_json::Value::Null, &judge, dims[2])
                .unwrap();
        for (key, _, theirs) in witness(graph, &[("picture", dims, values)]) {
            let key = key.replace("scale_", "disc_output.").replace("layer_", "");
            let d = largest_difference(&value(&key).1, &theirs);
            assert!(d <= 1e-4, "{name} {key} {d:e}");
        }
    }
}

#[test]
fn an_export_says_what_it_is_and_what_does_not_fit() {
    let config = generator::Config { ngf: 2, levels: 2, spade: 4, frames: 3, audio: 5, ..Default::default() };
    let layers = shape::layers(|ops| {
        let shot = generator::reference(ops, &config, &[1, 6, 16, 16]);
        generator::forward(ops, &config, &shot, &[1, 9, 16, 16], Some(&[1, 5, 1, 1]), None);
    });
    let mut weights = random_weights(&layers, 3);
    weights.metadata.insert("licence".into(), "for tests".into());
    let json = serde_json::to_value(&config).unwrap();
    let graph = headgan::nets::export_onnx(&Architecture::HeadganGenerator, &json, &weights, 16).unwrap();
    let model = Model::load(graph.clone()).unwrap();
    let shapes: Vec<_> = (0..3).map(|i| model.input_shape(i).unwrap().len()).collect();
    assert_eq!(shapes, [4, 4, 2]);
    for text in ["for tests", "licence", r#""ngf":2"#, "RGB (-1..1)"] {
        assert!(graph.windows(text.len()).any(|w| w == text.as_bytes()), "{text}");
    }
    // Each array is there once.
    let key = b"flow_network.dec_main.0.norm_0.mlp_gamma.0.weight";
    assert!(graph.windows(key.len()).filter(|w| w == key).count() <= 2);

    let text = |r: headgan::Result<Vec<u8>>| r.unwrap_err().to_string();
    assert!(
        text(headgan::nets::export_onnx(&"lenet".into(), &json, &weights, 16)).contains("known are headgan-generator")
    );
    assert!(
        text(headgan::nets::export_onnx(&Architecture::HeadganGenerator, &json, &weights, 18))
            .contains("multiple of 4")
    );
    assert!(
        text(headgan::nets::export_onnx(&Architecture::HeadganGenerator, &json, &weights, 1 << 20))
            .contains("multiple of 4")
    );
    let other = serde_json::json!({"ngf": 4, "levels": 2, "spade": 4, "frames": 3, "audio": 5});
    assert!(
        text(headgan::nets::export_onnx(&Architecture::HeadganGenerator, &other, &weights, 16)).contains("says ngf 4")
    );
    assert!(
        text(headgan::nets::export_onnx(&Architecture::HeadganGenerator, &serde_json::json!([1]), &weights, 16))
            .contains("an object is needed")
    );
    weights.arrays.remove("rendering_network.conv_img.1.bias");
    assert!(
        text(headgan::nets::export_onnx(&Architecture::HeadganGenerator, &json, &weights, 16))
            .contains("conv_img.1.bias")
    );

    let none = Weights::default();
    let missing = onnx::record("x", &[("x", &[1, 2, 3, 3])], &none, |ops, x| {
        vec![("y".to_owned(), ops.conv2d(&x[0], "a", Conv::same(1, 3).no_bias()))]
    });
    assert!(text(missing).contains("layer 'a.weight' has 0 values"));
    let twice = onnx::record("x", &[("x", &[1, 2, 3, 3])], &none, |_, x| vec![("x".to_owned(), x[0])]);
    assert!(text(twice).contains("two values, for 'x'"));
    assert!(text(onnx::record("x", &[("x", &[1, 2, 3])], &none, |_, _| vec![])).contains("[n, c, h, w] is needed"));
}

#[test]
fn nothing_is_written_twice_and_nothing_unused() {
    let weights = random_weights(&[("a.weight".to_owned(), vec![2, 2, 1, 1]), ("a.bias".to_owned(), vec![2])], 1);
    let graph = onnx::record("x", &[("x", &[1, 2, 3, 3])], &weights, |ops, x| {
        let a = ops.conv2d(&x[0], "a", Conv::same(2, 1));
        let b = ops.conv2d(&x[0], "a", Conv::same(2, 1));
        ops.tanh(&x[0]);
        ops.name(&a, "seen");
        vec![("y".to_owned(), ops.add(&a, &b)), ("z".to_owned(), a), ("w".to_owned(), a)]
    })
    .unwrap();
    let count = |text: &str| graph.windows(text.len()).filter(|w| *w == text.as_bytes()).count();
    // One convolution; the tensor that is returned twice is copied for its second name.
    assert_eq!((count("a/Conv"), count("Tanh"), count("Identity")), (0, 0, 1));
    assert_eq!((count("a.weight"), count("Conv")), (2, 1));
    let x = vec![0.5; 18];
    let out = witness(graph, &[("x", vec![1, 2, 3, 3], x)]);
    assert_eq!(out[1].2, out[2].2);
}
