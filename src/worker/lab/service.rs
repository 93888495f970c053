//! The lab's place in the worker: what it is asked, when it steps, what it tells.

use std::time::Duration;

use web_time::Instant;

use super::{Lab, LabCommand, LabNews, slice::slice};
use crate::worker::{
    Event, JobError,
    service::{Service, Stop, interval_of, refusal},
};

/// Between two frames of chains; a screen shows no more.
const FRAME_INTERVAL: Duration = Duration::from_millis(16);
/// Between two surfaces of what is being learned.
const SURFACE_INTERVAL: Duration = Duration::from_millis(120);

/// The lab and what it is doing.
pub(in crate::worker) struct LabSeat {
    lab: Lab,
    is_running: bool,
    is_learning: bool,
    last_step: Instant,
    last_frame: Instant,
    last_surface: Instant,
}

impl LabSeat {
    fn interval(&self) -> Duration {
        interval_of(self.lab.state().config.max_steps_per_sec)
    }

    /// How long until there is something to do; `None` while all stands still.
    pub(in crate::worker) fn wait(&self) -> Option<Duration> {
        if self.is_learning {
            return Some(Duration::ZERO);
        }
        self.is_running.then(|| self.interval().saturating_sub(self.last_step.elapsed()))
    }
}

impl Service<'_> {
    async fn tell(&self, news: LabNews) -> Result<(), Stop> {
        Ok(self.out.say(Event::Lab(Box::new(news))).await?)
    }

    /// Does what the lab was asked.
    pub(in crate::worker) async fn obey_lab(
        &mut self,
        command: LabCommand,
    ) -> Result<Result<(), JobError>, Stop> {
        match command {
            LabCommand::Slice { path } => {
                let Some(session) = &self.session else { return Ok(Ok(())) };
                match slice(session, path).await {
                    Ok(slice) => self.tell(LabNews::Slice(slice)).await?,
                    Err(error) => return Ok(Err(error)),
                }
                return Ok(Ok(()));
            }
            LabCommand::Set(state) => return self.set_lab(*state).await,
            _ => {}
        }
        let Some(seat) = &mut self.lab else {
            // What it was to show was refused.
            self.tell(LabNews::Stopped).await?;
            return Ok(Ok(()));
        };
        match command {
            LabCommand::Play => seat.is_running = true,
            LabCommand::Pause => {
                seat.is_running = false;
                self.tell_frame().await?;
            }
            LabCommand::Step => {
                if !seat.is_running {
                    seat.lab.advance().await?;
                    self.tell_frame().await?;
                }
            }
            LabCommand::Restart => match seat.lab.restart().await {
                Ok(()) => self.tell_starts().await?,
                Err(error) => return Ok(Err(error)),
            },
            LabCommand::Track(chain) => seat.lab.track(chain),
            LabCommand::Learn(is_learning) => {
                seat.is_learning = is_learning && seat.lab.learner().is_some();
                self.tell_learning().await?;
            }
            LabCommand::StartOver(seed) => match seat.lab.start_over(seed).await {
                Ok(()) => {
                    self.tell_data().await?;
                    self.tell_learning().await?;
                }
                Err(error) => return Ok(Err(error)),
            },
            LabCommand::Set(_) | LabCommand::Slice { .. } => {}
        }
        Ok(Ok(()))
    }

    async fn set_lab(
        &mut self,
        state: crate::config::LabState,
    ) -> Result<Result<(), JobError>, Stop> {
        let Some(seat) = &mut self.lab else {
            let lab = match Lab::open(state, &self.device.device).await {
                Ok(lab) => lab,
                Err(error) => return Ok(Err(error)),
            };
            let now = Instant::now();
            self.lab = Some(LabSeat {
                lab,
                is_running: false,
                is_learning: false,
                last_step: now,
                last_frame: now,
                last_surface: now,
            });
            self.tell_surface().await?;
            self.tell_data().await?;
            return Ok(Ok(self.tell_starts().await?));
        };
        let learned_from = seat.lab.learner().map(|learner| learner.dataset());
        let changes = match seat.lab.set(state.clone()).await {
            Ok(changes) => changes,
            Err(error) => {
                let shown = Box::new(seat.lab.state().clone());
                self.tell(LabNews::Kept { shown, refused: Box::new(state) }).await?;
                return Ok(Err(error));
            }
        };
        if seat.lab.learner().map(|learner| learner.dataset()) != learned_from {
            self.tell_data().await?;
        }
        if changes.surface {
            self.tell_surface().await?;
        }
        if changes.restarted {
            self.tell_starts().await?;
        }
        Ok(Ok(()))
    }

    async fn tell_surface(&mut self) -> Result<(), Stop> {
        let Some(seat) = &mut self.lab else { return Ok(()) };
        seat.last_surface = Instant::now();
        let surface = seat.lab.surface().clone();
        self.tell(LabNews::Surface(surface)).await
    }

    async fn tell_data(&mut self) -> Result<(), Stop> {
        let Some(seat) = &mut self.lab else { return Ok(()) };
        let Some(learner) = seat.lab.learner() else { return Ok(()) };
        let (points, labels) = learner.data();
        self.tell(LabNews::Data { points, labels }).await
    }

    async fn tell_starts(&mut self) -> Result<(), Stop> {
        let Some(seat) = &mut self.lab else { return Ok(()) };
        let labels = seat.lab.labels();
        self.tell(LabNews::Started(labels)).await?;
        self.tell_frame().await
    }

    async fn tell_frame(&mut self) -> Result<(), Stop> {
        let Some(seat) = &mut self.lab else { return Ok(()) };
        seat.last_frame = Instant::now();
        let frame = seat.lab.frame();
        self.tell(LabNews::Frame(frame)).await
    }

    /// Shows what has been learned, the surface included.
    async fn tell_learning(&mut self) -> Result<(), Stop> {
        let Some(seat) = &mut self.lab else { return Ok(()) };
        if let Err(error) = seat.lab.follow_learner().await {
            return Ok(self.out.say(Event::Refused(refusal(error)?)).await?);
        }
        let Some(learner) = seat.lab.learner() else { return Ok(()) };
        let frame = learner.frame().await?;
        self.tell(LabNews::Learning(frame)).await?;
        self.tell_surface().await
    }

    /// One step of the lab, if it is due.
    pub(in crate::worker) async fn advance_lab(&mut self) -> Result<(), Stop> {
        let Some(seat) = &mut self.lab else { return Ok(()) };
        if seat.is_learning
            && let Some(learner) = seat.lab.learner()
        {
            let result = learner.advance().await;
            let is_due = seat.last_surface.elapsed() >= SURFACE_INTERVAL;
            if let Err(error) = result {
                seat.is_learning = false;
                let diverged = refusal(error.into())?;
                self.tell_learning().await?;
                return self.tell(LabNews::Diverged(diverged)).await;
            }
            if is_due {
                self.tell_learning().await?;
            }
        }
        let Some(seat) = &mut self.lab else { return Ok(()) };
        if !seat.is_running || seat.last_step.elapsed() < seat.interval() {
            return Ok(());
        }
        let (interval, now) = (seat.interval(), Instant::now());
        // On the beat, unless that was missed by far.
        let on_beat = seat.last_step + interval;
        seat.last_step = if now - on_beat > interval { now } else { on_beat };
        seat.lab.advance().await?;
        let goal = seat.lab.state().config.num_steps as u64;
        let is_done = goal > 0 && seat.lab.step() >= goal;
        if is_done || seat.last_frame.elapsed() >= FRAME_INTERVAL {
            self.tell_frame().await?;
        }
        if is_done {
            if let Some(seat) = &mut self.lab {
                seat.is_running = false;
            }
            self.tell(LabNews::Stopped).await?;
        }
        Ok(())
    }
}
