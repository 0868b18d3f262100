"""Recomputes the quickstart's training files from `rsr export` and its prompts; shares no code with the package.

    python tests/recompute.py PROMPTS.jsonl EXPORT.jsonl TRAIN_FOLDER

Prints how many rows of each file agree; exits with 1 where one doesn't.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

NUM_RESPONSES, MAX_ROLLOUTS, ATTEMPTS = 4, 16, 16


def lines(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def decided(rollouts):
    """The valid rollouts of the shortest prefix that satisfies all three recipes, or uses up the budget."""
    by_index = {rollout["index"]: rollout for rollout in rollouts}
    valid = []
    for k in range(ATTEMPTS + 1):
        passes = [rollout for rollout in valid if rollout["score"] is not None and rollout["score"] >= 1.0]
        fails = [rollout for rollout in valid if rollout["score"] is not None and rollout["score"] <= 0.0]
        unique = {rollout["text"] for rollout in passes}
        if (passes and fails and len(unique) >= NUM_RESPONSES) or len(valid) >= MAX_ROLLOUTS or k == ATTEMPTS:
            return k, passes, fails
        if k not in by_index:
            return None
        if by_index[k]["outcome"] == "ok":
            if by_index[k]["score"] is None and by_index[k]["reason"] not in ("no_answer", "unverifiable"):
                return None
            valid.append(by_index[k])
    raise AssertionError


def recompute(prompts, export):
    by_prompt = defaultdict(list)
    for rollout in export:
        by_prompt[rollout["prompt_id"]].append(rollout)
    sft, dpo, multi = [], [], []
    for prompt in prompts:
        found = decided(by_prompt[prompt["id"]])
        if found is None:
            continue
        k, passes, fails = found
        used = {rollout["index"] for rollout in by_prompt[prompt["id"]] if rollout["used"]}
        assert used == set(range(k)), (prompt["id"], used, k)
        ask = prompt["messages"]
        if not passes:
            continue
        best = max(passes, key=lambda rollout: (rollout["score"], -rollout["index"]))
        sft.append({"messages": [*ask, {"role": "assistant", "content": best["text"]}]})
        worst = [rollout for rollout in fails if rollout["text"] != best["text"]]
        if worst:
            rejected = min(worst, key=lambda rollout: (rollout["score"], rollout["index"]))
            dpo.append(
                {
                    "conversations": [{"from": "human", "value": message["content"]} for message in ask],
                    "chosen": {"from": "gpt", "value": best["text"]},
                    "rejected": {"from": "gpt", "value": rejected["text"]},
                }
            )
        responses = list(dict.fromkeys(rollout["text"] for rollout in passes))[:NUM_RESPONSES]
        multi.append({"messages": ask, "responses": responses})
    return {"sft": sft, "dpo": dpo, "multi_sft": multi}


def main():
    prompts, export, train = sys.argv[1:]
    wrong = 0
    for name, rows in recompute(lines(prompts), lines(export)).items():
        written = lines(Path(train) / f"{name}.jsonl")
        same = sum(ours == theirs for ours, theirs in zip(rows, written, strict=False))
        wrong += not rows or len(rows) != len(written) or same != len(rows)
        print(f"{name}.jsonl: {same} of {len(written)} rows agree, {len(rows)} recomputed")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
