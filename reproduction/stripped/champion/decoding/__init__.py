from champion.decoding.insertion import (
    InsertionDecoder,
    InsertionResult,
    aggregate_logits,
    apply_insertion_gating,
    compute_slot_state,
)

__all__ = [
    "InsertionDecoder",
    "InsertionResult",
    "aggregate_logits",
    "apply_insertion_gating",
    "compute_slot_state",
]
