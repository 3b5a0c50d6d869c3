"""Parameters and MACs of every compressed row of GAN Compression's table: `make bench-papers`.

Each generator is rebuilt from its published width config, so no weights are needed; published figures are quoted from
the table of the released code's README (Li et al. 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

from edgegan.console import emit, table
from edgegan.models.catalogue import measure_spec
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.spade.network import SpadeSpec
from edgegan.models.spec import Spec

SQUARE, WIDE = (256, 256), (256, 512)
FULL = ResnetSpec.from_ngf(64)


@dataclass(frozen=True)
class Row:
    """One row: what it is, its width config ("" for the original), and what was published."""

    task: str
    form: str
    config: str
    parameters: str
    macs: str

    def spec(self) -> Spec:
        """The generator."""
        if not self.config:
            return SpadeSpec() if self.task.startswith("GauGAN") else FULL
        if self.task.startswith("GauGAN"):
            return SpadeSpec.from_config(self.config)
        legacy = self.task == "edges2shoes" and self.form == "paper"
        return ResnetSpec.from_config(self.config, legacy=legacy)


ROWS = (
    Row("horse2zebra", "original", "", "11.4M", "56.8G"),
    Row("horse2zebra", "paper", "24_24_24_32_20_16", "0.342M", "2.67G"),
    Row("horse2zebra", "retrained", "16_16_32_16_32_32_16_16", "0.357M", "2.55G"),
    Row("horse2zebra", "fast", "16_16_24_16_32_64_16_24", "0.355M", "2.64G"),
    Row("edges2shoes", "paper", "32_32_40_48_16_32", "0.700M", "4.81G"),
    Row("edges2shoes", "retrained", "32_32_48_32_48_48_16_16", "0.822M", "4.99G"),
    Row("edges2shoes", "fast", "24_24_40_56_24_56_16_40", "0.703M", "4.83G"),
    Row("Cityscapes, pix2pix", "paper", "48_32_40_40_24_32", "0.707M", "5.66G"),
    Row("Cityscapes, pix2pix", "retrained", "32_32_48_32_32_48_24_24", "0.781M", "5.59G"),
    Row("Cityscapes, pix2pix", "fast", "16_24_48_56_40_48_24_16", "0.867M", "5.61G"),
    Row("map2aerial", "paper", "32_32_48_32_48_32_16_16", "0.746M", "4.68G"),
    Row("map2aerial", "fast", "16_16_40_40_40_64_24_16", "0.708M", "4.53G"),
    Row("GauGAN, Cityscapes", "original", "", "93.0M", "281G"),
    Row("GauGAN, Cityscapes", "paper", "32_32_48_32_32_32_32_24", "20.4M", "31.7G"),
    Row("GauGAN, Cityscapes", "retrained", "32_40_40_32_40_24_32_24", "21.0M", "31.2G"),
    Row("GauGAN, Cityscapes", "fast", "32_32_32_48_32_24_24_32", "20.2M", "31.3G"),
)


def main() -> None:
    """Prints the table."""
    cells = []
    for row in ROWS:
        spec = row.spec()
        found = measure_spec(spec, WIDE if isinstance(spec, SpadeSpec) else SQUARE)
        counted = f"{found.macs_published / 1e9:.3f}G"
        name = f"{row.task}, {row.form}"
        cells.append(
            [
                name,
                row.config or "-",
                row.parameters,
                f"{found.parameters:,}",
                row.macs,
                counted,
                f"{found.macs / 1e9:.3f}G",
            ]
        )
    headers = ["row", "widths", "parameters, published", "here"]
    emit(table([*headers, "MACs, published", "here, counted so", "true"], cells))


if __name__ == "__main__":
    main()
