//! The viewer's worker: it takes commands, computes steps of chains and of training in turn, and reports.
//! All work on the device happens on its one thread.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::mpsc::{
        Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel,
    },
    time::{Duration, Instant},
};

use super::{
    Command, Event, JobError, Training, TrainingEvent, TrainingNews, TrainingPoint,
    session::Session,
};
use crate::{bundled::BUNDLED_MODELS, checkpoint::Checkpoint, device, objective::TERM_NAMES};

/// Batches of reports on their way. A window that does not look makes the worker wait, not the memory grow.
const MAX_UNSEEN: usize = 64;
/// Steps that follow each other faster than this travel together, or a window that draws five times a
/// second would hold up a worker that does thousands of steps.
const BATCH_INTERVAL: Duration = Duration::from_millis(4);
/// Reports in a batch, at most.
const MAX_BATCH: usize = 32;
/// How often the chains take the weights of a running training.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);
/// How often the replay buffer is shown while training.
const BUFFER_INTERVAL: Duration = Duration::from_secs(2);
const THREAD_NAME: &str = "jempp-worker";

/// The two ends of the channels to a running worker.
pub struct Worker {
    /// What it is asked.
    pub commands: Sender<Command>,
    /// What it reports, some at a time.
    pub events: Receiver<Vec<Event>>,
}

/// Starts a worker on a thread of its own. `device` is as in `--device`; `wake` is called after every
/// report. It ends when either end of [`Worker`] is dropped.
pub fn spawn(device: String, wake: impl Fn() + Send + 'static) -> std::io::Result<Worker> {
    let (commands, inbox) = channel();
    let (outbox, events) = sync_channel(MAX_UNSEEN);
    hush_panics();
    std::thread::Builder::new().name(THREAD_NAME.into()).spawn(move || {
        let out = Outbox {
            events: outbox,
            wake: Box::new(wake),
            batch: RefCell::default(),
            last: Cell::new(Instant::now()),
        };
        serve(&device, &inbox, &out);
    })?;
    Ok(Worker { commands, events })
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

struct Outbox {
    events: SyncSender<Vec<Event>>,
    wake: Box<dyn Fn() + Send>,
    batch: RefCell<Vec<Event>>,
    /// When the last batch went.
    last: Cell<Instant>,
}

/// The window is gone.
struct Gone;

impl Outbox {
    fn say(&self, event: Event) -> Result<(), Gone> {
        let may_wait =
            matches!(event, Event::Step(_)) && self.last.get().elapsed() < BATCH_INTERVAL;
        let count = {
            let mut batch = self.batch.borrow_mut();
            batch.push(event);
            batch.len()
        };
        if may_wait && count < MAX_BATCH { Ok(()) } else { self.flush() }
    }

    /// Sends what has waited.
    fn flush(&self) -> Result<(), Gone> {
        let batch = self.batch.take();
        if batch.is_empty() {
            return Ok(());
        }
        self.events.send(batch).map_err(|_| Gone)?;
        self.last.set(Instant::now());
        (self.wake)();
        Ok(())
    }
}

/// Serves until the window is gone; after a failure, until it is told to try again.
fn serve(device: &str, inbox: &Receiver<Command>, out: &Outbox) {
    loop {
        let reason = match catch_unwind(AssertUnwindSafe(|| attend(device, inbox, out))) {
            Ok(Ok(())) | Ok(Err(Stop::Gone)) => return,
            Ok(Err(Stop::Failed(reason))) => reason,
            Err(panic) => format!("the device failed: {}", message_of(panic.as_ref())),
        };
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

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
    // What follows the first line is for programmers.
    text.lines().next().unwrap_or(text).to_string()
}

enum Stop {
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
    };
    let result = service.run(inbox);
    if matches!(result, Err(Stop::Gone)) {
        service.leave();
    }
    result
}

/// A training run with what the window knows of it.
struct Trained {
    run: Training,
    last_follow: Instant,
    last_buffer: Instant,
    begin: Instant,
    steps: u64,
}

struct Service<'a> {
    device: device::ComputeDevice,
    out: &'a Outbox,
    session: Option<Session>,
    until: u64,
    is_running: bool,
    interval: Duration,
    last_step: Instant,
    training: Option<Trained>,
    references_wanted: bool,
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
    fn next_command(&self, inbox: &Receiver<Command>) -> Result<Option<Command>, Gone> {
        let references_left = self.references_wanted
            || self.session.as_ref().is_some_and(Session::has_references_left);
        if self.training.is_some() || references_left {
            return match inbox.try_recv() {
                Ok(command) => Ok(Some(command)),
                Err(TryRecvError::Empty) => Ok(None),
                Err(TryRecvError::Disconnected) => Err(Gone),
            };
        }
        let wait = match self.is_running {
            true => self.interval.saturating_sub(self.last_step.elapsed()),
            false => {
                self.out.flush()?;
                return inbox.recv().map(Some).map_err(|_| Gone);
            }
        };
        if !wait.is_zero() {
            self.out.flush()?;
        }
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
            Command::SetLanes(lanes) => match &mut self.session {
                Some(session) => session.set_lanes(lanes),
                None => Ok(()),
            },
            Command::Run { until, max_steps_per_sec } => {
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

    fn show_model(&mut self, session: Session) -> Result<(), Stop> {
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
            self.out.say(Event::Paused)?;
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
        if self.training.is_some()
            && let Some(request) = session.request().cloned()
            && session.restart(request.clone()).is_ok()
        {
            self.out.say(Event::Started(request))?;
            return self.show();
        }
        self.stop()
    }

    fn train(
        &mut self,
        run: Result<Training, JobError>,
        folder: PathBuf,
    ) -> Result<Result<(), JobError>, Stop> {
        let run = match run {
            Ok(run) => run,
            Err(error) => {
                self.news(TrainingNews::Failed(error.to_string()))?;
                return Ok(Err(error));
            }
        };
        self.pause_training()?;
        let step = run.trainer().counters().step;
        let config = Box::new(run.trainer().config().clone());
        let num_steps = run.num_steps();
        let path = run.folder().checkpoint().display().to_string();
        let checkpoint = match run.trainer().checkpoint() {
            Ok(checkpoint) => checkpoint,
            Err(error) => return Ok(Err(error.into())),
        };
        match Session::of(path, checkpoint, &self.device.device) {
            Ok(session) => self.show_model(session)?,
            Err(error) => return Ok(Err(error)),
        }
        self.news(TrainingNews::Started { folder, config, step, num_steps })?;
        let (now, long_ago) = (Instant::now(), Instant::now() - BUFFER_INTERVAL);
        self.training =
            Some(Trained { run, last_follow: now, last_buffer: long_ago, begin: now, steps: 0 });
        Ok(Ok(()))
    }

    fn news(&self, news: TrainingNews) -> Result<(), Stop> {
        Ok(self.out.say(Event::Training(Box::new(news)))?)
    }

    fn advance_training(&mut self) -> Result<(), Stop> {
        let Some(training) = &mut self.training else { return Ok(()) };
        training.steps += 1;
        let steps_per_sec = training.steps as f64 / training.begin.elapsed().as_secs_f64();
        let mut news = Vec::new();
        let result = training.run.advance(&mut |event| news.extend(news_of(event, steps_per_sec)));
        if training.last_buffer.elapsed() >= BUFFER_INTERVAL {
            training.last_buffer = Instant::now();
            let (x, labels) = training.run.buffer_grid();
            news.push(TrainingNews::Buffer { x, labels });
        }
        if training.last_follow.elapsed() >= FOLLOW_INTERVAL {
            training.last_follow = Instant::now();
            if let Some(session) = &mut self.session
                && let Err(error) = session.follow(training.run.trainer())
            {
                self.out.say(Event::Refused(error.to_string()))?;
            }
        }
        let is_complete = training.run.is_complete();
        for news in news {
            self.news(news)?;
        }
        if let Err(error) = result {
            self.training = None;
            return self.news(TrainingNews::Failed(error.to_string()));
        }
        if is_complete { self.pause_training() } else { Ok(()) }
    }

    /// Saves the training run, if there is one, and lets it rest.
    fn pause_training(&mut self) -> Result<(), Stop> {
        let Some(mut training) = self.training.take() else { return Ok(()) };
        let mut news = Vec::new();
        if let Some(session) = &mut self.session {
            // Chains that go on do so with the weights that were saved.
            let _ = session.follow(training.run.trainer());
        }
        let result = training.run.finish(&mut |event| news.extend(news_of(event, 0.0)));
        for news in news {
            self.news(news)?;
        }
        match result {
            Ok(()) => Ok(()),
            Err(error) => self.news(TrainingNews::Failed(error.to_string())),
        }
    }

    /// Writes the model in training, or else the open one.
    fn save(&self, path: &std::path::Path) -> Result<(), JobError> {
        if path.exists() {
            return Err(JobError::Request(format!(
                "{} already exists; nothing is ever overwritten. Choose another name",
                path.display()
            )));
        }
        let checkpoint: Checkpoint = match (&self.training, &self.session) {
            (Some(training), _) => training.run.trainer().checkpoint()?,
            (None, Some(session)) => session.checkpoint().clone(),
            (None, None) => return Err(JobError::Request("no model is open".into())),
        };
        Ok(checkpoint.save(path)?)
    }

    /// The window is gone: nothing of a training run is lost.
    fn leave(&mut self) {
        if let Some(mut training) = self.training.take() {
            // Nobody is left to tell; the run's last checkpoint is still there.
            let _ = training.run.finish(&mut |_| {});
        }
    }
}

/// What the window is told of an event of training.
fn news_of(event: TrainingEvent, steps_per_sec: f64) -> Option<TrainingNews> {
    Some(match event {
        TrainingEvent::Started { .. } => return None,
        TrainingEvent::Step(report) => {
            let term = |name: &str| {
                let place = TERM_NAMES.iter().position(|term| *term == name);
                place.map_or(f64::NAN, |place| report.terms[place])
            };
            TrainingNews::Step(TrainingPoint {
                step: report.step,
                loss: report.loss,
                cross_entropy: term("cross_entropy"),
                gap: report.gap,
                gradient_norm: report.gradient_norm,
                clamp_rate: report.clamp_rate,
                steps_per_sec,
            })
        }
        TrainingEvent::Evaluated { step, test, .. } => {
            TrainingNews::Evaluated { step, test_accuracy: test.accuracy }
        }
        TrainingEvent::Recovered { divergence, recovery } => TrainingNews::Recovered {
            message: format!(
                "{divergence}; back to step {}, learning rate × {:.3}",
                recovery.step, recovery.learning_rate_factor
            ),
        },
        TrainingEvent::Finished { is_complete, checkpoint, .. } => {
            TrainingNews::Stopped { is_complete, checkpoint }
        }
    })
}
