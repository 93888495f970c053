//! The program with bad input: files that are not what they seem, places that cannot be written, options that cannot be
//! used, streams without a reader.
//!
//! Every refusal is one line, with exit status 1 or 2, takes seconds and bounded memory, and leaves nothing behind.
//! Each of these cases failed once, or is similar to one that did.
mod checkpoints;
mod data;
mod inputs;
mod options;
mod pictures;
mod streams;

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use crate::{
    bounded::{self, every, jempp, refused, refused_command},
    files::{checkpoint_file, torch_file},
};
use inputs::{idx_set, input, packed_file, wrong_paths};

/// A command that takes a path, with `{}` as its placeholder.
struct Taker {
    words: &'static str,
    /// The wrong paths that are valid for this command.
    except: &'static [&'static str],
}

const fn taker(words: &'static str) -> Taker {
    Taker { words, except: &[] }
}

impl Taker {
    /// The arguments with this path.
    fn with(&self, path: impl AsRef<OsStr>) -> Vec<OsString> {
        let fill = |word: &str| match word {
            "{}" => path.as_ref().to_os_string(),
            word => OsString::from(word),
        };
        self.words.split(' ').map(fill).collect()
    }
}

/// Every option that reads a file or a folder.
const READERS: [Taker; 18] = [
    taker("sample --device cpu --steps 0 --out out --checkpoint {}"),
    taker("sample --device cpu --steps 0 --out out --model two-moons --judge {}"),
    Taker {
        words: "sample --device cpu --steps 0 --per-class 1 --out out --start {}",
        except: &["a picture"],
    },
    taker("eval accuracy --device cpu --out out --checkpoint {}"),
    taker("eval samples --device cpu --out out --set eval.num_samples=2 --judge {}"),
    taker("eval accuracy --device cpu --out out --model two-moons --compare {}"),
    taker("eval ood --device cpu --out out --set eval.num_ood=2 --ood {}"),
    taker("eval accuracy --device cpu --out out --model mnist --data {}"),
    taker("pack --out out.safetensors --checkpoint {}"),
    taker("export --out out.safetensors --checkpoint {}"),
    taker("import {} --device cpu --out out.safetensors"),
    taker("train --device cpu --resume {}"),
    taker("train --device cpu --out out --dataset mnist --data {}"),
    taker("train --device cpu --out out --data {}"),
    taker("data {}"),
    Taker {
        words: "train --device cpu --out out --preset toy-two-moons --config {}",
        except: &["the empty device", "an empty file"],
    },
    taker("view --device cpu --checkpoint {}"),
    taker("view --device cpu --lessons {}"),
];

#[test]
fn what_is_not_the_file_asked_for_is_refused_in_one_line() {
    every(
        &READERS,
        |reader| reader.words.into(),
        |reader| {
            let dir = tempfile::tempdir().unwrap();
            let (inside, whole) = (dir.path().join("in"), packed_file().to_bytes());
            fs::create_dir(&inside).unwrap();
            let paths = wrong_paths(&inside, &whole).into_iter();
            let paths = paths.filter(|(what, _)| !reader.except.contains(what));
            let name = |(what, _): &(&str, PathBuf)| format!("{}: {what}", reader.words);
            every(paths, name, |(_, path)| drop(refused(dir.path(), &reader.with(path))));
        },
    );
}

/// Every option that names what to write.
const WRITERS: [Taker; 9] = [
    taker("train --device cpu --preset toy-two-moons --epochs 1 --out {}"),
    taker("sample --device cpu --model two-moons --steps 1 --out {}"),
    taker("eval accuracy --device cpu --model two-moons --out {}"),
    taker("pack --checkpoint two-moons.safetensors --out {}"),
    taker("export --model two-moons --out {}"),
    taker("import small.pt --device cpu --out {}"),
    taker("fetch mnist --timeout 1 --out {}"),
    taker("view --device cpu --save-to {}"),
    taker("data points.csv --out {}"),
];

#[test]
fn where_nothing_can_be_written_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("two-moons.safetensors"), packed_file().to_bytes()).unwrap();
    fs::copy(golden("none.pt"), dir.join("small.pt")).unwrap();
    fs::write(dir.join("points.csv"), "0,0,a\n1,1,b\n").unwrap();
    fs::write(dir.join("precious.txt"), "years of work").unwrap();
    let long = "x".repeat(300);
    let paths = ["precious.txt", "precious.txt/out", "/dev/full", "/proc/nowhere/out", &long];
    let cases = WRITERS.iter().flat_map(|writer| paths.map(|path| (writer, path)));
    let name = |(writer, path): &(&Taker, &str)| format!("{}: {path}", writer.words);
    every(cases, name, |(writer, path)| drop(refused(dir, &writer.with(path))));
}

/// A folder with files of the user is neither filled nor emptied.
#[test]
fn a_folder_with_other_things_in_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("thesis")).unwrap();
    fs::write(dir.join("thesis/chapter-1.tex"), "years of work").unwrap();
    every(
        &WRITERS[..3],
        |writer| writer.words.into(),
        |writer| {
            let said = refused(dir, &writer.with("thesis"));
            assert!(said.contains("thesis"), "{said}");
        },
    );
}

/// A path with spaces, quotes and a line feed works like any other.
#[test]
fn odd_names_are_names() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let odd = dir.join("a b 'c' \"d\" é\n");
    idx_set(&odd, 20, 10, 0);
    fs::write(odd.join("two-moons.safetensors"), packed_file().to_bytes()).unwrap();
    let checkpoint = odd.join("two-moons.safetensors");
    let sample = taker("sample --device cpu --steps 1 --per-class 1 --out out --checkpoint {}");
    bounded::works(dir, &sample.with(&checkpoint));
    let words = "train --device cpu --preset fashion-quick --dataset mnist --epochs 1 --set data.batch_size=10 \
                 --set sampler.num_steps=1 --set replay_buffer.replay_buffer_size=20 --out run --data {}";
    let train = Taker { words, except: &[] };
    let words = train.with(&odd).into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>();
    bounded::works(dir, &words);
}

#[test]
fn a_working_folder_that_is_gone_is_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().join("gone");
    fs::create_dir(&here).unwrap();
    let mut command = std::process::Command::new("sh");
    let script = "cd gone && rmdir ../gone && exec \"$JEMPP\" sample --model two-moons --device cpu --steps 1 --out out";
    command.args(["-c", script]).env("JEMPP", env!("CARGO_BIN_EXE_jempp"));
    bounded::surround(&mut command, dir.path());
    command.current_dir(dir.path());
    let ended = bounded::ended(&mut command);
    assert!(ended.refusal().contains("out"), "{ended:?}");
}

#[test]
fn a_home_that_is_nowhere_stops_only_what_needs_one() {
    let dir = tempfile::tempdir().unwrap();
    let sample = "sample --model two-moons --device cpu --steps 1 --out out";
    let mut command = jempp(dir.path(), &sample.split(' ').collect::<Vec<_>>());
    bounded::ended(command.env_remove("HOME").env_remove("JEMPP_CACHE")).success();
    // If the user database names a home folder, that one is used; in both cases there is one line.
    let mut command = jempp(dir.path(), &["fetch", "mnist", "--timeout", "1"]);
    command.env("HOME", "/proc/nowhere").env_remove("JEMPP_CACHE");
    refused_command(dir.path(), &mut command);
}

/// The path of a small PyTorch file.
fn golden(name: &str) -> String {
    format!("{}/tests/pytorch/golden/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// `--start` accepts a picture with the shape of a model's input.
#[test]
fn a_picture_is_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let start = taker("sample --device cpu --steps 0 --per-class 1 --out out --start {}");
    bounded::works(dir.path(), &start.with(Path::new(&input("pictures/plain.png"))));
}
