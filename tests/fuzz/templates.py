"""What every program starts with: helpers, classes and a second module, with holes for what differs."""

HEADER = """
import copy, functools, inspect, itertools, logging, operator, os
from collections import ChainMap, namedtuple
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace

from omegaconf import OmegaConf

from pkg import parts, state
{star}from pkg.state import TALL, widened

logger = logging.getLogger(__name__)
WIDE = False
DEEP = {deep}
TABLE = {{"first": 1, "second": 0}}
SEEN = []
Pair = namedtuple("Pair", "left right")


@dataclass
class Options:
    left: bool = False
    right: object = None


def _get(cfg, path, default=None):{get}


reader = {reader}
{helpers}{classes}

def widen(value):
    global WIDE
    WIDE = value


def noted(function):
    @functools.wraps(function)
    def inner(*arguments, **options):
        SEEN.append(function.__name__)
        return function(*arguments, **options)
    return inner


def apply(function, *arguments):
    return function(*arguments)


class Box:
    limit = {limit}

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return self.x

    def __getitem__(self, index):
        SEEN.append(index)
        return self.x > index

    @property
    def wide(self):
        if self.limit:
            return self.x > 3
        return False


class Base:
    shared = False

    def __init__(self, cfg, x):
        self.cfg = cfg
        self.flag = {field}
        self.mode = _get(cfg, "mode", "first")
        self.count = 0
        self.hook = None

    def chosen(self):
        return False

    def step(self, x):
        self.count += 1
        if self.flag:
            x = x + 100
        if self.shared:
            x = x + 200
        if self.chosen():
            x = x + 400
        if self.mode == "second":
            x = x + 800
        if self.hook is not None:
            x = self.hook(x)
        return x


class Derived(Base):
    {derived}

    def chosen(self):
        return {chosen}
"""


STATE = """
import os

FLAG = {state}
TALL = os.environ.get("PKG_TALL") == "1"


def widened(x, wide=False):
    if FLAG:
        x = x + 1000
    if wide:
        x = x + 2000
    return x


def set_flag(value):
    global FLAG
    FLAG = value
"""
