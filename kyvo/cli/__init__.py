"""The `kyvo` command: one file a command group."""
