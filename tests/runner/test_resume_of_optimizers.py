"""The runner goes on exactly under optimizers that count in their groups or keep odd things."""

import pytest
from tinyruns import RULES, again, run_differences, settings


@pytest.mark.parametrize(
    "optimizer", ["adabelief(weight_decay=0.05)", "prodigy", "soap", "spam(warmup_epoch=2)", "lamb"]
)
def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path, layerlr, monkeypatch, optimizer):
    """AdaBelief corrects its bias by a count that stands in the group; SPAM counts under no parameter at all."""
    from layerlr_dsl.runner import loop

    rules = tmp_path / "tiny.lr"
    rules.write_text(RULES.replace("adamw(weight_decay=0.05)", optimizer))
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert layerlr(*settings(rules, whole)).status == 0
    original = loop.Loop._step

    def until_six(self, *arguments):
        return self._stop() if self.progress.total == 6 else original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_step", until_six)
        assert layerlr(*settings(rules, stopped)).status == 143
    assert layerlr(*again(stopped)).status == 0
    assert run_differences(whole, stopped) == []
