"""What `plumbline up` shows in the terminal while it starts, runs and stops."""

from rich.console import Console
from rich.panel import Panel

from backend.logs import configure
from backend.settings import get_settings
from plumbline.first_start import FirstAdmin, prepare
from plumbline.up import Interrupted, Stack, stopping_on_signals

console = Console(highlight=False)


def run() -> None:
    """Run everything until Ctrl-C. Raises Trouble, AlreadyRunning or ServerFailed before anything is left running."""
    settings = get_settings()
    stack = Stack(settings)
    with stopping_on_signals(stack.children):
        try:
            with stack:
                configure("up", settings)
                say(f"Plumbline keeps its data in {settings.data}")
                show_admin(prepare(stack.settings, say))
                stack.serve()
                console.print(f"Plumbline is at [bold]{stack.address}[/bold]  (Ctrl-C stops it)")
                try:
                    stack.watch()
                finally:
                    console.print("\nStopping; a run in progress saves first. Ctrl-C again ends it at once.")
        except Interrupted:
            console.print("Stopped.")


def say(sentence: str) -> None:
    """Show a sentence that may hold a path or a command, which are not to be broken."""
    console.print(sentence, markup=False, soft_wrap=True)


def show_admin(admin: FirstAdmin | None) -> None:
    """Show the first admin's name and password, this once; afterwards how somebody gets in who has lost theirs."""
    if admin is None:
        say("Accounts are there from before; who has lost a password gets another by `plumbline reset-password NAME`.")
        return
    if admin.password is None:
        console.print(f"The first admin is {admin.name}, with the password from PLUMBLINE_ADMIN_PASSWORD.")
        return
    text = f"name      [bold]{admin.name}[/bold]\npassword  [bold]{admin.password}[/bold]\n\nShown this once."
    console.print(Panel(text, title="Sign in as", expand=False))
