"""`rsr lint --real` beside the real trainer: it finds nothing in the files of a run, and the rows that were broken.

Run by a trainer's own Python: python lint_real.py TRAIN_FOLDER MODEL TRAINER. Needs no more of RSR than its lint.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from rsr.lint import Options, Reason, Trainer, lint


def break_messages(row: dict[str, Any]) -> None:
    """An answer under a role that no trainer knows, as the first turn."""
    name = next(name for name in ("messages", "conversations", "input", "prompt") if name in row)
    key = "from" if "from" in row[name][0] else "role"
    row[name] = [{**row[name][0], key: None}, *row[name]]


def break_answer(row: dict[str, Any]) -> None:
    """An answer that Axolotl does not find again."""
    row["chosen"]["content"] = "user"


def main(folder: Path, model: Path, name: str) -> None:
    options = Options(Trainer(name), tokenizer=model, real=True)
    for path in sorted(folder.glob(f"{name}_*")):
        report = lint(path, options)
        assert not report, "\n".join(report.text())
        print(f"{path.name}: {report.rows} rows, nothing found", file=sys.__stdout__)
        if path.suffix == ".parquet":
            continue
        with tempfile.TemporaryDirectory() as scratch:
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            (break_answer if path.name == "axolotl_dpo.jsonl" else break_messages)(rows[2])
            broken = Path(scratch) / path.name
            broken.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            shutil.copy(folder / "dataset_info.json", scratch)
            found = lint(broken, options)
        examples = found.examples.get(Reason.TRAINER, [])
        assert [example.line for example in examples] == [3], "\n".join(found.text())
        print(f"{path.name}: line 3: {examples[0].detail}", file=sys.__stdout__)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
