"""The report: true figures, offline, escaped, warned, several runs beside one another, kinds kept apart."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.commands import edgegan
from support.hostile import NAMES

from edgegan.artefact import exported_models
from edgegan.benchmarks import table
from edgegan.benchmarks.record import read_records
from edgegan.benchmarks.report import report
from edgegan.benchmarks.reporting import columns
from edgegan.benchmarks.reporting.curves import budget_plot, training_plots
from edgegan.benchmarks.reporting.headline import make_headline, ratio
from edgegan.benchmarks.reporting.verdicts import warning_texts
from edgegan.errors import IntegrityError
from edgegan.files import read_json, sha256_file, write_json
from edgegan.run import Run

MARKUP = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def made(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    edgegan("report", finished_run, "-o", path)
    return path


@pytest.fixture(scope="module")
def page(made: Path) -> str:
    return made.read_text(encoding="utf-8")


def test_headline_is_computed_from_manifests(finished_run: Path, page: str) -> None:
    models = {model.file: (path, model) for path, model in exported_models(finished_run / "export")}
    records = {record.artefact: record for record in read_records(finished_run / "bench")}
    headline = make_headline(models, records, Run.open(finished_run).student_figures())
    teacher, student = models["teacher_fp32.tflite"][1], models["student_int8.tflite"][1]
    slow = records["teacher_fp32.tflite"].latency["median_ms"]
    fast = records["student_int8.tflite"].latency["median_ms"]
    assert [item.value.removesuffix(" UNSTABLE") for item in headline[:3]] == [
        ratio(teacher.macs / student.macs),
        ratio(teacher.bytes / student.bytes),
        ratio(slow / fast),
    ]
    assert len(headline) == 5
    for item in headline:
        assert f"<b>{item.value}</b>" in page


def test_page_is_self_contained(page: str) -> None:
    assert not re.findall(r"(?:src|href)=[\"'](?!data:)", page)
    assert "http:" not in page and "https:" not in page
    assert "url(" not in page
    assert page.count('<figure><div class="slide"') == 1
    for name in ("student_fp16.onnx", "teacher_int8.tflite"):
        assert name in page


def test_twins_hold_the_same_figures(finished_run: Path, made: Path) -> None:
    facts = read_json(made.with_suffix(".json"))["runs"][0]
    markdown = made.with_suffix(".md").read_text(encoding="utf-8")
    for item in facts["headline"]:
        assert f"**{item['value']}**" in markdown
    int8 = next(a for a in facts["artefacts"] if a["model"]["file"] == "student_int8.tflite")
    assert (
        int8["model"]["sha256"]
        == read_json(finished_run / "export/export.json")["artefacts"]["student_int8.tflite"][
            "sha256"
        ]
    )
    (group,) = facts["latency"]
    assert group["kind"] == "measured" and len(group["bars"]) == 12
    assert all(bar["low"] <= bar["value"] <= bar["high"] <= group["top"] for bar in group["bars"])


def test_curves_by_hand(tmp_path: Path) -> None:
    """Stages apart, trials of one kind together, cut lines and NaN passed over, the budget in a plot of its own."""
    metrics = tmp_path / "metrics.jsonl"
    entries = [
        {"stage": "supernet", "step": 1, "loss": 4.0, "l1": 9.0},
        {"stage": "supernet", "step": 2, "loss": 2.0},
        {"stage": "check 1/2 alone", "step": 1, "loss": 1.0},
        {"stage": "check 1/2 alone", "step": 2, "loss": 3.0},
        {"stage": "check 2/2 alone", "step": 1, "loss": 2.0},
        {"stage": "check 2/2 alone", "step": 2, "loss": 1.0},
        {"step": 5, "validation_psnr_db": 10.0},
        {"step": 10, "validation_psnr_db": 20.0},
        {"step": 10, "loss": float("nan")},
        {"step": 2, "budget": "macs", "cost": 80.0, "allowed": 90.0, "widths": {}},
        {"step": 4, "budget": "macs", "cost": 50.0, "allowed": 60.0, "widths": {}},
    ]
    lines = [json.dumps(entry) for entry in entries]
    metrics.write_text("\n".join([*lines, '{"step": 11, "lo']), "utf-8")
    supernet, check, student = training_plots(metrics)
    assert (supernet.stage, supernet.title, supernet.steps) == ("supernet", "training loss", 2)
    assert supernet.lines[0].points == "300.0,6.0 600.0,154.0"
    assert [line.label for line in check.lines] == ["check 1/2 alone", "check 2/2 alone"]
    assert check.lines[1].points == "300.0,80.0 600.0,154.0"
    assert (student.stage, student.low, student.high) == ("distill", 10.0, 20.0)
    budget = budget_plot(metrics)
    assert budget is not None and budget.title == "macs"
    assert [(line.first, line.last) for line in budget.lines] == [(80.0, 50.0), (90.0, 60.0)]


def copy_of(run: Path, folder: Path) -> Path:
    shutil.copytree(run, folder)
    return folder


def test_every_name_is_escaped(finished_run: Path, tmp_path: Path) -> None:
    """A run whose recipe, devices, evaluations, commands and pictures are all named as an attacker would."""
    run = copy_of(finished_run, tmp_path / "run")
    manifest = read_json(run / "run.json")
    manifest["recipe"].update(name=MARKUP, description=MARKUP, method=MARKUP)
    manifest["command"] = MARKUP
    manifest["environment"]["processor"] = MARKUP
    manifest["stages"][MARKUP] = {**manifest["stages"]["import"], "outputs": {}}
    cache = run / "stages/teacher_cache/cache.json"
    about = read_json(cache)
    about["validation"] = [MARKUP] * len(about["validation"])
    write_json(cache, about)
    manifest["stages"]["teacher_cache"]["outputs"]["stages/teacher_cache/cache.json"] = sha256_file(
        cache
    )
    write_json(run / "run.json", manifest)
    for path in (run / "bench").glob("*.json"):
        record = read_json(path)
        record.update(device=MARKUP, command=MARKUP, runtime_version=MARKUP, reasons=[MARKUP])
        record.update(verdict="UNSTABLE", device_state={"board": MARKUP}, warnings=[MARKUP])
        record["profile"] = [[MARKUP, 1.0]]
        write_json(path, record)
    model = run / "export/student_int8.tflite.model.json"
    layer = {"layer": MARKUP, "kind": MARKUP, "macs": 1e6, "psnr_db": 30.0, "gain_db": 0.5}
    finding = {"rule": MARKUP, "count": 1, "where": MARKUP, "reason": MARKUP, "cost": MARKUP}
    more = {"sensitivity": [layer], "float_layers": [MARKUP], "lint": [finding]}
    write_json(model, {**read_json(model), **more, "licence": MARKUP})
    protocol = {"metric": MARKUP, "images": MARKUP, "reference": MARKUP, "count": 1}
    figure = {"name": MARKUP, "value": 1.0, "higher_is_better": True, "count": 1, "unit": MARKUP}
    figure["protocol"] = {**protocol, "reference_count": 1}
    evaluation = {"subject": MARKUP, "against": MARKUP, "figures": [figure], "notes": [MARKUP]}
    write_json(run / "evaluate.json", {"schema_version": 1, "evaluations": [evaluation]})
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        for step in (1, 2):
            file.write(json.dumps({"stage": MARKUP, "step": step, "loss": 1.0, MARKUP: 2.0}) + "\n")
            file.write(json.dumps({"stage": MARKUP, "step": step, MARKUP: 2.0}) + "\n")
            cost = {"step": step, "budget": MARKUP, "cost": 1.0, "allowed": 2.0}
            file.write(json.dumps(cost) + "\n")
    path, _ = report([run])
    text = path.read_text(encoding="utf-8")

    class Tags(HTMLParser):
        scripts, handlers = 0, 0

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            Tags.scripts += tag == "script"
            Tags.handlers += any(name.startswith("on") for name, _ in attrs)

    Tags().feed(text)
    assert (Tags.scripts, Tags.handlers) == (1, 0)
    assert text.count("&lt;script&gt;alert(1)") > 30
    assert "<script>alert" not in text
    assert "Where int8 costs most" in text and "+0.50 dB" in text and "Mobile lint" in text
    assert "Where the time goes" in text and "<h3>Budget</h3>" in text
    markdown = path.with_suffix(".md").read_text(encoding="utf-8")
    outside = [line for line in markdown.splitlines() if not line.startswith("    ")]
    assert "<" not in "".join(outside)


def test_folder_names_are_text(finished_run: Path, tmp_path: Path) -> None:
    """Runs in folders named as a shell or a page would misread them stand side by side."""
    runs = [
        copy_of(finished_run, tmp_path / str(index) / name)
        for index, name in enumerate(("<b onload=x>", NAMES[9]))
    ]
    path, headlines = report(runs, tmp_path / "both.html")
    text = path.read_text(encoding="utf-8")
    assert list(headlines) == ["<b onload=x>", NAMES[9]]
    assert "&lt;b onload=x&gt;" in text and "<b onload" not in text


def test_runs_stand_side_by_side_and_kinds_apart(finished_run: Path, tmp_path: Path) -> None:
    second = copy_of(finished_run, tmp_path / "second")
    source = read_json(next((second / "bench").glob("*student_int8.tflite*.json")))
    base = {
        key: source[key]
        for key in (
            *("device", "artefact", "sha256", "role", "target", "precision", "runtime", "size"),
            *("runtime_version", "threads", "parameters", "macs", "macs_published", "macs_fvcore"),
            *("size_bytes", "environment", "started", "command"),
        )
    }
    counted = {**base, "device": "arm64", "kind": "emulated-instructions", "core": "cortex-a53"}
    counted |= {"instructions": 123_000_000, "first_instructions": 1, "shares": {}}
    guessed = {**base, "device": "phone", "kind": "predicted", "unit": "ms", "predicted": 5.5}
    guessed |= {"predictor": "table", "validation_error": 0.1}
    write_json(second / "bench/arm64__student_int8.tflite.json", counted)
    write_json(second / "bench/phone__student_int8.tflite.json", guessed)
    out = tmp_path / "both.html"
    done = edgegan("report", finished_run, second, "-o", out, "--json")
    shown = json.loads(done.stdout)
    assert set(shown["runs"]) == {finished_run.name, "second"}
    values = read_json(out.with_suffix(".json"))
    kinds = [group["kind"] for group in values["runs"][1]["latency"]]
    assert kinds == ["measured", "emulated-instructions", "predicted"]
    assert [len(group["bars"]) for group in values["runs"][1]["latency"]] == [12, 1, 1]
    tables = {table["title"]: table for table in values["comparison"]}
    assert len(tables["Latency, measured"]["rows"]) == 12
    for title, figure in (("Instructions", "123.0 million"), ("Predicted", "5.50 ms")):
        ((_, before, after),) = next(t for n, t in tables.items() if n.startswith(title))["rows"]
        assert (before, after) == ("", figure)
    assert out.read_text(encoding="utf-8").count('<section class="run">') == 2


def test_several_runs_need_a_place(finished_run: Path) -> None:
    done = edgegan("report", finished_run, finished_run.parent, check=False)
    assert done.returncode == 2
    assert "-o comparison.html" in done.stderr
    assert edgegan("report", finished_run, "-o", "x.json", check=False).returncode == 2


def test_warnings_name_what_to_doubt(finished_run: Path) -> None:
    models = {model.file: (path, model) for path, model in exported_models(finished_run / "export")}
    quality = {"psnr_to_teacher_db": 20.0, "identity_psnr_db": 19.5}
    found = " ".join(warning_texts(models, [], ["student_int8.onnx"], quality))
    assert "Nothing was benched" in found
    assert "benched before it was exported again" in found
    assert "hardly nearer" in found


@pytest.mark.parametrize(
    ("name", "max_abs", "psnr_db", "near"),
    [
        ("student_fp32.tflite", 6e-5, 120.0, True),
        ("student_fp32.tflite", 4e-5, 120.0, False),
        ("student_fp16.tflite", 0.1, 62.0, True),
        ("student_fp16.tflite", 0.1, 70.0, False),
        ("student_int8.tflite", 0.1, 31.0, True),
        ("student_int8.tflite", 0.1, 40.0, False),
    ],
)
def test_a_gate_that_was_near_is_told(
    finished_run: Path, name: str, max_abs: float, psnr_db: float, near: bool
) -> None:
    models = {model.file: (path, model) for path, model in exported_models(finished_run / "export")}
    path, model = models[name]
    metric, limit = {
        "fp32": ("max_abs", 1e-4),
        "fp16": ("psnr_db", 60.0),
        "int8": ("psnr_db", 30.0),
    }[model.precision]
    gate = {"metric": metric, "limit": limit, "gate": "in words that nobody parses"}
    parity = model.parity.model_copy(update={"max_abs": max_abs, "psnr_db": psnr_db, **gate})
    changed = model.model_copy(update={"parity": parity, "psnr_to_teacher_db": 20.0})
    texts = warning_texts({name: (path, changed)}, [], [], {"psnr_to_teacher_db": 20.0})
    assert any("near its gate" in text for text in texts) == near


def test_int8_drop_and_unsteady_latency_are_told(finished_run: Path) -> None:
    models = {model.file: (path, model) for path, model in exported_models(finished_run / "export")}
    path, model = models["student_int8.tflite"]
    low = model.model_copy(update={"psnr_to_teacher_db": 19.2, "drop_limit_db": 1.0})
    record = read_records(finished_run / "bench")[0].model_copy(
        update={"verdict": "UNSTABLE", "reasons": ["the clock fell"]}
    )
    text = " ".join(
        warning_texts({model.file: (path, low)}, [record], [], {"psnr_to_teacher_db": 20.0})
    )
    assert "int8 loses 0.80 dB to the teacher; the gate is 1 dB" in text
    assert "UNSTABLE (the clock fell)" in text
    wide = low.model_copy(update={"drop_limit_db": 2.0})
    quality = {"psnr_to_teacher_db": 20.0}
    assert not any("int8 loses" in t for t in warning_texts({"m": (path, wide)}, [], [], quality))
    far = wide.model_copy(update={"psnr_to_teacher_db": 18.4})
    texts = warning_texts({"m": (path, far)}, [], [], quality)
    assert any("int8 loses 1.60 dB to the teacher; the gate is 2 dB" in text for text in texts)


def test_a_column_is_one_line(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column of an artefact shows in the page, in Markdown and in the table of several runs; one of a record in
    bench's table and in the page."""
    licence = columns.ArtefactColumn("licence", lambda model: f"<{model['role']}>", several="role")
    drift = table.Column("drift", lambda row: f"{row.record.artefact}!", report=True)
    monkeypatch.setattr(columns, "COLUMNS", (*columns.COLUMNS, licence, columns.from_bench(drift)))
    monkeypatch.setattr(table, "COLUMNS", (*table.COLUMNS, drift))
    second = copy_of(finished_run, tmp_path / "second")
    path, _ = report([finished_run, second], tmp_path / "both.html")
    page = path.read_text(encoding="utf-8")
    assert (
        page.count("<th>licence</th>") == 2 and page.count("<td>&lt;student&gt;</td>") == 2 * 6 + 2
    )
    assert page.count("student_int8.tflite!") == 2
    markdown = path.with_suffix(".md").read_text(encoding="utf-8")
    assert markdown.count("&lt;student>") == 2 * 6 + 2 and "drift" not in markdown
    rows = read_json(path.with_suffix(".json"))["comparison"][0]["rows"]
    assert ["student licence", "<student>", "<student>"] in rows
    shown = table.records_table(read_records(finished_run / "bench"))
    assert "drift" in shown and "student_int8.tflite!" in shown


def test_changed_files_are_refused(finished_run: Path, tmp_path: Path) -> None:
    run = copy_of(finished_run, tmp_path / "run")
    array = run / "stages/teacher_cache/validation_output.npy"
    content = bytearray(array.read_bytes())
    content[-1] ^= 1
    array.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"validation_output\.npy is not the file"):
        report([run])
    array.unlink()
    with pytest.raises(IntegrityError, match="is missing"):
        report([run])


def test_unfinished_run_is_refused(tmp_path: Path) -> None:
    done = edgegan("report", tmp_path, check=False)
    assert done.returncode == 2
    assert "is not a run" in done.stderr
