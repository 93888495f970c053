//! The whole of a sampling job, made of its parts.

use std::io::{BufRead, BufReader, Lines};

use anyhow::ensure;

use super::{
    film::{self, Film},
    frames::FramesOfPart,
    job::{Sampled, TRACE_COLUMNS, draws_table, write_diagnosis},
    part::SamplePart,
    table::Table,
};
use crate::{
    convergence::Recorded,
    files, picture,
    results_folder::{Destination, MadeBy, PartFolder, PartsError},
};

/// The names of the rows of a merged picture, and the files.
pub(super) struct Merged {
    pub(super) rows: Option<Vec<String>>,
    pub(super) sampled: Sampled,
}

/// Makes the files of the whole job from its parts, which are all there and belong together.
///
/// # Errors
/// A file of a part cannot be read or does not fit the others; the folder may not be used, or a file cannot be written.
pub(super) fn merge(
    parts: &[PartFolder],
    out: &Destination,
    made_by: MadeBy,
) -> anyhow::Result<Merged> {
    let mut known = Vec::new();
    for part in parts {
        part.check_files()?;
        known.push(part.numbers::<SamplePart>()?);
    }
    let Some(first) = known.first() else { unreachable!("a job has a part") };
    let (shape, per_class, num_steps) = (first.shape, first.per_class, first.num_steps);
    let (num_frames, rows) = (first.num_frames, first.rows.clone());
    let labels: Vec<u32> = known.iter().flat_map(|part| part.labels.iter().copied()).collect();
    let counts: Vec<usize> = known.iter().map(|part| part.labels.len()).collect();
    for (part, found) in parts.iter().zip(&known) {
        let is_same = (found.shape, found.per_class, found.num_steps, found.num_frames)
            == (shape, per_class, num_steps, num_frames)
            && !found.labels.is_empty();
        ensure!(is_same, "{} does not fit the other parts", part.path.display());
    }
    let num_pixels: usize = shape.iter().product();
    let recorded: Option<Vec<Recorded>> = known.into_iter().map(|part| part.recorded).collect();
    let recorded = match recorded {
        Some(recorded) => {
            let whole = Recorded::join(recorded);
            Some(
                whole
                    .ok_or_else(|| anyhow::anyhow!("the draws of the parts do not fit together"))?,
            )
        }
        None => None,
    };
    let mut frames = Vec::new();
    for (part, count) in parts.iter().zip(&counts) {
        frames.push(FramesOfPart::open(part, count * num_pixels, num_frames)?);
    }

    let folder = out.claim(made_by)?;
    let mut film = Film::new(&folder)?;
    let mut last = None;
    for _ in 0..num_frames {
        let mut values = Vec::with_capacity(labels.len() * num_pixels);
        for part in &mut frames {
            part.next_into(&mut values)?;
        }
        let frame = film::frame(&values, &labels, shape, per_class)?;
        film.push(frame.clone())?;
        last = Some(frame);
    }
    let mut traces = Table::new(folder.file("traces.csv"), TRACE_COLUMNS)?;
    let steps = Blocks { name: "traces.csv", counts: &counts, num_blocks: num_steps + 1 };
    steps.join(parts, TRACE_COLUMNS, &mut traces, |step, chain| format!("{step},{chain},"))?;
    let draws = match &recorded {
        Some(recorded) => {
            let (head, mut draws) = draws_table(&folder, recorded.names())?;
            let num_blocks = recorded.num_draws();
            let blocks = Blocks { name: "draws.csv", counts: &counts, num_blocks };
            blocks.join(parts, &head, &mut draws, |_, chain| format!("{chain},"))?;
            Some(draws.finish()?)
        }
        None => None,
    };
    let grid = folder.file("grid.png");
    picture::save_png(last.unwrap_or_default(), &grid)?;
    let pictures = Some((grid, film.finish()?));
    let diagnosis = match recorded {
        Some(recorded) => Some(write_diagnosis(&folder, recorded.diagnose())?),
        None => None,
    };
    let traces = traces.finish()?;
    folder.finish()?;
    let sampled = Sampled { num_steps, is_complete: true, pictures, traces, draws, diagnosis };
    Ok(Merged { rows, sampled })
}

/// A table with a block of rows for each step or draw, of which each part has the rows of its chains.
struct Blocks<'a> {
    name: &'a str,
    /// The number of chains of each part.
    counts: &'a [usize],
    num_blocks: usize,
}

impl Blocks<'_> {
    /// Writes the rows of all parts to the whole table, in the order of the chains. `begins` says how the row of a chain
    /// begins, in a block.
    ///
    /// # Errors
    /// A table of a part cannot be read or has other rows; the whole table cannot be written.
    fn join(
        &self,
        parts: &[PartFolder],
        head: &str,
        whole: &mut Table,
        begins: impl Fn(usize, usize) -> String,
    ) -> anyhow::Result<()> {
        let mut tables = Vec::new();
        for part in parts {
            let mut rows = self.rows(part)?;
            self.check(part, self.next(part, &mut rows)?.is_some_and(|row| row == head))?;
            tables.push(rows);
        }
        for block in 0..self.num_blocks {
            let mut chain = 0;
            for ((part, rows), &count) in parts.iter().zip(&mut tables).zip(self.counts) {
                for _ in 0..count {
                    let row = self.next(part, rows)?.unwrap_or_default();
                    self.check(part, row.starts_with(&begins(block, chain)))?;
                    whole.add(format_args!("{row}"));
                    whole.end_row();
                    chain += 1;
                }
            }
            whole.keep()?;
        }
        for (part, rows) in parts.iter().zip(&mut tables) {
            self.check(part, self.next(part, rows)?.is_none())?;
        }
        Ok(())
    }

    fn rows(&self, part: &PartFolder) -> Result<Rows, PartsError> {
        let path = part.file(self.name);
        let (file, _) = files::open(&path).map_err(|error| PartsError::read(&path, error))?;
        Ok(BufReader::new(file).lines())
    }

    fn next(&self, part: &PartFolder, rows: &mut Rows) -> Result<Option<String>, PartsError> {
        let row = rows.next().transpose();
        row.map_err(|error| PartsError::read(&part.file(self.name), error))
    }

    fn check(&self, part: &PartFolder, is_right: bool) -> Result<(), PartsError> {
        match is_right {
            true => Ok(()),
            false => {
                let reason = "its rows are not those that were written. Make that part again";
                Err(PartsError::read(&part.file(self.name), reason))
            }
        }
    }
}

type Rows = Lines<BufReader<std::fs::File>>;
