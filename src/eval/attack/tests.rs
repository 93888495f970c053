use burn::tensor::{Tensor, TensorData};

use super::{
    cost_of_attacks,
    refine::{through_denoiser, through_step},
    shown_radius,
};
use crate::{
    config::{BallNorm, RunConfig},
    data::Dataset,
    device,
    energy::{Energy, EnergyGradient, denoised},
    sampler::{ChainState, Sampler},
    streams,
};

const NUM_PIXELS: usize = 3;

fn tensor(values: &[f32]) -> Tensor<4> {
    let shape = [values.len() / NUM_PIXELS, 1, 1, NUM_PIXELS];
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &device::cpu())
}

fn values(x: Tensor<4>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

/// The quadratic energy E(x) = ½ xᵀ A x, with A symmetric.
struct Quadratic([[f32; NUM_PIXELS]; NUM_PIXELS]);

const CURVED: Quadratic = Quadratic([[1.0, 0.3, 0.0], [0.3, 0.5, -0.2], [0.0, -0.2, 2.0]]);

impl Quadratic {
    fn times(&self, v: &[f32]) -> Vec<f32> {
        self.0.iter().map(|row| row.iter().zip(v).map(|(a, v)| a * v).sum()).collect()
    }
}

impl Energy for Quadratic {
    fn gradient(&self, x: Tensor<4>) -> EnergyGradient {
        let x = values(x);
        let gradient: Vec<f32> = x.chunks(NUM_PIXELS).flat_map(|x| self.times(x)).collect();
        let count = x.len() / NUM_PIXELS;
        let energy = Tensor::zeros([count], &device::cpu());
        EnergyGradient { energy, gradient: tensor(&gradient), logits: None }
    }
}

/// The gradient `v` propagated back through a step of `sampler` at `x`, and the numeric derivative of `v · step(x)`.
fn both_ways(sampler: Sampler, x: [f32; NUM_PIXELS], v: [f32; NUM_PIXELS]) -> [Vec<f32>; 2] {
    let noise = streams::DEFENDER.key(3, 0);
    let step = |x: &[f32]| sampler.step(ChainState { x: tensor(x), noise }, &CURVED);
    let (state, info) = step(&x);
    let found = through_step(&sampler, &CURVED, [tensor(&x), info.gradient, state.x], tensor(&v));
    let numeric = (0..NUM_PIXELS).map(|pixel| {
        let moved = |by: f32| {
            let mut x = x;
            x[pixel] += by;
            let after = values(step(&x).0.x);
            after.iter().zip(&v).map(|(a, v)| f64::from(a * v)).sum::<f64>()
        };
        ((moved(1e-2) - moved(-1e-2)) / 2e-2) as f32
    });
    [values(found), numeric.collect()]
}

fn assert_near(found: &[f32], expected: &[f32]) {
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 2e-3, "{found:?} instead of {expected:?}");
    }
}

#[test]
fn the_gradient_through_a_step_is_the_derivative_of_the_step() {
    let (x, v) = ([0.4, -0.3, 0.2], [1.0, -2.0, 0.5]);
    let plain = Sampler::Sgld { step_size: 0.3, noise_std: 0.1 };
    let [found, numeric] = both_ways(plain, x, v);
    assert_near(&found, &numeric);
    // The result by hand: v - α A v.
    let by_hand: Vec<f32> =
        v.iter().zip(CURVED.times(&v)).map(|(v, product)| v - 0.3 * product).collect();
    assert_near(&found, &by_hand);

    // The gradient at x is (0.31, -0.07, 0.46): a radius of 0.35 clamps only the last pixel.
    let clamped = Sampler::ProximalSgld { step_size: 0.3, noise_std: 0.0, proximal_radius: 0.35 };
    let [found, numeric] = both_ways(clamped, x, v);
    assert_near(&found, &numeric);
    let pyld = Sampler::Pyld {
        num_inner_steps: 3,
        inner_step_size: 0.1,
        noise_std: 0.0,
        proximal_radius: 0.35,
    };
    assert_near(&both_ways(pyld, x, v)[0], &found);
    let free = Sampler::ProximalSgld { step_size: 0.3, noise_std: 0.0, proximal_radius: 9.0 };
    assert_ne!(both_ways(free, x, v)[0], found);

    // The second pixel leaves the box and is clamped: its gradient is 0.
    let held = Sampler::ProximalSgld { step_size: -30.0, noise_std: 0.0, proximal_radius: 9.0 };
    let [found, numeric] = both_ways(held, [0.01, -0.5, 0.0], v);
    assert_near(&found, &numeric);
}

/// The numbers are counted by hand in the order in which the attacks run.
#[test]
fn the_cost_of_attacks_counts_every_gradient() {
    let names = vec!["left".to_string(), "right".to_string()];
    let test = Dataset::from_floats(vec![0.0; 2], vec![0], [2, 1, 1], names).unwrap();
    let mut config = RunConfig::default();
    for assignment in [
        "eval.attack=apgd-ce",
        "eval.attack_steps=2",
        "eval.refine_steps=2",
        "eval.refine_draws=1",
        "eval.attack_draws=1",
        "eval.linf_radii=[1]",
        "eval.l2_radii=[0.1]",
    ] {
        config = config.with_assignment(assignment).unwrap();
    }
    let cost = |changes: &[&str]| {
        let set = |config: RunConfig, set: &&str| config.with_assignment(set).unwrap();
        cost_of_attacks(&changes.iter().fold(config.clone(), set), &test).unwrap()
    };
    let said = |count: usize| format!("APGD-CE; at most {count} gradients of one image");
    // Bare: 3 a ball. Unaware: 3 and a prediction of 2, and first a prediction for each norm. Aware: 2 from the bare classifier, 3
    // sights of 3, and the same predictions.
    assert_eq!(cost(&[]), said(2 * 3 + (2 * 5 + 4) + (2 * 13 + 4)));
    // The way back through two steps takes four more for each sight.
    let through = "eval.attack_through_sampler=true";
    let by_steps = 2 * (2 + 3 * 7 + 2) + 4;
    assert_eq!(cost(&[through]), said(6 + 14 + 30 + by_steps));
    // The step that removes the noise is one more gradient of each refinement, and two on the way back.
    let clean = ["data.classify_noisy=false", "sampler.denoise_step=1"];
    assert_eq!(cost(&clean), said(6 + (2 * 6 + 6) + (2 * 17 + 6)));
    let by_steps = 2 * (2 + 3 * (3 + 1 + 6) + 3) + 6;
    assert_eq!(cost(&[clean[0], clean[1], through]), said(6 + 18 + 40 + by_steps));
    // A step of MALA takes two.
    let mala = ["sampler.kind=mala"];
    assert_eq!(cost(&mala), said(6 + (2 * 7 + 8) + (2 * (2 + 3 * 5 + 4) + 8)));
    assert_eq!(cost(&["eval.refine_steps=0"]), said(6));
    // 11 starts in each of two balls, with 10,001 gradients each, are 220,022. A large number is rounded up.
    let many = ["eval.refine_steps=0", "eval.attack_steps=10000", "eval.apgd_restarts=11"];
    assert_eq!(cost(&many), "APGD-CE; at most 0.3 million gradients of one image");
}

#[test]
fn radii_of_points_are_shown_in_units_of_x() {
    for (norm, radius, of_points) in [(BallNorm::Linf, 8.0, 0.0627), (BallNorm::L2, 0.5, 1.0)] {
        assert_eq!(shown_radius(norm, radius, [1, 28, 28]), radius);
        assert_eq!(shown_radius(norm, radius, [2, 1, 1]), of_points);
    }
    assert!(shown_radius(BallNorm::L2, f64::NAN, [2, 1, 1]).is_nan());
}

#[test]
fn nothing_comes_back_from_a_gradient_of_nothing() {
    let sampler = Sampler::Sgld { step_size: 0.3, noise_std: 0.0 };
    assert_eq!(both_ways(sampler, [0.1, 0.2, 0.3], [0.0; 3])[0], [0.0; 3]);
}

#[test]
fn the_gradient_through_the_denoiser_is_its_derivative() {
    let (x, v, step) = ([0.4f32, -0.3, 1.6], [1.0f32, -2.0, 0.5], 0.1);
    let shown = |x: &[f32]| denoised(tensor(x), CURVED.gradient(tensor(x)).gradient, step);
    // The last pixel is beyond the box, and the box holds it.
    assert_eq!(values(shown(&x))[2], 1.0);
    let numeric: Vec<f32> = (0..NUM_PIXELS)
        .map(|pixel| {
            let moved = |by: f32| {
                let mut x = x;
                x[pixel] += by;
                values(shown(&x)).iter().zip(&v).map(|(a, v)| a * v).sum::<f32>()
            };
            (moved(1e-2) - moved(-1e-2)) / 2e-2
        })
        .collect();
    let found = through_denoiser(&CURVED, [tensor(&x), shown(&x)], tensor(&v), step);
    assert_near(&values(found), &numeric);
}
