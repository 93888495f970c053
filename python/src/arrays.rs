//! Images as NumPy arrays: which types and shapes are taken, and how they lie in memory.

use numpy::{
    PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::{
    prelude::*,
    types::{PyDict, PyFloat, PyInt, PyList, PyTuple},
};

use crate::errors::{DtypeError, InputError, ShapeError};

/// A value of an image further from 0 than this is no pixel in [-1, 1], and no place where a chain is.
const FURTHEST: f32 = 10.0;

/// Images that a model takes, in its own order of values (C, H, W).
pub(crate) struct Images<'py> {
    array: PyReadonlyArrayDyn<'py, f32>,
    /// The shape that was given.
    shape: Vec<usize>,
    /// Whether the channels were last, so that the values were put into another order.
    is_reordered: bool,
    /// The name of the argument.
    name: &'static str,
    input: [usize; 3],
}

impl<'py> Images<'py> {
    /// Reads an argument: an array, or what NumPy makes one of. One of float32 in C order is used where it lies, any other
    /// is copied.
    ///
    /// # Errors
    /// What is given is no array of floating-point numbers, or of a shape that is not one of the model's.
    pub(crate) fn read(
        given: &Bound<'py, PyAny>,
        name: &'static str,
        input: [usize; 3],
    ) -> PyResult<Self> {
        let py = given.py();
        let numpy = py.import("numpy")?;
        let array = array_of(given, name, &numpy)?;
        check_type(&array, name)?;
        let shape = array.cast::<PyUntypedArray>()?.shape().to_vec();
        let is_reordered = is_channels_last(&shape, input)
            .ok_or_else(|| ShapeError::new_err(wrong_shape(&shape, name, input)))?;
        let array = match is_reordered {
            true => array.call_method1("transpose", (0, 3, 1, 2))?,
            false => array,
        };
        // Gives the array itself if it is so already.
        let wanted = PyDict::new(py);
        wanted.set_item("requirements", ["C", "A"])?;
        let array = numpy.call_method("require", (array, "float32"), Some(&wanted))?;
        let array = array.cast::<PyArrayDyn<f32>>()?.try_readonly().map_err(|error| {
            InputError::new_err(format!("{name} cannot be read while it is written to: {error}"))
        })?;
        Ok(Self { array, shape, is_reordered, name, input })
    }

    /// The number of images.
    pub(crate) fn count(&self) -> usize {
        self.shape[0]
    }

    /// The values, (N, C, H, W) flattened.
    pub(crate) fn values(&self) -> PyResult<&[f32]> {
        self.array.as_slice().map_err(|error| InputError::new_err(error.to_string()))
    }

    /// Checks that every value is finite and, for images, not far outside [-1, 1]. Meant to be called without the
    /// interpreter's lock; the error is raised with [`Images::refuse`].
    pub(crate) fn first_wrong(values: &[f32], input: [usize; 3]) -> Option<usize> {
        let furthest = if is_planar(input) { f32::MAX } else { FURTHEST };
        // Most arrays have no such value, and this is quicker without a place.
        let is_right = |value: &f32| value.abs() <= furthest;
        let part = values.chunks(4096).position(|part| !part.iter().all(is_right))?;
        (4096 * part..values.len()).find(|&index| !is_right(&values[index]))
    }

    /// The exception for a value that [`Images::first_wrong`] found.
    pub(crate) fn refuse(&self, index: usize) -> PyResult<PyErr> {
        let (values, name) = (self.values()?, self.name);
        let value = values[index];
        let place = self.place(index);
        if !value.is_finite() {
            return Ok(InputError::new_err(format!(
                "{name}[{place}] is {value}; all values must be finite"
            )));
        }
        let (least, most) = values
            .iter()
            .filter(|value| value.is_finite())
            .fold((f32::MAX, f32::MIN), |(least, most), &value| {
                (least.min(value), most.max(value))
            });
        let advice = match least >= 0.0 && most <= 255.0 {
            true => "; for pixels from 0 to 255: x / 127.5 - 1",
            false => "",
        };
        Ok(InputError::new_err(format!(
            "{name} has values from {least} to {most}, for example {name}[{place}]; images have values from -1 to 1{advice}"
        )))
    }

    /// The indices of a value in the array that was given.
    fn place(&self, index: usize) -> String {
        let [c, h, w] = self.input;
        let mut indices = Vec::new();
        if self.is_reordered {
            let (n, rest) = (index / (c * h * w), index % (c * h * w));
            let (channel, pixel) = (rest / (h * w), rest % (h * w));
            indices = vec![n, pixel / w, pixel % w, channel];
        } else {
            let mut rest = index;
            for &length in self.shape.iter().rev() {
                indices.insert(0, rest % length.max(1));
                rest /= length.max(1);
            }
        }
        indices.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Values of the images' shape in the model's order, as an array of the shape and order that was given.
    pub(crate) fn like(&self, py: Python<'py>, values: Vec<f32>) -> PyResult<Bound<'py, PyAny>> {
        let [c, h, w] = self.input;
        let array = numpy::PyArray1::from_vec(py, values);
        if !self.is_reordered {
            return Ok(array.reshape(self.shape.as_slice())?.into_any());
        }
        let array = array.reshape([self.count(), c, h, w])?;
        let array = array.call_method1("transpose", (0, 2, 3, 1))?;
        py.import("numpy")?.call_method1("ascontiguousarray", (array,))
    }
}

/// Whether the inputs are points in the plane and no images.
pub(crate) fn is_planar([_, h, w]: [usize; 3]) -> bool {
    h * w == 1
}

/// The array that NumPy makes of what is given.
fn array_of<'py>(
    given: &Bound<'py, PyAny>,
    name: &str,
    numpy: &Bound<'py, PyModule>,
) -> PyResult<Bound<'py, PyAny>> {
    let is_sequence = given.is_instance_of::<PyList>()
        || given.is_instance_of::<PyTuple>()
        || given.is_instance_of::<PyFloat>()
        || given.is_instance_of::<PyInt>();
    let refused = |error: PyErr| {
        InputError::new_err(format!("NumPy makes no array of {name}: {}", error.value(given.py())))
    };
    let array = if is_sequence || given.hasattr("__array__")? {
        numpy.call_method1("asarray", (given,)).map_err(refused)?
    } else if given.hasattr("__dlpack__")? {
        numpy.call_method1("from_dlpack", (given,)).map_err(refused)?
    } else {
        let kind = given.get_type().qualname()?;
        return Err(DtypeError::new_err(format!(
            "{name} is a {kind}; give an array of float32, or what NumPy makes one of"
        )));
    };
    if numpy.getattr("ma")?.call_method1("isMaskedArray", (given,))?.is_truthy()? {
        return Err(InputError::new_err(format!(
            "{name} is a masked array, whose mask would be ignored: give {name}.filled(VALUE) or {name}.data"
        )));
    }
    Ok(array)
}

/// Checks that the numbers are floating-point numbers.
fn check_type(array: &Bound<'_, PyAny>, name: &str) -> PyResult<()> {
    let array = array.cast::<PyUntypedArray>()?;
    let dtype = array.dtype();
    let wanted = match dtype.kind() {
        b'f' => return Ok(()),
        b'u' if dtype.itemsize() == 1 => {
            "images are float32 from -1 to 1; for pixels from 0 to 255: x.astype(numpy.float32) / 127.5 - 1"
        }
        b'i' | b'u' | b'b' => "give floating-point numbers, as in x.astype(numpy.float32)",
        _ => "give an array of float32",
    };
    Err(DtypeError::new_err(format!("{name} has the type {}; {wanted}", dtype.str()?)))
}

/// Whether images of this shape have their channels last and more than one of them; `None` if a model with this input
/// shape (C, H, W) takes no such shape.
fn is_channels_last(shape: &[usize], [c, h, w]: [usize; 3]) -> Option<bool> {
    match *shape {
        [_, k, y, x] if [k, y, x] == [c, h, w] => Some(false),
        [_, y, x, k] if [k, y, x] == [c, h, w] => Some(c > 1),
        [_, y, x] if c == 1 && [y, x] == [h, w] => Some(false),
        [_, d] if d == c * h * w && (c == 1 || h * w == 1) => Some(false),
        _ => None,
    }
}

fn wrong_shape(shape: &[usize], name: &str, input: [usize; 3]) -> String {
    let [c, h, w] = input;
    let wanted = match (is_planar(input), c) {
        (true, _) => format!("(n, {c})"),
        (false, 1) => {
            format!("(n, {h}, {w}), (n, 1, {h}, {w}), (n, {h}, {w}, 1) or (n, {})", h * w)
        }
        (false, _) => format!("(n, {c}, {h}, {w}) or (n, {h}, {w}, {c})"),
    };
    // A single image is the most frequent mistake.
    let one: Vec<usize> = std::iter::once(1).chain(shape.iter().copied()).collect();
    let advice = match is_channels_last(&one, input) {
        Some(_) => format!("; for one input: {name}[numpy.newaxis]"),
        None => String::new(),
    };
    let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
    let shape = match shape.len() {
        1 => format!("({},)", shape[0]),
        _ => format!("({})", shape.join(", ")),
    };
    format!("{name} has the shape {shape}; this model takes {wanted}{advice}")
}
