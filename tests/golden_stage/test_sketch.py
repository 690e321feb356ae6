"""A sketch moves with its array, by about as much, and by nothing else."""

from __future__ import annotations

import subprocess
import sys

import numpy
import pytest
from unbloat.golden.sketch import PROJECTIONS, Sketch, sketch

LENGTHS = [1, 65, 70_000, 200_000]
TYPES = ["float16", "float32", "float64"]


def of(values: numpy.ndarray) -> Sketch:
    found = sketch(values.dtype.name, values.tobytes())
    assert found is not None
    return found


def distance(left: Sketch, right: Sketch) -> float:
    pairs = zip((left.norm, *left.projections), (right.norm, *right.projections), strict=True)
    return max(abs(a - b) for a, b in pairs)


def sample(length: int, seed: int = 0) -> numpy.ndarray:
    return numpy.random.default_rng(seed).standard_normal(length)


@pytest.mark.parametrize("length", LENGTHS)
def test_the_distance_of_sketches_is_that_of_arrays(length: int) -> None:
    values, noise = sample(length), sample(length, 1)
    for size in (1e-12, 1e-6, 1.0):
        moved = distance(of(values), of(values + size * noise)) / (size * numpy.linalg.norm(noise))
        assert 0.05 < moved < 5


@pytest.mark.parametrize("name", TYPES)
def test_the_norm_is_the_norm(name: str) -> None:
    values = sample(1000).astype(name)
    assert of(values).norm == pytest.approx(numpy.linalg.norm(values.astype("f8")), rel=1e-14)


def test_narrow_and_complex_types_are_read_as_their_values() -> None:
    values = numpy.arange(-50, 50, dtype="<f4")
    as_bfloat16 = (values.view("<u4") >> 16).astype("<u2")
    assert sketch("bfloat16", as_bfloat16.tobytes()) == of(values.astype("f8"))
    pairs = sample(20)
    assert sketch("complex128", pairs.view("c16").tobytes()) == of(pairs)


CHANGES = [
    pytest.param(lambda values: values[::-1], id="reversed"),
    pytest.param(lambda values: numpy.roll(values, 1), id="shifted"),
    pytest.param(lambda values: numpy.roll(values, 1 << 16), id="blocks in another order"),
    pytest.param(lambda values: -values, id="negated"),
    pytest.param(lambda values: numpy.concatenate([values[:-2], values[:-3:-1]]), id="last two swapped"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_another_order_or_sign_is_another_sketch(change) -> None:
    values = sample(3 << 16)
    assert distance(of(values), of(numpy.ascontiguousarray(change(values)))) > 1e-3


def test_special_values_count_by_place_and_kind_and_leave_the_rest_visible() -> None:
    values = sample(100)
    found = []
    for place, special in ((3, numpy.nan), (4, numpy.nan), (3, numpy.inf), (3, -numpy.inf)):
        changed = values.copy()
        changed[place] = special
        found.append(of(changed))
    assert len({one.special for one in found}) == 4
    assert all(numpy.isfinite(one.norm) and one.special for one in found)
    assert of(values).special == ""
    assert distance(found[0], of(values)) > 0


@pytest.mark.parametrize("name", ["int64", "bool", "uint8", "str"])
def test_what_is_discrete_has_none(name: str) -> None:
    assert sketch(name, b"\0" * 800) is None


def test_it_never_changes() -> None:
    """Committed goldens hold these numbers."""
    found = of(numpy.arange(100, dtype="f8"))
    assert found.norm == pytest.approx(573.0183243143276, rel=1e-14)
    assert found.projections == pytest.approx(PINNED, rel=1e-12)
    assert len(found.projections) == PROJECTIONS


PINNED = (-1635.6133795202263, -110.3873586915788, -262.5581330957359)


def test_recording_without_arrays_loads_no_numpy() -> None:
    script = (
        "import sys; from pathlib import Path; from unbloat.golden import compare, recorder, store\n"
        "golden = recorder.Recorder('w', Path('.')); golden.record('v', {'text': 'x' * 100, 'number': 0.5, 'raw': b'1' * 99})\n"
        "assert not {'numpy', 'torch'} & set(sys.modules), 'loaded'"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
