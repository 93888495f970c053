//! Files of foreign formats, made by hand: checkpoints and PyTorch archives. Shared with `fuzz/`.
#![allow(dead_code, clippy::unwrap_used, reason = "each program uses its own part")]

pub mod checkpoint_file;
pub mod torch_file;
