"""What all commands do alike: arguments, exit codes, one line per error, Ctrl-C, quiet libraries.

Exit codes: 0 done, 1 the input is at fault, 2 the command line is, 130 stopped with Ctrl-C.

Example:
    parser = command_parser("cope_tell", "Tells the time of a clock.", "cope_tell clock.json")
    parser.add_argument("clock", type=Path)
    return run_command(parser, lambda options: print(read_clock(options.clock)), arguments)
"""

import argparse
import logging
import math
import os
import sys
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cope_ros.core.errors import CopeError

OK, BAD_INPUT, STOPPED = 0, 1, 130
PACKAGES = ("cope_ros", "cope_training")  # whose notes are shown
Work = Callable[[argparse.Namespace], Any]


def command_parser(program: str, description: str, *examples: str) -> argparse.ArgumentParser:
    """A parser whose ``--help`` keeps the description's lines and ends with examples."""
    shown = "\n".join(f"  {line}" for line in examples)
    parser = argparse.ArgumentParser(
        prog=program,
        description=description.strip(),
        epilog=f"example{'s' if len(examples) > 1 else ''}:\n{shown}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.register("type", Path, _path)
    parser.add_argument("--debug", action="store_true", help="show tracebacks and warnings")
    return parser


def run_command(
    parser: argparse.ArgumentParser, work: Work, arguments: Sequence[str] | None = None
) -> int:
    """Parses the arguments, calls ``work`` and turns what it raises into an exit code.

    Args:
        parser: of ``command_parser``.
        work: gets the options; what it returns is the exit code if it is an integer, else 0.
        arguments: those of the process by default.

    Raises:
        SystemExit: code 2, the arguments are wrong; code 0 after ``--help``.
        Exception: with ``--debug``, whatever ``work`` raised.
    """
    options = parser.parse_args(arguments)
    with library_warnings(options.debug), notes(parser.prog):
        try:
            done = work(options)
            sys.stdout.flush()
        except KeyboardInterrupt:
            print(f"\n{parser.prog}: stopped", file=sys.stderr)
            return STOPPED
        except BrokenPipeError:  # whoever read the output has gone: `cope_eval ... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BAD_INPUT
        except (CopeError, OSError, MemoryError) as error:
            if options.debug:
                raise
            print(f"{parser.prog}: {one_line(error)}", file=sys.stderr)
            return BAD_INPUT
    return done if isinstance(done, int) else OK


def one_line(error: BaseException) -> str:
    """An error's message on one line; for the system's errors the file and the reason."""
    if isinstance(error, MemoryError):
        return f"not enough memory {error}".strip()
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    parts = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(parts).replace(":;", ":") or type(error).__name__


@contextmanager
def library_warnings(shown: bool) -> Generator[None, None, None]:
    """Warnings of Python libraries are for developers: shown with ``--debug`` alone."""
    with warnings.catch_warnings():
        if not shown:
            warnings.simplefilter("ignore")
        yield


@contextmanager
def notes(program: str) -> Generator[None, None, None]:
    """Shows the project's own log records from warnings up as ``program: note: ...`` on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"{program}: note: %(message)s"))
    loggers = [logging.getLogger(name) for name in PACKAGES]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def whole_number(low: int, high: float = math.inf) -> Callable[[str], int]:
    """A type of argparse's: an integer within bounds, both included."""

    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected {_range(low, high)}, got {value}")
        return value

    parse.__name__ = "whole number"  # argparse names it where the text is none
    return parse


def number(low: float = -math.inf, high: float = math.inf) -> Callable[[str], float]:
    """A type of argparse's: a number within bounds, both included; never NaN."""

    def parse(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected {_range(low, high)}, got {text}")
        return value

    parse.__name__ = "number"
    return parse


def _path(text: str) -> Path:
    """What ``type=Path`` means; shells leave ``~`` behind ``--out=`` alone."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a path, got nothing")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # ~nobody
        raise argparse.ArgumentTypeError(f"{text}: {error}") from error


def _range(low: float, high: float) -> str:
    if high == math.inf:
        return "a number" if low == -math.inf else f"{low} or more"
    return f"{high} or less" if low == -math.inf else f"{low} to {high}"
