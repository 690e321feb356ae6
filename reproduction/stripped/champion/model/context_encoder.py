"""Context encoder: demonstration pairs -> one vector per sample."""
import logging
import math

import torch
import torch.nn as nn

from ..utils.logging_config import setup_logging
from ..utils.positional_encoding import Grid2DPositionalEncoding

logger = setup_logging(__name__)
