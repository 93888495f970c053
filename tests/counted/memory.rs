//! What a sampling step holds at its peak, against autodiff with tracked weights by burn's operations.

use std::process::Command;

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use burn_wgpu::Wgpu;
use cubecl::MemoryScope;
use jempp::{
    config::{ModelConfig, Norm, RunConfig},
    data, device,
    energy::{Energy, JointEnergy},
    kernels::{
        ConvOptions2d, EnergyOptions, HeadOptions, Pooling, head_energy, reference_conv2d,
        reference_head_energy,
    },
    memory::Demand,
    model::{Layout, Network, weights_of},
    trainer::Trainer,
};
use pollster::block_on;

use crate::{
    alone,
    common::{gpu, max_abs, scrambled_tensor, values},
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
    // Matrix products pack blocks, whose size their library chooses by the processor: on an Intel Xeon with AVX-512, two cores took
    // 0.4 MiB each that half of the tracked memory does not cover; on an AMD EPYC it does.
    let blocks = 1 << 20;
    assert!(2 * (sampling - blocks) <= tracked, "{sampling} bytes against {tracked}");
}

/// The workloads whose memory is counted: chains, and runs with the whole batch at once or in parts.
const NEEDS: [&str; 4] = ["cnn-base chains", "wrn-16-4 chains", "run", "run in parts"];

/// Does one of [`NEEDS`]; returns the estimate of its memory.
fn need(name: &str) -> u64 {
    let device = device::cpu();
    let config = |settings: &[&str]| {
        let set = |config: RunConfig, set: &&str| config.with_assignment(set).unwrap();
        settings.iter().fold(RunConfig::default(), set)
    };
    let chains = |arch: &str, norm: &str, [n, c, h, w]: [usize; 4]| {
        let config = config(&[&format!("model.arch={arch}"), &format!("model.norm={norm}")]);
        let autodiff = device.clone().autodiff();
        let network = Network::new(&config.model, [c, h, w], 10, 0, &autodiff).unwrap();
        let x = scrambled_tensor([n, c, h, w], 1, &device);
        let gradient = JointEnergy::new(&network).gradient(x.clone()).gradient;
        values(x - gradient);
        Demand::of_chains(&config, [c, h, w], 10, n, &device).unwrap().total()
    };
    let run = |micro_batch: &str| {
        let config = config(&[
            "model.arch=cnn-base",
            "replay_buffer.replay_buffer_size=1000",
            "sampler.num_steps=2",
            "class_centers.max_components=8",
            micro_batch,
        ]);
        let train = data::load(&config.data, 0).unwrap().train;
        let mut trainer = Trainer::new(config, train, &device).unwrap();
        for _ in 0..2 {
            block_on(trainer.step()).unwrap();
        }
        block_on(trainer.checkpoint()).unwrap();
        trainer.demand().total()
    };
    match name {
        "cnn-base chains" => chains("cnn-base", "none", [64, 1, 28, 28]),
        "wrn-16-4 chains" => chains("wrn-16-4", "batch", [8, 3, 32, 32]),
        "run" => run("data.micro_batch=0"),
        _ => run("data.micro_batch=8"),
    }
}

/// Prints the estimate and the peak of the workload that the environment names.
#[test]
#[ignore = "what_chains_and_a_run_need_is_near_its_estimate starts it"]
fn a_need_alone() {
    let name = std::env::var("JEMPP_NEED").unwrap();
    let (estimate, counted) = peak_bytes_of(|| need(&name));
    println!("{estimate} {counted} bytes estimated and counted");
}

#[test]
fn what_chains_and_a_run_need_is_near_its_estimate() {
    // Each in a process of its own, because the CPU back end keeps the buffers of earlier work for the next.
    let found = NEEDS.map(|name| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "memory::a_need_alone"])
            .envs([("RAYON_NUM_THREADS", "2"), ("JEMPP_NEED", name)])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find(|line| line.contains("bytes estimated")).unwrap();
        let mut numbers = line.split(' ').map(|word| word.parse::<f64>());
        let mut next = || numbers.next().unwrap().unwrap();
        let (estimate, counted) = (next(), next());
        println!("{name}: {estimate} bytes estimated, {counted} counted");
        (estimate, counted)
    });
    for (name, (estimate, counted)) in NEEDS.iter().zip(found) {
        let ratio = counted / estimate;
        assert!((0.5..=1.2).contains(&ratio), "{name}: {counted} of {estimate} bytes");
    }
    let [_, _, (_, whole), (_, in_parts)] = found;
    assert!(in_parts < 0.85 * whole, "{in_parts} bytes in parts, {whole} at once");
}

/// The bytes that the tensors of a GPU hold now.
fn bytes_on(device: &Device) -> u64 {
    let client = Tensor::<1>::empty([1], device).try_into_primitive::<Wgpu>().unwrap().client;
    client.memory_report(MemoryScope::Device).usage().bytes_in_use
}

/// The bytes that what `make` returns holds on a GPU, with all that is kept for its backward pass.
fn bytes_held<T>(device: &Device, make: impl Fn() -> T) -> u64 {
    // Whatever is made once in a process is made here.
    drop(make());
    let before = bytes_on(device);
    let held = make();
    let bytes = bytes_on(device) - before;
    drop(held);
    bytes
}

/// What a forward pass with frozen weights keeps on a GPU for the gradient of its input, besides the input itself, as a
/// share of the outputs of all layers.
fn share_kept(arch: &str, norm: Norm, [n, c, h, w]: [usize; 4], device: &Device) -> f64 {
    let config = ModelConfig { arch: arch.into(), norm, ..Default::default() };
    let network = Network::new(&config, [c, h, w], 10, 0, &device.clone().autodiff()).unwrap();
    let frozen = network.no_grad().aside();
    let held = bytes_held(device, || {
        let x = scrambled_tensor([n, c, h, w], 1, device).autodiff().require_grad();
        (x.clone(), frozen.logits(x))
    });
    let kept = held - 4 * (n * c * h * w) as u64;
    let outputs = 4 * n as u64 * Layout::of(&config, [c, h, w], 10).unwrap().num_activations;
    println!("{arch}, norm {norm:?}: {kept} of {outputs} bytes");
    kept as f64 / outputs as f64
}

#[test]
fn a_gpu_keeps_nothing_normalised_for_the_backward_pass() {
    let _alone = alone();
    let Some(device) = gpu() else { return };
    let share = share_kept("wrn-10-2", Norm::Batch, [8, 3, 16, 16], &device);
    assert!(share < 0.6, "{share}");
}

#[test]
fn a_gpu_keeps_one_bit_of_an_activation_while_weights_are_frozen() {
    let _alone = alone();
    let Some(device) = gpu() else { return };
    // The networks of W1 and W3.
    for (arch, shape) in [("cnn-base", [8, 1, 28, 28]), ("wrn-16-4", [2, 3, 32, 32])] {
        let share = share_kept(arch, Norm::None, shape, &device);
        assert!(share < 1.5 / 32.0, "{share} of the outputs of {arch}");
    }
    let head = HeadOptions { pooling: Pooling::Average, negative_slope: 0.2 };
    let options = EnergyOptions { head, labels: None, scale: -1.0 };
    let shape = [8, 8, 8, 64];
    let held = bytes_held(&device, || {
        let x = scrambled_tensor(shape, 1, &device).autodiff().require_grad();
        let weight = scrambled_tensor([64, 10, 1, 1], 2, &device).reshape([64, 10]).autodiff();
        let bias = Tensor::zeros([10], &device).autodiff();
        (x.clone(), head_energy(x.mul_scalar(2.0), weight, bias, options.clone()))
    });
    let values = 4 * shape.iter().product::<usize>() as u64;
    assert!(held < values + values / 8, "{held} bytes for a head of {values}");
}
