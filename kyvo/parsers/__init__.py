"""Parsers beside the grammar: each turns a text into a program by a model (`kyvo.programs.parsing.Parser`)."""
