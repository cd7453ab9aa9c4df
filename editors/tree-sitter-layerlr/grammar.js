/**
 * Rule files of layerlr, for editors: what `grammar/layerlr.lark` says, in the terms of tree-sitter.
 *
 * Every valid file is read without an error, and every word has a node of its own kind to be coloured by.
 * Names are not judged: whether an option exists is for the language server to say.
 *
 * After a change: `tree-sitter generate --abi 14`, and `pytest tests/editor/test_tree_sitter.py`.
 */

const WORD = /[\p{L}_][\p{L}\p{N}_]*/;
// A `-` is a part of a name unless it begins an arrow, so something of a name must follow it.
const PIECE = "(?:[\\p{L}\\p{N}_.*?]|\\[!?\\]?[^\\s\\]]*\\]|\\{[^\\s{}]*\\}|<[^\\s<>]*>)";
const PATTERN = new RegExp(`(?:-*${PIECE})+`);
const DIGITS = "[0-9](?:_?[0-9])*";
const NUMBER = `(?:${DIGITS}(?:\\.(?:${DIGITS})?)?|\\.${DIGITS})(?:[eE][+-]?${DIGITS})?`;

const PRECEDENCE = { or: 1, and: 2, not: 3, compare: 4, sum: 5, product: 6, negative: 7, power: 8 };

/** One or more, with something between two of them. */
const separated = (separator, rule) => seq(rule, repeat(seq(separator, rule)));
const listed = (rule) => separated(",", rule);
/** A name by what it names, so that a query can colour it without asking around it. */
const called = ($, kind) => alias($.identifier, $[kind]);

module.exports = grammar({
  name: "layerlr",

  // The scanner counts parentheses: within them, and in front of an indented line, a newline may be a blank.
  externals: ($) => [$._newline, $._joined, "(", ")", "[", "]", $._error_sentinel],
  extras: ($) => [/[ \t\r\f\uFEFF]/, $.comment, $.continuation, $._joined],
  word: ($) => $.identifier,
  supertypes: ($) => [$.statement, $.expression],
  inline: ($) => [$._end],

  rules: {
    file: ($) => seq(repeat($._end), optional(seq($.statement, repeat(seq(repeat1($._end), $.statement)), repeat($._end)))),

    _end: ($) => choice($._newline, ";"),

    statement: ($) =>
      choice(
        $.version,
        $.model,
        $.epochs,
        $.steps,
        $.steps_per_epoch,
        $.include,
        $.let,
        $.group,
        $.optimizer,
        $.schedule,
        $.rule,
        $.freeze,
        $.freeze_statistics,
        $.unfreeze,
        $.unfreeze_sequence,
        $.stage,
        $.after_stages,
        $.expect
      ),

    // ---------------------------------------------------------------- the file

    version: ($) => seq("version", $.number),
    model: ($) => seq("model", $.string),
    epochs: ($) => seq("epochs", $.expression),
    steps: ($) => seq("steps", $.expression),
    steps_per_epoch: ($) => seq("steps_per_epoch", $.expression),
    include: ($) => seq("include", $.string),
    let: ($) => seq("let", field("name", called($, "let_name")), "=", field("value", $.expression)),
    group: ($) => seq("group", field("name", called($, "label")), "=", $.selector),
    optimizer: ($) => seq("optimizer", optional(seq(field("name", called($, "label")), "=")), $.factory),
    schedule: ($) => seq("schedule", $._schedules),

    // ---------------------------------------------------------------- rules

    rule: ($) => seq(alias($.leading_selector, $.selector), "->", listed($.setting), optional($.window)),

    setting: ($) =>
      choice(
        seq(field("option", choice(called($, "option"), alias($.string, $.option))), optional("*="), field("value", $.expression)),
        seq("optimizer", $.factory),
        seq("schedule", $._schedules)
      ),

    // ---------------------------------------------------------------- freezing

    freeze: ($) =>
      seq("freeze", alias($.frozen_selector, $.selector), optional(seq("updating", "statistics")), optional($.window), optional($.warmup)),
    freeze_statistics: ($) => seq("freeze", "statistics", "of", $.selector, optional($.window)),
    unfreeze: ($) => seq("unfreeze", $.selector, optional($.at), optional($.warmup)),
    unfreeze_sequence: ($) =>
      seq("unfreeze", separated("then", $.turn), "every", $.duration, optional(seq("starting", $.at)), optional($.warmup)),
    turn: ($) => seq($.selector, optional(seq("by", field("capture", called($, "capture")), optional(choice("descending", "ascending"))))),
    warmup: ($) => seq("warmup", $.duration),

    // ---------------------------------------------------------------- stages

    stage: ($) =>
      seq("stage", field("name", called($, "label")), optional($.lasting), optional($.ending), optional(seq(",", "fresh", "optimizer"))),
    lasting: ($) => seq("for", $.duration),
    ending: ($) => seq("until", $.condition),
    after_stages: (_) => seq("after", "stages"),

    // ---------------------------------------------------------------- expectations

    expect: ($) =>
      seq(
        "expect",
        choice(
          seq(alias($.expected_selector, $.selector), field("option", called($, "option")), $.comparison_sign, field("value", $.expression)),
          seq(alias($.expected_selector, $.selector), choice("frozen", "trains")),
          seq(field("counted", choice("groups", "trainable")), $.comparison_sign, field("value", $.expression))
        ),
        optional($.at)
      ),
    at: ($) => seq("at", $._time),

    // ---------------------------------------------------------------- selectors

    selector: ($) => seq(listed($._item), optional($.excluding), optional($.where)),
    excluding: ($) => seq("except", listed($._item)),
    where: ($) => seq("where", $.expression),

    _item: ($) => choice($.pattern, alias($.identifier, $.pattern), $.string, $.regex, $.group_name),

    // Where a word of the language may stand first, a layer may bear its name: `freeze -> lr 1`.
    leading_selector: ($) => seq($._leading_item, repeat(seq(",", $._item)), optional($.excluding), optional($.where)),
    _leading_item: ($) => choice($._item, alias($._statement_word, $.pattern)),
    _statement_word: (_) =>
      choice(
        "version", "model", "epochs", "steps", "steps_per_epoch", "include", "let", "group", "optimizer",
        "schedule", "freeze", "unfreeze", "expect", "stage", "after"
      ),
    frozen_selector: ($) =>
      seq(choice($._item, alias("statistics", $.pattern)), repeat(seq(",", $._item)), optional($.excluding), optional($.where)),
    expected_selector: ($) =>
      seq(
        choice($._item, alias("groups", $.pattern), alias("trainable", $.pattern)),
        repeat(seq(",", $._item)),
        optional($.excluding),
        optional($.where)
      ),

    // Of two tokens as long as each other the first is taken: words are words, and patterns what is longer.
    identifier: (_) => token(WORD),
    pattern: (_) => token(PATTERN),
    regex: (_) => token(/\/(?:[^\/\\\n]|\\[^\n])[^\/\\\n]*(?:\\[^\n][^\/\\\n]*)*\//),
    group_name: (_) => token(seq("@", WORD)),
    group_capture: (_) => token(seq("@", WORD, ".", WORD)),

    // ---------------------------------------------------------------- time

    window: ($) => choice(seq("from", $._time), seq("until", $._time), seq("from", $._time, "until", $._time)),

    _time: ($) => choice($.moment, seq(optional("-"), $.percentage), $.share, alias($.named_share, $.share), $.condition),
    moment: ($) => seq(alias($._unit_word, $.unit), $._count),
    // Where a moment may begin, what is called like its unit is a name by what follows.
    _unit_word: (_) => choice("epoch", "step"),
    named_share: ($) => seq(alias($._unit_word, $.identifier), token.immediate("%")),
    share: ($) => seq(choice($.identifier, $.parenthesized), token.immediate("%")),
    condition: ($) =>
      seq(
        field("metric", choice(called($, "metric"), alias($._unit_word, $.metric), alias($.string, $.metric))),
        "stops",
        choice("falling", "rising"),
        "for",
        $._count,
        alias(choice("epoch", "epochs"), $.unit),
        optional(seq("by", $._count))
      ),
    duration: ($) => choice(seq($._count, $.unit), seq(optional("-"), $.percentage), $.share),
    // As an argument, where a bare `5%` is an expression.
    stretch: ($) => choice(seq($._count, $.unit), $.share),
    unit: (_) => choice("epoch", "epochs", "step", "steps"),
    _count: ($) => choice(seq(optional("-"), choice($.number, $.percentage)), $.identifier, $.parenthesized),

    // ---------------------------------------------------------------- optimizers and schedules

    _schedules: ($) => seq(repeat(seq($.curve, $.lasting, "then")), $.curve),
    curve: ($) => $._factory,
    factory: ($) => $._factory,
    _factory: ($) => seq(field("name", called($, "factory_name")), optional(seq("(", optional(seq(listed($.argument), optional(","))), ")"))),
    argument: ($) => seq(field("name", called($, "argument_name")), "=", field("value", choice($.expression, alias($.stretch, $.duration)))),

    // ---------------------------------------------------------------- expressions

    expression: ($) =>
      choice(
        $.logic,
        $.negation,
        $.comparison,
        $.arithmetic,
        $.negative,
        $.power,
        $.number,
        $.percentage,
        $.identifier,
        $.string,
        $.boolean,
        $.call,
        $.subscript,
        $.parenthesized,
        $.tuple
      ),

    logic: ($) =>
      choice(
        prec.left(PRECEDENCE.or, seq($.expression, "or", $.expression)),
        prec.left(PRECEDENCE.and, seq($.expression, "and", $.expression))
      ),
    negation: ($) => prec(PRECEDENCE.not, seq("not", $.expression)),
    comparison: ($) =>
      choice(
        prec.left(PRECEDENCE.compare, seq($.expression, $.comparison_sign, $.expression)),
        prec.left(PRECEDENCE.compare, seq($.expression, "is", field("class", choice(called($, "class_name"), alias($.string, $.class_name))))),
        prec.left(PRECEDENCE.compare, seq($.expression, "matches", $.regex))
      ),
    comparison_sign: (_) => choice("==", "!=", "<=", ">=", "<", ">"),
    arithmetic: ($) =>
      choice(
        prec.left(PRECEDENCE.sum, seq($.expression, choice("+", "-"), $.expression)),
        prec.left(PRECEDENCE.product, seq($.expression, choice("*", "/", "mod"), $.expression))
      ),
    negative: ($) => prec(PRECEDENCE.negative, seq("-", $.expression)),
    power: ($) => prec.right(PRECEDENCE.power, seq($.expression, "^", $.expression)),

    call: ($) => seq(field("function", called($, "function_name")), "(", optional(seq(listed($._value), optional(","))), ")"),
    _value: ($) => choice($.expression, $.group_name, $.group_capture, $.argument),
    subscript: ($) => seq(field("of", $.identifier), "[", $.expression, "]"),
    parenthesized: ($) => seq("(", $.expression, ")"),
    tuple: ($) =>
      choice(
        seq("(", $._entry, ",", ")"),
        seq("(", $._entry, repeat1(seq(",", $._entry)), optional(","), ")"),
        seq("(", alias($.stretch, $.duration), ")")
      ),
    _entry: ($) => choice($.expression, alias($.stretch, $.duration)),

    boolean: (_) => choice("true", "false"),
    number: (_) => token(new RegExp(NUMBER)),
    percentage: (_) => token(new RegExp(`${NUMBER}%`)),
    string: (_) => token(/"[^"\\\n]*(?:\\[^\n][^"\\\n]*)*"/),

    comment: (_) => token(/#[^\n]*/),
    continuation: (_) => token(/\\[ \t\r]*\n/),
  },
});
