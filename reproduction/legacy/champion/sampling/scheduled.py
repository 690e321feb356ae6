r"""Scheduled sampling: how often the decoder sees its own output instead of the target."""

import math
import re
from dataclasses import dataclass
from typing import Dict, Optional, Tuple, Union

import torch

# name: parameters with their defaults
FORMS: Dict[str, Dict[str, float]] = {
    "constant": {"value": 0.0},
    "linear": {"start": 0.0, "end": 1.0, "steps": 1.0},
    "exponential": {"base": 0.9999, "end": 1.0},
    "inverse_sigmoid": {"k": 1000.0, "end": 1.0},
}
CALL = re.compile(r"\s*(\w+)\s*\((.*)\)\s*")


@dataclass(frozen=True)
class SamplingSchedule:
    r"""
    Bengio et al., "Scheduled sampling for sequence prediction with recurrent neural networks" (2015).

    Probability p(i) of the model's own output at step i:

    .. math:: \text{linear: } start + (end - start) \min(1, i / steps), \quad
              \text{exponential: } end \, (1 - base^i), \quad
              \text{inverse\_sigmoid: } end \, \Big(1 - \frac{k}{k + e^{i/k}}\Big)

    The paper counts the probability of the target, 1 - p.

    [INFERRED] Only "linear(start=, end=, steps=)" occurs in the config; the other forms carry the paper's
    names.
    """

    form: str
    parameters: Tuple[Tuple[str, float], ...]

    @classmethod
    def parse(cls, text: Union[str, float, int]) -> "SamplingSchedule":
        """From 'linear(start=0.0, end=0.5, steps=10000)', or a plain number for a constant."""
        if isinstance(text, (int, float)):
            return cls("constant", (("value", float(text)),))
        found = CALL.fullmatch(text)
        if found is None or found[1] not in FORMS:
            raise ValueError(f"cannot read the schedule {text!r}, known forms: {', '.join(FORMS)}")
        values = dict(FORMS[found[1]])
        for part in filter(None, (piece.strip() for piece in found[2].split(","))):
            name, _, value = (piece.strip() for piece in part.partition("="))
            if name not in values:
                raise ValueError(f"{found[1]} has no parameter {name!r}")
            values[name] = float(value)
        return cls(found[1], tuple(values.items()))

    def probability(self, step: int) -> float:
        values = dict(self.parameters)
        if self.form == "constant":
            p = values["value"]
        elif self.form == "linear":
            p = values["start"] + (values["end"] - values["start"]) * min(
                1.0, step / max(1.0, values["steps"])
            )
        elif self.form == "exponential":
            p = values["end"] * (1.0 - values["base"] ** step)
        else:
            # exp overflows long before the fraction leaves 0
            p = values["end"] * (1.0 - values["k"] / (values["k"] + math.exp(min(700.0, step / values["k"]))))
        return min(1.0, max(0.0, p))


def mix_targets(
    targets: torch.Tensor,
    predictions: torch.Tensor,
    probability: float,
    pad: int = 10,
    generator: Optional[torch.Generator] = None,
) -> torch.Tensor:
    """
    Replace each cell by the prediction with the given probability.

    PAD cells stay, so the shape of the grid is never made up by the model. targets, predictions: [...] long.
    """
    drawn = torch.rand(targets.shape, generator=generator).to(targets.device)
    replace = (drawn < probability) & (targets != pad)
    return torch.where(replace, predictions, targets)
