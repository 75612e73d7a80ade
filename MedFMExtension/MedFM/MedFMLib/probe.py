"""Run by the Python that computes, to find out whether it can: `python probe.py DEVICE PACKAGE...`; one line of JSON.

It imports nothing of MedFM before it has looked at everything else, and no failure of a package ends it.
"""

import importlib
import importlib.metadata
import json
import platform
import sys
import time


def version_of(package):
    """A package's version; "" where it is not there, "broken" where only half of it is."""
    try:
        version = importlib.metadata.version(package)
        return version if version and importlib.metadata.files(package) is not None else "broken"
    except importlib.metadata.PackageNotFoundError:
        return ""


def try_torch(device):
    """Whether torch computes a small 3D convolution on a device, and what happened."""
    try:
        start = time.perf_counter()
        torch = importlib.import_module("torch")  # this is the one place: a child process, run to see whether it works
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        image = torch.ones(1, 1, 8, 8, 8, device=device)
        answer = torch.nn.Conv3d(1, 2, 3, device=device)(image)
        is_right = tuple(answer.shape) == (1, 2, 6, 6, 6) and bool(torch.isfinite(answer).all())
        seconds = time.perf_counter() - start
        return is_right, f"a 3D convolution on {device}, {seconds:.1f} s with the import"
    except BaseException as error:
        return False, first_line(error)


def try_core():
    """Whether the worker can be imported, and its version."""
    try:
        version = importlib.import_module("medfm_core").__version__
        protocol = importlib.import_module("medfm_core.worker.protocol").PROTOCOL
        importlib.import_module("medfm_core.pipeline")
        return True, str(version), protocol
    except BaseException as error:
        return False, first_line(error), None


def first_line(error):
    """An error in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def main(device, packages):
    """Look at everything and print it."""
    found = {"python": platform.python_version(), "executable": sys.executable, "path_length": len(sys.prefix)}
    found["packages"] = {package: version_of(package) for package in packages}
    found["torch_works"], found["torch_detail"] = try_torch(device)
    found["core_works"], found["core_detail"], found["protocol"] = try_core()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
