//! Configuration keys on the command line: a given key is used, or it is an error that says which keys are used.

use std::path::Path;

use crate::config::{ConfigError, MAX_SEED, RunConfig};

/// `config` with keys replaced: first those of `options`, each an option and its `key=value`, then those of `--set`.
///
/// # Errors
/// A key has two different values, a key is unknown, or a value is not allowed.
pub(super) fn apply(
    mut config: RunConfig,
    options: &[(&str, String)],
    assignments: &[String],
) -> Result<RunConfig, ConfigError> {
    let options = options.iter().map(|(option, assignment)| (*option, assignment.as_str()));
    let all: Vec<(&str, &str)> =
        options.chain(assignments.iter().map(|text| ("--set", text.as_str()))).collect();
    for (index, (option, assignment)) in all.iter().enumerate() {
        let (key, value) = split(assignment);
        let earlier = all[..index].iter().map(|(option, text)| (option, split(text)));
        for (other, (_, before)) in earlier.filter(|(_, (other, _))| *other == key) {
            if before != value {
                return Err(ConfigError::Invalid(format!(
                    "`{key}` is given twice: {before} by {other} and {value} by {option}; keep one"
                )));
            }
        }
        config = config.with_assignment(assignment)?;
    }
    Ok(config)
}

/// The option `--data` as an assignment of `data.dir`.
///
/// # Errors
/// The path is not Unicode text.
pub(super) fn data_dir(dir: &Path) -> Result<(&'static str, String), ConfigError> {
    let text = dir.to_str().ok_or_else(|| {
        ConfigError::Invalid(format!("--data {}: the path is not Unicode text", dir.display()))
    })?;
    // Quoted as a TOML string, so that the path may have any characters.
    Ok(("--data", format!("data.dir={}", toml::Value::String(text.to_string()))))
}

/// Reads a seed from the command line.
///
/// # Errors
/// It is not a seed.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    let seed = text.parse().ok().filter(|seed| *seed <= MAX_SEED);
    seed.ok_or_else(|| format!("it must be a whole number from 0 to {MAX_SEED}"))
}

/// Reads a count from the command line.
///
/// # Errors
/// It is not a count.
pub(super) fn count<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| "it must be a whole number, 0 or more, that this computer can count".into())
}

/// The keys that were given with `--set`.
pub(super) fn keys(assignments: &[String]) -> impl Iterator<Item = &str> {
    assignments.iter().map(|assignment| split(assignment).0)
}

fn split(assignment: &str) -> (&str, &str) {
    let (key, value) = assignment.split_once('=').unwrap_or((assignment, ""));
    let value = value.trim();
    (key.trim(), value.trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(options: &[(&str, &str)], assignments: &[&str]) -> String {
        let options: Vec<(&str, String)> =
            options.iter().map(|(option, text)| (*option, text.to_string())).collect();
        let assignments: Vec<String> = assignments.iter().map(|text| text.to_string()).collect();
        match apply(RunConfig::default(), &options, &assignments) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_key_has_one_value() {
        let option = [("--sampler", "sampler.kind=sgld")];
        assert_eq!(refused(&option, &["sampler.kind = 'sgld'"]), "");
        let said = refused(&option, &["sampler.kind=mala"]);
        assert!(said.contains("sgld by --sampler and mala by --set"), "{said}");
        assert_eq!(refused(&[], &["seed=1", "seed=1"]), "");
        assert!(refused(&[], &["seed=1", "seed=2"]).contains("`seed` is given twice"));
    }
}
