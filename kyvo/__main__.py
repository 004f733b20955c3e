"""`python -m kyvo` is the `kyvo` command."""

from kyvo.cli.main import run

if __name__ == "__main__":
    run()
