use half::f16;

use super::*;
use crate::worker::{LaneImages, LaneStep, RunRequest, Step};

fn record(rule: &LaneConfig, num_steps: u64) -> Record {
    record_at(rule, num_steps, &[0.0; 4])
}

/// A record in which four chains stay at `x`.
fn record_at(rule: &LaneConfig, num_steps: u64, x: &[f32]) -> Record {
    let request =
        RunRequest { seed: 0, labels: vec![0, 0, 1, 1], lanes: vec![rule.clone()], image: None };
    let mut record = Record::new(request);
    let mut state = 7u64;
    let mut noise = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    for step in 0..num_steps {
        let probabilities =
            (0..4).flat_map(|_| if step % 2 == 0 { [1.0, 0.0] } else { [0.0, 1.0] });
        let numbers = LaneNumbers {
            energy: (0..4).map(|_| noise()).collect(),
            distance: vec![0.0; 4],
            probabilities: probabilities.map(f16::from_f32).collect(),
            acceptance: vec![0.5; 4],
            seconds: step as f64 * 0.1,
            ..LaneNumbers::default()
        };
        let images = LaneImages { x: x.into(), gradient: vec![], proximal_radius: None };
        record.push(Step { step, lanes: vec![LaneStep { images, numbers }] });
    }
    record
}

fn value(report: &LaneReport, row: Row) -> Result<f64, String> {
    let found = Row::all().zip(&report.values).find(|(r, _)| *r == row).unwrap();
    found.1.clone().map_err(|missing| missing.reason)
}

#[test]
fn independent_draws_converge() {
    let mut rule = LaneConfig::default();
    rule.sampler.noise_std = 0.1;
    rule.sampler.kind = SamplerKind::Mala;
    let report = assess(&record(&rule, 401), 0, &rule);
    assert_eq!(report.window, Window { first: 200, last: 400, stride: 1, num_draws: 201 });
    assert!(value(&report, Row::Chains(Diagnostic::SplitRHat)).unwrap() < 1.02);
    assert!(value(&report, Row::Chains(Diagnostic::NestedRHat)).unwrap() < 1.02);
    let ess = value(&report, Row::Chains(Diagnostic::EssBulk)).unwrap();
    let per_sec = value(&report, Row::Chains(Diagnostic::EssPerSec)).unwrap();
    assert!((per_sec * 20.0 / ess - 1.0).abs() < 1e-9);
    assert_eq!(value(&report, Row::Chains(Diagnostic::Switches)), Ok(200.0));
    assert_eq!(value(&report, Row::Acceptance), Ok(0.5));
    assert!(report.autocorrelation[1].1.abs() < 0.2 && report.autocorrelation[0].1 == 1.0);
}

#[test]
fn images_outside_the_box_have_no_numbers() {
    let mut rule = LaneConfig::default();
    rule.sampler.noise_std = 0.1;
    let r_hat = |x: &[f32]| {
        let report = assess(&record_at(&rule, 101, x), 0, &rule);
        value(&report, Row::Chains(Diagnostic::SplitRHat))
    };
    let mut images = vec![0.9; 4 * 3];
    assert!(r_hat(&images).is_ok());
    images[4] = -3.5;
    let said = r_hat(&images).unwrap_err();
    assert!(said.contains("1 of 4 chains left the box"), "{said}");
    // Points in the plane have no box.
    assert!(r_hat(&[9.0; 4 * 2]).is_ok());
}

#[test]
fn once_chains_leave_the_box_the_numbers_are_those_of_the_steps_before() {
    let mut rule = LaneConfig::default();
    rule.sampler.noise_std = 0.1;
    let mut record = record_at(&rule, 401, &[0.9; 4 * 3]);
    let mut x = [0.9; 4 * 3];
    x[4] = -3.5;
    for step in 401..420 {
        let numbers = record.numbers.entries()[step as usize - 300].1[0].clone();
        let images = LaneImages { x: x.into(), gradient: vec![], proximal_radius: None };
        record.push(Step { step, lanes: vec![LaneStep { images, numbers }] });
    }
    let mut convergence = Convergence::default();
    convergence.update(&record, std::slice::from_ref(&rule), 1, 0.0);
    let report = &convergence.lanes()[0];
    assert_eq!(report.window, Window { first: 200, last: 400, stride: 1, num_draws: 201 });
    assert!(value(report, Row::Chains(Diagnostic::SplitRHat)).unwrap() < 1.02);
    assert!(report.r_hat.last().is_some_and(|point| point.0 <= 400.0 && point.1 < 1.02));
    let said = report.departure.as_ref().unwrap().text();
    assert!(
        said.starts_with("1 of 4 chains left the box [−1, 1], the first by step 401."),
        "{said}"
    );
    // The noise of the data explains such a value.
    rule.sampler.kind = SamplerKind::Sgld;
    (rule.sampler.step_size, rule.sampler.noise_std) = (1.0, 0.173);
    rule.sampler.denoise_step = 10.7;
    let report = assess(&record, 0, &rule);
    assert!(report.departure.is_none() && report.window.last == 419);
}

#[test]
fn what_more_steps_bring_is_early() {
    let mut rule = LaneConfig::default();
    rule.sampler.noise_std = 0.1;
    let report = assess(&record(&rule, 1), 0, &rule);
    let is_early = |row| {
        let nth = Row::all().position(|other| other == row).unwrap();
        report.values[nth].as_ref().unwrap_err().is_early
    };
    assert!(is_early(Row::Chains(Diagnostic::SplitRHat)));
    assert!(!is_early(Row::Acceptance));
}

#[test]
fn r_hat_along_the_run_falls_to_its_line_and_is_withheld_once_chains_explode() {
    let mut rule = LaneConfig::default();
    rule.sampler.noise_std = 0.1;
    let mut record = record(&rule, 401);
    let mut convergence = Convergence::default();
    convergence.update(&record, std::slice::from_ref(&rule), 1, 0.0);
    let curve = convergence.lanes()[0].r_hat.clone();
    assert!((10..=30).contains(&curve.len()), "{}", curve.len());
    assert!(curve.last().unwrap().1 < 1.02 && curve[0].0 >= 16.0);
    let mut numbers = record.numbers.entries().last().unwrap().1[0].clone();
    numbers.energy[2] = f32::NAN;
    let images = LaneImages { x: vec![0.0; 4].into(), gradient: vec![], proximal_radius: None };
    record.push(Step { step: 401, lanes: vec![LaneStep { images, numbers }] });
    convergence.update(&record, std::slice::from_ref(&rule), 2, 10.0);
    let report = &convergence.lanes()[0];
    let reason = report.why_no_r_hat().unwrap();
    assert!(reason.starts_with("1 of 4 chains exploded"), "{reason}");
    assert!(report.r_hat.is_empty());
    assert!(value(report, Row::Chains(Diagnostic::EssBulk)).is_err());
}

#[test]
fn r_hat_along_the_run_is_that_of_the_run_that_is_recorded() {
    let mut rule = LaneConfig::default();
    rule.sampler.noise_std = 0.1;
    let (before, mut known) = (record(&rule, 401), RHats::new());
    let agrees = r_hat_curve(&before, 0, 400, &mut known);
    assert_eq!(known.len(), agrees.len());
    // The same steps of another run, in which one chain is far from the others.
    let mut now = Record::new(before.request.clone());
    for (step, lanes) in before.numbers.entries() {
        let mut numbers = lanes[0].clone();
        numbers.energy[0] += 50.0;
        let images = LaneImages { x: vec![0.0; 4].into(), gradient: vec![], proximal_radius: None };
        now.push(Step { step: *step, lanes: vec![LaneStep { images, numbers }] });
    }
    let disagrees = r_hat_curve(&now, 0, 400, &mut known);
    assert_eq!(disagrees.len(), agrees.len());
    assert!(disagrees.iter().all(|point| point.1 > 1.2), "{disagrees:?}");
    assert!(agrees.last().unwrap().1 < 1.02, "{agrees:?}");
}

#[test]
fn superchains_are_the_chains_that_share_a_start() {
    let groups = |start: ViewStart| {
        let mut rule = LaneConfig { start, ..LaneConfig::default() };
        rule.sampler.noise_std = 0.1;
        let record = record(&rule, 101);
        let nested = value(&assess(&record, 0, &rule), Row::Chains(Diagnostic::NestedRHat));
        (superchains(&record, 0), nested.is_ok())
    };
    assert_eq!(groups(ViewStart::ClassCenters), (vec![0, 0, 1, 1], true));
    assert_eq!(groups(ViewStart::Uniform), (vec![0, 1, 2, 3], true));
    assert_eq!(groups(ViewStart::Image), (vec![0; 4], false));
}

#[test]
fn where_there_is_no_law_a_reason_stands() {
    let rule = LaneConfig::default();
    let report = assess(&record(&rule, 41), 0, &rule);
    let reason = value(&report, Row::Chains(Diagnostic::SplitRHat)).unwrap_err();
    assert!(reason.contains("without noise"), "{reason}");
    assert!(value(&report, Row::Chains(Diagnostic::Switches)).is_ok());
    let reason = value(&report, Row::Acceptance).unwrap_err();
    assert_eq!(reason, "only MALA accepts or rejects");
    let mut rule = rule;
    rule.sampler.noise_std = 0.1;
    rule.is_conditional = true;
    let report = assess(&record(&rule, 41), 0, &rule);
    let reason = value(&report, Row::Chains(Diagnostic::EssBulk)).unwrap_err();
    assert!(reason.contains("own distribution"), "{reason}");
    let report = assess(&record(&rule, 1), 0, &rule);
    assert!(report.values.iter().all(Result::is_err));
}

#[test]
fn chains_that_disagree_keep_the_autocorrelation_above_0_as_they_do_its_time() {
    // Two chains that move by themselves, around energies far apart.
    let mut state = 7u64;
    let mut noise = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let draws: Vec<Vec<f64>> =
        [0.0, 50.0].map(|at| (0..200).map(|_| at + noise()).collect()).into();
    let together = autocorrelation(&draws, 2, true);
    assert!(together.iter().all(|point| point.1 > 0.9), "{together:?}");
    assert_eq!(together[3].0, 6.0);
    let each = autocorrelation(&draws, 2, false);
    assert!(each[1..].iter().all(|point| point.1 < 0.5), "{each:?}");
}
