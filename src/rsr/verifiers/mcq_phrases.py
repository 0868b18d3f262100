"""The words with which people and models give, correct and take back an answer, as expressions.

All are linear: repetitions are bounded or possessive. They run on text after NFKC, so full-width forms are gone. Those
that are looked for in whole texts are cues.
"""

from __future__ import annotations

import re

from rsr.verifiers.mcq_cues import Cue, Words, listed


def _any(*expressions: str) -> str:
    return "(?:" + "|".join(expressions) + ")"


def _words(*lists: str) -> str:
    """Any of the words in lists of them; an underscore is a space."""
    return _any(*(word.replace("_", " ") for words in lists for word in words.split()))


_START = r"(?<![\w])"
_END = r"(?![A-Za-zÀ-ɏ])"
_MARK = r"[ \t*_`\"'“”’)\]}]{0,6}"
_ADVERB = _words(
    "indeed clearly therefore thus definitely certainly probably likely most simply obviously hence then also still",
    "now just surely actually really undoubtedly again the correct best final right option choice letter answer number",
    "labell?ed either between ist est die la le lettre opci[oó]n op[cç][aã]o opzione buchstabe going_to_be as_follows",
    "in_fact of_course given_by вариант буква 选项 選項 项 選択肢 選 选择 选",
)
SKIP = re.compile(
    r"(?:\s|[*_`\"'“‘’(\[{<$~:=>|«»「『【,✅✓✔-]"
    r"|\\(?:text|textbf|mathrm|mathbf|textit|mathbb|boxed|fbox|quad|[,;!(\[])"
    rf"|</?(?:b|strong|em|i|u|span|answer)>|{_ADVERB}{_END}){{0,16}}+",
    re.I,
)
"""What may stand between a phrase and its label."""

EITHER = re.compile(r"\b(?:either|between)\b", re.I)

_QUESTION = r"(?: (?:to|for) (?:the|this|your) (?:question|problem))"
_LINK = rf"(?:{_QUESTION}|\s{{1,3}}(?:choice|option|letter|here)){{0,2}}{_MARK}" + _any(
    r"\b(?:is|was|are)\b(?!n['’]t)(?!\s{1,3}not\b)",
    r"\b(?P<would>would|should|must|will|has to|have to) be\b",
    r"\b(?:ist|lautet|wäre|est|es|è|é|jest|to|je|är|er|adalah|ialah|là|هي|هو)(?!\w)",
    *("[:=→⇒]", "->", "—", "–", " - ", r"\s{0,3}\n", r"\t", r"\|"),
)
_ADJECTIVE = _words(
    "correcta? correta corretta esatta finale? richtige? juste exacte yang_benar benar đúng prawidłowa الصحيحة सही"
)
_NOUNS = _words(
    "answers? ans choice option(?!s) solution antwort lösung respuesta réponse reponse resposta risposta antwoord",
    "jawaban(?:nya)? svar(?:et)? cevap cevabı? yanıt odpowiedź odpověď đáp_án ответ відповідь απάντηση उत्तर คำตอบ",
    "الإجابة الجواب پاسخ תשובה",
)
_CHINESE = (
    r"(?:答案|正确选项|正確選項|正解|正答|答え|解答|정답|답)[ \t*_\"'」』】]{0,4}(?:应该|應該|应|應)?"
    r"(?:是|为|為|选|選|は|が|은|는|:|=|\s{0,2}\n)\s?"
    r"|(?<!不)(?:选择|選擇|选|選)(?!项|項|择|擇)[ :]{0,2}|คือ"
)
ANSWER = Cue(
    rf"{_START}{_NOUNS}{_END}(?:\s{{1,3}}{_ADJECTIVE})?{_LINK}|{_CHINESE}|(?:ответ|उत्तर)[ \t]",
    "ans choice option solution antwo respuesta reponse resposta risposta jawaban svar cevap odpow "
    "lösung réponse cevab yanıt đáp_án ответ відпов απάντ उत्तर คำตอบ คือ الإجابة الجواب پاسخ תשובה 答案 正确选项 "
    "正確選項 正解 正答 答え 解答 정답 답 选 選",
)
"""Ends where the label (or the text of an option) is to stand, after `SKIP`."""

CHOOSE = Cue(
    r"\b"
    + _any(
        *(
            "choose",
            "chose",
            "pick",
            "select",
            "go(?:ing)? with",
            "opt(?:ed)? for",
            "vote for",
            "settle on",
            "conclude",
        ),
        *("i['’]d say", "i would say", "my (?:final )?(?:pick|vote|guess) is", "i (?:will |would )?(?:say|answer)"),
        *("it (?:must|has to|should) be", "i meant?"),
    )
    + r"\b(?:\s{1,3}that(?: it is)?)?",
    "choose chose pick select go_with going_with opt vote_for settle_on conclude i'd_say i_w my_ i_say i_answer "
    "it_must it_has it_should i_mean i’d_say",
)
CONCLUDE = Cue(
    r"\b"
    + _any(
        *(
            "corresponds? to",
            "corresponding to",
            "match(?:es|ing)?",
            "which is",
            "that is",
            "this is",
            "it['’]s",
            "it is",
        ),
        *("that['’]s", "leads? to", "points? to", "leaves?(?: us)?(?: with)?", "so", "thus", "hence", "therefore"),
        *("c['’]est", "es ist", "es la", "è la", "é a"),
    )
    + r"\b,?(?:\s{1,3}(?:the|only|just|with))?",
    "correspond match which_is that_is this_is it's it_is that's lead point leave so thus hence therefore c'est es_ "
    "it’s that’s c’est è_la é_a",
)
"""Weaker than `ANSWER`: a label counts after it only with the word option, or at the end of the text."""

IS_CORRECT = re.compile(
    r"[)\].:*_`\"'”\s]{0,6}(?:\([^()\n]{1,80}\)[*\s]{0,4}|[:.)] {0,2}[^.\n]{1,60}?\s)?(?:\*{0,2}\s{0,2})"
    r"(?=[ieèé是为正が이가])"  # the letters that follow: most places fail here, at once
    + _any(
        r"\bis (?:(?:therefore|thus|indeed|clearly|definitely|also|then|hence|actually|in fact|certainly|the|a|only"
        r"|most|one|my) ){0,4}(?:correct|right|best|appropriate|accurate|answer|true|final answer|valid|choice)"
        r"(?! (?:only )?if\b)(?!-)",
        "(?:是|为)?(?:正确|正確)",
        *("是答案", "が正解", "이 정답", "가 정답"),
        "ist (?:die )?(?:richtig|korrekt)",
        "est (?:la )?(?:bonne|correcte?)",
        "es (?:la )?(?:respuesta )?correct[ao]",
        "è (?:la )?(?:risposta )?(?:corrett[ao]|esatta)",
        "é (?:a )?(?:resposta )?corret[ao]",
    ),
    re.I,
)
"""Follows a label."""

_DONT = r"\b(?:don['’]t|do not|not|never|cannot|can['’]t|wouldn['’]t|hardly)"
_THINK = "(?:think|believe|say|guess|assume|expect|conclude|answer|mean|choose|pick|select)"
_UNREAL = re.compile(
    _any(
        r"\b(?:if|suppose|supposing|assume|assuming|whether|unless|had|were|imagine|why isn't|say)\b(?: that)?",
        rf"\b(?:might|may|could|would|will|some|many|people|students) (?:\w{{1,12}} )?{_THINK}(?: that)?",
        rf"{_DONT} (?:\w{{1,12}} )?(?:{_THINK}|true|the case|sure|be)(?: if| that| whether)?",
        rf"{_DONT}|\b(?:would not|shouldn['’]t|tempt(?:ed|ing) to)|如果|假设|若|假如|不|并非",
    )
    + r"[\s,*_:(\"'“]{0,4}"
    + r"(?:(?:the|our|my|a|option|choice|correct|right|final|best|only|true|just)[\s*_(]{1,3}){0,4}\Z",
    re.I,
)
_UNREAL_WORDS = Words(
    listed(
        "if suppos assum whether unless had were imagine why_isn't say might may could would will some many people "
        "students not never hardly do_not cannot can't can’t don't don’t shouldn't shouldn’t tempt n't n’t "
        "如果 假设 若 假如 不 并非"
    )
)


def unreal(text: str, lower: str, at: int) -> bool:
    """Whether what follows is hypothetical, denied, or somebody else's; `lower` is the text in lower case."""
    start = at - 80 if at > 80 else 0
    before = lower[start:at]
    places = _UNREAL_WORDS.all_places(before)
    if not places:
        return False
    if "ı" in before:  # where case is ignored it is an i, but no word has it
        return _UNREAL.search(text, start, at) is not None
    return any(_UNREAL.match(text, start + place, at) for place in places)


CONDITION = re.compile(r"\b(?:if|were|had|suppose|unless)\b", re.I)
"""In the sentence before "the answer would be": it isn't."""

_VERB = r"\b(?:is|was|are|seems|looks|appears|would be|cannot|can['’]t|isn['’]t|won['’]t|doesn['’]t|does not)\b"
DENIED = re.compile(
    r"[)\].*_`\"'”’\s]{0,6}(?:\([^()\n]{1,80}\)[*\s]{0,4})?(?:,\s{0,2})?"
    + _any(
        rf"{_VERB}[^.\n]{{0,24}}?\b(?:not|n['’]t|incorrect|wrong|false|invalid|inaccurate|ruled out|eliminated"
        r"|out|implausible|tempting|be|correct\?)\b",
        r"\bisn['’]t\b",
        r"\bcan(?:not|['’]t) be\b",
        r"[:,-]{0,2}\s{0,2}(?:incorrect|wrong|false)\b",
        *("不正确", "不对", "错误", "是错", "不是", r"\s{0,2}[✗✘❌✖]"),
    ),
    re.I,
)
"""After a label: it is denied."""

CORRECTION = re.compile(
    r"\b"
    + _words(
        r"wait actually correction no, no\. sorry instead rather however but hmm+ oops mistake revis\w+ fix\w* let_me",
        r"scratch_that on_second_thoughts? re-?check\w* re-?consider\w* i_meant changed?_my_mind final(?:ly)? nein,",
        "non, perdón",
    )
    + "|不对|等等|更正|纠正|错了|修正",
    re.I,
)
"""Between two answers: the later one replaces the earlier."""

_FILLER = _words(
    "it that this the_answer i should must would be is ['’]s meant? no wait actually sorry to_say rather make_that",
    "correct(?:ion)? option choice let_me think it['’]s",
)
CORRECTED = Cue(
    r"\b(?:wait|actually|correction|no|sorry|scratch that|or rather|on second thoughts?|hmm+|oops|i meant?|make that"
    rf"|更正|不对|应该是)\b[\s,.:;!…—–-]{{0,5}}(?:{_FILLER}[\s,:.—-]{{1,3}}){{0,6}}",
    "wait actually correction no sorry scratch_that or_rather on_second_thought hmm oops i_mean make_that "
    "更正 不对 应该是",
)
"""Ends where the corrected label is to stand."""

_BACK_WORDS = ("wrong", "incorrect", "mistake", "not right", "not correct", "not it", "error", " back", "不对", "错了")
_TAKEN_BACK = Cue(
    r"\b(?:wait|no|hold on|hmm+|actually|oops|sorry)\b[^.\n]{0,40}\b(?:wrong|incorrect|mistake|mistaken|not right"
    r"|not correct|not it|error)\b|\bi (?:take (?:that|it) back|made an? (?:mistake|error))\b|(?:不对|错了)[,。!]",
    "wait no hold_on hmm actually oops sorry i_take i_made 不对 错了",
)
_TAKEN_BACK_WORDS = Words(_TAKEN_BACK.words)


def taken_back(text: str, lower: str) -> int:
    """Where the text last says that what it has answered no longer stands; -1: nowhere."""
    if "ı" in lower:  # as in `unreal`
        return max((match.start() for match in _TAKEN_BACK.expression.finditer(text)), default=-1)
    last, end = -1, 0
    for place in sorted(_TAKEN_BACK_WORDS.all_places(lower)):
        match = _TAKEN_BACK.expression.match(text, place) if place >= end else None
        if match:
            last, end = match.span()
    return last


NOT_BUT = Cue(
    r"\bnot\b[\s*_(\"']{0,4}(?:option |choice )?[A-Z][)*_\"'\s,]{0,4}\bbut\b(?: rather| instead)?"
    r"|不是[ (]{0,2}[A-Z][) ,]{0,3}而是",
    "not 不是",
)
_BOX_WORDS = ("box", "[[", "【")
_TICK_WORDS = ("✓", "✔", "✅", "☑", "[x]", "correct", "true", "right", "rıght")
STRONG_WORDS = Words(ANSWER.words, CHOOSE.words, NOT_BUT.words, CORRECTED.words, _BOX_WORDS, _BACK_WORDS)
MEDIUM_WORDS = Words(CONCLUDE.words, _TICK_WORDS, _BACK_WORDS)
"""What a text is searched for; where none of the last list's words stands, nothing is taken back."""

UNSURE = re.compile(
    r"\b(?:tempting|if|might|could|may|plausible|unsure|not sure|cannot|can['’]t|unclear|either|or|not|n['’]t|neither"
    r"|compare[ds]?|unlike|except)\b",
    re.I,
)
TICK = re.compile(
    r"[✓✔✅☑]|\[[xX]\]|\(correct\)|\*\*correct\*\*|(?:[-–—:]|->|→) {0,2}\**(?:correct|true|right)\b", re.I
)
CROSS = re.compile(r"[✗✘❌✖✕]|\b(?:incorrect|wrong|false|not correct|not true)\b", re.I)
