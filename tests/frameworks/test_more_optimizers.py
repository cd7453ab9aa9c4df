"""Optimizers of packages beyond the project's own extras: `make test-frameworks` installs them."""

import pytest
from zoo import CANNOT, WAYS, Way, carries_by_name, optimizers, resumes_by_itself, resumes_exactly

PACKAGES = ("schedulefree", "prodigyopt", "lion_pytorch", "bitsandbytes.optim", "torchao.optim")


def _found():
    found = {}
    for package in PACKAGES:
        try:
            found |= optimizers(package)
        except ImportError:
            continue
    return found


FOUND = _found()
CAN = [name for name in FOUND if name not in CANNOT]
pytestmark = pytest.mark.skipif(not FOUND, reason="none of these packages is here; see make test-frameworks")


@pytest.mark.parametrize("unsaid", [False, True], ids=["said", "unsaid"])
@pytest.mark.parametrize("name", CAN)
def test_a_resumed_run_ends_as_one_that_never_stopped(name, unsaid):
    """Whether the checkpoint says what made it or not, everything comes back to the last bit."""
    way = WAYS.get(name, Way())
    assert resumes_exactly(FOUND[name], way, ours=False), "not even without us: this belongs into CANNOT"
    assert resumes_exactly(FOUND[name], way, ours=True, unsaid=unsaid)


@pytest.mark.parametrize("name", [name for name in CAN if not WAYS.get(name, Way()).one_group])
def test_state_goes_by_name_into_other_groups(name):
    """bitsandbytes loads without torch's hooks, by place: what is arranged must be arranged before."""
    assert carries_by_name(FOUND[name], WAYS.get(name, Way()))


@pytest.mark.parametrize("name", [name for name in FOUND if name in CANNOT])
def test_what_is_said_to_be_impossible_is(name):
    """The list of what the libraries themselves cannot do stays true."""
    assert not resumes_by_itself(FOUND[name], WAYS.get(name, Way()))
