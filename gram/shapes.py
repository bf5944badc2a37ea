"""Tensor types with shapes, for annotations: jaxtyping's, checked in tests.

Without jaxtyping, which nothing else needs, the annotations have no effect.
"""

try:
    from jaxtyping import Bool, Float, Float32, Int, UInt8
except ImportError:

    class _Unchecked:
        """Placeholder without jaxtyping: `_Unchecked[Tensor, "rows 3"]` is any object."""

        def __class_getitem__(cls, _: object) -> type:
            return object

    Bool = Float = Float32 = Int = UInt8 = _Unchecked  # pyright: ignore[reportAssignmentType]

__all__ = ["Bool", "Float", "Float32", "Int", "UInt8"]
