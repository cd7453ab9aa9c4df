"""Findings on their way out: as text for people, JSON, GitHub's annotations, SARIF."""
