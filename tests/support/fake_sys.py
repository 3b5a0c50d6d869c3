"""A /sys that tests can read."""

from __future__ import annotations

from pathlib import Path


def fake_sys(folder: Path) -> Path:
    """A /sys of four little and two big cores, one sensor and one energy counter."""
    for number in range(6):
        core = folder / f"devices/system/cpu/cpu{number}"
        (core / "cpufreq").mkdir(parents=True)
        (core / "cpufreq/scaling_governor").write_text("schedutil\n")
        (core / "cpufreq/scaling_cur_freq").write_text("600000\n")
        (core / "cpufreq/cpuinfo_max_freq").write_text("1800000\n" if number < 4 else "2400000\n")
        (core / "cpu_capacity").write_text("430\n" if number < 4 else "1024\n")
    for path, text in (
        ("class/thermal/thermal_zone0/temp", "54321\n"),
        ("class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("class/powercap/intel-rapl:0/energy_uj", "123456\n"),
        ("devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "7\n"),
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder
