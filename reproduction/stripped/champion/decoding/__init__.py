from .insertion import (
    InsertionDecoder,
)

__all__ = [
    "InsertionDecoder",
]
