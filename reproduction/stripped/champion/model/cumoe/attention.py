"""
CUMoE attention: mix tokens first, then let an expert work on the mixture.

UMoE (Yang et al. 2025, "UMoE: Unifying Attention and FFN with Shared Experts") rewrites attention so that
its value and output projections become a feed-forward expert applied to attention-weighted sums of raw
tokens. The same experts then serve as feed-forward.
"""
import math
from typing import Any

import torch
import torch.nn as nn
