"""Loading by name carries all that an optimizer saves: every optimizer of three packages resumes to the last bit."""

import pytest
from zoo import CANNOT, WAYS, Way, carries_by_name, optimizers, resumes_by_itself, resumes_exactly

FOUND = {
    name: cls
    for package in ("torch", "timm", "pytorch_optimizer")
    for name, cls in optimizers(package).items()
}
CAN = [name for name in FOUND if name not in CANNOT]


@pytest.mark.parametrize("name", CAN)
def test_a_resumed_run_ends_as_one_that_never_stopped(name):
    """Step counts in the groups, state of its own shapes, state that hangs on no parameter: all of it comes back."""
    way = WAYS.get(name, Way())
    assert resumes_exactly(FOUND[name], way, ours=False), "not even without us: this belongs into CANNOT"
    assert resumes_exactly(FOUND[name], way, ours=True)


@pytest.mark.parametrize("name", CAN)
def test_a_checkpoint_that_does_not_say_what_made_it_is_carried_whole(name):
    """One of plain torch, or of torch.distributed.checkpoint: valid state is never taken for another optimizer's."""
    assert resumes_exactly(FOUND[name], WAYS.get(name, Way()), ours=True, unsaid=True)


@pytest.mark.parametrize("name", [name for name in CAN if not WAYS.get(name, Way()).one_group])
def test_state_goes_by_name_into_other_groups(name):
    """With its groups in another order, an optimizer has for each parameter what it had, whatever its load does."""
    assert carries_by_name(FOUND[name], WAYS.get(name, Way()))


@pytest.mark.parametrize("name", [name for name in FOUND if name in CANNOT])
def test_what_is_said_to_be_impossible_is(name):
    """The list of what the libraries themselves cannot do stays true."""
    assert not resumes_by_itself(FOUND[name], WAYS.get(name, Way()))
