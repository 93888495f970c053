//! Sampling from a model in one call.

use std::path::Path;

use super::{Error, Model};
use crate::{
    config::{RunConfig, SamplerConfig, StartKind},
    energy::JointEnergy,
    picture,
    sampler::{ChainState, Sampler},
    sampling::{self, SampleStart},
};

/// Steps that may queue up on a GPU before it is waited for.
const MAX_QUEUED: usize = 64;

/// What to sample: how many chains, how long, from where and by which rule.
///
/// ```
/// # fn main() -> Result<(), jempp::Error> {
/// use jempp::{Model, SampleOptions, SampleStart, config::StartKind};
///
/// let model = Model::bundled("two-moons")?;
/// let options = SampleOptions::new(8, 20)
///     .seed(3)
///     .classes([1])
///     .start(SampleStart::Fresh(StartKind::Uniform));
/// let samples = model.sample_with(&options)?;
/// assert_eq!(samples.labels(), [1; 8]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SampleOptions {
    num_chains: usize,
    num_steps: usize,
    seed: u64,
    classes: Vec<u32>,
    start: SampleStart,
    is_conditional: bool,
    sampler: Option<SamplerConfig>,
}

impl SampleOptions {
    /// `num_chains` chains of `num_steps` steps from the class centres, by the model's own sampler, with seed 0.
    pub fn new(num_chains: usize, num_steps: usize) -> Self {
        Self {
            num_chains,
            num_steps,
            seed: 0,
            classes: Vec::new(),
            start: SampleStart::Fresh(StartKind::ClassCenters),
            is_conditional: false,
            sampler: None,
        }
    }

    /// The seed of starts and noise: the same seed gives the same chains.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The classes that the chains start from, in equal shares; all of the model's, unless said here.
    pub fn classes(self, classes: impl Into<Vec<u32>>) -> Self {
        Self { classes: classes.into(), ..self }
    }

    /// Where the chains start.
    pub fn start(self, start: SampleStart) -> Self {
        Self { start, ..self }
    }

    /// Lets each chain follow p(x|y) of its class, instead of p(x).
    pub fn conditional(self) -> Self {
        Self { is_conditional: true, ..self }
    }

    /// Another sampler than the model's own.
    pub fn sampler(self, sampler: SamplerConfig) -> Self {
        Self { sampler: Some(sampler), ..self }
    }

    /// The class of each chain, in order.
    fn labels(&self, class_names: &[String]) -> Result<Vec<u32>, Error> {
        let num_classes = class_names.len();
        if let Some(class) = self.classes.iter().find(|&&class| class as usize >= num_classes) {
            return Err(Error::Request(format!(
                "there is no class {class}: the model has classes 0 to {}: {}",
                num_classes - 1,
                class_names.join(", ")
            )));
        }
        let classes = match self.classes.is_empty() {
            true => (0..num_classes as u32).collect(),
            false => self.classes.clone(),
        };
        let class_of = |chain| classes[chain * classes.len() / self.num_chains];
        Ok((0..self.num_chains).map(class_of).collect())
    }
}

/// What a model sees in an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The most probable class.
    pub class: u32,
    /// p(y|x) of every class; their sum is 1.
    pub probabilities: Vec<f32>,
}

impl Prediction {
    /// Of the logits of one image.
    pub(super) fn of_logits(logits: &[f32]) -> Self {
        let probabilities = sampling::probabilities(logits);
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        Self { class: best.unwrap_or_default() as u32, probabilities }
    }

    /// How sure the model is: the probability of the class that it sees.
    pub fn confidence(&self) -> f32 {
        self.probabilities[self.class as usize]
    }
}

/// Images that chains ended at, with what the model makes of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    images: Vec<f32>,
    shape: [usize; 3],
    labels: Vec<u32>,
    energies: Vec<f32>,
    predictions: Vec<Prediction>,
}

impl Samples {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Shape (N, C, H, W) of the images.
    pub fn shape(&self) -> [usize; 4] {
        let [c, h, w] = self.shape;
        [self.len(), c, h, w]
    }

    /// All images, shape (N, C, H, W) flattened. The samplers with a box keep them in [-1, 1].
    pub fn images(&self) -> &[f32] {
        &self.images
    }

    /// One image, shape (C, H, W) flattened.
    pub fn image(&self, index: usize) -> Option<&[f32]> {
        self.images.chunks(self.shape.iter().product()).nth(index)
    }

    /// The class that each chain started from.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Energy of each image, as [`Model::energy`] gives it.
    pub fn energies(&self) -> Vec<f32> {
        self.energies.clone()
    }

    /// What the model sees in each image, as [`Model::classify`] gives it.
    pub fn predictions(&self) -> &[Prediction] {
        &self.predictions
    }

    /// Writes the images to a PNG file: a row for each class where that fills rows, points as a scatter plot. A file that
    /// is there is replaced.
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
    /// Samples images: `num_chains` chains leave the class centres and take `num_steps` steps of the model's own
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
    /// No chain at all, or more than there is memory for.
    pub fn sample(&self, num_chains: usize, num_steps: usize, seed: u64) -> Result<Samples, Error> {
        self.sample_with(&SampleOptions::new(num_chains, num_steps).seed(seed))
    }

    /// Samples images with other classes, starts or another sampler than [`Model::sample`] takes.
    ///
    /// # Errors
    /// As [`Model::sample`]; a class that the model has not, a start that it cannot give, a sampler that cannot be.
    pub fn sample_with(&self, options: &SampleOptions) -> Result<Samples, Error> {
        let &SampleOptions { num_chains, num_steps, seed, is_conditional, .. } = options;
        if num_chains == 0 {
            return Err(Error::Request("0 chains are no sample; ask for at least 1".into()));
        }
        let sampler = options.sampler.clone().unwrap_or_else(|| self.config().sampler.clone());
        let config = RunConfig { sampler, ..self.config().clone() };
        config.validate()?;
        let labels = options.labels(self.class_names())?;
        let x = sampling::starts(self.checkpoint(), &options.start, &labels, seed, self.device())?;
        let energy = match is_conditional {
            true => JointEnergy::for_labels(self.network(), labels.clone()),
            false => self.joint_energy(),
        };
        let mut state = ChainState::new(x, seed);
        for step in 0..num_steps {
            let sampler = Sampler::at_step(&config.sampler, step, num_steps);
            state = sampler.step(state, &energy).0;
            if (step + 1).is_multiple_of(MAX_QUEUED) {
                // An error that the device reports here shows in the read below as well.
                let _ = self.device().sync();
            }
        }
        let images: Vec<f32> = state.x.into_data().iter::<f32>().collect();
        let (energies, predictions) = (self.energy(&images)?, self.classify(&images)?);
        Ok(Samples { images, shape: self.input_shape(), labels, energies, predictions })
    }
}
