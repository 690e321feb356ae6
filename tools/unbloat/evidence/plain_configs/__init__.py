"""Config objects that are not OmegaConf's: dictionaries, namespaces, data classes, objects of plain classes.

Python does not tell who looks into a dictionary. So while a run is observed, a config that comes in from outside is watched:
objects get a class that derives from their own, dictionaries and `SimpleNamespace`, whose class cannot be changed, a twin in
their place. Every access is told to a `Log`, by the key that it reads. What is watched answers as it did before.
"""

from unbloat.evidence.plain_configs.values import content, found, is_config, needs_twin, own_type, root_name
from unbloat.evidence.plain_configs.watched import Watched

__all__ = ["Watched", "content", "found", "is_config", "needs_twin", "own_type", "root_name"]
