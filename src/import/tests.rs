use super::*;
use crate::import::default_check;
use crate::models::{Architecture, ModelSet};
use crate::morphable::arrays::tests::sample;
use crate::morphable::arrays::{morphable_from, morphable_weights};
use crate::testing::{Rng, shared};
use crate::weights::mat::tests::Writer;
use crate::weights::{Array, numpy, spectral};
use std::fs;

fn run(kind: &str, from: &Path, dest: &Path) -> Result<Pack> {
    import(kind, from, None, dest, &Options::default())
}

fn loaded(pack: &Pack, role: Role) -> (Component, Weights) {
    let component = pack.component(role, None).unwrap();
    (component.clone(), (*pack.load(component, default_check).unwrap()).clone())
}

/// Nothing, not even a hidden folder, is in the destination.
fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

// ---- writers of upstream's formats ----

/// `numpy.ndarray` in a pickle of protocol 2 or 3.
fn array_pickle(out: &mut Vec<u8>, shape: &[usize], dtype: &str, values: &[u8]) {
    out.extend(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01(");
    for d in shape {
        out.push(b'J');
        out.extend((*d as u32).to_le_bytes());
    }
    out.extend(b"tcnumpy\ndtype\nU");
    out.push(dtype.len() as u8);
    out.extend(dtype.as_bytes());
    out.extend(b"\x89\x88\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89B");
    out.extend((values.len() as u32).to_le_bytes());
    out.extend(values);
    out.extend(b"tb");
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn ints(values: impl IntoIterator<Item = u32>) -> Vec<u8> {
    values.into_iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn dict_pickle(arrays: &[(&str, &[usize], &str, Vec<u8>)]) -> Vec<u8> {
    let mut out = b"\x80\x03}(".to_vec();
    for (name, shape, dtype, values) in arrays {
        out.push(b'U');
        out.push(name.len() as u8);
        out.extend(name.as_bytes());
        array_pickle(&mut out, shape, dtype, values);
    }
    out.extend(b"u.");
    out
}

/// A legacy checkpoint with the float tensors at the root, each in a storage of its own.
fn checkpoint(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    checkpoint_with(tensors, b"}(", b"u.")
}

/// The same between the pickle of what is around the tensors' entries.
pub(crate) fn checkpoint_with(tensors: &[(&str, &[usize])], before: &[u8], after: &[u8]) -> Vec<u8> {
    let mut out = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.\x80\x02".to_vec();
    out.extend(before);
    let mut tail = b"\x80\x02](".to_vec();
    let mut values = Vec::new();
    let text = |out: &mut Vec<u8>, t: &str| {
        out.push(b'X');
        out.extend((t.len() as u32).to_le_bytes());
        out.extend(t.as_bytes());
    };
    let int = |out: &mut Vec<u8>, v: usize| {
        out.push(b'J');
        out.extend((v as u32).to_le_bytes());
    };
    for (i, (name, shape)) in tensors.iter().enumerate() {
        let numel: usize = shape.iter().product();
        text(&mut out, name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\n");
        text(&mut out, &i.to_string());
        text(&mut out, "cpu");
        int(&mut out, numel);
        out.extend(b"tQK\x00(");
        shape.iter().for_each(|d| int(&mut out, *d));
        out.extend(b"t(");
        (0..shape.len()).for_each(|d| int(&mut out, shape[d + 1..].iter().product()));
        out.extend(b"t\x89}tR");
        text(&mut tail, &i.to_string());
        values.extend((numel as u64).to_le_bytes());
        values.extend(floats(&(0..numel).map(|v| v as f32 * 0.01).collect::<Vec<_>>()));
    }
    out.extend(after);
    tail.extend(b"e.");
    [out, tail, values].concat()
}

/// A 3DDFA-V2 folder with a model of 70 vertices.
fn tddfa_folder(folder: &Path) {
    let n = 70;
    let mean: Vec<f32> = (0..3 * n).map(|i| (i as f32 * 0.7).sin() + i as f32).collect();
    let basis = |k: usize| floats(&(0..3 * n * k).map(|i| (i % k) as f32).collect::<Vec<_>>());
    let keypoints = ints((0..68u32).flat_map(|i| [3 * (i + 1), 3 * (i + 1) + 1, 3 * (i + 1) + 2]));
    let bfm = dict_pickle(&[
        ("u", &[3 * n, 1], "f4", floats(&mean)),
        ("w_shp", &[3 * n, 199], "f4", basis(199)),
        ("w_exp", &[3 * n, 29], "f4", basis(29)),
        ("keypoints", &[204], "i4", keypoints),
    ]);
    fs::write(folder.join("bfm_noneck_v3.pkl"), bfm).unwrap();
    let mut tri = b"\x80\x03".to_vec();
    array_pickle(&mut tri, &[3, 2], "i4", &ints([0, 1, 2, 3, 4, 69]));
    tri.push(b'.');
    fs::write(folder.join("tri.pkl"), tri).unwrap();
    let statistics =
        dict_pickle(&[("mean", &[62], "f4", floats(&[0.5; 62])), ("std", &[62], "f4", floats(&[2.0; 62]))]);
    fs::write(folder.join("param_mean_std_62d_120x120.pkl"), statistics).unwrap();
    let code = crate::morphable::arrays::normalised(&mean);
    let code = (0..3).flat_map(|axis| code.iter().skip(axis).step_by(3).copied()).collect();
    numpy::save_npy(&folder.join("ncc_code.npy"), &Array::f32([3, n], code)).unwrap();
    fs::write(folder.join("FaceBoxesProd.pth"), checkpoint(&[("module.conv1.conv.weight", &[24, 3, 7, 7])])).unwrap();
    let mb = |channels| {
        checkpoint(&[
            ("module.conv1.weight", &[channels, 3, 3, 3]),
            ("module.fc_param.weight", &[62, 4]),
            ("module.fc_param.bias", &[62]),
            ("module.fc_lm.weight", &[136, 4]),
        ])
    };
    fs::write(folder.join("mb05_120x120.pth"), mb(16)).unwrap();
    fs::write(folder.join("mb1_120x120.pth"), mb(32)).unwrap();
}

#[test]
fn a_3ddfa_v2_folder() {
    let (from, dest) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tddfa_folder(from.path());
    let pack = run("3ddfa-v2", from.path(), dest.path()).unwrap();
    let kinds: Vec<_> = pack.components().iter().map(|c| (c.role, c.config.get("width").cloned())).collect();
    let width = |w: f64| Some(serde_json::json!(w));
    assert_eq!(
        kinds,
        [(Role::Detector, None), (Role::Regressor, width(1.0)), (Role::Regressor, width(0.5)), (Role::Morphable, None)]
    );
    let (_, mb) = loaded(&pack, Role::Regressor);
    assert_eq!(mb.arrays.keys().collect::<Vec<_>>(), ["conv1.weight", "fc.bias", "fc.weight"]);
    assert_eq!(mb.metadata["architecture"], "mobilenet-v1");
    let (_, weights) = loaded(&pack, Role::Morphable);
    let model = morphable_from(&weights).unwrap();
    assert_eq!((model.shape_dim, model.expr_dim, model.triangles.as_slice()), (40, 10, &[[0, 2, 4], [1, 3, 69]][..]));
    assert_eq!((model.landmarks[0], model.landmarks[67]), (1, 68));
    assert_eq!(model.shape_basis[40..43], [0.0, 1.0, 2.0]);
    assert_eq!(model.ncc.concat(), crate::morphable::arrays::normalised(&model.mean));

    // Imported again under the same name: replaced, and the only thing there.
    fs::remove_file(from.path().join("mb1_120x120.pth")).unwrap();
    let again = run("3ddfa-v2", from.path(), dest.path()).unwrap();
    assert_eq!(again.components().len(), 3);
    assert_eq!(fs::read_dir(dest.path()).unwrap().count(), 1);
    // The same input gives the same files.
    assert_eq!(again.components()[2].blake3, pack.components()[3].blake3);
}

#[test]
fn a_failed_import_leaves_nothing() {
    let (from, dest) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in ["FaceBoxesProd.pth", "bfm_noneck_v3.pkl", "tri.pkl", "ncc_code.npy", "param_mean_std_62d_120x120.pkl"]
    {
        tddfa_folder(from.path());
        fs::remove_file(from.path().join(name)).unwrap();
        let text = run("3ddfa-v2", from.path(), dest.path()).unwrap_err();
        assert!(text.exit_code() == 4 && text.to_string().contains(name), "{text}");
        assert!(is_empty(dest.path()));
        // Cut off in the middle.
        tddfa_folder(from.path());
        let bytes = fs::read(from.path().join(name)).unwrap();
        fs::write(from.path().join(name), &bytes[..bytes.len() / 2]).unwrap();
        let text = run("3ddfa-v2", from.path(), dest.path()).unwrap_err();
        assert!(text.exit_code() == 4 && text.to_string().contains(name), "{text}");
        assert!(is_empty(dest.path()));
    }
    tddfa_folder(from.path());
    let refuse = Options { check: |c, _| Err(Error::model(format!("no {}", c.role))), topology: None };
    let text = import("3ddfa-v2", from.path(), None, dest.path(), &refuse).unwrap_err().to_string();
    assert!(text.contains("faceboxes: no detector"), "{text}");
    assert!(is_empty(dest.path()));
    // A file where the destination should be.
    let file = dest.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(run("3ddfa-v2", from.path(), &file.join("models")).unwrap_err().exit_code(), 3);
    assert_eq!(run("3ddfa-v2", &from.path().join("none"), dest.path()).unwrap_err().exit_code(), 3);
}

#[test]
fn kinds_and_names() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, name, says) in
        [("3dffa-v2", None, "did you mean '3ddfa-v2'"), ("retinaface", Some("../x"), "cannot be the name")]
    {
        let e = import(kind, dir.path(), name, dir.path(), &Options::default()).unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains(says), "{e}");
    }
    for kind in ["retinaface", "headgan-official", "mobilefacenet", "lsfm", "3ddfa-v2", "deepspeech2"] {
        let e = run(kind, dir.path(), dir.path()).unwrap_err();
        assert_eq!(e.exit_code(), 4, "{kind}: {e}");
    }
}

#[test]
fn retinaface_backbones() {
    let (from, dest) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let write = |file: &str, first: &str, channels| {
        let bytes = checkpoint(&[(first, &[8, 3, 3, 3]), ("module.fpn.output1.0.weight", &[channels, 2, 1, 1])]);
        fs::write(from.path().join(file), bytes).unwrap();
    };
    write("mobilenet0.25_Final.pth", "body.stage1.0.0.weight", 64);
    write("Resnet50_Final.pth", "module.body.conv1.weight", 256);
    let pack = run("retinaface", from.path(), dest.path()).unwrap();
    let configs: Vec<_> = pack.components().iter().map(|c| serde_json::Value::Object(c.config.clone())).collect();
    assert_eq!(configs[0], serde_json::json!({"backbone": "mobilenet0.25", "channels": 64}));
    assert_eq!(configs[1], serde_json::json!({"backbone": "resnet50", "channels": 256}));
    // A single file, another name.
    let file = from.path().join("Resnet50_Final.pth");
    let pack = import("retinaface", &file, Some("big"), dest.path(), &Options::default()).unwrap();
    assert_eq!((pack.name(), pack.components().len()), ("big", 1));
    write("mobilenet0.25_Final.pth", "something.else", 64);
    let e = run("retinaface", from.path(), dest.path()).unwrap_err().to_string();
    assert!(e.contains("mobilenet0.25_Final.pth") && e.contains("another network"), "{e}");
}

/// A generator with the layers from which its configuration is read.
fn generator_arrays(prefix: &str) -> Weights {
    let mut w = Weights::default();
    let mut rng = Rng(7);
    let mut put = |name: &str, shape: &[usize]| {
        w.insert(format!("{prefix}{name}"), Array::f32(shape, rng.vec(shape.iter().product())));
    };
    for i in 0..3 {
        let name = format!("flow_network.enc.{i}.{}0", if i == 0 { "1." } else { "0." });
        put(&format!("{name}.weight_orig"), &[4, 2, 3, 3]);
        put(&format!("{name}.weight_u"), &[4]);
        put(&format!("{name}.weight_v"), &[18]);
    }
    put("rendering_network.cond_enc.0.1.0.weight", &[4, 9, 7, 7]);
    put("flow_network.dec_res.0.norm_0.mlp_shared.0.weight", &[16, 9, 3, 3]);
    put("rendering_network.cond_dec_audio.0.norm1.fc.weight", &[8, 300]);
    w
}

#[test]
fn spectral_norm_is_folded() {
    // W = [[3, 0], [0, 4]] with the exact singular vectors of the larger value.
    let mut w = Weights::default();
    w.insert("a.weight_orig", Array::f32([2, 2, 1, 1], vec![3.0, 0.0, 0.0, 4.0]));
    w.insert("a.weight_u", Array::f32([2], vec![0.0, 1.0]));
    w.insert("a.weight_v", Array::f32([2], vec![0.0, 1.0]));
    w.insert("a.bias", Array::f32([2], vec![1.0, 2.0]));
    let folded = spectral::fold(&w).unwrap();
    assert_eq!(folded.get("a.weight").unwrap(), &Array::f32([2, 2, 1, 1], vec![0.75, 0.0, 0.0, 1.0]));
    assert_eq!(folded.arrays.len(), 2);
    assert_eq!(spectral::fold(&folded).unwrap(), folded);
    for (name, array) in [
        ("a.weight_u", Array::f32([3], vec![1.0; 3])),
        ("a.weight_v", Array::f32([2], vec![0.0; 2])),
        ("a.weight_u", Array::f32([2], vec![f32::NAN; 2])),
        ("a.weight_orig", Array::f32([], vec![1.0])),
    ] {
        let mut bad = w.clone();
        bad.insert(name, array);
        let text = spectral::fold(&bad).unwrap_err().to_string();
        assert!(text.contains("'a'"), "{text}");
    }
    w.arrays.remove("a.weight_v");
    assert!(spectral::fold(&w).unwrap_err().to_string().contains("'a.weight_v' is missing"));
}

fn component_config(pack: &Pack) -> crate::nets::generator::Config {
    loaded(pack, Role::Generator).0.config().unwrap()
}

#[test]
fn headgan_from_safetensors() {
    let (from, dest) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut all = generator_arrays("state.");
    all.insert("input.audio", Array::f32([1], vec![0.0]));
    for scale in 0..2 {
        all.insert(format!("disc.discriminator_{scale}.model0.0.weight"), Array::f32([8, 6, 1, 1], vec![0.5; 48]));
        all.insert(format!("disc.discriminator_{scale}.model1.0.0.weight"), Array::f32([2, 8, 1, 1], vec![0.5; 16]));
    }
    safetensors::save(&from.path().join("official.safetensors"), &all).unwrap();
    let pack = run("headgan-official", from.path(), dest.path()).unwrap();
    let (component, weights) = loaded(&pack, Role::Generator);
    let config = serde_json::json!({"ngf": 4, "levels": 2, "spade": 16, "frames": 3, "audio": 300});
    assert_eq!(serde_json::Value::Object(component.config.clone()), config);
    assert_eq!(component.config::<crate::nets::generator::Config>().unwrap().audio, 300);
    // Also in the file itself, for use without the pack.
    assert_eq!(serde_json::from_str::<serde_json::Value>(&weights.metadata["config"]).unwrap(), config);
    assert!(weights.arrays.keys().all(|k| !k.contains("_orig") && !k.starts_with("state") && !k.contains("input")));
    let (component, _) = loaded(&pack, Role::Discriminator);
    assert_eq!(component.config["scales"], 2);
    let set = ModelSet::from_folders(&[dest.path().into()]);
    assert_eq!(
        set.find(Role::Generator, Some(&Architecture::HeadganGenerator), None).unwrap().0.name(),
        "headgan-official"
    );
    // A file of this project's own trainer keeps what its shapes do not tell.
    let mut own = generator_arrays("");
    let stated = crate::nets::generator::Config { prior: true, ..component_config(&pack) };
    own.metadata = stated.metadata();
    let path = from.path().join("own.safetensors");
    safetensors::save(&path, &own).unwrap();
    let pack = import("headgan-official", &path, Some("own"), dest.path(), &Options::default()).unwrap();
    assert_eq!(component_config(&pack), stated);
}

/// An LSFM file with the model of [`sample`], and fields on top.
fn lsfm_file(extra: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let w = Writer { big: false };
    let model = sample();
    let rows = model.mean.len() as u32;
    let doubles = |rows: usize, columns: usize, values: &[f32]| {
        let turned: Vec<f64> =
            (0..columns).flat_map(|c| (0..rows).map(move |r| f64::from(values[r * columns + c]))).collect();
        w.doubles(&[rows as u32, columns as u32], "", &turned)
    };
    let mut fields = vec![
        ("id_basis", doubles(rows as usize, model.shape_dim, &model.shape_basis)),
        ("exp_basis", doubles(rows as usize, model.expr_dim, &model.expr_basis)),
        ("mean", doubles(rows as usize, 1, &model.mean)),
    ];
    fields.extend(extra.iter().map(|(n, v)| (*n, v.clone())));
    let names: Vec<u8> = fields.iter().flat_map(|(n, _)| format!("{n:\0<12}").into_bytes()).collect();
    let body = [w.small(5, &12u32.to_le_bytes()), w.element(1, &names)].concat();
    let body = [body, fields.into_iter().flat_map(|(_, v)| v).collect()].concat();
    let fmod = w.matrix(2, &[1, 1], "fmod", &body);
    w.file(&[w.compressed(&fmod)])
}

#[test]
fn lsfm_with_and_without_a_topology() {
    let (from, dest) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let w = Writer { big: false };
    let model = sample();
    let column = |base: u32| -> (Vec<u8>, Vec<u8>) {
        let t = &model.triangles;
        let turned: Vec<f64> = (0..3).flat_map(|c| t.iter().map(move |v| f64::from(v[c] + base))).collect();
        let landmarks: Vec<f64> = model.landmarks.iter().map(|v| f64::from(v + base)).collect();
        (w.doubles(&[t.len() as u32, 3], "", &turned), w.doubles(&[68, 1], "", &landmarks))
    };
    let path = from.path().join("model.mat");
    let mut expected = morphable_weights(&model);
    expected.arrays.retain(|k, _| !k.starts_with("param_"));
    // Counting from 0 as Python does, and from 1 as MATLAB does.
    for base in [0, 1] {
        let (triangles, landmarks) = column(base);
        fs::write(&path, lsfm_file(&[("trilist", triangles), ("ldm_idx", landmarks)])).unwrap();
        let pack = run("lsfm", from.path(), dest.path()).unwrap();
        assert_eq!(loaded(&pack, Role::Morphable).1.arrays, expected.arrays, "counting from {base}");
    }
    // Without its own, from a pack with as many vertices (here the one just made), else an error.
    fs::write(&path, lsfm_file(&[])).unwrap();
    let pack = import("lsfm", &path, Some("bare"), dest.path(), &Options::default()).unwrap();
    assert_eq!(loaded(&pack, Role::Morphable).1.arrays, expected.arrays);
    let empty = tempfile::tempdir().unwrap();
    let named = Options { topology: Some(&pack), ..Options::default() };
    assert!(import("lsfm", &path, None, empty.path(), &named).is_ok());
    let other = tempfile::tempdir().unwrap();
    let text = run("lsfm", &path, other.path()).unwrap_err().to_string();
    assert!(text.contains("68 vertices") && text.contains("trilist"), "{text}");
    assert!(is_empty(other.path()));
    let bad = w.doubles(&[1, 3], "", &[0.0, 1.0, 69.0]);
    fs::write(&path, lsfm_file(&[("trilist", bad)])).unwrap();
    assert!(run("lsfm", &path, dest.path()).unwrap_err().to_string().contains("trilist"));
}

/// The real files: values against sums that torch and numpy printed.
#[test]
fn upstream_files() {
    let Some(shared) = shared() else { return };
    let dest = tempfile::tempdir().unwrap();
    let sum =
        |w: &Weights, name: &str| w.get(name).unwrap().as_f32().unwrap().iter().map(|v| f64::from(*v)).sum::<f64>();
    let models = shared.join("face-models");
    // Every layer of every network is there, with the right shape.
    let run = |kind: &str, from: &Path, dest: &Path| {
        let options = Options { check: crate::import::check, topology: None };
        import(kind, from, None, dest, &options)
    };

    let pack = run("3ddfa-v2", &models.join("3ddfa_v2"), dest.path()).unwrap();
    let (_, weights) = loaded(&pack, Role::Morphable);
    let model = morphable_from(&weights).unwrap();
    assert_eq!((model.ncc.len(), model.triangles.len()), (38_365, 76_073));
    assert_eq!(model.landmarks[0], 52320 / 3);
    // The file's coordinate code is that of the mean shape.
    let code = crate::morphable::arrays::normalised(&model.mean);
    let error = model.ncc.as_flattened().iter().zip(&code).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(error < 1e-6, "{error}");
    assert_eq!(loaded(&pack, Role::Regressor).0.config["width"], 0.5);

    let pack = run("retinaface", &models.join("retinaface"), dest.path()).unwrap();
    assert_eq!(loaded(&pack, Role::Detector).0.config["backbone"], "mobilenet0.25");
    let pack = run("mobilefacenet", &models.join("mobilefacenet"), dest.path()).unwrap();
    let (component, _) = loaded(&pack, Role::Embedder);
    assert_eq!((&component.config["height"], &component.config["width"]), (&112.into(), &96.into()));

    let fixture = shared.join("fixtures/headgan/official_ngf2_64px.safetensors");
    let pack = run("headgan-official", &fixture, dest.path()).unwrap();
    let (component, weights) = loaded(&pack, Role::Generator);
    assert_eq!((&component.config["ngf"], &component.config["audio"]), (&2.into(), &300.into()));
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-5, "{a} {b}");
    near(sum(&weights, "flow_network.dec_main.1.conv_0.weight"), -5.750664320890792);
    near(sum(&weights, "rendering_network.cond_enc.0.1.0.weight"), -0.1094043027551379);
    let (component, weights) = loaded(&pack, Role::Discriminator);
    near(sum(&weights, "discriminator_1.model2.0.0.weight"), 10.286036153182067);
    assert_eq!((&component.config["ndf"], &component.config["layers"]), (&8.into(), &4.into()));
    let silent = shared.join("fixtures/headgan/official_ngf2_64px_noaudio.safetensors");
    let pack = import("headgan-official", &silent, Some("silent"), dest.path(), &Options::default()).unwrap();
    assert_eq!(loaded(&pack, Role::Generator).0.config["audio"], 0);
}
