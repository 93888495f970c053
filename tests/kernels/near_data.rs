//! The terms of the loss that look next to the data, and the curriculum of the chains.

use crate::common::{tiny_config, tiny_dataset, values};
use burn::tensor::{Tensor, TensorData};
use jempp::{
    config::RunConfig,
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
    (0..40).for_each(|_| drop(step(&mut classifier)));
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
    (0..60).for_each(|_| drop(step(&mut plain)));
    let weights = block_on(weights_of(plain.network())).unwrap();
    let mut fooled = trainer(attacked);
    let mut checkpoint = block_on(fooled.checkpoint()).unwrap();
    checkpoint.weights = weights;
    fooled = Trainer::resume(checkpoint, tiny_dataset(NUM_IMAGES), &device::cpu()).unwrap();
    let plain_under_attack = step(&mut fooled).terms.cross_entropy;
    assert!(last < plain_under_attack, "{last} {plain_under_attack}");
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
            let auc = step(&mut trainer).terms.auc;
            assert!((0.0..=1.0).contains(&auc), "{auc}");
            trainer.counters().added_chain_steps
        })
        .collect();
    assert_eq!(added[0], 0);
    assert!(added.is_sorted() && added[79] == 2, "one at a time, and no more: {added:?}");
    let checkpoint = block_on(trainer.checkpoint()).unwrap();
    let mut resumed =
        Trainer::resume(checkpoint, tiny_dataset(NUM_IMAGES), &device::cpu()).unwrap();
    assert_eq!(step(&mut trainer), step(&mut resumed), "with as many steps");
}
