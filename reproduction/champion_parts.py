"""Public parts of the champion package, called directly with small data that the runs never meet.

Each is a case that the runs alone cannot tell from another: one cell, an empty slot, two mistakes at once, an order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from champion_data import PAD
from champion_runs import Recorder, parameters
from omegaconf import DictConfig

CLASSES = 24
BASE_VOCAB = 11
END_OF_SLOT = CLASSES - 1
DECAY = 0.1


def metrics(golden: Recorder) -> None:
    """Grids of which one is right and one cell changes, and two tasks that failed."""
    from champion.utils.metrics import TaskMetricsCollector, compute_copy_metrics_on_batch

    source = torch.tensor([[[1, 2], [3, 4]], [[1, 1], [1, 1]]])
    target = torch.tensor([[[1, 2], [3, 5]], [[2, 1], [1, 1]]])
    answer = torch.tensor([[[1, 2], [3, 5]], [[2, 2], [1, 1]]])
    golden.record("metrics.copy", compute_copy_metrics_on_batch(source, target, answer))
    collector = TaskMetricsCollector()
    collector.update(torch.tensor([0, 1]), answer, target)
    golden.record("metrics.collected", collector.compute())
    for task_id in ("second", "first"):
        collector.add_result(task_id, {"error": "no samples"})
    golden.record("metrics.failed", collector.failed_tasks())


def decoding(golden: Recorder, config: DictConfig) -> None:
    """A canvas of which the model wants to leave one slot empty."""
    from champion.decoding.insertion import InsertionDecoder

    logits = torch.zeros(1, 1, 3, CLASSES)
    for slot, winner in enumerate((4, END_OF_SLOT, 7)):
        logits[0, 0, slot, winner] = 2.0 + slot
    found = InsertionDecoder(config.model.insertion).decode(lambda grid: logits, torch.full((1, 1, 3), PAD))
    golden.record("decoding", [found.grid, found.order, found.steps])


def slot_costs(golden: Recorder) -> None:
    """Prices of an open and of a finished slot."""
    from champion.losses.expected_cost_loss import build_slot_costs

    truth, is_open = torch.tensor([3, 3]), torch.tensor([True, False])
    prices = {"a": 0.25, "b": 0.35, "c": 0.45, "d": 1.0, "d_finish": 0.8}
    golden.record("slot_costs", build_slot_costs(truth, is_open, BASE_VOCAB, K=CLASSES, **prices))


def positions(golden: Recorder) -> None:
    """The table of a canvas that is no square."""
    from champion.utils.positional_encoding import Grid2DPositionalEncoding

    golden.record("positions", Grid2DPositionalEncoding(8, max_height=2, max_width=3).pe)


def refusals(golden: Recorder, config: DictConfig) -> None:
    """Two mistakes at once: which are named, in which order."""
    from champion.model.context_encoder_pqa import ContextEncoderConfig
    from champion.utils.model_factory import load_weights

    wrong = {**config.model.context_encoder, "pe_type": "learned", "pool_type": "sum"}
    golden.record("refusals.context_encoder", refusal(lambda: ContextEncoderConfig(**wrong)))
    tensors = {"weight": torch.zeros(1), "bias": torch.zeros(2)}
    golden.record("refusals.weights", refusal(lambda: load_weights(torch.nn.Linear(3, 3), tensors)))


def refusal(call: Callable[[], object]) -> str:
    """What a call says that must be refused.

    Raises:
        RuntimeError: it is accepted.
    """
    try:
        call()
    except ValueError as error:
        return str(error)
    raise RuntimeError("a wrong setting was accepted")


def another_config(golden: Recorder, config: DictConfig) -> None:
    """A config that differs where the package lets it: a larger vocabulary, a reference, a rate as text, the usual betas."""
    from champion.model.trainer import TransformerTrainer

    own = config.copy()
    own.model.vocab_size = BASE_VOCAB + 1
    own.regulariser_hypergrad.init.cebr_beta = "${regulariser_hypergrad.init.cebr_alpha}"
    own.optimizer.lr = str(config.optimizer.lr)
    del own.optimizer.betas
    model = TransformerTrainer(own)
    golden.record("another_config.vocabulary", model.vocab_size)
    golden.record("another_config.scalars", [model.cebr_alpha.detach(), model.cebr_beta.detach()])
    optimizer = model.configure_optimizers()["optimizer"]
    golden.record("another_config.optimizer", [type(optimizer).__name__, optimizer.defaults])


def contexts(golden: Recorder, model: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> None:
    """What the context encoder leaves behind, of whole grids and of grids of a single cell."""
    source, target, *grids = inputs
    for name, context in (("whole", grids), ("one_cell", [grid[..., :1, :1] for grid in grids])):
        with torch.no_grad():
            golden.record(f"contexts.{name}.logits", model(source, target, *context))
        golden.record(f"contexts.{name}", model.last_extra)


def adaptation(golden: Recorder, config: DictConfig) -> None:
    """Test-time adaptation of a layer with two classes: with weight decay, and with a running mean just too high for a reset.

    Two classes, since their logarithm is less than one: a threshold that is divided by it is no longer below the mean.
    """
    from champion.tta.adapter import SARAdapter

    model = torch.nn.LayerNorm(2)
    torch.nn.init.constant_(model.weight, 2.0)
    inputs = torch.tensor([[[0.0, 1.0], [2.0, 1.0], [0.5, 0.0]]])
    settings = config.model.sar.copy()
    settings.optimizer.weight_decay = DECAY
    settings.recovery_threshold_factor = 0.0
    adapter = SARAdapter(model, settings)
    golden.record("adaptation.before", adapter.last_metrics)
    golden.record("adaptation.logits", adapter(inputs))
    golden.record("adaptation.parameters", parameters(model))
    mean = adapter.ema
    golden.record("adaptation.mean", mean)
    adapter.reset()
    settings.recovery_threshold_factor = mean / math.log(2.1)
    adapter = SARAdapter(model, settings)
    golden.record("adaptation.kept.logits", adapter(inputs))
    golden.record("adaptation.kept", adapter.last_metrics)
