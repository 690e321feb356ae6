"""The training loop with its hooks."""
import copy

import torch
import yaml
from torch.utils.data import DataLoader

from . import data, losses, models  # noqa: F401, register everything
from .registry import DATASETS, MODELS, build
from .utils import DEBUG, deep_update, get_rank, is_dist, make_optimizer, make_scheduler, reduce_dict

DEFAULTS = {
    "seed": 0,
    "epochs": 1,
    "amp": False,
    "clip": None,
    "ema": None,
    "scheduler": None,
    "hooks": [],
    "loader": {"batch_size": 4, "shuffle": True},
    "mixup": {"enabled": False, "alpha": 0.2},
}


class Hook:
    def before_run(self, runner):
        pass

    def after_step(self, runner):
        pass

    def after_run(self, runner):
        pass


class PrintHook(Hook):
    def after_step(self, runner):
        if get_rank() == 0:
            print(runner.step, float(runner.outputs["loss"]))


class EMAHook(Hook):
    def __init__(self, decay):
        self.decay = decay

    def before_run(self, runner):
        self.shadow = copy.deepcopy(runner.model.state_dict())

    def after_step(self, runner):
        for k, v in runner.model.state_dict().items():
            if v.dtype.is_floating_point:
                self.shadow[k].mul_(self.decay).add_(v, alpha=1 - self.decay)


HOOKS = {name: cls for name, cls in list(globals().items()) if isinstance(cls, type) and issubclass(cls, Hook)}


class Runner:
    def __init__(self, cfg, work_dir=None):
        if isinstance(cfg, str):
            with open(cfg) as f:
                cfg = yaml.safe_load(f)
        self.cfg = deep_update(copy.deepcopy(DEFAULTS), cfg)
        self.work_dir = work_dir
        torch.manual_seed(self.cfg["seed"])
        self.dataset = build(self.cfg["dataset"], DATASETS)
        self.model = build(self.cfg["model"], MODELS)
        self.optimizer = make_optimizer(self.model.parameters(), self.cfg["optimizer"])
        self.scheduler = make_scheduler(self.optimizer, self.cfg.get("scheduler"))
        if is_dist():
            self.model = torch.nn.parallel.DistributedDataParallel(self.model)
        self.hooks = [HOOKS[h.pop("type")](**h) for h in copy.deepcopy(self.cfg["hooks"])]
        if self.cfg.get("ema"):
            self.hooks.append(EMAHook(**self.cfg["ema"]))
        self.step = 0
        self.history = []

    def call(self, name):
        for hook in self.hooks:
            getattr(hook, name)(self)

    def run(self):
        loader = DataLoader(self.dataset, **self.cfg["loader"])
        self.call("before_run")
        self.model.train()
        for epoch in range(self.cfg["epochs"]):
            for x, y in loader:
                if self.cfg["mixup"]["enabled"]:
                    x, y = self.mixup(x, y, self.cfg["mixup"]["alpha"])
                if self.cfg["amp"]:
                    with torch.autocast("cpu", dtype=torch.bfloat16):
                        self.outputs = self.model(x, y)
                else:
                    self.outputs = self.model(x, y)
                self.outputs = reduce_dict(self.outputs)
                loss = sum(self.outputs.values())
                self.optimizer.zero_grad()
                loss.backward()
                if self.cfg["clip"] is not None:
                    torch.nn.utils.clip_grad_norm_(self.model.parameters(), **self.cfg["clip"])
                self.optimizer.step()
                if self.scheduler is not None:
                    self.scheduler.step()
                if DEBUG:
                    print("loss", loss)
                self.step += 1
                self.history.append(float(loss.detach()))
                self.call("after_step")
        self.call("after_run")
        return self.history

    def mixup(self, x, y, alpha):
        lam = torch.distributions.Beta(alpha, alpha).sample()
        perm = torch.randperm(len(x))
        return lam * x + (1 - lam) * x[perm], y
