"""What each form of the language is read as, where statements end, and the bounds of it all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import pytest

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.parser import parse
from layerlr_dsl.language.source import Source


def statements(text: str) -> tuple[Any, ...]:
    file, diagnostics = parse(Source("file.lr", text))
    assert diagnostics == ()
    return file.statements


def one(text: str) -> Any:
    [statement] = statements(text)
    return statement


def codes(text: str) -> list[str]:
    return [d.code for d in parse(Source("file.lr", text))[1]]


WORDS = ["version", "model", "epochs", "steps", "steps_per_epoch", "stage", "after", "stages", "statistics", "of",
         "fresh", "ascending", "descending", "ramp", "include", "let", "group", "optimizer", "schedule", "freeze", "unfreeze",
         "expect", "except", "where", "from", "until", "warmup", "at", "then", "every", "starting", "updating",
         "frozen", "trains", "stops", "and", "or", "not", "is", "matches", "mod", "true", "false", "lr", "epoch",
         "step", "0", "groups", "trainable", "freezer", "lettuce"]  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("form", ["{} -> lr 1", "{}, b -> lr 1", "{}.* -> lr 1", "b, {} -> lr 1", "{}->lr 1"])
def test_a_layer_may_bear_any_word_of_the_language(word: str, form: str) -> None:
    """In front of an arrow every word is a name."""
    rule = one(form.format(word))
    assert isinstance(rule, s.RuleStatement)
    assert any(item.text.startswith(word) for item in rule.selector.include if isinstance(item, s.Pattern))


@pytest.mark.parametrize("word", [w for w in WORDS if w not in {"except", "where"}])
@pytest.mark.parametrize("form", ["freeze {}", "unfreeze {} at epoch 1", "expect {} frozen", "group g = {}"])
def test_a_layer_behind_a_statement_word_may_bear_any_word_but_two(word: str, form: str) -> None:
    """Right behind a statement word only `except` and `where` need quotes."""
    statement = one(form.format(word))
    assert statement.selector.include[0].text == word
    for quoted in ("except", "where"):
        assert one(form.format(f'"{quoted}"')).selector.include[0].text == quoted


@pytest.mark.parametrize("option", ["schedule_x", "until_", "frozenness", "notify", "trues", "model", "lr"])
def test_options_may_begin_like_words(option: str) -> None:
    """A word counts only where it ends."""
    assert one(f"fc -> {option} 1").settings[0].option == option


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("a -> lr 1\nb -> lr 2", 2),
        ("a -> lr 1\r\nb -> lr 2\r\n", 2),
        ("a -> lr 1; b -> lr 2;", 2),
        (";;\n;a -> lr 1\n\n", 1),
        ("a,\n  b -> lr 1", 1),
        ("a, # why\n\n  # and\n\tb -> lr 1", 1),
        ("a -> lr (1 +\n2)", 1),
        ("optimizer adamw(\nlr=1,\n\nbetas=(0.9,\n0.99)\n)\na -> lr 1", 2),
        ("a \\\n-> lr 1", 1),
        ("a \\  \r\n -> lr 1", 1),
        ("\ufeffa -> lr 1", 1),
        ("\tfreeze\ta\t", 1),
        ("a -> lr max(1,\n2)  # c", 1),
        ("unfreeze a then\n  b every 1 epoch", 1),
        ("schedule a for 1 epoch then # why\n\n  # and\n\tb\nfc -> lr 1", 2),
        ("fc -> schedule a for 1 epoch then\n  b, lr 1", 1),
        ("freeze then\n  fc -> lr 1", 2),
        ("stage a\n  fc -> lr 1", 2),
        ("", 0),
        ("# only\n\n  # comments", 0),
    ],
)
def test_where_statements_end(text: str, count: int) -> None:
    """At a newline or `;`, but not inside parentheses, behind a backslash, or behind a comma before an indent."""
    assert len(statements(text)) == count


def test_a_comma_does_not_reach_a_line_that_is_not_indented() -> None:
    """The next statement is safe from a forgotten item."""
    file, found = parse(Source("file.lr", "a -> lr 1,\nb -> lr 2\n"))
    assert [d.code for d in found] == ["LR005"]
    assert [n.span.text for n in file.statements] == ["b -> lr 2"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("600_000", 600_000), ("1_0.2_5", 10.25), ("1e-1_0", 1e-10), ("1_0%", 0.1), ("1", 1), ("1e-4", 1e-4), (".5", 0.5), ("5.", 5.0), ("1E+2", 100.0), ("5%", 0.05), ("007", 7), ("1e999", float("inf"))],
)  # fmt: skip
def test_numbers(text: str, value: float) -> None:
    """Numbers keep their text, but for what sets digits apart, and their exact value."""
    number = one(f"let x = {text}").value
    assert number.value == value
    assert type(number.value) is type(value)
    assert number.text == text.rstrip("%").replace("_", "")
    if value != float("inf"):
        assert float(number.exact) == value
    assert isinstance(number.exact, Fraction)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("1 + 2 * 3", "(1+(2*3))"),
        ("1 - 2 - 3", "((1-2)-3)"),
        ("2 ^ 3 ^ 4", "(2^(3^4))"),
        ("-2 ^ 2", "-(2^2)"),
        ("2 ^ -2", "(2^-2)"),
        ("6 / 2 mod 4", "((6/2)mod4)"),
        ("a or b and not c == 1", "(aor(bandnot(c==1)))"),
        ("not a == b or c", "(not(a==b)orc)"),
        ("(1 + 2) * 3", "((1+2)*3)"),
        ("a + 1 < b * 2", "((a+1)<(b*2))"),
        ("- - 1", "--1"),
    ],
)
def test_operators_bind_as_they_do_in_arithmetic(text: str, tree: str) -> None:
    """Powers first and to the right, then signs, products, sums, comparisons, not, and, or."""

    def shown(node: Any) -> str:
        if isinstance(node, s.Number):
            return node.text
        if isinstance(node, s.Name):
            return node.name
        if isinstance(node, s.Negative):
            return "-" + shown(node.operand)
        if isinstance(node, s.Not):
            return "not" + shown(node.operand)
        return f"({shown(node.left)}{node.operator}{shown(node.right)})"

    assert shown(one(f"let x = {text}").value) == tree


def test_spans_of_operators_take_their_parentheses_in() -> None:
    """A finding about `(1 + 2) * x` underlines the whole product."""
    product = one("let y = (1 + 2) * (x)").value
    assert product.span.text == "(1 + 2) * (x)"
    assert product.left.span.text == "1 + 2"
    assert product.right.span.text == "x"
    setting = one("fc -> lr (1 + 2), eps 1").settings[0]
    assert setting.span.text == "lr (1 + 2)"


def test_every_form_of_time() -> None:
    """Moments, shares of the run and metric conditions, with the counts that the language allows."""
    window = one("fc -> lr 1 from step (2 * n) until 50%").window
    assert (window.opens.unit, window.closes.unit, window.closes.value.text) == ("step", "percent", "50")
    assert not window.closes.value.percent
    condition = one('freeze x until "val/loss" stops rising for n epochs by (d / 2)').window.closes
    assert (condition.metric, condition.direction, condition.patience.name) == ("val/loss", "rising", "n")
    sequence = one("unfreeze a, b then c where tied every 1 epoch starting at 10% warmup 5%")
    assert [len(x.include) for x in sequence.selectors] == [2, 1]
    assert (sequence.every.unit, sequence.start.unit, sequence.warmup.unit) == (
        "epochs",
        "percent",
        "percent",
    )


def test_arguments_keep_stretches_of_time() -> None:
    """Durations in arguments stay durations, alone and in tuples; a bare percentage is a number."""
    statement = one(
        "schedule multistep(at=(30 epochs, 60 epochs,), every=n steps, warmup=5%, one=(3 epochs))"
    )
    at, every, warmup, single = (argument.value for argument in statement.sequence.parts[0].factory.arguments)
    assert [d.unit for d in at] == ["epochs", "epochs"]
    assert every.unit == "steps"
    assert isinstance(warmup, s.Number)
    assert warmup.percent
    assert len(single) == 1


def test_headings_say_how_long_and_whether_to_begin_afresh() -> None:
    """A stage has a name, perhaps a length, perhaps a condition; nothing of what follows is its own."""
    stage = one("stage all for 20 epochs until val_loss stops falling for 3 epochs by 0.1, fresh optimizer")
    assert (stage.name, stage.length.unit, stage.until.metric, stage.fresh) == (
        "all",
        "epochs",
        "val_loss",
        True,
    )
    assert stage.name_span.text == "all"
    bare, fresh, after = statements("stage a\nstage b, fresh optimizer\nafter stages\n")
    assert (bare.length, bare.until, bare.fresh, fresh.fresh) == (None, None, False, True)
    assert isinstance(after, s.AfterStagesStatement)
    assert (one("steps 600_000").value.value, one("steps_per_epoch n").value.name) == (600_000, "n")


def test_schedules_follow_one_another() -> None:
    """A schedule is a sequence, most often of one part; all parts but the last have a length."""
    [lone] = one("schedule cosine(warmup=5%)").sequence.parts
    assert (lone.factory.name, lone.length) == ("cosine", None)
    rule = one("fc -> schedule linear for 300 steps then hold for 5% then cosine, lr 1 until epoch 3")
    parts = rule.settings[0].value.parts
    assert [(p.factory.name, p.length and p.length.unit) for p in parts] == [
        ("linear", "steps"),
        ("hold", "percent"),
        ("cosine", None),
    ]
    assert rule.settings[0].value.span.text == "linear for 300 steps then hold for 5% then cosine"


def test_turns_may_go_by_a_capture() -> None:
    """Ascending without a word; turns with and without a capture mix."""
    text = "unfreeze head then layers.<i> by i descending then stages.<s> by s every 1 epoch"
    found = one(text).turns
    assert [(t.by, t.descending) for t in found] == [(None, False), ("i", True), ("s", False)]
    assert found[1].by_span.text == "i"
    assert one("unfreeze a, b warmup 5%").at is None


@pytest.mark.parametrize(
    ("text", "kind", "first"),
    [
        ("freeze statistics of a", s.FreezeStatisticsStatement, "a"),
        ("freeze statistics of statistics", s.FreezeStatisticsStatement, "statistics"),
        ("freeze statistics \\\n of /x/", s.FreezeStatisticsStatement, None),
        ("freeze statistics", s.FreezeStatement, "statistics"),
        ("freeze statistics.0", s.FreezeStatement, "statistics.0"),
        ("freeze statistics, of", s.FreezeStatement, "statistics"),
        ("freeze of", s.FreezeStatement, "of"),
        ("freeze statistics updating statistics", s.FreezeStatement, "statistics"),
        ("statistics -> lr 1", s.RuleStatement, "statistics"),
    ],
)
def test_statistics_are_a_word_only_where_of_follows(text: str, kind: type, first: str | None) -> None:
    """A layer may be called `statistics`, and another one `of`."""
    statement = one(text)
    assert type(statement) is kind
    assert getattr(statement.selector.include[0], "text", None) == first


def test_statistics_end_with_their_line() -> None:
    """`of` in the next line is another statement's layer."""
    assert [type(n) for n in statements("freeze statistics\nof -> lr 1")] == [
        s.FreezeStatement,
        s.RuleStatement,
    ]


def test_calls_take_keywords_and_counted_groups() -> None:
    """Values first, then what is given by name, which may be a stretch of time."""
    call = one("let x = f(last(@g), count(@g.i), (1, 2), a=3 epochs, b=power(2),)").value
    last, count, _ = call.arguments
    assert (last.arguments[0].group, last.arguments[0].capture) == ("g", None)
    assert (count.arguments[0].group, count.arguments[0].capture) == ("g", "i")
    assert [(k.name, type(k.value)) for k in call.keywords] == [("a", s.Duration), ("b", s.Call)]
    assert one("let x = f(a=1)").value.arguments == ()
    assert one("let x = T[-1]").value.index.operand.value == 1


def test_points_of_a_ramp_begin_with_a_stretch_of_time() -> None:
    """In `ramp` alone: elsewhere a stretch of time is no value."""
    points = one(
        "let x = ramp((0%, 0.04), (300 steps, (1 + 2) * y), ((n) epochs, 1), shape=cosine)"
    ).value.arguments
    assert [type(p.items[0]) for p in points] == [s.Number, s.Duration, s.Duration]
    assert codes("let x = max((300 steps, 1))") == ["LR001"]
    assert codes("let x = ramp(max((300 steps, 1)))") == ["LR001"]
    assert codes("let x = (300 steps, 1)") == ["LR001"]


def test_options_and_optimizers_may_have_names_of_their_own() -> None:
    """A quoted option is any text; a named optimizer is a further one, of which there may be many."""
    first, second = one('fc -> "rank" 128, "odd name" *= 2 from epoch 1').settings
    assert (first.option, first.quoted, first.option_span.text) == ("rank", True, '"rank"')
    assert (second.option, second.multiply) == ("odd name", True)
    plain, critic, _ = statements("optimizer adamw\noptimizer critic = adam(lr=1)\noptimizer actor = adam\n")
    assert (plain.name, critic.name, critic.name_span.text) == (None, "critic", "critic")


def test_each_stage_has_a_schedule_of_its_own() -> None:
    """One stands above the stages, and one under each heading."""
    assert codes("schedule a\nstage x\nschedule b\nafter stages\nschedule c\n") == []
    assert codes("stage x\nschedule b\nfc -> lr 1\nschedule c\n") == ["LR009"]


def test_texts_and_patterns_are_unescaped() -> None:
    """Quotes and slashes lose the backslash that let them in; every other backslash stays."""
    assert one(r'model "a\"b\\c\d"').spec.value == r'a"b\c\d'
    assert one(r"/a\/b\.c/ -> lr 1").selector.include[0].pattern == r"a/b\.c"
    quoted = one(r'"odd name.*" -> lr 1').selector.include[0]
    assert (quoted.text, quoted.quoted) == ("odd name.*", True)


def test_comments_are_kept_wherever_they_stand() -> None:
    """Behind statements, on their own lines, inside parentheses and within damaged statements."""
    text = "# one\na -> lr 1 # two\r\nb -> lr (1 + # three\n2)\nfc => lr 1 # four\n# five"
    file, _ = parse(Source("file.lr", text))
    assert [c.text for c in file.comments] == ["# one", "# two", "# three", "# four", "# five"]


@pytest.mark.parametrize(
    ("character", "where"),
    [("\x00", "fc -> lr {}1"), ("\x00", "fc -> lr 1  # a{}b"), ("\x07", 'model "{}"'), ("\u202e", "# {}"),
     ("\u00a0", "fc ->{}lr 1"), ("\u200b", "fc{} -> lr 1"), ("\u2028", "fc -> lr 1 {}")],
)  # fmt: skip
def test_characters_that_nobody_sees_are_refused(character: str, where: str) -> None:
    """Control characters, odd blanks and signs that turn lines around are errors everywhere, texts and comments too."""
    _, found = parse(Source("file.lr", where.format(character)))
    assert [d.code for d in found] == ["LR010"]
    assert f"U+{ord(character):04X}" in found[0].message


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("(", ")"),
        ("-", ""),
        ("- ", ""),
        ("2 ^ ", ""),
        ("not ", ""),
        ("max(", ")"),
        ("shape[", "]"),
        ("-(", ")"),
    ],
)
def test_nesting_is_bounded(opening: str, closing: str) -> None:
    """200 levels are read, 10,000 are one clean finding, and the next statement is untouched."""
    levels = 200 // len(opening.replace(" ", "")) if opening == "-(" else 200
    assert codes(f"let x = {opening * levels}1{closing * levels}") == []
    file, found = parse(Source("file.lr", f"let x = {opening * 10_000}1{closing * 10_000}\nfreeze fc\n"))
    assert [d.code for d in found] == ["LR007"]
    assert len(file.statements) == 1


@pytest.mark.parametrize("operator", ["+", "*", "-", "and", "or", "mod"])
def test_long_flat_chains_are_read(operator: str) -> None:
    """10,000 operators side by side are no nesting."""
    value = one("let x = " + f" {operator} ".join(["n"] * 10_001)).value
    depth = 0
    while isinstance(value, s.Arithmetic | s.Logic):
        value, depth = value.left, depth + 1
    assert depth == 10_000


@pytest.mark.parametrize("blank", [" ", "\t", " \\\n", "\r", "#\n ", "\n "])
def test_blanks_before_a_fault_take_no_time(blank: str) -> None:
    """Thousands of blanks in front of something that cannot stand there are passed once."""
    file, found = parse(Source("file.lr", f"fc,{blank * 5000}$\nfreeze fc\n"))
    assert len(found) == 1
    assert len(file.statements) == 1


def test_threads_read_apart() -> None:
    """Texts read at the same time do not mix."""

    def read(n: int) -> tuple[int, bool]:
        file, found = parse(
            Source(f"{n}.lr", "\n".join(f"layer{n}.{k} -> lr {n}  # {n}" for k in range(40)) + "\nx")
        )
        whole = all(node.selector.include[0].text.startswith(f"layer{n}.") for node in file.statements)  # type: ignore[union-attr]
        return len(file.comments) + len(found), whole and file.source.name == f"{n}.lr"

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, range(40))) == {(41, True)}
