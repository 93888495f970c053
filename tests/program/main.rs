//! Tests of the program from the command line: its commands, the files it reads and writes, and its messages.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may")]

mod absent;
#[cfg(unix)]
mod bounded;
mod cards;
#[cfg(unix)]
mod cases;
mod checkpoints;
mod cli;
#[path = "../common/mod.rs"]
mod common;
mod devices;
mod diagnose;
mod documents;
mod ended_early;
mod eval;
mod eval_settings;
#[cfg(feature = "fetch")]
mod fetch;
#[path = "../files/mod.rs"]
mod files;
mod inputs;
#[cfg(feature = "pytorch")]
mod interop;
#[cfg(unix)]
mod kills;
mod library;
mod outputs;
mod own_data;
#[cfg(unix)]
mod recipes;
#[cfg(feature = "report")]
mod report;
mod run;
mod shards;
#[cfg(unix)]
mod stopping;
mod sweep;
#[cfg(unix)]
mod sweep_trouble;
