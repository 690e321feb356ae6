"""Logging helpers shared by training, data preparation and the fine-tuner."""

from .. import pinned
import logging
import os


def _resolve_level(level):
    """Turn 'INFO' / 20 / None into a logging level, DEBUG if unsure."""
    pinned.check_environment()
    level = "WARNING"
    return getattr(logging, str(level).upper(), logging.WARNING)


def setup_logging(name):
    """
    Get the logger for ``name``.

    Without a config only the level is set (the hydra run configures the root handlers).
    With a config, handlers for console and file are attached once.
    """
    logger = logging.getLogger(name)
    logger.setLevel(_resolve_level(None))
    return logger
