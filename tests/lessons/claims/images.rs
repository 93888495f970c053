//! Claims of the lessons that use the Fashion-MNIST model.

use std::time::Duration;

use jempp::{
    app::Viewer,
    bundled::BUNDLED_JUDGES,
    config::ViewState,
    worker::{self, Worker},
};

use super::{confidences, mean, state};

/// Runs the chains of a state to the end, and returns the viewer.
fn play(state: ViewState) -> Viewer {
    let Worker { commands, events, .. } = worker::spawn("cpu".into(), || {}).unwrap();
    let num_steps = state.view.num_steps as u64;
    let mut viewer = Viewer::new(state);
    while viewer.run.last_step() < num_steps {
        for command in viewer.take_commands() {
            commands.send(command).unwrap();
        }
        for event in events.recv_timeout(Duration::from_secs(300)).unwrap() {
            viewer.take(event);
        }
    }
    viewer
}

#[test]
fn lesson_5_garments_from_class_centres_are_lower_than_from_noise_after_60_steps() {
    let viewer = play(state(5, 2));
    let lanes = &viewer.run.shown_numbers().unwrap().1;
    let [from_noise, from_centres] = [0, 1].map(|lane: usize| mean(&lanes[lane].energy));
    println!("lesson 5, garments: {from_noise} {from_centres}");
    assert!(from_centres < from_noise - 1.0, "{from_noise} {from_centres}");
    // The fraction of images that a classifier trained without chains predicts with high confidence.
    let [noise, centres] = [0, 1].map(|lane: usize| {
        let x = viewer.run.shown_images().unwrap().1[lane].x.to_vec();
        let confidences = confidences(&BUNDLED_JUDGES[0], x);
        confidences.iter().filter(|p| **p > 0.9).count() as f32 / confidences.len() as f32
    });
    println!("lesson 5, garments named: {noise} {centres}");
    assert!(centres > noise + 0.2, "{noise} {centres}");
}

/// The mean energy of each lane at the step that is shown.
fn energies(viewer: &Viewer) -> Vec<f32> {
    viewer.run.shown_numbers().unwrap().1.iter().map(|lane| mean(&lane.energy)).collect()
}

// tests/kernels/sampler.rs checks the same for a real inner loop.
#[test]
fn lesson_7_ten_inner_steps_with_images_are_one_ten_times_as_long() {
    let mut viewer = play(state(7, 3));
    let (step, lanes) = viewer.run.shown_images().unwrap();
    assert_eq!((*step, lanes.len()), (5, 3));
    assert!(lanes[0].x == lanes[1].x, "not the same pictures");
    // At every step, each lane has computed the same number of full gradients.
    let spent: Vec<u64> =
        viewer.run.shown_numbers().unwrap().1.iter().map(|lane| lane.num_gradients).collect();
    assert!(spent.iter().all(|count| *count == spent[0]), "{spent:?}");
    let after_5 = energies(&viewer);
    assert!(after_5[2] > after_5[0] + 0.5, "SGLD has only begun: {after_5:?}");

    let lesson = super::lesson(7);
    let spans = lesson.steps[2].blocks.iter().flat_map(|block| &block.spans);
    let links: Vec<&str> = spans.filter_map(|span| span.link.as_deref()).collect();
    let whole = ViewState::from_query(links[1]).unwrap();
    assert_eq!((whole.view.num_steps, &whole.lanes), (50, &state(7, 3).lanes));
    viewer = play(whole);
    let after_50 = energies(&viewer);
    // The answer: what PYLD reaches with 5 gradients takes SGLD several times as many, and with 50 it ends lower.
    let record = viewer.run.record.as_ref().unwrap();
    let mut numbers = record.numbers.entries().iter();
    let as_low = numbers.find(|(_, lanes)| mean(&lanes[2].energy) <= after_5[0]).unwrap().0;
    println!("lesson 7, after 5 gradients {after_5:?}, after 50 {after_50:?}; as low at {as_low}");
    assert!((10..=30).contains(&as_low), "{as_low}");
    assert!(after_50[2] < after_5[0] - 1.0, "{after_50:?} {after_5:?}");
}
