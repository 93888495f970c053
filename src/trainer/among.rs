//! A training step of several ranks: each has some rows of the batch, and they exchange values four times.
//!
//! 1. The logits of all images and chains, a few kilobytes. Every rank computes the loss of the whole batch from them, and
//!    ∂L/∂logits of its own rows. So every term is exact, also one that is no mean over images.
//! 2. The gradients of the weights: their sum over the ranks is that of the whole batch. With sharpness-aware minimisation
//!    the exchanges 1 and 2 are done twice.
//! 3. The numbers of the report, and the chains after their last step, which every rank writes to its replay buffer.
//! 4. Now and then, and before rank 0 saves them, a hash of the weights, which must be the same on all ranks.
//!
//! With `model.sync_batch_norm`, the layers of batch norm exchange values too, in the passes before 1 and 2.
//!
//! Random numbers are drawn for the whole batch, each rank uses those of its rows. So a run with n ranks is that of one
//! process, up to rounding, and resumes with any number of ranks.

mod compare;

use std::collections::HashMap;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Tensor, TensorData},
};

use super::{
    Trainer,
    loss::Loss,
    parts::leaf,
    shared_batch::SharedBatch,
    step::{Chains, StepError, Stepped, Updated},
};
use crate::{
    device::{self, ReadError},
    model::{HostTensor, Network, weights_of, with_weights},
    objective::{Objective, Terms},
    optimizer,
    ranks::{Order, RankError, Ranks, account::Purpose},
};

impl Trainer {
    /// Says that this rank was asked to stop, in the place of its logits.
    pub(super) fn say_stop(&self) -> Result<(), StepError> {
        if !self.ranks.is_alone() {
            self.ranks.gather(Ok::<_, ReadError>(vec![1.0]))?;
            self.ranks.set_stopping();
        }
        Ok(())
    }

    /// Says that this rank failed, in the place of its logits.
    pub(super) fn say_failure(&self, error: ReadError) -> StepError {
        if self.ranks.is_alone() {
            return error.into();
        }
        match self.ranks.gather(Err(error.clone())) {
            Ok(_) => error.into(),
            Err(of_all) => of_all.into(),
        }
    }

    /// Computes the update of a step together with the other ranks. `None` if one of them was asked to stop.
    pub(super) async fn update_among(
        &self,
        loss: Loss,
        network: Network,
        chains: Option<&Chains>,
        learning_rate: f64,
    ) -> Result<Option<Stepped>, StepError> {
        let Some((Objective { loss: value, terms }, gradients)) =
            self.gradients_among(&loss, &network, true).await?
        else {
            return Ok(None);
        };
        let mut network = self.with_mean_statistics(network, &gradients).await?;
        let mut gradients = self.sum_of(gradients, &network).await?;
        let section = &self.config.optimizer;
        if section.sam_radius > 0.0 {
            let (kind, radius) = (section.sam_kind, section.sam_radius);
            let worst = optimizer::climb(&network, &gradients, kind, radius);
            if let Some((_, of_worst)) = self.gradients_among(&loss, &worst, false).await? {
                gradients = self.sum_of(of_worst, &network).await?;
            }
        }
        let mut optimizer = self.optimizer.clone();
        network = optimizer.step(learning_rate, network, gradients);
        if self.ranks.is_mixed() {
            network = self.weights_of_first(network).await?;
        }
        let (numbers, x_model) = self.exchange_results(value, terms, chains).await?;
        let summary = [11, 12, 13].map(|index| numbers[index]);
        let terms = Terms::of_values(std::array::from_fn(|index| numbers[1 + index]));
        let updated = Updated::Done(network, optimizer);
        Ok(Some(Stepped { updated, loss: numbers[0], terms, summary, x_model }))
    }

    /// The loss of the whole batch, its terms, and the gradients of this rank's part of it. `None` if a rank was asked to
    /// stop, which only the first exchange of a step says.
    async fn gradients_among(
        &self,
        loss: &Loss,
        network: &Network,
        may_stop: bool,
    ) -> Result<Option<(Objective, GradientsParams)>, StepError> {
        let batch = SharedBatch::of(self, network.mixes_images());
        let mut may_stop = may_stop;
        if batch.is_shared() && std::mem::take(&mut may_stop) {
            // A rank that stops does no pass, so that all must know before the first of them.
            let flag = if self.ranks.is_stopping() { 1.0 } else { 0.0 };
            let all = self.ranks.gather(Ok::<_, ReadError>(vec![flag]))?;
            if all.iter().any(|values| values[0] != 0.0) {
                self.ranks.set_stopping();
                return Ok(None);
            }
        }
        let sides = batch.pass(|| loss.forward(network))?;
        let factor = loss.inputs.probes.as_ref().map(|probes| probes.factor.clone());
        let own: Vec<Tensor<2>> = sides.iter().map(|side| side.logits.clone()).collect();
        let (shapes, has_factor): (Vec<[usize; 2]>, _) =
            (own.iter().map(|logits| logits.dims()).collect(), factor.is_some());
        let read = device::read((own, factor)).await.map(|(logits, factor)| {
            let mut values = vec![if may_stop && self.ranks.is_stopping() { 1.0 } else { 0.0 }];
            values.extend(logits.into_iter().flatten().chain(factor.into_iter().flatten()));
            values
        });
        let all = self.ranks.gather_for(Purpose::Logits, read)?;
        if all.iter().any(|values| values[0] != 0.0) {
            self.ranks.set_stopping();
            return Ok(None);
        }
        let mut at = 1;
        let mut joined = |len: usize| {
            let of_all: Vec<f32> =
                all.iter().flat_map(|values| values[at..at + len].to_vec()).collect();
            at += len;
            of_all
        };
        let size = self.ranks.size();
        let upload = |values: Vec<f32>, classes: usize| {
            let rows = values.len() / classes;
            Tensor::<2>::from_data(TensorData::new(values, [rows, classes]), &self.device)
        };
        let logits: Vec<Tensor<2>> = shapes
            .iter()
            .map(|&[rows, classes]| leaf(upload(joined(rows * classes), classes)))
            .collect();
        let factor = has_factor.then(|| {
            let rows = shapes[0][0];
            Tensor::from_data(TensorData::new(joined(rows), [rows * size]), &self.device)
        });
        let objective = loss.objective_of(&logits, factor);
        let of_logits = objective.loss.backward();
        let rows = self.ranks.rows(shapes[0][0] * size);
        let back = || loss.backward(network, sides, &logits, &of_logits, Some(rows));
        let gradients = batch.pass(back)?;
        Ok(Some((objective, gradients)))
    }

    /// The sum of the gradients of all ranks, in one exchange.
    async fn sum_of(
        &self,
        gradients: GradientsParams,
        network: &Network,
    ) -> Result<GradientsParams, StepError> {
        let mut flat = Flatten { gradients: &gradients, parts: Vec::new() };
        network.visit(&mut flat);
        let parts = flat.parts;
        let len = parts.iter().map(|part| part.dims()[0]).sum();
        let read = device::read(parts).await.map(|parts| parts.concat());
        let sum = self.ranks.sum(read, len)?;
        let mut split = Split { gradients: &gradients, rest: &sum, sum: GradientsParams::new() };
        network.visit(&mut split);
        Ok(split.sum)
    }

    /// The network with the mean of all ranks' running statistics. Each rank's batch norm took those of its own images.
    async fn with_mean_statistics(
        &self,
        network: Network,
        gradients: &GradientsParams,
    ) -> Result<Network, StepError> {
        if !network.mixes_images() {
            return Ok(network);
        }
        let mut own = Statistics { gradients, path: Vec::new(), found: Vec::new() };
        // `valid` updates the running statistics.
        network.valid().visit(&mut own);
        let (names, tensors): (Vec<String>, Vec<Tensor<1>>) = own.found.into_iter().unzip();
        let lens: Vec<usize> = tensors.iter().map(|tensor| tensor.dims()[0]).collect();
        let read = device::read(tensors).await.map(|parts| parts.concat());
        let sum = self.ranks.sum(read, lens.iter().sum())?;
        let share = self.ranks.size() as f32;
        let mut rest = sum.iter().map(|sum| sum / share);
        let values = names.into_iter().zip(lens);
        let values = values.map(|(name, len)| (name, rest.by_ref().take(len).collect())).collect();
        Ok(network.map(&mut Renew { path: Vec::new(), values }))
    }

    /// The network with the weights of rank 0.
    async fn weights_of_first(&self, network: Network) -> Result<Network, StepError> {
        let own = self.ranks.agree(weights_of(&network).await.map_err(StepError::from))?;
        let mut names: Vec<String> = own.keys().cloned().collect();
        names.sort();
        let flat: Vec<f32> =
            names.iter().flat_map(|name| own[name].values.iter().copied()).collect();
        let bytes = self
            .ranks
            .bytes_of_first(|| Ok::<_, StepError>(bytemuck::cast_slice(&flat).to_vec()))?;
        if !self.ranks.follows() {
            return Ok(network);
        }
        let first: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
        let mut rest = first.into_iter();
        let mut own = own;
        for name in &names {
            if let Some(HostTensor { values, .. }) = own.get_mut(name) {
                values.iter_mut().zip(rest.by_ref()).for_each(|(value, first)| *value = first);
            }
        }
        with_weights(network, own).map_err(|error| {
            let (place, message) = ("rank 0".to_string(), error.to_string());
            RankError::Failed { place, message }.into()
        })
    }

    /// The numbers of a step, the same on all ranks: loss, terms, and the mean of the summaries of all chains; and all
    /// chains.
    async fn exchange_results(
        &self,
        value: Tensor<1>,
        terms: Terms<Tensor<1>>,
        chains: Option<&Chains>,
    ) -> Result<(Vec<f64>, Option<Tensor<4>>), StepError> {
        let summary = match chains {
            Some(chains) => chains.summary(),
            None => Tensor::zeros([1, 3], &self.device),
        };
        let x = chains.map(|chains| chains.x.clone());
        let read = device::read((value, terms, summary, x)).await;
        let read = read.map(|(value, terms, summary, x)| {
            let terms = terms.values().map(|term| term as f32);
            [value, terms.to_vec(), summary, x.unwrap_or_default()].concat()
        });
        let all = self.ranks.gather_for(Purpose::Chains, read)?;
        let mut numbers: Vec<f64> = all[0][..14].iter().copied().map(f64::from).collect();
        for index in 11..14 {
            let sum: f64 = all.iter().map(|values| f64::from(values[index])).sum();
            numbers[index] = sum / all.len() as f64;
        }
        let x_model = chains.map(|chains| {
            let values: Vec<f32> =
                all.iter().flat_map(|values| values[14..].iter().copied()).collect();
            self.upload(values, chains.slots.len())
        });
        Ok((numbers, x_model))
    }

    /// Does what rank 0 orders until it ends the run; `stop` says whether this rank was asked to stop. Returns whether the
    /// run is complete.
    ///
    /// # Errors
    /// A rank failed.
    pub async fn follow(&mut self, stop: &dyn Fn() -> bool) -> Result<bool, StepError> {
        let ranks = self.ranks.clone();
        let is_stopping = || stop() || ranks.is_stopping();
        loop {
            match self.ranks.next_order()? {
                Order::Step => match self.step_here(&is_stopping).await {
                    Ok(_) => {}
                    Err(StepError::Diverged(_)) => drop(self.recover()),
                    Err(error) => return Err(error),
                },
                Order::Compare => self.compare_weights().await?,
                Order::Return => self.return_to_good_state(),
                Order::Leave => return Ok(true),
                Order::Pause => return Ok(false),
                Order::Fail => return Err(RankError::Ended.into()),
            }
        }
    }

    /// Tells the other ranks that the run is over, if this is rank 0.
    #[doc(hidden)]
    pub fn release(&self) {
        if !self.ranks.follows() {
            // If they have left already, that is as good.
            let _ = self.ranks.order(Order::Leave);
        }
    }

    /// The ranks of the run.
    pub(crate) fn ranks(&self) -> &Ranks {
        &self.ranks
    }
}

/// The gradients of all weights, flattened, in the order of the network.
struct Flatten<'a> {
    gradients: &'a GradientsParams,
    parts: Vec<Tensor<1>>,
}

impl ModuleVisitor for Flatten<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let len = gradient.shape().num_elements();
            self.parts.push(gradient.reshape([len]));
        }
    }
}

/// Takes the gradients out of what [`Flatten`] made.
struct Split<'a> {
    gradients: &'a GradientsParams,
    rest: &'a [f32],
    sum: GradientsParams,
}

impl ModuleVisitor for Split<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
        let shape = gradient.dims();
        let (own, rest) = self.rest.split_at(shape.iter().product());
        self.rest = rest;
        let sum = Tensor::<D>::from_data(TensorData::new(own.to_vec(), shape), &gradient.device());
        self.sum.register(param.id, sum);
    }
}

/// Whether a parameter is a running statistic of batch norm.
fn is_statistic(path: &[String]) -> bool {
    path.last().is_some_and(|name| name.starts_with("running_"))
}

struct Statistics<'a> {
    gradients: &'a GradientsParams,
    path: Vec<String>,
    found: Vec<(String, Tensor<1>)>,
}

impl ModuleVisitor for Statistics<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_string());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if is_statistic(&self.path) && self.gradients.get::<D>(param.id).is_none() {
            let tensor = param.val().without_autodiff();
            let len = tensor.shape().num_elements();
            self.found.push((self.path.join("."), tensor.reshape([len])));
        }
    }
}

/// Replaces the running statistics.
struct Renew {
    path: Vec<String>,
    values: HashMap<String, Vec<f32>>,
}

impl ModuleMapper for Renew {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_string());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(values) = self.values.remove(&self.path.join(".")) else { return param };
        let (id, old, mapper) = param.consume();
        let data = TensorData::new(values, old.dims());
        let new = Tensor::from_data(data, &old.device()).set_require_grad(old.is_require_grad());
        Param::from_mapped_value(id, new, mapper)
    }
}
