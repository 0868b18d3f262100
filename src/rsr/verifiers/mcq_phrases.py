"""The words with which people and models give, correct and take back an answer, as expressions.

All are linear: repetitions are bounded or possessive. They run on text after NFKC, so full-width forms are gone.
"""

from __future__ import annotations

import re

_MARK = r"[ \t*_`\"'“”’)\]}]{0,6}"
_ADVERB = (
    r"indeed|clearly|therefore|thus|definitely|certainly|probably|likely|most|simply|obviously|hence|then|also|still|now"
    r"|just|surely|actually|really|undoubtedly|again|going to be|as follows|in fact|of course|given by|the|correct|best"
    r"|final|right|option|choice|letter|answer|number|labell?ed|either|between|ist|est|die|la|le|lettre|opci[oó]n|op[cç][aã]o"
    r"|opzione|buchstabe|вариант|буква|选项|選項|项|選択肢|選|选择|选"
)
SKIP = re.compile(
    rf"(?:\s|[*_`\"'“”‘’(\[{{<$~:=>|«»「『【,-]|\\(?:text|textbf|mathrm|mathbf|textit|mathbb|boxed|fbox|quad|[,;!(\[])"
    rf"|</?(?:b|strong|em|i|u|span|answer)>|(?:{_ADVERB})(?![A-Za-zÀ-ɏ])){{0,16}}+",
    re.I,
)
"""What may stand between a phrase and its label."""

EITHER = re.compile(r"\b(?:either|between)\b", re.I)

_LINK = (
    r"(?:\s{1,3}(?:choice|option|letter|here|to (?:the|this|your) (?:question|problem)|for (?:the|this) (?:question|problem))"
    r"){0,2}"
    + _MARK
    + r"(?:\b(?:is|was|are)\b(?!n['’]t)(?!\s{1,3}not\b)|\b(?:would|should|must|will|has to|have to) be\b"
    r"|\b(?:ist|lautet|wäre|est|es|è|é|jest|to|je|är|er|adalah|ialah|là|hari)(?![\w])|[:=→⇒]|->|—|–| - |\s{0,3}\n|\t|\|)"
)
_WORDS = (
    r"answers?|ans|choice|option(?!s)|solution|selection|antwort|lösung|respuesta|réponse|reponse|resposta|risposta"
    r"|antwoord|jawaban(?:nya)?|svar(?:et)?|cevap|cevabı?|yanıt|odpowiedź|odpověď|đáp án|ответ|відповідь|απάντηση"
    r"|उत्तर|คำตอบ|الإجابة|الجواب|پاسخ|תשובה"
)
_ADJECTIVE = r"(?:\s{1,3}(?:correcta?|correta|corretta|esatta|finale?|richtige?|juste|exacte|benar|yang benar|đúng|prawidłowa|الصحيحة|सही))?"
ANSWER = re.compile(
    rf"(?<![\w])(?:{_WORDS})(?![A-Za-zÀ-ɏ]){_ADJECTIVE}{_LINK}"
    r"|(?:答案|正确选项|正確選項|正解|正答|答え|解答|정답|답)[ \t*_\"'」』】]{0,4}(?:应该|應該|应|應)?(?:是|为|為|选|選|は|が|은|는|:|=|\s{0,2}\n)\s?"
    r"|(?:คำตอบ|คือ)"
    r"|(?:故|应|應|所以|因此|我|则|本题|答案)?(?<!不)(?:选择|選擇|选|選)(?!项|項|择|擇)[ :]{0,2}"
    r"|(?:Ответ|ответ|उत्तर)[ \t]",
    re.I,
)
"""Ends where the label (or the text of an option) is to stand, after `SKIP`."""

CHOOSE = re.compile(
    r"\b(?:choose|chose|pick|select|go(?:ing)? with|opt for|opted for|vote for|settle on|i['’]d say|i would say|conclude"
    r"|my (?:final )?(?:pick|vote|guess) is|i (?:will |would )?(?:say|answer)|it (?:must|has to|should) be|i mean|i meant)\b"
    r"(?:\s{1,3}that(?: it is)?)?",
    re.I,
)
CONCLUDE = re.compile(
    r"\b(?:corresponds? to|corresponding to|match(?:es|ing)?|which is|that is|this is|it['’]s|it is|that['’]s|leads? to|points? to"
    r"|leaves?(?: us)?(?: with)?|so|thus|hence|therefore|c['’]est|es ist|es la|è la|é a)\b,?(?:\s{1,3}(?:the|only|just|with))?",
    re.I,
)
"""Weaker than `ANSWER`: a label counts after it only with the word option, or at the end of the text."""

IS_CORRECT = re.compile(
    r"[)\].:*_`\"'”\s]{0,6}(?:\([^()\n]{1,80}\)[*\s]{0,4}|[:.)] {0,2}[^.\n]{1,60}?\s)?(?:\*{0,2}\s{0,2})"
    r"(?:\bis (?:(?:therefore|thus|indeed|clearly|definitely|also|then|hence|actually|in fact|certainly|the|a|only|most|one|my) ){0,4}"
    r"(?:correct|right|best|appropriate|accurate|answer|true|final answer|valid|choice)(?! (?:only )?if\b)(?!-)"
    r"|(?:是|为)?(?:正确|正確)|是答案|が正解|이 정답|가 정답|ist (?:die )?(?:richtig|korrekt)|est (?:la )?(?:bonne|correcte?)"
    r"|es (?:la )?(?:respuesta )?correct[ao]|è (?:la )?(?:risposta )?(?:corrett[ao]|esatta)|é (?:a )?(?:resposta )?corret[ao])",
    re.I,
)
"""Follows a label."""

UNREAL = re.compile(
    r"(?:\b(?:if|suppose|supposing|assume|assuming|whether|unless|had|were|imagine|why isn't|say)\b(?: that)?"
    r"|\b(?:might|may|could|would|will|some|many|people|students) (?:\w{1,12} )?(?:think|believe|say|guess|assume|expect|conclude|answer)(?: that)?"
    r"|\b(?:don['’]t|do not|not|never|cannot|can['’]t|wouldn['’]t|hardly) (?:\w{1,12} )?(?:think|believe|say|mean|choose|pick|select|conclude|true|the case|sure|be)(?: if| that| whether)?"
    r"|\b(?:don['’]t|do not|not|never|cannot|can['’]t|wouldn['’]t|would not|shouldn['’]t|tempt(?:ed|ing) to|如果|假设|若|假如|不|并非))"
    r"[\s,*_:(\"'“]{0,4}(?:(?:the|our|my|a|option|choice|correct|right|final|best|only|true|just)[\s*_(]{1,3}){0,4}\Z",
    re.I,
)
"""Before a phrase or label: it is hypothetical, denied, or somebody else's."""

DENIED = re.compile(
    r"[)\].*_`\"'”’\s]{0,6}(?:\([^()\n]{1,80}\)[*\s]{0,4})?(?:,\s{0,2})?(?:\b(?:is|was|are|seems|looks|appears|would be|cannot|can['’]t|isn['’]t|won['’]t|doesn['’]t|does not)\b"
    r"[^.\n]{0,24}?\b(?:not|n['’]t|incorrect|wrong|false|invalid|inaccurate|ruled out|eliminated|out|implausible|tempting|be|correct\?)\b"
    r"|\bisn['’]t\b|\bcan(?:not|['’]t) be\b|[:,-]{0,2}\s{0,2}(?:incorrect|wrong|false)\b|不正确|不对|错误|是错|不是|\s{0,2}[✗✘❌✖]"
    r"|,?\s{0,2}(?:only )?(?:if|unless)\b)",
    re.I,
)
"""After a label: it is denied, or only true under a condition."""

CORRECTION = re.compile(
    r"\b(?:wait|actually|correction|no,|no\.|sorry|scratch that|instead|rather|however|but|on second thoughts?|hmm+|oops"
    r"|mistake|re-?check\w*|re-?consider\w*|let me|i meant|revis\w+|fix\w*|changed? my mind|final(?:ly)?)|不对|等等|更正|纠正|错了|修正|nein,|non,|perdón",
    re.I,
)
"""Between two answers: the later one replaces the earlier."""

CORRECTED = re.compile(
    r"\b(?:wait|actually|correction|no|sorry|scratch that|or rather|on second thoughts?|hmm+|oops|i meant?|make that|更正|不对|应该是)"
    r"\b[\s,.:;!…—–-]{0,5}(?:(?:it|that|this|the answer|i|should|must|would|be|is|['’]s|meant?|no|wait|actually|sorry|to say|rather"
    r"|make that|correct(?:ion)?|option|choice|let me|think|it['’]s)[\s,:.—-]{1,3}){0,6}",
    re.I,
)
"""Ends where the corrected label is to stand."""

TAKEN_BACK = re.compile(
    r"\b(?:wait|no|hold on|hmm+|actually|oops|sorry)\b[^.\n]{0,40}\b(?:wrong|incorrect|mistake|mistaken|not right|not correct"
    r"|not it|error)\b|\bi (?:take (?:that|it) back|made an? (?:mistake|error))\b|(?:不对|错了)[,。!]",
    re.I,
)
"""What was answered before it no longer stands."""

NOT_BUT = re.compile(
    r"\bnot\b[\s*_(\"']{0,4}(?:option |choice )?[A-Z][)*_\"'\s,]{0,4}\bbut\b(?: rather| instead)?|不是[ (]{0,2}[A-Z][) ,]{0,3}而是",
    re.I,
)
UNSURE = re.compile(
    r"\b(?:tempting|if|might|could|may|plausible|unsure|not sure|cannot|can['’]t|unclear|either|or|not|n['’]t|neither|compare[ds]?|unlike|except)\b",
    re.I,
)
TICK = re.compile(
    r"[✓✔✅☑]|\[[xX]\]|\(correct\)|\*\*correct\*\*|(?:[-–—:]|->|→) {0,2}\**(?:correct|true|right)\b", re.I
)
CROSS = re.compile(r"[✗✘❌✖✕]|\b(?:incorrect|wrong|false|not correct|not true)\b", re.I)
