//! What candle's CUDA device asks for beyond its CPU device, asserted on every device.
//!
//! Invariant: an operation that passes its check here is computed by CUDA as by the CPU; what fails here would be an error
//! there, or a wrong result without one. Read from candle 0.11.1 (`cuda_backend/mod.rs`) and its kernels:
//!
//! | CUDA | the CPU | check |
//! |---|---|---|
//! | elementwise kernels count with 32 bits and step by the whole grid: past 2^31 elements they wrap around | any size | [`elements`] |
//! | a launch is sized by a count cast to `u32`: the im2col of a convolution past 2^32 is cut off | any size | [`im2col`] |
//! | cuBLAS takes row-major or column-major matrices without gaps, and sizes of 32 bits | any strides | [`product`] |
//! | products of floats only, both of one dtype | one dtype | [`product`] |
//! | binary kernels exist for two operands of one dtype | one dtype | [`same_dtype`] |
//! | a sum in f16 is accumulated in f16 | as well | [`accumulator`] |
//! | the table of an index selection is contiguous, and its indices are u8, u32 or i64 | any strides | [`selection`] |

use candle_core::{DType, Tensor};

use crate::error::{Error, Result};

/// Most elements of a tensor that a kernel walks over.
const MOST_ELEMENTS: usize = i32::MAX as usize;
/// Most elements of the matrix that a convolution without cuDNN is turned into.
pub(super) const MOST_IM2COL: usize = u32::MAX as usize;

fn refuse(operation: &str, reason: impl std::fmt::Display) -> Error {
    Error::shape(format!("{operation}: {reason}, which CUDA cannot compute"))
}

/// Elements of a result or an operand.
pub(super) fn elements(operation: &str, dims: &[usize]) -> Result<()> {
    match dims.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim)) {
        Some(count) if count <= MOST_ELEMENTS => Ok(()),
        _ => Err(refuse(operation, format_args!("a tensor of {dims:?} has more than 2^31 - 1 elements"))),
    }
}

/// Elements of the im2col matrix of one convolution.
pub(super) fn im2col(count: usize) -> Result<()> {
    if count <= MOST_IM2COL {
        return Ok(());
    }
    Err(refuse("conv2d", format_args!("an im2col matrix of {count} elements is past 2^32")))
}

/// Operands of an elementwise operation.
pub(super) fn same_dtype(operation: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dtype() == b.dtype() {
        return Ok(());
    }
    Err(refuse(operation, format_args!("operands of {:?} and {:?}", a.dtype(), b.dtype())))
}

/// The operand of a sum or mean.
pub(super) fn accumulator(operation: &str, x: &Tensor) -> Result<()> {
    if x.dtype() == DType::F32 {
        return Ok(());
    }
    Err(refuse(operation, format_args!("a sum in {:?}", x.dtype())))
}

/// The table and the indices of an index selection.
pub(super) fn selection(table: &Tensor, ids: &Tensor) -> Result<()> {
    if !table.is_contiguous() || !ids.is_contiguous() {
        return Err(refuse("index_select", "a table or indices with gaps"));
    }
    if !matches!(ids.dtype(), DType::U8 | DType::U32 | DType::I64) {
        return Err(refuse("index_select", format_args!("indices of {:?}", ids.dtype())));
    }
    elements("index_select", table.dims())
}

/// The operands of a product of matrices, `[..., m, k]` and `[..., k, n]`.
pub(super) fn product(a: &Tensor, b: &Tensor) -> Result<()> {
    same_dtype("matmul", a, b)?;
    if !matches!(a.dtype(), DType::F32 | DType::F16 | DType::BF16) {
        return Err(refuse("matmul", format_args!("operands of {:?}", a.dtype())));
    }
    for matrix in [a, b] {
        elements("matmul", matrix.dims())?;
        if !is_dense(matrix) {
            let (dims, strides) = (matrix.dims(), matrix.stride());
            return Err(refuse("matmul", format_args!("a matrix of {dims:?} with strides {strides:?}")));
        }
    }
    let mut result = a.dims().to_vec();
    if let (Some(columns), Some(last)) = (b.dims().last(), result.last_mut()) {
        *last = *columns;
    }
    elements("matmul", &result)
}

/// Whether the last two dimensions are row-major or column-major without gaps, and those before are evenly spaced.
fn is_dense(matrix: &Tensor) -> bool {
    let (dims, strides) = (matrix.dims(), matrix.stride());
    let Some(batch) = dims.len().checked_sub(2) else { return false };
    let (rows, columns) = (dims[batch], dims[batch + 1]);
    let (row, column) = (strides[batch], strides[batch + 1]);
    // The stride of a dimension of one does not matter.
    let row_major = (column == 1 || columns == 1) && (row == columns || rows == 1);
    let column_major = (column == rows || columns == 1) && (row == 1 || rows == 1);
    let evenly = match (&dims[..batch], &strides[..batch]) {
        ([], []) | ([_], [_]) => true,
        ([first, second], [outer, inner]) => *outer == inner * second || *first == 1 || *second == 1,
        _ => false,
    };
    (row_major || column_major) && evenly
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn zeros(shape: &[usize], dtype: DType) -> Tensor {
        Tensor::zeros(shape, dtype, &Device::Cpu).expect("a small tensor")
    }

    /// The message of a check that must fail.
    fn refusal(result: Result<()>) -> String {
        result.expect_err("it is refused").to_string()
    }

    #[test]
    fn more_than_two_to_the_31_elements_are_refused() {
        assert!(elements("add", &[1 << 16, (1 << 15) - 1]).is_ok());
        assert!(refusal(elements("add", &[1 << 16, 1 << 15])).contains("2^31"));
        assert!(refusal(elements("add", &[usize::MAX, 3])).contains("2^31"));
    }

    #[test]
    fn convolutions_past_two_to_the_32_are_refused() {
        assert!(im2col(MOST_IM2COL).is_ok());
        assert!(refusal(im2col(MOST_IM2COL + 1)).contains("2^32"));
    }

    #[test]
    fn mixed_dtypes_are_refused() {
        let (a, b) = (zeros(&[2, 2], DType::F32), zeros(&[2, 2], DType::F16));
        assert!(same_dtype("add", &a, &a).is_ok());
        assert!(refusal(same_dtype("add", &a, &b)).contains("F16"));
        assert!(refusal(product(&a, &b)).contains("F16"));
    }

    #[test]
    fn products_of_integers_are_refused() {
        let a = zeros(&[2, 2], DType::U32);
        assert!(refusal(product(&a, &a)).contains("U32"));
    }

    #[test]
    fn sums_in_half_precision_are_refused() {
        assert!(accumulator("sum", &zeros(&[2], DType::F32)).is_ok());
        assert!(refusal(accumulator("sum", &zeros(&[2], DType::F16))).contains("F16"));
    }

    #[test]
    fn selections_by_other_indices_or_from_views_are_refused() {
        let (table, ids) = (zeros(&[4, 6], DType::F16), zeros(&[3], DType::U32));
        assert!(selection(&table, &ids).is_ok());
        assert!(refusal(selection(&table, &zeros(&[3], DType::F32))).contains("F32"));
        assert!(refusal(selection(&table.narrow(1, 0, 3).expect("a view"), &ids)).contains("gaps"));
        assert!(refusal(selection(&table.t().expect("a view"), &ids)).contains("gaps"));
    }

    #[test]
    fn products_take_dense_matrices_in_either_order_and_no_others() {
        let (a, b) = (zeros(&[2, 3, 4, 5], DType::F32), zeros(&[2, 3, 7, 5], DType::F32));
        let (a_wide, b_t) = (zeros(&[2, 3, 4, 8], DType::F32), b.t().expect("a view"));
        assert!(product(&a, &b_t).is_ok());
        // The CPU takes all of these.
        let with_gaps = a_wide.narrow(3, 0, 5).expect("a view");
        assert!(with_gaps.matmul(&b_t).is_ok());
        assert!(refusal(product(&with_gaps, &b_t)).contains("strides"));
        // Heads that are not yet rearranged: [batch, tokens, heads, width] seen as [batch, heads, tokens, width].
        let heads = zeros(&[2, 4, 3, 5], DType::F32).transpose(1, 2).expect("a view");
        assert!(refusal(product(&heads, &b_t)).contains("strides"));
        // One batch in two dimensions that are not evenly spaced.
        let uneven = zeros(&[2, 6, 4, 5], DType::F32).narrow(1, 0, 3).expect("a view");
        assert!(refusal(product(&uneven, &b_t)).contains("strides"));
        // One row, or one column, has no stride that matters.
        let row = zeros(&[4, 5], DType::F32).narrow(0, 1, 1).expect("a view");
        assert!(product(&row, &zeros(&[5, 3], DType::F32)).is_ok());
    }
}
