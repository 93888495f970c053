//! Histogram of the chains' energies at the shown step, compared with the energies of real images.

use egui::{Color32, Ui};
use egui_plot::HoverPosition;

use super::{ranges::EXPLODED, series::quantile};
use crate::{
    app::{
        chart::{chart, lane_color, line, line_style, line_width, note},
        state::RunState,
    },
    worker::{Command, LaneNumbers},
};

const NUM_BINS: usize = 32;
/// The maximum distance that the plot reaches beyond the test images, as a multiple of their spread.
const MAX_REACH: f32 = 20.0;

/// The densities of energies, recomputed when the step or the images change.
#[derive(Default)]
pub(super) struct Histogram {
    key: Option<(u64, u64, usize, usize)>,
    low: f32,
    high: f32,
    test: Vec<f64>,
    test_median: f32,
    lanes: Vec<LaneDensity>,
}

struct LaneDensity {
    density: Vec<f64>,
    /// The number of chains with a non-finite energy or one outside the plot.
    num_outside: usize,
    num_chains: usize,
    /// The fraction of the finite chains below the median of the test images.
    share_below: f32,
}

/// The density of the values in each of `num_bins` equally wide bins, relative to all values, and the number of
/// values outside all bins.
fn density(values: &[f32], low: f32, high: f32, num_bins: usize) -> (Vec<f64>, usize) {
    let width = (high - low) / num_bins as f32;
    let mut counts = vec![0usize; num_bins];
    let mut num_outside = 0;
    for &value in values {
        if (low..=high).contains(&value) {
            counts[(((value - low) / width) as usize).min(num_bins - 1)] += 1;
        } else {
            num_outside += 1;
        }
    }
    let scale = 1.0 / (values.len().max(1) as f64 * f64::from(width));
    (counts.into_iter().map(|count| count as f64 * scale).collect(), num_outside)
}

/// A line through the centres of the bins. Steps would leave no space for a thick line between them.
fn outline(density: &[f64], low: f32, high: f32) -> Vec<(f64, f64)> {
    let (low, high) = (f64::from(low), f64::from(high));
    let middle = |index: usize| low + (high - low) * (index as f64 + 0.5) / density.len() as f64;
    let mut line = vec![(low, 0.0)];
    line.extend(density.iter().enumerate().map(|(index, &height)| (middle(index), height)));
    line.push((high, 0.0));
    line
}

impl Histogram {
    fn update(&mut self, test_energies: &[f32], lanes: &[LaneNumbers]) {
        let sorted_of = |values: &[f32]| {
            let mut sorted: Vec<f32> =
                values.iter().copied().filter(|v| v.abs() <= EXPLODED).collect();
            sorted.sort_unstable_by(f32::total_cmp);
            sorted
        };
        let test = sorted_of(test_energies);
        let (first, last) = (quantile(&test, 0.002), quantile(&test, 0.998));
        let reach = MAX_REACH * (last - first).max(1.0);
        (self.low, self.high) = (first, last);
        self.test_median = quantile(&test, 0.5);
        let chains: Vec<Vec<f32>> = lanes.iter().map(|lane| sorted_of(&lane.energy)).collect();
        for sorted in chains.iter().filter(|sorted| !sorted.is_empty()) {
            self.low = self.low.min(quantile(sorted, 0.02).max(first - reach));
            self.high = self.high.max(quantile(sorted, 0.98).min(last + reach));
        }
        let room = 0.03 * (self.high - self.low).max(0.1);
        (self.low, self.high) = (self.low - room, self.high + room);
        self.test = density(test_energies, self.low, self.high, NUM_BINS).0;
        self.lanes = lanes
            .iter()
            .zip(&chains)
            .map(|(lane, sorted)| {
                let (density, num_outside) = density(&lane.energy, self.low, self.high, NUM_BINS);
                let num_below = sorted.iter().filter(|&&value| value < self.test_median).count();
                let share_below = num_below as f32 / sorted.len().max(1) as f32;
                LaneDensity { density, num_outside, num_chains: lane.energy.len(), share_below }
            })
            .collect();
    }

    /// Draws the histogram, with a description in words.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        run: &RunState,
        names: &[String],
        height: f32,
        revision: u64,
    ) {
        let Some(references) = run.references.as_ref().filter(|r| !r.test_energies.is_empty())
        else {
            ui.weak("The energies of real test images are not there yet.");
            if let Some(reason) = run.why_no_references() {
                ui.label(reason);
                if ui.button("Load them again").clicked() {
                    run.ask(Command::LoadReferences);
                }
            }
            return;
        };
        let entry = run.record.as_ref().and_then(|r| r.numbers.at(run.shown_step()));
        let Some((step, numbers)) = entry else {
            ui.weak("No chains yet.");
            return;
        };
        let test = &references.test_energies;
        let key = Some((*step, revision, test.as_ptr() as usize, test.len()));
        if self.key != key {
            self.update(test, numbers);
            self.key = key;
        }
        let grey =
            if ui.visuals().dark_mode { Color32::from_gray(170) } else { Color32::from_gray(110) };
        let lanes = self.lanes.iter().map(|lane| &lane.density);
        let top = lanes.chain([&self.test]).flatten().copied().fold(1e-6, f64::max);
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        chart("histogram", height, "energy (lower = more likely)", "density")
            .label_formatter(|position| {
                let (HoverPosition::Elsewhere { position }
                | HoverPosition::NearDataPoint { position, .. }) = position;
                Some(format!("energy {:.2}", position.x))
            })
            .show(ui, |plot| {
                plot.set_plot_bounds_x(low..=high);
                plot.set_plot_bounds_y(0.0..=1.08 * top);
                line(plot, outline(&self.test, self.low, self.high), |line| {
                    line.color(grey).width(1.0).fill(0.0).fill_alpha(0.35)
                });
                for (lane, density) in self.lanes.iter().enumerate() {
                    let (color, style) = (lane_color(lane), line_style(lane));
                    line(plot, outline(&density.density, self.low, self.high), |line| {
                        line.color(color).width(line_width(lane, 2.0)).style(style)
                    });
                }
            });
        for (lane, density) in self.lanes.iter().enumerate() {
            let name = match names.len() {
                0 | 1 => String::new(),
                _ => format!("{}: ", names.get(lane).map_or("", String::as_str)),
            };
            let mut text = format!(
                "{name}{:.0} % of the chains at step {step} have a lower energy than the median test image.",
                100.0 * density.share_below
            );
            if density.num_outside > 0 {
                text += &format!(
                    " {} of {} lie outside the plot.",
                    density.num_outside, density.num_chains
                );
            }
            note(ui, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn densities_sum_to_what_is_inside() {
        let values = [0.0, 0.1, 0.6, 1.0, 7.0, f32::NAN];
        let (density, num_outside) = density(&values, 0.0, 1.0, 2);
        assert_eq!(num_outside, 2);
        let share: f64 = density.iter().map(|height| height * 0.5).sum();
        assert!((share - 4.0 / 6.0).abs() < 1e-9, "{density:?}");
        assert_eq!(outline(&[1.0, 2.0], 0.0, 1.0)[1..3], [(0.25, 1.0), (0.75, 2.0)]);
    }

    #[test]
    fn chains_far_from_the_data_widen_the_picture() {
        let lane = |energy: Vec<f32>| LaneNumbers { energy, ..LaneNumbers::default() };
        let test: Vec<f32> = (0..100).map(|index| index as f32 / 100.0).collect();
        let mut histogram = Histogram::default();
        histogram.update(&test, &[lane(vec![-5.0; 4]), lane(vec![f32::NAN, 2e6, 0.2, 0.9])]);
        assert!(histogram.low < -5.0 && histogram.high < 1.5);
        assert_eq!((histogram.lanes[0].share_below, histogram.lanes[0].num_outside), (1.0, 0));
        assert_eq!((histogram.lanes[1].share_below, histogram.lanes[1].num_outside), (0.5, 2));
    }
}
