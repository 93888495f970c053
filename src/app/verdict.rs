//! The verdict under the chains: in plain words, how far they are and what that means.

use std::sync::{Arc, Weak};

use egui::{Align, Button, Color32, Label, Layout, TextStyle, Ui, text::LayoutJob};

use super::{
    contrast, controls::format_number, grid::shows_own_class, size_class, state::RunState, theme,
    words::rounded,
};
use crate::{config::LaneConfig, worker::LaneNumbers};

/// The number of steps that the button at the end adds.
const MORE: u64 = 100;
/// Fewer steps than this are too few to call the energy flat.
const LEAST_FLAT: u64 = 10;
/// In less width, the text needs the space of the second button. The Plots tab leads to the same place.
const BOTH_BUTTONS: f32 = 440.0;
/// Why fewer chains than at their start may show the class of their row.
const MAY_CHANGE: &str = "These chains follow p(x), which holds all classes. So a chain may turn into another class. To keep it \
                          in its row's class, steer it towards that class.";
/// What is between the parts of a verdict.
const SEPARATOR: &str = " · ";
/// The text of the second button.
const CONVERGES: &str = "Does it converge?";
/// The space between two rows of text.
const ROW_GAP: f32 = 1.0;
/// The most rows of a lane.
const MAX_ROWS: usize = 2;
/// The energy is flat while its median stays within this fraction of all that it has moved.
const FLAT_SHARE: f32 = 0.03;

/// The median energies of the run so far, so that each step is evaluated only once.
#[derive(Default)]
pub(super) struct Verdict {
    medians: Vec<Medians>,
}

/// The median energies at one step.
struct Medians {
    step: u64,
    /// The entry of the record that they were computed from.
    of: Weak<Vec<LaneNumbers>>,
    /// One median for each lane.
    lanes: Vec<f32>,
}

/// What a person asks with a button of the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether the chains converge, which the plots show.
    DoesItConverge,
}

impl Verdict {
    /// The verdict on each lane at the shown step.
    pub(super) fn lines(&mut self, run: &RunState) -> Vec<String> {
        self.follow(run);
        let Some((step, lanes)) = run.shown_numbers() else {
            return vec!["The chains are being prepared…".into()];
        };
        let labels = run.record.as_ref().map_or(&[][..], |record| &record.request.labels);
        let of_lane = |(lane, numbers): (usize, &LaneNumbers)| {
            let medians: Vec<(u64, f32)> = self
                .medians
                .iter()
                .filter(|medians| medians.step <= *step)
                .filter_map(|medians| Some((medians.step, *medians.lanes.get(lane)?)))
                .collect();
            let mut parts = vec![beginning(lane, lanes.len(), *step), energy_text(&medians)];
            parts.extend(class_text(run, numbers, labels));
            let num_values = run.model.as_ref().map_or(1, |model| model.shape.iter().product());
            let moved = Moved { by: numbers, num_values };
            parts.extend(run.lanes.get(lane).map(|lane| rule_text(lane, Some(&moved))));
            parts.join(SEPARATOR)
        };
        lanes.iter().enumerate().map(of_lane).collect()
    }

    /// Draws the verdict and its two buttons. In a small window, these are drawn by [`questions`].
    pub(super) fn ui(&mut self, ui: &mut Ui, run: &mut RunState) -> Option<Question> {
        let lines = self.lines(run);
        if size_class::is_small(ui.ctx()) {
            text(ui, run, &lines);
            return None;
        }
        let is_wide = ui.available_width() >= BOTH_BUTTONS;
        let mut question = None;
        ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                question = if is_wide { converges(ui) } else { None };
                more(ui, run);
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| text(ui, run, &lines));
            });
        });
        question
    }

    /// The height of the verdict on a run, at any step, so that nothing above it moves.
    pub(super) fn height(ui: &Ui, run: &RunState) -> f32 {
        let width = ui.available_width() - buttons_width(ui);
        let num_rows: usize = match run.lanes.len() {
            0 => 1,
            num_lanes => (0..num_lanes).map(|lane| num_rows(ui, &longest(run, lane), width)).sum(),
        };
        let row = ui.text_style_height(&TextStyle::Body) + ROW_GAP;
        (row * num_rows as f32 + 6.0).max(ui.spacing().interact_size.y + 4.0)
    }

    /// Adds the medians of new steps, and removes those of steps that the record lost to a branch or another run.
    fn follow(&mut self, run: &RunState) {
        let Some(record) = &run.record else { return self.medians.clear() };
        while self.medians.last().is_some_and(|last| !record.still_has(last.step, &last.of)) {
            self.medians.pop();
        }
        let known = self.medians.last().map(|last| last.step);
        let entries = record.numbers.entries();
        let first = entries.partition_point(|(step, _)| known.is_some_and(|known| *step <= known));
        for (step, numbers) in &entries[first..] {
            let lanes = numbers.iter().map(|lane| median(&lane.energy)).collect();
            self.medians.push(Medians { step: *step, of: Arc::downgrade(numbers), lanes });
        }
        // The record thins out its older steps, and so do the medians.
        if self.medians.len() > 2 * entries.len() + 64 {
            let kept = |step: &u64| entries.binary_search_by_key(step, |entry| entry.0).is_ok();
            self.medians.retain(|medians| kept(&medians.step));
        }
    }
}

/// Draws the two buttons of the verdict in a row of their own.
pub(super) fn questions(ui: &mut Ui, run: &mut RunState) -> Option<Question> {
    let row = ui.horizontal(|ui| {
        more(ui, run);
        converges(ui)
    });
    row.inner
}

/// Draws the button that adds steps once the run is over.
fn more(ui: &mut Ui, run: &mut RunState) {
    let is_over = !run.is_playing() && run.last_step() >= run.settings.num_steps as u64;
    let more = Button::new(format!("{MORE} more"));
    let more = ui.add_enabled(is_over && run.looking_at.is_none(), more);
    let more = more.on_hover_text(format!("Run {MORE} more steps."));
    if more.on_disabled_hover_text("The run is not over yet.").clicked() {
        run.play_on(MORE);
    }
}

/// Draws the button that leads to the plots of convergence.
fn converges(ui: &mut Ui) -> Option<Question> {
    let hover = "The plots: R-hat, effective sample size, and what they leave out.";
    ui.button(CONVERGES).on_hover_text(hover).clicked().then_some(Question::DoesItConverge)
}

/// The width of the buttons, with the gaps around them.
fn buttons_width(ui: &Ui) -> f32 {
    let font = TextStyle::Button.resolve(ui.style());
    let padding = 2.0 * ui.spacing().button_padding.x + ui.spacing().item_spacing.x;
    let is_wide = ui.available_width() >= BOTH_BUTTONS;
    let texts = [Some(format!("{MORE} more")), is_wide.then(|| CONVERGES.to_string())];
    let width = |text: String| {
        ui.painter().layout_no_wrap(text, font.clone(), Color32::WHITE).size().x + padding
    };
    // The margin of the panel is on both sides.
    texts.into_iter().flatten().map(width).sum::<f32>() + 2.0 * ui.spacing().item_spacing.x + 8.0
}

/// The number of rows that a line takes in this width.
fn num_rows(ui: &Ui, line: &str, width: f32) -> usize {
    let font = TextStyle::Body.resolve(ui.style());
    let size = ui.painter().layout_no_wrap(line.to_string(), font, Color32::WHITE).size();
    if size.x < width { 1 } else { MAX_ROWS }
}

/// The longest verdict that a lane usually gets.
fn longest(run: &RunState, lane: usize) -> String {
    let num_steps = (run.settings.num_steps as u64).max(run.last_step());
    let count = run.record.as_ref().map_or(100, |record| record.request.labels.len());
    let parts = [
        beginning(lane, run.lanes.len(), num_steps),
        format!("median energy −10.0 to −10.0, flat for {num_steps} steps"),
        agreement(run, count, count),
        run.lanes.get(lane).map(|lane| rule_text(lane, None)).unwrap_or_default(),
    ];
    parts.join(SEPARATOR)
}

/// The step of a lane in words.
fn beginning(lane: usize, num_lanes: usize, step: u64) -> String {
    match num_lanes {
        1 => format!("Step {step}"),
        _ => format!("Lane {}, step {step}", lane + 1),
    }
}

/// Draws each line in at most two rows.
fn text(ui: &mut Ui, run: &RunState, lines: &[String]) {
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = ROW_GAP;
        for (lane, line) in lines.iter().enumerate() {
            let color = match lines.len() {
                1 => ui.visuals().strong_text_color(),
                _ => contrast::readable(ui, theme::LANES[lane % theme::LANES.len()]),
            };
            let font = TextStyle::Body.resolve(ui.style());
            let mut job = LayoutJob::simple(line.clone(), font, color, ui.available_width());
            job.wrap.max_rows = MAX_ROWS;
            let is_steered = run.lanes.get(lane).is_none_or(|lane| lane.is_conditional);
            let hover = if is_steered { line.clone() } else { format!("{line}\n\n{MAY_CHANGE}") };
            ui.add(Label::new(job)).on_hover_text(hover);
        }
    });
}

/// The median of the finite values; NaN if there is none.
fn median(values: &[f32]) -> f32 {
    let mut finite: Vec<f32> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let middle = finite.len() / 2;
    match finite.is_empty() {
        true => f32::NAN,
        false => *finite.select_nth_unstable_by(middle, f32::total_cmp).1,
    }
}

/// What the median energy did: where it began, where it is, and for how long it has been flat.
fn energy_text(medians: &[(u64, f32)]) -> String {
    let (Some(&(_, first)), Some(&(last_step, last))) = (medians.first(), medians.last()) else {
        return "no energy yet".into();
    };
    if !last.is_finite() {
        return "no energy is a finite number".into();
    }
    if medians.len() < 2 {
        return format!("median energy {}", short(last));
    }
    let text = format!("median energy {} to {}", short(first), short(last));
    let finite = || medians.iter().map(|point| point.1).filter(|value| value.is_finite());
    let moved = finite().fold(f32::MIN, f32::max) - finite().fold(f32::MAX, f32::min);
    let near = |value: f32| (value - last).abs() <= FLAT_SHARE * moved;
    let flat_since = medians.iter().rev().take_while(|point| near(point.1)).last();
    match flat_since.map_or(0, |point| last_step - point.0) {
        length if length >= LEAST_FLAT => format!("{text}, flat for {length} steps"),
        _ if last_step < LEAST_FLAT => text,
        _ if last < first => format!("{text}, still moving"),
        _ => text,
    }
}

/// A number with one decimal, or one digit if it is small. The minus sign is the mathematical one.
fn short(value: f32) -> String {
    let text = match value.abs() {
        size if size >= 1e5 => format!("{value:.1e}"),
        size if size == 0.0 || size >= 0.095 => format!("{value:.1}"),
        size if size >= 9.5e-7 => {
            // Where its first digit is, after rounding.
            let decimals = (-(size * 1.05).log10()).ceil().max(2.0) as usize;
            format!("{value:.decimals$}")
        }
        _ => format!("{value:.0e}"),
    };
    text.replace('-', "−")
}

/// How many chains show the class of their row, and how many exploded.
fn class_text(run: &RunState, numbers: &LaneNumbers, labels: &[u32]) -> Vec<String> {
    let count = numbers.energy.len();
    let num_broken = (0..count).filter(|&chain| numbers.is_broken(chain)).count();
    let mut parts = Vec::new();
    if num_broken > 0 {
        parts.push(format!("⚠ {num_broken} of {count} exploded"));
    }
    if num_broken < count {
        let num_own = (0..count).filter(|&chain| shows_own_class(numbers, labels, chain)).count();
        parts.push(agreement(run, num_own, count));
    }
    parts
}

/// How many chains show the class of their row, in words.
fn agreement(run: &RunState, num_own: usize, count: usize) -> String {
    let what = match run.model.as_ref().is_some_and(|model| model.is_planar()) {
        true => "are in their own class",
        false => "show their row's class",
    };
    format!("{num_own} of {count} {what}")
}

/// What moves the chains of a lane at one step.
struct Moved<'a> {
    by: &'a LaneNumbers,
    /// The number of values of an input, that all get noise.
    num_values: usize,
}

/// Whether a rule samples or only descends. A step of Langevin's dynamics samples if the noise in it is longer than the move along
/// the gradient: with longer moves, chains slide into a valley and stay there. Without steps, the longest text.
fn rule_text(lane: &LaneConfig, moved: Option<&Moved>) -> String {
    let sampler = &lane.sampler;
    let (sigma, step_size) = (sampler.noise_std, sampler.whole_step_size());
    if sigma <= 0.0 {
        return "descent, not sampling: σ = 0".into();
    }
    let clips = moved.is_some_and(|moved| median(&moved.by.clamp_rate) > 0.0);
    if sampler.inverse_temperature().is_none() || clips {
        return format!("descent with some noise, σ = {}", rounded(sigma));
    }
    let samples = moved.is_some_and(|moved| {
        let along_gradient = step_size * f64::from(median(&moved.by.gradient_norm));
        along_gradient < sigma * (moved.num_values as f64).sqrt()
    });
    let what = if samples { "sampling" } else { "mostly descent" };
    let temperature = format_number(sigma * sigma / (2.0 * step_size));
    format!("{what}, noise σ = {}: temperature {temperature}", rounded(sigma))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::state::Requests,
        config::{SamplerKind, ViewState},
        worker::{LaneImages, LaneStep, RunRequest, Step},
    };

    #[test]
    fn after_a_branch_no_median_of_a_lost_step_is_left() {
        let step = |step: u64, energy: f32| {
            let numbers = LaneNumbers { energy: vec![energy], ..LaneNumbers::default() };
            let x = vec![0.0f32].into();
            let images = LaneImages { x, gradient: vec![], proximal_radius: None };
            Step { step, lanes: vec![LaneStep { images, numbers }] }
        };
        let (sender, _receiver) = std::sync::mpsc::channel();
        let mut run = RunState::new(&ViewState::default(), Requests::new(sender));
        let lanes = vec![LaneConfig::default()];
        run.started(RunRequest { seed: 0, labels: vec![0], lanes, image: None }, false);
        for at in 0..20 {
            run.stepped(step(at, 10.0));
        }
        let mut verdict = Verdict::default();
        verdict.follow(&run);
        run.look_at(5);
        run.branch();
        // A frame is drawn before the worker has answered.
        verdict.follow(&run);
        for at in 5..8 {
            run.stepped(step(at, 50.0));
        }
        verdict.follow(&run);
        let found: Vec<(u64, f32)> =
            verdict.medians.iter().map(|medians| (medians.step, medians.lanes[0])).collect();
        let before = (0..5).map(|at| (at, 10.0));
        assert_eq!(found, before.chain((5..8).map(|at| (at, 50.0))).collect::<Vec<_>>());
    }

    #[test]
    fn the_energy_is_flat_once_its_median_rests() {
        let curve = |values: &[f32]| -> Vec<(u64, f32)> {
            values.iter().enumerate().map(|(step, &value)| (step as u64, value)).collect()
        };
        let mut values: Vec<f32> = (0..20).map(|step| 3.1 - 0.165 * step as f32).collect();
        assert_eq!(energy_text(&curve(&values)), "median energy 3.1 to −0.04, still moving");
        values.extend([-0.2; 31]);
        assert_eq!(energy_text(&curve(&values)), "median energy 3.1 to −0.2, flat for 30 steps");
        assert_eq!(energy_text(&curve(&[2.0])), "median energy 2.0");
        assert_eq!(energy_text(&curve(&[2.0, f32::NAN])), "no energy is a finite number");
        assert_eq!(median(&[3.0, f32::NAN, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn a_rule_samples_if_its_noise_is_longer_than_its_descent() {
        let mut lane = LaneConfig::default();
        let said = |lane: &LaneConfig, gradient_norm: f32, clamp_rate: f32| {
            let mut numbers = LaneNumbers::default();
            (numbers.gradient_norm, numbers.clamp_rate) = (vec![gradient_norm], vec![clamp_rate]);
            rule_text(lane, Some(&Moved { by: &numbers, num_values: 784 }))
        };
        lane.sampler.noise_std = 0.0;
        assert_eq!(said(&lane, 1.0, 0.0), "descent, not sampling: σ = 0");
        lane.sampler.kind = SamplerKind::Sgld;
        (lane.sampler.noise_std, lane.sampler.step_size) = (2.0, 2.0);
        assert_eq!(said(&lane, 5.0, 0.0), "sampling, noise σ = 2: temperature 1");
        // JEM's published setting.
        (lane.sampler.noise_std, lane.sampler.step_size) = (0.01, 1.0);
        let jem = "mostly descent, noise σ = 0.01: temperature 0.00005";
        assert_eq!(said(&lane, 0.5, 0.0), jem);
        // A low temperature with steps that fit it.
        (lane.sampler.noise_std, lane.sampler.step_size) = (0.05, 0.25);
        assert_eq!(said(&lane, 1.0, 0.0), "sampling, noise σ = 0.05: temperature 0.005");
        assert_eq!(said(&lane, 6.0, 0.0), "mostly descent, noise σ = 0.05: temperature 0.005");
        assert_eq!(said(&lane, 1.0, 0.1), "descent with some noise, σ = 0.05");
        // A step of PYLD is as long as its inner steps together.
        lane.sampler.kind = SamplerKind::Pyld;
        (lane.sampler.num_inner_steps, lane.sampler.inner_step_size) = (5, 0.05);
        assert_eq!(said(&lane, 1.0, 0.0), "sampling, noise σ = 0.05: temperature 0.005");
        lane.sampler.kind = SamplerKind::NormalizedGradient;
        assert_eq!(said(&lane, 1.0, 0.0), "descent with some noise, σ = 0.05");
    }

    #[test]
    fn a_small_number_keeps_a_digit() {
        let shown = [0.0, 0.096, 0.094, -0.04, 0.0096, 0.0094, 1e-5, 9.6e-7, 3e-9].map(short);
        assert_eq!(
            shown,
            ["0.0", "0.1", "0.09", "−0.04", "0.01", "0.009", "0.00001", "0.000001", "3e−9"]
        );
    }
}
