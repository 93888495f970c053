//! The devices of this process: each is opened once, for all models on it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jempp::{ComputeDevice, device};
use pyo3::{
    prelude::*,
    types::{PyDict, PyInt, PyString},
};

use crate::{compute::compute, errors::DeviceError};

/// Opens the device of this name, or gives the one that was opened before.
///
/// # Errors
/// There is no such device, or it cannot be opened.
pub(crate) fn open(py: Python<'_>, wanted: Option<&Bound<'_, PyAny>>) -> PyResult<ComputeDevice> {
    static OPEN: Mutex<Option<HashMap<String, ComputeDevice>>> = Mutex::new(None);
    let wanted = match wanted {
        None => "auto".to_string(),
        Some(name) if name.is_instance_of::<PyString>() || name.is_instance_of::<PyInt>() => {
            name.str()?.to_string()
        }
        Some(other) => {
            return Err(DeviceError::new_err(format!(
                "device is a {}; give \"auto\", \"cpu\", \"gpu\", or the index or a part of the name of an adapter of \
                 jempp.devices()",
                other.get_type().qualname()?
            )));
        }
    };
    compute(py, || {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.get_or_insert_default();
        if let Some(device) = open.get(&wanted) {
            return Ok(device.clone());
        }
        let device = ComputeDevice::open(&wanted)?;
        open.insert(wanted, device.clone());
        Ok(device)
    })
}

/// The graphics adapters of this machine, each a dictionary: its `index` and `name`, one of which `jempp.load` takes as
/// `device`, and its `backend`, `kind` and `driver`. The CPU, which is always there, is not among them.
#[pyfunction]
pub(crate) fn devices(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let adapters = compute(py, || Ok(pollster::block_on(device::list())))?;
    let described = adapters.into_iter().map(|adapter| {
        let dict = PyDict::new(py);
        dict.set_item("index", adapter.index)?;
        dict.set_item("name", adapter.name)?;
        dict.set_item("backend", adapter.backend)?;
        dict.set_item("kind", adapter.kind)?;
        dict.set_item("driver", adapter.driver)?;
        Ok(dict)
    });
    described.collect()
}
