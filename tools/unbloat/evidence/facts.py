"""What the instrumented runs saw, per source position and workload: frozen, and the same for every later stage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from unbloat.edit.edits import Span
from unbloat.evidence.config_reads import ANY_PART, KEYS_PART, UNKNOWN_KEY
from unbloat.evidence.instrument import Site
from unbloat.evidence.places import Place

Found: TypeAlias = tuple[str, Any]


_ABSENT = object()


@dataclass(frozen=True)
class Outcomes:
    """How often a decision went each way."""

    false: int
    true: int

    @property
    def only(self) -> bool | None:
        """The one outcome that was seen; None if both were, or none."""
        if self.true and not self.false:
            return True
        if self.false and not self.true:
            return False
        return None


@dataclass(frozen=True)
class Facts:
    """The evidence of all workloads of a phase."""

    workloads: tuple[str, ...]
    counts: Mapping[str, Mapping[Site, Mapping[str, Outcomes]]]
    external: frozenset[Place]
    elsewhere: frozenset[Place]
    """The functions that ran in another thread than the workload."""
    arguments: Mapping[Place, Mapping[str, tuple[Found, ...]]]
    config_paths: Mapping[Place, Mapping[str, tuple[str | None, ...]]]
    lines: Mapping[str, Mapping[int, tuple[str, ...]]]
    reads: Mapping[str, tuple[tuple[Span, frozenset[str]], ...]]
    values: Mapping[str, tuple[Found, ...]]
    writes: frozenset[str]
    handed_in: tuple[Any, ...]
    """Every config that came in from outside, as plain containers; one that is not OmegaConf's with the name of its root."""
    calls: Mapping[Place, frozenset[Place | None]]
    """The expressions that called a function; None stands for whoever is not of the subject."""
    indirect: Mapping[Place, frozenset[Place]]
    """The expressions that handed control to a library which then called a function."""
    stored: Mapping[Place, tuple[Found, ...]]
    """What an assignment stored in an attribute: plain values, numbers, and the types of anything else."""
    names: Mapping[Place, frozenset[str]]
    """The attribute names that an expression computed, and the keyword arguments that one unpacked."""
    direct: frozenset[Place]
    """The expressions that read the config by themselves, not through a function of the subject."""
    operations: Mapping[str, tuple[Span, ...]]
    """The expressions while which torch computed something: the tape of a golden tells whether they run."""
    objects: frozenset[str]
    """The roots of the configs that are no OmegaConf containers: what their keys begin with."""
    foreign: frozenset[tuple[str, str, str]]
    """File, class and name of what a class overrides that a base from elsewhere has."""
    framework: frozenset[str]
    """The names of everything that the bases from elsewhere have, and of the fields that their methods read or set."""

    @classmethod
    def merge(cls, runs: Mapping[str, Mapping[str, Any]]) -> Facts:
        """Join what the observer returned, by workload."""
        builder = _Merger()
        for workload, run in runs.items():
            builder.add(workload, run)
        return builder.facts(tuple(runs))

    def outcomes(self, file: str, span: Span, kind: str, index: int = 0) -> Outcomes:
        """The outcomes of a decision over all workloads."""
        per_workload = self.counts.get(file, {}).get(Site(span, kind, index), {}).values()
        return Outcomes(sum(seen.false for seen in per_workload), sum(seen.true for seen in per_workload))

    def seen_in(self, file: str, span: Span, kind: str, index: int = 0) -> tuple[str, ...]:
        """The workloads that reached a decision."""
        per_workload = self.counts.get(file, {}).get(Site(span, kind, index), {})
        return tuple(name for name, seen in per_workload.items() if seen.true or seen.false)

    def executed(self, file: str, line: int) -> tuple[str, ...]:
        """The workloads that executed a line."""
        return self.lines.get(file, {}).get(line, ())

    def keys_read(self, file: str, span: Span) -> frozenset[str]:
        """The config keys that were read while the expression at `span` was being evaluated."""
        within = (keys for place, keys in self._by_line(file, span) if span.holds(place))
        return frozenset(key for keys in within for key in keys)

    def is_written(self, key: str) -> bool:
        """Whether the subject itself changed what a read of `key` finds: the key, what holds it, or a part of its value.

        That a mapping is there does not depend on its parts.
        """
        base, _, part = key.rpartition(".")
        if part == KEYS_PART and any(written.rpartition(".")[0] == base for written in self.writes):
            return True
        parts_count = any(kind != "mapping" for kind, _ in self.values.get(key, ()))
        return any(
            key == written or key.startswith(written + ".") or (parts_count and written.startswith(key + "."))
            for written in self.writes
        )

    def is_object(self, key: str) -> bool:
        """Whether a key is of a config that is no OmegaConf container."""
        return key.partition(".")[0] in self.objects

    @cached_property
    def classes_of_objects(self) -> frozenset[str]:
        """The names of the classes of the configs that are no OmegaConf containers, and of the parts of these."""
        found = [
            value for key, values in self.values.items() if self.is_object(key) for kind, value in values if kind == "mapping"
        ]
        return frozenset(map(str, found))

    def found_in_configs(self, key: str) -> list[Found]:
        """What `key` finds in the configs that came in, each answer once, whether or not a run asked for it."""
        found: list[Found] = []
        root, named = key.partition(".")[0], self.is_object(key)
        for config in self.handed_in:
            if isinstance(config, list) is not named or (named and config[0] != root):
                continue
            node = dict([config]) if named else config
            for part in key.split(".") if key else ():
                if part in (KEYS_PART, ANY_PART) and isinstance(node, dict):
                    node = list(node) if part == KEYS_PART else bool(node)
                else:
                    node = node.get(part, _ABSENT) if isinstance(node, dict) else _ABSENT
            answer: Found = (
                ("absent", None) if node is _ABSENT else ("mapping", None) if isinstance(node, dict) else ("value", node)
            )
            if not any(answer == known and type(answer[1]) is type(known[1]) for known in found):
                found.append(answer)
        return found

    def computed_tensors(self, file: str, span: Span) -> bool:
        """Whether a run had torch compute something in the expression at `span`."""
        lines = range(span.line, span.end_line + 1)
        return any(span.holds(place) for line in lines for place in self._operations_by_line.get((file, line), ()))

    @cached_property
    def _operations_by_line(self) -> Mapping[tuple[str, int], list[Span]]:
        index: dict[tuple[str, int], list[Span]] = {}
        for file, spans in self.operations.items():
            for span in spans:
                index.setdefault((file, span.line), []).append(span)
        return index

    def walked_containers_only(self, file: str, span: Span) -> bool:
        """Whether everything that was walked at a place was a container, so that walking it left no trace."""
        outcomes = self.outcomes(file, span, "walk")
        return bool(outcomes.true) and not outcomes.false

    def _by_line(self, file: str, span: Span) -> Iterator[tuple[Span, frozenset[str]]]:
        for line in range(span.line, span.end_line + 1):
            yield from self._reads_by_line.get((file, line), ())

    @cached_property
    def _reads_by_line(self) -> Mapping[tuple[str, int], list[tuple[Span, frozenset[str]]]]:
        index: dict[tuple[str, int], list[tuple[Span, frozenset[str]]]] = {}
        for file, reads in self.reads.items():
            for span, keys in reads:
                index.setdefault((file, span.line), []).append((span, keys))
        return index


class _Merger:
    def __init__(self) -> None:
        self.counts: dict[str, dict[Site, dict[str, Outcomes]]] = {}
        self.external: set[Place] = set()
        self.elsewhere: set[Place] = set()
        self.arguments: dict[Place, dict[str, list[Found]]] = {}
        self.config_paths: dict[Place, dict[str, list[str | None]]] = {}
        self.lines: dict[str, dict[int, list[str]]] = {}
        self.reads: dict[Place, set[str]] = {}
        self.values: dict[str, list[Found]] = {}
        self.writes: set[str] = set()
        self.handed_in: list[Any] = []
        self.calls: dict[Place, set[Place | None]] = {}
        self.indirect: dict[Place, set[Place]] = {}
        self.stored: dict[Place, list[Found]] = {}
        self.names: dict[Place, set[str]] = {}
        self.direct: dict[Place, set[str]] = {}
        self.operations: dict[str, set[Span]] = {}
        self.roots: dict[str, list[bool]] = {}
        self.foreign: set[tuple[str, str, str]] = set()
        self.framework: set[str] = set()

    def add(self, workload: str, run: Mapping[str, Any]) -> None:
        for file, probes in run["files"].items():
            self._add_file(workload, file, probes)
        for file, lines in run["lines"].items():
            for line in lines:
                self.lines.setdefault(file, {}).setdefault(line, []).append(workload)
        for file, line, column, end_line, end_column, keys in run["reads"]:
            self.reads.setdefault((file, Span(line, column, end_line, end_column)), set()).update(keys)
        for key, found in run["values"].items():
            _extend(self.values.setdefault(key, []), ((kind, value) for kind, value in found))
        self.writes.update(run["writes"])
        self.handed_in += [config for config in run["handed_in"] if config not in self.handed_in]
        for file, line, column, end_line, end_column, roots in run["direct"]:
            self.direct.setdefault((file, Span(line, column, end_line, end_column)), set()).update(roots)
        for file, *place in run["operations"]:
            self.operations.setdefault(file, set()).add(Span(*place))
        for root, (own, from_outside) in run["roots"].items():
            known = self.roots.setdefault(root, [own, from_outside])
            self.roots[root] = [known[0] or own, known[1] or from_outside]
        self.framework.update(run["framework"])
        self.foreign.update((file, owner, name) for file, owner, name in run["foreign"])

    def _add_file(self, workload: str, file: str, probes: Mapping[str, Any]) -> None:
        sites = [Site(Span(*row[:4]), row[4], row[5]) for row in probes["sites"]]
        counts = self.counts.setdefault(file, {})
        for site, (false, true) in zip(sites, probes["counts"], strict=True):
            counts.setdefault(site, {})[workload] = Outcomes(false, true)
        self.external.update((file, sites[number].span) for number in probes["external"])
        self.elsewhere.update((file, sites[number].span) for number in probes["elsewhere"])
        for number, values in probes["arguments"].items():
            seen = self.arguments.setdefault((file, sites[int(number)].span), {})
            for name, found in values.items():
                _extend(seen.setdefault(name, []), ((kind, value) for kind, value in found))
        for number, rows in probes["calls"].items():
            callers = self.calls.setdefault((file, sites[int(number)].span), set())
            callers.update(None if row is None else (row[0], Span(*row[1:])) for row in rows)
        for number, rows in probes["indirect"].items():
            through = self.indirect.setdefault((file, sites[int(number)].span), set())
            through.update((row[0], Span(*row[1:])) for row in rows)
        for number, found in probes["stored"].items():
            _extend(self.stored.setdefault((file, sites[int(number)].span), []), ((kind, value) for kind, value in found))
        for number, names in probes["names"].items():
            self.names.setdefault((file, sites[int(number)].span), set()).update(names)
        for number, paths in probes["config_paths"].items():
            known = self.config_paths.setdefault((file, sites[int(number)].span), {})
            for name, found in paths.items():
                _extend(known.setdefault(name, []), found)

    def _leave_out(self, gone: set[str]) -> None:
        """Forget what was seen of configs that are the subject's own affair: how it makes them shows what is in them."""

        def stays(key: str | None) -> bool:
            return key is None or key.partition(".")[0] not in gone

        for place, keys in list(self.reads.items()):
            if kept := {key for key in keys if stays(key)}:
                self.reads[place] = kept
            else:
                del self.reads[place]
        self.direct = {place: kept for place, roots in self.direct.items() if (kept := roots - gone)}
        self.values = {key: found for key, found in self.values.items() if stays(key)}
        self.writes = {key for key in self.writes if stays(key)}
        self.handed_in = [config for config in self.handed_in if not isinstance(config, list) or stays(config[0])]
        for parameters in self.config_paths.values():
            for name, paths in parameters.items():
                parameters[name] = list(dict.fromkeys(path if stays(path) else None for path in paths))

    def facts(self, workloads: tuple[str, ...]) -> Facts:
        self._leave_out({root for root, (own, from_outside) in self.roots.items() if own and not from_outside})
        handed_in = {path for by in self.config_paths.values() for paths in by.values() for path in paths if path is not None}
        reads: dict[str, list[tuple[Span, frozenset[str]]]] = {}
        for (file, span), keys in sorted(self.reads.items()):
            reads.setdefault(file, []).append((span, frozenset(keys)))
        return Facts(
            workloads=workloads,
            counts=self.counts,
            external=frozenset(self.external),
            elsewhere=frozenset(self.elsewhere),
            arguments={place: {n: tuple(v) for n, v in seen.items()} for place, seen in self.arguments.items()},
            config_paths={place: {n: tuple(v) for n, v in seen.items()} for place, seen in self.config_paths.items()},
            lines={file: {line: tuple(names) for line, names in by.items()} for file, by in self.lines.items()},
            reads={file: tuple(found) for file, found in reads.items()},
            # That a config, or a part of one, was handed in says at least that it was there.
            values=dict.fromkeys(sorted(handed_in), (("mapping", None),))
            | {key: tuple(found) for key, found in self.values.items()},
            writes=frozenset(self.writes - {UNKNOWN_KEY}),
            handed_in=tuple(self.handed_in),
            calls={place: frozenset(callers) for place, callers in self.calls.items()},
            indirect={place: frozenset(through) for place, through in self.indirect.items()},
            stored={place: tuple(found) for place, found in self.stored.items()},
            names={place: frozenset(names) for place, names in self.names.items()},
            direct=frozenset(self.direct),
            operations={file: tuple(spans) for file, spans in self.operations.items()},
            objects=frozenset(config[0] for config in self.handed_in if isinstance(config, list)),
            foreign=frozenset(self.foreign),
            framework=frozenset(self.framework),
        )


def _extend(known: list[Any], found: Iterable[Any]) -> None:
    known.extend(item for item in found if item not in known)
