"""The words by which a response to a mathematics problem gives, denies, corrects or concludes an answer.

Patterns only, in the languages that models answer in; `answer` and `prose` say what follows from them.
"""

from __future__ import annotations

import re

_VERB = (
    r"(?:\bis(?:\b|(?=n['’]t))|\bare\b|:|=|：|\bequals\b|\b(?:would|must|should|will) be\b|\bcomes? out to(?: be)?\b"
    r"|\bturns out to be\b"
    r"|\bbecomes\b|\bof\b(?=\s\$?[-\d\\])|\n)"
)
_ABROAD = (
    r"\b(?:die |unsere |la |notre |nuestra |il |het |o |a |nossa )?(?:end)?(?:antwort|antwoord|respuesta|réponse"
    r"|risposta"
    r"|resposta|jawaban(?:nya)?|cevap|yanıt|sonuç|odpowiedź|odpověď|svaret|svar|vastaus|válasz|răspunsul"
    r"|resultado|résultat"
    r"|risultato|ergebnis|lösung|solución|solution|solução|soluzione|wynik|hasil(?:nya)?|resultaat)\b"
    r"(?: (?:finale?|correcta|correta|corretta|correcte|akhir(?:nya)?|definitiva|końcowa|lautet"
    r"|eindelijke))*[ *_]{0,4}"
    r"(?:\b(?:ist|lautet|es|est|è|é|is|är|er|on|to|adalah|ialah|daher|also|therefore|este|je)\b|:|=|\n)"
    r"|\b(?:ответ|відповідь|отговор)\b(?: (?:равен|равна|такой))?[ *_]{0,4}[:：—–-]?"
    r"|(?:答案|正确答案|最终答案|答え|解答|正解|정답|답)(?:\s?(?:应该|應該))?(?:\s?(?:是|为|為|等于|は|은|는|이))?"
    r"|(?:đáp (?:án|số)|câu trả lời|kết quả)(?: (?:cuối cùng|đúng))?(?: (?:là|cần tìm là))?"
    r"|(?:उत्तर|उत्तर है|जवाब|উত্তর|คำตอบ(?:สุดท้าย)?(?:คือ|เท่ากับ)?|คําตอบ(?:สุดท้าย)?(?:คือ|เท่ากับ)?"
    r"|απάντηση(?: είναι)?"
    r"|התשובה(?: היא)?|الإجابة(?: النهائية)?(?: هي)?|الجواب(?: هو)?|پاسخ|جواب)"
)
PHRASE = re.compile(
    r"(?:(?P<word>\b(?:(?:correct|right|final|desired|required) (?:option|choice|value|number|expression)"
    r"|answers?|ans\b\.?|results?"
    r"|solutions?))"
    r"(?: (?:to|for|of|in) [^.\n:=?$]{1,80}?|, (?:after|before|when|once|as|if|having|by"
    r"|given)[^\n:=?$]{1,60}?,)?(?:,? (?:therefore|then|thus|hence|in this case),?)?[ *_)]{0,4}"
    rf"{_VERB}(?P<denied> not\b|n['’]t\b)?|(?<![^\n])\**(?:A(?!\**:[^\n]{{0,200}}\n?[^\n]{{0,60}}\bB\**:)|Ans|答"
    rf"|解)\**[.:：](?=\s?\S)\**|{_ABROAD})(?:[ \t_:：]"
    rf"|\*{{1,2}}(?=[\s:：])){{0,6}}",
    re.I,
)
"""What an answer follows: `The final answer is`, `Answer:`, `答案是`; the group `denied`: "is not"."""

LATER = re.compile(
    r"(?:\b(?:but(?: rather)?|instead|rather)\b,?|[;.,—-]\s?(?:it|this|the (?:correct |right |true "
    r"|actual )?(?:answer|value))"
    r"(?: is|['’]s| should be)|\bit(?: is|['’]s| should be)\b)\s?(?:actually |really |just )?",
    re.I,
)
"""What the right answer follows after one was denied: `not 14 but`."""

NO_VALUE = re.compile(
    r"\s*(?:thus |therefore |now |indeed |also )?"
    r"(?:verified|confirmed|checked|valid|correct|consistent|complete)[\s*]*[.!✓]"
    r"|\s*(?:the )?same\b|\s*(?:obtained|found|calculated|computed|derived|reached|determined) (?:by|from|through|via"
    r"|when|using)\b",
    re.I,
)
"""What a phrase says about an answer that was given before: `The solution is verified.`"""

GAVE_UP = re.compile(
    r"\b(?:i|we) (?:(?:was|were|am|are) (?:unable|not able)|(?:have )?failed|can(?:not|['’]t)|could(?: not|n['’]t))"
    r" (?:to )?(?:determine|find|solve|work out|figure out|compute|calculate|complete|finish)\b"
    r"(?= (?:it|this|the(?! (?:individual|separate|other|exact))|an (?:answer|exact)|a (?:value|solution))\b|[.!]|\Z)"
    r"|\b(?:not enough|insufficient) (?:information|data)\b",
    re.I,
)
"""A sentence that says there is no answer."""

RATHER = re.compile(
    r"(?:\b(?:is|are|was|were)(?: not\b|n['’]t\b))(?! (?:only|just|merely))[^.!?]{1,80}?,?\sbut\s"
    r"(?:rather |actually |in fact )?(?=[$*]{0,3}[-−]?\d)",
    re.I,
)
"""What comes before the right value: `isn't 24 but`."""

INVERSE = re.compile(
    r"\b(?:is|are|as|be) (?:therefore |thus |indeed |then )?(?:the|our|my) (?:final |correct |right |desired "
    r"|required )?(?:answers?|solution)\b",
    re.I,
)
"""What follows an answer: `7 is the answer`."""

UNREAL = re.compile(
    r"(?:\b(?:if|suppose|assume|assuming|whether|(?:might|may|could|would|initially|first|originally) (?:think"
    r"|thought|said"
    r"|say|guess(?:ed)?)|thought|don['’]t think|not|wrong|incorrect|naive|tempting|previous|initial|another"
    r"|intermediate"
    r"|partial|wrong final|student['’]s|possible|alternative|mistaken|common|other|further)\b(?: that)?)"
    r"[\s*_]{0,3}(?:the |our |my |final |correct ){0,3}\Z",
    re.I,
)
"""What stands before a phrase that commits to nothing."""

SUPPOSED = re.compile(r"(?:\A|[\n.!?;]\s*)(?:if|had|without|suppose|assuming|unless|were)\b[^.!?\n;]{1,200}\Z", re.I)
"""A sentence that supposes something, up to its `would be`."""

ADVERBS = re.compile(
    r"(?:\s|\}(?=\s)|\*\*(?=\s)|__(?=\s)|:|=(?!=)|(?:therefore|thus|indeed|then|simply|just|clearly|hence|now"
    r"|approximately|about|exactly"
    r"|equal to|given by|as follows|going to be|also|still|actually|probably|definitely|only|obviously|evidently"
    r"|certainly|surely|precisely|roughly|in fact|really|truly|again|the|a total of|found to be"
    r"|(?:number|value|expression|sum|fraction|interval|set|point|ordered pair|pair|equation|function"
    r"|matrix)(?! of\b)|daher|also|donc|por lo tanto"
    r"|dus|somit|folglich|quindi|dunque|logo|portanto|więc|tedy|alltså|altså|maka"
    r"|la coppia|le couple|das paar|het paar|la pareja|[eo]l? par(?: ordenado)?)\b,?)*+",
    re.I,
)
"""What may stand between a phrase and its answer."""

CORRECTION = re.compile(
    r"\b(?:wait|(?:edit|update)(?=:)|actually|correction|correcting|corrected|no,|sorry|scratch that|mistake|oops|hmm"
    r"|re-?check|i meant"
    r"|let me (?:redo|recompute|recalculate|recount|count again|re-?check|reconsider|fix)|(?:is|was"
    r"|that['’]s) (?:wrong|incorrect"
    r"|not right)"
    r"|i made an error|espera|warte|attendez)\b|不对|更正|等等|わりました",
    re.I,
)
"""Second thoughts."""

CORRECTED = re.compile(
    r"(?:\b(?:should (?:actually |instead |really )?be|(?:it|that|this)(?: is|['’]s)(?: actually| really)?"
    r"|makes? (?:that|it)|(?:that|this) (?:makes|gives|leaves)"
    r"|must be|we (?:get|have|obtain)|which (?:is|gives)|i get|equals|gives|leaves|so)"
    r"|=|应该是|应为)\s?\*{0,2}(?=[-−$\\\d(])",
    re.I,
)
"""What the new value of a correction follows."""

RETRACTS = re.compile(
    r"\W*(?:(?:hmm|wait|but|oh|ah|well|hold on)\b\W*){0,3}(?:no\s?[,.—–-]"
    r"|(?:that|this|it|which)(?:['’]s| is| was) (?:quite |actually |clearly )?(?:wrong|incorrect"
    r"|not (?:quite )?(?:right|correct)"
    r"|too (?:many|few|much|large|small))\b"
    r"|(?:that|this|it) (?:isn['’]t|wasn['’]t|can['’]t be|cannot be) (?:quite )?(?:right|correct|true)\b)",
    re.I,
)
"""A sentence that takes back what was said before it: `No, that isn't right`."""

AFFIRMED = re.compile(
    r"\b(?:yes|indeed|correct|right|confirm(?:s|ed)?|checks? out|matches|consistent|verified|works"
    r"|as expected)\b(?! answer)",
    re.I,
)
DENIED = re.compile(r"\b(?:not|isn['’]t|wrong|incorrect|in correct|mistake|error)\b", re.I)

DOUBT = re.compile(
    r"\?\s*$|\b(?:not sure|unsure|cannot|can['’]t|could be|might be|may be|is not|isn['’]t|don['’]t know|no idea"
    r"|unable"
    r"|(?:(?:we|i) (?:are|were) asked|you(?:['’]re| are) asking|the (?:question|problem) (?:asks"
    r"|is asking))\b(?!.*\b(?:which|so|that) (?:is|are|equals)\b)"
    r"|\d+ (?:if|when)\b[^.;]{1,60}[,;] (?:and |or |but )?(?:it['’]s |it is )?[$]?\d[\d.,]* (?:if|when|otherwise)"
    r"|possible answers?|(?:i|we|one|you)(?:['’]d| would) (?:first|start|begin|need to|have to|then|now)|let me think"
    r"|i guess either)\b",
    re.I,
)
"""A sentence that commits to nothing."""

GUESS = re.compile(r"\bbut (?:i (?:think|believe|would say|['’]d say)|my (?:best )?guess)\b", re.I)
"""What turns doubt into an answer."""

REJECTED = re.compile(
    r"\b(?:trap|distractor|wrong|incorrect|mistake|mistaken|misleading|extraneous|rejected|excluded|invalid"
    r"|discarded?)\b",
    re.I,
)
"""A clause about a value that doesn't count."""

CONCLUDES = re.compile(
    r"\A[\s*_#>-]*(?:so|thus|therefore|hence|in total|altogether|finally|in conclusion|consequently|as a result"
    r"|total|∴"
    r"|\\therefore|overall|in all|it follows|we conclude|this means|accordingly|then|that means|now we have"
    r"|and so"
    r"|daher|somit|folglich|also(?=,? (?:ist|sind|hat|haben|war|gilt|gibt|die|der|das|insgesamt|er|sie|wir|es|muss"
    r"|kann|bleiben|[a-zäöü]{2,12}t (?:die|der|das|er|sie|es|man|[A-Z\d]))\b)|por lo tanto"
    r"|por tanto|entonces|donc|ainsi|par conséquent|quindi|pertanto"
    r"|portanto|logo"
    r"|jadi|dus|итак|значит|таким образом|следовательно|因此|所以|综上|故|したがって|よって|따라서|그러므로|vậy)\b",
    re.I,
)
"""A sentence that draws a conclusion."""

EXPLAINS = re.compile(
    r"\A[\s*_#>(-]*(?:note|notice|check|to (?:check|verify|confirm|see)|verification|verify|let['’]?s (?:verify|check)"
    r"|this is because|because|for example|e\.g\.|recall|let me know|i hope|remember|hint|here,|where|indeed"
    r"|in other words"
    r"|(?:this|that|which|it) (?:also )?(?:matches|agrees|fits|is consistent|confirms|shows why|is what|is as)\b"
    r"|assuming|i (?:used|assumed|took|rounded|checked)|we (?:assumed|rounded)|had (?:he|she|it|they|we)|without"
    r"|the reason"
    r"|meanwhile|by then|see|compare|this (?:would|way|works)"
    r"|if you|step \d+|proof|explanation|remark|reason|don['’]t|feel free|we used|this makes sense|you can|as a check"
    r"|double-check|sanity check|not\b)",
    re.I,
)
"""A sentence that explains what was concluded before it."""

CHECKS = re.compile(
    r"\A[\s*_#>(-]*(?:(?:to )?(?:double-?)?check|to (?:verify|confirm)|verification|sanity check|as a check"
    r"|(?:we|you|one|i|let me|let us|let['’]s|it (?:is|can be)|this can be) ?(?:can|could|may|might"
    r"|should)? ?(?:also |now |easily |quickly"
    r" |easy to )?(?:double-?check|verify|verified|checked|check|confirm)"
    r"|(?:plug|put|substitut)(?:ging|ting|e|ing)?\b[^.:]{0,30}\bback\b"
    r"|as a rule|(?:keep|bear) in mind|be aware|interestingly|remarkably|a common (?:error|mistake)|these are (?:the"
    r"|called"
    r"|known)(?= (?-i:[A-Z]))"
    r"|(?:this|that|it) is (?:the|a) (?:famous|well-known)|that(?:['’]s| is) (?:more than )?enough"
    r"|the other [a-z]{3,12} (?:would|could|might)"
    r"|the [a-z]+ themselves"
    r"|thanks|thank you|(?:pro ?)?tip\b|p\.? ?s\b|to (?:convince|see (?:this|why|that))|this assumes"
    r"|i (?:have )?assumed|at (?:that|this|which) (?:time|point|moment)"
    r"|i hope|hope this"
    r"|let me know|feel free|would you like|do you want|if you(?:['’]d| would| want| need| have| like))\b",
    re.I,
)
"""A sentence that works backwards, or only talks to the reader."""

CHECKED = re.compile(
    r"\n\s*[*_#>]{0,4}\s?(?:(?:double-?)?check|verification|sanity check"
    r"|(?:we|you|one|i) (?:can|could|may) (?:also |now |easily |quickly )?(?:double-?check|verify|check"
    r"|confirm))\b(?:(?!\n\s*\n)[\s\S])*",
    re.I,
)
"""A paragraph that works backwards."""

REMARKS = re.compile(
    r"\n\s*[*_#>]{0,4}\s?(?:another (?:way|method|approach)|alternatively|in general|more generally|note|remark"
    r"|interestingly"
    r"|it['’]?s worth|one could also|a common (?:mistake|error)|be careful|intuitively|this works because|in comparison"
    r"|explanation|reason(?:ing)?:|justification|why\?|erklärung|begründung|explication|explicación"
    r"|for reference|anmerkung|hinweis|probe|remarque|vérification|nota|observación"
    r"|comprobación)\b(?:(?!\n\s*\n)[\s\S])*",
    re.I,
)
"""A paragraph that adds something to what was concluded before it."""

PREMISE = re.compile(
    r"\A\s*(?:(?:so|thus|therefore|hence|then),?\s)?(?:since|as|because|when|if|given that|given)\b.*?,\s(?=(?:the"
    r"|there|we|it|he|she|they|you|this|each"
    r"|his|her|their"
    r"|an?|all|only|both)\b)"
    r"|\A\s*(?:(?:so|thus|therefore|hence|then),?\s)?(?:if|when)\b[^,]*,\s"
    r"(?=[$€£]?\d[\d,.]* [a-z]{3,} (?:are|is|will|can|have|were)\b)",
    re.I | re.S,
)
"""What a sentence presupposes: `Since the discriminant is 16 > 0,`."""

CLAUSE = re.compile(
    r",?\s(?:but|and) (?:since|as|because) [^,.;:]{1,100},(?=\s)|(?:,\s|;\s|\s)(?:and(?= there (?:are|is|were)\b)"
    r"|and(?= (?:gets|pays|keeps|receives|owes|saves) [$€£]?\d)"
    r"|and so|so that|so|thus|therefore|hence|leaving|meaning|making|giving|if and only if|which means"
    r"|which leaves(?! (?:at|for|from|on|in)\b)"
    r"|which gives|which makes|that is|i\.e\.(?! to\b)|for a total of|this means|it follows that|we get|we have"
    r"|(?<!by )then"
    r"|resulting in"
    r"|we find|we obtain|but only|of which only|(?<!make )(?<!making )an? (?:difference|total|sum|profit|gain|loss) of"
    r"|(?<!, )an? (?:increase|decrease|saving) of)\b,?(?!\s(?:that|many|much|far|long)\b|(?<!, so)\sthe\b)|;\s"
    r"|\\(?:implies|Rightarrow|therefore)\b|⇒"
    r"|=>|→|∴",
    re.I,
)
"""Where a new clause draws a conclusion inside a sentence."""

REASON = re.compile(
    r",?\s(?:because|since|once|now that|until|unless|provided|as long as|although|(?:even )?though|excluding"
    r"|as (?:the|there|we|it|each|he|she|they)|given that|due to|where|assuming|(?<!and only )if(?! and only)|when"
    r"|attained|achieved"
    r"|(?:which )?occur(?:s|ring)|obtained|(?:and |but )?not(?= (?:just )?[$€£]?\d)|rather than|instead of"
    r"|unlike|including|of which|not counting|(?<=, )who(?:se)?|davon|de los cuales|dos quais|di cui|waarvan"
    r"|z toho|z czego|varav"
    r"|из них|compared (?:to|with)|from [$€£]?\d[\d,.]* to"
    r"|(?:after|before|by|while|when) [a-z]{2,12}ing"
    r"|(?:that|which)(?:['’]s| is) (?:just |more than )?enough|(?<=, )an? (?:increase|decrease|saving|reduction|drop"
    r"|rise) (?:of|on)|(?<=, )which (?:by then|at that)"
    r"|(?<=, )(?!leav|mak|giv|total|bring|yield|gett|result|mean|obtain|add|amount|reduc|end|earn|cost|tak|us"
    r"|be)[a-z]{2,10}ing"
    r"|(?<=, )(?:followed|preceded|divided|spread) (?:by|over)|(?<=, )(?:at|in|by|of|with|for|during) which|und zwar"
    r"|puisque|(?<=, )(?:car|da|bo|want|dont)|parce qu[e']|après|porque|ya que|después de|weil|denn|nachdem|sobald"
    r"|wenn|poiché|perché|dopo"
    r"|pois|porque|depois de|ponieważ|gdyż|omdat|nadat|потому что|так как|после|karena|setelah|vì|(?<=, )soit"
    r"|(?:in order )?to be [a-z]{3,12}(?= (?:by|before|at|on|in|with))|(?<=, )as(?! (?:well|follows)\b)"
    r"|by (?:the end of|year|day|week)"
    r"|(?<=, )(?:d\. ?h(?=\.)|c['’]est-à-dire|es decir|cioè|ou seja|то есть)"
    r"|to (?:get|have|earn|achieve|reach|keep|make) (?:an?|his|her|their|its|the)"
    r"|(?:which is |or )?(?:approximately|about|roughly)(?= [$€£]?\d))\b|\s?≈"
    r"|,?\s?(?:因为|由于|因為|其中|なぜなら|왜냐하면)",
    re.I,
)
"""Where a clause turns to its reasons."""

COMMITS = re.compile(
    r"(?:\b(?:is|are|be|(?:it|that|there|he|she)['’]s|equals?|equal to|becomes|was|were|there are|there were|(?:left"
    r"|ends?|ended"
    r"|comes?) (?:up )?with|(?:down|up|reduced|increased|falls?|drops?|rises?|fell|dropped|rose|grown|grew|grows"
    r"|risen|fallen|decreased) to|(?:it['’]s|it is"
    r"|will be|must be) the|to (?:get|obtain|give)|comes? to|amounts? to|arrive at|totals?|totaling"
    r"|leaves|leaving|remains?|(?<!the )remaining"
    r"|(?:total|sum|average|remainder|radius|value|product|quotient|ratio|slope|profit|distance|speed|score"
    r"|probability|mean|median|maximum|minimum|cost|price|length"
    r"|area|volume) of|(?:vertex|cent(?:er|re)|focus|midpoint|intersects?|meets?|crosses|lies) at)|=|:"
    r"|≈)[\s*_$\"“(]*(?:\b(?:exactly|only|just|about|approximately|actually|really|now"
    r"|therefore|also|a total of"
    r"|going to be|still|thus|then|hence|indeed|equal to|at (?:least|most)|no more than"
    r"|up to)\b[\s*_$]*){0,3}[\s*_$\"“(£€]*\Z",
    re.I,
)
"""What stands right before a number that a sentence commits to."""

ASIDE = re.compile(
    r"(?:\b(?:of|of (?:the|these|those|his|her|their|all)|out of|from|from the|per|than(?: [a-z]+['’]s| his"
    r"| her| the)?|by|with|with the|after"
    r"|before|if"
    r"|every|the|the digits?|his|her|their|its|your|my|our|these|those|all|when|between|among|step|steps?|problem"
    r"|question|mod"
    r"|base|until|to reach|over|minus"
    r"|(?<!\bhas )(?<!\bhave )(?<!\bhad )(?<!\bneeds )(?<!\bneed )(?<!\bgoing )(?<!\bable )to (?!be\b"
    r"|equal\b)[a-z]{3,12}|another|remaining|first|last|next|than the|page"
    r"|equation|at|within|times|plus|original|initial|divided by|multiplied by|either|since"
    r"|(?<!\bget )(?<!\bgets )through)"
    r"|\b(?:dentro de|hace|innerhalb von|binnen|entro|durante (?:los|as|os)|después del?|(?:de|para|pour|por) (?:los"
    r"|las|sus|ses|ces|seus|tes|mes|nos)"
    r"|van de|av (?:de|sina|hans|hennes)|(?:seine|ihre|deine|meine)[nrms]?|suoi|sue|seus|suas|sus|ses|en"
    r"|pendant(?: les)?|après|sur|nach(?: den)?"
    r"|von(?: den)?|aus|in den|di|dei|delle|dopo|con (?:los|las)|com (?:os|as)|mit(?: den)?|auf|die|alle|über|z|na|od"
    r"|из|за|比[^，,。]{1,8}[多少])"
    r"|\d\s?[-+*/×÷])[\s*_$\"“(£€]*(?:about |exactly |only )?[\s$\\£€]*\Z",
    re.I,
)
"""What stands right before a number that is only mentioned."""

COMPARES = re.compile(
    r"[\s$*]{0,3}(?:\w+ ){0,2}(?:(?:more|less|times|[a-z]{2,10}er)\b[^,;]{0,30}\b(?:than|as)\b"
    r"|(?:in più|in meno|de plus|de moins|más|menos|mais|mehr|weniger|więcej|mniej|больше|меньше|meer|minder)"
    r"(?:\s\w+){0,1}\s(?:di|que|qu'|als|do que|niż|чем|dan)\b)",
    re.I,
)
"""What follows a number that compares: `6 more than Lily's 30`."""

PLACES = re.compile(
    r"[\s$*]{0,3}(?:[^\W\d]+ ){0,2}(?:after|before|from|away|ahead|behind|later|earlier|below|above|short of|over"
    r"|under)\b",
    re.I,
)
"""What follows a number that only tells where another one lies: `in 2061, 75 years after 1986`."""

BESIDE = re.compile(r"\b(?:for|in|to|on|at|within|across)(?: the| a)?[\s*_$]*\Z", re.I)
"""The same, more weakly."""
