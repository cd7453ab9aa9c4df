"""Reading model specs: literals only, nothing outside the root, never weights or code."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerlr_dsl.model import ModelError
from layerlr_dsl.model.spec_syntax import parse_spec


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("torchvision:resnet18", "torchvision:resnet18"),
        ("  torchvision:resnet18()  ", "torchvision:resnet18"),
        ("torchvision:resnet18(num_classes=10)", "torchvision:resnet18(num_classes=10)"),
        (
            "timm:vit_base_patch16_224.augreg_in21k( img_size = 64,depth=2 )",
            "timm:vit_base_patch16_224.augreg_in21k(depth=2, img_size=64)",
        ),
        ("timm:resnet10t(a=[1, -2.5, (True, None)], b={'x': 'y'})", None),
        ("torchvision:resnet18(weights=None, weights_backbone=None)", "torchvision:resnet18"),
        ("timm:resnet18(pretrained=False)", "timm:resnet18"),
    ],
)
def test_a_spec_has_one_canonical_spelling(text, canonical):
    """Spaces, the order of arguments and what says `no weights` make no difference."""
    assert parse_spec(text).text == (canonical or "timm:resnet10t(a=[1, -2.5, (True, None)], b={'x': 'y'})")
    assert parse_spec(parse_spec(text).text) == parse_spec(text)


@pytest.mark.parametrize(
    "arguments",
    [
        "num_classes=__import__('os').system('true')",
        "num_classes=open('x')",
        "num_classes=10*10",
        "num_classes=x",
        "num_classes=f'{1}'",
        "num_classes=[i for i in (1,)]",
        "num_classes=lambda: 1",
        "num_classes={1, 2}",
        "num_classes={1: 2}",
        "num_classes={**{}}",
        "num_classes=b'x'",
        "num_classes=1j",
        "num_classes=...",
        "num_classes=-True",
        "10",
        "*[1]",
        "**{'num_classes': 1}",
        "num_classes=1)(x=1",
        "num_classes=1, num_classes=2",
        "num_classes=1; x=2",
        "num_classes=",
        "num_classes==1",
        "\\\n)+f(",
        "x=" + "(" * 900,
        "x=" + "-" * 1800 + "1",
        "x=" + "[" * 60 + "]" * 60,
        "x='\ud800",
        "x=\x00",
    ],
)
def test_arguments_are_literals_by_keyword_and_nothing_else(arguments):
    """Nothing in a spec is ever computed."""
    with pytest.raises(ModelError) as caught:
        parse_spec(f"torchvision:resnet18({arguments})")
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    "argument",
    [
        "weights='DEFAULT'",
        "weights_backbone='IMAGENET1K_V1'",
        "pretrained=True",
        "pretrained_cfg={'file': 'x'}",
        "pretrained_cfg_overlay={'file': 'x'}",
        "checkpoint_path='/etc/passwd'",
        "cache_dir='/tmp'",
        "trust_remote_code=True",
        "hub_model_id='x'",
    ],
)
@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_nothing_in_a_spec_asks_for_weights(argument, library):
    """Weights, hub names and checkpoints are refused, by whoever gives the spec."""
    with pytest.raises(ModelError, match="is refused"):
        parse_spec(f"{library}:resnet18({argument})", allow_python=True)


@pytest.mark.parametrize(
    "text",
    [
        "timm:hf-hub:timm/resnet18",
        "timm:hf_hub:timm/resnet18",
        "timm:local-dir:/tmp",
        "timm:timm/resnet18",
        "timm:../resnet18",
        "torchvision:",
        "torchvision:(x=1)",
        "torchvision:resnet18(",
        "torchvision:résnet",
        "",
        ":",
        "hf:",
        "resnet18",
        "https://example.org/model.bin",
        "inventory:x",
        "torchvision:resnet18\nmodel",
        "x" * 3000,
    ],
)
def test_what_is_no_spec_is_told_so(text):
    """Every other text is a ModelError with a way out."""
    with pytest.raises(ModelError):
        parse_spec(text)


def test_near_misses_of_the_kind_are_named():
    """A misspelt library and a bare name lead to the right form."""
    assert "torchvision:resnet18" in (refusal("torchvison:resnet18").help or "")
    assert "torchvision:resnet18" in (refusal("resnet18").help or "")


def refusal(text: str, **options) -> ModelError:
    with pytest.raises(ModelError) as caught:
        parse_spec(text, **options)
    return caught.value


def test_python_is_for_the_command_line_only():
    """A rule file that names a python: model is refused, and told what to do."""
    assert "--model" in (refusal("python:os:getcwd").help or "")
    spec = parse_spec("python:package.module:make.it(width=3)", allow_python=True)
    assert (spec.name, spec.arguments) == ("package.module:make.it", (("width", 3),))
    assert refusal("python:os", allow_python=True)
    assert refusal("python:os;x:y", allow_python=True)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    root = tmp_path / "rules"
    (root / "bert").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "model.json").write_text("{}")
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "link.json").symlink_to(tmp_path / "outside" / "model.json")
    return root


@pytest.mark.parametrize(
    "text",
    [
        "hf:../outside",
        "hf:link",
        "link.json",
        "../outside/model.json",
        "bert/../../outside/model.json",
        "/x.json",
    ],
)
def test_a_rule_files_paths_stay_inside_the_root(text, rules):
    """Neither `..`, nor a link, nor an absolute path leads out."""
    assert "lies outside" in refusal(text, root=rules).message


def test_paths_inside_the_root_are_found_from_it(rules):
    """Relative paths start at the root."""
    assert parse_spec("hf:bert", root=rules).path == (rules / "bert").resolve()
    assert parse_spec("sub/model.json", root=rules).path == (rules / "sub" / "model.json").resolve()


def test_the_command_line_may_name_any_path(rules):
    """What the user types is the user's own business."""
    assert parse_spec("hf:../outside", root=rules, allow_python=True).path == rules.parent / "outside"


def test_odd_escapes_in_a_string_do_not_warn():
    """Python's own parser warns of them on standard error; nobody asked it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse_spec(r"timm:resnet10t(act='\d')").arguments == (("act", r"\d"),)


@settings(max_examples=500, deadline=None)
@given(
    st.builds(
        lambda kind, rest: kind + rest,
        st.sampled_from(["", "torchvision:", "timm:a(", "timm:a(b=", "hf:", "python:", "python:a:b("]),
        st.text(max_size=40) | st.text("()[]{}'\"=,-0a.:\\", max_size=40),
    ),
    st.booleans(),
)
def test_no_text_leads_to_anything_but_a_spec_or_a_model_error(text, allow_python):
    """Reading a spec never raises anything else."""
    try:
        kind = parse_spec(text, allow_python=allow_python).kind
    except ModelError:
        kind = "refused"
    assert kind in ("torchvision", "timm", "hf", "python", "inventory", "refused")
    assert allow_python or kind != "python"


def test_a_key_is_for_several_models_under_one_plan():
    """Where one model is wanted, a spec with a key is told to leave it out, and not to be of another kind."""
    with pytest.raises(ModelError, match="several models") as caught:
        parse_spec("unet=torchvision:resnet18")
    assert (caught.value.help or "").startswith(
        "write `torchvision:resnet18` without the key; several go as one module"
    )
