"""Builds the binding: one extension module for all versions of Python, and the queries beside it."""

from setuptools import Extension, setup

setup(
    packages=["tree_sitter_layerlr", "tree_sitter_layerlr.queries"],
    package_dir={
        "tree_sitter_layerlr": "bindings/python/tree_sitter_layerlr",
        "tree_sitter_layerlr.queries": "queries",
    },
    package_data={"tree_sitter_layerlr": ["*.pyi", "py.typed"], "tree_sitter_layerlr.queries": ["*.scm"]},
    ext_modules=[
        Extension(
            name="tree_sitter_layerlr._binding",
            sources=[
                "bindings/python/tree_sitter_layerlr/binding.c",
                "src/parser.c",
                "src/scanner.c",
            ],
            define_macros=[("Py_LIMITED_API", "0x030A0000")],
            include_dirs=["src"],
            py_limited_api=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
