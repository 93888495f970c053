//! Runs of chains from a checkpoint, step by step.

use jempp::{
    bundled::{self, BUNDLED_JUDGES, BUNDLED_MODELS, BundledModel},
    chains::{ChainError, ChainRun, ChainSettings, ChainStep},
    checkpoint::{Checkpoint, CheckpointError},
    config::StartKind,
    convergence::{ConvergenceError, ConvergenceSettings, Recorder},
    device,
    energy::{Energy, JointEnergy, denoised},
    shard::Shard,
    starts::SampleStart,
};

use crate::common::{devices, values};

fn moons() -> Checkpoint {
    let mut model = bundled::find("two-moons").unwrap().load().unwrap();
    model.config.sampler.noise_std = 0.01;
    model
}

fn short() -> ChainSettings {
    ChainSettings { per_class: 3, num_steps: 4, ..ChainSettings::default() }
}

fn all(run: ChainRun) -> Vec<ChainStep> {
    run.collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_run_yields_its_starts_every_step_and_its_end() {
    let (model, device) = (moons(), device::cpu());
    let run = ChainRun::new(&model, &short(), &device).unwrap();
    assert_eq!(run.labels(), [0, 0, 0, 1, 1, 1]);
    let start = values(run.start().clone());
    let steps = all(run);
    assert_eq!(steps.iter().map(|step| step.step).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(steps.iter().filter(|step| step.is_last).count(), 1);
    assert!(steps[4].is_last && steps[4].sampler.is_none() && steps[3].sampler.is_some());
    assert_eq!(values(steps[0].x.clone()), start);
    let energy = JointEnergy::new(&model.network(&device).unwrap());
    for step in &steps {
        assert_eq!(step.energies, values(energy.gradient(step.x.clone()).energy));
        assert!(step.images.is_none() && step.logits.is_none() && step.judged.is_none());
        assert!(step.gradient_norms.iter().all(|norm| *norm > 0.0));
    }
}

#[test]
fn chains_of_the_sampler_stay_digits_and_go_on_changing() {
    let load = |models: &[BundledModel], name: &str| {
        models.iter().find(|model| model.name == name).unwrap().load().unwrap()
    };
    let model = load(BUNDLED_MODELS, bundled::SAMPLER);
    let judge = load(BUNDLED_JUDGES, "mnist-judge");
    let settings = ChainSettings { per_class: 2, num_steps: 1500, ..ChainSettings::default() };
    let mut run = ChainRun::new(&model, &settings, &device::cpu()).unwrap();
    run = run.with_judge(&judge).unwrap();
    let mut before: Option<Vec<f32>> = None;
    while let Some(step) = run.next() {
        let step = step.unwrap();
        run.read_images((step.step + 1) % 500 == 0);
        let Some(images) = step.images.as_ref().filter(|_| step.step >= 500) else { continue };
        // Noise would be of one class: two of twenty.
        let classes = &step.judged.as_ref().unwrap().classes;
        let own = classes.iter().zip(run.labels()).filter(|(seen, label)| seen == label);
        assert!(own.count() >= 14, "step {}: {classes:?}", step.step);
        assert!(step.energies.iter().all(|energy| energy.abs() < 6.0), "{:?}", step.energies);
        // The images have no noise, so this is another digit or another hand.
        if let Some(before) = before.replace(images.clone()) {
            let moved = step.distances(&before).unwrap();
            assert!(moved.iter().filter(|moved| **moved > 4.0).count() >= 16, "{moved:?}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_chains_and_another_others() {
    let (model, device) = (moons(), device::cpu());
    let end = |seed| {
        let settings = ChainSettings { seed, ..short() };
        let steps = all(ChainRun::new(&model, &settings, &device).unwrap());
        values(steps[4].x.clone())
    };
    assert_eq!(end(1), end(1));
    assert_ne!(end(1), end(2));
}

#[test]
fn the_parts_of_a_run_have_its_chains() {
    let model = moons();
    for device in devices() {
        let settings = ChainSettings { per_class: 7, num_steps: 3, ..ChainSettings::default() };
        let ends = |shard| {
            let settings = ChainSettings { shard, ..settings.clone() };
            let run = ChainRun::new(&model, &settings, &device).unwrap();
            let (labels, first) = (run.labels().to_vec(), run.first_chain());
            let mut steps = all(run);
            let end = steps.pop().unwrap();
            (first, labels, end.energies, values(end.x))
        };
        let whole = ends(Shard::WHOLE);
        for count in [2, 3, 14] {
            let mut found = (0, Vec::new(), Vec::new(), Vec::new());
            for number in 1..=count {
                let (first, labels, energies, x) = ends(Shard::new(number, count).unwrap());
                assert_eq!(first, found.1.len(), "part {number} of {count}");
                found.1.extend(labels);
                found.2.extend(energies);
                found.3.extend(x);
            }
            assert_eq!(found, whole, "{count} parts");
        }
        let shard = Shard::new(1, 15).unwrap();
        let refused = ChainRun::new(&model, &ChainSettings { shard, ..settings }, &device).err();
        assert!(matches!(refused, Some(ChainError::TooManyParts { num_chains: 14, .. })));
    }
}

#[test]
fn images_and_logits_are_read_when_they_are_wanted() {
    let (model, device) = (moons(), device::cpu());
    let mut run = ChainRun::new(&model, &short(), &device).unwrap();
    run.read_logits();
    run.read_images(true);
    let first = run.next().unwrap().unwrap();
    let start = first.images.clone().unwrap();
    assert_eq!(first.logits.as_ref().map(Vec::len), Some(6 * 2));
    let (p, log_p) = (first.class_probabilities().unwrap(), first.log_probabilities().unwrap());
    for (p, log_p) in p.chunks(2).zip(log_p.chunks(2)) {
        assert!((p[0] + p[1] - 1.0).abs() < 1e-6 && (log_p[0].exp() - p[0]).abs() < 1e-6);
    }
    assert_eq!(first.distances(&start), Some(vec![0.0; 6]));
    let second = run.next().unwrap().unwrap();
    assert!(second.distances(&start).unwrap().iter().all(|far| *far > 0.0));
    run.read_images(false);
    assert!(run.next().unwrap().unwrap().images.is_none());
}

#[test]
fn a_classifier_that_saw_no_noise_reads_chains_without_it() {
    let (mut model, device) = (moons(), device::cpu());
    model.config.sampler.denoise_step = 0.5;
    for classify_noisy in [true, false] {
        model.config.data.classify_noisy = classify_noisy;
        let mut run = ChainRun::new(&model, &short(), &device).unwrap();
        run.read_logits();
        let energy = run.energy().clone();
        for step in all(run) {
            // The starts have no noise.
            let is_clean = !classify_noisy && step.step > 0;
            let clean = denoised(step.x.clone(), step.info.gradient.clone(), 0.5);
            let [as_is, clean] = [step.x.clone(), clean].map(|x| values(energy.logits(x)));
            assert_ne!(as_is, clean);
            let expected = if is_clean { clean } else { as_is };
            let logits = step.logits.unwrap();
            for (found, expected) in logits.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-4, "{found} {expected}");
            }
        }
    }
}

#[test]
fn a_run_that_is_stopped_ends_with_the_state_at_hand() {
    let model = moons();
    for device in devices() {
        let settings = ChainSettings { num_steps: 1_000_000, ..short() };
        let start = || ChainRun::new(&model, &settings, &device).unwrap();
        let mut run = start();
        assert!(!run.next().unwrap().unwrap().is_last);
        run.stop();
        assert!(run.is_at_end());
        let last = run.next().unwrap().unwrap();
        assert!(last.is_last && last.step == 1 && run.next().is_none());
        // A GPU began this state before the stop, and another one before the logits were wanted.
        let mut whole = start();
        let steps: Vec<_> = whole.by_ref().take(2).map(Result::unwrap).collect();
        assert_eq!(steps[1].energies, last.energies);
        whole.read_logits();
        assert!(whole.next().unwrap().unwrap().logits.is_some());
    }
}

#[test]
fn chains_of_a_start_begin_alike_and_part() {
    let (model, device) = (moons(), device::cpu());
    let settings = ChainSettings { per_class: 4, chains_per_start: 2, ..short() };
    let steps = all(ChainRun::new(&model, &settings, &device).unwrap());
    let point =
        |step: usize, chain: usize| values(steps[step].x.clone())[2 * chain..][..2].to_vec();
    assert_eq!(point(0, 0), point(0, 1));
    assert_ne!(point(0, 0), point(0, 2));
    assert_ne!(point(4, 0), point(4, 1), "their noise is their own");
}

#[test]
fn settings_that_do_not_fit_the_model_are_refused() {
    let (model, device) = (moons(), device::cpu());
    let refused = |settings: ChainSettings| ChainRun::new(&model, &settings, &device).err();
    let class = refused(ChainSettings { classes: vec![0, 2], ..short() });
    assert!(matches!(class, Some(ChainError::NoSuchClass { class: 2, .. })), "{class:?}");
    for (per_class, chains_per_start) in [(0, 1), (4, 3), (4, 0)] {
        let found = refused(ChainSettings { per_class, chains_per_start, ..short() });
        assert!(matches!(found, Some(ChainError::UnevenStarts { .. })), "{found:?}");
    }
    let image = SampleStart::Image(vec![0.0; 3].into());
    assert!(matches!(
        refused(ChainSettings { start: image, ..short() }),
        Some(ChainError::Start(_))
    ));
    let buffer = ChainSettings { start: SampleStart::Buffer, ..short() };
    assert!(matches!(refused(buffer), Some(ChainError::Start(_))), "a packed model has no chains");
    let fresh = ChainSettings { start: SampleStart::Fresh(StartKind::Uniform), ..short() };
    let judge = bundled::find("fashion").unwrap().load().unwrap();
    let judged = ChainRun::new(&model, &fresh, &device).unwrap().with_judge(&judge);
    let found = judged.err();
    assert!(
        matches!(found, Some(ChainError::Checkpoint(CheckpointError::OtherJudge { .. }))),
        "{found:?}"
    );
}

#[test]
fn a_recorder_takes_part_in_a_run_and_diagnoses_it() {
    let (model, device) = (moons(), device::cpu());
    let settings = ChainSettings { num_steps: 12, ..short() };
    let mut run = ChainRun::new(&model, &settings, &device).unwrap();
    let wanted = ConvergenceSettings { warmup: Some(4), short: Some(3) };
    let mut recorder = Recorder::new(&mut run, &wanted).unwrap();
    let names = recorder.names();
    let mut draws = Vec::new();
    for step in &mut run {
        if let Some(draw) = recorder.see(&step.unwrap()).unwrap() {
            assert_eq!(draw.summaries.len(), names.len());
            assert!(draw.summaries.iter().all(|column| column.len() == 6));
            draws.push(draw.draw);
        }
    }
    assert_eq!(draws, (0..8).collect::<Vec<_>>());
    let mut num_short = 0;
    let found = recorder.finish(&run, &mut |_, _| {
        num_short += 1;
        std::ops::ControlFlow::Continue(())
    });
    let found = found.unwrap();
    assert_eq!((found.num_chains, found.num_draws, num_short), (6, 8, 3));
    assert!(found.is_complete() && found.summaries.len() == names.len());

    let mut run = ChainRun::new(&model, &short(), &device).unwrap();
    let few = Recorder::new(&mut run, &ConvergenceSettings::default()).err();
    assert!(matches!(few, Some(ConvergenceError::TooFewDraws { num_draws: 2, .. })), "{few:?}");
}
