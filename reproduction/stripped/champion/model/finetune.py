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
import gc
import json
import logging
import os
import random
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

try:
    from champion.model.peft.peft_wrapper import adapter_state, save_adapters, wrap_with_lora

    PEFT_AVAILABLE = True
except Exception:
    # adapters are optional, the full model can be tuned without them
    adapter_state = None
    save_adapters = None
    wrap_with_lora = None
    PEFT_AVAILABLE = False

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

from champion.data.data_preparation import prepare_data
from champion.hydra_setup import setup_environment
from champion.model.trainer import TransformerTrainer
from champion.utils.logging_config import setup_logging
from champion.utils.metrics import TaskMetricsCollector
from champion.utils.model_factory import create_transformer_trainer

logger = setup_logging(__name__)

# defaults of the finetuning node, the sweep configs rely on them
DEFAULT_SAVE_DIR = "finetuning_results"
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
LOG_FILE_NAME = "finetuning.log"

# no time stamps, so that logs of two runs can be compared
LOG_FORMAT = "%(levelname)-8s | %(name)s | %(message)s"

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
    if "error" in result:
        return {"error": result["error"]}

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
        self.base_model = base_model
        self.config = config
        cfg = config

        def _get(dotted: str, default: Any) -> Any:
            # sweep configs are plain dicts, old ones are namespaces
            node = cfg
            for part in dotted.split("."):
                if node is None:
                    return default
                node = node.get(part, None) if hasattr(node, "get") else getattr(node, part, None)
            return default if node is None else node

        # --- where things go ---
        save_dir = OmegaConf.select(config, "finetuning.save_dir", default=None)
        if save_dir is None:
            logger.warning("finetuning.save_dir is not set, using %s", DEFAULT_SAVE_DIR)
            save_dir = DEFAULT_SAVE_DIR
        self.save_dir = Path(save_dir)
        self.save_dir.mkdir(parents=True, exist_ok=True)
        # one file for all tasks, also the input of finetuning.mode=failed
        results_path = OmegaConf.select(config, "finetuning.results_path", default=None)
        self.results_path = Path(results_path) if results_path else self.save_dir / RESULTS_FILE_NAME

        # --- log file ---
        self._file_handler: Optional[logging.Handler] = None
        self._level_before: Optional[int] = None
        self._setup_file_logging()

        # --- training ---
        self.max_epochs = int(_get("finetuning.max_epochs", DEFAULT_MAX_EPOCHS))
        self.learning_rate = float(_get("finetuning.learning_rate", DEFAULT_LEARNING_RATE))
        self.patience = int(getattr(cfg.finetuning, "patience", DEFAULT_PATIENCE))
        if self.learning_rate <= 0:
            raise ValueError(f"finetuning.learning_rate must be positive, got {self.learning_rate}")

        try:
            self.gradient_clip_val = float(getattr(cfg.training, "gradient_clip_val", 1.0))
        except Exception:
            # None in the ablation without clipping
            self.gradient_clip_val = None
        try:
            # 16 is what the pre-training used
            self.precision = cfg.training.get("precision", 16)
        except Exception:
            self.precision = 16

        # --- grids ---
        self.pad_token_id = int(_get("model.pad_token_id", PAD_TOKEN))
        try:
            self.max_h = int(cfg.model.max_h)
            self.max_w = int(cfg.model.max_w)
            # with dynamic pairs every sample brings its own number of context pairs
            self.dynamic_pairs = bool(getattr(cfg.model.context_encoder, "dynamic_pairs", True))
            num_pairs = int(OmegaConf.select(config, "data.num_context_pairs", default=2))
            max_pairs = int(OmegaConf.select(config, "data.max_context_pairs", default=6))
            self.num_context_pairs = max(1, min(num_pairs, max_pairs))
        except Exception as e:
            logger.warning("canvas or contexts missing in the config (%s), using two pairs of 30x30", e)
            self.max_h, self.max_w = 30, 30
            self.dynamic_pairs = True
            self.num_context_pairs = 2

        # --- device ---
        self.device_choice = str(getattr(cfg.training, "device_choice", "auto")).lower()
        self.device = self._resolve_device()
        logger.info("device: %s (asked for: %s)", self.device, self.device_choice)
        self.base_model.to(self.device)
        try:
            self.base_dtype = next(self.base_model.parameters()).dtype
        except Exception:
            # mocks have no parameters
            self.base_dtype = torch.float32

        # --- adapters ---
        try:
            self.lora_enabled = bool(getattr(getattr(getattr(cfg, "model", None), "lora", None), "enabled", False))
        except Exception:
            self.lora_enabled = False
        if self.lora_enabled and not PEFT_AVAILABLE:
            logger.error("model.lora.enabled is set, but the adapters could not be imported")
        self.wrapped_layers: List[str] = []

        # --- state ---
        self.selected_tasks: Optional[List[str]] = None
        self.results: "OrderedDict[str, Dict[str, Any]]" = OrderedDict()
        self.best_checkpoints: Dict[str, str] = {}
        self.metrics_collector = TaskMetricsCollector(pad=self.pad_token_id)

        logger.info(
            "fine-tuner: %d epochs, lr %g, patience %d, precision %s, clip %s, lora %s",
            self.max_epochs,
            self.learning_rate,
            self.patience,
            self.precision,
            self.gradient_clip_val,
            self.lora_enabled,
        )

    # ------------------------------------------------------------------
    # logging
    # ------------------------------------------------------------------
    def _setup_file_logging(self) -> None:
        """
        Attach a handler for log_dir/finetuning.log.

        Called from ``__init__`` and again by every run, it does nothing if the handler is there already. A
        directory that cannot be written to is not a reason to stop.
        """
        if getattr(self, "_file_handler", None) is not None:
            return
        try:
            log_dir = Path(OmegaConf.select(self.config, "logging.log_dir", default="logs"))
            log_dir.mkdir(parents=True, exist_ok=True)
            handler = logging.FileHandler(log_dir / LOG_FILE_NAME, mode="a", encoding="utf-8")
            handler.setLevel(logging.INFO)
            handler.setFormatter(logging.Formatter(LOG_FORMAT))
            logger.addHandler(handler)
            self._file_handler = handler
            # the module level is WARNING unless somebody asked for more
            self._level_before = logger.level
            if logger.level > logging.INFO:
                logger.setLevel(logging.INFO)
        except Exception as e:
            logger.warning("no log file for the fine-tuner: %s", e)

    def close_file_logging(self) -> None:
        """Flush and remove the handler, safe to call twice."""
        handler = getattr(self, "_file_handler", None)
        if handler is None:
            return
        self._file_handler = None
        logger.removeHandler(handler)
        try:
            handler.close()
        except Exception:
            pass
        if self._level_before is not None:
            logger.setLevel(self._level_before)

    def __del__(self):
        # notebooks drop tuners without closing them
        try:
            self.close_file_logging()
        except Exception:
            pass

    def _resolve_device(self) -> torch.device:
        """
        training.device_choice -> device.

        'auto' prefers CUDA, then the CPU; 'gpu' is accepted as a name for 'cuda'.
        """
        choice = self.device_choice
        if choice == "auto":
            if torch.cuda.is_available():
                return torch.device("cuda")
            mps = getattr(torch.backends, "mps", None)
            if mps is not None and mps.is_available():
                # see the fall-backs of the evaluations
                return torch.device("mps")
            return torch.device("cpu")
        if choice == "gpu":
            choice = "cuda"
        # a wrong name raises here, in torch's own words
        return torch.device(choice)

    # ------------------------------------------------------------------
    # data of one task, first version
    # ------------------------------------------------------------------
    def prepare_task_data(
        self, train_loader: DataLoader, val_loader: DataLoader, task_id: str, task_id_map: Dict[str, int]
    ) -> Tuple[Optional[DataLoader], Optional[DataLoader]]:
        """
        Filter both loaders down to one task.

        Goes through the whole data once per task, which took hours with 400 tasks. ``_build_task_data_map`` does
        it in one pass for all of them; this one is kept for the notebooks.

        Args:
            train_loader, val_loader: loaders over all tasks, the batches are collated already
            task_id: name of the task
            task_id_map: name -> index

        Returns:
            (train loader, val loader), None for a split without examples of the task
        """
        task_index = task_id_map[task_id]

        def _filter(loader: Optional[DataLoader], name: str) -> Optional[TensorDataset]:
            if loader is None:
                return None
            columns: List[List[torch.Tensor]] = [[], [], [], [], []]
            for batch in loader:
                try:
                    src, tgt, ctx_in, ctx_out, ids = batch[:5]
                except Exception as e:
                    logger.error("%s: a batch of %s cannot be unpacked: %s", task_id, name, e)
                    continue
                mask = ids == task_index
                if not bool(mask.any()):
                    continue
                for column, tensor in zip(columns, (src, tgt, ctx_in, ctx_out, ids)):
                    column.append(tensor[mask])
            if not columns[0]:
                logger.warning("%s: nothing in %s", task_id, name)
                return None
            return TensorDataset(*[torch.cat(column) for column in columns])

        train_dataset = _filter(train_loader, "train")
        val_dataset = _filter(val_loader, "val")
        # same sizes as in _process_single_task_from_map, keep them in line
        batch_size = FINETUNE_BATCH_SIZE
        filtered_train = None
        filtered_val = None
        if train_dataset is not None:
            filtered_train = DataLoader(train_dataset, batch_size=batch_size, shuffle=True)
        if val_dataset is not None:
            filtered_val = DataLoader(val_dataset, batch_size=batch_size, shuffle=False)
        elif filtered_train is not None:
            # better than no validation at all
            logger.warning("%s: validating on the training examples", task_id)
            filtered_val = DataLoader(train_dataset, batch_size=batch_size, shuffle=False)
        return filtered_train, filtered_val

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
        try:
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
                    if isinstance(logits, (tuple, list)):
                        # models with auxiliary outputs
                        logits = logits[0]
                    logits = torch.clamp(logits, -LOGIT_CLAMP, LOGIT_CLAMP)
                    preds = logits.argmax(dim=-1)
                    collector.update(ids, preds.cpu(), tgt.cpu())
        except RuntimeError as e:
            if "MPS" not in str(e):
                raise
            # some ops are missing on Apple hardware: the same again on the CPU
            logger.warning("%s: evaluation failed on MPS, repeating it on the CPU: %s", name, e)
            collector.reset()
            model.to("cpu")
            with torch.no_grad():
                for batch in loader:
                    src, tgt, ctx_in, ctx_out, ids = batch[:5]
                    logits = model(src.cpu(), tgt.cpu(), ctx_in.cpu(), ctx_out.cpu())
                    logits = torch.clamp(logits, -LOGIT_CLAMP, LOGIT_CLAMP)
                    preds = logits.argmax(dim=-1)
                    collector.update(ids.cpu(), preds, tgt.cpu())
            model.to(self.device)

        computed = collector.compute()
        if not computed:
            logger.warning("%s: the loader is empty, accuracy 0", name)
            return 0.0
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
        logger.info("=" * 60)
        logger.info("task %s: %d training batches, %d validation batches", task_id, len(train_loader), len(val_loader))

        # 1. the base model, before anything is changed
        base_results = self._evaluate_base_model(task_id, test_example)
        logger.info("task %s: base model, accuracy on the test example %.4f", task_id, base_results["accuracy"])

        # 2. the copy
        task_model = self._create_task_model(task_id)
        task_model = self._apply_peft(task_model, task_id)
        n_trainable = sum(p.numel() for p in task_model.parameters() if p.requires_grad)
        logger.info("task %s: %d trainable parameters", task_id, n_trainable)

        # 3. training (expected cost; what is watched is the CE of the validation)
        trainer, checkpoint_callback = self._create_trainer(task_id)
        try:
            trainer.fit(task_model, train_loader, val_loader)
        except Exception as e:
            logger.error("task %s: training failed: %s", task_id, e)
            raise
        logger.info("task %s: stopped after epoch %d", task_id, trainer.current_epoch)

        # 4. back to the best epoch
        best_path = getattr(checkpoint_callback, "best_model_path", None)
        if best_path:
            logger.info("task %s: best checkpoint %s", task_id, Path(best_path).name)
            self.best_checkpoints[task_id] = str(best_path)
            trained_dtype = next(task_model.parameters()).dtype
            if self.lora_enabled and getattr(self, "wrapped_layers", None):
                # the keys carry the names of the adapters, the plain class cannot load them
                content = torch.load(best_path, map_location="cpu", weights_only=True)
                task_model.load_state_dict(content["state_dict"])
            else:
                task_config = getattr(task_model, "config", self.config)
                task_model = TransformerTrainer.load_from_checkpoint(best_path, config=task_config)
                if trained_dtype == torch.float64:
                    # a new module is single precision, and that would round the weights
                    content = torch.load(best_path, map_location="cpu", weights_only=True)
                    task_model = task_model.double()
                    task_model.load_state_dict(content["state_dict"])
        else:
            logger.warning("task %s: no checkpoint was written, going on with the last weights", task_id)

        # 5. comparison
        results = self._final_evaluation(task_id, task_model, trainer, test_example, val_loader, base_results)
        if self.lora_enabled:
            self._save_peft_adapters(task_model, task_id)

        # the models are small, but 400 of them are not
        del task_model
        del trainer
        gc.collect()
        if getattr(self.device, "type", "cpu") == "cuda" and hasattr(torch.cuda, "empty_cache"):
            try:
                torch.cuda.empty_cache()
            except Exception:
                pass
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

        try:
            self.base_model.to(self.device)
            self.base_model.eval()
            src_b = src.unsqueeze(0).to(self.device)
            tgt_b = tgt.unsqueeze(0).to(self.device)
            ctx_in_b = ctx_in.unsqueeze(0).to(self.device)
            ctx_out_b = ctx_out.unsqueeze(0).to(self.device)
            with torch.no_grad():
                logits = self.base_model(src_b, tgt_b, ctx_in_b, ctx_out_b)
            if isinstance(logits, (tuple, list)):
                logits = logits[0]

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
        except RuntimeError as e:
            if "MPS" not in str(e):
                logger.error("task %s: evaluation of the base model failed: %s", task_id, e)
                raise

            # same as above, on the CPU
            logger.warning("task %s: MPS failed for the base model, falling back to the CPU: %s", task_id, e)
            try:
                cpu_model = self.base_model.to("cpu")
                cpu_model.eval()
                src_b = src.unsqueeze(0).cpu()
                tgt_b = tgt.unsqueeze(0).cpu()
                ctx_in_b = ctx_in.unsqueeze(0).cpu()
                ctx_out_b = ctx_out.unsqueeze(0).cpu()
                with torch.no_grad():
                    logits = cpu_model(src_b, tgt_b, ctx_in_b, ctx_out_b)
                if torch.isnan(logits).any():
                    raise ValueError(f"NaN in the logits of the base model for task {task_id} (CPU)")
                logits = torch.clamp(logits, -LOGIT_CLAMP, LOGIT_CLAMP)
                prediction = logits.argmax(dim=-1)
                valid = tgt_b != self.pad_token_id
                n_valid = int(valid.sum())
                correct = int(((prediction == tgt_b) & valid).sum())
                accuracy = correct / max(1, n_valid)
                return {
                    "prediction": prediction.tolist(),
                    "accuracy": accuracy,
                    "target": target,
                    "input_shape": input_shape,
                }
            except Exception as cpu_error:
                logger.error("task %s: the CPU failed as well: %s", task_id, cpu_error)
                raise
            finally:
                try:
                    self.base_model.to(self.device)
                except Exception:
                    # stays on the CPU then
                    self.device = torch.device("cpu")

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
        try:
            model.to(self.device)
            src_b = src.unsqueeze(0).to(self.device)
            tgt_b = tgt.unsqueeze(0).to(self.device)
            ctx_in_b = ctx_in.unsqueeze(0).to(self.device)
            ctx_out_b = ctx_out.unsqueeze(0).to(self.device)
            with torch.no_grad():
                logits = model(src_b, tgt_b, ctx_in_b, ctx_out_b)
            if isinstance(logits, (tuple, list)):
                logits = logits[0]
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
        except RuntimeError as e:
            if "MPS" not in str(e) and "mps" not in str(e):
                logger.error("task %s: final evaluation failed: %s", task_id, e)
                raise
            logger.warning("task %s: MPS failed in the final evaluation: %s", task_id, e)
            fallback = self._final_evaluation_on_cpu(task_id, model, test_example, val_loader)
            final_prediction = fallback["prediction"]
            sample_accuracy = fallback["sample_accuracy"]
            tuned_accuracy = fallback["tuned_accuracy"]
            base_accuracy = fallback["base_accuracy"]

        improvement = tuned_accuracy - base_accuracy
        logger.info("task %s: sample accuracy %.4f -> %.4f", task_id, base_results["accuracy"], sample_accuracy)
        logger.info("task %s: cell accuracy %.4f -> %.4f (%+.4f)", task_id, base_accuracy, tuned_accuracy, improvement)

        # --- what the trainer measured ---
        val_metrics: Dict[str, float] = {}
        val_loss = float("inf")
        try:
            metrics = getattr(trainer, "callback_metrics", {})
            if "val_loss" in metrics:
                val_loss = float(metrics["val_loss"])
            for key, value in metrics.items():
                if isinstance(value, torch.Tensor):
                    value = value.item()
                # copy rate, change recall, grid accuracy, ...
                if str(key).startswith("val_") and key != "val_loss":
                    val_metrics[str(key)] = float(value)
                    logger.info("task %s: %s = %.4f", task_id, key, val_metrics[str(key)])
        except Exception as e:
            logger.error("task %s: could not read the metrics of the trainer: %s", task_id, e)

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
        if "fallback" in locals():
            results["evaluated_on"] = "cpu"
        return results

    def _save_peft_adapters(self, model: pl.LightningModule, task_id: str) -> Optional[Path]:
        """
        Write the adapters of a task to save_dir/TASK/adapters.pt.

        Returns the path, None if the model has no adapters or they could not be written. The full model is in
        the checkpoint next to it.
        """
        if not getattr(self, "lora_enabled", False) or not PEFT_AVAILABLE:
            return None
        path = self.save_dir / task_id / "adapters.pt"
        try:
            if not adapter_state(model):
                logger.warning("task %s: no adapters to save", task_id)
                return None
            n_values = save_adapters(model, path)
            logger.info("task %s: %d numbers in %s", task_id, n_values, path.name)
            return path
        except Exception as e:
            # the results are worth more than the adapters
            logger.error("task %s: adapters not saved: %s", task_id, e)
            return None

    def _final_evaluation_on_cpu(
        self, task_id: str, model: pl.LightningModule, test_example: Example, val_loader: DataLoader
    ) -> Dict[str, Any]:
        """
        The final evaluation once more, everything on the CPU.

        Only for Apple hardware: attention with masks, cumsum on integers and a few others were or are missing on
        MPS. Slow, but a task takes minutes to train and seconds to evaluate.

        Args:
            task_id: for the log
            model: the tuned model
            test_example: (src, tgt, ctx_in, ctx_out)
            val_loader: validation examples

        Returns:
            prediction, sample_accuracy, tuned_accuracy, base_accuracy
        """
        src, tgt, ctx_in, ctx_out = test_example[:4]
        result: Dict[str, Any] = {
            "prediction": None,
            "sample_accuracy": 0.0,
            "tuned_accuracy": 0.0,
            "base_accuracy": 0.0,
        }
        cpu_model = model.to("cpu")
        cpu_model.eval()

        # --- the test example ---
        try:
            src_b = src.unsqueeze(0).cpu()
            tgt_b = tgt.unsqueeze(0).cpu()
            ctx_in_b = ctx_in.unsqueeze(0).cpu()
            ctx_out_b = ctx_out.unsqueeze(0).cpu()
            with torch.no_grad():
                logits = cpu_model(src_b, tgt_b, ctx_in_b, ctx_out_b)
            if torch.isnan(logits).any():
                raise ValueError(f"NaN in the logits of the tuned model for task {task_id} (CPU)")
            logits = torch.clamp(logits, -LOGIT_CLAMP, LOGIT_CLAMP)
            prediction = logits.argmax(dim=-1)
            valid = tgt_b != self.pad_token_id
            n_valid = int(valid.sum())
            correct = int(((prediction == tgt_b) & valid).sum())
            if n_valid > 0:
                result["sample_accuracy"] = correct / n_valid
            result["prediction"] = prediction.squeeze(0).tolist()
        except Exception as e:
            logger.error("task %s: prediction on the CPU failed: %s", task_id, e)
            raise

        # --- the tuned model on the validation examples ---
        try:
            correct = 0
            total = 0
            with torch.no_grad():
                for batch in val_loader:
                    src_b, tgt_b, ctx_in_b, ctx_out_b = [t.cpu() for t in batch[:4]]
                    logits = cpu_model(src_b, tgt_b, ctx_in_b, ctx_out_b)
                    logits = torch.clamp(logits, -LOGIT_CLAMP, LOGIT_CLAMP)
                    preds = logits.argmax(dim=-1)
                    valid = tgt_b != self.pad_token_id
                    correct += int(((preds == tgt_b) & valid).sum())
                    total += int(valid.sum())
            if total > 0:
                result["tuned_accuracy"] = correct / total
        except Exception as e:
            logger.error("task %s: tuned model failed on the CPU: %s", task_id, e)
            raise

        # --- and the base model ---
        try:
            cpu_base = self.base_model.to("cpu")
            cpu_base.eval()
            correct = 0
            total = 0
            with torch.no_grad():
                for batch in val_loader:
                    src_b, tgt_b, ctx_in_b, ctx_out_b = [t.cpu() for t in batch[:4]]
                    logits = cpu_base(src_b, tgt_b, ctx_in_b, ctx_out_b)
                    logits = torch.clamp(logits, -LOGIT_CLAMP, LOGIT_CLAMP)
                    preds = logits.argmax(dim=-1)
                    valid = tgt_b != self.pad_token_id
                    correct += int(((preds == tgt_b) & valid).sum())
                    total += int(valid.sum())
            if total > 0:
                result["base_accuracy"] = correct / total
        except Exception as e:
            logger.error("task %s: base model failed on the CPU: %s", task_id, e)
            raise
        try:
            # the next task starts where this one started
            self.base_model.to(self.device)
        except Exception:
            pass
        return result

    # ------------------------------------------------------------------
    # the model of a task
    # ------------------------------------------------------------------
    def _create_task_model(self, task_id: str) -> pl.LightningModule:
        """
        A copy of the base model with the learning rate of the fine-tuning.

        The config is copied, too, so the base model keeps its own learning rate.

        Args:
            task_id: for the log

        Returns:
            a new TransformerTrainer with the weights of the base model
        """
        base_config = getattr(self.base_model, "config", None)
        if base_config is None:
            # models from very old checkpoints did not keep it
            base_config = self.config
        model = TransformerTrainer(base_config)
        if getattr(self, "base_dtype", None) == torch.float64:
            model = model.double()

        # not strict: heads come and go between versions
        try:
            incompatible = model.load_state_dict(self.base_model.state_dict(), strict=False)
            missing = getattr(incompatible, "missing_keys", [])
            unexpected = getattr(incompatible, "unexpected_keys", [])
            if missing or unexpected:
                logger.debug("task %s: missing %s, unexpected %s", task_id, missing, unexpected)
        except Exception as e:
            logger.error("task %s: the weights of the base model do not fit: %s", task_id, e)
            raise

        # the rate lives in two places: the attribute for the tuner of Lightning, the config for the optimizer
        model.learning_rate = self.learning_rate
        try:
            if hasattr(model, "config") and hasattr(model.config, "optimizer"):
                model.config.optimizer.lr = self.learning_rate
            else:
                logger.warning("task %s: the model has no optimizer node, only the attribute is set", task_id)
        except Exception as e:
            logger.warning("task %s: optimizer.lr could not be set: %s", task_id, e)
        model.to(self.device)
        return model

    def _apply_peft(self, model: pl.LightningModule, task_id: str) -> pl.LightningModule:
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
        self.wrapped_layers = []
        try:
            enabled = bool(getattr(getattr(getattr(self.config, "model", None), "lora", None), "enabled", False))
        except Exception:
            enabled = False
        if not enabled:
            return model
        if not PEFT_AVAILABLE or wrap_with_lora is None:
            logger.warning("task %s: adapters are not available, tuning the full model", task_id)
            return model

        total = sum(p.numel() for p in model.parameters())
        before = {name: p.requires_grad for name, p in model.named_parameters()}
        try:
            settings = OmegaConf.create({"rank": 8, "in_features": 128, "out_features": 128})
            settings = OmegaConf.merge(settings, self.config.model.lora, {"use_lora": True})
            targets = settings.get("targets", None)
            # new parameters are on the device and of the type of the layer they wrap
            if targets is None:
                self.wrapped_layers = wrap_with_lora(model, settings)
            else:
                self.wrapped_layers = wrap_with_lora(model, settings, tuple(str(t) for t in targets))
            # the bridges keep the layers they share with context_integration outside of the module tree
            core = getattr(model, "model", model)
            for name in ("bridge_enc", "bridge_dec"):
                shared = getattr(getattr(core, name, None), "_shared", None)
                if isinstance(shared, dict) and hasattr(core, "context_integration"):
                    shared["linear"] = core.context_integration[0]
        except Exception as e:
            logger.error("task %s: wrapping failed, tuning the full model: %s", task_id, e)
            for name, p in model.named_parameters():
                p.requires_grad_(before.get(name, True))
            return model

        trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        logger.info("task %s: %d layers wrapped", task_id, len(self.wrapped_layers))
        logger.info("task %s: %d of %d parameters are trained", task_id, trainable, total)
        return model.to(self.device)

    # ------------------------------------------------------------------
    # older entry points
    # ------------------------------------------------------------------
    def _get_test_examples(self, val_loader: DataLoader, task_index: int, limit: int = 1) -> List[Example]:
        """
        The first examples of a task in a loader.

        Args:
            val_loader: loader over all tasks
            task_index: index from the task id map
            limit: how many

        Returns:
            list of (src, tgt, ctx_in, ctx_out) tuples, empty if the task does not occur
        """
        examples: List[Example] = []
        for batch in val_loader:
            try:
                src, tgt, ctx_in, ctx_out, ids = batch[:5]
            except Exception as e:
                logger.error("batch cannot be unpacked: %s", e)
                continue
            for position, index in enumerate(ids.tolist()):
                if int(index) != int(task_index):
                    continue
                examples.append((src[position], tgt[position], ctx_in[position], ctx_out[position]))
                if len(examples) >= limit:
                    return examples
        if not examples:
            logger.warning("no test example for task index %d", task_index)
        return examples

    def _process_single_task(
        self, train_loader: DataLoader, val_loader: DataLoader, task_id: str, task_id_map: Dict[str, int]
    ) -> Optional[Dict[str, Any]]:
        """
        Fine-tune one task from loaders over all tasks.

        Superseded by ``_process_single_task_from_map``. Returns the result of the task.
        """
        # TODO: remove once the notebooks use the map
        logger.warning("_process_single_task is no longer supported, use run_all_tasks")
        return None

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
        if self.device.type == "cuda":
            accelerator = "gpu"
        elif self.device.type == "mps":
            accelerator = "mps"
        devices: Optional[int] = 1
        if self.device_choice == "auto" and accelerator == "gpu":
            # let Lightning take what it finds
            devices = None

        precision = self.precision
        if isinstance(precision, str) and precision.isdigit():
            # command line overrides arrive as strings
            precision = int(precision)
        logger.debug("task %s: accelerator %s, devices %s, precision %s", task_id, accelerator, devices, precision)

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
        wanted = list(task_ids) if task_ids is not None else list(task_id_map.keys())
        wanted_indices = {task_id_map[task_id] for task_id in wanted if task_id in task_id_map}
        canvas = (self.max_h, self.max_w)

        def _bucket(dataset: Any, name: str) -> Dict[int, List[Example]]:
            """One pass over a dataset."""
            buckets: Dict[int, List[Example]] = defaultdict(list)
            if dataset is None:
                return buckets
            for i in range(len(dataset)):
                item = dataset[i]
                try:
                    # (src, tgt, context pair, id) is the older form, a sixth element is the augmented grid
                    if len(item) == 4 and hasattr(item[2], "context_input"):
                        src, tgt, pair, index = item
                        ctx_in = pair.context_input
                        ctx_out = pair.context_output
                    else:
                        src, tgt, ctx_in, ctx_out, index = item[:5]
                    index = int(index.item()) if isinstance(index, torch.Tensor) else int(index)
                except Exception as e:
                    logger.error("%s: item %d cannot be read: %s", name, i, e)
                    continue
                if index not in wanted_indices:
                    continue
                if ctx_in is None or ctx_out is None:
                    # samples from before the contexts
                    n_missing = 1 if self.dynamic_pairs else self.num_context_pairs
                    ctx_in = torch.zeros((n_missing, *canvas), dtype=torch.long)
                    ctx_out = torch.zeros((n_missing, *canvas), dtype=torch.long)
                buckets[index].append((src, tgt, ctx_in, ctx_out, torch.tensor(index, dtype=torch.long)))
            logger.info("%s: %d items, %d tasks", name, len(dataset), len(buckets))
            return buckets

        def _stack(samples: List[Example], task_id: str) -> Optional[Tuple[torch.Tensor, ...]]:
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
                logger.debug("task %s: contexts of %d to %d pairs", task_id, min(counts), most)
            try:
                return (
                    torch.stack([sample[0] for sample in samples]),
                    torch.stack([sample[1] for sample in samples]),
                    torch.stack(contexts_in),
                    torch.stack(contexts_out),
                    torch.stack([sample[4] for sample in samples]),
                )
            except Exception as e:
                logger.error("task %s: the samples do not fit together: %s", task_id, e)
                return None

        train_buckets = _bucket(train_dataset, "train")
        val_buckets = _bucket(val_dataset, "val")

        data_map: Dict[str, Dict[str, Any]] = OrderedDict()
        for task_id in wanted:
            entry: Dict[str, Any] = {"train": None, "val": None, "test_example": None}
            data_map[task_id] = entry
            # an unknown task has no samples
            index = task_id_map.get(task_id, -1)
            train_data = _stack(train_buckets.get(index, []), task_id)
            val_data = _stack(val_buckets.get(index, []), task_id)
            if train_data is None:
                logger.warning("task %s: no training examples", task_id)
                continue
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
                    logger.debug("task %s: %d for training, %d for validation", task_id, n_train, n_val)

            entry["train"] = train_data
            entry["val"] = val_data
            if val_data is not None:
                entry["test_example"] = tuple(column[0] for column in val_data[:4])

        complete = sum(1 for entry in data_map.values() if entry["test_example"] is not None)
        logger.info("data map: %d tasks, %d of them complete", len(data_map), complete)
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
        try:
            task_data = task_data or {}
            train_data = task_data.get("train")
            val_data = task_data.get("val")
            test_example = task_data.get("test_example")
            if train_data is None or val_data is None or test_example is None:
                logger.error("task %s: incomplete data", task_id)
                return {"error": "Incomplete task data."}

            train_dataset = TensorDataset(*train_data)
            val_dataset = TensorDataset(*val_data)
            logger.info("task %s: %d training, %d validation", task_id, len(train_dataset), len(val_dataset))
            task_train_loader = DataLoader(train_dataset, batch_size=FINETUNE_BATCH_SIZE, shuffle=True)
            task_val_loader = DataLoader(val_dataset, batch_size=FINETUNE_BATCH_SIZE, shuffle=False)

            return self.finetune_task(task_id, task_train_loader, task_val_loader, test_example)
        except Exception as e:
            logger.error("task %s failed: %s", task_id, e, exc_info=True)
            return {"error": str(e)}

    def run_all_tasks(
        self,
        train_loader: DataLoader,
        val_loader: Optional[DataLoader],
        task_id_map: Dict[str, int],
        selected_tasks: Optional[List[str]] = None,
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
        self._setup_file_logging()
        train_dataset = getattr(train_loader, "dataset", train_loader)
        val_dataset = val_loader
        if hasattr(val_loader, "dataset"):
            val_dataset = val_loader.dataset

        tasks = selected_tasks if selected_tasks is not None else self.selected_tasks
        if tasks is None:
            tasks = list(task_id_map.keys())
        logger.info("fine-tuning on %d of %d tasks", len(tasks), len(task_id_map))

        data_map = self._build_task_data_map(train_dataset, val_dataset, task_id_map, tasks)
        self.results = OrderedDict()
        for number, task_id in enumerate(tasks, 1):
            logger.info("[%d/%d] %s", number, len(tasks), task_id)
            result = self._process_single_task_from_map(task_id, data_map.get(task_id))
            self.results[task_id] = result
            if "error" in result:
                logger.error("[%d/%d] %s: %s", number, len(tasks), task_id, result["error"])
            # the grids are needed no longer
            data_map[task_id] = None
            self.metrics_collector.add_result(task_id, result)

        save_results(self.results, self.results_path)
        self._log_summary()
        self.close_file_logging()
        return self.results

    def _log_summary(self) -> None:
        """Mean accuracies over all tasks, for the log. Returns them, too."""
        import statistics

        try:
            done = [result for result in self.results.values() if "improvement" in result]
            failed = self.metrics_collector.failed_tasks()
            if failed:
                logger.warning("failed: %s", ", ".join(failed))
            if done:
                mean_base = statistics.fmean(result["base_model"]["accuracy"] for result in done)
                mean_tuned = statistics.fmean(result["fine_tuned_model"]["accuracy"] for result in done)
                logger.info("mean accuracy %.4f -> %.4f, %d tasks", mean_base, mean_tuned, len(done))
        except Exception:
            # nobody reads it anyway
            pass


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
    try:
        formatted = {task_id: format_task_result(result) for task_id, result in results.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8") as handle:
            json.dump(formatted, handle, indent=2)
        logger.info("results of %d tasks written to %s", len(formatted), path.name)
    except Exception as e:
        logger.error("results not written: %s", e)
        raise


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
    checkpoint_path = None
    if hasattr(cfg, "finetuning"):
        checkpoint_path = OmegaConf.select(cfg, "finetuning.base_model_checkpoint", default=None)
    if not checkpoint_path:
        # the one that the pre-training was started from, better than nothing
        checkpoint_path = getattr(cfg.model, "checkpoint_path", None)
    if not checkpoint_path or not Path(checkpoint_path).exists():
        # good enough for smoke tests
        logger.warning("checkpoint %s not found, fine-tuning an untrained model", checkpoint_path)
        model = create_transformer_trainer(cfg)
    else:
        try:
            model = create_transformer_trainer(cfg, checkpoint_path)
            logger.info("base model loaded from %s", Path(checkpoint_path).name)
        except Exception as e:
            logger.error("could not load %s: %s", checkpoint_path, e)
            raise
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
    data_dir = getattr(cfg.data, "training_data_dir", None)
    if data_dir is None or not Path(data_dir).exists():
        raise FileNotFoundError(f"data.training_data_dir does not exist: {data_dir}")
    train_dataset, val_dataset, task_id_map = prepare_data(cfg)
    try:
        batch_size = int(cfg.get("dataloader", {}).get("batch_size", 32))
    except Exception:
        batch_size = 32
    train_loader = DataLoader(train_dataset, batch_size=batch_size, shuffle=True)
    val_loader = DataLoader(val_dataset, batch_size=batch_size, shuffle=False)
    logger.info("%d training, %d validation samples", len(train_dataset), len(val_dataset))
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
    all_tasks = list(task_id_map.keys())

    def _setting(name: str, default: Any) -> Any:
        try:
            value = cfg.finetuning.get(name, default)
        except Exception:
            # a namespace, or no such node at all
            value = getattr(getattr(cfg, "finetuning", None), name, default)
        return default if value is None else value

    mode = str(_setting("mode", "all")).lower()
    logger.info("selection of tasks: %s", mode)
    if mode == "all":
        return all_tasks

    if mode == "random":
        count = min(int(_setting("num_random_tasks", 10)), len(all_tasks))
        chosen = random.sample(all_tasks, count)
        logger.info("random: %d tasks: %s", count, ", ".join(chosen))
        return chosen

    if mode == "specific":
        asked = _setting("specific_tasks", [])
        if isinstance(asked, str):
            # finetuning.specific_tasks=a,b from the command line
            asked = [part.strip() for part in asked.split(",") if part.strip()]
        # numbers without letters arrive as integers
        chosen = [str(task_id) for task_id in asked if str(task_id) in task_id_map]
        if len(chosen) < len(asked):
            logger.warning("%d unknown tasks were left out", len(asked) - len(chosen))
        if chosen:
            return chosen
        logger.warning("no specific tasks, taking the first one")

    elif mode == "failed":
        results_path = OmegaConf.select(cfg, "finetuning.results_path", default=None)
        if not results_path:
            results_path = Path(_setting("save_dir", DEFAULT_SAVE_DIR)) / RESULTS_FILE_NAME
        try:
            with open(results_path, "r", encoding="utf-8") as handle:
                earlier = json.load(handle)
        except Exception as e:
            logger.error("earlier results cannot be read (%s), taking all tasks", e)
            return all_tasks

        threshold = float(_setting("retry_threshold", 1.0))
        chosen = []
        for task_id, result in earlier.items():
            if task_id not in task_id_map:
                # another data directory
                continue
            val_loss = result.get("val_loss", float("inf"))
            if "error" in result or val_loss > threshold:
                chosen.append(task_id)
        # those that were never reached come last
        chosen.extend(task_id for task_id in all_tasks if task_id not in earlier)
        logger.info("failed: %d of %d tasks", len(chosen), len(all_tasks))
        return chosen

    else:
        logger.warning("unknown finetuning.mode %s, taking the first task", mode)
    return all_tasks[:1]


def _extract_skills(cfg: DictConfig, tuner: TaskFineTuner) -> Dict[str, Path]:
    """
    What the fine-tuning changed, one file per task (see champion.lora.extract_skills).

    Config, below ``skill_extract``: enabled, rank, output_dir, base_checkpoint.

    Returns:
        task id -> file
    """
    from champion.lora.extract_skills import extract_skills

    node = OmegaConf.select(cfg, "skill_extract", default=None) or {}
    output_dir = Path(node.get("output_dir", None) or tuner.save_dir / "skills")
    base_checkpoint = node.get("base_checkpoint", None)
    if not base_checkpoint:
        # the base in memory is what the tasks started from, whatever the config says
        base_checkpoint = output_dir / "base_model.ckpt"
        output_dir.mkdir(parents=True, exist_ok=True)
        torch.save({"state_dict": tuner.base_model.state_dict()}, base_checkpoint)
    tuned = list(tuner.best_checkpoints.items())
    return extract_skills(base_checkpoint, tuned, output_dir, rank=int(node.get("rank", 8)))


def main(cfg: Optional[DictConfig] = None) -> Optional[Dict[str, Dict[str, Any]]]:
    """
    Command line entry point.

    Without a config hydra parses the command line and calls this function again. The config that was saved with
    a checkpoint can be put on top with JARC_CHECKPOINT_CONFIG or CHECKPOINT_CONFIG (path of a YAML file).

    Args:
        cfg: the config, None on the command line

    Returns:
        the full results (None on the command line)
    """
    if cfg is None:
        try:
            import hydra
        except ImportError as e:
            raise ImportError(
                "the command line of the fine-tuner needs hydra (pip install hydra-core); "
                "call main(cfg) with a config to do without"
            ) from e
        hydra.main(config_path="conf", config_name="config", version_base="1.2")(main)()
        return None

    setup_environment(cfg)

    # --- config of the checkpoint ---
    extra_path = os.environ.get("JARC_CHECKPOINT_CONFIG") or os.environ.get("CHECKPOINT_CONFIG")
    if extra_path:
        try:
            extra = OmegaConf.load(extra_path)
            # hydra locks the config
            OmegaConf.set_struct(cfg, False)
            cfg = OmegaConf.merge(cfg, extra)
            logger.info("config of the checkpoint merged")
        except Exception as e:
            logger.error("config of the checkpoint ignored: %s", e)

    base_model = load_base_model(cfg)
    train_loader, val_loader, task_id_map = prepare_dataloaders_and_map(cfg)
    tuner = TaskFineTuner(base_model, cfg)
    try:
        tuner.selected_tasks = select_tasks_to_finetune(cfg, task_id_map)
        results = tuner.run_all_tasks(train_loader, val_loader, task_id_map)
        save_results(results, tuner.results_path)
    finally:
        tuner.close_file_logging()

    # --- skills ---
    if OmegaConf.select(cfg, "skill_extract.enabled", default=False):
        try:
            written = _extract_skills(cfg, tuner)
            logger.info("skills of %d tasks written", len(written))
        except Exception as e:
            # the results are safe by now
            logger.error("skill extraction failed: %s", e)
    return results


if __name__ == "__main__":
    main()
