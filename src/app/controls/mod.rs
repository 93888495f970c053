//! The controls of every lane, each with its unit, range, default and explanation.

mod target;

use egui::{ComboBox, RichText, Slider, SliderClamping, Ui};

use super::{
    compare::COMPARISONS,
    contrast,
    fit::fit,
    pixels::SMALL,
    state::{IDENTICAL, RunState},
    theme,
    words::rounded,
};
use crate::{
    config::{
        Field, LaneConfig, MAX_LANES, Norm, SamplerConfig, SamplerKind, StepSchedule, Tab,
        ViewStart,
    },
    worker::ModelInfo,
};
pub(super) use target::RuleTarget;

/// Draws the controls panel.
pub(super) fn ui(ui: &mut Ui, run: &mut RunState, tab: &mut Tab) {
    let Some(model) = run.model.clone() else {
        ui.add_space(8.0);
        ui.weak("The controls appear once the model is loaded.");
        return;
    };
    egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        hover_names(ui);
        ui.add_space(4.0);
        compare(ui, run, tab, &model, true);
        lanes(ui, run, &model);
        ui.add_space(8.0);
    });
}

/// Lets the names of sliders show the explanation too. A name whose text can be selected takes the mouse for itself.
pub(super) fn hover_names(ui: &mut Ui) {
    ui.style_mut().interaction.selectable_labels = false;
}

/// Draws the rules of all lanes, and the buttons that add and remove lanes.
pub(super) fn lanes(ui: &mut Ui, run: &mut RunState, model: &ModelInfo) {
    let num_lanes = run.lanes.len();
    for index in 0..num_lanes {
        let mut lane = run.lanes[index].clone();
        let mut is_kept = true;
        if num_lanes == 1 {
            ui.separator();
            rule(ui, &mut lane, &RuleTarget::Model(model, run.start_image.is_some()), index);
        } else {
            let kind = kind_name(lane.sampler.kind);
            // Visible even if the lane is collapsed.
            let beta = beta(&lane).map_or_else(String::new, |beta| format!(", β = {beta}"));
            let title = format!("Lane {}: {kind}{beta}", index + 1);
            let color = contrast::readable(ui, theme::LANES[index % theme::LANES.len()]);
            let title = RichText::new(title).color(color).strong();
            egui::CollapsingHeader::new(title).id_salt(("lane", index)).default_open(true).show(
                ui,
                |ui| {
                    rule(
                        ui,
                        &mut lane,
                        &RuleTarget::Model(model, run.start_image.is_some()),
                        index,
                    );
                    is_kept = !ui.button(format!("Remove lane {}", index + 1)).clicked();
                },
            );
        }
        run.set_lane(index, lane);
        if !is_kept {
            run.remove_lane(index);
            break;
        }
    }
    ui.separator();
    ui.horizontal_wrapped(|ui| {
        let add = ui
            .add_enabled(num_lanes < MAX_LANES, egui::Button::new("Compare with another sampler"));
        let hover = "Run another sampler beside these, with the same starts and the same noise.";
        if add.on_hover_text(hover).clicked() {
            run.add_lane();
        }
        let reset = ui.button("Reset to the model's sampler");
        let hover = "One lane, with the sampler that the model was trained with.";
        if reset.on_hover_text(hover).clicked() {
            run.lanes = vec![model.lane()];
            run.settings.num_steps = 100;
            run.comparison = None;
            run.restart();
        }
    });
}

/// Draws the buttons of the comparisons that open with one click.
pub(super) fn compare(
    ui: &mut Ui,
    run: &mut RunState,
    tab: &mut Tab,
    model: &ModelInfo,
    is_open: bool,
) {
    egui::CollapsingHeader::new("Compare").default_open(is_open).show(ui, |ui| {
        for comparison in COMPARISONS {
            let button = egui::Button::new(comparison.name).wrap();
            let button = ui.add_enabled(!model.is_planar(), button);
            let button = button
                .on_hover_text(comparison.point)
                .on_disabled_hover_text("For images only; this model has points in the plane.");
            if button.clicked() {
                *tab = Tab::Chains;
                run.compare(comparison.point, comparison.lanes(model), comparison.num_steps);
            }
        }
    });
}

/// The usual name of a sampling rule.
pub(super) fn kind_name(kind: SamplerKind) -> &'static str {
    match kind {
        SamplerKind::Sgld => "SGLD",
        SamplerKind::ProximalSgld => "Proximal SGLD",
        SamplerKind::Pyld => "PYLD (JEM++)",
        SamplerKind::NormalizedGradient => "Normalised gradient",
        SamplerKind::Mala => "MALA",
    }
}

fn norm_name(norm: Norm) -> &'static str {
    match norm {
        Norm::None => "None",
        Norm::Batch => "Batch statistics",
        Norm::Frozen => "Frozen statistics",
        Norm::Group => "Group norm",
    }
}

fn schedule_name(schedule: StepSchedule) -> &'static str {
    match schedule {
        StepSchedule::Constant => "Constant",
        StepSchedule::Linear => "Linear decay",
        StepSchedule::Cosine => "Cosine decay",
    }
}

/// A drop-down list whose entries have tooltips.
fn choose<T: Copy + PartialEq>(
    ui: &mut Ui,
    label: &str,
    id: (&str, usize),
    value: &mut T,
    choices: &[(T, &str)],
    name: fn(T) -> &'static str,
    why_not: impl Fn(T) -> Option<&'static str>,
) {
    ui.horizontal(|ui| {
        ComboBox::new(id, label).selected_text(name(*value)).show_ui(ui, |ui| {
            for &(choice, help) in choices {
                let reason = why_not(choice);
                ui.add_enabled_ui(reason.is_none(), |ui| {
                    ui.selectable_value(value, choice, name(choice))
                        .on_hover_text(help.trim())
                        .on_disabled_hover_text(reason.unwrap_or_default());
                });
            }
        });
    });
}

/// A logarithmic slider for one number of the configuration.
pub(super) fn slider<'a>(value: &'a mut f64, field: &Field) -> Slider<'a> {
    let (from, to) = field.slider.or(field.range).unwrap_or((0.0, 1.0));
    Slider::new(value, from..=to)
        .logarithmic(true)
        .smallest_positive(1e-5)
        .clamping(SliderClamping::Never)
        .custom_formatter(|value, _| format_number(value))
}

/// A logarithmic slider with a name and an explanation. It keeps the value within the allowed range.
fn number(
    ui: &mut Ui,
    value: &mut f64,
    label: &str,
    field: &Field,
    default: impl std::fmt::Display,
    teaches: &str,
) {
    ui.add(slider(value, field).text(label)).on_hover_text(hover(field, default, teaches));
    if let Some((low, high)) = field.range {
        *value = fit(*value, low, high);
    }
}

/// Draws the slider of a whole number; a number beyond it can be typed.
pub(super) fn whole_number(
    ui: &mut Ui,
    value: &mut usize,
    label: &str,
    field: &Field,
) -> egui::Response {
    let (low, high) = field.range.unwrap_or((1.0, 50.0));
    let (from, to) = field.slider.unwrap_or((low, high));
    let slider = Slider::new(value, from as usize..=to as usize).logarithmic(true);
    let response = ui.add(slider.clamping(SliderClamping::Never).text(label));
    *value = fit(*value, low as usize, high as usize);
    response
}

fn hover(field: &Field, default: impl std::fmt::Display, teaches: &str) -> String {
    let (low, high) = field.range.unwrap_or((0.0, f64::INFINITY));
    format!(
        "{teaches}\n\n{}\n\n{default}. Allowed: {low} to {high}. To go beyond the slider, type a number.",
        field.help.trim()
    )
}

/// Draws the controls of one rule.
pub(super) fn rule(ui: &mut Ui, lane: &mut LaneConfig, target: &RuleTarget<'_>, index: usize) {
    ui.spacing_mut().slider_width = fit(ui.available_width() - 196.0, 30.0, 240.0);
    let default = target.default_rule();
    let before = lane.sampler.kind;
    let of = |name| target.field(name);
    choose(
        ui,
        "sampler",
        ("sampler", index),
        &mut lane.sampler.kind,
        SamplerKind::ALL,
        kind_name,
        |_| None,
    );
    let kind = lane.sampler.kind;
    if kind == SamplerKind::Mala && (before != kind || lane.sampler.noise_std == 0.0) {
        // MALA's acceptance test needs noisy proposals. With temperature 1, its target density is p(x).
        // An image has hundreds of directions, so its proposals must be short to be accepted.
        let most = target.max_mala_step();
        lane.sampler.step_size = fit(lane.sampler.step_size, 1e-6, most);
        lane.sampler.noise_std = (2.0 * lane.sampler.step_size).sqrt().min(10.0);
        if lane.norm == Norm::Batch {
            lane.norm = Norm::Frozen;
        }
    }
    if kind == SamplerKind::Mala {
        lane.sampler.step_schedule = StepSchedule::Constant;
    }
    let sampler = &mut lane.sampler;
    let defaults = &default.sampler;
    let own =
        |value: f64| format!("{}: {value}", target.says("The model's value", "The lab's default"));
    if kind == SamplerKind::Pyld {
        number(
            ui,
            &mut sampler.inner_step_size,
            "inner step α",
            &of("inner_step_size"),
            own(defaults.inner_step_size),
            "How far one inner step goes down the energy. N of them share one full gradient.",
        );
        let field = &of("num_inner_steps");
        let slider = whole_number(ui, &mut sampler.num_inner_steps, "inner steps N", field);
        slider.on_hover_text(hover(
            field,
            own(defaults.num_inner_steps as f64),
            "A full gradient passes through all layers, which takes the time; an inner step passes through the \
             first layer only.",
        ));
    } else {
        number(
            ui,
            &mut sampler.step_size,
            "step size α",
            &of("step_size"),
            own(defaults.step_size),
            target.says(
                "How far a step goes down the energy. Too small: nothing happens. Too large: the chain jumps \
                 over the valley. Try 5 with SGLD, then with Proximal SGLD.",
                "How far a step goes down the energy. Too small: nothing happens. Too large: the chain jumps \
                 over the valley.",
            ),
        );
    }
    if matches!(target, RuleTarget::Model(..)) {
        schedule(ui, sampler, target, index);
    }
    number(
        ui,
        &mut sampler.noise_std,
        "noise σ",
        &Field { help: noise_formula(kind), ..of("noise_std") },
        own(defaults.noise_std),
        target.says(
            "Size of the random push in each step. With none, a chain slides into the nearest valley. With more, \
             it can leave the valley. At temperature 1, images mostly turn into noise: a noise image is usually \
             less likely than a real one, but there are vastly more of them.",
            "Size of the random push in each step. With none, a chain slides into the nearest valley. With more, \
             it can leave the valley.",
        ),
    );
    if matches!(kind, SamplerKind::ProximalSgld | SamplerKind::Pyld) {
        number(
            ui,
            &mut sampler.proximal_radius,
            "proximal radius r",
            &of("proximal_radius"),
            own(defaults.proximal_radius),
            target.says(
                "Every gradient component is clipped to ±r, so one steep pixel cannot throw the chain off. The \
                 overlay Clipped shows where.",
                "Every gradient component is clipped to ±r, so one steep place cannot throw the chain off. The \
                 arrows show where.",
            ),
        );
    }
    temperature(ui, lane);
    let name = target.start_name();
    choose(ui, "start", ("start", index), &mut lane.start, ViewStart::ALL, name, |start| {
        target.why_not(start)
    });
    if lane.start == ViewStart::Image && lane.sampler.noise_std == 0.0 {
        ui.label(
            RichText::new(target.says(
                IDENTICAL,
                "One start and no noise (σ = 0): all chains stay identical. With noise they would part.",
            ))
            .color(match target {
                RuleTarget::Model(..) => contrast::readable(ui, theme::BROKEN),
                _ => ui.visuals().weak_text_color(),
            }),
        );
    }
    if kind == SamplerKind::Mala && matches!(target, RuleTarget::Model(..)) {
        ui.weak(
            "Choose α so that MALA accepts about 57 % (see Plots). At temperature 1, images may dissolve into noise: \
             chains walk towards lower energy, but the noise counts for more. Then lower σ, or reset to the model's \
             sampler.",
        );
    }
    if matches!(target, RuleTarget::Model(..)) {
        ui.checkbox(&mut lane.is_conditional, "steer towards the row's class").on_hover_text(
            "On: each chain is pulled towards its row's class y. It walks down -logits[y] and so follows p(x|y). \
             Off: it follows p(x) and may turn into another class. The energies shown are always those of p(x).",
        );
    }
    egui::CollapsingHeader::new("More").id_salt(("more", index)).show(ui, |ui| {
        more(ui, lane, target, index);
    });
}

/// What the noise of a sampler leads to, as a formula.
fn noise_formula(kind: SamplerKind) -> &'static str {
    match kind {
        SamplerKind::Sgld => {
            "With small steps it samples p(x)^β, β = 2α/σ²: p(x) itself with σ = √(2α)."
        }
        SamplerKind::ProximalSgld => {
            "With small steps and nothing clipped it samples p(x)^β, β = 2α/σ²: p(x) itself with σ = √(2α)."
        }
        SamplerKind::Pyld => {
            "With small steps and nothing clipped it samples p(x)^β, β = 2Nα/σ²: p(x) itself with σ = √(2Nα)."
        }
        SamplerKind::NormalizedGradient => "What these steps sample is not known.",
        SamplerKind::Mala => "It samples p(x)^β, β = 2α/σ²: p(x) itself with σ = √(2α).",
    }
}

/// Draws the choice of how the step size changes along a run.
fn schedule(ui: &mut Ui, sampler: &mut SamplerConfig, target: &RuleTarget<'_>, index: usize) {
    let kind = sampler.kind;
    let factor = rounded(sampler.final_step_factor);
    let says = |schedule: StepSchedule, help: &str| match schedule {
        StepSchedule::Constant => help.to_string(),
        _ => {
            let help = help.replace("`final_step_factor`", &factor);
            format!("{} The noise falls with its square root: 2α/σ² stays.", help.trim())
        }
    };
    let choices: Vec<_> = StepSchedule::ALL
        .iter()
        .map(|&(schedule, help)| (schedule, says(schedule, help)))
        .collect();
    let choices: Vec<_> =
        choices.iter().map(|(schedule, help)| (*schedule, help.as_str())).collect();
    choose(
        ui,
        "α schedule",
        ("schedule", index),
        &mut sampler.step_schedule,
        &choices,
        schedule_name,
        |schedule| match (kind, schedule) {
            (_, StepSchedule::Constant) => None,
            (SamplerKind::Mala, _) => Some("MALA needs a constant step size."),
            _ if matches!(target, RuleTarget::Lab { .. }) => {
                Some("Chains in the lab have no last step, so their step size cannot decay.")
            }
            _ => None,
        },
    );
}

/// Draws the settings that are seldom changed.
fn more(ui: &mut Ui, lane: &mut LaneConfig, target: &RuleTarget<'_>, index: usize) {
    let kind = lane.sampler.kind;
    if matches!(target, RuleTarget::Lab { .. }) {
        schedule(ui, &mut lane.sampler, target, index);
    }
    let can_split = kind == SamplerKind::Pyld;
    let num_pieces = target.num_pieces().max(1);
    // Its name is too long to stand beside it.
    let name = ui.label("PYLD split after layer");
    ui.add_enabled(can_split, Slider::new(&mut lane.split, 1..=num_pieces))
        .labelled_by(name.id)
        .on_hover_text(format!(
            "How many of the network's {} pieces the inner steps pass through. 1 is the first convolution \
             alone, which is affine. The model's value: 1.",
            num_pieces
        ))
        .on_disabled_hover_text("Only PYLD has inner steps.");
    if matches!(target.norm(), Norm::Batch | Norm::Frozen) {
        choose(ui, "batch norm", ("norm", index), &mut lane.norm, Norm::ALL, norm_name, |norm| {
            match norm {
                Norm::Batch if kind == SamplerKind::Mala => Some(
                    "MALA compares the energies of one chain; batch statistics mix the chains.",
                ),
                Norm::Batch | Norm::Frozen => None,
                _ => Some("The network was trained with batch norm."),
            }
        });
    } else {
        let text = if target.norm() == Norm::Group { "group norm" } else { "batch norm: none" };
        ui.weak(text).on_hover_text(
            "This network has no batch norm: its chains are independent, and there is nothing to choose.",
        );
    }
}

/// The inverse temperature β = 2α/σ² as text, if the sampler has one.
fn beta(lane: &LaneConfig) -> Option<String> {
    let beta = lane.sampler.inverse_temperature()?;
    Some(if beta.is_finite() { format_number(beta) } else { "∞".into() })
}

/// Shows β = 2α/σ², which is always visible, and the effect of PYLD on it.
fn temperature(ui: &mut Ui, lane: &LaneConfig) {
    let sampler = &lane.sampler;
    let Some(beta) = beta(lane) else {
        ui.label(RichText::new("no temperature: every step has the same length").strong())
            .on_hover_text(
                "The other samplers take shorter steps where the energy is flatter; with small steps they \
                 sample p(x)^β. Here the step length does not depend on the gradient: at a minimum the chain \
                 jumps back and forth. No formula for its distribution is known.",
            );
        return;
    };
    // A step of PYLD is N inner steps long.
    let formula = if sampler.kind == SamplerKind::Pyld { "2Nα/σ²" } else { "2α/σ²" };
    let (step, noise) = (sampler.whole_step_size(), sampler.noise_std);
    let meaning = if noise == 0.0 {
        let clips = matches!(sampler.kind, SamplerKind::ProximalSgld | SamplerKind::Pyld);
        let clipped = if clips { "clipped " } else { "" };
        format!("no noise: {clipped}descent, not sampling")
    } else {
        format!("temperature {}", format_number(noise * noise / (2.0 * step)))
    };
    ui.label(RichText::new(format!("{formula} = {beta} ({meaning})")).strong()).on_hover_text(
        "With small steps the chain samples p(x)^β with β = 2α/σ²; a step of PYLD counts as N·α. JEM's \
         published setting gives β = 20,000. JEM++ adds no noise: β = ∞. Both mostly descend; the literature \
         still calls it sampling. β = 1 samples p(x) itself.",
    );
    if sampler.kind == SamplerKind::Pyld && lane.split == 1 {
        let text =
            format!("Here PYLD equals Proximal SGLD with step size N·α = {}.", format_number(step));
        ui.label(RichText::new(text).size(SMALL)).on_hover_text(
            "The first layer is a plain convolution, which is affine. With the gradient from the other layers \
             kept fixed, the inner gradient is constant, so the N clipped moves add up to one. With a split of \
             2 or more (under More), PYLD is a different method.",
        );
    }
}

/// Formats a number with about three digits.
pub(super) fn format_number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if !(1e-5..1e6).contains(&size) => format!("{value:.1e}"),
        size if size < 1e-3 => format!("{value:.6}").trim_end_matches('0').into(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => {
            format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').into()
        }
        _ => format!("{value:.3}"),
    }
}
