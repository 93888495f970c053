//! Mutated input for every decoder and every text: no panic, no hang, bounded memory.
//!
//! The targets are those of `fuzz/`, where a fuzzer searches for as long as it is let. Here a fixed number of
//! seeded mutations runs, the same ones everywhere:
//!
//! * `JEMPP_MUTATIONS=100000` sets how many, `JEMPP_SEED=7` chooses others;
//! * `JEMPP_MUTATION=checkpoint:812` runs that one alone, as a failure names it.
mod mutate;
mod targets;

use std::{
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use targets::{Input, TARGETS, Target};

use crate::{
    alone,
    guard::{self, THREADS},
};

/// How many mutations run when nobody says.
const MUTATIONS: u64 = 20_000;
/// Their seed.
const SEED: u64 = 19;
/// Failures after which there is no point in going on.
const MOST_FAILURES: usize = 20;

/// How a target fared.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    tried: u64,
    accepted: u64,
}

#[test]
fn no_mutation_panics_hangs_or_takes_a_gibibyte() {
    let _alone = alone();
    guard::begin();
    let (count, seed) = (number_of("JEMPP_MUTATIONS", MUTATIONS), number_of("JEMPP_SEED", SEED));
    let seeds = TARGETS.map(|target| seeds_of(&target));
    let tallies = Mutex::new([Tally::default(); TARGETS.len()]);
    let failures = Mutex::new(Vec::new());
    let try_one = |thread: usize, which: usize, number: u64| {
        let target = &TARGETS[which];
        let input = mutate::mutation(target, &seeds[which], seed, number);
        let id = format!("{}:{number}", target.name);
        match guard::watched(thread, &id, &input, target.run) {
            Ok(is_accepted) => {
                let tally = &mut tallies.lock().unwrap()[which];
                tally.tried += 1;
                tally.accepted += u64::from(is_accepted);
            }
            Err(why) => {
                let path = guard::keep(&id, &input);
                let failure = format!(
                    "JEMPP_SEED={seed} JEMPP_MUTATION={id}: {why} (input: {})",
                    path.display()
                );
                failures.lock().unwrap().push(failure);
            }
        }
    };
    let begin = Instant::now();
    if let Ok(one) = std::env::var("JEMPP_MUTATION") {
        let (name, number) = one.split_once(':').expect("JEMPP_MUTATION=TARGET:NUMBER");
        let which = TARGETS.iter().position(|target| target.name == name).expect("a target");
        try_one(0, which, number.parse().unwrap());
    } else {
        // Targets take turns, so that the share of each is right at every number.
        let turns: Vec<usize> =
            (0..TARGETS.len()).flat_map(|which| vec![which; TARGETS[which].share]).collect();
        let next = AtomicU64::new(0);
        let work = |thread: usize| {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count || failures.lock().unwrap().len() >= MOST_FAILURES {
                    return;
                }
                try_one(thread, turns[number as usize * 37 % turns.len()], number);
            }
        };
        let work = &work;
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                scope.spawn(move || work(thread));
            }
        });
    }
    for (target, tally) in TARGETS.iter().zip(tallies.into_inner().unwrap()) {
        println!("{:<11} {:>7} tried, {:>6} accepted", target.name, tally.tried, tally.accepted);
    }
    println!("{:.0?}, at most {} MiB at once", begin.elapsed(), guard::peak_mib());
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// Of a target that refuses everything nothing would be learned.
#[test]
fn every_target_accepts_something() {
    let _alone = alone();
    for target in TARGETS {
        let seeds = seeds_of(&target);
        let mutations = (0..200).map(|number| mutate::mutation(&target, &seeds, SEED, number));
        let mut inputs = seeds.iter().cloned().chain(mutations);
        assert!(inputs.any(|input| (target.run)(&input)), "{}", target.name);
    }
}

#[test]
fn every_target_is_a_fuzz_target() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for Target { name, .. } in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name}");
        let program = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("targets::{name}(")), "{name}");
    }
    assert_eq!(TARGETS.iter().map(|target| target.share).sum::<usize>(), 100);
}

/// The inputs that mutations begin with.
fn seeds_of(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target.name);
    let mut paths: Vec<_> = match fs::read_dir(&folder) {
        Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
        Err(_) => Vec::new(),
    };
    paths.sort();
    assert!(
        !paths.is_empty() || target.input == Input::Decisions,
        "no seeds in {}",
        folder.display()
    );
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn number_of(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |value| value.parse().expect(variable))
}
