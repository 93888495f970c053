//! Seeded mutations, for where no fuzzer runs: the same number gives the same input everywhere.

use jempp::config::{SECTIONS, ViewConfig};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::targets::{Input, Target, choices::Choices};

/// A word in the generator's key that no stream of the program has there.
const STREAM: u32 = 0x4d55_5441;
/// Decisions behind one mutation, in bytes.
const DECISIONS: usize = 192;
/// Values that texts get in place of their own.
const VALUES: [&str; 36] = [
    "0",
    "1",
    "2",
    "-1",
    "-0.0",
    "0.5",
    "1e-320",
    "1e6",
    "1e308",
    "1e999",
    "nan",
    "inf",
    "-inf",
    "255",
    "65536",
    "1000000",
    "4294967296",
    "9223372036854775807",
    "18446744073709551616",
    "true",
    "false",
    "''",
    "[]",
    "[1,2]",
    "[nan]",
    "{}",
    "mlp",
    "cnn-small",
    "wrn-994-64",
    "batch",
    "mala",
    "sgld",
    "image",
    "buffer",
    "two-moons",
    "\u{1b}[2J\u{202e}",
];

fn generator(seed: u64, number: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..12].copy_from_slice(&STREAM.to_le_bytes());
    key[16..24].copy_from_slice(&number.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// Mutation `number` of a target.
pub(super) fn mutation(target: &Target, seeds: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    let mut decisions = vec![0; DECISIONS];
    generator(seed, number).fill_bytes(&mut decisions);
    if target.input == Input::Decisions {
        return decisions;
    }
    let mut choices = Choices::new(&decisions);
    let mut input = choices.pick(seeds);
    for _ in 0..choices.pick(&[1, 1, 1, 2, 3, 6]) {
        if target.input == Input::Text && choices.below(4) > 0 {
            change_word(&mut input, &mut choices);
        } else {
            let len = input.len();
            choices.edit(&mut input, 0, len);
        }
    }
    input
}

/// Puts a key or a value where another word stands.
fn change_word(text: &mut Vec<u8>, choices: &mut Choices) {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(byte);
    let begin = choices.below(text.len() + 1);
    let skipped = text[begin..].iter().take_while(|byte| !is_part(byte)).count();
    let begin = begin + skipped;
    let len = text[begin..].iter().take_while(|byte| is_part(byte)).count();
    let word = match choices.below(4) {
        0 => key(choices),
        _ => choices.pick(&VALUES).to_string(),
    };
    text.splice(begin..begin + len, word.into_bytes());
}

/// A key, as configurations and links have them.
fn key(choices: &mut Choices) -> String {
    let (section, fields) = choices.pick(SECTIONS);
    let name = choices.pick(fields).name;
    match choices.below(5) {
        0 => name.to_string(),
        1 => choices.pick(ViewConfig::FIELDS).name.to_string(),
        2 => format!("lane2.{section}.{name}"),
        3 => format!("lab.{section}.{name}"),
        _ => format!("{section}.{name}"),
    }
}
