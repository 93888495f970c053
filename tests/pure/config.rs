//! The validation of configurations: all ways to set a value use the same checks.

use jempp::{
    RunConfig, Trainer, TrainerError,
    config::{ConfigError, MAX_SEED, Norm, PRESETS, SECTIONS, SamplerKind, StepSchedule},
    data::{self, DataError, Dataset},
    device,
};

/// Configurations with one key set to an invalid value, which a program can do but a file cannot.
fn wrong_ones() -> Vec<(&'static str, RunConfig)> {
    type Change = fn(&mut RunConfig);
    let changes: [(&str, Change); 14] = [
        ("seed", |c| c.seed = MAX_SEED + 1),
        ("data.batch_size", |c| c.data.batch_size = 0),
        ("data.input_noise_std", |c| c.data.input_noise_std = f64::NAN),
        ("data.dir", |c| c.data.dir = "x".repeat(5000)),
        ("model.norm_momentum", |c| c.model.norm_momentum = 1.5),
        ("class_centers.max_components", |c| c.class_centers.max_components = 0),
        ("sampler.num_steps", |c| c.sampler.num_steps = usize::MAX),
        ("sampler.step_size", |c| c.sampler.step_size = -1.0),
        ("replay_buffer.reinit_prob", |c| c.replay_buffer.reinit_prob = 2.0),
        ("objective.p_x_weight", |c| c.objective.p_x_weight = f64::INFINITY),
        ("optimizer.decay_epochs", |c| c.optimizer.decay_epochs = vec![1, 1_000_000]),
        ("training.epochs", |c| c.training.epochs = 0),
        ("divergence.learning_rate_cut", |c| c.divergence.learning_rate_cut = 0.0),
        ("eval.l2_radii", |c| c.eval.l2_radii = vec![1.0; 2000]),
    ];
    let mut wrong = Vec::new();
    for (key, change) in changes {
        let mut config = moons();
        change(&mut config);
        wrong.push((key, config));
    }
    wrong
}

/// Configurations with values that the keys allow but not together, and what the error begins with.
fn wrong_together() -> Vec<(&'static str, RunConfig)> {
    let mala = || {
        let mut config = moons();
        config.sampler.kind = SamplerKind::Mala;
        config.sampler.noise_std = 0.1;
        config
    };
    let (mut silent, mut dying, mut mixed) = (mala(), mala(), mala());
    assert_eq!(silent.validate(), Ok(()));
    silent.sampler.noise_std = 0.0;
    dying.sampler.step_schedule = StepSchedule::Cosine;
    dying.sampler.final_step_factor = 0.0;
    mixed.model.arch = "wrn-10-1".into();
    mixed.model.norm = Norm::Batch;
    let of_mala = [silent, dying, mixed].map(|config| ("sampler.kind = mala", config));
    let others: [(&str, &[&str]); 6] = [
        ("objective.adversarial_gap_weight", &["objective.adversarial_gap_weight=0.1"]),
        (
            "objective.adversarial_radius",
            &["objective.adversarial_radius=0.5", "objective.p_y_given_x_weight=0"],
        ),
        ("training.max_chain_steps = 5 is below", &["training.max_chain_steps=5"]),
        (
            "training.max_chain_steps = 90 is a curriculum",
            &["training.max_chain_steps=90", "objective.p_x_weight=0"],
        ),
        (
            "training.classifier_epochs = 3",
            &["training.classifier_epochs=3", "objective.p_y_given_x_weight=0"],
        ),
        (
            "training.classifier_epochs = 9 leaves none",
            &["training.classifier_epochs=9", "training.epochs=9"],
        ),
    ];
    let others = others.map(|(said, changes)| {
        let set = |config: RunConfig, set: &&str| config.with_assignment(set).unwrap();
        (said, changes.iter().fold(moons(), set))
    });
    of_mala.into_iter().chain(others).collect()
}

fn moons() -> RunConfig {
    RunConfig::preset("toy-two-moons").unwrap()
}

#[test]
fn a_number_out_of_its_range_is_refused_by_its_key() {
    for (key, config) in wrong_ones() {
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(&format!("`{key}`")), "{key}: {error}");
    }
}

#[test]
fn every_bound_of_every_key_is_kept() {
    for (section, fields) in SECTIONS {
        for field in *fields {
            let Some((low, high)) = field.range else { continue };
            let key = format!("{section}.{}", field.name);
            let set = |value: f64| {
                let one = moons().with_assignment(&format!("{key}={value}"));
                one.or_else(|_| moons().with_assignment(&format!("{key}=[{value}]")))
            };
            for inside in [low, high] {
                assert!(set(inside).is_ok(), "{key} = {inside}");
            }
            let outside = (high * 1.5 + 1.0).round();
            let error = set(outside).unwrap_err();
            assert!(
                matches!(error, ConfigError::OutOfRange { .. } | ConfigError::Invalid(_)),
                "{key} = {outside}: {error}"
            );
        }
    }
}

#[test]
fn keys_that_do_not_go_together_are_refused() {
    for (said, config) in wrong_together() {
        let error = config.validate().unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn every_preset_is_valid() {
    for preset in PRESETS {
        assert_eq!(RunConfig::preset(preset.name).unwrap().validate(), Ok(()), "{}", preset.name);
    }
}

/// The step is the inverse of the energy's curvature along the noise of the data, which chains of this sampler keep.
#[test]
fn presets_with_shared_noise_remove_just_that() {
    let mut num_denoising = 0;
    for preset in PRESETS {
        let RunConfig { data, sampler, .. } = RunConfig::preset(preset.name).unwrap();
        if sampler.denoise_step == 0.0 {
            continue;
        }
        num_denoising += 1;
        assert_eq!(sampler.kind, SamplerKind::Sgld, "{}", preset.name);
        let a_kappa = sampler.step_size / sampler.denoise_step;
        // A chain x <- (1 - a_kappa) x + noise.
        let mut variance = data.input_noise_std.powi(2);
        for _ in 0..1000 {
            variance = (1.0 - a_kappa).powi(2) * variance + sampler.noise_std.powi(2);
        }
        let kept = variance.sqrt() / data.input_noise_std;
        assert!((kept - 1.0).abs() < 0.005, "{}: {kept}", preset.name);
        assert!(sampler.step_schedule == StepSchedule::Constant, "{}", preset.name);
    }
    assert!(num_denoising >= 2);
}

#[test]
fn no_invalid_configuration_reaches_a_trainer() {
    let train = || data::load(&moons().data, 0).unwrap().train;
    let wrong = wrong_ones().into_iter().chain(wrong_together());
    for (_, config) in wrong {
        match Trainer::new(config.clone(), train(), &device::cpu()).err() {
            Some(TrainerError::Config(error)) => {
                let expected = config.validate().unwrap_err();
                assert_eq!(error.to_string(), expected.to_string());
            }
            other => panic!("{config:?}: {other:?}"),
        }
    }
}

#[test]
fn no_impossible_data_reaches_a_trainer() {
    let names = || vec!["left".to_string(), "right".to_string()];
    let of = |count: usize| {
        let labels = (0..count as u32).map(|item| item % 2).collect();
        Dataset::from_floats(vec![0.5; 2 * count], labels, [2, 1, 1], names())
    };
    let mut config = moons();
    config.data.batch_size = 8;
    let refused = |data: Dataset| match Trainer::new(config.clone(), data, &device::cpu()).err() {
        Some(TrainerError::Data(error)) => error,
        other => panic!("{other:?}"),
    };

    assert!(matches!(refused(of(7).unwrap()), DataError::BatchTooLarge { .. }));
    assert!(matches!(refused(of(0).unwrap()), DataError::BatchTooLarge { .. }));
    let mut changed = of(20).unwrap();
    changed.labels[3] = 2;
    assert!(refused(changed).to_string().contains("label 2"));
    let mut changed = of(20).unwrap();
    changed.shape = [3, 1, 1];
    assert!(matches!(refused(changed), DataError::Invalid(_)));
}

#[test]
fn a_data_set_holds_what_it_says() {
    let names = || vec!["only".to_string()];
    let wrong = [
        Dataset::from_floats(vec![0.0; 3], vec![0, 0], [2, 1, 1], names()),
        Dataset::from_floats(vec![0.0; 4], vec![0, 1], [2, 1, 1], names()),
        Dataset::from_floats(vec![0.0, 255.0], vec![0], [2, 1, 1], names()),
        Dataset::from_floats(vec![0.0, f32::NAN], vec![0], [2, 1, 1], names()),
        Dataset::from_bytes(vec![0; 5], vec![0], [1, 2, 2], names()),
        Dataset::from_bytes(vec![], vec![0], [0, 2, 2], names()),
        Dataset::from_bytes(vec![0; 4], vec![0], [usize::MAX, 2, 2], names()),
    ];
    for (index, data) in wrong.into_iter().enumerate() {
        assert!(matches!(data, Err(DataError::Invalid(_))), "{index}: {data:?}");
    }
    let bytes = Dataset::from_bytes(vec![0, 255], vec![0], [2, 1, 1], names()).unwrap();
    assert_eq!(bytes.gather([0]), [-1.0, 1.0]);
}
