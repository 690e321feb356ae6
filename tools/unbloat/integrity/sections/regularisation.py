"""Dropout, norms, decay, smoothing, clipping: in the modules that were built, in the optimizers, and in calls."""

from __future__ import annotations

import re
from typing import Any

from unbloat.integrity.report import Check, Section, Table, compared
from unbloat.integrity.reproduction import Reproduction
from unbloat.integrity.sections.calls import call_check, call_table, calls
from unbloat.integrity.sections.layers import models
from unbloat.integrity.watched import Watched

SETTING = re.compile(r"^p$|^eps$|^momentum$|drop|smooth|decay|clip|regulari[sz]|noise|temperature")
CALL = re.compile(r"dropout|drop_?path|norm$|clip_grad|label_?smoothing|weight_decay", re.IGNORECASE)


def regularisation(found: Reproduction, watched: Watched | None) -> Section:
    """Settings by name; all others are compared as well, and counted."""
    rows = calls(found, lambda name: bool(CALL.search(name)))
    checks = [call_check("calls of dropout, norms and clipping in surviving functions: the same", rows)]
    tables = [call_table("Calls of dropout, norms and clipping", rows)]
    if watched is not None:
        own = found.subject.package
        pairs, gone = _settings(watched, own)
        name = "plain attributes of each module, such as `p` and `eps`: the same"
        checks.append(Check(name, 0, (), watched.waits_for) if watched.waits_for else compared(name, pairs))
        tables.append(_table(pairs))
        text = "Plain attributes of the package's own modules that the stripped ones do not have, as nothing reads them"
        tables.append(Table(text, ("class", "attribute", "value"), tuple(gone)))
    return Section("Regularisation", tuple(checks), tuple(tables))


Pairs = list[tuple[str, object, object]]


def _settings(watched: Watched, package: str) -> tuple[Pairs, list[tuple[str, str, str]]]:
    """By module and attribute; what an own class lacks, once for each class: it was dropped, which is no other value."""
    pairs: Pairs = []
    gone: dict[tuple[str, str, str], None] = {}
    for model, old, new in models(watched):
        there: dict[str, dict[str, Any]] = {layer["path"]: layer["settings"] for layer in new}
        for layer in old:
            others, own = there.get(layer["path"], {}), layer["own"].partition(".")[0] == package
            for key in dict.fromkeys([*layer["settings"], *others]):
                value = layer["settings"].get(key)
                if own and key not in others and layer["path"] in there:
                    gone[layer["class"], key, value] = None
                else:
                    pairs.append((f"{model} {layer['path'] or '(root)'}.{key}", value, others.get(key)))
    return pairs, list(gone)


def _table(pairs: Pairs) -> Table:
    rows = [
        (place, str(old), "–" if new is None else str(new), "–" if new is None else "yes" if old == new else "no")
        for place, old, new in pairs
        if SETTING.search(place.rpartition(".")[2])
    ]
    return Table("Settings of built modules", ("module and attribute", "legacy", "stripped", "same"), tuple(rows))
