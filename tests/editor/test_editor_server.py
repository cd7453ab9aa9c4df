"""Every feature, asked for by a client over standard input and output."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lsp_client import Client, Failed, edit

TEXT = """\
model "m.json"
epochs 10
let base = 1e-3
let half = base / 2
group stem = layers.0, layers.1
optimizer adamw(weight_decay=0.05)
schedule cosine(warmup=5%, floor=0.01)
** -> lr base
layers.<i>.attention -> lr *= 0.5 ^ (last(i) - i)
@stem where ndim > 1 -> lr half
freeze @stem until epoch 3
"""
WHOLE = {"start": {"line": 0, "character": 0}, "end": {"line": 999, "character": 0}}


@pytest.fixture(scope="module")
def uri(client: Client) -> str:
    uri = client.open("whole.lr", TEXT)
    assert [d for d in client.findings(uri) if d["severity"] < 4] == []
    return uri


def labels(client: Client, text: str, name: str = "typing.lr") -> list[str]:
    """What is suggested at `|` in a text."""
    before, _, after = text.partition("|")
    uri = client.open(name, before + after)
    client.settled(uri)
    lines = before.split("\n")
    found = client.at("completion", uri, len(lines) - 1, len(lines[-1]))
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    return [item["label"] for item in found["items"]]


def hover(client: Client, uri: str, line: int, column: int) -> str:
    found = client.at("hover", uri, line, column)
    return "" if found is None else str(found["contents"]["value"])


# ---------------------------------------------------------------- diagnostics


def test_a_finding_is_shown_with_code_place_and_help(client: Client) -> None:
    """As `layerlr validate` says it, in the protocol's own terms."""
    uri = client.open("finding.lr", 'model "m.json"\n** -> lr 1\nhead -> wd 1\n')
    (found,) = client.findings(uri)
    assert found["code"] == "LR103"
    assert found["severity"] == 1
    assert found["source"] == "layerlr"
    assert found["range"] == {"start": {"line": 2, "character": 8}, "end": {"line": 2, "character": 10}}
    assert "did you mean `weight_decay`?" in found["message"]


def test_places_count_utf16_units(client: Client) -> None:
    """Behind an emoji every column is one further than in code points, both ways."""
    uri = client.open("emoji.lr", 'let a = "😀"; fc -> wd 1\n')
    (found,) = client.findings(uri)
    assert found["range"]["start"] == {"line": 0, "character": 20}
    client.change(uri, edit(0, 20, "weight_decay", end=(0, 22)))
    assert client.settled(uri)["text"] == 'let a = "😀"; fc -> weight_decay 1\n'
    assert client.findings(uri) == []


def test_a_client_may_count_code_points(folder: Path) -> None:
    """The encoding is the client's first that the server knows."""
    client = Client(folder, encodings=("utf-32",))
    assert client.capabilities["positionEncoding"] == "utf-32"
    uri = client.open("points.lr", 'let a = "😀"; fc -> wd 1\n')
    assert client.findings(uri)[0]["range"]["start"]["character"] == 19
    assert client.close() == 0


def test_findings_come_before_the_analyst_is_asked(client: Client) -> None:
    """The diagnostics of a version arrive at once, a name that the model lacks among them."""
    uri = client.open("quick.lr", 'model "m.json"\n** -> lr 1\nlayers.0 -> lr 2\n')
    client.settled(uri)
    version = client.change(uri, edit(2, 4, "x"))
    (found,) = [d for d in client.wait_for_version(uri, version) if d["severity"] == 1]
    assert found["code"] == "LR201"
    assert "did you mean `layers.0`?" in found["message"]


def test_an_overridden_rule_is_faded_and_points_to_the_other(client: Client) -> None:
    """LR202 needs the whole plan, and comes with the related place and the tag for needless text."""
    uri = client.open("faded.lr", 'model "m.json"\nlayers -> lr 1\n** -> lr 2\n')
    (found,) = client.findings(uri)
    assert (found["code"], found["severity"], found["tags"]) == ("LR202", 2, [1])
    assert found["relatedInformation"][0]["location"]["range"]["start"]["line"] == 2


def test_closing_a_document_clears_its_findings(client: Client) -> None:
    """Nothing about it is shown any more, and an answer still on its way is dropped."""
    uri = client.open("closed.lr", "bad bad\n")
    client.wait_for_version(uri, 1)
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert client.settled(uri) is None
    assert client.diagnostics[uri]["diagnostics"] == []


def test_a_saved_include_is_looked_at_again(client: Client, folder: Path) -> None:
    """A change on disk reaches every document that includes the file."""
    (folder / "common.lr").write_text("let rate = 1\n")
    uri = client.open("main.lr", 'model "m.json"\ninclude "common.lr"\n** -> lr rate\n')
    assert client.findings(uri) == []
    (folder / "common.lr").write_text("let speed = 1\n")
    client.notify("textDocument/didSave", {"textDocument": {"uri": uri}})
    assert client.codes(uri) == ["LR101"]


def test_a_model_that_cannot_be_is_said_at_its_spec(client: Client) -> None:
    """A stored inventory that is not there, and a spec that would run code."""
    missing = client.open("missing.lr", 'model "none.json"\n** -> lr 1\n')
    assert client.codes(missing) == ["LR210"]
    forbidden = client.open("forbidden.lr", 'model "python:os:system"\n** -> lr 1\n')
    assert client.codes(forbidden) == ["LR123"]


# ---------------------------------------------------------------- completion


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ('model "m.json"\n|', {"freeze", "layers", "head", "**"}, {"weight"}),
        ('model "m.json"\nlayers.|', {"0", "3", "*", "<i>", "{0..3}"}, {"head", "freeze"}),
        ('model "m.json"\nlayers.*.attention.|', {"q_proj", "o_proj"}, {"norm"}),
        ('model "m.json"\nfreeze **.|', {"norm", "up_proj", "bias"}, set()),
        ('model "m.json"\nfreeze embedding.|', {"weight"}, {"bias"}),
        ('model "m.json"\nhead |', {"->", "except", "where"}, {"lr"}),
        ("group g = a\nfreeze @|", {"@g"}, {"a"}),
        ("fc -> |", {"lr", "betas", "schedule", "optimizer"}, {"momentum", "foreach"}),
        ("optimizer sgd(lr=1)\nfc -> |", {"momentum"}, {"betas"}),
        ("fc -> lr 1, |", {"eps"}, {"lr"}),
        ("** -> optimizer muon(lr=1)\nfc -> |", {"ns_steps", "betas"}, set()),
        ("let base = 1\nfc -> lr |", {"base", "sqrt", "numel", "progress", "epochs"}, {"adamw", "freeze"}),
        ("layer<i> -> lr |", {"i", "last", "rank"}, set()),
        ("group g = layer<i>\nlet n = |", {"count", "last"}, {"rank", "ndim"}),
        ("group g = layer<i>\nfc -> lr last(@|", {"@g"}, set()),
        ("fc -> lr 1 until |", {"epoch", "step", "val_loss"}, {"epochs"}),
        ("freeze a until top5 stops rising for 2 epochs\nfreeze b until |", {"top5", "val_loss"}, set()),
        ("freeze fc warmup 3 |", {"epochs", "steps"}, {"epoch"}),
        ("freeze fc |", {"until", "updating statistics"}, {"frozen"}),
        ("expect |", {"groups", "trainable"}, {"frozen"}),
        ("expect fc |", {"frozen", "lr"}, {"until"}),
        ("expect fc lr |", {"==", "<="}, {"lr", "frozen"}),
        ("expect layer<i> lr == |", {"i", "last", "numel"}, {"at"}),
        ("expect fc lr == 1 |", {"at"}, {"=="}),
        ("expect fc frozen |", {"at"}, {"trains"}),
        ("expect groups |", {"==", "<"}, {"at"}),
        ("fc -> lr 1 from epoch 1 |", {"until"}, {"warmup"}),
        ("freeze fc until epoch 1 |", {"warmup"}, {"by"}),
        ("let a = 1\nfc -> lr 1 until epoch |", {"a", "max"}, {"numel", "last", "true"}),
        ("fc -> lr 1 until loss |", {"stops falling for"}, {"warmup"}),
        ("fc -> lr 1 until loss stops |", {"falling for", "rising for"}, {"stops falling for"}),
        ("freeze fc until loss stops falling for 3 |", {"epochs"}, {"steps"}),
        ("freeze fc until loss stops falling for 3 epochs |", {"by", "warmup"}, {"from"}),
        ("freeze fc updating |", {"statistics"}, {"updating statistics", "until"}),
        ("unfreeze a then b every 2 epochs starting |", {"at"}, {"starting at"}),
        ("fc except a |", {"where", "->"}, {"except"}),
        ("fc where tied |", {"and", "->"}, {"except", "where"}),
        ('model "m.json"\n/he|', set(), {"head"}),
        ("optimizer ada|", {"adamw", "layer_adaptive"}, {"cosine"}),
        ("optimizer adamw(|", {"weight_decay", "fused"}, {"momentum"}),
        ("schedule |", {"cosine", "wsd"}, {"adamw"}),
        ("schedule plateau(metric=a, |", {"patience", "factor"}, {"metric", "every"}),
        ('model "m.json"\nfc where module is |', {"norm", "Linear", "Expert"}, {"lr"}),
        ("fc where dtype is |", {"bfloat16"}, {"norm"}),
        ("fc where |", {"ndim", "module", "not"}, {"lr"}),
        ("|", {"stage", "after stages", "steps", "steps_per_epoch"}, {"for"}),
        ("stage a |", {"for", "until"}, {"fresh optimizer", "then"}),
        ("stage a for 2 |", {"epochs", "steps"}, {"epoch"}),
        ("stage a for 2 epochs |", {"until"}, {"for"}),
        ("stage a until loss |", {"stops falling for"}, {"until"}),
        ("stage a, |", {"fresh optimizer"}, {"for"}),
        ("after |", {"stages"}, {"for"}),
        ("freeze |", {"statistics of"}, set()),
        ("freeze statistics of fc |", {"until", "except"}, {"updating statistics", "warmup"}),
        ("unfreeze a.<i> |", {"by", "then", "at"}, {"from"}),
        ("unfreeze a.<i> by |", {"i"}, {"every"}),
        ("unfreeze a.<i> by i |", {"descending", "then", "every"}, {"at"}),
        ("schedule linear |", {"for"}, {"then", "until"}),
        ("schedule linear for 2 epochs |", {"then"}, {"for"}),
        ("schedule linear for 2 epochs then |", {"cosine"}, {"adamw"}),
        ("fc -> schedule linear(end_factor=1) |", {"for", "until"}, {"then"}),
        ("optimizer critic = |", {"adamw"}, {"cosine"}),
        ("group g = a\nlet n = last(@|", {"@g"}, {"sqrt"}),
        ("let a = |", {"progress", "step", "pi", "cosine", "ramp", "choose"}, {"numel", "plateau"}),
        ("fc -> weight_decay 0.1 * (1 - pro|)", {"progress", "epochs"}, set()),
        ("fc where pro|", {"ndim", "pi"}, {"progress", "cosine"}),
        ("expect fc lr < pro|", {"ndim"}, {"progress"}),
        ("fc -> lr ramp((0%, 1), (1 epoch, 2), |", {"shape", "endpoint", "progress"}, {"warmup"}),
        ("fc -> lr ramp((0%, |", {"progress"}, {"endpoint"}),
        ("let a = ramp((0%, 1), (1 epoch, 2), shape=|", {"cosine", "power"}, {"progress", "wsd"}),
        ("let a = 2 * cosine(|", {"warmup", "floor"}, {"shape"}),
        ("schedule cosine(warmup=1 epoch, warmup_type=|", {"constant", "sqrt"}, {"cos"}),
        ("let a = progress\nlet b = 2\nschedule |", {"a", "cosine"}, {"b"}),
        ("let a = progress\nfc -> schedule |", {"a", "cosine"}, set()),
        ("optimizer critic = sgd(lr=1)\nfc -> optimizer |", {"critic", "adamw"}, set()),
        ("include |", {'"whole.lr"'}, {'"typing.lr"'}),
        ("model |", {'"m.json"', '"torchvision:'}, set()),
    ],
)
def test_completion_suggests_what_may_stand_there(
    client: Client, uri: str, text: str, wanted: set[str], unwanted: set[str]
) -> None:
    """Real names of the model segment by segment, options in force, names, words and units of the place."""
    found = set(labels(client, text))
    assert wanted <= found
    assert not unwanted & found


def test_a_suggestion_replaces_the_segment_under_the_cursor(client: Client) -> None:
    """`layers.0.att` becomes `layers.0.attention`, not `layers.0.layers.0.attention`."""
    uri = client.open("segment.lr", 'model "m.json"\nlayers.0.att')
    client.settled(uri)
    items = client.at("completion", uri, 1, 12)["items"]
    (attention,) = [item for item in items if item["label"] == "attention"]
    assert attention["textEdit"]["range"]["start"] == {"line": 1, "character": 9}
    assert attention["textEdit"]["newText"] == "attention"
    assert attention["detail"] == "Attention: 4 tensors, 256"


def test_the_options_of_another_packages_optimizer_are_known_at_once(client: Client) -> None:
    """The text of the package tells them; importing it would bring in torch, which the server never does."""
    pytest.importorskip("pytorch_optimizer")
    text = "group g = head\noptimizer lion(lr=1e-3)\n@g -> lr 1, "
    uri = client.open("foreign.lr", text)
    client.settled(uri)
    found = {item["label"] for item in client.at("completion", uri, 2, 12)["items"]}
    assert {"weight_decay", "weight_decouple"} <= found
    assert not {"lr", "amsgrad"} & found
    assert "weight_decouple" in hover(client, uri, 1, 12)
    assert "group g = head" in hover(client, uri, 0, 6)


# ---------------------------------------------------------------- hover and hints


def test_a_value_with_a_capture_is_shown_as_a_table(client: Client) -> None:
    """Every number that the selector binds, and what the value comes to there."""
    uri = client.open("table.lr", 'model "m.json"\nlayers.<i> -> lr 1e-3 * 0.5 ^ i\n')
    client.settled(uri)
    shown = hover(client, uri, 1, 24).splitlines()
    assert shown[:3] == ["| i | value |", "|---|---|", "| 0 | 1e-3 |"]
    assert shown[-1] == "| 3 | 1.25e-4 |"


def test_a_value_that_moves_is_shown_over_time(client: Client) -> None:
    """At its start, its quarters and its end, for each number that the selector binds."""
    text = 'model "m.json"\nepochs 10\nlayers.<i> -> lr 1e-3 * (i + 1) * (1 - progress)\n'
    uri = client.open("moving.lr", text)
    client.settled(uri)
    shown = hover(client, uri, 2, 23).splitlines()
    assert shown[0] == "| i | start | 25% | 50% | 75% | end |"
    assert shown[3].startswith("| 1 | 2e-3 |")
    assert shown[3].endswith("| 0 |")


def test_a_let_that_moves_is_shown_over_the_run(client: Client) -> None:
    """Where it is written and where it is named; not where a length is not known."""
    text = 'model "m.json"\nepochs 10\nlet warm = ramp((0%, 0), (5 epochs, 1))\nlet late = step / 10\n** -> lr warm\n'
    uri = client.open("let.lr", text)
    client.settled(uri)
    table = ["| start | 25% | 50% | 75% | end |", "|---|---|---|---|---|", "| 0 | 0.4 | 1 | 1 | 1 |"]
    for line, column in ((2, 5), (4, 10)):
        assert hover(client, uri, line, column).splitlines()[-3:] == table
    assert hover(client, uri, 3, 5).splitlines()[-1] == "```"


def test_lists_are_sorted_as_the_server_means_them(client: Client) -> None:
    """The options that matter come first, and layer 10 behind layer 9: editors sort by `sortText`."""
    uri = client.open("sorted.lr", 'model "m.json"\noptimizer adamw\nlet zeal = 1\n** -> \n** -> lr \n')
    client.settled(uri)

    def labels(line: int, column: int) -> list[str]:
        items = client.at("completion", uri, line, column)["items"]
        return [item["label"] for item in sorted(items, key=lambda item: item["sortText"])]

    assert labels(3, 6)[:2] == ["lr", "betas"]
    assert labels(4, 9)[0] == "zeal"


def test_a_statement_with_an_error_is_hovered_and_left_for_definitions(client: Client) -> None:
    """Its words are known by themselves: a let, a group, an option."""
    text = "let base = 1e-3\ngroup stem = layers.0\n@stem -> lr base base, momentum 2 2\n"
    uri = client.open("broken.lr", text)
    client.settled(uri)
    assert "let base = 1e-3" in hover(client, uri, 2, 13)
    assert "group stem = layers.0" in hover(client, uri, 2, 2)
    assert "learning rate" in hover(client, uri, 2, 9)
    assert hover(client, uri, 2, 34) == ""
    for column, line in ((13, 0), (2, 1)):
        assert client.at("definition", uri, 2, column)["range"]["start"]["line"] == line
    assert client.at("definition", uri, 2, 9) is None


def test_words_are_coloured_by_what_they_mean(client: Client) -> None:
    """A capture is no let, a layer no option; places are relative to the word before, in the client's units."""
    text = "let base = 1e-3 # \U0001f600\nlayers.<i> -> lr base * i\nfreeze head\n"
    uri = client.open("colours.lr", text)
    client.settled(uri)
    found = client.request("textDocument/semanticTokens/full", {"textDocument": {"uri": uri}})["data"]
    kinds = client.capabilities["semanticTokensProvider"]["legend"]["tokenTypes"]
    lines, line, column, told = text.split("\n"), 0, 0, []
    for n in range(0, len(found), 5):
        line, column = (line + found[n], found[n + 1]) if found[n] else (line, column + found[n + 1])
        units = lines[line].encode("utf-16-le")[2 * column : 2 * (column + found[n + 2])]
        told.append((units.decode("utf-16-le"), kinds[found[n + 3]]))
    assert ("# \U0001f600", "comment") in told
    assert [kind for word, kind in told if word in ("base", "i")] == ["variable", "variable", "parameter"]
    assert {
        ("layers.<i>", "namespace"),
        ("lr", "property"),
        ("freeze", "keyword"),
        ("head", "namespace"),
    } <= set(told)


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        (7, 1, "74 tensors, 3.1 k parameters"),
        (8, 3, "16 tensors, 1.0 k parameters"),
        (9, 2, "group stem = layers.0, layers.1"),
        (9, 2, "36 tensors"),
        (4, 15, "18 tensors, 704 parameters"),
        (7, 7, "`lr` of adamw: the learning rate"),
        (7, 10, "let base = 1e-3"),
        (3, 5, "= 5e-4"),
        (5, 18, "`weight_decay`"),
        (5, 12, "optimizer `adamw` (`torch.optim.AdamW`)"),
        (6, 10, "schedule `cosine`"),
        (6, 19, "`warmup`: how long the warm-up lasts"),
        (6, 24, "`5%` = 0.05"),
        (8, 38, "largest number that a capture is bound to"),
        (9, 13, "dimensions of the tensor"),
        (10, 2, "Do not train these parameters"),
        (10, 14, "The window ends before this moment"),
        (10, 20, "a moment"),
    ],
)
def test_hovering_tells_what_a_word_means(
    client: Client, uri: str, line: int, column: int, said: str
) -> None:
    """What a selector covers, what an option means, what a let, a group, a number is worth."""
    assert said in hover(client, uri, line, column)


def test_hovering_over_nothing_says_nothing(client: Client, uri: str) -> None:
    """Past the end of the text, and over a word of a damaged text that means nothing."""
    assert hover(client, uri, 99, 99) == ""
    damaged = client.open("damaged.lr", "head head head\n")
    assert hover(client, damaged, 0, 6) == ""


def test_hints_count_what_each_selector_covers(client: Client, uri: str) -> None:
    """Behind each rule, group and freeze; asked for again when the analyst has answered."""
    found = client.request("textDocument/inlayHint", {"textDocument": {"uri": uri}, "range": WHOLE})
    by_line = {hint["position"]["line"]: hint["label"] for hint in found}
    assert by_line[7] == "· 74 tensors, 3.1 k"
    assert by_line[9] == "· 20 tensors, 1.3 k"
    assert set(by_line) == {4, 7, 8, 9, 10}
    assert client.refreshed > 0


def test_a_hint_says_that_nothing_is_covered(client: Client) -> None:
    """In a word, not as two noughts."""
    uri = client.open("none.lr", 'model "m.json"\nlayerz -> lr 1\n')
    client.settled(uri)
    found = client.request("textDocument/inlayHint", {"textDocument": {"uri": uri}, "range": WHOLE})
    assert [hint["label"] for hint in found] == ["· nothing"]


# ---------------------------------------------------------------- names


def place(found: dict[str, Any]) -> tuple[int, int, int]:
    start, end = found["range"]["start"], found["range"]["end"]
    return start["line"], start["character"], end["character"]


def test_lets_and_groups_lead_to_their_definitions(client: Client, uri: str) -> None:
    """From a use, the `@` included, to the name where it is defined."""
    assert place(client.at("definition", uri, 7, 9)) == (2, 4, 8)
    assert place(client.at("definition", uri, 9, 0)) == (4, 6, 10)
    assert client.at("definition", uri, 8, 8) is None


def test_a_group_that_is_counted_leads_to_its_definition(client: Client) -> None:
    """With the name of a capture behind it and without; so does a `let` that is taken by its place."""
    uri = client.open(
        "counted.lr", "group g = a.<i>\nlet n = (1, 2)\nlet m = last(@g.i) + count(@g) + n[0]\n"
    )
    assert place(client.at("definition", uri, 2, 15)) == (0, 6, 7)
    assert place(client.at("definition", uri, 2, 28)) == (0, 6, 7)
    assert place(client.at("definition", uri, 2, 33)) == (1, 4, 5)
    assert client.at("definition", uri, 2, 17) is None


def test_includes_and_models_lead_to_their_files(client: Client, folder: Path) -> None:
    """And a name that an included file defines, to that file."""
    (folder / "lets.lr").write_text("# lets\nlet rate = 1\n")
    uri = client.open("goes.lr", 'model "m.json"\ninclude "lets.lr"\n** -> lr rate\n')
    assert client.at("definition", uri, 1, 10)["uri"] == (folder / "lets.lr").as_uri()
    assert client.at("definition", uri, 0, 8)["uri"] == (folder / "m.json").as_uri()
    found = client.at("definition", uri, 2, 10)
    assert (found["uri"], place(found)) == ((folder / "lets.lr").as_uri(), (1, 4, 8))


def test_references_are_every_use(client: Client, uri: str) -> None:
    """With the definition or without."""
    both = client.at("references", uri, 3, 12, context={"includeDeclaration": True})
    uses = client.at("references", uri, 3, 12, context={"includeDeclaration": False})
    assert [place(found) for found in both] == [(2, 4, 8), (3, 11, 15), (7, 9, 13)]
    assert len(uses) == 2


def applied(text: str, edits: list[dict[str, Any]]) -> str:
    lines = text.split("\n")
    for change in sorted(edits, key=lambda e: place(e), reverse=True):
        line, start, end = place(change)
        lines[line] = lines[line][:start] + change["newText"] + lines[line][end:]
    return "\n".join(lines)


def test_renaming_changes_the_definition_and_every_use(client: Client, uri: str) -> None:
    """A group keeps its signs; a capture or attribute of the same spelling is left alone."""
    assert place({"range": client.at("prepareRename", uri, 10, 9)}) == (10, 8, 12)
    edits = client.at("rename", uri, 10, 9, newName="@first")["changes"][uri]
    new = applied(TEXT, edits)
    assert "group first = " in new
    assert new.count("@first") == 2
    assert "stem" not in new


@pytest.mark.parametrize(
    ("name", "why"), [("half", "already"), ("ndim", "word of the language"), ("1x", "no name")]
)
def test_a_rename_that_would_break_the_file_is_refused(client: Client, uri: str, name: str, why: str) -> None:
    """With the reason, and nothing changed."""
    with pytest.raises(Failed, match=why):
        client.at("rename", uri, 2, 5, newName=name)


def test_a_name_is_renamed_in_every_file_that_shares_it(client: Client, folder: Path) -> None:
    """In the included file that defines it, and in an open document that includes that one too."""
    lets = folder / "shared.lr"
    lets.write_text("let rate = 1\nlet twice = rate * 2\n")
    uri = client.open("borrows.lr", 'include "shared.lr"\n** -> lr rate\n')
    other = client.open("shares.lr", 'include "shared.lr"\nhead -> lr rate\n')
    changes = client.at("rename", uri, 1, 10, newName="speed")["changes"]
    assert {file: len(edits) for file, edits in changes.items()} == {uri: 1, other: 1, lets.as_uri(): 2}
    assert applied(lets.read_text(), changes[lets.as_uri()]) == "let speed = 1\nlet twice = speed * 2\n"


def test_renaming_goes_by_the_texts_that_are_open(client: Client, folder: Path) -> None:
    """An included file that is open and not saved is changed where its text is at present."""
    (folder / "groups.lr").write_text("group a = head\n")
    uri = client.open("uses.lr", 'include "groups.lr"\n@a -> lr 1\n')
    client.settled(uri)
    included = client.open("groups.lr", "group a = head\n")
    client.change(included, edit(0, 0, "# one line more\n"))
    for asked, line, column in ((uri, 1, 1), (included, 1, 6)):
        changes = client.at("rename", asked, line, column, newName="b")["changes"]
        assert [place(change) for change in changes[included]] == [(1, 6, 7)]
        assert [place(change) for change in changes[uri]] == [(1, 1, 2)]


@pytest.mark.parametrize("name", ["true", "mod", "i"])
def test_a_rename_that_would_change_the_meaning_is_refused(client: Client, name: str) -> None:
    """Words of expressions, and a capture of the same name where the let is used."""
    uri = client.open("meaning.lr", "let a = 2\nlayers.<i> -> lr a * i\n")
    with pytest.raises(Failed, match=r"would mean something else|word of the language"):
        client.at("rename", uri, 0, 4, newName=name)


def test_symbols_list_the_statements(client: Client, uri: str) -> None:
    """Each with what it does, so that a long file can be found one's way in."""
    found = client.request("textDocument/documentSymbol", {"textDocument": {"uri": uri}})
    assert [(s["name"], s["detail"]) for s in found][1:5] == [
        ("base", "1e-3"),
        ("half", "base / 2"),
        ("@stem", "layers.0, layers.1"),
        ("optimizer adamw", "adamw(weight_decay=0.05)"),
    ]
    assert found[-2]["name"] == "@stem where ndim > 1"


def test_stages_hold_their_statements(client: Client) -> None:
    """Each reaches from its heading to its last statement; what stands above the first is under none."""
    text = (
        "** -> lr 1\nstage head for 1 epoch\nfc -> lr 2\nfreeze **\n\nstage rest\nafter stages\nb -> lr 3\n"
    )
    uri = client.open("stages.lr", text)
    found = client.request("textDocument/documentSymbol", {"textDocument": {"uri": uri}})
    assert [(s["name"], s["detail"], [c["name"] for c in s.get("children", ())]) for s in found] == [
        ("**", "lr 1", []),
        ("stage head", "for 1 epoch", ["fc", "freeze **"]),
        ("stage rest", "", []),
        ("after stages", "after stages", ["b"]),
    ]
    assert (found[1]["range"]["start"]["line"], found[1]["range"]["end"]["line"]) == (1, 3)


# ---------------------------------------------------------------- changes


def test_formatting_gives_the_canonical_layout(client: Client) -> None:
    """The whole text in one edit; nothing where it is laid out already or has syntax errors."""
    uri = client.open("layout.lr", "fc->lr   1\nlayer1.* ->lr 2")
    options = {"textDocument": {"uri": uri}, "options": {"tabSize": 4, "insertSpaces": True}}
    (change,) = client.request("textDocument/formatting", options)
    assert change["range"]["end"] == {"line": 1, "character": 15}
    client.change(uri, {"range": change["range"], "text": change["newText"]})
    assert client.settled(uri)["text"] == "fc       -> lr 1\nlayer1.* -> lr 2\n"
    assert client.request("textDocument/formatting", options) is None
    client.change(uri, edit(0, 0, "bad bad\n"))
    assert client.request("textDocument/formatting", options) is None


def actions(client: Client, uri: str, only: list[str] | None = None) -> list[dict[str, Any]]:
    context: dict[str, Any] = {"diagnostics": [], **({"only": only} if only else {})}
    asked = {"textDocument": {"uri": uri}, "range": WHOLE, "context": context}
    found: list[dict[str, Any]] = client.request("textDocument/codeAction", asked)
    return found


def test_a_finding_with_a_fix_offers_it(client: Client) -> None:
    """One action a fix, the safe ones preferred and together in one."""
    text = 'model "m.json"\nhed -> lr 1\n** -> wd 1, learning_rate 2\n'
    uri = client.open("fixes.lr", text)
    client.settled(uri)
    found = actions(client, uri)
    quick = [(a["title"], a.get("isPreferred", False)) for a in found if a["kind"] == "quickfix"]
    assert quick == [
        ("Replace by `head`", False),
        ("Replace by `weight_decay`", True),
        ("Replace by `lr`", True),
    ]
    (together,) = actions(client, uri, only=["source.fixAll"])
    assert applied(text, together["edit"]["changes"][uri]).endswith("** -> weight_decay 1, lr 2\n")


def test_full_texts_are_taken_as_well_as_changes(client: Client) -> None:
    """A client that knows no ranges sends the whole text at every change."""
    uri = client.open("full.lr", "a -> lr 1\n")
    client.change(uri, {"text": "b -> wd 2\n"})
    assert client.settled(uri)["text"] == "b -> wd 2\n"
    assert client.codes(uri) == ["LR103"]


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n" * 50,
        "\x00\x01\x02",
        "(" * 5000,
        "a" * 100_000,
        "\ufeff** -> lr 1",
        "x\r\ry\r",
        "\ud83d -> lr 1",
    ],
    ids=["empty", "blank", "control", "nested", "long", "mark", "returns", "surrogate"],
)
def test_no_text_is_too_odd_to_open(client: Client, text: str) -> None:
    """It is read as it is, and every request about it has an answer."""
    uri = (client.folder / "odd.lr").as_uri()
    document = {"uri": uri, "languageId": "layerlr", "version": 1, "text": text}
    client.notify("textDocument/didOpen", {"textDocument": document})
    assert client.settled(uri)["text"] == text
    assert client.at("completion", uri, 0, 3)["items"] is not None
    hover(client, uri, 0, 1)
    actions(client, uri)


@pytest.mark.parametrize("uri", ["untitled:Untitled-1", "file:///nowhere/at/all.lr", "git:/x.lr?a#b", "%%%"])
def test_a_document_needs_no_file(client: Client, uri: str) -> None:
    """Includes cannot be found from there, and everything else works."""
    document = {"uri": uri, "languageId": "layerlr", "version": 1, "text": 'include "x.lr"\nlet a = 1\n'}
    client.notify("textDocument/didOpen", {"textDocument": document})
    client.settled(uri)
    assert [d["code"] for d in client.diagnostics[uri]["diagnostics"]] == ["LR113"]
    assert client.at("references", uri, 1, 4, context={"includeDeclaration": True})


def test_requests_about_unknown_documents_have_empty_answers(client: Client) -> None:
    """A document may be closed while a request about it is on its way."""
    uri = "file:///not/open.lr"
    assert client.at("hover", uri, 0, 0) is None
    assert client.at("completion", uri, 0, 0) is None
    assert client.at("references", uri, 0, 0, context={"includeDeclaration": True}) == []
    client.notify(
        "textDocument/didChange",
        {"textDocument": {"uri": uri, "version": 2}, "contentChanges": [{"text": "x"}]},
    )
    assert client.settled(uri) is None


def test_the_server_never_imports_torch() -> None:
    """Neither it nor the analyst beside it: an analysis of a stored inventory needs none."""
    program = (
        "import sys, layerlr_dsl.editor.features, layerlr_dsl.editor.analyst\n"
        "from layerlr_dsl.editor.session import Session\n"
        "Session('', None, '** -> lr 1\\noptimizer lion(lr=1)').work()\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
        "assert 'pydantic' not in sys.modules, 'pydantic'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_without_pygls_the_command_says_what_to_install() -> None:
    """The language server is an extra; exit status 2, no traceback."""
    program = (
        "import sys; sys.modules['pygls'] = None; sys.argv = ['layerlr', 'lsp']\n"
        "from layerlr_dsl.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "layerlr-dsl[lsp]" in done.stderr
    assert "Traceback" not in done.stderr


def test_leaving_without_a_word_is_a_failure(folder: Path) -> None:
    """`exit` that no `shutdown` came before: exit status 1, as the protocol wants it."""
    assert Client(folder).leave() == 1


def test_a_request_that_nobody_can_read_is_answered(client: Client) -> None:
    """With an error, so that its client does not wait for ever; the server goes on."""
    for method, params in (("textDocument/hover", {"neither": 1}), ("textDocument/nonsense", {})):
        with pytest.raises(Failed):
            client.request(method, params)
    assert "learning rate" in hover(client, client.open("on.lr", "** -> lr 1\n"), 0, 7)


def test_a_request_behind_shutdown_is_refused(folder: Path) -> None:
    """As the protocol wants it; `exit` then ends well."""
    client = Client(folder)
    client.request("shutdown", None)
    with pytest.raises(Failed, match="shutting down"):
        client.request("layerlr/settled", {"uri": "file:///x.lr"})
    assert client.leave() == 0


def test_a_server_whose_client_is_gone_ends_with_its_processes(folder: Path) -> None:
    """Closing standard input is enough; nothing is left running."""
    client = Client(folder)
    client.findings(client.open("gone.lr", TEXT))
    assert client.process.stdin is not None
    client.process.stdin.close()
    assert client.process.wait(30) == 0
    assert client.process.stdout is not None
    client.process.stdout.close()


# ---------------------------------------------------------------- the picture


def test_the_picture_of_a_document_is_a_page_that_is_told_what_is_new(client: Client) -> None:
    """What `layerlr view` draws, of the text as it is in the editor."""
    uri = client.open("seen.lr", 'model "m.json"\nepochs 4\n** -> lr 1e-3\nfreeze layers.0 until epoch 2\n')
    page = client.request("layerlr/page", {"uri": uri})
    assert page.startswith("<!doctype html>")
    assert "seen.lr on m.json" in page
    client.change(uri, edit(2, 6, "lr 2e-3", (2, 13)))
    news = client.request("layerlr/news", {"uri": uri, "drawn": True})
    assert (news["found"], news["stale"], news["drawing"]["end"]) == ([], "", 4)
    assert news["drawing"]["high"] == 2e-3


def test_a_broken_document_says_why_and_leaves_the_last_picture(client: Client) -> None:
    """With the line and a caret; where nothing was drawn before, it says that."""
    uri = client.open("hurt.lr", 'model "m.json"\nepochs 4\n** -> lr 1e-3\nnowhere -> lr 1\n')
    news = client.request("layerlr/news", {"uri": uri, "drawn": True})
    assert "drawing" not in news
    assert news["stale"] == "this is the last picture that could be drawn"
    [found] = news["found"]
    assert (found["code"], found["place"]) == ("LR201", "hurt.lr:4:1")
    assert found["excerpt"] == "nowhere -> lr 1\n^^^^^^^"
    assert "nothing can be drawn yet" in client.request("layerlr/page", {"uri": uri})


def test_what_cannot_be_drawn_for_want_of_something_says_what(client: Client) -> None:
    """A model that nobody names, a length that nobody says, a document that is not open."""
    uri = client.open("bare.lr", "** -> lr 1e-3\n")
    news = client.request("layerlr/news", {"uri": uri, "drawn": False})
    assert news["found"][-1]["message"].startswith("the file names no model")
    uri = client.open("endless.lr", 'model "m.json"\n** -> lr 1e-3\n')
    news = client.request("layerlr/news", {"uri": uri, "drawn": False})
    assert news["drawing"]["end"] == 10
    assert "as if it were 10 epochs" in news["stale"]
    assert client.request("layerlr/page", {"uri": "file:///nowhere.lr"}) is None


NAMED = 'epochs 9\nlet fall = 1 - progress\noptimizer critic = sgd(lr=1)\nhead -> optimizer critic, "rank" 128\nschedule fall\n'


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        (2, 12, "optimizer critic = sgd(lr=1)"),
        (3, 20, "optimizer critic = sgd(lr=1)"),
        (3, 28, "handed to the optimizer's group as it is"),
        (4, 11, "let fall = 1 - progress"),
    ],
)
def test_names_of_optimizers_and_schedules_are_told(
    client: Client, line: int, column: int, said: str
) -> None:
    """Where they are given and where they are used; a quoted option is handed on."""
    assert said in hover(client, client.open("named.lr", NAMED), line, column)


def test_a_named_optimizer_is_found_and_renamed_with_its_uses(client: Client) -> None:
    """To the name of an optimizer itself it is not."""
    uri = client.open("named.lr", NAMED)
    client.settled(uri)
    place = client.at("definition", uri, 3, 20)
    first = place[0] if isinstance(place, list) else place
    assert first["range"]["start"] == {"line": 2, "character": 10}
    changes = client.at("rename", uri, 3, 20, newName="judge")
    assert str(changes).count("judge") == 2
    with pytest.raises(Failed, match="itself"):
        client.at("rename", uri, 3, 20, newName="adamw")
