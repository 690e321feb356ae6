r"""
The loss between and around two sets of weights.

Line: Goodfellow et al., "Qualitatively characterizing neural network optimization problems" (2015). Rays and
planes with
random directions, scaled parameter by parameter: Li et al., "Visualizing the loss landscape of neural nets"
(2018).

.. math:: w(t) = w_{base} + t (w_{SWA} - w_{base}), \quad w(t) = w_{SWA} + t d, \quad
          w(s, t) = w_{SWA} + s (w_{base} - w_{SWA}) + t d, \quad d_p \leftarrow \frac{d_p}{\lVert d_p \rVert}
          \lVert w_p \rVert
"""

import copy
import csv
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple

import torch
import torch.nn as nn

Weights = Mapping[str, torch.Tensor]
Curve = List[Tuple[float, ...]]  # (t, loss) or (s, t, loss)


class LossLandscape:
    """
    Reads the node training.swa.diagnostics: which of line, rays and plane are wanted, their points and reach,
    how many batches a loss is measured on, the seed of the random directions and where CSV files and pictures
    go.
    """

    def __init__(self, cfg: Any):
        self.enabled = bool(cfg["enabled"])
        self.eval_loader = str(cfg["eval_loader"])
        self.max_batches: Optional[int] = cfg["max_batches"]
        self.line = bool(cfg["line_eval"])
        self.line_points = int(cfg["line_points"])
        self.rays = int(cfg["random_rays"])
        self.ray_points, self.ray_t_max = int(cfg["ray_points"]), float(cfg["ray_t_max"])
        self.plane = bool(cfg["plane_eval"])
        self.plane_grid, self.plane_t_max = int(cfg["plane_grid"]), float(cfg["plane_t_max"])
        self.seed: Optional[int] = cfg["seed"]
        self.output_dir = None if cfg["output_dir"] is None else Path(cfg["output_dir"])
        self.save_csv, self.save_plots = bool(cfg["save_csv"]), bool(cfg["save_plots"])

    def run(
        self,
        model: nn.Module,
        base: Weights,
        average: Weights,
        loader: Iterable[Any],
        loss_of: Callable[[Any], torch.Tensor],
    ) -> Dict[str, Curve]:
        """
        Measure everything that is wanted; the model has its own weights and mode again afterwards.

        base, average: parameters by name; loader: the one named by eval_loader; loss_of: mean loss of the
        model on a batch. Returns {'line': [(t, loss)], 'ray_0': ..., 'plane': [(s, t, loss)]} ({} if not
        enabled).
        """
        if not self.enabled:
            return {}
        batches = [
            batch
            for number, batch in enumerate(loader)
            if self.max_batches is None or number < self.max_batches
        ]
        before, was_training = copy.deepcopy(model.state_dict()), model.training
        model.eval()

        def loss_at(weights: Weights) -> float:
            with torch.no_grad():
                for name, p in model.named_parameters():
                    p.copy_(weights[name])
                return sum(float(loss_of(batch)) for batch in batches) / max(1, len(batches))

        curves = self._curves(base, average, loss_at)
        model.load_state_dict(before)
        model.train(was_training)
        self._write(curves)
        return curves

    def _curves(
        self, base: Weights, average: Weights, loss_at: Callable[[Weights], float]
    ) -> Dict[str, Curve]:
        generator = torch.Generator().manual_seed(torch.initial_seed() if self.seed is None else self.seed)
        towards_base = {name: base[name] - average[name] for name in average}
        curves: Dict[str, Curve] = {}
        if self.line:
            # t = 0 is the base, t = 1 the average
            curves["line"] = [
                (t, loss_at(moved(average, (1.0 - t, towards_base))))
                for t in spaced(0.0, 1.0, self.line_points)
            ]
        for number in range(self.rays):
            ray = random_direction(average, generator)
            curves[f"ray_{number}"] = [
                (t, loss_at(moved(average, (t, ray)))) for t in spaced(0.0, self.ray_t_max, self.ray_points)
            ]
        if self.plane:
            across = random_direction(average, generator)
            reach = spaced(-self.plane_t_max, self.plane_t_max, self.plane_grid)
            curves["plane"] = [
                (s, t, loss_at(moved(average, (s, towards_base), (t, across)))) for s in reach for t in reach
            ]
        return curves

    def _write(self, curves: Mapping[str, Curve]) -> None:
        if self.output_dir is None:
            return
        self.output_dir.mkdir(parents=True, exist_ok=True)
        for name, curve in curves.items():
            if self.save_csv:
                with (self.output_dir / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
                    writer = csv.writer(file)
                    writer.writerow(["s", "t", "loss"][-len(curve[0]) :] if curve else [])
                    writer.writerows(curve)
            if self.save_plots and name != "plane":
                (self.output_dir / f"{name}.svg").write_text(svg_curve(curve), encoding="utf-8")


def spaced(first: float, last: float, points: int) -> List[float]:
    return torch.linspace(first, last, points, dtype=torch.float64).tolist()


def moved(start: Weights, *steps: Tuple[float, Weights]) -> Dict[str, torch.Tensor]:
    """start plus t times every direction."""
    return {
        name: sum((t * direction[name] for t, direction in steps), value) for name, value in start.items()
    }


def random_direction(weights: Weights, generator: torch.Generator) -> Dict[str, torch.Tensor]:
    """Gaussian, with the norm of the weights parameter by parameter."""
    direction = {}
    for name, value in weights.items():
        draw = torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value)
        direction[name] = draw * (value.norm() / draw.norm().clamp_min(1e-12))
    return direction


def svg_curve(curve: Curve, width: int = 480, height: int = 320) -> str:
    """A bare line chart; no plotting library on the cluster."""
    xs, ys = [point[-2] for point in curve], [point[-1] for point in curve]
    span_x, span_y = (max(xs) - min(xs)) or 1.0, (max(ys) - min(ys)) or 1.0
    points = " ".join(
        f"{(x - min(xs)) / span_x * width:.1f},{height - (y - min(ys)) / span_y * height:.1f}"
        for x, y in zip(xs, ys)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
        f"<title>loss {min(ys):.6g} to {max(ys):.6g}</title>"
        f'<polyline points="{points}" fill="none" stroke="black"/></svg>\n'
    )
