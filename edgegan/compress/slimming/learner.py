"""Everything that slimming changes step by step, what a checkpoint holds of it, and the two events: a cut, and int8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn

from edgegan.channels.importance import per_channel, readers
from edgegan.compress.slimming.deployed import (
    calibrate,
    ranges_of,
    simulate,
    trace_with_taps,
)
from edgegan.compress.slimming.gates import Gates, scale_scores
from edgegan.compress.slimming.int8_layers import Scheme
from edgegan.compress.slimming.narrow import Narrowed, narrow, narrow_maps, narrow_moments
from edgegan.compress.slimming.replay import Replay
from edgegan.training.checkpoint import Stateful, restore_parts, state_of
from edgegan.training.losses import FeatureMaps
from edgegan.training.objective import Objective


@dataclass
class Learner:
    """A student in training. `runner` is what is run: its trace, or once `scheme` is set its simulation in int8.

    `images`, each (1, ...), give static ranges their first values.
    """

    student: Narrowed
    taps: list[str]
    objective: Objective
    gates: Gates | None
    example: torch.Tensor
    images: list[torch.Tensor]
    runner: fx.GraphModule
    optimizer: torch.optim.Optimizer
    replay: Replay = field(default_factory=Replay)
    scale_optimizer: torch.optim.Optimizer | None = None
    scheme: Scheme | None = None
    scores: dict[str, torch.Tensor] = field(default_factory=dict)
    scored: int = 0

    @property
    def maps(self) -> FeatureMaps | None:
        """The maps of the feature term."""
        return self.objective.maps

    def train(self) -> None:
        """Training mode of the student and of what runs it."""
        self.student.module.train()
        self.runner.train()

    def named(self) -> dict[str, torch.Tensor]:
        """Trained parameters by name: the student's, then those of the objective."""
        return named_parameters(self.student.module, self.objective)

    def trained(self) -> list[torch.Tensor]:
        """What the optimiser moves: named parameters, then gates."""
        return trained_parameters(self.student.module, self.objective, self.gates)

    def moved(self) -> list[nn.Parameter]:
        """Everything in the optimiser, quantizers included."""
        return [each for group in self.optimizer.param_groups for each in group["params"]]

    def add_scores(self) -> None:
        """Adds this step's squared first-order changes of the loss, channel by channel (Molchanov et al. 2019)."""
        graph, named = self.student.graph, self.named()
        for group in graph.free():
            change = torch.zeros(group.size, device=self.example.device)
            for name, dim in readers(self.student.module, group):
                weight = named[name]
                if weight.grad is not None:
                    product = weight.detach() * weight.grad
                    change = change + per_channel(product, name, dim, graph, group)
            self.scores[group.name] = self.scores.get(group.name, 0) + change.square()
        self.scored += 1

    def importance(self, method: str) -> dict[str, torch.Tensor]:
        """Scores of the present channels: mean squared changes since the last cut, or sizes of scales and gates."""
        if method == "taylor":
            return {name: score / self.scored for name, score in self.scores.items()}
        return scale_scores(self.student.module, self.student.graph, self.gates)

    def cut(self, keep: Mapping[str, torch.Tensor]) -> None:
        """Takes away all channels but these of the present ones; moments of the optimiser and feature maps follow."""
        before = self.named()
        values = {}
        if self.gates is not None:
            values = {name: self.gates.of(name).detach()[keep[name]] for name in self.gates.groups}
            self.gates.release(self.student.module)
            before = self.named()
        self.student, graph = narrow(self.student, keep, self.example)
        if self.maps is not None:
            before.update(narrow_maps(self.maps, graph, self.taps, keep))
        after = self.named()
        moments = narrow_moments(self.optimizer, before, after, graph, keep)
        for name, parameter in after.items():
            if name.startswith("maps.") and name.endswith(".weight"):
                moments[parameter] = {}
        if self.gates is not None:
            self.gates = Gates(self.student.module, self.student.graph)
            with torch.no_grad():
                for name in self.gates.groups:
                    self.gates.of(name).copy_(values[name])
            self.gates.attach(self.student.module, self.student.graph)
        self.scores, self.scored = {}, 0
        self.runner = trace_with_taps(self.student.module, self.taps, self.example)
        group = self.optimizer.param_groups[0]
        self.optimizer = torch.optim.Adam(self.trained(), group["lr"], betas=group["betas"])
        self.optimizer.state.update(moments)

    def quantize(self, scheme: Scheme) -> None:
        """Goes on in int8; static schemes take their first ranges from the images."""
        self.scheme = scheme
        training = self.runner.training
        device = self.example.device
        self.runner = simulate(self.student.module, self.example, scheme, self.taps).to(device)
        self.runner.train(training)
        if any(True for _ in ranges_of(self.runner)):
            calibrate(self.runner, self.images)
        own = quantizer_parameters(self)
        if own:
            self.optimizer.add_param_group({"params": own})

    def parts(self) -> dict[str, Stateful]:
        """Networks, optimisers and the replay buffer by name; what of the student's shape they depend on is apart."""
        judge = self.objective.judge
        found: dict[str, Stateful | None] = {
            "student": self.student.module,
            "maps": self.maps,
            "terms": self.objective.learnt,
            "gates": self.gates,
            "optimizer": self.optimizer,
            "scale_optimizer": self.scale_optimizer,
            "judge": judge.module if judge else None,
            "judge_optimizer": judge.optimizer if judge else None,
            "replay": self.replay,
        }
        return {name: part for name, part in found.items() if part is not None}

    def state(self, step: int) -> dict[str, Any]:
        """What a resumed run needs: shape, parts, what the simulation of int8 has beside the student, scores."""
        own = {id(each) for each in self.student.module.state_dict(keep_vars=True).values()}
        runner = self.runner.state_dict(keep_vars=True)
        return {
            "kept": self.student.kept,
            "scheme": self.scheme,
            **state_of(self.parts(), step),
            "quantizers": {k: v.detach() for k, v in runner.items() if id(v) not in own},
            "scores": self.scores,
            "scored": self.scored,
        }

    def restore(self, state: dict[str, Any]) -> int:
        """Loads a checkpoint into a fresh learner; returns the number of steps done."""
        kept = {name: channels.cpu() for name, channels in state["kept"].items()}
        if any(len(kept[name]) < len(own) for name, own in self.student.kept.items()):
            self.cut(kept)
        if state["scheme"] is not None and self.scheme is None:
            self.quantize(state["scheme"])
        done = restore_parts(self.parts(), state)
        self.runner.load_state_dict(state["quantizers"], strict=False)
        self.scores, self.scored = state["scores"], state["scored"]
        self.train()
        return done


def named_parameters(student: nn.Module, objective: Objective) -> dict[str, torch.Tensor]:
    """Parameters by name, as they are called without gates: the student's, those of the feature maps, those of further
    terms that have any."""
    found: dict[str, torch.Tensor] = {}
    for name, parameter in student.named_parameters():
        found[name.replace("parametrizations.", "").replace(".original", "")] = parameter
    if objective.maps is not None:
        found.update(objective.maps.named_parameters())
    found.update(objective.learnt.named_parameters(prefix="terms"))
    return found


def trained_parameters(
    student: nn.Module, objective: Objective, gates: Gates | None
) -> list[torch.Tensor]:
    """What an optimiser moves: named parameters, then gates."""
    return [*named_parameters(student, objective).values(), *(gates.parameters() if gates else ())]


def quantizer_parameters(learner: Learner) -> list[nn.Parameter]:
    """Parameters of the simulation that the student does not have: steps and ranges."""
    own = {id(parameter) for parameter in learner.student.module.parameters()}
    return [each for each in learner.runner.parameters() if id(each) not in own]
