"""What is found out about a tree or a module, once for as long as that is in use.

A cache of a fixed size keeps what nobody asks for any more, and is useless as soon as a package has more modules.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

Owner = TypeVar("Owner")
Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")

_KEPT = "_unbloat_kept"


def kept(work: Callable[Concatenate[Owner, Arguments], Value]) -> Callable[Concatenate[Owner, Arguments], Value]:
    """Have a function of an object that is never changed in place work once for each; the answer is kept by the object."""

    @wraps(work)
    def answer(owner: Owner, /, *arguments: Arguments.args, **options: Arguments.kwargs) -> Value:
        known = vars(owner).get(_KEPT)
        if known is None or known[0] is not owner:  # a copy of an object has its attributes, too
            known = vars(owner)[_KEPT] = (owner, {})
        answers: dict[object, Value] = known[1]
        question = (work, arguments, tuple(options.items()))
        if question not in answers:
            answers[question] = work(owner, *arguments, **options)
        return answers[question]

    return answer
