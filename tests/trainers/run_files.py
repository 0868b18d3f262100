"""One run of RSR whose files every trainer shall take: prompts and replies that break careless loaders.

System prompts, several turns, unicode, LaTeX, thinking blocks, quotes, braces, code, tool calls, empty lines.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROWS = 14

SYSTEM = {"role": "system", "content": 'Answer briefly. "Quotes", {braces}, <tags> & a \\ backslash are text.'}
TURNS = [
    {"role": "user", "content": "Merci ! Où en étions-nous ?\n\n- a\n- b"},
    {"role": "assistant", "content": "Bei Zeile 2 — „so“, {\"json\": [1, 2]}, und\n```python\nprint('x')\n```"},
]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a town",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
    },
}
CALL = [
    {"role": "user", "content": "How warm is it in Łódź?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": '{"town": "Łódź"}'}}],
    },
    {"role": "tool", "content": '{"celsius": 21}'},
    {"role": "assistant", "content": "It is 21 °C there."},
]
QUESTIONS = (
    "What is $\\frac{84}{2}$? Put it in \\boxed{}.",
    "几等于六乘七？请把答案写在 \\boxed{} 里。",
    "Berechne ∑_{k=1}^{6} 7 — als \\boxed{…}",
    'Say "forty-two" as {"answer": …} in \\boxed{}',
    "Пусть $x^2 = 1764$, $x > 0$. Чему равен $x$? 🤔",
    "<b>6 × 7</b> &amp; nothing else",
    "What is 6*7?\n\n\nThree empty lines above, a tab\there.",
)

REPLIES = '''
"""Every second reply is right. The texts are what tokenizers, templates and JSON loaders stumble over."""

TEXTS = (
    "Since $6 \\\\times 7 = 42$, the answer is \\\\boxed{%s}.",
    "“Zweiundvierzig” — {\\"x\\": \\"{%%d}\\"}\\n\\n| a | b |\\n|---|---|\\n\\n因此 \\\\boxed{%s}",
    "```python\\nprint({'a': 1}['a'] * 42)\\n```\\n\\nSo \\\\boxed{%s} 🎉 é ẞ ﷽ \\u200d",
    "<b>x</b> \\\\(\\\\sqrt{1764}\\\\)\\t\\\\[ \\\\boxed{%s} \\\\]",
)


def reply(request, j):
    index = request.index + j
    value = "42" if index % 2 == 0 else str(43 + index)
    made = {"text": TEXTS[(index // 2) % len(TEXTS)] % value}
    if int(request.tag[1:]) % 2:
        made["reasoning"] = f"6 times 7 … {{is}} \\"{value}\\"?\\n\\nYes – I'm sure (try {index})."
    return made
'''


def prompts() -> list[dict[str, Any]]:
    """The input of the run."""
    rows = []
    for number in range(ROWS):
        messages: list[dict[str, Any]] = [{"role": "user", "content": f"({number}) {QUESTIONS[number % 7]}"}]
        row: dict[str, Any] = {"id": f"p{number}", "metadata": {"answer": "42"}}
        if number == ROWS - 1:
            messages, row["tools"] = [*CALL, *messages], [WEATHER]
        elif number % 3 == 0:
            messages = [*TURNS, *messages]
        if number % 4 == 0:
            messages = [SYSTEM, *messages]
        rows.append({**row, "messages": messages})
    return rows


def formatters() -> list[dict[str, Any]]:
    """A file of each kind for each trainer that reads such."""
    made: list[dict[str, Any]] = []
    for layout in ("llamafactory", "trl", "openrlhf", "verl", "axolotl"):
        made.append({"type": "sft", "layout": layout})
        if layout != "verl":
            made.append({"type": "dpo", "layout": layout})
        if layout in ("llamafactory", "trl"):
            made.append({"type": "kto", "layout": layout})
        if layout in ("llamafactory", "trl", "openrlhf"):
            made.append({"type": "reward_pairs", "layout": layout})
    for entry in made:
        entry["reasoning"] = "inline"
    made += [{"type": "rl_prompts", "layout": layout, "n": 4} for layout in ("trl", "openrlhf", "verl")]
    for entry in made:
        entry["name"] = f"{entry['layout']}_{entry['type']}"
    made.append(
        {"type": "sft", "layout": "trl", "file_format": "parquet", "reasoning": "inline", "name": "trl_parquet"}
    )
    made.append({"type": "multi_sft", "num_responses": 3, "explode": True, "name": "multi"})
    return made


def make(folder: Path) -> Path:
    """Run RSR in a folder; returns the folder with the training files."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "prompts.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in prompts())
    (folder / "replies.py").write_text(REPLIES, encoding="utf-8")
    config = {
        "data": {"input_path": str(folder / "prompts.jsonl")},
        "work_dir": str(folder / "run"),
        "sampling": {"max_rollouts": 8, "step_size": 4, "max_steps": 2},
        "sampler": {"type": "scripted", "replies": f"{folder / 'replies.py'}:reply"},
        "verifier": {"type": "math-rlvr"},
        "formatter": formatters(),
    }
    (folder / "config.yaml").write_text(json.dumps(config, indent=1), encoding="utf-8")  # JSON is YAML
    command = [sys.executable, "-m", "rsr", "run", str(folder / "config.yaml"), "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "run" / "train"


if __name__ == "__main__":
    sys.stdout.write(f"{make(Path(sys.argv[1]).resolve())}\n")
