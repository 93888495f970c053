//! The library's errors as Python's exceptions.

use jempp::{chains::ChainError, checkpoint::CheckpointError};
use pyo3::{PyErr, PyTypeInfo};

pyo3::import_exception!(jempp._errors, Error);
pyo3::import_exception!(jempp._errors, InputError);
pyo3::import_exception!(jempp._errors, ShapeError);
pyo3::import_exception!(jempp._errors, DtypeError);
pyo3::import_exception!(jempp._errors, ConfigError);
pyo3::import_exception!(jempp._errors, ModelError);
pyo3::import_exception!(jempp._errors, DeviceError);

/// The exception for an error of the library; `Other` if none is meant for it.
pub(crate) fn exception<Other: PyTypeInfo>(error: jempp::Error) -> PyErr {
    let said = error.to_string();
    match error {
        jempp::Error::Device(_) | jempp::Error::Read(_) => DeviceError::new_err(said),
        jempp::Error::Config(_) => ConfigError::new_err(said),
        jempp::Error::NoSuchModel(_) | jempp::Error::Flaw(_) => ModelError::new_err(said),
        jempp::Error::Checkpoint(CheckpointError::Memory(_)) => ConfigError::new_err(said),
        jempp::Error::Checkpoint(_) => ModelError::new_err(said),
        jempp::Error::Chains(ChainError::Read(_)) => DeviceError::new_err(said),
        jempp::Error::Chains(_) => ConfigError::new_err(said),
        _ => PyErr::new::<Other, _>(said),
    }
}
