//! The window, which lets the user watch, steer and compare chains. This module uses no tensors.
//!
//! Its layers, from the bottom: helpers without dependencies (`fit`, `theme`, `words`, `size_class`, `pixels`,
//! `chart`, `record`, …); `state`, the state of the window; the panels, each of which gets the parts of the
//! state that it may change; `viewer`, the whole state; and on top the three layouts and `window`, whose
//! [`App`] connects them to a worker.

mod atlas;
mod banners;
mod brush;
mod canvas;
mod chains_panel;
mod chart;
mod compact;
mod compare;
mod contrast;
mod controls;
mod disk;
mod embed;
mod exports;
mod files;
mod fit;
#[cfg(any(test, target_arch = "wasm32"))]
mod fonts;
mod grid;
mod help;
mod inpaint;
mod keys;
mod lab;
mod lessons;
mod magnifier;
mod memory;
mod menu;
mod nearest;
mod offscreen;
mod panels;
mod pixels;
mod plots;
mod points;
mod presentation;
mod r_hat;
mod record;
mod scatter;
mod selected;
mod size_class;
mod spoken;
mod state;
mod status;
mod theme;
mod training;
mod transport;
mod verdict;
mod viewer;
mod welcome;
mod wide;
mod window;
mod words;

pub use crate::config::Tab;
#[cfg(target_arch = "wasm32")]
pub(crate) use fonts::small as small_fonts;
#[cfg(target_arch = "wasm32")]
pub(crate) use record::limit_history;
pub use record::{Record, Thinned};
pub use spoken::{Guide, Spoken, Voice};
pub use state::{LastRun, Overlay, Selection};
pub use viewer::Viewer;
pub use window::{App, Link, SIZE};
