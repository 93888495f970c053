//! How this process was started: alone, or by a launcher of MPI as one of several.

use std::env::var;

/// What a launcher sets for each process: the number of processes, and the number of this one.
const LAUNCHERS: [(&str, &str, &str); 4] = [
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "mpirun of Open MPI"),
    ("PMI_SIZE", "PMI_RANK", "a launcher of MPI"),
    ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK", "mpirun of MVAPICH"),
    // Slurm sets these for any program; only with PMIx or PMI the processes are meant as one program.
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "srun"),
];

/// The start of this process as one of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Launch {
    /// The number of this process.
    pub(crate) rank: usize,
    /// The number of processes.
    pub(crate) size: usize,
    /// The launcher, in words.
    pub(crate) launcher: &'static str,
}

/// How this process was started, if as one of several.
pub(crate) fn launch() -> Option<Launch> {
    find(&|name| var(name).ok())
}

fn find(value: &dyn Fn(&str) -> Option<String>) -> Option<Launch> {
    let number = |name| value(name).and_then(|text| text.trim().parse::<usize>().ok());
    let is_meant = |launcher: &str| launcher != "srun" || value("PMIX_RANK").is_some();
    let launched = LAUNCHERS.into_iter().filter(|(.., launcher)| is_meant(launcher));
    let launched = launched.filter_map(|(size, rank, launcher)| {
        Some(Launch { rank: number(rank)?, size: number(size)?, launcher })
    });
    launched.into_iter().find(|launch| launch.size > 1)
}

/// The variables by which a process knows that it is one of several. A program that it starts is none of them.
pub(crate) fn variables() -> impl Iterator<Item = &'static str> {
    LAUNCHERS.into_iter().flat_map(|(size, rank, _)| [size, rank]).chain(["PMIX_RANK"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_launcher_with_several_processes_makes_ranks() {
        let found = |set: &[(&str, &str)]| {
            let value = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
            };
            find(&value).map(|launch| (launch.rank, launch.size))
        };
        let open_mpi = [("OMPI_COMM_WORLD_SIZE", "4"), ("OMPI_COMM_WORLD_RANK", "3")];
        assert_eq!(found(&open_mpi), Some((3, 4)));
        assert_eq!(found(&[("PMI_SIZE", "2"), ("PMI_RANK", "0")]), Some((0, 2)));
        assert_eq!(found(&[("OMPI_COMM_WORLD_SIZE", "1"), ("OMPI_COMM_WORLD_RANK", "0")]), None);
        // A script of a queue, and tasks that have nothing to do with one another.
        assert_eq!(found(&[("SLURM_NTASKS", "4"), ("SLURM_PROCID", "0")]), None);
        let step = [("SLURM_STEP_NUM_TASKS", "4"), ("SLURM_PROCID", "2"), ("PMIX_RANK", "2")];
        assert_eq!(found(&step[..2]), None);
        assert_eq!(found(&step), Some((2, 4)));
    }
}
