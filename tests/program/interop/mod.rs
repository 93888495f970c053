//! Exchange of models with PyTorch: numbers, names, and files that are not what they seem.
//!
//! `tests/pytorch/check.py` made the small cases in `tests/pytorch/golden`. If torch is installed, it also runs these
//! tests on larger ones.
mod everyday;
mod onnx;
mod refusals;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    common::{devices, max_abs, max_difference, scrambled, values},
    files::torch_file,
};
use burn::tensor::{Device, Tensor, TensorData};
use jempp::{
    checkpoint::Checkpoint,
    config::{ModelConfig, Norm, StartKind},
    data::Dataset,
    device,
    energy::{Energy, JointEnergy},
    interop::{self, Centers, ImportRequest, Imported},
    model::{HostTensor, Network, weights_of},
    trainer::Trainer,
};
use pollster::block_on;
use pytorch_reader::PytorchReader;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// The tolerance for logits and gradients, relative to the largest value.
const TOLERANCE: f32 = 1e-4;

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch/golden").join(file)
}

fn import(path: &Path) -> Imported {
    interop::import(path, &ImportRequest::default(), &device::cpu()).unwrap()
}

/// The f32 tensors of a safetensors file.
fn tensors(bytes: &[u8]) -> BTreeMap<String, HostTensor> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let tensors = file.tensors().into_iter().filter(|(_, view)| view.dtype() == Dtype::F32);
    let host = |view: TensorView| HostTensor {
        shape: view.shape().to_vec(),
        values: bytemuck::pod_collect_to_vec(view.data()),
    };
    tensors.map(|(name, view)| (name, host(view))).collect()
}

fn network(checkpoint: &Checkpoint, norm: Norm, device: &Device) -> Network {
    let config = ModelConfig { norm, ..checkpoint.config.model.clone() };
    checkpoint.network_with(&config, device).unwrap()
}

/// The logits and the gradient of the energy at `x`.
fn answers(network: &Network, x: &HostTensor, device: &Device) -> [Vec<f32>; 2] {
    let shape: [usize; 4] = x.shape.clone().try_into().unwrap();
    let x = Tensor::from_data(TensorData::new(x.values.clone(), shape), device);
    let energy = JointEnergy::new(network);
    [values(energy.logits(x.clone())), values(energy.gradient(x).gradient)]
}

/// Compares the logits and input gradients of an imported checkpoint with those that PyTorch computed.
fn check_against_pytorch(checkpoint: &Checkpoint, path: &Path, device: &Device) {
    let expected = tensors(&fs::read(path).unwrap());
    let modes = match checkpoint.config.model.norm {
        Norm::None => [(Norm::None, "eval"), (Norm::None, "train")],
        _ => [(Norm::Frozen, "eval"), (Norm::Batch, "train")],
    };
    for (norm, mode) in modes {
        let found = answers(&network(checkpoint, norm, device), &expected["x"], device);
        for (found, what) in found.iter().zip(["logits", "gradient"]) {
            let expected = &expected[&format!("{mode}.{what}")].values;
            let error = max_difference(found, expected) / max_abs(expected);
            assert!(error < TOLERANCE, "{}: {mode} {what} off by {error}", path.display());
        }
    }
}

#[test]
fn imported_networks_give_pytorchs_logits_and_input_gradients() {
    for name in ["none", "batch"] {
        let checkpoint = import(&golden(&format!("{name}.pt"))).checkpoint;
        for device in devices() {
            check_against_pytorch(&checkpoint, &golden(&format!("{name}.safetensors")), &device);
        }
    }
}

#[test]
fn what_goes_in_comes_out_under_the_same_names() {
    for name in ["none", "batch"] {
        let path = golden(&format!("{name}.pt"));
        let exported = interop::export(&import(&path).checkpoint, true).unwrap();
        let file = SafeTensors::deserialize(&exported).unwrap();
        let mut left: Vec<String> = file.names().iter().map(ToString::to_string).collect();
        for (name, tensor) in PytorchReader::new(&path).unwrap().tensors() {
            let name = name.strip_prefix("model_state_dict.").unwrap_or(name);
            if name.contains("layer_one") || name.contains("other_layers") {
                continue;
            }
            left.retain(|other| other != name);
            let found = file.tensor(name).unwrap();
            assert_eq!(found.shape(), tensor.shape(), "{name}");
            let bytes = tensor.read().unwrap();
            let original: Vec<f32> = match tensor.dtype().size() {
                2 => bytes
                    .chunks_exact(2)
                    .map(|half| half::f16::from_le_bytes([half[0], half[1]]).to_f32())
                    .collect(),
                4 => bytemuck::pod_collect_to_vec(&bytes),
                _ => {
                    assert!(name.ends_with("num_batches_tracked") && found.dtype() == Dtype::I64);
                    continue;
                }
            };
            let found: Vec<f32> = bytemuck::pod_collect_to_vec(found.data());
            let is_unused = name.starts_with("energy_output");
            assert_eq!(found, if is_unused { vec![0.0; found.len()] } else { original }, "{name}");
        }
        assert!(left.is_empty(), "tensors that the original has not: {left:?}");
    }
}

#[test]
fn an_import_says_what_it_found_and_left_out() {
    let Imported { checkpoint, centers, has_chains, unused, reading } = import(&golden("batch.pt"));
    assert_eq!(checkpoint.config.model.arch, "wrn-10-1");
    assert_eq!(checkpoint.config.model.norm, Norm::Batch);
    assert_eq!(checkpoint.class_names, ["class 0", "class 1", "class 2"]);
    assert_eq!(checkpoint.input_shape, [3, 8, 8]);
    assert_eq!((centers, has_chains), (Centers::Chains, true));
    assert_eq!(checkpoint.replay_buffer.shape, [9, 192]);
    assert_eq!(reading.container, "model_state_dict");
    assert_eq!(reading.num_aliases, 2 + (14 + 16 + 16) + 5, "conv1, three stages, the last norm");
    assert_eq!(unused.len(), 2 + 7, "energy_output and a counter per norm: {unused:?}");

    // A centre is the mean of the chains that the network assigns to its class.
    let chains = &checkpoint.replay_buffer.values;
    let x = HostTensor { shape: vec![9, 3, 8, 8], values: chains.clone() };
    let device = device::cpu();
    let [logits, _] = answers(&network(&checkpoint, Norm::Frozen, &device), &x, &device);
    let seen: Vec<usize> = logits
        .chunks(3)
        .map(|logits| (0..3).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap())
        .collect();
    let class = (0..3).find(|class| seen.iter().filter(|&seen| seen == class).count() > 1).unwrap();
    let own: Vec<usize> = (0..9).filter(|&chain| seen[chain] == class).collect();
    let mean: Vec<f32> = (0..192)
        .map(|d| own.iter().map(|chain| chains[chain * 192 + d]).sum::<f32>() / own.len() as f32)
        .collect();
    let found = &checkpoint.class_centers.mean[class * 192..(class + 1) * 192];
    assert!(max_difference(found, &mean) < 1e-5);
}

#[test]
fn an_imported_model_goes_on_training() {
    let checkpoint = import(&golden("batch.pt")).checkpoint;
    let before = checkpoint.weights.clone();
    let labels: Vec<u32> = (0..18).map(|item| item % 3).collect();
    let names = checkpoint.class_names.clone();
    let train = Dataset::from_floats(scrambled(18 * 192, 1), labels, [3, 8, 8], names).unwrap();
    let mut trainer = Trainer::resume(checkpoint, train, &device::cpu()).unwrap();
    block_on(trainer.step()).unwrap();
    assert_ne!(block_on(weights_of(trainer.network())).unwrap(), before);
}

/// A checkpoint of a network that jempp initialised.
fn with_network(arch: &str, input_shape: [usize; 3], num_classes: usize) -> Checkpoint {
    let mut checkpoint = import(&golden("none.pt")).checkpoint;
    checkpoint.config.model = ModelConfig { arch: arch.into(), ..ModelConfig::default() };
    checkpoint.class_names = (0..num_classes).map(|class| class.to_string()).collect();
    checkpoint.input_shape = input_shape;
    let model = &checkpoint.config.model;
    let network = Network::new(model, input_shape, num_classes, 7, &device::cpu()).unwrap();
    checkpoint.weights = block_on(weights_of(&network)).unwrap();
    checkpoint
}

#[test]
fn a_flattening_head_takes_pixels_in_pytorchs_order() {
    let checkpoint = with_network("cnn-small", [1, 12, 8], 3);
    let exported = tensors(&interop::export(&checkpoint, false).unwrap());
    let (ours, theirs) =
        (&checkpoint.weights["body.Cnn.classifier.weight"], &exported["class_output.weight"]);
    let (channels, positions) = (64, 3 * 2);
    assert_eq!(ours.shape, [positions * channels, 3]);
    assert_eq!(theirs.shape, [3, channels * positions]);
    for class in 0..3 {
        for channel in 0..channels {
            for position in 0..positions {
                assert_eq!(
                    theirs.values[(class * channels + channel) * positions + position],
                    ours.values[(position * channels + channel) * 3 + class],
                );
            }
        }
    }
    assert_eq!(exported["convs.1.weight"].shape, [32, 16, 3, 3]);
    assert!(!exported.contains_key("energy_output.weight"));
    assert!(!exported.contains_key("replay_buffer"));
}

#[test]
fn an_export_says_the_temperature_of_a_calibrated_model() {
    let mut checkpoint = with_network("cnn-tiny", [2, 8, 8], 3);
    for (temperature, said) in [(None, None), (Some(0.76), Some("0.76"))] {
        checkpoint.counters.temperature = temperature;
        let bytes = interop::export(&checkpoint, false).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().clone().unwrap();
        assert_eq!(metadata.get("temperature").map(String::as_str), said);
        assert_eq!((&*metadata["arch"], &*metadata["input_shape"]), ("cnn-tiny", "[2,8,8]"));
    }
}

/// Larger cases made by `tests/pytorch/check.py`, which then checks the exports written here.
#[test]
fn a_folder_from_pytorch_is_imported_compared_and_exported() {
    let Some(folder) = std::env::var_os("JEMPP_PYTORCH_DIR").map(PathBuf::from) else {
        eprintln!("SKIPPED: JEMPP_PYTORCH_DIR is not set; tests/pytorch/check.py sets it");
        return;
    };
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let cases: Vec<PathBuf> =
        files.filter(|path| path.extension() == Some("pt".as_ref())).collect();
    assert!(!cases.is_empty());
    for case in cases {
        let checkpoint = import(&case).checkpoint;
        check_against_pytorch(&checkpoint, &case.with_extension("safetensors"), &device::cpu());
        let exported = interop::export(&checkpoint, true).unwrap();
        fs::write(case.with_extension("export.safetensors"), exported).unwrap();
    }
    for (arch, shape, num_classes) in [
        ("cnn-small", [1, 28, 28], 10),
        ("cnn-base", [3, 16, 12], 4),
        ("cnn-tiny", [2, 8, 8], 3),
        ("mlp", [2, 1, 1], 2),
    ] {
        let checkpoint = with_network(arch, shape, num_classes);
        let exported = interop::export(&checkpoint, false).unwrap();
        fs::write(folder.join(format!("{arch}.export.safetensors")), exported).unwrap();
        let [c, h, w] = shape;
        let x = HostTensor { shape: vec![5, c, h, w], values: scrambled(5 * c * h * w, 3) };
        let device = device::cpu();
        let [logits, gradient] = answers(&network(&checkpoint, Norm::None, &device), &x, &device);
        let answers = [
            ("x", x.shape.clone(), x.values),
            ("logits", vec![5, num_classes], logits),
            ("gradient", x.shape, gradient),
        ];
        let views = answers.iter().map(|(name, shape, values)| {
            let bytes = bytemuck::cast_slice(values);
            (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
        });
        let bytes = safetensors::serialize(views, None::<HashMap<_, _>>).unwrap();
        fs::write(folder.join(format!("{arch}.answers.safetensors")), bytes).unwrap();
    }
}

/// Every tensor of a WRN-10-1, by its PyTorch name.
fn wrn_10_1() -> Vec<torch_file::Tensor> {
    let exported =
        tensors(&interop::export(&import(&golden("none.pt")).checkpoint, false).unwrap());
    exported.iter().map(|(name, t)| torch_file::Tensor::zeros(name, &t.shape)).collect()
}

#[test]
fn a_model_without_chains_gets_fresh_ones() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.pt");
    fs::write(&path, torch_file::checkpoint(&wrn_10_1())).unwrap();
    let Imported { checkpoint, centers, has_chains, .. } = import(&path);
    assert_eq!((centers, has_chains), (Centers::Nothing, false));
    assert_eq!(checkpoint.input_shape, [3, 32, 32]);
    assert_eq!(checkpoint.config.sampler.start, StartKind::Uniform);
    assert_eq!(checkpoint.replay_buffer.shape, [10_000, 3072]);
    assert!(max_abs(&checkpoint.replay_buffer.values) <= 1.0);
}

#[test]
fn the_program_imports_samples_and_exports() {
    let dir = tempfile::tempdir().unwrap();
    let jempp = |arguments: &[&str]| {
        let program = env!("CARGO_BIN_EXE_jempp");
        let output =
            Command::new(program).args(arguments).current_dir(dir.path()).output().unwrap();
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.success(), said.concat())
    };
    let file = golden("batch.pt");
    let ours = "run/checkpoint.safetensors";
    let into = ["import", file.to_str().unwrap(), "--out", ours, "--device", "cpu"];
    let (is_done, said) = jempp(&into);
    assert!(is_done, "{said}");
    assert!(said.contains("wrn-10-1, batch norm, 3 classes, inputs 3×8×8"), "{said}");
    assert!(said.contains("53 second names of tensors") && said.contains("9 chains"), "{said}");
    for start in ["class-centers", "buffer"] {
        let out = format!("samples-{start}");
        let chains = ["--start", start, "--steps", "2", "--per-class", "2", "--device", "cpu"];
        let (is_done, said) =
            jempp(&[&["sample", "--checkpoint", ours, "--out", &out], &chains[..]].concat());
        assert!(is_done, "{said}");
    }
    let out = ["export", "--safetensors", "--checkpoint", ours, "--out", "theirs.safetensors"];
    let (is_done, said) = jempp(&out);
    assert!(is_done, "{said}");
    let bytes = fs::read(dir.path().join("theirs.safetensors")).unwrap();
    assert_eq!(tensors(&bytes)["replay_buffer"].shape, [9, 3, 8, 8]);
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    for (key, value) in [("format", "pt"), ("arch", "wrn-10-1"), ("norm", "batch")] {
        assert_eq!(metadata[key], value);
    }
    for out in ["/proc/nothing/x", "theirs.safetensors/x"] {
        for command in [&into[..3], &["export", "--out"]] {
            let (is_done, said) = jempp(&[command, &[out]].concat());
            assert!(!is_done && said.contains(&format!("cannot write {out}: ")), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
    for again in [&into[..], &out[..]] {
        let (is_done, said) = jempp(again);
        assert!(!is_done && said.contains("already exists"), "{said}");
    }
}
