; Each node is captured once, so that it does not matter which of several patterns an editor prefers.

(comment) @font-lock-comment-face

; ---------------------------------------------------------------- words

[
  "version" "model" "steps_per_epoch" "include" "let" "group" "optimizer" "schedule"
  "freeze" "unfreeze" "expect" "stage" "after" "stages" "fresh"
  "from" "until" "warmup" "updating" "statistics" "of" "at" "every" "starting" "for" "by"
  "descending" "ascending" "stops" "falling" "rising" "frozen" "trains" "groups" "trainable"
  "except" "where" "then"
] @font-lock-keyword-face

(epochs "epochs" @font-lock-keyword-face)
(steps "steps" @font-lock-keyword-face)

["and" "or" "not" "is" "matches" "mod"] @font-lock-keyword-face

(unit) @font-lock-type-face

; ---------------------------------------------------------------- names

(pattern) @font-lock-function-name-face
(group_name) @font-lock-constant-face
(group_capture) @font-lock-constant-face
(label) @font-lock-constant-face
(option) @font-lock-property-name-face
(argument_name) @font-lock-property-name-face
(factory_name) @font-lock-type-face
(class_name) @font-lock-type-face
(function_name) @font-lock-function-call-face
(let_name) @font-lock-constant-face
(metric) @font-lock-variable-use-face
(capture) @font-lock-variable-name-face

((identifier) @font-lock-builtin-face (#match "^\\(name\\|path\\|depth\\|ndim\\|numel\\|shape\\|dtype\\|index\\|tied\\|module\\|step\\|steps\\|epoch\\|epochs\\|progress\\|pi\\)$" @font-lock-builtin-face))
((identifier) @font-lock-variable-use-face)

; ---------------------------------------------------------------- values

(number) @font-lock-number-face
(percentage) @font-lock-number-face
(boolean) @font-lock-constant-face
(string) @font-lock-string-face
(regex) @font-lock-regexp-face

; ---------------------------------------------------------------- signs

["->" "*=" "=" "+" "-" "*" "/" "^" "%"] @font-lock-operator-face
(comparison_sign) @font-lock-operator-face
["(" ")" "[" "]"] @font-lock-bracket-face
["," ";"] @font-lock-delimiter-face
(continuation) @font-lock-misc-punctuation-face
