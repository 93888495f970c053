//! Checkpoints whose structure was changed and whose checksum is right again.

use std::{
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use jempp::{
    bundled,
    chains::{ChainError, ChainRun, ChainSettings},
    checkpoint::Checkpoint,
    config::{RunConfig, StartKind},
    data::Dataset,
    device::{self, ComputeDevice},
    interop,
    starts::SampleStart,
    trainer::Trainer,
    training::{self, TrainingEvent},
};
use pollster::block_on;

use super::{choices::Choices, structure::change, viewer, with_folder};
use crate::files::checkpoint_file::CheckpointFile;

/// A checkpoint with up to four changes, and then what a command does with it.
pub(crate) fn checkpoint(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let bases = bases();
    let mut file = bases[choices.below(bases.len())].clone();
    let used_by = choices.byte();
    for _ in 0..choices.pick(&[1, 1, 1, 1, 2, 4]) {
        change(&mut file, &mut choices);
    }
    let mut bytes = file.to_bytes();
    // No checksum covers the header's types, shapes and places.
    if choices.below(16) == 1 {
        let header = bytes.len().min(2048);
        choices.edit(&mut bytes, 0, header);
    }
    let Ok(checkpoint) = Checkpoint::from_bytes(&bytes, Path::new("mutated.safetensors")) else {
        return false;
    };
    use_it(checkpoint, &bytes, used_by);
    true
}

/// As the commands do, with one step of everything.
fn use_it(checkpoint: Checkpoint, bytes: &[u8], used_by: u8) {
    assert!(checkpoint.is_finite(), "a model with NaN was accepted");
    let centers = &checkpoint.class_centers;
    for values in [&centers.mean, &centers.factor, &centers.residual_std] {
        assert!(
            values.iter().all(|value| value.is_finite()),
            "class centres with NaN were accepted"
        );
    }
    match used_by % 8 {
        0 => drop(interop::export(&checkpoint, true)),
        1 => with_folder(|folder| {
            let packed = checkpoint.packed();
            if packed.fits_half_precision() {
                let path = folder.join("packed.safetensors");
                packed.save(&path).unwrap();
                Checkpoint::load(&path).expect("what was packed can be read");
            }
        }),
        2..=4 => sample_it(&checkpoint, used_by),
        5 => with_folder(|folder| {
            let path = folder.join("viewed.safetensors");
            std::fs::write(&path, bytes).unwrap();
            viewer::open(&path);
        }),
        _ => resume_it(bytes),
    }
}

fn sample_it(checkpoint: &Checkpoint, used_by: u8) {
    let start = match used_by / 8 % 4 {
        0 => SampleStart::Fresh(StartKind::Uniform),
        1 => SampleStart::Data,
        2 => SampleStart::Buffer,
        _ => SampleStart::Fresh(StartKind::ClassCenters),
    };
    let settings = ChainSettings {
        start,
        classes: vec![0],
        per_class: 2,
        num_steps: 1,
        is_conditional: used_by & 64 != 0,
        ..ChainSettings::default()
    };
    let run = || -> Result<(), ChainError> {
        let mut run = ChainRun::new(checkpoint, &settings, &device::cpu())?;
        if used_by & 128 != 0 {
            run = run.with_judge(checkpoint)?;
        }
        run.read_images(true);
        run.try_for_each(|step| step.map(drop))
    };
    let _ = run();
}

/// One more step of the run.
fn resume_it(bytes: &[u8]) {
    with_folder(|folder| {
        let run = folder.join("run");
        std::fs::create_dir_all(&run).unwrap();
        std::fs::write(run.join("checkpoint.safetensors"), bytes).unwrap();
        let stop = AtomicBool::new(false);
        // A long step is no fault.
        let shorten = |mut config: RunConfig| {
            config.sampler.num_steps = config.sampler.num_steps.min(2);
            config.sampler.num_inner_steps = config.sampler.num_inner_steps.min(2);
            config.training.epochs = config.training.epochs.max(2);
            Ok(config)
        };
        let mut on_event = |event| {
            if matches!(event, TrainingEvent::Step(_) | TrainingEvent::Recovered { .. }) {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let (device, has_stopped) = (ComputeDevice::cpu("cpu"), || stop.load(Ordering::Relaxed));
        let _ = training::resume(&run, shorten, &device, &has_stopped, &mut on_event);
        let _ = std::fs::remove_dir_all(&run);
    });
}

/// Good checkpoints: packed and whole, of points and of images, with and without batch norm and averages.
fn bases() -> &'static [CheckpointFile] {
    static BASES: OnceLock<Vec<CheckpointFile>> = OnceLock::new();
    BASES.get_or_init(|| {
        let bundled = bundled::find("two-moons").unwrap().bytes();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("base.safetensors");
        let read = || CheckpointFile::read(&std::fs::read(&path).unwrap());

        let grey = trainer("model = { arch = 'cnn-small' }", [1, 8, 8]);
        let grey = block_on(grey.checkpoint()).unwrap();
        grey.save(&path).unwrap();
        let whole_grey = read();
        grey.packed().save(&path).unwrap();
        let packed_grey = read();
        let colour = trainer("model = { arch = 'wrn-10-1', norm = 'batch' }", [3, 8, 8]);
        block_on(colour.checkpoint()).unwrap().packed().save(&path).unwrap();
        // The run comes twice: most of what is in a file belongs to runs.
        let run = trained();
        vec![CheckpointFile::read(bundled), run.clone(), run, whole_grey, packed_grey, read()]
    })
}

/// A run of points after its first epoch, with an optimiser's state and averaged weights.
fn trained() -> CheckpointFile {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let config = RunConfig::preset("toy-two-moons").unwrap();
    let config = config
        .with_toml(
            "data = { num_points = 40, batch_size = 16 }
             sampler = { num_steps = 1, num_inner_steps = 1 }
             replay_buffer = { replay_buffer_size = 16 }
             optimizer = { ema_decay = 0.9 }
             training = { epochs = 1 }",
        )
        .unwrap();
    training::train(config, &run, &ComputeDevice::cpu("cpu"), &|| false, &mut |_| {}).unwrap();
    CheckpointFile::read(&std::fs::read(run.join("checkpoint.safetensors")).unwrap())
}

/// A run of images before its first step.
fn trainer(toml: &str, shape: [usize; 3]) -> Trainer {
    let config = RunConfig::default()
        .with_toml(
            "data = { batch_size = 4 }
             sampler = { num_steps = 1 }
             replay_buffer = { replay_buffer_size = 8 }
             class_centers = { max_components = 2 }",
        )
        .and_then(|config| config.with_toml(toml));
    let size: usize = shape.iter().product();
    let bytes = (0..8 * size).map(|at| (at * 37 % 251) as u8).collect();
    let labels = (0..8).map(|item| item % 2).collect();
    let names = vec!["up".to_string(), "down".to_string()];
    let train = Dataset::from_bytes(bytes, labels, shape, names).unwrap();
    Trainer::new(config.unwrap(), train, &device::cpu()).unwrap()
}
