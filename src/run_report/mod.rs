//! The report of `jempp report`: training runs beside each other, as a page, as tables and as curves.
//!
//! Runs that differ only in their seed make one setting; the spread over seeds says what chance does. Runs of different data
//! sets are never put into one table or one curve.

mod curves;
mod metrics;
mod run;
mod setting;
mod tables;

use std::{
    io,
    path::{Path, PathBuf},
};

use maud::{Markup, html};

use self::{
    curves::Curve,
    run::Run,
    setting::{Setting, by_setting},
};
use crate::{
    counts::counted,
    files::{self, write_atomically},
    page::{
        self, Section,
        parts::{picture, union},
    },
    picture::png_of,
    results_folder::{Destination, Job, MadeBy, ResultsError},
};

/// The most sample grids that a page shows of one setting, since each is a large picture.
const MAX_GRIDS: usize = 3;

/// Why runs cannot be reported.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The folder holds no run.
    #[error("{0} holds no training run: {1}")]
    NoRun(PathBuf, String),
    /// No step of the run was written.
    #[error("{0} has no metrics yet: its training has written no step")]
    NoMetrics(PathBuf),
    /// The metrics of the run hold no step that can be read.
    #[error("{0} holds no step that can be read: its lines are not those of jempp's metrics")]
    OddMetrics(PathBuf),
    /// The configuration of a run cannot be understood.
    #[error("{0} is not a configuration of this jempp: {1}")]
    Config(PathBuf, String),
    /// A run was given twice.
    #[error("{0} is given twice")]
    Twice(PathBuf),
    /// The number of names is not that of the runs.
    #[error("each run needs one name, in the order {found}; runs: {runs}, names: {names}")]
    Names {
        /// The number of runs.
        runs: usize,
        /// The number of names.
        names: usize,
        /// The folders of the runs.
        found: String,
    },
    /// Two runs were given the same name.
    #[error("two runs are named {0}: give each a name of its own")]
    SameName(String),
    /// The results cannot be written.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// A curve cannot be drawn.
    #[error("the curve {0} cannot be drawn: {1}")]
    Curve(&'static str, String),
    /// A file of a run cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file of the report cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Training runs that were read, to be reported together.
#[derive(Debug)]
pub struct Report {
    runs: Vec<Run>,
    /// Why runs were left out, each in a few words.
    left_out: Vec<String>,
}

impl Report {
    /// Reads runs. A folder of runs, as a sweep makes it, stands for all of them. Runs without a step are left out, if there
    /// are others.
    ///
    /// # Errors
    /// A folder holds no run; no run has a step; a run or a name is given twice; `names` is neither empty nor one for
    /// each run.
    pub fn read(paths: &[PathBuf], names: &[String]) -> Result<Self, ReportError> {
        let folders: Vec<PathBuf> = paths.iter().flat_map(|path| run::folders(path)).collect();
        for (index, folder) in folders.iter().enumerate() {
            if folders[..index].iter().any(|other| files::is_same_place(other, folder)) {
                return Err(ReportError::Twice(folder.clone()));
            }
        }
        if !names.is_empty() && names.len() != folders.len() {
            let found: Vec<String> =
                folders.iter().map(|folder| folder.display().to_string()).collect();
            let (runs, names) = (folders.len(), names.len());
            return Err(ReportError::Names { runs, names, found: found.join(", ") });
        }
        for (index, name) in names.iter().enumerate() {
            if names[..index].iter().any(|other| other.trim() == name.trim()) {
                return Err(ReportError::SameName(name.clone()));
            }
        }
        let (mut runs, mut without_steps) = (Vec::new(), Vec::new());
        let mut left_out: Vec<String> =
            paths.iter().flat_map(|path| run::without_folder(path)).collect();
        for (index, folder) in folders.iter().enumerate() {
            match Run::read(folder) {
                Ok(mut run) => {
                    if let Some(name) = names.get(index) {
                        run.name.clone_from(name);
                    }
                    runs.push(run);
                }
                Err(error @ (ReportError::NoMetrics(_) | ReportError::OddMetrics(_))) => {
                    left_out.push(match run::failure_of(folder) {
                        Some(reason) => format!("{} failed: {reason}", folder.display()),
                        None => error.to_string(),
                    });
                    without_steps.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        match without_steps.into_iter().next() {
            Some(error) if runs.is_empty() => return Err(error),
            _ => tell_apart(&mut runs),
        }
        Ok(Self { runs, left_out })
    }

    /// The names of the runs.
    pub fn names(&self) -> Vec<String> {
        self.runs.iter().map(|run| run.name.clone()).collect()
    }

    /// What a reader should know about the runs, as sentences.
    pub fn notes(&self) -> Vec<String> {
        let left_out =
            |why: &String| format!("{}; this run is left out.", why.trim_end_matches('.'));
        let mut notes: Vec<String> = self.left_out.iter().map(left_out).collect();
        let data = self.data();
        if data.len() > 1 {
            notes.push(format!(
                "The runs learn different data, {}; what depends on the data cannot be compared between them, so each has its own \
                 tables and curves.",
                data.join(" and ")
            ));
        }
        for run in self.runs.iter().filter(|run| run.num_odd_lines > 0) {
            let lines = counted(run.num_odd_lines, "line", "lines");
            notes.push(format!(
                "{}: {lines} of its metrics could not be read and are left out.",
                run.name
            ));
        }
        let going: Vec<&str> = self
            .runs
            .iter()
            .filter(|run| !run.is_complete())
            .map(|run| run.name.as_str())
            .collect();
        if !going.is_empty() {
            notes.push(format!("Not at the end of training: {}.", going.join(", ")));
        }
        for run in &self.runs {
            if let Some(reason) = run::failure_of(&run.path) {
                notes.push(format!("{} failed: {}.", run.name, reason.trim_end_matches('.')));
            }
        }
        for (index, run) in self.runs.iter().enumerate() {
            let is_same = |other: &&Run| {
                other.config.seed == run.config.seed
                    && other.settings() == run.settings()
                    && other.data() == run.data()
            };
            if let Some(other) = self.runs[..index].iter().find(is_same) {
                notes.push(format!(
                    "{} and {} have the same settings and the same seed, so their spread says nothing about chance.",
                    other.name, run.name
                ));
            }
        }
        notes
    }

    /// The data sets of the runs.
    fn data(&self) -> Vec<String> {
        union(self.runs.iter().map(Run::data))
    }

    /// The runs of each data set, by setting.
    fn groups(&self) -> Vec<(String, Vec<Setting<'_>>)> {
        let of = |data: String| {
            let runs: Vec<&Run> = self.runs.iter().filter(|run| run.data() == data).collect();
            (data, by_setting(&runs))
        };
        self.data().into_iter().map(of).collect()
    }

    /// Writes the report to a folder: `report.html`, and for each data set tables in CSV and LaTeX and every curve in SVG and
    /// PNG. Returns the paths of the files.
    ///
    /// # Errors
    /// The folder may not be used, or a file cannot be written.
    pub fn write(&self, out: &Destination, command: String) -> Result<Vec<PathBuf>, ReportError> {
        let files = self.files()?;
        let made_by = MadeBy::new(Job::Report, command, self.names().join(", "), String::new(), 0);
        let names = files.iter().map(|(name, _)| name.clone()).collect();
        let folder = out.claim(MadeBy { files: Some(names), ..made_by })?;
        let mut written = Vec::new();
        for (name, bytes) in files {
            let path = folder.file(&name);
            write_atomically(&path, &bytes)
                .map_err(|source| ReportError::Write { path: path.clone(), source })?;
            written.push(path);
        }
        folder.finish()?;
        Ok(written)
    }

    /// The files of the report, with their names; the page is the first.
    fn files(&self) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
        let groups = self.groups();
        let curves: Vec<Vec<Curve>> =
            groups.iter().map(|(_, settings)| curves::curves(settings)).collect();
        let page = self.page(&groups, &curves);
        let mut files = vec![("report.html".to_string(), page.into_bytes())];
        for (index, ((_, settings), curves)) in groups.iter().zip(&curves).enumerate() {
            // The files of further data sets have a number.
            let number = if index == 0 { String::new() } else { format!("-{}", index + 1) };
            let mut add = |name: &str, ending: &str, bytes: Vec<u8>| {
                files.push((format!("{name}{number}.{ending}"), bytes));
            };
            add("runs", "csv", tables::runs_csv(settings).into_bytes());
            add("settings", "csv", tables::settings_csv(settings).into_bytes());
            add("settings", "tex", tables::latex(settings).into_bytes());
            for curve in curves {
                let (metric, panel) = (curve.metric, curves::alone(curve, settings));
                let failed = |why: String| ReportError::Curve(metric.key, why);
                let name = format!("curve-{}", metric.key);
                add(&name, "svg", panel.svg().map_err(failed)?.into_bytes());
                let png = png_of(panel.picture().map_err(failed)?);
                add(&name, "png", png.map_err(|error| failed(error.to_string()))?);
            }
        }
        Ok(files)
    }

    fn page(&self, groups: &[(String, Vec<Setting>)], curves: &[Vec<Curve>]) -> String {
        let is_one = groups.len() == 1;
        let mut sections = Vec::new();
        for (index, ((data, settings), curves)) in groups.iter().zip(curves).enumerate() {
            let mut add = |id: &str, title: &str, body: Markup| {
                let title = if is_one { title.to_string() } else { format!("{title}: {data}") };
                let id = if index == 0 { id.to_string() } else { format!("{id}-{}", index + 1) };
                sections.push(Section { id, title, body });
            };
            let tables = html! { (tables::runs(settings)) (tables::differences(settings)) };
            add("runs", "Runs", tables);
            add("figures", "Figures", tables::figures(settings));
            add("curves", "Curves", curves::section(settings, curves));
            if settings.iter().any(|setting| setting.runs.iter().any(|run| run.grid.is_some())) {
                add("samples", "Samples", samples(settings));
            }
        }
        let lead = html! {
            p.lead { (counted(self.runs.len(), "training run", "training runs")) " on " (self.data().join(" and ")) "." }
            @for note in self.notes() { p.note { (note) } }
        };
        let names = self.names();
        let title = match names.as_slice() {
            [one] => format!("Training of {one}"),
            _ => "Training runs".to_string(),
        };
        page::page(&title, &lead, &sections)
    }
}

/// Gives runs of the same name more of their path, so that each has a name of its own.
fn tell_apart(runs: &mut [Run]) {
    let tail = |path: &Path, count: usize| {
        let parts: Vec<_> = path.components().collect();
        let shown = parts[parts.len().saturating_sub(count)..].iter().collect::<PathBuf>();
        shown.display().to_string()
    };
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    let paths: Vec<PathBuf> = runs
        .iter()
        .map(|run| run.path.canonicalize().unwrap_or_else(|_| run.path.clone()))
        .collect();
    for index in 0..runs.len() {
        let others: Vec<usize> = (0..runs.len())
            .filter(|&other| other != index && names[other] == names[index])
            .collect();
        if others.is_empty() {
            continue;
        }
        let most = paths[index].components().count();
        let is_alone = |count: &usize| {
            others.iter().all(|&other| tail(&paths[other], *count) != tail(&paths[index], *count))
        };
        let count = (2..=most).find(is_alone).unwrap_or(most);
        runs[index].name = tail(&paths[index], count);
    }
}

/// The newest sample grids of the runs.
fn samples(settings: &[Setting]) -> Markup {
    let grid = |setting: &Setting, run: &Run| {
        let Some((epoch, png)) = &run.grid else { return html! {} };
        let label =
            if setting.label == run.name { String::new() } else { format!("{}, ", setting.label) };
        let caption = format!("{label}seed {}, epoch {epoch}.", run.config.seed);
        html! { div { (picture(png, &run.name, &caption)) } }
    };
    html! {
        div.panels {
            @for setting in settings {
                @for run in setting.runs.iter().take(MAX_GRIDS) { (grid(setting, run)) }
            }
        }
        @if settings.iter().any(|setting| setting.runs.len() > MAX_GRIDS) {
            p.note { "The first " (MAX_GRIDS) " runs of each setting; the others are in the folders of the runs." }
        }
        p.note { "Chains of the replay buffer at that epoch, in rows by class." }
    }
}
