"""The console script: help, version and completion, or one of the commands; and the exit code of each way to end."""

import os
import sys

from rlcont.core.process import prepare_process


def main() -> None:
    """Runs a command line; exit code 0, 2 for a user's mistake, 128 and the number of the signal that stopped it."""
    prepare_process()
    from rlcont.core.errors import exit_code

    # NumPy is used for acting alone, where products are too small for several threads, and threads that wait would
    # spin beside torch's. OpenBLAS reads this once, while it is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if code := exit_code(lambda: _dispatch(sys.argv[1:])):
        sys.exit(code)


def _dispatch(arguments: list[str]) -> None:
    if arguments in ([], ["help"]) or "--help" in arguments or "-h" in arguments:
        from rlcont.cli.help import help_text
        from rlcont.cli.words import allow_typed

        words = [argument for argument in arguments if argument not in ("--help", "-h", "help")]
        allow_typed(words)
        return print(help_text(words), end="")
    if "--version" in arguments:
        from rlcont import __version__

        return print(f"rlcont {__version__}")
    if arguments[0] in ("--completion", "--candidates"):
        from rlcont.cli.completion import candidates, script

        lines = [script(arguments[1:])] if arguments[0] == "--completion" else candidates(arguments[1:])
        return print("".join(f"{line}\n" for line in lines), end="")
    try:
        os.getcwd()
    except OSError:
        from rlcont.core.errors import UserError

        raise UserError("the working directory is gone; change to one that is there") from None
    from rlcont.cli.commands import COMMANDS
    from rlcont.cli.words import read_words

    is_named = arguments[0] in COMMANDS
    command = COMMANDS[arguments[0] if is_named else "train"]
    folders, values = read_words(command, arguments[is_named:])
    return command.run(*folders, **values)
