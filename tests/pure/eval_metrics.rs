//! Metrics of an evaluation compared with scikit-learn and SciPy, and with results by hand.
//!
//! `tests/sklearn/golden.py` creates `tests/sklearn/golden.json`.

use std::{fs, path::Path};

use crate::uniforms::Uniforms;
use jempp::{
    accuracy::{Tally, fit_temperature, predicted},
    eval::{
        metrics::{
            Moments, auroc, bootstrap, bootstrap_distance, calibrated, calibration,
            false_positives_at, frechet, frechet_distance, inception_like, jackknife, mean,
            nearest_distances, precision_recall, proportion, roc, separation,
        },
        results::{Estimate, Score},
    },
    numbers::softmax_rows,
};
use serde_json::Value;

fn cases(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sklearn/golden.json");
    let golden: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let cases = golden[name].as_array().unwrap().clone();
    assert!(cases.len() >= 2);
    cases
}

fn number(case: &Value, key: &str) -> f64 {
    case[key].as_f64().unwrap_or_else(|| panic!("{key} of {case}"))
}

fn count(case: &Value, key: &str) -> usize {
    case[key].as_u64().unwrap() as usize
}

fn random_of(case: &Value) -> Uniforms {
    Uniforms(case["seed"].as_u64().unwrap())
}

fn assert_near(found: f64, expected: f64, tolerance: f64, what: &str) {
    let error = (found - expected).abs() / expected.abs().max(1.0);
    assert!(error < tolerance, "{what}: {found} instead of {expected}");
}

fn logits_and_labels(case: &Value) -> (Vec<f32>, Vec<u32>) {
    let mut random = random_of(case);
    let (num_classes, scale) = (count(case, "classes"), number(case, "scale"));
    let (mut logits, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..count(case, "count") {
        let label = (random.next() * num_classes as f64) as usize;
        let mut row: Vec<f64> = (0..num_classes).map(|_| scale * random.normal()).collect();
        row[label] += scale * number(case, "lift");
        logits.extend(row.into_iter().map(|logit| logit as f32));
        labels.push(label as u32);
    }
    (logits, labels)
}

#[test]
fn calibration_is_that_of_scikit_learn() {
    for case in cases("calibration") {
        let (logits, labels) = logits_and_labels(&case);
        let found = calibration(&logits, &labels, count(&case, "classes"), 100, 0);
        let tally = Tally::of(&logits, &labels, count(&case, "classes"));
        assert_near(tally.accuracy(), number(&case, "accuracy"), 1e-12, "accuracy");
        // Sums of the same `f32` logits in another order.
        let near = |estimate: Estimate, key: &str| {
            assert_near(estimate.value, number(&case, key), 1e-9, key);
            let Estimate { value, low, high } = estimate;
            assert!(low <= value && value <= high, "{estimate:?}");
        };
        near(found.plain.expected, "expected");
        near(found.plain.maximum, "maximum");
        near(found.plain.brier, "brier");
        near(found.plain.nll, "nll");
        let temperature = fit_temperature(&logits, &labels, count(&case, "classes"));
        assert_near(temperature, number(&case, "temperature"), 1e-9, "temperature");
        assert_eq!(found.bins.iter().map(|bin| bin.count).sum::<usize>(), labels.len());
    }
}

#[test]
fn ranking_is_that_of_scikit_learn() {
    for case in cases("ranking") {
        let mut random = random_of(&case);
        let grid = number(&case, "grid");
        let mut scores = |key: &str, shift: f64| -> Vec<f64> {
            let value = |_| {
                let value = random.normal() + shift;
                if grid > 0.0 { (value / grid).floor() * grid } else { value }
            };
            (0..count(&case, key)).map(value).collect()
        };
        let inside = scores("inside", number(&case, "shift"));
        let outside = scores("outside", 0.0);
        assert_near(auroc(&inside, &outside), number(&case, "auroc"), 1e-12, "AUROC");
        let false_positives = false_positives_at(&inside, &outside);
        assert_near(false_positives, number(&case, "false_positives"), 1e-12, "FPR at 95 %");
        let found = separation(Score::LogPX, &inside, &outside, 2000, 0);
        assert_eq!(found.auroc.value, auroc(&inside, &outside));
        assert_eq!(found.false_positives_at_95.value, false_positives);
        if found.auroc.value == 1.0 {
            // No resample overlaps where the sides do not: see the next test.
            continue;
        }
        // The resamples differ from those of SciPy: the quantiles vary by a few thousandths.
        for (found, key) in [(found.auroc.low, "low"), (found.auroc.high, "high")] {
            assert!((found - number(&case, key)).abs() < 0.01, "{key}: {found} for {case}");
        }
    }
}

/// The numbers are those of Newcombe's and of Wilson's formulas.
#[test]
fn sides_that_do_not_overlap_are_not_certain_to_be_apart() {
    for (count, lowest, most_passed) in [(2, 0.386, 0.658), (6, 0.689, 0.390), (50, 0.960, 0.071)] {
        let high: Vec<f64> = (0..count).map(|index| 1.0 + f64::from(index)).collect();
        let low: Vec<f64> = high.iter().map(|value| -value).collect();
        let apart = separation(Score::LogPX, &high, &low, 200, 0);
        let Estimate { value, low: lower, high: upper } = apart.auroc;
        assert_eq!([value, upper], [1.0; 2]);
        assert_near(lower, lowest, 1e-3, "AUROC");
        assert_near(apart.false_positives_at_95.high, most_passed, 1e-3, "FPR at 95 %");
        assert_eq!(apart.false_positives_at_95.low, 0.0);
        let turned = separation(Score::LogPX, &low, &high, 200, 0);
        assert_near(turned.auroc.high, 1.0 - lowest, 1e-3, "the same from the other side");
        assert_eq!([turned.auroc.value, turned.auroc.low], [0.0; 2]);
    }
    // Many items that overlap have a narrow interval still.
    let mut random = Uniforms(91);
    let [inside, outside] =
        [1.0, 0.0].map(|shift| (0..800).map(|_| random.normal() + shift).collect::<Vec<f64>>());
    let found = separation(Score::LogPX, &inside, &outside, 1000, 0).auroc;
    assert!(found.high - found.low < 0.06, "{found:?}");
}

#[test]
fn intervals_of_areas_cover_what_they_should() {
    let mut random = Uniforms(101);
    // P(X > Y) of normal variables that are 1.5 standard deviations apart.
    let truth = 0.855_6;
    let mut covered = 0;
    for round in 0..400 {
        let mut draw =
            |shift: f64| -> Vec<f64> { (0..15).map(|_| random.normal() + shift).collect() };
        let (inside, outside) = (draw(1.5), draw(0.0));
        let found = separation(Score::LogPX, &inside, &outside, 300, round).auroc;
        covered += usize::from((found.low..=found.high).contains(&truth));
    }
    // 95 % of 400 is 380. With so few items, the bootstrap alone covers about 372.
    assert!((385..=399).contains(&covered), "{covered}");
}

/// The two feature sets of a case.
fn sets_of(case: &Value) -> [Vec<f32>; 2] {
    let mut random = random_of(case);
    let (dim, rank) = (count(case, "dim"), count(case, "rank"));
    let mut features = |rows: usize, stretch: f64, shift: f64| -> Vec<f32> {
        let mut draw = |count: usize| -> Vec<f64> { (0..count).map(|_| random.normal()).collect() };
        let (mix, rows) = (draw(rank * dim), draw(rows * rank));
        let value = |row: &[f64], j: usize| {
            let sum: f64 =
                row.iter().enumerate().map(|(r, v)| stretch * v * mix[r * dim + j]).sum();
            (sum + shift) as f32
        };
        rows.chunks(rank).flat_map(|row| (0..dim).map(move |j| value(row, j))).collect()
    };
    let first = features(count(case, "count"), 1.0, 0.0);
    [first, features(count(case, "others"), number(case, "stretch"), number(case, "shift"))]
}

#[test]
fn distances_are_those_of_scipy_and_scikit_learn() {
    for case in cases("sets") {
        let ([a, b], dim) = (sets_of(&case), count(&case, "dim"));
        assert_eq!(f64::from(b[b.len() - 1]), number(&case, "last"), "a number");
        let moments = [Moments::of(&a, dim), Moments::of(&b, dim)];
        let distance = frechet_distance(&moments[0], &moments[1]);
        assert_near(distance, number(&case, "frechet"), 1e-9, "Fréchet distance");
        let turned = frechet_distance(&moments[1], &moments[0]);
        assert_near(turned, distance, 1e-9, "the same from the other side");
        assert_eq!(frechet(&a, &moments[1], dim).value, distance);
        let (precision, recall) = precision_recall(&a, &b, dim, count(&case, "neighbors"));
        assert_near(precision.value, number(&case, "precision"), 1e-12, "precision");
        assert_near(recall.value, number(&case, "recall"), 1e-12, "recall");
        let nearest = nearest_distances(&b, &a, dim);
        for (row, found) in nearest.iter().enumerate() {
            let expected = case["nearest"][row].as_f64().unwrap();
            // The distance is an `f32`.
            assert_near(found.0.into(), expected, 1e-7, "distance");
            assert_eq!(found.1 as u64, case["nearest_index"][row].as_u64().unwrap());
        }
    }
}

#[test]
fn scores_and_proportions_are_those_of_scipy() {
    for case in cases("inception") {
        let (logits, _) = logits_and_labels(&case);
        let num_classes = count(&case, "classes");
        let found = inception_like(&softmax_rows::<f64, _>(&logits, num_classes), num_classes);
        assert_near(found.value, number(&case, "score"), 1e-9, "score");
        assert!(found.low < found.value && found.value < found.high);
    }
    for case in cases("proportion") {
        let found = proportion(count(&case, "hits"), count(&case, "count"));
        assert_near(found.low, number(&case, "low"), 1e-12, "low");
        assert_near(found.high, number(&case, "high"), 1e-12, "high");
    }
    assert_eq!(proportion(0, 0), Estimate { value: 0.0, low: 0.0, high: 1.0 });
}

#[test]
fn rows_of_logits() {
    assert_eq!(predicted(&[1.0, 3.0, 2.0]), 1);
    assert_eq!(predicted(&[3.0, 3.0, 2.0]), 1);
    assert_eq!(predicted::<f32>(&[]), 0);
    // A confidence on the edge of a bin must not fall below it by rounding.
    for num_classes in [2, 4, 5, 10, 20] {
        let bins = Tally::of(&vec![0.7; num_classes], &[0], num_classes).reliability();
        assert_eq!(bins.iter().position(|bin| bin.count > 0), Some(20 / num_classes));
    }
    // The exponentials of these logits overflow.
    let rows: Vec<f64> = softmax_rows(&[1000.0, 1000.0, -1000.0, 1000.0], 2);
    for (found, expected) in rows.into_iter().zip([0.5, 0.5, 0.0, 1.0]) {
        assert_near(found, expected, 1e-12, "probability");
    }
}

#[test]
fn calibration_by_hand() {
    // Two confident predictions in one bin, one correct and one wrong: confidence 1, accuracy 1/2.
    let found = calibration(&[50.0, 0.0, 50.0, 0.0], &[0, 1], 2, 100, 0);
    assert_near(found.plain.expected.value, 0.5, 1e-12, "expected");
    assert_near(found.plain.maximum.value, 0.5, 1e-12, "maximum");
    assert_near(found.plain.brier.value, 1.0, 1e-12, "Brier");
    assert_near(found.plain.nll.value, 25.0, 1e-12, "negative log likelihood");
    // Each half is one image: the correct one gives a low temperature, the wrong one a high temperature.
    let found = calibration(&[2.0, 0.0, 2.0, 0.0], &[0, 1], 2, 100, 0);
    let mut temperatures = found.temperatures;
    temperatures.sort_by(f64::total_cmp);
    assert!(temperatures[0] < 0.1, "{temperatures:?}");
    assert_near(temperatures[1], 100.0, 1e-9, "the largest temperature");
    // The correct image is then scaled by the high temperature, the wrong one by the low temperature.
    assert!(found.scaled.nll.value > 10.0, "{found:?}");
}

#[test]
fn over_confidence_asks_for_a_higher_temperature() {
    let case = &cases("calibration")[0];
    let (logits, labels) = logits_and_labels(case);
    let plain = fit_temperature(&logits, &labels, 10);
    let loud: Vec<f32> = logits.iter().map(|logit| 8.0 * logit).collect();
    assert_near(fit_temperature(&loud, &labels, 10), 8.0 * plain, 1e-9, "temperature");
    let found = calibration(&loud, &labels, 10, 100, 0);
    assert!(found.scaled.expected.value < found.plain.expected.value);
    assert!(found.scaled.nll.value < found.plain.nll.value);
    assert!(found.temperatures.iter().all(|temperature| *temperature > 1.0));
    // A temperature from elsewhere is used as it is.
    let stored = calibrated(&loud, &labels, 10, 8.0, 100, 0);
    assert_eq!((stored.temperature, stored.bins.len()), (8.0, 20));
    let quiet = calibration(&logits, &labels, 10, 100, 0);
    assert_near(
        stored.errors.nll.value,
        quiet.plain.nll.value,
        1e-9,
        "8 times as loud, 8 times as warm",
    );
    assert_near(stored.errors.expected.value, quiet.plain.expected.value, 1e-9, "the same");
    // All temperatures are equally good.
    assert_eq!(fit_temperature(&[], &[], 10), 1.0);
    assert_eq!(fit_temperature(&[0.1; 9], &[0, 1, 2], 3), 1.0);
    assert_eq!(fit_temperature(&[0.1; 3], &[0; 3], 1), 1.0);
}

#[test]
fn ranking_by_hand() {
    let (high, low) = ([3.0, 4.0, 5.0], [0.0, 1.0]);
    assert_eq!([auroc(&high, &low), auroc(&low, &high)], [1.0, 0.0]);
    assert_eq!([false_positives_at(&high, &low), false_positives_at(&low, &high)], [0.0, 1.0]);
    assert_eq!(auroc(&[1.0; 5], &[1.0; 7]), 0.5);
    // The pairs: 2 > 1, 2 = 2, 0 < 1, 0 < 2.
    assert_eq!(auroc(&[2.0, 0.0], &[1.0, 2.0]), 1.5 / 4.0);
    assert_eq!(roc(&[2.0, 0.0], &[1.0, 2.0]), [(0.0, 0.0), (0.5, 0.5), (1.0, 0.5), (1.0, 1.0)]);
    assert_eq!(auroc(&[], &low), 0.5);
    let many: Vec<f64> = (0..1000).map(f64::from).collect();
    let curve = roc(&many, &many);
    assert_eq!((curve.len(), curve[0], curve[199]), (200, (0.0, 0.0), (1.0, 1.0)));
}

#[test]
fn distances_by_hand() {
    let mut random = Uniforms(21);
    let rows: Vec<f32> = (0..600).map(|_| random.normal() as f32).collect();
    let shifted: Vec<f32> = rows.iter().map(|value| value + 2.0).collect();
    let [plain, moved] = [&rows, &shifted].map(|rows| Moments::of(rows, 3));
    assert!(frechet_distance(&plain, &plain) < 1e-9);
    assert_near(frechet_distance(&plain, &moved), 3.0 * 4.0, 1e-5, "a shift by 2 in 3 directions");
    // A point has no covariance: what remains is the other covariance and the distance of the means.
    let point = Moments::of(&[0.0, 0.0, 0.0], 3);
    assert!(frechet_distance(&point, &plain) > 2.5);

    let (precision, recall) = precision_recall(&rows, &rows, 3, 3);
    assert_eq!([precision.value, recall.value], [1.0; 2]);
    let far: Vec<f32> = rows.iter().map(|value| value + 100.0).collect();
    let (precision, recall) = precision_recall(&rows, &far, 3, 3);
    assert_eq!([precision.value, recall.value], [0.0; 2]);
    // A single image lies within the manifold and covers only itself.
    let (precision, recall) = precision_recall(&rows, &rows[..3], 3, 3);
    assert_eq!([precision.value, recall.value], [1.0, 1.0 / 200.0]);

    let nearest = nearest_distances(&shifted, &rows, 3);
    assert!(nearest.iter().all(|found| found.0 <= 12.0f32.sqrt() + 1e-5));
    let itself = nearest_distances(&rows, &rows, 3);
    assert!(itself.iter().enumerate().all(|(row, found)| *found == (0.0, row)));
    // Both sets have more items than a block.
    let many: Vec<f32> = (0..20_000).map(|index| index as f32).collect();
    let found = nearest_distances(&many[..600], &many, 1);
    assert!(found.iter().enumerate().all(|(row, found)| *found == (0.0, row)));
}

#[test]
fn scores_by_hand() {
    // Confident predictions of two classes, of one class, and uniform predictions.
    let sure = [1.0, 0.0, 0.0, 1.0];
    assert_near(inception_like(&sure.repeat(10), 2).value, 2.0, 1e-12, "two classes");
    assert_near(inception_like(&[1.0, 0.0].repeat(10), 2).value, 1.0, 1e-12, "one class");
    assert_near(inception_like(&[0.5; 20], 2).value, 1.0, 1e-12, "no class");
}

#[test]
fn intervals_cover_what_they_should() {
    let mut random = Uniforms(31);
    let (mut by_bootstrap, mut by_jackknife, mut by_wilson) = (0, 0, 0);
    for round in 0..400 {
        let values: Vec<f64> = (0..60).map(|_| random.normal()).collect();
        let holds = |estimate: Estimate, truth: f64| {
            usize::from((estimate.low..=estimate.high).contains(&truth))
        };
        by_bootstrap += holds(mean(&values, 300, round), 0.0);
        let of = |indices: &[usize]| {
            indices.iter().map(|&index| values[index]).sum::<f64>() / indices.len() as f64
        };
        by_jackknife += holds(jackknife(60, of), 0.0);
        let hits = values.iter().filter(|value| **value > 0.0).count();
        by_wilson += holds(proportion(hits, 60), 0.5);
    }
    // 95 % of 400 is 380. Standard errors from ten groups make the intervals a little too narrow.
    for found in [by_bootstrap, by_wilson] {
        assert!((364..=396).contains(&found), "{found}");
    }
    assert!((350..=396).contains(&by_jackknife), "{by_jackknife}");
}

#[test]
fn intervals_by_hand() {
    assert_eq!(mean(&[], 100, 0), Estimate::default());
    assert_eq!(mean(&[2.0; 9], 100, 0), Estimate { value: 2.0, low: 2.0, high: 2.0 });
    let same = |seed| mean(&[1.0, 2.0, 5.0, 9.0], 200, seed);
    assert_eq!(same(3), same(3));
    assert_ne!(same(3), same(4));
    let mut next = 0.0;
    let counted = bootstrap(7.0, 101, 0, |_| {
        next += 1.0;
        next
    });
    assert_eq!(counted, Estimate { value: 7.0, low: 3.5, high: 98.5 });
    // The mean of 1 to 101 is 51, which is 1 above the value: twice that difference is subtracted.
    let mut next = 0.0;
    let moved = bootstrap_distance(50.0, 101, 0, |_| {
        next += 1.0;
        next
    });
    assert_eq!(moved, Estimate { value: 50.0, low: 1.5, high: 96.5 });
    let alone = jackknife(1, |indices| indices.len() as f64);
    assert_eq!(alone, Estimate { value: 1.0, low: 1.0, high: 1.0 });
    // A group must not consist of one class, even if the classes alternate.
    let in_turn = jackknife(100, |indices| {
        let of_first = indices.iter().filter(|&index| index % 10 == 0).count();
        of_first as f64 / indices.len() as f64
    });
    assert!(in_turn.high - in_turn.low < 0.2, "{in_turn:?}");
}

/// Logits (z, 0) of two classes, with `stretch` times the correct log odds.
fn two_classes(random: &mut Uniforms, count: usize, stretch: f64) -> (Vec<f32>, Vec<u32>) {
    let (mut logits, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let z = 2.0 * random.normal() + 1.5;
        logits.extend([(stretch * z) as f32, 0.0]);
        labels.push(u32::from(random.next() >= 1.0 / (1.0 + (-z).exp())));
    }
    (logits, labels)
}

#[test]
fn intervals_of_calibration_errors_cover_what_they_should() {
    let mut random = Uniforms(41);
    let (logits, labels) = two_classes(&mut random, 1_000_000, 2.0);
    let truth = Tally::of(&logits, &labels, 2);
    let mut covered = [0; 2];
    for round in 0..200 {
        let (logits, labels) = two_classes(&mut random, 1000, 2.0);
        let found = calibration(&logits, &labels, 2, 200, round).plain;
        let holds = |estimate: Estimate, truth: f64| {
            usize::from((estimate.low..=estimate.high).contains(&truth))
        };
        covered[0] += holds(found.expected, truth.calibration_error());
        covered[1] += holds(found.maximum, truth.maximum_error());
    }
    // 95 % of 200 is 190. The remaining bias makes it a little less; without the shift it is far less.
    assert!(covered.iter().all(|covered| (170..=198).contains(covered)), "{covered:?}");
}

#[test]
fn a_near_neighbor_far_from_0_is_found() {
    // Squares near 784, but squared distances near 1e-5: single precision is not enough.
    let mut random = Uniforms(51);
    let (dim, count) = (784, 500);
    let base: Vec<f32> = (0..dim).map(|_| random.next() as f32 + 0.5).collect();
    let near = |_| base.iter().map(|v| v + 2e-4 * (random.next() as f32 - 0.5)).collect();
    let rows: Vec<Vec<f32>> = (0..count).map(near).collect();
    let found = nearest_distances(&rows.concat(), &rows.concat(), dim);
    assert!(found.iter().enumerate().all(|(row, found)| *found == (0.0, row)));
}

#[test]
fn threads_make_no_difference() {
    let mut random = Uniforms(61);
    let rows: Vec<f32> = (0..900 * 100).map(|_| random.normal() as f32).collect();
    let (a, b) = rows.split_at(400 * 100);
    let on = |num_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads).build().unwrap();
        pool.install(|| {
            let distance = frechet(a, &Moments::of(b, 100), 100);
            (distance, nearest_distances(a, b, 100), precision_recall(a, b, 100, 3))
        })
    };
    let alone = on(1);
    assert!([2, 3, 7].iter().all(|&count| on(count) == alone));
}

#[test]
fn fewer_rows_than_features_keep_their_shift() {
    let mut random = Uniforms(71);
    // Multiples of a quarter, which `f32` adds without rounding.
    let draw = |_| (12.0 * random.normal()).round() as f32 / 4.0;
    let rows: Vec<f32> = (0..50 * 300).map(draw).collect();
    let shifted: Vec<f32> = rows.iter().map(|value| value + 0.5).collect();
    let [plain, moved] = [&rows, &shifted].map(|rows| Moments::of(rows, 300));
    assert_near(frechet_distance(&moved, &plain), 0.25 * 300.0, 1e-9, "distance");
}

#[test]
fn images_all_alike_fill_a_point() {
    let mut random = Uniforms(81);
    let dim = 37;
    let mut draw =
        |count: usize| -> Vec<f32> { (0..count).map(|_| random.normal() as f32).collect() };
    let (row, mut rows) = (draw(dim), draw(300 * dim));
    let same = row.repeat(513);
    let (precision, recall) = precision_recall(&same, &same, dim, 3);
    assert_eq!([precision.value, recall.value], [1.0; 2]);
    // One of the 300 rows equals that image.
    rows[77 * dim..78 * dim].copy_from_slice(&row);
    let (precision, recall) = precision_recall(&rows, &same, dim, 3);
    assert_eq!([precision.value, recall.value], [1.0, 1.0 / 300.0]);
}

#[test]
fn nothing_to_compare_is_not_nan() {
    let found = separation(Score::LogPX, &[], &[1.0], 100, 0);
    assert_eq!(found.auroc, Estimate { value: 0.5, low: 0.0, high: 1.0 });
    assert_eq!(found.roc, [(0.0, 0.0), (1.0, 1.0)]);
    let found = calibration(&[], &[], 3, 100, 0);
    assert_eq!(found.plain.expected, Estimate::default());
    assert_eq!((found.temperatures, found.bins.len()), ([1.0; 2], 20));
    let point = Moments::of(&[], 2);
    assert_eq!(frechet(&[], &point, 2), Estimate::default());
    assert_eq!(inception_like(&[], 2), Estimate { value: 1.0, low: 1.0, high: 1.0 });
    assert!(nearest_distances(&[], &[1.0, 2.0], 2).is_empty());
}
