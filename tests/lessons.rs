//! What each lesson claims, checked on the very state that its link sets up.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may")]

mod common;

use std::time::Duration;

use common::max_difference;
use jempp::{
    app::Viewer,
    config::{LabState, LabTarget, SamplerKind, Tab, ViewState},
    device,
    diagnostics::{
        cells::{self, Cells},
        ess_bulk, split_r_hat,
    },
    lessons::{self, Lesson, TITLES},
    worker::{
        self, Worker,
        lab::{Lab, LabFrame},
    },
};
use pollster::block_on;

fn lesson(number: usize) -> Lesson {
    Lesson::parse(&block_on(lessons::text(number, None)).unwrap())
}

/// The state that a step of a lesson sets up.
fn state(number: usize, step: usize) -> ViewState {
    let lesson = lesson(number);
    ViewState::from_query(lesson.steps[step - 1].state().unwrap()).unwrap()
}

fn lab_of(state: &LabState) -> Lab {
    block_on(Lab::open(state.clone(), &device::cpu())).unwrap()
}

fn lab(number: usize, step: usize) -> Lab {
    let state = state(number, step);
    assert_eq!(state.view.tab, Tab::Lab);
    lab_of(&state.lab)
}

fn run(lab: &mut Lab, num_steps: usize) -> LabFrame {
    for _ in 0..num_steps {
        block_on(lab.advance());
    }
    lab.frame()
}

/// Total variation of a rule's chains to p^β, and what chance alone makes of it.
fn variation(lab: &Lab, x: &[f32], beta: f64) -> (f64, f64) {
    let exact = Cells::of_energy(&lab.surface().energy, beta).unwrap();
    (exact.total_variation(x), exact.expected_total_variation(x.len() / 2))
}

/// x0 of the traced chains over the later half of the steps.
fn later_half(frame: &LabFrame) -> Vec<Vec<f64>> {
    let row = frame.lanes[0].traces.len() / frame.step as usize;
    let chain = |chain: usize| {
        let values = frame.lanes[0].traces.iter().skip(3 * chain).step_by(row);
        values.skip(frame.step as usize / 2).map(|x| f64::from(*x)).collect()
    };
    (0..row / 3).map(chain).collect()
}

/// Energies at points (N, 2) by the square of the surface that they lie in.
fn energies(lab: &Lab, points: &[f32]) -> Vec<f32> {
    let energy = &lab.surface().energy;
    let side = energy.len().isqrt();
    let place = |v: f32| ((v / cells::EXTENT + 1.0) * 0.5 * side as f32) as usize;
    points.chunks_exact(2).map(|p| energy[place(p[1]) * side + place(p[0])]).collect()
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

fn share_outside(x: &[f32]) -> f32 {
    let outside = |p: &&[f32]| p.iter().any(|v| !v.is_finite() || v.abs() > cells::EXTENT);
    x.chunks_exact(2).filter(outside).count() as f32 / (x.len() / 2) as f32
}

#[test]
fn every_lesson_has_steps_with_states_and_one_question_with_its_answer() {
    for (index, title) in TITLES.iter().enumerate() {
        let lesson = lesson(index + 1);
        assert_eq!(lesson.title, *title);
        assert!((2..=3).contains(&lesson.steps.len()), "{title}");
        for step in &lesson.steps {
            assert!(!step.title.is_empty());
            let state = ViewState::from_query(step.state().unwrap());
            assert_eq!(state.unwrap().view.lesson, 0, "a state does not name its lesson");
        }
        let is_question = |step: &&lessons::LessonStep| {
            step.blocks.iter().flat_map(|block| &block.spans).any(|span| span.text == "Question.")
        };
        let asking: Vec<_> = lesson.steps.iter().filter(is_question).collect();
        assert_eq!(asking.len(), 1, "{title}");
        assert!(!asking[0].answer.is_empty(), "{title}");
        assert_eq!(lesson.steps.iter().filter(|step| !step.answer.is_empty()).count(), 1);
    }
}

#[test]
fn lesson_1_both_networks_tell_the_classes_apart_but_one_knows_where_data_is() {
    let outside = [2, 3].map(|step| {
        let mut lab = lab(1, step);
        let surface = lab.surface().clone();
        // The class that the network sees where data of each class is.
        let data = jempp::data::Density::TwoMoons.sample(1000, 5, 1);
        let points = data.gather(0..data.len());
        let side = surface.energy.len().isqrt();
        let place = |v: f32| ((v / cells::EXTENT + 1.0) * 0.5 * side as f32) as usize;
        let right = points.chunks_exact(2).zip(&data.labels).filter(|(p, label)| {
            u32::from(surface.classes[place(p[1]) * side + place(p[0])]) == **label
        });
        let accuracy = right.count() as f32 / data.len() as f32;
        assert!(accuracy > 0.97, "step {step}: accuracy {accuracy}");
        let at_data = mean(&energies(&lab, &points));
        let corners = mean(&energies(&lab, &[-1.4, -1.4, 1.4, -1.4, -1.4, 1.4, 1.4, 1.4]));
        let frame = run(&mut lab, 1000);
        let outside = share_outside(&frame.lanes[0].x);
        println!("lesson 1, step {step}: {accuracy} {at_data} {corners} {outside}");
        (at_data < corners, outside)
    });
    assert!(!outside[0].0 && outside[0].1 > 0.5, "the classifier's chains leave: {outside:?}");
    assert!(outside[1].0 && outside[1].1 < 0.02, "the joint model's chains stay: {outside:?}");
}

#[test]
fn lesson_2_descent_ends_in_modes_whose_shares_are_not_their_probabilities() {
    let mut lab = lab(2, 2);
    let x = run(&mut lab, 600).lanes[0].x.clone();
    let moved = run(&mut lab, 50).lanes[0].x.clone();
    assert!(max_difference(&x, &moved) < 1e-3, "the chains stand still");
    let modes = [([-0.55, -0.3], 0.5), ([0.5, -0.35], 0.3), ([0.1, 0.6], 0.2)];
    let shares = modes.map(|(mode, _): ([f32; 2], f32)| {
        let is_near = |p: &&[f32]| (p[0] - mode[0]).hypot(p[1] - mode[1]) < 0.05;
        x.chunks_exact(2).filter(is_near).count() as f32 / (x.len() / 2) as f32
    });
    println!("lesson 2: {shares:?}");
    assert!(
        (shares.iter().sum::<f32>() - 1.0).abs() < 0.01,
        "every chain is at a mode: {shares:?}"
    );
    let apart = modes.iter().zip(shares).map(|(mode, share)| (mode.1 - share).abs());
    assert!(apart.fold(0.0, f32::max) > 0.08, "{shares:?}");
}

#[test]
fn lesson_3_chains_sample_the_power_beta_and_not_p() {
    let betas = [1.0, 4.0];
    for (step, beta) in [(1, betas[0]), (2, betas[1])] {
        let state = state(3, step);
        let of_rule = state.lab.rules[0].sampler.inverse_temperature();
        assert!((of_rule / beta - 1.0).abs() < 0.01, "{of_rule}");
        let mut lab = lab_of(&state.lab);
        let x = run(&mut lab, 1200).lanes[0].x.clone();
        let (to_power, chance) = variation(&lab, &x, beta);
        let (to_p, _) = variation(&lab, &x, 1.0);
        println!("lesson 3, step {step}: {to_power} (chance {chance}), to p {to_p}");
        assert!(to_power < chance + 0.05, "{to_power} {chance}");
        assert_eq!(to_p > 0.3, beta > 1.0, "{to_p}");
    }
    let coldest = state(3, 3).lab.rules[0].sampler.inverse_temperature();
    assert!((coldest / 20_000.0 - 1.0).abs() < 0.02, "{coldest}");
    // The answer.
    assert!(((2.0f64 * 0.002).sqrt() - 0.063).abs() < 3e-4);
}

#[test]
fn lesson_4_sgld_explodes_within_20_steps_and_proximal_sgld_never_does() {
    let mut state = state(4, 1);
    let kinds = state.lab.rules.iter().map(|rule| rule.sampler.kind).collect::<Vec<_>>();
    assert_eq!(kinds, [SamplerKind::Sgld, SamplerKind::ProximalSgld]);
    // Far above all energies of the box, which end at 71.
    const BOUND: f32 = 1e3;
    let mut num_exploded = 0;
    for seed in 0..10 {
        state.lab.config.seed = seed;
        let mut lab = lab_of(&state.lab);
        let mut exploded = false;
        for step in 0..200 {
            block_on(lab.advance());
            let frame = lab.frame();
            let energy = frame.lanes[0].mean_energy;
            exploded |= step < 20 && (energy.is_nan() || energy > BOUND);
            assert!(frame.lanes[1].mean_energy < BOUND, "seed {seed}, step {step}");
            assert!(frame.lanes[1].x.iter().all(|v| v.abs() <= 1.0));
        }
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
    // 1 / √(1 - α / (2 s²)) with s = 0.09.
    let spread = (1.0f64 - 0.008 / (2.0 * 0.09 * 0.09)).sqrt().recip();
    assert!((spread - 1.4).abs() < 0.02, "{spread}");
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

/// The chains of the open model at the end of the run that a state plays.
fn play(state: ViewState) -> Viewer {
    let Worker { commands, events, .. } = worker::spawn("cpu".into(), || {}).unwrap();
    let num_steps = state.view.num_steps as u64;
    let mut viewer = Viewer::new(state);
    while viewer.last_step() < num_steps {
        for command in viewer.take_commands() {
            commands.send(command).unwrap();
        }
        for event in events.recv_timeout(Duration::from_secs(300)).unwrap() {
            viewer.take(event);
        }
    }
    viewer
}

#[test]
fn lesson_5_garments_from_class_centres_end_lower_than_from_noise() {
    let viewer = play(state(5, 2));
    let lanes = &viewer.shown_numbers().unwrap().1;
    let [from_noise, from_centres] = [0, 1].map(|lane: usize| mean(&lanes[lane].energy));
    println!("lesson 5, garments: {from_noise} {from_centres}");
    assert!(from_centres < from_noise - 1.0, "{from_noise} {from_centres}");
}

#[test]
fn lesson_7_ten_inner_steps_with_images_are_one_ten_times_as_long() {
    let viewer = play(state(7, 3));
    let (step, lanes) = viewer.shown_images().unwrap();
    assert_eq!((*step, lanes.len()), (5, 2));
    assert!(lanes[0].x == lanes[1].x, "not the same pictures");
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
    assert!(eight_valleys.0 > 1.5 && eight_valleys.2 < eight_valleys.3 + 0.15);
    assert!(one_of_eight.0 < 1.05 && one_of_eight.1 > 500.0);
    assert!(one_of_eight.2 > 0.8);
}

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

#[test]
fn lesson_8_healthy_learning_swings_about_0_and_lagging_chains_make_it_swing_by_tens() {
    let learn = |step: usize, num_steps: usize, edit: &dyn Fn(&mut LabState)| {
        let mut state = state(8, step).lab;
        edit(&mut state);
        let mut lab = lab_of(&state);
        assert_eq!(lab.state().config.target, LabTarget::Learned);
        let mut diverged = false;
        for _ in 0..num_steps {
            diverged |= block_on(lab.learner().unwrap().advance()).is_err();
        }
        block_on(lab.follow_learner()).unwrap();
        let gaps = block_on(lab.learner().unwrap().frame()).gaps;
        let (points, _) = lab.learner().unwrap().data();
        let energy = lab.surface().energy.clone();
        let range = energy.iter().copied().fold(f32::NEG_INFINITY, f32::max)
            - energy.iter().copied().fold(f32::INFINITY, f32::min);
        let contrast = mean(&energy) - mean(&energies(&lab, &points));
        (gaps, range, contrast, diverged)
    };
    let (gaps, _, contrast, diverged) = learn(1, 400, &|_| {});
    let late = &gaps[300..];
    let largest = late.iter().map(|gap| gap.abs()).fold(0.0, f32::max);
    println!("lesson 8, healthy: mean {} largest {largest} contrast {contrast}", mean(late));
    assert!(!diverged && largest < 1.0 && mean(late).abs() < 0.2);
    assert!(contrast > 1.0, "data lie lower than the plane: {contrast}");
    let signs = late.windows(2).filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0)).count();
    assert!(signs > 5, "d swings about 0: {signs}");

    let (gaps, range, contrast, diverged) = learn(2, 400, &|_| {});
    let largest = gaps.iter().map(|gap| gap.abs()).fold(0.0, f32::max);
    println!("lesson 8, lagging: largest {largest} range {range} contrast {contrast} {diverged}");
    assert!(largest > 20.0, "{largest}");
    // The answer.
    let late = |edit: &dyn Fn(&mut LabState)| {
        let (gaps, ..) = learn(2, 400, edit);
        gaps[200..].iter().map(|gap| gap.abs()).fold(0.0, f32::max)
    };
    let more_steps = late(&|state| state.config.learn_chain_steps = 20);
    let lower_rate = late(&|state| state.config.learn_rate = 0.002);
    let no_noise = late(&|state| {
        state.config.learn_chain_steps = 20;
        state.config.learn_noise_std = 0.0;
    });
    println!("lesson 8: K = 20 {more_steps}, rate {lower_rate}, no noise {no_noise}");
    assert!(more_steps < 2.0 && lower_rate > 3.0 && no_noise < more_steps);

    let (_, _, contrast, _) = learn(3, 400, &|_| {});
    println!("lesson 8, classifier: contrast {contrast}");
    assert!(contrast < 0.5, "{contrast}");
}

#[test]
fn a_teacher_may_bring_other_texts() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("2.md"), "# Mine\n\nNo heading, *no* state.").unwrap();
    let text = |number| block_on(lessons::text(number, Some(folder.path())));
    let mine = Lesson::parse(&text(2).unwrap());
    assert_eq!((mine.title.as_str(), mine.steps.len()), ("Mine", 1));
    assert_eq!(mine.steps[0].state(), None);
    assert!(text(3).unwrap_err().to_string().contains("3.md"));
    assert_eq!(Lesson::parse("").steps.len(), 1);
}

#[test]
fn a_link_to_a_lesson_sets_it_up() {
    let view = ViewState::from_query("lesson=3").unwrap();
    let mut viewer = Viewer::new(view);
    assert_eq!(viewer.view.view.lesson, 3);
    viewer.set_up(lesson(3).steps[1].state().unwrap());
    assert_eq!((viewer.view.view.tab, viewer.view.view.lesson), (Tab::Lab, 3));
    assert_eq!(viewer.view.lab, state(3, 2).lab);
    // What somebody changed beside a lesson survives a link.
    viewer.view.lab.config.num_chains = 77;
    let link = viewer.view.to_query();
    assert_eq!(ViewState::from_query(&link).unwrap(), viewer.view);
}
