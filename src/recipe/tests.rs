use super::{pace::timed, *};
use crate::device;

const DIGITS: DataFacts =
    DataFacts { shape: [1, 8, 8], num_train: 1497, num_classes: 10, may_flip: false };

fn chosen(facts: &DataFacts, given: &[&str]) -> RunConfig {
    let given = |config: RunConfig| {
        given.iter().try_fold(config, |config, assignment| config.with_assignment(assignment))
    };
    match choose(facts, &device::cpu(), &given) {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    }
}

fn facts(shape: [usize; 3], num_train: usize, num_classes: usize) -> DataFacts {
    DataFacts { shape, num_train, num_classes, may_flip: false }
}

#[test]
fn the_facts_decide_the_recipe() {
    // Shape, items and classes; network, batch, steps, largest shift, chains, axes.
    for (facts, arch, batch, steps, shift, chains, axes) in [
        (facts([2, 1, 1], 100, 2), "mlp", 16, 1002, 0, 2000, 2),
        (facts([2, 1, 1], 5000, 2), "mlp", 256, 1064, 0, 2000, 2),
        (facts([1, 8, 8], 1497, 10), "cnn-small", 64, 1610, 0, 500, 64),
        (facts([1, 28, 28], 30, 3), "cnn-small", 16, 1502, 1, 500, 64),
        (facts([1, 28, 28], 7, 2), "cnn-small", 7, 1500, 1, 500, 64),
        (facts([1, 28, 28], 60_000, 10), "cnn-medium", 64, 5622, 1, 5000, 64),
        (facts([3, 32, 32], 50_000, 10), "cnn-medium", 64, 5467, 1, 5000, 64),
        (facts([3, 32, 32], 5000, 100), "cnn-medium", 64, 1872, 1, 2000, 12),
        (facts([3, 64, 64], 900, 3), "cnn-small", 64, 1568, 2, 500, 64),
        (facts([3, 128, 128], 900, 40), "cnn-base", 64, 1568, 2, 800, 32),
    ] {
        let config = chosen(&facts, &[]);
        config.validate().unwrap();
        let found = (
            config.model.arch.as_str(),
            config.data.batch_size,
            config.training.epochs * steps_per_epoch(&facts, &config),
            config.data.crop_padding,
            config.replay_buffer.replay_buffer_size,
            config.class_centers.max_components,
        );
        assert_eq!(found, (arch, batch, steps, shift, chains, axes), "{facts:?}");
        assert!(!config.data.horizontal_flip);
    }
}

#[test]
fn a_given_key_wins_and_what_depends_on_it_follows() {
    let plain = chosen(&DIGITS, &[]);
    let config = chosen(&DIGITS, &["data.batch_size=16", "model.arch=cnn-tiny"]);
    assert_eq!((config.data.batch_size, config.model.arch.as_str()), (16, "cnn-tiny"));
    let steps = |config: &RunConfig| config.training.epochs * steps_per_epoch(&DIGITS, config);
    assert!(steps(&config).abs_diff(steps(&plain)) < 100, "as many updates with a smaller batch");
    let config = chosen(&DIGITS, &["training.epochs=2", "optimizer.warmup_steps=1"]);
    assert_eq!((config.training.epochs, config.optimizer.warmup_steps), (2, 1));
    assert_eq!(config.training.eval_every_epochs, 1);
    let said = describe(&config, &DIGITS, &device::cpu());
    let right = "for 1,497 grey images of 8×8 in 10 classes on the CPU: cnn-small, batches of 64, 2 epochs (46 steps)";
    assert!(said.starts_with(right), "{said}");
}

#[test]
fn images_are_mirrored_only_where_it_is_known_to_be_right() {
    let known = DataFacts { may_flip: true, ..DIGITS };
    assert!(chosen(&known, &[]).data.horizontal_flip);
    assert!(!chosen(&DIGITS, &[]).data.horizontal_flip);
    assert!(chosen(&DIGITS, &["data.horizontal_flip=true"]).data.horizontal_flip);
}

#[test]
fn a_recipe_fits_the_memory() {
    let large = facts([3, 96, 96], 4000, 50);
    assert_eq!(chosen(&large, &["training.max_memory_mib=16000"]).data.micro_batch, 0);
    let config = chosen(&large, &["training.max_memory_mib=1000"]);
    let demand = Demand::of_training(&config, large.shape, 50, 4000, &device::cpu()).unwrap();
    demand.check(&config).unwrap();
    assert_eq!(config.replay_buffer.replay_buffer_size, 500);
}

#[test]
fn a_slow_device_gets_fewer_epochs_but_not_too_few() {
    let large = facts([3, 32, 32], 50_000, 10);
    let given = &|config: RunConfig| Ok::<_, ConfigError>(config);
    let fit = |secs| Pace::fit(chosen(&large, &[]), &large, secs, given).unwrap();
    let (config, pace) = fit(0.1);
    assert_eq!(config, chosen(&large, &[]));
    assert!((590.0..610.0).contains(&pace.secs()), "{}", pace.secs());
    let (config, pace) = fit(0.6);
    assert_eq!(config.training.epochs, 3);
    assert!(pace.secs() <= 1800.0, "{}", pace.secs());
    let (config, _) = fit(30.0);
    assert_eq!(config.training.epochs, 2, "an epoch has 781 steps, and 1000 are the least");
}

#[test]
fn real_steps_are_timed_for_points_and_images() {
    for facts in [facts([2, 1, 1], 100, 3), facts([1, 8, 8], 40, 20)] {
        let config = chosen(&facts, &[]);
        let secs = pollster::block_on(seconds_per_step(&config, &facts, &device::cpu())).unwrap();
        assert!(secs > 0.0 && secs.is_finite(), "{facts:?}: {secs}");
    }
}

#[test]
fn the_timed_steps_are_the_longest_of_the_run() {
    let set = |keys: &[&str]| {
        let with = |config: RunConfig, key: &&str| config.with_assignment(key).unwrap();
        keys.iter().fold(RunConfig::default(), with)
    };
    let staged = timed(set(&["training.epochs=20", "training.classifier_epochs=12"]));
    assert_eq!(staged.training.classifier_epochs, 1, "only the first step is without chains");
    let grows = timed(set(&["sampler.num_steps=1", "training.max_chain_steps=20"]));
    assert_eq!(grows.sampler.num_steps, 20);
    let plain = set(&["sampler.num_steps=7"]);
    assert_eq!(timed(plain.clone()).sampler.num_steps, 7);
}
