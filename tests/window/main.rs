//! Tests of the window: by its accessible names, with pictures, and on a real display.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may")]

mod app;
mod asked_before;
mod draw;
mod grid;
mod kept;
mod lab;
mod lesson_pictures;
mod lessons;
mod measures;
mod odd_windows;
mod own_data;
mod phone;
mod pictures;
mod presented;
mod real;
mod scripted;
mod slice;
mod small;
mod spoken;
mod training_again;
