use super::*;
use crate::engine::plain::Plain;
use crate::engine::{Executor, Ops};
use crate::testing::{Rng, shared};
use flatbuffers::{FlatBufferBuilder, WIPOffset};
use std::sync::Arc;

type Table = WIPOffset<flatbuffers::TableFinishedWIPOffset>;

/// The vtable's place of field `id`.
fn slot(id: u16) -> u16 {
    4 + 2 * id
}

/// A file with a picture of 6 x 6, a convolution (two outputs, 3x3, steps of 2, `SAME`, weights in half precision), a PReLU.
fn file(kernel: &[f32], bias: &[f32], slopes: &[f32]) -> Vec<u8> {
    let mut b = FlatBufferBuilder::new();
    let half: Vec<u8> = kernel.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect();
    let raw = |v: &[f32]| -> Vec<u8> { v.iter().flat_map(|v| v.to_le_bytes()).collect() };
    let contents = [vec![], half, raw(bias), raw(slopes)];
    let mut buffers: Vec<Table> = Vec::new();
    for data in &contents {
        let data = b.create_vector(data);
        let t = b.start_table();
        b.push_slot_always(slot(0), data);
        buffers.push(b.end_table(t));
    }
    // Shape, type (0 float, 1 half), buffer, name.
    let tensors: [(&[i32], u8, u32, &str); 7] = [
        (&[1, 6, 6, 3], 0, 0, "picture"),
        (&[2, 3, 3, 3], 1, 1, "half"),
        (&[2, 3, 3, 3], 0, 0, "kernel"),
        (&[2], 0, 2, "bias"),
        (&[1, 3, 3, 2], 0, 0, "made"),
        (&[1, 1, 2], 0, 3, "slopes"),
        (&[1, 3, 3, 2], 0, 0, "out"),
    ];
    let mut made: Vec<Table> = Vec::new();
    for (shape, kind, buffer, name) in tensors {
        let (shape, name) = (b.create_vector(shape), b.create_string(name));
        let t = b.start_table();
        b.push_slot_always(slot(0), shape);
        b.push_slot_always(slot(1), kind);
        b.push_slot_always(slot(2), buffer);
        b.push_slot_always(slot(3), name);
        made.push(b.end_table(t));
    }
    let conv = {
        let t = b.start_table();
        // Padding SAME, steps of 2 and 2.
        b.push_slot_always(slot(1), 2i32);
        b.push_slot_always(slot(2), 2i32);
        b.end_table(t)
    };
    let mut operators: Vec<Table> = Vec::new();
    let list: [(u32, &[i32], i32); 3] = [(0, &[1], 2), (1, &[0, 2, 3], 4), (2, &[4, 5], 6)];
    for (code, inputs, output) in list {
        let (inputs, output) = (b.create_vector(inputs), b.create_vector(&[output]));
        let t = b.start_table();
        b.push_slot_always(slot(0), code);
        b.push_slot_always(slot(1), inputs);
        b.push_slot_always(slot(2), output);
        if code == 1 {
            b.push_slot_always(slot(3), 1u8);
            b.push_slot_always(slot(4), conv);
        }
        operators.push(b.end_table(t));
    }
    let codes: Vec<Table> = [6i8, 3, 54]
        .map(|code| {
            let t = b.start_table();
            b.push_slot_always(slot(0), code);
            b.end_table(t)
        })
        .into();
    let graph = {
        let (tensors, operators) = (b.create_vector(&made), b.create_vector(&operators));
        let (inputs, outputs) = (b.create_vector(&[0i32]), b.create_vector(&[6i32]));
        let t = b.start_table();
        b.push_slot_always(slot(0), tensors);
        b.push_slot_always(slot(1), inputs);
        b.push_slot_always(slot(2), outputs);
        b.push_slot_always(slot(3), operators);
        b.end_table(t)
    };
    let (codes, graphs, buffers) = (b.create_vector(&codes), b.create_vector(&[graph]), b.create_vector(&buffers));
    let t = b.start_table();
    b.push_slot_always(slot(0), 3u32);
    b.push_slot_always(slot(1), codes);
    b.push_slot_always(slot(2), graphs);
    b.push_slot_always(slot(4), buffers);
    let root = b.end_table(t);
    b.finish(root, Some("TFL3"));
    b.finished_data().to_vec()
}

fn small() -> (Vec<u8>, Vec<f32>) {
    // Values that half precision holds.
    let kernel: Vec<f32> = (0..54).map(|i| (i % 7) as f32 * 0.25 - 0.75).collect();
    (file(&kernel, &[0.5, -1.0], &[0.25, 2.0]), kernel)
}

#[test]
fn a_convolution_pads_its_end_as_tensorflow_does() {
    let (bytes, kernel) = small();
    let (graph, weights) = read(&bytes, "small.tflite").unwrap();
    assert_eq!((graph.input, graph.nodes.len()), ([3, 6, 6], 1), "{graph:?}");
    let ops = Plain::new(Arc::new(weights));
    let x = Rng(3).vec(108);
    let out = graph.run(&ops, &ops.tensor([1, 3, 6, 6], &x));
    assert_eq!((out[0].0.as_str(), ops.shape(&out[0].1)), ("out", [1, 2, 3, 3]));
    let values = ops.values(&out[0].1);
    for (k, (bias, slope)) in [(0.5, 0.25), (-1.0, 2.0)].into_iter().enumerate() {
        for (oy, ox) in (0..9).map(|i| (i / 3, i % 3)) {
            let mut sum = bias;
            for (ky, kx, c) in (0..27).map(|i| (i / 9, i / 3 % 3, i % 3)) {
                // One row and column of padding in all: behind the last.
                let (y, xx) = (2 * oy + ky, 2 * ox + kx);
                if y < 6 && xx < 6 {
                    sum += kernel[((k * 3 + ky) * 3 + kx) * 3 + c] * x[(c * 6 + y) * 6 + xx];
                }
            }
            let want = if sum >= 0.0 { sum } else { slope * sum };
            let got = values[(k * 3 + oy) * 3 + ox];
            assert!((got - want).abs() < 1e-4, "{k} {oy} {ox}: {got} for {want}");
        }
    }
    // As a pack keeps it.
    let config = serde_json::json!({"graph": graph});
    assert_eq!(Graph::from_config(config.as_object().unwrap()).unwrap(), graph);
}

/// Whatever is done to a file: a network that can be run, or one line that names the file.
fn survives(bytes: &[u8], name: &str) {
    match read(bytes, name) {
        Ok((graph, weights)) => graph.check(&weights).map(drop).unwrap(),
        Err(Error::Model(text)) => {
            let text = text.to_string();
            assert!(text.starts_with(name) && !text.contains('\n') && text.len() < 1000, "{text}");
        }
        Err(other) => panic!("{other}"),
    }
}

fn torment(bytes: &[u8], name: &str) {
    let mut rng = Rng(11);
    let mut pick = |n: usize| ((rng.signed().abs() * 1e7) as usize) % n;
    for _ in 0..200 {
        let mut damaged = bytes.to_vec();
        let (at, bit) = (pick(bytes.len()), pick(8));
        damaged[at] ^= 1 << bit;
        survives(&damaged, name);
        // Most of a file is weights; its tables are at the ends.
        let at = if bit < 4 { pick(4096.min(bytes.len())) } else { bytes.len() - 1 - pick(4096.min(bytes.len())) };
        damaged[at] = damaged[at].wrapping_add(1 + pick(255) as u8);
        survives(&damaged, name);
    }
    for _ in 0..60 {
        survives(&bytes[..pick(bytes.len())], name);
    }
}

#[test]
fn damaged_files_are_refused_in_one_line() {
    torment(&small().0, "small.tflite");
    for foreign in [&b""[..], b"TFL3", b"PK\x03\x04TFL3", b"\x00\x00\x00\x00TFL3\xff\xff\xff\xff"] {
        survives(foreign, "foreign.tflite");
    }
    let text = read(b"no network at all", "a.tflite").unwrap_err().to_string();
    assert!(text.starts_with("a.tflite: this is not a TensorFlow Lite file"), "{text}");
}

#[test]
fn damaged_files_of_mediapipe_are_refused_in_one_line() {
    let Some(shared) = shared() else { return };
    for entry in std::fs::read_dir(shared.join("face-models/mediapipe")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        torment(&std::fs::read(&path).unwrap(), &name);
    }
}
