[
  (optimizer)
  (schedule)
  (unfreeze_sequence)
  (tuple)
  (call)
] @fold
