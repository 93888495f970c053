//! The choice, with a store in memory and times that are made up.

use std::sync::MutexGuard;

use super::*;

const GPU: &str = "a GPU";
const BUDGET: Duration = Duration::from_millis(100);

/// A store in memory that two tuners can share, as two programs share a file.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<BTreeMap<(String, String), KeptChoice>>>);

impl Shared {
    fn all(&self) -> MutexGuard<'_, BTreeMap<(String, String), KeptChoice>> {
        self.0.lock().unwrap()
    }
}

impl ChoiceStore for Shared {
    fn kept(&mut self, adapter: &str, layer: &str) -> Option<KeptChoice> {
        self.all().get(&(adapter.into(), layer.into())).cloned()
    }

    fn keep(&mut self, adapter: &str, layer: &str, choice: &KeptChoice) {
        self.all().insert((adapter.into(), layer.into()), choice.clone());
    }
}

fn a_program(store: &Shared, budget: Duration) -> Tuner {
    Tuner {
        store: Some(Box::new(store.clone())),
        measuring: Measuring { budget, on_software: false },
        spent: Duration::ZERO,
        adapters: BTreeMap::new(),
        variants: BTreeMap::new(),
        choices: Vec::new(),
    }
}

fn layer(outputs: usize) -> LayerClass {
    let shape =
        ConvShape { batch: 4, height: 32, width: 32, inputs: 64, outputs, kernel: 3, stride: 1 };
    LayerClass::of(ConvPass::Forward, &shape, Surroundings::Plain)
}

/// What is chosen where `small` takes 4 ms, `large` 2 ms, and `broken` fails, and the number of measurements.
fn choose(
    tuner: &mut Tuner,
    adapter: &str,
    is_software: bool,
    class: LayerClass,
    candidates: &[&'static str],
) -> (&'static str, usize) {
    let mut count = 0;
    let variant = tuner.choose(
        adapter,
        class,
        || Candidates { names: candidates.to_vec(), is_software },
        |name, launches| {
            count += 1;
            let millis = match name {
                "small" => 4,
                "large" => 2,
                _ => return None,
            };
            Some(Duration::from_millis(millis) * launches)
        },
    );
    (variant, count)
}

const THREE: [&str; 3] = ["small", "broken", "large"];

#[test]
fn a_class_is_measured_once_and_the_next_program_takes_its_choice() {
    let store = Shared::default();
    let mut first = a_program(&store, BUDGET);
    let (variant, count) = choose(&mut first, GPU, false, layer(64), &THREE);
    assert!(variant == "large" && count > 3);
    assert_eq!(choose(&mut first, GPU, false, layer(64), &THREE), ("large", 0));
    let expected = [("large".to_string(), 2000.0), ("small".to_string(), 4000.0)];
    assert_eq!(first.choices.len(), 1);
    assert_eq!(
        (first.choices[0].reason, &first.choices[0].micros[..]),
        (Reason::Measured, &expected[..])
    );

    let mut second = a_program(&store, BUDGET);
    assert_eq!(choose(&mut second, GPU, false, layer(64), &THREE), ("large", 0));
    assert_eq!(
        (second.choices[0].reason, &second.choices[0].micros[..]),
        (Reason::Kept, &expected[..])
    );
    // Another adapter, and another class, know nothing of it.
    assert!(choose(&mut second, "another GPU", false, layer(64), &THREE).1 > 0);
    assert!(choose(&mut second, GPU, false, layer(32), &THREE).1 > 0);
}

#[test]
fn a_kept_variant_that_is_not_there_any_more_is_measured_anew() {
    let mut store = Shared::default();
    let gone = KeptChoice { variant: "gone".into(), micros: Vec::new() };
    store.keep(GPU, &layer(64).to_string(), &gone);
    let (variant, count) = choose(&mut a_program(&store, BUDGET), GPU, false, layer(64), &THREE);
    assert!(variant == "large" && count > 0);
    assert_eq!(store.kept(GPU, &layer(64).to_string()).unwrap().variant, "large");
}

#[test]
fn past_the_budget_the_guess_stays_and_the_next_program_measures_the_rest() {
    let store = Shared::default();
    let mut first = a_program(&store, Duration::from_millis(10));
    assert_eq!(choose(&mut first, GPU, false, layer(64), &THREE).0, "large");
    assert_eq!(choose(&mut first, GPU, false, layer(32), &THREE), ("small", 0));
    assert_eq!(first.choices[1].reason, Reason::Guessed);
    assert_eq!(store.all().len(), 1, "a guess is not kept");
    let mut second = a_program(&store, Duration::from_millis(10));
    assert_eq!(choose(&mut second, GPU, false, layer(64), &THREE), ("large", 0));
    assert_eq!(choose(&mut second, GPU, false, layer(32), &THREE).0, "large");
}

#[test]
fn a_class_that_is_cut_short_by_the_budget_takes_the_guess() {
    let store = Shared::default();
    // The first class takes 30 ms, and the second one would begin.
    let mut tuner = a_program(&store, Duration::from_millis(32));
    assert_eq!(choose(&mut tuner, GPU, false, layer(64), &THREE).0, "large");
    assert!(tuner.spent < tuner.measuring.budget, "{:?}", tuner.spent);
    assert_eq!(choose(&mut tuner, GPU, false, layer(32), &THREE), ("small", 1));
    assert_eq!(tuner.choices[1].reason, Reason::Guessed);
    assert_eq!(store.all().len(), 1);
}

#[test]
fn nothing_is_measured_on_software_adapters_and_without_a_budget() {
    let store = Shared::default();
    let mut tuner = a_program(&store, BUDGET);
    assert_eq!(choose(&mut tuner, "a program", true, layer(64), &THREE), ("small", 0));
    tuner.measuring.budget = Duration::ZERO;
    assert_eq!(choose(&mut tuner, GPU, false, layer(64), &THREE), ("small", 0));
    let reasons: Vec<_> = tuner.choices.iter().map(|choice| choice.reason).collect();
    assert_eq!(reasons, [Reason::Guessed; 2]);
    assert!(store.all().is_empty());
}

#[test]
fn a_device_that_fails_leaves_the_guess() {
    let store = Shared::default();
    let mut tuner = a_program(&store, BUDGET);
    assert_eq!(choose(&mut tuner, GPU, false, layer(64), &["broken", "worse"]).0, "broken");
    assert!(store.all().is_empty() && tuner.choices[0].reason == Reason::Guessed);
}

#[test]
fn layers_of_about_as_many_positions_share_a_choice() {
    let class = |batch, size| {
        let shape = ConvShape {
            batch,
            height: size,
            width: size,
            inputs: 64,
            outputs: 128,
            kernel: 3,
            stride: 2,
        };
        LayerClass::of(ConvPass::WeightGradient, &shape, Surroundings::Plain)
    };
    assert_eq!(class(64, 28), class(50, 31));
    assert_ne!(class(64, 28), class(64, 56));
    let words = "weight gradient 3x3 stride 2, 64 to 128 channels, from 2^13 positions";
    assert_eq!(class(64, 28).to_string(), words);
    assert_eq!(layer(10).to_string(), "forward 3x3, 64 to 10 channels, from 2^12 positions");
}

#[test]
fn a_layer_beside_batch_norm_has_a_choice_of_its_own() {
    let beside = LayerClass { surroundings: Surroundings::FirstOfBlock, ..layer(64) };
    assert_ne!(beside, layer(64));
    let words = "forward 3x3, 64 to 64 channels, from 2^12 positions, between batch norms";
    assert_eq!(beside.to_string(), words);
}
