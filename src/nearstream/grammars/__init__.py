"""Grammars for constrained output: JSON schemas and regular expressions as EBNF, with bounded cost."""
