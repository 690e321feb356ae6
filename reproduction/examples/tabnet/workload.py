"""A TabNet classifier, fitted and asked in the manner of scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np


def data() -> tuple[Any, Any]:
    random = np.random.default_rng(3)
    features = random.standard_normal((64, 6)).astype(np.float32)
    return features, (features[:, 0] + features[:, 1] > 0).astype(np.int64)


def fit(golden: Any) -> None:
    """Two epochs with a validation set, then answers, importances and a saved model."""
    from pytorch_tabnet.tab_model import TabNetClassifier

    warnings.simplefilter("ignore")
    features, labels = data()
    model = TabNetClassifier(n_d=4, n_a=4, n_steps=2, seed=3, verbose=0, device_name="cpu")
    model.fit(
        features[:48],
        labels[:48],
        eval_set=[(features[48:], labels[48:])],
        eval_metric=["accuracy"],
        max_epochs=2,
        patience=2,
        batch_size=16,
        virtual_batch_size=8,
    )
    golden.model("network", model.network)
    golden.record("history", {key: list(model.history[key]) for key in ("loss", "lr", "val_0_accuracy")})
    golden.record("importances", model.feature_importances_)
    golden.record("probabilities", model.predict_proba(features[48:]))
    golden.record("labels", model.predict(features[48:]))
    masks = model.explain(features[48:])
    golden.record("explained", masks[0])
    golden.rng("rng")
