"""The golden workloads: what a user does with the champion package, watched by a recorder.

The package is imported inside the functions, because the process decides which tree of it is importable. What makes
it repeatable (seeds, one worker thread) is added from outside: the package itself is left as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import champion_data
import champion_parts
import pytorch_lightning as pl
import torch
from champion_data import (
    PAD,
    Columns,
    Item,
    Samples,
    champion_config,
    check_tasks,
    collate,
    eval_loader,
    load_split,
    seed_everything,
    single_worker_pools,
    stack,
    validation_count,
)
from champion_runs import (
    PRECISION,
    Recorder,
    Watch,
    champion_checkpoint,
    compact,
    default_dtype,
    parameters,
    record_written,
    watched_fits,
)
from omegaconf import DictConfig, OmegaConf
from places import CHECKPOINT, CONFIG, TASKS
from scripting import load_weights, quiet_lightning, sha256
from task_files import check_task_file
from torch.utils.data import DataLoader, TensorDataset
from train import ChampionData, champion_and_trainer, complete

TASK_COUNT = 18
SEED = 307
FINETUNE_TASKS = ("88a62173", "9172f3a0")
FINETUNE_PAIRS = 12
FINETUNE_BATCH = 4
TRAINED_SAMPLES = 1
SHOWN_PAIRS = 4
SMALL_CANVAS = 4
SMALL_SAMPLES = 5


def prepare(golden: Recorder) -> None:
    """All task files through the package's data preparation, as at the start of a training run."""
    config = champion_config(TASKS)
    check_tasks(TASKS, TASK_COUNT)
    train, validation, task_ids = prepared(golden, config)
    for name, items in (("train", train), ("validation", validation)):
        golden.record(f"{name}.count", len(items))
        if items:
            golden.record(name, stacked_by_context(items))
    golden.record("task_ids", task_ids)
    golden.record("config", portable(config))
    golden.files("files", golden.workdir)


def prepare_finetune(golden: Recorder) -> None:
    """Two short tasks on the fine-tuner's way: prepared, sorted by task, split and batched."""
    tasks = golden.workdir / "tasks"
    copy_tasks(FINETUNE_TASKS, FINETUNE_PAIRS, tasks)
    check_tasks(tasks, len(FINETUNE_TASKS))
    train, _, task_ids = prepared(golden, champion_config(tasks))
    buckets = bucketed(train)
    for task_id, index in task_ids.items():
        training, validation = split(buckets[index])
        golden.record(f"{task_id}.train", list(batches(training, shuffle=True)))
        golden.record(f"{task_id}.validation", list(batches(validation, shuffle=False)))
    golden.rng("after_batches")
    golden.files("files", golden.workdir)


def prepare_blank(golden: Recorder) -> None:
    """One task without training pairs whose only grids are black canvases without padding."""
    config = champion_config(golden.workdir / "tasks")
    canvas = [[0] * config.model.max_w] * config.model.max_h
    (golden.workdir / "tasks").mkdir()
    task = {"train": [], "test": [{"input": canvas, "output": canvas}]}
    (golden.workdir / "tasks" / "blank.json").write_text(json.dumps(task), encoding="utf-8")
    train, validation, task_ids = prepared(golden, config)
    golden.record("train.count", len(train))
    golden.record("validation", stacked_by_context(validation))
    golden.record("task_ids", task_ids)
    golden.record("sizes", {name: config.model[name] for name in ("vocab_size", "V_colours", "S_shapes")})


def load(golden: Recorder) -> None:
    """The champion built anew from the pinned config, then with every tensor of the checkpoint."""
    from champion.model.trainer import TransformerTrainer

    checkpoint = champion_checkpoint()
    golden.record("files", {file.name: sha256(file) for file in (CONFIG, CHECKPOINT)})
    golden.record("checkpoint.keys", list(checkpoint))
    golden.record("checkpoint.hyper_parameters", json.dumps(checkpoint["hyper_parameters"]))
    seed_everything(SEED)
    model = TransformerTrainer(champion_config(Path("tasks")))
    golden.rng("built.rng")
    load_weights(model, checkpoint["state_dict"], CHECKPOINT)
    golden.model("loaded", model)
    golden.record("hyper_parameters", json.dumps(dict(model.hparams)))
    golden.rng("loaded.rng")


def infer(golden: Recorder) -> None:
    """Answers of the checkpoint with and without contexts and targets, and Lightning's evaluation loops."""
    infer_in(golden, torch.float32)


def finetune(golden: Recorder) -> None:
    """The fine-tuner on two tasks, on the way that its own `main` takes."""
    finetune_in(golden, torch.float32, FINETUNE_TASKS, pairs=3, epochs=2)


def train(golden: Recorder) -> None:
    """Training from scratch: two epochs of two steps, each with a validation."""
    train_in(golden, torch.float32, epochs=2, steps=2)


def infer_float64(golden: Recorder) -> None:
    """As `infer`; in double precision the answers hold on any machine."""
    infer_in(golden, torch.float64)


def finetune_float64(golden: Recorder) -> None:
    """As `finetune`, with one sample of one task for one epoch; `finetune.py` chooses its results file like this, too."""
    finetune_in(golden, torch.float64, FINETUNE_TASKS[:1], pairs=2, epochs=1, results="own/results.json")


def train_float64(golden: Recorder) -> None:
    """As `train`, with one step an epoch."""
    train_in(golden, torch.float64, epochs=2, steps=1)


def parts_float64(golden: Recorder) -> None:
    """Public parts alone, in double precision, with small data that the runs do not meet."""
    from champion.model.trainer import TransformerTrainer

    champion_checkpoint()
    quiet_lightning()
    seed_everything(SEED)
    config = champion_config(Path("tasks"))
    with default_dtype(torch.float64):
        champion_parts.metrics(golden)
        champion_parts.decoding(golden, config)
        champion_parts.slot_costs(golden)
        champion_parts.positions(golden)
        champion_parts.refusals(golden, config)
        champion_parts.another_config(golden, config)
        champion_parts.adaptation(golden, config)
    model = TransformerTrainer.load_from_checkpoint(CHECKPOINT, map_location="cpu", weights_only=True, config=config)
    core = model.to(torch.float64).eval().core_model
    samples = small_samples(config, FINETUNE_TASKS[0], SMALL_SAMPLES)
    champion_parts.contexts(golden, core, collate(samples[:1])[:4])
    # A task for each of the four skills, and one more.
    tasks = [cast(Item, (*grids, torch.full_like(task, index))) for index, (*grids, task) in enumerate(samples)]
    golden.record("skills", evaluator(torch.float64).validate(model, eval_loader(tasks, 1), verbose=False))
    golden.rng("end.rng")


def finetune_small_float64(golden: Recorder) -> None:
    """The fine-tuner as a library, on small canvases, with samples of six elements."""
    from champion.model.finetune import TaskFineTuner, load_base_model

    champion_checkpoint()
    quiet_lightning()
    seed_everything(SEED)
    (golden.workdir / "base.ckpt").symlink_to(CHECKPOINT)
    config = champion_config(Path("tasks"))
    config.training.precision = 64
    config.finetuning.max_epochs = 1
    OmegaConf.update(config, "finetuning.base_model_checkpoint", "base.ckpt", force_add=True)
    task_id = FINETUNE_TASKS[0]
    # The sixth element is for the augmented grids of the H-Nets, which the champion does without.
    items = cast(list[Item], [(*item, None) for item in small_samples(config, task_id, SMALL_SAMPLES)])
    tuner = TaskFineTuner(load_base_model(config).to(torch.float64).train(), config)
    tuner.selected_tasks = [task_id]
    with watched_fits(golden, [task_id, "alone"]):
        # Nothing validates, so the fine-tuner splits; it takes a data set for a loader.
        found = tuner.run_all_tasks(DataLoader(Samples(items)), Samples([]), {task_id: 0})
        golden.record("found", compact(found))
        if "error" in found[task_id]:
            raise RuntimeError(f"the fine-tuner failed: {found[task_id]['error']}")
        columns = [field.unsqueeze(0) for field in items[0][:5]]
        columns[1] = torch.where(torch.arange(columns[1].numel()).view_as(columns[1]) == 2, columns[0], PAD)  # one cell
        *example, index = items[1][:5]
        example[1] = torch.full_like(example[1], PAD)  # the answer is not known
        validation: DataLoader[Any] = DataLoader(Samples(cast(list[Item], [(*columns, None)])), batch_size=None)
        alone = tuner.finetune_task("alone", DataLoader(TensorDataset(*columns)), validation, (*example, index))
        golden.record("alone", compact(alone))
    record_written(golden, "results", golden.workdir / config.finetuning.save_dir)
    golden.rng("end.rng")


def infer_in(golden: Recorder, dtype: torch.dtype) -> None:
    from champion.model.trainer import TransformerTrainer

    champion_checkpoint()
    quiet_lightning()
    seed_everything(SEED)
    config = champion_config(Path("tasks"))
    model = TransformerTrainer.load_from_checkpoint(CHECKPOINT, map_location="cpu", weights_only=True, config=config)
    model = model.to(dtype).eval()
    items = load_split(config, TASKS, FINETUNE_TASKS, SEED, pairs=SHOWN_PAIRS).train[1:4]
    golden.record("samples", list(collate(items)))
    source, target, inputs, outputs, _ = collate(items[:2])
    calls = {
        "both": (source, target, inputs, outputs),
        "one": (source[:1], target[:1], inputs[:1], outputs[:1]),
        "no_contexts": (source[:1], target[:1]),
        "no_target": (source[:1], None, inputs[:1], outputs[:1]),
        "source_only": (source[:1],),
    }
    for name, arguments in calls.items():
        with torch.no_grad():
            logits = model(*arguments)
        golden.record(f"{name}.logits", logits)
        golden.record(f"{name}.answer", logits.argmax(dim=-1))
    golden.rng("answers.rng")
    trainer = evaluator(dtype)
    golden.record("validate", trainer.validate(model, eval_loader(items, 2), verbose=False))
    # Decoding without a target takes a forward pass for every two cells, so the canvas is small here.
    small = cropped(items[0])
    golden.record("predict", trainer.predict(model, eval_loader([small], 1)))
    golden.record("test", trainer.test(model, eval_loader(items[:1], 1), verbose=False))
    golden.record("parameters", parameters(model))
    golden.rng("end.rng")


def finetune_in(
    golden: Recorder, dtype: torch.dtype, task_ids: Sequence[str], pairs: int, epochs: int, results: str | None = None
) -> None:
    from champion.model.finetune import (
        TaskFineTuner,
        load_base_model,
        prepare_dataloaders_and_map,
        select_tasks_to_finetune,
    )

    champion_checkpoint()
    quiet_lightning()
    seed_everything(SEED)
    copy_tasks(task_ids, pairs, golden.workdir / "tasks")
    (golden.workdir / "base.ckpt").symlink_to(CHECKPOINT)
    config = champion_config(Path("tasks"))
    config.training.precision = 64 if dtype is torch.float64 else 32
    config.finetuning.max_epochs = epochs
    OmegaConf.update(config, "finetuning.base_model_checkpoint", "base.ckpt", force_add=True)
    if results is not None:
        OmegaConf.update(config, "finetuning.results_path", f"{config.finetuning.save_dir}/{results}", force_add=True)
    base = load_base_model(config).to(dtype)
    with single_worker_pools():
        training, validation, indices = prepare_dataloaders_and_map(config)
    tuner = TaskFineTuner(base, config)
    chosen = select_tasks_to_finetune(config, indices)
    golden.record("chosen", chosen)
    tuner.selected_tasks = chosen
    with watched_fits(golden, chosen):
        found = tuner.run_all_tasks(training, validation, indices)
    failed = {task_id: result["error"] for task_id, result in found.items() if "error" in result}
    if failed:
        raise RuntimeError(f"the fine-tuner failed: {failed}")
    record_written(golden, "results", golden.workdir / config.finetuning.save_dir)
    golden.record("base", parameters(base))
    golden.rng("end.rng")


def train_in(golden: Recorder, dtype: torch.dtype, epochs: int, steps: int, config_file: Path = CONFIG) -> None:
    config = champion_config(Path("tasks"), config_file)
    split = load_split(config, TASKS, FINETUNE_TASKS, SEED, pairs=SHOWN_PAIRS)
    settings = {
        "accelerator": "cpu",
        "devices": "1",
        "strategy": "auto",
        "precision": PRECISION[dtype],
        "seed": SEED,
        "epochs": epochs,
        "steps_per_epoch": steps,
        "batch_size": TRAINED_SAMPLES,
        "limit_val_batches": 1,
        "checkpoint_every": 1,
    }
    complete(settings, config, len(split.train))
    with default_dtype(dtype):
        model, trainer = champion_and_trainer(settings, config, [Watch(golden, "fit", closely=True)], logger=False)
    golden.model("fresh", model)
    trainer.fit(model, datamodule=ChampionData(settings, split))
    golden.model("trained", model)
    record_written(golden, "files", golden.workdir)


def evaluator(dtype: torch.dtype) -> pl.Trainer:
    """Lightning's evaluation loops and nothing else."""
    return pl.Trainer(
        accelerator="cpu",
        devices=1,
        precision=PRECISION[dtype],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def small_samples(config: DictConfig, task_id: str, count: int) -> list[Item]:
    """The first samples of a task, on a canvas so small that a step costs next to nothing."""
    items = load_split(config, TASKS, (task_id,), SEED, pairs=2 * count).train
    return [cropped(item) for item in items[:count]]


def cropped(item: Item) -> Item:
    *grids, index = item
    return cast(Item, (*(grid[..., :SMALL_CANVAS, :SMALL_CANVAS] for grid in grids), index))


def portable(config: DictConfig) -> dict[str, Any]:
    """The whole config with the task folder's name alone: where it lies differs between machines."""
    values = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
    values["data"]["training_data_dir"] = Path(values["data"]["training_data_dir"]).name
    return values


def copy_tasks(task_ids: Sequence[str], pairs: int, folder: Path) -> None:
    """The first pairs of each task, as task files of their own."""
    folder.mkdir()
    for task_id in task_ids:
        source = TASKS / f"{task_id}.json"
        check_task_file(source)
        task = json.loads(source.read_text(encoding="utf-8"))
        short = {"train": task["train"][:pairs], "test": task["test"]}
        (folder / source.name).write_text(json.dumps(short), encoding="utf-8")


def prepared(golden: Recorder, config: DictConfig) -> tuple[list[Item], list[Item], dict[str, int]]:
    """Run the package's preparation repeatably and record what it does to the random generators."""
    seed_everything(SEED)
    golden.rng("before_prepare")
    found = champion_data.prepared(config, SEED)
    golden.rng("after_prepare")
    return found


def stacked_by_context(items: Sequence[Item]) -> dict[str, object]:
    """One tensor per field instead of an entry per sample; contexts, which differ in number, one after the other."""
    sources, targets, contexts_in, contexts_out, indices = zip(*items, strict=True)
    return {
        "src": torch.stack(sources),
        "tgt": torch.stack(targets),
        "context_count": torch.tensor([len(context) for context in contexts_in]),
        "context_input": torch.cat(contexts_in),
        "context_output": torch.cat(contexts_out),
        "task_index": torch.stack(indices),
        "dtypes": sorted({", ".join(str(field.dtype) for field in item) for item in items}),
    }


def bucketed(items: Sequence[Item]) -> dict[int, Columns]:
    """Samples by task index, in order; missing contexts become grids of zeros (not of PAD) as in the fine-tuner."""
    buckets: dict[int, list[Item]] = {}
    for item in items:
        buckets.setdefault(int(item[4]), []).append(item)
    return {index: stack(bucket, filler=0) for index, bucket in sorted(buckets.items())}


def split(columns: Columns) -> tuple[Columns, Columns]:
    """By the fine-tuner's rule: the last fifth validates."""
    count = len(columns[0])
    first = count - validation_count(count)
    return tuple(column[:first] for column in columns), tuple(column[first:] for column in columns)


def batches(columns: Columns, *, shuffle: bool) -> Iterator[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(SEED)
    yield from DataLoader(TensorDataset(*columns), batch_size=FINETUNE_BATCH, shuffle=shuffle, generator=generator)
