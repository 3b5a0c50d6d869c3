"""The commands of README and guide run as written, on tiny stand-ins for the reader's own files."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

from support.commands import ROOT, SIZE, edgegan, make_pictures

SHRINK = [
    f"data.size=[{SIZE},{SIZE}]",
    "data.crops=8",
    "distill.steps=60",
    "distill.learning_rate=0.01",
    "distill.warmup=5",
    "student.widths={}",
    "student.scale=1.0",
]
BUDGET = "budget.bytes=100000"  # of the tiny stand-in's student, in place of the recipe's


def commands(document: str) -> list[list[str]]:
    """edgegan commands of the document's sh blocks, in order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    lines = [
        line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()
    ]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("edgegan ")]


def test_commands_run(tmp_path: Path, cartoon_checkpoint: Path) -> None:
    """Those of README in order, then those of the guide that README does not have."""
    shutil.copy(cartoon_checkpoint, tmp_path / "teacher.pth")
    make_pictures(tmp_path / "photos" / "train", 3)
    make_pictures(tmp_path / "photos" / "val", 1)
    (tmp_path / "android_demo").mkdir()
    readme, guide = commands("README.md"), commands("docs/guide.md")
    for found in (readme, guide):
        assert {command[1] for command in found} >= {
            "import",
            "compress",
            "export",
            "bench",
            "report",
            "bundle",
            "run",
        }
    for command in readme + [each for each in guide if each not in readme]:
        extra: list[str] = []
        if command[1] == "compress":
            settings = [*SHRINK, BUDGET] if command[2] == "gan_slimming" else SHRINK
            extra = [part for setting in settings for part in ("--set", setting)]
        if command[1] == "bench":
            extra = ["--seconds", "0.1"]
        edgegan(*command[1:], *extra, cwd=tmp_path)
    assert (tmp_path / "runs/mine/report.html").is_file()
    assert list((tmp_path / "out").glob("*.png"))


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make (\w+)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_every_option_exists() -> None:
    """Also in commands that are not run here: boards, published recipes, other people's weights."""
    reference = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### edgegan ([\w -]+)\n(.*?)(?=^##|\Z)", reference, re.M | re.S))
    found = 0
    for document in (
        "README.md",
        *(f"docs/{each}.md" for each in ("guide", "app", "results", "papers")),
    ):
        text = (ROOT / document).read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"^.*\bedgegan [a-z].*$", text, re.M):
            for command in re.findall(
                r"edgegan (?:(?:devices|data) )?[a-z][a-z0-9-]+ [^`|&]*", line
            ):
                words = command.split()
                name = " ".join(words[1:3]) if words[1] in ("devices", "data") else words[1]
                for option in (word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)):
                    assert re.search(rf"`{option}[`/]", sections[name]), f"{document}: {command}"
                    found += 1
    assert found > 100


def test_links_exist() -> None:
    for document in (
        "README.md",
        "docs/app.md",
        "docs/guide.md",
        "docs/results.md",
        "docs/papers.md",
        "docs/design.md",
        "docs/extending.md",
        "docs/reference.md",
    ):
        text = (ROOT / document).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            assert (ROOT / document).parent.joinpath(link).exists(), link


def test_named_files_exist() -> None:
    """Paths of Python files in documents; extending.md names files that are to be written."""
    known = [
        str(path.relative_to(ROOT))
        for top in ("edgegan", "export", "benchmarks", "tests", "docs", "android_demo")
        for path in (ROOT / top).rglob("*.py")
    ]
    for document in ("README.md", "docs/guide.md", "docs/design.md", "docs/results.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        for name in re.findall(r"[`\s(]((?:\w+/)*\w+\.py)\b", text):
            found = any(f"/{path}".endswith(f"/{name}") for path in known)
            assert found or "NAME" in name, f"{document}: {name}"


def test_documents_speak_of_the_project_only() -> None:
    for path in [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "android_demo").rglob("*.md"),
    ]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\.\./shared|/work/|/root/|/tmp/", text), path
