//! Files in and out: the menu bar, the system's dialogs, dropped files, the link.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use egui::{ComboBox, RichText, Ui};

use super::{
    disk::{self, Done, PICTURES, Purpose, Reply},
    exports::{Export, Job},
    help::Help,
    lessons,
    viewer::{Tab, Viewer},
};
use crate::{files, worker::Command};

/// A dialog that is gone so soon has never been seen.
const UNSEEN: Duration = Duration::from_millis(400);
/// Bytes of a picture file, at most.
const MAX_PICTURE_BYTES: u64 = 64 << 20;

/// Dialogs and exports on their way.
pub struct Files {
    done: (Sender<Done>, Receiver<Done>),
    /// Where files go without a dialog.
    save_folder: Option<PathBuf>,
    /// Files that are being written.
    writing: Vec<PathBuf>,
    /// The page that a link opens; empty where there is none.
    address: String,
}

impl Default for Files {
    fn default() -> Self {
        Self { done: channel(), save_folder: None, writing: Vec::new(), address: String::new() }
    }
}

impl Files {
    /// Writes into this folder from now on, without asking.
    pub fn save_to(&mut self, folder: PathBuf) {
        self.save_folder = Some(folder);
    }

    /// Puts the address of the page before every link.
    pub fn set_address(&mut self, address: String) {
        self.address = address;
    }

    fn reply(&self, ctx: &egui::Context) -> Reply {
        Reply { sender: self.done.0.clone(), ctx: ctx.clone() }
    }

    /// Takes files dropped on the window.
    pub fn take_dropped(&mut self, ctx: &egui::Context, viewer: &mut Viewer) {
        for file in ctx.input(|input| input.raw.dropped_files.clone()) {
            disk::take_dropped(&file, self.reply(ctx), |path| self.open(ctx, path, viewer));
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
        if let (Some(folder), true) = (&self.save_folder, purpose != Purpose::Open) {
            let path = self.free_path(&folder.join(purpose.file_name()));
            self.chosen(ctx, purpose, path, viewer);
            return;
        }
        disk::ask(purpose, self.reply(ctx));
    }

    fn chosen(
        &mut self,
        ctx: &egui::Context,
        purpose: Purpose,
        path: PathBuf,
        viewer: &mut Viewer,
    ) {
        let export = match purpose {
            Purpose::Open => return self.open(ctx, &path, viewer),
            Purpose::SaveModel => return viewer.send(Command::Save(path)),
            Purpose::Export(export) => export,
        };
        let Some(job) = Job::new(export, viewer) else {
            viewer.complain("There is nothing to save yet.");
            return;
        };
        self.writing.push(path.clone());
        disk::write(job, path, self.reply(ctx));
    }

    /// Looks whether a dialog or an export is done.
    pub fn poll(&mut self, ctx: &egui::Context, viewer: &mut Viewer) {
        #[cfg(target_arch = "wasm32")]
        for (name, bytes) in std::mem::take(&mut viewer.downloads) {
            let written = disk::download(name.as_ref(), &bytes).map(|()| name.into());
            told(written, viewer);
        }
        while let Ok(done) = self.done.1.try_recv() {
            match done {
                Done::Chosen { purpose, path: Some(path), .. } => {
                    self.chosen(ctx, purpose, path, viewer);
                }
                Done::Chosen { purpose, path: None, asked } if asked.elapsed() < UNSEEN => {
                    // No portal and no dialog program on this desktop.
                    if purpose == Purpose::Open {
                        viewer.complain(
                            "This desktop offers no file dialog. Drop the file on the window, or start \
                             `jempp view --checkpoint FILE`.",
                        );
                        continue;
                    }
                    let here = std::env::current_dir().unwrap_or_default();
                    let path = self.free_path(&here.join(purpose.file_name()));
                    self.chosen(ctx, purpose, path, viewer);
                }
                Done::Chosen { path: None, .. } => {}
                Done::Read { name, content: Ok(bytes) } => {
                    self.open_bytes(ctx, name, bytes, viewer);
                }
                Done::Read { name, content: Err(reason) } => {
                    viewer.complain(format!("cannot read {name}: {reason}"));
                }
                Done::Decoded { image: Ok(image), shape } => {
                    match viewer.model.as_ref().is_some_and(|model| model.shape == shape) {
                        true => viewer.start_from(image),
                        false => viewer.complain("The picture was read for another model."),
                    }
                }
                Done::Decoded { image: Err(reason), .. } => viewer.complain(reason),
                Done::Written { path, result } => {
                    self.writing.retain(|other| *other != path);
                    told(result.map(|()| path), viewer);
                }
            }
        }
    }

    /// The path itself, or with a number if something is there or on its way: nothing is overwritten unasked.
    fn free_path(&self, path: &Path) -> PathBuf {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let numbered = (2..).map(|n| path.with_file_name(format!("{stem}-{n}.{ending}")));
        let mut names = std::iter::once(path.to_path_buf()).chain(numbered);
        let is_free = |path: &PathBuf| !path.exists() && !self.writing.contains(path);
        names.find(is_free).unwrap_or_else(|| path.to_path_buf())
    }

    /// Opens a checkpoint, or takes a picture as the start of all chains.
    fn open(&self, ctx: &egui::Context, path: &Path, viewer: &mut Viewer) {
        match kind_of(path, viewer) {
            // The worker reads it, and finds it again when the session is restored.
            Ok(Kind::Checkpoint) => viewer.open(path.display().to_string()),
            Ok(Kind::Picture) => {
                let file = path.to_path_buf();
                let read = move || {
                    files::read_at_most(&file, MAX_PICTURE_BYTES)
                        .map_err(|error| format!("cannot read {}: {error}", file.display()))
                };
                self.start_from(ctx, path, read, viewer);
            }
            Err(reason) => viewer.complain(reason),
        }
    }

    /// The same for a file that came as bytes.
    fn open_bytes(&self, ctx: &egui::Context, name: String, bytes: Vec<u8>, viewer: &mut Viewer) {
        match kind_of(name.as_ref(), viewer) {
            Ok(Kind::Checkpoint) => viewer.open_bytes(&name, bytes.into()),
            Ok(Kind::Picture) => self.start_from(ctx, name.as_ref(), || Ok(bytes), viewer),
            Err(reason) => viewer.complain(reason),
        }
    }

    /// Lets all chains start from a picture once it is decoded.
    fn start_from(
        &self,
        ctx: &egui::Context,
        name: &Path,
        content: impl FnOnce() -> Result<Vec<u8>, String> + Send + 'static,
        viewer: &Viewer,
    ) {
        if let Some(model) = &viewer.model {
            disk::decode(name.to_path_buf(), content, model.shape, self.reply(ctx));
        }
    }
}

fn told(written: Result<PathBuf, String>, viewer: &mut Viewer) {
    match written {
        Ok(path) => viewer.notify(format!("Saved {}.", path.display())),
        Err(reason) => viewer.complain(reason),
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

/// What an ending says of a file.
enum Kind {
    Checkpoint,
    Picture,
}

fn kind_of(path: &Path, viewer: &Viewer) -> Result<Kind, String> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let is_planar = viewer.model.as_ref().is_none_or(|model| model.is_planar());
    let path = path.display();
    match ending.as_str() {
        "safetensors" => Ok(Kind::Checkpoint),
        "pt" | "pth" => Err(format!(
            "{path} is a PyTorch file: `jempp import {path} --out model.safetensors` makes a checkpoint of it.",
        )),
        picture if PICTURES.contains(&picture) && is_planar => {
            Err("A model of points in the plane cannot start from a picture.".into())
        }
        picture if PICTURES.contains(&picture) => Ok(Kind::Picture),
        _ => Err(format!(
            "{path}: only checkpoints (.safetensors) and pictures (.{}) can be opened.",
            PICTURES.join(", .")
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
        lessons::menu(ui, viewer);
        ui.menu_button("Save", |ui| save(ui, viewer, files));
        if !files.writing.is_empty() {
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
        (Tab::Lab, "Lab", "Energies of the plane: what chains do where one sees everything."),
    ];
    for (tab, name, hover) in tabs {
        ui.selectable_value(&mut viewer.view.view.tab, tab, name).on_hover_text(hover);
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
        0 => match &viewer.loading {
            Some((_, num_bytes)) => format!("loading… {:.1} MB", *num_bytes as f64 / 1e6),
            None => "loading…".to_string(),
        },
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
        ui.ctx().copy_text(format!("{}?{}", files.address, viewer.view.to_query()));
        viewer.notify(match files.address.is_empty() {
            true => "The link's query is in the clipboard.",
            false => "The link is in the clipboard.",
        });
        ui.close();
    }
}
