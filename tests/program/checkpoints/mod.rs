//! Values in a checkpoint or a setting are checked before use: no panic, no needless allocation, and one line with the
//! error.
mod any;
mod settings;

use std::{collections::HashMap, fs, path::Path};

use crate::common::{tiny_config, tiny_dataset};
use crate::run::fails;
use burn_pack::{Bytes, DType, Tensor, Writer};
use jempp::{
    bundled::{BUNDLED_JUDGES, BUNDLED_MODELS},
    checkpoint::Checkpoint,
    config::{Norm, OptimizerKind},
    device,
    model::{HostTensor, Layout, Network, weights_of},
    streams::{MAX_ATTEMPTS, MAX_TRAINING_STEPS},
    trainer::Trainer,
};
use pollster::block_on;

/// A checkpoint after two steps.
fn checkpoint() -> Checkpoint {
    let mut config = tiny_config();
    config.model.arch = "cnn-tiny".into();
    config.optimizer.ema_decay = 0.9;
    let mut trainer = Trainer::new(config, tiny_dataset(16), &device::cpu()).unwrap();
    for _ in 0..2 {
        block_on(trainer.step()).unwrap();
    }
    block_on(trainer.checkpoint()).unwrap()
}

/// Saves with a valid checksum and reads the file again; returns the error.
fn complaint(checkpoint: &Checkpoint) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.safetensors");
    checkpoint.save(&path).unwrap();
    let error = Checkpoint::load(&path).unwrap_err().to_string();
    assert!(error.contains("c.safetensors") && !error.contains('\n'), "{error}");
    error
}

#[test]
fn what_travels_with_the_program_and_what_a_run_saves_can_be_read() {
    for model in BUNDLED_MODELS.iter().chain(BUNDLED_JUDGES) {
        model.load().unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint.safetensors");
    let saved = checkpoint();
    saved.save(&path).unwrap();
    let read = Checkpoint::load(&path).unwrap();
    assert_eq!((read.counters.step, &read.weights), (2, &saved.weights));
    assert!(Checkpoint::load(dir.path()).is_ok(), "the folder of a run will do");
    read.packed().save(&path).unwrap();
    assert!(Checkpoint::load(&path).unwrap().is_packed());
}

#[test]
fn the_layout_of_a_network_is_known_before_it_is_built() {
    for (arch, norm, shape) in [
        ("cnn-small", Norm::None, [1, 9, 7]),
        ("cnn-base", Norm::None, [3, 8, 8]),
        ("mlp", Norm::None, [2, 1, 1]),
        ("wrn-10-1", Norm::None, [3, 8, 8]),
        ("wrn-16-2", Norm::Batch, [3, 8, 8]),
        ("wrn-10-2", Norm::Group, [1, 8, 8]),
    ] {
        let config = jempp::config::ModelConfig {
            arch: arch.into(),
            norm,
            ..jempp::config::ModelConfig::default()
        };
        let layout = Layout::of(&config, shape, 3).unwrap();
        let network = Network::new(&config, shape, 3, 0, &device::cpu()).unwrap();
        let weights = block_on(weights_of(&network)).unwrap();
        let found: HashMap<_, _> =
            weights.into_iter().map(|(name, tensor)| (name, tensor.shape)).collect();
        assert_eq!(layout.tensors.into_iter().collect::<HashMap<_, _>>(), found, "{arch}");
    }
}

#[test]
fn a_checkpoint_that_cannot_be_is_refused_by_the_name_of_what_is_wrong() {
    type Change = fn(&mut Checkpoint);
    let whole = checkpoint();
    let cases: &[(Change, &str)] = &[
        (|c| c.input_shape = [1, 0, 8], "`input_shape` is [1, 0, 8]"),
        (|c| c.input_shape = [usize::MAX, 2, 8], "`input_shape` is"),
        (|c| c.input_shape = [1 << 20, 1 << 10, 1], "`input_shape` is"),
        (|c| c.input_shape = [4, 4, 4], "`model.body.Cnn.convs.0.weight` has shape"),
        (|c| c.input_shape = [1, 8, 9], "`class_centers.mean` has shape"),
        (|c| c.class_names.clear(), "`class_names` is a list of 0 names"),
        (|c| c.class_names[1] = " ".into(), "`class_names` is a list with"),
        (|c| c.class_names[1] = "up".into(), "`class_names` is a list with `up` twice"),
        (|c| c.class_names[1] = "\u{1b}[31m".into(), "control characters"),
        (|c| c.class_names[1] = "x".repeat(100_000), "`class_names` is a list with"),
        (|c| c.class_names.push("third".into()), "has shape"),
        (|c| c.counters.step = u64::MAX, "`counters.step` is 18446744073709551615"),
        (|c| c.counters.step = MAX_TRAINING_STEPS + 1, "`counters.step` is 2147483649"),
        (|c| c.counters.num_recoveries = MAX_ATTEMPTS, "`counters.num_recoveries` is 32768"),
        (|c| c.counters.learning_rate_factor = 0.0, "`counters.learning_rate_factor` is 0"),
        (|c| c.counters.learning_rate_factor = -1.0, "`counters.learning_rate_factor` is -1"),
        (|c| c.counters.learning_rate_factor = f64::NAN, "learning_rate_factor"),
        (|c| c.counters.num_recoveries = usize::MAX, "`counters.num_recoveries` is"),
        (|c| c.counters.elapsed_secs = -3.0, "`counters.elapsed_secs` is -3"),
        (|c| c.counters.test_accuracy = Some(7.0), "`counters.test_accuracy` is 7"),
        (|c| c.config.model.arch = "wrn-994-64".into(), "`model.body.WideResNet"),
        (|c| c.config.model.arch = "cnn-tinny".into(), "did you mean `cnn-tiny`?"),
        (|c| c.config.model.split = 40, "model.split = 40"),
        (|c| c.config.replay_buffer.replay_buffer_size = 33, "`replay_buffer` has shape [32, 64]"),
        (|c| c.replay_buffer.values[5] = f32::NAN, "`replay_buffer` holds a value"),
        (|c| c.class_centers.mean[5] = f32::INFINITY, "`class_centers.mean` holds a value"),
        (|c| c.class_centers.factor[5] = f32::NAN, "`class_centers.factor` holds a value"),
        (|c| c.class_centers.residual_std[5] = -1.0, "`class_centers.residual_std` holds a neg"),
        (
            |c| {
                c.class_centers.dims[1] = 0;
                c.class_centers.factor.clear();
            },
            "`class_centers.factor` is of 0 components",
        ),
        (|c| c.optimizer.clear(), "cannot be used"),
        (|c| c.optimizer.truncate(100), "optimiser's state cannot be read"),
        (|c| c.optimizer = vec![7; 500], "optimiser's state cannot be read"),
        (|c| c.config.optimizer.kind = OptimizerKind::Sgd, "not of optimizer.kind = sgd"),
        (|c| c.counters.step = 1, "counts 2 steps of"),
    ];
    for (change, expected) in cases {
        let mut changed = whole.clone();
        change(&mut changed);
        // A checkpoint without an optimiser is saved as packed, and then it must not have a buffer.
        let said = match changed.optimizer.is_empty() {
            true => format!("cannot be used: {}", changed.validate().unwrap_err()),
            false => complaint(&changed),
        };
        assert!(said.contains(expected), "{said}\nlacks: {expected}");
    }
    type Weights = fn(&mut Checkpoint) -> &mut HashMap<String, HostTensor>;
    let both: [Weights; 2] = [|c| &mut c.weights, |c| c.averaged_weights.as_mut().unwrap()];
    for weights in both {
        let name = "body.Cnn.convs.0.weight";
        let mut changed = whole.clone();
        weights(&mut changed).get_mut(name).unwrap().values[0] = f32::NAN;
        assert!(complaint(&changed).contains("convs.0.weight` holds a value that is not a finite"));
        let tensor = weights(&mut changed).remove(name).unwrap();
        assert!(complaint(&changed).contains("convs.0.weight`"));
        weights(&mut changed).insert("body.Cnn.more".into(), tensor);
        assert!(complaint(&changed).contains("Cnn."));
    }
}

/// The state of an optimiser as burn writes it, with every tensor changed.
fn repacked(bytes: &[u8], change: impl Fn(Tensor) -> Tensor) -> Vec<u8> {
    let reader = burn_pack::Reader::from_bytes(Bytes::from_bytes_vec(bytes.to_vec())).unwrap();
    let scalars = reader.scalars().clone();
    let tensors = reader.into_tensors().unwrap().into_iter().map(change).collect();
    let writer =
        scalars.iter().fold(Writer::new(tensors), |w, (key, value)| w.with_scalar(key, *value));
    writer.into_bytes().unwrap().to_vec()
}

#[test]
fn an_optimiser_of_another_network_never_reaches_burn() {
    let whole = checkpoint();
    let with = |change: &dyn Fn(Tensor) -> Tensor| {
        let optimizer = repacked(&whole.optimizer, change);
        complaint(&Checkpoint { optimizer, ..whole.clone() })
    };
    let rebuilt = |t: &Tensor, name: String, id, value: f32| {
        let len = t.shape.num_elements();
        let bytes = Bytes::from_bytes_vec(bytemuck::cast_slice(&vec![value; len]).to_vec());
        Tensor::new(name, DType::F32, t.shape.clone(), id, bytes)
    };
    let said = with(&|t| rebuilt(&t, t.name.clone(), None, 0.0));
    assert!(said.contains("does not say of which parameter"), "{said}");
    let said = with(&|t| rebuilt(&t, t.name.clone(), t.param_id, f32::NAN));
    assert!(said.contains("not finite"), "{said}");
    let said = with(&|t| rebuilt(&t, t.name.clone(), t.param_id, -1.0));
    assert!(said.contains("negative square"), "{said}");
    let said = with(&|t| rebuilt(&t, format!("99{}", t.name), t.param_id, 0.0));
    assert!(said.contains("numbered from 1 to"), "{said}");
    let said = with(&|t| rebuilt(&t, t.name.replace("moment_1", "moment_3"), t.param_id, 0.0));
    assert!(said.contains("not of optimizer.kind = adam"), "{said}");
    let said = with(&|t| {
        let bytes = Bytes::from_bytes_vec(vec![0; 4]);
        Tensor::new(t.name.clone(), DType::F32, vec![1usize], t.param_id, bytes)
    });
    assert!(said.contains("the parameter is F32 of shape"), "{said}");
}

#[test]
fn a_file_that_is_no_checkpoint_is_refused_without_reading_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.safetensors");
    let said = |path: &Path| Checkpoint::load(path).unwrap_err().to_string();
    let written = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        said(&path)
    };
    assert!(said(&path).contains("cannot read checkpoint"));
    assert!(said(dir.path()).contains("a folder without checkpoint.safetensors"));
    assert!(written(b"").contains("truncated or corrupt"));
    assert!(written(b"PK\x03\x04 and so on").contains("jempp import"));
    assert!(written(&[0; 64]).contains("does not begin like a safetensors file"));
    let header = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    for text in [
        "{}".to_string(),
        "{".repeat(100_000),
        format!("{{\"a\":{}", "[".repeat(1 << 20)),
        r#"{"__metadata__":{"format":"pt"}}"#.into(),
        r#"{"a":{"dtype":"F32","shape":[18446744073709551615,9],"data_offsets":[0,0]}}"#.into(),
    ] {
        let said = written(&header(&text));
        assert!(said.contains("x.safetensors") && said.len() < 500, "{said}");
    }
    // A file of a hundred gigabytes of zeros, and one with a header that states a small size.
    let file = fs::File::create(&path).unwrap();
    file.set_len(100 << 30).unwrap();
    assert!(said(&path).contains("does not begin like"));
    fs::write(&path, header(r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#)).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(100 << 30).unwrap();
    assert!(said(&path).contains("truncated or corrupt"));
    #[cfg(unix)]
    assert!(said(Path::new("/dev/zero")).contains("not a regular file"));
}

#[test]
fn every_command_refuses_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut broken = checkpoint();
    broken.weights.values_mut().next().unwrap().values[0] = f32::NAN;
    fs::create_dir(dir.path().join("run")).unwrap();
    broken.save(&dir.path().join("run/checkpoint.safetensors")).unwrap();
    for command in [
        &["sample", "--checkpoint", "run"][..],
        &["sample", "--judge", "run"],
        &["train", "--resume", "run", "--device", "cpu"],
        &["eval", "--checkpoint", "run"],
        &["eval", "samples", "--judge", "run"],
        &["pack", "--checkpoint", "run", "--out", "p.safetensors"],
        &["export", "--checkpoint", "run", "--out", "e.safetensors"],
    ] {
        let said = fails(dir.path(), command);
        assert!(said.contains("holds a value that is not a finite number"), "{command:?}: {said}");
    }
}
