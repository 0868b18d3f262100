"""The words by which a sentence holds an option, denies it or only mentions it; each list with what its words do."""

from __future__ import annotations

_LISTS = {
    "NO": """
        ain't aren't bukan can't cannot couldn't değil didn't doesn't don't geen hardly hasn't haven't ikke inte
        isn't jamais kein keine keinen không neither nem není never ni nicht nie niet nigdy no non none nor not
        nunca não pas shouldn't tampoco tidak wasn't weder weren't without won't wouldn't не нет ни
    """,
    "AWAY": """
        against almost beyond confuse confused confusing contradict contradicts contrary discard discarding dismiss
        distractor eliminate eliminated eliminates eliminating except exclude excluded excludes excluding false
        incorrect misread mistake mistaken mistook opposed reject rejecting tempted tempting than trap unlike
        unlikely versus vs wrong
    """,
    "UNSURE": """
        asks assuming consider depends doubt either example eğer form i've if imagine initially it'd least let let's
        maybe next nếu perhaps possibly question says si suppose supposing thought torn unless unsure visit wenn
        whether worst если
    """,
    "MODAL": """
        can could may might
    """,
    "ASIDE": """
        although because car despite obwohl parce porque since though weil whereas while
    """,
    "BUT": """
        aber but however instead ma mais mas pero rather sino sondern yet а но
    """,
    "LINKS": """
        are be been equals es est had has is ist means sind son sont são was were è é
    """,
    "SAYING": """
        believe find know mean say see suggest think
    """,
    "BEHIND_BAD": """
        aren't can't cannot close could didn't doesn't don't earlier eliminated errada excluded fail failed fails
        falsch false fausse impossible incorrect incorrecta invalid irrelevant isn't lacks later may might mind
        misconception neither never not only out popular ruled sbagliata tempting too unlikely wasn't won't would
        wouldn't wrong неверно
    """,
    "CUES": """
        accordingly ainsi alors also altogether amounts answer asked assim best bleibt called caused choose comes
        conclude concluded conclusion consequently correct corrected daarom daher damit described describes deshalb
        dolayısıyla donc dunque dus entonces equals ergo final fit fits folglich hence jadi known leaves leaving
        left logo luego makes match matches must needed overall perciò portanto prints putting qualifies quindi
        reason reasons remaining remains reste result select settle settling so stay summary summing survives
        therefore thus tick together totals vậy want wanted więc zatem значит итак поэтому следовательно
    """,
}

NO = frozenset(_LISTS["NO"].split())
"""Deny what follows, unless a link stands between: "the one that is not a gas is mercury"."""
AWAY = frozenset(_LISTS["AWAY"].split())
"""Set what follows aside."""
UNSURE = frozenset(_LISTS["UNSURE"].split())
"""What follows in the clause is not held."""
MODAL = frozenset(_LISTS["MODAL"].split())
"""What follows is not held, unless a link stands between: "what one may set aside is voidable"."""
ASIDE = frozenset(_LISTS["ASIDE"].split())
"""A clause that explains or contrasts begins."""
BUT = frozenset(_LISTS["BUT"].split())
"""A new clause begins, which counts."""
LINKS = frozenset(_LISTS["LINKS"].split())
"""Links."""
SAYING = frozenset(_LISTS["SAYING"].split())
"""Behind "not" they deny the whole clause: "I don't think it is X"."""
BEHIND_BAD = frozenset(_LISTS["BEHIND_BAD"].split())
"""Right behind an option, they deny it."""
CUES = frozenset(_LISTS["CUES"].split())
"""What concludes."""
