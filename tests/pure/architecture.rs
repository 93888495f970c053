//! The module structure: which modules ("rooms") of its crate each module may import.
//!
//! [`ROOMS`] is the only place that defines it for jempp, and [`CPU_ROOMS`] for the small crate in `cpu`. The tests read
//! the imports of every file in `src` and `cpu/src`, including unit tests, and compare them with the tables; they also
//! compare the list in `src/lib.rs` with [`ROOMS`].

mod house;
mod imports;
mod planted;
mod tokens;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use house::{circles, disagreements, rooms};
use imports::{House, read};

/// All rooms, from the bottom layer to the top: modules of the crate, and some of their submodules with rules of
/// their own. Each has a line that describes it, and below it the `rooms` that it imports. A room may import only
/// rooms that are listed before it, so there are no import cycles. If `crates` are listed too, the room may import no
/// other crate, not even the standard library.
const ROOMS: &str = "
config = the configuration: every key with its default, range and help, and the presets
    crates: form_urlencoded serde std strsim thiserror toml
diagnostics = whether chains agree and how many independent draws they are worth
    crates: statrs std thiserror
numbers = softmax, log-sum-exp and argmax of rows of numbers on the host
    crates: std
counts = counts in words
shard = the part of a job that one process does
    crates: serde std thiserror
kernels = the WGSL kernels, and one function for each that takes tensors
streams = every stream of random numbers, by its number
    rooms: config
kernel_check = every kernel compared with its CPU twin on one device
    rooms: kernels streams
eigen = eigenvectors of symmetric matrices
    rooms: streams
principal_axes = the directions along which points differ most
    rooms: eigen
browser = what the browser gives the page: time and files
files = files that are either whole or not there, and folders with one owner
kernel_choices = the measured choices between the variants of a kernel, kept in the user's cache folder
    rooms: files kernels
assets = the files that travel with the program
    rooms: browser
say = what the program prints, safe on any terminal
    rooms: config
signals = requests to stop: Ctrl-C, SIGTERM, SIGHUP and SIGUSR1
    rooms: say
ranks = the processes that train one model together, and what they exchange
lessons = the texts of the lessons
    rooms: assets files
picture = pictures of chains, and a person's own pictures as starts
    rooms: files
page = pages of figures that need no other file
results_folder = where a command puts its results; nothing is replaced unasked
    rooms: files shard
device = which device computes: a GPU or the CPU
    rooms: browser kernels ranks
data = data sets: reading, fetching, batches
    rooms: assets config counts files picture streams
model = the networks that give class logits
    rooms: config device kernels streams
energy = the energy of a classifier and its gradient by the input; the sign lives here
    rooms: device kernels model numbers
pgd = attacks on a classifier within a ball around each image
    rooms: config device energy streams
network_check = networks on one device compared with the CPU back end
    rooms: config device energy kernel_check kernels model streams
sampler = Langevin samplers, one pure step at a time
    rooms: config energy kernels streams
objective = the terms of the loss
    rooms: config device energy
optimizer = the optimiser of the weights, its schedule, and averages of the weights
    rooms: config device model
memory = how much memory a run will need, before any of it is taken
    rooms: config kernels model
class_centers = the Gaussian of each class that chains start from
    rooms: config data kernels principal_axes
replay_buffer = the persistent chains, on the device
    rooms: class_centers config kernels streams
checkpoint = a run's whole state in one file
    rooms: class_centers config data files memory model streams
bundled = the models inside the program
    rooms: assets checkpoint config
accuracy = accuracy and calibration of a network on a data set
    rooms: data device energy model numbers
trainer = a run in memory: one training step, and the return to a good state after a divergence
    rooms: checkpoint class_centers config data device energy kernels memory model objective
    rooms: optimizer pgd ranks replay_buffer sampler streams
recipe = the recipe that fits a data set and a device
    rooms: config counts data device kernels memory trainer
run_folder = the folder of a training run
    rooms: checkpoint files
run_report = training runs beside each other
    rooms: config counts files page picture results_folder run_folder
training = a training run from its start to its end, with evaluations, checkpoints and recoveries
    rooms: accuracy assets checkpoint config data device files objective picture ranks run_folder sampler trainer
tensorboard = event files of TensorBoard
    rooms: files training
starts = where chains of a checkpoint start
    rooms: checkpoint config data picture replay_buffer streams
chains = runs of chains, one step at a time
    rooms: checkpoint config device energy kernels model numbers sampler shard starts streams
convergence = whether the chains of a run converge
    rooms: chains checkpoint class_centers config data device diagnostics energy kernels numbers
    rooms: sampler starts streams
facade = the door for users of the library: a model in one value
    rooms: accuracy bundled chains checkpoint config data device energy model numbers picture trainer
interop = checkpoints from PyTorch and tensors for it
    rooms: checkpoint class_centers config data device model numbers optimizer replay_buffer
eval = the report of `jempp eval`
    rooms: accuracy bundled checkpoint config counts data device eigen energy files kernels model numbers
    rooms: page pgd picture replay_buffer results_folder sampler shard streams
model_card = the text beside a model file that says what the model is
    rooms: checkpoint config counts data eval files
bench = what the work costs on a device
    rooms: config data device energy kernel_check kernels memory model network_check sampler
    rooms: streams trainer
worker = the viewer's service: it computes what a window or a page shows
    rooms: assets browser bundled checkpoint class_centers config data device diagnostics energy files
    rooms: kernel_check kernels lessons model network_check numbers picture principal_axes recipe
    rooms: replay_buffer run_folder sampler starts streams trainer training
app = the window, which knows no tensor and no device
    rooms: browser bundled config counts data diagnostics files lessons numbers picture say worker
    crates: colorous core egui egui_plot half image memory_stats pollster rfd serde serde_json std
    crates: wasm_bindgen_futures web_time
web = the window as a page in a browser, and its web worker
    rooms: app browser config worker
cli = the commands of the program
    rooms: accuracy app bench bundled chains checkpoint config convergence counts data device diagnostics eval
    rooms: files interop kernel_choices lessons model model_card objective picture ranks recipe results_folder run_folder
    rooms: run_report say shard signals starts tensorboard trainer training worker
main = the program
    rooms: cli web
";

/// The rooms of the crate in `cpu`, in the same form.
const CPU_ROOMS: &str = "
shape = the sizes of layers
    crates:
parallel = parallel iterators; plain ones in a browser, which gives the page one thread
    crates: rayon std
reference = the CPU twin of every WGSL kernel; it defines what the kernel computes
    crates: std
layers = the layers on all threads
    rooms: parallel shape
    crates: burn_flex burn_std bytemuck gemm pulp std
threaded = the twins on all threads
    rooms: layers parallel reference
    crates:
";

/// The first line of the list of rooms in `src/lib.rs`.
const HEADING: &str = "//! # The rooms of the house, each importing only rooms named before it";

/// The list of rooms as it must be in `src/lib.rs`.
fn map() -> String {
    let rows = rooms(ROOMS);
    let rows = rows.iter().map(|room| format!("//! * `{}`: {}\n", room.name, room.what));
    format!("{HEADING}\n//!\n{}", rows.collect::<String>())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file in a folder of the crate, by its path from the crate's root.
pub(crate) fn sources(folder: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            found.append(&mut sources(&path));
        } else if path.ends_with(".rs") {
            found.insert(path, fs::read_to_string(entry.path()).unwrap());
        }
    }
    found
}

/// The names of the crates that code may import: those in its `Cargo.toml` and the standard library.
fn crates(manifest: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(root().join(manifest)).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let targets = manifest["target"].as_table().unwrap().values();
    let tables = targets.filter_map(|target| target.get("dependencies"));
    let tables = tables.chain(["dependencies", "dev-dependencies"].map(|name| &manifest[name]));
    let names = tables.flat_map(|table| table.as_table().unwrap().keys());
    let ours = names.map(|name| name.replace('-', "_"));
    ours.chain(["std", "core", "alloc"].map(Into::into)).collect()
}

/// Both crates, each with its table.
fn houses() -> [(&'static str, House); 2] {
    let program: [(&str, &[&str]); 2] = [("src/lib.rs", &[]), ("src/main.rs", &["main"])];
    [
        (ROOMS, read(&sources("src"), &program, &crates("Cargo.toml"))),
        (
            CPU_ROOMS,
            read(&sources("cpu/src"), &[("cpu/src/lib.rs", &[])], &crates("cpu/Cargo.toml")),
        ),
    ]
}

#[test]
fn every_room_imports_what_the_table_says_and_nothing_else() {
    let found: Vec<String> =
        houses().iter().flat_map(|(table, house)| disagreements(&rooms(table), house)).collect();
    assert!(
        found.is_empty(),
        "{} imports or rooms differ from the table:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn no_modules_beside_each_other_import_each_other() {
    let found: Vec<String> = houses().iter().flat_map(|(_, house)| circles(house)).collect();
    assert!(found.is_empty(), "{} arrows in circles:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_map_in_the_root_names_every_room_with_its_line() {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    assert!(text.contains(&map()), "src/lib.rs should have this map:\n\n{}", map());
    let text = fs::read_to_string(root().join("cpu/src/lib.rs")).unwrap();
    for room in rooms(CPU_ROOMS) {
        let line = format!("//! * `{}`: {}\n", room.name, room.what);
        assert!(text.contains(&line), "cpu/src/lib.rs should have this line: {line}");
    }
}
