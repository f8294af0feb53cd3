"""`python -m plumbline` is the command `plumbline`."""

from plumbline.cli import app

if __name__ == "__main__":
    app(prog_name="plumbline")
