"""What a selector that matches nothing was meant to say, and the fix that writes it."""

from __future__ import annotations

import pytest

import layerlr_dsl as layerlr
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.specs import inventory_of_spec


def _missed(text: str, model: Inventory) -> layerlr.Diagnostic:
    [found] = [d for d in layerlr.parse(f"** -> lr 1\n{text} -> lr 2").check(model) if d.code == "LR201"]
    return found


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("layer5.*", "layer4.*"),
        ("layer1.0.cnv1", "layer1.0.conv1"),
        ("**.cnv1.weight", "**.conv1.weight"),
        ("downsample", "**.downsample"),
        ('"layer5"', '"layer4"'),
    ],
)
def test_what_the_help_offers_is_what_the_fix_writes(resnet18: Inventory, written: str, meant: str) -> None:
    """A near segment, a name from deeper down, and quotes where there were some."""
    found = _missed(written, resnet18)
    assert found.fix is not None
    assert [edit.replacement for edit in found.fix.edits] == [meant]
    assert f"did you mean `{meant.strip(chr(34))}`?" in (found.help or "")
    text = f"** -> lr 1\n{meant} -> lr 2"
    assert "LR201" not in [d.code for d in layerlr.parse(text).check(resnet18)]


@pytest.mark.parametrize("written", ["zzz", "layer1.zzz", "**.zzz"])
def test_nothing_is_written_where_nothing_is_near(resnet18: Inventory, written: str) -> None:
    """The help tells what there is instead, and has nothing to put in its place."""
    found = _missed(written, resnet18)
    assert found.fix is None
    assert found.help


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("layers[11]", "`layers.11`; there is no `layers` at the top"),
        ("layers.11", "there is no `layers` at the top"),
        ("layer1.2", "there is no `2` below `layer1`: the numbers there are 0 to 1"),
        ("layer4[5]", "`layer4.5`; there is no `5` below `layer4`: the numbers there are 0 to 1"),
    ],
)
def test_a_number_that_is_not_there_is_no_other_number(resnet18: Inventory, written: str, says: str) -> None:
    """What is offered must be there: `layer4.11` is not, and `layer1` is not what `layers[11]` means."""
    found = _missed(written, resnet18)
    assert (found.fix, says in (found.help or "")) == (None, True)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("encoder.layers.encoder_layer_12.mlp", "encoder.layers.encoder_layer_11.mlp"),
        ("encoder.layers.encoder_layer[3]", "encoder.layers.encoder_layer_3"),
        ("encoder.layrs.encoder_layer_3.mpl", "encoder.layers.encoder_layer_3.mlp"),
        ("**.encodr_layer_3.mpl", "**.encoder_layer_3.mlp"),
    ],
)
def test_all_that_is_wrong_is_put_right(written: str, meant: str) -> None:
    """The nearest number, and every segment that is misspelled."""
    found = _missed(written, inventory_of_spec("torchvision:vit_b_16"))
    assert found.fix is not None
    assert [edit.replacement for edit in found.fix.edits] == [meant]


def test_a_long_name_is_cut_in_the_message_and_not_in_the_fix(resnet18: Inventory) -> None:
    """What is written to the file is the whole of it."""
    tail = "x" * 300
    found = _missed(f"**.cnv1.{{{tail},weight}}", resnet18)
    assert found.fix is not None
    assert len(found.message) < 200
    assert len(found.help or "") < 200
    assert found.fix.edits[0].replacement == f"**.conv1.{{{tail},weight}}"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("layer4[0]", "layer4.0"),
        ("layer4[0:2]", "layer4.{0..1}"),
        ("layer4[:1]", "layer4.0"),
        ("layer4[:]", "layer4.*"),
        ("layer4[0,1].conv1", "layer4.{0,1}.conv1"),
        ("layer4[0-1]", "layer4.{0..1}"),
        ("layer1-3", "layer{1..3}"),
        ("layer1-layer3", "layer{1..3}"),
        ("layer{1-3}", "layer{1..3}"),
        ("layer1.0-1", "layer1.{0..1}"),
        ("module.layer1", "layer1"),
        ("model.backbone.layer1.0", "layer1.0"),
        ("*.conv1", "**.conv1"),
        ("layer7-9", "layer4"),
    ],
)
def test_habits_of_other_tools_are_put_into_words_that_match(
    resnet18: Inventory, written: str, meant: str
) -> None:
    """An index, a range, a wrapper's prefix: offered only where the rewritten pattern covers something."""
    found = _missed(written, resnet18)
    assert found.fix is not None
    assert found.fix.edits[0].replacement == meant


@pytest.mark.parametrize(
    ("model", "written", "says"),
    [
        ("torchvision:resnet18", "head", "did you mean `fc`?"),
        ("torchvision:resnet18", "**.classifier", "did you mean `fc`?"),
        ("torchvision:mobilenet_v2", "fc", "did you mean `classifier`?"),
        ("torchvision:vit_b_16", "classifier", "did you mean `heads`?"),
        ("torchvision:resnet18", "backbone", "all but the head are `** except fc`"),
        ("torchvision:vit_b_16", "trunk", "all but the head are `** except heads`"),
        ("torchvision:resnet18", "stem", "the stem of this model is `conv1, bn1`"),
        ("torchvision:vit_b_16", "decoder", "there is no `decoder` at the top"),
    ],
)
def test_a_part_that_the_model_calls_otherwise_is_told(model: str, written: str, says: str) -> None:
    """Head, stem and backbone are what people call parts of any network; a decoder is no encoder."""
    found = _missed(written, inventory_of_spec(model))
    assert says in (found.help or "")
    assert (found.fix is not None) == ("did you mean" in says)
