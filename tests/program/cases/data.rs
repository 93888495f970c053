//! Data sets are never guessed, mixed, ignored or read without limits.

use std::{fs, io::Write, path::Path, process::Command};

use flate2::{Compression, write::GzEncoder};

use super::{
    bounded::{ended, jempp, refused, works},
    inputs::{gzipped, idx_set, images, labels},
    torch_file::{Tensor, around, checkpoint, text},
};

/// A training of a few seconds on the data in `--data`.
const TRAIN: &str = "train --device cpu --preset fashion-quick --dataset mnist --epochs 1 --out run \
                     --set data.batch_size=10 --set sampler.num_steps=1 \
                     --set replay_buffer.replay_buffer_size=20 --set class_centers.max_components=2";

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    TRAIN.split_whitespace().chain(more.iter().copied()).collect()
}

#[test]
fn two_sets_side_by_side_are_never_mixed_up() {
    let dir = tempfile::tempdir().unwrap();
    idx_set(&dir.path().join("sets/FashionMNIST"), 40, 10, 0xff);
    idx_set(&dir.path().join("sets/MNIST"), 60, 20, 0);
    // Either MNIST is read, recognised by its folder name, or the error names both folders.
    let ended = ended(&mut jempp(dir.path(), &train(&["--data", "sets"])));
    match ended.status.success() {
        true => {
            let said = ended.success();
            assert!(said.contains("sets/MNIST") && !said.contains("sets/FashionMNIST/t"), "{said}");
        }
        false => {
            let said = ended.refusal();
            assert!(said.contains("FashionMNIST") && said.contains("sets/MNIST"), "{said}");
        }
    }
}

#[test]
fn images_of_one_folder_never_meet_labels_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("part/mnist");
    idx_set(&whole, 40, 10, 0);
    let broken = dir.path().join("part/a-broken-off");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("train-images-idx3-ubyte"), images(40, 0xff)).unwrap();
    let ended = ended(&mut jempp(dir.path(), &train(&["--data", "part"])));
    match ended.status.success() {
        true => {
            let said = ended.success();
            assert!(said.contains("part/mnist"), "{said}");
        }
        false => {
            let said = ended.refusal();
            assert!(said.contains("a-broken-off") && said.contains("mnist"), "{said}");
        }
    }
}

/// The folder where torchvision stores its files.
#[test]
fn the_folder_raw_is_known() {
    let dir = tempfile::tempdir().unwrap();
    idx_set(&dir.path().join("data/MNIST/raw"), 40, 10, 0);
    let said = works(dir.path(), &train(&["--data", "data"]));
    assert!(said.contains("MNIST/raw"), "{said}");
}

#[test]
fn nothing_is_claimed_where_there_are_no_test_images() {
    let dir = tempfile::tempdir().unwrap();
    idx_set(&dir.path().join("d"), 200, 0, 0);
    let ended = ended(&mut jempp(dir.path(), &train(&["--data", "d"])));
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.to_lowercase().contains("no test images"), "{said}");
    // A slow run also says the accuracy on a training batch, which may be any.
    assert!(!said.contains("test accuracy"), "a number where nothing was measured: {said}");
}

#[test]
fn a_gzip_of_two_members_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("d");
    idx_set(&set, 40, 10, 0);
    let path = set.join("train-images-idx3-ubyte");
    let plain = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let members = [gzipped(&plain[..1000]), gzipped(&plain[1000..])].concat();
    fs::write(set.join("train-images-idx3-ubyte.gz"), &members).unwrap();
    works(dir.path(), &train(&["--data", "d"]));
    // Detects that the second gzip member is truncated.
    fs::write(set.join("train-images-idx3-ubyte.gz"), &members[..members.len() - 100]).unwrap();
    let mut again = train(&["--data", "d"]);
    let out = again.iter().position(|word| *word == "run").unwrap();
    again[out] = "other";
    refused(dir.path(), &again);
}

#[test]
fn one_class_is_trained_where_no_centre_is_needed() {
    for more in [&["--set", "sampler.start=uniform"], &["--set", "objective.p_x_weight=0"]] {
        let dir = tempfile::tempdir().unwrap();
        let set = dir.path().join("d");
        fs::create_dir(&set).unwrap();
        for (part, count) in [("train", 20), ("t10k", 5)] {
            fs::write(set.join(format!("{part}-images-idx3-ubyte")), images(count, 0)).unwrap();
            fs::write(set.join(format!("{part}-labels-idx1-ubyte")), labels(count, |_| 3)).unwrap();
        }
        let words = train(&[&["--data", "d"], &more[..]].concat());
        works(dir.path(), &words);
    }
}

/// More than a gibibyte in a small gzip file, without a header and with a header that states less.
#[test]
fn a_gzip_bomb_is_refused_by_its_header() {
    let bomb = |head: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(head).unwrap();
        let zeros = vec![0; 1 << 20];
        (0..1500).for_each(|_| encoder.write_all(&zeros).unwrap());
        encoder.finish().unwrap()
    };
    for head in [Vec::new(), images(200, 0)[..16].to_vec()] {
        let dir = tempfile::tempdir().unwrap();
        let set = dir.path().join("d");
        idx_set(&set, 200, 10, 0);
        fs::remove_file(set.join("train-images-idx3-ubyte")).unwrap();
        fs::write(set.join("train-images-idx3-ubyte.gz"), bomb(&head)).unwrap();
        refused(dir.path(), &train(&["--data", "d"]));
        refused(
            dir.path(),
            &[
                "eval",
                "ood",
                "--device",
                "cpu",
                "--out",
                "e",
                "--ood",
                "d/train-images-idx3-ubyte.gz",
            ],
        );
    }
}

#[test]
fn headers_that_promise_too_much_are_believed_by_nobody() {
    let huge = u32::MAX.to_be_bytes();
    for (name, at, bytes) in [
        ("train-images-idx3-ubyte", 4, huge),
        ("train-images-idx3-ubyte", 8, huge),
        ("train-images-idx3-ubyte", 12, [0; 4]),
        ("train-labels-idx1-ubyte", 4, huge),
        ("train-labels-idx1-ubyte", 0, [0, 0, 13, 1]),
        ("t10k-images-idx3-ubyte", 8, [0, 0, 0, 27]),
        ("t10k-labels-idx1-ubyte", 4, [0; 4]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let set = dir.path().join("d");
        idx_set(&set, 40, 10, 0);
        let path = set.join(name);
        let mut file = fs::read(&path).unwrap();
        file[at..at + 4].copy_from_slice(&bytes);
        fs::write(&path, file).unwrap();
        let said = refused(dir.path(), &train(&["--data", "d"]));
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn python_cifar_names_fetch() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("cifar-10-batches-py");
    fs::create_dir(&set).unwrap();
    for batch in 1..=5 {
        fs::write(set.join(format!("data_batch_{batch}")), b"\x80\x02}q\x01.").unwrap();
    }
    fs::write(set.join("test_batch"), b"\x80\x02}q\x01.").unwrap();
    fs::write(set.join("batches.meta"), b"\x80\x02}q\x01.").unwrap();
    for data in [".", "cifar-10-batches-py"] {
        let words =
            ["train", "--device", "cpu", "--dataset", "cifar10", "--out", "r", "--data", data];
        let said = refused(dir.path(), &words);
        assert!(said.contains("jempp fetch cifar10"), "{said}");
    }
}

#[test]
fn damaged_matlab_files_are_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("d");
    fs::create_dir(&set).unwrap();
    let mut file = vec![b' '; 124];
    file.extend([0, 1, b'I', b'M']);
    for tail in [
        &[][..],
        &[14, 0, 0, 0, 255, 255, 255, 255],
        &[14, 0, 0, 0, 8, 0, 0, 0, 6, 0, 0, 0, 255, 255, 255, 255],
        &[15, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4],
    ] {
        for name in ["train_32x32.mat", "test_32x32.mat"] {
            fs::write(set.join(name), [&file, tail].concat()).unwrap();
        }
        let words = ["train", "--device", "cpu", "--dataset", "svhn", "--out", "r", "--data", "d"];
        let said = refused(dir.path(), &words);
        assert!(said.contains("train_32x32.mat"), "{said}");
    }
}

/// The network of `none.pt`, with a prefix before its names.
fn pytorch(prefix: &str) -> Vec<u8> {
    let mut tensors = vec![Tensor::zeros(&format!("{prefix}f.conv1.weight"), &[16, 3, 3, 3])];
    let mut add = |name: String, shape: &[usize]| {
        tensors.push(Tensor::zeros(&format!("{prefix}{name}.weight"), shape));
        tensors.push(Tensor::zeros(&format!("{prefix}{name}.bias"), &shape[..1]));
    };
    for (stage, inputs, outputs) in [(1, 16, 16), (2, 16, 32), (3, 32, 64)] {
        add(format!("f.layer{stage}.0.conv1"), &[outputs, inputs, 3, 3]);
        add(format!("f.layer{stage}.0.conv2"), &[outputs, outputs, 3, 3]);
        if stage > 1 {
            add(format!("f.layer{stage}.0.shortcut.0"), &[outputs, inputs, 1, 1]);
        }
    }
    add("class_output".into(), &[3, 64]);
    tensors.push(Tensor::zeros(&format!("{prefix}f.conv1.bias"), &[16]));
    checkpoint(&tensors)
}

#[test]
fn a_prefix_that_all_tensors_share_is_stripped() {
    for prefix in ["", "module.", "_orig_mod.", "module._orig_mod."] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("m.pt"), pytorch(prefix)).unwrap();
        let words = ["import", "m.pt", "--device", "cpu", "--out", "m.safetensors"];
        let said = works(dir.path(), &words);
        assert!(said.contains("wrn-10-1"), "{prefix}: {said}");
    }
}

#[test]
fn a_pickle_of_more_than_tensors_is_refused_with_the_way_out() {
    let call =
        |function: &str| [b"c", function.as_bytes(), b"\n(", &text("touch ran"), b"tR"].concat();
    for function in
        ["numpy.core.multiarray\nscalar", "argparse\nNamespace", "os\nsystem", "builtins\neval"]
    {
        let dir = tempfile::tempdir().unwrap();
        let object = [&b"}"[..], &text("model_state_dict"), &call(function), b"s"].concat();
        fs::write(dir.path().join("m.pt"), around(&object, &[])).unwrap();
        let said =
            refused(dir.path(), &["import", "m.pt", "--device", "cpu", "--out", "m.safetensors"]);
        assert!(
            said.contains("torch.save"),
            "two lines of Python that make a file we read: {said}"
        );
    }
}

/// A mirror that never stops sending, and one that rarely sends a byte.
#[test]
fn a_mirror_without_an_end_is_left() {
    use std::{io::Read, net::TcpListener, thread, time::Duration};
    for is_slow in [false, true] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        thread::spawn(move || {
            for client in server.incoming() {
                let mut client = client.unwrap();
                thread::spawn(move || {
                    let _ = client.read(&mut [0; 4096]);
                    let _ = client.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                    let body = if is_slow { vec![b'a'] } else { vec![b'a'; 1 << 16] };
                    while client.write_all(&body).is_ok() {
                        if is_slow {
                            thread::sleep(Duration::from_millis(400));
                        }
                    }
                });
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let words = ["fetch", "mnist", "--out", "d", "--timeout", "1"];
        let mut command: Command = jempp(dir.path(), &words);
        command.env("JEMPP_MIRROR", format!("http://{address}"));
        let ended = ended(&mut command);
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        let written: u64 = sizes(&dir.path().join("d"));
        assert!(written < 64 << 20, "{written} bytes");
    }
}

fn sizes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}
