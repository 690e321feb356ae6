r"""
What fine-tuning on a task changed, as small matrices ("skills").

Truncated SVD of the difference, the best approximation of its rank (Eckart and Young, 1936) and the form of
an adapter of Hu et al., "LoRA" (2022):

.. math:: \Delta W = W_{tuned} - W_{base} \approx B A, \qquad B = U_r \Sigma_r^{1/2}, \; A = \Sigma_r^{1/2}
          V_r^\top

[INFERRED] Known is that the fine-tuner calls it if skill_extract.enabled. Alternative considered: differences
as they are, without reducing their rank.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterable, Mapping, Tuple, Union

import torch

from champion.utils.logging_config import setup_logging
from champion.utils.model_factory import read_state_dict

logger = setup_logging(__name__)
State = Mapping[str, torch.Tensor]


@dataclass
class Skill:
    """Factors (B [out, r], A [r, in]) per matrix, differences for the rest, share of the change kept."""

    task_id: str
    factors: Dict[str, Tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    offsets: Dict[str, torch.Tensor] = field(default_factory=dict)
    kept_energy: float = 1.0

    def save(self, path: Union[str, Path]) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        content = {
            "task_id": self.task_id,
            "factors": self.factors,
            "offsets": self.offsets,
            "kept": self.kept_energy,
        }
        torch.save(content, path)

    @classmethod
    def load(cls, path: Union[str, Path]) -> "Skill":
        content = torch.load(path, map_location="cpu", weights_only=True)
        return cls(content["task_id"], content["factors"], content["offsets"], content["kept"])


def extract_skill(base: State, tuned: State, task_id: str, rank: int = 8, tolerance: float = 1e-8) -> Skill:
    """
    The skill between two state dicts with the same names.

    Matrices whose rank cannot be larger than ``rank`` lose nothing. Tensors that moved by no more than
    ``tolerance`` are left out, and so are integers.
    """
    if rank < 1:
        raise ValueError(f"rank must be at least 1, got {rank}")
    skill = Skill(task_id)
    energy = kept = 0.0
    for name, before in base.items():
        if name not in tuned or not before.is_floating_point():
            continue
        delta = tuned[name].detach() - before.detach()
        if float(delta.abs().max() if delta.numel() else 0.0) <= tolerance:
            continue
        energy += float((delta.double() ** 2).sum())
        if delta.dim() != 2:
            skill.offsets[name] = delta.clone()
            kept += float((delta.double() ** 2).sum())
            continue
        u, s, vh = torch.linalg.svd(delta, full_matrices=False)
        u, s, vh = u[:, :rank], s[:rank], vh[:rank]
        kept += float((s.double() ** 2).sum())
        root = s.sqrt()
        skill.factors[name] = ((u * root).contiguous(), (root.unsqueeze(1) * vh).contiguous())
    skill.kept_energy = min(1.0, kept / energy) if energy else 1.0
    return skill


def apply_skill(base: State, skill: Skill, scale: float = 1.0) -> Dict[str, torch.Tensor]:
    """A copy of ``base`` with the skill added ``scale`` times."""
    state = {name: value.clone() for name, value in base.items()}
    for name, (b, a) in skill.factors.items():
        state[name] = state[name] + scale * (b @ a).to(state[name])
    for name, offset in skill.offsets.items():
        state[name] = state[name] + scale * offset.to(state[name])
    return state


def extract_skills(
    base_checkpoint: Union[str, Path],
    tuned_checkpoints: Iterable[Tuple[str, Union[str, Path]]],
    output_dir: Union[str, Path],
    rank: int = 8,
) -> Dict[str, Path]:
    """One file OUTPUT_DIR/TASK.pt per (task id, checkpoint); a missing checkpoint only warns."""
    base = read_state_dict(base_checkpoint)
    written: Dict[str, Path] = {}
    for task_id, checkpoint in tuned_checkpoints:
        if not Path(checkpoint).is_file():
            logger.warning("%s: no checkpoint at %s", task_id, checkpoint)
            continue
        skill = extract_skill(base, read_state_dict(checkpoint), task_id, rank)
        written[task_id] = Path(output_dir) / f"{task_id}.pt"
        skill.save(written[task_id])
        logger.info("%s: rank %d keeps %.1f %% of the change", task_id, rank, 100 * skill.kept_energy)
    return written
