//! The main interface of the library: [`Model`] holds a trained model, and each common task is one method call.

mod error;
mod samples;
mod training;

use std::path::Path;

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};

use crate::{
    accuracy::{Accuracy, accuracy},
    bundled,
    checkpoint::Checkpoint,
    config::{RunConfig, SamplerConfig},
    data::{self, Dataset, Splits},
    device::{ComputeDevice, ReadError, read_now},
    energy::{Energy, EnergyGradient, JointEnergy, denoised, energy_of_logits},
    model::{Network, Pass},
};

pub use error::Error;
pub use samples::{Prediction, Samples};

/// A trained model on a device: a classifier whose logits also define an energy, from which images can be sampled.
///
/// ```
/// # fn main() -> Result<(), jempp::Error> {
/// use jempp::Model;
///
/// let model = Model::bundled("two-moons")?;
/// assert_eq!((model.input_shape(), model.class_names().len()), ([2, 1, 1], 2));
///
/// let point = [0.5, -0.3];
/// println!("E(x) = {}, p(y|x) = {:?}", model.energy(&point)?[0], model.classify(&point)?[0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    checkpoint: Checkpoint,
    network: Network,
    device: Device,
}

impl Model {
    /// Loads a model that is bundled with the program, on the device that `auto` selects: `fashion` (Fashion-MNIST),
    /// `mnist`, `cifar10-jpeg` and others, which [`bundled::BUNDLED_MODELS`] lists.
    ///
    /// # Errors
    /// There is no model of that name.
    pub fn bundled(name: &str) -> Result<Self, Error> {
        Self::new(bundled::find(name)?.load()?, &ComputeDevice::open("auto")?.device)
    }

    /// Loads the model of a checkpoint file or of a run folder, on the device that `auto` selects.
    ///
    /// # Errors
    /// The file is missing, damaged or not a checkpoint.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::new(Checkpoint::load(path.as_ref())?, &ComputeDevice::open("auto")?.device)
    }

    /// Loads the model of a checkpoint in memory, on the given device.
    ///
    /// ```
    /// # fn main() -> Result<(), jempp::Error> {
    /// use jempp::{ComputeDevice, Model, bundled};
    ///
    /// let device = ComputeDevice::open("cpu")?.device;
    /// let model = Model::new(bundled::find("two-moons")?.load()?, &device)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The parts of the checkpoint do not fit each other.
    pub fn new(checkpoint: Checkpoint, device: &Device) -> Result<Self, Error> {
        checkpoint.validate()?;
        let network = checkpoint.network(device)?;
        Ok(Self { checkpoint, network, device: device.clone() })
    }

    /// Replaces the sampler that the model was trained with.
    ///
    /// # Errors
    /// The sampler is not valid, or not valid for this network.
    pub fn with_sampler(mut self, sampler: SamplerConfig) -> Result<Self, Error> {
        self.checkpoint.config.sampler = sampler;
        self.checkpoint.config.validate()?;
        Ok(self)
    }

    /// Replaces the configuration: that of the sampler, and keys that change how the network is used, such as
    /// `model.norm`.
    ///
    /// ```
    /// # fn main() -> Result<(), jempp::Error> {
    /// let model = jempp::Model::bundled("two-moons")?;
    /// let config = model.config().with_assignment("sampler.kind=mala")?.with_assignment("sampler.noise_std=0.1")?;
    /// let energies = model.with_config(config)?.sample(10, 20, 0)?.energies();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The configuration is not valid, or it describes another network.
    pub fn with_config(mut self, config: RunConfig) -> Result<Self, Error> {
        config.validate()?;
        self.checkpoint.config = config;
        Self::new(self.checkpoint, &self.device)
    }

    /// The names of the classes; a label is an index into this list.
    pub fn class_names(&self) -> &[String] {
        &self.checkpoint.class_names
    }

    /// The shape (C, H, W) of an input: (2, 1, 1) for points in the plane.
    pub fn input_shape(&self) -> [usize; 3] {
        self.checkpoint.input_shape
    }

    /// The configuration that the model was trained with, including its sampler.
    pub fn config(&self) -> &RunConfig {
        &self.checkpoint.config
    }

    /// The checkpoint that the model was loaded from: weights, class centres, configuration, counters.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The network, to use it directly with tensors.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The device that holds the model.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The energy of the density that the model learned, for use with any [`Sampler`](crate::Sampler).
    pub fn joint_energy(&self) -> JointEnergy {
        JointEnergy::new(&self.network)
    }

    /// The energy of each image, `-log_sum_exp(logits)`: the lower it is, the more likely the image is under p(x).
    ///
    /// # Shapes
    /// `images`: (N, C, H, W) flattened, values in [-1, 1]; gives N energies.
    ///
    /// # Errors
    /// The number of values does not fit a whole number of images, or a value is not finite.
    pub fn energy(&self, images: &[f32]) -> Result<Vec<f32>, Error> {
        let network = self.network.valid().freeze();
        let mut energies = Vec::new();
        self.of_batches(images, Pass::Forward, |x| {
            energies.extend(read_now(energy_of_logits(network.logits(x)))?);
            Ok(())
        })?;
        Ok(energies)
    }

    /// The gradient of the energy by the image, ∂E/∂x: the direction in which an image becomes less likely.
    ///
    /// ```
    /// # fn main() -> Result<(), jempp::Error> {
    /// let model = jempp::Model::bundled("two-moons")?;
    /// let [x, y] = [0.5, -0.3];
    /// let gradient = model.gradient(&[x, y])?;
    /// // A small step against it lowers the energy.
    /// let next = [x - 1e-3 * gradient[0], y - 1e-3 * gradient[1]];
    /// assert!(model.energy(&next)?[0] < model.energy(&[x, y])?[0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Shapes
    /// `images` as in [`Model::energy`]; gives as many values.
    ///
    /// # Errors
    /// The same as for [`Model::energy`].
    pub fn gradient(&self, images: &[f32]) -> Result<Vec<f32>, Error> {
        Ok(self.energy_and_gradient(images)?.1)
    }

    /// The energy of each image and its gradient, from one pass: see [`Model::energy`] and [`Model::gradient`].
    ///
    /// # Errors
    /// The same as for [`Model::energy`].
    pub fn energy_and_gradient(&self, images: &[f32]) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let energy = JointEnergy::new(&self.network.valid().freeze());
        let (mut energies, mut gradients) = (Vec::new(), Vec::with_capacity(images.len()));
        self.of_batches(images, Pass::Gradient, |x| {
            let EnergyGradient { energy, gradient, .. } = energy.gradient(x);
            let (energy, gradient) = read_now((energy, gradient))?;
            energies.extend(energy);
            gradients.extend(gradient);
            Ok(())
        })?;
        Ok((energies, gradients))
    }

    /// Images without noise: the mean of the images that each noisy one may come from, as [`crate::energy::denoised`]. For models
    /// whose data and chains had the same noise in training, as `fashion-sampler` and `mnist-sampler`, and for images with this noise. What [`Model::sample`]
    /// returns has none any more.
    ///
    /// ```
    /// # fn main() -> Result<(), jempp::Error> {
    /// let model = jempp::Model::bundled("mnist-sampler")?;
    /// let images = model.denoise(&[0.1; 784])?;
    /// assert!(images.iter().all(|pixel| pixel.abs() <= 1.0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Shapes
    /// `images` as in [`Model::energy`]; gives as many values.
    ///
    /// # Errors
    /// The same as for [`Model::energy`]; also a model without such noise.
    pub fn denoise(&self, images: &[f32]) -> Result<Vec<f32>, Error> {
        let step = self.config().sampler.denoise_step;
        if step == 0.0 {
            let text = "the model was not trained on noisy images that it can denoise: sampler.denoise_step is 0";
            return Err(Error::Request(text.into()));
        }
        let energy = JointEnergy::new(&self.network.valid().freeze());
        let mut found = Vec::with_capacity(images.len());
        self.of_batches(images, Pass::Gradient, |x| {
            let gradient = energy.gradient(x.clone()).gradient;
            found.extend(read_now(denoised(x, gradient, step))?);
            Ok(())
        })?;
        Ok(found)
    }

    /// The logits of each image, one per class.
    ///
    /// # Shapes
    /// `images` as in [`Model::energy`]; gives N rows.
    ///
    /// # Errors
    /// The same as for [`Model::energy`].
    pub fn logits(&self, images: &[f32]) -> Result<Vec<Vec<f32>>, Error> {
        let network = self.network.valid().freeze();
        let mut logits = Vec::new();
        self.of_batches(images, Pass::Forward, |x| {
            let rows = read_now(network.logits(x))?;
            logits.extend(rows.chunks(self.class_names().len()).map(<[f32]>::to_vec));
            Ok(())
        })?;
        Ok(logits)
    }

    /// The class that the model predicts for each image, and p(y|x).
    ///
    /// # Shapes
    /// `images` as in [`Model::energy`]; gives N predictions.
    ///
    /// # Errors
    /// The same as for [`Model::energy`].
    pub fn classify(&self, images: &[f32]) -> Result<Vec<Prediction>, Error> {
        let temperature = self.checkpoint.counters.temperature;
        let logits = self.logits(images)?;
        Ok(logits.iter().map(|logits| Prediction::of_logits(logits, temperature)).collect())
    }

    /// Reads a picture file and converts it to an input of the model.
    ///
    /// # Errors
    /// The file cannot be read, or the model is one of points in the plane.
    pub fn read_picture(&self, path: impl AsRef<Path>) -> Result<Vec<f32>, Error> {
        let shape @ [_, h, w] = self.input_shape();
        if h * w == 1 {
            return Err(Error::Request("a model of points in the plane takes no picture".into()));
        }
        Ok(crate::picture::load_item(path.as_ref(), shape)?)
    }

    /// Loads the data that the model was trained on, with the same test part and the model's classes. The training part is
    /// whole: images that training held out for validation, or left out, are in it. Without the full files of
    /// Fashion-MNIST, it uses the part that is embedded in the program; [`Splits::describe`] says what was loaded.
    ///
    /// To repeat the split of training, use [`crate::data::load`] with [`Model::config`].
    ///
    /// # Errors
    /// The files are not where the configuration says, or hold something else.
    pub fn data(&self) -> Result<Splits, Error> {
        let RunConfig { data, seed, .. } = self.config();
        let splits = data::load_at_hand(data, *seed)?.in_classes(self.class_names());
        self.checkpoint.check_data(&splits.train)?;
        Ok(splits)
    }

    /// The accuracy, calibration error and mean energy on a data set, for example on the test images of
    /// [`Model::data`].
    ///
    /// # Errors
    /// The data has another shape or other classes, or is empty.
    pub fn evaluate(&self, data: &Dataset) -> Result<Accuracy, Error> {
        self.checkpoint.check_data(data)?;
        if data.is_empty() {
            return Err(Error::Request("a data set without images cannot be evaluated on".into()));
        }
        Ok(pollster::block_on(accuracy(&self.network, data, &self.device))?)
    }

    /// Saves the model to a file that [`Model::load`] and the program can read. An existing file is replaced only
    /// after the new one is complete.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        Ok(self.checkpoint.save(path.as_ref())?)
    }

    /// Gives `compute` the images, as many at a time as fit in memory for this kind of pass. The result for an image must
    /// not depend on the others: batch norm uses its running statistics.
    fn of_batches(
        &self,
        images: &[f32],
        pass: Pass,
        mut compute: impl FnMut(Tensor<4>) -> Result<(), ReadError>,
    ) -> Result<(), Error> {
        let [c, h, w] = self.input_shape();
        let size = c * h * w;
        if !images.len().is_multiple_of(size) {
            return Err(Error::Request(format!(
                "{} values are not a whole number of inputs of shape [{c}, {h}, {w}] (C, H, W), {size} values each",
                images.len()
            )));
        }
        if let Some(index) = images.iter().position(|value| !value.is_finite()) {
            let value = images[index];
            return Err(Error::Request(format!("value {index} of the images is {value}")));
        }
        for batch in images.chunks(size * self.network.images_at_once([h, w], pass)) {
            let data = TensorData::new(batch.to_vec(), [batch.len() / size, c, h, w]);
            compute(Tensor::from_data(data, &self.device))?;
        }
        Ok(())
    }
}
