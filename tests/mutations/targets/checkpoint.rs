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
    checkpoint::Checkpoint,
    config::{RunConfig, SECTIONS, StartKind},
    data::Dataset,
    device::{self, ComputeDevice},
    interop,
    results_folder::{Destination, Job, MadeBy},
    sampling::{SampleRequest, SampleStart, sample},
    trainer::Trainer,
    worker::{self, TrainingEvent},
};
use pollster::block_on;
use serde_json::{Value, json};
use toml::Value as Toml;

use super::{
    checkpoint_file::{CheckpointFile, Entry},
    choices::Choices,
    viewer, with_folder,
};

/// Numbers that programs trip over.
const NUMBERS: [i64; 12] =
    [0, 1, 2, -1, 3, 255, 65_536, 1_000_000, 1 << 31, 1 << 33, i64::MAX, i64::MIN];
const FLOATS: [f64; 10] =
    [0.0, -0.0, 1.0, -1.0, 1e-300, 1e6, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
const WORDS: [&str; 20] = [
    "",
    "mlp",
    "cnn-small",
    "cnn-medium",
    "wrn-10-1",
    "wrn-16-2",
    "wrn-994-64",
    "wrn-0-0",
    "wrn-10-99999999999999999999",
    "batch",
    "frozen",
    "group",
    "none",
    "mnist",
    "cifar10",
    "spiral",
    "sgld",
    "mala",
    "uniform",
    "\u{1b}[31mred\u{202e}",
];
/// What `safetensors` calls its types, and what it does not.
const DTYPES: [&str; 10] =
    ["F32", "F16", "BF16", "F64", "U8", "I64", "I32", "BOOL", "F4", "complex"];
const BITS: [u32; 9] = [
    0x7fc0_0000, // NaN
    0x7f80_0000, // infinity
    0xff80_0000, // its negative
    0x7f7f_ffff, // the largest number
    0xff7f_ffff,
    0x0000_0001, // the smallest
    0x8000_0000, // -0
    0x4f00_0000, // 2³¹
    0x3f80_0000, // 1
];

/// A checkpoint with up to four changes, and then what a command does with it.
pub fn checkpoint(bytes: &[u8]) -> bool {
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
        2..=4 => sample_it(checkpoint, used_by),
        5 => with_folder(|folder| {
            let path = folder.join("viewed.safetensors");
            std::fs::write(&path, bytes).unwrap();
            viewer::open(&path);
        }),
        _ => resume_it(bytes),
    }
}

fn sample_it(checkpoint: Checkpoint, used_by: u8) {
    let start = match used_by / 8 % 4 {
        0 => SampleStart::Fresh(StartKind::Uniform),
        1 => SampleStart::Data,
        2 => SampleStart::Buffer,
        _ => SampleStart::Fresh(StartKind::ClassCenters),
    };
    with_folder(|folder| {
        let name = String::from("mutated");
        let request = SampleRequest {
            start,
            classes: vec![0],
            per_class: 2,
            num_steps: 1,
            is_conditional: used_by & 64 != 0,
            seed: 0,
            max_frames: 2,
            judge: (used_by & 128 != 0).then(|| checkpoint.clone()),
            diagnose: None,
            out: Destination { path: folder.join("samples"), replaces: true },
            made_by: MadeBy::new(Job::Sample, name.clone(), name.clone(), name, 0),
        };
        let _ = sample(checkpoint, &request, &device::cpu(), &|| false, &mut |_, _, _| {});
        let _ = std::fs::remove_dir_all(&request.out.path);
    });
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
        let _ = worker::resume(&run, shorten, &device, &has_stopped, &mut on_event);
        let _ = std::fs::remove_dir_all(&run);
    });
}

/// Good checkpoints: packed and whole, of points and of images, with and without batch norm and averages.
fn bases() -> &'static [CheckpointFile] {
    static BASES: OnceLock<Vec<CheckpointFile>> = OnceLock::new();
    BASES.get_or_init(|| {
        // As the program has it: burn restores an optimiser on its default device first.
        // SAFETY: the standard library locks the environment, and nothing else here reads it.
        unsafe { std::env::set_var("BURN_DEVICE", "flex") };
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
    worker::train(config, &run, &ComputeDevice::cpu("cpu"), &|| false, &mut |_| {}).unwrap();
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
    let train = Dataset::from_bytes(bytes, labels, shape, names);
    Trainer::new(config.unwrap(), train, &device::cpu()).unwrap()
}

fn change(file: &mut CheckpointFile, choices: &mut Choices) {
    match choices.below(16) {
        0..=2 => change_config(file, choices),
        3 => change_counters(file, choices),
        4 => change_class_names(file, choices),
        5 => change_input_shape(file, choices),
        6 => *key_of(&mut file.run, choices) = value(choices),
        7 => change_shape(file, choices),
        8 => change_type(file, choices),
        9 | 10 => change_values(file, choices),
        11 => change_tensors(file, choices),
        12 => keep_classes(file, choices),
        13 => keep_pixels(file, choices),
        14 => keep_chains(file, choices),
        _ => change_metadata(file, choices),
    }
}

/// A value of the configuration, or a key that is not there or not known.
fn change_config(file: &mut CheckpointFile, choices: &mut Choices) {
    let (section, fields) = choices.pick(SECTIONS);
    let name = fields[choices.below(fields.len())].name;
    match choices.below(24) {
        0 => drop(file.config.remove(section)),
        1 => drop(file.config.insert(section.into(), Toml::Integer(1))),
        2 => drop(file.config.insert("unknown".into(), Toml::Integer(1))),
        3 => drop(file.config.insert("seed".into(), Toml::Integer(choices.pick(&NUMBERS)))),
        _ => {
            let Some(table) = file.config.get_mut(section).and_then(Toml::as_table_mut) else {
                return;
            };
            // An earlier change may have taken it away.
            let before = table.get(name).cloned().unwrap_or(Toml::Boolean(false));
            let value = match (choices.below(8), before) {
                (0, _) => Toml::Array(vec![Toml::Integer(choices.pick(&NUMBERS)); 3]),
                (1, _) => Toml::Boolean(choices.below(2) == 0),
                (2, _) => drop_in(table, name),
                (_, Toml::Float(_)) => Toml::Float(choices.pick(&FLOATS)),
                (_, Toml::Integer(_)) => Toml::Integer(choices.pick(&NUMBERS)),
                _ => Toml::String(choices.pick(&WORDS).into()),
            };
            table.insert(name.into(), value);
        }
    }
}

/// Moves the value of `name` to a key that nobody knows.
fn drop_in(table: &mut toml::Table, name: &str) -> Toml {
    let value = table.remove(name).unwrap_or(Toml::Integer(0));
    table.insert(format!("{name}_"), value.clone());
    value
}

fn value(choices: &mut Choices) -> Value {
    match choices.below(8) {
        0 => Value::Null,
        1 => json!(choices.pick(&NUMBERS)),
        2 => json!(u64::MAX),
        3 => json!(1e308),
        4 => json!(choices.pick(&WORDS)),
        5 => json!([]),
        6 => json!({}),
        _ => json!(choices.below(2) == 0),
    }
}

fn key_of<'a>(object: &'a mut Value, choices: &mut Choices) -> &'a mut Value {
    let keys: Vec<String> =
        object.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect();
    match keys.is_empty() {
        true => object,
        false => &mut object[choices.pick(&keys)],
    }
}

fn change_counters(file: &mut CheckpointFile, choices: &mut Choices) {
    let counter = key_of(&mut file.run["counters"], choices);
    *counter = match choices.below(6) {
        0 => json!(choices.pick(&NUMBERS)),
        1 => json!(u64::MAX),
        2 => json!(choices.pick(&[0.0, -1.0, 1e-300, 1e308, -1e308, 0.5])),
        3 => json!(u64::MAX - 1),
        4 => json!(1u64 << 53),
        _ => value(choices),
    };
}

fn change_class_names(file: &mut CheckpointFile, choices: &mut Choices) {
    let long = "x".repeat(100_000);
    let names = match choices.below(7) {
        0 => json!([]),
        1 => json!(["only"]),
        2 => json!(vec!["same"; 2]),
        3 => json!(["", "\u{1b}]0;title\u{7}\n\u{202e}"]),
        4 => json!([long, "b"]),
        5 => json!(vec!["many"; 100_000]),
        _ => json!(["a", "b", "c"]),
    };
    file.run["class_names"] = names;
}

fn change_input_shape(file: &mut CheckpointFile, choices: &mut Choices) {
    let dim = || [0u64, 1, 2, 3, 8, 32, 64, 65_536, 1 << 32, 1 << 63, u64::MAX];
    let mut pick = || choices.pick(&dim());
    file.run["input_shape"] = match pick() % 4 {
        0 => json!([pick(), pick(), pick()]),
        // The same number of pixels in another order.
        1 => json!([64, 1, 1]),
        2 => json!([1, 64, 1]),
        _ => json!([1, 1, 2]),
    };
}

fn some_tensor<'a>(file: &'a mut CheckpointFile, choices: &mut Choices) -> Option<&'a mut Entry> {
    let count = file.tensors.len();
    file.tensors.get_mut(choices.below(count))
}

fn change_shape(file: &mut CheckpointFile, choices: &mut Choices) {
    let Some(tensor) = some_tensor(file, choices) else { return };
    match choices.below(7) {
        0 => tensor.shape.reverse(),
        1 => tensor.shape.push(1),
        2 => drop(tensor.shape.pop()),
        3 => tensor.shape = vec![tensor.shape.iter().product()],
        4 => tensor.shape.clear(),
        5 => {
            tensor.shape = vec![0, choices.pick(&[0, 1, 1 << 40, u64::MAX])];
            tensor.bytes.clear();
        }
        _ => {
            let count = tensor.shape.len();
            if let Some(dim) = tensor.shape.get_mut(choices.below(count)) {
                *dim = choices.pick(&[0, 1, 2, 7, 1 << 20, 1 << 40, u64::MAX]);
            }
        }
    }
    if choices.below(2) == 0 {
        fit_bytes(tensor);
    }
}

/// As many bytes as type and shape promise, if that is no more than a mebibyte.
fn fit_bytes(tensor: &mut Entry) {
    let size = match tensor.dtype.as_str() {
        "U8" | "BOOL" => 1,
        "F16" | "BF16" => 2,
        "F64" | "I64" => 8,
        _ => 4,
    };
    let len = tensor.shape.iter().fold(size, |len: u64, &dim| len.saturating_mul(dim));
    if len <= 1 << 20 {
        tensor.bytes.resize(len as usize, 0);
    }
}

fn change_type(file: &mut CheckpointFile, choices: &mut Choices) {
    let Some(tensor) = some_tensor(file, choices) else { return };
    tensor.dtype = choices.pick(&DTYPES).into();
    if choices.below(2) == 0 {
        fit_bytes(tensor);
    }
}

/// Numbers in the place of others, or an optimiser's bytes.
fn change_values(file: &mut CheckpointFile, choices: &mut Choices) {
    if choices.below(4) == 0 {
        let Some(tensor) = file.tensors.iter_mut().find(|tensor| tensor.name == "optimizer") else {
            return;
        };
        match choices.below(6) {
            0 => tensor.bytes.clear(),
            1 => tensor.bytes = vec![0; tensor.bytes.len()],
            // burn's record of no parameter.
            2 => tensor.bytes.truncate(choices.below(64)),
            _ => {
                for _ in 0..1 + choices.below(4) {
                    let len = tensor.bytes.len();
                    choices.edit(&mut tensor.bytes, 0, len);
                }
            }
        }
        tensor.shape = vec![tensor.bytes.len() as u64];
        return;
    }
    let Some(tensor) = some_tensor(file, choices) else { return };
    let bits = choices.pick(&BITS);
    let number = match tensor.dtype.as_str() {
        "F16" => half::f16::from_f32(f32::from_bits(bits)).to_le_bytes().to_vec(),
        _ => bits.to_le_bytes().to_vec(),
    };
    let count = tensor.bytes.len() / number.len();
    let (begin, all) = (choices.below(count), choices.below(3) == 0);
    for place in tensor.bytes.chunks_exact_mut(number.len()).skip(if all { 0 } else { begin }) {
        place.copy_from_slice(&number);
        if !all {
            break;
        }
    }
}

/// A tensor too few, too many, or under another name.
fn change_tensors(file: &mut CheckpointFile, choices: &mut Choices) {
    let count = file.tensors.len();
    if count == 0 {
        return;
    }
    let at = choices.below(count);
    match choices.below(5) {
        0 => drop(file.tensors.remove(at)),
        1 => file.tensors[at].name += "_",
        2 => {
            let name = format!("average.{}", file.tensors[at].name.trim_start_matches("model."));
            file.tensors.push(Entry { name, ..file.tensors[at].clone() });
        }
        3 => {
            let prefix = choices.pick(&[
                "model.",
                "average.",
                "optimizer",
                "replay_buffer",
                "class_centers.mean",
            ]);
            file.tensors.retain(|tensor| !tensor.name.starts_with(prefix));
        }
        _ => {
            let other = choices.below(count);
            let name = file.tensors[other].name.clone();
            file.tensors[other].name = std::mem::replace(&mut file.tensors[at].name, name);
        }
    }
}

/// The first classes alone, in everything that counts them.
fn keep_classes(file: &mut CheckpointFile, choices: &mut Choices) {
    let kept = choices.below(3) as u64;
    if let Some(names) = file.run["class_names"].as_array_mut() {
        names.truncate(kept as usize);
    }
    for tensor in &mut file.tensors {
        let is_head = tensor.name.contains("head") || tensor.name.contains("logits");
        if tensor.name.starts_with("class_centers.") || is_head && choices.below(4) > 0 {
            keep_rows(tensor, kept);
        }
    }
}

/// The first pixels alone, in everything that counts them.
fn keep_pixels(file: &mut CheckpointFile, choices: &mut Choices) {
    let shape = choices.pick(&[
        [0, 8, 8],
        [0, 1, 1],
        [1, 1, 1],
        [1, 8, 0],
        [1, 4, 4],
        [3, 1, 1],
        [2, 1, 1],
        [0, 0, 0],
    ]);
    file.run["input_shape"] = json!(shape);
    let pixels = shape.iter().product();
    for tensor in &mut file.tensors {
        if tensor.name.starts_with("class_centers.") || tensor.name == "replay_buffer" {
            if let Some(last) = tensor.shape.last_mut() {
                *last = pixels;
            }
            fit_bytes(tensor);
        }
    }
}

fn keep_chains(file: &mut CheckpointFile, choices: &mut Choices) {
    let kept = choices.below(18) as u64;
    for tensor in file.tensors.iter_mut().filter(|tensor| tensor.name == "replay_buffer") {
        keep_rows(tensor, kept);
    }
    if choices.below(2) == 0 {
        file.set("replay_buffer.replay_buffer_size", kept as i64);
    }
}

fn keep_rows(tensor: &mut Entry, rows: u64) {
    if let Some(first) = tensor.shape.first_mut() {
        *first = rows;
    }
    fit_bytes(tensor);
}

fn change_metadata(file: &mut CheckpointFile, choices: &mut Choices) {
    let key = choices.pick(&["format", "version", "config", "run", "crc32", "more"]);
    let text = choices.pick(&[
        "",
        "0",
        "2",
        "1",
        "99999999999999999999",
        "{}",
        "[1]",
        "nan",
        "jempp-checkpoint",
        "\u{1b}[2J",
    ]);
    if choices.below(3) == 0 {
        file.metadata.remove(key);
    } else {
        file.metadata.insert(key.into(), text.into());
    }
}
