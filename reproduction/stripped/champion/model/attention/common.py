"""What the attention variants share: one reading of masks and a softmax that survives empty rows."""
import math

import torch
import torch.nn as nn
