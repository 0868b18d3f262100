"""Which answer a text gives, and whether it equals another: a ladder from texts to algebra.

answer     the answer that a text commits to           (`boxes`, `candidates`, `cues`, `said`, `prose`, ...)
text       one spelling for one piece of mathematics   (`numbers`, `numerals`, `units`)
compare    equality without algebra                    (`parts`, `points`)
symbolic   the rest, in a worker that can be killed
"""
