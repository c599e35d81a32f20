"""The targets of a folder of tests."""

load("@rules_python//python:defs.bzl", "py_library", "py_test")

_RUNNER = "//tests:bazel_main.py"
_PUBLIC = ["//visibility:public"]

def tests(name, deps, test_deps, data = []):
    """A library of what the tests of a folder share, and a target for each.

    Args:
      name: of the library, that of the folder.
      deps: what the library imports.
      test_deps: what the tests import, all of them together.
      data: files that the tests read.
    """
    folders = native.package_name().split("/")
    py_library(
        name = name,
        testonly = True,
        visibility = _PUBLIC,
        srcs = native.glob(["**/*.py"], exclude = ["**/*_test.py"]),
        imports = ["/".join([".." for _ in folders])],
        deps = deps,
    )
    for path in native.glob(["**/*_test.py"], allow_empty = True):
        py_test(
            name = path.removesuffix(".py").replace("/", "_"),
            size = "large",
            srcs = [path, _RUNNER],
            args = ["$(rootpath %s)" % path],
            data = data,
            main = _RUNNER,
            # Every test needs the conftest.py files above it.
            deps = test_deps,
        )
    native.filegroup(
        name = "files",
        visibility = _PUBLIC,
        srcs = native.glob(["**"]),
    )
