//! What the window shows, in words: for those who cannot see it.

use egui::{
    PlatformOutput,
    accesskit::{NodeId, Role, Toggled, TreeUpdate},
    role_description,
};
use web_time::{Duration, Instant};

use super::{
    controls::format_number,
    pixels::number,
    state::{Agreement, LabRecord, LaneRecord, Phase},
    verdict,
    viewer::Viewer,
    window::App,
    words,
};
use crate::{
    config::Tab,
    lessons::{Block, TITLES},
};

/// The time between two texts with the numbers of chains that run.
const NUMBERS_INTERVAL: Duration = Duration::from_secs(5);
/// The time without news after which a line about chains that run is said.
const LINE_INTERVAL: Duration = Duration::from_secs(30);
/// How long events stay the same before they are said: a single step starts the chains and stops them again.
const SETTLED: Duration = Duration::from_millis(500);

/// What the window shows, as text for a screen reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spoken {
    /// The open lesson and its step, or the tab and the model.
    pub title: String,
    /// The text of the lesson's step.
    pub paragraphs: Vec<String>,
    /// The answer to the question of the step, which a person opens.
    pub answer: Vec<String>,
    /// Where the chains are now, and all messages, for a person who asks.
    pub now: String,
    /// Why everything has stopped; empty if it has not.
    pub failure: String,
    /// What is said when it is new: messages, and what runs or rests.
    pub events: Vec<String>,
    /// What is said from time to time while something runs: the step, and the energy of the first lane.
    pub line: String,
}

/// When the text for a screen reader changes, and what of it is said aloud.
#[derive(Debug, Default)]
pub struct Voice {
    written: Spoken,
    written_at: Option<Instant>,
    /// The events that were said, and those that there are, since when.
    said: Vec<String>,
    events: Vec<String>,
    events_since: Option<Instant>,
    /// Since when nothing was said of what runs.
    quiet_since: Option<Instant>,
}

impl Voice {
    /// The text to write now and what to say aloud, which may be nothing; `None` if all stays as it is. Numbers change with
    /// every step, so they are only written, and only every few seconds.
    pub fn follow(
        &mut self,
        spoken: Spoken,
        is_moving: bool,
        now: Instant,
        ctx: &egui::Context,
    ) -> Option<(&Spoken, String)> {
        let is_over =
            |since: Option<Instant>, time: Duration| since.is_none_or(|since| now - since >= time);
        if spoken.events != self.events {
            self.events.clone_from(&spoken.events);
            self.events_since = Some(now);
        }
        let mut news = String::new();
        if self.said != self.events {
            if is_over(self.events_since, SETTLED) {
                news = new_ones(&self.events, &self.said).join(" ");
                self.said.clone_from(&self.events);
            } else {
                ctx.request_repaint_after(SETTLED);
            }
        }
        let quiet_since = *self.quiet_since.get_or_insert(now);
        if news.is_empty() && is_moving && is_over(Some(quiet_since), LINE_INTERVAL) {
            news.clone_from(&spoken.line);
        }
        if !news.is_empty() || !is_moving {
            self.quiet_since = Some(now);
        }
        let before = &self.written;
        let is_elsewhere = spoken.title != before.title
            || spoken.paragraphs != before.paragraphs
            || spoken.failure != before.failure;
        let is_due = !is_moving || is_over(self.written_at, NUMBERS_INTERVAL);
        let is_same = !is_elsewhere && (spoken.now == before.now || !is_due);
        if is_same && news.is_empty() {
            return None;
        }
        self.written = spoken;
        self.written_at = Some(now);
        Some((&self.written, news))
    }
}

/// The events that are not among the earlier ones. An event that is there twice is new if it was there once.
fn new_ones<'a>(events: &'a [String], earlier: &[String]) -> Vec<&'a str> {
    let mut earlier: Vec<&String> = earlier.iter().collect();
    let is_new = |event: &&String| match earlier.iter().position(|other| other == event) {
        Some(at) => {
            earlier.swap_remove(at);
            false
        }
        None => true,
    };
    events.iter().filter(is_new).map(String::as_str).collect()
}

/// What is said of the control that has the focus, which a screen reader cannot find in the canvas.
#[derive(Debug, Default)]
pub struct Guide {
    focus: Option<NodeId>,
    said: String,
}

impl Guide {
    /// The control that has just got the focus, or that a person has just changed, in words; nothing unless the keyboard
    /// `is_here`. A value that changes by itself is not said.
    pub fn follow(&mut self, output: &PlatformOutput, is_here: bool) -> Option<&str> {
        let update = output.accesskit_update.as_ref().filter(|_| is_here);
        let focus = update.map(|update| update.focus);
        let is_new = std::mem::replace(&mut self.focus, focus) != focus;
        if !is_new && output.events.is_empty() {
            return None;
        }
        let text = control_in_words(update?)?;
        if !is_new && text == self.said {
            return None;
        }
        self.said = text;
        Some(&self.said)
    }
}

/// The name, the kind and the state of the control that has the focus; `None` if none has it.
fn control_in_words(update: &TreeUpdate) -> Option<String> {
    let nodes = &update.nodes;
    let find = |id: &NodeId| nodes.iter().find(|node| node.0 == *id).map(|node| &node.1);
    let node = find(&update.focus).filter(|node| node.role() != Role::Window)?;
    let labels = node.labelled_by().iter().filter_map(find);
    let labels = labels.filter_map(|label| label.label().or_else(|| label.value()));
    let mut parts: Vec<String> = node.label().into_iter().chain(labels).map(String::from).collect();
    parts.push(role_description(node.role()));
    let value = node.value().map(String::from);
    parts.extend(value.or_else(|| node.numeric_value().map(format_number)));
    let is_on = node.toggled().map(|toggled| toggled == Toggled::True);
    parts.extend(is_on.map(|is_on| if is_on { "on" } else { "off" }.to_string()));
    parts.retain(|part| !part.is_empty());
    Some(parts.join(", "))
}

impl App {
    /// What the window shows, in words.
    pub fn spoken(&mut self) -> Spoken {
        let (title, [paragraphs, answer]) = self.viewer().lesson_in_words().unwrap_or_else(|| {
            let model = self.viewer().run.model.as_ref();
            let model = model.map_or(String::new(), |model| words::model_name(&model.name, 60));
            let title = match self.viewer().session.tab {
                Tab::Chains => format!("chains of {model}"),
                Tab::Plots => format!("plots of the chains of {model}"),
                Tab::Train => "training".into(),
                Tab::Lab => "the lab: chains in the plane".into(),
            };
            (title, Default::default())
        });
        let viewer = self.viewer();
        let failure = viewer.session.failure.as_ref().map(|reason| format!("Stopped: {reason}."));
        let messages = viewer.messages();
        let training = viewer.training.record.in_sight();
        let chains = self.chains_in_words();
        let events = messages.iter().cloned().chain(viewer.what_runs(&chains)).collect();
        let line = match (&training, viewer.training.is_running) {
            (Some(training), true) => format!("{training}."),
            _ => viewer.line(&chains),
        };
        let now = failure.iter().chain(&messages).chain(&training).chain(&chains);
        let now = now.map(String::as_str).collect::<Vec<_>>().join(" ");
        let failure = failure.unwrap_or_default();
        Spoken { title, paragraphs, answer, now, failure, events, line }
    }

    /// Where the chains are that are seen, or why there are none.
    fn chains_in_words(&self) -> Vec<String> {
        let viewer = self.viewer();
        if viewer.shows_plane() {
            return lab_in_words(&viewer.lab.record);
        }
        match &viewer.run.why_not {
            _ if viewer.session.tab == Tab::Train => Vec::new(),
            Some(reason) => vec![format!("No model is open: {}.", trimmed(reason))],
            None => self.verdict(),
        }
    }
}

/// A reason without the full stop that the sentence around it has.
fn trimmed(reason: &str) -> &str {
    reason.trim_end_matches('.')
}

/// Where the chains of the lab are, or why there are none.
fn lab_in_words(record: &LabRecord) -> Vec<String> {
    if let Some(reason) = &record.why_not {
        return vec![format!("There is nothing to show: {}.", trimmed(reason))];
    }
    let mut parts = vec![format!("Step {}.", record.step)];
    for (nth, (lane, variation)) in record.lanes.iter().zip(record.total_variations()).enumerate() {
        let told = lane_in_words(lane, variation);
        parts.extend(told.map(|told| format!("Lane {}: {told}", nth + 1)));
    }
    parts
}

/// The measurements of the chains of a lane; `None` before the first.
fn lane_in_words(lane: &LaneRecord, variation: Option<f64>) -> Option<String> {
    let mut told = Vec::new();
    told.extend(lane.energy.last().map(|energy| format!("mean energy {}", number(energy as f32))));
    told.extend(variation.map(|variation| format!("total variation {variation:.2}")));
    let absent = lane.absent();
    let has_problem = absent.as_ref().is_some_and(|absent| absent.1);
    match (lane.why_no_r_hat(), &lane.agreement) {
        (None, Some(Agreement { r_hat: Ok(r_hat), .. })) => told.push(format!("R-hat {r_hat:.3}")),
        (Some(reason), _) if !has_problem => told.push(format!("no R-hat: {reason}")),
        _ => {}
    }
    let told = (!told.is_empty()).then(|| told.join(", ") + ".");
    let texts: Vec<String> = told.into_iter().chain(absent.map(|absent| absent.0)).collect();
    (!texts.is_empty()).then(|| texts.join(" "))
}

impl Viewer {
    /// Whether chains or a training run move by themselves.
    pub fn is_moving(&self) -> bool {
        self.run.is_playing() || self.lab.record.is_running || self.training.is_running
    }

    /// The messages that the window shows.
    fn messages(&self) -> Vec<String> {
        let notices = self.session.notices.iter().map(|notice| &notice.text);
        let lesson = self.lesson.why_not.iter();
        let lesson = lesson.map(|why| format!("The lesson cannot be shown: {}.", trimmed(why)));
        lesson.chain(self.session.warning.iter().chain(notices).cloned()).collect()
    }

    /// Whether a model is being trained, and whether the chains that are seen run; or why there are none, as `chains` says.
    fn what_runs(&self, chains: &[String]) -> Vec<String> {
        let training = &self.training.record;
        let trains = match training.phase {
            Phase::Running => Some("Training runs.".to_string()),
            Phase::Complete(_) => Some("Training is complete.".to_string()),
            _ => training.in_sight().map(|text| format!("{text}.")),
        };
        let (run, lab, is_plane) = (&self.run, &self.lab.record, self.shows_plane());
        let (why_not, is_there, is_running, step) = match is_plane {
            true => (&lab.why_not, lab.surface.is_some(), lab.is_running, lab.step),
            false => (&run.why_not, run.record.is_some(), run.is_playing(), run.shown_step()),
        };
        // Training restarts the model's chains again and again.
        let is_hidden = self.session.tab == Tab::Train || training.phase == Phase::Running;
        let chains = match (why_not, is_there) {
            _ if is_hidden && !is_plane => None,
            (Some(_), _) => chains.first().cloned(),
            (None, true) if is_running => Some("The chains run.".to_string()),
            (None, true) => Some(format!("The chains rest at step {step}.")),
            (None, false) => None,
        };
        trains.into_iter().chain(chains).collect()
    }

    /// The step and the energy of the first lane. `chains` is what is told of all.
    fn line(&self, chains: &[String]) -> String {
        if self.shows_plane() {
            let record = &self.lab.record;
            let energy = record.lanes.first().and_then(|lane| lane.energy.last());
            let energy = energy.map(|energy| format!(", mean energy {}", number(energy as f32)));
            return format!("Step {}{}.", record.step, energy.unwrap_or_default());
        }
        let parts = chains.first().into_iter().flat_map(|lane| lane.split(verdict::SEPARATOR));
        parts.take(2).collect::<Vec<_>>().join(", ")
    }

    /// The title of the open lesson's step, its paragraphs, and those of the answer.
    fn lesson_in_words(&self) -> Option<(String, [Vec<String>; 2])> {
        let lesson = self.lesson.text()?;
        let (number, step) = (self.lesson.number, self.lesson.open_step()?);
        let mut title = format!("lesson {number} of {}, {}", TITLES.len(), lesson.title);
        if !step.title.is_empty() {
            title += &format!(": {}", step.title);
        }
        let text_of = |block: &Block| -> String {
            block.spans.iter().map(|span| span.text.as_str()).collect()
        };
        let lines = |blocks: &[Block]| -> Vec<String> { blocks.iter().map(text_of).collect() };
        Some((title, [lines(&step.blocks), lines(&step.answer)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a voice writes and says.
    struct Heard {
        voice: Voice,
        now: Instant,
        num_written: usize,
        said: Vec<String>,
    }

    impl Heard {
        fn new() -> Self {
            let (num_written, said) = (0, Vec::new());
            Self { voice: Voice::default(), now: Instant::now(), num_written, said }
        }

        /// Lets time pass, with a frame every tenth of a second, in each of which the numbers change.
        fn pass(&mut self, secs: u64, is_moving: bool, events: &[&str]) {
            for frame in 0..10 * secs {
                let spoken = Spoken {
                    now: format!("{frame} of {secs}"),
                    events: events.iter().map(ToString::to_string).collect(),
                    line: "Step 7".into(),
                    ..Spoken::default()
                };
                let ctx = egui::Context::default();
                if let Some((_, news)) = self.voice.follow(spoken, is_moving, self.now, &ctx) {
                    self.num_written += 1;
                    self.said.extend((!news.is_empty()).then_some(news));
                }
                self.now += Duration::from_millis(100);
            }
        }
    }

    #[test]
    fn the_numbers_of_chains_that_run_are_written_and_rarely_said() {
        let mut heard = Heard::new();
        heard.pass(100, true, &["The chains run."]);
        assert_eq!(heard.said, ["The chains run.", "Step 7", "Step 7", "Step 7"]);
        assert!((20..=26).contains(&heard.num_written), "{}", heard.num_written);
        heard.pass(100, false, &["The chains rest at step 9."]);
        assert_eq!(heard.said[4..], ["The chains rest at step 9."]);
    }

    #[test]
    fn what_is_new_is_said_once_and_again_when_it_comes_again() {
        let mut heard = Heard::new();
        let rest = "The chains rest at step 9.";
        heard.pass(2, false, &[rest]);
        heard.pass(2, false, &["Link copied.", rest]);
        heard.pass(2, false, &["Link copied.", "Link copied.", rest]);
        heard.pass(2, false, &[rest]);
        heard.pass(2, false, &["Link copied.", rest]);
        assert_eq!(heard.said, [rest, "Link copied.", "Link copied.", "Link copied."]);
    }

    #[test]
    fn a_single_step_says_only_where_it_led() {
        let mut heard = Heard::new();
        heard.pass(2, false, &["The chains rest at step 9."]);
        for event in ["The chains run.", "The chains rest at step 10."] {
            let spoken = Spoken { events: vec![event.into()], ..Spoken::default() };
            let ctx = egui::Context::default();
            let told = heard.voice.follow(spoken, true, heard.now, &ctx);
            assert!(told.is_none_or(|(_, news)| news.is_empty()));
            heard.now += Duration::from_millis(50);
        }
        heard.pass(2, false, &["The chains rest at step 10."]);
        assert_eq!(heard.said, ["The chains rest at step 9.", "The chains rest at step 10."]);
    }
}
