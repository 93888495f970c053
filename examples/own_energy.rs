//! Samples from a custom energy with the crate's samplers: a ring of radius 0.5 in the plane, as a formula that burn
//! differentiates. At temperature 1 (σ = √(2α)), SGLD has a small bias, which the accept step of MALA removes.
//!
//!     cargo run --release --example own_energy
//!
//! ```text
//! Sgld { step_size: 0.004, noise_std: 0.08944272 }: radius 0.520 ± 0.111 (exactly 0.520 ± 0.098)
//! Mala { step_size: 0.004, noise_std: 0.08944272 }: radius 0.519 ± 0.099 (exactly 0.520 ± 0.098)
//! accepted in the last step: 94 %
//! ```
use jempp::{ChainState, ComputeDevice, EnergyFn, Sampler, burn::tensor::Tensor};

const RADIUS: f32 = 0.5;
const WIDTH: f32 = 0.1;
const CHAINS: usize = 2000;

fn radii(x: Tensor<4>) -> Tensor<1> {
    x.square().reshape([CHAINS, 2]).sum_dim(1).squeeze_dim::<1>(1).sqrt()
}

fn main() -> Result<(), jempp::Error> {
    // E(x) = (|x| - 0.5)² / (2 · 0.1²), one energy per chain.
    let ring = EnergyFn::new(|x: Tensor<4>| {
        radii(x).sub_scalar(RADIUS).square().div_scalar(2.0 * WIDTH * WIDTH)
    });

    let device = ComputeDevice::open("cpu")?.device;
    let step_size = 0.004;
    let noise_std = (2.0f32 * step_size).sqrt();
    for sampler in [Sampler::Sgld { step_size, noise_std }, Sampler::Mala { step_size, noise_std }]
    {
        let starts = Tensor::full([CHAINS, 2, 1, 1], 0.2, &device);
        let (state, steps) = sampler.run(ChainState::new(starts, 0), &ring, 500);

        let radii = radii(state.x);
        let mean: f32 = radii.clone().mean().into_scalar();
        let deviation: f32 = radii.sub_scalar(mean).square().mean().sqrt().into_scalar();
        println!("{sampler:?}: radius {mean:.3} ± {deviation:.3} (exactly 0.520 ± 0.098)");
        let accepted = steps.last().and_then(|step| step.acceptance.clone());
        if let Some(accepted) = accepted {
            let rate: f32 = accepted.narrow(1, 0, 1).mean().into_scalar();
            println!("accepted in the last step: {:.0} %", 100.0 * rate);
        }
    }
    Ok(())
}
