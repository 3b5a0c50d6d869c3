"""The recipe: one YAML file is one run. A section a file; the whole, and what holds between sections, here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from edgegan.recipe.data_section import Data as Data
from edgegan.recipe.distill_section import Distill as Distill
from edgegan.recipe.search_section import Search as Search
from edgegan.recipe.search_section import Supernet as Supernet
from edgegan.recipe.section import Section
from edgegan.recipe.slim_section import Slim as Slim
from edgegan.recipe.student_section import Block as Block
from edgegan.recipe.student_section import Norm as Norm
from edgegan.recipe.student_section import Student as Student
from edgegan.recipe.train_section import Train

Method = Literal["distill", "gan-compression", "gan-slimming"]
COUNTED = ("macs", "params", "bytes")  # budgets that widths alone tell


class Budget(Section):
    """What one image may cost; every one that is set holds."""

    macs: float | None = Field(None, gt=0, description="multiply-adds")
    params: float | None = Field(None, gt=0, description="weights")
    bytes: float | None = Field(None, gt=0, description="bytes of the int8 .tflite file")
    ms: float | None = Field(
        None, gt=0, description="milliseconds of the int8 artefact on `device`"
    )
    device: str = Field(
        "host", description="of ms: host, or the file of a latency table measured by edgegan bench"
    )
    instructions: float | None = Field(
        None, gt=0, description="arm64 instructions of the int8 artefact on `core`"
    )
    core: str = Field(
        "cortex-a76", description="of instructions: cortex-a53, cortex-a72 or cortex-a76"
    )

    def limits(self) -> dict[str, float]:
        """The budgets that are set, by cost."""
        names = ("macs", "params", "bytes", "ms", "instructions")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @property
    def aim(self) -> tuple[str, float] | None:
        """The first budget that is set, with its kind."""
        return next(iter(self.limits().items()), None)


class Recipe(Section):
    """One run: of `edgegan train` for the train section, of `edgegan compress` for student and distill."""

    name: str = Field(
        description="short name of the run and of its student",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
    )
    description: str = Field("", description="what it does, in a line")
    teacher: Path | None = Field(
        None, description="teacher: a generator package or a checkpoint file"
    )
    discriminator: Path | None = Field(
        None, description="checkpoint of the teacher's discriminator, for a checkpoint teacher"
    )
    data: Data = Data()
    train: Train = Train()
    student: Student = Student()
    distill: Distill = Distill()
    method: Method = Field(
        "distill",
        description="distill (the student's shape is given), gan-compression (it is searched in a supernet) or "
        "gan-slimming (it is pruned and quantised while it is distilled)",
    )
    supernet: Supernet = Supernet()
    search: Search = Search()
    slim: Slim = Slim()
    budget: Budget = Budget()
    seed: int = Field(0, ge=0, description="seed of crops, weights and order")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where to train; auto: CUDA when there is one"
    )

    @model_validator(mode="after")
    def check_kind(self) -> Recipe:
        """The data are of a kind that the teacher's training can use."""
        self.train.check_kind(self.data.kind)
        return self

    @model_validator(mode="after")
    def slimming_has_one_aim(self) -> Recipe:
        """GAN Slimming goes to one budget; the published form may have none."""
        if self.method != "gan-slimming":
            return self
        limits = self.budget.limits()
        if len(limits) > 1:
            raise ValueError(f"method gan-slimming takes one budget: set {' or '.join(limits)}")
        if not limits and self.slim.form == "budget":
            raise ValueError(
                "method gan-slimming needs a budget: --budget-bytes, --budget-macs, --budget-params, --budget-ms or "
                "--budget-instructions"
            )
        return self
