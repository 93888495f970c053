//! The open model of the viewer on the device: its lanes of chains, and the images to compare them with.

use std::{collections::HashMap, path::Path, sync::Arc};

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use web_time::Instant;

use super::{
    Event, JobError, ModelInfo, References, RunRequest, Step,
    help::Help,
    image_lane::{ImageLane, Weights},
    own_data::OwnData,
};
use crate::{
    assets, bundled,
    checkpoint::Checkpoint,
    config::LaneConfig,
    data::{self, Dataset},
    device::{ReadError, read},
    energy::energy_of_logits,
    files,
    model::{Network, Pass, with_weights_from},
    numbers::class_probabilities,
    trainer::Trainer,
};

/// The number of test images whose energies are compared with those of the chains.
const NUM_REFERENCES: usize = 1000;
/// The number of test images evaluated between two steps of the chains.
const REFERENCE_BATCH: usize = 100;

/// The largest number of values in all chains of all lanes: 256 MiB.
const MAX_VALUES: usize = 1 << 26;

/// Files that were sent as bytes, by name.
pub(super) type Attached = HashMap<String, Arc<[u8]>>;

/// The open model and its chains.
pub(super) struct OpenModel {
    device: Device,
    name: String,
    checkpoint: Checkpoint,
    num_pieces: usize,
    /// The network for single images and reference images; batch norm uses its running statistics.
    network: Network,
    /// The network in training whose weights are used instead of those of the checkpoint.
    followed: Option<Network>,
    /// Whether the checkpoint is that of a training run of this worker.
    is_trained: bool,
    /// The other workers that may compute a part of the gradients; `None` if they cannot have this model.
    help: Option<Help>,
    run: Option<(RunRequest, Vec<ImageLane>)>,
    step: u64,
    /// Whether the gradients of the chains are read.
    reads_gradients: bool,
    /// The test images and the training images, once they are read.
    references: Option<(Dataset, Arc<Dataset>)>,
    /// The energies of the test images evaluated so far; `None` once all are done.
    energies: Option<Vec<f32>>,
}

fn evaluated_network(checkpoint: &Checkpoint, device: &Device) -> Result<Network, JobError> {
    let network = checkpoint.network(device)?;
    Ok(network.valid().freeze())
}

impl OpenModel {
    /// Opens a model by name: a bundled one, or a file.
    pub(super) fn open(name: &str, attached: &Attached, device: &Device) -> Result<Self, JobError> {
        let path = Path::new(name);
        let checkpoint = match (bundled::find(name), attached.get(name)) {
            (Ok(model), _) => model.load()?,
            (_, Some(bytes)) => Checkpoint::from_bytes(bytes, path)?,
            (Err(_), _) if files::exists(path) => Checkpoint::load(path)?,
            (Err(error), _) => {
                return Err(JobError::Request(format!("no file `{name}`, and {error}")));
            }
        };
        checkpoint.config.validate()?;
        Self::of(name.to_string(), checkpoint, device)
    }

    /// Opens a checkpoint under a name for display.
    pub(super) fn of(
        name: String,
        checkpoint: Checkpoint,
        device: &Device,
    ) -> Result<Self, JobError> {
        let network = evaluated_network(&checkpoint, device)?;
        Ok(Self {
            device: device.clone(),
            name,
            num_pieces: network.num_pieces(),
            network,
            checkpoint,
            followed: None,
            is_trained: false,
            help: None,
            run: None,
            step: 0,
            reads_gradients: false,
            references: None,
            energies: None,
        })
    }

    /// Lets other workers help with the steps, where this one has a single thread. It must be a model of [`Self::open`], so
    /// that they can have its file.
    pub(super) fn allow_help(&mut self, attached: &Attached) {
        if cfg!(not(target_arch = "wasm32")) {
            return;
        }
        let inside = bundled::find(&self.name).ok().and_then(|model| assets::get(model.file));
        let file = inside.or_else(|| attached.get(&self.name).map(|bytes| &**bytes));
        self.help = file.map(Help::new);
    }

    pub(super) fn info(&self) -> ModelInfo {
        let config = &self.checkpoint.config;
        ModelInfo {
            name: self.name.clone(),
            arch: config.model.arch.clone(),
            dataset: data::name(config.data.dataset),
            class_names: self.checkpoint.class_names.clone(),
            shape: self.checkpoint.input_shape,
            sampler: config.sampler.clone(),
            norm: config.model.norm,
            num_pieces: self.num_pieces,
            has_buffer: self.checkpoint.has_buffer(),
            training_steps: self.checkpoint.counters.step,
            test_accuracy: self.checkpoint.counters.test_accuracy,
            temperature: self.temperature(),
        }
    }

    pub(super) fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The checkpoint, if a training run of this worker made it.
    pub(super) fn into_trained(self) -> Option<Checkpoint> {
        self.is_trained.then_some(self.checkpoint)
    }

    /// Whether a training run of this worker made the checkpoint.
    pub(super) fn is_trained(&self) -> bool {
        self.is_trained
    }

    /// Sets whether the steps hold the gradients of the chains.
    pub(super) fn read_gradients(&mut self, wanted: bool) {
        self.reads_gradients = wanted;
    }

    /// The temperature of p(y|x). Weights that are still in training have none.
    fn temperature(&self) -> Option<f64> {
        self.weights().temperature()
    }

    fn weights(&self) -> Weights<'_> {
        Weights { checkpoint: &self.checkpoint, followed: self.followed.as_ref() }
    }

    /// Creates new chains at their starts and evaluates them.
    pub(super) async fn restart(&mut self, request: RunRequest) -> Result<(), JobError> {
        if request.labels.is_empty() {
            return Err(JobError::Request("choose at least one class".into()));
        }
        let num_classes = self.checkpoint.class_names.len();
        if let Some(class) = request.labels.iter().find(|&&label| label as usize >= num_classes) {
            let last = num_classes.saturating_sub(1);
            let what = format!("there is no class {class}: the model's are 0 to {last}");
            return Err(JobError::Request(what));
        }
        let num_pixels = self.checkpoint.input_shape.iter().product::<usize>();
        let num_values =
            request.labels.len().saturating_mul(num_pixels).saturating_mul(request.lanes.len());
        if num_values > MAX_VALUES {
            let (mib, most) = (num_values >> 18, MAX_VALUES >> 18);
            let what = format!(
                "these chains take {mib} MiB a step, and {most} MiB is the most: show fewer classes, or fewer \
                 chains of each"
            );
            return Err(JobError::Request(what));
        }
        let mut lanes = Vec::new();
        for config in &request.lanes {
            let lane = ImageLane::new(
                self.weights(),
                config.clone(),
                &request.labels,
                request.seed,
                request.image.as_ref(),
                &self.device,
            );
            lanes.push(lane.await?);
        }
        let num_chains = |run: &(RunRequest, Vec<ImageLane>)| run.0.labels.len() * run.1.len();
        let run = (request, lanes);
        if self.run.as_ref().map(num_chains) != Some(num_chains(&run))
            && let Some(help) = &mut self.help
        {
            help.begin();
        }
        self.run = Some(run);
        self.step = 0;
        Ok(())
    }

    /// The request that created the current chains.
    pub(super) fn request(&self) -> Option<&RunRequest> {
        self.run.as_ref().map(|run| &run.0)
    }

    /// The number of steps done.
    pub(super) fn step(&self) -> u64 {
        self.step
    }

    pub(super) fn set_lanes(&mut self, configs: Vec<LaneConfig>) -> Result<(), JobError> {
        let weights = Weights { checkpoint: &self.checkpoint, followed: self.followed.as_ref() };
        let Some((request, lanes)) = &mut self.run else { return Ok(()) };
        if configs.len() != lanes.len() {
            return Err(JobError::Request("another number of lanes needs a new run".into()));
        }
        // Check all lanes first: either all change or none.
        for (lane, config) in lanes.iter().zip(&configs) {
            lane.check(&self.checkpoint, config)?;
        }
        for (lane, config) in lanes.iter_mut().zip(&configs) {
            lane.set_config(weights, config.clone(), &request.labels, &self.device)?;
        }
        request.lanes = configs;
        Ok(())
    }

    pub(super) fn advance(&mut self) {
        if let Some((_, lanes)) = &mut self.run {
            lanes.iter_mut().for_each(ImageLane::advance);
            self.step += 1;
        }
    }

    /// Evaluates all chains at the current step, with one readback for all lanes.
    ///
    /// # Errors
    /// The device failed.
    pub(super) async fn evaluate(&mut self) -> Result<Option<Event>, ReadError> {
        let Some((request, running)) = &mut self.run else { return Ok(None) };
        let began = Instant::now();
        let can_be_shared = running.iter().all(ImageLane::can_be_shared);
        let mut help = self.help.as_mut().filter(|_| can_be_shared && self.followed.is_none());
        let num_helpers = help.as_ref().map_or(0, |help| help.num_helpers());
        let mut is_shared = num_helpers > 0;
        for lane in running.iter_mut() {
            is_shared = is_shared && lane.share(&request.labels, num_helpers).await?;
        }
        let reads: Vec<_> =
            running.iter_mut().map(|lane| lane.encode(self.reads_gradients)).collect();
        let begin = Instant::now();
        let read = read(reads).await?;
        // The wait is for all lanes together: each lane bears its share of the gradients.
        let secs = begin.elapsed().as_secs_f64();
        let total: u64 = running.iter().map(ImageLane::gradients_per_step).sum();
        let lanes = running.iter_mut().zip(read).map(|(lane, read)| {
            let share = lane.gradients_per_step() as f64 / total as f64;
            lane.decode(read, share * secs)
        });
        let lanes = lanes.collect();
        if let Some(help) = &mut help {
            help.note(is_shared, began.elapsed().as_secs_f64());
        }
        Ok(Some(Event::Step(Box::new(Step { step: self.step, lanes }))))
    }

    /// Continues at `step`, which may be later than the present one: the run that a person brings back was longer.
    ///
    /// # Errors
    /// The chains do not belong to these lanes.
    pub(super) fn branch(
        &mut self,
        step: u64,
        x: &[Arc<[f32]>],
        spent: &[(f64, u64)],
    ) -> Result<(), JobError> {
        let Some((_, lanes)) = &mut self.run else { return Ok(()) };
        if x.len() != lanes.len() || spent.len() != lanes.len() || step >= u64::from(u32::MAX) {
            return Err(JobError::Request("the recorded chains belong to another run".into()));
        }
        for ((lane, x), spent) in lanes.iter_mut().zip(x).zip(spent) {
            lane.branch(step, x, *spent)?;
        }
        self.step = step;
        Ok(())
    }

    pub(super) async fn replace(
        &mut self,
        lane: usize,
        chain: usize,
        image: Arc<[f32]>,
        is_fixed: Vec<bool>,
    ) -> Result<(), JobError> {
        let lane = self.run.as_mut().and_then(|run| run.1.get_mut(lane));
        match lane {
            Some(lane) => lane.replace(chain, image, is_fixed).await,
            None => Ok(()),
        }
    }

    /// The energy and class probabilities of one image.
    pub(super) async fn classify(&self, image: Arc<[f32]>) -> Result<Event, JobError> {
        let [c, h, w] = self.checkpoint.input_shape;
        if image.len() != c * h * w {
            return Err(JobError::Request("the image has another size than the model's".into()));
        }
        let (energies, logits) = self.look(image.to_vec(), 1).await?;
        let probabilities = class_probabilities(&logits, self.temperature());
        Ok(Event::Classified { image, energy: energies[0], probabilities })
    }

    /// The shape (C, H, W) of an input.
    pub(super) fn input_shape(&self) -> [usize; 3] {
        self.checkpoint.input_shape
    }

    /// The energies of images (N, C, H, W).
    ///
    /// # Errors
    /// The device failed.
    pub(super) async fn energies(&self, values: &[f32]) -> Result<Vec<f32>, ReadError> {
        let num_pixels = self.input_shape().iter().product::<usize>();
        let mut energies = Vec::with_capacity(values.len() / num_pixels);
        for part in values.chunks(self.at_once() * num_pixels) {
            energies.extend(self.look(part.to_vec(), part.len() / num_pixels).await?.0);
        }
        Ok(energies)
    }

    /// The batch size for the evaluation of images.
    fn at_once(&self) -> usize {
        let [_, h, w] = self.input_shape();
        self.network.images_at_once([h, w], Pass::Forward)
    }

    /// The energies and logits of images (N, C, H, W).
    async fn look(
        &self,
        values: Vec<f32>,
        count: usize,
    ) -> Result<(Vec<f32>, Vec<f32>), ReadError> {
        let [c, h, w] = self.checkpoint.input_shape;
        let x = Tensor::<4>::from_data(TensorData::new(values, [count, c, h, w]), &self.device);
        let logits = self.network.logits(x);
        read((energy_of_logits(logits.clone()), logits)).await
    }

    /// Uses the current weights of a training run, which stay on the device.
    ///
    /// # Errors
    /// The network in training has other tensors than the model.
    pub(super) fn follow(&mut self, trainer: &Trainer) -> Result<(), JobError> {
        let network = trainer.evaluated_network().valid();
        self.network = with_weights_from(self.network.clone(), &network)?;
        for lane in self.run.iter_mut().flat_map(|run| &mut run.1) {
            lane.follow(&network, None)?;
        }
        self.checkpoint.counters = trainer.counters().clone();
        self.followed = Some(network);
        Ok(())
    }

    /// Uses a new checkpoint, with its weights and its replay buffer; the chains keep their positions.
    pub(super) fn adopt(&mut self, checkpoint: Checkpoint) -> Result<(), JobError> {
        self.checkpoint = checkpoint;
        self.followed = None;
        self.help = None;
        self.network = evaluated_network(&self.checkpoint, &self.device)?;
        self.is_trained = true;
        self.evaluate_references();
        let network = self.checkpoint.network(&self.device)?;
        let temperature = self.temperature();
        for lane in self.run.iter_mut().flat_map(|run| &mut run.1) {
            lane.follow(&network, temperature)?;
        }
        Ok(())
    }

    /// Loads the images to compare with, if they are available, and evaluates the test images. The images are read only once.
    ///
    /// # Errors
    /// The images could not be downloaded.
    pub(super) async fn load_references(&mut self, own: &OwnData) -> Result<(), JobError> {
        if self.references.is_none() {
            let config = &self.checkpoint.config;
            data::prepare(&config.data).await?;
            let splits = own.load_at_hand(&config.data, config.seed);
            if let Ok(splits) = splits.map(|splits| splits.in_classes(&self.checkpoint.class_names))
                && self.checkpoint.check_data(&splits.test).is_ok()
                && !splits.test.is_empty()
            {
                self.references = Some((splits.test, Arc::new(splits.train)));
            }
        }
        self.evaluate_references();
        Ok(())
    }

    /// Begins to evaluate the test images anew, if they are there: the weights have changed.
    pub(super) fn evaluate_references(&mut self) {
        self.energies = self.references.is_some().then(Vec::new);
    }

    /// Evaluates the next test images; returns the event when all are done.
    ///
    /// # Errors
    /// The device failed.
    pub(super) async fn advance_references(&mut self) -> Result<Option<Event>, ReadError> {
        let (Some((test, train)), Some(mut energies)) = (&self.references, self.energies.take())
        else {
            return Ok(None);
        };
        let count = test.len().min(NUM_REFERENCES);
        // The set may be sorted, so select images evenly spaced.
        let at_once = REFERENCE_BATCH.min(self.at_once());
        let indices = (energies.len()..count.min(energies.len() + at_once))
            .map(|index| index * test.len() / count);
        let indices: Vec<usize> = indices.collect();
        let mut values = test.gather(indices.iter().copied());
        let config = &self.checkpoint.config;
        let noise = config.shared_noise();
        data::add_shared_noise(&mut values, noise, indices.iter().copied(), config.seed);
        energies.extend(self.look(values, indices.len()).await?.0);
        if energies.len() < count {
            self.energies = Some(energies);
            return Ok(None);
        }
        let train = train.clone();
        Ok(Some(Event::References(References { test_energies: energies, train })))
    }

    /// Whether there are test images that are not evaluated yet.
    pub(super) fn has_references_left(&self) -> bool {
        self.energies.is_some()
    }
}
