"""Findings, plans and explanations as a person reads them, in text of any width."""
