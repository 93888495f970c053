//! The verdict under the chains: in plain words, how far they are and what that means.

use egui::{Align, Button, Color32, Label, Layout, TextStyle, Ui, text::LayoutJob};

use super::{
    contrast, controls::format_number, grid::shows_own_class, size_class, state::RunState, theme,
    words::rounded,
};
use crate::{
    config::{LaneConfig, StepSchedule},
    worker::LaneNumbers,
};

/// The number of steps that the button at the end adds.
const MORE: u64 = 100;
/// The number of last steps that are judged. Early in a run, they are the later half of its steps.
const LATELY: u64 = 50;
/// Fewer steps than this are too few to judge.
const LEAST_LATELY: u64 = 5;
/// In less width, the text needs the space of the second button. The Plots tab leads to the same place.
const BOTH_BUTTONS: f32 = 440.0;
/// Why fewer chains than at their start may show the class of their row.
const MAY_CHANGE: &str = "These chains use the energy of all classes together. So a chain may end in another class than its row's. To \
                          keep it in its row's class, steer it towards that class.";
/// What is between the parts of a verdict.
pub(super) const SEPARATOR: &str = " · ";
/// The text of the second button.
const CONVERGES: &str = "Does it converge?";
/// The space between two rows of text.
const ROW_GAP: f32 = 1.0;
/// The most rows of a lane.
const MAX_ROWS: usize = 2;
/// A change is negligible below this, in nats, or below this fraction of the median distance of the chains from their median.
const NEGLIGIBLE: f32 = 0.001;
const NEGLIGIBLE_SHARE: f32 = 0.01;
/// More than this number of median distances is no chance.
const MOST_BY_CHANCE: f32 = 2.0;
/// What the last steps did if the step size fell in them.
const SLOWED: &str = "slowed by the α schedule";

/// What a person asks with a button of the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether the chains converge, which the plots show.
    DoesItConverge,
}

/// The verdict on each lane at the shown step.
pub(super) fn lines(run: &RunState) -> Vec<String> {
    let Some((record, (step, lanes))) = run.record.as_ref().zip(run.shown_numbers()) else {
        return vec!["The chains are being prepared…".into()];
    };
    let energies = |step: u64, lane: usize| {
        let numbers = record.numbers.at(step).and_then(|(_, lanes)| lanes.get(lane));
        numbers.map_or(&[][..], |numbers| &numbers.energy[..])
    };
    let since = step - LATELY.min(*step / 2);
    let since = record.numbers.at(since).map_or(*step, |entry| entry.0);
    let rules = run.lanes_to_run();
    let of_lane = |(lane, numbers): (usize, &LaneNumbers)| {
        let rule = rules.get(lane);
        let course = Course {
            first: energies(0, lane),
            before: energies(since, lane),
            now: &numbers.energy,
            since,
            step: *step,
        };
        let mut parts = vec![beginning(lane, lanes.len(), *step), energy_text(&course, rule)];
        parts.extend(class_text(run, numbers, &record.request.labels));
        let num_values = run.model.as_ref().map_or(1, |model| model.shape.iter().product());
        let moved = Moved { by: numbers, num_values };
        parts.extend(rule.map(|rule| rule_text(rule, Some(&moved))));
        parts.join(SEPARATOR)
    };
    lanes.iter().enumerate().map(of_lane).collect()
}

/// Draws the verdict and its two buttons. In a small window, these are drawn by [`questions`].
pub(super) fn ui(ui: &mut Ui, run: &mut RunState) -> Option<Question> {
    let lines = lines(run);
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
        format!("median energy −10.0 to −10.0, −0.01 in {LATELY} steps"),
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

/// The energies of the chains of a lane at its start, some steps ago and now.
struct Course<'a> {
    first: &'a [f32],
    before: &'a [f32],
    now: &'a [f32],
    /// The step of `before`.
    since: u64,
    /// The step of `now`.
    step: u64,
}

/// What the median energy did: where it began, where it is, and how it changed lately.
fn energy_text(course: &Course, rule: Option<&LaneConfig>) -> String {
    let [first, before, now] = [course.first, course.before, course.now].map(median);
    if course.now.is_empty() {
        return "no energy yet".into();
    }
    if !now.is_finite() {
        return "no energy is a finite number".into();
    }
    if course.step == 0 {
        return format!("median energy {}", short(now));
    }
    let text = format!("median energy {} to {}", short(first), short(now));
    let length = course.step - course.since;
    if length < LEAST_LATELY || !before.is_finite() {
        return text;
    }
    if rule.is_some_and(|rule| is_slowed(rule, course)) {
        return format!("{text}, {SLOWED}");
    }
    match is_flat(course) {
        true => format!("{text}, flat for {length} steps"),
        false => format!("{text}, {} in {length} steps", signed(now - before)),
    }
}

/// Whether the last steps were slow because the step size fell: they reach into the last third of its schedule.
fn is_slowed(rule: &LaneConfig, course: &Course) -> bool {
    let (sampler, end) = (&rule.sampler, rule.sampler.num_steps as u64);
    let falls = sampler.step_schedule != StepSchedule::Constant && sampler.final_step_factor < 0.5;
    falls && 3 * course.step >= 2 * end && course.since + 1 < end
}

/// Whether the energies stayed where they were: their median did not change, or about as many chains rose as fell. Of
/// chains that are at rest, the difference is within three standard deviations. If all moved the same way, it is no chance.
fn is_flat(course: &Course) -> bool {
    let (before, now) = (median(course.before), median(course.now));
    let apart: Vec<f32> = course.now.iter().map(|energy| (energy - now).abs()).collect();
    let (spread, change) = (median(&apart), (now - before).abs());
    if change <= NEGLIGIBLE.max(NEGLIGIBLE_SHARE * spread) {
        return true;
    }
    let moves = course.before.iter().zip(course.now).map(|(before, now)| now - before);
    let moves: Vec<f32> = moves.filter(|change| change.is_finite()).collect();
    let num_up = moves.iter().filter(|&&change| change > 0.0).count();
    let num_down = moves.iter().filter(|&&change| change < 0.0).count();
    let count = (num_up + num_down) as f64;
    // Of a few chains, most may go the same way by chance; then the size of the change tells.
    let is_even = num_up.abs_diff(num_down) as f64 <= (3.0 * count.sqrt()).min(count - 1.0);
    is_even && change <= MOST_BY_CHANCE * spread
}

/// A change with its sign.
fn signed(change: f32) -> String {
    let sign = if change > 0.0 { "+" } else { "" };
    format!("{sign}{}", short(change))
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
    let temperature = format_number(sigma * sigma / (2.0 * step_size));
    if !samples {
        return format!("mostly descent, noise σ = {}: temperature {temperature}", rounded(sigma));
    }
    let density = if lane.is_conditional { "p(x|y)" } else { "p(x)" };
    let power = match format_number(2.0 * step_size / (sigma * sigma)).as_str() {
        "1" => String::new(),
        beta => format!("^{beta}"),
    };
    format!("sampling {density}{power} (temperature {temperature})")
}

#[cfg(test)]
mod tests;
