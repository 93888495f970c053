//! jempp for Python: the models of the library on NumPy arrays.
//!
//! Every call that computes releases the interpreter's lock, hears Ctrl-C, and turns each error of the library into an
//! exception of `jempp/_errors.py`. Arrays are checked here before anything is computed ([`arrays`]), and so are the
//! keywords of `sample` ([`settings`]).

mod arrays;
mod compute;
mod devices;
mod errors;
mod model;
mod samples;
mod settings;

use std::path::{Path, PathBuf};

use jempp::{
    bundled::{self, BUNDLED_MODELS},
    checkpoint::{self, Checkpoint},
};
use pyo3::{prelude::*, types::PyString};

use compute::{compute, compute_or};
use errors::ModelError;
use model::Model;
use samples::Samples;

/// Loads a model: a bundled one by its name, or the file or run folder at a path.
///
/// A name of `jempp.models()` is always the bundled model; for a file of that name, write "./fashion" or give a
/// `pathlib.Path`. `device` is "auto", "gpu", "cpu", or the index, a part of the name or the graphics API of an adapter of
/// `jempp.devices()`. "auto" takes the best GPU, or the CPU if there is none.
///
/// Raises `ModelError` if there is no such model or the file is none, and `DeviceError` if there is no such device.
#[pyfunction]
#[pyo3(signature = (path_or_name, device = None), text_signature = "(path_or_name, device='auto')")]
fn load(
    py: Python<'_>,
    path_or_name: &Bound<'_, PyAny>,
    device: Option<&Bound<'_, PyAny>>,
) -> PyResult<Model> {
    let device = devices::open(py, device)?;
    let text = path_or_name.cast::<PyString>().ok().map(|text| text.to_string());
    let found = text.as_ref().and_then(|name| bundled::find(name).ok());
    if let Some(bundled) = found {
        let model = compute(py, || jempp::Model::new(bundled.load()?, &device.device))?;
        return Ok(Model::new(model, bundled.name.into(), Some(bundled.title), device));
    }
    let path: PathBuf = path_or_name.extract().map_err(|_| {
        let kind =
            path_or_name.get_type().qualname().map_or_else(|_| "?".into(), |name| name.to_string());
        ModelError::new_err(format!(
            "path_or_name is a {kind}; give a path, or one of {}",
            names().join(", ")
        ))
    })?;
    if !path.exists() {
        return Err(ModelError::new_err(missing(&path, text.is_some())));
    }
    let name = checkpoint::name_of(&path);
    let load = || jempp::Model::new(Checkpoint::load(&path)?, &device.device);
    Ok(Model::new(compute_or::<_, ModelError>(py, load)?, name, None, device))
}

/// What to say of a path where nothing is.
fn missing(path: &Path, is_text: bool) -> String {
    let (shown, all) = (path.display().to_string(), names().join(", "));
    if is_text && (shown.starts_with("hf:") || shown.contains("://")) {
        return format!(
            "`{shown}` is an address, and load takes files: `jempp fetch-model {shown}` downloads the model and prints its path"
        );
    }
    let is_word = is_text && path.components().count() == 1 && path.extension().is_none();
    match bundled::find(&shown) {
        Err(error) if is_word => format!("no file or folder `{shown}`, and {error}"),
        _ => format!("no file or folder {shown}; the bundled models are {all}"),
    }
}

fn names() -> Vec<&'static str> {
    BUNDLED_MODELS.iter().map(|model| model.name).collect()
}

/// The names of the bundled models, for `jempp.load`.
#[pyfunction]
fn models() -> Vec<&'static str> {
    names()
}

/// The module `jempp._jempp`; people import `jempp`.
#[pymodule]
fn _jempp(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(load, module)?)?;
    module.add_function(wrap_pyfunction!(models, module)?)?;
    module.add_function(wrap_pyfunction!(devices::devices, module)?)?;
    module.add_class::<Model>()?;
    module.add_class::<Samples>()
}
