"""The language in editors: the language server, the Pygments lexer, the TextMate grammar."""
