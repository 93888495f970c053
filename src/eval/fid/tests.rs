use std::{collections::HashMap, path::PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use pollster::block_on;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::Value;

use super::*;
use crate::{device, eval::metrics::frechet_distance};

/// Numbers in [-1, 1): a hash of the series and the place, as `tests/fid/golden.py` makes them.
fn uniform(series: u32, count: usize) -> Vec<f64> {
    let number = |place: u32| {
        let mut hash =
            place.wrapping_mul(2_654_435_761).wrapping_add(series.wrapping_mul(2_246_822_519));
        for (shift, factor) in [(16, 2_146_121_005), (15, 2_221_713_035)] {
            hash = (hash ^ (hash >> shift)).wrapping_mul(factor);
        }
        f64::from(hash ^ (hash >> 16)) / 2f64.powi(31) - 1.0
    };
    (0..count as u32).map(number).collect()
}

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/fid/golden.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

/// The file of the network with a sixteenth of the channels, after `change` of its tensors.
fn file(change: impl Fn(&mut HashMap<String, (Vec<usize>, Vec<f32>)>), source: &str) -> Vec<u8> {
    let golden = golden();
    let shapes = golden["shapes"].as_object().unwrap();
    let mut names: Vec<&String> = shapes.keys().collect();
    names.sort();
    let mut tensors = HashMap::new();
    for (series, name) in names.into_iter().enumerate() {
        let shape: Vec<usize> = serde_json::from_value(shapes[name].clone()).unwrap();
        let count = shape.iter().product();
        let fan_in: usize = shape[1..].iter().product();
        let scaled = |value: f64| match name {
            _ if name.ends_with("conv.weight") => value * (6.0 / fan_in as f64).sqrt(),
            _ if name.ends_with("bn.weight") => 1.0 + 0.3 * value,
            _ if name.ends_with("running_var") => 1.0 + 0.5 * value,
            _ => 0.2 * value,
        };
        let values = uniform(series as u32, count).into_iter().map(|v| scaled(v) as f32).collect();
        tensors.insert(name.clone(), (shape, values));
    }
    change(&mut tensors);
    let views = tensors.iter().map(|(name, (shape, values))| {
        let bytes = bytemuck::cast_slice(values);
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    let keyed = |hash: String| {
        let pairs = [(SOURCE_KEY, source.to_string()), (TENSORS_KEY, hash)];
        Some(HashMap::from(pairs.map(|(key, value)| (key.to_string(), value))))
    };
    let views: Vec<_> = views.collect();
    let bytes = safetensors::serialize(views.clone(), None).unwrap();
    let hash = tensors_sha256(&SafeTensors::deserialize(&bytes).unwrap());
    safetensors::serialize(views, keyed(hash)).unwrap()
}

/// The pixels (N, 3, H, W), from 0 to 255, and their shape.
fn pixels() -> (Vec<f64>, [usize; 4]) {
    let shape: [usize; 4] = serde_json::from_value(golden()["pixels"].clone()).unwrap();
    let values = uniform(1000, shape.iter().product());
    let byte = |value: f64| (127.5 * (1.0 + value)).round_ties_even().clamp(0.0, 255.0);
    (values.into_iter().map(byte).collect(), shape)
}

fn assert_near(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < 1e-4, "feature {index}: {found} instead of {expected}");
    }
}

/// The CPU, and a GPU if there is one.
fn devices() -> impl Iterator<Item = Device> {
    let gpu = ["gpu", "0"].into_iter().find_map(|name| block_on(device::open(name)).ok());
    std::iter::once(device::cpu()).chain(gpu.map(|gpu| gpu.device))
}

#[test]
fn features_are_those_of_pytorch_fid() {
    for device in devices() {
        let inception = Inception::new(&file(|_| {}, ""), &device).unwrap();
        let (pixels, shape) = pixels();
        let x: Vec<f32> = pixels.iter().map(|pixel| (pixel / 127.5 - 1.0) as f32).collect();
        let x: Tensor<4> = Tensor::from_data(TensorData::new(x, shape), &device);
        let features = |x| read_now(inception.features(x).unwrap()).unwrap();
        assert_near(&features(x.clone()), &numbers(&golden()["features"]));
        // A grey image is one of three equal channels.
        let gray = x.narrow(1, 0, 1).repeat_dim(1, 3);
        assert_near(&features(gray), &numbers(&golden()["gray"]));
    }
}

#[test]
fn the_distance_is_that_of_pytorch_fid() {
    let moments = [0, 1].map(|index| {
        let values = uniform(2000 + index, 40 * 6).into_iter();
        let (scale, offset) = (1.0 + f64::from(index) / 2.0, f64::from(index) / 4.0);
        let values: Vec<f32> = values.map(|value| (value * scale + offset) as f32).collect();
        let mut sum = MomentsSum::new(6);
        values.chunks(7 * 6).for_each(|batch| sum.add(batch));
        sum.moments()
    });
    let [a, b] = &moments;
    let expected = golden()["distance"].as_f64().unwrap();
    assert!((frechet_distance(a, b) - expected).abs() < 1e-5);
}

fn weights(bytes: Vec<u8>) -> Result<FidWeights, EvalError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.safetensors");
    crate::files::write_atomically(&path, &bytes).unwrap();
    FidWeights::read(&path)
}

#[test]
fn weights_of_another_file_are_known_as_such() {
    assert!(weights(file(|_| {}, ORIGINAL_SHA256)).unwrap().is_original());
    assert!(!weights(file(|_| {}, "another")).unwrap().is_original());
    // Changed by a tool that keeps the metadata: the last byte is one of a tensor.
    let mut changed = file(|_| {}, ORIGINAL_SHA256);
    *changed.last_mut().unwrap() ^= 1;
    assert!(!weights(changed).unwrap().is_original());
    assert!(
        !weights(safetensors::serialize::<&str, TensorView, _>([], None).unwrap())
            .unwrap()
            .is_original()
    );
    let error = weights(b"no tensors".to_vec()).unwrap_err().to_string();
    assert!(error.contains("it is not a safetensors file"), "{error}");
}

#[test]
fn a_wrong_file_is_refused_before_any_work() {
    type Change = fn(&mut HashMap<String, (Vec<usize>, Vec<f32>)>);
    let refused = |change: Change| {
        let weights = FidWeights {
            path: PathBuf::from("wrong.safetensors"),
            bytes: file(change, ""),
            source_sha256: None,
            is_unchanged: true,
        };
        match FidJudge::new(&weights, [1, 4, 4], &device::cpu()) {
            Err(error) => error.to_string(),
            Ok(_) => unreachable!("the file was taken"),
        }
    };
    let cases: [(Change, &str); 6] = [
        (|_| {}, "it has 128 features instead of 2048"),
        (
            |tensors| drop(tensors.remove("Mixed_6c.branch7x7_2.conv.weight")),
            "the tensor Mixed_6c.branch7x7_2.conv.weight is missing",
        ),
        (
            |tensors| drop(tensors.remove("Mixed_7c.branch1x1.bn.bias")),
            "the tensor Mixed_7c.branch1x1.bn.bias is missing",
        ),
        (
            |tensors| {
                let shape = &mut tensors.get_mut("Mixed_6b.branch7x7_2.conv.weight").unwrap().0;
                shape.swap(2, 3);
            },
            "instead of [channels, 8, 1, 7]",
        ),
        (
            |tensors| {
                let values = &mut tensors.get_mut("Conv2d_1a_3x3.conv.weight").unwrap().1;
                values[0] = f32::NAN;
            },
            "a value of Conv2d_1a_3x3.conv.weight is not finite",
        ),
        (|tensors| tensors.clear(), "Conv2d_1a_3x3.conv.weight is missing"),
    ];
    for (change, expected) in cases {
        let error = refused(change);
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("wrong.safetensors") && error.contains("convert_inception.py"));
    }
}

#[test]
fn points_have_no_fid() {
    let weights = FidWeights {
        path: PathBuf::new(),
        bytes: file(|_| {}, ""),
        source_sha256: None,
        is_unchanged: true,
    };
    for shape in [[2, 1, 1], [2, 8, 8]] {
        let error = FidJudge::new(&weights, shape, &device::cpu()).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("this model has other inputs"), "{error}");
    }
}
