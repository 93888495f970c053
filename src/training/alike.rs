//! The check that all ranks of a run have the same settings.

use crate::{
    config::{Difference, RunConfig},
    ranks::{RankError, Ranks},
};

/// Checks that all ranks have the settings of rank 0, except for those that each may have for itself.
///
/// # Errors
/// What the first rank that has others has, and rank 0.
pub(crate) fn check_same_settings(ranks: &Ranks, config: &RunConfig) -> Result<(), RankError> {
    ranks.check_same(&config.to_toml(), |first, own| {
        let parsed = [first, own].map(|toml| RunConfig::default().with_toml(toml));
        let [Ok(first), Ok(own)] = parsed else {
            return (first != own).then(|| "its settings cannot be read by this version".into());
        };
        let differences = own.differences(&first);
        let is_common = |difference: &&Difference| !Ranks::may_differ(&difference.key);
        let differences: Vec<String> = differences
            .iter()
            .filter(is_common)
            .map(|Difference { key, here, there }| {
                format!("{key} = {here} here, and {there} on rank 0")
            })
            .collect();
        (!differences.is_empty())
            .then(|| format!("{}: give all ranks the same settings", differences.join("; ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranks::threads;

    #[test]
    fn each_rank_has_its_own_folder_and_memory_and_all_other_settings_are_the_same() {
        let check = |assignment: &str| {
            std::thread::scope(|scope| {
                let check = |ranks: Ranks| {
                    let mut config = RunConfig::default();
                    if ranks.rank() == 1 {
                        config = config.with_assignment(assignment).unwrap();
                    }
                    check_same_settings(&ranks, &config).map_err(|error| error.to_string())
                };
                let started: Vec<_> = threads::group(2)
                    .into_iter()
                    .map(|ranks| scope.spawn(move || check(ranks)))
                    .collect();
                started.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
            })
        };
        assert_eq!(check("training.max_memory_mib=1000"), [Ok(()), Ok(())]);
        assert_eq!(check("data.dir=\"elsewhere\""), [Ok(()), Ok(())]);
        let said = check("sampler.num_steps=7");
        assert_eq!(said[0], said[1]);
        let said = said[0].clone().unwrap_err();
        assert!(said.starts_with("rank 1: sampler.num_steps = 7 here, and "), "{said}");
        assert!(said.ends_with(" on rank 0: give all ranks the same settings"), "{said}");
    }
}
