"""What is known of builtins, methods and frameworks by their names."""

from __future__ import annotations

import ast

PURE_FUNCTIONS = frozenset(
    "abs all any bool callable complex dict enumerate float format frozenset getattr hasattr hash int "
    "isinstance issubclass len list max min range repr reversed round set sorted str sum tuple type zip".split()
)
PURE_METHODS = frozenset(
    "casefold count endswith find format get index isdigit isidentifier isnumeric items join keys lower "
    "lstrip partition removeprefix removesuffix replace rpartition rsplit rstrip split splitlines "
    "startswith strip title upper values".split()
)
CONFIG_FUNCTIONS = frozenset({"select", "is_missing", "is_config", "is_dict", "is_list", "is_none", "to_container"})
# The names under which stripped modules import what stands for an expression that no workload evaluated; the latter raises
# what is no `Exception`.
UNSEEN, HALT = "unbloat_unseen", "unbloat_halt"
# Attributes that torch and Lightning change behind the subject's back.
FRAMEWORK_ATTRIBUTES = frozenset(
    "training trainer current_epoch global_step logger device dtype automatic_optimization fabric".split()
)
# What other packages hold that the caller's process, machine or script may have set.
_SETTINGS = tuple("os.environ random sys.argv sys.flags sys.modules sys.path sys.std torch.backends warnings.filters".split())


def last_name(node: ast.expr) -> str:
    """The last part of a name with or without dots; empty for anything else."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def is_setting(dotted: str) -> bool:
    """Whether a dotted name of another package reaches something that changes from one process to the next."""
    return dotted.startswith(_SETTINGS)
