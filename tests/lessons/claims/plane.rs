//! Claims of the lessons whose chains are in the plane.

use jempp::{
    bundled,
    config::{LabState, SamplerKind, ViewStart},
    diagnostics::{cells, ess_bulk, split_r_hat},
};
use pollster::block_on;

use super::{at, confidences, lab, lab_of, later_half, mean, run, share_outside, state, variation};
use crate::common::max_difference;

#[test]
fn lesson_1_both_networks_tell_the_classes_apart_but_one_knows_where_data_is() {
    let mut maps = Vec::new();
    let outside = [2, 3].map(|step| {
        let mut lab = lab(1, step);
        let surface = lab.surface().clone();
        // The network predicts the right class where the data of each class is.
        let data = jempp::data::Density::TwoMoons.sample(1000, 5, 1);
        let points = data.gather(0..data.len());
        let classes = at(&surface.classes, &points);
        let right = classes.iter().zip(&data.labels).filter(|(a, b)| u32::from(**a) == **b);
        let accuracy = right.count() as f32 / data.len() as f32;
        assert!(accuracy > 0.97, "step {step}: accuracy {accuracy}");
        let at_data = mean(&at(&surface.energy, &points));
        let corners = mean(&at(&surface.energy, &[-1.4, -1.4, 1.4, -1.4, -1.4, 1.4, 1.4, 1.4]));
        let frame = run(&mut lab, 1000);
        let outside = share_outside(&frame.lanes[0].x);
        println!("lesson 1, step {step}: {accuracy} {at_data} {corners} {outside}");
        maps.push(surface.classes);
        (at_data < corners, outside)
    });
    assert!(!outside[0].0 && outside[0].1 > 0.5, "the classifier's chains leave: {outside:?}");
    assert!(outside[1].0 && outside[1].1 < 0.02, "the joint model's chains stay: {outside:?}");
    // The answer: both networks separate the classes of the data in the same way, as above, but not those of
    // the whole plane, and both are confident where there is no data.
    let differing = maps[0].iter().zip(maps[1].iter()).filter(|(a, b)| a != b).count();
    let differing = differing as f32 / maps[0].len() as f32;
    let far: Vec<f32> = (0..900)
        .map(|place| [place % 30, place / 30].map(|v| (v as f32 + 0.5) / 10.0 - cells::EXTENT))
        .filter(|p| p.iter().any(|v| v.abs() > 1.1))
        .flatten()
        .collect();
    let sure = ["two-moons-classifier", "two-moons"].map(|name| {
        let confidences = confidences(&bundled::find(name).unwrap(), far.clone());
        confidences.iter().filter(|p| **p > 0.99).count() as f32 / confidences.len() as f32
    });
    println!("lesson 1: maps differ in {differing}, sure far away {sure:?}");
    assert!((0.25..0.37).contains(&differing), "almost a third: {differing}");
    assert!(sure[0] > 0.85 && sure[1] > 0.85, "{sure:?}");
}

const MODES: [[f32; 2]; 3] = [[-0.55, -0.3], [0.5, -0.35], [0.1, 0.6]];

/// The fractions of the mixture's three valleys (left, right, top) when all chains have stopped.
fn shares_of_modes(state: &LabState) -> [f32; 3] {
    let mut lab = lab_of(state);
    let x = run(&mut lab, 600).lanes[0].x.clone();
    let moved = run(&mut lab, 50).lanes[0].x.clone();
    assert!(max_difference(&x, &moved) < 1e-3, "the chains stand still");
    let shares = MODES.map(|mode| {
        let is_near = |p: &&[f32]| (p[0] - mode[0]).hypot(p[1] - mode[1]) < 0.05;
        x.chunks_exact(2).filter(is_near).count() as f32 / (x.len() / 2) as f32
    });
    println!("lesson 2: {shares:?}");
    assert!((shares.iter().sum::<f32>() - 1.0).abs() < 0.01, "every chain is at a mode");
    shares
}

#[test]
fn lesson_2_descent_ends_in_modes_whose_shares_are_not_their_probabilities() {
    let state = state(2, 2).lab;
    let shares = shares_of_modes(&state);
    let are = |shares: [f32; 3], expected: [f32; 3]| max_difference(&shares, &expected) < 0.03;
    assert!(are(shares, [0.40, 0.36, 0.23]), "as the answer says: {shares:?}");
    assert!(!are(shares, [0.5, 0.3, 0.2]), "and not the probabilities");
    // The start of a chain decides in which valley it ends.
    let mut from_the_top = state.clone();
    from_the_top.rules[0].start = ViewStart::Image;
    from_the_top.config.point = vec![10, 60];
    assert_eq!(shares_of_modes(&from_the_top), [0.0, 0.0, 1.0]);
    let mut from_centres = state;
    from_centres.rules[0].start = ViewStart::ClassCenters;
    assert!(are(shares_of_modes(&from_centres), [1.0 / 3.0; 3]));
}

#[test]
fn lesson_3_chains_sample_the_power_beta_and_not_p() {
    let betas = [1.0, 4.0];
    for (step, beta) in [(1, betas[0]), (2, betas[1])] {
        let state = state(3, step);
        let of_rule = state.lab.rules[0].sampler.inverse_temperature().unwrap();
        assert!((of_rule / beta - 1.0).abs() < 0.01, "{of_rule}");
        let mut lab = lab_of(&state.lab);
        let x = run(&mut lab, 1200).lanes[0].x.clone();
        let (to_power, chance) = variation(&lab, &x, beta);
        let (to_p, _) = variation(&lab, &x, 1.0);
        println!("lesson 3, step {step}: {to_power} (chance {chance}), to p {to_p}");
        assert!(to_power < chance + 0.05, "{to_power} {chance}");
        assert_eq!(to_p > 0.3, beta > 1.0, "{to_p}");
    }
    let coldest = state(3, 3).lab.rules[0].sampler.inverse_temperature().unwrap();
    assert!((coldest / 20_000.0 - 1.0).abs() < 0.02, "{coldest}");
    // The noise of the answer, and half of it.
    let with_noise = |noise_std: f64| {
        let mut state = state(3, 3).lab;
        state.rules[0].sampler.step_size = 0.002;
        state.rules[0].sampler.noise_std = noise_std;
        let mut lab = lab_of(&state);
        let x = run(&mut lab, 1200).lanes[0].x.clone();
        variation(&lab, &x, 1.0)
    };
    let ((right, chance), (half, _)) = (with_noise(0.063), with_noise(0.0315));
    println!("lesson 3, the answer: {right} (chance {chance}), half the noise {half}");
    assert!(right < chance + 0.05 && half > 0.3, "{right} {half}");
}

#[test]
fn lesson_4_sgld_explodes_within_20_steps_and_proximal_sgld_never_does() {
    let mut state = state(4, 1);
    let kinds = state.lab.rules.iter().map(|rule| rule.sampler.kind).collect::<Vec<_>>();
    assert_eq!(kinds, [SamplerKind::Sgld, SamplerKind::ProximalSgld]);
    // Far above all energies of the box, whose maximum is 71.
    const BOUND: f32 = 1e3;
    let mut num_exploded = 0;
    for seed in 0..10 {
        state.lab.config.seed = seed;
        let mut lab = lab_of(&state.lab);
        let mut exploded = false;
        for step in 0..200 {
            block_on(lab.advance()).unwrap();
            let frame = lab.frame();
            let energy = frame.lanes[0].mean_energy;
            exploded |= step < 20 && (energy.is_nan() || energy > BOUND);
            assert!(frame.lanes[1].mean_energy < BOUND, "seed {seed}, step {step}");
            assert!(frame.lanes[1].x.iter().all(|v| v.abs() <= 1.0));
        }
        let frame = lab.frame();
        let (proximal, chance) = variation(&lab, &frame.lanes[1].x, 1.0);
        assert!((proximal - 0.75).abs() < 0.06 && (chance - 0.18).abs() < 0.01, "{proximal}");
        num_exploded += usize::from(exploded);
    }
    assert!(num_exploded >= 9, "{num_exploded} of 10");
}

#[test]
fn lesson_4_the_bound_of_the_step_is_twice_the_variance() {
    let mut state = state(4, 2);
    for (step_size, holds) in [(0.0155, true), (0.0175, false)] {
        let sampler = &mut state.lab.rules[0].sampler;
        sampler.step_size = step_size;
        sampler.noise_std = (2.0 * step_size).sqrt();
        let mut lab = lab_of(&state.lab);
        let frame = run(&mut lab, 300);
        let outside = share_outside(&frame.lanes[0].x);
        println!("lesson 4: step {step_size}: {outside} outside");
        assert_eq!(outside < 0.05, holds, "{step_size}: {outside}");
    }
}

#[test]
fn lesson_4_sgld_is_biased_and_mala_is_not() {
    let mut lab = lab(4, 3);
    let frame = run(&mut lab, 400);
    let of = |lane: usize| variation(&lab, &frame.lanes[lane].x, 1.0);
    let ((sgld, chance), (mala, _)) = (of(0), of(1));
    println!("lesson 4: SGLD {sgld}, MALA {mala}, chance {chance}");
    assert!(sgld > chance + 0.1, "{sgld} {chance}");
    assert!(mala < chance + 0.03, "{mala} {chance}");
    // Across the valley, which is rotated by 30° and has width 0.09.
    let (sin, cos) = 30f32.to_radians().sin_cos();
    let spread = [0, 1].map(|lane: usize| {
        let x = &frame.lanes[lane].x;
        let squares: Vec<f32> =
            x.chunks_exact(2).map(|p| (cos * p[1] - sin * p[0]).powi(2)).collect();
        mean(&squares).sqrt() / 0.09
    });
    println!("lesson 4: {spread:?} times as wide");
    assert!((spread[0] - 1.4).abs() < 0.06 && (spread[1] - 1.0).abs() < 0.05, "{spread:?}");
}

#[test]
fn lesson_4_steps_of_one_length_jump_over_a_minimum_and_back() {
    let mut lab = lab(4, 4);
    let length = |a: &[f32], b: &[f32]| -> Vec<f32> {
        let pairs = a.chunks_exact(2).zip(b.chunks_exact(2));
        pairs.map(|(a, b)| (a[0] - b[0]).hypot(a[1] - b[1])).collect()
    };
    let start = lab.frame().lanes[0].x.clone();
    let first = run(&mut lab, 1).lanes[0].x.clone();
    let inside = first.chunks_exact(2).map(|x| x[0].abs() < 1.0 && x[1].abs() < 1.0);
    for (length, _) in length(&start, &first).iter().zip(inside).filter(|(_, is_inside)| *is_inside)
    {
        assert!((length - 0.05).abs() < 1e-4, "every chain moves by α: {length}");
    }
    let [before, over, back] = [200, 1, 1].map(|steps| run(&mut lab, steps).lanes[0].x.clone());
    let (jump, rest) = (length(&before, &over), length(&before, &back));
    assert!(jump.iter().all(|length| (length - 0.05).abs() < 1e-4), "they never stop");
    let num_back = rest.iter().filter(|length| **length < 0.01).count();
    println!("lesson 4: {num_back} of {} chains jump back", rest.len());
    assert!(num_back * 10 >= rest.len() * 9, "{num_back} of {}", rest.len());
    // A minimum is on the way of a chain that jumps over it: less than α away.
    let energy = lab.surface().energy.clone();
    let between: Vec<f32> = before.iter().zip(&over).map(|(a, b)| 0.5 * (a + b)).collect();
    let (ends, middle) = (mean(&at(&energy, &before)), mean(&at(&energy, &between)));
    assert!(middle < ends, "{middle} {ends}");
}

#[test]
fn lesson_5_chains_from_class_centres_are_low_from_the_first_step() {
    let mut lab = lab(5, 1);
    let first = run(&mut lab, 1);
    let [from_noise, from_centres] = [0, 1].map(|lane| first.lanes[lane].mean_energy);
    assert!(from_centres < from_noise - 5.0, "{from_noise} {from_centres}");
    let mut num_steps = 1;
    while run(&mut lab, 1).lanes[0].mean_energy > from_centres + 0.5 {
        num_steps += 1;
        assert!(num_steps < 1000);
    }
    println!("lesson 5: {from_noise} {from_centres}, {num_steps} steps");
    assert!(num_steps >= 24, "dozens of steps: {num_steps}");
}

#[test]
fn lesson_6_diagnostics_see_what_chains_have_found_and_no_more() {
    let told = [1, 2, 3].map(|step| {
        let mut lab = lab(6, step);
        let frame = run(&mut lab, if step == 1 { 6000 } else { 1500 });
        let draws = later_half(&frame);
        let (to_p, chance) = variation(&lab, &frame.lanes[0].x, 1.0);
        let told = (split_r_hat(&draws).unwrap(), ess_bulk(&draws).unwrap(), to_p, chance);
        println!("lesson 6, step {step}: {told:?}");
        told
    });
    let [one_valley, eight_valleys, one_of_eight] = told;
    assert!(one_valley.0 < 1.05 && one_valley.2 < one_valley.3 + 0.08);
    // The total variation was already low long before.
    let mut early = lab(6, 1);
    let frame = run(&mut early, 1000);
    let r_hat = split_r_hat(&later_half(&frame)).unwrap();
    let (to_p, chance) = variation(&early, &frame.lanes[0].x, 1.0);
    println!("lesson 6, step 1, early: {r_hat} {to_p} {chance}");
    assert!(r_hat > 1.05 && to_p < chance + 0.08, "{r_hat} {to_p}");
    assert!(eight_valleys.0 > 1.5 && eight_valleys.2 < eight_valleys.3 + 0.15);
    assert!(one_of_eight.0 < 1.05 && one_of_eight.1 > 500.0);
    assert!(one_of_eight.2 > 0.8);
}

// tests/kernels/sampler.rs checks the same for a real inner loop.
#[test]
fn lesson_7_inner_steps_through_an_affine_layer_are_one_step() {
    let mut affine = lab(7, 1);
    let frame = run(&mut affine, 100);
    assert!(frame.lanes[0].x == frame.lanes[1].x, "not the same, point by point");
    let mut bent = lab(7, 2);
    let frame = run(&mut bent, 5);
    let difference = max_difference(&frame.lanes[0].x, &frame.lanes[1].x);
    println!("lesson 7: {difference}");
    assert!(difference > 1e-5 && difference < 0.2, "{difference}");
}
