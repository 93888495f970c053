//! The setup of training: the preset, and the buttons that start, pause and save.

use std::path::{Path, PathBuf};

use egui::{Align2, Button, ComboBox, DragValue, RichText, TextEdit, Ui};

use crate::{
    app::{
        chart::note,
        size_class,
        state::{OwnData, Phase, Training},
    },
    config::{
        DataConfig, Field, MAX_SEED, OptimizerConfig, PRESETS, Preset, RunConfig, SamplerConfig,
        TrainingConfig,
    },
    worker::{Command, TrainingUpdate},
};

/// The preset that is chosen at first.
const FIRST_PRESET: &str = "fashion-quick";
/// What stands for a preset if the recipe was chosen for a person's own data.
const OWN: &str = "own-data";
/// Whether runs and models lie in folders of the user. In a browser, they are in the memory of the worker.
const HAS_FOLDERS: bool = cfg!(not(target_arch = "wasm32"));

/// The content of the form.
pub(super) struct TrainingForm {
    preset: &'static str,
    config: RunConfig,
    out: String,
    resume: String,
    save_as: String,
    /// The folders of the earlier runs.
    used: Vec<PathBuf>,
    /// The recipe for a person's own data that was taken over last.
    recipe: Option<Box<RunConfig>>,
}

impl Default for TrainingForm {
    fn default() -> Self {
        let mut setup = Self {
            preset: FIRST_PRESET,
            config: RunConfig::default(),
            out: String::new(),
            resume: String::new(),
            save_as: "saved.safetensors".into(),
            used: Vec::new(),
            recipe: None,
        };
        setup.choose(FIRST_PRESET);
        setup
    }
}

/// The presets whose data is included in the program.
fn presets() -> impl Iterator<Item = &'static Preset> {
    PRESETS.iter().filter(|preset| preset.name == FIRST_PRESET || preset.name.starts_with("toy-"))
}

/// The description of a preset in this form.
fn preset_text(name: &str) -> String {
    match name.strip_prefix("toy-") {
        Some(density) => format!("{} (2-D points, seconds)", density.replace('-', " ")),
        None if name == OWN => "Your own data".into(),
        None => "Fashion-MNIST (5,000 built-in images, minutes)".into(),
    }
}

/// The first of the folders `name`, `name-2`, `name-3`, … that does not exist.
fn free_folder(name: &str, exists: impl Fn(&Path) -> bool) -> String {
    let numbered = (2..10_000).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_string()).chain(numbered);
    names.find(|name| !exists(Path::new(name))).unwrap_or_else(|| name.to_string())
}

impl TrainingForm {
    fn choose(&mut self, preset: &'static str) {
        self.preset = preset;
        self.config = match &self.recipe {
            Some(recipe) if preset == OWN => (**recipe).clone(),
            _ => RunConfig::preset(preset).unwrap_or_default(),
        };
        self.choose_folder();
    }

    /// Takes over the recipe for a person's own data when it has arrived, and lets go of one that is not right any more.
    pub(super) fn follow(&mut self, own: &OwnData) {
        let recipe = own.recipe.as_ref().map(|recipe| &recipe.config);
        if recipe == self.recipe.as_ref() {
            return;
        }
        self.recipe = recipe.cloned();
        if self.recipe.is_some() {
            self.choose(OWN);
        } else if self.preset == OWN {
            self.choose(FIRST_PRESET);
        }
    }

    /// Asks the worker to train on a person's own data, whatever preset is chosen.
    pub(super) fn start_own(&mut self, training: &mut Training) {
        if self.preset != OWN {
            self.choose(OWN);
        }
        self.start(training);
    }

    /// Asks the worker to train.
    fn start(&self, training: &mut Training) {
        let config = Box::new(self.config.clone());
        training.begin(Command::Train { config, out: PathBuf::from(self.out.trim()) });
    }

    /// Chooses a folder that neither exists nor was used. In a browser, folders are in the memory of the worker.
    fn choose_folder(&mut self) {
        self.out = self.free_folder(&format!("runs/{}-window", self.preset));
    }

    /// The folder `name`, with a number if it exists or was used.
    pub(super) fn free_folder(&self, name: &str) -> String {
        let is_taken = |path: &Path| path.exists() || self.used.iter().any(|used| used == path);
        free_folder(name, is_taken)
    }

    /// Processes an update of a training run: updates the folders of the form.
    pub(super) fn take(&mut self, update: &TrainingUpdate) {
        if let TrainingUpdate::Started { folder, .. } = update {
            self.resume = folder.display().to_string();
            self.save_as = folder.join("saved.safetensors").display().to_string();
            // The next run needs its own folder.
            self.used.push(folder.clone());
            self.choose_folder();
        }
    }
}

/// Draws the form: what to train, what to resume, where to save.
pub(super) fn ui(ui: &mut Ui, training: &mut Training, can_save: bool, setup: &mut TrainingForm) {
    let is_running = training.record.phase == Phase::Running;
    let is_asked = training.is_asked;
    ui.add_space(4.0);
    ui.label(RichText::new("A new run").heading());
    choose_preset(ui, setup);
    fields(ui, setup);
    if HAS_FOLDERS {
        text_field(
            ui,
            "New run folder",
            &mut setup.out,
            "The folder for the configuration, the log and the checkpoints of the run. It must be new or empty.",
        );
    } else {
        ui.weak("In a browser a run is kept until the page is closed. Save its model to keep it.");
    }
    let problem = problem(setup);
    if let Some(problem) = &problem {
        ui.label(RichText::new(format!("⚠ {problem}")).strong());
    }
    ui.horizontal_wrapped(|ui| {
        let can_start = !is_running && !is_asked && problem.is_none();
        let start = Button::new(RichText::new("▶ Start").strong());
        let hover =
            if HAS_FOLDERS { "Train a new model in this folder." } else { "Train a new model." };
        let start = ui.add_enabled(can_start, start).on_hover_text(hover);
        let start = start.on_disabled_hover_text(match &problem {
            _ if is_running => "A run is active: pause it first.",
            Some(problem) => problem.as_str(),
            None => "The run is being started.",
        });
        if start.clicked() {
            setup.start(training);
        }
        let pause = ui.add_enabled(is_running, Button::new("⏸ Pause training"));
        let pause = pause.on_hover_text("Stop after this step and save everything.");
        if pause.on_disabled_hover_text("No training is running.").clicked() {
            training.ask(Command::PauseTraining);
        }
        if is_asked {
            ui.spinner();
            ui.label("starting…");
        }
    });
    note(
        ui,
        "The Chains tab follows the weights as they change: press Play there to see what the model finds \
         likely so far.",
    );
    resume_form(ui, training, setup, is_running || is_asked);
    save(ui, training, can_save, setup);
}

fn choose_preset(ui: &mut Ui, setup: &mut TrainingForm) {
    let label = ui.label("Preset");
    let mut chosen = setup.preset;
    let choice = ComboBox::from_id_salt("preset")
        .selected_text(preset_text(chosen))
        .width(ui.available_width())
        .truncate()
        .show_ui(ui, |ui| {
            if setup.recipe.is_some() {
                ui.selectable_value(&mut chosen, OWN, preset_text(OWN));
            }
            for preset in presets() {
                ui.selectable_value(&mut chosen, preset.name, preset_text(preset.name))
                    .on_hover_text(format!("{}: {}", preset.name, preset.about));
            }
        });
    choice.response.labelled_by(label.id).on_hover_text(
        "What is trained, on which data, and how. For everything else, use the command line: jempp train --help.",
    );
    if chosen != setup.preset {
        setup.choose(chosen);
    }
    if let Some(preset) = presets().find(|preset| preset.name == setup.preset) {
        note(ui, preset.about);
    }
}

fn fields(ui: &mut Ui, setup: &mut TrainingForm) {
    let config = &mut setup.config;
    egui::Grid::new("training fields").num_columns(2).spacing([8.0, 4.0]).show(ui, |ui| {
        count(ui, "epochs", &mut config.training.epochs, TrainingConfig::field("epochs"));
        let field = OptimizerConfig::field("learning_rate");
        let (low, high) = field.range.unwrap_or((0.0, 10.0));
        let label = ui.label("learning rate");
        let rate = &mut config.optimizer.learning_rate;
        let speed = (*rate * 0.02).max(1e-7);
        let value = DragValue::new(rate).range(low..=high).speed(speed).max_decimals(7);
        ui.add(value).labelled_by(label.id).on_hover_text(help(field));
        ui.end_row();
        count(ui, "batch size", &mut config.data.batch_size, DataConfig::field("batch_size"));
        let field = SamplerConfig::field("num_steps");
        count(ui, "sampler steps", &mut config.sampler.num_steps, field);
        let label = ui.label("seed");
        let value = DragValue::new(&mut config.seed).range(0..=MAX_SEED).speed(0.1);
        ui.add(value)
            .labelled_by(label.id)
            .on_hover_text("Seed of weights, data order, augmentation and chains.");
        ui.end_row();
    });
}

fn count(ui: &mut Ui, name: &str, value: &mut usize, field: &Field) {
    let (low, high) = field.range.unwrap_or((1.0, 1e6));
    let label = ui.label(name);
    let value = DragValue::new(value).range(low as usize..=high as usize).speed(0.2);
    ui.add(value).labelled_by(label.id).on_hover_text(help(field));
    ui.end_row();
}

fn help(field: &Field) -> String {
    match field.range {
        Some((low, high)) => format!("{}\n\nAllowed: {low} to {high}.", field.help.trim()),
        None => field.help.trim().to_string(),
    }
}

fn text_field(ui: &mut Ui, name: &str, text: &mut String, help: &str) {
    let label = ui.label(name);
    let align = if size_class::is_small(ui.ctx()) { Align2::LEFT_CENTER } else { Align2::LEFT_TOP };
    let field = TextEdit::singleline(text).desired_width(f32::INFINITY).align(align);
    ui.add(field).labelled_by(label.id).on_hover_text(help);
}

/// A problem with the content of the form, if there is one.
fn problem(setup: &TrainingForm) -> Option<String> {
    if let Err(error) = setup.config.validate() {
        return Some(error.to_string());
    }
    let out = setup.out.trim();
    if out.is_empty() {
        return Some("The run needs a folder.".into());
    }
    Path::new(out).exists().then(|| format!("{out} exists already; choose another folder."))
}

fn resume_form(ui: &mut Ui, training: &mut Training, setup: &mut TrainingForm, is_busy: bool) {
    ui.separator();
    ui.label(RichText::new("Continue a run").heading());
    if HAS_FOLDERS {
        text_field(
            ui,
            "Run folder",
            &mut setup.resume,
            "The folder of a run that was paused or interrupted. It continues exactly as if it had never stopped.",
        );
    }
    let folder = setup.resume.trim();
    let can_go_on = !is_busy && !folder.is_empty();
    let button = ui.add_enabled(can_go_on, Button::new("▶ Continue"));
    let (hover, nothing) = match HAS_FOLDERS {
        true => ("Continue the run in this folder.", "Enter the folder of a run."),
        false => ("Continue the run that was paused last.", "No run was paused on this page."),
    };
    let button = button.on_hover_text(hover);
    let why_not = if is_busy { "A run is active: pause it first." } else { nothing };
    if button.on_disabled_hover_text(why_not).clicked() {
        training.begin(Command::ResumeTraining(PathBuf::from(folder)));
    }
}

fn save(ui: &mut Ui, training: &Training, can_save: bool, setup: &mut TrainingForm) {
    ui.separator();
    let what =
        "The file for the model: the one in training, else the last one trained, or the open one.";
    let (name, hover) = match HAS_FOLDERS {
        true => ("Save as…", "Write the model to this file."),
        // A browser has its own way to ask where.
        false => ("Save the model", what),
    };
    if HAS_FOLDERS {
        text_field(ui, "Save the model as", &mut setup.save_as, what);
    }
    let path = setup.save_as.trim();
    let can_save = can_save && !path.is_empty();
    let button = ui.add_enabled(can_save, Button::new(name));
    if button.on_hover_text(hover).clicked() {
        training.ask(Command::Save(PathBuf::from(path)));
    }
    ui.add_space(8.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_numbered_and_presets_are_there() {
        let exists =
            |path: &Path| ["runs/a", "runs/a-2"].iter().any(|name| path == Path::new(name));
        assert_eq!(free_folder("runs/a", exists), "runs/a-3");
        assert_eq!(free_folder("runs/b", exists), "runs/b");
        assert_eq!(presets().count(), 7);
        let setup = TrainingForm::default();
        assert_eq!(setup.config.data.batch_size, 32);
        assert!(problem(&setup).is_none());
        assert_eq!(preset_text("toy-two-moons"), "two moons (2-D points, seconds)");
    }
}
