//! Validation of a checkpoint, so that every command may trust its content. A checksum only shows that the file is
//! unchanged, not that its author wrote valid values.

use std::collections::{HashMap, HashSet};

#[cfg(not(target_arch = "wasm32"))]
use super::optimizer;
use super::{Checkpoint, format};
use crate::{
    config::{ConfigError, shortened},
    model::{HostTensor, Layout, ModelError, WeightsError},
    streams,
};

/// Limit on the number of values of one input: a colour image of 2,048 × 2,048 pixels and a little more.
const MAX_PIXELS: usize = 1 << 24;
/// Limit on the number of classes.
const MAX_CLASSES: usize = 1 << 16;
/// Limit on the length of a class name, in characters.
const MAX_CLASS_NAME: usize = 200;
/// Limits on the steps and recoveries of a run; beyond them, random numbers would repeat.
const MAX_STEP: u64 = streams::MAX_TRAINING_STEPS;
const MAX_RECOVERIES: usize = streams::MAX_ATTEMPTS - 1;

/// Why the content of a checkpoint cannot be used.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum Flaw {
    /// A number or a name is outside its valid range.
    #[error("`{field}` is {found}; it must be {must_be}")]
    Field {
        /// The name of the field.
        field: &'static str,
        /// The value of the field.
        found: String,
        /// The values that are valid.
        must_be: String,
    },
    /// A tensor holds a NaN or an infinity.
    #[error(
        "tensor `{0}` holds a value that is not a finite number, as a diverged run leaves it; take an earlier \
         checkpoint or train again"
    )]
    NotFinite(String),
    /// A standard deviation or a variance is negative.
    #[error("tensor `{0}` holds a negative value; a spread is 0 or more")]
    Negative(String),
    /// The state of the optimiser is not valid.
    #[error("its optimiser's state {0}")]
    Optimizer(String),
    /// The configuration in the checkpoint is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration does not describe a valid network.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The tensors do not fit the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

impl Checkpoint {
    /// Checks everything that a command relies on: sizes, names and counters; the shape of every tensor against the
    /// architecture; that all numbers are finite; and that the state of the optimiser belongs to this network. It makes
    /// no allocation as large as the network.
    ///
    /// # Errors
    /// The first flaw, with the name of the field or the tensor.
    pub fn validate(&self) -> Result<(), Flaw> {
        self.config.check_keys()?;
        let num_pixels = self.check_sizes()?;
        self.check_counters()?;
        let num_classes = self.class_names.len();
        let layout = Layout::of(&self.config.model, self.input_shape, num_classes)?;
        check_weights(format::WEIGHTS, &self.weights, &layout)?;
        if let Some(averaged) = &self.averaged_weights {
            check_weights(format::AVERAGED, averaged, &layout)?;
        }
        self.check_centers(num_pixels)?;
        self.check_buffer(num_pixels)?;
        // A web page never resumes a run from a file, so nothing reads this state there.
        #[cfg(not(target_arch = "wasm32"))]
        if !self.is_packed() {
            let (kind, step) = (self.config.optimizer.kind, self.counters.step);
            optimizer::check(&self.optimizer, &layout, kind, step).map_err(Flaw::Optimizer)?;
        }
        Ok(())
    }

    /// The number of values of one input, after checking that shape and classes are possible.
    fn check_sizes(&self) -> Result<usize, Flaw> {
        let sizes = self.input_shape;
        let product = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        let Some(num_pixels) = product.filter(|product| (1..=MAX_PIXELS).contains(product)) else {
            return Err(Flaw::Field {
                field: "input_shape",
                found: format!("{sizes:?}"),
                must_be: format!(
                    "(C, H, W) of at least 1 and no more than {MAX_PIXELS} values in all"
                ),
            });
        };
        let classes = |found: String, must_be: &str| {
            Err(Flaw::Field { field: "class_names", found, must_be: must_be.into() })
        };
        let names = &self.class_names;
        if !(1..=MAX_CLASSES).contains(&names.len()) {
            let must_be = format!("a list of 1 to {MAX_CLASSES}");
            return classes(format!("a list of {} names", names.len()), &must_be);
        }
        let is_bad = |name: &&String| {
            name.trim().is_empty()
                || name.chars().count() > MAX_CLASS_NAME
                || name.chars().any(char::is_control)
        };
        if let Some(name) = names.iter().find(is_bad) {
            let must_be =
                format!("names of 1 to {MAX_CLASS_NAME} characters without control characters");
            return classes(format!("a list with {:?}", shortened(name, 60)), &must_be);
        }
        let mut seen = HashSet::new();
        match names.iter().find(|name| !seen.insert(*name)) {
            Some(name) => {
                classes(format!("a list with `{name}` twice"), "a list of different names")
            }
            None => Ok(num_pixels),
        }
    }

    fn check_counters(&self) -> Result<(), Flaw> {
        let counters = &self.counters;
        let check = |field, is_right: bool, found: String, must_be: String| match is_right {
            true => Ok(()),
            false => Err(Flaw::Field { field, found, must_be }),
        };
        let (step, recoveries) = (counters.step, counters.num_recoveries);
        check("counters.step", step <= MAX_STEP, step.to_string(), format!("at most {MAX_STEP}"))?;
        let most = format!("at most {MAX_RECOVERIES}");
        let is_right = recoveries <= MAX_RECOVERIES;
        check("counters.num_recoveries", is_right, recoveries.to_string(), most)?;
        let accuracy = counters.test_accuracy.unwrap_or(0.0);
        let temperature = counters.temperature.unwrap_or(1.0);
        let best = counters.best.map_or(0.0, |best| best.validation_accuracy);
        for (field, value, is_right, must_be) in [
            (
                "counters.learning_rate_factor",
                counters.learning_rate_factor,
                counters.learning_rate_factor > 0.0 && counters.learning_rate_factor <= 1.0,
                "above 0 and at most 1",
            ),
            (
                "counters.smoothed_gap",
                counters.smoothed_gap,
                counters.smoothed_gap.is_finite(),
                "a finite number",
            ),
            (
                "counters.elapsed_secs",
                counters.elapsed_secs,
                counters.elapsed_secs.is_finite() && counters.elapsed_secs >= 0.0,
                "0 or more",
            ),
            (
                "counters.smoothed_auc",
                counters.smoothed_auc,
                (0.0..=1.0).contains(&counters.smoothed_auc),
                "an area from 0 to 1",
            ),
            (
                "counters.best.validation_accuracy",
                best,
                (0.0..=1.0).contains(&best),
                "a share from 0 to 1",
            ),
            (
                "counters.temperature",
                temperature,
                temperature.is_finite() && temperature > 0.0,
                "a number above 0",
            ),
            (
                "counters.test_accuracy",
                accuracy,
                (0.0..=1.0).contains(&accuracy),
                "a share from 0 to 1",
            ),
        ] {
            check(field, is_right, value.to_string(), must_be.to_string())?;
        }
        Ok(())
    }

    fn check_centers(&self, num_pixels: usize) -> Result<(), Flaw> {
        let centers = &self.class_centers;
        let [classes, components, pixels] = centers.dims;
        if !(1..=num_pixels).contains(&components) {
            return Err(Flaw::Field {
                field: format::FACTOR,
                found: format!("of {components} components"),
                must_be: format!("of 1 to {num_pixels}, as many as an input has values"),
            });
        }
        let spread = [num_pixels, components];
        for (name, values, found, expected) in [
            (format::MEAN, &centers.mean, vec![classes, pixels], 1),
            (format::FACTOR, &centers.factor, vec![classes, components, pixels], spread[1]),
            (format::RESIDUAL_STD, &centers.residual_std, vec![classes, pixels], 1),
        ] {
            // The sizes were bounded above, so nothing overflows.
            let (num_classes, len) = (self.class_names.len(), self.class_names.len() * num_pixels);
            if classes != num_classes || pixels != num_pixels || values.len() != len * expected {
                let mut expected = vec![num_classes, num_pixels];
                if found.len() == 3 {
                    expected.insert(1, components);
                }
                return Err(WeightsError::Shape { name: name.into(), expected, found }.into());
            }
            check_finite(name, values)?;
        }
        match centers.residual_std.iter().any(|&std| std < 0.0) {
            true => Err(Flaw::Negative(format::RESIDUAL_STD.into())),
            false => Ok(()),
        }
    }

    fn check_buffer(&self, num_pixels: usize) -> Result<(), Flaw> {
        let buffer = &self.replay_buffer;
        if self.is_packed() && self.has_buffer() {
            return Err(Flaw::Optimizer("is empty, though it has a replay buffer".into()));
        }
        let capacity = match self.is_packed() {
            true => 0,
            false => self.config.replay_buffer.replay_buffer_size,
        };
        let expected = vec![capacity, num_pixels];
        if buffer.shape != expected || buffer.values.len() != capacity.saturating_mul(num_pixels) {
            let found = buffer.shape.clone();
            let name = format::REPLAY_BUFFER.to_string();
            return Err(WeightsError::Shape { name, expected, found }.into());
        }
        if !self.is_packed() && capacity < self.class_names.len() {
            return Err(Flaw::Field {
                field: format::REPLAY_BUFFER,
                found: format!("of {capacity} chains"),
                must_be: format!("of at least one for each of {} classes", self.class_names.len()),
            });
        }
        check_finite(format::REPLAY_BUFFER, &buffer.values)
    }
}

/// Compares names and shapes with those of the architecture, then checks every number.
fn check_weights(
    prefix: &str,
    weights: &HashMap<String, HostTensor>,
    layout: &Layout,
) -> Result<(), Flaw> {
    for (name, shape) in &layout.tensors {
        let full = format!("{prefix}{name}");
        let Some(tensor) = weights.get(name) else {
            return Err(WeightsError::Missing(full).into());
        };
        if tensor.shape != *shape {
            let (expected, found) = (shape.clone(), tensor.shape.clone());
            return Err(WeightsError::Shape { name: full, expected, found }.into());
        }
    }
    if weights.len() != layout.tensors.len() {
        let known: HashSet<&str> = layout.tensors.iter().map(|(name, _)| name.as_str()).collect();
        let extra = weights.keys().filter(|name| !known.contains(name.as_str())).min();
        let name = extra.map(|name| format!("{prefix}{}", shortened(name, 100)));
        return Err(WeightsError::Extra(name.unwrap_or_default()).into());
    }
    for (name, _) in &layout.tensors {
        let Some(tensor) = weights.get(name) else { continue };
        check_finite(&format!("{prefix}{name}"), &tensor.values)?;
        if name.ends_with("running_var") && tensor.values.iter().any(|&value| value < 0.0) {
            return Err(Flaw::Negative(format!("{prefix}{name}")));
        }
    }
    Ok(())
}

fn check_finite(name: &str, values: &[f32]) -> Result<(), Flaw> {
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err(Flaw::NotFinite(name.to_string())),
    }
}
