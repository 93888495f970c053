use super::*;
use crate::config::SamplerKind;

/// What is said at step `step` about a lane in which `energy` gives the energy of each of 100 chains at each step.
fn said(lane: &LaneConfig, step: u64, energy: impl Fn(u64, usize) -> f32) -> String {
    let since = step - LATELY.min(step / 2);
    let [first, before, now]: [Vec<f32>; 3] =
        [0, since, step].map(|step| (0..100).map(|chain| energy(step, chain)).collect());
    let course = Course { first: &first, before: &before, now: &now, since, step };
    energy_text(&course, Some(lane))
}

/// A lane of 100 steps.
fn lane(step_schedule: StepSchedule) -> LaneConfig {
    let mut lane = LaneConfig::default();
    lane.sampler.num_steps = 100;
    (lane.sampler.step_schedule, lane.sampler.final_step_factor) = (step_schedule, 0.1);
    lane
}

/// A number between −1 and 1 for each step and chain.
fn noise(step: u64, chain: usize) -> f32 {
    let mixed = (step * 1000 + chain as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

#[test]
fn energies_that_fall_steadily_are_never_flat() {
    let constant = lane(StepSchedule::Constant);
    // Much slower than the chains are apart, with and without noise.
    let falls = |step: u64, chain: usize| 3.0 - 0.004 * step as f32 + 0.05 * chain as f32;
    let shakes = |step: u64, chain: usize| falls(step, chain) + 0.05 * noise(step, chain);
    let texts = (10..700).map(|step| said(&constant, step, falls));
    for text in texts.chain((100..700).map(|step| said(&constant, step, shakes))) {
        assert!(!text.contains("flat") && text.contains(", −0."), "{text}");
    }
    assert!(said(&constant, 660, falls).ends_with(", −0.2 in 50 steps"));
    let rises = |step: u64, chain: usize| -falls(step, chain);
    assert!(said(&constant, 660, rises).ends_with(", +0.2 in 50 steps"));
    // After its schedule, a step is small but constant.
    let text = said(&lane(StepSchedule::Cosine), 360, falls);
    assert!(text.ends_with(", −0.2 in 50 steps"), "{text}");
}

#[test]
fn energies_at_rest_are_flat() {
    let constant = lane(StepSchedule::Constant);
    let rests = |step: u64, chain: usize| if step < 5 { 9.0 } else { noise(step, chain) };
    let flat = (10..700).filter(|&step| said(&constant, step, rests).contains(", flat for"));
    assert!(flat.count() > 670);
    let stays = |step: u64, chain: usize| if step < 5 { 9.0 } else { chain as f32 };
    let text = said(&constant, 200, stays);
    assert_eq!(text, "median energy 9.0 to 50.0, flat for 50 steps");
}

#[test]
fn a_descent_along_a_schedule_is_slowed_by_it() {
    let cosine = lane(StepSchedule::Cosine);
    let falls = |step: u64, _: usize| -0.2 + 3.2 * (-0.05 * step as f32).exp();
    assert_eq!(said(&cosine, 100, falls), "median energy 3.0 to −0.2, slowed by the α schedule");
    assert!(said(&cosine, 40, falls).ends_with(" in 20 steps"));
    assert!(!said(&lane(StepSchedule::Constant), 100, falls).contains("slowed"));
    assert_eq!(said(&cosine, 0, falls), "median energy 3.0");
    assert_eq!(said(&cosine, 8, falls), "median energy 3.0 to 1.9");
    let lost = |step: u64, _: usize| if step == 0 { 2.0 } else { f32::NAN };
    assert_eq!(said(&cosine, 60, lost), "no energy is a finite number");
    assert_eq!(median(&[3.0, f32::NAN, 1.0, 2.0]), 2.0);
}

#[test]
fn a_rule_samples_if_its_noise_is_longer_than_its_descent() {
    let mut lane = LaneConfig::default();
    let said = |lane: &LaneConfig, gradient_norm: f32, clamp_rate: f32| {
        let mut numbers = LaneNumbers::default();
        (numbers.gradient_norm, numbers.clamp_rate) = (vec![gradient_norm], vec![clamp_rate]);
        rule_text(lane, Some(&Moved { by: &numbers, num_values: 784 }))
    };
    lane.sampler.noise_std = 0.0;
    assert_eq!(said(&lane, 1.0, 0.0), "descent, not sampling: σ = 0");
    lane.sampler.kind = SamplerKind::Sgld;
    (lane.sampler.noise_std, lane.sampler.step_size) = (2.0, 2.0);
    assert_eq!(said(&lane, 5.0, 0.0), "sampling p(x) (temperature 1)");
    // JEM's published setting.
    (lane.sampler.noise_std, lane.sampler.step_size) = (0.01, 1.0);
    let jem = "mostly descent, noise σ = 0.01: temperature 0.00005";
    assert_eq!(said(&lane, 0.5, 0.0), jem);
    // A low temperature with steps that fit it.
    (lane.sampler.noise_std, lane.sampler.step_size) = (0.05, 0.25);
    assert_eq!(said(&lane, 1.0, 0.0), "sampling p(x)^200 (temperature 0.005)");
    assert_eq!(said(&lane, 6.0, 0.0), "mostly descent, noise σ = 0.05: temperature 0.005");
    assert_eq!(said(&lane, 1.0, 0.1), "descent with some noise, σ = 0.05");
    // A step of PYLD is as long as its inner steps together.
    lane.sampler.kind = SamplerKind::Pyld;
    (lane.sampler.num_inner_steps, lane.sampler.inner_step_size) = (5, 0.05);
    assert_eq!(said(&lane, 1.0, 0.0), "sampling p(x)^200 (temperature 0.005)");
    lane.is_conditional = true;
    assert_eq!(said(&lane, 1.0, 0.0), "sampling p(x|y)^200 (temperature 0.005)");
    lane.sampler.kind = SamplerKind::NormalizedGradient;
    assert_eq!(said(&lane, 1.0, 0.0), "descent with some noise, σ = 0.05");
}

#[test]
fn a_small_number_keeps_a_digit() {
    let shown = [0.0, 0.096, 0.094, -0.04, 0.0096, 0.0094, 1e-5, 9.6e-7, 3e-9].map(short);
    assert_eq!(
        shown,
        ["0.0", "0.1", "0.09", "−0.04", "0.01", "0.009", "0.00001", "0.000001", "3e−9"]
    );
}

#[test]
fn of_a_few_chains_the_size_of_the_change_tells() {
    let before: Vec<f32> = (0..10).map(|chain| 30.0 + 0.1 * chain as f32).collect();
    let moved = |by: f32| -> Vec<f32> {
        before
            .iter()
            .enumerate()
            .map(|(chain, e)| if chain == 0 { e + by } else { e - by })
            .collect()
    };
    let (far, near) = (moved(20.0), moved(0.1));
    let course = |now| Course { first: &before, before: &before, now, since: 50, step: 100 };
    assert!(!is_flat(&course(&far)) && is_flat(&course(&near)));
}
