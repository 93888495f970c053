//! The lab: its densities, its measurements, and the state that it keeps when a setting changes.
use std::time::Duration;

use crate::common::max_difference;
use jempp::{
    config::{LabState, LabTarget, MAX_DABS, SamplerKind, ViewStart, ViewState},
    device,
    diagnostics::cells::{self, Cells, NUM_CELLS, NoMasses},
    streams,
    worker::{
        self, Command, Event, Worker,
        lab::{Lab, LabCommand, LabUpdate},
    },
};
use pollster::block_on;
use rand::RngExt;

fn state(query: &str) -> LabState {
    ViewState::from_query(query).unwrap().lab
}

fn lab(query: &str) -> Lab {
    block_on(Lab::open(state(query), &device::cpu())).unwrap()
}

fn places(lab: &mut Lab) -> Vec<f32> {
    lab.frame().lanes[0].x.clone()
}

const TARGETS: [&str; 9] = [
    "gaussian",
    // A ninth of this density lies outside the plane.
    "gaussian&lab.width=3",
    "mixture",
    "ring",
    "banana",
    "two-moons",
    "eight-gaussians",
    "funnel",
    "painted&lab.painted=10,20,30,40,-50,0",
];

#[test]
fn exact_draws_of_every_density_are_as_far_from_it_as_chance_makes_them() {
    for target in TARGETS {
        const SEEDS: u32 = 6;
        let mut ratios = 0.0;
        for seed in 0..SEEDS {
            let query =
                format!("lab.target={target}&lab.num_chains=5000&lab.start=data&lab.seed={seed}");
            let mut lab = lab(&query);
            let exact = lab.surface().masses(1.0).unwrap();
            let total = exact.masses.iter().sum::<f64>() + exact.outside;
            assert!((total - 1.0).abs() < 1e-9);
            let apart = exact.total_variation(&places(&mut lab));
            ratios += apart / exact.expected_total_variation(5000) / f64::from(SEEDS);
        }
        assert!((ratios - 1.0).abs() < 0.07, "{target}: {ratios} times what chance makes");
    }
}

#[test]
fn mala_keeps_every_density() {
    for target in TARGETS {
        let mut lab = lab(&format!(
            "lab.target={target}&lab.num_chains=5000&lab.start=data&lab.sampler.kind=mala\
             &lab.sampler.step_size=0.001&lab.sampler.noise_std=0.04472"
        ));
        for _ in 0..200 {
            block_on(lab.advance()).unwrap();
        }
        let exact = lab.surface().masses(1.0).unwrap();
        let x = places(&mut lab);
        let (apart, chance) = (exact.total_variation(&x), exact.expected_total_variation(5000));
        assert!(apart < 1.2 * chance, "{target}: {apart}, by chance {chance}");
    }
}

#[test]
fn total_variation_knows_its_ends() {
    // All mass is in one cell of 4 × 4 squares.
    let side = 4 * NUM_CELLS;
    let is_in = |index: usize| index / side / 4 == 5 && index % side / 4 == 7;
    let energy: Vec<f32> =
        (0..side * side).map(|index| if is_in(index) { 0.0 } else { 1e3 }).collect();
    let exact = Cells::of_energy(&energy, &[], 1.0).unwrap();
    let side = NUM_CELLS;
    let inside = cells::grid(side).nth(5 * side + 7).unwrap();
    assert!(exact.total_variation(&inside.repeat(10)) < 1e-12);
    let elsewhere = cells::grid(side).nth(5 * side + 8).unwrap();
    assert!((exact.total_variation(&elsewhere.repeat(10)) - 1.0).abs() < 1e-12);
    assert!((exact.total_variation(&[9.0, f32::NAN]) - 1.0).abs() < 1e-12);
    let half = [inside, elsewhere].concat();
    assert!((exact.total_variation(&half) - 0.5).abs() < 1e-12);
    assert_eq!(exact.expected_total_variation(100), 0.0);
    assert_eq!((exact.marginal(0)[7], exact.marginal(1)[5]), (1.0, 1.0));
    let of = |energy: &[f32], beta| Cells::of_energy(energy, &[], beta).unwrap_err();
    assert_eq!(of(&energy, f64::INFINITY), NoMasses::NoNoise);
    assert_eq!(of(&vec![f32::NAN; side * side], 1.0), NoMasses::NoEnergy);
    // A valley that falls by 3 per square is too narrow for these squares.
    let steep: Vec<f32> = (0..side * side).map(|index| 3.0 * (index % side) as f32).collect();
    assert_eq!(of(&steep, 1.0), NoMasses::TooNarrow);
    assert!(Cells::of_energy(&steep, &[], 0.5).is_ok());
}

#[test]
fn what_chance_makes_is_what_draws_have_on_average() {
    let mut rng = streams::BATCH_ORDER.rng(3, 0);
    // 4 × 4 squares have equal mass, and the rest is empty.
    let energy: Vec<f32> = (0..NUM_CELLS * NUM_CELLS)
        .map(|i| if i / NUM_CELLS < 4 && i % NUM_CELLS < 4 { 0.0 } else { 1e3 })
        .collect();
    let exact = Cells::of_energy(&energy, &[], 1.0).unwrap();
    for count in [3, 40, 1000] {
        let rounds = 400;
        let total: f64 = (0..rounds)
            .map(|_| {
                let uniforms = (0..count).map(|_| std::array::from_fn(|_| rng.random::<f64>()));
                let uniforms: Vec<[f64; 3]> = uniforms.collect();
                let points: Vec<[f32; 2]> =
                    cells::draw(&energy, &[], uniforms.into_iter()).collect();
                exact.total_variation(&points.concat())
            })
            .sum();
        let (mean, expected) = (total / f64::from(rounds), exact.expected_total_variation(count));
        assert!((mean / expected - 1.0).abs() < 0.05, "{count}: {mean} {expected}");
    }
}

#[test]
fn the_power_beta_is_narrower() {
    let lab = lab("lab.target=gaussian");
    let spread = |beta: f64| {
        let marginal = lab.surface().masses(beta).unwrap().marginal(0);
        let at = |cell: usize| 2.0 * (cell as f64 + 0.5) / NUM_CELLS as f64 - 1.0;
        marginal.iter().enumerate().map(|(cell, mass)| mass * at(cell).powi(2)).sum::<f64>().sqrt()
    };
    let ratio = spread(1.0) / spread(4.0);
    assert!((ratio - 2.0).abs() < 0.05, "{ratio}");
}

/// Changes the state. Returns whether the surface changed, whether the chains restarted, and their step.
fn change(lab: &mut Lab, edit: &dyn Fn(&mut LabState)) -> (bool, bool, u64) {
    let mut state = lab.state().clone();
    edit(&mut state);
    let changes = block_on(lab.set(state)).unwrap();
    (changes.surface, changes.restarted, lab.step())
}

#[test]
fn what_is_changed_decides_what_begins_anew() {
    let mut lab = lab("lab.target=mixture&lab.num_chains=50");
    for _ in 0..5 {
        block_on(lab.advance()).unwrap();
    }
    let before = places(&mut lab);
    assert_eq!(change(&mut lab, &|state| state.config.width = 1.3), (true, false, 5));
    assert_eq!(
        change(&mut lab, &|state| state.rules[0].sampler.step_size = 0.001),
        (false, false, 5)
    );
    assert_eq!(change(&mut lab, &|state| state.config.contours = false), (false, false, 5));
    let x = places(&mut lab);
    assert_eq!(x, before, "the chains stay where they are");
    assert_eq!(change(&mut lab, &|state| state.config.seed = 1), (false, true, 0));
    assert_eq!(
        change(&mut lab, &|state| state.rules.push(state.rules[0].clone())),
        (false, true, 0)
    );
    assert_eq!(
        change(&mut lab, &|state| state.rules[1].start = ViewStart::ClassCenters),
        (false, true, 0)
    );
    assert_eq!(change(&mut lab, &|state| state.config.target = LabTarget::Ring), (true, true, 0));
}

#[test]
fn the_same_seed_gives_the_same_chains_and_rules_share_it() {
    let mut one = lab("lab.target=funnel&lab.num_chains=40&lab.seed=4");
    let mut two =
        lab("lab.target=funnel&lab.num_chains=40&lab.seed=4&lab2.sampler.proximal_radius=20");
    for _ in 0..10 {
        block_on(one.advance()).unwrap();
        block_on(two.advance()).unwrap();
    }
    let (one, two) = (one.frame(), two.frame());
    assert_eq!(one.lanes[0].x, two.lanes[0].x);
    assert_eq!(two.lanes[0].x, two.lanes[1].x);
}

#[test]
fn a_step_that_is_taken_apart_adds_up() {
    let mut lab = lab("lab.target=banana&lab.num_chains=9&lab.sampler.kind=proximal-sgld\
         &lab.sampler.proximal_radius=3&lab.sampler.step_size=0.01&lab.sampler.noise_std=0.1");
    lab.track(7);
    for _ in 0..20 {
        let before = places(&mut lab);
        block_on(lab.advance()).unwrap();
        let frame = lab.frame();
        let step = frame.lanes[0].tracked.unwrap();
        assert_eq!((step.chain, step.accepted), (7, None));
        assert_eq!(step.from.to_vec(), before[14..16]);
        assert_eq!(step.to.to_vec(), frame.lanes[0].x[14..16]);
        for axis in 0..2 {
            let clamped = step.gradient[axis].clamp(-3.0, 3.0);
            let sum = step.from[axis] - step.step_size * clamped + step.noise[axis];
            assert!((sum.clamp(-1.0, 1.0) - step.to[axis]).abs() < 1e-6);
        }
        assert_eq!(frame.lanes[0].traces.len(), 3 * 9);
        assert_eq!(frame.lanes[0].traces[..2], before[..2]);
    }
    // A later change does not alter the reported move.
    change(&mut lab, &|state| {
        state.rules[0].sampler.proximal_radius = 9.0;
        state.rules[0].sampler.noise_std = 0.2;
    });
    let step = lab.frame().lanes[0].tracked.unwrap();
    assert_eq!((step.proximal_radius, step.noise_std), (Some(3.0), 0.1));
    assert!(!step.has_inner_steps);
}

#[test]
fn a_schedule_is_laid_out_over_all_steps_or_is_none() {
    let last_step_size = |more: &str| {
        let query = format!(
            "lab.target=ring&lab.num_chains=4&lab.sampler.step_size=0.001&lab.sampler.step_schedule=linear\
             &lab.sampler.final_step_factor=0.1{more}"
        );
        let mut lab = lab(&query);
        for _ in 0..40 {
            block_on(lab.advance()).unwrap();
        }
        lab.frame().lanes[0].tracked.unwrap().step_size
    };
    assert_eq!(last_step_size(""), 0.001);
    assert!((last_step_size("&lab.num_steps=40") - 0.0001).abs() < 1e-8);
}

#[test]
fn what_cannot_be_shown_is_refused_and_changes_nothing() {
    let mut lab = lab("lab.target=ring&lab.num_chains=10");
    let before = places(&mut lab);
    let refuse = |lab: &mut Lab, edit: &dyn Fn(&mut LabState)| {
        let mut state = lab.state().clone();
        edit(&mut state);
        block_on(lab.set(state)).unwrap_err().to_string()
    };
    let why = refuse(&mut lab, &|state| state.rules[0].start = ViewStart::Buffer);
    assert_eq!(why, "a formula has no replay buffer to start from");
    let why = refuse(&mut lab, &|state| {
        state.rules[0].sampler.kind = SamplerKind::Mala;
        state.rules[0].sampler.noise_std = 0.0;
    });
    assert!(why.contains("noise_std"), "{why}");
    let why = refuse(&mut lab, &|state| {
        state.config.target = LabTarget::Model;
        state.config.model = "fashion".into();
    });
    assert!(why.contains("model of images"), "{why}");
    let why = refuse(&mut lab, &|state| state.rules.clear());
    assert!(why.contains("rules"), "{why}");
    // Another target that does not support the chains' start: neither the energy nor its picture changes.
    let surface = lab.surface().energy.clone();
    let why = refuse(&mut lab, &|state| {
        state.config.target = LabTarget::Gaussian;
        state.rules[0].start = ViewStart::Buffer;
    });
    assert!(why.contains("replay buffer"), "{why}");
    assert_eq!(lab.surface().energy, surface);
    assert_eq!(lab.state(), &state("lab.target=ring&lab.num_chains=10"));
    assert_eq!(places(&mut lab), before);
    block_on(lab.advance()).unwrap();
}

#[test]
fn a_run_that_comes_back_goes_on_with_its_noise() {
    let mut lab = lab("lab.target=ring&lab.num_chains=50&lab2.sampler.kind=mala");
    let advance = |lab: &mut Lab| (0..7).for_each(|_| block_on(lab.advance()).unwrap());
    let x = |lab: &mut Lab| lab.frame().lanes.into_iter().map(|lane| lane.x).collect::<Vec<_>>();
    advance(&mut lab);
    let then = x(&mut lab);
    advance(&mut lab);
    let expected = x(&mut lab);
    block_on(lab.restart()).unwrap();
    block_on(lab.branch(7, then.clone())).unwrap();
    let frame = lab.frame();
    assert!(frame.lanes.iter().zip(&then).all(|(lane, then)| lane.x == *then));
    assert!(frame.lanes[0].traces.is_empty(), "no move leads to where it was");
    advance(&mut lab);
    assert_eq!((x(&mut lab), lab.step()), (expected, 14));
    assert!(block_on(lab.branch(7, vec![vec![0.0; 100]])).is_err(), "one lane of two");
    assert_eq!(lab.step(), 14);
}

#[test]
fn links_carry_the_lab() {
    let mut view = ViewState::from_query(
        "tab=lab&lab.target=painted&lab.painted=-5,10,20,-30&lab2.sampler.kind=mala&lab.start=image\
         &lab.point=70,-20&lab.sampler.step_size=0.25",
    )
    .unwrap();
    assert_eq!(view.lab.config.dabs().collect::<Vec<_>>(), [[-0.05, 0.1], [0.2, -0.3]]);
    assert_eq!(view.lab.config.start_point(), [0.7, -0.2]);
    assert_eq!(view.lab.rules.len(), 2);
    view.lab.config.painted = vec![1; 4 * MAX_DABS];
    assert_eq!(view.lab.config.dabs().count(), MAX_DABS);
    assert_eq!(ViewState::from_query(&view.to_query()).unwrap(), view);
    let error = |query: &str| ViewState::from_query(query).unwrap_err().to_string();
    assert_eq!(error("lab.targt=ring"), "unknown key `lab.targt`; did you mean `lab.target`?");
    assert!(error("lab.num_chains=0").contains("lab.num_chains"));
    assert!(error("lab2.target=ring").contains("lab2.target"));
    assert!(error("lab.target=square").contains("square"));
    assert!(error("lesson=9").contains("lesson"));
}

#[test]
fn a_slice_goes_through_the_path() {
    let Worker { commands, events, .. } = worker::spawn("cpu".into(), || {}).unwrap();
    commands.send(Command::Open("fashion".into())).unwrap();
    // Two images and the one halfway between them.
    let image = |value: f32| vec![value; 784];
    let path = [image(-0.9), image(-0.5), image(-0.1)].concat();
    commands.send(Command::Lab(LabCommand::Slice { path })).unwrap();
    commands.send(Command::Lab(LabCommand::Slice { path: vec![0.0; 784] })).unwrap();
    let mut found = None;
    let mut refused = None;
    while found.is_none() || refused.is_none() {
        for event in events.recv_timeout(Duration::from_secs(120)).unwrap() {
            let Event::Lab(update) = event else { continue };
            match *update {
                LabUpdate::Slice(slice) => found = Some(slice),
                LabUpdate::Refused(why) => refused = Some(why),
                _ => {}
            }
        }
    }
    let slice = found.unwrap();
    assert!(refused.unwrap().contains("has not moved"));
    assert!((slice.explained[0] - 1.0).abs() < 1e-3, "{:?}", slice.explained);
    // A change of 0.4 in each of 784 pixels is 11.2 along the axis.
    let along: Vec<f32> = slice.path.iter().step_by(2).copied().collect();
    assert!(max_difference(&along, &[-11.2, 0.0, 11.2]) < 0.01, "{along:?}");
    assert!(slice.range[0][0] < -11.2 && slice.range[0][1] > 11.2);
    // The square that contains the middle of the path has nearly the same energy.
    let side = slice.energy.len().isqrt();
    let middle = slice.energy[side / 2 * side + side / 2];
    assert!((middle - slice.path_energy[1]).abs() < 1e-3, "{middle} {:?}", slice.path_energy);
}
