//! Runs by setting: those that differ only in their seed belong together, and their spread is what chance does.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{
    metrics::{Metric, When},
    run::{Run, Series},
};
use crate::config::{Difference, RunConfig};

/// The number of parts of the steps, over which values of single steps are averaged for a curve.
const NUM_BINS: usize = 100;
/// The most differing keys that make a label; with more, runs are called by their names.
const MAX_KEYS: usize = 3;

/// The runs of one setting.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    pub(super) label: String,
    pub(super) runs: Vec<&'a Run>,
}

/// The mean of a figure over seeds, and its spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) count: usize,
    pub(super) mean: f64,
    /// The standard deviation of a sample; only with two seeds or more.
    pub(super) std: Option<f64>,
    /// The 95 % interval of the mean, by Student's distribution.
    pub(super) interval: Option<[f64; 2]>,
}

impl Spread {
    /// The spread of these values; `None` if there are none.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        if count == 1 {
            return Some(Self { count, mean, std: None, interval: None });
        }
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let std = (squares / (count - 1) as f64).sqrt();
        let student = StudentsT::new(0.0, 1.0, (count - 1) as f64).ok();
        let half = student.map(|student| student.inverse_cdf(0.975) * std / (count as f64).sqrt());
        let interval = half.map(|half| [mean - half, mean + half]);
        Some(Self { count, mean, std: Some(std), interval })
    }
}

/// A point of a curve: the step, the mean over seeds, and the standard deviation if there are several.
pub(super) type Point = (f64, f64, Option<f64>);

impl Setting<'_> {
    /// What a metric came to in each run, over the seeds.
    pub(super) fn last(&self, metric: &Metric) -> Option<Spread> {
        let values: Vec<f64> = self.runs.iter().filter_map(|run| run.last(metric)).collect();
        Spread::of(&values)
    }

    /// The curve of a metric over the seeds. Evaluations lie at their steps, and single steps are averaged in parts.
    pub(super) fn curve(&self, metric: &Metric) -> Vec<Point> {
        let last = self.runs.iter().map(|run| run.step).max().unwrap_or(0).max(1) as f64;
        let width = match metric.when {
            When::Step if last as usize > NUM_BINS => last / NUM_BINS as f64,
            _ => 0.0,
        };
        let curves: Vec<Series> =
            self.runs.iter().map(|run| binned(run.series(metric), width)).collect();
        let mut steps: Vec<f64> = curves.iter().flatten().map(|(step, _)| *step).collect();
        steps.sort_by(f64::total_cmp);
        steps.dedup();
        let at = |step: f64| {
            let value = |curve: &Series| {
                let index = curve.binary_search_by(|(at, _)| at.total_cmp(&step)).ok()?;
                Some(curve[index].1)
            };
            let spread = Spread::of(&curves.iter().filter_map(value).collect::<Vec<_>>())?;
            Some((step, spread.mean, spread.std))
        };
        steps.into_iter().filter_map(at).collect()
    }
}

/// The means of a series in parts of this width, each at the middle of its part; width 0 leaves it as it is.
fn binned(series: &[(f64, f64)], width: f64) -> Series {
    if width == 0.0 {
        return series.to_vec();
    }
    // A step that ends a part belongs to it.
    let bin_of = |step: f64| ((step / width).ceil() - 1.0).max(0.0);
    let bins = series.chunk_by(|a, b| bin_of(a.0) == bin_of(b.0));
    bins.map(|bin| {
        let mean = bin.iter().map(|(_, value)| value).sum::<f64>() / bin.len() as f64;
        ((bin_of(bin[0].0) + 0.5) * width, mean)
    })
    .collect()
}

/// Puts runs together that differ only in their seed, in the order of the first run of each setting.
pub(super) fn by_setting<'a>(runs: &[&'a Run]) -> Vec<Setting<'a>> {
    let mut found: Vec<(RunConfig, Vec<&Run>)> = Vec::new();
    for run in runs {
        let settings = run.settings();
        match found.iter_mut().find(|(other, _)| *other == settings) {
            Some((_, runs)) => runs.push(run),
            None => found.push((settings, vec![run])),
        }
    }
    let configs: Vec<&RunConfig> = found.iter().map(|(config, _)| config).collect();
    let keys = differing(&configs);
    let by_names =
        found.iter().all(|(_, runs)| runs.len() == 1) || keys.len() > MAX_KEYS || keys.is_empty();
    let label = |(index, runs): (usize, &Vec<&Run>)| match by_names {
        true => match runs.len() {
            1 => runs[0].name.clone(),
            count => format!("{} and {} more", runs[0].name, count - 1),
        },
        false => {
            let parts = keys.iter().map(|(key, values)| {
                format!("{} = {}", key.rsplit('.').next().unwrap_or(key), values[index])
            });
            parts.collect::<Vec<_>>().join(", ")
        }
    };
    let labels: Vec<String> = found.iter().map(|(_, runs)| runs).enumerate().map(label).collect();
    found.into_iter().zip(labels).map(|((_, runs), label)| Setting { label, runs }).collect()
}

/// The keys that differ between configurations, each with its value in each of them.
pub(super) fn differing(configs: &[&RunConfig]) -> Vec<(String, Vec<String>)> {
    let Some((first, others)) = configs.split_first() else { return Vec::new() };
    let differences: Vec<Vec<Difference>> =
        others.iter().map(|other| first.differences(other)).collect();
    let mut keys: Vec<(String, String)> = Vec::new();
    for Difference { key, here, .. } in differences.iter().flatten() {
        if !keys.iter().any(|(known, _)| known == key) {
            keys.push((key.clone(), here.clone()));
        }
    }
    let row = |(key, here): (String, String)| {
        let of_other = |list: &Vec<Difference>| {
            let found = list.iter().find(|difference| difference.key == key);
            found.map_or_else(|| here.clone(), |difference| difference.there.clone())
        };
        let values = std::iter::once(here.clone()).chain(differences.iter().map(of_other));
        let values = values.collect();
        (key, values)
    };
    keys.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_that_of_a_sample() {
        // numpy: mean 0.905, std with ddof=1 0.0070711; scipy: interval 0.8415 to 0.9685.
        let spread = Spread::of(&[0.91, 0.90]).unwrap();
        assert!((spread.mean - 0.905).abs() < 1e-12);
        assert!((spread.std.unwrap() - 0.007_071_067_8).abs() < 1e-9);
        let [low, high] = spread.interval.unwrap();
        assert!((low - 0.841_469).abs() < 1e-5 && (high - 0.968_531).abs() < 1e-5, "{low} {high}");
        let one = Spread { count: 1, mean: 0.5, std: None, interval: None };
        assert_eq!((Spread::of(&[0.5]), Spread::of(&[])), (Some(one), None));
    }

    #[test]
    fn steps_are_averaged_in_parts() {
        let series: Series = (1..=10).map(|step| (f64::from(step), f64::from(step))).collect();
        assert_eq!(binned(&series, 5.0), [(2.5, 3.0), (7.5, 8.0)]);
        assert_eq!(binned(&series, 0.0), series);
    }

    #[test]
    fn keys_that_differ_have_a_value_in_every_configuration() {
        let base = RunConfig::default();
        let changed = |text: &str| base.with_assignment(text).unwrap();
        let (fast, wide) = (changed("optimizer.learning_rate=0.5"), changed("data.batch_size=7"));
        let rows = differing(&[&base, &fast, &wide]);
        let (rate, size) =
            (base.optimizer.learning_rate.to_string(), base.data.batch_size.to_string());
        assert_eq!(rows.len(), 2);
        let of = |key: &str| rows.iter().find(|row| row.0 == key).unwrap().1.clone();
        assert_eq!(of("optimizer.learning_rate"), [rate.clone(), "0.5".into(), rate]);
        assert_eq!(of("data.batch_size"), [size.clone(), size, "7".into()]);
        assert!(differing(&[]).is_empty() && differing(&[&base]).is_empty());
    }
}
