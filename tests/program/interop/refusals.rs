//! Files that are not what they seem: they are read, or refused in one line.

use std::{fs, path::Path, process::Command};

use jempp::{
    device,
    interop::{self, ImportRequest},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{golden, import, torch_file, wrn_10_1};

/// Runs the program on a file that it must refuse in one line, without writing anything. Returns that line.
pub(super) fn refused(file: &[u8], more: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("model.pt"), file).unwrap();
    refused_in(dir.path(), more)
}

/// As [`refused`], for the file or folder `model.pt` in a folder.
fn refused_in(dir: &Path, more: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_jempp"))
        .args(["import", "model.pt", "--out", "new/out.safetensors", "--device", "cpu"])
        .args(more)
        .current_dir(dir)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "one line: {stderr}");
    assert_eq!(fs::read_dir(dir).unwrap().count(), 1, "something was written");
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
    assert!(said.contains("wrn-16-1 was asked for: the file holds wrn-10-1"), "{said}");
    assert!(said.contains("--arch wrn-10-1"), "{said}");
    let said = refused(&original, &["--dataset", "cifar10"]);
    assert!(said.contains("has 5 classes, data set `cifar10` has 10"), "{said}");
    assert!(refused(&original, &["--dataset", "cifar"]).contains("`data.dataset` cannot be"));
    assert!(refused(&original, &["--data", "nowhere"]).contains("there is no such folder"));
}

#[test]
fn nothing_in_a_hostile_pickle_is_run_or_unfolded() {
    let hostile = |object: &[u8]| refused(&torch_file::around(object, &[]), &[]);
    let system =
        [b"cposix\nsystem\n", torch_file::text("touch pwned").as_slice(), b"\x85R"].concat();
    let said = hostile(&system);
    assert!(said.contains("`posix.system`") && said.contains("nothing of it was run"), "{said}");
    // The function is called, its result dropped, and a valid checkpoint returned.
    let mut tensors = torch_file::checkpoint(&wrn_10_1());
    let object = tensors.windows(2).rposition(|bytes| bytes == b"\x80\x02").unwrap();
    tensors.splice(object + 2..object + 2, [&system[..], b"0"].concat());
    assert!(refused(&tensors, &[]).contains("posix.system"));

    // The function is named by two texts, as in protocol 4, also from the memo.
    let [os, name] = ["os", "system"].map(torch_file::text);
    let direct = [b"\x80\x04", os.as_slice(), &name, b"\x93)R"].concat();
    let memo = [os.as_slice(), b"\x940", &name, b"\x940h\x00h\x01\x93)R"].concat();
    for named in [direct, memo] {
        assert!(hostile(&named).contains("`os.system`"), "{}", hostile(&named));
    }
    assert!(hostile(b"]]\x93)R").contains("names no function"));
    assert!(hostile(b"0").contains("takes what is not there"));
    assert!(hostile(b"ios\nsystem\n").contains("instruction 0x69"));
    assert!(hostile(&[b']'; 5000]).contains("Expected a dictionary"));
    let nested = [vec![b']'; 5000], vec![b'a'; 4999]].concat();
    assert!(hostile(&nested).contains("nesting"), "{}", hostile(&nested));
    let laughs: Vec<u8> = (0..60u8).flat_map(|i| [b'q', i, b'h', i, b'h', i, 0x86]).collect();
    assert!(hostile(&[b"]", &laughs[..]].concat()).contains("unfolds into far more"));
    // The reader copies a long key with its dictionary, without counting it.
    let long = [b"}", torch_file::text(&"k".repeat(1 << 20)).as_slice(), b"Nsq\x00"].concat();
    let copies = [&long[..], &b"h\x00".repeat(1000), b"\x86"].concat();
    assert!(hostile(&copies).contains("unfolds into far more"));
    assert!(hostile(&vec![b'N'; 5_000_000]).contains("too long"));
    assert!(hostile(b"X\xff\xff\xff\xff").contains("truncated"));
    assert!(hostile(b"").contains("no PyTorch checkpoint"));

    // A tensor that expands one number a million times, and a storage that does not exist.
    let claim = |shape: &[usize]| {
        let tensor = torch_file::rebuild("FloatStorage", 0, 1, shape, &vec![0; shape.len()]);
        let name = [
            torch_file::text("model_state_dict"),
            b"}".to_vec(),
            torch_file::text("class_output.weight"),
        ];
        let object = [b"}".to_vec(), name.concat(), tensor, b"ss".to_vec()].concat();
        refused(&torch_file::around(&object, &[(1, 4, 0)]), &[])
    };
    assert!(claim(&[1 << 20, 64]).contains("claim 268435456 bytes"));
    assert!(claim(&[1 << 30, 1 << 20]).contains("limit"), "{}", claim(&[1 << 30, 1 << 20]));
}

#[test]
fn damaged_and_foreign_files_are_refused() {
    let foreign: [(&[u8], &str); 9] = [
        (b"", "it is empty"),
        (b"PK", "does not begin like a file of torch.save"),
        (b"<html>not found</html>", "does not begin like a file of torch.save"),
        (&[0; 4096], "does not begin like a file of torch.save"),
        (
            b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03",
            "jempp fetch cifar10",
        ),
        (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94.", "not one of torch.save"),
        (b"\x40\x00\x00\x00\x00\x00\x00\x00{\"w\":{}}", "safetensors.torch.load_file"),
        (b"PK\x05\x06", "does not begin like a file of torch.save"),
        (b"PK\x03\x04", "its archive has no end"),
    ];
    for (bytes, reason) in foreign {
        let said = refused(bytes, &[]);
        assert!(said.contains(reason), "{said}");
    }
    let ours = import(&golden("none.pt")).checkpoint;
    let dir = tempfile::tempdir().unwrap();
    ours.save(&dir.path().join("model.pt")).unwrap();
    let said = refused_in(dir.path(), &[]);
    assert!(said.contains("needs no import") && said.contains("--checkpoint model.pt"), "{said}");
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
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_waited_for() {
    type Make = fn(&Path) -> std::io::Result<()>;
    let makes: [(Make, &str); 3] = [
        (|path| fs::create_dir(path), "it is a folder"),
        (|path| Command::new("mkfifo").arg(path).status().map(drop), "it is not a regular file"),
        (|path| std::os::unix::fs::symlink("/dev/zero", path), "it is not a regular file"),
    ];
    for (make, reason) in makes {
        let dir = tempfile::tempdir().unwrap();
        make(&dir.path().join("model.pt")).unwrap();
        let said = refused_in(dir.path(), &[]);
        assert!(said.contains(reason) && said.contains("name a file of torch.save"), "{said}");
    }
}

#[test]
fn a_small_file_cannot_ask_for_a_large_model() {
    let said = |name: &str, shape: &[usize]| {
        let mut tensors = wrn_10_1();
        tensors.iter_mut().find(|tensor| tensor.name == name).unwrap().shape = shape.into();
        refused(&torch_file::checkpoint(&tensors), &[])
    };
    let channels = said("f.conv1.weight", &[16, 100, 3, 3]);
    assert!(channels.contains("images are of shape [100, 32, 32]"), "{channels}");
    let classes = said("class_output.weight", &[30_000, 64]);
    assert!(classes.contains("30000 classes of images of 3072 numbers"), "{classes}");
}

/// Reading a file with arbitrary bytes ends with a model or an error, never a panic. `JEMPP_MUTATIONS` sets a higher
/// number of cases than the default.
#[test]
fn mutated_files_are_read_or_refused() {
    let count = std::env::var("JEMPP_MUTATIONS").ok().and_then(|count| count.parse().ok());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.pt");
    let wholes = ["batch.pt", "none.pt"].map(|name| fs::read(golden(name)).unwrap());
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for number in 0..count.unwrap_or(160) {
        let mut file = wholes[number % 2].clone();
        for _ in 0..random.random_range(1..4) {
            mutate(&mut file, &mut random);
        }
        fs::write(&path, file).unwrap();
        let _ = interop::import(&path, &ImportRequest::default(), &device::cpu());
    }
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        eprintln!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    }
}

/// Changes the description of the tensors, at the start, or that of the archive, at the end.
fn mutate(file: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    const INSTRUCTIONS: &[u8] =
        b".(0123NKMJGXhjqrcQRbstaeul]})\x80\x81\x85\x86\x87\x8a\x8c\x93\x94\x95";
    let len = file.len();
    let described = len.min(8000);
    let at = match random.random_range(0..3) {
        0 if len > 6000 => random.random_range(len - 6000..len),
        _ => random.random_range(0..described),
    };
    let run = random.random_range(1..40).min(len - at);
    match random.random_range(0..6) {
        0 => file[at] = random.random(),
        1 => file[at] = INSTRUCTIONS[random.random_range(0..INSTRUCTIONS.len())],
        2 => drop(file.drain(at..at + run)),
        3 => {
            let copy = file[at..at + run].to_vec();
            let to = random.random_range(0..described);
            file.splice(to..to, copy);
        }
        4 => {
            let number = [0u32, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
            let number = number[random.random_range(0..number.len())].to_le_bytes();
            let end = (at + 4).min(len);
            file[at..end].copy_from_slice(&number[..end - at]);
        }
        _ => file.truncate(at.max(20)),
    }
}
