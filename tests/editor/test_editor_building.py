"""A model that nobody has looked at before is built beside the server, which goes on meanwhile."""

from __future__ import annotations

from lsp_client import Client, edit


def test_a_model_that_is_not_stored_is_built_in_the_background(client: Client) -> None:
    """Findings of the language come at once; those of the model once it is there."""
    uri = client.open("built.lr", 'model "torchvision:resnet18(num_classes=7)"\nlayer5 -> lr 1\nfc -> wd 1\n')
    assert [d["code"] for d in client.wait_for_version(uri, 1)] == ["LR103"]
    assert client.settled(uri)["model"] == "ready"
    assert client.codes(uri)[0] == "LR201"
    client.change(uri, edit(3, 0, "layer1."))
    items = client.at("completion", uri, 3, 7)["items"]
    assert {item["label"] for item in items} >= {"0", "1"}
    # What was built is remembered, as by every other command.
    assert any((client.folder / "cache").iterdir())


def test_a_model_that_cannot_be_built_is_said_at_its_name(client: Client) -> None:
    """With the near miss, as `layerlr validate` says it; the rest of the file is checked all the same."""
    uri = client.open("wrong.lr", 'model "torchvision:resnet19"\n** -> wd 1\n')
    assert client.settled(uri)["model"] == "refused"
    first, second = client.findings(uri)
    assert (first["code"], second["code"]) == ("LR210", "LR103")
    assert "resnet1" in first["message"]
    assert first["range"]["start"] == {"line": 0, "character": 6}
