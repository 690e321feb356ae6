"""Everything that `unbloat` raises on purpose.

UnbloatError                 what a user can mend; the command line prints one line and exits with 2
├── SubjectError             strip.toml, the source tree or the manifest is not usable
├── WorkloadError            a workload raised, timed out, or is not deterministic
├── EditError                an edit does not fit the source that it names
├── RestructureError         a step of restructuring cannot be done
├── EvidenceError            facts contradict each other
└── VerificationError        the legacy does not reproduce its own golden
"""

from __future__ import annotations


class UnbloatError(Exception):
    """One clear line: what is wrong, where, and what to do."""


class SubjectError(UnbloatError):
    """The subject's description or its files cannot be used."""


class WorkloadError(UnbloatError):
    """A workload cannot serve as a golden."""


class EditError(UnbloatError):
    """An edit names a position that holds no such code."""


class RestructureError(UnbloatError):
    """A step of [[restructure]] cannot be done; it is left out, and said."""


class EvidenceError(UnbloatError):
    """Recorded facts and static analysis cannot both be true."""


class VerificationError(UnbloatError):
    """The untouched legacy fails its own golden."""
