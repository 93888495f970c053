//! Checkpoints in the formats of common training loops.

use std::{fs, process::Command};

use jempp::interop::Reading;

use super::{
    import,
    refusals::refused,
    torch_file::{self, dict, state_dict, text, with_tensors},
    wrn_10_1,
};

/// How the network was found in a file.
fn reading(file: &[u8]) -> Reading {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.pt");
    fs::write(&path, file).unwrap();
    let imported = import(&path);
    assert_eq!(imported.checkpoint.config.model.arch, "wrn-10-1");
    imported.reading
}

/// Rewrites an object in the style of protocol 4: functions named by two memoised texts, inside a frame.
fn protocol_4(object: &[u8]) -> Vec<u8> {
    let mut out = b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00".to_vec();
    let mut rest = object;
    while let Some(&instruction) = rest.first() {
        if instruction == b'c' {
            let lines: Vec<&[u8]> = rest[1..].splitn(3, |&byte| byte == b'\n').collect();
            for line in &lines[..2] {
                out.extend([&[0x8c, line.len() as u8], *line, b"\x94"].concat());
            }
            out.extend(b"\x93\x94");
            rest = lines[2];
            continue;
        }
        let len = match instruction {
            b'X' => 5 + u32::from_le_bytes(rest[1..5].try_into().unwrap()) as usize,
            b'C' | 0x8a => 2 + usize::from(rest[1]),
            b'K' => 2,
            b'J' => 5,
            b'G' => 9,
            _ => 1,
        };
        out.extend(&rest[..len]);
        rest = &rest[len..];
    }
    out
}

#[test]
fn weights_are_found_under_their_key_and_without_their_common_prefix() {
    let tensors = wrn_10_1();
    for (container, prefix) in [
        ("model_state_dict", ""),
        ("model_state_dict", "module."),
        ("state_dict", "model._orig_mod."),
        ("model", "_orig_mod.module."),
        ("net", "net."),
        ("", ""),
        ("", "module."),
    ] {
        let weights = state_dict(&tensors, prefix);
        let object = if container.is_empty() { weights } else { dict(&[(container, weights)]) };
        for object in [protocol_4(&object), object] {
            let found = reading(&with_tensors(&object, &tensors));
            assert_eq!((found.container.as_str(), found.prefix.as_str()), (container, prefix));
            assert_eq!((found.num_others, found.num_aliases), (0, 0));
        }
    }
}

#[test]
fn what_lies_beside_the_weights_is_counted() {
    let mut tensors = wrn_10_1();
    let weights = state_dict(&tensors, "module.");
    let momentum = torch_file::Tensor::zeros("momentum", &[3]);
    let key = tensors.len();
    tensors.push(momentum);
    let momentum = torch_file::rebuild("FloatStorage", key, 3, &[3], &[1]);
    let object = dict(&[
        ("optimizer_state_dict", dict(&[("state", dict(&[("momentum", momentum)]))])),
        ("model_state_dict", weights),
    ]);
    assert_eq!(reading(&with_tensors(&object, &tensors)).num_others, 1);
}

#[test]
fn a_prefix_that_only_some_share_is_refused() {
    let mut tensors = wrn_10_1();
    for tensor in tensors.iter_mut().filter(|tensor| tensor.name.starts_with("class")) {
        tensor.name = format!("module.{}", tensor.name);
    }
    for tensor in tensors.iter_mut().filter(|tensor| tensor.name == "f.conv1.weight") {
        tensor.name = "f.first.weight".into();
    }
    let said = refused(&torch_file::checkpoint(&tensors), &[]);
    assert!(
        said.contains("names begin with `module.`") && said.contains("tensor `energy_output"),
        "{said}"
    );

    let tensors = wrn_10_1();
    let both = dict(&[("a", state_dict(&tensors, "")), ("b", state_dict(&tensors, ""))]);
    let said = refused(&with_tensors(&both, &tensors), &[]);
    assert!(said.contains("several networks, under `a.` and `b.`"), "{said}");
    let other = [torch_file::Tensor::zeros("layers.0.weight", &[2, 2])];
    let said = refused(&torch_file::checkpoint(&other), &[]);
    assert!(said.contains("none of its 1 tensors") && said.contains("layers.0.weight"), "{said}");
}

/// Values of Python's standard library, each as `pickle.dumps` writes it with protocol 2.
fn plain_values() -> Vec<(&'static str, Vec<u8>)> {
    let lr = [text("lr"), b"G\x3f\xb9\x99\x99\x99\x99\x99\x9a".to_vec()].concat();
    vec![
        ("epoch", b"K\x07".to_vec()),
        ("big", b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01".to_vec()),
        ("bytes", b"C\x02xy".to_vec()),
        ("args", [b"cargparse\nNamespace\n)\x81}".to_vec(), lr, b"sb".to_vec()].concat()),
        ("path", [b"cpathlib\nPosixPath\n".to_vec(), text("runs"), b"\x85R".to_vec()].concat()),
        ("seen", b"c__builtin__\nset\n](K\x01K\x02e\x85R".to_vec()),
        (
            "day",
            [
                b"cdatetime\ndate\nc_codecs\nencode\n".to_vec(),
                text("abcd"),
                text("latin1"),
                b"\x86R\x85R".to_vec(),
            ]
            .concat(),
        ),
        ("shape", b"ctorch\nSize\nK\x03\x85\x85R".to_vec()),
        ("dtype", b"ctorch\nfloat32\n".to_vec()),
    ]
}

#[test]
fn plain_values_of_python_are_read_past() {
    let tensors = wrn_10_1();
    let mut entries = vec![("model_state_dict", state_dict(&tensors, ""))];
    entries.extend(plain_values());
    let object = dict(&entries);
    for object in [protocol_4(&object), object] {
        assert_eq!(reading(&with_tensors(&object, &tensors)).num_others, 0);
    }
}

#[test]
fn a_refusal_says_the_lines_of_python_that_help() {
    let tensors = wrn_10_1();
    let numpy = [
        b"cnumpy._core.multiarray\nscalar\ncnumpy\ndtype\n".to_vec(),
        text("f8"),
        b"\x89\x88\x87RC\x08\x00\x00\x00\x00\x00\x00\xf0?\x86R".to_vec(),
    ];
    let weights = state_dict(&tensors, "");
    let load =
        "state = torch.load(\"model.pt\", map_location=\"cpu\", weights_only=False); torch.save(";
    for (entries, saved) in [
        (vec![("model_state_dict", weights.clone())], "state[\"model_state_dict\"]}"),
        (vec![("net", weights.clone())], "state[\"net\"]}"),
        (
            vec![("model_state_dict", weights.clone()), ("replay_buffer", b"N".to_vec())],
            "state[\"model_state_dict\"], \"replay_buffer\": state[\"replay_buffer\"]}",
        ),
    ] {
        let object = dict(&[entries, vec![("best_acc", numpy.concat())]].concat());
        for object in [protocol_4(&object), object] {
            let said = refused(&with_tensors(&object, &tensors), &[]);
            assert!(said.contains("names `numpy._core.multiarray.scalar`"), "{said}");
            assert!(said.contains("nothing of it was run"), "{said}");
            let lines = format!("{load}{{\"model_state_dict\": {saved}, \"clean.pt\")");
            assert!(said.contains(&lines), "{said}");
        }
    }
}

#[test]
fn the_program_says_what_it_took_and_what_it_left() {
    let dir = tempfile::tempdir().unwrap();
    let tensors = wrn_10_1();
    let object = dict(&[("net", state_dict(&tensors, "module."))]);
    fs::write(dir.path().join("last.pt"), with_tensors(&object, &tensors)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_jempp"))
        .args(["import", "last.pt", "--out", "ours.safetensors", "--device", "cpu"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Weights: those under `net`"), "{said}");
    assert!(said.contains("without their common prefix `module.`"), "{said}");
}
