# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Reports user errors as one line on standard error; all other errors keep their traceback."""

import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires

from mu2slam_hf.inference.recordings import error_message


class UsageError(ValueError):
    """Arguments that are missing; the exit status is 2, as for errors of the parser."""


def run_and_report(run: Callable[[], object], name: str = "mu2slam") -> int:
    """Run a function and report user errors.

    Args:
        run: function that returns an exit status, or None for 0.
        name: prefix of error messages.

    Returns:
        Exit status: that of `run`; 1 for an error in a value, a file or an import, which is printed; 2 for missing
        arguments; 130 after an interrupt.
    """
    try:
        status = run()
        return status if isinstance(status, int) else 0
    except BrokenPipeError:  # the reader of a pipe (head, less) has exited
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if isinstance(error, (ValueError, OSError, ImportError)):
            print(f"{name}: {error_message(error)}{_advise_extra(error)}", file=sys.stderr)
            return 2 if isinstance(error, UsageError) else 1
        elif _is_bad_configuration(error):
            print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        else:
            raise
        return 1


def _advise_extra(error: Exception) -> str:
    """How to install a missing module, for one of a package that an extra of this package requires."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return ""
    try:
        requirements = requires("mu2slam-hf") or ()
    except PackageNotFoundError:  # used from a folder, without having been installed
        return ""
    # Modules are named like their packages, with underscores for hyphens; other packages are checked where they are
    # needed, by errors that name the extra.
    package = error.name.partition(".")[0].replace("_", "-")
    matches = [re.match(r"([\w.-]+).*; .*extra == ['\"]([\w-]+)", requirement) for requirement in requirements]
    members = [(match[1].lower(), match[2]) for match in matches if match]
    sizes = Counter(extra for _, extra in members)
    extras = [extra for name, extra in members if name == package.lower()]
    # Extras may contain others; the smallest one is the one for what was asked.
    return f": pip install 'mu2slam-hf[{min(extras, key=sizes.__getitem__)}]'" if extras else ""


def _is_bad_configuration(error: Exception) -> bool:
    """Whether transformers has rejected a value of a configuration; its error is not a ValueError."""
    # Not imported here, which would be slow; already imported if the error was raised.
    module = sys.modules.get("huggingface_hub.errors")
    return module is not None and isinstance(error, module.StrictDataclassError)
