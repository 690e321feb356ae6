"""The passes, in the order in which they propose.

The order is the algorithm: what an earlier pass takes, a later one need not see. A stage begins when those before it have
nothing left to propose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

from unbloat.plan.example import Example
from unbloat.plan.passes import (
    compact_wires,
    drop_attributes,
    drop_dead_stores,
    drop_definitions,
    drop_empty_blocks,
    drop_imports,
    drop_logging,
    drop_modules,
    drop_parameters,
    drop_unreachable,
    flatten_try,
    fold_decisions,
    inline_options,
    shorten_exports,
    simplify,
    trip_unseen,
)
from unbloat.plan.removal import Removal
from unbloat.plan.view import View


@dataclass(frozen=True)
class Pass:
    """A pass: it proposes, and knows nothing of acceptance."""

    name: str
    why_safe: str
    examples: tuple[Example, ...]
    propose: Callable[[View], Iterator[Removal]]

    @classmethod
    def of(cls, module: ModuleType) -> Pass:
        return cls(module.NAME, module.__doc__ or "", module.EXAMPLES, module.propose)


STAGES: tuple[tuple[Pass, ...], ...] = (
    # First what nobody imports: everything after that costs less.
    (Pass.of(drop_modules),),
    (Pass.of(shorten_exports), Pass.of(drop_imports)),
    # Then what did not run, all at once: everything after that looks at what is left.
    (Pass.of(trip_unseen), Pass.of(flatten_try)),
    (
        Pass.of(fold_decisions),
        Pass.of(drop_unreachable),
        Pass.of(drop_logging),
        Pass.of(drop_dead_stores),
        Pass.of(drop_empty_blocks),
        Pass.of(drop_attributes),
        Pass.of(inline_options),
        Pass.of(simplify),
        Pass.of(drop_parameters),
        Pass.of(drop_definitions),
        Pass.of(drop_imports),
    ),
)

LAST_STAGES: tuple[tuple[Pass, ...], ...] = ((Pass.of(compact_wires),),)
"""What follows when no later phase can fold any more."""

PASSES: tuple[Pass, ...] = tuple({one.name: one for stage in (*STAGES, *LAST_STAGES) for one in stage}.values())
