"""Random nets and cases made by hand through both converters, each compared with PyTorch."""

from __future__ import annotations

import json

import pytest
from support.commands import forked


@pytest.fixture(scope="module")
def fuzzed() -> list[dict]:
    """Five of the random nets of `make fuzz-export` and the cases made by hand, in one process."""
    arguments = ["--first", "3", "--count", "5", "--cases"]
    done = forked("support.fuzz_export", "fuzz_export", arguments, timeout=900)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines, done.stderr[-2000:]
    return lines


def test_random_nets_are_never_silently_wrong(fuzzed: list[dict]) -> None:
    nets = [line for line in fuzzed if "seed" in line]
    verdicts = [line["verdict"] for line in nets]
    assert set(verdicts) <= {"equal", "refused"}, nets
    assert verdicts.count("equal") >= 4, nets


def test_families_reach_parity(fuzzed: list[dict]) -> None:
    cases = next(line for line in fuzzed if "families" in line)
    assert all(each["psnr_db"] >= 110 for each in cases["families"].values()), cases


def test_the_converters_nearest_error_is_caught_and_named(fuzzed: list[dict]) -> None:
    """litert-torch alone reduces with half-pixel centres and says nothing."""
    found = next(line for line in fuzzed if "families" in line)["silent_nearest"]
    assert found["plain"]["psnr_db"] < 60
    assert found["ours"]["psnr_db"] > 110
    assert (found["culprit"]["layer"], found["culprit"]["kind"]) == ("2", "Upsample")
