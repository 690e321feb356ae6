"""What is stripped: strip.toml, the source tree and its manifest. Nothing else reads configuration."""

from unbloat.subject.load import load_subject
from unbloat.subject.manifest import check_manifest, digests, read_manifest
from unbloat.subject.model import Contract, Phase, Subject, Veto, Workload
from unbloat.subject.sources import check_sources

__all__ = [
    "Contract",
    "Phase",
    "Subject",
    "Veto",
    "Workload",
    "check_manifest",
    "check_sources",
    "digests",
    "load_subject",
    "read_manifest",
]
