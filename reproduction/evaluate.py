"""How good a checkpoint is on held-out pairs: `python reproduction/evaluate.py --checkpoint FILE --out FOLDER`.

The last fifth of each task's pairs was not trained on. As everywhere in the champion, predictions are teacher-forced: when a
cell is predicted, the target's cells before it are given. That makes cells easier than in free decoding, so each figure is
to be read beside those of predictors that know nothing.

The model may also answer "undecided" or hedge a colour, which its loss rewards where it is not sure and the metrics count as
wrong. "Decided" is the colour that it would choose: a colour and its hedge together.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from champion_data import PAD, Columns, Split, collate, eval_loader, load_split, seed_everything, select_tasks
from panels import cropped, save_panels
from places import REPRODUCTION
from rich.console import Console
from rich.progress import Progress
from scripting import (
    COMMON_DEFAULTS,
    ScriptError,
    add_common_options,
    load_config,
    load_weights,
    positive,
    read_checkpoint,
    run,
    task_names,
    use_tree,
    write_json,
    write_text,
)

COLOURS_AND_PAD = 11
FIRST_HEDGE = 12

FIGURES = ("cell_accuracy", "grid_accuracy", "copy_rate", "change_recall", "change_precision")
METRICS = REPRODUCTION / "legacy" / "champion" / "utils" / "metrics.py"

Predictor = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # from all src and tgt [N, 30, 30] of a task


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Evaluate a checkpoint on held-out pairs.")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for evaluation.json, evaluation.md and panels/")
    parser.add_argument("--pairs", type=positive, help="held-out pairs per task (default: all)")
    parser.add_argument("--panels", type=int, default=3, help="pictured pairs per task (default: 3)")
    parser.add_argument("--batch-size", type=positive, default=4)
    parser.add_argument("--seed", type=int, default=42, help="draws the contexts; use the training's (default: 42)")
    add_common_options(parser)
    parser.set_defaults(**COMMON_DEFAULTS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    use_tree(options.tree)
    task_ids = select_tasks(options.data, task_names(options.tasks))
    config = load_config(options.config)
    config.logging.log_dir = str(options.out / "logs")
    checkpoint = read_checkpoint(options.checkpoint)
    from champion.model.trainer import TransformerTrainer

    seed_everything(options.seed)
    model = TransformerTrainer(config)
    load_weights(model, checkpoint["state_dict"], options.checkpoint)
    split = load_split(config, options.data, task_ids, options.seed, held_out=options.pairs)
    samples = by_task(split)
    answers = predicted(model, samples, options.batch_size)
    report = measured(samples, answers, categories(options.data, task_ids))
    report["checkpoint"] = {"file": options.checkpoint.name, "step": checkpoint.get("global_step")}
    write_json(options.out / "evaluation.json", report)
    write_text(options.out / "evaluation.md", table(report))
    for task_id, (src, tgt, *_) in samples.items() if options.panels > 0 else ():
        shown = range(min(options.panels, len(src)))
        rows = [picture_row(src[number], tgt[number], answers["model"][task_id][number]) for number in shown]
        save_panels(options.out / "panels" / f"{task_id}.png", rows)
    print(table(report))
    return 0


def by_task(split: Split) -> dict[str, Columns]:
    """The held-out samples, stacked."""
    return {
        task_id: collate([item for item in split.held_out if int(item[4]) == index])
        for index, task_id in enumerate(split.task_ids)
    }


Answers = Mapping[str, Mapping[str, torch.Tensor]]  # the class of each cell [N, 30, 30], by way of choosing and task


def predicted(model: Any, samples: Mapping[str, Columns], batch_size: int) -> Answers:
    """What the model answers, and what it answers when it must decide."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).eval()
    found: dict[str, dict[str, torch.Tensor]] = {"model": {}, "decided": {}}
    total = sum(len(columns[0]) for columns in samples.values())
    with torch.inference_mode(), Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("predicting", total=total)
        for task_id, columns in samples.items():
            parts: dict[str, list[torch.Tensor]] = {"model": [], "decided": []}
            for batch in eval_loader(list(zip(*columns, strict=True)), batch_size):
                src, tgt, context_in, context_out = (column.to(device) for column in batch[:4])
                logits = model(src, tgt, context_in, context_out)
                parts["model"].append(logits.argmax(dim=-1).cpu())
                parts["decided"].append(decided(logits).argmax(dim=-1).cpu())
                progress.advance(bar, len(src))
            for name, tensors in parts.items():
                found[name][task_id] = torch.cat(tensors)
    return found


def decided(logits: torch.Tensor) -> torch.Tensor:
    r"""A colour and its hedge together, :math:`a_c = \log(e^{z_c} + e^{z_{12+c}})`; [..., 24] or [..., 11] to [..., 11]."""
    if logits.size(-1) == COLOURS_AND_PAD:
        return logits
    hedges = logits[..., FIRST_HEDGE : FIRST_HEDGE + COLOURS_AND_PAD]
    return torch.logaddexp(logits[..., :COLOURS_AND_PAD], hedges)


def copied(src: torch.Tensor, tgt: torch.Tensor) -> torch.Tensor:
    """The input as it is."""
    return src


def commonest(src: torch.Tensor, tgt: torch.Tensor) -> torch.Tensor:
    """The input's most common colour, on all cells of the target."""
    colours = torch.stack([grid[grid != PAD].mode().values for grid in src])
    return torch.where(tgt == PAD, PAD, colours[:, None, None])


def cell_before(src: torch.Tensor, tgt: torch.Tensor) -> torch.Tensor:
    """The target's cell before, which teacher forcing shows; PAD stays PAD."""
    before = torch.roll(tgt.flatten(1), 1, dims=1).view_as(tgt)
    return torch.where(tgt == PAD, PAD, before)


BASELINES: dict[str, Predictor] = {"copy": copied, "commonest colour": commonest, "cell before": cell_before}
COMPARED = ("decided", *BASELINES)


def measured(samples: Mapping[str, Columns], answers: Answers, categories: Mapping[str, str]) -> dict[str, Any]:
    """Figures of the model and the baselines for each task, each category and all together."""
    metrics = legacy_metrics()
    groups: dict[str, dict[str, list[str]]] = {"tasks": {task_id: [task_id] for task_id in samples}, "categories": {}}
    for task_id in samples:
        groups["categories"].setdefault(categories[task_id], []).append(task_id)
    groups["categories"] = dict(sorted(groups["categories"].items()))
    groups["all"] = {"all": list(samples)}
    report: dict[str, Any] = {"teacher_forced": True}
    for kind, members in groups.items():
        report[kind] = {name: _figures(metrics, task_ids, samples, answers) for name, task_ids in members.items()}
    for task_id in samples:
        report["tasks"][task_id]["category"] = categories[task_id]
    return report


def _figures(metrics: ModuleType, task_ids: Sequence[str], samples: Mapping[str, Columns], answers: Answers) -> dict[str, Any]:
    src, tgt = (torch.cat([samples[task_id][column] for task_id in task_ids]) for column in (0, 1))
    predictors = {name: torch.cat([found[task_id] for task_id in task_ids]) for name, found in answers.items()}
    predictors |= {name: predict(src, tgt) for name, predict in BASELINES.items()}
    figures: dict[str, Any] = {"pairs": len(src)}
    for name, guess in predictors.items():
        found = {
            "cell_accuracy": metrics.cell_accuracy(guess, tgt),
            "grid_accuracy": metrics.grid_accuracy(guess, tgt),
            **metrics.compute_copy_metrics_on_batch(src, tgt, guess),
        }
        figures[name] = {figure: round(float(found[figure]), 6) for figure in FIGURES}
    return figures


def legacy_metrics() -> ModuleType:
    """The legacy's own, whichever tree predicts: one yardstick for both, and stripping leaves only what training needs."""
    spec = importlib.util.spec_from_file_location("legacy_metrics", METRICS)
    if spec is None or spec.loader is None:
        raise ScriptError(f"{METRICS}: cannot be imported; restore the legacy")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def categories(data: Path, task_ids: Sequence[str]) -> dict[str, str]:
    """From the manifest beside the task files; "-" where it has none."""
    manifest = data.parent / "manifest.json"
    tasks = json.loads(manifest.read_text(encoding="utf-8"))["tasks"] if manifest.is_file() else {}
    return {task_id: tasks.get(task_id, {}).get("category", "-") for task_id in task_ids}


def table(report: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    lines = [
        f"Checkpoint `{report['checkpoint']['file']}`, step {report['checkpoint']['step']}. Held-out pairs, teacher-forced; "
        "in %. The last columns are cell / grid accuracy: of the model where it must decide, and of the baselines.",
        "",
        "| task | category | pairs | cell | grid | copy rate | change recall | change precision | "
        + " | ".join(COMPARED)
        + " |",
        "|---" * (8 + len(COMPARED)) + "|",
    ]
    rows = [(task_id, found["category"], found) for task_id, found in report["tasks"].items()]
    rows += [("all of", category, found) for category, found in report["categories"].items()]
    rows += [("**all**", "", found) for found in report["all"].values()]
    for name, category, found in rows:
        own = [f"{100 * found['model'][figure]:.2f}" for figure in FIGURES]
        others = [f"{100 * found[name]['cell_accuracy']:.2f} / {100 * found[name]['grid_accuracy']:.2f}" for name in COMPARED]
        lines.append(f"| {' | '.join([name, category, str(found['pairs']), *own, *others])} |")
    return "\n".join(lines) + "\n"


def picture_row(src: torch.Tensor, tgt: torch.Tensor, guess: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
    return [("input", cropped(src, src)), ("target", cropped(tgt, tgt)), ("prediction", cropped(guess, tgt))]


if __name__ == "__main__":
    sys.exit(run(main))
