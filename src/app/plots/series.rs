//! The data of the plots: a limited number of columns, each with the chains of every lane at one step. This
//! module draws nothing.

use std::sync::Arc;

use super::ranges::{EXPLODED, common_range, range_of, sane_range};
use crate::{app::record::Record, worker::LaneNumbers};

/// The maximum number of columns. Beyond it, every second column is dropped.
pub(super) const MAX_COLUMNS: usize = 500;
/// The maximum number of chains of a lane that are drawn one by one.
pub(super) const MAX_FAINT_CHAINS: usize = 60;

/// A quantity measured for each chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    /// The energy of the chain.
    Energy,
    /// The norm of the energy gradient, ‖∂E/∂x‖.
    GradientNorm,
    /// The fraction of clamped gradient components.
    ClampRate,
    /// The distance from the start, ‖x - x_0‖.
    Distance,
}

impl Metric {
    /// All metrics, in the order of [`LaneColumn::spreads`].
    pub(super) const ALL: [Self; 4] =
        [Self::Energy, Self::GradientNorm, Self::ClampRate, Self::Distance];

    /// The values of this metric, one per chain.
    pub(super) fn of(self, numbers: &LaneNumbers) -> &[f32] {
        match self {
            Self::Energy => &numbers.energy,
            Self::GradientNorm => &numbers.gradient_norm,
            Self::ClampRate => &numbers.clamp_rate,
            Self::Distance => &numbers.distance,
        }
    }
}

/// The quantity on the horizontal axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum XAxis {
    /// The number of steps.
    #[default]
    Steps,
    /// The number of full gradients per chain, which is the cost of a rule on any machine.
    Gradients,
    /// The computing time of a lane, in seconds.
    Seconds,
}

impl XAxis {
    /// Every choice, with its name and an explanation.
    pub(super) const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Steps, "steps", "Compares lanes at equal steps."),
        (
            Self::Gradients,
            "full gradients",
            "Forward and backward passes through the whole network, per chain. Compares lanes at equal cost. \
             MALA needs two per step.",
        ),
        (
            Self::Seconds,
            "seconds",
            "Computing time of each lane, for all its chains together. Compares lanes at equal time on this \
             machine.",
        ),
    ];

    /// The name of this choice.
    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|choice| choice.0 == self).map_or("", |choice| choice.1)
    }
}

/// Quantiles of the chains' values. They are NaN if no chain has a finite value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    /// The 10 % quantile.
    pub low: f32,
    /// The median of the values.
    pub median: f32,
    /// The 90 % quantile.
    pub high: f32,
}

impl Spread {
    /// The quantiles of the finite values.
    pub(super) fn of(values: &[f32]) -> Self {
        let mut finite: Vec<f32> = values.iter().copied().filter(|v| v.is_finite()).collect();
        finite.sort_unstable_by(f32::total_cmp);
        Self {
            low: quantile(&finite, 0.1),
            median: quantile(&finite, 0.5),
            high: quantile(&finite, 0.9),
        }
    }
}

/// The `p` quantile of sorted values, with linear interpolation; NaN if there are none.
pub(super) fn quantile(sorted: &[f32], p: f64) -> f32 {
    let Some(last) = sorted.len().checked_sub(1) else { return f32::NAN };
    let place = p * last as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + place.fract() as f32 * (high - low)
}

/// The chains of one lane at one step.
#[derive(Clone, Debug)]
pub(super) struct LaneColumn {
    num_gradients: u64,
    seconds: f64,
    /// The spread of each [`Metric`].
    pub spreads: [Spread; 4],
    /// The number of chains with a non-finite energy, or with one beyond [`EXPLODED`].
    pub num_exploded: usize,
    /// The energies of the chains that are drawn one by one, see [`Series::faint_chains`].
    pub energies: Vec<f32>,
}

/// All lanes at one step.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// The step of this column.
    pub step: u64,
    /// One entry per lane.
    pub lanes: Vec<LaneColumn>,
}

impl Column {
    fn new(step: u64, lanes: &[LaneNumbers], faint_chains: &[usize]) -> Self {
        let lanes = lanes.iter().map(|numbers| LaneColumn {
            num_gradients: numbers.num_gradients,
            seconds: numbers.seconds,
            spreads: Metric::ALL.map(|metric| Spread::of(metric.of(numbers))),
            num_exploded: (0..numbers.energy.len())
                .filter(|&chain| has_exploded(numbers, chain))
                .count(),
            energies: faint_chains
                .iter()
                .map(|&chain| numbers.energy.get(chain).copied().unwrap_or(f32::NAN))
                .collect(),
        });
        Self { step, lanes: lanes.collect() }
    }

    /// The position of a lane on the horizontal axis.
    pub(super) fn x(&self, axis: XAxis, lane: usize) -> f64 {
        match (axis, self.lanes.get(lane)) {
            (XAxis::Gradients, Some(lane)) => lane.num_gradients as f64,
            (XAxis::Seconds, Some(lane)) => lane.seconds,
            _ => self.step as f64,
        }
    }
}

/// Whether the energy of a chain is not finite, or beyond [`EXPLODED`].
pub(super) fn has_exploded(numbers: &LaneNumbers, chain: usize) -> bool {
    numbers.is_broken(chain) || numbers.energy[chain].abs() > EXPLODED
}

/// The columns of a run, kept up to date with its record.
#[derive(Default)]
pub(super) struct Series {
    columns: Vec<Column>,
    /// The number of steps between the columns, except for the newest column.
    stride: u64,
    /// The newest entry of the record that was added. It shows whether the record is a branch or another run.
    newest: Option<(u64, Arc<Vec<LaneNumbers>>)>,
    faint_chains: Vec<usize>,
    num_chains: usize,
    /// A number that changes whenever the columns change.
    pub revision: u64,
}

impl Series {
    /// Adds the new entries of the record. Returns true if there were any.
    pub(super) fn update(&mut self, record: Option<&Record>) -> bool {
        let newest = record.and_then(|record| record.numbers.entries().last());
        let is_same = match (&self.newest, newest) {
            (Some((old_step, old)), Some((step, new))) => old_step == step && Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        if is_same {
            return false;
        }
        self.revision += 1;
        let (Some(record), Some((last_step, last))) = (record, newest) else {
            *self = Self { revision: self.revision, ..Self::default() };
            return true;
        };
        let goes_on = self.newest.as_ref().is_some_and(|(step, old)| {
            record
                .numbers
                .at(*step)
                .is_some_and(|(at, entry)| at == step && Arc::ptr_eq(old, entry))
        });
        if !goes_on {
            self.columns.clear();
            self.stride = 1;
            self.num_chains = record.num_chains();
            self.faint_chains = evenly(self.num_chains, MAX_FAINT_CHAINS);
        }
        if self.columns.last().is_some_and(|column| column.step % self.stride != 0) {
            self.columns.pop();
        }
        let first_new = match self.columns.last() {
            Some(column) => {
                record.numbers.entries().partition_point(|entry| entry.0 <= column.step)
            }
            None => 0,
        };
        for (step, lanes) in &record.numbers.entries()[first_new..] {
            if step % self.stride == 0 || step == last_step {
                self.columns.push(Column::new(*step, lanes, &self.faint_chains));
            }
            if self.columns.len() > MAX_COLUMNS {
                self.stride *= 2;
                let stride = self.stride;
                self.columns
                    .retain(|column| column.step % stride == 0 || column.step == *last_step);
            }
        }
        self.newest = Some((*last_step, last.clone()));
        true
    }

    /// The columns, in the order of their steps.
    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The number of steps between two columns.
    pub(super) fn stride(&self) -> u64 {
        self.stride.max(1)
    }

    /// The indices of the chains that are drawn one by one.
    pub(super) fn faint_chains(&self) -> &[usize] {
        &self.faint_chains
    }

    /// The number of chains of a lane.
    pub(super) fn num_chains(&self) -> usize {
        self.num_chains
    }

    /// The number of lanes.
    pub(super) fn num_lanes(&self) -> usize {
        self.columns.last().map_or(0, |column| column.lanes.len())
    }

    /// The number of chains of a lane that have exploded by the newest step.
    pub(super) fn num_exploded(&self, lane: usize) -> usize {
        self.columns.last().and_then(|column| column.lanes.get(lane)).map_or(0, |l| l.num_exploded)
    }

    /// The column whose position on the axis, for this lane, is nearest to `x`.
    pub(super) fn nearest(&self, axis: XAxis, lane: usize, x: f64) -> Option<&Column> {
        let after = self.columns.partition_point(|column| column.x(axis, lane) < x);
        let near = [after.checked_sub(1), Some(after)];
        near.into_iter()
            .flatten()
            .filter_map(|index| self.columns.get(index))
            .min_by(|a, b| (a.x(axis, lane) - x).abs().total_cmp(&(b.x(axis, lane) - x).abs()))
    }

    /// The position of a step on the axis of a lane, interpolated between the columns beside it.
    pub(super) fn x_of_step(&self, axis: XAxis, lane: usize, step: u64) -> f64 {
        let after = self.columns.partition_point(|column| column.step < step);
        match (after.checked_sub(1).map(|i| &self.columns[i]), self.columns.get(after)) {
            (Some(a), Some(b)) => {
                let share = (step - a.step) as f64 / (b.step - a.step) as f64;
                a.x(axis, lane) + share * (b.x(axis, lane) - a.x(axis, lane))
            }
            (_, Some(column)) | (Some(column), None) => column.x(axis, lane),
            (None, None) => 0.0,
        }
    }

    /// The range of a metric for the vertical axis, and the lanes that it leaves out.
    pub(super) fn y_range(&self, metric: Metric) -> (Option<(f32, f32)>, Vec<usize>) {
        let index = metric as usize;
        let ranges: Vec<_> = (0..self.num_lanes())
            .map(|lane| {
                let columns = self.columns.iter().map(|column| {
                    let LaneColumn { spreads, energies, .. } = &column.lanes[lane];
                    let Spread { low, median, high } = spreads[index];
                    let chains = if metric == Metric::Energy { energies.as_slice() } else { &[] };
                    range_of([low, median, high].into_iter().chain(chains.iter().copied()))
                });
                sane_range(&columns.collect::<Vec<_>>())
            })
            .collect();
        common_range(&ranges)
    }
}

/// At most `most` of `count` indices, evenly spaced.
pub(super) fn evenly(count: usize, most: usize) -> Vec<usize> {
    let kept = count.min(most);
    (0..kept).map(|index| index * count / kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::LaneConfig,
        worker::{LaneImages, LaneStep, RunRequest, Step},
    };

    fn step(step: u64, energy: f32) -> Step {
        let numbers = LaneNumbers {
            energy: vec![energy, energy + 1.0],
            gradient_norm: vec![1.0; 2],
            clamp_rate: vec![0.0; 2],
            saturation: vec![0.0; 2],
            distance: vec![0.0; 2],
            num_gradients: 2 * step,
            ..LaneNumbers::default()
        };
        let images = LaneImages { x: vec![0.0; 2].into(), gradient: vec![], proximal_radius: None };
        Step { step, lanes: vec![LaneStep { images, numbers }] }
    }

    fn record() -> Record {
        let lanes = vec![LaneConfig::default()];
        Record::new(RunRequest { seed: 0, labels: vec![0, 1], lanes, image: None })
    }

    #[test]
    fn columns_stay_few_and_follow_a_branch() {
        let (mut record, mut series) = (record(), Series::default());
        for index in 0..5000 {
            record.push(step(index, index as f32));
            if index % 7 == 0 || index == 4999 {
                assert!(series.update(Some(&record)));
            }
        }
        assert!(!series.update(Some(&record)));
        assert!(series.columns().len() <= MAX_COLUMNS && series.columns().len() > MAX_COLUMNS / 3);
        assert_eq!(series.columns()[0].step, 0);
        assert_eq!(series.columns().last().map(|column| column.step), Some(4999));
        let steps: Vec<u64> = series.columns().iter().map(|column| column.step).collect();
        assert!(steps.windows(2).all(|pair| pair[0] < pair[1]), "{steps:?}");
        record.push(step(100, -1.0));
        record.push(step(101, -2.0));
        assert!(series.update(Some(&record)));
        let last = series.columns().last().map(|c| (c.step, c.lanes[0].spreads[0].low));
        assert_eq!(last.map(|(step, low)| (step, (low * 10.0).round())), Some((101, -19.0)));
        let x = series.x_of_step(XAxis::Gradients, 0, 50);
        assert_eq!(x, 100.0);
        assert_eq!(series.nearest(XAxis::Gradients, 0, 100.4).map(|c| c.step), Some(50));
    }

    #[test]
    fn spreads_skip_what_is_not_finite() {
        let values: Vec<f32> = (0..=10).map(|value| value as f32).chain([f32::NAN]).collect();
        assert_eq!(Spread::of(&values), Spread { low: 1.0, median: 5.0, high: 9.0 });
        assert!(Spread::of(&[f32::INFINITY]).median.is_nan());
        assert_eq!(evenly(100, 4), [0, 25, 50, 75]);
        assert_eq!(evenly(3, 60), [0, 1, 2]);
    }
}
