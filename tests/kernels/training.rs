//! Training: the effect of a step, learning, resuming, and recovery from divergence.

use std::{cell::Cell, collections::HashMap, path::Path};

use crate::common::{devices, gpu, max_abs, max_difference, tiny_config, tiny_dataset};
use jempp::{
    Model,
    accuracy::fit_temperature,
    checkpoint::Checkpoint,
    config::RunConfig,
    data::{self, Batches},
    device::{self, ComputeDevice},
    model::{HostTensor, Network, WeightsError, weights_of, with_weights},
    trainer::{Divergence, StepError, StepReport, Trainer},
    training::{self, TrainingError, TrainingEvent},
};
use pollster::block_on;

fn cpu() -> ComputeDevice {
    ComputeDevice::cpu("CPU")
}

fn with(config: &RunConfig, assignments: &[&str]) -> RunConfig {
    assignments.iter().fold(config.clone(), |config, set| config.with_assignment(set).unwrap())
}

#[test]
fn the_first_losses_are_pinned() {
    let config = RunConfig::preset("fashion-quick").unwrap();
    let config = with(
        &config,
        &[
            "seed=1",
            "data.batch_size=16",
            "sampler.num_steps=3",
            "replay_buffer.replay_buffer_size=64",
            "class_centers.max_components=4",
            "optimizer.learning_rate=1e-3",
            "optimizer.warmup_steps=0",
        ],
    );
    let train = data::load(&config.data, 1).unwrap().train;
    let mut trainer = Trainer::new(config, train, &device::cpu()).unwrap();
    let losses: Vec<f64> = (0..4).map(|_| block_on(trainer.step()).unwrap().loss).collect();
    // Recorded from a run of this test. A change of the data order, the initial weights, the chains or the loss shows
    // here first.
    let pinned = PINNED_LOSSES;
    for (found, expected) in losses.iter().zip(pinned) {
        assert!((found - expected).abs() < 2e-3, "{losses:?} instead of {pinned:?}");
    }
}

const PINNED_LOSSES: [f64; 4] = [2.41105, 2.67806, 2.63590, 2.09370];

#[test]
fn a_few_images_are_learnt_by_heart_by_every_sampler_and_optimiser() {
    for changes in [
        &["sampler.kind=pyld"][..],
        &["sampler.kind=pyld", "model.split=2"],
        &["sampler.kind=proximal-sgld", "sampler.noise_std=0.01"],
        &[
            "sampler.kind=sgld",
            "sampler.step_size=0.05",
            "sampler.noise_std=0.01",
            "sampler.start=uniform",
        ],
        &[
            "sampler.kind=normalized-gradient",
            "sampler.step_size=0.2",
            "objective.gap_loss=logistic",
        ],
        &["optimizer.kind=sgd", "optimizer.learning_rate=0.05", "objective.energy_l2_weight=0.01"],
        &["model.arch=wrn-10-1", "model.norm=batch", "objective.p_x_y_weight=0.1"],
        &[
            "optimizer.sam_radius=0.05",
            "optimizer.schedule=cosine",
            "optimizer.ema_decay=0.8",
            "data.crop_padding=1",
            "data.augment_energy=false",
            "objective.gap_loss=softplus",
            "training.epochs=15",
        ],
    ] {
        let mut trainer =
            Trainer::new(with(&tiny_config(), changes), tiny_dataset(32), &device::cpu()).unwrap();
        let step =
            |_| block_on(trainer.step()).unwrap_or_else(|error| panic!("{changes:?}: {error}"));
        let reports: Vec<_> = (0..60).map(step).collect();
        let mean = |part: &[jempp::trainer::StepReport]| {
            part.iter().map(|report| report.terms.cross_entropy).sum::<f64>() / part.len() as f64
        };
        let (first, last) = (mean(&reports[..5]), mean(&reports[55..]));
        assert!(last < 0.25 && last < 0.5 * first, "{changes:?}: {first} to {last}");
        let network = trainer.evaluated_network();
        let accuracy =
            block_on(jempp::accuracy::accuracy(network, &tiny_dataset(64), &device::cpu()))
                .unwrap();
        assert!(accuracy.accuracy > 0.95, "{changes:?}: {accuracy:?}");
    }
}

/// The reports of some steps, and the weights and chains after them.
fn trained(changes: &[&str], device: &burn::tensor::Device) -> (Vec<f64>, Vec<f32>, Vec<f32>) {
    let config = with(&tiny_config(), &["optimizer.kind=sgd", "optimizer.learning_rate=0.01"]);
    let mut trainer = Trainer::new(with(&config, changes), tiny_dataset(32), device).unwrap();
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let report = block_on(trainer.step()).unwrap();
        numbers.push(report.loss);
        numbers.extend(report.terms.named().map(|(_, value)| value));
        numbers.push(report.gradient_norm);
    }
    let mut weights: Vec<_> =
        block_on(weights_of(trainer.evaluated_network())).unwrap().into_iter().collect();
    weights.sort_by(|(a, _), (b, _)| a.cmp(b));
    let weights = weights.into_iter().flat_map(|(_, tensor)| tensor.values).collect();
    (numbers, weights, crate::common::values(trainer.buffer().chains()))
}

#[test]
fn a_batch_in_parts_gives_the_step_of_the_whole_batch() {
    let everything = [
        "objective.gap_loss=softplus",
        "objective.energy_l2_weight=0.1",
        "objective.p_x_y_weight=0.3",
        "objective.gradient_penalty_weight=0.1",
        "objective.adversarial_radius=0.2",
        "objective.adversarial_steps=2",
        "objective.adversarial_gap_weight=0.1",
        "data.augment_energy=false",
        "data.crop_padding=1",
        "optimizer.sam_radius=0.05",
        "optimizer.ema_decay=0.9",
    ];
    let cpu = device::cpu();
    let mut cases = vec![
        (&[][..], cpu.clone()),
        (&["objective.gap_loss=logistic"][..], cpu.clone()),
        (&everything[..], cpu.clone()),
        (&["objective.p_x_weight=0"][..], cpu.clone()),
        (&["model.split=2", "model.arch=wrn-10-1", "model.norm=group"][..], cpu),
    ];
    let on_gpu = ["model.arch=cnn-tiny", "sampler.num_steps=1", "optimizer.sam_radius=0.05"];
    cases.extend(gpu().map(|gpu| (&on_gpu[..], gpu)));
    for (changes, device) in &cases {
        let (numbers, weights, chains) = trained(changes, device);
        // Parts of equal sizes, parts with a smaller last one, and the whole batch, whose images and chains pass one after
        // the other.
        for micro_batch in ["data.micro_batch=2", "data.micro_batch=3", "data.micro_batch=99"] {
            let changes: Vec<&str> = changes.iter().copied().chain([micro_batch]).collect();
            let found = trained(&changes, device);
            for (found, whole) in found.0.iter().zip(&numbers) {
                let difference = (found - whole).abs();
                assert!(difference < 1e-5 * whole.abs().max(1.0), "{changes:?}: {found} {whole}");
            }
            let difference = max_difference(&found.1, &weights);
            assert!(difference < 1e-5 * max_abs(&weights), "{changes:?}: {difference}");
            let difference = max_difference(&found.2, &chains);
            assert!(difference < 1e-5, "{changes:?}: chains {difference}");
        }
    }
}

#[test]
fn batch_norm_in_parts_takes_its_statistics_from_each_part_and_says_so() {
    let changes = ["model.arch=wrn-10-1", "model.norm=batch", "data.micro_batch=4"];
    let device = device::cpu();
    let (in_parts, ..) = trained(&changes, &device);
    let (whole, ..) = trained(&changes[..2], &device);
    assert!((in_parts[0] - whole[0]).abs() > 1e-5, "{} {}", in_parts[0], whole[0]);
    let dir = tempfile::tempdir().unwrap();
    let config = RunConfig::preset("fashion-quick").unwrap();
    let config = with(&config, &["data.batch_size=8", "class_centers.max_components=4"]);
    let (result, events) = run(with(&config, &changes), &dir.path().join("run"), 1);
    result.unwrap();
    let said = |event: &TrainingEvent| matches!(event, TrainingEvent::Warning(text) if text.starts_with("data.micro_batch = 4: batch norm"));
    assert!(events.iter().any(said), "{events:?}");
}

#[test]
fn a_run_may_go_on_with_another_micro_batch() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let (result, _) = run(with(&moons(), &["data.micro_batch=16"]), &out, 2);
    assert!(!result.unwrap());
    let change = |config: RunConfig| config.with_assignment("data.micro_batch=10");
    let steps = Cell::new(0);
    let mut count = |event| {
        steps.set(steps.get() + usize::from(matches!(event, TrainingEvent::Step(_))));
    };
    training::resume(&out, change, &cpu(), &|| steps.get() == 1, &mut count).unwrap();
    let saved = Checkpoint::load(&out.join("checkpoint.safetensors")).unwrap();
    assert_eq!((saved.config.data.micro_batch, saved.counters.step), (10, 3));
}

#[test]
fn chains_are_written_back_only_to_their_slots() {
    let trainer = Trainer::new(tiny_config(), tiny_dataset(32), &device::cpu()).unwrap();
    let chains = |trainer: &Trainer| crate::common::values(trainer.buffer().chains());
    let before = chains(&trainer);
    let mut trainer = trainer;
    block_on(trainer.step()).unwrap();
    let after = chains(&trainer);
    let changed =
        before.chunks(64).zip(after.chunks(64)).filter(|(before, after)| before != after).count();
    assert!((1..=8).contains(&changed), "{changed} of 32 chains changed in a batch of 8");
}

#[test]
fn a_diverged_step_changes_nothing() {
    // Batch norm has running statistics, which a forward pass changes.
    for device in devices() {
        for changes in [
            &["optimizer.ema_decay=0.9"][..],
            &["model.arch=wrn-10-1", "model.norm=batch"],
            &["optimizer.kind=sgd", "optimizer.sam_radius=0.05"],
        ] {
            let mut trainer =
                Trainer::new(with(&tiny_config(), changes), tiny_dataset(32), &device).unwrap();
            for _ in 0..2 {
                block_on(trainer.step()).unwrap();
            }
            let mut saved = block_on(trainer.checkpoint()).unwrap();
            saved.config = with(&saved.config, &["divergence.max_abs_energy=0.001"]);
            let trainer = Trainer::resume(saved, tiny_dataset(32), &device).unwrap();
            check_that_a_diverged_step_changes_nothing(trainer);
        }
    }
}

fn check_that_a_diverged_step_changes_nothing(mut trainer: Trainer) {
    let state = |trainer: &Trainer| {
        (
            block_on(weights_of(trainer.network())).unwrap(),
            block_on(weights_of(trainer.evaluated_network())).unwrap(),
            crate::common::values(trainer.buffer().chains()),
            block_on(trainer.checkpoint()).unwrap().optimizer,
            trainer.counters().clone(),
        )
    };
    let before = state(&trainer);
    let error = block_on(trainer.step()).unwrap_err();
    let StepError::Diverged(divergence) = &error else { panic!("{error}") };
    assert!(
        matches!(divergence, Divergence::PastBound { what: "energy_data", .. }),
        "{divergence}"
    );
    let said = error.to_string();
    let is_told = ["is above its bound 1.000e-3", "is below its bound -1.000e-3"];
    assert!(is_told.iter().any(|words| said.contains(words)), "{said}");
    assert_eq!(state(&trainer), before);
}

/// SGLD has no clamp: with a huge step size, its chains exceed every bound.
const EXPLODING: [&str; 4] = [
    "sampler.kind=sgld",
    "sampler.step_size=1e5",
    "sampler.num_steps=10",
    "optimizer.learning_rate=0.05",
];

fn run(
    config: RunConfig,
    out: &Path,
    stop_after: usize,
) -> (Result<bool, TrainingError>, Vec<TrainingEvent>) {
    // The job loads its data by name, so a 2-D density replaces a tiny data set.
    let (steps, mut events) = (Cell::new(0), Vec::new());
    let stop = || steps.get() == stop_after && stop_after > 0;
    let result = training::train(config, out, &cpu(), &stop, &mut |event| {
        steps.set(steps.get() + usize::from(matches!(event, TrainingEvent::Step(_))));
        events.push(event);
    });
    (result, events)
}

fn moons() -> RunConfig {
    let config = RunConfig::preset("toy-two-moons").unwrap();
    with(
        &config,
        &[
            "data.num_points=600",
            "data.batch_size=64",
            "training.epochs=2",
            "replay_buffer.replay_buffer_size=256",
            "training.eval_every_epochs=1",
        ],
    )
}

#[test]
fn divergence_gives_up_cleanly_with_everything_saved() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let (result, events) = run(with(&moons(), &EXPLODING), &out, 0);
    let error = result.unwrap_err();
    assert!(matches!(error, TrainingError::Diverged { num_recoveries: 5, .. }), "{error}");
    assert!(error.to_string().contains("the last good state is saved in"), "{error}");
    let recoveries = events.iter().filter(|e| matches!(e, TrainingEvent::Recovered { .. })).count();
    assert_eq!(recoveries, 5);
    let saved = Checkpoint::load(&out.join("checkpoint.safetensors")).unwrap();
    assert!(saved.weights.values().flat_map(|t| &t.values).all(|value| value.is_finite()));
    assert!(saved.replay_buffer.values.iter().all(|value| value.is_finite()));
    assert_eq!(saved.counters.num_recoveries, 5);
    let metrics = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    assert!(metrics.contains("diverged_at_step"));
}

#[test]
fn the_last_good_state_is_one_that_a_step_has_checked() {
    // Plain gradient descent with a huge learning rate: every update exceeds the bound. With a snapshot at every
    // step, a careless snapshot would save the broken weights.
    let explodes = [
        "optimizer.kind=sgd",
        "optimizer.learning_rate=10.0",
        "optimizer.momentum=0.0",
        "optimizer.warmup_steps=0",
        "divergence.learning_rate_cut=1.0",
        "divergence.max_recoveries=2",
        "divergence.snapshot_every_steps=1",
        "divergence.max_abs_energy=20.0",
    ];
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let (result, _) = run(with(&moons(), &explodes), &out, 0);
    assert!(matches!(result, Err(TrainingError::Diverged { .. })), "{result:?}");
    let saved = Checkpoint::load(&out.join("checkpoint.safetensors")).unwrap();
    assert!(saved.is_finite());
    let test = data::load(&saved.config.data, 0).unwrap().test;
    let network = saved.network(&device::cpu()).unwrap();
    let found = block_on(jempp::accuracy::accuracy(&network, &test, &device::cpu())).unwrap();
    let energy = found.mean_energy;
    assert!(energy.abs() < 20.0, "mean energy {energy}");
}

#[test]
fn a_recovery_returns_to_the_older_of_two_good_states() {
    let config = with(&tiny_config(), &["divergence.snapshot_every_steps=2"]);
    let mut trainer = Trainer::new(config, tiny_dataset(32), &device::cpu()).unwrap();
    for _ in 0..5 {
        block_on(trainer.step()).unwrap();
    }
    // Saved before the steps 0, 2 and 4; the last snapshot may already contain the divergence.
    assert_eq!(trainer.recover().unwrap().step, 2);
    assert_eq!(trainer.recover().unwrap().step, 2, "there is no other");
}

#[test]
fn the_softplus_gap_is_in_the_loss() {
    let config = with(&tiny_config(), &["objective.gap_loss=softplus", "objective.p_x_weight=0.5"]);
    let mut trainer = Trainer::new(config, tiny_dataset(32), &device::cpu()).unwrap();
    for _ in 0..3 {
        let report = block_on(trainer.step()).unwrap();
        let expected = 0.5 * report.gap.exp().ln_1p() + report.terms.cross_entropy;
        assert!((report.loss - expected).abs() < 1e-5, "{} {expected}", report.loss);
    }
}

#[test]
fn sharpness_aware_gradients_are_those_at_the_climbed_weights() {
    let weights_after_a_step = |radius: &str| {
        let changes =
            ["optimizer.kind=sgd", "optimizer.momentum=0", "optimizer.warmup_steps=0", radius];
        let config = with(&tiny_config(), &changes);
        let mut trainer = Trainer::new(config, tiny_dataset(32), &device::cpu()).unwrap();
        let before = block_on(weights_of(trainer.network())).unwrap();
        block_on(trainer.step()).unwrap();
        let after = block_on(weights_of(trainer.network())).unwrap();
        // The direction of the update is the gradient.
        let mut names: Vec<_> = before.keys().cloned().collect();
        names.sort();
        let moved = |name: &String| {
            let ends = before[name].values.iter().zip(&after[name].values);
            ends.map(|(before, after)| before - after).collect::<Vec<f32>>()
        };
        names.iter().flat_map(moved).collect::<Vec<f32>>()
    };
    let distance =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
    let plain = weights_after_a_step("optimizer.sam_radius=0");
    let [near, far] =
        ["optimizer.sam_radius=0.01", "optimizer.sam_radius=0.02"].map(weights_after_a_step);
    let (near, far) = (distance(&plain, &near), distance(&plain, &far));
    assert!(near > 0.0);
    assert!((far / near - 2.0).abs() < 0.4, "to first order as far as the radius: {near} {far}");
}

#[test]
fn an_adaptive_sharpness_aware_step_takes_the_gradient_at_the_weights_of_its_formula() {
    const RADIUS: f32 = 2.0;
    let changes = [
        "objective.p_x_weight=0",
        "data.input_noise_std=0",
        "optimizer.kind=sgd",
        "optimizer.momentum=0",
        "optimizer.learning_rate=1",
        "optimizer.sam_kind=adaptive",
    ];
    let new = |radius: f32| {
        let radius = format!("optimizer.sam_radius={radius}");
        let config = with(&with(&tiny_config(), &changes), &[&radius]);
        Trainer::new(config, tiny_dataset(32), &device::cpu()).unwrap()
    };
    let flat = |weights: &HashMap<String, HostTensor>| -> Vec<f32> {
        let mut named: Vec<_> = weights.iter().collect();
        named.sort_by_key(|(name, _)| *name);
        named.into_iter().flat_map(|(_, tensor)| tensor.values.clone()).collect()
    };
    // With a learning rate of 1, a step subtracts the gradient.
    let gradient = |mut trainer: Trainer| -> Vec<f32> {
        let before = block_on(weights_of(trainer.network())).unwrap();
        block_on(trainer.step()).unwrap();
        let after = block_on(weights_of(trainer.network())).unwrap();
        flat(&before).iter().zip(flat(&after)).map(|(before, after)| before - after).collect()
    };
    let mut checkpoint = block_on(new(0.0).checkpoint()).unwrap();
    let (w, g) = (flat(&checkpoint.weights), gradient(new(0.0)));
    let norm = w.iter().zip(&g).map(|(w, g)| (w * g).powi(2)).sum::<f32>().sqrt();
    let mut climbed = w
        .iter()
        .zip(&g)
        .map(|(w, g)| w + RADIUS * w * w * g / norm)
        .collect::<Vec<_>>()
        .into_iter();
    let mut names: Vec<String> = checkpoint.weights.keys().cloned().collect();
    names.sort();
    for name in names {
        let values = &mut checkpoint.weights.get_mut(&name).unwrap().values;
        values.iter_mut().for_each(|value| *value = climbed.next().unwrap());
    }
    let expected = gradient(Trainer::resume(checkpoint, tiny_dataset(32), &device::cpu()).unwrap());
    let found = gradient(new(RADIUS));
    let length = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
    let apart = length(&mut found.iter().zip(&expected).map(|(a, b)| a - b));
    let (moved, all) = (
        length(&mut expected.iter().zip(&g).map(|(a, b)| a - b)),
        length(&mut expected.iter().copied()),
    );
    assert!(apart < 1e-3 * all && moved > 0.05 * all, "{apart} {moved} {all}");
}

#[test]
fn a_run_that_went_on_without_a_pause_is_the_one_that_was_resumed() {
    for device in devices() {
        let changes =
            ["optimizer.ema_decay=0.9", "data.crop_padding=1", "data.augment_energy=false"];
        let mut trainer =
            Trainer::new(with(&tiny_config(), &changes), tiny_dataset(32), &device).unwrap();
        // The resumed run has no batch that was prepared during the step before.
        for _ in 0..6 {
            block_on(trainer.step()).unwrap();
            let saved = block_on(trainer.checkpoint()).unwrap();
            let mut resumed = Trainer::resume(saved, tiny_dataset(32), &device).unwrap();
            let reports = [&mut trainer, &mut resumed].map(|run| block_on(run.step()).unwrap());
            assert_eq!(reports[0], reports[1]);
            let [ahead, resumed] = [&trainer, &resumed].map(|run| {
                let weights = block_on(weights_of(run.evaluated_network())).unwrap();
                (weights, crate::common::values(run.buffer().chains()))
            });
            assert!(ahead == resumed);
        }
    }
}

#[test]
fn batch_norm_resumes_with_its_running_statistics() {
    let changes = ["model.arch=wrn-10-1", "model.norm=batch", "optimizer.ema_decay=0.9"];
    let config = with(&tiny_config(), &changes);
    let mut trainer = Trainer::new(config, tiny_dataset(32), &device::cpu()).unwrap();
    for _ in 0..3 {
        block_on(trainer.step()).unwrap();
    }
    let saved = block_on(trainer.checkpoint()).unwrap();
    let mut resumed = Trainer::resume(saved, tiny_dataset(32), &device::cpu()).unwrap();
    for _ in 0..2 {
        block_on(trainer.step()).unwrap();
        block_on(resumed.step()).unwrap();
    }
    assert_eq!(
        block_on(weights_of(trainer.network())).unwrap(),
        block_on(weights_of(resumed.network())).unwrap()
    );
    let averages = [&trainer, &resumed]
        .map(|trainer| block_on(weights_of(trainer.evaluated_network())).unwrap());
    assert_eq!(averages[0], averages[1]);
    assert_ne!(averages[0], block_on(weights_of(trainer.network())).unwrap());
    let error = Trainer::resume(
        block_on(trainer.checkpoint()).unwrap(),
        data::load(&RunConfig::default().data, 0).unwrap().train,
        &device::cpu(),
    );
    let error = error.err().map(|error| error.to_string()).unwrap();
    assert!(error.contains("trained on inputs of shape [1, 8, 8]"), "{error}");
}

#[test]
fn a_run_recovers_from_a_divergence_that_a_smaller_learning_rate_cures() {
    let dir = tempfile::tempdir().unwrap();
    let cures = [
        "optimizer.kind=sgd",
        "optimizer.learning_rate=10.0",
        "optimizer.momentum=0.0",
        "optimizer.warmup_steps=0",
        "divergence.learning_rate_cut=0.01",
        "divergence.max_abs_loss=20.0",
        "divergence.max_abs_energy=20.0",
    ];
    let (result, events) = run(with(&moons(), &cures), &dir.path().join("run"), 0);
    result.unwrap();
    let recovered = events.iter().find_map(|event| match event {
        TrainingEvent::Recovered { recovery, .. } => Some(recovery.clone()),
        _ => None,
    });
    assert_eq!(recovered.unwrap().step, 0, "back to the beginning, the last good state");
    let Some(TrainingEvent::Finished { is_complete: true, test_accuracy: Some(accuracy), .. }) =
        events.last()
    else {
        panic!("{:?}", events.last())
    };
    assert!(*accuracy > 0.5, "{accuracy}");
}

/// The metrics without the times.
fn metrics(out: &Path) -> Vec<HashMap<String, serde_json::Value>> {
    let text = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut line: HashMap<_, _> = serde_json::from_str(line).unwrap();
        line.remove("elapsed_secs");
        line
    };
    text.lines().map(line).collect()
}

#[test]
fn a_resumed_run_is_bit_equal_to_one_that_never_stopped() {
    // The second run is stopped before the evaluation at the end of its first epoch.
    for (changes, stop_after) in [
        (&["optimizer.kind=adam"][..], 7),
        (&["optimizer.kind=sgd", "optimizer.weight_decay=1e-4", "data.input_noise_std=0.05"], 9),
        (&["optimizer.sam_radius=0.05", "optimizer.schedule=cosine", "optimizer.ema_decay=0.9"], 7),
    ] {
        let config = with(&moons(), changes);
        let dir = tempfile::tempdir().unwrap();
        let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
        assert!(run(config.clone(), &whole, 0).0.unwrap());
        let (result, events) = run(config, &parts, stop_after);
        assert!(!result.unwrap());
        let is_evaluated = |event: &TrainingEvent| matches!(event, TrainingEvent::Evaluated { .. });
        assert!(!events.iter().any(is_evaluated));
        let Some(TrainingEvent::Finished { is_complete: false, step, .. }) = events.last() else {
            panic!("{:?}", events.last())
        };
        assert_eq!(*step, stop_after as u64);
        // What a killed process leaves: a line after the checkpoint, and half of another line.
        let file = parts.join("metrics.jsonl");
        let text = std::fs::read_to_string(&file).unwrap();
        let more = format!("{{\"step\": {}, \"loss\": 1.0}}\n{{\"st", step + 1);
        std::fs::write(&file, text + &more).unwrap();
        assert!(training::resume(&parts, Ok, &cpu(), &|| false, &mut |_| {}).unwrap());

        let load = |out: &Path| Checkpoint::load(&out.join("checkpoint.safetensors")).unwrap();
        let (a, b) = (load(&whole), load(&parts));
        assert_eq!(a.weights, b.weights, "{changes:?}");
        assert_eq!(a.averaged_weights, b.averaged_weights, "{changes:?}");
        assert_eq!(a.replay_buffer, b.replay_buffer, "{changes:?}");
        assert_eq!(a.counters.step, b.counters.step);
        assert_eq!(a.counters.smoothed_gap, b.counters.smoothed_gap);
        assert_eq!(a.counters.test_accuracy, b.counters.test_accuracy);
        assert_eq!(metrics(&whole), metrics(&parts), "{changes:?}");
    }
}

#[test]
fn a_step_that_is_stopped_changes_nothing() {
    let mut trainer = Trainer::new(tiny_config(), tiny_dataset(32), &device::cpu()).unwrap();
    let mut other = Trainer::new(tiny_config(), tiny_dataset(32), &device::cpu()).unwrap();
    // Stopped before the first, the second and the third step of the chains.
    for allowed in 0..3 {
        let asked = Cell::new(0);
        let stop = || asked.replace(asked.get() + 1) == allowed;
        assert_eq!(block_on(trainer.step_unless(&stop)).unwrap(), None);
    }
    assert_eq!(trainer.counters(), other.counters());
    assert_eq!(block_on(trainer.step()).unwrap(), block_on(other.step()).unwrap());
    assert_eq!(
        block_on(weights_of(trainer.network())).unwrap(),
        block_on(weights_of(other.network())).unwrap()
    );
}

#[test]
fn a_run_that_learns_nothing_says_what_to_try() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let still = ["sampler.inner_step_size=1e-12", "sampler.noise_std=0", "training.epochs=10"];
    let (result, events) = run(with(&moons(), &still), &out, 0);
    assert!(result.unwrap(), "it came to its end all the same");
    let warnings: Vec<&String> = events
        .iter()
        .filter_map(|event| match event {
            TrainingEvent::Warning(said) => Some(said),
            _ => None,
        })
        .collect();
    let [said] = warnings[..] else { panic!("once, not again at the end: {warnings:?}") };
    assert!(said.contains("stand still") && said.contains("sampler.inner_step_size"), "{said}");
    assert!(metrics(&out).iter().any(|line| line.get("warning") == Some(&said.as_str().into())));
}

#[test]
fn a_training_step_on_a_gpu_gives_what_the_cpu_gives() {
    let Some(gpu) = gpu() else { return };
    let on = |device| {
        let mut trainer = Trainer::new(tiny_config(), tiny_dataset(32), device).unwrap();
        let reports: Vec<_> = (0..2).map(|_| block_on(trainer.step()).unwrap()).collect();
        (reports, crate::common::values(trainer.buffer().chains()))
    };
    let ((on_gpu, chains_gpu), (on_cpu, chains_cpu)) = (on(&gpu), on(&device::cpu()));
    for (gpu, cpu) in on_gpu.iter().zip(&on_cpu) {
        assert!((gpu.loss - cpu.loss).abs() < 1e-3, "{} {}", gpu.loss, cpu.loss);
        assert!((gpu.gradient_norm - cpu.gradient_norm).abs() < 1e-3);
    }
    assert!(crate::common::max_difference(&chains_gpu, &chains_cpu) < 1e-3);
}

/// One training step of a recipe with its whole network, on two images and with chains and attacks of one step: the first one after
/// the epochs of the classifier alone.
fn step_of_a_paper(preset: &str, changes: &[&str]) -> (usize, StepReport) {
    let values = crate::common::scrambled(20 * 3 * 32 * 32, 3);
    let names = (0..10).map(|class| class.to_string()).collect();
    let labels = (0..20).map(|item| item % 10).collect();
    let set = data::Dataset::from_floats(values, labels, [3, 32, 32], names).unwrap();
    let small = [
        "data.batch_size=2",
        "sampler.num_steps=1",
        "objective.adversarial_steps=1",
        "replay_buffer.replay_buffer_size=10",
        "training.max_memory_mib=16384",
    ];
    let config = with(&with(&RunConfig::preset(preset).unwrap(), &small), changes);
    let mut trainer = Trainer::new(config, set.clone(), &device::cpu()).unwrap();
    let mut checkpoint = block_on(trainer.checkpoint()).unwrap();
    let num_steps = (set.len() / 2 * checkpoint.config.training.classifier_epochs) as u64;
    if num_steps > 0 {
        checkpoint.counters.step = num_steps;
        trainer = Trainer::resume(checkpoint, set, &device::cpu()).unwrap();
    }
    let weights = block_on(weights_of(trainer.network())).unwrap();
    let report = block_on(trainer.step()).unwrap();
    assert!(report.loss.is_finite(), "{preset}");
    assert_ne!(weights, block_on(weights_of(trainer.network())).unwrap(), "{preset}");
    (weights.values().map(|weight| weight.values.len()).sum(), report)
}

#[test]
fn the_networks_of_papers_take_a_step_of_their_recipes() {
    // WRN-28-10 has 36.5 million weights as published; the biases of the convolutions and the running statistics add
    // some. WRN-34-10 has 46.2 million.
    let of_28_10 = 36_400_000..36_700_000;
    let (count, _) = step_of_a_paper("paper-cifar10", &[]);
    assert!(of_28_10.contains(&count), "{count}");
    let (count, sharp) = step_of_a_paper("sada-jem-cifar10", &[]);
    assert!(of_28_10.contains(&count), "{count}");
    assert!(sharp.gap != 0.0 && sharp.gradient_norm > 0.0, "{sharp:?}");
    let (count, joint) = step_of_a_paper("dat-cifar10", &["training.max_chain_steps=2"]);
    assert!((46_100_000..46_400_000).contains(&count), "{count}");
    assert!(joint.gap != 0.0 && joint.terms.p_x > 1.0, "{joint:?}");
}

#[test]
fn batches_come_back_by_step_number_and_cover_the_epoch() {
    let set = tiny_dataset(40);
    let config = with(&tiny_config(), &["data.input_noise_std=0.0"]).data;
    let mut batches = Batches::new(set.clone(), config.clone(), 5);
    assert_eq!(batches.steps_per_epoch(), 5);
    let epoch: Vec<_> = (0..5).map(|step| batches.get(step).values).collect();
    let mut items: Vec<Vec<u32>> =
        epoch.concat().chunks(64).map(|item| item.iter().map(|v| v.to_bits()).collect()).collect();
    let mut all: Vec<Vec<u32>> =
        (0..40).map(|i| set.gather([i]).iter().map(|v| v.to_bits()).collect()).collect();
    items.sort();
    all.sort();
    assert_eq!(items, all, "every image once");
    let mut again = Batches::new(set, config, 5);
    assert_eq!(again.get(7).values, batches.get(7).values, "order does not depend on the past");
    assert_ne!(again.get(0).values, again.get(5).values, "epochs have orders of their own");
}

#[test]
fn the_energy_sees_images_as_they_are_where_augmentation_is_kept_out_of_it() {
    let set = tiny_dataset(40);
    let changes = ["data.input_noise_std=0.0", "data.crop_padding=2", "data.augment_energy=false"];
    let config = with(&tiny_config(), &changes).data;
    let batch = Batches::new(set.clone(), config.clone(), 5).get(3);
    let plain = batch.plain.unwrap();
    assert_ne!(plain, batch.values, "the cross entropy sees shifted images");
    let is_of_set = |image: &[f32]| (0..40).any(|index| set.gather([index]) == image);
    assert!(plain.chunks(64).all(is_of_set));
    let joint = jempp::config::DataConfig { augment_energy: true, ..config };
    let joint = Batches::new(set, joint, 5).get(3);
    assert_eq!((joint.plain, joint.values), (None, batch.values), "the same shifts");
}

#[test]
fn the_classifier_sees_images_as_they_are_where_noise_is_kept_out_of_it() {
    let set = tiny_dataset(40);
    let noisy = with(&tiny_config(), &["data.input_noise_std=0.5"]).data;
    let both = Batches::new(set.clone(), noisy.clone(), 5).get(3);
    assert_eq!(both.plain, None);
    let apart = jempp::config::DataConfig { classify_noisy: false, ..noisy.clone() };
    let apart = Batches::new(set.clone(), apart, 5).get(3);
    let is_of_set = |image: &[f32]| (0..40).any(|index| set.gather([index]) == image);
    assert!(apart.values.chunks(64).all(is_of_set) && !both.values.chunks(64).any(is_of_set));
    // The energy sees the same images with noise, shifted or not.
    for changes in
        [&[][..], &["data.crop_padding=2"], &["data.crop_padding=2", "data.augment_energy=false"]]
    {
        let of_energy =
            jempp::config::DataConfig { classify_noisy: false, ..with_data(&noisy, changes) };
        let batch = Batches::new(set.clone(), of_energy.clone(), 5).get(3);
        let clean = jempp::config::DataConfig { input_noise_std: 0.0, ..of_energy };
        let clean = Batches::new(set.clone(), clean, 5).get(3);
        assert_eq!(batch.values, clean.values, "{changes:?}");
        let (seen, clean) = (batch.plain.unwrap(), clean.plain.unwrap_or(clean.values));
        let noise: Vec<f32> = seen.iter().zip(&clean).map(|(a, b)| a - b).collect();
        let power = noise.iter().map(|value| value * value).sum::<f32>() / noise.len() as f32;
        assert!((power.sqrt() - 0.5).abs() < 0.05, "{changes:?}: {}", power.sqrt());
    }
}

/// Data settings with some keys replaced.
fn with_data(data: &jempp::config::DataConfig, changes: &[&str]) -> jempp::config::DataConfig {
    let config = RunConfig { data: data.clone(), ..tiny_config() };
    with(&config, changes).data
}

#[test]
fn a_packed_model_has_the_weights_to_sample_with_and_goes_no_further() {
    let dir = tempfile::tempdir().unwrap();
    let config = with(&moons(), &["optimizer.ema_decay=0.9"]);
    run(config, &dir.path().join("run"), 0).0.unwrap();
    let checkpoint = Checkpoint::load(&dir.path().join("run/checkpoint.safetensors")).unwrap();
    let path = dir.path().join("packed.safetensors");
    checkpoint.clone().packed().save(&path).unwrap();
    let packed = Checkpoint::load(&path).unwrap();
    assert!(packed.is_packed() && packed.averaged_weights.is_none());
    for (name, weight) in checkpoint.sampling_weights() {
        let half = &packed.sampling_weights()[name];
        assert_eq!(half.shape, weight.shape);
        let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-3 * a.abs() + 1e-7;
        assert!(weight.values.iter().zip(&half.values).all(close), "{name}");
    }
    let train = data::load(&packed.config.data, 0).unwrap().train;
    let error = Trainer::resume(packed, train, &device::cpu()).err().unwrap().to_string();
    assert!(error.contains("packed model"), "{error}");
}

#[test]
fn a_finished_run_is_calibrated_on_held_out_items_and_no_other_run_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let temperature = |name: &str| {
        let saved = Checkpoint::load(&path(name).join("checkpoint.safetensors")).unwrap();
        saved.counters.temperature
    };
    // Arms that a short run does not tell apart everywhere.
    let noisy = [
        "data.num_validation=200",
        "data.dataset=spiral",
        "objective.p_x_weight=0",
        "training.epochs=20",
        "training.eval_every_epochs=20",
    ];
    let config = with(&moons(), &noisy);
    let (finished, events) = run(config.clone(), &path("run"), 0);
    assert!(finished.unwrap());
    let Some(TrainingEvent::Finished { calibration: Some(said), .. }) = events.last() else {
        panic!("{:?}", events.last())
    };
    let found = temperature("run").unwrap();
    assert_eq!((said.num_held_out, said.temperature), (200, Some(found)));
    assert!(found > 0.05 && found < 20.0 && (found - 1.0).abs() > 1e-6, "{found}");

    // p(y|x) of the library has the temperature, and nothing else does.
    let saved = Checkpoint::load(&path("run").join("checkpoint.safetensors")).unwrap();
    let model = Model::new(saved, &device::cpu()).unwrap();
    let held_out = data::load(&config.data, config.seed).unwrap().validation;
    let x = held_out.gather(0..held_out.len());
    let logits = model.logits(&x).unwrap();
    let expected = fit_temperature(&logits.concat(), &held_out.labels, held_out.num_classes());
    assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
    let bare = {
        let mut checkpoint = model.checkpoint().clone();
        checkpoint.counters.temperature = None;
        Model::new(checkpoint, &device::cpu()).unwrap()
    };
    assert_eq!(bare.logits(&x).unwrap(), logits);
    assert_eq!(bare.sample(4, 3, 0).unwrap().energies(), model.sample(4, 3, 0).unwrap().energies());
    let confidences = |model: &Model| -> Vec<f64> {
        let found = model.classify(&x).unwrap();
        found.iter().map(|found| f64::from(found.confidence())).collect()
    };
    let odds = |p: f64| (p / (1.0 - p)).ln();
    for (calibrated, plain) in confidences(&model).into_iter().zip(confidences(&bare)) {
        if (0.01..0.99).contains(&calibrated) && (0.01..0.99).contains(&plain) {
            assert!((odds(calibrated) * found - odds(plain)).abs() < 1e-3, "{calibrated} {plain}");
        }
    }
    let packed = path("packed.safetensors");
    model.checkpoint().clone().packed().save(&packed).unwrap();
    assert_eq!(Checkpoint::load(&packed).unwrap().counters.temperature, Some(found));

    // Other weights have another temperature, and unfinished ones none.
    let change = |config: RunConfig| config.with_assignment("training.epochs=21");
    let stop = Cell::new(false);
    let mut until_step = |event| stop.set(stop.get() | matches!(event, TrainingEvent::Step(_)));
    training::resume(&path("run"), change, &cpu(), &|| stop.get(), &mut until_step).unwrap();
    assert_eq!(temperature("run"), None);
    training::resume(&path("run"), Ok, &cpu(), &|| false, &mut |_| {}).unwrap();
    assert!(temperature("run").is_some_and(|next| next != found));

    run(with(&config, &["data.num_validation=0"]), &path("none"), 0).0.unwrap();
    assert_eq!(temperature("none"), None);
    let mut wrong = bare.checkpoint().clone();
    wrong.counters.temperature = Some(0.0);
    let said = wrong.validate().unwrap_err().to_string();
    assert!(said.contains("counters.temperature"), "{said}");
}

#[test]
fn calibration_error_weighs_the_bins() {
    // Logits (l, 0) have the confidence 1/(1 + e^-l).
    let (sure, unsure) = (3.0f32, 0.5f32);
    let logits = [[sure, 0.0], [sure, 0.0], [unsure, 0.0], [unsure, 0.0]];
    let labels = [0, 1, 0, 0];
    let confidence = |logit: f32| 1.0 / (1.0 + (-f64::from(logit)).exp());
    // Two items with confidence 0.95 and accuracy 1/2, two with 0.62 and accuracy 1.
    let expected = 0.5 * (confidence(sure) - 0.5) + 0.5 * (1.0 - confidence(unsure));
    let found = jempp::accuracy::Tally::of(&logits.concat(), &labels, 2);
    assert!((found.calibration_error() - expected).abs() < 1e-6);
    assert_eq!(found.accuracy(), 0.75);
}

#[test]
fn bundled_models_were_trained_by_their_presets() {
    use jempp::bundled::{BUNDLED_JUDGES, BUNDLED_MODELS};
    for model in BUNDLED_MODELS.iter().chain(BUNDLED_JUDGES) {
        let packed = model.load().unwrap();
        let config = RunConfig::preset(model.preset).unwrap();
        assert_eq!(packed.config, config, "{}", model.name);
        assert_eq!(packed.counters.num_recoveries, 0, "{}", model.name);
        let network = packed.network(&device::cpu()).unwrap();
        if model.name.starts_with("fashion") {
            let test = data::load(&RunConfig::default().data, 0).unwrap().test;
            let found =
                block_on(jempp::accuracy::accuracy(&network, &test, &device::cpu())).unwrap();
            // The accuracy is 91.1 to 92.5 % on all 10,000 test images; on a thousand images it varies by a percent.
            assert!(found.accuracy > 0.88, "{found:?}");
        }
    }
}

#[test]
fn wrong_networks_are_named() {
    let build = |changes: &[&str]| {
        let config = with(&tiny_config(), changes);
        Trainer::new(config, tiny_dataset(32), &device::cpu()).err().map(|e| e.to_string()).unwrap()
    };
    assert!(
        build(&["model.arch=resnet"])
            .contains("There are cnn-small, cnn-medium, cnn-base, cnn-tiny, mlp and wrn-")
    );
    assert!(build(&["model.arch=wrn-12-2"]).contains("depth must be 6n+4"));
    assert!(build(&["model.arch=mlp"]).contains("takes inputs of shape (C, 1, 1)"));
    assert!(build(&["model.norm=batch"]).contains("has no norm layers"));
    assert!(build(&["model.split=9"]).contains("has 5 pieces"));
    assert!(
        build(&["replay_buffer.replay_buffer_size=4"])
            .contains("is too small: it must hold a batch")
    );
}

#[test]
fn a_checkpoint_of_another_network_names_the_tensor_and_both_shapes() {
    let build = |arch: &str| {
        let config = with(&tiny_config(), &[&format!("model.arch={arch}")]).model;
        Network::new(&config, [1, 8, 8], 2, 0, &device::cpu()).unwrap()
    };
    let narrow = block_on(weights_of(&build("wrn-10-1"))).unwrap();
    let error = with_weights(build("wrn-10-2"), narrow.clone()).unwrap_err();
    assert!(matches!(error, WeightsError::Shape { .. }), "{error}");
    assert!(error.to_string().contains("has shape ["), "{error}");
    let mut missing = narrow.clone();
    missing.retain(|name, _| !name.ends_with("classifier.bias"));
    let error = with_weights(build("wrn-10-1"), missing).unwrap_err();
    assert!(error.to_string().contains("classifier.bias"), "{error}");
    let mut extra = narrow;
    let copy = extra.values().next().unwrap().clone();
    extra.insert("body.stranger".into(), copy);
    let error = with_weights(build("wrn-10-1"), extra).unwrap_err();
    assert!(error.to_string().contains("body.stranger"), "{error}");
}
