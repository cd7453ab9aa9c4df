"""torch's CPU build beside PyPI's torchvision: the frameworks' own imports need it mended first."""

from layerlr_dsl.model.torchvision_compat import with_torchvision


def _import():
    import torchvision

    return torchvision


with_torchvision(_import)
