//! A safe wrapper around the `gemm` crate for matrix products.

use gemm::{Parallelism, gemm};

/// A view of a slice as a matrix: element (i, j) is at `i * row_stride + j * column_stride`.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub values: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    pub row_stride: usize,
    pub column_stride: usize,
}

impl<'a> View<'a> {
    /// A row-major view.
    pub(super) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn fits(&self) -> bool {
        let last = |count: usize, stride: usize| count.saturating_sub(1) * stride;
        let empty = self.rows == 0 || self.columns == 0;
        empty
            || last(self.rows, self.row_stride) + last(self.columns, self.column_stride)
                < self.values.len()
    }
}

/// Computes `to` = `left` · `right`, with `to` row-major; adds the product to `to` if `accumulate` is true. Runs on the
/// current thread.
pub(super) fn matmul(to: &mut [f32], left: View, right: View, accumulate: bool) {
    let (m, n, k) = (left.rows, right.columns, left.columns);
    assert!(left.fits() && right.fits() && right.rows == k && to.len() == m * n, "matrix sizes");
    // SAFETY: the assertion bounds every element that the three views can reach, `to` is borrowed mutably and so
    // overlaps neither operand, and f32 is a type that gemm supports.
    unsafe {
        gemm(
            m,
            n,
            k,
            to.as_mut_ptr(),
            1,
            n as isize,
            accumulate,
            left.values.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.values.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
