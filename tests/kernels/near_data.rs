//! The terms of the loss that look next to the data, and the curriculum of the chains.

use crate::common::{tiny_config, tiny_dataset, values};
use burn::tensor::{Tensor, TensorData};
use jempp::{
    config::RunConfig,
    data::Dataset,
    device,
    energy::{Energy, JointEnergy},
    model::weights_of,
    trainer::{StepReport, Trainer},
};
use pollster::block_on;

const NUM_IMAGES: usize = 32;

/// A run whose every batch is the whole data set, without noise on it.
fn trainer(changes: &[&str]) -> Trainer {
    let all = ["data.batch_size=32", "data.input_noise_std=0", "objective.p_x_weight=0"];
    let plain = ["optimizer.kind=sgd", "optimizer.momentum=0", "optimizer.learning_rate=1e-3"];
    let changes = all.iter().chain(&plain).chain(changes);
    let config =
        changes.fold(tiny_config(), |config: RunConfig, set| config.with_assignment(set).unwrap());
    Trainer::new(config, tiny_dataset(NUM_IMAGES), &device::cpu()).unwrap()
}

fn step(trainer: &mut Trainer) -> StepReport {
    block_on(trainer.step()).unwrap()
}

/// ½ mean ‖∂E/∂x‖² over the data.
fn penalty(trainer: &Trainer) -> f64 {
    let data = tiny_dataset(NUM_IMAGES);
    let [c, h, w] = data.shape;
    let x = TensorData::new(data.gather(0..NUM_IMAGES), [NUM_IMAGES, c, h, w]);
    let x = Tensor::<4>::from_data(x, &device::cpu());
    let gradient = values(JointEnergy::new(trainer.network()).gradient(x).gradient);
    let squares: f64 = gradient.iter().map(|&v| f64::from(v * v)).sum();
    0.5 * squares / NUM_IMAGES as f64
}

fn weights(trainer: &Trainer) -> Vec<f32> {
    let mut weights: Vec<_> =
        block_on(weights_of(trainer.network())).unwrap().into_iter().collect();
    weights.sort_by(|(a, _), (b, _)| a.cmp(b));
    weights.into_iter().flat_map(|(_, tensor)| tensor.values).collect()
}

#[test]
fn the_gradient_penalty_falls_as_fast_as_its_gradient_says() {
    let rate = 1e-3;
    // An untrained network is nearly flat.
    let mut classifier = trainer(&["optimizer.learning_rate=0.1"]);
    for _ in 0..40 {
        step(&mut classifier);
    }
    let mut checkpoint = block_on(classifier.checkpoint()).unwrap();
    for set in [
        "objective.p_y_given_x_weight=0",
        "objective.gradient_penalty_weight=1",
        "optimizer.learning_rate=1e-3",
    ] {
        checkpoint.config = checkpoint.config.with_assignment(set).unwrap();
    }
    let mut trainer =
        Trainer::resume(checkpoint, tiny_dataset(NUM_IMAGES), &device::cpu()).unwrap();
    for _ in 0..3 {
        let (before, old) = (penalty(&trainer), weights(&trainer));
        let report = step(&mut trainer);
        let said = report.terms.gradient_penalty;
        assert!((said / before - 1.0).abs() < 0.1, "{said} is said, {before} measured");
        let new = weights(&trainer);
        let moved: f64 = old.iter().zip(&new).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        let (fallen, expected) = (before - penalty(&trainer), moved / rate);
        assert!(expected > 0.0 && (fallen / expected - 1.0).abs() < 0.15, "{fallen} {expected}");
    }
}

#[test]
fn adversarial_images_are_harder_and_are_learnt() {
    let attacked = &["objective.adversarial_radius=0.5", "optimizer.learning_rate=0.1"];
    let (mut plain, mut hard) = (trainer(&attacked[1..]), trainer(attacked));
    let clean = step(&mut plain).terms.cross_entropy;
    let first = step(&mut hard).terms.cross_entropy;
    assert!(first > clean + 0.01, "{first} {clean}");
    let last = (0..60).map(|_| step(&mut hard).terms.cross_entropy).last().unwrap();
    assert!(last < 0.7 * first, "{first} to {last}");
    // The plain network, trained as long, is fooled more.
    for _ in 0..60 {
        step(&mut plain);
    }
    let weights = block_on(weights_of(plain.network())).unwrap();
    let mut fooled = trainer(attacked);
    let mut checkpoint = block_on(fooled.checkpoint()).unwrap();
    checkpoint.weights = weights;
    fooled = Trainer::resume(checkpoint, tiny_dataset(NUM_IMAGES), &device::cpu()).unwrap();
    let plain_under_attack = step(&mut fooled).terms.cross_entropy;
    assert!(last < plain_under_attack, "{last} {plain_under_attack}");
}

#[test]
fn one_class_cannot_be_taken_for_another() {
    let names = vec!["all".to_string()];
    let values = crate::common::scrambled(NUM_IMAGES * 64, 3);
    let of_one = || {
        let labels = vec![0; NUM_IMAGES];
        Dataset::from_floats(values.clone(), labels, [1, 8, 8], names.clone()).unwrap()
    };
    let config = |gap: &str| {
        let changes =
            ["objective.adversarial_radius=0.5", "objective.adversarial_gap_weight=1", gap];
        let set = |config: RunConfig, set: &&str| config.with_assignment(set).unwrap();
        changes.iter().fold(tiny_config(), set)
    };
    let both = config("objective.p_y_given_x_weight=1");
    let said = Trainer::new(both, of_one(), &device::cpu()).err().unwrap().to_string();
    assert!(said.contains("adversarial_radius = 0.5") && said.contains("one class"), "{said}");
    let alone = config("objective.p_y_given_x_weight=0");
    let report = step(&mut Trainer::new(alone, of_one(), &device::cpu()).unwrap());
    assert!(report.terms.adversarial_gap > 0.0, "{report:?}");
}

#[test]
fn the_energy_next_to_images_is_pulled_down() {
    let changes = [
        "objective.adversarial_radius=0.5",
        "objective.adversarial_gap_weight=1",
        "optimizer.learning_rate=0.02",
    ];
    let mut trainer = trainer(&changes);
    let gaps: Vec<f64> = (0..60).map(|_| step(&mut trainer).terms.adversarial_gap).collect();
    assert!(gaps.iter().all(|gap| *gap > 0.0), "the attack finds higher energies: {gaps:?}");
    assert!(gaps[59] < 0.5 * gaps[0], "{gaps:?}");
}

#[test]
fn a_curriculum_adds_steps_while_chains_have_higher_energies_and_resumes() {
    let curriculum = [
        "objective.p_x_weight=1",
        "objective.gap_loss=logistic",
        "sampler.num_steps=1",
        "training.max_chain_steps=3",
        "training.grow_at_auc=0.55",
        "sampler.inner_step_size=1e-6",
        "replay_buffer.reinit_prob=1",
        "sampler.start=uniform",
        "optimizer.learning_rate=0.02",
    ];
    let mut trainer = trainer(&curriculum);
    let added: Vec<usize> = (0..80)
        .map(|_| {
            let before = trainer.counters().added_chain_steps;
            let report = step(&mut trainer);
            assert!((0.0..=1.0).contains(&report.terms.auc), "{report:?}");
            assert_eq!(report.chain_steps, Some(1 + before), "told with the step");
            trainer.counters().added_chain_steps
        })
        .collect();
    assert_eq!(added[0], 0);
    assert!(added.is_sorted() && added[79] == 2, "one at a time, and no more: {added:?}");
    let checkpoint = block_on(trainer.checkpoint()).unwrap();
    assert_eq!(checkpoint.counters.chain_steps(&checkpoint.config), 3);
    let mut resumed =
        Trainer::resume(checkpoint, tiny_dataset(NUM_IMAGES), &device::cpu()).unwrap();
    assert_eq!(step(&mut trainer), step(&mut resumed), "with as many steps");
}

#[test]
fn statistics_that_nothing_gathers_are_refused_in_a_new_run() {
    let frozen = ["model.arch=wrn-10-1", "model.norm=frozen"];
    let config = frozen
        .iter()
        .fold(tiny_config(), |config: RunConfig, set| config.with_assignment(set).unwrap());
    let error = Trainer::new(config, tiny_dataset(NUM_IMAGES), &device::cpu()).err().unwrap();
    assert!(error.to_string().contains("set training.classifier_epochs above 0"), "{error}");
}

/// The running statistics of batch norm, and its scales.
fn of_norms(trainer: &Trainer) -> [Vec<f32>; 2] {
    let mut weights: Vec<_> =
        block_on(weights_of(trainer.network())).unwrap().into_iter().collect();
    weights.sort_by(|(a, _), (b, _)| a.cmp(b));
    ["running", "gamma"].map(|part| {
        let found = weights.iter().filter(|(name, _)| name.contains(part));
        let values: Vec<f32> = found.flat_map(|(_, tensor)| tensor.values.clone()).collect();
        assert!(!values.is_empty(), "{part}");
        values
    })
}

#[test]
fn a_run_trains_its_classifier_first_and_freezes_batch_norm_after_that() {
    let stages = [
        "model.arch=wrn-10-1",
        "model.norm=frozen",
        "training.classifier_epochs=2",
        "objective.p_x_weight=1",
        "objective.adversarial_radius=0.1",
        "objective.adversarial_steps=2",
        "training.max_chain_steps=4",
        "optimizer.ema_decay=0.5",
        "optimizer.learning_rate=0.01",
    ];
    // An epoch is one step.
    let mut trainer = trainer(&stages);
    let mut resumed = None;
    for epoch in 1..=4 {
        let before = of_norms(&trainer);
        let report = step(&mut trainer);
        let [running, scale] = of_norms(&trainer);
        assert_eq!(report.epoch, epoch);
        let is_joint = epoch > 2;
        assert_eq!(report.gap != 0.0, is_joint, "{report:?}");
        assert_eq!(report.gradient_norm > 0.0, is_joint, "{report:?}");
        assert_eq!(report.terms.energy_model != 0.0, is_joint, "{report:?}");
        assert_eq!(running == before[0], is_joint, "statistics of batches in epoch {epoch}");
        assert_ne!(scale, before[1], "scales are trained in both");
        if epoch == 1 {
            let checkpoint = block_on(trainer.checkpoint()).unwrap();
            let data = tiny_dataset(NUM_IMAGES);
            resumed = Some(Trainer::resume(checkpoint, data, &device::cpu()).unwrap());
        } else if let Some(resumed) = &mut resumed {
            assert_eq!(step(resumed), report, "the same stage after a resume");
        }
    }
}

#[test]
fn chains_that_always_start_anew_have_no_buffer() {
    let changes = ["objective.p_x_weight=1", "optimizer.learning_rate=0.02"];
    let next = |reinit_prob: &str, value: f32| {
        let mut trainer = trainer(&[changes[0], changes[1], reinit_prob]);
        step(&mut trainer);
        let mut checkpoint = block_on(trainer.checkpoint()).unwrap();
        checkpoint.replay_buffer.values.fill(value);
        let data = tiny_dataset(NUM_IMAGES);
        step(&mut Trainer::resume(checkpoint, data, &device::cpu()).unwrap())
    };
    let fresh = |value| next("replay_buffer.reinit_prob=1", value);
    assert_eq!(fresh(-1.0), fresh(1.0), "whatever the buffer holds");
    let kept = |value| next("replay_buffer.reinit_prob=0.05", value);
    assert_ne!(kept(-1.0), kept(1.0));
}
