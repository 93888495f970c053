//! The keys of a training run that nothing uses, given the others.

use crate::{
    config::{ConfigError, LearningRateSchedule, RunConfig, SECTIONS},
    data,
};

/// Keys, when a run does not use them, and why.
type Unused = (&'static [&'static str], fn(&RunConfig) -> bool, &'static str);

/// All keys that some runs do not use, but those of the sampler, which [`crate::config::SamplerConfig::check_used`] knows.
/// A key of the settings of chains is used by every run: samples of its model and a later session take it.
const UNUSED: &[Unused] = &[
    (
        &["data.crop_padding", "data.horizontal_flip", "data.augment_energy"],
        |config| data::is_density(config.data.dataset),
        "it is for images, and the data is points in the plane",
    ),
    (
        &["data.horizontal_flip"],
        |config| config.data.horizontal_flip && !data::may_flip(config.data.dataset),
        "a mirrored item of this data set may be of another class or of none",
    ),
    (
        &["data.augment_energy"],
        |config| config.data.crop_padding == 0 && !config.data.horizontal_flip,
        "images are neither cropped nor mirrored; data.crop_padding and data.horizontal_flip do that",
    ),
    (
        &["data.classify_noisy"],
        |config| config.data.input_noise_std == 0.0,
        "images have no noise; data.input_noise_std adds it",
    ),
    (
        &["data.classify_noisy", "data.input_noise_std"],
        |config| !config.data.classify_noisy && !config.objective.needs_energies(),
        "with data.classify_noisy = false only energies see the noise, and no term of the loss takes them",
    ),
    (
        &["data.num_points"],
        |config| !data::is_density(config.data.dataset),
        "it is for the 2-D densities, and the data comes from files",
    ),
    (
        &["data.micro_batch"],
        |config| config.data.micro_batch > config.data.batch_size,
        "it is above data.batch_size, so the whole batch passes at once, as with 0",
    ),
    (
        &["model.norm_momentum"],
        |config| !config.gathers_statistics(),
        "only batch norm (model.norm = batch, or frozen after training.classifier_epochs) gathers statistics",
    ),
    (
        &["objective.gap_loss"],
        |config| config.objective.p_x_weight == 0.0,
        "it is the form of the p(x) term, and objective.p_x_weight is 0",
    ),
    (
        &["objective.adversarial_norm", "objective.adversarial_steps"],
        |config| config.objective.adversarial_radius == 0.0,
        "it is for adversarial training, and objective.adversarial_radius is 0",
    ),
    (
        &["optimizer.sam_kind"],
        |config| config.optimizer.sam_radius == 0.0,
        "it is for sharpness-aware minimisation, and optimizer.sam_radius is 0",
    ),
    (
        &["optimizer.decay_epochs", "optimizer.decay_factor"],
        |config| config.optimizer.schedule != LearningRateSchedule::Steps,
        "it is for optimizer.schedule = steps",
    ),
    (
        &["optimizer.decay_factor"],
        |config| config.optimizer.decay_epochs.is_empty(),
        "optimizer.decay_epochs is empty",
    ),
    (
        &["optimizer.decay_epochs"],
        |config| config.optimizer.decay_epochs.iter().any(|&epoch| epoch >= config.training.epochs),
        "it names an epoch that is not before the end of the run, training.epochs",
    ),
    (
        &["training.grow_at_auc"],
        |config| config.training.max_chain_steps == 0,
        "it is for a curriculum of chains, and training.max_chain_steps is 0",
    ),
];

/// Checks that a training run with this configuration uses a key.
///
/// # Errors
/// It does not; the error says why.
pub(super) fn check(config: &RunConfig, key: &str) -> Result<(), ConfigError> {
    config.sampler.check_used(key)?;
    let is_of = |(keys, is_unused, _): &&Unused| keys.contains(&key) && is_unused(config);
    match UNUSED.iter().find(is_of) {
        Some((.., why)) => Err(ConfigError::Invalid(format!("`{key}` is not used: {why}"))),
        None => Ok(()),
    }
}

/// The keys that a configuration file gives. A file with most of all keys, as `jempp config` and a run write it, records
/// settings, used or not, and gives none.
pub(super) fn keys_of_file(text: &str) -> Vec<String> {
    let file: toml::Table = text.parse().unwrap_or_default();
    let keys = file.into_iter().flat_map(|(key, value)| match value {
        toml::Value::Table(section) => section.keys().map(|name| format!("{key}.{name}")).collect(),
        _ => vec![key],
    });
    let keys: Vec<String> = keys.collect();
    let num_all: usize = SECTIONS.iter().map(|(_, fields)| fields.len()).sum();
    if 2 * keys.len() > num_all { Vec::new() } else { keys }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(preset: &str, assignments: &[&str]) -> String {
        let preset = RunConfig::preset(preset).unwrap();
        let config =
            assignments.iter().try_fold(preset, |config, text| config.with_assignment(text));
        let config = config.unwrap();
        let keys = assignments.iter().map(|text| text.split_once('=').unwrap().0);
        let errors = keys.filter_map(|key| check(&config, key).err());
        errors.map(|error| error.to_string()).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_key_that_nothing_uses_is_named_with_the_reason() {
        for (preset, assignments, expected) in [
            ("toy-two-moons", &["data.crop_padding=2"][..], "the data is points"),
            ("toy-two-moons", &["data.augment_energy=false"], "the data is points"),
            ("toy-two-moons", &["data.horizontal_flip=true"], "the data is points"),
            ("mnist-showcase", &["data.horizontal_flip=true"], "of another class"),
            ("fashion-quick", &["data.augment_energy=false"], "neither cropped nor mirrored"),
            ("fashion-showcase", &["data.classify_noisy=false"], "images have no noise"),
            (
                "fashion-quick",
                &["data.classify_noisy=false", "objective.p_x_weight=0"],
                "no term of the loss takes them",
            ),
            ("fashion-quick", &["data.num_points=200"], "the data comes from files"),
            ("fashion-quick", &["data.micro_batch=4096"], "above data.batch_size"),
            ("fashion-quick", &["model.norm_momentum=0.1"], "only batch norm"),
            ("two-moons-classifier", &["objective.gap_loss=softplus"], "objective.p_x_weight is 0"),
            ("fashion-quick", &["objective.adversarial_norm=linf"], "adversarial_radius is 0"),
            ("fashion-quick", &["objective.adversarial_steps=3"], "adversarial_radius is 0"),
            ("fashion-quick", &["optimizer.sam_kind=adaptive"], "optimizer.sam_radius is 0"),
            ("fashion-quick", &["optimizer.decay_epochs=[3, 99999]"], "before the end of the run"),
            ("fashion-showcase", &["optimizer.decay_epochs=[3]"], "optimizer.schedule = steps"),
            ("fashion-showcase", &["optimizer.decay_factor=0.5"], "optimizer.schedule = steps"),
            ("drawings", &["training.grow_at_auc=0.7"], "training.max_chain_steps is 0"),
            ("fashion-quick", &["sampler.step_size=1"], "not used by the sampler pyld"),
        ] {
            let said = said(preset, assignments);
            assert!(said.contains(expected), "{assignments:?}: {said}");
        }
    }

    #[test]
    fn what_a_preset_or_another_key_makes_useful_passes() {
        for (preset, assignments) in [
            ("fashion-quick", &["data.crop_padding=2", "data.augment_energy=false"][..]),
            ("fashion-quick", &["data.classify_noisy=false"]),
            ("fashion-quick", &["data.horizontal_flip=true", "data.augment_energy=false"]),
            ("fashion-quick", &["data.micro_batch=4"]),
            ("fashion-quick", &["training.epochs=3"]),
            ("fashion-quick", &["optimizer.decay_epochs=[]", "training.epochs=2"]),
            ("fashion-quick", &["optimizer.decay_epochs=[3]", "training.epochs=4"]),
            ("toy-two-moons", &["data.num_points=200", "optimizer.decay_factor=0.5"]),
            ("dat-cifar10", &["model.norm_momentum=0.2", "training.grow_at_auc=0.7"]),
            ("two-moons-classifier", &["objective.gap_loss=softplus", "objective.p_x_weight=0.5"]),
            ("fashion-at", &["objective.adversarial_steps=3"]),
            ("sada-jem-cifar10", &["optimizer.sam_kind=plain"]),
            // A later session, and samples of the model, take the settings of chains.
            ("fashion-classifier", &["sampler.num_steps=3", "replay_buffer.reinit_prob=0.1"]),
        ] {
            assert_eq!(said(preset, assignments), "", "{preset} {assignments:?}");
        }
    }

    #[test]
    fn a_file_that_records_all_settings_gives_no_key() {
        let all = RunConfig::preset("toy-two-moons").unwrap().to_commented_toml();
        assert!(keys_of_file(&all).is_empty());
        let some = "seed = 3\ndata.crop_padding = 1\n[optimizer]\nsam_kind = 'plain'\n";
        let mut keys = keys_of_file(some);
        keys.sort();
        assert_eq!(keys, ["data.crop_padding", "optimizer.sam_kind", "seed"]);
    }
}
