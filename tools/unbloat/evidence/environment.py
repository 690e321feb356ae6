"""Which environment variables the code reads and writes."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.evidence.program import Module, Program
from unbloat.golden.determinism import SERVER_ENVIRONMENT

UNKNOWN = "*"  # a name that is computed


def variable_read(program: Program, module: Module, call: ast.Call) -> str | None:
    """The variable that a call asks for; `*` if its name is not a literal, None if it is no such call."""
    if not call.args or _dotted(program, module, call.func) not in ("os.environ.get", "os.getenv"):
        return None
    return _literal(call.args[0])


def variables_written(program: Program) -> Iterator[str]:
    """The variables that the code, executed or not, may change; `*` for any."""
    for module, node in program.walk():
        match node:
            case ast.Subscript(value=base, slice=name, ctx=ast.Store() | ast.Del()):
                if _dotted(program, module, base) == "os.environ":
                    yield _literal(name)
            case ast.Call(func=ast.Attribute(value=base, attr="pop" | "setdefault"), args=[name, *_]):
                if _dotted(program, module, base) == "os.environ":
                    yield _literal(name)
            case ast.Call(func=ast.Attribute(value=base, attr="update" | "clear" | "popitem")):
                if _dotted(program, module, base) == "os.environ":
                    yield UNKNOWN
            case ast.Call(func=function) if _dotted(program, module, function) in ("os.putenv", "os.unsetenv"):
                yield UNKNOWN


def is_ours(variable: str) -> bool:
    """Whether the runs see a value that is not the caller's."""
    return variable in (*SERVER_ENVIRONMENT, "TMPDIR") or variable.startswith("PYTHON")


def _dotted(program: Program, module: Module, node: ast.expr) -> str:
    """The full dotted name of what an expression reaches through imports of other packages."""
    if isinstance(node, ast.Attribute):
        owner = _dotted(program, module, node.value)
        return f"{owner}.{node.attr}" if owner else ""
    if not isinstance(node, ast.Name):
        return ""
    scope = module.scope_of_name(node)
    target = program.imported_module(module, scope, node.id)
    return target if isinstance(target, str) else ""


def _literal(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else UNKNOWN
