//! ONNX files: what is in them, and files for `tests/onnx/check.py`, which runs them.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use jempp::{checkpoint::Checkpoint, config::Norm, device, interop, model::HostTensor};
use safetensors::{Dtype, tensor::TensorView};

use super::{answers, golden, import, network, scrambled, with_network};
use crate::run::{fails, succeeds};

/// The fields of a message: their tags and, of texts and messages, their bytes.
fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let number = |bytes: &mut &[u8]| {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return value;
            }
        }
    };
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = number(&mut message);
        let len = match key & 7 {
            0 => {
                let value = number(&mut message);
                found.push((key >> 3, value.to_le_bytes().to_vec()));
                continue;
            }
            2 => number(&mut message) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, message[..len].to_vec()));
        message = &message[len..];
    }
    found
}

fn all(message: &[u8], tag: u64) -> Vec<Vec<u8>> {
    fields(message).into_iter().filter(|field| field.0 == tag).map(|field| field.1).collect()
}

fn texts(message: &[u8], tag: u64) -> Vec<String> {
    all(message, tag).into_iter().map(|text| String::from_utf8(text).unwrap()).collect()
}

/// A WideResNet whose norms are not those of a new network.
fn with_norm(norm: Norm) -> Checkpoint {
    let mut checkpoint = with_network("wrn-10-2", [3, 12, 9], 4);
    checkpoint.config.model.norm = norm;
    let fresh = jempp::model::Network::new(
        &checkpoint.config.model,
        checkpoint.input_shape,
        4,
        5,
        &device::cpu(),
    );
    checkpoint.weights = pollster::block_on(jempp::model::weights_of(&fresh.unwrap())).unwrap();
    for (index, (name, tensor)) in checkpoint.weights.iter_mut().enumerate() {
        if name.contains("norm") {
            let drawn = scrambled(tensor.values.len(), index as u32);
            let is_positive = name.ends_with("gamma") || name.ends_with("var");
            let place = |value: f32| if is_positive { 1.0 + 0.5 * value } else { 0.3 * value };
            tensor.values = drawn.into_iter().map(place).collect();
        }
    }
    checkpoint
}

fn cases() -> Vec<(String, Checkpoint)> {
    let mut cases: Vec<(String, Checkpoint)> = ["", "mnist", "cifar10-jpeg"]
        .iter()
        .flat_map(|folder| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(folder);
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())
        })
        .filter(|path| path.extension() == Some("safetensors".as_ref()))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_string();
            (name, Checkpoint::load(&path).unwrap())
        })
        .collect();
    assert!(cases.len() >= 10, "the bundled models");
    cases.push(("imported".into(), import(&golden("batch.pt")).checkpoint));
    for (arch, shape) in
        [("cnn-base", [3, 16, 13]), ("cnn-tiny", [2, 8, 8]), ("cnn-small", [1, 27, 9])]
    {
        cases.push((arch.into(), with_network(arch, shape, 5)));
    }
    for norm in [Norm::None, Norm::Group, Norm::Batch] {
        cases.push((format!("wrn-{norm:?}"), with_norm(norm)));
    }
    cases
}

#[test]
fn an_onnx_file_holds_the_network_and_says_what_it_is() {
    let checkpoint = with_network("cnn-tiny", [2, 8, 8], 3);
    let file = interop::export_onnx(&checkpoint).unwrap();
    let graph = &all(&file, 7)[0];
    let operators: Vec<String> =
        all(graph, 1).iter().map(|node| texts(node, 4)[0].clone()).collect();
    let expected =
        "Conv LeakyRelu Conv LeakyRelu GlobalAveragePool Flatten Gemm ReduceLogSumExp Neg";
    assert_eq!(operators.join(" "), expected);
    let constants: HashMap<String, usize> = all(graph, 5)
        .iter()
        .map(|tensor| (texts(tensor, 8)[0].clone(), all(tensor, 9)[0].len() / 4))
        .collect();
    let num_weights: usize = checkpoint.weights.values().map(|tensor| tensor.values.len()).sum();
    assert_eq!(constants.values().sum::<usize>(), num_weights);
    assert_eq!(constants["convs.0.weight"], 32 * 2 * 9);
    let names = |tag| -> Vec<String> {
        all(graph, tag).iter().map(|batch| texts(batch, 1)[0].clone()).collect()
    };
    assert_eq!((names(11), names(12)), (vec!["x".into()], vec!["logits".into(), "energy".into()]));
    let facts: HashMap<String, String> = all(&file, 14)
        .iter()
        .map(|fact| (texts(fact, 1)[0].clone(), texts(fact, 2)[0].clone()))
        .collect();
    assert_eq!((&*facts["arch"], &*facts["input_shape"]), ("cnn-tiny", "[2,8,8]"));
    assert!(!facts.contains_key("temperature"));
    assert_eq!(file, interop::export_onnx(&checkpoint).unwrap(), "the same bytes each time");
}

/// Every kind of network, for `tests/onnx/check.py`, which runs the files.
#[test]
fn every_network_has_an_onnx_file() {
    let folder = std::env::var_os("JEMPP_ONNX_DIR").map(PathBuf::from);
    for (name, checkpoint) in cases() {
        let file = interop::export_onnx(&checkpoint).unwrap();
        assert!(file.len() > 4 * 1000, "{name}");
        let Some(folder) = &folder else { continue };
        let [c, h, w] = checkpoint.input_shape;
        let x = HostTensor { shape: vec![5, c, h, w], values: scrambled(5 * c * h * w, 3) };
        let norm = match checkpoint.config.model.norm {
            Norm::Batch => Norm::Frozen,
            other => other,
        };
        let device = device::cpu();
        let [logits, _] = answers(&network(&checkpoint, norm, &device), &x, &device);
        let classes = checkpoint.class_names.len();
        let of = |values, shape| TensorView::new(Dtype::F32, shape, values).unwrap();
        let views = [
            ("x", of(bytemuck::cast_slice(&x.values), x.shape.clone())),
            ("logits", of(bytemuck::cast_slice(&logits), vec![5, classes])),
        ];
        let bytes = safetensors::serialize(views, None::<HashMap<_, _>>).unwrap();
        fs::write(folder.join(format!("{name}.safetensors")), bytes).unwrap();
        fs::write(folder.join(format!("{name}.onnx")), file).unwrap();
    }
    if folder.is_none() {
        eprintln!("Not run: JEMPP_ONNX_DIR is not set; tests/onnx/check.py sets it");
    }
}

#[test]
fn the_format_of_an_export_is_that_of_its_name_or_its_option() {
    let dir = tempfile::tempdir().unwrap();
    let export = |more: &str| -> Vec<String> {
        let line = format!("export --model two-moons {more}");
        line.split_whitespace().map(String::from).collect()
    };
    let run = |more: &str| {
        let words = export(more);
        succeeds(dir.path(), &words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let refuse = |more: &str| {
        let words = export(more);
        fails(dir.path(), &words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let size = |name: &str| fs::metadata(dir.path().join(name)).unwrap().len();
    assert!(run("--out a.onnx").contains(&format!("ONNX file: a.onnx ({} bytes)", size("a.onnx"))));
    assert!(run("--onnx --out b").contains("ONNX file: b"));
    assert_eq!(
        fs::read(dir.path().join("a.onnx")).unwrap(),
        fs::read(dir.path().join("b")).unwrap()
    );
    assert!(run("--out c.safetensors").contains("Tensors: c.safetensors"));
    let said = refuse("--onnx --out d.safetensors");
    assert!(said.contains("not have the ending of an ONNX file"), "{said}");
    let said = refuse("--safetensors --out d.onnx");
    assert!(said.contains("not have the ending of a safetensors file"), "{said}");
    assert!(refuse("--out a.onnx").contains("exists"));
    assert!(refuse("--no-buffer --out d.onnx").contains("--no-buffer is not used"));
}
