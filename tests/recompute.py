"""Recomputes training files from `rsr export` and the prompts; shares no code with the package.

    python tests/recompute.py PROMPTS.jsonl EXPORT.jsonl TRAIN_FOLDER

Prints how many rows of each file of the quickstart agree; exits with 1 where one doesn't. `recompute` takes any
formatters, as a config writes them, for prompts whose messages are texts.
"""

import itertools
import json
import sys
import unicodedata
from collections import Counter, defaultdict
from hashlib import blake2b
from pathlib import Path

QUICKSTART = [{"type": "sft"}, {"type": "dpo"}, {"type": "multi_sft", "num_responses": 4}]
UNSCORED = ("no_answer", "unverifiable")
SHAREGPT = {"user": "human", "assistant": "gpt", "system": "system"}


def lines(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


# --- what passes, fails, and is a pair


def passes(entry, valid):
    least = entry.get("pass_threshold", 1.0)
    return [one for one in valid if one["score"] is not None and one["score"] >= least]


def fails(entry, valid):
    most = entry.get("fail_threshold", 0.0)
    return [one for one in valid if one["score"] is not None and one["score"] <= most]


def grams(text):
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = [it for it in folded if it in "-/%\\" or not (it in "`$" or unicodedata.category(it).startswith("P"))]
    plain = " ".join("".join(kept).split())
    return plain, {plain[at : at + 5] for at in range(max(1, len(plain) - 4))}


def jaccard(one, other):
    left, right = grams(one)[1], grams(other)[1]
    return len(left & right) / len(left | right)


def minhash(text):
    from rensa import RMinHash

    sketch = RMinHash(num_perm=512, seed=1)
    sketch.update(sorted(grams(text)[1]))
    return [minimum % 2 for minimum in sketch.digest()]


def is_near(one, other, most):
    equal = sum(a == b for a, b in zip(minhash(one), minhash(other), strict=True))
    return max(0, 2 * equal / 512 - 1) > most


def written_length(entry, one):
    return len(one["text"]) + (len(one["reasoning"]) if entry.get("reasoning") != "drop" else 0)


def both_correct(entry):
    return entry.get("strategy") == "shortest_vs_longest_correct"


def is_pair(entry, good, bad, texts=True):
    if good["text"] == bad["text"]:
        return False
    if entry.get("reasoning") != "drop" and bool(good["reasoning"]) != bool(bad["reasoning"]):
        return False
    if not both_correct(entry) and round(good["score"] - bad["score"], 9) < entry.get("min_margin", 0):
        return False
    if not texts:
        return True
    if both_correct(entry) and written_length(entry, good) >= written_length(entry, bad):
        return False
    return not entry.get("max_similarity", 1) < jaccard(good["text"], bad["text"])


def candidates(entry, valid, texts=True):
    """All pairs, in no order."""
    if both_correct(entry):
        all_pairs = itertools.permutations(passes(entry, valid), 2)
        if not texts:
            all_pairs = itertools.combinations(passes(entry, valid), 2)
    else:
        all_pairs = itertools.product(passes(entry, valid), fails(entry, valid))
    return [pair for pair in all_pairs if is_pair(entry, *pair, texts=texts)]


def most_disjoint(edges, enough):
    """How many of these pairs share no response, up to `enough`; tried one by one."""
    if not edges or not enough:
        return 0
    (good, bad), rest = edges[0], edges[1:]
    free = [pair for pair in rest if not {good["index"], bad["index"]} & {pair[0]["index"], pair[1]["index"]}]
    taken = 1 + most_disjoint(free, enough - 1)
    return taken if taken == enough else max(taken, most_disjoint(rest, enough))


def common_wrong_answer(entry, valid, one):
    wrong = [bad["extracted"] for bad in fails(entry, valid) if bad["extracted"] is not None]
    if one["extracted"] is None:
        return (0, 0)
    first = min(bad["index"] for bad in fails(entry, valid) if bad["extracted"] == one["extracted"])
    return (-Counter(wrong)[one["extracted"]], first)


def pairs(entry, valid, key, seed):
    def order(pair):
        good, bad = pair
        usual = (-good["score"], bad["score"], good["index"], bad["index"])
        lengths = written_length(entry, good), written_length(entry, bad)
        match entry.get("strategy", "best_worst"):
            case "best_worst":
                return usual
            case "random":
                return draw(entry.get("seed", seed), key, good["index"], bad["index"])
            case "nearest_length":
                return (abs(lengths[0] - lengths[1]), *usual)
            case "hard_negative":
                return (common_wrong_answer(entry, valid, bad), *usual)
            case "margin":
                return (round(good["score"] - bad["score"], 9), *usual)
            case "shortest_vs_longest_correct":
                return (lengths[0] - lengths[1], *usual)
        raise AssertionError(entry)

    taken, used = [], set()
    for good, bad in sorted(candidates(entry, valid), key=order):
        if len(taken) < entry.get("pairs_per_prompt", 1) and (
            entry.get("reuse") or not used & {good["index"], bad["index"]}
        ):
            taken.append((good, bad))
            used |= {good["index"], bad["index"]}
    return taken


def draw(seed, key, *indices):
    text = f"{seed}/{'/'.join(str(index) for index in indices)}/".encode()
    return int.from_bytes(blake2b(text + key, digest_size=8).digest(), "big")


# --- what is unique


def unique(entry, found):
    """Different ones in index order; of equal ones the first."""
    by = entry.get("unique_by", "text")
    kept = []
    for one in found:
        if by == "near":
            if any(is_near(one["text"], other["text"], entry.get("max_similarity", 0.8)) for other in kept):
                continue
        elif any(same(by, one, other) for other in kept):
            continue
        kept.append(one)
    return kept


def same(by, one, other):
    if by == "normalized":
        return grams(one["text"])[0] == grams(other["text"])[0]
    if by == "answer" and (one["extracted"], other["extracted"]) != (None, None):
        return one["extracted"] == other["extracted"]
    return one["text"] == other["text"]


def best_first(found):
    return sorted(found, key=lambda one: (-one["score"], one["index"]))


def different(entry, found):
    """Different ones, best first; of equal ones the best."""
    if entry.get("unique_by") == "near":
        return best_first(unique(entry, found))
    return unique(entry, best_first(found))


# --- what satisfies


def satisfied(entry, valid):
    match entry["type"]:
        case "sft":
            texts = {one["text"] for one in passes(entry, valid)}
            return len(texts) >= entry.get("per_prompt", 1) and len(valid) >= entry.get("best_of", 1)
        case "multi_sft":
            return len(unique(entry, passes(entry, valid))) >= entry.get("num_responses", 16)
        case "kto":
            both = labelled({**entry, "unique": False}, valid)
            texts = [one["text"] for one, _ in both]
            labels = [
                label for at, (_, label) in enumerate(both) if not entry.get("unique") or at == texts.index(texts[at])
            ]
            enough = labels.count(True) >= entry.get("min_passes", 1)
            return enough and labels.count(False) >= entry.get("min_fails", 1)
        case "rl_prompts":
            return len(valid) >= entry.get("n", 8)
        case "dpo" | "reward_pairs":
            edges, wanted = candidates(entry, valid, texts=False), entry.get("pairs_per_prompt", 1)
            return (len(edges) if entry.get("reuse") else most_disjoint(edges, wanted)) >= wanted
    raise AssertionError(entry)


def labelled(entry, valid):
    """Passes and fails with their labels, in index order."""
    good, bad = passes(entry, valid), fails(entry, valid)
    both = [(one, one in good) for one in valid if one in good or one in bad]
    if entry.get("unique"):
        said = defaultdict(set)
        for one, label in both:
            said[one["text"]].add(label)
        texts = [one["text"] for one, _ in both]
        both = [
            (one, label)
            for at, (one, label) in enumerate(both)
            if len(said[one["text"]]) == 1 and one["text"] not in texts[:at]
        ]
    return both


def decided(rollouts, formatters, max_rollouts, attempts):
    """Length and valid rollouts of the shortest prefix that satisfies all, or uses up the budget."""
    by_index = {rollout["index"]: rollout for rollout in rollouts}
    valid = []
    for k in range(attempts + 1):
        if all(satisfied(entry, valid) for entry in formatters) or len(valid) >= max_rollouts or k == attempts:
            return k, valid
        if k not in by_index:
            return None
        if by_index[k]["outcome"] == "ok":
            if by_index[k]["score"] is None and by_index[k]["reason"] not in UNSCORED:
                return None
            valid.append(by_index[k])
    raise AssertionError


# --- rows


def thinks(one, reasoning):
    return f"<think>\n{one['reasoning']}\n</think>\n\n{one['text']}" if one["reasoning"] and reasoning else one["text"]


def answer(entry, one, layout):
    reasoning = entry.get("reasoning", "keep")
    if reasoning == "drop":
        return {"role": "assistant", "content": one["text"]}
    if reasoning == "field" or (reasoning == "keep" and layout in ("trl", "axolotl")):
        name = entry.get("reasoning_field", "reasoning_content")
        own = {name: one["reasoning"]} if one["reasoning"] else {}
        return {"role": "assistant", "content": one["text"], **own}
    return {"role": "assistant", "content": thinks(one, True)}


def taught(entry, ask, one, layout):
    said = answer(entry, one, layout)
    return {"prompt": ask, "completion": [said]} if layout == "trl" else {"messages": [*ask, said]}


def preferred(entry, ask, good, bad, layout):
    if layout == "llamafactory":
        turns = [{"from": SHAREGPT[message["role"]], "value": message["content"]} for message in ask]
        sides = [{"from": "gpt", "value": answer(entry, one, layout)["content"]} for one in (good, bad)]
        return {"conversations": turns, "chosen": sides[0], "rejected": sides[1]}
    sides = [answer(entry, one, layout) for one in (good, bad)]
    if layout == "axolotl":
        return {"messages": ask, "chosen": sides[0], "rejected": sides[1]}
    if layout == "openai":
        return {"input": {"messages": ask}, "preferred_output": [sides[0]], "non_preferred_output": [sides[1]]}
    asked = "input" if layout == "openrlhf" else "prompt"
    return {asked: ask, "chosen": [sides[0]], "rejected": [sides[1]]}


def selected(entry, valid, key, seed):
    order = {
        "best": lambda one: (-one["score"], one["index"]),
        "first": lambda one: one["index"],
        "shortest": lambda one: (written_length(entry, one), one["index"]),
        "longest": lambda one: (-written_length(entry, one), one["index"]),
        "random": lambda one: draw(entry.get("seed", seed), key, one["index"]),
    }[entry.get("select", "best")]
    taken = []
    for one in sorted(passes(entry, valid), key=order):
        if one["text"] not in [other["text"] for other in taken]:
            taken.append(one)
    return taken[: entry.get("per_prompt", 1)]


def rl_row(entry, prompt, valid, place, layout):
    first = valid[: entry.get("n", 8)]
    scored = [one for one in first if one["score"] is not None]
    if len(first) < entry.get("n", 8) or not scored:
        return []
    rate = len(passes(entry, scored)) / len(scored)
    low, high = entry.get("min_pass_rate", 0), entry.get("max_pass_rate", 1)
    if not low <= rate <= high or (rate == low == 0) or (rate == high == 1):
        return []
    truth, rate, source = prompt["metadata"]["answer"], round(rate, 6), entry.get("data_source", "rsr")
    if layout == "trl":
        return [{"prompt": prompt["messages"], "answer": truth, "id": prompt["id"], "pass_rate": rate}]
    if layout == "openrlhf":
        return [{"input": prompt["messages"], "label": truth, "datasource": source}]
    return [
        {
            "data_source": source,
            "prompt": prompt["messages"],
            "ability": entry.get("ability", "reasoning"),
            "reward_model": {"style": "rule", "ground_truth": truth},
            "extra_info": {"split": "train", "index": place, "id": prompt["id"], "pass_rate": rate},
        }
    ]


def rows(entry, prompt, valid, place, seed):
    """The rows of a prompt, by what is put after the file's name."""
    ask, layout = prompt["messages"], entry.get("layout", "verl" if entry["type"] == "rl_prompts" else "llamafactory")
    identity = json.dumps([prompt["id"], ask, None, None, 0], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    key = blake2b(identity.encode(), digest_size=16).digest()
    match entry["type"]:
        case "sft":
            return {"": [taught(entry, ask, one, layout) for one in selected(entry, valid, key, seed)]}
        case "multi_sft":
            found = different(entry, passes(entry, valid))[: entry.get("num_responses", 16)]
            if len(found) < entry.get("min_responses", 1):
                return {"": []}
            said = [thinks(one, entry.get("reasoning") != "drop") for one in found]
            exploded = [taught(entry, ask, one, layout) for one in found] if entry.get("explode") else []
            return {"": [{"messages": ask, "responses": said}], "_exploded": exploded}
        case "kto":
            both = labelled(entry, valid)
            count = Counter(label for _, label in both)
            if entry.get("balance"):
                least = min(count[True], count[False])
                both = [
                    (one, label)
                    for at, (one, label) in enumerate(both)
                    if [other for _, other in both[:at]].count(label) < least
                ]
            return {"": [{**taught(entry, ask, one, layout), "label": label} for one, label in both]}
        case "rl_prompts":
            return {"": rl_row(entry, prompt, valid, place, layout)}
        case "dpo" | "reward_pairs":
            found = pairs(entry, valid, key, seed)
            made = [preferred(entry, ask, good, bad, layout) for good, bad in found]
            if entry.get("margin_column"):
                for row, (good, bad) in zip(made, found, strict=True):
                    row["margin"] = round(good["score"] - bad["score"], 9)
            return {"": made}
    raise AssertionError(entry)


def recompute(prompts, export, formatters=QUICKSTART, max_rollouts=16, attempts=16, seed=0):
    """The rows of every file, and whether the export's `used` is right."""
    by_prompt = defaultdict(list)
    for rollout in export:
        by_prompt[rollout["prompt_id"]].append(rollout)
    made = defaultdict(list)
    for place, prompt in enumerate(prompts):
        found = decided(by_prompt[prompt["id"]], formatters, max_rollouts, attempts)
        if found is None:
            continue
        k, valid = found
        used = {rollout["index"] for rollout in by_prompt[prompt["id"]] if rollout["used"]}
        assert used == set(range(k)), (prompt["id"], used, k)
        for entry in formatters:
            for suffix, new in rows(entry, prompt, valid, place, seed).items():
                made[entry.get("name", entry["type"]) + suffix] += new
    return dict(made)


def main():
    prompts, export, train = sys.argv[1:]
    wrong = 0
    for name, made in recompute(lines(prompts), lines(export)).items():
        if name.endswith("_exploded"):
            continue
        written = lines(Path(train) / f"{name}.jsonl")
        same_rows = sum(ours == theirs for ours, theirs in zip(made, written, strict=False))
        wrong += not made or len(made) != len(written) or same_rows != len(made)
        print(f"{name}.jsonl: {same_rows} of {len(written)} rows agree, {len(made)} recomputed")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
