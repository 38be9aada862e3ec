"""What is wrong with claims: the reference library's verdict, and advice of our own beyond it."""

from issuer.findings.advice import advise
from issuer.findings.finding import Finding, Level, blocking
from issuer.findings.rules import validate

__all__ = ["Finding", "Level", "advise", "blocking", "validate"]
