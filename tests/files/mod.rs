//! Test files in other formats, built by hand: checkpoints and PyTorch archives. `fuzz/` uses them too.
#![allow(dead_code, clippy::unwrap_used, reason = "each program uses its own part")]

pub(crate) mod checkpoint_file;
pub(crate) mod torch_file;
