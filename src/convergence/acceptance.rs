//! The Metropolis-Hastings acceptance probability of the steps, also for samplers without an accept step.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::{
    device::{ReadError, read_now},
    diagnostics::{ACCEPTANCE_MEANING, DoesNotApply},
    kernels::{self, Proposals},
    sampler::{Sampler, StepInfo, inverse_temperature},
    streams,
};

/// The number of steps whose decisions are read at a time.
const STEPS_PER_READBACK: usize = 64;

/// The chains before a step.
struct Left {
    sampler: Sampler,
    x: Tensor<4>,
    gradient: Tensor<4>,
    energy: Tensor<1>,
}

/// Accumulates acceptance probabilities: those of MALA, or those that the steps of another sampler would have had.
///
/// # Shadow acceptance
/// A step of SGLD, Proximal SGLD or PYLD with an affine first layer is interpreted as the Langevin proposal
/// `x' = x - α c(x) + σ ξ`. Here c is the gradient as the sampler used it, after clamping if the sampler clamps. At
/// the temperature of the step, β = 2α/σ², Metropolis-Hastings accepts it with probability
/// ```text
/// min(1, exp(β (E(x) - E(x') + Σ (c + c') (2 (x' - x) + α (c - c')) / 4)))
/// ```
/// This formula includes the clamp, but not the projection onto [-1, 1]: a projected step has no density and is
/// treated as if there were no border. So the number is exact if no pixel is saturated, and approximate otherwise. It
/// needs no extra gradient: the gradient at x' is computed by the next step. It does not change the chain.
///
/// # Source
/// Roberts & Tweedie, Bernoulli 2(4), 1996: MALA, and with a clamped drift MALTA.
pub(super) struct Watch {
    is_shadow: bool,
    /// The reason why no acceptance probability exists.
    refusal: Option<DoesNotApply>,
    left: Option<Left>,
    /// Per chain: the sum of probabilities and the number of accepted steps.
    sums: Vec<[f64; 2]>,
    num_steps: usize,
    /// What was decided on the device and is not in the sums yet, (N, 2) each: many steps are read at a time.
    unread: Vec<Tensor<2>>,
}

/// What a [`Watch`] has counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Watched {
    /// Per chain: the sum of probabilities and the number of accepted steps.
    pub(super) sums: Vec<[f64; 2]>,
    /// The number of steps that count.
    pub(super) num_steps: usize,
}

/// Whether the acceptance of a sampler's steps is that of a decision which it does not take.
fn is_shadow(sampler: &Sampler) -> bool {
    !matches!(sampler, Sampler::Mala { .. })
}

/// The reason why the steps of a sampler have no acceptance probability; `refusal` is the one for its chains.
fn refusal_of_steps(
    sampler: &Sampler,
    refusal: Option<DoesNotApply>,
    is_affine: bool,
) -> Option<DoesNotApply> {
    // Different densities for different classes do not matter for a single step.
    let refusal = refusal.filter(|reason| *reason != DoesNotApply::DifferentLaws);
    let is_loop = match sampler {
        Sampler::Pyld { .. } => !is_affine,
        // The norm in the step depends on x, so the formula below does not hold.
        Sampler::NormalizedGradient { .. } => true,
        _ => false,
    };
    refusal.or(is_loop.then_some(DoesNotApply::NoProposal))
}

impl Watch {
    pub(super) fn new(
        sampler: Sampler,
        refusal: Option<DoesNotApply>,
        is_affine: bool,
        num_chains: usize,
    ) -> Self {
        Self {
            is_shadow: is_shadow(&sampler),
            refusal: refusal_of_steps(&sampler, refusal, is_affine),
            left: None,
            sums: vec![[0.0; 2]; num_chains],
            num_steps: 0,
            unread: Vec::new(),
        }
    }

    /// Records the chains before the step of `sampler`; `None` if the step does not count.
    ///
    /// # Errors
    /// The device failed.
    pub(super) fn see(
        &mut self,
        sampler: Option<&Sampler>,
        x: Tensor<4>,
        info: &StepInfo,
    ) -> Result<(), ReadError> {
        if self.refusal.is_some() {
            return Ok(());
        }
        let (gradient, energy) = (info.gradient.clone(), info.energy.clone());
        if !self.is_shadow {
            if sampler.is_some()
                && let Some(decided) = &info.acceptance
            {
                self.add(decided.clone())?;
            }
            return Ok(());
        }
        if let Some(left) = self.left.take() {
            self.add(decided(left, x.clone(), gradient.clone(), energy.clone()))?;
        }
        // The last step of a schedule may have no noise.
        let left = sampler.filter(|sampler| sampler.noise_std() > 0.0);
        self.left = left.map(|&sampler| Left { sampler, x, gradient, energy });
        Ok(())
    }

    /// Adds whether each chain moved, and the probability of that, shape (N, 2).
    fn add(&mut self, decided: Tensor<2>) -> Result<(), ReadError> {
        self.num_steps += 1;
        self.unread.push(decided);
        if self.unread.len() < STEPS_PER_READBACK { Ok(()) } else { self.read() }
    }

    fn read(&mut self) -> Result<(), ReadError> {
        for values in read_now(std::mem::take(&mut self.unread))? {
            for (sum, chain) in self.sums.iter_mut().zip(values.chunks(2)) {
                sum[0] += f64::from(chain[1]);
                sum[1] += f64::from(chain[0]);
            }
        }
        Ok(())
    }

    /// Returns what was counted.
    ///
    /// # Errors
    /// The device failed.
    pub(super) fn finish(mut self) -> Result<Watched, ReadError> {
        if !self.unread.is_empty() {
            self.read()?;
        }
        Ok(Watched { sums: self.sums, num_steps: self.num_steps })
    }
}

impl Watched {
    /// The acceptance of the steps of `sampler`; `refusal` is the reason why its chains have no common distribution, and
    /// `meets_border` says whether steps were projected onto the box.
    pub(super) fn acceptance(
        &self,
        sampler: &Sampler,
        refusal: Option<DoesNotApply>,
        is_affine: bool,
        meets_border: bool,
    ) -> Acceptance {
        let Self { sums, num_steps } = self;
        let (is_shadow, num_steps) = (is_shadow(sampler), *num_steps);
        let refusal = refusal_of_steps(sampler, refusal, is_affine)
            .or((num_steps == 0).then_some(DoesNotApply::NoNoise));
        let per_step = |sum: f64| sum / num_steps as f64;
        let mean = |which: usize| {
            per_step(sums.iter().map(|sum| sum[which]).sum::<f64>()) / sums.len() as f64
        };
        Acceptance {
            is_shadow,
            meets_border: is_shadow && meets_border,
            probability: refusal.map_or_else(|| Ok(mean(0)), Err),
            accepted: (!is_shadow && refusal.is_none()).then(|| mean(1)),
            of_chains: match refusal {
                Some(_) => Vec::new(),
                None => sums.iter().map(|sum| per_step(sum[0])).collect(),
            },
        }
    }
}

/// The MALA acceptance of the step from `left` to `x`.
fn decided(left: Left, x: Tensor<4>, gradient: Tensor<4>, energy: Tensor<1>) -> Tensor<2> {
    let Left { sampler, .. } = left;
    let used = |gradient: Tensor<4>| match sampler.proximal_radius() {
        Some(radius) => gradient.clamp(-radius, radius),
        None => gradient,
    };
    let ends = Proposals {
        x: left.x,
        gradient: used(left.gradient),
        energy: left.energy,
        proposal: x,
        proposal_gradient: used(gradient),
        proposal_energy: energy,
    };
    let (step_size, noise_std) = (sampler.length(), sampler.noise_std());
    let beta = inverse_temperature(step_size.into(), noise_std.into()) as f32;
    // Only the random decision uses noise, and its result is ignored.
    let unused = streams::UNUSED.key(0, 0);
    kernels::mala_accept(ends, step_size, beta, unused).1
}

/// The mean acceptance probability of the steps after the warm-up.
#[derive(Clone, Debug, PartialEq)]
pub struct Acceptance {
    /// Whether the sampler has no accept step, so that the probability is hypothetical.
    pub is_shadow: bool,
    /// Whether some steps were projected onto the box, which the probability ignores.
    pub meets_border: bool,
    /// The mean over chains and steps.
    pub probability: Result<f64, DoesNotApply>,
    /// The share of MALA's proposals that were accepted; none for other samplers.
    pub accepted: Option<f64>,
    /// The mean over the steps of each chain; empty if the probability does not exist.
    pub of_chains: Vec<f64>,
}

impl Acceptance {
    /// The name in reports.
    pub fn name(&self) -> &'static str {
        if self.is_shadow { "Shadow acceptance" } else { "MALA acceptance" }
    }

    /// A one-line explanation for users.
    pub fn meaning(&self) -> &'static str {
        match self.is_shadow {
            true => {
                "How probably Metropolis-Hastings would have accepted the steps, all of which were taken: near \
                 100 % the chains follow their distribution, near 0 % another one."
            }
            false => ACCEPTANCE_MEANING,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device,
        energy::{Energy, EnergyGradient},
        sampler::ChainState,
    };
    use jempp_cpu::reference::NoiseKey;

    const KEY: NoiseKey = streams::UNUSED.key(5, 0);
    const SHAPE: [usize; 4] = [6, 1, 4, 4];

    /// The quadratic energy `E(x) = ‖x‖² / 2`.
    struct Quadratic;

    impl Energy for Quadratic {
        fn gradient(&self, x: Tensor<4>) -> EnergyGradient {
            let energy = x.clone().square().reshape([SHAPE[0], 16]).sum_dim(1);
            let energy = energy.squeeze_dim::<1>(1).div_scalar(2.0);
            EnergyGradient { energy, gradient: x, logits: None }
        }
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
        tensor.into_data().iter::<f64>().collect()
    }

    /// Uniform starts scaled by `scale`, the states after one step, and the shadow acceptance of that step.
    fn taken(sampler: Sampler, scale: f32) -> (Vec<f64>, Vec<f64>, Acceptance) {
        let start = kernels::uniform_start(SHAPE, KEY, &device::cpu()).mul_scalar(scale);
        let mut watch = Watch::new(sampler, None, true, SHAPE[0]);
        let (next, info) = sampler.step(ChainState { x: start.clone(), noise: KEY }, &Quadratic);
        watch.see(Some(&sampler), start.clone(), &info).unwrap();
        let (_, info) = sampler.step(next.clone(), &Quadratic);
        watch.see(None, next.x.clone(), &info).unwrap();
        let watched = watch.finish().unwrap();
        (values(start), values(next.x), watched.acceptance(&sampler, None, true, false))
    }

    #[test]
    fn the_shadow_of_sgld_is_what_mala_says_to_the_same_proposal() {
        let (step_size, noise_std) = (0.3, 0.7);
        let (_, _, shadow) = taken(Sampler::Sgld { step_size, noise_std }, 1.7);
        let (_, _, real) = taken(Sampler::Mala { step_size, noise_std }, 1.7);
        assert!(shadow.is_shadow && !real.is_shadow && real.accepted.is_some());
        assert_eq!(shadow.of_chains, real.of_chains);
        assert!(shadow.of_chains.iter().any(|p| *p < 0.99), "{shadow:?}");
    }

    #[test]
    fn a_tiny_step_is_accepted_and_a_huge_one_is_not() {
        let at_temperature_1 =
            |step_size: f32| Sampler::Sgld { step_size, noise_std: (2.0 * step_size).sqrt() };
        let probability = |step_size| taken(at_temperature_1(step_size), 1.7).2.probability;
        assert!(probability(1e-4).is_ok_and(|p| p > 0.999), "{:?}", probability(1e-4));
        assert!(probability(3.0).is_ok_and(|p| p < 1e-3), "{:?}", probability(3.0));
    }

    #[test]
    fn a_clamped_drift_is_weighed_by_its_own_densities() {
        let (step_size, noise_std, radius) = (0.02, 0.15, 0.1);
        let sampler = Sampler::ProximalSgld { step_size, noise_std, proximal_radius: radius };
        // A scale so small that no pixel reaches the border.
        let (start, next, found) = taken(sampler, 0.3);
        assert!(next.iter().all(|value| value.abs() < 1.0));
        let [step_size, noise_std, radius] = [step_size, noise_std, radius].map(f64::from);
        let beta = inverse_temperature(step_size, noise_std);
        // ln q(to | from) and E, up to terms that are equal in both directions.
        let log_density = |from: &[f64], to: &[f64]| -> f64 {
            let miss = |(from, to): (&f64, &f64)| {
                (to - from + step_size * from.clamp(-radius, radius)).powi(2)
            };
            -from.iter().zip(to).map(miss).sum::<f64>() / (2.0 * noise_std * noise_std)
        };
        let energy = |x: &[f64]| x.iter().map(|value| value * value).sum::<f64>() / 2.0;
        for ((x, y), found) in start.chunks(16).zip(next.chunks(16)).zip(&found.of_chains) {
            let log_ratio = beta * (energy(x) - energy(y)) + log_density(y, x) - log_density(x, y);
            let expected = log_ratio.min(0.0).exp();
            assert!((found - expected).abs() < 1e-4, "{found} instead of {expected}");
        }
        assert!(found.of_chains.iter().any(|p| *p < 0.95), "the clamp was felt: {found:?}");
    }

    #[test]
    fn what_is_no_proposal_is_not_weighed() {
        let pyld = Sampler::Pyld {
            num_inner_steps: 2,
            inner_step_size: 0.1,
            noise_std: 0.1,
            proximal_radius: 1.0,
        };
        let refused = |refusal, is_affine| Watch::new(pyld, refusal, is_affine, 1).refusal;
        assert_eq!(refused(None, false), Some(DoesNotApply::NoProposal));
        assert_eq!(refused(Some(DoesNotApply::NoNoise), true), Some(DoesNotApply::NoNoise));
        // Different densities per class do not prevent the acceptance of single steps.
        assert_eq!(refused(Some(DoesNotApply::DifferentLaws), true), None);
    }
}
