"""How often the habits of the legacy occur in a module: the measures that are known of the original, too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from coverage import Coverage

MEASURES = {
    "bytes": "bytes",
    "lines": "lines",
    "blank_lines": "blank lines",
    "comment_lines": "comment lines",
    "docstring_lines": "docstring lines",
    "statements": "statements (as coverage counts)",
    "tries": "`try`",
    "handlers": "handlers",
    "broad_handlers": "of these for everything",
    "silent_handlers": "of these without a trace",
    "raises": "`raise`",
    "logger_calls": "log lines",
    "metric_logs": "logged metrics",
    "getattr_calls": "`getattr`",
    "getattr_on_config": "of these on configs",
    "hasattr_calls": "`hasattr`",
    "isinstance_calls": "`isinstance`",
    "config_selects": "`OmegaConf.select`",
    "environment_reads": "reads of the environment",
    "rank_checks": "questions for the rank",
    "distributed_calls": "`torch.distributed` calls",
    "nested_functions": "nested functions",
    "local_imports": "imports in functions",
    "ifs": "`if`",
    "ternaries": "ternaries",
    "package_imports": "imports from the package",
}
"""How the page calls each measure."""

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_LOG_LINE = re.compile(r"(^|\.)(logger|log|_logger|logging)\.(debug|info|warning|error|exception|critical)$")
_RANK = re.compile(r"rank_zero|get_rank\(\)|_rank0|is_global_zero")


@cache
def statement_lines(path: Path) -> frozenset[int]:
    """First lines of all statements, `except` clauses included: the original was counted by coverage."""
    statements: Sequence[int] = Coverage(data_file=None, config_file=False).analysis2(str(path))[1]
    return frozenset(statements)


def counts(path: Path) -> dict[str, int]:
    """Every measure of one module."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    nodes = list(ast.walk(ast.parse(text)))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    called = [ast.unparse(call.func) for call in calls]
    handlers = [node for node in nodes if isinstance(node, ast.ExceptHandler)]
    functions = [node for node in nodes if isinstance(node, _FUNCTIONS)]
    nested = {id(node): node for function in functions for node in ast.walk(function) if node is not function}.values()
    return {
        "bytes": len(text.encode()),
        "lines": len(lines),
        "blank_lines": sum(not line.strip() for line in lines),
        "comment_lines": sum(line.strip().startswith("#") for line in lines),
        "docstring_lines": sum(map(_docstring_lines, nodes)),
        "statements": len(statement_lines(path)),
        "tries": _number(nodes, ast.Try),
        "handlers": len(handlers),
        "broad_handlers": sum(handler.type is None or ast.unparse(handler.type) == "Exception" for handler in handlers),
        "silent_handlers": sum(map(_is_silent, handlers)),
        "raises": _number(nodes, ast.Raise),
        "logger_calls": sum(bool(_LOG_LINE.search(name)) for name in called),
        "metric_logs": sum(name in ("self.log", "self.log_dict") for name in called),
        "getattr_calls": called.count("getattr"),
        "getattr_on_config": sum(name == "getattr" and _is_config(call) for name, call in zip(called, calls, strict=True)),
        "hasattr_calls": called.count("hasattr"),
        "isinstance_calls": called.count("isinstance"),
        "config_selects": sum(name.endswith("OmegaConf.select") or name == "_OC.select" for name in called),
        "environment_reads": len(re.findall(r"os\.(?:environ|getenv)", text)),
        "rank_checks": len(_RANK.findall(text)),
        "distributed_calls": len(re.findall(r"(?:torch\.distributed|dist)\.\w+\(", text)),
        "nested_functions": sum(isinstance(node, _FUNCTIONS) for node in nested),
        "local_imports": sum(isinstance(node, ast.Import | ast.ImportFrom) for node in nested),
        "ifs": _number(nodes, ast.If),
        "ternaries": _number(nodes, ast.IfExp),
        "package_imports": sum(map(_is_from_package, nodes)),
    }


def _number(nodes: Iterable[ast.AST], kind: type[ast.AST]) -> int:
    return sum(isinstance(node, kind) for node in nodes)


def _docstring_lines(node: ast.AST) -> int:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return 0
    if ast.get_docstring(node, clean=False) is None:
        return 0
    first = node.body[0]
    return (first.end_lineno or first.lineno) - first.lineno + 1


def _is_silent(handler: ast.ExceptHandler) -> bool:
    return len(handler.body) == 1 and isinstance(handler.body[0], ast.Pass | ast.Continue)


def _is_config(call: ast.Call) -> bool:
    return bool(call.args) and bool(re.search("cfg|conf", ast.unparse(call.args[0])))


def _is_from_package(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and (node.module or "").startswith("champion")
