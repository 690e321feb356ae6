"""
Types and limits of the config, as OmegaConf structured configs.

Only nodes with an entry in NODES are checked; the others (callbacks of the run scripts, optuna, logging) stay
free. A node or a key that is missing is fine, a key that is not known or has the wrong type is not.

[INFERRED] Known is the module's name and the three range types of the optuna node. Nodes, keys and types
follow the config.
"""

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Tuple

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException


class ConfigError(ValueError):
    """All problems of one config, a line each."""


@dataclass
class FloatRange:
    """Search range of optuna, float."""

    low: float = 0.0
    high: float = 1.0
    log: bool = False

    def suggest(self, trial: Any, name: str) -> float:
        return float(trial.suggest_float(name, self.low, self.high, log=self.log))


@dataclass
class IntRange:
    """Search range of optuna, int."""

    low: int = 0
    high: int = 1
    step: int = 1

    def suggest(self, trial: Any, name: str) -> int:
        return int(trial.suggest_int(name, self.low, self.high, step=self.step))


@dataclass
class CategoricalChoice:
    """Search range of optuna; a choice may be repeated to make it more likely."""

    choices: List[Any] = field(default_factory=list)

    def suggest(self, trial: Any, name: str) -> Any:
        # by position, optuna wants different choices
        return self.choices[trial.suggest_categorical(name, list(range(len(self.choices))))]


@dataclass
class RiskConfig:
    enabled: bool = False
    t_min: float = 1.0
    t_max: float = 1.0
    alpha: float = 1.0
    beta: float = 0.0
    gamma: float = 0.0
    warmup_frac: float = 0.0


@dataclass
class ExpectedCostConfig:
    enabled: bool = False
    a: float = 0.25
    b: float = 0.35
    c: float = 0.45
    d: float = 1.0
    d_finish: float = 0.8
    anchor_ce_alpha: float = 0.0
    entropy_floor_beta: float = 0.0
    class_weights_enabled: bool = False
    risk: RiskConfig = field(default_factory=RiskConfig)


@dataclass
class LossConfig:
    expected_cost: ExpectedCostConfig = field(default_factory=ExpectedCostConfig)


@dataclass
class InsertionDecodeConfig:
    strategy: str = "inverseentropy"
    selection_k: int = 1
    max_steps: Optional[int] = None
    min_conf: Optional[float] = None
    random_seed: Optional[int] = None


@dataclass
class PredictedSlotConfig:
    enabled: bool = False
    eos_conf_threshold: float = 0.0


@dataclass
class SlotStateConfig:
    predicted: PredictedSlotConfig = field(default_factory=PredictedSlotConfig)


@dataclass
class InsertionConfig:
    enabled: bool = False
    train_gating: bool = False
    eval_gating: bool = False
    gating_logit_shift: float = 0.0
    pad_marks_complete: bool = False
    decode: InsertionDecodeConfig = field(default_factory=InsertionDecodeConfig)
    slot_state: SlotStateConfig = field(default_factory=SlotStateConfig)


@dataclass
class RDropConfig:
    enabled: bool = False
    alpha: float = 0.0
    k: int = 1
    use_concat: bool = True
    share_dropout_mask: bool = False
    force_fp32_kl: bool = True
    kl_clip_max: float = 0.0
    log_val_kl: bool = False
    apply_insertion_gating_for_kl: bool = False


@dataclass
class SchedulerConfig:
    use_cosine_annealing: bool = True
    T_0: int = 10
    T_mult: int = 1
    eta_min: float = 0.0


@dataclass
class HypergradScheduleConfig:
    type: str = "cosine"
    warmup_steps: int = 0
    total_steps: int = 1


@dataclass
class RegulariserHypergradConfig:
    enabled: bool = False
    alpha_min: float = 1e-6
    alpha_max: float = 10.0
    init: Dict[str, float] = field(default_factory=dict)
    rho: Dict[str, float] = field(default_factory=dict)
    schedule: HypergradScheduleConfig = field(default_factory=HypergradScheduleConfig)


@dataclass
class MetricsConfig:
    confidence_threshold: float = 0.5
    grid_tol_thresholds: List[float] = field(default_factory=lambda: [0.95])
    dense_objective_weights: Dict[str, float] = field(default_factory=dict)


@dataclass
class FinetuningConfig:
    mode: str = "all"
    learning_rate: float = 1e-5
    max_epochs: int = 100
    patience: int = 5
    num_random_tasks: int = 10
    specific_tasks: List[str] = field(default_factory=list)
    save_dir: str = "finetuning_results"
    base_model_checkpoint: Optional[str] = None
    results_path: Optional[str] = None
    retry_threshold: Optional[float] = None


# where a schema applies
NODES: Dict[str, type] = {
    "model.loss": LossConfig,
    "model.insertion": InsertionConfig,
    "rdrop": RDropConfig,
    "scheduler": SchedulerConfig,
    "regulariser_hypergrad": RegulariserHypergradConfig,
    "metrics": MetricsConfig,
    "finetuning": FinetuningConfig,
}

# key, what has to hold, in words
LIMITS: Tuple[Tuple[str, Callable[[Any], bool], str], ...] = (
    ("model.d_model", lambda v: v > 0, "must be positive"),
    ("model.n_head", lambda v: v > 0, "must be positive"),
    ("model.encoder_layers", lambda v: v >= 0, "must not be negative"),
    ("model.decoder_layers", lambda v: v >= 1, "must be at least 1"),
    ("model.dropout_rate", lambda v: 0 <= v < 1, "must be in [0, 1)"),
    ("model.encoder_dropout_rate", lambda v: 0 <= v < 1, "must be in [0, 1)"),
    ("model.decoder_dropout_rate", lambda v: 0 <= v < 1, "must be in [0, 1)"),
    ("model.loss_mode", lambda v: v in ("ce", "expected_cost"), "must be 'ce' or 'expected_cost'"),
    ("model.loss.expected_cost.risk.warmup_frac", lambda v: 0 <= v <= 1, "must be in [0, 1]"),
    ("model.insertion.decode.selection_k", lambda v: v >= 1, "must be at least 1"),
    ("optimizer.lr", lambda v: v > 0, "must be positive"),
    ("rdrop.alpha", lambda v: v >= 0, "must not be negative"),
    ("rdrop.k", lambda v: v >= 1, "must be at least 1"),
    ("scheduler.T_0", lambda v: v >= 1, "must be at least 1"),
    ("scheduler.T_mult", lambda v: v >= 1, "must be at least 1"),
    ("training.max_epochs", lambda v: v >= 1, "must be at least 1"),
    ("training.gradient_clip_val", lambda v: v is None or v >= 0, "must not be negative"),
    ("training.dice_loss_weight", lambda v: v >= 0, "must not be negative"),
    ("metrics.confidence_threshold", lambda v: 0 <= v <= 1, "must be in [0, 1]"),
    ("finetuning.learning_rate", lambda v: v > 0, "must be positive"),
)

MISSING = object()


def as_config(config: Any) -> DictConfig:
    """A DictConfig for what callers have: one already (returned as it is), or plain dicts."""
    return config if isinstance(config, DictConfig) else OmegaConf.create(dict(config))


def config_problems(config: Any) -> List[str]:
    """Everything that is wrong, in words; the config is not changed."""
    config = as_config(config)
    problems: List[str] = []
    for path, schema in NODES.items():
        node = OmegaConf.select(config, path)
        if node is None:
            continue
        try:
            OmegaConf.merge(OmegaConf.structured(schema), node)
        except OmegaConfBaseException as error:
            problems.append(f"{path}: {str(error).splitlines()[0]}")
    for path, holds, words in LIMITS:
        value = OmegaConf.select(config, path, default=MISSING)
        if value is MISSING:
            continue
        try:
            good = holds(value)
        except TypeError:
            good = False
        if not good:
            problems.append(f"{path}: {words}, got {value!r}")
    return problems + _relations(config)


def _relations(config: DictConfig) -> List[str]:
    found: List[str] = []
    ordered = (
        ("model.loss.expected_cost.risk.t_min", "model.loss.expected_cost.risk.t_max"),
        ("regulariser_hypergrad.alpha_min", "regulariser_hypergrad.alpha_max"),
    )
    for low, high in ordered:
        smaller, larger = OmegaConf.select(config, low), OmegaConf.select(config, high)
        if isinstance(smaller, (int, float)) and isinstance(larger, (int, float)) and smaller > larger:
            found.append(f"{low}: must not exceed {high}, got {smaller} and {larger}")
    width, heads = OmegaConf.select(config, "model.d_model"), OmegaConf.select(config, "model.n_head")
    if isinstance(width, int) and isinstance(heads, int) and heads > 0 and width % heads:
        found.append(f"model.d_model: must be divisible by model.n_head, got {width} and {heads}")
    return found


def validate_config(config: Any) -> None:
    """
    Raises:
        ConfigError: with all problems at once
    """
    problems = config_problems(config)
    if problems:
        raise ConfigError("\n".join(problems))
