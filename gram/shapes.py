"""Shapes of tensors in annotations: jaxtyping's, which tests check; without it they say nothing.

GPU machines are often bare, and nothing but annotations needs that package.
"""

try:
    from jaxtyping import Bool, Float, Float32, Int, UInt8
except ImportError:

    class _Unchecked:
        """`_Unchecked[Tensor, "rows 3"]` is an annotation that says nothing."""

        def __class_getitem__(cls, _: object) -> type:
            return object

    Bool = Float = Float32 = Int = UInt8 = _Unchecked  # pyright: ignore[reportAssignmentType]

__all__ = ["Bool", "Float", "Float32", "Int", "UInt8"]
