use super::{super::lane_record::MAX_TRACE, *};
use crate::{
    app::state::{Lab, Requests},
    diagnostics::DoesNotApply,
    worker::{Command, lab::LabLaneFrame},
};

fn frame() -> LabLaneFrame {
    LabLaneFrame {
        x: vec![0.5, 0.1, -0.5, -0.1],
        mean_energy: 2.0,
        clamp_rate: 0.0,
        acceptance: None,
        traces: vec![],
        tracked: None,
    }
}

/// Sends frames of two chains that move in circles in the plane, ten steps per frame.
fn frames(record: &mut LabRecord, count: u64) {
    for _ in 0..count {
        let steps = record.step..record.step + 10;
        let rows = steps.flat_map(|step| {
            let angle = step as f32;
            [angle.cos(), 0.1, 1.0, (2.0 * angle).cos(), -0.1, 3.0]
        });
        let lane = LabLaneFrame { traces: rows.collect(), ..frame() };
        let step = record.step + 10;
        record.take(LabUpdate::Frame(LabFrame { step, lanes: vec![lane] }));
        record.diagnose();
    }
}

fn surface() -> LabUpdate {
    surface_with(Vec::new())
}

/// A flat energy in the plane, with these energies around it.
fn surface_with(around: Vec<f32>) -> LabUpdate {
    let side = diagnostics::cells::NUM_CELLS;
    LabUpdate::Surface(LabSurface {
        energy: vec![0.0; side * side].into(),
        around: around.into(),
        classes: vec![0; side * side],
        num_classes: 1,
    })
}

fn started() -> LabRecord {
    let mut record = LabRecord::default();
    record.sync(&LabState::default(), true);
    record.take(surface());
    record.take(LabUpdate::Started(vec![vec![0, 0]]));
    record
}

#[test]
fn old_traces_go_and_the_later_ones_know_where_they_begin() {
    let mut record = started();
    frames(&mut record, MAX_TRACE as u64 / 10 + 1);
    let lane = &record.lanes[0];
    let length = lane.traces[0].len();
    assert_eq!((length, lane.traces[1].len()), (MAX_TRACE / 2, MAX_TRACE / 2));
    assert_eq!(lane.first_traced + length as u64, record.step);
    assert_eq!(lane.traces[0][0][0], (lane.first_traced as f32).cos());
}

#[test]
fn without_noise_nothing_is_compared_and_the_reasons_are_known() {
    let mut record = started();
    frames(&mut record, 5);
    let lane = &record.lanes[0];
    assert!(lane.variation.last().is_some() && lane.agreement.as_ref().unwrap().r_hat.is_ok());
    let mut still = LabState::default();
    still.rules[0].sampler.noise_std = 0.0;
    record.sync(&still, true);
    frames(&mut record, 5);
    let lane = &record.lanes[0];
    assert_eq!(lane.exact, Some(Err(NoMasses::NoNoise)));
    assert_eq!(record.total_variations(), [None]);
    let agreement = lane.agreement.as_ref().unwrap();
    assert_eq!(agreement.r_hat, Err(DoesNotApply::NoNoise));
    assert!(!agreement.autocorrelation.is_empty());
}

#[test]
fn r_hat_is_a_curve_with_a_gap_while_chains_are_lost() {
    let mut record = started();
    frames(&mut record, 20);
    let lane = &record.lanes[0];
    assert_eq!(lane.why_no_r_hat(), None);
    let values: Vec<f64> = lane.r_hat.points().iter().map(|point| point[1]).collect();
    assert!(values.len() >= 5 && values.iter().all(|value| value.is_finite()), "{values:?}");
    assert_eq!(values.last().copied(), lane.agreement.as_ref().unwrap().r_hat.ok());
    let before = values.len();
    let lane = &mut record.lanes[0];
    let mut frame = lane.now.clone().unwrap();
    frame.x[3] = 7.0;
    frame.traces = vec![0.5; 6 * 200];
    lane.take(400, frame);
    lane.diagnose_if_due(400);
    assert_eq!(lane.why_no_r_hat().as_deref(), Some("1 of 2 chains have left the plane"));
    let points = lane.r_hat.points();
    assert!(points.len() > before && points.last().unwrap()[1].is_nan());
}

#[test]
fn chains_may_be_outside_the_plane_where_the_density_is() {
    let num_around = diagnostics::cells::surroundings().count();
    let mut record = started();
    // With this energy around the plane, one exact draw of 1,001 would be there: 8 parts of exp(-9.0) of 1 + 8 parts.
    record.take(surface_with(vec![9.0; num_around]));
    record.take(LabUpdate::Started(vec![vec![0; 4000]]));
    let mut look = |num_out: usize, at: f32| {
        let mut x = vec![0.5; 8000];
        x.chunks_exact_mut(2).take(num_out).for_each(|point| point[1] = at);
        let lane = LabLaneFrame { x, ..frame() };
        record.take(LabUpdate::Frame(LabFrame { step: 10, lanes: vec![lane] }));
        let lane = &record.lanes[0];
        (lane.why_no_r_hat(), lane.absent())
    };
    assert_eq!(look(0, 0.0), (None, None));
    let (why_not, absent) = look(8, -1.9);
    assert_eq!(why_not, None);
    let said = "8 of 4,000 chains are outside the plane, which this density allows.";
    assert_eq!(absent, Some((said.into(), false)));
    for (num_out, at) in [(40, -1.9), (1, 70.0), (1, f32::NAN)] {
        let (why_not, absent) = look(num_out, at);
        let said = format!("{num_out} of 4,000 chains have left the plane");
        assert_eq!(why_not.as_deref(), Some(said.as_str()));
        assert_eq!(absent, Some((said + ".", true)));
    }
    // A density that ends at the plane's edges has no chain outside.
    record.take(surface());
    let mut lost = record.lanes[0].clone();
    let mut frame = lost.now.clone().unwrap();
    frame.x[1] = -1.9;
    lost.take(20, frame);
    assert!(lost.why_no_r_hat().is_some());
}

#[test]
fn the_distance_between_two_rules_counts_the_chains_that_are_in_the_plane() {
    let first = [0.0, 0.0, 1.0, 0.0, 0.5, 0.5];
    assert_eq!(mean_distance(&first, &first), 0.0);
    assert_eq!(mean_distance(&first, &[0.3, 0.4, 1.0, 0.5, f32::NAN, 0.5]), 0.5);
    assert!(mean_distance(&first, &[9.0; 6]).is_nan());
}

#[test]
fn what_was_refused_is_asked_again_only_on_demand() {
    let mut record = LabRecord::default();
    let state = LabState::default();
    assert_eq!(record.sync(&state, true).len(), 1);
    record.is_running = true;
    record.refused("no such thing");
    assert_eq!((record.is_running, record.why_not.as_deref()), (false, Some("no such thing")));
    assert!(record.sync(&state, true).is_empty());
    record.reset();
    assert_eq!(record.sync(&state, true).len(), 2);
    assert_eq!(record.why_not, None);
    // The worker returned to another state by itself, which must not be requested again.
    let mut other = state.clone();
    other.config.seed = 5;
    record.set_shown(&other);
    assert!(record.sync(&other, true).is_empty());
}

#[test]
fn a_change_of_the_sampler_or_the_energy_begins_a_new_comparison() {
    let mut record = started();
    frames(&mut record, 20);
    assert_eq!(record.lanes[0].unchanged_since, 0);
    assert!(record.lanes[0].agreement.is_some());
    let mut state = LabState::default();
    // Neither how many steps a run has nor how fast it goes changes what is sampled.
    state.rules[0].sampler.num_steps += 1;
    state.config.max_steps_per_sec = 7.0;
    record.sync(&state, true);
    assert_eq!(record.lanes[0].unchanged_since, 0);
    state.rules[0].sampler.noise_std *= 2.0;
    record.sync(&state, true);
    let lane = &record.lanes[0];
    assert_eq!((lane.unchanged_since, lane.traces[0].len()), (200, 200));
    assert!(lane.agreement.is_none());
    assert!(lane.r_hat.last().unwrap().is_nan(), "a gap in the curve");
    frames(&mut record, 1);
    assert!(record.lanes[0].agreement.is_none(), "ten steps are too few");
    // The draws after the change alone: the same as those of a run that began there.
    frames(&mut record, 3);
    let values = |trace: &Vec<[f32; 3]>| trace[220..].iter().map(|v| v[0].into()).collect();
    let draws: Vec<Vec<f64>> = record.lanes[0].traces.iter().map(values).collect();
    let expected = diagnostics::split_r_hat(&draws);
    assert_eq!(record.lanes[0].agreement.as_ref().unwrap().r_hat, expected);
    record.take(surface());
    assert_eq!(record.lanes[0].unchanged_since, 240);
}

/// The worker shows another run.
fn begin(lab: &mut Lab) {
    lab.take(surface());
    lab.take(LabUpdate::Started(vec![vec![0, 0]]));
    lab.take(LabUpdate::Frame(LabFrame { step: 0, lanes: vec![frame()] }));
}

#[test]
fn an_undo_before_the_last_one_has_come_loses_no_run() {
    let (sender, _commands) = std::sync::mpsc::channel();
    let mut lab = Lab::new(LabState::default(), Requests::new(sender));
    lab.record = started();
    frames(&mut lab.record, 20);
    lab.settings.config.target = LabTarget::Ring;
    let other = lab.settings.clone();
    lab.follow(true);
    begin(&mut lab);
    for expected in [&LabState::default(), &other, &LabState::default(), &other] {
        assert!(lab.undo());
        assert_eq!(&lab.settings, expected);
    }
}

#[test]
fn the_last_run_comes_back_with_all_that_was_measured() {
    let (sender, commands) = std::sync::mpsc::channel();
    let mut lab = Lab::new(LabState::default(), Requests::new(sender));
    lab.record = started();
    frames(&mut lab.record, 20);
    let measured = |lab: &Lab| {
        let lane = &lab.record.lanes[0];
        let r_hat = lane.agreement.as_ref().map(|agreement| agreement.r_hat);
        (lane.variation.points().to_vec(), lane.r_hat.points().to_vec(), lane.traces.clone(), r_hat)
    };
    let before = measured(&lab);
    lab.settings.config.target = LabTarget::Ring;
    lab.settings.rules[0].sampler.noise_std *= 2.0;
    let other = lab.settings.clone();
    lab.follow(true);
    begin(&mut lab);
    assert!(lab.can_undo() && lab.record.step == 0);
    commands.try_iter().for_each(drop);
    assert!(lab.undo());
    let asked: Vec<Command> = commands.try_iter().collect();
    let [
        Command::Lab(LabCommand::Set(_)),
        Command::Lab(LabCommand::Restart),
        Command::Lab(LabCommand::Branch { step: 200, .. }),
    ] = &asked[..]
    else {
        unreachable!("{asked:?}");
    };
    begin(&mut lab);
    lab.take(LabUpdate::Frame(LabFrame { step: 200, lanes: vec![frame()] }));
    assert_eq!((&lab.settings, lab.record.step), (&LabState::default(), 200));
    assert_eq!(measured(&lab), before);
    // What gave way comes back in the same way, though it had not moved.
    assert!(lab.undo());
    assert_eq!(lab.settings, other);
    // A request that is refused leaves the run as it is.
    lab.take(LabUpdate::Refused("no".into()));
    lab.take(LabUpdate::Frame(LabFrame { step: 210, lanes: vec![frame()] }));
    assert_eq!(lab.record.step, 210);
}

#[test]
fn a_change_of_one_sampler_leaves_the_other_ones_curves() {
    let mut record = LabRecord::default();
    let mut state = LabState::default();
    state.config.reference = LabReference::Tempered;
    state.rules.push(state.rules[0].clone());
    record.sync(&state, true);
    record.take(surface());
    record.take(LabUpdate::Started(vec![vec![0, 0]; 2]));
    let lane = frame();
    record.take(LabUpdate::Frame(LabFrame { step: 10, lanes: vec![lane.clone(), lane] }));
    assert_eq!(record.lanes[0].variation.points().len(), 1);
    state.rules[1].sampler.noise_std *= 2.0;
    record.sync(&state, true);
    let lengths = [0, 1].map(|lane| record.lanes[lane].variation.points().len());
    assert_eq!(lengths, [1, 0]);
    record.take(surface());
    assert!(record.lanes[0].variation.points().is_empty(), "another energy changes all");
}
