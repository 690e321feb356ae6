from torch import nn

from ..registry import LOSSES, MODELS, build


@MODELS.register()
class Classifier(nn.Module):
    def __init__(self, backbone, head, loss=None, pretrained=None, aux=None):
        super().__init__()
        self.backbone = build(backbone, MODELS)
        self.head = build(head, MODELS, in_channels=self.backbone.out_channels)
        self.loss = build(loss, LOSSES) if loss is not None else nn.CrossEntropyLoss()
        self.aux = build(aux, MODELS, in_channels=self.backbone.out_channels) if aux is not None else None
        if pretrained:
            import torch

            self.load_state_dict(torch.load(pretrained, weights_only=True), strict=False)

    def forward(self, x, y=None, return_loss=True):
        f = self.backbone(x)
        logits = self.head(f)
        if y is None or not return_loss:
            return logits
        losses = {"loss": self.loss(logits, y)}
        if self.aux is not None:
            losses["aux"] = 0.4 * self.loss(self.aux(f), y)
        return losses
