//! Commands for the open model and its chains.

use std::{sync::Arc, time::Duration};

use web_time::Instant;

use super::{Served, Service, Stop, interval_of, refusal};
use crate::{
    assets, bundled,
    config::LaneConfig,
    worker::{Event, RunRequest, open_model::OpenModel},
};

/// How long and how fast the chains run.
pub(super) struct Pace {
    /// The number of the last [`Command::Run`](crate::worker::Command::Run).
    run: u64,
    /// The step at which the chains stop.
    until: u64,
    is_running: bool,
    interval: Duration,
    last_step: Instant,
}

impl Pace {
    /// The state for paused chains.
    pub(super) fn new() -> Self {
        Self {
            run: 0,
            until: 0,
            is_running: false,
            interval: Duration::ZERO,
            last_step: Instant::now(),
        }
    }

    /// Starts the chains; they run until a step.
    pub(super) fn start(&mut self, run: u64, until: u64, max_steps_per_sec: f64) {
        self.run = run;
        self.until = until;
        self.interval = interval_of(max_steps_per_sec);
        self.is_running = true;
    }

    /// The time until the next step; `None` while the chains are paused.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.is_running.then(|| self.interval.saturating_sub(self.last_step.elapsed()))
    }

    /// Whether a step is due; if so, it counts as started.
    pub(super) fn begin_step(&mut self) -> bool {
        let is_due = self.is_running && self.last_step.elapsed() >= self.interval;
        if is_due {
            self.last_step = Instant::now();
        }
        is_due
    }
}

impl Service<'_> {
    pub(super) async fn open(&mut self, name: &str) -> Served {
        if let Ok(model) = bundled::find(name) {
            assets::bring(&[model.file]).await?;
        }
        let mut model = OpenModel::open(name, &self.attached, &self.device.device)?;
        if self.device.is_cpu() {
            model.allow_help(&self.attached);
        }
        // Otherwise the chains would use the weights of the training run, not of this model.
        self.pause_training().await?;
        Ok(self.show_model(model).await?)
    }

    pub(super) async fn show_model(&mut self, model: OpenModel) -> Result<(), Stop> {
        self.pause().await?;
        self.out.send(Event::Opened(Box::new(model.info()))).await?;
        if let Some(trained) = self.model.take().and_then(OpenModel::into_trained) {
            self.trained = Some(trained);
        }
        let model = self.model.insert(model);
        model.read_gradients(self.reads_gradients);
        // In a browser, the reference images must be downloaded and the device is slower, so they are loaded only on
        // request.
        self.references_wanted = !cfg!(target_arch = "wasm32");
        Ok(())
    }

    pub(super) async fn restart(&mut self, request: RunRequest) -> Served {
        let Some(model) = &mut self.model else { return Ok(()) };
        model.restart(request.clone()).await?;
        self.out.send(Event::Started(request)).await?;
        Ok(self.show_chains().await?)
    }

    pub(super) async fn set_lanes(&mut self, lanes: Vec<LaneConfig>) -> Served {
        let Some(model) = &mut self.model else { return Ok(()) };
        let result = model.set_lanes(lanes);
        if result.is_err()
            && let Some(request) = model.request()
        {
            self.out.send(Event::Lanes(request.lanes.clone())).await?;
        }
        Ok(result?)
    }

    pub(super) async fn branch(
        &mut self,
        step: u64,
        x: &[Arc<[f32]>],
        spent: &[(f64, u64)],
    ) -> Served {
        let Some(model) = &mut self.model else { return Ok(()) };
        model.branch(step, x, spent)?;
        Ok(self.show_chains().await?)
    }

    pub(super) async fn replace(
        &mut self,
        lane: usize,
        chain: usize,
        image: Arc<[f32]>,
        is_fixed: Vec<bool>,
    ) -> Served {
        let Some(model) = &mut self.model else { return Ok(()) };
        model.replace(lane, chain, image, is_fixed).await?;
        Ok(self.show_chains().await?)
    }

    pub(super) async fn classify(&mut self, image: Arc<[f32]>) -> Served {
        let Some(model) = &self.model else { return Ok(()) };
        let event = model.classify(image).await?;
        Ok(self.out.send(event).await?)
    }

    /// Sets whether the steps hold the gradients of the chains; if so, reports the current state with them.
    pub(super) async fn read_gradients(&mut self, wanted: bool) -> Result<(), Stop> {
        self.reads_gradients = wanted;
        let Some(model) = &mut self.model else { return Ok(()) };
        model.read_gradients(wanted);
        if wanted { self.show_chains().await } else { Ok(()) }
    }

    /// Evaluates the chains and reports their current state.
    async fn show_chains(&mut self) -> Result<(), Stop> {
        let Some(model) = &mut self.model else { return Ok(()) };
        if let Some(event) = model.evaluate().await? {
            self.out.send(event).await?;
        }
        Ok(())
    }

    /// Pauses the chains and reports it.
    pub(super) async fn pause(&mut self) -> Result<(), Stop> {
        if std::mem::take(&mut self.pace.is_running) {
            self.out.send(Event::Paused(self.pace.run)).await?;
        }
        Ok(())
    }

    /// Moves the chains by one step, and pauses them at the last step.
    pub(super) async fn advance_chains(&mut self) -> Result<(), Stop> {
        let until = self.pace.until;
        // A model whose first chains were refused has none to move.
        let model = self.model.as_mut().filter(|model| model.request().is_some());
        let Some(model) = model else { return self.pause().await };
        if model.step() < until {
            model.advance();
            self.show_chains().await?;
        }
        let Some(model) = &mut self.model else { return Ok(()) };
        if model.step() < until {
            return Ok(());
        }
        // While a model is in training, restart the chains after their last step, so that they show the current
        // weights.
        let length = model.request().and_then(|request| request.lanes.first());
        let length = length.map_or(0, |lane| lane.sampler.num_steps as u64);
        if self.training.is_some()
            && until >= length
            && let Some(request) = model.request().cloned()
            && model.restart(request.clone()).await.is_ok()
        {
            self.out.send(Event::Started(request)).await?;
            return self.show_chains().await;
        }
        self.pause().await
    }

    /// Loads the images to compare with, or evaluates the next ones.
    pub(super) async fn advance_references(&mut self) -> Result<(), Stop> {
        let Some(model) = &mut self.model else { return Ok(()) };
        // Show the first chains before this work.
        if model.request().is_none() {
            return Ok(());
        }
        if std::mem::take(&mut self.references_wanted)
            && let Err(error) = model.load_references(&self.own_data).await
        {
            self.out.send(Event::Refused(refusal(error)?)).await?;
        }
        if let Some(event) = model.advance_references().await? {
            self.out.send(event).await?;
        }
        Ok(())
    }
}
