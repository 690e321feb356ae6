import torch
from torch import nn

from ..registry import MODELS


class Base(nn.Module):
    def __init__(self, **kwargs):
        super().__init__()
        self.extra = kwargs

    def init_weights(self):
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight)
            elif isinstance(m, nn.BatchNorm2d):
                nn.init.ones_(m.weight)


@MODELS.register()
class ConvNet(Base):
    def __init__(self, channels=(8, 16), norm="bn", act="relu", dropout=0.0, stem=None, se=False, **kwargs):
        super().__init__(**kwargs)
        layers = []
        prev = 3
        if stem == "patchify":
            layers.append(nn.Conv2d(3, channels[0], 4, stride=4))
            prev = channels[0]
        for c in channels:
            layers.append(nn.Conv2d(prev, c, 3, padding=1, bias=norm is None))
            if norm == "bn":
                layers.append(nn.BatchNorm2d(c))
            elif norm == "gn":
                layers.append(nn.GroupNorm(4, c))
            elif norm is not None:
                raise ValueError(f"unknown norm {norm}")
            layers.append(getattr(nn, {"relu": "ReLU", "gelu": "GELU"}[act])())
            if se:
                layers.append(SqueezeExcite(c))
            if dropout:
                layers.append(nn.Dropout(dropout))
            prev = c
        self.body = nn.Sequential(*layers)
        self.out_channels = prev
        self.init_weights()

    def forward(self, x):
        return self.body(x).mean((2, 3))


class SqueezeExcite(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fc = nn.Linear(c, c)

    def forward(self, x):
        return x * self.fc(x.mean((2, 3)))[:, :, None, None].sigmoid()


@MODELS.register("ResNetish")
class ResNetish(Base):
    def __init__(self, width=16, **kwargs):
        super().__init__(**kwargs)
        self.conv = nn.Conv2d(3, width, 3, padding=1)
        self.out_channels = width

    def forward(self, x):
        return self.conv(x).relu().mean((2, 3))
