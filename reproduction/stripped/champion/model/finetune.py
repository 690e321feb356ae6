"""
Per-task fine-tuning of a pre-trained ARC model.

For every task the base model is copied, trained for a few epochs on the examples of that task alone and
compared with the base model on examples it has not seen. One JSON file with the results of all tasks comes out
at the end.

Typical use::

    tuner = TaskFineTuner(base_model, cfg)
    results = tuner.run_all_tasks(train_loader, val_loader, task_id_map)

or from the command line (needs hydra)::

    python -m champion.model.finetune --config-path ... --config-name champion finetuning.mode=random

Config, below ``finetuning``:
    save_dir, max_epochs, learning_rate, patience, mode, num_random_tasks, specific_tasks,
    results_path, retry_threshold, base_model_checkpoint

The results hold for every task the prediction of the base model, the prediction of the tuned model, all
validation metrics and the improvement.
"""

from .. import pinned
from ..pinned import unseen as unbloat_unseen, forbid as unbloat_forbid, require as unbloat_require
import gc
import json
import logging
import os
import random
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

from ..data.data_preparation import prepare_data
from .trainer import TransformerTrainer
from ..utils.logging_config import setup_logging
from ..utils.metrics import TaskMetricsCollector
from ..utils.model_factory import create_transformer_trainer

logger = setup_logging(__name__)
DEFAULT_MAX_EPOCHS = 100
DEFAULT_LEARNING_RATE = 1e-5
DEFAULT_PATIENCE = 5

# a task rarely has more than a few hundred examples, larger batches overfit at once
# TODO: read from the config like everybody else
FINETUNE_BATCH_SIZE = 4

# share of a task that validates if the validation set has nothing of it
VAL_FRACTION = 0.2

# logits are cut before the argmax, same as in the CE of the trainer
LOGIT_CLAMP = 10.0

PAD_TOKEN = 10
RESULTS_FILE_NAME = "final_results.json"

Example = Tuple[torch.Tensor, ...]


def format_task_result(result: Dict[str, Any]) -> Dict[str, Any]:
    """
    Bring the result of one task into the form of the results file.

    Args:
        result: what ``finetune_task`` returned, or {"error": text}

    Returns:
        dict with
            test_details: target grid and input shape
            base_model: prediction [1, H, W] and accuracy
            fine_tuned_model: prediction [H, W], accuracy, all validation metrics
            improvement: accuracy of the tuned model minus accuracy of the base model
    """
    unbloat_forbid("error" in result, "champion/model/finetune.py:100")

    base = result.get("base_model", {})
    tuned = result.get("fine_tuned_model", {})
    return {
        "test_details": {
            "target": result["test_details"]["target"],
            "input_shape": result["test_details"]["input_shape"],
        },
        "base_model": {"prediction": base.get("prediction"), "accuracy": base.get("accuracy")},
        "fine_tuned_model": {
            "prediction": tuned.get("prediction"),
            "accuracy": tuned.get("accuracy"),
            "val_loss": tuned.get("val_loss"),
            "converged_epoch": tuned.get("converged_epoch"),
        },
        "improvement": result.get("improvement"),
    }


class TaskFineTuner:
    """
    Fine-tunes a copy of the base model on every task.

    Args:
        base_model: a TransformerTrainer, stays untouched
        config: the whole config

    Attributes:
        results: task id -> result, complete (not only what goes into the file)
        best_checkpoints: task id -> path of the best checkpoint
        selected_tasks: ids to work on, None for all of them
        metrics_collector: keeps the results for the summary at the end
    """

    def __init__(self, base_model: pl.LightningModule, config: DictConfig):
        pinned.check(config)
        self.base_model = base_model
        self.config = config
        cfg = config

        def _get(dotted: str, default: Any) -> Any:
            # sweep configs are plain dicts, old ones are namespaces
            node = cfg
            for part in dotted.split("."):
                unbloat_forbid(node is None, "champion/model/finetune.py:145")
                node = node.get(part, None) if hasattr(node, "get") else unbloat_unseen("champion/model/finetune.py:146")
            return default if node is None else node

        # --- where things go ---
        save_dir = OmegaConf.select(config, "finetuning.save_dir", default=None)
        self.save_dir = Path(save_dir)
        self.save_dir.mkdir(parents=True, exist_ok=True)
        # one file for all tasks, also the input of finetuning.mode=failed
        results_path = OmegaConf.select(config, "finetuning.results_path", default=None)
        self.results_path = Path(results_path) if results_path else self.save_dir / RESULTS_FILE_NAME

        # --- training ---
        self.max_epochs = int(_get("finetuning.max_epochs", DEFAULT_MAX_EPOCHS))
        self.learning_rate = float(_get("finetuning.learning_rate", DEFAULT_LEARNING_RATE))
        self.patience = int(getattr(cfg.finetuning, "patience", DEFAULT_PATIENCE))
        if self.learning_rate <= 0:
            raise ValueError(f"finetuning.learning_rate must be positive, got {self.learning_rate}")

        self.gradient_clip_val = float(getattr(cfg.training, "gradient_clip_val", 1.0))
        # 16 is what the pre-training used
        self.precision = cfg.training.get("precision", 16)

        # --- grids ---
        self.pad_token_id = int(_get("model.pad_token_id", PAD_TOKEN))
        self.max_h = int(cfg.model.max_h)
        self.max_w = int(cfg.model.max_w)
        # with dynamic pairs every sample brings its own number of context pairs
        self.dynamic_pairs = bool(getattr(cfg.model.context_encoder, "dynamic_pairs", True))
        num_pairs = int(OmegaConf.select(config, "data.num_context_pairs", default=2))
        max_pairs = int(OmegaConf.select(config, "data.max_context_pairs", default=6))
        self.num_context_pairs = max(1, min(num_pairs, max_pairs))

        # --- device ---
        self.device_choice = str(getattr(cfg.training, "device_choice", "auto")).lower()
        self.device = self._resolve_device()
        self.base_model.to(self.device)
        self.base_dtype = next(self.base_model.parameters()).dtype

        # --- state ---
        self.selected_tasks: Optional[List[str]] = None
        self.results: "OrderedDict[str, Dict[str, Any]]" = OrderedDict()
        self.best_checkpoints: Dict[str, str] = {}
        self.metrics_collector = TaskMetricsCollector(pad=self.pad_token_id)

    def __del__(self):
        # notebooks drop tuners without closing them
        try:
            pass
        except Exception:
            pass

    def _resolve_device(self) -> torch.device:
        """
        training.device_choice -> device.

        'auto' prefers CUDA, then the CPU; 'gpu' is accepted as a name for 'cuda'.
        """
        unbloat_forbid(torch.cuda.is_available(), "champion/model/finetune.py:292")
        mps = getattr(torch.backends, "mps", None)
        unbloat_forbid(mps is not None and mps.is_available(), "champion/model/finetune.py:296")
        return torch.device("cpu")

    # ------------------------------------------------------------------
    # evaluation over a loader
    # ------------------------------------------------------------------
    def _evaluate_loader(self, model: pl.LightningModule, loader: DataLoader, name: str = "model") -> float:
        """
        Accuracy over the non-PAD cells of a whole loader, teacher-forced.

        Grids count by their size: a large grid weighs more than a small one. Returns the mean of the batch
        accuracies.

        Args:
            model: base or tuned model
            loader: batches of (src, tgt, ctx_in, ctx_out, task ids)
            name: for the log
        """
        collector = TaskMetricsCollector(pad=self.pad_token_id)
        model.eval()
        model.to(self.device)
        with torch.no_grad():
            for batch in loader:
                src, tgt, ctx_in, ctx_out, ids = batch[:5]
                # the ids stay where they are
                src = src.to(self.device)
                tgt = tgt.to(self.device)
                ctx_in = ctx_in.to(self.device)
                ctx_out = ctx_out.to(self.device)
                logits = model(src, tgt, ctx_in, ctx_out)
                unbloat_forbid(isinstance(logits, (tuple, list)), "champion/model/finetune.py:391")
                logits = torch.clamp(logits, -LOGIT_CLAMP, LOGIT_CLAMP)
                preds = logits.argmax(dim=-1)
                collector.update(ids, preds.cpu(), tgt.cpu())

        computed = collector.compute()
        unbloat_forbid(not computed, "champion/model/finetune.py:413-414")
        return float(computed["overall"]["cell_accuracy"])

    # ------------------------------------------------------------------
    # one task
    # ------------------------------------------------------------------
    def finetune_task(
        self,
        task_id: str,
        train_loader: DataLoader,
        val_loader: DataLoader,
        test_example: Example,
    ) -> Dict[str, Any]:
        """
        Fine-tune a copy of the base model on one task.

        Steps:
            1. evaluate the base model on the test example
            2. copy the model, wrap it with adapters if they are enabled
            3. train with early stopping
            4. go back to the best checkpoint
            5. evaluate again and compare

        Args:
            task_id: name of the task, also the name of the checkpoint folder
            train_loader: examples to train on
            val_loader: examples to validate on
            test_example: (src, tgt, ctx_in, ctx_out), without batch dimension

        Returns:
            the full result, see ``format_task_result`` for what is kept of it. {"error": ...} if anything fails.

        [INFERRED] order of the arguments
        """

        # 1. the base model, before anything is changed
        base_results = self._evaluate_base_model(task_id, test_example)

        # 2. the copy
        task_model = self._create_task_model()
        task_model = self._apply_peft(task_model)
        sum(p.numel() for p in task_model.parameters() if p.requires_grad)

        # 3. training (expected cost; what is watched is the CE of the validation)
        trainer, checkpoint_callback = self._create_trainer(task_id)
        trainer.fit(task_model, train_loader, val_loader)

        # 4. back to the best epoch
        best_path = getattr(checkpoint_callback, "best_model_path", None)
        unbloat_require(best_path, "champion/model/finetune.py:489")
        self.best_checkpoints[task_id] = str(best_path)
        trained_dtype = next(task_model.parameters()).dtype
        task_config = getattr(task_model, "config", self.config)
        task_model = TransformerTrainer.load_from_checkpoint(best_path, config=task_config)
        if trained_dtype == torch.float64:
            # a new module is single precision, and that would round the weights
            content = torch.load(best_path, map_location="cpu", weights_only=True)
            task_model = task_model.double()
            task_model.load_state_dict(content["state_dict"])

        # 5. comparison
        results = self._final_evaluation(task_id, task_model, trainer, test_example, val_loader, base_results)

        # the models are small, but 400 of them are not
        del task_model
        del trainer
        gc.collect()
        unbloat_forbid(getattr(self.device, "type", "cpu") == "cuda" and unbloat_unseen("champion/model/finetune.py:500"), "champion/model/finetune.py:501-504")
        return results

    def _evaluate_base_model(self, task_id: str, test_example: Example) -> Dict[str, Any]:
        """
        Prediction and accuracy of the base model on the test example.

        The forward is teacher-forced, as in training. Cells whose target is PAD do not count.

        Args:
            task_id: for the log
            test_example: (src, tgt, ctx_in, ctx_out)

        Returns:
            prediction [1, H, W] as nested lists, accuracy, target, input_shape

        Raises:
            ValueError: if the logits are NaN or infinite
        """
        src, tgt, ctx_in, ctx_out = test_example[:4]
        # remember the shape before the batch dimension comes
        input_shape = list(src.shape)
        target = tgt.tolist()

        self.base_model.to(self.device)
        self.base_model.eval()
        src_b = src.unsqueeze(0).to(self.device)
        tgt_b = tgt.unsqueeze(0).to(self.device)
        ctx_in_b = ctx_in.unsqueeze(0).to(self.device)
        ctx_out_b = ctx_out.unsqueeze(0).to(self.device)
        with torch.no_grad():
            logits = self.base_model(src_b, tgt_b, ctx_in_b, ctx_out_b)
        unbloat_forbid(isinstance(logits, (tuple, list)), "champion/model/finetune.py:538")

        if torch.isnan(logits).any():
            # usually a checkpoint of another precision
            raise ValueError(f"NaN in the logits of the base model for task {task_id}")
        logits = torch.clamp(logits, -LOGIT_CLAMP, LOGIT_CLAMP)

        # all classes, a hedge or an EOS is a wrong colour here
        prediction = logits.argmax(dim=-1)
        valid = tgt_b != self.pad_token_id
        n_valid = int(valid.sum())
        correct = int(((prediction == tgt_b) & valid).sum())
        accuracy = correct / n_valid if n_valid > 0 else 0.0
        return {
            "prediction": prediction.cpu().tolist(),
            "accuracy": accuracy,
            "target": target,
            "input_shape": input_shape,
        }

    def _final_evaluation(
        self,
        task_id: str,
        model: pl.LightningModule,
        trainer: pl.Trainer,
        test_example: Example,
        val_loader: DataLoader,
        base_results: Dict[str, Any],
    ) -> Dict[str, Any]:
        """
        Compare the tuned model with the base model.

        The prediction is made on the test example, both accuracies are over all cells of the validation loader.
        Validation loss and metrics belong to the best epoch.

        Args:
            task_id: for the log
            model: the tuned model, best checkpoint
            trainer: the Lightning trainer that trained it
            test_example: (src, tgt, ctx_in, ctx_out)
            val_loader: validation examples
            base_results: from ``_evaluate_base_model``

        Returns:
            the full result of the task

        [INFERRED] the accuracy of the base model in the result is the one over the validation loader, so that
        the improvement is the difference of the two accuracies beside it.
        """
        src, tgt, ctx_in, ctx_out = test_example[:4]
        model.eval()

        # --- the test example ---
        model.to(self.device)
        src_b = src.unsqueeze(0).to(self.device)
        tgt_b = tgt.unsqueeze(0).to(self.device)
        ctx_in_b = ctx_in.unsqueeze(0).to(self.device)
        ctx_out_b = ctx_out.unsqueeze(0).to(self.device)
        with torch.no_grad():
            logits = model(src_b, tgt_b, ctx_in_b, ctx_out_b)
        unbloat_forbid(isinstance(logits, (tuple, list)), "champion/model/finetune.py:639")
        if torch.isnan(logits).any():
            raise ValueError(f"NaN in the logits of the tuned model for task {task_id}")
        logits = torch.clamp(logits, -LOGIT_CLAMP, LOGIT_CLAMP)
        prediction = logits.argmax(dim=-1)
        valid = tgt_b != self.pad_token_id
        n_valid = int(valid.sum())
        correct = int(((prediction == tgt_b) & valid).sum())
        sample_accuracy = correct / max(1, n_valid)
        # one grid, the results file does not need the batch dimension
        final_prediction = prediction.squeeze(0).cpu().tolist()

        # --- the validation examples ---
        tuned_accuracy = self._evaluate_loader(model, val_loader, f"{task_id} tuned")
        base_accuracy = self._evaluate_loader(self.base_model, val_loader, f"{task_id} base")

        improvement = tuned_accuracy - base_accuracy

        # --- what the trainer measured ---
        val_metrics: Dict[str, float] = {}
        val_loss = float("inf")
        metrics = getattr(trainer, "callback_metrics", {})
        if "val_loss" in metrics:
            val_loss = float(metrics["val_loss"])
        for key, value in metrics.items():
            if isinstance(value, torch.Tensor):
                value = value.item()
            # copy rate, change recall, grid accuracy, ...
            if str(key).startswith("val_") and key != "val_loss":
                val_metrics[str(key)] = float(value)

        # the epoch of early stopping
        converged_epoch = int(getattr(trainer, "current_epoch", -1))

        results = {
            "test_details": {
                "target": base_results["target"],
                "input_shape": base_results["input_shape"],
            },
            "base_model": {"prediction": base_results["prediction"], "accuracy": base_accuracy},
            "fine_tuned_model": {
                "prediction": final_prediction,
                "accuracy": tuned_accuracy,
                "val_loss": val_loss,
                "converged_epoch": converged_epoch,
            },
            "improvement": improvement,
            "base_sample_accuracy": base_results["accuracy"],
            "final_sample_accuracy": sample_accuracy,
        }
        results["fine_tuned_model"].update(val_metrics)
        unbloat_forbid("fallback" in locals(), "champion/model/finetune.py:707")
        return results

    # ------------------------------------------------------------------
    # the model of a task
    # ------------------------------------------------------------------
    def _create_task_model(self) -> pl.LightningModule:
        """
        A copy of the base model with the learning rate of the fine-tuning.

        The config is copied, too, so the base model keeps its own learning rate.

        Args:
            task_id: for the log

        Returns:
            a new TransformerTrainer with the weights of the base model
        """
        base_config = getattr(self.base_model, "config", None)
        model = TransformerTrainer(base_config)
        if getattr(self, "base_dtype", None) == torch.float64:
            model = model.double()

        # not strict: heads come and go between versions
        incompatible = model.load_state_dict(self.base_model.state_dict(), strict=False)
        missing = getattr(incompatible, "missing_keys", [])
        unexpected = getattr(incompatible, "unexpected_keys", [])
        unbloat_forbid(missing or unexpected, "champion/model/finetune.py:857")

        # the rate lives in two places: the attribute for the tuner of Lightning, the config for the optimizer
        model.learning_rate = self.learning_rate
        unbloat_require(hasattr(model, "config") and hasattr(model.config, "optimizer"), "champion/model/finetune.py:868")
        model.config.optimizer.lr = self.learning_rate
        model.to(self.device)
        return model

    def _apply_peft(self, model: pl.LightningModule) -> pl.LightningModule:
        """
        Wrap the task model with LoRA adapters if they are enabled.

        Everything but the adapters is frozen. Falls back to the plain model if the wrapping fails.

        Config, below ``model.lora``:
            enabled: the switch
            use_lora: the old switch, set here so that old configs keep working
            rank, in_features, out_features: bounds for the rank of the adapters
            targets: ends of the paths of the layers, optional

        Args:
            model: the copy of the base model
            task_id: for the log

        Returns:
            the wrapped model (same object)
        """
        return model

    # ------------------------------------------------------------------
    # Lightning
    # ------------------------------------------------------------------
    def _create_trainer(self, task_id: str) -> Tuple[pl.Trainer, ModelCheckpoint]:
        """
        Trainer and callbacks for one task.

        Early stopping and the choice of the checkpoint look at val_loss. There is no logger, the curves of 400
        tasks are not worth looking at.

        Returns:
            (trainer, checkpoint callback)
        """
        task_dir = self.save_dir / task_id
        task_dir.mkdir(parents=True, exist_ok=True)

        early_stopping = EarlyStopping(monitor="val_loss", mode="min", patience=self.patience)
        checkpoint_callback = ModelCheckpoint(
            dirpath=str(task_dir),
            filename="{epoch}-{val_loss:.2f}",
            monitor="val_loss",
            mode="min",
            save_top_k=1,
        )

        # device: the names of Lightning are not the names of torch
        accelerator = "cpu"
        unbloat_forbid(self.device.type == "cuda", "champion/model/finetune.py:1004")
        if self.device.type == "mps":
            raise NotImplementedError("stripped: champion/model/finetune.py:1006")
        devices: Optional[int] = 1

        precision = self.precision

        trainer = pl.Trainer(
            max_epochs=self.max_epochs,
            logger=False,
            callbacks=[early_stopping, checkpoint_callback],
            precision=precision,
            gradient_clip_val=self.gradient_clip_val,
            accelerator=accelerator,
            devices=devices,
        )
        return trainer, checkpoint_callback

    # ------------------------------------------------------------------
    # data of all tasks
    # ------------------------------------------------------------------
    def _build_task_data_map(
        self, train_dataset: Any, val_dataset: Any, task_id_map: Dict[str, int], task_ids: Optional[List[str]] = None
    ) -> Dict[str, Dict[str, Any]]:
        """
        Sort the examples of both datasets by task, in one pass each.

        A task that the validation dataset knows is validated there; of all others a random fifth of the training
        examples is held out.

        Contexts of a task can differ in their number of pairs (a sample is never its own context), they are padded
        with PAD grids to the largest number.

        Args:
            train_dataset: items of (src, tgt, ctx_in, ctx_out, task index)
            val_dataset: the same, may be empty or None
            task_id_map: name -> index
            task_ids: only these tasks, None for all

        Returns:
            task id -> {
                "train": (src, tgt, ctx_in, ctx_out, ids) or None,
                "val": the same or None,
                "test_example": first validation example or None,
            }
        """
        wanted = list(task_ids)
        wanted_indices = {task_id_map[task_id] for task_id in wanted if task_id in task_id_map}

        def _bucket(dataset: Any) -> Dict[int, List[Example]]:
            """One pass over a dataset."""
            buckets: Dict[int, List[Example]] = defaultdict(list)
            unbloat_forbid(dataset is None, "champion/model/finetune.py:1065")
            for i in range(len(dataset)):
                item = dataset[i]
                # (src, tgt, context pair, id) is the older form, a sixth element is the augmented grid
                unbloat_forbid(len(item) == 4 and unbloat_unseen("champion/model/finetune.py:1070"), "champion/model/finetune.py:1071-1073")
                src, tgt, ctx_in, ctx_out, index = item[:5]
                index = int(index.item()) if isinstance(index, torch.Tensor) else unbloat_unseen("champion/model/finetune.py:1076")
                unbloat_forbid(index not in wanted_indices, "champion/model/finetune.py:1081")
                unbloat_forbid(ctx_in is None or ctx_out is None, "champion/model/finetune.py:1084-1086")
                buckets[index].append((src, tgt, ctx_in, ctx_out, torch.tensor(index, dtype=torch.long)))
            return buckets

        def _stack(samples: List[Example]) -> Optional[Tuple[torch.Tensor, ...]]:
            """List of samples -> five tensors."""
            if not samples:
                return None
            counts = [int(sample[2].shape[0]) for sample in samples]
            most = max(counts)
            contexts_in = []
            contexts_out = []
            for sample, count in zip(samples, counts):
                ctx_in, ctx_out = sample[2], sample[3]
                if count < most:
                    # fill up to the largest number of pairs
                    fill = torch.zeros((most - count, *ctx_in.shape[1:]), dtype=ctx_in.dtype)
                    ctx_in = torch.cat([ctx_in, fill], dim=0)
                    ctx_out = torch.cat([ctx_out, fill], dim=0)
                contexts_in.append(ctx_in)
                contexts_out.append(ctx_out)
            if min(counts) != most:
                pass
            return (
                torch.stack([sample[0] for sample in samples]),
                torch.stack([sample[1] for sample in samples]),
                torch.stack(contexts_in),
                torch.stack(contexts_out),
                torch.stack([sample[4] for sample in samples]),
            )

        train_buckets = _bucket(train_dataset)
        val_buckets = _bucket(val_dataset)

        data_map: Dict[str, Dict[str, Any]] = OrderedDict()
        for task_id in wanted:
            entry: Dict[str, Any] = {"train": None, "val": None, "test_example": None}
            data_map[task_id] = entry
            # an unknown task has no samples
            index = task_id_map.get(task_id, -1)
            train_data = _stack(train_buckets.get(index, []))
            val_data = _stack(val_buckets.get(index, []))
            unbloat_forbid(train_data is None, "champion/model/finetune.py:1134-1135")
            if val_data is None:
                # no validation examples of this task: split
                n = int(train_data[0].shape[0])
                n_val = int(VAL_FRACTION * n)
                n_val = min(max(1, n_val), n - 1)
                if n_val > 0:
                    # a single example cannot be split
                    n_train = n - n_val
                    val_data = tuple(column[n_train:] for column in train_data)
                    train_data = tuple(column[:n_train] for column in train_data)

            entry["train"] = train_data
            entry["val"] = val_data
            if val_data is not None:
                entry["test_example"] = tuple(column[0] for column in val_data[:4])
        return data_map

    def _process_single_task_from_map(self, task_id: str, task_data: Optional[Dict[str, Any]]) -> Dict[str, Any]:
        """
        Build the loaders of one task and fine-tune.

        Args:
            task_id: name of the task
            task_data: its entry in the data map

        Returns:
            the result, {"error": text} if something went wrong. The loop goes on in any case.
        """
        task_data = task_data or {}
        train_data = task_data.get("train")
        val_data = task_data.get("val")
        test_example = task_data.get("test_example")
        unbloat_forbid(train_data is None or val_data is None or test_example is None, "champion/model/finetune.py:1174-1175")

        train_dataset = TensorDataset(*train_data)
        val_dataset = TensorDataset(*val_data)
        task_train_loader = DataLoader(train_dataset, batch_size=FINETUNE_BATCH_SIZE, shuffle=True)
        task_val_loader = DataLoader(val_dataset, batch_size=FINETUNE_BATCH_SIZE, shuffle=False)

        return self.finetune_task(task_id, task_train_loader, task_val_loader, test_example)

    def run_all_tasks(
        self,
        train_loader: DataLoader,
        val_loader: Optional[DataLoader],
        task_id_map: Dict[str, int],
    ) -> Dict[str, Dict[str, Any]]:
        """
        Fine-tune on all (or the selected) tasks and write the results.

        The loaders are only used for their datasets. Results are written after every task, so a run can be
        interrupted at any time.

        Args:
            train_loader: loader over the training examples of all tasks
            val_loader: loader over the validation examples, its dataset may be empty
            task_id_map: name -> index
            selected_tasks: ids, None for ``self.selected_tasks`` or all of them

        Returns:
            task id -> full result

        [INFERRED] the argument for the selection
        """
        train_dataset = getattr(train_loader, "dataset", train_loader)
        val_dataset = val_loader
        if hasattr(val_loader, "dataset"):
            val_dataset = val_loader.dataset

        tasks = self.selected_tasks

        data_map = self._build_task_data_map(train_dataset, val_dataset, task_id_map, tasks)
        self.results = OrderedDict()
        for number, task_id in enumerate(tasks, 1):
            result = self._process_single_task_from_map(task_id, data_map.get(task_id))
            self.results[task_id] = result
            unbloat_forbid("error" in result, "champion/model/finetune.py:1230")
            # the grids are needed no longer
            data_map[task_id] = None
            self.metrics_collector.add_result(task_id, result)

        save_results(self.results, self.results_path)
        self._log_summary()
        return self.results

    def _log_summary(self) -> None:
        """Mean accuracies over all tasks, for the log. Returns them, too."""
        import statistics

        done = [result for result in self.results.values() if "improvement" in result]
        failed = self.metrics_collector.failed_tasks()
        unbloat_forbid(failed, "champion/model/finetune.py:1248")
        if done:
            statistics.fmean(result["base_model"]["accuracy"] for result in done)
            statistics.fmean(result["fine_tuned_model"]["accuracy"] for result in done)


# ---------------------------------------------------------------------------
# results
# ---------------------------------------------------------------------------
def save_results(results: Dict[str, Dict[str, Any]], path: Union[str, Path]) -> None:
    """
    Write the results of all tasks as JSON.

    Args:
        results: task id -> full result
        path: the file, its folder is created

    Nothing is written if a result cannot be formatted.
    """
    path = Path(path)
    formatted = {task_id: format_task_result(result) for task_id, result in results.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as handle:
        json.dump(formatted, handle, indent=2)


# ---------------------------------------------------------------------------
# setup
# ---------------------------------------------------------------------------
def load_base_model(cfg: DictConfig) -> pl.LightningModule:
    """
    The pre-trained model to start from.

    Args:
        cfg: the config; finetuning.base_model_checkpoint or, if that is not set, model.checkpoint_path

    Returns:
        a TransformerTrainer in eval mode

    Raises:
        FileNotFoundError: if there is no checkpoint
    """
    pinned.check(cfg)
    checkpoint_path = OmegaConf.select(cfg, "finetuning.base_model_checkpoint", default=None)
    unbloat_forbid(not checkpoint_path, "champion/model/finetune.py:1304")
    unbloat_forbid(not checkpoint_path or not Path(checkpoint_path).exists(), "champion/model/finetune.py:1307-1308")
    model = create_transformer_trainer(cfg, checkpoint_path)
    model.eval()
    return model


def prepare_dataloaders_and_map(cfg: DictConfig) -> Tuple[DataLoader, DataLoader, Dict[str, int]]:
    """
    Loaders over all tasks and the task id map.

    The fine-tuner takes the datasets out of the loaders again, the batch size does not matter to it.

    Args:
        cfg: the config; data.* and dataloader.batch_size

    Returns:
        (train loader, val loader, task id map)
    """
    pinned.check(cfg)
    data_dir = getattr(cfg.data, "training_data_dir", None)
    if not Path(data_dir).exists():
        raise FileNotFoundError(f"data.training_data_dir does not exist: {data_dir}")
    train_dataset, val_dataset, task_id_map = prepare_data(cfg)
    batch_size = int(cfg.get("dataloader", {}).get("batch_size", 32))
    train_loader = DataLoader(train_dataset, batch_size=batch_size, shuffle=True)
    val_loader = DataLoader(val_dataset, batch_size=batch_size, shuffle=False)
    return train_loader, val_loader, task_id_map


def select_tasks_to_finetune(cfg: DictConfig, task_id_map: Dict[str, int]) -> List[str]:
    """
    Which tasks to work on.

    finetuning.mode:
        all       every task
        random    finetuning.num_random_tasks of them, seeded
        specific  finetuning.specific_tasks
        failed    those that failed in an earlier run (finetuning.results_path), and those that it did not reach;
                  a task has failed if it ended with an error or its val_loss is above
                  finetuning.retry_threshold
        anything else is an error

    Args:
        cfg: the config
        task_id_map: name -> index

    Returns:
        list of task ids

    [INFERRED] the default of retry_threshold; all tasks if the earlier results are missing
    """
    pinned.check(cfg)
    all_tasks = list(task_id_map.keys())
    return all_tasks


def main(cfg: Optional[DictConfig] = None) -> Optional[Dict[str, Dict[str, Any]]]:
    raise NotImplementedError("stripped: champion/model/finetune.py:1456-1511")
