"""Write docs/label-efficiency.md from output folders of `megabase card`.

python scripts/card_report.py FOLDER... --output docs/label-efficiency.md

The figures of each folder are copied to docs/label-efficiency/NAME.json and NAME.png, without
paths, and the page is written from all files there. Without a folder, the page is rewritten from
them.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from megabase.evaluation.card import JSON
from megabase.report.card_report import EFFICIENCY, card_text

_HEAD = """# Label efficiency of the shipped model

[The shipped model](default.md) after adaptation, compared with the same architecture trained from
scratch and with k-mers, on 32 or more rows of a benchmark: `megabase card`
([Evaluation](evaluation.md)). `scripts/card_report.py` generates this page. The rows are those of
GenomicBenchmarks on human chromosome 20; no published number refers to them.

```sh
keys="--set learning_rate=2e-3 --set strand=average --set reverse_complement_p=0.5 \\
    --set pooling=max --set batch_size=32"
megabase card genomic_benchmarks/human_enhancers_cohn --data FOLDER --model asset:default \\
    --output cohn --rows 32,128,all --epochs 10 --seeds 3 $keys
megabase card genomic_benchmarks/human_enhancers_ensembl --data FOLDER --model asset:default \\
    --output ensembl --rows 32,128,512,all --epochs 4 --seeds 2 $keys
python scripts/card_report.py cohn ensembl
```

The learning rate is that of the [benchmarks](benchmarks.md); it was not tuned for so few rows or
for pretrained weights. The model was pretrained, without labels, on the chromosome up to base
45,000,000, which contains most test rows. Processor seconds are those of one thread on a shared
machine; seconds include the time in which other work ran.
"""


def main() -> None:
    """Copy the figures of the given folders and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--output", type=Path, default=Path("docs/label-efficiency.md"))
    arguments = parser.parse_args()
    kept = arguments.output.with_suffix("")
    kept.mkdir(exist_ok=True)
    for folder in arguments.folders:
        _keep(folder, kept / folder.name)
    arguments.output.write_text(page(kept), encoding="utf-8")


def page(kept: Path) -> str:
    """Return the page of all cards in a folder."""
    return "\n".join([_HEAD, *(section(path, kept.name) for path in sorted(kept.glob("*.json")))])


def _keep(folder: Path, target: Path) -> None:
    """Copy the figures of a card and its curve, without paths."""
    report: dict[str, Any] = json.loads((folder / JSON).read_text(encoding="utf-8"))
    report["data"]["place"] = Path(report["data"]["place"]).name
    target.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(folder / EFFICIENCY, target.with_suffix(".png"))


def section(card: Path, folder: str) -> str:
    """Return the text of a card, one heading level lower, with the curve as its only figure."""
    text = (
        card_text(json.loads(card.read_text(encoding="utf-8")))
        .replace("## ", "### ")
        .replace("### ", "## ", 1)
    )
    lines = text.replace(f"({EFFICIENCY})", f"({folder}/{card.stem}.png)").splitlines()
    return "\n".join(line for line in lines if not line.startswith("![Calibration]")) + "\n"


if __name__ == "__main__":
    main()
