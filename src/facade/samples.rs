//! Sampling from a model with one call.

use std::path::Path;

use super::{Error, Model};
use crate::{
    chains::{ChainRun, ChainSettings, ChainStep},
    numbers::{argmax, class_probabilities},
    picture,
};

/// The prediction of a classifier for one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The most probable class.
    pub class: u32,
    /// p(y|x) of every class; the sum is 1. If the model was calibrated after training, with its temperature
    /// ([`Counters::temperature`](crate::checkpoint::Counters::temperature)).
    pub probabilities: Vec<f32>,
}

impl Prediction {
    /// Computes the prediction from the logits of one image and the temperature of the model, if it has one.
    pub(super) fn of_logits(logits: &[f32], temperature: Option<f64>) -> Self {
        let class = argmax(logits).unwrap_or_default() as u32;
        Self { class, probabilities: class_probabilities(logits, temperature) }
    }

    /// The confidence: the probability of the predicted class.
    pub fn confidence(&self) -> f32 {
        self.probabilities[self.class as usize]
    }
}

/// The images at the ends of chains, with the model's predictions and energies.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    images: Vec<f32>,
    shape: [usize; 3],
    labels: Vec<u32>,
    energies: Vec<f32>,
    predictions: Vec<Prediction>,
}

impl Samples {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The shape (N, C, H, W) of the images.
    pub fn shape(&self) -> [usize; 4] {
        let [c, h, w] = self.shape;
        [self.len(), c, h, w]
    }

    /// All images, shape (N, C, H, W) flattened. Without the noise of the data if `sampler.denoise_step` is above 0: with 0 they are
    /// the chains themselves. Samplers that project onto the box keep them in [-1, 1].
    pub fn images(&self) -> &[f32] {
        &self.images
    }

    /// One image, shape (C, H, W) flattened.
    pub fn image(&self, index: usize) -> Option<&[f32]> {
        self.images.chunks(self.shape.iter().product()).nth(index)
    }

    /// The class of each chain's start.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The energy of each chain under the density that it samples: E(x), or E(x, y) for conditional chains.
    pub fn energies(&self) -> Vec<f32> {
        self.energies.clone()
    }

    /// The prediction of the model for each image, as from [`Model::classify`].
    pub fn predictions(&self) -> &[Prediction] {
        &self.predictions
    }

    /// Saves the images as a PNG file, with one row per class if all rows are full; points are drawn as a scatter
    /// plot. An existing file is replaced.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_png(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let in_first = self.labels.iter().take_while(|label| **label == self.labels[0]).count();
        let columns = match self.len().is_multiple_of(in_first) && in_first > 1 {
            true => in_first,
            false => self.len().isqrt().max(1),
        };
        let grid = picture::draw(&self.images, &self.labels, self.shape, columns);
        Ok(picture::save_png(grid, path.as_ref())?)
    }
}

impl Model {
    /// Samples images: `num_chains` chains start from the class centres and take `num_steps` steps of the model's own
    /// sampler. The same seed gives the same images.
    ///
    /// ```
    /// # fn main() -> Result<(), jempp::Error> {
    /// let energies = jempp::Model::bundled("two-moons")?.sample(10, 20, 0)?.energies();
    /// assert_eq!(energies.len(), 10);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `num_chains` is 0, or more chains than fit in memory.
    pub fn sample(&self, num_chains: usize, num_steps: usize, seed: u64) -> Result<Samples, Error> {
        if num_chains == 0 {
            return Err(Error::Request("0 chains are not a sample; ask for at least 1".into()));
        }
        // Equal shares of all classes, in order.
        let num_classes = self.class_names().len();
        let classes = (0..num_chains).map(|chain| (chain * num_classes / num_chains) as u32);
        let settings = ChainSettings {
            classes: classes.collect(),
            per_class: 1,
            num_steps,
            seed,
            ..ChainSettings::default()
        };
        self.sample_with(&settings)
    }

    /// Samples images of chosen classes, from other starts, or from p(x|y).
    ///
    /// ```
    /// # fn main() -> Result<(), jempp::Error> {
    /// use jempp::{ChainSettings, Model, SampleStart, config::StartKind};
    ///
    /// let samples = Model::bundled("two-moons")?.sample_with(&ChainSettings {
    ///     classes: vec![1],
    ///     per_class: 8,
    ///     num_steps: 20,
    ///     start: SampleStart::Fresh(StartKind::Uniform),
    ///     ..ChainSettings::default()
    /// })?;
    /// assert_eq!(samples.labels(), [1; 8]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`Model::chains`]; also chains that diverge to values that are not finite.
    pub fn sample_with(&self, settings: &ChainSettings) -> Result<Samples, Error> {
        self.sample_while(settings, |_| true)
    }

    /// Samples images as [`Model::sample_with`] does, and shows every step to `watch`: for the energies along the chains, or
    /// to stop early. When `watch` returns false, the chains end with the next step.
    ///
    /// ```
    /// # fn main() -> Result<(), jempp::Error> {
    /// let settings = jempp::ChainSettings { num_steps: 20, ..Default::default() };
    /// let mut energies = Vec::new();
    /// let samples = jempp::Model::bundled("two-moons")?.sample_while(&settings, |step| {
    ///     energies.push(step.energies.clone());
    ///     true
    /// })?;
    /// assert_eq!(energies.len(), 21);
    /// assert_eq!(energies.last(), Some(&samples.energies()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`Model::sample_with`].
    pub fn sample_while(
        &self,
        settings: &ChainSettings,
        mut watch: impl FnMut(&ChainStep) -> bool,
    ) -> Result<Samples, Error> {
        let mut chains = self.chains(settings)?;
        let labels = chains.labels().to_vec();
        let last = loop {
            chains.read_images(chains.is_at_end());
            let step = match chains.next().transpose()? {
                Some(step) => step,
                None => unreachable!("the last step says so"),
            };
            let continues = watch(&step);
            if step.is_last {
                break step;
            }
            if !continues {
                chains.stop();
            }
        };
        let (energies, images) = (last.energies, last.images.unwrap_or_default());
        if images.iter().any(|value| !value.is_finite()) {
            let key = self.config().sampler.step_size_key();
            return Err(Error::Request(format!(
                "the chains diverged to values that are not finite; try a smaller {key}"
            )));
        }
        let predictions = self.classify(&images)?;
        Ok(Samples { images, shape: self.input_shape(), labels, energies, predictions })
    }

    /// Starts chains of the model that are observed step by step. The iterator gives the energy, gradient norm and
    /// clamp rate of every chain at every step, and images and logits if requested.
    ///
    /// ```
    /// # fn main() -> Result<(), jempp::Error> {
    /// use jempp::{ChainSettings, Model};
    ///
    /// let model = Model::bundled("two-moons")?;
    /// let settings = ChainSettings { per_class: 5, num_steps: 10, ..ChainSettings::default() };
    /// for step in model.chains(&settings)? {
    ///     let step = step?;
    ///     println!("{}: {:?}", step.step, step.energies);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A class that the model does not have, starts that it cannot provide, more chains than fit in memory.
    pub fn chains(&self, settings: &ChainSettings) -> Result<ChainRun<'_>, Error> {
        Ok(ChainRun::new(self.checkpoint(), settings, self.device())?)
    }
}
