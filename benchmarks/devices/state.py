"""How a device fares: cores, governors, frequencies, temperatures, throttling, energy; read by one constant script."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from edgegan.streams import printable

# POSIX sh without a single child process but uname and vcgencmd: cheap on a phone and under emulation.
# $1 is the sysfs root. Lines are "sys:PATH=VALUE", "cpu:KEY: VALUE" or "KEY=VALUE".
PROBE_SCRIPT = r"""
S=${1:-/sys}
echo "machine=$(uname -m)"
echo "system=$(uname -sr)"
for f in "$S"/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor \
  "$S"/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq \
  "$S"/devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_max_freq \
  "$S"/devices/system/cpu/cpu[0-9]*/cpu_capacity \
  "$S"/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count \
  "$S"/class/thermal/thermal_zone[0-9]*/temp "$S"/class/thermal/thermal_zone[0-9]*/type \
  "$S"/class/powercap/*:[0-9]/energy_uj "$S"/class/hwmon/hwmon[0-9]*/energy*_input; do
  if [ -r "$f" ] && IFS= read -r v < "$f"; then echo "sys:${f#"$S"/}=$v"; fi
done 2>/dev/null
while IFS= read -r v; do
  case $v in
    processor*|Features*|flags*|"CPU part"*|"CPU implementer"*|"model name"*|Hardware*|Model*) echo "cpu:$v";;
  esac
done < /proc/cpuinfo
if IFS= read -r v < /proc/loadavg; then echo "load=$v"; fi
if [ -r /proc/device-tree/model ]; then IFS= read -r v < /proc/device-tree/model; echo "board=$v"; fi 2>/dev/null
if command -v vcgencmd >/dev/null 2>&1; then echo "throttled=$(vcgencmd get_throttled)"; fi
"""

MOST_TEXT, MOST_LINE, MOST_LINES = 400, 8000, 20_000
LOAD = re.compile(r"\d{1,6}(\.\d{1,6})?", re.A)
# Bits of a Raspberry Pi's get_throttled that say "now".
PI_THROTTLED_NOW = 0xF


@dataclass(frozen=True)
class Core:
    """One processor core. Frequencies in kHz; capacity is the kernel's, 1024 for the biggest."""

    number: int
    governor: str | None = None
    frequency_khz: int | None = None
    max_khz: int | None = None
    capacity: int | None = None


@dataclass(frozen=True)
class DeviceState:
    """What a device is, and how it fares at one moment."""

    machine: str = ""
    system: str = ""
    processor: str = ""
    board: str = ""
    features: list[str] = field(default_factory=list)
    midr: list[str] = field(default_factory=list)
    cores: list[Core] = field(default_factory=list)
    temperatures_c: dict[str, float] = field(default_factory=dict)
    throttled: bool | None = None
    throttle_events: int | None = None
    energy_uj: dict[str, int] = field(default_factory=dict)
    load: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values for a record."""
        return asdict(self)

    def hottest_c(self) -> float | None:
        """The highest temperature, or None without a sensor."""
        return max(self.temperatures_c.values(), default=None)

    def big_cores(self) -> list[int] | None:
        """The cores of the strongest cluster by capacity, else by highest frequency; None when all are alike."""
        strength = {c.number: c.capacity or c.max_khz or 0 for c in self.cores}
        if len(set(strength.values())) < 2:
            return None
        best = max(strength.values())
        return sorted(number for number, value in strength.items() if value == best)

    def warnings(self) -> list[str]:
        """What makes timings here less trustworthy."""
        found = []
        governors = sorted({c.governor for c in self.cores if c.governor})
        if governors and governors != ["performance"]:
            found.append(
                f"the frequency governor is {', '.join(governors)}, not performance: frequencies follow the load"
            )
        if self.throttled:
            found.append("the device says that it is throttling now")
        return found


def brief_text(text: str) -> str:
    """What a device says of itself, short and without control characters."""
    return printable(text.strip()[:MOST_TEXT])


def whole(text: str) -> int | None:
    """A number of at most 18 digits, or None."""
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.A) else None


def load_average(text: str) -> list[float]:
    """Up to three loads; nothing where a device tells something else."""
    words = text.split()[:3]
    return [float(w) for w in words] if all(map(LOAD.fullmatch, words)) else []


def parse_state(text: str) -> DeviceState:
    """The state that PROBE_SCRIPT printed; lines it does not know, and numbers that are none, are left alone."""
    values: dict[str, str] = {}
    sysfs: dict[str, str] = {}
    cpu: list[tuple[str, str]] = []
    for line in text.replace("\0", "").splitlines():
        line = line[:MOST_LINE]
        if len(sysfs) + len(cpu) + len(values) >= MOST_LINES:
            break
        if line.startswith("sys:") and "=" in line:
            path, _, value = line[4:].partition("=")
            sysfs[brief_text(path)] = brief_text(value)
        elif line.startswith("cpu:"):
            key, _, value = line[4:].partition(":")
            cpu.append((key.strip(), printable(value.strip())))
        elif "=" in line:
            key, _, value = line.partition("=")
            values[key.strip()] = brief_text(value)
    throttled, events = read_throttling(values, sysfs)
    return DeviceState(
        machine=values.get("machine", ""),
        system=values.get("system", ""),
        processor=next((v for k, v in cpu if k in ("model name", "Hardware")), ""),
        board=values.get("board") or next((v for k, v in cpu if k == "Model"), ""),
        features=next((v.split() for k, v in cpu if k in ("Features", "flags")), []),
        midr=sorted({f"{k}={v}" for k, v in cpu if k in ("CPU implementer", "CPU part")}),
        cores=read_cores(sysfs, sum(k == "processor" for k, _ in cpu)),
        temperatures_c=read_temperatures(sysfs),
        throttled=throttled,
        throttle_events=events,
        energy_uj={
            path: number
            for path, value in sysfs.items()
            if re.search(r"energy(_uj|\d*_input)$", path) and (number := whole(value)) is not None
        },
        load=values.get("load", ""),
    )


def read_cores(sysfs: dict[str, str], count: int) -> list[Core]:
    """Every core that /proc/cpuinfo or sysfs names."""
    numbers = set(range(count))
    for path in sysfs:
        found = re.match(r"devices/system/cpu/cpu(\d{1,5})/", path, re.A)
        if found:
            numbers.add(int(found[1]))

    def number(index: int, name: str) -> int | None:
        return whole(sysfs.get(f"devices/system/cpu/cpu{index}/{name}", ""))

    return [
        Core(
            index,
            sysfs.get(f"devices/system/cpu/cpu{index}/cpufreq/scaling_governor"),
            number(index, "cpufreq/scaling_cur_freq"),
            number(index, "cpufreq/cpuinfo_max_freq"),
            number(index, "cpu_capacity"),
        )
        for index in sorted(numbers)
    ]


def read_temperatures(sysfs: dict[str, str]) -> dict[str, float]:
    """Degrees Celsius by thermal zone; zones that report nonsense are left out."""
    found = {}
    for path, value in sysfs.items():
        zone = re.fullmatch(r"class/thermal/(thermal_zone\d+)/temp", path)
        if zone and 0 < (whole(value) or 0) < 150_000:
            kind = sysfs.get(f"class/thermal/{zone[1]}/type", "")
            found[f"{zone[1]} {kind}".strip()] = int(value) / 1000
    return found


def read_throttling(
    values: dict[str, str], sysfs: dict[str, str]
) -> tuple[bool | None, int | None]:
    """Whether the device throttles now, and how often it did since it started; None where it does not tell."""
    word = re.search(r"0x([0-9a-fA-F]{1,16})", values.get("throttled", ""))
    now = bool(int(word[1], 16) & PI_THROTTLED_NOW) if word else None
    told = [whole(v) for p, v in sysfs.items() if p.endswith("core_throttle_count")]
    counts = [count for count in told if count is not None]
    return now, sum(counts) if counts else None
