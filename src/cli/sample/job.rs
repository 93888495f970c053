//! The job of `jempp sample`: it runs the chains and writes the result files at the same time.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use burn::tensor::Device;

use super::{
    super::parts,
    film::{self, Film},
    frames::Frames,
    part::SamplePart,
    table::Table,
};
use crate::{
    chains::{ChainRun, ChainSettings, ChainStep},
    checkpoint::Checkpoint,
    convergence::{ConvergenceSettings, Diagnosis, Draw, NoShortRun, Recorder},
    files::write_atomically,
    picture,
    results_folder::{Destination, MadeBy, PART_FILE, ResultsError, ResultsFolder, write_numbers},
    say::say,
};

/// The names of the tables of the chains at every step, and of the draws.
pub(super) const TRACES: &str = "traces.csv";
pub(super) const DRAWS: &str = "draws.csv";

/// The columns of `traces.csv`. The last three are empty without MALA or without a judge.
pub(super) const TRACE_COLUMNS: &str = "step,chain,class,energy,gradient_norm,clamp_rate,saturation,\
                             acceptance_probability,judged_class,judged_confidence";

/// A sampling job: what to sample, and where the results go.
pub(super) struct SampleJob {
    /// The chains and their number of steps.
    pub(super) settings: ChainSettings,
    /// The largest number of frames in the animation; at least 2, for the start and the end of the chains.
    pub(super) max_frames: usize,
    /// Another classifier, which predicts the class of each chain at every step.
    pub(super) judge: Option<Checkpoint>,
    /// The settings of the convergence diagnostics; `None` without them.
    pub(super) diagnose: Option<ConvergenceSettings>,
    /// The folder for the pictures and tables.
    pub(super) out: Destination,
    /// The description of the job, which is saved in the folder.
    pub(super) made_by: MadeBy,
}

/// The results of a sampling job.
pub(super) struct Sampled {
    /// The number of steps done; fewer than requested if the job was stopped.
    pub(super) num_steps: usize,
    /// Whether the job ran to its end.
    pub(super) is_complete: bool,
    /// The paths of the picture of the last state, whose rows are classes, and of the animation of the chains; none for a
    /// part of the chains.
    pub(super) pictures: Option<(PathBuf, PathBuf)>,
    /// The path of the table with energy and health of every chain at every step.
    pub(super) traces: PathBuf,
    /// The path of the table with summaries of the chains after the warm-up, if diagnostics were requested.
    pub(super) draws: Option<PathBuf>,
    /// The path of the diagnosis and the diagnosis, if it was requested and the job was not stopped before; none for a part
    /// of the chains.
    pub(super) diagnosis: Option<(PathBuf, Diagnosis)>,
}

/// A callback for progress: the current part of the job, the steps done and the steps in total.
pub(super) type Report<'a> = &'a mut dyn FnMut(&'static str, usize, usize);

impl SampleJob {
    /// Samples chains and writes `grid.png`, `chains.gif` and `traces.csv` to the folder. `report` is called after
    /// every step. A diagnosis adds `draws.csv` and `diagnostics.json`; it does not change the chains. A part of the chains
    /// has the numbers that these files are made of instead of the pictures and the diagnosis.
    ///
    /// Tables and animation are written while the chains run, so that memory does not grow with the number of steps.
    /// When `stop` returns true, the job ends after the current step: the samples so far are kept, and the folder is
    /// marked as unfinished.
    ///
    /// # Errors
    /// The settings do not fit the model, the chains do not allow a diagnosis, the folder may not be used, or a file
    /// cannot be written.
    pub(super) fn run(
        &self,
        checkpoint: &Checkpoint,
        device: &Device,
        stop: &dyn Fn() -> bool,
        report: Report,
    ) -> anyhow::Result<Sampled> {
        // Check the whole job before anything is written.
        let Some(out) = parts::place(&self.out, &self.made_by)? else {
            say!("{}", parts::MADE_BEFORE);
            return Ok(self.made_before(&self.out.path));
        };
        let mut run = ChainRun::new(checkpoint, &self.settings, device)?;
        if let Some(judge) = &self.judge {
            run = run.with_judge(judge)?;
        }
        let recorder = self.diagnose.as_ref().map(|wanted| Recorder::new(&mut run, wanted));
        let mut recorder = recorder.transpose()?;
        let (shape, labels) = (checkpoint.input_shape, run.labels().to_vec());
        let num_pixels = shape.iter().product::<usize>();
        let draw = |x: &[f32]| film::frame(x, &labels, shape, self.settings.per_class);
        // The pictures of all parts together must be possible too.
        let all = run.all_labels();
        film::frame(&vec![0.0; all.len() * num_pixels], all, shape, self.settings.per_class)?;

        let folder = out.claim(self.made_by.clone())?;
        let mut traces = Table::new(folder.file(TRACES), TRACE_COLUMNS)?;
        let is_part = self.made_by.part.is_some();
        let mut pictures = match is_part {
            true => Pictures::Frames(Frames::new(&folder)?),
            false => Pictures::Film(Film::new(&folder)?),
        };
        let first_chain = run.first_chain();
        let mut draws = match &recorder {
            Some(recorder) => {
                Some(Table::new(folder.file(DRAWS), &draws_columns(&recorder.names()))?)
            }
            None => None,
        };
        let num_steps = self.settings.num_steps;
        let stride = num_steps.div_ceil(self.max_frames - 1).max(1);
        let (mut num_done, mut last) = (0, Vec::new());
        loop {
            if stop() {
                run.stop();
            }
            let is_frame = run.next_step().is_multiple_of(stride) || run.is_at_end();
            run.read_images(is_frame);
            let Some(step) = run.next().transpose()? else { break };
            trace(&mut traces, &step, first_chain, &labels);
            traces.keep()?;
            if is_frame {
                let images = step.images.as_deref().unwrap_or_default();
                match &mut pictures {
                    Pictures::Film(film) => film.push(draw(images)?)?,
                    Pictures::Frames(frames) => frames.push(images)?,
                }
            }
            if let (Some(recorder), Some(table)) = (&mut recorder, &mut draws)
                && let Some(draw) = recorder.see(&step)?
            {
                write_draw(table, first_chain, draw);
                table.keep()?;
            }
            report("Sampling", step.step, num_steps);
            if step.is_last {
                (num_done, last) = (step.step, step.images.unwrap_or_default());
            }
        }

        let mut sampled = Sampled {
            num_steps: num_done,
            is_complete: num_done == num_steps,
            pictures: None,
            traces: traces.finish()?,
            draws: draws.map(Table::finish).transpose()?,
            diagnosis: None,
        };
        let num_frames = match pictures {
            Pictures::Film(film) => {
                let grid = folder.file("grid.png");
                picture::save_png(draw(&last)?, &grid)?;
                sampled.pictures = Some((grid, film.finish()?));
                0
            }
            Pictures::Frames(frames) => frames.finish()?,
        };
        let mut recorded = None;
        if let Some(recorder) = recorder
            && sampled.is_complete
        {
            let found = recorder.record(&run, &mut |done, total| {
                if stop() {
                    return ControlFlow::Break(());
                }
                report("Short run", done, total);
                ControlFlow::Continue(())
            })?;
            sampled.is_complete = found.short_run() != Err(NoShortRun::Stopped);
            match is_part {
                true => recorded = Some(found),
                false => sampled.diagnosis = Some(write_diagnosis(&folder, found.diagnose())?),
            }
        }
        if sampled.is_complete && is_part {
            let is_all = self.settings.classes.is_empty();
            let part = SamplePart {
                shape,
                rows: is_all.then(|| checkpoint.class_names.clone()),
                per_class: self.settings.per_class,
                num_steps,
                num_frames,
                labels,
                recorded,
            };
            let path = folder.file(PART_FILE);
            write_numbers(&path, &part).map_err(ResultsError::io(&path))?;
        }
        if sampled.is_complete {
            folder.finish()?;
        }
        Ok(sampled)
    }

    /// What is in a folder in which this part is done.
    fn made_before(&self, folder: &Path) -> Sampled {
        Sampled {
            num_steps: self.settings.num_steps,
            is_complete: true,
            pictures: None,
            traces: folder.join(TRACES),
            draws: None,
            diagnosis: None,
        }
    }
}

/// The pictures of a job, or the images that they will be made of.
enum Pictures {
    Film(Film),
    Frames(Frames),
}

/// Writes `diagnostics.json`; returns its path and the diagnosis.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write_diagnosis(
    folder: &ResultsFolder,
    found: Diagnosis,
) -> Result<(PathBuf, Diagnosis), ResultsError> {
    let path = folder.file("diagnostics.json");
    let json = format!("{:#}\n", found.to_json());
    write_atomically(&path, json.as_bytes()).map_err(ResultsError::io(&path))?;
    Ok((path, found))
}

/// Adds a row to `traces.csv` for each chain.
fn trace(traces: &mut Table, step: &ChainStep, first_chain: usize, labels: &[u32]) {
    let number = step.step;
    for (chain, label) in labels.iter().enumerate() {
        traces.add(format_args!("{number},{},{label}", first_chain + chain));
        for column in [&step.energies, &step.gradient_norms, &step.clamp_rates, &step.saturations] {
            traces.add(format_args!(",{}", column[chain]));
        }
        match &step.acceptance {
            Some(acceptance) => traces.add(format_args!(",{}", acceptance[chain])),
            None => traces.add(format_args!(",")),
        }
        match &step.judged {
            Some(judged) => {
                traces.add(format_args!(",{},{}", judged.classes[chain], judged.confidences[chain]))
            }
            None => traces.add(format_args!(",,")),
        }
        traces.end_row();
    }
}

/// The columns of `draws.csv`, the table of the draws that the diagnosis uses; `names` are those of their summaries.
pub(super) fn draws_columns(names: &[String]) -> String {
    format!("chain,draw,{}", names.join(","))
}

/// Adds a row to `draws.csv` for each chain.
fn write_draw(table: &mut Table, first_chain: usize, draw: Draw) {
    let num_chains = draw.summaries.first().map_or(0, Vec::len);
    for chain in 0..num_chains {
        table.add(format_args!("{},{}", first_chain + chain, draw.draw));
        for column in draw.summaries {
            // Write all digits, so that a reader gets the same number.
            table.add(format_args!(",{}", f64::from(column[chain])));
        }
        table.end_row();
    }
}
