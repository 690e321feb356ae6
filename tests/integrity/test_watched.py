"""What is seen of models that no workload hands to the recorder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from unbloat.integrity import integrity_report, to_markdown
from unbloat.phases import recording, strip_phase, stripped_phases
from unbloat.subject import Subject

MODULE = """
import torch


class Inner(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.linear = torch.nn.Linear(size, 2)


class Outer(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.inner = Inner(size)
        self.size = size

    def forward(self, x):
        return self.inner.linear(x)


def run(cfg, size=3):
    model = Outer(size)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(torch.ones(1, size)).sum().backward()
    optimizer.step()
    scheduler.step()
    return [parameter.detach() for parameter in model.parameters()]
"""


def test_models_schedules_and_precision(make_subject: Callable[..., Subject], tmp_path: Path) -> None:
    subject = make_subject(MODULE, strip=lambda text: text.replace('["omegaconf"]', '["omegaconf", "torch"]'))
    with recording(subject, print) as recorded:
        strip_phase(recorded, subject.phases[0], [], print)
        report = integrity_report(recorded, stripped_phases(recorded), {"all": "identical"}, print)
    assert report.failed == []
    lines = to_markdown(report).splitlines()
    assert "`workload/Outer 0`: 3 modules, of which these hold parameters or buffers (2):" in lines
    assert "| inner.linear | Linear | 8 | 8 | weight 2×3, bias 2 | float32 | yes |" in lines
    assert "| workload autocast 0 | [cpu, torch.bfloat16, true] | the same |" in lines
    [scheduler] = [line for line in lines if line.startswith("| workload scheduler 0 |")]
    assert "class: StepLR" in scheduler and "step_size: 7" in scheduler
