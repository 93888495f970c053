//! The model under evaluation: a network with fixed weights and statistics.

use burn::tensor::{Device, Int, Tensor, TensorData, activation::softmax};
use serde::{Deserialize, Serialize};

use super::EvalError;
use crate::{
    checkpoint::Checkpoint,
    config::{ModelConfig, Norm},
    device::read_now,
    energy::{Energy, JointEnergy},
    kernels::{chain_summary, index_tensor},
    model::Pass,
    pgd::{AttackLoss, Differentiated, loss_gradient},
};

/// A callback between two batches; it returns an error to stop the work.
pub(super) type GoOn<'a> = &'a mut dyn FnMut() -> Result<(), EvalError>;

/// A network with fixed weights and batch norm statistics: the output for one image does not depend on the others.
pub(super) struct FrozenModel {
    energy: JointEnergy,
    device: Device,
    shape: [usize; 3],
    batch_size: usize,
}

/// Outputs of the network for N images: logits (N, classes), energies (N) and norms of ∂E/∂x (N).
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Scores {
    pub(super) logits: Vec<f32>,
    pub(super) energies: Vec<f64>,
    pub(super) gradient_norms: Vec<f64>,
}

impl Scores {
    /// Appends the scores of further images.
    pub(super) fn join(&mut self, more: Self) {
        self.logits.extend(more.logits);
        self.energies.extend(more.energies);
        self.gradient_norms.extend(more.gradient_norms);
    }
}

impl FrozenModel {
    /// Loads the network of a checkpoint; batch norm uses its running statistics.
    ///
    /// # Errors
    /// The weights do not fit the network, or a batch needs more memory than allowed.
    pub(super) fn new(checkpoint: &Checkpoint, device: &Device) -> Result<Self, EvalError> {
        let config = &checkpoint.config.model;
        let norm = if config.norm == Norm::Batch { Norm::Frozen } else { config.norm };
        checkpoint.check_memory_of_evaluation(device)?;
        let network = checkpoint.network_with(&ModelConfig { norm, ..config.clone() }, device)?;
        Ok(Self {
            energy: JointEnergy::new(&network).with_logits(),
            device: device.clone(),
            shape: checkpoint.input_shape,
            // The batch size of training also fits here.
            batch_size: checkpoint.config.data.batch_size,
        })
    }

    pub(super) fn energy(&self) -> &JointEnergy {
        &self.energy
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// The number of images per pass of the network, for work without noise whose result is the same for any batch
    /// size.
    fn at_once(&self, pass: Pass) -> usize {
        let [_, h, w] = self.shape;
        self.energy.network().images_at_once([h, w], pass)
    }

    /// The number of images per batch for work with noise: the noise depends on an image's place in the batch.
    pub(super) fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The number of values of one image, C · H · W.
    pub(super) fn num_pixels(&self) -> usize {
        self.shape.iter().product()
    }

    /// Copies images to the device as a tensor (N, C, H, W).
    pub(super) fn upload(&self, values: &[f32]) -> Tensor<4> {
        let ([c, h, w], count) = (self.shape, values.len() / self.num_pixels());
        Tensor::from_data(TensorData::new(values.to_vec(), [count, c, h, w]), &self.device)
    }

    /// The number of batches for this number of images.
    pub(super) fn num_batches(&self, num_images: usize) -> usize {
        num_images.div_ceil(self.at_once(Pass::Forward))
    }

    /// Logits (N, classes) of images (N, C, H, W), flattened. Calls `go_on` after every batch.
    ///
    /// # Errors
    /// The error that `go_on` returns.
    pub(super) fn logits(&self, values: &[f32], go_on: GoOn) -> Result<Vec<f32>, EvalError> {
        let mut logits = Vec::new();
        for batch in values.chunks(self.at_once(Pass::Forward) * self.num_pixels()) {
            logits.extend(read_now(self.energy.logits(self.upload(batch)))?);
            go_on()?;
        }
        Ok(logits)
    }

    /// Logits, energies and gradient norms of images (N, C, H, W), flattened. Calls `go_on` after every batch.
    ///
    /// # Errors
    /// The error that `go_on` returns.
    pub(super) fn scores(&self, values: &[f32], go_on: GoOn) -> Result<Scores, EvalError> {
        let mut scores = Scores::default();
        for batch in values.chunks(self.at_once(Pass::Gradient) * self.num_pixels()) {
            let x = self.upload(batch);
            let found = self.energy.gradient(x.clone());
            // The radius only affects the share of clamped components, which is not used here.
            let norms = chain_summary(x.clone(), found.gradient, 0.0).narrow(1, 0, 1);
            let logits = found.logits.unwrap_or_else(|| self.energy.logits(x));
            let (logits, energies, norms) = read_now((logits, found.energy, norms))?;
            scores.logits.extend(logits);
            scores.energies.extend(energies.into_iter().map(f64::from));
            scores.gradient_norms.extend(norms.into_iter().map(f64::from));
            go_on()?;
        }
        Ok(scores)
    }

    /// The loss of an attack at images x (N, C, H, W), its gradient, and p(y|x); see [`loss_gradient`].
    pub(super) fn loss_gradient(
        &self,
        x: Tensor<4>,
        labels: &Tensor<1, Int>,
        loss: AttackLoss,
    ) -> Differentiated {
        loss_gradient(&self.energy, x, labels, loss)
    }

    /// p(y|x) (N, classes) of images x (N, C, H, W).
    pub(super) fn probabilities(&self, x: Tensor<4>) -> Tensor<2> {
        softmax(self.energy.logits(x), 1)
    }

    /// Copies labels to the device as a tensor (N).
    pub(super) fn labels(&self, labels: &[u32]) -> Tensor<1, Int> {
        index_tensor(labels, &self.device)
    }

    /// Features (N, features) of images (N, C, H, W), flattened, and logits (N, classes). Calls `go_on` after every
    /// batch.
    ///
    /// # Errors
    /// The error that `go_on` returns.
    pub(super) fn features(&self, values: &[f32], go_on: GoOn) -> Result<[Vec<f32>; 2], EvalError> {
        let mut found = [Vec::new(), Vec::new()];
        for batch in values.chunks(self.at_once(Pass::Forward) * self.num_pixels()) {
            let network = self.energy.network();
            let seen = network.head_input(network.first_layer(self.upload(batch).autodiff()));
            let features = network.features(seen.clone());
            let (features, logits) = read_now((features, network.logits_of_features(seen)))?;
            found[0].extend(features);
            found[1].extend(logits);
            go_on()?;
        }
        Ok(found)
    }
}
