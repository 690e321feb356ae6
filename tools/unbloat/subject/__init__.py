"""What is stripped: strip.toml, the source tree and its manifest. Nothing else reads configuration."""

from unbloat.subject.load import load_subject
from unbloat.subject.manifest import check_manifest, digests, read_manifest
from unbloat.subject.model import Bundle, Contract, Phase, Step, Subject, Veto, Workload
from unbloat.subject.sources import check_sources
from unbloat.subject.start import first_toml

__all__ = [
    "Bundle",
    "Contract",
    "Phase",
    "Step",
    "Subject",
    "Veto",
    "Workload",
    "check_manifest",
    "check_sources",
    "digests",
    "first_toml",
    "load_subject",
    "read_manifest",
]
