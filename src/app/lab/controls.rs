//! The controls of the lab: the energy, the chains, their rules, training.

use egui::{Button, ComboBox, Rect, RichText, Slider, Ui};

use super::tool::Tool;
use crate::{
    app::{
        contrast,
        controls::{self, RuleTarget},
        fit::fit,
        state::Lab,
        theme, transport, words,
    },
    config::{
        DatasetName, LabConfig, LabReference, LabTarget, LabView, LaneConfig, MAX_DABS, MAX_RULES,
        SamplerKind, ViewStart, default_rule,
    },
};

/// The number of pieces of the lab's networks.
const NUM_PIECES: usize = 3;
/// The 2-D datasets that a network can learn.
const DATA: [(DatasetName, &str); 6] = [
    (DatasetName::TwoMoons, "two moons"),
    (DatasetName::EightGaussians, "eight Gaussians"),
    (DatasetName::Spiral, "spiral"),
    (DatasetName::Rings, "rings"),
    (DatasetName::Checkerboard, "checkerboard"),
    (DatasetName::Pinwheel, "pinwheel"),
];
/// What the button Undo does.
const UNDO: &str = "Bring back the run before the last restart, seed, energy, number of chains or start: settings, record and step (Ctrl+Z).";
/// The bundled models with inputs in the plane.
const MODELS: [&str; 2] = ["two-moons", "two-moons-classifier"];

/// The name of an energy.
pub(in crate::app) fn target_name(target: LabTarget) -> &'static str {
    match target {
        LabTarget::Gaussian => "Gaussian",
        LabTarget::Mixture => "Mixture of three",
        LabTarget::Ring => "Ring",
        LabTarget::Banana => "Banana",
        LabTarget::TwoMoons => "Two moons",
        LabTarget::EightGaussians => "Eight Gaussians",
        LabTarget::Funnel => "Funnel",
        LabTarget::Painted => "Painted by you",
        LabTarget::Model => "Trained network",
        LabTarget::Learned => "Learning now",
    }
}

/// Draws the controls of the lab.
pub(super) fn ui(ui: &mut Ui, lab: &mut Lab, tool: &mut Tool) {
    ui.add_space(4.0);
    ui.horizontal(|ui| {
        let view = &mut lab.settings.config.view;
        for (value, name) in
            [(LabView::Plane, "Plane"), (LabView::Slice, "Slice of the image model")]
        {
            ui.selectable_value(view, value, name).on_hover_text(help_of(LabView::ALL, value));
        }
    });
    if lab.settings.config.view == LabView::Slice {
        ui.separator();
        ui.label(
            "An image has as many directions as pixels. This plane shows the two in which the chain moved \
             most. Select a chain in the Chains tab.",
        );
        return;
    }
    controls::hover_names(ui);
    ui.spacing_mut().slider_width = fit(ui.available_width() - 178.0, 40.0, 240.0);
    target(ui, lab, tool);
    ui.separator();
    chains(ui, lab, tool);
    rules(ui, lab);
    ui.separator();
    shown(ui, &mut lab.settings.config);
    ui.add_space(8.0);
}

fn help_of<T: PartialEq>(all: &[(T, &'static str)], value: T) -> &'static str {
    all.iter().find(|choice| choice.0 == value).map_or("", |choice| choice.1.trim())
}

/// Draws the choice of the energy, and the controls for it.
fn target(ui: &mut Ui, lab: &mut Lab, tool: &mut Tool) {
    let config = &mut lab.settings.config;
    ComboBox::new("lab target", "energy").selected_text(target_name(config.target)).show_ui(
        ui,
        |ui| {
            for &(target, help) in LabTarget::ALL {
                ui.selectable_value(&mut config.target, target, target_name(target))
                    .on_hover_text(help.trim());
            }
        },
    );
    match config.target {
        LabTarget::Model => {
            let name_of = |model: &str| words::model_name(model, 28);
            // The names are too long to have a label beside them.
            let label = ui.label("network");
            let list = ComboBox::new("lab model", "").selected_text(name_of(&config.model));
            let list = list.show_ui(ui, |ui| {
                for model in MODELS {
                    if ui.selectable_label(config.model == model, name_of(model)).clicked() {
                        config.model = model.into();
                    }
                }
            });
            list.response.labelled_by(label.id);
        }
        LabTarget::Learned => learning(ui, lab),
        LabTarget::Painted => {
            width(ui, config);
            ui.horizontal_wrapped(|ui| {
                let is_painting = *tool == Tool::Paint;
                if ui.selectable_label(is_painting, "Paint").clicked() {
                    *tool = if is_painting { Tool::Choose } else { Tool::Paint };
                }
                if ui.button("Clear").clicked() {
                    config.painted.clear();
                }
                ui.weak(format!("{} of {MAX_DABS} dabs", config.dabs().count()));
            });
            ui.weak("Press Paint, then drag over the plane. Every dab adds a Gaussian.");
        }
        _ => width(ui, config),
    }
    if lab.settings.config.target != LabTarget::Painted && *tool == Tool::Paint {
        *tool = Tool::Choose;
    }
}

fn width(ui: &mut Ui, config: &mut LabConfig) {
    number(ui, &mut config.width, "width", "width");
}

/// A logarithmic slider for one number of the lab.
fn number(ui: &mut Ui, value: &mut f64, key: &str, label: &str) -> egui::Response {
    let field = LabConfig::field(key);
    let response = ui.add(controls::slider(value, field).text(label));
    let (low, high) = field.range.unwrap_or((0.0, f64::INFINITY));
    *value = fit(*value, low, high);
    response.on_hover_text(field.help.trim())
}

/// The same slider below its label, for a label that is too long to stand beside it.
fn number_below(ui: &mut Ui, value: &mut f64, key: &str, label: &str) {
    let label = ui.label(label);
    number(ui, value, key, "").labelled_by(label.id);
}

/// Draws the choice of the dataset, and the controls of training.
fn learning(ui: &mut Ui, lab: &mut Lab) {
    let (is_learning, step) = (lab.record.is_learning, lab.record.learning.step);
    let config = &mut lab.settings.config;
    let current = DATA.iter().find(|data| data.0 == config.learn_data).map_or("", |data| data.1);
    ComboBox::new("lab data", "data").selected_text(current).show_ui(ui, |ui| {
        for (data, name) in DATA {
            ui.selectable_value(&mut config.learn_data, data, name);
        }
    });
    number(ui, &mut config.learn_weight, "learn_weight", "weight of p(x)");
    number(ui, &mut config.learn_rate, "learn_rate", "learning rate");
    let field = LabConfig::field("learn_chain_steps");
    controls::whole_number(ui, &mut config.learn_chain_steps, "chain steps K", field)
        .on_hover_text(field.help.trim());
    number_below(ui, &mut config.learn_step_size, "learn_step_size", "training chains: step α");
    number_below(ui, &mut config.learn_noise_std, "learn_noise_std", "training chains: noise σ");
    ui.horizontal_wrapped(|ui| {
        let text = if is_learning { "⏸ Stop learning" } else { "▶ Learn" };
        let learn = Button::new(RichText::new(text).strong());
        let learn = if is_learning { learn } else { learn.fill(ui.visuals().selection.bg_fill) };
        if ui.add(learn).clicked() {
            lab.toggle_learning();
        }
        let again = ui.button("Start over");
        if again.on_hover_text("Begin again with other random weights.").clicked() {
            lab.learn_anew();
        }
        ui.weak(format!("step {step}"));
    });
    ui.weak(
        "Coloured dots: data. Dark crosses: replay buffer. White: chains of the sampler below.",
    );
}

/// Draws the number of chains, and the choice of their starts.
fn chains(ui: &mut Ui, lab: &mut Lab, tool: &mut Tool) {
    let config = &mut lab.settings.config;
    let field = LabConfig::field("num_chains");
    let (low, high) = field.slider.unwrap_or((1.0, 10_000.0));
    // Each number is another run, so only the last one of a drag counts.
    let id = ui.scope_id().with("number of chains");
    let dragged = ui.data(|data| data.get_temp::<usize>(id));
    let mut count = dragged.unwrap_or(config.num_chains);
    let slider = Slider::new(&mut count, low as usize..=high as usize);
    let slider = ui.add(slider.logarithmic(true).text("chains")).on_hover_text(field.help.trim());
    if slider.dragged() {
        ui.data_mut(|data| data.insert_temp(id, count));
    } else {
        ui.data_mut(|data| data.remove_temp::<usize>(id));
        config.num_chains = count;
    }
    ui.horizontal_wrapped(|ui| {
        let is_dropping = *tool == Tool::Drop;
        let drop = ui.selectable_label(is_dropping, "Start from a point");
        if drop.on_hover_text("Then press in the plane: all chains start there.").clicked() {
            *tool = if is_dropping { Tool::Choose } else { Tool::Drop };
        }
    });
    if lab.settings.rules.iter().all(|rule| rule.start != ViewStart::Image) && *tool != Tool::Drop {
        ui.weak("Click a chain to see the parts of its steps.");
    }
}

fn rules(ui: &mut Ui, lab: &mut Lab) {
    let target = RuleTarget::Lab {
        has_buffer: lab.settings.config.target == LabTarget::Learned,
        num_pieces: match lab.settings.config.target {
            LabTarget::Model => NUM_PIECES,
            _ => 1,
        },
    };
    let rules = &mut lab.settings.rules;
    let count = rules.len();
    let mut removed = None;
    for (index, rule) in rules.iter_mut().enumerate() {
        ui.separator();
        if count > 1 {
            ui.horizontal(|ui| {
                let color = contrast::readable(ui, theme::LANES[index % theme::LANES.len()]);
                ui.label(RichText::new(format!("Lane {}", index + 1)).color(color).strong());
                if ui.small_button(format!("Remove lane {}", index + 1)).clicked() {
                    removed = Some(index);
                }
            });
        }
        // Numbers that differ from those of the open model's lanes.
        controls::rule(ui, rule, &target, 10 + index);
        temperature_one(ui, rule);
    }
    if let Some(index) = removed {
        rules.remove(index);
    }
    ui.separator();
    ui.horizontal_wrapped(|ui| {
        let add =
            ui.add_enabled(count < MAX_RULES, egui::Button::new("Compare with another sampler"));
        if add.on_hover_text("Add a second lane of chains with the same starts and noise, to compare its sampler.").clicked()
            && let Some(last) = rules.last().cloned()
        {
            rules.push(last);
        }
        if ui.button("Reset").on_hover_text("One lane, with the default sampler.").clicked() {
            *rules = vec![default_rule()];
        }
    });
}

/// Draws the button that sets temperature 1, for a sampler that has a temperature.
fn temperature_one(ui: &mut Ui, rule: &mut LaneConfig) {
    let sampler = &mut rule.sampler;
    if sampler.inverse_temperature().is_none() {
        return;
    }
    let noise = (2.0 * sampler.whole_step_size()).sqrt();
    let is_one = (sampler.noise_std - noise).abs() < 1e-3 * noise;
    let formula = if sampler.kind == SamplerKind::Pyld { "√(2Nα)" } else { "√(2α)" };
    let button = Button::new(format!("Set temperature 1: σ = {formula}")).small();
    let button = ui.add_enabled(!is_one, button);
    if button
        .on_hover_text("With small steps and no clipping, the chains then sample p(x) itself.")
        .clicked()
    {
        sampler.noise_std = noise.min(10.0);
    }
}

/// Draws the choice of the elements that the plane shows.
fn shown(ui: &mut Ui, config: &mut LabConfig) {
    let switches = [
        ("contours", "contours", &mut config.contours),
        ("trails", "trails", &mut config.trails),
        ("arrows", "arrows", &mut config.arrows),
        ("decisions", "classes", &mut config.decisions),
    ];
    ui.horizontal_wrapped(|ui| {
        for (key, name, value) in switches {
            ui.checkbox(value, name).on_hover_text(LabConfig::help(key));
        }
    });
    ui.horizontal_wrapped(|ui| {
        ui.label("compare with").on_hover_text(LabConfig::help("reference"));
        for (value, name) in [(LabReference::Model, "p(x)"), (LabReference::Tempered, "p(x)^β")] {
            ui.selectable_value(&mut config.reference, value, name)
                .on_hover_text(help_of(LabReference::ALL, value));
        }
    });
}

fn play(ui: &mut Ui, lab: &mut Lab) {
    if transport::play(ui, lab.record.is_running) {
        lab.toggle();
    }
}

/// Draws play, restart, and the step size and the noise of every rule. Returns where the sliders are.
pub(super) fn play_and_knobs(ui: &mut Ui, lab: &mut Lab) -> Vec<Rect> {
    ui.horizontal_wrapped(|ui| {
        play(ui, lab);
        if ui.button("⟲ Restart").clicked() {
            lab.restart();
        }
        ui.label(format!("step {}", lab.record.step));
    });
    ui.spacing_mut().slider_width = fit(0.5 * ui.available_width() - 110.0, 40.0, 200.0);
    let target = RuleTarget::Lab { has_buffer: false, num_pieces: 1 };
    let Some(first) = lab.settings.rules.first() else { return Vec::new() };
    let (mut step_size, mut noise_std) = (first.sampler.whole_step_size(), first.sampler.noise_std);
    let of = |name| target.field(name);
    let sliders = ui.horizontal_wrapped(|ui| {
        let step = controls::slider(&mut step_size, &of("step_size")).text("step α");
        let step = ui.add(step);
        let noise = controls::slider(&mut noise_std, &of("noise_std")).text("noise σ");
        [step, ui.add(noise)]
    });
    let sliders = sliders.inner;
    let [is_step, is_noise] = [sliders[0].changed(), sliders[1].changed()];
    for rule in &mut lab.settings.rules {
        let sampler = &mut rule.sampler;
        // For PYLD, the total step size is N·α.
        match (is_step, sampler.kind) {
            (true, SamplerKind::Pyld) => {
                sampler.inner_step_size = fit(step_size, 0.0, 1e6) / sampler.num_inner_steps as f64;
            }
            (true, _) => sampler.step_size = fit(step_size, 0.0, 1e6),
            (false, _) => {}
        }
        // Without noise, MALA proposes no moves.
        if is_noise && (noise_std > 0.0 || sampler.kind != SamplerKind::Mala) {
            sampler.noise_std = fit(noise_std, 0.0, 10.0);
        }
    }
    sliders.map(|slider| slider.rect.expand(6.0)).to_vec()
}

/// Draws play, step, restart and the speed.
pub(super) fn transport(ui: &mut Ui, lab: &mut Lab) {
    ui.add_space(3.0);
    ui.horizontal_wrapped(|ui| {
        play(ui, lab);
        if ui.button("Step ⏭").on_hover_text("One step forward (right arrow).").clicked() {
            lab.step();
        }
        let restart = ui.button("⟲ Restart");
        if restart.on_hover_text("The same starts and the same noise again (R).").clicked() {
            lab.restart();
        }
        let new_seed = ui.button("New seed");
        if new_seed.on_hover_text("Other starts and other noise (N).").clicked() {
            lab.reseed();
        }
        let undo = ui.add_enabled(lab.can_undo(), Button::new("Undo")).on_hover_text(UNDO);
        if undo.on_disabled_hover_text(transport::NOTHING_TO_UNDO).clicked() {
            lab.undo();
        }
        ui.separator();
        ui.spacing_mut().interact_size.x = transport::NUMBER_WIDTH;
        let limit = &mut lab.settings.config.max_steps_per_sec;
        transport::speed(ui, limit, LabConfig::field("max_steps_per_sec"));
        ui.label(format!("step {}", lab.record.step));
    });
    ui.add_space(2.0);
}
