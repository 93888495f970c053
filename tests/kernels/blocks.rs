//! Blocks with batch norm as one operation on a GPU, compared with burn's own operations on the CPU, which are fast there.

use crate::common::{
    gpu, max_abs, max_difference, scrambled, scrambled_tensor, tiny_config, tiny_dataset, values,
};
use burn::tensor::{Device, Tensor, activation::leaky_relu};
use jempp::{
    config::{ModelConfig, Norm},
    device,
    kernels::{
        BlockOptions, ConvOptions2d, Features, NormConv, norm_block, reference_batch_norm,
        reference_conv2d,
    },
    model::{HostTensor, Network, weights_of},
    trainer::Trainer,
};
use pollster::block_on;

const TOLERANCE: f32 = 1e-4;
const OPTIONS: BlockOptions = BlockOptions { stride: 1, negative_slope: 0.2, epsilon: 1e-5 };

/// The weights of some blocks in a row, with random values.
struct Weights {
    halves: Vec<[NormConv; 2]>,
    shortcuts: Vec<Option<(Tensor<4>, Tensor<1>)>>,
}

/// The sizes of blocks in a row: inputs, outputs and stride.
type Sizes = &'static [(usize, usize, usize)];

impl Weights {
    fn new(sizes: Sizes, are_tracked: bool, device: &Device) -> Self {
        let mut salt = 10;
        let mut next = || {
            salt += 1;
            salt
        };
        let (mut halves, mut shortcuts) = (Vec::new(), Vec::new());
        for &(inputs, outputs, stride) in sizes {
            let mut half = |inputs, outputs| NormConv {
                gamma: weight([inputs], next(), 1.0, are_tracked, device),
                beta: weight([inputs], next(), 0.0, are_tracked, device),
                weight: weight([3, 3, inputs, outputs], next(), 0.0, are_tracked, device),
                // Outputs that are far from zero.
                bias: weight([outputs], next(), 20.0, are_tracked, device),
            };
            halves.push([half(inputs, outputs), half(outputs, outputs)]);
            shortcuts.push((stride != 1 || inputs != outputs).then(|| {
                let kernel = weight([1, 1, inputs, outputs], next(), 0.0, are_tracked, device);
                (kernel, weight([outputs], next(), 0.0, are_tracked, device))
            }));
        }
        Self { halves, shortcuts }
    }

    /// The gradients of all weights, with their names.
    fn gradients(&self, all: &burn::tensor::Gradients) -> Vec<(String, Option<Vec<f32>>)> {
        let mut found = Vec::new();
        for (block, (halves, shortcut)) in self.halves.iter().zip(&self.shortcuts).enumerate() {
            let mut add = |name: &str, gradient: Option<Vec<f32>>| {
                found.push((format!("{name} of block {block}"), gradient));
            };
            for (nth, half) in halves.iter().enumerate() {
                add(&format!("gamma {nth}"), half.gamma.grad(all).map(values));
                add(&format!("beta {nth}"), half.beta.grad(all).map(values));
                add(&format!("weight {nth}"), half.weight.grad(all).map(values));
                add(&format!("bias {nth}"), half.bias.grad(all).map(values));
            }
            if let Some((weight, bias)) = shortcut {
                add("shortcut", weight.grad(all).map(values));
                add("bias of the shortcut", bias.grad(all).map(values));
            }
        }
        found
    }
}

fn weight<const D: usize>(
    shape: [usize; D],
    salt: u32,
    center: f32,
    is_tracked: bool,
    device: &Device,
) -> Tensor<D> {
    let values = scrambled(shape.iter().product(), salt);
    let values: Vec<f32> = values.into_iter().map(|value| center + value).collect();
    let data = burn::tensor::TensorData::new(values, shape);
    let tensor = Tensor::from_data(data, device).autodiff();
    if is_tracked { tensor.require_grad() } else { tensor }
}

/// A block of burn's operations; its output and the tables of its norms.
fn reference(
    x: Tensor<4>,
    [first, second]: &[NormConv; 2],
    shortcut: &Option<(Tensor<4>, Tensor<1>)>,
    stride: usize,
) -> (Tensor<4>, [Tensor<2>; 2]) {
    let half = |x: Tensor<4>, weights: &NormConv, stride| {
        let NormConv { gamma, beta, weight, bias } = weights.clone();
        let (x, table) = reference_batch_norm(x, gamma, beta, OPTIONS.epsilon);
        let options = ConvOptions2d { stride, negative_slope: None };
        let x = leaky_relu(x, OPTIONS.negative_slope.into());
        (reference_conv2d(x, weight, bias, options), table)
    };
    let (z, table_1) = half(x.clone(), first, 1);
    let (z, table_2) = half(z, second, stride);
    let residual = match shortcut.clone() {
        None => x,
        Some((weight, bias)) => {
            reference_conv2d(x, weight, bias, ConvOptions2d { stride, negative_slope: None })
        }
    };
    (z + residual, [table_1, table_2])
}

/// All results of blocks in a row with batch norm at their end, and the gradients of Σ result · direction, with names.
fn passes(
    sizes: Sizes,
    [n, h, w]: [usize; 3],
    are_tracked: bool,
    is_fused: bool,
    device: &Device,
) -> Vec<(String, Option<Vec<f32>>)> {
    let weights = Weights::new(sizes, are_tracked, device);
    let channels = sizes[0].0;
    // Channels that are far from zero, next to how far they spread.
    let centers = scrambled_tensor([1, 1, 1, channels], 2, device) * 30.0;
    let x = (scrambled_tensor([n, h, w, channels], 1, device) + centers).autodiff().require_grad();
    let outputs = sizes[sizes.len() - 1].1;
    let gamma = weight([outputs], 3, 1.0, are_tracked, device);
    let beta = weight([outputs], 4, 0.0, are_tracked, device);
    let mut found = Vec::new();
    let mut see = |name: &str, tensor: Tensor<2>| {
        found.push((name.to_string(), Some(values(tensor.without_autodiff()))));
    };
    let blocks = weights.halves.iter().zip(&weights.shortcuts).zip(sizes);
    let y = if is_fused {
        assert!(Features::can_be(&x));
        let mut features = Features::new(x.clone());
        for (([first, second], shortcut), &(_, _, stride)) in blocks {
            let (first, second) = (first.clone(), second.clone());
            let options = BlockOptions { stride, ..OPTIONS };
            let (next, tables) = norm_block(features, first, second, shortcut.clone(), options);
            tables.into_iter().for_each(|table| see("table in a block", table));
            features = next;
        }
        let (y, table) = features.normalised(gamma.clone(), beta.clone(), OPTIONS.epsilon);
        see("last table", table);
        y
    } else {
        let mut z = x.clone();
        for ((halves, shortcut), &(_, _, stride)) in blocks {
            let (next, tables) = reference(z, halves, shortcut, stride);
            tables.into_iter().for_each(|table| see("table in a block", table));
            z = next;
        }
        let (y, table) = reference_batch_norm(z, gamma.clone(), beta.clone(), OPTIONS.epsilon);
        see("last table", table);
        y
    };
    let direction = scrambled_tensor(y.dims(), 5, device).autodiff();
    let gradients = (y.clone() * direction).sum().backward();
    found.push(("output".into(), Some(values(y.without_autodiff()))));
    found.push(("gradient of x".into(), x.grad(&gradients).map(values)));
    found.push(("last gamma".into(), gamma.grad(&gradients).map(values)));
    found.push(("last beta".into(), beta.grad(&gradients).map(values)));
    found.extend(weights.gradients(&gradients));
    found
}

/// Blocks with and without a convolution as shortcut, with both strides, with channels that no tile divides, and in a row.
const BLOCKS: [(Sizes, [usize; 3]); 6] = [
    (&[(1, 1, 1)], [3, 5, 4]),
    (&[(10, 10, 1)], [2, 7, 6]),
    (&[(3, 10, 2)], [2, 9, 5]),
    (&[(16, 16, 1), (16, 16, 1)], [3, 6, 6]),
    (&[(8, 20, 1), (20, 20, 1), (20, 36, 2)], [2, 11, 7]),
    (&[(4, 68, 2)], [5, 16, 16]),
];

#[test]
fn every_pass_of_blocks_equals_burns_operations() {
    let Some(device) = gpu() else { return };
    for (sizes, images) in BLOCKS {
        let found = passes(sizes, images, true, true, &device);
        let expected = passes(sizes, images, true, false, &device::cpu());
        assert_eq!(found.len(), expected.len());
        for ((name, found), (_, expected)) in found.iter().zip(&expected) {
            let (found, expected) = (found.as_ref().unwrap(), expected.as_ref().unwrap());
            // The bias in front of a norm has no effect: its gradient is nothing but rounding.
            let scale = max_abs(expected).max(1.0);
            let error = max_difference(found, expected) / scale;
            assert!(error < TOLERANCE, "{name} off by {error}: {sizes:?} of {images:?}");
        }
    }
}

#[test]
fn frozen_weights_leave_the_input_gradient_of_blocks_as_it_is() {
    let Some(device) = gpu() else { return };
    for (sizes, images) in BLOCKS {
        let found = passes(sizes, images, false, true, &device);
        let expected = passes(sizes, images, true, true, &device);
        for ((name, found), (_, expected)) in found.iter().zip(&expected) {
            match name.starts_with("table") || name == "last table" || name == "output" {
                true => assert_eq!(found, expected, "{name}"),
                false if name == "gradient of x" => assert_eq!(found, expected),
                false => assert!(found.is_none(), "{name} has a gradient"),
            }
        }
    }
}

fn network(norm: Norm, device: &Device) -> Network {
    let config = ModelConfig { arch: "wrn-10-1".into(), norm, ..ModelConfig::default() };
    Network::new(&config, [1, 8, 8], 3, 1, &device.clone().autodiff()).unwrap()
}

fn statistics(network: &Network) -> Vec<(String, HostTensor)> {
    let all = block_on(weights_of(network)).unwrap();
    let mut found: Vec<_> = all.into_iter().filter(|(name, _)| name.contains("running")).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn a_pass_aside_does_not_change_the_running_statistics() {
    for device in crate::common::devices() {
        let network = network(Norm::Batch, &device);
        let before = statistics(&network);
        let x = scrambled_tensor([4, 1, 8, 8], 1, &device).autodiff();
        let pass = |network: &Network| values(network.logits(x.clone()).without_autodiff());
        let aside = pass(&network.aside());
        assert_eq!(statistics(&network), before);
        assert_eq!(pass(&network), aside, "the same logits");
        let after = statistics(&network);
        assert!(before.iter().zip(&after).all(|(before, after)| before.1 != after.1));
    }
}

#[test]
fn training_with_batch_norm_on_a_gpu_equals_that_on_the_cpu() {
    let Some(device) = gpu() else { return };
    let config = tiny_config().with_toml("model = { arch = 'wrn-10-1', norm = 'batch' }").unwrap();
    let after = |device: &Device| {
        let mut trainer = Trainer::new(config.clone(), tiny_dataset(32), device).unwrap();
        let report = block_on(trainer.step()).unwrap();
        (report, statistics(trainer.network()), block_on(weights_of(trainer.network())).unwrap())
    };
    let (found, expected) = (after(&device), after(&device::cpu()));
    let difference = (found.0.loss - expected.0.loss).abs();
    assert!(
        difference < 1e-4 * (1.0 + expected.0.loss.abs()),
        "{} {}",
        found.0.loss,
        expected.0.loss
    );
    for ((name, found), (_, expected)) in found.1.iter().zip(&expected.1) {
        let error = max_difference(&found.values, &expected.values);
        assert!(error < 1e-4 * max_abs(&expected.values).max(1.0), "{name} off by {error}");
    }
}
