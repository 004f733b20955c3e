"""Instructions and questions about CLEVR scenes: templates, programs, answers."""
