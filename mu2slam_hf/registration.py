# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Registration of our models with transformers' Auto classes and pipelines, without importing torch up front.

`AutoModel.register` requires classes, and importing ours imports torch (seconds), while `import transformers` itself
does not. So `import mu2slam_hf` only installs a hook on transformers' imports: as soon as the first import that loads
the Auto classes has *completed* (`from transformers import pipeline`, ...; it loads torch anyway), the table of model
types is imported and registered.

The hook waits for the outermost import, because our modelling files import from transformers and would find partially
initialised modules if they were imported during the import of, for example, `transformers.generation`. The same holds
for our own modules, whose imports are therefore counted too.
"""

import importlib
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

# All Auto classes and the pipelines depend on this module's table of configurations.
_AUTO_MODULE = "transformers.models.auto.configuration_auto"
_REGISTRATION_MODULE = "mu2slam_hf.inference.registration"
_MODELING_MODULE = "mu2slam_hf.models.modeling_mu2slam"
_PUBLIC_WEIGHTS_MODULE = "mu2slam_hf.interop.public_weights"
# Ours are counted too: a modelling file that is imported first must be complete before the table of model types.
_WATCHED = ("transformers.", "mu2slam_hf.")


def register_models() -> None:
    """Imports the table of model types and registers them; a second call has no effect.

    The constructor from public weights is set here, because the models import no other part of the package.
    """
    importlib.import_module(_REGISTRATION_MODULE).register_model_types()
    modeling = importlib.import_module(_MODELING_MODULE)
    modeling.Mu2SLAMForConditionalGeneration._build_from_speech_and_text = staticmethod(_build_from_speech_and_text)


def _build_from_speech_and_text(*args: Any, **kwargs: Any) -> Any:
    """`build_from_speech_and_text`, imported when it is called."""
    return importlib.import_module(_PUBLIC_WEIGHTS_MODULE).build_from_speech_and_text(*args, **kwargs)


def register_when_needed() -> None:
    """Registers our models now if the Auto classes are loaded, else right after they are."""
    if _AUTO_MODULE in sys.modules:
        register_models()
    elif not any(isinstance(finder, _TransformersWatch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TransformersWatch(register_models))


class _TransformersWatch(MetaPathFinder):
    """Counts the nesting depth of imports of the watched packages, per thread; acts when it returns to zero.

    Modules are found and executed by the interpreter's finders and loaders; the finder removes itself after acting.
    """

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self._nesting = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(_WATCHED):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None or not hasattr(spec.loader, "exec_module"):
            return spec
        self._wrap(spec.loader)
        return spec

    def _wrap(self, loader: object) -> None:
        execute = loader.exec_module  # type: ignore[attr-defined]

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module  # type: ignore[attr-defined]  # restores the method of the class
            self._nesting.depth = getattr(self._nesting, "depth", 0) + 1
            try:
                execute(module)
            finally:
                self._nesting.depth -= 1
            if self._nesting.depth == 0 and _AUTO_MODULE in sys.modules and self in sys.meta_path:
                sys.meta_path.remove(self)
                self._action()

        loader.exec_module = exec_module  # type: ignore[attr-defined]
