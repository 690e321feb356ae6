"""Logging helpers shared by training, data preparation and the fine-tuner."""
import logging
import os
from logging.handlers import RotatingFileHandler

DEFAULT_FORMAT = "%(asctime)s | %(name)s | %(levelname)s | %(message)s"


def _resolve_level(level):
    """Turn 'INFO' / 20 / None into a logging level, DEBUG if unsure."""
    if level is None:
        level = os.environ.get("JARC_LOG_LEVEL") or "WARNING"
    if isinstance(level, int):
        return level
    return getattr(logging, str(level).upper(), logging.WARNING)


def setup_logging(name, cfg=None, level=None):
    """
    Get the logger for ``name``.

    Without a config only the level is set (the hydra run configures the root handlers).
    With a config, handlers for console and file are attached once.
    """
    logger = logging.getLogger(name)
    logger.setLevel(_resolve_level(level))
    if cfg is None:
        return logger

    log_cfg = cfg.get("logging") if hasattr(cfg, "get") else None
    if log_cfg is None:
        return logger
    if level is None:
        logger.setLevel(_resolve_level(log_cfg.get("level", None)))

    formatter = logging.Formatter(DEFAULT_FORMAT)
    console = log_cfg.get("console_logging") or {}
    if console.get("enable", True) and not any(type(h) is logging.StreamHandler for h in logger.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(formatter)
        logger.addHandler(handler)

    file_cfg = log_cfg.get("file_logging") or {}
    if file_cfg.get("enable", False) and not any(isinstance(h, RotatingFileHandler) for h in logger.handlers):
        log_dir = log_cfg.get("log_dir", "logs")
        os.makedirs(log_dir, exist_ok=True)
        handler = RotatingFileHandler(
            os.path.join(log_dir, file_cfg.get("log_file_name", "app.log")),
            maxBytes=int(file_cfg.get("max_bytes", 10 * 1024 * 1024)),
            backupCount=int(file_cfg.get("backup_count", 5)),
        )
        handler.setFormatter(formatter)
        logger.addHandler(handler)
    return logger
