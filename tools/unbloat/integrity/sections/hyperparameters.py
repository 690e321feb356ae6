"""The hyperparameter inventory: defaults in the code, and the config."""

from __future__ import annotations

from unbloat.integrity.report import Section
from unbloat.integrity.reproduction import Reproduction
from unbloat.integrity.sections.defaults import default_checks, default_tables, defaults
from unbloat.integrity.sections.settings import config_leaves, pins, setting_checks, setting_table


def hyperparameters(found: Reproduction) -> Section:
    """Every default of what survives, legacy beside stripped, and every leaf of the config."""
    kinds, everything, pinned = defaults(found), config_leaves(found), pins(found)
    checks = [*default_checks(kinds), *setting_checks(found, everything, pinned)]
    survive = sum(bool(pair.name) for pair in found.definitions.pairs())
    count = found.definitions.count()
    note = f"Of {count:,} functions and classes of the legacy {survive:,} survive; the defaults of the others went with them."
    return Section(
        "Hyperparameters", tuple(checks), (*default_tables(kinds), setting_table(found, everything, pinned)), (note,)
    )
