# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Finds transformers' own common tests, which ship in its source distribution and not in its wheel.

`import_common("test_modeling_common")` imports one of its files as `transformers_tests.test_modeling_common`, with
stand-ins for the few things that the source distribution itself leaves out (see `stand_ins.py`).
"""

import functools
import importlib
import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest

ENVIRONMENT_VARIABLE = "MU2SLAM_TRANSFORMERS_TESTS"
PACKAGE = "transformers_tests"
_DOWNLOAD_SECONDS = 240


class CommonTestsUnavailableError(RuntimeError):
    """The common tests are neither given nor to be had; the message says why and what to do."""


@functools.cache
def transformers_tests_path() -> Path:
    """Folder that holds `test_modeling_common.py` of the installed version.

    The environment variable `MU2SLAM_TRANSFORMERS_TESTS` names it; without the variable it is looked for in a cache
    (`$XDG_CACHE_HOME/mu2slam_hf`), which is filled once from the package index by pip.

    Raises:
        CommonTestsUnavailableError: with the reason.
    """
    given = os.environ.get(ENVIRONMENT_VARIABLE)
    if given:
        # Both the unpacked source distribution and its folder `tests` are meant by people.
        for folder in (Path(given), Path(given) / "tests"):
            if (folder / "test_modeling_common.py").is_file():
                return folder
        raise CommonTestsUnavailableError(f"{ENVIRONMENT_VARIABLE}={given} holds no test_modeling_common.py")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mu2slam_hf"
    folder = cache / f"transformers-{version('transformers')}"
    if not (folder / "tests" / "test_modeling_common.py").is_file():
        _download(folder)
    return folder / "tests"


def _download(folder: Path) -> None:
    """Unpack the source distribution of the installed transformers as `folder`; complete or not at all."""
    requirement = f"transformers=={version('transformers')}"
    # Only transformers itself from source: its build requirements may come as wheels.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "transformers"]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            subprocess.run(
                [*command, "--dest", temporary, requirement],
                check=True,
                capture_output=True,
                text=True,
                timeout=_DOWNLOAD_SECONDS,
            )
            with tarfile.open(next(Path(temporary).glob("transformers-*.tar.gz"))) as archive:
                archive.extractall(temporary, filter="data")
            unpacked = next(path for path in Path(temporary).iterdir() if (path / "tests").is_dir())
            try:
                unpacked.rename(folder)
            except OSError:
                # Another process, of pytest-xdist for instance, was first; its copy is as good.
                if not (folder / "tests" / "test_modeling_common.py").is_file():
                    raise
    except (OSError, StopIteration, subprocess.SubprocessError, tarfile.TarError) as error:
        detail = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
        raise CommonTestsUnavailableError(
            f"`pip download {requirement}` as source did not work ({' '.join(detail)}); set {ENVIRONMENT_VARIABLE} to "
            "the unpacked source distribution"
        ) from error


def import_common(name: str) -> ModuleType:
    """Import one file of transformers' common tests; the importing test file is skipped where there is none.

    Args:
        name: file name without `.py`.

    Returns:
        The module.
    """
    try:
        path = transformers_tests_path()
    except CommonTestsUnavailableError as error:
        pytest.skip(f"transformers' common tests are not available: {error}", allow_module_level=True)
    import transformers
    from hf_common.stand_ins import install_stand_ins

    if PACKAGE not in sys.modules:
        package = ModuleType(PACKAGE)
        package.__path__ = [str(path)]
        sys.modules[PACKAGE] = package
        install_stand_ins(package)
    # The files load a second transformers, from the sources beside them; the installed one is what we test.
    with mock.patch("transformers.utils.direct_transformers_import", lambda *args, **kwargs: transformers):
        return importlib.import_module(f"{PACKAGE}.{name}")
