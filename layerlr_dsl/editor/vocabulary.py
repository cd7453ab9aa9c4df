"""What the words of the language mean, in a sentence each, for completion and hovering."""

from __future__ import annotations

from layerlr_dsl.catalogue.optimizers import MISSING
from layerlr_dsl.catalogue.schedules import ArgumentInfo
from layerlr_dsl.catalogue.signatures import OptionInfo
from layerlr_dsl.language.vocabulary import ATTRIBUTE_WORDS, FAMILY_WORDS
from layerlr_dsl.tools.numbers import in_words, spelled

STATEMENTS = {
    "version": "The version of the language: `version 1`, first in the file.",
    "model": 'What the file is checked against: `model "torchvision:resnet18(num_classes=10)"`.',
    "epochs": "The length of the run where the caller gives none: `epochs 30`.",
    "steps": "The length of the run in optimizer steps where the caller gives none: `steps 600_000`.",
    "steps_per_epoch": "The optimizer steps in an epoch where the caller does not say: `steps_per_epoch 1250`.",
    "include": 'Lay another file\'s lets, groups and rules in place, once: `include "common/no_decay.lr"`.',
    "let": "Give a value a name: `let base = 1e-3`.",
    "group": "Give a selector a name, used as `@name`: `group stem = conv1, bn1`.",
    "optimizer": "The optimizer of the file: `optimizer adamw(weight_decay=0.05)`.",
    "schedule": "How rates change over the run: `schedule cosine(warmup=5%, floor=0.01)`.",
    "freeze": "Do not train these parameters, for ever or in a window: `freeze layer1 until epoch 5`.",
    "unfreeze": "Train from a moment on, or layer after layer: `unfreeze fc then layer4 every 2 epochs`.",
    "expect": "A test: `expect layer4.0.conv1.weight lr == 1e-4`.",
    "stage": "What follows holds in this stage only: `stage head for 2 epochs`.",
    "after stages": "What follows comes last in the cascade and holds throughout.",
}
OPENINGS = {phrase.split()[0]: about for phrase, about in STATEMENTS.items()}
"""The same by the first word."""
WORDS = {
    "except": "Take what follows away from the items before.",
    "where": "Keep only the parameters that answer yes.",
    "from": "The window opens at this moment: `from epoch 2`.",
    "until": "The window ends before this moment: `until epoch 5` covers epochs 0 to 4.",
    "warmup": "What thaws starts at 0 and ramps to its own rate: `warmup 200 steps`.",
    "updating statistics": "Let normalisation layers go on averaging while their parameters are frozen.",
    "statistics of": "Let normalisation layers keep their running statistics while their parameters train.",
    "then": "What comes next: the next to be unfrozen, or the next schedule of a sequence.",
    "for": "How long a stage or a schedule lasts: `for 5 epochs`.",
    "fresh optimizer": "At the start of the stage the optimizer forgets its state: `, fresh optimizer`.",
    "stages": "`after stages`: what follows comes last and holds throughout.",
    "descending": "The largest number first: `by i descending`.",
    "ascending": "The smallest number first: `by i ascending`, as without a word.",
    "every": "The time between two turns: `every 2 epochs`.",
    "starting at": "When the first turn is: `starting at epoch 1`.",
    "at": "The moment: `at epoch 3`.",
    "by": "What counts as an improvement, `by 0.01`; or the capture that turns go by, `by i descending`.",
    "frozen": "Expect that nothing here trains.",
    "trains": "Expect that everything here trains.",
    "and": "Both must hold.",
    "or": "One of both must hold.",
    "not": "The opposite.",
    "is": "Ask for the class of the owner, or its family: `module is norm`, `module is Conv2d`.",
    "matches": "Ask for a regular expression: `name matches /^(weight|bias)$/`.",
    "mod": "The remainder: `i mod 2`.",
}
UNITS = {
    "epoch": "a moment: `epoch 2`, fractions allowed",
    "step": "a moment: `step 100`, in optimizer steps from 0",
    "epochs": "a stretch of time",
    "steps": "a stretch of time, in optimizer steps",
}
CONDITIONS = {
    "stops falling for": "`val_loss stops falling for 3 epochs`: counted in reports of the metric",
    "stops rising for": "`accuracy stops rising for 3 epochs`: counted in reports of the metric",
}
COMPARISONS = {
    "==": "the same, floats within 1e-9",
    "!=": "another",
    "<": "less",
    "<=": "at most",
    ">": "more",
    ">=": "at least",
}
COUNTED = {
    "groups": "How many parameter groups there are: `expect groups == 3`.",
    "trainable": "The share of the elements that train: `expect trainable < 10% at epoch 0`.",
}

_PHRASES = {**WORDS, **CONDITIONS, **STATEMENTS}


def about(phrase: str) -> str:
    """What a phrase of the language means, or one that it ends."""
    return _PHRASES.get(phrase) or next(
        (said for whole, said in _PHRASES.items() if whole.endswith(f" {phrase}")), ""
    )


KEYWORDS = {
    part: about
    for words in (CONDITIONS, UNITS, COUNTED, WORDS)
    for phrase, about in words.items()
    for part in phrase.split()
}
"""Every word that has its meaning from its place in a statement."""
ATTRIBUTES = {word.name: word.about for word in ATTRIBUTE_WORDS}
FUNCTIONS = {
    "min": "the least of its arguments",
    "max": "the greatest of its arguments",
    "sqrt": "the square root",
    "log2": "the logarithm to base 2",
    "floor": "the next whole number below",
    "ceil": "the next whole number above",
    "cos": "the cosine of an angle in radians",
    "sin": "the sine of an angle in radians",
    "exp": "e to this power",
    "log": "the natural logarithm",
    "abs": "the value without its sign",
    "choose": "`choose(CONDITION, A, B)`: A where the condition holds, else B",
    "ramp": "`ramp((WHEN, VALUE), ..., shape=linear, endpoint=false, exact=false)`: a value that moves from point to point",
    "last": "the largest number that a capture is bound to in this selector, or in a group: `last(@blocks)`",
    "first": "the smallest number that a capture is bound to in this selector, or in a group: `first(@blocks)`",
    "count": "how many values captures have together in this selector, in a group (`count(@blocks)`), "
    "or in a group with this parameter's stage (`count(@blocks, s)`)",
    "rank": "`rank(s, i)`: the place of this parameter's captures among those of the selector, from 0; "
    "`rank(@blocks, s)`: how many of a group come before its stage",
}
FAMILIES = {word.name: word.about for word in FAMILY_WORDS}
OPTIONS = {
    "lr": "the learning rate at its peak, before the schedule",
    "weight_decay": "how strongly weights are pulled towards 0",
    "betas": "decay rates of the running means of the gradient and of its square",
    "momentum": "how much of the last update goes into the next",
    "eps": "what keeps a division from exploding",
    "dampening": "how much of the gradient the momentum leaves out",
    "nesterov": "look ahead along the momentum (Nesterov)",
    "amsgrad": "never let the second moment shrink (AMSGrad)",
    "decoupled_weight_decay": "decay weights beside the gradient, as AdamW does",
    "maximize": "climb instead of descend",
    "alpha": "the smoothing constant, or the power of the rate",
    "centered": "subtract the mean of the gradient before squaring",
    "rho": "the decay rate of the running mean of squares",
    "lr_decay": "how fast the rate falls with the steps",
    "initial_accumulator_value": "where the sum of squares starts",
    "momentum_decay": "how fast the momentum changes (NAdam)",
    "lambd": "the decay term (ASGD)",
    "t0": "the step at which averaging starts (ASGD)",
    "etas": "the factors by which steps shrink and grow (Rprop)",
    "step_sizes": "the least and the greatest step (Rprop)",
    "beta2_decay": "how the second moment's decay rate approaches 1 (Adafactor)",
    "d": "the clipping threshold of the update (Adafactor)",
    "ns_coefficients": "coefficients of the Newton-Schulz iteration (Muon)",
    "ns_steps": "steps of the Newton-Schulz iteration (Muon)",
    "adjust_lr_fn": "how the rate is adjusted to the shape of the matrix (Muon)",
    "trust_coefficient": "the trust ratio's factor: rate over the ratio of norms (LARS)",
    "adapt": "scale the rate of each tensor by its trust ratio",
    "bias_correction": "correct the moments for having started at 0",
    "foreach": "run over lists of tensors at once: faster, same result",
    "fused": "run in one kernel: faster, same result",
    "capturable": "safe to capture in a CUDA graph",
    "differentiable": "let autograd run through the step",
    "schedule": "a schedule of their own for these parameters: `schedule constant`",
    "optimizer": "an optimizer of their own for these parameters: `optimizer muon(lr=0.02)`",
}


def option_text(info: OptionInfo) -> str:
    """`weight_decay: how strongly ... (number >= 0, default 0.01)`."""
    about = OPTIONS.get(info.name, "an option of the optimizer")
    domain = f" {info.domains[0]}" if info.domains and info.kind == "number" else ""
    default = "required" if info.default is MISSING else f"default {in_words(info.default, 6)}"
    return f"{about} ({info.kind}{domain}, {default})"


def argument_text(info: ArgumentInfo) -> str:
    """What an argument of a schedule means, and its default."""
    if info.required:
        return f"{info.about} (required)"
    if info.default is None:
        return info.about
    default = info.default if isinstance(info.default, str) else spelled(info.default)
    return f"{info.about} (default {default})"


METRICS = {
    "val_loss": "reported by `layerlr train` after each epoch, elsewhere by `schedule.report(val_loss=...)`",
    "val_accuracy": "the share of the validation samples that are right, reported after each epoch",
    "train_loss": "the mean over an epoch's own batches, reported after each epoch",
}
