"""Installs lowthreads as soon as an interpreter starts: see `lowthreads/_run.py`.

Another interpreter that the program starts may not have what lowthreads needs: it runs on its
own module then.

It stands in the place of the environment's own sitecustomize, and then imports that.
"""

import importlib.machinery
import importlib.util
import os
import sys


def _install() -> None:
    interpreter, package, found_in = os.environ["LOWTHREADS_RUN"].split("=", 2)
    spec = getattr(sys.modules.get("_thread"), "__spec__", None)
    if getattr(spec, "origin", None) == package:
        return  # the sitecustomize of another copy, which stands before this one, did it
    known = found_in in sys.path
    if not known:
        sys.path.append(found_in)  # where only the parent could find the package
    try:
        module = __import__(package, fromlist=["install"])
    except ImportError:
        if interpreter != sys.implementation.cache_tag or _in_isolated_interpreter():
            return  # where the extension can't be loaded
        raise
    finally:
        if not known:
            sys.path.remove(found_in)
    module.install()
    if "LOWTHREADS_OBSERVE" in os.environ:
        __import__(f"{package}._observe.options", fromlist=["_"]).start_from_environment()
    if "LOWTHREADS_WATCH" in os.environ:
        __import__(f"{package}._watchdog", fromlist=["_"]).start_from_environment()


def _in_isolated_interpreter() -> bool:
    import _thread

    return sys.version_info >= (3, 12) and not _thread._is_main_interpreter()


def _import_own() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        sys.modules["sitecustomize"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


try:
    _install()
finally:
    _import_own()
