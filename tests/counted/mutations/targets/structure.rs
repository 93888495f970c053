//! Changes to the structure of a checkpoint: single values, and all that count the same thing together.

use jempp::config::SECTIONS;
use serde_json::{Value, json};
use toml::Value as Toml;

use super::choices::Choices;
use crate::files::checkpoint_file::{CheckpointFile, Entry};

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

/// One change.
pub(super) fn change(file: &mut CheckpointFile, choices: &mut Choices) {
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
