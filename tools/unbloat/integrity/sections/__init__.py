"""The sections of a report, each a module that gathers from both trees and says what it compared."""

from __future__ import annotations

from unbloat.integrity.report import Section
from unbloat.integrity.reproduction import Reproduction
from unbloat.integrity.sections.behaviour import behaviour
from unbloat.integrity.sections.details import details
from unbloat.integrity.sections.hyperparameters import hyperparameters
from unbloat.integrity.sections.inferred import inferred
from unbloat.integrity.sections.initialisation import initialisation
from unbloat.integrity.sections.layers import layers
from unbloat.integrity.sections.limits import limits
from unbloat.integrity.sections.regularisation import regularisation
from unbloat.integrity.sections.tags import tags
from unbloat.integrity.sections.versions import versions
from unbloat.integrity.watched import Watched


def sections(found: Reproduction, watched: Watched | None) -> tuple[Section, ...]:
    """All of them, in the order of a report."""
    return (
        behaviour(found),
        hyperparameters(found),
        layers(watched),
        initialisation(found, watched),
        regularisation(found, watched),
        details(found, watched),
        tags(found),
        inferred(found),
        limits(found),
        versions(found),
    )


__all__ = ["sections"]
