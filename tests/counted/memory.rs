//! What a sampling step holds at its peak, against autodiff with tracked weights by burn's operations.

use burn::tensor::{Device, Tensor};
use jempp::{
    config::{ModelConfig, RunConfig},
    data, device,
    energy::{Energy, JointEnergy},
    kernels::{
        ConvOptions2d, EnergyOptions, HeadOptions, Pooling, reference_conv2d, reference_head_energy,
    },
    memory::Demand,
    model::{Network, weights_of},
    trainer::Trainer,
};
use pollster::block_on;

use crate::{
    alone,
    common::{max_abs, scrambled_tensor, values},
    guard::peak_bytes_of,
};

/// The gradient of the energy of `cnn-base` with everything tracked.
fn by_burn(network: &Network, x: Tensor<4>, device: &Device) -> Tensor<4> {
    let weights = block_on(weights_of(network)).unwrap();
    let load = |name: &str| {
        let found = weights.iter().find(|(key, _)| key.ends_with(name)).unwrap().1;
        let data = burn::tensor::TensorData::new(found.values.clone(), found.shape.clone());
        (data, device.clone().autodiff())
    };
    let x = x.autodiff().require_grad();
    let mut z = x.clone().permute([0, 2, 3, 1]);
    for (index, stride) in [1, 1, 2, 1, 2, 1].into_iter().enumerate() {
        let (weight, device) = load(&format!("convs.{index}.weight"));
        let weight = Tensor::<4>::from_data(weight, &device).require_grad();
        let (bias, device) = load(&format!("convs.{index}.bias"));
        let bias = Tensor::<1>::from_data(bias, &device).require_grad();
        let negative_slope = (index > 0).then_some(0.2);
        z = reference_conv2d(z, weight, bias, ConvOptions2d { stride, negative_slope });
    }
    let (weight, device) = load("classifier.weight");
    let weight = Tensor::<2>::from_data(weight, &device).require_grad();
    let (bias, device) = load("classifier.bias");
    let bias = Tensor::<1>::from_data(bias, &device).require_grad();
    let head = HeadOptions { pooling: Pooling::Average, negative_slope: 0.2 };
    let options = EnergyOptions { head, labels: None, scale: -1.0 };
    let energy = reference_head_energy(z, weight, bias, options);
    x.grad(&energy.sum().backward()).unwrap()
}

#[test]
fn a_sampling_step_holds_at_most_half_of_what_tracked_weights_hold() {
    let _alone = alone();
    let device = device::cpu();
    let config = ModelConfig { arch: "cnn-base".into(), ..ModelConfig::default() };
    let network = Network::new(&config, [1, 28, 28], 10, 0, &device.clone().autodiff()).unwrap();
    let energy = JointEnergy::new(&network);
    let x = || scrambled_tensor([64, 1, 28, 28], 1, &device);
    // Whatever is made once in a process is made here.
    let small = scrambled_tensor([1, 1, 28, 28], 1, &device);
    energy.gradient(small.clone());
    by_burn(&network, small, &device);
    // Each core has scratch of its own: the test is about two.
    let cores = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let (found, sampling) = cores.install(|| peak_bytes_of(|| energy.gradient(x()).gradient));
    let (expected, tracked) = cores.install(|| peak_bytes_of(|| by_burn(&network, x(), &device)));
    let (found, expected) = (values(found), values(expected));
    // An activation that rounding puts on the other side of zero changes the gradient around it.
    let tolerance = 1e-4 * max_abs(&expected);
    let far = found.iter().zip(&expected).filter(|(a, b)| (*a - *b).abs() > tolerance).count();
    assert!(100 * far < found.len(), "{far} of {} differ", found.len());
    println!("sampling {} KiB, tracked {} KiB", sampling >> 10, tracked >> 10);
    assert!(2 * sampling <= tracked, "{sampling} bytes against {tracked}");
}

/// Fails unless an estimate is near what was counted.
fn near(what: &str, estimate: u64, counted: usize) {
    let ratio = counted as f64 / estimate as f64;
    println!("{what}: {} KiB estimated, {} KiB counted: {ratio:.2}", estimate >> 10, counted >> 10);
    assert!((0.5..=1.2).contains(&ratio), "{what}: {estimate} bytes estimated, {counted} counted");
}

#[test]
fn what_chains_and_a_run_need_is_near_its_estimate() {
    let _alone = alone();
    let device = device::cpu();
    let cores = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let config = |settings: &[&str]| {
        settings
            .iter()
            .fold(RunConfig::default(), |config, set| config.with_assignment(set).unwrap())
    };
    for (arch, norm, shape, num_chains) in
        [("cnn-base", "none", [1, 28, 28], 64), ("wrn-16-4", "batch", [3, 32, 32], 8)]
    {
        let config = config(&[&format!("model.arch={arch}"), &format!("model.norm={norm}")]);
        let demand = Demand::of_chains(&config, shape, 10, num_chains, &device).unwrap();
        let sample = |num_chains: usize| {
            let autodiff = device.clone().autodiff();
            let network = Network::new(&config.model, shape, 10, 0, &autodiff).unwrap();
            let [c, h, w] = shape;
            let x = scrambled_tensor([num_chains, c, h, w], 1, &device);
            let gradient = JointEnergy::new(&network).gradient(x.clone()).gradient;
            values(x - gradient)
        };
        // Whatever is made once in a process is made here.
        sample(1);
        let (_, counted) = cores.install(|| peak_bytes_of(|| sample(num_chains)));
        near(arch, demand.total(), counted);
    }

    let run = |micro_batch: &str| {
        let config = config(&[
            "model.arch=cnn-base",
            "replay_buffer.replay_buffer_size=1000",
            "sampler.num_steps=2",
            "class_centers.max_components=8",
            micro_batch,
        ]);
        let train = data::load(&config.data, 0).unwrap().train;
        let work = || {
            let mut trainer = Trainer::new(config.clone(), train.clone(), &device).unwrap();
            block_on(trainer.step()).unwrap();
            block_on(trainer.step()).unwrap();
            let checkpoint = block_on(trainer.checkpoint()).unwrap();
            drop(checkpoint);
            trainer.demand().total()
        };
        cores.install(|| peak_bytes_of(work))
    };
    let (estimate, whole) = run("data.micro_batch=0");
    near("a run", estimate, whole);
    let (estimate, in_parts) = run("data.micro_batch=8");
    near("a run in parts of 8", estimate, in_parts);
    assert!(10 * in_parts < 7 * whole, "{in_parts} bytes in parts, {whole} at once");
}
