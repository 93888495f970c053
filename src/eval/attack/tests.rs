use burn::tensor::{Tensor, TensorData};

use super::{
    pgd::{Ball, ascend},
    refine::through_step,
};
use crate::{
    device,
    energy::{Energy, EnergyGradient},
    eval::results::BallNorm,
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

#[test]
fn nothing_comes_back_from_a_gradient_of_nothing() {
    let sampler = Sampler::Sgld { step_size: 0.3, noise_std: 0.0 };
    assert_eq!(both_ways(sampler, [0.1, 0.2, 0.3], [0.0; 3])[0], [0.0; 3]);
}

#[test]
fn attacks_climb_within_the_ball_and_the_box() {
    // The loss is a weighted sum of the pixels; pixel 0 of the second image starts at the edge of the box.
    let images = [0.0, 0.5, -0.2, 1.0, -0.9, 0.0];
    let center = tensor(&images);
    let labels = crate::kernels::index_tensor(&[0, 0], &device::cpu());
    let slope = |x: &Tensor<4>, _| {
        let signs = tensor(&[1.0, -1.0, 0.2, 1.0, -1.0, 0.2]);
        (x.clone().zeros_like() + signs, None)
    };
    for (norm, epsilon) in [(BallNorm::Linf, 25.5), (BallNorm::L2, 0.25)] {
        let ball = Ball::new(norm, epsilon);
        let mut random = streams::ATTACK_STARTS.rng(1, 0);
        let offsets = ball.draw(2, NUM_PIXELS, &mut random);
        let length = |row: &[f32]| row.iter().map(|v| v * v).sum::<f32>().sqrt();
        for row in offsets.chunks(NUM_PIXELS) {
            match norm {
                BallNorm::Linf => assert!(row.iter().all(|v| v.abs() <= 0.2)),
                BallNorm::L2 => assert!(length(row) <= 0.5001),
            }
        }
        let x =
            values(ascend(&slope, &ball, &center, center.clone() + tensor(&offsets), &labels, 20));
        assert!(x.iter().all(|value| value.abs() <= 1.0));
        let moved: Vec<f32> = x.iter().zip(&images).map(|(x, image)| x - image).collect();
        match norm {
            // A tenth of the pixel range on either side is 0.2 in x; the box limits the other pixels.
            BallNorm::Linf => assert_near(&moved, &[0.2, -0.2, 0.2, 0.0, -0.1, 0.2]),
            BallNorm::L2 => {
                // On a sphere, convergence is slow near the end.
                let climbed = moved[0] - moved[1] + 0.2 * moved[2];
                assert!(climbed > 0.97 * 0.5 * 2.04f32.sqrt(), "{moved:?}");
                assert!(length(&moved[..3]) <= 0.5001, "{moved:?}");
                assert!(length(&moved[3..]) <= 0.5001, "{moved:?}");
            }
        }
    }
}

#[test]
fn images_that_are_fooled_stay_as_they_are() {
    let center = tensor(&[0.0; 6]);
    let labels = crate::kernels::index_tensor(&[0, 0], &device::cpu());
    // The first image is always predicted as class 1, the second as class 0.
    let slope = |x: &Tensor<4>, _| {
        let seen = TensorData::new(vec![0.1f32, 0.9, 0.9, 0.1], [2, 2]);
        (x.clone().ones_like(), Some(Tensor::from_data(seen, &device::cpu())))
    };
    let ball = Ball::new(BallNorm::Linf, 12.75);
    let x = values(ascend(&slope, &ball, &center, center.clone(), &labels, 4));
    assert_near(&x, &[0.0, 0.0, 0.0, 0.1, 0.1, 0.1]);
}
