//! The claims of each lesson, checked on the state that its link sets up.

mod images;
mod learning;
mod plane;

use burn::tensor::{Tensor, TensorData, activation::softmax};
use jempp::{
    app::Viewer,
    bundled::BundledModel,
    config::{LabState, Tab, ViewState},
    device,
    diagnostics::cells,
    lessons::{self, Lesson, TITLES},
    worker::lab::{Lab, LabFrame},
};
use pollster::block_on;

fn lesson(number: usize) -> Lesson {
    Lesson::parse(&block_on(lessons::text(number, None)).unwrap())
}

/// The state that a step of a lesson sets up.
fn state(number: usize, step: usize) -> ViewState {
    let lesson = lesson(number);
    ViewState::from_query(lesson.steps[step - 1].state().unwrap()).unwrap()
}

fn lab_of(state: &LabState) -> Lab {
    block_on(Lab::open(state.clone(), &device::cpu())).unwrap()
}

fn lab(number: usize, step: usize) -> Lab {
    let state = state(number, step);
    assert_eq!(state.view.tab, Tab::Lab);
    lab_of(&state.lab)
}

fn run(lab: &mut Lab, num_steps: usize) -> LabFrame {
    for _ in 0..num_steps {
        block_on(lab.advance()).unwrap();
    }
    lab.frame()
}

/// The total variation of a rule's chains to p^β, and its expected value for exact samples.
fn variation(lab: &Lab, x: &[f32], beta: f64) -> (f64, f64) {
    let exact = lab.surface().masses(beta).unwrap();
    (exact.total_variation(x), exact.expected_total_variation(x.len() / 2))
}

/// The coordinate x0 of the traced chains in the second half of the steps.
fn later_half(frame: &LabFrame) -> Vec<Vec<f64>> {
    let row = frame.lanes[0].traces.len() / frame.step as usize;
    let chain = |chain: usize| {
        let values = frame.lanes[0].traces.iter().skip(3 * chain).step_by(row);
        values.skip(frame.step as usize / 2).map(|x| f64::from(*x)).collect()
    };
    (0..row / 3).map(chain).collect()
}

/// The values of a surface in the squares that contain the points (N, 2).
fn at<T: Copy>(squares: &[T], points: &[f32]) -> Vec<T> {
    let side = squares.len().isqrt();
    let place = |v: f32| ((v / cells::EXTENT + 1.0) * 0.5 * side as f32) as usize;
    points.chunks_exact(2).map(|p| squares[place(p[1]) * side + place(p[0])]).collect()
}

/// The largest class probability that a bundled network gives for each input.
fn confidences(model: &BundledModel, inputs: Vec<f32>) -> Vec<f32> {
    let packed = model.load().unwrap();
    let ([c, h, w], device) = (packed.input_shape, device::cpu());
    let network = packed.network(&device).unwrap();
    let shape = [inputs.len() / (c * h * w), c, h, w];
    let logits = network.logits(Tensor::from_data(TensorData::new(inputs, shape), &device));
    crate::common::values(softmax(logits, 1).max_dim(1))
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

fn share_outside(x: &[f32]) -> f32 {
    let outside = |p: &&[f32]| p.iter().any(|v| !v.is_finite() || v.abs() > cells::EXTENT);
    x.chunks_exact(2).filter(outside).count() as f32 / (x.len() / 2) as f32
}

#[test]
fn every_lesson_has_steps_with_states_and_one_question_with_its_answer() {
    for (index, title) in TITLES.iter().enumerate() {
        let lesson = lesson(index + 1);
        assert_eq!(lesson.title, *title);
        assert!((2..=4).contains(&lesson.steps.len()), "{title}");
        for step in &lesson.steps {
            assert!(!step.title.is_empty());
            let state = ViewState::from_query(step.state().unwrap());
            assert_eq!(state.unwrap().view.lesson, 0, "a state does not name its lesson");
        }
        let is_question = |step: &&lessons::LessonStep| {
            step.blocks.iter().flat_map(|block| &block.spans).any(|span| span.text == "Question.")
        };
        let asking: Vec<_> = lesson.steps.iter().filter(is_question).collect();
        assert_eq!(asking.len(), 1, "{title}");
        assert!(!asking[0].answer.is_empty(), "{title}");
        assert_eq!(lesson.steps.iter().filter(|step| !step.answer.is_empty()).count(), 1);
    }
}

#[test]
fn a_teacher_may_bring_other_texts() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("2.md"), "# Mine\n\nNo heading, *no* state.").unwrap();
    let text = |number| block_on(lessons::text(number, Some(folder.path())));
    let mine = Lesson::parse(&text(2).unwrap());
    assert_eq!((mine.title.as_str(), mine.steps.len()), ("Mine", 1));
    assert_eq!(mine.steps[0].state(), None);
    assert!(text(3).unwrap_err().to_string().contains("3.md"));
    assert_eq!(Lesson::parse("").steps.len(), 1);
}

#[test]
fn a_link_to_a_lesson_sets_it_up() {
    let view = ViewState::from_query("lesson=3").unwrap();
    let mut viewer = Viewer::new(view);
    assert_eq!(viewer.lesson.number, 3);
    viewer.set_up(lesson(3).steps[1].state().unwrap());
    assert_eq!((viewer.session.tab, viewer.lesson.number), (Tab::Lab, 3));
    assert_eq!(viewer.lab.settings, state(3, 2).lab);
    // A change that the user made beside a lesson is kept after a link.
    viewer.lab.settings.config.num_chains = 77;
    let link = viewer.view().to_query();
    assert_eq!(ViewState::from_query(&link).unwrap(), viewer.view());
}
