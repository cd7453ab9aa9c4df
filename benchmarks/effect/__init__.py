"""Does it pay? The study behind the advice that layerlr gives: `make effect`, results in RESULTS.md."""
