"""A small temporal fusion transformer of pytorch-forecasting, trained with Lightning on series made here, then asked.

The modules are imported from where they are defined, so that the other models of the package need not be loaded.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Callback, Trainer, seed_everything

SERIES = 3
LENGTH = 24
ENCODER, PREDICTION = 8, 4
BATCH = 4
STEPS = 3
SEED = 7


class Watch(Callback):
    """Loss and gradients of every step."""

    def __init__(self, golden: Any) -> None:
        self.golden = golden

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.golden.gradients(f"step{trainer.global_step}.gradients", pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.golden.record(f"step{batch_idx}.loss", outputs["loss"])
        self.golden.rng(f"step{batch_idx}.rng")


def train(golden: Any) -> None:
    """Three steps of training and one of validation, then quantiles for the end of each series."""
    quiet()
    seed_everything(SEED)
    training, validation = datasets()
    model = build(training)
    golden.model("built", model)
    trainer = Trainer(
        max_epochs=1,
        limit_train_batches=STEPS,
        accelerator="cpu",
        gradient_clip_val=0.1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[Watch(golden)],
    )
    trainer.fit(
        model,
        train_dataloaders=training.to_dataloader(train=True, batch_size=BATCH, num_workers=0),
        val_dataloaders=validation.to_dataloader(train=False, batch_size=BATCH, num_workers=0),
    )
    golden.record("metrics", dict(trainer.callback_metrics))
    golden.model("trained", model)
    golden.optimizer("optimizer", trainer.optimizers[0])
    golden.rng("trained.rng")
    record_predictions(golden, model, validation)


def predict(golden: Any) -> None:
    """The untrained model's answers, and what it attends to."""
    quiet()
    seed_everything(SEED)
    training, validation = datasets()
    model = build(training).eval()
    record_predictions(golden, model, validation)
    batch, _ = next(iter(validation.to_dataloader(train=False, batch_size=BATCH, num_workers=0)))
    golden.record("batch", {name: value for name, value in batch.items() if isinstance(value, torch.Tensor)})
    with torch.no_grad():
        output = model(batch)
    for name in ("prediction", "encoder_attention", "decoder_attention", "static_variables", "encoder_variables"):
        golden.record(f"output.{name}", output[name])
    golden.rng("rng")


def datasets() -> tuple[Any, Any]:
    """All but the last steps of every series, and those."""
    from pytorch_forecasting.data.encoders import GroupNormalizer
    from pytorch_forecasting.data.timeseries import TimeSeriesDataSet

    frame = series()
    training = TimeSeriesDataSet(
        frame[frame.time <= frame.time.max() - PREDICTION],
        time_idx="time",
        target="value",
        group_ids=["series"],
        max_encoder_length=ENCODER,
        max_prediction_length=PREDICTION,
        static_categoricals=["series"],
        time_varying_known_reals=["time", "phase"],
        time_varying_unknown_reals=["value"],
        target_normalizer=GroupNormalizer(groups=["series"]),
        add_relative_time_idx=True,
        add_target_scales=True,
    )
    return training, TimeSeriesDataSet.from_dataset(training, frame, predict=True, stop_randomization=True)


def series() -> pd.DataFrame:
    """Waves of different heights with some noise."""
    random = np.random.default_rng(SEED)
    time = np.arange(LENGTH)
    rows = [
        pd.DataFrame(
            {
                "series": f"s{number}",
                "time": time,
                "phase": np.sin(time / 3),
                "value": (number + 1) * np.sin(time / 3) + 0.1 * random.standard_normal(LENGTH) + 2,
            }
        )
        for number in range(SERIES)
    ]
    return pd.concat(rows, ignore_index=True)


def build(training: Any) -> Any:
    from pytorch_forecasting.metrics.quantile import QuantileLoss
    from pytorch_forecasting.models.temporal_fusion_transformer import TemporalFusionTransformer

    return TemporalFusionTransformer.from_dataset(
        training,
        learning_rate=0.03,
        hidden_size=8,
        attention_head_size=2,
        dropout=0.1,
        hidden_continuous_size=4,
        loss=QuantileLoss(),
        optimizer="adam",
        log_interval=0,
    )


def record_predictions(golden: Any, model: Any, validation: Any) -> None:
    loader = validation.to_dataloader(train=False, batch_size=BATCH, num_workers=0)
    for mode in ("prediction", "quantiles"):
        # A new one for each call, which adds to it.
        options = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        golden.record(f"predicted.{mode}", model.predict(loader, mode=mode, trainer_kwargs=options))


def quiet() -> None:
    """Advice on processors and workers is about the machine, not the model."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
