; Each node is captured once, so that it does not matter which of several patterns an editor prefers.

(comment) @comment

; ---------------------------------------------------------------- words

[
  "version" "model" "steps_per_epoch" "include" "let" "group" "optimizer" "schedule"
  "freeze" "unfreeze" "expect" "stage" "after" "stages" "fresh"
  "from" "until" "warmup" "updating" "statistics" "of" "at" "every" "starting" "for" "by"
  "descending" "ascending" "stops" "falling" "rising" "frozen" "trains" "groups" "trainable"
  "except" "where" "then"
] @keyword

(epochs "epochs" @keyword)
(steps "steps" @keyword)

["and" "or" "not" "is" "matches" "mod"] @keyword.operator

(unit) @type.builtin

; ---------------------------------------------------------------- names

(pattern) @tag
(group_name) @label
(group_capture) @label
(label) @label
(option) @attribute
(argument_name) @attribute
(factory_name) @type
(class_name) @type
(function_name) @function
(let_name) @constant
(metric) @variable
(capture) @variable.parameter

((identifier) @variable.special (#match? @variable.special "^(name|path|depth|ndim|numel|shape|dtype|index|tied|module|step|steps|epoch|epochs|progress|pi)$"))
((identifier) @variable (#not-match? @variable "^(name|path|depth|ndim|numel|shape|dtype|index|tied|module|step|steps|epoch|epochs|progress|pi)$"))

; ---------------------------------------------------------------- values

(number) @number
(percentage) @number
(boolean) @boolean
(string) @string
(regex) @string.regex

; ---------------------------------------------------------------- signs

["->" "*=" "=" "+" "-" "*" "/" "^" "%"] @operator
(comparison_sign) @operator
["(" ")" "[" "]"] @punctuation.bracket
["," ";"] @punctuation.delimiter
(continuation) @punctuation.special
