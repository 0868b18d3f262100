"""Which options a text commits to, by rule.

    mentions           every place that names an option, by its label or its text     (`labels`, `options`)
    stance             what the words before and behind it say                         (`before`, `behind`, `words`)
    lines              labels that begin lines: an answer, or a list
    fields             JSON, attributes, boxes to tick
    values             what equals an option as mathematics
    prose              what the sentences come to, where nothing above commits         (`clauses`, `paraphrase`)
    plainly, ending    what begins or ends a text in so many words; what is left when nothing does
    choice             the last place that the text commits to

A hedge ("A or B"), a shotgun ("ABCD") or an answer that is taken back is no commitment.
"""
