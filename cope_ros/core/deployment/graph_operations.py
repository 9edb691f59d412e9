"""What is known of TorchScript's operations on a GPU: which wait for it, which give masks."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What may be asked about a tensor: the host knows it.
METADATA = _names(
    "aten::size aten::dim aten::len aten::numel aten::stride aten::is_contiguous "
    "aten::is_floating_point aten::is_complex aten::is_signed aten::storage_offset aten::__is__ "
    "aten::__isnot__ aten::sym_size prim::dtype prim::device prim::layout prim::shape "
    "prim::is_cuda prim::isinstance prim::requires_grad prim::is_sparse prim::is_quantized "
    "prim::is_nested prim::is_cpu prim::is_meta prim::is_mps prim::is_xpu prim::ndim prim::itemsize"
)
FROM_NUMBERS = _names("tensor as_tensor from_file")
# Factorizations ask whether they succeeded; those that leave the answer on the device are these.
WITHOUT_CHECKS = _names(
    "linalg_solve_ex linalg_inv_ex linalg_cholesky_ex linalg_lu_factor_ex linalg_ldl_factor_ex "
    "linalg_solve_triangular linalg_cross linalg_vector_norm linalg_norm linalg_matmul "
    "linalg_multi_dot linalg_vecdot linalg_diagonal"
)
FACTORIZATIONS = _names(
    "inverse pinverse cholesky cholesky_inverse qr svd symeig eig lstsq lu lobpcg geqrf orgqr "
    "ormqr det logdet slogdet matrix_rank matrix_power matrix_exp _lu_with_info nuclear_norm"
)
# Their kernels for a GPU wait for it, or have as many results as the values say.
WAITING = _names(
    "nonzero nonzero_numpy argwhere masked_select unique unique_dim unique_consecutive _unique "
    "_unique2 bincount histc isin randperm multinomial combinations ctc_loss _ctc_loss tolist "
    "cdist_backward embedding_renorm_ item equal allclose is_nonzero _local_scalar_dense"
)
# (operation, argument) whose tensor is read as a number, or decides about shapes.
READ_ARGUMENTS = frozenset(
    {
        ("repeat_interleave", "repeats"),
        ("tensor_split", "tensor_indices_or_sections"),
        ("narrow", "start"),
        ("masked_fill", "value"),
        ("masked_fill_", "value"),
        ("index_fill", "value"),
        ("index_fill_", "value"),
        ("linspace", "start"),
        ("linspace", "end"),
        ("logspace", "start"),
        ("logspace", "end"),
    }
)
INDEXING = _names("index index_put index_put_ _index_put_impl_ _unsafe_index")
# Operations whose tensors hold masks whatever they are given, and those that never do.
MASKS = _names(
    "eq ne lt le gt ge isnan isinf isfinite isposinf isneginf isclose isreal signbit any all "
    "logical_not logical_and logical_or logical_xor bool"
)
NUMBERS = _names(
    "sum nansum cumsum prod cumprod mean argmax argmin argsort count_nonzero searchsorted "
    "bucketize one_hot long int float double half div true_divide"
)
# Operations whose result is of the type of the first tensor, whatever the others are.
FIRST = _names(
    "gather index index_select take take_along_dim scatter masked_select index_put index_put_ "
    "masked_fill masked_fill_ copy_ scatter_"
)
