"""A folder that works alone: the stripped package, its config and requirements, and the scripts of its users."""

from __future__ import annotations

from unbloat.bundle.make import make_bundle
from unbloat.bundle.write import Bundled, bundle_files, write_bundle

__all__ = ["Bundled", "bundle_files", "make_bundle", "write_bundle"]
