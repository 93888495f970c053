//! The whole of a sampling job, made of its parts.

use std::io::{BufRead, BufReader, Lines};

use anyhow::ensure;

use super::{
    film::{self, Film},
    frames::FramesOfPart,
    job::{DRAWS, Sampled, TRACE_COLUMNS, TRACES, draws_columns, write_diagnosis},
    part::SamplePart,
    table::Table,
};
use crate::{
    convergence::Recorded,
    files, picture,
    results_folder::{Destination, MadeBy, PartFolder, PartsError, ResultsError, ResultsFolder},
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
    let mut whole = vec![Blocks {
        name: TRACES,
        head: TRACE_COLUMNS.to_string(),
        begins: |step, chain| format!("{step},{chain},"),
        counts: &counts,
        num_blocks: num_steps + 1,
    }];
    whole.extend(recorded.as_ref().map(|recorded| Blocks {
        name: DRAWS,
        head: draws_columns(recorded.names()),
        begins: |_, chain| format!("{chain},"),
        counts: &counts,
        num_blocks: recorded.num_draws(),
    }));
    // All that a part may lack is found before the folder is claimed, which removes earlier results there.
    for table in &whole {
        table.join(parts, |_| Ok(()))?;
    }
    film::frame(&vec![0.0; labels.len() * num_pixels], &labels, shape, per_class)?;

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
    for table in &whole {
        table.write(parts, &folder)?;
    }
    let grid = folder.file("grid.png");
    picture::save_png(last.unwrap_or_default(), &grid)?;
    let pictures = Some((grid, film.finish()?));
    let diagnosis = match recorded {
        Some(recorded) => Some(write_diagnosis(&folder, recorded.diagnose())?),
        None => None,
    };
    let traces = folder.file(TRACES);
    let draws = diagnosis.is_some().then(|| folder.file(DRAWS));
    folder.finish()?;
    let sampled = Sampled { num_steps, is_complete: true, pictures, traces, draws, diagnosis };
    Ok(Merged { rows, sampled })
}

/// A table with a block of rows for each step or draw, of which each part has the rows of its chains.
struct Blocks<'a> {
    name: &'static str,
    /// Its first row.
    head: String,
    /// How the row of a chain begins, by the number of its block and that of the chain.
    begins: fn(usize, usize) -> String,
    /// The number of chains of each part.
    counts: &'a [usize],
    num_blocks: usize,
}

impl Blocks<'_> {
    /// Writes the whole table.
    ///
    /// # Errors
    /// As [`Blocks::join`]; the whole table cannot be written.
    fn write(&self, parts: &[PartFolder], folder: &ResultsFolder) -> anyhow::Result<()> {
        let mut whole = Table::new(folder.file(self.name), &self.head)?;
        self.join(parts, |row| {
            whole.add(format_args!("{row}"));
            whole.end_row();
            whole.keep()
        })?;
        whole.finish()?;
        Ok(())
    }

    /// Gives the rows of all parts to `add`, in the order of the chains.
    ///
    /// # Errors
    /// A table of a part cannot be read or has other rows; an error of `add`.
    fn join(
        &self,
        parts: &[PartFolder],
        mut add: impl FnMut(&str) -> Result<(), ResultsError>,
    ) -> anyhow::Result<()> {
        let mut tables = Vec::new();
        for part in parts {
            let mut rows = self.rows(part)?;
            self.check(part, self.next(part, &mut rows)?.is_some_and(|row| row == self.head))?;
            tables.push(rows);
        }
        for block in 0..self.num_blocks {
            let mut chain = 0;
            for ((part, rows), &count) in parts.iter().zip(&mut tables).zip(self.counts) {
                for _ in 0..count {
                    let row = self.next(part, rows)?.unwrap_or_default();
                    self.check(part, row.starts_with(&(self.begins)(block, chain)))?;
                    add(&row)?;
                    chain += 1;
                }
            }
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
