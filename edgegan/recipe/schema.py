"""The recipe: one YAML file is one run. A section a file; the whole, and what holds between sections, here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from edgegan.recipe.budget_section import Budget
from edgegan.recipe.data_section import Data
from edgegan.recipe.distill_section import Distill
from edgegan.recipe.kinds import Method, flags
from edgegan.recipe.search_section import Search, Supernet
from edgegan.recipe.section import Section
from edgegan.recipe.slim_section import Slim
from edgegan.recipe.student_section import Student
from edgegan.recipe.train_section import Train


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
        description="distill (the student is its teacher, narrower), gan-compression (it is searched in a supernet) or "
        "gan-slimming (it is pruned and quantised while it is distilled)",
    )
    supernet: Supernet = Supernet()
    search: Search = Search()
    slim: Slim = Slim()
    budget: Budget = Budget()
    seed: int = Field(0, ge=0, le=10**15, description="seed of crops, weights and order")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where to train; auto: CUDA when there is one"
    )

    @model_validator(mode="after")
    def check_kind(self) -> Recipe:
        """The data are of a kind that the teacher's training can use."""
        self.train.check_kind(self.data.kind)
        return self

    @model_validator(mode="after")
    def budgets_suit_the_method(self) -> Recipe:
        """A search needs a budget, widths that are given none; GAN Slimming goes to one, unless it has its published
        form or prunes nothing."""
        limits, method = self.budget.limits(), self.method
        if method == "gan-slimming" and len(limits) > 1:
            raise ValueError(f"method {method} takes one budget: set {' or '.join(limits)}")
        whole = self.slim.form == "paper" or self.slim.prune_times == 0
        published = method == "gan-slimming" and whole
        given = method == "gan-compression" and bool(self.search.widths)
        if self.search.widths and not given:
            raise ValueError(
                f"search.widths means nothing for method {method}: set gan-compression"
            )
        if method != "distill" and not limits and not published and not given:
            raise ValueError(f"method {method} needs a budget: {flags()}")
        return self

    @model_validator(mode="after")
    def finetuning_has_its_discriminator(self) -> Recipe:
        """One that trains on in fine-tuning was trained in slimming, and there is a fine-tuning."""
        if not self.slim.finetune_discriminator:
            return self
        weight = "slim.gan_weight" if self.slim.form == "paper" else "distill.gan_weight"
        trained = self.slim.gan_weight if self.slim.form == "paper" else self.distill.gan_weight
        if trained == 0 or self.slim.finetune_steps == 0:
            raise ValueError(
                f"slim.finetune_discriminator needs {weight} and slim.finetune_steps above 0"
            )
        return self

    @model_validator(mode="after")
    def starts_suit_the_method(self) -> Recipe:
        """What slimming takes of the teacher is a key of its own; an earlier student keeps its form."""
        if self.method == "gan-slimming" and self.student.start == "teacher":
            raise ValueError(
                "student.start teacher means nothing for method gan-slimming: set slim.initial teacher"
            )
        if self.student.earlier is None:
            return self
        if self.method == "gan-compression":
            raise ValueError(
                "student.start FOLDER means nothing for method gan-compression, which starts from random or teacher"
            )
        if self.method == "distill" and self.budget.limits():
            raise ValueError(
                "student.start FOLDER keeps that student's form, so that no budget can be met: set method "
                "gan-slimming, or no budget"
            )
        if self.slim.initial == "teacher":
            raise ValueError("student.start FOLDER and slim.initial teacher exclude each other")
        return self
