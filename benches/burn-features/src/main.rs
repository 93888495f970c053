//! Times an energy gradient of the layers of `cnn-small` with fixed weights, with the burn features of this build.
//!
//! `burn-features cpu|gpu BATCH SIZE`: images SIZE×SIZE on a software (`cpu`) or discrete (`gpu`) adapter.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use burn::{
    module::Module,
    nn::{
        LinearConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{
        Device, DeviceKind, Distribution, Tensor,
        activation::{leaky_relu, softmax},
    },
};
use cubecl::logging::{LaunchObservation, LaunchObserver};

struct Counter(AtomicUsize);

impl LaunchObserver for Counter {
    fn launched(&self, _kernel: &'static str) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, kind, batch, size] = &arguments[..] else { panic!("burn-features cpu|gpu BATCH SIZE") };
    let kind = if kind == "cpu" { DeviceKind::Cpu } else { DeviceKind::DiscreteGpu(0) };
    let (batch, size): (usize, usize) = (batch.parse().unwrap(), size.parse().unwrap());
    let device = Device::wgpu(kind);

    let plan = [(1, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1)];
    let convs: Vec<Conv2d> = plan
        .iter()
        .map(|&(inputs, outputs, stride)| {
            Conv2dConfig::new([inputs, outputs], [3, 3])
                .with_stride([stride, stride])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(&device)
                .no_grad()
        })
        .collect();
    let last = size.div_ceil(4);
    let classifier = LinearConfig::new(64 * last * last, 10).init(&device).no_grad();
    let x = Tensor::<4>::random([batch, 1, size, size], Distribution::Uniform(-1.0, 1.0), &device);

    let gradient = || {
        let leaf = x.clone().autodiff().require_grad();
        let z = convs.iter().fold(leaf.clone(), |z, conv| leaky_relu(conv.forward(z), 0.2));
        let logits: Tensor<2> = classifier.forward(z.flatten(1, 3));
        let seed = softmax(logits.clone().without_autodiff(), 1).neg();
        let mut gradients = (logits * seed.autodiff()).sum().backward();
        let gradient = leaf.grad_remove(&mut gradients).expect("x is a leaf");
        // The proximal update without noise, as elementwise work that burn may fuse.
        let next = (x.clone() - gradient.clamp(-1.0, 1.0)).clamp(-1.0, 1.0);
        let _ = device.sync();
        drop(next);
    };
    let begin = Instant::now();
    gradient();
    let first = begin.elapsed().as_secs_f64();
    let mut times: Vec<f64> = (0..15)
        .map(|_| {
            let begin = Instant::now();
            gradient();
            begin.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    let observation = LaunchObservation::new(counter.clone());
    gradient();
    drop(observation);
    println!(
        "autotune {}, fusion {}: first step {first:.1} s, then {:.1} ms (median of 15; {:.1} to {:.1}), {} launches",
        cfg!(feature = "autotune"),
        cfg!(feature = "fusion"),
        times[7],
        times[0],
        times[14],
        counter.0.load(Ordering::Relaxed),
    );
}
