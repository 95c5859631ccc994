"""The pages name files: all of them are there."""

from __future__ import annotations

import re

import pytest
from support.paths import ROOT

PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    here = (ROOT / page).parent
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text())]
    gone = [target for target in targets if target and "://" not in target and not (here / target).exists()]
    assert gone == []


def test_every_word_of_the_glossary_lives_where_it_says() -> None:
    entries = re.findall(
        r"^- \*\*(.+?)\*\*: (.+(?:\n  .+)*)", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE
    )
    assert len(entries) > 40
    for word, said in entries:
        files = re.findall(r"`([\w/]+/\w+\.py)`", said)
        assert files or word in ("tear", "truth"), word
        assert [file for file in files if not (ROOT / file).is_file()] == [], word


def test_the_readmes_tour_names_every_room() -> None:
    tour = (ROOT / "README.md").read_text().split("```text\n")[1].split("```")[0]
    named = {line.split("/")[0] for line in tour.splitlines() if re.match(r"\w+/", line)}
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"}
    assert rooms <= named
    assert {name for name in named if not (ROOT / name).is_dir()} == set()


def test_every_test_that_a_page_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs" / "inputs.md").read_text())
    assert len(named) > 30
    for file, test in named:
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), f"{file}::{test}"
