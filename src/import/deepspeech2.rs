//! Deep Speech 2 acoustic models: <https://github.com/SeanNaren/deepspeech.pytorch>, versions 2 (`.pth`) and 3 (PyTorch Lightning's
//! `.ckpt`).

use crate::audio::spectrogram;
use crate::audio::speech::{self, ARCHITECTURE};
use crate::engine::{Cell, shape};
use crate::error::Advice;
use crate::import::{Part, UnwrittenPack, files, tensors};
use crate::models::Role;
use crate::nets::deepspeech2::{self, deepspeech2};
use crate::weights::{Weights, torch};
use crate::{Error, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// That project's own labels, for files that hold a network and nothing else.
const LABELS: &str = "_'ABCDEFGHIJKLMNOPQRSTUVWXYZ ";
/// What stands in a file beside the network: version 2's entries, then where version 3 has all of them.
const BESIDE: [&str; 4] = ["labels", "audio_conf", "rnn_type", "hyper_parameters"];

/// Reads the only `.pth`, `.pt`, `.ckpt` or `.safetensors` of a folder, or a single file.
pub fn read(from: &Path) -> Result<UnwrittenPack> {
    let candidates =
        files(from, |name| [".pth", ".pt", ".ckpt", ".safetensors"].iter().any(|end| name.ends_with(end)))?;
    let [path] = candidates.as_slice() else {
        let there =
            if candidates.is_empty() { "there is no .pth or .ckpt file" } else { "there are several checkpoints" };
        return Err(Error::model(format!("{}: {there}; name the file", from.display())).with_advice(Advice::NameFile));
    };
    let bad = |text: String| Error::model(format!("{}: {text}", path.display()));
    let (mut weights, beside) = if path.extension().is_some_and(|e| e == "safetensors") {
        (tensors(path)?, Map::new())
    } else {
        torch::load_with(path, &torch::Options { strip: "module." }, &BESIDE)?
    };
    if weights.get("conv.0.weight").is_some() {
        let text = "this is a network of deepspeech.pytorch's first version, whose layers are others; take one of version 2 or 3";
        return Err(bad(text.into()));
    }
    // The last layer is a matrix there, a convolution here.
    if let Some(last) = weights.arrays.get_mut("fc.0.module.1.weight")
        && last.shape.len() == 2
    {
        last.shape.extend([1, 1]);
    }
    let network = deepspeech2::Config::infer(&weights).map_err(|e| bad(e.to_string()))?;
    let config = config(&beside, &network).map_err(bad)?;
    let network = speech::check(&config, &weights).map_err(|e| bad(e.to_string()))?;
    keep_layers(&mut weights, &network);
    let mut described = json!(config);
    if let Value::Object(map) = &mut described {
        let sizes = json!({"cell": network.cell, "hidden": network.hidden, "layers": network.layers, "context": network.context});
        map.extend(sizes.as_object().cloned().unwrap_or_default());
    }
    Ok(UnwrittenPack {
        licence: "MIT (the program that trained it); its training data may have others".into(),
        source: "https://github.com/SeanNaren/deepspeech.pytorch",
        purpose: "turns speech into characters and their times",
        parts: vec![Part::new(Role::Speech, ARCHITECTURE, ARCHITECTURE.as_str(), described, weights)],
    })
}

/// Drops what the network does not use, such as a loss's arrays.
fn keep_layers(weights: &mut Weights, network: &deepspeech2::Config) {
    let layers = shape::layers(|ops| {
        deepspeech2(ops, network, &[1, 1, network.bins, 64]);
    });
    let layers: BTreeSet<String> = layers.into_iter().map(|(name, _)| name).collect();
    weights.arrays.retain(|name, _| layers.contains(name));
}

/// Labels and spectrogram, as far as the file says them; an error is what it says that cannot be.
fn config(beside: &Map<String, Value>, network: &deepspeech2::Config) -> Result<speech::Config, String> {
    let newer = beside.get("hyper_parameters");
    let entry = |old: &str, new: &str| beside.get(old).or_else(|| newer?.get(new)).filter(|v| !v.is_null());
    let labels = match entry("labels", "labels") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(list)) => {
            let mut text = String::new();
            for label in list {
                match label.as_str().map(|l| (l, l.chars().count())) {
                    Some((label, 1)) => text.push_str(label),
                    _ => return Err(format!("the label {label} is not one character, others are not supported")),
                }
            }
            text
        }
        Some(_) => return Err("its labels are neither a text nor a list".into()),
        None if network.labels == LABELS.chars().count() => LABELS.into(),
        None => {
            let count = network.labels;
            return Err(format!(
                "it has {count} outputs and does not say which labels they are: take a whole checkpoint"
            ));
        }
    };
    let model = newer.and_then(|n| n.get("model_cfg"));
    let stated = beside.get("rnn_type").or_else(|| model?.get("rnn_type")).and_then(Value::as_str);
    let cell = match network.cell {
        Cell::Tanh => "rnn",
        Cell::Gru => "gru",
        Cell::Lstm => "lstm",
    };
    if let Some(stated) = stated.filter(|s| !s.eq_ignore_ascii_case(cell)) {
        return Err(format!("its recurrent layers are called '{stated}' and have the shapes of '{cell}'"));
    }
    let mut spectrogram = spectrogram::Config { periodic: newer.is_some(), ..Default::default() };
    if let Some(audio) = entry("audio_conf", "spect_cfg") {
        let number = |name: &str, usual: f64| match audio.get(name) {
            None | Some(Value::Null) => Ok(usual),
            Some(v) => v.as_f64().ok_or_else(|| format!("its '{name}' is {v}, which is no number")),
        };
        spectrogram.sample_rate = number("sample_rate", spectrogram.sample_rate.into())? as u32;
        spectrogram.window_size = number("window_size", spectrogram.window_size)?;
        spectrogram.window_stride = number("window_stride", spectrogram.window_stride)?;
        if let Some(window) = audio.get("window").filter(|w| !w.is_null()) {
            let known = serde_json::from_value(window.clone());
            spectrogram.window =
                known.map_err(|_| format!("its window is {window}; hamming, hann, blackman and bartlett are known"))?;
        }
    }
    Ok(speech::Config { labels, spectrogram })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::tests::checkpoint_with;
    use crate::import::{Options, check, import};
    use crate::models::Pack;
    use std::fs;

    /// Layers under the checkpoint's names and in its shapes.
    fn layers(cell: Cell, context: usize, labels: usize, rows: usize) -> Vec<(String, Vec<usize>)> {
        let network =
            deepspeech2::Config { cell, channels: 32, hidden: 4, layers: 2, context, labels, bins: 4 * rows - 3 };
        let layers = shape::layers(|ops| {
            deepspeech2(ops, &network, &[1, 1, network.bins, 64]);
        });
        let squeezed = |(name, shape): (String, Vec<usize>)| {
            let matrix = name == "fc.0.module.1.weight";
            (name, if matrix { shape[..2].to_vec() } else { shape })
        };
        layers.into_iter().map(squeezed).collect()
    }

    fn file(layers: &[(String, Vec<usize>)], beside: &[u8]) -> Vec<u8> {
        let tensors: Vec<(&str, &[usize])> =
            layers.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
        let after = [b"u", beside, b"u."].concat();
        checkpoint_with(&tensors, b"}(X\x0a\x00\x00\x00state_dict}(", &after)
    }

    fn text(t: &str) -> Vec<u8> {
        [b"X".as_slice(), &(t.len() as u32).to_le_bytes(), t.as_bytes()].concat()
    }

    fn imported(bytes: &[u8], name: &str) -> Result<(Pack, speech::Config, Weights)> {
        let (from, dest) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join(name), bytes).unwrap();
        let options = Options { check, topology: None };
        let pack = import("deepspeech2", from.path(), None, dest.path(), &options)?;
        let component = pack.component(Role::Speech, None).unwrap();
        let config = component.config()?;
        let weights = (*pack.load(component, check)?).clone();
        Ok((pack, config, weights))
    }

    /// Version 2's package: labels as a text, audio_conf as a dict, at 8 kHz.
    fn version_2() -> Vec<u8> {
        let mut beside =
            [text("labels"), text("_ABC "), text("rnn_type"), text("gru"), text("audio_conf"), b"}(".to_vec()].concat();
        beside.extend(
            [
                text("sample_rate"),
                b"M\x40\x1f".to_vec(),
                text("window"),
                text("hann"),
                text("noise_dir"),
                b"N".to_vec(),
            ]
            .concat(),
        );
        beside.extend([text("window_size"), b"G\x3f\x94\x7a\xe1\x47\xae\x14\x7b".to_vec(), b"u".to_vec()].concat());
        file(&layers(Cell::Gru, 0, 5, 21), &beside)
    }

    #[test]
    fn version_2_with_what_it_says() {
        let (pack, config, weights) = imported(&version_2(), "an4.pth").unwrap();
        let audio = spectrogram::Config {
            sample_rate: 8_000,
            window: spectrogram::Window::Hann,
            periodic: false,
            ..Default::default()
        };
        assert_eq!(config, speech::Config { labels: "_ABC ".into(), spectrogram: audio });
        assert_eq!(weights.get("fc.0.module.1.weight").unwrap().shape, [5, 4, 1, 1]);
        let described = &pack.components()[0].config;
        assert_eq!((described["cell"].as_str(), described["context"].as_u64()), (Some("gru"), Some(0)));
    }

    /// Version 3's hyper-parameters: objects of classes that are not here.
    #[test]
    fn version_3_with_objects() {
        let labels: Vec<u8> = ["_", "A", "B"].iter().flat_map(|l| text(l)).collect();
        let object = |class: &str, entries: &[Vec<u8>]| {
            let content = [text("_content"), b"}(".to_vec(), entries.concat(), b"u".to_vec()].concat();
            [b"comegaconf.dictconfig\nDictConfig\n)\x81}(", text(class).as_slice(), b"N", &content, b"ub"].concat()
        };
        let value = |v: &[u8]| [b"comegaconf.nodes\nAnyNode\n)\x81}".as_slice(), &text("_val"), v, b"sb"].concat();
        let kind = b"cdeepspeech_pytorch.enums\nRNNType\nctorch.nn.modules.rnn\nLSTM\n\x85R";
        let window =
            [b"cdeepspeech_pytorch.enums\nSpectrogramWindow\n".as_slice(), &text("hamming"), b"\x85R"].concat();
        let model = object("x", &[text("rnn_type"), value(kind), text("hidden_size"), value(b"K\x04")]);
        let audio = object("y", &[text("sample_rate"), value(b"M\x80\x3e"), text("window"), value(&window)]);
        let beside = [
            text("hyper_parameters"),
            b"}(".to_vec(),
            text("labels"),
            b"](".to_vec(),
            labels,
            b"e".to_vec(),
            text("model_cfg"),
            model,
            text("spect_cfg"),
            audio,
            b"u".to_vec(),
        ];
        let bytes = file(&layers(Cell::Lstm, 3, 3, 41), &beside.concat());
        let (_, config, _) = imported(&bytes, "librispeech.ckpt").unwrap();
        assert_eq!(config, speech::Config { labels: "_AB".into(), spectrogram: Default::default() });
    }

    #[test]
    fn the_usual_labels_and_what_cannot_be() {
        let (_, config, _) = imported(&file(&layers(Cell::Tanh, 2, 29, 41), b""), "a.pth").unwrap();
        assert_eq!(config.labels, LABELS);
        let fails = |bytes: &[u8], says: &str| {
            let e = imported(bytes, "a.pth").unwrap_err().to_string();
            assert!(e.contains(says) && e.contains("a.pth") && !e.contains('\n'), "{e}");
        };
        fails(&file(&layers(Cell::Gru, 0, 5, 41), b""), "5 outputs and does not say");
        let lying = [text("labels"), text("_ABC "), text("rnn_type"), text("lstm")].concat();
        fails(&file(&layers(Cell::Gru, 0, 5, 41), &lying), "called 'lstm' and have the shapes of 'gru'");
        let few = [text("labels"), text("_A")].concat();
        fails(&file(&layers(Cell::Gru, 0, 5, 41), &few), "5 outputs and its labels are 2");
        let words = [text("labels"), b"](".to_vec(), text("_"), text("ab"), b"e".to_vec()].concat();
        fails(&file(&layers(Cell::Gru, 0, 2, 41), &words), "\"ab\" is not one character");
        fails(&file(&layers(Cell::Gru, 0, 29, 40), b""), "rnns.0.rnn.weight_ih_l0");
        fails(&file(&[("conv.0.weight".into(), vec![32, 1, 41, 11])], b""), "first version");
        fails(&file(&[("features.0.weight".into(), vec![3, 3])], b""), "another network");
        let mut deaf = layers(Cell::Gru, 0, 29, 41);
        deaf.retain(|(name, _)| name != "rnns.1.batch_norm.module.running_var");
        fails(&file(&deaf, b""), "rnns.1.batch_norm.module.running_var");
    }

    /// Whatever byte changes, an import is done or fails with one line.
    #[test]
    fn damaged_files() {
        let good = version_2();
        let mut rng = crate::random::Rng(11);
        let (mut bytes, mut errors) = (good.clone(), 0);
        // The tensors' values are the larger part; structure stands before them.
        let structure = good.len()
            - layers(Cell::Gru, 0, 5, 21).iter().map(|(_, s)| 4 * s.iter().product::<usize>()).sum::<usize>();
        for i in 0..300 {
            let at = rng.next_u64() as usize % if i % 10 == 0 { good.len() } else { structure };
            bytes[at] ^= 1 + (rng.next_u64() % 255) as u8;
            if let Err(e) = imported(&bytes, "a.pth") {
                assert!(matches!(e, Error::Model(_)) && !e.to_string().contains('\n'), "{e:?}");
                errors += 1;
            }
            bytes[at] = good[at];
        }
        assert!(errors > 50, "{errors}");
        for n in (0..structure).step_by(97) {
            assert!(imported(&good[..n], "a.pth").is_err(), "cut at {n}");
        }
    }
}
