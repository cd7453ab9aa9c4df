"""The documentation builds with warnings as errors, and holds what the code has."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerlr_dsl.catalogue.findings import KINDS
from layerlr_dsl.catalogue.schedules import names
from layerlr_dsl.cli.app import COMMANDS
from layerlr_dsl.language.vocabulary import ATTRIBUTE_WORDS, FAMILY_WORDS
from layerlr_dsl.tools.resources import recipes_path

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = pytest.importorskip("mkdocs.config")
    from mkdocs.commands.build import build

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        build(config.load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder)))
    return folder


def test_every_finding_command_recipe_schedule_and_attribute_is_on_its_page(site: Path) -> None:
    """What is added to the code is in the documentation without anybody having to remember."""
    assert {path.stem for path in (site / "findings").glob("LR*.html")} == set(KINDS)
    commands = (site / "commands.html").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"layerlr {name}" not in commands] == []
    recipes = (site / "recipes.html").read_text(encoding="utf-8")
    assert [p.stem for p in recipes_path().rglob("*.lr") if f"{p.stem}<" not in recipes] == []
    schedules = (site / "schedules.html").read_text(encoding="utf-8")
    assert [name for name in names() if f'id="{name}"' not in schedules] == []
    language = (site / "language.html").read_text(encoding="utf-8")
    asked = [*(w.name for w in ATTRIBUTE_WORDS), *(f"module is {w.name}" for w in FAMILY_WORDS)]
    assert [name for name in asked if f"<td><code>{name}</code></td>" not in language] == []


def test_the_front_page_shows_the_network_of_its_own_rules(site: Path) -> None:
    """Drawn by the tool when the site is built, so that it is what the rules beside it mean."""
    page = (site / "index.html").read_text(encoding="utf-8")
    assert (
        'aria-label="torchvision:resnet18(num_classes=10): learning rate of each block over 10 epochs"'
        in page
    )
    assert "<!-- network" not in page


def test_rules_in_a_page_are_coloured_by_what_their_words_are(site: Path) -> None:
    """Selectors, options, values and words of the language have colours of their own."""
    page = (site / "index.html").read_text(encoding="utf-8")
    for kind, word in (("nt", "layer4.*"), ("na", "lr"), ("m", "1e-4"), ("k", "freeze"), ("nc", "cosine")):
        assert f'<span class="{kind}">{word}</span>' in page


def test_no_page_needs_a_network(site: Path) -> None:
    """No fonts, scripts or pictures from elsewhere."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for tag in ('<script src="http', '<link rel="stylesheet" href="http', '<img src="http'):
            assert tag not in text, page.name
        assert "fonts.googleapis" not in text
