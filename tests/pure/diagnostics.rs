//! Diagnostics of chains compared with ArviZ and with results by hand, and chains for which they do not apply.
//!
//! `tests/arviz/golden.py` creates `tests/arviz/golden.json`.

use std::{collections::HashSet, fs, path::Path};

use crate::uniforms::Uniforms;
use jempp::diagnostics::{
    Diagnostic, DoesNotApply, applicability, autocorrelation, ess_bulk, ess_tail, integrated_time,
    joint_autocorrelation, kolmogorov_smirnov, mean_and_std, nested_r_hat, report, split_r_hat,
    switches,
};
use serde_json::Value;

type Number = fn(&[Vec<f64>]) -> Result<f64, DoesNotApply>;

const EVERY: [Number; 4] = [split_r_hat, ess_bulk, ess_tail, integrated_time];

/// Independent, nearly normal draws.
fn independent(seed: u64, num_chains: usize, num_draws: usize) -> Vec<Vec<f64>> {
    let mut random = Uniforms(seed);
    (0..num_chains).map(|_| (0..num_draws).map(|_| random.normal()).collect()).collect()
}

/// The draws of a case in `golden.py`.
fn draws_of(case: &Value) -> Vec<Vec<f64>> {
    let number = |key: &str| case[key].as_f64().unwrap();
    let count = |key: &str| case[key].as_u64().unwrap() as usize;
    let mut random = Uniforms(case["seed"].as_u64().unwrap());
    let row = |chain: usize| {
        let mut x = 0.0;
        let value = |draw: usize| {
            let noise = if case["heavy"].as_bool().unwrap() {
                let u = random.next();
                (2.0 * u - 1.0) / (u * (1.0 - u))
            } else {
                random.normal()
            };
            x = number("phi") * x + noise;
            let chain = chain as f64;
            let mut value = x * (1.0 + number("stretch") * chain) + number("shift") * chain;
            value += number("drift") * draw as f64;
            let grid = number("grid");
            if grid > 0.0 { (value / grid).floor() * grid } else { value }
        };
        (0..count("draws")).map(value).collect()
    };
    (0..count("chains")).map(row).collect()
}

fn assert_near(found: f64, expected: f64, what: &str) {
    let error = (found - expected).abs() / expected.abs().max(1.0);
    assert!(error < 1e-9, "{what}: {found} instead of {expected}");
}

#[test]
fn numbers_are_those_of_arviz() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/arviz/golden.json");
    let golden: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 15);
    for case in cases {
        let (name, draws) = (&case["name"], draws_of(case));
        let expected = |key: &str| case[key].as_f64().unwrap();
        assert_near(draws[draws.len() - 1][draws[0].len() - 1], expected("last"), "a draw");
        if case["r_hat"].is_null() {
            let error = DoesNotApply::TooFewChains { needed: 2, found: 1 };
            assert_eq!(split_r_hat(&draws), Err(error));
        } else {
            let found = split_r_hat(&draws).unwrap();
            assert_near(found, expected("r_hat"), &format!("R-hat of {name}"));
        }
        let found = ess_bulk(&draws).unwrap();
        assert_near(found, expected("ess_bulk"), &format!("bulk ESS of {name}"));
        let found = ess_tail(&draws).unwrap();
        assert_near(found, expected("ess_tail"), &format!("tail ESS of {name}"));
        let found = draws.concat().len() as f64 / integrated_time(&draws).unwrap();
        assert_near(found, expected("ess_identity"), &format!("draws over time of {name}"));
        let rho = autocorrelation(&draws[0], 5);
        let expected = case["autocorrelation"].as_array().unwrap();
        assert_eq!(rho.len(), expected.len());
        for (found, expected) in rho.iter().zip(expected) {
            assert_near(*found, expected.as_f64().unwrap(), &format!("autocorrelation of {name}"));
        }
    }
}

#[test]
fn the_report_is_what_its_parts_say() {
    let still = vec![vec![1.0; 10]; 4];
    for draws in [independent(1, 4, 101), independent(2, 1, 10), independent(3, 4, 3), still] {
        let report = report(&draws);
        assert_eq!(report.split_r_hat, split_r_hat(&draws));
        assert_eq!(report.ess_bulk, ess_bulk(&draws));
        assert_eq!(report.ess_tail, ess_tail(&draws));
        assert_eq!(report.integrated_time, integrated_time(&draws));
    }
}

#[test]
fn order_of_chains_and_increasing_maps_leave_ranks_alone() {
    let draws = independent(5, 4, 100);
    let mapped: Vec<Vec<f64>> =
        draws.iter().rev().map(|chain| chain.iter().map(|x| x.exp()).collect()).collect();
    for number in [split_r_hat, ess_bulk, ess_tail] {
        // The tail R-hat folds the values before it ranks them, so it is only nearly the same.
        let (plain, mapped) = (number(&draws).unwrap(), number(&mapped).unwrap());
        assert!((plain / mapped - 1.0).abs() < 0.02, "{plain} and {mapped}");
    }
}

#[test]
fn autocorrelation_by_hand() {
    // The mean is 2 and the differences from it are -1, 0, 1.
    assert_eq!(autocorrelation(&[1.0, 2.0, 3.0], 2), [1.0, 0.0, -0.5]);
    assert_eq!(autocorrelation(&[1.0, 2.0, 3.0], 100).len(), 3);
    assert_eq!(autocorrelation(&[1.0, 2.0, 3.0], 0), [1.0]);
    assert!(autocorrelation(&[], 3).is_empty());
    assert!(autocorrelation(&[1.0, f64::NAN], 3).is_empty());
    // The mean of these values is not exactly the value in floating point.
    assert_eq!(autocorrelation(&[0.1; 30], 2), [1.0; 3]);
}

#[test]
fn joint_autocorrelation_stays_up_where_chains_disagree() {
    let mut draws = independent(6, 4, 500);
    let rho = joint_autocorrelation(&draws, 20).unwrap();
    assert_eq!((rho.len(), rho[0]), (21, 1.0));
    assert!(rho[1..].iter().all(|rho| rho.abs() < 0.1));
    let alone = &draws[..1];
    let own = autocorrelation(&alone[0], 20);
    let joint = joint_autocorrelation(alone, 20).unwrap();
    assert!(own.iter().zip(&joint).all(|(a, b)| (a - b).abs() < 0.01));

    for (chain, values) in draws.iter_mut().enumerate() {
        values.iter_mut().for_each(|value| *value += 3.0 * chain as f64);
    }
    let rho = joint_autocorrelation(&draws, 20).unwrap();
    assert!(rho.iter().all(|&rho| rho > 0.8));
}

#[test]
fn integrated_time_of_an_autoregression_is_its_theory() {
    let mut random = Uniforms(7);
    for (phi, tolerance) in [(0.0f64, 0.1), (0.5, 0.3), (0.8, 1.5), (-0.3, 0.1)] {
        let chain = |_| {
            let mut x = random.normal() / (1.0 - phi * phi).sqrt();
            let step = |_| {
                x = phi * x + random.normal();
                x
            };
            (0..4000).map(step).collect()
        };
        let draws: Vec<Vec<f64>> = (0..8).map(chain).collect();
        let (time, theory) = (integrated_time(&draws).unwrap(), (1.0 + phi) / (1.0 - phi));
        assert!((time - theory).abs() < tolerance, "{phi}: {time} instead of {theory}");
    }
}

#[test]
fn nested_r_hat_by_hand() {
    // Superchain means 2 and 6, so B = 8; the variance of two means is 2 in each; no variance within chains.
    let draws = [1.0, 3.0, 5.0, 7.0].map(|value| vec![value]);
    let expected = (1.0f64 + 8.0 / 2.0).sqrt();
    assert_near(nested_r_hat(&draws, &[0, 0, 1, 1]).unwrap(), expected, "one draw");
    assert_near(nested_r_hat(&draws, &[70, 70, 2, 2]).unwrap(), expected, "any numbers");
    // Chain variances 2, 2, 8, 8; means 2, 4, 8, 6. Superchain means 3 and 7: B = 8. Superchain 0 has 2 + 2,
    // superchain 1 has 2 + 8: W = 7.
    let draws = [[1.0, 3.0], [3.0, 5.0], [6.0, 10.0], [4.0, 8.0]].map(Vec::from);
    let expected = (1.0f64 + 8.0 / 7.0).sqrt();
    assert_near(nested_r_hat(&draws, &[0, 0, 1, 1]).unwrap(), expected, "two draws");
    // Interleaved superchains, both with the mean 5.
    let turns = [[1.0, 3.0], [3.0, 5.0], [6.0, 10.0], [5.0, 7.0]].map(Vec::from);
    assert_near(nested_r_hat(&turns, &[0, 1, 0, 1]).unwrap(), 1.0, "turns");
    // One chain per superchain: variances 2 and 2, means 2 and 4.
    let expected = (1.0f64 + 2.0 / 2.0).sqrt();
    assert_near(nested_r_hat(&draws[..2], &[0, 1]).unwrap(), expected, "one chain each");
}

#[test]
fn nested_r_hat_is_near_1_for_independent_draws_and_large_where_superchains_disagree() {
    let superchain_of: Vec<usize> = (0..1000).map(|chain| chain % 10).collect();
    let mut draws = independent(8, 1000, 1);
    let found = nested_r_hat(&draws, &superchain_of).unwrap();
    // The expected value is √(1 + 1/M) with 100 chains per superchain.
    assert!((found - 1.005).abs() < 0.01, "{found}");
    let shifted = |draws: &mut [Vec<f64>]| {
        for (chain, &superchain) in draws.iter_mut().zip(&superchain_of) {
            chain.iter_mut().for_each(|value| *value += 3.0 * superchain as f64);
        }
    };
    shifted(&mut draws);
    assert!(nested_r_hat(&draws, &superchain_of).unwrap() > 5.0);

    let mut draws = independent(9, 1000, 10);
    assert!(nested_r_hat(&draws, &superchain_of).unwrap() < 1.002);
    shifted(&mut draws);
    assert!(nested_r_hat(&draws, &superchain_of).unwrap() > 5.0);
    // Disagreement of chains within superchains that agree does not depend on the starts.
    let mut draws = independent(9, 1000, 10);
    for (chain, values) in draws.iter_mut().enumerate() {
        values.iter_mut().for_each(|value| *value += 3.0 * (chain / 100) as f64);
    }
    assert!(nested_r_hat(&draws, &superchain_of).unwrap() < 1.02);
    assert!(split_r_hat(&draws).unwrap() > 1.5);
}

#[test]
fn too_few_draws_are_counted() {
    let draws = independent(1, 4, 3);
    for number in EVERY {
        assert_eq!(number(&draws), Err(DoesNotApply::TooFewDraws { needed: 4, found: 3 }));
    }
    let error = DoesNotApply::TooFewDraws { needed: 1, found: 0 };
    assert_eq!(nested_r_hat(&independent(1, 4, 0), &[0, 0, 1, 1]), Err(error));
    let error = DoesNotApply::TooFewDraws { needed: 2, found: 1 };
    assert_eq!(nested_r_hat(&independent(1, 2, 1), &[0, 1]), Err(error));
}

#[test]
fn too_few_chains_are_counted() {
    let one = independent(1, 1, 10);
    assert_eq!(split_r_hat(&one), Err(DoesNotApply::TooFewChains { needed: 2, found: 1 }));
    assert_eq!(nested_r_hat(&one, &[0]), Err(DoesNotApply::TooFewChains { needed: 2, found: 1 }));
    for number in EVERY {
        assert!(matches!(number(&[]), Err(DoesNotApply::TooFewChains { found: 0, .. })));
    }
    let error = DoesNotApply::TooFewSuperchains { needed: 2, found: 1 };
    assert_eq!(nested_r_hat(&independent(1, 4, 10), &[3; 4]), Err(error));
}

#[test]
fn unequal_chains_and_superchains_are_refused() {
    let draws = [independent(1, 1, 9), independent(2, 1, 10)].concat();
    for number in EVERY {
        assert_eq!(number(&draws), Err(DoesNotApply::UnequalLengths { shortest: 9, longest: 10 }));
    }
    let error = DoesNotApply::UnequalSuperchains { smallest: 1, largest: 3 };
    assert_eq!(nested_r_hat(&independent(1, 4, 10), &[0, 0, 1, 0]), Err(error));
}

#[test]
#[should_panic(expected = "one superchain per chain")]
fn every_chain_has_a_superchain() {
    let _ = nested_r_hat(&independent(1, 4, 10), &[0, 0, 1]);
}

#[test]
fn values_that_are_not_finite_are_found() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut draws = independent(1, 4, 10);
        draws[2][7] = bad;
        let error = DoesNotApply::NotFinite { chain: 2, draw: 7 };
        for number in EVERY {
            assert_eq!(number(&draws), Err(error));
        }
        assert_eq!(nested_r_hat(&draws, &[0, 0, 1, 1]), Err(error));
        assert_eq!(joint_autocorrelation(&draws, 3), Err(error));
        assert_eq!(error.to_string(), "draw 8 of chain 3 is not a finite number");
    }
}

#[test]
fn constant_chains_give_a_reason_and_never_nan() {
    // The means of these values are not exactly the values in floating point.
    let same = vec![vec![0.1; 30]; 4];
    let apart: Vec<Vec<f64>> = (0..4).map(|chain| vec![0.1 + f64::from(chain); 30]).collect();
    for draws in [&same, &apart] {
        for number in EVERY {
            assert_eq!(number(draws), Err(DoesNotApply::Constant));
        }
        assert_eq!(joint_autocorrelation(draws, 3), Err(DoesNotApply::Constant));
    }
    assert_eq!(nested_r_hat(&same, &[0, 0, 1, 1]), Err(DoesNotApply::Constant));
    assert!(nested_r_hat(&apart, &[0, 0, 1, 1]).unwrap() > 1.0);

    // One constant chain among chains that move.
    let mut draws = independent(1, 4, 30);
    draws[1].fill(0.1);
    for number in EVERY {
        assert!(number(&draws).unwrap().is_finite());
    }
    // A single jump: in the middle draw of an odd number, which belongs to no half; in the first draw; and between
    // the halves.
    for (num_draws, jumps) in [(31, 15..16), (30, 0..1), (30, 15..30)] {
        let mut draws = vec![vec![0.1; num_draws]; 4];
        draws[3][jumps].fill(0.7);
        for number in EVERY {
            assert!(!matches!(number(&draws), Ok(value) if value.is_nan()));
        }
    }
    // Two values: all have the same distance from the median.
    let two: Vec<Vec<f64>> = (0..4usize)
        .map(|chain| {
            (0..40).map(|draw| f64::from(u8::from((draw / (chain + 1)) % 2 == 0))).collect()
        })
        .collect();
    for number in EVERY {
        assert!(number(&two).unwrap().is_finite());
    }
}

#[test]
fn samplers_without_noise_and_coupled_chains_have_no_diagnostics() {
    assert_eq!(applicability(0.01, false, false), None);
    assert_eq!(applicability(0.0, true, true), Some(DoesNotApply::NoNoise));
    assert_eq!(applicability(f64::NAN, false, false), Some(DoesNotApply::NoNoise));
    assert_eq!(applicability(0.01, true, true), Some(DoesNotApply::CoupledChains));
    assert_eq!(applicability(0.01, false, true), Some(DoesNotApply::DifferentLaws));
}

#[test]
fn the_distance_of_two_samples_by_hand() {
    let distance = |a: &[f64], b: &[f64]| kolmogorov_smirnov(a, b).unwrap().distance;
    let a = [4.0, 1.0, 3.0, 2.0];
    assert_eq!(distance(&a, &a), 0.0, "a value on both sides is one place");
    assert_eq!(distance(&a, &[5.0; 4]), 1.0);
    assert_eq!(distance(&[0.0; 7], &[0.0; 1000]), 0.0, "shares are counted and not added up");
    assert_eq!(distance(&a, &[2.5, 2.5, 2.5, 9.0]), 0.5, "half of a lies below 2.5, none of b");
    assert_eq!(distance(&a, &[2.0, 2.0, 4.0, 4.0]), 0.25);
    // Results of SciPy's ks_2samp for different sizes.
    let b: Vec<f64> = (0..7).map(|value| f64::from(value) * 0.9 - 1.0).collect();
    assert_near(distance(&a, &b), 3.0 / 7.0, "sizes 4 and 7");
    let critical = kolmogorov_smirnov(&[0.0; 50], &[0.0; 200]).unwrap().critical;
    assert_near(
        critical,
        1.358_101_515_740_619_5 * (250.0f64 / 10_000.0).sqrt(),
        "the 1.358 of tables",
    );
    let few = kolmogorov_smirnov(&a[..3], &b);
    assert_eq!(few, Err(DoesNotApply::TooFewValues { needed: 4, found: 3 }));
    let broken = kolmogorov_smirnov(&a, &[0.0, f64::NAN, 1.0, f64::INFINITY]);
    assert_eq!(broken, Err(DoesNotApply::BrokenValues { found: 2, all: 8 }));
}

#[test]
fn independent_samples_of_one_law_are_rarely_beyond_chance() {
    let beyond = |shift: f64| {
        let pairs = (0..400).map(|seed| independent(seed << 32, 2, 60));
        let pairs = pairs.map(|pair| (pair[0].clone(), pair[1].clone()));
        pairs
            .filter(|(a, b)| {
                let b: Vec<f64> = b.iter().map(|value| value + shift).collect();
                kolmogorov_smirnov(a, &b).unwrap().is_beyond_chance()
            })
            .count()
    };
    let by_chance = beyond(0.0);
    assert!((4..=32).contains(&by_chance), "about 5 % of 400: {by_chance}");
    assert!(beyond(2.0) > 390);
}

#[test]
fn moments_of_a_set() {
    assert_eq!(mean_and_std(&[1.0, 3.0, 5.0]), Ok((3.0, 2.0)));
    assert_eq!(mean_and_std(&[7.0]), Ok((7.0, 0.0)));
    assert_eq!(mean_and_std(&[]), Err(DoesNotApply::TooFewValues { needed: 1, found: 0 }));
    let broken = mean_and_std(&[1.0, f64::NAN]);
    assert_eq!(broken, Err(DoesNotApply::BrokenValues { found: 1, all: 2 }));
}

#[test]
fn switches_are_counted() {
    assert_eq!(switches(&[]), 0);
    assert_eq!(switches(&[3]), 0);
    assert_eq!(switches(&[3, 3, 3]), 0);
    assert_eq!(switches(&[3, 5, 5, 3, 2]), 3);
}

#[test]
fn every_reason_and_meaning_is_one_short_line() {
    let reasons = [
        DoesNotApply::TooFewDraws { needed: 4, found: 1 },
        DoesNotApply::TooFewChains { needed: 2, found: 1 },
        DoesNotApply::TooFewSuperchains { needed: 2, found: 1 },
        DoesNotApply::UnequalLengths { shortest: 9, longest: 10 },
        DoesNotApply::UnequalSuperchains { smallest: 1, largest: 3 },
        DoesNotApply::NotFinite { chain: 0, draw: 0 },
        DoesNotApply::Constant,
        DoesNotApply::NoNoise,
        DoesNotApply::CoupledChains,
        DoesNotApply::DifferentLaws,
        DoesNotApply::OwnStarts,
        DoesNotApply::NoProposal,
        DoesNotApply::TooFewValues { needed: 4, found: 1 },
        DoesNotApply::BrokenValues { found: 3, all: 9 },
    ]
    .map(|reason| reason.to_string());
    let meanings = Diagnostic::ALL.map(|diagnostic| diagnostic.meaning().to_string());
    for line in reasons.iter().chain(&meanings) {
        assert!(line.len() < 160 && !line.contains('\n') && !line.contains("  "), "{line}");
    }
    let names: HashSet<&str> = Diagnostic::ALL.iter().map(|diagnostic| diagnostic.name()).collect();
    assert_eq!(names.len(), Diagnostic::ALL.len());
    assert_eq!(
        reasons[0], "too few draws: 4 per chain are needed, so far 1",
        "how many are needed and how many there are"
    );
}
