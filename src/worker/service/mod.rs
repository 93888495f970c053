//! The main loop of the worker: it handles commands, alternates between steps of the chains, the training run and the
//! lab, and sends events.

mod chain_commands;
mod lab_commands;
mod training_commands;

use std::{collections::VecDeque, time::Duration};

use self::{chain_commands::Pace, lab_commands::ActiveLab, training_commands::ActiveTraining};
use super::{
    Command, Event, JobError,
    lab::LabCommand,
    open_model::{Attached, OpenModel},
    outbox::{Outbox, WindowGone},
    own_data::OwnData,
    platform::Inbox,
};
use crate::{
    bundled::BUNDLED_MODELS,
    checkpoint::Checkpoint,
    device::{self, ReadError},
    training::Training,
};

/// Why the worker stopped.
pub(super) enum Stop {
    /// The window was closed.
    WindowGone,
    /// The device or the worker failed; the text is the reason.
    Failed(String),
    /// The window was closed, and the training run could not be saved; the text is the reason.
    #[cfg_attr(target_arch = "wasm32", allow(dead_code))]
    Unsaved(String),
}

impl From<WindowGone> for Stop {
    fn from(_: WindowGone) -> Self {
        Self::WindowGone
    }
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Why a command was not carried out.
enum Unserved {
    /// The command was refused. The window shows the reason, and everything else continues.
    Refused(JobError),
    /// The worker must stop.
    Stopped(Stop),
}

impl<E: Into<JobError>> From<E> for Unserved {
    fn from(error: E) -> Self {
        let error = error.into();
        match error.is_of_device() {
            true => Self::Stopped(Stop::Failed(error.to_string())),
            false => Self::Refused(error),
        }
    }
}

impl From<Stop> for Unserved {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

impl From<WindowGone> for Unserved {
    fn from(gone: WindowGone) -> Self {
        Self::Stopped(gone.into())
    }
}

/// The message for an error that does not stop the worker.
///
/// # Errors
/// The device failed, so the worker must stop.
fn refusal(error: JobError) -> Result<String, Stop> {
    match error.into() {
        Unserved::Refused(error) => Ok(error.to_string()),
        Unserved::Stopped(stop) => Err(stop),
    }
}

/// The result of a command.
type Served = Result<(), Unserved>;

/// Opens the device and serves the window until it is closed.
pub(super) async fn serve_window(
    wanted: &str,
    inbox: &mut Inbox,
    out: &Outbox,
) -> Result<(), Stop> {
    let device = device::open(wanted).await.map_err(|error| Stop::Failed(error.to_string()))?;
    out.send(Event::Device {
        description: device.description.clone(),
        is_cpu: device.is_cpu(),
        bundled: BUNDLED_MODELS.iter().map(|model| model.name.to_string()).collect(),
    })
    .await?;
    let mut service = Service {
        device,
        out,
        waiting: VecDeque::new(),
        attached: Attached::new(),
        own_data: OwnData::default(),
        model: None,
        trained: None,
        pace: Pace::new(),
        references_wanted: false,
        reads_gradients: false,
        training: None,
        paused_training: None,
        lab: None,
    };
    let result = service.run(inbox).await;
    if matches!(result, Err(Stop::WindowGone)) {
        service.save_training().await?;
    }
    result
}

/// The time between two steps for a number of steps per second; 0 means no limit.
fn interval_of(steps_per_sec: f64) -> Duration {
    const LONGEST_SECS: f64 = 3600.0;
    match steps_per_sec > 0.0 {
        true => Duration::from_secs_f64((1.0 / steps_per_sec).min(LONGEST_SECS)),
        false => Duration::ZERO,
    }
}

/// The state of the worker.
struct Service<'a> {
    device: device::ComputeDevice,
    out: &'a Outbox,
    /// Commands that were taken from the inbox, oldest first.
    waiting: VecDeque<Command>,
    attached: Attached,
    own_data: OwnData,
    /// The open model and its chains.
    model: Option<OpenModel>,
    /// The model that was trained last, once another one is open.
    trained: Option<Checkpoint>,
    /// How long and how fast the chains run.
    pace: Pace,
    references_wanted: bool,
    /// Whether the window shows the gradients of the chains.
    reads_gradients: bool,
    training: Option<ActiveTraining>,
    /// The last paused run; only in a browser, where burn cannot restore an optimiser.
    paused_training: Option<Training>,
    lab: Option<ActiveLab>,
}

impl Service<'_> {
    /// Runs the main loop until the window is closed.
    async fn run(&mut self, inbox: &mut Inbox) -> Result<(), Stop> {
        loop {
            let Some(command) = self.next_command(inbox).await? else {
                self.work().await?;
                continue;
            };
            match self.serve(command).await {
                Ok(()) => {}
                Err(Unserved::Refused(error)) => {
                    self.out.send(Event::Refused(error.to_string())).await?;
                }
                Err(Unserved::Stopped(stop)) => return Err(stop),
            }
        }
    }

    /// The next command; `None` if there is work to do first.
    async fn next_command(&mut self, inbox: &mut Inbox) -> Result<Option<Command>, WindowGone> {
        while let Some(command) = inbox.try_next().await? {
            self.waiting.push_back(command);
        }
        while let Some(command) = self.waiting.pop_front() {
            if !self.is_outdated(&command) {
                return Ok(Some(command));
            }
        }
        let model = self.model.as_ref().filter(|model| model.request().is_some());
        let has_references_left =
            model.is_some_and(|model| self.references_wanted || model.has_references_left());
        if self.training.is_some() || has_references_left {
            return Ok(None);
        }
        let lab = self.lab.as_ref().and_then(ActiveLab::wait);
        let wait = [self.pace.wait(), lab].into_iter().flatten().min();
        if wait == Some(Duration::ZERO) {
            return Ok(None);
        }
        self.out.flush().await?;
        inbox.next(wait).await
    }

    /// Whether a newer command in the queue replaces this one. A dragged slider sends a command in every frame, and
    /// only the newest one matters.
    fn is_outdated(&self, command: &Command) -> bool {
        match (command, self.waiting.front()) {
            (Command::SetLanes(_), Some(Command::SetLanes(_)))
            | (Command::Lab(LabCommand::Set(_)), Some(Command::Lab(LabCommand::Set(_)))) => true,
            (Command::SetLanes(_) | Command::Restart(_), _) => {
                self.waiting.iter().any(|later| matches!(later, Command::Restart(_)))
            }
            _ => false,
        }
    }

    /// Carries out a command.
    async fn serve(&mut self, command: Command) -> Served {
        match command {
            Command::Open(name) => self.open(&name).await,
            Command::Attach { name, bytes } => {
                self.attached.insert(name, bytes);
                Ok(())
            }
            Command::LoadReferences => {
                self.references_wanted = true;
                Ok(())
            }
            Command::Restart(request) => self.restart(request).await,
            Command::SetLanes(lanes) => self.set_lanes(lanes).await,
            Command::Run { run, until, max_steps_per_sec } => {
                self.pace.start(run, until, max_steps_per_sec);
                Ok(())
            }
            Command::ReadGradients(wanted) => Ok(self.read_gradients(wanted).await?),
            Command::Pause => Ok(self.pause().await?),
            Command::Branch { step, x, spent } => self.branch(step, &x, &spent).await,
            Command::Replace { lane, chain, image, is_fixed } => {
                self.replace(lane, chain, image, is_fixed).await
            }
            Command::Classify(image) => self.classify(image).await,
            Command::GiveData { name, files } => {
                self.own_data.give(name, files).await.map_err(JobError::Request)?;
                Ok(())
            }
            Command::InspectData { data, seed } => self.inspect_data(*data, seed).await,
            Command::Train { config, out } => self.train_new(*config, out).await,
            Command::ResumeTraining(folder) => self.resume_training(folder).await,
            Command::PauseTraining => Ok(self.pause_training().await?),
            Command::Save(path) => self.save(path, true).await,
            Command::SaveOpen(path) => self.save(path, false).await,
            Command::Lab(command) => self.serve_lab(command).await,
            Command::Lesson { number, folder } => self.bring_lesson(number, folder).await,
            // A retry has an effect only after a failure.
            Command::Retry => Ok(()),
        }
    }

    /// Does one step of each kind of work that is active.
    async fn work(&mut self) -> Result<(), Stop> {
        if self.training.is_some() {
            self.advance_training().await?;
        }
        if self.pace.begin_step() {
            self.advance_chains().await?;
        }
        self.advance_lab().await?;
        self.advance_references().await
    }
}
