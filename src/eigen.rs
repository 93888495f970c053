//! Eigenvectors of symmetric matrices; the result is the same bit for bit for any number of threads.
//!
//! faer splits its work by the number of threads, which changes the rounding of sums. So every call of faer here uses
//! one thread, and the threads share blocks of a fixed size instead.

use faer::{
    Accum, Mat, MatMut, MatRef, Par,
    diag::Diag,
    dyn_stack::{MemBuffer, MemStack},
    linalg::{
        evd::{ComputeEigenvectors, EvdError, self_adjoint_evd, self_adjoint_evd_scratch},
        matmul::matmul,
    },
    traits::RealField,
};
use jempp_cpu::parallel::*;
use rand::RngExt;

use crate::streams;

/// The number of columns of a product that one task computes.
const BLOCK: usize = 64;
/// The iteration of [`leading`] ends when a round increases the sum of the eigenvalues by less than this share.
const TOLERANCE: f32 = 1e-4;
const MAX_ROUNDS: usize = 30;

/// Eigenvalues, and the eigenvectors as columns in the same order.
pub(crate) type Eigen<T> = (Vec<T>, Mat<T>);

/// All eigenvalues of a symmetric matrix, smallest first. Only the lower half of the matrix is read.
///
/// # Errors
/// No convergence, because of numbers that are not finite.
pub(crate) fn eigen<T: RealField>(matrix: MatRef<T>) -> Result<Eigen<T>, EvdError> {
    let size = matrix.nrows();
    let (mut values, mut vectors) = (Diag::zeros(size), Mat::zeros(size, size));
    let (kind, params) = (ComputeEigenvectors::Yes, Default::default());
    let mut memory = MemBuffer::new(self_adjoint_evd_scratch::<T>(size, kind, Par::Seq, params));
    let stack = MemStack::new(&mut memory);
    let vectors_mut = Some(vectors.as_mut());
    self_adjoint_evd(matrix, values.as_mut(), vectors_mut, Par::Seq, stack, params)?;
    Ok((values.column_vector().iter().cloned().collect(), vectors))
}

/// The largest `count` eigenvalues of a positive semidefinite matrix, largest first; all if there are fewer. Only the
/// lower half of the matrix needs to be given.
///
/// If `count` is a small part of all, it uses subspace iteration, which ends when a round increases their sum by less
/// than a ten-thousandth. For covariances of images the sum is then within a few thousandths of the exact one. The
/// vectors are orthonormal in any case; for eigenvalues close to each other, they are some basis of approximately the
/// same space.
///
/// # Source
/// Halko, Martinsson & Tropp, arXiv:0909.4061, algorithm 4.4.
///
/// # Errors
/// No convergence, because of numbers that are not finite.
pub(crate) fn leading(mut matrix: Mat<f32>, count: usize) -> Result<Eigen<f32>, EvdError> {
    let size = matrix.nrows();
    let width = count + count / 2 + 16;
    if 2 * width > size {
        let (values, vectors) = eigen(matrix.as_ref())?;
        return Ok(largest_first(values, vectors.as_ref(), count.min(size)));
    }
    for j in 0..size {
        for i in 0..j {
            matrix[(i, j)] = matrix[(j, i)];
        }
    }
    let mut rng = streams::eigenvector_start();
    let mut basis = Mat::from_fn(size, width, |_, _| rng.random_range(-1.0f32..=1.0));
    let mut last_sum = 0.0;
    for round in 0.. {
        basis = orthonormal(basis)?;
        let image = product(matrix.as_ref(), basis.as_ref());
        let (values, vectors) = eigen(product(basis.transpose(), image.as_ref()).as_ref())?;
        let (values, vectors) = largest_first(values, vectors.as_ref(), width);
        let sum: f32 = values[..count].iter().sum();
        if sum - last_sum <= TOLERANCE * sum || round == MAX_ROUNDS {
            let vectors = product(basis.as_ref(), vectors.as_ref().subcols(0, count));
            return Ok((values[..count].to_vec(), vectors));
        }
        last_sum = sum;
        // The vectors are almost orthonormal already, so `f32` is precise enough to make them so.
        basis = product(image.as_ref(), vectors.as_ref());
        let least = f32::EPSILON * values[0].max(f32::MIN_POSITIVE);
        for (column, &value) in basis.col_iter_mut().zip(&values) {
            let scale = if value > least { value.recip() } else { 0.0 };
            column.iter_mut().for_each(|x| *x *= scale);
        }
    }
    unreachable!("the last round returns")
}

/// An orthonormal basis of the space of the columns, close to the columns: `x (xᵀ x)^(-½)`. Missing directions are 0.
fn orthonormal(x: Mat<f32>) -> Result<Mat<f32>, EvdError> {
    let (values, vectors) = eigen(product(x.transpose(), x.as_ref()).as_ref())?;
    let largest = values.last().copied().unwrap_or(0.0);
    let least = values.len() as f32 * f32::EPSILON * largest;
    let scaled = Mat::from_fn(vectors.nrows(), vectors.ncols(), |i, j| {
        if values[j] > least { vectors[(i, j)] / values[j].sqrt() } else { 0.0 }
    });
    let root = product(scaled.as_ref(), vectors.transpose());
    Ok(product(x.as_ref(), root.as_ref()))
}

/// The last `count` of ascending eigenvalues in reverse order, with their vectors.
fn largest_first(values: Vec<f32>, vectors: MatRef<f32>, count: usize) -> Eigen<f32> {
    let last = values.len() - 1;
    let turned = Mat::from_fn(vectors.nrows(), count, |i, j| vectors[(i, last - j)]);
    (values.into_iter().rev().take(count).collect(), turned)
}

/// The matrix product `left` · `right`.
pub(crate) fn product(left: MatRef<f32>, right: MatRef<f32>) -> Mat<f32> {
    let mut to = Mat::zeros(left.nrows(), right.ncols());
    blocks(to.as_mut()).into_par_iter().for_each(|(first, to)| {
        let right = right.subcols(first, to.ncols());
        matmul(to, Accum::Replace, left, right, 1.0, Par::Seq);
    });
    to
}

/// The lower half of xᵀ x; the entries above it are zeros or parts of blocks.
pub(crate) fn gram(x: MatRef<f32>) -> Mat<f32> {
    let size = x.ncols();
    let mut to = Mat::zeros(size, size);
    blocks(to.as_mut()).into_par_iter().for_each(|(first, to)| {
        let (right, to) = (x.subcols(first, to.ncols()), to.subrows_mut(first, size - first));
        let left = x.subcols(first, size - first);
        matmul(to, Accum::Replace, left.transpose(), right, 1.0, Par::Seq);
    });
    to
}

/// Splits the columns into blocks, each with the index of its first column.
fn blocks(mut rest: MatMut<f32>) -> Vec<(usize, MatMut<f32>)> {
    let mut blocks = Vec::with_capacity(rest.ncols().div_ceil(BLOCK));
    let mut first = 0;
    while rest.ncols() > 0 {
        let width = BLOCK.min(rest.ncols());
        let (block, others) = rest.split_at_col_mut(width);
        blocks.push((first, block));
        first += width;
        rest = others;
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A covariance whose eigenvalues decrease as i^-1.5, like those of images, and its size.
    fn covariance() -> (Mat<f32>, usize) {
        let (count, size) = (400, 300);
        let mut rng = streams::WEIGHTS.rng(3, 0);
        let mut normal = |_, _| (0..12).map(|_| rng.random_range(-0.5f32..0.5)).sum::<f32>();
        let axes = Mat::from_fn(size, size, &mut normal);
        let draws = Mat::from_fn(count, size, |i, j| normal(i, j) * (j as f32 + 1.0).powf(-0.75));
        (gram(product(draws.as_ref(), axes.as_ref()).as_ref()), size)
    }

    #[test]
    fn leading_eigenvectors_span_almost_what_the_exact_ones_do() {
        let (matrix, size) = covariance();
        let Ok((values, _)) = eigen(matrix.as_ref()) else { unreachable!("it is finite") };
        let exact: Vec<f32> = values.into_iter().rev().collect();
        for count in [1, 8, 60] {
            let Ok((values, vectors)) = leading(matrix.clone(), count) else {
                unreachable!("it is finite")
            };
            let kept = values.iter().sum::<f32>() / exact[..count].iter().sum::<f32>();
            assert!((0.995..1.00001).contains(&kept), "{count}: {kept}");
            assert!(values.is_sorted_by(|a, b| a >= b));
            let products = product(vectors.transpose(), vectors.as_ref());
            for i in 0..count {
                for j in 0..count {
                    let expected = if i == j { 1.0 } else { 0.0 };
                    assert!((products[(i, j)] - expected).abs() < 1e-4, "{i} {j}");
                }
            }
        }
        assert_eq!(leading(matrix, 2 * size).map(|(values, _)| values.len()).ok(), Some(size));
    }

    #[test]
    fn a_matrix_of_low_rank_has_zeros_behind_it() {
        let x = Mat::from_fn(3, 200, |i, j| if j % 3 == i { 1.0f32 } else { 0.0 });
        for matrix in [gram(x.as_ref()), Mat::zeros(200, 200)] {
            let Ok((values, vectors)) = leading(matrix, 5) else { unreachable!("it is finite") };
            assert!(values[3..].iter().all(|value| value.abs() < 1e-4), "{values:?}");
            assert!((0..5).all(|j| vectors.col(j).iter().all(|x| x.is_finite())));
        }
    }

    #[test]
    fn the_bits_do_not_depend_on_the_number_of_threads() {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let Ok(pool) = pool else { unreachable!("a few threads are to be had") };
            pool.install(|| [10, 300].map(|count| leading(covariance().0, count).ok()))
        };
        let one = on(1);
        for threads in [2, 3] {
            for (found, expected) in on(threads).iter().zip(&one) {
                let [(a, x), (b, y)] = [found, expected].map(|found| match found {
                    Some(found) => found,
                    None => unreachable!("it is finite"),
                });
                assert!(a == b && x == y, "{threads} threads");
            }
        }
    }
}
