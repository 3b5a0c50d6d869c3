"""Every kind of device, one line each: its name here is the word of --device, or the scheme of its addresses."""

# ruff: noqa: F401, I001

from edgegan.benchmarks.devices.host import HOST as host
from edgegan.benchmarks.devices.emulated import ARM64 as arm64
from edgegan.benchmarks.devices.ssh import SSH as ssh
from edgegan.benchmarks.devices.adb import ADB as adb
