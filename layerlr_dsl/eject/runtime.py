"""What every page has: the class of a group, `make_optimizer`, and `Schedule`; only as much as the rules need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from layerlr_dsl.eject.layout import WIDTH, Items, laid_out


@dataclass(frozen=True, slots=True)
class Parts:
    """What the rules need. over: the tick at which the last stage is over before the run is."""

    waits: bool
    freezes: bool
    modules: bool
    fresh: bool
    several: bool
    over: int | None
    returns: str

    @property
    def takes(self) -> str:
        """Parameters of what changes with time."""
        return "[int, Metrics]" if self.waits else "[int]"


def _lines(text: str) -> list[str]:
    return text.strip("\n").split("\n")


def usage(parts: Parts, counts_steps: bool, metrics: Sequence[str]) -> list[str]:
    """How the page is used, for its docstring."""
    once = "once per optimizer step" if counts_steps else "once per epoch"
    step = ["for one in optimizers:", "    one.step()"] if parts.several else ["optimizer.step()"]
    made = "optimizers" if parts.several else "optimizer"
    told = [f"{made} = make_optimizer(model)", f"schedule = Schedule(model, {made})", "..."]
    told += [*step, f"schedule.step()  # {once}, after the optimizer"]
    told += [
        f"schedule.report({{{', '.join(f'{one!r}: ...' for one in metrics)}}})  # once per epoch, at its end"
    ] * bool(metrics)
    return ["Usage:", "", *(f"    {line}" for line in told)]


def group(parts: Parts) -> list[str]:
    """The class of an entry of the table, and what an entry has at a time."""
    lines = _lines('''
@dataclass
class Group:
    """Parameters by patterns of their names; an option is a number or a function of t."""

    name: str
    patterns: list[str]
    options: dict[str, Any]
''')
    if parts.several:
        lines.append("    optimizer: int = 0")
    if parts.freezes:
        lines.append(f"    frozen: Callable[{parts.takes}, bool] | None = None  # None: left alone")
    more, arguments = (", m: Metrics", "t, m") if parts.waits else ("", "t")
    at = f'''
    def at(self, t: int{more}) -> dict[str, Any]:
        """The options at step t."""
        return {{k: v({arguments}) if callable(v) else v for k, v in self.options.items()}}

    def of(self, named: dict[str, nn.Parameter]) -> list[nn.Parameter]:
        """Those whose full name is one of the patterns."""
        pattern = "|".join(self.patterns)
        return [one for name, one in named.items() if re.fullmatch(pattern, name)]
'''
    return [*lines, "", *_lines(at)]


def make_optimizer(parts: Parts, built: Sequence[tuple[str, list[str]]]) -> list[str]:
    """The function that builds one optimizer, or a list of them."""
    arguments = "0, Metrics()" if parts.waits else "0"
    what = "Each optimizer" if parts.several else "The optimizer"
    lines = _lines(f'''
def make_optimizer(model: nn.Module) -> {parts.returns}:
    """{what} with its parameter groups, as they stand at the start."""
    named = dict(model.named_parameters())
''')
    source = "GROUPS"
    if parts.several:
        source = "GROUPS\n        if g.optimizer == {}"
    entry = f'{{"params": g.of(named), "name": g.name, **g.at({arguments})}}'
    made = []
    for place, (name, settings) in enumerate(built):
        groups = f"groups_{place}" if parts.several else "groups"
        clause = f"for g in {source.format(place)}"
        forms = (
            [f"    {groups} = [{entry} {clause}]"],
            [f"    {groups} = [", f"        {entry} {clause}", "    ]"],
            [f"    {groups} = [", f"        {entry}", *f"        {clause}".split("\n"), "    ]"],
        )
        fits = (form for form in forms if parts.several is (form is forms[2]) and _fits(form))
        lines += next(fits, forms[2])
        made.append(Items(f"{name}(", (groups, *settings), ")"))
    counted = "groups" if not parts.several else " + ".join(f"groups_{n}" for n in range(len(built)))
    lines += [
        f'    if sum(len(group["params"]) for group in {counted}) != len(named):',
        '        raise ValueError("this page was written for another model")',
    ]
    node = Items("[", tuple(made), "]") if parts.several else made[0]
    return [*lines, *laid_out(node, 4, "return ")]


def _fits(lines: Sequence[str]) -> bool:
    return max(map(len, lines)) <= WIDTH


def schedule(parts: Parts) -> list[str]:
    """The class that sets options, freezes and thaws."""
    optimizer = "optimizers: list[Optimizer]" if parts.several else "optimizer: Optimizer"
    held = optimizer.partition(":")[0]
    lines = _lines(f'''
class Schedule:
    """Sets options{", freezes and thaws" if parts.freezes else ""} as time goes by."""

    def __init__(self, model: nn.Module, {optimizer}) -> None:
        self.model = model
        self.{held} = {held}
        self.t = 0
''')
    if parts.waits:
        lines.append("        self.metrics = Metrics()")
    if parts.freezes:
        lines += _lines(_FREEZING_INIT)
        lines += _lines(_HOOKS if parts.several else _HOOK)
    if parts.modules:
        lines.append("        self._alone: list[bool] = []  # of MODULES, those that count now")
    lines.append("        self._apply()")
    lines += ["", *_lines(_STEP)]
    if parts.fresh:
        lines += _lines(_FRESH_ALL if parts.several else _FRESH)
    lines.append("        self._apply()")
    lines += ["", *_report()] if parts.waits else []
    lines += ["", *_state(parts), "", *_apply(parts)]
    if parts.freezes:
        lines += ["", *_lines(_FREEZING)]
        lines += [*_lines(_MODULES)] if parts.modules else []
        lines += _lines(_HOLDING)
    return lines


_FREEZING_INIT = """
        self._frozen: set[nn.Parameter] = set()
        self._still: set[nn.Module] = set()  # in eval, since they are frozen
        self._trained: set[nn.Module] = set()  # of them, those to train again
        model.register_forward_pre_hook(lambda *_: self._hold())
        # Whatever a loop does, no gradient moves what is frozen.
"""
_HOOK = """
        optimizer.register_step_pre_hook(lambda *_: self._drop_gradients())
"""
_HOOKS = """
        for one in optimizers:
            one.register_step_pre_hook(lambda *_: self._drop_gradients())
"""
_STEP = '''
    def step(self) -> None:
        """Go on by one step."""
        self.t += 1
'''
_FRESH = """
        if self.t in FRESH:
            self.optimizer.state.clear()
"""
_FRESH_ALL = """
        if self.t in FRESH:
            for one in self.optimizers:
                one.state.clear()
"""


def _report() -> list[str]:
    return _lines('''
    def report(self, values: dict[str, float]) -> None:
        """Take the metrics of the epoch that has just ended."""
        self.metrics.report(values, self.t)
        self._apply()
''')


def _state(parts: Parts) -> list[str]:
    state = '{"t": self.t, "metrics": asdict(self.metrics)}' if parts.waits else '{"t": self.t}'
    loads = '        self.metrics = Metrics(**state["metrics"])\n' if parts.waits else ""
    return _lines(f"""
    def state_dict(self) -> dict[str, Any]:
        return {state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.t = state["t"]
{loads}        self._apply()
""")


def _apply(parts: Parts) -> list[str]:
    t = "t" if parts.over else "self.t"
    arguments = f"{t}, self.metrics" if parts.waits else t
    lines = _lines('''
    def _apply(self) -> None:
        """Put everything in the state that it has at step t."""
''')
    if parts.over:
        lines.append(f"        t = min(self.t, {parts.over - 1})  # the last stage is over then")
    lines.append("        groups = {group.name: group for group in GROUPS}")
    if parts.freezes:
        lines.append("        before, self._frozen = self._frozen, set()")
    live = "self.optimizer.param_groups"
    if parts.several:
        live = "[live for one in self.optimizers for live in one.param_groups]"
    lines += _lines(f"""
        for live in {live}:
            group = groups[live["name"]]
            live.update(group.at({arguments}))
""")
    if not parts.freezes:
        return lines
    lines += _lines(f"""
            if group.frozen:
                for parameter in live["params"]:
                    parameter.requires_grad = not group.frozen({arguments})
                    if not parameter.requires_grad:
                        self._frozen.add(parameter)
""")
    if not parts.modules:
        return [*lines, *_lines(_CHANGED.format("before != self._frozen"))]
    lines.append("        alone = self._alone")
    lines.append(f"        self._alone = [when({arguments}) for _, when, _ in MODULES]")
    return [*lines, *_lines(_CHANGED.format("(before, alone) != (self._frozen, self._alone)"))]


_CHANGED = """
        if {}:
            self._drop_gradients()
            self._find_still()
"""
_FREEZING = '''
    def _drop_gradients(self) -> None:
        for parameter in self._frozen:
            parameter.grad = None

    def _find_still(self) -> None:
        """Find the modules all of whose parameters are frozen, and all that is in them."""
        before, self._still = self._still, set()
        for module in self.model.modules():
            own = set(module.parameters())
            trains = module is self.model or any(one.requires_grad for one in own)
            if own & self._frozen and not trains:
                self._still.update(module.modules())
'''
_MODULES = """
        for (patterns, _, still), now in zip(MODULES, self._alone, strict=True):
            for name, module in self.model.named_modules():
                if now and any(re.fullmatch(one, name) for one in patterns):
                    self._still.add(module) if still else self._still.discard(module)
"""
_HOLDING = '''
        for module in (before - self._still) & self._trained:  # thawed: as it was
            module.training = module.training or self.model.training
        self._trained &= self._still
        self._hold()

    def _hold(self) -> None:
        """Keep frozen modules in eval, whatever `model.train()` does: statistics stand still."""
        for module in self._still:
            if module.training:
                self._trained.add(module)
                module.training = False
'''


def metrics(conditions: bool, plateaus: bool) -> list[str]:
    """The classes that wait for metrics."""
    lines: list[str] = []
    if conditions:
        lines += [*_lines(_CONDITION), "", ""]
    if plateaus:
        lines += [*_lines(_PLATEAU), "", ""]
    fields = []
    reports = []
    if conditions:
        fields += _lines(_CAME)
        reports += _lines(_CONDITIONS_REPORT)
    if plateaus:
        fields += _lines(_LEFT)
        reports += _lines(_PLATEAUS_REPORT)
    lines += [*_lines(_METRICS), "", *fields, "", *_lines(_REPORT), *reports]
    return lines


_CONDITION = '''
@dataclass
class Condition:
    """Comes true at so many reports in a row that are no better by more than `by`."""

    metric: str
    falling: bool
    patience: int
    by: float
    opens: Callable[[Metrics], float]
'''
_PLATEAU = '''
@dataclass
class Plateau:
    """Takes off a factor when a metric is no better for more than `patience` reports."""

    metric: str
    rising: bool
    factor: float
    patience: int
    threshold: float
    cooldown: int
    floor: float
    begins: int
    ends: float
'''
_METRICS = '''
@dataclass
class Metrics:
    """What was reported so far."""
'''
_CAME = """

    came: list[float] = field(default_factory=lambda: [inf for _ in CONDITIONS])
    best: list[float | None] = field(default_factory=lambda: [None for _ in CONDITIONS])
    bad: list[int] = field(default_factory=lambda: [0 for _ in CONDITIONS])
"""
_LEFT = """

    left: list[float] = field(default_factory=lambda: [1.0 for _ in PLATEAUS])
    top: list[float | None] = field(default_factory=lambda: [None for _ in PLATEAUS])
    worse: list[int] = field(default_factory=lambda: [0 for _ in PLATEAUS])
    cooling: list[int] = field(default_factory=lambda: [0 for _ in PLATEAUS])
"""
_REPORT = """
    def report(self, values: dict[str, float], t: int) -> None:
"""
_CONDITIONS_REPORT = """
        opens = [one.opens(self) for one in CONDITIONS]
        for n, one in enumerate(CONDITIONS):
            if one.metric not in values or self.came[n] < inf:
                continue
            if t <= opens[n] and opens[n] != 0:  # speaks of the time before
                continue
            value, best = values[one.metric], self.best[n]
            gain = inf if best is None else best - value
            gain = gain if one.falling or best is None else -gain
            if isfinite(value) and gain > one.by:
                self.best[n], self.bad[n] = value, 0
                continue
            self.bad[n] += 1
            if self.bad[n] >= one.patience:
                self.came[n] = t
"""
_PLATEAUS_REPORT = """
        for n, drop in enumerate(PLATEAUS):
            runs = drop.begins <= max(t - 1, 0) < drop.ends
            if drop.metric not in values or not runs:
                continue
            value, top = values[drop.metric], self.top[n]
            better = top is None or (
                value > top * (1.0 + drop.threshold)
                if drop.rising
                else value < top * (1.0 - drop.threshold)
            )
            self.top[n] = value if better else top
            self.worse[n] = 0 if better or self.cooling[n] > 0 else self.worse[n] + 1
            self.cooling[n] = max(self.cooling[n] - 1, 0)
            if self.worse[n] > drop.patience:
                self.left[n] = max(self.left[n] * drop.factor, drop.floor)
                self.cooling[n], self.worse[n] = drop.cooldown, 0
"""
