//! Models to and from PyTorch: its numbers, its names, and files that are not what they say.
//!
//! `tests/pytorch/check.py` made the small cases in `tests/pytorch/golden` and, where there is a torch,
//! runs these tests on larger ones.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may")]

mod common;
mod torch_file;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use burn::tensor::{Device, Tensor, TensorData};
use common::{devices, max_abs, max_difference, scrambled, values};
use jempp::{
    checkpoint::Checkpoint,
    config::{ModelConfig, Norm, StartKind},
    data::Dataset,
    device,
    energy::{Energy, JointEnergy},
    interop::{self, Centers, ImportRequest, Imported},
    model::{HostTensor, Network, weights_of, with_weights},
    trainer::Trainer,
};
use pollster::block_on;
use pytorch_reader::PytorchReader;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// Relative to the largest value, of logits as of gradients.
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
    let num_classes = checkpoint.class_names.len();
    let fresh = Network::new(&config, checkpoint.input_shape, num_classes, 1, device).unwrap();
    with_weights(fresh, checkpoint.weights.clone()).unwrap()
}

/// Logits and the energy's gradient at `x`.
fn answers(network: &Network, x: &HostTensor, device: &Device) -> [Vec<f32>; 2] {
    let shape: [usize; 4] = x.shape.clone().try_into().unwrap();
    let x = Tensor::from_data(TensorData::new(x.values.clone(), shape), device);
    let energy = JointEnergy::new(network);
    [values(energy.logits(x.clone())), values(energy.gradient(x).gradient)]
}

/// Logits and input gradients of an imported checkpoint against those that PyTorch gave for it.
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
    let Imported { checkpoint, centers, has_chains, unused, num_aliases } =
        import(&golden("batch.pt"));
    assert_eq!(checkpoint.config.model.arch, "wrn-10-1");
    assert_eq!(checkpoint.config.model.norm, Norm::Batch);
    assert_eq!(checkpoint.class_names, ["class 0", "class 1", "class 2"]);
    assert_eq!(checkpoint.input_shape, [3, 8, 8]);
    assert_eq!((centers, has_chains), (Centers::Chains, true));
    assert_eq!(checkpoint.replay_buffer.shape, [9, 192]);
    assert_eq!(num_aliases, 2 + (14 + 16 + 16) + 5, "conv1, three stages, the last norm");
    assert_eq!(unused.len(), 2 + 7, "energy_output and a counter per norm: {unused:?}");

    // A centre is the mean of the chains in which the network sees its class.
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
    let train = Dataset::from_floats(scrambled(18 * 192, 1), labels, [3, 8, 8], names);
    let mut trainer = Trainer::resume(checkpoint, train, &device::cpu()).unwrap();
    block_on(trainer.step()).unwrap();
    assert_ne!(block_on(weights_of(trainer.network())), before);
}

/// A checkpoint of a network that began here.
fn with_network(arch: &str, input_shape: [usize; 3], num_classes: usize) -> Checkpoint {
    let mut checkpoint = import(&golden("none.pt")).checkpoint;
    checkpoint.config.model = ModelConfig { arch: arch.into(), ..ModelConfig::default() };
    checkpoint.class_names = (0..num_classes).map(|class| class.to_string()).collect();
    checkpoint.input_shape = input_shape;
    let model = &checkpoint.config.model;
    let network = Network::new(model, input_shape, num_classes, 7, &device::cpu()).unwrap();
    checkpoint.weights = block_on(weights_of(&network));
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

/// Larger cases, made by `tests/pytorch/check.py`, which then compares the exports left here.
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

/// Runs the program on a file that it must refuse, in one line, writing nothing: that line.
fn refused(file: &[u8], more: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("model.pt"), file).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_jempp"))
        .args(["import", "model.pt", "--out", "new/out.safetensors", "--device", "cpu"])
        .args(more)
        .current_dir(dir.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "one line: {stderr}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something was written");
    stderr
}

#[test]
fn tensors_that_do_not_make_up_the_network_are_named() {
    let said = |change: &dyn Fn(&mut Vec<torch_file::Tensor>)| {
        let mut tensors = wrn_10_1();
        change(&mut tensors);
        refused(&torch_file::checkpoint(&tensors), &[])
    };
    let add = |name: &'static str, shape: &'static [usize]| {
        said(&|tensors| tensors.push(torch_file::Tensor::zeros(name, shape)))
    };
    let reshape = |name: &str, shape: &[usize]| {
        said(&|tensors| tensors.iter_mut().find(|t| t.name == name).unwrap().shape = shape.into())
    };
    for name in ["f.conv1.weight", "f.layer2.0.shortcut.0.bias", "f.layer3.0.conv2.weight"] {
        let said = said(&|tensors| tensors.retain(|tensor| tensor.name != name));
        assert!(said.contains(&format!("lacks tensor `{name}`")), "{said}");
    }
    assert!(add("f.layer4.0.conv1.bias", &[3]).contains("has a tensor `f.layer4.0.conv1.bias`"));
    for (name, found, expected) in [
        ("f.layer1.0.conv1.bias", vec![15], "[16]"),
        ("f.conv1.weight", vec![16, 3, 9], "[16, 3, 3, 3]"),
        ("f.layer1.0.conv1.weight", vec![24, 16, 3, 3], "[160, 16, 3, 3]"),
        ("f.layer3.0.conv2.weight", vec![64, 64, 3, 1], "[64, 64, 3, 3]"),
        ("class_output.weight", vec![5, 65], "[10, 64]"),
        ("class_output.bias", vec![4], "[5]"),
    ] {
        let said = reshape(name, &found);
        assert!(said.contains(&format!("tensor `{name}` has shape {found:?}")), "{said}");
        assert!(said.contains(&format!("needs {expected}")), "{said}");
    }
    assert!(add("f.bn1.weight", &[64]).contains("instance or layer norm"));
    assert!(add("f.bn1.loc", &[1, 64, 1, 1]).contains("activation norm"));
    assert!(add("f.bn1.running_mean", &[64]).contains("lacks tensor `f.layer1.0.bn1."));
    let whole = said(&|tensors| {
        tensors.iter_mut().find(|t| t.name == "f.conv1.bias").unwrap().storage = "LongStorage";
    });
    assert!(whole.contains("`f.conv1.bias` holds I64"), "{whole}");
    let nan = said(&|tensors| tensors.last_mut().unwrap().byte = 0xff);
    assert!(nan.contains("holds a value that is not finite"), "{nan}");

    let original = fs::read(golden("none.pt")).unwrap();
    let said = refused(&original, &["--arch", "wrn-16-1"]);
    assert!(said.contains("--arch wrn-16-1: the file holds wrn-10-1"), "{said}");
    let said = refused(&original, &["--dataset", "cifar10"]);
    assert!(said.contains("has 5 classes, data set `cifar10` has 10"), "{said}");
    assert!(refused(&original, &["--dataset", "cifar"]).contains("`data.dataset` cannot be"));
    assert!(refused(&original, &["--data", "nowhere"]).contains("missing data file"));
}

#[test]
fn nothing_in_a_hostile_pickle_is_run_or_unfolded() {
    let hostile = |object: &[u8]| refused(&torch_file::around(object, &[]), &[]);
    let system =
        [b"cposix\nsystem\n", torch_file::text("touch pwned").as_slice(), b"\x85R"].concat();
    let said = hostile(&system);
    assert!(said.contains("`posix.system`") && said.contains("nothing of it was run"), "{said}");
    // Called, thrown away, and a valid checkpoint returned.
    let mut tensors = torch_file::checkpoint(&wrn_10_1());
    let object = tensors.windows(2).rposition(|bytes| bytes == b"\x80\x02").unwrap();
    tensors.splice(object + 2..object + 2, [&system[..], b"0"].concat());
    assert!(refused(&tensors, &[]).contains("posix.system"));

    let protocol_4 = [b"\x80\x04", torch_file::text("os").as_slice(), b"\x93)R"].concat();
    assert!(hostile(&protocol_4).contains("protocol 2"));
    assert!(hostile(b"ios\nsystem\n").contains("instruction 0x69"));
    assert!(hostile(&[b']'; 5000]).contains("Expected a dictionary"));
    let nested = [vec![b']'; 5000], vec![b'a'; 4999]].concat();
    assert!(hostile(&nested).contains("nesting"), "{}", hostile(&nested));
    let laughs: Vec<u8> = (0..60u8).flat_map(|i| [b'q', i, b'h', i, b'h', i, 0x86]).collect();
    assert!(hostile(&[b"]", &laughs[..]].concat()).contains("memo bomb"));
    assert!(hostile(&vec![b'N'; 5_000_000]).contains("too long"));
    assert!(hostile(b"X\xff\xff\xff\xff").contains("truncated"));
    assert!(hostile(b"").contains("no PyTorch checkpoint"));

    // A tensor that one number stands for a million times, and a storage that is not there.
    let claim = |shape: &[usize]| {
        let tensor = torch_file::rebuild("FloatStorage", 0, 1, shape, &vec![0; shape.len()]);
        let name = [torch_file::text("model_state_dict"), b"}".to_vec(), torch_file::text("w")];
        let object = [b"}".to_vec(), name.concat(), tensor, b"ss".to_vec()].concat();
        refused(&torch_file::around(&object, &[(1, 4, 0)]), &[])
    };
    assert!(claim(&[1 << 20, 64]).contains("claim 268435456 bytes"));
    assert!(claim(&[1 << 30, 1 << 20]).contains("limit"), "{}", claim(&[1 << 30, 1 << 20]));
}

#[test]
fn damaged_and_foreign_files_are_refused() {
    for foreign in [&b""[..], b"PK", b"<html>not found</html>", &[0; 4096]] {
        assert!(refused(foreign, &[]).contains("does not begin like a file of torch.save"));
    }
    let zip = fs::read(golden("batch.pt")).unwrap();
    let stream = fs::read(golden("none.pt")).unwrap();
    for whole in [&zip, &stream] {
        for tenth in 1..10 {
            let said = refused(&whole[..whole.len() * tenth / 10], &[]);
            assert!(said.contains("truncated") || said.contains("beyond the end"), "{said}");
        }
        assert!(refused(&whole[..whole.len() - 1], &[]).contains("no PyTorch checkpoint"));
    }
    let mut packed = zip.clone();
    let entry = packed.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    packed[entry + 10] = 8;
    assert!(refused(&packed, &[]).contains("compressed, which torch.save never does"));
    let mut damaged = zip.clone();
    damaged[150_000] ^= 1;
    assert!(refused(&damaged, &[]).contains("checksum"));

    // Any byte of the description may be wrong: that is an error or another model, never a panic.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.pt");
    let wheres = scrambled(120, 5);
    for (at, whole) in wheres.iter().zip([&zip, &stream].into_iter().cycle()) {
        let mut file = whole.clone();
        let at = ((at + 1.0) * 4000.0) as usize;
        file[at] = file[at].wrapping_add(1 + (at % 255) as u8);
        fs::write(&path, file).unwrap();
        let _ = interop::import(&path, &ImportRequest::default(), &device::cpu());
    }
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
    assert!(said.contains("Network: wrn-10-1, norm batch, 3 classes, inputs 3×8×8"), "{said}");
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
    for again in [&into[..], &out[..]] {
        let (is_done, said) = jempp(again);
        assert!(!is_done && said.contains("already exists"), "{said}");
    }
}
