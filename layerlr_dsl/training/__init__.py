"""A plan at work on live objects: parameter groups, the schedule, freezing, and state by name."""
