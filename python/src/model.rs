//! The class `Model`.

use jempp::ComputeDevice;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use pyo3::{
    prelude::*,
    types::{PyDict, PyTuple},
};

use crate::{
    arrays::{Images, is_planar},
    compute::{Interrupt, compute},
    errors::ConfigError,
    samples::{self, Samples},
    settings::Settings,
};

/// The number of images between two questions whether Ctrl-C was pressed. The library takes at most 250 at a time.
const PIECE: usize = 250;

/// A trained model on a device: a classifier whose logits also define an energy. `jempp.load` gives one.
///
/// Images are float32 with values from -1 to 1, of shape (n, c, h, w), (n, h, w, c) or, of one channel, (n, h, w); for
/// models of points in the plane, (n, 2). Several threads may use a model at the same time.
#[pyclass(frozen, module = "jempp")]
pub(crate) struct Model {
    model: jempp::Model,
    /// The name of the bundled model, of the run folder or of the file.
    #[pyo3(get)]
    name: String,
    title: Option<&'static str>,
    device: ComputeDevice,
}

impl Model {
    pub(crate) fn new(
        model: jempp::Model,
        name: String,
        title: Option<&'static str>,
        device: ComputeDevice,
    ) -> Self {
        Self { model, name, title, device }
    }

    /// Checks the images, then gives `work` some of them at a time, without the interpreter's lock.
    fn in_pieces(
        &self,
        py: Python<'_>,
        x: &Images<'_>,
        mut work: impl FnMut(&[f32]) -> Result<(), jempp::Error> + Send,
    ) -> PyResult<()> {
        let input = self.model.input_shape();
        let values = x.values()?;
        let (mut interrupt, mut wrong) = (Interrupt::new(), None);
        compute(py, || {
            wrong = Images::first_wrong(values, input);
            if wrong.is_some() {
                return Ok(());
            }
            for piece in values.chunks(PIECE * input.iter().product::<usize>()) {
                work(piece)?;
                if interrupt.is_wanted() {
                    break;
                }
            }
            Ok(())
        })?;
        if let Some(index) = wrong {
            return Err(x.refuse(index)?);
        }
        interrupt.raise()
    }

    fn read<'py>(&self, x: &Bound<'py, PyAny>) -> PyResult<Images<'py>> {
        Images::read(x, "x", self.model.input_shape())
    }
}

#[pymethods]
impl Model {
    /// The energy of each image, -log_sum_exp(logits): the lower, the more likely. Shape (n,).
    fn energy<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let x = self.read(x)?;
        let mut energies = Vec::with_capacity(x.count());
        self.in_pieces(py, &x, |piece| {
            energies.extend(self.model.energy(piece)?);
            Ok(())
        })?;
        Ok(energies.into_pyarray(py))
    }

    /// The logits of each image, shape (n, classes).
    fn logits<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let x = self.read(x)?;
        let mut logits = Vec::with_capacity(x.count() * self.num_classes());
        self.in_pieces(py, &x, |piece| {
            logits.extend(self.model.logits(piece)?.into_iter().flatten());
            Ok(())
        })?;
        logits.into_pyarray(py).reshape([x.count(), self.num_classes()])
    }

    /// p(y|x) of each image, shape (n, classes): the softmax of the logits, divided by `temperature` if the model was
    /// calibrated.
    fn probabilities<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let x = self.read(x)?;
        let mut rows = Vec::with_capacity(x.count() * self.num_classes());
        self.in_pieces(py, &x, |piece| {
            let predictions = self.model.classify(piece)?;
            rows.extend(predictions.into_iter().flat_map(|prediction| prediction.probabilities));
            Ok(())
        })?;
        rows.into_pyarray(py).reshape([x.count(), self.num_classes()])
    }

    /// The gradient of the energy by the image, with the shape of `x`. A small step against it lowers the energy.
    fn gradient<'py>(&self, py: Python<'py>, x: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.energy_and_gradient(py, x)?.1)
    }

    /// Images without noise: the mean of the images that each noisy one may come from, with the shape of `x`. For models whose
    /// data and chains had the same noise in training, as "mnist-sampler", and for images with this noise. What `sample` returns
    /// has none any more.
    fn denoise<'py>(&self, py: Python<'py>, x: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let x = self.read(x)?;
        let mut images = Vec::with_capacity(x.values()?.len());
        self.in_pieces(py, &x, |piece| {
            images.extend(self.model.denoise(piece)?);
            Ok(())
        })?;
        x.like(py, images)
    }

    /// The energy of each image and its gradient, from one pass: (energies of shape (n,), gradients of the shape of `x`).
    fn energy_and_gradient<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
    ) -> PyResult<(Bound<'py, PyArray1<f32>>, Bound<'py, PyAny>)> {
        let x = self.read(x)?;
        let mut energies = Vec::with_capacity(x.count());
        let mut gradients = Vec::with_capacity(x.values()?.len());
        self.in_pieces(py, &x, |piece| {
            let (energy, gradient) = self.model.energy_and_gradient(piece)?;
            energies.extend(energy);
            gradients.extend(gradient);
            Ok(())
        })?;
        Ok((energies.into_pyarray(py), x.like(py, gradients)?))
    }

    /// Draws samples with Langevin chains. All arguments are keywords, named as the keys of the configuration.
    ///
    /// `num_steps`: steps of each chain. `num_per_class`: chains of each class, or of each of `labels`.
    /// `labels`: classes by number or name; all classes if not given. `start`: "class-centers", "uniform", "data" (test
    /// images), "buffer" (chains of the training run), the path of a picture, or an array with one image for each start.
    /// `seed`: of starts and noise; the same seed gives the same samples. `conditional`: sample p(x|y) of each label
    /// instead of p(x). `chains_per_start`: consecutive chains that share a start. `traces`: also keep energy and health of
    /// every chain at every step.
    ///
    /// Every other keyword changes the sampler of the training run: `kind`, `step_size`, `noise_std`, `proximal_radius`,
    /// `num_inner_steps`, `inner_step_size`, `step_schedule`, `final_step_factor`, `denoise_step`; or how the network is used: `norm`,
    /// `split`, `micro_batch`, `max_memory_mib`; or, for start="data", the folder `dir` of the data set.
    ///
    /// Raises `ConfigError` for a keyword that does not exist, is not allowed or would have no effect, and `Error` if the
    /// chains diverge.
    #[pyo3(
        signature = (**keywords),
        text_signature = "($self, *, num_steps=100, num_per_class=None, labels=None, start='class-centers', seed=0, conditional=False, chains_per_start=1, traces=False, **sampler)"
    )]
    fn sample(&self, py: Python<'_>, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<Samples> {
        let Settings { config, chains, has_labels, traces } =
            Settings::read(py, &self.model, keywords)?;
        let changed = match config == *self.model.config() {
            true => None,
            false => Some(compute(py, || self.model.clone().with_config(config))?),
        };
        let model = changed.as_ref().unwrap_or(&self.model);
        let mut traces = traces.then(samples::Traces::default);
        let mut interrupt = Interrupt::new();
        let sampled = compute(py, || {
            model.sample_while(&chains, |step| {
                if let Some(traces) = &mut traces {
                    traces.add(step);
                }
                !interrupt.is_wanted()
            })
        });
        interrupt.raise()?;
        Samples::new(py, sampled?, has_labels, traces)
    }

    /// The shape of an input: (channels, height, width), or (2,) for points in the plane.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let shape @ [c, ..] = self.model.input_shape();
        if is_planar(shape) { PyTuple::new(py, [c]) } else { PyTuple::new(py, shape) }
    }

    /// The names of the classes, in the order of the logits.
    #[getter]
    fn classes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.model.class_names())
    }

    /// The number of classes.
    #[getter]
    fn num_classes(&self) -> usize {
        self.model.class_names().len()
    }

    /// The configuration of the training run, as a dictionary of dictionaries: `model.config["sampler"]["step_size"]`.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let text = serde_json::to_string(self.model.config())
            .map_err(|error| ConfigError::new_err(error.to_string()))?;
        py.import("json")?.call_method1("loads", (text,))
    }

    /// The device that computes, in words.
    #[getter]
    fn device(&self) -> &str {
        &self.device.description
    }

    /// The temperature that divides the logits for `probabilities`, if one was fitted on held-out images after training.
    #[getter]
    fn temperature(&self) -> Option<f64> {
        self.model.checkpoint().counters.temperature
    }

    fn __repr__(&self) -> String {
        let title = self.title.map_or_else(String::new, |title| format!(": {title}"));
        let [c, h, w] = self.model.input_shape();
        let input = match is_planar([c, h, w]) {
            true => format!("points of {c} numbers"),
            false => format!("images {c}×{h}×{w}"),
        };
        format!(
            "<jempp.Model '{}'{title}; {}; {input}, {} classes; on {}>",
            self.name,
            self.model.config().model.describe(),
            self.num_classes(),
            self.device.description
        )
    }
}
