//! Opening and saving files: the system's dialogs, dropped files, exports.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use egui::Context;

#[cfg(not(target_arch = "wasm32"))]
use super::disk::given::at_paths;
#[cfg(target_arch = "wasm32")]
use super::disk::given::sorted;
use super::{
    disk::{
        self, DialogPurpose, FileEvent, FileEventSender, PICTURES,
        given::{is_checkpoint, is_data},
    },
    exports::ExportJob,
    state::{Dropped, Export, RunState, Session, Training},
};
#[cfg(target_arch = "wasm32")]
use crate::data::OwnFile;
use crate::{config::Tab, data::drawn::DrawnSet, files, worker::Command};

/// If a dialog closes sooner than this, the user never saw it.
const MIN_DIALOG_TIME: Duration = Duration::from_millis(400);
/// The maximum size of a picture file, in bytes.
const MAX_PICTURE_BYTES: u64 = 64 << 20;

/// The open dialogs and the exports in progress.
pub(super) struct Files {
    done: (Sender<FileEvent>, Receiver<FileEvent>),
    /// The folder to save files to without a dialog.
    save_folder: Option<PathBuf>,
    /// The drawings that are saved when a path is chosen.
    drawings: Option<DrawnSet>,
    /// The exports that wait for a path.
    exports: Vec<(Export, ExportJob)>,
    /// A path that the user types, where the desktop has no file dialog.
    prompt: Option<disk::Prompt>,
    /// The files that are being written.
    writing: Vec<PathBuf>,
    /// The address of the page for links; empty if there is none.
    address: String,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            done: channel(),
            save_folder: None,
            drawings: None,
            exports: Vec::new(),
            prompt: None,
            writing: Vec::new(),
            address: String::new(),
        }
    }
}

impl Files {
    /// Saves all later files to this folder, without a dialog.
    pub(super) fn save_to(&mut self, folder: PathBuf) {
        self.save_folder = Some(folder);
    }

    /// Sets the address of the page, which every copied link starts with.
    #[cfg(target_arch = "wasm32")]
    pub(super) fn set_address(&mut self, address: String) {
        self.address = address;
    }

    /// The address of the page; empty if there is none.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Whether a file is being written.
    pub(super) fn is_writing(&self) -> bool {
        !self.writing.is_empty()
    }

    fn reply(&self, ctx: &Context) -> FileEventSender {
        FileEventSender { sender: self.done.0.clone(), ctx: ctx.clone() }
    }

    /// Takes what was dropped on the window: data to train on, or a checkpoint or picture to open.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn take_dropped(
        &mut self,
        ctx: &Context,
        run: &mut RunState,
        training: &mut Training,
        session: &mut Session,
    ) {
        let dropped = ctx.input(|input| input.raw.dropped_files.clone());
        let paths: Vec<PathBuf> = dropped.iter().map(|file| file.path().to_path_buf()).collect();
        let (models, others): (Vec<PathBuf>, Vec<PathBuf>) =
            paths.into_iter().partition(|path| is_checkpoint(&path.display().to_string()));
        models.iter().for_each(|path| self.open(ctx, path, run, session));
        let names: Vec<String> = others.iter().map(|path| path.display().to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let has_folder = others.iter().any(|path| path.is_dir());
        match session.tab == Tab::Train || is_data(&names, has_folder) {
            true => take_data(at_paths(&others), training, session),
            false => others.iter().for_each(|path| self.open(ctx, path, run, session)),
        }
        hint(ctx, session.tab);
    }

    /// Says what a file that is held over the page is good for. What is dropped comes through [`Files::listen`].
    #[cfg(target_arch = "wasm32")]
    pub(super) fn take_dropped(
        &mut self,
        ctx: &Context,
        _run: &mut RunState,
        _training: &mut Training,
        session: &mut Session,
    ) {
        hint(ctx, session.tab);
    }

    /// Listens to what a person drops on the page or chooses.
    #[cfg(target_arch = "wasm32")]
    pub(super) fn listen(&self, ctx: &Context) {
        disk::listen(self.reply(ctx));
    }

    /// Takes files that a person gave the page: data to train on, or a checkpoint or picture to open.
    #[cfg(target_arch = "wasm32")]
    fn take_given(
        &self,
        ctx: &Context,
        files: Vec<OwnFile>,
        run: &RunState,
        training: &mut Training,
        session: &mut Session,
    ) {
        let (models, others): (Vec<OwnFile>, Vec<OwnFile>) =
            files.into_iter().partition(|file| is_checkpoint(&file.name));
        models.into_iter().for_each(|file| self.read_given(ctx, file, run, session));
        let names: Vec<&str> = others.iter().map(|file| file.name.as_str()).collect();
        let has_folder = names.iter().any(|name| name.contains('/'));
        match session.tab == Tab::Train || is_data(&names, has_folder) {
            true => take_data(sorted(others), training, session),
            false => others.into_iter().for_each(|file| self.read_given(ctx, file, run, session)),
        }
    }

    /// Reads a file to open it, unless its name says already that it cannot be opened.
    #[cfg(target_arch = "wasm32")]
    fn read_given(&self, ctx: &Context, file: OwnFile, run: &RunState, session: &mut Session) {
        match kind_of(file.name.as_ref(), run) {
            Ok(_) => disk::read(file, self.reply(ctx)),
            Err(reason) => session.complain(reason),
        }
    }

    /// Asks the user for a path, unless a folder is already set.
    pub(super) fn ask(
        &mut self,
        ctx: &Context,
        purpose: DialogPurpose,
        run: &mut RunState,
        session: &mut Session,
    ) {
        if let (Some(folder), true) = (&self.save_folder, !purpose.opens()) {
            let path = self.free_path(&folder.join(purpose.file_name()));
            self.chosen(ctx, purpose, path, run, session);
            return;
        }
        disk::ask(purpose, self.reply(ctx));
    }

    /// Saves drawings to a file.
    pub(super) fn save_drawings(
        &mut self,
        ctx: &Context,
        drawings: DrawnSet,
        run: &mut RunState,
        session: &mut Session,
    ) {
        self.drawings = Some(drawings);
        self.ask(ctx, DialogPurpose::SaveDrawings, run, session);
    }

    /// Saves an export to a file.
    pub(super) fn save(
        &mut self,
        ctx: &Context,
        export: Export,
        job: ExportJob,
        run: &mut RunState,
        session: &mut Session,
    ) {
        self.exports.retain(|waiting| waiting.0 != export);
        self.exports.push((export, job));
        self.ask(ctx, DialogPurpose::Export(export), run, session);
    }

    fn chosen(
        &mut self,
        ctx: &Context,
        purpose: DialogPurpose,
        path: PathBuf,
        run: &mut RunState,
        session: &mut Session,
    ) {
        let export = match purpose {
            DialogPurpose::Open => return self.open(ctx, &path, run, session),
            DialogPurpose::SaveModel => return run.ask(Command::Save(path)),
            DialogPurpose::SaveOpen => return run.ask(Command::SaveOpen(path)),
            DialogPurpose::Export(export) => export,
            DialogPurpose::SaveDrawings => {
                let Some(drawings) = self.drawings.take() else { return };
                let content = move || {
                    let zip = drawings.to_zip();
                    zip.map_err(|error| format!("cannot save the drawings: {error}"))
                };
                self.writing.push(path.clone());
                return disk::write(content, path, self.reply(ctx));
            }
            // These dialogs answer with what they found.
            DialogPurpose::DataFolder | DialogPurpose::DataFiles | DialogPurpose::OpenDrawings => {
                return;
            }
        };
        let Some(place) = self.exports.iter().position(|waiting| waiting.0 == export) else {
            return;
        };
        let (_, job) = self.exports.swap_remove(place);
        self.writing.push(path.clone());
        disk::write(move || job.bytes(), path, self.reply(ctx));
    }

    /// Checks whether a dialog or an export has finished.
    pub(super) fn poll(
        &mut self,
        ctx: &Context,
        run: &mut RunState,
        training: &mut Training,
        session: &mut Session,
    ) {
        #[cfg(target_arch = "wasm32")]
        for (name, bytes) in std::mem::take(&mut session.downloads) {
            let written = disk::download(name.as_ref(), &bytes).map(|()| name.into());
            report_written(written, session);
        }
        if let Some((purpose, path)) = disk::Prompt::follow(&mut self.prompt, ctx) {
            match purpose.opens() {
                true => disk::open_path(purpose, path, self.reply(ctx)),
                false => {
                    let path = self.free_path(&path);
                    self.chosen(ctx, purpose, path, run, session);
                }
            }
        }
        while let Ok(done) = self.done.1.try_recv() {
            match done {
                FileEvent::Chosen { purpose, path: Some(path), .. } => {
                    self.chosen(ctx, purpose, path, run, session);
                }
                FileEvent::Chosen { purpose, path: None, asked }
                    if asked.elapsed() < MIN_DIALOG_TIME =>
                {
                    // This desktop has neither a portal nor a dialog program.
                    let here = std::env::current_dir().unwrap_or_default();
                    let path = match purpose.opens() {
                        true => here,
                        false => self.free_path(&here.join(purpose.file_name())),
                    };
                    self.prompt = Some(disk::Prompt::new(purpose, &path));
                }
                FileEvent::Chosen { path: None, .. } => {}
                #[cfg(not(target_arch = "wasm32"))]
                FileEvent::Dropped(dropped) => take_data(dropped, training, session),
                #[cfg(target_arch = "wasm32")]
                FileEvent::Given(Ok(files)) => self.take_given(ctx, files, run, training, session),
                #[cfg(target_arch = "wasm32")]
                FileEvent::Given(Err(reason)) => session.complain(reason),
                FileEvent::Read { name, content: Ok(bytes) } => {
                    self.open_bytes(ctx, name, bytes, run, session);
                }
                FileEvent::Read { name, content: Err(reason) } => {
                    session.complain(format!("cannot read {name}: {reason}"));
                }
                FileEvent::Decoded { image: Ok(image), shape } => {
                    match run.model.as_ref().is_some_and(|model| model.shape == shape) {
                        true => run.start_from(image),
                        false => session.complain("The picture was read for another model."),
                    }
                }
                FileEvent::Decoded { image: Err(reason), .. } => session.complain(reason),
                FileEvent::Drawings(Ok(drawings)) => training.drawn.take(drawings),
                FileEvent::Drawings(Err(reason)) => session.complain(reason),
                FileEvent::Written { path, result } => {
                    self.writing.retain(|other| *other != path);
                    report_written(result.map(|()| path), session);
                }
            }
        }
    }

    /// The path itself, or the path with a number if a file exists or is being written there, so that nothing
    /// is overwritten without asking.
    fn free_path(&self, path: &Path) -> PathBuf {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let numbered = (2..).map(|n| path.with_file_name(format!("{stem}-{n}.{ending}")));
        let mut names = std::iter::once(path.to_path_buf()).chain(numbered);
        let is_free = |path: &PathBuf| !path.exists() && !self.writing.contains(path);
        names.find(is_free).unwrap_or_else(|| path.to_path_buf())
    }

    /// Opens a checkpoint, or uses a picture as the start of all chains.
    fn open(&self, ctx: &Context, path: &Path, run: &RunState, session: &mut Session) {
        match kind_of(path, run) {
            // The worker reads the file, and finds it again when the session is restored.
            Ok(FileKind::Checkpoint) => run.open(path.display().to_string()),
            Ok(FileKind::Picture) => {
                let file = path.to_path_buf();
                let read = move || {
                    files::read_at_most(&file, MAX_PICTURE_BYTES)
                        .map_err(|error| format!("cannot read {}: {error}", file.display()))
                };
                self.start_from(ctx, path, read, run);
            }
            Err(reason) => session.complain(reason),
        }
    }

    /// Like `open`, for a file that was read as bytes.
    fn open_bytes(
        &self,
        ctx: &Context,
        name: String,
        bytes: Vec<u8>,
        run: &mut RunState,
        session: &mut Session,
    ) {
        match kind_of(name.as_ref(), run) {
            Ok(FileKind::Checkpoint) => run.open_bytes(&name, bytes.into()),
            Ok(FileKind::Picture) => self.start_from(ctx, name.as_ref(), || Ok(bytes), run),
            Err(reason) => session.complain(reason),
        }
    }

    /// Decodes a picture, from which all chains then start.
    fn start_from(
        &self,
        ctx: &Context,
        name: &Path,
        content: impl FnOnce() -> Result<Vec<u8>, String> + Send + 'static,
        run: &RunState,
    ) {
        if let Some(model) = &run.model {
            disk::decode(name.to_path_buf(), content, model.shape, self.reply(ctx));
        }
    }
}

/// Takes data to train on, and shows it.
fn take_data(dropped: Vec<Dropped>, training: &mut Training, session: &mut Session) {
    if !dropped.is_empty() {
        session.tab = Tab::Train;
    }
    dropped.into_iter().for_each(|dropped| training.own.take_dropped(dropped));
}

/// Says what a file that is held over the window is good for.
fn hint(ctx: &Context, tab: Tab) {
    if ctx.input(|input| input.raw.hovered_files.is_empty()) {
        return;
    }
    egui::Area::new(egui::Id::unique("drop"))
        .anchor(egui::Align2::CENTER_CENTER, egui::Vec2::ZERO)
        .order(egui::Order::Foreground)
        .show(ctx, |ui| {
            egui::Frame::popup(ui.style()).inner_margin(24.0).show(ui, |ui| {
                ui.heading(match tab {
                    Tab::Train => "Drop a folder, a zip or pictures to train on them.",
                    _ => "Drop a checkpoint to open it, or a picture to start all chains from it.",
                });
            });
        });
}

/// Reports to the user that a file was written, or why not.
fn report_written(written: Result<PathBuf, String>, session: &mut Session) {
    match written {
        Ok(path) => session.notify(format!("Saved {}.", path.display())),
        Err(reason) => session.complain(reason),
    }
}

/// The kind of a file, according to its extension.
enum FileKind {
    Checkpoint,
    Picture,
}

fn kind_of(path: &Path, run: &RunState) -> Result<FileKind, String> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let is_planar = run.model.as_ref().is_none_or(|model| model.is_planar());
    let path = path.display();
    match ending.as_str() {
        "safetensors" => Ok(FileKind::Checkpoint),
        "pt" | "pth" => Err(format!(
            "{path} is a PyTorch file: `jempp import {path} --out model.safetensors` makes a checkpoint of it.",
        )),
        picture if PICTURES.contains(&picture) && is_planar => {
            Err("A model of points in the plane cannot start from a picture.".into())
        }
        picture if PICTURES.contains(&picture) => Ok(FileKind::Picture),
        _ => Err(format!(
            "{path}: only checkpoints (.safetensors) and pictures (.{}) can be opened.",
            PICTURES.join(", .")
        )),
    }
}
