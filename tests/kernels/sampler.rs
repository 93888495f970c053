//! The properties of the samplers.

use crate::common::{gpu, max_difference, scrambled_tensor, values};
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{DType, Device, Tensor, TensorData},
};
use jempp::{
    config::{ModelConfig, Norm, RunConfig},
    device,
    energy::{Energy, EnergyGradient, JointEnergy, SplitGradient, denoised},
    kernels,
    model::{Network, weights_of},
    sampler::{ChainState, Sampler, inverse_temperature},
    streams,
};
use jempp_cpu::reference::NoiseKey;
use pollster::block_on;

const KEY: NoiseKey = NoiseKey { seed: 3, stream: 0, step: 0, first_chain: 0 };

fn network(arch: &str, norm: Norm, split: usize, shape: [usize; 3]) -> Network {
    let config = ModelConfig { arch: arch.into(), norm, split, ..ModelConfig::default() };
    Network::new(&config, shape, 3, 11, &device::cpu()).unwrap()
}

/// The quadratic energy `E(x) = stiffness · ‖x‖² / 2`.
struct Quadratic {
    stiffness: f32,
}

impl Energy for Quadratic {
    fn gradient(&self, x: Tensor<4>) -> EnergyGradient {
        let [n, c, h, w] = x.dims();
        let energy = x.clone().square().reshape([n, c * h * w]).sum_dim(1).squeeze_dim::<1>(1);
        EnergyGradient {
            energy: energy.mul_scalar(self.stiffness / 2.0),
            gradient: x.mul_scalar(self.stiffness),
            logits: None,
        }
    }
}

#[test]
fn a_denoised_chain_is_the_mean_of_what_it_may_come_from() {
    // Pixels from N(m, τ²) with noise s are N(m, τ² + s²), and the mean of the pixel given its noisy value is known.
    let (mean, spread, noise) = (0.2, 0.3f64, 0.4f64);
    let (temperature, total) = (0.01, spread.powi(2) + noise.powi(2));
    let step = noise.powi(2) / temperature;
    let x: Vec<f32> = (0..32).map(|index| index as f32 / 8.0 - 2.0).collect();
    let x = Tensor::<4>::from_data(TensorData::new(x, [2, 1, 4, 4]), &device::cpu());
    let gradient = (x.clone() - mean) * (temperature / total);
    let found = values(denoised(x.clone(), gradient, step));
    for (found, x) in found.iter().zip(values(x)) {
        let expected = (spread.powi(2) * f64::from(x) + noise.powi(2) * mean) / total;
        let expected = expected.clamp(-1.0, 1.0);
        assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} for {x}, not {expected}");
    }
}

/// An energy that hides that its first layer is affine, so that the inner loop really runs.
struct TrueInnerLoop(JointEnergy);

impl Energy for TrueInnerLoop {
    fn gradient(&self, x: Tensor<4>) -> EnergyGradient {
        self.0.gradient(x)
    }
    fn first_layer_is_affine(&self) -> bool {
        false
    }
    fn split_gradient(&self, x: Tensor<4>) -> SplitGradient {
        self.0.split_gradient(x)
    }
    fn pull_back(&self, x: Tensor<4>, output_gradient: Tensor<4>) -> Tensor<4> {
        self.0.pull_back(x, output_gradient)
    }
}

fn run(sampler: Sampler, x: Tensor<4>, energy: &dyn Energy, steps: usize) -> Vec<f32> {
    values(sampler.run(ChainState { x, noise: KEY }, energy, steps).0.x)
}

fn pyld(num_inner_steps: usize, inner_step_size: f32, radius: f32) -> Sampler {
    Sampler::Pyld { num_inner_steps, inner_step_size, noise_std: 0.0, proximal_radius: radius }
}

/// Converts a network's numbers to `f64`, so that a central difference has ten correct digits.
struct InDoublePrecision;

impl ModuleMapper for InDoublePrecision {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        Param::from_mapped_value(id, tensor.cast(DType::F64), mapper)
    }
}

#[test]
fn energy_gradient_equals_finite_differences() {
    let cases = [
        ("cnn-small", Norm::None, [1, 8, 8]),
        ("wrn-10-1", Norm::None, [3, 8, 8]),
        ("wrn-10-1", Norm::Group, [3, 8, 8]),
        ("wrn-10-1", Norm::Batch, [3, 8, 8]),
        ("mlp", Norm::None, [2, 1, 1]),
    ];
    for (arch, norm, [c, h, w]) in cases {
        let network = network(arch, norm, 1, [c, h, w]).map(&mut InDoublePrecision);
        let double = |values: &[f64]| {
            Tensor::<4>::from_data(
                TensorData::new(values.to_vec(), [2, c, h, w]),
                (&device::cpu(), DType::F64),
            )
        };
        let doubles = |values: TensorData| values.try_into_vec::<f64>().unwrap();
        for energy in [JointEnergy::new(&network), JointEnergy::for_labels(&network, vec![2, 0])] {
            let x: Vec<f64> =
                crate::common::scrambled(2 * c * h * w, 5).into_iter().map(f64::from).collect();
            let gradient = doubles(energy.gradient(double(&x)).gradient.into_data());
            let total = |x: &[f64]| -> f64 {
                doubles(energy.gradient(double(x)).energy.into_data()).iter().sum()
            };
            for salt in 0..4 {
                let direction: Vec<f64> = crate::common::scrambled(x.len(), 30 + salt)
                    .into_iter()
                    .map(f64::from)
                    .collect();
                let shifted = |t: f64| -> Vec<f64> {
                    x.iter().zip(&direction).map(|(x, d)| x + t * d).collect()
                };
                let analytic: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
                // A kink of LeakyReLU between the two points changes the difference, but hardly at both distances; a
                // wrong gradient is wrong at both.
                let error = |t: f64| {
                    let numeric = (total(&shifted(t)) - total(&shifted(-t))) / (2.0 * t);
                    (numeric - analytic).abs() / analytic.abs().max(1e-3)
                };
                let relative = error(1e-6).min(error(1e-7));
                assert!(relative < 1e-6, "{arch} {norm:?}: off by {relative:.1e} of {analytic}");
            }
        }
    }
}

#[test]
fn pyld_with_affine_first_layer_equals_one_long_step() {
    for (arch, shape) in [("cnn-small", [1, 8, 8]), ("wrn-10-1", [3, 8, 8]), ("mlp", [2, 1, 1])] {
        let energy = JointEnergy::new(&network(arch, Norm::None, 1, shape));
        let [c, h, w] = shape;
        let x = scrambled_tensor([4, c, h, w], 1, &device::cpu());
        // A radius that clamps some components, and a step that reaches the box.
        let radius = 0.01;
        let (long, steps) = (20.0, 3);
        let proximal = Sampler::ProximalSgld {
            step_size: 5.0 * long,
            noise_std: 0.0,
            proximal_radius: radius,
        };
        let expected = run(proximal, x.clone(), &energy, steps);
        let collapsed = run(pyld(5, long, radius), x.clone(), &energy, steps);
        assert_eq!(collapsed, expected, "{arch}: the collapsed form is that very step");
        let looped = run(pyld(5, long, radius), x.clone(), &TrueInnerLoop(energy), steps);
        assert!(max_difference(&looped, &expected) < 1e-4, "{arch}");
        assert!(max_difference(&expected, &values(x)) > 0.1, "{arch}: the chains moved");
    }
}

#[test]
fn pyld_with_a_non_linear_first_layer_is_a_method_of_its_own() {
    let x = scrambled_tensor([4, 1, 8, 8], 1, &device::cpu());
    let long = Sampler::ProximalSgld { step_size: 2.0, noise_std: 0.0, proximal_radius: 1.0 };
    let affine = JointEnergy::new(&network("cnn-small", Norm::None, 1, [1, 8, 8]));
    let expected = run(long, x.clone(), &affine, 4);
    for split in [2, 3, 5] {
        let energy = JointEnergy::new(&network("cnn-small", Norm::None, split, [1, 8, 8]));
        assert!(!energy.first_layer_is_affine());
        let got = run(pyld(5, 0.4, 1.0), x.clone(), &energy, 4);
        assert!(max_difference(&got, &expected) > 1e-4, "split {split}");
        // With one inner step, nothing is reused and the split does not matter.
        let got = run(pyld(1, 2.0, 1.0), x.clone(), &energy, 4);
        assert!(max_difference(&got, &expected) < 1e-5, "split {split}, one inner step");
    }
}

#[test]
fn the_split_changes_no_logit_and_no_gradient() {
    for (arch, pieces, shape) in [("cnn-small", 5, [1, 8, 8]), ("wrn-16-1", 7, [3, 8, 8])] {
        let [c, h, w] = shape;
        let x = scrambled_tensor([2, c, h, w], 4, &device::cpu());
        let whole = JointEnergy::new(&network(arch, Norm::None, 1, shape)).gradient(x.clone());
        for split in 1..=pieces {
            let energy = JointEnergy::new(&network(arch, Norm::None, split, shape));
            let SplitGradient { energy, gradient, .. } = energy.split_gradient(x.clone());
            assert!(max_difference(&values(energy), &values(whole.energy.clone())) < 1e-5);
            assert!(max_difference(&values(gradient), &values(whole.gradient.clone())) < 1e-5);
        }
    }
}

#[test]
fn chain_stays_in_box() {
    let energy = Quadratic { stiffness: -4.0 };
    let x = scrambled_tensor([3, 1, 4, 4], 2, &device::cpu());
    for sampler in [
        Sampler::ProximalSgld { step_size: 1.0, noise_std: 0.5, proximal_radius: 1.0 },
        Sampler::Pyld {
            num_inner_steps: 3,
            inner_step_size: 1.0,
            noise_std: 0.5,
            proximal_radius: 9.0,
        },
        Sampler::NormalizedGradient { step_size: 1.0, noise_std: 0.5 },
    ] {
        let x = run(sampler, x.clone(), &energy, 20);
        assert!(x.iter().all(|value| value.abs() <= 1.0));
        assert!(x.iter().any(|value| value.abs() == 1.0), "the box was reached");
    }
    let sgld = Sampler::Sgld { step_size: 1.0, noise_std: 0.5 };
    assert!(run(sgld, x, &energy, 20).iter().any(|value| value.abs() > 1.0), "SGLD has no box");
}

#[test]
fn a_normalised_step_has_the_same_length_on_every_slope() {
    let chains = [[0.6f32, 0.0, -0.2, 0.1], [0.001, 0.002, 0.0, 0.0], [0.0; 4]];
    let data = TensorData::new(chains.concat(), [3, 1, 2, 2]);
    for device in crate::common::devices() {
        for stiffness in [0.01, 1.0, 100.0] {
            let sampler = Sampler::NormalizedGradient { step_size: 0.25, noise_std: 0.0 };
            let x = Tensor::<4>::from_data(data.clone(), &device);
            let moved = run(sampler, x, &Quadratic { stiffness }, 1);
            for (moved, from) in moved.chunks(4).zip(chains) {
                let norm = from.iter().map(|v| v * v).sum::<f32>().sqrt();
                for (moved, from) in moved.iter().zip(from) {
                    // Towards the minimum at 0; a chain without a slope stays.
                    let expected = if norm == 0.0 { 0.0 } else { from - 0.25 * from / norm };
                    assert!((moved - expected).abs() < 1e-6, "{moved} {expected} {stiffness}");
                }
            }
        }
    }
}

#[test]
fn a_chain_counts_its_steps_in_one_word_of_its_noise() {
    let first = streams::training_chain(7, 5, 2).unwrap();
    let energy = Quadratic { stiffness: 1.0 };
    for sampler in [
        Sampler::Sgld { step_size: 0.1, noise_std: 0.1 },
        Sampler::ProximalSgld { step_size: 0.1, noise_std: 0.1, proximal_radius: 1.0 },
        Sampler::Pyld {
            num_inner_steps: 3,
            inner_step_size: 0.1,
            noise_std: 0.1,
            proximal_radius: 1.0,
        },
        Sampler::NormalizedGradient { step_size: 0.1, noise_std: 0.1 },
        Sampler::Mala { step_size: 0.1, noise_std: 0.1 },
    ] {
        let x = Tensor::zeros([2, 1, 2, 2], &device::cpu());
        let (state, _) = sampler.run(ChainState { x, noise: first }, &energy, 9);
        assert_eq!(state.noise, NoiseKey { step: first.step + 9, ..first }, "{sampler:?}");
    }
}

#[test]
fn quadratic_energy_has_the_predicted_variance() {
    // x ← (1 - αk) x + σξ is stationary with variance σ² / (1 - (1 - αk)²).
    let (stiffness, step_size, noise_std) = (2.0f32, 0.25f32, 0.1f32);
    let sampler = Sampler::Sgld { step_size, noise_std };
    let x = Tensor::<4>::zeros([100, 1, 20, 20], &device::cpu());
    let x = run(sampler, x, &Quadratic { stiffness }, 40);
    let variance = x.iter().map(|v| f64::from(v * v)).sum::<f64>() / x.len() as f64;
    let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / x.len() as f64;
    let decay = f64::from(1.0 - step_size * stiffness);
    let predicted = f64::from(noise_std).powi(2) / (1.0 - decay * decay);
    // 40,000 independent values: the relative error of a variance is √(2/40,000) = 0.7 %.
    assert!((variance / predicted - 1.0).abs() < 0.03, "{variance} against {predicted}");
    assert!(mean.abs() < 4.0 * (predicted / 40_000.0).sqrt());
    // Small steps sample p^β: the variance is 1/(βk).
    let beta = inverse_temperature(f64::from(step_size), f64::from(noise_std));
    assert!((beta - 50.0).abs() < 1e-5);
}

#[test]
fn mala_has_the_exact_variance_where_sgld_is_biased() {
    // At temperature 1 the distribution is N(0, 1/k); the bias of SGLD at this step size is a third of the variance.
    let (stiffness, step_size) = (2.0f32, 0.25f32);
    let noise_std = (2.0 * step_size).sqrt();
    let variance = |sampler: Sampler| {
        let x = Tensor::<4>::zeros([10_000, 1, 2, 2], &device::cpu());
        let x = run(sampler, x, &Quadratic { stiffness }, 40);
        x.iter().map(|v| f64::from(v * v)).sum::<f64>() / x.len() as f64
    };
    let exact = 1.0 / f64::from(stiffness);
    let mala = variance(Sampler::Mala { step_size, noise_std });
    assert!((mala / exact - 1.0).abs() < 0.03, "{mala} against {exact}");
    let sgld = variance(Sampler::Sgld { step_size, noise_std });
    assert!((sgld / exact - 4.0 / 3.0).abs() < 0.04, "{sgld} against {exact}");
}

#[test]
fn mala_rejects_what_has_no_energy_and_stays_where_it_is() {
    struct Cliff;
    impl Energy for Cliff {
        fn gradient(&self, x: Tensor<4>) -> EnergyGradient {
            let n = x.dims()[0];
            let far = x.clone().abs().max_dim(3).greater_elem(0.0).reshape([n]);
            let energy = Tensor::<1>::zeros([n], &x.device()).mask_fill(far, f32::NAN);
            EnergyGradient { energy, gradient: x.zeros_like(), logits: None }
        }
    }
    let x = Tensor::<4>::zeros([8, 1, 1, 4], &device::cpu());
    let sampler = Sampler::Mala { step_size: 0.1, noise_std: 0.5 };
    let (state, infos) = sampler.run(ChainState { x, noise: KEY }, &Cliff, 3);
    assert!(values(state.x).iter().all(|&value| value == 0.0));
    for info in infos {
        assert!(values(info.acceptance.unwrap()).chunks(2).all(|chain| chain == [0.0, 0.0]));
    }
}

#[test]
fn a_step_schedule_ends_at_its_factor_and_keeps_the_temperature() {
    let config = |schedule: &str| {
        let set = format!(
            "sampler = {{ kind = 'sgld', step_size = 0.5, noise_std = 0.1, step_schedule = '{schedule}', \
             final_step_factor = 0.2 }}"
        );
        RunConfig::default().with_toml(&set).unwrap().sampler
    };
    let steps = |schedule: &str, count: usize| -> Vec<(f32, f32)> {
        let samplers = Sampler::for_steps(&config(schedule), count);
        let numbers = |sampler| match sampler {
            Sampler::Sgld { step_size, noise_std } => (step_size, noise_std),
            other => panic!("{other:?}"),
        };
        samplers.into_iter().map(numbers).collect()
    };
    assert!(steps("constant", 4).iter().all(|&step| step == (0.5, 0.1)));
    for schedule in ["linear", "cosine"] {
        let steps = steps(schedule, 11);
        assert_eq!(steps[0].0, 0.5);
        assert!((steps[10].0 - 0.1).abs() < 1e-6, "{schedule}: {:?}", steps[10]);
        assert!((steps[5].0 - 0.3).abs() < 1e-6, "{schedule}: {:?}", steps[5]);
        assert!(steps.is_sorted_by(|a, b| a.0 > b.0));
        let beta = |&(step, noise): &(f32, f32)| inverse_temperature(step.into(), noise.into());
        assert!(steps.iter().all(|step| (beta(step) - 100.0).abs() < 1e-3), "{schedule}");
    }
    assert_eq!(steps("linear", 1), [(0.5, 0.1)]);
}

#[test]
fn adjacent_seeds_share_no_noise() {
    let flat = Quadratic { stiffness: 0.0 };
    let sampler = Sampler::Sgld { step_size: 0.0, noise_std: 1.0 };
    let noise = |key: NoiseKey| {
        let x = Tensor::<4>::zeros([1, 1, 64, 64], &device::cpu());
        values(sampler.step(ChainState { x, noise: key }, &flat).0.x)
    };
    let base = NoiseKey { seed: 41, stream: 7, step: 9, first_chain: 0 };
    let neighbours = [
        NoiseKey { seed: 42, ..base },
        NoiseKey { seed: 41 + (1 << 32), ..base },
        NoiseKey { stream: 8, ..base },
        NoiseKey { step: 10, ..base },
        NoiseKey { seed: 42, step: 8, ..base },
    ];
    let first = noise(base);
    assert_eq!(first, noise(base));
    for key in neighbours {
        let other = noise(key);
        let shared = other.iter().filter(|value| first.contains(value)).count();
        // A few uniform words of 23 bits are equal by chance.
        assert!(shared < 12, "{key:?} shares {shared} of 4,096 values");
        let correlation: f32 = first.iter().zip(&other).map(|(a, b)| a * b).sum::<f32>() / 4096.0;
        assert!(correlation.abs() < 0.08, "{key:?}: {correlation}");
    }
}

#[test]
fn no_weight_gradient_is_computed_while_sampling() {
    struct Tracked(usize);
    impl ModuleVisitor for Tracked {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 += usize::from(param.val().is_require_grad());
        }
    }
    let tracked = |network: &Network| {
        let mut tracked = Tracked(0);
        network.visit(&mut tracked);
        tracked.0
    };
    for (arch, norm) in [("cnn-small", Norm::None), ("wrn-10-1", Norm::Batch)] {
        let config = ModelConfig { arch: arch.into(), norm, ..ModelConfig::default() };
        let device = device::cpu().autodiff();
        let network = Network::new(&config, [1, 8, 8], 3, 0, &device).unwrap();
        assert!(tracked(&network) > 10);
        let before = block_on(weights_of(&network)).unwrap();
        let energy = JointEnergy::new(&network);
        assert_eq!(tracked(energy.network()), 0);
        let x = scrambled_tensor([2, 1, 8, 8], 1, &device::cpu());
        let found = energy.gradient(x);
        assert!(!found.gradient.is_autodiff() && !found.energy.is_autodiff(), "no graph survives");
        assert_eq!(block_on(weights_of(&network)).unwrap(), before, "running statistics included");
    }
}

#[test]
fn batch_norm_couples_the_chains_of_a_batch_and_frozen_norm_does_not() {
    for (norm, is_coupled) in [(Norm::Batch, true), (Norm::Frozen, false), (Norm::Group, false)] {
        let energy = JointEnergy::new(&network("wrn-10-1", norm, 1, [1, 8, 8]));
        let mut x = crate::common::scrambled(2 * 64, 1);
        let gradient_of_first = |x: &[f32]| {
            let data = TensorData::new(x.to_vec(), [2, 1, 8, 8]);
            let x = Tensor::from_data(data, &device::cpu());
            values(energy.gradient(x).gradient)[..64].to_vec()
        };
        let before = gradient_of_first(&x);
        x[64..].iter_mut().for_each(|value| *value *= 0.3);
        let difference = max_difference(&before, &gradient_of_first(&x));
        assert_eq!(difference > 1e-4, is_coupled, "{norm:?}: {difference}");
    }
}

/// JEMPP's update in `f64` for an MLP: `for M: p ← ∂ΣE/∂z; for N: x ← clamp(x - α clamp(J_firstᵀ p, -1, 1), -1, 1)`,
/// σ = 0.
#[test]
fn the_jempp_update_is_reproduced_step_for_step() {
    let network = network("mlp", Norm::None, 1, [2, 1, 1]);
    let weights = block_on(weights_of(&network)).unwrap();
    let matrix = |name: &str| {
        let tensor = &weights[name];
        let values: Vec<f64> = tensor.values.iter().map(|&v| f64::from(v)).collect();
        (values, tensor.shape.clone())
    };
    let mut names: Vec<String> =
        weights.keys().filter(|n| n.contains("layers") && n.ends_with("weight")).cloned().collect();
    names.sort();
    names.push(weights.keys().find(|n| n.ends_with("classifier.weight")).unwrap().clone());
    let layers: Vec<_> = names
        .iter()
        .map(|name| (matrix(name), matrix(&name.replace("weight", "bias")).0))
        .collect();

    let slope = |v: f64| if v > 0.0 { 1.0 } else { 0.2 };
    let apply = |((weight, shape), bias): &((Vec<f64>, Vec<usize>), Vec<f64>), x: &[f64]| {
        let (inputs, outputs) = (shape[0], shape[1]);
        (0..outputs)
            .map(|o| bias[o] + (0..inputs).map(|i| x[i] * weight[i * outputs + o]).sum::<f64>())
            .collect::<Vec<f64>>()
    };
    let transposed = |((weight, shape), _): &((Vec<f64>, Vec<usize>), Vec<f64>), p: &[f64]| {
        let (inputs, outputs) = (shape[0], shape[1]);
        (0..inputs)
            .map(|i| (0..outputs).map(|o| weight[i * outputs + o] * p[o]).sum::<f64>())
            .collect::<Vec<f64>>()
    };
    // p = ∂E/∂z for E = -log_sum_exp(logits), where z is the output of the first linear layer.
    let output_gradient = |x: &[f64]| {
        let mut z = vec![apply(&layers[0], x)];
        for layer in &layers[1..] {
            let active: Vec<f64> = z.last().unwrap().iter().map(|&v| v * slope(v)).collect();
            z.push(apply(layer, &active));
        }
        let logits = z.pop().unwrap();
        let largest = logits.iter().copied().fold(f64::MIN, f64::max);
        let weights: Vec<f64> = logits.iter().map(|l| (l - largest).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut p: Vec<f64> = weights.iter().map(|w| -w / total).collect();
        for (layer, z) in layers[1..].iter().zip(&z).rev() {
            p = transposed(layer, &p).iter().zip(z).map(|(p, &z)| p * slope(z)).collect();
        }
        p
    };

    let (steps, inner, alpha) = (10, 5, 0.002);
    let start = scrambled_tensor([6, 2, 1, 1], 21, &device::cpu());
    let mut x: Vec<f64> = values(start.clone()).iter().map(|&v| f64::from(v)).collect();
    let energy = JointEnergy::new(&network);
    let mut state = ChainState { x: start, noise: KEY };
    let sampler = pyld(inner, alpha as f32, 1.0);
    for step in 0..steps {
        for x in x.chunks_mut(2) {
            let p = output_gradient(x);
            for _ in 0..inner {
                for (x, slope) in x.iter_mut().zip(transposed(&layers[0], &p)) {
                    *x = (*x - alpha * slope.clamp(-1.0, 1.0)).clamp(-1.0, 1.0);
                }
            }
        }
        state = sampler.step(state, &energy).0;
        let expected: Vec<f32> = x.iter().map(|&v| v as f32).collect();
        let difference = max_difference(&values(state.x.clone()), &expected);
        assert!(difference < 1e-5, "step {step}: {difference}");
    }
}

#[test]
fn one_seed_gives_the_same_chain_on_gpu_and_cpu() {
    let Some(gpu) = gpu() else { return };
    let on = |device: &Device| {
        let config = ModelConfig { arch: "cnn-small".into(), ..ModelConfig::default() };
        let network = Network::new(&config, [1, 8, 8], 3, 11, device).unwrap();
        let energy = JointEnergy::new(&network);
        let x = kernels::uniform_start([4, 1, 8, 8], KEY, device);
        let samplers = [
            Sampler::ProximalSgld { step_size: 1.0, noise_std: 0.05, proximal_radius: 1.0 },
            Sampler::Mala { step_size: 0.02, noise_std: 0.02 },
            Sampler::NormalizedGradient { step_size: 0.2, noise_std: 0.02 },
        ];
        samplers.map(|sampler| {
            let state = ChainState { x: x.clone(), noise: KEY };
            let (state, infos) = sampler.run(state, &energy, 5);
            let energies: Vec<f32> =
                infos.into_iter().flat_map(|info| values(info.energy)).collect();
            (values(state.x), energies)
        })
    };
    for ((x_gpu, energy_gpu), (x_cpu, energy_cpu)) in on(&gpu).iter().zip(&on(&device::cpu())) {
        assert!(max_difference(x_gpu, x_cpu) < 1e-4);
        assert!(max_difference(energy_gpu, energy_cpu) < 1e-4);
    }
}

#[test]
fn chains_that_pass_in_parts_move_as_if_at_once() {
    let cpu = device::cpu();
    let mut cases = vec![
        ("cnn-small", 1, Norm::None, cpu.clone()),
        ("cnn-small", 2, Norm::None, cpu.clone()),
        ("wrn-10-1", 2, Norm::Group, cpu),
    ];
    cases.extend(gpu().map(|gpu| ("cnn-tiny", 2, Norm::None, gpu)));
    for (arch, split, norm, device) in cases {
        let config = ModelConfig { arch: arch.into(), split, norm, ..ModelConfig::default() };
        let network = Network::new(&config, [1, 8, 8], 3, 5, &device).unwrap();
        let labels = vec![2, 0, 1, 1, 2, 0, 0];
        for energy in [JointEnergy::new(&network), JointEnergy::for_labels(&network, labels)] {
            let x = scrambled_tensor([7, 1, 8, 8], 3, &device);
            let moved = |energy: &JointEnergy| {
                let sampler = Sampler::Pyld {
                    num_inner_steps: 3,
                    inner_step_size: 0.1,
                    noise_std: 0.02,
                    proximal_radius: 1.0,
                };
                let (state, infos) = sampler.run(ChainState::new(x.clone(), 4), energy, 2);
                [values(state.x), values(infos[1].energy.clone())]
            };
            let whole = moved(&energy);
            for micro_batch in [1, 3, 100] {
                let found = moved(&energy.clone().with_micro_batch(micro_batch));
                for (found, whole) in found.iter().zip(&whole) {
                    let difference = max_difference(found, whole);
                    assert!(difference < 1e-5, "{arch}, parts of {micro_batch}: {difference}");
                }
            }
        }
    }
}
