"""Case studies like Table 9 of the paper, for any suite, chosen by a stated rule: gains, the middle, and losses."""

from __future__ import annotations

from harness.cases.choose import Case, CaseStudy, Group, Side, case_studies, case_study
from harness.cases.notes import Remark, read_remarks

__all__ = ["Case", "CaseStudy", "Group", "Remark", "Side", "case_studies", "case_study", "read_remarks"]
