"""The declarative file: read, compared with what there is, made so, and written out."""

from issuer.authority.plan.applying import Applied, ApplyDocument, apply_document
from issuer.authority.plan.exporting import export_document
from issuer.authority.plan.planning import AskPlan, Plan, plan
from issuer.authority.plan.policy import DeclaredPolicy, PolicyDoor
from issuer.authority.plan.reading import read_document

__all__ = [
    "Applied",
    "ApplyDocument",
    "AskPlan",
    "DeclaredPolicy",
    "Plan",
    "PolicyDoor",
    "apply_document",
    "export_document",
    "plan",
    "read_document",
]
