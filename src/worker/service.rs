//! The viewer's worker: it takes commands, computes steps of chains and of training in turn, and reports.
//! All work on the device happens on its one thread.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    Command, Event, JobError, Training,
    learning::Trained,
    outbox::{Gone, Outbox},
    session::Session,
};
use crate::{bundled::BUNDLED_MODELS, device};

const THREAD_NAME: &str = "jempp-worker";

/// A running worker, and the two ends of the channels to it.
pub struct Worker {
    /// What it is asked.
    pub commands: Sender<Command>,
    /// What it reports, some at a time.
    pub events: Receiver<Vec<Event>>,
    /// Ends when either of the others is dropped, once a training run is saved: join it before the
    /// process ends.
    pub thread: JoinHandle<()>,
}

/// Starts a worker on a thread of its own. `device` is as in `--device`; `wake` is called after every
/// report.
///
/// # Errors
/// The operating system gives no thread.
pub fn spawn(device: String, wake: impl Fn() + Send + 'static) -> std::io::Result<Worker> {
    let (commands, inbox) = channel();
    hush_panics();
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new().name(THREAD_NAME.into()).spawn(move || {
        let (out, events) = Outbox::new(wake);
        if sender.send(events).is_ok() {
            serve(&device, &inbox, &out);
        }
    })?;
    let events = receiver.recv().map_err(std::io::Error::other)?;
    Ok(Worker { commands, events, thread })
}

/// A panic of the worker becomes a banner; nobody needs it on the terminal as well.
fn hush_panics() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() != Some(THREAD_NAME) {
            others(info);
        }
    }));
}

/// Serves until the window is gone; after a failure, until it is told to try again.
fn serve(device: &str, inbox: &Receiver<Command>, out: &Outbox) {
    loop {
        let Some(reason) = failure_of(|| attend(device, inbox, out)) else { return };
        if out.say(Event::Failed(reason)).is_err() {
            return;
        }
        loop {
            match inbox.recv() {
                Ok(Command::Retry) => break,
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

/// Why work stopped, a panic of the device's driver included; `None` if the window is gone.
fn failure_of(work: impl FnOnce() -> Result<(), Stop>) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) | Ok(Err(Stop::Gone)) => None,
        Ok(Err(Stop::Failed(reason))) => Some(reason),
        Err(panic) => Some(format!("the device failed: {}", message_of(panic.as_ref()))),
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
    // What follows the first line is for programmers.
    text.lines().next().unwrap_or(text).to_string()
}

pub(super) enum Stop {
    Gone,
    Failed(String),
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// Opens the device and serves.
fn attend(wanted: &str, inbox: &Receiver<Command>, out: &Outbox) -> Result<(), Stop> {
    let device = device::open(wanted).map_err(|error| Stop::Failed(error.to_string()))?;
    out.say(Event::Device {
        description: device.description.clone(),
        is_cpu: device.is_cpu(),
        bundled: BUNDLED_MODELS.iter().map(|model| model.name.to_string()).collect(),
    })?;
    let mut service = Service {
        device,
        out,
        session: None,
        until: 0,
        is_running: false,
        interval: Duration::ZERO,
        last_step: Instant::now(),
        training: None,
        references_wanted: false,
        waiting: VecDeque::new(),
        run: 0,
    };
    let result = service.run(inbox);
    if matches!(result, Err(Stop::Gone)) {
        service.leave();
    }
    result
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
    pub(super) references_wanted: bool,
    /// Commands taken out of the inbox, oldest first.
    waiting: VecDeque<Command>,
    /// The number of the last [`Command::Run`].
    run: u64,
}

impl Service<'_> {
    /// Serves until the window is gone.
    fn run(&mut self, inbox: &Receiver<Command>) -> Result<(), Stop> {
        loop {
            match self.next_command(inbox)? {
                Some(command) => {
                    if let Err(error) = self.obey(command)? {
                        self.out.say(Event::Refused(error.to_string()))?;
                    }
                }
                None => self.work()?,
            }
        }
    }

    /// The next command, or `None` when there is work to do first.
    fn next_command(&mut self, inbox: &Receiver<Command>) -> Result<Option<Command>, Gone> {
        loop {
            match inbox.try_recv() {
                Ok(command) => self.waiting.push_back(command),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(Gone),
            }
        }
        while let Some(command) = self.waiting.pop_front() {
            // A slider that is dragged asks anew in every frame; only the newest matters.
            let is_outdated = match (&command, self.waiting.front()) {
                (Command::SetLanes(_), Some(Command::SetLanes(_))) => true,
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
        let wait = match self.is_running {
            true => self.interval.saturating_sub(self.last_step.elapsed()),
            false => {
                self.out.flush()?;
                return inbox.recv().map(Some).map_err(|_| Gone);
            }
        };
        if wait.is_zero() {
            return Ok(None);
        }
        self.out.flush()?;
        match inbox.recv_timeout(wait) {
            Ok(command) => Ok(Some(command)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Gone),
        }
    }

    /// Does what was asked. The inner error is for the person; everything goes on.
    fn obey(&mut self, command: Command) -> Result<Result<(), JobError>, Stop> {
        Ok(match command {
            Command::Open(name) => return self.open(&name),
            Command::Restart(request) => match &mut self.session {
                Some(session) => match session.restart(request.clone()) {
                    Ok(()) => {
                        self.out.say(Event::Started(request))?;
                        self.show()?;
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
                    self.out.say(Event::Lanes(request.lanes.clone()))?;
                }
                result
            }
            Command::Run { run, until, max_steps_per_sec } => {
                self.run = run;
                self.until = until;
                self.interval = match max_steps_per_sec > 0.0 {
                    true => Duration::from_secs_f64(1.0 / max_steps_per_sec),
                    false => Duration::ZERO,
                };
                self.is_running = true;
                Ok(())
            }
            Command::Pause => {
                self.stop()?;
                Ok(())
            }
            Command::Branch { step, x } => self.change(|session| session.branch(step, &x))?,
            Command::Replace { lane, chain, image, is_fixed } => {
                self.change(|session| session.replace(lane, chain, image, is_fixed))?
            }
            Command::Classify(image) => match self.session.as_ref().map(|s| s.classify(image)) {
                Some(Ok(event)) => {
                    self.out.say(event)?;
                    Ok(())
                }
                Some(Err(error)) => Err(error),
                None => Ok(()),
            },
            Command::Train { config, out } => {
                let run = Training::start(*config, &out, &self.device);
                return self.train(run, out);
            }
            Command::ResumeTraining(folder) => {
                let run = Training::resume(&folder, Ok, &self.device);
                return self.train(run, folder);
            }
            Command::PauseTraining => {
                self.pause_training()?;
                Ok(())
            }
            Command::Save(path) => match self.save(&path) {
                Ok(()) => {
                    self.out.say(Event::Saved(path))?;
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Command::Retry => Ok(()),
        })
    }

    fn open(&mut self, name: &str) -> Result<Result<(), JobError>, Stop> {
        let session = match Session::open(name, &self.device.device) {
            Ok(session) => session,
            Err(error) => return Ok(Err(error)),
        };
        // The chains would follow the training's weights, not this model's.
        self.pause_training()?;
        self.show_model(session)?;
        Ok(Ok(()))
    }

    pub(super) fn show_model(&mut self, session: Session) -> Result<(), Stop> {
        self.stop()?;
        self.out.say(Event::Opened(Box::new(session.info())))?;
        self.session = Some(session);
        self.references_wanted = true;
        Ok(())
    }

    /// Changes the chains where they stand and shows them.
    fn change(
        &mut self,
        change: impl FnOnce(&mut Session) -> Result<(), JobError>,
    ) -> Result<Result<(), JobError>, Stop> {
        let Some(session) = &mut self.session else { return Ok(Ok(())) };
        if let Err(error) = change(session) {
            return Ok(Err(error));
        }
        self.show()?;
        Ok(Ok(()))
    }

    fn show(&mut self) -> Result<(), Stop> {
        if let Some(event) = self.session.as_mut().and_then(Session::evaluate) {
            self.out.say(event)?;
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Stop> {
        if std::mem::take(&mut self.is_running) {
            self.out.say(Event::Paused(self.run))?;
        }
        Ok(())
    }

    /// One step of whatever is to be done.
    fn work(&mut self) -> Result<(), Stop> {
        if self.training.is_some() {
            self.advance_training()?;
        }
        if self.is_running && self.last_step.elapsed() >= self.interval {
            self.last_step = Instant::now();
            self.advance_chains()?;
        }
        let Some(session) = &mut self.session else { return Ok(()) };
        // The first picture comes first.
        if session.request().is_some() {
            if std::mem::take(&mut self.references_wanted) {
                session.load_references();
            }
            if let Some(event) = session.advance_references() {
                self.out.say(event)?;
            }
        }
        Ok(())
    }

    fn advance_chains(&mut self) -> Result<(), Stop> {
        let Some(session) = &mut self.session else { return self.stop() };
        if session.step() < self.until {
            session.advance();
            self.show()?;
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
            && session.restart(request.clone()).is_ok()
        {
            self.out.say(Event::Started(request))?;
            return self.show();
        }
        self.stop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_reason() {
        let lost = failure_of(|| panic!("parent device is lost\nbacktrace"));
        assert_eq!(lost.as_deref(), Some("the device failed: parent device is lost"));
        let size = 3;
        let full = failure_of(|| panic!("out of memory: {size} GiB"));
        assert_eq!(full.as_deref(), Some("the device failed: out of memory: 3 GiB"));
        assert_eq!(failure_of(|| Err(Stop::Gone)), None);
        assert_eq!(
            failure_of(|| Err(Stop::Failed("no adapter".into()))).as_deref(),
            Some("no adapter")
        );
    }
}
