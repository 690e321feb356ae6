"""What an entry point needs before it looks at the config: resolvers, registered schemas, environment."""

import os
import random
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence, Union

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from champion.config_schema import NODES, as_config

CHECKPOINT_CONFIG_VARIABLES = ("JARC_CHECKPOINT_CONFIG", "CHECKPOINT_CONFIG")


def register_resolvers() -> None:
    """${div:a,b} for whole-number sizes and ${env_or:NAME,default}; may be called again."""
    OmegaConf.register_new_resolver("div", lambda a, b: int(a) // int(b), replace=True)
    OmegaConf.register_new_resolver(
        "env_or", lambda name, default: os.environ.get(name, default), replace=True
    )


def register_schemas() -> None:
    """Offer the schemas to hydra, as group 'schema', entry 'rdrop' and so on."""
    # hydra is needed by the command line only
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    for path, schema in NODES.items():
        store.store(group="schema", name=path.replace(".", "_"), node=schema)


def load_config(path: Union[str, Path], overrides: Sequence[str] = ()) -> DictConfig:
    """A YAML file with 'a.b=c' overrides on top, without hydra."""
    register_resolvers()
    config = as_config(OmegaConf.load(path))
    return as_config(OmegaConf.merge(config, OmegaConf.from_dotlist(list(overrides))))


def merge_checkpoint_config(config: DictConfig, environ: Optional[Mapping[str, str]] = None) -> DictConfig:
    """
    Put the config that was saved with a checkpoint over ``config``.

    Its path is in JARC_CHECKPOINT_CONFIG or, if that is not set, in CHECKPOINT_CONFIG; without either nothing
    changes.
    """
    environ = os.environ if environ is None else environ
    for name in CHECKPOINT_CONFIG_VARIABLES:
        if environ.get(name):
            return as_config(OmegaConf.merge(config, OmegaConf.load(environ[name])))
    return config


def setup_environment(config: Any) -> None:
    """Seeds (repro.trial_seed) and the log directory."""
    config = as_config(config)
    seed = OmegaConf.select(config, "repro.trial_seed")
    if seed is not None:
        random.seed(int(seed))
        np.random.seed(int(seed) % 2**32)
        torch.manual_seed(int(seed))
    log_dir = OmegaConf.select(config, "logging.log_dir")
    if log_dir:
        Path(log_dir).mkdir(parents=True, exist_ok=True)
