from torch import nn

from ..registry import MODELS


@MODELS.register()
class LinearHead(nn.Module):
    def __init__(self, in_channels, num_classes, bias=True, **kwargs):
        super().__init__()
        self.fc = nn.Linear(in_channels, num_classes, bias=bias)

    def forward(self, x):
        return self.fc(x)


@MODELS.register()
class CosineHead(nn.Module):
    def __init__(self, in_channels, num_classes, scale=16):
        super().__init__()
        self.fc = nn.Linear(in_channels, num_classes, bias=False)
        self.scale = scale

    def forward(self, x):
        w = nn.functional.normalize(self.fc.weight, dim=-1)
        return self.scale * nn.functional.normalize(x, dim=-1) @ w.t()
