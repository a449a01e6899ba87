"""The house keeps its own rules: sizes, the example configuration, sentences in one place."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from bot.config import Settings

ROOT = Path(__file__).parent.parent
SOURCES = [
    path
    for folder in ("bot", "adapters", "store")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "versions" not in path.parts
]
OF_SENTENCES = {
    *("replies.py", "refusals.py", "faults.py", "reports.py", "notices.py", "directions.py"),
    *("remedies.py", "history.py", "words.py", "card.py"),
}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_function_and_no_file_is_large() -> None:
    for path in SOURCES:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path
        for function in functions(path):
            assert (function.end_lineno or 0) - function.lineno < 50, (path, function.name)


def test_half_of_all_functions_are_under_ten_lines() -> None:
    lengths = sorted(
        (f.end_lineno or 0) - f.lineno + 1 for path in SOURCES for f in functions(path)
    )
    assert lengths[len(lengths) // 2] < 10


def test_the_example_configuration_names_every_setting_with_its_default() -> None:
    example = tomllib.loads((ROOT / "config.example.toml").read_text(encoding="utf-8"))
    workflows = example.pop("workflows")
    defaults = Settings().model_dump(mode="json", exclude={"workflows"})
    assert example == defaults
    Settings.model_validate({"workflows": workflows})


def test_sentences_stand_in_replies_only() -> None:
    sentence = re.compile(r"[A-Z][a-z]+ [a-z ]+ [a-z ]+\. ")
    for path in SOURCES:
        if path.name in OF_SENTENCES or "adapters" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documented = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert id(node) in documented or not sentence.search(node.value), (path, node.value)
