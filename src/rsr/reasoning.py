"""Where the reasoning of a response ends and its final answer begins.

    <think> <thinking> <thought> <reasoning>, [THINK], ◁think▷, <seed:think>      tags: a pair, or one of the two
    <|START_THINKING|>, <|begin_of_thought|>, <|im_start|>think                   special tokens used as tags
    <|channel|>analysis<|message|>...  or  analysis...assistantfinal...           harmony, whole or without its tokens
    Here is my thought process: ... Here is my response: ...                      Granite's sentences
    {"content": ..., "reasoning_content": ...}                                    fields of a message

Every verifier, and whatever looks at a final answer, goes through `split_reasoning`. All expressions are linear: a
response is not trusted to be short or sane.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_FIELDS = ("reasoning_content", "reasoning", "thinking", "thinking_blocks", "reasoning_details")
_ROUNDS = 8  # nothing real is wrapped more often; what is, has no final answer


class Split(NamedTuple):
    """A response in its two parts, both trimmed of white space."""

    reasoning: str
    response: str


def split_reasoning(text_or_message: str | Mapping[str, Any]) -> Split:
    """The reasoning and the final answer of a response.

    Args:
        text_or_message: the text, or a chat message (`content` may be None or a list of parts).

    Returns:
        The final answer without reasoning, trailing special tokens and a hallucinated next turn; empty when a block
        of reasoning was never closed. Splitting the final answer again returns it unchanged.
    """
    if isinstance(text_or_message, str):
        return _split_text(text_or_message)
    fields = [_joined(text_or_message.get(name)) for name in _FIELDS]
    given = next((field for field in fields if field.strip()), "")
    text, parts = _content(text_or_message.get("content"))
    split = _split_text(text)
    return Split(_join([given, parts, split.reasoning]), split.response)


def _split_text(text: str) -> Split:
    if not (_PREFIXES.match(text) or _marked(text)):  # most texts
        return Split("", text.strip())
    reasoning: list[str] = []
    for _ in range(_ROUNDS):
        split = _once(text)
        if split.reasoning:
            reasoning.append(split.reasoning)
        if split.response == text:
            return Split(_join(reasoning), text)
        text = split.response
    return Split(_join([*reasoning, text]), "")


_MARKS = re.compile(r"\[/?(?:THINK|INST)\]|\[(?:BEGIN|END) FINAL|\[\|")
_PREFIXES = re.compile(r"\s*+(?:analysis|assistant|commentary|final|Here)")
_ROLE_LINE = re.compile(r"\n[# ]{0,5}(?:Human|User|Instruction) ?:")


def _marked(text: str) -> bool:
    """Whether there is a mark or a role's line."""
    if "<" in text or "◁" in text or ("[" in text and _MARKS.search(text)):
        return True
    return _ROLE_LINE.search(text) is not None


def _once(text: str) -> Split:
    if not (_PREFIXES.match(text) or _marked(text)):
        return Split("", text.strip())
    text = _LEAD.sub("", text)
    for split in (_harmony(text), _stripped_harmony(text), _sentences(text)):
        if split is not None:
            return split
    return _tagged(_until_turn_end(text))


# --- message objects


def _content(content: Any) -> tuple[str, str]:
    """The text and the reasoning of a message's `content`."""
    if not isinstance(content, list):
        return (content, "") if isinstance(content, str) else ("", "")
    text, reasoning = [], []
    for part in content:
        if isinstance(part, str):
            text.append(part)
        elif isinstance(part, Mapping):
            kind = str(part.get("type", "text"))
            if "thinking" in kind or "reasoning" in kind:
                reasoning.append(_joined(part.get("thinking") or part.get("reasoning") or part.get("text")))
            else:
                text.append(_joined(part.get("text")))
    return "".join(text), _join(reasoning)


def _joined(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        filled = (value[name] for name in ("text", "content", "thinking", "summary") if value.get(name))
        return _joined(next(filled, None))
    return "\n".join(_joined(part) for part in value) if isinstance(value, list) else ""


def _join(parts: list[str]) -> str:
    return "\n\n".join(part.strip() for part in parts if part.strip())


# --- code, where tags are only spoken of

_INLINE = re.compile(r"(`{1,2}+)(?!`)[^`\n]++\1")
_FENCE = re.compile(r"^[ \t]{0,8}(```|~~~)[`~]{0,9}[ \t]{0,9}([^\n`]*)$", re.M)


def _code(text: str) -> list[tuple[int, int]]:
    """Spans of fenced and inline code, sorted. A fence that another opening interrupts was never closed."""
    if "`" not in text and "~~~" not in text:
        return []
    fences: list[tuple[int, int]] = []
    opened: re.Match[str] | None = None
    for match in _FENCE.finditer(text):
        if opened is not None and match[1] == opened[1] and not match[2].strip():
            fences.append((opened.start(), match.end()))
            opened = None
        else:
            opened = match
    inline = [match.span() for match in _INLINE.finditer(text)]
    return sorted(fences + inline)


def _outside(matches: Iterator[re.Match[str]], text: str) -> Iterator[re.Match[str]]:
    """Those matches that stand neither in code nor directly between quotation marks."""
    spans: list[tuple[int, int]] | None = None
    at, reach = 0, 0
    for match in matches:
        if spans is None:
            spans = _code(text)
        while at < len(spans) and spans[at][0] <= match.start():
            reach = max(reach, spans[at][1])
            at += 1
        before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        if match.start() >= reach and not (before and before == after and before in "\"'`") and before + after != "“”":
            yield match


# --- the end of the turn

_LEAD = re.compile(
    r"\A\s*+(?:(?:<s>|<\|begin_of_text\|>|<bos>|<｜begin▁of▁sentence｜>|<\|im_start\|>assistant\b|<\|im_assistant\|>"
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>|<\|assistant\|>|<｜Assistant｜>|<start_of_turn>model\b"
    r"|<\|start_of_role\|>assistant<\|end_of_role\|>|<\|CHATBOT_TOKEN\|>|<\|START_OF_TURN_TOKEN\|>"
    r"|\[\|assistant\|\]|\[/INST\])\s*+)+"
)
_TURN_END = re.compile(
    r"<\|(?:im_end|eot_id|eom_id|end_of_text|endoftext|end|return|call|user|assistant|observation|system|im_user|EOT"
    r"|start_header_id|start_of_role|END_OF_TURN_TOKEN|START_OF_TURN_TOKEN|END_RESPONSE|end_of_solution|eos|start"
    r"|im_start)\|>|</s>|<s>|<end_of_turn>|<start_of_turn>|<eos>|<turn\|>|<\|turn>|<seed:eos>|<seed:bos>"
    r"|<｜end▁of▁sentence｜>|<｜User｜>|<｜Assistant｜>|\[/?INST\]|\[\|(?:endofturn|user|assistant)\|\]"
    r"|\[END FINAL RESPONSE\]"
)
_S1 = re.compile(r"<\|im_start\|>(think|answer)\b")
_TURN = re.compile(r"\n[# ]{0,5}(?:Human|User|Instruction) ?:")
_DIALOGUE = re.compile(r"^[#* ]{0,5}(?:Human|User|Assistant|AI|Bot)[* ]{0,3}:", re.M)


def _until_turn_end(text: str) -> str:
    if "<|im_start|>" in text:  # s1 writes <|im_start|>think ... <|im_start|>answer
        text = _S1.sub(lambda match: "<think>" if match[1] == "think" else "</think>", text)
    for match in _outside(_TURN_END.finditer(text), text):
        if text[: match.start()].strip():
            text = text[: match.start()]
            break
    turn = _TURN.search(text)
    if turn is None:
        return text
    before = text[: turn.start()]
    is_dialogue = before.rstrip(" *").endswith(":") or _DIALOGUE.search(before)  # the response speaks in roles itself
    return before if before.strip() and not is_dialogue else text


# --- harmony

_CHANNEL = re.compile(
    r"<\|channel\|>\s{0,9}(\w{1,40})[^<]{0,200}(?:<\|constrain\|>[^<]{0,100})?<\|message\|>"
    r"|\A\s{0,9}(analysis|commentary|final)[^<]{0,200}<\|message\|>"
)
_NEXT_TURN = re.compile(r"<\|return\|>|<\|start\|>(?:user|system|developer)\b")
_HARMONY_TOKEN = re.compile(r"<\|(?:start\|>(?:assistant|functions[^<\s]{0,80})?|end\|>|return\|>|call\|>|channel\|>)")
_STRIPPED = re.compile(
    r"\A\s{0,9}(?:assistant\s{0,3})?(?:analysis|commentary)(?!<)|\A\s{0,9}assistant\s{0,3}final(?![a-z])"
)
_STRIPPED_FINAL = re.compile(r"assistant\s{0,3}(?:<\|channel\|>)?final(?![a-z])")
_ONLY_FINAL = re.compile(r"\A\s{0,9}(?:final)++(?=[A-Z0-9*\\$#])(?!Answer\b)")


def _harmony(text: str) -> Split | None:
    if "<|message|>" not in text:
        return None
    headers = list(_outside(_CHANNEL.finditer(text), text))
    if not headers:
        return None
    end = next(
        (match.start() for match in _outside(_NEXT_TURN.finditer(text), text) if match.start() > headers[0].start()),
        len(text),
    )
    reasoning, response = [text[: headers[0].start()]], ""
    headers = [header for header in headers if header.start() < end]
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        body = text[header.end() : following.start() if following else end]
        stop = _HARMONY_TOKEN.search(body)
        body = (body[: stop.start()] if stop else body).strip()
        if (header[1] or header[2]) == "final":
            response = body
        else:
            reasoning.append(body)
    return Split(_join([_HARMONY_TOKEN.sub("", part) for part in reasoning]), response)


def _stripped_harmony(text: str) -> Split | None:
    """`analysis...assistantfinal...`: what is left of harmony when its special tokens are stripped."""
    only = _ONLY_FINAL.match(text)
    if only:
        return Split("", text[only.end() :].strip())
    start = _STRIPPED.match(text)
    if start is None:
        return None
    final = next(_outside(_STRIPPED_FINAL.finditer(text), text), None)
    if final is not None:
        inner = text[start.end() : final.start()] if final.start() >= start.end() else ""
        return Split(inner.strip(), _until_turn_end(text[final.end() :]).strip())
    cut_short = text[start.end() : start.end() + 1].isupper()  # "analysisWe need": prose has a space there
    return Split(text[start.end() :].strip(), "") if cut_short else None


# --- sentences that stand for tags

_GRANITE = re.compile(r"\A\s{0,9}Here(?:'s|’s| is) my thought process:")
_GRANITE_FINAL = re.compile(r"Here(?:'s|’s| is) my response:")
_APRIEL = re.compile(r"\A\s{0,9}Here are my reasoning steps:")
_APRIEL_FINAL = re.compile(r"\[BEGIN FINAL RESPONSE\]")


def _sentences(text: str) -> Split | None:
    for opening, closing in ((_GRANITE, _GRANITE_FINAL), (_APRIEL, _APRIEL_FINAL)):
        start = opening.match(text)
        if start:
            final = next(_outside(closing.finditer(text), text), None)
            if final is None:
                return Split(text[start.end() :].strip(), "")
            response = _until_turn_end(text[final.end() :]).strip()
            return Split(text[start.end() : final.start()].strip(), response)
    return None


# --- tags

_NAMES = r"(?i:think|thinking|thoughts?|reasoning|seed:think|ant:?thinking|longcat_think|mm:think)"
_TAG = re.compile(  # begins with a plain set of characters, which makes the search fast
    rf"[<\[◁](?:(?P<open>(?<=<)\s{{0,2}}{_NAMES}(?:\s[a-z_]{{1,20}}=[^\s<>]{{1,40}})?\s{{0,2}}>|(?<=\[)THINK\]|(?<=◁)think▷"
    r"|(?<=<)\|(?:START_THINKING|begin_of_thought|begin_of_thinking|think)\|>|(?<=<)\|channel>thought\b)"
    rf"|(?<=<)\s{{0,2}}/\s{{0,2}}{_NAMES}\s{{0,2}}>|(?<=\[)/THINK\]|(?<=◁)/think▷"
    r"|(?<=<)\|(?:END_THINKING|end_of_thought|end_of_thinking|/think)\|>|(?<=<)channel\|>)"
)
_WRAPPER = re.compile(
    r"\A\s*+(?:<\|(?:START_RESPONSE|START_TEXT|begin_of_solution)\|>|\[BEGIN FINAL RESPONSE\]|<response>)"
    r"|(?:<\|(?:END_RESPONSE|END_TEXT|end_of_solution)\|>|\[END FINAL RESPONSE\]|</response>)\s*+\Z"
)


def _tagged(text: str) -> Split:
    reasoning: list[str] = []
    outside: list[str] = []
    depth, at = 0, 0
    tag: re.Match[str] | None = None
    for tag in _outside(_TAG.finditer(text), text):
        if tag["open"]:
            (reasoning if depth else outside).append(text[at : tag.start()])
            depth += 1
        elif depth:
            reasoning.append(text[at : tag.start()])
            depth -= 1
        else:  # only the closing tag: the opening one was in the prompt
            reasoning = [*reasoning, *outside, text[at : tag.start()]]
            outside = []
        at = tag.end()
    ended = depth == 0 or (tag is not None and not tag["open"])  # an open tag too many is only spoken of
    (outside if ended else reasoning).append(text[at:])
    response = "".join(outside) if ended else ""
    return Split(_join(reasoning), _WRAPPER.sub("", response).strip())
