//! The one door through which every data set comes: from its official files, from the program, from a formula, or from
//! the user's own files.

use std::path::PathBuf;

use super::{
    DataError, Dataset, formats,
    found::Found,
    origin::{Origin, Place, items_of},
    own::{self, OwnFile, Purpose},
    sets::{Set, Source, name},
};
use crate::{
    assets::{self, AssetError},
    config::{DataConfig, DatasetName},
};

/// The number of training images inside the program.
#[cfg(not(target_arch = "wasm32"))]
const NUM_EMBEDDED: usize = 5000;

/// The training, validation and test parts of a data set.
#[derive(Clone, Debug)]
pub struct Splits {
    /// The part for training the model.
    pub train: Dataset,
    /// The part held out of the training data for validation; may be empty.
    pub validation: Dataset,
    /// The test part; may be empty if the user's files hold none.
    pub test: Dataset,
    pub(super) origin: Origin,
    settings: Option<DataConfig>,
}

impl Splits {
    /// Maps the labels to the classes `names` of a model, if `names` include every class of the images: a folder need
    /// not hold an image of every class.
    pub fn in_classes(mut self, names: &[String]) -> Self {
        let places: Option<Vec<u32>> = self
            .train
            .class_names
            .iter()
            .map(|own| names.iter().position(|name| name == own).map(|place| place as u32))
            .collect();
        if let Some(places) = places {
            for part in [&mut self.train, &mut self.validation, &mut self.test] {
                part.labels.iter_mut().for_each(|label| *label = places[*label as usize]);
                part.class_names = names.to_vec();
            }
        }
        self
    }

    /// Writes into `config` what was chosen while reading the data set: the size and the colour of its images, or the
    /// frame of its points. With these settings, other files of the same kind are read in the same way.
    pub fn settle(&self, config: &mut DataConfig) {
        if let Some(chosen) = &self.settings {
            config.size = chosen.size;
            config.color = chosen.color;
            config.frame.clone_from(&chosen.frame);
        }
    }
}

/// Reads the data set that `config` names: from its folder, from the cache of `jempp fetch`, from the program itself,
/// drawn from a formula, or from the user's own files.
///
/// # Errors
/// The data set cannot use the folder; or a file is missing, truncated, corrupt or of another format, with its name and
/// byte counts.
pub fn load(config: &DataConfig, seed: u64) -> Result<Splits, DataError> {
    load_for(Purpose::Training, config, seed)
}

fn load_for(purpose: Purpose, config: &DataConfig, seed: u64) -> Result<Splits, DataError> {
    splits(read(config, seed, purpose)?, config, seed, purpose)
}

/// Reads the user's own data set from a list of files, as [`load`] does from a folder or a zip archive; messages call it
/// `name`.
///
/// # Errors
/// As [`load`].
pub fn load_files(
    name: &str,
    files: &[OwnFile],
    config: &DataConfig,
    seed: u64,
) -> Result<Splits, DataError> {
    splits(own::load_files(name, files, config, seed)?, config, seed, Purpose::Training)
}

/// Checks the parts of a data set, holds out a validation part, and chooses the training items.
fn splits(
    found: Found,
    config: &DataConfig,
    seed: u64,
    purpose: Purpose,
) -> Result<Splits, DataError> {
    let Found { mut train, validation, mut test, mut origin, settings } = found;
    if train.is_empty() && (purpose == Purpose::Training || test.is_empty()) {
        return Err(DataError::Empty { dataset: name(config.dataset) });
    }
    if test.is_empty() {
        // An empty test part takes the shape of the training images, whatever its files say.
        test.shape = train.shape;
    }
    if train.shape != test.shape || train.num_pixels() < 2 {
        return Err(DataError::Shapes { train: train.shape, test: test.shape });
    }
    if !train.is_empty() {
        check_numbers(config, train.len(), validation.is_some())?;
    }
    let validation = match validation {
        Some(validation) => validation,
        None => {
            let (validation, rest) = train.split(config.num_validation);
            train = rest;
            validation
        }
    };
    let (num_train, available) = (config.num_train, train.len());
    if (1..available).contains(&num_train) {
        train = train.subset(num_train, seed);
        origin.choices.push(format!(
            "{num_train} of {available} training {} are used, chosen by seed {seed}",
            items_of(train.shape)
        ));
    }
    Ok(Splits { train, validation, test, origin, settings })
}

/// Checks that `all` training items are enough for the validation part, the training items and the batch that `config`
/// asks for. `has_validation`: the data set has a validation part of its own.
fn check_numbers(config: &DataConfig, all: usize, has_validation: bool) -> Result<(), DataError> {
    let &DataConfig { num_validation, num_train, batch_size, .. } = config;
    if has_validation && num_validation > 0 {
        return Err(DataError::TwoValidations { num_validation });
    }
    if num_validation >= all {
        return Err(DataError::TooMuchValidation { num_validation, num_train: all });
    }
    let available = all - num_validation;
    if num_train > available {
        return Err(DataError::TooFewTraining { num_train, available });
    }
    let used = if num_train > 0 { num_train } else { available };
    match batch_size > used {
        true => Err(DataError::BatchTooLarge { batch_size, num_train: used }),
        false => Ok(()),
    }
}

/// Checks what can be known of a data set before its files are read: that it uses its settings, and that it has as many
/// items as they ask for, if it is drawn from a formula or is inside the program.
///
/// # Errors
/// As [`load`].
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn check(config: &DataConfig) -> Result<(), DataError> {
    match source_of(config)? {
        Source::Drawn(_) => check_numbers(config, config.num_points, false),
        Source::Embedded => check_numbers(config, NUM_EMBEDDED, false),
        Source::Official | Source::Own => Ok(()),
    }
}

/// The name of a setting that only the user's own data uses, if one has another value than by default.
fn setting_of_own(config: &DataConfig) -> Option<&'static str> {
    let default = DataConfig::default();
    let changed = [
        ("size", config.size != default.size),
        ("fit", config.fit != default.fit),
        ("color", config.color != default.color),
        ("frame", config.frame != default.frame),
    ];
    changed.into_iter().find_map(|(key, is_changed)| is_changed.then_some(key))
}

/// Where the data set comes from, after a check that it uses the settings of `config`.
fn source_of(config: &DataConfig) -> Result<Source, DataError> {
    let dataset = config.dataset;
    let source = Set::of(dataset).source;
    let reads_files = matches!(source, Source::Official | Source::Own);
    if !reads_files && !config.dir.is_empty() {
        return Err(formats::unused(dataset, config.dir.as_ref()));
    }
    if let Some(key) = setting_of_own(config).filter(|_| source != Source::Own) {
        return Err(DataError::UnusedSetting { dataset: name(dataset), key });
    }
    Ok(source)
}

/// Reads the data set from where it comes from. Only the user's own data differs by the purpose.
fn read(config: &DataConfig, seed: u64, purpose: Purpose) -> Result<Found, DataError> {
    let (dataset, source) = (config.dataset, source_of(config)?);
    let given = (!config.dir.is_empty()).then(|| PathBuf::from(&config.dir));
    match source {
        Source::Drawn(density) => {
            let test_points = (config.num_points / 5).max(1);
            let train = density.sample(config.num_points, seed, 0);
            let test = density.sample(test_points, seed, 1);
            Ok(Found::new(train, test, Origin::new(dataset, Place::Drawn)))
        }
        Source::Embedded => {
            let (train, test) = formats::load_embedded()?;
            Ok(Found::new(train, test, Origin::new(dataset, Place::Program)))
        }
        Source::Official => {
            let place = given.map(Place::Folder).or_else(|| fetched(dataset).map(Place::Fetched));
            let place = place.ok_or_else(|| DataError::NoDir { dataset: name(dataset) })?;
            formats::load(dataset, place)
        }
        #[cfg(not(target_arch = "wasm32"))]
        Source::Own => own::load(&given.ok_or(DataError::NoPath)?, config, seed, purpose),
        // A browser has no folders, and its lists of files come through `load_files`.
        #[cfg(target_arch = "wasm32")]
        Source::Own => match purpose {
            Purpose::Training => Err(DataError::NoPath),
        },
    }
}

/// Loads the data set that `config` names, or the embedded part of it if its files are not available. The embedded part
/// is enough to start chains and to compare with, but not to train on. No part is held out or left out. A folder in
/// `config` is always read.
///
/// # Errors
/// As [`load`].
pub fn load_at_hand(config: &DataConfig, seed: u64) -> Result<Splits, DataError> {
    load(&at_hand(config), seed)
}

/// Loads what [`load_at_hand`] does, to measure a model: the user's own data needs no training part then.
///
/// # Errors
/// As [`load`].
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn load_to_measure(config: &DataConfig, seed: u64) -> Result<Splits, DataError> {
    load_for(Purpose::Measuring, &at_hand(config), seed)
}

/// The data set that is at hand: whole, and the embedded part of it if its files are not available.
fn at_hand(config: &DataConfig) -> DataConfig {
    let mut config = config.whole();
    if is_embedded(&config) {
        config.dataset = DatasetName::FashionMnistEmbedded;
        config.dir.clear();
    } else if config.dataset == DatasetName::FashionMnistEmbedded {
        config.dataset = DatasetName::FashionMnist;
    }
    config
}

/// Whether [`load_at_hand`] returns only the embedded part of the data set.
pub fn is_embedded(config: &DataConfig) -> bool {
    // A browser has no folders.
    let has_folder = !config.dir.is_empty() && cfg!(not(target_arch = "wasm32"));
    match config.dataset {
        DatasetName::FashionMnistEmbedded => !has_folder,
        DatasetName::FashionMnist => !has_folder && fetched(config.dataset).is_none(),
        _ => false,
    }
}

/// Downloads the embedded files that [`load_at_hand`] will read; needed in a browser.
///
/// # Errors
/// The files cannot be downloaded.
pub async fn prepare(config: &DataConfig) -> Result<(), AssetError> {
    match config.dataset {
        DatasetName::FashionMnist | DatasetName::FashionMnistEmbedded => {
            assets::bring(&formats::EMBEDDED_FILES).await
        }
        _ => Ok(()),
    }
}

/// The folder of a data set that was fetched before, if there is one.
#[cfg(not(target_arch = "wasm32"))]
fn fetched(dataset: DatasetName) -> Option<PathBuf> {
    super::fetch::cached(dataset)
}

/// Always `None`, because a browser has no folders.
#[cfg(target_arch = "wasm32")]
fn fetched(_dataset: DatasetName) -> Option<PathBuf> {
    None
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_before_is_refused_as_it_is_when_read() {
        let embedded =
            DataConfig { dataset: DatasetName::FashionMnistEmbedded, ..DataConfig::default() };
        let drawn =
            DataConfig { dataset: DatasetName::TwoMoons, num_points: 100, ..embedded.clone() };
        for (config, words) in [
            (DataConfig { batch_size: 5000, ..embedded.clone() }, ""),
            (DataConfig { batch_size: 5001, ..embedded.clone() }, "the 5000 training images"),
            (DataConfig { dir: "x".into(), ..embedded.clone() }, "is inside the program"),
            (DataConfig { batch_size: 100, ..drawn.clone() }, ""),
            (DataConfig { batch_size: 101, ..drawn.clone() }, "the 100 training images"),
            (DataConfig { num_validation: 100, ..drawn.clone() }, "leaves nothing of 100"),
            (DataConfig { num_train: 50, batch_size: 51, ..drawn.clone() }, "the 50 training"),
            (DataConfig { num_train: 101, ..drawn.clone() }, "the 100 training images"),
        ] {
            let said = |found: Result<(), DataError>| {
                found.err().map(|error| error.to_string()).unwrap_or_default()
            };
            let before = said(check(&config));
            assert_eq!(before, said(load(&config, 0).map(drop)));
            assert!(before.contains(words) && before.is_empty() == words.is_empty(), "{before}");
        }
    }
}
