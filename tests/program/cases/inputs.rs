//! Invalid inputs for the program: data sets, checkpoints and files that are not what they seem.

use std::{
    ffi::{CString, OsStr},
    fs,
    io::Write,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use flate2::{Compression, write::GzEncoder};
use jempp::{
    bundled,
    config::{DatasetName, RunConfig},
    data::{self, Dataset},
    device,
    trainer::Trainer,
};
use pollster::block_on;
use serde_json::json;

use super::{
    bounded::works,
    checkpoint_file::{CheckpointFile, Entry},
};

/// The path of a file stored with these tests.
pub(super) fn input(name: &str) -> String {
    format!("{}/tests/program/cases/inputs/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// An IDX file of `count` images of 28×28; different `salt` gives different images.
pub(super) fn images(count: u32, salt: u8) -> Vec<u8> {
    let mut file = [[0, 0, 8, 3], count.to_be_bytes(), [0, 0, 0, 28], [0, 0, 0, 28]].concat();
    let pixel = |at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8 ^ salt;
    file.extend((0..count * 28 * 28).map(pixel));
    file
}

/// An IDX file of `count` labels, computed by `label` from the index.
pub(super) fn labels(count: u32, label: impl Fn(u32) -> u8) -> Vec<u8> {
    let mut file = [[0, 0, 8, 1], count.to_be_bytes()].concat();
    file.extend((0..count).map(label));
    file
}

/// Writes the four files of an IDX set with ten classes.
pub(super) fn idx_set(folder: &Path, num_train: u32, num_test: u32, salt: u8) {
    fs::create_dir_all(folder).unwrap();
    let label = |item| (item % 10) as u8;
    for (part, count) in [("train", num_train), ("t10k", num_test)] {
        fs::write(folder.join(format!("{part}-images-idx3-ubyte")), images(count, salt)).unwrap();
        fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), labels(count, label)).unwrap();
    }
}

pub(super) fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The valid checkpoint of a short run on points.
pub(super) fn run_file() -> CheckpointFile {
    static FILE: OnceLock<CheckpointFile> = OnceLock::new();
    let train = || {
        let dir = tempfile::tempdir().unwrap();
        works(dir.path(), &TRAIN);
        CheckpointFile::read(&fs::read(dir.path().join("run/checkpoint.safetensors")).unwrap())
    };
    FILE.get_or_init(train).clone()
}

/// The arguments that train such a run in the folder `run`.
pub(super) const TRAIN: [&str; 13] = [
    "train",
    "--preset",
    "toy-two-moons",
    "--out",
    "run",
    "--device",
    "cpu",
    "--epochs",
    "1",
    "--set",
    "data.num_points=600",
    "--set",
    "replay_buffer.replay_buffer_size=256",
];

/// Writes a run with this checkpoint to the folder `name`.
pub(super) fn run_in(dir: &Path, name: &str, checkpoint: &CheckpointFile) -> String {
    let run = dir.join(name);
    fs::create_dir_all(&run).unwrap();
    let path = run.join("checkpoint.safetensors");
    fs::write(&path, checkpoint.to_bytes()).unwrap();
    path.display().to_string()
}

/// The bundled model of points in the plane.
pub(super) fn packed_file() -> CheckpointFile {
    CheckpointFile::read(bundled::find("two-moons").unwrap().bytes())
}

/// Writes a small model of colour images, 3×32×32, and returns its path.
pub(super) fn colour_model(dir: &Path) -> String {
    let config = RunConfig::default().with_toml(
        "data = { batch_size = 4, dataset = 'cifar10' }
         model = { arch = 'cnn-small' }
         class_centers = { max_components = 1 }
         replay_buffer = { replay_buffer_size = 10 }",
    );
    let size = 3 * 32 * 32;
    let bytes = (0..20 * size).map(|at| (at * 37 % 251) as u8).collect();
    let labels = (0..20).map(|item| item % 10).collect();
    let names = data::class_names(DatasetName::Cifar10).unwrap();
    let train = Dataset::from_bytes(bytes, labels, [3, 32, 32], names).unwrap();
    let trainer = Trainer::new(config.unwrap(), train, &device::cpu()).unwrap();
    let path = dir.join("colour.safetensors");
    block_on(trainer.checkpoint()).unwrap().packed().save(&path).unwrap();
    path.display().to_string()
}

/// Checkpoints that no run can produce, all with a valid checksum, each with the name of its fault.
pub(super) fn wrong_checkpoints() -> Vec<(&'static str, CheckpointFile)> {
    let changed = |mut file: CheckpointFile, change: &dyn Fn(&mut CheckpointFile)| {
        change(&mut file);
        file
    };
    let packed = |change: &dyn Fn(&mut CheckpointFile)| changed(packed_file(), change);
    let whole = |change: &dyn Fn(&mut CheckpointFile)| changed(run_file(), change);
    let resize = |entry: &mut Entry, shape: &[u64], size: u64| {
        entry.shape = shape.to_vec();
        entry.bytes.resize((shape.iter().product::<u64>() * size) as usize, 0);
    };
    let fill = |entry: &mut Entry, half: [u8; 2]| {
        entry.bytes = half.repeat(entry.bytes.len() / 2);
    };
    let pixels = |file: &mut CheckpointFile, shape: [u64; 3]| {
        file.run["input_shape"] = json!(shape);
        let d = shape.iter().product();
        let k = file.tensor("class_centers.factor").shape[1];
        resize(file.tensor("class_centers.mean"), &[2, d], 2);
        resize(file.tensor("class_centers.residual_std"), &[2, d], 2);
        resize(file.tensor("class_centers.factor"), &[2, k, d], 2);
    };
    const NAN: [u8; 2] = [0, 0x7e];
    const INFINITY: [u8; 2] = [0, 0x7c];
    vec![
        ("inputs of no pixels", packed(&|file| pixels(file, [2, 0, 0]))),
        ("inputs of no channels", packed(&|file| pixels(file, [0, 1, 1]))),
        (
            "inputs of more pixels than there are numbers",
            packed(&|file| file.run["input_shape"] = json!([1u64 << 40, 1u64 << 40, 1u64 << 40])),
        ),
        (
            "inputs whose number of pixels wraps around to two",
            packed(&|file| file.run["input_shape"] = json!([1u64 << 63, 2, 2])),
        ),
        (
            "no classes",
            packed(&|file| {
                file.run["class_names"] = json!([]);
                let k = file.tensor("class_centers.factor").shape[1];
                resize(file.tensor("class_centers.mean"), &[0, 2], 2);
                resize(file.tensor("class_centers.residual_std"), &[0, 2], 2);
                resize(file.tensor("class_centers.factor"), &[0, k, 2], 2);
                resize(file.tensor("model.body.Mlp.classifier.bias"), &[0], 2);
                resize(file.tensor("model.body.Mlp.classifier.weight"), &[128, 0], 2);
            }),
        ),
        (
            "more classes than outputs",
            packed(&|file| {
                file.run["class_names"] = json!(["a", "b", "c"]);
                let k = file.tensor("class_centers.factor").shape[1];
                resize(file.tensor("class_centers.mean"), &[3, 2], 2);
                resize(file.tensor("class_centers.residual_std"), &[3, 2], 2);
                resize(file.tensor("class_centers.factor"), &[3, k, 2], 2);
            }),
        ),
        (
            "a network for all the memory there is",
            packed(&|file| {
                file.set("model.arch", "wrn-994-64");
                pixels(file, [3, 32, 32]);
            }),
        ),
        ("a network of another kind", packed(&|file| file.set("model.arch", "cnn-small"))),
        ("a network that nobody knows", packed(&|file| file.set("model.arch", "transformer"))),
        ("a split past the network", packed(&|file| file.set("model.split", 64))),
        ("a norm that the network has not", packed(&|file| file.set("model.norm", "batch"))),
        ("NaN weights", packed(&|file| fill(file.tensor("model.body.Mlp.layers.1.weight"), NAN))),
        (
            "infinite weights",
            packed(&|file| fill(file.tensor("model.body.Mlp.classifier.bias"), INFINITY)),
        ),
        ("NaN class centres", packed(&|file| fill(file.tensor("class_centers.mean"), NAN))),
        (
            "infinite factors of the class centres",
            packed(&|file| fill(file.tensor("class_centers.factor"), INFINITY)),
        ),
        ("a missing tensor", packed(&|file| drop(file.tensors.pop()))),
        (
            "a tensor too many",
            packed(&|file| {
                let more = Entry { name: "model.more".into(), ..file.tensors[0].clone() };
                file.tensors.push(more);
            }),
        ),
        (
            "a tensor of whole numbers",
            packed(&|file| {
                let entry = file.tensor("class_centers.mean");
                entry.dtype = "I64".into();
                resize(entry, &[2, 2], 8);
            }),
        ),
        ("a key that nobody knows", packed(&|file| file.set("model.depth", 3))),
        ("a number out of its range", packed(&|file| file.set("sampler.num_steps", -1))),
        ("NaN in the configuration", packed(&|file| file.set("sampler.step_size", f64::NAN))),
        ("counters of another kind", packed(&|file| file.run["counters"]["step"] = json!(-1))),
        ("no counters", packed(&|file| file.run["counters"] = json!(null))),
        ("an optimiser without ids", whole(&without_ids)),
        (
            "an optimiser of nothing but zeros",
            whole(&|file| file.tensor("optimizer").bytes.fill(0)),
        ),
        (
            "a cut-off optimiser",
            whole(&|file| {
                let optimizer = file.tensor("optimizer");
                optimizer.bytes.truncate(100);
                optimizer.shape = vec![100];
            }),
        ),
        (
            "NaN in its chains",
            whole(&|file| {
                let buffer = file.tensor("replay_buffer");
                buffer.bytes = f32::NAN.to_le_bytes().repeat(buffer.bytes.len() / 4);
            }),
        ),
        (
            "fewer chains than classes",
            whole(&|file| resize(file.tensor("replay_buffer"), &[1, 2], 4)),
        ),
        ("no chains", whole(&|file| resize(file.tensor("replay_buffer"), &[0, 2], 4))),
    ]
}

/// Removes the parameter ids from an optimiser record, which no version of burn does.
fn without_ids(file: &mut CheckpointFile) {
    let bytes = &mut file.tensor("optimizer").bytes;
    let id = b"param_id";
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(id.len()).position(|window| window == id) {
        at += found;
        bytes[at + 1] = b' ';
    }
}

/// Paths in `dir` that are not what a command expects, each with a description. The truncated file starts like `whole`.
pub(super) fn wrong_paths(dir: &Path, whole: &[u8]) -> Vec<(&'static str, PathBuf)> {
    let write = |name: &[u8], bytes: &[u8]| {
        let path = dir.join(OsStr::from_bytes(name));
        fs::write(&path, bytes).unwrap();
        path
    };
    let fifo = dir.join("pipe");
    let name = CString::new(fifo.as_os_str().as_bytes()).unwrap();
    // SAFETY: the name ends with a zero byte and outlives the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let folder = dir.join("empty folder");
    fs::create_dir_all(&folder).unwrap();
    let loops = dir.join("loop");
    std::os::unix::fs::symlink("loop", &loops).unwrap();
    vec![
        ("a missing file", dir.join("missing")),
        ("a file in a file", dir.join("text.txt/inside")),
        ("an empty folder", folder),
        ("a pipe", fifo),
        ("an endless device", PathBuf::from("/dev/zero")),
        ("the empty device", PathBuf::from("/dev/null")),
        ("a link to itself", loops),
        ("an empty file", write(b"empty", b"")),
        ("a cut-off file", write(b"cut", &whole[..whole.len() / 2])),
        ("a text", write(b"text.txt", b"Not what you asked for.\n")),
        ("a picture", write(b"picture.png", &fs::read(input("pictures/plain.png")).unwrap())),
        ("a name that is no text", write(b"\xff\xfename", b"?")),
        ("a name that steers a terminal", write(b"a b\nc\x1b[31md", b"?")),
        ("a very long name", dir.join("x".repeat(300))),
    ]
}
