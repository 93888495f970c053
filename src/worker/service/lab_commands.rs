//! Commands for the lab and the lessons, the timing of the lab's steps, and its events.

use std::{path::PathBuf, time::Duration};

use web_time::Instant;

use super::{Served, Service, Stop, Unserved, interval_of, refusal};
use crate::{
    config::LabState,
    lessons,
    worker::{
        Event,
        lab::{Lab, LabCommand, LabUpdate, slice},
    },
};

/// The time between two frames of the chains; a screen does not show more.
const FRAME_INTERVAL: Duration = Duration::from_millis(16);
/// The time between two energy surfaces during training.
const SURFACE_INTERVAL: Duration = Duration::from_millis(120);

/// The lab, and whether it runs chains or trains.
pub(super) struct ActiveLab {
    lab: Lab,
    is_running: bool,
    is_learning: bool,
    last_step: Instant,
    last_frame: Instant,
    last_surface: Instant,
}

impl ActiveLab {
    fn interval(&self) -> Duration {
        interval_of(self.lab.state().config.max_steps_per_sec)
    }

    /// The time until the next work; `None` while everything is paused.
    pub(super) fn wait(&self) -> Option<Duration> {
        if self.is_learning {
            return Some(Duration::ZERO);
        }
        self.is_running.then(|| self.interval().saturating_sub(self.last_step.elapsed()))
    }
}

impl Service<'_> {
    /// Loads the text of a lesson and sends it to the window.
    pub(super) async fn bring_lesson(&mut self, number: usize, folder: Option<PathBuf>) -> Served {
        let brought = async move {
            match lessons::text(number, folder.as_deref()).await {
                Ok(text) => Event::Lesson { number, text },
                Err(error) => Event::LessonRefused { number, reason: error.to_string() },
            }
        };
        Ok(self.out.send_later(brought).await?)
    }

    /// Carries out a command for the lab. A refused command is reported as an event of the lab.
    pub(super) async fn serve_lab(&mut self, command: LabCommand) -> Served {
        let served = match command {
            LabCommand::Slice { path } => self.slice(path).await,
            LabCommand::Set(state) => self.set_lab(*state).await,
            command => self.steer_lab(command).await,
        };
        match served {
            Err(Unserved::Refused(error)) => {
                Ok(self.report_lab(LabUpdate::Refused(error.to_string())).await?)
            }
            served => served,
        }
    }

    async fn report_lab(&self, update: LabUpdate) -> Result<(), Stop> {
        Ok(self.out.send(Event::Lab(Box::new(update))).await?)
    }

    async fn slice(&mut self, path: Vec<f32>) -> Served {
        let Some(model) = &self.model else { return Ok(()) };
        let slice = slice(model, path).await?;
        Ok(self.report_lab(LabUpdate::Slice(slice)).await?)
    }

    /// Carries out a command that needs an open lab.
    async fn steer_lab(&mut self, command: LabCommand) -> Served {
        let Some(active) = &mut self.lab else {
            // There is no lab, because its state was refused.
            return Ok(self.report_lab(LabUpdate::Stopped).await?);
        };
        match command {
            LabCommand::Play => active.is_running = true,
            LabCommand::Pause => {
                active.is_running = false;
                self.report_frame().await?;
            }
            LabCommand::Step => {
                if !active.is_running {
                    active.lab.advance().await?;
                    self.report_frame().await?;
                }
            }
            LabCommand::Restart => {
                active.lab.restart().await?;
                self.report_starts().await?;
            }
            LabCommand::Branch { step, x } => {
                active.lab.branch(step, x).await?;
                self.report_frame().await?;
            }
            LabCommand::Track(chain) => active.lab.track(chain),
            LabCommand::Learn(is_learning) => {
                active.is_learning = is_learning && active.lab.learner().is_some();
                self.report_learning().await?;
            }
            LabCommand::StartOver(seed) => {
                active.lab.start_over(seed).await?;
                self.report_data().await?;
                self.report_learning().await?;
            }
            // These commands are handled in `serve_lab`.
            LabCommand::Set(_) | LabCommand::Slice { .. } => {}
        }
        Ok(())
    }

    async fn set_lab(&mut self, state: LabState) -> Served {
        let Some(active) = &mut self.lab else {
            let lab = Lab::open(state, &self.device.device).await?;
            let now = Instant::now();
            self.lab = Some(ActiveLab {
                lab,
                is_running: false,
                is_learning: false,
                last_step: now,
                last_frame: now,
                last_surface: now,
            });
            self.report_surface().await?;
            self.report_data().await?;
            return Ok(self.report_starts().await?);
        };
        let learned_from = active.lab.learned_dataset();
        let changes = match active.lab.set(state.clone()).await {
            Ok(changes) => changes,
            Err(error) => {
                let shown = Box::new(active.lab.state().clone());
                self.report_lab(LabUpdate::Kept { shown, refused: Box::new(state) }).await?;
                return Err(error.into());
            }
        };
        if active.lab.learned_dataset() != learned_from {
            self.report_data().await?;
        }
        if changes.surface {
            self.report_surface().await?;
        }
        if changes.restarted {
            self.report_starts().await?;
        }
        Ok(())
    }

    async fn report_surface(&mut self) -> Result<(), Stop> {
        let Some(active) = &mut self.lab else { return Ok(()) };
        active.last_surface = Instant::now();
        let surface = active.lab.surface().clone();
        self.report_lab(LabUpdate::Surface(surface)).await
    }

    async fn report_data(&mut self) -> Result<(), Stop> {
        let Some(active) = &mut self.lab else { return Ok(()) };
        let Some(learner) = active.lab.learner() else { return Ok(()) };
        let (points, labels) = learner.data();
        self.report_lab(LabUpdate::Data { points, labels }).await
    }

    async fn report_starts(&mut self) -> Result<(), Stop> {
        let Some(active) = &mut self.lab else { return Ok(()) };
        let labels = active.lab.labels();
        self.report_lab(LabUpdate::Started(labels)).await?;
        self.report_frame().await
    }

    async fn report_frame(&mut self) -> Result<(), Stop> {
        let Some(active) = &mut self.lab else { return Ok(()) };
        active.last_frame = Instant::now();
        let frame = active.lab.frame();
        self.report_lab(LabUpdate::Frame(frame)).await
    }

    /// Reports the progress of training, with the current energy surface.
    async fn report_learning(&mut self) -> Result<(), Stop> {
        let Some(active) = &mut self.lab else { return Ok(()) };
        if let Err(error) = active.lab.follow_learner().await {
            return Ok(self.out.send(Event::Refused(refusal(error)?)).await?);
        }
        let Some(learner) = active.lab.learner() else { return Ok(()) };
        let frame = learner.frame().await?;
        self.report_lab(LabUpdate::Learning(frame)).await?;
        self.report_surface().await
    }

    /// Does one step of the lab, if it is due.
    pub(super) async fn advance_lab(&mut self) -> Result<(), Stop> {
        let Some(active) = &mut self.lab else { return Ok(()) };
        if active.is_learning
            && let Some(learner) = active.lab.learner()
        {
            let result = learner.advance().await;
            let is_due = active.last_surface.elapsed() >= SURFACE_INTERVAL;
            if let Err(error) = result {
                active.is_learning = false;
                let diverged = refusal(error.into())?;
                self.report_learning().await?;
                return self.report_lab(LabUpdate::Diverged(diverged)).await;
            }
            if is_due {
                self.report_learning().await?;
            }
        }
        let Some(active) = &mut self.lab else { return Ok(()) };
        if !active.is_running || active.last_step.elapsed() < active.interval() {
            return Ok(());
        }
        let (interval, now) = (active.interval(), Instant::now());
        // Keep a regular interval, unless the step is more than one interval late.
        let on_beat = active.last_step + interval;
        active.last_step = if now - on_beat > interval { now } else { on_beat };
        active.lab.advance().await?;
        let goal = active.lab.state().config.num_steps as u64;
        let is_done = goal > 0 && active.lab.step() >= goal;
        if is_done || active.last_frame.elapsed() >= FRAME_INTERVAL {
            self.report_frame().await?;
        }
        if is_done {
            if let Some(active) = &mut self.lab {
                active.is_running = false;
            }
            self.report_lab(LabUpdate::Stopped).await?;
        }
        Ok(())
    }
}
