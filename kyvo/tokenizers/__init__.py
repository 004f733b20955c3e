"""Everything <-> ids: the vocabulary and what turns text, scenes and pictures into it and back."""
