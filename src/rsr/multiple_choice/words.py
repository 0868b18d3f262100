"""The words with which people and models give, deny, doubt and take back an answer, in many languages.

Each word has a kind (`Kind`, flags); a word that isn't here is unknown, and a clause with unknown words commits to
little. Scripts without spaces between words (Chinese, Japanese, Korean) have expressions instead.
"""

from __future__ import annotations

import re
import unicodedata


class Kind:
    """What a word says of the label beside it: plain integers, since an `IntFlag` costs a microsecond each time."""

    FILL = 1
    """Nothing: articles, adverbs, "I", "would"."""
    NOUN = 2
    """The thing asked for: "answer", "choice"."""
    LABEL = 4
    """A name of labels: "option", "statement"."""
    LINK = 8
    """Is, seems, a colon, an arrow."""
    VERB = 16
    """To choose, to think."""
    SO = 32
    """A conclusion: "so", "therefore", "it's"."""
    NO = 64
    IF = 128
    DOUBT = 256
    """Somebody else's view, an example, a mistake, an analysis that goes on."""
    GOOD = 512
    BAD = 1024
    MAYBE = 2048
    WHY = 4096
    """What follows explains or contrasts: "because", "while"."""
    BUT = 8192
    """Another answer is put in place of the former: "but", "rather", "wait"."""
    WOULD = 16384
    PREP = 32768
    """Belongs to a verb or a noun before it: "with", "to"."""
    MATCH = 65536
    """Says that something found is an option: "corresponds", "matches"."""
    THING = 131072
    """What an option may be called: "statement", "sentence"; a wrong one may be what was asked for."""
    LIST = 262144
    """And, or."""
    LOOK = 1048576
    """An analysis that goes on: "let's consider"."""
    ADV = 524288
    """How likely: "probably", "clearly"; alone before a label it commits."""


_KINDS: list[tuple[int, str]] = [
    (
        Kind.FILL,
        """the a an my our your its this these those i we you me us am hereby here now again still too will shall let
        lets let's do does did have has been own given question problem quiz task following above two three four
        labelled labeled number of in by which what that who one confident certain quite pretty fairly strongly
        conclusively accordingly going gonna want as all i'm we're you're i'll we'll i've you'd you'll course both
        able yeah yep yup yes ich ik jag eu yo io ja ben saya aku tôi я das der die den dem ein eine mein meine wohl
        ganz eindeutig
        daher somit folglich deshalb deswegen mich le les ma mon un une est-ce bien clairement el los lo mi una
        claramente por tanto eso il gli la mia o os um uma minha это мой моя под литер huruf yang benar paling tepat
        het de mijn odp şıkkı şık şıkkıdır seçeneğidir seçeneği harfi هو هي أن إن الحرف रूप में chữ cái ist's und
        zwar opcja also can up got gotta q qn finale endgültige النهائية нужный bu forced đáp câu trả vậy nên dung
        vì η ο το της του την τον ang die sa az что dass daß que che що że že hogy att""",
    ),
    (
        Kind.FILL | Kind.ADV,
        """directly strongly closely
        final most very more likely probable probably certainly definitely clearly obviously surely simply just only
        indeed actually really truly maybe perhaps presumably apparently sure undoubtedly evidently""",
    ),
    (
        Kind.NOUN,
        """answer answers ans asnwer anwser solution response result verdict conclusion selection pick prediction guess
        decision vote output ans. box boxed fbox framebox pred lời án antwort lösung loesung ergebnis antworten
        respuesta
        respuestas solución solucion réponse réponses reponse résultat resposta respostas solução gabarito risposta
        risposte soluzione antwoord oplossing jawaban jawabannya jawabanku svar svaret cevap cevabı cevabım
        cevabımız yanıt odpowiedź odpowiedzią odpowiedz odpověď odpoveď odpovědí răspuns răspunsul válasz megoldás
        ответ ответом ответы відповідь відповіддю отговор одговор απάντηση उत्तर जवाब คำตอบ ตอบ الإجابة الاجابة
        الجواب إجابة جواب إجابتي پاسخ تشوبה התשובה תשובה উত্তর உத்தர் பதில் సమాధానం જવાબ ਜਵਾਬ vastaus vastus odgovor
        atsakymas atbilde svarið javob sagot jibu cavab жауап erantzun პასუხი პასუხია պատասխանն պատասխանը sol.
        exception key ответа วิธี คำตอบที่ถูกต้องคือข้อ คำตอบคือข้อ""",
    ),
    (
        Kind.FILL | Kind.LABEL,
        """option options choice choices item alternativa alternativas alternatief alternative opción opcion opciones
        opção opcao opzione optie wahl auswahl antwortmöglichkeit möglichkeit variante pilihan opsi alternativet
        вариант варіант вариантом варианта варианты пункт الخيار الاختيار خيار विकल्प opsiyon lựa chọn ตัวเลือก ข้อ
        seçenek možnost varianta opțiunea গোষ্ঠী বিকল্প גרסה אפשרות האפשרות گزینه lehetőség επιλογή letter letters
        letra lettera lettre buchstabe litera буква буквой""",
    ),
    (
        Kind.FILL | Kind.LABEL | Kind.THING,
        """statement sentence claim assertion proposition expression equation graph figure diagram word term phrase
        aussage afirmación afirmacion affirmation afirmação affermazione утверждение phát biểu pernyataan one
        statements sentences claims answers""",
    ),
    (
        Kind.LINK,
        """is are was be becomes equals seems looks appears turns being remains named called ist sind lautet wäre est
        sont serait es son sería é são seria è sono sarebbe er är ar jest je este είναι является есть будет є هي هو
        هى है हैं होगा คือ là adalah ialah yaitu yakni dır dir dur zijn הוא היא است হল হলো হচ্ছে olan olacaktır
        lyder ay és yra ir је е := = => -> → ⇒ — – ➡ 👉 ⟹ ➜ > | ∴ ➔ คือข้อ""",
    ),
    (
        Kind.VERB,
        """choose chose choosing chosen pick picks picked picking select selects selected selecting go went going opt
        opted settle settled think believe say suspect reckon conclude concluded concludes answering answered mean
        meant vote money bet determine determined deduce infer guessing submit mark circle wähle waehle wählen
        entscheide
        glaube denke choisis choisir choisissons pense crois opte elijo elegimos elige escojo selecciono marco creo
        seleccionamos escolho seleciono acho marcar assinalar scelgo seleziono penso credo kies selecteer memilih
        pilih saya memilihlah wybieram zaznaczam seçiyorum seçerim seçilmelidir выбираю выбираем выберу считаю думаю
        обираю أختار اختار نختار चुनता चुनती चुनूंगा चुनें chọn เลือก vælger väljer velger valitsen izbiram aleg
        választom انتخاب stay staying stick sticking keep tick ticking quedo lean leaning leaned inclined arrive
        arrived arriving end ends ended""",
    ),
    (
        Kind.SO,
        """makes so thus therefore hence consequently then finally ultimately overall ergo it it's that's leaves
        leaving leave left must should summary short elimination deduction process hope meaning means i.e ie namely
        i.e. giving gives gets get obtain obtained yields there's must've here's demnach ergibt folgt muss bleibt
        donc ainsi c'est conclusion alors c'est-à-dire reste entonces luego así pues decir queda debe ser quindi dunque
        perciò pertanto rimane deve essere portanto logo então assim resta dus daarom wynika więc zatem dlatego yani
        dolayısıyla sonuç olarak böylece значит следовательно итак таким образом поэтому остаётся остается отже тому
        لذلك إذن إذا وبالتالي بالتالي اذن इसलिए अतः तो ดังนั้น vậy nên jadi maka sehingga dengan demikian αρα άρα
        proto tedy tehát deci așadar därför derfor siis לכן בהתאם بنابراین সুতরাং তাই অতএব sum tl dr qed recap
        nedenle""",
    ),
    (
        Kind.NO,
        """not never neither nor none cannot can't isn't wasn't aren't don't doesn't didn't won't wouldn't shouldn't
        couldn't ain't weren't nobody nothing hardly n't without nicht kein keine keinesfalls niemals pas n'est
        jamais ni nunca tampoco non não nem niet geen nie nigdy není inte ikke değil değildir bukan bukanlah tidak
        không ليست ليس ليسا نہیں नहीं ไม่ ไม่ใช่ не ні нет δεν nu לא אינה אינו نیست নয় না ei than over versus vs""",
    ),
    (
        Kind.IF,
        """if whether unless suppose supposing assuming assume assumed were imagine hypothetically wenn falls ob
        angenommen si supongamos se supponiamo если допустим предположим якщо jika kalau andaikan nếu giả sử eğer
        यदि अगर ถ้า หาก لو jeśli jeżeli pokud om hvis dacă ha αν אם اگر যদি als""",
    ),
    (
        Kind.DOUBT,
        """least worst doubt doubtful second other another although though despite e.g e.g. thought mistake mistaken
        mistakenly trap tempted temptation tempting distractor students student people person someone somebody user
        users prompt others everyone everybody many some says claims claimed claiming wrote instruction instructions
        example instance format template contradict contradicts eliminate eliminates eliminating exclude excludes
        excluding rule rules ruling reject rejecting dismiss discard avoid against unlike except besides explain
        explaining regarding about discuss case scenario plausible runner attractive unsure undecided torn hesitate
        debate debating wondering wonder ask asks asked please initially originally misconception fooled fall
        beginners colleague friend teacher author teachers textbook according sample previous earlier former
        opposite unless possible possibly between either probability chance odds confuse confused confusing
        betrachten prüfen considérons examinons consideremos analicemos considere рассмотрим предположение возможно
        he she they him her them first glance initial original""",
    ),
    (
        Kind.LOOK,
        """next reconsider reconsidering recheck rechecking rereading recompute consider considering considers analyze
        analyse analyzing analysing examine examining evaluate evaluating look looking check checking verify
        verifying start starting compare compared comparing test testing try trying review read reading""",
    ),
    (
        Kind.FILL | Kind.GOOD,
        """correct correctly right best true valid accurate appropriate suitable proper exact fits fit fitting works
        work holds hold remaining remain stands does consistent satisfies satisfy satisfied better winner supported
        closest strongest safest likeliest
        matches match makes sense preferable aligns applies reasonable logical ok okay definitive complete preferred
        desired precise richtig richtige richtigen korrekt korrekte zutreffend stimmt bonne bon correcte juste
        exacte vraie vrai correcta correcto correctas verdadera verdadero cierta válida adecuada corretta corretto
        esatta esatto giusta correta correto certa certo verdadeira verdadeiro juiste juist goed poprawna poprawną
        poprawny prawidłowa prawidłową prawidłowy właściwa verna верный верно верным верная правильный правильным
        правильная правильно правильной правильна правильною вірна правильний верен σωστή σωστό सही सत्य صحيحة صحيح
        صحيحًا الصحيحة الصحيح الأصح الأنسب doğru doğrudur doğrusu đúng ถูก ถูกต้อง ที่ถูกต้อง správná správně rätt
        riktig riktigt korrekta corect corectă helyes betul benar tepat נכונה הנכונה נכון صحیح درست সঠিক required
        intended wanted accurately definite sahihi tamang tama oikea točan točna tačan tačna pravilen pravilna teisingas
        pareizā õige düzgün дұрыс правилният правилно சரியான సరైన बरोबर સાચો ਸਹੀ zuzena სწორი ճիշտ korrekte to'g'ri
        správný σωστός správnou helyesen poprawne""",
    ),
    (
        Kind.BAD,
        """incorrect incorrectly wrong false invalid inaccurate impossible irrelevant implausible eliminated excluded
        ruled out inconsistent unlikely inappropriate untrue misleading discarded dismissed rejected unsupported
        contradictory contradicted refuted disproved
        disproven insufficient incomplete weaker worse weak nonsense off fails fail failed falsch falsche
        ausgeschlossen fausse faux incorrecte incorrecta incorrecto falsa falso sbagliata errata errato incorreta
        incorreto errada errado onjuist fout błędna nieprawidłowa неверный неверна неверно неправильный неправильная
        неправильно неправильна ошибочный yanlış yanlıştır salah keliru sai ผิด خاطئة خطأ गलत špatně fel feil greșit
        helytelen שגויה نادرست غلط ভুল""",
    ),
    (
        Kind.NOUN | Kind.LINK,
        """คำตอบคือ คำตอบที่ถูกต้องคือ คำตอบที่ถูกคือ ตอบข้อ ข้อที่ถูกต้องคือ""",
    ),
    (
        Kind.MAYBE,
        """might may could kann könnte pourrait podría podria pode potrebbe может mungkin""",
    ),
    (
        Kind.WHY,
        """because since as due for which where while whereas although though when whose who after upon owing based
        considering given thanks unlike compared despite and-so meaning making but with without and from through
        weil da denn wegen obwohl car parce puisque comme porque ya pues dado perché poiché pois já omdat want
        ponieważ bo так потому поскольку karena sebab vì bởi çünkü لأن क्योंकि เพราะ eftersom fordi deoarece mert
        weighing judging followed per rather instead so hence thus therefore""",
    ),
    (
        Kind.BUT,
        """but rather instead however wait actually correction sorry hmm hmmm oops nope yet hold sondern aber doch
        stattdessen mais plutôt sino pero mas sim ma bensì maar ale lecz а но нет ama ancak fakat tetapi melainkan
        mà nhưng بل लेकिन बल्कि แต่ utan dar hanem scratch reflection fix revised revise updated corrected""",
    ),
    (
        Kind.FILL | Kind.WOULD,
        """would i'd we'd it'd that'd würde""",
    ),
    (
        Kind.MATCH,
        """points point pointing leads proves prove supports support supporting indicates indicate suggests suggest
        favors favours corresponds correspond corresponding corresponded matches match matching matched equivalent
        agree agrees
        entspricht corresponde corrisponde соответствует""",
    ),
    (
        Kind.PREP,
        """toward towards to for with on at under into para für pour dla для untuk cho""",
    ),
    (
        Kind.LIST,
        """and or und oder et ou y e o и или va dan atau và hoặc ve veya""",
    ),
]

WORDS: dict[str, int] = {}
for _kind, _words in _KINDS:
    for _word in _words.split():
        _word = unicodedata.normalize("NFKC", _word)
        WORDS[_word] = WORDS.get(_word, 0) | _kind

CONNECTS = frozenset(
    [
        "so",
        "thus",
        "therefore",
        "hence",
        "donc",
        "daher",
        "quindi",
        "entonces",
        "portanto",
        "because",
        "since",
        "while",
        "whereas",
    ]
)
"""After these a clause begins."""
NAMES = frozenset(("description", "interpretation", "explanation", "representation", "diagnosis", "inference"))
"""What may stand behind "the best"."""
PAIRS = frozenset(
    (
        ("looking", "for"),
        ("looking", "again"),
        ("looking", "back"),
        ("looking", "closer"),
        ("no", "doubt"),
        ("could", "only"),
        ("can", "only"),
    )
)
"""Two words that say nothing together."""

EAST_BEFORE = re.compile(
    r"(?P<no>(?:[错误]选|错選|誤選|排除|剔除|舍去)(?!法|后|後|了?[^,。]{0,6}[选選])|不是|不选|不選|不应?选|并非|不對|不)|(?P<maybe>可能)|(?P<if>如果|若"
    r"|假设|假如|假設|もし|만약)"
    r"|(?P<noun>正しい(?:選択肢|のは|答え)|올바른\s?(?:선택지|답|것)|선택지|正确选项|正確選項|正确的?(?:是|选择)|正確的是|答案|正解|正答|答え|解答|回答|정답|답)"
    r"|(?P<label>选项|選項|選択肢|보기)|(?P<verb>选择|選擇|选|選|認為|认为)|(?P<fill>저는|나는|本题|私は|我)|(?P<so>所以|因此|故|综上|即|则|而是|应该是"
    r"|따라서|그러므로|よって|したがって|就是|只有|剩下|ではなく|じゃなく|아니라|残る|残った|残りの|나머지|남은)"
)
"""What a word of Chinese, Japanese or Korean before a label contains."""

EAST_BEHIND = re.compile(
    r"\s{0,2}(?:(?:选项|選項|项|項|選|选|が|は|를|을|이|가|는|은|番|번|都|均|也|的说法|说法|两项|是|为|為|의|的|、|也都|全都|皆)\s?){0,3}(?:"
    r"(?P<bad>不正确|不正確|不对|不對|不符|不是|错|錯|误|有误|不选|ではな|じゃな|正しくな|不正解|正解では|正解じゃ|정답이?\s?아|誤り|誤っ|間違|아니|아닙|틀|오답|맞지)"
    r"|(?P<good>正确|正確|对的?|對|答案|答え(?!では|じゃ)|正解(?!では|じゃ)|正しい|正しく|정답(?!이?\s?아)|옳|選び|選択し|선택|고르|맞|최선|最佳|最合适|最適|符合|だと思"
    r"|と思|と考え)"
    r"|(?P<open>吗|嗎|还是|還是|か)"
    r"|(?P<end>입니다|이다|이에요|예요|です|だ|である|となり|になり|로|。|$|,))"
)
"""What follows a label in those languages."""
