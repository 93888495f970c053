//! Files in and out: the menu bar, the system's dialogs, dropped files, the link.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, channel},
    time::{Duration, Instant},
};

use egui::{ComboBox, RichText, Ui};

use super::{
    exports::{Export, Job},
    help::Help,
    viewer::{Tab, Viewer},
};
use crate::{picture, worker::Command};

/// Where the last session is kept.
pub const SESSION_KEY: &str = "view";
/// A dialog that is gone so soon has never been seen.
const UNSEEN: Duration = Duration::from_millis(400);

/// What a dialog is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Open,
    Export(Export),
    SaveModel,
}

/// What happened beside the window's thread.
enum Done {
    Chosen { purpose: Purpose, path: Option<PathBuf>, asked: Instant },
    Written(Result<PathBuf, String>),
}

/// Dialogs and exports on their way.
pub struct Files {
    done: (Sender<Done>, Receiver<Done>),
    /// Where files go without a dialog.
    save_folder: Option<PathBuf>,
    num_writing: usize,
}

impl Default for Files {
    fn default() -> Self {
        Self { done: channel(), save_folder: None, num_writing: 0 }
    }
}

impl Files {
    /// Writes into this folder from now on, without asking.
    pub fn save_to(&mut self, folder: PathBuf) {
        self.save_folder = Some(folder);
    }

    /// Takes files dropped on the window.
    pub fn take_dropped(&mut self, ctx: &egui::Context, viewer: &mut Viewer) {
        for file in ctx.input(|input| input.raw.dropped_files.clone()) {
            open(file.path(), viewer);
        }
        if ctx.input(|input| !input.raw.hovered_files.is_empty()) {
            egui::Area::new(egui::Id::unique("drop"))
                .anchor(egui::Align2::CENTER_CENTER, egui::Vec2::ZERO)
                .order(egui::Order::Foreground)
                .show(ctx, |ui| {
                    egui::Frame::popup(ui.style()).inner_margin(24.0).show(ui, |ui| {
                        ui.heading(
                            "A checkpoint opens; a picture becomes the start of all chains.",
                        );
                    });
                });
        }
    }

    /// Asks where, unless that is known.
    fn ask(&mut self, ctx: &egui::Context, purpose: Purpose, viewer: &mut Viewer) {
        let name = match purpose {
            Purpose::Open => "",
            Purpose::Export(export) => export.file_name(),
            Purpose::SaveModel => "model.safetensors",
        };
        if let (Some(folder), true) = (&self.save_folder, purpose != Purpose::Open) {
            let path = free_path(&folder.join(name));
            self.chosen(ctx, purpose, path, viewer);
            return;
        }
        let dialog = rfd::AsyncFileDialog::new();
        let asked = Instant::now();
        // Dialogs must be made on the window's thread, but may be waited for on any.
        let (open, save) = match purpose {
            Purpose::Open => {
                let models = ["safetensors"];
                let pictures = ["png", "jpg", "jpeg", "gif"];
                let dialog = dialog
                    .add_filter("Checkpoints and pictures", &[&models[..], &pictures[..]].concat());
                (Some(dialog.pick_file()), None)
            }
            _ => (None, Some(dialog.set_file_name(name).save_file())),
        };
        let (sender, ctx) = (self.done.0.clone(), ctx.clone());
        std::thread::spawn(move || {
            let chosen = match (open, save) {
                (Some(open), _) => pollster::block_on(open),
                (_, Some(save)) => pollster::block_on(save),
                _ => None,
            };
            let path = chosen.map(|file| file.path().to_path_buf());
            let _ = sender.send(Done::Chosen { purpose, path, asked });
            ctx.request_repaint();
        });
    }

    fn chosen(
        &mut self,
        ctx: &egui::Context,
        purpose: Purpose,
        path: PathBuf,
        viewer: &mut Viewer,
    ) {
        let export = match purpose {
            Purpose::Open => return open(&path, viewer),
            Purpose::SaveModel => return viewer.send(Command::Save(path)),
            Purpose::Export(export) => export,
        };
        let Some(job) = Job::new(export, viewer) else {
            viewer.complain("There is nothing to save yet.");
            return;
        };
        self.num_writing += 1;
        let (sender, ctx) = (self.done.0.clone(), ctx.clone());
        std::thread::spawn(move || {
            let written = job.write(&path).map(|()| path);
            let _ = sender.send(Done::Written(written));
            ctx.request_repaint();
        });
    }

    /// Looks whether a dialog or an export is done.
    pub fn poll(&mut self, ctx: &egui::Context, viewer: &mut Viewer) {
        while let Ok(done) = self.done.1.try_recv() {
            match done {
                Done::Chosen { purpose, path: Some(path), .. } => {
                    self.chosen(ctx, purpose, path, viewer);
                }
                Done::Chosen { purpose, path: None, asked } if asked.elapsed() < UNSEEN => {
                    // No portal and no dialog program on this desktop.
                    let here = std::env::current_dir().unwrap_or_default();
                    let name = match purpose {
                        Purpose::Export(export) => export.file_name(),
                        Purpose::SaveModel => "model.safetensors",
                        Purpose::Open => {
                            viewer.complain(
                                "This desktop offers no file dialog. Drop the file on the window, or start \
                                 `jempp view --checkpoint FILE`.",
                            );
                            continue;
                        }
                    };
                    self.chosen(ctx, purpose, free_path(&here.join(name)), viewer);
                }
                Done::Chosen { path: None, .. } => {}
                Done::Written(result) => {
                    self.num_writing -= 1;
                    match result {
                        Ok(path) => viewer.notify(format!("Saved {}.", path.display())),
                        Err(reason) => viewer.complain(reason),
                    }
                }
            }
        }
    }
}

/// What keys with Ctrl (or the command key) do.
pub fn keys(ctx: &egui::Context, viewer: &mut Viewer, files: &mut Files) {
    let pressed = |key| ctx.input_mut(|input| input.consume_key(egui::Modifiers::COMMAND, key));
    let purposes = [
        (egui::Key::O, Purpose::Open),
        (egui::Key::S, Purpose::Export(Export::Png)),
        (egui::Key::G, Purpose::Export(Export::Gif)),
        (egui::Key::E, Purpose::Export(Export::Csv)),
    ];
    for (key, purpose) in purposes {
        if pressed(key) {
            files.ask(ctx, purpose, viewer);
        }
    }
}

/// The path itself, or with a number if something is there: nothing is overwritten unasked.
fn free_path(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
    let numbered = (2..).map(|n| path.with_file_name(format!("{stem}-{n}.{ending}")));
    let mut names = std::iter::once(path.to_path_buf()).chain(numbered);
    names.find(|path| !path.exists()).unwrap_or_else(|| path.to_path_buf())
}

/// Opens a checkpoint, or takes a picture as the start of all chains.
fn open(path: &Path, viewer: &mut Viewer) {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match (ending.as_str(), &viewer.model) {
        ("safetensors", _) => viewer.open(path.display().to_string()),
        ("pt" | "pth", _) => viewer.complain(format!(
            "{} is a PyTorch file: `jempp import {} --out model.safetensors` makes a checkpoint of it.",
            path.display(),
            path.display()
        )),
        ("png" | "jpg" | "jpeg" | "gif", Some(model)) if !model.is_planar() => {
            match picture::load_item(path, model.shape) {
                Ok(image) => viewer.start_from(image.into()),
                Err(error) => viewer.complain(error.to_string()),
            }
        }
        ("png" | "jpg" | "jpeg" | "gif", _) => {
            viewer.complain("A model of points in the plane cannot start from a picture.");
        }
        _ => viewer.complain(format!(
            "{}: only checkpoints (.safetensors) and pictures (.png, .jpg, .gif) can be opened.",
            path.display()
        )),
    }
}

/// The menu bar.
pub fn menu(ui: &mut Ui, viewer: &mut Viewer, files: &mut Files, help: &mut Help) {
    ui.add_space(2.0);
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new("jempp").strong().size(17.0));
        ui.separator();
        tabs(ui, viewer);
        ui.separator();
        model(ui, viewer);
        open_button(ui, viewer, files);
        ui.menu_button("Save", |ui| save(ui, viewer, files));
        if files.num_writing > 0 {
            ui.spinner();
        }
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            if ui.button("? Help").on_hover_text("Keys and words (?).").clicked() {
                help.is_open = !help.is_open;
            }
            egui::widgets::global_theme_preference_buttons(ui);
        });
    });
    ui.add_space(1.0);
}

/// What is shown in the middle.
pub fn tabs(ui: &mut Ui, viewer: &mut Viewer) {
    let tabs = [
        (Tab::Chains, "Chains", "The chains and their energies."),
        (Tab::Plots, "Plots", "How the run is going, and whether it converges."),
        (Tab::Train, "Train", "Train a model here and watch its chains get better."),
    ];
    for (tab, name, hover) in tabs {
        ui.selectable_value(&mut viewer.tab, tab, name).on_hover_text(hover);
    }
}

/// The button that opens a file.
pub fn open_button(ui: &mut Ui, viewer: &mut Viewer, files: &mut Files) {
    let open = ui.button("Open…");
    let hover = "A checkpoint, or a picture to start from. Or drop it here.";
    if open.on_hover_text(hover).clicked() {
        files.ask(ui.ctx(), Purpose::Open, viewer);
    }
}

/// Which model is open, and the others to choose from.
pub fn model(ui: &mut Ui, viewer: &mut Viewer) {
    let current = viewer.model.as_ref().map(|model| model.name.clone()).unwrap_or_default();
    let short = |name: &str| match name.len() {
        0 => "loading…".to_string(),
        length if length > 28 => {
            let end: Vec<char> = name.chars().rev().take(26).collect();
            format!("…{}", end.into_iter().rev().collect::<String>())
        }
        _ => name.to_string(),
    };
    let mut wanted = None;
    let response = ComboBox::new("model", "").selected_text(short(&current)).show_ui(ui, |ui| {
        for name in viewer.bundled.iter().filter(|name| **name != current).chain([&current]) {
            if ui.selectable_label(*name == current, short(name)).clicked() && *name != current {
                wanted = Some(name.clone());
            }
        }
    });
    if let Some(model) = &viewer.model {
        let accuracy = model
            .test_accuracy
            .map(|accuracy| format!(", test accuracy {:.1} %", accuracy * 100.0));
        response.response.on_hover_text(format!(
            "{} trained on {}, {} steps{}",
            model.arch,
            model.dataset,
            model.training_steps,
            accuracy.unwrap_or_default()
        ));
    }
    if let Some(name) = wanted {
        viewer.open(name);
    }
}

/// The entries that write something.
pub fn save(ui: &mut Ui, viewer: &mut Viewer, files: &mut Files) {
    let entries = [
        (Purpose::Export(Export::Png), "Picture (PNG)", "The chains at the step that is shown."),
        (
            Purpose::Export(Export::Gif),
            "Animation (GIF)",
            "The recorded steps, at most 60 of them.",
        ),
        (
            Purpose::Export(Export::Csv),
            "Traces (CSV)",
            "Energy, gradient norm, clamp rate and more of every chain at every recorded step.",
        ),
        (Purpose::SaveModel, "Model (safetensors)", "The open model, or the one in training."),
    ];
    for (purpose, name, hover) in entries {
        if ui.button(name).on_hover_text(hover).clicked() {
            files.ask(ui.ctx(), purpose, viewer);
            ui.close();
        }
    }
    let link = ui.button("Copy link");
    let hover = "The whole state as the query of a link: behind the address of the web page, or given to \
                 `jempp view`, it shows the same chains.";
    if link.on_hover_text(hover).clicked() {
        ui.ctx().copy_text(format!("?{}", viewer.view.to_query()));
        viewer.notify("The link's query is in the clipboard.");
        ui.close();
    }
}
