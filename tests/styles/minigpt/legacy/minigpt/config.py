"""All the switches that piled up over the years."""
import argparse
import os
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import List, Literal, Optional


class Norm(Enum):
    LAYER = "layer"
    RMS = "rms"


@dataclass
class GPTConfig:
    block_size: int = 16
    vocab_size: int = 64
    n_layer: int = 2
    n_head: int = 4
    n_embd: int = 32
    dropout: float = 0.0
    bias: bool = True
    norm: Norm = Norm.LAYER
    act: Literal["gelu", "relu", "swiglu"] = "gelu"
    pos: Literal["learned", "rotary", "none"] = "learned"
    flash: bool = False
    tie_weights: bool = True
    moe_experts: int = 0
    grad_checkpoint: bool = False
    extra_heads: List[str] = field(default_factory=list)
    init_std: Optional[float] = None

    def __post_init__(self):
        if isinstance(self.norm, str):
            self.norm = Norm(self.norm)
        if self.n_embd % self.n_head != 0:
            raise ValueError("n_embd must be divisible by n_head")
        if self.init_std is None:
            self.init_std = 0.02

    @classmethod
    def from_args(cls, args):
        names = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in vars(args).items() if k in names})


def parser():
    p = argparse.ArgumentParser()
    p.add_argument("--block_size", type=int, default=16)
    p.add_argument("--n_layer", type=int, default=2)
    p.add_argument("--n_head", type=int, default=4)
    p.add_argument("--n_embd", type=int, default=32)
    p.add_argument("--dropout", type=float, default=0.0)
    p.add_argument("--no_bias", dest="bias", action="store_false")
    p.add_argument("--norm", choices=["layer", "rms"], default="layer")
    p.add_argument("--act", choices=["gelu", "relu", "swiglu"], default="gelu")
    p.add_argument("--pos", choices=["learned", "rotary", "none"], default="learned")
    p.add_argument("--optimizer", choices=["adamw", "sgd", "lion"], default="adamw")
    p.add_argument("--schedule", choices=["cosine", "linear", "none"], default="cosine")
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--warmup", type=int, default=1)
    p.add_argument("--steps", type=int, default=3)
    p.add_argument("--batch_size", type=int, default=4)
    p.add_argument("--grad_clip", type=float, default=1.0)
    p.add_argument("--compile", action="store_true")
    p.add_argument("--ddp", action="store_true")
    p.add_argument("--amp", action="store_true")
    p.add_argument("--ema", type=float, default=0.0)
    p.add_argument("--wandb", action="store_true")
    p.add_argument("--resume", default=None)
    p.add_argument("--seed", type=int, default=int(os.environ.get("MINIGPT_SEED", "1337")))
    return p
