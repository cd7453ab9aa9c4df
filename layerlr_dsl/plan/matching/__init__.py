"""Which statements of a file cover which parameters of a model, and with what their captures bound.

    compiled = Compiled(rules)              # what the selectors of a file come to, whatever the model
    matches = match(compiled, inventory)    # parameters in classes that the file cannot tell apart
    decider = Decider(compiled, matches)    # decides selectors for whole classes
    for kind in matches.classes:
        for one in decider.clauses_of(kind):
            rules.clauses[one.clause]       # covers it by its selector number `one.selector`,
            dict(one.bindings)              # with these captures

`Matches.class_of` leads from each parameter, then from each of `alias_rows`, to its class.
`Matches.module_rows`, `module_class_of`, `module_classes` are the same for modules without parameters, which
freezing holds in eval too; `clauses_of` takes their classes as well.
`Decider.scope` is what names stand for in a value, `Decider.captured` what `<i>` is bound to in the whole
model, `Decider.decide` whether any selector covers a class. Faults are kept in `ambiguous` and `faults`.
Selectors and settings are known by their numbers; everything here can be copied and pickled.
"""

from layerlr_dsl.plan.matching.attributes import NO_PARAMETER, Row
from layerlr_dsl.plan.matching.classes import Matches, RowClass, match
from layerlr_dsl.plan.matching.compiled import Compiled, all_selectors
from layerlr_dsl.plan.matching.deciding import Decider, Selected, WhereFault

__all__ = [
    "NO_PARAMETER",
    "Compiled",
    "Decider",
    "Matches",
    "Row",
    "RowClass",
    "Selected",
    "WhereFault",
    "all_selectors",
    "match",
]
