//! Readback of tensors to the host: several tensors in one request, each checked against its shape. And marks in the
//! work of a device, to wait for without reading anything.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::atomic::{AtomicU64, Ordering},
    task::Poll,
};

use burn::tensor::{Tensor, TensorData, Transaction};
use burn_wgpu::Wgpu;

use crate::kernels::note_submission;

/// The number of readbacks of this process, and of the values in them.
static READBACKS: AtomicU64 = AtomicU64::new(0);
static VALUES: AtomicU64 = AtomicU64::new(0);

/// Why tensors could not be read from the device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The device is lost or out of memory.
    #[error("the device failed: {0}")]
    Device(String),
    /// The device returned other values than the requested ones.
    #[error("the device failed: it returned {found} instead of float values of shape {expected:?}")]
    Mismatch {
        /// The shape of the tensor that was requested.
        expected: Vec<usize>,
        /// A description of the values that arrived.
        found: String,
    },
}

/// A value that [`read`] can copy to the host: a float tensor, or several in a tuple, an array, a `Vec` or an `Option`.
pub trait Readable {
    /// The values on the host: a row-major `Vec<f32>` for a tensor; for several tensors, the same tuple, array, `Vec`
    /// or `Option` of them.
    type Host;
    /// The shapes that the values must have.
    type Shape;
    /// Adds the tensors to a request.
    fn request(self, reads: &mut Transaction) -> Self::Shape;
    /// Takes the values out of the arrived data.
    ///
    /// # Errors
    /// Too few tensors arrived, or other ones than requested.
    fn receive(shape: Self::Shape, arrived: &mut Arrived) -> Result<Self::Host, ReadError>;
}

/// The data that arrived for a request and was not taken yet.
pub struct Arrived(std::vec::IntoIter<TensorData>);

impl Arrived {
    fn take(&mut self, expected: &[usize]) -> Result<Vec<f32>, ReadError> {
        let mismatch = |found| ReadError::Mismatch { expected: expected.to_vec(), found };
        let data = self.0.next().ok_or_else(|| mismatch("nothing".into()))?;
        let found = format!("{:?} of shape {:?}", data.dtype(), data.shape().as_slice());
        if data.shape().as_slice() != expected {
            return Err(mismatch(found));
        }
        VALUES.fetch_add(data.num_elements() as u64, Ordering::Relaxed);
        data.try_into_vec().map_err(|_| mismatch(found))
    }
}

/// Reads the values of float tensors in one readback: `let (energy, x) = read((energy, x)).await?`.
///
/// It is asynchronous because a browser cannot block.
///
/// # Errors
/// The device is lost or out of memory.
pub async fn read<T: Readable>(tensors: T) -> Result<T::Host, ReadError> {
    READBACKS.fetch_add(1, Ordering::Relaxed);
    let mut reads = Transaction::default();
    let shape = tensors.request(&mut reads);
    // The request submits all work.
    note_submission();
    let arrived = reads.execute_async().await;
    let arrived = arrived.map_err(|error| ReadError::Device(error.to_string()))?;
    T::receive(shape, &mut Arrived(arrived.into_iter()))
}

/// Reads the values of float tensors like [`read`], and calls `meanwhile` while a GPU still computes them: to give it
/// more work, or to prepare some. The values do not wait for that work. On the CPU back end they are there at once, and
/// `meanwhile` is not called.
///
/// # Errors
/// The same errors as [`read`].
pub(crate) async fn read_while<T: Readable>(
    tensors: T,
    meanwhile: impl FnOnce(),
) -> Result<T::Host, ReadError> {
    let mut reading = pin!(read(tensors));
    // The first poll sends the request, so that the copies come before the work of `meanwhile`.
    if let Poll::Ready(values) = poll_once(reading.as_mut()).await {
        return values;
    }
    meanwhile();
    reading.await
}

async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// Reads the values of float tensors like [`read_while`], and waits for them.
///
/// # Errors
/// The same errors as [`read`].
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn read_now_while<T: Readable>(
    tensors: T,
    meanwhile: impl FnOnce(),
) -> Result<T::Host, ReadError> {
    pollster::block_on(read_while(tensors, meanwhile))
}

/// A mark behind the work that a GPU has so far, to wait for without reading anything. On the CPU back end, all work is
/// done at once, and so is the wait.
pub(crate) struct Mark(Option<Wait>);

type Wait = Pin<Box<dyn Future<Output = Result<(), ReadError>>>>;

impl Mark {
    /// Sends all work to the GPU of `tensor` and sets a mark behind it.
    pub(crate) async fn set<const D: usize>(tensor: &Tensor<D>) -> Self {
        let on_gpu = tensor.clone().without_autodiff().try_into_primitive::<Wgpu>();
        let Ok(on_gpu) = on_gpu else { return Self(None) };
        let done = on_gpu.client.sync();
        let mut wait: Wait =
            Box::pin(async { done.await.map_err(|error| ReadError::Device(error.to_string())) });
        // The first poll asks the GPU to report; later work does not delay the report.
        match poll_once(wait.as_mut()).await {
            Poll::Ready(result) => Self(Some(Box::pin(std::future::ready(result)))),
            Poll::Pending => Self(Some(wait)),
        }
    }

    /// Waits until all work before the mark is done.
    ///
    /// # Errors
    /// The device is lost or out of memory.
    pub(crate) async fn reached(self) -> Result<(), ReadError> {
        match self.0 {
            Some(wait) => wait.await,
            None => Ok(()),
        }
    }
}

/// What was read from devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readbacks {
    /// The number of readbacks, each of one or more tensors.
    pub number: u64,
    /// The number of values in them.
    pub values: u64,
}

/// What `work` reads from devices. Readbacks of other threads are counted too.
pub fn count_readbacks(work: impl FnOnce()) -> Readbacks {
    let now = || [&READBACKS, &VALUES].map(|count| count.load(Ordering::Relaxed));
    let before = now();
    work();
    let after = now();
    Readbacks { number: after[0] - before[0], values: after[1] - before[1] }
}

/// Reads the values of float tensors like [`read`], and waits for them.
///
/// # Errors
/// The same errors as [`read`].
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn read_now<T: Readable>(tensors: T) -> Result<T::Host, ReadError> {
    pollster::block_on(read(tensors))
}

impl<const D: usize> Readable for Tensor<D> {
    type Host = Vec<f32>;
    type Shape = [usize; D];

    fn request(self, reads: &mut Transaction) -> Self::Shape {
        let shape = self.dims();
        *reads = std::mem::take(reads).register(self.without_autodiff());
        shape
    }

    fn receive(shape: Self::Shape, arrived: &mut Arrived) -> Result<Self::Host, ReadError> {
        arrived.take(&shape)
    }
}

impl<T: Readable> Readable for Option<T> {
    type Host = Option<T::Host>;
    type Shape = Option<T::Shape>;

    fn request(self, reads: &mut Transaction) -> Self::Shape {
        self.map(|tensors| tensors.request(reads))
    }

    fn receive(shape: Self::Shape, arrived: &mut Arrived) -> Result<Self::Host, ReadError> {
        shape.map(|shape| T::receive(shape, arrived)).transpose()
    }
}

impl<T: Readable> Readable for Vec<T> {
    type Host = Vec<T::Host>;
    type Shape = Vec<T::Shape>;

    fn request(self, reads: &mut Transaction) -> Self::Shape {
        self.into_iter().map(|tensors| tensors.request(reads)).collect()
    }

    fn receive(shape: Self::Shape, arrived: &mut Arrived) -> Result<Self::Host, ReadError> {
        shape.into_iter().map(|shape| T::receive(shape, arrived)).collect()
    }
}

macro_rules! readable_tuples {
    ($(($($part:ident)*))*) => {$(
        #[allow(non_snake_case)]
        impl<$($part: Readable),*> Readable for ($($part,)*) {
            type Host = ($($part::Host,)*);
            type Shape = ($($part::Shape,)*);

            fn request(self, reads: &mut Transaction) -> Self::Shape {
                let ($($part,)*) = self;
                ($($part.request(reads),)*)
            }

            fn receive(shape: Self::Shape, arrived: &mut Arrived) -> Result<Self::Host, ReadError> {
                let ($($part,)*) = shape;
                Ok(($($part::receive($part, arrived)?,)*))
            }
        }
    )*};
}
readable_tuples!((A B) (A B C) (A B C D) (A B C D E) (A B C D E F));

#[cfg(test)]
mod tests {
    use burn::tensor::{Int, TensorData};

    use super::*;
    use crate::device;

    fn arrived(data: Vec<TensorData>) -> Arrived {
        Arrived(data.into_iter())
    }

    #[test]
    fn every_value_comes_under_the_name_it_was_asked_by() {
        let device = device::cpu();
        let rows = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], &device);
        let column = Tensor::<1>::from_floats([5.0], &device);
        let nothing = None::<Tensor<1>>;
        let several = vec![column.clone(), column.clone() + 1.0];
        let read = read_now((rows.clone().transpose(), nothing, Some(column), several)).unwrap();
        assert_eq!(
            read,
            (vec![1.0, 3.0, 2.0, 4.0], None, Some(vec![5.0]), vec![vec![5.0], vec![6.0]])
        );
        let tracked = rows.autodiff().require_grad().mean();
        assert_eq!(read_now(tracked).unwrap(), [2.5]);
    }

    #[test]
    fn values_of_another_length_type_or_number_are_an_error() {
        let short = TensorData::new(vec![1.0f32; 5], [5]);
        let error = Tensor::<2>::receive([2, 3], &mut arrived(vec![short])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the device failed: it returned F32 of shape [5] instead of float values of shape [2, 3]"
        );
        let turned = TensorData::new(vec![1.0f32; 6], [3, 2]);
        assert!(Tensor::<2>::receive([2, 3], &mut arrived(vec![turned])).is_err());
        let whole = Tensor::<1, Int>::from_ints([1, 2], &device::cpu()).into_data();
        assert!(Tensor::<1>::receive([2], &mut arrived(vec![whole])).is_err());
        let one = TensorData::new(vec![1.0f32; 2], [2]);
        let two = <(Tensor<1>, Tensor<1>)>::receive(([2], [2]), &mut arrived(vec![one]));
        assert!(two.unwrap_err().to_string().contains("returned nothing"), "never empty data");
    }
}
