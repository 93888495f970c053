//! What in a data set may make training worse than it could be.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::items::{Gathered, Items, some_of};
use crate::counts::counted;
use crate::data::Values;

/// A class with fewer items is worth a warning. Class centres then borrow from other classes.
const FEW: usize = 10;

/// The warnings about a data set, each in one sentence.
pub(super) fn of(data: &Gathered) -> Vec<String> {
    let mut warnings = data.warnings.clone();
    let mut counts = vec![0; data.class_names.len()];
    for &label in &data.train.labels {
        counts[label as usize] += 1;
    }
    // A data set to measure on may have no training part.
    let is_trained_on = data.train.len() > 0;
    let is_few = |(count, _): &(&usize, &String)| is_trained_on && **count < FEW;
    let few = counts.iter().zip(&data.class_names).filter(is_few);
    let few: Vec<String> = few.map(|(count, name)| format!("{name}: {count}")).collect();
    if !few.is_empty() {
        warnings.push(format!(
            "{} fewer than {FEW} training items ({}); chains of such a class start from centres that borrow the spread of \
             the others",
            counted(few.len(), "class has", "classes have"),
            some_of(&few)
        ));
    }
    if is_trained_on && data.class_names.len() == 1 {
        warnings.push("there is one class: any answer is right, so accuracy means nothing".into());
    }
    warnings.extend(crowded(data));
    warnings.extend(doubles(data));
    warnings
}

/// A warning if a few far points make the square so large that the others lie close together in it.
fn crowded(data: &Gathered) -> Option<String> {
    /// The side of the box that the model sees, and the share of it that is too little for nine points of ten.
    const SIDE: f32 = 2.0;
    const LITTLE: f32 = 0.1;
    let is_points = data.shape[1] * data.shape[2] == 1;
    let Values::Floats(points) = &data.train.values else { return None };
    let spread = |axis: usize| {
        let mut values: Vec<f32> = points.iter().skip(axis).step_by(2).copied().collect();
        values.sort_by(f32::total_cmp);
        let at = |percent: usize| values.get(values.len() * percent / 100);
        Some(at(95)? - at(5)?)
    };
    let is_crowded =
        is_points && (0..2).all(|axis| spread(axis).is_some_and(|side| side < LITTLE * SIDE));
    is_crowded.then(|| {
        "a few points are so far away that nine of ten lie in a tenth of the square, where the model can hardly tell them \
         apart; leave the far ones out, or set data.frame"
            .into()
    })
}

/// Items that look the same to the network under two labels, and test items that are training items too.
fn doubles(data: &Gathered) -> Vec<String> {
    let mut seen: HashMap<u64, usize> = HashMap::new();
    let mut contradictions = Vec::new();
    for (index, print) in prints(&data.train) {
        let first = *seen.entry(print).or_insert(index);
        if data.train.labels[first] != data.train.labels[index] {
            contradictions.push((first, index));
        }
    }
    let mut warnings = Vec::new();
    if let Some(&(first, second)) = contradictions.first() {
        let named = |index: usize| {
            let class = &data.class_names[data.train.labels[index] as usize];
            format!("{} (class {class})", data.train.names[index])
        };
        warnings.push(format!(
            "{} the same as one of another class, as {} and {}",
            counted(contradictions.len(), "training item is", "training items are"),
            named(first),
            named(second)
        ));
    }
    for (part, items) in [("validation", &data.validation), ("test", &data.test)] {
        let Some(items) = items else { continue };
        let shared: Vec<(usize, usize)> =
            prints(items).filter_map(|(index, print)| Some((index, *seen.get(&print)?))).collect();
        if let Some(&(index, original)) = shared.first() {
            warnings.push(format!(
                "{} too, as {} and {}: accuracy will look better than it is",
                counted(
                    shared.len(),
                    &format!("{part} item is a training item"),
                    &format!("{part} items are training items")
                ),
                items.names[index],
                data.train.names[original]
            ));
        }
    }
    warnings
}

/// A number for each item that equal items share.
fn prints(items: &Items) -> impl Iterator<Item = (usize, u64)> {
    let len = items.len();
    (0..len).map(move |index| {
        let mut hasher = DefaultHasher::new();
        match &items.values {
            Values::Bytes(bytes) => {
                let size = bytes.len() / len;
                bytes[index * size..(index + 1) * size].hash(&mut hasher);
            }
            Values::Floats(floats) => {
                let size = floats.len() / len;
                for value in &floats[index * size..(index + 1) * size] {
                    value.to_bits().hash(&mut hasher);
                }
            }
        }
        (index, hasher.finish())
    })
}
