//! Commands that a launcher of MPI starts as several processes, though each is for one.

use std::time::Duration;

use anyhow::bail;

use crate::ranks::launch::{self, Launch};

/// How long the other ranks wait before they say what rank 0 says too. When that has ended with an error, the launcher ends
/// the others.
const HEAD_START: Duration = Duration::from_secs(2);

/// Whether this process is one of several, and not the first of them.
pub(super) fn is_later_rank() -> bool {
    launch::launch().is_some_and(|launch| launch.rank > 0)
}

/// Lets the first of several processes say what is wrong with all of them, so that it is said once. If it is wrong with this
/// one alone, this one still says it.
pub(super) fn let_first_speak() {
    if is_later_rank() {
        std::thread::sleep(HEAD_START);
    }
}

/// Checks that a command is not done several times. A launcher of MPI may start only `train`, `sweep` and parts of a job as
/// several processes. `command` is none for the program alone.
///
/// # Errors
/// It would be.
pub(super) fn check_single(command: Option<&str>, is_part: bool) -> anyhow::Result<()> {
    let Some(launch) = launch::launch().filter(|_| !is_part) else { return Ok(()) };
    match refusal(command, launch) {
        None => Ok(()),
        Some(words) => {
            let_first_speak();
            bail!(words)
        }
    }
}

/// Why a command is not done by several processes; none if it is for them.
fn refusal(command: Option<&str>, launch: Launch) -> Option<String> {
    if let Some("train" | "sweep") = command {
        return None;
    }
    let Launch { size, launcher, .. } = launch;
    let name = command.map_or("jempp".into(), |command| format!("jempp {command}"));
    Some(format!(
        "{launcher} started {size} processes, and each of them would do all of `{name}`: start it once; of the commands, `train` \
         is for several ranks, and `sample` and `eval` are divided with --shard 1/{size} to --shard {size}/{size}, a process for \
         each"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_training_is_for_several_processes() {
        let launch = Launch { rank: 2, size: 4, launcher: "mpirun of Open MPI" };
        assert_eq!(refusal(Some("train"), launch), None);
        assert_eq!(refusal(Some("sweep"), launch), None);
        for (command, words) in [(Some("sample"), "`jempp sample`"), (None, "`jempp`")] {
            let said = refusal(command, launch).unwrap();
            let begin = "mpirun of Open MPI started 4 processes, and each of them would do all of";
            assert!(said.starts_with(&format!("{begin} {words}: start it once")), "{said}");
            assert!(said.contains("with --shard 1/4 to --shard 4/4"), "{said}");
        }
    }
}
