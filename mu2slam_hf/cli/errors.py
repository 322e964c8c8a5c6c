# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Errors that a person can mend, as one line on standard error; all others keep their traceback."""

import os
import sys
from collections.abc import Callable


def run_and_report(run: Callable[[], object], name: str = "mu2slam") -> int:
    """Runs something for the command line.

    Args:
        run: returns an exit status, or None for 0.
        name: begins the line of an error.

    Returns:
        Exit status: that of `run`; 1 where a value, a file or an import is wrong, which is then said; 130 where it was
        stopped.
    """
    try:
        status = run()
        return status if isinstance(status, int) else 0
    except BrokenPipeError:  # the reader of a pipe (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"{name}: stopped", file=sys.stderr)
        return 130
    except Exception as error:
        if isinstance(error, (ValueError, OSError, ImportError)):
            print(f"{name}: {error}", file=sys.stderr)
        elif _is_bad_configuration(error):
            print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        else:
            raise
        return 1


def _is_bad_configuration(error: Exception) -> bool:
    """Whether transformers has refused a value of a configuration; its error is no ValueError."""
    # Not imported here, which would be slow: who raises it has done so.
    module = sys.modules.get("huggingface_hub.errors")
    return module is not None and isinstance(error, module.StrictDataclassError)
