"""The commands, in the order in which the help lists them."""

from __future__ import annotations

from unbloat.commands import (
    bundle,
    certify,
    challenge,
    diff,
    explain,
    init,
    measure,
    mutate,
    plan,
    record,
    report,
    strip,
    verify,
)
from unbloat.commands.command import Command

COMMANDS: tuple[Command, ...] = (
    init.COMMAND,
    record.COMMAND,
    plan.COMMAND,
    strip.COMMAND,
    verify.COMMAND,
    diff.COMMAND,
    challenge.COMMAND,
    mutate.COMMAND,
    report.COMMAND,
    bundle.COMMAND,
    certify.COMMAND,
    explain.COMMAND,
    measure.COMMAND,
)
