import os

import torch

DEBUG = os.environ.get("OLDNET_DEBUG", "0") == "1"


def is_dist():
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def get_rank():
    if not is_dist():
        return 0
    return torch.distributed.get_rank()


def reduce_dict(d):
    if not is_dist():
        return d
    out = {}
    for k, v in d.items():
        v = v.detach().clone()
        torch.distributed.all_reduce(v)
        out[k] = v / torch.distributed.get_world_size()
    return out


def make_optimizer(params, cfg):
    cfg = dict(cfg)
    name = cfg.pop("type")
    return getattr(torch.optim, name)(params, **cfg)


def make_scheduler(optimizer, cfg):
    if cfg is None:
        return None
    cfg = dict(cfg)
    name = cfg.pop("type")
    return getattr(torch.optim.lr_scheduler, name)(optimizer, **cfg)


def deep_update(base, new):
    for k, v in new.items():
        if isinstance(v, dict) and isinstance(base.get(k), dict):
            deep_update(base[k], v)
        else:
            base[k] = v
    return base
