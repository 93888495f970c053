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

/// `gemm` takes other ways for products of at most this many numbers, and adds their terms in another order.
const SMALL: usize = 16 * 16;
/// `gemm` divides longer sums into parts, which depend on the number of rows where there are few columns.
const LONG: usize = 512;
const FEW_COLUMNS: usize = 64;

/// Computes `to` = `left` · `right`, with `to` row-major; adds the product to `to` if `accumulate` is true. Runs on the
/// current thread.
///
/// The product of a row of a row-major `left` does not depend on the number of rows: so the result for an image does not
/// depend on the number of images.
pub(super) fn matmul(to: &mut [f32], left: View, right: View, accumulate: bool) {
    let (m, n, k) = (left.rows, right.columns, left.columns);
    assert!(left.fits() && right.fits() && right.rows == k && to.len() == m * n, "matrix sizes");
    if left.column_stride != 1 || n == 0 {
        return product(to, left, right, accumulate);
    }
    let enough = (SMALL / n + 1).max(2);
    if (1..enough).contains(&m) {
        let (mut rows, mut products) = (vec![0.0; enough * k], vec![0.0; enough * n]);
        for (row, from) in rows.chunks_exact_mut(k.max(1)).zip((0..m).map(|i| i * left.row_stride))
        {
            row.copy_from_slice(&left.values[from..from + k]);
        }
        products[..m * n].copy_from_slice(to);
        in_parts(&mut products, View::new(&rows, enough, k), right, accumulate);
        to.copy_from_slice(&products[..m * n]);
    } else {
        in_parts(to, left, right, accumulate);
    }
}

/// As [`matmul`], with long sums in parts that do not depend on the number of rows.
fn in_parts(to: &mut [f32], left: View, right: View, accumulate: bool) {
    let k = left.columns;
    if right.columns > FEW_COLUMNS || k <= LONG {
        return product(to, left, right, accumulate);
    }
    for first in (0..k).step_by(LONG) {
        let len = LONG.min(k - first);
        let left = View { values: &left.values[first..], columns: len, ..left };
        let values = &right.values[first * right.row_stride..];
        let right = View { values, rows: len, ..right };
        product(to, left, right, accumulate || first > 0);
    }
}

fn product(to: &mut [f32], left: View, right: View, accumulate: bool) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Values in [-1, 1) that differ from each other.
    fn values(len: usize, salt: u32) -> Vec<f32> {
        let word =
            |i: usize| (i as u32 + 1).wrapping_mul(0x9e37_79b9) ^ salt.wrapping_mul(0x85eb_ca6b);
        (0..len).map(|i| word(i) as f32 / 2f32.powi(31) - 1.0).collect()
    }

    #[test]
    fn the_product_of_a_row_does_not_depend_on_the_number_of_rows() {
        const ROWS: usize = 140;
        for n in [1, 2, 3, 10, 16, 64, 65, 130, 257] {
            for k in [1, 2, 3, 27, 64, 130, 512, 600, 1100] {
                let (left, right) = (values(ROWS * k, 1), values(n * k, 2));
                let rights = [View::new(&right, k, n), View::new(&right, n, k).transposed()];
                for (nth, right) in rights.into_iter().enumerate() {
                    let product = |rows: usize, accumulate| {
                        let mut to = vec![0.5; rows * n];
                        let left = View::new(&left[..rows * k], rows, k);
                        matmul(&mut to, left, right, accumulate);
                        to
                    };
                    for accumulate in [false, true] {
                        let whole = product(ROWS, accumulate);
                        for rows in [1, 2, 3, 4, 5, 9, 16, 25, 26, 63, 64, 65, 66, 130] {
                            let part = product(rows, accumulate);
                            assert_eq!(part, whole[..rows * n], "{rows} x {n} x {k}, right {nth}");
                        }
                    }
                    let exact = |i: usize, j: usize| -> f64 {
                        let at = |l: usize| {
                            let right =
                                right.values[l * right.row_stride + j * right.column_stride];
                            f64::from(left[i * k + l]) * f64::from(right)
                        };
                        (0..k).map(at).sum()
                    };
                    for (i, row) in product(3, false).chunks(n).enumerate() {
                        for (j, value) in row.iter().enumerate() {
                            assert!((f64::from(*value) - exact(i, j)).abs() < 1e-3, "{n} x {k}");
                        }
                    }
                }
            }
        }
    }
}
