//! The class `Samples`, and what is kept of the chains on the way.

use jempp::ChainStep;
use numpy::{IntoPyArray, PyArray1, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::{prelude::*, types::PyDict};

use crate::arrays::is_planar;

/// The ends of chains, as `Model.sample` gives them.
#[pyclass(frozen, module = "jempp")]
pub(crate) struct Samples {
    /// The images, shape (n, c, h, w), or (n, 2) for points in the plane.
    #[pyo3(get)]
    images: Py<PyAny>,
    /// The energy of each chain, shape (n,): E(x), or E(x, y) for conditional chains.
    #[pyo3(get)]
    energies: Py<PyArray1<f32>>,
    /// The class of each chain, shape (n,); None if the chains started from images without labels.
    #[pyo3(get)]
    labels: Option<Py<PyArray1<i64>>>,
    /// p(y|x) of each image, shape (n, classes), as `Model.probabilities` gives it.
    #[pyo3(get)]
    probabilities: Py<PyAny>,
    /// With traces=True: arrays of shape (num_steps + 1, n) from the starts to the ends, under the names "energy",
    /// "gradient_norm", "clamp_rate", "saturation" and, for MALA, "acceptance_probability". Else None.
    #[pyo3(get)]
    traces: Option<Py<PyDict>>,
}

impl Samples {
    pub(crate) fn new(
        py: Python<'_>,
        samples: jempp::Samples,
        has_labels: bool,
        traces: Option<Traces>,
    ) -> PyResult<Self> {
        let shape @ [n, c, h, w] = samples.shape();
        let images = samples.images().to_vec().into_pyarray(py);
        let images = match is_planar([c, h, w]) {
            true => images.reshape([n, c])?.into_any(),
            false => images.reshape(shape)?.into_any(),
        };
        let rows = samples.predictions().iter().map(|seen| &seen.probabilities);
        let probabilities: Vec<f32> = rows.flatten().copied().collect();
        let num_classes = probabilities.len() / n.max(1);
        let labels: Vec<i64> = samples.labels().iter().map(|&label| label.into()).collect();
        Ok(Self {
            images: images.unbind(),
            energies: samples.energies().into_pyarray(py).unbind(),
            labels: has_labels.then(|| labels.into_pyarray(py).unbind()),
            probabilities: probabilities
                .into_pyarray(py)
                .reshape([n, num_classes])?
                .into_any()
                .unbind(),
            traces: traces.map(|traces| traces.into_dict(py, n)).transpose()?,
        })
    }
}

#[pymethods]
impl Samples {
    fn __len__(&self, py: Python<'_>) -> usize {
        self.energies.bind(py).len()
    }

    /// The images, so that NumPy takes samples for an array.
    #[pyo3(signature = (dtype = None, copy = None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let images = self.images.bind(py);
        let dtype = dtype.map_or_else(|| images.getattr("dtype"), Ok)?;
        let is_other = !dtype.eq(images.getattr("dtype")?)?;
        if copy == Some(false) && is_other {
            return Err(pyo3::exceptions::PyValueError::new_err(
                "samples are float32: another type takes a copy",
            ));
        }
        match is_other || copy == Some(true) {
            true => images.call_method1("astype", (dtype,)),
            false => Ok(images.clone()),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let energies = self.energies.bind(py);
        let (least, most) = energies
            .readonly()
            .as_array()
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), &e| {
                (least.min(e), most.max(e))
            });
        Ok(format!(
            "<jempp.Samples: {} of shape {}, energies from {least:.2} to {most:.2}{}>",
            energies.len(),
            self.images.bind(py).getattr("shape")?.get_item(pyo3::types::PySlice::new(
                py,
                1,
                isize::MAX,
                1
            ))?,
            if self.traces.is_some() { ", with traces" } else { "" }
        ))
    }
}

/// Energy and health of every chain at every step.
#[derive(Default)]
pub(crate) struct Traces {
    energies: Vec<f32>,
    gradient_norms: Vec<f32>,
    clamp_rates: Vec<f32>,
    saturations: Vec<f32>,
    /// Empty but for MALA.
    acceptance: Vec<f32>,
}

impl Traces {
    pub(crate) fn add(&mut self, step: &ChainStep) {
        self.energies.extend(&step.energies);
        self.gradient_norms.extend(&step.gradient_norms);
        self.clamp_rates.extend(&step.clamp_rates);
        self.saturations.extend(&step.saturations);
        match &step.acceptance {
            Some(acceptance) => self.acceptance.extend(acceptance),
            // No step follows the last one.
            None if !self.acceptance.is_empty() => {
                self.acceptance.extend(step.energies.iter().map(|_| f32::NAN));
            }
            None => {}
        }
    }

    fn into_dict(self, py: Python<'_>, num_chains: usize) -> PyResult<Py<PyDict>> {
        let dict = PyDict::new(py);
        for (name, column) in [
            ("energy", self.energies),
            ("gradient_norm", self.gradient_norms),
            ("clamp_rate", self.clamp_rates),
            ("saturation", self.saturations),
            ("acceptance_probability", self.acceptance),
        ] {
            if !column.is_empty() {
                let shape = [column.len() / num_chains.max(1), num_chains];
                dict.set_item(name, column.into_pyarray(py).reshape(shape)?)?;
            }
        }
        Ok(dict.unbind())
    }
}
