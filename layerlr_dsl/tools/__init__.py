"""What every room may use and what knows nothing of layerlr: words for numbers, cells of a screen, files."""
