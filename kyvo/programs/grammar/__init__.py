"""A grammar of English for scenes, as data: rules with meanings, and the chart parser that reads texts with them.

`tokens` splits a text, `spelling` repairs its words, `lexicon` makes rules of a schema's words, `nouns`, `questions`
and `edits` hold the rules, `chart` reads, `references` binds pronouns, `refusals` says what was not understood.
`parser.GrammarParser` puts these together.
"""
