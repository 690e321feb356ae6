"""Registries in the manner of mmcv and detectron."""
import importlib
import inspect


class Registry:
    def __init__(self, name):
        self._name = name
        self._classes = {}

    def register(self, name=None, force=False):
        def deco(cls):
            key = name or cls.__name__
            if key in self._classes and not force:
                raise KeyError(f"{key} is already registered in {self._name}")
            self._classes[key] = cls
            return cls

        return deco

    def get(self, key):
        if key in self._classes:
            return self._classes[key]
        raise KeyError(f"{key} is not in the {self._name} registry")

    def __contains__(self, key):
        return key in self._classes


MODELS = Registry("models")
DATASETS = Registry("datasets")
LOSSES = Registry("losses")


def build(cfg, registry=None, **kwargs):
    """cfg: dict(type='Name', ...) or dict(_target_='package.module.Class', ...)."""
    if cfg is None:
        return None
    if not isinstance(cfg, dict):
        raise TypeError(f"cfg must be a dict, got {type(cfg)}")
    args = dict(cfg)
    args.update(kwargs)
    if "_target_" in args:
        module, _, name = args.pop("_target_").rpartition(".")
        cls = getattr(importlib.import_module(module), name)
    else:
        kind = args.pop("type")
        cls = registry.get(kind) if isinstance(kind, str) else kind
    if inspect.isclass(cls) and args.pop("debug", False):
        print("building", cls, args)
    return cls(**args)
