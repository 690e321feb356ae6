from .registry import DATASETS, LOSSES, MODELS, build
from .runner import Runner
