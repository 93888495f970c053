//! The viewer's worker: it takes commands, computes steps of chains and of training in turn, and reports.

use std::{collections::VecDeque, time::Duration};

use web_time::Instant;

use super::{
    Command, Event, JobError,
    lab::{LabCommand, LabNews, LabSeat},
    learning::Trained,
    outbox::{Gone, Outbox},
    platform::{self, Inbox},
    session::{Attached, Session},
};
use crate::{
    assets,
    bundled::{self, BUNDLED_MODELS},
    device, lessons,
    training::Training,
};

/// Why the worker stops.
pub(super) enum Stop {
    /// The window is gone.
    Gone,
    /// The device or the worker failed.
    Failed(String),
    /// The window is gone, and this training run could not be saved.
    #[cfg_attr(target_arch = "wasm32", allow(dead_code))]
    Unsaved(String),
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// Opens the device and serves until the window is gone.
pub(super) async fn attend(wanted: &str, inbox: &mut Inbox, out: &Outbox) -> Result<(), Stop> {
    let device = device::open(wanted).await.map_err(|error| Stop::Failed(error.to_string()))?;
    out.say(Event::Device {
        description: device.description.clone(),
        is_cpu: device.is_cpu(),
        bundled: BUNDLED_MODELS.iter().map(|model| model.name.to_string()).collect(),
    })
    .await?;
    let mut service = Service {
        device,
        out,
        session: None,
        until: 0,
        is_running: false,
        interval: Duration::ZERO,
        last_step: Instant::now(),
        training: None,
        resting: None,
        references_wanted: false,
        waiting: VecDeque::new(),
        run: 0,
        attached: Attached::new(),
        lab: None,
    };
    let result = service.run(inbox).await;
    if matches!(result, Err(Stop::Gone)) {
        service.leave().await?;
    }
    result
}

/// Time between two steps at so many a second; 0 is no limit.
pub(super) fn interval_of(steps_per_sec: f64) -> Duration {
    const LONGEST_SECS: f64 = 3600.0;
    match steps_per_sec > 0.0 {
        true => Duration::from_secs_f64((1.0 / steps_per_sec).min(LONGEST_SECS)),
        false => Duration::ZERO,
    }
}

pub(super) struct Service<'a> {
    pub(super) device: device::ComputeDevice,
    pub(super) out: &'a Outbox,
    pub(super) session: Option<Session>,
    until: u64,
    is_running: bool,
    interval: Duration,
    last_step: Instant,
    pub(super) training: Option<Trained>,
    /// In a browser, the run that was paused last: burn cannot restore an optimiser there.
    pub(super) resting: Option<Training>,
    pub(super) references_wanted: bool,
    /// Commands taken out of the inbox, oldest first.
    waiting: VecDeque<Command>,
    /// The number of the last [`Command::Run`].
    run: u64,
    attached: Attached,
    pub(super) lab: Option<LabSeat>,
}

impl Service<'_> {
    /// Serves until the window is gone.
    async fn run(&mut self, inbox: &mut Inbox) -> Result<(), Stop> {
        loop {
            match self.next_command(inbox).await? {
                Some(command) => {
                    if let Err(error) = self.obey(command).await? {
                        self.out.say(Event::Refused(error.to_string())).await?;
                    }
                }
                None => self.work().await?,
            }
        }
    }

    /// The next command, or `None` when there is work to do first.
    async fn next_command(&mut self, inbox: &mut Inbox) -> Result<Option<Command>, Gone> {
        while let Some(command) = inbox.arrived().await? {
            self.waiting.push_back(command);
        }
        while let Some(command) = self.waiting.pop_front() {
            // A slider that is dragged asks anew in every frame; only the newest matters.
            let is_outdated = match (&command, self.waiting.front()) {
                (Command::SetLanes(_), Some(Command::SetLanes(_)))
                | (Command::Lab(LabCommand::Set(_)), Some(Command::Lab(LabCommand::Set(_)))) => {
                    true
                }
                (Command::SetLanes(_) | Command::Restart(_), _) => {
                    self.waiting.iter().any(|later| matches!(later, Command::Restart(_)))
                }
                _ => false,
            };
            if !is_outdated {
                return Ok(Some(command));
            }
        }
        let session = self.session.as_ref().filter(|session| session.request().is_some());
        let has_references_left =
            session.is_some_and(|session| self.references_wanted || session.has_references_left());
        if self.training.is_some() || has_references_left {
            return Ok(None);
        }
        let chains =
            self.is_running.then(|| self.interval.saturating_sub(self.last_step.elapsed()));
        let lab = self.lab.as_ref().and_then(LabSeat::wait);
        let wait = [chains, lab].into_iter().flatten().min();
        if wait == Some(Duration::ZERO) {
            return Ok(None);
        }
        self.out.flush().await?;
        inbox.next(wait).await
    }

    /// Does what was asked. The inner error is for the person; everything goes on.
    async fn obey(&mut self, command: Command) -> Result<Result<(), JobError>, Stop> {
        Ok(match command {
            Command::Open(name) => return self.open(&name).await,
            Command::Restart(request) => match &mut self.session {
                Some(session) => match session.restart(request.clone()).await {
                    Ok(()) => {
                        self.out.say(Event::Started(request)).await?;
                        self.show().await?;
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                None => Ok(()),
            },
            Command::SetLanes(lanes) => {
                let Some(session) = &mut self.session else { return Ok(Ok(())) };
                let result = session.set_lanes(lanes);
                if result.is_err()
                    && let Some(request) = session.request()
                {
                    self.out.say(Event::Lanes(request.lanes.clone())).await?;
                }
                result
            }
            Command::Run { run, until, max_steps_per_sec } => {
                self.run = run;
                self.until = until;
                self.interval = interval_of(max_steps_per_sec);
                self.is_running = true;
                Ok(())
            }
            Command::Pause => {
                self.stop().await?;
                Ok(())
            }
            Command::Branch { step, x } => {
                let Some(session) = &mut self.session else { return Ok(Ok(())) };
                let changed = session.branch(step, &x);
                self.show_if(changed).await?
            }
            Command::Replace { lane, chain, image, is_fixed } => {
                let Some(session) = &mut self.session else { return Ok(Ok(())) };
                let changed = session.replace(lane, chain, image, is_fixed).await;
                self.show_if(changed).await?
            }
            Command::Classify(image) => {
                let Some(session) = &self.session else { return Ok(Ok(())) };
                match session.classify(image).await {
                    Ok(event) => {
                        self.out.say(event).await?;
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            }
            Command::LoadReferences => {
                self.references_wanted = true;
                Ok(())
            }
            Command::Attach { name, bytes } => {
                self.attached.insert(name, bytes);
                Ok(())
            }
            Command::Train { config, out } => {
                let run = Training::start(*config, &out, &self.device, &mut |_| {}).await;
                let run = run.map_err(JobError::from);
                return self.train(run, out).await;
            }
            Command::ResumeTraining(folder) => return self.resume_training(folder).await,
            Command::PauseTraining => {
                self.pause_training().await?;
                Ok(())
            }
            Command::Save(path) => match self.save(&path).await {
                Ok(()) => {
                    self.out.say(platform::saved(path)).await?;
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Command::Lab(command) => {
                if let Err(error) = self.obey_lab(command).await? {
                    let refused = LabNews::Refused(error.to_string());
                    self.out.say(Event::Lab(Box::new(refused))).await?;
                }
                Ok(())
            }
            Command::Lesson { number, folder } => {
                let event = match lessons::text(number, folder.as_deref()).await {
                    Ok(text) => Event::Lesson { number, text },
                    Err(error) => Event::Lab(Box::new(LabNews::Refused(error.to_string()))),
                };
                self.out.say(event).await?;
                Ok(())
            }
            Command::Retry => Ok(()),
        })
    }

    async fn open(&mut self, name: &str) -> Result<Result<(), JobError>, Stop> {
        if let Ok(model) = bundled::find(name)
            && let Err(error) = assets::bring(&[model.file]).await
        {
            return Ok(Err(error.into()));
        }
        let session = match Session::open(name, &self.attached, &self.device.device) {
            Ok(session) => session,
            Err(error) => return Ok(Err(error)),
        };
        // The chains would follow the training's weights, not this model's.
        self.pause_training().await?;
        self.show_model(session).await?;
        Ok(Ok(()))
    }

    pub(super) async fn show_model(&mut self, session: Session) -> Result<(), Stop> {
        self.stop().await?;
        self.out.say(Event::Opened(Box::new(session.info()))).await?;
        self.session = Some(session);
        // In a browser they must come over the wire and be evaluated on less: there they are asked for.
        self.references_wanted = !cfg!(target_arch = "wasm32");
        Ok(())
    }

    /// Shows the chains if they were changed where they stand.
    async fn show_if(
        &mut self,
        changed: Result<(), JobError>,
    ) -> Result<Result<(), JobError>, Stop> {
        if changed.is_ok() {
            self.show().await?;
        }
        Ok(changed)
    }

    async fn show(&mut self) -> Result<(), Stop> {
        let Some(session) = &mut self.session else { return Ok(()) };
        if let Some(event) = session.evaluate().await {
            self.out.say(event).await?;
        }
        Ok(())
    }

    async fn stop(&mut self) -> Result<(), Stop> {
        if std::mem::take(&mut self.is_running) {
            self.out.say(Event::Paused(self.run)).await?;
        }
        Ok(())
    }

    /// One step of whatever is to be done.
    async fn work(&mut self) -> Result<(), Stop> {
        if self.training.is_some() {
            self.advance_training().await?;
        }
        if self.is_running && self.last_step.elapsed() >= self.interval {
            self.last_step = Instant::now();
            self.advance_chains().await?;
        }
        self.advance_lab().await?;
        let Some(session) = &mut self.session else { return Ok(()) };
        // The first picture comes first.
        if session.request().is_some() {
            if std::mem::take(&mut self.references_wanted)
                && let Err(error) = session.load_references().await
            {
                self.out.say(Event::Refused(error.to_string())).await?;
            }
            if let Some(event) = session.advance_references().await {
                self.out.say(event).await?;
            }
        }
        Ok(())
    }

    async fn advance_chains(&mut self) -> Result<(), Stop> {
        let Some(session) = &mut self.session else { return self.stop().await };
        if session.step() < self.until {
            session.advance();
            self.show().await?;
        }
        let Some(session) = &mut self.session else { return Ok(()) };
        if session.step() < self.until {
            return Ok(());
        }
        // While a model learns, new chains show what it makes of their starts now.
        let length = session.request().and_then(|request| request.lanes.first());
        let length = length.map_or(0, |lane| lane.sampler.num_steps as u64);
        if self.training.is_some()
            && self.until >= length
            && let Some(request) = session.request().cloned()
            && session.restart(request.clone()).await.is_ok()
        {
            self.out.say(Event::Started(request)).await?;
            return self.show().await;
        }
        self.stop().await
    }
}
